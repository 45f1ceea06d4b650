//! Addresses on their way into the system and out of it: std's form and the kernel's.

use std::net::{SocketAddr, SocketAddrV6};
use std::os::fd::{AsFd, AsRawFd};

use nix::sys::socket::{self, SockaddrStorage};

use crate::net::Errno;

/// The kernel's form.
#[inline(never)]
pub(super) fn storage(addr: &SocketAddr) -> SockaddrStorage {
    (*addr).into()
}

/// std's form; `None` for what is no address of IP.
#[inline(never)]
pub(super) fn read(addr: &SockaddrStorage) -> Option<SocketAddr> {
    if let Some(v4) = addr.as_sockaddr_in() {
        return Some(SocketAddr::from((v4.ip(), v4.port())));
    }
    let v6 = addr.as_sockaddr_in6()?;
    let (ip, port, scope) = (v6.ip(), v6.port(), v6.scope_id());
    Some(SocketAddrV6::new(ip, port, 0, scope).into())
}

/// What a call has come with.
pub(super) fn of(result: Result<SockaddrStorage, Errno>) -> Result<SocketAddr, Errno> {
    read(&result?).ok_or(Errno::EAFNOSUPPORT)
}

/// The address of this end of a socket.
pub(super) fn local(socket: &impl AsFd) -> Result<SocketAddr, Errno> {
    of(socket::getsockname(socket.as_fd().as_raw_fd()))
}

/// Binds a socket.
pub(super) fn bind(socket: &impl AsFd, addr: &SocketAddr) -> Result<(), Errno> {
    socket::bind(socket.as_fd().as_raw_fd(), &storage(addr))
}

/// Connects a socket, or begins to.
pub(super) fn connect(socket: &impl AsFd, addr: &SocketAddr) -> Result<(), Errno> {
    socket::connect(socket.as_fd().as_raw_fd(), &storage(addr))
}
