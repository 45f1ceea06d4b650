//! One attempt at a server: a fresh socket, over which one query goes out and its answer comes
//! in, by UDP or TCP.
//!
//! Each attempt has a socket of its own, so that the kernel picks a random port for each and
//! drops what other hosts send. The socket closes with the [`Exchange`].

use std::net::SocketAddr;

use super::query::Transport;
use crate::net::{DnsSocket, Errno, Net, Purpose, Stream};
use crate::state::slots::Token;

/// What is kept of an answer: eight addresses behind a long chain of names fit several times.
pub(super) const ANSWER_BYTES: usize = 4096;

/// The length in front of a message over TCP (RFC 1035 §4.2.2).
const PREFIX_BYTES: usize = 2;

/// A query that has been sent, or is being sent, and the socket on which its answer will come.
pub(super) struct Exchange<N: Net> {
    token: Token,
    /// A read may give something. An event sets it, `EAGAIN` clears it: no edge is lost.
    is_ready: bool,
    socket: Socket<N>,
}

enum Socket<N: Net> {
    Udp(N::DnsSocket),
    Tcp(Box<TcpSocket<N::Stream>>),
}

struct TcpSocket<S: Stream> {
    stream: S,
    /// The query and later the answer, each with its length in front.
    bytes: [u8; PREFIX_BYTES + ANSWER_BYTES],
    /// The number of bytes that have been written or read.
    len: usize,
    /// The number of bytes to write or read, as far as it is known.
    end: usize,
    /// All of the query has been written.
    is_sent: bool,
}

impl<N: Net> Exchange<N> {
    /// Opens a socket to `server`, registers it with `token`, and sends `query`. Over TCP the
    /// query is sent once the connection is established.
    pub(super) fn open(
        net: &mut N,
        server: SocketAddr,
        transport: Transport,
        token: Token,
        query: &[u8],
    ) -> Result<Self, Errno> {
        let socket = match transport {
            Transport::Udp => {
                let mut socket = net.dns_socket(server, token)?;
                socket.send(query)?;
                Socket::Udp(socket)
            }
            Transport::Tcp => {
                let stream = net.connect(server, Purpose::Dns, token)?;
                Socket::Tcp(TcpSocket::new(stream, query))
            }
        };
        Ok(Self {
            token,
            is_ready: false,
            socket,
        })
    }

    /// Notes an event. One of a socket that has closed since carries another token.
    pub(super) fn handle_event(&mut self, token: Token) {
        self.is_ready |= self.token == token;
    }

    /// Returns `true` if [`Exchange::receive`] may have something to do.
    pub(super) fn is_ready(&self) -> bool {
        self.is_ready
    }

    /// Goes on by one system call and returns the length of the message that is complete with
    /// it, in `buf`; of a longer one, `buf` has the front. `None`: no message yet.
    ///
    /// # Errors
    /// The server refuses, cannot be reached, or has closed the connection too early.
    pub(super) fn receive(&mut self, buf: &mut [u8; ANSWER_BYTES]) -> Result<Option<usize>, Errno> {
        let result = match &mut self.socket {
            Socket::Udp(socket) => socket.recv(buf).map(Some),
            Socket::Tcp(socket) => socket.step(buf),
        };
        match result {
            Err(Errno::EAGAIN) => {
                self.is_ready = false;
                Ok(None)
            }
            Err(Errno::EINTR) => Ok(None),
            result => result,
        }
    }
}

impl<S: Stream> TcpSocket<S> {
    fn new(stream: S, query: &[u8]) -> Box<Self> {
        let len = u16::try_from(query.len()).expect("a query is 282 bytes at most");
        let mut socket = Box::new(Self {
            stream,
            bytes: [0; PREFIX_BYTES + ANSWER_BYTES],
            len: 0,
            end: PREFIX_BYTES + query.len(),
            is_sent: false,
        });
        let (prefix, message) = socket.bytes.split_at_mut(PREFIX_BYTES);
        prefix.copy_from_slice(&len.to_be_bytes());
        message[..query.len()].copy_from_slice(query);
        socket
    }

    /// Writes once, which gives `EAGAIN` until the connection is established, or reads once if
    /// the query has been written.
    fn step(&mut self, buf: &mut [u8; ANSWER_BYTES]) -> Result<Option<usize>, Errno> {
        let part = &mut self.bytes[self.len..self.end];
        let len = if self.is_sent {
            self.stream.read(part)
        } else {
            self.stream.write(part)
        }?;
        if len == 0 {
            return Err(Errno::ECONNRESET);
        }
        self.len += len;
        if self.len < self.end {
            return Ok(None);
        }
        if !self.is_sent {
            (self.is_sent, self.len, self.end) = (true, 0, PREFIX_BYTES);
            return Ok(None);
        }
        let [high, low, message @ ..] = &self.bytes;
        let kept = usize::from(u16::from_be_bytes([*high, *low])).min(ANSWER_BYTES);
        self.end = PREFIX_BYTES + kept;
        if self.len < self.end {
            return Ok(None);
        }
        // An empty message is complete with its prefix.
        buf[..kept].copy_from_slice(&message[..kept]);
        Ok(Some(kept))
    }
}

/// Returns `true` if an error tells about the server or the way to it, rather than about this
/// machine.
pub(super) fn is_of_server(error: Errno) -> bool {
    matches!(
        error,
        Errno::ECONNREFUSED
            | Errno::ECONNRESET
            | Errno::ENETUNREACH
            | Errno::ENETDOWN
            | Errno::ENODEV
            | Errno::EHOSTUNREACH
            | Errno::EADDRNOTAVAIL
            | Errno::EACCES
            | Errno::EPERM
            | Errno::EINVAL
    )
}
