//! Last words: an error reply that the client gets to read.
//!
//! Closing with unread input makes the kernel send a reset, which can destroy the reply before
//! the client reads it. So: reply, FIN, then discard for a while (RFC 1928 §6 asks to close
//! within ten seconds).

use std::io;
use std::mem;
use std::net::Ipv4Addr;

use super::opening::{Opening, Outbox};
use super::shared::Class;
use super::web::status;
use super::{Next, Phase, Reason, Session, Shared};
use crate::net::{Net, Stream};
use crate::state::flow::Peer;
use crate::state::handshake::{self, Dialect, Refuse};
use crate::wire::http::ANSWER_MAX;
use crate::wire::socks::REPLY_MAX;
use crate::wire::socks4;

/// How much of a refused client's input is discarded: what a pipelining client may have under
/// way. Behind that nothing is read, and the timer closes.
const DISCARD_MAX: usize = 64 * 1024;

/// A refused client's connection: what it is still to be told, and what it has sent since.
#[derive(Debug)]
pub(super) struct Farewell {
    /// What was said before and is not delivered yet.
    outbox: Outbox,
    dialect: Dialect,
    /// `None`: there is nothing more to say.
    refuse: Option<Refuse>,
    reason: Reason,
    /// How much of the last words has gone out.
    sent: usize,
    shut: bool,
    discarded: usize,
    moved: (u64, u64),
}

impl Farewell {
    /// Why the client was refused.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// Bytes that a tunnel had carried before this.
    pub(super) fn moved(&self) -> (u64, u64) {
        self.moved
    }

    /// For a client that has its answer, and may have sent more than belongs to its request.
    pub(super) fn silent(reason: Reason, moved: (u64, u64)) -> Self {
        Self {
            outbox: Outbox::default(),
            dialect: Dialect::Http,
            refuse: None,
            reason,
            sent: 0,
            shut: true,
            discarded: 0,
            moved,
        }
    }

    /// The last words, in the client's dialect. They are the same each time.
    fn words(&self, out: &mut [u8; ANSWER_MAX]) -> usize {
        let Some(refuse) = self.refuse else { return 0 };
        match self.dialect {
            Dialect::Socks5 => {
                let mut reply = [0; REPLY_MAX];
                let len = usize::from(handshake::refusal(refuse, &mut reply));
                out[..len].copy_from_slice(&reply[..len]);
                len
            }
            Dialect::Socks4 => {
                let nowhere = (Ipv4Addr::UNSPECIFIED, 0).into();
                let reply = socks4::reply(false, nowhere);
                out[..reply.len()].copy_from_slice(&reply);
                reply.len()
            }
            Dialect::Http => status(refuse, self.reason).write(&self.reason.to_string(), out),
        }
    }

    /// Says what is left to say. Whether the client has taken everything.
    fn speak<S: Stream>(&mut self, client: &mut Peer<S>) -> io::Result<bool> {
        if !self.outbox.flush(client)? {
            return Ok(false);
        }
        let mut words = [0; ANSWER_MAX];
        let len = self.words(&mut words);
        while self.sent < len {
            if !client.ready.writable {
                return Ok(false);
            }
            self.sent += client.write(&words[self.sent..len])?.unwrap_or(0);
        }
        Ok(true)
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
    ) -> Next<N> {
        shared.stagger.disarm(self.key);
        let outbox = mem::take(&mut opening.outbox);
        let dialect = opening.dialect;
        shared.give_opening(opening, self.source());
        let farewell = Farewell {
            outbox,
            dialect,
            refuse: Some(refuse),
            reason,
            sent: 0,
            shut: false,
            discarded: 0,
            moved: (0, 0),
        };
        if let Refuse::Login(step) = refuse {
            let class = Class::Penalty as u8 + step;
            shared.timers.arm(self.key, class, shared.now);
            return Next::Go(Phase::Penalty(farewell));
        }
        self.pardon(farewell, shared)
    }

    /// The penalty waits for its timer; what was said before it may still have to go out.
    pub(super) fn penalty(&mut self, mut farewell: Farewell) -> Next<N> {
        let reason = farewell.reason;
        match farewell.outbox.flush(&mut self.client) {
            Ok(_) => Next::Wait(Phase::Penalty(farewell)),
            Err(_) => Next::Close(Phase::Over, reason),
        }
    }

    /// Nothing holds back the last words any more, if there are any.
    pub(super) fn pardon(&self, farewell: Farewell, shared: &mut Shared<N>) -> Next<N> {
        shared.timers.arm(self.key, Class::Linger as u8, shared.now);
        Next::Go(Phase::Refusing(farewell))
    }

    /// Says what is left to say, then discards until the client has closed too.
    pub(super) fn refusing(&mut self, mut farewell: Farewell, shared: &mut Shared<N>) -> Next<N> {
        let reason = farewell.reason;
        match farewell.speak(&mut self.client) {
            Ok(true) => {}
            Ok(false) => return Next::Wait(Phase::Refusing(farewell)),
            Err(_) => return Next::Close(Phase::Refusing(farewell), reason),
        }
        if !farewell.shut {
            farewell.shut = true;
            if self.client.stream.shutdown_write().is_err() {
                return Next::Close(Phase::Refusing(farewell), reason);
            }
        }
        while self.client.ready.readable {
            if farewell.discarded >= DISCARD_MAX {
                break;
            }
            match self.client.read(shared.buffers.scratch()) {
                Ok(Some(0)) | Err(_) => return Next::Close(Phase::Refusing(farewell), reason),
                Ok(len) => farewell.discarded += len.unwrap_or(0),
            }
        }
        Next::Wait(Phase::Refusing(farewell))
    }
}
