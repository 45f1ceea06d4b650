//! The sessions that want a turn: who comes first, and who comes at the next tick.
//!
//! Tunnels that carry much come behind everybody else, a few in each pass, so that a small message
//! waits for a few turns at most, however many downloads there are. And when they have emptied
//! their sources they wait for a tick: one turn for all segments of a millisecond takes a fraction
//! of the processor that a turn for each takes.

use std::collections::VecDeque;
use std::mem;

use crate::net::{Millis, NEVER, Net};
use crate::session::Session;
use crate::state::slots::Key;

/// Turns of tunnels that carry much in one pass, at least; and one more for so many turns of others,
/// so that these do not keep them from moving.
const BULK_TURNS: usize = 2;
const BULK_TURNS_SHARE: usize = 4;

/// The grain of a wait, in milliseconds.
const TICK_MS: Millis = 1;

/// Sessions that want a turn, each at most once in `ready` and `bulk` together, and at most once in
/// `resting`.
#[derive(Debug, Default)]
pub(super) struct Queues {
    ready: Vec<Key>,
    bulk: VecDeque<Key>,
    pub(super) resting: Vec<Key>,
    tick: Millis,
    /// Those that have their turn in this pass; empty between passes.
    turns: Vec<Key>,
}

impl Queues {
    /// Queues for that many sessions.
    pub(super) fn new(sessions_max: usize) -> Self {
        Self {
            ready: Vec::with_capacity(sessions_max),
            turns: Vec::with_capacity(sessions_max),
            ..Self::default()
        }
    }

    /// Returns `true` if nobody wants a turn now.
    pub(super) fn is_empty(&self) -> bool {
        self.ready.is_empty() && self.bulk.is_empty()
    }

    /// When those are due that wait for the tick.
    pub(super) fn tick(&self) -> Millis {
        if self.resting.is_empty() {
            NEVER
        } else {
            self.tick
        }
    }

    /// A session wants a turn, unless it is queued already.
    pub(super) fn push<N: Net>(&mut self, session: &mut Session<N>) {
        if session.queue() {
            if session.is_bulk() {
                self.bulk.push_back(session.key());
            } else {
                self.ready.push(session.key());
            }
        }
    }

    /// A session wants a turn at the next tick.
    pub(super) fn rest<N: Net>(&mut self, session: &mut Session<N>, now: Millis) {
        if session.await_tick() {
            if self.resting.is_empty() {
                self.tick = now + TICK_MS;
            }
            self.resting.push(session.key());
        }
    }

    /// The next of those that have waited for the tick, if it has come.
    pub(super) fn rested(&mut self, now: Millis) -> Option<Key> {
        if now < self.tick() {
            return None;
        }
        self.resting.pop()
    }

    /// Those that have their turn in this pass. To be given back by [`Queues::end_turns`].
    pub(super) fn turns(&mut self) -> Vec<Key> {
        mem::swap(&mut self.ready, &mut self.turns);
        let bulk = BULK_TURNS + self.turns.len() / BULK_TURNS_SHARE;
        // `drain` closes gaps that there cannot be in front: 0.8 KB.
        for _ in 0..bulk {
            self.turns.extend(self.bulk.pop_front());
        }
        mem::take(&mut self.turns)
    }

    /// Takes back the list of [`Queues::turns`].
    pub(super) fn end_turns(&mut self, mut turns: Vec<Key>) {
        turns.clear();
        self.turns = turns;
    }
}
