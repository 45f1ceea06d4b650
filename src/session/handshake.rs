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
use crate::state::protocols::Protocols;
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
        // Bounded: a dialect is found once, and a login waits for a later turn.
        loop {
            let heard = match self {
                Self::Start => match Dialect::of(inbox.unread(), protocols(cx)) {
                    Some(dialect) => {
                        outbox.dialect = dialect;
                        cx.client.dialect = Some(dialect);
                        *self = Self::first(dialect);
                        continue;
                    }
                    None if listen(inbox, outbox, cx.client)? => continue,
                    None => Heard::Part,
                },
                Self::Socks(stage) => feed(stage, inbox, outbox, cx)?,
                Self::Http(head) => head.turn(inbox, cx)?,
                Self::Verdict(head) => {
                    outbox.flush(cx.client)?;
                    listen_on(head.as_ref(), inbox, cx.client)?;
                    Heard::Part
                }
                Self::Again(exchange) => {
                    return Ok(exchange
                        .take()
                        .map(|exchange| Asked::Forward(exchange, true)));
                }
            };
            match heard {
                Heard::Part => return Ok(None),
                Heard::Login(delay) => self.wait(delay, cx),
                Heard::Request(asked) => return Ok(Some(asked)),
            }
        }
    }

    /// The login waits: for as long as that takes, and not against the time of the handshake.
    fn wait<N: Net>(&mut self, delay: Option<Delay>, cx: &mut Context<'_, N>) {
        *self = Self::Verdict(match self {
            Self::Http(head) => Some(mem::take(head)),
            Self::Start | Self::Socks(_) | Self::Verdict(_) | Self::Again(_) => None,
        });
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

/// The protocols that this client may speak.
fn protocols<N: Net>(cx: &Context<'_, N>) -> Protocols {
    let mut protocols = cx.shared.auth.protocols;
    if !protocols.http && protocols.status {
        // Its head is read, and nothing but the report answered.
        protocols.http = cx.client.own_ip().is_some();
    }
    protocols
}

/// Feeds a handshake of SOCKS at that stage with what has come, and reads more.
fn feed<N: Net>(
    stage: &mut Stage,
    inbox: &mut Inbox,
    outbox: &mut Outbox,
    cx: &mut Context<'_, N>,
) -> Result<Heard, End> {
    // Bounded: each round consumes a message of the inbox, or reads, and without bytes to read it
    // returns.
    loop {
        let (bytes, asker) = (inbox.unread(), cx.client.asker());
        let (auth, now) = (&mut cx.shared.auth, cx.shared.now);
        let (used, progress) = handshake::feed(*stage, bytes, asker, auth, now);
        inbox.consume(used);
        match progress {
            Progress::More => {
                if !listen(inbox, outbox, cx.client)? {
                    return Ok(Heard::Part);
                }
            }
            Progress::Reply(reply, next) => {
                outbox.put(&reply);
                *stage = next;
            }
            Progress::Granted(reply, user) => {
                outbox.put(&reply);
                cx.client.record.set_user(user, &mut cx.shared.auth);
                if *stage == Stage::Login {
                    // Nobody else waits for a verdict.
                    cx.shared.leave_logins(cx.client.client_key, cx.client.key);
                }
                *stage = Stage::Request;
            }
            Progress::Wait(delay) => return Ok(Heard::Login(delay)),
            Progress::Done(request) => {
                if *stage == Stage::Socks4 {
                    name(cx);
                }
                return Ok(Heard::Request(Asked::Tunnel(request)));
            }
            Progress::Refuse(refuse) => return Err(refuse.into()),
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
