//! The datagrams that system calls receive and send: sixteen places in one piece of memory, each
//! with headroom for a header in front, and a list of what is to be sent from them. There is one
//! batch per process, and it is empty between turns.
//!
//! A place holds one datagram, or several of one sender and one length that the kernel has joined
//! (UDP_GRO): segments, of which the last may be shorter. In the other direction it takes a run
//! of datagrams with one receiver and one length in one call (UDP_SEGMENT).
//!
//! The memory is allocated with the first datagram and freed with the last association. Not every
//! allocator knows that new memory is zero already, so zeroing may touch all of it.

use std::net::{Ipv4Addr, SocketAddr};
use std::ops::Range;

use crate::wire::udp::{HEADROOM, MESSAGE_V4_MAX, MESSAGE_V6_MAX};

/// The most places that one system call fills, and the most datagrams that one sends apart. With
/// sixteen, the cost of the call itself is a sixteenth per datagram: more of them would gain
/// little.
pub const BATCH_MAX: usize = 16;

/// The most datagrams that are listed to be sent, and that are sent as one run: Linux took 64
/// (UDP_MAX_SEGMENTS) until 6.10, and 128 since.
pub const RUN_MAX: usize = 64;

/// The most bytes of a run: what one datagram carries over IPv4, headers not counted.
const RUN_BYTES_MAX: usize = MESSAGE_V4_MAX;

/// The size of one place in bytes: headroom and the longest datagram, 65,549 in all, rounded up to
/// a multiple of 64. That is 64 more than 16 pages, so that the first bytes of the datagrams are
/// not all in the same set of a cache.
const PLACE_BYTES: usize = (HEADROOM + MESSAGE_V6_MAX).next_multiple_of(64);

/// The size of all places in bytes, and of the list: what a batch takes while there are
/// associations.
pub const BATCH_BYTES: usize = BATCH_MAX * PLACE_BYTES + RUN_MAX * 64;

const _: () = assert!(size_of::<Datagram>() <= 64);

/// What a place has received.
#[derive(Clone, Copy, Debug)]
pub struct Received {
    /// Its sender.
    pub from: SocketAddr,
    /// Its length in bytes.
    pub len: usize,
    /// The length of each segment but the last; 0: it is one datagram.
    pub segment_len: usize,
    /// It was longer than its place.
    pub cut: bool,
}

/// Where a received datagram is: its place, and its bytes there.
#[derive(Clone, Copy, Debug)]
pub struct Segment {
    place: usize,
    start: usize,
    end: usize,
}

impl Segment {
    /// The same without its first `len` bytes.
    pub fn without(self, len: usize) -> Self {
        let start = (self.start + len).min(self.end);
        Self { start, ..self }
    }

    /// Its length in bytes.
    pub fn len(self) -> usize {
        self.end - self.start
    }

    /// Returns `true` if it has no bytes, which is a datagram as well.
    pub fn is_empty(self) -> bool {
        self.len() == 0
    }
}

/// A datagram to be sent.
#[derive(Clone, Copy, Debug)]
struct Datagram {
    to: SocketAddr,
    /// The length of what stands at the end of the headroom and is sent in front.
    header_len: usize,
    payload: Segment,
}

impl Datagram {
    fn len(&self) -> usize {
        self.header_len + self.payload.len()
    }
}

/// The datagrams that a system call has received, and those that the next ones are to send. Both
/// are numbered from 0, the former by their places.
#[derive(Debug)]
pub struct Batch {
    /// All places, or empty while there is no association.
    memory: Vec<u8>,
    received: [Received; BATCH_MAX],
    outgoing: Vec<Datagram>,
}

impl Default for Batch {
    fn default() -> Self {
        let received = Received {
            from: (Ipv4Addr::UNSPECIFIED, 0).into(),
            len: 0,
            segment_len: 0,
            cut: false,
        };
        Self {
            memory: Vec::new(),
            received: [received; BATCH_MAX],
            outgoing: Vec::new(),
        }
    }
}

impl Batch {
    /// Allocates the memory, if that has not been done.
    fn take_memory(&mut self) {
        if self.memory.is_empty() {
            self.memory = vec![0; BATCH_MAX * PLACE_BYTES];
            self.outgoing = Vec::with_capacity(RUN_MAX);
        }
    }

    /// Frees the memory until the next datagram.
    pub fn release(&mut self) {
        self.memory = Vec::new();
        self.outgoing = Vec::new();
    }

    /// The space for what is received in each place, behind the headroom, and what is to be said
    /// of it then.
    pub fn places(&mut self) -> (impl Iterator<Item = &mut [u8]>, &mut [Received; BATCH_MAX]) {
        self.take_memory();
        let places = self.memory.chunks_exact_mut(PLACE_BYTES);
        (
            places.map(|place| &mut place[HEADROOM..]),
            &mut self.received,
        )
    }

    /// The sender of what is in that place.
    pub fn from(&self, place: usize) -> &SocketAddr {
        &self.received[place].from
    }

    /// Returns `true` if what is in that place was longer. Only IPv6 jumbograms (RFC 2675) can be.
    pub fn is_cut(&self, place: usize) -> bool {
        self.received[place].cut
    }

    /// Returns `true` if the kernel has joined datagrams in that place.
    pub fn is_joined(&self, place: usize) -> bool {
        let Received {
            len, segment_len, ..
        } = self.received[place];
        (1..len).contains(&segment_len)
    }

    /// The number of datagrams in that place, 1 at least.
    pub fn segments(&self, place: usize) -> usize {
        let Received {
            len, segment_len, ..
        } = self.received[place];
        if self.is_joined(place) {
            len.div_ceil(segment_len)
        } else {
            1
        }
    }

    /// Datagram `number` of that place, below [`Batch::segments`].
    pub fn segment(&self, place: usize, number: usize) -> Segment {
        let Received {
            len, segment_len, ..
        } = self.received[place];
        let end = HEADROOM + len.min(PLACE_BYTES - HEADROOM);
        let mut segment = Segment {
            place,
            start: HEADROOM,
            end,
        };
        if self.is_joined(place) {
            segment.start = (HEADROOM + number * segment_len).min(end);
            segment.end = (segment.start + segment_len).min(end);
        }
        segment
    }

    /// The bytes of a datagram.
    pub fn bytes(&self, segment: Segment) -> &[u8] {
        let place = segment.place * PLACE_BYTES;
        &self.memory[place + segment.start..place + segment.end]
    }

    /// Puts bytes in the first place, cut to its size.
    pub fn put(&mut self, bytes: &[u8]) -> Segment {
        self.take_memory();
        let len = bytes.len().min(PLACE_BYTES - HEADROOM);
        let end = HEADROOM + len;
        self.memory[HEADROOM..end].copy_from_slice(&bytes[..len]);
        Segment {
            place: 0,
            start: HEADROOM,
            end,
        }
    }

    /// Lists a datagram to be sent, with `header` in front, which has [`HEADROOM`] bytes at most
    /// and is the same for all datagrams of a place. The list must not be full.
    pub fn push(&mut self, to: SocketAddr, header: &[u8], payload: Segment) {
        assert!(!self.is_full(), "{RUN_MAX} datagrams are listed");
        let behind = payload.place * PLACE_BYTES + HEADROOM;
        self.memory[behind - header.len()..behind].copy_from_slice(header);
        self.outgoing.push(Datagram {
            to,
            header_len: header.len(),
            payload,
        });
    }

    /// Returns `true` if [`RUN_MAX`] datagrams are listed to be sent.
    pub fn is_full(&self) -> bool {
        self.outgoing.len() == RUN_MAX
    }

    /// The number of datagrams that are listed to be sent.
    pub fn outgoing(&self) -> usize {
        self.outgoing.len()
    }

    /// Empties the list of what is to be sent.
    pub fn clear(&mut self) {
        self.outgoing.clear();
    }

    /// The receiver of a datagram to be sent.
    pub fn to(&self, number: usize) -> &SocketAddr {
        &self.outgoing[number].to
    }

    /// The length in bytes of a datagram to be sent, with its header.
    pub fn outgoing_len(&self, number: usize) -> usize {
        self.outgoing[number].len()
    }

    /// The same without its header.
    pub fn payload_len(&self, number: usize) -> usize {
        self.outgoing[number].payload.len()
    }

    /// The bytes of a datagram to be sent, in two parts. The second one is empty where the header
    /// stands right in front of the payload.
    pub fn parts(&self, number: usize) -> [&[u8]; 2] {
        let Datagram {
            header_len,
            mut payload,
            ..
        } = self.outgoing[number];
        let start = HEADROOM - header_len;
        if header_len == 0 || payload.start == HEADROOM {
            payload.start -= header_len;
            return [self.bytes(payload), &[]];
        }
        let header = Segment {
            start,
            end: HEADROOM,
            ..payload
        };
        [self.bytes(header), self.bytes(payload)]
    }

    /// How many datagrams from the first one of `numbers` on, and among these, may leave as one
    /// run: they have one receiver and one length, but the last may be shorter.
    pub fn run(&self, numbers: Range<usize>) -> usize {
        let Some((first, others)) = self.outgoing[numbers].split_first() else {
            return 0;
        };
        let len = first.len();
        let (mut count, mut bytes, mut last_len) = (1, len, len);
        for datagram in others {
            bytes += datagram.len();
            // What is empty would not be sent at all, and what follows a shorter one be joined.
            let fits = (1..=len).contains(&datagram.len()) && bytes <= RUN_BYTES_MAX;
            if !fits || last_len < len || datagram.to != first.to {
                break;
            }
            last_len = datagram.len();
            count += 1;
        }
        count
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    /// Fills a place as a system call does.
    fn receive(batch: &mut Batch, place: usize, bytes: &[u8], segment_len: usize) {
        let (mut spaces, received) = batch.places();
        spaces.nth(place).unwrap()[..bytes.len()].copy_from_slice(bytes);
        drop(spaces);
        received[place] = Received {
            from: addr("1.2.3.4:5"),
            len: bytes.len(),
            segment_len,
            cut: false,
        };
    }

    /// A list of datagrams of those lengths to receivers of those numbers.
    fn listed(datagrams: &[(u8, usize)]) -> Batch {
        let mut batch = Batch::default();
        let long = batch.put(&[7; MESSAGE_V4_MAX]);
        for (to, len) in datagrams {
            let payload = long.without(MESSAGE_V4_MAX - len);
            batch.push(([10, 0, 0, *to], 9).into(), b"", payload);
        }
        batch
    }

    /// The bytes of a datagram to be sent.
    fn whole(batch: &Batch, number: usize) -> Vec<u8> {
        let bytes = batch.parts(number).concat();
        assert_eq!(bytes.len(), batch.outgoing_len(number));
        bytes
    }

    #[test]
    fn a_header_in_front_does_not_move_the_payload() {
        let mut batch = Batch::default();
        receive(&mut batch, 3, b"reply", 0);
        let reply = batch.segment(3, 0);
        assert_eq!((batch.segments(3), batch.bytes(reply)), (1, &b"reply"[..]));
        batch.push(addr("9.9.9.9:9"), b"> ", reply);
        assert_eq!(batch.parts(0), [&b"> reply"[..], b""]);
        assert_eq!((batch.payload_len(0), batch.outgoing_len(0)), (5, 7));
        assert_eq!(*batch.to(0), addr("9.9.9.9:9"));
    }

    #[test]
    fn segments_are_apart_and_have_one_header_in_front_of_each() {
        let mut batch = Batch::default();
        receive(&mut batch, 15, b"aaaabbbbcc", 4);
        receive(&mut batch, 14, b"neighbour", 0);
        assert!(batch.is_joined(15) && batch.segments(15) == 3);
        for number in 0..3 {
            let segment = batch.segment(15, number);
            batch.push(addr("9.9.9.9:9"), b"> ", segment);
        }
        let sent: Vec<_> = (0..3).map(|number| whole(&batch, number)).collect();
        assert_eq!(sent, [&b"> aaaa"[..], b"> bbbb", b"> cc"]);
        assert_eq!(batch.bytes(batch.segment(14, 0)), b"neighbour");
        assert_eq!(batch.run(0..3), 3);
    }

    #[test]
    fn a_length_of_segments_that_says_nothing_leaves_one_datagram() {
        for segment_len in [0, 10, 11, usize::MAX] {
            let mut batch = Batch::default();
            receive(&mut batch, 0, &[1; 10], segment_len);
            assert!(!batch.is_joined(0) && batch.segments(0) == 1);
            assert_eq!(batch.bytes(batch.segment(0, 0)), [1; 10]);
        }
        let mut batch = Batch::default();
        receive(&mut batch, 0, b"", 0);
        assert_eq!(batch.segments(0), 1);
        assert!(batch.segment(0, 0).is_empty());
        receive(&mut batch, 0, &[1; 10], 1);
        assert_eq!((batch.segments(0), batch.segment(0, 9).len()), (10, 1));
    }

    #[test]
    fn a_popped_header_leaves_the_payload_alone_and_the_neighbours_too() {
        let mut batch = Batch::default();
        for place in 0..BATCH_MAX {
            let byte = u8::try_from(place).unwrap();
            receive(&mut batch, place, &[byte; 100], 0);
        }
        let popped = batch.segment(7, 0).without(90);
        assert_eq!(batch.bytes(popped), [7; 10]);
        assert_eq!(batch.bytes(batch.segment(6, 0)), [6; 100]);
        assert_eq!(batch.bytes(batch.segment(8, 0)), [8; 100]);
        assert!(batch.bytes(popped.without(90)).is_empty());
    }

    #[test]
    fn the_longest_datagram_fits() {
        let mut batch = Batch::default();
        let (spaces, _) = batch.places();
        let lens: Vec<usize> = spaces.map(|space| space.len()).collect();
        assert!(lens.len() == BATCH_MAX && lens.iter().all(|len| *len >= MESSAGE_V6_MAX));
        let long = batch.put(&[1; MESSAGE_V6_MAX]);
        assert_eq!(batch.bytes(long).len(), MESSAGE_V6_MAX);
    }

    #[test]
    fn a_run_has_one_receiver_and_one_length_and_its_last_may_be_shorter() {
        for (datagrams, run) in [
            (&[(1, 5)][..], 1),
            (&[(1, 5), (1, 5), (1, 5)], 3),
            (&[(1, 5), (1, 5), (1, 3)], 3),
            (&[(1, 5), (1, 3), (1, 5)], 2),
            (&[(1, 5), (1, 3), (1, 3)], 2),
            (&[(1, 3), (1, 5)], 1),
            (&[(1, 5), (2, 5)], 1),
            (&[(1, 5), (1, 5), (2, 5)], 2),
            // An empty datagram is one, and a run would lose it.
            (&[(1, 5), (1, 0)], 1),
            (&[(1, 0), (1, 0)], 1),
        ] {
            let batch = listed(datagrams);
            assert_eq!(batch.run(0..datagrams.len()), run, "{datagrams:?}");
        }
        let batch = listed(&[(1, 5); 9]);
        assert_eq!(
            (batch.run(4..9), batch.run(4..6), batch.run(4..4)),
            (5, 2, 0)
        );
    }

    #[test]
    fn a_run_has_64_datagrams_and_65_507_bytes_at_most() {
        let batch = listed(&[(1, 1000); RUN_MAX]);
        assert!(batch.is_full());
        assert_eq!(batch.run(0..RUN_MAX), 64);
        let batch = listed(&[(1, 1472); RUN_MAX]);
        assert_eq!(batch.run(0..RUN_MAX), 44);
        // The last one has exactly the room that is left.
        assert_eq!(listed(&[(1, 40_000), (1, 25_507)]).run(0..2), 2);
        assert_eq!(listed(&[(1, 40_000), (1, 25_508)]).run(0..2), 1);
    }

    #[test]
    fn nothing_is_kept_without_an_association() {
        let mut batch = listed(&[(1, 5)]);
        assert_eq!(batch.outgoing(), 1);
        batch.clear();
        assert_eq!(batch.outgoing(), 0);
        batch.release();
        assert_eq!((batch.memory.capacity(), batch.outgoing.capacity()), (0, 0));
        batch.put(b"anew");
        let list = batch.outgoing.capacity() * size_of::<Datagram>();
        assert!(batch.memory.capacity() + list <= BATCH_BYTES);
    }
}
