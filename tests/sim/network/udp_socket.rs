//! The server's sockets of UDP associations, and the system calls on them.
//!
//! The edges are those of Linux: each arrival and each error puts a socket on the ready list, and
//! nothing else does. A call returns a pending error once, before anything that is queued.

use std::collections::VecDeque;
use std::net::SocketAddr;

use std::ops::Range;

use anklet::net::{Event, Intake, Side};
use anklet::state::batch::{Batch, Received};
use anklet::state::slots::Token;
use nix::errno::Errno;

use crate::clients::udp_scenario::RemoteBehaviour;
use crate::network::datagram::Datagram;
use crate::network::{Network, SimEvent, Source};
use crate::properties::passes::CallCount;
use crate::world::{WAN_V4, WAN_V6};

/// The port of the first of these sockets; each one has a port of its own.
const PORT_FIRST: u16 = 40_000;

/// The number of bytes that a UDP datagram carries at most: over IPv4 and over IPv6.
const BYTES_MAX: [usize; 2] = [65_507, 65_527];

/// A UDP socket of an association.
pub(crate) struct UdpSocket {
    /// The number of the client whose association it is.
    pub(crate) client: usize,
    /// The address that it is bound to.
    pub(crate) local: SocketAddr,
    /// The server has closed it.
    pub(crate) dropped: bool,
    token: Token,
    /// The source that it receives from, where port 0 is any port; `None`: from everybody.
    accepts_from: Option<SocketAddr>,
    pub(super) queue: VecDeque<Datagram>,
    room: usize,
    error: Option<Errno>,
    /// An injected shortage hides what is queued.
    held: bool,
    /// The kernel may join what is queued.
    pub(crate) joins: bool,
    /// The calls to receive from it in this pass.
    pub(crate) receives: CallCount,
    /// The calls to send from it in this pass.
    pub(crate) sends: CallCount,
}

impl UdpSocket {
    /// Returns `true` if it is the one that the client sends to (RFC 1928 BND).
    pub(crate) fn is_inner(&self) -> bool {
        self.accepts_from.is_some()
    }

    /// Returns `true` if a receive would give a datagram or an error.
    pub(crate) fn is_readable(&self) -> bool {
        self.error.is_some() || (!self.held && !self.queue.is_empty())
    }

    /// What epoll would report now.
    pub(crate) fn event(&self) -> Option<Event> {
        let event = Event {
            token: self.token,
            readable: self.is_readable(),
            writable: false,
            ended: false,
            failed: self.error.is_some(),
        };
        (event.readable && !self.dropped).then_some(event)
    }
}

impl Network {
    /// The server opens a socket of an association.
    pub(crate) fn open_udp_socket(&mut self, side: Side, token: Token) -> Result<usize, Errno> {
        self.checks.progress();
        let client = self.owner(token);
        let Some(client) = client.filter(|client| self.clients[*client].scenario.udp.is_some())
        else {
            self.fail(format!(
                "a UDP socket is opened for no association ({client:?})"
            ));
            return Err(Errno::EACCES);
        };
        if self.odds.is_exhausted(self.now) {
            self.clients[client].faulted = true;
            return Err(Errno::EMFILE);
        }
        let p = self.udp_sockets.len();
        let (addr, accepts_from) = match side {
            Side::Inner {
                local,
                client: client_addr,
            } => {
                self.check_inner(client, local, client_addr);
                self.clients[client].inner = Some(p);
                (local.ip(), Some(SocketAddr::new(client_addr.ip(), 0)))
            }
            Side::OuterV4 => (WAN_V4, None),
            Side::OuterV6 => (WAN_V6, None),
        };
        let twin = |socket: &UdpSocket| {
            let same = socket.local.ip() == addr;
            same && socket.client == client
                && !socket.dropped
                && socket.is_inner() == accepts_from.is_some()
        };
        if self.udp_sockets.iter().any(twin) {
            self.fail(format!("client {client} has two sockets at {addr}"));
        }
        let local = SocketAddr::new(addr, PORT_FIRST + u16::try_from(p).unwrap_or(0));
        let room = self
            .rng
            .usize(self.odds.udp_queue_datagrams.0..=self.odds.udp_queue_datagrams.1);
        self.udp_sockets.push(UdpSocket {
            client,
            local,
            dropped: false,
            token,
            accepts_from,
            queue: VecDeque::new(),
            room,
            error: None,
            held: false,
            joins: false,
            receives: CallCount::default(),
            sends: CallCount::default(),
        });
        self.trace(|| format!("server opens UDP socket {p} at {local} for client {client}"));
        self.note_full();
        Ok(p)
    }

    /// Checks an inner socket: it is bound to the address that the client's connection came to, and
    /// receives from the address that it came from.
    fn check_inner(&mut self, client: usize, local: SocketAddr, client_addr: SocketAddr) {
        let control = self.clients[client].connection.map(|s| &self.sockets[s]);
        let right = control.is_some_and(|control| {
            control.local.ip() == local.ip() && control.peer.ip() == client_addr.ip()
        });
        if !right {
            self.fail(format!(
                "client {client} has a socket at {local} for {client_addr}"
            ));
        }
    }

    /// The server connects a socket: it receives from that peer only, and sends to it.
    pub(crate) fn aim_udp_socket(&mut self, p: usize, peer: SocketAddr) -> Result<(), Errno> {
        self.checks.progress();
        let socket = &mut self.udp_sockets[p];
        let (client, right) = (
            socket.client,
            socket.accepts_from.is_some_and(|own| own.ip() == peer.ip()),
        );
        socket.accepts_from = Some(peer);
        if !right {
            self.fail(format!("a socket of client {client} is aimed at {peer}"));
        }
        Ok(())
    }

    /// The server closes a socket of an association.
    pub(crate) fn close_udp_socket(&mut self, p: usize) {
        self.checks.progress();
        self.trace(|| format!("server closes UDP socket {p}"));
        self.note_full();
        self.udp_sockets[p].dropped = true;
        self.remember_stale(self.udp_sockets[p].token);
        self.ready.retain(|source| *source != Source::UdpSocket(p));
    }

    /// A datagram reaches a socket of the server.
    pub(crate) fn udp_arrives(&mut self, p: usize, datagram: Datagram) {
        let socket = &mut self.udp_sockets[p];
        let accepts = socket.accepts_from.is_none_or(|accepts_from| {
            accepts_from.ip() == datagram.from.ip()
                && [0, datagram.from.port()].contains(&accepts_from.port())
        });
        if socket.dropped || !accepts {
            return;
        }
        socket.held = false;
        if socket.queue.len() >= socket.room {
            self.trace(|| format!("UDP socket {p} is full"));
            self.note_fault(datagram.number);
        } else {
            socket.queue.push_back(datagram);
        }
        self.edge(Source::UdpSocket(p));
    }

    /// The error of a datagram sent earlier reaches a socket.
    pub(crate) fn udp_fails(&mut self, p: usize, error: Errno) {
        self.trace(|| format!("UDP socket {p} has the error {error}"));
        self.udp_sockets[p].error = Some(error);
        self.edge(Source::UdpSocket(p));
    }

    /// An injected shortage at a socket is over.
    pub(crate) fn udp_released(&mut self, p: usize) {
        if std::mem::replace(&mut self.udp_sockets[p].held, false) {
            self.edge(Source::UdpSocket(p));
        }
    }

    /// The server receives a batch.
    pub(crate) fn receive_datagrams(
        &mut self,
        p: usize,
        batch: &mut Batch,
        intake: Intake,
    ) -> Result<usize, Errno> {
        self.count_receive(p);
        let socket = &mut self.udp_sockets[p];
        if let Some(error) = socket.error.take() {
            self.checks.progress();
            return Err(error);
        }
        if !socket.is_readable() {
            return Err(Errno::EAGAIN);
        }
        let (mut count, client, inner) = (socket.queue.len(), socket.client, socket.is_inner());
        let right = socket.local.is_ipv6() == intake.is_v6 && socket.joins == intake.joins;
        if self.chance(self.odds.early_block) {
            // As if the rest had arrived a moment later.
            count = self.rng.usize(..count);
            self.udp_sockets[p].held = true;
            let latency = self.latency();
            self.schedule(latency, SimEvent::UdpRelease(p));
        }
        if !right {
            self.fail(format!("UDP socket {p} is taken for one of another kind"));
        }
        if count == 0 {
            return Err(Errno::EAGAIN);
        }
        self.checks.progress();
        let mut places = 0;
        // Bounded: each round takes a datagram out.
        while count > 0 && places < intake.places {
            let taken = self.joined(p, count);
            count -= taken;
            let datagrams: Vec<Datagram> = self.udp_sockets[p].queue.drain(..taken).collect();
            fill(batch, places, &datagrams);
            places += 1;
            if inner && datagrams.iter().any(|datagram| datagram.number.is_some()) {
                self.clients[client].moved_ms = self.now;
            }
            self.trace(|| format!("server receives {taken} datagrams at once from UDP socket {p}"));
        }
        Ok(places)
    }

    /// The server sends datagrams of a batch, apart or as a run.
    pub(crate) fn send_datagrams(
        &mut self,
        p: usize,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
        is_run: bool,
    ) -> Result<usize, Errno> {
        self.count_send(p);
        self.checks.progress();
        if let Some(error) = self.udp_sockets[p].error.take() {
            return Err(error);
        }
        if is_run {
            self.check_run(p, batch, numbers.clone(), is_aimed)?;
        }
        let socket = &self.udp_sockets[p];
        let (from, accepts_from, client) = (socket.local, socket.accepts_from, socket.client);
        let first = numbers.start;
        let datagram = |number| {
            let to = accepts_from
                .filter(|_| is_aimed)
                .unwrap_or_else(|| *batch.to(number));
            Datagram {
                from,
                to,
                bytes: batch.parts(number).concat(),
                number: None,
            }
        };
        let mut datagrams: Vec<Datagram> = numbers
            .map(|number| self.numbered(datagram(number)))
            .collect();
        if self.chance(self.odds.early_block) {
            // The server drops what is listed behind them too.
            for number in first..batch.outgoing() {
                let listed = datagram(number);
                let listed = self.numbered(listed);
                self.note_fault(listed.number);
            }
            return Err(Errno::EAGAIN);
        }
        if !is_run && datagrams.len() > 1 && self.chance(self.odds.short_write) {
            datagrams.truncate(self.rng.usize(1..datagrams.len()));
        }
        let count = datagrams.len();
        for (sent, datagram) in datagrams.into_iter().enumerate() {
            if let Err(error) = self.may_send(client, &datagram, accepts_from) {
                return if sent > 0 { Ok(sent) } else { Err(error) };
            }
            if accepts_from.is_some() {
                self.clients[client].moved_ms = self.now;
            }
            self.trace(|| format!("server sends {:?} to {}", datagram.number, datagram.to));
            self.forward_datagram(datagram);
        }
        Ok(count)
    }

    /// Returns the error of the system if it does not send a datagram, and checks that the client
    /// has asked for it.
    fn may_send(
        &mut self,
        client: usize,
        datagram: &Datagram,
        accepts_from: Option<SocketAddr>,
    ) -> Result<(), Errno> {
        let Some(accepts_from) = accepts_from else {
            if self.is_scripted {
                return Ok(());
            }
            let remote = self
                .remote_at(datagram.to)
                .filter(|(owner, _)| *owner == client);
            let Some((_, remote)) = remote else {
                self.fail(format!(
                    "client {client} sends to {}, which it never asked for",
                    datagram.to
                ));
                return Err(Errno::EACCES);
            };
            let behaviour = self.clients[client]
                .scenario
                .udp
                .as_ref()
                .map(|udp| udp.remotes[remote].behaviour);
            return if behaviour == Some(RemoteBehaviour::SendFails) {
                Err(Errno::EPERM)
            } else {
                Ok(())
            };
        };
        if datagram.to.port() == 0 || datagram.to.ip() != accepts_from.ip() {
            self.fail(format!(
                "client {client} is sent a datagram at {}",
                datagram.to
            ));
            return Err(Errno::EDESTADDRREQ);
        }
        let max = BYTES_MAX[usize::from(datagram.to.is_ipv6())];
        if datagram.bytes.len() > max {
            Err(Errno::EMSGSIZE)
        } else {
            Ok(())
        }
    }

    /// The number of associations that have a socket to their client.
    pub(crate) fn associations(&self) -> usize {
        let open = |socket: &&UdpSocket| socket.is_inner() && !socket.dropped;
        self.udp_sockets.iter().filter(open).count()
    }
}

/// Puts datagrams in a place of a batch, joined if there are several.
fn fill(batch: &mut Batch, place: usize, datagrams: &[Datagram]) {
    let bytes: Vec<u8> = datagrams.iter().flat_map(|one| one.bytes.clone()).collect();
    let first = &datagrams[0];
    let (mut spaces, received) = batch.places();
    let space = spaces.nth(place).expect("a call fills the places it has");
    let len = bytes.len().min(space.len());
    space[..len].copy_from_slice(&bytes[..len]);
    received[place] = Received {
        from: first.from,
        len,
        segment_len: if datagrams.len() > 1 {
            first.bytes.len()
        } else {
            0
        },
        cut: len < bytes.len(),
    };
}
