//! Outgoing sockets: options, source address, then the connect.

use std::ffi::OsString;
use std::net::{IpAddr, SocketAddr};
use std::os::fd::{AsFd, OwnedFd};

use mio::net::{TcpStream, UdpSocket};
use nix::sys::socket::{AddressFamily, SockFlag, SockType, setsockopt, socket, sockopt};
use socket2::SockRef;

use super::address;
use crate::config::{Config, Outgoing};
use crate::net::{Errno, Purpose};

/// The number of unsent bytes up to which the kernel takes more for one connection, in buffers of
/// the relay: 32 KiB as a rule, and the kernel asks for more when half of it is left. Without this
/// limit a client that never reads holds 3 to 5 MiB of kernel memory. Measured on a router with
/// 64 MB and a wire's frames, a tunnel that stands still holds 175 KiB with 128 KiB here, 149 with
/// 32 and 144 with 16; the speed is the same down to 32, and 16 take a tenth more of the processor.
const NOTSENT_BUFFERS: usize = 4;

/// And not more than that: larger buffers are no reason to leave more to the kernel.
const NOTSENT_BYTES_MAX: usize = 128 << 10;

/// Keepalive: the seconds of silence before the first probe, the seconds between probes, and the
/// number of probes without an answer. An idle peer that is gone is found in two minutes, and NAT
/// entries on the way are kept.
const KEEPALIVE_IDLE: u32 = 60;
const KEEPALIVE_INTERVAL: u32 = 15;
const KEEPALIVE_RETRIES: u32 = 4;

/// The options of TCP connections that are not the same in every configuration.
#[derive(Clone, Copy, Debug)]
pub(super) struct TcpOptions {
    /// TCP_USER_TIMEOUT in milliseconds; 0 is the kernel's default.
    peer_ms: u32,
    /// TCP_NOTSENT_LOWAT.
    notsent_bytes: u32,
}

impl TcpOptions {
    pub(super) fn new(config: &Config) -> Self {
        let notsent_bytes = config.limits.buffer_bytes.saturating_mul(NOTSENT_BUFFERS);
        let notsent_bytes = notsent_bytes.min(NOTSENT_BYTES_MAX);
        Self {
            peer_ms: config.timeouts.peer_ms,
            notsent_bytes: u32::try_from(notsent_bytes).expect("128 KiB at most"),
        }
    }
}

/// Sets the options of every TCP connection. Connections inherit those of their listener.
pub(super) fn set_tcp_options(socket: &OwnedFd, options: TcpOptions) -> Result<(), Errno> {
    setsockopt(socket, sockopt::TcpNoDelay, &true)?;
    // Urgent bytes (FTP's ABOR, telnet's Synch) stay in their place in the stream.
    setsockopt(socket, sockopt::OobInline, &true)?;
    // Old kernels and emulators lack some of these: errors are ignored.
    if options.peer_ms > 0 {
        // It overrides the number of probes above (tcp(7)).
        let _ = setsockopt(socket, sockopt::TcpUserTimeout, &options.peer_ms);
    }
    let _ = SockRef::from(socket).set_tcp_notsent_lowat(options.notsent_bytes);
    Ok(())
}

/// Arms keepalive. The silence counts from the last segment, not from here. Connections inherit it
/// of their listener; those to targets get it when they have become old (four system calls that
/// most connections are too short for).
pub(super) fn keep_alive(socket: &impl AsFd) -> Result<(), Errno> {
    setsockopt(socket, sockopt::KeepAlive, &true)?;
    setsockopt(socket, sockopt::TcpKeepIdle, &KEEPALIVE_IDLE)?;
    setsockopt(socket, sockopt::TcpKeepInterval, &KEEPALIVE_INTERVAL)?;
    setsockopt(socket, sockopt::TcpKeepCount, &KEEPALIVE_RETRIES)
}

/// Starts a connection.
pub(super) fn connect(
    to: &SocketAddr,
    purpose: Purpose,
    outgoing: &Outgoing,
    options: TcpOptions,
) -> Result<TcpStream, Errno> {
    let socket = open(to, SockType::Stream)?;
    set_tcp_options(&socket, options)?;
    lead(&socket, to, purpose, outgoing)?;
    match address::connect(&socket, to) {
        Ok(()) | Err(Errno::EINPROGRESS | Errno::EAGAIN) => Ok(TcpStream::from_std(socket.into())),
        Err(error) => Err(error),
    }
}

/// Calls `take` with ports of the range in turn, from a random one on, until one is not in use
/// or `tries_max` have been tried. Without a range the kernel picks the port (port 0).
pub(super) fn at_free_port<T>(
    ports: Option<(u16, u16)>,
    random: u16,
    tries_max: u32,
    mut take: impl FnMut(u16) -> Result<T, Errno>,
) -> Result<T, Errno> {
    let (first, last) = ports.unwrap_or((0, 0));
    let count = u32::from(last - first) + 1;
    for step in 0..count.min(tries_max) {
        let offset = (u32::from(random) + step) % count;
        let port = u32::from(first) + offset;
        match take(u16::try_from(port).expect("a port of the range")) {
            Err(Errno::EADDRINUSE) => {}
            result => return result,
        }
    }
    Err(Errno::EADDRINUSE)
}

/// The local address of packets to `to`: the one that the kernel picks for a UDP socket that is
/// connected there. Nothing is sent.
pub(super) fn route(to: IpAddr, outgoing: &Outgoing) -> Result<IpAddr, Errno> {
    // Any port will do.
    let to = &SocketAddr::new(to, 9);
    let socket = open(to, SockType::Datagram)?;
    lead(&socket, to, Purpose::Tunnel, outgoing)?;
    address::connect(&socket, to)?;
    Ok(address::local(&socket)?.ip())
}

/// A UDP socket to a name server. The kernel picks a random port as it connects.
pub(super) fn dns(server: &SocketAddr, outgoing: &Outgoing) -> Result<UdpSocket, Errno> {
    let socket = open(server, SockType::Datagram)?;
    lead(&socket, server, Purpose::Dns, outgoing)?;
    address::connect(&socket, server)?;
    Ok(UdpSocket::from_std(socket.into()))
}

/// A socket towards `to`. A kernel without IPv6 has no network of that family.
pub(super) fn open(to: &SocketAddr, kind: SockType) -> Result<OwnedFd, Errno> {
    match create(to, kind) {
        Err(Errno::EAFNOSUPPORT) => Err(Errno::ENETUNREACH),
        result => result,
    }
}

/// A non-blocking socket of the family of `addr`, closed on exec.
pub(super) fn create(addr: &SocketAddr, kind: SockType) -> Result<OwnedFd, Errno> {
    let family = if addr.is_ipv4() {
        AddressFamily::Inet
    } else {
        AddressFamily::Inet6
    };
    let flags = SockFlag::SOCK_NONBLOCK | SockFlag::SOCK_CLOEXEC;
    socket(family, kind, flags, None)
}

/// Sets mark, device and source address of what leaves by a socket. Queries go the way that
/// tunnels go, or names would be told to those whom the tunnels avoid; but a name server on this
/// machine is reached by none.
fn lead(
    socket: &OwnedFd,
    to: &SocketAddr,
    purpose: Purpose,
    outgoing: &Outgoing,
) -> Result<(), Errno> {
    let nothing = Outgoing::default();
    if purpose == Purpose::Dns && (*outgoing == nothing || is_own(to.ip())) {
        return Ok(());
    }
    set_mark(socket, outgoing)?;
    bind(socket, to, outgoing)
}

/// Returns `true` if an address is this machine's: the kernel answers from that very address.
fn is_own(ip: IpAddr) -> bool {
    ip.is_loopback() || route(ip, &Outgoing::default()) == Ok(ip)
}

/// Sets the fwmark of outgoing packets.
pub(super) fn set_mark(socket: &OwnedFd, outgoing: &Outgoing) -> Result<(), Errno> {
    match &outgoing.mark {
        Some(mark) => setsockopt(socket, sockopt::Mark, mark),
        None => Ok(()),
    }
}

/// Sets the device of outgoing packets.
pub(super) fn set_device(socket: &OwnedFd, outgoing: &Outgoing) -> Result<(), Errno> {
    match &outgoing.device {
        Some(device) => setsockopt(socket, sockopt::BindToDevice, &OsString::from(device)),
        None => Ok(()),
    }
}

/// Sets device and source address. Where only the other family has a source address, this one has
/// no way out.
fn bind(socket: &OwnedFd, to: &SocketAddr, outgoing: &Outgoing) -> Result<(), Errno> {
    set_device(socket, outgoing)?;
    let source: Option<IpAddr> = match to {
        SocketAddr::V4(_) => outgoing.v4.map(IpAddr::V4),
        SocketAddr::V6(_) => outgoing.v6.map(IpAddr::V6),
    };
    let Some(source) = source else {
        return if outgoing.v4.is_some() || outgoing.v6.is_some() {
            Err(Errno::ENETUNREACH)
        } else {
            Ok(())
        };
    };
    // Otherwise every connection would occupy a local port for itself, in TIME_WAIT too.
    let _ = setsockopt(socket, sockopt::IpBindAddressNoPort, &true);
    address::bind(socket, &SocketAddr::new(source, 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn this_machines_own_addresses_are_known_without_their_interfaces() {
        for (addr, is_ours) in [
            ("127.0.0.1", true),
            ("127.0.0.53", true),
            ("::1", true),
            // A test network (RFC 5737 §3).
            ("192.0.2.1", false),
        ] {
            assert_eq!(is_own(addr.parse().unwrap()), is_ours, "{addr}");
        }
        for interface in crate::sys::interfaces::interfaces().unwrap() {
            let has_scope = matches!(interface.addr, IpAddr::V6(v6) if v6.is_unicast_link_local());
            assert!(has_scope || is_own(interface.addr), "{}", interface.addr);
        }
    }
}
