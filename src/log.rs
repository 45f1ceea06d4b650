//! The log: one function for every line.
//!
//! A macro of the log crate builds a record at each place that logs; here it is built once.

use std::fmt;

pub use log::Level;

/// Returns `true` if lines of that level are written at all.
pub fn is_logged(level: Level) -> bool {
    level <= log::max_level()
}

/// Writes a line to the log.
pub fn log(level: Level, line: fmt::Arguments<'_>) {
    log::log!(target: "anklet", level, "{line}");
}
