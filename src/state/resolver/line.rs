//! The names that wait for a slot, in the order they came.
//!
//! Bounded by the resolver's count of waiters, which covers the line too.

use std::collections::VecDeque;

use super::{SHARE_MAX, SLOTS_MAX, same};
use crate::state::access::Source;
use crate::state::slots::Key;

/// Clients that can have their full share while a slot is free.
const FULL_CLIENTS_MAX: usize = (SLOTS_MAX - 1) / SHARE_MAX;

/// Who asks for a name: a session, which may ask for several at once by numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The session.
    pub session: Key,
    /// Which of its names.
    pub number: u8,
}

impl From<Key> for Asker {
    /// A session that asks for one name.
    fn from(session: Key) -> Self {
        Self { session, number: 0 }
    }
}

/// A name in line for a slot.
#[derive(Debug)]
pub(super) struct Waiting {
    pub(super) asker: Asker,
    pub(super) client: Source,
    pub(super) name: Box<[u8]>,
}

/// The line. Its memory follows its length.
#[derive(Debug, Default)]
pub(super) struct Line {
    names: VecDeque<Waiting>,
}

impl Line {
    pub(super) fn len(&self) -> usize {
        self.names.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    pub(super) fn iter(&self) -> impl Iterator<Item = &Waiting> {
        self.names.iter()
    }

    pub(super) fn push(&mut self, waiting: Waiting) {
        self.names.push_back(waiting);
    }

    /// Takes a session out of the line; how often it was there.
    pub(super) fn remove(&mut self, session: Key) -> usize {
        let before = self.names.len();
        self.names
            .retain(|waiting| waiting.asker.session != session);
        before - self.names.len()
    }

    /// Takes the first whose client is below its share, by `slots_of`. Only to be called while
    /// a slot is free.
    pub(super) fn admit(&mut self, slots_of: impl Fn(Source) -> usize) -> Option<Waiting> {
        // The line may be long and of few clients: each is counted once.
        let mut full = [None; FULL_CLIENTS_MAX];
        let mut full_count = 0;
        let place = self.names.iter().position(|waiting| {
            if full.contains(&Some(waiting.client)) {
                return false;
            }
            let below = slots_of(waiting.client) < SHARE_MAX;
            if !below {
                full[full_count] = Some(waiting.client);
                full_count += 1;
            }
            below
        });
        self.names.remove(place?)
    }

    /// Moves everyone who waits for `name` to `waiters`.
    pub(super) fn take_same(&mut self, name: &[u8], waiters: &mut Vec<Asker>) {
        self.names.retain(|waiting| {
            let joins = same(&waiting.name, name);
            if joins {
                waiters.push(waiting.asker);
            }
            !joins
        });
        if self.names.is_empty() {
            self.names = VecDeque::new();
        }
    }
}
