//! Draws whether a client asks for BIND, and which peers connect to its listener, and when.

use std::net::SocketAddr;

use anklet::net::Millis;
use fastrand::Rng;

use crate::clients::scenario::{BindPeer, ConnectOutcome, Dialect, Kind, Scenario};

/// All peers connect within this time after the listener was opened.
const LATEST_MS: Millis = 3_000;

impl Scenario {
    /// Draws whether the client asks for BIND, and its peers.
    pub(super) fn draw_bind_peers(&mut self, rng: &mut Rng, number: u8) {
        let is_socks = matches!(self.dialect, Dialect::Socks5 | Dialect::Socks4);
        let is_served = !matches!(self.kind, Kind::Garbage | Kind::WrongPassword);
        if !is_socks || !is_served || rng.u8(..4) > 0 {
            return;
        }
        // Now and then they come together.
        let together_ms = rng.u64(..LATEST_MS);
        let when = |rng: &mut Rng| match rng.bool() {
            true => together_ms,
            false => rng.u64(..LATEST_MS),
        };
        self.any_peer = rng.u8(..4) == 0;
        let mut peers = self.unexpected_peers(rng, number, when);
        // A target that could be connected to connects instead; of a name's addresses only a good
        // one.
        let comes = !matches!(
            self.kind,
            Kind::Unreachable | Kind::GivesUp | Kind::Forbidden
        );
        if comes {
            peers.extend(self.expected_peers(rng, when));
            self.codes = vec![0];
            // A reply of SOCKS4 has no room for the IPv6 address of the listener, so the peer
            // cannot know it and does not connect.
            let is_v6 = |(addr, _): &(SocketAddr, ConnectOutcome)| addr.is_ipv6();
            if self.dialect == Dialect::Socks4 && self.target_addrs.iter().any(is_v6) {
                peers.retain(|peer| !peer.expected);
                self.codes = vec![6];
            }
        } else if self.name.is_none() && self.kind != Kind::Forbidden {
            self.codes = vec![6];
        }
        self.bind_peers = Some(peers);
    }

    /// Peers that the client does not expect: they are refused, and the listener goes on.
    fn unexpected_peers(
        &self,
        rng: &mut Rng,
        number: u8,
        when: impl Fn(&mut Rng) -> Millis,
    ) -> Vec<BindPeer> {
        // Of a private network, which the rules forbid, or of the Internet.
        let nets = [[10, 0, 0, 5], [45, 99, 0, number]];
        let nets = if self.any_peer { &nets[..1] } else { &nets };
        let mut peers = Vec::new();
        for peer in 0..rng.u8(..4) {
            let from = SocketAddr::from((nets[rng.usize(..nets.len())], 999 + u16::from(peer)));
            peers.push(BindPeer {
                from,
                after_ms: when(rng),
                expected: false,
            });
        }
        peers
    }

    /// The peer that the client expects, which may connect twice. The target's other addresses are
    /// removed.
    fn expected_peers(
        &mut self,
        rng: &mut Rng,
        when: impl Fn(&mut Rng) -> Millis,
    ) -> Vec<BindPeer> {
        let is_good = |(_, outcome): &(SocketAddr, ConnectOutcome)| {
            matches!(
                outcome,
                ConnectOutcome::Succeeds | ConnectOutcome::SucceedsAfter(_)
            )
        };
        let good = self.target_addrs.iter().position(is_good);
        self.target_addrs = good
            .map(|good| self.target_addrs[good])
            .into_iter()
            .collect();
        let mut peers = Vec::new();
        for again in 0..=u64::from(rng.u8(..4) == 0) {
            let Some((addr, _)) = self.target_addrs.first() else {
                break;
            };
            let after_ms = when(rng) + again;
            let from = SocketAddr::new(addr.ip(), rng.u16(1024..));
            peers.push(BindPeer {
                from,
                after_ms,
                expected: true,
            });
        }
        peers
    }
}
