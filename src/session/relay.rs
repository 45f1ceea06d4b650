//! A tunnel that is established: two flows, until both have ended.

use super::context::Context;
use super::outcome::{End, Next, Reason, Wake};
use super::silence::Silence;
use super::totals::Moved;
use crate::net::{Event, Net, Stream};
use crate::state::flow::{Broken, Flow, Pumped};
use crate::state::peer::{DISCARD_MAX, Peer, RESET_BEHIND_END, Ready};
use crate::state::pipes::Pool;
use crate::state::pool::Buffers;

/// The target of a tunnel and both directions.
#[derive(Debug)]
pub(super) struct Relay<S: Stream> {
    target: Peer<S>,
    up: Flow<S::Pipe>,
    down: Flow<S::Pipe>,
    silence: Silence,
    /// The target is broken, behind its end of stream: nothing more goes up.
    is_cut: bool,
}

impl<S: Stream> Relay<S> {
    /// The tunnel to `target`, which has `moved` so much already; the client's end of stream may
    /// have been read.
    pub(super) fn new(target: Peer<S>, client_ended: bool, moved: Moved) -> Self {
        Self {
            target,
            up: Flow::new(client_ended, moved.up_bytes),
            down: Flow::new(false, moved.down_bytes),
            silence: Silence::default(),
            is_cut: false,
        }
    }

    /// Moves what can be moved, one buffer per direction at most.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        wake: Wake<'_>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if let Wake::Timeout = wake {
            return Err(End::close(self.silence.reason()));
        }
        let before = self.up.bytes() + self.down.bytes();
        let (peer, pool) = (&mut cx.client.peer, &mut cx.shared.pool);
        // Once nothing goes up any more, the number of an error does not tell whether the target had
        // ended before. Who reads up to there finds its end or the error, whichever came first.
        if !self.up.is_done()
            && let Some(error) = self.target.broken_by()
        {
            self.lose_target(error == RESET_BEHIND_END, pool)?;
        }
        let up = self.send(peer, pool)?;
        self.down.set_last(self.up.is_done() && !self.is_cut);
        let down = match self.down.pump(&mut self.target, peer, pool) {
            Ok(pumped) => pumped,
            Err(Broken::Source) => return Err(End::close(Reason::TargetReset)),
            Err(_) => return Err(End::close(Reason::ClientReset)),
        };
        if self.is_cut {
            if down == Pumped::Done {
                // A slow client would lose by a reset what it has not taken yet of its answer.
                return Err(End::discard(Reason::TargetReset));
            }
            if !self.target.ready.readable {
                // There was no end: it would be there to be read.
                return Err(End::close(Reason::TargetReset));
            }
        }
        if (up, down) == (Pumped::Done, Pumped::Done) {
            return Err(End::close(Reason::Done));
        }
        let is_half = self.is_cut || self.up.is_done() || self.down.is_done();
        let moved = self.up.bytes() + self.down.bytes() - before;
        self.silence.note(moved, is_half, cx);
        Ok(match (up, down) {
            (Pumped::More, _) | (_, Pumped::More) => {
                // The other one may wait for the tick, which is no turn's to wait for as long as
                // this one has more: it looks again at the next turn.
                self.end_rest();
                Next::Yield
            }
            (Pumped::Rest, _) | (_, Pumped::Rest) => Next::Rest,
            _ => Next::Wait,
        })
    }

    /// Moves what can be moved up.
    fn send(&mut self, client: &mut Peer<S>, pool: &mut Pool<S::Pipe>) -> Result<Pumped, End> {
        if !self.is_cut {
            self.up.set_last(self.down.is_done());
            match self.up.pump(client, &mut self.target, pool) {
                Ok(pumped) => return Ok(pumped),
                Err(Broken::Source) => return Err(End::close(Reason::ClientReset)),
                Err(broken) => self.lose_target(broken == Broken::EndedSink, pool)?,
            }
        }
        // Many write all that they have before they read why nobody takes it.
        let discarded = client.discard(pool.buffers.scratch(), 1);
        Ok(match discarded {
            Ok(1..) => Pumped::More,
            _ => Pumped::Blocked,
        })
    }

    /// Returns `true` if a direction could go on.
    pub(super) fn could_move(&self, client: &Ready) -> bool {
        let target = &self.target.ready;
        let up = client.readable && target.writable && !self.up.is_done() && !self.is_cut;
        let down = target.readable && client.writable && !self.down.is_done();
        up || down
    }

    /// Returns `true` if bytes wait that their sink does not take.
    pub(super) fn stands_still(&self, client: &Ready) -> bool {
        let target = &self.target.ready;
        self.up.waits(client, target) || self.down.waits(target, client)
    }

    /// Remembers an event of the target.
    pub(super) fn mark(&mut self, event: &Event) {
        self.target.ready.mark(event);
    }

    /// Arms keepalive on the target's connection.
    pub(super) fn keep_alive(&mut self) {
        self.target.stream.keep_alive();
    }

    /// Makes the close of the target's connection a reset.
    pub(super) fn abort_target(&mut self) {
        self.target.stream.abort_on_close();
    }

    /// It ends without an end of its own: a direction that is cut is reset, so that a part does not
    /// pass for the whole; one whose end was passed on closes in order, so that a slow end still
    /// gets what is on its way.
    pub(super) fn cut(&mut self, client: &mut Peer<S>, buffers: &mut Buffers) {
        let (up, down) = (self.up.is_done(), self.down.is_done());
        if !up {
            self.abort_target();
        }
        if !down {
            client.stream.abort_on_close();
        }
        // The close of one in which something is unread would be a reset.
        let unread = match (up, down) {
            (true, false) => &mut self.target,
            (false, true) => client,
            _ => return,
        };
        let _ = unread.discard(buffers.scratch(), DISCARD_MAX);
    }

    /// The target has broken. Where that `is_behind_end`, the client still gets all of its answer,
    /// which is complete.
    ///
    /// # Errors
    /// It is not: the client is reset too.
    fn lose_target(&mut self, is_behind_end: bool, pool: &mut Pool<S::Pipe>) -> Result<(), End> {
        // Where only our side failed, an orderly end would make what has arrived look complete.
        self.abort_target();
        if !(self.down.is_done() || is_behind_end) {
            return Err(End::close(Reason::TargetReset));
        }
        self.is_cut = true;
        // A write may find this before an event has told of anything.
        (self.target.ready.readable, self.target.ready.ended) = (true, true);
        self.up.release(pool);
        Ok(())
    }

    /// Gives back buffers and pipes.
    pub(super) fn release(&mut self, pool: &mut Pool<S::Pipe>) {
        self.up.release(pool);
        self.down.release(pool);
    }

    /// Returns `true` if one of its directions carries much.
    pub(super) fn is_bulk(&self) -> bool {
        self.up.is_bulk() || self.down.is_bulk()
    }

    /// The tick has come that its flows may have waited for.
    pub(super) fn end_rest(&mut self) {
        self.up.end_rest();
        self.down.end_rest();
    }

    /// Returns `true` if one of its flows waits for the tick.
    pub(super) fn awaits_tick(&self) -> bool {
        self.up.awaits_tick() || self.down.awaits_tick()
    }

    /// Looks whether it keeps others from having a pipe: [`Flow::look`]. Then it is to have a turn.
    pub(super) fn look(&mut self) -> bool {
        self.up.look() | self.down.look()
    }

    /// As how many buffers, and pipes, counts what it holds.
    pub(super) fn holds(&self, buffers: &Buffers) -> (usize, usize) {
        let (up, down) = (self.up.holds(buffers), self.down.holds(buffers));
        (up.0 + down.0, up.1 + down.1)
    }

    /// Bytes carried, up and down.
    pub(super) fn moved(&self) -> Moved {
        Moved {
            up_bytes: self.up.bytes(),
            down_bytes: self.down.bytes(),
        }
    }
}
