//! The life of one client, from accept to close, in one pass:
//!
//! ```text
//! Opening     Handshake    read what is there, feed, answer      handshake.rs, http.rs for HTTP
//!             Resolving    only for names                        connect.rs
//!             Connecting   candidates race, the first wins       connect.rs, race.rs
//!             Binding      or: a listener waits for one peer     bind.rs
//!             Answering    the reply, and early bytes on         relay.rs
//! Relaying    two flows, until both have ended                   relay.rs
//! Associated  or: datagrams, until the connection ends           association/
//! Lingering   a last reply, FIN, input discarded for a while;
//!             after a wrong password the penalty comes first     linger.rs
//! ```
//!
//! Each phase owns what only it needs, and stays in its place while it is worked on. A step says
//! what comes [`Next`]; [`Session::turn`] goes on from step to step until one has to wait, and
//! [`Session::enter`] gives back what a phase held.

mod association;
mod bind;
mod client;
mod connect;
mod handshake;
mod http;
mod linger;
mod opening;
mod outcome;
mod race;
mod record;
mod relay;
mod shared;
mod totals;

use std::mem;
use std::net::SocketAddr;

use self::association::Association;
use self::client::Client;
use self::linger::Linger;
use self::opening::Opening;
use self::outcome::Next;
pub use self::outcome::{Reason, Verdict, Wake};
use self::record::Record;
use self::relay::Relay;
use self::shared::Class;
pub use self::shared::Shared;
pub use self::totals::{Total, Totals};
use crate::net::{Event, Millis, Net, Stream};
use crate::state::flow::{Peer, Ready};
use crate::state::handshake::Refuse;
use crate::state::slots::{Key, Role};
use crate::state::users::Users;

/// An idle tunnel may cost 0.4 KiB in all: this, a timer, and its places in queue and tables.
const SESSION_BYTES_MAX: usize = 320;

/// One client's session.
pub struct Session<N: Net> {
    client: Client<N>,
    queued: bool,
    phase: Phase<N>,
}

/// Where in its life a session is.
enum Phase<N: Net> {
    Opening(Box<Opening<N>>),
    Relaying(Relay<N::Stream>),
    Associated(Box<Association<N::UdpSocket>>),
    Lingering(Linger),
    Over,
}

impl<N: Net> Session<N> {
    /// A session for an accepted client, which has entered the list of clients.
    pub fn new(key: Key, stream: N::Stream, addr: SocketAddr, shared: &mut Shared<N>) -> Self {
        const { assert!(size_of::<Self>() <= SESSION_BYTES_MAX || size_of::<N::Stream>() > 4) };
        let record = Record::new(addr, shared.now);
        shared.arm(key, Class::Handshake);
        let ready = Ready::default();
        Self {
            client: Client {
                key,
                peer: Peer { stream, ready },
                record,
            },
            queued: false,
            phase: Phase::Opening(Box::new(Opening::new())),
        }
    }

    /// The client's connection, to be registered.
    pub fn client_stream(&mut self) -> &mut N::Stream {
        &mut self.client.peer.stream
    }

    /// Remembers an event. All that follows from it happens in the session's turn.
    pub fn mark(&mut self, role: Role, event: &Event) {
        let ready = match (role, &mut self.phase) {
            (Role::Client, _) => &mut self.client.peer.ready,
            (_, Phase::Opening(opening)) => match &mut opening.target {
                Some(target) => &mut target.ready,
                None => &mut opening.race.ready,
            },
            (_, Phase::Relaying(relay)) => relay.target_ready(),
            (role, Phase::Associated(association)) => return association.mark(role, event),
            // Of an attempt that is no more.
            _ => return,
        };
        ready.mark(event);
    }

    /// Says that it stands in the ready queue; whether it did not before.
    pub fn queue(&mut self) -> bool {
        !mem::replace(&mut self.queued, true)
    }

    /// Does what can be done, within a budget of one buffer per direction.
    pub fn turn(&mut self, mut wake: Wake<'_>, shared: &mut Shared<N>) -> Verdict {
        if let Wake::Event = wake {
            self.queued = false;
        }
        if self.client.peer.is_broken() {
            // Who leaves before the refusal has still been refused.
            let reason = match &self.phase {
                Phase::Lingering(linger) => linger.reason(),
                _ => Reason::ClientReset,
            };
            self.abort();
            return Verdict::Closed(reason);
        }
        // Bounded: phases and steps only lead forwards.
        loop {
            let client = &mut self.client;
            let next = match &mut self.phase {
                Phase::Opening(opening) => client.open(opening, wake, shared),
                Phase::Relaying(relay) => relay.turn(wake, client, shared),
                Phase::Associated(association) => association.turn(wake, client, shared),
                Phase::Lingering(linger) => linger.turn(wake, client, shared),
                Phase::Over => Next::Wait,
            };
            wake = Wake::Event;
            let (refuse, reason) = match next {
                Next::Go => continue,
                Next::Wait => return Verdict::Idle,
                Next::Yield => return Verdict::Again,
                Next::Stand => {
                    self.stand(shared);
                    continue;
                }
                Next::Close(reason) => {
                    if matches!(reason, Reason::ClientReset | Reason::TargetReset) {
                        self.abort();
                    }
                    return Verdict::Closed(reason);
                }
                Next::Fail(reason) => (Some(Refuse::Reply(reason.reply_code())), reason),
                Next::Refuse(refuse, reason) => (Some(refuse), reason),
                Next::Part(reason) => (None, reason),
            };
            self.refuse(refuse, reason, shared);
        }
    }

    /// A connection broke: the other one is reset too, so that the abort shows.
    fn abort(&mut self) {
        let target = match &mut self.phase {
            Phase::Relaying(relay) => Some(relay.target_stream()),
            Phase::Opening(opening) => opening.target.as_mut().map(|target| &mut target.stream),
            // The client has all that was for it, or it is on its way.
            Phase::Lingering(_) => return,
            _ => None,
        };
        if let Some(target) = target {
            target.abort_on_close();
        }
        self.client.peer.stream.abort_on_close();
    }

    /// The request has been answered: goes on without what the opening held.
    fn stand(&mut self, shared: &mut Shared<N>) {
        let Phase::Opening(opening) = &mut self.phase else {
            return;
        };
        let (phase, class) = if let Some(association) = opening.association.take() {
            (Phase::Associated(association), Class::Udp)
        } else if let Some(target) = opening.target.take() {
            shared.totals.add(Total::Tunnels, 1);
            (Phase::Relaying(Relay::new(target, opening)), Class::Idle)
        } else {
            return;
        };
        self.enter(phase, shared);
        shared.arm(self.client.key, class);
    }

    /// Gives back what the phase holds, and goes over to another.
    fn enter(&mut self, phase: Phase<N>, shared: &mut Shared<N>) {
        let Client { key, record, .. } = &self.client;
        shared.stagger.disarm(*key);
        match &mut self.phase {
            Phase::Opening(opening) => shared.give_opening(opening, *key, record.client_key()),
            Phase::Relaying(relay) => relay.release(&mut shared.buffers),
            Phase::Associated(association) => association.dissociate(shared),
            Phase::Lingering(_) | Phase::Over => {}
        }
        self.phase = phase;
    }

    /// Gives back everything and writes the log line. The sockets close as it is dropped.
    pub fn close(&mut self, reason: Reason, shared: &mut Shared<N>) {
        let moved = self.moved();
        self.enter(Phase::Over, shared);
        let Client { key, record, .. } = &self.client;
        shared.timers.disarm(*key);
        shared.totals.add(Total::UpBytes, moved.0);
        shared.totals.add(Total::DownBytes, moved.1);
        shared.clients.leave(record.client_key());
        record.log(*key, moved, reason, shared.now, shared.auth.users());
    }

    /// Follows a change of the users: who the client is, by name.
    pub fn rename_user(&mut self, old: &Users, new: &Users) {
        self.client.record.rename_user(old, new);
    }

    /// Writes a line of the report of living sessions.
    pub fn describe(&self, now: Millis, users: &Users) {
        let Client { key, record, .. } = &self.client;
        record.describe(*key, self.moved(), now, users);
    }

    /// How many of the pool's buffers it holds.
    pub fn buffers_held(&self) -> usize {
        match &self.phase {
            Phase::Relaying(relay) => relay.buffers_held(),
            _ => 0,
        }
    }

    /// Whether it waits for an event although there may be something to read, and room for it:
    /// no event of that follows.
    pub fn is_deaf(&self) -> bool {
        let ready = &self.client.peer.ready;
        let could_go_on = match &self.phase {
            Phase::Opening(opening) => ready.readable && opening.could_read(),
            Phase::Relaying(relay) => relay.could_move(ready),
            Phase::Associated(association) => ready.readable || association.is_ready(),
            Phase::Lingering(_) | Phase::Over => false,
        };
        could_go_on && !self.queued
    }

    /// Whether it holds an entry of the table of openings.
    pub fn is_opening(&self) -> bool {
        matches!(self.phase, Phase::Opening(_))
    }

    /// Whether it is a UDP association.
    pub fn is_associated(&self) -> bool {
        matches!(self.phase, Phase::Associated(_))
    }

    /// Bytes carried, up and down.
    fn moved(&self) -> (u64, u64) {
        match &self.phase {
            Phase::Relaying(relay) => relay.moved(),
            Phase::Associated(association) => association.moved(),
            Phase::Lingering(linger) => linger.moved(),
            _ => (0, 0),
        }
    }
}
