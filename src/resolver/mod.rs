//! Names to addresses, asked of name servers over a [`Net`].
//!
//! `start` takes a name and `poll_answer` gives what became of it. An event only marks its
//! socket; `run`, once per pass of the loop, does a bounded amount of work, and `poll_timeout` is
//! 0 while some is left. What one name needs is decided in `query`, without a socket or a clock;
//! `exchange` is the socket of one attempt at a server.
//!
//! So many names are looked up at once, the others wait in line, those of the client first that
//! has fewest under way. In a full table the name that has been asked for longest makes room for
//! the first in line, of the client that has most (`state::fairness`): dead names delay nobody.
//! Who asks for a name in flight joins it.

mod admission;
mod answer;
mod check;
mod exchange;
mod limits;
mod local;
mod query;
mod waiters;

use std::rc::Rc;

pub use self::answer::{Answer, Servers};
use self::exchange::{ANSWER_BYTES, Exchange, is_of_server};
use self::limits::{PATIENCE_MS, RECEIVES_MAX, SENDS_MAX};
use self::query::{Query, Received};
pub use self::waiters::Asker;
use self::waiters::{Status, Waiters};
use crate::config::dns::DnsSettings;
use crate::net::{Errno, Event, Millis, NEVER, Net};
use crate::state::access::ClientKey;
use crate::state::slots::{Key, Role, Token};

/// Sums since the start.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries sent, retries included.
    pub sent: u64,
    /// Messages accepted, whatever they said.
    pub answered: u64,
    /// Attempts that no answer came to in time.
    pub timed_out: u64,
    /// Messages refused: forged or malformed.
    pub refused: u64,
}

/// All names being looked up, and their sockets.
///
/// A socket has an index: twice that of its query, plus one for AAAA.
pub struct Resolver<N: Net> {
    settings: Rc<DnsSettings>,
    /// How long a client waits for a name and a connection to it.
    patience_ms: u32,
    /// A query is allocated while it is in flight. No longer than up to the last of them.
    queries: Vec<Option<Box<Query<Exchange<N>>>>>,
    queries_max: usize,
    /// Those who have asked and not been answered.
    waiters: Waiters,
    waiters_max: usize,
    /// More of those in line may get a place at once.
    admits_more: bool,
    /// When [`Self::run`] has run last.
    ran_at: Millis,
    /// When a server has answered last.
    answered_at: Millis,
    /// Index of the socket with which the search for the next query to send begins, so that
    /// each has its turn.
    next_send: usize,
    /// The generation in the token of the socket opened last: an event of a closed socket does
    /// not fit the next one of that index.
    generation: u16,
    /// Index of the server that the next name begins with: the one that answered last, or with
    /// `rotate` the next.
    first_server: usize,
    /// Servers that are asked without EDNS, a bit for each.
    plain: u8,
    counters: Counters,
}

impl<N: Net> Resolver<N> {
    /// A resolver for at most `queries_max` names and `waiters_max` askers at once, who wait
    /// `patience_ms` for a name and a connection to it. Holds no memory and no socket yet.
    pub fn new(
        settings: DnsSettings,
        queries_max: usize,
        waiters_max: usize,
        patience_ms: u32,
    ) -> Self {
        Self {
            settings: Rc::new(settings.within(patience_ms)),
            patience_ms,
            queries: Vec::new(),
            queries_max,
            waiters: Waiters::default(),
            waiters_max,
            admits_more: false,
            ran_at: 0,
            answered_at: 0,
            next_send: 0,
            generation: 0,
            first_server: 0,
            plain: 0,
            counters: Counters::default(),
        }
    }

    /// Replaces the settings (SIGHUP). Names in flight finish with the old ones, and nobody
    /// joins them any more.
    pub fn set_settings(&mut self, settings: DnsSettings) {
        self.settings = Rc::new(settings.within(self.patience_ms));
        self.first_server = 0;
        self.plain = 0;
    }

    /// What it works with, and how long its askers wait.
    pub fn settings(&self) -> (&DnsSettings, u32) {
        (&self.settings, self.patience_ms)
    }

    /// Starts to look up `name` for an asker: 1 to 253 bytes, not a literal address, no NUL,
    /// space or control characters. The answer comes with the next [`Self::poll_answer`] at the
    /// earliest. Returns `false` if too many wait already.
    #[must_use]
    pub fn start(&mut self, asker: impl Into<Asker>, client: ClientKey, name: &[u8]) -> bool {
        let is_full = self.waiters.len() - self.waiters.answered() >= self.waiters_max;
        if is_full && !self.dismiss(client) {
            return false;
        }
        let status = if let Some(answer) = local::lookup(&self.settings, name) {
            Status::Answered(Rc::new(answer), None)
        } else if let Some(query) = self.find(name) {
            Status::Joined(query)
        } else {
            Status::Queued(name.into())
        };
        let at = self.waiters.push(asker.into(), client, status);
        if self.waiters.is_alone_in_line(at) && self.has_place() {
            self.begin(at);
        }
        true
    }

    /// Forgets what `asker` asked for: no answer comes any more. Ends the query if nobody else
    /// waits for it.
    pub fn cancel(&mut self, asker: impl Into<Asker>) {
        if let Some(query) = self.waiters.remove(asker.into()) {
            self.drop_query(query);
        }
    }

    /// Marks the socket that an event is about. Events of sockets closed since are dropped.
    pub fn handle_event(&mut self, event: &Event) {
        if let Some(exchange) = self.exchange(event.token.key().index()) {
            exchange.handle_event(event.token);
        }
    }

    /// Does what is to be done now: receives, sends, and gives up where an answer was due by
    /// `until` and no event has told of one. Once per pass of the loop, after the sessions have
    /// had their turns and before the answers are taken.
    pub fn run(&mut self, net: &mut N, until: Millis) {
        // Without waiters there are no queries.
        if self.waiters.is_empty() {
            return;
        }
        let now = net.now();
        if self.in_flight().any(is_ready) {
            self.receive(now);
        }
        self.expire(until);
        self.ran_at = until;
        self.admit(until);
        for _ in 0..SENDS_MAX {
            let Some(index) = self.next_queued() else {
                break;
            };
            self.send(net, index, now);
        }
    }

    /// Takes the next answer and returns it with the one whom it is for, and whether that is all:
    /// otherwise the rest comes, the addresses of the other family or that there are none.
    pub fn poll_answer(&mut self) -> Option<(Asker, Rc<Answer>, bool)> {
        self.waiters.poll_answer()
    }

    /// Returns when [`Self::run`] or [`Self::poll_answer`] is due, in the unit of [`Net::now`]; 0
    /// means that something is left to do at once.
    pub fn poll_timeout(&self) -> Millis {
        let has_line = self.waiters.in_line() > 0;
        let has_answers = self.waiters.answered() > 0;
        if has_answers || has_line && (self.admits_more || self.has_place()) {
            return 0;
        }
        let mut next = NEVER;
        for query in self.in_flight() {
            let is_queued = query.is_queued(0) || query.is_queued(1);
            if is_queued || is_ready(query) {
                return 0;
            }
            next = next.min(query.due());
            let tired = query.since().saturating_add(PATIENCE_MS);
            if has_line && tired > self.ran_at {
                next = next.min(tired);
            }
        }
        next
    }

    /// Returns the number of queries, waiters and sockets: 0 when nothing is held for anyone.
    pub fn live(&self) -> usize {
        self.in_flight().count() + self.waiters.len() + self.sockets_open()
    }

    /// Returns the sums since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Reads from every socket that is marked.
    fn receive(&mut self, now: Millis) {
        let mut buf = [0; ANSWER_BYTES];
        for index in 0..self.sockets() {
            for _ in 0..RECEIVES_MAX {
                let exchange = self.exchange(index);
                // Gone with the answer, or drained.
                let Some(exchange) = exchange.filter(|exchange| exchange.is_ready()) else {
                    break;
                };
                match exchange.receive(&mut buf) {
                    Ok(Some(len)) => self.handle_message(index, &buf[..len], now),
                    Ok(None) => {}
                    Err(_) => self.handle_failure(index, now),
                }
            }
        }
    }

    /// Takes a message that came on a socket.
    fn handle_message(&mut self, index: usize, message: &[u8], now: Millis) {
        let Some(Some(query)) = self.queries.get_mut(index / 2) else {
            return;
        };
        match query.handle_message(index % 2, message, now) {
            Received::NotOurs => {
                self.counters.refused += 1;
                return;
            }
            Received::Failure => {}
            Received::Answer => {
                self.answered_at = now;
                // So that a dead server in front costs its time once.
                if Rc::ptr_eq(&query.settings, &self.settings) {
                    self.plain |= query.plain;
                    if !self.settings.rotate {
                        self.first_server = query.first_server;
                    }
                }
            }
        }
        self.counters.answered += 1;
        self.conclude(index / 2, now);
    }

    /// An attempt has failed in the network: refused, unreachable, closed by the server.
    fn handle_failure(&mut self, index: usize, now: Millis) {
        if let Some(Some(query)) = self.queries.get_mut(index / 2) {
            query.fail(index % 2);
        }
        self.conclude(index / 2, now);
    }

    /// Does what is due: lost attempts go to the next server, and addresses that are enough
    /// become an answer.
    fn expire(&mut self, now: Millis) {
        for number in 0..self.queries.len() {
            if let Some(Some(query)) = self.queries.get_mut(number)
                && query.due() <= now
            {
                self.counters.timed_out += query.expire(now);
                self.conclude(number, now);
            }
        }
    }

    /// Returns the index of a socket over which a query is to be sent.
    fn next_queued(&mut self) -> Option<usize> {
        let sockets = self.sockets();
        for _ in 0..sockets {
            let index = self.next_send % sockets;
            self.next_send = index + 1;
            let query = self.queries[index / 2].as_ref();
            if query.is_some_and(|query| query.is_queued(index % 2)) {
                return Some(index);
            }
        }
        None
    }

    /// Sends a query over a fresh socket.
    fn send(&mut self, net: &mut N, index: usize, now: Millis) {
        let Some(Some(query)) = self.queries.get_mut(index / 2) else {
            return;
        };
        self.counters.sent += 1;
        self.generation = self.generation.wrapping_add(1);
        let place = u16::try_from(index).expect("there are 256 sockets");
        let token = Token::new(Key::new(place, self.generation), Role::Dns);
        let exchange = match open(net, query, index % 2, token) {
            Ok(exchange) => Some(exchange),
            Err(error) if is_of_server(error) => return self.handle_failure(index, now),
            // No descriptor, memory or randomness: another server would fare no better. The
            // attempt counts as lost when its time is up.
            Err(_) => None,
        };
        query.set_asked(index % 2, exchange, now);
    }

    /// Begins with the name in line of that waiter. A place is free.
    fn begin(&mut self, at: usize) {
        let Some((client, name)) = self.waiters.name(at) else {
            return;
        };
        self.first_server += usize::from(self.settings.rotate);
        if self.first_server >= self.settings.servers.len() {
            self.first_server = 0;
        }
        let settings = Rc::clone(&self.settings);
        let mut query = Query::new(client, name.into(), settings, self.first_server, self.plain);
        let free = self.queries.iter().position(Option::is_none);
        let number = free.unwrap_or(self.queries.len());
        self.waiters.join(number, &query.name);
        match query.next_candidate() {
            Some(answer) => {
                self.waiters.answer(number, &Rc::new(answer), false);
            }
            None if number < self.queries.len() => self.queries[number] = Some(query),
            None => self.queries.push(Some(query)),
        }
    }

    /// Returns `true` if a name can be looked up beside the others.
    fn has_place(&self) -> bool {
        self.queries.len() < self.queries_max || self.queries.iter().any(Option::is_none)
    }

    /// The number of indices that sockets have.
    fn sockets(&self) -> usize {
        2 * self.queries.len()
    }

    /// Ends a query.
    fn drop_query(&mut self, number: usize) {
        self.queries[number] = None;
        while let Some(None) = self.queries.last() {
            self.queries.pop();
        }
    }

    /// Gives the answer of a query to those who wait for it, if it is over.
    fn conclude(&mut self, number: usize, now: Millis) {
        if let Some(Some(query)) = self.queries.get_mut(number)
            && let Some(answer) = query.conclude(now)
        {
            let rest = query.is_given() && query.is_open();
            if !self.waiters.answer(number, &Rc::new(answer), rest) {
                self.drop_query(number);
            }
        }
    }

    /// Returns the number of the query for a name, if somebody may join it: not one that has been
    /// answered, but for the second family.
    fn find(&self, name: &[u8]) -> Option<usize> {
        self.queries.iter().position(|query| {
            query.as_ref().is_some_and(|query| {
                Rc::ptr_eq(&query.settings, &self.settings)
                    && !query.is_given()
                    && query.name.eq_ignore_ascii_case(name)
            })
        })
    }

    /// The queries in flight.
    fn in_flight(&self) -> impl Iterator<Item = &Query<Exchange<N>>> {
        self.queries.iter().flatten().map(Box::as_ref)
    }

    /// The number of sockets that are open.
    fn sockets_open(&self) -> usize {
        let of_query = |query: &Query<_>| query.exchanges().count();
        self.in_flight().map(of_query).sum()
    }

    /// Returns the exchange on the socket with this index.
    fn exchange(&mut self, index: usize) -> Option<&mut Exchange<N>> {
        let query = self.queries.get_mut(index / 2)?.as_deref_mut()?;
        query.exchange(index % 2)
    }
}

/// Returns `true` if something may have come for a query.
fn is_ready<N: Net>(query: &Query<Exchange<N>>) -> bool {
    query.exchanges().any(Exchange::is_ready)
}

/// Opens a socket for one half of a query and sends its question, with a random id.
fn open<N: Net>(
    net: &mut N,
    query: &mut Query<Exchange<N>>,
    half: usize,
    token: Token,
) -> Result<Exchange<N>, Errno> {
    let mut id = [0; 2];
    // Whatever the reason, it is not the server's fault.
    net.random(&mut id).map_err(|_| Errno::EIO)?;
    let message = query.message(half, u16::from_be_bytes(id));
    let (server, transport) = query.server(half);
    Exchange::open(net, server, transport, token, &message)
}

#[cfg(test)]
mod tests;
