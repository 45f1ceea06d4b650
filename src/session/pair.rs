//! A client's connection between two requests, with that to the origin of the last one: idle, and
//! as cheap as an idle tunnel.

use std::mem;
use std::net::SocketAddr;

use super::client::{Client, Received};
use super::context::Context;
use super::exchange::Exchange;
use super::inbox::INBOX_BYTES;
use super::outcome::{End, Next, Reason, Wake};
use crate::net::{Event, Net, Stream};
use crate::state::access::Origin;
use crate::state::peer::{Peer, Ready};
use crate::wire::socks::Request;

/// A connection to an origin.
#[derive(Debug)]
pub(super) struct Link<S> {
    pub(super) target: Peer<S>,
    /// What was reached, and who has named it.
    pub(super) reached: (SocketAddr, Origin),
    /// It has carried another exchange before.
    pub(super) is_reused: bool,
    /// The system finds out when the other end has vanished.
    is_kept_alive: bool,
    /// It carries an authentication of its own (Negotiate, NTLM): it belongs to this client's
    /// connection, and neither outlives the other.
    pub(super) is_pinned: bool,
}

impl<S: Stream> Link<S> {
    /// A connection that has just been made.
    pub(super) fn new(target: Peer<S>, reached: (SocketAddr, Origin)) -> Self {
        Self {
            target,
            reached,
            is_reused: false,
            is_kept_alive: false,
            is_pinned: false,
        }
    }

    /// It stays: has the system find out when the other end has vanished.
    pub(super) fn keep_alive(&mut self) {
        if !mem::replace(&mut self.is_kept_alive, true) {
            self.target.stream.keep_alive();
        }
    }
}

/// A connection to an origin that has answered, and waits for this client's next request to it.
#[derive(Debug)]
pub(super) struct Kept<S> {
    pub(super) link: Link<S>,
    /// What was asked for.
    pub(super) request: Request,
}

impl<S: Stream> Kept<S> {
    /// Returns `true` if the connection may carry that request now, of the user who has had it.
    pub(super) fn serves(&mut self, exchange: &Exchange) -> bool {
        let (request, asked) = (&self.request, &exchange.request);
        // One that cannot be sent again where the connection dies gets a new one.
        let is_safe = exchange.may_repeat || self.link.is_pinned;
        let is_same = (&request.address, request.port) == (&asked.address, asked.port);
        // What has come, or its end, may not have been told by an event yet.
        self.link.target.ready.readable = true;
        is_safe && is_same && self.is_idle()
    }

    /// Returns `true` as long as nothing has come on it that nobody has asked for, nor its end.
    fn is_idle(&mut self) -> bool {
        let target = &mut self.link.target;
        !target.is_broken() && (!target.ready.readable || matches!(target.read(&mut [0]), Ok(None)))
    }
}

/// An idle pair, or a client's connection alone.
#[derive(Debug)]
pub(super) struct Pair<S> {
    pub(super) kept: Option<Box<Kept<S>>>,
    /// What the client has sent of its next requests.
    pub(super) early: Vec<u8>,
    /// The client's end of stream has been read.
    pub(super) client_ended: bool,
}

impl<S: Stream> Pair<S> {
    /// Waits for the next request.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        wake: Wake<'_>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if let Wake::Timeout = wake {
            return Err(End::close(Reason::Done));
        }
        if let Some(kept) = self.kept.take_if(|kept| !kept.is_idle())
            && kept.link.is_pinned
        {
            return Err(End::close(Reason::Done));
        }
        let mut has_read = false;
        loop {
            let text = self.early.iter().position(|byte| !b"\r\n".contains(byte));
            if let Some(start) = text {
                self.early.drain(..start);
                return Ok(Next::Open);
            }
            self.early = Vec::new();
            if mem::replace(&mut has_read, true) {
                // Who sends nothing but empty lines keeps nobody waiting.
                return Ok(Next::Yield);
            }
            if !self.read(cx.client)? {
                return Ok(Next::Wait);
            }
        }
    }

    /// Reads once. Returns `true` if something has come.
    fn read<N: Net<Stream = S>>(&mut self, client: &mut Client<N>) -> Result<bool, End> {
        let mut bytes = [0; INBOX_BYTES];
        if !self.client_ended {
            match client.read(&mut bytes)? {
                Received::Bytes(len) => self.early.extend(&bytes[..len]),
                Received::Nothing => return Ok(false),
                Received::End => self.client_ended = true,
            }
        }
        if self.client_ended {
            return Err(End::close(Reason::Done));
        }
        Ok(true)
    }

    /// Remembers an event of the origin's connection.
    pub(super) fn mark(&mut self, event: &Event) {
        if let Some(kept) = &mut self.kept {
            kept.link.target.ready.mark(event);
        }
    }

    /// Makes the close of the origin's connection a reset.
    pub(super) fn abort_target(&mut self) {
        if let Some(kept) = &mut self.kept {
            kept.link.target.stream.abort_on_close();
        }
    }

    /// Returns `true` if there is something that it would read now.
    pub(super) fn could_move(&self, client: &Ready) -> bool {
        let kept = self.kept.as_ref();
        client.readable || kept.is_some_and(|kept| kept.link.target.ready.readable)
    }
}
