//! The options of what is spoken beside SOCKS5 CONNECT, and of UDP ASSOCIATE and BIND.
//!
//! A value for something that is switched off could not be honoured: it is an error.

use std::net::IpAddr;

use getopts::Matches;

use super::super::{ConfigError, Families, Protocols, Relay, values};
use super::lists::{ITEMS_MAX, against, bad, items};

/// `--no-udp`, `--no-bind`, `--no-socks4` and `--no-http`, with what they leave no use for.
pub(super) fn protocols(matches: &Matches) -> Result<Protocols, ConfigError> {
    let protocols = Protocols {
        udp: !matches.opt_present("no-udp"),
        bind: !matches.opt_present("no-bind"),
        socks4: !matches.opt_present("no-socks4"),
        http: !matches.opt_present("no-http"),
    };
    let neither = !protocols.udp && !protocols.bind;
    for (option, useless, why) in [
        ("udp-timeout", !protocols.udp, "contradicts --no-udp"),
        ("bind-timeout", !protocols.bind, "contradicts --no-bind"),
        (
            "relay-ports",
            neither,
            "contradicts --no-udp with --no-bind",
        ),
        ("public", neither, "contradicts --no-udp with --no-bind"),
    ] {
        if useless && let Some(value) = matches.opt_str(option) {
            return Err(bad(option, &value, why));
        }
    }
    if !protocols.udp && matches.opt_present("udp-strict") {
        return Err(against("udp-strict", "contradicts --no-udp"));
    }
    Ok(protocols)
}

/// `--relay-ports`, `--public` and `--udp-strict`. Clients of UDP may come over a family that
/// nothing leaves by, so only without UDP do the `families` of outgoing connections count.
pub(super) fn relay(
    matches: &Matches,
    protocols: Protocols,
    families: Families,
) -> Result<Relay, ConfigError> {
    let mut relay = Relay {
        strict: matches.opt_present("udp-strict"),
        ..Relay::default()
    };
    if let Some(text) = matches.opt_str("relay-ports") {
        let ports = values::ports(&text).map_err(|why| bad("relay-ports", &text, why))?;
        relay.ports = Some(ports);
    }
    let (v4, v6) = (protocols.udp || families.v4, protocols.udp || families.v6);
    for item in items(matches, "public", ITEMS_MAX, "one more than 256")? {
        let addr = values::public(&item).map_err(|why| bad("public", &item, why))?;
        let wrong = match addr {
            IpAddr::V4(_) if !v4 => Some("BIND has no IPv4, and UDP is off"),
            IpAddr::V6(_) if !v6 => Some("BIND has no IPv6, and UDP is off"),
            IpAddr::V4(v4) => relay.public_v4.replace(v4).map(|_| "a second IPv4 address"),
            IpAddr::V6(v6) => relay.public_v6.replace(v6).map(|_| "a second IPv6 address"),
        };
        if let Some(why) = wrong {
            return Err(bad("public", &item, why));
        }
    }
    Ok(relay)
}
