//! Things lent and given back, never more than a fixed number of them.
//!
//! Nobody ever waits for one: that all are out is an answer.

use std::fmt;

/// A bounded number of places, and how many are taken.
#[derive(Debug)]
pub struct Quota {
    used: usize,
    peak: usize,
    max: usize,
}

impl Quota {
    /// At most `max` at once.
    pub fn new(max: usize) -> Self {
        Self {
            used: 0,
            peak: 0,
            max,
        }
    }

    /// Takes one; `false` when all are taken.
    pub fn take(&mut self) -> bool {
        let free = !self.is_full();
        if free {
            self.used += 1;
            self.peak = self.peak.max(self.used);
        }
        free
    }

    /// Gives one back.
    pub fn give(&mut self) {
        // A check for an underflow in every build: overflow checks are on.
        self.used -= 1;
    }

    /// Whether all are taken.
    pub fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// How many are taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// How many there are.
    pub fn max(&self) -> usize {
        self.max
    }
}

impl fmt::Display for Quota {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} (peak {}) of {}", self.used, self.peak, self.max)
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
    quota: Quota,
    /// Made when first needed, and kept for the next taker.
    free: Vec<Buffer>,
    /// Made when first used.
    scratch: Vec<u8>,
    buffer_bytes: usize,
}

impl Buffers {
    /// At most `max` buffers of `buffer_bytes` each.
    pub fn new(max: usize, buffer_bytes: usize) -> Self {
        Self {
            quota: Quota::new(max),
            free: Vec::new(),
            scratch: Vec::new(),
            buffer_bytes,
        }
    }

    /// Lends an empty buffer, if one is left.
    pub fn take(&mut self) -> Option<Buffer> {
        if !self.quota.take() {
            return None;
        }
        let free = self.free.pop();
        Some(free.unwrap_or_else(|| Buffer::new(self.buffer_bytes)))
    }

    /// Takes a buffer back; what it still held is dropped.
    pub fn give(&mut self, mut buffer: Buffer) {
        buffer.filled(0);
        self.quota.give();
        self.free.push(buffer);
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
    pub fn quota(&self) -> &Quota {
        &self.quota
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
        assert_eq!(buffers.quota().to_string(), "1 (peak 1) of 1");
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
            let mut quota = Quota::new(5);
            let mut held = 0;
            for take in steps {
                if take {
                    prop_assert_eq!(quota.take(), held < 5);
                    held = 5.min(held + 1);
                } else if held > 0 {
                    quota.give();
                    held -= 1;
                }
                prop_assert_eq!(quota.used(), held);
            }
        }
    }
}
