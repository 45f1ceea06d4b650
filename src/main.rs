//! The program: options, signals, log, then the server until it ends.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};
use std::process::ExitCode;

use anklet::config::{self, Command, Config, files, limits};
use anklet::os::{OpenError, Os};
use anklet::say::say;
use anklet::server::Server;
use anklet::sys::{self, Signals};
use log::Level;

/// A command line or a file that cannot be used.
const EXIT_USAGE: u8 = 2;

fn main() -> ExitCode {
    match config::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(config)) => prepare(*config),
        Ok(Command::Help(text)) => print(text),
        Ok(Command::Version) => print(concat!("anklet ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => usage(&error),
    }
}

/// Settles what the machine has a say in, then checks or runs.
fn prepare(mut config: Config) -> ExitCode {
    let descriptors = sys::limits::raise_descriptor_limit();
    let settled = limits::limits(&config.limits, descriptors, files::memory_bytes());
    let (settled, few) = match settled {
        Ok(settled) => settled,
        Err(error) => return usage(&error),
    };
    config.limits = settled;
    let users = match config.sources.load_users() {
        Ok(users) => users,
        Err(error) => return usage(&error),
    };
    let (names, mut warnings) = config.sources.load_names(config.families);
    warnings.extend(few);
    let interfaces = sys::interfaces::interfaces();
    if config.check {
        let text = config::check::report(&config, users.len(), &names, &interfaces, &warnings);
        return print(&text);
    }
    warnings.extend(config::check::warnings(&config, &interfaces));
    // Signals are blocked first of all that takes time, so that none ends it unheard.
    let started = Signals::block().and_then(|signals| {
        sys::stderr::start(config.verbosity)?;
        Ok(signals)
    });
    let signals = match started {
        Ok(signals) => signals,
        Err(error) => return complain(&error, 1),
    };
    if let Some((_, password)) = &config.sources.credential
        && !sys::cmdline::hide_password(password)
    {
        warnings.push("the password can be read in the process list; use --users".into());
    }
    for warning in warnings {
        say(Level::Warn, format_args!("{warning}"));
    }
    let net = match Os::new(&config, signals) {
        Ok(net) => net,
        Err(OpenError::Stopped) => return ExitCode::SUCCESS,
        Err(error) => return end(&error),
    };
    let mut server = Server::new(config, users, names, net);
    if let Err(error) = server.run() {
        return end(&error);
    }
    // Nothing has to be taken apart first.
    std::process::exit(0)
}

/// Prints what was asked for. A reader that has gone away has seen enough.
fn print(text: &str) -> ExitCode {
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = nix::unistd::write(io::stdout(), rest) {
        rest = &rest[written..];
    }
    ExitCode::SUCCESS
}

fn usage(error: &dyn Display) -> ExitCode {
    complain(error, EXIT_USAGE)
}

/// One line on stderr, before there is a log.
fn complain(error: &dyn Display, status: u8) -> ExitCode {
    let _ = writeln!(io::stderr(), "anklet: {error}");
    ExitCode::from(status)
}

fn end(error: &dyn Display) -> ExitCode {
    say(Level::Error, format_args!("{error}"));
    ExitCode::FAILURE
}
