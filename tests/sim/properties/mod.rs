//! The properties that hold at all times: bounded turns, no busy loop, no lost edge.
//! What clients and targets see of their bytes is checked in `clients/client_actor.rs` and
//! `clients/tunnel_end.rs`.

pub(crate) mod tables;

use anklet::net::Millis;

use crate::network::Network;
use crate::network::socket::Socket;
use crate::world::LISTENERS;

/// Operations on one connection in one pass. A flow reads, peeks and writes a handful of times
/// per turn; refusing and a handshake in one segment take a few more.
const OPERATIONS_MAX: u32 = 40;

/// Reads that give something, from one end of a tunnel of which the client knows, in one pass:
/// a turn fills one buffer, or peeks once and consumes what it has passed on.
const READS_MAX: u32 = 2;

/// So many that the server will never come to the end of its pass.
const OPERATIONS_ENDLESS: u32 = 10_000;

/// Calls of accept in one pass: 32 successes per listener and what ends each round.
const ACCEPTS_MAX: u32 = 68;

/// Passes in a row that ask for no waiting, hear nothing and move nothing. One is a timer that
/// is due at once; more are a busy loop.
const IDLE_PASSES_MAX: u32 = 3;

/// Nothing that could be moved waits this long.
const QUIET_MS: Millis = 200;

/// No connection waits this long to be accepted while there is room: accepting pauses for two
/// seconds at most when descriptors run out.
const ACCEPT_MS: Millis = 2_500;

/// What is counted, and the first property that was found broken.
pub(crate) struct Checks {
    /// Replaying: everything is printed.
    pub(crate) traces: bool,
    /// The first property found broken.
    pub(crate) failure: Option<String>,
    /// The server has been told to stop, or the clients to leave: any connection may end.
    pub(crate) closing: bool,
    /// Tables are small: a connection may be closed before the first answer.
    pub(crate) small_tables: bool,
    /// Sessions from which on the server need not accept.
    pub(crate) full: usize,
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
    pub(crate) fn new(traces: bool) -> Self {
        Self {
            traces,
            failure: None,
            closing: false,
            small_tables: false,
            full: 0,
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

    /// An operation on a connection.
    pub(crate) fn count_operation(&mut self, s: usize) {
        let spent = &mut self.sockets[s].spent;
        if *spent == (0, 0) {
            self.checks.touched.push(s);
        }
        spent.0 += 1;
        let spent = spent.0;
        self.checks.operations += 1;
        assert!(
            spent < OPERATIONS_ENDLESS,
            "an endless loop about socket {s}"
        );
        if spent > OPERATIONS_MAX {
            self.fail(format!(
                "more than {OPERATIONS_MAX} operations on socket {s} in one pass"
            ));
        }
    }

    /// The server has read, or peeked at, something.
    pub(crate) fn count_read(&mut self, s: usize) {
        self.sockets[s].spent.1 += 1;
        // The limit is that of a tunnel, which lasts as long as the server keeps the target. What
        // the client sends behind that is discarded at once, up to 64 KiB: behind a forwarded
        // request, and where the target broke after its end of stream had been passed on.
        let is_tunnel = self.sockets[s].client.is_some_and(|client| {
            let target = self.clients[client].target;
            target.is_some_and(|target| !self.sockets[target].dropped)
        });
        if is_tunnel && self.sockets[s].spent.1 > READS_MAX {
            self.fail(format!(
                "more than {READS_MAX} reads of socket {s} in one pass"
            ));
        }
    }

    /// The server has passed on bytes.
    pub(crate) fn count_moved(&mut self, s: usize) {
        self.checks.progressed = true;
        if let Some(client) = self.sockets[s].client {
            self.clients[client].moved_ms = self.now;
        }
    }

    /// Judges the pass that ends with this wait.
    pub(crate) fn check_pass(&mut self, timeout_ms: Option<Millis>) {
        self.checks.passes += 1;
        if self.checks.accepts > ACCEPTS_MAX {
            self.fail(format!(
                "{} calls of accept in one pass",
                self.checks.accepts
            ));
        }
        self.checks.accepts = 0;
        let operations = std::mem::take(&mut self.checks.operations);
        if std::mem::take(&mut self.checks.only_stale_events) && operations > 0 {
            self.fail("an event of a closed socket wakes a session".into());
        }
        for s in std::mem::take(&mut self.checks.touched) {
            self.sockets[s].spent = (0, 0);
        }
        if timeout_ms != Some(0)
            && let Some(text) = self.unaccepted_peer().or_else(|| self.unread_datagram())
        {
            self.fail(text);
        }
        let (progressed, events_delivered) = (self.checks.progressed, self.checks.events_delivered);
        (self.checks.progressed, self.checks.events_delivered) = (false, false);
        // A timeout of one millisecond, again and again, is a busy loop as well.
        if progressed || events_delivered || timeout_ms.is_none_or(|timeout_ms| timeout_ms > 1) {
            self.checks.idle_passes = 0;
            return;
        }
        self.checks.idle_passes += 1;
        if self.checks.idle_passes > IDLE_PASSES_MAX {
            self.fail("a busy loop: passes without an event, without waiting or moving".into());
        }
    }

    /// Judges the state in which nothing will happen for `gap_ms` (`None`: ever): the server
    /// has been told everything, so nothing can be left that it could move.
    pub(crate) fn check_quiet(&mut self, gap_ms: Option<Millis>) {
        let longer = |ms| gap_ms.is_none_or(|gap_ms| gap_ms > ms);
        if !longer(QUIET_MS) || self.checks.closing {
            return;
        }
        for number in 0..self.clients.len() {
            if let Some(text) = self.lost_edge(number) {
                self.fail(format!("lost edge in client {number}: {text}"));
            }
        }
        let waiting = self
            .backlogs
            .iter()
            .flatten()
            .any(|backlog| !backlog.is_empty());
        let held = |socket: &&Socket| {
            let is_client = LISTENERS.contains(&socket.local);
            is_client && socket.accepted_at.is_some() && !socket.dropped
        };
        let sessions = self.sockets.iter().filter(held).count();
        if longer(ACCEPT_MS) && waiting && sessions < self.checks.full {
            self.fail(format!("a connection waits with {sessions} sessions open"));
        }
    }

    /// What a tunnel could move and does not.
    fn lost_edge(&self, number: usize) -> Option<String> {
        let client = &self.clients[number];
        let connection = client.connection?;
        let mut open = client.targets.iter().filter(|s| !self.sockets[**s].dropped);
        let (target, None) = (*open.next()?, open.next()) else {
            return None;
        };
        let ends = [connection, target].map(|s| &self.sockets[s]);
        if ends
            .iter()
            .any(|end| end.dropped || end.token.is_none() || end.connecting)
        {
            return None;
        }
        for (from, to) in [(0, 1), (1, 0)] {
            if ends[from].broken {
                return Some(format!(
                    "socket {} is broken and kept",
                    [connection, target][from]
                ));
            }
            let (readable, writable) = (ends[from].is_readable(), ends[to].is_writable());
            // Behind a request's body nothing is read until the answer has gone.
            let script = client
                .scenario
                .forward
                .as_ref()
                .map(|forward| forward.script.len());
            let whole = script.is_some_and(|len| from == 0 && ends[to].written == len as u64);
            let passed_on = whole || (ends[from].to_server.arrived() == 0 && ends[to].shut);
            if readable && writable && !passed_on {
                let names = [connection, target];
                return Some(format!(
                    "{} is readable, {} writable",
                    names[from], names[to]
                ));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::scenario::Client;
    use crate::world::World;
    use fastrand::Rng;

    #[test]
    fn reads_are_limited_while_the_server_keeps_the_target() {
        for closed in [false, true] {
            let world = World::empty();
            let net = &mut *world.network();
            let client = Client::new(&mut Rng::with_seed(0), 0, false, &net.odds);
            net.clients.push(client);
            let ends = (LISTENERS[0], LISTENERS[1]);
            let [connection, target] = [ends; 2].map(|ends| net.open(Some(0), ends, 64));
            net.clients[0].target = Some(target);
            net.sockets[target].dropped = closed;
            for _ in 0..=READS_MAX {
                net.count_read(connection);
            }
            assert_eq!(net.checks.failure.is_none(), closed);
        }
    }
}
