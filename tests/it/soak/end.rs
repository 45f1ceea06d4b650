//! One end of a stream: what it sends and how, and what it has to receive.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::time::{Duration, Instant};

use crate::support::wire;

/// Bytes moved in one step, each way.
const STEP_BYTES: usize = 1 << 16;
/// Bytes that a slow end reads in one step.
const SLOW_BYTES: usize = 1 << 10;
/// Byte by byte an end sends for so long, and then the rest at once: on a busy machine it would not
/// be through in the time of a handshake.
const DRIPS_MAX: Duration = Duration::from_secs(1);

/// What an end sends behind what comes before its payload.
#[derive(Clone, Copy, Debug)]
pub(super) struct Payload {
    /// Which bytes.
    pub(super) seed: u64,
    /// How many.
    pub(super) len: u64,
    /// It begins once the other side has ended.
    pub(super) waits: bool,
    /// In the middle of it there is a pause until then.
    pub(super) pause: Option<Instant>,
}

/// How an end reads and leaves.
#[derive(Clone, Copy, Debug, Default)]
pub(super) struct Manner {
    /// It sends its first bytes one by one.
    pub(super) drips: bool,
    /// It reads little at a time.
    pub(super) is_slow: bool,
    /// It leaves by a reset once it has moved that many bytes of payload.
    pub(super) reset_at: Option<u64>,
}

/// One end of a stream.
pub(super) struct End {
    /// `None`: it has left by a reset.
    stream: Option<TcpStream>,
    manner: Manner,
    begun: Instant,
    /// What comes before the payload, and how much of it is sent.
    front: (Vec<u8>, usize),
    payload: Payload,
    sent: u64,
    received: u64,
    has_finished: bool,
    has_ended: bool,
    is_broken: bool,
}

impl End {
    /// An end that sends `front` and then `payload`.
    pub(super) fn new(stream: TcpStream, front: Vec<u8>, payload: Payload, manner: Manner) -> Self {
        stream.set_nonblocking(true).unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream: Some(stream),
            manner,
            begun: Instant::now(),
            front: (front, 0),
            payload,
            sent: 0,
            received: 0,
            has_finished: false,
            has_ended: false,
            is_broken: false,
        }
    }

    /// Sends more of what comes before the payload. Returns `true` if all of it is sent.
    pub(super) fn send_front(&mut self) -> bool {
        let (front, sent) = &self.front;
        let rest = &front[*sent..];
        let len = if self.manner.drips && self.begun.elapsed() < DRIPS_MAX {
            rest.len().min(1)
        } else {
            rest.len()
        };
        let rest = rest[..len].to_vec();
        self.front.1 += self.write(&rest);
        self.front.1 == self.front.0.len()
    }

    /// Sends what may be sent of the payload, and the end behind it.
    pub(super) fn send(&mut self) -> u64 {
        let is_over = self.has_finished || self.is_broken || self.has_left();
        if is_over || !self.send_front() || self.payload.waits && !self.has_ended {
            return 0;
        }
        let rest = self.payload.len - self.sent;
        let is_paused = self
            .payload
            .pause
            .is_some_and(|until| Instant::now() < until);
        if is_paused && self.sent >= self.payload.len / 2 {
            return 0;
        }
        let mut bytes = vec![0; usize::try_from(rest).unwrap().min(STEP_BYTES)];
        fill(self.payload.seed, self.sent, &mut bytes);
        let len = self.write(&bytes) as u64;
        self.sent += len;
        if self.sent == self.payload.len && !self.is_broken {
            self.has_finished = true;
            if let Some(stream) = &self.stream {
                // It may have been reset by now.
                let _ = stream.shutdown(Shutdown::Write);
            }
        }
        len
    }

    /// Receives, and compares with what the other end sends.
    pub(super) fn receive(&mut self, other: &Payload) -> u64 {
        let max = if self.manner.is_slow {
            SLOW_BYTES
        } else {
            STEP_BYTES
        };
        let mut buf = vec![0; max];
        let len = self.read(&mut buf);
        let mut expected = vec![0; len];
        fill(other.seed, self.received, &mut expected);
        self.received += len as u64;
        assert!(self.received <= other.len, "more than was sent: {other:?}");
        assert!(
            buf[..len] == expected,
            "other bytes than were sent: {other:?}"
        );
        len as u64
    }

    /// Leaves by a reset if it is time.
    pub(super) fn leave(&mut self) {
        let moved = self.sent + self.received;
        let is_time = self.manner.reset_at.is_some_and(|at| moved >= at);
        if let Some(stream) = self.stream.take_if(|_| is_time) {
            wire::abort(stream);
        }
    }

    /// Reads up to `buf.len()` bytes; none if there are none, or no more.
    pub(super) fn read(&mut self, buf: &mut [u8]) -> usize {
        let Some(stream) = self
            .stream
            .as_mut()
            .filter(|_| !self.has_ended && !self.is_broken)
        else {
            return 0;
        };
        if buf.is_empty() {
            return 0;
        }
        match stream.read(buf) {
            Ok(0) => self.has_ended = true,
            Ok(len) => return len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.breaks(error.kind()),
        }
        0
    }

    fn write(&mut self, bytes: &[u8]) -> usize {
        let Some(stream) = self.stream.as_mut().filter(|_| !bytes.is_empty()) else {
            return 0;
        };
        match stream.write(bytes) {
            Ok(len) => return len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => {}
            Err(error) => self.breaks(error.kind()),
        }
        0
    }

    fn breaks(&mut self, kind: ErrorKind) {
        assert!(wire::is_end(kind), "{kind}");
        self.is_broken = true;
    }

    /// Returns `true` if nothing more comes, in order or not.
    pub(super) fn is_over(&self) -> bool {
        self.has_ended || self.is_broken || self.has_left()
    }

    /// Returns `true` if all is sent and received, with both ends of the stream.
    pub(super) fn is_complete(&self, other: &Payload) -> bool {
        self.has_finished && self.has_ended && self.received == other.len
    }

    /// Returns `true` if it has been cut off: by a reset, or by an end before all has come.
    pub(super) fn is_cut(&self, other: &Payload) -> bool {
        self.is_broken || self.has_ended && self.received < other.len
    }

    /// Returns `true` if it has received all.
    pub(super) fn has_all(&self, other: &Payload) -> bool {
        self.received == other.len
    }

    /// Returns `true` if it has left by a reset.
    pub(super) fn has_left(&self) -> bool {
        self.stream.is_none()
    }

    /// Bytes sent and received.
    pub(super) fn moved(&self) -> u64 {
        self.front.1 as u64 + self.sent + self.received
    }

    /// How far it has come.
    pub(super) fn state(&self) -> String {
        let Self {
            front,
            payload,
            sent,
            received,
            ..
        } = self;
        format!(
            "front {}/{}, sent {sent}, received {received}, finished {}, ended {}, broken {}, {payload:?}, {:?}",
            front.1,
            front.0.len(),
            self.has_finished,
            self.has_ended,
            self.is_broken,
            self.manner,
        )
    }
}

/// Writes the bytes of stream `seed` from `at` on: each depends on its place (splitmix64).
pub(super) fn fill(seed: u64, at: u64, out: &mut [u8]) {
    for (byte, at) in out.iter_mut().zip(at..) {
        let word = (seed ^ (at >> 3)).wrapping_mul(0x9e37_79b9_7f4a_7c15);
        let word = (word ^ (word >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        *byte = (word ^ (word >> 31)).to_le_bytes()[usize::try_from(at & 7).unwrap()];
    }
}
