//! The program: options, signals, log, then the server until it ends.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io::{self, Write};
use std::process::exit;

use anklet::config::{self, Asked, Command, files, limits};
use anklet::log::{Level, log};
use anklet::net::in_words;
use anklet::os::{OpenError, Os};
use anklet::server::Server;
use anklet::sys::{self, Signals};

/// The work could not be done.
const EXIT_FAILURE: i32 = 1;

/// A command line or a file that cannot be used.
const EXIT_USAGE: i32 = 2;

// Every way out is an exit: nothing has to be taken apart first.
fn main() -> ! {
    match config::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(config)) => run(config),
        Ok(Command::Help(text)) => print(text),
        Ok(Command::Version) => print(concat!("anklet ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => complain(&error, EXIT_USAGE),
    }
}

/// Settles what the machine has a say in, then checks or serves.
fn run(asked: Box<Asked>) -> ! {
    let descriptors = sys::limits::raise_descriptor_limit();
    let settled = limits::settle(&asked.limits, descriptors, files::memory_bytes());
    let (config, few) = match settled {
        Ok((limits, few)) => (asked.with_limits(limits), few),
        Err(error) => complain(&error, EXIT_USAGE),
    };
    let users = match config.sources.load_users() {
        Ok(users) => users,
        Err(error) => complain(&error, EXIT_USAGE),
    };
    let (names, mut warnings) = config.sources.load_names(config.families);
    warnings.extend(few);
    let interfaces = sys::interfaces::interfaces();
    warnings.extend(config::check::warnings(&config, &interfaces));
    if config.check {
        print(&config::check::report(
            &config,
            users.len(),
            &names,
            &warnings,
        ));
    }
    // Signals are blocked first of all that takes time, so that none ends it unheard.
    let signals = match Signals::block() {
        Ok(signals) => signals,
        Err(error) => complain(&in_words(error), EXIT_FAILURE),
    };
    if let Err(error) = sys::stderr::start(config.verbosity) {
        complain(&in_words(error), EXIT_FAILURE);
    }
    if let Some((_, password)) = &config.sources.credential
        && !sys::cmdline::hide_password(password)
    {
        warnings.push("the password can be read in the process list; use --users".into());
    }
    for warning in &warnings {
        log(Level::Warn, format_args!("{warning}"));
    }
    let net = match Os::new(&config, signals) {
        Ok(net) => net,
        Err(OpenError::Stopped) => exit(0),
        Err(error) => end(&error),
    };
    match Server::new(config, users, names, net).run() {
        Ok(()) => exit(0),
        Err(error) => end(&in_words(error)),
    }
}

/// Prints what was asked for. A reader that has gone away has seen enough.
fn print(text: &str) -> ! {
    let mut rest = text.as_bytes();
    while let Ok(written @ 1..) = nix::unistd::write(io::stdout(), rest) {
        rest = &rest[written..];
    }
    exit(0)
}

/// One line on stderr, before there is a log.
fn complain(error: &dyn Display, status: i32) -> ! {
    let _ = writeln!(io::stderr(), "anklet: {error}");
    exit(status)
}

fn end(error: &dyn Display) -> ! {
    log(Level::Error, format_args!("{error}"));
    exit(EXIT_FAILURE)
}
