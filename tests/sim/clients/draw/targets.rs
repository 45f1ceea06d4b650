//! Draws the target of a client: its address or name, and what becomes of an attempt to connect
//! to it.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

use crate::clients::scenario::{ConnectOutcome, Dialect, Kind, Scenario};
use crate::faults::Odds;

impl Scenario {
    /// Draws the target.
    pub(super) fn draw_target(&mut self, rng: &mut Rng, number: u8) {
        let port = 2000 + u16::from(number);
        let v4 = |n: u8| SocketAddr::new(Ipv4Addr::new(45, 67, n, number).into(), port);
        let v6 = SocketAddr::new(
            Ipv6Addr::new(0x2a00, 0x1234, 0, 0, 0, 0, 0, 1 + u16::from(number)).into(),
            port,
        );
        let named = rng.bool();
        // SOCKS4 has IPv4 addresses only.
        let v6 = if self.dialect == Dialect::Socks4 && !named {
            v4(2)
        } else {
            v6
        };
        let good = if rng.u8(..4) == 0 {
            ConnectOutcome::SucceedsAfter(rng.u64(50..1_500))
        } else {
            ConnectOutcome::Succeeds
        };
        match self.kind {
            Kind::Forbidden => self.codes = vec![2],
            Kind::Unreachable if named => {
                let dead = ["none", "empty", "fail", "dead"];
                self.name = Some(dead[rng.usize(..dead.len())]);
                self.codes = vec![4, 6];
            }
            Kind::Unreachable | Kind::GivesUp => {
                let (outcome, code) = unreachable(rng, self.kind);
                let addr = if rng.bool() { v4(0) } else { v6 };
                self.target_addrs.push((addr, outcome));
                self.codes = vec![code];
                if self.kind == Kind::GivesUp && named {
                    (self.name, self.codes) = (Some("dead"), vec![4, 6]);
                }
            }
            _ if named => {
                let names = ["good", "good", "alias", "long", "plain"];
                self.name = Some(names[rng.usize(..names.len())]);
                self.target_addrs = named_addrs(rng, [v4(0), v4(1), v6], good);
            }
            _ => {
                let addr = if rng.bool() { v4(0) } else { v6 };
                self.target_addrs.push((addr, good));
            }
        }
    }

    /// Adds the codes of failures that are right where one address family's answer may be late.
    ///
    /// Addresses that come more than the resolution delay (50 ms, RFC 8305 §3) after those of
    /// the other family are not waited for; so where a truncated answer or a dead server can
    /// make one family late, the failure of the other may be all there is.
    pub(super) fn allow_late_answers(&mut self, odds: &Odds) {
        if self.name == Some("long") || (self.name.is_some() && odds.dns_dead_server) {
            for (_, outcome) in &self.target_addrs {
                self.codes.extend(match outcome {
                    ConnectOutcome::Refused => Some(5),
                    ConnectOutcome::NetUnreachable => Some(3),
                    ConnectOutcome::NoAnswer => Some(6),
                    _ => None,
                });
            }
        }
    }
}

/// Draws how an attempt fails, and the code of the reply. A client that gives up does so during an
/// attempt that nobody answers.
fn unreachable(rng: &mut Rng, kind: Kind) -> (ConnectOutcome, u16) {
    match rng.u8(..4) {
        _ if kind == Kind::GivesUp => (ConnectOutcome::NoAnswer, 6),
        0 => (ConnectOutcome::Refused, 5),
        1 => (ConnectOutcome::NetUnreachable, 3),
        2 => (ConnectOutcome::HostUnreachable, 4),
        _ => (ConnectOutcome::NoAnswer, 6),
    }
}

/// Draws the addresses of a name: a good one, perhaps an IPv6 address behind it, and perhaps an
/// address that refuses in front.
fn named_addrs(
    rng: &mut Rng,
    [first, refusing, v6]: [SocketAddr; 3],
    good: ConnectOutcome,
) -> Vec<(SocketAddr, ConnectOutcome)> {
    let mut addrs = vec![(first, good)];
    if rng.bool() {
        let outcomes = [
            ConnectOutcome::Refused,
            ConnectOutcome::NetUnreachable,
            ConnectOutcome::NoAnswer,
            ConnectOutcome::Succeeds,
        ];
        addrs.push((v6, outcomes[rng.usize(..outcomes.len())]));
    }
    if rng.bool() {
        addrs.insert(0, (refusing, ConnectOutcome::Refused));
    }
    addrs
}
