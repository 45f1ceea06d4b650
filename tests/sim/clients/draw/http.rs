//! What HTTP clients send, and what their targets are to receive of it. Written out here, so that
//! none of it comes from the code that is tested.

use fastrand::Rng;

use crate::clients::scenario::{Kind, Scenario};
use crate::clients::web::{Exchange, Fate, INTERIM, Web};
use crate::network::channel::payload;

/// The longest head that the server takes, and the longest line of a request.
const HEAD_MAX: usize = 32 * 1024;
const LINE_MAX: usize = 8192;

/// The number of fields that it takes at most.
const FIELDS_MAX: usize = 100;

/// The field with the client's credential, if it has one.
pub(crate) fn login(credential: Option<(&[u8], &[u8])>) -> String {
    credential.map_or(String::new(), |(name, password)| {
        let text = base64(&[name, b":", password].concat());
        format!("Proxy-Authorization: Basic {text}\r\n")
    })
}

/// The head of a CONNECT.
pub(crate) fn connect(authority: &str, login: &str) -> Vec<u8> {
    format!("CONNECT {authority} HTTP/1.1\r\nHost: {authority}\r\n{login}\r\n").into_bytes()
}

/// Whom a client asks, and how.
pub(super) struct Origin {
    /// The client's number.
    pub(super) number: u8,
    pub(super) authority: String,
    pub(super) login: String,
}

/// Draws the requests of a client to one origin, and their answers.
pub(super) fn web(rng: &mut Rng, scenario: &Scenario, origin: &Origin) -> Web {
    let is_old = rng.u8(..8) == 0;
    let count = if is_old { 1 } else { rng.usize(1..=4) };
    let exchanges = (0..count).map(|at| exchange(rng, scenario, origin, (at, count), is_old));
    Web {
        exchanges: exchanges.collect(),
        pipelined: rng.bool(),
        stays: rng.u8(..4) == 0,
    }
}

/// Draws one of `count` exchanges.
fn exchange(
    rng: &mut Rng,
    scenario: &Scenario,
    origin: &Origin,
    (at, count): (usize, usize),
    is_old: bool,
) -> Exchange {
    let Origin {
        number,
        authority,
        login,
    } = origin;
    let is_last = at + 1 == count;
    let says_close = is_old || is_last && rng.u8(..4) == 0;
    let [up, down] = [0, 1].map(|side| share(rng, scenario, side, count));
    let method = match up {
        0 => ["GET", "HEAD", "DELETE"][rng.usize(..3)],
        _ => "POST",
    };
    let mut body = vec![0; up];
    payload(u64::from(*number) * 8 + at as u64, 0, &mut body);
    let (framing, body) = match up {
        0 => (String::new(), body),
        _ if rng.bool() && !is_old => ("Transfer-Encoding: chunked\r\n".into(), chunks(rng, &body)),
        _ => (format!("Content-Length: {up}\r\n"), body),
    };
    let close = if says_close && !is_old { "close" } else { "" };
    let (hop, passed) = hop(rng, close, &body);
    let version = if is_old { "1.0" } else { "1.1" };
    let head = format!(
        "{method} http://{authority}/c{number}/{at} HTTP/{version}\r\nHost: elsewhere.example\r\n\
         {login}Accept: */*\r\n{hop}{framing}Proxy-Connection: keep-alive\r\n\r\n"
    );
    let close = if says_close {
        "Connection: close\r\n"
    } else {
        ""
    };
    let rewritten = format!(
        "{method} /c{number}/{at} HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\n{framing}\
         {close}\r\n"
    );
    let mut answer = answer(
        rng,
        down,
        method == "HEAD",
        is_old,
        u64::from(*number) * 8 + 100 + at as u64,
    );
    let is_open = answer.closes;
    let repeatable = up == 0;
    let fate = match rng.u8(..16) {
        0 if is_last && !is_open => Fate::Cuts(rng.usize(1..answer.sent.len())),
        1 if is_last => Fate::Resets(rng.usize(1..answer.sent.len())),
        2 if is_last && !is_open => Fate::Babbles,
        3..=5 if repeatable && !is_open => Fate::LeavesReused,
        6..=7 => Fate::Ends,
        _ if is_open || answer.ends => Fate::Ends,
        _ => Fate::Keeps,
    };
    let early = is_last && up > 0 && fate == Fate::Keeps && !says_close && rng.bool();
    if fate.is_good() && scenario.kind != Kind::BrokenTarget && rng.u8(..4) == 0 {
        answer.sent = [INTERIM, &answer.sent].concat();
        if !is_old {
            answer.told = answer.told.map(|told| [INTERIM, &told].concat());
        }
    }
    Exchange {
        request: [head.into_bytes(), body.clone()].concat(),
        forwarded: [rewritten.into_bytes(), passed].concat(),
        answer: answer.sent,
        told: answer.told,
        closes: (!early).then_some(says_close || is_open),
        repeatable,
        fate,
    }
}

/// How much of what a side sends is the body of one of `count` messages.
fn share(rng: &mut Rng, scenario: &Scenario, side: usize, count: usize) -> usize {
    let send = usize::try_from(scenario.behaviours[side].send).unwrap_or(0);
    match (scenario.kind, side) {
        (Kind::TargetNeverReads, 0) => send,
        (Kind::Dripper, _) => rng.usize(..=send / 8 / count),
        _ => rng.usize(..=send / count),
    }
}

/// An answer as it is sent, and as it is told to a client whose connection goes on or ends.
struct Answer {
    sent: Vec<u8>,
    told: [Vec<u8>; 2],
    /// It ends with its connection, and so does the client's.
    closes: bool,
    /// The server ends its connection behind it.
    ends: bool,
}

/// Draws an answer with a body of that length.
fn answer(rng: &mut Rng, len: usize, is_for_head: bool, is_old: bool, seed: u64) -> Answer {
    let mut body = vec![0; len];
    payload(seed, 0, &mut body);
    let length = format!("Content-Length: {len}\r\n");
    let chunked = String::from("Transfer-Encoding: chunked\r\n");
    let none = String::new;
    let kind = rng.u8(..8);
    // Status, fields and body as they are sent, and fields and body as they are told.
    let (status, sent, told) = match kind {
        0 => ("204 No Content", (length, Vec::new()), (none(), Vec::new())),
        1 => (
            "304 Not Modified",
            (length.clone(), Vec::new()),
            (length, Vec::new()),
        ),
        _ if is_for_head => ("200 OK", (length.clone(), Vec::new()), (length, Vec::new())),
        2 => ("200 OK", (none(), body.clone()), (none(), body)),
        3..=4 => {
            let pieces = chunks(rng, &body);
            let told = if is_old {
                (none(), body)
            } else {
                (chunked.clone(), pieces.clone())
            };
            ("200 OK", (chunked, pieces), told)
        }
        _ => ("200 OK", (length.clone(), body.clone()), (length, body)),
    };
    let closes = kind == 2 && !is_for_head;
    let ends = closes || rng.u8(..6) == 0;
    let is_old_server = ends && kind > 4 && rng.bool();
    let version = if is_old_server { "1.0" } else { "1.1" };
    let close = if ends { "close" } else { "" };
    let (hop, passed) = match is_old_server {
        true => (String::new(), sent.1.clone()),
        false => hop(rng, close, &sent.1),
    };
    let told_body = if told.1 == sent.1 { passed } else { told.1 };
    let head = format!(
        "HTTP/{version} {status}\r\n{hop}X-Answer: {seed}\r\n{}\r\n",
        sent.0
    );
    let told = ["", "Connection: close\r\n"].map(|close| {
        let head = format!(
            "HTTP/1.1 {status}\r\nX-Answer: {seed}\r\n{}{close}\r\n",
            told.0
        );
        [head.into_bytes(), told_body.clone()].concat()
    });
    Answer {
        sent: [head.into_bytes(), sent.1].concat(),
        told,
        closes,
        ends,
    }
}

/// The length of the head at the start of a message.
pub(super) fn head_len(message: &[u8]) -> usize {
    let end = message.windows(4).position(|four| four == b"\r\n\r\n");
    end.map_or(message.len(), |end| end + 4)
}

/// What may be behind the last chunk.
const TRAILER: &str = "X-Sum: 1\r\n";

/// A body in chunks.
fn chunks(rng: &mut Rng, body: &[u8]) -> Vec<u8> {
    let mut message = Vec::new();
    let mut rest = body;
    while !rest.is_empty() {
        let (chunk, after) = rest.split_at(rng.usize(1..=rest.len().min(700)));
        let extension = if rng.u8(..4) == 0 { ";a=b" } else { "" };
        message.extend(format!("{:x}{extension}\r\n", chunk.len()).into_bytes());
        message.extend(chunk);
        message.extend(b"\r\n");
        rest = after;
    }
    let trailer = if rng.bool() { TRAILER } else { "" };
    message.extend(format!("0\r\n{trailer}\r\n").into_bytes());
    message
}

/// Fields of a connection, which say `close` or nothing, and what of `body` goes on behind them:
/// no trailer where they name a field.
fn hop(rng: &mut Rng, close: &str, body: &[u8]) -> (String, Vec<u8>) {
    if rng.bool() {
        let fields = format!("Connection: {close}\r\nKeep-Alive: timeout=5\r\n");
        return (fields, body.to_vec());
    }
    let fields = format!("Connection: {close}, X-Hop\r\nX-Hop: 1\r\n");
    let passed = match body.strip_suffix(format!("{TRAILER}\r\n").as_bytes()) {
        Some(rest) => [rest, b"\r\n"].concat(),
        None => body.to_vec(),
    };
    (fields, passed)
}

/// Draws a head that is to be refused, and the status of the refusal.
pub(crate) fn garbage(rng: &mut Rng, authority: &str) -> (Vec<u8>, u16) {
    let get = format!("GET http://{authority}/ HTTP/1.1\r\nHost: a\r\n");
    let (text, status) = match rng.u8(..10) {
        0 => ("GET / HTTP/1.1\r\nHost: a\r\n\r\n".into(), 400),
        1 => (
            format!("GET https://{authority}/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            400,
        ),
        2 => (format!("{get}A : b\r\n\r\n"), 400),
        3 => (format!("{get}A: b\n\r\n"), 400),
        4 => (
            format!("{get}Content-Length: 1\r\nContent-Length: 1\r\n\r\n"),
            400,
        ),
        5 => (
            format!("{get}Content-Length: 1\r\nTransfer-Encoding: chunked\r\n\r\n"),
            400,
        ),
        6 => (format!("{get}{}\r\n", "A: b\r\n".repeat(FIELDS_MAX)), 431),
        7 => (format!("{get}A: {}\r\n\r\n", "b".repeat(HEAD_MAX)), 431),
        8 => (
            format!("get http://{authority}/ HTTP/1.1\r\nHost: a\r\n\r\n"),
            400,
        ),
        _ => (
            format!("GET http://{authority}/{} HTTP/1.1", "b".repeat(LINE_MAX)),
            414,
        ),
    };
    (text.into_bytes(), status)
}

/// Encodes in base64 (RFC 4648 §4).
fn base64(bytes: &[u8]) -> String {
    const DIGITS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::new();
    for three in bytes.chunks(3) {
        let number = (0..3).fold(0, |sum, at| {
            sum << 8 | u32::from(three.get(at).copied().unwrap_or(0))
        });
        for at in 0..4 {
            let digit = DIGITS[(number >> (18 - 6 * at)) as usize & 63];
            text.push(if at <= three.len() {
                char::from(digit)
            } else {
                '='
            });
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn base64_is_that_of_rfc_4648_10() {
        let texts = ["", "f", "fo", "foo", "foob"].map(|text| base64(text.as_bytes()));
        assert_eq!(texts, ["", "Zg==", "Zm8=", "Zm9v", "Zm9vYg=="]);
    }
}
