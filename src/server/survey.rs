//! How the rules follow the interfaces: the system announces that addresses or routes have
//! changed, then all of them are read anew, a piece in each pass.
//!
//! The first reading of a change begins at once, the next a second later at the earliest, however
//! much changes. What cannot be read leaves the rules as they were.

use super::Server;
use crate::log::{Level, log};
use crate::net::{Errno, Millis, NEVER, Net, Survey, in_words};
use crate::state::access::Interface;

/// Time between the beginnings of two readings.
const SURVEY_EVERY_MS: Millis = 1_000;

/// The same where nothing is announced, and after a failure.
const BLIND_EVERY_MS: Millis = 5_000;

/// Time between two tries to open a listener.
const LISTEN_EVERY_MS: Millis = 1_000;

/// The most pieces that are read at once, before there is anything to serve: of a million routes.
const PIECES_MAX: usize = 1 << 15;

/// How often that is tried: at boot much changes.
const TRIES_MAX: u32 = 5;

/// The most pieces that are read at once on HUP: a home's are ten.
pub(super) const RELOAD_PIECES_MAX: usize = 64;

impl<N: Net> Server<N> {
    /// Reads the interfaces before anything is served.
    pub(super) fn survey_first(&mut self) {
        for _ in 0..TRIES_MAX {
            self.survey_now(PIECES_MAX);
            if self.shared.auth.access.is_known() {
                return;
            }
        }
        self.warn_unread(Errno::EINTR);
    }

    /// Reads the interfaces now, as far as so many pieces go.
    pub(super) fn survey_now(&mut self, pieces_max: usize) {
        if !self.surveyor.is_running {
            self.surveyor.due = 0;
        }
        for _ in 0..pieces_max {
            self.survey();
            if !self.surveyor.is_running {
                break;
            }
        }
    }

    /// Begins to read the interfaces if that is due, and reads a piece if there may be one.
    pub(super) fn survey(&mut self) {
        let surveyor = &mut self.surveyor;
        if !surveyor.is_running && surveyor.due <= self.shared.now {
            self.begin_survey();
        }
        let surveyor = &mut self.surveyor;
        if !surveyor.is_running && !surveyor.is_readable {
            return;
        }
        match self.shared.net.survey() {
            Ok(Survey::Piece) => {}
            Ok(Survey::Changed) => surveyor.wish(),
            Ok(Survey::Whole(interfaces)) => {
                surveyor.is_running = false;
                surveyor.has_failed = false;
                self.follow_interfaces(interfaces);
            }
            Err(Errno::EAGAIN) if !surveyor.is_running => surveyor.is_readable = false,
            // Something has changed meanwhile, and the pieces do not fit together.
            Err(Errno::EINTR) => {
                surveyor.is_running = false;
                surveyor.wish();
            }
            Err(error) => self.survey_failed(error),
        }
    }

    /// Rules and listeners follow the interfaces.
    fn follow_interfaces(&mut self, interfaces: Vec<Interface>) {
        self.renew_listeners(Some(&interfaces));
        let listeners = self.shared.net.listeners();
        self.shared.auth.access.follow(interfaces, listeners);
    }

    /// Tries once more to open what could not be opened a second ago.
    pub(super) fn retry_listeners(&mut self) {
        if self.listeners_due <= self.shared.now {
            self.renew_listeners(None);
        }
    }

    fn renew_listeners(&mut self, interfaces: Option<&[Interface]>) {
        let is_missing = self.shared.net.renew_listeners(interfaces);
        self.listeners_due = if is_missing {
            self.shared.now + LISTEN_EVERY_MS
        } else {
            NEVER
        };
    }

    fn begin_survey(&mut self) {
        let (now, surveyor) = (self.shared.now, &mut self.surveyor);
        surveyor.not_before = now + SURVEY_EVERY_MS;
        match self.shared.net.begin_survey() {
            Ok(is_announced) => {
                surveyor.is_running = true;
                surveyor.due = if is_announced {
                    NEVER
                } else {
                    now + BLIND_EVERY_MS
                };
            }
            Err(error) => self.survey_failed(error),
        }
    }

    /// Tries again later.
    fn survey_failed(&mut self, error: Errno) {
        let (surveyor, access) = (&mut self.surveyor, &mut self.shared.auth.access);
        surveyor.is_running = false;
        surveyor.is_readable = false;
        surveyor.due = self.shared.now + BLIND_EVERY_MS;
        if error == Errno::EOVERFLOW {
            // Some of the router's addresses are not known, and would not be refused.
            access.close();
        }
        self.warn_unread(error);
    }

    /// Warns of what cannot be read, the first time.
    fn warn_unread(&mut self, error: Errno) {
        if std::mem::replace(&mut self.surveyor.has_failed, true) {
            return;
        }
        let then = if self.shared.auth.access.is_known() {
            "the rules stay as they were"
        } else {
            "only loopback and --clients are served"
        };
        let why = in_words(error);
        let line = format_args!("the interfaces cannot be read ({why}): {then}");
        log(Level::Warn, line);
    }
}
