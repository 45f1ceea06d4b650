//! What the command line asks for and the system may refuse: tried out before anything is served,
//! so that a value that cannot be honoured is an error at start and in `--check`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use nix::sys::socket::SockType;

use super::address;
use super::error::{LOW_PORT, OpenError};
use super::listen::Listeners;
use super::socket::{create, set_mark};
use crate::config::{Config, ConfigError};
use crate::net::{Errno, in_words};
use crate::state::access::Interface;

/// Tries the firewall mark and the first of the relays' ports.
///
/// # Errors
/// The program has no right to one of them.
pub fn check(config: &Config) -> Result<(), ConfigError> {
    let addr = |port| SocketAddr::new(IpAddr::V4(Ipv4Addr::UNSPECIFIED), port);
    // Without a socket there is nothing to be tried out; the server says what it lacks.
    let Ok(socket) = create(&addr(0), SockType::Datagram) else {
        return Ok(());
    };
    if let (Err(error), Some(mark)) = (set_mark(&socket, &config.outgoing), config.outgoing.mark) {
        let why = format!("{}: needs CAP_NET_ADMIN, which root has", in_words(error));
        return Err(ConfigError::about("mark", Some(&format!("{mark}")), &why));
    }
    if let Some((first, last)) = config.relay.ports
        && let Err(error @ (Errno::EACCES | Errno::EPERM)) = address::bind(&socket, &addr(first))
    {
        let why = format!("{}: {LOW_PORT}", in_words(error));
        let ports = format!("{first}-{last}");
        return Err(ConfigError::about("relay-ports", Some(&ports), &why));
    }
    Ok(())
}

/// Tries to bind the listeners. Adds a warning for each that may be possible later.
///
/// # Errors
/// What will not be possible by itself, as one line.
pub fn check_listeners(
    config: &Config,
    interfaces: &[Interface],
    warnings: &mut Vec<String>,
) -> Result<(), String> {
    for failure in Listeners::try_out(config, interfaces) {
        if !failure.is_transient() {
            return Err(format!("{failure}"));
        }
        let is_harmless = config.retry_listen || matches!(failure, OpenError::TooMany(_));
        warnings.push(if is_harmless {
            format!("{failure}; it will be, once it can")
        } else {
            format!("{failure} now; the start would fail without --retry-listen")
        });
    }
    Ok(())
}
