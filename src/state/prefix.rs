//! Networks as the command line writes them, and addresses as the rules see them.
//!
//! Parsing and comparing only: which network may do what is decided in `access`. An IPv4
//! address written inside an IPv6 address is unwrapped here, by `unwrapped`: otherwise a client
//! could pass the rules by writing `::ffff:192.168.1.1`.

use std::fmt;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::str::FromStr;

use crate::wire::decimal;

/// An address as the 128 bits of its IPv6 form, IPv4 in its v4-mapped form (RFC 4291 §2.5.5.2),
/// so that both families are compared in one way.
pub(super) fn bits_of(addr: IpAddr) -> u128 {
    match addr {
        IpAddr::V4(addr) => mapped(addr.to_bits()),
        IpAddr::V6(addr) => addr.to_bits(),
    }
}

const fn mapped(v4: u32) -> u128 {
    MAPPED | v4 as u128
}

/// The prefix of v4-mapped addresses, and its length.
const MAPPED: u128 = 0xffff << 32;
const MAPPED_BITS: u8 = 96;

/// Returns `true` if these bits are an IPv4 address.
pub(super) fn is_v4(bits: u128) -> bool {
    bits >> 32 == 0xffff
}

/// Returns `true` if these bits are in 127.0.0.0/8 or are ::1: this machine itself.
pub(super) fn is_loopback(bits: u128) -> bool {
    bits == 1 || bits >> 24 == 0xff_ff7f
}

/// Returns `true` if these bits are 0.0.0.0 or ::.
pub(super) fn is_unspecified(bits: u128) -> bool {
    bits == 0 || bits == MAPPED
}

/// Returns a client as rules and tables know it: by its address. The same link-local IPv6 address
/// is somebody else on each interface, so it has the interface's number, the scope of the
/// connection, in bits that are zero on the wire: `fe80::5` on interface 3 is `fe80:0:0:3::5`, as
/// in KAME's kernels.
pub fn scoped(client: &SocketAddr) -> IpAddr {
    match client {
        SocketAddr::V6(v6) if LINK_LOCAL.holds(v6.ip().to_bits()) => {
            scoped_bits(v6.ip().to_bits(), v6.scope_id()).into()
        }
        _ => client.ip(),
    }
}

/// A link-local address with the number of its interface.
pub(super) fn scoped_bits(addr: u128, scope: u32) -> Ipv6Addr {
    Ipv6Addr::from_bits(addr & !SCOPE_BITS | u128::from(scope) << 64)
}

/// Takes the number of the interface out of a link-local address, and leaves any other as it is.
pub(super) fn unscoped(addr: u128) -> u128 {
    if LINK_LOCAL.holds(addr) {
        addr & !SCOPE_BITS
    } else {
        addr
    }
}

/// Between the prefix of a link-local address and its interface identifier: 54 bits of zero
/// (RFC 4291 §2.5.6), the first six of which tell nothing here.
const SCOPE_BITS: u128 = 0xffff_ffff_ffff << 64;

/// A CIDR prefix, IPv4 (0 to 32 bits) or IPv6 (0 to 128 bits); the bits behind it are zero.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prefix {
    /// The first address, as [`bits_of`], in network order. As a u128, which is aligned to 16
    /// bytes, the tables below and the code that reads them are 1,048 bytes larger.
    octets: [u8; 16],
    /// The length in the IPv6 form, 0 to 128: 96 more for IPv4.
    len: u8,
}

impl Prefix {
    /// The prefix of `bits` bits around `addr`; `None` if addresses of its family have fewer.
    pub fn new(addr: IpAddr, bits: u8) -> Option<Self> {
        let addr_bits = bits_of(addr);
        let len = bits.checked_add(if addr.is_ipv4() { MAPPED_BITS } else { 0 })?;
        (len <= 128).then(|| Self::around(addr_bits, len))
    }

    /// The IPv4 prefix around `addr`, for tables; panics over 32 bits.
    pub const fn v4(addr: Ipv4Addr, bits: u8) -> Self {
        Self::around(mapped(addr.to_bits()), MAPPED_BITS + bits)
    }

    /// The IPv6 prefix around `addr`, for tables; panics over 128 bits.
    pub const fn v6(addr: Ipv6Addr, bits: u8) -> Self {
        Self::around(addr.to_bits(), bits)
    }

    /// The prefix of one address.
    pub(super) const fn host(bits: u128) -> Self {
        Self {
            octets: bits.to_be_bytes(),
            len: 128,
        }
    }

    const fn around(bits: u128, len: u8) -> Self {
        assert!(len <= 128, "an address has 128 bits");
        let mask = match u128::MAX.checked_shl(128 - len as u32) {
            Some(mask) => mask,
            None => 0,
        };
        Self {
            octets: (bits & mask).to_be_bytes(),
            len,
        }
    }

    /// Returns `true` if `addr` is in the prefix. A v4-mapped address is in IPv4 prefixes only.
    pub fn contains(self, addr: IpAddr) -> bool {
        self.holds(bits_of(addr))
    }

    /// The same of an address that is [`bits_of`] already.
    pub(super) fn holds(&self, addr: u128) -> bool {
        let shared = (self.first() ^ addr).leading_zeros();
        shared >= u32::from(self.len) && (self.len >= MAPPED_BITS || !is_v4(addr))
    }

    /// The first address of it, as [`bits_of`].
    pub(super) fn first(&self) -> u128 {
        u128::from_be_bytes(self.octets)
    }

    /// The first address of it.
    pub fn addr(self) -> IpAddr {
        Ipv6Addr::from(self.octets).to_canonical()
    }

    /// Its length, 0 to 32 or 0 to 128.
    pub fn bits(self) -> u8 {
        if is_v4(self.first()) {
            self.len - MAPPED_BITS
        } else {
            self.len
        }
    }

    /// Its length in the IPv6 form, 0 to 128: of two prefixes of a family the longer one is the
    /// smaller network.
    pub(super) fn len(&self) -> u8 {
        self.len
    }

    /// Returns `true` if it is a single address.
    pub fn is_host(self) -> bool {
        self.len == 128
    }
}

impl FromStr for Prefix {
    type Err = &'static str;

    /// `ADDR` or `ADDR/BITS`; bits behind the prefix are masked off. A v4-mapped prefix
    /// becomes the IPv4 prefix that it stands for, as addresses are unwrapped before they
    /// are compared.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (addr, bits) = match text.split_once('/') {
            Some((addr, bits)) => (addr, Some(number(bits).ok_or("not a prefix length")?)),
            None => (text, None),
        };
        let addr: IpAddr = addr.parse().map_err(|_| "not an address")?;
        let Some(bits) = bits else {
            return Ok(Self::host(bits_of(addr)));
        };
        let prefix = u8::try_from(bits)
            .ok()
            .and_then(|bits| Self::new(addr, bits));
        prefix.ok_or("the prefix is longer than the address")
    }
}

impl fmt::Display for Prefix {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.addr().fmt(f)?;
        if self.is_host() {
            return Ok(());
        }
        f.write_str("/")?;
        self.bits().fmt(f)
    }
}

/// A NET of the command line.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Nets {
    /// An address or a prefix.
    Prefix(Prefix),
    /// An interface: the prefixes on it, followed as they change.
    Interface(String),
}

impl FromStr for Nets {
    type Err = &'static str;

    /// An address or prefix, else a plausible interface name. One that begins with a digit, as
    /// OpenWrt's 3g-wan and 6in4-wan6 do, has to have a letter and no dot, so that a mistyped
    /// address is an error and not an interface that never appears.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let prefix = text.parse::<Prefix>();
        if prefix.is_ok() || text.contains('/') {
            return prefix.map(Self::Prefix);
        }
        if is_interface_name(text.as_bytes()) {
            return Ok(Self::Interface(text.to_owned()));
        }
        Err("neither an address, a prefix nor an interface name")
    }
}

impl fmt::Display for Nets {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Prefix(prefix) => prefix.fmt(f),
            Self::Interface(name) => f.write_str(name),
        }
    }
}

/// A DEST of the command line: a network and a range of ports. A NET has all ports.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Destination {
    /// The network.
    pub net: Nets,
    /// The lowest port; 0 if no ports are given, which means all of them.
    pub first_port: u16,
    /// The highest port, not below `first_port`.
    pub last_port: u16,
}

impl From<Nets> for Destination {
    fn from(net: Nets) -> Self {
        Self {
            net,
            first_port: 0,
            last_port: u16::MAX,
        }
    }
}

/// What is wrong with a text that [`lacks_brackets`].
pub const NEEDS_BRACKETS: &str = "a port behind IPv6 needs brackets: [ADDR]:PORT";

/// Returns `true` if a text is an IPv6 address of a range that nobody has: ::1:1080 has a port
/// whose brackets were forgotten.
pub fn lacks_brackets(text: &str) -> bool {
    // Addresses that end in an IPv4 address (RFC 4291 §2.5.5.1) were given up; :: and ::1 are in
    // the same range.
    text.parse::<Ipv6Addr>()
        .is_ok_and(|addr| addr.to_bits() > 1 && addr.to_bits() >> 32 == 0)
}

impl FromStr for Destination {
    type Err = &'static str;

    /// `NET[:PORT[-PORT]]`. IPv6 has ports only in brackets, `[2001:db8::/32]:80-90`, because
    /// `2001:db8::80` is an address.
    fn from_str(text: &str) -> Result<Self, Self::Err> {
        let (net, ports) = match text.strip_prefix('[') {
            Some(inner) => {
                let (net, rest) = inner.split_once(']').ok_or("no closing bracket")?;
                if !net.contains(':') {
                    return Err("brackets are for IPv6");
                }
                match rest.split_once(':') {
                    Some(("", ports)) => (net, Some(ports)),
                    None if rest.is_empty() => (net, None),
                    _ => return Err("only :PORT may follow the bracket"),
                }
            }
            None => match text.split_once(':') {
                Some((net, ports)) if !ports.contains(':') => (net, Some(ports)),
                Some(_) if lacks_brackets(text) => return Err(NEEDS_BRACKETS),
                _ => (text, None),
            },
        };
        let (first_port, last_port) = match ports {
            Some(ports) => port_range(ports).ok_or("not a port or a range of ports")?,
            None => (0, u16::MAX),
        };
        Ok(Self {
            net: net.parse()?,
            first_port,
            last_port,
        })
    }
}

impl fmt::Display for Destination {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.first_port == 0 {
            return self.net.fmt(f);
        }
        let in_brackets = matches!(&self.net, Nets::Prefix(prefix) if !is_v4(prefix.first()));
        f.write_str(if in_brackets { "[" } else { "" })?;
        self.net.fmt(f)?;
        f.write_str(if in_brackets { "]:" } else { ":" })?;
        self.first_port.fmt(f)?;
        if self.last_port == self.first_port {
            return Ok(());
        }
        f.write_str("-")?;
        self.last_port.fmt(f)
    }
}

/// A client for the purpose of limits and logins: an IPv4 address or an IPv6 /64, the
/// smallest network that an IPv6 site has (RFC 4291 §2.5.4).
///
/// The 32 bits of the one and the 64 of the other share the numbers: an IPv4 address has the
/// number of `0:0:a:b::/64`, where `::1` is the only address that connects (and 0.0.0.0, which has
/// the same number, is nobody's).
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct ClientKey(u64);

impl ClientKey {
    /// The first and the last key of its site: the /48 around a /64; an IPv4 address is one by
    /// itself.
    pub(super) fn site(self) -> (Self, Self) {
        const NETWORKS: u64 = 0xffff;
        if self.0 <= u64::from(u32::MAX) {
            return (self, self);
        }
        (Self(self.0 & !NETWORKS), Self(self.0 | NETWORKS))
    }
}

impl From<IpAddr> for ClientKey {
    fn from(addr: IpAddr) -> Self {
        match addr.to_canonical() {
            IpAddr::V4(addr) => Self(addr.to_bits().into()),
            IpAddr::V6(addr) => {
                let network = addr.to_bits() >> 64;
                Self(u64::try_from(network).expect("64 bits are left of 128"))
            }
        }
    }
}

impl fmt::Display for ClientKey {
    /// An IPv4 address, or the /64 of an IPv6 address.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match u32::try_from(self.0) {
            Ok(bits) => Ipv4Addr::from_bits(bits).fmt(f),
            Err(_) => write!(f, "{}/64", Ipv6Addr::from_bits(u128::from(self.0) << 64)),
        }
    }
}

/// The IPv4 address that `addr` leads to where it is an IPv6 form of one: v4-mapped
/// (RFC 4291 §2.5.5.2), v4-compatible (§2.5.5.1, not `::` and `::1`), 6to4 (RFC 3056 §2) and
/// NAT64 with the well-known prefix (RFC 6052 §2.1). Any other address is itself.
///
/// For destinations only. A client is what the source of its packets is: with its 6to4 address
/// unwrapped, a client at `2002:7f00:1::` would count as a loopback client.
pub(super) fn unwrapped(addr: u128) -> u128 {
    const NAT64: u128 = 0x0064_ff9b << 64;
    let inner = match addr >> 32 {
        0 if addr > 1 => addr,
        NAT64 => addr,
        _ if addr >> 112 == 0x2002 => addr >> 80,
        _ => return addr,
    };
    MAPPED | inner & u128::from(u32::MAX)
}

/// Link-local IPv6 addresses (RFC 4291 §2.5.6).
pub(super) const LINK_LOCAL: Prefix = Prefix::v6(Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 0), 10);

/// The longest name of an interface in bytes: IFNAMSIZ is 16, with the final NUL.
const INTERFACE_NAME_MAX: usize = 15;

fn is_interface_name(name: &[u8]) -> bool {
    let is_led = match name.first() {
        Some(b'0'..=b'9') => name.iter().any(u8::is_ascii_alphabetic) && !name.contains(&b'.'),
        first => first.is_some_and(u8::is_ascii_alphabetic),
    };
    name.len() <= INTERFACE_NAME_MAX
        && is_led
        && name
            .iter()
            .all(|byte| byte.is_ascii_alphanumeric() || b"._-@".contains(byte))
}

fn port_range(text: &str) -> Option<(u16, u16)> {
    let (first, last) = text.split_once('-').unwrap_or((text, text));
    let (first, last) = (number(first)?, number(last)?);
    (1..=last).contains(&first).then_some((first, last))
}

/// Parses decimal digits and nothing else: `u16::from_str` would take a plus sign.
fn number(text: &str) -> Option<u16> {
    decimal(text.as_bytes()).and_then(|number| u16::try_from(number).ok())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn prefix(text: &str) -> Prefix {
        text.parse().unwrap()
    }

    fn addr(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    #[test]
    fn prefixes_are_read_masked_and_written() {
        for (text, written) in [
            ("192.168.1.77/24", "192.168.1.0/24"),
            ("192.168.1.77", "192.168.1.77"),
            ("192.168.1.77/32", "192.168.1.77"),
            ("0.0.0.0/0", "0.0.0.0/0"),
            ("255.255.255.255/1", "128.0.0.0/1"),
            ("2001:db8:1:2:3::/64", "2001:db8:1:2::/64"),
            ("2001:db8::1", "2001:db8::1"),
            ("::/0", "::/0"),
            ("ffff::/1", "8000::/1"),
            ("::ffff:10.1.2.3/104", "10.0.0.0/8"),
            ("::ffff:10.1.2.3", "10.1.2.3"),
        ] {
            assert_eq!(prefix(text).to_string(), written, "{text}");
        }
    }

    #[test]
    fn what_is_no_prefix_is_an_error() {
        for text in [
            "",
            "/",
            "/8",
            "10.0.0.0/",
            "10.0.0.0/33",
            "10.0.0.0/-1",
            "10.0.0.0/+8",
            "10/8",
            "10.0.0.0/255.0.0.0",
            "::/129",
            "::/999",
            "10.0.0.0/8/8",
            "fe80::1%1",
            "010.0.0.1",
            "10.0.0.0/ 8",
            "[::]/0",
            "10.0.0.0/65544",
        ] {
            assert!(text.parse::<Prefix>().is_err(), "{text}");
        }
    }

    #[test]
    fn families_never_match_each_other() {
        assert!(!prefix("0.0.0.0/0").contains(addr("::1")));
        assert!(!prefix("::/0").contains(addr("1.2.3.4")));
    }

    #[test]
    fn nets_are_prefixes_or_interface_names() {
        let interface = |name: &str| Ok(Nets::Interface(name.to_owned()));
        for name in [
            "br-lan",
            "eth0.2",
            "wan@eth0",
            "a",
            "abcdefghijklmno",
            "fe80",
            "3g-wan",
            "6in4-wan6",
            "_x",
        ] {
            let expected = if name == "_x" {
                None
            } else {
                Some(interface(name))
            };
            assert_eq!(
                name.parse::<Nets>().ok(),
                expected.and_then(Result::<_, ()>::ok)
            );
        }
        assert_eq!("10.0.0.0/8".parse(), Ok(Nets::Prefix(prefix("10.0.0.0/8"))));
        for text in [
            "",
            "10.0.0",
            "1.2.3.400",
            "eth0:1",
            "abcdefghijklmnop",
            "br lan",
            "a/8",
            "-x",
            "10-20",
            "10.0.0.1-wan",
            "6in4-wan6.2",
        ] {
            assert!(text.parse::<Nets>().is_err(), "{text}");
        }
    }

    #[test]
    fn destinations_are_read_and_written() {
        for (text, net, ports, written) in [
            ("10.0.0.0/8", "10.0.0.0/8", (0, 65535), "10.0.0.0/8"),
            ("10.0.0.1:80", "10.0.0.1", (80, 80), "10.0.0.1:80"),
            (
                "10.0.0.0/8:80-90",
                "10.0.0.0/8",
                (80, 90),
                "10.0.0.0/8:80-90",
            ),
            ("br-lan:1-65535", "br-lan", (1, 65535), "br-lan:1-65535"),
            (
                "[2001:db8::/32]:80-90",
                "2001:db8::/32",
                (80, 90),
                "[2001:db8::/32]:80-90",
            ),
            ("[::1]:22", "::1", (22, 22), "[::1]:22"),
            ("[::1]", "::1", (0, 65535), "::1"),
            ("2001:db8::80", "2001:db8::80", (0, 65535), "2001:db8::80"),
            (
                "2001:db8::/32",
                "2001:db8::/32",
                (0, 65535),
                "2001:db8::/32",
            ),
        ] {
            let destination: Destination = text.parse().unwrap();
            assert_eq!(destination.net, net.parse().unwrap(), "{text}");
            assert_eq!(
                (destination.first_port, destination.last_port),
                ports,
                "{text}"
            );
            assert_eq!(destination.to_string(), written);
        }
    }

    #[test]
    fn what_is_no_destination_is_an_error() {
        for text in [
            "",
            ":80",
            "10.0.0.1:",
            "10.0.0.1:0",
            "10.0.0.1:90-80",
            "10.0.0.1:80-",
            "10.0.0.1:-80",
            "10.0.0.1:65536",
            "10.0.0.1:0-80",
            "10.0.0.1:80-90-95",
            "10.0.0.1:+80",
            "[::1",
            "[::1]80",
            "[::1]/64:80",
            "[10.0.0.1]:80",
            "[br-lan]:80",
            "[]:80",
            "2001:db8::/32:80",
            "[::1]:",
        ] {
            assert!(text.parse::<Destination>().is_err(), "{text}");
        }
    }

    #[test]
    fn embedded_addresses_are_unwrapped() {
        for (outer, inner) in [
            ("::ffff:192.168.1.1", "192.168.1.1"),
            ("::ffff:0.0.0.0", "0.0.0.0"),
            ("::192.168.1.1", "192.168.1.1"),
            ("::0.0.0.2", "0.0.0.2"),
            ("::127.0.0.1", "127.0.0.1"),
            ("2002:c0a8:0101::1", "192.168.1.1"),
            ("2002:7f00:1:ffff::", "127.0.0.1"),
            ("64:ff9b::192.168.1.1", "192.168.1.1"),
        ] {
            assert_eq!(
                unwrapped(bits_of(addr(outer))),
                bits_of(addr(inner)),
                "{outer}"
            );
        }
        for other in [
            "::",
            "::1",
            "64:ff9b:1::c0a8:101",
            "2001:db8::1",
            "::1:0:0:0",
            "10.0.0.1",
        ] {
            assert_eq!(unwrapped(bits_of(addr(other))), bits_of(addr(other)));
        }
    }

    #[test]
    fn a_source_is_an_address_or_a_64() {
        let client_key = |text| ClientKey::from(addr(text));
        assert_eq!(client_key("192.0.2.1"), client_key("::ffff:192.0.2.1"));
        assert_ne!(client_key("192.0.2.1"), client_key("192.0.2.2"));
        assert_eq!(
            client_key("2001:db8::1"),
            client_key("2001:db8::ffff:0:0:1")
        );
        assert_ne!(client_key("2001:db8::1"), client_key("2001:db8:0:1::1"));
    }

    proptest! {
        #[test]
        fn a_prefix_holds_what_shares_its_bits(
            own: [u8; 16], other: [u8; 16], kept in 0usize..=128, bits in 0u8..=128,
        ) {
            // `other` shares its first `kept` bits with `own`, more only by chance.
            let mixed: [u8; 16] = std::array::from_fn(|i| {
                let kept_here = kept.saturating_sub(8 * i).min(8);
                let mask = u8::try_from(0xff >> kept_here).unwrap();
                own[i] & !mask | other[i] & mask
            });
            let bit = |bytes: &[u8], i: usize| bytes[i / 8] >> (7 - i % 8) & 1;
            let wide = Prefix::new(own.into(), bits).unwrap();
            let same = (0..usize::from(bits)).all(|i| bit(&own, i) == bit(&mixed, i));
            prop_assert_eq!(wide.contains(mixed.into()), same);
            prop_assert_eq!(wide.to_string().parse::<Prefix>(), Ok(wide));

            let first = |bytes: [u8; 16]| [bytes[0], bytes[1], bytes[2], bytes[3]];
            let (own, mixed, bits) = (first(own), first(mixed), bits % 33);
            let wide = Prefix::new(own.into(), bits).unwrap();
            let same = (0..usize::from(bits)).all(|i| bit(&own, i) == bit(&mixed, i));
            prop_assert_eq!(wide.contains(mixed.into()), same);
            prop_assert_eq!(wide.to_string().parse::<Prefix>(), Ok(wide));
        }

        #[test]
        fn no_text_makes_the_parsers_panic(text in "[0-9a-f:./\\[\\]@-]{0,24}") {
            let _ = text.parse::<Prefix>();
            if let Ok(destination) = text.parse::<Destination>() {
                prop_assert_eq!(destination.to_string().parse(), Ok(destination));
            }
        }
    }
}
