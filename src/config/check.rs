//! What `--check` prints: the effective configuration, one `key: value` per line, and what is
//! worth a warning in it.
//!
//! Text only: everything is given, nothing is read or asked here. No line has a password.

use std::fmt::Display;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::dns::{DnsSettings, Families};
use super::limits::LOOKUPS_MAX;
use super::settings::{Config, Limits, Listen, Outgoing};
use crate::state::access::{Destination, Interface, Nets, Policy};
use crate::state::batch::BATCH_BYTES;
use crate::state::contacts::CONTACTS_MAX;
use crate::state::names::{ALL_HELD_BYTES_MAX, NAMES_BYTES_MAX};
use crate::state::pool::scratch_max;
use crate::state::protocols::Protocols;
use crate::state::ranges::SERVED;
use crate::wire::Shown;

/// Memory of an idle session outside the kernel: 0.4 KiB, rounded up.
const SESSION_OWN_BYTES: u64 = 410;

/// Memory of a session that is being opened: its handshake and its connection attempts.
const OPENING_BYTES: u64 = 2 << 10;

/// Memory of a UDP association outside the kernel, its names included.
const ASSOCIATION_BYTES: u64 = 600 + NAMES_BYTES_MAX as u64;

/// Memory of the remotes that an association remembers with `--udp-strict`.
const CONTACTS_BYTES: u64 = 24 * CONTACTS_MAX as u64;

/// Memory of what all associations have that waits for names: the names, 255 bytes and who asks
/// for them each, and the datagrams.
const LOOKUPS_BYTES: u64 = LOOKUPS_MAX as u64 * 336 + ALL_HELD_BYTES_MAX as u64;

/// Memory of a name that name servers are asked for: the query, and two answers over TCP.
const QUERY_BYTES: u64 = 2 * 4_300 + 1_400;

/// Memory of an HTTP head that is being read, 8 KiB, or that is too long to wait for its target
/// without a place.
const HEAD_BYTES: u64 = 9 << 10;

/// What a head of 32 KiB takes more.
const LONG_HEAD_BYTES: u64 = 24 << 10;

/// Memory of a forwarded request: its head, which may wait for the target or have to go out once more
/// (2 KiB), what comes behind it (1), and the exchange itself. Any session may be one, also one that
/// is being opened for it.
const EXCHANGE_BYTES: u64 = 4_400;

/// The whole text, each line ended. `users` are those of `Sources::load_users`, `dns` what
/// `load_dns` came with, `warnings` all that were found.
pub fn report(config: &Config, users: usize, dns: &DnsSettings, warnings: &[String]) -> String {
    let mut report = Report::default();
    report.access(config, users);
    report.outside(config, dns);
    report.timeouts(config);
    report.limits(config);
    report.rows("warning", warnings);
    report.text
}

/// The text as it grows, row by row.
#[derive(Default)]
struct Report {
    text: String,
}

impl Report {
    /// Adds one row.
    fn row(&mut self, key: &str, value: &dyn Display) {
        self.text.push_str(&format!("{key}: {value}\n"));
    }

    /// Adds a row for each value.
    fn rows<T: Display>(&mut self, key: &str, values: &[T]) {
        for value in values {
            self.row(key, value);
        }
    }

    /// Adds a row for the address of each family, or one that says `neither`.
    fn per_family(&mut self, key: &str, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>, neither: &str) {
        self.rows(key, v4.as_slice());
        self.rows(key, v6.as_slice());
        if v4.is_none() && v6.is_none() {
            self.row(key, &neither);
        }
    }

    /// Adds a timeout as it is typed.
    fn seconds(&mut self, key: &str, ms: u32) {
        self.row(key, &format_args!("{} s", ms / 1000));
    }

    /// Where connections are taken, what is spoken there, who may connect and where to.
    fn access(&mut self, config: &Config, users: usize) {
        let (protocols, policy) = (config.protocols, &config.policy);
        for listener in &config.listen {
            match listener {
                Listen::Any { port, .. } => {
                    let both = format_args!("0.0.0.0:{port} and [::]:{port}, whichever there is");
                    self.row("listen", &both);
                }
                Listen::Addr(addr) => self.row("listen", addr),
                Listen::Interface(name, port) => {
                    let all = format_args!("addresses of {name}, port {port}");
                    self.row("listen", &all);
                }
            }
        }
        self.row("protocols", &spoken(protocols));
        self.row("commands", &commands(protocols));
        self.row("status", &on_or_off(protocols.status));
        self.rows("clients", &policy.clients);
        if policy.clients.is_empty() {
            self.row("clients", &default_clients(policy));
        }
        self.row("users", &users);
        self.rows("trust", &policy.trust);
        self.row("auth-once", &on_or_off(policy.auth_once));
        match policy.ban {
            Some(ban) => self.row("ban", &format_args!("after {ban} wrong passwords")),
            None => self.row("ban", &"off"),
        }
        let everybody = "the Internet and the client's own subnet";
        self.row("destinations", &everybody);
        let loopback = "all, and for others through ssh -L, a container or a web server here";
        self.row("destinations of loopback clients", &loopback);
        self.rows("permit", &policy.permit);
        self.rows("block", &policy.block);
    }

    /// How names are looked up, and how outgoing connections, UDP relays and BIND listeners appear.
    fn outside(&mut self, config: &Config, dns: &DnsSettings) {
        let (outgoing, relay) = (&config.outgoing, &config.relay);
        self.rows("name server", &dns.servers);
        for domain in &dns.search {
            self.row("search", &Shown(domain));
        }
        self.row("names of the hosts file", &dns.hosts.len());
        match &outgoing.device {
            Some(device) => self.row("bind", device),
            None => self.per_family("bind", outgoing.v4, outgoing.v6, "the kernel's choice"),
        }
        self.rows("mark", outgoing.mark.as_slice());
        self.row("families", &families(config.families));
        if config.protocols.udp || config.protocols.bind {
            match relay.ports {
                Some((first, last)) => self.row("relay-ports", &format_args!("{first}-{last}")),
                None => self.row("relay-ports", &"the kernel's choice"),
            }
            let (v4, v6) = (relay.public_v4, relay.public_v6);
            self.per_family("public", v4, v6, "the local address");
        }
        if config.protocols.udp {
            self.row("udp-strict", &on_or_off(relay.strict));
        }
    }

    /// The timeouts of what is on.
    fn timeouts(&mut self, config: &Config) {
        let timeouts = &config.timeouts;
        self.seconds("handshake-timeout", timeouts.handshake_ms);
        self.seconds("connect-timeout", timeouts.connect_ms);
        self.seconds("idle-timeout", timeouts.idle_ms);
        self.seconds("half-close-timeout", timeouts.half_close_ms);
        if config.protocols.udp {
            self.seconds("udp-timeout", timeouts.udp_ms);
        }
        if config.protocols.bind {
            self.seconds("bind-timeout", timeouts.bind_ms);
        }
        match timeouts.peer_ms {
            0 => self.row("peer-timeout", &"the kernel's"),
            ms => self.seconds("peer-timeout", ms),
        }
    }

    /// The limits of what is on, and what they come to in memory if all of them are reached.
    fn limits(&mut self, config: &Config) {
        let (protocols, limits) = (config.protocols, &config.limits);
        self.row("max-sessions", &limits.sessions_max);
        match limits.per_client_max {
            Some(max) => self.row("max-per-client", &max),
            None => self.row("max-per-client", &"no limit"),
        }
        self.row("tunnels and associations", &limits.established_max);
        self.row(
            "handshakes, lookups and connects at once",
            &limits.openings_max,
        );
        self.row("names asked for at once", &limits.queries_max);
        if protocols.udp {
            self.row("associations", &limits.associations_max);
        }
        if protocols.bind {
            self.row("BINDs", &limits.binds_max);
        }
        if protocols.http {
            self.row("HTTP heads at once", &limits.heads_max);
            self.row("HTTP heads over 8 KiB at once", &limits.long_heads_max);
        }
        self.row("buffers", &limits.buffers_max);
        self.row("buffer-size", &limits.buffer_bytes);
        self.row("pipes to splice through", &limits.pipes_max);
        let memory = memory_kib(protocols, config.relay.strict, limits);
        let kernel = limits.kernel_bytes.div_ceil(1024);
        self.row(
            "memory at most",
            &format_args!("{memory} KiB, and {kernel} KiB in the kernel"),
        );
    }
}

/// The protocols on the port.
fn spoken(protocols: Protocols) -> &'static str {
    match (protocols.socks4, protocols.http) {
        (true, true) => "SOCKS5, SOCKS4, HTTP",
        (true, false) => "SOCKS5, SOCKS4",
        (false, true) => "SOCKS5, HTTP",
        (false, false) => "SOCKS5",
    }
}

fn commands(protocols: Protocols) -> &'static str {
    match (protocols.bind, protocols.udp) {
        (true, true) => "CONNECT, BIND, UDP ASSOCIATE",
        (true, false) => "CONNECT, BIND",
        (false, true) => "CONNECT, UDP ASSOCIATE",
        (false, false) => "CONNECT",
    }
}

/// Who may connect where --clients is not given.
fn default_clients(policy: &Policy) -> &'static str {
    if policy.credentials {
        "anyone with a password"
    } else {
        "loopback and private addresses, links without a default route"
    }
}

fn on_or_off(is_on: bool) -> &'static str {
    if is_on { "on" } else { "off" }
}

/// The families in the order they are tried in.
fn families(families: Families) -> &'static str {
    match families {
        Families { v6: false, .. } => "IPv4",
        Families { v4: false, .. } => "IPv6",
        Families { v6_first: true, .. } => "IPv6, then IPv4",
        Families {
            v6_first: false, ..
        } => "IPv4, then IPv6",
    }
}

/// What the limits of what is on come to in memory if all of them are reached.
fn memory_kib(protocols: Protocols, strict: bool, limits: &Limits) -> u64 {
    let busy = if protocols.http {
        limits.sessions_max as u64 * EXCHANGE_BYTES
    } else {
        limits.openings_max as u64 * OPENING_BYTES
    };
    let mut bytes = limits.sessions_max as u64 * SESSION_OWN_BYTES
        + busy
        + limits.queries_max as u64 * QUERY_BYTES
        + (limits.buffers_max * limits.buffer_bytes + scratch_max(limits.buffer_bytes)) as u64;
    if protocols.udp {
        let contacts = if strict { CONTACTS_BYTES } else { 0 };
        bytes += limits.associations_max as u64 * (ASSOCIATION_BYTES + contacts);
        bytes += BATCH_BYTES as u64 + LOOKUPS_BYTES;
    }
    if protocols.http {
        bytes += limits.heads_max as u64 * HEAD_BYTES;
        bytes += limits.long_heads_max as u64 * LONG_HEAD_BYTES;
    }
    bytes.div_ceil(1024)
}

/// Adds what is worth a warning in a configuration that works.
pub fn warn(config: &Config, interfaces: &[Interface], warnings: &mut Vec<String>) {
    let policy = &config.policy;
    if !policy.credentials {
        for net in policy.clients.iter().filter(|net| is_wide(net, interfaces)) {
            warnings.push(format!(
                "anyone in {net} may use this proxy without a password"
            ));
        }
    }
    for net in &policy.trust {
        if is_wide(net, interfaces) {
            warnings.push(format!("anyone in {net} may use this proxy: it is trusted"));
        }
        if has_loopback(net) {
            warnings.push(format!(
                "{net} is trusted: a forwarder on this machine (ssh -L, a container) lends it to \
                 others"
            ));
        }
    }
    // Only a listener on loopback is out of reach: an address of one interface is served on all.
    let is_reached = |listen: &Listen| match listen {
        Listen::Addr(addr) => !addr.ip().is_loopback(),
        _ => true,
    };
    if !policy.credentials && policy.clients.is_empty() && config.listen.iter().any(is_reached) {
        for Interface { name, addr, .. } in interfaces.iter().filter(|one| is_inside(one)) {
            warnings.push(format!(
                "{name} has a default route and the private address {addr}: its network may use \
                 this proxy"
            ));
        }
    }
}

/// Adds a warning for each interface, and source address, that is not there now.
pub fn warn_of_absent(config: &Config, interfaces: &[Interface], warnings: &mut Vec<String>) {
    let policy = &config.policy;
    let is_there = |name: &str| interfaces.iter().any(|one| one.name == name);
    for (option, nets) in [
        ("clients", &policy.clients),
        ("trust", &policy.trust),
        ("permit", &policy.permit),
        ("block", &policy.block),
    ] {
        for net in nets {
            if let Nets::Interface(name) = &net.net
                && !is_there(name)
            {
                warnings.push(format!(
                    "--{option} {net} means nobody: no interface {name} has an address now, and hosts \
                     cannot be named, only their addresses"
                ));
            }
        }
    }
    let outgoing = &config.outgoing;
    if let Some(device) = &outgoing.device
        && !is_there(device)
    {
        warnings.push(format!(
            "--bind {device}: no such interface, or no address now, so no way out"
        ));
    }
    let sources = [outgoing.v4.map(IpAddr::V4), outgoing.v6.map(IpAddr::V6)];
    for source in sources.into_iter().flatten() {
        if !source.is_loopback() && !interfaces.iter().any(|one| one.addr == source) {
            let line = format!("--bind {source}: no interface has that address now, so no way out");
            warnings.push(line);
        }
    }
}

/// Adds a warning for each name server on this machine, where tunnels are led another way than
/// such a server asks.
pub fn warn_of_servers(
    outgoing: &Outgoing,
    dns: &DnsSettings,
    interfaces: &[Interface],
    warnings: &mut Vec<String>,
) {
    if *outgoing == Outgoing::default() {
        return;
    }
    for server in &dns.servers {
        let ip = server.ip();
        if ip.is_loopback() || interfaces.iter().any(|one| one.addr == ip) {
            warnings.push(format!(
                "name server {server} is this machine: it asks its own way, not that of --bind \
                 or --mark; --dns names one that is asked on it"
            ));
        }
    }
}

/// What follows from interfaces that cannot be read.
pub fn unread_interfaces(why: &dyn Display) -> String {
    format!("the interfaces cannot be read ({why}): only loopback and --clients are served")
}

/// Returns `true` if a network reaches beyond [`SERVED`]: a larger or another prefix, or an
/// interface that carries a default route.
fn is_wide(net: &Destination, interfaces: &[Interface]) -> bool {
    match &net.net {
        Nets::Prefix(prefix) => !SERVED
            .iter()
            .any(|local| local.bits() <= prefix.bits() && local.contains(prefix.addr())),
        Nets::Interface(name) => interfaces
            .iter()
            .any(|interface| interface.default_route && interface.name == *name),
    }
}

/// Returns `true` if the machine's own programs are in a network.
fn has_loopback(net: &Destination) -> bool {
    match &net.net {
        Nets::Prefix(prefix) => {
            prefix.contains(IpAddr::V4(Ipv4Addr::LOCALHOST))
                || prefix.contains(IpAddr::V6(Ipv6Addr::LOCALHOST))
        }
        Nets::Interface(name) => name == "lo",
    }
}

/// Returns `true` if an interface leads out by its route and is inside by its address. Every IPv6
/// interface has a link-local address, which says nothing.
fn is_inside(interface: &Interface) -> bool {
    let private = match interface.addr {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    interface.default_route && private
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::settle;
    use crate::config::settings::{Asked, Outgoing, RelayOptions, Sources};

    fn nets(list: &[&str]) -> Vec<Destination> {
        list.iter().map(|net| net.parse().unwrap()).collect()
    }

    /// What was asked for, on a router with 64 MiB.
    fn settled(asked: Asked) -> Config {
        let (limits, _) = settle(&asked.limits, 4096, 64 << 20).unwrap();
        asked.with_limits(limits)
    }

    fn router() -> Vec<Interface> {
        let interface = |name: &str, addr: &str, default_route| Interface {
            name: name.to_string(),
            index: 1,
            addr: addr.parse().unwrap(),
            network: addr.parse().unwrap(),
            bits: 24,
            default_route,
            all_own: false,
        };
        vec![
            interface("br-lan", "192.168.1.1", false),
            interface("wan", "192.168.178.2", true),
            interface("wan", "fe80::1", true),
        ]
    }

    fn warned(clients: &[&str], trust: &[&str], credentials: bool) -> Vec<String> {
        let policy = Policy {
            clients: nets(clients),
            trust: nets(trust),
            credentials,
            ..Policy::default()
        };
        let everywhere = Listen::Any {
            port: 1080,
            as_v6: false,
        };
        warned_at(everywhere, policy)
    }

    fn warned_at(listener: Listen, policy: Policy) -> Vec<String> {
        let config = settled(Asked {
            listen: vec![listener],
            policy,
            ..Asked::default()
        });
        let mut warnings = Vec::new();
        warn(&config, &router(), &mut warnings);
        warnings
    }

    #[test]
    fn a_name_server_on_this_machine_asks_its_own_way() {
        let dns = DnsSettings {
            servers: ["127.0.0.1:53", "192.168.1.1:53", "9.9.9.9:53"]
                .map(|server| server.parse().unwrap())
                .to_vec(),
            ..DnsSettings::default()
        };
        let warned = |outgoing: &Outgoing| {
            let mut warnings = Vec::new();
            warn_of_servers(outgoing, &dns, &router(), &mut warnings);
            warnings
        };
        assert!(warned(&Outgoing::default()).is_empty());
        let led = Outgoing {
            device: Some("wg0".into()),
            ..Outgoing::default()
        };
        let [loopback, own] = &warned(&led)[..] else {
            panic!("{:?}", warned(&led));
        };
        assert!(loopback.starts_with("name server 127.0.0.1:53 is this machine"));
        assert!(own.starts_with("name server 192.168.1.1:53 is this machine"));
    }

    #[test]
    fn the_default_configuration_is_printed_whole() {
        let config = settled(Asked {
            listen: vec![Listen::Any {
                port: 1080,
                as_v6: false,
            }],
            ..Asked::default()
        });
        let dns = DnsSettings {
            servers: vec!["127.0.0.1:53".parse().unwrap()],
            search: vec![b"lan".to_vec().into_boxed_slice()],
            ..DnsSettings::default()
        };
        assert_eq!(
            report(&config, 0, &dns, &[String::from("found before")]),
            "listen: 0.0.0.0:1080 and [::]:1080, whichever there is\n\
             protocols: SOCKS5, SOCKS4, HTTP\n\
             commands: CONNECT, BIND, UDP ASSOCIATE\n\
             status: off\n\
             clients: loopback and private addresses, links without a default route\n\
             users: 0\n\
             auth-once: off\n\
             ban: off\n\
             destinations: the Internet and the client's own subnet\n\
             destinations of loopback clients: all, and for others through ssh -L, a container or a \
             web server here\n\
             name server: 127.0.0.1:53\n\
             search: lan\n\
             names of the hosts file: 0\n\
             bind: the kernel's choice\n\
             families: IPv6, then IPv4\n\
             relay-ports: the kernel's choice\n\
             public: the local address\n\
             udp-strict: off\n\
             handshake-timeout: 10 s\n\
             connect-timeout: 15 s\n\
             idle-timeout: 7440 s\n\
             half-close-timeout: 60 s\n\
             udp-timeout: 120 s\n\
             bind-timeout: 120 s\n\
             peer-timeout: the kernel's\n\
             max-sessions: 1024\n\
             max-per-client: no limit\n\
             tunnels and associations: 1008\n\
             handshakes, lookups and connects at once: 1024\n\
             names asked for at once: 128\n\
             associations: 256\n\
             BINDs: 128\n\
             HTTP heads at once: 32\n\
             HTTP heads over 8 KiB at once: 4\n\
             buffers: 128\n\
             buffer-size: 8192\n\
             pipes to splice through: 0\n\
             memory at most: 10843 KiB, and 54614 KiB in the kernel\n\
             warning: found before\n"
        );
    }

    #[test]
    fn what_was_configured_is_printed_without_the_password() {
        let config = settled(Asked {
            listen: vec![
                Listen::Addr("[::1]:1081".parse().unwrap()),
                Listen::Interface(String::from("br-lan"), 1080),
            ],
            outgoing: Outgoing {
                v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
                mark: Some(255),
                ..Outgoing::default()
            },
            families: Families {
                v4: true,
                v6: false,
                v6_first: false,
            },
            policy: Policy {
                credentials: true,
                trust: nets(&["br-lan"]),
                permit: vec!["192.168.1.0/24:80-90".parse().unwrap()],
                block: vec!["[2001:db8::/32]:25".parse().unwrap()],
                auth_once: true,
                ban: Some(20),
                ..Policy::default()
            },
            sources: Sources {
                credential: Some((b"me".to_vec(), b"secret".to_vec())),
                ..Sources::default()
            },
            ..Asked::default()
        });
        let text = report(&config, 1, &DnsSettings::default(), &[]);
        for line in [
            "listen: [::1]:1081\n",
            "listen: addresses of br-lan, port 1080\n",
            "clients: anyone with a password\n",
            "users: 1\n",
            "trust: br-lan\n",
            "auth-once: on\n",
            "ban: after 20 wrong passwords\n",
            "permit: 192.168.1.0/24:80-90\n",
            "block: [2001:db8::/32]:25\n",
            "bind: 192.0.2.1\n",
            "mark: 255\n",
            "families: IPv4\n",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        assert!(!text.contains("secret"));
    }

    #[test]
    fn what_is_switched_off_is_neither_printed_nor_counted() {
        let mut config = settled(Asked {
            protocols: Protocols {
                udp: false,
                socks4: false,
                http: false,
                ..Protocols::default()
            },
            relay: RelayOptions {
                ports: Some((5000, 5099)),
                public_v4: Some(Ipv4Addr::new(192, 0, 2, 1)),
                public_v6: Some(Ipv6Addr::LOCALHOST),
                strict: false,
            },
            ..Asked::default()
        });
        config.timeouts.peer_ms = 7000;
        let text = report(&config, 0, &DnsSettings::default(), &[]);
        for line in [
            "protocols: SOCKS5\ncommands: CONNECT, BIND\nstatus: off\n",
            "relay-ports: 5000-5099\npublic: 192.0.2.1\npublic: ::1\nhandshake-timeout: ",
            "half-close-timeout: 60 s\nbind-timeout: 120 s\npeer-timeout: 7 s\n",
            "at once: 1024\nnames asked for at once: 128\nBINDs: 128\nbuffers: ",
            "memory at most: 4796 KiB, ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        config.protocols.bind = false;
        let text = report(&config, 0, &DnsSettings::default(), &[]);
        for word in ["BIND", "UDP", "relay", "public", "bind-timeout"] {
            assert!(!text.contains(word), "{word} is in\n{text}");
        }
    }

    #[test]
    fn clients_wider_than_local_networks_are_a_warning_without_credentials() {
        for wide in [
            "0.0.0.0/0",
            "::/0",
            "8.0.0.0/5",
            "203.0.113.7",
            "100.64.0.0/10",
            // The neighbours on the uplink too.
            "fe80::/10",
            "wan",
        ] {
            let meant = format!("anyone in {wide} may use this proxy without a password");
            assert_eq!(warned(&[wide], &[], false), [meant]);
            assert_eq!(warned(&[wide], &[], true), [""; 0]);
        }
        for local in ["10.1.0.0/16", "192.168.0.0/16", "fd00::/8", "br-lan", "::1"] {
            assert_eq!(warned(&[local], &[], false), [""; 0], "{local}");
        }
    }

    #[test]
    fn wide_trust_and_trusted_loopback_are_warnings() {
        assert_eq!(
            warned(&[], &["203.0.113.0/24"], true),
            ["anyone in 203.0.113.0/24 may use this proxy: it is trusted"]
        );
        for loopback in ["127.0.0.0/8", "::1", "lo"] {
            let warnings = warned(&[], &[loopback], true);
            assert!(warnings[0].starts_with(&format!("{loopback} is trusted: a forwarder")));
            assert_eq!(warnings.len(), 1);
        }
        assert_eq!(warned(&[], &["192.168.1.0/24"], true), [""; 0]);
    }

    #[test]
    fn a_private_address_on_the_way_out_is_a_warning_where_private_clients_are_served() {
        let warnings = warned(&[], &[], false);
        assert_eq!(warnings.len(), 1);
        assert!(warnings[0].starts_with("wan has a default route and the private address 192."));
        assert_eq!(warned(&["10.0.0.0/8"], &[], false), [""; 0]);
        for (listener, count) in [
            ("127.0.0.1:1080", 0),
            ("[::1]:1080", 0),
            ("10.1.0.1:1080", 1),
        ] {
            let listener = Listen::Addr(listener.parse().unwrap());
            let warnings = warned_at(listener.clone(), Policy::default());
            assert_eq!(warnings.len(), count, "{listener:?}");
        }
    }
}
