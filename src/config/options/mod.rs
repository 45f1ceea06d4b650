//! The command line: words to [`Config`].
//!
//! getopts separates the words, `values` reads single values; `table` has the options, `lists`
//! the lists, and one file per group what its options mean and what contradicts what. A value
//! that cannot be honoured is an error, never ignored. Nothing is opened or asked of the system
//! but the numbers of interfaces.

mod access;
mod limits;
mod lists;
mod outgoing;
mod relay;
mod table;

use std::ffi::OsString;

use getopts::Matches;
use log::LevelFilter;

use super::help::HELP;
use super::values;
use super::{Config, ConfigError, Listen, PORT_DEFAULT};
use crate::sys::scope::interface_index;
use lists::{against, bad, items};

/// Listeners at most. Their descriptors are part of the fixed share in `limits`; more
/// addresses than these have one wildcard.
pub const LISTENERS_MAX: usize = 8;

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve, or only check.
    Run(Box<Config>),
    /// Print this text to the standard output and end.
    Help(&'static str),
    /// Print name and version and end.
    Version,
}

/// Reads the arguments behind the program's name. The limits are still what was asked for:
/// `limits::limits` settles them.
pub fn parse(args: &[OsString]) -> Result<Command, ConfigError> {
    let mut words = Vec::with_capacity(args.len());
    for (index, arg) in args.iter().enumerate() {
        words.push(arg.to_str().ok_or(ConfigError::Encoding(index + 1))?);
    }
    let matches = table::table().parse(words).map_err(table::misuse)?;
    if matches.opt_present("help") {
        return Ok(Command::Help(HELP));
    }
    if matches.opt_present("version") {
        return Ok(Command::Version);
    }
    if let Some(word) = matches.free.first() {
        // A password with a blank in it and no quotes around it ends up here.
        let secret = matches.opt_present("password");
        return Err(ConfigError::Stray((!secret).then(|| word.clone())));
    }
    let port = match matches.opt_str("port") {
        Some(text) => to_u16(values::number("port", &text, 0, u16::MAX.into())?),
        None => PORT_DEFAULT,
    };
    let families = outgoing::families(&matches)?;
    let outgoing = outgoing::outgoing(&matches, families)?;
    let families = outgoing::confined(families, &outgoing);
    let protocols = relay::protocols(&matches)?;
    Ok(Command::Run(Box::new(Config {
        listen: listen(&matches, port)?,
        port,
        retry_listen: matches.opt_present("retry-listen"),
        reuseport: matches.opt_present("reuseport"),
        outgoing,
        families,
        protocols,
        relay: relay::relay(&matches, protocols, families)?,
        policy: access::policy(&matches)?,
        sources: access::sources(&matches)?,
        timeouts: limits::timeouts(&matches)?,
        limits: limits::limits(&matches)?,
        verbosity: verbosity(&matches)?,
        check: matches.opt_present("check"),
    })))
}

/// `--listen`. The same place twice could never be bound twice.
fn listen(matches: &Matches, port: u16) -> Result<Vec<Listen>, ConfigError> {
    let mut listeners = Vec::new();
    for item in items(matches, "listen", LISTENERS_MAX, "one more than 8")? {
        let listener = values::listen(&item, port, interface_index)
            .map_err(|why| bad("listen", &item, why))?;
        if listeners.contains(&listener) {
            return Err(bad("listen", &item, "given more than once"));
        }
        listeners.push(listener);
    }
    Ok(listeners)
}

/// `--quiet` and `--verbose`. One line per finished session is the usual level.
fn verbosity(matches: &Matches) -> Result<LevelFilter, ConfigError> {
    match (matches.opt_present("quiet"), matches.opt_count("verbose")) {
        (true, 0) => Ok(LevelFilter::Warn),
        (true, _) => Err(against("quiet", "contradicts --verbose")),
        (false, 0) => Ok(LevelFilter::Info),
        (false, 1) => Ok(LevelFilter::Debug),
        (false, _) => Ok(LevelFilter::Trace),
    }
}

/// A number that is known to fit.
fn to_u16(number: u64) -> u16 {
    u16::try_from(number).unwrap_or(u16::MAX)
}

#[cfg(test)]
mod tests;
