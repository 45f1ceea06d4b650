//! From a request to a connection: names, rules, and the race of attempts (RFC 8305).

use std::net::SocketAddr;

use super::client::Client;
use super::opening::{Opening, Step};
use super::outcome::{Next, Reason, refused};
use super::race::Attempt;
use super::shared::{Class, STAGGER, Shared};
use crate::net::{Net, Purpose, Stream};
use crate::state::handshake::Refuse;
use crate::state::resolver::Answer;
use crate::state::slots::Role;
use crate::wire::http::Status;
use crate::wire::socks::{Address, Command, Request};

impl<N: Net> Client<N> {
    /// Starts on the way to the destination: the race for an address, a lookup for a name.
    pub(super) fn connect(
        &mut self,
        opening: &mut Opening<N>,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Next {
        self.record.set_asked(request);
        // The method shows as accepted before the target is known to answer.
        if opening.outbox.flush(&mut self.peer).is_err() {
            return Next::Close(Reason::ClientReset);
        }
        shared.arm(self.key, Class::Connect);
        if request.command == Command::UdpAssociate {
            return self.associate(opening, request, shared);
        }
        opening.command = request.command;
        opening.race.set_port(request.port);
        match &request.address {
            Address::Ip(addr) => {
                opening.race.enter_one(*addr);
                self.set_out(opening, shared)
            }
            Address::Name(name) => {
                opening.step = Step::Resolving;
                match shared
                    .names
                    .start(self.key, self.client_key(), name.as_bytes())
                {
                    true => Next::Go,
                    false => Next::Fail(Reason::Failed),
                }
            }
        }
    }

    /// The destination's addresses are known.
    fn set_out(&self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        if opening.command != Command::Bind {
            return self.advance(opening, shared);
        }
        match self.bind(opening, shared) {
            Ok(()) => Next::Go,
            Err(reason) => Next::Fail(reason),
        }
    }

    /// The lookup has come to its end.
    pub(super) fn resolved(
        &self,
        opening: &mut Opening<N>,
        answer: &Answer,
        shared: &mut Shared<N>,
    ) -> Next {
        match answer {
            Answer::Found(addresses) => {
                opening.race.enter(*addresses);
                self.set_out(opening, shared)
            }
            Answer::NoSuchName | Answer::Failed => Next::Fail(Reason::NoSuchName),
            Answer::TimedOut => Next::Fail(Reason::LookupTimeout),
        }
    }

    /// Looks at the attempts.
    pub(super) fn connecting(&mut self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        if !opening.race.ready.writable {
            return Next::Wait;
        }
        let before = opening.race.running();
        let winner = opening.race.poll();
        shared.recount(&mut opening.race);
        match winner {
            Some(winner) => self.connected(opening, winner, shared),
            None if opening.race.running() < before => self.advance(opening, shared),
            None => Next::Wait,
        }
    }

    /// Reads what the client sends early. A reason: it has given up. Its end of stream with
    /// nothing sent means that nobody waits any more; behind payload it is a half-close.
    pub(super) fn absorb(&mut self, opening: &mut Opening<N>) -> Option<Reason> {
        while !opening.client_ended {
            match opening.inbox.read(&mut self.peer) {
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
    pub(super) fn advance(&self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        let race = &mut opening.race;
        opening.step = Step::Connecting;
        // Bounded by the number of candidates.
        while race.running() == 0 || shared.can_race() {
            let Some(to) = race.next_candidate() else {
                break;
            };
            match self.attempt(&to, shared) {
                Ok(stream) => {
                    race.add(stream, to);
                    break;
                }
                Err(failure) => race.note(failure),
            }
        }
        shared.recount(race);
        if race.running() == 0 {
            return Next::Fail(race.failure());
        }
        if race.has_candidate() {
            shared.stagger.arm(self.key, STAGGER, shared.now);
        }
        // What came along with the request may end in the client's end of stream, and no event
        // of it follows.
        Next::Go
    }

    /// Starts one attempt, if the rules permit it.
    fn attempt(&self, to: &SocketAddr, shared: &mut Shared<N>) -> Result<N::Stream, Reason> {
        let client = self.record.client();
        shared.permit(client, to)?;
        if !shared.has_family(to.is_ipv6()) {
            return Err(Reason::NetworkUnreachable);
        }
        let token = self.token(Role::Target);
        let attempt = shared.net.connect(*to, Purpose::Tunnel, token);
        attempt.map_err(|error| refused(client, to, error))
    }

    /// One attempt stands; the others are dropped.
    fn connected(
        &mut self,
        opening: &mut Opening<N>,
        winner: Attempt<N::Stream>,
        shared: &mut Shared<N>,
    ) -> Next {
        self.record.set_reached(winner.to);
        let Ok(bound) = winner.stream.local_addr() else {
            return Next::Fail(Reason::Failed);
        };
        if opening.measure().is_err() {
            return Next::Refuse(Refuse::Status(Status::BadRequest), Reason::BadRequest);
        }
        opening.race.end();
        shared.recount(&mut opening.race);
        opening.reach(winner.stream, opening.race.ready, &bound)
    }
}
