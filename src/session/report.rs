//! The report of the proxy's state: how far a reader has come in it.

use std::fmt::{self, Write};

/// The response up to its body, which ends with the connection. A browser neither keeps it nor takes
/// it for anything else, and shows it to no page of another origin.
pub(super) const HEAD: &str = "HTTP/1.1 200 OK\r\n\
                               Content-Type: application/json\r\n\
                               Cache-Control: no-store\r\n\
                               X-Content-Type-Options: nosniff\r\n\
                               Connection: close\r\n\r\n";

/// The report on its way to a reader, a part of it at a time: what is written has to be made of
/// sessions and users that come and go meanwhile.
#[derive(Debug)]
pub struct Report {
    /// What comes next.
    pub next: Part,
    /// The part that was written last.
    pub text: String,
}

/// A part of the report, of one or a few lines.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Part {
    /// The counts.
    Counts,
    /// The user at that index.
    Users(usize),
    /// The session from that index on, and whether it is the first.
    Sessions(usize, bool),
    /// It is over.
    End,
}

impl Report {
    /// One of which nothing has been made yet, behind that text.
    pub fn new(text: &str) -> Self {
        Self {
            next: Part::Counts,
            text: text.into(),
        }
    }
}

/// Appends to a text.
pub fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
