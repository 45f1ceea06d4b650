//! anklet: the smallest complete SOCKS5 proxy, for routers.
//!
//! | layer | modules | what they know |
//! |---|---|---|
//! | 3 | [`server`], [`session`], [`names`] | the loop, the life of one client, name lookups |
//! | 2 | [`os`], [`sys`] | system calls; [`config`] reads the command line and files |
//! | 1 | [`state`], [`net`] | state machines and tables; the seam to the system (declarations) |
//! | 0 | [`log`] | the log |
//! | 0 | [`wire`] | bytes to values and back |
//!
//! No module uses one above it. A connection's way from accept to close: `server::accept`,
//! then `session::Session::turn`, one phase after the other, until the server reaps it.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod log;
pub mod names;
pub mod net;
pub mod os;
pub mod server;
pub mod session;
pub mod state;
pub mod sys;
pub mod wire;
