//! Last words: an error reply that the client gets to read.
//!
//! Closing with unread input makes the kernel send a reset, which can destroy the reply before
//! the client reads it. So: reply, FIN, then discard for a while (RFC 1928 §6 asks to close
//! within ten seconds).

use std::mem;

use super::opening::{Opening, Outbox};
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
    /// Begins with what was said before and is not delivered yet.
    outbox: Outbox,
    refuse: Refuse,
    reason: Reason,
    shut: bool,
    discarded: usize,
}

impl Farewell {
    /// Why the client was refused.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// Adds the refusal itself to what is to be said.
    fn speak(&mut self) {
        let mut reply = [0; REPLY_MAX];
        let len = handshake::refusal(self.refuse, &mut reply);
        self.outbox.put(&reply[..usize::from(len)]);
    }
}

impl<N: Net> Session<N> {
    /// Gives the opening back and says farewell, after a penalty where a password was wrong.
    pub(super) fn refuse(
        &self,
        mut opening: Box<Opening<N::Stream>>,
        refuse: Refuse,
        reason: Reason,
        shared: &mut Shared<N>,
    ) -> Next<N::Stream> {
        shared.stagger.disarm(self.key);
        let outbox = mem::take(&mut opening.outbox);
        shared.give_opening(opening, self.source());
        let farewell = Farewell {
            outbox,
            refuse,
            reason,
            shut: false,
            discarded: 0,
        };
        if let Refuse::Login(step) = refuse {
            let class = Class::Penalty as u8 + step;
            shared.timers.arm(self.key, class, shared.now);
            return Next::Go(Phase::Penalty(farewell));
        }
        self.pardon(farewell, shared)
    }

    /// The penalty waits for its timer; what was said before it may still have to go out.
    pub(super) fn penalty(&mut self, mut farewell: Farewell) -> Next<N::Stream> {
        let reason = farewell.reason;
        match farewell.outbox.flush(&mut self.client) {
            Ok(_) => Next::Wait(Phase::Penalty(farewell)),
            Err(_) => Next::Close(Phase::Over, reason),
        }
    }

    /// Nothing holds back the refusal any more.
    pub(super) fn pardon(&self, mut farewell: Farewell, shared: &mut Shared<N>) -> Next<N::Stream> {
        farewell.speak();
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
        match farewell.outbox.flush(&mut self.client) {
            Ok(true) => {}
            Ok(false) => return Next::Wait(Phase::Refusing(farewell)),
            Err(_) => return Next::Close(Phase::Over, reason),
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
