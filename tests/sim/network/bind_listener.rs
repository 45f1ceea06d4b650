//! Listeners that wait for the peer of a BIND, and the peers that connect to them.
//!
//! Which peers connect, and when, is in the scenario: unexpected ones, the expected one, or none. A
//! listener that closes resets the connections in its backlog; nobody connects to it later.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use anklet::net::Listener;
use anklet::state::slots::Token;
use nix::errno::Errno;

use crate::faults::{Call, Concerned};
use crate::network::net::StreamHandle;
use crate::network::{Network, SimEvent, Source};
use crate::properties::passes::CallCount;
use crate::world::{WAN_V4, WAN_V6, World};

/// The port of the first listener; each one has a port of its own.
const PORT_FIRST: u16 = 50_000;

/// The listener of a BIND.
pub(crate) struct BindListener {
    /// The number of the client whose BIND it is.
    pub(crate) client: usize,
    /// The token that it was registered with.
    pub(crate) token: Token,
    /// The address that it listens at.
    pub(crate) local: SocketAddr,
    /// The sockets of connections that are not accepted yet.
    pub(crate) backlog: VecDeque<usize>,
    /// An injected shortage hides the backlog.
    pub(crate) held: bool,
    /// The server was out of descriptors when it accepted: it need not try again.
    pub(crate) given_up: bool,
    /// The server has closed it.
    pub(crate) dropped: bool,
    /// The calls of accept in this pass.
    pub(crate) accepts: CallCount,
}

impl BindListener {
    /// Returns `true` if an accept would give a connection.
    pub(crate) fn is_readable(&self) -> bool {
        !self.held && !self.backlog.is_empty()
    }
}

/// The handle of a listener that the server holds.
pub(crate) struct ListenerHandle(pub(crate) World, pub(crate) usize);

impl Listener for ListenerHandle {
    type Stream = StreamHandle;

    fn accept(&mut self) -> Result<(StreamHandle, SocketAddr), Errno> {
        let client = self.0.network().bind_listeners[self.1].client;
        let concerned = Concerned::Client(Some(client));
        let made = self.0.network().call(Call::AcceptPeer, concerned);
        if let Err(error) = made {
            // It need not try again.
            self.0.network().bind_listeners[self.1].given_up = true;
            return Err(error);
        }
        let s = self.0.network().accept_peer(self.1)?;
        let peer = self.0.network().sockets[s].peer;
        Ok((StreamHandle(self.0.clone(), s), peer))
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        let client = self.0.network().bind_listeners[self.1].client;
        let concerned = Concerned::Client(Some(client));
        self.0.network().call(Call::LocalAddr, concerned)?;
        Ok(self.0.network().bind_listeners[self.1].local)
    }
}

impl Drop for ListenerHandle {
    fn drop(&mut self) {
        // A panic may drop it while the world is borrowed.
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close_bind_listener(self.1);
        }
    }
}

/// The local address of the route to `to`.
pub(crate) fn route(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => WAN_V4,
        IpAddr::V6(_) => WAN_V6,
    }
}

impl Network {
    /// The server opens a listener for one BIND.
    pub(crate) fn listen(&mut self, addr: IpAddr, token: Token) -> Result<usize, Errno> {
        self.checks.progress();
        let client = self.owner(token);
        let Some(client) =
            client.filter(|client| self.clients[*client].scenario.bind_peers.is_some())
        else {
            self.fail(format!(
                "a listener is opened on {addr} for no BIND ({client:?})"
            ));
            return Err(Errno::EACCES);
        };
        if self.odds.is_exhausted(self.now) {
            self.clients[client].faulted = true;
            return Err(Errno::EMFILE);
        }
        let d = self.bind_listeners.len();
        let port = PORT_FIRST + u16::try_from(d).unwrap_or(0);
        self.bind_listeners.push(BindListener {
            client,
            token,
            local: SocketAddr::new(addr, port),
            backlog: VecDeque::new(),
            held: false,
            given_up: false,
            dropped: false,
            accepts: CallCount::default(),
        });
        self.trace(|| format!("server opens listener {d} for client {client}"));
        self.note_full();
        self.clients[client].bind_listener = Some(d);
        let bind_peers = self.clients[client]
            .scenario
            .bind_peers
            .clone()
            .unwrap_or_default();
        for (number, peer) in bind_peers.iter().enumerate() {
            self.schedule(peer.after_ms, SimEvent::BindPeer(d, number));
        }
        Ok(d)
    }

    /// The client whose session has the key of that token.
    pub(crate) fn owner(&self, token: Token) -> Option<usize> {
        self.clients.iter().position(|client| {
            let connection = client.connection.map(|s| &self.sockets[s]);
            connection.is_some_and(|socket| {
                !socket.dropped && socket.token.is_some_and(|own| own.key() == token.key())
            })
        })
    }

    /// The connection of socket `s` enters the backlog of a listener.
    pub(crate) fn join_backlog(&mut self, d: usize, s: usize) {
        self.trace(|| format!("peer {s} connects to listener {d}"));
        self.bind_listeners[d].backlog.push_back(s);
        self.bind_listeners[d].held = false;
        self.edge(Source::BindListener(d));
    }

    /// An injected shortage at a listener is over.
    pub(crate) fn release_listener(&mut self, d: usize) {
        if std::mem::replace(&mut self.bind_listeners[d].held, false) {
            self.edge(Source::BindListener(d));
        }
    }

    /// The server accepts a peer.
    fn accept_peer(&mut self, d: usize) -> Result<usize, Errno> {
        self.count_accept(d);
        let exhausted = self.odds.is_exhausted(self.now);
        let bind_listener = &mut self.bind_listeners[d];
        let (client, readable) = (bind_listener.client, bind_listener.is_readable());
        if !readable {
            return Err(Errno::EAGAIN);
        }
        if exhausted {
            self.bind_listeners[d].given_up = true;
            self.clients[client].faulted = true;
            return Err(Errno::EMFILE);
        }
        if self.chance(self.odds.early_block) {
            self.bind_listeners[d].held = true;
            let latency = self.latency();
            self.schedule(latency, SimEvent::ListenerRelease(d));
            return Err(Errno::EAGAIN);
        }
        let s = self.bind_listeners[d]
            .backlog
            .pop_front()
            .ok_or(Errno::EAGAIN)?;
        self.checks.progress();
        if self.chance(self.odds.aborted) {
            self.trace(|| format!("peer {s} is gone before it is accepted"));
            // What becomes of an unexpected peer does not matter to the client.
            self.clients[client].faulted |= self.clients[client].targets.contains(&s);
            self.abort(s);
            return Err(Errno::ECONNABORTED);
        }
        self.trace(|| format!("server accepts peer {s} at listener {d}"));
        self.sockets[s].accepted_at = Some(self.now);
        self.wake(s, 0);
        Ok(s)
    }

    /// The server closes a listener: the connections in its backlog are reset.
    fn close_bind_listener(&mut self, d: usize) {
        self.checks.progress();
        self.trace(|| format!("server closes listener {d}"));
        self.note_full();
        self.bind_listeners[d].dropped = true;
        self.remember_stale(self.bind_listeners[d].token);
        self.ready
            .retain(|source| *source != Source::BindListener(d));
        for s in std::mem::take(&mut self.bind_listeners[d].backlog) {
            self.abort(s);
        }
    }
}
