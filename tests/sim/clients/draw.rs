//! The weighted table of actions, and how a client is drawn from it.
//!
//! What a client and its target do follows from the seed alone, never from what the server
//! does: so each scenario knows which outcomes are right.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

use crate::clients::scenario::{
    Behaviour, BindPeer, Client, ConnectOutcome, Dialect, End, Kind, Pace, Scenario, Stop,
};
use crate::faults::Odds;
use crate::network::channel::payload;

/// The one user of worlds with passwords, and his password.
pub(crate) const CREDENTIAL: (&[u8], &[u8]) = (b"someone", b"open sesame");

/// Every kind with its weight.
const KINDS: [(u32, Kind); 17] = [
    (30, Kind::Transfer),
    (8, Kind::Dripper),
    (10, Kind::Pipeliner),
    (10, Kind::HalfCloser),
    (6, Kind::NeverReader),
    (4, Kind::DeafTarget),
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
            dialect: dialect(rng, kind, number),
            bind_peers: None,
            from_anywhere: false,
            udp: None,
            forward: None,
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
        if scenario.dialect == Dialect::Forward {
            scenario.draw_forwarded_answer(rng);
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
        let dns = odds.dns_loss > 0 || odds.dns_slow > 0 || !odds.exhausted.is_empty();
        // Nothing is expected of a datagram to a name.
        let faulted = dns && scenario.name.is_some() && scenario.udp.is_none();
        let targets = Vec::new();
        Self {
            scenario,
            connection: None,
            targets,
            target: None,
            winner: None,
            deliveries: Vec::new(),
            inner: None,
            bind_listener: None,
            faulted,
            moved_ms: 0,
            done: false,
            complete: false,
        }
    }
}

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

/// What a client of that kind speaks.
fn dialect(rng: &mut Rng, kind: Kind, number: u8) -> Dialect {
    use Kind::{HalfCloser, Idler, NeverReader, Trickler};
    // A forwarded request is answered once, and its client takes a first byte that is an H for
    // a refusal.
    let mut first = [0];
    payload(u64::from(number) * 2 + 1, 0, &mut first);
    let tunnel = matches!(kind, HalfCloser | Idler | NeverReader | Trickler);
    match rng.u8(..13) {
        0..=2 => Dialect::Socks4,
        3..=4 => Dialect::Connect,
        5..=7 if !tunnel && first != *b"H" => Dialect::Forward,
        5..=7 => Dialect::Connect,
        _ => Dialect::Socks5,
    }
}

fn behaviours(rng: &mut Rng, kind: Kind) -> [Behaviour; 2] {
    let mut behaviour = |most: u64| Behaviour {
        send: rng.u64(..=most),
        echo: false,
        waits: false,
        reads: true,
        chunk: rng.usize(32..400),
        pace_ms: rng.u64(..20),
        end: End::Fin,
    };
    let [mut client, mut target] = [behaviour(2_000), behaviour(2_000)];
    match kind {
        Kind::Transfer | Kind::Pipeliner => match rng.u8(..4) {
            0 => (target.echo, target.end) = (true, End::AfterOther),
            1 => client.end = End::AfterOther,
            2 => (target.send, target.end) = (0, End::AfterOther),
            _ => {}
        },
        Kind::Dripper => {
            (client.chunk, client.send) = (1, client.send / 8);
            (target.echo, target.end) = (true, End::AfterOther);
        }
        Kind::HalfCloser if rng.bool() => (target.waits, target.end) = (true, End::AfterOther),
        Kind::HalfCloser => (client.waits, client.end) = (true, End::AfterOther),
        Kind::NeverReader => {
            (client.reads, client.end, target.send) = (false, End::Never, 40_000);
        }
        Kind::DeafTarget => (target.reads, target.end, client.send) = (false, End::Never, 40_000),
        Kind::Vanisher | Kind::BrokenTarget => {
            let at = rng.u64(..=client.send + target.send / 2);
            let end = if rng.u8(..3) == 0 {
                End::Vanish(at)
            } else {
                End::Reset(at)
            };
            let leaver = if kind == Kind::Vanisher {
                &mut client
            } else {
                &mut target
            };
            leaver.end = end;
        }
        Kind::Trickler => {
            // Four steps: 60 s are the idle timeout, 30 s that of a half-closed tunnel.
            (client.send, target.send) = (4 * client.chunk as u64, 4 * target.chunk as u64);
            (client.pace_ms, target.pace_ms) = (35_000, 35_000);
            if rng.bool() {
                (client.send, target.pace_ms) = (0, 20_000);
            } else {
                (target.echo, target.end, target.pace_ms) = (true, End::AfterOther, 0);
            }
        }
        Kind::Idler => {
            client.send /= 8;
            client.end = if rng.bool() { End::Never } else { End::Fin };
            target.end = End::Never;
            target.send /= 8;
        }
        _ => {}
    }
    [client, target]
}

impl Scenario {
    /// The target of a forwarded request answers, at once or when it has the request, and ends.
    fn draw_forwarded_answer(&mut self, rng: &mut Rng) {
        let dripping = self.kind == Kind::Dripper;
        let target = &mut self.behaviours[1];
        target.echo = false;
        target.send = if dripping {
            target.send / 8
        } else {
            target.send
        }
        .max(1);
        target.waits = target.reads && rng.bool();
        if target.end == End::AfterOther {
            target.end = End::Fin;
        }
    }

    /// Draws whether the target comes to the client: who comes, and when.
    fn draw_bind_peers(&mut self, rng: &mut Rng, number: u8) {
        let socks = matches!(self.dialect, Dialect::Socks5 | Dialect::Socks4);
        let told = !matches!(self.kind, Kind::Garbage | Kind::WrongPassword);
        if !socks || !told || rng.u8(..4) > 0 {
            return;
        }
        let mut bind_peers = Vec::new();
        // Now and then they come together.
        let together_ms = rng.u64(..3_000);
        let when = |rng: &mut Rng| {
            if rng.bool() {
                together_ms
            } else {
                rng.u64(..3_000)
            }
        };
        self.from_anywhere = rng.u8(..4) == 0;
        for unexpected in 0..rng.u8(..4) {
            // Of the Internet, or of a private network, which nobody may reach.
            let nets = [[10, 0, 0, 5], [45, 99, 0, number]];
            let nets = if self.from_anywhere {
                &nets[..1]
            } else {
                &nets
            };
            let from =
                SocketAddr::from((nets[rng.usize(..nets.len())], 999 + u16::from(unexpected)));
            bind_peers.push(BindPeer {
                from,
                after_ms: when(rng),
                expected: false,
            });
        }
        // A peer that could be dialled comes; so does, for a name, only the one address.
        let comes = !matches!(
            self.kind,
            Kind::Unreachable | Kind::GivesUp | Kind::Forbidden
        );
        if comes {
            let good = |(_, connect_outcome): &&(SocketAddr, ConnectOutcome)| {
                matches!(
                    connect_outcome,
                    ConnectOutcome::Open | ConnectOutcome::Slow(_)
                )
            };
            self.target_addrs = self
                .target_addrs
                .iter()
                .find(good)
                .into_iter()
                .copied()
                .collect();
            for again in 0..=u64::from(rng.u8(..4) == 0) {
                let Some((addr, _)) = self.target_addrs.first() else {
                    break;
                };
                let after_ms = when(rng) + again;
                let from = SocketAddr::new(addr.ip(), rng.u16(1024..));
                bind_peers.push(BindPeer {
                    from,
                    after_ms,
                    expected: true,
                });
            }
            self.codes = vec![0];
            // SOCKS4 cannot say where else a listener is; who is not told does not come.
            if self.dialect == Dialect::Socks4
                && self.target_addrs.iter().any(|(addr, _)| addr.is_ipv6())
            {
                bind_peers.retain(|peer| !peer.expected);
                self.codes = vec![6];
            }
        } else if self.name.is_none() && self.kind != Kind::Forbidden {
            self.codes = vec![6];
        }
        self.bind_peers = Some(bind_peers);
    }

    /// Draws the target: address or name, and what becomes of an attempt at it.
    fn draw_target(&mut self, rng: &mut Rng, number: u8) {
        let port = 2000 + u16::from(number);
        let v4 = |n: u8| SocketAddr::new(Ipv4Addr::new(45, 67, n, number).into(), port);
        let v6 = SocketAddr::new(
            Ipv6Addr::new(0x2a00, 0x1234, 0, 0, 0, 0, 0, 1 + u16::from(number)).into(),
            port,
        );
        let named = rng.bool();
        // SOCKS4 has no other addresses.
        let v6 = if self.dialect == Dialect::Socks4 && !named {
            v4(2)
        } else {
            v6
        };
        let good = if rng.u8(..4) == 0 {
            ConnectOutcome::Slow(rng.u64(50..1_500))
        } else {
            ConnectOutcome::Open
        };
        match self.kind {
            Kind::Forbidden => self.codes = vec![2],
            Kind::Unreachable if named => {
                let dead = ["none", "empty", "fail", "dead"];
                self.name = Some(dead[rng.usize(..dead.len())]);
                self.codes = vec![4, 6];
            }
            Kind::Unreachable | Kind::GivesUp => {
                let (connect_outcome, code) = match rng.u8(..4) {
                    _ if self.kind == Kind::GivesUp => (ConnectOutcome::Hole, 6),
                    0 => (ConnectOutcome::Refused, 5),
                    1 => (ConnectOutcome::NoRoute, 3),
                    2 => (ConnectOutcome::NoHost, 4),
                    _ => (ConnectOutcome::Hole, 6),
                };
                self.target_addrs
                    .push((if rng.bool() { v4(0) } else { v6 }, connect_outcome));
                self.codes = vec![code];
                if self.kind == Kind::GivesUp && named {
                    (self.name, self.codes) = (Some("dead"), vec![4, 6]);
                }
            }
            _ if named => {
                let names = ["good", "good", "alias", "long", "plain"];
                self.name = Some(names[rng.usize(..names.len())]);
                self.target_addrs.push((v4(0), good));
                if rng.bool() {
                    let bad = [
                        ConnectOutcome::Refused,
                        ConnectOutcome::NoRoute,
                        ConnectOutcome::Hole,
                        ConnectOutcome::Open,
                    ];
                    self.target_addrs.push((v6, bad[rng.usize(..bad.len())]));
                }
                if rng.bool() {
                    self.target_addrs
                        .insert(0, (v4(1), ConnectOutcome::Refused));
                }
            }
            _ => self
                .target_addrs
                .push((if rng.bool() { v4(0) } else { v6 }, good)),
        }
    }

    /// Addresses that come more than the resolution delay (50 ms, RFC 8305 §3) after those of
    /// the other family are not waited for; so where a truncated answer or a dead server can
    /// make one family late, the failure of the other may be all there is.
    fn allow_late_answers(&mut self, odds: &Odds) {
        if self.name == Some("long") || (self.name.is_some() && odds.dns_dead_server) {
            for (_, connect_outcome) in &self.target_addrs {
                self.codes.extend(match connect_outcome {
                    ConnectOutcome::Refused => Some(5),
                    ConnectOutcome::NoRoute => Some(3),
                    ConnectOutcome::Hole => Some(6),
                    _ => None,
                });
            }
        }
    }

    /// Draws where the client stops early.
    fn draw_stop(&mut self, rng: &mut Rng) {
        let len: usize = self.handshake.iter().map(Vec::len).sum();
        let wait_ms = rng.u64(..1_500);
        self.stop = match self.kind {
            Kind::GivesUp => {
                // A forwarded request waits for its target, whatever its client still sends.
                let fin = rng.bool() && self.forward.is_none();
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
