//! The resolver as a state machine: names in, addresses out, driven from outside.
//!
//! `start` takes a name, `poll_action` says what to send, `handle_*` take what came of it, and
//! `poll_answer` gives the answers. No sockets (they are numbers here), no clock (`now` is an
//! argument, in milliseconds), no randomness (the driver chooses ids). `names.rs` drives it.
//!
//! A name takes one of 64 slots, or waits in line for one. A client has 16 slots at most, so
//! dead names never delay another client's. Who asks for a name in flight joins it.

mod action;
mod check;
mod local;
mod query;
mod waiters;

use std::rc::Rc;

pub use self::action::Action;
use self::query::{Query, Stand, Step};
pub use self::waiters::Asker;
use self::waiters::{Place, Waiters};
use crate::config::dns::DnsSettings;
use crate::net::{Millis, NEVER};
use crate::state::access::ClientKey;
use crate::state::slots::Key;
pub use crate::wire::dns::Addresses;
use crate::wire::dns::QUERY_MAX;

/// Names being asked for at once. Two sockets each, so 128 descriptors of a router's usual
/// 1,024; a client's page load asks for a dozen.
pub const SLOTS_MAX: usize = 64;

/// Slots of one client: a quarter, so that it takes four clients with nothing but dead names
/// to fill the table.
pub const SHARE_MAX: usize = 16;

/// Socket numbers: slot times two, plus one for AAAA.
pub const SOCKETS_MAX: usize = SLOTS_MAX * 2;

/// What became of a name.
// Always behind an `Rc`, one for all who wait for it.
#[allow(clippy::large_enum_variant)]
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its addresses, 8 per family at most, in the order to try them.
    Found(Addresses),
    /// It does not exist, or has no address of an allowed family.
    NoSuchName,
    /// No server was able or willing to answer.
    Failed,
    /// No server answered in time.
    TimedOut,
}

/// Sums since the start, for the log.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counters {
    /// Queries sent, retries included.
    pub sent: u64,
    /// Messages accepted, whatever they said.
    pub answered: u64,
    /// Attempts that no answer came to in time.
    pub timed_out: u64,
    /// Messages refused: forged, late or malformed.
    pub refused: u64,
}

/// All names being looked up.
#[derive(Debug)]
pub struct Resolver {
    settings: Rc<DnsSettings>,
    /// A query is only allocated while it stands.
    slots: [Option<Box<Query>>; SLOTS_MAX],
    /// Those who have asked and not been answered.
    waiters: Waiters,
    waiters_max: usize,
    /// The sockets that are to be closed.
    closing: [bool; SOCKETS_MAX],
    /// Where the search for the next send begins, so that all sockets have their turns.
    turn: u16,
    serial: u16,
    /// Where the next name begins: the server that answered last, or with `rotate` the next.
    first: usize,
    counters: Counters,
}

impl Resolver {
    /// A resolver for at most `waiters_max` askers at once.
    pub fn new(settings: DnsSettings, waiters_max: usize) -> Self {
        Self {
            settings: Rc::new(settings),
            slots: [const { None }; SLOTS_MAX],
            waiters: Waiters::default(),
            waiters_max,
            closing: [false; SOCKETS_MAX],
            turn: 0,
            serial: 0,
            first: 0,
            counters: Counters::default(),
        }
    }

    /// Replaces the settings. Names that have a slot finish with the old ones, and nobody
    /// joins them any more.
    pub fn set_settings(&mut self, settings: DnsSettings) {
        self.settings = Rc::new(settings);
        self.first = 0;
    }

    /// Starts to look up `name` for an asker: 1 to 253 bytes, not a literal address, no NUL,
    /// space or control characters. An asker has one name at a time. `false`: too many wait.
    #[must_use]
    pub fn start(&mut self, asker: Asker, client: ClientKey, name: &[u8]) -> bool {
        if self.waiters.len() >= self.waiters_max {
            return false;
        }
        let place = if let Some(answer) = local::lookup(&self.settings, name) {
            Place::Told(answer)
        } else if let Some(slot) = self.in_flight(name) {
            Place::Slot(slot)
        } else {
            Place::Line(name.into())
        };
        self.waiters.push(asker, client, place);
        self.admit();
        true
    }

    /// Forgets all that a session asked for. A slot is free again if nobody else waits.
    pub fn cancel(&mut self, session: Key) {
        let left = self.waiters.remove(session);
        for slot in 0..SLOTS_MAX {
            if left >> slot & 1 != 0 {
                self.vacate(slot);
            }
        }
        self.admit();
    }

    /// The next thing to do; `None` when all is done. A `Send` starts its attempt's time.
    /// Closing comes first, as it frees descriptors.
    pub fn poll_action(&mut self, now: u64) -> Option<Action> {
        for (socket, closing) in (0..).zip(&mut self.closing) {
            if std::mem::take(closing) {
                return Some(Action::Close { socket });
            }
        }
        for _ in 0..SOCKETS_MAX {
            let socket = self.turn;
            self.turn = if usize::from(socket) + 1 < SOCKETS_MAX {
                socket + 1
            } else {
                0
            };
            // A key of `slots` carries the serial through epoll, cut to 13 bits.
            let serial = Key::new(socket, self.serial.wrapping_add(1)).generation();
            if let Some((query, half)) = self.query_of(socket)
                && let Some((server, tcp)) = query.sent(half, serial, now)
            {
                self.serial = serial;
                self.counters.sent += 1;
                return Some(Action::Send {
                    socket,
                    serial,
                    server,
                    tcp,
                });
            }
        }
        None
    }

    /// Writes the message that a `Send` asked for, with an id that nobody can predict. Gives
    /// its length; `None` if the attempt is over already.
    pub fn message(&mut self, socket: u16, id: u16, out: &mut [u8; QUERY_MAX]) -> Option<usize> {
        let (query, half) = self.query_of(socket)?;
        query.message(half, id, out)
    }

    /// Takes a message, from a datagram or from a stream without its length.
    pub fn handle_message(&mut self, socket: u16, serial: u16, message: &[u8], now: u64) {
        let Some((query, half)) = self.awaiting(socket, serial) else {
            self.counters.refused += 1;
            return;
        };
        let (step, has_answered) = query.handle(half, message, now);
        // So that a dead server in front costs its time once.
        let (first, settings) = (query.first, Rc::as_ptr(&query.settings));
        if has_answered && settings == Rc::as_ptr(&self.settings) && !self.settings.rotate {
            self.first = first;
        }
        if step == Step::Wait {
            self.counters.refused += 1;
        } else {
            self.counters.answered += 1;
        }
        self.follow(socket, step, now);
    }

    /// The attempt has failed in the network: refused, unreachable, closed by the server.
    pub fn handle_error(&mut self, socket: u16, serial: u16, now: u64) {
        if let Some((query, half)) = self.awaiting(socket, serial) {
            let step = query.fail(half);
            self.follow(socket, step, now);
        }
    }

    /// Does what is due: lost attempts go to the next server, delays end.
    pub fn handle_timeout(&mut self, now: u64) {
        for slot in 0..SLOTS_MAX {
            let due = self.slots[slot].as_ref().map_or(NEVER, |query| query.due());
            if now < due {
                continue;
            }
            for half in 0..2 {
                if let Some(query) = &mut self.slots[slot] {
                    let step = query.expire(half, now);
                    self.counters.timed_out += u64::from(step != Step::Wait);
                    self.follow(socket_of(slot, half), step, now);
                }
            }
            self.settle(slot, now);
        }
        self.admit();
    }

    /// When [`Self::handle_timeout`] has something to do. Pending actions and answers are not
    /// part of it: the driver polls them until there are none.
    pub fn poll_timeout(&self) -> Millis {
        let mut next = NEVER;
        for query in self.slots.iter().flatten() {
            next = next.min(query.due());
        }
        next
    }

    /// Whether [`Self::poll_action`] has something.
    pub fn has_actions(&self) -> bool {
        let mut queries = self.slots.iter().flatten();
        self.closing.contains(&true)
            || queries.any(|query| query.is_queued(0) || query.is_queued(1))
    }

    /// Whether [`Self::poll_answer`] may have something.
    pub fn has_answers(&self) -> bool {
        self.waiters.has_told()
    }

    /// The next answer and whom it is for.
    pub fn poll_answer(&mut self) -> Option<(Asker, Rc<Answer>)> {
        self.waiters.take()
    }

    /// Slots in use and askers waiting: 0 when nothing is held for anyone.
    pub fn live(&self) -> usize {
        self.slots.iter().flatten().count() + self.waiters.len()
    }

    /// The sums since the start.
    pub fn counters(&self) -> Counters {
        self.counters
    }

    /// Gives free slots to the first in line whose client is below its share.
    fn admit(&mut self) {
        // Bounded: every round takes a name out of the line.
        while let Some(slot) = self.slots.iter().position(Option::is_none) {
            let slots_of = |client| share(&self.slots, client);
            let Some((client, name)) = self.waiters.first(&slots_of) else {
                return;
            };
            self.first += usize::from(self.settings.rotate);
            if self.first >= self.settings.servers.len() {
                self.first = 0;
            }
            let settings = Rc::clone(&self.settings);
            let mut query = Query::new(client, name.into(), settings, self.first);
            self.waiters.enter(slot, &query.name);
            let stand = query.advance();
            self.slots[slot] = Some(query);
            self.conclude(slot, stand);
        }
    }

    /// The slot of a name, if somebody may join it.
    fn in_flight(&self, name: &[u8]) -> Option<usize> {
        self.slots.iter().position(|slot| {
            slot.as_ref().is_some_and(|query| {
                Rc::ptr_eq(&query.settings, &self.settings) && query.name.eq_ignore_ascii_case(name)
            })
        })
    }

    /// The query and the half that a socket belongs to.
    fn query_of(&mut self, socket: u16) -> Option<(&mut Query, usize)> {
        let socket = usize::from(socket);
        let query = self.slots.get_mut(socket / 2)?.as_deref_mut()?;
        Some((query, socket % 2))
    }

    /// The same, if it still waits for this attempt.
    fn awaiting(&mut self, socket: u16, serial: u16) -> Option<(&mut Query, usize)> {
        self.query_of(socket)
            .filter(|(query, half)| query.awaits(*half, serial))
    }

    /// Does what an input to one half calls for.
    fn follow(&mut self, socket: u16, step: Step, now: u64) {
        if step == Step::Ended {
            self.closing[usize::from(socket)] = true;
            self.settle(usize::from(socket) / 2, now);
            self.admit();
        }
    }

    /// Answers, or asks for the next name, once a query stands so.
    fn settle(&mut self, slot: usize, now: u64) {
        if let Some(query) = &mut self.slots[slot] {
            let stand = query.stand(now);
            self.conclude(slot, stand);
        }
    }

    fn conclude(&mut self, slot: usize, stand: Stand) {
        if let Stand::Over(answer) = stand {
            self.waiters.tell(slot, &answer);
            self.vacate(slot);
        }
    }

    /// Empties a slot and closes its sockets.
    fn vacate(&mut self, slot: usize) {
        self.slots[slot] = None;
        for half in 0..2 {
            self.closing[2 * slot + half] = true;
        }
    }
}

/// Slots that a client has.
fn share(slots: &[Option<Box<Query>>], client: ClientKey) -> usize {
    slots
        .iter()
        .flatten()
        .filter(|query| query.client == client)
        .count()
}

fn socket_of(slot: usize, half: usize) -> u16 {
    u16::try_from(slot * 2 + half).expect("slots are few")
}

#[cfg(test)]
mod tests {
    use std::net::{IpAddr, SocketAddr};

    use super::*;
    use crate::config::Families;
    use crate::wire::dns::Family;
    use crate::wire::dns::replies::{family_of, name_of, reply};
    use proptest::prelude::*;

    const WAITERS_MAX: usize = 500;

    /// A query on its way.
    #[derive(Clone)]
    struct Sent {
        socket: u16,
        serial: u16,
        server: u16,
        tcp: bool,
        query: Vec<u8>,
    }

    impl Sent {
        fn name(&self) -> String {
            String::from_utf8(name_of(&self.query)).unwrap()
        }
    }

    /// A resolver on a virtual clock. Servers are told apart by their ports, from 1 on.
    struct Bench {
        resolver: Resolver,
        now: u64,
        id: u16,
    }

    fn settings(servers: u16) -> DnsSettings {
        let servers = (1..=servers).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
        DnsSettings {
            servers: servers.collect(),
            ..DnsSettings::default()
        }
    }

    fn only_v4(servers: u16) -> DnsSettings {
        let families = Families {
            v4: true,
            v6: false,
            v6_first: false,
        };
        DnsSettings {
            families,
            ..settings(servers)
        }
    }

    fn key(number: u16) -> Key {
        Key::new(number, 7)
    }

    fn client(number: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([192, 168, 1, number]))
    }

    fn found(list: &[&str]) -> Answer {
        let mut addresses = Addresses::new();
        for addr in list {
            addresses.push(addr.parse().unwrap());
        }
        Answer::Found(addresses)
    }

    impl Bench {
        fn new(settings: DnsSettings) -> Self {
            Self {
                resolver: Resolver::new(settings, WAITERS_MAX),
                now: 1000,
                id: 0,
            }
        }

        fn start(&mut self, session: u16, name: &str) {
            assert!(
                self.resolver
                    .start(key(session).into(), client(1), name.as_bytes())
            );
            self.resolver.check();
        }

        /// Does every pending action; gives what was sent.
        fn sent(&mut self) -> Vec<Sent> {
            let mut all = Vec::new();
            while let Some(action) = self.resolver.poll_action(self.now) {
                let Action::Send {
                    socket,
                    serial,
                    server,
                    tcp,
                } = action
                else {
                    continue;
                };
                self.id = self.id.wrapping_add(0x3b1d);
                let mut out = [0; QUERY_MAX];
                let len = self.resolver.message(socket, self.id, &mut out).unwrap();
                let query = out[..len].to_vec();
                all.push(Sent {
                    socket,
                    serial,
                    server: server.port(),
                    tcp,
                    query,
                });
            }
            self.resolver.check();
            all
        }

        /// The one query that is sent now.
        #[track_caller]
        fn one(&mut self) -> Sent {
            let sent = self.sent();
            assert_eq!(sent.len(), 1);
            sent.into_iter().next().unwrap()
        }

        fn message(&mut self, sent: &Sent, message: &[u8]) {
            self.resolver
                .handle_message(sent.socket, sent.serial, message, self.now);
            self.resolver.check();
        }

        fn reply(&mut self, sent: &Sent, code: u8, addresses: &[&str]) {
            self.message(sent, &reply(&sent.query, code, addresses));
        }

        fn pass(&mut self, ms: u64) {
            self.now += ms;
            self.resolver.handle_timeout(self.now);
            self.resolver.check();
        }

        fn answers(&mut self) -> Vec<(Key, Answer)> {
            let answers = std::iter::from_fn(|| self.resolver.poll_answer());
            let answers = answers
                .map(|(asker, answer)| (asker.session, Answer::clone(&answer)))
                .collect();
            self.resolver.check();
            answers
        }

        #[track_caller]
        fn expect(&mut self, session: u16, answer: Answer) {
            assert_eq!(self.answers(), [(key(session), answer)]);
        }

        #[track_caller]
        fn expect_idle(&mut self) {
            assert!(self.sent().is_empty());
            assert_eq!(self.answers(), []);
            assert_eq!(self.resolver.live(), 0);
            assert_eq!(self.resolver.poll_timeout(), NEVER);
        }
    }

    #[test]
    fn both_families_are_asked_together_and_take_turns_in_the_answer() {
        let mut bench = Bench::new(settings(1));
        bench.start(1, "a.example");
        let sent = bench.sent();
        assert_eq!([sent[0].socket, sent[1].socket], [0, 1]);
        assert_eq!(family_of(&sent[0].query), Family::A);
        assert_eq!(family_of(&sent[1].query), Family::Aaaa);
        bench.reply(&sent[0], 0, &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(bench.answers(), []);
        bench.reply(&sent[1], 0, &["2001:db8::1"]);
        bench.expect(1, found(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]));
        bench.expect_idle();
    }

    #[test]
    fn the_second_family_has_fifty_ms() {
        let mut bench = Bench::new(settings(1));
        bench.start(1, "a.example");
        let sent = bench.sent();
        bench.pass(20);
        bench.reply(&sent[0], 0, &["192.0.2.1"]);
        assert_eq!(bench.resolver.poll_timeout(), 1070);
        bench.pass(49);
        assert_eq!(bench.answers(), []);
        bench.pass(1);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.reply(&sent[1], 0, &["2001:db8::1"]);
        bench.expect_idle();
    }

    #[test]
    fn no_data_starts_no_delay() {
        let mut bench = Bench::new(settings(1));
        bench.start(1, "a.example");
        let sent = bench.sent();
        bench.reply(&sent[0], 0, &[]);
        bench.pass(60);
        assert_eq!(bench.answers(), []);
        bench.reply(&sent[1], 0, &["2001:db8::1"]);
        bench.expect(1, found(&["2001:db8::1"]));
        bench.expect_idle();
    }

    #[test]
    fn a_family_that_is_not_allowed_is_not_asked_for() {
        let mut bench = Bench::new(only_v4(1));
        bench.start(1, "a.example");
        let sent = bench.one();
        bench.reply(&sent, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.expect_idle();
    }

    #[test]
    fn lost_queries_go_round_the_servers_and_time_out() {
        let mut bench = Bench::new(only_v4(2));
        bench.start(1, "a.example");
        for server in [1, 2, 1, 2] {
            let sent = bench.one();
            assert_eq!(sent.server, server);
            bench.pass(4999);
            assert!(bench.sent().is_empty());
            bench.pass(1);
        }
        bench.expect(1, Answer::TimedOut);
        assert_eq!(bench.resolver.counters().timed_out, 4);
        bench.expect_idle();
    }

    #[test]
    fn late_answers_find_nothing() {
        let mut bench = Bench::new(only_v4(1));
        bench.start(1, "a.example");
        let first = bench.one();
        bench.pass(5000);
        bench.reply(&first, 0, &["192.0.2.66"]);
        let second = bench.one();
        assert_eq!(second.socket, first.socket);
        bench.reply(&first, 0, &["192.0.2.66"]);
        bench
            .resolver
            .handle_error(first.socket, first.serial, bench.now);
        assert_eq!(bench.answers(), []);
        bench.reply(&second, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        assert_eq!(bench.resolver.counters().refused, 2);
        bench.expect_idle();
    }

    #[test]
    fn forged_answers_are_refused_and_the_true_one_still_counts() {
        let mut bench = Bench::new(only_v4(1));
        bench.start(1, "a.example");
        let sent = bench.one();
        let mut wrong_id = reply(&sent.query, 0, &["192.0.2.66"]);
        wrong_id[1] ^= 1;
        bench.message(&sent, &wrong_id);
        let mut wrong_name = reply(&sent.query, 0, &["192.0.2.66"]);
        wrong_name[13] = b'b';
        bench.message(&sent, &wrong_name);
        bench.message(&sent, b"");
        assert_eq!(bench.answers(), []);
        bench.reply(&sent, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        assert_eq!(bench.resolver.counters().refused, 3);
        bench.expect_idle();
    }

    #[test]
    fn a_second_answer_finds_nothing() {
        let mut bench = Bench::new(settings(1));
        bench.start(1, "a.example");
        let sent = bench.sent();
        bench.reply(&sent[0], 0, &["192.0.2.1"]);
        bench.reply(&sent[0], 0, &["192.0.2.66"]);
        bench.reply(&sent[1], 0, &[]);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.expect_idle();
    }

    #[test]
    fn a_truncated_answer_is_asked_for_over_tcp() {
        let mut bench = Bench::new(only_v4(2));
        bench.start(1, "a.example");
        let sent = bench.one();
        let mut cut = reply(&sent.query, 0, &[]);
        cut[2] |= 2;
        bench.message(&sent, &cut);
        let again = bench.one();
        assert!(again.tcp);
        assert_eq!(again.server, sent.server);
        bench.reply(&again, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.expect_idle();
    }

    #[test]
    fn nonsense_over_tcp_goes_to_the_next_server() {
        for cut_again in [true, false] {
            let mut bench = Bench::new(only_v4(2));
            bench.start(1, "a.example");
            let sent = bench.one();
            let mut cut = reply(&sent.query, 0, &[]);
            cut[2] |= 2;
            bench.message(&sent, &cut);
            let again = bench.one();
            let mut bad = reply(&again.query, 0, &[]);
            bad[if cut_again { 2 } else { 0 }] ^= 2;
            bench.message(&again, &bad);
            let next = bench.one();
            assert_eq!((next.server, next.tcp), (2, false));
        }
    }

    #[test]
    fn failing_servers_are_left_at_once() {
        for code in [2, 5] {
            let mut bench = Bench::new(only_v4(2));
            bench.start(1, "a.example");
            let sent = bench.one();
            bench.reply(&sent, code, &[]);
            let sent = bench.one();
            assert_eq!(sent.server, 2);
            bench
                .resolver
                .handle_error(sent.socket, sent.serial, bench.now);
            let sent = bench.one();
            bench.reply(&sent, code, &[]);
            bench.pass(5000);
            bench.pass(5000);
            let sent = bench.one();
            bench.reply(&sent, code, &[]);
            bench.expect(1, Answer::Failed);
            bench.expect_idle();
        }
    }

    #[test]
    fn a_server_without_edns_is_asked_again_without() {
        let mut bench = Bench::new(only_v4(2));
        bench.start(1, "a.example");
        let sent = bench.one();
        bench.reply(&sent, 1, &[]);
        let again = bench.one();
        assert_eq!((again.server, again.query[11]), (1, 0));
        assert_eq!(again.query.len() + 11, sent.query.len());
        bench.reply(&again, 1, &[]);
        let next = bench.one();
        assert_eq!((next.server, next.query[11]), (2, 1));
    }

    #[test]
    fn a_dead_first_server_costs_its_time_once() {
        let mut bench = Bench::new(only_v4(2));
        bench.start(1, "a.example");
        assert_eq!(bench.one().server, 1);
        bench.pass(5000);
        let sent = bench.one();
        assert_eq!(sent.server, 2);
        bench.reply(&sent, 3, &[]);
        bench.expect(1, Answer::NoSuchName);
        bench.start(2, "b.example");
        assert_eq!(bench.one().server, 2);
    }

    #[test]
    fn rotate_begins_with_the_next_server_each_time() {
        let mut bench = Bench::new(DnsSettings {
            rotate: true,
            ..only_v4(3)
        });
        let mut servers = Vec::new();
        for (session, name) in [(1, "a.x"), (2, "b.x"), (3, "c.x"), (4, "d.x")] {
            bench.start(session, name);
            let sent = bench.one();
            servers.push(sent.server);
            bench.reply(&sent, 0, &["192.0.2.1"]);
        }
        assert_eq!(servers, [2, 3, 1, 2]);
    }

    /// The names asked for until none is left, each answered with this code.
    fn search_order(name: &str, ndots: u8, code: u8) -> (Vec<String>, Vec<(Key, Answer)>) {
        let search = vec![b"lan".as_slice().into(), b"example.org".as_slice().into()];
        let mut bench = Bench::new(DnsSettings {
            search,
            ndots,
            ..only_v4(1)
        });
        bench.start(1, name);
        let mut names = Vec::new();
        // As many rounds as there can be attempts.
        for _ in 0..12 {
            for sent in bench.sent() {
                names.push(sent.name());
                bench.reply(&sent, code, &[]);
            }
        }
        let answers = bench.answers();
        bench.expect_idle();
        (names, answers)
    }

    #[test]
    fn the_search_list_comes_before_or_after_the_name_by_its_dots() {
        let nothing = vec![(key(1), Answer::NoSuchName)];
        for code in [0, 3] {
            let (names, answers) = search_order("nas", 1, code);
            assert_eq!(names, ["nas.lan", "nas.example.org", "nas"]);
            assert_eq!(answers, nothing);
        }
        let (names, _) = search_order("a.b", 1, 3);
        assert_eq!(names, ["a.b", "a.b.lan", "a.b.example.org"]);
        let (names, _) = search_order("a.b", 2, 3);
        assert_eq!(names, ["a.b.lan", "a.b.example.org", "a.b"]);
        let (names, answers) = search_order("nas.", 1, 3);
        assert_eq!(names, ["nas"]);
        assert_eq!(answers, nothing);
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_does_not_exist() {
        for name in ["a..b", ".", &"x".repeat(64)] {
            let (names, answers) = search_order(name, 1, 0);
            assert!(names.is_empty());
            assert_eq!(answers, [(key(1), Answer::NoSuchName)]);
        }
        // Too long with a domain behind it, not without.
        let long = format!("{0}.{0}.{0}.{1}", "x".repeat(62), "y".repeat(62));
        assert_eq!(search_order(&long, 1, 3).0, [long]);
    }

    #[test]
    fn a_failure_in_the_search_is_not_an_absence() {
        let (names, answers) = search_order("nas", 1, 2);
        assert_eq!(names.len(), 6);
        assert_eq!(answers, [(key(1), Answer::Failed)]);
    }

    #[test]
    fn a_timeout_ends_the_search() {
        let search = vec![b"lan".as_slice().into()];
        let mut bench = Bench::new(DnsSettings {
            search,
            attempts: 1,
            ..settings(1)
        });
        bench.start(1, "nas");
        let sent = bench.sent();
        bench.reply(&sent[0], 0, &[]);
        bench.pass(5000);
        bench.expect(1, Answer::TimedOut);
        bench.expect_idle();
    }

    #[test]
    fn an_absent_name_outweighs_a_lost_answer() {
        let search = vec![b"lan".as_slice().into()];
        let mut bench = Bench::new(DnsSettings {
            search,
            attempts: 1,
            ..settings(1)
        });
        bench.start(1, "nas");
        let sent = bench.sent();
        bench.reply(&sent[0], 3, &[]);
        bench.pass(5000);
        assert_eq!(bench.sent()[0].name(), "nas");
    }

    #[test]
    fn without_servers_names_fail_at_once() {
        let mut bench = Bench::new(settings(0));
        bench.start(1, "a.example");
        bench.expect(1, Answer::Failed);
        bench.expect_idle();
    }

    #[test]
    fn who_asks_for_a_name_in_flight_joins_it() {
        let mut bench = Bench::new(only_v4(1));
        bench.start(1, "a.example");
        let sent = bench.one();
        bench.start(2, "A.Example");
        assert!(bench.sent().is_empty());
        bench.reply(&sent, 0, &["192.0.2.1"]);
        let mut sessions: Vec<usize> = bench.answers().iter().map(|(key, _)| key.index()).collect();
        sessions.sort_unstable();
        assert_eq!(sessions, [1, 2]);
        bench.expect_idle();
    }

    #[test]
    fn cancel_frees_the_slot_with_the_last_waiter() {
        let mut bench = Bench::new(settings(1));
        bench.start(1, "a.example");
        bench.start(2, "a.example");
        assert_eq!(bench.sent().len(), 2);
        bench.resolver.cancel(key(1));
        assert_eq!(bench.resolver.live(), 2);
        assert_eq!(bench.resolver.poll_action(bench.now), None);
        bench.resolver.cancel(key(2));
        let close = |socket| Some(Action::Close { socket });
        assert_eq!(bench.resolver.poll_action(bench.now), close(0));
        assert_eq!(bench.resolver.poll_action(bench.now), close(1));
        bench.expect_idle();
    }

    #[test]
    fn one_session_asks_for_several_names_and_cancels_all() {
        let mut bench = Bench::new(settings(1));
        let asker = |number| Asker {
            session: key(1),
            number,
        };
        for (number, name) in [(0, "a.example"), (3, "localhost"), (1, "b.example")] {
            let name = name.as_bytes();
            assert!(bench.resolver.start(asker(number), client(1), name));
        }
        let answer = bench.resolver.poll_answer();
        assert_eq!(answer.map(|(asker, _)| asker), Some(asker(3)));
        bench.start(2, "b.example");
        bench.resolver.cancel(key(1));
        bench.resolver.check();
        assert_eq!(bench.resolver.live(), 2, "one slot and the other session");
        bench.resolver.cancel(key(2));
        bench.expect_idle();
    }

    #[test]
    fn cancel_reaches_the_line_and_answers_not_yet_taken() {
        let mut bench = Bench::new(only_v4(1));
        for session in 0..20 {
            bench.start(session, &format!("n{session}.example"));
        }
        assert_eq!(bench.sent().len(), SHARE_MAX);
        bench.resolver.cancel(key(17));
        bench.start(30, "localhost");
        bench.resolver.cancel(key(30));
        assert_eq!(bench.answers(), []);
        assert_eq!(bench.resolver.live(), SHARE_MAX + 19);
        bench.resolver.cancel(key(3));
        assert_eq!(bench.one().name(), "n16.example");
        bench.resolver.cancel(key(4));
        assert_eq!(bench.one().name(), "n18.example");
    }

    #[test]
    fn two_hundred_dead_names_of_one_client_do_not_delay_another() {
        let mut bench = Bench::new(settings(1));
        for session in 0..200 {
            bench.start(session, &format!("dead{session}.example"));
        }
        assert_eq!(bench.sent().len(), 2 * SHARE_MAX);
        assert!(
            bench
                .resolver
                .start(key(300).into(), client(2), b"live.example")
        );
        let sent = bench.sent();
        assert_eq!(sent[0].name(), "live.example");
        bench.reply(&sent[0], 0, &["192.0.2.1"]);
        bench.reply(&sent[1], 0, &[]);
        bench.expect(300, found(&["192.0.2.1"]));
        // The dead names end as well, 16 every 10 seconds.
        for _ in 0..26 {
            bench.pass(5000);
            assert!(bench.sent().len() <= 2 * SHARE_MAX);
        }
        let answers = bench.answers();
        assert_eq!(answers.len(), 200);
        assert!(
            answers
                .iter()
                .all(|(_, answer)| *answer == Answer::TimedOut)
        );
        bench.expect_idle();
    }

    #[test]
    fn another_clients_question_takes_a_name_out_of_the_line() {
        let mut bench = Bench::new(only_v4(1));
        for session in 0..=16 {
            bench.start(session, &format!("n{session}.example"));
        }
        assert_eq!(bench.sent().len(), SHARE_MAX);
        assert!(
            bench
                .resolver
                .start(key(50).into(), client(2), b"n16.example")
        );
        let sent = bench.one();
        bench.reply(&sent, 3, &[]);
        assert_eq!(bench.answers().len(), 2);
    }

    #[test]
    fn a_full_table_makes_the_fifth_client_wait_its_turn() {
        let mut bench = Bench::new(only_v4(1));
        for session in 0..70 {
            let number = u8::try_from(session % 5).unwrap();
            let name = format!("n{session}.example");
            assert!(
                bench
                    .resolver
                    .start(key(session).into(), client(number), name.as_bytes())
            );
        }
        let sent = bench.sent();
        assert_eq!(sent.len(), SLOTS_MAX);
        bench.reply(&sent[9], 3, &[]);
        assert_eq!(bench.one().name(), "n64.example");
    }

    #[test]
    fn too_many_waiters_are_refused() {
        let mut bench = Bench::new(settings(1));
        for session in 0..500 {
            bench.start(session, "a.example");
        }
        assert!(
            !bench
                .resolver
                .start(key(500).into(), client(2), b"b.example")
        );
        bench.resolver.cancel(key(7));
        assert!(
            bench
                .resolver
                .start(key(500).into(), client(2), b"b.example")
        );
    }

    #[test]
    fn hosts_and_localhost_need_no_server() {
        let host = |name: &[u8], addr: &str| (name.into(), addr.parse().unwrap());
        let hosts = vec![
            host(b"nas", "192.168.1.9"),
            host(b"nas", "fd00::9"),
            host(b"six", "fd00::6"),
            host(b"localhost", "192.0.2.66"),
        ];
        let mut bench = Bench::new(DnsSettings {
            hosts: hosts.clone(),
            ..settings(1)
        });
        bench.start(1, "NAS.");
        bench.expect(1, found(&["fd00::9", "192.168.1.9"]));
        for name in ["localhost", "LocalHost.", "a.localhost"] {
            bench.start(1, name);
            bench.expect(1, found(&["::1", "127.0.0.1"]));
        }
        bench.expect_idle();
        let mut bench = Bench::new(DnsSettings {
            hosts,
            ..only_v4(1)
        });
        bench.start(1, "localhost");
        bench.expect(1, found(&["127.0.0.1"]));
        // Listed for the other family only, and no localhost at all: the servers are asked.
        bench.start(1, "six");
        bench.start(2, "notlocalhost");
        assert_eq!(bench.sent().len(), 2);
    }

    #[test]
    fn new_settings_are_for_new_names() {
        let mut bench = Bench::new(only_v4(1));
        bench.start(1, "a.example");
        let old = bench.one();
        let servers = vec![SocketAddr::from(([127, 0, 0, 1], 9))];
        bench.resolver.set_settings(DnsSettings {
            servers,
            ..only_v4(0)
        });
        bench.start(2, "a.example");
        let new = bench.one();
        assert_eq!(new.server, 9);
        bench
            .resolver
            .handle_error(old.socket, old.serial, bench.now);
        let old = bench.one();
        assert_eq!(old.server, 1);
        bench.reply(&old, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.reply(&new, 0, &["192.0.2.2"]);
        bench.expect(2, found(&["192.0.2.2"]));
        bench.expect_idle();
    }

    proptest! {
        #[test]
        fn every_session_gets_one_answer_whatever_happens(
            steps in proptest::collection::vec(any::<(u8, u8, u8)>(), 0..300)
        ) {
            let search = vec![b"lan".as_slice().into()];
            let mut bench = Bench::new(DnsSettings { search, ..settings(2) });
            let mut open: Vec<u16> = Vec::new();
            let mut flight: Vec<Sent> = Vec::new();
            for (session, (step, pick, value)) in (0u16..).zip(steps) {
                let sent = (!flight.is_empty())
                    .then(|| flight[usize::from(pick) % flight.len()].clone());
                match (step % 8, sent) {
                    (0..=2, _) => {
                        let name = format!("n{}", pick % 100);
                        let client_key = client(value % 3);
                        let asker = key(session).into();
                        prop_assert!(bench.resolver.start(asker, client_key, name.as_bytes()));
                        open.push(session);
                    }
                    (3, _) if !open.is_empty() => {
                        let gone = open.swap_remove(usize::from(pick) % open.len());
                        bench.resolver.cancel(key(gone));
                    }
                    (4, _) => bench.pass(u64::from(value) * 20),
                    (5, Some(sent)) => {
                        bench.resolver.handle_error(sent.socket, sent.serial, bench.now);
                    }
                    (6, Some(sent)) => {
                        let mut message = reply(&sent.query, value % 6, &["192.0.2.1"]);
                        message[2] |= value & 2;
                        bench.message(&sent, &message);
                    }
                    (7, Some(sent)) => bench.reply(&sent, 0, &["192.0.2.1", "2001:db8::1"]),
                    _ => {}
                }
                bench.resolver.check();
                flight.extend(bench.sent());
                for (session, _) in bench.answers() {
                    let before = open.len();
                    open.retain(|&other| key(other) != session);
                    prop_assert_eq!(open.len() + 1, before);
                }
            }
            // At most 300 names in line, 16 at once, two candidates of four attempts each.
            for _ in 0..400 {
                bench.pass(5000);
                bench.sent();
                for (session, _) in bench.answers() {
                    open.retain(|&other| key(other) != session);
                }
            }
            prop_assert!(open.is_empty());
            bench.expect_idle();
        }
    }
}
