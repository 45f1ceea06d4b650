//! The rules about clients and destinations, as one list: what the command line and the
//! interfaces say, each line with a prefix, a range of ports and what it is for.
//!
//! Which of the rules decides is said at the head of `access`, where they are applied.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use super::prefix::{
    Destination, LINK_LOCAL, Nets, Prefix, bits_of, is_loopback, is_unspecified, is_v4, scoped_bits,
};
use super::ranges::SHARED;

/// One address of one interface of this machine.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Interface {
    /// The interface's name; empty if it has none that is text.
    pub name: String,
    /// Its number, which is the scope of link-local addresses on it.
    pub index: u32,
    /// The address.
    pub addr: IpAddr,
    /// The address that its prefix is around: itself, or with IPv4 that of the other end, if it has
    /// one. The kernel makes its route of that.
    pub network: IpAddr,
    /// The length of that prefix, 0 to 32 or 0 to 128.
    pub bits: u8,
    /// Whether the interface carries a default route, of either family and in any table.
    pub default_route: bool,
    /// Whether all of the prefix is this machine's, by a route and without an interface.
    pub all_own: bool,
}

/// Why a destination is refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refusal {
    /// The proxy itself listens there: it would talk to itself without end.
    Listener,
    /// A multicast or broadcast address.
    Multicast,
    /// An address of the router, whose firewall cannot tell the proxy from the router.
    OwnAddress,
    /// A loopback or unspecified address.
    Loopback,
    /// A private, shared, link-local or reserved range.
    Private,
    /// A subnet of the router in which the client is not.
    OtherSubnet,
    /// A `--block` of the user.
    Rule,
    /// The client's own subnet, to which a foreign name server's answer leads.
    Rebinding,
    /// Whatever it is: the client was let in, and would not be now.
    Stranger,
}

impl Refusal {
    /// The number of causes.
    pub const COUNT: usize = Self::Stranger as usize + 1;

    /// All causes, each at its [`Self::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Listener,
        Self::Multicast,
        Self::OwnAddress,
        Self::Loopback,
        Self::Private,
        Self::OtherSubnet,
        Self::Rule,
        Self::Rebinding,
        Self::Stranger,
    ];

    /// Their names in the report, in the order of the enum.
    pub const NAMES: [&str; Self::COUNT] = [
        "listener",
        "multicast",
        "own_address",
        "loopback",
        "private",
        "other_subnet",
        "rule",
        "rebinding",
        "stranger",
    ];

    /// The index of the cause in a table of counters, below [`Self::COUNT`].
    pub fn index(self) -> usize {
        self as usize
    }

    /// What would permit it, for the log line that names the address.
    pub fn hint(self) -> &'static str {
        match self {
            Self::Listener | Self::Multicast => "nothing opens it",
            Self::OwnAddress => "--permit with this very address opens it",
            Self::Loopback | Self::Private => "--permit opens it",
            Self::OtherSubnet => "--permit with this address or its subnet opens it",
            Self::Rule => "a narrower --permit opens it",
            Self::Rebinding => "--permit opens it, and so does a name server on this router",
            Self::Stranger => "--clients would let it",
        }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Listener => "the proxy's own listener",
            Self::Multicast => "multicast or broadcast",
            Self::OwnAddress => "an address of this router",
            Self::Loopback => "loopback or unspecified",
            Self::Private => "a private or reserved range",
            Self::OtherSubnet => "a subnet that the client is not in",
            Self::Rule => "blocked by a rule",
            Self::Rebinding => "a foreign name server's name for the client's own subnet",
            Self::Stranger => "a client that may not connect any more",
        })
    }
}

/// What a rule is about.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    /// Clients that may connect.
    Admitted,
    /// Clients that need no password.
    Trusted,
    /// A subnet of the router. The longest one that a client is in is permitted to it: there
    /// the client could connect without the proxy.
    Subnet,
    /// A `--permit` of the user.
    Permit,
    /// Destinations that are refused.
    Refuse(Refusal),
}

/// One line of the rules.
#[derive(Clone, Copy, Debug)]
pub(super) struct Rule {
    pub(super) prefix: Prefix,
    first_port: u16,
    last_port: u16,
    pub(super) kind: Kind,
}

impl Rule {
    /// Returns `true` if `addr`, as [`bits_of`], and `port` are in it.
    pub(super) fn matches(&self, addr: u128, port: u16) -> bool {
        (self.first_port..=self.last_port).contains(&port) && self.prefix.holds(addr)
    }

    /// How strong the rule is against others that match the same destination; `None` if it
    /// says nothing about destinations of this client. `local` is whether the client is
    /// loopback, `home` the longest subnet that it is in.
    pub(super) fn strength(&self, local: bool, home: Option<Prefix>) -> Option<Strength> {
        let origin = match self.kind {
            Kind::Refuse(Refusal::Listener) => return Some(Strength::Listener),
            Kind::Refuse(Refusal::Multicast) => return Some(Strength::Multicast),
            Kind::Permit => Origin::Permit,
            Kind::Refuse(Refusal::Rule) => Origin::Block,
            Kind::Subnet if !local && home == Some(self.prefix) => Origin::Home,
            Kind::Refuse(_) if !local => Origin::BuiltIn,
            _ => return None,
        };
        Some(Strength::Rule {
            prefix_len: self.prefix.len(),
            other_ports: u16::MAX - (self.last_port - self.first_port),
            origin,
        })
    }
}

/// Of the rules that match a destination the greatest one decides.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Strength {
    /// First by the length of the prefix, then by the number of ports that the rule leaves out,
    /// then by its origin.
    Rule {
        prefix_len: u8,
        other_ports: u16,
        origin: Origin,
    },
    Multicast,
    Listener,
}

/// Where a rule comes from, the weakest first. The user's rules are stronger than the built-in
/// ones so that `--block br-lan` has an effect on the clients on br-lan, whose subnet is
/// permitted with the same prefix.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) enum Origin {
    BuiltIn,
    Home,
    Block,
    Permit,
}

/// A list of rules that is being written.
#[derive(Debug, Default)]
pub(super) struct Rules(pub(super) Vec<Rule>);

/// The first and the last port.
const ALL_PORTS: (u16, u16) = (0, u16::MAX);

impl Rules {
    fn add(&mut self, prefix: Prefix, (first_port, last_port): (u16, u16), kind: Kind) {
        self.0.push(Rule {
            prefix,
            first_port,
            last_port,
            kind,
        });
    }

    pub(super) fn add_all(&mut self, prefixes: &[Prefix], kind: Kind) {
        for prefix in prefixes {
            self.add(*prefix, ALL_PORTS, kind);
        }
    }

    /// Adds the prefixes that a network of the command line stands for on these interfaces.
    pub(super) fn add_net(&mut self, net: &Destination, interfaces: &[Interface], kind: Kind) {
        let ports = (net.first_port, net.last_port);
        let of_clients = matches!(kind, Kind::Admitted | Kind::Trusted);
        let prefix_of = if of_clients { neighbours } else { subnet };
        match &net.net {
            Nets::Prefix(prefix) => self.add(*prefix, ports, kind),
            Nets::Interface(name) => {
                for interface in interfaces {
                    if interface.name == *name
                        && let Some(prefix) = prefix_of(interface)
                    {
                        self.add(prefix, ports, kind);
                    }
                }
            }
        }
    }

    /// Adds what follows from an interface: the router's address, its subnet, and who is served
    /// on it without being named (`serves_near`).
    pub(super) fn add_interface(&mut self, interface: &Interface, serves_near: bool) {
        let addr = bits_of(interface.addr);
        let subnet = subnet(interface);
        if interface.all_own {
            if let Some(prefix) = subnet {
                self.add(prefix, ALL_PORTS, Kind::Refuse(Refusal::OwnAddress));
            }
            return;
        }
        if is_v4(addr) && (1..=30).contains(&interface.bits) {
            let broadcast = bits_of(interface.network) | u128::from(u32::MAX >> interface.bits);
            let kind = Kind::Refuse(Refusal::Multicast);
            self.add(Prefix::host(broadcast), ALL_PORTS, kind);
        }
        if let Some(prefix) = neighbours(interface)
            && serves_near
            && !interface.default_route
            && is_served(prefix)
        {
            self.add(prefix, ALL_PORTS, Kind::Admitted);
        }
        // The built-in rules name loopback addresses by their range.
        if is_loopback(addr) {
            return;
        }
        self.add(
            Prefix::host(addr),
            ALL_PORTS,
            Kind::Refuse(Refusal::OwnAddress),
        );
        if LINK_LOCAL.holds(addr) {
            // For a name server there, which has its interface in its address.
            self.add(
                Prefix::host(scoped_bits(addr, interface.index).to_bits()),
                ALL_PORTS,
                Kind::Refuse(Refusal::OwnAddress),
            );
        }
        // The subnet-router anycast address (RFC 4291 §2.6.1) is the router's as well;
        // RFC 6164 §5.1 exempts /127.
        if !is_v4(addr)
            && interface.bits < 127
            && let Some(prefix) = Prefix::new(interface.addr, interface.bits)
        {
            self.add(
                Prefix::host(prefix.first()),
                ALL_PORTS,
                Kind::Refuse(Refusal::OwnAddress),
            );
        }
        if let Some(prefix) = subnet {
            if !prefix.is_host() {
                self.add(prefix, ALL_PORTS, Kind::Subnet);
            }
            if !interface.default_route {
                self.add(prefix, ALL_PORTS, Kind::Refuse(Refusal::OtherSubnet));
            }
        }
    }

    /// Adds the addresses of the proxy itself. A connection to the unspecified address arrives
    /// at loopback, or at the address that it is sent from; a listener at the unspecified
    /// address is at all of the router's.
    pub(super) fn add_listener(&mut self, listener: &SocketAddr) {
        let addr = bits_of(listener.ip());
        let ports = (listener.port(), listener.port());
        self.add(Prefix::host(addr), ports, LISTENER);
        for index in 0..self.0.len() {
            let Rule { prefix, kind, .. } = self.0[index];
            let is_here = matches!(kind, Kind::Refuse(Refusal::OwnAddress | Refusal::Loopback));
            let leads = is_unspecified(addr) || is_unspecified(prefix.first());
            if is_here && leads && is_v4(prefix.first()) == is_v4(addr) {
                self.add(prefix, ports, LISTENER);
            }
        }
    }
}

const LISTENER: Kind = Kind::Refuse(Refusal::Listener);

/// The prefix of an interface's address, if it tells which network is there: not a link-local
/// IPv6 prefix (see the head of `access`), and not the whole Internet (0 bits).
fn subnet(interface: &Interface) -> Option<Prefix> {
    let prefix = Prefix::new(interface.network, interface.bits)?;
    (prefix.bits() > 0 && !LINK_LOCAL.contains(interface.addr)).then_some(prefix)
}

/// The prefix of the clients on an interface's link. A link-local one is that of its scope: 64 bits
/// long at least, so that the scope is in it.
fn neighbours(interface: &Interface) -> Option<Prefix> {
    let addr = bits_of(interface.addr);
    if !LINK_LOCAL.holds(addr) {
        return subnet(interface);
    }
    let addr = scoped_bits(addr, interface.index);
    Prefix::new(addr.into(), interface.bits.max(SCOPED_BITS))
}

/// The length of a link-local prefix with its scope.
const SCOPED_BITS: u8 = 64;

/// Returns `true` if a subnet without a default route may be served without being named. Tunnels
/// to whole overlay networks (6to4's 2002::/16, 200::/7) have no default route either, and
/// 100.64.0.0/10 is the provider's side.
fn is_served(prefix: Prefix) -> bool {
    let shortest = if is_v4(prefix.first()) {
        SERVED_BITS_V4
    } else {
        SERVED_BITS_V6
    };
    prefix.bits() >= shortest && !SHARED.holds(prefix.first())
}

/// The shortest prefix that a site is given: RFC 6177 §2 for IPv6, a class B for IPv4.
const SERVED_BITS_V6: u8 = 48;
const SERVED_BITS_V4: u8 = 16;
