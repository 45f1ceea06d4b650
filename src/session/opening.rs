//! What a session needs only until its tunnel stands: the bytes of the handshake, both ways,
//! and the race for its target. An idle tunnel owns none of it.

use std::net::SocketAddr;

use super::Next;
use super::association::Association;
use super::http::HttpRequest;
use super::race::Race;
use crate::net::{Net, Stream};
use crate::state::flow::{Gone, Peer, Ready};
use crate::state::handshake::{Dialect, Stage};
use crate::wire::http::{ANSWER_MAX, Malformed, Status};
use crate::wire::socks::{Command, REPLY_MAX, ReplyCode, write_reply};
use crate::wire::socks4;

/// Room for what the client sends before its tunnel stands. The longest message is that of
/// RFC 1929 with 513 bytes; the rest of it is for payload that came along.
const INBOX_BYTES: usize = 1024;

/// Both two-byte answers and both replies to BIND: a client that sends everything at once, and
/// reads nothing, has them all waiting. It is also enough for the 39 bytes of HTTP's 200.
const OUTBOX_BYTES: usize = 2 + 2 + 2 * REPLY_MAX;

/// How far a session has come on its way to a tunnel.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    Handshake,
    Resolving,
    Connecting,
    Binding,
    Answering,
}

/// One entry of the table of openings.
pub(super) struct Opening<N: Net> {
    pub(super) step: Step,
    pub(super) dialect: Dialect,
    pub(super) stage: Stage,
    /// What the request asks for: a connection to, or from, the destination.
    pub(super) command: Command,
    /// The head of an HTTP request, from its first byte until the target has it.
    pub(super) http: Option<Box<HttpRequest>>,
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    /// The client's end of stream has been read.
    pub(super) client_ended: bool,
    /// Bytes of payload that came along with the handshake and went to the target.
    pub(super) early_bytes: u64,
    pub(super) race: Race<N::Stream>,
    /// It is counted among the BINDs.
    pub(super) binds: bool,
    /// Where the peer of a BIND is waited for.
    pub(super) listener: Option<N::Listener>,
    /// The other end of the tunnel.
    pub(super) target: Option<Peer<N::Stream>>,
    /// What UDP ASSOCIATE has opened.
    pub(super) association: Option<Box<Association<N::UdpSocket>>>,
}

impl<N: Net> Opening<N> {
    pub(super) fn new() -> Self {
        Self {
            step: Step::Handshake,
            dialect: Dialect::default(),
            stage: Stage::Greeting,
            command: Command::Connect,
            http: None,
            inbox: Inbox {
                bytes: [0; INBOX_BYTES],
                start: 0,
                end: 0,
            },
            outbox: Outbox::new(),
            client_ended: false,
            early_bytes: 0,
            race: Race::new(),
            binds: false,
            listener: None,
            target: None,
            association: None,
        }
    }

    /// What the target is to get first: the head of a forwarded request, then what came along
    /// with the handshake.
    pub(super) fn early(&self) -> &[u8] {
        let http = self.http.as_ref().map(|http| http.unread());
        http.filter(|bytes| !bytes.is_empty())
            .unwrap_or_else(|| self.inbox.unread())
    }

    /// The target has taken `len` bytes of [`Opening::early`].
    pub(super) fn carry(&mut self, len: usize) {
        match &mut self.http {
            Some(http) if !http.unread().is_empty() => http.consume(len),
            _ => self.inbox.consume(len),
        }
        self.early_bytes += len as u64;
    }

    /// Drops what lies behind the body of a forwarded request.
    pub(super) fn measure(&mut self) -> Result<(), Malformed> {
        if let Some(http) = &mut self.http {
            let len = http.measure(self.inbox.unread())?;
            self.inbox.truncate(len);
        }
        Ok(())
    }

    /// Tells the client, in its dialect, that its request has succeeded. The address is that
    /// of our end, or of the peer that BIND has waited for.
    pub(super) fn answer(&mut self, bound: SocketAddr) {
        match self.dialect {
            Dialect::Socks5 => {
                let mut reply = [0; REPLY_MAX];
                let len = write_reply(ReplyCode::Succeeded, bound, &mut reply);
                self.outbox.put(&reply[..usize::from(len)]);
            }
            Dialect::Socks4 => self.outbox.put(&socks4::reply(true, bound)),
            // The answer to a forwarded request is the server's.
            Dialect::Http if self.is_forwarded() => {}
            Dialect::Http => {
                let mut answer = [0; ANSWER_MAX];
                let len = Status::Established.write("", &mut answer);
                self.outbox.put(&answer[..len]);
            }
        }
    }

    /// The other end of the tunnel stands: the client is told, with `bound` as the address.
    pub(super) fn reach(&mut self, stream: N::Stream, ready: Ready, bound: &SocketAddr) -> Next {
        self.answer(*bound);
        self.target = Some(Peer { stream, ready });
        self.step = Step::Answering;
        Next::Go
    }

    /// Whether what the client sends would be read now.
    pub(super) fn could_read(&self) -> bool {
        match self.step {
            // Who does not take the answers is not heard.
            Step::Handshake => self.outbox.is_taken(),
            // What comes now goes through the tunnel.
            Step::Answering => false,
            _ => !self.client_ended && self.inbox.has_room(),
        }
    }

    /// Whether it is an HTTP request that is forwarded, not a tunnel.
    fn is_forwarded(&self) -> bool {
        self.http
            .as_ref()
            .is_some_and(|http| http.meter().is_some())
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
    fn is_taken(&self) -> bool {
        self.sent == self.end
    }

    /// Writes what the client takes. Whether it has taken everything.
    pub(super) fn flush<S: Stream>(&mut self, client: &mut Peer<S>) -> Result<bool, Gone> {
        client.send(&self.bytes[..self.end], &mut self.sent)
    }
}
