//! Places and buffers that are taken and given back, never more than a fixed number of them.
//!
//! Nobody waits for one: if all are taken, the caller is told so.

use std::fmt;

use crate::wire::http::HEAD_MAX;

/// A bounded number of places, with the number of those that are taken.
#[derive(Debug)]
pub struct Quota {
    used: usize,
    peak: usize,
    max: usize,
}

impl Quota {
    /// At most `max` places at once.
    pub fn new(max: usize) -> Self {
        Self {
            used: 0,
            peak: 0,
            max,
        }
    }

    /// Takes a place. Returns `false` if all are taken.
    pub fn take(&mut self) -> bool {
        self.take_many(1)
    }

    /// Takes that many places. Returns `false` if there are not so many.
    fn take_many(&mut self, count: usize) -> bool {
        let free = count <= self.max.saturating_sub(self.used);
        if free {
            self.force(count);
        }
        free
    }

    /// Takes that many places, if there are so many or not.
    fn force(&mut self, count: usize) {
        self.used += count;
        self.peak = self.peak.max(self.used);
    }

    /// Gives a place back. Panics if none is taken: overflow checks are on in every build.
    pub fn give(&mut self) {
        self.used -= 1;
    }

    /// Takes away all places that are free, and those that are given back.
    pub fn close(&mut self) {
        self.max = 0;
    }

    /// Returns `true` if all places are taken.
    pub fn is_full(&self) -> bool {
        self.used >= self.max
    }

    /// The number of places that are taken.
    pub fn used(&self) -> usize {
        self.used
    }

    /// The most places that were taken at once.
    pub fn peak(&self) -> usize {
        self.peak
    }

    /// The number of places.
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
    // 512 KiB at most.
    start: u32,
    end: u32,
}

impl Buffer {
    /// An empty buffer with room for `bytes` bytes.
    fn new(bytes: usize) -> Self {
        Self {
            bytes: vec![0; bytes].into_boxed_slice(),
            start: 0,
            end: 0,
        }
    }

    /// The bytes that were put in and not yet taken out.
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
        self.end = count(len);
    }

    /// Takes `len` bytes out.
    pub fn advance(&mut self, len: usize) {
        assert!(len <= self.unread().len());
        self.start += count(len);
    }
}

/// A number of bytes that a buffer has room for, 512 KiB at most.
pub(super) fn count(bytes: usize) -> u32 {
    u32::try_from(bytes).expect("no buffer is so large")
}

/// The size of the scratch buffer, counted in buffers: 64 KiB as a rule. Going through it takes
/// three system calls where a buffer takes two, so it moves more at a time. With more than that
/// one bulk transfer would delay the others. There is one for all flows, and its memory is
/// touched only as far as it is used.
pub const SCRATCH_BUFFERS: usize = 8;

/// The head of an answer is looked at in the scratch buffer, whole, with this much in front of it:
/// rewritten it may be longer, and the start of the body stays behind it.
pub const SCRATCH_MARGIN: usize = 256;

/// The memory of the scratch buffer in bytes, where a buffer has `buffer_bytes`.
pub fn scratch_max(buffer_bytes: usize) -> usize {
    (SCRATCH_BUFFERS * buffer_bytes).max(HEAD_MAX + SCRATCH_MARGIN)
}

/// The buffers of the relay, and the one scratch buffer for flows that find none free.
#[derive(Debug)]
pub struct Buffers {
    quota: Quota,
    /// Buffers that were given back. They are allocated when they are first needed.
    free: Vec<Buffer>,
    /// Empty until it is first used.
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

    /// Takes an empty buffer. Returns `None` if all are taken.
    pub fn take(&mut self) -> Option<Buffer> {
        if !self.quota.take() {
            return None;
        }
        let free = self.free.pop();
        Some(free.unwrap_or_else(|| Buffer::new(self.buffer_bytes)))
    }

    /// Takes a buffer for that many bytes. It counts as as many as would hold them; where these are
    /// not free, only `force` gets it.
    pub fn take_large(&mut self, bytes: usize, force: bool) -> Option<Buffer> {
        let count = self.count(bytes);
        if force {
            self.quota.force(count);
        } else if !self.quota.take_many(count) {
            return None;
        }
        Some(Buffer::new(count * self.buffer_bytes))
    }

    /// As how many buffers that many bytes count.
    fn count(&self, bytes: usize) -> usize {
        bytes.div_ceil(self.buffer_bytes)
    }

    /// As how many buffers one counts.
    pub fn places(&self, buffer: &Buffer) -> usize {
        self.count(buffer.bytes.len())
    }

    /// Gives a buffer back. What it still holds is dropped.
    pub fn give(&mut self, mut buffer: Buffer) {
        let places = self.places(&buffer);
        self.quota.used -= places;
        if places == 1 {
            buffer.filled(0);
            self.free.push(buffer);
        }
    }

    /// The size of one buffer in bytes.
    pub fn buffer_bytes(&self) -> usize {
        self.buffer_bytes
    }

    /// The size of the scratch buffer in bytes, as flows use it.
    pub fn scratch_bytes(&self) -> usize {
        SCRATCH_BUFFERS * self.buffer_bytes
    }

    /// The scratch buffer. What it holds is lost with the next call.
    pub fn scratch(&mut self) -> &mut [u8] {
        let bytes = self.scratch_bytes();
        &mut self.scratch_for_head()[..bytes]
    }

    /// The same for the head of an answer: [`HEAD_MAX`] behind [`SCRATCH_MARGIN`], however small the
    /// buffers are.
    pub fn scratch_for_head(&mut self) -> &mut [u8] {
        if self.scratch.is_empty() {
            self.scratch = vec![0; scratch_max(self.buffer_bytes)];
        }
        &mut self.scratch
    }

    /// The number of buffers that are taken, and of all.
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
