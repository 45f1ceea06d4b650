//! What a session needs only until its tunnel stands: the bytes of the handshake, both ways,
//! and the race for its target. An idle tunnel owns none of it.

use std::net::SocketAddr;

use super::association::Association;
use super::client::{Inbox, Outbox};
use super::http::HttpRequest;
use super::outcome::Next;
use super::race::Race;
use crate::net::Net;
use crate::state::flow::{Peer, Ready};
use crate::state::handshake::{Dialect, Stage};
use crate::wire::http::{ANSWER_MAX, Malformed, Status};
use crate::wire::socks::{Command, REPLY_MAX, ReplyCode, write_reply};
use crate::wire::socks4;

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
            inbox: Inbox::new(),
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
