//! The command line: words to [`Asked`].
//!
//! getopts separates the words, `values` reads single values; `table` has the options,
//! `meaning` what each of them changes, and here is what contradicts what. A value that cannot
//! be honoured is an error, never ignored. Nothing is opened or asked of the system but the
//! numbers of interfaces.

mod meaning;
mod table;

use std::ffi::OsString;
use std::net::{Ipv6Addr, SocketAddr};

use getopts::Matches;

use super::error::{self, ConfigError};
use super::help::HELP;
use super::settings::{Asked, Listen};
use super::values;
use table::{Entry, Kind, OPTIONS, Text};

/// What the command line asks for.
#[derive(Debug)]
pub enum Command {
    /// Serve, or only check.
    Run(Box<Asked>),
    /// Print this text to the standard output and end.
    Help(&'static str),
    /// Print name and version and end.
    Version,
}

/// Reads the arguments behind the program's name.
///
/// # Errors
/// The first option that cannot be honoured.
pub fn parse(args: impl Iterator<Item = OsString>) -> Result<Command, ConfigError> {
    let mut words = Vec::new();
    for arg in args {
        let Ok(word) = arg.into_string() else {
            let number = words.len() + 1;
            return Err(ConfigError::new(format!("argument {number}: not UTF-8")));
        };
        words.push(word);
    }
    let matches = table::parser().parse(words).map_err(table::misuse)?;
    if matches.opt_present("help") {
        return Ok(Command::Help(HELP));
    }
    if matches.opt_present("version") {
        return Ok(Command::Version);
    }
    if let Some(word) = matches.free.first() {
        return Err(stray(word, matches.opt_present("password")));
    }
    let mut config = Box::<Asked>::default();
    config.sources.resolv_conf = Some(String::from("/etc/resolv.conf"));
    config.sources.hosts = Some(String::from("/etc/hosts"));
    for entry in &OPTIONS {
        honour(&mut config, &matches, entry)?;
    }
    listen_on_both(&mut config);
    contradictions(&config, &matches)?;
    confine(&mut config);
    idle_families(&config)?;
    Ok(Command::Run(config))
}

/// A word that belongs to no option. A password with a blank in it and no quotes around it
/// ends up here, so with one the word is not shown.
fn stray(word: &str, secret: bool) -> ConfigError {
    let mut line = String::new();
    if secret {
        line.push_str("an argument that");
    } else {
        error::show(&mut line, word);
        line.push(':');
    }
    line.push_str(" belongs to no option");
    ConfigError::new(line)
}

/// One option as often as it was given.
fn honour(config: &mut Asked, matches: &Matches, entry: &Entry) -> Result<(), ConfigError> {
    if let Kind::Flag(flag) = entry.kind {
        for _ in 0..matches.opt_count(entry.name) {
            meaning::flag(config, flag);
        }
    }
    for text in matches.opt_strs(entry.name) {
        value(config, entry, &text)?;
    }
    Ok(())
}

/// One value of an option.
fn value(config: &mut Asked, entry: &Entry, text: &str) -> Result<(), ConfigError> {
    let name = entry.name;
    let about = |shown: Option<&str>, why| ConfigError::about(name, shown, why);
    match entry.kind {
        Kind::Flag(_) => Ok(()),
        Kind::Number(option) => {
            let (least, most) = meaning::bounds(option);
            let number = values::number(name, text, least, most)?;
            meaning::number(config, option, number);
            Ok(())
        }
        Kind::Text(option) => {
            let shown = (option != Text::Password).then_some(text);
            meaning::text(config, option, text).map_err(|why| about(shown, why))
        }
        Kind::List(option) => {
            for item in text.split(',').map(str::trim_ascii) {
                if item.is_empty() {
                    return Err(about(Some(text), "an item of the list is empty"));
                }
                meaning::item(config, option, item).map_err(|why| about(Some(item), why))?;
            }
            Ok(())
        }
    }
}

/// Without --listen both families are listened on, and so they are with a lone `::`, which other
/// programs take for both. Beside others, or with a port, it is IPv6 alone.
fn listen_on_both(config: &mut Asked) {
    let port = config.port;
    match config.listen[..] {
        [] => config.listen.push(Listen::Any { port, as_v6: false }),
        [Listen::Any { .. }] => {}
        _ => {
            for listen in &mut config.listen {
                if let Listen::Any { port, .. } = *listen {
                    *listen = Listen::Addr(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
                }
            }
        }
    }
}

/// Options that cannot stand together, or not alone. A value for something that is switched off
/// could not be honoured; trust means to do without a password, so there must be one.
fn contradictions(config: &Asked, matches: &Matches) -> Result<(), ConfigError> {
    const WITHOUT_RELAYS: &str = "contradicts --no-udp with --no-bind";
    let given = |option| matches.opt_present(option);
    let without_users = !given("user") && !given("users");
    let without_relays = given("no-udp") && given("no-bind");
    let unused_v4 = config.outgoing.v4.is_some() && !config.families.v4;
    let unused_v6 = config.outgoing.v6.is_some() && !config.families.v6;
    let limits = &config.limits;
    let is_more = limits.sessions_max.is_some() && limits.per_client_max > limits.sessions_max;
    // Where the first is true, the option must not be given, and why.
    let rules = [
        (!given("password"), "user", "needs --password"),
        (!given("user"), "password", "needs --user"),
        (without_users, "trust", "needs --user or --users"),
        (without_users, "auth-once", "needs --user or --users"),
        (without_users, "ban", "needs --user or --users"),
        (given("ipv6"), "ipv4", "contradicts --ipv6"),
        (given("ipv4"), "prefer", "contradicts --ipv4"),
        (given("ipv6"), "prefer", "contradicts --ipv6"),
        (given("no-udp"), "udp-strict", "contradicts --no-udp"),
        (given("no-udp"), "udp-timeout", "contradicts --no-udp"),
        (given("no-bind"), "bind-timeout", "contradicts --no-bind"),
        (without_relays, "relay-ports", WITHOUT_RELAYS),
        (without_relays, "public", WITHOUT_RELAYS),
        (given("verbose"), "quiet", "contradicts --verbose"),
        (unused_v4, "bind", "contradicts --ipv6"),
        (unused_v6, "bind", "contradicts --ipv4"),
        (is_more, "max-per-client", "more than --max-sessions"),
    ];
    for (is_wrong, option, why) in rules {
        if is_wrong && given(option) {
            let value = matches.opt_str(option);
            let shown = value.filter(|_| option != "password");
            return Err(ConfigError::about(option, shown.as_deref(), why));
        }
    }
    Ok(())
}

/// Who chooses the way out for one family by a source address does not want the other to leave
/// by another: it is not used.
fn confine(config: &mut Asked) {
    let (v4, v6) = (config.outgoing.v4.is_some(), config.outgoing.v6.is_some());
    config.families.v4 &= v4 || !v6;
    config.families.v6 &= v6 || !v4;
}

/// Addresses to announce of a family that nothing leaves by. Clients of UDP may come over it
/// all the same; BIND could not honour them.
fn idle_families(config: &Asked) -> Result<(), ConfigError> {
    if config.protocols.udp {
        return Ok(());
    }
    let (families, relay) = (config.families, &config.relay);
    let (addr, why) = match (relay.public_v4, relay.public_v6) {
        (Some(v4), _) if !families.v4 => (format!("{v4}"), "BIND has no IPv4, and UDP is off"),
        (_, Some(v6)) if !families.v6 => (format!("{v6}"), "BIND has no IPv6, and UDP is off"),
        _ => return Ok(()),
    };
    Err(ConfigError::about("public", Some(&addr), why))
}

#[cfg(test)]
mod manual;
#[cfg(test)]
mod tests;
