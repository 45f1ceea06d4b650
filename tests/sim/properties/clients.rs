//! Each client is answered, and closed, as its scenario allows, and comes to its end in time.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::client_actor::{ClientActor, LATE_MS, Stage};
use crate::clients::reply_format::Reply;
use crate::clients::scenario::Kind;
use crate::network::Network;

impl Network {
    /// A request of a client is answered, for good: by a code that its scenario allows, and
    /// without an address if it is refused. A code that says "some failure" is right as well where
    /// a fault has struck or a table may have been full.
    pub(crate) fn check_reply(&mut self, number: usize, reply: Reply) {
        let code = reply.code;
        let client = &self.clients[number];
        let (kind, dialect) = (client.scenario.kind, client.scenario.dialect);
        let granted = code == dialect.success();
        let full = code == dialect.failure() && self.was_crowded(number);
        let client = &self.clients[number];
        // A head of 32 KiB in small pieces may take longer than a handshake may.
        let handshake_ms = Millis::from(self.checks.timeouts.handshake_ms);
        let is_slow = kind == Kind::Garbage && self.now >= client.scenario.start_ms + handshake_ms;
        let may_be_late = kind == Kind::Unfinished || is_slow;
        let late = may_be_late && dialect.is_http() && code == 408;
        // In a small table a name that has waited for two seconds makes room for another.
        let waited = self.now >= client.scenario.start_ms + 2_000;
        let may_wait = waited && self.checks.small_tables && client.scenario.name.is_some();
        let given_up = may_wait && [4, 91, 504].contains(&code);
        let faulted = !granted && (client.faulted || full || given_up);
        if !client.scenario.codes.contains(&code) && !faulted && !late && !self.checks.closing {
            self.fail(format!(
                "client {number} ({kind:?}) is answered with code {code}"
            ));
        }
        let has_addr = |bound: SocketAddr| bound.port() != 0 || !bound.ip().is_unspecified();
        if !granted && reply.bound.is_some_and(has_addr) {
            self.fail(format!(
                "client {number} is refused with an address: {reply:?}"
            ));
        }
    }
}

impl ClientActor {
    /// The client has come further, or is closed, by the time that was set for it.
    pub(crate) fn check_deadline(&self, net: &mut Network) {
        let client = &net.clients[self.client];
        let due = self.due_ms.is_some_and(|due_ms| due_ms <= net.now);
        if !due || client.faulted || net.checks.closing {
            return;
        }
        let held = |s: &usize| {
            let socket = &net.sockets[*s];
            !socket.dropped && (socket.accepted_at.is_some() || socket.token.is_some())
        };
        let open = net
            .udp_sockets
            .iter()
            .any(|socket| socket.client == self.client && !socket.dropped);
        let held = held(&self.s) || client.targets.iter().any(held) || open;
        let late = match self.stage {
            Stage::Tunnel => !client.done,
            _ => held,
        };
        if late {
            let (kind, number, stage) = (client.scenario.kind, self.client, self.stage);
            let progress = net.sockets[self.s].progress;
            net.fail(format!(
                "client {number} ({kind:?}) hangs in {stage:?}: {progress:?}"
            ));
        }
    }

    /// Returns `true` if it may have been closed as it was accepted: that is so in small tables.
    pub(crate) fn was_turned_away(&self, net: &Network) -> bool {
        net.checks.small_tables && net.sockets[self.s].token.is_none()
    }

    /// The server has closed, by a `reset` or in order, and there is no tunnel.
    pub(crate) fn check_close(&self, net: &mut Network, reset: bool) {
        let was_crowded = net.was_crowded(self.client);
        let (client, sockets) = (&net.clients[self.client], &net.sockets);
        let scenario = &client.scenario;
        let idle_ms = net.now - client.moved_ms + LATE_MS / 5;
        let idle =
            self.stage == Stage::Associated && idle_ms >= Millis::from(net.checks.timeouts.udp_ms);
        let planned = idle
            || matches!(self.stage, Stage::Refused | Stage::Left)
            || scenario.stop.is_some()
            || scenario.codes.is_empty()
            || self.may_be_cut(net)
            || client.targets.iter().any(|s| sockets[*s].progress.left);
        let turned_away = self.was_turned_away(net);
        let faulted = client.faulted || net.checks.closing || turned_away || was_crowded;
        let (kind, number, stage) = (scenario.kind, self.client, self.stage);
        if !planned && !faulted {
            net.fail(format!(
                "client {number} ({kind:?}) is closed in {stage:?}, by reset: {reset}"
            ));
        }
        let accepted_ms = net.sockets[self.s].accepted_at.unwrap_or(net.now);
        let early = net.now - accepted_ms + 100 < Millis::from(net.checks.timeouts.handshake_ms);
        if kind == Kind::Unfinished && stage != Stage::Refused && early && !faulted {
            net.fail(format!(
                "client {number} is closed before its handshake is late"
            ));
        }
    }
}
