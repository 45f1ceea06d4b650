//! What the peers of the server's connections do to their ends: clients, targets, name servers. No
//! fault strikes here.

use nix::errno::Errno;

use crate::network::channel::payload;
use crate::network::{Direction, Network, SimEvent};

impl Network {
    /// Sends what fits of `bytes`. Returns the number of bytes.
    pub(crate) fn peer_send(&mut self, s: usize, bytes: &[u8]) -> usize {
        let len = self.sockets[s].to_server.put(bytes);
        self.set_off(s, Direction::ToServer);
        len
    }

    /// Sends up to `len` bytes of a payload stream from a position on. Returns the number of bytes.
    pub(crate) fn peer_send_payload(&mut self, s: usize, seed: u64, at: u64, len: usize) -> usize {
        let mut bytes = [0; 512];
        let len = len.min(bytes.len()).min(self.sockets[s].to_server.room());
        payload(seed, at, &mut bytes[..len]);
        self.peer_send(s, &bytes[..len])
    }

    /// Receives into `buf`. Returns the number of bytes.
    pub(crate) fn peer_receive(&mut self, s: usize, buf: &mut [u8]) -> usize {
        let channel = &mut self.sockets[s].from_server;
        let len = channel.look(buf);
        channel.consume(len);
        self.set_off(s, Direction::FromServer);
        len
    }

    /// Returns `true` if the server's end of stream comes next.
    pub(crate) fn peer_sees_end(&self, s: usize) -> bool {
        let channel = &self.sockets[s].from_server;
        channel.has_ended() && channel.arrived() == 0
    }

    /// Returns `true` if the peer has been reset by the server.
    pub(crate) fn peer_sees_reset(&self, s: usize) -> bool {
        self.sockets[s].peer_was_reset
    }

    /// Ends the sending direction.
    pub(crate) fn peer_ends(&mut self, s: usize) {
        self.sockets[s].to_server.end();
        self.set_off(s, Direction::ToServer);
    }

    /// Closes; if there are unread bytes, by a reset.
    pub(crate) fn peer_closes(&mut self, s: usize) {
        if self.sockets[s].from_server.arrived() > 0 {
            return self.peer_resets(s);
        }
        self.sockets[s].peer_closed = true;
        self.peer_ends(s);
    }

    /// Resets.
    pub(crate) fn peer_resets(&mut self, s: usize) {
        self.sockets[s].peer_closed = true;
        let latency = self.latency();
        self.schedule(latency, SimEvent::Break(s, Errno::ECONNRESET));
    }

    /// The step of an unexpected peer of a BIND, which must be closed or reset without receiving a
    /// byte.
    pub(crate) fn expect_refusal(&mut self, s: usize) {
        if self.peer_receive(s, &mut [0; 16]) > 0 {
            self.fail(format!("unexpected peer {s} receives bytes"));
        }
        if self.peer_sees_reset(s) || self.peer_sees_end(s) {
            self.peer_closes(s);
        }
    }

    /// Vanishes: sends nothing any more, and answers nothing.
    pub(crate) fn peer_vanishes(&mut self, s: usize) {
        self.sockets[s].vanished = true;
    }
}
