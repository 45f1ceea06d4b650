//! What HTTP clients send, and what their targets are to receive of it. Written out here, so that
//! none of it comes from the code that is tested.

use fastrand::Rng;

use crate::clients::scenario::Forward;
use crate::network::channel::payload;

/// The longest head that the server takes.
const HEAD_MAX: usize = 8192;

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

/// Draws a request to be forwarded, with that body, by length or in chunks, and up to `excess_max`
/// bytes behind it. Returns its head, and what follows.
pub(crate) fn forward(
    rng: &mut Rng,
    authority: &str,
    login: &str,
    body: &[u8],
    excess_max: usize,
) -> (Vec<u8>, Forward) {
    let chunked = rng.bool();
    let method = if body.is_empty() && rng.bool() {
        "GET"
    } else {
        "POST"
    };
    let framing = match (method, chunked) {
        ("GET", _) => String::new(),
        (_, true) => "Transfer-Encoding: chunked\r\n".into(),
        (_, false) => format!("Content-Length: {}\r\n", body.len()),
    };
    let head = format!(
        "{method} http://{authority}/a?b=c HTTP/1.1\r\nHost: elsewhere.example\r\n{login}\
         Accept: */*\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n{framing}\
         Proxy-Connection: keep-alive\r\n\r\n"
    );
    let rewritten = format!(
        "{method} /a?b=c HTTP/1.1\r\nHost: {authority}\r\nAccept: */*\r\n{framing}\
         Connection: close\r\n\r\n"
    );
    let mut upload = match (method, chunked) {
        ("GET", _) => Vec::new(),
        (_, true) => chunks(rng, body),
        (_, false) => body.to_vec(),
    };
    let script = [rewritten.as_bytes(), &upload].concat();
    if rng.bool() {
        // Bytes that are no request, or that could begin another one.
        let mut excess = vec![b'G'; rng.usize(1..=excess_max)];
        if rng.bool() {
            payload(rng.u64(..), 0, &mut excess);
        }
        upload.extend(excess);
    }
    let head_len = rewritten.len();
    (
        head.into_bytes(),
        Forward {
            upload,
            script,
            head_len,
        },
    )
}

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
    let trailer = if rng.bool() { "X-Sum: 1\r\n" } else { "" };
    message.extend(format!("0\r\n{trailer}\r\n").into_bytes());
    message
}

/// Draws a head that is to be refused, and the status of the refusal.
pub(crate) fn garbage(rng: &mut Rng, authority: &str) -> (Vec<u8>, u16) {
    let get = format!("GET http://{authority}/ HTTP/1.1\r\nHost: a\r\n");
    let (text, status) = match rng.u8(..8) {
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
        _ => (format!("{get}A: {}\r\n\r\n", "b".repeat(HEAD_MAX)), 431),
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
