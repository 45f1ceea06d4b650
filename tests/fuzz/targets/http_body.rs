//! Bodies of requests that come in pieces, beside a decoder that looks at all of them at once.

use anklet::wire::http::{Body, BodyMeter, Kept};

use super::{chosen, cuts};

pub fn target(data: &[u8]) {
    let Some((choice, input)) = chosen(data) else {
        return;
    };
    let (seed, input) = chosen(input).unwrap_or_default();
    let body = match choice {
        0 => Body::None,
        1..=64 => Body::Length(choice.into()),
        65 => Body::ToEnd,
        _ => Body::Chunked,
    };
    let expected = match body {
        Body::None => End::Behind(0),
        Body::Length(length) => usize::try_from(length)
            .ok()
            .filter(|length| *length <= input.len())
            .map_or(End::Missing, End::Behind),
        Body::Chunked => decode(input),
        Body::ToEnd => End::Missing,
    };
    assert_eq!(metered(body, input, [input.len()].into_iter()), expected);
    assert_eq!(metered(body, input, cuts(seed, input.len())), expected);
    for kept in [Kept::All, Kept::NoTrailers, Kept::Data] {
        assert_eq!(found(body, input, kept), expected);
    }
}

/// Where a body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum End {
    /// Behind that number of bytes.
    Behind(usize),
    /// Behind those that have come.
    Missing,
    /// It is malformed.
    Nowhere,
}

/// What the meter finds, run by run of what is left out and kept: where the body ends.
fn found(body: Body, input: &[u8], kept: Kept) -> End {
    let mut meter = BodyMeter::new(body);
    let mut taken = 0;
    while taken < input.len() && !meter.is_done() {
        let Ok((front, part)) = meter.next_part(&input[taken..], kept) else {
            return End::Nowhere;
        };
        assert!(front + part > 0, "a run is not empty");
        let run = &input[taken..taken + front + part];
        assert_eq!(meter.advance(run), Ok(run.len()));
        taken += run.len();
    }
    if meter.is_done() {
        End::Behind(taken)
    } else {
        End::Missing
    }
}

/// What the meter finds.
fn metered(body: Body, input: &[u8], ends: impl Iterator<Item = usize>) -> End {
    let mut meter = BodyMeter::new(body);
    let mut taken = 0;
    for end in ends {
        let bytes = &input[taken..end];
        match meter.advance(bytes) {
            Err(_) => return End::Nowhere,
            Ok(used) => {
                assert!(used <= bytes.len());
                taken += used;
                if meter.is_done() {
                    assert_eq!(
                        meter.advance(bytes),
                        Ok(0),
                        "nothing belongs to it any more"
                    );
                    return End::Behind(taken);
                }
                assert_eq!(used, bytes.len(), "a body that is not complete takes all");
            }
        }
    }
    if meter.is_done() {
        End::Behind(taken)
    } else {
        End::Missing
    }
}

/// RFC 9112 §7.1, with a bound for everything that is not data.
fn decode(input: &[u8]) -> End {
    let mut at = 0;
    loop {
        let size = match line(input, at, 16 + 1 + 256, chunk_line) {
            Ok((line, next)) => {
                at = next;
                let digits = line.split(|byte| *byte == b';').next().unwrap_or_default();
                u64::from_str_radix(std::str::from_utf8(digits).unwrap(), 16).unwrap()
            }
            Err(end) => return end,
        };
        if size == 0 {
            return trailers(input, at);
        }
        let rest = (input.len() - at) as u64;
        if size > rest {
            return End::Missing;
        }
        at += usize::try_from(size).unwrap();
        match (input.get(at), input.get(at + 1)) {
            (Some(b'\r'), Some(b'\n')) => at += 2,
            (None, _) | (Some(b'\r'), None) => return End::Missing,
            _ => return End::Nowhere,
        }
    }
}

/// Lines up to the empty one.
fn trailers(input: &[u8], mut at: usize) -> End {
    let mut total = 0;
    loop {
        match line(input, at, 8192 - total, trailer) {
            Ok((b"", next)) => return End::Behind(next),
            Ok((line, next)) => {
                total += line.len();
                at = next;
            }
            Err(end) => return end,
        }
    }
}

/// Whether this is a field, or the start of one, or the empty line.
fn trailer(line: &[u8], is_complete: bool) -> bool {
    let colon = line.iter().position(|byte| *byte == b':');
    let name = &line[..colon.unwrap_or(line.len())];
    let is_letter = |byte: &u8| byte.is_ascii_graphic() && !b"\"(),/:;<=>?@[\\]{}".contains(byte);
    name.iter().all(is_letter)
        && match colon {
            Some(at) => at > 0,
            None => !is_complete || line.is_empty(),
        }
}

/// Whether this is the line of a chunk, or the start of one: digits, and what follows a semicolon.
fn chunk_line(line: &[u8], is_complete: bool) -> bool {
    let end = line.iter().position(|byte| *byte == b';');
    let (digits, extension) = line.split_at(end.unwrap_or(line.len()));
    (end.is_none() && !is_complete || !digits.is_empty())
        && digits.len() <= 16
        && digits.iter().all(u8::is_ascii_hexdigit)
        && extension.len() <= 1 + 256
}

/// The line at `at` without its end, and where the next one starts. `is_sound` judges a line that
/// is complete or not.
fn line(
    input: &[u8],
    at: usize,
    max: usize,
    is_sound: impl Fn(&[u8], bool) -> bool,
) -> Result<(&[u8], usize), End> {
    let rest = &input[at..];
    let is_text = |byte: &u8| *byte == b'\t' || !byte.is_ascii_control();
    let len = rest.iter().position(|byte| !is_text(byte));
    let text = &rest[..len.unwrap_or(rest.len())];
    if text.len() > max || !is_sound(text, len.is_some()) {
        return Err(End::Nowhere);
    }
    match (rest.get(text.len()), rest.get(text.len() + 1)) {
        (Some(b'\r'), Some(b'\n')) => Ok((text, at + text.len() + 2)),
        (Some(b'\r'), None) | (None, _) => Err(End::Missing),
        _ => Err(End::Nowhere),
    }
}
