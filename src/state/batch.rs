//! The datagrams of one system call: sixteen places in one piece of memory, each with headroom for
//! a header in front. There is one batch per process, and it is empty between turns.
//!
//! The memory is allocated with the first datagram and freed with the last association. Not every
//! allocator knows that new memory is zero already, so zeroing may touch all of it.

use std::net::{Ipv4Addr, SocketAddr};

use crate::wire::udp::{HEADROOM, MESSAGE_V6_MAX};

/// The most datagrams that one system call receives or sends. With sixteen, the cost of the call
/// itself is a sixteenth per datagram: more of them would gain little.
pub const BATCH_MAX: usize = 16;

/// The size of one place in bytes: headroom and the longest datagram, 65,549 in all, rounded up to
/// a multiple of 64. That is 64 more than 16 pages, so that the first bytes of the datagrams are
/// not all in the same set of a cache.
const PLACE_BYTES: usize = (HEADROOM + MESSAGE_V6_MAX).next_multiple_of(64);

/// Where in its place a datagram is, and its address.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    /// Of its sender when it is received, of its receiver when it is sent.
    addr: SocketAddr,
    start: usize,
    end: usize,
    /// It was longer than its place.
    cut: bool,
}

/// The datagrams that one system call has received, or that the next one is to send. They are
/// numbered from 0.
#[derive(Debug)]
pub struct Batch {
    /// All places, or empty while there is no association.
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
    /// Allocates the memory, if that has not been done.
    fn take_memory(&mut self) {
        if self.memory.is_empty() {
            self.memory = vec![0; BATCH_MAX * PLACE_BYTES];
        }
    }

    /// Frees the memory until the next datagram.
    pub fn release(&mut self) {
        self.memory = Vec::new();
    }

    /// The space for a received datagram in each place: what is behind the headroom.
    pub fn spaces(&mut self) -> [&mut [u8]; BATCH_MAX] {
        self.take_memory();
        let mut places = self.memory.chunks_exact_mut(PLACE_BYTES);
        std::array::from_fn(|_| {
            let place = places.next().expect("the memory has all places");
            &mut place[HEADROOM..]
        })
    }

    /// Sets datagram `number`, which has been received from `from` and has `len` bytes. `cut`: it
    /// had more than its place.
    pub fn set_received(&mut self, number: usize, from: SocketAddr, len: usize, cut: bool) {
        self.datagrams[number] = Datagram {
            addr: from,
            start: HEADROOM,
            end: HEADROOM + len.min(PLACE_BYTES - HEADROOM),
            cut,
        };
    }

    /// Puts a datagram for `to` in place `number`. It is cut to the size of the place.
    pub fn put(&mut self, number: usize, to: SocketAddr, bytes: &[u8]) {
        let len = bytes.len().min(PLACE_BYTES - HEADROOM);
        self.set_received(number, to, len, false);
        self.take_memory();
        let start = number * PLACE_BYTES + HEADROOM;
        self.memory[start..start + len].copy_from_slice(&bytes[..len]);
    }

    /// The address that datagram `number` is from, or is to be sent to.
    pub fn addr(&self, number: usize) -> &SocketAddr {
        &self.datagrams[number].addr
    }

    /// Returns `true` if datagram `number` was longer than its place. Only IPv6 jumbograms
    /// (RFC 2675) can be.
    pub fn is_cut(&self, number: usize) -> bool {
        self.datagrams[number].cut
    }

    /// The bytes of datagram `number`.
    pub fn bytes(&self, number: usize) -> &[u8] {
        let Datagram { start, end, .. } = self.datagrams[number];
        let place = number * PLACE_BYTES;
        &self.memory[place + start..place + end]
    }

    /// The length in bytes of the payload of datagram `number`, once its header is popped or one
    /// is pushed.
    pub fn payload_len(&self, number: usize) -> usize {
        let Datagram { start, end, .. } = self.datagrams[number];
        end - start.max(HEADROOM)
    }

    /// Removes the first `len` bytes of datagram `number`, and sets its address to `to`.
    pub fn pop_header(&mut self, number: usize, len: usize, to: SocketAddr) {
        let datagram = &mut self.datagrams[number];
        datagram.start = (datagram.start + len).min(datagram.end);
        datagram.addr = to;
    }

    /// Puts `header`, which has at most [`HEADROOM`] bytes, in front of datagram `number` as it was
    /// received, and sets its address to `to`.
    pub fn push_header(&mut self, number: usize, to: SocketAddr, header: &[u8]) {
        let datagram = &mut self.datagrams[number];
        datagram.start = HEADROOM - header.len();
        datagram.addr = to;
        let place = number * PLACE_BYTES;
        self.memory[place + datagram.start..place + HEADROOM].copy_from_slice(header);
    }
}

/// The numbers of the datagrams to send, in their order.
#[derive(Clone, Copy, Debug, Default)]
pub struct Indices {
    numbers: [u8; BATCH_MAX],
    len: usize,
}

impl Indices {
    /// Appends a number, below [`BATCH_MAX`]. At most as many may be appended.
    pub fn push(&mut self, number: usize) {
        self.numbers[self.len] = u8::try_from(number).expect("a batch has 16 datagrams");
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
        assert_eq!(*batch.addr(3), addr("9.9.9.9:9"));
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
