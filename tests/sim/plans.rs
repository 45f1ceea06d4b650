//! The weighted table of actions, and how a life is drawn from it.
//!
//! What a client and its target do follows from the seed alone, never from what the server
//! does: so each plan knows which outcomes are right.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};

use fastrand::Rng;

use crate::faults::Odds;
use crate::lives::{End, Kind, Life, Manner, Pace, Plan, Reach, Stop};

/// The one user of worlds with passwords, and his password.
pub(crate) const CREDENTIAL: (&[u8], &[u8]) = (b"someone", b"open sesame");

/// Every kind with its weight.
const KINDS: [(u32, Kind); 16] = [
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
];

impl Life {
    /// Draws a life. `secured`: the server asks for a password.
    pub(crate) fn new(rng: &mut Rng, number: u8, secured: bool, odds: &Odds) -> Self {
        let kind = draw(rng);
        let mut plan = Plan {
            kind,
            start_ms: rng.u64(..8_000),
            from: SocketAddr::new(
                Ipv4Addr::new(192, 168, 1, rng.u8(10..14)).into(),
                1024 + u16::from(number),
            ),
            hello: Vec::new(),
            pace: if rng.u8(..3) == 0 {
                Pace::Pipelined
            } else {
                Pace::Stepwise
            },
            stop: None,
            manners: manners(rng, kind),
            sites: Vec::new(),
            name: None,
            codes: vec![0],
        };
        plan.destination(rng, number);
        plan.forgive(odds);
        plan.handshake(rng, number, secured);
        plan.leave(rng);
        let dns = odds.dns_loss > 0 || odds.dns_slow > 0 || !odds.exhausted.is_empty();
        let excused = dns && plan.name.is_some();
        let targets = Vec::new();
        Self {
            plan,
            client: None,
            targets,
            target: None,
            excused,
            moved_ms: 0,
            over: false,
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

fn manners(rng: &mut Rng, kind: Kind) -> [Manner; 2] {
    let mut manner = |most: u64| Manner {
        send: rng.u64(..=most),
        echo: false,
        waits: false,
        reads: true,
        chunk: rng.usize(32..400),
        pace_ms: rng.u64(..20),
        end: End::Fin,
    };
    let [mut client, mut target] = [manner(2_000), manner(2_000)];
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

impl Plan {
    /// Draws the target: address or name, and what becomes of an attempt at it.
    fn destination(&mut self, rng: &mut Rng, number: u8) {
        let port = 2000 + u16::from(number);
        let v4 = |n: u8| SocketAddr::new(Ipv4Addr::new(45, 67, n, number).into(), port);
        let v6 = SocketAddr::new(
            Ipv6Addr::new(0x2a00, 0x1234, 0, 0, 0, 0, 0, 1 + u16::from(number)).into(),
            port,
        );
        let named = rng.bool();
        let good = if rng.u8(..4) == 0 {
            Reach::Slow(rng.u64(50..1_500))
        } else {
            Reach::Open
        };
        match self.kind {
            Kind::Forbidden => self.codes = vec![2],
            Kind::Unreachable if named => {
                let dead = ["none", "empty", "fail", "dead"];
                self.name = Some(dead[rng.usize(..dead.len())]);
                self.codes = vec![4, 6];
            }
            Kind::Unreachable | Kind::GivesUp => {
                let (reach, code) = match rng.u8(..4) {
                    _ if self.kind == Kind::GivesUp => (Reach::Hole, 6),
                    0 => (Reach::Refused, 5),
                    1 => (Reach::NoRoute, 3),
                    2 => (Reach::NoHost, 4),
                    _ => (Reach::Hole, 6),
                };
                self.sites
                    .push((if rng.bool() { v4(0) } else { v6 }, reach));
                self.codes = vec![code];
                if self.kind == Kind::GivesUp && named {
                    (self.name, self.codes) = (Some("dead"), vec![4, 6]);
                }
            }
            _ if named => {
                let names = ["good", "good", "alias", "long", "plain"];
                self.name = Some(names[rng.usize(..names.len())]);
                self.sites.push((v4(0), good));
                if rng.bool() {
                    let bad = [Reach::Refused, Reach::NoRoute, Reach::Hole, Reach::Open];
                    self.sites.push((v6, bad[rng.usize(..bad.len())]));
                }
                if rng.bool() {
                    self.sites.insert(0, (v4(1), Reach::Refused));
                }
            }
            _ => self.sites.push((if rng.bool() { v4(0) } else { v6 }, good)),
        }
    }

    /// Addresses that come more than the resolution delay (50 ms, RFC 8305 §3) after those of
    /// the other family are not waited for; so where a truncated answer or a dead server can
    /// make one family late, the failure of the other may be all there is.
    fn forgive(&mut self, odds: &Odds) {
        if self.name == Some("long") || (self.name.is_some() && odds.dns_dead_server) {
            for (_, reach) in &self.sites {
                self.codes.extend(match reach {
                    Reach::Refused => Some(5),
                    Reach::NoRoute => Some(3),
                    Reach::Hole => Some(6),
                    _ => None,
                });
            }
        }
    }

    /// Draws the messages of the handshake.
    fn handshake(&mut self, rng: &mut Rng, number: u8, secured: bool) {
        if self.kind == Kind::Garbage && rng.bool() {
            let mut noise: Vec<u8> = (0..rng.usize(1..300)).map(|_| rng.u8(..)).collect();
            noise[0] = [0, 1, 6, 22, 255][rng.usize(..5)];
            (self.hello, self.codes) = (vec![noise], Vec::new());
            return;
        }
        let login = secured || rng.u8(..4) == 0;
        self.hello.push(match login {
            true if rng.bool() && secured => vec![5, 3, 0, 1, 2],
            true => vec![5, 1, 2],
            false => vec![5, 2, 0, 1],
        });
        if login {
            let (name, mut password) = (CREDENTIAL.0, CREDENTIAL.1.to_vec());
            if self.kind == Kind::WrongPassword && secured {
                password[3] ^= 1;
                self.codes.clear();
            }
            self.hello.push(fields(&[&[1], name, &password]));
        }
        self.hello.push(self.request(rng, number));
        if self.kind == Kind::Garbage {
            (self.codes, self.sites) = ((1..=8).collect(), Vec::new());
            let request = self.hello.last_mut().expect("it has just been pushed");
            request[[0, 1, 3][rng.usize(..3)]] = rng.u8(9..);
        }
        if self.kind == Kind::Dripper {
            self.pace = Pace::Dripping;
        } else if self.kind == Kind::Pipeliner {
            self.pace = Pace::Pipelined;
        }
    }

    fn request(&self, rng: &mut Rng, number: u8) -> Vec<u8> {
        let forbidden = [
            [127, 0, 0, 1],
            [192, 168, 1, 1],
            [10, 0, 0, 5],
            [45, 66, 0, 2],
            [224, 0, 0, 1],
        ];
        let (site, port) = match self.sites.last() {
            Some((site, _)) => (site.ip(), site.port()),
            None => (IpAddr::from(forbidden[rng.usize(..forbidden.len())]), 1080),
        };
        let mut request = vec![5, 1, 0];
        match (self.name, site) {
            (Some(class), _) => {
                request.push(3);
                let name = format!("{class}-{number}.example");
                request.extend(fields(&[&[], name.as_bytes()]));
            }
            (None, IpAddr::V4(v4)) => {
                request.push(1);
                request.extend(v4.octets());
            }
            (None, IpAddr::V6(v6)) => {
                request.push(4);
                request.extend(v6.octets());
            }
        }
        request.extend(port.to_be_bytes());
        request
    }

    /// Draws where the client stops early.
    fn leave(&mut self, rng: &mut Rng) {
        let len: usize = self.hello.iter().map(Vec::len).sum();
        let wait_ms = rng.u64(..1_500);
        self.stop = match self.kind {
            Kind::GivesUp => {
                let end = if rng.bool() { End::Fin } else { End::Reset(0) };
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

/// A head, then each field with its length in front.
fn fields(parts: &[&[u8]]) -> Vec<u8> {
    let mut message = parts[0].to_vec();
    for part in &parts[1..] {
        message.push(u8::try_from(part.len()).unwrap_or(u8::MAX));
        message.extend_from_slice(part);
    }
    message
}
