//! The handshake of a session: bytes in, answers out, until the request stands.

use super::client::Client;
use super::opening::{Opening, Step};
use super::outcome::{Next, Reason, Wake};
use super::shared::Shared;
use super::totals::Total;
use crate::net::Net;
use crate::state::flow::Gone;
use crate::state::handshake::{self, Dialect, Progress, Refuse, Stage};
use crate::wire::http::Status;
use crate::wire::socks::Request;

impl<N: Net> Client<N> {
    /// One step on the way to a tunnel.
    pub(super) fn open(
        &mut self,
        opening: &mut Opening<N>,
        wake: Wake<'_>,
        shared: &mut Shared<N>,
    ) -> Next {
        if !matches!(opening.step, Step::Handshake | Step::Answering)
            && let Some(reason) = self.absorb(opening)
        {
            return Next::Close(reason);
        }
        match (opening.step, wake) {
            (step, Wake::Timeout) => late(step, opening),
            (Step::Handshake, Wake::Event) => self.handshake(opening, shared),
            (Step::Resolving, Wake::Answer(_, answer)) => self.resolved(opening, answer, shared),
            (Step::Connecting, Wake::Event) => self.connecting(opening, shared),
            (Step::Connecting, Wake::Stagger) => self.advance(opening, shared),
            (Step::Binding, _) => self.bind_turn(opening, shared),
            (Step::Answering, Wake::Event) => self.answer(opening),
            _ => Next::Wait,
        }
    }

    /// Feeds what has come, and reads more, until bytes are missing.
    fn handshake(&mut self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        let client = self.record.ip();
        let mut request = Request::default();
        // Bounded: each round consumes a message of the inbox, or reads, and without bytes
        // to read it returns.
        loop {
            let bytes = opening.inbox.unread();
            if opening.stage == Stage::Greeting
                && let Some(dialect) = Dialect::of(bytes, shared.auth.protocols)
            {
                opening.dialect = dialect;
            }
            if opening.dialect == Dialect::Http {
                return self.browse(opening, shared);
            }
            let (auth, now) = (&mut shared.auth, shared.now);
            let (used, progress) =
                handshake::feed(opening.stage, bytes, client, auth, now, &mut request);
            opening.inbox.consume(used);
            let reply = match progress {
                Progress::More => match self.listen(opening) {
                    Next::Go => continue,
                    next => return next,
                },
                Progress::Reply(reply, stage) => {
                    opening.stage = stage;
                    reply
                }
                Progress::Granted(reply, user) => {
                    opening.stage = Stage::Request;
                    self.record.set_user(user);
                    reply
                }
                Progress::Done => return self.connect(opening, &request, shared),
                Progress::Refuse(refuse) => return turn_away(refuse, shared),
            };
            opening.outbox.put(&reply);
        }
    }

    /// Writes what is to be said and reads once; [`Next::Go`] where there is something new.
    fn listen(&mut self, opening: &mut Opening<N>) -> Next {
        match opening.outbox.flush(&mut self.peer) {
            Ok(true) => {}
            Ok(false) => return Next::Wait,
            Err(_) => return Next::Close(Reason::ClientReset),
        }
        heard(opening.inbox.read(&mut self.peer))
    }
}

/// What follows a read before the request stands.
pub(super) fn heard(read: Result<Option<usize>, Gone>) -> Next {
    match read {
        Ok(Some(0)) => Next::Close(Reason::ClientLeft),
        Ok(Some(_)) => Next::Go,
        Ok(None) => Next::Wait,
        Err(_) => Next::Close(Reason::ClientReset),
    }
}

/// The step takes too long.
fn late<N: Net>(step: Step, opening: &mut Opening<N>) -> Next {
    Next::Fail(match step {
        // Only HTTP has a word for it.
        Step::Handshake => {
            let reason = Reason::HandshakeTimeout;
            return match opening.dialect {
                Dialect::Http => Next::Refuse(Refuse::Status(Status::RequestTimeout), reason),
                _ => Next::Close(reason),
            };
        }
        Step::Resolving => Reason::LookupTimeout,
        // An attempt that was refused tells more than one that is still under way.
        Step::Connecting => {
            opening.race.note(Reason::ConnectTimeout);
            opening.race.failure()
        }
        Step::Binding => Reason::BindTimeout,
        Step::Answering => return Next::Close(Reason::ConnectTimeout),
    })
}

/// The bytes deserve no tunnel.
pub(super) fn turn_away<N: Net>(refuse: Refuse, shared: &mut Shared<N>) -> Next {
    let reason = match refuse {
        Refuse::Protocol => {
            shared.totals.add(Total::Garbage, 1);
            return Next::Close(Reason::Garbage);
        }
        Refuse::Method | Refuse::Status(Status::ProxyAuthenticationRequired) => Reason::NoMethod,
        Refuse::LoginVersion | Refuse::Reply(_) | Refuse::Status(_) => Reason::BadRequest,
        Refuse::Login(_) => {
            shared.totals.add(Total::LoginsRefused, 1);
            Reason::BadLogin
        }
    };
    Next::Refuse(refuse, reason)
}
