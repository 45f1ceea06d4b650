//! The benchmark: anklet beside every other proxy that is found on the machine, one at a time.
//!
//! `make bench` runs it; `README.md` beside this file says what each row means. As a test it is a
//! part of `cargo test` that takes seconds: the arithmetic, and one short run of each kind of row.
//!
//! ```text
//! rows.rs     what is done to a proxy, and what is read of it
//! site.rs     both ends of a tunnel: this process is the client and the target
//! bulk.rs, pings.rs, burst.rs, datagrams.rs, memory.rs, names.rs
//!             the work of a row; every byte that arrives is compared with pattern.rs
//! peers.rs    how each program is found and started; process.rs: its core, time and memory
//! cost.rs     system calls and instructions, counted and not timed
//! stats.rs, table.rs, chart.rs
//!             medians, the table with its ratios and goals, the picture
//! ```
//!
//! It is a target of its own among the tests, because it needs their dependencies and no more, and
//! is linted and built with them; a package of its own would be built a second time.
#![allow(
    clippy::unwrap_used,
    reason = "a test tells what went wrong by panicking"
)]
#![allow(clippy::cast_precision_loss, reason = "counts are below 2^52")]

mod bulk;
mod burst;
mod chart;
mod cost;
mod datagrams;
mod memory;
mod names;
mod pattern;
mod peers;
mod pings;
mod process;
mod rows;
mod site;
mod stats;
mod table;

use std::env;
use std::fs;
use std::time::Duration;

use crate::cost::{Tool, Unit};
use crate::peers::{PEERS, Peer};
use crate::process::{Core, pin};
use crate::rows::{ROWS, Row};
use crate::table::{Results, chosen};

/// A number that the environment gives.
fn number(name: &str, default: f64) -> f64 {
    let text = env::var(name).unwrap_or_default();
    if text.is_empty() {
        return default;
    }
    let number = text.parse().ok().filter(|number| *number > 0.0);
    number.unwrap_or_else(|| panic!("{name}={text} is not a number above 0"))
}

/// Descriptors for 9,000 tunnels: two of the proxy, which inherits the limit, and two here.
fn raise_limits() {
    let (_, hard) = rlimit::Resource::NOFILE.get().unwrap();
    rlimit::Resource::NOFILE.set(hard, hard).unwrap();
}

/// The programs that take part: all that are found, or those that the environment names.
fn participants() -> Vec<Peer> {
    let only = env::var("ANKLET_BENCH_PEERS").unwrap_or_default();
    let is_wanted =
        |peer: &Peer| only.is_empty() || only.split([',', ' ']).any(|n| n == peer.name());
    let is_there = |peer: &Peer| {
        if *peer == Peer::Direct {
            return true;
        }
        let program = peer.program();
        match &program {
            Ok(path) => eprintln!("{:<12} {}", peer.name(), path.display()),
            Err(missing) if *peer != Peer::Before => eprintln!("left out: {missing}"),
            Err(_) => {}
        }
        program.is_ok()
    };
    PEERS
        .into_iter()
        .filter(is_wanted)
        .filter(is_there)
        .collect()
}

/// All rounds of these rows. A failure is said, and leaves its place in the table empty.
fn run(rows: &[&'static Row], peers: &[Peer], rounds: u32, time: Duration) -> (Results, u32) {
    let (mut results, mut failures) = (Results::default(), 0);
    for round in 1..=rounds {
        for row in rows {
            for peer in peers.iter().filter(|peer| row.is_for(**peer)) {
                match row.measure(*peer, time) {
                    Ok(figures) => {
                        let texts = figures.iter().map(|figure| {
                            results.add(row.name, *peer, figure.name, figure.value);
                            format!("{} {}", table::shown(figure.value), figure.name)
                        });
                        let text = texts.collect::<Vec<_>>().join(", ");
                        eprintln!(
                            "{round}/{rounds} {:<16} {:<12} {text}",
                            row.name,
                            peer.name()
                        );
                    }
                    Err(error) => {
                        failures += u32::from(*peer == Peer::Anklet);
                        eprintln!(
                            "{round}/{rounds} {:<16} {:<12} {error}",
                            row.name,
                            peer.name()
                        );
                    }
                }
            }
        }
    }
    (results, failures)
}

/// `make bench`.
#[test]
#[ignore = "it takes two minutes and more: make bench"]
fn bench() {
    raise_limits();
    pin(Core::Generator);
    let rows = env::var("ANKLET_BENCH_ROWS").unwrap_or_default();
    let rows = chosen(if rows.is_empty() { "short" } else { &rows }).unwrap();
    #[expect(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a number of rounds"
    )]
    let rounds = number("ANKLET_BENCH_ROUNDS", 1.0) as u32;
    let time = Duration::from_secs_f64(number("ANKLET_BENCH_SECONDS", 0.7));
    let (results, failures) = run(&rows, &participants(), rounds, time);
    let table = results.table();
    println!("\n{table}");
    let folder = env::var("ANKLET_BENCH_FOLDER").unwrap_or_else(|_| "target/bench".into());
    fs::create_dir_all(&folder).unwrap();
    fs::write(format!("{folder}/table.md"), &table).unwrap();
    fs::write(format!("{folder}/chart.svg"), results.chart()).unwrap();
    println!("also in {folder}: table.md, chart.svg");
    assert_eq!(failures, 0, "rows of anklet could not be measured");
}

/// `make bench-cost`.
#[test]
#[ignore = "it takes minutes: make bench-cost"]
fn costs() {
    println!("| of a | system calls | instructions |\n|---|---:|---:|");
    for (unit, name, count) in Unit::ALL {
        let texts = [Tool::Strace, Tool::Callgrind].map(|tool| {
            let cost = unit.cost(count, tool);
            cost.map_or_else(|error| error, table::shown)
        });
        println!("| {name} | {} | {} |", texts[0], texts[1]);
    }
}

/// One row of each kind, for a moment, of anklet alone: what it carries arrives as it was sent.
#[test]
fn each_kind_of_row_can_be_measured() {
    raise_limits();
    if env::var_os("ANKLET_RUNNER").is_some_and(|runner| !runner.is_empty()) {
        eprintln!("not run: what an emulator takes says nothing");
        return;
    }
    let names = [
        "bulk-down-8",
        "bulk-up-1",
        "bulk-both-8",
        "beside-others",
        "connect-64",
        "connect-64-login",
        "connect-1",
        "ping-1",
        "ping-100",
        "udp-up-1-64",
        "udp-down-32-1400",
        "udp-quic-1-1400",
        "udp-ping-64",
        "never-read-200",
        "among-100",
        "processes-2",
    ];
    for name in names {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let figures = row.measure(Peer::Anklet, Duration::from_millis(100));
        let figures = figures.unwrap_or_else(|error| panic!("{name}: {error}"));
        assert!(figures.len() > usize::from(name != "udp-ping-64"), "{name}");
        for figure in figures {
            assert!(figure.value.is_finite(), "{name}: {figure:?}");
        }
    }
}

#[test]
fn without_a_proxy_the_generator_reaches_itself() {
    for name in ["bulk-down-8", "connect-64", "ping-100", "udp-down-1-1400"] {
        let row = ROWS.iter().find(|row| row.name == name).unwrap();
        let figures = row.measure(Peer::Direct, Duration::from_millis(50));
        figures.unwrap_or_else(|error| panic!("{name}: {error}"));
    }
}
