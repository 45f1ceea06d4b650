//! What a UDP association remembers and decides (RFC 1928 §7): which port its client sends
//! from, and why a datagram is dropped. `contacts` knows whom the client has sent to, `names` the
//! names that it sends to.
//!
//! Pure: no sockets. `session::association` moves the datagrams.

use std::net::SocketAddr;

/// Silence of the client after which another port of its address may take its place. NAT boxes
/// and programs that open a new socket change ports; 30 s is what the shortest-lived mappings
/// for UDP last.
pub const PORT_SILENCE_MS: u32 = 30_000;

/// Why a datagram did not reach the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// From another port than the association's (U1, U3).
    Stranger,
    /// FRAG is not 0 (U6).
    Fragment,
    /// No header that can be understood (U7).
    Malformed,
    /// The rules refuse its destination, or its source (U14).
    Refused,
    /// Its name does not resolve, or too many are being looked up (U7, U8).
    Name,
    /// From a remote that the client has not sent to, with `--udp-strict`.
    Uncontacted,
    /// For a client that has not sent anything yet, so that its port is not known.
    Unknown,
    /// Longer than what UDP carries, header included (U12).
    TooLong,
    /// The socket's queue was full.
    Full,
    /// The system had no way to send it, or no socket.
    Unsendable,
}

impl DropReason {
    /// How many causes there are.
    pub const COUNT: usize = Self::Unsendable as usize + 1;

    /// Their names in the report, in the order of the enum.
    pub const NAMES: [&str; Self::COUNT] = [
        "stranger",
        "fragment",
        "malformed",
        "refused",
        "name",
        "uncontacted",
        "unknown",
        "too_long",
        "full",
        "unsendable",
    ];

    /// The cause's place in a table of counters, below [`Self::COUNT`].
    pub fn index(self) -> usize {
        self as usize
    }
}

/// The client's end: the address of its TCP connection, and a port that is named or learned.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddr {
    /// Port 0: not known yet.
    addr: SocketAddr,
    /// Any port of the address may become the client's.
    open: bool,
}

impl ClientAddr {
    /// The client at the address of `connection`, the other end of its TCP connection.
    /// `destination` is DST.ADDR and DST.PORT of its request, a hint where it will send from:
    /// a port counts only with the matching address (U2).
    pub fn new(connection: SocketAddr, destination: Option<SocketAddr>) -> Self {
        let mut addr = connection;
        addr.set_port(0);
        if let Some(hint) = destination
            && hint.ip().to_canonical() == connection.ip().to_canonical()
        {
            addr.set_port(hint.port());
        }
        Self {
            addr,
            open: addr.port() == 0,
        }
    }

    /// Returns `true` if a datagram from there may be the client's.
    pub fn may_be(&self, from: &SocketAddr) -> bool {
        // Nobody can be answered at port 0.
        let port = from.port();
        from.ip() == self.addr.ip() && port != 0 && (self.open || port == self.addr.port())
    }

    /// A valid datagram came from `port` of the client's address. Returns `true` if any port was
    /// possible until now: this one is the client's from now on.
    pub fn learn(&mut self, port: u16) -> bool {
        let news = self.open;
        if news {
            self.addr.set_port(port);
            self.open = false;
        }
        news
    }

    /// The client has been silent: another port may be learned. Until one is, what comes for it
    /// goes to the old one.
    pub fn reopen(&mut self) {
        self.open = true;
    }

    /// The client's address; its port may be unknown, or out of date.
    pub fn addr(&self) -> &SocketAddr {
        &self.addr
    }

    /// Returns `true` if its port is known: datagrams for the client go to [`ClientAddr::addr`]
    /// then.
    pub fn is_known(&self) -> bool {
        self.addr.port() != 0
    }

    /// The address that the client's socket is to be connected to: with port 0 while any port of
    /// it may become the client's.
    pub fn heard(&self) -> SocketAddr {
        let mut addr = self.addr;
        if self.open {
            addr.set_port(0);
        }
        addr
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn u2_a_port_counts_only_with_the_matching_address() {
        let connection = addr("10.0.0.1:5000");
        for (destination, port) in [
            ("0.0.0.0:0", 0),
            ("0.0.0.0:9", 0),
            ("10.0.0.2:9", 0),
            ("10.0.0.1:9", 9),
            ("[::ffff:10.0.0.1]:9", 9),
            ("10.0.0.1:0", 0),
        ] {
            let client_addr = ClientAddr::new(connection, Some(addr(destination)));
            assert_eq!(client_addr.heard(), SocketAddr::new(connection.ip(), port));
            assert_eq!(client_addr.is_known(), port != 0);
        }
        assert_eq!(
            ClientAddr::new(connection, None).heard(),
            addr("10.0.0.1:0")
        );
    }

    #[test]
    fn u3_a_port_is_learned_once_and_again_after_silence() {
        let mut client_addr = ClientAddr::new(addr("10.0.0.1:5000"), None);
        assert!(client_addr.may_be(&addr("10.0.0.1:7")) && client_addr.may_be(&addr("10.0.0.1:8")));
        assert!(!client_addr.may_be(&addr("10.0.0.2:7")));
        assert!(client_addr.learn(7));
        assert!(!client_addr.learn(8));
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:7"));
        assert_eq!(client_addr.heard(), addr("10.0.0.1:7"));
        assert!(!client_addr.may_be(&addr("10.0.0.1:8")));
        client_addr.reopen();
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:7"));
        assert_eq!(client_addr.heard(), addr("10.0.0.1:0"));
        assert!(client_addr.learn(8));
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:8"));
    }
}
