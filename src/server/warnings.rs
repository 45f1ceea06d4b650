//! Warnings of what goes on for long, or is done by strangers: at most one of each cause in ten
//! seconds.

use crate::net::Millis;

/// Time between two warnings of one cause.
const WARN_EVERY_MS: Millis = 10_000;

/// What a rate-limited warning is about.
#[derive(Clone, Copy, Debug)]
pub(super) enum Cause {
    /// A table is full.
    Full,
    /// Accept ran out of something, or is forbidden.
    Paused,
    /// A client that may not connect.
    Stranger,
    /// A client with too many wrong passwords.
    Banned,
    /// A client with too many sessions.
    Crowd,
    /// Tunnels that stand still end because memory is short.
    Memory,
}

/// When each cause may be warned of again.
#[derive(Debug, Default)]
pub(super) struct Warnings {
    next: [Millis; Cause::Memory as usize + 1],
}

impl Warnings {
    /// Returns `true` if the cause may be warned of now; counts as having done so.
    pub(super) fn is_due(&mut self, cause: Cause, now: Millis) -> bool {
        let next = &mut self.next[cause as usize];
        let due = *next <= now;
        if due {
            *next = now + WARN_EVERY_MS;
        }
        due
    }
}
