//! BIND: a listener for one peer that the client expects (RFC 1928 §4 and §6).
//!
//! Two replies: the first with the address at which the listener is reached, the second with
//! the peer's, once it has come. Then it is a tunnel like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::client::Outbox;
use super::connect::rank;
use super::context::Context;
use super::inbox::Inbox;
use super::outcome::{End, Reason};
use super::shared::{Alarm, Class};
use crate::net::{Errno, Listener, Net, Stream};
use crate::state::access::Origin;
use crate::state::clients::Table;
use crate::state::handshake::Dialect;
use crate::state::peer::Ready;
use crate::state::slots::Role;
use crate::wire::dns::Addresses;

/// Peers looked at in one turn; more of them wait in the listener's queue.
const PEERS_PER_TURN: usize = 8;

/// Where the way to the Internet is asked for, when the client expects a peer from anywhere:
/// addresses for documentation (RFC 5737, RFC 3849), to which nothing is sent.
const ANYWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ANYWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

/// A BIND that waits for its peer. It has a place in the table of BINDs.
#[derive(Debug)]
pub(super) struct Bind<L> {
    listener: L,
    /// What events have said of the listener.
    pub(super) ready: Ready,
    /// The addresses that the peer may have; none: any.
    expected: Addresses,
    origin: Origin,
}

/// What a look at the listener has brought.
pub(super) enum Accepted<S> {
    /// The peer has come.
    Peer(S, SocketAddr),
    /// Nobody, and an event or an alarm will follow.
    Nobody,
    /// Only others so far, and there may be more in the queue.
    Others,
}

impl<L: Listener> Bind<L> {
    /// Opens the listener, on the way to the first of the addresses to which there is one, and tells
    /// the client where it is. Zeros stand for anyone where the client has written them, and not
    /// where its name leads there (`is_named`), as names do that a name server blocks.
    pub(super) fn open<N: Net<Listener = L>>(
        (mut expected, origin): (Addresses, Origin),
        port: u16,
        is_named: bool,
        outbox: &mut Outbox,
        cx: &mut Context<'_, N>,
    ) -> Result<Self, Reason> {
        let is_anyone = !is_named && expected.as_slice().iter().any(IpAddr::is_unspecified);
        let dialect = outbox.dialect;
        let mut local = Err(Reason::Failed);
        for peer in expected.as_slice() {
            let to = SocketAddr::new(*peer, port);
            let found = way(to, (!is_anyone).then_some(origin), dialect, cx);
            match (local, found) {
                // The more telling failure of several, as of attempts to connect.
                (Err(old), Err(new)) if rank(new) < rank(old) => {}
                _ => local = found,
            }
            if local.is_ok() {
                break;
            }
        }
        let local = local?;
        if is_anyone {
            expected = Addresses::default();
        }
        cx.shared.take(Table::Binds, cx.client.key)?;
        let opened = open_listener(local, cx);
        let (listener, bound) = opened.map_err(|error| {
            cx.shared.give(Table::Binds, cx.client.key);
            cx.refused(&"BIND", error)
        })?;
        outbox.grant(bound);
        cx.shared.arm(cx.client.key, Class::Bind);
        Ok(Self {
            listener,
            ready: Ready::default(),
            expected,
            origin,
        })
    }

    /// Accepts until the expected peer has come. Others are refused, and the listener goes on.
    pub(super) fn turn<N: Net<Listener = L>>(
        &mut self,
        inbox: &Inbox,
        outbox: &mut Outbox,
        cx: &mut Context<'_, N>,
    ) -> Result<Accepted<N::Stream>, End>
    where
        L: Listener<Stream = N::Stream>,
    {
        // The listener ends with the control connection, whatever was sent before its end, and
        // however much: behind a full inbox the end cannot be read, only be announced (urgent data
        // behind so much passes for one).
        let unread_end = cx.client.peer.ready.ended && !inbox.has_room();
        if inbox.has_ended() || unread_end {
            return Err(End::close(Reason::ClientLeft));
        }
        outbox.flush(cx.client)?;
        for _ in 0..PEERS_PER_TURN {
            if !self.ready.readable {
                return Ok(Accepted::Nobody);
            }
            match self.listener.accept() {
                Ok((stream, peer)) if self.expects(peer, cx) => {
                    return Ok(Accepted::Peer(stream, peer));
                }
                // A stranger. Or the connection broke before it was taken; there may be another.
                Ok(_) | Err(Errno::ECONNABORTED) => {}
                Err(Errno::EAGAIN) => self.ready.readable = false,
                Err(error) => {
                    // Out of descriptors: trying on at once would spin.
                    cx.refused(&"BIND", error);
                    cx.shared.arm_alarm(cx.client.key, Alarm::AcceptAgain);
                    return Ok(Accepted::Nobody);
                }
            }
        }
        Ok(Accepted::Others)
    }

    /// Returns `true` if that peer is the one, and the rules permit it.
    fn expects<N: Net>(&self, peer: SocketAddr, cx: &mut Context<'_, N>) -> bool {
        let addr = peer.ip().to_canonical();
        let expected = self.expected.as_slice();
        let peer = SocketAddr::new(addr, peer.port());
        (expected.is_empty() || expected.contains(&addr))
            && cx
                .shared
                .permit(cx.client.addr(), &peer, self.origin)
                .is_ok()
    }

    /// Gives back its place in the table of BINDs.
    pub(super) fn release<N: Net>(&self, cx: &mut Context<'_, N>) {
        cx.shared.give(Table::Binds, cx.client.key);
    }
}

/// The address that the way to a peer starts from. Anyone is a peer without an origin, for whom no
/// rule is asked yet.
fn way<N: Net>(
    peer: SocketAddr,
    origin: Option<Origin>,
    dialect: Dialect,
    cx: &mut Context<'_, N>,
) -> Result<IpAddr, Reason> {
    if let Some(origin) = origin {
        cx.shared.permit(cx.client.addr(), &peer, origin)?;
    }
    let towards = match peer.ip() {
        IpAddr::V4(addr) if addr.is_unspecified() => ANYWHERE_V4,
        IpAddr::V6(addr) if addr.is_unspecified() => ANYWHERE_V6,
        addr => addr,
    };
    let mut local = cx.shared.net.route(towards);
    if local.is_err()
        && origin.is_none()
        && let Ok(own) = cx.client.peer.stream.local_addr()
    {
        // Without a way to the Internet: the one to where the client itself came in.
        local = cx.shared.net.route(own.ip().to_canonical());
    }
    let local = local.map_err(|error| cx.refused(&"BIND", error))?;
    // SOCKS4 cannot express an IPv6 address, and a client that is not told where the listener is
    // cannot tell its peer.
    let can_say = local.is_ipv4() || dialect != Dialect::Socks4;
    if can_say && cx.shared.has_family(local.is_ipv6()) {
        Ok(local)
    } else {
        Err(Reason::NetworkUnreachable)
    }
}

/// A listener on that address, and the one to announce.
fn open_listener<N: Net>(
    local: IpAddr,
    cx: &mut Context<'_, N>,
) -> Result<(N::Listener, SocketAddr), Errno> {
    let token = cx.client.token(Role::Target);
    let listener = cx.shared.net.listen(local, cx.shared.relay.ports, token)?;
    let mut bound = listener.local_addr()?;
    bound.set_ip(cx.shared.public_addr(bound.ip()));
    Ok((listener, bound))
}
