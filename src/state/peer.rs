//! One end of a tunnel: a connection, and what is known of its readiness.

use std::mem;

use crate::net::{Errno, Event, Stream};

/// How much of a client's input is discarded behind the end of its session: what a pipelining client
/// may have under way. Behind that nothing is read, and the connection closes in time.
pub const DISCARD_MAX: usize = 64 * 1024;

/// What is known of a socket's readiness.
///
/// A socket is registered once, edge-triggered. The bits are set by events and cleared by
/// `EAGAIN`. A read that was shorter than asked for clears `readable` too, because the socket is
/// drained then, but not once the end of stream is announced: data and FIN can come in one event,
/// and no other follows.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ready {
    /// A read may return something.
    pub readable: bool,
    /// A write may take something.
    pub writable: bool,
    /// The end of stream is announced (RDHUP), or something else that makes a read short.
    pub ended: bool,
    /// An error is announced: ask [`Stream::take_error`], once.
    pub failed: bool,
}

impl Ready {
    /// Sets the bits of an event.
    pub fn mark(&mut self, event: &Event) {
        // A hang-up can arrive with data still unread, so it counts as both.
        self.readable |= event.readable | event.ended | event.failed;
        self.writable |= event.writable | event.failed;
        self.ended |= event.ended;
        self.failed |= event.failed;
    }
}

/// One end of a tunnel: a connection and its readiness.
#[derive(Debug)]
pub struct Peer<S> {
    /// The connection.
    pub stream: S,
    /// Its readiness.
    pub ready: Ready,
}

/// What breaks a connection that is reset behind its peer's end of stream, on Linux: what came up to
/// that end can still be read then. Where it was reset before, a read would find an end as well, once
/// the error is taken.
pub const RESET_BEHIND_END: Errno = Errno::EPIPE;

/// A connection is broken. Nothing depends on the error, so it is not kept.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Gone;

impl<S: Stream> Peer<S> {
    /// Reads once. Returns `Some(0)` at the end of stream, and `None` if nothing is there: an
    /// event will come.
    pub fn read(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Gone> {
        let result = self.stream.read(buf);
        self.note_read(result, buf.len())
    }

    /// Reads without consuming; otherwise as [`Peer::read`].
    pub fn peek(&mut self, buf: &mut [u8]) -> Result<Option<usize>, Gone> {
        let result = self.stream.peek(buf);
        self.note_read(result, buf.len())
    }

    /// Consumes bytes that [`Peer::peek`] has shown; they are lost in `bytes`.
    pub fn skip(&mut self, mut bytes: &mut [u8]) -> Result<(), Gone> {
        while !bytes.is_empty() {
            // Nobody else reads this socket, so these bytes are still there.
            match self.stream.skip(bytes) {
                Ok(len @ 1..) => bytes = &mut bytes[len..],
                _ => return Err(Gone),
            }
        }
        Ok(())
    }

    /// Writes once. Returns `None` if there is no room: an event will come.
    pub fn write(&mut self, buf: &[u8]) -> Result<Option<usize>, Gone> {
        let result = self.stream.write(buf);
        self.note_write(result)
    }

    /// Writes what the peer takes of `bytes` behind the first `sent`, and counts it in `sent`.
    /// Returns `true` if all of it has been sent.
    pub fn send(&mut self, bytes: &[u8], sent: &mut usize) -> Result<bool, Gone> {
        while let Some(rest @ [_, ..]) = bytes.get(*sent..) {
            if !self.ready.writable {
                return Ok(false);
            }
            *sent += self.write(rest)?.unwrap_or(0);
        }
        Ok(true)
    }

    /// Reads what is there and drops it, about `bytes_max` at most, and returns how much that was. At
    /// the end of stream it is gone.
    pub fn discard(&mut self, scratch: &mut [u8], bytes_max: usize) -> Result<usize, Gone> {
        let mut discarded = 0;
        while self.ready.readable && discarded < bytes_max {
            match self.read(scratch)? {
                Some(0) => return Err(Gone),
                len => discarded += len.unwrap_or(0),
            }
        }
        Ok(discarded)
    }

    /// Returns `true` if it is broken: as [`Peer::broken_by`].
    pub fn is_broken(&mut self) -> bool {
        self.broken_by().is_some()
    }

    /// Returns what has broken it, if it is broken. Asks the system, once after an event has
    /// announced an error.
    pub fn broken_by(&mut self) -> Option<Errno> {
        if mem::take(&mut self.ready.failed) {
            self.stream.take_error()
        } else {
            None
        }
    }

    /// What follows from a write, or a splice out of a pipe.
    pub(super) fn note_write(
        &mut self,
        result: Result<usize, Errno>,
    ) -> Result<Option<usize>, Gone> {
        match result {
            Ok(0) => Err(Gone),
            Ok(len) => Ok(Some(len)),
            Err(error) => blocked(error, &mut self.ready.writable),
        }
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
                // At the end of stream there is always something to read. So what was announced
                // was the end of another attempt, or urgent data that has been read.
                self.ready.ended = false;
                Ok(blocked)
            }
        }
    }
}

/// Clears `ready` and returns `None` if the error is `EAGAIN`.
fn blocked(error: Errno, ready: &mut bool) -> Result<Option<usize>, Gone> {
    if error != Errno::EAGAIN {
        return Err(Gone);
    }
    *ready = false;
    Ok(None)
}
