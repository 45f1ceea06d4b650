//! BIND: a listener for one peer that the client expects (RFC 1928 §4 and §6).
//!
//! Two replies: the first with the address at which the listener is reached, the second with
//! the peer's, once it has come. Then it is a tunnel like any other.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use super::client::Client;
use super::opening::{Opening, Step};
use super::outcome::{Next, Reason, refused};
use super::shared::{Class, STAGGER, Shared};
use crate::net::{Errno, Listener, Net, Stream};
use crate::state::clients::Table;
use crate::state::flow::Ready;
use crate::state::handshake::Dialect;
use crate::state::slots::Role;

/// Peers looked at in one turn; more of them wait in the listener's queue.
const PEERS_PER_TURN: usize = 8;

/// Where the way to the Internet is asked for, when the client expects a peer from anywhere:
/// addresses for documentation (RFC 5737, RFC 3849), to which nothing is sent.
const ANYWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ANYWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

impl<N: Net> Client<N> {
    /// Opens the listener and tells the client where. Whom it expects are the candidates of
    /// the race, one of them unspecified: anyone.
    pub(super) fn bind(
        &self,
        opening: &mut Opening<N>,
        shared: &mut Shared<N>,
    ) -> Result<(), Reason> {
        // SOCKS4 cannot say an IPv6 address, and who is not told where cannot tell the peer.
        let can_say = |addr: &&IpAddr| addr.is_ipv4() || opening.dialect != Dialect::Socks4;
        let mut expected = opening.race.expected().iter();
        let expected = *expected.find(can_say).ok_or(Reason::NetworkUnreachable)?;
        if !expected.is_unspecified() {
            let peer = SocketAddr::new(expected, opening.race.port());
            shared.permit(self.record.client(), &peer)?;
        }
        opening.binds = shared.clients.take(Table::Binds, self.client_key());
        if !opening.binds {
            return Err(Reason::Failed);
        }
        let listener = self
            .open_listener(expected, shared)
            .map_err(|error| refused(self.record.client(), &"BIND", error))?;
        let mut bound = listener.local_addr().map_err(|_| Reason::Failed)?;
        opening.listener = Some(listener);
        bound.set_ip(shared.public_addr(bound.ip()));
        opening.answer(bound);
        // What was marked so far is not this listener's.
        opening.race.ready = Ready::default();
        opening.step = Step::Binding;
        shared.arm(self.key, Class::Bind);
        Ok(())
    }

    /// A listener on the address that the way to `expected` starts from.
    fn open_listener(
        &self,
        expected: IpAddr,
        shared: &mut Shared<N>,
    ) -> Result<N::Listener, Errno> {
        let towards = match expected {
            IpAddr::V4(addr) if addr.is_unspecified() => ANYWHERE_V4,
            IpAddr::V6(addr) if addr.is_unspecified() => ANYWHERE_V6,
            addr => addr,
        };
        let local = match shared.net.route(towards) {
            Ok(local) => local,
            // Without a way to the Internet: where the client itself came in.
            Err(error) => match self.peer.stream.local_addr() {
                Ok(local) if expected.is_unspecified() => local.ip().to_canonical(),
                _ => return Err(error),
            },
        };
        let token = self.token(Role::Target);
        shared.net.listen(local, shared.relay.ports, token)
    }

    /// Waits for the expected peer. Others are refused, and the listener goes on.
    pub(super) fn bind_turn(&mut self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        // The listener ends with the control connection, whatever was sent before its end, and
        // however much: behind a full inbox the end cannot be read, only be heard of (urgent data
        // behind so much passes for one).
        let unread_end = self.peer.ready.ended && !opening.inbox.has_room();
        if opening.client_ended || unread_end {
            return Next::Close(Reason::ClientLeft);
        }
        if opening.outbox.flush(&mut self.peer).is_err() {
            return Next::Close(Reason::ClientReset);
        }
        for _ in 0..PEERS_PER_TURN {
            let Some(listener) = &mut opening.listener else {
                break;
            };
            if !opening.race.ready.readable {
                return Next::Wait;
            }
            match listener.accept() {
                Ok((stream, peer)) => {
                    if self.expects(opening, &peer, shared) {
                        return self.bound(opening, stream, peer, shared);
                    }
                }
                Err(error) => match error {
                    Errno::EAGAIN => opening.race.ready.readable = false,
                    // It broke before it was taken; there may be another.
                    Errno::ECONNABORTED => {}
                    // Out of descriptors: trying on at once would spin.
                    _ => {
                        refused(self.record.client(), &"BIND", error);
                        shared.stagger.arm(self.key, STAGGER, shared.now);
                        return Next::Wait;
                    }
                },
            }
        }
        Next::Yield
    }

    fn expects(&self, opening: &Opening<N>, peer: &SocketAddr, shared: &mut Shared<N>) -> bool {
        let addr = peer.ip().to_canonical();
        let mut expected = opening.race.expected().iter();
        let peer = SocketAddr::new(addr, peer.port());
        expected.any(|candidate| candidate.is_unspecified() || *candidate == addr)
            && shared.permit(self.record.client(), &peer).is_ok()
    }

    /// The peer has come: second reply, and the tunnel stands.
    fn bound(
        &mut self,
        opening: &mut Opening<N>,
        mut stream: N::Stream,
        peer: SocketAddr,
        shared: &mut Shared<N>,
    ) -> Next {
        shared.end_bind(opening, self.client_key());
        self.record.set_reached(peer);
        let token = self.token(Role::Target);
        if shared.net.watch(&mut stream, token).is_err() {
            return Next::Fail(Reason::Failed);
        }
        opening.reach(stream, Ready::default(), &peer)
    }
}
