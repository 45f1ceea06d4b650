//! What a session needs only until its tunnel stands: the bytes of the handshake, both ways,
//! and the race for its target. An idle tunnel owns none of it.

use std::io;

use super::race::Race;
use crate::net::Stream;
use crate::state::flow::Peer;
use crate::state::handshake::Stage;
use crate::wire::socks::REPLY_MAX;

/// Room for what the client sends before its tunnel stands. The longest message is that of
/// RFC 1929 with 513 bytes; the rest of it is for payload that came along.
const INBOX_BYTES: usize = 1024;

/// Both two-byte answers and the reply: a client that sends everything at once gets them so.
const OUTBOX_BYTES: usize = 2 + 2 + REPLY_MAX;

/// One entry of the table of openings.
#[derive(Debug)]
pub(super) struct Opening<S> {
    pub(super) stage: Stage,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// The client's end of stream has been read.
    pub(super) client_ended: bool,
    /// Bytes of payload that came along with the handshake and went to the target.
    pub(super) early_bytes: u64,
    pub(super) race: Race<S>,
}

impl<S: Stream> Opening<S> {
    pub(super) fn new() -> Self {
        Self {
            stage: Stage::Greeting,
            inbox: Inbox {
                bytes: [0; INBOX_BYTES],
                start: 0,
                end: 0,
            },
            outbox: Outbox::default(),
            client_ended: false,
            early_bytes: 0,
            race: Race::new(),
        }
    }

    /// Makes a used entry as good as new. What the inbox held is only forgotten, not wiped:
    /// it is read as far as `end` says.
    pub(super) fn reset(&mut self) {
        self.stage = Stage::Greeting;
        (self.inbox.start, self.inbox.end) = (0, 0);
        self.outbox = Outbox::default();
        (self.client_ended, self.early_bytes) = (false, 0);
        self.race = Race::new();
    }

    /// The target has taken `len` bytes of the early payload.
    pub(super) fn carry(&mut self, len: usize) {
        self.inbox.consume(len);
        self.early_bytes += len as u64;
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
    pub(super) fn unread(&self) -> &[u8] {
        &self.bytes[self.start..self.end]
    }

    pub(super) fn consume(&mut self, len: usize) {
        assert!(len <= self.unread().len());
        self.start += len;
    }

    /// Reads once, behind what is there. `Some(0)` is the end of stream; `None` means that
    /// nothing was there to read, or no room.
    pub(super) fn read<S: Stream>(&mut self, client: &mut Peer<S>) -> io::Result<Option<usize>> {
        if self.start > 0 {
            self.bytes.copy_within(self.start..self.end, 0);
            (self.start, self.end) = (0, self.end - self.start);
        }
        if !client.ready.readable || self.end == INBOX_BYTES {
            return Ok(None);
        }
        let len = client.read(&mut self.bytes[self.end..])?;
        self.end += len.unwrap_or(0);
        Ok(len)
    }
}

/// Bytes for the client that it has not taken yet.
#[derive(Debug, Default)]
pub(super) struct Outbox {
    bytes: [u8; OUTBOX_BYTES],
    start: usize,
    end: usize,
}

impl Outbox {
    /// Adds a message. There is room for all that one handshake can say.
    pub(super) fn put(&mut self, message: &[u8]) {
        self.bytes[self.end..][..message.len()].copy_from_slice(message);
        self.end += message.len();
    }

    /// Writes what the client takes. Whether it has taken everything.
    pub(super) fn flush<S: Stream>(&mut self, client: &mut Peer<S>) -> io::Result<bool> {
        while self.start < self.end {
            if !client.ready.writable {
                return Ok(false);
            }
            self.start += client
                .write(&self.bytes[self.start..self.end])?
                .unwrap_or(0);
        }
        Ok(true)
    }
}
