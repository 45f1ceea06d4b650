//! Worlds that run after a script, the input of a fuzz target: which bytes clients and targets
//! send and when, how they end, what their tunnels and associations get.
//!
//! A script is any bytes. The first chooses the world, its faults and its tables; then comes one
//! step after the other, a byte that says what is done and one that says by whom. Nothing is known
//! of what the bytes ask for, so a scripted world is judged by what holds for all: the properties
//! of each pass, that each byte of a tunnel is one that was sent, in its place, and that nothing
//! is left in the end. Recorded scripts are in `tests/fuzz/corpus/session`.

use std::env;
#[cfg(test)]
use std::fs;
use std::net::{Ipv4Addr, SocketAddr};
#[cfg(test)]
use std::path::Path;

use anklet::net::{Millis, Signal};
use anklet::server::Server;
use fastrand::Rng;

use crate::clients::scenario::{Client, ConnectOutcome, Dialect, End, Kind};
use crate::clients::udp_scenario::UdpScenario;
use crate::faults::Odds;
use crate::network::channel::payload;
use crate::network::datagram::Datagram;
use crate::network::server_end::SEND_BUFFER_BYTES;
use crate::network::{Network, SimEvent};
use crate::properties::resources;
use crate::run::{pass, server, stop};
use crate::world::{Actor, LISTENERS, World};

/// If this variable of the environment is set, all that happens is printed.
const TRACE: &str = "ANKLET_SIM_TRACE";

/// The number of clients at most.
const CLIENTS_MAX: usize = 12;
/// The number of steps at most.
const STEPS_MAX: usize = 400;
/// The time between two steps that do not wait.
const STEP_MS: Millis = 2;
/// Every timeout is shorter.
const AFTERMATH_MS: Millis = 120_000;
/// More bytes than the replies of any handshake have.
const REPLIES_MAX: usize = 64;

/// How long a step waits, at its choice.
const WAITS_MS: [Millis; 8] = [1, 5, 20, 100, 500, 2_500, 11_000, 62_000];

/// Messages that a step may send as they are.
const MESSAGES: [&[u8]; 15] = [
    &[5, 1, 0],
    &[5, 2, 0, 2],
    b"\x01\x07someone\x0bopen sesame",
    b"\x01\x07someone\x0bopen-sesame",
    &[5, 1, 0, 1, 45, 67, 0, 0, 7, 208],
    b"\x05\x01\x00\x03\x0cgood.example\x07\xd0",
    b"\x05\x01\x00\x03\x0cnone.example\x07\xd0",
    &[5, 2, 0, 1, 45, 67, 0, 0, 0, 0],
    &[5, 3, 0, 1, 0, 0, 0, 0, 0, 0],
    b"\x04\x01\x07\xd0\x2d\x43\x00\x00me\x00",
    b"\x04\x02\x07\xd0\x00\x00\x00\x01\x00good.example\x00",
    b"CONNECT 45.67.0.0:2000 HTTP/1.1\r\nHost: a\r\n\r\n",
    b"POST http://good.example/ HTTP/1.1\r\nHost: a\r\nContent-Length: 9\r\n\r\n",
    b"POST http://45.67.0.0/ HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n\r\n",
    b"Proxy-Authorization: Basic c29tZW9uZTpvcGVuIHNlc2FtZQ==\r\n\r\n",
];

/// What becomes of an attempt to connect: the last part of the address says so.
pub(crate) fn connect_outcome(to: SocketAddr) -> ConnectOutcome {
    let last = match to {
        SocketAddr::V4(to) => to.ip().octets()[3],
        SocketAddr::V6(to) => to.ip().octets()[15],
    };
    match last % 8 {
        0..=2 => ConnectOutcome::Succeeds,
        3 => ConnectOutcome::SucceedsAfter(700),
        4 => ConnectOutcome::Refused,
        5 => ConnectOutcome::NetUnreachable,
        6 => ConnectOutcome::HostUnreachable,
        _ => ConnectOutcome::NoAnswer,
    }
}

/// What the name servers say: the RCODE, and an address, for that name.
pub(crate) fn answer(name: &str) -> (u8, Option<[u8; 4]>) {
    match name.as_bytes().first() {
        Some(b'n') => (3, None),
        Some(b'f') => (2, None),
        Some(b'e') | None => (0, None),
        Some(byte) => (0, Some([45, 67, 0, byte & 7])),
    }
}

/// Runs a script.
///
/// # Panics
/// When a property does not hold.
pub(crate) fn target(script: &[u8]) {
    if let Err(text) = run(script) {
        panic!("{text}");
    }
}

fn run(script: &[u8]) -> Result<(), String> {
    let mut bytes = script.iter().copied();
    let mut script = Script::new(bytes.next().unwrap_or_default());
    let mut server = server(&script.world);
    let nothing = server.census();
    for _ in 0..STEPS_MAX {
        let (Some(what), Some(who)) = (bytes.next(), bytes.next()) else {
            break;
        };
        let wait_ms = script.step(what, usize::from(who), &mut bytes);
        script.pass_until(&mut server, wait_ms)?;
        script.read_all()?;
    }
    script.leave();
    script.pass_until(&mut server, AFTERMATH_MS)?;
    resources::check_all_given_back(&script.world.network(), &server.census(), &nothing)?;
    stop(&script.world, server)
}

/// A world and what has been sent and received in it so far, by the numbers of sockets.
struct Script {
    world: World,
    sent: Vec<Vec<u8>>,
    received: Vec<Vec<u8>>,
}

impl Script {
    /// The world of a number: every other one has faults.
    fn new(choice: u8) -> Self {
        let world = World::new(choice.into(), false);
        let mut rng = Rng::with_seed(choice.into());
        let odds = match choice % 2 {
            0 => Odds {
                queue_bytes: (400, 400),
                latency_ms: 1,
                udp_queue_datagrams: (4, 4),
                ..Odds::calm()
            },
            _ => Odds::new(&mut rng),
        };
        let network = Network::new(rng, odds, env::var_os(TRACE).is_some());
        let drawn = std::mem::replace(&mut *world.network(), network);
        {
            let mut network = world.network();
            network.is_scripted = true;
            network.checks.strict = drawn.checks.strict;
            network.checks.small_tables = drawn.checks.small_tables;
            network.checks.timeouts = drawn.checks.timeouts;
            network.tables.limits = drawn.tables.limits;
        }
        Self {
            world,
            sent: Vec::new(),
            received: Vec::new(),
        }
    }

    /// Does one step. Returns how long to wait behind it.
    fn step(&mut self, what: u8, who: usize, bytes: &mut impl Iterator<Item = u8>) -> Millis {
        match what % 16 {
            0 | 1 => self.connect(who),
            2 | 3 => {
                let message = MESSAGES[usize::from(what / 16) % MESSAGES.len()];
                self.send(who, message);
            }
            4 => {
                let message: Vec<u8> = bytes.take(usize::from(what / 16) * 4 + 1).collect();
                self.send(who, &message);
            }
            5 => {
                let mut message = vec![0; usize::from(what / 16) * 40 + 1];
                payload(who as u64, 0, &mut message);
                self.send(who, &message);
            }
            6 => self.end(who, Network::peer_ends),
            7 => self.end(who, Network::peer_closes),
            8 => self.end(who, Network::peer_resets),
            9 => self.end(who, Network::peer_vanishes),
            10 => self.join(who),
            11 => self.datagram(who, what / 16, bytes),
            12 if what / 16 < 2 => {
                let signals = [Signal::Reload, Signal::Report];
                self.world.raise(signals[usize::from(what / 16)]);
            }
            _ => return WAITS_MS[usize::from(what / 16) % WAITS_MS.len()],
        }
        STEP_MS
    }

    /// A client connects.
    fn connect(&self, who: usize) {
        let inner = &mut *self.world.0.borrow_mut();
        let network = &mut inner.network;
        let number = network.clients.len();
        if number == CLIENTS_MAX {
            return;
        }
        let client = client(network, u8::try_from(number).unwrap_or(0), who);
        let listener = LISTENERS[network.sockets.len() % LISTENERS.len()];
        let at = (listener, client.scenario.from);
        network.clients.push(client);
        let s = network.open(Some(number), at, 0);
        network.clients[number].connection = Some(s);
        let latency = network.latency();
        network.schedule(latency, SimEvent::Arrive(s));
        inner.actors.push(Actor::Nobody);
    }

    /// A peer connects to the listener of a BIND.
    fn join(&self, who: usize) {
        let inner = &mut *self.world.0.borrow_mut();
        let network = &mut inner.network;
        let listeners = network.bind_listeners.iter().enumerate();
        let open: Vec<usize> = listeners
            .filter(|(_, listener)| !listener.dropped)
            .map(|(d, _)| d)
            .collect();
        let Some(d) = pick(&open, who) else {
            return;
        };
        let (client, local) = (
            network.bind_listeners[d].client,
            network.bind_listeners[d].local,
        );
        let peer = SocketAddr::from(([45, 67, 0, u8::try_from(who % 2).unwrap_or(0)], 3000));
        if local.is_ipv4() {
            let s = network.open(Some(client), (local, peer), SEND_BUFFER_BYTES);
            network.clients[client].targets.push(s);
            inner.actors.push(Actor::Nobody);
            network.join_backlog(d, s);
        }
    }

    /// A datagram comes to a socket of an association: from its client, or from somewhere.
    fn datagram(&self, who: usize, kind: u8, bytes: &mut impl Iterator<Item = u8>) {
        let network = &mut *self.world.network();
        let sockets = network.udp_sockets.iter().enumerate();
        let open: Vec<usize> = sockets
            .filter(|(_, socket)| !socket.dropped)
            .map(|(p, _)| p)
            .collect();
        let Some(p) = pick(&open, who) else {
            return;
        };
        let socket = &network.udp_sockets[p];
        let (to, client) = (socket.local, &network.clients[socket.client].scenario);
        let (ip, port) = if socket.is_inner() {
            (client.from.ip(), 60_000 + u16::from(kind & 1))
        } else {
            (Ipv4Addr::new(45, 67, 1, kind & 3).into(), 4000)
        };
        let mut message: Vec<u8> = match kind >> 1 {
            0..=2 => vec![0, 0, 0, 1, 45, 67, 1, kind & 3, 0x0f, 0xa0],
            3 => b"\0\0\0\x03\x0cgood.example\x0f\xa0".to_vec(),
            _ => Vec::new(),
        };
        message.extend(bytes.take(usize::from(kind) + 4));
        network.udp_arrives(
            p,
            Datagram {
                from: SocketAddr::new(ip, port),
                to,
                bytes: message,
                number: None,
            },
        );
    }

    /// The far end of a socket sends what fits.
    fn send(&mut self, who: usize, bytes: &[u8]) {
        let Some(s) = self.open_end(who) else {
            return;
        };
        let network = &mut *self.world.network();
        let len = network.peer_send(s, bytes);
        grown(&mut self.sent, s).extend(&bytes[..len]);
        let of_client = network.sockets[s]
            .client
            .map(|client| &mut network.clients[client]);
        if let Some(client) = of_client.filter(|client| client.connection == Some(s)) {
            let first = self.sent[s].first();
            if first.is_some_and(|byte| byte.is_ascii_alphabetic() || b"\r\n".contains(byte)) {
                let is_tunnel = b"CONNECT ".iter().zip(&self.sent[s]).all(|(a, b)| a == b);
                client.scenario.dialect = match is_tunnel {
                    true => Dialect::Connect,
                    false => Dialect::Forward,
                };
            }
        }
    }

    /// The far end of a socket ends.
    fn end(&self, who: usize, end: fn(&mut Network, usize)) {
        if let Some(s) = self.open_end(who) {
            let network = &mut *self.world.network();
            network.sockets[s].progress.fin = true;
            end(network, s);
        }
    }

    /// A socket whose far end may send.
    fn open_end(&self, who: usize) -> Option<usize> {
        let network = self.world.network();
        let sockets = network.sockets.iter().enumerate();
        let open: Vec<usize> = sockets
            .filter(|(_, socket)| {
                let is_open = !socket.connecting && !socket.progress.fin && !socket.broken;
                is_open && !socket.vanished && socket.client.is_some()
            })
            .map(|(s, _)| s)
            .collect();
        pick(&open, who)
    }

    /// Runs the server for so long.
    fn pass_until(&self, server: &mut Server<World>, wait_ms: Millis) -> Result<(), String> {
        if self.world.network().sockets.is_empty() {
            return Ok(());
        }
        // An event that means nothing to anybody, so that the clock does not run on.
        let until = self.world.network().now + wait_ms;
        self.world
            .network()
            .schedule(wait_ms, SimEvent::Deadline(0));
        while self.world.network().now < until {
            pass(&self.world, server)?;
        }
        Ok(())
    }

    /// The far ends read all that has come, and look at it.
    fn read_all(&mut self) -> Result<(), String> {
        let network = &mut *self.world.network();
        let mut buf = [0; 1024];
        for s in 0..network.sockets.len() {
            if network.sockets[s].client.is_none() || network.sockets[s].vanished {
                continue;
            }
            let len = network.peer_receive(s, &mut buf);
            grown(&mut self.received, s).extend(&buf[..len]);
        }
        for client in &network.clients {
            self.check_tunnel(client)?;
        }
        Ok(())
    }

    /// What a target has is what its client has sent, from some byte on; what the client has behind
    /// its replies is what a target has sent. Heads of forwarded requests, and of answers to them,
    /// are written anew.
    fn check_tunnel(&self, client: &Client) -> Result<(), String> {
        let of = |all: &[Vec<u8>], s: usize| all.get(s).cloned().unwrap_or_default();
        let Some(connection) = client.connection else {
            return Ok(());
        };
        let (sent, received) = (of(&self.sent, connection), of(&self.received, connection));
        let mut is_known = received.len() <= REPLIES_MAX;
        for target in &client.targets {
            let (down, up) = (of(&self.sent, *target), of(&self.received, *target));
            let is_sent = up.is_empty() || sent.windows(up.len()).any(|window| window == up);
            if !is_sent && !client.scenario.dialect.is_http() {
                return Err(format!("target {target} has bytes of nobody: {up:?}"));
            }
            is_known |= (0..=REPLIES_MAX.min(received.len()))
                .any(|replies| down.starts_with(&received[replies..]));
        }
        if client.scenario.dialect == Dialect::Forward {
            return Ok(());
        }
        // Refusals of HTTP have a text.
        let is_refusal = [b"HTTP/1.1 4", b"HTTP/1.1 5"]
            .iter()
            .any(|start| received.starts_with(*start));
        if is_known || is_refusal && client.scenario.dialect.is_http() {
            Ok(())
        } else {
            Err(format!(
                "client {connection} has bytes of nobody: {received:?}"
            ))
        }
    }

    /// All clients and targets leave.
    fn leave(&self) {
        let network = &mut *self.world.network();
        network.checks.closing = true;
        for s in 0..network.sockets.len() {
            if network.sockets[s].client.is_some() && !network.sockets[s].peer_closed {
                network.peer_resets(s);
            }
        }
    }
}

/// A client whose bytes are in the script: whatever they ask for, they may.
fn client(network: &Network, number: u8, who: usize) -> Client {
    let mut client = Client::new(&mut Rng::with_seed(0), number, false, &network.odds);
    let host = 10 + u8::try_from(who % 4).unwrap_or(0);
    let scenario = &mut client.scenario;
    scenario.kind = Kind::Garbage;
    scenario.from = SocketAddr::from(([192, 168, 1, host], 1024 + u16::from(number)));
    scenario.dialect = Dialect::Socks5;
    scenario.web = None;
    scenario.bind_peers = Some(Vec::new());
    scenario.udp = Some(UdpScenario {
        remotes: Vec::new(),
        actions: Vec::new(),
        hint: 0,
        end: End::Never,
    });
    client
}

/// One of several.
fn pick(all: &[usize], who: usize) -> Option<usize> {
    all.get(who.checked_rem(all.len())?).copied()
}

/// The bytes of a socket.
fn grown(all: &mut Vec<Vec<u8>>, s: usize) -> &mut Vec<u8> {
    if all.len() <= s {
        all.resize(s + 1, Vec::new());
    }
    &mut all[s]
}

#[test]
fn every_recorded_script_keeps_all_properties() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/fuzz/corpus/session");
    let mut scripts = 0;
    for entry in fs::read_dir(folder).expect("it is committed") {
        let path = entry.expect("it can be read").path();
        let script = fs::read(&path).expect("it can be read");
        // It is shown if the next line panics.
        println!("{}", path.display());
        target(&script);
        scripts += 1;
    }
    assert!(scripts > 5, "hardly any script");
}
