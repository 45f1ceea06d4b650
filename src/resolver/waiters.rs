//! Everyone who waits for a name, in the order they came: for a query to become free, for the
//! answer to one, or to be told an answer.

use std::mem;
use std::rc::Rc;

use super::answer::Answer;
use crate::state::access::ClientKey;
use crate::state::fairness::{Source, site};
use crate::state::slots::Key;

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
    /// The number of those who wait for a query to become free.
    in_line: usize,
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

    /// Adds one who waits, and returns the index.
    pub(super) fn push(&mut self, asker: Asker, client: ClientKey, status: Status) -> usize {
        self.has_answers |= matches!(status, Status::Answered(_));
        self.in_line += usize::from(matches!(status, Status::Queued(_)));
        self.list.push(Waiter {
            asker,
            client,
            status,
        });
        self.list.len() - 1
    }

    /// The number of those who wait for a query to become free.
    pub(super) fn in_line(&self) -> usize {
        self.in_line
    }

    /// Returns `true` if that waiter is in line, and no other.
    pub(super) fn is_alone_in_line(&self, at: usize) -> bool {
        self.in_line == 1 && self.name(at).is_some()
    }

    /// The client of a waiter.
    pub(super) fn client(&self, at: usize) -> ClientKey {
        self.list[at].client
    }

    /// The name that a waiter in line asks for, and the client.
    pub(super) fn name(&self, at: usize) -> Option<(ClientKey, &[u8])> {
        match &self.list[at] {
            Waiter {
                client,
                status: Status::Queued(name),
                ..
            } => Some((*client, name)),
            _ => None,
        }
    }

    /// The clients of those who have no answer yet, each as often as it waits.
    pub(super) fn waiting(&self) -> impl Iterator<Item = ClientKey> {
        let waiting = self.list.iter();
        waiting
            .filter(|waiter| !matches!(waiter.status, Status::Answered(_)))
            .map(|waiter| waiter.client)
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
        let left = self.list.remove(at).status;
        self.leave(&left)
    }

    /// Answers the first one of `source` that has no answer, as if nobody had answered in time.
    /// Returns the query that nobody waits for any more, if there is such.
    pub(super) fn dismiss(&mut self, source: Source) -> Option<usize> {
        let waiter = self.list.iter_mut().find(|waiter| {
            source.holds(waiter.client) && !matches!(waiter.status, Status::Answered(_))
        })?;
        let dismissed = Status::Answered(Rc::new(Answer::TimedOut));
        let left = mem::replace(&mut waiter.status, dismissed);
        self.has_answers = true;
        self.leave(&left)
    }

    /// Somebody does not wait for that any more. Returns the query that nobody waits for.
    fn leave(&mut self, left: &Status) -> Option<usize> {
        self.in_line -= usize::from(matches!(left, Status::Queued(_)));
        let Status::Joined(query) = *left else {
            return None;
        };
        let is_waited_for =
            |waiter: &Waiter| matches!(waiter.status, Status::Joined(joined) if joined == query);
        (!self.list.iter().any(is_waited_for)).then_some(query)
    }

    /// Returns the index of the first in line of those whose site has fewest queries. `sites` has
    /// the number of each site's, in the order of the sites.
    pub(super) fn first_in_line(&self, sites: &[(ClientKey, usize)]) -> Option<usize> {
        let queries_of = |client| {
            let found = sites.binary_search_by_key(&site(client), |(site, _)| *site);
            found.map_or(0, |at| sites[at].1)
        };
        (0..self.list.len())
            .filter_map(|at| Some((queries_of(self.name(at)?.0), at)))
            .min()
            .map(|(_, at)| at)
    }

    /// Puts everyone who waits for this query back into line, for its name.
    pub(super) fn queue_again(&mut self, query: usize, name: &[u8]) {
        for waiter in &mut self.list {
            if matches!(waiter.status, Status::Joined(joined) if joined == query) {
                waiter.status = Status::Queued(name.into());
                self.in_line += 1;
            }
        }
    }

    /// Makes everyone who is in line for `name` wait for this query.
    pub(super) fn join(&mut self, query: usize, name: &[u8]) {
        for waiter in &mut self.list {
            if matches!(&waiter.status, Status::Queued(other) if other.eq_ignore_ascii_case(name)) {
                waiter.status = Status::Joined(query);
                self.in_line -= 1;
            }
        }
    }
}
