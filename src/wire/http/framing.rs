//! What the fields of a head say of where its message ends, and of its connection (RFC 9112 §6
//! and §9): alike for requests and answers.

use super::body::{Body, Kept};
use super::fault::Fault;
use super::fields::{Field, members};
use crate::wire::decimal;

/// The most fields of a head, and the most options that its Connection fields may name: browsers
/// send about 20, and 100 is a common limit of servers.
pub const FIELDS_MAX: usize = 100;

/// The fields that say where a message goes and where it ends.
const FRAMING: [&[u8]; 3] = [b"Host", b"Content-Length", TRANSFER_ENCODING];

/// Options that are no trailers.
const KNOWN: [&[u8]; 6] = [
    b"",
    b"close",
    b"keep-alive",
    b"upgrade",
    b"TE",
    TRANSFER_ENCODING,
];

/// It says that there are chunks.
pub(super) const TRANSFER_ENCODING: &[u8] = b"Transfer-Encoding";

/// What the fields read so far say.
#[derive(Debug, Default)]
pub(super) struct Framing {
    /// The value of Content-Length.
    length: Option<u64>,
    /// There was a Transfer-Encoding field.
    chunked: bool,
    /// The number of fields.
    fields: usize,
    /// The number of options named by Connection fields.
    options: usize,
    /// One of them may be the name of a field.
    names: bool,
    /// It is of an answer.
    is_answer: bool,
    /// One of them was `close`.
    pub(super) closes: bool,
    /// One of them was `keep-alive`.
    pub(super) keeps: bool,
    /// One of them was `Upgrade`.
    pub(super) upgrades: bool,
}

impl Framing {
    /// Of an answer, of which nothing has been read.
    pub(super) fn of_answer() -> Self {
        Self {
            is_answer: true,
            ..Self::default()
        }
    }

    /// Judges one more field. Fields that frame the message may come only once and with one
    /// value: requests are smuggled in lists and repeated fields (RFC 9112 §11.2).
    pub(super) fn note(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        self.fields += 1;
        if self.fields > FIELDS_MAX {
            return Err(Fault::ManyFields);
        }
        if field.is(b"Content-Length") {
            let length = decimal(field.value);
            if self.length.is_some() || length.is_none() {
                return Err(Fault::Length);
            }
            self.length = length;
        } else if field.is(TRANSFER_ENCODING) {
            // Names of codings have no case (RFC 9112 §7).
            if self.chunked || !field.value.eq_ignore_ascii_case(b"chunked") {
                return Err(Fault::Coding);
            }
            self.chunked = true;
        } else if field.is(b"Connection") {
            self.note_options(field.value)?;
        }
        Ok(())
    }

    /// The fields that Connection names are removed (RFC 9110 §7.6.1): they must not be those that
    /// say where the message goes and where it ends. But Transfer-Encoding is of one connection
    /// anyway, and there are servers that name it, that of www.qq.com among them. Options are counted
    /// because forwarding compares each of them with every field.
    fn note_options(&mut self, value: &[u8]) -> Result<(), Fault> {
        for option in members(value) {
            self.options += 1;
            if self.options > FIELDS_MAX {
                return Err(Fault::ManyOptions);
            }
            let is = |name: &&[u8]| option.eq_ignore_ascii_case(name);
            if FRAMING.iter().any(is) && !(self.is_answer && is(&TRANSFER_ENCODING)) {
                return Err(Fault::FramingOption);
            }
            self.names |= !KNOWN.iter().any(is);
            self.closes |= is(&&b"close"[..]);
            self.keeps |= is(&&b"keep-alive"[..]);
            self.upgrades |= is(&&b"upgrade"[..]);
        }
        Ok(())
    }

    /// What of the body is passed on: a trailer that Connection names is not (RFC 9110 §7.6.1).
    pub(super) fn kept(&self) -> Kept {
        if self.names {
            Kept::NoTrailers
        } else {
            Kept::All
        }
    }

    /// Decides what follows the head, once all of its fields are noted; `rest` if they do not say.
    /// RFC 9112 §6.1: a chunked body has no length, and does not come with HTTP/1.0, which cannot
    /// know of it.
    pub(super) fn body(&self, is_old: bool, rest: Body) -> Result<Body, Fault> {
        match self.length {
            _ if self.chunked && is_old => Err(Fault::OldChunks),
            Some(_) if self.chunked => Err(Fault::LengthAndChunks),
            Some(length) => Ok(Body::Length(length)),
            None if self.chunked => Ok(Body::Chunked),
            None => Ok(rest),
        }
    }
}
