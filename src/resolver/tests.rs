//! The resolver over a network in memory. What one query does is tested beside it.

use std::net::{IpAddr, SocketAddr};

use super::*;
use crate::config::Families;
use crate::net::fake::{End, FakeNet};
use crate::wire::dns::replies::{addresses, name_of, reply};
use proptest::prelude::*;

const WAITERS_MAX: usize = 500;
const QUERIES_MAX: usize = 64;

/// A resolver on a virtual clock. Servers are told apart by their ports, from 1 on.
struct Bench {
    resolver: Resolver<FakeNet>,
    net: FakeNet,
    /// How many of the sockets the test has seen.
    seen: usize,
}

/// glibc's defaults and as many servers.
pub(super) fn settings(servers: u16) -> DnsSettings {
    let servers = (1..=servers).map(|port| SocketAddr::from(([127, 0, 0, 1], port)));
    DnsSettings {
        servers: servers.collect(),
        ..DnsSettings::default()
    }
}

/// The same for IPv4 only, so that each name is one query.
pub(super) fn only_v4(servers: u16) -> DnsSettings {
    DnsSettings {
        families: Families {
            v6: false,
            ..Families::default()
        },
        ..settings(servers)
    }
}

fn key(number: u16) -> Key {
    Key::new(number, 7)
}

fn client(number: u8) -> ClientKey {
    ClientKey::from(IpAddr::from([192, 168, 1, number]))
}

pub(super) fn found(list: &[&str]) -> Answer {
    Answer::Found(addresses(list), [None; 2])
}

/// An answer without the servers that it is from, to be compared.
pub(super) fn without_servers(answer: Answer) -> Answer {
    match answer {
        Answer::Found(addresses, _) => Answer::Found(addresses, [None; 2]),
        other => other,
    }
}

/// The query that a far end has received.
fn query(end: &End) -> Vec<u8> {
    let end = end.borrow();
    end.sent[if end.is_tcp { 2 } else { 0 }..].to_vec()
}

fn name(end: &End) -> String {
    String::from_utf8(name_of(&query(end))).unwrap()
}

fn server(end: &End) -> u16 {
    end.borrow().addr.port()
}

/// Has a far end send something, which nobody has been told yet.
fn push(end: &End, bytes: &[u8]) {
    end.borrow_mut().incoming.push_back(bytes.to_vec());
}

fn push_answer(end: &End) {
    push(end, &reply(&query(end), 0, &["192.0.2.1"]));
}

impl Bench {
    fn new(settings: DnsSettings) -> Self {
        Self {
            resolver: Resolver::new(settings, QUERIES_MAX, WAITERS_MAX, u32::MAX),
            net: FakeNet::default(),
            seen: 0,
        }
    }

    fn try_start(&mut self, session: u16, number: u8, name: &str) -> bool {
        let started = self
            .resolver
            .start(key(session), client(number), name.as_bytes());
        self.resolver.check();
        started
    }

    fn start(&mut self, session: u16, name: &str) {
        assert!(self.try_start(session, 1, name));
    }

    fn cancel(&mut self, session: u16) {
        self.resolver.cancel(key(session));
        self.resolver.check();
    }

    /// One pass of the loop.
    fn run(&mut self) {
        let now = self.net.now;
        self.run_until(now);
    }

    /// One pass of the loop, in which events have told of all that came by then.
    fn run_until(&mut self, until: Millis) {
        self.resolver.run(&mut self.net, until);
        self.resolver.check();
    }

    fn pass(&mut self, ms: Millis) {
        self.net.now += ms;
        self.run();
    }

    /// Passes until all is sent; the sockets that are new since the last time.
    fn sent(&mut self) -> Vec<End> {
        for _ in 0..=2 * QUERIES_MAX / SENDS_MAX {
            self.run();
        }
        let new = self.net.ends[self.seen..].to_vec();
        self.seen = self.net.ends.len();
        new
    }

    /// The one query that is sent now.
    #[track_caller]
    fn one(&mut self) -> End {
        let mut sent = self.sent();
        assert_eq!(sent.len(), 1);
        sent.remove(0)
    }

    fn event(&mut self, end: &End) {
        let event = end.borrow().event();
        self.resolver.handle_event(&event);
    }

    fn event_and_run(&mut self, end: &End) {
        self.event(end);
        self.run();
    }

    fn reply(&mut self, end: &End, code: u8, addresses: &[&str]) {
        push(end, &reply(&query(end), code, addresses));
        self.event_and_run(end);
    }

    fn refuse(&mut self, end: &End) {
        end.borrow_mut().error = Some(Errno::ECONNREFUSED);
        self.event_and_run(end);
    }

    fn answers(&mut self) -> Vec<(Key, Answer)> {
        let answers = std::iter::from_fn(|| self.resolver.poll_answer());
        let answers = answers
            .map(|(asker, answer, _)| (asker.session, without_servers(Answer::clone(&answer))))
            .collect();
        self.resolver.check();
        answers
    }

    /// The sessions that have got an answer, but for those that wait on for the rest.
    fn answered(&mut self) -> Vec<Key> {
        let answers = std::iter::from_fn(|| self.resolver.poll_answer());
        let whole = answers.filter(|(.., is_all)| *is_all);
        let sessions = whole.map(|(asker, ..)| asker.session).collect();
        self.resolver.check();
        sessions
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
        assert!(self.net.ends.iter().all(|end| end.borrow().is_closed));
    }

    /// Has a query truncated, and gives the TCP connection that follows.
    fn over_tcp(&mut self) -> End {
        self.start(1, "a.example");
        let end = self.one();
        let mut truncated = reply(&query(&end), 0, &[]);
        truncated[2] |= 2;
        push(&end, &truncated);
        self.event_and_run(&end);
        assert!(end.borrow().is_closed);
        let end = self.one();
        assert!(end.borrow().is_tcp);
        end
    }
}

#[test]
fn an_answer_that_no_event_has_told_of_is_not_late() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    let sent = bench.one();
    push_answer(&sent);
    // The process was stopped for longer than a server has to answer.
    let before = bench.net.now;
    bench.net.now += 60_000;
    bench.run_until(before);
    assert_eq!(bench.net.ends.len(), bench.seen, "nobody else is asked");
    bench.event_and_run(&sent);
    bench.expect(1, found(&["192.0.2.1"]));
    assert_eq!(bench.resolver.counters().timed_out, 0);
}

#[test]
fn a_name_is_asked_on_a_fresh_socket_with_a_random_id_and_answered() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    assert_eq!(bench.resolver.poll_timeout(), 0);
    let end = bench.one();
    assert_eq!(bench.resolver.poll_timeout(), 5000);
    assert_eq!(query(&end)[..2], 0x4f1b_u16.to_be_bytes());
    bench.reply(&end, 0, &["192.0.2.1"]);
    assert_eq!(bench.resolver.poll_timeout(), 0);
    bench.expect(1, found(&["192.0.2.1"]));
    bench.expect_idle();
}

#[test]
fn the_second_family_has_fifty_ms() {
    let mut bench = Bench::new(settings(1));
    bench.start(1, "a.example");
    let sent = bench.sent();
    bench.pass(20);
    bench.reply(&sent[0], 0, &["192.0.2.1"]);
    assert!(sent[0].borrow().is_closed);
    assert_eq!(bench.resolver.poll_timeout(), 70);
    bench.pass(49);
    assert_eq!(bench.answers(), []);
    bench.pass(1);
    bench.expect(1, found(&["192.0.2.1"]));
    bench.cancel(1);
    bench.expect_idle();
}

#[test]
fn an_event_without_data_changes_nothing() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    let end = bench.one();
    bench.event_and_run(&end);
    assert_eq!(end.borrow().reads, 1);
    bench.run();
    assert_eq!(end.borrow().reads, 1);
    bench.cancel(1);
    bench.expect_idle();
}

#[test]
fn each_attempt_has_a_socket_and_an_id_of_its_own_and_old_events_are_dropped() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    let old = bench.one();
    bench.pass(5000);
    let new = bench.one();
    assert!(old.borrow().is_closed);
    assert_eq!(server(&new), 2);
    assert_ne!(query(&old)[..2], query(&new)[..2]);
    assert_ne!(old.borrow().token, new.borrow().token);
    bench.reply(&old, 0, &["192.0.2.66"]);
    assert_eq!((old.borrow().reads, new.borrow().reads), (0, 0));
    bench.reply(&new, 0, &["192.0.2.1"]);
    bench.expect(1, found(&["192.0.2.1"]));
    assert_eq!(bench.resolver.counters().timed_out, 1);
    bench.expect_idle();
}

#[test]
fn a_second_answer_finds_nothing() {
    let mut bench = Bench::new(settings(1));
    bench.start(1, "a.example");
    let sent = bench.sent();
    push_answer(&sent[0]);
    bench.reply(&sent[0], 0, &["192.0.2.66"]);
    assert_eq!(sent[0].borrow().reads, 1);
    bench.event(&sent[0]);
    bench.reply(&sent[1], 0, &[]);
    bench.expect(1, found(&["192.0.2.1"]));
    bench.expect_idle();
}

#[test]
fn a_flood_of_forged_answers_is_read_in_bounded_passes_and_no_edge_is_lost() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    let end = bench.one();
    for _ in 0..20 {
        push(&end, b"forged");
    }
    push_answer(&end);
    bench.event(&end);
    for reads in [8, 16] {
        assert_eq!(bench.resolver.poll_timeout(), 0);
        bench.run();
        assert_eq!(end.borrow().reads, reads);
    }
    bench.run();
    bench.expect(1, found(&["192.0.2.1"]));
    let counters = bench.resolver.counters();
    assert_eq!((counters.refused, counters.answered), (20, 1));
    bench.expect_idle();
}

#[test]
fn a_refusal_goes_to_the_next_server_in_the_same_pass() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    let end = bench.one();
    bench.refuse(&end);
    assert!(end.borrow().is_closed);
    assert_eq!(bench.net.ends.len(), 2);
    assert_eq!(server(&bench.net.ends[1]), 2);
}

#[test]
fn without_descriptors_or_randomness_an_attempt_waits_for_its_time() {
    // EINVAL would be the server's fault if it came from a socket.
    for (open_error, random_error) in [
        (Some(Errno::EMFILE), None),
        (None, Some(Errno::EIO)),
        (None, Some(Errno::EINVAL)),
    ] {
        let mut bench = Bench::new(only_v4(2));
        bench.net.open_error = open_error;
        bench.net.random_error = random_error;
        bench.start(1, "a.example");
        assert!(bench.sent().is_empty());
        assert_eq!(bench.resolver.poll_timeout(), 5000);
        assert_eq!(bench.resolver.counters().sent, 1);
        bench.net.open_error = None;
        bench.net.random_error = None;
        bench.pass(5000);
        let end = bench.one();
        bench.reply(&end, 0, &["192.0.2.1"]);
        bench.expect(1, found(&["192.0.2.1"]));
        bench.expect_idle();
    }
}

#[test]
fn an_unreachable_network_fails_many_names_in_bounded_passes() {
    let mut bench = Bench::new(only_v4(2));
    bench.net.open_error = Some(Errno::ENETUNREACH);
    for session in 0..100 {
        bench.start(session, &format!("n{session}.example"));
    }
    // Four attempts each.
    for _ in 0..100 * 4 / SENDS_MAX + 1 {
        assert_eq!(bench.resolver.poll_timeout(), 0);
        let before = bench.resolver.counters().sent;
        bench.run();
        assert!(bench.resolver.counters().sent - before <= SENDS_MAX as u64);
    }
    let answers = bench.answers();
    assert_eq!(answers.len(), 100);
    assert!(answers.iter().all(|(_, answer)| *answer == Answer::Failed));
    bench.expect_idle();
}

#[test]
fn an_answer_over_tcp_may_come_in_pieces() {
    let mut bench = Bench::new(only_v4(2));
    let end = bench.over_tcp();
    bench.event_and_run(&end);
    assert!(end.borrow().sent.is_empty());
    end.borrow_mut().piece_bytes = 3;
    end.borrow_mut().is_connected = true;
    bench.event(&end);
    // 40 bytes of query in pieces of 3, 8 a pass.
    for _ in 0..2 {
        assert_eq!(bench.resolver.poll_timeout(), 0);
        bench.run();
    }
    let query = query(&end);
    let len = u16::try_from(query.len()).unwrap();
    assert_eq!(end.borrow().sent[..2], len.to_be_bytes());
    let message = reply(&query, 0, &["192.0.2.1"]);
    let len = u16::try_from(message.len()).unwrap();
    push(&end, &len.to_be_bytes());
    push(&end, &message);
    bench.event(&end);
    for _ in 0..3 {
        bench.run();
    }
    bench.expect(1, found(&["192.0.2.1"]));
    bench.expect_idle();
}

#[test]
fn of_a_long_answer_over_tcp_the_front_is_used() {
    let mut bench = Bench::new(only_v4(2));
    let end = bench.over_tcp();
    end.borrow_mut().is_connected = true;
    bench.event_and_run(&end);
    let mut message = reply(&query(&end), 0, &["192.0.2.1"]);
    message[6] = 0xff;
    message.resize(9000, 0xff);
    push(&end, &9000_u16.to_be_bytes());
    push(&end, &message);
    bench.event_and_run(&end);
    bench.expect(1, found(&["192.0.2.1"]));
    bench.expect_idle();
}

#[test]
fn a_broken_tcp_answer_goes_to_the_next_server() {
    // No connection, an end in the middle, an empty message.
    for case in 0..3 {
        let mut bench = Bench::new(only_v4(2));
        let end = bench.over_tcp();
        end.borrow_mut().is_connected = case > 0;
        match case {
            0 => end.borrow_mut().error = Some(Errno::ECONNREFUSED),
            1 => {
                push(&end, &[0, 20, 1, 2, 3]);
                end.borrow_mut().is_ended = true;
            }
            _ => push(&end, &[0, 0]),
        }
        bench.event_and_run(&end);
        assert!(end.borrow().is_closed);
        let next = bench.one();
        assert_eq!((server(&next), next.borrow().is_tcp), (2, false));
        bench.cancel(1);
        bench.expect_idle();
    }
}

#[test]
fn a_dead_first_server_costs_its_time_once() {
    let mut bench = Bench::new(only_v4(2));
    bench.start(1, "a.example");
    assert_eq!(server(&bench.one()), 1);
    bench.pass(5000);
    let end = bench.one();
    assert_eq!(server(&end), 2);
    bench.reply(&end, 3, &[]);
    bench.expect(1, Answer::NoSuchName);
    bench.start(2, "b.example");
    assert_eq!(server(&bench.one()), 2);
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
        let end = bench.one();
        servers.push(server(&end));
        bench.reply(&end, 0, &["192.0.2.1"]);
    }
    assert_eq!(servers, [2, 3, 1, 2]);
}

#[test]
fn without_servers_names_fail_at_once() {
    let mut bench = Bench::new(settings(0));
    bench.start(1, "a.example");
    assert_eq!(bench.resolver.poll_timeout(), 0);
    bench.expect(1, Answer::Failed);
    bench.expect_idle();
}

#[test]
fn who_asks_for_a_name_in_flight_joins_it() {
    let mut bench = Bench::new(only_v4(1));
    bench.start(1, "a.example");
    let end = bench.one();
    bench.start(2, "A.Example");
    assert!(bench.sent().is_empty());
    bench.reply(&end, 0, &["192.0.2.1"]);
    let mut sessions: Vec<usize> = bench.answers().iter().map(|(key, _)| key.index()).collect();
    sessions.sort_unstable();
    assert_eq!(sessions, [1, 2]);
    bench.expect_idle();
}

#[test]
fn cancel_ends_the_query_with_its_last_waiter() {
    let mut bench = Bench::new(settings(1));
    bench.start(1, "a.example");
    bench.start(2, "a.example");
    let sent = bench.sent();
    assert_eq!(sent.len(), 2);
    bench.cancel(1);
    assert_eq!(
        bench.resolver.live(),
        4,
        "a query, a waiter and two sockets"
    );
    assert!(!sent[0].borrow().is_closed && !sent[1].borrow().is_closed);
    bench.cancel(2);
    assert!(sent[0].borrow().is_closed && sent[1].borrow().is_closed);
    bench.expect_idle();
}

/// A name whose IPv4 address has been given after the 50 ms, and its two questions.
fn given_first_family() -> (Bench, Vec<End>) {
    let mut bench = Bench::new(settings(1));
    bench.start(1, "a.example");
    let sent = bench.sent();
    bench.reply(&sent[0], 0, &["192.0.2.1"]);
    bench.pass(50);
    bench.expect(1, found(&["192.0.2.1"]));
    (bench, sent)
}

/// RFC 8305 §3: what comes behind the 50 ms joins the attempts that have begun.
#[test]
fn the_second_family_comes_behind_the_first_for_those_who_connect() {
    let mut bench = Bench::new(settings(1));
    bench.start(1, "a.example");
    let other = Asker {
        session: key(2),
        number: 3,
        takes_rest: false,
    };
    assert!(bench.resolver.start(other, client(1), b"a.example"));
    let sent = bench.sent();
    bench.reply(&sent[0], 0, &["192.0.2.1"]);
    bench.pass(50);
    let mut first = Vec::new();
    while let Some((asker, answer, is_all)) = bench.resolver.poll_answer() {
        assert_eq!(
            without_servers(Answer::clone(&answer)),
            found(&["192.0.2.1"])
        );
        first.push((asker.session, is_all));
    }
    first.sort_by_key(|(session, _)| session.index());
    assert_eq!(first, [(key(1), false), (key(2), true)]);
    // Who comes now does not wait for a server that may be silent.
    bench.start(3, "a.example");
    let again = bench.sent();
    assert_eq!(again.len(), 2);
    bench.pass(300);
    bench.reply(&sent[1], 0, &["2001:db8::1"]);
    let (asker, answer, is_all) = bench.resolver.poll_answer().expect("the rest");
    assert_eq!((asker.session, is_all), (key(1), true));
    assert_eq!(
        without_servers(Answer::clone(&answer)),
        found(&["2001:db8::1"])
    );
    bench.cancel(3);
    bench.expect_idle();
}

#[test]
fn a_second_family_that_is_not_there_ends_the_wait_and_nobody_left_ends_the_query() {
    for is_left in [false, true] {
        let (mut bench, sent) = given_first_family();
        if is_left {
            bench.cancel(1);
        } else {
            bench.reply(&sent[1], 0, &[]);
            bench.expect(1, Answer::NoSuchName);
        }
        bench.expect_idle();
    }
}

#[test]
fn a_query_for_the_second_family_alone_makes_room_for_any_name() {
    let (mut bench, sent) = given_first_family();
    for session in 2..=u16::try_from(QUERIES_MAX).unwrap() + 1 {
        bench.start(session, &format!("n{session}.example"));
    }
    bench.run();
    bench.expect(1, Answer::TimedOut);
    assert!(sent[1].borrow().is_closed);
}

#[test]
fn one_session_asks_for_several_names_and_cancels_one_by_one() {
    let mut bench = Bench::new(settings(1));
    let asker = |number| Asker {
        session: key(1),
        number,
        takes_rest: false,
    };
    for (number, name) in [(0, "a.example"), (3, "localhost"), (1, "b.example")] {
        let name = name.as_bytes();
        assert!(bench.resolver.start(asker(number), client(1), name));
    }
    let answer = bench.resolver.poll_answer();
    assert_eq!(answer.map(|(asker, ..)| asker), Some(asker(3)));
    bench.start(2, "b.example");
    assert_eq!(bench.resolver.live(), 5, "two queries and three who wait");
    bench.resolver.cancel(asker(0));
    bench.resolver.cancel(asker(1));
    assert_eq!(bench.resolver.live(), 2, "a query and the other session");
    bench.cancel(2);
    bench.expect_idle();
}

/// Sends `count` names of a client, that no answer comes to.
fn dead(bench: &mut Bench, sessions: std::ops::Range<u16>, number: u8) -> Vec<End> {
    for session in sessions {
        assert!(bench.try_start(session, number, &format!("dead{session}.example")));
    }
    bench.sent()
}

#[test]
fn cancel_reaches_the_line_and_answers_not_yet_taken() {
    let mut bench = Bench::new(only_v4(1));
    assert_eq!(dead(&mut bench, 0..68, 1).len(), QUERIES_MAX);
    bench.cancel(65);
    bench.start(130, "localhost");
    bench.cancel(130);
    assert_eq!(bench.answers(), []);
    // A query and a socket each, and those who wait.
    assert_eq!(bench.resolver.live(), 2 * QUERIES_MAX + 67);
    bench.cancel(3);
    assert_eq!(name(&bench.one()), "dead64.example");
    bench.cancel(4);
    assert_eq!(name(&bench.one()), "dead66.example");
}

#[test]
fn two_hundred_dead_names_of_one_client_do_not_delay_another() {
    let mut bench = Bench::new(settings(1));
    assert_eq!(dead(&mut bench, 0..200, 1).len(), 2 * QUERIES_MAX);
    assert!(bench.try_start(300, 2, "live.example"));
    let sent = bench.sent();
    assert_eq!(name(&sent[0]), "live.example");
    bench.reply(&sent[0], 0, &["192.0.2.1"]);
    bench.reply(&sent[1], 0, &[]);
    bench.expect(300, found(&["192.0.2.1"]));
    assert_eq!(bench.sent().len(), 2, "its place is taken");
    // The dead names end as well, a table full of them every two seconds.
    for _ in 0..9 {
        bench.pass(PATIENCE_MS);
        assert!(bench.sent().len() <= 2 * QUERIES_MAX);
    }
    let answers = bench.answers();
    assert_eq!(answers.len(), 200);
    let timed_out = |(_, answer): &(Key, Answer)| *answer == Answer::TimedOut;
    assert!(answers.iter().all(timed_out));
    bench.expect_idle();
}

#[test]
fn sixty_dead_names_of_a_client_do_not_delay_its_own_others() {
    let mut bench = Bench::new(only_v4(1));
    dead(&mut bench, 0..60, 1);
    bench.start(300, "live.example");
    let end = bench.one();
    bench.reply(&end, 0, &["192.0.2.1"]);
    bench.expect(300, found(&["192.0.2.1"]));
}

#[test]
fn in_a_table_full_of_dead_names_their_client_waits_two_seconds_for_its_others() {
    let mut bench = Bench::new(only_v4(1));
    dead(&mut bench, 0..64, 1);
    bench.start(300, "live.example");
    assert!(bench.sent().is_empty());
    // The wait is known, and not spent in passes.
    assert_eq!(bench.resolver.poll_timeout(), PATIENCE_MS);
    bench.pass(PATIENCE_MS - 1);
    assert!(bench.sent().is_empty());
    bench.pass(1);
    let end = bench.one();
    assert_eq!(name(&end), "live.example");
    bench.reply(&end, 0, &["192.0.2.1"]);
    let [dead, live] = &bench.answers()[..] else {
        panic!("one has given its place to the other");
    };
    let mut both = [dead, live];
    both.sort_by_key(|(key, _)| key.index());
    assert_eq!(both[0].1, Answer::TimedOut);
    assert_eq!(*both[1], (key(300), found(&["192.0.2.1"])));
}

#[test]
fn a_query_that_gives_its_place_early_is_begun_again_later() {
    let mut bench = Bench::new(only_v4(1));
    let sent = dead(&mut bench, 0..64, 1);
    bench.pass(10);
    assert!(bench.try_start(300, 2, "live.example"));
    let live = bench.one();
    assert_eq!(name(&live), "live.example");
    // It is the first of those that waited longest.
    assert!(sent[0].borrow().is_closed && bench.answers().is_empty());
    bench.reply(&live, 3, &[]);
    bench.expect(300, Answer::NoSuchName);
    let again = bench.one();
    assert_eq!(name(&again), name(&sent[0]));
    bench.reply(&again, 0, &["192.0.2.1"]);
    bench.expect(0, found(&["192.0.2.1"]));
}

#[test]
fn clients_with_as_many_take_nothing_from_one_another() {
    let mut bench = Bench::new(only_v4(1));
    bench.resolver = Resolver::new(only_v4(1), 2, WAITERS_MAX, u32::MAX);
    dead(&mut bench, 0..4, 1);
    for number in 2..=4 {
        let session = u16::from(number) * 10;
        assert!(bench.try_start(session, number, &format!("n{number}.example")));
    }
    // One of the first client's, and then each waits.
    assert_eq!(name(&bench.one()), "n2.example");
    assert_eq!(bench.resolver.poll_timeout(), PATIENCE_MS);
    assert!(bench.sent().is_empty());
}

#[test]
fn clients_below_their_share_wait_until_somebody_has_waited_for_long() {
    let mut bench = Bench::new(only_v4(1));
    for client in 0..8 {
        dead(
            &mut bench,
            client * 8..client * 8 + 8,
            u8::try_from(client).unwrap(),
        );
    }
    assert!(bench.try_start(300, 9, "live.example"));
    assert!(bench.sent().is_empty());
    bench.pass(PATIENCE_MS);
    assert_eq!(name(&bench.one()), "live.example");
}

#[test]
fn a_silent_server_is_passed_over_by_names_that_get_a_place_before_its_time() {
    for is_alive in [false, true] {
        let mut bench = Bench::new(only_v4(2));
        let sent = dead(&mut bench, 0..64, 1);
        assert!(sent.iter().all(|end| server(end) == 1));
        bench.pass(10);
        if is_alive {
            bench.reply(&sent[9], 3, &[]);
            bench.start(200, "next.example");
            bench.one();
        }
        bench.start(300, "live.example");
        bench.pass(PATIENCE_MS - 10);
        let end = bench.one();
        assert_eq!(
            (name(&end).as_str(), server(&end)),
            ("live.example", if is_alive { 1 } else { 2 })
        );
    }
}

#[test]
fn another_clients_question_takes_a_name_out_of_the_line() {
    let mut bench = Bench::new(only_v4(1));
    dead(&mut bench, 0..65, 1);
    assert!(bench.try_start(100, 2, "dead64.example"));
    let end = bench.one();
    bench.reply(&end, 3, &[]);
    assert_eq!(bench.answers().len(), 2);
}

#[test]
fn the_first_in_line_is_of_the_client_that_has_fewest_queries() {
    let mut bench = Bench::new(only_v4(1));
    for client in 0..4 {
        dead(
            &mut bench,
            client * 16..client * 16 + 16,
            u8::try_from(client).unwrap(),
        );
    }
    assert!(bench.try_start(100, 0, "first.example"));
    assert!(bench.try_start(101, 0, "second.example"));
    assert!(bench.try_start(102, 1, "other.example"));
    bench.cancel(17);
    assert_eq!(name(&bench.one()), "other.example");
    bench.cancel(18);
    bench.cancel(3);
    let mut names: Vec<_> = bench.sent().iter().map(name).collect();
    names.sort();
    assert_eq!(names, ["first.example", "second.example"]);
}

#[test]
fn many_queries_are_sent_in_bounded_passes_each_in_its_turn() {
    for open_error in [None, Some(Errno::ENETUNREACH)] {
        let mut bench = Bench::new(settings(2));
        bench.net.open_error = open_error;
        for session in 0..64 {
            let number = u8::try_from(session % 4).unwrap();
            assert!(bench.try_start(session, number, &format!("n{session}.example")));
        }
        for sent in [32, 64, 96, 128] {
            assert_eq!(bench.resolver.poll_timeout(), 0);
            bench.run();
            assert_eq!(bench.resolver.counters().sent, sent);
        }
        // Each has had one attempt, although those that fail are to be sent again at once.
        let server = if open_error.is_some() { 2 } else { 1 };
        for query in bench.resolver.in_flight() {
            assert_eq!([0, 1].map(|half| query.server(half).0.port()), [server; 2]);
        }
    }
}

#[test]
fn too_many_waiters_are_refused() {
    let mut bench = Bench::new(settings(1));
    for session in 0..500 {
        bench.start(session, "a.example");
    }
    assert!(!bench.try_start(500, 1, "b.example"));
    bench.cancel(7);
    assert!(bench.try_start(500, 1, "b.example"));
}

#[test]
fn who_waits_for_most_makes_room_among_those_who_wait() {
    let mut bench = Bench::new(only_v4(1));
    dead(&mut bench, 0..500, 1);
    for session in 0..250 {
        let is_let_in = bench.try_start(1000 + session, 2, &format!("n{session}.example"));
        assert!(is_let_in, "{session}");
        bench.run();
        let answers = bench.answers();
        assert!(
            answers.contains(&(key(session), Answer::TimedOut)),
            "{session}"
        );
    }
    // Equals take nothing from one another.
    assert!(!bench.try_start(1250, 1, "more.example"));
    assert!(!bench.try_start(1250, 2, "more.example"));
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
    assert_eq!(server(&new), 9);
    bench.refuse(&old);
    let old = bench.one();
    assert_eq!(server(&old), 1);
    bench.reply(&old, 0, &["192.0.2.1"]);
    bench.expect(1, found(&["192.0.2.1"]));
    bench.reply(&new, 0, &["192.0.2.2"]);
    bench.expect(2, found(&["192.0.2.2"]));
    bench.expect_idle();
}

#[test]
fn new_settings_leave_each_server_its_share_of_the_time() {
    let mut bench = Bench::new(only_v4(1));
    bench.resolver = Resolver::new(only_v4(1), QUERIES_MAX, WAITERS_MAX, 6_000);
    bench.resolver.set_settings(only_v4(2));
    bench.start(1, "a.example");
    bench.one();
    assert_eq!(bench.resolver.poll_timeout(), 2_000);
}

proptest! {
    #[test]
    fn every_session_gets_one_answer_whatever_happens(
        steps in proptest::collection::vec(any::<(u8, u8, u8)>(), 0..300)
    ) {
        let search = vec![b"lan".as_slice().into()];
        let mut bench = Bench::new(DnsSettings { search, ..settings(2) });
        let mut open: Vec<u16> = Vec::new();
        let mut sent: Vec<End> = Vec::new();
        for (session, (step, pick, value)) in (0u16..).zip(steps) {
            let end = (!sent.is_empty()).then(|| sent[usize::from(pick) % sent.len()].clone());
            match (step % 8, end) {
                (0..=2, _) => {
                    let name = format!("n{}", pick % 100);
                    prop_assert!(bench.try_start(session, value % 3, &name));
                    open.push(session);
                }
                (3, _) if !open.is_empty() => {
                    bench.cancel(open.swap_remove(usize::from(pick) % open.len()));
                }
                (4, _) => bench.pass(Millis::from(value) * 20),
                (5, Some(end)) => bench.refuse(&end),
                (6, Some(end)) if !end.borrow().is_tcp => {
                    let mut message = reply(&query(&end), value % 6, &["192.0.2.1"]);
                    message[2] |= value & 2;
                    push(&end, &message);
                    bench.event_and_run(&end);
                }
                (6, Some(end)) => {
                    end.borrow_mut().is_connected = true;
                    push(&end, &[0, value % 3, 1, 2]);
                    bench.event_and_run(&end);
                }
                (7, Some(end)) if !end.borrow().is_tcp => {
                    bench.reply(&end, 0, &["192.0.2.1", "2001:db8::1"]);
                }
                _ => {}
            }
            sent.extend(bench.sent());
            for session in bench.answered() {
                let before = open.len();
                open.retain(|&other| key(other) != session);
                prop_assert_eq!(open.len() + 1, before);
            }
        }
        // At most 300 names, 64 at once, two candidates of four attempts each.
        for _ in 0..100 {
            bench.pass(5000);
            bench.sent();
            for session in bench.answered() {
                open.retain(|&other| key(other) != session);
            }
        }
        prop_assert!(open.is_empty());
        bench.expect_idle();
    }
}
