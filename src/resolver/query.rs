//! One name being looked up: the A and AAAA halves, their servers, and the search list.
//!
//! Pure: time is an argument, and `E` is whatever carries a query to a server and its answer
//! back. A half owns it while it waits for that answer and drops it as soon as it does not.

use std::net::SocketAddr;
use std::rc::Rc;

use super::answer::Answer;
use crate::config::dns::DnsSettings;
use crate::net::{Millis, NEVER};
use crate::state::access::{ClientKey, scoped};
use crate::wire::dns::{self, Addresses, Family, Verdict};

/// How long the second family is waited for once the first has brought addresses (RFC 8305 §3,
/// "Resolution Delay"). What comes later joins the connection attempts that have begun.
const RESOLUTION_DELAY_MS: Millis = 50;

/// How a query travels.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Transport {
    Udp,
    Tcp,
}

/// What a message that came for a half turned out to be.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// No answer to the question: forged or malformed. The half waits on.
    NotOurs,
    /// The server has failed or refuses; the next one is to be asked, if any is left.
    Failure,
    /// The server has answered: it is [`Query::first_server`] now.
    Answer,
}

/// How one half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Found,
    NoSuchName,
    NoData,
    Failed,
    TimedOut,
}

/// How far one half has come.
#[derive(Debug)]
enum Progress<E> {
    /// Its family is not allowed.
    Unused,
    /// The question is to be sent.
    Queued,
    /// The question has been sent; the answer counts as lost at `due`.
    Asked {
        /// Where the answer will come; `None` if nothing could be opened.
        exchange: Option<E>,
        due: Millis,
    },
    /// Nothing more is asked.
    Ended(Outcome),
}

/// The question for one family.
#[derive(Debug)]
struct Half<E> {
    family: Family,
    progress: Progress<E>,
    id: u16,
    /// Index of the server that is asked now.
    server: usize,
    /// Servers given up on so far, the same one in a later round counted again.
    attempts: usize,
    transport: Transport,
    /// The question has EDNS; without it, what old servers and firewalls do not let pass does.
    edns: bool,
    /// At least one server has refused or failed, rather than been silent.
    failed: bool,
    addresses: Addresses,
}

/// One name being looked up. Its halves are 0 for A and 1 for AAAA.
#[derive(Debug)]
pub(super) struct Query<E> {
    /// The client whose share it counts against: the one that asked first.
    pub(super) client: ClientKey,
    /// The name as it was asked for, before the search list.
    pub(super) name: Box<[u8]>,
    /// The settings at its start.
    pub(super) settings: Rc<DnsSettings>,
    /// Index of the server that answered last, with which the next candidate begins.
    pub(super) first_server: usize,
    /// Servers that have answered without EDNS after they had not with it, a bit for each.
    pub(super) plain: u8,
    /// The name that is asked for now, in wire form.
    candidate: Vec<u8>,
    /// Place of the next candidate in the search order.
    next_candidate: usize,
    /// When the addresses found so far are enough, although one half is still open; `NEVER`
    /// before there are any, and once they have been given.
    enough_at: Millis,
    /// The half whose addresses have been given, while the other was open.
    given: Option<usize>,
    /// When the first question was sent; `NEVER` before that.
    since: Millis,
    /// A candidate before this one ended in a failure.
    failed: bool,
    halves: [Half<E>; 2],
}

/// Returns `true` if a server has its bit; there are three at most.
fn is_in(servers: u8, server: usize) -> bool {
    servers >> server & 1 == 1
}

impl<E> Half<E> {
    fn new(family: Family) -> Self {
        Self {
            family,
            progress: Progress::Unused,
            id: 0,
            server: 0,
            attempts: 0,
            transport: Transport::Udp,
            edns: true,
            failed: false,
            addresses: Addresses::default(),
        }
    }

    fn is_queued(&self) -> bool {
        matches!(self.progress, Progress::Queued)
    }

    fn is_open(&self) -> bool {
        matches!(self.progress, Progress::Queued | Progress::Asked { .. })
    }

    fn has_ended(&self, outcome: Outcome) -> bool {
        matches!(self.progress, Progress::Ended(ended) if ended == outcome)
    }

    /// Returns when the answer counts as lost; `NEVER` if none is waited for.
    fn due(&self) -> Millis {
        match self.progress {
            Progress::Asked { due, .. } => due,
            _ => NEVER,
        }
    }

    /// Gives up on the server that was asked and goes to the next, `attempts` times round.
    /// From the second round on questions have no EDNS: firewalls drop those that have.
    fn next_server(&mut self, settings: &DnsSettings, plain: u8) {
        let servers = settings.servers.len();
        self.attempts += 1;
        if self.attempts >= servers * usize::from(settings.attempts) {
            self.progress = Progress::Ended(if self.failed {
                Outcome::Failed
            } else {
                Outcome::TimedOut
            });
            return;
        }
        self.server += 1;
        if self.server == servers {
            self.server = 0;
        }
        self.transport = Transport::Udp;
        self.edns = self.attempts < servers && !is_in(plain, self.server);
        self.progress = Progress::Queued;
    }
}

impl<E> Query<E> {
    /// Returns a query that starts with server number `first_server`; those in `plain` are asked
    /// without EDNS. [`Query::next_candidate`] is to be called first.
    pub(super) fn new(
        client: ClientKey,
        name: Box<[u8]>,
        settings: Rc<DnsSettings>,
        first_server: usize,
        plain: u8,
    ) -> Box<Self> {
        Box::new(Self {
            client,
            name,
            settings,
            first_server,
            plain,
            candidate: Vec::new(),
            next_candidate: 0,
            enough_at: NEVER,
            given: None,
            since: NEVER,
            failed: false,
            halves: [Half::new(Family::A), Half::new(Family::Aaaa)],
        })
    }

    /// Goes to the next name of the search order and queues the questions of the allowed
    /// families. Returns the answer if there is no next name, or no server to ask.
    pub(super) fn next_candidate(&mut self) -> Option<Answer> {
        let families = self.settings.families;
        if self.settings.servers.is_empty() || !(families.v4 || families.v6) {
            return Some(self.nothing_found());
        }
        // Bounded by the search list: a candidate that is no name is passed over.
        while let Some(domain) = self.settings.search_domain(&self.name, self.next_candidate) {
            self.next_candidate += 1;
            if let Some(candidate) = dns::wire_name(&self.name, domain) {
                self.candidate = candidate;
                self.enough_at = NEVER;
                for (half, allowed) in self.halves.iter_mut().zip([families.v4, families.v6]) {
                    *half = Half::new(half.family);
                    half.server = self.first_server;
                    half.edns = !is_in(self.plain, half.server);
                    if allowed {
                        half.progress = Progress::Queued;
                    }
                }
                return None;
            }
        }
        Some(self.nothing_found())
    }

    /// Returns `true` if the question of this half is to be sent.
    pub(super) fn is_queued(&self, half: usize) -> bool {
        self.halves[half].is_queued()
    }

    /// Returns the server to ask for this half, and how.
    pub(super) fn server(&self, half: usize) -> (SocketAddr, Transport) {
        let half = &self.halves[half];
        (self.settings.servers[half.server], half.transport)
    }

    /// Returns the question of this half, with an id that nobody can predict, and keeps the id.
    pub(super) fn message(&mut self, half: usize, id: u16) -> Vec<u8> {
        let half = &mut self.halves[half];
        half.id = id;
        dns::query(id, &self.candidate, half.family, half.edns)
    }

    /// Starts the time in which the answer to this half has to come.
    pub(super) fn set_asked(&mut self, half: usize, exchange: Option<E>, now: Millis) {
        let due = now + Millis::from(self.settings.timeout_ms);
        self.halves[half].progress = Progress::Asked { exchange, due };
        self.since = self.since.min(now);
    }

    /// Returns when the first question was sent; `NEVER` before that.
    pub(super) fn since(&self) -> Millis {
        self.since
    }

    /// Returns the exchange on which the answer to this half will come.
    pub(super) fn exchange(&mut self, half: usize) -> Option<&mut E> {
        match &mut self.halves[half].progress {
            Progress::Asked { exchange, .. } => exchange.as_mut(),
            _ => None,
        }
    }

    /// Returns the exchanges of both halves.
    pub(super) fn exchanges(&self) -> impl Iterator<Item = &E> {
        self.halves.iter().filter_map(|half| match &half.progress {
            Progress::Asked { exchange, .. } => exchange.as_ref(),
            _ => None,
        })
    }

    /// Takes a message that came on the exchange of this half, without its TCP length.
    pub(super) fn handle_message(&mut self, half: usize, message: &[u8], now: Millis) -> Received {
        let asked = &mut self.halves[half];
        let found = &mut asked.addresses;
        let over_tcp = asked.transport == Transport::Tcp;
        asked.progress = match dns::answer(message, asked.id, &self.candidate, asked.family, found)
        {
            // Only its server can write to a stream: that server is broken.
            Verdict::NotOurs if !over_tcp => return Received::NotOurs,
            Verdict::Addresses => {
                self.enough_at = self.enough_at.min(now + RESOLUTION_DELAY_MS);
                Progress::Ended(Outcome::Found)
            }
            Verdict::NoSuchName => Progress::Ended(Outcome::NoSuchName),
            Verdict::NoData => Progress::Ended(Outcome::NoData),
            Verdict::Truncated if !over_tcp => {
                asked.transport = Transport::Tcp;
                Progress::Queued
            }
            // Some say SERVFAIL instead, and again where that is what they mean.
            Verdict::NoEdns | Verdict::Failed(dns::SERVFAIL) if asked.edns => {
                asked.edns = false;
                asked.transport = Transport::Udp;
                asked.progress = Progress::Queued;
                return Received::Answer;
            }
            _ => {
                self.fail(half);
                return Received::Failure;
            }
        };
        self.first_server = asked.server;
        if !asked.edns {
            self.plain |= 1 << asked.server;
        }
        Received::Answer
    }

    /// The server of this half has failed, refuses or cannot be reached: the next one is asked
    /// at once.
    pub(super) fn fail(&mut self, half: usize) {
        let half = &mut self.halves[half];
        half.failed = true;
        half.next_server(&self.settings, self.plain);
    }

    /// Goes to the next server where the time of the present one is up. Returns the number of
    /// halves for which it was.
    pub(super) fn expire(&mut self, now: Millis) -> u64 {
        let mut expired = 0;
        for half in &mut self.halves {
            if half.due() <= now {
                half.next_server(&self.settings, self.plain);
                expired += 1;
            }
        }
        expired
    }

    /// Returns the earliest time at which [`Query::expire`] or [`Query::conclude`] has something to
    /// do.
    pub(super) fn due(&self) -> Millis {
        let [v4, v6] = &self.halves;
        self.enough_at.min(v4.due()).min(v6.due())
    }

    /// Returns the answer once the query is over, or what is enough to begin with: then it
    /// [`Query::is_given`] and goes on, and what it returns later is the rest. Goes to the next
    /// candidate when both halves have ended and have found nothing.
    pub(super) fn conclude(&mut self, now: Millis) -> Option<Answer> {
        let open = self.open();
        if open.is_some() && (now < self.enough_at || self.is_given()) {
            return None;
        }
        if self.enough_at != NEVER {
            let [v4, v6] = &self.halves;
            let v6_first = self.settings.families.v6_first;
            let mut found = [&v4.addresses, &v6.addresses];
            let none = Addresses::default();
            if let Some(given) = self.given {
                found[given] = &none;
            }
            let servers = [v4.server, v6.server].map(|server| self.settings.servers.get(server));
            let servers = servers.map(|server| server.map(scoped));
            let answer = Answer::found(found, v6_first, servers);
            if let Some(open) = open {
                (self.given, self.enough_at) = (Some(1 - open), NEVER);
            }
            return Some(answer);
        }
        if self.is_given() {
            return Some(Answer::NoSuchName);
        }
        // The name is the same for both: that it does not exist outweighs one lost answer. A
        // timeout ends the search, as asking the same servers again would only take longer.
        if !self.has_ended(Outcome::NoSuchName) {
            if self.has_ended(Outcome::TimedOut) {
                return Some(Answer::TimedOut);
            }
            self.failed |= self.has_ended(Outcome::Failed);
        }
        self.next_candidate()
    }

    /// Returns `true` if the addresses of one half have been given, and the other goes on alone.
    pub(super) fn is_given(&self) -> bool {
        self.given.is_some()
    }

    /// Returns `true` if an answer is waited for.
    pub(super) fn is_open(&self) -> bool {
        self.open().is_some()
    }

    /// The first half that is open.
    fn open(&self) -> Option<usize> {
        self.halves.iter().position(Half::is_open)
    }

    /// Returns `true` if at least one half has ended in this way.
    fn has_ended(&self, outcome: Outcome) -> bool {
        self.halves.iter().any(|half| half.has_ended(outcome))
    }

    /// Returns the answer once no candidate is left.
    fn nothing_found(&self) -> Answer {
        if self.failed || self.settings.servers.is_empty() {
            Answer::Failed
        } else {
            Answer::NoSuchName
        }
    }
}

#[cfg(test)]
mod tests {
    use std::net::IpAddr;

    use super::*;
    use crate::resolver::tests::{found, only_v4, settings, without_servers};
    use crate::wire::dns::replies::{family_of, name_of, raw_record, reply};

    /// A question on its way.
    struct Sent {
        half: usize,
        /// Servers are told apart by their ports, from 1 on.
        server: u16,
        transport: Transport,
        message: Vec<u8>,
    }

    /// One query on a virtual clock. Its exchanges are shared with the test.
    struct Bench {
        query: Box<Query<Rc<()>>>,
        exchange: Rc<()>,
        answer: Option<Answer>,
        now: Millis,
        id: u16,
    }

    /// As [`settings`], with one search domain and each server asked once.
    fn with_domain(servers: u16) -> DnsSettings {
        DnsSettings {
            search: vec![b"lan".as_slice().into()],
            attempts: 1,
            ..settings(servers)
        }
    }

    fn truncated(query: &[u8]) -> Vec<u8> {
        let mut message = reply(query, 0, &[]);
        message[2] |= 2;
        message
    }

    impl Sent {
        fn name(&self) -> String {
            String::from_utf8(name_of(&self.message)).unwrap()
        }
    }

    impl Bench {
        fn new(name: &str, settings: DnsSettings) -> Self {
            let client = ClientKey::from(IpAddr::from([192, 168, 1, 1]));
            let mut query = Query::new(client, name.as_bytes().into(), Rc::new(settings), 0, 0);
            let answer = query.next_candidate();
            Self {
                query,
                exchange: Rc::new(()),
                answer,
                now: 1000,
                id: 0,
            }
        }

        /// Sends all that is to be sent.
        fn sent(&mut self) -> Vec<Sent> {
            let mut all = Vec::new();
            for half in 0..2 {
                if !self.query.is_queued(half) {
                    continue;
                }
                self.id = self.id.wrapping_add(0x3b1d);
                let message = self.query.message(half, self.id);
                let (server, transport) = self.query.server(half);
                let exchange = Some(Rc::clone(&self.exchange));
                self.query.set_asked(half, exchange, self.now);
                all.push(Sent {
                    half,
                    server: server.port(),
                    transport,
                    message,
                });
            }
            // As many exchanges as halves that wait.
            let waiting = self.query.halves.iter().filter(|half| half.due() < NEVER);
            assert_eq!(Rc::strong_count(&self.exchange), 1 + waiting.count());
            all
        }

        /// The one question that is sent now.
        #[track_caller]
        fn one(&mut self) -> Sent {
            let mut sent = self.sent();
            assert_eq!(sent.len(), 1);
            sent.remove(0)
        }

        fn message(&mut self, sent: &Sent, message: &[u8]) -> Received {
            let received = self.query.handle_message(sent.half, message, self.now);
            self.conclude();
            received
        }

        fn reply(&mut self, sent: &Sent, code: u8, addresses: &[&str]) -> Received {
            self.message(sent, &reply(&sent.message, code, addresses))
        }

        fn fail(&mut self, sent: &Sent) {
            self.query.fail(sent.half);
            self.conclude();
        }

        /// Lets time pass. Returns the number of questions that were lost.
        fn pass(&mut self, ms: Millis) -> u64 {
            self.now += ms;
            let expired = self.query.expire(self.now);
            self.conclude();
            expired
        }

        fn conclude(&mut self) {
            if self.answer.is_none() {
                self.answer = self.query.conclude(self.now).map(without_servers);
            }
        }
    }

    #[test]
    fn both_families_are_asked_together_and_take_turns_in_the_answer() {
        let mut bench = Bench::new("a.example", settings(1));
        let sent = bench.sent();
        assert_eq!(family_of(&sent[0].message), Family::A);
        assert_eq!(family_of(&sent[1].message), Family::Aaaa);
        bench.reply(&sent[0], 0, &["192.0.2.1", "192.0.2.2"]);
        assert_eq!(bench.answer, None);
        bench.reply(&sent[1], 0, &["2001:db8::1"]);
        let expected = found(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]);
        assert_eq!(bench.answer, Some(expected));
    }

    #[test]
    fn the_second_family_has_fifty_ms() {
        let mut bench = Bench::new("a.example", settings(1));
        let sent = bench.sent();
        bench.pass(20);
        bench.reply(&sent[0], 0, &["192.0.2.1"]);
        assert_eq!(bench.query.due(), 1070);
        bench.pass(49);
        assert_eq!(bench.answer, None);
        bench.pass(1);
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
    }

    #[test]
    fn no_data_starts_no_delay() {
        let mut bench = Bench::new("a.example", settings(1));
        let sent = bench.sent();
        bench.reply(&sent[0], 0, &[]);
        bench.pass(60);
        assert_eq!(bench.answer, None);
        bench.reply(&sent[1], 0, &["2001:db8::1"]);
        assert_eq!(bench.answer, Some(found(&["2001:db8::1"])));
    }

    #[test]
    fn a_family_that_is_not_allowed_is_not_asked_for() {
        let mut bench = Bench::new("a.example", only_v4(1));
        let sent = bench.one();
        bench.reply(&sent, 0, &["192.0.2.1"]);
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
    }

    #[test]
    fn lost_queries_go_round_the_servers_and_time_out() {
        let mut bench = Bench::new("a.example", only_v4(2));
        for server in [1, 2, 1, 2] {
            assert_eq!(bench.one().server, server);
            assert_eq!(bench.query.due(), bench.now + 5000);
            assert_eq!(bench.pass(4999), 0);
            assert!(bench.sent().is_empty());
            assert_eq!(bench.pass(1), 1);
        }
        assert_eq!(bench.answer, Some(Answer::TimedOut));
    }

    #[test]
    fn forged_answers_are_refused_and_the_true_one_still_counts() {
        let mut bench = Bench::new("a.example", only_v4(1));
        let sent = bench.one();
        let mut wrong_id = reply(&sent.message, 0, &["192.0.2.66"]);
        wrong_id[1] ^= 1;
        let mut wrong_name = reply(&sent.message, 0, &["192.0.2.66"]);
        wrong_name[13] = b'b';
        for forged in [&wrong_id[..], &wrong_name, b""] {
            assert_eq!(bench.message(&sent, forged), Received::NotOurs);
            assert!(bench.query.exchange(sent.half).is_some());
        }
        assert_eq!(bench.answer, None);
        assert_eq!(bench.reply(&sent, 0, &["192.0.2.1"]), Received::Answer);
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
    }

    #[test]
    fn a_truncated_answer_is_asked_for_over_tcp() {
        let mut bench = Bench::new("a.example", only_v4(2));
        let sent = bench.one();
        assert_eq!(sent.transport, Transport::Udp);
        bench.message(&sent, &truncated(&sent.message));
        let again = bench.one();
        assert_eq!((again.transport, again.server), (Transport::Tcp, 1));
        bench.reply(&again, 0, &["192.0.2.1"]);
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
    }

    #[test]
    fn nonsense_over_tcp_goes_to_the_next_server() {
        // Truncated again, and with another id.
        for place in [2, 0] {
            let mut bench = Bench::new("a.example", only_v4(2));
            let sent = bench.one();
            bench.message(&sent, &truncated(&sent.message));
            let again = bench.one();
            let mut bad = reply(&again.message, 0, &[]);
            bad[place] ^= 2;
            assert_eq!(bench.message(&again, &bad), Received::Failure);
            let next = bench.one();
            assert_eq!((next.server, next.transport), (2, Transport::Udp));
        }
    }

    #[test]
    fn failing_servers_are_left_at_once() {
        for code in [2, 5] {
            let mut bench = Bench::new("a.example", only_v4(2));
            let mut sent = bench.one();
            if code == 2 {
                // EDNS may be to blame.
                assert_eq!(bench.reply(&sent, code, &[]), Received::Answer);
                sent = bench.one();
                assert_eq!(sent.server, 1);
            }
            assert_eq!(bench.reply(&sent, code, &[]), Received::Failure);
            let sent = bench.one();
            assert_eq!(sent.server, 2);
            bench.fail(&sent);
            let sent = bench.one();
            assert_eq!(sent.server, 1);
            bench.reply(&sent, code, &[]);
            let sent = bench.one();
            bench.reply(&sent, code, &[]);
            assert_eq!(bench.answer, Some(Answer::Failed));
        }
    }

    #[test]
    fn a_server_whose_answer_is_too_much_work_is_left_for_the_next() {
        let mut bench = Bench::new("a.example", only_v4(2));
        let sent = bench.one();
        let mut laborious = reply(&sent.message, 0, &[]);
        // Each pointer leads to the one before it, the first to the question.
        let start = laborious.len() + 12;
        let mut pointer = [0xc0, 12];
        let mut chain = Vec::new();
        for place in (start..3000).step_by(2) {
            chain.extend_from_slice(&pointer);
            pointer = (0xc000 | u16::try_from(place).unwrap()).to_be_bytes();
        }
        raw_record(&mut laborious, &[0xc0, 12], 16, &chain);
        for _ in 0..70 {
            raw_record(&mut laborious, &pointer, 16, b"");
        }
        laborious[7] = 71;
        assert_eq!(bench.message(&sent, &laborious), Received::Failure);
        let next = bench.one();
        assert_eq!(next.server, 2);
        bench.reply(&next, 0, &["192.0.2.1"]);
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
    }

    #[test]
    fn one_failure_among_timeouts_is_a_failure() {
        let mut bench = Bench::new("a.example", only_v4(2));
        let sent = bench.one();
        bench.fail(&sent);
        for _ in 0..3 {
            bench.one();
            bench.pass(5000);
        }
        assert_eq!(bench.answer, Some(Answer::Failed));
    }

    #[test]
    fn a_server_without_edns_is_asked_again_without() {
        let mut bench = Bench::new("a.example", only_v4(2));
        let sent = bench.one();
        bench.reply(&sent, 1, &[]);
        let again = bench.one();
        assert_eq!((again.server, again.message[11]), (1, 0));
        assert_eq!(again.message.len() + 11, sent.message.len());
        bench.reply(&again, 1, &[]);
        let next = bench.one();
        assert_eq!((next.server, next.message[11]), (2, 1));
    }

    /// How a server behaves that is not perfect: its answer to a question, with EDNS or without;
    /// none where that gets lost.
    type Server = fn(&[u8], bool) -> Option<Vec<u8>>;

    fn header_of(query: &[u8], code: u8) -> Option<Vec<u8>> {
        let mut message = reply(query, code, &[]);
        message.truncate(12);
        message[5] = 0;
        Some(message)
    }

    fn good(query: &[u8]) -> Option<Vec<u8>> {
        Some(reply(query, 0, &["192.0.2.1"]))
    }

    fn lame(query: &[u8]) -> Option<Vec<u8>> {
        let mut message = reply(query, 0, &[]);
        message[3] = 0;
        Some(message)
    }

    /// What glibc and musl cope with: the name is found, after so many questions and so much time.
    #[test]
    fn servers_that_are_not_perfect_are_coped_with() {
        let no_edns: [Server; 5] = [
            |query, edns| {
                if edns {
                    header_of(query, 1)
                } else {
                    good(query)
                }
            },
            |query, edns| {
                if edns {
                    header_of(query, 4)
                } else {
                    good(query)
                }
            },
            |query, edns| {
                if edns {
                    Some(reply(query, 1, &[]))
                } else {
                    good(query)
                }
            },
            |query, edns| {
                if edns {
                    Some(reply(query, 2, &[]))
                } else {
                    good(query)
                }
            },
            |query, edns| {
                if edns {
                    header_of(query, 2)
                } else {
                    good(query)
                }
            },
        ];
        for (number, server) in no_edns.into_iter().enumerate() {
            assert_eq!(cope(&[server]), (2, 0, 1), "{number}");
        }
        let dropped: Server = |query, edns| if edns { None } else { good(query) };
        assert_eq!(cope(&[dropped]), (2, 5000, 1));
        let useless: [(Server, usize); 5] = [
            (|query, _| header_of(query, 2), 3),
            (|query, _| header_of(query, 5), 2),
            (|query, _| Some(reply(query, 2, &[])), 3),
            (|query, _| Some(reply(query, 5, &[])), 2),
            (|query, _| lame(query), 2),
        ];
        for (number, (server, questions)) in useless.into_iter().enumerate() {
            let second: Server = |query, _| good(query);
            assert_eq!(cope(&[server, second]), (questions, 0, 0), "{number}");
        }
    }

    /// Looks a name up with these servers. Returns the number of questions, the time that it took in
    /// milliseconds, and the servers that are asked without EDNS from then on.
    fn cope(servers: &[Server]) -> (usize, Millis, u8) {
        let count = u16::try_from(servers.len()).unwrap();
        let mut bench = Bench::new("a.example", only_v4(count));
        let mut questions = 0;
        while bench.answer.is_none() {
            let sent = bench.one();
            questions += 1;
            let server = servers[usize::from(sent.server) - 1];
            match server(&sent.message, sent.message[11] == 1) {
                Some(message) => drop(bench.message(&sent, &message)),
                None => drop(bench.pass(5000)),
            }
        }
        assert_eq!(bench.answer, Some(found(&["192.0.2.1"])));
        (questions, bench.now - 1000, bench.query.plain)
    }

    #[test]
    fn the_next_candidate_begins_with_the_server_that_answered() {
        let mut bench = Bench::new("nas", with_domain(2));
        let sent = bench.sent();
        bench.fail(&sent[0]);
        bench.reply(&sent[1], 3, &[]);
        let second = bench.one();
        assert_eq!((second.server, second.name()), (2, "nas.lan".into()));
        bench.reply(&second, 3, &[]);
        let names: Vec<_> = bench
            .sent()
            .iter()
            .map(|sent| (sent.server, sent.name()))
            .collect();
        assert_eq!(names, [(2, "nas".into()), (2, "nas".into())]);
    }

    /// The names asked for until none is left, each answered with this code.
    fn search_order(name: &str, ndots: u8, code: u8) -> (Vec<String>, Option<Answer>) {
        let mut bench = Bench::new(
            name,
            DnsSettings {
                search: vec![b"lan".as_slice().into(), b"example.org".as_slice().into()],
                ndots,
                ..only_v4(1)
            },
        );
        let mut names = Vec::new();
        // As many rounds as there can be attempts.
        for _ in 0..12 {
            for sent in bench.sent() {
                names.push(sent.name());
                bench.reply(&sent, code, &[]);
            }
        }
        (names, bench.answer)
    }

    #[test]
    fn the_search_list_is_asked_through_until_a_name_exists() {
        for code in [0, 3] {
            let (names, answer) = search_order("nas", 1, code);
            assert_eq!(names, ["nas.lan", "nas.example.org", "nas"]);
            assert_eq!(answer, Some(Answer::NoSuchName));
        }
        let (names, _) = search_order("a.b", 1, 3);
        assert_eq!(names, ["a.b", "a.b.lan", "a.b.example.org"]);
        let (names, _) = search_order("a.b", 2, 3);
        assert_eq!(names, ["a.b.lan", "a.b.example.org", "a.b"]);
        let (names, answer) = search_order("nas.", 1, 3);
        assert_eq!(names, ["nas"]);
        assert_eq!(answer, Some(Answer::NoSuchName));
    }

    #[test]
    fn a_name_that_cannot_be_asked_for_does_not_exist() {
        for name in ["a..b", ".", &"x".repeat(64)] {
            let (names, answer) = search_order(name, 1, 0);
            assert!(names.is_empty());
            assert_eq!(answer, Some(Answer::NoSuchName));
        }
        // Too long with a domain behind it, not without.
        let long = format!("{0}.{0}.{0}.{1}", "x".repeat(62), "y".repeat(62));
        assert_eq!(search_order(&long, 1, 3).0, [long]);
    }

    #[test]
    fn a_failure_in_the_search_is_not_an_absence() {
        let (names, answer) = search_order("nas", 1, 2);
        // Each with EDNS, without, and once more.
        assert_eq!(names.len(), 9);
        assert_eq!(answer, Some(Answer::Failed));
    }

    #[test]
    fn a_timeout_ends_the_search() {
        let mut bench = Bench::new("nas", with_domain(1));
        let sent = bench.sent();
        bench.reply(&sent[0], 0, &[]);
        bench.pass(5000);
        assert_eq!(bench.answer, Some(Answer::TimedOut));
    }

    #[test]
    fn an_absent_name_outweighs_a_lost_answer() {
        let mut bench = Bench::new("nas", with_domain(1));
        let sent = bench.sent();
        bench.reply(&sent[0], 3, &[]);
        bench.pass(5000);
        assert_eq!(bench.sent()[0].name(), "nas");
    }

    #[test]
    fn without_servers_names_fail_at_once() {
        let mut bench = Bench::new("a.example", settings(0));
        assert!(bench.sent().is_empty());
        assert_eq!(bench.answer, Some(Answer::Failed));
    }
}
