//! The datagrams of one call: sixteen places in one stretch of memory, each with headroom for a
//! header in front. There is one batch per process; nobody keeps anything in it between turns.
//!
//! The memory is taken with the first datagram and given back with the last association: zeroing
//! it may touch all of it (not every allocator knows what comes zeroed from the system).

use std::net::{Ipv4Addr, SocketAddr};

use crate::wire::udp::{HEADROOM, MESSAGE_V6_MAX};

/// Datagrams received or sent by one call at most. More of them gain little: what a call costs
/// beside its datagrams is a sixteenth of itself already.
pub const BATCH_MAX: usize = 16;

/// Bytes of one place: headroom and the longest datagram there is, which is 65,549, on to the
/// next multiple of 64. That is 64 more than 16 pages, so that the heads of the datagrams do not
/// all fall into the same set of a cache.
const PLACE_BYTES: usize = (HEADROOM + MESSAGE_V6_MAX).next_multiple_of(64);

/// Where a datagram lies and whom it is from, or for.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    addr: SocketAddr,
    /// Within its place.
    start: usize,
    end: usize,
    /// It was longer than the place.
    cut: bool,
}

/// The datagrams that one call has received, or the next one is to send, by number.
#[derive(Debug)]
pub struct Batch {
    /// Empty, or all places.
    memory: Vec<u8>,
    datagrams: [Datagram; BATCH_MAX],
}

impl Default for Batch {
    fn default() -> Self {
        let datagram = Datagram {
            addr: (Ipv4Addr::UNSPECIFIED, 0).into(),
            start: HEADROOM,
            end: HEADROOM,
            cut: false,
        };
        Self {
            memory: Vec::new(),
            datagrams: [datagram; BATCH_MAX],
        }
    }
}

impl Batch {
    fn take_memory(&mut self) {
        if self.memory.is_empty() {
            self.memory = vec![0; BATCH_MAX * PLACE_BYTES];
        }
    }

    /// Gives the memory back until the next datagram.
    pub fn release(&mut self) {
        self.memory = Vec::new();
    }

    /// Where datagrams may be received to: behind the headroom of each place.
    pub fn spaces(&mut self) -> [&mut [u8]; BATCH_MAX] {
        self.take_memory();
        let mut places = self.memory.chunks_exact_mut(PLACE_BYTES);
        std::array::from_fn(|_| {
            let place = places.next().unwrap_or_default();
            place.get_mut(HEADROOM..).unwrap_or_default()
        })
    }

    /// Says that datagram `number` has come from `from` and has `len` bytes, `cut` where it had
    /// more.
    pub fn set_received(&mut self, number: usize, from: SocketAddr, len: usize, cut: bool) {
        self.datagrams[number] = Datagram {
            addr: from,
            start: HEADROOM,
            end: HEADROOM + len.min(PLACE_BYTES - HEADROOM),
            cut,
        };
    }

    /// Puts a datagram for `to` in place `number`; longer than a place it is cut.
    pub fn put(&mut self, number: usize, to: SocketAddr, bytes: &[u8]) {
        let len = bytes.len().min(PLACE_BYTES - HEADROOM);
        self.set_received(number, to, len, false);
        self.take_memory();
        let start = number * PLACE_BYTES + HEADROOM;
        self.memory[start..start + len].copy_from_slice(&bytes[..len]);
    }

    /// Whom datagram `number` is from, or for.
    pub fn addr(&self, number: usize) -> SocketAddr {
        self.datagrams[number].addr
    }

    /// The same, where it lies.
    pub fn place(&self, number: usize) -> &SocketAddr {
        &self.datagrams[number].addr
    }

    /// Whether datagram `number` was longer than its place, which no IP packet without a
    /// jumbo payload is.
    pub fn is_cut(&self, number: usize) -> bool {
        self.datagrams[number].cut
    }

    /// The bytes of datagram `number`.
    pub fn bytes(&self, number: usize) -> &[u8] {
        let Datagram { start, end, .. } = self.datagrams[number];
        let place = number * PLACE_BYTES;
        &self.memory[place + start..place + end]
    }

    /// How much of datagram `number` is payload, once its header is popped or one is pushed.
    pub fn payload_len(&self, number: usize) -> usize {
        let Datagram { start, end, .. } = self.datagrams[number];
        end - start.max(HEADROOM)
    }

    /// Readdresses datagram `number` to `to`, without its first `len` bytes.
    pub fn pop_header(&mut self, number: usize, len: usize, to: SocketAddr) {
        let datagram = &mut self.datagrams[number];
        datagram.start = (datagram.start + len).min(datagram.end);
        datagram.addr = to;
    }

    /// Readdresses datagram `number`, as it was received, to `to`, with `header` in front: at
    /// most [`HEADROOM`] bytes.
    pub fn push_header(&mut self, number: usize, to: SocketAddr, header: &[u8]) {
        let datagram = &mut self.datagrams[number];
        datagram.start = HEADROOM - header.len();
        datagram.addr = to;
        let place = number * PLACE_BYTES;
        self.memory[place + datagram.start..place + HEADROOM].copy_from_slice(header);
    }
}

/// Numbers of datagrams, in the order to send them.
#[derive(Clone, Copy, Debug, Default)]
pub struct Indices {
    numbers: [u8; BATCH_MAX],
    len: usize,
}

impl Indices {
    /// Adds one; there is room for all of a batch.
    pub fn push(&mut self, number: usize) {
        self.numbers[self.len] = u8::try_from(number).unwrap_or(u8::MAX);
        self.len += 1;
    }

    /// The numbers.
    pub fn as_slice(&self) -> &[u8] {
        &self.numbers[..self.len]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    #[test]
    fn a_header_in_front_does_not_move_the_payload() {
        let mut batch = Batch::default();
        let spaces = batch.spaces();
        spaces[3][..5].copy_from_slice(b"reply");
        batch.set_received(3, addr("1.2.3.4:5"), 5, false);
        assert_eq!(batch.bytes(3), b"reply");
        batch.push_header(3, addr("9.9.9.9:9"), b"> ");
        assert_eq!((batch.bytes(3), batch.payload_len(3)), (&b"> reply"[..], 5));
        assert_eq!(batch.addr(3), addr("9.9.9.9:9"));
    }

    #[test]
    fn a_popped_header_leaves_the_payload_alone_and_the_neighbours_too() {
        let mut batch = Batch::default();
        for number in 0..BATCH_MAX {
            batch.put(
                number,
                addr("1.2.3.4:5"),
                &[u8::try_from(number).unwrap(); 100],
            );
        }
        batch.pop_header(7, 90, addr("[::1]:1"));
        assert_eq!(batch.bytes(7), [7; 10]);
        assert_eq!(batch.bytes(6), [6; 100]);
        assert_eq!(batch.bytes(8), [8; 100]);
        batch.pop_header(7, 90, addr("[::1]:1"));
        assert!(batch.bytes(7).is_empty());
    }

    #[test]
    fn the_longest_datagram_fits() {
        let mut batch = Batch::default();
        assert!(
            batch
                .spaces()
                .iter()
                .all(|space| space.len() >= MESSAGE_V6_MAX)
        );
        batch.put(BATCH_MAX - 1, addr("1.2.3.4:5"), &[1; MESSAGE_V6_MAX]);
        assert_eq!(batch.bytes(BATCH_MAX - 1).len(), MESSAGE_V6_MAX);
    }
}
