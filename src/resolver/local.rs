//! Names that need no server: localhost and its subdomains, and those of the hosts file.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};

use super::answer::Answer;
use crate::config::dns::DnsSettings;
use crate::wire::dns::Addresses;

/// Returns the addresses of a name that needs no server: localhost (RFC 6761 §6.3), or one of
/// the hosts file with an address of an allowed family.
pub(super) fn lookup(settings: &DnsSettings, name: &[u8]) -> Option<Answer> {
    let families = settings.families;
    let name = name.strip_suffix(b".").unwrap_or(name);
    let mut v4 = Addresses::default();
    let mut v6 = Addresses::default();
    if is_localhost(name) {
        if families.v4 {
            v4.push(IpAddr::V4(Ipv4Addr::LOCALHOST));
        }
        if families.v6 {
            v6.push(IpAddr::V6(Ipv6Addr::LOCALHOST));
        }
    } else {
        for (host, addr) in &settings.hosts {
            let (family, is_allowed) = match addr {
                IpAddr::V4(_) => (&mut v4, families.v4),
                IpAddr::V6(_) => (&mut v6, families.v6),
            };
            if is_allowed && host.eq_ignore_ascii_case(name) {
                family.push(*addr);
            }
        }
    }
    if v4.is_empty() && v6.is_empty() {
        return None;
    }
    Some(Answer::found([&v4, &v6], families.v6_first, [None; 2]))
}

fn is_localhost(name: &[u8]) -> bool {
    const LOCALHOST: &[u8] = b"localhost";
    let Some(split) = name.len().checked_sub(LOCALHOST.len()) else {
        return false;
    };
    let (front, last) = name.split_at(split);
    last.eq_ignore_ascii_case(LOCALHOST) && (front.is_empty() || front.ends_with(b"."))
}
