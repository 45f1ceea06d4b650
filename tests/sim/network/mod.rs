//! The simulated network: sockets as the server holds them, the schedule of what will happen
//! to them, and the list of events that wait to be delivered.
//!
//! The edges are those of Linux: data, an end of stream and an error each put a registered
//! socket on the ready list; room to write does so only after the writer saw none. What the
//! server does to a socket is in `server_end.rs`, what its peer does in `peer_end.rs`.

pub(crate) mod bind_listener;
pub(crate) mod channel;
pub(crate) mod datagram;
pub(crate) mod name_server;
pub(crate) mod net;
mod peer_end;
pub(crate) mod server_end;
pub(crate) mod socket;
pub(crate) mod udp_socket;

use std::collections::{BTreeMap, VecDeque};
use std::net::SocketAddr;

use anklet::net::{Event, Millis, Signal};
use anklet::state::slots::{Key, Role, Token};
use fastrand::Rng;
use nix::errno::Errno;

use crate::clients::scenario::Client;
use crate::faults::Odds;
use crate::network::bind_listener::BindListener;
use crate::network::channel::Channel;
use crate::network::datagram::Datagram;
use crate::network::socket::{DnsSocket, Socket};
use crate::network::udp_socket::UdpSocket;
use crate::properties::Checks;
use crate::properties::tables::Tables;

/// A direction, seen from the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Direction {
    /// Towards the server.
    ToServer,
    /// Away from it.
    FromServer,
}

/// What the schedule holds. Numbers are those of sockets, DNS sockets or clients.
#[derive(Debug)]
pub(crate) enum SimEvent {
    /// A client begins: it connects.
    Start(usize),
    /// A client's connection reaches a listener.
    Arrive(usize),
    /// A segment arrives.
    Travel(usize, Direction),
    /// An injected shortage is over.
    Release(usize, Direction),
    /// A connect succeeds.
    Connect(usize),
    /// A reset, or the failure of a connect, reaches the server.
    Break(usize, Errno),
    /// A reset by the server reaches the other end.
    Abort(usize),
    /// The other end acts.
    Wake(usize),
    /// The client must have come as far by now as its scenario says.
    Deadline(usize),
    /// A datagram arrives; `None` is a "port unreachable".
    DnsMessage(usize, Option<Vec<u8>>),
    /// A peer connects to the BIND listener: the numbers of the listener and of the peer in the scenario.
    BindPeer(usize, usize),
    /// An injected shortage at a listener is over.
    ListenerRelease(usize),
    /// A datagram of an association comes to its end.
    Datagram(Box<Datagram>),
    /// News of a datagram sent earlier reaches a socket of an association.
    UdpError(usize, Errno),
    /// An injected shortage at one is over.
    UdpRelease(usize),
    /// A signal comes.
    Signal(Signal),
    /// All clients leave.
    Leave,
}

/// What can be on the ready list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Source {
    /// A TCP connection.
    Socket(usize),
    /// A UDP socket of a DNS query.
    DnsSocket(usize),
    /// A listener.
    Listener(usize),
    /// The listener of a BIND.
    BindListener(usize),
    /// A UDP socket of an association.
    UdpSocket(usize),
    /// The signal descriptor.
    Signal,
}

/// The network.
pub(crate) struct Network {
    /// The only source of chance.
    pub(crate) rng: Rng,
    /// What may go wrong.
    pub(crate) odds: Odds,
    /// The clock.
    pub(crate) now: Millis,
    /// Every socket there ever was; the other end's actor has the same number.
    pub(crate) sockets: Vec<Socket>,
    /// Every UDP socket of a DNS query there ever was.
    pub(crate) dns_sockets: Vec<DnsSocket>,
    /// Every listener of a BIND there ever was.
    pub(crate) bind_listeners: Vec<BindListener>,
    /// Every UDP socket of an association there ever was.
    pub(crate) udp_sockets: Vec<UdpSocket>,
    /// Connections not yet accepted, per listener; `None` once they are closed.
    pub(crate) backlogs: Option<[VecDeque<usize>; 2]>,
    /// Signals not yet taken.
    pub(crate) signals: VecDeque<Signal>,
    /// What each client is up to.
    pub(crate) clients: Vec<Client>,
    /// What has news.
    pub(crate) ready: Vec<Source>,
    /// The properties that hold at all times.
    pub(crate) checks: Checks,
    /// Which of the server's small tables were full.
    pub(crate) tables: Tables,
    /// Tokens of sockets closed lately.
    pub(crate) stale: VecDeque<Token>,
    scheduled: BTreeMap<(Millis, u64), SimEvent>,
    serial: u64,
}

impl Network {
    /// A network without sockets.
    pub(crate) fn new(rng: Rng, odds: Odds, trace: bool) -> Self {
        Self {
            rng,
            odds,
            now: 0,
            sockets: Vec::new(),
            dns_sockets: Vec::new(),
            bind_listeners: Vec::new(),
            udp_sockets: Vec::new(),
            backlogs: Some([VecDeque::new(), VecDeque::new()]),
            signals: VecDeque::new(),
            clients: Vec::new(),
            ready: Vec::new(),
            checks: Checks::new(trace),
            tables: Tables::default(),
            stale: VecDeque::new(),
            scheduled: BTreeMap::new(),
            serial: 0,
        }
    }

    /// Puts something on the schedule.
    pub(crate) fn schedule(&mut self, in_ms: Millis, event: SimEvent) {
        self.serial += 1;
        self.scheduled
            .insert((self.now + in_ms, self.serial), event);
    }

    /// When the next thing happens.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.scheduled.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next thing that is due.
    pub(crate) fn due(&mut self) -> Option<SimEvent> {
        let entry = self.scheduled.first_entry()?;
        (entry.key().0 <= self.now).then(|| entry.remove())
    }

    /// One of 1,000 occasions, `odds` times.
    pub(crate) fn chance(&mut self, odds: u32) -> bool {
        odds > 0 && self.rng.u32(..1000) < odds
    }

    /// How long a segment travels.
    pub(crate) fn latency(&mut self) -> Millis {
        self.rng.u64(1..=self.odds.latency_ms)
    }

    /// Writes a line when a seed is replayed.
    pub(crate) fn trace(&self, text: impl FnOnce() -> String) {
        if self.checks.is_traced {
            eprintln!("{:>8} {}", self.now, text());
        }
    }

    /// A new connection; `at` are this end and the other, `room` is what the server can send
    /// into it at least while nothing is read.
    pub(crate) fn open(
        &mut self,
        client: Option<usize>,
        at: (SocketAddr, SocketAddr),
        room: usize,
    ) -> usize {
        let (least, most) = self.odds.queue_bytes;
        let mut queue = |room| self.rng.usize(least..=most).max(room);
        let to_server = Channel::new(queue(0), queue(0));
        let from_server = Channel::new(queue(room), queue(0));
        self.sockets
            .push(Socket::new(client, at, to_server, from_server));
        self.sockets.len() - 1
    }

    /// Something new about a socket: on the ready list with it, once.
    pub(crate) fn edge(&mut self, source: Source) {
        let registered = match source {
            Source::Socket(s) => self.sockets[s].token.is_some() && !self.sockets[s].dropped,
            Source::DnsSocket(m) => !self.dns_sockets[m].dropped,
            Source::Listener(_) => self.backlogs.is_some(),
            Source::BindListener(d) => !self.bind_listeners[d].dropped,
            Source::UdpSocket(p) => !self.udp_sockets[p].dropped,
            Source::Signal => true,
        };
        if registered && !self.ready.contains(&source) {
            self.ready.push(source);
        }
    }

    /// What is to be reported of an entry of the ready list; nothing if it is over by now.
    pub(crate) fn report(&self, source: Source) -> Option<Event> {
        let plain = |token, readable, writable| {
            Some(Event {
                token,
                readable,
                writable,
                ended: false,
                failed: false,
            })
        };
        let special = |number: usize, role| {
            Token::new(Key::new(u16::try_from(number).unwrap_or(u16::MAX), 0), role)
        };
        match source {
            Source::Socket(s) => self.sockets[s].event(),
            Source::DnsSocket(m) => {
                let dns_socket = &self.dns_sockets[m];
                if dns_socket.dropped {
                    return None;
                }
                plain(dns_socket.token, !dns_socket.inbox.is_empty(), true)
            }
            Source::UdpSocket(p) => self.udp_sockets[p].event(),
            Source::BindListener(d) => {
                let bind_listener = &self.bind_listeners[d];
                plain(bind_listener.token, bind_listener.is_readable(), false)
            }
            Source::Listener(n) => plain(special(n, Role::Listener), true, false),
            Source::Signal => plain(special(0, Role::Signal), true, false),
        }
    }

    /// Sets a segment on its way, where there is one and none is.
    pub(crate) fn set_off(&mut self, s: usize, direction: Direction) {
        let socket = &mut self.sockets[s];
        let channel = if direction == Direction::ToServer {
            &socket.to_server
        } else {
            &socket.from_server
        };
        if socket.broken || socket.vanished || !channel.can_travel() {
            return;
        }
        if !std::mem::replace(&mut socket.moving[direction as usize], true) {
            let latency = self.latency();
            self.schedule(latency, SimEvent::Travel(s, direction));
        }
    }

    /// A segment arrives.
    pub(crate) fn travel(&mut self, s: usize, direction: Direction) {
        self.sockets[s].moving[direction as usize] = false;
        if self.sockets[s].broken || self.sockets[s].vanished {
            return;
        }
        let (len, with_fin) = (self.rng.usize(1..=self.odds.queue_bytes.1), self.rng.bool());
        let socket = &mut self.sockets[s];
        match direction {
            Direction::ToServer => {
                let (len, fin) = socket.to_server.travel(len, with_fin);
                if socket.dropped && len > 0 {
                    return self.abort(s);
                }
                if len > 0 || fin {
                    socket.read_held = false;
                    self.edge(Source::Socket(s));
                }
            }
            Direction::FromServer => {
                let (len, _) = socket.from_server.travel(len, with_fin);
                if socket.peer_closed && len > 0 {
                    return self.break_off(s, Errno::ECONNRESET);
                }
                if socket.write_blocked && !socket.write_held && socket.from_server.is_roomy() {
                    socket.write_blocked = false;
                    self.edge(Source::Socket(s));
                }
            }
        }
        self.wake(s, 0);
        self.set_off(s, direction);
    }

    /// An error destroys a connection on the server's side. What has arrived stays readable.
    pub(crate) fn break_off(&mut self, s: usize, error: Errno) {
        let socket = &mut self.sockets[s];
        if socket.broken || socket.dropped {
            return;
        }
        socket.connecting = false;
        socket.broken = true;
        socket.error = Some(error);
        socket.read_held = false;
        socket.to_server.lose_sent();
        socket.from_server.lose_sent();
        self.trace(|| format!("socket {s} breaks: {error}"));
        self.edge(Source::Socket(s));
    }

    /// A reset by the server destroys a connection on the other side, unread data with it:
    /// not every system keeps that readable.
    pub(crate) fn abort(&mut self, s: usize) {
        let socket = &mut self.sockets[s];
        socket.broken = true;
        if !socket.vanished && !socket.peer_closed {
            socket.peer_was_reset = true;
            socket.from_server.lose_all();
            self.wake(s, 0);
        }
    }

    /// Makes the other end act soon, unless it is about to.
    pub(crate) fn wake(&mut self, s: usize, in_ms: Millis) {
        if !std::mem::replace(&mut self.sockets[s].waking, true) {
            self.schedule(in_ms, SimEvent::Wake(s));
        }
    }

    /// The other end acts now: it may be woken again.
    pub(crate) fn woken(&mut self, s: usize) {
        self.sockets[s].waking = false;
    }

    /// Sockets that the server has not closed.
    pub(crate) fn open_sockets(&self) -> usize {
        let held = |socket: &&Socket| {
            !socket.dropped && (socket.token.is_some() || socket.accepted_at.is_some())
        };
        self.sockets.iter().filter(held).count()
            + self
                .bind_listeners
                .iter()
                .filter(|bind_listener| !bind_listener.dropped)
                .count()
            + self
                .udp_sockets
                .iter()
                .filter(|socket| !socket.dropped)
                .count()
            + self
                .dns_sockets
                .iter()
                .filter(|dns_socket| !dns_socket.dropped)
                .count()
    }
}
