//! One direction of a tunnel, over anything that reads and writes.
//!
//! A flow holds a buffer only while bytes wait in it. If no buffer is free, it goes through the
//! scratch buffer: peek, write, consume exactly what was written. That takes one system call more
//! but holds no buffer, so clients that never read do not stop the others. The scratch buffer is
//! larger, so a flow that fills its buffer uses it too: it then moves twice the bytes per second.
//!
//! A flow that goes on filling buffers is spliced: the kernel moves its bytes into a pipe and on to
//! the sink, and nothing is copied. Pipes are borrowed like buffers. Copying stays for small
//! messages, where it is cheaper, and wherever a pipe cannot be had.

use std::mem;

use super::peer::{Gone, Peer, RESET_BEHIND_END, Ready};
use super::pipes::{Pool, is_unsupported};
use super::pool::{Buffer, Buffers, SCRATCH_BUFFERS};
use crate::net::{Errno, Pipe, Stream};

/// How [`Flow::pump`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// It waits for an event of one of its sockets.
    Blocked,
    /// Its budget is used up; it could go on at once.
    More,
    /// It carries much and has found its source empty: it looks again at the next tick.
    Rest,
    /// The end of stream has been passed on.
    Done,
}

/// Which end of a flow is broken. The other one is to be reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The end that is read from.
    Source,
    /// The end that is written to.
    Sink,
    /// The same, behind its end of stream: what came up to that can still be read.
    EndedSink,
}

/// At the second look in a row at which it finds a pipe with the same bytes in it, they are read
/// back: [`Flow::look`].
const LOOKS_MAX: u8 = 2;

/// Bytes that wait for the sink.
#[derive(Debug)]
enum Held<P> {
    Nothing,
    Bytes(Buffer),
    /// A pipe, and how many are in it.
    Piped(P, usize),
}

impl<P> Held<P> {
    fn len(&self) -> usize {
        match self {
            Self::Nothing => 0,
            Self::Bytes(buffer) => buffer.unread().len(),
            Self::Piped(_, len) => *len,
        }
    }
}

/// Where a flow is that is spliced and finds its source empty. An event for every segment that comes
/// would be a turn for every segment: with a tick between them many come at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rest {
    /// It has moved something since.
    No,
    /// It waits for the tick.
    Waits,
    /// The tick has come. If there still is nothing, it waits for an event, as others do.
    Over,
}

/// One direction of a tunnel. `P` are its pipes.
#[derive(Debug)]
pub struct Flow<P> {
    held: Held<P>,
    /// The number of bytes passed on so far.
    bytes: u64,
    /// There is nothing more to read.
    ended: bool,
    /// The end has been passed on.
    done: bool,
    /// Its sink is closed when it is done, which passes the end on too.
    is_last: bool,
    /// Whether it looks for more at the next tick instead of at the next event.
    rest: Rest,
    /// Looks at the pipe since it was filled.
    looks: u8,
    /// Buffers' worth of bytes moved since a fill was shorter than a buffer. If there are any, the
    /// next goes through the scratch buffer; from as many on as that has, through a pipe.
    streak: u8,
}

impl<P> Default for Flow<P> {
    fn default() -> Self {
        Self {
            held: Held::Nothing,
            bytes: 0,
            ended: false,
            done: false,
            is_last: false,
            rest: Rest::No,
            looks: 0,
            streak: 0,
        }
    }
}

impl<P: Pipe> Flow<P> {
    /// A flow that has passed on `bytes` so far. `ended`: the end of stream has been read.
    pub fn new(ended: bool, bytes: u64) -> Self {
        Self {
            bytes,
            ended,
            ..Self::default()
        }
    }

    /// Says whether its sink is closed as soon as it is done: that spares a call to end the stream.
    pub fn set_last(&mut self, is_last: bool) {
        self.is_last = is_last;
    }

    /// The number of bytes passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Returns `true` if the end of stream has been passed on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Returns `true` if it carries so much that it is spliced.
    pub fn is_bulk(&self) -> bool {
        usize::from(self.streak) >= SCRATCH_BUFFERS
    }

    /// The tick has come.
    pub fn end_rest(&mut self) {
        if self.rest == Rest::Waits {
            self.rest = Rest::Over;
        }
    }

    /// Returns `true` if it waits for the tick.
    pub fn awaits_tick(&self) -> bool {
        self.rest == Rest::Waits
    }

    /// As how many buffers of the pool, and pipes, counts what it holds.
    pub fn holds(&self, buffers: &Buffers) -> (usize, usize) {
        match &self.held {
            Held::Nothing => (0, 0),
            Held::Bytes(buffer) => (buffers.places(buffer), 0),
            Held::Piped(..) => (0, 1),
        }
    }

    /// Looks whether it keeps others from having a pipe. Returns `true` if what is in there has
    /// waited for a sink since the look before: the next [`Flow::pump`] reads it back into memory.
    pub fn look(&mut self) -> bool {
        let is_piped = matches!(self.held, Held::Piped(..));
        self.looks = LOOKS_MAX.min(self.looks + u8::from(is_piped));
        is_piped && self.looks == LOOKS_MAX
    }

    /// Returns `true` if bytes, or an end of stream, wait for a sink that takes nothing.
    pub fn waits(&self, from: &Ready, to: &Ready) -> bool {
        !self.done && !to.writable && (self.held.len() > 0 || from.readable)
    }

    /// Gives back what it holds, with the bytes in it.
    pub fn release(&mut self, pool: &mut Pool<P>) {
        match mem::replace(&mut self.held, Held::Nothing) {
            Held::Nothing => {}
            Held::Bytes(buffer) => pool.buffers.give(buffer),
            Held::Piped(pipe, 0) => pool.pipes.give(pipe),
            Held::Piped(pipe, _) => pool.pipes.close(pipe),
        }
    }

    /// Moves what can be moved, but reads once at most (what is left before the end of stream is
    /// read with it).
    ///
    /// # Errors
    /// One of the ends is broken: then the session is over.
    pub fn pump<S: Stream<Pipe = P>>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        pool: &mut Pool<P>,
    ) -> Result<Pumped, Broken> {
        let mut reads = 0;
        let mut is_short = false;
        while !self.done {
            if !self.drain(to, pool)? {
                return Ok(Pumped::Blocked);
            }
            if self.ended {
                if !self.is_last && to.stream.shutdown_write().is_err() {
                    return Err(broken(to.stream.take_error()));
                }
                self.done = true;
                break;
            }
            // Without room at the sink a read would only take a buffer from others.
            if !from.ready.readable || !to.ready.writable {
                return Ok(Pumped::Blocked);
            }
            if self.rest == Rest::Waits {
                if !from.ready.ended {
                    return Ok(Pumped::Rest);
                }
                self.rest = Rest::Over;
            }
            // Behind a short read whose event has announced the end of stream comes just that.
            let reads_max = 1 + u32::from(is_short || from.ready.ended && self.streak == 0);
            if reads >= reads_max {
                return Ok(Pumped::More);
            }
            reads += 1;
            if self.is_bulk() {
                if self.splice(from, pool)? || self.rest == Rest::Waits {
                    // Behind a short fill there is nothing more as a rule: then it rests at once,
                    // and not when it has fetched what comes until its next turn.
                    is_short = self.is_bulk() && self.held.len() < pool.buffers.scratch_bytes();
                    continue;
                }
                self.rest = Rest::No;
            }
            let buffers = &mut pool.buffers;
            let buffer = if self.streak > 0 {
                None
            } else {
                buffers.take()
            };
            match buffer {
                Some(buffer) => self.fill(from, buffer, buffers)?,
                None => self.pass(from, to, buffers)?,
            }
        }
        Ok(Pumped::Done)
    }

    /// Writes what is held. Returns `true` if nothing is left.
    fn drain<S: Stream<Pipe = P>>(
        &mut self,
        to: &mut Peer<S>,
        pool: &mut Pool<P>,
    ) -> Result<bool, Broken> {
        if self.looks == LOOKS_MAX {
            self.read_back(pool, false)?;
        }
        while self.held.len() > 0 {
            if !to.ready.writable {
                return Ok(false);
            }
            let result = match &mut self.held {
                Held::Nothing => break,
                Held::Bytes(buffer) => to.stream.write(buffer.unread()),
                Held::Piped(pipe, len) => {
                    let result = to.stream.splice_out(pipe, *len);
                    if let Err(error) = result
                        && is_unsupported(error)
                    {
                        pool.pipes.refuse(error);
                        self.read_back(pool, true)?;
                        continue;
                    }
                    result
                }
            };
            let sent = written(to, result)?;
            self.bytes += sent as u64;
            match &mut self.held {
                Held::Nothing => {}
                Held::Bytes(buffer) => buffer.advance(sent),
                Held::Piped(_, len) => *len -= sent,
            }
        }
        self.release(pool);
        Ok(true)
    }

    /// Moves what is there into a pipe. Returns `false` if nothing was
    /// moved: then the flow goes on by copying, which also tells why.
    fn splice<S: Stream<Pipe = P>>(
        &mut self,
        from: &mut Peer<S>,
        pool: &mut Pool<P>,
    ) -> Result<bool, Broken> {
        let bytes = pool.buffers.scratch_bytes();
        let Some(mut pipe) = pool.pipes.take(|| from.stream.open_pipe()) else {
            return Ok(false);
        };
        let result = from.stream.splice_in(&mut pipe, bytes);
        if let Ok(len @ 1..) = result {
            if len < pool.buffers.buffer_bytes() {
                self.streak = 0;
            }
            self.held = Held::Piped(pipe, len);
            (self.looks, self.rest) = (0, Rest::No);
            return Ok(true);
        }
        pool.pipes.give(pipe);
        match result {
            // Of the end of stream, too, a read has to tell.
            Ok(_) | Err(Errno::EINTR) => {}
            Err(Errno::EAGAIN) if self.rest == Rest::No && !from.ready.ended => {
                self.rest = Rest::Waits;
            }
            Err(Errno::EAGAIN) => {}
            Err(error) if error == Errno::ENOMEM || is_unsupported(error) => {
                pool.pipes.refuse(error);
            }
            // The socket's own error, which no read would give once more.
            Err(_) => return Err(Broken::Source),
        }
        Ok(false)
    }

    /// Reads what is in its pipe into memory, if that is to be had: as much as is free of the pool,
    /// or in any case by `force`, which happens once, as the system turns out to have no splice.
    fn read_back(&mut self, pool: &mut Pool<P>, force: bool) -> Result<(), Broken> {
        let len = self.held.len();
        let Held::Piped(pipe, _) = &mut self.held else {
            return Ok(());
        };
        let Some(mut buffer) = pool.buffers.take_large(len, force) else {
            return Ok(());
        };
        let mut read = 0;
        while read < len {
            match pipe.read(&mut buffer.space()[read..len]) {
                Ok(more @ 1..) => read += more,
                _ => {
                    pool.buffers.give(buffer);
                    return Err(Broken::Sink);
                }
            }
        }
        buffer.filled(len);
        if let Held::Piped(pipe, _) = mem::replace(&mut self.held, Held::Bytes(buffer)) {
            pool.pipes.give(pipe);
        }
        (self.streak, self.looks) = (0, 0);
        Ok(())
    }

    /// Reads into a buffer and holds it, if there was anything to read.
    fn fill<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        mut buffer: Buffer,
        buffers: &mut Buffers,
    ) -> Result<(), Broken> {
        let space = buffer.space().len();
        let read = from.read(buffer.space());
        if let Ok(Some(len @ 1..)) = read {
            buffer.filled(len);
            self.streak = u8::from(len == space);
            self.held = Held::Bytes(buffer);
            return Ok(());
        }
        buffers.give(buffer);
        self.ended = read.map_err(|_| Broken::Source)?.is_some();
        Ok(())
    }

    /// Passes on what the sink takes at once, through the scratch buffer.
    fn pass<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        buffers: &mut Buffers,
    ) -> Result<(), Broken> {
        let buffer_bytes = buffers.buffer_bytes();
        let scratch = buffers.scratch();
        let Some(seen) = from.peek(scratch).map_err(|_| Broken::Source)? else {
            return Ok(());
        };
        if seen == 0 {
            self.ended = true;
            return Ok(());
        }
        let result = to.stream.write(&scratch[..seen]);
        let written = written(to, result)?;
        if written < seen {
            // What was not written is still to be read, and no event will announce it again.
            from.ready.readable = true;
        }
        let skipped = from.skip(&mut scratch[..written]);
        skipped.map_err(|_| Broken::Source)?;
        self.bytes += written as u64;
        self.streak = if seen < buffer_bytes {
            0
        } else {
            let filled = u8::try_from(written / buffer_bytes).unwrap_or(u8::MAX);
            self.streak.saturating_add(filled)
        };
        Ok(())
    }
}

/// The number of bytes that a write has moved.
fn written<S: Stream>(to: &mut Peer<S>, result: Result<usize, Errno>) -> Result<usize, Broken> {
    match to.note_write(result) {
        Ok(sent) => Ok(sent.unwrap_or(0)),
        Err(Gone) => Err(broken(result.err())),
    }
}

/// How a sink is broken, by that error.
fn broken(error: Option<Errno>) -> Broken {
    match error {
        Some(RESET_BEHIND_END) => Broken::EndedSink,
        _ => Broken::Sink,
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
