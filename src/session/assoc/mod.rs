//! UDP ASSOCIATE (RFC 1928 §7): from the request to the end of the TCP connection.
//!
//! An association has a socket to the client, and one to the remotes per family, opened when
//! first used. `carry.rs` moves the datagrams, `lookup.rs` waits for names; what is decided
//! about them is in `state::association`. Nothing that goes wrong with a datagram ends it.

mod carry;
mod lookup;

use std::io;
use std::mem;
use std::net::SocketAddr;

use log::debug;

pub(super) use self::lookup::LOOKUPS_MAX;
use super::opening::{Opening, Outbox};
use super::shared::{Class, SILENCE};
use super::{Next, Phase, Reason, Session, Shared, Verdict};
use crate::config::Config;
use crate::net::{Datagram, Event, Net, Side, Stream};
use crate::state::association::{Caller, Contacts, Names};
use crate::state::batch::Batch;
use crate::state::flow::Peer;
use crate::state::pool::Pool;
use crate::state::slots::Role;
use crate::wire::socks::{Address, Request};

/// Reads of one turn from the TCP connection, on which nothing is to be said any more.
const READS_PER_TURN: usize = 4;

/// What all associations share.
#[derive(Debug)]
pub struct Associations {
    batch: Batch,
    places: Pool<()>,
    per_client_max: u32,
    /// Names being looked up.
    lookups: usize,
    /// Bytes of the datagrams that wait for them.
    held_bytes: usize,
}

impl Associations {
    /// None yet.
    pub(super) fn new(config: &Config) -> Self {
        let limits = &config.limits;
        Self {
            batch: Batch::default(),
            places: Pool::new(limits.associations_max),
            per_client_max: u32::try_from(limits.per_client_associations_max).unwrap_or(u32::MAX),
            lookups: 0,
            held_bytes: 0,
        }
    }

    /// Their number, for its counts.
    pub fn places(&self) -> &Pool<()> {
        &self.places
    }

    /// Names being looked up for them, and bytes of the datagrams that wait for these.
    pub fn waiting(&self) -> (usize, usize) {
        (self.lookups, self.held_bytes)
    }
}

/// One association, over sockets of type `D`.
#[derive(Debug)]
pub(super) struct Association<D> {
    caller: Caller,
    inner: Wire<D>,
    /// The inner socket is connected to the client's port.
    is_aimed: bool,
    /// Towards IPv4 and IPv6 remotes.
    outer: [Option<Wire<D>>; 2],
    /// Whom the client has sent to, where only those may answer.
    contacts: Option<Box<Contacts>>,
    names: Names,
    /// The rules let the client reach that address, and be reached from there. Holds for one
    /// turn: rules change only between turns.
    permitted: Option<SocketAddr>,
    /// The reply, as far as the client has not taken it.
    outbox: Outbox,
    /// Payload carried, in bytes.
    up_bytes: u64,
    down_bytes: u64,
}

/// A socket, and whether datagrams may be there.
#[derive(Debug)]
struct Wire<D> {
    socket: D,
    readable: bool,
    /// Errors in a row.
    errors: u8,
}

impl<D> Wire<D> {
    fn new(socket: D) -> Self {
        Self {
            socket,
            readable: false,
            errors: 0,
        }
    }
}

impl<N: Net> Session<N> {
    /// Opens an association, replies, and gives the opening back.
    pub(super) fn associate(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        let (mut association, bound) = match self.open_association(request, shared) {
            Ok(opened) => opened,
            Err(reason) => return self.fail(opening, reason, shared),
        };
        opening.answer(bound);
        association.outbox = mem::take(&mut opening.outbox);
        shared.give_opening(opening, self.source());
        self.record.set_reached(bound);
        shared.timers.arm(self.key, Class::Udp as u8, shared.now);
        if association.caller.addr().is_some() {
            shared.stagger.arm(self.key, SILENCE, shared.now);
        }
        Next::Go(Phase::Associated(Box::new(association)))
    }

    /// Takes a place and opens the socket to the client; the address to announce comes along.
    fn open_association(
        &self,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Result<(Association<N::Datagram>, SocketAddr), Reason> {
        let (source, client) = (self.source(), self.record.client());
        let places = &shared.associations.places;
        let own = shared.clients.share(source).associations;
        if places.used() == places.max() || own >= shared.associations.per_client_max {
            debug!(target: "anklet", "{client}: too many UDP associations");
            return Err(Reason::Failed);
        }
        let hint = match &request.address {
            Address::Ip(ip) => Some(SocketAddr::new(*ip, request.port)),
            Address::Name(_) => None,
        };
        let caller = Caller::new(client, hint);
        let (inner, bound) = self.open_inner(&caller, shared).map_err(|error| {
            debug!(target: "anklet", "{client}: no UDP socket: {error}");
            Reason::from(&error)
        })?;
        shared.associations.places.take(|| ());
        if let Some(share) = shared.clients.share_mut(source) {
            share.associations += 1;
        }
        let strict = shared.relay.strict;
        let association = Association {
            is_aimed: caller.addr().is_some(),
            caller,
            inner: Wire::new(inner),
            outer: [None, None],
            contacts: strict.then(Box::default),
            names: Names::default(),
            permitted: None,
            outbox: Outbox::default(),
            up_bytes: 0,
            down_bytes: 0,
        };
        Ok((association, bound))
    }

    /// The socket that the client sends to, at the address that its connection has reached.
    fn open_inner(
        &self,
        caller: &Caller,
        shared: &mut Shared<N>,
    ) -> io::Result<(N::Datagram, SocketAddr)> {
        let mut local = self.client.stream.local_addr()?;
        local.set_port(0);
        let client = self.record.client();
        let token = self.token(Role::Inner);
        let mut inner = shared.net.relay(Side::Inner { local, client }, token)?;
        if caller.addr().is_some() {
            inner.aim(caller.heard())?;
        }
        let announced = shared.public_addr(local.ip().to_canonical());
        let port = inner.local_addr()?.port();
        Ok((inner, SocketAddr::new(announced, port)))
    }

    /// One turn: what the TCP connection says, then the datagrams of both directions.
    pub(super) fn relay_datagrams(&mut self, shared: &mut Shared<N>) -> Verdict {
        let Phase::Associated(association) = &mut self.phase else {
            return Verdict::Idle;
        };
        if association.outbox.flush(&mut self.client).is_err() {
            return self.broken(Reason::ClientReset);
        }
        match ended(&mut self.client, shared.buffers.scratch()) {
            None => {}
            Some(Reason::ClientReset) => return self.broken(Reason::ClientReset),
            Some(reason) => return Verdict::Closed(reason),
        }
        association.permitted = None;
        let source = self.record.source();
        let heard = association.up(self.key, source, shared);
        let delivered = association.down(shared);
        if heard {
            shared.stagger.arm(self.key, SILENCE, shared.now);
        }
        if heard || delivered {
            shared.timers.arm(self.key, Class::Udp as u8, shared.now);
        }
        if association.is_ready() || self.client.ready.readable {
            Verdict::Again
        } else {
            Verdict::Idle
        }
    }

    /// The client has been silent for so long that it may come back with another port.
    pub(super) fn reopen_port(&mut self) {
        if let Phase::Associated(association) = &mut self.phase {
            association.caller.reopen();
            association.aim();
        }
    }

    /// Gives back what the association has beside its sockets, which close with it.
    pub(super) fn dissociate(
        &self,
        association: &mut Association<N::Datagram>,
        shared: &mut Shared<N>,
    ) {
        association.give_up_lookups(self.key, self.record.source(), shared);
        shared.associations.places.give(());
        if let Some(share) = shared.clients.share_mut(self.record.source()) {
            share.associations -= 1;
        }
    }
}

impl<D: Datagram> Association<D> {
    /// Remembers an event of one of the sockets.
    pub(super) fn mark(&mut self, role: Role, event: &Event) {
        let wire = match role {
            Role::Inner => Some(&mut self.inner),
            Role::Outer4 => self.outer[0].as_mut(),
            Role::Outer6 => self.outer[1].as_mut(),
            _ => None,
        };
        if let Some(wire) = wire {
            // An error that waits counts too: receiving takes it away.
            wire.readable |= event.readable | event.ended | event.failed;
        }
    }

    /// Payload carried, up and down.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.up_bytes, self.down_bytes)
    }

    /// Whether a socket may still have datagrams.
    fn is_ready(&self) -> bool {
        let outer = self.outer.iter().flatten();
        self.inner.readable || outer.into_iter().any(|wire| wire.readable)
    }

    /// Makes the inner socket hear whom it is to hear.
    fn aim(&mut self) {
        let heard = self.caller.heard();
        let aimed = self.inner.socket.aim(heard).is_ok();
        // Where it fails, each datagram is looked at and sent by its address, as before.
        self.is_aimed = aimed && heard.port() != 0;
    }
}

/// Discards what the client sends over TCP; a reason once its connection has ended.
fn ended<S: Stream>(client: &mut Peer<S>, scratch: &mut [u8]) -> Option<Reason> {
    for _ in 0..READS_PER_TURN {
        if !client.ready.readable {
            break;
        }
        match client.read(scratch) {
            Ok(Some(0)) => return Some(Reason::Done),
            Ok(_) => {}
            Err(_) => return Some(Reason::ClientReset),
        }
    }
    None
}
