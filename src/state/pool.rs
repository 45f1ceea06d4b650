//! Things lent and given back, never more than a fixed number of them.
//!
//! Ownership is the accounting: who holds a `T` from [`Pool::take`] has one of `max`, and the
//! pool counts what is out. Nobody ever waits for one; `None` is an answer.

/// A bounded stock of equal things, made when first needed and kept for the next taker.
#[derive(Debug)]
pub struct Pool<T> {
    free: Vec<T>,
    used: usize,
    peak: usize,
    max: usize,
}

impl<T> Pool<T> {
    /// A pool that lends at most `max` at once. Nothing is made yet.
    pub fn new(max: usize) -> Self {
        Self {
            free: Vec::new(),
            used: 0,
            peak: 0,
            max,
        }
    }

    /// Lends one, `make`ing it if none lies ready; `None` when all are out.
    pub fn take(&mut self, make: impl FnOnce() -> T) -> Option<T> {
        if self.used == self.max {
            return None;
        }
        self.used += 1;
        self.peak = self.peak.max(self.used);
        Some(self.free.pop().unwrap_or_else(make))
    }

    /// Takes one back.
    pub fn give(&mut self, thing: T) {
        assert!(self.used > 0, "given back more often than taken");
        self.used -= 1;
        self.free.push(thing);
    }

    /// How many are out.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The most that were ever out at once.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// How many can be out.
    pub fn max(&self) -> usize {
        self.max
    }
}

/// Bytes on their way from one socket to the other.
#[derive(Debug)]
pub struct Buffer {
    bytes: Box<[u8]>,
    start: u32,
    end: u32,
}

impl Buffer {
    /// An empty buffer of `bytes` bytes, zeroed by the allocator.
    fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// What was put in and not yet taken out.
    pub fn unread(&self) -> &[u8] {
        &self.bytes[self.start as usize..self.end as usize]
    }

    /// The whole of an empty buffer, to read into.
    pub fn space(&mut self) -> &mut [u8] {
        assert!(
            self.unread().is_empty(),
            "reading into a buffer would overwrite what it holds"
        );
        &mut self.bytes
    }

    /// Says that the first `len` bytes of [`Buffer::space`] are filled.
    pub fn filled(&mut self, len: usize) {
        assert!(len <= self.bytes.len());
        self.start = 0;
        self.end = u32::try_from(len).unwrap_or(0);
    }

    /// Takes `len` bytes out.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.unread().len());
        self.start += u32::try_from(len).unwrap_or(0);
    }
}

/// Size of the scratch buffer in buffers: 64 KiB as a rule. Going through it takes three system
/// calls where a buffer takes two, so it moves more at a time. More than that lets one bulk
/// transfer delay the others. It is one for all, and touched only as far as it is used.
pub const SCRATCH_BUFFERS: usize = 8;

/// The buffers of the relay, and the one scratch buffer for those who find none.
#[derive(Debug)]
pub struct Buffers {
    pool: Pool<Buffer>,
    /// Made when first used.
    scratch: Vec<u8>,
    buffer_bytes: usize,
}

impl Buffers {
    /// At most `max` buffers of `buffer_bytes` each.
    pub fn new(max: usize, buffer_bytes: usize) -> Self {
        Self {
            pool: Pool::new(max),
            scratch: Vec::new(),
            buffer_bytes,
        }
    }

    /// Lends an empty buffer, if one is left.
    pub fn take(&mut self) -> Option<Buffer> {
        let bytes = self.buffer_bytes;
        self.pool.take(|| Buffer::new(bytes))
    }

    /// Takes a buffer back; what it still held is dropped.
    pub fn give(&mut self, mut buffer: Buffer) {
        buffer.filled(0);
        self.pool.give(buffer);
    }

    /// The size of one buffer.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// The buffer that everyone may use within one call and nobody may keep.
    pub fn scratch(&mut self) -> &mut [u8] {
        if self.scratch.is_empty() {
            self.scratch = vec![0; SCRATCH_BUFFERS * self.buffer_bytes];
        }
        &mut self.scratch
    }

    /// The counts.
    pub fn pool(&self) -> &Pool<Buffer> {
        &self.pool
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn an_empty_pool_lends_nothing_until_one_comes_back() {
        let mut buffers = Buffers::new(1, 8);
        let buffer = buffers.take().unwrap();
        assert!(buffers.take().is_none());
        buffers.give(buffer);
        assert!(buffers.take().is_some());
        assert_eq!(buffers.pool().peak(), 1);
    }

    #[test]
    fn a_buffer_comes_back_empty() {
        let mut buffers = Buffers::new(1, 8);
        let mut buffer = buffers.take().unwrap();
        buffer.space()[..3].copy_from_slice(b"abc");
        buffer.filled(3);
        buffer.advance(1);
        assert_eq!(buffer.unread(), b"bc");
        buffers.give(buffer);
        assert!(buffers.take().unwrap().unread().is_empty());
    }

    proptest! {
        #[test]
        fn the_counts_agree_with_a_plain_list(
            steps in proptest::collection::vec(any::<bool>(), 0..100)
        ) {
            let mut pool = Pool::new(5);
            let mut held = Vec::new();
            for take in steps {
                if take {
                    match pool.take(|| ()) {
                        Some(thing) => held.push(thing),
                        None => prop_assert_eq!(held.len(), 5),
                    }
                } else if let Some(thing) = held.pop() {
                    pool.give(thing);
                }
                prop_assert_eq!(pool.used(), held.len());
            }
        }
    }
}
