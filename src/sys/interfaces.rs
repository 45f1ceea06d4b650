//! The addresses of this machine's interfaces, and which interfaces lead to the Internet.
//!
//! Asks rtnetlink(7); decides nothing. getifaddrs(3) tells half of it with six times the code.
//! [`Interface::default_route`] makes the difference between the inside, whose subnets are served
//! without credentials, and the outside, so every doubt here makes an interface the outside:
//!
//! - A default route counts in whatever table it stands: an uplink with a table of its own (policy
//!   routing, a VRF, netifd's `ip4table`) leads out as well.
//! - A default route of one family counts for both. An uplink often has only one of the two
//!   (IPv6 comes through a tunnel, or its router advertisement has expired), and judged by
//!   family its other prefix, with the provider's other customers in it, would be inside.
//! - Halves of the Internet (0.0.0.0/1, 2000::/3) count: VPNs route it in such pieces.
//! - What cannot be read to its end, or does not fit together, is not taken at all.
//!
//! The price: a subnet taken for the outside is not refused as a destination by
//! that reason. The router's own addresses and the private ranges are refused all the same.

use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, NetlinkAddr, SockFlag, SockProtocol, SockType, bind, recv, send,
    socket,
};

use super::netlink::{Dump, Question, hear};
use crate::net::Survey;
use crate::state::access::Interface;

/// Room for one piece of the kernel's answer, which is the size of a page or of the room.
const PIECE_BYTES: usize = 8192;

/// The most pieces that are read at once: some sixty routes are in one.
const PIECES_MAX: usize = 1 << 17;

/// How often a dump is begun again that changes have interrupted.
const TRIES_MAX: u32 = 5;

/// The addresses of the interfaces as they are now, and others that are this machine's. There is
/// always a loopback one.
///
/// # Errors
/// They cannot be read, or they are too many (`EOVERFLOW`).
pub fn interfaces() -> Result<Vec<Interface>, Errno> {
    let mut watch = Watch::open()?;
    for _ in 0..TRIES_MAX {
        watch.begin()?;
        for _ in 0..PIECES_MAX {
            match watch.read() {
                Ok(Survey::Whole(interfaces)) => return Ok(interfaces),
                Ok(_) => {}
                Err(Errno::EINTR) => break,
                Err(error) => return Err(error),
            }
        }
    }
    Err(Errno::EINTR)
}

/// A socket on which the kernel announces changes, and answers piece by piece.
#[derive(Debug)]
pub struct Watch {
    socket: OwnedFd,
    is_announced: bool,
    dump: Dump,
}

/// The groups of announcements that are heard, a bit for each: RTNLGRP_LINK, _IPV4_IFADDR,
/// _IPV4_ROUTE, _IPV6_IFADDR, _IPV6_ROUTE and _NEXTHOP. A kernel ignores those that it has not.
const GROUPS: u32 = 1 | 1 << 4 | 1 << 6 | 1 << 8 | 1 << 10 | 1 << 31;

impl Watch {
    /// Opens it. Nothing is asked yet.
    ///
    /// # Errors
    /// The system has no such socket for this program.
    pub fn open() -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let protocol = SockProtocol::NetlinkRoute;
        let socket = socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)?;
        let bound = bind(socket.as_raw_fd(), &NetlinkAddr::new(0, GROUPS));
        Ok(Self {
            socket,
            is_announced: bound.is_ok(),
            dump: Dump::default(),
        })
    }

    /// Returns `true` if changes are announced.
    pub fn is_announced(&self) -> bool {
        self.is_announced
    }

    /// Puts the first question.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(&mut self) -> Result<(), Errno> {
        self.dump.restart();
        self.ask().map(drop)
    }

    /// Reads one piece.
    ///
    /// # Errors
    /// As `Net::survey`. After any but `EAGAIN` and `EINTR` the socket is of no use.
    pub fn read(&mut self) -> Result<Survey, Errno> {
        let mut room = [0; PIECE_BYTES];
        let piece = match receive(&self.socket, &mut room) {
            // More was announced than there is room for.
            Err(Errno::ENOBUFS) => return Ok(Survey::Changed),
            piece => piece?,
        };
        let heard = hear(piece, &mut self.dump)?;
        if heard.is_answered && !self.ask()? {
            let interfaces = self.dump.interfaces();
            self.dump.restart();
            return interfaces.map(Survey::Whole);
        }
        Ok(if heard.is_changed {
            Survey::Changed
        } else {
            Survey::Piece
        })
    }

    /// Puts the next question. Returns `false` if there is none left.
    fn ask(&mut self) -> Result<bool, Errno> {
        let mut room = Question::default();
        let Some(question) = self.dump.next_question(&mut room) else {
            return Ok(false);
        };
        send(self.socket.as_raw_fd(), question, MsgFlags::empty())?;
        Ok(true)
    }
}

impl AsFd for Watch {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }
}

/// Receives one piece.
fn receive<'a>(socket: &OwnedFd, room: &'a mut [u8]) -> Result<&'a [u8], Errno> {
    // With this flag the length is that of the piece, whether it fits or not.
    let len = recv(socket.as_raw_fd(), room, MsgFlags::MSG_TRUNC)?;
    room.get(..len).ok_or(Errno::EMSGSIZE)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let found = interfaces().unwrap();
        let local = found
            .iter()
            .find(|interface| interface.addr.is_loopback())
            .unwrap();
        assert!(local.name == "lo" && local.index != 0 && !local.default_route);
    }
}
