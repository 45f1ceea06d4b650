//! The loop: dispatch, accept, turns, expiry.
//!
//! One pass ([`Server::turn`]) waits, marks the sessions that events are about, accepts, gives
//! every queued session one bounded turn, runs the lookups and expires timers. Nothing is done in
//! direct reaction to an event, so one busy socket cannot hold up the others; and nothing expires
//! before what had come by then has been read.

pub mod check;
mod control;
mod heard;
mod memory;
mod queues;
mod report;
mod survey;
mod surveyor;
mod warnings;

use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use self::heard::Heard;
use self::queues::Queues;
use self::surveyor::Surveyor;
use self::warnings::{Cause, Warnings};
use crate::config::dns::DnsSettings;
use crate::config::files::Files;
use crate::config::{Config, Families, Sources};
use crate::log::{Level, log};
use crate::net::{Errno, Event, Millis, NEVER, Net, in_words};
use crate::session::{Reason, Session, Shared, Total, Verdict, Wake};
use crate::state::acceptor::Acceptor;
use crate::state::access::{ClientKey, scoped};
use crate::state::clients::Table;
use crate::state::memory::Watch;
use crate::state::slots::{Key, Role, Slots, Token};
use crate::state::users::Users;

/// Connections taken from one listener in one pass, so that a flood of them leaves time for
/// the established tunnels.
const ACCEPTS_PER_PASS: usize = 32;

/// Events taken from the system at once; more of them wait in the kernel.
const EVENTS_MAX: usize = 1024;

/// What is warned of while a newcomer finds no free place.
const FULL: &str = "all sessions are in use (--max-sessions): newcomers take the places of others";

/// The program: all sessions, and what they share.
pub struct Server<N: Net> {
    sessions: Slots<Session<N>>,
    queues: Queues,
    events: Vec<Event>,
    acceptor: Acceptor,
    /// When to try again to open the listeners that are missing.
    listeners_due: Millis,
    warnings: Warnings,
    heard: Heard,
    /// When to end, once TERM has come.
    stop_at: Millis,
    watch: Watch,
    surveyor: Surveyor,
    /// When to look at the name servers.
    servers_due: Millis,
    /// Files that may have been being written, and when to read them again.
    unfinished: Option<(Files, Millis)>,
    sources: Sources,
    families: Families,
    shared: Shared<N>,
}

impl<N: Net> Server<N> {
    /// A server on the listeners of `net`.
    pub fn new(mut config: Config, users: Users, dns: DnsSettings, net: N) -> Self {
        let limits = config.limits;
        let shared = Shared::new(&mut config, users, dns, net);
        let mut server = Self {
            sessions: Slots::new(limits.sessions_max),
            queues: Queues::new(limits.sessions_max),
            events: Vec::with_capacity(EVENTS_MAX),
            acceptor: Acceptor::default(),
            listeners_due: NEVER,
            warnings: Warnings::default(),
            heard: Heard::default(),
            stop_at: NEVER,
            watch: Watch::default(),
            surveyor: Surveyor::default(),
            servers_due: 0,
            unfinished: None,
            sources: config.sources,
            families: config.families,
            shared,
        };
        server.survey_first();
        server
    }

    /// Runs until a signal ends it.
    ///
    /// # Errors
    /// Waiting for events failed, which it does on no healthy system.
    pub fn run(&mut self) -> Result<(), Errno> {
        while self.turn()? {}
        Ok(())
    }

    /// One pass of the loop. Returns `false` once it has ended.
    ///
    /// # Errors
    /// As [`Server::run`].
    pub fn turn(&mut self) -> Result<bool, Errno> {
        let asked = self.shared.net.now();
        let timeout = self.timeout(asked);
        let is_complete = self.shared.net.wait(&mut self.events, timeout)?;
        self.heard.note(asked, is_complete);
        self.shared.now = self.shared.net.now();
        self.mark();
        self.survey();
        self.retry_listeners();
        self.accept();
        self.follow_servers();
        self.turns();
        self.lookups();
        self.expire();
        self.watch_memory();
        self.tell_repeats(self.shared.now);
        self.read_unfinished();
        let has_room = !self.sessions.is_full() || self.shared.has_idle_pair();
        self.acceptor.resume(self.shared.now, has_room);
        Ok(!self.end())
    }

    /// How many places of a table are taken.
    fn used(&self, table: Table) -> usize {
        self.shared.clients.quota(table).used()
    }

    /// How long to wait for events: until the next timer, without end if none is armed.
    fn timeout(&self, now: Millis) -> Option<Duration> {
        if !self.queues.is_empty() || self.acceptor.wants_any() {
            return Some(Duration::ZERO);
        }
        let shared = &self.shared;
        let due = [
            shared.timers.next(),
            shared.alarms.next(),
            shared.young.next(),
            shared.resolver.poll_timeout(),
            self.acceptor.next(),
            self.surveyor.next(),
            self.listeners_due,
            shared.repeats.next(),
            shared.auth.wrong.next(),
            self.files_due(),
            self.stop_at,
            self.next_look(),
            self.queues.tick(),
        ];
        let next = due.into_iter().min().filter(|next| *next != NEVER)?;
        Some(Duration::from_millis(next.saturating_sub(now)))
    }

    /// Marks the sockets that the events are about, and queues their sessions.
    fn mark(&mut self) {
        for at in 0..self.events.len() {
            let event = self.events[at];
            let key = event.token.key();
            match event.token.role() {
                Some(
                    role
                    @ (Role::Client | Role::Target | Role::Inner | Role::Outer4 | Role::Outer6),
                ) => {
                    let Some(session) = self.sessions.get_mut(key) else {
                        continue;
                    };
                    session.mark(role, &event);
                    self.queues.push(session);
                }
                Some(Role::Listener) => self.acceptor.mark(key.index()),
                Some(Role::Dns) => self.shared.resolver.handle_event(&event),
                Some(Role::System) if key.index() == 0 => self.signals(),
                Some(Role::System) => self.surveyor.mark(),
                None => {}
            }
        }
    }

    /// Takes new connections while there is room for them.
    fn accept(&mut self) {
        let mut from = 0;
        while let Some(listener) = self.acceptor.next_listener(from) {
            from = listener + 1;
            for _ in 0..ACCEPTS_PER_PASS {
                if self.acceptor.next_listener(listener) != Some(listener) {
                    break;
                }
                if self.sessions.is_full()
                    && self.sessions.len() == self.used(Table::Established)
                    && !self.shared.has_idle_pair()
                {
                    // Of one session, that is: others keep some places for handshakes.
                    self.acceptor.fill();
                    self.warn(Cause::Full, format_args!("{FULL}"));
                    break;
                }
                self.accept_one(listener);
            }
        }
    }

    fn accept_one(&mut self, listener: usize) {
        let (stream, addr) = match self.shared.net.accept(listener) {
            Ok(accepted) => accepted,
            Err(error) => return self.accept_failed(listener, error),
        };
        self.acceptor.accepted();
        self.shared.totals.add(Total::Accepted, 1);
        let client = scoped(&addr);
        let client_key = ClientKey::from(client);
        let auth = &self.shared.auth;
        let (total, cause, why) = if !auth.access.admits(client) {
            let why = "may not connect (--clients would let it)";
            (Total::Strangers, Cause::Stranger, why)
        } else if auth.logins.is_banned(client_key, self.shared.now) {
            let why = "is kept out: too many wrong passwords (--ban)";
            (Total::Banned, Cause::Banned, why)
        } else if self.shared.clients.is_crowd(client_key) {
            let why = "has too many sessions (--max-per-client)";
            (Total::Crowded, Cause::Crowd, why)
        } else {
            if self.make_room(client_key) {
                self.open(stream, addr);
            }
            return;
        };
        self.shared.totals.add(total, 1);
        self.warn(cause, format_args!("{addr} {why}"));
    }

    /// Makes room for a session of a new client, if there is none. Returns `false` if that cannot
    /// be: all are being connected, of many clients.
    fn make_room(&mut self, client_key: ClientKey) -> bool {
        if self.shared.openings().is_full() {
            self.shared.displace(Table::Openings, client_key);
            self.end_displaced();
        }
        if self.sessions.is_full() {
            self.warn(Cause::Full, format_args!("{FULL}"));
            self.shared.displace_session(client_key);
            self.end_displaced();
        }
        !self.sessions.is_full() && !self.shared.openings().is_full()
    }

    /// Ends the sessions that have lost their places.
    fn end_displaced(&mut self) {
        while let Some((key, table)) = self.shared.displaced.pop() {
            let Some(session) = self.sessions.get_mut(key) else {
                continue;
            };
            match session.displace(table, &mut self.shared) {
                Verdict::Closed(reason) => self.close(key, reason),
                // It could read its reply in peace, if there were room.
                _ if self.sessions.is_full() => self.close(key, Reason::Displaced(table)),
                _ => {}
            }
        }
    }

    fn accept_failed(&mut self, listener: usize, error: Errno) {
        match error {
            Errno::EAGAIN => self.acceptor.drained(listener),
            // The connection broke before it was taken: Linux hands pending network errors of the
            // new socket to accept.
            Errno::ECONNABORTED
            | Errno::ECONNRESET
            | Errno::ENETDOWN
            | Errno::ENETUNREACH
            | Errno::EHOSTUNREACH
            | Errno::ETIMEDOUT => {}
            // Out of descriptors or memory, or a security module forbids it: the connection stays in
            // the queue. Anything unknown pauses too: it must not spin.
            _ => {
                self.shared.totals.add(Total::Pauses, 1);
                let pause_ms = self.acceptor.pause(self.shared.now);
                let why = in_words(error);
                let line = format_args!("cannot accept: {why}; next try in {pause_ms} ms");
                self.warn(Cause::Paused, line);
            }
        }
    }

    /// Warns of a cause, unless it has been warned of just now.
    fn warn(&mut self, cause: Cause, line: fmt::Arguments<'_>) {
        if self.warnings.is_due(cause, self.shared.now) {
            log(Level::Warn, line);
        }
    }

    /// Gives an accepted client its slot and registers it.
    fn open(&mut self, stream: N::Stream, addr: SocketAddr) {
        let shared = &mut self.shared;
        let opened = self
            .sessions
            .insert(|key| Session::new(key, stream, addr, shared));
        let (key, session) = opened.expect("room has been made before");
        let token = Token::new(key, Role::Client);
        if let Err(error) = self.shared.net.watch(session.client_stream(), token) {
            let why = in_words(error);
            log(Level::Debug, format_args!("cannot watch {addr}: {why}"));
            self.close(key, Reason::Failed);
        }
    }

    /// One turn for each session that was queued as the pass began, but for those that carry much.
    fn turns(&mut self) {
        while let Some(key) = self.queues.rested(self.shared.now) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.end_rest();
                self.queues.push(session);
            }
        }
        let turns = self.queues.turns();
        for key in &turns {
            self.wake(*key, Wake::Event);
        }
        self.queues.end_turns(turns);
    }

    /// Timers that are due. Each either closes its session or arms one that is due later.
    fn expire(&mut self) {
        let until = self.heard.until();
        while let Some(key) = self.shared.timers.expire(until) {
            self.wake(key, Wake::Timeout);
        }
        while let Some(key) = self.shared.alarms.expire(until) {
            self.wake(key, Wake::Alarm);
        }
        for key in self.shared.young.grown(until) {
            if let Some(session) = self.sessions.get_mut(key) {
                session.keep_alive();
            }
        }
    }

    /// Lookups: what is to be sent, what has come to its end.
    fn lookups(&mut self) {
        let until = self.heard.until();
        self.shared.resolver.run(&mut self.shared.net, until);
        while let Some((asker, answer, is_all)) = self.shared.resolver.poll_answer() {
            let wake = Wake::Answer(asker.number, &answer, is_all);
            self.wake(asker.session, wake);
        }
    }

    /// Gives a session its turn, and does what follows from it.
    fn wake(&mut self, key: Key, wake: Wake<'_>) {
        let Some(session) = self.sessions.get_mut(key) else {
            return;
        };
        match session.turn(wake, &mut self.shared) {
            Verdict::Idle => {}
            Verdict::Again => self.queues.push(session),
            Verdict::Rest => self.queues.rest(session, self.shared.now),
            Verdict::Report => self.write_report(key),
            Verdict::Closed(reason) => self.close(key, reason),
        }
        self.end_displaced();
    }

    /// The end of a session.
    fn close(&mut self, key: Key, reason: Reason) {
        if let Some(session) = self.sessions.get_mut(key) {
            session.close(reason, &mut self.shared);
            self.sessions.remove(key);
            if self.sessions.is_empty() {
                // Nobody looks at them any more.
                self.shared.pool.pipes.trim();
            }
        }
    }
}
