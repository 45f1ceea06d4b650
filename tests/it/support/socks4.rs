//! SOCKS4 and 4A on the raw client, and what BIND is in both dialects.
//!
//! It uses none of the proxy's own code, so that both cannot share a mistake.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use super::wire::{Client, GREETING, Reply, Way, request};

/// CD of a reply: granted.
const GRANTED: u8 = 90;
/// CD of a reply: refused or failed.
const REJECTED: u8 = 91;

/// A request for an IPv4 address with any CD.
pub(crate) fn request4(command: u8, target: SocketAddr, user: &[u8]) -> Vec<u8> {
    let IpAddr::V4(ip) = target.ip() else {
        panic!("SOCKS4 has no IPv6");
    };
    let mut bytes = vec![4, command];
    bytes.extend(target.port().to_be_bytes());
    bytes.extend(ip.octets());
    bytes.extend(user);
    bytes.push(0);
    bytes
}

/// A request of 4A for a name, which may be nonsense but has no NUL.
pub(crate) fn request4a(command: u8, name: impl AsRef<[u8]>, port: u16) -> Vec<u8> {
    let mut bytes = request4(command, (Ipv4Addr::new(0, 0, 0, 1), port).into(), b"");
    bytes.extend(name.as_ref());
    bytes.push(0);
    bytes
}

impl Client {
    /// The next reply, which has to grant; the address in it.
    #[track_caller]
    pub(crate) fn granted4(&mut self) -> SocketAddr {
        let bytes = self.hear(8);
        assert_eq!(bytes[..2], [0, GRANTED]);
        let ip = <[u8; 4]>::try_from(&bytes[4..]).unwrap();
        (ip, u16::from_be_bytes([bytes[2], bytes[3]])).into()
    }

    /// A reply that refuses: always eight bytes, then an orderly end.
    #[track_caller]
    pub(crate) fn refused4(&self) {
        assert_eq!(self.rest(), [0, REJECTED, 0, 0, 0, 0, 0, 0]);
    }
}

/// A protocol of two that have BIND.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    Socks5,
    Socks4,
}

impl Dialect {
    /// All of them.
    pub(crate) const BOTH: [Self; 2] = [Self::Socks5, Self::Socks4];

    /// All that a client sends to wait for a peer from `expected`.
    pub(crate) fn bind_request(self, expected: SocketAddr) -> Vec<u8> {
        match self {
            Self::Socks5 => [&GREETING[..], &request(2, expected)].concat(),
            Self::Socks4 => request4(2, expected, b"ann"),
        }
    }

    /// Sends `message`, a request of this dialect with all in front of it and behind.
    #[track_caller]
    pub(crate) fn ask(self, client: &mut Client, way: Way, message: &[u8]) -> SocketAddr {
        client.say(way, message);
        if self == Self::Socks5 {
            assert_eq!(client.hear(2), [5, 0]);
        }
        self.granted(client)
    }

    /// The next reply, which has to be a success; the address in it.
    #[track_caller]
    pub(crate) fn granted(self, client: &mut Client) -> SocketAddr {
        match self {
            Self::Socks4 => client.granted4(),
            Self::Socks5 => {
                let Reply { code, bound } = client.reply();
                assert_eq!(code, 0);
                bound
            }
        }
    }

    /// A reply that refuses, with that code in SOCKS5, and an orderly end.
    #[track_caller]
    pub(crate) fn refused(self, client: &Client, code: u8) {
        match self {
            Self::Socks4 => client.refused4(),
            Self::Socks5 => assert_eq!(client.refusal(), code),
        }
    }

    /// Sends `message`, which is refused.
    #[track_caller]
    pub(crate) fn ask_in_vain(self, client: &mut Client, way: Way, message: &[u8], code: u8) {
        client.say(way, message);
        if self == Self::Socks5 {
            assert_eq!(client.hear(2), [5, 0]);
        }
        self.refused(client, code);
    }
}
