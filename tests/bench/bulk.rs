//! Saturated tunnels, and a ping beside them. Whatever arrives is compared.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::pattern::{PIECE_MAX, Pattern};
use crate::site::Pair;

/// Which way the bytes go.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Way {
    Down,
    Up,
    Both,
}

/// One end of a tunnel.
struct End {
    stream: TcpStream,
    /// The number of the stream that it sends, and how far it is.
    sends: Option<(usize, u64)>,
    /// The same for what it receives.
    takes: Option<(usize, u64)>,
    readable: bool,
    writable: bool,
    queued: bool,
}

/// Tunnels through which bytes go without end.
pub(crate) struct Bulk<'a> {
    pattern: &'a Pattern,
    poll: Poll,
    events: Events,
    ends: Vec<End>,
    ready: Vec<usize>,
    scratch: Vec<u8>,
    /// All that has arrived.
    pub(crate) bytes: u64,
}

impl<'a> Bulk<'a> {
    /// Tunnels that carry bytes that way.
    pub(crate) fn new(pattern: &'a Pattern, pairs: Vec<Pair>, way: Way) -> Self {
        let mut ends = Vec::new();
        for (number, pair) in pairs.into_iter().enumerate() {
            let (down, up) = (Some((2 * number, 0)), Some((2 * number + 1, 0)));
            let down = down.filter(|_| way != Way::Up);
            let up = up.filter(|_| way != Way::Down);
            ends.push(End::new(pair.client, up, down));
            ends.push(End::new(pair.target, down, up));
        }
        let poll = Poll::new().unwrap();
        for (number, end) in ends.iter().enumerate() {
            let descriptor = end.stream.as_raw_fd();
            let both = Interest::READABLE.add(Interest::WRITABLE);
            let registry = poll.registry();
            registry
                .register(&mut SourceFd(&descriptor), Token(number), both)
                .unwrap();
        }
        Self {
            pattern,
            poll,
            events: Events::with_capacity(1024),
            ends,
            ready: Vec::new(),
            scratch: vec![0; PIECE_MAX],
            bytes: 0,
        }
    }

    /// Lets no client read any more.
    pub(crate) fn stop_clients(&mut self) {
        for end in self.ends.iter_mut().step_by(2) {
            end.takes = None;
        }
    }

    /// All that has been sent.
    pub(crate) fn sent(&self) -> u64 {
        let sent = self.ends.iter().filter_map(|end| end.sends);
        sent.map(|(_, sent)| sent).sum()
    }

    /// Moves bytes for that long, and pings beside.
    pub(crate) fn run(
        &mut self,
        time: Duration,
        mut ping: Option<&mut Ping>,
    ) -> Result<(), String> {
        let start = Instant::now();
        while start.elapsed() < time {
            let wait = if self.ready.is_empty() && ping.is_none() {
                Duration::from_millis(20)
            } else {
                Duration::ZERO
            };
            self.poll
                .poll(&mut self.events, Some(wait))
                .map_err(|error| error.to_string())?;
            for event in &self.events {
                let end = &mut self.ends[event.token().0];
                end.readable |= event.is_readable();
                end.writable |= event.is_writable();
                if !end.queued {
                    end.queued = true;
                    self.ready.push(event.token().0);
                }
            }
            if let Some(ping) = &mut ping {
                ping.poke()?;
            }
            for at in std::mem::take(&mut self.ready) {
                if self.turn(at)? {
                    self.ready.push(at);
                }
                // Its time is the proxy's, as far as possible, and not that of the other ends here.
                if let Some(ping) = &mut ping {
                    ping.poke()?;
                }
            }
        }
        Ok(())
    }

    /// One piece in each direction. Returns whether there may be more.
    fn turn(&mut self, at: usize) -> Result<bool, String> {
        let end = &mut self.ends[at];
        if let Some((stream, sent)) = end.sends.as_mut().filter(|_| end.writable) {
            let piece = self.pattern.piece(*stream, *sent, PIECE_MAX);
            match end.stream.write(piece) {
                Ok(len) => *sent += len as u64,
                Err(error) if error.kind() == ErrorKind::WouldBlock => end.writable = false,
                Err(error) => return Err(format!("sending: {error}")),
            }
        }
        if let Some((stream, taken)) = end.takes.as_mut().filter(|_| end.readable) {
            match end.stream.read(&mut self.scratch) {
                Ok(0) => return Err("a tunnel has ended".into()),
                Ok(len) => {
                    if self.scratch[..len] != *self.pattern.piece(*stream, *taken, len) {
                        return Err(format!("wrong bytes behind {taken}"));
                    }
                    *taken += len as u64;
                    self.bytes += len as u64;
                    // A short read has emptied it: an event tells of more.
                    end.readable = len == PIECE_MAX;
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => end.readable = false,
                Err(error) => return Err(format!("receiving: {error}")),
            }
        }
        let more = end.sends.is_some() && end.writable || end.takes.is_some() && end.readable;
        end.queued = more;
        Ok(more)
    }
}

impl End {
    fn new(stream: TcpStream, sends: Option<(usize, u64)>, takes: Option<(usize, u64)>) -> Self {
        stream.set_nonblocking(true).unwrap();
        Self {
            stream,
            sends,
            takes,
            readable: false,
            writable: false,
            queued: false,
        }
    }
}

/// One tunnel through which 64 bytes go to and fro, without ever waiting for them.
pub(crate) struct Ping {
    pair: Pair,
    sent: Instant,
    count: u64,
    /// The bytes under way have been sent back.
    is_back: bool,
    /// Each trip in microseconds.
    pub(crate) trips: Vec<f64>,
}

/// The bytes of a ping.
pub(crate) const PING_BYTES: usize = 64;

/// The ping with that number of that tunnel.
pub(crate) fn ping_bytes(tunnel: u64, count: u64) -> [u8; PING_BYTES] {
    let mut bytes = [0x5a; PING_BYTES];
    bytes[..8].copy_from_slice(&tunnel.to_be_bytes());
    bytes[8..16].copy_from_slice(&count.to_be_bytes());
    bytes
}

impl Ping {
    /// The first is on its way.
    pub(crate) fn new(pair: Pair) -> Result<Self, String> {
        pair.client.set_nonblocking(true).unwrap();
        pair.target.set_nonblocking(true).unwrap();
        let mut ping = Self {
            pair,
            sent: Instant::now(),
            count: 0,
            is_back: false,
            trips: Vec::new(),
        };
        ping.send()?;
        Ok(ping)
    }

    fn send(&mut self) -> Result<(), String> {
        self.count += 1;
        self.is_back = false;
        self.sent = Instant::now();
        put(&self.pair.client, &ping_bytes(0, self.count))
    }

    /// Does what can be done.
    pub(crate) fn poke(&mut self) -> Result<(), String> {
        let expected = ping_bytes(0, self.count);
        if !self.is_back && arrived(&self.pair.target, &expected)? {
            self.is_back = true;
            put(&self.pair.target, &expected)?;
        }
        if self.is_back && arrived(&self.pair.client, &expected)? {
            self.trips.push(self.sent.elapsed().as_secs_f64() * 1e6);
            self.send()?;
        }
        Ok(())
    }
}

/// Sends a small message whole.
pub(crate) fn put(mut stream: &TcpStream, bytes: &[u8]) -> Result<(), String> {
    match stream.write(bytes) {
        Ok(len) if len == bytes.len() => Ok(()),
        other => Err(format!("a ping was not sent: {other:?}")),
    }
}

/// Whether a small message has arrived; as a whole, as it was sent.
pub(crate) fn arrived(mut stream: &TcpStream, expected: &[u8; PING_BYTES]) -> Result<bool, String> {
    let mut bytes = [0; PING_BYTES + 1];
    match stream.read(&mut bytes) {
        Ok(PING_BYTES) if bytes[..PING_BYTES] == *expected => Ok(true),
        Err(error) if error.kind() == ErrorKind::WouldBlock => Ok(false),
        other => Err(format!("a ping came back wrong: {other:?}")),
    }
}
