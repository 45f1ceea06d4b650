//! The client's end of a session: its connection, and the bytes that wait on both ways of it.

use super::record::Record;
use crate::net::{Net, Stream};
use crate::state::access::ClientKey;
use crate::state::flow::{Gone, Peer};
use crate::state::slots::{Key, Role, Token};
use crate::wire::socks::REPLY_MAX;

/// Room for what the client sends before its tunnel stands. The longest message is that of
/// RFC 1929 with 513 bytes; the rest of it is for payload that came along.
const INBOX_BYTES: usize = 1024;

/// Both two-byte answers and both replies to BIND: a client that sends everything at once, and
/// reads nothing, has them all waiting. It is also enough for the 39 bytes of HTTP's 200.
const OUTBOX_BYTES: usize = 2 + 2 + 2 * REPLY_MAX;

/// What every phase needs: the client's connection, and what is remembered of it.
pub(super) struct Client<N: Net> {
    pub(super) key: Key,
    pub(super) peer: Peer<N::Stream>,
    pub(super) record: Record,
}

impl<N: Net> Client<N> {
    /// Who it is, for the limits.
    pub(super) fn client_key(&self) -> ClientKey {
        self.record.client_key()
    }

    pub(super) fn token(&self, role: Role) -> Token {
        Token::new(self.key, role)
    }
}

/// Bytes from the client that wait for their turn.
#[derive(Debug)]
pub(super) struct Inbox {
    bytes: [u8; INBOX_BYTES],
    start: usize,
    end: usize,
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; INBOX_BYTES],
            start: 0,
            end: 0,
        }
    }

    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn consume(&mut self, len: usize) {
        assert!(len <= self.unread().len());
        self.start += len;
    }

    /// Forgets all.
    pub(super) fn clear(&mut self) {
        self.truncate(0);
    }

    /// Holds these bytes from now on, if there is room for them.
    pub(super) fn refill(&mut self, bytes: &[u8]) -> bool {
        let Some(space) = self.bytes.get_mut(..bytes.len()) else {
            return false;
        };
        space.copy_from_slice(bytes);
        (self.start, self.end) = (0, bytes.len());
        true
    }

    /// Forgets all but the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }

    /// Whether there is room behind what is there.
    pub(super) fn has_room(&self) -> bool {
        self.end - self.start < INBOX_BYTES
    }

    /// Reads once, behind what is there. `Some(0)` is the end of stream; `None` means that
    /// nothing was there to read, or no room.
    pub(super) fn read<S: Stream>(&mut self, client: &mut Peer<S>) -> Result<Option<usize>, Gone> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if !client.ready.readable || !self.has_room() {
            return Ok(None);
        }
        let len = client.read(&mut self.bytes[self.end..])?;
        self.end += len.unwrap_or(0);
        Ok(len)
    }
}

/// Bytes for the client that it has not taken yet.
#[derive(Clone, Copy, Debug)]
pub(super) struct Outbox {
    bytes: [u8; OUTBOX_BYTES],
    sent: usize,
    end: usize,
}

impl Outbox {
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; OUTBOX_BYTES],
            sent: 0,
            end: 0,
        }
    }

    /// Adds a message. There is room for all that one handshake can say.
    pub(super) fn put(&mut self, message: &[u8]) {
        self.bytes[self.end..][..message.len()].copy_from_slice(message);
        self.end += message.len();
    }

    /// Whether the client has taken everything.
    pub(super) fn is_taken(&self) -> bool {
        self.sent == self.end
    }

    /// Writes what the client takes. Whether it has taken everything.
    pub(super) fn flush<S: Stream>(&mut self, client: &mut Peer<S>) -> Result<bool, Gone> {
        client.send(&self.bytes[..self.end], &mut self.sent)
    }
}
