//! anklet: the smallest complete SOCKS5 proxy, for routers.
//!
//! | layer | modules | what they know |
//! |---|---|---|
//! | 3 | [`server`], [`session`], [`resolver`] | the loop, the life of one client, name lookups |
//! | 2 | [`os`], [`sys`] | system calls; [`config`] reads the command line and files |
//! | 1 | [`state`], [`net`] | state machines and tables; the seam to the system (declarations) |
//! | 0 | [`log`] | the log |
//! | 0 | [`wire`] | bytes to values and back |
//!
//! No module uses one above it, and no file imports from one that imports it. A connection's way
//! from accept to close: `server::accept`, then `session::Session::turn`, one phase after the
//! other, until the server closes it.
//!
//! # Glossary
//!
//! | word | what it means here |
//! |---|---|
//! | client, target | the two ends of a tunnel: who connects to the proxy, and whom it asks for |
//! | remote | who exchanges datagrams with a client through a UDP association |
//! | up, down | from the client to the target, and back |
//! | session | the life of one client, from accept to close |
//! | phase, step | where a session is in its life; an opening has steps of its own |
//! | opening | what a session has until its tunnel or association is established |
//! | dialect | what the client speaks: SOCKS5, SOCKS4 or HTTP |
//! | handshake | greeting, login and request, until it is clear what the client wants |
//! | race | the attempts to connect to the addresses of one name (RFC 8305) |
//! | relay, flow | a tunnel that is established; one direction of it |
//! | association | UDP ASSOCIATE: a socket to the client (inner), others to remotes (outer) |
//! | lingering | a refused client's time to read its reply before the connection is closed |
//! | turn | the bounded amount of work that a session, or the loop, does at once |
//! | wake, alarm | why a session gets a turn; a timer that does not end its phase |
//! | ready | what events have said of a socket: reading or writing may succeed |
//! | quota | a bounded number of places, and how many are taken |
//! | splice, pipe | what hands bytes on in the kernel; what is in between |
//! | bulk | a flow that carries so much that it is spliced, and its session |
//! | rest, tick | a bulk flow that has emptied its source; the millisecond for which it waits then |
//! | query, half | one name being looked up; its question for A or for AAAA |
//! | exchange | a request and its answer: of HTTP, or one attempt to have a query answered by a server, on a socket of its own |
//! | place | what a session takes of a table, and may lose to a newcomer where it is full |
//! | source, share | whom places are counted for, and how many may be had while others want some |
//! | client key | a client for the purpose of limits: an IPv4 address, or an IPv6 /64 |
//! | permit, refuse | what the rules say about a destination |
//! | slot, key, token | a place in the table of sessions; its name; that name in epoll |
//! | forward | send an HTTP request on in the client's stead, and its answer back |
//! | transfer, meter | the body of a forwarded message on its way; what finds where it ends |
//! | link, pair | a connection to the server of an exchange; that and the client's, between two exchanges |
//!
//! # Unsafe code
//!
//! There is none, and the compiler forbids it. But one function does by a system call what would
//! be unsafe code otherwise: [`sys::cmdline::hide_password`] overwrites the process's own
//! arguments through /proc/self/mem, to take the password of `-P` out of what `ps` shows.
//! Writing to memory behind the compiler's back is sound here because of where and when: the
//! bytes are those between `arg_start` and `arg_end` of /proc/self/stat, to which nothing of the
//! program holds a reference: std's `args` copies them, `main` has its copy by then, and nothing
//! asks again. Nothing is written where the length of that area is not that of
//! /proc/self/cmdline.
//!
//! Weighed against it:
//!
//! - Overwriting `argv` through its pointer, as microsocks does, is an unsafe block, and std does
//!   not give the pointer away.
//! - Starting the program again with the credential in a memfd fails under emulation, where
//!   /proc/self/exe is the emulator, and without /proc.
//! - Not hiding it: every user of the router reads it with `ps`. Where hiding fails, a warning in
//!   the log says so and names `--users`, which has no such problem.
#![forbid(unsafe_code)]
#![cfg_attr(test, allow(clippy::unwrap_used))]

pub mod config;
pub mod log;
pub mod net;
pub mod os;
pub mod resolver;
pub mod server;
pub mod session;
pub mod state;
pub mod sys;
pub mod wire;
