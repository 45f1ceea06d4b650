//! One direction of one relay, over anything that reads and writes.
//!
//! A flow holds a buffer only while bytes wait in it. Finds it none, it goes on through the
//! scratch buffer: peek, write, consume exactly what was written. That costs one call more and
//! holds nothing, so clients that never read starve nobody. The scratch buffer is larger, so a
//! flow that keeps filling its buffer goes that way too: twice the bytes per second.

use std::mem;

use super::pool::{Buffer, Buffers};
use crate::net::{Errno, Event, Stream};
use crate::wire::http::BodyMeter;

/// What is known of a socket's readiness.
///
/// A socket is registered once, edge-triggered. The bits are set by events and cleared by
/// `EAGAIN`; `readable` also by a read that was shorter than asked for, which means that
/// the socket is drained, unless the end of stream has been announced: data and FIN can come
/// in one event, and none follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// A read may give something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// The end of stream is announced (RDHUP), or something else at which a read stops short.
    pub ended: bool,
    /// An error is announced: ask [`Stream::take_error`], once.
    pub failed: bool,
}

impl Ready {
    /// Remembers what an event says.
    pub fn mark(&mut self, event: &Event) {
        // A hang-up can arrive with data still unread, so it counts as both.
        self.readable |= event.readable | event.ended | event.failed;
        self.writable |= event.writable | event.failed;
        self.ended |= event.ended;
        self.failed |= event.failed;
    }
}

/// One end of a relay: a connection and its readiness.
#[derive(Debug)]
pub struct Peer<S> {
    /// The connection.
    pub stream: S,
    /// What events have said of it.
    pub ready: Ready,
}

/// A connection broke. What the system said of it does not change what follows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl<S: Stream> Peer<S> {
    /// Reads once. `None`: nothing there, an event will come. `Some(0)`: end of stream.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Gone> {
        let result = self.stream.read(buf);
        self.note_read(result, buf.len())
    }

    /// Reads without consuming; otherwise as [`Peer::read`].
    fn peek(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Gone> {
        let result = self.stream.peek(buf);
        self.note_read(result, buf.len())
    }

    /// Writes once. `None`: no room, an event will come.
    pub fn write(&mut self, buf: &[u8]) -> Result<Option<usize>, Gone> {
        match self.stream.write(buf) {
            Ok(0) => Err(Gone),
            Ok(len) => Ok(Some(len)),
            Err(error) => blocked(error, &mut self.ready.writable),
        }
    }

    /// Writes what the peer takes of `bytes`, from `sent` on, which moves along. Whether it has
    /// taken everything.
    pub fn send(&mut self, bytes: &[u8], sent: &mut usize) -> Result<bool, Gone> {
        while let Some(rest @ [_, ..]) = bytes.get(*sent..) {
            if !self.ready.writable {
                return Ok(false);
            }
            *sent += self.write(rest)?.unwrap_or(0);
        }
        Ok(true)
    }

    /// Whether it has broken: looked up once after an event has announced it.
    pub fn is_broken(&mut self) -> bool {
        mem::take(&mut self.ready.failed) && self.stream.take_error().is_some()
    }

    fn note_read(
        &mut self,
        result: Result<usize, Errno>,
        asked: usize,
    ) -> Result<Option<usize>, Gone> {
        match result {
            Ok(len) => {
                if len < asked && !self.ready.ended {
                    self.ready.readable = false;
                }
                Ok(Some(len))
            }
            Err(error) => {
                let blocked = blocked(error, &mut self.ready.readable)?;
                // At an end there is something to read for ever: what was announced was another
                // attempt's end, or urgent data that has been read.
                self.ready.ended = false;
                Ok(blocked)
            }
        }
    }
}

/// Nothing can be moved now: `None`, and not ready until an event says so; or the end.
fn blocked(error: Errno, ready: &mut bool) -> Result<Option<usize>, Gone> {
    if error != Errno::EAGAIN {
        return Err(Gone);
    }
    *ready = false;
    Ok(None)
}

/// How a turn of a flow ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Step {
    /// It waits for an event of one of its sockets.
    Blocked,
    /// Its budget is used up; it could go on at once.
    More,
    /// The end of stream has been passed on.
    Done,
}

/// Which end of a flow broke. What the system said of it does not change what follows: the
/// other end is reset.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Broken {
    /// The end that is read from.
    Source,
    /// The end that is written to.
    Sink,
}

/// One direction.
#[derive(Debug, Default)]
pub struct Flow {
    held: Option<Buffer>,
    bytes: u64,
    ended: bool,
    done: bool,
    /// It ended where a request body ends: the sink is told by the body, not by a FIN.
    measured: bool,
    /// The last read filled its buffer: more is worth moving in larger pieces.
    bulk: bool,
}

impl Flow {
    /// A flow whose source may have ended already, which has carried `bytes` so far, and goes as
    /// far as `meter` says where it carries a request body.
    pub fn new(meter: Option<&BodyMeter>, ended: bool, bytes: u64) -> Self {
        let mut flow = Self {
            bytes,
            ended,
            ..Self::default()
        };
        if let Some(meter) = meter {
            flow.measure(meter);
        }
        flow
    }

    /// Whether it ended with a request body: more may be waiting at its source.
    pub fn is_measured(&self) -> bool {
        self.measured
    }

    /// Bytes passed on so far.
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// Whether the end of stream has been passed on.
    pub fn is_done(&self) -> bool {
        self.done
    }

    /// Whether it holds one of the pool's buffers.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Gives back what it holds, bytes and all.
    pub fn release(&mut self, buffers: &mut Buffers) {
        if let Some(buffer) = self.held.take() {
            buffers.give(buffer);
        }
    }

    /// Moves what can be moved, at most one buffer's worth of new bytes, and of a request body
    /// (`meter`) no more than it has.
    ///
    /// # Errors
    /// Either end broke: the session is over then.
    pub fn pump<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        meter: Option<&mut BodyMeter>,
        buffers: &mut Buffers,
    ) -> Result<Step, Broken> {
        let mut meter = meter;
        let mut filled = false;
        while !self.done {
            if !self.drain(to, buffers)? {
                return Ok(Step::Blocked);
            }
            if self.ended {
                if !self.measured {
                    to.stream.shutdown_write().map_err(|_| Broken::Sink)?;
                }
                self.done = true;
                break;
            }
            // Without room at the sink a read would only pin a buffer.
            if !from.ready.readable || !to.ready.writable {
                return Ok(Step::Blocked);
            }
            if filled {
                return Ok(Step::More);
            }
            filled = true;
            let buffer = if self.bulk { None } else { buffers.take() };
            match buffer {
                Some(buffer) => self.fill(from, buffer, meter.as_deref_mut(), buffers)?,
                None => self.pass(from, to, meter.as_deref_mut(), buffers)?,
            }
        }
        Ok(Step::Done)
    }

    /// Writes what is held. Whether nothing is left.
    fn drain<S: Stream>(
        &mut self,
        to: &mut Peer<S>,
        buffers: &mut Buffers,
    ) -> Result<bool, Broken> {
        let Some(buffer) = &mut self.held else {
            return Ok(true);
        };
        while !buffer.unread().is_empty() {
            if !to.ready.writable {
                return Ok(false);
            }
            if let Some(len) = to.write(buffer.unread()).map_err(|_| Broken::Sink)? {
                buffer.advance(len);
                self.bytes += len as u64;
            }
        }
        self.release(buffers);
        Ok(true)
    }

    /// Reads into a buffer and holds it, if there was anything to read.
    fn fill<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        mut buffer: Buffer,
        meter: Option<&mut BodyMeter>,
        buffers: &mut Buffers,
    ) -> Result<(), Broken> {
        let space = buffer.space().len();
        let read = from.read(buffer.space());
        if let Ok(Some(len @ 1..)) = read {
            buffer.filled(len);
            self.bulk = len == space;
            let mut body = Ok(len);
            if let Some(meter) = meter {
                body = meter.advance(buffer.unread());
                self.measure(meter);
            }
            buffer.filled(body.unwrap_or(0));
            self.held = Some(buffer);
            return body.map(|_| ()).map_err(|_| Broken::Source);
        }
        buffers.give(buffer);
        self.ended = read.map_err(|_| Broken::Source)?.is_some();
        Ok(())
    }

    /// A request body that is complete ends the flow.
    fn measure(&mut self, meter: &BodyMeter) {
        if meter.is_done() {
            (self.ended, self.measured) = (true, true);
        }
    }

    /// Passes on what the sink takes, through the scratch buffer.
    fn pass<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        meter: Option<&mut BodyMeter>,
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
        self.bulk = seen >= buffer_bytes;
        let mut part = &scratch[..seen];
        if let Some(meter) = &meter {
            // Only looked at: the meter moves on with what is written.
            let mut ahead = **meter;
            let body = ahead.advance(part);
            part = &part[..body.map_err(|_| Broken::Source)?];
        }
        let written = to.write(part).map_err(|_| Broken::Sink)?.unwrap_or(0);
        if written < seen {
            // What was only looked at is still there, and no event will say so again.
            from.ready.readable = true;
        }
        if let Some(meter) = meter {
            let counted = meter.advance(&scratch[..written]);
            counted.map_err(|_| Broken::Source)?;
            self.measure(meter);
        }
        let mut left = written;
        while left > 0 {
            // These bytes were there a moment ago, and nobody else reads this socket.
            match from.stream.skip(&mut scratch[..left]) {
                Ok(len @ 1..) => left -= len,
                _ => return Err(Broken::Source),
            }
        }
        self.bytes += written as u64;
        Ok(())
    }
}

#[cfg(test)]
#[path = "flow_tests.rs"]
mod tests;
