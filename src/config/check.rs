//! What `--check` prints: the effective configuration, one `key: value` per line, and what is
//! worth a warning in it.
//!
//! Text only: everything is given, nothing is read or asked here. No line has a password.

use std::fmt::{Display, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::settings::{Config, Limits, Listen, Outgoing, RelayOptions, Timeouts};
use crate::state::access::{Destination, Interface, Nets, Policy};
use crate::state::pool::SCRATCH_BUFFERS;
use crate::state::prefix::SERVED;
use crate::state::protocols::Protocols;
use crate::state::resolver::{Families, Settings};
use crate::wire::Shown;

/// Memory of an idle session outside the kernel: 0.4 KiB, rounded up.
const SESSION_BYTES: u64 = 410;

/// Memory of a session that is being opened: its handshake and its connection attempts.
const OPENING_BYTES: u64 = 2 << 10;

/// Memory of a UDP association outside the kernel.
const ASSOCIATION_BYTES: u64 = 600;

/// Memory of the one batch of datagrams: 16 places of 64 KiB, while there are associations.
const BATCH_BYTES: u64 = 16 * (64 << 10);

/// Memory of an HTTP head that is being read, 8 KiB, or that is too long to wait for its target
/// without a place.
const HEAD_BYTES: u64 = 9 << 10;

/// Memory of a forwarded request that waits for its target without such a head's place.
const WAITING_BYTES: u64 = 2 << 10;

/// The whole text, each line ended. `users` are those of `Sources::load_users`, `names` what
/// `load_names` came with, `warnings` all that were found.
pub fn report(config: &Config, users: usize, names: &Settings, warnings: &[String]) -> String {
    let mut text = String::new();
    listeners(&mut text, config);
    protocols(&mut text, config.protocols);
    policy(&mut text, &config.policy, users);
    for server in &names.servers {
        line(&mut text, "name server", server);
    }
    for domain in &names.search {
        line(&mut text, "search", &Shown(domain));
    }
    line(&mut text, "names of the hosts file", &names.hosts.len());
    outgoing(&mut text, &config.outgoing);
    line(&mut text, "families", &families(config.families));
    relay(&mut text, config.protocols, &config.relay);
    timeouts(&mut text, config.protocols, &config.timeouts);
    limits(&mut text, config.protocols, &config.limits);
    for warning in warnings {
        line(&mut text, "warning", warning);
    }
    text
}

/// Adds what is worth a warning in a configuration that works.
pub fn warn(warnings: &mut Vec<String>, config: &Config, interfaces: &[Interface]) {
    let mut warn = |before, net: &dyn Display, after| {
        warnings.push(format!("{before}{net}{after}"));
    };
    let policy = &config.policy;
    if !policy.credentials {
        for net in policy.clients.iter().filter(|net| is_wide(net, interfaces)) {
            warn("anyone in ", net, " may use this proxy without a password");
        }
    }
    for net in &policy.trust {
        if is_wide(net, interfaces) {
            warn("anyone in ", net, " may use this proxy: it is trusted");
        }
        if has_loopback(net) {
            let lends = " is trusted: a forwarder on this machine (ssh -L, a container) lends it \
                         to others";
            warn("", net, lends);
        }
    }
    let built_in = !policy.credentials && policy.clients.is_empty();
    for interface in interfaces {
        if built_in && is_inside(interface) {
            let Interface { name, addr, .. } = interface;
            let what = format_args!("{name} has a default route and the private address {addr}");
            warn("", &what, ": its network may use this proxy");
        }
    }
}

/// Whether a network reaches beyond [`SERVED`]: a larger or another prefix, or an interface that
/// carries a default route.
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

/// Whether the machine's own programs are in a network.
fn has_loopback(net: &Destination) -> bool {
    match &net.net {
        Nets::Prefix(prefix) => {
            prefix.contains(IpAddr::V4(Ipv4Addr::LOCALHOST))
                || prefix.contains(IpAddr::V6(Ipv6Addr::LOCALHOST))
        }
        Nets::Interface(name) => name == "lo",
    }
}

/// Whether an interface leads out by its route and is inside by its address. Every IPv6
/// interface has a link-local address, which says nothing.
fn is_inside(interface: &Interface) -> bool {
    let private = match interface.addr {
        IpAddr::V4(v4) => v4.is_private(),
        IpAddr::V6(v6) => v6.is_unique_local(),
    };
    interface.default_route && private
}

/// Appends one line.
fn line(text: &mut String, key: &str, value: &dyn Display) {
    // Writing to a string cannot fail.
    let _ = writeln!(text, "{key}: {value}");
}

/// Appends one line per network.
fn lines(text: &mut String, key: &str, nets: &[Destination]) {
    for net in nets {
        line(text, key, net);
    }
}

/// Appends what is on.
#[inline(never)]
fn append(text: &mut String, is_on: bool, what: &str) {
    if is_on {
        text.push_str(what);
    }
}

/// Appends `form`, a number in the place of each #.
fn fill(text: &mut String, form: &str, numbers: &[usize]) {
    let mut numbers = numbers.iter();
    for part in form.split('#') {
        text.push_str(part);
        if let Some(number) = numbers.next() {
            let _ = write!(text, "{number}");
        }
    }
}

/// Where connections are taken.
fn listeners(text: &mut String, config: &Config) {
    if config.listen.is_empty() {
        let port = config.port;
        let form = "listen: 0.0.0.0:# and [::]:#, whichever there is\n";
        fill(text, form, &[port.into(), port.into()]);
    }
    for listener in &config.listen {
        match listener {
            Listen::Addr(addr) => line(text, "listen", addr),
            Listen::Interface(name, port) => {
                line(
                    text,
                    "listen",
                    &format_args!("addresses of {name}, port {port}"),
                );
            }
        }
    }
}

/// What is spoken there.
fn protocols(text: &mut String, protocols: Protocols) {
    append(text, true, "protocols: SOCKS5");
    append(text, protocols.socks4, ", SOCKS4");
    append(text, protocols.http, ", HTTP");
    append(text, true, "\ncommands: CONNECT");
    append(text, protocols.bind, ", BIND");
    append(text, protocols.udp, ", UDP ASSOCIATE");
    append(text, true, "\n");
}

/// Who may connect and where to.
fn policy(text: &mut String, policy: &Policy, users: usize) {
    lines(text, "clients", &policy.clients);
    if policy.clients.is_empty() {
        let local = "loopback, link-local and private addresses, links without a default route";
        let clients = if policy.credentials {
            "anyone with a password"
        } else {
            local
        };
        line(text, "clients", &clients);
    }
    line(text, "users", &users);
    lines(text, "trust", &policy.trust);
    switch(text, "auth-once", policy.auth_once);
    let everybody = "destinations: the Internet and the client's own subnet\n";
    append(text, true, everybody);
    lines(text, "permit", &policy.permit);
    lines(text, "block", &policy.block);
}

/// Appends a line about a switch.
fn switch(text: &mut String, key: &str, is_on: bool) {
    line(text, key, &if is_on { "on" } else { "off" });
}

/// How outgoing connections are bound.
fn outgoing(text: &mut String, outgoing: &Outgoing) {
    match &outgoing.device {
        Some(device) => line(text, "bind", device),
        None => addrs(
            text,
            "bind",
            outgoing.v4,
            outgoing.v6,
            "the kernel's choice",
        ),
    }
    if let Some(mark) = outgoing.mark {
        line(text, "mark", &mark);
    }
}

/// Appends one line per family with an address, or `neither`.
fn addrs(text: &mut String, key: &str, v4: Option<Ipv4Addr>, v6: Option<Ipv6Addr>, neither: &str) {
    let addrs = [v4.map(IpAddr::V4), v6.map(IpAddr::V6)];
    for addr in addrs.iter().flatten() {
        line(text, key, addr);
    }
    if v4.is_none() && v6.is_none() {
        line(text, key, &neither);
    }
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

/// How UDP relays and BIND listeners appear, where there are any.
fn relay(text: &mut String, protocols: Protocols, relay: &RelayOptions) {
    if !protocols.udp && !protocols.bind {
        return;
    }
    match relay.ports {
        Some((first, last)) => fill(text, "relay-ports: #-#\n", &[first.into(), last.into()]),
        None => line(text, "relay-ports", &"the kernel's choice"),
    }
    addrs(
        text,
        "public",
        relay.public_v4,
        relay.public_v6,
        "the local address",
    );
    if protocols.udp {
        switch(text, "udp-strict", relay.strict);
    }
}

/// The timeouts of what is on, in seconds, as they are typed.
fn timeouts(text: &mut String, protocols: Protocols, timeouts: &Timeouts) {
    let seconds = |ms: u32| ms as usize / 1000;
    let [handshake, connect, idle, half_close] = [
        seconds(timeouts.handshake_ms),
        seconds(timeouts.connect_ms),
        seconds(timeouts.idle_ms),
        seconds(timeouts.half_close_ms),
    ];
    let form = "handshake-timeout: # s\nconnect-timeout: # s\nidle-timeout: # s\n\
                half-close-timeout: # s\n";
    fill(text, form, &[handshake, connect, idle, half_close]);
    if protocols.udp {
        fill(text, "udp-timeout: # s\n", &[seconds(timeouts.udp_ms)]);
    }
    if protocols.bind {
        fill(text, "bind-timeout: # s\n", &[seconds(timeouts.bind_ms)]);
    }
    match timeouts.peer_ms {
        0 => text.push_str("peer-timeout: the kernel's\n"),
        ms => fill(text, "peer-timeout: # s\n", &[seconds(ms)]),
    }
}

/// The limits of what is on, and what they come to in memory if all of them are reached.
fn limits(text: &mut String, protocols: Protocols, limits: &Limits) {
    let form = "max-sessions: #\nmax-per-client: #\nhandshakes, lookups and connects at once: #\n";
    let Limits {
        sessions_max,
        per_client_max,
        openings_max,
        ..
    } = *limits;
    fill(text, form, &[sessions_max, per_client_max, openings_max]);
    if protocols.udp {
        let (all, one) = (limits.associations_max, limits.per_client_associations_max);
        fill(text, "associations: #, # of one client\n", &[all, one]);
    }
    if protocols.bind {
        let (all, one) = (limits.binds_max, limits.per_client_binds_max);
        fill(text, "BINDs: #, # of one client\n", &[all, one]);
    }
    if protocols.http {
        fill(text, "HTTP heads at once: #\n", &[limits.heads_max]);
    }
    let memory = memory_kib(protocols, limits);
    let form = "buffers: #\nbuffer-size: #\nmemory at most: # KiB and the kernel's\n";
    fill(
        text,
        form,
        &[limits.buffers_max, limits.buffer_bytes, memory],
    );
}

/// What the limits of what is on come to in memory if all of them are reached.
fn memory_kib(protocols: Protocols, limits: &Limits) -> usize {
    let mut bytes = limits.sessions_max as u64 * SESSION_BYTES
        + limits.openings_max as u64 * OPENING_BYTES
        + (limits.buffers_max + SCRATCH_BUFFERS) as u64 * limits.buffer_bytes as u64;
    if protocols.udp {
        bytes += limits.associations_max as u64 * ASSOCIATION_BYTES + BATCH_BYTES;
    }
    if protocols.http {
        bytes += limits.heads_max as u64 * HEAD_BYTES + limits.openings_max as u64 * WAITING_BYTES;
    }
    usize::try_from(bytes.div_ceil(1024)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::limits::settle;
    use crate::config::settings::{Asked, Sources};

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
            addr: addr.parse().unwrap(),
            bits: 24,
            default_route,
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
        let config = settled(Asked {
            policy,
            ..Asked::default()
        });
        let mut warnings = Vec::new();
        warn(&mut warnings, &config, &router());
        warnings
    }

    #[test]
    fn the_default_configuration_is_printed_whole() {
        let config = settled(Asked::default());
        let names = Settings {
            servers: vec!["127.0.0.1:53".parse().unwrap()],
            search: vec![b"lan".to_vec().into_boxed_slice()],
            ..Settings::default()
        };
        assert_eq!(
            report(&config, 0, &names, &[String::from("found before")]),
            "listen: 0.0.0.0:1080 and [::]:1080, whichever there is\n\
             protocols: SOCKS5, SOCKS4, HTTP\n\
             commands: CONNECT, BIND, UDP ASSOCIATE\n\
             clients: loopback, link-local and private addresses, links without a default route\n\
             users: 0\n\
             auth-once: off\n\
             destinations: the Internet and the client's own subnet\n\
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
             max-per-client: 512\n\
             handshakes, lookups and connects at once: 512\n\
             associations: 256, 256 of one client\n\
             BINDs: 64, 16 of one client\n\
             HTTP heads at once: 32\n\
             buffers: 128\n\
             buffer-size: 8192\n\
             memory at most: 5008 KiB and the kernel's\n\
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
                ..Policy::default()
            },
            sources: Sources {
                credential: Some((b"me".to_vec(), b"secret".to_vec())),
                ..Sources::default()
            },
            ..Asked::default()
        });
        let text = report(&config, 1, &Settings::default(), &[]);
        for line in [
            "listen: [::1]:1081\n",
            "listen: addresses of br-lan, port 1080\n",
            "clients: anyone with a password\n",
            "users: 1\n",
            "trust: br-lan\n",
            "auth-once: on\n",
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
        let text = report(&config, 0, &Settings::default(), &[]);
        for line in [
            "protocols: SOCKS5\ncommands: CONNECT, BIND\n",
            "relay-ports: 5000-5099\npublic: 192.0.2.1\npublic: ::1\nhandshake-timeout: ",
            "half-close-timeout: 60 s\nbind-timeout: 120 s\npeer-timeout: 7 s\n",
            "at once: 512\nBINDs: 64, 16 of one client\nbuffers: ",
            "memory at most: 2522 KiB ",
        ] {
            assert!(text.contains(line), "{line} is not in\n{text}");
        }
        config.protocols.bind = false;
        let text = report(&config, 0, &Settings::default(), &[]);
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
            "wan",
        ] {
            let meant = format!("anyone in {wide} may use this proxy without a password");
            assert_eq!(warned(&[wide], &[], false), [meant]);
            assert_eq!(warned(&[wide], &[], true), [""; 0]);
        }
        for local in [
            "10.1.0.0/16",
            "192.168.0.0/16",
            "fd00::/8",
            "fe80::/10",
            "br-lan",
            "::1",
        ] {
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
    }
}
