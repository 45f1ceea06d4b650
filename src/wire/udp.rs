//! The header of relayed datagrams (RFC 1928 §7): parsed in datagrams of clients, and encoded
//! for datagrams that go to them.
//!
//! Fragments are not reassembled, which RFC 1928 §7 permits. Which client a datagram comes from
//! is found out in the association.

use std::net::{IpAddr, SocketAddr};

use super::Reader;
use super::encoded::{ENCODED_MAX, Encoded};
use super::socks::{Address, encode_address};

/// The longest header without a name in bytes: RSV 2, FRAG 1, ATYP 1, IPv6 address 16, port 2.
/// Space of this length in front of a received payload is enough for any [`header`].
pub const HEADROOM: usize = ENCODED_MAX;

/// The length in bytes of a header with an IPv4 address, which is 12 bytes shorter.
const HEADER_V4_BYTES: usize = 10;

/// The longest message in bytes of a datagram to an IPv4 client, header included: 65,535 of an
/// IPv4 packet (RFC 791 §3.1) less 20 of its header and 8 of UDP's.
pub const MESSAGE_V4_MAX: usize = 65_507;
/// The same to an IPv6 client: 65,535 of an IPv6 payload (RFC 8200 §3), which does not count
/// the packet's header, less 8 of UDP's.
pub const MESSAGE_V6_MAX: usize = 65_527;

/// The longest payload from `source` in bytes that can be sent to `client`. A longer one is to be
/// dropped and counted, never cut.
pub fn payload_max(client: IpAddr, source: IpAddr) -> usize {
    let message = match client.to_canonical() {
        IpAddr::V4(_) => MESSAGE_V4_MAX,
        IpAddr::V6(_) => MESSAGE_V6_MAX,
    };
    let header = match source.to_canonical() {
        IpAddr::V4(_) => HEADER_V4_BYTES,
        IpAddr::V6(_) => HEADROOM,
    };
    message - header
}

/// Why a datagram of a client is dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Dropped {
    /// FRAG is not 0 (RFC 1928 §7: without reassembly fragments must be dropped).
    Fragment,
    /// RSV is not 0, ATYP is unknown, the name cannot be one, the port is 0, or it is cut off.
    Malformed,
}

/// The header of a datagram from a client: its destination.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Header {
    /// DST.ADDR. An address sent as a name is an address, a v4-mapped one is the IPv4 address.
    pub address: Address,
    /// DST.PORT, not 0.
    pub port: u16,
}

impl Header {
    /// Parses the header of a datagram. Returns it and its length, 262 bytes at most; the
    /// payload, which may be empty, is the rest of the datagram.
    ///
    /// Errors: [`Dropped::Malformed`] before [`Dropped::Fragment`], so that the counters tell
    /// rubbish from fragments.
    pub fn parse(datagram: &[u8]) -> Result<(Self, usize), Dropped> {
        let mut reader = Reader::new(datagram);
        match Self::read(&mut reader) {
            None => Err(Dropped::Malformed),
            Some((header, 0)) => Ok((header, reader.consumed())),
            Some(_) => Err(Dropped::Fragment),
        }
    }

    /// Reads a header. Returns it and its FRAG, or `None` if it is malformed or cut off.
    fn read(reader: &mut Reader<'_>) -> Option<(Self, u8)> {
        let [0, 0, fragment, address_type] = reader.array()? else {
            return None;
        };
        let address = Address::read(address_type, reader)?.ok()?;
        let port = reader.u16().filter(|port| *port != 0)?;
        Some((Self { address, port }, fragment))
    }
}

/// The header of a datagram that came from `from`, 10 or 22 bytes. ATYP is 01 or 04, never a
/// name; a v4-mapped address is written as 01.
pub fn header(from: &SocketAddr) -> Encoded {
    encode_address([0, 0, 0], from)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TO_V4: &[u8] = b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x35query";
    const TO_NAME: &[u8] = b"\x00\x00\x00\x03\x0bexample.com\x00\x35query";

    #[test]
    fn captured_headers_parse() {
        let (header, start) = Header::parse(TO_V4).unwrap();
        assert_eq!((header.port, &TO_V4[start..]), (53, &b"query"[..]));
        assert_eq!(header.address, Address::Ip("192.0.2.1".parse().unwrap()));
        let (header, start) = Header::parse(TO_NAME).unwrap();
        assert_eq!((header.port, &TO_NAME[start..]), (53, &b"query"[..]));
        assert!(matches!(header.address, Address::Name(name) if name.as_bytes() == b"example.com"));
    }

    #[test]
    fn an_empty_payload_is_a_datagram() {
        assert_eq!(Header::parse(&TO_V4[..10]).unwrap().1, 10);
    }

    #[test]
    fn a_literal_sent_as_a_name_is_an_address() {
        let (header, start) = Header::parse(b"\0\0\0\x03\x07\x31.2.3.4\0\x35").unwrap();
        assert_eq!(header.address, Address::Ip("1.2.3.4".parse().unwrap()));
        assert_eq!(start, 14);
    }

    #[test]
    fn u6_fragments_are_told_from_rubbish() {
        let mut datagram = TO_V4.to_vec();
        datagram[2] = 1;
        assert_eq!(Header::parse(&datagram), Err(Dropped::Fragment));
        datagram[1] = 1;
        assert_eq!(Header::parse(&datagram), Err(Dropped::Malformed));
    }

    #[test]
    fn u7_what_cannot_be_relayed_is_malformed() {
        let table: &[&[u8]] = &[
            b"",
            b"\x00\x01\x00\x01\xc0\x00\x02\x01\x00\x35",
            b"\x01\x00\x00\x01\xc0\x00\x02\x01\x00\x35",
            b"\x00\x00\x00\x02\xc0\x00\x02\x01\x00\x35",
            b"\x00\x00\x00\x01\xc0\x00\x02\x01\x00\x00",
            b"\x00\x00\x00\x03\x00\x00\x35",
            b"\x00\x00\x00\x03\x03a b\x00\x35",
            b"\x00\x00\x00\x03\x03a\x00b\x00\x35",
        ];
        for datagram in table {
            assert_eq!(Header::parse(datagram), Err(Dropped::Malformed));
        }
        for (datagram, header) in [(TO_V4, 10), (TO_NAME, 18)] {
            for len in 0..header {
                assert_eq!(Header::parse(&datagram[..len]), Err(Dropped::Malformed));
            }
        }
    }

    #[test]
    fn u9_headers_name_the_sender() {
        for from in ["1.2.3.4:258", "[::ffff:1.2.3.4]:258"] {
            let header = header(&from.parse().unwrap());
            let expected = [0, 0, 0, 1, 1, 2, 3, 4, 1, 2];
            assert_eq!(header.as_bytes(), expected, "{from}");
        }
        let header = header(&"[::1]:80".parse().unwrap());
        let header = header.as_bytes();
        assert_eq!(
            (header.len(), header[3], header[19], header[21]),
            (22, 4, 1, 80)
        );
    }

    #[test]
    fn u12_the_longest_payloads_are_those_of_the_table() {
        let (v4, v6): (IpAddr, IpAddr) = ("1.2.3.4".parse().unwrap(), "::1".parse().unwrap());
        let mapped = "::ffff:1.2.3.4".parse().unwrap();
        assert_eq!(payload_max(v4, v4), 65_497);
        assert_eq!(payload_max(v4, v6), 65_485);
        assert_eq!(payload_max(mapped, mapped), 65_497);
        assert_eq!(payload_max(v6, v4), 65_517);
        assert_eq!(payload_max(v6, v6), 65_505);
    }

    proptest! {
        #[test]
        fn what_is_written_is_what_is_read(octets: [u8; 16], v4: bool, port in 1u16..) {
            let [a, b, c, d, ..] = octets;
            let addr = if v4 { IpAddr::from([a, b, c, d]) } else { IpAddr::from(octets) };
            let written = header(&(addr, port).into());
            let (header, len) = Header::parse(written.as_bytes()).unwrap();
            prop_assert_eq!(header.address, Address::Ip(addr.to_canonical()));
            prop_assert_eq!((header.port, len), (port, written.as_bytes().len()));
        }

        #[test]
        fn no_input_panics_or_reads_past_its_end(
            mut bytes in proptest::collection::vec(any::<u8>(), 0..300), address_type in 0u8..6
        ) {
            if let Some(head) = bytes.first_chunk_mut() { *head = [0, 0, 0, address_type]; }
            if let Ok((_, start)) = Header::parse(&bytes) { prop_assert!(start <= bytes.len()); }
        }
    }
}
