//! BIND: a listener for one peer that the client expects (RFC 1928 §4 and §6).
//!
//! Two replies: the first with the address at which the listener is reached, the second with
//! the peer's, once it has come. Then it is a tunnel like any other.

use std::io;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use log::debug;

use super::opening::Opening;
use super::shared::{Class, STAGGER};
use super::{Next, Phase, Reason, Session, Shared};
use crate::net::{Listener, Net, Stream};
use crate::state::flow::{Peer, Ready};
use crate::state::handshake::Dialect;
use crate::state::slots::Role;

/// Peers looked at in one turn; more of them wait in the listener's queue.
const PEERS_PER_TURN: usize = 8;

/// Where the way to the Internet is asked for, when the client expects a peer from anywhere:
/// addresses for documentation (RFC 5737, RFC 3849), to which nothing is sent.
const ANYWHERE_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1));
const ANYWHERE_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2001, 0xdb8, 0, 0, 0, 0, 0, 1));

impl<N: Net> Session<N> {
    /// Opens the listener and tells the client where. Whom it expects are the candidates of
    /// the race, one of them unspecified: anyone.
    pub(super) fn bind(
        &self,
        mut opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        // SOCKS4 cannot say an IPv6 address, and who is not told where cannot tell the peer.
        let can_say = |addr: &&IpAddr| addr.is_ipv4() || opening.dialect != Dialect::Socks4;
        let Some(expected) = opening.race.expected().iter().find(can_say).copied() else {
            return self.fail(opening, Reason::NetworkUnreachable, shared);
        };
        let port = opening.race.port();
        let client = self.record.client().ip();
        if !expected.is_unspecified()
            && let Err(refusal) = shared.gate.access.permits(client, (expected, port).into())
        {
            shared.totals.refused[refusal.index()] += 1;
            return self.fail(opening, Reason::NotAllowed(refusal), shared);
        }
        if !shared.can_bind(self.source()) {
            return self.fail(opening, Reason::Failed, shared);
        }
        let listener = match self.open_listener(expected, shared) {
            Ok(listener) => listener,
            Err(error) => {
                debug!(target: "anklet", "BIND for {client}: {error}");
                return self.fail(opening, Reason::from(&error), shared);
            }
        };
        let Ok(bound) = listener.local_addr() else {
            return self.fail(opening, Reason::Failed, shared);
        };
        let announced = shared.public_addr(bound.ip());
        opening.answer(SocketAddr::new(announced, bound.port()));
        // What was marked so far is not this listener's.
        opening.race.ready = Ready::default();
        shared.begin_bind(self.source());
        shared.timers.arm(self.key, Class::Bind as u8, shared.now);
        Next::Go(Phase::Binding(opening, listener))
    }

    /// A listener on the address that the way to `expected` starts from.
    fn open_listener(&self, expected: IpAddr, shared: &mut Shared<N>) -> io::Result<N::Listener> {
        let towards = match expected {
            IpAddr::V4(addr) if addr.is_unspecified() => ANYWHERE_V4,
            IpAddr::V6(addr) if addr.is_unspecified() => ANYWHERE_V6,
            addr => addr,
        };
        let local = match shared.net.route(towards) {
            Ok(local) => local,
            // Without a way to the Internet: where the client itself came in.
            Err(error) => match self.client.stream.local_addr() {
                Ok(local) if expected.is_unspecified() => local.ip().to_canonical(),
                _ => return Err(error),
            },
        };
        let token = self.token(Role::Target);
        shared.net.listen(local, shared.relay.ports, token)
    }

    /// Waits for the expected peer. Others are refused, and the listener goes on.
    pub(super) fn binding(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        mut listener: N::Listener,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        if let Some(reason) = self.absorb(&mut opening) {
            return Next::Close(Phase::Binding(opening, listener), reason);
        }
        // The listener ends with the control connection, whatever was sent before its end.
        if opening.client_ended {
            return Next::Close(Phase::Binding(opening, listener), Reason::ClientLeft);
        }
        if opening.outbox.flush(&mut self.client).is_err() {
            return Next::Close(Phase::Binding(opening, listener), Reason::ClientReset);
        }
        for _ in 0..PEERS_PER_TURN {
            if !opening.race.ready.readable {
                return Next::Wait(Phase::Binding(opening, listener));
            }
            match listener.accept() {
                Ok((stream, peer)) => {
                    if self.expects(&opening, peer, shared) {
                        return self.bound(opening, stream, peer, shared);
                    }
                }
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    opening.race.ready.readable = false;
                }
                // It broke before it was taken; there may be another.
                Err(error) if error.kind() == io::ErrorKind::ConnectionAborted => {}
                // Out of descriptors: trying on at once would spin.
                Err(error) => {
                    debug!(target: "anklet", "BIND: {error}");
                    shared.stagger.arm(self.key, STAGGER, shared.now);
                    return Next::Wait(Phase::Binding(opening, listener));
                }
            }
        }
        Next::Yield(Phase::Binding(opening, listener))
    }

    fn expects(
        &self,
        opening: &Opening<N::Stream>,
        peer: SocketAddr,
        shared: &mut Shared<N>,
    ) -> bool {
        let addr = peer.ip().to_canonical();
        let mut expected = opening.race.expected().iter();
        if !expected.any(|candidate| candidate.is_unspecified() || *candidate == addr) {
            return false;
        }
        let client = self.record.client().ip();
        let verdict = shared
            .gate
            .access
            .permits(client, (addr, peer.port()).into());
        if let Err(refusal) = verdict {
            shared.totals.refused[refusal.index()] += 1;
        }
        verdict.is_ok()
    }

    /// The peer has come: second reply, and the tunnel stands.
    fn bound(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        mut stream: N::Stream,
        peer: SocketAddr,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        shared.end_bind(self.source());
        self.record.set_reached(peer);
        if shared
            .net
            .watch(&mut stream, self.token(Role::Target))
            .is_err()
        {
            return self.fail(opening, Reason::Failed, shared);
        }
        opening.answer(peer);
        let ready = Ready::default();
        Next::Go(Phase::Answering(opening, Peer { stream, ready }))
    }

    /// Nobody has come.
    pub(super) fn bind_timeout(
        &self,
        opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        shared.end_bind(self.source());
        self.fail(opening, Reason::BindTimeout, shared)
    }
}
