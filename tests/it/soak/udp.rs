//! A client with an association, which sends datagrams to the remote that echoes.

use std::collections::HashMap;
use std::io::{ErrorKind, Read, Write};
use std::net::{SocketAddr, TcpStream, UdpSocket};
use std::time::{Duration, Instant};

use fastrand::Rng;

use super::draw::source;
use super::end::fill;
use super::figures::Figures;
use super::tunnel::connect;
use super::world::{ECHO_NAME, STUCK, TRUSTED, World};
use crate::support::udp::{hello, loopback_any, unwrap, wrap, wrap_name};

/// Datagrams whose echo is waited for, at once.
const UNDER_WAY_MAX: usize = 4;
/// A datagram without an echo for so long is sent again.
const AGAIN: Duration = Duration::from_secs(2);
/// The longest datagram, and the longest that most are.
const LEN_MAX: (usize, usize) = (60_000, 1_400);

/// A client and its association.
pub(super) struct Association {
    control: TcpStream,
    socket: UdpSocket,
    replies: Vec<u8>,
    relay: Option<SocketAddr>,
    seed: u64,
    /// How many datagrams are still to be sent.
    left: u32,
    /// Those whose echo is waited for: length, and when they were sent.
    under_way: HashMap<u32, (usize, Instant)>,
    /// When it began, or an echo last came.
    heard: Instant,
    rng: Rng,
}

impl Association {
    /// A client that has asked for its association.
    pub(super) fn new(count: u32, rng: &mut Rng, world: &World) -> Self {
        let from = source(TRUSTED);
        let control = connect(from, world.proxy);
        (&control).write_all(&hello(loopback_any())).unwrap();
        control.set_nonblocking(true).unwrap();
        let socket = UdpSocket::bind((from, 0)).unwrap();
        socket.set_nonblocking(true).unwrap();
        Self {
            control,
            socket,
            replies: Vec::new(),
            relay: None,
            seed: rng.u64(..),
            left: count,
            under_way: HashMap::new(),
            heard: Instant::now(),
            rng: rng.fork(),
        }
    }

    /// Does what can be done now. Returns `true` if all datagrams have come back.
    pub(super) fn step(&mut self, world: &World, figures: &mut Figures) -> bool {
        assert!(self.heard.elapsed() < STUCK, "stuck: {:?}", self.under_way);
        let Some(relay) = self.relay else {
            self.hear();
            return false;
        };
        self.receive(relay, world, figures);
        self.send_again(relay, world, figures);
        if self.left > 0 && self.under_way.len() < UNDER_WAY_MAX {
            self.left -= 1;
            let most = if self.rng.u8(..20) == 0 {
                LEN_MAX.0
            } else {
                LEN_MAX.1
            };
            self.under_way
                .insert(self.left, (self.rng.usize(4..most), Instant::now()));
            self.send(relay, self.left, world, figures);
        }
        let is_over = self.left == 0 && self.under_way.is_empty();
        figures.associations += u64::from(is_over);
        is_over
    }

    /// Reads the replies: greeting, and where to send datagrams.
    fn hear(&mut self) {
        let mut buf = [0; 12];
        let room = &mut buf[self.replies.len()..];
        match self.control.read(room) {
            Ok(len) => self.replies.extend(&room[..len]),
            Err(error) => assert_eq!(error.kind(), ErrorKind::WouldBlock, "{error}"),
        }
        let Ok([5, 0, 5, 0, 0, 1, a, b, c, d, high, low]) = <[u8; 12]>::try_from(&self.replies[..])
        else {
            return assert!(self.replies.len() < 12, "{:?}", self.replies);
        };
        self.relay = Some(([a, b, c, d], u16::from_be_bytes([high, low])).into());
    }

    /// Sends the datagram of that number.
    fn send(&self, relay: SocketAddr, number: u32, world: &World, figures: &mut Figures) {
        let payload = self.payload(number, self.under_way[&number].0);
        let remote = world.remote();
        let datagram = match number % 5 {
            0 => wrap_name(ECHO_NAME, remote.port(), &payload),
            _ => wrap(remote, &payload),
        };
        // A full queue is as good as a loss on the way.
        let _ = self.socket.send_to(&datagram, relay);
        figures.datagrams += 1;
    }

    /// All bytes of the datagram of that number.
    fn payload(&self, number: u32, len: usize) -> Vec<u8> {
        let mut payload = vec![0; len];
        fill(self.seed ^ u64::from(number), 0, &mut payload);
        payload[..4].copy_from_slice(&number.to_be_bytes());
        payload
    }

    fn receive(&mut self, relay: SocketAddr, world: &World, figures: &mut Figures) {
        let mut buf = vec![0; 1 << 16];
        while let Ok((len, from)) = self.socket.recv_from(&mut buf) {
            assert_eq!(from, relay);
            let (source, payload) = unwrap(&buf[..len]);
            assert_eq!(source, world.remote());
            let number = u32::from_be_bytes(*payload.first_chunk().expect("it has a number"));
            // It may have been sent twice.
            if let Some((len, _)) = self.under_way.remove(&number) {
                assert!(payload == self.payload(number, len), "datagram {number}");
                self.heard = Instant::now();
                figures.echoes += 1;
                figures.bytes += 2 * len as u64;
            }
        }
    }

    fn send_again(&mut self, relay: SocketAddr, world: &World, figures: &mut Figures) {
        let mut late = Vec::new();
        for (number, (_, sent)) in &mut self.under_way {
            if sent.elapsed() > AGAIN {
                *sent = Instant::now();
                late.push(*number);
            }
        }
        for number in late {
            self.send(relay, number, world, figures);
        }
    }
}
