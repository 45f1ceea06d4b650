//! The life of one client, from accept to close, in one pass:
//!
//! ```text
//! Handshake   read what is there, feed, send short replies     greet.rs, web.rs for HTTP
//! Resolving   only for names                                   dial.rs
//! Connecting  candidates race, the first to stand wins         dial.rs, race.rs
//! Binding     or: a listener waits for one peer                binding.rs
//! Answering   the reply to the client, its early bytes on      relay.rs
//! Relaying    two flows, until both have ended                 relay.rs
//! Associated  or: datagrams, until the connection ends         assoc/
//!
//! Penalty     a wrong password waits                           farewell.rs
//! Refusing    a last reply, FIN, input discarded for a while   farewell.rs
//! ```
//!
//! Each phase owns what only it needs, and leaving it gives that back. [`Session::turn`] goes
//! from phase to phase until one has to wait.

mod assoc;
mod binding;
mod dial;
mod farewell;
mod greet;
mod opening;
mod race;
mod record;
mod relay;
mod shared;
mod web;

use std::mem;
use std::net::SocketAddr;

use self::assoc::Association;
use self::farewell::Farewell;
use self::opening::Opening;
use self::record::Record;
use self::relay::Relay;
use self::shared::Class;
pub use self::shared::{Reason, Shared, Totals};
use crate::net::{Event, Millis, Net, Stream};
use crate::state::access::Source;
use crate::state::flow::{Peer, Ready};
use crate::state::slots::{Key, Role, Token};
use crate::state::users::Users;

/// An idle tunnel may cost 0.4 KiB in all: this, a timer, and its places in queue and tables.
const SESSION_BYTES_MAX: usize = 320;

/// One client.
pub struct Session<N: Net> {
    key: Key,
    client: Peer<N::Stream>,
    record: Record,
    queued: bool,
    phase: Phase<N>,
}

/// What a turn says to the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An event or a timer will wake it.
    Idle,
    /// It has used up its budget and wants another turn.
    Again,
    /// It is over.
    Closed(Reason),
}

/// Where in its life a session is.
enum Phase<N: Net> {
    Handshake(Box<Opening<N::Stream>>),
    Resolving(Box<Opening<N::Stream>>),
    Connecting(Box<Opening<N::Stream>>),
    Binding(Box<Opening<N::Stream>>, N::Listener),
    Answering(Box<Opening<N::Stream>>, Peer<N::Stream>),
    Relaying(Relay<N::Stream>),
    Associated(Box<Association<N::Datagram>>),
    Penalty(Farewell),
    Refusing(Farewell),
    /// Between two phases, and behind the last.
    Over,
}

/// Where a phase leads.
enum Next<N: Net> {
    /// On with that phase at once.
    Go(Phase<N>),
    /// Stay in that phase until something happens.
    Wait(Phase<N>),
    /// Stay in that phase, but there is more to do at once.
    Yield(Phase<N>),
    /// The end; the phase still holds what has to be given back.
    Close(Phase<N>, Reason),
}

impl<N: Net> Session<N> {
    /// A session for an accepted client; `None` when the table of openings is full.
    pub fn new(
        key: Key,
        stream: N::Stream,
        addr: SocketAddr,
        shared: &mut Shared<N>,
    ) -> Option<Self> {
        const { assert!(size_of::<Self>() <= SESSION_BYTES_MAX || size_of::<N::Stream>() > 4) };
        let opening = shared.openings.take(|| Box::new(Opening::new()))?;
        let record = Record::new(addr, shared.now);
        shared.clients.enter(record.source());
        shared.timers.arm(key, Class::Handshake as u8, shared.now);
        let client = Peer {
            stream,
            ready: Ready::default(),
        };
        Some(Self {
            key,
            client,
            record,
            queued: false,
            phase: Phase::Handshake(opening),
        })
    }

    /// The client's connection, to be registered.
    pub fn client_stream(&mut self) -> &mut N::Stream {
        &mut self.client.stream
    }

    /// The client, for the limits.
    pub fn source(&self) -> Source {
        self.record.source()
    }

    /// Remembers an event. All that follows from it happens in the session's turn.
    pub fn mark(&mut self, role: Role, event: &Event) {
        match (role, &mut self.phase) {
            (Role::Client, _) => self.client.ready.mark(event),
            (_, Phase::Connecting(opening) | Phase::Binding(opening, _)) => {
                opening.race.ready.mark(event);
            }
            (_, Phase::Answering(_, target)) => target.ready.mark(event),
            (_, Phase::Relaying(relay)) => relay.mark(event),
            (role, Phase::Associated(association)) => association.mark(role, event),
            // Of an attempt that is no more.
            _ => {}
        }
    }

    /// Says that it stands in the ready queue; whether it did not before.
    pub fn queue(&mut self) -> bool {
        !mem::replace(&mut self.queued, true)
    }

    /// Does what can be done, within a budget of one buffer per direction.
    pub fn turn(&mut self, shared: &mut Shared<N>) -> Verdict {
        self.queued = false;
        if self.client.take_error().is_some() {
            // Who leaves before the refusal has still been refused.
            let reason = match &self.phase {
                Phase::Penalty(farewell) | Phase::Refusing(farewell) => farewell.reason(),
                _ => Reason::ClientReset,
            };
            return self.broken(reason);
        }
        if let Phase::Relaying(_) = self.phase {
            return self.relay(shared);
        }
        if let Phase::Associated(_) = self.phase {
            return self.relay_datagrams(shared);
        }
        let next = Next::Go(mem::replace(&mut self.phase, Phase::Over));
        self.follow(next, shared)
    }

    /// The way of data: the phase stays in its place while the flows are pumped.
    fn relay(&mut self, shared: &mut Shared<N>) -> Verdict {
        let Phase::Relaying(relay) = &mut self.phase else {
            return Verdict::Idle;
        };
        match relay.turn(self.key, &mut self.client, shared) {
            Verdict::Closed(reason @ (Reason::ClientReset | Reason::TargetReset)) => {
                self.broken(reason)
            }
            Verdict::Closed(reason) if relay.has_excess() => {
                relay.release(&mut shared.buffers);
                let farewell = Farewell::silent(reason, relay.moved());
                self.phase = Phase::Over;
                let next = self.pardon(farewell, shared);
                self.follow(next, shared)
            }
            verdict => verdict,
        }
    }

    /// Goes on from phase to phase until one has to wait. Phases only lead forwards, so this
    /// ends.
    fn follow(&mut self, mut next: Next<N>, shared: &mut Shared<N>) -> Verdict {
        loop {
            next = match next {
                Next::Go(phase @ Phase::Relaying(_)) => {
                    self.phase = phase;
                    return self.relay(shared);
                }
                Next::Go(phase @ Phase::Associated(_)) => {
                    self.phase = phase;
                    return self.relay_datagrams(shared);
                }
                Next::Go(Phase::Handshake(opening)) => self.greet(opening, shared),
                Next::Go(Phase::Resolving(opening)) => self.resolving(opening),
                Next::Go(Phase::Connecting(opening)) => self.connecting(opening, shared),
                Next::Go(Phase::Binding(opening, listener)) => {
                    self.binding(opening, listener, shared)
                }
                Next::Go(Phase::Answering(opening, target)) => self.answer(opening, target, shared),
                Next::Go(Phase::Refusing(farewell)) => self.refusing(farewell, shared),
                Next::Go(Phase::Penalty(farewell)) => self.penalty(farewell),
                Next::Go(phase @ Phase::Over) | Next::Wait(phase) => {
                    self.phase = phase;
                    return Verdict::Idle;
                }
                Next::Yield(phase) => {
                    self.phase = phase;
                    return Verdict::Again;
                }
                Next::Close(phase, reason) => {
                    self.phase = phase;
                    return match reason {
                        Reason::ClientReset | Reason::TargetReset => self.broken(reason),
                        reason => Verdict::Closed(reason),
                    };
                }
            }
        }
    }

    /// The session's timer has run out.
    pub fn expire(&mut self, shared: &mut Shared<N>) -> Verdict {
        let next = match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Handshake(opening) => self.handshake_timeout(opening, shared),
            Phase::Binding(opening, _) => self.bind_timeout(opening, shared),
            Phase::Resolving(opening) => self.lookup_timeout(opening, shared),
            Phase::Connecting(opening) => self.connect_timeout(opening, shared),
            phase @ Phase::Answering(..) => Next::Close(phase, Reason::ConnectTimeout),
            Phase::Relaying(relay) => {
                let reason = relay.timeout();
                Next::Close(Phase::Relaying(relay), reason)
            }
            phase @ Phase::Associated(_) => Next::Close(phase, Reason::IdleTimeout),
            Phase::Penalty(farewell) => self.pardon(farewell, shared),
            Phase::Refusing(farewell) => {
                let reason = farewell.reason();
                Next::Close(Phase::Refusing(farewell), reason)
            }
            Phase::Over => Next::Wait(Phase::Over),
        };
        self.follow(next, shared)
    }

    /// A connection broke: the other one is reset too, so that the abort shows.
    fn broken(&mut self, reason: Reason) -> Verdict {
        self.client.stream.abort_on_close();
        match &mut self.phase {
            Phase::Relaying(relay) => relay.abort(),
            Phase::Answering(_, target) => target.stream.abort_on_close(),
            _ => {}
        }
        Verdict::Closed(reason)
    }

    /// Gives back everything and writes the log line. The sockets close as it is dropped.
    pub fn close(mut self, reason: Reason, shared: &mut Shared<N>) {
        let moved = self.moved();
        shared.timers.disarm(self.key);
        shared.stagger.disarm(self.key);
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Resolving(opening) => {
                shared.names.cancel(self.key);
                shared.give_opening(opening, self.source());
            }
            Phase::Handshake(opening)
            | Phase::Connecting(opening)
            | Phase::Answering(opening, _) => shared.give_opening(opening, self.source()),
            Phase::Binding(opening, _) => {
                shared.end_bind(self.source());
                shared.give_opening(opening, self.source());
            }
            Phase::Relaying(mut relay) => relay.release(&mut shared.buffers),
            Phase::Associated(mut association) => self.dissociate(&mut association, shared),
            Phase::Penalty(_) | Phase::Refusing(_) | Phase::Over => {}
        }
        shared.totals.up_bytes += moved.0;
        shared.totals.down_bytes += moved.1;
        shared.clients.leave(self.source());
        self.record
            .log(self.key, moved, reason, shared.now, shared.gate.users());
    }

    /// Follows a change of the users: who the client is, by name.
    pub fn rename_user(&mut self, old: &Users, new: &Users) {
        self.record.rename_user(old, new);
    }

    /// Writes a line of the report of living sessions.
    pub fn describe(&self, now: Millis, users: &Users) {
        self.record.describe(self.key, self.moved(), now, users);
    }

    /// How many of the pool's buffers it holds.
    pub fn buffers_held(&self) -> usize {
        match &self.phase {
            Phase::Relaying(relay) => relay.buffers_held(),
            _ => 0,
        }
    }

    /// Whether it holds an entry of the table of openings.
    pub fn is_opening(&self) -> bool {
        use Phase::{Answering, Binding, Connecting, Handshake, Resolving};
        matches!(
            self.phase,
            Handshake(_) | Resolving(_) | Connecting(_) | Binding(..) | Answering(..)
        )
    }

    /// Whether it is a UDP association.
    pub fn is_associated(&self) -> bool {
        matches!(self.phase, Phase::Associated(_))
    }

    fn token(&self, role: Role) -> Token {
        Token::new(self.key, role)
    }

    /// Bytes carried, up and down.
    fn moved(&self) -> (u64, u64) {
        match &self.phase {
            Phase::Relaying(relay) => relay.moved(),
            Phase::Associated(association) => association.moved(),
            Phase::Penalty(farewell) | Phase::Refusing(farewell) => farewell.moved(),
            _ => (0, 0),
        }
    }
}
