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
//! A property that is broken calls [`Network::fail`]; the first one is what the seed reports.
//! That each byte of a tunnel is right is checked where it is received, in
//! `clients/tunnel_end.rs`, and whom the server may connect to where it does, in `network/`.

mod clients;
mod datagrams;
mod lost_edges;
mod passes;
pub(crate) mod resources;
pub(crate) mod tables;
mod tunnels;

use anklet::net::Millis;

use crate::network::Network;

/// What is counted, and the first property that was found broken.
pub(crate) struct Checks {
    /// Replaying: everything is printed.
    pub(crate) is_traced: bool,
    /// The first property found broken.
    pub(crate) failure: Option<String>,
    /// The server has been told to stop, or the clients to leave: any connection may end.
    pub(crate) closing: bool,
    /// Tables are small: a connection may be closed before the first answer.
    pub(crate) small_tables: bool,
    /// Sessions from which on the server need not accept.
    pub(crate) sessions_full: usize,
    /// Timeouts of the server: handshake, idle, half-closed.
    pub(crate) timeouts_ms: [Millis; 3],
    /// That of a listener to which nobody comes.
    pub(crate) bind_ms: Millis,
    /// That of an association without datagrams.
    pub(crate) udp_ms: Millis,
    /// Only remotes that were written to may answer.
    pub(crate) strict: bool,
    /// Passes so far.
    pub(crate) passes: u64,
    /// Calls of accept since the last wait.
    pub(crate) accepts: u32,
    /// Operations on any socket since the last wait.
    pub(crate) operations: u32,
    /// The last batch had nothing but events of closed sockets.
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
            sessions_full: 0,
            operations: 0,
            only_stale_events: false,
            timeouts_ms: [0; 3],
            bind_ms: 0,
            udp_ms: 0,
            strict: false,
            passes: 0,
            accepts: 0,
            progressed: true,
            events_delivered: true,
            idle_passes: 0,
            touched: Vec::new(),
        }
    }

    /// The server has done something that changes the world.
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
