//! Everyone who waits for a name, in the order they came: in line for a slot, in one, or with
//! an answer that is still to be told.

use std::rc::Rc;

use super::{Answer, SHARE_MAX, SLOTS_MAX};
use crate::state::access::ClientKey;
use crate::state::slots::Key;

/// Clients that can have their full share while a slot is free.
const FULL_CLIENTS_MAX: usize = (SLOTS_MAX - 1) / SHARE_MAX;

/// Who asks for a name: a session, which may ask for several at once by numbers of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Asker {
    /// The session.
    pub session: Key,
    /// Which of its names.
    pub number: u8,
}

impl From<Key> for Asker {
    /// A session that asks for one name.
    fn from(session: Key) -> Self {
        Self { session, number: 0 }
    }
}

/// One who waits.
#[derive(Debug)]
pub(super) struct Waiter {
    pub(super) asker: Asker,
    pub(super) client: ClientKey,
    pub(super) place: Place,
}

/// How far one who waits has come.
#[derive(Debug)]
pub(super) enum Place {
    /// In line for a slot, with this name.
    Line(Box<[u8]>),
    /// In the slot of that number.
    Slot(usize),
    /// With an answer that has not been taken.
    Told(Rc<Answer>),
}

/// The list of them. Its memory follows its length.
#[derive(Debug, Default)]
pub(super) struct Waiters {
    list: Vec<Waiter>,
    /// Somebody may have been told; nobody is, where this is not set.
    told: bool,
}

impl Waiters {
    pub(super) fn len(&self) -> usize {
        self.list.len()
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, Waiter> {
        self.list.iter()
    }

    pub(super) fn has_told(&self) -> bool {
        self.told
    }

    pub(super) fn push(&mut self, asker: Asker, client: ClientKey, place: Place) {
        self.told |= matches!(place, Place::Told(_));
        self.list.push(Waiter {
            asker,
            client,
            place,
        });
    }

    /// Takes one who has been told.
    pub(super) fn take(&mut self) -> Option<(Asker, Rc<Answer>)> {
        // From the end, where less has to move up.
        for at in (0..self.list.len()).rev() {
            if let Place::Told(answer) = &self.list[at].place {
                let answer = Rc::clone(answer);
                return Some((self.list.remove(at).asker, answer));
            }
        }
        self.told = false;
        None
    }

    /// Tells all who are in a slot.
    pub(super) fn tell(&mut self, slot: usize, answer: &Rc<Answer>) {
        for waiter in &mut self.list {
            if matches!(waiter.place, Place::Slot(at) if at == slot) {
                waiter.place = Place::Told(Rc::clone(answer));
                self.told = true;
            }
        }
    }

    /// Takes a session out of the list. Gives the slots, one bit each, in which nobody is left.
    pub(super) fn remove(&mut self, session: Key) -> u64 {
        let mut left = 0;
        self.list.retain(|waiter| {
            let leaves = waiter.asker.session == session;
            if leaves && let Place::Slot(slot) = waiter.place {
                left |= 1 << slot;
            }
            !leaves
        });
        for waiter in &self.list {
            if let Place::Slot(slot) = waiter.place {
                left &= !(1 << slot);
            }
        }
        left
    }

    /// The first in line whose client is below its share, by `slots_of`, and the name. Only to
    /// be called while a slot is free.
    pub(super) fn first(
        &self,
        slots_of: &dyn Fn(ClientKey) -> usize,
    ) -> Option<(ClientKey, &[u8])> {
        // The line may be long and of few clients: each is counted once.
        let mut full = [None; FULL_CLIENTS_MAX];
        let mut full_count = 0;
        for waiter in &self.list {
            if let Place::Line(name) = &waiter.place
                && !full.contains(&Some(waiter.client))
            {
                if slots_of(waiter.client) < SHARE_MAX {
                    return Some((waiter.client, name));
                }
                full[full_count] = Some(waiter.client);
                full_count += 1;
            }
        }
        None
    }

    /// Moves everyone who is in line for `name` to a slot.
    pub(super) fn enter(&mut self, slot: usize, name: &[u8]) {
        for waiter in &mut self.list {
            if matches!(&waiter.place, Place::Line(other) if other.eq_ignore_ascii_case(name)) {
                waiter.place = Place::Slot(slot);
            }
        }
    }
}
