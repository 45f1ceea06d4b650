//! The sockets of UDP associations, and the calls that move their datagrams in batches.
//!
//! nix resets neither the length of an address nor, after sending, the pointer to where an address
//! is to be written. So headers that were used to send are never used to receive, and there are
//! headers of their own to receive for each family.

use std::array;
use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::AsRawFd;

use mio::net::UdpSocket;
use nix::sys::socket::{
    self, MsgFlags, MultiHeaders, SockType, SockaddrStorage, recvmmsg, sendmmsg, setsockopt,
    sockopt,
};

use super::address;
use super::socket::{at_free_port, open, set_device, set_mark};
use crate::config::Outgoing;
use crate::net::Errno;
use crate::state::batch::{BATCH_MAX, Batch};

/// The number of ports of a range that are tried: as many as there can be associations, so that a
/// free one is found in any range that no other program uses.
const UDP_PORTS_TRIED_MAX: u32 = 1024;

/// The message headers for the kernel, kept from call to call: 3 KiB each.
#[derive(Debug)]
pub(super) struct Headers {
    from_v4: MultiHeaders<SockaddrStorage>,
    from_v6: MultiHeaders<SockaddrStorage>,
    to: MultiHeaders<SockaddrStorage>,
    /// Where each datagram goes; `None` where the socket is connected.
    addrs: Vec<Option<SockaddrStorage>>,
}

impl Headers {
    pub(super) fn new() -> Self {
        Self {
            from_v4: MultiHeaders::preallocate(BATCH_MAX, None),
            from_v6: MultiHeaders::preallocate(BATCH_MAX, None),
            to: MultiHeaders::preallocate(BATCH_MAX, None),
            addrs: Vec::with_capacity(BATCH_MAX),
        }
    }
}

/// A socket at `local`, with a port of the range `ports` or any, that receives from the address of
/// `client` only: Linux takes port 0 of a peer as any port.
pub(super) fn inner(
    local: SocketAddr,
    client: SocketAddr,
    ports: Option<(u16, u16)>,
    random: u16,
) -> Result<UdpSocket, Errno> {
    let socket = open(&local, SockType::Datagram)?;
    if local.is_ipv6() {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    at_free_port(ports, random, UDP_PORTS_TRIED_MAX, |port| {
        address::bind(&socket, &with_port(local, port))
    })?;
    address::connect(&socket, &with_port(client, 0))?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// A socket towards all remotes of a family.
pub(super) fn outer(is_v6: bool, outgoing: &Outgoing) -> Result<UdpSocket, Errno> {
    let source: IpAddr = if is_v6 {
        outgoing.v6.unwrap_or(Ipv6Addr::UNSPECIFIED).into()
    } else {
        outgoing.v4.unwrap_or(Ipv4Addr::UNSPECIFIED).into()
    };
    let local = SocketAddr::new(source, 0);
    let socket = open(&local, SockType::Datagram)?;
    set_mark(&socket, outgoing)?;
    set_device(&socket, outgoing)?;
    if is_v6 {
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    address::bind(&socket, &local)?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// Receives at most a batch. Returns the number of datagrams.
pub(super) fn receive(
    headers: &mut Headers,
    socket: &UdpSocket,
    batch: &mut Batch,
    is_v6: bool,
) -> Result<usize, Errno> {
    let kept = if is_v6 {
        &mut headers.from_v6
    } else {
        &mut headers.from_v4
    };
    // Source, length, and whether it was cut: set in the batch once its memory is not borrowed any
    // more. The kernel returns the source of every datagram.
    let nobody = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
    let mut arrived = [(nobody, 0, true); BATCH_MAX];
    let mut count = 0;
    let mut slices = batch.spaces().map(|space| [IoSliceMut::new(space)]);
    let results = recvmmsg(
        socket.as_raw_fd(),
        kept,
        slices.iter_mut(),
        MsgFlags::empty(),
        None,
    )?;
    for (place, message) in arrived.iter_mut().zip(results) {
        if let Some(from) = message.address.as_ref().and_then(address::read) {
            let cut = message.flags.contains(MsgFlags::MSG_TRUNC);
            *place = (from, message.bytes, cut);
        }
        count += 1;
    }
    for (number, (from, len, cut)) in arrived.iter().enumerate().take(count) {
        batch.set_received(number, *from, *len, *cut);
    }
    Ok(count)
}

/// Sends the datagrams with these numbers: each to its address, or all to the peer of the socket
/// if it is connected (`is_aimed`). Returns how many were sent, from the first on.
pub(super) fn send(
    headers: &mut Headers,
    socket: &UdpSocket,
    batch: &Batch,
    numbers: &[u8],
    is_aimed: bool,
) -> Result<usize, Errno> {
    if let [number] = numbers {
        return send_one(socket, batch, usize::from(*number), is_aimed);
    }
    let len = numbers.len().min(BATCH_MAX);
    let numbers = &numbers[..len];
    let bytes = |at: usize| numbers.get(at).map(|number| batch.bytes((*number).into()));
    let slices: [_; BATCH_MAX] = array::from_fn(|at| [IoSlice::new(bytes(at).unwrap_or_default())]);
    headers.addrs.clear();
    headers.addrs.extend(numbers.iter().map(|number| {
        let to = batch.addr((*number).into());
        (!is_aimed).then(|| address::storage(to))
    }));
    let sent = sendmmsg(
        socket.as_raw_fd(),
        &mut headers.to,
        &slices[..len],
        &headers.addrs,
        [],
        MsgFlags::empty(),
    )?;
    Ok(sent.count())
}

/// Sends one datagram: most are alone, and building the headers of a batch would take a third of
/// what such a one costs.
fn send_one(
    socket: &UdpSocket,
    batch: &Batch,
    number: usize,
    is_aimed: bool,
) -> Result<usize, Errno> {
    let (socket, bytes, flags) = (socket.as_raw_fd(), batch.bytes(number), MsgFlags::empty());
    if is_aimed {
        socket::send(socket, bytes, flags)?;
    } else {
        let to = address::storage(batch.addr(number));
        socket::sendto(socket, bytes, &to, flags)?;
    }
    Ok(1)
}

/// The same address, scope included, with another port.
fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}
