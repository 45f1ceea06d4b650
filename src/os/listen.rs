//! Listeners: their addresses, one free port for all of them, and waiting for addresses that are
//! not there yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpListener;
use nix::sys::socket::{SockType, setsockopt, sockopt};
use socket2::SockRef;

use super::address;
use super::error::{OpenError, errno};
use super::socket::{TcpOptions, at_free_port, create, keep_alive, set_tcp_options};
use crate::config::{Config, Listen};
use crate::log::{Level, log};
use crate::net::{Errno, Signal};
use crate::sys::{self, Signals};

/// The length of the queue of connections; the kernel limits it to net.core.somaxconn. A long
/// one, because clients wait there while all sessions are in use.
const BACKLOG: i32 = 1024;

/// The same for a BIND: its peer, and others that connect before it.
const PEER_BACKLOG: i32 = 8;

/// The number of ports of --relay-ports that are tried for one listener: with half of the range
/// taken, one listener in billions finds none.
const BIND_PORTS_TRIED_MAX: u32 = 32;

/// The time until an address that is not there yet is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// The number of free ports that are tried until one is free on all addresses.
const FREE_PORTS_TRIED_MAX: usize = 16;

/// Opens all listeners, or none. With --retry-listen it waits for what may pass by itself.
pub(super) fn open(config: &Config, signals: &Signals) -> Result<Vec<TcpListener>, OpenError> {
    let mut listeners = Vec::new();
    let mut tried = 0;
    let mut warned = false;
    let mut reload = false;
    while let Err(failure) = open_once(config, &mut listeners) {
        tried += 1;
        // A free port of the first address was taken on the second: pick another.
        if config.port == 0 && failure.is(Errno::EADDRINUSE) && tried < FREE_PORTS_TRIED_MAX {
            continue;
        }
        if !config.retry_listen || !failure.is_transient() {
            return Err(failure);
        }
        if !warned {
            warned = true;
            log(Level::Warn, format_args!("{failure}; trying on"));
        }
        tried = 0;
        match signals.wait(RETRY_EVERY) {
            Some(Signal::Stop) => return Err(OpenError::Stopped),
            // The files have been read already: the server gets the signal once it runs.
            Some(Signal::Reload) => reload = true,
            Some(Signal::Report) | None => {}
        }
    }
    if reload {
        signals.reload();
    }
    Ok(listeners)
}

/// Tries to open all of them. If no address is given, one of 0.0.0.0 and :: is enough: the system
/// may have one family only.
fn open_once(config: &Config, listeners: &mut Vec<TcpListener>) -> Result<(), OpenError> {
    let mut free_port = 0;
    let mut outcome = Ok(());
    for addr in addresses(config)? {
        match open_one(addr, &mut free_port, config) {
            Ok(listener) => listeners.push(listener),
            Err(error) => {
                let failure = OpenError::Listen(addr, error);
                let fatal = !config.listen.is_empty() || failure.is(Errno::EADDRINUSE);
                outcome = Err(failure);
                if fatal {
                    listeners.clear();
                    break;
                }
            }
        }
    }
    if listeners.is_empty() {
        outcome
    } else {
        Ok(())
    }
}

/// The addresses to listen on.
fn addresses(config: &Config) -> Result<Vec<SocketAddr>, OpenError> {
    let mut addrs = Vec::new();
    if config.listen.is_empty() {
        addrs.push(SocketAddr::new(Ipv4Addr::UNSPECIFIED.into(), config.port));
        addrs.push(SocketAddr::new(Ipv6Addr::UNSPECIFIED.into(), config.port));
    }
    for listen in &config.listen {
        let (name, port) = match listen {
            Listen::Addr(addr) => {
                addrs.push(*addr);
                continue;
            }
            Listen::Interface(name, port) => (name, *port),
        };
        let others = addrs.len();
        for interface in sys::interfaces::interfaces().map_err(OpenError::System)? {
            // A link-local address needs a scope, which clients seldom give. The other addresses
            // of the interface are enough.
            if interface.name == *name && !is_link_local(interface.addr) {
                addrs.push(SocketAddr::new(interface.addr, port));
            }
        }
        if addrs.len() == others {
            return Err(OpenError::Absent(name.clone()));
        }
    }
    Ok(addrs)
}

fn is_link_local(addr: IpAddr) -> bool {
    matches!(addr, IpAddr::V6(addr) if addr.is_unicast_link_local())
}

/// A listener for the peer of a BIND, at a port of the range `ports` or at any.
pub(super) fn for_peer(
    addr: IpAddr,
    ports: Option<(u16, u16)>,
    random: u16,
    mark: Option<u32>,
    options: TcpOptions,
) -> Result<TcpListener, Errno> {
    at_free_port(ports, random, BIND_PORTS_TRIED_MAX, |port| {
        let addr = SocketAddr::new(addr, port);
        listen_at(addr, PEER_BACKLOG, false, mark, options)
    })
}

/// Opens one listener. If its port is 0, the kernel picks one for the first listener, and the
/// others get the same, which is kept in `free_port`.
fn open_one(
    mut addr: SocketAddr,
    free_port: &mut u16,
    config: &Config,
) -> Result<TcpListener, Errno> {
    if addr.port() == 0 {
        addr.set_port(*free_port);
    }
    let listener = listen_at(
        addr,
        BACKLOG,
        config.reuseport,
        None,
        TcpOptions::new(config),
    )?;
    if addr.port() == 0 {
        *free_port = address::local(&listener)?.port();
    }
    Ok(listener)
}

fn listen_at(
    addr: SocketAddr,
    backlog: i32,
    reuseport: bool,
    mark: Option<u32>,
    options: TcpOptions,
) -> Result<TcpListener, Errno> {
    let socket = create(&addr, SockType::Stream)?;
    if addr.is_ipv6() {
        // So that there can be a listener at 0.0.0.0 and one at ::.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if let Some(mark) = mark {
        // Inherited by the connection: packets to the peer of a BIND are marked.
        setsockopt(&socket, sockopt::Mark, &mark)?;
    }
    if reuseport {
        setsockopt(&socket, sockopt::ReusePort, &true)?;
    }
    // Inherited by the connections, which saves system calls for each of them.
    set_tcp_options(&socket, options)?;
    keep_alive(&socket)?;
    address::bind(&socket, &addr)?;
    // Not by nix, which limits it to SOMAXCONN, and that is 128 in the headers of musl.
    SockRef::from(&socket).listen(backlog).map_err(errno)?;
    Ok(TcpListener::from_std(socket.into()))
}
