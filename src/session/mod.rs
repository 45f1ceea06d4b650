//! The life of one client, from accept to close. Each phase owns what only it needs, is one file,
//! and has one `turn`:
//!
//! ```text
//! Opening     Handshake   bytes in, answers out            handshake.rs, http.rs
//!             Lookup      of a name only                   resolver
//!             Connect     a race of attempts               connect.rs
//!             Bind        or: a listener waits for a peer  bind.rs
//!             Reply       the reply, and early bytes on    reply.rs
//! Relaying    two flows, until both have ended             relay.rs
//! Forwarding  or: a request of HTTP, and its answer        forward/
//! Pair        and what waits for the next request          pair.rs
//! Associated  or: datagrams, until the client has ended    association/
//! Lingering   a last reply, then input is discarded        linger.rs
//! ```
//!
//! `passage.rs` leads from phase to phase, `opening/` from step to step. At the bottom, knowing no
//! phase: the client's connection and what it has sent (`client.rs`, `inbox.rs`, `record.rs`), what
//! it asks for (`exchange.rs`), how long nothing may move (`silence.rs`), what follows a turn and
//! why a session ends (`outcome.rs`), the report that it may read (`report.rs`), and what all
//! sessions share (`shared.rs`, `totals.rs`).

mod association;
mod bind;
mod check;
mod client;
mod connect;
mod context;
mod describe;
mod exchange;
mod forward;
mod handshake;
mod http;
mod inbox;
mod linger;
mod opening;
mod outcome;
mod pair;
mod passage;
mod places;
mod record;
mod relay;
mod reply;
mod report;
mod shared;
mod silence;
mod totals;

use std::mem;
use std::net::SocketAddr;

use self::association::Association;
use self::client::Client;
use self::context::Context;
use self::forward::Forward;
use self::linger::Linger;
use self::opening::Opening;
use self::outcome::{Closing, End, Next};
pub use self::outcome::{Reason, Verdict, Wake};
use self::pair::Pair;
use self::relay::Relay;
pub use self::report::{Part, Report, put};
use self::shared::Class;
pub use self::shared::Shared;
pub use self::totals::{Moved, Total, Totals};
use crate::net::{Event, Millis, Net, Stream};
use crate::state::access::ClientKey;
use crate::state::clients::Table;
use crate::state::slots::{Key, Role};
use crate::state::timers::Timers;
use crate::state::users::{UserId, Users};

/// An idle tunnel may cost 0.4 KiB in all: this, a timer, and its places in queue and tables.
const SESSION_BYTES_MAX: usize = 320;

/// One client's session.
pub struct Session<N: Net> {
    client: Client<N>,
    /// It is in the ready queue.
    queued: bool,
    /// It is among those that wait for the tick.
    resting: bool,
    phase: Phase<N>,
}

/// Where in its life a session is.
enum Phase<N: Net> {
    Opening(Box<Opening<N>>),
    Relaying(Relay<N::Stream>),
    Forwarding(Box<Forward<N::Stream>>),
    Pair(Pair<N::Stream>),
    Associated(Box<Association<N::UdpSocket>>),
    Lingering(Box<Linger>),
    Over,
}

impl<N: Net> Session<N> {
    /// A session for an accepted client. There is a place for it in the table of openings.
    pub fn new(key: Key, stream: N::Stream, addr: SocketAddr, shared: &mut Shared<N>) -> Self {
        const { assert!(size_of::<Self>() <= SESSION_BYTES_MAX || size_of::<N::Stream>() > 4) };
        let client = Client::new(key, stream, addr, shared.now);
        shared.clients.enter(client.client_key);
        shared.places.enter(key, client.client_key, shared.now);
        let place = shared.take(Table::Openings, key);
        assert_eq!(place, Ok(()), "room has been made before");
        shared.arm(key, Class::Handshake);
        Self {
            client,
            queued: false,
            resting: false,
            phase: Phase::Opening(Box::new(Opening::new())),
        }
    }

    /// The client's connection, to be registered.
    pub fn client_stream(&mut self) -> &mut N::Stream {
        &mut self.client.peer.stream
    }

    /// Remembers an event. All that follows from it happens in the session's turn.
    pub fn mark(&mut self, role: Role, event: &Event) {
        match (role, &mut self.phase) {
            (Role::Client, _) => self.client.peer.ready.mark(event),
            (_, Phase::Opening(opening)) => opening.mark(event),
            (_, Phase::Relaying(relay)) => relay.mark(event),
            (_, Phase::Forwarding(forward)) => forward.mark(event),
            (_, Phase::Pair(pair)) => pair.mark(event),
            (role, Phase::Associated(association)) => association.mark(role, event),
            // Of a socket that is no more.
            (_, Phase::Lingering(_) | Phase::Over) => {}
        }
    }

    /// Says that it is in the ready queue. Returns `true` if it was not before.
    pub fn queue(&mut self) -> bool {
        !mem::replace(&mut self.queued, true)
    }

    /// Does what can be done, within a budget of one buffer per direction.
    pub fn turn(&mut self, wake: Wake<'_>, shared: &mut Shared<N>) -> Verdict {
        if let Wake::Event = wake {
            self.queued = false;
        }
        if self.client.peer.is_broken() {
            return self.broken();
        }
        self.go_on(wake, shared)
    }

    /// One phase after the other, as far as they go.
    fn go_on(&mut self, mut wake: Wake<'_>, shared: &mut Shared<N>) -> Verdict {
        // Bounded: phases and steps only lead forwards, and behind an exchange others come first.
        loop {
            let client = &mut self.client;
            let cx = &mut Context { client, shared };
            let next = match &mut self.phase {
                Phase::Opening(opening) => opening.turn(wake, cx),
                Phase::Relaying(relay) => relay.turn(wake, cx),
                Phase::Forwarding(forward) => forward.turn(wake, cx),
                Phase::Pair(pair) => pair.turn(wake, cx),
                Phase::Associated(association) => association.turn(wake, cx),
                Phase::Lingering(linger) => linger.turn(wake, cx),
                Phase::Over => Ok(Next::Wait),
            };
            wake = Wake::Event;
            let next = match next {
                Ok(Next::Established) => self.establish(shared),
                Ok(Next::Done) => self.rest(shared),
                Ok(Next::Open) => self.open(shared),
                next => next,
            };
            match next {
                Ok(Next::Go | Next::Established | Next::Done | Next::Open) => {}
                Ok(Next::Wait) => return Verdict::Idle,
                Ok(Next::Yield) => return Verdict::Again,
                Ok(Next::Rest) => return Verdict::Rest,
                Ok(Next::Report) => return Verdict::Report,
                Err(end) => match end.closing {
                    Closing::Close => return self.end(end.reason, shared),
                    Closing::Discard => self.linger(None, end.reason, shared),
                    Closing::Refuse(refuse) => self.linger(Some(refuse), end.reason, shared),
                },
            }
        }
    }

    /// Another session has taken its place in that table: it ends, as its phase allows.
    pub fn displace(&mut self, table: Table, shared: &mut Shared<N>) -> Verdict {
        let reason = Reason::Displaced(table);
        let end = match &mut self.phase {
            Phase::Opening(opening) => opening.displaced(reason),
            Phase::Forwarding(forward) => forward.give_up(reason),
            Phase::Relaying(_) | Phase::Associated(_) | Phase::Over => End::close(reason),
            // It has had all its answers.
            Phase::Pair(_) => End::close(Reason::Done),
            // The place was that of its connection.
            Phase::Lingering(linger) => End::close(linger.reason_or(reason)),
        };
        let Closing::Refuse(refuse) = end.closing else {
            return self.end(end.reason, shared);
        };
        self.linger(Some(refuse), reason, shared);
        self.go_on(Wake::Event, shared)
    }

    /// The client's connection has broken.
    fn broken(&mut self) -> Verdict {
        // Who leaves before the refusal has still been refused.
        let reason = match &self.phase {
            Phase::Lingering(linger) => linger.reason(),
            Phase::Opening(_)
            | Phase::Relaying(_)
            | Phase::Forwarding(_)
            | Phase::Pair(_)
            | Phase::Associated(_)
            | Phase::Over => Reason::ClientReset,
        };
        self.abort();
        Verdict::Closed(reason)
    }

    /// It is worth the system calls that its target be kept alive, if it has a tunnel.
    pub fn keep_alive(&mut self) {
        match &mut self.phase {
            Phase::Relaying(relay) => relay.keep_alive(),
            Phase::Forwarding(forward) => forward.keep_alive(),
            // An idle pair has it from its exchange.
            Phase::Opening(_)
            | Phase::Pair(_)
            | Phase::Associated(_)
            | Phase::Lingering(_)
            | Phase::Over => {}
        }
    }

    /// Since when nothing has moved in its tunnel, if bytes wait there that one end does not take.
    pub fn still_since(&self, timers: &Timers) -> Option<Millis> {
        let Client { key, peer, .. } = &self.client;
        let stands_still = match &self.phase {
            Phase::Relaying(relay) => relay.stands_still(&peer.ready),
            Phase::Forwarding(forward) => forward.stands_still(&peer.ready),
            Phase::Opening(_)
            | Phase::Pair(_)
            | Phase::Associated(_)
            | Phase::Lingering(_)
            | Phase::Over => false,
        };
        if stands_still {
            // A tunnel's timer is armed anew whenever something moves.
            timers.armed_at(*key)
        } else {
            None
        }
    }

    /// Returns `true` if it is a tunnel that carries much: others come first.
    pub fn is_bulk(&self) -> bool {
        matches!(&self.phase, Phase::Relaying(relay) if relay.is_bulk())
    }

    /// Says that it is among those that wait for the tick. Returns `true` if it was not before.
    pub fn await_tick(&mut self) -> bool {
        !mem::replace(&mut self.resting, true)
    }

    /// The tick has come.
    pub fn end_rest(&mut self) {
        self.resting = false;
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.end_rest();
        }
    }

    /// Looks whether it keeps others from having a pipe. Then it is to have a turn.
    pub fn look(&mut self) -> bool {
        if let Phase::Relaying(relay) = &mut self.phase {
            relay.look()
        } else {
            false
        }
    }

    /// Its key in the table of sessions.
    pub fn key(&self) -> Key {
        self.client.key
    }

    /// Whose it is.
    pub fn client_key(&self) -> ClientKey {
        self.client.client_key
    }

    /// The connections are to be closed at once.
    fn end(&mut self, reason: Reason, shared: &mut Shared<N>) -> Verdict {
        match reason {
            Reason::ClientReset | Reason::TargetReset => self.abort(),
            // Those of a flood are to leave nothing in the kernel.
            Reason::Displaced(_) if matches!(self.phase, Phase::Opening(_)) => self.abort(),
            Reason::Garbage => shared.totals.add(Total::Garbage, 1),
            _ => {}
        }
        Verdict::Closed(reason)
    }

    /// A connection broke: the other one is reset too, so that the abort shows.
    fn abort(&mut self) {
        match &mut self.phase {
            Phase::Opening(opening) => opening.abort_target(),
            Phase::Relaying(relay) => relay.abort_target(),
            Phase::Forwarding(forward) => forward.abort_target(),
            Phase::Pair(pair) => pair.abort_target(),
            Phase::Associated(_) | Phase::Over => {}
            // The client has all that was for it, or it is on its way.
            Phase::Lingering(_) => return,
        }
        self.client.peer.stream.abort_on_close();
    }

    /// What a tunnel or an exchange has carried does not pass for the whole where it is none (T6).
    fn cut(&mut self, shared: &mut Shared<N>) {
        let peer = &mut self.client.peer;
        match &mut self.phase {
            Phase::Opening(opening) => opening.cut(&mut peer.stream),
            Phase::Relaying(relay) => relay.cut(peer, &mut shared.pool.buffers),
            Phase::Forwarding(forward) => forward.cut(&mut peer.stream),
            Phase::Lingering(linger) if linger.report.is_some() => peer.stream.abort_on_close(),
            // The client has all that was for it, or it is on its way.
            Phase::Pair(_) | Phase::Associated(_) | Phase::Lingering(_) | Phase::Over => {}
        }
    }

    /// Gives back everything and writes the log line. The sockets close as it is dropped.
    pub fn close(&mut self, reason: Reason, shared: &mut Shared<N>) {
        self.tell(reason, shared);
        // Of one that has broken both are reset.
        if !matches!(reason, Reason::ClientReset | Reason::TargetReset) {
            self.cut(shared);
        }
        self.enter(Phase::Over, shared);
        shared.timers.disarm(self.client.key);
        for table in [Table::Established, Table::Reports] {
            shared.give(table, self.client.key);
        }
        self.client.record.set_user(None, &mut shared.auth);
        shared.clients.leave(self.client.client_key);
    }

    /// Counts what was carried, and writes the log line.
    fn tell(&self, reason: Reason, shared: &mut Shared<N>) {
        let moved = self.moved();
        shared.count(self.user(), moved);
        let Client {
            key,
            client_key,
            dialect,
            record,
            ..
        } = &self.client;
        let level = record.level(reason, shared.quiet);
        if shared.may_log(*client_key, level, reason.words()) {
            let who = (*key, *dialect);
            record.line(level, who, moved, &reason, shared.now, shared.auth.users());
        }
    }

    /// Returns `true` unless the client's user is none any more after a change of the users.
    pub fn keeps_user(&self, old: &Users, new: &Users) -> bool {
        self.client.record.keeps_user(old, new)
    }

    /// Follows a change of the users: who the client is, by name.
    pub fn rename_user(&mut self, old: &Users, new: &Users) {
        self.client.record.rename_user(old, new);
    }

    /// Its user.
    pub fn user(&self) -> Option<UserId> {
        self.client.record.user()
    }

    /// Bytes carried, up and down, which the totals have once it has ended.
    pub fn moved(&self) -> Moved {
        match &self.phase {
            Phase::Opening(opening) => opening.moved(),
            Phase::Relaying(relay) => relay.moved(),
            Phase::Forwarding(forward) => forward.moved(),
            Phase::Associated(association) => association.moved(),
            Phase::Lingering(linger) => linger.moved(),
            Phase::Pair(_) | Phase::Over => Moved::default(),
        }
    }
}
