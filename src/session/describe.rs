//! What a session has to do with the report of the proxy's state: that it may read it, and what it
//! says of each session.

use super::report::{Report, put};
use super::{Phase, Session, Shared};
use crate::net::Net;
use crate::state::clients::Table;
use crate::state::handshake::Dialect;
use crate::wire::json::Quoted;

impl<N: Net> Session<N> {
    /// The report that it reads, if it does: to be given back with its next part.
    pub fn take_report(&mut self) -> Option<Report> {
        if let Phase::Lingering(linger) = &mut self.phase {
            linger.report.take()
        } else {
            None
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
