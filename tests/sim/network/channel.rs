//! One direction of a simulated TCP connection, and the payload that travels in it.
//!
//! A channel has two bounded queues: what the sender has written, and what has arrived. It knows
//! nothing of events, faults or time; `network/mod.rs` moves its bytes.

use std::collections::VecDeque;

/// One direction of one connection.
pub(crate) struct Channel {
    sent: VecDeque<u8>,
    arrived: VecDeque<u8>,
    send_max: usize,
    receive_max: usize,
    fin_sent: bool,
    fin_arrived: bool,
    read: u64,
}

impl Channel {
    /// An empty channel whose queues hold `send_max` and `receive_max` bytes.
    pub(crate) fn new(send_max: usize, receive_max: usize) -> Self {
        Self {
            sent: VecDeque::new(),
            arrived: VecDeque::new(),
            send_max,
            receive_max,
            fin_sent: false,
            fin_arrived: false,
            read: 0,
        }
    }

    /// The receiver has room for that many bytes at least.
    pub(crate) fn receive_at_least(&mut self, bytes: usize) {
        self.receive_max = self.receive_max.max(bytes);
    }

    /// The number of bytes that the sender can still write.
    pub(crate) fn room(&self) -> usize {
        self.send_max - self.sent.len()
    }

    /// Returns `true` if there is so much room that a sender which saw none is told: a third, as in
    /// Linux.
    pub(crate) fn is_roomy(&self) -> bool {
        self.room() * 3 >= self.send_max
    }

    /// Writes what fits of `bytes`. Returns the number of bytes.
    pub(crate) fn put(&mut self, bytes: &[u8]) -> usize {
        let len = bytes.len().min(self.room());
        self.sent.extend(&bytes[..len]);
        len
    }

    /// The sender ends the stream.
    pub(crate) fn end(&mut self) {
        self.fin_sent = true;
    }

    /// The number of bytes that have arrived and are not read.
    pub(crate) fn arrived(&self) -> usize {
        self.arrived.len()
    }

    /// Returns `true` if the end of stream has arrived.
    pub(crate) fn has_ended(&self) -> bool {
        self.fin_arrived
    }

    /// Returns `true` if bytes or the end of stream could travel now.
    pub(crate) fn can_travel(&self) -> bool {
        match self.sent.len() {
            0 => self.fin_sent && !self.fin_arrived,
            _ => self.arrived.len() < self.receive_max,
        }
    }

    /// Moves up to `len` bytes from the sender to the receiver, with `with_fin` also the end of
    /// stream behind the last one. Returns the number of bytes, and whether the end of stream has
    /// arrived.
    pub(crate) fn travel(&mut self, len: usize, with_fin: bool) -> (usize, bool) {
        let len = len
            .min(self.sent.len())
            .min(self.receive_max - self.arrived.len());
        self.arrived.extend(self.sent.drain(..len));
        let fin =
            self.sent.is_empty() && self.fin_sent && !self.fin_arrived && (with_fin || len == 0);
        self.fin_arrived |= fin;
        (len, fin)
    }

    /// Copies what has arrived into `out`. Returns the number of bytes.
    pub(crate) fn look(&self, out: &mut [u8]) -> usize {
        let len = out.len().min(self.arrived.len());
        let (head, tail) = self.arrived.as_slices();
        let cut = head.len().min(len);
        out[..cut].copy_from_slice(&head[..cut]);
        out[cut..len].copy_from_slice(&tail[..len - cut]);
        len
    }

    /// The number of bytes that have been read since it was opened.
    pub(crate) fn read(&self) -> u64 {
        self.read
    }

    /// The number of bytes that have been written since it was opened, unless a reset has destroyed
    /// some.
    pub(crate) fn written(&self) -> u64 {
        self.read + (self.arrived.len() + self.sent.len()) as u64
    }

    /// Drops the first `len` bytes that have arrived: they are read.
    pub(crate) fn consume(&mut self, len: usize) {
        self.arrived.drain(..len);
        self.read += len as u64;
    }

    /// A reset destroys what is on its way.
    pub(crate) fn lose_sent(&mut self) {
        self.sent.clear();
    }

    /// A reset destroys what the receiver has not read.
    pub(crate) fn lose_all(&mut self) {
        self.sent.clear();
        self.arrived.clear();
    }
}

/// Writes the bytes of stream `seed` from position `at` on into `out`. A byte depends on its
/// position, so one that is lost, doubled or misplaced shows.
pub(crate) fn payload(seed: u64, at: u64, out: &mut [u8]) {
    let mut at = at;
    let mut rest = out;
    while !rest.is_empty() {
        let word = mix(seed ^ (at >> 3)).to_le_bytes();
        let from = usize::try_from(at & 7).unwrap_or(0);
        let len = rest.len().min(8 - from);
        let (head, tail) = rest.split_at_mut(len);
        head.copy_from_slice(&word[from..from + len]);
        at += len as u64;
        rest = tail;
    }
}

/// Splitmix64's finalizer.
fn mix(x: u64) -> u64 {
    let x = x.wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let x = (x ^ (x >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    (x ^ (x >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn payload_is_the_same_however_it_is_cut() {
        let mut whole = [0; 100];
        payload(7, 3, &mut whole);
        let mut pieces = [0; 100];
        for at in 0..100 {
            payload(7, 3 + at as u64, &mut pieces[at..=at]);
        }
        assert_eq!(whole, pieces);
    }

    #[test]
    fn the_end_comes_behind_the_last_byte() {
        let mut channel = Channel::new(8, 4);
        assert_eq!(channel.put(b"abcdef"), 6);
        channel.end();
        assert_eq!(channel.travel(9, true), (4, false));
        assert!(!channel.can_travel());
        channel.consume(4);
        assert_eq!(channel.travel(9, true), (2, true));
        assert!(channel.has_ended());
    }
}
