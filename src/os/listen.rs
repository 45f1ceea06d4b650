//! Listeners: their addresses, one free port for all of them, and how they come and go with the
//! addresses of the interfaces.
//!
//! Each stands alone: those that can be opened serve, and the others are opened once they can be.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::os::fd::OwnedFd;

use mio::net::TcpListener;
use mio::{Interest, Registry};
use nix::sys::socket::{SockType, setsockopt, sockopt};
use socket2::SockRef;

use super::address;
use super::error::{OpenError, errno};
use super::events::register;
use super::socket::{
    TcpOptions, at_free_port, create, keep_alive, set_device, set_mark, set_tcp_options,
};
use crate::config::{Config, Listen, Outgoing};
use crate::log::{Level, log};
use crate::net::Errno;
use crate::state::acceptor::LISTENERS_MAX;
use crate::state::access::Interface;
use crate::state::slots::{Key, Role, Token};
use crate::sys;

/// The length of the queue of connections; the kernel limits it to net.core.somaxconn. A long
/// one, because clients wait there while all sessions are in use.
const BACKLOG: i32 = 1024;

/// The same for a BIND: its peer, and others that connect before it.
const PEER_BACKLOG: i32 = 8;

/// The number of ports of --relay-ports that are tried for one listener: with half of the range
/// taken, one listener in billions finds none.
const BIND_PORTS_TRIED_MAX: u32 = 32;

/// What `-i ::` means.
const BOTH: &str = "-i :: alone stands for IPv4 too; -i [::]:PORT would be IPv6 alone";

/// The number of free ports that are tried until one is free on all addresses.
const FREE_PORTS_TRIED_MAX: usize = 16;

/// The listeners: those that are wanted, and those that are open.
#[derive(Debug)]
pub(super) struct Listeners {
    listen: Vec<Listen>,
    reuseport: bool,
    options: TcpOptions,
    /// What port 0 stands for, once the kernel has picked a number.
    free_port: u16,
    /// Where to listen, on the interfaces as they were last seen; no more than there are places.
    wanted: Vec<SocketAddr>,
    /// Interfaces without an address, and addresses without a place.
    absent: Vec<OpenError>,
    /// What could not be opened when it was last tried.
    missing: Vec<OpenError>,
    /// Those that are open, among `LISTENERS_MAX` places. A listener's number is its place here.
    open: Vec<Option<(SocketAddr, TcpListener)>>,
}

impl Listeners {
    /// Opens them. Without `--retry-listen` what cannot be opened is an error, but for an address
    /// of an interface that is not ready yet, while others of it are.
    ///
    /// # Errors
    /// What cannot be opened, and will not be by itself.
    pub(super) fn open(config: &Config, registry: &Registry) -> Result<Self, OpenError> {
        let is_interface = |listen: &Listen| matches!(listen, Listen::Interface(..));
        let interfaces = if config.listen.iter().any(is_interface) {
            match sys::interfaces::interfaces() {
                // The server reads them again.
                Err(_) if config.retry_listen => Vec::new(),
                interfaces => interfaces.map_err(OpenError::System)?,
            }
        } else {
            Vec::new()
        };
        let mut tried = 0;
        loop {
            let mut listeners = Self::new(config);
            listeners.follow(&interfaces);
            listeners.open_missing(registry);
            let Some(failure) = listeners.fatal(config.retry_listen) else {
                listeners.tell(&[], &[]);
                if let [Listen::Any { as_v6: true, .. }] = config.listen[..] {
                    log(Level::Info, format_args!("{BOTH}"));
                }
                return Ok(listeners);
            };
            tried += 1;
            // A free port of the first address was taken on the second: pick another.
            let is_taken = config.port == 0 && failure.is(Errno::EADDRINUSE);
            if !is_taken || tried == FREE_PORTS_TRIED_MAX {
                return Err(failure);
            }
        }
    }

    /// Binds a socket to each address, as if to listen there. Returns what cannot be.
    pub(super) fn try_out(config: &Config, interfaces: &[Interface]) -> Vec<OpenError> {
        let mut listeners = Self::new(config);
        listeners.follow(interfaces);
        for addr in &listeners.wanted {
            if let Err(error) = bind(*addr, config.reuseport) {
                listeners.missing.push(OpenError::Listen(*addr, error));
            }
        }
        if listeners.is_any() && listeners.missing.len() < listeners.wanted.len() {
            listeners.missing.retain(|one| one.is(Errno::EADDRINUSE));
        }
        listeners.missing.append(&mut listeners.absent);
        listeners.missing
    }

    /// Without an address on the command line one of 0.0.0.0 and :: is enough: the system may have
    /// one family only.
    fn is_any(&self) -> bool {
        matches!(self.listen[..], [Listen::Any { .. }])
    }

    /// None is open yet.
    fn new(config: &Config) -> Self {
        Self {
            listen: config.listen.clone(),
            reuseport: config.reuseport,
            options: TcpOptions::new(config),
            free_port: 0,
            wanted: Vec::new(),
            absent: Vec::new(),
            missing: Vec::new(),
            open: (0..LISTENERS_MAX).map(|_| None).collect(),
        }
    }

    /// Follows the interfaces, if they are given: what has left them closes. Then opens what is
    /// missing. Returns `true` if something is missing still that is to be tried again.
    pub(super) fn renew(&mut self, interfaces: Option<&[Interface]>, registry: &Registry) -> bool {
        let absent = self.absent.clone();
        let missing = self.missing.clone();
        if let Some(interfaces) = interfaces {
            self.follow(interfaces);
        }
        self.open_missing(registry);
        self.tell(&absent, &missing);
        !self.missing.is_empty()
    }

    /// Where the open ones listen, and the missing ones will.
    pub(super) fn wanted(&self) -> &[SocketAddr] {
        &self.wanted
    }

    /// The listener of that number, if it is open.
    pub(super) fn get(&self, number: usize) -> Option<&TcpListener> {
        let place = self.open.get(number)?.as_ref();
        place.map(|(_, listener)| listener)
    }

    /// Closes all of them for good.
    pub(super) fn close(&mut self) {
        self.listen.clear();
        self.wanted.clear();
        self.open.clear();
    }

    /// Finds out where to listen on these interfaces, and closes what is nowhere there.
    fn follow(&mut self, interfaces: &[Interface]) {
        self.wanted.clear();
        self.absent.clear();
        for at in 0..self.listen.len() {
            match self.listen[at].clone() {
                Listen::Addr(addr) => self.want(addr),
                Listen::Any { port, .. } => {
                    self.want(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), port));
                    self.want(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), port));
                }
                Listen::Interface(name, port) => self.want_interface(&name, port, interfaces),
            }
        }
        for place in &mut self.open {
            if let Some((addr, _)) = place
                && !self.wanted.contains(addr)
            {
                log(Level::Info, format_args!("no longer listening on {addr}"));
                *place = None;
            }
        }
    }

    /// The addresses of an interface. A link-local one needs a scope, which clients seldom give;
    /// the others are enough.
    fn want_interface(&mut self, name: &str, port: u16, interfaces: &[Interface]) {
        let before = self.wanted.len();
        for Interface {
            name: theirs, addr, ..
        } in interfaces
        {
            if theirs == name && !is_link_local(*addr) {
                self.want(SocketAddr::new(*addr, port));
            }
        }
        if self.wanted.len() == before {
            self.absent.push(OpenError::Absent(name.into()));
        }
    }

    fn want(&mut self, mut addr: SocketAddr) {
        if addr.port() == 0 {
            addr.set_port(self.free_port);
        }
        if self.wanted.len() == LISTENERS_MAX {
            self.absent.push(OpenError::TooMany(addr));
        } else if !self.wanted.contains(&addr) {
            self.wanted.push(addr);
        }
    }

    /// Tries to open each that is wanted and not open. Says so when all of them are: who has read
    /// the first line may connect to any.
    fn open_missing(&mut self, registry: &Registry) {
        self.missing.clear();
        let mut opened = Vec::new();
        for at in 0..self.wanted.len() {
            let addr = self.wanted[at];
            if self.open.iter().flatten().any(|(open, _)| *open == addr) {
                continue;
            }
            match self.open_one(at, registry) {
                Ok(addr) => opened.push(addr),
                Err(error) => self.missing.push(OpenError::Listen(addr, error)),
            }
        }
        for addr in opened {
            log(Level::Info, format_args!("listening on {addr}"));
        }
        self.leave_out_absent_family();
    }

    /// A family that the system does not have is not wanted any more.
    fn leave_out_absent_family(&mut self) {
        if self.is_any() && self.open.iter().any(Option::is_some) {
            self.missing.retain(|failure| failure.is(Errno::EADDRINUSE));
            let missing = &self.missing;
            let open = &self.open;
            self.wanted.retain(|addr| {
                let is_open = open.iter().flatten().any(|(open, _)| open == addr);
                is_open || missing.iter().any(|failure| failure.is_of(addr))
            });
        }
    }

    /// Opens the listener wanted at `at`. If its port is 0, the kernel picks one, and the others
    /// get the same. Returns where it listens.
    fn open_one(&mut self, at: usize, registry: &Registry) -> Result<SocketAddr, Errno> {
        let mut addr = self.wanted[at];
        let mut places = (0..).zip(&mut self.open);
        let (number, place) = places
            .find(|(_, place)| place.is_none())
            .expect("no more are wanted than there are places");
        let listener = listen_at(addr, BACKLOG, self.reuseport, None, self.options)?;
        let token = Token::new(Key::new(number, 0), Role::Listener);
        register(registry, &listener, token, Interest::READABLE)?;
        if addr.port() == 0 {
            self.free_port = address::local(&listener)?.port();
            for wanted in self.wanted.iter_mut().filter(|wanted| wanted.port() == 0) {
                wanted.set_port(self.free_port);
            }
            addr = self.wanted[at];
        }
        *place = Some((addr, listener));
        Ok(addr)
    }

    /// Why the program cannot start, if it cannot.
    fn fatal(&self, retry: bool) -> Option<OpenError> {
        let is_open = self.open.iter().any(Option::is_some);
        let is_harmless = |failure: &&OpenError| match failure {
            _ if retry => failure.is_transient(),
            OpenError::Listen(addr, Errno::EADDRNOTAVAIL) => {
                is_open && !self.listen.contains(&Listen::Addr(*addr))
            }
            OpenError::TooMany(_) => true,
            _ => false,
        };
        let mut failures = self.missing.iter().chain(&self.absent);
        failures.find(|failure| !is_harmless(failure)).cloned()
    }

    /// Warns of what is missing and was not before.
    fn tell(&self, absent: &[OpenError], missing: &[OpenError]) {
        for failure in self.absent.iter().filter(|one| !absent.contains(one)) {
            log(Level::Warn, format_args!("{failure}; waiting for it"));
        }
        for failure in self.missing.iter().filter(|one| !missing.contains(one)) {
            log(Level::Warn, format_args!("{failure}; trying on"));
        }
    }
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

/// A listener for the peer of a BIND, at a port of the range `ports` or at any.
pub(super) fn for_peer(
    addr: IpAddr,
    ports: Option<(u16, u16)>,
    random: u16,
    outgoing: &Outgoing,
    options: TcpOptions,
) -> Result<TcpListener, Errno> {
    at_free_port(ports, random, BIND_PORTS_TRIED_MAX, |port| {
        let addr = SocketAddr::new(addr, port);
        listen_at(addr, PEER_BACKLOG, false, Some(outgoing), options)
    })
}

/// A socket at an address that others may have had just now.
fn bind(addr: SocketAddr, reuseport: bool) -> Result<OwnedFd, Errno> {
    let socket = create(&addr, SockType::Stream)?;
    if addr.is_ipv6() {
        // So that there can be a listener at 0.0.0.0 and one at ::.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if reuseport {
        setsockopt(&socket, sockopt::ReusePort, &true)?;
    }
    address::bind(&socket, &addr)?;
    Ok(socket)
}

fn listen_at(
    addr: SocketAddr,
    backlog: i32,
    reuseport: bool,
    outgoing: Option<&Outgoing>,
    options: TcpOptions,
) -> Result<TcpListener, Errno> {
    let socket = bind(addr, reuseport)?;
    if let Some(outgoing) = outgoing {
        // Inherited by the connection: packets to the peer of a BIND leave as those of a tunnel do.
        set_mark(&socket, outgoing)?;
        set_device(&socket, outgoing)?;
    }
    // Inherited by the connections, which saves system calls for each of them.
    set_tcp_options(&socket, options)?;
    keep_alive(&socket)?;
    // Not by nix, which limits it to SOMAXCONN, and that is 128 in the headers of musl.
    SockRef::from(&socket).listen(backlog).map_err(errno)?;
    Ok(TcpListener::from_std(socket.into()))
}
