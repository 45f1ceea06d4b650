//! The invariants of the resolver, swept. Changes nothing, and no release path calls it.

use super::line::Waiting;
use super::{Resolver, SHARE_MAX, SLOTS_MAX, same, share, socket_of};

impl Resolver {
    /// Sweeps the invariants, for tests and debug builds.
    pub fn check(&self) {
        let mut waiters = self.line.len();
        waiters += self
            .settled
            .iter()
            .map(|settled| settled.waiters.len())
            .sum::<usize>();
        for (slot, query) in self.slots.iter().enumerate() {
            for half in 0..2 {
                let queued = query.as_ref().is_some_and(|query| query.is_queued(half));
                assert_eq!(self.pending.is_sending(socket_of(slot, half)), queued);
            }
            let Some(query) = query else { continue };
            assert!(!query.waiters.is_empty(), "nobody waits for a slot");
            assert!(
                query.outdated
                    || !self
                        .line
                        .iter()
                        .any(|waiting| same(&waiting.name, &query.name))
            );
            assert!(share(&self.slots, query.client) <= SHARE_MAX);
            waiters += query.waiters.len();
        }
        assert_eq!(waiters, self.waiters);
        assert!(waiters <= self.waiters_max);
        assert!(self.slots.len() <= SLOTS_MAX);
        self.pending.check();
        assert!(
            self.settled
                .iter()
                .all(|settled| !settled.waiters.is_empty())
        );
        let full = self.slots.iter().flatten().count() == SLOTS_MAX;
        let stuck = |waiting: &Waiting| !full && share(&self.slots, waiting.client) < SHARE_MAX;
        assert!(
            !self.line.iter().any(stuck),
            "a name waits beside a free slot"
        );
    }
}
