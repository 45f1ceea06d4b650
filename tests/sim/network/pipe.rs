//! The server's pipes: what it splices into them and out again, and how that is refused.
//!
//! A splice of a connection is a read or a write of it, with all that can befall these. What a pipe
//! does beyond that has numbers of its own, so that the rest of the world is what it would be
//! without pipes.

use std::collections::VecDeque;

use fastrand::Rng;
use nix::errno::Errno;

use crate::network::Network;

/// Whether the server's kernel has splice.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Splice {
    /// It has.
    Works,
    /// The configuration has it off: no pipe may be opened.
    Off,
    /// It refuses the way in.
    RefusedIn,
    /// It refuses the way out, with bytes in the pipe.
    RefusedOut,
    /// A splice moves a part, or nothing, and opening a pipe fails, out of 1,000 occasions.
    Fails(u32),
}

/// A pipe of the server.
pub(crate) struct Pipe {
    bytes: VecDeque<u8>,
    /// The connection that they come from.
    from: usize,
    /// The server has closed it.
    dropped: bool,
}

/// Every pipe there ever was.
pub(crate) struct Pipes {
    /// What the kernel does.
    pub(crate) splice: Splice,
    /// Pipes at most.
    pub(crate) max: usize,
    /// The size of a buffer, where there are pipes: so small that many flows fill some in a row.
    pub(crate) buffer_bytes: Option<usize>,
    /// What refuses a splice that the kernel has not.
    refusal: Errno,
    pipes: Vec<Pipe>,
    rng: Rng,
    /// Bytes spliced from one connection into another, by any server.
    pub(crate) spliced: u64,
    /// Pipes that were read back into memory.
    pub(crate) read_back: u64,
    /// A splice was refused that the kernel has not.
    pub(crate) refused: bool,
}

impl Pipes {
    /// Those of a world.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed.wrapping_mul(0x9e37_79b9));
        let splice = match rng.u8(..8) {
            0..=2 => Splice::Works,
            3 => Splice::Off,
            4 => Splice::RefusedIn,
            5 => Splice::RefusedOut,
            _ => Splice::Fails(rng.u32(1..400)),
        };
        let refusals = [Errno::EINVAL, Errno::ENOSYS, Errno::EOPNOTSUPP];
        Self {
            splice,
            max: match splice {
                Splice::Off => 0,
                _ => rng.usize(1..=4),
            },
            buffer_bytes: (splice != Splice::Off).then(|| rng.usize(4..=32)),
            refusal: refusals[rng.usize(..3)],
            pipes: Vec::new(),
            rng,
            spliced: 0,
            read_back: 0,
            refused: false,
        }
    }

    /// Returns `true` on some occasions, if splices fail.
    fn fails(&mut self) -> bool {
        match self.splice {
            Splice::Fails(odds) => self.rng.u32(..1000) < odds,
            _ => false,
        }
    }

    /// Pipes that the server has not closed.
    pub(crate) fn open(&self) -> usize {
        self.pipes.iter().filter(|pipe| !pipe.dropped).count()
    }
}

impl Network {
    /// The server opens a pipe.
    pub(crate) fn open_pipe(&mut self) -> Result<usize, Errno> {
        if self.pipes.open() >= self.pipes.max {
            self.fail("there are more pipes than configured".into());
        }
        if self.odds.is_exhausted(self.now) || self.pipes.fails() {
            return Err(Errno::EMFILE);
        }
        self.pipes.pipes.push(Pipe {
            bytes: VecDeque::new(),
            from: 0,
            dropped: false,
        });
        Ok(self.pipes.pipes.len() - 1)
    }

    /// The server splices from a connection into a pipe.
    pub(crate) fn splice_in(&mut self, s: usize, p: usize, len: usize) -> Result<usize, Errno> {
        if !self.pipes.pipes[p].bytes.is_empty() {
            self.fail(format!("pipe {p} is filled with bytes in it"));
        }
        if self.pipes.splice == Splice::RefusedIn {
            self.pipes.refused = true;
            return Err(self.pipes.refusal);
        }
        let mut len = len;
        if self.pipes.fails() {
            // Full of small pieces, or before urgent data.
            if self.pipes.rng.bool() {
                return Err(Errno::EAGAIN);
            }
            len = self.pipes.rng.usize(1..=len);
        }
        let mut bytes = vec![0; len];
        let len = self.read(s, &mut bytes, true)?;
        let pipe = &mut self.pipes.pipes[p];
        pipe.bytes.extend(&bytes[..len]);
        pipe.from = s;
        Ok(len)
    }

    /// The server splices what is in a pipe into a connection.
    pub(crate) fn splice_out(&mut self, s: usize, p: usize, len: usize) -> Result<usize, Errno> {
        let pipe = &mut self.pipes.pipes[p];
        let (held, from) = (pipe.bytes.len(), pipe.from);
        let bytes = pipe.bytes.make_contiguous().to_vec();
        if held != len || from == s || self.sockets[from].client != self.sockets[s].client {
            self.fail(format!(
                "{len} bytes go to socket {s} from pipe {p}, which has {held} of socket {from}"
            ));
        }
        if self.pipes.splice == Splice::RefusedOut {
            self.pipes.refused = true;
            return Err(self.pipes.refusal);
        }
        let len = self.write(s, &bytes)?;
        self.pipes.pipes[p].bytes.drain(..len);
        self.pipes.spliced += len as u64;
        Ok(len)
    }

    /// The server reads what is in a pipe, a piece of it at a time.
    pub(crate) fn read_pipe(&mut self, p: usize, buf: &mut [u8]) -> usize {
        let pipe = &mut self.pipes.pipes[p];
        let len = buf.len().min(pipe.bytes.len());
        let len = self.pipes.rng.usize(len.min(1)..=len);
        for (place, byte) in buf.iter_mut().zip(pipe.bytes.drain(..len)) {
            *place = byte;
        }
        self.pipes.read_back += u64::from(pipe.bytes.is_empty());
        len
    }

    /// The server closes a pipe.
    pub(crate) fn close_pipe(&mut self, p: usize) {
        self.pipes.pipes[p].dropped = true;
    }
}
