//! What the server does beside serving: signals, reloads, the end.

use super::Server;
use super::survey::RELOAD_PIECES_MAX;
use crate::config::files::Files;
use crate::log::{Level, log};
use crate::net::{Millis, NEVER, Net, Signal};
use crate::session::Reason;
use crate::state::clients::Table;
use crate::state::repeats::Run;
use crate::state::users::Users;

/// How long tunnels may go on after TERM. The promise is "within a second".
const GRACE_MS: Millis = 500;

/// Time between two looks at the name servers.
const SERVERS_EVERY_MS: Millis = 1_000;

/// How long a file that may be one that is being written has to stay the same.
const READ_AGAIN_MS: Millis = 1_000;

impl<N: Net> Server<N> {
    /// Takes the pending signals, and does what they say once: the system keeps at most one of each
    /// kind, and while files are read the next one comes.
    pub(super) fn signals(&mut self) {
        let (mut stops, mut reloads, mut reports) = (false, false, false);
        while let Some(signal) = self.shared.net.signal() {
            match signal {
                Signal::Stop => stops = true,
                Signal::Reload => reloads = true,
                Signal::Report => reports = true,
            }
        }
        if stops {
            self.stop();
        }
        if reloads {
            self.reload();
        }
        if reports {
            self.log_report();
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
        let tell = |run: &Run| log(run.level(), format_args!("{run}"));
        self.shared.repeats.tell_due(now, tell);
        self.shared.auth.wrong.tell_due(now, tell);
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
        self.listeners_due = NEVER;
        self.acceptor.close();
        self.stop_at = self.shared.now + GRACE_MS;
    }

    /// Reads users, name servers, hosts and interfaces again. What cannot be read stays as it
    /// was.
    fn reload(&mut self) {
        self.survey_now(RELOAD_PIECES_MAX);
        self.unfinished = None;
        self.read_files();
    }

    /// Reads the files once more that were unfinished a second ago.
    pub(super) fn read_unfinished(&mut self) {
        if self.files_due() <= self.shared.now {
            self.read_files();
        }
    }

    /// When the files are to be read once more.
    pub(super) fn files_due(&self) -> Millis {
        self.unfinished.as_ref().map_or(NEVER, |(_, due)| *due)
    }

    /// Reads users, name servers and hosts, unless one of the files may be one that is being
    /// written: then all of them count if they are the same a second later.
    fn read_files(&mut self) {
        let files = self.sources.read();
        let before = self.unfinished.take();
        let is_settled = before.is_some_and(|(before, _)| before == files);
        if let Some(path) = self.sources.unfinished(&files).filter(|_| !is_settled) {
            log(
                Level::Info,
                format_args!("{path} does not end with a line: read again in a second"),
            );
            self.unfinished = Some((files, self.shared.now + READ_AGAIN_MS));
            return;
        }
        self.take_over(&files);
    }

    /// Looks once a second at the name servers, as long as somebody may ask for a name: they change
    /// with the provider's, and nobody sends a signal then.
    pub(super) fn follow_servers(&mut self) {
        let shared = &mut self.shared;
        let may_ask = shared.openings().used() > 0
            || shared.clients.quota(Table::Associations).used() > 0
            || shared.has_idle_pair();
        if !may_ask || shared.now < self.servers_due {
            return;
        }
        self.servers_due = shared.now + SERVERS_EVERY_MS;
        let (settings, patience_ms) = shared.resolver.settings();
        if let Some(dns) = self.sources.changed_dns(settings, patience_ms) {
            let servers = dns.servers.len();
            log(
                Level::Info,
                format_args!("resolv.conf has changed: {servers} name servers"),
            );
            shared.resolver.set_settings(dns);
        }
    }

    /// What the files say counts from now on.
    fn take_over(&mut self, files: &Files) {
        let mut warnings = Vec::new();
        let sources = &self.sources;
        let dns = sources.load_dns(files, self.families, &mut warnings);
        let mut what = "reloaded";
        match sources.load_users(files, &mut warnings) {
            Ok(users) => self.set_users(users),
            Err(error) => {
                warnings.push(format!("the users stay as they were: {error}"));
                what = "reloaded all but the users";
            }
        }
        for warning in warnings {
            log(Level::Warn, format_args!("{warning}"));
        }
        self.shared.resolver.set_settings(dns);
        let users = self.shared.auth.users().len();
        log(Level::Info, format_args!("{what}: {users} users"));
    }

    /// These are the users from now on. The sessions of those who are none any more end.
    fn set_users(&mut self, users: Users) {
        let old = self.shared.auth.users();
        let mut removed = Vec::new();
        for session in self.sessions.iter() {
            if !session.keeps_user(old, &users) {
                removed.push(session.key());
            }
        }
        for key in removed {
            self.close(key, Reason::UserRemoved);
        }
        let old = self.shared.auth.set_users(users);
        let new = self.shared.auth.users();
        for session in self.sessions.iter_mut() {
            session.rename_user(&old, new);
        }
    }
}
