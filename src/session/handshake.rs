//! The handshake: bytes in, answers out, until the request is there.

use super::client::{Client, Outbox, Received};
use super::context::Context;
use super::http::{self, HttpRequest};
use super::inbox::Inbox;
use super::outcome::{End, Reason};
use crate::net::Net;
use crate::state::handshake::{self, Dialect, Progress, Stage};
use crate::wire::socks::Request;

/// How far a handshake has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Handshake {
    /// Nothing has come yet: the first byte decides the dialect.
    Start,
    /// SOCKS5 or SOCKS4, at that stage.
    Socks(Stage),
    /// The head of an HTTP request.
    Http,
}

impl Handshake {
    /// Feeds what has come, and reads more, until the request is there; returns that, or `None`
    /// while bytes are missing.
    pub(super) fn turn<N: Net>(
        &mut self,
        http: &mut Option<Box<HttpRequest>>,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
        cx: &mut Context<'_, N>,
    ) -> Result<Option<Request>, End> {
        // Bounded: each round consumes a message of the inbox, or reads, and without bytes
        // to read it returns.
        loop {
            let stage = match *self {
                Self::Start => {
                    let bytes = inbox.unread();
                    if let Some(dialect) = Dialect::of(bytes, cx.shared.auth.protocols) {
                        outbox.dialect = dialect;
                        *self = Self::first(dialect);
                    } else if !listen(inbox, outbox, cx.client)? {
                        return Ok(None);
                    }
                    continue;
                }
                Self::Socks(stage) => stage,
                Self::Http => return http::turn(http, inbox, cx),
            };
            let bytes = inbox.unread();
            let (used, progress) = handshake::feed(
                stage,
                bytes,
                cx.client.ip(),
                &mut cx.shared.auth,
                cx.shared.now,
            );
            inbox.consume(used);
            match progress {
                Progress::More => {
                    if !listen(inbox, outbox, cx.client)? {
                        return Ok(None);
                    }
                }
                Progress::Reply(reply, next) => {
                    outbox.put(&reply);
                    *self = Self::Socks(next);
                }
                Progress::Granted(reply, user) => {
                    outbox.put(&reply);
                    cx.client.record.set_user(user);
                    *self = Self::Socks(Stage::Request);
                }
                Progress::Done(request) => return Ok(Some(request)),
                Progress::Refuse(refuse) => return Err(refuse.into()),
            }
        }
    }

    /// How a handshake in that dialect begins.
    fn first(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Socks5 => Self::Socks(Stage::Greeting),
            Dialect::Socks4 => Self::Socks(Stage::Socks4),
            Dialect::Http => Self::Http,
        }
    }
}

/// Writes what is to be said and reads once. Returns `true` if something new has come.
fn listen<N: Net>(
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    client: &mut Client<N>,
) -> Result<bool, End> {
    if !outbox.flush(client)? {
        return Ok(false);
    }
    match inbox.read(client)? {
        Received::Bytes(_) => Ok(true),
        Received::Nothing => Ok(false),
        Received::End => Err(End::close(Reason::ClientLeft)),
    }
}
