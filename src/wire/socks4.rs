//! SOCKS4 and SOCKS4A messages: a request in, a reply out.
//!
//! There is no RFC. The sources are the two memos of their authors, "SOCKS: A protocol for TCP
//! proxy across firewalls" (SOCKS4) and "SOCKS 4A: A Simple Extension to SOCKS 4 Protocol".
//! The user id is skipped, because it proves nothing.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::Reader;
use super::socks::{Address, Command, Malformed, Parsed, Request};

/// VN, the first byte of a request.
pub const VERSION: u8 = 4;

/// The longest USERID and the longest NAME in bytes, each without the NUL that ends it. The memos
/// have no bound; this is the one of RFC 1929 §2 and of RFC 1928 §5.
const TEXT_MAX: usize = 255;

/// CD of a reply: request granted.
const GRANTED: u8 = 90;
/// CD of a reply: request rejected or failed. 92 and 93 are about identd, which is not used.
const REJECTED: u8 = 91;

/// Reads a request; 520 bytes at most. Its port may be 0. A name follows if DSTIP is 0.0.0.x with
/// x not 0 (4A); a name that is an address in text form becomes that address.
///
/// Errors: [`Malformed::Name`] is to be replied to, because the request is complete. The others
/// are not.
pub fn read(reader: &mut Reader<'_>) -> Parsed<Request> {
    if reader.u8()? != VERSION {
        return Some(Err(Malformed::Version));
    }
    // Code 3 is UDP ASSOCIATE in SOCKS5 and unknown here.
    let command = match reader.u8()? {
        3 => Command::Unknown(3),
        code => code.into(),
    };
    let port = reader.u16()?;
    let octets = reader.array()?;
    if let Err(malformed) = text(reader)? {
        return Some(Err(malformed));
    }
    let address = match octets {
        [0, 0, 0, 1..=255] => text(reader)?.and_then(Address::parse),
        _ => Ok(Address::Ip(Ipv4Addr::from(octets).into())),
    };
    Some(address.map(|address| Request {
        command,
        address,
        port,
    }))
}

/// Reads a text with the NUL that ends it. Returns it without the NUL.
fn text<'a>(reader: &mut Reader<'a>) -> Parsed<&'a [u8]> {
    let rest = reader.rest();
    let room = rest.get(..=TEXT_MAX).unwrap_or(rest);
    match room.iter().position(|byte| *byte == 0) {
        Some(len) => {
            let text = reader.take(len)?;
            reader.u8()?;
            Some(Ok(text))
        }
        None if room.len() > TEXT_MAX => Some(Err(Malformed::TooLong)),
        None => None,
    }
}

/// A reply: version 0, CD, and the port and address where the proxy is bound. There is no form
/// for an IPv6 address: it is encoded as 0.0.0.0, which stands for the address that the client has
/// connected to.
pub fn reply(granted: bool, bound: SocketAddr) -> [u8; 8] {
    let code = if granted { GRANTED } else { REJECTED };
    let [high, low] = bound.port().to_be_bytes();
    let [a, b, c, d] = match bound.ip().to_canonical() {
        IpAddr::V4(addr) => addr.octets(),
        IpAddr::V6(_) => [0; 4],
    };
    [0, code, high, low, a, b, c, d]
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What `curl --socks4 user@…` and `--socks4a` send for port 80.
    const SOCKS4: &[u8] = b"\x04\x01\x00\x50\xc0\x00\x02\x01user\x00";
    const SOCKS4A: &[u8] = b"\x04\x01\x00\x50\x00\x00\x00\x01user\x00example.com\x00";

    fn parse(bytes: &[u8]) -> Result<Option<(Request, usize)>, Malformed> {
        let mut reader = Reader::new(bytes);
        let request = read(&mut reader).transpose()?;
        Ok(request.map(|request| (request, reader.consumed())))
    }

    fn with_name(name: &[u8]) -> Vec<u8> {
        [b"\x04\x01\x00\x50\x00\x00\x00\xff\x00", name, b"\x00"].concat()
    }

    #[test]
    fn s1_a_captured_request_parses() {
        let (request, len) = parse(SOCKS4).unwrap().unwrap();
        assert_eq!(len, SOCKS4.len());
        assert_eq!((request.command, request.port), (Command::Connect, 80));
        assert_eq!(request.address, Address::Ip("192.0.2.1".parse().unwrap()));
    }

    #[test]
    fn s1_replies_are_eight_bytes_with_a_zero_in_front() {
        let bound = "1.2.3.4:258".parse().unwrap();
        assert_eq!(reply(true, bound), [0, 90, 1, 2, 1, 2, 3, 4]);
        assert_eq!(reply(false, bound), [0, 91, 1, 2, 1, 2, 3, 4]);
        let mapped = "[::ffff:1.2.3.4]:258".parse().unwrap();
        assert_eq!(reply(true, mapped), [0, 90, 1, 2, 1, 2, 3, 4]);
        let other = "[2001:db8::1]:258".parse().unwrap();
        assert_eq!(reply(true, other), [0, 90, 1, 2, 0, 0, 0, 0]);
    }

    #[test]
    fn s2_a_name_follows_the_user_id() {
        let (request, len) = parse(SOCKS4A).unwrap().unwrap();
        assert_eq!(len, SOCKS4A.len());
        let Address::Name(name) = request.address else {
            panic!("a name")
        };
        assert_eq!(name.as_bytes(), b"example.com");
    }

    #[test]
    fn s2_a_literal_sent_as_a_name_is_an_address() {
        for (text, addr) in [("1.2.3.4", "1.2.3.4"), ("::1", "::1"), ("[::1]", "::1")] {
            let (request, _) = parse(&with_name(text.as_bytes())).unwrap().unwrap();
            assert_eq!(request.address, Address::Ip(addr.parse().unwrap()));
        }
    }

    #[test]
    fn s2_all_zeros_is_an_address_and_no_name_follows() {
        let (request, len) = parse(b"\x04\x02\x00\x00\x00\x00\x00\x00\x00more\x00")
            .unwrap()
            .unwrap();
        assert_eq!(request.address, Address::Ip(Ipv4Addr::UNSPECIFIED.into()));
        assert_eq!((request.command, len), (Command::Bind, 9));
    }

    #[test]
    fn s2_names_that_cannot_be_names_are_malformed() {
        let long = [b'a'; 254];
        for text in [&b""[..], b"a b", b"a\nb", b"\x7f", &long] {
            assert_eq!(parse(&with_name(text)), Err(Malformed::Name));
        }
        assert!(parse(&with_name(&long[..253])).is_ok());
    }

    #[test]
    fn s3_over_255_bytes_is_too_long() {
        let user = |len| [&SOCKS4[..8], &vec![b'u'; len], b"\x00"].concat();
        assert_eq!(parse(&user(255)).unwrap().unwrap().1, 264);
        assert_eq!(parse(&user(256)), Err(Malformed::TooLong));
        // 256 bytes without a NUL are enough to know.
        assert_eq!(parse(&user(256)[..263]), Ok(None));
        assert_eq!(parse(&user(256)[..264]), Err(Malformed::TooLong));
        // A name of 255 bytes is whole, and no name.
        assert_eq!(parse(&with_name(&[b'a'; 255])), Err(Malformed::Name));
        assert_eq!(parse(&with_name(&[b'a'; 256])), Err(Malformed::TooLong));
    }

    #[test]
    fn s5_only_connect_and_bind_are_known() {
        for (code, command) in [
            (0, Command::Unknown(0)),
            (1, Command::Connect),
            (2, Command::Bind),
            (3, Command::Unknown(3)),
        ] {
            let mut bytes = SOCKS4.to_vec();
            bytes[1] = code;
            assert_eq!(parse(&bytes).unwrap().unwrap().0.command, command);
        }
    }

    #[test]
    fn s6_every_prefix_asks_for_more() {
        for message in [SOCKS4, SOCKS4A] {
            for len in 0..message.len() {
                assert_eq!(parse(&message[..len]), Ok(None));
            }
        }
    }

    #[test]
    fn another_version_is_told_at_once() {
        assert_eq!(parse(&[5]), Err(Malformed::Version));
    }

    proptest! {
        #[test]
        fn s6_no_result_changes_with_the_bytes_behind_it(
            named: bool, text in proptest::collection::vec(0u8..4, 0..600)
        ) {
            let octets = [0, 0, 0, u8::from(named)];
            let bytes = [&[4, 1, 0, 80][..], &octets, &text].concat();
            let whole = parse(&bytes);
            for len in 0..bytes.len() {
                let early = parse(&bytes[..len]);
                prop_assert!(early == Ok(None) || early == whole);
            }
            if let Ok(Some((_, len))) = whole { prop_assert!(len <= bytes.len()); }
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            if let Ok(Some((_, len))) = parse(&bytes) { prop_assert!(len <= bytes.len()); }
        }
    }
}
