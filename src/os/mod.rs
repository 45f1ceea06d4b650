//! The real [`Net`]: mio, sockets, the clock, /dev/urandom. Only this folder names mio.

mod address;
mod error;
mod events;
mod listen;
mod pipe;
pub mod rights;
mod socket;
mod stream;
mod udp;

use std::cell::Cell;
use std::net::{IpAddr, SocketAddr};
use std::ops::Range;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

use mio::net::{TcpListener, TcpStream, UdpSocket};
use mio::{Events, Interest, Poll};
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd;

pub use self::error::OpenError;
use self::error::errno;
use self::events::{our_token, register};
use self::listen::Listeners;
use crate::config::{Config, Outgoing};
use crate::net::{
    Errno, Event, Intake, Memory, Millis, Net, Offload, Purpose, Side, Signal, Survey, Udp,
};
use crate::state::access::Interface;
use crate::state::batch::Batch;
use crate::state::slots::{Key, Role, Token};
use crate::sys;
use crate::sys::interfaces::Watch;

/// The most events that one wait returns: 12 KiB on 64-bit machines, 16 KiB elsewhere.
const EVENTS_MAX: usize = 1024;

/// The most waits in a row that end by a signal. All signals that the program knows are blocked, so
/// that only a stop ends one; more of them are no signals, and the loop would spin.
const INTERRUPTED_MAX: u16 = 1000;

/// What a socket is registered for, once: both directions, and urgent data.
const BOTH: Interest = Interest::READABLE
    .add(Interest::WRITABLE)
    .add(Interest::PRIORITY);

/// The operating system.
#[derive(Debug)]
pub struct Os {
    poll: Poll,
    events: Events,
    /// Waits in a row that were interrupted.
    interrupted: u16,
    started: Instant,
    /// The latest time that was told.
    told: Cell<Millis>,
    random: OwnedFd,
    signals: sys::Signals,
    /// Addresses and routes; none before they are read, and after a failure.
    watch: Option<Watch>,
    listeners: Listeners,
    /// The listener whose last accept has taken somebody.
    accepted_of: Option<usize>,
    outgoing: Outgoing,
    tcp_options: socket::TcpOptions,
    /// The ports of the sockets that clients of UDP associations send to.
    relay_ports: Option<(u16, u16)>,
    headers: udp::Headers,
    memory: sys::memory::Source,
}

impl Os {
    /// Opens the listeners that `config` asks for, and everything else that has to be open.
    ///
    /// # Errors
    /// What cannot be opened.
    pub fn new(config: &Config, signals: sys::Signals) -> Result<Self, OpenError> {
        let poll = Poll::new().map_err(|error| OpenError::System(errno(error)))?;
        let listeners = Listeners::open(config, poll.registry())?;
        Self::around(poll, listeners, config, signals).map_err(OpenError::System)
    }

    /// Opens what has to be open beside the listeners.
    fn around(
        poll: Poll,
        listeners: Listeners,
        config: &Config,
        signals: sys::Signals,
    ) -> Result<Self, Errno> {
        let os = Self {
            poll,
            events: Events::with_capacity(EVENTS_MAX),
            interrupted: 0,
            started: Instant::now(),
            told: Cell::new(0),
            random: sys::file::open("/dev/urandom", OFlag::O_RDONLY)?,
            signals,
            watch: None,
            listeners,
            accepted_of: None,
            outgoing: config.outgoing.clone(),
            tcp_options: socket::TcpOptions::new(config),
            relay_ports: config.relay.ports,
            headers: udp::Headers::new(),
            memory: sys::memory::Source::find(),
        };
        let token = Token::new(Key::new(0, 0), Role::System);
        os.register(&os.signals, token, Interest::READABLE)?;
        Ok(os)
    }

    fn register(&self, socket: &impl AsFd, token: Token, interest: Interest) -> Result<(), Errno> {
        register(self.poll.registry(), socket, token, interest)
    }

    /// A random number to pick the first port of a range with; 0 if there is no range.
    fn random_port_offset(&mut self, ports: Option<(u16, u16)>) -> Result<u16, Errno> {
        let mut random = [0; 2];
        if ports.is_some() {
            self.random(&mut random)?;
        }
        Ok(u16::from_ne_bytes(random))
    }
}

impl Net for Os {
    type Stream = TcpStream;
    type Listener = TcpListener;
    type DnsSocket = UdpSocket;

    fn wait(&mut self, events: &mut Vec<Event>, timeout: Option<Duration>) -> Result<bool, Errno> {
        events.clear();
        // A poll rounds down to milliseconds; waking early would spin until the time has come.
        match self.poll.poll(&mut self.events, timeout).map_err(errno) {
            Err(Errno::EINTR) if self.interrupted < INTERRUPTED_MAX => {
                self.interrupted += 1;
                return Ok(false);
            }
            result => result?,
        }
        self.interrupted = 0;
        events.extend(self.events.iter().map(|event| Event {
            token: our_token(event.token()),
            readable: event.is_readable(),
            writable: event.is_writable(),
            // A read stops at urgent data too, with more behind it. As at an end of stream, a
            // short read then does not mean that the socket is drained.
            ended: event.is_read_closed() || event.is_priority(),
            // A hang-up without an error is both ends of stream: each shows by itself.
            failed: event.is_error(),
        }));
        Ok(events.len() < EVENTS_MAX)
    }

    fn now(&self) -> Millis {
        // `as_millis` computes with 128 bits, and the binary is 96 bytes larger.
        let elapsed = self.started.elapsed();
        let now = elapsed.as_secs() * 1000 + Millis::from(elapsed.subsec_millis());
        // Clocks of emulated and of starved machines have been seen to step back.
        self.told.set(self.told.get().max(now));
        self.told.get()
    }

    fn random(&mut self, out: &mut [u8]) -> Result<(), Errno> {
        // The kernel never returns fewer bytes than so few.
        match unistd::read(&self.random, out) {
            Ok(len) if len == out.len() => Ok(()),
            Ok(_) => Err(Errno::EIO),
            Err(error) => Err(error),
        }
    }

    fn accept(&mut self, listener: usize) -> Result<(TcpStream, SocketAddr), Errno> {
        let Some(socket) = self.listeners.get(listener) else {
            return Err(Errno::EAGAIN);
        };
        // An event has told of the first. Whether there is another is asked for a tenth of what it
        // costs to accept in vain: for that the kernel makes a socket and a file before it looks.
        let is_next = self.accepted_of == Some(listener);
        self.accepted_of = None;
        if is_next && !has_waiting(socket) {
            return Err(Errno::EAGAIN);
        }
        let accepted = socket.accept().map_err(errno)?;
        self.accepted_of = Some(listener);
        Ok(accepted)
    }

    fn watch(&mut self, stream: &mut TcpStream, token: Token) -> Result<(), Errno> {
        self.register(stream, token, BOTH)
    }

    fn connect(
        &mut self,
        to: SocketAddr,
        purpose: Purpose,
        token: Token,
    ) -> Result<TcpStream, Errno> {
        let mut stream = socket::connect(&to, purpose, &self.outgoing, self.tcp_options)?;
        self.watch(&mut stream, token)?;
        Ok(stream)
    }

    fn listen(
        &mut self,
        addr: IpAddr,
        ports: Option<(u16, u16)>,
        token: Token,
    ) -> Result<TcpListener, Errno> {
        let random = self.random_port_offset(ports)?;
        let listener = listen::for_peer(addr, ports, random, &self.outgoing, self.tcp_options)?;
        self.register(&listener, token, Interest::READABLE)?;
        Ok(listener)
    }

    fn route(&mut self, to: IpAddr) -> Result<IpAddr, Errno> {
        socket::route(to, &self.outgoing)
    }

    fn dns_socket(&mut self, server: SocketAddr, token: Token) -> Result<UdpSocket, Errno> {
        let socket = socket::dns(&server, &self.outgoing)?;
        self.register(&socket, token, BOTH)?;
        Ok(socket)
    }

    fn listeners(&self) -> &[SocketAddr] {
        self.listeners.wanted()
    }

    fn renew_listeners(&mut self, interfaces: Option<&[Interface]>) -> bool {
        self.listeners.renew(interfaces, self.poll.registry())
    }

    fn close_listeners(&mut self) {
        self.listeners.close();
    }

    fn signal(&mut self) -> Option<Signal> {
        self.signals.next()
    }

    fn begin_survey(&mut self) -> Result<bool, Errno> {
        let mut watch = match self.watch.take() {
            Some(watch) => watch,
            None => {
                let watch = Watch::open()?;
                let token = Token::new(Key::new(1, 0), Role::System);
                self.register(&watch, token, Interest::READABLE)?;
                watch
            }
        };
        watch.begin()?;
        let is_announced = watch.is_announced();
        self.watch = Some(watch);
        Ok(is_announced)
    }

    fn survey(&mut self) -> Result<Survey, Errno> {
        let Some(watch) = &mut self.watch else {
            return Err(Errno::EAGAIN);
        };
        let outcome = watch.read();
        if let Err(error) = outcome
            && !matches!(error, Errno::EAGAIN | Errno::EINTR)
        {
            // What is left of an answer ends with the socket.
            self.watch = None;
        }
        outcome
    }

    fn memory(&mut self) -> Memory {
        self.memory.read()
    }
}

impl Udp for Os {
    type UdpSocket = UdpSocket;

    fn udp_relay(&mut self, side: Side, token: Token) -> Result<UdpSocket, Errno> {
        let socket = match side {
            Side::Inner { local, client } => {
                let random = self.random_port_offset(self.relay_ports)?;
                udp::inner(local, client, self.relay_ports, random)?
            }
            Side::OuterV4 | Side::OuterV6 => udp::outer(side.is_v6(), &self.outgoing)?,
        };
        self.register(&socket, token, Interest::READABLE)?;
        Ok(socket)
    }

    fn try_offload(&mut self) -> Offload {
        udp::try_offload(&mut self.headers)
    }

    fn receive_batch(
        &mut self,
        socket: &mut UdpSocket,
        batch: &mut Batch,
        intake: Intake,
    ) -> Result<usize, Errno> {
        udp::receive(&mut self.headers, socket, batch, intake)
    }

    fn send_batch(
        &mut self,
        socket: &mut UdpSocket,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<usize, Errno> {
        udp::send(&mut self.headers, socket, batch, numbers, is_aimed)
    }

    fn send_run(
        &mut self,
        socket: &mut UdpSocket,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<(), Errno> {
        udp::send_run(socket, batch, numbers, is_aimed)
    }
}

/// Returns `false` if nobody waits to be accepted.
fn has_waiting(listener: &TcpListener) -> bool {
    let mut descriptors = [PollFd::new(listener.as_fd(), PollFlags::POLLIN)];
    poll(&mut descriptors, PollTimeout::ZERO) != Ok(0)
}
