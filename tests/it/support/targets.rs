//! What a tunnel can lead to: listeners under the test's control, echoes, sources without end,
//! and ports that never answer.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream};
use std::thread;

use socket2::{Domain, SockRef, Socket, Type};

use super::DEADLINE;
use super::wire::{loopback, loopback6, prepare};

/// A listener whose connections the test takes itself.
pub(crate) struct Target {
    listener: TcpListener,
    /// Where it listens.
    pub(crate) addr: SocketAddr,
}

impl Target {
    /// A listener on a free port of 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::at(loopback(1, 0))
    }

    /// A listener on `addr`, which can be the other family's half of a taken port.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        let listener = listener_at(addr);
        // accept heeds the socket's receive timeout.
        SockRef::from(&listener)
            .set_read_timeout(Some(DEADLINE))
            .unwrap();
        let addr = listener.local_addr().unwrap();
        Self { listener, addr }
    }

    /// A listener on a free port of 127.0.0.1 with room for `queue` connections that wait.
    pub(crate) fn with_queue(queue: i32) -> Self {
        let target = Self::new();
        SockRef::from(&target.listener).listen(queue).unwrap();
        target
    }

    /// The next connection and where it comes from.
    #[track_caller]
    pub(crate) fn accept_from(&self) -> (TcpStream, SocketAddr) {
        let (stream, peer) = match self.listener.accept() {
            Ok(accepted) => accepted,
            Err(error) => panic!("nobody connected: {error}"),
        };
        prepare(&stream);
        (stream, peer)
    }

    /// The next connection.
    #[track_caller]
    pub(crate) fn accept(&self) -> TcpStream {
        self.accept_from().0
    }

    /// The first `len` bytes of the next connection, which ends then.
    #[track_caller]
    pub(crate) fn hear(&self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        self.accept().read_exact(&mut bytes).unwrap();
        bytes
    }

    /// The next connection, for a program that knows no deadlines.
    #[track_caller]
    pub(crate) fn accept_blocking(&self) -> TcpStream {
        let stream = self.accept();
        stream.set_read_timeout(None).unwrap();
        stream.set_write_timeout(None).unwrap();
        stream
    }

    /// Whether nobody has connected so far.
    pub(crate) fn is_untouched(&self) -> bool {
        self.listener.set_nonblocking(true).unwrap();
        let accepted = self.listener.accept();
        self.listener.set_nonblocking(false).unwrap();
        accepted.is_err()
    }
}

/// A port at which connections stay unanswered: its queue is full, and nobody takes from it.
pub(crate) struct Unanswering {
    /// The target, once it is left to accept.
    pub(crate) target: Target,
    waiting: Vec<Socket>,
}

impl Unanswering {
    /// A free port of 127.0.0.1.
    pub(crate) fn new() -> Self {
        Self::at(loopback(1, 0))
    }

    /// A chosen address.
    pub(crate) fn at(addr: SocketAddr) -> Self {
        let target = Target::at(addr);
        // With a backlog of 0 one connection waits; the kernel then ignores every further SYN.
        SockRef::from(&target.listener).listen(0).unwrap();
        let source = target.addr.ip();
        let waiting = (0..2).map(|_| start_connect(source, target.addr)).collect();
        Self { target, waiting }
    }

    /// Accepts from now on; the connections that filled the queue are gone. The kernel repeats
    /// an ignored SYN after one second.
    pub(crate) fn release(self) -> Target {
        drop(self.waiting);
        SockRef::from(&self.target.listener).listen(16).unwrap();
        drop(self.target.accept());
        self.target
    }
}

/// Starts a connection from `source` without waiting for anything.
pub(crate) fn start_connect(source: impl Into<IpAddr>, addr: SocketAddr) -> Socket {
    let socket = Socket::new(Domain::for_address(addr), Type::STREAM, None).unwrap();
    socket
        .bind(&SocketAddr::new(source.into(), 0).into())
        .unwrap();
    socket.set_nonblocking(true).unwrap();
    // In progress: that is all it is for.
    let _ = socket.connect(&addr.into());
    socket
}

/// A port that is taken without listening: connections to it are refused.
pub(crate) struct Refusing {
    /// The address to ask for.
    pub(crate) addr: SocketAddr,
    _socket: Socket,
}

impl Refusing {
    /// A free port of 127.0.0.1.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&loopback(1, 0).into()).unwrap();
        let addr = socket.local_addr().unwrap().as_socket().unwrap();
        Self {
            addr,
            _socket: socket,
        }
    }
}

/// A target that sends everything back, and ends when its peer does.
pub(crate) fn echo() -> SocketAddr {
    echo_at(loopback(1, 0))
}

/// The same at a chosen address.
pub(crate) fn echo_at(addr: SocketAddr) -> SocketAddr {
    serve(addr, |stream| drop(io::copy(&mut &stream, &mut &stream)))
}

/// A target that sends without end to everyone who connects, from small socket buffers.
pub(crate) fn endless() -> SocketAddr {
    serve(loopback(1, 0), |mut stream| {
        let block = [0x5a; 1 << 16];
        stream.set_write_timeout(None).unwrap();
        SockRef::from(&stream)
            .set_send_buffer_size(1 << 18)
            .unwrap();
        while stream.write_all(&block).is_ok() {}
    })
}

/// A target that handles each connection in a thread of its own, until the tests end.
pub(crate) fn serve(addr: SocketAddr, handle: fn(TcpStream)) -> SocketAddr {
    let listener = listener_at(addr);
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().map_while(Result::ok) {
            stream.set_nodelay(true).unwrap();
            thread::spawn(move || handle(stream));
        }
    });
    addr
}

/// A listener on `addr`. A free port of ::1 is none that the kernel gives away: it could be another
/// test's on 127.0.0.1, and `localhost` is both.
fn listener_at(mut addr: SocketAddr) -> TcpListener {
    if addr == loopback6(0) {
        addr.set_port(port_free_on(&[addr.ip(), loopback(1, 0).ip()]));
    }
    TcpListener::bind(addr).unwrap()
}

/// A port that is free on all these addresses. Below those that the kernel gives to clients,
/// one of which could have it on one address and not on another.
pub(crate) fn port_free_on(ips: &[IpAddr]) -> u16 {
    let is_free = |port: &u16| ips.iter().all(|ip| TcpListener::bind((*ip, *port)).is_ok());
    ports_of_nobody().find(is_free).expect("one is free")
}

/// A hundred ports to try, below those that the kernel gives away.
pub(crate) fn ports_of_nobody() -> impl Iterator<Item = u16> {
    (0..100).map(|_| fastrand::u16(10_000..30_000))
}
