//! The race for a target: candidates, attempts, and which failure tells the most (RFC 8305).

use std::net::{IpAddr, SocketAddr};

use super::Reason;
use crate::net::Stream;
use crate::state::flow::Ready;
use crate::state::resolver::Addresses;
use crate::wire::socks::ReplyCode;

/// Attempts under way at once for one session. With a start every 250 ms the oldest has had a
/// second, time for one retransmission of its SYN, before it makes room for a fifth.
const ATTEMPTS_MAX: usize = 4;

/// The candidates of one destination and the attempts at them (RFC 8305 §5).
#[derive(Debug)]
pub(super) struct Race<S> {
    candidates: Addresses,
    port: u16,
    next: usize,
    attempts: [Option<Attempt<S>>; ATTEMPTS_MAX],
    /// What the events of the attempts have said, all taken together: the winner may think
    /// itself readier than it is, never less ready.
    pub(super) ready: Ready,
    /// The most telling failure so far.
    failure: Option<Reason>,
}

/// How the race stands.
pub(super) enum Heat<S> {
    /// This connection stands, to that address.
    Won(S, SocketAddr),
    /// At least one attempt has failed since the last look.
    Failed,
    /// Nothing has changed.
    Running,
}

/// A connection under way.
#[derive(Debug)]
struct Attempt<S> {
    stream: S,
    to: SocketAddr,
}

impl<S: Stream> Race<S> {
    pub(super) fn new() -> Self {
        Self {
            candidates: Addresses::default(),
            port: 0,
            next: 0,
            attempts: [const { None }; ATTEMPTS_MAX],
            ready: Ready::default(),
            failure: None,
        }
    }

    /// Sets the port that every candidate will be tried at.
    pub(super) fn set_port(&mut self, port: u16) {
        self.port = port;
    }

    /// The port that every candidate will be tried at.
    pub(super) fn port(&self) -> u16 {
        self.port
    }

    /// The addresses of the destination; for BIND those that its peer may have.
    pub(super) fn expected(&self) -> &[IpAddr] {
        self.candidates.as_slice()
    }

    /// Sets what there is to try, in this order.
    pub(super) fn enter(&mut self, candidates: Addresses) {
        (self.candidates, self.next) = (candidates, 0);
    }

    /// Drops the attempts that have not won.
    pub(super) fn end(&mut self) {
        self.attempts = [const { None }; ATTEMPTS_MAX];
    }

    /// The next address to try.
    pub(super) fn next_candidate(&mut self) -> Option<SocketAddr> {
        let addr = self.candidates.as_slice().get(self.next)?;
        self.next += 1;
        Some(SocketAddr::new(*addr, self.port))
    }

    /// Whether an address has not been tried yet.
    pub(super) fn has_candidate(&self) -> bool {
        self.next < self.candidates.as_slice().len()
    }

    /// Whether an attempt is under way.
    pub(super) fn is_running(&self) -> bool {
        self.attempts.iter().any(Option::is_some)
    }

    /// How many attempts there are beside the first, which every session may have.
    pub(super) fn spare(&self) -> usize {
        self.attempts.iter().flatten().count().saturating_sub(1)
    }

    /// Adds an attempt, in place of the oldest where there are too many.
    pub(super) fn add(&mut self, stream: S, to: SocketAddr) {
        if self.attempts[ATTEMPTS_MAX - 1].is_some() {
            self.note(Reason::ConnectTimeout);
            self.attempts[0] = None;
            self.attempts.rotate_left(1);
        }
        let free = self
            .attempts
            .iter()
            .position(Option::is_none)
            .unwrap_or(ATTEMPTS_MAX - 1);
        self.attempts[free] = Some(Attempt { stream, to });
    }

    /// Looks which attempts have come to their end: the first that stands, if one does, and
    /// whether one has failed. (mio's three steps: event, error, peer address.)
    pub(super) fn poll(&mut self) -> Heat<S> {
        // Each attempt has an event of its own to come, or it would not be running.
        self.ready.writable = false;
        let mut failed = false;
        for slot in &mut self.attempts {
            let Some(attempt) = slot else { continue };
            if let Some(error) = attempt.stream.take_error() {
                *slot = None;
                failed = true;
                self.failure = Some(more_telling(self.failure, Reason::from(&error)));
            } else if attempt.stream.peer_addr().is_ok() {
                let Some(winner) = slot.take() else { continue };
                self.ready.writable = true;
                return Heat::Won(winner.stream, winner.to);
            }
        }
        // Oldest first, without gaps, is what `add` counts on.
        self.attempts.sort_by_key(Option::is_none);
        if failed { Heat::Failed } else { Heat::Running }
    }

    /// Remembers a failure, if it tells more than those before.
    pub(super) fn note(&mut self, reason: Reason) {
        self.failure = Some(more_telling(self.failure, reason));
    }

    /// What to tell the client when everything has failed.
    pub(super) fn failure(&self) -> Reason {
        // No candidate at all: no address of a usable family.
        self.failure.unwrap_or(Reason::NetworkUnreachable)
    }
}

/// With several addresses tried, the most telling failure: 05 > 06 > 04 > 02 > 03.
fn more_telling(old: Option<Reason>, new: Reason) -> Reason {
    old.filter(|old| rank(*old) >= rank(new)).unwrap_or(new)
}

fn rank(reason: Reason) -> u8 {
    match reason.reply_code() {
        ReplyCode::ConnectionRefused => 5,
        ReplyCode::TtlExpired => 4,
        ReplyCode::HostUnreachable => 3,
        // Its line says what would open the way; a family that the router lacks says little.
        ReplyCode::NotAllowed => 2,
        ReplyCode::NetworkUnreachable => 1,
        _ => 0,
    }
}
