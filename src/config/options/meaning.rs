//! What each option means: one value more in the configuration.
//!
//! What a value must not be is said here; what contradicts what is the business of
//! `contradictions`.

use std::net::IpAddr;

use log::LevelFilter;

use super::table::option;
use crate::config::files::{DNS_PORT, NAME_SERVERS_MAX};
use crate::config::settings::{Asked, Outgoing, RelayOptions, Sources};
use crate::config::values::{self, NotUnicast, SECOND_V4, SECOND_V6};
use crate::state::access::{Destination, Nets};
use crate::sys::scope::interface_index;

/// Listeners at most. Their descriptors are part of the fixed share in `limits`; more
/// addresses than these have one wildcard.
pub const LISTENERS_MAX: usize = 8;

/// Rules of one kind at most. They are searched one after the other for each connection.
const RULES_MAX: usize = 256;

/// Longest timeout: 30 days. Its milliseconds fit 32 bits.
const SECONDS_MAX: u32 = 30 * 24 * 3600;

/// Longest --peer-timeout: 24 days. The kernel takes TCP_USER_TIMEOUT as a signed number of 32
/// bits, in milliseconds, and refuses 25 days.
const PEER_SECONDS_MAX: u32 = 24 * 24 * 3600;

const _: () = assert!(SECONDS_MAX <= u32::MAX / 1000);
const _: () = assert!(PEER_SECONDS_MAX <= i32::MAX as u32 / 1000);

/// An option without a value.
pub(super) fn flag(config: &mut Asked, option: u8) {
    match option {
        option::RETRY_LISTEN => config.retry_listen = true,
        option::REUSEPORT => config.reuseport = true,
        option::AUTH_ONCE => config.policy.auth_once = true,
        option::IPV4 => {
            config.families.v6 = false;
            config.families.v6_first = false;
        }
        option::IPV6 => config.families.v4 = false,
        option::NO_UDP => config.protocols.udp = false,
        option::NO_BIND => config.protocols.bind = false,
        option::NO_SOCKS4 => config.protocols.socks4 = false,
        option::NO_HTTP => config.protocols.http = false,
        option::UDP_STRICT => config.relay.strict = true,
        option::QUIET => config.verbosity = LevelFilter::Warn,
        // One line per finished session is the usual level.
        option::VERBOSE if config.verbosity == LevelFilter::Info => {
            config.verbosity = LevelFilter::Debug
        }
        option::VERBOSE => config.verbosity = LevelFilter::Trace,
        option::CHECK => config.check = true,
        // The program does nothing else with --help and --version.
        _ => {}
    }
}

/// The smallest and the largest number that an option takes.
pub(super) fn bounds(option: u8) -> (u32, u32) {
    match option {
        option::PORT => (0, 65_535),
        // A session's number has 16 bits; buffers come from the same range.
        option::MAX_SESSIONS | option::MAX_PER_CLIENT => (1, 65_535),
        option::BUFFERS => (4, 65_535),
        option::BUFFER_SIZE => (256, 65_536),
        option::PEER_TIMEOUT => (1, PEER_SECONDS_MAX),
        // The other timeouts.
        _ => (1, SECONDS_MAX),
    }
}

/// An option with a number, which is within its bounds.
pub(super) fn number(config: &mut Asked, option: u8, number: u32) {
    let timeouts = &mut config.timeouts;
    let limits = &mut config.limits;
    let count = usize::try_from(number).unwrap_or(usize::MAX);
    // A timeout; its bounds keep its milliseconds within 32 bits.
    let ms = number.saturating_mul(1000);
    match option {
        option::PORT => config.port = u16::try_from(number).unwrap_or(u16::MAX),
        option::HANDSHAKE_TIMEOUT => timeouts.handshake_ms = ms,
        option::CONNECT_TIMEOUT => timeouts.connect_ms = ms,
        option::IDLE_TIMEOUT => timeouts.idle_ms = ms,
        option::HALF_CLOSE_TIMEOUT => timeouts.half_close_ms = ms,
        option::UDP_TIMEOUT => timeouts.udp_ms = ms,
        option::BIND_TIMEOUT => timeouts.bind_ms = ms,
        option::PEER_TIMEOUT => timeouts.peer_ms = ms,
        option::MAX_SESSIONS => limits.sessions_max = Some(count),
        option::MAX_PER_CLIENT => limits.per_client_max = Some(count),
        option::BUFFERS => limits.buffers_max = Some(count),
        _ => limits.buffer_bytes = Some(count),
    }
}

/// An option with a text, or with one item of its list.
///
/// # Errors
/// What is wrong with it.
pub(super) fn text(config: &mut Asked, option: u8, text: &str) -> Result<(), &'static str> {
    let policy = &mut config.policy;
    match option {
        option::LISTEN => listen(config, text),
        option::USER | option::PASSWORD => {
            policy.credentials = true;
            credential(&mut config.sources, option == option::USER, text)
        }
        option::USERS if text.is_empty() => Err("needs the name of a file"),
        option::USERS => {
            policy.credentials = true;
            config.sources.users = Some(text.into());
            Ok(())
        }
        option::TRUST => add_net(&mut policy.trust, text),
        option::CLIENTS => add_net(&mut policy.clients, text),
        option::PERMIT => add(&mut policy.permit, text.parse()),
        option::BLOCK => add(&mut policy.block, text.parse()),
        option::PREFER => match text {
            "4" | "6" => {
                config.families.v6_first = text == "6";
                Ok(())
            }
            _ => Err("neither 4 nor 6"),
        },
        option::BIND => bind(&mut config.outgoing, text),
        option::MARK => {
            config.outgoing.mark = Some(values::mark(text)?);
            Ok(())
        }
        option::DNS => name_server(&mut config.sources, text),
        option::RELAY_PORTS => {
            config.relay.ports = Some(values::ports(text)?);
            Ok(())
        }
        _ => public(&mut config.relay, text),
    }
}

/// `--listen`. The same place twice could never be bound twice.
fn listen(config: &mut Asked, text: &str) -> Result<(), &'static str> {
    let listener = values::listen(text, config.port, interface_index)?;
    if config.listen.contains(&listener) {
        return Err("given more than once");
    }
    if config.listen.len() == LISTENERS_MAX {
        return Err("one more than 8");
    }
    config.listen.push(listener);
    Ok(())
}

/// `--user` and `--password`. RFC 1929 §2 has a byte for each length.
fn credential(sources: &mut Sources, is_name: bool, text: &str) -> Result<(), &'static str> {
    if !(1..=255).contains(&text.len()) {
        return Err("not 1 to 255 bytes long");
    }
    let (name, password) = sources.credential.get_or_insert_default();
    *if is_name { name } else { password } = text.into();
    Ok(())
}

/// A list of networks or destinations.
fn add(
    list: &mut Vec<Destination>,
    item: Result<Destination, &'static str>,
) -> Result<(), &'static str> {
    if list.len() == RULES_MAX {
        return Err("one more than 256");
    }
    list.push(item?);
    Ok(())
}

/// A list of networks.
fn add_net(list: &mut Vec<Destination>, text: &str) -> Result<(), &'static str> {
    add(list, text.parse::<Nets>().map(Destination::from))
}

/// `--bind`: an interface on its own, or an address of either family.
fn bind(outgoing: &mut Outgoing, text: &str) -> Result<(), &'static str> {
    let addressed = outgoing.v4.is_some() || outgoing.v6.is_some();
    let device = values::interface(text);
    if outgoing.device.is_some() || (addressed && device.is_some()) {
        return Err("an interface stands alone");
    }
    if device.is_some() {
        outgoing.device = device;
        return Ok(());
    }
    match values::unicast(text) {
        Err(NotUnicast::NotAnAddress) => Err("neither an address nor an interface name"),
        Err(_) => Err("not the address of an interface"),
        Ok(IpAddr::V6(v6)) if v6.is_unicast_link_local() => {
            Err("a link-local address reaches nothing")
        }
        Ok(IpAddr::V4(v4)) => values::set_once(&mut outgoing.v4, v4, SECOND_V4),
        Ok(IpAddr::V6(v6)) => values::set_once(&mut outgoing.v6, v6, SECOND_V6),
    }
}

/// `--dns`.
fn name_server(sources: &mut Sources, text: &str) -> Result<(), &'static str> {
    let server = values::endpoint(text, DNS_PORT, interface_index)?;
    if server.port() == 0 || server.ip().is_unspecified() {
        return Err("nobody answers there");
    }
    if sources.dns.len() == NAME_SERVERS_MAX {
        return Err("one more than 3");
    }
    sources.dns.push(server);
    Ok(())
}

/// `--public`: an address that can be announced to a client.
fn public(relay: &mut RelayOptions, text: &str) -> Result<(), &'static str> {
    match values::unicast(text)? {
        IpAddr::V4(v4) => values::set_once(&mut relay.public_v4, v4, SECOND_V4),
        IpAddr::V6(v6) => values::set_once(&mut relay.public_v6, v6, SECOND_V6),
    }
}
