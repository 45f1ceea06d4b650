//! Pipes that connections splice through (splice(2), tcp(7)).

use std::os::fd::{AsFd, OwnedFd};

use nix::fcntl::{OFlag, SpliceFFlags, splice};
use nix::unistd;

use crate::net::{self, Errno};

/// Both ends of a pipe. It is never waited for, so it is not registered.
#[derive(Debug)]
pub struct Pipe {
    read_end: OwnedFd,
    write_end: OwnedFd,
}

impl Pipe {
    pub(super) fn open() -> Result<Self, Errno> {
        let (read_end, write_end) = unistd::pipe2(OFlag::O_NONBLOCK | OFlag::O_CLOEXEC)?;
        Ok(Self {
            read_end,
            write_end,
        })
    }

    /// From a connection into the pipe.
    pub(super) fn fill(&self, from: &impl AsFd, len: usize) -> Result<usize, Errno> {
        advance(from, &self.write_end, len)
    }

    /// Out of the pipe into a connection.
    pub(super) fn drain(&self, to: &impl AsFd, len: usize) -> Result<usize, Errno> {
        advance(&self.read_end, to, len)
    }
}

impl net::Pipe for Pipe {
    fn read(&mut self, buf: &mut [u8]) -> Result<usize, Errno> {
        unistd::read(&self.read_end, buf)
    }
}

fn advance(from: &impl AsFd, to: &impl AsFd, len: usize) -> Result<usize, Errno> {
    let flags = SpliceFFlags::SPLICE_F_NONBLOCK | SpliceFFlags::SPLICE_F_MOVE;
    splice(from, None, to, None, len, flags)
}
