//! Datagrams of UDP associations: what is in them, and the header in front (RFC 1928 §7).
//!
//! All bytes of a datagram follow from its tag and its length, so one that is cut, changed or sent
//! to the wrong place shows.

use std::net::SocketAddr;

use crate::clients::reply_format::bound;
use crate::network::channel::payload;

/// The length of the shortest datagram: a tag.
pub(crate) const TAG_BYTES: usize = 7;

/// The number in the tag of a datagram that must arrive nowhere.
pub(crate) const UNDELIVERABLE: u32 = u32::MAX;

/// A datagram on its way through the network.
#[derive(Clone, Debug)]
pub(crate) struct Datagram {
    /// Its source.
    pub(crate) from: SocketAddr,
    /// Its destination.
    pub(crate) to: SocketAddr,
    /// All of its bytes.
    pub(crate) bytes: Vec<u8>,
    /// The number of the client whose scenario it belongs to, and its number there, where they are
    /// known.
    pub(crate) number: Option<(usize, u32)>,
}

/// What identifies a datagram: it stands at the head of its bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Tag {
    /// The number of the client whose scenario it belongs to.
    pub(crate) client: usize,
    /// The number of the remote that it goes to or comes from.
    pub(crate) remote: usize,
    /// It is an answer, sent by the remote.
    pub(crate) from_remote: bool,
    /// Its number, or that of the datagram that it answers.
    pub(crate) number: u32,
}

impl Tag {
    /// The bytes of the datagram with this tag: `len` of them, [`TAG_BYTES`] at least.
    pub(crate) fn write(self, len: usize) -> Vec<u8> {
        let byte = |number: usize| u8::try_from(number).unwrap_or(u8::MAX);
        let mut bytes = vec![0; len.max(TAG_BYTES)];
        bytes[..3].copy_from_slice(&[
            byte(self.client),
            byte(self.remote),
            u8::from(self.from_remote),
        ]);
        bytes[3..TAG_BYTES].copy_from_slice(&self.number.to_be_bytes());
        let seed = u64::from(self.number) << 16 | (self.client as u64) << 8 | self.remote as u64;
        payload(seed ^ len as u64, 0, &mut bytes[TAG_BYTES..]);
        bytes
    }

    /// The tag of a datagram; `None` if a byte of it is wrong or missing.
    pub(crate) fn read(bytes: &[u8]) -> Option<Self> {
        let (head, _) = bytes.split_first_chunk::<TAG_BYTES>()?;
        let [client, remote, from_remote, number @ ..] = *head;
        let tag = Self {
            client: client.into(),
            remote: remote.into(),
            from_remote: from_remote == 1,
            number: u32::from_be_bytes(number),
        };
        (tag.write(bytes.len()) == bytes).then_some(tag)
    }
}

/// The header for a destination that is an address.
pub(crate) fn header(to: SocketAddr) -> Vec<u8> {
    let mut header = vec![0, 0, 0];
    match to {
        SocketAddr::V4(to) => {
            header.push(1);
            header.extend(to.ip().octets());
        }
        SocketAddr::V6(to) => {
            header.push(4);
            header.extend(to.ip().octets());
        }
    }
    header.extend(to.port().to_be_bytes());
    header
}

/// The header for a destination that is a name.
pub(crate) fn named_header(name: &str, port: u16) -> Vec<u8> {
    let mut header = vec![0, 0, 0, 3, u8::try_from(name.len()).unwrap_or(u8::MAX)];
    header.extend(name.as_bytes());
    header.extend(port.to_be_bytes());
    header
}

/// The source in a SOCKS header, and the bytes behind it. The server never sends names.
pub(crate) fn open(bytes: &[u8]) -> Option<(SocketAddr, &[u8])> {
    let len = match bytes.get(..4)? {
        [0, 0, 0, 1] => 10,
        [0, 0, 0, 4] => 22,
        _ => return None,
    };
    let (header, rest) = bytes.split_at_checked(len)?;
    Some((bound(&header[3..])?, rest))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_datagram_that_is_cut_or_changed_has_no_tag() {
        let tag = Tag {
            client: 3,
            remote: 1,
            from_remote: true,
            number: 9,
        };
        let mut bytes = tag.write(100);
        assert_eq!(Tag::read(&bytes), Some(tag));
        assert_eq!(Tag::read(&bytes[..99]), None);
        bytes[50] ^= 1;
        assert_eq!(Tag::read(&bytes), None);
    }

    #[test]
    fn a_header_that_is_written_can_be_opened() {
        for addr in ["1.2.3.4:5", "[2a00::1]:5"].map(|text| text.parse().expect("an address")) {
            let bytes = [&header(addr)[..], b"rest"].concat();
            assert_eq!(open(&bytes), Some((addr, &b"rest"[..])));
        }
    }
}
