//! The head of a server's answer (RFC 9112 §4 and §6.3), and what the client gets of it.
//!
//! Read as one reads that trusts nobody: an answer whose end could be found in two places is none.
//! A bare LF ends a line, because the client gets each line with an end of ours.

use std::mem;

use super::body::{Body, Kept};
use super::fault::Fault;
use super::fields::{Field, Fields, line, members, split_at_byte};
use super::forward::{pass_on, pass_upgrade};
use super::framing::{Framing, TRANSFER_ENCODING};
use super::head::HEAD_MAX;

/// The head of an answer.
#[derive(Clone)]
pub struct Answer<'a> {
    /// The number of its bytes, with the empty line.
    pub len: usize,
    /// The code of its status, 100 to 999.
    pub code: u16,
    /// What follows the head.
    pub body: Body,
    /// What of that is passed on.
    pub kept: Kept,
    /// The server keeps its connection for the next request.
    pub keeps: bool,
    /// It asks for an authentication that belongs to the connection: Negotiate (RFC 4559 §5) or
    /// NTLM.
    pub pins: bool,
    /// The code, and the reason where there is one.
    status: &'a [u8],
    /// Up to the empty line.
    fields: Fields<'a>,
}

impl<'a> Answer<'a> {
    /// Parses the head at the start of `bytes`, of the answer to a request that `is_for_head` or
    /// not. Returns `None` while bytes are missing.
    ///
    /// Errors: it is no answer, or is over the limits of a head.
    pub fn parse(bytes: &'a [u8], is_for_head: bool) -> Result<Option<Self>, Fault> {
        let window = bytes.get(..HEAD_MAX).unwrap_or(bytes);
        let Some((first, fields)) = line(window, true)? else {
            return missing(window, begins_well(window));
        };
        let (is_old, status) = status_line(first).ok_or(Fault::Answer)?;
        let code = code(status).ok_or(Fault::Answer)?;
        let (mut pins, mut rest) = (false, fields);
        let mut framing = Framing::of_answer();
        // Bounded: each round takes a line.
        while let Some((line, behind)) = line(rest, true)? {
            rest = behind;
            if !line.is_empty() {
                let field = Field::parse_answered(line)?;
                framing.note(&field)?;
                pins |= code == 401 && is_of_connection(&field);
                continue;
            }
            let body = framing.body(is_old, Body::ToEnd)?;
            let has_none = is_for_head || matches!(code, ..200 | 204 | 304);
            // A body that is announced where there can be none (RFC 9110 §8.6) may still come, and
            // would be read as the next answer.
            let is_clean = code != 204 || body == Body::ToEnd || body == Body::Length(0);
            return Ok(Some(Self {
                len: window.len() - rest.len(),
                code,
                body: if has_none { Body::None } else { body },
                kept: framing.kept(),
                keeps: is_clean && !framing.closes && (framing.keeps || !is_old),
                pins,
                status,
                fields: Fields(fields),
            }));
        }
        missing(window, true)
    }

    /// The same for a head that comes in pieces: `known` is how much of `bytes` was there at the last
    /// call, 0 at the first. Only what may have completed the head is parsed: one that drips in is
    /// not parsed anew for each byte.
    ///
    /// Errors: those of [`Answer::parse`].
    pub fn parse_on(
        bytes: &'a [u8],
        known: &mut usize,
        is_for_head: bool,
    ) -> Result<Option<Self>, Fault> {
        let before = mem::replace(known, bytes.len());
        let is_first = before < VERSION.len();
        let is_last = bytes.len() >= HEAD_MAX;
        if is_first || is_last || has_empty_line(bytes, before) {
            Self::parse(bytes, is_for_head)
        } else {
            Ok(None)
        }
    }

    /// Returns the head as the client gets it, with our own version. `closes`: its connection ends
    /// behind the answer. `is_old`: the client speaks HTTP/1.0, and is not told of chunks, whether
    /// there is a body or not. It is 192 bytes longer than the server's at most: `Connection: close`
    /// with its line end 19, [`SESSION_BASED`] 72, the blank behind each of 100 colons and behind
    /// the code; and by one for each bare LF.
    pub fn forwarded(&self, closes: bool, is_old: bool) -> Vec<u8> {
        const OF_BODY: [&[u8]; 3] = [TRANSFER_ENCODING, b"Trailer", b"Content-Length"];
        // RFC 9112 §4: a blank is behind the code even where there is no reason.
        let blank: &[u8] = if self.status.len() == 3 { b" " } else { b"" };
        let mut head = [b"HTTP/1.1 ", self.status, blank, b"\r\n"].concat();
        let removed: &[&[u8]] = match self.code {
            // RFC 9112 §6.1 and RFC 9110 §8.6: they have none, and some clients would wait for it.
            ..200 | 204 => &OF_BODY,
            // Chunks come without a length.
            _ if is_old => &OF_BODY[..2],
            _ => &[],
        };
        pass_on(self.fields, removed, &mut head);
        if self.pins {
            head.extend(SESSION_BASED);
        }
        if self.code == 101 {
            pass_upgrade(self.fields, &mut head);
        } else if closes {
            head.extend(b"Connection: close\r\n");
        }
        head.extend(b"\r\n");
        head
    }
}

/// Says that this proxy keeps connections together for an authentication that belongs to them: no
/// client may begin one through a proxy that does not (RFC 4559 §6). It is for the next hop alone.
const SESSION_BASED: &[u8] = b"Proxy-Support: Session-Based-Authentication\r\n\
                               Connection: Proxy-Support\r\n";

/// Bytes of a head are missing, unless it is over its limit.
fn missing<T>(window: &[u8], begins_well: bool) -> Result<Option<T>, Fault> {
    if !begins_well {
        return Err(Fault::Answer);
    }
    if window.len() == HEAD_MAX {
        return Err(Fault::LongAnswer);
    }
    Ok(None)
}

/// Returns `true` if an empty line may end behind the first `known` bytes.
fn has_empty_line(bytes: &[u8], known: usize) -> bool {
    // The line end in front of it may be among the known ones.
    let news = bytes.get(known.saturating_sub(2)..).unwrap_or_default();
    let has = |end: &[u8]| news.windows(end.len()).any(|bytes| bytes == end);
    has(b"\n\n") || has(b"\n\r\n")
}

/// How a status line begins. RFC 9112 §2.3: the major version is what makes it readable.
const VERSION: &[u8] = b"HTTP/1.";

/// Returns `true` if a status line may begin so.
fn begins_well(bytes: &[u8]) -> bool {
    bytes
        .iter()
        .zip(VERSION)
        .all(|(byte, wanted)| byte == wanted)
}

/// Takes a status line apart: whether it is of HTTP/1.0, and code and reason.
fn status_line(line: &[u8]) -> Option<(bool, &[u8])> {
    let (version, status) = split_at_byte(line, b' ')?;
    match version.strip_prefix(VERSION)? {
        [minor @ b'0'..=b'9'] => Some((*minor == b'0', status)),
        _ => None,
    }
}

/// The code at the start of a status, of three digits. A blank follows, or nothing.
fn code(status: &[u8]) -> Option<u16> {
    let (digits, reason) = status.split_first_chunk::<3>()?;
    let is_code = digits.iter().all(u8::is_ascii_digit) && digits.first() != Some(&b'0');
    if !is_code || !matches!(reason.first(), None | Some(b' ')) {
        return None;
    }
    let number = |sum: u16, digit: &u8| sum * 10 + u16::from(digit - b'0');
    Some(digits.iter().fold(0, number))
}

/// Returns `true` if a field asks for an authentication that belongs to the connection.
fn is_of_connection(field: &Field<'_>) -> bool {
    let is_bound = |challenge: &[u8]| {
        let scheme = challenge.split(|byte| *byte == b' ').next();
        let is = |name: &[u8]| scheme.is_some_and(|scheme| scheme.eq_ignore_ascii_case(name));
        is(b"Negotiate") || is(b"NTLM")
    };
    field.is(b"WWW-Authenticate") && members(field.value).any(is_bound)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// What is seen of an answer: code, body, length, and whether it keeps its connection.
    fn seen(text: &str, is_for_head: bool) -> Result<Option<(u16, Body, usize, bool)>, Fault> {
        let answer = Answer::parse(text.as_bytes(), is_for_head)?;
        Ok(answer.map(|answer| (answer.code, answer.body, answer.len, answer.keeps)))
    }

    fn body(fields: &str) -> Body {
        let text = format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        seen(&text, false).unwrap().unwrap().1
    }

    fn told(text: &str, closes: bool, is_old: bool) -> String {
        let answer = Answer::parse(text.as_bytes(), false).unwrap().unwrap();
        String::from_utf8(answer.forwarded(closes, is_old)).unwrap()
    }

    #[test]
    fn h9_the_body_of_an_answer_is_delimited_as_the_rfc_says() {
        assert_eq!(body("Content-Length: 5\r\n"), Body::Length(5));
        assert_eq!(body("Transfer-Encoding: Chunked\r\n"), Body::Chunked);
        assert_eq!(body(""), Body::ToEnd);
        let of = |code: u16, is_for_head| {
            let text = format!("HTTP/1.1 {code} x\r\nContent-Length: 5\r\n\r\n");
            seen(&text, is_for_head).unwrap().unwrap().1
        };
        for code in [100, 101, 103, 199, 204, 304] {
            assert_eq!(of(code, false), Body::None, "{code}");
        }
        for code in [200, 205, 206, 303, 305, 404, 599, 999] {
            assert_eq!(of(code, false), Body::Length(5), "{code}");
            assert_eq!(of(code, true), Body::None, "{code}");
        }
    }

    #[test]
    fn h9_a_connection_goes_on_where_version_and_fields_say_so() {
        let keeps = |version: &str, fields: &str| {
            let text = format!("HTTP/{version} 200 OK\r\n{fields}\r\n");
            seen(&text, false).unwrap().unwrap().3
        };
        assert!(keeps("1.1", "") && !keeps("1.1", "Connection: x, Close\r\n"));
        assert!(!keeps("1.0", "") && keeps("1.0", "Connection: Keep-Alive\r\n"));
        assert!(!keeps(
            "1.0",
            "Connection: keep-alive\r\nConnection: close\r\n"
        ));
        assert!(keeps("1.9", ""));
        let of = |code: u16, fields: &str| {
            let text = format!("HTTP/1.1 {code} x\r\n{fields}\r\n");
            seen(&text, false).unwrap().unwrap().3
        };
        for fields in ["Content-Length: 5\r\n", "Transfer-Encoding: chunked\r\n"] {
            // Of what GET would have answered, or of nothing that there could be.
            assert!(of(304, fields) && !of(204, fields), "{fields}");
        }
        assert!(of(204, "") && of(204, "Content-Length: 0\r\n"));
    }

    #[test]
    fn h9_what_could_be_read_in_two_ways_is_no_answer() {
        let ok = |fields: &str| format!("HTTP/1.1 200 OK\r\n{fields}\r\n");
        for text in [
            ok("Content-Length: 1\r\nContent-Length: 1\r\n"),
            ok("Content-Length: 1, 1\r\n"),
            ok("Content-Length: +1\r\n"),
            ok("Content-Length: \r\n"),
            ok("Content-Length: 1\r\nTransfer-Encoding: chunked\r\n"),
            ok("Transfer-Encoding: chunked, chunked\r\n"),
            ok("Transfer-Encoding: gzip\r\n"),
            ok("Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n"),
            ok("Transfer-Encoding : chunked\r\nContent-Length : 1\r\n"),
            ok("Connection: content-length\r\nContent-Length: 1\r\n"),
            ok("A: b\r\n c\r\n"),
            ok(" A: b\r\n"),
            ok("A: b\rc\r\n"),
            ok("A: b\0\r\n"),
            ok("A b\r\n"),
            ok(": b\r\n"),
            ok("A\u{e4}: b\r\n"),
            "HTTP/1.0 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n".into(),
            "HTTP/1.1 99 x\r\n\r\n".into(),
            "HTTP/1.1 020 x\r\n\r\n".into(),
            "HTTP/1.1 2000 x\r\n\r\n".into(),
            "HTTP/1.1 20x x\r\n\r\n".into(),
            "HTTP/1.1  200 x\r\n\r\n".into(),
            "HTTP/1.1\r\n\r\n".into(),
            "HTTP/1.10 200 x\r\n\r\n".into(),
            "HTTP/2 200\r\n\r\n".into(),
            "HTTP/2.0 200 x\r\n\r\n".into(),
            "http/1.1 200 x\r\n\r\n".into(),
            "\r\nHTTP/1.1 200 x\r\n\r\n".into(),
            "<html>\r\n\r\n".into(),
        ] {
            assert!(seen(&text, false).is_err(), "{text:?}");
        }
        // At once, however little has come.
        assert!(seen("<", false).is_err() && seen("HTTP/2", false).is_err());
    }

    #[test]
    fn h9_what_old_servers_send_is_read() {
        for text in [
            "HTTP/1.1 200\r\n\r\n",
            "HTTP/1.1 200 \r\n\r\n",
            "HTTP/1.0 200 OK\n\n",
            "HTTP/1.1 200 \u{e4}\r\nA:\tb \n\r\n",
            "HTTP/1.1 200 OK\r\nServer : x\r\n\r\n",
        ] {
            assert_eq!(
                seen(text, false).unwrap().unwrap().2,
                text.len(),
                "{text:?}"
            );
        }
        let text = "HTTP/1.0 200 OK\nServer : x\nEmpty:\n\n";
        let expected = "HTTP/1.1 200 OK\r\nServer: x\r\nEmpty: \r\n\r\n";
        assert_eq!(told(text, false, false), expected);
    }

    #[test]
    fn h9_fields_of_the_servers_connection_end_here() {
        let text = "HTTP/1.0 200 Fine\r\nServer: a\r\nConnection: keep-alive, X-Hop\r\n\
                    Keep-Alive: timeout=5\r\nx-hop: 1\r\nUpgrade: h2c\r\nProxy-Authenticate: x\r\n\
                    Proxy-Connection: keep-alive\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                    Via: 1.1 b\r\nTransfer-Encodings: x\r\n\r\n";
        let kept = "HTTP/1.1 200 Fine\r\nServer: a\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                    Via: 1.1 b\r\nTransfer-Encodings: x\r\n";
        assert_eq!(told(text, false, false), format!("{kept}\r\n"));
        assert_eq!(
            told(text, true, false),
            format!("{kept}Connection: close\r\n\r\n")
        );
    }

    #[test]
    fn h9_servers_that_name_the_coding_in_connection_are_read() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding:  chunked\r\nConnection: keep-alive\r\n\
                    Connection: Transfer-Encoding\r\n\r\n";
        let seen = seen(text, false).unwrap().unwrap();
        assert_eq!((seen.1, seen.3), (Body::Chunked, true));
        let expected = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(told(text, false, false), expected);
        assert_eq!(told(text, false, true), "HTTP/1.1 200 OK\r\n\r\n");
    }

    #[test]
    fn h9_a_blank_is_behind_the_code() {
        for text in ["HTTP/1.1 200", "HTTP/1.1 200 "] {
            let told = told(&format!("{text}\r\n\r\n"), false, false);
            assert_eq!(told, "HTTP/1.1 200 \r\n\r\n");
        }
    }

    #[test]
    fn h9_no_length_is_told_where_there_is_no_body_of_that_length() {
        let fields = "Content-Length: 5\r\n\r\n";
        for code in [100, 103, 204] {
            let text = format!("HTTP/1.1 {code} x\r\n{fields}");
            assert_eq!(
                told(&text, false, false),
                format!("HTTP/1.1 {code} x\r\n\r\n")
            );
        }
        // Of what GET would have answered.
        let text = format!("HTTP/1.1 304 x\r\n{fields}");
        assert_eq!(told(&text, false, false), text);
    }

    #[test]
    fn h9_who_cannot_read_chunks_is_not_told_of_them() {
        let text = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: a\r\nB: c\r\n\r\n";
        let expected = "HTTP/1.1 200 OK\r\nB: c\r\nConnection: close\r\n\r\n";
        assert_eq!(told(text, true, true), expected);
        let other = "HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\n";
        assert_eq!(told(other, false, true), other);
        // Nor where none come (RFC 9112 §6.1).
        let unchanged = text.replace("200 OK", "304 x");
        let expected = expected.replace("200 OK", "304 x");
        assert_eq!(told(&unchanged, true, true), expected);
    }

    #[test]
    fn h12_a_changed_protocol_is_told() {
        let text = "HTTP/1.1 101 Switching Protocols\r\nUpgrade: websocket\r\n\
                    Connection: Upgrade\r\nSec-WebSocket-Accept: x\r\n\r\n";
        let expected = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: x\r\n\
                        Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        assert_eq!(told(text, false, false), expected);
    }

    #[test]
    fn h10_an_authentication_of_the_connection_is_seen() {
        let pins = |code: u16, value: &str| {
            let text = format!("HTTP/1.1 {code} x\r\nWWW-Authenticate: {value}\r\n\r\n");
            Answer::parse(text.as_bytes(), false).unwrap().unwrap().pins
        };
        let text = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\nProxy-Support: x\r\n\r\n";
        let expected = "HTTP/1.1 401 x\r\nWWW-Authenticate: NTLM\r\n\
                        Proxy-Support: Session-Based-Authentication\r\n\
                        Connection: Proxy-Support\r\n\r\n";
        assert_eq!(told(text, false, false), expected);
        for value in [
            "NTLM",
            "ntlm TlRM",
            "Negotiate",
            "Basic realm=\"a\", Negotiate",
        ] {
            assert!(pins(401, value), "{value}");
        }
        assert!(!pins(401, "Basic realm=\"NTLM\"") && !pins(401, "NTLMv2") && !pins(200, "NTLM"));
    }

    #[test]
    fn h9_the_head_of_an_answer_is_bounded() {
        let of_len = |len: usize| {
            let start = "HTTP/1.1 200 OK\r\nX: ";
            format!("{start}{}\r\n\r\n", "x".repeat(len - start.len() - 4))
        };
        assert!(seen(&of_len(HEAD_MAX), false).unwrap().is_some());
        let long = of_len(HEAD_MAX + 1);
        assert!(seen(&long, false).is_err());
        assert_eq!(seen(&long[..HEAD_MAX - 1], false), Ok(None));
        let fields = |count: usize| format!("HTTP/1.1 200 OK\r\n{}\r\n", "A: b\r\n".repeat(count));
        assert!(seen(&fields(100), false).is_ok() && seen(&fields(101), false).is_err());
    }

    #[test]
    fn h9_what_was_looked_at_of_an_answer_is_not_parsed_again() {
        let fields: String = (0..99).map(|n| format!("X-{n}: value\r\n")).collect();
        for end in ["\r\n", "\n"] {
            let text = format!("HTTP/1.1 200 OK\n{fields}{end}");
            let mut known = 0;
            let mut parse = |bytes: &[u8]| {
                let answer = Answer::parse_on(bytes, &mut known, false);
                answer.map(|answer| answer.map(|answer| answer.len))
            };
            for len in 0..=VERSION.len() {
                assert_eq!(parse(&text.as_bytes()[..len]), Ok(None));
            }
            for len in VERSION.len() + 1..text.len() - end.len() {
                // It would be none.
                let mut bytes = vec![0; len];
                bytes[len - 1] = text.as_bytes()[len - 1];
                assert_eq!(parse(&bytes), Ok(None), "{len}");
            }
            assert_eq!(parse(text.as_bytes()), Ok(Some(text.len())));
        }
    }

    proptest! {
        /// A right head with a few bytes changed, taken out or put in: every prefix asks for more,
        /// or has the verdict of the whole.
        #[test]
        fn no_verdict_depends_on_the_split(
            edits in proptest::collection::vec(
                (any::<prop::sample::Index>(), 0u8..3, 0usize..14), 0..4
            ),
        ) {
            const BYTES: &[u8; 14] = b"\r\n \t:;,\0/ax1[\xff";
            let text = "HTTP/1.1 200 OK\r\nContent-Length: 1\r\nConnection: x\r\nX: 1\r\n\r\nrest";
            let mut bytes = text.as_bytes().to_vec();
            for (at, kind, byte) in edits {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = BYTES[byte],
                    1 => bytes.insert(at, BYTES[byte]),
                    _ => { bytes.remove(at); }
                }
            }
            let seen = |bytes: &[u8]| {
                let answer = Answer::parse(bytes, false);
                answer.map(|answer| answer.map(|a| (a.len, a.code, a.body, a.forwarded(true, false))))
            };
            let whole = seen(&bytes);
            let mut known = 0;
            let mut pieces = (0..=bytes.len())
                .map(|len| Answer::parse_on(&bytes[..len], &mut known, false));
            let first = pieces.find(|verdict| !matches!(verdict, Ok(None)));
            let lens = [first.unwrap_or(Ok(None)), Answer::parse(&bytes, false)]
                .map(|verdict| verdict.map(|answer| answer.map(|answer| answer.len)));
            // What is wrong in the middle shows at the end.
            let is_none = lens[1].is_err() && !matches!(lens[0], Ok(Some(_)));
            prop_assert!(lens[0] == lens[1] || is_none);
            for len in 0..bytes.len() {
                let early = seen(&bytes[..len]);
                let same = early == whole || early.is_err() && whole.is_err();
                prop_assert!(early == Ok(None) || same, "{len}");
            }
            // What is passed on is read in the same way by whoever is strict.
            if let Ok(Some((_, code, body, told))) = whole {
                let again = seen(&told).unwrap().unwrap();
                prop_assert_eq!((again.0, again.1, again.2), (told.len(), code, body));
                prop_assert!(!told.windows(2).any(|two| two[1] == b'\n' && two[0] != b'\r'));
            }
        }
    }
}
