//! UDP ASSOCIATE (RFC 1928 §7): from the request to the end of the TCP connection.
//!
//! An association has a socket to the client, and one to the remotes per family, opened when
//! first used. `datagrams.rs` moves the datagrams, `lookup.rs` waits for names; what is decided
//! about them is in `state::association`. Nothing that goes wrong with a datagram ends it.

mod datagrams;
mod lookup;

use std::mem;
use std::net::SocketAddr;

pub(super) use self::lookup::LOOKUPS_MAX;
use super::client::{Client, Outbox};
use super::opening::Opening;
use super::outcome::{Next, Reason, Wake, refused};
use super::shared::{Class, SILENCE, Shared};
use crate::net::{Errno, Event, Net, Side, Stream, UdpSocket};
use crate::state::access::ClientKey;
use crate::state::association::{ClientAddr, Contacts, Names};
use crate::state::batch::Batch;
use crate::state::clients::Table;
use crate::state::flow::Peer;
use crate::state::slots::{Key, Role};
use crate::wire::socks::{Address, Request};

/// Reads of one turn from the TCP connection, on which nothing is to be said any more.
const READS_PER_TURN: usize = 4;

/// What all associations share.
#[derive(Debug, Default)]
pub struct Associations {
    batch: Batch,
    /// Bytes of the datagrams that wait for names.
    pub held_bytes: usize,
}

/// One association, over sockets of type `U`.
#[derive(Debug)]
pub(super) struct Association<U> {
    /// Its session, and whose share it counts against.
    key: Key,
    client_key: ClientKey,
    client_addr: ClientAddr,
    inner: Socket<U>,
    /// The inner socket is connected to the client's port.
    is_aimed: bool,
    /// The request has named that port, and no turn has followed yet.
    named: bool,
    /// Towards IPv4 and IPv6 remotes.
    outer: [Option<Socket<U>>; 2],
    /// Whom the client has sent to, where only those may answer.
    contacts: Option<Contacts>,
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
struct Socket<U> {
    socket: U,
    readable: bool,
    /// Errors in a row.
    errors: u8,
}

impl<U> Socket<U> {
    fn new(socket: U) -> Self {
        Self {
            socket,
            readable: false,
            errors: 0,
        }
    }
}

impl<N: Net> Client<N> {
    /// Takes a place, opens the socket to the client, and replies.
    pub(super) fn associate(
        &mut self,
        opening: &mut Opening<N>,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Next {
        match self.open_association(opening, request, shared) {
            Ok(()) => Next::Stand,
            Err(reason) => Next::Fail(reason),
        }
    }

    fn open_association(
        &mut self,
        opening: &mut Opening<N>,
        request: &Request,
        shared: &mut Shared<N>,
    ) -> Result<(), Reason> {
        let client_key = self.client_key();
        let client = *self.record.client();
        if !shared.clients.take(Table::Associations, client_key) {
            return Err(refused(&client, &"UDP", Errno::EDQUOT));
        }
        let hint = match &request.address {
            Address::Ip(addr) => Some(SocketAddr::new(*addr, request.port)),
            Address::Name(_) => None,
        };
        let client_addr = ClientAddr::new(client, hint);
        let is_aimed = client_addr.is_known();
        let (inner, bound) = match self.open_inner(&client_addr, shared) {
            Ok(opened) => opened,
            Err(error) => {
                shared.clients.give(Table::Associations, client_key);
                return Err(refused(&client, &"UDP", error));
            }
        };
        opening.answer(bound);
        self.record.set_reached(bound);
        opening.association = Some(Box::new(Association {
            key: self.key,
            client_key,
            is_aimed,
            named: is_aimed,
            client_addr,
            inner: Socket::new(inner),
            outer: [None, None],
            contacts: shared.relay.strict.then(Contacts::default),
            names: Names::default(),
            permitted: None,
            outbox: opening.outbox,
            up_bytes: 0,
            down_bytes: 0,
        }));
        Ok(())
    }

    /// The socket that the client sends to, at the address that its connection has reached.
    fn open_inner(
        &self,
        client_addr: &ClientAddr,
        shared: &mut Shared<N>,
    ) -> Result<(N::UdpSocket, SocketAddr), Errno> {
        let mut local = self.peer.stream.local_addr()?;
        local.set_port(0);
        let client = *self.record.client();
        let token = self.token(Role::Inner);
        let mut inner = shared.net.udp_relay(Side::Inner { local, client }, token)?;
        if client_addr.is_known() {
            inner.aim(client_addr.heard())?;
        }
        local.set_port(inner.local_addr()?.port());
        local.set_ip(shared.public_addr(local.ip().to_canonical()));
        Ok((inner, local))
    }
}

impl<U: UdpSocket> Association<U> {
    /// One turn: what the TCP connection says, then the datagrams of both directions.
    pub(super) fn turn<N: Net<UdpSocket = U>>(
        &mut self,
        wake: Wake<'_>,
        client: &mut Client<N>,
        shared: &mut Shared<N>,
    ) -> Next {
        match wake {
            Wake::Event => {}
            Wake::Timeout => return Next::Close(Reason::IdleTimeout),
            Wake::Stagger => {
                // Silent for so long, the client may come back with another port.
                self.client_addr.reopen();
                self.aim();
                return Next::Wait;
            }
            Wake::Answer(number, answer) => {
                self.settle(number, answer, shared);
                return Next::Wait;
            }
        }
        if self.outbox.flush(&mut client.peer).is_err() {
            return Next::Close(Reason::ClientReset);
        }
        if let Some(reason) = ended(&mut client.peer, shared.buffers.scratch()) {
            return Next::Close(reason);
        }
        self.permitted = None;
        let heard = self.up(shared) | mem::take(&mut self.named);
        let delivered = self.down(shared);
        if heard {
            shared.stagger.arm(self.key, SILENCE, shared.now);
        }
        if heard || delivered {
            shared.arm(self.key, Class::Udp);
        }
        if self.is_ready() || client.peer.ready.readable {
            Next::Yield
        } else {
            Next::Wait
        }
    }

    /// Gives back what the association has beside its sockets, which close with it.
    pub(super) fn dissociate<N: Net>(&mut self, shared: &mut Shared<N>) {
        self.give_up_lookups(shared);
        shared.clients.give(Table::Associations, self.client_key);
        if shared.clients.quota(Table::Associations).used() == 0 {
            shared.associations.batch.release();
        }
    }

    /// Remembers an event of one of the sockets.
    pub(super) fn mark(&mut self, role: Role, event: &Event) {
        let socket = match role {
            Role::Inner => Some(&mut self.inner),
            Role::Outer4 => self.outer[0].as_mut(),
            Role::Outer6 => self.outer[1].as_mut(),
            _ => None,
        };
        if let Some(socket) = socket {
            // An error that waits counts too: receiving takes it away.
            socket.readable |= event.readable | event.ended | event.failed;
        }
    }

    /// Payload carried, up and down.
    pub(super) fn moved(&self) -> (u64, u64) {
        (self.up_bytes, self.down_bytes)
    }

    /// Whether a socket may still have datagrams.
    pub(super) fn is_ready(&self) -> bool {
        let mut ready = self.inner.readable;
        for socket in self.outer.iter().flatten() {
            ready |= socket.readable;
        }
        ready
    }

    /// Makes the inner socket hear whom it is to hear.
    fn aim(&mut self) {
        let heard = self.client_addr.heard();
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
