//! What each fuzz target does with its input, and what has to hold for any input.
//!
//! A target is a plain function over bytes. `fuzz_targets/` hands it those of libFuzzer, and
//! `main.rs` the recorded ones in `corpus/`, so that `cargo test` replays them without a fuzzer.
//! Whole sessions are a target too, and live in the simulation: `tests/sim/script.rs`.
#![allow(
    clippy::unwrap_used,
    reason = "a target tells what is wrong by panicking"
)]
#![allow(
    missing_docs,
    unreachable_pub,
    reason = "this is a crate to the fuzzer and a module to the replay"
)]

pub mod dns;
pub mod handshake;
pub mod hosts;
pub mod http_answer;
pub mod http_body;
pub mod http_head;
pub mod netlink;
pub mod options;
pub mod resolv_conf;
pub mod socks4;
pub mod udp;
pub mod users;

/// A target: it panics where a property does not hold.
pub type Target = fn(&[u8]);

/// Every target with its name, which is that of its corpus.
pub const TARGETS: [(&str, Target); 12] = [
    ("dns", dns::target),
    ("handshake", handshake::target),
    ("hosts", hosts::target),
    ("http_answer", http_answer::target),
    ("http_body", http_body::target),
    ("http_head", http_head::target),
    ("netlink", netlink::target),
    ("options", options::target),
    ("resolv_conf", resolv_conf::target),
    ("socks4", socks4::target),
    ("udp", udp::target),
    ("users", users::target),
];

/// Where an input is cut into pieces: the number of bytes that have come after each piece, up to
/// all of them. `seed` chooses; 0 cuts behind each byte.
fn cuts(seed: u8, len: usize) -> impl Iterator<Item = usize> {
    let mut state = u32::from(seed);
    let mut at = 0;
    std::iter::from_fn(move || {
        if at == len {
            return None;
        }
        state = state.wrapping_mul(1_664_525).wrapping_add(u32::from(seed));
        at = len.min(at + 1 + (state >> 24) as usize % (1 + usize::from(seed)));
        Some(at)
    })
}

/// The first byte of an input, which chooses how the others are used, and these.
fn chosen(data: &[u8]) -> Option<(u8, &[u8])> {
    data.split_first().map(|(choice, rest)| (*choice, rest))
}
