//! What every session holds of the tables, whose it is, and how much it has moved lately: what has
//! to be known of all of them to name the worst.

use super::access::ClientKey;
use super::clients::Table;
use super::slots::Key;
use crate::net::Millis;

/// What a tunnel has moved counts for so many seconds.
const PACE_S: u16 = 60;

/// All sessions, by the index of their keys. No longer than the highest slot ever used.
#[derive(Debug, Default)]
pub struct Places {
    entries: Vec<Entry>,
}

/// One session: 16 bytes.
#[derive(Clone, Copy, Debug)]
struct Entry {
    owner: ClientKey,
    /// A bit for each [`Table`] in which it has a place.
    held: u8,
    pace: Pace,
}

/// How much a tunnel has moved, by the minute. In so few bits because every idle tunnel has one.
#[derive(Clone, Copy, Debug)]
struct Pace {
    /// The second in which the current minute has begun: with the first byte behind the last one.
    /// This clock wraps after 18 hours; who has moved nothing for two minutes is judged by that.
    since: u16,
    /// Bytes of the current minute, 65,535 at most: more is as good.
    bytes: u16,
    /// Bytes of the last one.
    before: u16,
}

impl Places {
    /// A session of `owner` begins, and has no place in any table.
    pub fn enter(&mut self, key: Key, owner: ClientKey, now: Millis) {
        let entry = Entry {
            owner,
            held: 0,
            pace: Pace::new(now),
        };
        if self.entries.len() <= key.index() {
            self.entries.resize(key.index() + 1, entry);
        }
        self.entries[key.index()] = entry;
    }

    /// Whose session it is.
    pub fn owner(&self, key: Key) -> ClientKey {
        self.entries[key.index()].owner
    }

    /// Returns `true` if the session has a place in that table.
    pub fn has(&self, key: Key, table: Table) -> bool {
        self.entries[key.index()].held & bit(table) != 0
    }

    /// The session has a place in that table.
    pub fn take(&mut self, key: Key, table: Table) {
        self.entries[key.index()].held |= bit(table);
    }

    /// It has it no more. Returns `true` if it had it.
    pub fn give(&mut self, key: Key, table: Table) -> bool {
        let had = self.has(key, table);
        self.entries[key.index()].held &= !bit(table);
        had
    }

    /// A tunnel is established: what it moves counts from here.
    pub fn start(&mut self, key: Key, now: Millis) {
        self.entries[key.index()].pace = Pace::new(now);
    }

    /// A tunnel has moved `bytes`.
    pub fn add(&mut self, key: Key, bytes: u64, now: Millis) {
        self.entries[key.index()].pace.add(bytes, now);
    }

    /// About how many bytes it moves in a minute, 65,535 at most.
    pub fn pace(&self, key: Key, now: Millis) -> u16 {
        self.entries[key.index()].pace.at(now)
    }
}

impl Pace {
    fn new(now: Millis) -> Self {
        Self {
            since: seconds(now),
            bytes: 0,
            before: 0,
        }
    }

    fn add(&mut self, bytes: u64, now: Millis) {
        let age_s = self.age_s(now);
        if age_s >= PACE_S {
            self.before = if age_s < 2 * PACE_S { self.bytes } else { 0 };
            (self.since, self.bytes) = (seconds(now), 0);
        }
        let bytes = u16::try_from(bytes).unwrap_or(u16::MAX);
        self.bytes = self.bytes.saturating_add(bytes);
    }

    fn at(&self, now: Millis) -> u16 {
        match self.age_s(now) {
            ..PACE_S => self.bytes.max(self.before),
            _ => self.bytes,
        }
    }

    fn age_s(&self, now: Millis) -> u16 {
        seconds(now).wrapping_sub(self.since)
    }
}

/// The clock in seconds, cut to 16 bits.
fn seconds(now: Millis) -> u16 {
    let seconds = (now / 1000) & Millis::from(u16::MAX);
    u16::try_from(seconds).expect("it has been cut to 16 bits")
}

fn bit(table: Table) -> u8 {
    1 << table as u8
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    const _: () = assert!(size_of::<Entry>() == 16);

    #[test]
    fn a_session_has_its_places_and_begins_with_none() {
        let (mut places, key) = (Places::default(), Key::new(3, 0));
        let owner = ClientKey::from(IpAddr::from([10, 0, 0, 1]));
        places.enter(key, owner, 0);
        assert_eq!(places.owner(key), owner);
        places.take(key, Table::Heads);
        places.take(key, Table::Openings);
        assert!(places.has(key, Table::Heads) && !places.has(key, Table::Binds));
        assert!(places.give(key, Table::Heads) && !places.give(key, Table::Heads));
        assert!(places.has(key, Table::Openings));
        places.enter(key, owner, 0);
        assert!(!places.has(key, Table::Openings));
    }

    #[test]
    fn a_byte_a_second_is_a_slow_pace() {
        let mut pace = Pace::new(0);
        assert_eq!(pace.at(59_999), 0);
        for second in 1..=200 {
            pace.add(1, second * 1000);
        }
        assert_eq!(pace.at(200_000), 60);
        assert_eq!(pace.at(300_000), 21);
        pace.add(1, 400_000);
        assert_eq!(pace.at(400_000), 1, "it has stood still in between");
        pace.add(u64::MAX, 400_001);
        assert_eq!(pace.at(400_001), u16::MAX);
    }

    #[test]
    fn the_clock_may_wrap() {
        let wrap_ms = 1000 << 16;
        let mut pace = Pace::new(wrap_ms - 1);
        pace.add(5, wrap_ms + 10);
        pace.add(7, wrap_ms + 60_000);
        assert_eq!(pace.at(wrap_ms + 60_001), 7);
    }
}
