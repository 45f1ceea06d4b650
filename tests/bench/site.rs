//! Both ends of a tunnel: the generator is the client and the target, on one core.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::os::fd::AsRawFd;
use std::time::Duration;

use mio::unix::SourceFd;
use mio::{Interest, Registry, Token};
use socket2::{Domain, Socket, Type};

use crate::pattern::Pattern;
use crate::peers::{Proxy, USER};

/// How long a step of an opening may take.
const PATIENCE: Duration = Duration::from_secs(5);

/// Connections that wait until they are accepted.
const BACKLOG: i32 = 4096;

/// The target of all tunnels, and the bytes of all streams.
pub(crate) struct Site {
    listener: TcpListener,
    pub(crate) addr: SocketAddr,
    pub(crate) pattern: Pattern,
}

/// A tunnel that is established.
pub(crate) struct Pair {
    pub(crate) client: TcpStream,
    pub(crate) target: TcpStream,
}

impl Site {
    /// A target at a free port of 127.0.0.1.
    pub(crate) fn new() -> Self {
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.set_reuse_address(true).unwrap();
        let any = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        socket.bind(&any.into()).unwrap();
        socket.listen(BACKLOG).unwrap();
        socket.set_read_timeout(Some(PATIENCE)).unwrap();
        let listener = TcpListener::from(socket);
        let addr = listener.local_addr().unwrap();
        let pattern = Pattern::new();
        Self {
            listener,
            addr,
            pattern,
        }
    }

    /// Forgets connections that belong to nobody: looking whether a forwarder listens makes one.
    pub(crate) fn drain(&self) {
        self.listener.set_nonblocking(true).unwrap();
        while self.listener.accept().is_ok() {}
        self.listener.set_nonblocking(false).unwrap();
    }

    /// A connection to the target that is there.
    pub(crate) fn accept(&self) -> io::Result<TcpStream> {
        let (stream, _) = self.listener.accept()?;
        stream.set_nodelay(true)?;
        Ok(stream)
    }

    /// Waits for no connection from now on, and lets `registry` tell of them.
    pub(crate) fn announce(&self, registry: &Registry, token: Token) {
        self.listener.set_nonblocking(true).unwrap();
        let descriptor = self.listener.as_raw_fd();
        registry
            .register(&mut SourceFd(&descriptor), token, Interest::READABLE)
            .unwrap();
    }

    /// Waits for connections again.
    pub(crate) fn conceal(&self) {
        self.listener.set_nonblocking(false).unwrap();
    }

    /// Opens a tunnel from an address of this machine.
    pub(crate) fn open(&self, proxy: &Proxy, from: Option<IpAddr>) -> io::Result<Pair> {
        let client = connect(proxy.addr, from)?;
        if proxy.peer.is_socks() {
            hello(&client, proxy.login)?;
            request(&client, self.addr)?;
        }
        let target = self.accept()?;
        Ok(Pair { client, target })
    }

    /// Opens so many tunnels.
    pub(crate) fn open_all(&self, proxy: &Proxy, count: usize) -> Result<Vec<Pair>, String> {
        let open = |number| {
            self.open(proxy, None)
                .map_err(|error| format!("tunnel {number} of {count}: {error}"))
        };
        (0..count).map(open).collect()
    }
}

/// A connection to a proxy.
pub(crate) fn connect(to: SocketAddr, from: Option<IpAddr>) -> io::Result<TcpStream> {
    let socket = Socket::new(Domain::for_address(to), Type::STREAM, None)?;
    if let Some(from) = from {
        socket.bind(&SocketAddr::new(from, 0).into())?;
    }
    socket.set_tcp_nodelay(true)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.connect_timeout(&to.into(), PATIENCE)?;
    Ok(socket.into())
}

/// What a client says first, and what it hears.
pub(crate) fn greeting(login: bool) -> (&'static [u8], [u8; 2]) {
    if login {
        (&[5, 1, 2], [5, 2])
    } else {
        (&[5, 1, 0], [5, 0])
    }
}

/// The login of RFC 1929.
pub(crate) fn login() -> Vec<u8> {
    let (user, password) = USER;
    let len = |text: &str| u8::try_from(text.len()).unwrap();
    [
        &[1, len(user)],
        user.as_bytes(),
        &[len(password)],
        password.as_bytes(),
    ]
    .concat()
}

/// A request of that command for an address.
pub(crate) fn request_for(command: u8, to: SocketAddr) -> Vec<u8> {
    let IpAddr::V4(ip) = to.ip() else {
        unreachable!("all is on 127.0.0.1")
    };
    [
        &[5, command, 0, 1],
        &ip.octets()[..],
        &to.port().to_be_bytes(),
    ]
    .concat()
}

/// A handshake up to the request.
pub(crate) fn hello(mut stream: &TcpStream, has_login: bool) -> io::Result<()> {
    let (said, expected) = greeting(has_login);
    stream.write_all(said)?;
    hear(stream, &expected)?;
    if has_login {
        stream.write_all(&login())?;
        hear(stream, &[1, 0])?;
    }
    Ok(())
}

/// CONNECT, granted.
fn request(mut stream: &TcpStream, to: SocketAddr) -> io::Result<()> {
    stream.write_all(&request_for(1, to))?;
    reply(stream).map(drop)
}

/// A reply that grants a request, and the address in it.
pub(crate) fn reply(mut stream: &TcpStream) -> io::Result<SocketAddr> {
    let mut head = [0; 4];
    stream.read_exact(&mut head)?;
    if head[1] != 0 {
        return Err(io::Error::other(format!("refused with {}", head[1])));
    }
    if head[3] != 1 {
        return Err(io::Error::other("an address of another kind"));
    }
    let mut rest = [0; 6];
    stream.read_exact(&mut rest)?;
    let [a, b, c, d, high, low] = rest;
    Ok((Ipv4Addr::new(a, b, c, d), u16::from_be_bytes([high, low])).into())
}

/// Exactly these bytes.
fn hear(mut stream: &TcpStream, expected: &[u8]) -> io::Result<()> {
    let mut bytes = vec![0; expected.len()];
    stream.read_exact(&mut bytes)?;
    if bytes == expected {
        Ok(())
    } else {
        Err(io::Error::other(format!("heard {bytes:?}")))
    }
}
