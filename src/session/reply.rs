//! The reply: the client hears that its request is granted, and the target gets what the client
//! has sent behind the request.

use super::association::Association;
use super::client::{Client, Outbox};
use super::http::HttpRequest;
use super::inbox::Inbox;
use super::outcome::{End, Next, Reason};
use crate::net::Net;
use crate::state::peer::{Gone, Peer};

/// What the target is to get first: a forwarded request, then what came behind the handshake.
pub(super) struct Early<'a> {
    pub(super) http: &'a mut Option<Box<HttpRequest>>,
    pub(super) inbox: &'a mut Inbox,
}

impl Early<'_> {
    /// The next bytes for the target.
    pub(super) fn unread(&self) -> &[u8] {
        let http = self.http.as_ref().map(|http| http.unread());
        http.filter(|bytes| !bytes.is_empty())
            .unwrap_or_else(|| self.inbox.unread())
    }

    /// The target has taken `len` bytes of [`Early::unread`].
    fn consume(&mut self, len: usize) {
        match self.http {
            Some(http) if !http.unread().is_empty() => http.consume(len),
            Some(_) | None => self.inbox.consume(len),
        }
    }
}

/// What was reached, and is to be replied.
pub(super) enum Reply<N: Net> {
    /// The other end of a tunnel.
    Tunnel {
        target: Peer<N::Stream>,
        /// Bytes of the client's input that went to it.
        early_bytes: u64,
    },
    /// An association: it sends its reply itself.
    Association(Box<Association<N::UdpSocket>>),
}

impl<N: Net> Reply<N> {
    /// Writes the reply, and the early bytes. The tunnel is established when all have gone.
    pub(super) fn turn(
        &mut self,
        early: &mut Early<'_>,
        outbox: &mut Outbox,
        client: &mut Client<N>,
    ) -> Result<Next, End> {
        let (target, early_bytes) = match self {
            Self::Tunnel {
                target,
                early_bytes,
            } => (target, early_bytes),
            Self::Association(_) => return Ok(Next::Established),
        };
        if target.is_broken() {
            return Err(End::close(Reason::TargetReset));
        }
        let is_told = outbox.flush(client)?;
        while !early.unread().is_empty() {
            if !target.ready.writable {
                return Ok(Next::Wait);
            }
            let written = target.write(early.unread());
            let len = written.map_err(|Gone| End::close(Reason::TargetReset))?;
            let len = len.unwrap_or(0);
            early.consume(len);
            *early_bytes += len as u64;
        }
        Ok(if is_told {
            Next::Established
        } else {
            Next::Wait
        })
    }
}
