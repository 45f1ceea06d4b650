//! What is counted since the start, for the report.

use crate::state::access::Refusal;
use crate::state::association::DropReason;

/// What is counted since the start.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub enum Total {
    /// Connections taken by accept.
    Accepted,
    /// Tunnels that were established.
    Tunnels,
    /// Bytes from clients to targets.
    UpBytes,
    /// Bytes from targets to clients.
    DownBytes,
    /// Clients turned away because they may not connect.
    Strangers,
    /// Clients turned away because they have too many sessions.
    Crowded,
    /// Clients turned away because of wrong passwords.
    Banned,
    /// First bytes of no protocol that is served here.
    Garbage,
    /// Logins refused.
    LoginsRefused,
    /// Times that accept had to pause for want of descriptors or memory.
    Pauses,
    /// Datagrams from clients to remotes.
    UpDatagrams,
    /// Datagrams from remotes to clients.
    DownDatagrams,
}

impl Total {
    /// How many there are.
    const COUNT: usize = Self::DownDatagrams as usize + 1;

    /// Their names in the report, in the order of the enum.
    pub const NAMES: [&str; Self::COUNT] = [
        "accepted",
        "tunnels",
        "up",
        "down",
        "strangers",
        "crowded",
        "banned",
        "garbage",
        "wrong_passwords",
        "pauses",
        "datagrams_up",
        "datagrams_down",
    ];
}

/// Bytes of payload that a session has moved.
#[derive(Clone, Copy, Debug, Default)]
pub struct Moved {
    /// From the client to the target, or to remotes.
    pub up_bytes: u64,
    /// And back.
    pub down_bytes: u64,
}

impl Moved {
    /// Adds what another session has moved.
    pub fn add(&mut self, other: Self) {
        count(&mut self.up_bytes, other.up_bytes);
        count(&mut self.down_bytes, other.down_bytes);
    }
}

/// Counters since the start; they wrap never in practice (64 bits).
#[derive(Debug, Default)]
pub struct Totals {
    /// Each [`Total`] at its place.
    pub counts: [u64; Total::COUNT],
    /// Destinations refused, by cause.
    pub refused: [u64; Refusal::COUNT],
    /// Datagrams that were not carried, by cause.
    pub dropped: [u64; DropReason::COUNT],
}

impl Totals {
    /// Counts.
    pub(crate) fn add(&mut self, total: Total, by: u64) {
        count(&mut self.counts[total as usize], by);
    }

    /// Counts a destination refused by the rules.
    pub(super) fn count_refusal(&mut self, refusal: Refusal) {
        count(&mut self.refused[refusal.index()], 1);
    }

    /// Counts a datagram that was dropped.
    pub(super) fn count_drop(&mut self, reason: DropReason) {
        self.count_drops(reason, 1);
    }

    /// Counts datagrams that were dropped for the same reason.
    pub(super) fn count_drops(&mut self, reason: DropReason, by: u64) {
        count(&mut self.dropped[reason.index()], by);
    }
}

/// Counts: what wraps never in practice is not worth a check at each place.
#[inline]
pub(super) fn count(counter: &mut u64, by: u64) {
    *counter = counter.wrapping_add(by);
}
