//! The table of options, in the order in which they are honoured, and what getopts says of words
//! that do not fit it.
//!
//! The help text has a line for each of them (a test compares the two). What the values mean is
//! for `meaning`.

use getopts::{Fail, HasArg, Occur, Options};

use crate::config::error::ConfigError;

/// One option.
pub(super) struct Entry {
    /// Its letter, if it has one.
    pub(super) letter: Option<char>,
    /// Its name.
    pub(super) name: &'static str,
    /// What it is, and how it appears on the command line.
    pub(super) kind: Kind,
}

/// An option, sorted by how it appears on the command line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// No value. Once, but for `--verbose`.
    Flag(Flag),
    /// A number, once.
    Number(Number),
    /// Another value, once.
    Text(Text),
    /// Values separated by commas, all its occurrences together.
    List(List),
}

/// Options without a value.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Flag {
    RetryListen,
    Reuseport,
    NoUdp,
    NoBind,
    NoSocks4,
    NoHttp,
    NoSplice,
    Status,
    AuthOnce,
    Ipv4,
    Ipv6,
    UdpStrict,
    Quiet,
    Verbose,
    Check,
    Help,
    Version,
}

/// Options with a number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Number {
    Port,
    Ban,
    HandshakeTimeout,
    ConnectTimeout,
    IdleTimeout,
    HalfCloseTimeout,
    UdpTimeout,
    BindTimeout,
    PeerTimeout,
    MaxSessions,
    MaxPerClient,
    Buffers,
    BufferSize,
}

/// Options with one value that is no number, or not only one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Text {
    User,
    Password,
    Users,
    Mark,
    Prefer,
    RelayPorts,
    Syslog,
}

/// Options with a list.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum List {
    Listen,
    Trust,
    Clients,
    Permit,
    Block,
    Bind,
    Dns,
    Public,
}

/// The options in the order of the help text. They are honoured in this order, so the port comes
/// before the listeners.
pub(super) const OPTIONS: [Entry; 45] = [
    number(Some('p'), "port", Number::Port),
    list(Some('i'), "listen", List::Listen),
    flag(None, "retry-listen", Flag::RetryListen),
    flag(None, "reuseport", Flag::Reuseport),
    flag(None, "no-udp", Flag::NoUdp),
    flag(None, "no-bind", Flag::NoBind),
    flag(None, "no-socks4", Flag::NoSocks4),
    flag(None, "no-http", Flag::NoHttp),
    flag(None, "status", Flag::Status),
    text(Some('u'), "user", Text::User),
    text(Some('P'), "password", Text::Password),
    text(None, "users", Text::Users),
    list(Some('w'), "trust", List::Trust),
    flag(Some('1'), "auth-once", Flag::AuthOnce),
    list(None, "clients", List::Clients),
    number(None, "ban", Number::Ban),
    list(None, "permit", List::Permit),
    list(None, "block", List::Block),
    list(Some('b'), "bind", List::Bind),
    text(None, "mark", Text::Mark),
    flag(Some('4'), "ipv4", Flag::Ipv4),
    flag(Some('6'), "ipv6", Flag::Ipv6),
    text(None, "prefer", Text::Prefer),
    list(None, "dns", List::Dns),
    text(None, "relay-ports", Text::RelayPorts),
    list(None, "public", List::Public),
    flag(None, "udp-strict", Flag::UdpStrict),
    number(None, "handshake-timeout", Number::HandshakeTimeout),
    number(None, "connect-timeout", Number::ConnectTimeout),
    number(None, "idle-timeout", Number::IdleTimeout),
    number(None, "half-close-timeout", Number::HalfCloseTimeout),
    number(None, "udp-timeout", Number::UdpTimeout),
    number(None, "bind-timeout", Number::BindTimeout),
    number(None, "peer-timeout", Number::PeerTimeout),
    number(None, "max-sessions", Number::MaxSessions),
    number(None, "max-per-client", Number::MaxPerClient),
    number(None, "buffers", Number::Buffers),
    number(None, "buffer-size", Number::BufferSize),
    flag(None, "no-splice", Flag::NoSplice),
    flag(Some('q'), "quiet", Flag::Quiet),
    flag(Some('v'), "verbose", Flag::Verbose),
    text(None, "syslog", Text::Syslog),
    flag(None, "check", Flag::Check),
    flag(Some('h'), "help", Flag::Help),
    flag(Some('V'), "version", Flag::Version),
];

const fn flag(letter: Option<char>, name: &'static str, flag: Flag) -> Entry {
    let kind = Kind::Flag(flag);
    Entry { letter, name, kind }
}

const fn number(letter: Option<char>, name: &'static str, number: Number) -> Entry {
    let kind = Kind::Number(number);
    Entry { letter, name, kind }
}

const fn text(letter: Option<char>, name: &'static str, text: Text) -> Entry {
    let kind = Kind::Text(text);
    Entry { letter, name, kind }
}

const fn list(letter: Option<char>, name: &'static str, list: List) -> Entry {
    let kind = Kind::List(list);
    Entry { letter, name, kind }
}

/// The table in the form of getopts, which has no use for the explanations.
pub(super) fn parser() -> Options {
    let mut options = Options::new();
    for Entry { letter, name, kind } in &OPTIONS {
        let letter = letter.map(String::from).unwrap_or_default();
        let (value, often) = match kind {
            Kind::Flag(Flag::Verbose) => (HasArg::No, Occur::Multi),
            Kind::Flag(_) => (HasArg::No, Occur::Optional),
            Kind::Number(_) | Kind::Text(_) => (HasArg::Yes, Occur::Optional),
            Kind::List(_) => (HasArg::Yes, Occur::Multi),
        };
        options.opt(&letter, name, "", "", value, often);
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
    let is_letter = |entry: &Entry| entry.letter.is_some_and(|letter| name.chars().eq([letter]));
    let known = OPTIONS
        .iter()
        .find(|entry| name == entry.name || is_letter(entry));
    let option = match known {
        Some(entry) => entry.name,
        // "--password:secret" is an unknown option with a password in it.
        None if name.starts_with("pass") => "pass...",
        None => &name,
    };
    ConfigError::about(option, None, why)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::help::HELP;

    /// Letter, name and what stands behind the name, of a line of the help text like
    /// `  -i, --listen ADDR[:PORT],..   addresses`, if it has an option.
    fn option(line: &str) -> Option<(Option<char>, &str, &str)> {
        let (head, tail) = line.split_at_checked(6)?;
        let mut words = tail.strip_prefix("--")?.split(' ');
        let letter = head
            .strip_prefix("  -")
            .and_then(|head| head.chars().next());
        Some((letter, words.next()?, words.next()?))
    }

    #[test]
    fn the_help_text_has_the_options_of_the_table_in_its_order() {
        let lines: Vec<_> = HELP.lines().filter_map(option).collect();
        let dashed = |line: &&str| line.trim_start().starts_with('-');
        assert_eq!(lines.len(), HELP.lines().filter(dashed).count());
        assert_eq!(lines.len(), OPTIONS.len());
        for (entry, (letter, name, value)) in OPTIONS.iter().zip(lines) {
            assert_eq!((entry.letter, entry.name), (letter, name));
            let matches = match entry.kind {
                Kind::Flag(_) => value.is_empty(),
                Kind::Number(_) => ["N", "PORT", "BYTES"].contains(&value),
                Kind::List(_) => value.ends_with(",.."),
                Kind::Text(_) => {
                    !value.is_empty()
                        && !["N", "PORT", "BYTES"].contains(&value)
                        && !value.ends_with(",..")
                }
            };
            assert!(matches, "--{name} {value}: {:?}", entry.kind);
        }
    }

    #[test]
    fn no_option_is_twice_in_the_table() {
        for (place, entry) in OPTIONS.iter().enumerate() {
            let twin = |other: &Entry| entry.name == other.name || entry.kind == other.kind;
            assert_eq!(OPTIONS.iter().position(twin), Some(place), "{}", entry.name);
        }
    }
}
