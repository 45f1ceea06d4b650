//! What each option means: one value more in the configuration.
//!
//! What a value must not be is said here; what contradicts what is the business of
//! `contradictions`.

use std::net::IpAddr;

use log::LevelFilter;

use super::table::{Flag, List, Number, Text};
use crate::config::files::{DNS_PORT, NAME_SERVERS_MAX};
use crate::config::settings::{Asked, Outgoing, RelayOptions, Sources};
use crate::config::values::{self, NotUnicast, SECOND_V4, SECOND_V6};
use crate::state::access::{Destination, Nets};
use crate::sys::scope::interface_index;

/// `--listen` at most; more addresses than these have one wildcard.
const LISTENS_MAX: usize = 8;

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
pub(super) fn flag(config: &mut Asked, flag: Flag) {
    match flag {
        Flag::RetryListen => config.retry_listen = true,
        Flag::Reuseport => config.reuseport = true,
        Flag::AuthOnce => config.policy.auth_once = true,
        Flag::Ipv4 => {
            config.families.v6 = false;
            config.families.v6_first = false;
        }
        Flag::Ipv6 => config.families.v4 = false,
        Flag::NoUdp => config.protocols.udp = false,
        Flag::NoBind => config.protocols.bind = false,
        Flag::NoSocks4 => config.protocols.socks4 = false,
        Flag::NoHttp => config.protocols.http = false,
        Flag::Status => config.protocols.status = true,
        Flag::NoSplice => config.limits.no_splice = true,
        Flag::UdpStrict => config.relay.strict = true,
        Flag::Quiet => config.quiet = true,
        // One line per finished session is the usual level.
        Flag::Verbose if config.verbosity == LevelFilter::Info => {
            config.verbosity = LevelFilter::Debug
        }
        Flag::Verbose => config.verbosity = LevelFilter::Trace,
        Flag::Check => config.check = true,
        // The program does nothing else with these.
        Flag::Help | Flag::Version => {}
    }
}

/// The smallest and the largest number that an option takes.
pub(super) fn bounds(option: Number) -> (u32, u32) {
    match option {
        Number::Port => (0, 65_535),
        Number::HandshakeTimeout
        | Number::ConnectTimeout
        | Number::IdleTimeout
        | Number::HalfCloseTimeout
        | Number::UdpTimeout
        | Number::BindTimeout => (1, SECONDS_MAX),
        Number::PeerTimeout => (1, PEER_SECONDS_MAX),
        // A session's number has 16 bits; buffers come from the same range.
        Number::MaxSessions | Number::MaxPerClient | Number::Ban => (1, 65_535),
        Number::Buffers => (4, 65_535),
        Number::BufferSize => (256, 65_536),
    }
}

/// An option with a number, which is within its [`bounds`].
pub(super) fn number(config: &mut Asked, option: Number, number: u32) {
    let timeouts = &mut config.timeouts;
    let limits = &mut config.limits;
    let count = Some(number as usize);
    // A timeout; its bounds keep its milliseconds within 32 bits.
    let ms = number * 1000;
    match option {
        Number::Port => config.port = u16::try_from(number).expect("a port ends at 65,535"),
        Number::Ban => config.policy.ban = Some(number),
        Number::HandshakeTimeout => timeouts.handshake_ms = ms,
        Number::ConnectTimeout => timeouts.connect_ms = ms,
        Number::IdleTimeout => timeouts.idle_ms = ms,
        Number::HalfCloseTimeout => timeouts.half_close_ms = ms,
        Number::UdpTimeout => timeouts.udp_ms = ms,
        Number::BindTimeout => timeouts.bind_ms = ms,
        Number::PeerTimeout => timeouts.peer_ms = ms,
        Number::MaxSessions => limits.sessions_max = count,
        Number::MaxPerClient => limits.per_client_max = count,
        Number::Buffers => limits.buffers_max = count,
        Number::BufferSize => limits.buffer_bytes = count,
    }
}

/// An option with a text.
///
/// # Errors
/// What is wrong with it.
pub(super) fn text(config: &mut Asked, option: Text, text: &str) -> Result<(), &'static str> {
    match option {
        Text::User => {
            config.policy.credentials = true;
            credential(config).0 = one_to_255_bytes(text)?;
        }
        Text::Password => {
            config.policy.credentials = true;
            credential(config).1 = one_to_255_bytes(text)?;
        }
        Text::Users if text.is_empty() => return Err("needs the name of a file"),
        Text::Users => {
            config.policy.credentials = true;
            config.sources.users = Some(text.into());
        }
        Text::Mark => config.outgoing.mark = Some(values::mark(text)?),
        Text::Prefer => {
            config.families.v6_first = match text {
                "4" => false,
                "6" => true,
                _ => return Err("neither 4 nor 6"),
            }
        }
        Text::RelayPorts => config.relay.ports = Some(values::ports(text)?),
        Text::Syslog if text.is_empty() => return Err("needs the name of a socket"),
        Text::Syslog => config.syslog = Some(text.into()),
    }
    Ok(())
}

/// One item of an option with a list.
///
/// # Errors
/// What is wrong with it.
pub(super) fn item(config: &mut Asked, option: List, text: &str) -> Result<(), &'static str> {
    let policy = &mut config.policy;
    match option {
        List::Listen => listen(config, text),
        List::Trust => add(&mut policy.trust, network(text)),
        List::Clients => add(&mut policy.clients, network(text)),
        List::Permit => add(&mut policy.permit, text.parse()),
        List::Block => add(&mut policy.block, text.parse()),
        List::Bind => bind(&mut config.outgoing, text),
        List::Dns => name_server(&mut config.sources, text),
        List::Public => public(&mut config.relay, text),
    }
}

/// Name and password of `--user` and `--password`.
fn credential(config: &mut Asked) -> &mut (Vec<u8>, Vec<u8>) {
    config.sources.credential.get_or_insert_default()
}

/// A name or a password, each of which has its length in one byte (RFC 1929 §2).
fn one_to_255_bytes(text: &str) -> Result<Vec<u8>, &'static str> {
    if (1..=255).contains(&text.len()) {
        Ok(text.into())
    } else {
        Err("not 1 to 255 bytes long")
    }
}

/// `--listen`. The same place twice could never be bound twice.
fn listen(config: &mut Asked, text: &str) -> Result<(), &'static str> {
    let listener = values::listen(text, config.port, interface_index)?;
    if config.listen.contains(&listener) {
        return Err("given more than once");
    }
    if config.listen.len() == LISTENS_MAX {
        return Err("one more than 8");
    }
    config.listen.push(listener);
    Ok(())
}

/// Appends to a list of networks or destinations.
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

/// A network, whatever the port.
fn network(text: &str) -> Result<Destination, &'static str> {
    text.parse::<Nets>().map(Destination::from)
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
