//! The configuration as plain data: what the server is built from, and its defaults.
//!
//! `options` fills it in, `check` prints it. Nothing is read, parsed or asked of the system here.

use std::fmt;
use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use super::dns::Families;
use crate::state::access::Policy;
use crate::state::protocols::Protocols;

/// The port of SOCKS (IANA).
pub const PORT_DEFAULT: u16 = 1080;

/// Everything the server is built from. `L` is [`Limits`] once they are settled, and
/// [`AskedLimits`] before.
#[derive(Clone, Debug)]
pub struct Config<L = Limits> {
    /// Where to listen.
    pub listen: Vec<Listen>,
    /// Port of the listeners without one; 0 picks one free number for all.
    pub port: u16,
    /// Keep trying an address that is not there yet or a port that is taken.
    pub retry_listen: bool,
    /// SO_REUSEPORT on the listeners.
    pub reuseport: bool,
    /// Source address, device and mark of outgoing connections.
    pub outgoing: Outgoing,
    /// Outgoing address families.
    pub families: Families,
    /// What is spoken beside SOCKS5 CONNECT.
    pub protocols: Protocols,
    /// UDP ASSOCIATE and BIND.
    pub relay: RelayOptions,
    /// Who may connect, and where to.
    pub policy: Policy,
    /// Where users and name servers come from; read again on SIGHUP.
    pub sources: Sources,
    /// One per state.
    pub timeouts: Timeouts,
    /// Bounds of every table.
    pub limits: L,
    /// What is logged.
    pub verbosity: log::LevelFilter,
    /// Of sessions, only what the owner has to see of them is logged.
    pub quiet: bool,
    /// The socket of the system's log.
    pub syslog: Option<String>,
    /// Print the policy and end.
    pub check: bool,
}

/// The configuration as the command line asks for it, before descriptors and memory have had
/// their say.
pub type Asked = Config<AskedLimits>;

/// One `--listen`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Listen {
    /// 0.0.0.0 and ::, whichever the system has, at `port`.
    Any {
        /// As for an address.
        port: u16,
        /// It was written `::`.
        as_v6: bool,
    },
    /// An address; `port` 0 here too stands for a free one.
    Addr(SocketAddr),
    /// Every address of an interface, at `port`.
    Interface(String, u16),
}

/// How outgoing sockets are bound.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Outgoing {
    /// Source address for IPv4.
    pub v4: Option<Ipv4Addr>,
    /// Source address for IPv6.
    pub v6: Option<Ipv6Addr>,
    /// Device (SO_BINDTODEVICE).
    pub device: Option<String>,
    /// fwmark (SO_MARK).
    pub mark: Option<u32>,
}

/// How UDP relays and BIND listeners appear to the outside.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct RelayOptions {
    /// First and last port of UDP relays and BIND listeners, 1 to 65,535, the first not above
    /// the last; `None`: any that the kernel picks.
    pub ports: Option<(u16, u16)>,
    /// IPv4 address to announce (BND.ADDR) instead of the local one; never unspecified,
    /// multicast or broadcast. It may be of a family that nothing leaves by: for UDP it is
    /// the side of the clients.
    pub public_v4: Option<Ipv4Addr>,
    /// The same for IPv6; never v4-mapped.
    pub public_v6: Option<Ipv6Addr>,
    /// Only remotes that the client has sent to may answer an association.
    pub strict: bool,
}

/// Files and literal values that SIGHUP reads again.
#[derive(Clone, Default)]
pub struct Sources {
    /// `--user` and `--password`.
    pub credential: Option<(Vec<u8>, Vec<u8>)>,
    /// `--users`.
    pub users: Option<String>,
    /// `--dns`; empty: those of `resolv_conf`.
    pub dns: Vec<SocketAddr>,
    /// /etc/resolv.conf; `None` in the simulation.
    pub resolv_conf: Option<String>,
    /// /etc/hosts; `None` in the simulation.
    pub hosts: Option<String>,
}

/// How long each state may last, in milliseconds.
#[derive(Clone, Copy, Debug)]
pub struct Timeouts {
    /// The whole handshake.
    pub handshake_ms: u32,
    /// Looking up and connecting, together.
    pub connect_ms: u32,
    /// A tunnel without a byte in either direction.
    pub idle_ms: u32,
    /// The same once one direction has ended.
    pub half_close_ms: u32,
    /// A UDP association without a datagram in either direction.
    pub udp_ms: u32,
    /// A BIND whose peer has not come.
    pub bind_ms: u32,
    /// TCP_USER_TIMEOUT on both sides, which fits the kernel's signed 32 bits. 0: not set.
    pub peer_ms: u32,
}

/// The limits that were asked for. `None`: the machine decides.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct AskedLimits {
    /// `--max-sessions`, 1 to 65,535.
    pub sessions_max: Option<usize>,
    /// `--max-per-client`, 1 to 65,535.
    pub per_client_max: Option<usize>,
    /// `--buffers`, 4 to 65,535.
    pub buffers_max: Option<usize>,
    /// `--buffer-size`, 256 to 65,536.
    pub buffer_bytes: Option<usize>,
    /// `--no-splice`.
    pub no_splice: bool,
}

/// The bound of every table.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Limits {
    /// Sessions at once, 65,535 at most.
    pub sessions_max: usize,
    /// Sessions of one client at once, if the user has set a bound.
    pub per_client_max: Option<usize>,
    /// Sessions that are still being opened (handshake, name, connect) at once.
    pub openings_max: usize,
    /// Tunnels and associations that are established. The sessions beyond them are for handshakes.
    pub established_max: usize,
    /// Buffers of the relay, all sessions together.
    pub buffers_max: usize,
    /// Size of one buffer.
    pub buffer_bytes: usize,
    /// Pipes that flows are spliced through, all sessions together; 0: none is.
    pub pipes_max: usize,
    /// UDP associations at once, 1,024 at most.
    pub associations_max: usize,
    /// BINDs that wait for their peer at once, 128 at most.
    pub binds_max: usize,
    /// Heads of HTTP requests, 8 KiB each, being read at once, 32 at most.
    pub heads_max: usize,
    /// Those of them that are longer than 8 KiB, of 32 KiB at most.
    pub long_heads_max: usize,
    /// What the kernel may take for all of it, before tunnels that stand still end.
    pub kernel_bytes: u64,
    /// Names that name servers are asked for at once, 128 at most.
    pub queries_max: usize,
}

impl fmt::Debug for Sources {
    /// Everything but the password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sources")
            .field("credential", &self.credential.is_some())
            .field("users", &self.users)
            .field("dns", &self.dns)
            .field("resolv_conf", &self.resolv_conf)
            .field("hosts", &self.hosts)
            .finish()
    }
}

impl Default for Asked {
    /// What an empty command line means, without files.
    fn default() -> Self {
        Self {
            listen: Vec::new(),
            port: PORT_DEFAULT,
            retry_listen: false,
            reuseport: false,
            outgoing: Outgoing::default(),
            families: Families::default(),
            protocols: Protocols::default(),
            relay: RelayOptions::default(),
            policy: Policy::default(),
            sources: Sources::default(),
            timeouts: Timeouts::default(),
            limits: AskedLimits::default(),
            verbosity: log::LevelFilter::Info,
            quiet: false,
            syslog: None,
            check: false,
        }
    }
}

impl Asked {
    /// The configuration with these limits in the place of those that were asked for.
    pub fn with_limits(self, limits: Limits) -> Config {
        Config {
            listen: self.listen,
            port: self.port,
            retry_listen: self.retry_listen,
            reuseport: self.reuseport,
            outgoing: self.outgoing,
            families: self.families,
            protocols: self.protocols,
            relay: self.relay,
            policy: self.policy,
            sources: self.sources,
            timeouts: self.timeouts,
            limits,
            verbosity: self.verbosity,
            quiet: self.quiet,
            syslog: self.syslog,
            check: self.check,
        }
    }
}

impl Default for Timeouts {
    /// The defaults of the command line.
    fn default() -> Self {
        Self {
            handshake_ms: 10_000,
            connect_ms: 15_000,
            // RFC 5382 REQ-5: not below 2 hours 4 minutes.
            idle_ms: 7_440_000,
            half_close_ms: 60_000,
            // RFC 4787 REQ-5: not below 2 minutes.
            udp_ms: 120_000,
            bind_ms: 120_000,
            // Keepalive decides about idle peers then (two minutes), and tcp_retries2 about those
            // that acknowledge nothing (some 15 minutes).
            peer_ms: 0,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_debug_form_of_the_sources_has_no_password() {
        let credential = Some((b"me".to_vec(), b"secret".to_vec()));
        let text = format!(
            "{:?}",
            Sources {
                credential,
                ..Sources::default()
            }
        );
        assert!(!text.contains("115"), "{text}");
        assert!(!text.contains("secret"), "{text}");
    }
}
