//! A raw client of UDP ASSOCIATE, and remotes for it. It uses none of the proxy's own code.

use std::io::ErrorKind;
use std::net::{IpAddr, SocketAddr, UdpSocket};
use std::thread;
use std::time::Duration;

use super::targets::ports_of_nobody;
use super::wire::{Client, GREETING, Reply, Way, loopback, request};
use super::{DEADLINE, Proxy};

/// How long nothing has to come before it counts as dropped: a reply takes some 100 µs.
const SILENCE: Duration = Duration::from_millis(100);

/// An association with the client's end of it.
pub(crate) struct Association {
    /// The TCP connection that it lives as long as.
    pub(crate) tcp: Client,
    /// BND.ADDR and BND.PORT.
    pub(crate) relay: SocketAddr,
    /// Where the client sends from.
    pub(crate) socket: UdpSocket,
}

impl Association {
    /// One whose client does not say where it will send from.
    #[track_caller]
    pub(crate) fn new(proxy: &Proxy) -> Self {
        Self::over(proxy.client())
    }

    /// One over this connection, which nothing was said on yet.
    #[track_caller]
    pub(crate) fn over(tcp: Client) -> Self {
        Self::asked(tcp, loopback_any())
    }

    /// One whose request names `hint`.
    #[track_caller]
    pub(crate) fn asked(tcp: Client, hint: SocketAddr) -> Self {
        let socket = socket_at(SocketAddr::new(tcp.addr.ip(), 0));
        Self::with_socket(tcp, hint, socket)
    }

    /// One whose request names `hint` and whose client sends from `socket`.
    #[track_caller]
    pub(crate) fn with_socket(mut tcp: Client, hint: SocketAddr, socket: UdpSocket) -> Self {
        let Reply { bound: relay, .. } = tcp.ask(Way::Pipelined, &request(3, hint));
        Self { tcp, relay, socket }
    }

    /// Sends `payload` to `to`.
    pub(crate) fn send(&self, to: SocketAddr, payload: &[u8]) {
        self.send_raw(&wrap(to, payload));
    }

    /// Sends a datagram as it is.
    pub(crate) fn send_raw(&self, datagram: &[u8]) {
        self.socket.send_to(datagram, self.relay).unwrap();
    }

    /// The next datagram: whom it is from by its header, and its payload.
    #[track_caller]
    pub(crate) fn receive(&self) -> (SocketAddr, Vec<u8>) {
        let (datagram, from) = receive(&self.socket);
        assert_eq!(from, self.relay, "replies come from exactly BND");
        unwrap(&datagram)
    }

    /// Sends to an echo and expects the same back.
    #[track_caller]
    pub(crate) fn echo(&self, to: SocketAddr, payload: &[u8]) {
        self.send(to, payload);
        let (from, answer) = self.receive();
        assert_eq!(from, to);
        assert!(answer == payload, "{} bytes differ", payload.len());
    }

    /// Whether nothing comes.
    pub(crate) fn is_silent(&self) -> bool {
        is_silent(&self.socket)
    }
}

impl Proxy {
    /// The code with which a new client's UDP ASSOCIATE is refused.
    #[track_caller]
    pub(crate) fn refuses_udp(&self) -> u8 {
        self.refuses(Way::Pipelined, &request(3, loopback_any()))
    }

    /// How many datagrams a fresh report counts as lost for `cause`, as it names it.
    pub(crate) fn dropped(&self, cause: &str) -> u64 {
        self.report()["lost"][cause].number()
    }
}

/// 0.0.0.0:0, which says nothing.
pub(crate) fn loopback_any() -> SocketAddr {
    ([0, 0, 0, 0], 0).into()
}

/// Says what is needed for an association without waiting for an answer.
pub(crate) fn hello(hint: SocketAddr) -> Vec<u8> {
    [&GREETING, &request(3, hint)[..]].concat()
}

/// A socket at `addr`, for port 0 at a free one that the kernel does not give away: no proxy
/// listens there, whose own port is closed for UDP too, and it stays free once it is given up.
pub(crate) fn bind(addr: SocketAddr) -> UdpSocket {
    if addr.port() != 0 {
        return UdpSocket::bind(addr).unwrap();
    }
    ports_of_nobody()
        .find_map(|port| UdpSocket::bind((addr.ip(), port)).ok())
        .expect("one is free")
}

/// A socket with a deadline.
pub(crate) fn socket_at(addr: SocketAddr) -> UdpSocket {
    let socket = bind(addr);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    socket
}

/// A socket of a free port of 127.0.0.`host`.
pub(crate) fn remote(host: u8) -> UdpSocket {
    socket_at(loopback(host, 0))
}

/// The next datagram of a socket.
#[track_caller]
pub(crate) fn receive(socket: &UdpSocket) -> (Vec<u8>, SocketAddr) {
    let mut buf = vec![0; 1 << 16];
    match socket.recv_from(&mut buf) {
        Ok((len, from)) => {
            buf.truncate(len);
            (buf, from)
        }
        Err(error) => panic!("no datagram: {error}"),
    }
}

/// Whether nothing comes.
pub(crate) fn is_silent(socket: &UdpSocket) -> bool {
    socket.set_read_timeout(Some(SILENCE)).unwrap();
    let received = socket.recv_from(&mut [0]);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    matches!(received, Err(error) if error.kind() == ErrorKind::WouldBlock)
}

/// The address of a remote that sends everything back, until the tests end.
pub(crate) fn echo(addr: SocketAddr) -> SocketAddr {
    let socket = bind(addr);
    let addr = socket.local_addr().unwrap();
    thread::spawn(move || {
        let mut buf = vec![0; 1 << 16];
        // What ICMP says of an earlier echo is no reason to end.
        loop {
            if let Ok((len, from)) = socket.recv_from(&mut buf) {
                let _ = socket.send_to(&buf[..len], from);
            }
        }
    });
    addr
}

/// A datagram with the header of RFC 1928 §7.
pub(crate) fn wrap(to: SocketAddr, payload: &[u8]) -> Vec<u8> {
    // ATYP and what follows are those of a request.
    [&[0, 0, 0], &request(0, to)[3..], payload].concat()
}

/// The same for a name.
pub(crate) fn wrap_name(name: &str, port: u16, payload: &[u8]) -> Vec<u8> {
    let len = u8::try_from(name.len()).unwrap();
    let port = port.to_be_bytes();
    [&[0, 0, 0, 3, len], name.as_bytes(), &port, payload].concat()
}

/// What is in a datagram for a client.
#[track_caller]
pub(crate) fn unwrap(datagram: &[u8]) -> (SocketAddr, Vec<u8>) {
    assert_eq!(datagram[..3], [0, 0, 0], "RSV and FRAG");
    let (ip, rest): (IpAddr, _) = match datagram[3] {
        1 => (
            <[u8; 4]>::try_from(&datagram[4..8]).unwrap().into(),
            &datagram[8..],
        ),
        4 => (
            <[u8; 16]>::try_from(&datagram[4..20]).unwrap().into(),
            &datagram[20..],
        ),
        other => panic!("ATYP {other} in a datagram"),
    };
    let port = u16::from_be_bytes([rest[0], rest[1]]);
    (SocketAddr::new(ip, port), rest[2..].to_vec())
}
