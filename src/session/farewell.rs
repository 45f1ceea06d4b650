//! Last words: an error reply that the client gets to read.
//!
//! Closing with unread input makes the kernel send a reset, which can destroy the reply before
//! the client reads it. So: reply, FIN, then discard for a while (RFC 1928 §6 asks to close
//! within ten seconds).

use super::opening::Opening;
use super::shared::Class;
use super::{Next, Phase, Reason, Session, Shared};
use crate::net::{Net, Stream};
use crate::state::handshake::{self, Refuse};
use crate::wire::socks::REPLY_MAX;

/// How much of a refused client's input is discarded before it is closed all the same: what a
/// pipelining client may have under way.
const DISCARD_MAX: usize = 64 * 1024;

/// A refused client's connection: what it is still to be told, and what it has sent since.
#[derive(Debug)]
pub(super) struct Farewell {
    reply: [u8; REPLY_MAX],
    len: u8,
    sent: usize,
    shut: bool,
    discarded: usize,
    reason: Reason,
}

impl Farewell {
    /// Why the client was refused.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    fn unsent(&self) -> &[u8] {
        &self.reply[self.sent..usize::from(self.len)]
    }
}

impl<N: Net> Session<N> {
    /// Gives the opening back and says farewell, after a penalty where a password was wrong.
    pub(super) fn refuse(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        refuse: Refuse,
        reason: Reason,
        shared: &mut Shared<N>,
    ) -> Next<N::Stream> {
        shared.stagger.disarm(self.key);
        let flushed = opening.outbox.flush(&mut self.client);
        shared.give_opening(opening, self.source());
        if !matches!(flushed, Ok(true)) {
            // Not even the short answers before this one could be delivered.
            return Next::Close(Phase::Over, reason);
        }
        let mut reply = [0; REPLY_MAX];
        let len = handshake::refusal(refuse, &mut reply);
        let farewell = Farewell {
            reply,
            len,
            sent: 0,
            shut: false,
            discarded: 0,
            reason,
        };
        if let Refuse::Login(step) = refuse {
            shared
                .timers
                .arm(self.key, Class::Penalty as u8 + step, shared.now);
            return Next::Wait(Phase::Penalty(farewell));
        }
        shared.timers.arm(self.key, Class::Linger as u8, shared.now);
        Next::Go(Phase::Refusing(farewell))
    }

    /// The penalty is over.
    pub(super) fn pardon(&self, farewell: Farewell, shared: &mut Shared<N>) -> Next<N::Stream> {
        shared.timers.arm(self.key, Class::Linger as u8, shared.now);
        Next::Go(Phase::Refusing(farewell))
    }

    /// Says what is left to say, then discards until the client has closed too.
    pub(super) fn refusing(
        &mut self,
        mut farewell: Farewell,
        shared: &mut Shared<N>,
    ) -> Next<N::Stream> {
        let reason = farewell.reason;
        while !farewell.unsent().is_empty() {
            if !self.client.ready.writable {
                return Next::Wait(Phase::Refusing(farewell));
            }
            match self.client.write(farewell.unsent()) {
                Ok(sent) => farewell.sent += sent.unwrap_or(0),
                Err(_) => return Next::Close(Phase::Over, reason),
            }
        }
        if !farewell.shut {
            farewell.shut = true;
            if self.client.stream.shutdown_write().is_err() {
                return Next::Close(Phase::Over, reason);
            }
        }
        while self.client.ready.readable {
            if farewell.discarded >= DISCARD_MAX {
                return Next::Close(Phase::Over, reason);
            }
            match self.client.read(shared.buffers.scratch()) {
                Ok(Some(0)) | Err(_) => return Next::Close(Phase::Over, reason),
                Ok(len) => farewell.discarded += len.unwrap_or(0),
            }
        }
        Next::Wait(Phase::Refusing(farewell))
    }
}
