//! What the client has sent before its tunnel is established, and the target is to get first.

use super::client::{Client, Heard, Inbox};
use super::http::HttpRequest;
use super::outcome::{End, Reason};
use super::shared::Shared;
use crate::net::Net;
use crate::wire::http::{BodyMeter, Malformed};

/// The bytes of the handshake, and what came behind them.
pub(super) struct Input {
    pub(super) inbox: Inbox,
    /// An HTTP request, from its first byte until the target has it.
    pub(super) http: Option<Box<HttpRequest>>,
    /// The client's end of stream has been read.
    pub(super) ended: bool,
}

impl Input {
    /// Nothing yet.
    pub(super) fn new() -> Self {
        Self {
            inbox: Inbox::new(),
            http: None,
            ended: false,
        }
    }

    /// Reads what the client sends while its target is being dialled.
    ///
    /// # Errors
    /// The client has given up: its end of stream with nothing sent means that nobody waits any
    /// more. Behind payload it is a half-close.
    pub(super) fn read_ahead<N: Net>(&mut self, client: &mut Client<N>) -> Result<(), End> {
        while !self.ended {
            match self.inbox.read(client)? {
                Heard::Nothing => return Ok(()),
                Heard::End => self.ended = true,
                Heard::Bytes(_) => {}
            }
        }
        if self.unread().is_empty() {
            return Err(End::close(Reason::ClientLeft));
        }
        Ok(())
    }

    /// What the target is to get next: the head of a forwarded request, then what came along
    /// with the handshake.
    pub(super) fn unread(&self) -> &[u8] {
        let http = self.http.as_ref().map(|http| http.unread());
        http.filter(|bytes| !bytes.is_empty())
            .unwrap_or_else(|| self.inbox.unread())
    }

    /// The target has taken `len` bytes of [`Input::unread`].
    pub(super) fn consume(&mut self, len: usize) {
        match &mut self.http {
            Some(http) if !http.unread().is_empty() => http.consume(len),
            _ => self.inbox.consume(len),
        }
    }

    /// Drops what lies behind the body of a forwarded request.
    ///
    /// # Errors
    /// The body is malformed.
    pub(super) fn drop_behind_body(&mut self) -> Result<(), Malformed> {
        if let Some(http) = &mut self.http {
            let len = http.measure(self.inbox.unread())?;
            self.inbox.truncate(len);
        }
        Ok(())
    }

    /// Where the body of a forwarded request ends; `None` for a tunnel.
    pub(super) fn meter(&self) -> Option<BodyMeter> {
        self.http.as_ref().and_then(|http| http.meter())
    }

    /// Gives back what it holds of the shared tables.
    pub(super) fn release<N: Net>(&mut self, client: &Client<N>, shared: &mut Shared<N>) {
        if let Some(http) = &mut self.http {
            http.release(&mut shared.clients, client.client_key());
        }
    }
}
