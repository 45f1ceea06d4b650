//! What has to hold in every world.
//!
//! ```text
//! passes.rs      one pass of the server is bounded, none wakes a wrong session, no busy loop
//! lost_edges.rs  what could be moved is moved
//! resources.rs   buffers, timers, queries and sockets: not too many in use, none left at the end
//! clients.rs     each client is answered, and closed, as its scenario allows, in time
//! tunnels.rs     a tunnel ends as its two ends have ended it
//! datagrams.rs   datagrams of UDP associations arrive whole, where they belong, once
//! tables.rs      not a property: when a refusal for want of room is right
//! ```
//!
//! A broken property calls [`Network::fail`], and the first one is what the seed reports. Some are
//! checked where they show: each byte of a tunnel where it is received (`clients/tunnel_end.rs`),
//! and where the server may connect, listen and send to (`network/`). Besides, the server's own
//! `Server::check` runs after each pass (`run.rs`).

mod clients;
mod datagrams;
mod lost_edges;
pub(crate) mod passes;
pub(crate) mod resources;
pub(crate) mod tables;
mod tunnels;

use anklet::config::Timeouts;
use anklet::net::Millis;

use crate::network::Network;

/// What the properties need to know, and the first one found broken.
pub(crate) struct Checks {
    /// The seed is replayed: everything is printed.
    pub(crate) is_traced: bool,
    /// The first property found broken.
    pub(crate) failure: Option<String>,
    /// The server has been told to stop, or the clients leave: any connection may end.
    pub(crate) closing: bool,
    /// Tables are small: a connection may be closed before the first answer.
    pub(crate) small_tables: bool,
    /// The server's timeouts.
    pub(crate) timeouts: Timeouts,
    /// When the server last looked at the memory.
    pub(crate) looked_ms: Option<Millis>,
    /// Only remotes that were sent to may send to a client.
    pub(crate) strict: bool,
    /// The number of passes so far.
    pub(crate) passes: u64,
    /// The number of calls of accept in this pass.
    pub(crate) accepts: u32,
    /// The number of operations on any socket in this pass.
    pub(crate) operations: u32,
    /// The last batch had only events of closed sockets.
    pub(crate) only_stale_events: bool,
    progressed: bool,
    events_delivered: bool,
    idle_passes: u32,
    touched: Vec<usize>,
}

impl Checks {
    /// Nothing has happened yet.
    pub(crate) fn new(is_traced: bool) -> Self {
        Self {
            is_traced,
            failure: None,
            closing: false,
            small_tables: false,
            operations: 0,
            only_stale_events: false,
            timeouts: Timeouts::default(),
            looked_ms: None,
            strict: false,
            passes: 0,
            accepts: 0,
            progressed: true,
            events_delivered: true,
            idle_passes: 0,
            touched: Vec::new(),
        }
    }

    /// The server has done something that changes a socket.
    pub(crate) fn progress(&mut self) {
        self.progressed = true;
    }

    /// The server has been given events.
    pub(crate) fn note_events(&mut self) {
        self.events_delivered = true;
    }
}

impl Network {
    /// A property is broken.
    pub(crate) fn fail(&mut self, text: String) {
        self.trace(|| format!("FAILURE {text}"));
        let now = self.now;
        self.checks
            .failure
            .get_or_insert_with(|| format!("at {now} ms: {text}"));
    }
}
