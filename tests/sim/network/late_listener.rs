//! The second listener, whose address the router does not have yet in some worlds: the server has
//! to open it soon after it can.

use anklet::net::Millis;
use fastrand::Rng;

use crate::network::Network;

/// How long the server may take to open a listener that it can open: it tries each second. With
/// slack for the time that passes take.
const OPENED_MS: Millis = 1_000 + 200;

/// The address is there within this time: clients begin at 8 s at the latest.
const THERE_WITHIN_MS: Millis = 6_000;

/// Whether the second listener is open, and when it can be.
pub(crate) struct LateListener {
    is_open: bool,
    there_at: Millis,
}

impl LateListener {
    /// That of a seed: in one world of four its address comes later.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x6c61_7465_0000_0001);
        let is_open = rng.u8(..4) > 0;
        Self {
            is_open,
            there_at: rng.u64(..THERE_WITHIN_MS),
        }
    }

    /// Nothing is late.
    pub(crate) fn open() -> Self {
        Self {
            is_open: true,
            there_at: 0,
        }
    }
}

impl Network {
    /// Which of the listeners a client reaches that wants to come to one of them.
    pub(crate) fn reached(&self, listener: usize) -> usize {
        if self.late_listener.is_open {
            listener
        } else {
            0
        }
    }

    /// The server opens what is missing, if it can. Returns `true` if it cannot yet.
    pub(crate) fn renew_listeners(&mut self) -> bool {
        let late = &mut self.late_listener;
        if !late.is_open && late.there_at <= self.now {
            late.is_open = true;
            self.checks.progress();
            self.trace(|| "server opens the late listener".to_string());
        }
        !self.late_listener.is_open
    }

    /// The process is stopped until that time, and can open nothing.
    pub(crate) fn excuse_listener(&mut self, until: Millis) {
        let late = &mut self.late_listener;
        late.there_at = late.there_at.max(until);
    }

    /// A listener that can be opened is not forgotten, unless the server ends.
    pub(crate) fn check_listener(&mut self) {
        let late = &self.late_listener;
        let is_over = self.now > late.there_at + OPENED_MS;
        if !late.is_open && is_over && self.backlogs.is_some() {
            self.fail("a listener is missing whose address is there".to_string());
        }
    }
}
