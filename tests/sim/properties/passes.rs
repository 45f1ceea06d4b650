//! Properties of one pass of the server: its turns are bounded, an event of a closed socket wakes
//! no session, and there is no busy loop.

use anklet::net::Millis;
use anklet::state::batch::{BATCH_MAX, RUN_MAX};

use crate::network::Network;

/// The number of operations on one connection in one pass, at most. A flow reads, peeks and writes
/// about five times per turn; a refusal, and a handshake in one segment, take a few more.
const OPERATIONS_MAX: u32 = 40;

/// The number of reads that give something, from one end of an established tunnel in one pass, at
/// most: a turn fills one buffer, or peeks once and consumes what it has passed on; and the same once
/// more behind a short read whose event has announced the end of stream.
const READS_MAX: u32 = 4;

/// With this number of operations the pass will never end.
const OPERATIONS_ENDLESS: u32 = 10_000;

/// The number of calls of accept in one pass, at most: 32 successes per listener, and what ends
/// each round.
const ACCEPTS_MAX: u32 = 68;

/// The number of passes in a row without an event, without a wait and without progress, at most.
/// A timer takes two: the wait in which its time comes, and one that reports nothing more. A few
/// timers may follow each other within milliseconds; more passes are a busy loop.
const IDLE_PASSES_MAX: u32 = 6;

/// The number of batches received from one UDP socket in one pass, at most: four in a turn.
const RECEIVES_MAX: usize = 4;

/// The datagrams that one UDP socket receives in one pass, at most: a turn takes no batch behind
/// the one with the 64th, and the first joined ones may be 64 in each place.
const DATAGRAMS_MAX: usize = (1 + BATCH_MAX) * RUN_MAX;

/// The number of calls to send from one UDP socket in one pass, at most: for each datagram two, and
/// one for a run that it begins; as many again for answers to lookups.
const SENDS_MAX: usize = 2 * 3 * DATAGRAMS_MAX;

/// The number of calls of accept on the listener of a BIND in one pass, at most: eight in a turn,
/// and one turn each for an event and an alarm.
const BIND_ACCEPTS_MAX: usize = 16;

/// The time between two looks at the memory, at least.
const LOOKS_APART_MS: Millis = 250;

/// The number of calls of one kind on one socket in one pass.
#[derive(Default)]
pub(crate) struct CallCount {
    pass: u64,
    calls: usize,
}

impl CallCount {
    /// Counts a call in that pass. Returns the number of calls in it so far.
    fn add(&mut self, pass: u64) -> usize {
        if self.pass != pass {
            *self = Self { pass, calls: 0 };
        }
        self.calls += 1;
        self.calls
    }
}

impl Network {
    /// Counts an operation on a connection.
    pub(crate) fn count_operation(&mut self, s: usize) {
        let operations = &mut self.sockets[s].operations;
        if *operations == 0 {
            self.checks.touched.push(s);
        }
        *operations += 1;
        let operations = *operations;
        self.checks.operations += 1;
        assert!(
            operations < OPERATIONS_ENDLESS,
            "an endless loop about socket {s}"
        );
        if operations > OPERATIONS_MAX {
            self.fail(format!(
                "more than {OPERATIONS_MAX} operations on socket {s} in one pass"
            ));
        }
    }

    /// Counts a read or a peek that gave something.
    pub(crate) fn count_read(&mut self, s: usize) {
        self.sockets[s].reads += 1;
        // The limit is that of a tunnel, which lasts as long as the server keeps the target's
        // connection. Then what the client still sends is discarded at once, up to 64 KiB: behind a
        // forwarded request, and where the target broke after its end of stream was passed on; and
        // from one end where the server ends the tunnel and resets the other.
        let is_tunnel = self.sockets[s].client.is_some_and(|number| {
            let client = &self.clients[number];
            let is_reset = |s: Option<usize>| s.is_some_and(|s| self.sockets[s].abort);
            let lasts = client
                .target
                .is_some_and(|target| !self.sockets[target].dropped);
            lasts && !is_reset(client.target) && !is_reset(client.connection)
        });
        if is_tunnel && self.sockets[s].reads > READS_MAX {
            self.fail(format!(
                "more than {READS_MAX} reads of socket {s} in one pass"
            ));
        }
    }

    /// Notes that the server has written bytes.
    pub(crate) fn count_moved(&mut self, s: usize) {
        self.checks.progressed = true;
        if let Some(client) = self.sockets[s].client {
            self.clients[client].moved_ms = self.now;
        }
    }

    /// Counts a look at the memory.
    pub(crate) fn count_look(&mut self) {
        let before = self.checks.looked_ms.replace(self.now);
        if before.is_some_and(|before| self.now - before < LOOKS_APART_MS) {
            self.fail("memory is looked at too often".into());
        }
        self.checks.progress();
    }

    /// Counts a call to receive from a UDP socket of an association.
    pub(crate) fn count_receive(&mut self, p: usize) {
        self.checks.operations += 1;
        let receives = self.udp_sockets[p].receives.add(self.checks.passes);
        if receives > RECEIVES_MAX {
            self.fail(format!("{receives} receives at UDP socket {p} in one pass"));
        }
    }

    /// Counts a call to send from a UDP socket of an association.
    pub(crate) fn count_send(&mut self, p: usize) {
        self.checks.operations += 1;
        let sends = self.udp_sockets[p].sends.add(self.checks.passes);
        if sends > SENDS_MAX {
            self.fail(format!("{sends} sends at UDP socket {p} in one pass"));
        }
    }

    /// Counts a call of accept on the listener of a BIND.
    pub(crate) fn count_accept(&mut self, d: usize) {
        self.checks.operations += 1;
        let accepts = self.bind_listeners[d].accepts.add(self.checks.passes);
        if accepts > BIND_ACCEPTS_MAX {
            self.fail(format!("{accepts} accepts at listener {d} in one pass"));
        }
    }

    /// Checks the pass that ends with this wait.
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
            (self.sockets[s].operations, self.sockets[s].reads) = (0, 0);
        }
        if timeout_ms != Some(0)
            && let Some(text) = self.unaccepted_peer().or_else(|| self.unread_datagram())
        {
            self.fail(text);
        }
        let (progressed, events_delivered) = (self.checks.progressed, self.checks.events_delivered);
        (self.checks.progressed, self.checks.events_delivered) = (false, false);
        // A timeout of one millisecond again and again is a busy loop as well.
        if progressed || events_delivered || timeout_ms.is_none_or(|timeout_ms| timeout_ms > 1) {
            self.checks.idle_passes = 0;
            return;
        }
        self.checks.idle_passes += 1;
        if self.checks.idle_passes > IDLE_PASSES_MAX {
            self.fail("a busy loop: passes without an event, without waiting or moving".into());
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clients::scenario::Client;
    use crate::world::{LISTENERS, World};
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
