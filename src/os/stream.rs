//! What sockets can do once they are there: connections, listeners, and those of datagrams.

use std::net::SocketAddr;
use std::os::fd::AsRawFd;

use mio::net::{TcpListener, TcpStream, UdpSocket};
use nix::libc::linger;
use nix::sys::socket::{
    MsgFlags, Shutdown, getpeername, getsockopt, recv, send, setsockopt, shutdown, sockopt,
};

use super::error::errno;
use super::pipe::Pipe;
use super::{address, socket, udp};
use crate::net::{self, DnsSocket, Errno, Listener, Stream};

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn accept(&mut self) -> Result<(TcpStream, SocketAddr), Errno> {
        Self::accept(self).map_err(errno)
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        address::local(self)
    }
}

impl Stream for TcpStream {
    type Pipe = Pipe;

    fn open_pipe(&self) -> Result<Pipe, Errno> {
        Pipe::open()
    }

    fn splice_in(&mut self, pipe: &mut Pipe, len: usize) -> Result<usize, Errno> {
        pipe.fill(self, len)
    }

    fn splice_out(&mut self, pipe: &mut Pipe, len: usize) -> Result<usize, Errno> {
        pipe.drain(self, len)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        recv(self.as_raw_fd(), buf, MsgFlags::empty())
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        send(self.as_raw_fd(), buf, MsgFlags::MSG_NOSIGNAL)
    }

    fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        recv(self.as_raw_fd(), buf, MsgFlags::MSG_PEEK)
    }

    fn skip(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        // tcp(7): the bytes are discarded instead of copied.
        recv(self.as_raw_fd(), buf, MsgFlags::MSG_TRUNC)
    }

    fn shutdown_write(&mut self) -> Result<(), Errno> {
        shutdown(self.as_raw_fd(), Shutdown::Write)
    }

    fn take_error(&mut self) -> Option<Errno> {
        match getsockopt(self, sockopt::SocketError) {
            Ok(0) => None,
            Ok(number) => Some(Errno::from_raw(number)),
            Err(error) => Some(error),
        }
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        address::of(getpeername(self.as_raw_fd()))
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        address::local(self)
    }

    fn keep_alive(&mut self) {
        // Without it a vanished peer is found by the idle timeout.
        let _ = socket::keep_alive(self);
    }

    fn abort_on_close(&mut self) {
        let linger = linger {
            l_onoff: 1,
            l_linger: 0,
        };
        // It only fails on a descriptor that is not a socket.
        let _ = setsockopt(self, sockopt::Linger, &linger);
    }
}

impl net::UdpSocket for UdpSocket {
    fn aim(&mut self, peer: SocketAddr) -> Result<(), Errno> {
        address::connect(self, &peer)
    }

    fn join(&mut self) -> Result<(), Errno> {
        udp::join(self)
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        address::local(self)
    }
}

impl DnsSocket for UdpSocket {
    fn send(&mut self, message: &[u8]) -> Result<(), Errno> {
        send(self.as_raw_fd(), message, MsgFlags::MSG_NOSIGNAL).map(drop)
    }

    fn recv(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        recv(self.as_raw_fd(), buf, MsgFlags::empty())
    }
}
