//! Lines of the log that repeat themselves: ten of one source and for one reason are written, and
//! when ten seconds are over the number of the others.
//!
//! A client can open 18,000 connections a second, and a router's log holds 64 KiB: it would hold
//! that client's last seconds and nothing else.

use std::fmt;

use super::prefix::ClientKey;
use crate::log::{Level, is_logged};
use crate::net::{Millis, NEVER};

/// Lines of one run that are written.
const LINES_MAX: u32 = 10;

/// How long a run is, from its first line.
const RUN_MS: Millis = 10_000;

/// Runs that have their source. The sources that come while there are so many share one run for
/// each reason: 650 lines in ten seconds are the most for one reason.
const SOURCES_MAX: usize = 64;

/// The runs of lines that are not over.
#[derive(Debug, Default)]
pub struct Repeats {
    /// In no order.
    runs: Vec<Run>,
}

/// The lines of one source and for one reason within ten seconds, as text: how many were held
/// back.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// `None`: all those that have no run of their own.
    source: Option<ClientKey>,
    reason: &'static str,
    level: Level,
    until: Millis,
    lines: u32,
}

impl Repeats {
    /// Returns `true` if a line is to be written, and counts it otherwise; with `-vv` each is. Not to
    /// be asked about lines of a level that is not logged.
    pub fn admits(
        &mut self,
        source: ClientKey,
        level: Level,
        reason: &'static str,
        now: Millis,
    ) -> bool {
        if is_logged(Level::Trace) {
            return true;
        }
        let end = self.runs.len();
        let mut source = Some(source);
        let mut at = self.find(source, level, reason);
        if at.is_none() && self.is_full() {
            source = None;
            at = self.find(source, level, reason);
        }
        if at.is_none() {
            self.runs.push(Run {
                source,
                reason,
                level,
                until: now + RUN_MS,
                lines: 0,
            });
        }
        let run = &mut self.runs[at.unwrap_or(end)];
        run.lines = run.lines.saturating_add(1);
        run.lines <= LINES_MAX
    }

    fn find(&self, source: Option<ClientKey>, level: Level, reason: &str) -> Option<usize> {
        self.runs
            .iter()
            .position(|run| run.source == source && run.level == level && run.reason == reason)
    }

    fn is_full(&self) -> bool {
        let sources = self.runs.iter().filter(|run| run.source.is_some());
        sources.count() >= SOURCES_MAX
    }

    /// When the first run is over of which lines were held back.
    pub fn next(&self) -> Millis {
        let held = self.runs.iter().filter(|run| run.held() > 0);
        held.map(|run| run.until).min().unwrap_or(NEVER)
    }

    /// Ends the runs that are over, and tells of each of which lines were held back. To be called
    /// in each pass of the loop; at the end with [`NEVER`].
    pub fn tell_due(&mut self, now: Millis, mut tell: impl FnMut(&Run)) {
        while let Some(at) = self.runs.iter().position(|run| run.until <= now) {
            if self.runs[at].held() > 0 {
                tell(&self.runs[at]);
            }
            self.runs.swap_remove(at);
        }
    }
}

impl Run {
    /// The level of its lines.
    pub fn level(&self) -> Level {
        self.level
    }

    /// How many lines were held back.
    fn held(&self) -> u32 {
        self.lines.saturating_sub(LINES_MAX)
    }
}

impl fmt::Display for Run {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.source {
            Some(source) => source.fmt(f)?,
            None => f.write_str("others")?,
        }
        write!(f, ": {} more within 10 s: {}", self.held(), self.reason)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    fn source(text: &str) -> ClientKey {
        ClientKey::from(text.parse::<IpAddr>().unwrap())
    }

    fn numbered(number: u32) -> ClientKey {
        ClientKey::from(IpAddr::from(number.to_be_bytes()))
    }

    /// How many of `lines` lines are written.
    fn written(repeats: &mut Repeats, source: ClientKey, lines: usize, now: Millis) -> usize {
        (0..lines)
            .filter(|_| repeats.admits(source, Level::Info, "done", now))
            .count()
    }

    fn told(repeats: &mut Repeats, now: Millis) -> Vec<String> {
        let mut lines = Vec::new();
        repeats.tell_due(now, |run| lines.push(run.to_string()));
        lines
    }

    #[test]
    fn ten_lines_are_written_and_then_their_number() {
        let mut repeats = Repeats::default();
        let client = source("192.0.2.7");
        assert_eq!(written(&mut repeats, client, 10, 5), 10);
        assert_eq!(repeats.next(), NEVER, "nothing was held back");
        assert_eq!(written(&mut repeats, client, 18_000, 9_000), 0);
        assert_eq!(repeats.next(), 10_005);
        assert!(told(&mut repeats, 10_004).is_empty());
        assert_eq!(
            told(&mut repeats, 10_005),
            ["192.0.2.7: 18000 more within 10 s: done"]
        );
        assert_eq!(written(&mut repeats, client, 11, 10_006), 10);
    }

    #[test]
    fn sources_reasons_and_levels_have_runs_of_their_own() {
        let mut repeats = Repeats::default();
        let (client, beside) = (source("2001:db8:1:2::3"), source("2001:db8:1:3::3"));
        assert_eq!(written(&mut repeats, client, 20, 0), 10);
        assert_eq!(written(&mut repeats, source("2001:db8:1:2::4"), 1, 0), 0);
        assert_eq!(written(&mut repeats, beside, 1, 0), 1);
        assert!(repeats.admits(client, Level::Info, "refused", 0));
        assert!(repeats.admits(client, Level::Debug, "done", 0));
        assert_eq!(
            told(&mut repeats, NEVER),
            ["2001:db8:1:2::/64: 11 more within 10 s: done"]
        );
        assert!(repeats.runs.is_empty());
    }

    #[test]
    fn sources_beyond_the_table_share_a_run() {
        let mut repeats = Repeats::default();
        for number in 1..=1_000 {
            written(&mut repeats, numbered(number), 1, 0);
        }
        assert_eq!(written(&mut repeats, numbered(5), 1, 0), 1, "it has a run");
        assert_eq!(repeats.runs.len(), SOURCES_MAX + 1);
        let held = 1_000 - SOURCES_MAX - 10;
        let line = format!("others: {held} more within 10 s: done");
        assert_eq!(told(&mut repeats, RUN_MS), [line]);
        assert!(repeats.runs.is_empty());
    }
}
