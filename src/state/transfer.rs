//! The body of a message on its way, over anything that reads and writes.
//!
//! It never reads behind the end of the body: what follows belongs to another message. So it holds
//! no buffer: peek into the scratch buffer, write, consume exactly what was written.

use super::peer::{Gone, Peer, RESET_BEHIND_END};
use super::pool::Buffers;
use crate::net::Stream;
use crate::wire::http::{Body, BodyMeter, Kept};

/// How often a sink is written to behind one look at the source: chunks that go on without their
/// framing are written one by one, and may have a byte each.
const WRITES_MAX: usize = 8;

/// How [`Transfer::pump`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Carried {
    /// It waits for an event of one of its sockets.
    Blocked,
    /// Its budget is used up; it could go on at once.
    More,
    /// The body has been passed on, up to its end.
    Done,
}

/// Why a body goes no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stopped {
    /// The end that is read from is broken.
    Source,
    /// The end that is written to is broken.
    Sink,
    /// The same, behind its end of stream: what came up to that can still be read.
    EndedSink,
    /// The source has ended before the body has.
    Cut,
    /// It is malformed.
    Malformed,
}

/// One body.
#[derive(Debug)]
pub struct Transfer {
    meter: BodyMeter,
    /// The number of bytes passed on so far.
    bytes: u64,
    /// What of it goes on.
    kept: Kept,
    done: bool,
}

impl Transfer {
    /// A body of which nothing has come yet, and what of it is passed on.
    pub fn new(body: Body, kept: Kept) -> Self {
        let meter = BodyMeter::new(body);
        Self {
            done: meter.is_done(),
            meter,
            bytes: 0,
            kept,
        }
    }

    /// The number of bytes passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns `true` if all of it has been passed on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns `true` if chunks go on without their framing.
    pub fn is_plain(&self) -> bool {
        self.kept == Kept::Data
    }

    /// Returns `true` if it can still end only with its connection.
    pub fn is_open(&self) -> bool {
        !self.done && self.meter.may_end()
    }

    /// What of `bytes`, the next ones of the body, is to be passed on: what is in front of it, and
    /// its length.
    pub fn part(&self, bytes: &[u8]) -> Result<(usize, usize), Stopped> {
        let part = self.meter.next_part(bytes, self.kept);
        part.map_err(|_| Stopped::Malformed)
    }

    /// The first of `bytes`, the next ones of the body, have been consumed, and `written` of them
    /// passed on.
    pub fn advance(&mut self, bytes: &[u8], written: usize) -> Result<(), Stopped> {
        let counted = self.meter.advance(bytes);
        counted.map_err(|_| Stopped::Malformed)?;
        self.bytes += written as u64;
        self.done = self.meter.is_done();
        Ok(())
    }

    /// Moves what can be moved, as much as the scratch buffer holds at most.
    ///
    /// # Errors
    /// The body goes no further.
    pub fn pump<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        buffers: &mut Buffers,
    ) -> Result<Carried, Stopped> {
        if self.done {
            return Ok(Carried::Done);
        }
        if !from.ready.readable || !to.ready.writable {
            return Ok(Carried::Blocked);
        }
        let scratch = buffers.scratch();
        match from.peek(scratch).map_err(|_| Stopped::Source)? {
            None => {}
            Some(0) if self.meter.may_end() => self.done = true,
            Some(0) => return Err(Stopped::Cut),
            Some(seen) => self.pass(from, to, &mut scratch[..seen])?,
        }
        Ok(if self.done {
            Carried::Done
        } else if from.ready.readable && to.ready.writable {
            Carried::More
        } else {
            Carried::Blocked
        })
    }

    /// Passes on what the sink takes at once of `seen`, which the source still has.
    fn pass<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        seen: &mut [u8],
    ) -> Result<(), Stopped> {
        let mut consumed = 0;
        for _ in 0..WRITES_MAX {
            let rest = &seen[consumed..];
            let (start, len) = self.part(rest)?;
            let written = match len {
                0 => 0,
                _ => {
                    let result = to.stream.write(&rest[start..start + len]);
                    let written = to.note_write(result).map_err(|Gone| match result {
                        Err(RESET_BEHIND_END) => Stopped::EndedSink,
                        _ => Stopped::Sink,
                    });
                    written?.unwrap_or(0)
                }
            };
            self.advance(&rest[..start + written], written)?;
            consumed += start + written;
            if written < len || self.done || consumed == seen.len() {
                break;
            }
        }
        if consumed < seen.len() {
            // It is still to be read, and no event will announce it again.
            from.ready.readable = true;
        }
        from.skip(&mut seen[..consumed])
            .map_err(|_| Stopped::Source)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::net::{Errno, Pipe};
    use crate::state::peer::Ready;
    use std::net::SocketAddr;

    /// A connection that has `incoming` to be read, then ends or not, and takes `room` bytes.
    #[derive(Debug, Default)]
    struct Fake {
        incoming: Vec<u8>,
        at_end: bool,
        room: usize,
        written: Vec<u8>,
        /// How many bytes have been shown.
        shown: usize,
    }

    /// There are none: a body has to be seen.
    #[derive(Debug)]
    struct NoPipe;

    impl Pipe for NoPipe {
        fn read(&mut self, _buf: &mut [u8]) -> Result<usize, Errno> {
            Err(Errno::ENOSYS)
        }
    }

    impl Stream for Fake {
        type Pipe = NoPipe;

        fn open_pipe(&self) -> Result<NoPipe, Errno> {
            Err(Errno::ENOSYS)
        }

        fn splice_in(&mut self, _pipe: &mut NoPipe, _len: usize) -> Result<usize, Errno> {
            Err(Errno::ENOSYS)
        }

        fn splice_out(&mut self, _pipe: &mut NoPipe, _len: usize) -> Result<usize, Errno> {
            Err(Errno::ENOSYS)
        }

        fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
            let len = self.peek(buf)?;
            self.incoming.drain(..len);
            Ok(len)
        }

        fn write(&mut self, buf: &[u8]) -> Result<usize, Errno> {
            let len = buf.len().min(self.room);
            self.room -= len;
            self.written.extend(&buf[..len]);
            if len == 0 {
                Err(Errno::EAGAIN)
            } else {
                Ok(len)
            }
        }

        fn peek(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
            let len = buf.len().min(self.incoming.len());
            if len == 0 && !self.at_end {
                return Err(Errno::EAGAIN);
            }
            buf[..len].copy_from_slice(&self.incoming[..len]);
            self.shown += len;
            Ok(len)
        }

        fn skip(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
            self.read(buf)
        }

        fn shutdown_write(&mut self) -> Result<(), Errno> {
            panic!("a body ends without the end of its connection");
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

        fn abort_on_close(&mut self) {}

        fn keep_alive(&mut self) {}
    }

    fn peer(incoming: &[u8], at_end: bool, room: usize) -> Peer<Fake> {
        let ready = Ready {
            readable: true,
            writable: true,
            ended: at_end,
            ..Ready::default()
        };
        let stream = Fake {
            incoming: incoming.to_vec(),
            at_end,
            room,
            ..Fake::default()
        };
        Peer { stream, ready }
    }

    /// What a sink that takes `step` bytes at a time gets, what the source still has, and how the
    /// last turn ended.
    fn carry(
        transfer: &mut Transfer,
        incoming: &[u8],
        at_end: bool,
        step: usize,
    ) -> (String, String, Result<Carried, Stopped>) {
        let (mut from, mut to) = (peer(incoming, at_end, 0), peer(b"", false, step));
        let mut buffers = Buffers::new(0, 64);
        let mut last = Ok(Carried::More);
        for _ in 0..200 {
            last = transfer.pump(&mut from, &mut to, &mut buffers);
            (to.stream.room, to.ready.writable) = (step, true);
            match last {
                Ok(Carried::More) => {}
                // The sink has room again, or the source is empty.
                Ok(Carried::Blocked) if from.ready.readable => {}
                _ => break,
            }
        }
        let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
        assert_eq!(transfer.bytes(), to.stream.written.len() as u64);
        (text(&to.stream.written), text(&from.stream.incoming), last)
    }

    #[test]
    fn a_body_ends_without_a_fin_and_what_follows_stays_behind() {
        for step in [1, 3, 100] {
            let mut transfer = Transfer::new(Body::Length(4), Kept::All);
            let (told, left, last) = carry(&mut transfer, b"bodyNEXT", false, step);
            assert_eq!(
                (told.as_str(), left.as_str(), last),
                ("body", "NEXT", Ok(Carried::Done))
            );
            assert!(transfer.is_done());
        }
        assert!(Transfer::new(Body::None, Kept::All).is_done());
    }

    #[test]
    fn chunks_go_on_as_they_came_or_as_what_they_carry() {
        let chunks = "5;a\r\nhello\r\n1\r\n!\r\n0\r\nA: b\r\n\r\n";
        let without = "5;a\r\nhello\r\n1\r\n!\r\n0\r\n\r\n";
        let sent = format!("{chunks}NEXT");
        for step in [1, 3, 100] {
            for (kept, expected) in [
                (Kept::All, chunks),
                (Kept::NoTrailers, without),
                (Kept::Data, "hello!"),
            ] {
                let mut transfer = Transfer::new(Body::Chunked, kept);
                let (told, left, last) = carry(&mut transfer, sent.as_bytes(), false, step);
                assert_eq!(
                    (told.as_str(), left.as_str(), last),
                    (expected, "NEXT", Ok(Carried::Done))
                );
            }
        }
    }

    #[test]
    fn small_chunks_are_not_looked_at_anew_for_each_of_them() {
        const CHUNKS: usize = 1_000;
        let mut transfer = Transfer::new(Body::Chunked, Kept::Data);
        let sent = "1\r\nx\r\n".repeat(CHUNKS * 20);
        let (mut from, mut to) = (peer(sent.as_bytes(), false, 0), peer(b"", false, CHUNKS));
        let mut buffers = Buffers::new(0, 8192);
        while to.stream.room > 0 {
            let pumped = transfer.pump(&mut from, &mut to, &mut buffers);
            assert_eq!(pumped, Ok(Carried::More));
        }
        assert_eq!(transfer.bytes(), CHUNKS as u64);
        let most = CHUNKS.div_ceil(WRITES_MAX) * buffers.scratch_bytes() + 6 * CHUNKS;
        assert!(from.stream.shown <= most, "{}", from.stream.shown);
    }

    #[test]
    fn the_end_of_its_connection_ends_a_body_or_cuts_it() {
        let mut open = Transfer::new(Body::ToEnd, Kept::All);
        assert!(open.is_open());
        assert_eq!(carry(&mut open, b"all", true, 100).2, Ok(Carried::Done));
        assert!(open.is_done() && !open.is_open());
        for body in [Body::Length(4), Body::Chunked] {
            let mut cut = Transfer::new(body, Kept::All);
            assert_eq!(carry(&mut cut, b"3\r\n", true, 100).2, Err(Stopped::Cut));
        }
    }

    #[test]
    fn nothing_of_a_malformed_body_goes_on_behind_its_fault() {
        for kept in [Kept::All, Kept::NoTrailers, Kept::Data] {
            let mut transfer = Transfer::new(Body::Chunked, kept);
            let (told, _, last) = carry(&mut transfer, b"no chunk", false, 100);
            assert_eq!((told.as_str(), last), ("", Err(Stopped::Malformed)));
        }
    }
}
