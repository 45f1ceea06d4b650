//! Users files, beside a second reading of their lines.

use anklet::state::users::{USERS_MAX, Users};

/// How many users are tried out: each trial compares all of them.
const TRIALS: usize = 4;

pub fn target(data: &[u8]) {
    let (listed, bad_line) = model(data);
    match Users::parse(data) {
        Ok(users) => {
            assert_eq!(bad_line, None);
            assert_eq!(users.len(), listed.len());
            assert!(users.len() <= USERS_MAX);
            for (name, password) in listed.iter().take(TRIALS) {
                let user = users.verify(name, password).expect("it is listed");
                assert_eq!(users.name(user), name);
                assert_eq!(users.find(name), Some(user));
                let wrong = [password, &b"x"[..]].concat();
                assert_eq!(users.verify(name, &wrong), None);
                assert_eq!(users.verify(name, &password[1..]), None);
            }
        }
        Err((line, _)) => assert_eq!(bad_line, Some(line)),
    }
}

type User = (Vec<u8>, Vec<u8>);

/// The users up to the first bad line, and its number, from 1.
fn model(data: &[u8]) -> (Vec<User>, Option<usize>) {
    let data = data.strip_prefix(b"\xef\xbb\xbf").unwrap_or(data);
    let mut users: Vec<User> = Vec::new();
    for (index, line) in data.split(|byte| *byte == b'\n').enumerate() {
        let line = line.strip_suffix(b"\r").unwrap_or(line);
        let is_blank = |byte: &u8| matches!(byte, b' ' | b'\t');
        let words: Vec<&[u8]> = line
            .split(is_blank)
            .filter(|word| !word.is_empty())
            .collect();
        let Some(first) = words.first().filter(|word| word[0] != b'#') else {
            continue;
        };
        let user = user(first).filter(|(name, _)| !users.iter().any(|(other, _)| other == name));
        match user {
            Some(user) if words.len() == 1 && users.len() < USERS_MAX => users.push(user),
            _ => return (users, Some(index + 1)),
        }
    }
    (users, None)
}

/// The user in a word.
fn user(word: &[u8]) -> Option<User> {
    let colon = word.iter().position(|byte| *byte == b':')?;
    let (name, password) = (unescaped(&word[..colon])?, unescaped(&word[colon + 1..])?);
    let is_sound = |text: &Vec<u8>| (1..=255).contains(&text.len());
    (is_sound(&name) && is_sound(&password)).then_some((name, password))
}

/// `%XX` is a byte.
fn unescaped(text: &[u8]) -> Option<Vec<u8>> {
    let mut bytes = Vec::new();
    let mut rest = text.iter();
    while let Some(byte) = rest.next() {
        bytes.push(match byte {
            b'%' => {
                let digits = [*rest.next()?, *rest.next()?];
                let is_hex = digits.iter().all(u8::is_ascii_hexdigit);
                let digits = std::str::from_utf8(&digits).ok().filter(|_| is_hex)?;
                u8::from_str_radix(digits, 16).ok()?
            }
            byte => *byte,
        });
    }
    Some(bytes)
}
