//! Command lines: words with a NUL between them.
//!
//! What is wrong with one is said in one printable line, which never shows the password; and what
//! is right with one is the same each time.

use std::ffi::OsString;
use std::os::unix::ffi::OsStringExt;

use anklet::config::{Command, ConfigError, parse};

use super::chosen;

/// The longest command line: reading it takes longer the longer it is, and nothing else happens.
const INPUT_MAX: usize = 4096;

/// Words that make the others a command line with a user, and what must not be shown.
const USER: [&str; 4] = ["-u", "ann", "-P", SECRET];
const SECRET: &str = "open-sesame-7";

pub fn target(data: &[u8]) {
    let Some((choice, text)) = chosen(&data[..data.len().min(INPUT_MAX)]) else {
        return;
    };
    let mut words: Vec<OsString> = Vec::new();
    // With a user, with a password that has none, or without both.
    let front = match choice & 3 {
        1 => &USER[..],
        2 => &USER[2..],
        _ => &[],
    };
    words.extend(front.iter().map(OsString::from));
    let split = text.split(|byte| *byte == 0);
    words.extend(split.map(|word| OsString::from_vec(word.to_vec())));
    // What stands there a second time is no secret.
    let is_secret = !text
        .windows(SECRET.len())
        .any(|text| text == SECRET.as_bytes());
    let outcome = parse(words.clone().into_iter());
    let again = parse(words.into_iter());
    assert_eq!(shown(&outcome), shown(&again));
    if let Err(error) = &outcome {
        let line = error.to_string();
        assert!(!is_secret || !line.contains(SECRET), "{line}");
        assert!(
            !line.is_empty() && !line.contains(char::is_control),
            "{line}"
        );
    }
}

/// What came of it. The settings do not show the password either.
fn shown(outcome: &Result<Command, ConfigError>) -> String {
    match outcome {
        Ok(Command::Run(asked)) => format!("{asked:?}"),
        Ok(Command::Help(_)) => String::from("help"),
        Ok(Command::Version) => String::from("version"),
        Err(error) => error.to_string(),
    }
}
