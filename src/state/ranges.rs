//! The ranges of addresses that the rules know by themselves: who is served, and what is not the
//! Internet.

use std::net::{Ipv4Addr, Ipv6Addr};

use super::prefix::{LINK_LOCAL, Prefix};

const fn v4(a: u8, b: u8, c: u8, bits: u8) -> Prefix {
    Prefix::v4(Ipv4Addr::new(a, b, c, 0), bits)
}

const fn v6(a: u16, b: u16, c: u16, bits: u8) -> Prefix {
    Prefix::v6(Ipv6Addr::new(a, b, c, 0, 0, 0, 0, 0), bits)
}

/// Addresses between a provider's carrier-grade NAT and its customers (RFC 6598 §7).
pub(super) const SHARED: Prefix = v4(100, 64, 0, 10);

/// The clients that a proxy without credentials serves, beside the router's subnets: loopback and
/// private (RFC 1918 §3, RFC 4193 §3.1) addresses.
pub const SERVED: [Prefix; 6] = [
    v4(127, 0, 0, 8),
    v4(10, 0, 0, 8),
    v4(172, 16, 0, 12),
    v4(192, 168, 0, 16),
    Prefix::v6(Ipv6Addr::LOCALHOST, 128),
    v6(0xfc00, 0, 0, 7),
];

/// Multicast (RFC 5771 §3, RFC 4291 §2.7) and limited broadcast (RFC 919 §7).
pub(super) const GROUPS: [Prefix; 3] = [
    v4(224, 0, 0, 4),
    Prefix::v4(Ipv4Addr::BROADCAST, 32),
    v6(0xff00, 0, 0, 8),
];

/// Loopback and unspecified addresses: both arrive at the router itself.
pub(super) const LOOPBACK: [Prefix; 4] = [
    v4(127, 0, 0, 8),
    Prefix::v4(Ipv4Addr::UNSPECIFIED, 32),
    Prefix::v6(Ipv6Addr::LOCALHOST, 128),
    Prefix::v6(Ipv6Addr::UNSPECIFIED, 128),
];

/// The ranges that are not the Internet: those that the IANA special-purpose address registries
/// (RFC 6890) call not globally reachable, and the IPv6 space outside 2000::/3, of which
/// nothing is assigned to anybody (RFC 4291 §2.4), except 64:ff9b::/96, which is NAT64.
pub(super) const RESERVED: [Prefix; 26] = [
    v4(0, 0, 0, 8),
    v4(10, 0, 0, 8),
    SHARED,
    v4(169, 254, 0, 16),
    v4(172, 16, 0, 12),
    v4(192, 0, 0, 24),
    v4(192, 0, 2, 24),
    v4(192, 168, 0, 16),
    v4(198, 18, 0, 15),
    v4(198, 51, 100, 24),
    v4(203, 0, 113, 24),
    v4(240, 0, 0, 4),
    // ::/16 with the v4-compatible forms; local NAT64 (RFC 8215); the rest below 2000::/3.
    v6(0, 0, 0, 16),
    v6(0x64, 0xff9b, 1, 48),
    v6(0x100, 0, 0, 8),
    v6(0x200, 0, 0, 7),
    v6(0x400, 0, 0, 6),
    v6(0x800, 0, 0, 5),
    v6(0x1000, 0, 0, 4),
    // Protocol assignments with Teredo, documentation.
    v6(0x2001, 0, 0, 23),
    v6(0x2001, 0xdb8, 0, 32),
    v6(0x3fff, 0, 0, 20),
    // Above 3fff::: reserved; unique local and link-local compete with their own prefixes.
    v6(0x4000, 0, 0, 2),
    v6(0x8000, 0, 0, 1),
    v6(0xfc00, 0, 0, 7),
    LINK_LOCAL,
];
