//! From a request to a connection: names, rules, and the race of attempts (RFC 8305).

use std::net::{IpAddr, SocketAddr};

use log::debug;

use super::opening::Opening;
use super::race::Heat;
use super::shared::STAGGER;
use super::{Next, Phase, Reason, Session, Shared, Verdict};
use crate::net::{Net, Purpose, Stream};
use crate::state::flow::Peer;
use crate::state::handshake::Refuse;
use crate::state::resolver::{Addresses, Answer};
use crate::state::slots::Role;
use crate::wire::http::Status;
use crate::wire::socks::{Address, Command, Request};

impl<N: Net> Session<N> {
    /// Starts on the way to the destination: the race for an address, a lookup for a name.
    pub(super) fn dial(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        if request.command == Command::UdpAssociate {
            return self.associate(opening, request, shared);
        }
        opening.command = request.command;
        opening.race.set_port(request.port);
        match &request.address {
            Address::Ip(addr) => {
                let mut addresses = Addresses::default();
                addresses.push(*addr);
                opening.race.enter(addresses);
                self.set_out(opening, shared)
            }
            Address::Name(name) => {
                let source = self.record.source();
                if !shared.names.start(self.key, source, name.as_bytes()) {
                    return self.fail(opening, Reason::Failed, shared);
                }
                Next::Go(Phase::Resolving(opening))
            }
        }
    }

    /// The destination's addresses are known.
    fn set_out(&self, opening: Box<Opening<N::Stream>>, shared: &mut Shared<N>) -> Next<N> {
        match opening.command {
            Command::Bind => self.bind(opening, shared),
            _ => self.advance(opening, shared),
        }
    }

    /// The lookup of name `number` has come to its end; a tunnel has only one.
    pub fn resolved(&mut self, number: u8, answer: &Answer, shared: &mut Shared<N>) -> Verdict {
        if self.is_associated() {
            self.name_resolved(number, answer, shared);
            return Verdict::Idle;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let Phase::Resolving(mut opening) = phase else {
            self.phase = phase;
            return Verdict::Idle;
        };
        let next = match answer {
            Answer::Found(addresses) => {
                opening.race.enter(*addresses);
                self.set_out(opening, shared)
            }
            Answer::NoSuchName | Answer::Failed => self.fail(opening, Reason::NoSuchName, shared),
            Answer::TimedOut => self.fail(opening, Reason::LookupTimeout, shared),
        };
        self.follow(next, shared)
    }

    /// It is time for the next attempt of the race, whatever the others do.
    pub fn stagger(&mut self, shared: &mut Shared<N>) -> Verdict {
        if self.is_associated() {
            self.reopen_port();
            return Verdict::Idle;
        }
        let phase = std::mem::replace(&mut self.phase, Phase::Over);
        let next = match phase {
            Phase::Connecting(opening) => self.advance(opening, shared),
            phase @ Phase::Binding(..) => Next::Go(phase),
            phase => Next::Wait(phase),
        };
        self.follow(next, shared)
    }

    /// A lookup is under way: only the client has something to say.
    pub(super) fn resolving(&mut self, mut opening: Box<Opening<N::Stream>>) -> Next<N> {
        match self.absorb(&mut opening) {
            Some(reason) => Next::Close(Phase::Resolving(opening), reason),
            None => Next::Wait(Phase::Resolving(opening)),
        }
    }

    /// Nobody has answered the lookup within the connect timeout.
    pub(super) fn lookup_timeout(
        &self,
        opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        shared.names.cancel(self.key);
        self.fail(opening, Reason::LookupTimeout, shared)
    }

    /// Time is up with an attempt still under way; one that was refused tells more.
    pub(super) fn connect_timeout(
        &self,
        mut opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        opening.race.note(Reason::ConnectTimeout);
        let reason = opening.race.failure();
        self.fail(opening, reason, shared)
    }

    /// Looks at the attempts.
    pub(super) fn connecting(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        if let Some(reason) = self.absorb(&mut opening) {
            return Next::Close(Phase::Connecting(opening), reason);
        }
        if !opening.race.ready.writable {
            return Next::Wait(Phase::Connecting(opening));
        }
        let before = opening.race.spare();
        let heat = opening.race.poll();
        shared.recount(before, opening.race.spare());
        match heat {
            Heat::Won(stream, to) => self.connected(opening, stream, to, shared),
            Heat::Failed => self.advance(opening, shared),
            Heat::Running => Next::Wait(Phase::Connecting(opening)),
        }
    }

    /// Reads what the client sends early. A reason: it has given up. Its end of stream with
    /// nothing sent means that nobody waits any more; behind payload it is a half-close.
    pub(super) fn absorb(&mut self, opening: &mut Opening<N::Stream>) -> Option<Reason> {
        while !opening.client_ended {
            match opening.inbox.read(&mut self.client) {
                Ok(None) => return None,
                Ok(Some(0)) => opening.client_ended = true,
                Ok(Some(_)) => {}
                Err(_) => return Some(Reason::ClientReset),
            }
        }
        let nothing_sent = opening.early().is_empty();
        nothing_sent.then_some(Reason::ClientLeft)
    }

    /// Starts the next attempt that can be started.
    fn advance(&self, mut opening: Box<Opening<N::Stream>>, shared: &mut Shared<N>) -> Next<N> {
        let before = opening.race.spare();
        // Bounded by the number of candidates.
        while !opening.race.is_running() || shared.can_race() {
            let Some(to) = opening.race.next_candidate() else {
                break;
            };
            match self.attempt(to, shared) {
                Ok(stream) => {
                    opening.race.add(stream, to);
                    break;
                }
                Err(failure) => opening.race.note(failure),
            }
        }
        shared.recount(before, opening.race.spare());
        if !opening.race.is_running() {
            let failure = opening.race.failure();
            return self.fail(opening, failure, shared);
        }
        if opening.race.has_candidate() {
            shared.stagger.arm(self.key, STAGGER, shared.now);
        }
        Next::Wait(Phase::Connecting(opening))
    }

    /// Starts one attempt, if the rules permit it.
    fn attempt(&self, to: SocketAddr, shared: &mut Shared<N>) -> Result<N::Stream, Reason> {
        let client = self.record.client();
        if let Err(refusal) = shared.gate.access.permits(client.ip(), to) {
            shared.totals.refused[refusal.index()] += 1;
            return Err(Reason::NotAllowed(refusal));
        }
        let usable = match to.ip() {
            IpAddr::V4(_) => shared.families.v4,
            IpAddr::V6(_) => shared.families.v6,
        };
        if !usable {
            return Err(Reason::NetworkUnreachable);
        }
        let token = self.token(Role::Target);
        shared
            .net
            .connect(to, Purpose::Tunnel, token)
            .map_err(|error| {
                debug!(target: "anklet", "{client} -> {to}: {error}");
                Reason::from(&error)
            })
    }

    /// One attempt stands; the others are dropped with the race.
    fn connected(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        stream: N::Stream,
        to: SocketAddr,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        shared.stagger.disarm(self.key);
        self.record.set_reached(to);
        let Ok(bound) = stream.local_addr() else {
            return self.fail(opening, Reason::Failed, shared);
        };
        if opening.measure().is_err() {
            let refuse = Refuse::Status(Status::BadRequest);
            return self.refuse(opening, refuse, Reason::BadRequest, shared);
        }
        opening.answer(bound);
        let target = Peer {
            stream,
            ready: opening.race.ready,
        };
        shared.recount(opening.race.spare(), 0);
        opening.race.end();
        Next::Go(Phase::Answering(opening, target))
    }

    /// The request cannot be served; the reply says why.
    pub(super) fn fail(
        &self,
        opening: Box<Opening<N::Stream>>,
        reason: Reason,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        let refuse = Refuse::Reply(reason.reply_code());
        self.refuse(opening, refuse, reason, shared)
    }
}
