//! Integration tests: the program as a process, over real sockets, beside servers and clients of
//! the tests' own and foreign ones.
//!
//! The files that a table of `tests/PROTOCOL.md` names test it row by row; the others test what
//! stands in README.md and the manual. `support` is what they share. `tests/sim` is the simulation.
#![allow(
    clippy::unwrap_used,
    reason = "a test tells what went wrong by panicking"
)]

mod auth;
mod bind;
mod cli;
mod clients;
mod dante;
mod distant;
mod documents;
mod edges;
mod fairness;
mod faults;
mod guessing;
mod handed_out;
mod http;
mod http_answers;
mod http_heads;
mod http_logins;
mod http_pairs;
mod http_refusals;
mod interop;
mod limits;
mod listeners;
mod logging;
mod manual;
mod memory;
mod names;
mod needs;
mod negotiation;
mod openwrt;
mod own_ends;
mod policy;
mod ports;
mod protocol;
mod relay;
mod replies;
mod rights;
mod router;
mod security;
mod signals;
mod soak;
mod socks4;
mod splice;
mod status;
mod structure;
mod support;
mod udp;
mod udp_life;
mod udp_runs;
