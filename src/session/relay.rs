//! A tunnel that stands: the reply, the early payload, then two flows until both have ended.

use super::client::Client;
use super::opening::Opening;
use super::outcome::{Next, Reason, Wake};
use super::shared::{Class, Shared};
use crate::net::{Net, Stream};
use crate::state::flow::{Broken, Flow, Peer, Ready, Step};
use crate::state::pool::Buffers;
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

impl<N: Net> Client<N> {
    /// Replies to the client, and sends on what it had sent too early.
    pub(super) fn answer(&mut self, opening: &mut Opening<N>) -> Next {
        let Some(mut target) = opening.target.take() else {
            return Next::Wait;
        };
        let next = self.pass_on(opening, &mut target);
        opening.target = Some(target);
        next
    }

    fn pass_on(&mut self, opening: &mut Opening<N>, target: &mut Peer<N::Stream>) -> Next {
        if target.is_broken() {
            return Next::Close(Reason::TargetReset);
        }
        let Ok(answered) = opening.outbox.flush(&mut self.peer) else {
            return Next::Close(Reason::ClientReset);
        };
        while !opening.early().is_empty() {
            if !target.ready.writable {
                return Next::Wait;
            }
            match target.write(opening.early()) {
                Ok(len) => opening.carry(len.unwrap_or(0)),
                Err(_) => return Next::Close(Reason::TargetReset),
            }
        }
        if answered { Next::Stand } else { Next::Wait }
    }
}

impl<S: Stream> Relay<S> {
    /// The tunnel to `target`, with what the opening has carried already.
    pub(super) fn new<N: Net<Stream = S>>(target: Peer<S>, opening: &Opening<N>) -> Self {
        let meter = opening.http.as_ref().and_then(|http| http.meter());
        Self {
            target,
            up: Flow::new(meter.as_ref(), opening.client_ended, opening.early_bytes),
            down: Flow::default(),
            meter,
            half: false,
        }
    }

    /// Moves what can be moved, one buffer per direction at most.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        wake: Wake<'_>,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Next {
        if let Wake::Timeout = wake {
            return Next::Close(self.timeout());
        }
        if self.target.is_broken() {
            return self.lose_target();
        }
        let before = self.progress();
        let (peer, buffers) = (&mut client.peer, &mut shared.buffers);
        let (meter, target) = (self.meter.as_mut(), &mut self.target);
        let up = match self.up.pump(peer, target, meter, buffers) {
            Ok(step) => step,
            Err(Broken::Source) => return Next::Close(Reason::ClientReset),
            Err(Broken::Sink) => return self.lose_target(),
        };
        let down = match self.down.pump(target, peer, None, buffers) {
            Ok(step) => step,
            Err(Broken::Source) => return Next::Close(Reason::TargetReset),
            Err(Broken::Sink) => return Next::Close(Reason::ClientReset),
        };
        if (up, down) == (Step::Done, Step::Done) {
            // What lies behind a request: closing at once would reset the connection, and the
            // client could lose the end of the answer.
            return match self.up.is_measured() {
                true => Next::Part(Reason::Done),
                false => Next::Close(Reason::Done),
            };
        }
        let is_half = self.is_half(client.peer.ready.ended);
        if self.progress() != before || is_half != self.half {
            self.half = is_half;
            let class = if is_half {
                Class::HalfClosed
            } else {
                Class::Idle
            };
            shared.arm(client.key, class);
        }
        if up == Step::More || down == Step::More {
            Next::Yield
        } else {
            Next::Wait
        }
    }

    /// Whether a direction could go on.
    pub(super) fn could_move(&self, client: &Ready) -> bool {
        let target = &self.target.ready;
        let up = client.readable && target.writable && !self.up.is_done();
        let down = target.readable && client.writable && !self.down.is_done();
        up || down
    }

    /// What events have said of the target.
    pub(super) fn target_ready(&mut self) -> &mut Ready {
        &mut self.target.ready
    }

    /// The connection to the target.
    pub(super) fn target_stream(&mut self) -> &mut S {
        &mut self.target.stream
    }

    /// What follows when the target has broken. Behind its end that is no reason to reset the
    /// client: a slow one would lose what it has not taken yet of an answer that is complete.
    fn lose_target(&self) -> Next {
        if self.down.is_done() {
            Next::Part(Reason::TargetReset)
        } else {
            Next::Close(Reason::TargetReset)
        }
    }

    /// What it means that nothing moved for so long.
    fn timeout(&self) -> Reason {
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
