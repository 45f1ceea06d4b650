//! Draws what a client is going to do.

use std::net::{IpAddr, SocketAddr};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::end::{Manner, Payload};
use super::world::{NO_NAME, Place, STRANGER, TRUSTED, USER, World};
use crate::support::socks4::{request4, request4a};
use crate::support::wire::{GREETING, GREETING_USER, connect_name, request, user_pass};

/// The most bytes that one end sends.
const PAYLOAD_MAX: u64 = 4 << 20;
/// The most datagrams of one association.
const DATAGRAMS_MAX: u32 = 200;

/// What a client asks for.
pub(super) enum Plan {
    /// A tunnel, or to be refused.
    Tunnel(Box<Script>),
    /// An association, and the number of its datagrams.
    Association(u32),
}

/// How a client is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Replies {
    /// SOCKS5: so many bytes for greeting and login, then so many replies.
    Socks5(usize, usize),
    /// SOCKS4: so many replies.
    Socks4(usize),
    /// A head of HTTP: the proxy's own, or the target's.
    Http,
}

/// What becomes of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Outcome {
    /// It gets a tunnel.
    Tunnel,
    /// A peer connects to its listener, and it gets a tunnel.
    Bind,
    /// It is refused, by an answer that ends with this SOCKS5 reply code, or any end.
    Refused(Option<u8>),
    /// It leaves, in one way or the other, before it can have an answer.
    Leaves,
}

/// What a client and its target do.
#[derive(Debug)]
pub(super) struct Script {
    /// The last part of the client's address.
    pub(super) from: u8,
    /// All that the client sends in front of its payload.
    pub(super) handshake: Vec<u8>,
    /// It sends its payload without waiting for the reply.
    pub(super) is_pipelined: bool,
    pub(super) replies: Replies,
    pub(super) outcome: Outcome,
    pub(super) place: Place,
    /// The head of the target's answer, which is to be skipped by the client; and whether the
    /// target gets a head itself.
    pub(super) is_forwarded: bool,
    /// What client and target send.
    pub(super) payloads: [Payload; 2],
    pub(super) manners: [Manner; 2],
}

/// Draws a client.
pub(super) fn plan(rng: &mut Rng, world: &mut World) -> Plan {
    match rng.u8(..100) {
        0..10 => Plan::Association(rng.u32(..DATAGRAMS_MAX)),
        10..22 => Plan::Tunnel(Box::new(refused(rng, world))),
        22..30 => Plan::Tunnel(Box::new(leaving(rng, world))),
        30..38 => Plan::Tunnel(Box::new(bind(rng, world))),
        38..50 => Plan::Tunnel(Box::new(forwarded(rng, world))),
        _ => Plan::Tunnel(Box::new(tunnel(rng, world))),
    }
}

/// A CONNECT in one of the protocols.
fn tunnel(rng: &mut Rng, world: &mut World) -> Script {
    let place = world.place(rng.u8(..4) == 0);
    let mut script = script(rng, world, place);
    let (addr, name) = (script.place.addr, script.place.name.clone());
    let ask = match &name {
        Some(name) => connect_name(name, addr.port()),
        None => request(1, addr),
    };
    match rng.u8(..5) {
        0 => script.handshake = [&GREETING, &ask[..]].concat(),
        1 => {
            script.from = USER;
            script.handshake = [&GREETING_USER, &user_pass(b"ann", b"secret")[..], &ask].concat();
            script.replies = Replies::Socks5(4, 1);
        }
        2 => {
            script.handshake = match &name {
                Some(name) => request4a(1, name, addr.port()),
                None => request4(1, addr, b"ann"),
            };
            script.replies = Replies::Socks4(1);
        }
        http => {
            let host = name.unwrap_or_else(|| addr.ip().to_string());
            let login = if http == 3 {
                script.from = USER;
                LOGIN
            } else {
                ""
            };
            let port = addr.port();
            let head = format!("CONNECT {host}:{port} HTTP/1.1\r\nHost: {host}\r\n{login}\r\n");
            script.handshake = head.into_bytes();
            script.replies = Replies::Http;
        }
    }
    script
}

/// "ann:secret".
const LOGIN: &str = "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n";

/// A POST that is forwarded.
fn forwarded(rng: &mut Rng, world: &mut World) -> Script {
    let place = world.place(rng.bool());
    let mut script = script(rng, world, place);
    let addr = script.place.addr;
    let host = script.place.name.clone();
    let host = host.unwrap_or_else(|| addr.ip().to_string());
    let len = script.payloads[0].len.max(1);
    script.payloads[0].len = len;
    let port = addr.port();
    let head = format!(
        "POST http://{host}:{port}/ HTTP/1.1\r\nHost: {host}\r\nProxy-Connection: close\r\n\
         Content-Length: {len}\r\n\r\n"
    );
    script.handshake = head.into_bytes();
    script.replies = Replies::Http;
    script.is_forwarded = true;
    script.is_pipelined = true;
    // The target answers once it has the request, and the proxy does not read behind its body.
    script.payloads[0].waits = false;
    script.payloads[1].waits = false;
    script.manners[0].drips = false;
    script
}

/// A BIND.
fn bind(rng: &mut Rng, world: &mut World) -> Script {
    let place = world.place(false);
    let mut script = script(rng, world, place);
    let peer = SocketAddr::new(script.place.addr.ip(), 0);
    (script.handshake, script.replies) = if rng.bool() {
        let ask = request(2, peer);
        ([&GREETING, &ask[..]].concat(), Replies::Socks5(2, 2))
    } else {
        (request4(2, peer, b""), Replies::Socks4(2))
    };
    script.outcome = Outcome::Bind;
    script.is_pipelined = false;
    script
}

/// A client that is refused.
fn refused(rng: &mut Rng, world: &mut World) -> Script {
    let place = world.place(false);
    let mut script = script(rng, world, place);
    let mut from = TRUSTED;
    let socks5 = |ask: &[u8]| [&GREETING, ask].concat();
    let (bytes, code) = match rng.u8(..8) {
        0 => (socks5(&request(1, world.refusing.addr)), Some(5)),
        1 => (socks5(&connect_name(NO_NAME, 80)), Some(4)),
        2 => (socks5(&request(9, script.place.addr)), Some(7)),
        3 => (socks5(&[5, 1, 0, 2]), Some(8)),
        4 => (socks5(&request(1, ([224, 0, 0, 1], 80).into())), Some(2)),
        5 => {
            from = STRANGER;
            let login = user_pass(b"ann", b"wrong");
            ([&GREETING_USER, &login[..]].concat(), None)
        }
        6 => (b"GET / HTTP/1.1\r\nHost: a\r\n\r\n".to_vec(), None),
        _ => {
            let mut noise: Vec<u8> = (0..rng.usize(1..600)).map(|_| rng.u8(..)).collect();
            // Nothing that could be the start of a protocol, or a greeting without a method.
            noise[0] = [0, 1, 3, 6, 22, 255][rng.usize(..6)];
            (noise, None)
        }
    };
    (script.handshake, script.from) = (bytes, from);
    script.outcome = Outcome::Refused(code);
    script
}

/// A client that leaves within its handshake, or stays without finishing it.
fn leaving(rng: &mut Rng, world: &mut World) -> Script {
    let mut script = tunnel(rng, world);
    script.outcome = Outcome::Leaves;
    let len = rng.usize(..=script.handshake.len());
    script.handshake.truncate(len);
    script
}

/// What all have in common.
fn script(rng: &mut Rng, world: &World, place: Place) -> Script {
    let payloads = [payload(rng, world), payload(rng, world)];
    let mut script = Script {
        from: TRUSTED,
        handshake: Vec::new(),
        // An end with nothing in front of it would be a client that gives up.
        is_pipelined: rng.u8(..4) == 0 && payloads[0].len > 0,
        replies: Replies::Socks5(2, 1),
        outcome: Outcome::Tunnel,
        place,
        is_forwarded: false,
        payloads,
        manners: [Manner::default(); 2],
    };
    script.manners[0].drips = rng.u8(..6) == 0;
    for manner in &mut script.manners {
        manner.is_slow = rng.u8(..10) == 0;
    }
    match rng.u8(..10) {
        0 => script.payloads[0].waits = true,
        1 => script.payloads[1].waits = true,
        2 => {
            let all = payloads[0].len + payloads[1].len;
            script.manners[rng.usize(..2)].reset_at = Some(rng.u64(..=all / 2));
        }
        _ => {}
    }
    script
}

/// Draws what an end sends: nothing, little, or much, with a pause in it now and then.
fn payload(rng: &mut Rng, world: &World) -> Payload {
    let most = match rng.u8(..20) {
        0..2 => 0,
        2..12 => 2_000,
        12..18 => 100_000,
        _ => PAYLOAD_MAX,
    };
    let stay_ms = u64::try_from(world.stay_max.as_millis()).unwrap();
    let pause = (rng.u8(..8) == 0).then(|| Duration::from_millis(rng.u64(..=stay_ms)));
    Payload {
        seed: rng.u64(..),
        len: rng.u64(..=most),
        waits: false,
        pause: pause.map(|pause| Instant::now() + pause),
    }
}

/// The address that a client connects from.
pub(super) fn source(from: u8) -> IpAddr {
    IpAddr::from([127, 0, 0, from])
}
