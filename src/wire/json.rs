//! JSON as far as the report needs it (RFC 8259): strings.

use std::fmt::{self, Display, Write};

/// A string, or `null`. What is not for showing is not in the text: [`Shown`](super::Shown).
pub struct Quoted<'a>(pub Option<&'a dyn Display>);

impl Display for Quoted<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Some(text) = self.0 else {
            return f.write_str("null");
        };
        f.write_char('"')?;
        write!(Escaping(f), "{text}")?;
        f.write_char('"')
    }
}

/// The inside of a string (§7), whose text has no control characters.
struct Escaping<'a, 'b>(&'a mut fmt::Formatter<'b>);

impl Write for Escaping<'_, '_> {
    fn write_str(&mut self, text: &str) -> fmt::Result {
        for char in text.chars() {
            if matches!(char, '"' | '\\') {
                self.0.write_char('\\')?;
            }
            self.0.write_char(char)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::Shown;
    use proptest::prelude::*;

    fn quoted(bytes: &[u8]) -> String {
        Quoted(Some(&Shown(bytes))).to_string()
    }

    #[test]
    fn what_json_does_not_take_is_escaped() {
        for (bytes, text) in [
            (&b"example.com"[..], r#""example.com""#),
            (b"a\"b\\c/", r#""a\"b\\x5cc/""#),
            (b"\0\n\x1b\x7f\xff", r#""\\x00\\x0a\\x1b\\x7f\\xff""#),
            (
                "j\u{fc}rgen\u{9b}".as_bytes(),
                "\"j\u{fc}rgen\\\\xc2\\\\x9b\"",
            ),
        ] {
            assert_eq!(quoted(bytes), text);
        }
    }

    #[test]
    fn nothing_is_null() {
        assert_eq!(Quoted(None).to_string(), "null");
    }

    /// What a reader of JSON makes of a string; `None` if it is not one.
    fn read(text: &str) -> Option<String> {
        let inside = text.strip_prefix('"')?.strip_suffix('"')?;
        let (mut out, mut chars) = (String::new(), inside.chars());
        while let Some(char) = chars.next() {
            out.push(match char {
                '"' | '\0'..'\x20' => return None,
                '\\' => chars.next().filter(|char| matches!(char, '"' | '\\'))?,
                char => char,
            });
        }
        Some(out)
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_string_that_says_what_the_log_says(bytes: Vec<u8>) {
            let shown = Shown(&bytes).to_string();
            prop_assert_eq!(read(&quoted(&bytes)), Some(shown));
        }
    }
}
