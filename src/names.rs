//! Name lookups on real sockets: what `state::resolver` decides, done with a [`Net`].
//!
//! Each attempt has a socket of its own, so the kernel picks a random port for each and drops
//! strangers. An event only marks its socket; `run`, once per pass of the loop, does a bounded
//! amount of work, and [`Names::poll_timeout`] is 0 while some is left: no edge is lost.

use std::net::SocketAddr;
use std::rc::Rc;

use crate::config::dns::DnsSettings;
use crate::net::{Errno, Event, Millis, Net, Purpose, Stream, UdpSocket};
use crate::state::access::ClientKey;
use crate::state::resolver::{Action, Answer, Asker, Counters, Resolver, SOCKETS_MAX};
use crate::state::slots::{Key, Role, Token};
use crate::wire::dns::QUERY_MAX;

/// Receives on one socket per pass: an honest server sends one message, a flood of forged ones
/// must not hold up the loop.
const RECEIVES_MAX: usize = 8;

/// Sockets opened or closed per pass, as many as connections are accepted: about 5 calls each.
const ACTIONS_MAX: usize = 32;

/// What is kept of an answer: eight addresses behind a long chain of names fit several times.
const ANSWER_MAX: usize = 4096;

/// The length in front of a message over TCP (RFC 1035 §4.2.2).
const PREFIX_BYTES: usize = 2;

/// All names being looked up, and their sockets.
pub struct Names<N: Net> {
    resolver: Resolver,
    /// By socket number; grows to [`SOCKETS_MAX`] as it is needed.
    sockets: Vec<Option<Socket<N>>>,
    patience_ms: u32,
}

struct Socket<N: Net> {
    /// The attempt that it was opened for.
    serial: u16,
    /// Something may have happened on it.
    ready: bool,
    carrier: Carrier<N>,
}

enum Carrier<N: Net> {
    Udp(N::UdpSocket),
    Tcp(Box<Exchange<N::Stream>>),
}

/// One question and its answer over TCP.
struct Exchange<S: Stream> {
    stream: S,
    /// The question, then the answer, with the length in front; [`ANSWER_MAX`] of it at most.
    bytes: [u8; PREFIX_BYTES + ANSWER_MAX],
    /// How many of them were sent or received.
    len: usize,
    /// How many are to be, as far as that is known.
    end: usize,
    is_sent: bool,
}

impl<N: Net> Names<N> {
    /// At most `waiters_max` lookups at once, for those who wait `patience_ms` for a name and a
    /// connection to it. Holds no memory and no socket yet.
    pub fn new(settings: DnsSettings, waiters_max: usize, patience_ms: u32) -> Self {
        Self {
            resolver: Resolver::new(settings.within(patience_ms), waiters_max),
            sockets: Vec::new(),
            patience_ms,
        }
    }

    /// Replaces the settings (SIGHUP); lookups under way finish with the old ones.
    pub fn set_settings(&mut self, settings: DnsSettings) {
        self.resolver
            .set_settings(settings.within(self.patience_ms));
    }

    /// Starts a lookup, as [`Resolver::start`]. The answer never comes before the next
    /// [`Self::poll_answer`]. `false`: too many wait.
    #[must_use]
    pub fn start(&mut self, asker: impl Into<Asker>, client: ClientKey, name: &[u8]) -> bool {
        self.resolver.start(asker.into(), client, name)
    }

    /// Forgets all that a session asked for; no answer comes for it any more.
    pub fn cancel(&mut self, session: Key) {
        self.resolver.cancel(session);
    }

    /// Marks the socket that an event is about. Events of sockets closed since are dropped.
    pub fn handle_event(&mut self, event: &Event) {
        if event.token.role() != Some(Role::Dns) {
            return;
        }
        let key = event.token.key();
        if let Some(Some(socket)) = self.sockets.get_mut(key.index())
            && socket.serial == key.generation()
        {
            socket.ready = true;
        }
    }

    /// Does what is to be done now: reads, expires, sends. Once per pass of the loop, after
    /// the sessions have had their turns and before the answers are taken.
    pub fn run(&mut self, net: &mut N) {
        let now = net.now();
        if self.is_ready() {
            self.turns(now);
        }
        if self.resolver.poll_timeout() <= now {
            self.resolver.handle_timeout(now);
        }
        for _ in 0..ACTIONS_MAX {
            let Some(action) = self.resolver.poll_action(now) else {
                break;
            };
            match action {
                Action::Close { socket } => self.close(usize::from(socket)),
                Action::Send {
                    socket,
                    serial,
                    server,
                    tcp,
                } => {
                    self.send(net, socket, serial, server, tcp);
                }
            }
        }
    }

    /// The next answer and whom it is for.
    pub fn poll_answer(&mut self) -> Option<(Asker, Rc<Answer>)> {
        self.resolver.poll_answer()
    }

    /// When [`Self::run`] or [`Self::poll_answer`] is due, in the unit of [`Net::now`]; 0 means
    /// that something is left to do at once.
    pub fn poll_timeout(&self) -> Millis {
        let at_once = self.resolver.has_actions() || self.resolver.has_answers();
        if at_once || self.is_ready() {
            0
        } else {
            self.resolver.poll_timeout()
        }
    }

    /// Slots in use, sessions waiting and sockets open: 0 when nothing is held for anyone.
    pub fn live(&self) -> usize {
        self.resolver.live() + self.sockets.iter().flatten().count()
    }

    /// The sums since the start.
    pub fn counters(&self) -> Counters {
        self.resolver.counters()
    }

    /// Sweeps the invariants, for tests and debug builds.
    pub fn check(&self) {
        self.resolver.check();
        assert!(self.sockets.len() <= SOCKETS_MAX);
    }

    /// Whether something may have happened on a socket.
    fn is_ready(&self) -> bool {
        self.sockets.iter().flatten().any(|socket| socket.ready)
    }

    /// One turn for every socket that is marked.
    fn turns(&mut self, now: Millis) {
        let mut scratch = [0; ANSWER_MAX];
        for number in 0..self.sockets.len() {
            if let Some(socket) = &mut self.sockets[number]
                && socket.ready
                && Self::turn(&mut self.resolver, number, socket, &mut scratch, now)
            {
                self.sockets[number] = None;
            }
        }
    }

    /// Goes as far as one socket lets it, within bounds. `true`: it has served its purpose.
    fn turn(
        resolver: &mut Resolver,
        number: usize,
        socket: &mut Socket<N>,
        scratch: &mut [u8; ANSWER_MAX],
        now: Millis,
    ) -> bool {
        let (number, serial) = (index(number), socket.serial);
        let is_stream = matches!(socket.carrier, Carrier::Tcp(_));
        for _ in 0..RECEIVES_MAX {
            let progress = match &mut socket.carrier {
                Carrier::Udp(datagram) => datagram.recv(scratch).map(|len| scratch.get(..len)),
                Carrier::Tcp(exchange) => exchange.step(),
            };
            match progress {
                Ok(Some(message)) => {
                    resolver.handle_message(number, serial, message, now);
                    if is_stream {
                        return true;
                    }
                }
                Ok(None) => {}
                Err(error) => match error {
                    // An edge will follow.
                    Errno::EAGAIN => {
                        socket.ready = false;
                        return false;
                    }
                    Errno::EINTR => {}
                    _ => {
                        resolver.handle_error(number, serial, now);
                        return true;
                    }
                },
            }
        }
        false
    }

    /// Opens a fresh socket for an attempt and sends its query.
    fn send(&mut self, net: &mut N, socket: u16, serial: u16, server: SocketAddr, tcp: bool) {
        let number = usize::from(socket);
        self.close(number);
        let mut id = [0; 2];
        if net.random(&mut id).is_err() {
            return;
        }
        let mut out = [0; QUERY_MAX];
        let id = u16::from_be_bytes(id);
        let len = self.resolver.message(socket, id, &mut out);
        let Some(message) = len.and_then(|len| out.get(..len)) else {
            return;
        };
        let token = Token::new(Key::new(socket, serial), Role::Dns);
        let opened = if tcp {
            let stream = net.connect(server, Purpose::Dns, token);
            stream.map(|stream| Carrier::Tcp(Exchange::new(stream, message)))
        } else {
            let datagram = net.udp_socket(server, token);
            datagram.and_then(|mut datagram| {
                datagram.send(message)?;
                Ok(Carrier::Udp(datagram))
            })
        };
        match opened {
            Ok(carrier) => {
                while self.sockets.len() <= number {
                    self.sockets.push(None);
                }
                self.sockets[number] = Some(Socket {
                    serial,
                    ready: false,
                    carrier,
                });
            }
            Err(error) if is_of_server(error) => {
                self.resolver.handle_error(socket, serial, net.now());
            }
            // No descriptor, memory or randomness: another server would fare no better. The
            // attempt counts as lost when its time is up.
            Err(_) => {}
        }
    }

    fn close(&mut self, number: usize) {
        if let Some(socket) = self.sockets.get_mut(number) {
            *socket = None;
        }
    }
}

impl<S: Stream> Exchange<S> {
    fn new(stream: S, message: &[u8]) -> Box<Self> {
        let mut exchange = Box::new(Self {
            stream,
            bytes: [0; PREFIX_BYTES + ANSWER_MAX],
            len: 0,
            end: PREFIX_BYTES + message.len(),
            is_sent: false,
        });
        let len = u16::try_from(message.len()).unwrap_or(u16::MAX);
        let (prefix, body) = exchange.bytes.split_at_mut(PREFIX_BYTES);
        prefix.copy_from_slice(&len.to_be_bytes());
        body[..message.len()].copy_from_slice(message);
        exchange
    }

    /// One write, which blocks until the connection stands, or one read once all is written.
    /// The answer, when it is complete or cut; an empty one is complete with its prefix.
    fn step(&mut self) -> Result<Option<&[u8]>, Errno> {
        let part = &mut self.bytes[self.len..self.end];
        let len = if self.is_sent {
            self.stream.read(part)
        } else {
            self.stream.write(part)
        }?;
        if len == 0 {
            return Err(Errno::ECONNRESET);
        }
        self.len += len;
        if self.len < self.end {
            return Ok(None);
        }
        let [high, low, message @ ..] = &self.bytes;
        if !self.is_sent {
            (self.is_sent, self.len, self.end) = (true, 0, PREFIX_BYTES);
            return Ok(None);
        }
        let kept = usize::from(u16::from_be_bytes([*high, *low])).min(ANSWER_MAX);
        self.end = PREFIX_BYTES + kept;
        Ok((self.len == self.end).then(|| &message[..kept]))
    }
}

/// Whether an error tells about the server or the way to it, rather than about this machine.
fn is_of_server(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::EHOSTUNREACH
            | Errno::EADDRNOTAVAIL
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EINVAL
    )
}

fn index(number: usize) -> u16 {
    u16::try_from(number).expect("there are 128 sockets")
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;
    use std::collections::VecDeque;
    use std::net::IpAddr;
    use std::rc::Rc;
    use std::time::Duration;

    use super::*;
    use crate::net::{Listener, NEVER, Signal};
    use crate::state::access::Interface;
    use crate::wire::dns::Addresses;
    use crate::wire::dns::replies::reply;

    /// The far end of one socket, shared with it.
    #[derive(Default)]
    struct Wire {
        token: Option<Token>,
        server: u16,
        tcp: bool,
        connected: bool,
        ended: bool,
        closed: bool,
        error: Option<Errno>,
        /// What a read gives at most.
        piece: usize,
        sent: Vec<u8>,
        incoming: VecDeque<Vec<u8>>,
        reads: usize,
    }

    #[derive(Clone)]
    struct End(Rc<RefCell<Wire>>);

    /// A network of ends that the test plays.
    #[derive(Default)]
    struct Fake {
        now: Millis,
        ends: Vec<End>,
        random: u16,
        refusal: Option<Errno>,
        random_fails: bool,
    }

    /// What the program holds; its end hears of the close.
    struct Held(End);

    impl Drop for Held {
        fn drop(&mut self) {
            self.0.0.borrow_mut().closed = true;
        }
    }

    fn would_block<T>() -> Result<T, Errno> {
        Err(Errno::EAGAIN)
    }

    impl UdpSocket for Held {
        fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
            self.0.0.borrow_mut().sent.extend_from_slice(message);
            Ok(())
        }

        fn recv(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
            let mut wire = self.0.0.borrow_mut();
            wire.reads += 1;
            if let Some(error) = wire.error.take() {
                return Err(error);
            }
            let Some(message) = wire.incoming.pop_front() else {
                return would_block();
            };
            buf[..message.len()].copy_from_slice(&message);
            Ok(message.len())
        }
    }

    impl Stream for Held {
        fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
            let mut wire = self.0.0.borrow_mut();
            let piece = wire.piece.min(buf.len());
            let Some(mut bytes) = wire.incoming.pop_front() else {
                return if wire.ended { Ok(0) } else { would_block() };
            };
            let rest = bytes.split_off(piece.min(bytes.len()));
            if !rest.is_empty() {
                wire.incoming.push_front(rest);
            }
            buf[..bytes.len()].copy_from_slice(&bytes);
            Ok(bytes.len())
        }

        fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
            let mut wire = self.0.0.borrow_mut();
            // As on Linux: a connection under way blocks, one that has failed says why.
            if let Some(error) = wire.error.take() {
                return Err(error);
            }
            if !wire.connected {
                return would_block();
            }
            let len = wire.piece.min(buf.len());
            wire.sent.extend_from_slice(&buf[..len]);
            Ok(len)
        }

        fn peek(&mut self, _: &mut [u8]) -> Result<usize, Errno> {
            unimplemented!()
        }

        fn shutdown_write(&mut self) -> Result<(), Errno> {
            unimplemented!()
        }

        fn take_error(&mut self) -> Option<Errno> {
            unimplemented!()
        }

        fn peer_addr(&self) -> Result<SocketAddr, Errno> {
            unimplemented!()
        }

        fn local_addr(&self) -> Result<SocketAddr, Errno> {
            unimplemented!()
        }

        fn abort_on_close(&mut self) {
            unimplemented!()
        }
    }

    impl Fake {
        fn open(&mut self, to: SocketAddr, tcp: bool, token: Token) -> Result<Held, Errno> {
            if let Some(refusal) = self.refusal {
                return Err(refusal);
            }
            let end = End(Rc::new(RefCell::new(Wire {
                token: Some(token),
                server: to.port(),
                tcp,
                piece: usize::MAX,
                ..Wire::default()
            })));
            self.ends.push(end.clone());
            Ok(Held(end))
        }
    }

    impl Net for Fake {
        type Stream = Held;
        type Listener = Held;
        type UdpSocket = Held;

        fn wait(&mut self, _: &mut Vec<Event>, _: Option<Duration>) -> Result<(), Errno> {
            unimplemented!()
        }

        fn now(&self) -> Millis {
            self.now
        }

        fn random(&mut self, out: &mut [u8]) -> Result<(), Errno> {
            if self.random_fails {
                return Err(Errno::EIO);
            }
            self.random = self.random.wrapping_add(0x4f1b);
            out.copy_from_slice(&self.random.to_be_bytes());
            Ok(())
        }

        fn accept(&mut self, _: u16) -> Result<(Held, SocketAddr), Errno> {
            unimplemented!()
        }

        fn watch(&mut self, _: &mut Held, _: Token) -> Result<(), Errno> {
            unimplemented!()
        }

        fn connect(
            &mut self,
            to: SocketAddr,
            purpose: Purpose,
            token: Token,
        ) -> Result<Held, Errno> {
            assert_eq!(purpose, Purpose::Dns);
            self.open(to, true, token)
        }

        fn listen(&mut self, _: IpAddr, _: Option<(u16, u16)>, _: Token) -> Result<Held, Errno> {
            unimplemented!()
        }

        fn route(&mut self, _: IpAddr) -> Result<IpAddr, Errno> {
            unimplemented!()
        }

        fn udp_socket(&mut self, to: SocketAddr, token: Token) -> Result<Held, Errno> {
            self.open(to, false, token)
        }

        fn listeners(&self) -> &[SocketAddr] {
            &[]
        }

        fn close_listeners(&mut self) {}

        fn signal(&mut self) -> Option<Signal> {
            None
        }

        fn interfaces(&mut self) -> Vec<Interface> {
            Vec::new()
        }
    }

    impl Listener for Held {
        type Stream = Self;

        fn accept(&mut self) -> Result<(Self, SocketAddr), Errno> {
            unimplemented!()
        }

        fn local_addr(&self) -> Result<SocketAddr, Errno> {
            unimplemented!()
        }
    }

    struct Bench {
        names: Names<Fake>,
        net: Fake,
    }

    fn key(number: u16) -> Key {
        Key::new(number, 3)
    }

    fn found(addr: &str) -> Answer {
        let mut addresses = Addresses::new();
        addresses.push(addr.parse().unwrap());
        Answer::Found(addresses)
    }

    impl Bench {
        /// Lookups of A only, with two servers on ports 1 and 2.
        fn new() -> Self {
            let mut settings = DnsSettings::default();
            settings.families.v6 = false;
            settings.servers = [1, 2]
                .map(|port| SocketAddr::from(([127, 0, 0, 1], port)))
                .to_vec();
            Self {
                names: Names::new(settings, 500, u32::MAX),
                net: Fake::default(),
            }
        }

        fn start(&mut self, session: u16, name: &str) {
            let client = ClientKey::from(IpAddr::from([192, 168, 1, 2]));
            assert!(self.names.start(key(session), client, name.as_bytes()));
        }

        fn run(&mut self) {
            self.names.run(&mut self.net);
            self.names.check();
        }

        fn pass(&mut self, ms: Millis) {
            self.net.now += ms;
            self.run();
        }

        /// The socket opened last.
        fn end(&self) -> End {
            self.net.ends.last().unwrap().clone()
        }

        fn event(&mut self, end: &End) {
            let token = end.0.borrow().token.unwrap();
            let [readable, writable, ended, failed] = [true, true, false, false];
            self.names.handle_event(&Event {
                token,
                readable,
                writable,
                ended,
                failed,
            });
        }

        fn event_and_run(&mut self, end: &End) {
            self.event(end);
            self.run();
        }

        fn answers(&mut self) -> Vec<(Key, Answer)> {
            let answers = std::iter::from_fn(|| self.names.poll_answer());
            answers
                .map(|(asker, answer)| (asker.session, Answer::clone(&answer)))
                .collect()
        }

        #[track_caller]
        fn expect_idle(&mut self) {
            self.run();
            assert_eq!(self.answers(), []);
            assert_eq!(self.names.live(), 0);
            assert_eq!(self.names.poll_timeout(), NEVER);
            assert!(self.net.ends.iter().all(|end| end.0.borrow().closed));
        }

        /// Has a query truncated, and gives the TCP connection that follows.
        fn tcp_end(&mut self) -> End {
            self.start(1, "a.example");
            self.run();
            let end = self.end();
            let mut cut = reply(&end.query(), 0, &[]);
            cut[2] |= 2;
            end.0.borrow_mut().incoming.push_back(cut);
            self.event_and_run(&end);
            assert!(end.0.borrow().closed);
            let end = self.end();
            assert!(end.0.borrow().tcp);
            end
        }
    }

    impl End {
        fn query(&self) -> Vec<u8> {
            let wire = self.0.borrow();
            wire.sent[if wire.tcp { 2 } else { 0 }..].to_vec()
        }

        fn push(&self, message: &[u8]) {
            self.0.borrow_mut().incoming.push_back(message.to_vec());
        }

        fn answer(&self, addr: &str) {
            self.push(&reply(&self.query(), 0, &[addr]));
        }
    }

    #[test]
    fn a_name_is_asked_on_a_fresh_socket_with_a_random_id_and_answered() {
        let mut bench = Bench::new();
        bench.start(1, "a.example");
        assert_eq!(bench.names.poll_timeout(), 0);
        bench.run();
        assert_eq!(bench.names.poll_timeout(), 5000);
        let end = bench.end();
        assert_eq!(end.query()[..2], 0x4f1b_u16.to_be_bytes());
        end.answer("192.0.2.1");
        bench.event_and_run(&end);
        assert_eq!(bench.names.poll_timeout(), 0);
        assert_eq!(bench.answers(), [(key(1), found("192.0.2.1"))]);
        bench.expect_idle();
    }

    #[test]
    fn an_event_without_data_changes_nothing() {
        let mut bench = Bench::new();
        bench.start(1, "a.example");
        bench.run();
        let end = bench.end();
        bench.event_and_run(&end);
        assert_eq!(end.0.borrow().reads, 1);
        bench.run();
        assert_eq!(end.0.borrow().reads, 1);
        bench.names.cancel(key(1));
        bench.expect_idle();
    }

    #[test]
    fn each_attempt_has_a_socket_and_an_id_of_its_own_and_old_events_are_dropped() {
        let mut bench = Bench::new();
        bench.start(1, "a.example");
        bench.run();
        let old = bench.end();
        bench.pass(5000);
        let new = bench.end();
        assert!(old.0.borrow().closed);
        assert_eq!(new.0.borrow().server, 2);
        assert_ne!(old.query()[..2], new.query()[..2]);
        bench.event_and_run(&old);
        assert_eq!(new.0.borrow().reads, 0);
        new.answer("192.0.2.1");
        bench.event_and_run(&new);
        assert_eq!(bench.answers().len(), 1);
        bench.expect_idle();
    }

    #[test]
    fn a_flood_of_forged_answers_is_read_in_bounded_passes_and_no_edge_is_lost() {
        let mut bench = Bench::new();
        bench.start(1, "a.example");
        bench.run();
        let end = bench.end();
        for _ in 0..20 {
            end.push(b"forged");
        }
        end.answer("192.0.2.1");
        bench.event(&end);
        for reads in [8, 16] {
            assert_eq!(bench.names.poll_timeout(), 0);
            bench.run();
            assert_eq!(end.0.borrow().reads, reads);
        }
        bench.run();
        assert_eq!(bench.answers(), [(key(1), found("192.0.2.1"))]);
        assert_eq!(bench.names.counters().refused, 20);
        bench.expect_idle();
    }

    #[test]
    fn a_refusal_goes_to_the_next_server_in_the_same_pass() {
        let mut bench = Bench::new();
        bench.start(1, "a.example");
        bench.run();
        let end = bench.end();
        end.0.borrow_mut().error = Some(Errno::ECONNREFUSED);
        bench.event_and_run(&end);
        assert_eq!(bench.end().0.borrow().server, 2);
    }

    #[test]
    fn without_descriptors_or_randomness_an_attempt_waits_for_its_time() {
        for random_fails in [false, true] {
            let mut bench = Bench::new();
            bench.net.random_fails = random_fails;
            bench.net.refusal = Some(Errno::EIO);
            bench.start(1, "a.example");
            bench.run();
            assert_eq!(bench.names.poll_timeout(), 5000);
            assert!(bench.net.ends.is_empty());
            bench.net.refusal = None;
            bench.net.random_fails = false;
            bench.pass(5000);
            let end = bench.end();
            end.answer("192.0.2.1");
            bench.event_and_run(&end);
            assert_eq!(bench.answers().len(), 1);
            bench.expect_idle();
        }
    }

    #[test]
    fn an_unreachable_network_fails_many_names_in_bounded_passes() {
        let mut bench = Bench::new();
        bench.net.refusal = Some(Errno::ENETUNREACH);
        for session in 0..100 {
            bench.start(session, &format!("n{session}.example"));
        }
        // Four attempts each.
        for _ in 0..100 * 4 / ACTIONS_MAX * 2 + 2 {
            let before = bench.names.counters().sent;
            bench.run();
            assert!(bench.names.counters().sent - before <= ACTIONS_MAX as u64);
        }
        let answers = bench.answers();
        assert_eq!(answers.len(), 100);
        assert!(answers.iter().all(|(_, answer)| *answer == Answer::Failed));
        bench.expect_idle();
    }

    #[test]
    fn an_answer_over_tcp_may_come_in_pieces() {
        let mut bench = Bench::new();
        let end = bench.tcp_end();
        bench.event_and_run(&end);
        assert!(end.0.borrow().sent.is_empty());
        end.0.borrow_mut().piece = 3;
        end.0.borrow_mut().connected = true;
        bench.event(&end);
        // 40 bytes of query in pieces of 3, 8 a pass.
        for _ in 0..2 {
            assert_eq!(bench.names.poll_timeout(), 0);
            bench.run();
        }
        let query = end.query();
        let len = u16::try_from(query.len()).unwrap();
        assert_eq!(end.0.borrow().sent[..2], len.to_be_bytes());
        let message = reply(&query, 0, &["192.0.2.1"]);
        let len = u16::try_from(message.len()).unwrap();
        end.push(&len.to_be_bytes());
        end.push(&message);
        bench.event(&end);
        for _ in 0..3 {
            bench.run();
        }
        assert_eq!(bench.answers(), [(key(1), found("192.0.2.1"))]);
        bench.expect_idle();
    }

    #[test]
    fn of_a_long_answer_over_tcp_the_front_is_used() {
        let mut bench = Bench::new();
        let end = bench.tcp_end();
        end.0.borrow_mut().connected = true;
        bench.event_and_run(&end);
        let mut message = reply(&end.query(), 0, &["192.0.2.1"]);
        message[6] = 0xff;
        message.resize(9000, 0xff);
        end.push(&9000_u16.to_be_bytes());
        end.push(&message);
        bench.event_and_run(&end);
        assert_eq!(bench.answers(), [(key(1), found("192.0.2.1"))]);
        bench.expect_idle();
    }

    #[test]
    fn a_broken_tcp_answer_goes_to_the_next_server() {
        // No connection, an end in the middle, an empty message.
        for case in 0..3 {
            let mut bench = Bench::new();
            let end = bench.tcp_end();
            end.0.borrow_mut().connected = case > 0;
            match case {
                0 => end.0.borrow_mut().error = Some(Errno::ECONNREFUSED),
                1 => {
                    end.push(&[0, 20, 1, 2, 3]);
                    end.0.borrow_mut().ended = true;
                }
                _ => end.push(&[0, 0]),
            }
            bench.event_and_run(&end);
            assert!(end.0.borrow().closed);
            let next = bench.end();
            assert_eq!((next.0.borrow().server, next.0.borrow().tcp), (2, false));
            bench.names.cancel(key(1));
            bench.expect_idle();
        }
    }
}
