//! What is remembered of a session for its log line. Bounded, because every idle tunnel has one.

use std::fmt;
use std::mem;
use std::net::{IpAddr, SocketAddr};

use super::outcome::Reason;
use super::totals::Moved;
use crate::log::{Level, log};
use crate::net::Millis;
use crate::state::auth::Auth;
use crate::state::handshake::Dialect;
use crate::state::slots::Key;
use crate::state::users::{UserId, Users};
use crate::wire::Shown;
use crate::wire::json::Quoted;
use crate::wire::socks::{Address, Request};

/// How much of a name the log shows. Longer ones are cut: they are not worth a tunnel's memory.
const NAME_SHOWN_MAX: usize = 64;

/// The session, and what its client speaks.
pub(super) type Who = (Key, Option<Dialect>);

/// Who came, what was asked for, what was reached, and when.
#[derive(Debug)]
pub(super) struct Record {
    client: SocketAddr,
    started: Millis,
    /// The address that was asked for, if it was one.
    ip: Option<IpAddr>,
    /// Or the name, as far as it is shown.
    name: [u8; NAME_SHOWN_MAX],
    /// The length of the whole name, 0 without one.
    name_len: u8,
    port: u16,
    reached: Option<SocketAddr>,
    user: Option<UserId>,
}

impl Record {
    pub(super) fn new(client: SocketAddr, started: Millis) -> Self {
        Self {
            client,
            started,
            ip: None,
            name: [0; NAME_SHOWN_MAX],
            name_len: 0,
            port: 0,
            reached: None,
            user: None,
        }
    }

    pub(super) fn client(&self) -> &SocketAddr {
        &self.client
    }

    /// Who asks. Returns `true` if it is the same one as before.
    pub(super) fn set_user(&mut self, user: Option<UserId>, auth: &mut Auth) -> bool {
        let before = mem::replace(&mut self.user, user);
        if let Some(user) = user {
            let usage = auth.usage_mut(user);
            usage.sessions = usage.sessions.wrapping_add(1);
        }
        if let Some(user) = before {
            let usage = auth.usage_mut(user);
            usage.sessions = usage.sessions.wrapping_sub(1);
        }
        before == user
    }

    /// Who asks.
    pub(super) fn user(&self) -> Option<UserId> {
        self.user
    }

    /// A request is over, and the client's connection waits for the next one, as the same user or
    /// not.
    pub(super) fn rest(&mut self, now: Millis) {
        let user = self.user;
        *self = Self::new(self.client, now);
        self.user = user;
    }

    pub(super) fn set_reached(&mut self, reached: SocketAddr) {
        self.reached = Some(reached);
    }

    pub(super) fn set_asked(&mut self, request: &Request) {
        self.port = request.port;
        match &request.address {
            Address::Ip(addr) => self.ip = Some(*addr),
            Address::Name(name) => {
                let name = name.as_bytes();
                self.name_len = u8::try_from(name.len()).expect("a name has 253 bytes at most");
                for (shown, byte) in self.name.iter_mut().zip(name) {
                    *shown = *byte;
                }
            }
        }
    }

    /// Returns `true` unless the client's user is none any more after a change of the users.
    pub(super) fn keeps_user(&self, old: &Users, new: &Users) -> bool {
        self.user
            .is_none_or(|user| new.find(old.name(user)).is_some())
    }

    /// Follows a change of the users: who the client is, by name.
    pub(super) fn rename_user(&mut self, old: &Users, new: &Users) {
        self.user = self.user.and_then(|user| new.find(old.name(user)));
    }

    /// Returns `true` if there was a request.
    fn is_asked(&self) -> bool {
        self.ip.is_some() || self.name_len != 0
    }

    /// The level of the line of a session that ends so. Who never got to a request is only worth
    /// a line when debugging, or when a password was wrong.
    pub(super) fn level(&self, reason: Reason, quiet: bool) -> Level {
        let told = self.is_asked() || reason == Reason::BadLogin;
        if told && !(quiet && reason.is_usual()) {
            Level::Info
        } else {
            Level::Debug
        }
    }

    /// What the report says of it.
    pub(super) fn shown<'a>(&'a self, users: &'a Users, now: Millis) -> impl fmt::Display + 'a {
        InJson(self, users, now)
    }

    /// Writes the line of a session that has come to that.
    pub(super) fn line(
        &self,
        level: Level,
        (key, dialect): Who,
        moved: Moved,
        outcome: &dyn fmt::Display,
        now: Millis,
        users: &Users,
    ) {
        let tenths = (now - self.started) / 100;
        // Whatever made no sense has no name.
        let dialect = dialect.filter(|_| self.is_asked());
        let (dialect, blank) = dialect.map_or(("", ""), |dialect| (dialect.name(), " "));
        log(
            level,
            format_args!(
                "#{}.{} {dialect}{blank}{}{} -> {}{}, {}/{} bytes, {}.{} s, {outcome}",
                key.index(),
                key.generation(),
                self.client,
                Named(self.user, users),
                Asked(self),
                Reached(self.reached),
                moved.up_bytes,
                moved.down_bytes,
                tenths / 10,
                tenths % 10,
            ),
        );
    }
}

/// What was asked for.
struct Asked<'a>(&'a Record);

impl fmt::Display for Asked<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let record = self.0;
        // An association is asked for with the address that the client will send from, if it knows.
        if record.ip.is_some_and(|ip| ip.is_unspecified()) && record.port == 0 {
            return f.write_str("UDP");
        }
        if let Some(addr) = record.ip {
            return SocketAddr::new(addr, record.port).fmt(f);
        }
        if record.name_len == 0 {
            return f.write_str("nothing");
        }
        let len = usize::from(record.name_len);
        let (shown, dots) = match record.name.get(..len) {
            Some(shown) => (shown, ""),
            None => (&record.name[..], "..."),
        };
        write!(f, "{}{dots}:{}", Shown(shown), record.port)
    }
}

struct Reached(Option<SocketAddr>);

impl fmt::Display for Reached {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.map_or(Ok(()), |addr| write!(f, " ({addr})"))
    }
}

struct Named<'a>(Option<UserId>, &'a Users);

impl fmt::Display for Named<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0
            .map_or(Ok(()), |user| write!(f, " as {}", Shown(self.1.name(user))))
    }
}

/// Some members of an object of JSON.
struct InJson<'a>(&'a Record, &'a Users, Millis);

impl fmt::Display for InJson<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self(record, users, now) = self;
        let user = record.user.map(|user| Shown(users.name(user)));
        let asked = record.is_asked().then_some(Asked(record));
        write!(
            f,
            "\"user\":{},\"client\":{},\"asked\":{},\"reached\":{},\"age\":{}",
            Quoted(user.as_ref().map(|user| user as _)),
            Quoted(Some(&record.client)),
            Quoted(asked.as_ref().map(|asked| asked as _)),
            Quoted(record.reached.as_ref().map(|reached| reached as _)),
            (now - record.started) / 1000,
        )
    }
}
