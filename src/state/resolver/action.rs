//! What the driver has to do, and which of it has not been told yet.
//!
//! Two sets of socket numbers stand for a queue: no socket is in a queue twice, what is out of
//! date is taken out at once, and the memory is fixed.

use std::net::SocketAddr;

use super::SOCKETS_MAX;

/// What the driver has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Action {
    /// Close whatever has this number, open a socket in its place, and send what
    /// [`super::Resolver::message`] gives.
    Send {
        /// Its number, below [`SOCKETS_MAX`].
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

/// The actions that are pending.
#[derive(Debug, Default)]
pub(super) struct Pending {
    /// Sockets to send on: one bit for each half that is queued.
    sends: u128,
    /// Sockets to close; never one that is to be sent on.
    closes: u128,
    /// Where the search for the next send begins, so that all sockets have their turns.
    start: u16,
}

// The sets are the bits of a `u128`.
const _: () = assert!(SOCKETS_MAX == 128);

impl Pending {
    /// A query is to be sent on a fresh socket.
    pub(super) fn send(&mut self, socket: u16) {
        self.sends |= bit(socket);
        self.closes &= !bit(socket);
    }

    /// Nothing is to be sent or awaited any more.
    pub(super) fn close(&mut self, socket: u16) {
        self.sends &= !bit(socket);
        self.closes |= bit(socket);
    }

    /// Takes a socket to close.
    pub(super) fn next_close(&mut self) -> Option<u16> {
        let socket = first_from(self.closes, 0)?;
        self.closes &= !bit(socket);
        Some(socket)
    }

    /// Takes a socket to send on.
    pub(super) fn next_send(&mut self) -> Option<u16> {
        let socket = first_from(self.sends, self.start)?;
        self.sends &= !bit(socket);
        self.start = socket + 1;
        Some(socket)
    }

    pub(super) fn is_empty(&self) -> bool {
        self.sends | self.closes == 0
    }

    /// Whether a query is to be sent on this socket.
    pub(super) fn is_sending(&self, socket: u16) -> bool {
        self.sends & bit(socket) != 0
    }

    /// Sweeps the invariants.
    pub(super) fn check(&self) {
        assert_eq!(self.sends & self.closes, 0);
    }
}

fn bit(socket: u16) -> u128 {
    1 << socket
}

/// The first number of a set, counted from `start` and round; `None`: it is empty.
fn first_from(set: u128, start: u16) -> Option<u16> {
    let ahead = set.rotate_right(u32::from(start)).trailing_zeros();
    let place = u16::try_from(ahead).ok().filter(|_| set != 0)?;
    Some((start + place) % 128)
}
