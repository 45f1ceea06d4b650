//! The system calls of the server on its TCP connections and its sockets of DNS queries.
//!
//! The faults that strike here are in `faults/streams.rs`.

use anklet::net::Purpose;
use anklet::state::slots::Token;
use nix::errno::Errno;
use std::collections::VecDeque;
use std::net::SocketAddr;

use crate::clients::scenario::ConnectOutcome;
use crate::network::socket::{DnsSocket, Socket};
use crate::network::{Direction, Network, SimEvent, Source};
use crate::script;

/// Linux gives every socket a send buffer of more than 4 KiB, so a new connection takes all of
/// a handshake's leftover payload (1 KiB at most) at once.
pub(crate) const SEND_BUFFER_BYTES: usize = 1024;

/// A connected socket has a send buffer of more than 16 KiB, which takes the head of a forwarded
/// request, and what came along with one (8 KiB, what rewriting adds, and 1 KiB), at once.
const HTTP_SEND_BUFFER_BYTES: usize = 10 * 1024;

/// And a receive buffer which has room for the head of an answer: it is looked at there until it is
/// complete.
const HTTP_RECEIVE_BUFFER_BYTES: usize = 1024;

impl Network {
    /// A read, or a peek.
    pub(crate) fn read(&mut self, s: usize, buf: &mut [u8], consume: bool) -> Result<usize, Errno> {
        self.count_operation(s);
        let socket = &mut self.sockets[s];
        if socket.connecting {
            return Err(Errno::EAGAIN);
        }
        let mut len = socket.to_server.arrived().min(buf.len());
        if len == 0 {
            return self.read_nothing(s);
        }
        if socket.to_server.has_ended() || socket.broken {
            if len > socket.peeked && self.chance(self.odds.short_read) {
                len = self
                    .rng
                    .usize(len.div_ceil(4)..=len)
                    .max(self.sockets[s].peeked.min(len));
            }
        } else if socket.read_held {
            len = len.min(socket.peeked);
        } else if len > socket.peeked {
            len = self.shortened(s, len);
        }
        if len == 0 {
            return Err(Errno::EAGAIN);
        }
        self.count_read(s);
        let socket = &mut self.sockets[s];
        socket.to_server.look(&mut buf[..len]);
        if !consume {
            socket.peeked = socket.peeked.max(len);
            return Ok(len);
        }
        socket.peeked = socket.peeked.saturating_sub(len);
        socket.to_server.consume(len);
        self.checks.progress();
        self.wake(s, 0);
        self.set_off(s, Direction::ToServer);
        Ok(len)
    }

    /// A read where no byte has arrived: an error, the end of stream, or EAGAIN.
    fn read_nothing(&mut self, s: usize) -> Result<usize, Errno> {
        let socket = &mut self.sockets[s];
        // Linux looks for the end first.
        if !socket.to_server.has_ended() {
            if let Some(error) = socket.error.take() {
                self.checks.progress();
                return Err(error);
            }
            if !socket.broken {
                return Err(Errno::EAGAIN);
            }
        }
        if !std::mem::replace(&mut socket.end_seen, true) {
            self.checks.progress();
        }
        Ok(0)
    }

    /// A write.
    pub(crate) fn write(&mut self, s: usize, buf: &[u8]) -> Result<usize, Errno> {
        self.count_operation(s);
        let socket = &mut self.sockets[s];
        if socket.connecting {
            return Err(Errno::EAGAIN);
        }
        if socket.broken || socket.shut {
            self.checks.progress();
            return Err(socket.error.take().unwrap_or(Errno::EPIPE));
        }
        if socket.write_held {
            socket.write_blocked = true;
            return Err(Errno::EAGAIN);
        }
        let mut len = buf.len().min(socket.from_server.room());
        if len > 0 && self.chance(self.odds.early_block) {
            len = 0;
            self.hold_write(s);
        } else if len > 1 && self.chance(self.odds.short_write) {
            len = self.rng.usize(1..len);
            self.hold_write(s);
        }
        let socket = &mut self.sockets[s];
        if len < buf.len() {
            socket.write_blocked = true;
        }
        if len == 0 {
            return Err(Errno::EAGAIN);
        }
        socket.from_server.put(&buf[..len]);
        socket.written += len as u64;
        self.count_moved(s);
        self.note_winner(s);
        self.set_off(s, Direction::FromServer);
        Ok(len)
    }

    /// Notes which connection has won the race: the one that is connected when the server first
    /// writes to the client, as it has given up the others.
    fn note_winner(&mut self, s: usize) {
        let Some(client) = self.sockets[s]
            .client
            .filter(|client| self.clients[*client].connection == Some(s))
        else {
            return;
        };
        if self.clients[client].winner.is_none() {
            let stands = |s: &&usize| {
                let socket = &self.sockets[**s];
                socket.token.is_some() && !socket.connecting && !socket.dropped
            };
            self.clients[client].winner = self.clients[client].targets.iter().find(stands).copied();
        }
    }

    /// The server shuts its sending direction.
    pub(crate) fn shut(&mut self, s: usize) -> Result<(), Errno> {
        self.count_operation(s);
        let socket = &mut self.sockets[s];
        if socket.connecting || socket.broken {
            return Err(Errno::ENOTCONN);
        }
        if !std::mem::replace(&mut socket.shut, true) {
            socket.from_server.end();
            self.checks.progress();
            self.trace(|| format!("server ends socket {s}"));
            self.set_off(s, Direction::FromServer);
            // Linux reports the change of state: a hang-up, if the peer has ended too.
            self.edge(Source::Socket(s));
        }
        Ok(())
    }

    /// The server closes: by a reset if it asked for one or has not read everything.
    pub(crate) fn close(&mut self, s: usize) {
        self.checks.progress();
        self.trace(|| format!("server closes socket {s}"));
        self.note_full();
        let socket = &mut self.sockets[s];
        socket.dropped = true;
        if socket.abort {
            self.note_cut(s);
            self.check_cut(s);
        }
        let socket = &mut self.sockets[s];
        if let Some(token) = socket.token {
            self.remember_stale(token);
        }
        self.ready.retain(|source| *source != Source::Socket(s));
        let socket = &mut self.sockets[s];
        if socket.connecting || socket.broken {
            self.wake(s, 0);
        } else if socket.abort || socket.to_server.arrived() > 0 {
            let latency = self.latency();
            self.schedule(latency, SimEvent::Abort(s));
        } else {
            socket.from_server.end();
            self.set_off(s, Direction::FromServer);
            self.wake(s, 0);
        }
    }

    /// Registers an accepted connection: what is there already is reported.
    pub(crate) fn register(&mut self, s: usize, token: Token) {
        self.sockets[s].token = Some(token);
        self.edge(Source::Socket(s));
    }

    /// The server takes a connection from a listener.
    pub(crate) fn accept(&mut self, listener: usize) -> Result<usize, Errno> {
        self.checks.accepts += 1;
        if self.odds.is_exhausted(self.now) {
            return Err(if self.rng.bool() {
                Errno::EMFILE
            } else {
                Errno::ENFILE
            });
        }
        let backlogs = self.backlogs.as_mut().ok_or(Errno::EBADF)?;
        let waiting = backlogs.get_mut(listener).and_then(VecDeque::pop_front);
        let s = waiting.ok_or(Errno::EAGAIN)?;
        self.checks.progress();
        if self.chance(self.odds.aborted) {
            if let Some(client) = self.sockets[s].client {
                self.clients[client].faulted = true;
            }
            self.abort(s);
            return Err(Errno::ECONNABORTED);
        }
        self.trace(|| format!("server accepts socket {s}"));
        self.sockets[s].accepted_at = Some(self.now);
        Ok(s)
    }

    /// The server connects to a target or a name server. Targets are known from the scenarios of
    /// the clients; any other address breaks a property.
    pub(crate) fn connect(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        token: Token,
    ) -> Result<usize, Errno> {
        let local = match to {
            SocketAddr::V4(_) => crate::world::WAN_V4,
            SocketAddr::V6(_) => crate::world::WAN_V6,
        };
        let (client, outcome) = match purpose {
            Purpose::Dns => (
                None,
                crate::network::name_server::connect_outcome(&self.odds, to),
            ),
            Purpose::Tunnel => match self.addr(to, token) {
                Some((client, outcome)) => (Some(client), outcome),
                None => return Err(Errno::EACCES),
            },
        };
        self.checks.progress();
        if self.odds.is_exhausted(self.now) {
            if let Some(client) = client {
                self.clients[client].faulted = true;
            }
            return Err(Errno::EMFILE);
        }
        if outcome == ConnectOutcome::NetUnreachable {
            return Err(Errno::ENETUNREACH);
        }
        let port = self.rng.u16(1024..);
        let is_http = client.is_some_and(|client| self.clients[client].scenario.dialect.is_http());
        let room = if is_http {
            HTTP_SEND_BUFFER_BYTES
        } else {
            SEND_BUFFER_BYTES
        };
        let s = self.open(client, (SocketAddr::new(local, port), to), room);
        if is_http {
            self.sockets[s]
                .to_server
                .receive_at_least(HTTP_RECEIVE_BUFFER_BYTES);
        }
        self.sockets[s].token = Some(token);
        self.sockets[s].connecting = true;
        self.trace(|| format!("server connects socket {s} to {to}: {outcome:?}"));
        let latency = self.latency();
        match outcome {
            ConnectOutcome::Succeeds => self.schedule(latency, SimEvent::Connect(s)),
            ConnectOutcome::SucceedsAfter(ms) => self.schedule(ms, SimEvent::Connect(s)),
            ConnectOutcome::Refused => {
                self.schedule(latency, SimEvent::Break(s, Errno::ECONNREFUSED))
            }
            ConnectOutcome::HostUnreachable => {
                self.schedule(latency + 900, SimEvent::Break(s, Errno::EHOSTUNREACH))
            }
            ConnectOutcome::NoAnswer | ConnectOutcome::NetUnreachable => {}
        }
        Ok(s)
    }

    /// The client whose target `to` is. If another session than that client's connects, a key was
    /// stale.
    fn addr(&mut self, to: SocketAddr, token: Token) -> Option<(usize, ConnectOutcome)> {
        if self.is_scripted {
            return Some((self.owner(token)?, script::connect_outcome(to)));
        }
        let Some((client, outcome)) =
            self.clients
                .iter()
                .enumerate()
                .find_map(|(number, client)| {
                    client
                        .scenario
                        .connect_outcome(to)
                        .map(|outcome| (number, outcome))
                })
        else {
            self.fail(format!(
                "the server connects to {to}, which no client asked for"
            ));
            return None;
        };
        let holds = |socket: &Socket| {
            !socket.dropped && socket.token.is_some_and(|own| own.key() == token.key())
        };
        let scenario = &self.clients[client].scenario;
        if scenario.bind_peers.is_some() || scenario.udp.is_some() {
            self.fail(format!(
                "the server connects to {to}, for a request that is no CONNECT"
            ));
        }
        let connection = self.clients[client].connection.map(|s| &self.sockets[s]);
        if !connection.is_some_and(holds) {
            self.fail(format!(
                "the server connects to {to} for another session than client {client}"
            ));
        }
        Some((client, outcome))
    }

    /// The server opens a UDP socket for a DNS query. It is registered, and writable, at once.
    pub(crate) fn open_dns_socket(&mut self, to: SocketAddr, token: Token) -> Result<usize, Errno> {
        self.checks.progress();
        if self.odds.is_exhausted(self.now) {
            return Err(Errno::EMFILE);
        }
        let inbox = VecDeque::new();
        self.dns_sockets.push(DnsSocket {
            token,
            to,
            inbox,
            dropped: false,
        });
        let m = self.dns_sockets.len() - 1;
        self.edge(Source::DnsSocket(m));
        Ok(m)
    }

    /// The server receives a DNS message.
    pub(crate) fn receive_dns(&mut self, m: usize, buf: &mut [u8]) -> Result<usize, Errno> {
        self.checks.operations += 1;
        let message = self.dns_sockets[m].inbox.pop_front().ok_or(Errno::EAGAIN)?;
        self.checks.progress();
        let message = message.ok_or(Errno::ECONNREFUSED)?;
        let len = message.len().min(buf.len());
        buf[..len].copy_from_slice(&message[..len]);
        Ok(len)
    }

    /// The server closes a UDP socket of a DNS query.
    pub(crate) fn close_dns_socket(&mut self, m: usize) {
        self.checks.progress();
        self.dns_sockets[m].dropped = true;
        self.ready.retain(|source| *source != Source::DnsSocket(m));
        self.remember_stale(self.dns_sockets[m].token);
    }

    /// The server closes its listeners: the connections in their backlogs are reset.
    pub(crate) fn close_listeners(&mut self) {
        for s in self.backlogs.take().into_iter().flatten().flatten() {
            self.abort(s);
        }
        self.ready
            .retain(|source| !matches!(source, Source::Listener(_)));
    }
}
