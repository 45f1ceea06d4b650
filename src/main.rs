//! The program: options, signals, log, then the server until it ends.
#![forbid(unsafe_code)]

use std::fmt::Display;
use std::io;
use std::os::fd::{AsFd, BorrowedFd};
use std::process::exit;

use anklet::config::dns::DnsSettings;
use anklet::config::{self, Asked, Command, Config, check, files, limits};
use anklet::log::{Level, log};
use anklet::net::{Errno, in_words};
use anklet::os::{Os, rights};
use anklet::server::Server;
use anklet::state::users::Users;
use anklet::sys::{self, Signals};

/// The work could not be done.
const EXIT_FAILURE: i32 = 1;

/// A command line or a file that cannot be used.
const EXIT_USAGE: i32 = 2;

/// Every way out is an exit: the kernel closes what is open, and nothing is taken apart first.
fn main() -> ! {
    match config::parse(std::env::args_os().skip(1)) {
        Ok(Command::Run(asked)) => run(*asked),
        Ok(Command::Help(text)) => print(text),
        Ok(Command::Version) => print(concat!("anklet ", env!("CARGO_PKG_VERSION"), "\n")),
        Err(error) => complain(&error, EXIT_USAGE),
    }
}

/// Settles what the machine has a say in and reads the files, then prints the result or serves.
fn run(asked: Asked) -> ! {
    let descriptors = sys::limits::raise_descriptor_limit();
    let (limits, warning) = limits::settle(&asked.limits, descriptors, files::memory_bytes())
        .unwrap_or_else(|error| complain(&error, EXIT_USAGE));
    let config = asked.with_limits(limits);
    rights::check(&config).unwrap_or_else(|error| complain(&error, EXIT_USAGE));
    let files = config.sources.read();
    let mut warnings = Vec::new();
    let loaded = config.sources.load_users(&files, &mut warnings);
    let users = loaded.unwrap_or_else(|error| complain(&error, EXIT_USAGE));
    let dns = config
        .sources
        .load_dns(&files, config.families, &mut warnings);
    warnings.extend(warning);
    match sys::interfaces::interfaces() {
        Ok(interfaces) => {
            if config.check {
                rights::check_listeners(&config, &interfaces, &mut warnings)
                    .unwrap_or_else(|error| complain(&error, EXIT_USAGE));
            }
            check::warn(&config, &interfaces, &mut warnings);
            check::warn_of_absent(&config, &interfaces, &mut warnings);
            check::warn_of_servers(&config.outgoing, &dns, &interfaces, &mut warnings);
        }
        Err(error) if config.check => warnings.push(check::unread_interfaces(&in_words(error))),
        // The server tries itself, and warns.
        Err(_) => {}
    }
    if config.check {
        print(&check::report(&config, users.len(), &dns, &warnings));
    }
    serve(config, users, dns, warnings)
}

/// Starts the log, then the server, and ends with it.
fn serve(config: Config, users: Users, dns: DnsSettings, mut warnings: Vec<String>) -> ! {
    // Signals are blocked first of all that takes time, so that none ends it unheard.
    let signals = Signals::block().unwrap_or_else(|error| fail("watch signals", error));
    if let Err(error) = sys::stderr::start(config.verbosity, config.syslog.as_deref()) {
        fail("start the log", error);
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
        Err(error) => end(&error),
    };
    match Server::new(config, users, dns, net).run() {
        Ok(()) => exit(0),
        Err(error) => end(&format_args!("cannot wait for events: {}", in_words(error))),
    }
}

/// Prints what was asked for. A reader that has gone away has seen enough.
fn print(text: &str) -> ! {
    match put(io::stdout().as_fd(), text) {
        Ok(()) | Err(Errno::EPIPE) => exit(0),
        Err(error) => complain(&in_words(error), EXIT_FAILURE),
    }
}

/// One line on stderr, before there is a log.
fn complain(error: &dyn Display, status: i32) -> ! {
    let _ = put(io::stderr().as_fd(), &format!("anklet: {error}\n"));
    exit(status)
}

/// Writes all of a text. Not by std's own writers: their locks, their buffer and their errors are
/// 1.5 KB of a router's binary, for one write.
fn put(stream: BorrowedFd<'_>, text: &str) -> Result<(), Errno> {
    let mut rest = text.as_bytes();
    while !rest.is_empty() {
        match nix::unistd::write(stream, rest) {
            Ok(0) => return Err(Errno::EIO),
            Ok(written) => rest = &rest[written..],
            Err(Errno::EINTR) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// The same where the system refuses what cannot be done without.
fn fail(what: &str, error: Errno) -> ! {
    let why = in_words(error);
    complain(&format_args!("cannot {what}: {why}"), EXIT_FAILURE)
}

/// The last line of the log.
fn end(error: &dyn Display) -> ! {
    log(Level::Error, format_args!("{error}"));
    exit(EXIT_FAILURE)
}
