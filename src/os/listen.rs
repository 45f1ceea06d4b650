//! Listeners: which addresses, one port for all, and waiting for what is not there yet.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use mio::net::TcpListener;
use nix::sys::socket::{SockType, setsockopt, sockopt};
use socket2::SockRef;

use super::address;
use super::error::{OpenError, errno};
use super::socket::{at_free_port, create, set_tcp_options};
use crate::config::{Config, Listen};
use crate::log::{Level, log};
use crate::net::{Errno, Signal};
use crate::sys::{self, Signals};

/// The kernel cuts it to net.core.somaxconn. Many, because clients wait here while all
/// sessions are in use.
const BACKLOG: i32 = 1024;

/// The same for a BIND: the peer, and strangers who come before it.
const PEER_BACKLOG: i32 = 8;

/// How many ports of --relay-ports are tried for one listener: with half of the range taken,
/// one in billions fails.
const RELAY_PORTS_TRIED_MAX: u32 = 32;

/// How often an address that is not there yet is tried again.
const RETRY_EVERY: Duration = Duration::from_secs(1);

/// How many free ports are tried for one that is free on all addresses.
const PORTS_TRIED_MAX: usize = 16;

/// Opens all listeners, or none.
pub(super) fn open(config: &Config, signals: &Signals) -> Result<Vec<TcpListener>, OpenError> {
    let mut listeners = Vec::new();
    let mut tried = 0;
    let mut warned = false;
    let mut reload = false;
    while let Err(failure) = open_once(config, &mut listeners) {
        tried += 1;
        // A free port of the first address was taken on the second: pick another.
        if config.port == 0 && failure.is(Errno::EADDRINUSE) && tried < PORTS_TRIED_MAX {
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
            // What it is about has been read before: the server hears of it once there is one.
            Some(Signal::Reload) => reload = true,
            Some(Signal::Report) | None => {}
        }
    }
    if reload {
        signals.reload();
    }
    Ok(listeners)
}

/// Opens all of them once. Of 0.0.0.0 and :: one is enough, where the system has no other.
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

/// Where to listen.
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
        for interface in sys::interfaces::interfaces() {
            // A link-local address needs a scope, which clients seldom give; the others do.
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

/// A listener for the one peer of a BIND.
pub(super) fn for_peer(
    addr: IpAddr,
    ports: Option<(u16, u16)>,
    random: u16,
    (mark, peer_ms): (Option<u32>, u32),
) -> Result<TcpListener, Errno> {
    at_free_port(ports, random, RELAY_PORTS_TRIED_MAX, |port| {
        let addr = SocketAddr::new(addr, port);
        listen_at(addr, PEER_BACKLOG, false, mark, peer_ms)
    })
}

/// One listener. Port 0 becomes the number that the first of them was given.
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
        config.timeouts.peer_ms,
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
    peer_ms: u32,
) -> Result<TcpListener, Errno> {
    let socket = create(&addr, SockType::Stream)?;
    if addr.is_ipv6() {
        // So that 0.0.0.0 and :: stand side by side.
        setsockopt(&socket, sockopt::Ipv6V6Only, &true)?;
    }
    setsockopt(&socket, sockopt::ReuseAddr, &true)?;
    if let Some(mark) = mark {
        // Inherited as well: what goes back to the peer of a BIND goes out marked.
        setsockopt(&socket, sockopt::Mark, &mark)?;
    }
    if reuseport {
        setsockopt(&socket, sockopt::ReusePort, &true)?;
    }
    // Inherited by the connections: no system call for them later.
    set_tcp_options(&socket, peer_ms)?;
    address::bind(&socket, &addr)?;
    // nix allows no more than SOMAXCONN of the headers, which is 128 in musl's.
    SockRef::from(&socket).listen(backlog).map_err(errno)?;
    Ok(TcpListener::from_std(socket.into()))
}
