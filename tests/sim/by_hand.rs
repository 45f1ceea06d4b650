//! Worlds that are built by hand, for cases that few seeds meet.

use std::net::SocketAddr;

use fastrand::Rng;
use nix::errno::Errno;

use crate::clients::scenario::{
    Behaviour, Client, ConnectOutcome, Dialect, End, Kind, Pace, Scenario,
};
use crate::faults::Call;
use crate::network::{Network, SimEvent, Source};
use crate::run::{pass, server};
use crate::world::World;

/// Passes within which a single client comes to its end.
const PASSES_MAX: u32 = 10_000;

/// The socket of the first client's connection.
const CLIENT: usize = 0;

/// Sends a little and ends.
pub(crate) const BRIEF: Behaviour = Behaviour {
    send: 100,
    echo: false,
    waits: false,
    reads: true,
    chunk: 100,
    pace_ms: 1,
    end: End::Fin,
};

/// The client has the target's end of stream and goes on sending when the target breaks. It keeps
/// what it has received, and what it still sends is discarded, in any number of reads.
#[test]
fn a_target_that_breaks_behind_its_end_does_not_reset_the_client() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    world.network().odds.short_read = 1000;
    let end = |send| Behaviour {
        send,
        chunk: 300,
        pace_ms: 5,
        ..BRIEF
    };
    add_client(&world, 0, 10, [end(3_000), end(100)]);
    world.network().schedule(0, SimEvent::Start(0));
    let mut server = server(&world);
    let mut pass_until = |holds: &dyn Fn(&World) -> bool| {
        let mut most_reads = 0;
        for _ in 0..PASSES_MAX {
            pass(&world, &mut server).expect("no property is broken");
            most_reads = most_reads.max(world.network().sockets[CLIENT].reads);
            if holds(&world) {
                return most_reads;
            }
        }
        panic!("the client does not come further");
    };
    pass_until(&|world| world.network().peer_sees_end(CLIENT));
    let target = world.network().clients[0].target.expect("it has a tunnel");
    world.0.borrow_mut().inject_reset(target);
    let most_reads = pass_until(&|world| world.network().sockets[CLIENT].dropped);
    let network = world.network();
    assert_eq!(network.sockets[CLIENT].progress.received, 100);
    assert_eq!(network.sockets[CLIENT].progress.sent, 3_000);
    assert!(!network.peer_sees_reset(CLIENT));
    assert!(most_reads > 2, "{most_reads} reads are a tunnel's");
}

/// The target answers, ends and breaks while the client sends on, and the server may write to it
/// before it is told of anything; or the client has ended before: it gets the answer.
#[test]
fn an_answer_arrives_though_a_write_finds_first_that_its_target_is_broken() {
    let quiet = Behaviour {
        send: 0,
        reads: false,
        end: End::Never,
        ..BRIEF
    };
    // Both orders of the two events are among these.
    let runs = (0..8).map(|seed| (seed, End::Never));
    for (seed, end) in runs.chain([(0, End::Fin)]) {
        let world = World::empty();
        start_client(&world, [Behaviour { end, ..quiet }, quiet]);
        world.network().clients[0].scenario.kind = Kind::Idler;
        let mut server = server(&world);
        while world.network().now < 1_000 {
            pass(&world, &mut server).expect("no property is broken");
        }
        let mut network = world.network();
        (network.rng, network.odds.batch_max) = (Rng::with_seed(seed), 1);
        let target = network.clients[0].target.expect("it has a tunnel");
        arrive(&mut network, target, &[0; 30], true);
        network.break_off(target, Errno::ECONNRESET);
        if !network.sockets[target].shut {
            arrive(&mut network, CLIENT, b"late", false);
        }
        drop(network);
        let mut received = 0;
        for _ in 0..10 {
            pass(&world, &mut server).expect("no property is broken");
            received += world.network().peer_receive(CLIENT, &mut [0; 50]);
        }
        let network = world.network();
        assert_eq!(received, 30, "{seed}, {end:?}");
        assert!(network.peer_sees_end(CLIENT) && !network.peer_sees_reset(CLIENT));
    }
}

/// The process is stopped for longer than a tunnel may be idle, and bytes come meanwhile: they are
/// passed on once it goes on, whatever the clock says then.
#[test]
fn what_came_while_the_process_was_stopped_is_passed_on() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    let end = Behaviour {
        send: 400,
        pace_ms: 20_000,
        ..BRIEF
    };
    world.network().odds.queue_bytes = (512, 512);
    add_client(&world, 0, 10, [end, end]);
    world.network().schedule(0, SimEvent::Start(0));
    // It takes longer than clients do.
    world.network().clients[0].faulted = true;
    let mut server = server(&world);
    let mut stops = 0;
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        let mut network = world.network();
        let received = network.sockets[CLIENT].progress.received;
        if received == 100 * (stops + 1) && stops < 2 {
            network.stopped_ms = Some(100_000);
            stops += 1;
        }
        let ends = network.clients[0].target.map(|target| [CLIENT, target]);
        let is_whole = |s: usize| network.sockets[s].progress.received == 400;
        if ends.is_some_and(|ends| ends.into_iter().all(is_whole)) {
            assert_eq!(stops, 2);
            return;
        }
    }
    panic!("the rest does not come");
}

/// As long as a wait never reports all that there is, timers expire nevertheless, if later.
#[test]
fn a_tunnel_ends_though_no_wait_is_ever_complete() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    let end = Behaviour {
        end: End::Never,
        ..BRIEF
    };
    add_client(&world, 0, 10, [end, end]);
    world.network().schedule(0, SimEvent::Start(0));
    // It takes longer than clients do.
    world.network().clients[0].faulted = true;
    world.network().odds.interrupted = 1000;
    let mut server = server(&world);
    for _ in 0..PASSES_MAX {
        // Time passes outside of the waits, too, and each of them may have left something.
        world.network().now += 10;
        world.network().checks.note_events();
        pass(&world, &mut server).expect("no property is broken");
        if world.network().sockets[CLIENT].dropped {
            break;
        }
    }
    let network = world.network();
    assert!(network.sockets[CLIENT].dropped);
    assert!((60_000..65_000).contains(&network.now), "{}", network.now);
}

/// While memory is short, tunnels end in which bytes wait that an end does not take: first those
/// of the client that has most of them, and of these the one that stood still longest. Tunnels that
/// move, or have nothing to move, live.
#[test]
fn while_memory_is_short_those_end_that_stood_still_longest() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    world.network().odds.short.push((20_000, 21_200));
    let end = |send, reads| Behaviour {
        send,
        reads,
        chunk: 50,
        pace_ms: 20,
        end: End::Never,
        ..BRIEF
    };
    let stalled = [end(0, false), end(10_000, true)];
    let up = [end(10_000, true), end(0, false)];
    let idle = [end(0, true), end(30, true)];
    let moving = [end(0, true), end(100_000, true)];
    // The last of them is that of another client. It stood still longer, but has one such tunnel.
    let tunnels = [
        stalled, up, stalled, stalled, stalled, idle, moving, stalled,
    ];
    let clients = [10, 10, 10, 10, 10, 10, 10, 11];
    let starts = [3_000, 4_000, 2_000, 5_000, 6_000, 100, 1_000, 0];
    for (number, behaviours) in tunnels.into_iter().enumerate() {
        add_client(&world, number, clients[number], behaviours);
        world.network().clients[number].scenario.kind = Kind::Idler;
        world
            .network()
            .schedule(starts[number], SimEvent::Start(number));
    }
    let mut server = server(&world);
    let mut cut = Vec::new();
    while world.network().now < 30_000 {
        pass(&world, &mut server).expect("no property is broken");
        let network = world.network();
        for number in 0..tunnels.len() {
            let client = &network.clients[number];
            if client.cut && !cut.contains(&number) {
                cut.push(number);
            }
        }
    }
    // A few at each look.
    assert!(cut.len() >= 3, "{cut:?}");
    assert_eq!(cut[2], 1, "the oldest first: {cut:?}");
    assert!(cut[..2] == [0, 2] || cut[..2] == [2, 0], "{cut:?}");
    let network = world.network();
    for number in [5, 6] {
        let s = network.clients[number]
            .connection
            .expect("it has connected");
        assert!(!network.sockets[s].dropped, "client {number}");
    }
    for number in &cut {
        let s = network.clients[*number]
            .connection
            .expect("it has connected");
        assert!(network.peer_sees_reset(s), "client {number} sees an end");
    }
    assert_eq!(server.census().sessions, tunnels.len() - cut.len());
}

/// A client asks for an address that the router has got a good second before.
#[test]
fn an_address_that_the_router_has_got_is_refused() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    add_client(&world, 0, 10, [BRIEF, BRIEF]);
    world.network().schedule(3_000, SimEvent::Start(0));
    world.network().clients[0].scenario.codes = vec![2];
    for (at, last) in [(900, 7), (1_950, 1)] {
        let event = SimEvent::OwnAddress([45, 67, 0, last].into());
        world.network().schedule(at, event);
    }
    let mut server = server(&world);
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        if world.network().sockets.first().is_some_and(|s| s.dropped) {
            break;
        }
    }
    let network = world.network();
    assert!(network.sockets[CLIENT].dropped && network.sockets.len() == 1);
}

/// A name server that never answers for a hundred names of one client, with sixteen asked for at
/// once: another client's name is answered at once, and the same client's in its turn, when each
/// name before it has waited for two seconds.
#[test]
fn a_name_of_anybody_is_answered_in_bounded_time_beside_dead_ones() {
    const DEAD: u8 = 100;
    const AT_ONCE: usize = 16;
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    world.set_limits(|limits| {
        (limits.sessions_max, limits.per_client_max) = (400, None);
        (limits.openings_max, limits.established_max) = (300, 300);
        limits.queries_max = AT_ONCE;
    });
    let end = Behaviour {
        send: 10,
        chunk: 10,
        ..BRIEF
    };
    for number in 0..DEAD + 2 {
        let is_dead = number < DEAD;
        let class = if is_dead { "dead" } else { "good" };
        let host = if number <= DEAD { 10 } else { 11 };
        let name = format!("{class}-{number}.example");
        let port = 2000 + u16::from(number);
        let mut request = vec![5, 1, 0, 3, u8::try_from(name.len()).expect("it is short")];
        request.extend(name.as_bytes());
        request.extend(port.to_be_bytes());
        let client = usize::from(number);
        add_client(&world, client, host, [end, end]);
        let network = &mut *world.network();
        let scenario = &mut network.clients[client].scenario;
        (scenario.name, scenario.handshake[1]) = (Some(class), request);
        if is_dead {
            (scenario.target_addrs, scenario.codes) = (Vec::new(), vec![4]);
        } else {
            scenario.start_ms = 100;
            scenario.target_addrs[0].0 = SocketAddr::from(([45, 67, 0, number], port));
        }
        let start_ms = scenario.start_ms;
        network.schedule(start_ms, SimEvent::Start(client));
    }
    let mut server = server(&world);
    let mut answered_ms = [None; 2];
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        let network = world.network();
        for (answered_ms, client) in answered_ms.iter_mut().zip(usize::from(DEAD)..) {
            if answered_ms.is_none() && network.clients[client].target.is_some() {
                *answered_ms = Some(network.now);
            }
        }
        if answered_ms.iter().all(Option::is_some) {
            break;
        }
    }
    let [own_ms, other_ms] = answered_ms.map(|ms| ms.expect("it is answered"));
    assert!(other_ms <= 150, "{other_ms} ms");
    assert!(own_ms <= 2_000 * (100 / 16 + 1) + 150, "{own_ms} ms");
}

/// The system forbids one accept, and the connection stays in the queue: it is not forgotten there.
#[test]
fn a_connection_that_may_not_be_accepted_now_is_accepted_later() {
    for error in [Errno::EPERM, Errno::EACCES] {
        let world = World::empty();
        start_client(&world, [BRIEF, BRIEF]);
        let mut server = server(&world);
        // At first it tries all listeners.
        pass(&world, &mut server).expect("no property is broken");
        world.network().calls.next = Some((Call::Accept, error));
        for _ in 0..PASSES_MAX {
            pass(&world, &mut server).expect("no property is broken");
            if world
                .network()
                .sockets
                .get(CLIENT)
                .is_some_and(|s| s.dropped)
            {
                break;
            }
        }
        assert!(world.network().clients[0].complete);
    }
}

/// An attempt of which the system does not say whether it stands has failed: the client is told.
#[test]
fn an_attempt_whose_peer_cannot_be_named_has_failed() {
    let world = World::empty();
    // Nothing of the target tells that the connection stands.
    let silent = Behaviour {
        send: 0,
        end: End::AfterOther,
        ..BRIEF
    };
    start_client(&world, [BRIEF, silent]);
    world.network().calls.next = Some((Call::PeerAddr, Errno::EIO));
    let mut server = server(&world);
    while world.network().now < 4_000 {
        pass(&world, &mut server).expect("no property is broken");
        if world
            .network()
            .sockets
            .get(CLIENT)
            .is_some_and(|s| s.dropped)
        {
            return;
        }
    }
    panic!("the client still waits");
}

/// Writing to the target fails behind its end of stream, though the connection stands: what it has
/// received is not all, and must not look so.
#[test]
fn a_target_that_cannot_be_written_to_is_reset() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    let client = Behaviour {
        send: 2_000,
        pace_ms: 50,
        ..BRIEF
    };
    start_client(&world, [client, BRIEF]);
    let mut server = server(&world);
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        let mut network = world.network();
        if !network.sockets.is_empty() && network.peer_sees_end(CLIENT) {
            network.calls.next = Some((Call::Write, Errno::ENOBUFS));
            break;
        }
    }
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        let network = world.network();
        let target = network.clients[0].target.expect("it has a tunnel");
        if network.peer_sees_reset(target) {
            return;
        }
        assert!(!network.peer_sees_end(target), "it is no end in order");
    }
    panic!("nothing tells the target");
}

/// The target has ended and reads nothing more, and the client has sent more than goes on. When the
/// server ends the tunnel, what it has not read would make its close a reset: a client that reads
/// late still gets all of the answer (T6).
#[test]
fn what_nobody_reads_takes_no_answer_back_when_a_tunnel_times_out() {
    let world = World::empty();
    world.network().odds.latency_ms = 1;
    let client = Behaviour {
        send: 0,
        reads: false,
        end: End::Never,
        ..BRIEF
    };
    let target = Behaviour {
        reads: false,
        ..BRIEF
    };
    start_client(&world, [client, target]);
    world.network().clients[0].scenario.kind = Kind::Idler;
    let mut server = server(&world);
    for _ in 0..PASSES_MAX {
        pass(&world, &mut server).expect("no property is broken");
        let mut network = world.network();
        let Some(connection) = network.sockets.get_mut(CLIENT) else {
            continue;
        };
        connection.from_server.receive_at_least(200);
        if connection.dropped {
            break;
        }
        if connection.shut {
            network.peer_send(CLIENT, &[0; 64]);
        }
    }
    let mut received = 0;
    for _ in 0..10 {
        pass(&world, &mut server).expect("no property is broken");
        received += world.network().peer_receive(CLIENT, &mut [0; 200]);
    }
    let network = world.network();
    assert!(!network.peer_sees_reset(CLIENT));
    assert_eq!(received, 100);
    assert!(network.peer_sees_end(CLIENT));
}

/// Bytes arrive from a peer, with its end of stream if it `ends`.
fn arrive(network: &mut Network, s: usize, bytes: &[u8], ends: bool) {
    let channel = &mut network.sockets[s].to_server;
    channel.put(bytes);
    if ends {
        channel.end();
    }
    channel.travel(bytes.len(), true);
    network.edge(Source::Socket(s));
}

/// Schedules a client that connects at the start.
fn start_client(world: &World, behaviours: [Behaviour; 2]) {
    add_client(world, 0, 10, behaviours);
    world.network().schedule(0, SimEvent::Start(0));
}

/// Adds client `number` with that last byte of its address, which connects to a target of its own by
/// SOCKS5, with that behaviour of both ends.
pub(crate) fn add_client(world: &World, number: usize, address: u8, behaviours: [Behaviour; 2]) {
    let network = &mut *world.network();
    let port = 2000 + u16::try_from(number).expect("a few thousand clients");
    let target = SocketAddr::from(([45, 67, 0, 1], port));
    let [high, low] = port.to_be_bytes();
    let mut client = Client::new(&mut Rng::with_seed(0), 0, false, &network.odds);
    client.scenario = Scenario {
        kind: Kind::Transfer,
        start_ms: 0,
        from: SocketAddr::from(([192, 168, 1, address], port)),
        dialect: Dialect::Socks5,
        bind_peers: None,
        any_peer: false,
        udp: None,
        web: None,
        handshake: vec![vec![5, 1, 0], vec![5, 1, 0, 1, 45, 67, 0, 1, high, low]],
        pace: Pace::Stepwise,
        stop: None,
        behaviours,
        target_addrs: vec![(target, ConnectOutcome::Succeeds)],
        name: None,
        codes: vec![0],
    };
    network.clients.push(client);
}
