//! What a session has to do with the report of the proxy's state: the reader's place in it, and
//! what it says of each session.

use std::fmt::{self, Write};

use super::{Phase, Session, Shared};
use crate::net::Net;
use crate::state::clients::Table;
use crate::state::handshake::Dialect;
use crate::wire::json::Quoted;

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

impl<N: Net> Session<N> {
    /// The report that it reads, if it does: to be given back with its next part.
    pub fn take_report(&mut self) -> Option<Report> {
        match &mut self.phase {
            Phase::Lingering(linger) => linger.report.take(),
            _ => None,
        }
    }

    /// Goes on with the report that it reads.
    pub fn give_report(&mut self, report: Report) {
        if let Phase::Lingering(linger) = &mut self.phase {
            linger.report = Some(report);
        }
    }

    /// Writes its line of the report.
    pub fn describe(&self, shared: &Shared<N>, out: &mut String) {
        let (client, moved, now) = (&self.client, self.moved(), shared.now);
        let dialect = client.dialect.map(Dialect::name);
        let armed = shared.timers.armed_at(client.key).unwrap_or(now);
        let (index, generation) = (client.key.index(), client.key.generation());
        put(
            out,
            format_args!(
                "{{\"id\":\"{index}.{generation}\",{},\"protocol\":{},\"phase\":\"{}\",\
                 \"idle\":{},\"up\":{},\"down\":{}}}",
                client.record.shown(shared.auth.users(), now),
                Quoted(dialect.as_ref().map(|name| name as _)),
                self.word(shared),
                now.saturating_sub(armed) / 1000,
                moved.up_bytes,
                moved.down_bytes,
            ),
        );
    }

    /// Where in its life it is, in a word.
    fn word(&self, shared: &Shared<N>) -> &'static str {
        match &self.phase {
            Phase::Opening(opening) => opening.word(),
            Phase::Relaying(_) => "tunnel",
            Phase::Forwarding(_) => "exchange",
            Phase::Pair(_) => "idle",
            Phase::Associated(_) => "udp",
            Phase::Lingering(_) if shared.places.has(self.client.key, Table::Reports) => "status",
            Phase::Lingering(_) | Phase::Over => "closing",
        }
    }
}

/// Appends to a text.
pub fn put(out: &mut String, text: fmt::Arguments<'_>) {
    out.write_fmt(text).expect("a String takes everything");
}
