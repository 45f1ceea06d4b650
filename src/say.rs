//! The one door to the log: a call of this costs a fraction of a log macro.

use std::fmt;

use log::Level;

/// Writes a line to the log.
pub fn say(level: Level, line: fmt::Arguments<'_>) {
    log::log!(target: "anklet", level, "{line}");
}
