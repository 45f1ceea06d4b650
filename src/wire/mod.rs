//! Wire formats: bytes to values and back. No sockets, no clock.
//!
//! The promise of every parser here: for any input it returns a value, an error, or that bytes
//! are missing. It never panics, never reads past the end, and the result does not depend on how
//! the bytes were split on their way.
#![cfg_attr(not(test), deny(clippy::indexing_slicing))]

pub mod dns;
pub mod encoded;
pub mod http;
pub mod json;
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

/// Text from outside as the log shows it. Backslashes, bytes that are not UTF-8 and characters that
/// are not for showing are escaped (`\x0a`), so that they can neither control a terminal nor forge a
/// line.
pub struct Shown<'a>(pub &'a [u8]);

impl fmt::Display for Shown<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for chunk in self.0.utf8_chunks() {
            for char in chunk.valid().chars() {
                if is_shown(char) {
                    f.write_char(char)?;
                } else {
                    escape(char.encode_utf8(&mut [0; 4]).as_bytes(), f)?;
                }
            }
            escape(chunk.invalid(), f)?;
        }
        Ok(())
    }
}

/// A name as [`Shown`] has it, in which no address can be read: programs that watch the log keep
/// those out whose addresses they find, and some take the last one of a line. What makes an address
/// of digits is escaped behind one.
pub struct Unaddressed<'a>(pub &'a [u8]);

impl fmt::Display for Unaddressed<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut rest = self.0;
        let joins = |pair: &[u8]| match pair {
            [digit, b'.'] => digit.is_ascii_digit(),
            [digit, b':'] => digit.is_ascii_hexdigit(),
            _ => false,
        };
        // Bounded: each round takes at least two bytes.
        while let Some(at) = rest.windows(2).position(joins)
            && let Some((front, [join, behind @ ..])) = rest.split_at_checked(at + 1)
        {
            Shown(front).fmt(f)?;
            escape(&[*join], f)?;
            rest = behind;
        }
        Shown(rest).fmt(f)
    }
}

fn escape(bytes: &[u8], f: &mut fmt::Formatter<'_>) -> fmt::Result {
    for byte in bytes {
        write!(f, "\\x{byte:02x}")?;
    }
    Ok(())
}

/// Returns `true` unless a character controls something, turns the direction of what follows, cannot
/// be seen, or looks like a blank. (Unicode's categories Cc, Cf, Z and its fillers, as ranges.)
fn is_shown(char: char) -> bool {
    !matches!(
        char,
        '\0'..='\x1f'
            | '\\'
            | '\x7f'..='\u{a0}'
            | '\u{ad}'
            | '\u{34f}'
            | '\u{600}'..='\u{605}'
            | '\u{61c}'
            | '\u{6dd}'
            | '\u{70f}'
            | '\u{115f}'..='\u{1160}'
            | '\u{1680}'
            | '\u{17b4}'..='\u{17b5}'
            | '\u{180b}'..='\u{180e}'
            | '\u{2000}'..='\u{200f}'
            | '\u{2028}'..='\u{202f}'
            | '\u{205f}'..='\u{206f}'
            | '\u{2800}'
            | '\u{3000}'
            | '\u{3164}'
            | '\u{e000}'..='\u{f8ff}'
            | '\u{fe00}'..='\u{fe0f}'
            | '\u{feff}'
            | '\u{ffa0}'
            | '\u{fff0}'..='\u{fffb}'
            | '\u{13430}'..='\u{1345f}'
            | '\u{1bca0}'..='\u{1bca3}'
            | '\u{1d173}'..='\u{1d17a}'
            | '\u{e0000}'..
    )
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
    fn what_can_be_read_is_shown_and_what_controls_or_hides_is_escaped() {
        let shown = |text: &[u8]| Shown(text).to_string();
        for same in [
            "Jos\u{e9}",
            "\u{43f}\u{440}\u{438}",
            "\u{4e2d}\u{6587}",
            "\u{5d0}",
            "a b~",
        ] {
            assert_eq!(shown(same.as_bytes()), same);
        }
        for (text, escaped) in [
            (&b"a\\b"[..], r"a\x5cb"),
            (b"a\x1b[2J\x7f", r"a\x1b[2J\x7f"),
            // CSI in one character, of which some terminals read the second byte alone.
            ("\u{9b}".as_bytes(), r"\xc2\x9b"),
            ("\u{202e}gnp".as_bytes(), r"\xe2\x80\xaegnp"),
            ("a\u{2028}b".as_bytes(), r"a\xe2\x80\xa8b"),
            ("\u{feff}\u{200b}".as_bytes(), r"\xef\xbb\xbf\xe2\x80\x8b"),
            ("\u{e0041}".as_bytes(), r"\xf3\xa0\x81\x81"),
            // Bytes that are no UTF-8, and a character that is cut.
            (b"\xffJos\xc3", r"\xffJos\xc3"),
            (b"\xed\xa0\x80", r"\xed\xa0\x80"),
        ] {
            assert_eq!(shown(text), escaped);
        }
    }

    #[test]
    fn no_address_can_be_read_in_a_name() {
        for (name, shown) in [
            ("bob.smith@cafe.example", "bob.smith@cafe.example"),
            ("198.51.100.7", r"198\x2e51\x2e100\x2e7"),
            ("x 2001:db8::7 y", r"x 2001\x3adb8\x3a:7 y"),
            ("::ffff:1.2.3.4", r"::ffff\x3a1\x2e2\x2e3\x2e4"),
            ("1.\n", r"1\x2e\x0a"),
            ("..1", "..1"),
            ("", ""),
        ] {
            assert_eq!(Unaddressed(name.as_bytes()).to_string(), shown);
        }
    }

    #[test]
    fn a_number_is_digits_and_nothing_else() {
        assert_eq!(number(b"0018446744073709551615", 10), Some(u64::MAX));
        assert_eq!(number(b"fFff", 16), Some(65_535));
        for bad in ["", "+1", "-1", " 1", "18446744073709551616", "f", "1_0"] {
            assert_eq!(number(bad.as_bytes(), 10), None, "{bad}");
        }
    }
}
