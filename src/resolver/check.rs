//! The invariants of the resolver, swept. Changes nothing, and no release path calls it.

use super::Resolver;
use super::limits::{QUERIES_MAX, QUERIES_PER_CLIENT_MAX};
use super::waiters::Status;
use crate::net::Net;

impl<N: Net> Resolver<N> {
    /// Sweeps the invariants, for tests and debug builds.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        assert!(self.waiters.len() <= self.waiters_max);
        let mut waited_for = [false; QUERIES_MAX];
        let full = self.in_flight().count() == QUERIES_MAX;
        for waiter in self.waiters.iter() {
            match &waiter.status {
                Status::Joined(query) => waited_for[*query] = true,
                Status::Answered(_) => assert!(self.waiters.has_answers()),
                Status::Queued(name) => {
                    let stuck = !full && self.queries_of(waiter.client) < QUERIES_PER_CLIENT_MAX;
                    assert!(!stuck, "a name waits although a query is free");
                    assert!(self.find(name).is_none(), "a name is asked for twice");
                }
            }
        }
        for (query, waited_for) in self.queries.iter().zip(waited_for) {
            assert_eq!(query.is_some(), waited_for, "nobody waits for a query");
            let Some(query) = query else { continue };
            assert!(self.queries_of(query.client) <= QUERIES_PER_CLIENT_MAX);
        }
    }
}
