//! What the server does beside serving: signals, reloads, reports, the end.

use std::fmt;

use super::Server;
use super::survey::RELOAD_PIECES_MAX;
use crate::log::{Level, log};
use crate::net::{Millis, NEVER, Net, Signal};
use crate::session::{Reason, Total};
use crate::state::access::Refusal;
use crate::state::association::DropReason;
use crate::state::clients::Table;

/// How long tunnels may go on after TERM. The promise is "within a second".
const GRACE_MS: Millis = 500;

impl<N: Net> Server<N> {
    /// Takes the pending signals; the system keeps at most one of each kind.
    pub(super) fn signals(&mut self) {
        while let Some(signal) = self.shared.net.signal() {
            match signal {
                Signal::Stop => self.stop(),
                Signal::Reload => self.reload(),
                Signal::Report => self.report(),
            }
        }
    }

    /// Returns `true` if the program is to end now; if so, all sessions are closed.
    pub(super) fn end(&mut self) -> bool {
        if self.stop_at == NEVER || !self.sessions.is_empty() && self.shared.now < self.stop_at {
            return false;
        }
        for key in self.sessions.keys() {
            self.close(key, Reason::Stopped);
        }
        self.tell_repeats(NEVER);
        true
    }

    /// Tells how many lines were held back by runs that are over at `now`.
    pub(super) fn tell_repeats(&mut self, now: Millis) {
        while let Some(run) = self.shared.repeats.take_over(now) {
            log(run.level(), format_args!("{run}"));
        }
    }

    fn stop(&mut self) {
        if self.stop_at != NEVER {
            return;
        }
        log(
            Level::Info,
            format_args!("stopping with {} sessions", self.sessions.len()),
        );
        self.shared.net.close_listeners();
        self.acceptor.close();
        self.stop_at = self.shared.now + GRACE_MS;
    }

    /// Reads users, name servers, hosts and interfaces again. What cannot be read stays as it
    /// was.
    fn reload(&mut self) {
        match self.sources.load_users() {
            Ok(users) => {
                let old = self.shared.auth.set_users(users);
                let new = self.shared.auth.users();
                for session in self.sessions.iter_mut() {
                    session.rename_user(&old, new);
                }
            }
            Err(error) => log(
                Level::Warn,
                format_args!("the users stay as they were: {error}"),
            ),
        }
        let (dns, warnings) = self.sources.load_dns(self.families);
        for warning in warnings {
            log(Level::Warn, format_args!("{warning}"));
        }
        self.shared.resolver.set_settings(dns);
        self.survey_now(RELOAD_PIECES_MAX);
        let users = self.shared.auth.users().len();
        log(Level::Info, format_args!("reloaded: {users} users"));
    }

    fn report(&self) {
        let (shared, totals) = (&self.shared, &self.shared.totals);
        for (total, count) in Total::ALL.iter().zip(&totals.counts) {
            tell("totals", *count, total);
        }
        log(
            Level::Info,
            format_args!(
                "now: {} of {} sessions of {} clients, buffers {}, openings {}, {} lookups, \
                 associations {}: {} lookups hold {} bytes",
                self.sessions.len(),
                self.sessions.max(),
                shared.clients.len(),
                shared.buffers.quota(),
                shared.openings(),
                shared.resolver.live(),
                shared.clients.quota(Table::Associations),
                shared.associations.lookups,
                shared.associations.held_bytes,
            ),
        );
        for (reason, count) in DropReason::ALL.iter().zip(&totals.dropped) {
            tell("udp dropped", *count, reason);
        }
        for (refusal, count) in Refusal::ALL.iter().zip(&totals.refused) {
            tell("refused", *count, refusal);
        }
        for session in self.sessions.iter() {
            session.describe(shared.now, shared.auth.users());
        }
    }
}

/// How often something has happened, and why.
fn tell(what: &str, count: u64, cause: &dyn fmt::Display) {
    log(Level::Info, format_args!("{what}: {count} {cause}"));
}
