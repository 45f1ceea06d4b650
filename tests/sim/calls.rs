//! Each call of a recorded run fails once, in a run of its own. A plain `cargo test` takes a sample;
//! `ANKLET_SIM_FAULTS=N` (`make faults`) takes every call of the seeds 0 to N-1.

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

use nix::errno::Errno;

use crate::THREADS;
use crate::faults::Call;
use crate::run::{number, run_caught, run_world};
use crate::world::World;

/// Seeds of the sample: the first one is stopped in the middle.
const SEEDS: [u64; 2] = [7, 12];

/// Calls of one kind in a run of the sample, spread over it.
const SAMPLE: usize = 3;

/// A run with a fault: the seed, the number of the call, its kind, and its error.
type Run = (u64, usize, Call, Errno);

#[test]
fn any_call_may_fail_and_all_properties_hold() {
    let all = number("ANKLET_SIM_FAULTS");
    let seeds: Vec<u64> = match all {
        Some(seeds) => (0..seeds).collect(),
        None => SEEDS.to_vec(),
    };
    let runs: Vec<Run> = seeds
        .iter()
        .flat_map(|seed| runs(*seed, all.is_none()))
        .collect();
    let failures = failures(&runs);
    for ((seed, call, kind, error), text) in failures.iter().take(10) {
        eprintln!("seed {seed}, call {call} ({kind:?}) fails with {error:?}: {text}");
        eprintln!(
            "    replay: ANKLET_SIM_SEED={seed} ANKLET_SIM_CALL={call} ANKLET_SIM_ERRNO={} \
             cargo test --test sim every -- --nocapture",
            *error as i32
        );
    }
    eprintln!("{} calls failed, each in a run of its own", runs.len());
    assert!(failures.is_empty(), "{} runs fail", failures.len());
}

/// The runs with a fault in the world of that seed.
fn runs(seed: u64, is_sample: bool) -> Vec<Run> {
    let world = World::new(seed, false);
    run_world(&world, seed).unwrap_or_else(|text| panic!("seed {seed}: {text}"));
    let made = std::mem::take(&mut world.network().calls.made);
    let mut totals = [0; Call::COUNT];
    made.iter().for_each(|call| totals[*call as usize] += 1);
    let mut seen = [0; Call::COUNT];
    let mut runs = Vec::new();
    for (number, call) in made.into_iter().enumerate() {
        let kind = call as usize;
        let stride = usize::div_ceil(totals[kind], SAMPLE);
        seen[kind] += 1;
        if !is_sample || seen[kind] % stride == 0 {
            let errors = call.errors().iter();
            runs.extend(errors.map(|error| (seed, number, call, *error)));
        }
    }
    runs
}

/// Runs worlds with a fault; those that break a property.
fn failures(runs: &[Run]) -> Vec<(Run, String)> {
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    let work = || {
        while let Some(run) = runs.get(next.fetch_add(1, Ordering::Relaxed)) {
            let (seed, call, _, error) = *run;
            let result = run_caught(|| {
                let world = World::new(seed, false);
                world.network().calls.fault = Some((call, error));
                run_world(&world, seed)
            });
            if let Err(text) = result {
                failures
                    .lock()
                    .expect("no panic holds it")
                    .push((*run, text));
            }
        }
    };
    thread::scope(|scope| {
        for _ in 0..THREADS {
            scope.spawn(work);
        }
    });
    failures.into_inner().expect("no panic holds it")
}
