//! The connect: a race of attempts at the addresses of the destination, until the first is
//! established, and the reply for when all fail (RFC 8305).

use std::net::SocketAddr;

use super::context::Context;
use super::outcome::{End, Reason};
use super::shared::Alarm;
use crate::net::{Errno, Net, Purpose, Stream};
use crate::resolver::Answer;
use crate::state::access::{ClientKey, Origin};
use crate::state::clients::{Clients, Table};
use crate::state::peer::{Peer, Ready};
use crate::state::slots::Role;
use crate::wire::dns::{ADDRESSES_MAX, Addresses};
use crate::wire::socks::ReplyCode;

/// Attempts under way at once for one session. With a start every 250 ms the oldest has had a
/// second, time for one retransmission of its SYN, before it makes room for a fifth.
const ATTEMPTS_MAX: usize = 4;

/// The candidates of one destination and the attempts at them (RFC 8305 §5).
#[derive(Debug)]
pub(super) struct Race<S> {
    candidates: Addresses,
    origin: Origin,
    port: u16,
    /// No more come of the lookup.
    is_all: bool,
    next: usize,
    /// Oldest first.
    attempts: Vec<Attempt<S>>,
    /// How many of them beside the first are counted among those of all races.
    spare: usize,
    /// What the events of the attempts have said, all taken together: the winner may think
    /// itself readier than it is, never less ready.
    pub(super) ready: Ready,
    /// The most telling failure so far.
    failure: Option<Reason>,
}

/// A connection under way.
#[derive(Debug)]
struct Attempt<S> {
    stream: S,
    to: SocketAddr,
}

/// The attempt that is established.
#[derive(Debug)]
pub(super) struct Winner<S> {
    pub(super) target: Peer<S>,
    /// The address that it was made to, and who has given it.
    pub(super) addr: SocketAddr,
    pub(super) origin: Origin,
}

impl<S: Stream> Race<S> {
    /// A race for the first of these addresses to connect, which `origin` has given, all of them
    /// at that port. Unless that `is_all`, others [`Race::join`].
    pub(super) fn new(candidates: Addresses, origin: Origin, port: u16, is_all: bool) -> Self {
        Self {
            candidates,
            origin,
            port,
            is_all,
            next: 0,
            attempts: Vec::new(),
            spare: 0,
            ready: Ready::default(),
            failure: None,
        }
    }

    /// Looks at the attempts. Returns the one that is established, and drops the others; `None`
    /// while none is.
    ///
    /// # Errors
    /// All have failed.
    pub(super) fn turn<N: Net<Stream = S>>(
        &mut self,
        cx: &mut Context<'_, N>,
    ) -> Result<Option<Winner<S>>, End> {
        if !self.ready.writable {
            return Ok(None);
        }
        let before = self.attempts.len();
        let winner = self.poll(cx);
        if winner.is_some() {
            cx.shared.alarms.disarm(cx.client.key);
            self.release(cx);
            return Ok(winner);
        }
        self.recount(cx.client.client_key, &mut cx.shared.clients);
        if self.attempts.len() < before {
            self.advance(cx)?;
        }
        Ok(None)
    }

    /// Starts the next attempt that can be started.
    ///
    /// # Errors
    /// None is under way, none can be started, and no more addresses come.
    pub(super) fn advance<N: Net<Stream = S>>(
        &mut self,
        cx: &mut Context<'_, N>,
    ) -> Result<(), End> {
        // Bounded by the number of candidates.
        while self.attempts.is_empty()
            || cx
                .shared
                .clients
                .leaves_some(Table::SpareAttempts, cx.client.client_key)
        {
            let Some(to) = self.next_candidate() else {
                break;
            };
            match attempt(&to, self.origin, cx) {
                Ok(stream) => {
                    self.add(stream, to);
                    break;
                }
                Err(failure) => self.note(failure),
            }
        }
        self.recount(cx.client.client_key, &mut cx.shared.clients);
        if self.attempts.is_empty() && self.is_all {
            return Err(self.failure().into());
        }
        if self.has_candidate() {
            cx.shared.arm_alarm(cx.client.key, Alarm::NextAttempt);
        }
        Ok(())
    }

    /// The lookup has come to its end: what it has brought of the other family takes turns with what
    /// has not been tried yet (RFC 8305 §3).
    ///
    /// # Errors
    /// As [`Race::advance`].
    pub(super) fn join<N: Net<Stream = S>>(
        &mut self,
        rest: &Answer,
        cx: &mut Context<'_, N>,
    ) -> Result<(), End> {
        self.is_all = true;
        let waits = self.has_candidate();
        if let Answer::Found(late, servers) = rest {
            if cx.shared.origin(servers) == Origin::Foreign {
                self.origin = Origin::Foreign;
            }
            let untried = &self.candidates.as_slice()[self.next..];
            let mut candidates = Addresses::default();
            for place in 0..ADDRESSES_MAX {
                for family in [late.as_slice(), untried] {
                    if let Some(addr) = family.get(place) {
                        candidates.push(*addr);
                    }
                }
            }
            (self.candidates, self.next) = (candidates, 0);
        }
        if self.attempts.is_empty() {
            return self.advance(cx);
        }
        if self.has_candidate() && !waits {
            cx.shared.arm_alarm(cx.client.key, Alarm::NextAttempt);
        }
        Ok(())
    }

    /// Drops the attempts, and counts them no more; nor does it wait for addresses.
    pub(super) fn release<N: Net>(&mut self, cx: &mut Context<'_, N>) {
        self.attempts.clear();
        self.recount(cx.client.client_key, &mut cx.shared.clients);
        if !self.is_all {
            cx.shared.resolver.cancel(cx.client.key);
        }
    }

    /// The attempts have changed: counts those beside the first, which every session may have.
    fn recount(&mut self, client_key: ClientKey, clients: &mut Clients) {
        let spare = self.attempts.len().saturating_sub(1);
        // Bounded by the attempts of one race.
        while self.spare < spare && clients.take(Table::SpareAttempts, client_key) {
            self.spare += 1;
        }
        while self.spare > spare {
            clients.give(Table::SpareAttempts, client_key);
            self.spare -= 1;
        }
    }

    /// The next address to try.
    fn next_candidate(&mut self) -> Option<SocketAddr> {
        let addr = self.candidates.as_slice().get(self.next)?;
        self.next += 1;
        Some(SocketAddr::new(*addr, self.port))
    }

    /// Returns `true` if an address has not been tried yet.
    fn has_candidate(&self) -> bool {
        self.next < self.candidates.as_slice().len()
    }

    /// Adds an attempt, in place of the oldest where there are too many.
    fn add(&mut self, stream: S, to: SocketAddr) {
        if self.attempts.len() == ATTEMPTS_MAX {
            self.note(Reason::ConnectTimeout);
            self.attempts.remove(0);
        }
        self.attempts.push(Attempt { stream, to });
    }

    /// Drops the attempts that have failed, up to the first that is established, which is taken out
    /// and returned. (mio's steps: event, peer address, and without one the error. Who has a peer
    /// is established; what breaks it afterwards comes with an event of its own.)
    fn poll<N: Net<Stream = S>>(&mut self, cx: &mut Context<'_, N>) -> Option<Winner<S>> {
        // Each attempt has an event of its own to come, or it would not be running.
        self.ready.writable = false;
        let mut at = 0;
        while let Some(attempt) = self.attempts.get_mut(at) {
            let state = match attempt.stream.peer_addr() {
                Err(Errno::ENOTCONN) => attempt.stream.take_error().map(Err),
                state => Some(state),
            };
            match state {
                None => at += 1,
                Some(Err(error)) => {
                    let Attempt { to, .. } = self.attempts.remove(at);
                    self.note(match Reason::from(error) {
                        // The session's line sends there who wants to know more.
                        Reason::Failed => cx.refused(&to, error),
                        reason => reason,
                    });
                }
                Some(Ok(_)) => {
                    self.ready.writable = true;
                    let Attempt { stream, to } = self.attempts.remove(at);
                    let ready = self.ready;
                    let target = Peer { stream, ready };
                    return Some(Winner {
                        target,
                        addr: to,
                        origin: self.origin,
                    });
                }
            }
        }
        None
    }

    /// Remembers a failure, if it ranks higher than those before.
    pub(super) fn note(&mut self, reason: Reason) {
        // With several addresses tried, the most telling failure: 05 > 06 > 04 > 02 > 03.
        if self.failure.is_none_or(|old| rank(old) < rank(reason)) {
            self.failure = Some(reason);
        }
    }

    /// What to tell the client when everything has failed.
    pub(super) fn failure(&self) -> Reason {
        // No candidate at all: no address of a usable family.
        self.failure.unwrap_or(Reason::NetworkUnreachable)
    }
}

/// Starts one attempt, if the rules permit it.
fn attempt<N: Net>(
    to: &SocketAddr,
    origin: Origin,
    cx: &mut Context<'_, N>,
) -> Result<N::Stream, Reason> {
    cx.shared.permit(cx.client.addr(), to, origin)?;
    if !cx.shared.has_family(to.is_ipv6()) {
        return Err(Reason::NetworkUnreachable);
    }
    let token = cx.client.token(Role::Target);
    let attempt = cx.shared.net.connect(*to, Purpose::Tunnel, token);
    attempt.map_err(|error| cx.refused(to, error))
}

/// How telling a failure is, where several addresses of a name were tried.
pub(super) fn rank(reason: Reason) -> u8 {
    match reason.reply_code() {
        ReplyCode::ConnectionRefused => 5,
        ReplyCode::TtlExpired => 4,
        ReplyCode::HostUnreachable => 3,
        // The log line names the option that would permit it. A family that the router lacks is
        // no news.
        ReplyCode::NotAllowed => 2,
        ReplyCode::NetworkUnreachable => 1,
        _ => 0,
    }
}
