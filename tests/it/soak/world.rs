//! What the clients of a soak ask for: targets with a number each, names, a remote that echoes.

use std::io::ErrorKind;
use std::net::{IpAddr, Ipv4Addr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::time::Duration;

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::targets::Refusing;
use crate::support::wire::loopback;

/// The targets that have names, in turn.
const NAMED: u16 = 64;
/// The number of the first of them; the others are below.
const NAMED_FIRST: u16 = 0xf000;

/// A client for which nothing has moved for so long is stuck: its timeouts together are shorter. On
/// a busy machine a slow one takes longer to its end.
pub(super) const STUCK: Duration = Duration::from_secs(120);

/// Who needs no password, who needs one, and who has a wrong one.
pub(super) const TRUSTED: u8 = 2;
pub(super) const USER: u8 = 3;
pub(super) const STRANGER: u8 = 4;

/// The name of the remote that echoes.
pub(super) const ECHO_NAME: &str = "echo.test";
/// A name that does not exist.
pub(super) const NO_NAME: &str = "none.test";

/// What is around the proxy.
pub(super) struct World {
    /// Where the proxy listens.
    pub(super) proxy: SocketAddr,
    /// A port that nobody listens on.
    pub(super) refusing: Refusing,
    /// No client stays longer than this on purpose.
    pub(super) stay_max: Duration,
    targets: TcpListener,
    remote: UdpSocket,
    names: NameServer,
    next: u16,
    next_named: u16,
}

/// Where a target is found.
#[derive(Clone, Debug)]
pub(super) struct Place {
    /// What tells it from other targets.
    pub(super) number: u16,
    /// Its address.
    pub(super) addr: SocketAddr,
    /// Its name, if it is asked for by that.
    pub(super) name: Option<String>,
}

impl World {
    /// All but the proxy.
    pub(super) fn new(time: Duration) -> Self {
        let targets = TcpListener::bind((Ipv4Addr::UNSPECIFIED, 0)).unwrap();
        targets.set_nonblocking(true).unwrap();
        let remote = UdpSocket::bind(loopback(1, 0)).unwrap();
        remote.set_nonblocking(true).unwrap();
        let mut zone = vec![
            (ECHO_NAME, Answer::Is(vec![loopback(1, 0).ip()])),
            (NO_NAME, Answer::Error(NXDOMAIN)),
        ];
        for number in 0..NAMED {
            // A zone lives as long as the tests.
            let name: &'static str = name(number).leak();
            let ip = ip(NAMED_FIRST + number);
            let answers = [
                Answer::Is(vec![ip]),
                Answer::Alias(vec![ip]),
                Answer::OverTcp(vec![ip]),
                Answer::Slow(Duration::from_millis(200), vec![ip]),
            ];
            zone.push((name, answers[usize::from(number) % answers.len()].clone()));
        }
        Self {
            proxy: loopback(1, 0),
            refusing: Refusing::new(),
            stay_max: (time / 4).min(Duration::from_secs(60)),
            targets,
            remote,
            names: NameServer::start(zone),
            next: 0,
            next_named: 0,
        }
    }

    /// The proxy's options.
    pub(super) fn options(&self) -> Vec<String> {
        let text = format!(
            "-u ann -P secret --trust 127.0.0.{TRUSTED} --dns {} --handshake-timeout 3 \
             --bind-timeout 10 --half-close-timeout 90 --udp-timeout 90",
            self.names.option()
        );
        text.split_whitespace().map(String::from).collect()
    }

    /// The place of the next target.
    pub(super) fn place(&mut self, is_named: bool) -> Place {
        let (number, name) = if is_named {
            self.next_named = (self.next_named + 1) % NAMED;
            (NAMED_FIRST + self.next_named, Some(name(self.next_named)))
        } else {
            self.next = (self.next + 1) % NAMED_FIRST;
            (self.next, None)
        };
        let port = self.targets.local_addr().unwrap().port();
        Place {
            number,
            addr: SocketAddr::new(ip(number), port),
            name,
        }
    }

    /// The next connection to a target, and the target's number.
    pub(super) fn accept(&self) -> Option<(u16, TcpStream)> {
        let stream = match self.targets.accept() {
            Ok((stream, _)) => stream,
            Err(error) => {
                assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}");
                return None;
            }
        };
        let IpAddr::V4(local) = stream.local_addr().unwrap().ip() else {
            return None;
        };
        let [_, _, high, low] = local.octets();
        Some((u16::from_be_bytes([high, low]), stream))
    }

    /// Where datagrams are echoed.
    pub(super) fn remote(&self) -> SocketAddr {
        self.remote.local_addr().unwrap()
    }

    /// The remote sends back what has come.
    pub(super) fn echo(&self) {
        let mut buf = [0; 1 << 16];
        while let Ok((len, from)) = self.remote.recv_from(&mut buf) {
            // What is lost is sent again.
            let _ = self.remote.send_to(&buf[..len], from);
        }
    }
}

/// The address of a target.
fn ip(number: u16) -> IpAddr {
    let [high, low] = number.to_be_bytes();
    Ipv4Addr::new(127, 20, high, low).into()
}

/// The name of a target.
fn name(number: u16) -> String {
    format!("target{number}.test")
}
