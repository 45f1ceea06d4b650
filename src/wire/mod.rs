//! Wire formats: bytes to values and back. No sockets, no clock.
//!
//! The promise of every parser here: any input gives a value, a request for more bytes or
//! [`Malformed`]; never a panic, never a read past the end, and no result depends on how the
//! bytes were split on their way.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod dns;
pub mod encoded;
pub mod http;
pub mod socks;
pub mod socks4;
pub mod udp;

use std::fmt::{self, Write};

/// A cursor over untrusted bytes. Every read is bounded; `None` means that bytes are missing.
#[derive(Clone, Copy, Debug)]
pub struct Reader<'a> {
    rest: &'a [u8],
    len: usize,
}

impl<'a> Reader<'a> {
    /// A cursor at the start of `bytes`.
    pub fn new(bytes: &'a [u8]) -> Self {
        Self {
            rest: bytes,
            len: bytes.len(),
        }
    }

    /// The next byte.
    pub fn u8(&mut self) -> Option<u8> {
        self.array().map(|[byte]| byte)
    }

    /// The next two bytes, in network order.
    pub fn u16(&mut self) -> Option<u16> {
        self.array().map(u16::from_be_bytes)
    }

    /// The next `N` bytes.
    pub fn array<const N: usize>(&mut self) -> Option<[u8; N]> {
        let (head, tail) = self.rest.split_first_chunk::<N>()?;
        self.rest = tail;
        Some(*head)
    }

    /// The next `len` bytes.
    pub fn take(&mut self, len: usize) -> Option<&'a [u8]> {
        let (head, tail) = self.rest.split_at_checked(len)?;
        self.rest = tail;
        Some(head)
    }

    /// As many bytes as the next one says.
    pub fn counted(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// The bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// Bytes read so far.
    pub fn consumed(&self) -> usize {
        self.len - self.rest.len()
    }
}

/// Text from outside as a log shows it: what is not printable ASCII is escaped (`\x0a`), so that
/// it can neither steer a terminal nor forge a line.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for byte in self.0 {
            match byte {
                b' '..=b'~' if *byte != b'\\' => f.write_char(char::from(*byte))?,
                _ => write!(f, "\\x{byte:02x}")?,
            }
        }
        Ok(())
    }
}

/// Bytes written one after the other into a bounded space.
struct Writer<'a> {
    out: &'a mut [u8],
    len: usize,
    /// Something did not fit.
    is_cut: bool,
}

impl<'a> Writer<'a> {
    fn new(out: &'a mut [u8]) -> Self {
        Self {
            out,
            len: 0,
            is_cut: false,
        }
    }

    /// Appends `bytes`, all or nothing. Whether everything fits is asked once, at the end.
    fn put(&mut self, bytes: &[u8]) {
        let end = self.len + bytes.len();
        match self.out.get_mut(self.len..end) {
            Some(space) => {
                space.copy_from_slice(bytes);
                self.len = end;
            }
            None => self.is_cut = true,
        }
    }

    /// How much was written; `None`: not all of it fits.
    fn written(&self) -> Option<usize> {
        (!self.is_cut).then_some(self.len)
    }
}

/// The number that `text` writes out in decimal; `None` as with [`number`].
pub fn decimal(text: &[u8]) -> Option<u64> {
    number(text, 10)
}

/// The number that `digits` write out to the base of 10 or 16; `None`: empty, another byte than a
/// digit (a sign is none), or above 64 bits.
pub fn number(digits: &[u8], base: u32) -> Option<u64> {
    let mut number: u64 = 0;
    for byte in digits {
        let digit = char::from(*byte).to_digit(base)?;
        number = number.checked_mul(base.into())?.checked_add(digit.into())?;
    }
    (!digits.is_empty()).then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(number(b"0018446744073709551615", 10), Some(u64::MAX));
        assert_eq!(number(b"fFff", 16), Some(65_535));
        for bad in ["", "+1", "-1", " 1", "18446744073709551616", "f", "1_0"] {
            assert_eq!(number(bad.as_bytes(), 10), None, "{bad}");
        }
    }
}
