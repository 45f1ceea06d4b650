//! Lines of a head and the fields in them (RFC 9112 §2.2 and §5).
//!
//! Used when a head is judged and again when it is forwarded. What fields mean is not known here.

use super::fault::Fault;

/// A field line without its line end.
#[derive(Clone, Copy)]
pub(super) struct Field<'a> {
    /// A token, to be compared without regard to case.
    name: &'a [u8],
    /// The value without the whitespace around it.
    pub(super) value: &'a [u8],
}

impl<'a> Field<'a> {
    /// Parses a line of a request: a name, which is a token, up to a colon, and a value. A blank in
    /// front of the line (obsolete folding) or of the colon is an error.
    pub(super) fn parse(line: &'a [u8]) -> Result<Self, Fault> {
        let field = Self::parse_answered(line)?;
        match line.get(field.name.len()) {
            Some(b':') => Ok(field),
            _ => Err(Fault::BlankBeforeColon),
        }
    }

    /// The same of an answer: blanks in front of the colon are not passed on (RFC 9112 §5.1).
    pub(super) fn parse_answered(line: &'a [u8]) -> Result<Self, Fault> {
        if let [b' ' | b'\t', ..] = line {
            return Err(Fault::Folded);
        }
        let (name, value) = split_at_byte(line, b':').ok_or(Fault::NoColon)?;
        let name = trim(name);
        if !is_token(name) {
            return Err(Fault::FieldName);
        }
        Ok(Self {
            name,
            value: trim(value),
        })
    }

    /// The name as it was sent.
    pub(super) fn name(&self) -> &'a [u8] {
        self.name
    }

    /// Returns `true` if this is a field of that name.
    pub(super) fn is(&self, name: &[u8]) -> bool {
        self.name.eq_ignore_ascii_case(name)
    }
}

/// The members of a comma-separated value (RFC 9110 §5.6.1), which may be empty.
pub(super) fn members(value: &[u8]) -> impl Iterator<Item = &[u8]> {
    value.split(|byte| *byte == b',').map(trim)
}

/// The fields of a head that has been judged: complete and valid lines up to the empty one.
#[derive(Clone, Copy)]
pub(super) struct Fields<'a>(pub(super) &'a [u8]);

impl<'a> Iterator for Fields<'a> {
    type Item = Field<'a>;

    fn next(&mut self) -> Option<Field<'a>> {
        let (line, rest) = line(self.0, true).ok().flatten()?;
        self.0 = rest;
        Field::parse_answered(line).ok()
    }
}

/// What is in front of a byte and what is behind it.
type Split<'a> = (&'a [u8], &'a [u8]);

/// The first line of `bytes` without its CR LF, and what follows; `None` if its end is missing.
/// A bare LF is an error unless it `may_be_bare`. A bare CR and any other control character except
/// the tab are errors.
pub(super) fn line(bytes: &[u8], may_be_bare: bool) -> Result<Option<Split<'_>>, Fault> {
    let Some((line, rest)) = split_at_byte(bytes, b'\n') else {
        return Ok(None);
    };
    let line = match line.strip_suffix(b"\r") {
        Some(line) => line,
        None if may_be_bare => line,
        None => return Err(Fault::BareLf),
    };
    if line.iter().any(|byte| is_control(*byte)) {
        return Err(Fault::Control);
    }
    Ok(Some((line, rest)))
}

/// Returns `true` if no line may have that byte: it is a control character and not a tab. Bytes
/// above 0x7f may be there (obs-text, RFC 9110 §5.5).
pub(super) fn is_control(byte: u8) -> bool {
    byte.is_ascii_control() && byte != b'\t'
}

/// What is in front of the first `byte` and what is behind it; `None` if there is none.
pub(super) fn split_at_byte(bytes: &[u8], byte: u8) -> Option<Split<'_>> {
    let at = bytes.iter().position(|candidate| *candidate == byte)?;
    let (before, rest) = bytes.split_at_checked(at)?;
    Some((before, rest.get(1..)?))
}

/// Returns `true` if `text` is a token (RFC 9110 §5.6.2).
pub(super) fn is_token(text: &[u8]) -> bool {
    let is_token_byte =
        |byte: &u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(byte);
    !text.is_empty() && text.iter().all(is_token_byte)
}

/// `text` without optional whitespace around it (RFC 9110 §5.6.3).
fn trim(mut text: &[u8]) -> &[u8] {
    while let [b' ' | b'\t', rest @ ..] | [rest @ .., b' ' | b'\t'] = text {
        text = rest;
    }
    text
}
