//! Outgoing sockets: options, source address, then the connect.

use std::io;
use std::net::{IpAddr, SocketAddr};
use std::time::Duration;

use mio::net::{TcpStream, UdpSocket};
use nix::sys::socket::{setsockopt, sockopt};
use socket2::{Domain, Protocol, SockAddr, Socket, TcpKeepalive, Type};

use crate::config::Outgoing;
use crate::net::Purpose;

/// How much unsent data the kernel takes for one connection before it says "full". Without it
/// a client that never reads holds 3 to 5 MiB of kernel memory; with it a fifth, as fast.
const NOTSENT_LOWAT_BYTES: u32 = 128 * 1024;

/// Keepalive: silence before the first probe, between probes, and how many go unanswered.
/// A vanished peer is found in two minutes, and NAT entries on the way stay alive.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(60);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(15);
const KEEPALIVE_RETRIES: u32 = 4;

/// Options of every TCP connection. Set on a listener they are inherited by what it accepts.
pub(super) fn set_tcp_options(socket: &Socket, peer_ms: u32) -> io::Result<()> {
    let keepalive = TcpKeepalive::new()
        .with_time(KEEPALIVE_IDLE)
        .with_interval(KEEPALIVE_INTERVAL)
        .with_retries(KEEPALIVE_RETRIES);
    socket.set_tcp_nodelay(true)?;
    // Urgent bytes (FTP's ABOR, telnet's Synch) stay in their place in the stream.
    socket.set_out_of_band_inline(true)?;
    socket.set_tcp_keepalive(&keepalive)?;
    // Old kernels and emulators lack some of these; a connection is worth more than they are.
    let _ = socket.set_tcp_user_timeout(Some(Duration::from_millis(peer_ms.into())));
    let _ = socket.set_tcp_notsent_lowat(NOTSENT_LOWAT_BYTES);
    Ok(())
}

/// Starts a connection.
pub(super) fn connect(
    to: SocketAddr,
    purpose: Purpose,
    outgoing: &Outgoing,
    peer_ms: u32,
) -> io::Result<TcpStream> {
    let socket = open(to, Type::STREAM, Protocol::TCP)?;
    set_tcp_options(&socket, peer_ms)?;
    set_mark(&socket, to, purpose, outgoing)?;
    if purpose == Purpose::Tunnel {
        bind(&socket, to, outgoing)?;
    }
    match socket.connect(&sock_addr(to)) {
        Ok(()) => {}
        Err(error) if is_in_progress(&error) => {}
        Err(error) => return Err(error),
    }
    Ok(TcpStream::from_std(socket.into()))
}

/// What `take` makes of a port of the range that is not in use: `tries_max` are tried in turn,
/// from a random one on. Without a range the kernel picks (port 0).
pub(super) fn at_free_port<T>(
    ports: Option<(u16, u16)>,
    random: u16,
    tries_max: u32,
    mut take: impl FnMut(u16) -> io::Result<T>,
) -> io::Result<T> {
    let (first, last) = ports.unwrap_or((0, 0));
    let count = u32::from(last.saturating_sub(first)) + 1;
    let mut result = Err(io::ErrorKind::AddrInUse.into());
    for step in 0..count.min(tries_max) {
        let offset = (u32::from(random) + step) % count;
        let port = u16::try_from(u32::from(first) + offset).unwrap_or(last);
        result = take(port);
        match &result {
            Err(error) if error.kind() == io::ErrorKind::AddrInUse => {}
            _ => break,
        }
    }
    result
}

/// The local address that the way to `to` starts from: what the kernel picks for a UDP socket
/// that is connected there. Nothing is sent.
pub(super) fn route(to: IpAddr, outgoing: &Outgoing) -> io::Result<IpAddr> {
    // Any port will do.
    let to = SocketAddr::new(to, 9);
    let socket = open(to, Type::DGRAM, Protocol::UDP)?;
    set_mark(&socket, to, Purpose::Tunnel, outgoing)?;
    bind(&socket, to, outgoing)?;
    socket.connect(&sock_addr(to))?;
    let local = socket.local_addr()?.as_socket();
    Ok(local.ok_or(io::ErrorKind::AddrNotAvailable)?.ip())
}

/// A UDP socket to a name server. The kernel picks a random port as it connects.
pub(super) fn datagram(to: SocketAddr, outgoing: &Outgoing) -> io::Result<UdpSocket> {
    let socket = open(to, Type::DGRAM, Protocol::UDP)?;
    set_mark(&socket, to, Purpose::Dns, outgoing)?;
    socket.connect(&sock_addr(to))?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// An address in the form of the system. Once: it is larger than a call.
#[inline(never)]
pub(super) fn sock_addr(addr: SocketAddr) -> SockAddr {
    addr.into()
}

/// A non-blocking socket, closed on exec.
pub(super) fn open(to: SocketAddr, kind: Type, protocol: Protocol) -> io::Result<Socket> {
    let socket = Socket::new(Domain::for_address(to), kind.nonblocking(), Some(protocol));
    socket.map_err(
        |error| match nix::errno::Errno::from_raw(error.raw_os_error().unwrap_or(0)) {
            // A kernel without IPv6: no network of that family.
            nix::errno::Errno::EAFNOSUPPORT => io::ErrorKind::NetworkUnreachable.into(),
            _ => error,
        },
    )
}

/// fwmark, for everything that goes out. A name server on this machine is not "out".
pub(super) fn set_mark(
    socket: &Socket,
    to: SocketAddr,
    purpose: Purpose,
    outgoing: &Outgoing,
) -> io::Result<()> {
    match outgoing.mark {
        Some(_) if purpose == Purpose::Dns && to.ip().is_loopback() => Ok(()),
        Some(mark) => socket.set_mark(mark),
        None => Ok(()),
    }
}

/// Source address and device of a tunnel.
fn bind(socket: &Socket, to: SocketAddr, outgoing: &Outgoing) -> io::Result<()> {
    if let Some(device) = &outgoing.device {
        socket.bind_device(Some(device.as_bytes()))?;
    }
    let source: Option<IpAddr> = match to {
        SocketAddr::V4(_) => outgoing.v4.map(IpAddr::V4),
        SocketAddr::V6(_) => outgoing.v6.map(IpAddr::V6),
    };
    let Some(source) = source else { return Ok(()) };
    // Without it every connect would use up a port of its own, TIME_WAIT included.
    let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
    socket.bind(&sock_addr(SocketAddr::new(source, 0)))
}

fn is_in_progress(error: &io::Error) -> bool {
    error.kind() == io::ErrorKind::WouldBlock
        || error.raw_os_error() == Some(nix::errno::Errno::EINPROGRESS as i32)
}
