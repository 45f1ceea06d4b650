//! The table of options, which is the help text: what stands there is what there is. And what
//! getopts says of words that do not fit it.
//!
//! What the values mean is for `meaning`.

use getopts::{Fail, HasArg, Occur, Options};

use crate::config::error::ConfigError;
use crate::config::help::HELP;

/// How an option appears on the command line, told by what stands behind its name in the text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Nothing. Once, but for `--verbose`.
    Flag,
    /// PORT, N or BYTES: a number, once.
    Number,
    /// Something else: a value, once.
    One,
    /// Something and `,..`: a list of values, all its occurrences together.
    Many,
}

/// The options by number: their places in the text. A name that is not in it does not compile.
pub(super) mod option {
    use super::number_of;

    macro_rules! numbers {
        ($($constant:ident $name:literal)*) => {
            $(pub(in super::super) const $constant: u8 = number_of($name);)*
        };
    }

    numbers! {
        PORT "port"
        LISTEN "listen"
        RETRY_LISTEN "retry-listen"
        REUSEPORT "reuseport"
        NO_UDP "no-udp"
        NO_BIND "no-bind"
        NO_SOCKS4 "no-socks4"
        NO_HTTP "no-http"
        USER "user"
        PASSWORD "password"
        USERS "users"
        TRUST "trust"
        AUTH_ONCE "auth-once"
        CLIENTS "clients"
        PERMIT "permit"
        BLOCK "block"
        BIND "bind"
        MARK "mark"
        IPV4 "ipv4"
        IPV6 "ipv6"
        PREFER "prefer"
        DNS "dns"
        RELAY_PORTS "relay-ports"
        UDP_STRICT "udp-strict"
        HANDSHAKE_TIMEOUT "handshake-timeout"
        CONNECT_TIMEOUT "connect-timeout"
        IDLE_TIMEOUT "idle-timeout"
        HALF_CLOSE_TIMEOUT "half-close-timeout"
        UDP_TIMEOUT "udp-timeout"
        BIND_TIMEOUT "bind-timeout"
        PEER_TIMEOUT "peer-timeout"
        MAX_SESSIONS "max-sessions"
        MAX_PER_CLIENT "max-per-client"
        BUFFERS "buffers"
        BUFFER_SIZE "buffer-size"
        QUIET "quiet"
        VERBOSE "verbose"
        CHECK "check"
    }
}

/// One option.
pub(super) struct Entry {
    /// Its number, as in [`option`].
    pub(super) number: u8,
    /// Its letter, if it has one.
    pub(super) letter: &'static str,
    /// Its name.
    pub(super) name: &'static str,
    /// Its form.
    pub(super) form: Form,
}

/// The options in the order of the text, which is the one in which they are honoured: the port
/// comes before the listeners.
pub(super) fn entries() -> impl Iterator<Item = Entry> {
    let mut number = 0;
    HELP.split('\n').filter_map(move |line| {
        let entry = entry(line, number)?;
        number += 1;
        Some(entry)
    })
}

/// The number of an option by its name.
const fn number_of(name: &str) -> u8 {
    let (text, name) = (HELP.as_bytes(), name.as_bytes());
    let (mut number, mut start) = (0, 0);
    while start < text.len() {
        let mut end = start;
        while text[end] != b'\n' {
            end += 1;
        }
        if start + 8 < end && text[start + 6] == b'-' && text[start + 7] == b'-' {
            let mut len = 0;
            while len < name.len() && text[start + 8 + len] == name[len] {
                len += 1;
            }
            if len == name.len() && text[start + 8 + len] == b' ' {
                return number;
            }
            number += 1;
        }
        start = end + 1;
    }
    panic!("not an option")
}

/// The option of a line like `  -i, --listen ADDR[:PORT],..   addresses`, if it has one.
fn entry(line: &'static str, number: u8) -> Option<Entry> {
    let (head, tail) = line.split_at_checked(6)?;
    let mut words = tail.strip_prefix("--")?.split(' ');
    let name = words.next()?;
    let form = match words.next()? {
        "" => Form::Flag,
        "N" | "PORT" | "BYTES" => Form::Number,
        value if value.ends_with(",..") => Form::Many,
        _ => Form::One,
    };
    let letter = if head == "      " { "" } else { &head[3..4] };
    Some(Entry {
        number,
        letter,
        name,
        form,
    })
}

/// The table in the form of getopts.
pub(super) fn table() -> Options {
    let mut options = Options::new();
    for entry in entries() {
        let Entry {
            number,
            letter,
            name,
            form,
        } = entry;
        let value = if form == Form::Flag {
            HasArg::No
        } else {
            HasArg::Yes
        };
        let often = if form == Form::Many || number == option::VERBOSE {
            Occur::Multi
        } else {
            Occur::Optional
        };
        options.opt(letter, name, "", "", value, often);
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
    let known = entries().find(|entry| name == entry.letter || name == entry.name);
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

    #[test]
    fn an_option_has_one_number_in_the_table_and_by_its_name() {
        for (entry, place) in entries().zip(0..) {
            assert_eq!(entry.number, place, "{}", entry.name);
            assert_eq!(number_of(entry.name), place, "{}", entry.name);
        }
    }

    #[test]
    #[should_panic(expected = "not an option")]
    fn the_beginning_of_a_name_is_no_name() {
        number_of("relay");
    }
}
