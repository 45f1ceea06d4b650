//! Scripted ends for a flow: what they say is fixed beforehand, what they hear is compared.

use std::collections::VecDeque;
use std::net::SocketAddr;

use super::*;
use crate::net::Errno;
use crate::state::pipes::Pipes;

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
    /// What the next splice, in or out, fails with.
    no_splice: [Option<Errno>; 2],
    /// The most bytes that one splice takes in.
    splice_max: usize,
    /// Where urgent data are: no splice goes there.
    urgent: bool,
}

/// A fake pipe.
#[derive(Debug, Default)]
struct FakePipe(VecDeque<u8>);

impl Pipe for FakePipe {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        // By halves.
        let len = buf.len().min(self.0.len().div_ceil(2));
        for (place, byte) in buf.iter_mut().zip(self.0.drain(..len)) {
            *place = byte;
        }
        Ok(len)
    }
}

/// Buffers, and two pipes.
fn pool(buffers_max: usize, buffer_bytes: usize) -> Pool<FakePipe> {
    Pool {
        buffers: Buffers::new(buffers_max, buffer_bytes),
        pipes: Pipes::new(2),
    }
}

impl Fake {
    /// What has broken it, as Linux tells the two apart.
    fn error(&self) -> Errno {
        if self.at_end {
            Errno::EPIPE
        } else {
            Errno::ECONNRESET
        }
    }

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
    type Pipe = FakePipe;

    fn open_pipe(&self) -> Result<FakePipe, Errno> {
        Ok(FakePipe::default())
    }

    fn splice_in(&mut self, pipe: &mut FakePipe, len: usize) -> Result<usize, Errno> {
        assert!(pipe.0.is_empty(), "a pipe with bytes in it is filled");
        if let Some(error) = self.no_splice[0].take() {
            return Err(error);
        }
        if self.urgent {
            return Err(Errno::EAGAIN);
        }
        let mut buf = vec![0; len.min(self.splice_max)];
        let len = self.look(&mut buf, true)?;
        pipe.0.extend(&buf[..len]);
        Ok(len)
    }

    fn splice_out(&mut self, pipe: &mut FakePipe, len: usize) -> Result<usize, Errno> {
        assert_eq!(len, pipe.0.len(), "the flow has lost count");
        if let Some(error) = self.no_splice[1].take() {
            return Err(error);
        }
        let written = self.write(pipe.0.make_contiguous())?;
        pipe.0.drain(..written);
        Ok(written)
    }

    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        self.look(buf, true)
    }

    fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
        if self.broken {
            return Err(self.error());
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
        if self.broken {
            return Err(Errno::ENOTCONN);
        }
        self.shut = true;
        Ok(())
    }

    fn take_error(&mut self) -> Option<Errno> {
        self.broken.then(|| self.error())
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
        splice_max: usize::MAX,
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
    let mut pool = pool(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert_eq!(to.stream.written, b"hello");
    assert_eq!(
        (
            flow.bytes(),
            flow.holds(&pool.buffers),
            pool.buffers.quota().used()
        ),
        (5, (0, 0), 0)
    );
}

#[test]
fn a_short_read_says_drained_and_saves_the_second_read() {
    let mut pool = pool(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    let mut flow = Flow::<FakePipe>::default();
    flow.pump(&mut from, &mut to, &mut pool).unwrap();
    assert_eq!(from.stream.reads, 1);
    assert!(!from.ready.readable);
}

#[test]
fn an_end_that_does_not_come_is_read_for_once() {
    let mut pool = pool(1, 8);
    let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
    from.ready.ended = true;
    let mut flow = Flow::<FakePipe>::default();
    while flow.pump(&mut from, &mut to, &mut pool).unwrap() == Pumped::More {}
    assert_eq!((from.stream.reads, from.ready.ended), (2, false));
    from.stream.incoming.extend(b"world");
    from.ready.readable = true;
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, from.stream.reads), (Ok(Pumped::Blocked), 3));
    assert_eq!(to.stream.written, b"helloworld");
}

#[test]
fn the_last_bytes_and_the_end_of_stream_take_one_turn() {
    for (is_last, is_shut) in [(false, true), (true, false)] {
        let mut pool = pool(1, 8);
        let (mut from, mut to) = (peer(b"hello", 100), peer(b"", 100));
        (from.ready.ended, from.stream.at_end) = (true, true);
        let mut flow = Flow::<FakePipe>::default();
        flow.set_last(is_last);
        let step = flow.pump(&mut from, &mut to, &mut pool);
        assert_eq!((step, from.stream.reads), (Ok(Pumped::Done), 2));
        assert_eq!(
            (to.stream.shut, &to.stream.written[..]),
            (is_shut, &b"hello"[..])
        );
    }
}

#[test]
fn a_turn_fills_one_buffer_and_says_that_there_is_more() {
    let mut pool = pool(1, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 100));
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Ok(Pumped::More));
    assert_eq!(to.stream.written, b"abcd");
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert_eq!(to.stream.written, b"abcdefgh");
}

#[test]
fn a_slow_reader_pins_one_buffer_and_its_source_is_read_no_further() {
    let mut pool = pool(4, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 2));
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert_eq!((pool.buffers.quota().used(), from.stream.reads), (1, 1));
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, &mut pool).unwrap() == Pumped::More {}
    assert_eq!(to.stream.written, b"abcdefgh");
    assert_eq!(pool.buffers.quota().used(), 0);
}

#[test]
fn nothing_is_read_for_a_sink_without_room() {
    let mut pool = pool(4, 4);
    let (mut from, mut to) = (peer(b"abcdefgh", 100), peer(b"", 0));
    to.ready.writable = false;
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert_eq!((from.stream.reads, pool.buffers.quota().used()), (0, 0));
}

#[test]
fn half_close_reaches_the_sink_after_the_last_byte() {
    let mut pool = pool(1, 8);
    let (mut from, mut to) = (peer(b"last", 100), peer(b"", 2));
    (from.ready.ended, from.stream.at_end) = (true, true);
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    assert!(!to.stream.shut);
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, &mut pool).unwrap() == Pumped::More {}
    assert_eq!(
        (to.stream.written.as_slice(), to.stream.shut),
        (&b"last"[..], true)
    );
    assert!(flow.is_done());
}

#[test]
fn with_the_pool_empty_it_goes_on_through_the_scratch_buffer() {
    let mut pool = pool(1, 4);
    let taken = pool.buffers.take().unwrap();
    let (mut from, mut to) = (peer(b"abcdefghij", 100), peer(b"", 6));
    (from.ready.ended, from.stream.at_end) = (true, true);
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Ok(Pumped::More));
    assert_eq!(to.stream.written, b"abcdef");
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Ok(Pumped::Blocked)
    );
    let left = from.stream.incoming.len();
    assert_eq!(left, 4, "only what was written is consumed");
    assert!(from.ready.readable && !flow.holds(&pool.buffers).0 > 0);
    (to.stream.room, to.ready.writable) = (100, true);
    while flow.pump(&mut from, &mut to, &mut pool).unwrap() == Pumped::More {}
    assert_eq!(
        (to.stream.written.as_slice(), to.stream.shut),
        (&b"abcdefghij"[..], true)
    );
    pool.buffers.give(taken);
}

#[test]
fn who_fills_a_buffer_goes_on_in_larger_pieces_and_holds_nothing() {
    let mut pool = pool(4, 4);
    let (mut from, mut to) = (peer(&[7; 100], 1000), peer(b"", 50));
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Ok(Pumped::More));
    assert_eq!(to.stream.written.len(), 4);
    assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Ok(Pumped::More));
    assert_eq!(to.stream.written.len(), 36, "a buffer and eight more");
    assert!(!flow.holds(&pool.buffers).0 > 0);
}

#[test]
fn the_broken_end_is_named() {
    let mut pool = pool(1, 4);
    let (mut from, mut to) = (peer(b"abc", 100), peer(b"", 100));
    from.stream.broken = true;
    let mut flow = Flow::<FakePipe>::default();
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Err(Broken::Source)
    );
    from.stream.broken = false;
    to.stream.broken = true;
    assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Err(Broken::Sink));
    to.stream.at_end = true;
    assert_eq!(
        flow.pump(&mut from, &mut to, &mut pool),
        Err(Broken::EndedSink)
    );
    flow.release(&mut pool);
    assert_eq!(pool.buffers.quota().used(), 0);
    // The end alone is to be passed on.
    for (at_end, broken) in [(false, Broken::Sink), (true, Broken::EndedSink)] {
        to.stream.at_end = at_end;
        let mut flow = Flow::<FakePipe>::new(true, 0);
        assert_eq!(flow.pump(&mut from, &mut to, &mut pool), Err(broken));
    }
}

#[test]
fn nothing_is_read_again_after_would_block() {
    let mut pool = pool(1, 4);
    let (mut from, mut to) = (peer(b"", 100), peer(b"", 100));
    let mut flow = Flow::<FakePipe>::default();
    for _ in 0..3 {
        assert_eq!(
            flow.pump(&mut from, &mut to, &mut pool),
            Ok(Pumped::Blocked)
        );
    }
    assert_eq!((from.stream.reads, pool.buffers.quota().used()), (1, 0));
}

/// A flow that has moved so much that it is spliced, with `incoming` to come and room for `room`.
fn spliced(
    incoming: &[u8],
    room: usize,
) -> (Pool<FakePipe>, Peer<Fake>, Peer<Fake>, Flow<FakePipe>) {
    let mut pool = pool(4, 4);
    let (mut from, mut to) = (peer(&[0; 36], 36), peer(b"", 36));
    let mut flow = Flow::default();
    for _ in 0..2 {
        let step = flow.pump(&mut from, &mut to, &mut pool);
        assert!(step.is_ok() && pool.pipes.quota().to_string() == "0 (peak 0) of 2");
    }
    from.stream.incoming.extend(incoming);
    from.ready.readable = true;
    (to.stream.room, to.ready.writable) = (room, true);
    to.stream.written.clear();
    (pool, from, to, flow)
}

/// Pumps until the flow waits for an event.
fn pump_on(
    flow: &mut Flow<FakePipe>,
    from: &mut Peer<Fake>,
    to: &mut Peer<Fake>,
    pool: &mut Pool<FakePipe>,
) -> Pumped {
    loop {
        match flow.pump(from, to, pool).unwrap() {
            Pumped::More => {}
            pumped => return pumped,
        }
    }
}

#[test]
fn who_goes_on_filling_buffers_is_spliced_and_holds_no_pipe_between_turns() {
    let bytes: Vec<u8> = (0..100).collect();
    let (mut pool, mut from, mut to, mut flow) = spliced(&bytes, 1000);
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.written.len()), (Ok(Pumped::More), 32));
    assert_eq!(pool.pipes.quota().to_string(), "0 (peak 1) of 2");
    from.stream.at_end = true;
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Done
    );
    assert_eq!((to.stream.written, to.stream.shut), (bytes, true));
    assert_eq!(flow.bytes(), 136);
}

#[test]
fn a_short_splice_does_not_say_drained_and_a_very_short_one_ends_splicing() {
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 40], 1000);
    from.stream.splice_max = 5;
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, from.ready.readable), (Ok(Pumped::More), true));
    from.stream.splice_max = 3;
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.written.len()), (Ok(Pumped::More), 13));
    from.stream.no_splice[0] = Some(Errno::EIO);
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.written.len()), (Ok(Pumped::More), 17));
}

#[test]
fn splice_stops_at_urgent_data_and_reads_go_past_it() {
    let (mut pool, mut from, mut to, mut flow) = spliced(b"urgent", 1000);
    from.stream.urgent = true;
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Rest
    );
    flow.end_rest();
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Blocked
    );
    assert_eq!(to.stream.written, b"urgent");
    assert!(!from.ready.readable);
}

#[test]
fn where_splice_is_refused_copying_goes_on_at_once_and_for_good() {
    for half_way in [0, 1] {
        for error in [Errno::EINVAL, Errno::ENOSYS, Errno::EOPNOTSUPP] {
            let bytes: Vec<u8> = (0..100).collect();
            let (mut pool, mut from, mut to, mut flow) = spliced(&bytes, 1000);
            let end = if half_way == 0 { &mut from } else { &mut to };
            end.stream.no_splice[half_way] = Some(error);
            (from.ready.ended, from.stream.at_end) = (true, true);
            assert_eq!(
                pump_on(&mut flow, &mut from, &mut to, &mut pool),
                Pumped::Done
            );
            assert_eq!(to.stream.written, bytes);
            let peak = "0 (peak 1) of 0";
            assert_eq!(pool.pipes.quota().to_string(), peak);
            assert_eq!(pool.buffers.quota().used(), 0);
        }
    }
}

#[test]
fn an_error_of_the_socket_is_not_taken_for_a_refusal() {
    let (mut pool, mut from, mut to, mut flow) = spliced(b"x", 1000);
    // The kernel tells it once: a read would find an orderly end.
    from.stream.no_splice[0] = Some(Errno::ECONNRESET);
    from.stream.at_end = true;
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!(step, Err(Broken::Source));
    assert_eq!(pool.pipes.quota().used(), 0);
    for (error, broken) in [
        (Errno::ECONNRESET, Broken::Sink),
        (Errno::EPIPE, Broken::EndedSink),
    ] {
        let (mut pool, mut from, mut to, mut flow) = spliced(&[1; 40], 1000);
        to.stream.no_splice[1] = Some(error);
        let step = flow.pump(&mut from, &mut to, &mut pool);
        assert_eq!(step, Err(broken));
        assert_eq!(flow.holds(&pool.buffers), (0, 1));
        flow.release(&mut pool);
        assert_eq!(pool.pipes.quota().used(), 0);
        // It had bytes in it.
        let fresh = pool.pipes.take(|| Ok(FakePipe::default())).unwrap();
        assert!(fresh.0.is_empty());
    }
}

#[test]
fn a_pipe_whose_sink_stands_still_is_read_back_at_the_second_look() {
    let bytes: Vec<u8> = (0..100).collect();
    let (mut pool, mut from, mut to, mut flow) = spliced(&bytes, 5);
    pool.buffers = Buffers::new(7, 4);
    let turn = |flow: &mut Flow<_>, from: &mut _, to: &mut _, pool: &mut _| {
        assert_eq!(flow.pump(from, to, pool), Ok(Pumped::Blocked));
    };
    turn(&mut flow, &mut from, &mut to, &mut pool);
    assert!(!flow.look());
    // A byte now and then keeps no pipe.
    (to.stream.room, to.ready.writable) = (1, true);
    turn(&mut flow, &mut from, &mut to, &mut pool);
    assert_eq!(flow.holds(&pool.buffers), (0, 1));
    assert!(flow.look());
    turn(&mut flow, &mut from, &mut to, &mut pool);
    assert_eq!(flow.holds(&pool.buffers), (7, 0), "26 bytes");
    assert_eq!((pool.pipes.quota().used(), flow.look()), (0, false));
    from.stream.at_end = true;
    (to.stream.room, to.ready.writable) = (1000, true);
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Done
    );
    assert_eq!(to.stream.written, bytes);
    assert_eq!(pool.buffers.quota().used(), 0);
}

#[test]
fn where_memory_for_it_is_not_free_the_bytes_stay_in_their_pipe() {
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 40], 5);
    for _ in 0..4 {
        let step = flow.pump(&mut from, &mut to, &mut pool);
        assert_eq!(step, Ok(Pumped::Blocked));
        flow.look();
    }
    assert_eq!(flow.holds(&pool.buffers), (0, 1));
}

#[test]
fn who_is_spliced_and_finds_nothing_looks_again_at_the_tick_and_then_waits_for_an_event() {
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 40], 1000);
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Rest
    );
    assert_eq!((to.stream.written.len(), from.ready.readable), (40, true));
    // No event makes it look before.
    from.stream.incoming.extend([8; 5]);
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.written.len()), (Ok(Pumped::Rest), 40));
    flow.end_rest();
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Rest
    );
    assert_eq!(to.stream.written.len(), 45);
    flow.end_rest();
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Blocked
    );
    assert!(!from.ready.readable);
}

#[test]
fn an_end_that_is_announced_is_not_waited_for() {
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 40], 1000);
    assert_eq!(
        pump_on(&mut flow, &mut from, &mut to, &mut pool),
        Pumped::Rest
    );
    (from.ready.ended, from.stream.at_end) = (true, true);
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.shut), (Ok(Pumped::Done), true));
}

#[test]
fn behind_a_short_fill_it_looks_once_more_and_rests_at_once() {
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 20], 1000);
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!((step, to.stream.written.len()), (Ok(Pumped::Rest), 20));

    // A pipe may be full before its bytes are many: small segments have a place each.
    let (mut pool, mut from, mut to, mut flow) = spliced(&[7; 40], 1000);
    from.stream.splice_max = 10;
    for moved in [20, 40] {
        let step = flow.pump(&mut from, &mut to, &mut pool);
        assert_eq!((step, to.stream.written.len()), (Ok(Pumped::More), moved));
    }
    let step = flow.pump(&mut from, &mut to, &mut pool);
    assert_eq!(step, Ok(Pumped::Rest));
}
