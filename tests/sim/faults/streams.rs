//! Faults of TCP connections: reads and writes that do less than they could, and resets.
//!
//! An injected shortage looks as if less had arrived, or less room were there; what was hidden
//! shows a little later, with an edge of its own. Two things that Linux guarantees are kept: a read
//! gives all bytes that a peek has shown, and nothing is hidden once the end of stream has arrived,
//! as no edge would follow.

use nix::errno::Errno;

use crate::network::{Direction, Network, SimEvent, Source};
use crate::world::Inner;

impl Network {
    /// The number of bytes that a read of `len` bytes gives when a fault may shorten it.
    pub(crate) fn shortened(&mut self, s: usize, len: usize) -> usize {
        let peeked = self.sockets[s].peeked;
        let short = if self.chance(self.odds.early_block) {
            peeked
        } else if self.chance(self.odds.short_read) {
            self.rng.usize(peeked.max(1)..=len)
        } else {
            return len;
        };
        if short < len {
            self.sockets[s].read_held = true;
            let latency = self.latency();
            self.schedule(latency, SimEvent::Release(s, Direction::ToServer));
        }
        short
    }

    /// Hides the room to write for a while.
    pub(crate) fn hold_write(&mut self, s: usize) {
        self.sockets[s].write_held = true;
        let latency = self.latency();
        self.schedule(latency, SimEvent::Release(s, Direction::FromServer));
    }

    /// An injected shortage is over.
    pub(crate) fn release(&mut self, s: usize, direction: Direction) {
        let socket = &mut self.sockets[s];
        match direction {
            Direction::ToServer if socket.read_held => {
                socket.read_held = false;
                self.edge(Source::Socket(s));
            }
            Direction::FromServer if socket.write_held => {
                socket.write_held = false;
                // Any room is an edge, as there was no true shortage.
                if socket.write_blocked && socket.from_server.room() > 0 {
                    socket.write_blocked = false;
                    self.edge(Source::Socket(s));
                }
            }
            _ => {}
        }
    }
}

impl Inner {
    /// Resets a connection at both ends.
    pub(crate) fn inject_reset(&mut self, s: usize) {
        let net = &mut self.network;
        net.trace(|| format!("socket {s} is reset by a fault"));
        if let Some(client) = net.sockets[s].client {
            net.clients[client].faulted = true;
        }
        net.break_off(s, Errno::ECONNRESET);
        net.abort(s);
    }
}
