//! When to accept: not while the tables are full, and not for a while after the system has run
//! out of descriptors or memory.
//!
//! Listeners are edge-triggered, so a connection that was not taken is not announced again:
//! `pending` remembers it until an accept has found nothing.

use crate::net::{Millis, NEVER};

/// Listeners at once: an interface may have several addresses of each family. Their descriptors
/// are part of the fixed share in `config::limits`.
pub const LISTENERS_MAX: usize = 16;

const _: () = assert!(LISTENERS_MAX == u16::BITS as usize, "each has a bit");

/// The first pause after accept ran out of descriptors or memory; each further one is twice as
/// long. A try after 100 ms costs next to nothing.
const PAUSE_MS: Millis = 100;
/// The longest pause: clients are served again two seconds after there are descriptors.
const PAUSE_MAX_MS: Millis = 2_000;

/// Decides when to accept, for all listeners together.
#[derive(Debug)]
pub struct Acceptor {
    mode: Mode,
    /// The listeners at which a connection may be waiting, a bit for each.
    pending: u16,
    /// The duration of the next pause.
    pause_ms: Millis,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Mode {
    Open,
    Full,
    Paused { until: Millis },
    Closed,
}

impl Default for Acceptor {
    /// At no listener anything is known to wait: what does is announced.
    fn default() -> Self {
        Self {
            mode: Mode::Open,
            pending: 0,
            pause_ms: PAUSE_MS,
        }
    }
}

impl Acceptor {
    /// Remembers that a connection may be waiting at a listener, below [`LISTENERS_MAX`].
    pub fn mark(&mut self, listener: usize) {
        self.pending |= 1 << listener;
    }

    /// The listener on which accept is to be tried now, the first from `from` on.
    pub fn next_listener(&self, from: usize) -> Option<usize> {
        if self.mode != Mode::Open {
            return None;
        }
        (from..LISTENERS_MAX).find(|listener| self.pending >> listener & 1 == 1)
    }

    /// Returns `true` if accept is to be tried on any listener now.
    pub fn wants_any(&self) -> bool {
        self.mode == Mode::Open && self.pending != 0
    }

    /// Accept returned a connection: the next pause is a short one.
    pub fn accepted(&mut self) {
        self.pause_ms = PAUSE_MS;
    }

    /// Accept found nothing at that listener: an event will come.
    pub fn drained(&mut self, listener: usize) {
        self.pending &= !(1 << listener);
    }

    /// A table is full: stops until there is room.
    pub fn fill(&mut self) {
        if self.mode == Mode::Open {
            self.mode = Mode::Full;
        }
    }

    /// The system has run out of something: stops for a while. Returns for how long, in
    /// milliseconds.
    pub fn pause(&mut self, now: Millis) -> Millis {
        let pause_ms = self.pause_ms;
        if self.mode == Mode::Open {
            self.mode = Mode::Paused {
                until: now + pause_ms,
            };
            self.pause_ms = (pause_ms * 2).min(PAUSE_MAX_MS);
        }
        pause_ms
    }

    /// Goes on if a pause is over, or if the tables have `room` again.
    pub fn resume(&mut self, now: Millis, room: bool) {
        match self.mode {
            Mode::Full if room => self.mode = Mode::Open,
            Mode::Paused { until } if until <= now => self.mode = Mode::Open,
            _ => {}
        }
    }

    /// When the pause is over; [`NEVER`] if there is none.
    pub fn next(&self) -> Millis {
        match self.mode {
            Mode::Paused { until } => until,
            _ => NEVER,
        }
    }

    /// Stops for ever.
    pub fn close(&mut self) {
        self.mode = Mode::Closed;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pause_grows_until_an_accept_succeeds() {
        let mut acceptor = Acceptor::default();
        acceptor.mark(0);
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
        let mut acceptor = Acceptor::default();
        acceptor.mark(0);
        acceptor.mark(15);
        acceptor.drained(0);
        acceptor.fill();
        acceptor.resume(0, false);
        assert!(!acceptor.wants_any());
        acceptor.resume(0, true);
        assert_eq!(acceptor.next_listener(0), Some(15));
        acceptor.drained(15);
        assert_eq!(acceptor.next_listener(0), None);
        acceptor.close();
        acceptor.resume(0, true);
        assert!(!acceptor.wants_any());
    }
}
