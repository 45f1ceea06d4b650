//! The one error of the configuration: a line that names the option and its value.

use std::fmt;

/// Why the program cannot start as it was told to: one line without the program's name and
/// without a password. `main` prints it and ends with status 2.
#[derive(Debug, PartialEq, Eq)]
pub struct ConfigError(String);

impl ConfigError {
    /// An error about no single option.
    pub(super) fn new(line: String) -> Self {
        Self(line)
    }

    /// An error about an option, given without dashes, and its value where that may be shown.
    pub(crate) fn about(option: &str, value: Option<&str>, why: &str) -> Self {
        let mut line = String::from(if option.len() == 1 { "-" } else { "--" });
        show(&mut line, option);
        if let Some(value) = value {
            line.push(' ');
            show(&mut line, value);
        }
        line.push_str(": ");
        line.push_str(why);
        Self(line)
    }
}

impl fmt::Display for ConfigError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Appends typed text as an error line shows it: bounded, nothing that steers a terminal.
pub(super) fn show(line: &mut String, text: &str) {
    // Longer than any sensible value, shorter than two lines of a terminal.
    const SHOWN_MAX: usize = 120;
    for (count, letter) in text.chars().enumerate() {
        if count == SHOWN_MAX {
            line.push_str("...");
            return;
        }
        line.push(if letter.is_control() { '?' } else { letter });
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_error_is_one_bounded_line() {
        let value = format!("a\nb\u{1b}[2J{}", "x".repeat(500));
        let line = ConfigError::about("users", Some(&value), "why").to_string();
        assert!(line.starts_with("--users a?b?[2Jxxx"));
        assert!(line.ends_with("x...: why"));
        assert!(line.len() < 160);
    }
}
