//! Scripted ends for a flow: what they say is fixed beforehand, what they hear is compared.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::*;
use crate::net::Errno;
use crate::wire::http::Body;

/// A fake connection. Reads follow a script; writes are taken as far as `room` goes.
#[derive(Debug, Default)]
struct Fake {
    incoming: VecDeque<u8>,
    at_end: bool,
    broken: bool,
    room: usize,
    written: Vec<u8>,
    shut: bool,
    reads: usize,
}

impl Fake {
    fn look(&mut self, buf: &mut [u8], consume: bool) -> Result<usize, Errno> {
        self.reads += 1;
        if self.broken {
            return Err(Errno::ECONNRESET);
        }
        if self.incoming.is_empty() {
            return if self.at_end {
                Ok(0)
            } else {
                Err(Errno::EAGAIN)
            };
        }
        let len = buf.len().min(self.incoming.len());
        for (place, byte) in buf.iter_mut().zip(&self.incoming) {
            *place = *byte;
        }
        if consume {
            self.incoming.drain(..len);
        }
        Ok(len)
    }
}

impl Stream for Fake {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.look(buf, true)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        if self.broken {
            return Err(Errno::EPIPE);
        }
        if self.room == 0 {
            return Err(Errno::EAGAIN);
        }
        let len = buf.len().min(self.room);
        self.room -= len;
        self.written.extend_from_slice(&buf[..len]);
        Ok(len)
    }

    fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.look(buf, false)
    }

    fn skip(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.look(buf, true)
    }

    fn shutdown_write(&mut self) -> Result<(), Errno> {
        self.shut = true;
        Ok(())
    }

    fn take_error(&mut self) -> Option<Errno> {
        None
    }

    fn peer_addr(&self) -> Result<SocketAddr, Errno> {
        Err(Errno::ENOTCONN)
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        Err(Errno::ENOTCONN)
    }

    fn keep_alive(&mut self) {}

    fn abort_on_close(&mut self) {}
}

fn peer(incoming: &[u8], room: usize) -> Peer<Fake> {
    let stream = Fake {
        incoming: incoming.iter().copied().collect(),
        room,
        ..Fake::default()
    };
    let ready = Ready {
        readable: true,
        writable: true,
        ..Ready::default()
    };
    Peer { stream, ready }
}

#[test]
fn a_transfer_holds_no_buffer_between_turns() {
    let mut buffers = Buffers::new(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert_eq!(to.stream.written, b"hello");
    assert_eq!(
        (flow.bytes(), flow.holds(), buffers.quota().used()),
        (5, false, 0)
    );
}

#[test]
fn a_short_read_says_drained_and_saves_the_second_read() {
    let mut buffers = Buffers::new(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    let mut flow = Flow::default();
    flow.pump(&mut from, &mut to, None, &mut buffers).unwrap();
    assert_eq!(from.stream.reads, 1);
    assert!(!from.ready.readable);
}

#[test]
fn an_end_that_does_not_come_is_read_for_once() {
    let mut buffers = Buffers::new(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    from.ready.ended = true;
    let mut flow = Flow::default();
    while flow.pump(&mut from, &mut to, None, &mut buffers).unwrap() == Pumped::More {}
    assert_eq!((from.stream.reads, from.ready.ended), (2, false));
    from.stream.incoming.extend(b"world");
    from.ready.readable = true;
    let step = flow.pump(&mut from, &mut to, None, &mut buffers);
    assert_eq!((step, from.stream.reads), (Ok(Pumped::Blocked), 3));
    assert_eq!(to.stream.written, b"helloworld");
}

#[test]
fn the_last_bytes_and_the_end_of_stream_take_one_turn() {
    for (is_last, is_shut) in [(false, true), (true, false)] {
        let mut buffers = Buffers::new(1, 8);
        let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
        (from.ready.ended, from.stream.at_end) = (true, true);
        let mut flow = Flow::default();
        flow.set_last(is_last);
        let step = flow.pump(&mut from, &mut to, None, &mut buffers);
        assert_eq!((step, from.stream.reads), (Ok(Pumped::Done), 2));
        assert_eq!(
            (to.stream.shut, &to.stream.written[..]),
            (is_shut, &b"hello"[..])
        );
    }
}

#[test]
fn a_turn_fills_one_buffer_and_says_that_there_is_more() {
    let mut buffers = Buffers::new(1, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 100));
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::More)
    );
    assert_eq!(to.stream.written, b"abcd");
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert_eq!(to.stream.written, b"abcdefgh");
}

#[test]
fn a_slow_reader_pins_one_buffer_and_its_source_is_read_no_further() {
    let mut buffers = Buffers::new(4, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 2));
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert_eq!((buffers.quota().used(), from.stream.reads), (1, 1));
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, None, &mut buffers).unwrap() == Pumped::More {}
    assert_eq!(to.stream.written, b"abcdefgh");
    assert_eq!(buffers.quota().used(), 0);
}

#[test]
fn nothing_is_read_for_a_sink_without_room() {
    let mut buffers = Buffers::new(4, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 0));
    to.ready.writable = false;
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert_eq!((from.stream.reads, buffers.quota().used()), (0, 0));
}

#[test]
fn half_close_reaches_the_sink_after_the_last_byte() {
    let mut buffers = Buffers::new(1, 8);
    let (mut from, mut to) = (peer(b"last", 100), peer(b"", 2));
    (from.ready.ended, from.stream.at_end) = (true, true);
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    assert!(!to.stream.shut);
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, None, &mut buffers).unwrap() == Pumped::More {}
    assert_eq!(
        (to.stream.written.as_slice(), to.stream.shut),
        (&b"last"[..], true)
    );
    assert!(flow.is_done());
}

#[test]
fn with_the_pool_empty_it_goes_on_through_the_scratch_buffer() {
    let mut buffers = Buffers::new(1, 4);
    let taken = buffers.take().unwrap();
    let (mut from, mut to) = (peer(b"abcdefghij", 100), peer(b"", 6));
    (from.ready.ended, from.stream.at_end) = (true, true);
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::More)
    );
    assert_eq!(to.stream.written, b"abcdef");
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::Blocked)
    );
    let left = from.stream.incoming.len();
    assert_eq!(left, 4, "only what was written is consumed");
    assert!(from.ready.readable && !flow.holds());
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, None, &mut buffers).unwrap() == Pumped::More {}
    assert_eq!(
        (to.stream.written.as_slice(), to.stream.shut),
        (&b"abcdefghij"[..], true)
    );
    buffers.give(taken);
}

#[test]
fn who_fills_a_buffer_goes_on_in_larger_pieces_and_holds_nothing() {
    let mut buffers = Buffers::new(4, 4);
    let (mut from, mut to) = (peer(&[7; 100], 1000), peer(b"", 50));
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::More)
    );
    assert_eq!(to.stream.written.len(), 4);
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Ok(Pumped::More)
    );
    assert_eq!(to.stream.written.len(), 36, "a buffer and eight more");
    assert!(!flow.holds());
}

#[test]
fn a_request_body_ends_the_flow_without_a_fin_and_what_follows_stays_behind() {
    // Through a buffer, and through the scratch buffer with a sink that is slow.
    for (buffers_max, room) in [(1, 100), (0, 100), (0, 3)] {
        let mut buffers = Buffers::new(buffers_max, 16);
        let (mut from, mut to) = (peer(b"bodyNEXT", 100), peer(b"", room));
        let mut meter = BodyMeter::new(Body::Length(4));
        let mut flow = Flow::new(Some(&meter), false, 0);
        for _ in 0..3 {
            let step = flow.pump(&mut from, &mut to, Some(&mut meter), &mut buffers);
            assert!(step.is_ok());
            (to.stream.room, to.ready.writable) = (100, true);
        }
        assert_eq!(to.stream.written, b"body");
        assert!(flow.is_done() && flow.is_measured() && !to.stream.shut);
        assert_eq!(buffers.quota().used(), 0);
    }
}

#[test]
fn a_malformed_body_breaks_its_source() {
    let mut buffers = Buffers::new(1, 16);
    let (mut from, mut to) = (peer(b"no chunk", 100), peer(b"", 100));
    let mut meter = BodyMeter::new(Body::Chunked);
    let mut flow = Flow::new(Some(&meter), false, 0);
    let step = flow.pump(&mut from, &mut to, Some(&mut meter), &mut buffers);
    assert_eq!(step, Err(Broken::Source));
    flow.release(&mut buffers);
    assert_eq!((buffers.quota().used(), to.stream.written.len()), (0, 0));
}

#[test]
fn the_broken_end_is_named() {
    let mut buffers = Buffers::new(1, 4);
    let (mut from, mut to) = (peer(b"abc", 100), peer(b"", 100));
    from.stream.broken = true;
    let mut flow = Flow::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Err(Broken::Source)
    );
    from.stream.broken = false;
    to.stream.broken = true;
    assert_eq!(
        flow.pump(&mut from, &mut to, None, &mut buffers),
        Err(Broken::Sink)
    );
    flow.release(&mut buffers);
    assert_eq!(buffers.quota().used(), 0);
}

#[test]
fn nothing_is_read_again_after_would_block() {
    let mut buffers = Buffers::new(1, 4);
    let (mut from, mut to) = (peer(b"", 100), peer(b"", 100));
    let mut flow = Flow::default();
    for _ in 0..3 {
        assert_eq!(
            flow.pump(&mut from, &mut to, None, &mut buffers),
            Ok(Pumped::Blocked)
        );
    }
    assert_eq!((from.stream.reads, buffers.quota().used()), (1, 0));
}
