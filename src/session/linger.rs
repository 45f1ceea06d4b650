//! Last words: an error reply that the client gets to read.
//!
//! Closing with unread input makes the kernel send a reset, which can destroy the reply before
//! the client reads it. So: reply, FIN, then discard for a while (RFC 1928 §6 asks to close
//! within ten seconds). The same behind an answer that is complete, where the client has more
//! to say than anybody hears.

use std::mem;
use std::net::Ipv4Addr;

use super::client::{Client, Outbox};
use super::http::status;
use super::outcome::{Next, Reason, Wake};
use super::shared::{Class, Shared};
use super::{Phase, Session};
use crate::net::{Net, Stream};
use crate::state::flow::{Gone, Peer};
use crate::state::handshake::{self, Dialect, Refuse};
use crate::state::pool::Buffers;
use crate::wire::http::ANSWER_MAX;
use crate::wire::socks::REPLY_MAX;
use crate::wire::socks4;

/// How much of a refused client's input is discarded: what a pipelining client may have under
/// way. Behind that nothing is read, and the timer closes.
const DISCARD_MAX: usize = 64 * 1024;

/// A client's connection that leads nowhere (any more): what it is still to be told, and what it
/// has sent since.
#[derive(Debug)]
pub(super) struct Linger {
    /// What was said before and is not delivered yet.
    outbox: Outbox,
    dialect: Dialect,
    /// `None`: there is nothing more to say.
    refuse: Option<Refuse>,
    reason: Reason,
    /// The penalty is not over: the last words have to wait.
    waits: bool,
    /// How much of the last words has gone out.
    sent: usize,
    shut: bool,
    discarded: usize,
    moved: (u64, u64),
}

impl Linger {
    /// Why the client was refused, or its tunnel has ended.
    pub(super) fn reason(&self) -> Reason {
        self.reason
    }

    /// Bytes that a tunnel had carried before this.
    pub(super) fn moved(&self) -> (u64, u64) {
        self.moved
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

    /// Says what is left to say, once that may be said. Whether the client has taken everything.
    fn speak<S: Stream>(&mut self, client: &mut Peer<S>) -> Result<bool, Gone> {
        if !self.outbox.flush(client)? || self.waits {
            return Ok(false);
        }
        let mut words = [0; ANSWER_MAX];
        let len = self.words(&mut words);
        client.send(&words[..len], &mut self.sent)
    }

    /// Says what is left to say, then discards until the client has closed too. Nothing but an
    /// event is waited for after [`Next::Wait`].
    pub(super) fn turn<N: Net>(
        &mut self,
        wake: Wake<'_>,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Next {
        if let Wake::Timeout = wake {
            if !mem::take(&mut self.waits) {
                return Next::Close(self.reason);
            }
            shared.arm(client.key, Class::Linger);
        }
        match self.part(&mut client.peer, &mut shared.buffers) {
            Ok(()) => Next::Wait,
            Err(Gone) => Next::Close(self.reason),
        }
    }

    /// As far as that is possible now. An error: the client has gone.
    fn part<S: Stream>(&mut self, client: &mut Peer<S>, buffers: &mut Buffers) -> Result<(), Gone> {
        if !self.speak(client)? {
            return Ok(());
        }
        if !mem::replace(&mut self.shut, true) {
            client.stream.shutdown_write().map_err(|_| Gone)?;
        }
        while client.ready.readable && self.discarded < DISCARD_MAX {
            match client.read(buffers.scratch())? {
                Some(0) => return Err(Gone),
                len => self.discarded += len.unwrap_or(0),
            }
        }
        Ok(())
    }
}

impl<N: Net> Session<N> {
    /// Gives back what the session holds and lingers, after a penalty where a password
    /// was wrong. Without `refuse` the client has its answer, and has not to be told the end.
    pub(super) fn refuse(
        &mut self,
        refuse: Option<Refuse>,
        reason: Reason,
        shared: &mut Shared<N>,
    ) {
        let mut linger = Linger {
            outbox: Outbox::new(),
            dialect: Dialect::Http,
            refuse,
            reason,
            waits: false,
            sent: 0,
            shut: refuse.is_none(),
            discarded: 0,
            moved: self.moved(),
        };
        if let Phase::Opening(opening) = &self.phase {
            (linger.outbox, linger.dialect) = (opening.outbox, opening.dialect);
        }
        let mut class = Class::Linger as u8;
        if let Some(Refuse::Login(step)) = refuse {
            linger.waits = true;
            class = Class::Penalty as u8 + step;
        }
        self.enter(Phase::Lingering(linger), shared);
        shared.timers.arm(self.client.key, class, shared.now);
    }
}
