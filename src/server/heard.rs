//! How far the server has heard what its sockets have to say: timers expire up to then.
//!
//! The clock alone does not say that a tunnel was idle. A process that was stopped, starved or
//! swapped out finds timers due and the bytes that would have moved them in its sockets.

use crate::net::Millis;

/// The most waits in a row that may leave something unreported before timers expire all the same:
/// the kernel reports what is ready in turn, 1,024 sockets at once, and 65,536 sessions have two
/// sockets each.
const INCOMPLETE_MAX: u8 = 128;

/// The time up to which all that came has been reported.
#[derive(Debug, Default)]
pub(super) struct Heard {
    until: Millis,
    /// When the first of the waits in a row began that were not complete.
    since: Millis,
    incomplete: u8,
}

impl Heard {
    /// Notes a wait that began at `asked`, and whether it reported all that there was by then.
    pub(super) fn note(&mut self, asked: Millis, is_complete: bool) {
        if self.incomplete == 0 {
            self.since = asked;
        }
        self.incomplete += 1;
        if is_complete {
            (self.until, self.incomplete) = (asked, 0);
        } else if self.incomplete == INCOMPLETE_MAX {
            (self.until, self.incomplete) = (self.since, 0);
        }
    }

    /// What was due by then and has not been heard of is over.
    pub(super) fn until(&self) -> Millis {
        self.until
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn nothing_expires_that_was_due_after_the_last_complete_wait_began() {
        let mut heard = Heard::default();
        heard.note(10, true);
        assert_eq!(heard.until(), 10);
        heard.note(90_000, false);
        assert_eq!(heard.until(), 10);
        heard.note(90_001, true);
        assert_eq!(heard.until(), 90_001);
    }

    #[test]
    fn expiry_is_put_off_for_128_waits_at_most() {
        let mut heard = Heard::default();
        for round in 0..3 {
            let first = 1000 * (round + 1);
            for wait in 0..128 {
                assert!(heard.until() < first);
                heard.note(first + wait, false);
            }
            assert_eq!(heard.until(), first);
        }
    }
}
