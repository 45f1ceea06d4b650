//! HTTP on the same port: a request head in, a tunnel or a request to be forwarded out.
//!
//! A head is read where the handshake is, as most of them fit there. A longer one moves into an
//! entry of a small table, of 8 KiB, and one that is longer still into one of a smaller table. What
//! comes behind it is never more than the handshake has room for.

use super::client::{Client, Received};
use super::context::Context;
use super::exchange::{Asked, Exchange};
use super::inbox::{INBOX_BYTES, Inbox};
use super::outcome::{End, Heard, Reason};
use crate::net::Net;
use crate::state::auth::{Trust, Verdict};
use crate::state::clients::Table;
use crate::state::handshake::Refuse;
use crate::wire::http::{Fault, HEAD_MAX, Head, HeadReader, LOGIN_MAX, STATUS_LINE};
use crate::wire::socks::Address;

/// Bytes for a target that may wait outside of the table of heads until there is a connection:
/// as many as nearly all requests of browsers have, cookies included.
const WAITING_MAX: usize = 2048;

/// An entry of the table of heads: as much as most servers take.
const ENTRY_BYTES: usize = 8192;

/// A request head that is being read.
#[derive(Debug, Default)]
pub(super) struct HttpHead {
    reader: HeadReader,
    /// All of it, once it is longer than the inbox.
    long: Vec<u8>,
}

impl HttpHead {
    /// Reads the head until it is complete and judged. Without one in hand it begins with what
    /// `inbox` holds, which then holds what lies behind it.
    pub(super) fn turn<N: Net>(
        &mut self,
        inbox: &mut Inbox,
        cx: &mut Context<'_, N>,
    ) -> Result<Heard, End> {
        // Bounded: each round reads at least one byte of at most `HEAD_MAX`.
        loop {
            let bytes = if self.is_long() {
                &self.long
            } else {
                inbox.unread()
            };
            // However it is refused, and whether all of it has come or not.
            cx.client.asks_for_head = bytes.starts_with(b"HEAD ");
            let status = cx.shared.auth.protocols.status && bytes.starts_with(STATUS_LINE);
            self.reader.takes_status = status && cx.client.own_ip().is_some();
            let head = self.reader.advance(bytes);
            if let Some(head) = head.map_err(Refuse::from)? {
                let heard = judge(&head, cx)?;
                let len = head.len;
                match &heard {
                    // It is read again when its turn has come.
                    Heard::Login(_) => self.reader = HeadReader::default(),
                    _ => {
                        cx.shared.leave_logins(cx.client.client_key, cx.client.key);
                        self.leave(len, &heard, inbox, cx);
                    }
                }
                return Ok(heard);
            }
            if !self.read(inbox, cx)? {
                return Ok(Heard::Part);
            }
        }
    }

    /// Returns `true` if it is in an entry of the table: what comes behind it waits in the system.
    pub(super) fn is_long(&self) -> bool {
        !self.long.is_empty()
    }

    /// Reads once. Returns `true` if something has come.
    fn read<N: Net>(&mut self, inbox: &mut Inbox, cx: &mut Context<'_, N>) -> Result<bool, End> {
        if inbox.has_ended() {
            return Err(End::close(Reason::ClientLeft));
        }
        let received = if !self.is_long() && inbox.has_room() {
            inbox.read(cx.client)?
        } else {
            self.grow(inbox, cx)?;
            self.read_on(cx.client)?
        };
        match received {
            Received::Bytes(_) => Ok(true),
            Received::Nothing => Ok(false),
            Received::End => Err(End::close(Reason::ClientLeft)),
        }
    }

    /// Makes room for more of a head that is longer than what it is in.
    fn grow<N: Net>(&mut self, inbox: &mut Inbox, cx: &mut Context<'_, N>) -> Result<(), End> {
        let room = match self.long.len() {
            0 => {
                cx.shared.take(Table::Heads, cx.client.key)?;
                ENTRY_BYTES
            }
            ENTRY_BYTES => {
                if cx.shared.take(Table::LongHeads, cx.client.key).is_err() {
                    return Err(Refuse::Http(Fault::NoRoom).into());
                }
                HEAD_MAX
            }
            _ => return Ok(()),
        };
        self.long.reserve_exact(room - self.long.len());
        self.long.extend(inbox.unread());
        inbox.truncate(0);
        Ok(())
    }

    /// Reads once into its entry, no more than the inbox has room for.
    fn read_on<N: Net>(&mut self, client: &mut Client<N>) -> Result<Received, End> {
        let mut bytes = [0; INBOX_BYTES];
        let room = match self.long.len() {
            len @ ..ENTRY_BYTES => ENTRY_BYTES - len,
            len => HEAD_MAX - len,
        };
        let received = client.read(&mut bytes[..room.min(INBOX_BYTES)])?;
        if let Received::Bytes(len) = received {
            self.long.extend(&bytes[..len]);
        }
        Ok(received)
    }

    /// The head has been judged, and has `len` bytes: what is behind it stays in the inbox, and its
    /// entry goes back, unless the head that goes on is long too.
    fn leave<N: Net>(
        &mut self,
        len: usize,
        heard: &Heard,
        inbox: &mut Inbox,
        cx: &mut Context<'_, N>,
    ) {
        if self.is_long() {
            let fits = inbox.refill(&self.long[len..]);
            debug_assert!(fits, "no more is read at once");
            self.long = Vec::new();
        } else {
            inbox.consume(len);
        }
        let waiting = match heard {
            Heard::Request(Asked::Forward(exchange, _)) => exchange.head.len(),
            _ => 0,
        };
        if waiting <= WAITING_MAX {
            cx.shared.give(Table::Heads, cx.client.key);
        }
        if waiting <= ENTRY_BYTES {
            cx.shared.give(Table::LongHeads, cx.client.key);
        }
    }
}

/// Judges a head that is complete: who asks, and for what.
fn judge<N: Net>(head: &Head<'_>, cx: &mut Context<'_, N>) -> Result<Heard, Refuse> {
    if head.is_status {
        return judge_status(head, cx.client);
    }
    if !cx.shared.auth.protocols.http {
        return Err(Refuse::Protocol);
    }
    let (asker, auth, now) = (cx.client.asker(), &mut cx.shared.auth, cx.shared.now);
    let user = match auth.trust(asker.ip(), now) {
        Trust::As(user) => Some(user),
        Trust::Open => None,
        Trust::No => {
            let mut room = [0; LOGIN_MAX];
            let asks = Refuse::Http(Fault::NoLogin);
            match auth.login(asker, head.login(&mut room).ok_or(asks)?, now) {
                Verdict::Granted(user) => user,
                Verdict::Refused => return Err(Refuse::Login),
                Verdict::Wait(delay) => return Ok(Heard::Login(delay)),
            }
        }
    };
    // Users have numbers only until they are read anew: the record is where that is followed.
    let is_same_user = cx.client.record.set_user(user, &mut cx.shared.auth);
    if let Some(answer) = head.answered_here() {
        return Ok(Heard::Request(Asked::Proxy(answer)));
    }
    Ok(Heard::Request(match head.forwarded() {
        Some(forwarded) => Asked::Forward(Box::new(Exchange::new(head, forwarded)), is_same_user),
        None => Asked::Tunnel(head.request.clone()),
    }))
}

/// Judges who asks for the report of the proxy's state. It is for programs of this machine, and
/// not for a page that a browser here has got from elsewhere: such a page can make the name of its
/// own server lead here, and then that name is the Host. It needs no login.
fn judge_status<N: Net>(head: &Head<'_>, client: &Client<N>) -> Result<Heard, Refuse> {
    let is_host = match &head.request.address {
        Address::Ip(ip) => client.own_ip() == Some(*ip),
        Address::Name(name) => name.as_bytes().eq_ignore_ascii_case(b"localhost"),
    };
    if !is_host {
        return Err(Fault::OtherHost.into());
    }
    Ok(Heard::Request(Asked::Report))
}
