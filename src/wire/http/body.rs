//! The end of a body (RFC 9112 §6 and §7.1), found while the body is passed on.
//!
//! Nothing is kept, and decoded only for who cannot read chunks: else a chunked body goes on as it
//! came. A framing that another could read in another way must not be passed on, so line ends are
//! strict, and the length of everything that is not data is bounded.

use super::fields::{is_control, is_token};

/// What follows a head.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    None,
    /// A body of that many bytes.
    Length(u64),
    /// A chunked body, which ends with the last chunk and its trailers.
    Chunked,
    /// Of an answer: all that comes until its connection ends.
    ToEnd,
}

/// What of a body is passed on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kept {
    /// All of it, as it came.
    All,
    /// All but its trailers, where Connection names what may be among them (RFC 9110 §7.6.1).
    NoTrailers,
    /// Its data alone, for who cannot read chunks.
    Data,
}

/// A chunked body breaks the rules of RFC 9112 §7.1, or one of the bounds here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct MalformedBody;

/// The most digits of a chunk's size: those of a `u64`, so that no size overflows.
const DIGITS_MAX: u16 = 16;
/// The most bytes behind the size on a chunk's line. RFC 9112 §7.1.1 asks for a bound, and chunk
/// extensions are hardly used.
const EXTENSION_MAX: u16 = 256;
/// The most bytes of all trailers, line ends not counted: as many as a head may have.
const TRAILERS_MAX: u16 = 8192;

/// Where in a body the next byte is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Place {
    /// In the data of a body whose length is known.
    Counted,
    /// In a body that ends with its connection.
    Open,
    /// In a chunk's size, behind `count` digits.
    Size,
    /// In a chunk extension, behind `count` bytes of it.
    Extension,
    /// Behind the CR of a chunk's line.
    SizeEnd,
    /// In a chunk's data.
    Data,
    /// Behind a chunk's data.
    DataEnd,
    /// Behind the CR there.
    DataEndLf,
    /// At the start of a trailer or of the empty line, behind `count` bytes of trailers.
    TrailerStart,
    /// In the name of a trailer.
    TrailerName,
    /// In its value.
    Trailer,
    /// Behind the CR of a trailer.
    TrailerEnd,
    /// Behind the CR of the empty line.
    LastLf,
    /// Behind the body.
    Done,
}

/// Finds out which of the bytes behind a head belong to its message.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct BodyMeter {
    /// The number of bytes of data to come, or the part of a chunk's size that was read.
    remaining: u64,
    /// The number of bytes that are bounded at this place.
    count: u16,
    place: Place,
}

// Two live in every exchange.
const _: () = assert!(size_of::<BodyMeter>() <= 16);

impl BodyMeter {
    /// A meter at the start of a body.
    pub fn new(body: Body) -> Self {
        let (place, remaining) = match body {
            Body::None | Body::Length(0) => (Place::Done, 0),
            Body::Length(length) => (Place::Counted, length),
            Body::Chunked => (Place::Size, 0),
            Body::ToEnd => (Place::Open, 0),
        };
        Self {
            remaining,
            count: 0,
            place,
        }
    }

    /// Returns `true` if the body is complete.
    pub fn is_done(&self) -> bool {
        self.place == Place::Done
    }

    /// Returns `true` if the body may end here with its connection.
    pub fn may_end(&self) -> bool {
        matches!(self.place, Place::Done | Place::Open)
    }

    /// How many of the next bytes are left out, and how many behind those are `kept`, up to the next
    /// ones that are not. Reads nothing.
    ///
    /// Errors: as those of [`BodyMeter::advance`].
    pub fn next_part(mut self, bytes: &[u8], kept: Kept) -> Result<(usize, usize), MalformedBody> {
        let front = self.read_while(bytes, kept, false)?;
        let rest = bytes.get(front..).unwrap_or_default();
        Ok((front, self.read_while(rest, kept, true)?))
    }

    /// Reads the next bytes behind the head. Returns the number of them that belong to the body:
    /// all of them until it is complete, none from then on.
    ///
    /// Errors: the body is malformed, and the meter is not to be used any more.
    pub fn advance(&mut self, bytes: &[u8]) -> Result<usize, MalformedBody> {
        self.read_while(bytes, Kept::All, true)
    }

    /// Reads those of the next bytes that are `kept`, or those that are not. Returns the number of
    /// them.
    fn read_while(
        &mut self,
        bytes: &[u8],
        kept: Kept,
        wanted: bool,
    ) -> Result<usize, MalformedBody> {
        let mut rest = bytes;
        // Every pass takes at least one byte.
        while let (false, [byte, tail @ ..]) = (self.is_done(), rest) {
            let is_data = matches!(self.place, Place::Counted | Place::Open | Place::Data);
            let is_trailer = match self.place {
                Place::TrailerStart => *byte != b'\r',
                Place::TrailerName | Place::Trailer | Place::TrailerEnd => true,
                _ => false,
            };
            let is_kept = match kept {
                Kept::All => true,
                Kept::NoTrailers => !is_trailer,
                Kept::Data => is_data,
            };
            if is_kept != wanted {
                break;
            }
            rest = if is_data {
                self.skip(rest)
            } else {
                self.place = self.read_framing(*byte)?;
                tail
            };
        }
        Ok(bytes.len() - rest.len())
    }

    /// Skips the data at the start of `rest`, which is not empty. Returns what is behind it.
    fn skip<'a>(&mut self, rest: &'a [u8]) -> &'a [u8] {
        if self.place == Place::Open {
            return &[];
        }
        let len = usize::try_from(self.remaining).map_or(rest.len(), |max| max.min(rest.len()));
        // A `usize` has at most 64 bits.
        self.remaining -= len as u64;
        if self.remaining == 0 {
            self.place = match self.place {
                Place::Data => Place::DataEnd,
                _ => Place::Done,
            };
        }
        rest.get(len..).unwrap_or_default()
    }

    /// Reads one byte of the framing. Returns where the next one is.
    fn read_framing(&mut self, byte: u8) -> Result<Place, MalformedBody> {
        Ok(match (self.place, byte) {
            (Place::Size, b';' | b'\r') if self.count > 0 => {
                self.count = 0;
                if byte == b';' {
                    Place::Extension
                } else {
                    Place::SizeEnd
                }
            }
            (Place::Size, _) => {
                self.digit(byte)?;
                Place::Size
            }
            (Place::Extension, b'\r') => Place::SizeEnd,
            (Place::Extension, _) => self.text(byte, EXTENSION_MAX, Place::Extension)?,
            (Place::SizeEnd, b'\n') => {
                self.count = 0;
                if self.remaining == 0 {
                    Place::TrailerStart
                } else {
                    Place::Data
                }
            }
            (Place::DataEnd, b'\r') => Place::DataEndLf,
            (Place::DataEndLf, b'\n') => Place::Size,
            (Place::TrailerStart, b'\r') => Place::LastLf,
            (Place::TrailerName, b':') => self.text(byte, TRAILERS_MAX, Place::Trailer)?,
            // A line that is no field could pass for the first one of another message.
            (Place::TrailerStart | Place::TrailerName, _) if is_token(&[byte]) => {
                self.text(byte, TRAILERS_MAX, Place::TrailerName)?
            }
            (Place::Trailer, b'\r') => Place::TrailerEnd,
            (Place::Trailer, _) => self.text(byte, TRAILERS_MAX, Place::Trailer)?,
            (Place::TrailerEnd, b'\n') => Place::TrailerStart,
            (Place::LastLf, b'\n') => Place::Done,
            _ => return Err(MalformedBody),
        })
    }

    /// Reads a byte of a text of at most `max` bytes. Returns `place`.
    fn text(&mut self, byte: u8, max: u16, place: Place) -> Result<Place, MalformedBody> {
        self.count += 1;
        if self.count > max || is_control(byte) {
            return Err(MalformedBody);
        }
        Ok(place)
    }

    /// Reads a digit of a chunk's size.
    fn digit(&mut self, byte: u8) -> Result<(), MalformedBody> {
        let digit = char::from(byte).to_digit(16).ok_or(MalformedBody)?;
        self.count += 1;
        if self.count > DIGITS_MAX {
            return Err(MalformedBody);
        }
        self.remaining = self.remaining << 4 | u64::from(digit);
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// How many bytes belong to the body and whether it is done, fed in pieces of `step`.
    fn measure(body: Body, bytes: &[u8], step: usize) -> Result<(usize, bool), MalformedBody> {
        let mut meter = BodyMeter::new(body);
        let mut total = 0;
        for piece in bytes.chunks(step) {
            let len = meter.advance(piece)?;
            assert!(len == piece.len() || meter.is_done());
            total += len;
        }
        Ok((total, meter.is_done()))
    }

    /// The same whole and byte by byte.
    fn chunked(text: &str) -> Result<(usize, bool), MalformedBody> {
        let whole = measure(Body::Chunked, text.as_bytes(), usize::MAX);
        assert_eq!(
            measure(Body::Chunked, text.as_bytes(), 1),
            whole,
            "{text:?}"
        );
        whole
    }

    /// The grammar of RFC 9112 §7.1 over a whole text, written in another way: where the body
    /// ends, `None` where it does not. Errors are what cannot become a body any more.
    fn model(text: &str) -> Result<Option<usize>, MalformedBody> {
        let mut at = 0;
        loop {
            let Some((line, _)) = text[at..].split_once("\r\n") else {
                return Ok(None);
            };
            let digits = line.split(';').next().unwrap();
            if digits.is_empty() || digits.contains(|letter: char| !letter.is_ascii_hexdigit()) {
                return Err(MalformedBody);
            }
            let size = usize::from_str_radix(digits, 16).unwrap();
            at += line.len() + 2;
            if size == 0 {
                break;
            }
            let Some(end) = text.get(at + size..) else {
                return Ok(None);
            };
            if !end.starts_with(&"\r\n"[..end.len().min(2)]) {
                return Err(MalformedBody);
            }
            if end.len() < 2 {
                return Ok(None);
            }
            at += size + 2;
        }
        while let Some((line, _)) = text[at..].split_once("\r\n") {
            at += line.len() + 2;
            if line.is_empty() {
                return Ok(Some(at));
            }
            let name = line.split_once(':').ok_or(MalformedBody)?.0;
            if !is_token(name.as_bytes()) {
                return Err(MalformedBody);
            }
        }
        Ok(None)
    }

    #[test]
    fn h2_a_body_of_known_length_ends_there() {
        for step in [1, 2, 3, usize::MAX] {
            assert_eq!(measure(Body::Length(5), b"12345GET", step), Ok((5, true)));
            assert_eq!(measure(Body::Length(5), b"1234", step), Ok((4, false)));
            assert_eq!(
                measure(Body::Length(u64::MAX), b"1234", step),
                Ok((4, false))
            );
            assert_eq!(measure(Body::Length(0), b"GET", step), Ok((0, true)));
            assert_eq!(measure(Body::None, b"GET", step), Ok((0, true)));
        }
    }

    #[test]
    fn a_body_without_bytes_is_done_before_any_come() {
        assert!(BodyMeter::new(Body::None).is_done());
        assert!(BodyMeter::new(Body::Length(0)).is_done());
        assert!(!BodyMeter::new(Body::Length(1)).is_done());
        assert!(!BodyMeter::new(Body::Chunked).is_done());
    }

    #[test]
    fn h2_a_chunked_body_ends_behind_its_trailers() {
        for text in [
            "0\r\n\r\n",
            "000\r\n\r\n",
            "5\r\nhello\r\n0\r\n\r\n",
            "A\r\n0123456789\r\n00a\r\n0123456789\r\n0\r\n\r\n",
            "2;a=b;c=\"d e\"\r\n\r\n\r\n0;\t\r\n\r\n",
            "0\r\nA: b\r\nC: \u{e4}\r\n\r\n",
            "0000000000000001\r\nx\r\n0\r\n\r\n",
        ] {
            assert_eq!(chunked(text), Ok((text.len(), true)), "{text:?}");
            let more = format!("{text}GET / HTTP/1.1\r\n");
            assert_eq!(chunked(&more), Ok((text.len(), true)), "{text:?}");
            for len in (0..text.len()).filter(|len| text.is_char_boundary(*len)) {
                assert_eq!(chunked(&text[..len]), Ok((len, false)), "{text:?}");
            }
        }
    }

    #[test]
    fn h6_a_malformed_chunk_is_malformed_in_every_split() {
        for text in [
            "\r\n",
            ";a\r\n",
            " 5\r\n",
            "5 \r\n",
            "5 ;a\r\n",
            "+5\r\n",
            "0x5\r\n",
            "g\r\n",
            "5\n",
            "5\rx",
            "5;a\n",
            "5;a\rb",
            "5;a\0",
            "5;\x7f",
            "2\r\nabc",
            "2\r\nab\n",
            "2\r\nab\rx",
            "2\r\nab0\r\n",
            "0\r\n\n",
            "0\r\n\rx",
            "0\r\n A: b\r\n",
            "0\r\nA: b\r\n c\r\n",
            "0\r\nA b\r\n",
            "0\r\nA : b\r\n",
            "0\r\nA\r\n",
            "0\r\n: b\r\n",
            "0\r\nGET http://a/ HTTP/1.1\r\n",
            "0\r\nA: b\n",
            "0\r\nA: b\rc",
            "0\r\nA: b\0",
            "00000000000000001",
            "fffffffffffffffff",
            "10000000000000000",
        ] {
            assert_eq!(chunked(text), Err(MalformedBody), "{text:?}");
        }
    }

    #[test]
    fn the_largest_chunk_is_64_bits_long() {
        let text = "ffffffffffffffff\r\nabc";
        assert_eq!(chunked(text), Ok((text.len(), false)));
    }

    #[test]
    fn what_is_not_data_is_bounded() {
        let extension = |len| format!("0{}\r\n\r\n", ";".repeat(len));
        // The first one ends the size.
        assert!(chunked(&extension(257)).is_ok());
        assert_eq!(chunked(&extension(258)), Err(MalformedBody));
        let trailers = |last: &str| format!("0\r\n{}{last}\r\n\r\n", "a:\r\n".repeat(4095));
        assert!(chunked(&trailers("a:")).is_ok());
        assert_eq!(chunked(&trailers("a:b")), Err(MalformedBody));
        assert_eq!(chunked(&trailers("aa:")), Err(MalformedBody));
    }

    #[test]
    fn h9_a_body_that_ends_with_its_connection_takes_all() {
        let mut meter = BodyMeter::new(Body::ToEnd);
        assert!(meter.may_end() && !meter.is_done());
        assert_eq!(meter.next_part(b"abc", Kept::Data), Ok((0, 3)));
        assert_eq!(meter.advance(b"abc"), Ok(3));
        assert!(meter.may_end() && !meter.is_done());
        assert!(!BodyMeter::new(Body::Length(1)).may_end());
        assert!(BodyMeter::new(Body::None).may_end());
    }

    #[test]
    fn h9_the_data_of_chunks_is_found_between_their_framing() {
        let mut rest: &[u8] = b"5;a=b\r\nhello\r\n3\r\n\r\n\r\r\n0\r\nA: b\r\n\r\nGET";
        let (mut meter, mut data) = (BodyMeter::new(Body::Chunked), Vec::new());
        while !meter.is_done() {
            let (framing, len) = meter.next_part(rest, Kept::Data).unwrap();
            assert!(framing + len > 0);
            data.extend(&rest[framing..framing + len]);
            assert_eq!(meter.advance(&rest[..framing + len]), Ok(framing + len));
            rest = &rest[framing + len..];
        }
        assert_eq!((data.as_slice(), rest), (&b"hello\r\n\r"[..], &b"GET"[..]));
        assert_eq!(
            BodyMeter::new(Body::Chunked).next_part(b"x", Kept::Data),
            Err(MalformedBody)
        );
    }

    #[test]
    fn every_short_text_agrees_with_the_grammar() {
        const LETTERS: &[char] = &['0', '1', ';', 'g', ':', '\r', '\n'];
        // 7^7 texts.
        for number in 0..823_543 {
            let mut rest = number;
            let text: String = (0..7)
                .map(|_| {
                    let letter = LETTERS[rest % LETTERS.len()];
                    rest /= LETTERS.len();
                    letter
                })
                .collect();
            let mut meter = BodyMeter::new(Body::Chunked);
            match (meter.advance(text.as_bytes()), model(&text)) {
                (Ok(len), Ok(Some(end))) => {
                    assert_eq!((len, meter.is_done()), (end, true), "{text:?}");
                }
                (Ok(len), Ok(None)) => {
                    assert_eq!((len, meter.is_done()), (7, false), "{text:?}");
                }
                // The model takes any text up to a line's end; the meter does not.
                (Err(_), Ok(Some(end))) => assert!(has_bare_end(&text[..end]), "{text:?}"),
                (Err(_), _) => {}
                (Ok(_), Err(_)) => panic!("{text:?}"),
            }
        }
    }

    fn has_bare_end(text: &str) -> bool {
        text.replace("\r\n", "").contains(['\r', '\n'])
    }

    proptest! {
        #[test]
        fn right_bodies_are_measured_in_every_split(
            chunks in proptest::collection::vec(("[a\r\n0;]{1,20}", "(;[ -~]{0,9})?"), 0..5),
            trailers in proptest::collection::vec("[A-Z]{1,3}:[ -~]{0,9}", 0..3),
            tail in "[0\r\n]{0,9}", step in 1usize..40,
        ) {
            let mut text = String::new();
            for (data, extension) in chunks {
                text += &format!("{:x}{extension}\r\n{data}\r\n", data.len());
            }
            text += "0\r\n";
            for trailer in trailers {
                text += &format!("{trailer}\r\n");
            }
            text += "\r\n";
            let end = text.len();
            text += &tail;
            prop_assert_eq!(measure(Body::Chunked, text.as_bytes(), step), Ok((end, true)));
        }

        #[test]
        fn any_bytes_give_the_same_in_every_split(
            text in "[012;:a\r\n\t\u{0}]{0,60}", step in 1usize..20,
        ) {
            let whole = measure(Body::Chunked, text.as_bytes(), usize::MAX);
            prop_assert_eq!(measure(Body::Chunked, text.as_bytes(), 1), whole);
            prop_assert_eq!(measure(Body::Chunked, text.as_bytes(), step), whole);
        }
    }
}
