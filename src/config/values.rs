//! Single values of the command line: numbers, addresses, ports, interface names.
//!
//! Pure but for scopes (`%br-lan`), whose numbers the system knows. Lists, options and their
//! contradictions are the business of `options`.

use std::net::{IpAddr, SocketAddr, SocketAddrV6};

use super::error::ConfigError;
use super::settings::Listen;
use crate::state::access::{NEEDS_BRACKETS, Nets, lacks_brackets};
use crate::wire;

/// How the number of an interface is found.
pub(super) type Scopes = fn(&str) -> Option<u32>;

/// A decimal number without sign; `None` for anything else or above 32 bits.
pub(super) fn decimal(text: &str) -> Option<u32> {
    u32::try_from(wire::decimal(text.as_bytes())?).ok()
}

/// A decimal number of 16 bits without sign.
fn port(text: &str) -> Option<u16> {
    u16::try_from(decimal(text)?).ok()
}

/// A decimal number from `least` to `most`, the value of `option`.
pub(super) fn number(option: &str, text: &str, least: u32, most: u32) -> Result<u32, ConfigError> {
    match decimal(text) {
        Some(number) if (least..=most).contains(&number) => Ok(number),
        _ => {
            let why = format!("not a number from {least} to {most}");
            Err(ConfigError::about(option, Some(text), &why))
        }
    }
}

/// A firewall mark: 32 bits, decimal or hexadecimal behind 0x.
pub(super) fn mark(text: &str) -> Result<u32, &'static str> {
    let (digits, base) = match text.as_bytes() {
        [b'0', b'x' | b'X', digits @ ..] => (digits, 16),
        digits => (digits, 10),
    };
    wire::number(digits, base)
        .and_then(|number| u32::try_from(number).ok())
        .ok_or("not a number of 32 bits, decimal or 0x hexadecimal")
}

/// A range of ports, both ends included: A-B, from 1 to 65,535.
pub(super) fn ports(text: &str) -> Result<(u16, u16), &'static str> {
    let (first, last) = text.split_once('-').unwrap_or((text, ""));
    match (port(first), port(last)) {
        (Some(first @ 1..), Some(last @ 1..)) if first <= last => Ok((first, last)),
        (Some(1..), Some(1..)) => Err("the first port is above the last"),
        _ => Err("not two ports A-B from 1 to 65535"),
    }
}

/// Sets what may be given once; `why` is the error for a second time.
pub(super) fn set_once<T>(
    place: &mut Option<T>,
    value: T,
    why: &'static str,
) -> Result<(), &'static str> {
    if place.is_some() {
        return Err(why);
    }
    *place = Some(value);
    Ok(())
}

/// The errors of a list with one address per family.
pub(super) const SECOND_V4: &str = "a second IPv4 address";
pub(super) const SECOND_V6: &str = "a second IPv6 address";

/// What is wrong with a text that is no IP address.
const NOT_AN_ADDRESS: &str = "not an address";

/// Why a text is not the unicast address of a host.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum NotUnicast {
    /// It is no IP address.
    NotAnAddress,
    /// 255.255.255.255.
    Broadcast,
    /// 224.0.0.0/4 or ff00::/8.
    Multicast,
    /// 0.0.0.0 or ::.
    Unspecified,
}

impl From<NotUnicast> for &'static str {
    fn from(fault: NotUnicast) -> Self {
        match fault {
            NotUnicast::NotAnAddress => NOT_AN_ADDRESS,
            NotUnicast::Broadcast => "a broadcast address",
            NotUnicast::Multicast => "a multicast address",
            NotUnicast::Unspecified => "nobody answers there",
        }
    }
}

/// The unicast address of a host, v4-mapped ones unwrapped.
pub(super) fn unicast(text: &str) -> Result<IpAddr, NotUnicast> {
    let addr = text
        .parse::<IpAddr>()
        .map_err(|_| NotUnicast::NotAnAddress)?;
    match addr.to_canonical() {
        IpAddr::V4(v4) if v4.is_broadcast() => Err(NotUnicast::Broadcast),
        addr if addr.is_multicast() => Err(NotUnicast::Multicast),
        addr if addr.is_unspecified() => Err(NotUnicast::Unspecified),
        addr => Ok(addr),
    }
}

/// An address with an optional scope, v4-mapped ones unwrapped. A scope must be an interface
/// that exists, or its number; 0 stands for none.
pub(super) fn address(text: &str, scopes: Scopes) -> Result<(IpAddr, u32), &'static str> {
    let (text, scope) = match text.split_once('%') {
        None => (text, 0),
        Some((head, name)) => {
            let scope = decimal(name).or_else(|| scopes(name));
            (head, scope.ok_or("no such interface behind %")?)
        }
    };
    let addr = text
        .parse::<IpAddr>()
        .map_err(|_| NOT_AN_ADDRESS)?
        .to_canonical();
    if addr.is_ipv4() && scope != 0 {
        return Err("an IPv4 address has no scope");
    }
    Ok((addr, scope))
}

/// ADDR, ADDR:PORT, [V6]:PORT or bare V6, at `port` where the text has none.
pub(super) fn endpoint(text: &str, port: u16, scopes: Scopes) -> Result<SocketAddr, &'static str> {
    let (host, typed) = split_port(text)?;
    let (addr, scope) = address(host, scopes)?;
    let port = typed.unwrap_or(port);
    match addr {
        IpAddr::V4(v4) if v4.is_broadcast() => Err("a broadcast address"),
        addr if addr.is_multicast() => Err("a multicast address"),
        IpAddr::V4(_) => Ok(SocketAddr::new(addr, port)),
        // The kernel refuses such an address as long as the link is not named.
        IpAddr::V6(v6) if v6.is_unicast_link_local() && scope == 0 => {
            Err("a link-local address needs %INTERFACE")
        }
        IpAddr::V6(v6) => Ok(SocketAddrV6::new(v6, port, 0, scope).into()),
    }
}

/// One `--listen`: what [`endpoint`] takes, or an interface name in the address's place.
pub(super) fn listen(text: &str, port: u16, scopes: Scopes) -> Result<Listen, &'static str> {
    let (host, typed) = split_port(text)?;
    if text == "::" {
        return Ok(Listen::Any { port, as_v6: true });
    }
    match interface(host) {
        Some(name) => Ok(Listen::Interface(name, typed.unwrap_or(port))),
        None => endpoint(text, port, scopes).map(Listen::Addr),
    }
}

/// The interface name that `text` is, if it is one and no address.
pub(super) fn interface(text: &str) -> Option<String> {
    match text.parse() {
        Ok(Nets::Interface(name)) => Some(name),
        _ => None,
    }
}

/// Separates the port. A text with two colons or more is an IPv6 address unless in brackets.
fn split_port(text: &str) -> Result<(&str, Option<u16>), &'static str> {
    let (host, tail) = if let Some(inner) = text.strip_prefix('[') {
        let (host, tail) = inner.split_once(']').ok_or("a bracket is not closed")?;
        if !host.contains(':') {
            return Err("brackets are for IPv6 addresses");
        }
        (host, tail)
    } else {
        let mut colons = text.bytes().enumerate().filter(|(_, byte)| *byte == b':');
        match (colons.next(), colons.next()) {
            (Some((colon, _)), None) => text.split_at(colon),
            _ if lacks_brackets(text) => return Err(NEEDS_BRACKETS),
            _ => (text, ""),
        }
    };
    if tail.is_empty() {
        return Ok((host, None));
    }
    let digits = tail
        .strip_prefix(':')
        .ok_or("what follows the bracket is no port")?;
    let port = port(digits).ok_or("the port is not a number from 0 to 65535")?;
    Ok((host, Some(port)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scopes(name: &str) -> Option<u32> {
        (name == "br-lan").then_some(7)
    }

    fn listens(text: &str) -> String {
        match listen(text, 1080, scopes) {
            Ok(Listen::Any { port, .. }) => format!("any at {port}"),
            Ok(Listen::Addr(addr)) => addr.to_string(),
            Ok(Listen::Interface(name, port)) => format!("{name} at {port}"),
            Err(why) => format!("error: {why}"),
        }
    }

    #[test]
    fn a_listener_is_an_address_or_a_name_with_or_without_a_port() {
        for (typed, meant) in [
            ("10.0.0.1", "10.0.0.1:1080"),
            ("10.0.0.1:0", "10.0.0.1:0"),
            ("10.0.0.1:65535", "10.0.0.1:65535"),
            ("::", "any at 1080"),
            ("[::]", "[::]:1080"),
            (
                "::1:1081",
                "error: a port behind IPv6 needs brackets: [ADDR]:PORT",
            ),
            ("2001:db8::1:1081", "[2001:db8::1:1081]:1080"),
            ("[::1]", "[::1]:1080"),
            ("[::1]:1081", "[::1]:1081"),
            ("[fe80::1%br-lan]:1081", "[fe80::1%7]:1081"),
            ("fe80::1%3", "[fe80::1%3]:1080"),
            ("::ffff:10.0.0.1", "10.0.0.1:1080"),
            ("br-lan", "br-lan at 1080"),
            ("br-lan:9", "br-lan at 9"),
            ("10.0.0.300", "error: not an address"),
            ("10.0.0.1/24", "error: not an address"),
            ("", "error: not an address"),
            (
                "10.0.0.1:",
                "error: the port is not a number from 0 to 65535",
            ),
            (
                "10.0.0.1:65536",
                "error: the port is not a number from 0 to 65535",
            ),
            (
                "10.0.0.1:+80",
                "error: the port is not a number from 0 to 65535",
            ),
            ("[::1", "error: a bracket is not closed"),
            ("[::1]1080", "error: what follows the bracket is no port"),
            ("[10.0.0.1]:80", "error: brackets are for IPv6 addresses"),
            ("fe80::1", "error: a link-local address needs %INTERFACE"),
            ("fe80::1%nowhere", "error: no such interface behind %"),
            ("10.0.0.1%br-lan", "error: an IPv4 address has no scope"),
            ("224.0.0.1", "error: a multicast address"),
            ("[ff02::1]:80", "error: a multicast address"),
            ("255.255.255.255", "error: a broadcast address"),
        ] {
            assert_eq!(listens(typed), meant, "{typed}");
        }
    }

    #[test]
    fn a_mark_is_decimal_or_hexadecimal() {
        assert_eq!(mark("0"), Ok(0));
        assert_eq!(mark("255"), Ok(255));
        assert_eq!(mark("0xff"), Ok(255));
        assert_eq!(mark("0XffFFffFF"), Ok(u32::MAX));
        for bad in [
            "",
            "0x",
            "0x100000000",
            "4294967296",
            "-1",
            "+1",
            "0x+1",
            "ff",
        ] {
            assert!(mark(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn a_range_of_ports_has_two_ends_in_order() {
        for (typed, range) in [("1-65535", (1, 65_535)), ("7-7", (7, 7)), ("08-9", (8, 9))] {
            assert_eq!(ports(typed), Ok(range));
        }
        assert_eq!(ports("9-8"), Err("the first port is above the last"));
        for bad in [
            "", "-", "1", "1-", "-1", "0-1", "1-65536", "1-2-3", "1 - 2", "+1-2", "a-b", "1:2",
        ] {
            assert_eq!(
                ports(bad),
                Err("not two ports A-B from 1 to 65535"),
                "{bad}"
            );
        }
    }

    #[test]
    fn a_unicast_address_is_one_that_a_host_can_have() {
        assert_eq!(unicast("192.0.2.1"), Ok([192, 0, 2, 1].into()));
        assert_eq!(unicast("::ffff:192.0.2.1"), Ok([192, 0, 2, 1].into()));
        assert!(unicast("2001:db8::1").is_ok());
        for (typed, why) in [
            ("::", "nobody answers there"),
            ("::ffff:0.0.0.0", "nobody answers there"),
            ("239.1.2.3", "a multicast address"),
            ("255.255.255.255", "a broadcast address"),
            ("192.0.2.1:80", "not an address"),
            ("[2001:db8::1]", "not an address"),
            ("fe80::1%lo", "not an address"),
        ] {
            assert_eq!(unicast(typed).map_err(<&str>::from), Err(why), "{typed}");
        }
    }

    #[test]
    fn a_number_has_digits_only_and_keeps_its_range() {
        assert_eq!(number("port", "0", 0, 9), Ok(0));
        assert_eq!(number("port", "9", 0, 9), Ok(9));
        for bad in ["", "10", "+1", "-1", "1s", " 1", "99999999999999999999999"] {
            let line = number("port", bad, 0, 9).unwrap_err().to_string();
            assert_eq!(line, format!("--port {bad}: not a number from 0 to 9"));
        }
    }

    proptest! {
        #[test]
        fn any_text_gives_a_value_or_an_error(text in "[0-9a-f:.%\\[\\]/x+-]{0,40}") {
            let _ = listen(&text, 1080, scopes);
            let _ = mark(&text);
            let _ = ports(&text);
            let _ = unicast(&text);
        }

        #[test]
        fn an_endpoint_reads_back_as_it_is_printed(addr: SocketAddr) {
            let addr = SocketAddr::new(addr.ip().to_canonical(), addr.port());
            if let Ok(read) = endpoint(&addr.to_string(), 1, scopes) {
                prop_assert_eq!(read, addr);
            }
        }
    }
}
