//! Draws the scenario of each client: its kind from a weighted table, then all else that it and its
//! target are going to do.
//!
//! A scenario follows from the seed alone, never from what the server does: so it is known
//! beforehand which outcomes are right.

mod behaviours;
mod bind_peers;
mod handshake;
mod http;
mod targets;
mod udp;

use std::net::{Ipv4Addr, SocketAddr};

use fastrand::Rng;

use self::behaviours::behaviours;
use crate::clients::scenario::{Client, Dialect, End, Kind, Pace, Scenario, Stop};
use crate::clients::web::Served;
use crate::faults::Odds;

/// The name and the password of the one user in worlds with a password.
pub(crate) const CREDENTIAL: (&[u8], &[u8]) = (b"someone", b"open sesame");

/// Every kind with its weight.
const KINDS: [(u32, Kind); 17] = [
    (30, Kind::Transfer),
    (8, Kind::Dripper),
    (10, Kind::Pipeliner),
    (10, Kind::HalfCloser),
    (6, Kind::NeverReader),
    (4, Kind::TargetNeverReads),
    (7, Kind::Vanisher),
    (6, Kind::BrokenTarget),
    (4, Kind::Garbage),
    (3, Kind::WrongPassword),
    (8, Kind::Unreachable),
    (7, Kind::GivesUp),
    (3, Kind::Idler),
    (3, Kind::Trickler),
    (3, Kind::Unfinished),
    (3, Kind::Forbidden),
    (20, Kind::UdpAssociation),
];

impl Client {
    /// Draws a client. `needs_password`: the server asks for a password.
    pub(crate) fn new(rng: &mut Rng, number: u8, needs_password: bool, odds: &Odds) -> Self {
        let kind = draw(rng);
        let mut scenario = Scenario {
            kind,
            start_ms: rng.u64(..8_000),
            from: SocketAddr::new(
                Ipv4Addr::new(192, 168, 1, rng.u8(10..14)).into(),
                1024 + u16::from(number),
            ),
            dialect: dialect(rng, kind),
            bind_peers: None,
            any_peer: false,
            udp: None,
            web: None,
            handshake: Vec::new(),
            pace: if rng.u8(..3) == 0 {
                Pace::Pipelined
            } else {
                Pace::Stepwise
            },
            stop: None,
            behaviours: behaviours(rng, kind),
            target_addrs: Vec::new(),
            name: None,
            codes: vec![0],
        };
        if scenario.kind == Kind::UdpAssociation {
            scenario.dialect = Dialect::Socks5;
        }
        scenario.draw_target(rng, number);
        scenario.allow_late_answers(odds);
        if scenario.kind == Kind::UdpAssociation {
            scenario.draw_udp(rng, number);
        } else {
            scenario.draw_bind_peers(rng, number);
        }
        scenario.draw_handshake(rng, number, needs_password);
        scenario.draw_stop(rng);
        let exchanges = scenario.web.as_ref().map_or(0, |web| web.exchanges.len());
        let dns = odds.dns_loss > 0 || odds.dns_slow > 0 || !odds.exhausted.is_empty();
        // A datagram to a name need not arrive, so a UDP association needs no excuse.
        let faulted = dns && scenario.name.is_some() && scenario.udp.is_none();
        let targets = Vec::new();
        Self {
            scenario,
            connection: None,
            targets,
            target: None,
            winner: None,
            served: vec![Served::default(); exchanges],
            deliveries: Vec::new(),
            inner: None,
            bind_listener: None,
            faulted,
            cut: false,
            moved_ms: 0,
            done: false,
            complete: false,
        }
    }
}

/// Draws the kind of a client, by weight.
fn draw(rng: &mut Rng) -> Kind {
    let all: u32 = KINDS.iter().map(|(weight, _)| weight).sum();
    let mut left = rng.u32(..all);
    for (weight, kind) in KINDS {
        if left < weight {
            return kind;
        }
        left -= weight;
    }
    Kind::Transfer
}

/// Draws the protocol of a client of that kind.
fn dialect(rng: &mut Rng, kind: Kind) -> Dialect {
    use Kind::{HalfCloser, Idler, NeverReader, Trickler};
    let tunnel = matches!(kind, HalfCloser | Idler | NeverReader | Trickler);
    match rng.u8(..13) {
        0..=2 => Dialect::Socks4,
        3..=4 => Dialect::Connect,
        5..=7 if !tunnel => Dialect::Forward,
        5..=7 => Dialect::Connect,
        _ => Dialect::Socks5,
    }
}

impl Scenario {
    /// Draws where the client stops early.
    fn draw_stop(&mut self, rng: &mut Rng) {
        let len: usize = self.handshake.iter().map(Vec::len).sum();
        let wait_ms = rng.u64(..1_500);
        self.stop = match self.kind {
            Kind::GivesUp => {
                // Who pipes a request into its connection ends with it, and waits for an answer.
                let fin = rng.bool() && !self.dialect.is_http();
                let end = if fin { End::Fin } else { End::Reset(0) };
                self.pace = Pace::Stepwise;
                Some(Stop {
                    after: len,
                    wait_ms: wait_ms + 200,
                    end,
                })
            }
            Kind::Unfinished => Some(Stop {
                after: rng.usize(..len),
                wait_ms: 0,
                end: End::Never,
            }),
            Kind::Vanisher if rng.bool() => {
                let ends = [End::Fin, End::Reset(0), End::Vanish(0)];
                let end = ends[rng.usize(..ends.len())];
                Some(Stop {
                    after: rng.usize(..=len),
                    wait_ms,
                    end,
                })
            }
            _ => None,
        };
    }
}
