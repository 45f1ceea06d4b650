//! A SOCKS5 client that shows every byte: what goes out and how it is cut, what comes back.
//!
//! It uses none of the proxy's own code, so that both cannot share a mistake.

use std::io::{ErrorKind, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use socket2::{Domain, SockRef, Socket, Type};

use super::{DEADLINE, Proxy};

/// Between two bytes of [`Way::PerByte`]: long enough for the proxy to read each alone, as a
/// rule. Nothing depends on it.
const BYTE_INTERVAL: Duration = Duration::from_micros(200);

/// Greeting that offers no authentication (RFC 1928 §3), and its answer.
pub(crate) const GREETING: [u8; 3] = [5, 1, 0];
/// Greeting that offers user and password.
pub(crate) const GREETING_USER: [u8; 3] = [5, 1, 2];

/// How a client's bytes reach the wire.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Way {
    /// Each byte in a segment of its own.
    PerByte,
    /// All in one segment.
    Pipelined,
}

/// Runs an exchange in both ways.
pub(crate) fn both_ways(exchange: impl Fn(Way)) {
    exchange(Way::Pipelined);
    exchange(Way::PerByte);
}

/// A reply (RFC 1928 §6).
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    /// REP.
    pub(crate) code: u8,
    /// BND.ADDR and BND.PORT.
    pub(crate) bound: SocketAddr,
}

/// A TCP connection to the proxy.
pub(crate) struct Client {
    /// The connection.
    pub(crate) stream: TcpStream,
    /// The address of this end.
    pub(crate) addr: SocketAddr,
}

impl Client {
    /// A connection from any address.
    pub(crate) fn connect(proxy: SocketAddr) -> Self {
        Self::over(TcpStream::connect_timeout(&proxy, DEADLINE).unwrap())
    }

    /// A connection from `source`.
    pub(crate) fn connect_from(source: &str, proxy: SocketAddr) -> Self {
        let source: IpAddr = source.parse().unwrap();
        let socket = Socket::new(Domain::for_address(proxy), Type::STREAM, None).unwrap();
        socket.bind(&SocketAddr::new(source, 0).into()).unwrap();
        socket.connect_timeout(&proxy.into(), DEADLINE).unwrap();
        Self::over(socket.into())
    }

    /// A connection that is there.
    pub(crate) fn over(stream: TcpStream) -> Self {
        prepare(&stream);
        let addr = stream.local_addr().unwrap();
        Self { stream, addr }
    }

    /// Sends `bytes`. That the proxy has closed is not an error here: what it said before counts.
    pub(crate) fn say(&mut self, way: Way, bytes: &[u8]) {
        let pieces = match way {
            Way::PerByte => bytes.chunks(1),
            Way::Pipelined => bytes.chunks(bytes.len().max(1)),
        };
        for piece in pieces {
            if let Err(error) = self.stream.write_all(piece) {
                assert!(is_end(error.kind()), "cannot send: {error}");
                return;
            }
            if matches!(way, Way::PerByte) {
                thread::sleep(BYTE_INTERVAL);
            }
        }
    }

    /// The next `len` bytes.
    #[track_caller]
    pub(crate) fn hear(&mut self, len: usize) -> Vec<u8> {
        let mut bytes = vec![0; len];
        if let Err(error) = self.stream.read_exact(&mut bytes) {
            panic!("{len} bytes did not come: {error}");
        }
        bytes
    }

    /// What comes until an orderly end of the stream, a MiB at most.
    #[track_caller]
    pub(crate) fn rest(&self) -> Vec<u8> {
        let mut bytes = Vec::new();
        if let Err(error) = (&self.stream).take(1 << 20).read_to_end(&mut bytes) {
            panic!("no end of stream behind {bytes:?}: {error}");
        }
        bytes
    }

    /// The same where a reset is as good an end.
    #[track_caller]
    pub(crate) fn rest_or_reset(&self) -> Vec<u8> {
        self.hear_at_most(1 << 20)
    }

    /// The next `len` bytes, or fewer where the connection ends before.
    pub(crate) fn hear_at_most(&self, len: u64) -> Vec<u8> {
        let mut bytes = Vec::new();
        match (&self.stream).take(len).read_to_end(&mut bytes) {
            Err(error) if !is_end(error.kind()) => panic!("neither bytes nor an end: {error}"),
            _ => bytes,
        }
    }

    /// Whether nothing comes for `time`.
    pub(crate) fn is_silent_for(&self, time: Duration) -> bool {
        self.stream.set_read_timeout(Some(time)).unwrap();
        let read = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(Some(DEADLINE)).unwrap();
        matches!(read, Err(error) if error.kind() == ErrorKind::WouldBlock)
    }

    /// The next reply.
    #[track_caller]
    pub(crate) fn reply(&mut self) -> Reply {
        let head = self.hear(4);
        assert_eq!((head[0], head[2]), (5, 0), "VER and RSV of a reply");
        let ip: IpAddr = match head[3] {
            1 => <[u8; 4]>::try_from(self.hear(4)).unwrap().into(),
            4 => <[u8; 16]>::try_from(self.hear(16)).unwrap().into(),
            other => panic!("ATYP {other} in a reply"),
        };
        let port = self.hear(2);
        let bound = SocketAddr::new(ip, u16::from_be_bytes([port[0], port[1]]));
        Reply {
            code: head[1],
            bound,
        }
    }

    /// The code of a reply that refuses: always ten bytes, then an orderly end (R10, R11).
    #[track_caller]
    pub(crate) fn refusal(&self) -> u8 {
        let bytes = self.rest();
        assert_eq!(bytes.len(), 10, "a refusal has ten bytes: {bytes:?}");
        assert_ne!(bytes[1], 0, "not refused");
        assert_eq!(
            [&bytes[..1], &bytes[2..]].concat(),
            [5, 0, 1, 0, 0, 0, 0, 0, 0]
        );
        bytes[1]
    }

    /// Asks for a tunnel to `target`, which must succeed.
    #[track_caller]
    pub(crate) fn open(&mut self, target: SocketAddr) -> Reply {
        self.ask(Way::Pipelined, &connect(target))
    }

    /// Greets and sends `request`, which must succeed.
    #[track_caller]
    pub(crate) fn ask(&mut self, way: Way, request: &[u8]) -> Reply {
        self.say(way, &[&GREETING, request].concat());
        assert_eq!(self.hear(2), [5, 0]);
        let reply = self.reply();
        assert_eq!(reply.code, 0);
        reply
    }

    /// Greets and sends `request`, which must be refused; the code.
    #[track_caller]
    pub(crate) fn ask_in_vain(&mut self, way: Way, request: &[u8]) -> u8 {
        self.say(way, &[&GREETING, request].concat());
        assert_eq!(self.hear(2), [5, 0]);
        self.refusal()
    }

    /// Ends the sending direction.
    pub(crate) fn finish(&self) {
        self.stream.shutdown(Shutdown::Write).unwrap();
    }

    /// Ends the connection by a reset.
    pub(crate) fn abort(self) {
        abort(self.stream);
    }

    /// Sends `bytes` and expects them back.
    #[track_caller]
    pub(crate) fn echo(&mut self, bytes: &[u8]) {
        self.say(Way::Pipelined, bytes);
        assert_eq!(self.hear(bytes.len()), bytes);
    }

    /// Time until the connection has ended, whatever is said.
    #[track_caller]
    pub(crate) fn time_to_end(&self) -> Duration {
        let start = Instant::now();
        self.rest_or_reset();
        start.elapsed()
    }
}

impl Proxy {
    /// The code with which a new client's request is refused.
    #[track_caller]
    pub(crate) fn refuses(&self, way: Way, request: &[u8]) -> u8 {
        self.client().ask_in_vain(way, request)
    }

    /// A tunnel for a new client that authenticates.
    #[track_caller]
    pub(crate) fn user_tunnel(&self, user: &[u8], password: &[u8], target: SocketAddr) -> Client {
        let mut client = self.client();
        let bytes = [
            &GREETING_USER,
            &user_pass(user, password)[..],
            &connect(target),
        ]
        .concat();
        client.say(Way::Pipelined, &bytes);
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        assert_eq!(client.reply().code, 0);
        client
    }

    /// The answer to a new client's credential: 0 is success. Ends the connection.
    #[track_caller]
    pub(crate) fn judges(&self, way: Way, user: &[u8], password: &[u8]) -> u8 {
        let mut client = self.client();
        client.say(
            way,
            &[&GREETING_USER, &user_pass(user, password)[..]].concat(),
        );
        let answer = client.hear(4);
        assert_eq!(answer[..3], [5, 2, 1]);
        answer[3]
    }
}

/// One end asks and the other answers, each with its end of stream right behind: half-closes pass in
/// both directions.
#[track_caller]
pub(crate) fn ask_and_answer(client: &mut Client, server: &mut Client, way: Way) {
    client.say(way, b"question");
    client.finish();
    assert_eq!(server.rest(), b"question");
    server.say(way, b"answer");
    server.finish();
    assert_eq!(client.rest(), b"answer");
}

/// Sets the deadline of every read and write, and sends small writes at once.
pub(crate) fn prepare(stream: &TcpStream) {
    stream.set_nodelay(true).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    stream.set_write_timeout(Some(DEADLINE)).unwrap();
}

/// Closes by a reset.
pub(crate) fn abort(stream: TcpStream) {
    SockRef::from(&stream)
        .set_linger(Some(Duration::ZERO))
        .unwrap();
    drop(stream);
}

/// Whether the client's greeting is answered.
pub(crate) fn is_served(mut client: Client) -> bool {
    let mut answer = [0; 2];
    let said = client.stream.write_all(&[5, 1, 0]);
    said.is_ok() && client.stream.read_exact(&mut answer).is_ok() && answer == [5, 0]
}

/// A CONNECT request for an address.
pub(crate) fn connect(target: SocketAddr) -> Vec<u8> {
    request(1, target)
}

/// A request for an address with any CMD.
pub(crate) fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    let mut bytes = vec![5, command, 0];
    match target.ip() {
        IpAddr::V4(ip) => {
            bytes.push(1);
            bytes.extend(ip.octets());
        }
        IpAddr::V6(ip) => {
            bytes.push(4);
            bytes.extend(ip.octets());
        }
    }
    bytes.extend(target.port().to_be_bytes());
    bytes
}

/// A CONNECT request for a name, which may be nonsense but not over 255 bytes long.
pub(crate) fn connect_name(name: impl AsRef<[u8]>, port: u16) -> Vec<u8> {
    let name = name.as_ref();
    let mut bytes = vec![5, 1, 0, 3, u8::try_from(name.len()).unwrap()];
    bytes.extend(name);
    bytes.extend(port.to_be_bytes());
    bytes
}

/// A request of RFC 1929 §2.
pub(crate) fn user_pass(user: &[u8], password: &[u8]) -> Vec<u8> {
    let mut bytes = vec![1];
    for part in [user, password] {
        bytes.push(u8::try_from(part.len()).unwrap());
        bytes.extend(part);
    }
    bytes
}

/// 127.0.0.`host`:`port`.
pub(crate) fn loopback(host: u8, port: u16) -> SocketAddr {
    (Ipv4Addr::new(127, 0, 0, host), port).into()
}

/// [::1]:`port`.
pub(crate) fn loopback6(port: u16) -> SocketAddr {
    (Ipv6Addr::LOCALHOST, port).into()
}

/// `len` bytes in which a displaced piece shows.
pub(crate) fn pattern(len: usize) -> Vec<u8> {
    (0..len)
        .map(|n| (n ^ (n >> 8).wrapping_mul(7) ^ (n >> 16)).to_le_bytes()[0])
        .collect()
}

/// Whether an error says that the other side is gone.
pub(crate) fn is_end(kind: ErrorKind) -> bool {
    matches!(kind, ErrorKind::ConnectionReset | ErrorKind::BrokenPipe)
}
