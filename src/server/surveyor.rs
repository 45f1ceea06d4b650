//! How far the reading of the interfaces is, and when the next one is due.

use crate::net::Millis;

/// How far the reading of the interfaces is.
#[derive(Debug, Default)]
pub(super) struct Surveyor {
    /// When the next reading begins.
    pub(super) due: Millis,
    /// When it may begin.
    pub(super) not_before: Millis,
    /// One is under way.
    pub(super) is_running: bool,
    /// There may be something to read.
    pub(super) is_readable: bool,
    /// The last one has failed.
    pub(super) has_failed: bool,
}

impl Surveyor {
    /// Something has changed, or is announced.
    pub(super) fn mark(&mut self) {
        self.is_readable = true;
    }

    /// When there is something to do; 0 at once.
    pub(super) fn next(&self) -> Millis {
        if self.is_readable || self.is_running {
            0
        } else {
            self.due
        }
    }

    /// What was read is not the present any more, or is not complete.
    pub(super) fn wish(&mut self) {
        self.due = self.due.min(self.not_before);
    }
}
