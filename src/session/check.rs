//! What tests and checks ask of a session. Nothing here is called while it serves.

use super::handshake::Handshake;
use super::opening::{Opening, Step};
use super::{Phase, Session};
use crate::net::Net;
use crate::state::pool::Buffers;

impl<N: Net> Session<N> {
    /// As how many buffers of the pool, and pipes, counts what it holds.
    pub fn holds(&self, buffers: &Buffers) -> (usize, usize) {
        match &self.phase {
            Phase::Relaying(relay) => relay.holds(buffers),
            Phase::Opening(_)
            | Phase::Forwarding(_)
            | Phase::Pair(_)
            | Phase::Associated(_)
            | Phase::Lingering(_)
            | Phase::Over => (0, 0),
        }
    }

    /// Returns `true` if it waits for an event although there may be something to read, and room
    /// for it: no event of that follows.
    pub fn is_deaf(&self) -> bool {
        let ready = &self.client.peer.ready;
        let could_go_on = match &self.phase {
            Phase::Opening(opening) => ready.readable && opening.could_read(),
            Phase::Relaying(relay) => relay.could_move(ready),
            Phase::Forwarding(forward) => forward.could_move(ready),
            Phase::Pair(pair) => pair.could_move(ready),
            Phase::Associated(association) => ready.readable || association.is_ready(),
            Phase::Lingering(_) | Phase::Over => false,
        };
        could_go_on && !self.queued && !self.resting
    }

    /// Returns `true` if a flow of it waits for a tick that does not come.
    pub fn is_forgotten(&self) -> bool {
        let awaits = matches!(&self.phase, Phase::Relaying(relay) if relay.awaits_tick());
        awaits && !self.resting
    }

    /// Returns `true` if it waits for the tick.
    pub fn is_resting(&self) -> bool {
        self.resting
    }

    /// Returns `true` if it holds an entry of the table of openings.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(_))
    }

    /// Returns `true` if it is a UDP association.
    pub fn is_associated(&self) -> bool {
        matches!(self.phase, Phase::Associated(_))
    }
}

impl<N: Net> Opening<N> {
    /// Returns `true` if what the client sends would be read now.
    fn could_read(&self) -> bool {
        match &self.step {
            // Nothing is read from a client that does not take the answers.
            Step::Handshake(Handshake::Start | Handshake::Socks(_) | Handshake::Http(_)) => {
                self.outbox.is_empty()
            }
            Step::Handshake(Handshake::Again(_)) => false,
            // What comes behind a long head waits in the system.
            Step::Handshake(Handshake::Verdict(Some(head))) if head.is_long() => false,
            Step::Handshake(Handshake::Verdict(_))
            | Step::Lookup { .. }
            | Step::Connect(_)
            | Step::Bind(_) => !self.inbox.has_ended() && self.inbox.has_room(),
            // What comes now goes through the tunnel.
            Step::Reply(_) => false,
        }
    }
}
