//! The end of a client that is refused: an error reply that it gets to read.
//!
//! Closing with unread input makes the kernel send a reset, which can destroy the reply before
//! the client reads it. So: reply, FIN, then discard for a while (RFC 1928 §6 asks to close
//! within ten seconds). The same behind an answer that is complete, where the client still
//! sends what nobody reads.

use std::mem;
use std::net::Ipv4Addr;

use super::client::{Client, Outbox, READS_PER_TURN};
use super::context::Context;
use super::outcome::{End, Next, Reason, Wake};
use super::report::{Part, Report};
use super::shared::Class;
use super::totals::Moved;
use crate::net::{Millis, Net, Stream};
use crate::state::clients::Table;
use crate::state::handshake::{self, Dialect, Refuse};
use crate::state::peer::{DISCARD_MAX, Gone};
use crate::state::pool::Buffers;
use crate::wire::socks4;

/// How long the input of an HTTP client is discarded while it comes: many write all of a body before
/// they read why it is refused. As squid does it.
pub(super) const DRAIN_MS: Millis = 30_000;

/// A client's connection behind the end of its session, until the client has read its reply.
#[derive(Debug)]
pub(super) struct Linger {
    /// What was said before and is not delivered yet.
    outbox: Outbox,
    /// What the last reply says; `None`: there is none.
    refuse: Option<Refuse>,
    /// The last reply where it is more than that: an answer of the proxy itself.
    answer: Vec<u8>,
    /// Or the report, until all of it has gone out.
    pub(super) report: Option<Report>,
    reason: Reason,
    /// How much of the last reply has gone out.
    sent: usize,
    is_shut: bool,
    discarded: usize,
    /// When it ends, however much still comes.
    until: Millis,
    moved: Moved,
}

impl Linger {
    /// The end of a session that was refused for `reason`, or has had its answer. What the outbox
    /// holds goes first, then the answer, if there is one; `moved` was carried before. An HTTP
    /// client may send on `until` then.
    pub(super) fn new(
        refuse: Option<Refuse>,
        reason: Reason,
        (outbox, answer): (Outbox, Vec<u8>),
        moved: Moved,
        until: Millis,
    ) -> Self {
        Self {
            outbox,
            refuse,
            answer,
            report: None,
            reason,
            sent: 0,
            // Who has had its answer has had our end of stream with it.
            is_shut: refuse.is_none(),
            discarded: 0,
            until,
            moved,
        }
    }

    /// Why the client was refused, or its tunnel has ended.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// What a tunnel had moved before this.
    pub(super) fn moved(&self) -> Moved {
        self.moved
    }

    /// Sends the last reply, then discards until the client has closed too, or the time is over.
    pub(super) fn turn<N: Net>(
        &mut self,
        wake: Wake<'_>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if let Wake::Timeout = wake {
            return Err(End::close(self.reason_or(Reason::HalfCloseTimeout)));
        }
        if self.report.is_some() {
            return self.send_report(cx);
        }
        let discarded = self.deliver(cx.client, &mut cx.shared.pool.buffers);
        if !discarded.map_err(|Gone| End::close(self.reason))? {
            return Ok(Next::Wait);
        }
        if self.is_http() {
            // It goes on as long as something comes.
            if cx.shared.now >= self.until {
                return Err(End::close(self.reason));
            }
            cx.shared.arm(cx.client.key, Class::Linger);
        }
        let is_more = cx.client.peer.ready.readable && self.allowance() > 0;
        Ok(if is_more { Next::Yield } else { Next::Wait })
    }

    /// Why it ends early, for that reason: behind a reply that is not what counts.
    pub(super) fn reason_or(&self, reason: Reason) -> Reason {
        match &self.report {
            Some(_) => reason,
            None => self.reason,
        }
    }

    /// Sends what is there of the report. Who takes nothing of it has as much time as behind the
    /// end of one side of a tunnel.
    fn send_report<N: Net>(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        let Some(report) = &mut self.report else {
            return Ok(Next::Go);
        };
        let before = self.sent;
        let is_sent = cx
            .client
            .peer
            .send(report.text.as_bytes(), &mut self.sent)
            .map_err(|Gone| End::close(Reason::ClientReset))?;
        if self.sent > before {
            cx.shared.arm(cx.client.key, Class::HalfClosed);
        }
        if !is_sent {
            return Ok(Next::Wait);
        }
        if report.next != Part::End {
            self.sent = 0;
            return Ok(Next::Report);
        }
        (self.report, self.refuse) = (None, None);
        cx.shared.give(Table::Reports, cx.client.key);
        cx.shared.arm(cx.client.key, Class::Linger);
        Ok(Next::Go)
    }

    fn is_http(&self) -> bool {
        self.outbox.dialect == Dialect::Http
    }

    /// How much more may be discarded: of an HTTP client time alone is the bound.
    fn allowance(&self) -> usize {
        if self.is_http() {
            usize::MAX
        } else {
            DISCARD_MAX.saturating_sub(self.discarded)
        }
    }

    /// Goes as far as one turn may. Returns `true` if it has discarded something. An error: the
    /// client has gone.
    fn deliver<N: Net>(
        &mut self,
        client: &mut Client<N>,
        buffers: &mut Buffers,
    ) -> Result<bool, Gone> {
        if !self.reply(client)? {
            return Ok(false);
        }
        let peer = &mut client.peer;
        if !mem::replace(&mut self.is_shut, true) {
            peer.stream.shutdown_write().map_err(|_| Gone)?;
        }
        let scratch = buffers.scratch();
        let bytes_max = self.allowance().min(READS_PER_TURN * scratch.len());
        let discarded = peer.discard(scratch, bytes_max)?;
        self.discarded = self.discarded.saturating_add(discarded);
        Ok(discarded > 0)
    }

    /// Sends what is left of the last reply. Returns `true` if the client has taken everything.
    fn reply<N: Net>(&mut self, client: &mut Client<N>) -> Result<bool, Gone> {
        if !self.outbox.flush(client).map_err(|_| Gone)? {
            return Ok(false);
        }
        let Some(refuse) = self.refuse else {
            return Ok(true);
        };
        let peer = &mut client.peer;
        // In the client's dialect, and the same each time.
        match self.outbox.dialect {
            Dialect::Socks5 => peer.send(handshake::refusal(refuse).as_bytes(), &mut self.sent),
            Dialect::Socks4 => {
                let nowhere = (Ipv4Addr::UNSPECIFIED, 0).into();
                peer.send(&socks4::reply(false, nowhere), &mut self.sent)
            }
            Dialect::Http => {
                if !self.answer.is_empty() {
                    return peer.send(&self.answer, &mut self.sent);
                }
                let words;
                let cause = match refuse {
                    Refuse::Http(fault) | Refuse::BadAnswer(fault) => fault.cause(),
                    _ => {
                        words = format!("{}", self.reason);
                        &words
                    }
                };
                let status = self.reason.status(refuse);
                let response = status.response(cause, client.asks_for_head);
                peer.send(response.as_bytes(), &mut self.sent)
            }
        }
    }
}
