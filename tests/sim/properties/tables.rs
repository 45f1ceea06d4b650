//! How full the server's small tables are, as its sockets show: a refusal for want of room is right
//! only if the table may have been full since the client was accepted.

use anklet::config::Limits;
use anklet::net::Millis;

use crate::network::Network;

/// When each table was last full: BINDs, associations, heads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tables {
    /// The sizes of the tables.
    pub(crate) limits: Limits,
    full_ms: [Option<Millis>; 3],
    /// When there were last so many connections of clients that one may have had to end for
    /// another.
    crowded_ms: Option<Millis>,
}

impl Network {
    /// Notes which tables are full; to be called before an entry leaves one.
    pub(crate) fn note_full(&mut self) {
        let limits = &self.tables.limits;
        let connections = self.clients.iter().filter_map(|client| client.connection);
        let open = connections.filter(|s| {
            let socket = &self.sockets[*s];
            socket.accepted_at.is_some() && !socket.dropped
        });
        // Some of them are being opened, others established: what is what does not show.
        if open.count() >= limits.openings_max.min(limits.established_max) {
            self.tables.crowded_ms = Some(self.now);
        }
        let bind_listeners = self
            .bind_listeners
            .iter()
            .filter(|bind_listener| !bind_listener.dropped);
        let binds = bind_listeners.count();
        let udp_sockets = self.udp_sockets.iter();
        let inner = udp_sockets.filter(|socket| socket.is_inner() && !socket.dropped);
        let associations = inner.count();
        let heads = (0..self.clients.len()).filter(|client| self.may_hold_head(*client));
        let heads = heads.count();
        let full = [
            binds >= limits.binds_max,
            associations >= limits.associations_max,
            heads >= limits.heads_max,
        ];
        for (last, full) in self.tables.full_ms.iter_mut().zip(full) {
            if full {
                *last = Some(self.now);
            }
        }
    }

    /// Returns `true` if the table that a client needs may have been full since it was accepted.
    pub(crate) fn was_full(&mut self, client: usize) -> bool {
        self.note_full();
        let scenario = &self.clients[client].scenario;
        let table = match (&scenario.bind_peers, &scenario.udp) {
            (Some(_), _) => 0,
            (_, Some(_)) => 1,
            _ if scenario.dialect.is_http() => 2,
            _ => return false,
        };
        self.is_since_accept(client, self.tables.full_ms[table])
    }

    /// Returns `true` if the client's session may have had to end for another, or was refused for
    /// want of a place in whatever table.
    pub(crate) fn was_crowded(&mut self, client: usize) -> bool {
        self.note_full();
        self.is_since_accept(client, self.tables.crowded_ms) || self.was_full(client)
    }

    fn is_since_accept(&self, client: usize, at_ms: Option<Millis>) -> bool {
        let connection = self.clients[client].connection.map(|s| &self.sockets[s]);
        let since = connection.and_then(|connection| connection.accepted_at);
        at_ms >= since && since.is_some()
    }

    /// Returns `true` if the server may hold the head of an HTTP client: from accept, as its first
    /// bytes may be there, until its target has taken what came along with the head.
    fn may_hold_head(&self, client: usize) -> bool {
        let client = &self.clients[client];
        if !client.scenario.dialect.is_http() {
            return false;
        }
        let connection = client.connection.map(|s| &self.sockets[s]);
        let open = connection
            .is_some_and(|connection| connection.accepted_at.is_some() && !connection.dropped);
        let passed_on = client.target.map(|s| &self.sockets[s]);
        let over = passed_on.is_some_and(|target| !target.write_blocked && !target.write_held);
        open && !over
    }
}
