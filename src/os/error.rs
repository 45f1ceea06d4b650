//! What the system says when it refuses something.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::net::{Errno, in_words};
use crate::state::acceptor::LISTENERS_MAX;

/// Why the program cannot start.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum OpenError {
    /// A listener.
    Listen(SocketAddr, Errno),
    /// An interface to listen on, or an address on it.
    Absent(String),
    /// An address beyond those that there are places for.
    TooMany(SocketAddr),
    /// Anything else.
    System(Errno),
}

impl OpenError {
    /// Returns `true` if it may pass by itself while a router boots.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Absent(_) | Self::TooMany(_))
            || self.is(Errno::EADDRINUSE)
            || self.is(Errno::EADDRNOTAVAIL)
    }

    /// Returns `true` if a listener failed with that error.
    pub(super) fn is(&self, number: Errno) -> bool {
        matches!(self, Self::Listen(_, error) if *error == number)
    }

    /// Returns `true` if the listener of that address failed.
    pub(super) fn is_of(&self, addr: &SocketAddr) -> bool {
        matches!(self, Self::Listen(failed, _) if failed == addr)
    }
}

/// What a port takes that is refused.
pub(super) const LOW_PORT: &str = "ports this low need CAP_NET_BIND_SERVICE, which root has";

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(addr, error) => {
                write!(f, "cannot listen on {addr}: {}", in_words(*error))?;
                if *error == Errno::EACCES {
                    write!(f, ": {LOW_PORT}")?;
                }
                Ok(())
            }
            Self::Absent(name) => {
                write!(
                    f,
                    "cannot listen on {name}: no such interface, or no address"
                )
            }
            Self::TooMany(addr) => {
                write!(
                    f,
                    "cannot listen on {addr}: one address more than {LISTENERS_MAX}"
                )
            }
            Self::System(error) => write!(f, "cannot start: {}", in_words(*error)),
        }
    }
}

/// The number of an error of mio's or socket2's.
pub(super) fn errno(error: io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}
