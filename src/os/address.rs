//! Addresses in the form of the standard library and in that of the kernel.

use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{self, SockaddrStorage};

use crate::net::Errno;

/// The kernel's form of an address.
pub(super) fn storage(addr: &SocketAddr) -> SockaddrStorage {
    (*addr).into()
}

/// The standard library's form of an address; `None` if it is not one of IP.
pub(super) fn read(addr: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = addr.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = addr.as_sockaddr_in6()?;
    let (ip, port, scope) = (v6.ip(), v6.port(), v6.scope_id());
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

/// The address that a system call has returned.
pub(super) fn of(result: Result<SockaddrStorage, Errno>) -> Result<SocketAddr, Errno> {
    read(&result?).ok_or(Errno::EAFNOSUPPORT)
}

/// The local address of a socket.
pub(super) fn local(socket: &impl AsFd) -> Result<SocketAddr, Errno> {
    of(socket::getsockname(socket.as_fd().as_raw_fd()))
}

/// Binds a socket.
pub(super) fn bind(socket: &impl AsFd, addr: &SocketAddr) -> Result<(), Errno> {
    socket::bind(socket.as_fd().as_raw_fd(), &storage(addr))
}

/// Connects a socket. A non-blocking one of TCP only begins to connect.
pub(super) fn connect(socket: &impl AsFd, addr: &SocketAddr) -> Result<(), Errno> {
    socket::connect(socket.as_fd().as_raw_fd(), &storage(addr))
}
