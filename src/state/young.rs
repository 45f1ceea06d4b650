//! Tunnels that have been established a moment ago. What short ones are better without is done to
//! those that become old.
//!
//! Two lists instead of a timer each, which would be 24 bytes of every idle tunnel: from tick to tick
//! the older list is taken, and the younger becomes it.

use std::mem;

use super::slots::Key;
use crate::net::{Millis, NEVER};

/// From tick to tick: an old tunnel has become so old at least, and twice as old at most.
const TICK_MS: Millis = 2_500;

/// The most tunnels in a list: 1 KiB. Where more come within a tick, the next one comes early.
const LIST_MAX: usize = 256;

/// The tunnels of the last ticks. Some may have ended meanwhile.
#[derive(Debug)]
pub struct Young {
    younger: Vec<Key>,
    older: Vec<Key>,
    tick: Millis,
}

impl Default for Young {
    fn default() -> Self {
        Self {
            younger: Vec::new(),
            older: Vec::new(),
            tick: NEVER,
        }
    }
}

impl Young {
    /// Adds a tunnel that has just been established.
    pub fn add(&mut self, key: Key, now: Millis) {
        self.younger.push(key);
        if self.younger.len() >= LIST_MAX {
            self.tick = now;
        } else if self.tick == NEVER {
            self.tick = now + TICK_MS;
        }
    }

    /// When to take those that have become old; [`NEVER`] while there are none.
    pub fn next(&self) -> Millis {
        self.tick
    }

    /// Takes those that have become old, if a tick is due.
    pub fn grown(&mut self, now: Millis) -> Vec<Key> {
        if self.tick > now {
            return Vec::new();
        }
        let grown = mem::replace(&mut self.older, mem::take(&mut self.younger));
        self.tick = if self.older.is_empty() {
            NEVER
        } else {
            now + TICK_MS
        };
        grown
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_tunnel_becomes_old_once_within_two_ticks() {
        let (mut young, key) = (Young::default(), |index| Key::new(index, 0));
        assert_eq!((young.next(), young.grown(99_000)), (NEVER, vec![]));
        young.add(key(1), 100);
        young.add(key(2), 2_500);
        assert_eq!((young.next(), young.grown(2_599)), (2_600, vec![]));
        assert_eq!(young.grown(2_600), []);
        young.add(key(3), 2_700);
        assert_eq!(young.next(), 5_100);
        assert_eq!(young.grown(5_100), [key(1), key(2)]);
        assert_eq!(young.grown(7_600), [key(3)]);
        assert_eq!(young.next(), NEVER);
    }

    #[test]
    fn many_at_once_become_old_early_and_take_little() {
        let (mut young, mut grown) = (Young::default(), 0);
        for index in 0..10_000 {
            young.add(Key::new(index, 0), 7);
            grown += young.grown(7).len();
            assert!(young.younger.len() < LIST_MAX && young.older.len() <= LIST_MAX);
        }
        grown += young.grown(6_000).len() + young.grown(12_000).len();
        assert_eq!(grown, 10_000);
    }
}
