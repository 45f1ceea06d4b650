//! Who may connect, and where to. Decisions only: nothing here resolves, connects or logs.
//!
//! A destination is judged by its address, never by a name, in this order; the first line that
//! applies decides.
//!
//! 1. An address and port on which the proxy itself listens: never ([`Refusal::Listener`]).
//! 2. Multicast, 255.255.255.255 and the broadcast address of a subnet of an interface:
//!    never ([`Refusal::Multicast`]).
//! 3. Of all rules that hold the address and the port, the one with the longest prefix; among
//!    those the one with the fewest ports; then `--permit` before `--block`, both before a
//!    built-in rule of the same prefix, and a built-in permission before a built-in refusal.
//! 4. No rule: permitted.
//!
//! The rules are those of `--permit` and `--block`, and for clients that are not loopback the
//! built-in ones, each with its own prefix:
//!
//! | prefix | verdict |
//! |---|---|
//! | each address of the router, and what a route makes its own | [`Refusal::OwnAddress`] |
//! | each prefix of an interface that carries no default route | [`Refusal::OtherSubnet`] |
//! | the prefix of an interface that the client is in, the longest one | permitted |
//! | 127.0.0.0/8, ::1, 0.0.0.0, :: | [`Refusal::Loopback`] |
//! | private, shared, link-local, reserved (`RESERVED` in ranges.rs) | [`Refusal::Private`] |
//!
//! So `--permit 192.168.0.0/16` does not open a subnet 192.168.2.0/24 of the router, and
//! `--permit 192.168.2.0/24` does, but not the router's own 192.168.2.1; `--block 0.0.0.0/0`
//! leaves a client its own subnet, which `--block` with that subnet or its interface takes.
//!
//! A name is judged by the address that it leads to, as if that had been asked for, but for one
//! thing: that the client's own subnet is permitted does not count where a name server says so that
//! is not on this machine ([`Origin::Foreign`], [`Refusal::Rebinding`]). A web page could otherwise
//! have its own name lead to the LAN (DNS rebinding), which the name server on a router prevents
//! and others do not.
//!
//! An IPv4 address inside an IPv6 one (see `unwrapped` in prefix.rs) must be permitted in both
//! forms; a v4-mapped one is plain IPv4 to the kernel, and here. A client is taken by its own
//! address.
//!
//! A link-local IPv6 prefix is the same on every interface. A client has the number of its
//! interface in its address (`scoped` in prefix.rs), so whether it is served or trusted depends on
//! that; as a destination it has none, so the prefix is no subnet of the router, and not among
//! those that an interface's name stands for in `--permit` and `--block`.

use std::net::{IpAddr, SocketAddr};

pub use super::prefix::{
    ClientKey, Destination, NEEDS_BRACKETS, Nets, Prefix, lacks_brackets, scoped,
};
use super::prefix::{bits_of, is_loopback, unscoped, unwrapped};
use super::ranges::{GROUPS, LOOPBACK, RESERVED, SERVED};
pub use super::rules::{Interface, Refusal};
use super::rules::{Kind, Rule, Rules};

/// Who says which address is meant.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Origin {
    /// The client, the hosts file, or a name server on this machine.
    Known,
    /// Another name server.
    Foreign,
}

/// What the command line says about who may connect, and where to.
#[derive(Clone, Debug, Default)]
pub struct Policy {
    /// Users are configured, even if there is none at the moment.
    pub credentials: bool,
    /// Clients that may connect. If it is empty: with credentials anyone, without credentials
    /// those of the built-in rule.
    pub clients: Vec<Destination>,
    /// Clients that need no password.
    pub trust: Vec<Destination>,
    /// Destinations that are opened.
    pub permit: Vec<Destination>,
    /// Destinations that are closed.
    pub block: Vec<Destination>,
    /// An address that has authenticated is trusted for a while.
    pub auth_once: bool,
    /// Wrong passwords after which a client is kept out for a while.
    pub ban: Option<u32>,
}

/// The policy in force on the interfaces as they are. A check walks over one list of some tens
/// of rules, which is written anew when the interfaces change, and allocates nothing.
#[derive(Debug)]
pub struct Access {
    policy: Policy,
    listeners: Vec<SocketAddr>,
    rules: Vec<Rule>,
    /// The interfaces are known, all of them.
    is_known: bool,
    /// How often the rules have changed, modulo 2^32.
    version: u32,
}

impl Access {
    /// The policy in force on these interfaces; none means that they are not known. `listeners`
    /// are the addresses that the proxy is bound to.
    pub fn new(policy: Policy, interfaces: Vec<Interface>, listeners: Vec<SocketAddr>) -> Self {
        let mut access = Self {
            policy,
            listeners,
            rules: Vec::new(),
            is_known: false,
            version: 0,
        };
        access.set_interfaces(interfaces);
        access
    }

    /// Follows a change of the interfaces, and of the addresses that the proxy is bound to.
    pub fn follow(&mut self, interfaces: Vec<Interface>, listeners: &[SocketAddr]) {
        self.listeners = listeners.to_vec();
        self.set_interfaces(interfaces);
    }

    /// Follows a change of the interfaces. There is always a loopback one: without any they are
    /// not known, which is as after [`Access::close`].
    pub fn set_interfaces(&mut self, interfaces: Vec<Interface>) {
        let mut rules = Rules::default();
        let policy = &self.policy;
        for (nets, kind) in [
            (&policy.clients, Kind::Admitted),
            (&policy.trust, Kind::Trusted),
            (&policy.permit, Kind::Permit),
            (&policy.block, Kind::Refuse(Refusal::Rule)),
        ] {
            for net in nets {
                rules.add_net(net, &interfaces, kind);
            }
        }
        let serves_near = policy.serves_near();
        if serves_near {
            rules.add_all(&SERVED, Kind::Admitted);
        }
        for interface in &interfaces {
            rules.add_interface(interface, serves_near);
        }
        rules.add_all(&GROUPS, Kind::Refuse(Refusal::Multicast));
        rules.add_all(&LOOPBACK, Kind::Refuse(Refusal::Loopback));
        rules.add_all(&RESERVED, Kind::Refuse(Refusal::Private));
        for listener in &self.listeners {
            rules.add_listener(listener);
        }
        self.rules = rules.0;
        self.is_known = !interfaces.is_empty();
        self.version = self.version.wrapping_add(1);
    }

    /// Some of the interfaces are not known, so neither who is outside nor all of the router's own
    /// addresses, which are to be refused: nobody is served but loopback and `--clients`.
    pub fn close(&mut self) {
        self.is_known = false;
        self.version = self.version.wrapping_add(1);
    }

    /// A number that changes with the rules: as long as it is the same, so is what is permitted.
    pub fn version(&self) -> u32 {
        self.version
    }

    /// Returns `true` if the interfaces are known, all of them.
    pub fn is_known(&self) -> bool {
        self.is_known
    }

    /// The policy that is in force.
    pub fn policy(&self) -> &Policy {
        &self.policy
    }

    /// Returns `true` if a client may connect at all. It is given as [`scoped`], here and below.
    pub fn admits(&self, client: IpAddr) -> bool {
        if !self.is_known && self.policy.clients.is_empty() {
            return is_loopback(bits_of(client));
        }
        self.policy.admits_anyone() || self.longest(Kind::Admitted, bits_of(client)).is_some()
    }

    /// Returns `true` if a client needs no password (N4).
    pub fn trusts(&self, client: IpAddr) -> bool {
        self.longest(Kind::Trusted, bits_of(client)).is_some()
    }

    /// Returns whether the answers of this name server, given as [`scoped`], are to be believed; see
    /// the head of this file.
    pub fn origin(&self, server: IpAddr) -> Origin {
        let server = bits_of(server);
        let is_here = |rule: &Rule| {
            let here = matches!(
                rule.kind,
                Kind::Refuse(Refusal::OwnAddress | Refusal::Loopback)
            );
            here && rule.prefix.holds(server)
        };
        if self.rules.iter().any(is_here) {
            Origin::Known
        } else {
            Origin::Foreign
        }
    }

    /// Decides whether that client may still connect, and reach that destination, which `origin`
    /// has given. It was let in, but interfaces change: an uplink has its address before its route.
    ///
    /// # Errors
    /// Why it may not.
    pub fn serves(
        &self,
        client: IpAddr,
        destination: SocketAddr,
        origin: Origin,
    ) -> Result<(), Refusal> {
        if !self.admits(client) {
            return Err(Refusal::Stranger);
        }
        self.permits(client, destination, origin)
    }

    /// Decides whether that client may reach that destination, which `origin` has given; see the
    /// head of this file.
    ///
    /// Errors: why it may not.
    pub fn permits(
        &self,
        client: IpAddr,
        destination: SocketAddr,
        origin: Origin,
    ) -> Result<(), Refusal> {
        let client = bits_of(client);
        let home = self.longest(Kind::Subnet, client).map(|home| home.prefix);
        self.decide(client, destination, home)?;
        if origin == Origin::Foreign {
            let verdict = self.decide(client, destination, None);
            verdict.map_err(|_| Refusal::Rebinding)?;
        }
        Ok(())
    }

    /// The verdict about a destination for a client whose own subnet is `home`.
    fn decide(
        &self,
        client: u128,
        destination: SocketAddr,
        home: Option<Prefix>,
    ) -> Result<(), Refusal> {
        let port = destination.port();
        let addr = bits_of(destination.ip());
        // The inner form first: why that is refused says more.
        let inner = unwrapped(addr);
        self.judge(client, inner, port, home)?;
        if inner == addr {
            Ok(())
        } else {
            self.judge(client, addr, port, home)
        }
    }

    /// The verdict of the strongest rule that holds `addr` and `port`.
    fn judge(
        &self,
        client: u128,
        addr: u128,
        port: u16,
        home: Option<Prefix>,
    ) -> Result<(), Refusal> {
        let local = is_loopback(client);
        let (mut strongest, mut verdict) = (None, Ok(()));
        for rule in &self.rules {
            let strength = rule.strength(local, home);
            if strength > strongest && rule.matches(addr, port) {
                strongest = strength;
                verdict = match rule.kind {
                    Kind::Refuse(refusal) => Err(refusal),
                    _ => Ok(()),
                };
            }
        }
        verdict
    }

    /// The rule of that kind with the longest prefix that holds a client.
    fn longest(&self, kind: Kind, client: u128) -> Option<&Rule> {
        // The prefixes of the command line have no scope.
        let plain = unscoped(client);
        let mut longest: Option<&Rule> = None;
        for rule in &self.rules {
            if rule.kind == kind
                && (rule.prefix.holds(client) || rule.prefix.holds(plain))
                && longest.is_none_or(|other| rule.prefix.len() > other.prefix.len())
            {
                longest = Some(rule);
            }
        }
        longest
    }
}

impl Policy {
    /// Returns `true` if the built-in rule says who may connect.
    fn serves_near(&self) -> bool {
        !self.credentials && self.clients.is_empty()
    }

    fn admits_anyone(&self) -> bool {
        self.credentials && self.clients.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::Origin::{Foreign, Known};
    use super::Refusal::*;
    use super::*;
    use proptest::prelude::*;
    use std::net::{Ipv4Addr, Ipv6Addr, SocketAddrV6};
    use std::str::FromStr;

    const LAN: &str = "192.168.1.50";
    const LAN_V6: &str = "2a00:1:2:10::50";
    const GUEST: &str = "192.168.2.50";
    const STRANGER: &str = "81.99.1.1";

    /// A router: an uplink with public addresses, a LAN, guests, and servers with public ones.
    const INSIDE: &str = "lo=127.0.0.1/8 lo=::1/128 \
        br-lan=192.168.1.1/24 br-lan=2a00:1:2:10::1/60 br-lan=fd12::1/64 br-lan=fe80::1/64 \
        guest=192.168.2.1/24 guest=2a00:1:2:20::1/64 dmz=81.3.0.1/29";
    const OUTSIDE: &str = "wan=81.2.69.142/24 wan=2a00:1:0:ff::2/64 wan=fe80::ff:2/64";

    fn ip(text: &str) -> IpAddr {
        text.parse().unwrap()
    }

    /// A client: an address, if it is link-local with its interface.
    fn client(text: &str) -> IpAddr {
        let (addr, name) = text.split_once('%').unwrap_or((text, "-"));
        match ip(addr) {
            IpAddr::V6(v6) => scoped(&SocketAddrV6::new(v6, 1, 0, index_of(name)).into()),
            v4 @ IpAddr::V4(_) => v4,
        }
    }

    fn at(text: &str, port: u16) -> SocketAddr {
        SocketAddr::new(ip(text), port)
    }

    fn list<T: FromStr<Err = &'static str>>(words: &str) -> Vec<T> {
        let words = words.split_whitespace();
        words.map(|word| word.parse().unwrap()).collect()
    }

    /// The number of an interface in these tests: that of its first letter.
    fn index_of(name: &str) -> u32 {
        name.as_bytes()[0].into()
    }

    /// Interfaces as `name=addr/bits`, those without and those with a default route.
    fn interfaces(inside: &str, outside: &str) -> Vec<Interface> {
        let read = |words: &str, default_route: bool| -> Vec<Interface> {
            let read = |word: &str| {
                let (name, prefix) = word.split_once('=').unwrap();
                let (addr, bits) = prefix.split_once('/').unwrap();
                let index = index_of(name);
                let (name, addr, bits) = (name.to_owned(), ip(addr), bits.parse().unwrap());
                Interface {
                    name,
                    index,
                    addr,
                    network: addr,
                    bits,
                    default_route,
                    all_own: false,
                }
            };
            words.split_whitespace().map(read).collect()
        };
        [read(inside, false), read(outside, true)].concat()
    }

    fn access(policy: Policy) -> Access {
        let listeners = vec![at("0.0.0.0", 1080), at("::", 1080)];
        Access::new(policy, interfaces(INSIDE, OUTSIDE), listeners)
    }

    fn ruled(permit: &str, block: &str) -> Access {
        let (permit, block) = (list(permit), list(block));
        let rest = Policy::default();
        access(Policy {
            permit,
            block,
            ..rest
        })
    }

    /// A router with other interfaces, all of them inside.
    fn elsewhere(inside: &str) -> Access {
        Access::new(Policy::default(), interfaces(inside, ""), Vec::new())
    }

    #[track_caller]
    fn judged(access: &Access, from: &str, verdict: Result<(), Refusal>, destinations: &str) {
        for destination in destinations.split_whitespace() {
            let found = access.permits(client(from), at(destination, 80), Known);
            assert_eq!(found, verdict, "{from} to {destination}");
        }
    }

    #[track_caller]
    fn permitted(access: &Access, client: &str, destinations: &str) {
        judged(access, client, Ok(()), destinations);
    }

    #[track_caller]
    fn refused(access: &Access, client: &str, cause: Refusal, destinations: &str) {
        judged(access, client, Err(cause), destinations);
    }

    #[track_caller]
    fn admitted(access: &Access, expected: bool, clients: &str) {
        for from in clients.split_whitespace() {
            assert_eq!(access.admits(client(from)), expected, "{from}");
        }
    }

    #[track_caller]
    fn trusted(access: &Access, expected: bool, clients: &str) {
        for from in clients.split_whitespace() {
            assert_eq!(access.trusts(client(from)), expected, "{from}");
        }
    }

    #[test]
    fn without_credentials_the_near_ones_are_served() {
        let access = access(Policy::default());
        admitted(&access, true, "127.0.0.1 127.9.9.9 ::1 ::ffff:127.0.0.1");
        admitted(
            &access,
            true,
            "10.0.0.1 10.255.255.255 172.16.0.1 172.31.255.255",
        );
        admitted(
            &access,
            true,
            "192.168.0.1 192.168.255.255 ::ffff:192.168.1.7",
        );
        admitted(&access, true, "fc00::1 fdff::1 fe80::5%br-lan");
        admitted(
            &access,
            true,
            "2a00:1:2:10::50 2a00:1:2:1f::1 2a00:1:2:20::9 81.3.0.6",
        );

        admitted(
            &access,
            false,
            "81.99.1.1 ::ffff:81.99.1.1 0.0.0.0 :: fec0::1 fe00::1 169.254.7.7",
        );
        admitted(
            &access,
            false,
            "172.15.255.255 172.32.0.1 11.0.0.1 192.169.0.1",
        );
        admitted(&access, false, "100.64.0.1 100.127.255.255");
        admitted(
            &access,
            false,
            "81.2.69.7 2a00:1:0:ff::9 2a00:1:2:30::1 2a00:1:2:21::1",
        );
        // A client is its own address, not one that it claims to stand for.
        admitted(&access, false, "::127.0.0.1 ::10.0.0.1 64:ff9b::10.0.0.1");
        admitted(&access, false, "2002:7f00:1::1 2002:c0a8:101::1");
    }

    #[test]
    fn a_link_local_client_is_where_its_interface_is() {
        let access = access(Policy::default());
        admitted(&access, true, "fe80::5%br-lan fe80::ff:2%br-lan");
        admitted(
            &access,
            false,
            "fe80::5%wan fe80::1%wan fe80::5%guest fe80::5%x",
        );
        // What stands in the bits of the scope on the wire counts for nothing.
        let lan = index_of("br-lan");
        let forged = format!("fe80:0:0:{lan:x}::5%wan");
        admitted(&access, false, &forged);
        // A prefix that is too short does not reach other interfaces.
        let short = Interface {
            bits: 10,
            ..interfaces("br-lan=fe80::1/64", "").remove(0)
        };
        let wan = interfaces("", "wan=fe80::2/64").remove(0);
        let access = Access::new(Policy::default(), vec![short, wan], Vec::new());
        admitted(&access, true, "fe80::5%br-lan");
        admitted(&access, false, "fe80::5%wan fe80::5%guest");
        // IPv4 has no scope: the prefix says where.
        let zeroconf = interfaces("lan=169.254.3.1/16", "wan=169.254.4.1/24");
        let access = Access::new(Policy::default(), zeroconf, Vec::new());
        admitted(&access, true, "169.254.9.9");
        let outside = interfaces("lan=10.0.0.1/8", "wan=169.254.4.1/16");
        admitted(
            &Access::new(Policy::default(), outside, Vec::new()),
            false,
            "169.254.9.9",
        );
    }

    #[test]
    fn an_interface_stands_for_its_link_local_clients_and_a_prefix_for_those_of_all() {
        for (nets, served, not) in [
            ("br-lan", "fe80::5%br-lan", "fe80::5%wan fe80::5%guest"),
            ("wan", "fe80::5%wan", "fe80::5%br-lan"),
            ("fe80::/10", "fe80::5%wan febf::5%br-lan", "fec0::5"),
            ("fe80::/64", "fe80::5%wan fe80::5%br-lan", "fe81::5%wan"),
            ("fe80::5", "fe80::5%wan fe80::5%br-lan", "fe80::6%wan"),
        ] {
            let policy = Policy {
                clients: list(nets),
                trust: list(nets),
                ..Policy::default()
            };
            let access = access(policy);
            admitted(&access, true, served);
            trusted(&access, true, served);
            admitted(&access, false, not);
            trusted(&access, false, not);
        }
    }

    #[test]
    fn without_credentials_overlays_and_the_side_of_the_provider_are_not_served() {
        let access = elsewhere(
            "iptv=100.70.1.2/24 ygg=200:1::1/7 6to4=2002:5102:458e::1/16 tun=81.0.0.1/0 \
             lan=2a00:1:2::1/48",
        );
        admitted(&access, false, "100.70.1.9 200:2::1 2002:1::1 81.99.1.1");
        admitted(&access, true, "2a00:1:2:ffff::1");
    }

    #[test]
    fn with_credentials_anyone_may_connect_unless_clients_says_who() {
        let rest = Policy {
            credentials: true,
            ..Policy::default()
        };
        admitted(
            &access(rest.clone()),
            true,
            "81.99.1.1 2a00:9::1 100.64.0.1 127.0.0.1",
        );
        for credentials in [false, true] {
            let clients = list("81.99.0.0/16 br-lan");
            let access = access(Policy {
                credentials,
                clients,
                ..rest.clone()
            });
            admitted(
                &access,
                true,
                "81.99.1.1 192.168.1.50 2a00:1:2:10::50 fd12::9",
            );
            admitted(
                &access,
                false,
                "192.168.2.50 127.0.0.1 10.0.0.1 fe80::5 81.98.0.1",
            );
        }
    }

    #[test]
    fn an_interface_that_is_not_there_admits_and_trusts_nobody() {
        let (clients, trust) = (list("wlan7"), list("wlan7"));
        let access = access(Policy {
            clients,
            trust,
            ..Policy::default()
        });
        admitted(&access, false, "192.168.1.50 127.0.0.1");
        trusted(&access, false, "192.168.1.50 127.0.0.1");
    }

    #[test]
    fn without_all_interfaces_only_loopback_and_clients_are_served() {
        let near = "127.0.0.1 ::1";
        let far = "192.168.1.50 10.0.0.1 fe80::5 81.99.1.1 2a00:1:2:10::50";
        for credentials in [false, true] {
            let policy = |clients| Policy {
                credentials,
                clients: list(clients),
                ..Policy::default()
            };
            let unread = Access::new(policy(""), Vec::new(), Vec::new());
            let mut closed = access(policy(""));
            let version = closed.version();
            closed.close();
            assert_ne!(closed.version(), version);
            for access in [unread, closed] {
                admitted(&access, true, near);
                admitted(&access, false, far);
            }
            let told = Access::new(policy("81.99.0.0/16"), Vec::new(), Vec::new());
            admitted(&told, true, "81.99.1.1");
            admitted(&told, false, "192.168.1.50");
        }
        let mut again = Access::new(Policy::default(), Vec::new(), Vec::new());
        let version = again.version();
        again.set_interfaces(interfaces(INSIDE, OUTSIDE));
        assert_ne!(again.version(), version);
        admitted(&again, true, LAN);
    }

    #[test]
    fn n4_trust_is_by_network() {
        let (credentials, trust) = (true, list("br-lan 10.7.0.0/16"));
        let trusting = access(Policy {
            credentials,
            trust,
            ..Policy::default()
        });
        trusted(
            &trusting,
            true,
            "192.168.1.50 2a00:1:2:10::50 10.7.9.9 ::ffff:10.7.9.9 fe80::5%br-lan",
        );
        trusted(
            &trusting,
            false,
            "192.168.2.50 127.0.0.1 81.99.1.1 fe80::5%wan 2002:a07:909::1",
        );
        trusted(&access(Policy::default()), false, "192.168.1.50 127.0.0.1");
    }

    #[test]
    fn interfaces_are_followed_as_they_change() {
        let (clients, permit) = (list("br-lan"), list("guest"));
        let mut access = access(Policy {
            clients,
            permit,
            ..Policy::default()
        });
        permitted(&access, LAN, "192.168.2.50");
        refused(&access, LAN, Private, "192.168.3.2");
        access.set_interfaces(interfaces("br-lan=10.1.0.1/24 guest=192.168.3.1/24", ""));
        admitted(&access, true, "10.1.0.9");
        admitted(&access, false, "192.168.1.50");
        permitted(&access, "10.1.0.9", "192.168.3.2 10.1.0.8 81.2.69.142");
        refused(&access, "10.1.0.9", Private, "192.168.2.50");
    }

    #[test]
    fn a_client_reaches_the_internet_and_its_own_subnet() {
        let access = access(Policy::default());
        permitted(
            &access,
            LAN,
            "8.8.8.8 2a00:9::1 81.2.69.9 2a00:1:0:ff::9 192.168.1.77",
        );
        permitted(
            &access,
            LAN,
            "100.63.255.255 100.128.0.1 172.15.0.1 172.32.0.1 223.1.1.1",
        );
        permitted(&access, LAN_V6, "8.8.8.8 2a00:9::1 2a00:1:2:1f::9");
        permitted(&access, "fd12::50", "fd12::77");
        permitted(&access, "81.2.69.9", "81.2.69.10 8.8.8.8");
        permitted(&access, STRANGER, "8.8.8.8 81.2.69.9 2a00:9::1");
    }

    #[test]
    fn a_foreign_name_server_does_not_lead_into_the_own_subnet() {
        let access = access(Policy::default());
        let verdict = |access: &Access, from, to: &str, origin| {
            access.permits(client(from), at(to, 80), origin)
        };
        for own in [
            "192.168.1.77",
            "::ffff:192.168.1.77",
            "64:ff9b::192.168.1.77",
        ] {
            assert_eq!(verdict(&access, LAN, own, Known), Ok(()), "{own}");
            assert_eq!(verdict(&access, LAN, own, Foreign), Err(Rebinding), "{own}");
        }
        let own = "2a00:1:2:10::77";
        assert_eq!(verdict(&access, LAN_V6, own, Foreign), Err(Rebinding));
        // What is refused anyway is refused for its own reason, and the Internet is open.
        for (to, expected) in [
            ("192.168.1.1", Err(OwnAddress)),
            ("192.168.2.50", Err(OtherSubnet)),
            ("10.0.0.1", Err(Private)),
            ("8.8.8.8", Ok(())),
            ("2a00:9::1", Ok(())),
        ] {
            assert_eq!(verdict(&access, LAN, to, Foreign), expected, "{to}");
        }
        // Neighbours in the uplink's subnet are in the Internet; loopback may what it may.
        assert_eq!(verdict(&access, "81.2.69.9", "81.2.69.10", Foreign), Ok(()));
        assert_eq!(
            verdict(&access, "127.0.0.1", "192.168.1.77", Foreign),
            Ok(())
        );
        let told = ruled("192.168.1.0/24:80", "");
        assert_eq!(verdict(&told, LAN, "192.168.1.77", Foreign), Ok(()));
        let other = told.permits(client(LAN), at("192.168.1.77", 81), Foreign);
        assert_eq!(other, Err(Rebinding));
    }

    #[test]
    fn a_name_server_of_this_machine_is_known() {
        let access = access(Policy::default());
        for here in ["127.0.0.53", "::1", "0.0.0.0", "192.168.1.1", "81.2.69.142"] {
            assert_eq!(access.origin(ip(here)), Known, "{here}");
        }
        for other in [
            "192.168.1.2",
            "81.2.69.1",
            "9.9.9.9",
            "fe80::2",
            "2a00:1:2:10::2",
        ] {
            assert_eq!(access.origin(ip(other)), Foreign, "{other}");
        }
    }

    #[test]
    fn a_neighbour_with_the_link_local_address_of_this_machine_is_another_name_server() {
        let access = access(Policy::default());
        assert_eq!(access.origin(client("fe80::1%br-lan")), Known);
        assert_eq!(access.origin(client("fe80::1%wan")), Foreign);
    }

    #[test]
    fn a_client_reaches_nothing_else() {
        let access = access(Policy::default());
        refused(&access, LAN, Loopback, "127.0.0.1 127.8.8.8 ::1 0.0.0.0 ::");
        refused(
            &access,
            LAN,
            OwnAddress,
            "192.168.1.1 192.168.2.1 81.2.69.142 81.3.0.1",
        );
        refused(
            &access,
            LAN,
            OwnAddress,
            "2a00:1:0:ff::2 fd12::1 fe80::1 fe80::ff:2",
        );
        refused(&access, LAN_V6, OwnAddress, "2a00:1:2:10::1");
        // The subnet-router anycast addresses of the two IPv6 subnets, and of the uplink.
        refused(
            &access,
            LAN_V6,
            OwnAddress,
            "2a00:1:2:10:: 2a00:1:2:20:: 2a00:1:0:ff::",
        );
        refused(
            &access,
            LAN,
            Private,
            "10.0.0.1 172.16.0.1 192.168.99.1 fc00::1 fd13::1",
        );
        refused(
            &access,
            LAN,
            Private,
            "100.64.0.1 100.127.255.255 169.254.1.1 fe80::77",
        );
        refused(
            &access,
            LAN,
            Private,
            "0.1.2.3 198.18.0.1 192.0.2.1 250.0.0.1 2001:db8::1",
        );
        refused(
            &access,
            LAN,
            Private,
            "4000::1 200::1 fec0::1 64:ff9b:1::1 3fff::1 2001::1",
        );
        refused(
            &access,
            LAN,
            OtherSubnet,
            "192.168.2.50 81.3.0.2 2a00:1:2:20::50",
        );
        refused(&access, LAN, OtherSubnet, "2a00:1:2:11::1 fd12::9");
        refused(
            &access,
            LAN_V6,
            OtherSubnet,
            "2a00:1:2:20::50 192.168.1.77 fd12::9",
        );
        refused(&access, GUEST, OtherSubnet, "192.168.1.50");
        refused(&access, "fe80::50%br-lan", Private, "fe80::77");
        refused(&access, "10.5.0.1", Private, "10.5.0.2");
        refused(
            &access,
            STRANGER,
            OtherSubnet,
            "192.168.1.50 192.168.2.50 81.3.0.2",
        );
        // A client at one of the router's own addresses is not a loopback client.
        refused(&access, "192.168.1.1", Loopback, "127.0.0.1");
        refused(&access, "192.168.1.1", OwnAddress, "192.168.1.1");
    }

    #[test]
    fn a_loopback_client_knows_only_the_rules_of_the_user() {
        let access = ruled("", "192.168.2.0/24");
        for client in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            permitted(
                &access,
                client,
                "127.0.0.1 ::1 192.168.1.1 192.168.1.50 10.0.0.1",
            );
            permitted(
                &access,
                client,
                "2a00:1:2:20::50 81.2.69.142 8.8.8.8 fc00::1",
            );
            refused(&access, client, Rule, "192.168.2.50 192.168.2.1");
            refused(&access, client, Multicast, "192.168.1.255 ff02::1");
            assert_eq!(
                access.permits(ip(client), at("127.0.0.1", 1080), Known),
                Err(Listener)
            );
        }
        refused(&access, "2002:7f00:1::1", Loopback, "127.0.0.1");
    }

    #[test]
    fn multicast_and_broadcast_are_for_nobody() {
        let access = ruled(
            "0.0.0.0/0 ::/0 224.0.0.1 255.255.255.255 192.168.1.255 ff02::1",
            "",
        );
        for client in [LAN, STRANGER, "127.0.0.1", LAN_V6] {
            refused(
                &access,
                client,
                Multicast,
                "224.0.0.1 239.255.255.250 ff02::1 ff0e::1",
            );
            refused(
                &access,
                client,
                Multicast,
                "255.255.255.255 192.168.1.255 192.168.2.255",
            );
            refused(
                &access,
                client,
                Multicast,
                "81.2.69.255 81.3.0.7 127.255.255.255",
            );
            refused(
                &access,
                client,
                Multicast,
                "::ffff:224.0.0.1 ::224.0.0.1 2002:e000:1::",
            );
            refused(
                &access,
                client,
                Multicast,
                "64:ff9b::224.0.0.1 2002:c0a8:1ff::1",
            );
        }
        // RFC 3021: a /31 has no broadcast address.
        permitted(&elsewhere("ptp=10.0.0.0/31"), "10.0.0.1", "10.0.0.1");
    }

    #[test]
    fn the_listeners_are_never_permitted() {
        let permit = list("0.0.0.0/0 ::/0 192.168.1.1 127.0.0.1");
        let policy = Policy {
            permit,
            ..Policy::default()
        };
        let wide = access(policy.clone());
        for destination in "127.0.0.1 127.1.2.3 0.0.0.0 192.168.1.1 81.2.69.142 ::1 :: fe80::1 \
            2a00:1:0:ff::2 2a00:1:2:20:: ::ffff:127.0.0.1 ::127.0.0.1 2002:5102:458e::1 \
            64:ff9b::192.168.1.1 ::ffff:0.0.0.0"
            .split_whitespace()
        {
            let verdict = wide.permits(ip(LAN), at(destination, 1080), Known);
            assert_eq!(verdict, Err(Listener), "{destination}");
        }
        assert_eq!(wide.permits(ip(LAN), at(LAN, 1080), Known), Ok(()));
        assert_eq!(wide.permits(ip(LAN), at("192.168.1.1", 81), Known), Ok(()));

        let listeners = vec![at("192.168.1.1", 1080), at("::ffff:127.0.0.1", 1081)];
        let narrow = Access::new(policy, interfaces(INSIDE, OUTSIDE), listeners);
        for (destination, port, loops) in [
            ("192.168.1.1", 1080, true),
            ("127.0.0.1", 1080, false),
            ("127.0.0.1", 1081, true),
            ("0.0.0.0", 1081, true),
            ("192.168.1.1", 1081, false),
            ("::1", 1081, false),
        ] {
            let verdict = narrow.permits(ip("127.0.0.1"), at(destination, port), Known);
            assert_eq!(verdict == Err(Listener), loops, "{destination} {port}");
        }
    }

    #[test]
    fn embedded_forms_are_judged_as_what_they_lead_to() {
        let plain = access(Policy::default());
        permitted(
            &plain,
            LAN,
            "::ffff:8.8.8.8 64:ff9b::8.8.8.8 2002:808:808::1",
        );
        permitted(&plain, LAN, "::ffff:192.168.1.77 64:ff9b::192.168.1.77");
        refused(
            &plain,
            LAN,
            Loopback,
            "::ffff:127.0.0.1 64:ff9b::127.0.0.1 ::127.0.0.1",
        );
        refused(
            &plain,
            LAN,
            OwnAddress,
            "::ffff:192.168.1.1 2002:5102:458e::1",
        );
        refused(
            &plain,
            LAN,
            Private,
            "::ffff:10.0.0.1 64:ff9b::100.64.0.1 ::8.8.8.8",
        );
        refused(
            &plain,
            LAN,
            OtherSubnet,
            "2002:c0a8:232::1 64:ff9b::192.168.2.50",
        );

        let access = ruled("2002::/16 64:ff9b::/96", "8.8.8.0/24 2002:101::/32");
        refused(&access, LAN, Private, "2002:a00:1::1 64:ff9b::10.0.0.1");
        refused(
            &access,
            LAN,
            Rule,
            "64:ff9b::8.8.8.8 ::ffff:8.8.8.8 2002:101:101::1",
        );
        permitted(&access, LAN, "64:ff9b::1.1.1.1 2002:909:909::1");
        refused(
            &ruled("", "::/0"),
            LAN,
            Rule,
            "64:ff9b::8.8.8.8 2002:808:808::1",
        );
    }

    #[test]
    fn permit_opens_exceptions_by_length_of_the_prefix() {
        let access = ruled(
            "192.168.0.0/16 10.0.0.0/8 2a00:1:2:20::/64 81.2.69.142:443",
            "",
        );
        // Equal to a built-in range: opened. A subnet of the router is longer: not opened.
        permitted(&access, STRANGER, "192.168.99.1 10.1.1.1 2a00:1:2:20::50");
        refused(&access, STRANGER, OtherSubnet, "192.168.1.50 192.168.2.50");
        refused(
            &access,
            STRANGER,
            OwnAddress,
            "192.168.1.1 2a00:1:2:20::1 81.2.69.142",
        );
        let web = at("81.2.69.142", 443);
        assert_eq!(access.permits(ip(STRANGER), web, Known), Ok(()));

        let access = ruled("192.168.1.0/24 192.168.2.1 0.0.0.0/0 ::/0 127.0.0.0/8", "");
        permitted(&access, STRANGER, "192.168.1.50 192.168.2.1 127.0.0.1");
        refused(&access, STRANGER, OwnAddress, "192.168.1.1");
        refused(&access, STRANGER, OtherSubnet, "192.168.2.50");
        refused(&access, STRANGER, Loopback, "::1");
        refused(&access, STRANGER, Private, "10.0.0.1 fc00::1 4000::1");

        let access = ruled("guest", "");
        permitted(&access, LAN, "192.168.2.50 2a00:1:2:20::50");
        refused(&access, LAN, OwnAddress, "192.168.2.1");
    }

    #[test]
    fn longest_prefix_then_narrower_ports_then_permit() {
        let block = "8.0.0.0/8 8.8.8.0/24:1-100 8.8.8.0/24:70-90 9.9.0.0/16:80 9.8.0.0/16:80 \
            0.0.0.0/0";
        let permit = "8.8.0.0/16 8.8.8.0/24:79-81 9.9.0.0/16:80 9.9.9.0/24 9.8.0.0/16:80-81";
        let access = ruled(permit, block);
        for (destination, ports, verdict) in [
            ("8.1.1.1", &[1, 80, 443][..], Err(Rule)),
            ("8.8.1.1", &[1, 80, 443], Ok(())),
            ("8.8.8.1", &[79, 80, 81, 101], Ok(())),
            ("8.8.8.1", &[1, 60, 78, 82, 100], Err(Rule)),
            ("9.9.1.1", &[80], Ok(())),
            ("9.9.1.1", &[79, 81], Err(Rule)),
            ("9.9.9.9", &[80, 443], Ok(())),
            ("9.8.1.1", &[80], Err(Rule)),
            ("9.8.1.1", &[81], Ok(())),
            ("1.1.1.1", &[80], Err(Rule)),
            ("192.168.1.77", &[80], Ok(())),
            ("2a00:9::1", &[80], Ok(())),
        ] {
            for port in ports {
                let found = access.permits(ip(LAN), at(destination, *port), Known);
                assert_eq!(found, verdict, "{destination} {port}");
            }
        }
    }

    #[test]
    fn a_block_of_just_the_own_subnet_takes_it_away() {
        refused(&ruled("", "br-lan"), LAN, Rule, "192.168.1.77");
        refused(&ruled("", "192.168.1.0/24"), LAN, Rule, "192.168.1.77");
        permitted(&ruled("", "192.168.0.0/16"), LAN, "192.168.1.77");
        permitted(&ruled("192.168.1.0/24", "br-lan"), LAN, "192.168.1.77");
    }

    #[test]
    fn in_nested_subnets_a_client_is_in_the_inner_one() {
        let access = elsewhere("a=10.0.0.1/8 b=10.1.0.1/16");
        permitted(&access, "10.1.0.9", "10.1.0.8");
        refused(&access, "10.1.0.9", OtherSubnet, "10.2.0.1");
        permitted(&access, "10.2.0.9", "10.3.0.1");
        refused(&access, "10.2.0.9", OtherSubnet, "10.1.0.8");
    }

    #[test]
    fn an_interface_of_one_address_is_no_subnet() {
        let access = elsewhere("wg0=10.9.0.1/32 wg0=2a00:5::1/128");
        refused(&access, "10.9.0.1", OwnAddress, "10.9.0.1");
        refused(&access, "2a00:5::1", OwnAddress, "2a00:5::1");
    }

    #[test]
    fn where_an_interface_has_a_peer_the_subnet_is_the_peers() {
        let mut tunnel = interfaces("tun=81.7.7.5/24", "").remove(0);
        tunnel.network = ip("81.9.9.1");
        let access = Access::new(Policy::default(), vec![tunnel], Vec::new());
        admitted(&access, true, "81.9.9.1 81.9.9.7");
        admitted(&access, false, "81.7.7.9");
        permitted(&access, "81.9.9.7", "81.9.9.1 81.7.7.9");
        refused(&access, LAN, OwnAddress, "81.7.7.5");
        refused(&access, LAN, OtherSubnet, "81.9.9.1");
        refused(&access, LAN, Multicast, "81.9.9.255");
        permitted(&access, LAN, "81.7.7.9 81.7.7.255");
    }

    #[test]
    fn a_prefix_that_a_route_makes_the_routers_own_is_one_address_like_another() {
        let mut known = interfaces("lan=192.168.1.1/24 own=81.5.6.0/24 own=2a00:9::/64", "");
        for own in &mut known[1..] {
            own.all_own = true;
        }
        let policy = Policy {
            permit: list("81.5.6.7"),
            ..Policy::default()
        };
        let access = Access::new(policy, known, vec![at("::", 1080), at("0.0.0.0", 1080)]);
        refused(&access, LAN, OwnAddress, "81.5.6.8 81.5.6.255 2a00:9::7");
        refused(
            &access,
            LAN,
            OwnAddress,
            "64:ff9b::81.5.6.8 2002:5105:608::1",
        );
        permitted(&access, LAN, "81.5.6.7 81.5.7.7");
        for own in ["81.5.6.7", "2a00:9::7"] {
            for from in [LAN, "127.0.0.1"] {
                let verdict = access.permits(client(from), at(own, 1080), Known);
                assert_eq!(verdict, Err(Listener), "{from} to {own}");
            }
        }
        assert_eq!(access.origin(ip("81.5.6.53")), Known);
        admitted(&access, false, "81.5.6.9 2a00:9::9");
    }

    #[test]
    fn causes_are_numbered_without_gaps() {
        for (index, cause) in Refusal::ALL.into_iter().enumerate() {
            assert_eq!(cause.index(), index);
            assert!(!cause.hint().is_empty() && !cause.to_string().is_empty());
        }
    }

    /// Prefixes that overlap often: few bits differ, lengths cluster around the built-in ones.
    fn nets() -> impl Strategy<Value = Prefix> {
        let first = prop_oneof![Just(8u8), Just(10), Just(192)];
        let v4 = (first, 168u8..170, 0u8..4, 0u8..4, 0u8..=32)
            .prop_map(|(a, b, c, d, bits)| Prefix::v4(Ipv4Addr::new(a, b, c, d), bits));
        let v6 = (
            0u16..2,
            0u16..2,
            prop_oneof![Just(0u8), 30u8..34, 126u8..=128],
        )
            .prop_map(|(b, h, bits)| Prefix::v6(Ipv6Addr::new(0x2a00, b, 0, 0, 0, 0, 0, h), bits));
        prop_oneof![3 => v4, 1 => v6]
    }

    fn hosts() -> impl Strategy<Value = IpAddr> {
        let v4 = prop_oneof![Just(8u8), Just(10), Just(192)];
        let v4 = (v4, 168u8..170, 0u8..4, 0u8..4).prop_map(|(a, b, c, d)| [a, b, c, d].into());
        let v6 =
            (0u16..2, 0u16..2).prop_map(|(b, h)| Ipv6Addr::new(0x2a00, b, 0, 0, 0, 0, 0, h).into());
        prop_oneof![3 => v4, 1 => v6]
    }

    fn destinations() -> impl Strategy<Value = Vec<Destination>> {
        let some = (1u16..4, 0u16..3).prop_map(|(first, more)| (first, first + more));
        let ports = prop_oneof![Just((0, u16::MAX)), some];
        let one = (nets(), ports).prop_map(|(prefix, (first_port, last_port))| {
            let net = Nets::Prefix(prefix);
            Destination {
                net,
                first_port,
                last_port,
            }
        });
        proptest::collection::vec(one, 0..8)
    }

    /// What decides, found the slow way: every rule written out, all lengths from the longest
    /// down, at each length one question after the other.
    fn naive(policy: &Policy, near: &[Interface], client: IpAddr, to: SocketAddr) -> bool {
        // (prefix, first and last port, the user's, permits)
        let mut rules: Vec<(Prefix, u16, u16, bool, bool)> = Vec::new();
        for (list, permits) in [(&policy.permit, true), (&policy.block, false)] {
            for Destination {
                net,
                first_port,
                last_port,
            } in list
            {
                let Nets::Prefix(prefix) = net else {
                    unreachable!("no names here");
                };
                rules.push((*prefix, *first_port, *last_port, true, permits));
            }
        }
        let mut built_in = |prefix, permits| rules.push((prefix, 0, u16::MAX, false, permits));
        for range in ["10.0.0.0/8", "192.168.0.0/16"] {
            built_in(range.parse().unwrap(), false);
        }
        let mut home: Option<Prefix> = None;
        for interface in near {
            let prefix = Prefix::new(interface.addr, interface.bits).unwrap();
            built_in(Prefix::host(bits_of(interface.addr)), false);
            if interface.addr.is_ipv6() && interface.bits < 127 {
                built_in(Prefix::new(prefix.addr(), 128).unwrap(), false);
            }
            if prefix.bits() > 0 && !interface.default_route {
                built_in(prefix, false);
            }
            let inside = prefix.bits() > 0 && !prefix.is_host() && prefix.contains(client);
            if inside && home.is_none_or(|home| home.bits() < prefix.bits()) {
                home = Some(prefix);
            }
        }
        if let Some(prefix) = home {
            built_in(prefix, true);
        }
        rules.retain(|rule| rule.0.contains(to.ip()) && rule.1 <= to.port() && to.port() <= rule.2);
        for bits in (0..=128).rev() {
            let level = || rules.iter().filter(|rule| rule.0.bits() == bits);
            let Some(width) = level().map(|rule| rule.2 - rule.1).min() else {
                continue;
            };
            let level = || level().filter(|rule| rule.2 - rule.1 == width);
            let users = level().any(|rule| rule.3);
            return level().any(|rule| rule.3 == users && rule.4);
        }
        true
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(2000))]
        #[test]
        fn rules_agree_with_a_search_from_the_longest_prefix_down(
            permit in destinations(), block in destinations(),
            near in proptest::collection::vec((nets(), hosts(), any::<bool>()), 0..4),
            client in hosts(), addr in hosts(), port in 1u16..6,
        ) {
            let near: Vec<Interface> = near.into_iter().map(|(prefix, host, default_route)| {
                let same = prefix.addr().is_ipv4() == host.is_ipv4();
                let addr = if same { host } else { prefix.addr() };
                let (name, bits) = (String::new(), prefix.bits());
                Interface { name, index: 1, addr, network: addr, bits, default_route, all_own: false }
            }).collect();
            let policy = Policy { permit, block, ..Policy::default() };
            let access = Access::new(policy.clone(), near.clone(), Vec::new());
            prop_assume!(access.permits(client, SocketAddr::new(addr, port), Known) != Err(Multicast));
            let to = SocketAddr::new(addr, port);
            let expected = naive(&policy, &near, client, to);
            prop_assert_eq!(access.permits(client, to, Known).is_ok(), expected);
        }

        #[test]
        fn no_spelling_reaches_what_plain_ipv4_does_not(
            addr: u32, pick in 0usize..12, tail: u16,
            client in prop_oneof![Just(LAN), Just(STRANGER), Just("127.0.0.1")],
        ) {
            const PICKS: [&str; 10] = [
                "127.0.0.1", "192.168.1.1", "192.168.2.1", "81.2.69.142", "192.168.2.7",
                "192.168.1.255", "10.0.0.1", "224.0.0.1", "0.0.0.0", "100.64.0.1",
            ];
            let plain = PICKS.get(pick).map(|pick| pick.parse().unwrap());
            let any = Ipv4Addr::from_bits(addr);
            let plain = plain.unwrap_or(any);
            let [a, b, c, d] = plain.octets();
            let (high, low) = (u16::from_be_bytes([a, b]), u16::from_be_bytes([c, d]));
            let access = access(Policy::default());
            let verdict = |addr: IpAddr| access.permits(ip(client), SocketAddr::new(addr, 1080), Known);
            let expected = verdict(plain.into());
            prop_assert_eq!(verdict(plain.to_ipv6_mapped().into()), expected);
            for other in [
                Ipv6Addr::new(0, 0, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x64, 0xff9b, 0, 0, 0, 0, high, low),
                Ipv6Addr::new(0x2002, high, low, tail, 0, 0, 0, tail),
            ] {
                // :: and ::1 are no IPv4 addresses.
                let itself = unwrapped(other.to_bits()) == other.to_bits();
                let open = verdict(other.into()).is_ok();
                prop_assert!(itself || expected.is_ok() || !open, "{}", other);
            }
        }
    }
}
