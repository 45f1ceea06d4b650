//! The simulation: the real server in a seeded world, over virtual time.
//!
//! Each seed is a world of its own: a few dozen clients of all kinds and dialects, their targets
//! and remotes, two name servers, and faults by odds. After each pass the properties of
//! `properties/` and what the clients and targets see must hold; in the end nothing may be left.
//!
//! `ANKLET_SIM_SEEDS=N` runs seeds 0 to N-1 (256 unless told), `ANKLET_SIM_SEED=N` replays one
//! and prints all that happens.

mod clients;
mod faults;
mod network;
mod properties;
mod world;

use std::env;
use std::panic::{self, AssertUnwindSafe};
use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use anklet::net::{Millis, Net, Signal};
use anklet::server::Server;

use crate::properties::resources;
use crate::world::World;

/// Seeds that have found something once.
const REGRESSIONS: [u64; 4] = [14421, 15216, 15929, 29686];

/// Seeds of a plain `cargo test`.
const SEEDS: u32 = 256;

/// Passes of one world at most; a world takes some thousands.
const PASSES_MAX: u64 = 200_000;

/// The server ends within a second of a signal to stop. With slack.
const STOP_MS: Millis = 1_500;

/// Every n-th world is stopped in the middle.
const STOPPED_EARLY: u64 = 8;

#[test]
fn every_seed_keeps_its_promises() {
    if let Some(seed) = number("ANKLET_SIM_SEED") {
        return run(seed, true).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    }
    let seeds = number("ANKLET_SIM_SEEDS").and_then(|seeds| u32::try_from(seeds).ok());
    let seeds = u64::from(seeds.unwrap_or(SEEDS));
    let all: Vec<u64> = REGRESSIONS.into_iter().chain(0..seeds).collect();
    let (next, failures) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = all.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            if let Err(text) = caught(*seed) {
                failures
                    .lock()
                    .expect("no panic holds it")
                    .push((*seed, text));
            }
        }
    };
    // Two, as the machines of the continuous integration have.
    thread::scope(|scope| {
        scope.spawn(work);
        scope.spawn(work);
    });
    let mut failures = failures.into_inner().expect("no panic holds it");
    failures.sort();
    for (seed, text) in failures.iter().take(10) {
        eprintln!("seed {seed} {text}");
        eprintln!("    replay: ANKLET_SIM_SEED={seed} cargo test --test sim every -- --nocapture");
    }
    assert!(
        failures.is_empty(),
        "{} of {} seeds fail",
        failures.len(),
        all.len()
    );
}

#[test]
fn the_same_seed_gives_the_same_world() {
    let passes = [0, 0].map(|_| {
        let world = World::new(3, false);
        live(&world).map(|()| world.network().checks.passes)
    });
    assert_eq!(passes[0], passes[1]);
    assert!(passes[0].as_ref().is_ok_and(|passes| *passes > 100));
}

#[test]
fn most_clients_that_can_complete_do() {
    let (mut able, mut complete) = (0, 0);
    for seed in 0..16 {
        let world = World::new(seed, false);
        live(&world).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        let network = world.network();
        let completing = network
            .clients
            .iter()
            .filter(|client| client.scenario.completes());
        able += completing.clone().count();
        complete += completing.filter(|client| client.complete).count();
    }
    // The rest has met a limit or a fault.
    assert!(complete * 5 > able * 3, "{complete} of {able}");
}

#[test]
fn every_way_through_the_server_is_taken() {
    use clients::scenario::Dialect::{Connect, Forward, Socks4, Socks5};
    let (mut dialects, mut binds, mut datagrams) = ([0; 4], 0, [0; 3]);
    for seed in 0..32 {
        let world = World::new(seed, false);
        live(&world).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
        for client in &world.network().clients {
            for (count, dialect) in dialects.iter_mut().zip([Socks5, Socks4, Connect, Forward]) {
                *count += u32::from(client.complete && client.scenario.dialect == dialect);
            }
            binds += u32::from(client.complete && client.scenario.bind_peers.is_some());
            for delivery in &client.deliveries {
                let must_arrive = delivery.must_arrive && !delivery.faulted;
                for (count, is) in datagrams.iter_mut().zip([
                    delivery.arrived > 0,
                    delivery.returned > 0,
                    must_arrive,
                ]) {
                    *count += u32::from(is);
                }
            }
        }
    }
    let few = |count: &u32| *count < 5;
    assert!(
        !dialects.iter().any(few) && binds > 10,
        "{dialects:?} {binds}"
    );
    // Arrived at remotes, answered, and would have been missed.
    assert!(
        datagrams.into_iter().all(|count| count > 400),
        "{datagrams:?}"
    );
}

fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}

/// Runs a seed; a panic of the server is a failure like any other.
fn caught(seed: u64) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(|| run(seed, false))).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(format!("panics: {}", text.unwrap_or_default()))
    })
}

fn run(seed: u64, trace: bool) -> Result<(), String> {
    let world = World::new(seed, trace);
    if seed % STOPPED_EARLY == STOPPED_EARLY - 1 {
        return stopped_early(&world, seed);
    }
    live(&world)
}

/// A world from its beginning to its orderly end.
fn live(world: &World) -> Result<(), String> {
    let mut server = server(world);
    let nothing = server.census();
    while !world.is_over() {
        pass(world, &mut server)?;
    }
    resources::check_all_given_back(&world.network(), &server.census(), &nothing)?;
    stop(world, server)
}

/// A world whose server is told to stop amid everything.
fn stopped_early(world: &World, seed: u64) -> Result<(), String> {
    let mut server = server(world);
    let until = seed * 37 % 12_000;
    while !world.is_over() && world.now() < until {
        pass(world, &mut server)?;
    }
    stop(world, server)
}

fn server(world: &World) -> Server<World> {
    Server::new(world.config(), world.users(), world.names(), world.clone())
}

fn pass(world: &World, server: &mut Server<World>) -> Result<(), String> {
    let going = server
        .turn()
        .map_err(|error| format!("the loop fails: {error}"))?;
    server.check();
    let network = world.network();
    if let Some(text) = &network.checks.failure {
        return Err(text.clone());
    }
    resources::check_in_use(&network, &server.census())?;
    if network.checks.passes > PASSES_MAX {
        return Err(format!(
            "at {} ms: no end after {PASSES_MAX} passes",
            network.now
        ));
    }
    if going {
        Ok(())
    } else {
        Err(format!("at {} ms: the server ends by itself", network.now))
    }
}

/// The server is told to stop, does so in time, and takes its sockets along.
fn stop(world: &World, mut server: Server<World>) -> Result<(), String> {
    world.network().checks.closing = true;
    world.raise(Signal::Stop);
    let by = world.now() + STOP_MS;
    while server
        .turn()
        .map_err(|error| format!("the loop fails: {error}"))?
    {
        if world.now() > by {
            return Err(format!("at {} ms: the server does not stop", world.now()));
        }
    }
    drop(server);
    let network = world.network();
    if let Some(text) = &network.checks.failure {
        return Err(text.clone());
    }
    match network.open_sockets() {
        0 => Ok(()),
        open => Err(format!("{open} sockets outlive the server")),
    }
}
