//! Which of the names in line gets a place, and who makes room for it.

use std::rc::Rc;

use super::Resolver;
use super::answer::Answer;
use super::limits::{PATIENCE_MS, SENDS_MAX};
use super::query::Query;
use super::waiters::{Counts, count};
use crate::net::{Millis, Net};
use crate::state::access::ClientKey;
use crate::state::fairness::{Giver, giver, site};

impl<N: Net> Resolver<N> {
    /// Gives places to names in line, as many as can be sent at once.
    pub(super) fn admit(&mut self, now: Millis) {
        self.admits_more = false;
        if self.waiters.in_line() == 0 {
            return;
        }
        for _ in 0..SENDS_MAX {
            let sites = self.taken(site);
            let Some(at) = self.waiters.first_in_line(&sites) else {
                return;
            };
            if !self.has_place() && !self.make_room(self.waiters.client(at), now) {
                return;
            }
            self.begin(at);
        }
        self.admits_more = true;
    }

    /// Takes a place for `newcomer` in a full table. Returns `false` if there is none yet.
    ///
    /// Who has more than the fair share gives one at once, as long as the newcomer has not as many
    /// by that: what has waited longest goes back into line if it has not waited for long. A name
    /// that has, gives its place to anybody who may take one from its client. Before all of them one
    /// goes that has been answered, but for the second family.
    fn make_room(&mut self, newcomer: ClientKey, now: Millis) -> bool {
        let is_given =
            |query: &Option<Box<Query<_>>>| query.as_ref().is_some_and(|query| query.is_given());
        if let Some(number) = self.queries.iter().position(is_given) {
            self.give_up(number);
            return true;
        }
        let taken = self.taken(|client| client);
        let giver = giver(&mut taken.into_iter(), newcomer, self.queries_max);
        let mut longest = None::<(usize, &Query<_>)>;
        for (number, query) in self.queries.iter().enumerate() {
            if let Some(query) = query
                && giver.is_none_or(|giver| giver.source.holds(query.client))
                && longest.is_none_or(|(_, longest)| query.since() < longest.since())
            {
                longest = Some((number, query));
            }
        }
        let Some((number, query)) = longest else {
            return false;
        };
        let is_tired = query.since().saturating_add(PATIENCE_MS) <= now;
        let victim = query.client;
        let is_taken = |giver: Giver| {
            giver.is_above_share
                && !giver.source.holds(newcomer)
                // As far behind another site it is in any case.
                && (site(newcomer) != site(victim) || self.is_far_behind(newcomer, victim))
        };
        if is_tired {
            self.pass_over_silent_server(number);
            self.give_up(number);
        } else if giver.is_some_and(is_taken) {
            self.waiters.queue_again(number, &query.name);
            self.drop_query(number);
        } else {
            return false;
        }
        true
    }

    /// A query ends without an answer.
    fn give_up(&mut self, number: usize) {
        let answer = Rc::new(Answer::TimedOut);
        self.waiters.answer(number, &answer, false);
        self.drop_query(number);
    }

    /// The number of each client's queries, or of each site's.
    fn taken(&self, source: fn(ClientKey) -> ClientKey) -> Counts {
        let mut taken = Counts::new();
        for query in self.in_flight() {
            count(&mut taken, source(query.client));
        }
        taken
    }

    /// Returns `true` if a client has at least two queries fewer than another one: they would take
    /// the same place from one another without end otherwise.
    fn is_far_behind(&self, client: ClientKey, other: ClientKey) -> bool {
        let (mut fewer, mut more) = (0, 0);
        for query in self.in_flight() {
            fewer += usize::from(query.client == client);
            more += usize::from(query.client == other);
        }
        fewer + 1 < more
    }

    /// A query is given up before its servers had their time. Where nothing was answered since it
    /// began, the next names begin with the next server, as if its own had been waited for.
    fn pass_over_silent_server(&mut self, number: usize) {
        if let Some(Some(query)) = self.queries.get(number)
            && self.answered_at <= query.since()
            && Rc::ptr_eq(&query.settings, &self.settings)
            && self.first_server == query.first_server
        {
            self.first_server = (self.first_server + 1) % self.settings.servers.len();
        }
    }

    /// Takes a place among those who wait for `newcomer`: the first of the client that has most,
    /// if that is above its share, gets no answer. Returns `false` if there is none.
    pub(super) fn dismiss(&mut self, newcomer: ClientKey) -> bool {
        // Those who have been dismissed are in the list until the end of this pass.
        if self.waiters.len() >= 2 * self.waiters_max {
            return false;
        }
        let waiting = self.waiters.waiting();
        let most = giver(&mut waiting.into_iter(), newcomer, self.waiters_max);
        let Some(most) = most.filter(|most| most.is_above_share) else {
            return false;
        };
        if let Some(query) = self.waiters.dismiss(most.source) {
            self.drop_query(query);
        }
        true
    }
}
