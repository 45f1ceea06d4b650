//! How much of the tables each client has taken.
//!
//! A sorted list: its length is that of the session table at most, and a client is found in a
//! dozen comparisons where a walk over all sessions would cost milliseconds.

use super::access::Source;

/// One client's share.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Share {
    /// Sessions at once.
    pub sessions: u32,
    /// Those of them that are still being opened.
    pub openings: u32,
    /// BINDs that wait for their peer.
    pub binds: u32,
    /// Heads of HTTP requests that are being read.
    pub heads: u32,
    /// UDP associations.
    pub associations: u32,
    /// Names that are being looked up for these.
    pub lookups: u32,
    /// Bytes of the datagrams that wait for them.
    pub held_bytes: usize,
}

/// The clients that have sessions.
#[derive(Debug, Default)]
pub struct Clients {
    shares: Vec<(Source, Share)>,
}

impl Clients {
    /// What `source` has.
    pub fn share(&self, source: Source) -> Share {
        let at = self.position(source);
        at.map(|at| self.shares[at].1).unwrap_or_default()
    }

    /// The same, to be changed; `None` where it has no session.
    #[inline(never)]
    pub fn share_mut(&mut self, source: Source) -> Option<&mut Share> {
        let at = self.position(source).ok()?;
        Some(&mut self.shares[at].1)
    }

    /// A session of `source` has come, and is being opened.
    pub fn enter(&mut self, source: Source) {
        let at = match self.position(source) {
            Ok(at) => at,
            Err(at) => {
                self.shares.insert(at, (source, Share::default()));
                at
            }
        };
        let share = &mut self.shares[at].1;
        share.sessions += 1;
        share.openings += 1;
    }

    /// A session of `source` is no longer being opened.
    pub fn opened(&mut self, source: Source) {
        if let Some(share) = self.share_mut(source) {
            share.openings -= 1;
        }
    }

    /// A session of `source` has gone.
    pub fn leave(&mut self, source: Source) {
        if let Ok(at) = self.position(source) {
            let share = &mut self.shares[at].1;
            share.sessions -= 1;
            if share.sessions == 0 {
                self.shares.remove(at);
            }
        }
    }

    /// How many clients have sessions.
    pub fn len(&self) -> usize {
        self.shares.len()
    }

    /// Whether no client has any.
    pub fn is_empty(&self) -> bool {
        self.shares.is_empty()
    }

    #[inline(never)]
    fn position(&self, source: Source) -> Result<usize, usize> {
        self.shares.binary_search_by_key(&source, |share| share.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::IpAddr;

    #[test]
    fn shares_follow_the_sessions_and_vanish_with_the_last() {
        let source = |text: &str| Source::from(text.parse::<IpAddr>().unwrap());
        let (a, b) = (source("10.0.0.1"), source("10.0.0.2"));
        let mut clients = Clients::default();
        clients.enter(b);
        clients.enter(a);
        clients.enter(a);
        clients.opened(a);
        assert_eq!(
            clients.share(a),
            Share {
                sessions: 2,
                openings: 1,
                ..Share::default()
            }
        );
        assert_eq!(
            clients.share(b),
            Share {
                sessions: 1,
                openings: 1,
                ..Share::default()
            }
        );
        clients.opened(a);
        clients.leave(a);
        clients.leave(a);
        assert_eq!(clients.share(a), Share::default());
        assert_eq!(clients.len(), 1);
    }
}
