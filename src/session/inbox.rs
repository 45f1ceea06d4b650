//! What the client has sent before its tunnel is established, and nobody has taken yet.

use super::client::{Client, Received};
use super::context::Context;
use super::http::HttpRequest;
use super::outcome::{End, Reason};
use crate::net::Net;
use crate::wire::http::{BodyMeter, MalformedBody};

/// Room for what the client sends before its tunnel is established. The longest message is that
/// of RFC 1929 with 513 bytes; the rest of it is for payload that came along.
const INBOX_BYTES: usize = 1024;

/// The bytes of the handshake, and what came behind them.
pub(super) struct Inbox {
    bytes: [u8; INBOX_BYTES],
    start: usize,
    end: usize,
    /// An HTTP request in front of these bytes, from its first byte until the target has it.
    http: Option<Box<HttpRequest>>,
    /// The client's end of stream has been read.
    ended: bool,
}

impl Inbox {
    /// Nothing has come yet.
    pub(super) fn new() -> Self {
        Self {
            bytes: [0; INBOX_BYTES],
            start: 0,
            end: 0,
            http: None,
            ended: false,
        }
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

    /// Reads what the client sends while its target is being reached.
    ///
    /// # Errors
    /// The client has given up: its end of stream with nothing sent means that nobody waits any
    /// more. Behind payload it is a half-close.
    pub(super) fn read_ahead<N: Net>(&mut self, client: &mut Client<N>) -> Result<(), End> {
        while !self.ended {
            match self.read(client)? {
                Received::Nothing => return Ok(()),
                Received::End => self.ended = true,
                Received::Bytes(_) => {}
            }
        }
        if self.early().is_empty() {
            return Err(End::close(Reason::ClientLeft));
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

    /// The HTTP request that the bytes so far are the beginning of.
    ///
    /// # Errors
    /// All entries of the table of heads are taken.
    pub(super) fn http<N: Net>(
        &mut self,
        cx: &mut Context<'_, N>,
    ) -> Result<&mut HttpRequest, End> {
        match &mut self.http {
            Some(http) => Ok(http),
            slot => {
                let bytes = &self.bytes[self.start..self.end];
                let http = HttpRequest::enter(bytes, cx.client.client_key, &mut cx.shared.clients)?;
                self.end = self.start;
                Ok(slot.insert(Box::new(http)))
            }
        }
    }

    /// The head of the HTTP request is complete. The way to its target may take long, and others
    /// wait for its entry of the table of heads.
    pub(super) fn end_head<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        let Some(http) = &mut self.http else { return };
        let payload = http.unread();
        if http.meter().is_none()
            && let Some(space) = self.bytes.get_mut(..payload.len())
        {
            // Nothing but the payload is needed any more.
            space.copy_from_slice(payload);
            (self.start, self.end) = (0, payload.len());
            http.release(&mut cx.shared.clients, cx.client.client_key);
            self.http = None;
        } else if http.shrink() {
            http.release(&mut cx.shared.clients, cx.client.client_key);
        }
    }

    /// What the target is to get first: the head of a forwarded request, then what came along
    /// with the handshake.
    pub(super) fn early(&self) -> &[u8] {
        let http = self.http.as_ref().map(|http| http.unread());
        http.filter(|bytes| !bytes.is_empty())
            .unwrap_or_else(|| self.unread())
    }

    /// The target has taken `len` bytes of [`Inbox::early`].
    pub(super) fn consume_early(&mut self, len: usize) {
        match &mut self.http {
            Some(http) if !http.unread().is_empty() => http.consume(len),
            _ => self.consume(len),
        }
    }

    /// Drops what lies behind the body of a forwarded request.
    ///
    /// # Errors
    /// The body is malformed.
    pub(super) fn drop_behind_body(&mut self) -> Result<(), MalformedBody> {
        if let Some(http) = &mut self.http {
            let len = http.measure(&self.bytes[self.start..self.end])?;
            self.end = self.end.min(self.start + len);
        }
        Ok(())
    }

    /// Where the body of a forwarded request ends; `None` for a tunnel.
    pub(super) fn meter(&self) -> Option<BodyMeter> {
        self.http.as_ref().and_then(|http| http.meter())
    }

    /// Gives back what it holds of the shared tables.
    pub(super) fn release<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        if let Some(http) = &mut self.http {
            http.release(&mut cx.shared.clients, cx.client.client_key);
        }
    }
}
