//! Timers: one queue per class, all of whose timers last equally long.
//!
//! What is armed later is due later, so each queue is sorted without any sorting. Arming,
//! disarming and looking at the next are a few writes each, and nothing is allocated but the
//! links, which grow to the highest slot ever used. (libevent's common timeouts.)

use std::iter;

use super::slots::Key;
use crate::net::{Millis, NEVER};

/// Timers for the entries of one [`super::slots::Slots`] table, one for each.
#[derive(Debug)]
pub struct Timers {
    queues: Vec<Queue>,
    /// By the index of a key.
    links: Vec<Link>,
    armed: usize,
}

/// The timers of one class: a doubly linked list, the one that is due first at its head.
#[derive(Debug)]
struct Queue {
    duration_ms: u32,
    head: Option<Key>,
    tail: Option<Key>,
}

/// One timer.
#[derive(Clone, Copy, Debug, Default)]
struct Link {
    due: Millis,
    previous: Option<Key>,
    next: Option<Key>,
    /// The queue that it stands in, while it is armed.
    class: Option<u8>,
}

impl Timers {
    /// Timers whose class number `n` lasts `durations_ms[n]`, for a table of `slots_max`.
    pub fn new(durations_ms: &[u32], slots_max: usize) -> Self {
        let queue = |&duration_ms| Queue {
            duration_ms,
            head: None,
            tail: None,
        };
        Self {
            queues: durations_ms.iter().map(queue).collect(),
            links: Vec::with_capacity(slots_max),
            armed: 0,
        }
    }

    /// Arms the timer of `key`, in place of the one it had.
    pub fn arm(&mut self, key: Key, class: u8, now: Millis) {
        self.disarm(key);
        if self.links.len() <= key.index() {
            self.links.resize(key.index() + 1, Link::default());
        }
        let queue = &mut self.queues[usize::from(class)];
        self.links[key.index()] = Link {
            due: now + Millis::from(queue.duration_ms),
            previous: queue.tail,
            next: None,
            class: Some(class),
        };
        match queue.tail.replace(key) {
            Some(tail) => self.links[tail.index()].next = Some(key),
            None => queue.head = Some(key),
        }
        self.armed += 1;
    }

    /// Disarms the timer at the place of `key`, if it is armed.
    pub fn disarm(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key.index()) else {
            return;
        };
        let Some(class) = link.class.take() else {
            return;
        };
        let Link { previous, next, .. } = *link;
        let queue = &mut self.queues[usize::from(class)];
        match previous {
            Some(previous) => self.links[previous.index()].next = next,
            None => queue.head = next,
        }
        match next {
            Some(next) => self.links[next.index()].previous = previous,
            None => queue.tail = previous,
        }
        self.armed -= 1;
    }

    /// When the next timer is due; [`NEVER`] while none is armed.
    pub fn next(&self) -> Millis {
        let due = self.heads().map(|key| self.due(key));
        due.min().unwrap_or(NEVER)
    }

    /// Takes one timer that is due at `now`. Call until `None`.
    pub fn expire(&mut self, now: Millis) -> Option<Key> {
        let key = self.heads().find(|key| self.due(*key) <= now)?;
        self.disarm(key);
        Some(key)
    }

    /// The timers of a class, each with the time at which it was armed; the first of them first.
    pub fn armed_in(&self, class: u8) -> impl Iterator<Item = (Key, Millis)> {
        let queue = &self.queues[usize::from(class)];
        let duration_ms = Millis::from(queue.duration_ms);
        let keys = iter::successors(queue.head, |key| self.links[key.index()].next);
        keys.map(move |key| (key, self.due(key) - duration_ms))
    }

    /// When the timer of `key` was armed; `None` if it is not.
    pub fn armed_at(&self, key: Key) -> Option<Millis> {
        let link = self.links.get(key.index())?;
        let queue = &self.queues[usize::from(link.class?)];
        Some(link.due - Millis::from(queue.duration_ms))
    }

    /// The number of timers that are armed.
    pub fn armed(&self) -> usize {
        self.armed
    }

    /// The first timer of each class.
    fn heads(&self) -> impl Iterator<Item = Key> {
        self.queues.iter().filter_map(|queue| queue.head)
    }

    fn due(&self, key: Key) -> Millis {
        self.links[key.index()].due
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn arming_again_moves_the_timer_to_the_end() {
        let mut timers = Timers::new(&[10], 4);
        let (a, b) = (Key::new(0, 0), Key::new(1, 7));
        timers.arm(a, 0, 0);
        timers.arm(b, 0, 1);
        timers.arm(a, 0, 2);
        assert_eq!(timers.next(), 11);
        assert_eq!((timers.armed_at(a), timers.armed_at(b)), (Some(2), Some(1)));
        assert_eq!(timers.expire(10), None);
        assert_eq!(timers.expire(20), Some(b));
        assert_eq!(timers.expire(20), Some(a));
        assert_eq!((timers.armed(), timers.armed_at(a)), (0, None));
    }

    proptest! {
        #[test]
        fn timers_agree_with_a_plain_list(
            steps in proptest::collection::vec((0u8..4, 0u16..8, 0u8..3, 0u64..30), 0..200)
        ) {
            let durations = [5, 20, 50];
            let mut timers = Timers::new(&durations, 8);
            let mut model: Vec<(u16, u64)> = Vec::new();
            let mut now = 0;
            for (step, index, class, wait) in steps {
                now += wait;
                let key = Key::new(index, 0);
                if step == 0 {
                    timers.disarm(key);
                    model.retain(|entry| entry.0 != index);
                } else if step == 1 {
                    while let Some(key) = timers.expire(now) {
                        let at = model.iter().position(|e| usize::from(e.0) == key.index());
                        prop_assert!(model.swap_remove(at.unwrap()).1 <= now);
                    }
                    prop_assert!(model.iter().all(|entry| entry.1 > now));
                } else {
                    timers.arm(key, class, now);
                    model.retain(|entry| entry.0 != index);
                    model.push((index, now + u64::from(durations[usize::from(class)])));
                }
                prop_assert_eq!(timers.armed(), model.len());
                for (class, duration_ms) in (0..3).zip(durations) {
                    let armed: Vec<_> = timers.armed_in(class).collect();
                    prop_assert!(armed.is_sorted_by_key(|(_, since)| *since));
                    for (key, since) in armed {
                        let due = since + u64::from(duration_ms);
                        prop_assert!(model.contains(&(u16::try_from(key.index()).unwrap(), due)));
                    }
                }
                let armed = (0..3).map(|class| timers.armed_in(class).count());
                prop_assert_eq!(armed.sum::<usize>(), model.len());
                let next = model.iter().map(|entry| entry.1).min();
                prop_assert_eq!(timers.next(), next.unwrap_or(NEVER));
            }
        }
    }
}
