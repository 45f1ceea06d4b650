//! What the other ends of the server's connections do: clients, targets, name servers.
//! No faults here, the other ends are the plan's; what travels is subject to `network/mod.rs`.

use nix::errno::Errno;

use crate::network::channel::payload;
use crate::network::{Network, SimEvent, Way};

impl Network {
    /// Sends what fits of `bytes`; how many.
    pub(crate) fn outside_send(&mut self, s: usize, bytes: &[u8]) -> usize {
        let len = self.sockets[s].inward.put(bytes);
        self.set_off(s, Way::Inward);
        len
    }

    /// Sends up to `len` bytes of a payload stream from a position on; how many.
    pub(crate) fn outside_stream(&mut self, s: usize, seed: u64, at: u64, len: usize) -> usize {
        let mut bytes = [0; 512];
        let len = len.min(bytes.len()).min(self.sockets[s].inward.room());
        payload(seed, at, &mut bytes[..len]);
        self.outside_send(s, &bytes[..len])
    }

    /// Receives into `buf`; how many.
    pub(crate) fn outside_receive(&mut self, s: usize, buf: &mut [u8]) -> usize {
        let channel = &mut self.sockets[s].outward;
        let len = channel.look(buf);
        channel.consume(len);
        self.set_off(s, Way::Outward);
        len
    }

    /// Whether the server's end of stream comes next.
    pub(crate) fn outside_ended(&self, s: usize) -> bool {
        let channel = &self.sockets[s].outward;
        channel.has_ended() && channel.arrived() == 0
    }

    /// Whether the other end has been reset by the server.
    pub(crate) fn outside_failed(&self, s: usize) -> bool {
        self.sockets[s].failed_outside
    }

    /// Ends the sending direction.
    pub(crate) fn outside_fin(&mut self, s: usize) {
        self.sockets[s].inward.end();
        self.set_off(s, Way::Inward);
    }

    /// Closes: with unread bytes that is a reset.
    pub(crate) fn outside_close(&mut self, s: usize) {
        if self.sockets[s].outward.arrived() > 0 {
            return self.outside_reset(s);
        }
        self.sockets[s].closed_outside = true;
        self.outside_fin(s);
    }

    /// Resets.
    pub(crate) fn outside_reset(&mut self, s: usize) {
        self.sockets[s].closed_outside = true;
        let latency = self.latency();
        self.schedule(latency, SimEvent::Break(s, Errno::ECONNRESET));
    }

    /// A stranger at the listener of a BIND: closed or reset, without a word.
    pub(crate) fn be_refused(&mut self, s: usize) {
        if self.outside_receive(s, &mut [0; 16]) > 0 {
            self.fail(format!("stranger {s} is told something"));
        }
        if self.outside_failed(s) || self.outside_ended(s) {
            self.outside_close(s);
        }
    }

    /// Vanishes without a word.
    pub(crate) fn outside_vanish(&mut self, s: usize) {
        self.sockets[s].silent = true;
    }
}
