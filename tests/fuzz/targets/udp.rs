//! Headers of datagrams (RFC 1928 §7), read and written.

use std::net::SocketAddr;

use anklet::wire::socks::Address;
use anklet::wire::udp::{Dropped, HEADROOM, Header, header};

/// The longest header: a name of 253 bytes.
const HEADER_MAX: usize = 4 + 1 + 253 + 2;

pub fn target(data: &[u8]) {
    let Ok((parsed, start)) = Header::parse(data) else {
        return is_dropped(data);
    };
    assert!(start <= data.len().min(HEADER_MAX));
    assert_eq!(data[..3], [0, 0, 0]);
    assert_ne!(parsed.port, 0);
    // The payload says nothing about the header, and a header that is cut off is none.
    assert_eq!(
        Header::parse(&data[..start]),
        Ok((parsed.clone(), start)),
        "the payload is no part of it"
    );
    for len in 0..start {
        assert_eq!(Header::parse(&data[..len]), Err(Dropped::Malformed));
    }
    let Address::Ip(ip) = parsed.address else {
        return;
    };
    assert_eq!(ip, ip.to_canonical());
    let written = header(&SocketAddr::new(ip, parsed.port));
    let written = written.as_bytes();
    assert!(written.len() <= HEADROOM);
    assert_eq!(Header::parse(written), Ok((parsed, written.len())));
}

/// A fragment is told by its number alone: with 0 in its place it is a datagram.
fn is_dropped(data: &[u8]) {
    if Header::parse(data) == Err(Dropped::Fragment) {
        let mut whole = data.to_vec();
        assert_ne!(std::mem::take(&mut whole[2]), 0);
        assert!(Header::parse(&whole).is_ok());
    }
}
