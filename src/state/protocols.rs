//! Which protocols and commands are on: configuration that the handshake consults.
//!
//! It lies here, beside what reads it, as [`Policy`](super::access::Policy) does: `config` is a
//! layer above.

/// What clients may use beside SOCKS5 CONNECT, which is always on. A command that is switched off
/// gets the reply to an unknown one (07, or 91 of SOCKS4); a client whose protocol is switched off
/// is disconnected.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Protocols {
    /// UDP ASSOCIATE (RFC 1928 §7).
    pub udp: bool,
    /// BIND, of SOCKS5 and of SOCKS4.
    pub bind: bool,
    /// SOCKS4 and SOCKS4A.
    pub socks4: bool,
    /// HTTP: CONNECT and requests in absolute form.
    pub http: bool,
    /// The report of the proxy's own state, for this machine itself.
    pub status: bool,
}

impl Default for Protocols {
    /// All that is for clients.
    fn default() -> Self {
        Self {
            udp: true,
            bind: true,
            socks4: true,
            http: true,
            status: false,
        }
    }
}
