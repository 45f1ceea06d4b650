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

use std::os::fd::{AsRawFd, OwnedFd};

use nix::errno::Errno;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::netlink::{Dump, hear};
use crate::state::access::Interface;

/// Room for one piece of the kernel's answer, which is the size of a page or of the room.
const PIECE_BYTES: usize = 8192;

/// The most pieces of an answer: some sixty routes are in one.
const PIECES_MAX: usize = 1 << 17;

/// How often a dump is begun again that changes have interrupted.
const TRIES_MAX: u32 = 5;

/// The addresses of the interfaces as they are now. There is always a loopback one.
///
/// # Errors
/// They cannot be read, or they are too many (`EOVERFLOW`).
pub fn interfaces() -> Result<Vec<Interface>, Errno> {
    let mut outcome = Err(Errno::EINTR);
    for _ in 0..TRIES_MAX {
        outcome = read_all();
        if outcome != Err(Errno::EINTR) {
            break;
        }
    }
    outcome
}

/// Puts all questions and waits for the answers, which are there at once.
fn read_all() -> Result<Vec<Interface>, Errno> {
    let socket = open()?;
    let mut dump = Dump::new(0);
    while let Some(question) = dump.next_question() {
        send(socket.as_raw_fd(), &question, MsgFlags::empty())?;
        let mut is_answered = false;
        for _ in 0..PIECES_MAX {
            let mut room = [0; PIECE_BYTES];
            let piece = receive(&socket, &mut room)?;
            is_answered = hear(piece, Some(&mut dump))?.is_answered;
            if is_answered {
                break;
            }
        }
        if !is_answered {
            return Err(Errno::EOVERFLOW);
        }
    }
    dump.interfaces()
}

fn open() -> Result<OwnedFd, Errno> {
    let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
    let protocol = SockProtocol::NetlinkRoute;
    socket(AddressFamily::Netlink, SockType::Raw, flags, protocol)
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
