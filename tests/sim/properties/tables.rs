//! How full the server's small tables are, as its sockets show: a refusal for want of room is right
//! only if the table may have been full since the client was accepted.

use std::net::IpAddr;

use anklet::config::Limits;
use anklet::net::Millis;

use crate::network::Network;

/// When each table was last full, for all clients or for one: BINDs, associations, heads.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Tables {
    /// The sizes of the tables.
    pub(crate) limits: Limits,
    full_ms: [Option<Millis>; 3],
}

impl Network {
    /// Notes which tables are full; to be called before an entry leaves one.
    pub(crate) fn note_full(&mut self) {
        let limits = &self.tables.limits;
        let ip = |client: usize| self.clients[client].scenario.from.ip();
        let bind_listeners = self
            .bind_listeners
            .iter()
            .filter(|bind_listener| !bind_listener.dropped);
        let binds: Vec<IpAddr> = bind_listeners
            .map(|bind_listener| ip(bind_listener.client))
            .collect();
        let udp_sockets = self.udp_sockets.iter();
        let inner = udp_sockets.filter(|socket| socket.is_inner() && !socket.dropped);
        let associations: Vec<IpAddr> = inner.map(|socket| ip(socket.client)).collect();
        let heads = (0..self.clients.len()).filter(|client| self.may_hold_head(*client));
        let heads: Vec<IpAddr> = heads.map(ip).collect();
        let full = [
            is_full(&binds, limits.binds_max, limits.per_client_binds_max),
            is_full(
                &associations,
                limits.associations_max,
                limits.per_client_associations_max,
            ),
            // One client may hold a quarter of the heads.
            is_full(&heads, limits.heads_max, limits.heads_max.div_ceil(4)),
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
        let connection = self.clients[client].connection.map(|s| &self.sockets[s]);
        let since = connection.and_then(|connection| connection.accepted_at);
        self.tables.full_ms[table] >= since && since.is_some()
    }

    /// Returns `true` if the server may hold the head of an HTTP client: from accept, as its first
    /// bytes may be there, until its target has taken what came along with the head.
    fn may_hold_head(&self, client: usize) -> bool {
        let client = &self.clients[client];
        let connection = client.connection.map(|s| &self.sockets[s]);
        let open = connection
            .is_some_and(|connection| connection.accepted_at.is_some() && !connection.dropped);
        let passed_on = client.target.map(|s| &self.sockets[s]);
        let over = passed_on.is_some_and(|target| !target.write_blocked && !target.write_held);
        client.scenario.dialect.is_http() && open && !over
    }
}

/// Returns `true` if there is no room for one more entry, of all clients or of one.
fn is_full(owners: &[IpAddr], max: usize, per_client_max: usize) -> bool {
    let of = |ip: &IpAddr| owners.iter().filter(|owner| *owner == ip).count();
    owners.len() >= max || owners.iter().any(|ip| of(ip) >= per_client_max)
}
