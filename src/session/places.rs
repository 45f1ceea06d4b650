//! Places in the tables, and who loses one where all are taken.
//!
//! The giver is found in one pass over the clients that have sessions, its worst entry in the
//! timers' queues, which are sorted by age: a few nanoseconds for each client and for each older
//! session. A tunnel is looked for among all of them, and only for a request that has passed login
//! and rules and is about to be granted.

use super::outcome::Reason;
use super::shared::{Class, Shared};
use crate::net::{Millis, Net};
use crate::state::access::ClientKey;
use crate::state::clients::Table;
use crate::state::fairness::{Giver, Source, giver};
use crate::state::slots::Key;

/// A handshake is not taken before it is that old, as long as something else can be: it would be
/// over by then, from a client far away too.
const HANDSHAKE_MS: Millis = 1_000;

/// A tunnel that has not moved for so long is taken before all others.
const STILL_MS: Millis = 120_000;

impl<N: Net> Shared<N> {
    /// Takes a place of a table for a session that has none in it, that of another one if all are
    /// taken: that has to end.
    ///
    /// # Errors
    /// All are taken, and nobody has to give one.
    pub(super) fn take(&mut self, table: Table, key: Key) -> Result<(), Reason> {
        if self.places.has(key, table) {
            return Ok(());
        }
        let owner = self.places.owner(key);
        if self.clients.quota(table).is_full() {
            self.displace(table, owner);
        }
        if !self.clients.take(table, owner) {
            return Err(Reason::Full(table));
        }
        self.places.take(key, table);
        Ok(())
    }

    /// Gives back the place of a session in a table, if it has one.
    pub(super) fn give(&mut self, table: Table, key: Key) {
        if self.places.give(key, table) {
            self.clients.give(table, self.places.owner(key));
        }
    }

    /// Frees a place of a full table for a client, if one can be freed: its session is noted among
    /// those that have to end.
    pub fn displace(&mut self, table: Table, newcomer: ClientKey) {
        if let Some(key) = self.worst(table, newcomer) {
            self.give(table, key);
            self.displaced.push((key, table));
        }
    }

    /// The same of the table of sessions, for one that begins.
    pub fn displace_session(&mut self, newcomer: ClientKey) {
        // They have had all that was for them, or wait for what may not come, or can ask again.
        let idle = [
            (Class::Linger, None),
            (Class::Pair, None),
            (Class::HalfClosed, Some(Table::Reports)),
        ];
        match idle
            .into_iter()
            .find_map(|(class, table)| self.oldest(class, table, None))
        {
            Some((key, _)) => self.displaced.push((key, Table::Openings)),
            None => self.displace(Table::Openings, newcomer),
        }
    }

    /// Returns `true` if a client's connection waits for its next request: it has to make room.
    pub fn has_idle_pair(&self) -> bool {
        self.oldest(Class::Pair, None, None).is_some()
    }

    /// The session that has to give its place of a full table to a client.
    fn worst(&self, table: Table, newcomer: ClientKey) -> Option<Key> {
        let places = self.clients.quota(table).used();
        let giver = giver(&mut self.clients.taken(table), newcomer, places);
        let source = giver.map(|giver| giver.source);
        let classes: &[Class] = match table {
            Table::Openings => {
                // Who has some already takes its own, rather than that of somebody who has few.
                let own = || {
                    self.clients
                        .has(table, newcomer)
                        .then(|| Source::client(newcomer))
                };
                return self.worst_opening(source.or_else(own));
            }
            Table::Established => {
                if let Some((pair, _)) = self.oldest(Class::Pair, Some(table), None) {
                    return Some(pair);
                }
                return self.stillest(giver.filter(|giver| giver.is_above_share)?);
            }
            // A long head waits in its place for its target, and until that takes it.
            Table::Heads | Table::LongHeads => &[
                Class::Handshake,
                Class::Verdict,
                Class::Connect,
                Class::Idle,
            ],
            Table::Binds => &[Class::Bind],
            Table::Associations => &[Class::Udp],
            // They are left to others before they are taken.
            Table::SpareAttempts => return None,
            // All are of this machine.
            Table::Reports => {
                let oldest = self.oldest(Class::HalfClosed, Some(table), None);
                return oldest.map(|(key, _)| key);
            }
        };
        let oldest = |class: &Class| self.oldest(*class, Some(table), Some(source?));
        classes.iter().find_map(oldest).map(|(key, _)| key)
    }

    /// The worst opening of a source: a handshake that takes long, or else the login that has waited
    /// longest for its verdict, or what has been connecting longest, or a BIND. Without a source it
    /// is the oldest handshake of all: who comes from a thousand addresses has hardly anything at
    /// each. Where there are none, what has waited for its target or peer as long as a handshake may
    /// last gives way: a house where nobody can ask for anything is of use to nobody.
    fn worst_opening(&self, source: Option<Source>) -> Option<Key> {
        let oldest = |class, source| self.oldest(class, Some(Table::Openings), source);
        let is_old = |&(_, since): &(Key, Millis)| since + HANDSHAKE_MS <= self.now;
        let waiting =
            |source| oldest(Class::Connect, source).or_else(|| oldest(Class::Bind, source));
        let handshake = oldest(Class::Handshake, source);
        let worst = handshake
            .filter(is_old)
            .or_else(|| oldest(Class::Verdict, source))
            .or_else(|| waiting(Some(source?)))
            .or(handshake)
            .or_else(|| waiting(None).filter(is_old));
        worst.map(|(key, _)| key)
    }

    /// The tunnel or association of a source that has not moved for longest, or else the one that
    /// moves least.
    fn stillest(&self, giver: Giver) -> Option<Key> {
        let (established, source) = (Some(Table::Established), Some(giver.source));
        let mut worst = None;
        for class in [Class::Idle, Class::HalfClosed, Class::Udp] {
            for (key, since) in self.of(class, established, source) {
                let is_still = since + STILL_MS <= self.now;
                // None is less than any.
                let pace = (!is_still).then(|| self.places.pace(key, self.now));
                let rank = (pace, since);
                if worst.is_none_or(|(least, _)| rank < least) {
                    worst = Some((rank, key));
                }
                if is_still {
                    // Those behind it have moved later.
                    break;
                }
            }
        }
        worst.map(|(_, key)| key)
    }

    /// The session whose timer was armed first among those of a class.
    fn oldest(
        &self,
        class: Class,
        table: Option<Table>,
        source: Option<Source>,
    ) -> Option<(Key, Millis)> {
        self.of(class, table, source).next()
    }

    /// The sessions with a timer of that class and a place in that table, which belong to that
    /// source, each with the time at which the timer was armed, that of the first one first.
    fn of(
        &self,
        class: Class,
        table: Option<Table>,
        source: Option<Source>,
    ) -> impl Iterator<Item = (Key, Millis)> {
        let armed = self.timers.armed_in(class.number());
        armed.filter(move |(key, _)| {
            table.is_none_or(|table| self.places.has(*key, table))
                && source.is_none_or(|source| source.holds(self.places.owner(*key)))
        })
    }
}
