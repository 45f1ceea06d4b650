//! What tests and checks ask of a server. Nothing here is called while it serves.

use super::Server;
use crate::net::Net;
use crate::session::Session;
use crate::state::clients::Table;
use crate::state::pipes::Pool;

/// What is in use: all zero when nobody is connected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Census {
    /// Sessions.
    pub sessions: usize,
    /// Buffers out of the pool.
    pub buffers: usize,
    /// Pipes out of the pool.
    pub pipes: usize,
    /// Entries of the table of openings.
    pub openings: usize,
    /// Armed timers.
    pub timers: usize,
    /// Lookups under way and those who wait for them.
    pub queries: usize,
    /// Entries of the tables of HTTP heads, and of long ones.
    pub heads: (usize, usize),
    /// Tunnels, associations and exchanges that are established.
    pub established: usize,
    /// BINDs that wait for their peer.
    pub binds: usize,
    /// UDP associations.
    pub associations: usize,
    /// Names being looked up for these, and bytes of the datagrams that wait for them.
    pub waiting: (usize, usize),
    /// Connection attempts beside the first of each race.
    pub spare_attempts: usize,
}

impl<N: Net> Server<N> {
    /// What is in use.
    pub fn census(&self) -> Census {
        Census {
            sessions: self.sessions.len(),
            buffers: self.shared.pool.buffers.quota().used(),
            pipes: self.shared.pool.pipes.quota().used(),
            openings: self.used(Table::Openings),
            timers: self.shared.timers.armed() + self.shared.alarms.armed(),
            queries: self.shared.resolver.live(),
            heads: (self.used(Table::Heads), self.used(Table::LongHeads)),
            established: self.used(Table::Established),
            binds: self.used(Table::Binds),
            associations: self.used(Table::Associations),
            waiting: (
                self.shared.associations.lookups,
                self.shared.associations.held_bytes,
            ),
            spare_attempts: self.shared.spare_attempts(),
        }
    }

    /// Checks what must always hold and takes a walk over all sessions; for tests.
    ///
    /// # Panics
    /// When it does not hold.
    pub fn check(&self) {
        let Pool { buffers, pipes } = &self.shared.pool;
        let mut held = (0, 0);
        for (in_buffers, in_pipes) in self.sessions.iter().map(|session| session.holds(buffers)) {
            held = (held.0 + in_buffers, held.1 + in_pipes);
        }
        let taken = (buffers.quota().used(), pipes.quota().used());
        assert_eq!(held, taken, "a buffer or a pipe has no owner");
        let opening = self
            .sessions
            .iter()
            .filter(|session| session.is_opening())
            .count();
        assert_eq!(
            opening,
            self.used(Table::Openings),
            "an opening has no owner"
        );
        let associated = self
            .sessions
            .iter()
            .filter(|session| session.is_associated())
            .count();
        assert_eq!(
            associated,
            self.used(Table::Associations),
            "an association has no owner"
        );
        assert!(
            !self.sessions.iter().any(Session::is_deaf),
            "something is there, and nobody reads it"
        );
        assert!(
            !self.sessions.iter().any(Session::is_forgotten),
            "a flow waits for a tick, and its session does not"
        );
        let keys = self.sessions.keys();
        let waiting = self.queues.resting.iter().filter(|key| keys.contains(key));
        let resting = self.sessions.iter().filter(|session| session.is_resting());
        assert_eq!(
            waiting.count(),
            resting.count(),
            "a tick has been forgotten"
        );
        let clients = self.shared.clients.len();
        assert!(
            clients <= self.sessions.len(),
            "a client without sessions is remembered"
        );
        self.shared.resolver.check();
    }
}
