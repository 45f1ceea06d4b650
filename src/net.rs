//! The seam between the program and the system: declarations only.
//!
//! [`Net`] is what the loop needs from an operating system. `os` implements it on mio, and
//! `tests/sim` as a seeded world in memory. Nothing above this file names a socket, a clock or a
//! source of randomness.
//!
//! Every error is an [`Errno`], the system's number: half as large as an `io::Error`, it fits
//! into a register and has nothing to drop.

use std::fmt;
use std::io;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::time::Duration;

pub use nix::errno::Errno;

use crate::state::access::Interface;
use crate::state::batch::Batch;
use crate::state::slots::Token;

/// Milliseconds since the program started. All deadlines are in this unit.
pub type Millis = u64;

/// A deadline that no clock reaches: nothing is due.
pub const NEVER: Millis = Millis::MAX;

/// Returns an error that is displayed in the words of the C library. (`Errno` itself would bring
/// a second table of words.)
pub fn in_words(error: Errno) -> impl fmt::Display {
    InWords(error)
}

/// An error that is displayed in words. Not an `io::Error`: displayed in one place, and as what it
/// can only be there, that does not bring the words for all its other kinds.
struct InWords(Errno);

impl fmt::Display for InWords {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            // nix does not know the number and has not kept it.
            Errno::UnknownErrno => f.write_str("other error"),
            error => io::Error::from_raw_os_error(error as i32).fmt(f),
        }
    }
}

/// What [`Net::wait`] reports about one registered socket. Spurious events are allowed; an
/// event only hints that an operation may no longer give `EAGAIN`.
#[derive(Clone, Copy, Debug)]
pub struct Event {
    /// The token that the socket was registered with.
    pub token: Token,
    /// Data, end of stream, an error or (on a listener) a connection may be there.
    pub readable: bool,
    /// Room to write may be there, or a connect has come to its end.
    pub writable: bool,
    /// The peer has closed its direction, and an end of stream will follow the data; or a read
    /// may stop short for another reason. It only makes reads go on to `EAGAIN`.
    pub ended: bool,
    /// An error is pending: [`Stream::take_error`] tells which.
    pub failed: bool,
}

/// The signals that the loop knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Signal {
    /// TERM or INT: stop accepting, end soon.
    Stop,
    /// HUP: read the files again.
    Reload,
    /// USR1: log the counters.
    Report,
}

/// What a look at the interfaces has brought.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Survey {
    /// A piece, with more to come.
    Piece,
    /// Addresses or routes have changed.
    Changed,
    /// The last piece: the addresses of all interfaces.
    Whole(Vec<Interface>),
}

/// What the system says of its memory. What it does not tell is not short.
#[derive(Clone, Copy, Debug, Default)]
pub struct Memory {
    /// The machine's.
    pub machine: Option<Room>,
    /// That of the control group that the program is in.
    pub cgroup: Option<Room>,
    /// The kernel's memory for TCP is under pressure: it gives no connection more than a few
    /// segments.
    pub is_tcp_pressed: bool,
}

/// A part of it is free.
#[derive(Clone, Copy, Debug)]
pub struct Room {
    /// The bytes that can be had.
    pub free_bytes: u64,
    /// All of them.
    pub bytes: u64,
}

/// What an outgoing TCP connection is for: a name server on this machine is not reached through
/// `--bind` and `--mark`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Purpose {
    /// A tunnel's target: outgoing address, device and mark apply.
    Tunnel,
    /// A name server asked over TCP.
    Dns,
}

/// Which socket of a UDP association (RFC 1928 §7).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// The one that the client sends to.
    Inner {
        /// The address that it is bound to, port 0: the one that the client has reached.
        local: SocketAddr,
        /// The only address that it hears; any port of it, until [`UdpSocket::aim`] names one.
        client: SocketAddr,
    },
    /// The one towards IPv4 remotes: any of them may send to it.
    OuterV4,
    /// The same for IPv6.
    OuterV6,
}

impl Side {
    /// Returns `true` if its addresses are IPv6.
    pub fn is_v6(self) -> bool {
        match self {
            Self::Inner { client, .. } => client.is_ipv6(),
            Self::OuterV4 => false,
            Self::OuterV6 => true,
        }
    }
}

/// The operating system as the loop sees it. Every socket that it opens is non-blocking, closes
/// when dropped, and is registered once, edge-triggered, for both directions.
pub trait Net: Udp {
    /// A TCP connection.
    type Stream: Stream;
    /// A listener that waits for the peer of a BIND.
    type Listener: Listener<Stream = Self::Stream>;
    /// A UDP socket to a name server.
    type DnsSocket: DnsSocket;

    /// Waits for events, at most `timeout` (`None`: without end). Clears `events` first. Returns
    /// `true` if they are all that there was to report as the wait began; `false` if it was
    /// interrupted, which gives no events, or if there may be more of them than were taken.
    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<bool, Errno>;

    /// Returns the time. It never goes back.
    fn now(&self) -> Millis;

    /// Fills `out` with bytes that nobody can predict.
    fn random(&mut self, out: &mut [u8]) -> Result<(), Errno>;

    /// Accepts the next connection of listener number `listener`, the index of its token; `EAGAIN`
    /// if there is none, or no such listener. The stream is not registered yet: its token needs a
    /// slot, which is only taken once the client is known.
    fn accept(&mut self, listener: usize) -> Result<(Self::Stream, SocketAddr), Errno>;

    /// Registers an accepted stream.
    fn watch(&mut self, stream: &mut Self::Stream, token: Token) -> Result<(), Errno>;

    /// Starts a connection and registers it. It is established, or has failed, when a writable
    /// event arrives.
    fn connect(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        token: Token,
    ) -> Result<Self::Stream, Errno>;

    /// Opens a listener for one BIND on that address, at a port of the range or any, and
    /// registers it.
    fn listen(
        &mut self,
        addr: IpAddr,
        ports: Option<(u16, u16)>,
        token: Token,
    ) -> Result<Self::Listener, Errno>;

    /// Returns the local address from which packets to `to` are sent. Nothing is sent.
    fn route(&mut self, to: IpAddr) -> Result<IpAddr, Errno>;

    /// Opens a UDP socket with a random port, connected to a name server, and registers it.
    fn dns_socket(&mut self, server: SocketAddr, token: Token) -> Result<Self::DnsSocket, Errno>;

    /// Returns the addresses that the listeners are bound to, or will be once they can be opened.
    fn listeners(&self) -> &[SocketAddr];

    /// Opens the listeners that are missing and can be opened by now; what listens on an address
    /// that has left the `interfaces`, if they are given, closes. Returns `true` if one is missing
    /// that may be opened later without a change of the interfaces.
    fn renew_listeners(&mut self, interfaces: Option<&[Interface]>) -> bool;

    /// Closes every listener for good.
    fn close_listeners(&mut self);

    /// Takes the next pending signal.
    fn signal(&mut self) -> Option<Signal>;

    /// Begins to read this machine's interfaces anew. [`Net::survey`] gives them piece by piece.
    /// Returns `true` if changes are announced from now on, by an event of `Role::System` with the
    /// index 1.
    fn begin_survey(&mut self) -> Result<bool, Errno>;

    /// Reads a piece of the interfaces, or an announcement. `EAGAIN`: there is none. `EINTR`:
    /// something has changed meanwhile, and they have to be read anew. `EOVERFLOW`: they are too
    /// many. A reading that is under way ends with every error.
    fn survey(&mut self) -> Result<Survey, Errno>;

    /// Returns what the system says of its memory now.
    fn memory(&mut self) -> Memory;
}

/// What the kernel does for datagrams, of which several go through one call.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Offload {
    /// It sends runs of them ([`Udp::send_run`]).
    pub sends: bool,
    /// It joins those that it receives ([`UdpSocket::join`]).
    pub receives: bool,
}

/// How a socket of an association receives.
#[derive(Clone, Copy, Debug)]
pub struct Intake {
    /// The places of a batch that a call may fill.
    pub places: usize,
    /// Its addresses are IPv6.
    pub is_v6: bool,
    /// The kernel may join what comes ([`UdpSocket::join`]).
    pub joins: bool,
}

/// What UDP associations need of the operating system: their sockets, and calls that move
/// datagrams in batches.
pub trait Udp {
    /// A socket of an association.
    type UdpSocket: UdpSocket;

    /// Tries what the kernel does for datagrams, on this machine alone. Once, at the start.
    fn try_offload(&mut self) -> Offload;

    /// Opens a socket of an association and registers it, for reading alone: nobody waits until
    /// a datagram can be sent.
    fn udp_relay(&mut self, side: Side, token: Token) -> Result<Self::UdpSocket, Errno>;

    /// Receives what is there into places of the batch, and returns how many were filled. If
    /// they are fewer than there might be, the socket is drained: an event will announce more. An
    /// error is one that an earlier datagram has met on its way; it is reported once, and the
    /// batch holds nothing then.
    fn receive_batch(
        &mut self,
        socket: &mut Self::UdpSocket,
        batch: &mut Batch,
        intake: Intake,
    ) -> Result<usize, Errno>;

    /// Sends the listed datagrams of these numbers in order and returns how many were sent. An
    /// error is that of the first, or of an earlier datagram, as for [`Udp::receive_batch`]. If
    /// the socket `is_aimed` at a peer ([`UdpSocket::aim`]), all go to that peer whatever their
    /// addresses, which spares looking up the route.
    fn send_batch(
        &mut self,
        socket: &mut Self::UdpSocket,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<usize, Errno>;

    /// The same for datagrams that are a run ([`Batch::run`]): all are sent, or none.
    fn send_run(
        &mut self,
        socket: &mut Self::UdpSocket,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<(), Errno>;
}

/// A listener that waits for the peer of a BIND.
pub trait Listener {
    /// What it accepts.
    type Stream;

    /// Accepts the next connection, which is not registered yet.
    fn accept(&mut self) -> Result<(Self::Stream, SocketAddr), Errno>;

    /// Returns the address and port that it listens on.
    fn local_addr(&self) -> Result<SocketAddr, Errno>;
}

/// A pipe that two connections splice through.
pub trait Pipe {
    /// Reads what is in it, and returns the number of bytes.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno>;
}

/// A TCP connection.
pub trait Stream {
    /// What bytes go through that are not copied. It closes when dropped.
    type Pipe: Pipe;

    /// Opens a pipe.
    fn open_pipe(&self) -> Result<Self::Pipe, Errno>;

    /// Moves at most `len` bytes that are there into an empty pipe, and returns their number. 0 and
    /// `EAGAIN` say nothing for certain, not even that the stream has ended or is drained: splice
    /// does not go past urgent data.
    fn splice_in(&mut self, pipe: &mut Self::Pipe, len: usize) -> Result<usize, Errno>;

    /// Moves bytes out of a pipe which has `len` of them, as many as there is room for, and returns
    /// their number.
    fn splice_out(&mut self, pipe: &mut Self::Pipe, len: usize) -> Result<usize, Errno>;

    /// Reads what is there and returns the number of bytes; 0 is the end of the stream.
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Writes as much as there is room for and returns the number of bytes.
    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno>;

    /// Reads without consuming.
    fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Consumes at most `buf.len()` bytes that [`Stream::peek`] has shown, without reading them
    /// again, and returns their number. The contents of `buf` are unspecified afterwards.
    fn skip(&mut self, buf: &mut [u8]) -> Result<usize, Errno>;

    /// Closes the sending direction: a FIN follows what was written.
    fn shutdown_write(&mut self) -> Result<(), Errno>;

    /// Takes the pending error of the socket, which is reported once.
    fn take_error(&mut self) -> Option<Errno>;

    /// Returns the address of the other end; fails while a connect is under way.
    fn peer_addr(&self) -> Result<SocketAddr, Errno>;

    /// Returns the address of this end.
    fn local_addr(&self) -> Result<SocketAddr, Errno>;

    /// Makes the system find out when the other end has vanished, also while nothing is to be sent.
    fn keep_alive(&mut self);

    /// Makes the close an abort: RST instead of FIN, and unsent data is dropped.
    fn abort_on_close(&mut self);
}

/// A UDP socket of an association. [`Udp`] moves its datagrams.
pub trait UdpSocket {
    /// Hears only `peer` from now on. With port 0 that is any port of its address; with another
    /// port, what is sent without an address goes there.
    fn aim(&mut self, peer: SocketAddr) -> Result<(), Errno>;

    /// Lets the kernel join datagrams of one sender and one length from now on. There is no way
    /// back: what is joined in its queue could not be told from one datagram any more.
    fn join(&mut self) -> Result<(), Errno>;

    /// Returns the address of this end.
    fn local_addr(&self) -> Result<SocketAddr, Errno>;
}

/// A UDP socket that is connected to a name server.
pub trait DnsSocket {
    /// Sends one datagram.
    fn send(&mut self, message: &[u8]) -> Result<(), Errno>;

    /// Receives one datagram and returns its length; what does not fit into `buf` is lost.
    fn recv(&mut self, buf: &mut [u8]) -> Result<usize, Errno>;
}

#[cfg(test)]
pub(crate) mod fake;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_told_in_the_words_of_the_system() {
        let refused = in_words(Errno::ECONNREFUSED).to_string();
        assert!(refused.starts_with("Connection refused"), "{refused}");
        assert_eq!(in_words(Errno::from_raw(524)).to_string(), "other error");
    }
}
