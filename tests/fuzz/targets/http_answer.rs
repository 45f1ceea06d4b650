//! Heads of answers, and what is told of them: whoever reads that strictly finds the same body, and
//! nothing of the server's connection.

use anklet::wire::http::{Answer, Body, FIELDS_MAX, HEAD_MAX};

use super::chosen;

pub fn target(data: &[u8]) {
    let Some((choice, input)) = chosen(data) else {
        return;
    };
    let (is_for_head, closes, is_old) = (choice & 1 == 1, choice & 2 == 2, choice & 4 != 4);
    let whole = Answer::parse(input, is_for_head);
    // A prefix asks for more, or has the verdict of the whole.
    for len in (0..input.len().min(300)).step_by(1 + usize::from(choice >> 4)) {
        match (Answer::parse(&input[..len], is_for_head), &whole) {
            (Ok(None), _) | (Err(_), Err(_)) => {}
            (Ok(Some(early)), Ok(Some(answer))) => {
                assert_eq!(
                    (early.len, early.code, early.body),
                    (answer.len, answer.code, answer.body)
                );
            }
            _ => panic!("another verdict behind {len} bytes"),
        }
    }
    let answer = match whole {
        Ok(Some(answer)) => answer,
        Ok(None) => return assert!(input.len() < HEAD_MAX),
        Err(fault) => return assert!(!fault.cause().is_empty()),
    };
    assert!(answer.len <= input.len().min(HEAD_MAX) && (100..=999).contains(&answer.code));
    let told = answer.forwarded(closes, is_old);
    // `Connection: close` with its end 19, what is said of an authentication of the connection 72, an
    // LF more for each line, a blank behind the code and each colon.
    let lines = input[..answer.len]
        .iter()
        .filter(|byte| **byte == b'\n')
        .count();
    assert!(told.len() <= answer.len + 24 + 72 + 2 * lines + FIELDS_MAX);
    is_sound(&told, &answer, closes, is_old);
    let again = Answer::parse(&told, is_for_head)
        .unwrap()
        .expect("it is whole");
    assert_eq!((again.len, again.code), (told.len(), answer.code));
    let is_plain = answer.body == Body::Chunked && is_old;
    assert_eq!(again.body, if is_plain { Body::ToEnd } else { answer.body });
}

/// Read line by line.
fn is_sound(told: &[u8], answer: &Answer<'_>, closes: bool, is_old: bool) {
    let text = told.strip_suffix(b"\r\n\r\n").expect("an empty line");
    let lines = text.split(|byte| *byte == b'\n');
    let lines: Vec<&[u8]> = lines
        .map(|line| line.strip_suffix(b"\r").unwrap_or(line))
        .collect();
    let odd = |line: &&[u8]| line.is_empty() || line.contains(&b'\r') || line.contains(&0);
    assert!(!lines.iter().any(odd));
    assert!(lines[0].starts_with(format!("HTTP/1.1 {} ", answer.code).as_bytes()));
    let named = |name: &str| -> Vec<String> {
        let fields = lines[1..]
            .iter()
            .map(|line| String::from_utf8_lossy(line).to_ascii_lowercase());
        let of_name = fields.filter_map(|field| Some(field.strip_prefix(name)?.to_owned()));
        of_name.collect()
    };
    let last: &[&str] = match (answer.code, closes) {
        (101, _) => &["upgrade"],
        (_, true) => &["close"],
        (_, false) => &[],
    };
    let of_pair: &[&str] = if answer.pins { &["proxy-support"] } else { &[] };
    assert_eq!(named("connection: "), [of_pair, last].concat());
    assert!(named("keep-alive:").is_empty() && named("proxy-").len() == of_pair.len());
    let (lengths, codings) = (named("content-length: "), named("transfer-encoding: "));
    assert!(lengths.len() + codings.len() <= 1);
    if answer.code < 200 || answer.code == 204 || is_old && answer.body == Body::Chunked {
        assert!(lengths.is_empty());
    }
    if answer.code < 200 || answer.code == 204 || is_old {
        assert!(codings.is_empty());
    }
}
