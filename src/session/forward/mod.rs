//! A forwarded request: it goes up, its answer comes down, one exchange at a time.
//!
//! ```text
//! up     head and early body, then the rest of the body
//! down   interim answers, then the head of the answer, then its body
//! ```
//!
//! Both bodies are measured, so that nothing of one message passes for another's. An exchange whose
//! two ends both go on leads to an idle pair; one whose kept connection has died before any answer,
//! to another opening, once; one that has changed its protocol, to a tunnel.

mod head;

use std::mem;

use super::context::Context;
use super::exchange::Exchange;
use super::outcome::{End, Next, Reason, Wake};
use super::pair::{Kept, Link, Pair};
use super::silence::Silence;
use super::totals::Moved;
use crate::net::{Event, Net, Stream};
use crate::state::clients::Table;
use crate::state::handshake::Refuse;
use crate::state::peer::{Gone, Peer, RESET_BEHIND_END, Ready};
use crate::state::transfer::{Carried, Stopped, Transfer};
use crate::wire::http::Fault;

/// A request on its way, and its answer.
#[derive(Debug)]
pub(super) struct Forward<S> {
    link: Link<S>,
    exchange: Exchange,
    /// How much of its head has gone out.
    sent: usize,
    up: Transfer,
    down: Down,
    /// A head for the client, and how much of it has gone out.
    told: Vec<u8>,
    told_sent: usize,
    /// What has been read of the head of an answer; the rest of it waits in the system.
    partial: Vec<u8>,
    /// How much of that head has been looked at, read or not.
    looked: usize,
    /// What the client has sent behind the request.
    early: Vec<u8>,
    /// The client's end of stream has been read.
    client_ended: bool,
    /// The target's connection is broken: nothing more goes up.
    is_cut: bool,
    /// Its end of stream had come before.
    is_cut_behind_end: bool,
    /// The target's connection goes on behind the answer.
    keeps: bool,
    /// Bytes of heads.
    heads: Moved,
    silence: Silence,
}

/// What comes from the target next.
#[derive(Debug)]
enum Down {
    /// The head of an answer.
    Head,
    /// Its body.
    Body(Transfer),
    /// Nothing: the connection changes its protocol.
    Tunnel,
}

impl<S: Stream> Forward<S> {
    /// The exchange on that connection. The head has what of the body has come along; `up` is the
    /// rest of it, and `early` what follows, with the client's end of stream or not.
    pub(super) fn new(
        link: Link<S>,
        exchange: Exchange,
        up: Transfer,
        early: (Vec<u8>, bool),
    ) -> Self {
        let (early, client_ended) = early;
        Self {
            link,
            exchange,
            sent: 0,
            up,
            down: Down::Head,
            told: Vec::new(),
            told_sent: 0,
            partial: Vec::new(),
            looked: 0,
            early,
            client_ended,
            is_cut: false,
            is_cut_behind_end: false,
            keeps: false,
            heads: Moved::default(),
            silence: Silence::default(),
        }
    }

    /// Moves what can be moved, one scratch buffer per direction at most.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        wake: Wake<'_>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if let Wake::Timeout = wake {
            return Err(self.give_up(self.silence.reason()));
        }
        if let Some(error) = self.link.target.broken_by() {
            (self.is_cut, self.is_cut_behind_end) = (true, error == RESET_BEHIND_END);
        }
        let before = self.moved();
        let up = self.send(cx)?;
        let next = self.receive(cx)?;
        let after = self.moved();
        let moved = after.up_bytes + after.down_bytes - before.up_bytes - before.down_bytes;
        let is_half = self.up.is_done() && (self.client_ended || cx.client.peer.ready.ended);
        self.silence.note(moved, is_half, cx);
        Ok(match next {
            Next::Wait if up == Carried::More => Next::Yield,
            next => next,
        })
    }

    /// Sends what the target takes of the request.
    fn send<N: Net<Stream = S>>(&mut self, cx: &mut Context<'_, N>) -> Result<Carried, End> {
        if self.is_cut {
            return Ok(Carried::Blocked);
        }
        let before = self.sent;
        let is_sent = self.link.target.send(&self.exchange.head, &mut self.sent);
        self.heads.up_bytes += (self.sent - before) as u64;
        let is_sent = is_sent.unwrap_or_else(|Gone| {
            self.is_cut = true;
            false
        });
        if !is_sent {
            return Ok(Carried::Blocked);
        }
        if !self.exchange.head.is_empty() && !self.may_repeat() {
            self.forget(cx);
        }
        let peer = &mut cx.client.peer;
        let carried = self
            .up
            .pump(peer, &mut self.link.target, &mut cx.shared.pool.buffers);
        match carried {
            Ok(carried) => Ok(carried),
            // The answer may still be there.
            Err(stopped @ (Stopped::Sink | Stopped::EndedSink)) => {
                self.is_cut = true;
                self.is_cut_behind_end = stopped == Stopped::EndedSink;
                Ok(Carried::Blocked)
            }
            Err(Stopped::Source) => Err(End::close(Reason::ClientReset)),
            Err(stopped) => {
                let fault = match stopped {
                    Stopped::Cut => Fault::CutBody,
                    _ => Fault::Chunks,
                };
                // A part of a request must not pass for the whole.
                self.abort_target();
                Err(match self.is_untold() {
                    true => Refuse::Http(fault).into(),
                    false => End::close(Reason::ClientReset),
                })
            }
        }
    }

    /// Receives what the client takes of the answer.
    fn receive<N: Net<Stream = S>>(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        if !self.tell(cx)? {
            return Ok(Next::Wait);
        }
        match &mut self.down {
            Down::Head => self.look(cx),
            Down::Tunnel => self.change(),
            Down::Body(_) => self.carry(cx),
        }
    }

    /// Gives back the places in the tables that no head needs any more.
    fn give_places<N: Net>(&self, cx: &mut Context<'_, N>) {
        let heads = [&self.exchange.head, &self.partial, &self.told];
        if heads.into_iter().all(Vec::is_empty) {
            cx.shared.give(Table::Heads, cx.client.key);
            cx.shared.give(Table::LongHeads, cx.client.key);
        }
    }

    /// Carries the body of the answer.
    fn carry<N: Net<Stream = S>>(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        let Down::Body(body) = &mut self.down else {
            return Ok(Next::Wait);
        };
        if self.is_cut && !self.is_cut_behind_end && body.is_open() {
            // It would pass for the whole.
            return Err(End::close(Reason::TargetReset));
        }
        let (peer, is_plain) = (&mut cx.client.peer, body.is_plain());
        match body.pump(&mut self.link.target, peer, &mut cx.shared.pool.buffers) {
            Ok(Carried::Blocked) => Ok(Next::Wait),
            Ok(Carried::More) => Ok(Next::Yield),
            Ok(Carried::Done) => self.finish(cx),
            Err(Stopped::Sink | Stopped::EndedSink) => Err(End::close(Reason::ClientReset)),
            // The client sees by its length that it is a part, but for one that cannot read chunks.
            Err(Stopped::Cut) if !self.is_cut && !is_plain => {
                self.shut(cx)?;
                Err(End::discard(Reason::TargetLeft))
            }
            Err(_) => Err(End::close(Reason::TargetReset)),
        }
    }

    /// The answer is complete.
    fn finish<N: Net<Stream = S>>(&self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        if !self.exchange.closes {
            return Ok(Next::Done);
        }
        self.shut(cx)?;
        Err(End::discard(Reason::Done))
    }

    /// The client's connection ends behind what it has got.
    fn shut<N: Net<Stream = S>>(&self, cx: &mut Context<'_, N>) -> Result<(), End> {
        let shut = cx.client.peer.stream.shutdown_write();
        shut.map_err(|_| End::close(Reason::ClientReset))
    }

    /// The target has ended, or is broken, before its answer.
    fn unanswered(&mut self) -> Result<Next, End> {
        if self.may_repeat() {
            return Ok(Next::Open);
        }
        self.abort_target();
        Err(Reason::NoAnswer.into())
    }

    /// What has come is no answer that could be passed on.
    fn misanswered(&mut self, fault: Fault) -> End {
        self.abort_target();
        End::refuse(Refuse::BadAnswer(fault), Reason::BadAnswer)
    }

    /// The connection has changed its protocol: what the client has sent early goes first.
    fn change(&mut self) -> Result<Next, End> {
        if self.is_cut {
            return Err(End::close(Reason::TargetReset));
        }
        if !self.early.is_empty() {
            (self.exchange.head, self.sent) = (mem::take(&mut self.early), 0);
            return Ok(Next::Yield);
        }
        Ok(if self.is_sent() {
            Next::Established
        } else {
            Next::Wait
        })
    }

    /// Nothing needs the head of the request any more: gives back its place, if it has one.
    fn forget<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        (self.exchange.head, self.sent) = (Vec::new(), 0);
        self.give_places(cx);
    }

    /// Returns `true` if all has gone out that goes first.
    fn is_sent(&self) -> bool {
        self.sent == self.exchange.head.len()
    }

    /// Returns `true` if the request is to be sent once more should the connection die.
    fn may_repeat(&self) -> bool {
        self.link.is_reused && !self.link.is_pinned && self.exchange.may_repeat
    }

    /// Returns `true` if the client can still be told something else than an answer.
    fn is_untold(&self) -> bool {
        matches!(self.down, Down::Head) && self.told_sent == self.told.len()
    }

    /// Ends for a reason that is not the answer's: the client is told, unless it has a part of
    /// that already.
    pub(super) fn give_up(&mut self, reason: Reason) -> End {
        self.cut_target();
        if self.is_untold() {
            reason.into()
        } else {
            End::close(reason)
        }
    }

    /// It ends without an end of its own: a part of an answer does not pass for the whole. Who has
    /// had nothing of it still gets what is on its way of the answer before.
    pub(super) fn cut(&mut self, client: &mut S) {
        self.cut_target();
        if !self.is_untold() {
            client.abort_on_close();
        }
    }

    /// The same for the request.
    fn cut_target(&mut self) {
        if !(self.up.is_done() && self.is_sent()) {
            self.abort_target();
        }
    }

    /// Remembers an event of the target.
    pub(super) fn mark(&mut self, event: &Event) {
        self.link.target.ready.mark(event);
    }

    /// Returns `true` if the target's connection has carried another exchange before.
    pub(super) fn is_reused(&self) -> bool {
        self.link.is_reused
    }

    /// Arms keepalive on the target's connection.
    pub(super) fn keep_alive(&mut self) {
        self.link.keep_alive();
    }

    /// Makes the close of the target's connection a reset.
    pub(super) fn abort_target(&mut self) {
        self.link.target.stream.abort_on_close();
    }

    /// Gives back what its head has taken.
    pub(super) fn release<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        self.partial = Vec::new();
        self.told = Vec::new();
        self.forget(cx);
    }

    /// The exchange is over: what goes on of both connections.
    pub(super) fn into_pair(self) -> Pair<S> {
        let mut link = self.link;
        link.is_reused = true;
        let keeps = self.keeps && !self.is_cut;
        if keeps {
            link.keep_alive();
        }
        let kept = Kept {
            link,
            request: self.exchange.request,
        };
        Pair {
            kept: keeps.then(|| Box::new(kept)),
            early: self.early,
            client_ended: self.client_ended,
        }
    }

    /// The connection has changed its protocol: it is a tunnel now.
    pub(super) fn into_tunnel(self) -> (Peer<S>, bool, Moved) {
        let moved = self.moved();
        (self.link.target, self.client_ended, moved)
    }

    /// The request again, and what the client has sent behind it.
    pub(super) fn into_request(self) -> (Exchange, Vec<u8>, bool) {
        (self.exchange, self.early, self.client_ended)
    }

    /// Bytes carried, up and down.
    pub(super) fn moved(&self) -> Moved {
        let body_bytes = match &self.down {
            Down::Body(body) => body.bytes(),
            Down::Head | Down::Tunnel => 0,
        };
        Moved {
            up_bytes: self.heads.up_bytes + self.up.bytes(),
            down_bytes: self.heads.down_bytes + body_bytes,
        }
    }

    /// Returns `true` if it could go on.
    pub(super) fn could_move(&self, client: &Ready) -> bool {
        let target = &self.link.target.ready;
        let up = self.has_up(client) && target.writable;
        up || self.has_down() && client.writable
    }

    /// Returns `true` if bytes wait that their sink does not take.
    pub(super) fn stands_still(&self, client: &Ready) -> bool {
        let up = self.has_up(client) && !self.link.target.ready.writable;
        // What comes behind the request waits for the answer.
        let ahead = client.readable && self.up.is_done();
        up || ahead || self.has_down() && !client.writable
    }

    /// Returns `true` if there is something for the target.
    fn has_up(&self, client: &Ready) -> bool {
        !self.is_cut && (!self.is_sent() || client.readable && !self.up.is_done())
    }

    /// Returns `true` if there is something for the client.
    fn has_down(&self) -> bool {
        let is_told = self.told_sent == self.told.len();
        !is_told || self.link.target.ready.readable && !matches!(self.down, Down::Tunnel)
    }
}
