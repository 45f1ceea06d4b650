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
    /// It can use addresses that come after others.
    pub takes_rest: bool,
}

impl From<Key> for Asker {
    /// A session that asks for one name, to connect.
    fn from(session: Key) -> Self {
        Self {
            session,
            number: 0,
            takes_rest: true,
        }
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
    /// For the answer to the query of this index, or for the rest of it.
    Joined(usize),
    /// For [`Waiters::poll_answer`] to take the answer; then for the rest, where there is a query.
    Answered(Rc<Answer>, Option<usize>),
}

impl Status {
    /// The query that is waited for.
    pub(super) fn query(&self) -> Option<usize> {
        match *self {
            Self::Joined(query) => Some(query),
            Self::Answered(_, rest) => rest,
            Self::Queued(_) => None,
        }
    }
}

/// How many each client has of something, in the order of the clients.
pub(super) type Counts = Vec<(ClientKey, usize)>;

/// Counts one more of that client's.
pub(super) fn count(counts: &mut Counts, client: ClientKey) {
    // By insertion, as of 128 queries: the sort of std takes 2 KB.
    match place(counts, client) {
        Ok(at) => counts[at].1 += 1,
        Err(at) => counts.insert(at, (client, 1)),
    }
}

/// The index of a client in the list, or the one where it would be inserted.
fn place(counts: &[(ClientKey, usize)], client: ClientKey) -> Result<usize, usize> {
    counts.binary_search_by_key(&client, |(client, _)| *client)
}

/// The list of them. Its memory follows its length.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    list: Vec<Waiter>,
    /// The number of those who wait for a query to become free.
    in_line: usize,
    /// The number of those who have an answer.
    answered: usize,
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

    /// The number of those for whom [`Waiters::poll_answer`] has something.
    pub(super) fn answered(&self) -> usize {
        self.answered
    }

    /// Adds one who waits, and returns the index.
    pub(super) fn push(&mut self, asker: Asker, client: ClientKey, status: Status) -> usize {
        self.answered += usize::from(matches!(status, Status::Answered(..)));
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

    /// How many of each client have no answer yet.
    pub(super) fn waiting(&self) -> Counts {
        let mut waiting = Counts::new();
        for waiter in &self.list {
            if !matches!(waiter.status, Status::Answered(..)) {
                count(&mut waiting, waiter.client);
            }
        }
        waiting
    }

    /// Takes an answer and returns it with the waiter whom it is for, and whether that is all.
    pub(super) fn poll_answer(&mut self) -> Option<(Asker, Rc<Answer>, bool)> {
        if self.answered == 0 {
            return None;
        }
        // From the end, where less has to move up.
        for at in (0..self.list.len()).rev() {
            let Waiter { asker, status, .. } = &mut self.list[at];
            if let Status::Answered(answer, rest) = status {
                let (asker, answer, rest) = (*asker, Rc::clone(answer), *rest);
                self.answered -= 1;
                match rest {
                    Some(query) => *status = Status::Joined(query),
                    None => drop(self.list.remove(at)),
                }
                return Some((asker, answer, rest.is_none()));
            }
        }
        None
    }

    /// Gives the answer to all who wait for this query. With a `rest` to come, those who can use
    /// that wait on. Returns `true` if somebody does.
    pub(super) fn answer(&mut self, query: usize, answer: &Rc<Answer>, rest: bool) -> bool {
        let mut is_waited_for = false;
        for waiter in &mut self.list {
            let rest = (rest && waiter.asker.takes_rest).then_some(query);
            match &mut waiter.status {
                Status::Joined(joined) if *joined == query => {
                    waiter.status = Status::Answered(Rc::clone(answer), rest);
                    self.answered += 1;
                    is_waited_for |= rest.is_some();
                }
                // There will be none.
                Status::Answered(_, waits) if *waits == Some(query) => *waits = None,
                _ => {}
            }
        }
        is_waited_for
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
            source.holds(waiter.client) && !matches!(waiter.status, Status::Answered(..))
        })?;
        let dismissed = Status::Answered(Rc::new(Answer::TimedOut), None);
        let left = mem::replace(&mut waiter.status, dismissed);
        self.answered += 1;
        self.leave(&left)
    }

    /// Somebody does not wait for that any more. Returns the query that nobody waits for.
    fn leave(&mut self, left: &Status) -> Option<usize> {
        match left {
            Status::Joined(_) => {}
            Status::Queued(_) => self.in_line -= 1,
            Status::Answered(..) => self.answered -= 1,
        }
        let query = left.query()?;
        let is_waited_for = |waiter: &Waiter| waiter.status.query() == Some(query);
        (!self.list.iter().any(is_waited_for)).then_some(query)
    }

    /// Returns the index of the first in line of those whose site has fewest queries. `sites` has
    /// the number of each site's, in the order of the sites.
    pub(super) fn first_in_line(&self, sites: &[(ClientKey, usize)]) -> Option<usize> {
        let mut first = None;
        for (at, waiter) in self.list.iter().enumerate() {
            if matches!(waiter.status, Status::Queued(_)) {
                let found = place(sites, site(waiter.client));
                let queries = found.map_or(0, |at| sites[at].1);
                if first.is_none_or(|(fewest, _)| queries < fewest) {
                    first = Some((queries, at));
                }
            }
        }
        first.map(|(_, at)| at)
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
