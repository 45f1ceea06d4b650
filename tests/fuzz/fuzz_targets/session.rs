//! Whole sessions: the server in the simulated world, which a script drives.
#![no_main]
#![allow(
    dead_code,
    reason = "a script needs less than the worlds of the simulation"
)]

#[path = "../../sim/clients/mod.rs"]
mod clients;
#[path = "../../sim/faults/mod.rs"]
mod faults;
#[path = "../../sim/network/mod.rs"]
mod network;
#[path = "../../sim/properties/mod.rs"]
mod properties;
#[path = "../../sim/run.rs"]
mod run;
#[path = "../../sim/script.rs"]
mod script;
#[path = "../../sim/world.rs"]
mod world;

libfuzzer_sys::fuzz_target!(|data: &[u8]| script::target(data));
