//! What the client has sent before its tunnel is established, and nobody has taken yet.

use super::client::{Client, Received};
use super::outcome::End;
use crate::net::Net;

/// Room for what the client sends before its tunnel is established. The longest message is that
/// of RFC 1929 with 513 bytes; the rest of it is for payload that came along.
pub(super) const INBOX_BYTES: usize = 1024;

/// The bytes of the handshake, and what came behind them.
pub(super) struct Inbox {
    /// On the heap, or an opening would be moved with all of it.
    bytes: Box<[u8; INBOX_BYTES]>,
    start: usize,
    end: usize,
    /// The client's end of stream has been read.
    ended: bool,
}

impl Inbox {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Self {
            bytes: Box::new([0; INBOX_BYTES]),
            start: 0,
            end: 0,
            ended: false,
        }
    }

    /// These bytes have come, no more than there is room for, and the client's end of stream or not.
    pub(super) fn of(bytes: &[u8], ended: bool) -> Self {
        let mut inbox = Self::new();
        inbox.refill(bytes);
        inbox.ended = ended;
        inbox
    }

    /// The bytes of the handshake that have not been taken.
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    /// Takes the first `len` bytes of [`Inbox::unread`] out.
    pub(super) fn consume(&mut self, len: usize) {
        assert!(len <= self.unread().len());
        self.start += len;
    }

    /// Reads once, behind what it holds.
    pub(super) fn read<N: Net>(&mut self, client: &mut Client<N>) -> Result<Received, End> {
        self.bytes.copy_within(self.start..self.end, 0);
        (self.start, self.end) = (0, self.end - self.start);
        if !self.has_room() {
            return Ok(Received::Nothing);
        }
        let received = client.read(&mut self.bytes[self.end..])?;
        if let Received::Bytes(len) = received {
            self.end += len;
        }
        Ok(received)
    }

    /// Reads all that there is and that it has room for, and remembers the end of the stream.
    pub(super) fn read_on<N: Net>(&mut self, client: &mut Client<N>) -> Result<(), End> {
        while !self.ended {
            match self.read(client)? {
                Received::Nothing => break,
                Received::End => self.ended = true,
                Received::Bytes(_) => {}
            }
        }
        Ok(())
    }

    /// Returns `true` if the client's end of stream has been read.
    pub(super) fn has_ended(&self) -> bool {
        self.ended
    }

    /// Returns `true` if there is room behind what it holds.
    pub(super) fn has_room(&self) -> bool {
        self.end - self.start < INBOX_BYTES
    }

    /// Holds these bytes in place of those that it held. Returns `false` if they are too many.
    pub(super) fn refill(&mut self, bytes: &[u8]) -> bool {
        let Some(space) = self.bytes.get_mut(..bytes.len()) else {
            return false;
        };
        space.copy_from_slice(bytes);
        (self.start, self.end) = (0, bytes.len());
        true
    }

    /// Drops all but the first `len` bytes.
    pub(super) fn truncate(&mut self, len: usize) {
        self.end = self.end.min(self.start + len);
    }
}
