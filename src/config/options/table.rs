//! The table of options, and what getopts says of words that do not fit it.
//!
//! What the values mean is for `meaning`.

use getopts::{Fail, Options};

use super::super::files::NAME_SERVERS_MAX;
use super::{ConfigError, LISTENERS_MAX};

/// How an option appears on the command line.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Without a value, once.
    Flag,
    /// Without a value, any number of times.
    Count,
    /// With a value, once.
    One,
    /// With a number from the first to the second, once.
    Number(u32, u32),
    /// With a list of at most so many values, all its occurrences together.
    Many(usize),
}

use Form::{Count, Flag, Many, Number, One};

/// Items of most lists. Rules are searched one after the other for each connection.
const ITEMS_MAX: usize = 256;

/// Longest timeout: 30 days. Its milliseconds fit 32 bits.
const SECONDS_MAX: u32 = 30 * 24 * 3600;

/// Longest --peer-timeout: 24 days. The kernel takes TCP_USER_TIMEOUT as a signed number of 32
/// bits, in milliseconds, and refuses 25 days.
const PEER_SECONDS_MAX: u32 = 24 * 24 * 3600;

const _: () = assert!(SECONDS_MAX <= u32::MAX / 1000);
const _: () = assert!(PEER_SECONDS_MAX <= i32::MAX as u32 / 1000);

/// Every option: its letter, its name and its form, in the order in which they are honoured:
/// the port before the listeners, the families before the source addresses.
pub(super) const TABLE: [(&str, &str, Form); 41] = [
    ("p", "port", Number(0, 65_535)),
    ("i", "listen", Many(LISTENERS_MAX)),
    ("", "retry-listen", Flag),
    ("", "reuseport", Flag),
    ("u", "user", One),
    ("P", "password", One),
    ("", "users", One),
    ("w", "trust", Many(ITEMS_MAX)),
    ("1", "auth-once", Flag),
    ("", "clients", Many(ITEMS_MAX)),
    ("", "permit", Many(ITEMS_MAX)),
    ("", "block", Many(ITEMS_MAX)),
    ("4", "ipv4", Flag),
    ("6", "ipv6", Flag),
    ("", "prefer", One),
    ("b", "bind", Many(ITEMS_MAX)),
    ("", "mark", One),
    ("", "dns", Many(NAME_SERVERS_MAX)),
    ("", "no-udp", Flag),
    ("", "no-bind", Flag),
    ("", "no-socks4", Flag),
    ("", "no-http", Flag),
    ("", "relay-ports", One),
    ("", "public", Many(ITEMS_MAX)),
    ("", "udp-strict", Flag),
    ("", "handshake-timeout", Number(1, SECONDS_MAX)),
    ("", "connect-timeout", Number(1, SECONDS_MAX)),
    ("", "idle-timeout", Number(1, SECONDS_MAX)),
    ("", "half-close-timeout", Number(1, SECONDS_MAX)),
    ("", "udp-timeout", Number(1, SECONDS_MAX)),
    ("", "bind-timeout", Number(1, SECONDS_MAX)),
    ("", "peer-timeout", Number(1, PEER_SECONDS_MAX)),
    // A session's number has 16 bits; buffers come from the same range.
    ("", "max-sessions", Number(1, 65_535)),
    ("", "max-per-client", Number(1, 65_535)),
    ("", "buffers", Number(4, 65_535)),
    ("", "buffer-size", Number(256, 65_536)),
    ("q", "quiet", Flag),
    ("v", "verbose", Count),
    ("", "check", Flag),
    ("h", "help", Flag),
    ("V", "version", Flag),
];

/// The table in the form of getopts. The help text is written by hand.
pub(super) fn table() -> Options {
    let mut options = Options::new();
    for (letter, name, form) in TABLE {
        match form {
            Flag => options.optflag(letter, name, ""),
            Count => options.optflagmulti(letter, name, ""),
            One | Number(..) => options.optopt(letter, name, "", ""),
            Many(_) => options.optmulti(letter, name, "", ""),
        };
    }
    options
}

/// What getopts found wrong, with the option's long name where it has one.
pub(super) fn misuse(fail: Fail) -> ConfigError {
    let (name, why) = match fail {
        Fail::UnrecognizedOption(name) => (name, "unknown option"),
        Fail::ArgumentMissing(name) => (name, "needs a value"),
        Fail::OptionDuplicated(name) => (name, "given more than once"),
        Fail::UnexpectedArgument(name) => (name, "takes no value"),
        Fail::OptionMissing(name) => (name, "is missing"),
    };
    let known = TABLE
        .iter()
        .find(|(letter, long, _)| name == *letter || name == *long);
    let option = match known {
        Some((_, long, _)) => long,
        // "--password:secret" is an unknown option with a password in it.
        None if name.starts_with("pass") => "pass...",
        None => &name,
    };
    ConfigError::about(option, None, why)
}
