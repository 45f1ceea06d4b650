//! The real [`Net`]: mio, sockets, the clock, /dev/urandom. The only file that names mio.

mod listen;
mod socket;
mod udp;

use std::fs::File;
use std::io::{self, Read};
use std::net::{IpAddr, Shutdown, SocketAddr};
use std::os::fd::{AsFd, AsRawFd};
use std::time::{Duration, Instant};

use log::Level;
use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::unix::SourceFd;
use mio::{Events, Interest, Poll};
use nix::fcntl::OFlag;
use nix::sys::socket::{MsgFlags, recv};
use socket2::SockRef;

use crate::config::{Config, Outgoing};
use crate::net::{Datagram, Event, Listener, Millis, Net, Purpose, Side, Signal, Stream};
use crate::say::say;
use crate::state::access::Interface;
use crate::state::batch::Batch;
use crate::state::slots::{Key, Role, Token};
use crate::sys;

/// Events taken from the kernel at once: 12 KiB on 64-bit machines, 16 elsewhere.
const EVENTS_MAX: usize = 1024;

/// Both directions, for the whole life of a socket, and urgent data.
const BOTH: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);

/// The operating system.
#[derive(Debug)]
pub struct Os {
    poll: Poll,
    events: Events,
    started: Instant,
    random: File,
    signals: sys::Signals,
    listeners: Vec<TcpListener>,
    addrs: Vec<SocketAddr>,
    outgoing: Outgoing,
    peer_ms: u32,
    /// Ports of the sockets that clients of UDP send to.
    relay_ports: Option<(u16, u16)>,
    headers: udp::Headers,
}

impl Os {
    /// Opens the listeners that `config` asks for, and everything else that has to be open.
    ///
    /// # Errors
    /// What cannot be opened, with its name.
    pub fn new(config: &Config, signals: sys::Signals) -> Result<Self, OpenError> {
        let listeners = listen::open(config, &signals)?;
        Self::around(listeners, config, signals).map_err(OpenError::System)
    }

    /// Opens what has to be open beside the listeners.
    fn around(
        mut listeners: Vec<TcpListener>,
        config: &Config,
        signals: sys::Signals,
    ) -> io::Result<Self> {
        let poll = Poll::new()?;
        let random = sys::file::open("/dev/urandom", OFlag::O_RDONLY)?;
        let registry = poll.registry();
        let mut addrs = Vec::new();
        for (number, listener) in (0..).zip(&mut listeners) {
            let token = mio_token(Token::new(Key::new(number, 0), Role::Listener));
            registry.register(listener, token, Interest::READABLE)?;
            let addr = listener.local_addr()?;
            say(Level::Info, format_args!("listening on {addr}"));
            addrs.push(addr);
        }
        let token = mio_token(Token::new(Key::new(0, 0), Role::Signal));
        let descriptor = signals.as_fd().as_raw_fd();
        registry.register(&mut SourceFd(&descriptor), token, Interest::READABLE)?;
        Ok(Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            started: Instant::now(),
            random,
            signals,
            listeners,
            addrs,
            outgoing: config.outgoing.clone(),
            peer_ms: config.timeouts.peer_ms,
            relay_ports: config.relay.ports,
            headers: udp::Headers::new(),
        })
    }

    /// Where in a range of ports to begin; nothing has to be drawn without one.
    fn random_port_offset(&mut self, ports: Option<(u16, u16)>) -> io::Result<u16> {
        let mut random = [0; 2];
        if ports.is_some() {
            self.random(&mut random)?;
        }
        Ok(u16::from_ne_bytes(random))
    }
}

/// Why the program cannot start.
#[derive(Debug)]
pub enum OpenError {
    /// A listener.
    Listen(SocketAddr, io::Error),
    /// An interface to listen on, or an address on it.
    Absent(String),
    /// Anything else.
    System(io::Error),
    /// TERM or INT came while a listener was being waited for.
    Stopped,
}

impl std::fmt::Display for OpenError {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Listen(addr, error) => write!(f, "cannot listen on {addr}: {error}"),
            Self::Absent(name) => {
                write!(
                    f,
                    "cannot listen on {name}: no such interface, or no address"
                )
            }
            Self::System(error) => write!(f, "cannot start: {error}"),
            Self::Stopped => f.write_str("stopped"),
        }
    }
}

impl Net for Os {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type Datagram = UdpSocket;

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> io::Result<()> {
        events.clear();
        // A poll rounds down to milliseconds; waking early would spin until the time has come.
        match self.poll.poll(&mut self.events, timeout) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => return Ok(()),
            result => result?,
        }
        events.extend(self.events.iter().map(|event| Event {
            token: our_token(event.token()),
            readable: event.is_readable(),
            writable: event.is_writable(),
            // A read stops short at urgent data too, with more behind it: as with an end of
            // stream, a short read does not mean that the socket is drained.
            ended: event.is_read_closed() || event.is_priority(),
            failed: event.is_error() || event.is_write_closed(),
        }));
        Ok(())
    }

    fn now(&self) -> Millis {
        // Half a billion years fit.
        Millis::try_from(self.started.elapsed().as_millis()).unwrap_or(Millis::MAX)
    }

    fn random(&mut self, out: &mut [u8]) -> io::Result<()> {
        self.random.read_exact(out)
    }

    fn accept(&mut self, listener: u16) -> io::Result<(TcpStream, SocketAddr)> {
        let Some(listener) = self.listeners.get(usize::from(listener)) else {
            return Err(io::ErrorKind::WouldBlock.into());
        };
        listener.accept()
    }

    fn watch(&mut self, stream: &mut TcpStream, token: Token) -> io::Result<()> {
        self.poll
            .registry()
            .register(stream, mio_token(token), BOTH)
    }

    fn connect(&mut self, to: SocketAddr, purpose: Purpose, token: Token) -> io::Result<TcpStream> {
        let mut stream = socket::connect(to, purpose, &self.outgoing, self.peer_ms)?;
        self.watch(&mut stream, token)?;
        Ok(stream)
    }

    fn listen(
        &mut self,
        addr: IpAddr,
        ports: Option<(u16, u16)>,
        token: Token,
    ) -> io::Result<TcpListener> {
        let random = self.random_port_offset(ports)?;
        let mark = self.outgoing.mark;
        let mut listener = listen::for_peer(addr, ports, random, (mark, self.peer_ms))?;
        let (registry, token) = (self.poll.registry(), mio_token(token));
        registry.register(&mut listener, token, Interest::READABLE)?;
        Ok(listener)
    }

    fn route(&mut self, to: IpAddr) -> io::Result<IpAddr> {
        socket::route(to, &self.outgoing)
    }

    fn datagram(&mut self, to: SocketAddr, token: Token) -> io::Result<UdpSocket> {
        let mut socket = socket::datagram(to, &self.outgoing)?;
        self.poll
            .registry()
            .register(&mut socket, mio_token(token), BOTH)?;
        Ok(socket)
    }

    fn relay(&mut self, side: Side, token: Token) -> io::Result<UdpSocket> {
        let mut socket = match side {
            Side::Inner { local, client } => {
                let random = self.random_port_offset(self.relay_ports)?;
                udp::inner(local, client, self.relay_ports, random)?
            }
            Side::OuterV4 | Side::OuterV6 => udp::outer(side.is_v6(), &self.outgoing)?,
        };
        self.poll
            .registry()
            .register(&mut socket, mio_token(token), Interest::READABLE)?;
        Ok(socket)
    }

    fn receive_batch(
        &mut self,
        socket: &mut UdpSocket,
        batch: &mut Batch,
        is_v6: bool,
    ) -> io::Result<usize> {
        udp::receive(&mut self.headers, socket, batch, is_v6)
    }

    fn send_batch(
        &mut self,
        socket: &mut UdpSocket,
        batch: &Batch,
        numbers: &[u8],
        is_aimed: bool,
    ) -> io::Result<usize> {
        udp::send(&mut self.headers, socket, batch, numbers, is_aimed)
    }

    fn listeners(&self) -> &[SocketAddr] {
        &self.addrs
    }

    fn close_listeners(&mut self) {
        self.listeners.clear();
    }

    fn signal(&mut self) -> Option<Signal> {
        self.signals.next()
    }

    fn interfaces(&mut self) -> Vec<Interface> {
        sys::interfaces::interfaces()
    }
}

impl Listener for TcpListener {
    type Stream = TcpStream;

    fn accept(&mut self) -> io::Result<(TcpStream, SocketAddr)> {
        Self::accept(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

impl Stream for TcpStream {
    fn peek(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Self::peek(self, buf)
    }

    fn skip(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        // tcp(7): the bytes are discarded instead of copied.
        Ok(recv(self.as_raw_fd(), buf, MsgFlags::MSG_TRUNC)?)
    }

    fn shutdown_write(&mut self) -> io::Result<()> {
        self.shutdown(Shutdown::Write)
    }

    fn take_error(&mut self) -> Option<io::Error> {
        Self::take_error(self).unwrap_or_else(Some)
    }

    fn peer_addr(&self) -> io::Result<SocketAddr> {
        Self::peer_addr(self)
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }

    fn abort_on_close(&mut self) {
        // It can only fail on what is not a socket.
        let _ = SockRef::from(&*self).set_linger(Some(Duration::ZERO));
    }
}

impl Datagram for UdpSocket {
    fn send(&mut self, message: &[u8]) -> io::Result<()> {
        Self::send(self, message).map(|_| ())
    }

    fn recv(&mut self, buf: &mut [u8]) -> io::Result<usize> {
        Self::recv(self, buf)
    }

    fn aim(&mut self, peer: SocketAddr) -> io::Result<()> {
        SockRef::from(&*self).connect(&socket::sock_addr(peer))
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Self::local_addr(self)
    }
}

/// Tokens have 32 bits, which is what `usize` has at least.
fn our_token(token: mio::Token) -> Token {
    Token::from_bits(u32::try_from(token.0).unwrap_or(u32::MAX))
}

fn mio_token(token: Token) -> mio::Token {
    mio::Token(token.to_bits() as usize)
}
