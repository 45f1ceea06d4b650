//! The simulation: the real server in a seeded world, over virtual time.
//!
//! **A world** (`world.rs`) is built from one seed: the odds of each fault, the sizes of the
//! server's tables, a few dozen clients, two name servers. All that happens in it follows from
//! the seed and from what the server does. `network/` implements `anklet::net::Net` on it:
//! sockets with bounded queues, events only where Linux would report an edge, and a schedule of
//! what is going to happen. The clock moves only while the server waits.
//!
//! **Who acts:** clients, their targets and remotes (`clients/`), name servers
//! (`network/name_server.rs`), and the server. What a client is going to do, its scenario, is
//! drawn before the world begins (`clients/draw/`), so it is known which outcomes are right.
//!
//! **What is checked:** `properties/`, after each pass of the server and wherever a client or
//! target sees something. At the end all clients leave, and the server may hold nothing. Every
//! eighth world is stopped in the middle.
//!
//! **Each call** of a recorded run fails once, in a run of its own (`calls.rs`): a sample of them, or
//! all of N seeds with `ANKLET_SIM_FAULTS=N`.
//!
//! **Replay:** `ANKLET_SIM_SEED=N cargo test --test sim every -- --nocapture` prints all that
//! happens in one world; `make sim SEEDS=N` runs seeds 0 to N-1 (256 in a plain `cargo test`).
//!
//! **To add** a client behaviour: a `Kind` in `clients/scenario.rs`, its weight and its draws in
//! `clients/draw/`, and what it does in the actors of `clients/`. A fault: a field of `Odds` in
//! `faults/odds.rs`, and a `chance` where it strikes, which sets `faulted` for what may fail by it.
//! A property: a check in `properties/` that calls `Network::fail`. Each new draw changes what
//! the seeds do: then run 30,000, and see whether each of [`REGRESSIONS`] still meets its case.

mod by_hand;
mod calls;
mod clients;
mod faults;
mod full_house;
mod network;
mod properties;
mod run;
mod script;
mod world;

use std::sync::Mutex;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;

use crate::clients::scenario::Client;
use crate::clients::scenario::Dialect::{Connect, Forward, Socks4, Socks5};
use crate::network::pipe::Splice::{RefusedIn, RefusedOut};
use crate::run::{number, run_seed, run_seed_caught, run_to_end};
use crate::world::World;

/// Seeds that have found something once. Four times that was the model: a tunnel whose target
/// breaks behind its end of stream is over, and what its client still sends is discarded at once.
const REGRESSIONS: [u64; 4] = [14421, 15216, 15929, 29686];

/// Seeds of a plain `cargo test`.
const SEEDS: u32 = 256;

/// Two, as the machines of the continuous integration have processors.
const THREADS: usize = 2;

#[test]
fn every_seed_keeps_all_properties() {
    if let Some(seed) = number("ANKLET_SIM_SEED") {
        return run_seed(seed, true).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    }
    let seeds = number("ANKLET_SIM_SEEDS").and_then(|seeds| u32::try_from(seeds).ok());
    let seeds = u64::from(seeds.unwrap_or(SEEDS));
    let all: Vec<u64> = REGRESSIONS.into_iter().chain(0..seeds).collect();
    let failures = failures(&all);
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
        run_to_end(&world).map(|()| world.network().checks.passes)
    });
    assert_eq!(passes[0], passes[1]);
    assert!(passes[0].as_ref().is_ok_and(|passes| *passes > 100));
}

#[test]
fn most_clients_that_can_complete_do() {
    let (mut able, mut complete) = (0, 0);
    for seed in 0..16 {
        let world = completed(seed);
        let network = world.network();
        let clients = network.clients.iter();
        let completing = clients.filter(|client| client.scenario.completes());
        able += completing.clone().count();
        complete += completing.filter(|client| client.complete).count();
    }
    // The rest has met a limit or a fault.
    assert!(complete * 5 > able * 3, "{complete} of {able}");
}

#[test]
fn every_way_through_the_server_is_taken() {
    let mut ways = Ways::default();
    for seed in 0..32 {
        let world = completed(seed);
        for client in &world.network().clients {
            ways.count(client);
        }
        let pipes = &world.network().pipes;
        ways.spliced_bytes += pipes.spliced;
        ways.pipes_read_back += pipes.read_back;
        for (count, splice) in ways.refused.iter_mut().zip([RefusedIn, RefusedOut]) {
            *count += u32::from(pipes.refused && pipes.splice == splice);
        }
    }
    let often = ways.dialects.iter().all(|count| *count >= 5) && ways.binds > 10;
    assert!(often, "{ways:?}");
    let datagrams = [
        ways.datagrams_arrived,
        ways.datagrams_answered,
        ways.datagrams_due,
    ];
    assert!(datagrams.into_iter().all(|count| count > 400), "{ways:?}");
    let spliced = ways.spliced_bytes > 50_000 && ways.pipes_read_back > 5;
    assert!(
        spliced && ways.refused.iter().all(|count| *count > 0),
        "{ways:?}"
    );
}

#[test]
fn runs_are_sent_and_refused_and_datagrams_are_joined() {
    let mut totals = [0; 3];
    for seed in 0..64 {
        let counts = completed(seed).network().offloaded.counts;
        for (total, count) in totals.iter_mut().zip(counts) {
            *total += count;
        }
    }
    let [sent, refused, joined] = totals;
    assert!(sent > 100 && refused > 10 && joined > 100, "{totals:?}");
}

/// How often clients have been served, for each way through the server.
#[derive(Debug, Default)]
struct Ways {
    /// Complete transfers: SOCKS5, SOCKS4, CONNECT, forwarded.
    dialects: [u32; 4],
    /// Complete transfers after BIND.
    binds: u32,
    /// Datagrams that have reached a remote.
    datagrams_arrived: u32,
    /// Datagrams whose answer has reached the client.
    datagrams_answered: u32,
    /// Datagrams that would have been missed.
    datagrams_due: u32,
    /// Bytes that have gone through pipes.
    spliced_bytes: u64,
    /// Pipes read back.
    pipes_read_back: u64,
    /// Worlds where splice was refused: at once, half-way.
    refused: [u32; 2],
}

impl Ways {
    /// Adds the ways that a client has taken.
    fn count(&mut self, client: &Client) {
        let dialects = [Socks5, Socks4, Connect, Forward];
        for (count, dialect) in self.dialects.iter_mut().zip(dialects) {
            *count += u32::from(client.complete && client.scenario.dialect == dialect);
        }
        self.binds += u32::from(client.complete && client.scenario.bind_peers.is_some());
        for delivery in &client.deliveries {
            self.datagrams_arrived += u32::from(delivery.arrived > 0);
            self.datagrams_answered += u32::from(delivery.returned > 0);
            self.datagrams_due += u32::from(delivery.must_arrive && !delivery.faulted);
        }
    }
}

/// The world of that seed at its end.
fn completed(seed: u64) -> World {
    let world = World::new(seed, false);
    run_to_end(&world).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    world
}

/// Runs seeds; those that break a property, and which, in order.
fn failures(seeds: &[u64]) -> Vec<(u64, String)> {
    let (next, failures) = (AtomicU32::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(seed) = seeds.get(next.fetch_add(1, Ordering::Relaxed) as usize) {
            if let Err(text) = run_seed_caught(*seed) {
                let mut failures = failures.lock().expect("no panic holds it");
                failures.push((*seed, text));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    let mut failures = failures.into_inner().expect("no panic holds it");
    failures.sort();
    failures
}
