//! The one door to the log, and words for it: a call of this costs a fraction of a log macro.

use std::fmt;

use log::Level;

/// Word number `index` of a list with `|` between its words. A list in one piece takes no pointer
/// for each of its words.
pub fn word(list: &'static str, mut index: usize) -> &'static str {
    let mut start = 0;
    for (at, byte) in list.bytes().enumerate() {
        if byte == b'|' {
            if index == 0 {
                return list.get(start..at).unwrap_or_default();
            }
            index -= 1;
            start = at + 1;
        }
    }
    list.get(start..).unwrap_or_default()
}

/// Writes a line to the log.
pub fn say(level: Level, line: fmt::Arguments<'_>) {
    log::log!(target: "anklet", level, "{line}");
}
