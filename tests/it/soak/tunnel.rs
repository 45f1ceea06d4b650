//! A client of TCP: its handshake, what it is answered, and its tunnel with the target.

use std::net::{IpAddr, SocketAddr, TcpStream};
use std::time::{Duration, Instant};

use super::draw::{Outcome, Replies, Script, source};
use super::end::End;
use super::figures::Figures;
use super::world::{STUCK, World};
use crate::support::wire::Client;

/// How long a client stays that does not finish its handshake; some are closed before.
const LEAVES_MAX_MS: u64 = 4_000;

/// The head of the target's answer to a forwarded request.
const ANSWER: &[u8] = b"HTTP/1.1 200 OK\r\nServer: soak\r\n\r\n";

/// The start of the proxy's own answer, where the target leaves without one.
const BAD_GATEWAY: &[u8] = b"HTTP/1.1 502 ";

/// A client, and its target once that is connected.
pub(super) struct Tunnel {
    script: Script,
    client: End,
    target: Option<End>,
    /// What has come of the replies, and how many are whole.
    replies: Vec<u8>,
    /// What has come of the forwarded head.
    head: Vec<u8>,
    begun: Instant,
    /// What has moved so far, and when that was last more than before.
    moved: (u64, Instant),
    leaves_after: Duration,
}

impl Tunnel {
    /// A client that has connected, and nothing more.
    pub(super) fn new(script: Script, world: &World) -> Self {
        let stream = connect(source(script.from), world.proxy);
        let handshake = script.handshake.clone();
        let client = End::new(stream, handshake, script.payloads[0], script.manners[0]);
        Self {
            client,
            target: None,
            replies: Vec::new(),
            head: Vec::new(),
            begun: Instant::now(),
            moved: (0, Instant::now()),
            leaves_after: Duration::from_millis(fastrand::u64(..LEAVES_MAX_MS)),
            script,
        }
    }

    /// Returns `true` if the target of that number is this client's, and not yet connected.
    pub(super) fn waits_for(&self, number: u16) -> bool {
        let is_own = self.script.place.number == number && self.target.is_none();
        is_own && self.script.outcome == Outcome::Tunnel && !self.client.has_left()
    }

    /// The target is connected.
    pub(super) fn connected(&mut self, stream: TcpStream) {
        let front = if self.script.is_forwarded {
            ANSWER
        } else {
            b""
        };
        let [_, payload] = self.script.payloads;
        let [_, manner] = self.script.manners;
        self.target = Some(End::new(stream, front.to_vec(), payload, manner));
    }

    /// Does what can be done now. Returns `true` if the client has ended as it is to.
    pub(super) fn step(&mut self, figures: &mut Figures) -> bool {
        let target = self.target.as_ref().map_or(0, End::moved);
        let moved = self.client.moved() + target + self.replies.len() as u64;
        if moved > self.moved.0 {
            self.moved = (moved, Instant::now());
        }
        let is_stuck = self.moved.1.elapsed() > STUCK;
        assert!(!is_stuck, "stuck: {}", self.state());
        match self.script.outcome {
            Outcome::Leaves => self.step_leaving(figures),
            Outcome::Refused(code) => self.step_refused(code, figures),
            Outcome::Tunnel | Outcome::Bind => self.step_tunnel(figures),
        }
    }

    fn step_leaving(&mut self, figures: &mut Figures) -> bool {
        self.client.send_front();
        self.client.read(&mut [0; 64]);
        let leaves = self.client.is_over() || self.begun.elapsed() > self.leaves_after;
        figures.left += u64::from(leaves);
        leaves
    }

    fn step_refused(&mut self, code: Option<u8>, figures: &mut Figures) -> bool {
        self.client.send_front();
        let mut buf = [0; 256];
        let len = self.client.read(&mut buf);
        self.replies.extend(&buf[..len]);
        if !self.client.is_over() {
            return false;
        }
        if let Some(code) = code {
            let expected = [5, 0, 5, code, 0, 1, 0, 0, 0, 0, 0, 0];
            assert_eq!(self.replies, expected, "{}", self.state());
        }
        figures.refused += 1;
        true
    }

    fn step_tunnel(&mut self, figures: &mut Figures) -> bool {
        let [up, down] = self.script.payloads;
        let is_open = self.hear();
        if is_open || self.script.is_pipelined {
            figures.bytes += self.client.send();
        } else {
            self.client.send_front();
        }
        if is_open && self.is_lost() {
            // The text that says why.
            self.client.read(&mut [0; 256]);
        } else if is_open {
            self.client.receive(&down);
            self.client.leave();
        }
        let is_heard = self.skip_head();
        if let Some(target) = self.target.as_mut().filter(|_| is_heard) {
            target.receive(&up);
            if !self.script.is_forwarded || target.has_all(&up) {
                figures.bytes += target.send();
            }
            target.leave();
        }
        self.has_ended(figures)
    }

    /// Reads what is missing of the replies. Returns `true` if all are there.
    fn hear(&mut self) -> bool {
        // Bounded by the length of a head: each round takes at least a byte.
        loop {
            let missing = self.script.replies.missing(&self.replies);
            if missing == 0 {
                return true;
            }
            let mut buf = vec![0; missing];
            let len = self.client.read(&mut buf);
            if len == 0 {
                return false;
            }
            self.replies.extend(&buf[..len]);
            if self.is_lost() {
                continue;
            }
            let bound = self.script.replies.check(&self.replies);
            if let Some(bound) = bound.filter(|_| self.is_bound_first()) {
                let peer = self.script.place.addr.ip();
                self.connected(connect(peer, bound));
            }
        }
    }

    /// Returns `true` if the target has left, and its answer was lost with it.
    fn is_lost(&self) -> bool {
        let has_left = self.target.as_ref().is_some_and(End::has_left);
        let len = self.replies.len().min(BAD_GATEWAY.len());
        let is_told = self.replies[..len] == BAD_GATEWAY[..len];
        self.script.is_forwarded && has_left && is_told
    }

    /// Returns `true` if its listener is open, and nobody has connected yet.
    fn is_bound_first(&self) -> bool {
        self.script.outcome == Outcome::Bind && self.target.is_none()
    }

    /// The target reads the head of a forwarded request. Returns `true` if it has all of it.
    fn skip_head(&mut self) -> bool {
        let Some(target) = self.target.as_mut().filter(|_| self.script.is_forwarded) else {
            return true;
        };
        let mut byte = [0];
        while !self.head.ends_with(b"\r\n\r\n") {
            if target.read(&mut byte) == 0 {
                return false;
            }
            self.head.push(byte[0]);
        }
        assert!(self.head.starts_with(b"POST / HTTP/1.1\r\n"));
        true
    }

    /// Returns `true` if both ends have all, or one has left and the other has seen it.
    fn has_ended(&self, figures: &mut Figures) -> bool {
        let [up, down] = &self.script.payloads;
        let target = self.target.as_ref();
        if self.client.has_left() || target.is_some_and(End::has_left) {
            let is_over = self.client.is_over() && target.is_none_or(End::is_over);
            figures.reset += u64::from(is_over);
            return is_over;
        }
        let is_cut = self.client.is_cut(down) || target.is_some_and(|target| target.is_cut(up));
        assert!(!is_cut, "cut: {}", self.state());
        let is_complete =
            self.client.is_complete(down) && target.is_some_and(|target| target.is_complete(up));
        figures.complete[self.script.replies.index()] += u64::from(is_complete);
        figures.binds += u64::from(is_complete && self.script.outcome == Outcome::Bind);
        figures.forwarded += u64::from(is_complete && self.script.is_forwarded);
        is_complete
    }

    fn state(&self) -> String {
        let replies = self.replies.escape_ascii();
        let target = self.target.as_ref().map(End::state);
        let client = self.client.state();
        format!(
            "{:?}\nclient {client}\ntarget {target:?}\nreplies {replies}",
            self.script
        )
    }
}

impl Replies {
    /// The protocol's place in a table: SOCKS5, SOCKS4, HTTP.
    fn index(self) -> usize {
        match self {
            Self::Socks5(..) => 0,
            Self::Socks4(_) => 1,
            Self::Http => 2,
        }
    }

    /// The number of bytes that may be read without reading behind the replies; 0: all are there.
    fn missing(self, replies: &[u8]) -> usize {
        match self {
            Self::Http => usize::from(!replies.ends_with(b"\r\n\r\n")),
            Self::Socks4(count) => (count * 8 - replies.len()).min(8),
            Self::Socks5(mut at, count) => {
                if replies.len() < at {
                    return at - replies.len();
                }
                for _ in 0..count {
                    // ATYP says how long it is.
                    let len = match replies.get(at + 3) {
                        None => return at + 4 - replies.len(),
                        Some(1) => 10,
                        Some(_) => 22,
                    };
                    at += len;
                    if replies.len() < at {
                        return at - replies.len();
                    }
                }
                0
            }
        }
    }

    /// Checks that what has come grants the request. Returns the address in the first reply.
    fn check(self, replies: &[u8]) -> Option<SocketAddr> {
        let shown = replies.escape_ascii();
        match self {
            Self::Http => {
                let granted = b"HTTP/1.1 200 ";
                let len = replies.len().min(granted.len());
                assert_eq!(replies[..len], granted[..len], "{shown}");
                None
            }
            Self::Socks4(_) => {
                for reply in replies.chunks(8) {
                    assert!(
                        reply[0] == 0 && reply.get(1).is_none_or(|code| *code == 90),
                        "{shown}"
                    );
                }
                let [_, _, high, low, ip @ ..] = *replies.first_chunk::<8>()?;
                Some((ip, u16::from_be_bytes([high, low])).into())
            }
            Self::Socks5(at, _) => {
                let methods: &[u8] = if at == 2 { &[5, 0] } else { &[5, 2, 1, 0] };
                let len = replies.len().min(at);
                assert_eq!(replies[..len], methods[..len], "{shown}");
                assert!(replies.get(at + 1).is_none_or(|code| *code == 0), "{shown}");
                let reply = replies.get(at..)?.first_chunk::<10>()?;
                let [_, _, _, 1, a, b, c, d, high, low] = *reply else {
                    panic!("no IPv4 address: {shown}");
                };
                Some(([a, b, c, d], u16::from_be_bytes([high, low])).into())
            }
        }
    }
}

/// A connection from an address of this machine.
pub(super) fn connect(from: IpAddr, to: SocketAddr) -> TcpStream {
    Client::connect_from(&from.to_string(), to).stream
}
