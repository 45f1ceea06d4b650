//! The format of the server's replies to a request, in each dialect: their length and what is in
//! them. Whether a reply is right is checked in `properties/clients.rs`.

use std::net::{IpAddr, SocketAddr};

use crate::clients::scenario::Dialect;

/// The length of the longest reply of HTTP.
const HTTP_MAX: usize = 256;

/// What is in a reply.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// The REP of SOCKS5, the CD of SOCKS4, or the status of HTTP.
    pub(crate) code: u16,
    /// The address in it; HTTP has none.
    pub(crate) bound: Option<SocketAddr>,
}

/// The length of the reply that begins with `bytes`, or, as long as they do not tell, a length that
/// it has at least and that is greater than theirs. `None`: it is no reply.
pub(crate) fn len(dialect: Dialect, bytes: &[u8]) -> Option<usize> {
    match dialect {
        Dialect::Socks5 => Some(match bytes.get(3) {
            None => 4,
            Some(4) => 22,
            Some(_) => 10,
        }),
        Dialect::Socks4 => Some(8),
        Dialect::Connect | Dialect::Forward => {
            let head = bytes.windows(4).position(|four| four == b"\r\n\r\n");
            let len = match head {
                None => bytes.len() + 1,
                Some(end) => end + 4 + field(&bytes[..end], "Content-Length: ")?,
            };
            (len <= HTTP_MAX).then_some(len)
        }
    }
}

/// Parses a whole reply.
pub(crate) fn read(dialect: Dialect, bytes: &[u8]) -> Option<Reply> {
    let (code, bound) = match dialect {
        Dialect::Socks5 => (u16::from(bytes[1]), bound(&bytes[3..])),
        Dialect::Socks4 => {
            let bound = bound(&[
                1, bytes[4], bytes[5], bytes[6], bytes[7], bytes[2], bytes[3],
            ]);
            (u16::from(bytes[1]), bound)
        }
        Dialect::Connect | Dialect::Forward => {
            let digits = std::str::from_utf8(bytes.get(9..12)?).ok()?;
            (digits.parse().ok()?, None)
        }
    };
    let version = match dialect {
        Dialect::Socks5 => bytes[0] == 5 && bytes[2] == 0,
        Dialect::Socks4 => bytes[0] == 0,
        Dialect::Connect | Dialect::Forward => bytes.starts_with(b"HTTP/1.1 "),
    };
    version.then_some(Reply { code, bound })
}

/// The number in a field of a head, 0 where there is none.
fn field(head: &[u8], name: &str) -> Option<usize> {
    let head = std::str::from_utf8(head).ok()?;
    let value = head.lines().find_map(|line| line.strip_prefix(name));
    value.map_or(Some(0), |value| value.parse().ok())
}

/// An address as SOCKS5 writes it, from its type on.
pub(crate) fn bound(bytes: &[u8]) -> Option<SocketAddr> {
    let (addr, port) = bytes.get(1..)?.split_last_chunk::<2>()?;
    let addr = match *bytes.first()? {
        1 => IpAddr::from(<[u8; 4]>::try_from(addr).ok()?),
        4 => IpAddr::from(<[u8; 16]>::try_from(addr).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(addr, u16::from_be_bytes(*port)))
}
