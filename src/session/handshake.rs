//! The handshake: bytes in, answers out, until the request is there.

use std::mem;

use super::client::{Client, Outbox, Received};
use super::context::Context;
use super::exchange::{Asked, Exchange};
use super::http::HttpHead;
use super::inbox::Inbox;
use super::outcome::{End, Heard, Reason};
use super::shared::{Alarm, Class};
use crate::net::Net;
use crate::state::auth::Trust;
use crate::state::handshake::{self, Dialect, Progress, Stage};
use crate::state::logins::Delay;
use crate::wire::Reader;
use crate::wire::socks::Login;

/// How far a handshake has come.
#[derive(Debug)]
pub(super) enum Handshake {
    /// Nothing has come yet: the first byte decides the dialect.
    Start,
    /// SOCKS5 or SOCKS4, at that stage.
    Socks(Stage),
    /// The head of an HTTP request.
    Http(HttpHead),
    /// A login is complete and waits for its verdict; its bytes are where they came.
    Verdict(Option<HttpHead>),
    /// It is over already: this request is sent once more.
    Again(Option<Box<Exchange>>),
}

impl Handshake {
    /// Feeds what has come, and reads more, until the request is there; returns that, or `None`
    /// while bytes are missing.
    pub(super) fn turn<N: Net>(
        &mut self,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
        cx: &mut Context<'_, N>,
    ) -> Result<Option<Asked>, End> {
        // Bounded: each round consumes a message of the inbox, or reads, and without bytes
        // to read it returns.
        loop {
            let stage = match self {
                Self::Start => {
                    let bytes = inbox.unread();
                    let mut protocols = cx.shared.auth.protocols;
                    if !protocols.http && protocols.status {
                        // Its head is read, and nothing but the report answered.
                        protocols.http = cx.client.own_ip().is_some();
                    }
                    if let Some(dialect) = Dialect::of(bytes, protocols) {
                        outbox.dialect = dialect;
                        cx.client.dialect = Some(dialect);
                        *self = Self::first(dialect);
                    } else if !listen(inbox, outbox, cx.client)? {
                        return Ok(None);
                    }
                    continue;
                }
                Self::Socks(stage) => *stage,
                Self::Http(head) => match head.turn(inbox, cx)? {
                    Heard::Part => return Ok(None),
                    Heard::Login(delay) => {
                        let head = mem::take(head);
                        self.wait(Some(head), delay, cx);
                        continue;
                    }
                    Heard::Request(asked) => {
                        cx.shared.leave_logins(cx.client.client_key, cx.client.key);
                        return Ok(Some(asked));
                    }
                },
                Self::Verdict(head) => {
                    outbox.flush(cx.client)?;
                    listen_on(head.as_ref(), inbox, cx.client)?;
                    return Ok(None);
                }
                Self::Again(exchange) => {
                    return Ok(exchange
                        .take()
                        .map(|exchange| Asked::Forward(exchange, true)));
                }
            };
            let bytes = inbox.unread();
            let (used, progress) = handshake::feed(
                stage,
                bytes,
                cx.client.asker(),
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
                    cx.client.record.set_user(user, &mut cx.shared.auth);
                    cx.shared.leave_logins(cx.client.client_key, cx.client.key);
                    *self = Self::Socks(Stage::Request);
                }
                Progress::Wait(delay) => self.wait(None, delay, cx),
                Progress::Done(request) => {
                    if stage == Stage::Socks4 {
                        name(cx);
                    }
                    return Ok(Some(Asked::Tunnel(request)));
                }
                Progress::Refuse(refuse) => return Err(refuse.into()),
            }
        }
    }

    /// The login waits: for as long as that takes, and not against the time of the handshake.
    fn wait<N: Net>(
        &mut self,
        head: Option<HttpHead>,
        delay: Option<Delay>,
        cx: &mut Context<'_, N>,
    ) {
        *self = Self::Verdict(head);
        cx.shared.arm(cx.client.key, Class::Verdict);
        if let Some(delay) = delay {
            cx.shared.arm_alarm(cx.client.key, Alarm::from(delay));
        }
    }

    /// The verdict is due: the login is read and judged at the next turn.
    pub(super) fn resume<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        *self = match self {
            Self::Verdict(Some(head)) => Self::Http(mem::take(head)),
            _ => Self::Socks(Stage::Login),
        };
        cx.shared.arm(cx.client.key, Class::Handshake);
    }

    /// How a handshake in that dialect begins.
    fn first(dialect: Dialect) -> Self {
        match dialect {
            Dialect::Socks5 => Self::Socks(Stage::Greeting),
            Dialect::Socks4 => Self::Socks(Stage::Socks4),
            Dialect::Http => Self::Http(HttpHead::default()),
        }
    }
}

/// A request of SOCKS4 names nobody: its client is whoever has authenticated at that address.
fn name<N: Net>(cx: &mut Context<'_, N>) {
    let ip = cx.client.asker().ip();
    if let Trust::As(user) = cx.shared.auth.trust(ip, cx.shared.now) {
        cx.client.record.set_user(Some(user), &mut cx.shared.auth);
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
    if inbox.has_ended() {
        return Err(End::close(Reason::ClientLeft));
    }
    match inbox.read(client)? {
        Received::Bytes(_) => Ok(true),
        Received::Nothing => Ok(false),
        Received::End => Err(End::close(Reason::ClientLeft)),
    }
}

/// Reads on behind a login that waits, to learn when its client has left: its end of stream with
/// nothing behind the login. Behind a request of HTTP (`head`) it is a half-close.
fn listen_on<N: Net>(
    head: Option<&HttpHead>,
    inbox: &mut Inbox,
    client: &mut Client<N>,
) -> Result<(), End> {
    if head.is_some_and(HttpHead::is_long) {
        return Ok(());
    }
    inbox.read_on(client)?;
    if head.is_some() || !inbox.has_ended() {
        return Ok(());
    }
    let mut reader = Reader::new(inbox.unread());
    let _ = Login::read(&mut reader);
    if reader.consumed() == inbox.unread().len() {
        return Err(End::close(Reason::ClientLeft));
    }
    Ok(())
}
