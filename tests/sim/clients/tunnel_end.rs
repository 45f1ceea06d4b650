//! One end of a tunnel, client or target: sends its stream, and checks each byte that it receives.
//! How the tunnel may end is checked in `properties/tunnels.rs`.

use anklet::net::Millis;

use crate::clients::scenario::{Behaviour, End};
use crate::network::Network;
use crate::network::channel::payload;

/// One end of a tunnel.
pub(crate) struct TunnelEnd {
    pub(crate) client: usize,
    pub(crate) s: usize,
    pub(crate) side: usize,
    behaviour: Behaviour,
    /// It has received the end of stream.
    ended: bool,
    /// It will do nothing more.
    pub(crate) done: bool,
    next_ms: Millis,
}

impl TunnelEnd {
    /// The end `side` (client 0, target 1) of a client's tunnel, with socket `s`.
    pub(crate) fn new(net: &Network, client: usize, side: usize, s: usize) -> Self {
        let behaviour = net.clients[client].scenario.behaviours[side];
        Self {
            client,
            s,
            side,
            behaviour,
            ended: false,
            done: false,
            next_ms: 0,
        }
    }

    /// Returns `true` if it has received everything and the end of stream behind it.
    pub(crate) fn is_complete(&self, net: &Network) -> bool {
        let total = net.clients[self.client].scenario.total(1 - self.side);
        self.ended && net.sockets[self.s].progress.received == total
    }

    /// Receives and sends a chunk. With `open` false the tunnel is not established: only payload
    /// ahead of the reply can be sent.
    pub(crate) fn step(&mut self, net: &mut Network, open: bool) {
        if self.done {
            return;
        }
        if net.peer_sees_reset(self.s) {
            self.done = true;
            return self.check_reset(net);
        }
        if net.now < self.next_ms {
            return net.wake(self.s, self.next_ms - net.now);
        }
        let received = open && self.behaviour.reads && self.receive(net);
        let sent = self.send(net);
        let ends = open && self.behaviour.reads && !self.ended && net.peer_sees_end(self.s);
        if ends {
            self.ended = true;
            self.check_end(net);
        }
        self.finish(net, open);
        if received || sent || ends {
            self.next_ms = net.now + self.behaviour.pace_ms;
            net.wake(self.s, self.behaviour.pace_ms);
        }
    }

    /// Receives a chunk and checks its bytes. Returns `true` if there were any.
    fn receive(&self, net: &mut Network) -> bool {
        let (mut got, mut expected) = ([0; 512], [0; 512]);
        let len = net.peer_receive(self.s, &mut got[..self.behaviour.chunk]);
        let progress = &mut net.sockets[self.s].progress;
        let at = progress.received;
        progress.received += len as u64;
        self.expect(net, at, &mut expected[..len]);
        let total = net.clients[self.client].scenario.total(1 - self.side);
        if got[..len] != expected[..len] || at + len as u64 > total {
            let side = self.side;
            net.fail(format!(
                "client {} side {side}: wrong bytes at {at}..+{len}",
                self.client
            ));
        }
        len > 0
    }

    /// Writes what it is to receive from position `at` on.
    fn expect(&self, net: &Network, at: u64, out: &mut [u8]) {
        payload(self.stream(net, 1 - self.side), at, out);
    }

    /// Sends a chunk. Returns `true` if any byte was sent.
    fn send(&self, net: &mut Network) -> bool {
        let progress = net.sockets[self.s].progress;
        let waits = self.behaviour.waits && !self.ended;
        let limit = match self.behaviour.echo {
            true => progress.received,
            false if waits => 0,
            false => self.behaviour.send,
        };
        let left = usize::try_from(limit - progress.sent)
            .unwrap_or(usize::MAX)
            .min(self.behaviour.chunk);
        let seed = self.stream(net, self.side);
        let len = net.peer_send_payload(self.s, seed, progress.sent, left);
        net.sockets[self.s].progress.sent += len as u64;
        len > 0
    }

    /// The seed of the stream that `side` sends; an echo sends the other end's stream.
    fn stream(&self, net: &Network, side: usize) -> u64 {
        let echo = net.clients[self.client].scenario.behaviours[side].echo;
        (self.client * 2 + if echo { 1 - side } else { side }) as u64
    }

    /// Ends the sending direction, closes or leaves, if it is time.
    fn finish(&mut self, net: &mut Network, open: bool) {
        let progress = net.sockets[self.s].progress;
        let moved = progress.sent + progress.received;
        let all_sent = match self.behaviour.echo {
            true => self.ended && progress.sent == progress.received,
            false => progress.sent == self.behaviour.send,
        };
        let fin = match self.behaviour.end {
            // Without payload in front, an end of stream would cancel the connect (T5), and it ends
            // a BIND that waits (B5).
            End::Fin => all_sent && (open || self.may_end_early(net)),
            End::AfterOther => all_sent && self.ended,
            End::Never => false,
            End::Reset(at) | End::Vanish(at) => {
                if open && (moved >= at || self.ended) {
                    self.leave(net);
                }
                return;
            }
        };
        if fin && !progress.fin {
            net.sockets[self.s].progress.fin = true;
            net.peer_ends(self.s);
        }
        // An end that never ends or never reads notices only that the server has closed.
        let stays = !self.behaviour.reads || self.behaviour.end == End::Never;
        let gone = net.sockets[self.s].dropped;
        if if stays { gone } else { fin && self.ended } {
            net.peer_closes(self.s);
            self.done = true;
        }
    }

    /// Leaves as the scenario says, by a reset or without a segment.
    fn leave(&mut self, net: &mut Network) {
        self.done = true;
        net.sockets[self.s].progress.left = true;
        match self.behaviour.end {
            End::Vanish(_) => net.peer_vanishes(self.s),
            _ => net.peer_resets(self.s),
        }
    }

    /// Returns `true` if the client may send a FIN before it has a reply.
    fn may_end_early(&self, net: &Network) -> bool {
        let scenario = &net.clients[self.client].scenario;
        net.sockets[self.s].progress.sent > 0 && scenario.bind_peers.is_none()
    }
}
