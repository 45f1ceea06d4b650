//! What became of a name.

use crate::wire::dns::{ADDRESSES_MAX, Addresses};

/// What became of a name.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Its addresses, 8 per family at most, in the order to try them.
    Found(Addresses),
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
    pub(super) fn found(v4: &Addresses, v6: &Addresses, v6_first: bool) -> Self {
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
        Self::Found(found)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addresses(list: &[&str]) -> Addresses {
        let mut addresses = Addresses::default();
        for addr in list {
            addresses.push(addr.parse().unwrap());
        }
        addresses
    }

    #[test]
    fn the_families_take_turns_the_preferred_one_first() {
        let v4 = addresses(&["192.0.2.1", "192.0.2.2"]);
        let v6 = addresses(&["2001:db8::1"]);
        assert_eq!(
            Answer::found(&v4, &v6, true),
            Answer::Found(addresses(&["2001:db8::1", "192.0.2.1", "192.0.2.2"]))
        );
        assert_eq!(
            Answer::found(&v4, &v6, false),
            Answer::Found(addresses(&["192.0.2.1", "2001:db8::1", "192.0.2.2"]))
        );
    }
}
