//! The simulated network: the server's sockets, the schedule of what is going to happen to them,
//! and the list of sockets with events to be delivered.
//!
//! The edges are those of Linux: data, an end of stream and an error each put a registered socket
//! on the ready list; room to write does so only after the writer saw none. What the server does to
//! a socket is in `server_end.rs`, what its peer does in `peer_end.rs`. Sockets are known by their
//! numbers: `s` a TCP connection, `d` the listener of a BIND, `p` a UDP socket of an association,
//! `m` one of a DNS query.

pub(crate) mod bind_listener;
pub(crate) mod channel;
pub(crate) mod datagram;
pub(crate) mod interfaces;
pub(crate) mod late_listener;
pub(crate) mod name_server;
pub(crate) mod net;
pub(crate) mod offload;
mod peer_end;
pub(crate) mod pipe;
pub(crate) mod server_end;
pub(crate) mod socket;
pub(crate) mod udp_socket;

use std::collections::{BTreeMap, VecDeque};
use std::net::{IpAddr, SocketAddr};

use anklet::net::{Event, Millis, Signal};
use anklet::state::slots::{Key, Role, Token};
use fastrand::Rng;
use nix::errno::Errno;

use crate::clients::scenario::Client;
use crate::faults::{Calls, Odds};
use crate::network::bind_listener::BindListener;
use crate::network::channel::Channel;
use crate::network::datagram::Datagram;
use crate::network::interfaces::Interfaces;
use crate::network::late_listener::LateListener;
use crate::network::offload::Offloaded;
use crate::network::pipe::Pipes;
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

/// What is going to happen. The numbers are those of sockets or clients.
#[derive(Debug)]
pub(crate) enum SimEvent {
    /// A client connects.
    Start(usize),
    /// The connection of a client enters the backlog of a listener.
    Arrive(usize),
    /// A segment arrives at its end.
    Travel(usize, Direction),
    /// An injected shortage of a connection is over.
    Release(usize, Direction),
    /// A connect succeeds.
    Connect(usize),
    /// A reset, or the failure of a connect, reaches the server.
    Break(usize, Errno),
    /// A reset by the server reaches the peer.
    Abort(usize),
    /// The peer of a connection acts.
    Wake(usize),
    /// The client must have come as far by now as its scenario says.
    Deadline(usize),
    /// A DNS message arrives at the server; `None` is a "port unreachable".
    DnsMessage(usize, Option<Vec<u8>>),
    /// A peer connects to the listener of a BIND: the numbers of the listener and of the peer in
    /// the client's scenario.
    BindPeer(usize, usize),
    /// An injected shortage at the listener of a BIND is over.
    ListenerRelease(usize),
    /// A datagram of an association reaches its destination.
    Datagram(Box<Datagram>),
    /// The error of a datagram sent earlier reaches a socket of an association.
    UdpError(usize, Errno),
    /// An injected shortage at a socket of an association is over.
    UdpRelease(usize),
    /// A signal comes.
    Signal(Signal),
    /// The router gets an address.
    OwnAddress(IpAddr),
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
    /// The announcements of changed interfaces.
    Interfaces,
}

/// The network.
pub(crate) struct Network {
    /// The only source of random numbers.
    pub(crate) rng: Rng,
    /// How often each fault strikes.
    pub(crate) odds: Odds,
    /// The time since the world began.
    pub(crate) now: Millis,
    /// The calls of the server.
    pub(crate) calls: Calls,
    /// For how long the process is stopped instead of the next wait.
    pub(crate) stopped_ms: Option<Millis>,
    /// Every TCP connection there ever was; the actor at its other end has the same number.
    pub(crate) sockets: Vec<Socket>,
    /// Every UDP socket of a DNS query there ever was.
    pub(crate) dns_sockets: Vec<DnsSocket>,
    /// Every listener of a BIND there ever was.
    pub(crate) bind_listeners: Vec<BindListener>,
    /// Every UDP socket of an association there ever was.
    pub(crate) udp_sockets: Vec<UdpSocket>,
    /// What the kernel has done for their datagrams.
    pub(crate) offloaded: Offloaded,
    /// Connections that are not accepted yet, per listener; `None` once the listeners are closed.
    pub(crate) backlogs: Option<[VecDeque<usize>; 2]>,
    /// Signals not yet taken.
    pub(crate) signals: VecDeque<Signal>,
    /// The clients.
    pub(crate) clients: Vec<Client>,
    /// What the clients and targets do is in a script, not in scenarios: the server may do for a
    /// client whatever its bytes may have asked for.
    pub(crate) is_scripted: bool,
    /// The router's own addresses.
    pub(crate) interfaces: Interfaces,
    /// The second listener, which may come later.
    pub(crate) late_listener: LateListener,
    /// What has an event to be delivered.
    pub(crate) ready: Vec<Source>,
    /// What the properties count, and the first one found broken.
    pub(crate) checks: Checks,
    /// The server's pipes.
    pub(crate) pipes: Pipes,
    /// Which of the server's small tables were full.
    pub(crate) tables: Tables,
    /// The tokens of sockets closed lately.
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
            calls: Calls::default(),
            stopped_ms: None,
            sockets: Vec::new(),
            dns_sockets: Vec::new(),
            bind_listeners: Vec::new(),
            udp_sockets: Vec::new(),
            offloaded: Offloaded::default(),
            backlogs: Some([VecDeque::new(), VecDeque::new()]),
            signals: VecDeque::new(),
            clients: Vec::new(),
            is_scripted: false,
            interfaces: Interfaces::calm(),
            late_listener: LateListener::open(),
            ready: Vec::new(),
            checks: Checks::new(trace),
            pipes: Pipes::new(0),
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

    /// When the next event of the schedule is due.
    pub(crate) fn next_at(&self) -> Option<Millis> {
        self.scheduled.keys().next().map(|(at, _)| *at)
    }

    /// Takes the next event of the schedule that is due.
    pub(crate) fn due(&mut self) -> Option<SimEvent> {
        let entry = self.scheduled.first_entry()?;
        (entry.key().0 <= self.now).then(|| entry.remove())
    }

    /// Returns `true` on `odds` of 1,000 occasions.
    pub(crate) fn chance(&mut self, odds: u32) -> bool {
        odds > 0 && self.rng.u32(..1000) < odds
    }

    /// Draws how long a segment travels.
    pub(crate) fn latency(&mut self) -> Millis {
        self.rng.u64(1..=self.odds.latency_ms)
    }

    /// Writes a line when a seed is replayed.
    pub(crate) fn trace(&self, text: impl FnOnce() -> String) {
        if self.checks.is_traced {
            eprintln!("{:>8} {}", self.now, text());
        }
    }

    /// Opens a connection. `at` are the addresses of the server's end and of the peer, `room` is
    /// the number of bytes that the server can send at least while the peer reads nothing.
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

    /// Puts a socket with something new on the ready list, once.
    pub(crate) fn edge(&mut self, source: Source) {
        let registered = match source {
            Source::Socket(s) => self.sockets[s].token.is_some() && !self.sockets[s].dropped,
            Source::DnsSocket(m) => !self.dns_sockets[m].dropped,
            Source::Listener(_) => self.backlogs.is_some(),
            Source::BindListener(d) => !self.bind_listeners[d].dropped,
            Source::UdpSocket(p) => !self.udp_sockets[p].dropped,
            Source::Signal | Source::Interfaces => true,
        };
        if registered && !self.ready.contains(&source) {
            self.ready.push(source);
        }
    }

    /// The event of an entry of the ready list; `None` if there is nothing to report any more.
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
            Source::Signal => plain(special(0, Role::System), true, false),
            Source::Interfaces => plain(special(1, Role::System), true, false),
        }
    }

    /// Sets a segment on its way, if there is something to send and no segment is under way.
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

    /// An error breaks a connection at the server's end. What has arrived stays readable. Behind the
    /// peer's end of stream it is another error, unless the server has ended too, as in Linux.
    pub(crate) fn break_off(&mut self, s: usize, mut error: Errno) {
        let socket = &mut self.sockets[s];
        if socket.broken || socket.dropped {
            return;
        }
        if socket.to_server.has_ended() && !socket.shut {
            error = Errno::EPIPE;
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

    /// A reset by the server breaks a connection at the peer's end, and unread data is lost: not
    /// every system keeps it readable.
    pub(crate) fn abort(&mut self, s: usize) {
        let socket = &mut self.sockets[s];
        socket.broken = true;
        if !socket.vanished && !socket.peer_closed {
            socket.peer_was_reset = true;
            socket.from_server.lose_all();
            self.wake(s, 0);
        }
    }

    /// Makes the peer act in that time, unless it is about to act anyway.
    pub(crate) fn wake(&mut self, s: usize, in_ms: Millis) {
        if !std::mem::replace(&mut self.sockets[s].waking, true) {
            self.schedule(in_ms, SimEvent::Wake(s));
        }
    }

    /// The peer acts now: it may be woken again.
    pub(crate) fn woken(&mut self, s: usize) {
        self.sockets[s].waking = false;
    }

    /// The number of sockets that the server has not closed.
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
