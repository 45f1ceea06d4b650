//! False events: the server must cope with events that mean nothing.
//!
//! A spurious event belongs to an open socket with nothing new. A stale one has the token of a
//! socket that the server has closed, which shows by the token's generation.

use anklet::net::Event;
use anklet::state::slots::{Key, Role, Token};

use crate::network::Network;
use crate::world::Inner;

/// The number of tokens of closed sockets that are remembered for stale events.
const STALE_MAX: usize = 8;

impl Inner {
    /// Adds spurious and stale events to a batch.
    pub(crate) fn add_false_events(&mut self, events: &mut Vec<Event>) {
        let net = &mut self.network;
        if net.chance(net.odds.spurious) {
            let pick = net.rng.usize(..net.sockets.len().max(1));
            let socket = net.sockets.get(pick).filter(|socket| !socket.dropped);
            if let Some(token) = socket.and_then(|socket| socket.token) {
                let (readable, writable) = (net.rng.bool(), net.rng.bool());
                events.push(Event {
                    token,
                    readable,
                    writable,
                    ended: false,
                    failed: false,
                });
            }
        }
        if net.chance(net.odds.stale) {
            let at = net.rng.usize(..=events.len());
            let stale = net
                .stale
                .iter()
                .next()
                .map(|token| event_with_all_flags(*token));
            events.splice(at..at, stale);
        }
    }

    /// Delivers a batch with nothing but an event of a closed socket whose slot another session has
    /// by now: no session may act.
    pub(crate) fn deliver_stale(&mut self, events: &mut Vec<Event>) {
        let net = &mut self.network;
        let open = net
            .sockets
            .iter()
            .filter(|socket| !socket.dropped && socket.client.is_some());
        let keys: Vec<Key> = open
            .filter_map(|socket| Some(socket.token?.key()))
            .collect();
        let reused = |token: &&Token| {
            let key = token.key();
            let session = !matches!(
                token.role(),
                Some(Role::Listener | Role::System | Role::Dns)
            );
            // An attempt that has lost its race has the token of the one that has won.
            session && keys.iter().any(|own| own.index() == key.index()) && !keys.contains(&key)
        };
        events.extend(
            net.stale
                .iter()
                .find(reused)
                .map(|token| event_with_all_flags(*token)),
        );
        if !events.is_empty() {
            net.checks.only_stale_events = true;
            net.checks.note_events();
        }
    }
}

impl Network {
    /// Remembers the token of a closed socket.
    pub(crate) fn remember_stale(&mut self, token: Token) {
        self.stale.truncate(STALE_MAX - 1);
        self.stale.push_front(token);
    }
}

/// An event with all flags set.
fn event_with_all_flags(token: Token) -> Event {
    Event {
        token,
        readable: true,
        writable: true,
        ended: true,
        failed: true,
    }
}
