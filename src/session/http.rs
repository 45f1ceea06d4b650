//! HTTP on the same port: a request head in, a tunnel or a forwarded request out.
//!
//! The head is read into an entry of a small table of its own, because it is eight times as
//! large as a SOCKS handshake. Once it is read it waits for its target outside of that table, with
//! what lies behind it, unless that is much.

use super::client::{Client, Received};
use super::context::Context;
use super::inbox::Inbox;
use super::outcome::{End, Heard, Reason};
use crate::net::Net;
use crate::state::auth::{Trust, Verdict};
use crate::state::clients::Table;
use crate::state::handshake::Refuse;
use crate::wire::http::{BodyMeter, HEAD_MAX, HeadReader, LOGIN_MAX, MalformedBody, Status};

/// Bytes for a target that may wait outside of the table of heads until there is a connection:
/// as many as nearly all requests of browsers have, cookies included.
const WAITING_MAX: usize = 2048;

/// One HTTP request while it is read and until the target has it.
#[derive(Debug)]
pub(super) struct HttpRequest {
    /// What the client sends: room for a whole head while that is read.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// How far the head has been read.
    head_reader: HeadReader,
    /// The head as the target gets it; empty for CONNECT.
    forwarded: Box<[u8]>,
    forwarded_start: usize,
    /// How much of what follows belongs to the request; `None` for CONNECT, where all does.
    meter: Option<BodyMeter>,
}

impl HttpRequest {
    /// A request that begins with `bytes`. It takes an entry of the table of heads.
    ///
    /// # Errors
    /// All entries are taken, and nobody has to give one.
    fn enter<N: Net>(bytes: &[u8], cx: &mut Context<'_, N>) -> Result<Self, End> {
        cx.shared.take(Table::Heads, cx.client.key)?;
        let mut input = vec![0; HEAD_MAX];
        input[..bytes.len()].copy_from_slice(bytes);
        Ok(Self {
            input: input.into(),
            start: 0,
            end: bytes.len(),
            head_reader: HeadReader::default(),
            forwarded: Box::default(),
            forwarded_start: 0,
            meter: None,
        })
    }

    /// Bytes for the target: the rewritten head, then what came behind the head.
    pub(super) fn unread(&self) -> &[u8] {
        if self.forwarded_start < self.forwarded.len() {
            &self.forwarded[self.forwarded_start..]
        } else {
            &self.input[self.start..self.end]
        }
    }

    /// The target has taken `len` of [`HttpRequest::unread`].
    pub(super) fn consume(&mut self, len: usize) {
        if self.forwarded_start < self.forwarded.len() {
            self.forwarded_start += len;
        } else {
            self.start += len;
        }
    }

    /// The end of the request's body, where it is forwarded.
    pub(super) fn meter(&self) -> Option<BodyMeter> {
        self.meter
    }

    /// Drops what lies behind the body. Returns how many of `inbox_bytes`, which follow, belong to
    /// the body.
    pub(super) fn measure(&mut self, inbox_bytes: &[u8]) -> Result<usize, MalformedBody> {
        let Some(meter) = &mut self.meter else {
            return Ok(inbox_bytes.len());
        };
        self.end = self.start + meter.advance(&self.input[self.start..self.end])?;
        meter.advance(inbox_bytes)
    }

    /// Gives back its entry of the table of heads, if it has one.
    pub(super) fn release<N: Net>(&self, cx: &mut Context<'_, N>) {
        cx.shared.give(Table::Heads, cx.client.key);
    }

    /// Keeps no more memory than the bytes for the target need. Returns `true` if these are so few
    /// that they may wait outside of the table.
    fn shrink(&mut self) -> bool {
        self.input = self.input[self.start..self.end].into();
        (self.start, self.end) = (0, self.input.len());
        self.forwarded.len() + self.input.len() <= WAITING_MAX
    }

    /// Judges what has been read, once the head is complete.
    fn judge<N: Net>(&mut self, cx: &mut Context<'_, N>) -> Result<Heard, Refuse> {
        let head = self.head_reader.advance(&self.input[..self.end]);
        let Some(head) = head.map_err(Refuse::Status)? else {
            return Ok(Heard::Part);
        };
        let (asker, auth, now) = (cx.client.asker(), &mut cx.shared.auth, cx.shared.now);
        let user = match auth.trust(asker.ip(), now) {
            Trust::As(user) => Some(user),
            Trust::Open => None,
            Trust::No => {
                let mut room = [0; LOGIN_MAX];
                let login = head.login(&mut room);
                let login = login.ok_or(Refuse::Status(Status::ProxyAuthenticationRequired))?;
                match auth.login(asker, login, now) {
                    Verdict::Granted(user) => user,
                    Verdict::Refused => return Err(Refuse::Login),
                    Verdict::Wait(delay) => {
                        // It is read again when its turn has come.
                        self.head_reader = HeadReader::default();
                        return Ok(Heard::Login(delay));
                    }
                }
            }
        };
        cx.client.record.set_user(user);
        if let Some(forwarded) = head.forwarded() {
            self.forwarded = forwarded.into();
            self.meter = Some(BodyMeter::new(head.body));
        }
        self.start = head.len;
        Ok(Heard::Request(head.request))
    }

    /// Reads until the head is complete and judged.
    fn read_head<N: Net>(&mut self, cx: &mut Context<'_, N>) -> Result<Heard, End> {
        // Bounded: each round reads at least one byte of at most `HEAD_MAX`.
        loop {
            let heard = self.judge(cx)?;
            if !matches!(heard, Heard::Part) || !self.read(cx.client)? {
                return Ok(heard);
            }
        }
    }

    /// Reads once. Returns `true` if something has come.
    fn read<N: Net>(&mut self, client: &mut Client<N>) -> Result<bool, End> {
        match client.read(&mut self.input[self.end..])? {
            Received::Bytes(len) => self.end += len,
            Received::End => return Err(End::close(Reason::ClientLeft)),
            Received::Nothing => return Ok(false),
        }
        Ok(true)
    }
}

/// Reads the head of the request in `slot`, which begins with what `inbox` holds.
pub(super) fn turn<N: Net>(
    slot: &mut Option<Box<HttpRequest>>,
    inbox: &mut Inbox,
    cx: &mut Context<'_, N>,
) -> Result<Heard, End> {
    let http = match slot {
        Some(http) => http,
        None => {
            let http = HttpRequest::enter(inbox.unread(), cx)?;
            inbox.truncate(0);
            slot.insert(Box::new(http))
        }
    };
    let heard = http.read_head(cx)?;
    if !matches!(heard, Heard::Request(_)) {
        return Ok(heard);
    }
    // The way to the target may take long, and others wait for the entry.
    if http.meter.is_none() && inbox.unread().is_empty() && inbox.refill(http.unread()) {
        // Nothing but the payload is needed any more.
        http.release(cx);
        *slot = None;
    } else if http.shrink() {
        http.release(cx);
    }
    Ok(heard)
}
