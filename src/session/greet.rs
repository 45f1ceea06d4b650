//! The handshake of a session: bytes in, answers out, until the request stands.

use super::opening::Opening;
use super::shared::Class;
use super::{Next, Phase, Reason, Session, Shared};
use crate::net::Net;
use crate::state::handshake::{self, Dialect, Progress, Refuse, Stage};
use crate::wire::http::Status;

impl<N: Net> Session<N> {
    /// Feeds what has come, and reads more, until bytes are missing.
    pub(super) fn greet(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        let client = self.record.client().ip();
        // Bounded: each round consumes a message of the inbox, or reads, and without bytes
        // to read it returns.
        loop {
            let bytes = opening.inbox.unread();
            if opening.stage == Stage::Greeting
                && let Some(dialect) = Dialect::of(bytes, shared.gate.protocols)
            {
                opening.dialect = dialect;
            }
            if opening.dialect == Dialect::Http {
                return self.browse(opening, shared);
            }
            let (used, progress) =
                handshake::feed(opening.stage, bytes, client, &mut shared.gate, shared.now);
            opening.inbox.consume(used);
            match progress {
                Progress::More => match self.listen(&mut opening) {
                    Ok(true) => {}
                    Ok(false) => return Next::Wait(Phase::Handshake(opening)),
                    Err(reason) => return Next::Close(Phase::Handshake(opening), reason),
                },
                Progress::Reply(reply, stage) => {
                    opening.outbox.put(&reply);
                    opening.stage = stage;
                }
                Progress::Granted(reply, user) => {
                    opening.outbox.put(&reply);
                    opening.stage = Stage::Request;
                    self.record.set_user(user);
                }
                Progress::Done(request) => {
                    self.record.set_asked(&request);
                    // The method shows as accepted before the target is known to answer.
                    if opening.outbox.flush(&mut self.client).is_err() {
                        return Next::Close(Phase::Handshake(opening), Reason::ClientReset);
                    }
                    shared
                        .timers
                        .arm(self.key, Class::Connect as u8, shared.now);
                    return self.dial(opening, &request, shared);
                }
                Progress::Refuse(refuse) => return self.turn_away(opening, refuse, shared),
            }
        }
    }

    /// Writes what is to be said and reads once. Whether there is something new to look at.
    fn listen(&mut self, opening: &mut Opening<N::Stream>) -> Result<bool, Reason> {
        let flushed = opening.outbox.flush(&mut self.client);
        if !flushed.map_err(|_| Reason::ClientReset)? {
            return Ok(false);
        }
        match opening.inbox.read(&mut self.client) {
            Ok(Some(0)) => Err(Reason::ClientLeft),
            Ok(read) => Ok(read.is_some()),
            Err(_) => Err(Reason::ClientReset),
        }
    }

    /// The handshake takes too long. Only HTTP has a word for it.
    pub(super) fn handshake_timeout(
        &self,
        opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        if opening.dialect != Dialect::Http {
            return Next::Close(Phase::Handshake(opening), Reason::HandshakeTimeout);
        }
        let refuse = Refuse::Status(Status::RequestTimeout);
        self.refuse(opening, refuse, Reason::HandshakeTimeout, shared)
    }

    /// The bytes deserve no tunnel.
    pub(super) fn turn_away(
        &self,
        opening: Box<Opening<N::Stream>>,
        refuse: Refuse,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        let reason = match refuse {
            Refuse::Protocol => {
                shared.totals.garbage += 1;
                return Next::Close(Phase::Handshake(opening), Reason::Garbage);
            }
            Refuse::Method => Reason::NoMethod,
            Refuse::Status(Status::ProxyAuthenticationRequired) => Reason::NoMethod,
            Refuse::LoginVersion | Refuse::Reply(_) | Refuse::Status(_) => Reason::BadRequest,
            Refuse::Login(_) => {
                shared.totals.logins_refused += 1;
                Reason::BadLogin
            }
        };
        self.refuse(opening, refuse, reason, shared)
    }
}
