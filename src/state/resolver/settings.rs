//! What the resolver was told: servers, search list, hosts, and what they mean for one name.
//!
//! Reading /etc/resolv.conf and /etc/hosts is `config`'s work; here they are plain data.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::rc::Rc;

use super::query::interleave;
use super::{Answer, same_name};
use crate::wire::dns::Addresses;

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

/// What resolv.conf, the hosts file and the command line say about names.
#[derive(Clone, Debug)]
pub struct Settings {
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

impl Default for Settings {
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

impl Settings {
    /// With less time for each of several servers where they would not all have their turn
    /// within `patience_ms`, and leave as much for the connection: a dead one in front would
    /// never be found out.
    #[must_use]
    pub fn within(mut self, patience_ms: u32) -> Self {
        if let Ok(servers @ 2..) = u32::try_from(self.servers.len()) {
            self.timeout_ms = self.timeout_ms.min(patience_ms / servers.saturating_add(1));
        }
        self
    }

    /// The addresses of a name that needs no server: localhost and its subdomains
    /// (RFC 6761 §6.3), and the hosts file.
    pub(super) fn known(&self, name: &[u8]) -> Option<Rc<Answer>> {
        let name = name.strip_suffix(b".").unwrap_or(name);
        let mut v4 = Addresses::new();
        let mut v6 = Addresses::new();
        if is_localhost(name) {
            if self.families.v4 {
                v4.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
            }
            if self.families.v6 {
                v6.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
            }
        } else {
            for (host, addr) in &self.hosts {
                let (family, is_asked) = match addr {
                    IpAddr::V4(_) => (&mut v4, self.families.v4),
                    IpAddr::V6(_) => (&mut v6, self.families.v6),
                };
                if is_asked && same_name(host, name) {
                    family.push(*addr);
                }
            }
        }
        if v4.is_empty() && v6.is_empty() {
            return None;
        }
        Some(interleave(&v4, &v6, self.families.v6_first))
    }

    /// The domain of number `place` of the names to ask for, empty for the name as it is, in
    /// the order of glibc's `res_search`: a name with `ndots` dots as it is and then under each
    /// domain, another under each domain and then as it is, one that ends with a dot only as it
    /// is.
    pub(super) fn candidate<'a>(&'a self, name: &[u8], place: usize) -> Option<&'a [u8]> {
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

fn is_localhost(name: &[u8]) -> bool {
    const LOCALHOST: &[u8] = b"localhost";
    let Some(split) = name.len().checked_sub(LOCALHOST.len()) else {
        return false;
    };
    let (front, last) = name.split_at(split);
    last.eq_ignore_ascii_case(LOCALHOST) && (front.is_empty() || front.ends_with(b"."))
}
