//! What became of a name.

use std::net::IpAddr;

use crate::wire::dns::{ADDRESSES_MAX, Addresses};

/// The name servers that an answer's IPv4 and IPv6 addresses are from, link-local ones with their
/// interfaces (`scoped` in prefix.rs); none where it has none, or has them from the hosts file.
pub type Servers = [Option<IpAddr>; 2];

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its addresses, 8 per family at most, in the order to try them.
    Found(Addresses, Servers),
    /// It does not exist, or has no address of an allowed family.
    NoSuchName,
    /// No server was able or willing to answer.
    Failed,
    /// No server answered in time.
    TimedOut,
}

impl Answer {
    /// Returns the addresses of both families, which take turns, the preferred one first
    /// (RFC 8305 §4).
    pub(super) fn found([v4, v6]: [&Addresses; 2], v6_first: bool, mut servers: Servers) -> Self {
        let mut families = [v4.as_slice(), v6.as_slice()];
        if v6_first {
            families.reverse();
        }
        let mut found = Addresses::default();
        for place in 0..ADDRESSES_MAX {
            for family in families {
                if let Some(&addr) = family.get(place) {
                    found.push(addr);
                }
            }
        }
        for (server, family) in servers.iter_mut().zip([v4, v6]) {
            if family.is_empty() {
                *server = None;
            }
        }
        Self::Found(found, servers)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::dns::replies::addresses;

    #[test]
    fn the_families_take_turns_the_preferred_one_first() {
        let v4 = addresses(&["192.0.2.1", "192.0.2.2"]);
        let v6 = addresses(&["2001:db8::1"]);
        let servers: Servers = [1, 2].map(|last| Some([127, 0, 0, last].into()));
        for (v6_first, list) in [
            (true, ["2001:db8::1", "192.0.2.1", "192.0.2.2"]),
            (false, ["192.0.2.1", "2001:db8::1", "192.0.2.2"]),
        ] {
            let found = Answer::found([&v4, &v6], v6_first, servers);
            assert_eq!(found, Answer::Found(addresses(&list), servers));
        }
        // A server that has given none is none of the answer's.
        let none = Addresses::default();
        assert_eq!(
            Answer::found([&v4, &none], true, servers),
            Answer::Found(v4.clone(), [servers[0], None])
        );
    }
}
