//! When to accept: open, full, or paused because the system has run out of something.
//!
//! Listeners are edge-triggered, so a connection that was not taken announces itself no
//! second time: `pending` remembers it until an accept has found nothing.

use crate::net::{Millis, NEVER};

/// The first pause after accept ran out of descriptors or memory, doubled each time up to the
/// last. Long enough to cost nothing, short enough to serve within seconds of relief.
const PAUSE_MS: Millis = 100;
const PAUSE_MAX_MS: Millis = 2_000;

/// The state of all listeners together.
#[derive(Debug)]
pub struct Acceptor {
    state: State,
    pending: Vec<bool>,
    /// The next pause.
    pause_ms: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    Open,
    Full,
    Paused { until: Millis },
    Closed,
}

impl Acceptor {
    /// For that many listeners, each of which may have a connection waiting.
    pub fn new(listeners: usize) -> Self {
        Self {
            state: State::Open,
            pending: vec![true; listeners],
            pause_ms: PAUSE_MS,
        }
    }

    /// An event of a listener.
    pub fn mark(&mut self, listener: usize) {
        if let Some(pending) = self.pending.get_mut(listener) {
            *pending = true;
        }
    }

    /// How many listeners there are.
    pub fn listeners(&self) -> usize {
        self.pending.len()
    }

    /// Whether to try accept on that listener now.
    pub fn wants(&self, listener: usize) -> bool {
        self.state == State::Open && self.pending.get(listener) == Some(&true)
    }

    /// Whether to try accept on any listener now.
    pub fn wants_any(&self) -> bool {
        self.state == State::Open && self.pending.contains(&true)
    }

    /// An accept gave a connection.
    pub fn accepted(&mut self) {
        self.pause_ms = PAUSE_MS;
    }

    /// An accept found nothing; an event will come.
    pub fn drained(&mut self, listener: usize) {
        if let Some(pending) = self.pending.get_mut(listener) {
            *pending = false;
        }
    }

    /// A table is full.
    pub fn fill(&mut self) {
        if self.state == State::Open {
            self.state = State::Full;
        }
    }

    /// The system has run out of something; how long to leave it in peace.
    pub fn pause(&mut self, now: Millis) -> Millis {
        let pause_ms = self.pause_ms;
        if self.state == State::Open {
            self.state = State::Paused {
                until: now + pause_ms,
            };
            self.pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
        }
        pause_ms
    }

    /// Goes on where it can: a pause that is over, or tables that have `room` again.
    pub fn resume(&mut self, now: Millis, room: bool) {
        match self.state {
            State::Full if room => self.state = State::Open,
            State::Paused { until } if until <= now => self.state = State::Open,
            _ => {}
        }
    }

    /// When a pause is over.
    pub fn next(&self) -> Millis {
        match self.state {
            State::Paused { until } => until,
            _ => NEVER,
        }
    }

    /// No more connections, ever.
    pub fn close(&mut self) {
        self.state = State::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_until_an_accept_succeeds() {
        let mut acceptor = Acceptor::new(1);
        let mut now = 0;
        for expected in [100, 200, 400, 800, 1600, 2000, 2000] {
            assert_eq!(acceptor.pause(now), expected);
            assert!(!acceptor.wants_any());
            assert_eq!(acceptor.next(), now + expected);
            acceptor.resume(now + expected - 1, true);
            assert!(!acceptor.wants_any());
            now += expected;
            acceptor.resume(now, false);
            assert!(acceptor.wants_any(), "the connection is still waiting");
        }
        acceptor.accepted();
        assert_eq!(acceptor.pause(now), 100);
    }

    #[test]
    fn a_full_house_keeps_what_waits_in_mind() {
        let mut acceptor = Acceptor::new(2);
        acceptor.drained(0);
        acceptor.fill();
        acceptor.resume(0, false);
        assert!(!acceptor.wants_any());
        acceptor.resume(0, true);
        assert!(acceptor.wants(1) && !acceptor.wants(0));
        acceptor.close();
        acceptor.resume(0, true);
        assert!(!acceptor.wants_any());
    }
}
