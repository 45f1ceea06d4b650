//! Whom the client of a UDP association has sent to, where only those may answer
//! (`--udp-strict`).

use std::net::IpAddr;

/// Remotes that are remembered: a node of a distributed hash table (BEP 5) has some three hundred
/// under way, a game or a call fewer than ten. 24 bytes each, allocated as they are contacted.
pub const CONTACTS_MAX: usize = 512;

/// The addresses that a client has sent to. The port is not looked at: remotes may answer from
/// another one (RFC 4787 §5, address-dependent filtering).
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    /// In the order of the addresses, so that one is found in nine comparisons.
    list: Vec<Contact>,
    /// Index of the one noted last, which is looked at first.
    latest: usize,
    /// The number of datagrams noted, modulo 2^32.
    noted: u32,
}

/// An address in two halves, an IPv4 address as its IPv4-mapped one: two comparisons of words,
/// where those of `IpAddr` take 70 instructions.
type Bits = (u64, u64);

#[derive(Clone, Copy, Debug)]
struct Contact {
    addr: Bits,
    /// What `noted` was when it was sent to last.
    noted: u32,
}

impl Contacts {
    /// The client sends there. With the table full, the one longest not sent to is forgotten.
    pub fn note(&mut self, addr: IpAddr) {
        self.noted = self.noted.wrapping_add(1);
        let noted = self.noted;
        let addr = bits(addr);
        self.latest = match self.position(addr) {
            Ok(at) => {
                self.list[at].noted = noted;
                at
            }
            Err(mut at) => {
                if self.list.len() == CONTACTS_MAX {
                    let oldest = self.oldest();
                    self.list.remove(oldest);
                    at -= usize::from(oldest < at);
                }
                self.list.insert(at, Contact { addr, noted });
                at
            }
        };
    }

    /// Returns `true` if the client has sent there.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.position(bits(addr)).is_ok()
    }

    /// The index of `addr` in the list, or the one where it would be inserted.
    fn position(&self, addr: Bits) -> Result<usize, usize> {
        let latest = self.list.get(self.latest);
        if latest.is_some_and(|contact| contact.addr == addr) {
            return Ok(self.latest);
        }
        self.list
            .binary_search_by_key(&addr, |contact| contact.addr)
    }

    /// The index of the one longest not sent to. Only a remote that is new to a full table costs
    /// this walk.
    fn oldest(&self) -> usize {
        let (mut oldest, mut oldest_age) = (0, 0);
        for (at, contact) in self.list.iter().enumerate() {
            let age = self.noted.wrapping_sub(contact.noted);
            if age > oldest_age {
                (oldest, oldest_age) = (at, age);
            }
        }
        oldest
    }
}

// Two halves, each as it is.
#[allow(clippy::cast_possible_truncation)]
fn bits(addr: IpAddr) -> Bits {
    let addr = match addr {
        IpAddr::V4(addr) => addr.to_ipv6_mapped(),
        IpAddr::V6(addr) => addr,
    };
    let bits = addr.to_bits();
    ((bits >> 64) as u64, bits as u64)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn remote(number: usize) -> IpAddr {
        let [.., high, low] = number.to_be_bytes();
        // Not in the order of their numbers.
        if number.is_multiple_of(3) {
            IpAddr::from([0xfd00, 0, 0, 0, 0, 0, 0, u16::from_be_bytes([low, high])])
        } else {
            IpAddr::from([10, low, 0, high])
        }
    }

    #[test]
    fn the_contact_longest_not_sent_to_is_forgotten() {
        // Just before the count begins anew.
        let mut contacts = Contacts {
            noted: u32::MAX - 100,
            ..Contacts::default()
        };
        for number in 0..CONTACTS_MAX {
            contacts.note(remote(number));
        }
        contacts.note(remote(0));
        assert!((0..CONTACTS_MAX).all(|number| contacts.contains(remote(number))));
        for number in CONTACTS_MAX..CONTACTS_MAX + 300 {
            contacts.note(remote(number));
            assert!(contacts.contains(remote(number)));
        }
        assert!(contacts.contains(remote(0)));
        for number in 1..CONTACTS_MAX + 300 {
            let is_known = number > 300;
            assert_eq!(contacts.contains(remote(number)), is_known, "{number}");
        }
        assert_eq!(contacts.list.len(), CONTACTS_MAX);
        assert_eq!(contacts.list.capacity(), CONTACTS_MAX);
    }

    #[test]
    fn an_ipv4_address_is_told_from_all_others_but_the_mapped_one() {
        let mut contacts = Contacts::default();
        contacts.note("10.0.0.1".parse().unwrap());
        assert!(contacts.contains("::ffff:10.0.0.1".parse().unwrap()));
        for other in ["10.0.0.2", "::10.0.0.1", "::ffff:10.0.0.2", "1::ffff:a00:1"] {
            assert!(!contacts.contains(other.parse().unwrap()));
        }
        assert_eq!(size_of::<Contact>(), 24);
    }
}
