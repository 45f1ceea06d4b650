//! The client's end of a session: its connection, and what waits to be sent to it.

use std::net::{IpAddr, SocketAddr};

use super::outcome::{End, Reason};
use super::record::Record;
use crate::net::{Millis, Net, Stream};
use crate::state::access::{ClientKey, scoped};
use crate::state::auth::Asker;
use crate::state::handshake::Dialect;
use crate::state::peer::{Gone, Peer, Ready};
use crate::state::slots::{Key, Role, Token};
use crate::wire::encoded::ENCODED_MAX;
use crate::wire::http::Status;
use crate::wire::socks::{self, ReplyCode};
use crate::wire::socks4;

/// Both two-byte answers and both replies to BIND: a client that sends everything at once, and
/// reads nothing, has them all waiting. It is also enough for the 39 bytes of HTTP's 200.
const OUTBOX_BYTES: usize = 2 + 2 + 2 * ENCODED_MAX;

/// Reads of one turn from a client that has nothing to say any more, each of a scratch buffer: what
/// it sends is discarded, and the others come in between.
pub(super) const READS_PER_TURN: usize = 4;

/// What every phase needs: the client's connection, and what is remembered of it.
pub(super) struct Client<N: Net> {
    pub(super) key: Key,
    /// Whose share of the tables it counts against.
    pub(super) client_key: ClientKey,
    pub(super) peer: Peer<N::Stream>,
    /// What it speaks, once that is known.
    pub(super) dialect: Option<Dialect>,
    /// Its last request is a HEAD: no answer to it has a body.
    pub(super) asks_for_head: bool,
    pub(super) record: Record,
}

impl<N: Net> Client<N> {
    /// A client that has just been accepted.
    pub(super) fn new(key: Key, stream: N::Stream, addr: SocketAddr, now: Millis) -> Self {
        let ready = Ready::default();
        Self {
            key,
            client_key: ClientKey::from(scoped(&addr)),
            peer: Peer { stream, ready },
            dialect: None,
            asks_for_head: false,
            record: Record::new(addr, now),
        }
    }

    /// The address and port that it comes from.
    pub(super) fn addr(&self) -> &SocketAddr {
        self.record.client()
    }

    /// Its connection is from the address that it is to, which only this machine has: nobody else
    /// gets an answer to a packet from there. Returns that address.
    pub(super) fn own_ip(&self) -> Option<IpAddr> {
        let local = self.peer.stream.local_addr().ok()?.ip();
        (local == self.addr().ip()).then(|| local.to_canonical())
    }

    /// Who it is to those who judge logins.
    pub(super) fn asker(&self) -> Asker {
        let (session, addr) = (self.key, *self.addr());
        Asker { session, addr }
    }

    /// The token of a socket of its session.
    pub(super) fn token(&self, role: Role) -> Token {
        Token::new(self.key, role)
    }

    /// Reads once.
    pub(super) fn read(&mut self, space: &mut [u8]) -> Result<Received, End> {
        if !self.peer.ready.readable {
            return Ok(Received::Nothing);
        }
        match self.peer.read(space) {
            Ok(None) => Ok(Received::Nothing),
            Ok(Some(0)) => Ok(Received::End),
            Ok(Some(len)) => Ok(Received::Bytes(len)),
            Err(Gone) => Err(End::close(Reason::ClientReset)),
        }
    }
}

/// What a read from the client has brought.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Received {
    /// So many bytes.
    Bytes(usize),
    /// The end of its stream.
    End,
    /// Nothing: an event will come. Or there was no room.
    Nothing,
}

/// Bytes for the client that it has not taken yet, in the dialect that it speaks.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outbox {
    pub(super) dialect: Dialect,
    bytes: [u8; OUTBOX_BYTES],
    sent: usize,
    end: usize,
}

impl Outbox {
    /// An empty one.
    pub(super) fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            bytes: [0; OUTBOX_BYTES],
            sent: 0,
            end: 0,
        }
    }

    /// Adds a message. There is room for all messages of one handshake.
    pub(super) fn put(&mut self, message: &[u8]) {
        self.bytes[self.end..][..message.len()].copy_from_slice(message);
        self.end += message.len();
    }

    /// Adds the reply that the request is granted. `bound` is the address of our end, or of the
    /// peer that BIND has waited for.
    pub(super) fn grant(&mut self, bound: SocketAddr) {
        match self.dialect {
            Dialect::Socks5 => self.put(socks::reply(ReplyCode::Succeeded, bound).as_bytes()),
            Dialect::Socks4 => self.put(&socks4::reply(true, bound)),
            Dialect::Http => self.put(Status::Established.response("", false).as_bytes()),
        }
    }

    /// Returns `true` if the client has taken everything.
    pub(super) fn is_empty(&self) -> bool {
        self.sent == self.end
    }

    /// Writes what the client takes. Returns `true` if it has taken everything.
    pub(super) fn flush<N: Net>(&mut self, client: &mut Client<N>) -> Result<bool, End> {
        let sent = client.peer.send(&self.bytes[..self.end], &mut self.sent);
        sent.map_err(|Gone| End::close(Reason::ClientReset))
    }
}
