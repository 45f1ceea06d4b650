//! What the driver has to do.

use std::net::SocketAddr;

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Close whatever has this number, open a socket in its place, and send what
    /// [`super::Resolver::message`] gives.
    Send {
        /// Its number, below [`super::SOCKETS_MAX`].
        socket: u16,
        /// The attempt's serial, to be handed back with everything that comes of it.
        serial: u16,
        /// Whom to ask.
        server: SocketAddr,
        /// Over TCP, with the length in front (RFC 1035 §4.2.2).
        tcp: bool,
    },
    /// Close the socket with this number, if there is one.
    Close {
        /// Its number.
        socket: u16,
    },
}
