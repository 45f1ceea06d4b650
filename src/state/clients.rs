//! How much of each table is taken: by every client, and in all.
//!
//! A sorted list, which is as long as the session table at most. A client is found in a dozen
//! comparisons, where a walk over all sessions would cost milliseconds.

use std::fmt;

use super::access::ClientKey;
use super::fairness::{Source, largest};
use super::pool::Quota;

/// A table with a bounded number of places.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Table {
    /// Sessions that are being opened.
    Openings,
    /// Tunnels and associations that are established.
    Established,
    /// Heads of HTTP requests that are being read.
    Heads,
    /// BINDs that wait for their peer.
    Binds,
    /// UDP associations.
    Associations,
    /// Heads of HTTP requests that are longer than the places of those.
    LongHeads,
    /// Connection attempts beside the first of each race.
    SpareAttempts,
    /// Readers of the report.
    Reports,
}

/// The number of tables.
const TABLES: usize = Table::Reports as usize + 1;

impl Table {
    /// Their names in the report, in the order of the enum.
    pub const NAMES: [&str; TABLES] = [
        "openings",
        "established",
        "heads",
        "binds",
        "associations",
        "long_heads",
        "spare_attempts",
        "readers",
    ];
}

impl fmt::Display for Table {
    /// With the option that sets the bound, where that follows from one.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Openings => "handshakes and connects (--max-sessions)",
            Self::Established => "sessions (--max-sessions)",
            Self::Heads => "places for HTTP heads",
            Self::LongHeads => "places for long HTTP heads",
            Self::Binds => "BINDs",
            Self::Associations => "UDP associations (--max-sessions)",
            Self::SpareAttempts => "connection attempts",
            Self::Reports => "places for readers of /status",
        })
    }
}

/// What one client has.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// The number of its sessions.
    pub sessions: u16,
    /// The bytes of its datagrams that wait for names.
    pub held_bytes: usize,
    /// The number of its tunnels that stood still at the last look ([`Clients::most_still`]).
    still: u16,
    /// The number of its places in each table.
    taken: [u16; TABLES],
}

/// The clients that have sessions.
#[derive(Debug)]
pub struct Clients {
    shares: Vec<(ClientKey, Share)>,
    /// The places of each table, for all clients.
    quotas: [Quota; TABLES],
    /// How many sessions one client may have, if that is bounded.
    sessions_max: Option<usize>,
}

impl Clients {
    /// No client yet. Each may have `sessions_max` sessions, if that is bounded. `tables` has the
    /// number of places of each [`Table`], in its order.
    pub fn new(sessions_max: Option<usize>, tables: [usize; TABLES]) -> Self {
        Self {
            shares: Vec::new(),
            quotas: tables.map(Quota::new),
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

    /// The counts of all tables, in the order of the enum.
    pub fn quotas(&self) -> &[Quota] {
        &self.quotas
    }

    /// Takes a place of a table. Returns `false` if all are taken, or if the client has no session.
    pub fn take(&mut self, table: Table, client_key: ClientKey) -> bool {
        let Ok(at) = self.position(client_key) else {
            return false;
        };
        let table = table as usize;
        let taken = self.quotas[table].take();
        self.shares[at].1.taken[table] += u16::from(taken);
        taken
    }

    /// Returns `true` if the client may take one more place that nobody can be asked to give back:
    /// while it has less than seven times of what is left to the others. Alone it has seven eighths.
    pub fn leaves_some(&self, table: Table, client_key: ClientKey) -> bool {
        let quota = self.quota(table);
        let left = quota.max() - quota.used();
        let own = self.position(client_key);
        own.is_ok_and(|at| usize::from(self.shares[at].1.taken[table as usize]) < 7 * left)
    }

    /// Gives a place of a table back.
    pub fn give(&mut self, table: Table, client_key: ClientKey) {
        self.quotas[table as usize].give();
        if let Some(share) = self.share_mut(client_key) {
            share.taken[table as usize] -= 1;
        }
    }

    /// The places of each client in a table, in the order of their keys.
    pub fn taken(&self, table: Table) -> impl Iterator<Item = (ClientKey, usize)> {
        let shares = self.shares.iter();
        shares.map(move |(key, share)| (*key, usize::from(share.taken[table as usize])))
    }

    /// Returns `true` if that client has a place in a table.
    pub fn has(&self, table: Table, client_key: ClientKey) -> bool {
        let at = self.position(client_key);
        at.is_ok_and(|at| self.shares[at].1.taken[table as usize] > 0)
    }

    /// Returns `true` if that client has as many sessions as it may have.
    pub fn is_crowd(&self, client_key: ClientKey) -> bool {
        let (Some(max), Ok(at)) = (self.sessions_max, self.position(client_key)) else {
            return false;
        };
        usize::from(self.shares[at].1.sessions) >= max
    }

    /// Counts a new session of `client_key`.
    pub fn enter(&mut self, client_key: ClientKey) {
        let at = match self.position(client_key) {
            Ok(at) => at,
            Err(at) => {
                self.shares.insert(at, (client_key, Share::default()));
                at
            }
        };
        self.shares[at].1.sessions += 1;
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

    /// The source that has most of the tunnels that stand still, and how many its site has. `still`
    /// are the clients of all these tunnels, in any order.
    pub fn most_still(
        &mut self,
        still: impl Iterator<Item = ClientKey>,
    ) -> Option<(Source, usize)> {
        for (_, share) in &mut self.shares {
            share.still = 0;
        }
        for client_key in still {
            if let Some(share) = self.share_mut(client_key) {
                share.still += 1;
            }
        }
        let counts = self.shares.iter();
        largest(counts.map(|(key, share)| (*key, usize::from(share.still))))
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
        let mut clients = Clients::new(Some(3), [5; TABLES]);
        for client_key in [b, a, a] {
            clients.enter(client_key);
            assert!(!clients.is_crowd(client_key));
            assert!(clients.take(Table::Openings, client_key));
        }
        let taken: Vec<_> = clients.taken(Table::Openings).collect();
        assert_eq!(taken, [(a, 2), (b, 1)]);
        assert_eq!(clients.taken(Table::Binds).next(), Some((a, 0)));
        clients.enter(a);
        assert!(clients.is_crowd(a), "its sessions");
        clients.give(Table::Openings, a);
        assert_eq!(clients.quota(Table::Openings).used(), 2);
        clients.give(Table::Openings, a);
        for _ in 0..3 {
            assert!(clients.share_mut(a).is_some());
            clients.leave(a);
        }
        assert!(clients.share_mut(a).is_none());
        assert!(!clients.take(Table::Heads, a), "it has no session");
        assert_eq!(clients.len(), 1);
    }

    #[test]
    fn the_client_with_most_tunnels_that_stand_still_is_found() {
        let client_key = |last: u8| ClientKey::from(IpAddr::from([10, 0, 0, last]));
        let mut clients = Clients::new(None, [9; TABLES]);
        for last in [1, 2, 2, 3] {
            clients.enter(client_key(last));
        }
        let mut most =
            |still: &[u8]| clients.most_still(still.iter().map(|last| client_key(*last)));
        assert_eq!(most(&[]), None);
        assert_eq!(most(&[2, 1, 2]), Some((Source::client(client_key(2)), 2)));
        assert_eq!(
            most(&[3, 9, 9]),
            Some((Source::client(client_key(3)), 1)),
            "9 has gone"
        );
    }

    #[test]
    fn who_has_many_places_leaves_some_to_others() {
        let client_key = |last: u8| ClientKey::from(IpAddr::from([10, 0, 0, last]));
        let mut clients = Clients::new(None, [64; TABLES]);
        let table = Table::SpareAttempts;
        let mut fill = |last| {
            clients.enter(client_key(last));
            let mut taken = 0;
            while clients.leaves_some(table, client_key(last)) {
                assert!(clients.take(table, client_key(last)));
                taken += 1;
            }
            taken
        };
        assert_eq!((fill(1), fill(2), fill(3)), (56, 7, 1));
        assert_eq!(fill(4), 0);
    }

    #[test]
    fn a_table_has_an_end() {
        let client_key = |last: u8| ClientKey::from(IpAddr::from([10, 0, 0, last]));
        let mut clients = Clients::new(None, [3; TABLES]);
        for last in [1, 2] {
            clients.enter(client_key(last));
        }
        for (last, taken) in [(1, true), (1, true), (2, true), (1, false), (2, false)] {
            assert_eq!(clients.take(Table::Binds, client_key(last)), taken);
        }
        clients.give(Table::Binds, client_key(1));
        assert!(clients.take(Table::Binds, client_key(2)));
        assert_eq!(clients.quota(Table::Binds).used(), 3);
        let taken: Vec<_> = clients
            .taken(Table::Binds)
            .map(|(_, taken)| taken)
            .collect();
        assert_eq!(taken, [1, 2]);
    }
}
