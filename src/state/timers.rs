//! Timers: one queue per class, all of whose timers last equally long.
//!
//! Each queue is sorted by itself, because what is armed later is due later. So arming,
//! disarming and looking at the next are a few writes each, and nothing is allocated but the
//! links, which grow to the highest slot ever used. (libevent's common timeouts.)

use super::slots::Key;
use crate::net::{Millis, NEVER};

/// "No link": one more than the last index of a full table.
const NONE: u32 = u32::MAX;

/// Timers for the entries of one [`super::slots::Slots`] table, one for each.
#[derive(Debug)]
pub struct Timers {
    queues: Vec<Queue>,
    links: Vec<Link>,
    armed: usize,
}

#[derive(Debug)]
struct Queue {
    duration_ms: u32,
    head: u32,
    tail: u32,
}

#[derive(Clone, Copy, Debug)]
struct Link {
    due: Millis,
    previous: u32,
    next: u32,
    generation: u16,
    /// Which queue; `NO_CLASS` where it is not armed.
    class: u8,
}

const NO_CLASS: u8 = u8::MAX;

impl Timers {
    /// Timers whose class number `n` lasts `durations_ms[n]`, for a table of `slots_max`.
    pub fn new(durations_ms: &[u32], slots_max: usize) -> Self {
        assert!(durations_ms.len() < usize::from(NO_CLASS));
        let queue = |&duration_ms| Queue {
            duration_ms,
            head: NONE,
            tail: NONE,
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
        let index = key.index();
        while index >= self.links.len() {
            self.links.push(Link {
                due: 0,
                previous: NONE,
                next: NONE,
                generation: 0,
                class: NO_CLASS,
            });
        }
        let queue = &mut self.queues[usize::from(class)];
        self.links[index] = Link {
            due: now + Millis::from(queue.duration_ms),
            previous: queue.tail,
            next: NONE,
            generation: key.generation(),
            class,
        };
        let position = u32::try_from(index).unwrap_or(NONE);
        match queue.tail {
            NONE => queue.head = position,
            tail => self.links[tail as usize].next = position,
        }
        queue.tail = position;
        self.armed += 1;
    }

    /// Disarms the timer at the place of `key`, if it is armed.
    pub fn disarm(&mut self, key: Key) {
        let Some(link) = self.links.get_mut(key.index()) else {
            return;
        };
        if link.class == NO_CLASS {
            return;
        }
        let Link {
            previous,
            next,
            class,
            ..
        } = *link;
        link.class = NO_CLASS;
        match previous {
            NONE => self.queues[usize::from(class)].head = next,
            previous => self.links[previous as usize].next = next,
        }
        match next {
            NONE => self.queues[usize::from(class)].tail = previous,
            next => self.links[next as usize].previous = previous,
        }
        self.armed -= 1;
    }

    /// When the next timer is due.
    pub fn next(&self) -> Millis {
        let mut next = NEVER;
        for queue in &self.queues {
            if let Some(link) = self.links.get(queue.head as usize) {
                next = next.min(link.due);
            }
        }
        next
    }

    /// Takes one timer that is due at `now`. Call until `None`.
    pub fn expire(&mut self, now: Millis) -> Option<Key> {
        for queue in &self.queues {
            if let Some(link) = self.links.get(queue.head as usize)
                && link.due <= now
            {
                let key = Key::new(u16::try_from(queue.head).ok()?, link.generation);
                self.disarm(key);
                return Some(key);
            }
        }
        None
    }

    /// How many are armed.
    pub fn armed(&self) -> usize {
        self.armed
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
        assert_eq!(timers.expire(10), None);
        assert_eq!(timers.expire(20), Some(b));
        assert_eq!(timers.expire(20), Some(a));
        assert_eq!(timers.armed(), 0);
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
                let next = model.iter().map(|entry| entry.1).min();
                prop_assert_eq!(timers.next(), next.unwrap_or(NEVER));
            }
        }
    }
}
