//! Wire formats: bytes to values and back. No sockets, no clock.
//!
//! The promise of every parser here: for any input it returns a value, an error, or that bytes
//! are missing. It never panics, never reads past the end, and the result does not depend on how
//! the bytes were split on their way.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod dns;
pub mod encoded;
pub mod http;
pub mod socks;
pub mod socks4;
pub mod udp;

use std::fmt::{self, Write};

/// A cursor over untrusted bytes. Its methods return `None` if bytes are missing.
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

    /// The bytes behind the next one, which is their number.
    pub fn counted(&mut self) -> Option<&'a [u8]> {
        let len = self.u8()?;
        self.take(len.into())
    }

    /// The bytes that have not been read.
    pub fn rest(&self) -> &'a [u8] {
        self.rest
    }

    /// The number of bytes read so far.
    pub fn consumed(&self) -> usize {
        self.len - self.rest.len()
    }
}

/// Text from outside as the log shows it. Backslashes and bytes that are not printable ASCII are
/// escaped (`\x0a`), so that they can neither control a terminal nor forge a line.
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

/// Parses a decimal number, as [`number`] does.
pub fn decimal(text: &[u8]) -> Option<u64> {
    number(text, 10)
}

/// Parses a number to the base of 10 or 16. Returns `None` if `digits` is empty, has a byte that
/// is not a digit, such as a sign, or if the number has more than 64 bits.
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
