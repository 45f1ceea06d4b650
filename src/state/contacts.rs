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
    /// The number of datagrams noted, modulo 2^32.
    noted: u32,
}

#[derive(Clone, Copy, Debug)]
struct Contact {
    addr: IpAddr,
    /// What `noted` was when it was sent to last.
    noted: u32,
}

impl Contacts {
    /// The client sends there. With the table full, the one longest not sent to is forgotten.
    pub fn note(&mut self, addr: IpAddr) {
        self.noted = self.noted.wrapping_add(1);
        let noted = self.noted;
        match self.position(addr) {
            Ok(at) => self.list[at].noted = noted,
            Err(at) => {
                let mut at = at;
                if self.list.len() == CONTACTS_MAX {
                    let oldest = self.oldest();
                    self.list.remove(oldest);
                    at -= usize::from(oldest < at);
                }
                self.list.insert(at, Contact { addr, noted });
            }
        }
    }

    /// Returns `true` if the client has sent there.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.position(addr).is_ok()
    }

    /// The index of `addr` in the list, or the one where it would be inserted.
    fn position(&self, addr: IpAddr) -> Result<usize, usize> {
        self.list
            .binary_search_by_key(&addr, |contact| contact.addr)
    }

    /// The index of the one longest not sent to. Only a remote that is new to a full table costs
    /// this walk.
    fn oldest(&self) -> usize {
        let age = |contact: &Contact| self.noted.wrapping_sub(contact.noted);
        let contacts = self.list.iter().enumerate();
        contacts
            .max_by_key(|(_, contact)| age(contact))
            .map_or(0, |(at, _)| at)
    }
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
            list: Vec::new(),
            noted: u32::MAX - 100,
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
    fn a_contact_is_an_address_of_its_own_family() {
        let mut contacts = Contacts::default();
        contacts.note("10.0.0.1".parse().unwrap());
        assert!(!contacts.contains("::ffff:10.0.0.1".parse().unwrap()));
        assert!(!contacts.contains("10.0.0.2".parse().unwrap()));
        assert_eq!(size_of::<Contact>(), 24);
    }
}
