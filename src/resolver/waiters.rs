//! Everyone who waits for a name, in the order they came: for a query to become free, for the
//! answer to one, or to be told an answer.

use std::rc::Rc;

use super::answer::Answer;
use super::limits::{QUERIES_MAX, QUERIES_PER_CLIENT_MAX};
use crate::state::access::ClientKey;
use crate::state::slots::Key;

/// Clients that can have their full share while one of the queries is free.
const FULL_CLIENTS_MAX: usize = (QUERIES_MAX - 1) / QUERIES_PER_CLIENT_MAX;

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

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) client: ClientKey,
    pub(super) status: Status,
}

/// What one who waits is waiting for.
#[derive(Debug)]
pub(super) enum Status {
    /// For a query to become free for this name.
    Queued(Box<[u8]>),
    /// For the answer to the query of this index.
    Joined(usize),
    /// For [`Waiters::poll_answer`] to take the answer.
    Answered(Rc<Answer>),
}

/// The list of them. Its memory follows its length.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    list: Vec<Waiter>,
    /// Somebody may have an answer; nobody has one where this is `false`.
    has_answers: bool,
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.list.is_empty()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Waiter> {
        self.list.iter()
    }

    /// Returns `true` if [`Waiters::poll_answer`] may have something.
    pub(super) fn has_answers(&self) -> bool {
        self.has_answers
    }

    pub(super) fn push(&mut self, asker: Asker, client: ClientKey, status: Status) {
        self.has_answers |= matches!(status, Status::Answered(_));
        self.list.push(Waiter {
            asker,
            client,
            status,
        });
    }

    /// Takes an answer and returns it with the waiter whom it is for.
    pub(super) fn poll_answer(&mut self) -> Option<(Asker, Rc<Answer>)> {
        if !self.has_answers {
            return None;
        }
        // From the end, where less has to move up.
        for at in (0..self.list.len()).rev() {
            if let Status::Answered(answer) = &self.list[at].status {
                let answer = Rc::clone(answer);
                return Some((self.list.remove(at).asker, answer));
            }
        }
        self.has_answers = false;
        None
    }

    /// Gives the answer to all who wait for this query.
    pub(super) fn answer(&mut self, query: usize, answer: &Rc<Answer>) {
        for waiter in &mut self.list {
            if matches!(waiter.status, Status::Joined(joined) if joined == query) {
                waiter.status = Status::Answered(Rc::clone(answer));
                self.has_answers = true;
            }
        }
    }

    /// Takes one out of the list. Returns the query that nobody waits for any more, if there is
    /// such.
    pub(super) fn remove(&mut self, asker: Asker) -> Option<usize> {
        let at = self.list.iter().position(|waiter| waiter.asker == asker)?;
        let Status::Joined(query) = self.list.remove(at).status else {
            return None;
        };
        let is_waited_for =
            |waiter: &Waiter| matches!(waiter.status, Status::Joined(joined) if joined == query);
        (!self.list.iter().any(is_waited_for)).then_some(query)
    }

    /// Returns the first name in line whose client has less than its share of the queries, and
    /// that client. Only to be called while a query is free.
    pub(super) fn first_queued(
        &self,
        queries_of: &dyn Fn(ClientKey) -> usize,
    ) -> Option<(ClientKey, &[u8])> {
        // The line may be long and of few clients: each is counted once.
        let mut full = [None; FULL_CLIENTS_MAX];
        let mut full_count = 0;
        for waiter in &self.list {
            if let Status::Queued(name) = &waiter.status
                && !full.contains(&Some(waiter.client))
            {
                if queries_of(waiter.client) < QUERIES_PER_CLIENT_MAX {
                    return Some((waiter.client, name));
                }
                full[full_count] = Some(waiter.client);
                full_count += 1;
            }
        }
        None
    }

    /// Makes everyone who is in line for `name` wait for this query.
    pub(super) fn join(&mut self, query: usize, name: &[u8]) {
        for waiter in &mut self.list {
            if matches!(&waiter.status, Status::Queued(other) if other.eq_ignore_ascii_case(name)) {
                waiter.status = Status::Joined(query);
            }
        }
    }
}
