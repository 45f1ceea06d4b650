//! A tunnel that stands: the reply, the early payload, then two flows until both have ended.

use super::opening::Opening;
use super::shared::Class;
use super::{Next, Phase, Reason, Session, Shared, Verdict};
use crate::net::{Event, Net, Stream};
use crate::state::flow::{Broken, Flow, Peer, Step};
use crate::state::pool::Buffers;
use crate::state::slots::Key;
use crate::wire::http::BodyMeter;

/// The target of a tunnel and both directions.
#[derive(Debug)]
pub(super) struct Relay<S> {
    target: Peer<S>,
    up: Flow,
    down: Flow,
    /// Where the body of a forwarded request ends.
    meter: Option<BodyMeter>,
    /// Which timeout is armed.
    half: bool,
}

impl<N: Net> Session<N> {
    /// Replies to the client, and sends on what it had sent too early.
    pub(super) fn answer(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        mut target: Peer<N::Stream>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        if target.take_error().is_some() {
            return Next::Close(Phase::Answering(opening, target), Reason::TargetReset);
        }
        let Ok(answered) = opening.outbox.flush(&mut self.client) else {
            return Next::Close(Phase::Answering(opening, target), Reason::ClientReset);
        };
        while !opening.early().is_empty() && target.ready.writable {
            match target.write(opening.early()) {
                Ok(len) => opening.carry(len.unwrap_or(0)),
                Err(_) => {
                    return Next::Close(Phase::Answering(opening, target), Reason::TargetReset);
                }
            }
        }
        if !answered || !opening.early().is_empty() {
            return Next::Wait(Phase::Answering(opening, target));
        }
        let meter = opening.web.as_ref().and_then(|web| web.meter());
        let (ended, early_bytes) = (opening.client_ended, opening.early_bytes);
        let up = match &meter {
            Some(meter) => Flow::measured(meter, ended, early_bytes),
            None => Flow::new(ended, early_bytes),
        };
        shared.give_opening(opening, self.source());
        shared.totals.tunnels += 1;
        shared.timers.arm(self.key, Class::Idle as u8, shared.now);
        Next::Go(Phase::Relaying(Relay {
            target,
            up,
            down: Flow::default(),
            meter,
            half: false,
        }))
    }
}

impl<S: Stream> Relay<S> {
    /// Moves what can be moved, one buffer per direction at most.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        key: Key,
        client: &mut Peer<S>,
        shared: &mut Shared<N>,
    ) -> Verdict {
        if self.target.take_error().is_some() {
            return Verdict::Closed(Reason::TargetReset);
        }
        let before = self.progress();
        let (meter, buffers) = (self.meter.as_mut(), &mut shared.buffers);
        let up = match self.up.pump(client, &mut self.target, meter, buffers) {
            Ok(step) => step,
            Err(Broken::Source) => return Verdict::Closed(Reason::ClientReset),
            Err(Broken::Sink) => return Verdict::Closed(Reason::TargetReset),
        };
        let down = match self
            .down
            .pump(&mut self.target, client, None, &mut shared.buffers)
        {
            Ok(step) => step,
            Err(Broken::Source) => return Verdict::Closed(Reason::TargetReset),
            Err(Broken::Sink) => return Verdict::Closed(Reason::ClientReset),
        };
        if (up, down) == (Step::Done, Step::Done) {
            return Verdict::Closed(Reason::Done);
        }
        let is_half = self.is_half(client.ready.ended);
        if self.progress() != before || is_half != self.half {
            self.half = is_half;
            let class = if is_half {
                Class::HalfClosed
            } else {
                Class::Idle
            };
            shared.timers.arm(key, class as u8, shared.now);
        }
        if up == Step::More || down == Step::More {
            Verdict::Again
        } else {
            Verdict::Idle
        }
    }

    /// Whether the client may have sent more than its request has: closing at once would reset
    /// the connection, and it could lose the end of the answer.
    pub(super) fn has_excess(&self) -> bool {
        self.up.is_measured()
    }

    /// Remembers an event of the target.
    pub(super) fn mark(&mut self, event: &Event) {
        self.target.ready.mark(event);
    }

    /// Makes the close of the target an abort.
    pub(super) fn abort(&mut self) {
        self.target.stream.abort_on_close();
    }

    /// What it means that nothing moved for so long.
    pub(super) fn timeout(&self) -> Reason {
        if self.half {
            Reason::HalfCloseTimeout
        } else {
            Reason::IdleTimeout
        }
    }

    /// Gives back the buffers.
    pub(super) fn release(&mut self, buffers: &mut Buffers) {
        self.up.release(buffers);
        self.down.release(buffers);
    }

    /// How many buffers it holds.
    pub(super) fn buffers_held(&self) -> usize {
        usize::from(self.up.holds()) + usize::from(self.down.holds())
    }

    /// Bytes carried, up and down.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.up.bytes(), self.down.bytes())
    }

    /// Whether one side has ended, and waits for the other. A client whose request is complete
    /// has not, as long as it waits for the answer.
    fn is_half(&self, client_ended: bool) -> bool {
        let up = self.up.is_done() && (client_ended || !self.up.is_measured());
        up || self.down.is_done()
    }

    /// Differs whenever something has moved or ended.
    fn progress(&self) -> (u64, bool, bool) {
        (
            self.up.bytes() + self.down.bytes(),
            self.up.is_done(),
            self.down.is_done(),
        )
    }
}
