//! The seeded world: the network, the actors at the other ends of the server's connections, and the
//! server's configuration. The server uses it through `network/net.rs`, where time passes.

use std::cell::{RefCell, RefMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use anklet::config::dns::DnsSettings;
use anklet::config::{Asked, Config, Limits, RelayOptions, Sources, Timeouts};
use anklet::net::{Event, Millis, Signal};
use anklet::state::access::Policy;
use anklet::state::users::Users;
use fastrand::Rng;

use crate::clients::client_actor::ClientActor;
use crate::clients::draw::CREDENTIAL;
use crate::clients::scenario::Client;
use crate::clients::tunnel_end::TunnelEnd;
use crate::clients::web::WebServer;
use crate::faults::Odds;
use crate::network::interfaces::Interfaces;
use crate::network::late_listener::LateListener;
use crate::network::name_server::{NAME_SERVERS, NameServer};
use crate::network::pipe::Pipes;
use crate::network::server_end::SEND_BUFFER_BYTES;
use crate::network::{Network, SimEvent, Source};

/// The server's address in the Internet, IPv4: outgoing connections come from it.
pub(crate) const WAN_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(45, 66, 0, 2));
/// The server's address in the Internet, IPv6.
pub(crate) const WAN_V6: IpAddr = IpAddr::V6(Ipv6Addr::new(0x2a00, 0x9999, 0, 0, 0, 0, 0, 2));

/// The server's address in the LAN.
pub(crate) const LAN_V4: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 1));

/// The server's listeners: two, so that events of one say nothing of the other.
pub(crate) const LISTENERS: [SocketAddr; 2] =
    [SocketAddr::new(LAN_V4, 1080), SocketAddr::new(LAN_V4, 1081)];

/// How long each state may last: less than by default, so that a world soon comes to its end.
const TIMEOUTS: Timeouts = Timeouts {
    handshake_ms: 10_000,
    connect_ms: 15_000,
    idle_ms: 60_000,
    half_close_ms: 30_000,
    udp_ms: 45_000,
    bind_ms: 20_000,
    peer_ms: 0,
};

/// When all clients leave. Every client that ends by itself has ended by then: the last one begins
/// at 8 s, and a tunnel may be idle for 60 s; the slowest takes 125 s.
const LEAVE_MS: Millis = 150_000;

/// After this much time without clients nothing may be left: every timeout is shorter.
const AFTERMATH_MS: Millis = 120_000;

/// The number of clients in one world, at least and at most.
const CLIENTS: (u8, u8) = (12, 32);

/// The world, shared by the server, its handles and the test.
#[derive(Clone)]
pub(crate) struct World(pub(crate) Rc<RefCell<Inner>>);

/// The network, and the actors in it.
pub(crate) struct Inner {
    /// The network.
    pub(crate) network: Network,
    /// The actor at the other end of each connection, by the number of its socket.
    pub(crate) actors: Vec<Actor>,
    /// Nothing is going to happen any more.
    pub(crate) done: bool,
    needs_password: bool,
    limits: Limits,
    timeouts: Timeouts,
}

/// Who acts at the other end of a connection.
pub(crate) enum Actor {
    /// A client, which has connected to the server.
    Client(Box<ClientActor>),
    /// A target, of a tunnel or a connect.
    Target(TunnelEnd),
    /// A server, whose client sends HTTP requests.
    Web(WebServer),
    /// An unexpected peer, which connects to the listener of a BIND.
    UnexpectedPeer,
    /// A name server, over TCP.
    NameServer(NameServer),
    /// Nobody: a test acts.
    Nobody,
}

impl World {
    /// The world of a seed.
    pub(crate) fn new(seed: u64, trace: bool) -> Self {
        let mut rng = Rng::with_seed(seed);
        let mut odds = Odds::new(&mut rng);
        // From numbers of their own, so that the rest of the world is what it would be without.
        let mut own = Rng::with_seed(!seed);
        odds.draw_shortages(&mut own);
        odds.draw_offload(&mut own);
        let needs_password = rng.bool();
        let clients = rng.u8(CLIENTS.0..=CLIENTS.1);
        let small_tables = rng.u8(..4) > 0;
        let limits = limits(&mut rng, small_tables);
        let mut network = Network::new(rng, odds, trace);
        for number in 0..clients {
            let client = Client::new(&mut network.rng, number, needs_password, &network.odds);
            network.schedule(
                client.scenario.start_ms,
                SimEvent::Start(usize::from(number)),
            );
            network.clients.push(client);
        }
        for signal in [Signal::Reload, Signal::Report] {
            if network.rng.bool() {
                let at = network.rng.u64(..10_000);
                network.schedule(at, SimEvent::Signal(signal));
            }
        }
        network.checks.strict = network.rng.bool();
        network.interfaces = Interfaces::new(seed);
        network.late_listener = LateListener::new(seed);
        network.pipes = Pipes::new(seed);
        let limits = Limits {
            pipes_max: network.pipes.max,
            buffer_bytes: network.pipes.buffer_bytes.unwrap_or(limits.buffer_bytes),
            ..limits
        };
        network.schedule_changes();
        network.schedule(LEAVE_MS, SimEvent::Leave);
        network.checks.small_tables = small_tables;
        network.tables.limits = limits;
        let mut world = Inner {
            network,
            actors: Vec::new(),
            done: false,
            needs_password,
            limits,
            timeouts: TIMEOUTS,
        };
        world.network.checks.timeouts = TIMEOUTS;
        Self(Rc::new(RefCell::new(world)))
    }

    /// A world without clients, faults, passwords and pipes.
    pub(crate) fn empty() -> Self {
        let world = Self::new(0, false);
        let rng = Rng::with_seed(0);
        *world.network() = Network::new(rng, Odds::calm(), false);
        {
            let inner = &mut *world.0.borrow_mut();
            (inner.limits.pipes_max, inner.limits.buffer_bytes) = (0, 256);
            inner.needs_password = false;
        }
        world.set_timeouts(TIMEOUTS);
        world
    }

    /// Sets how large the server's tables are.
    pub(crate) fn set_limits(&self, change: impl Fn(&mut Limits)) {
        let inner = &mut *self.0.borrow_mut();
        change(&mut inner.limits);
        inner.network.tables.limits = inner.limits;
        inner.network.checks.small_tables = true;
    }

    /// Sets how long each state may last.
    pub(crate) fn set_timeouts(&self, timeouts: Timeouts) {
        let inner = &mut *self.0.borrow_mut();
        inner.timeouts = timeouts;
        inner.network.checks.timeouts = timeouts;
    }

    /// The configuration of the server.
    pub(crate) fn config(&self) -> Config {
        let needs_password = self.0.borrow().needs_password;
        let strict = self.0.borrow().network.checks.strict;
        let (limits, timeouts) = (self.0.borrow().limits, self.0.borrow().timeouts);
        Config {
            policy: Policy {
                credentials: needs_password,
                ..Policy::default()
            },
            sources: Sources {
                credential: needs_password.then(|| (CREDENTIAL.0.to_vec(), CREDENTIAL.1.to_vec())),
                users: None,
                dns: NAME_SERVERS.to_vec(),
                resolv_conf: None,
                hosts: None,
            },
            timeouts,
            relay: RelayOptions {
                strict,
                ..RelayOptions::default()
            },
            ..Asked::default().with_limits(limits)
        }
    }

    /// The server's users.
    pub(crate) fn users(&self) -> Users {
        let mut users = Users::default();
        if self.0.borrow().needs_password {
            users
                .add(CREDENTIAL.0, CREDENTIAL.1)
                .expect("one good credential");
        }
        users
    }

    /// The settings of the server's resolver.
    pub(crate) fn names(&self) -> DnsSettings {
        DnsSettings {
            servers: NAME_SERVERS.to_vec(),
            timeout_ms: 2_000,
            ..DnsSettings::default()
        }
    }

    /// The network, to look at it between passes.
    pub(crate) fn network(&self) -> RefMut<'_, Network> {
        RefMut::map(self.0.borrow_mut(), |inner| &mut inner.network)
    }

    /// Returns `true` if all clients left long ago.
    pub(crate) fn is_over(&self) -> bool {
        let inner = self.0.borrow();
        inner.done || inner.network.now > LEAVE_MS + AFTERMATH_MS
    }

    /// Sends a signal to the server.
    pub(crate) fn raise(&self, signal: Signal) {
        self.network().schedule(0, SimEvent::Signal(signal));
    }
}

/// Draws how large the server's tables are.
fn limits(rng: &mut Rng, small: bool) -> Limits {
    let few = |rng: &mut Rng, least, most| match small {
        true => rng.usize(least..=most),
        false => 64,
    };
    let sessions_max = few(rng, 4, 24);
    let mut limits = Limits {
        sessions_max,
        per_client_max: Some(few(rng, 2, 16)),
        openings_max: few(rng, 2, 12),
        established_max: few(rng, 2, 23).min(sessions_max - 1),
        buffers_max: rng.usize(1..=5),
        buffer_bytes: rng.usize(64..=512),
        pipes_max: 0,
        associations_max: few(rng, 1, 3),
        binds_max: few(rng, 1, 3),
        heads_max: few(rng, 1, 3),
        long_heads_max: few(rng, 1, 2),
        kernel_bytes: 0,
        queries_max: 64,
    };
    if small {
        limits.queries_max = 2 * limits.heads_max;
    }
    limits
}

impl Inner {
    /// Runs all that is due in the schedule.
    pub(crate) fn run_due(&mut self) {
        while let Some(event) = self.network.due() {
            self.run(event);
        }
    }

    /// The process is stopped: the world goes on without it.
    pub(crate) fn stop_for(&mut self, stopped_ms: Millis) {
        let until = self.network.now + stopped_ms;
        while let Some(at) = self.network.next_at().filter(|at| *at <= until) {
            self.network.now = self.network.now.max(at);
            self.run_due();
        }
        self.network.now = until;
        self.network.excuse_survey(until);
        self.network.excuse_listener(until);
    }

    /// Runs an event of the schedule.
    fn run(&mut self, event: SimEvent) {
        let net = &mut self.network;
        match event {
            SimEvent::Start(client) => self.start(client),
            SimEvent::Arrive(s) => {
                let listener = net.reached(s % LISTENERS.len());
                match &mut net.backlogs {
                    Some(backlogs) => backlogs[listener].push_back(s),
                    None => net.abort(s),
                }
                net.edge(Source::Listener(listener));
            }
            SimEvent::Travel(s, direction) => {
                net.travel(s, direction);
                if net.sockets[s].client.is_some() && net.chance(net.odds.reset) {
                    self.inject_reset(s);
                }
            }
            SimEvent::Release(s, direction) => net.release(s, direction),
            SimEvent::Connect(s) if net.sockets[s].connecting && !net.sockets[s].dropped => {
                net.sockets[s].connecting = false;
                net.sockets[s].connected_at = Some(net.now);
                net.edge(Source::Socket(s));
                net.wake(s, 0);
            }
            SimEvent::Connect(_) => {}
            SimEvent::Break(s, error) => net.break_off(s, error),
            SimEvent::Abort(s) => net.abort(s),
            SimEvent::Wake(s) => self.act(s),
            SimEvent::Deadline(s) => {
                if let Actor::Client(actor) = &mut self.actors[s] {
                    actor.check_deadline(net);
                }
            }
            SimEvent::DnsMessage(m, message) => {
                net.dns_sockets[m].inbox.push_back(message);
                net.edge(Source::DnsSocket(m));
            }
            SimEvent::BindPeer(d, number) => self.bind_peer(d, number),
            SimEvent::ListenerRelease(d) => net.release_listener(d),
            SimEvent::Datagram(datagram) => net.arrive(*datagram),
            SimEvent::UdpError(p, error) => net.udp_fails(p, error),
            SimEvent::UdpRelease(p) => net.udp_released(p),
            SimEvent::Signal(signal) => {
                net.signals.push_back(signal);
                net.edge(Source::Signal);
            }
            SimEvent::OwnAddress(addr) => net.add_own_address(addr),
            SimEvent::Leave => self.leave(),
        }
    }

    /// A client connects.
    fn start(&mut self, client: usize) {
        let net = &mut self.network;
        let listener = net.sockets.len() % LISTENERS.len();
        let s = net.open(
            Some(client),
            (LISTENERS[listener], net.clients[client].scenario.from),
            0,
        );
        net.trace(|| {
            format!(
                "client {client} begins at {s}: {:?}",
                net.clients[client].scenario.kind
            )
        });
        net.clients[client].connection = Some(s);
        let latency = net.latency();
        net.schedule(latency, SimEvent::Arrive(s));
        net.wake(s, 0);
        self.actors.push(Actor::Client(Box::new(ClientActor::new(
            &self.network,
            client,
            s,
        ))));
    }

    /// A peer connects to the listener of a BIND, unless it has closed.
    fn bind_peer(&mut self, d: usize, number: usize) {
        let net = &mut self.network;
        let (client, local) = (net.bind_listeners[d].client, net.bind_listeners[d].local);
        let peer = net.clients[client]
            .scenario
            .bind_peers
            .as_ref()
            .and_then(|bind_peers| bind_peers.get(number));
        let Some(peer) = peer
            .copied()
            .filter(|peer| peer.from.is_ipv4() == local.is_ipv4())
        else {
            return;
        };
        if net.bind_listeners[d].dropped {
            return;
        }
        let s = net.open(Some(client), (local, peer.from), SEND_BUFFER_BYTES);
        if peer.expected {
            net.clients[client].targets.push(s);
            self.actors
                .push(Actor::Target(TunnelEnd::new(net, client, 1, s)));
        } else {
            net.peer_send_payload(s, 0, 0, number * 7);
            self.actors.push(Actor::UnexpectedPeer);
        }
        net.join_backlog(d, s);
        net.wake(s, 0);
    }

    /// The actor at the other end of a connection takes a step.
    fn act(&mut self, s: usize) {
        let net = &mut self.network;
        net.woken(s);
        if net.sockets[s].vanished || net.sockets[s].connecting {
            return;
        }
        match &mut self.actors[s] {
            Actor::Client(actor) => actor.step(net),
            Actor::Target(tunnel_end) => tunnel_end.step(net, true),
            Actor::Web(server) => server.step(net),
            Actor::NameServer(server) => server.step(net, s),
            Actor::UnexpectedPeer => net.expect_refusal(s),
            Actor::Nobody => {}
        }
    }

    /// All clients leave.
    fn leave(&mut self) {
        let net = &mut self.network;
        net.checks.closing = true;
        for actor in &mut self.actors {
            if let Actor::Client(actor) = actor {
                actor.leave(net);
            }
        }
    }

    /// Moves the events of what is ready into the batch, in any order, and not always all of them.
    pub(crate) fn deliver(&mut self, events: &mut Vec<Event>) {
        let net = &mut self.network;
        for _ in 0..net.ready.len() {
            if events.len() >= net.odds.batch_max {
                break;
            }
            let pick = net.rng.usize(..net.ready.len());
            let source = net.ready.swap_remove(pick);
            events.extend(net.report(source));
        }
        if !events.is_empty() {
            self.add_false_events(events);
            self.network.checks.note_events();
        }
    }
}
