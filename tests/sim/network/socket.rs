//! The state of the server's sockets, and what epoll would report of it.

use std::collections::VecDeque;
use std::net::SocketAddr;

use anklet::net::{Event, Millis};
use anklet::state::slots::Token;
use nix::errno::Errno;

use crate::clients::scenario::TunnelProgress;
use crate::network::channel::Channel;

/// A TCP connection of the server.
pub(crate) struct Socket {
    /// The number of the client that it belongs to; `None` for a connection to a name server.
    pub(crate) client: Option<usize>,
    /// The token that it was registered with.
    pub(crate) token: Option<Token>,
    /// The address of the server's end.
    pub(crate) local: SocketAddr,
    /// The address of the peer.
    pub(crate) peer: SocketAddr,
    /// The bytes to the server.
    pub(crate) to_server: Channel,
    /// The bytes from the server.
    pub(crate) from_server: Channel,
    /// A connect is under way.
    pub(crate) connecting: bool,
    /// When the server accepted it.
    pub(crate) accepted_at: Option<Millis>,
    /// The pending error, which the server has not read.
    pub(crate) error: Option<Errno>,
    /// An error or a reset has broken both directions.
    pub(crate) broken: bool,
    /// The server has shut its sending direction.
    pub(crate) shut: bool,
    /// The number of bytes that the server has written.
    pub(crate) written: u64,
    /// The server has closed it.
    pub(crate) dropped: bool,
    /// The server has armed keepalive.
    pub(crate) kept_alive: bool,
    /// When it was connected.
    pub(crate) connected_at: Option<Millis>,
    /// The server's close will be a reset.
    pub(crate) abort: bool,
    /// An injected shortage hides what has arrived, from byte `peeked` on.
    pub(crate) read_held: bool,
    /// The number of bytes that a peek has shown: a read gives all of them.
    pub(crate) peeked: usize,
    /// An injected shortage hides the room to write.
    pub(crate) write_held: bool,
    /// The server saw no room to write: more room is an edge.
    pub(crate) write_blocked: bool,
    /// The server's end of stream, or its error, has been read.
    pub(crate) end_seen: bool,
    /// The peer has received a reset.
    pub(crate) peer_was_reset: bool,
    /// The peer has closed: what reaches it is answered by a reset.
    pub(crate) peer_closed: bool,
    /// The peer has vanished: nothing comes from it, nothing reaches it.
    pub(crate) vanished: bool,
    /// A segment is on its way, to the server and from it.
    pub(crate) moving: [bool; 2],
    /// The schedule has a step of the peer.
    pub(crate) waking: bool,
    /// The number of operations in this pass.
    pub(crate) operations: u32,
    /// The number of reads in this pass that gave something.
    pub(crate) reads: u32,
    /// What the peer has done as the end of a tunnel.
    pub(crate) progress: TunnelProgress,
}

impl Socket {
    /// An open connection; `at` are the addresses of the server's end and of the peer.
    pub(crate) fn new(
        client: Option<usize>,
        at: (SocketAddr, SocketAddr),
        to_server: Channel,
        from_server: Channel,
    ) -> Self {
        Self {
            client,
            token: None,
            local: at.0,
            peer: at.1,
            to_server,
            from_server,
            connecting: false,
            accepted_at: None,
            error: None,
            broken: false,
            shut: false,
            written: 0,
            dropped: false,
            kept_alive: false,
            connected_at: None,
            abort: false,
            read_held: false,
            peeked: 0,
            write_held: false,
            write_blocked: false,
            end_seen: false,
            peer_was_reset: false,
            peer_closed: false,
            vanished: false,
            moving: [false; 2],
            waking: false,
            operations: 0,
            reads: 0,
            progress: TunnelProgress::default(),
        }
    }

    /// What epoll would report now: the whole state, not only what is new.
    pub(crate) fn event(&self) -> Option<Event> {
        let token = self.token?;
        if self.connecting || self.dropped {
            return None;
        }
        let ended = self.to_server.has_ended() || self.broken;
        let event = Event {
            token,
            readable: self.is_readable(),
            writable: self.is_writable(),
            ended,
            failed: self.broken,
        };
        (event.readable || event.writable || event.failed).then_some(event)
    }

    /// Returns `true` if a read would not block.
    pub(crate) fn is_readable(&self) -> bool {
        let shown = if self.read_held {
            self.peeked
        } else {
            self.to_server.arrived()
        };
        shown > 0 || self.to_server.has_ended() || self.broken
    }

    /// Returns `true` if epoll reports that there is room to write.
    pub(crate) fn is_writable(&self) -> bool {
        let room =
            self.from_server.is_roomy() || (!self.write_blocked && self.from_server.room() > 0);
        self.shut || self.broken || (room && !self.write_held)
    }
}

/// A UDP socket of the server for one DNS query.
pub(crate) struct DnsSocket {
    /// What it was registered with.
    pub(crate) token: Token,
    /// The name server it is connected to.
    pub(crate) to: SocketAddr,
    /// Datagrams, and errors, that have arrived.
    pub(crate) inbox: VecDeque<Option<Vec<u8>>>,
    /// The server has closed it.
    pub(crate) dropped: bool,
}
