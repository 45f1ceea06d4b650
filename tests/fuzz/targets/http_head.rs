//! Heads of requests that come in pieces, and what is made of them: the login, and the head that
//! goes to the server, which a plain reading of RFC 9112 has to understand in one way only.

use anklet::wire::http::{Body, FIELDS_MAX, HEAD_MAX, Head, HeadReader, LOGIN_MAX, Status};

use super::{chosen, cuts};

pub fn target(data: &[u8]) {
    let Some((seed, input)) = chosen(data) else {
        return;
    };
    let whole = Head::parse(input);
    let mut pieces = Ok(None);
    let mut reader = HeadReader::default();
    for end in cuts(seed, input.len()) {
        pieces = reader.advance(&input[..end]);
        if !matches!(pieces, Ok(None)) {
            break;
        }
    }
    match (whole, pieces) {
        (Ok(None), Ok(None)) => assert!(input.len() < HEAD_MAX),
        (Ok(Some(head)), Ok(Some(other))) => {
            same(&head, &other);
            is_sound(&head, input);
        }
        (Err(fault), Err(other)) => {
            assert_eq!(fault, other);
            assert!(!fault.cause().is_empty());
            assert!(matches!(
                fault.status(),
                Status::BadRequest | Status::UriTooLong | Status::HeaderFieldsTooLarge
            ));
        }
        (whole, _) => panic!("whole: {:?}", whole.map(|head| head.map(|head| head.len))),
    }
}

/// Both are the same head.
fn same(head: &Head<'_>, other: &Head<'_>) {
    assert_eq!(head.len, other.len);
    assert_eq!(head.request, other.request);
    assert_eq!((head.body, head.path), (other.body, other.path));
    assert_eq!(head.forwarded(), other.forwarded());
    let (mut out, mut out_other) = ([0; LOGIN_MAX], [0; LOGIN_MAX]);
    assert!(head.login(&mut out) == other.login(&mut out_other));
}

fn is_sound(head: &Head<'_>, input: &[u8]) {
    assert!(head.len <= input.len().min(HEAD_MAX));
    assert_ne!(head.request.port, 0);
    // Empty lines in front of a request are not part of it, and a tunnel's may end with LF alone.
    let text = &input[..head.len];
    let start = text
        .iter()
        .position(|byte| !b"\r\n".contains(byte))
        .unwrap();
    let lines = lines(&text[start..]);
    let fields = &lines[1..];
    assert!(fields.len() <= FIELDS_MAX);
    let count = |name: &str| fields.iter().filter(|line| is_named(line, name)).count();
    assert!(count("Host") <= 1 && count("Content-Length") <= 1 && count("Transfer-Encoding") <= 1);
    assert!(count("Content-Length") == 0 || count("Transfer-Encoding") == 0 || head.path.is_none());
    let Some(forwarded) = head.forwarded() else {
        assert!(head.path.is_none() && head.body == Body::None);
        return assert!(lines[0].starts_with(b"CONNECT "));
    };
    assert!(!text.starts_with(b"CONNECT ") && !has_bare_end(text));
    // `/` and the blank behind `Host:` 2, `Connection: close` with its end 19, 100 blanks.
    assert!(forwarded.len() <= head.len + 2 + 19 + FIELDS_MAX);
    passed_on(&forwarded, fields, head);
}

/// The head that goes to the server has the fields of the client's, less those of its connection,
/// and frames the body as the meter does.
fn passed_on(forwarded: &[u8], fields: &[&[u8]], head: &Head<'_>) {
    let lines = lines(forwarded);
    let words: Vec<&[u8]> = lines[0].split(|byte| *byte == b' ').collect();
    assert_eq!(words.len(), 3);
    assert!(words[1].starts_with(b"/") || words[1] == b"*");
    let sent = &lines[1..];
    let named = |name: &str| -> Vec<&[u8]> {
        let of_name = sent.iter().filter(|line| is_named(line, name));
        of_name.map(|line| value(line)).collect()
    };
    assert_eq!(named("Host").len(), 1);
    let connection: &[&[u8]] = match (head.upgrades, head.closes) {
        (true, _) => &[b"Upgrade"],
        (false, true) => &[b"close"],
        (false, false) => &[],
    };
    assert_eq!(named("Connection"), connection);
    let length = named("Content-Length");
    let coding = named("Transfer-Encoding");
    match head.body {
        Body::None => assert!(length.is_empty() && coding.is_empty()),
        Body::ToEnd => panic!("a request ends before its connection"),
        Body::Length(number) => {
            assert!(coding.is_empty() && length.len() == 1);
            let text = std::str::from_utf8(length[0]).unwrap();
            assert_eq!(text.parse(), Ok(number));
        }
        Body::Chunked => {
            assert!(length.is_empty() && coding.len() == 1);
            assert!(coding[0].eq_ignore_ascii_case(b"chunked"));
        }
    }
    let ours = usize::from(!connection.is_empty());
    for line in &sent[1..sent.len() - ours] {
        assert!(!line.to_ascii_lowercase().starts_with(b"proxy-"));
        let is_from_client = |field: &&[u8]| {
            let name = field.split(|byte| *byte == b':').next().unwrap_or_default();
            line.starts_with(name) && value(field) == value(line)
        };
        assert!(fields.iter().any(is_from_client), "a field of nobody");
    }
}

/// The lines of a head without their ends. It is whole, and no line could be read as two.
fn lines(head: &[u8]) -> Vec<&[u8]> {
    let text = ["\r\n\r\n", "\n\r\n", "\r\n\n", "\n\n"]
        .iter()
        .find_map(|end| head.strip_suffix(end.as_bytes()))
        .expect("an empty line");
    let mut lines = Vec::new();
    for line in text.split(|byte| *byte == b'\n') {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        assert!(!line.is_empty() && !line.contains(&b'\r') && !line.contains(&0));
        lines.push(line);
    }
    lines
}

/// Some line ends with LF alone.
fn has_bare_end(text: &[u8]) -> bool {
    let mut ends = (0..text.len()).filter(|at| text[*at] == b'\n');
    ends.any(|at| at == 0 || text[at - 1] != b'\r')
}

fn is_named(line: &[u8], name: &str) -> bool {
    line.get(..name.len())
        .is_some_and(|start| start.eq_ignore_ascii_case(name.as_bytes()))
        && line.get(name.len()) == Some(&b':')
}

/// The value of a field without the blanks around it.
fn value(line: &[u8]) -> &[u8] {
    let colon = line.iter().position(|byte| *byte == b':').expect("a colon");
    let blank = |byte: &u8| matches!(byte, b' ' | b'\t');
    let value = &line[colon + 1..];
    let start = value.iter().position(|byte| !blank(byte));
    let end = value.iter().rposition(|byte| !blank(byte));
    match (start, end) {
        (Some(start), Some(end)) => &value[start..=end],
        _ => b"",
    }
}
