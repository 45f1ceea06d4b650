//! What resolv.conf, the hosts file and the command line say about name lookups: servers, search
//! list, hosts and families, as plain data for the resolver.
//!
//! `files` reads them. Nothing here asks anybody.

use std::net::{IpAddr, SocketAddr};

/// Which address families outgoing connections may use.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Families {
    /// IPv4 may be used.
    pub v4: bool,
    /// IPv6 may be used.
    pub v6: bool,
    /// IPv6 is tried first (RFC 8305's default).
    pub v6_first: bool,
}

impl Default for Families {
    fn default() -> Self {
        Self {
            v4: true,
            v6: true,
            v6_first: true,
        }
    }
}

/// What the resolver works with.
#[derive(Clone, Debug)]
pub struct DnsSettings {
    /// Name servers in order; with none every name fails.
    pub servers: Vec<SocketAddr>,
    /// Domains to try a name under, in order.
    pub search: Vec<Box<[u8]>>,
    /// A name with at least so many dots is tried as it is first.
    pub ndots: u8,
    /// How long one server may take, in milliseconds.
    pub timeout_ms: u32,
    /// How many times the list of servers is gone through.
    pub attempts: u8,
    /// Each name begins with the next server.
    pub rotate: bool,
    /// Names with one address each, a name as often as it has addresses.
    pub hosts: Vec<(Box<[u8]>, IpAddr)>,
    /// The families asked for, and which comes first in an answer.
    pub families: Families,
}

impl Default for DnsSettings {
    /// glibc's defaults (resolv.conf(5)), without a server.
    fn default() -> Self {
        Self {
            servers: Vec::new(),
            search: Vec::new(),
            ndots: 1,
            timeout_ms: 5000,
            attempts: 2,
            rotate: false,
            hosts: Vec::new(),
            families: Families::default(),
        }
    }
}

impl DnsSettings {
    /// Returns the settings with less time for each of several servers, where they would not all
    /// have their turn within `patience_ms` and leave as much for the connection: a dead server
    /// in front would otherwise take all the time that a client waits.
    #[must_use]
    pub fn within(mut self, patience_ms: u32) -> Self {
        if let Ok(servers @ 2..) = u32::try_from(self.servers.len()) {
            self.timeout_ms = self.timeout_ms.min(patience_ms / servers.saturating_add(1));
        }
        self
    }

    /// Returns `true` if the same servers are asked in the same way, whatever the hosts are.
    pub fn is_asked_like(&self, other: &Self) -> bool {
        (&self.servers, &self.search, self.ndots) == (&other.servers, &other.search, other.ndots)
            && (self.timeout_ms, self.attempts, self.rotate)
                == (other.timeout_ms, other.attempts, other.rotate)
    }

    /// Returns the domain under which `name` is asked for in place `place` of the search order,
    /// empty for the name as it is; `None` behind the last place.
    ///
    /// The order is that of glibc's `res_search`: a name with `ndots` dots is tried as it is and
    /// then under each domain, another under each domain and then as it is, one that ends with a
    /// dot only as it is.
    pub fn search_domain<'a>(&'a self, name: &[u8], place: usize) -> Option<&'a [u8]> {
        const AS_IT_IS: &[u8] = b"";
        if name.ends_with(b".") {
            return (place == 0).then_some(AS_IT_IS);
        }
        let dots = name.iter().filter(|&&byte| byte == b'.').count();
        let as_it_is = if dots >= usize::from(self.ndots) {
            0
        } else {
            self.search.len()
        };
        if place == as_it_is {
            return Some(AS_IT_IS);
        }
        // In front of the domains, the name itself has one place.
        let domain = self.search.get(place - usize::from(as_it_is == 0))?;
        Some(domain.strip_prefix(b".").unwrap_or(domain))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn several_servers_share_the_time_that_there_is() {
        for (servers, patience_ms, timeout_ms) in [
            (0, 1_000, 5_000),
            (1, 1_000, 5_000),
            (2, 15_000, 5_000),
            (2, 6_000, 2_000),
            (3, 15_000, 3_750),
            (3, u32::MAX, 5_000),
        ] {
            let settings = DnsSettings {
                servers: vec![SocketAddr::from(([127, 0, 0, 1], 53)); servers],
                ..DnsSettings::default()
            };
            let settings = settings.within(patience_ms);
            assert_eq!(settings.timeout_ms, timeout_ms, "{servers} servers");
        }
    }

    #[test]
    fn the_search_list_comes_before_or_after_the_name_by_its_dots() {
        let order = |name: &[u8], ndots| {
            let settings = DnsSettings {
                search: vec![b"lan".as_slice().into(), b".example.org".as_slice().into()],
                ndots,
                ..DnsSettings::default()
            };
            let domains = (0..5).map_while(|place| settings.search_domain(name, place));
            let domains = domains.map(|domain| String::from_utf8_lossy(domain).into_owned());
            domains.collect::<Vec<_>>()
        };
        assert_eq!(order(b"nas", 1), ["lan", "example.org", ""]);
        assert_eq!(order(b"a.b", 1), ["", "lan", "example.org"]);
        assert_eq!(order(b"a.b", 2), ["lan", "example.org", ""]);
        assert_eq!(order(b"nas.", 1), [""]);
    }
}
