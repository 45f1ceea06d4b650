//! The invariants of the resolver, swept. Changes nothing, and no release path calls it.

use super::Resolver;
use super::waiters::Status;
use crate::net::Net;

impl<N: Net> Resolver<N> {
    /// Sweeps the invariants, for tests and debug builds.
    ///
    /// # Panics
    /// When one does not hold.
    pub fn check(&self) {
        assert!(self.waiters.len() <= 2 * self.waiters_max);
        assert!(self.queries.len() <= self.queries_max);
        assert!(!matches!(self.queries.last(), Some(None)), "an empty end");
        let mut waited_for = vec![false; self.queries.len()];
        let (mut in_line, mut answered) = (0, 0);
        for waiter in self.waiters.iter() {
            match &waiter.status {
                Status::Joined(_) => {}
                Status::Answered(..) => answered += 1,
                Status::Queued(_) => in_line += 1,
            }
            if let Some(query) = waiter.status.query() {
                waited_for[query] = true;
            }
        }
        assert_eq!(in_line, self.waiters.in_line());
        assert_eq!(answered, self.waiters.answered());
        assert!(self.waiters.len() - answered <= self.waiters_max);
        let is_stuck = in_line > 0 && self.has_place() && self.poll_timeout() > 0;
        assert!(!is_stuck, "a name waits although a query is free");
        for (query, waited_for) in self.queries.iter().zip(waited_for) {
            assert_eq!(query.is_some(), waited_for, "nobody waits for a query");
        }
    }
}
