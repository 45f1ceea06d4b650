//! Runs worlds: builds a server in one, has it turn until the world is over, and compares what
//! is left. The properties are checked on the way, after each pass.

use std::env;
use std::panic::{self, AssertUnwindSafe};

use anklet::net::{Millis, Net, Signal};
use anklet::server::Server;
use nix::errno::Errno;

use crate::properties::resources;
use crate::world::World;

/// Passes of one world at most; a world takes some thousands.
const PASSES_MAX: u64 = 200_000;

/// The server ends within a second of a signal to stop. With slack.
const STOP_MS: Millis = 1_500;

/// Every eighth world is stopped in the middle.
const STOPPED_EARLY: u64 = 8;

/// Runs a seed; a panic of the server is a failure like any other.
pub(crate) fn run_seed_caught(seed: u64) -> Result<(), String> {
    run_caught(|| run_seed(seed, false))
}

/// Runs a world; a panic is a failure like any other.
pub(crate) fn run_caught(run: impl FnOnce() -> Result<(), String>) -> Result<(), String> {
    panic::catch_unwind(AssertUnwindSafe(run)).unwrap_or_else(|panic| {
        let text = panic.downcast_ref::<String>().cloned();
        let text = text.or_else(|| panic.downcast_ref::<&str>().map(|text| (*text).to_string()));
        Err(format!("panics: {}", text.unwrap_or_default()))
    })
}

/// Runs a seed; `trace` prints all that happens.
pub(crate) fn run_seed(seed: u64, trace: bool) -> Result<(), String> {
    let world = World::new(seed, trace);
    let call = number("ANKLET_SIM_CALL").and_then(|call| usize::try_from(call).ok());
    let error = number("ANKLET_SIM_ERRNO").and_then(|error| i32::try_from(error).ok());
    if let (true, Some(call), Some(error)) = (trace, call, error) {
        world.network().calls.fault = Some((call, Errno::from_raw(error)));
    }
    run_world(&world, seed)
}

/// Runs the world of a seed.
pub(crate) fn run_world(world: &World, seed: u64) -> Result<(), String> {
    if seed % STOPPED_EARLY == STOPPED_EARLY - 1 {
        return run_until_stopped(world, seed);
    }
    run_to_end(world)
}

/// A world from its beginning to its orderly end.
pub(crate) fn run_to_end(world: &World) -> Result<(), String> {
    let mut server = server(world);
    let nothing = server.census();
    while !world.is_over() {
        pass(world, &mut server)?;
    }
    resources::check_all_given_back(&world.network(), &server.census(), &nothing)?;
    stop(world, server)
}

/// A world whose server is told to stop amid everything.
fn run_until_stopped(world: &World, seed: u64) -> Result<(), String> {
    let mut server = server(world);
    let until = seed * 37 % 12_000;
    while !world.is_over() && world.now() < until {
        pass(world, &mut server)?;
    }
    stop(world, server)
}

/// The server of a world.
pub(crate) fn server(world: &World) -> Server<World> {
    Server::new(world.config(), world.users(), world.names(), world.clone())
}

/// One pass of the server, and what has to hold after it.
///
/// # Errors
/// The text of a broken property.
pub(crate) fn pass(world: &World, server: &mut Server<World>) -> Result<(), String> {
    brief_pass(world, server)?;
    server.check();
    resources::check_in_use(&world.network(), &server.census())
}

/// The same without the sweeps over all sessions, for a house with thousands of them.
///
/// # Errors
/// The text of a broken property.
pub(crate) fn brief_pass(world: &World, server: &mut Server<World>) -> Result<(), String> {
    let going = server
        .turn()
        .map_err(|error| format!("the loop fails: {error}"))?;
    let network = world.network();
    if let Some(text) = &network.checks.failure {
        return Err(text.clone());
    }
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
pub(crate) fn stop(world: &World, mut server: Server<World>) -> Result<(), String> {
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

/// The number in an environment variable.
pub(crate) fn number(variable: &str) -> Option<u64> {
    env::var(variable).ok()?.parse().ok()
}
