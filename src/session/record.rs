//! What is remembered of a session for its log line, bounded: an idle tunnel carries it.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use log::Level;

use super::Reason;
use crate::net::Millis;
use crate::say::say;
use crate::state::access::Source;
use crate::state::slots::Key;
use crate::state::users::Users;
use crate::wire::socks::{Address, Request};

/// How much of a name the log shows. Longer ones are cut: they are not worth a tunnel's memory.
const NAME_SHOWN_MAX: usize = 64;

/// Who came, what was asked for, what was reached, and when.
#[derive(Debug)]
pub(super) struct Record {
    client: SocketAddr,
    started: Millis,
    asked: Asked,
    reached: Option<SocketAddr>,
    user: Option<u16>,
}

#[derive(Debug)]
enum Asked {
    Nothing,
    Ip(SocketAddr),
    Name {
        bytes: [u8; NAME_SHOWN_MAX],
        len: usize,
        cut: bool,
        port: u16,
    },
}

impl Record {
    pub(super) fn new(client: SocketAddr, started: Millis) -> Self {
        Self {
            client,
            started,
            asked: Asked::Nothing,
            reached: None,
            user: None,
        }
    }

    pub(super) fn client(&self) -> &SocketAddr {
        &self.client
    }

    #[inline(never)]
    pub(super) fn ip(&self) -> IpAddr {
        self.client.ip()
    }

    #[inline(never)]
    pub(super) fn source(&self) -> Source {
        Source::from(self.client.ip())
    }

    pub(super) fn set_user(&mut self, user: Option<u16>) {
        self.user = user;
    }

    pub(super) fn set_reached(&mut self, reached: SocketAddr) {
        self.reached = Some(reached);
    }

    pub(super) fn set_asked(&mut self, request: &Request) {
        self.asked = match &request.address {
            Address::Ip(addr) => Asked::Ip(SocketAddr::new(*addr, request.port)),
            Address::Name(name) => {
                let name = name.as_bytes();
                let len = name.len().min(NAME_SHOWN_MAX);
                let mut bytes = [0; NAME_SHOWN_MAX];
                bytes[..len].copy_from_slice(&name[..len]);
                let cut = len < name.len();
                Asked::Name {
                    bytes,
                    len,
                    cut,
                    port: request.port,
                }
            }
        };
    }

    /// Follows a change of the users: who the client is, by name.
    pub(super) fn rename_user(&mut self, old: &Users, new: &Users) {
        self.user = self.user.and_then(|user| new.index_of(old.name(user)));
    }

    /// Writes the line of a finished session. Who never got to a request is only worth a
    /// line when debugging, or when a password was wrong.
    pub(super) fn log(
        &self,
        key: Key,
        moved: (u64, u64),
        reason: Reason,
        now: Millis,
        users: &Users,
    ) {
        let told = !matches!(self.asked, Asked::Nothing) || reason == Reason::BadLogin;
        let level = if told { Level::Info } else { Level::Debug };
        self.line(level, key, moved, &reason, now, users);
    }

    /// Writes a line of the report of living sessions.
    pub(super) fn describe(&self, key: Key, moved: (u64, u64), now: Millis, users: &Users) {
        self.line(Level::Info, key, moved, &"open", now, users);
    }

    fn line(
        &self,
        level: Level,
        key: Key,
        (up, down): (u64, u64),
        outcome: &dyn fmt::Display,
        now: Millis,
        users: &Users,
    ) {
        let tenths = (now - self.started) / 100;
        say(
            level,
            format_args!(
                "#{}.{} {}{} -> {}{}, {up}/{down} bytes, {}.{} s, {outcome}",
                key.index(),
                key.generation(),
                self.client,
                Named(self.user, users),
                self.asked,
                Reached(self.reached),
                tenths / 10,
                tenths % 10,
            ),
        );
    }
}

impl fmt::Display for Asked {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Nothing => f.write_str("nothing"),
            Self::Ip(addr) => addr.fmt(f),
            Self::Name {
                bytes,
                len,
                cut,
                port,
            } => {
                // Escaped: what a client sends must not steer a terminal or forge a line.
                let shown = bytes[..*len].escape_ascii();
                let dots = if *cut { "..." } else { "" };
                write!(f, "{shown}{dots}:{port}")
            }
        }
    }
}

struct Reached(Option<SocketAddr>);

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |addr| write!(f, " ({addr})"))
    }
}

struct Named<'a>(Option<u16>, &'a Users);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |user| {
            write!(f, " as {}", self.1.name(user).escape_ascii())
        })
    }
}
