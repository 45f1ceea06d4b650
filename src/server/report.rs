//! The report of what the server does: JSON, for whoever asks for `/status` and, line by line, for
//! the log. STATUS.md in .github describes it.
//!
//! It is made of a part at a time, each short enough for a turn, and nothing is kept between them
//! but the place. Sessions and users that come or go meanwhile are in it or not; JSON it is always.

use super::Server;
use crate::log::{Level, log};
use crate::net::Net;
use crate::session::{Moved, Part, Report, Session, Total, put};
use crate::state::access::Refusal;
use crate::state::association::DropReason;
use crate::state::clients::Table;
use crate::state::pool::Quota;
use crate::state::slots::Key;
use crate::wire::Shown;
use crate::wire::json::Quoted;

/// A part ends behind so many bytes: a few of the system's calls have as much to copy.
const TEXT_BYTES: usize = 4096;

/// And behind so many users, for whom all sessions are looked at.
const USERS_PER_PART: usize = 32;

/// And behind so many places of the table of sessions, taken or not.
const PLACES_MAX: usize = 1024;

impl<N: Net> Server<N> {
    /// Writes the next part of the report that a session reads, which then has another turn.
    pub(super) fn write_report(&mut self, key: Key) {
        let session = self.sessions.get_mut(key);
        let Some(mut report) = session.and_then(Session::take_report) else {
            return;
        };
        report.text.clear();
        self.write_part(&mut report);
        if let Some(session) = self.sessions.get_mut(key) {
            session.give_report(report);
            self.queues.push(session);
        }
    }

    /// Writes the report to the log.
    pub(super) fn log_report(&self) {
        let mut report = Report::new("");
        while report.next != Part::End {
            self.write_part(&mut report);
            for line in report.text.split('\n').filter(|line| !line.is_empty()) {
                log(Level::Info, format_args!("{line}"));
            }
            report.text.clear();
        }
    }

    /// Writes one part, and which one comes next.
    fn write_part(&self, report: &mut Report) {
        let text = &mut report.text;
        report.next = match report.next {
            Part::Counts => self.write_counts(text),
            Part::Users(first) => self.write_users(first, text),
            Part::Sessions(first, is_first) => self.write_sessions(first, is_first, text),
            Part::End => Part::End,
        };
    }

    /// Writes what is counted, and what the limits are.
    fn write_counts(&self, text: &mut String) -> Part {
        let (shared, totals, sessions) = (&self.shared, &self.shared.totals, &self.sessions);
        put(
            text,
            format_args!(
                "{{\"version\":\"{}\",\"uptime\":{},\"clients\":{},\"lookups\":{},\
                 \"udp_lookups\":{},\"udp_held_bytes\":{},\n\"limits\":{{",
                env!("CARGO_PKG_VERSION"),
                shared.now / 1000,
                shared.clients.len(),
                shared.resolver.live(),
                shared.associations.lookups,
                shared.associations.held_bytes,
            ),
        );
        let of = |quota: &Quota| [quota.used(), quota.peak(), quota.max()];
        for (name, quota) in Table::NAMES.into_iter().zip(shared.clients.quotas()) {
            write_limit(name, of(quota), text);
        }
        write_limit("buffers", of(shared.pool.buffers.quota()), text);
        write_limit("pipes", of(shared.pool.pipes.quota()), text);
        let of_sessions = [sessions.len(), sessions.peak(), sessions.max()];
        write_limit("sessions", of_sessions, text);
        // The last of them has a comma, too.
        text.pop();
        let (mut counts, mut open) = (totals.counts, Moved::default());
        sessions
            .iter()
            .for_each(|session| open.add(session.moved()));
        counts[Total::UpBytes as usize] += open.up_bytes;
        counts[Total::DownBytes as usize] += open.down_bytes;
        write_group("},\n\"totals\":", &Total::NAMES, &counts, text);
        write_group(",\n\"refused\":", &Refusal::NAMES, &totals.refused, text);
        write_group(",\n\"lost\":", &DropReason::NAMES, &totals.dropped, text);
        text.push_str(",\n\"users\":[");
        Part::Users(0)
    }

    /// Writes some users from that index on.
    fn write_users(&self, first: usize, text: &mut String) -> Part {
        let mut next = first;
        for open in self.carried_for(first) {
            let Some((name, usage)) = self.shared.auth.users().at(next) else {
                text.push_str("\n],\n\"sessions\":[");
                return Part::Sessions(0, true);
            };
            if text.len() >= TEXT_BYTES {
                break;
            }
            put(
                text,
                format_args!(
                    "\n{}{{\"user\":{},\"sessions\":{},\"up\":{},\"down\":{}}}",
                    comma(next == 0),
                    Quoted(Some(&Shown(name))),
                    usage.sessions,
                    usage.up_bytes + open.up_bytes,
                    usage.down_bytes + open.down_bytes,
                ),
            );
            next += 1;
        }
        Part::Users(next)
    }

    /// What the open sessions of some users have carried, from the one at that index on. It is added
    /// up here and not as it moves: no byte costs anything for the sake of a report now and then.
    fn carried_for(&self, first: usize) -> [Moved; USERS_PER_PART] {
        let mut carried = [Moved::default(); USERS_PER_PART];
        for session in self.sessions.iter() {
            let place = session
                .user()
                .and_then(|user| user.index().checked_sub(first));
            if let Some(moved) = place.and_then(|place| carried.get_mut(place)) {
                moved.add(session.moved());
            }
        }
        carried
    }

    /// Writes some sessions from that index on.
    fn write_sessions(&self, first: usize, mut is_first: bool, text: &mut String) -> Part {
        let (shared, mut next) = (&self.shared, first);
        while next < first + PLACES_MAX && text.len() < TEXT_BYTES {
            if next >= self.sessions.peak() {
                text.push_str("\n]}\n");
                return Part::End;
            }
            if let Some(session) = self.sessions.at(next) {
                put(text, format_args!("\n{}", comma(is_first)));
                is_first = false;
                session.describe(shared, text);
            }
            next += 1;
        }
        Part::Sessions(next, is_first)
    }
}

/// Writes how much of a limit is used.
fn write_limit(name: &str, [used, peak, max]: [usize; 3], text: &mut String) {
    put(
        text,
        format_args!("\"{name}\":{{\"used\":{used},\"peak\":{peak},\"max\":{max}}},"),
    );
}

/// Writes an object of counts, behind that text.
fn write_group(before: &str, names: &[&str], counts: &[u64], text: &mut String) {
    let mut mark = "{";
    text.push_str(before);
    for (name, count) in names.iter().zip(counts) {
        put(text, format_args!("{mark}\"{name}\":{count}"));
        mark = ",";
    }
    text.push('}');
}

/// What is in front of an element of a list, at the start of its line: so each line is whole with the
/// part that it is in.
fn comma(is_first: bool) -> &'static str {
    if is_first { "" } else { "," }
}
