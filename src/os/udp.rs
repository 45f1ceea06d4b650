//! The sockets of UDP associations, and the calls that move their datagrams in batches.
//!
//! nix resets neither the length of an address nor that of a control message from call to call,
//! nor, after sending, the pointer to where an address is to be written. So headers that were used
//! to send are never used to receive, there are headers of their own to receive for each family,
//! and new ones for each call that has control messages.

use std::io::{IoSlice, IoSliceMut};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, AsRawFd};

use mio::net::UdpSocket;
use nix::cmsg_space;
use nix::libc::c_int;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{
    self, ControlMessage, ControlMessageOwned, MsgFlags, MultiHeaders, SockType, SockaddrStorage,
    recvmmsg, sendmmsg, sendmsg, setsockopt, sockopt,
};

use super::address;
use super::socket::{at_free_port, open, set_device, set_mark};
use crate::config::Outgoing;
use crate::net::{Errno, Intake, Offload};
use crate::state::batch::{BATCH_MAX, Batch, Received};

/// The number of ports of a range that are tried: as many as there can be associations, so that a
/// free one is found in any range that no other program uses.
const UDP_PORTS_TRIED_MAX: u32 = 1024;

/// The lengths of the datagrams with which it is tried what the kernel does. The first one has
/// another value with its bytes exchanged: emulators of the other byte order hand the length of a
/// run on as it is, and that of joined datagrams back.
const TRIED_LENS: [usize; 3] = [300, 300, 150];

/// How long such a datagram may take, in milliseconds. As a rule it is there when it is sent.
const TRIED_MS: u16 = 100;

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

/// Receives into places of the batch. Returns how many were filled.
pub(super) fn receive(
    headers: &mut Headers,
    socket: &UdpSocket,
    batch: &mut Batch,
    intake: Intake,
) -> Result<usize, Errno> {
    let Intake { places, .. } = intake;
    let mut new;
    let headers = if intake.joins {
        new = MultiHeaders::preallocate(places, Some(cmsg_space!(c_int)));
        &mut new
    } else if intake.is_v6 {
        &mut headers.from_v6
    } else {
        &mut headers.from_v4
    };
    let (spaces, received) = batch.places();
    let mut slices = Vec::with_capacity(places);
    for space in spaces.take(places) {
        slices.push([IoSliceMut::new(space)]);
    }
    let messages = recvmmsg(
        socket.as_raw_fd(),
        headers,
        slices.iter_mut(),
        MsgFlags::empty(),
        None,
    )?;
    let mut count = 0;
    for (place, message) in received.iter_mut().zip(messages) {
        let mut cut = message.flags.contains(MsgFlags::MSG_TRUNC);
        let mut segment_len = 0;
        match message.cmsgs() {
            Ok(mut controls) => {
                if let Some(ControlMessageOwned::UdpGroSegments(len)) = controls.next() {
                    segment_len = usize::try_from(len).unwrap_or(0);
                }
            }
            // Joined, and nobody knows of what.
            Err(_) => cut = true,
        }
        // The kernel returns the source of every datagram.
        let from = message.address.as_ref().and_then(address::read);
        *place = Received {
            from: from.unwrap_or(place.from),
            len: message.bytes,
            segment_len,
            cut: cut || from.is_none(),
        };
        count += 1;
    }
    Ok(count)
}

/// Sends the datagrams of these numbers: each to its address, or all to the peer of the socket
/// if it is connected (`is_aimed`). Returns how many were sent, from the first on.
pub(super) fn send(
    headers: &mut Headers,
    socket: &UdpSocket,
    batch: &Batch,
    numbers: Range<usize>,
    is_aimed: bool,
) -> Result<usize, Errno> {
    // Most are alone: building the headers of a batch would take a third of what such a one costs.
    if numbers.len() == 1
        && let [bytes, []] = batch.parts(numbers.start)
    {
        let (socket, flags) = (socket.as_raw_fd(), MsgFlags::empty());
        let sent = if is_aimed {
            socket::send(socket, bytes, flags)
        } else {
            let to = address::storage(batch.to(numbers.start));
            socket::sendto(socket, bytes, &to, flags)
        };
        return sent.map(|_| 1);
    }
    let mut slices = Vec::with_capacity(BATCH_MAX);
    headers.addrs.clear();
    for number in numbers.take(BATCH_MAX) {
        slices.push(batch.parts(number).map(IoSlice::new));
        let to = (!is_aimed).then(|| address::storage(batch.to(number)));
        headers.addrs.push(to);
    }
    let sent = sendmmsg(
        socket.as_raw_fd(),
        &mut headers.to,
        &slices,
        &headers.addrs,
        [],
        MsgFlags::empty(),
    )?;
    Ok(sent.count())
}

/// Sends a run of datagrams: all of them, or none.
pub(super) fn send_run(
    socket: &UdpSocket,
    batch: &Batch,
    numbers: Range<usize>,
    is_aimed: bool,
) -> Result<(), Errno> {
    let to = (!is_aimed).then(|| address::storage(batch.to(numbers.start)));
    let len = u16::try_from(batch.outgoing_len(numbers.start)).map_err(|_| Errno::EMSGSIZE)?;
    let mut slices = Vec::with_capacity(2 * numbers.len());
    for number in numbers {
        let [first, second] = batch.parts(number);
        slices.push(IoSlice::new(first));
        if !second.is_empty() {
            slices.push(IoSlice::new(second));
        }
    }
    let controls = [ControlMessage::UdpGsoSegments(&len)];
    let flags = MsgFlags::empty();
    sendmsg(socket.as_raw_fd(), &slices, &controls, flags, to.as_ref()).map(drop)
}

/// Lets the kernel join datagrams of one sender and one length.
pub(super) fn join(socket: &UdpSocket) -> Result<(), Errno> {
    setsockopt(socket, sockopt::UdpGroSegment, &true)
}

/// Tries over loopback what the kernel does: a run has to arrive apart, and joined where that is
/// asked for. What cannot be tried is not used.
pub(super) fn try_offload(headers: &mut Headers) -> Offload {
    let mut offload = Offload::default();
    // An error says the same as datagrams that are not what they were.
    let _ = try_both(headers, &mut offload);
    offload
}

fn try_both(headers: &mut Headers, offload: &mut Offload) -> Result<(), Errno> {
    let local = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
    // Connected to itself, it hears nobody else.
    let socket = UdpSocket::from_std(open(&local, SockType::Datagram)?.into());
    address::bind(&socket, &local)?;
    address::connect(&socket, &address::local(&socket)?)?;
    let mut batch = Batch::default();
    offload.sends = arrives(headers, &socket, &mut batch, false)?;
    if offload.sends {
        join(&socket)?;
        offload.receives = arrives(headers, &socket, &mut batch, true)?;
    }
    Ok(())
}

/// Sends a run to the socket itself. Returns `true` if it arrives as what it was: joined in one
/// place, or apart.
fn arrives(
    headers: &mut Headers,
    socket: &UdpSocket,
    batch: &mut Batch,
    joins: bool,
) -> Result<bool, Errno> {
    let bytes = batch.put(&[0; TRIED_LENS[0]]);
    batch.clear();
    for len in TRIED_LENS {
        let nobody = (Ipv4Addr::UNSPECIFIED, 0).into();
        batch.push(nobody, b"", bytes.without(TRIED_LENS[0] - len));
    }
    send_run(socket, batch, 0..TRIED_LENS.len(), true)?;
    let mut descriptors = [PollFd::new(socket.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::from(TRIED_MS))?;
    let intake = Intake {
        places: TRIED_LENS.len() + 1,
        is_v6: false,
        joins,
    };
    let places = receive(headers, socket, batch, intake)?;
    let mut same = places == if joins { 1 } else { TRIED_LENS.len() };
    for (number, len) in TRIED_LENS.into_iter().enumerate() {
        let (place, at) = if joins { (0, number) } else { (number, 0) };
        same &= batch.segment(place, at).len() == len;
    }
    Ok(same)
}

/// The same address, scope included, with another port.
fn with_port(mut addr: SocketAddr, port: u16) -> SocketAddr {
    addr.set_port(port);
    addr
}
