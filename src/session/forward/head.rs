//! The head of an answer: looked at until it is complete, judged, and told to the client.

use std::mem;

use super::{Down, Forward};
use crate::net::{Net, Stream};
use crate::session::context::Context;
use crate::session::outcome::{End, Next, Reason};
use crate::state::clients::Table;
use crate::state::peer::Gone;
use crate::state::pool::SCRATCH_MARGIN;
use crate::state::transfer::Transfer;
use crate::wire::http::{Answer, Body, Fault, Kept};

/// How often the head of an answer is looked at in a turn while it is not complete, and the end of
/// its connection has been announced: no event tells of more then.
const LOOKS_MAX: u8 = 8;

/// How much of an answer's head may be held without a place in the table of long ones: of one that
/// is not complete, or that the client does not take.
const HELD_MAX: usize = 2048;

impl<S: Stream> Forward<S> {
    /// Sends what waits of a head to the client. Returns `true` if all of it has gone.
    pub(super) fn tell<N: Net<Stream = S>>(
        &mut self,
        cx: &mut Context<'_, N>,
    ) -> Result<bool, End> {
        let before = self.told_sent;
        let is_told = cx.client.peer.send(&self.told, &mut self.told_sent);
        self.heads.down_bytes += (self.told_sent - before) as u64;
        let is_told = is_told.map_err(|Gone| End::close(Reason::ClientReset))?;
        if is_told && !self.told.is_empty() {
            self.forget_told(cx);
        }
        Ok(is_told)
    }

    /// The client has all of a head: gives back its place, if it has one.
    fn forget_told<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        (self.told, self.told_sent) = (Vec::new(), 0);
        self.give_places(cx);
    }

    /// Looks at the head of the answer, and passes it on once it is complete.
    pub(super) fn look<N: Net<Stream = S>>(
        &mut self,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let (target, client) = (&self.link.target, &cx.client.peer.ready);
        if !(target.ready.readable || self.is_cut) || !client.writable {
            return Ok(Next::Wait);
        }
        for _ in 0..LOOKS_MAX {
            let scratch = cx.shared.pool.buffers.scratch_for_head();
            let (before, space) = scratch[SCRATCH_MARGIN..].split_at_mut(self.partial.len());
            before.copy_from_slice(&self.partial);
            let news = match self.link.target.peek(space) {
                Ok(Some(news @ 1..)) => news,
                Ok(None) if !self.is_cut => return Ok(Next::Wait),
                Ok(_) | Err(Gone) => return self.unanswered(),
            };
            // It answers: what comes of it is not asked for once more.
            self.link.is_reused = false;
            let seen = self.partial.len() + news;
            let text = &scratch[SCRATCH_MARGIN..][..seen];
            match Answer::parse_on(text, &mut self.looked, self.exchange.is_for_head) {
                Ok(Some(answer)) => {
                    let len = answer.len;
                    self.looked = 0;
                    self.down = self.judge(&answer)?;
                    return self.pass(len, seen, cx);
                }
                Err(fault) => return Err(self.misanswered(fault)),
                Ok(None) if !self.link.target.ready.ended && !self.is_cut => return Ok(Next::Wait),
                Ok(None) => self.consume(news, cx)?,
            }
        }
        Ok(Next::Yield)
    }

    /// The head is not complete, and the end of the connection may be behind what has come of it,
    /// which shows only to who reads that: `news` bytes behind those that it has read.
    fn consume<N: Net<Stream = S>>(
        &mut self,
        news: usize,
        cx: &mut Context<'_, N>,
    ) -> Result<(), End> {
        if self.partial.len() + news > HELD_MAX
            && cx.shared.take(Table::LongHeads, cx.client.key).is_err()
        {
            return Err(self.misanswered(Fault::NoRoomForLong));
        }
        let scratch = cx.shared.pool.buffers.scratch_for_head();
        let text = &mut scratch[SCRATCH_MARGIN + self.partial.len()..][..news];
        self.partial.extend(&*text);
        let skipped = self.link.target.skip(text);
        skipped.map_err(|Gone| End::close(Reason::TargetReset))
    }

    /// Decides what becomes of an answer, whose head is to be told. Returns what follows it.
    fn judge(&mut self, answer: &Answer<'_>) -> Result<Down, End> {
        let is_sent = self.up.is_done() && self.is_sent();
        let exchange = &mut self.exchange;
        self.told_sent = 0;
        if answer.code == 101 {
            if !exchange.upgrades || !is_sent {
                return Err(self.misanswered(Fault::Protocol));
            }
            self.told = answer.forwarded(false, false);
            return Ok(Down::Tunnel);
        }
        if answer.code < 200 {
            // RFC 9110 §15.2: a client of HTTP/1.0 does not know of it.
            let is_told = !exchange.is_old;
            self.told = if is_told {
                answer.forwarded(false, false)
            } else {
                Vec::new()
            };
            return Ok(Down::Head);
        }
        let is_open = answer.body == Body::ToEnd;
        let kept = match answer.body {
            Body::Chunked if exchange.is_old => Kept::Data,
            _ => answer.kept,
        };
        self.keeps = answer.keeps && is_sent && !is_open && !self.is_cut;
        self.link.is_pinned |= answer.pins;
        exchange.closes |= is_open || !is_sent || self.link.is_pinned && !self.keeps;
        self.told = answer.forwarded(exchange.closes, exchange.is_old);
        Ok(Down::Body(Transfer::new(answer.body, kept)))
    }

    /// Passes on the head to be told, and what there is of the body behind it: `seen` bytes of the
    /// scratch buffer, of which `len` are the head as it came. Returns what follows.
    fn pass<N: Net<Stream = S>>(
        &mut self,
        len: usize,
        seen: usize,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let scratch = cx.shared.pool.buffers.scratch_for_head();
        let (end, mut body_len) = (SCRATCH_MARGIN + len, 0);
        let behind = SCRATCH_MARGIN + seen;
        if let Down::Body(body) = &self.down {
            match body.part(&scratch[end..behind]) {
                Ok((0, part)) => body_len = part,
                Ok(_) => {}
                Err(_) => return Err(self.misanswered(Fault::Chunks)),
            }
        }
        let peer = &mut cx.client.peer;
        let written = match end.checked_sub(self.told.len()) {
            Some(start) => {
                scratch[start..end].copy_from_slice(&self.told);
                let both = &scratch[start..end + body_len];
                if both.is_empty() {
                    Ok(None)
                } else {
                    peer.write(both)
                }
            }
            // It has grown beyond what there is room for.
            None => peer.write(&self.told),
        };
        let written = written.map_err(|Gone| End::close(Reason::ClientReset))?;
        let written = written.unwrap_or(0);
        self.told_sent = written.min(self.told.len());
        self.heads.down_bytes += self.told_sent as u64;
        let carried = written - self.told_sent;
        if let Down::Body(body) = &mut self.down
            && body.advance(&scratch[end..end + carried], carried).is_err()
        {
            return Err(End::close(Reason::TargetReset));
        }
        if len + carried < seen {
            self.link.target.ready.readable = true;
        }
        let consumed = len + carried - mem::take(&mut self.partial).len();
        let skipped = self.link.target.skip(&mut scratch[..consumed]);
        skipped.map_err(|Gone| End::close(Reason::TargetReset))?;
        if self.told_sent == self.told.len() {
            self.forget_told(cx);
        } else if self.told.len() > HELD_MAX
            && cx.shared.take(Table::LongHeads, cx.client.key).is_err()
        {
            return Err(End::close(Reason::Displaced(Table::LongHeads)));
        }
        match &self.down {
            // A short write does not say that there is no room.
            _ if !self.told.is_empty() => Ok(Next::Yield),
            Down::Body(body) if body.is_done() => self.finish(cx),
            Down::Tunnel => self.change(),
            Down::Head | Down::Body(_) => Ok(Next::Yield),
        }
    }
}
