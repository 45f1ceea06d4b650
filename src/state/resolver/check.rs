//! The invariants of the resolver, swept. Changes nothing, and no release path calls it.

use super::waiters::Place;
use super::{Resolver, SHARE_MAX, SLOTS_MAX, share};

impl Resolver {
    /// Sweeps the invariants, for tests and debug builds.
    pub fn check(&self) {
        assert!(self.waiters.len() <= self.waiters_max);
        let mut waited_for = [false; SLOTS_MAX];
        let full = self.slots.iter().flatten().count() == SLOTS_MAX;
        for waiter in self.waiters.iter() {
            match &waiter.place {
                Place::Slot(slot) => waited_for[*slot] = true,
                Place::Told(_) => assert!(self.has_answers()),
                Place::Line(name) => {
                    let stuck = !full && share(&self.slots, waiter.client) < SHARE_MAX;
                    assert!(!stuck, "a name waits beside a free slot");
                    assert!(self.in_flight(name).is_none(), "a name is asked for twice");
                }
            }
        }
        for (query, waited_for) in self.slots.iter().zip(waited_for) {
            assert_eq!(query.is_some(), waited_for, "nobody waits for a slot");
            let Some(query) = query else { continue };
            assert!(share(&self.slots, query.client) <= SHARE_MAX);
        }
    }
}
