//! How much of each table is taken: by every client, and in all.
//!
//! A sorted list, which is as long as the session table at most. A client is found in a dozen
//! comparisons, where a walk over all sessions would cost milliseconds.

use super::access::ClientKey;
use super::pool::Quota;

/// A table of which no client may have all places.
#[derive(Clone, Copy, Debug)]
pub enum Table {
    /// Sessions that are being opened.
    Openings,
    /// Heads of HTTP requests that are being read.
    Heads,
    /// BINDs that wait for their peer.
    Binds,
    /// UDP associations.
    Associations,
}

/// The number of tables.
const TABLES: usize = Table::Associations as usize + 1;

/// What one client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The number of its sessions.
    pub sessions: usize,
    /// The bytes of its datagrams that wait for names.
    pub held_bytes: usize,
    /// The number of its places in each table.
    taken: [usize; TABLES],
}

/// The clients that have sessions.
#[derive(Debug)]
pub struct Clients {
    shares: Vec<(ClientKey, Share)>,
    /// The places of each table, for all clients.
    quotas: [Quota; TABLES],
    /// How many of them one client may take.
    own_max: [usize; TABLES],
    sessions_max: usize,
}

impl Clients {
    /// No client yet. Each may have `sessions_max` sessions. `tables` has, for each [`Table`] in
    /// its order, the number of its places and how many of them one client may take.
    pub fn new(sessions_max: usize, tables: [(usize, usize); TABLES]) -> Self {
        Self {
            shares: Vec::new(),
            quotas: tables.map(|(max, _)| Quota::new(max)),
            own_max: tables.map(|(_, own_max)| own_max),
            sessions_max,
        }
    }

    /// What `client_key` has; `None` if it has no session.
    pub fn share_mut(&mut self, client_key: ClientKey) -> Option<&mut Share> {
        let at = self.position(client_key).ok()?;
        Some(&mut self.shares[at].1)
    }

    /// The counts of a table.
    pub fn quota(&self, table: Table) -> &Quota {
        &self.quotas[table as usize]
    }

    /// Takes a place of a table. Returns `false` if all are taken, or all that the client may
    /// have, or if the client has no session.
    pub fn take(&mut self, table: Table, client_key: ClientKey) -> bool {
        let Ok(at) = self.position(client_key) else {
            return false;
        };
        let table = table as usize;
        let own = &mut self.shares[at].1.taken[table];
        let taken = *own < self.own_max[table] && self.quotas[table].take();
        if taken {
            *own += 1;
        }
        taken
    }

    /// Gives a place of a table back.
    pub fn give(&mut self, table: Table, client_key: ClientKey) {
        self.quotas[table as usize].give();
        if let Some(share) = self.share_mut(client_key) {
            share.taken[table as usize] -= 1;
        }
    }

    /// Counts a new session of `client_key`, with a place among those that are being opened.
    /// Returns `false`, and counts nothing, if the client may not have it.
    pub fn enter(&mut self, client_key: ClientKey) -> bool {
        let at = match self.position(client_key) {
            Ok(at) => at,
            Err(at) => {
                self.shares.insert(at, (client_key, Share::default()));
                at
            }
        };
        let sessions = &mut self.shares[at].1.sessions;
        *sessions += 1;
        let may = *sessions <= self.sessions_max && self.take(Table::Openings, client_key);
        if !may {
            self.leave(client_key);
        }
        may
    }

    /// A session of `client_key` has ended.
    pub fn leave(&mut self, client_key: ClientKey) {
        if let Ok(at) = self.position(client_key) {
            let share = &mut self.shares[at].1;
            share.sessions -= 1;
            if share.sessions == 0 {
                self.shares.remove(at);
            }
        }
    }

    /// The number of clients that have sessions.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Returns `true` if no client has a session.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    /// The index of `client_key` in the list, or the one where it would be inserted.
    fn position(&self, client_key: ClientKey) -> Result<usize, usize> {
        self.shares
            .binary_search_by_key(&client_key, |share| share.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn shares_follow_the_sessions_and_vanish_with_the_last() {
        let client_key = |text: &str| ClientKey::from(text.parse::<IpAddr>().unwrap());
        let (a, b) = (client_key("10.0.0.1"), client_key("10.0.0.2"));
        let mut clients = Clients::new(3, [(5, 2); TABLES]);
        let used = |clients: &Clients| clients.quota(Table::Openings).used();
        assert!(clients.enter(b) && clients.enter(a) && clients.enter(a));
        assert_eq!(used(&clients), 3);
        assert!(!clients.enter(a), "its share of the openings");
        clients.give(Table::Openings, a);
        assert!(clients.enter(a));
        clients.give(Table::Openings, a);
        assert!(!clients.enter(a), "its sessions");
        assert_eq!((clients.len(), used(&clients)), (2, 2));
        clients.give(Table::Openings, a);
        for _ in 0..3 {
            assert!(clients.share_mut(a).is_some());
            clients.leave(a);
        }
        assert!(clients.share_mut(a).is_none());
        assert!(!clients.take(Table::Heads, a), "it has no session");
        assert_eq!((clients.len(), used(&clients)), (1, 1));
    }

    #[test]
    fn a_table_has_an_end_for_all_and_one_for_each() {
        let client_key = |last: u8| ClientKey::from(IpAddr::from([10, 0, 0, last]));
        let mut clients = Clients::new(9, [(3, 2); TABLES]);
        assert!(clients.enter(client_key(1)) && clients.enter(client_key(2)));
        for (last, taken) in [(1, true), (1, true), (1, false), (2, true), (2, false)] {
            assert_eq!(clients.take(Table::Binds, client_key(last)), taken);
        }
        clients.give(Table::Binds, client_key(1));
        for (last, taken) in [(2, true), (2, false), (1, false)] {
            assert_eq!(clients.take(Table::Binds, client_key(last)), taken);
        }
        assert_eq!(clients.quota(Table::Binds).used(), 3);
    }
}
