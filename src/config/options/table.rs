//! The table of options, and what getopts says of words that do not fit it.
//!
//! What the values mean is for the other files.

use getopts::{Fail, Options};

use super::super::ConfigError;

/// How an option appears on the command line.
#[derive(Clone, Copy)]
pub(super) enum Form {
    /// Without a value, once.
    Flag,
    /// Without a value, any number of times.
    Count,
    /// With a value, once.
    One,
    /// With a list of values, any number of times.
    Many,
}

/// Every option: its letter, its name and its form.
pub(super) const TABLE: [(&str, &str, Form); 41] = [
    ("i", "listen", Form::Many),
    ("p", "port", Form::One),
    ("", "retry-listen", Form::Flag),
    ("", "reuseport", Form::Flag),
    ("u", "user", Form::One),
    ("P", "password", Form::One),
    ("", "users", Form::One),
    ("w", "trust", Form::Many),
    ("1", "auth-once", Form::Flag),
    ("", "clients", Form::Many),
    ("", "permit", Form::Many),
    ("", "block", Form::Many),
    ("b", "bind", Form::Many),
    ("", "mark", Form::One),
    ("4", "ipv4", Form::Flag),
    ("6", "ipv6", Form::Flag),
    ("", "prefer", Form::One),
    ("", "dns", Form::Many),
    ("", "no-udp", Form::Flag),
    ("", "no-bind", Form::Flag),
    ("", "no-socks4", Form::Flag),
    ("", "no-http", Form::Flag),
    ("", "relay-ports", Form::One),
    ("", "public", Form::Many),
    ("", "udp-strict", Form::Flag),
    ("", "handshake-timeout", Form::One),
    ("", "connect-timeout", Form::One),
    ("", "idle-timeout", Form::One),
    ("", "half-close-timeout", Form::One),
    ("", "udp-timeout", Form::One),
    ("", "bind-timeout", Form::One),
    ("", "peer-timeout", Form::One),
    ("", "max-sessions", Form::One),
    ("", "max-per-client", Form::One),
    ("", "buffers", Form::One),
    ("", "buffer-size", Form::One),
    ("q", "quiet", Form::Flag),
    ("v", "verbose", Form::Count),
    ("", "check", Form::Flag),
    ("h", "help", Form::Flag),
    ("V", "version", Form::Flag),
];

/// The table in the form of getopts. The help text is written by hand.
pub(super) fn table() -> Options {
    let mut options = Options::new();
    for (letter, name, form) in TABLE {
        match form {
            Form::Flag => options.optflag(letter, name, ""),
            Form::Count => options.optflagmulti(letter, name, ""),
            Form::One => options.optopt(letter, name, "", ""),
            Form::Many => options.optmulti(letter, name, "", ""),
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
        Some((_, long, _)) => format!("--{long}"),
        // "--password:secret" is an unknown option with a password in it.
        None if name.starts_with("pass") => String::from("--pass..."),
        None if name.chars().count() == 1 => format!("-{name}"),
        None => format!("--{name}"),
    };
    ConfigError::Option { option, why }
}
