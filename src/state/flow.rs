//! One direction of a tunnel, over anything that reads and writes.
//!
//! A flow holds a buffer only while bytes wait in it. If no buffer is free, it goes through the
//! scratch buffer: peek, write, consume exactly what was written. That takes one system call more
//! but holds no buffer, so clients that never read do not stop the others. The scratch buffer is
//! larger, so a flow that fills its buffer uses it too: it then moves twice the bytes per second.

use super::peer::{Peer, Ready};
use super::pool::{Buffer, Buffers};
use crate::net::Stream;
use crate::wire::http::BodyMeter;

/// How [`Flow::pump`] ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Pumped {
    /// It waits for an event of one of its sockets.
    Blocked,
    /// Its budget is used up; it could go on at once.
    More,
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
}

/// One direction of a tunnel.
#[derive(Debug, Default)]
pub struct Flow {
    /// A buffer with bytes for the sink.
    held: Option<Buffer>,
    /// The number of bytes passed on so far.
    bytes: u64,
    /// There is nothing more to read.
    ended: bool,
    /// The end has been passed on.
    done: bool,
    /// It ended with a request body: the sink finds the end in the body, and gets no FIN.
    measured: bool,
    /// Its sink is closed when it is done, which passes the end on too.
    is_last: bool,
    /// The last read filled its buffer: the next goes through the scratch buffer.
    bulk: bool,
}

impl Flow {
    /// A flow that has passed on `bytes` so far. `ended`: the end of stream has been read. With a
    /// `meter` it carries a request body and ends with that.
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

    /// Returns `true` if it ended with a request body: its source may have sent more.
    pub fn is_measured(&self) -> bool {
        self.measured
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

    /// Returns `true` if it holds one of the pool's buffers.
    pub fn holds(&self) -> bool {
        self.held.is_some()
    }

    /// Returns `true` if bytes, or an end of stream, wait for a sink that takes nothing.
    pub fn waits(&self, from: &Ready, to: &Ready) -> bool {
        !self.done && !to.writable && (self.holds() || from.readable)
    }

    /// Gives its buffer back, with the bytes in it.
    pub fn release(&mut self, buffers: &mut Buffers) {
        if let Some(buffer) = self.held.take() {
            buffers.give(buffer);
        }
    }

    /// Moves what can be moved, but reads once at most (what is left before the end of stream is
    /// read with it), and of a request body (`meter`) no more
    /// than it has.
    ///
    /// # Errors
    /// One of the ends is broken, or the request body is malformed: then the session is over.
    pub fn pump<S: Stream>(
        &mut self,
        from: &mut Peer<S>,
        to: &mut Peer<S>,
        mut meter: Option<&mut BodyMeter>,
        buffers: &mut Buffers,
    ) -> Result<Pumped, Broken> {
        let mut reads = 0;
        while !self.done {
            if !self.drain(to, buffers)? {
                return Ok(Pumped::Blocked);
            }
            if self.ended {
                if !self.measured && !self.is_last {
                    to.stream.shutdown_write().map_err(|_| Broken::Sink)?;
                }
                self.done = true;
                break;
            }
            // Without room at the sink a read would only take a buffer from others.
            if !from.ready.readable || !to.ready.writable {
                return Ok(Pumped::Blocked);
            }
            // Behind a short read whose event has announced the end of stream comes just that.
            let reads_max = 1 + u32::from(from.ready.ended && !self.bulk);
            if reads >= reads_max {
                return Ok(Pumped::More);
            }
            reads += 1;
            let buffer = if self.bulk { None } else { buffers.take() };
            match buffer {
                Some(buffer) => self.fill(from, buffer, meter.as_deref_mut(), buffers)?,
                None => self.pass(from, to, meter.as_deref_mut(), buffers)?,
            }
        }
        Ok(Pumped::Done)
    }

    /// Writes what is held. Returns `true` if nothing is left.
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
            if let Some(meter) = meter {
                let Ok(len) = meter.advance(buffer.unread()) else {
                    buffers.give(buffer);
                    return Err(Broken::Source);
                };
                buffer.filled(len);
                self.measure(meter);
            }
            self.held = Some(buffer);
            return Ok(());
        }
        buffers.give(buffer);
        self.ended = read.map_err(|_| Broken::Source)?.is_some();
        Ok(())
    }

    /// Ends the flow if the request body is complete.
    fn measure(&mut self, meter: &BodyMeter) {
        if meter.is_done() {
            (self.ended, self.measured) = (true, true);
        }
    }

    /// Passes on what the sink takes at once, through the scratch buffer.
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
            // On a copy: the meter itself advances with what is written.
            let mut ahead = **meter;
            let body = ahead.advance(part);
            part = &part[..body.map_err(|_| Broken::Source)?];
        }
        let written = to.write(part).map_err(|_| Broken::Sink)?.unwrap_or(0);
        if written < seen {
            // What was not written is still to be read, and no event will announce it again.
            from.ready.readable = true;
        }
        if let Some(meter) = meter {
            let counted = meter.advance(&scratch[..written]);
            counted.map_err(|_| Broken::Source)?;
            self.measure(meter);
        }
        let mut left = written;
        while left > 0 {
            // Nobody else reads this socket, so these bytes are still there.
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
