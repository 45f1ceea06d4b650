//! UDP ASSOCIATE (RFC 1928 §7): from the request to the end of the TCP connection.
//!
//! An association has a socket to the client, and one to the remotes per family, opened when
//! first used. `datagrams.rs` moves the datagrams, `lookup.rs` waits for names; what is decided
//! about them is in `state::association`. Nothing that goes wrong with a datagram ends it.

mod datagrams;
mod lookup;

use std::mem;
use std::net::SocketAddr;

use super::client::{Client, Outbox, READS_PER_TURN, Received};
use super::context::Context;
use super::outcome::{End, Next, Reason, Wake};
use super::shared::{Alarm, Class, Shared};
use super::totals::Moved;
use crate::net::{Errno, Event, Intake, Net, Side, Stream, UdpSocket};
use crate::state::access::{ClientKey, Origin};
use crate::state::association::ClientAddr;
use crate::state::clients::Table;
use crate::state::contacts::Contacts;
use crate::state::names::Names;
use crate::state::slots::{Key, Role};
use crate::wire::socks::{Address, Request};

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
    /// Towards remotes, by their [`Family`].
    outer: [Option<Socket<U>>; 2],
    /// Whom the client has sent to, where only those may answer.
    contacts: Option<Contacts>,
    names: Names,
    /// The rules of that version let the client reach that address, and be reached from there.
    permitted: Option<(SocketAddr, Origin, u32)>,
    /// The reply, as far as the client has not taken it.
    outbox: Outbox,
    moved: Moved,
}

/// The family of a remote's address: there is a socket for each.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Family {
    V4,
    V6,
}

const FAMILIES: [Family; 2] = [Family::V4, Family::V6];

impl Family {
    fn of(addr: &SocketAddr) -> Self {
        if addr.is_ipv6() { Self::V6 } else { Self::V4 }
    }
}

/// A socket, and whether datagrams may be there.
#[derive(Debug)]
struct Socket<U> {
    socket: U,
    readable: bool,
    /// Errors in a row.
    errors: u8,
    intake: Intake,
}

impl<U> Socket<U> {
    fn new(socket: U, is_v6: bool) -> Self {
        Self {
            socket,
            readable: false,
            errors: 0,
            intake: Intake {
                places: datagrams::PLACES_MIN,
                is_v6,
                joins: false,
            },
        }
    }
}

/// Takes a place, opens the socket to the client, and replies.
///
/// # Errors
/// No place is left, for this client or at all, or the system has no socket.
pub(super) fn open<N: Net>(
    request: &Request,
    outbox: &mut Outbox,
    cx: &mut Context<'_, N>,
) -> Result<Box<Association<N::UdpSocket>>, Reason> {
    let client_key = cx.client.client_key;
    cx.shared.take(Table::Associations, cx.client.key)?;
    let hint = match &request.address {
        Address::Ip(addr) => Some(SocketAddr::new(*addr, request.port)),
        Address::Name(_) => None,
    };
    let client_addr = ClientAddr::new(*cx.client.addr(), hint);
    let is_aimed = client_addr.is_known();
    let opened = open_inner(&client_addr, cx);
    let (inner, bound) = opened.map_err(|error| {
        cx.shared.give(Table::Associations, cx.client.key);
        cx.refused(&"UDP", error)
    })?;
    if let Err(full) = cx.shared.take(Table::Established, cx.client.key) {
        cx.shared.give(Table::Associations, cx.client.key);
        return Err(full);
    }
    outbox.grant(bound);
    cx.client.record.set_reached(bound);
    Ok(Box::new(Association {
        key: cx.client.key,
        client_key,
        is_aimed,
        named: is_aimed,
        client_addr,
        inner: Socket::new(inner, client_addr.addr().is_ipv6()),
        outer: [None, None],
        contacts: cx.shared.relay.strict.then(Contacts::default),
        names: Names::default(),
        permitted: None,
        outbox: *outbox,
        moved: Moved::default(),
    }))
}

/// Opens the socket that the client sends to, at the address that its connection has reached;
/// returns it with the address to announce.
fn open_inner<N: Net>(
    client_addr: &ClientAddr,
    cx: &mut Context<'_, N>,
) -> Result<(N::UdpSocket, SocketAddr), Errno> {
    let mut local = cx.client.peer.stream.local_addr()?;
    local.set_port(0);
    let token = cx.client.token(Role::Inner);
    let side = Side::Inner {
        local,
        client: *cx.client.addr(),
    };
    let mut inner = cx.shared.net.udp_relay(side, token)?;
    if client_addr.is_known() {
        inner.aim(client_addr.heard())?;
    }
    local.set_port(inner.local_addr()?.port());
    local.set_ip(cx.shared.public_addr(local.ip().to_canonical()));
    Ok((inner, local))
}

impl<U: UdpSocket> Association<U> {
    /// One turn: the TCP connection, then the datagrams of both directions.
    pub(super) fn turn<N: Net<UdpSocket = U>>(
        &mut self,
        wake: Wake<'_>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        match wake {
            Wake::Event => {}
            Wake::Timeout => return Err(End::close(Reason::IdleTimeout)),
            Wake::Alarm => {
                // Silent for so long, the client may come back with another port.
                self.client_addr.reopen();
                self.aim();
                return Ok(Next::Wait);
            }
            Wake::Answer(number, answer, _) => {
                self.settle(number, answer, cx.shared);
                return Ok(Next::Wait);
            }
        }
        self.outbox.flush(cx.client)?;
        discard(cx.client, cx.shared.pool.buffers.scratch())?;
        let heard = self.relay_up(cx.shared) | mem::take(&mut self.named);
        let delivered = self.relay_down(cx.shared);
        if heard {
            cx.shared.arm_alarm(self.key, Alarm::Silence);
        }
        if heard || delivered {
            cx.shared.arm(self.key, Class::Udp);
        }
        let more = self.is_ready() || cx.client.peer.ready.readable;
        Ok(if more { Next::Yield } else { Next::Wait })
    }

    /// Gives back what the association has beside its sockets, which close with it.
    pub(super) fn release<N: Net>(&mut self, shared: &mut Shared<N>) {
        self.give_up_lookups(shared);
        shared.give(Table::Associations, self.key);
        if shared.clients.quota(Table::Associations).used() == 0 {
            shared.associations.batch.release();
        }
    }

    /// Remembers an event of one of the sockets.
    pub(super) fn mark(&mut self, role: Role, event: &Event) {
        let socket = match role {
            Role::Inner => Some(&mut self.inner),
            Role::Outer4 => self.outer[Family::V4 as usize].as_mut(),
            Role::Outer6 => self.outer[Family::V6 as usize].as_mut(),
            _ => None,
        };
        if let Some(socket) = socket {
            // An error that waits counts too: receiving takes it away.
            socket.readable |= event.readable | event.ended | event.failed;
        }
    }

    /// Payload carried, up and down.
    pub(super) fn moved(&self) -> Moved {
        self.moved
    }

    /// Returns `true` if a socket may still have datagrams.
    pub(super) fn is_ready(&self) -> bool {
        let mut ready = self.inner.readable;
        for socket in self.outer.iter().flatten() {
            ready |= socket.readable;
        }
        ready
    }

    /// Connects the inner socket to the client, with its port where that is settled.
    fn aim(&mut self) {
        let heard = self.client_addr.heard();
        let aimed = self.inner.socket.aim(heard).is_ok();
        // Where it fails, each datagram is looked at and sent by its address, as before.
        self.is_aimed = aimed && heard.port() != 0;
    }
}

/// Discards what the client sends over TCP.
///
/// # Errors
/// Its connection has ended, and the association with it.
fn discard<N: Net>(client: &mut Client<N>, scratch: &mut [u8]) -> Result<(), End> {
    for _ in 0..READS_PER_TURN {
        match client.read(scratch)? {
            Received::Bytes(_) => {}
            Received::End => return Err(End::close(Reason::Done)),
            Received::Nothing => break,
        }
    }
    Ok(())
}
