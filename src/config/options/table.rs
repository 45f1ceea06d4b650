//! The table of options, which is the help text: what stands there is what there is. And what
//! getopts says of words that do not fit it.
//!
//! What the values mean is for `meaning`.

use getopts::{Fail, Options};

use super::super::help::HELP;
use super::ConfigError;

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

/// One option.
pub(super) struct Entry {
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
    HELP.split('\n').filter_map(entry)
}

/// The option of a line like `  -i, --listen ADDR[:PORT],..   addresses`, if it has one.
fn entry(line: &'static str) -> Option<Entry> {
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
    Some(Entry { letter, name, form })
}

/// The table in the form of getopts.
pub(super) fn table() -> Options {
    let mut options = Options::new();
    for Entry { letter, name, form } in entries() {
        match form {
            Form::Flag if name == "verbose" => options.optflagmulti(letter, name, ""),
            Form::Flag => options.optflag(letter, name, ""),
            Form::One | Form::Number => options.optopt(letter, name, "", ""),
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
    let known = entries().find(|entry| name == entry.letter || name == entry.name);
    let option = match known {
        Some(entry) => entry.name,
        // "--password:secret" is an unknown option with a password in it.
        None if name.starts_with("pass") => "pass...",
        None => &name,
    };
    ConfigError::about(option, None, why)
}
