//! The reply: the client gets what `Outbox::grant` has put there for it, and the target what the
//! client has sent behind the request.

use super::association::Association;
use super::client::{Client, Outbox};
use super::forward::Forward;
use super::inbox::Inbox;
use super::outcome::{End, Next, Reason};
use crate::net::Net;
use crate::state::peer::{Gone, Peer};

/// What was reached, and is to be replied.
pub(super) enum Reply<N: Net> {
    /// The other end of a tunnel.
    Tunnel {
        target: Peer<N::Stream>,
        /// Bytes of the client's input that went to it.
        early_bytes: u64,
    },
    /// The origin of a forwarded request: the answer is the reply.
    Exchange(Box<Forward<N::Stream>>),
    /// An association: it sends its reply itself.
    Association(Box<Association<N::UdpSocket>>),
}

impl<N: Net> Reply<N> {
    /// Writes the reply, and the early bytes. The tunnel is established when all have gone.
    pub(super) fn turn(
        &mut self,
        inbox: &mut Inbox,
        outbox: &mut Outbox,
        client: &mut Client<N>,
    ) -> Result<Next, End> {
        let (target, early_bytes) = match self {
            Self::Tunnel {
                target,
                early_bytes,
            } => (target, early_bytes),
            Self::Exchange(_) | Self::Association(_) => return Ok(Next::Established),
        };
        if target.is_broken() {
            return Err(End::close(Reason::TargetReset));
        }
        let is_told = outbox.flush(client)?;
        while !inbox.unread().is_empty() {
            if !target.ready.writable {
                return Ok(Next::Wait);
            }
            let written = target.write(inbox.unread());
            let len = written.map_err(|Gone| End::close(Reason::TargetReset))?;
            let len = len.unwrap_or(0);
            inbox.consume(len);
            *early_bytes += len as u64;
        }
        Ok(if is_told {
            Next::Established
        } else {
            Next::Wait
        })
    }
}
