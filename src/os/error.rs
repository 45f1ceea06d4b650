//! What the system says when it refuses something.

use std::fmt;
use std::io;
use std::net::SocketAddr;

use crate::net::{Errno, in_words};

/// Why the program cannot start.
#[derive(Debug)]
pub enum OpenError {
    /// A listener.
    Listen(SocketAddr, Errno),
    /// An interface to listen on, or an address on it.
    Absent(String),
    /// Anything else.
    System(Errno),
    /// TERM or INT came while a listener was being waited for.
    Stopped,
}

impl OpenError {
    /// Returns `true` if it may pass by itself while a router boots.
    pub(super) fn is_transient(&self) -> bool {
        matches!(self, Self::Absent(_))
            || self.is(Errno::EADDRINUSE)
            || self.is(Errno::EADDRNOTAVAIL)
    }

    /// Returns `true` if a listener failed with that error.
    pub(super) fn is(&self, number: Errno) -> bool {
        matches!(self, Self::Listen(_, error) if *error == number)
    }
}

impl fmt::Display for OpenError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Listen(addr, error) => {
                write!(f, "cannot listen on {addr}: {}", in_words(*error))
            }
            Self::Absent(name) => {
                write!(
                    f,
                    "cannot listen on {name}: no such interface, or no address"
                )
            }
            Self::System(error) => write!(f, "cannot start: {}", in_words(*error)),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

/// The number of an error of mio's or socket2's.
pub(super) fn errno(error: io::Error) -> Errno {
    error
        .raw_os_error()
        .map_or(Errno::UnknownErrno, Errno::from_raw)
}
