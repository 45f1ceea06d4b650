//! How a client reads the server's replies, and what it does next: goes on with the handshake,
//! waits to be closed, or enters its tunnel or UDP association.

use anklet::net::Millis;

use super::client_actor::{CANCEL_MS, ClientActor, LATE_MS, Stage};
use crate::clients::reply_format::{self, Reply};
use crate::clients::scenario::{Dialect, End, Kind};
use crate::clients::udp_client::UdpClient;
use crate::network::Network;

/// A transfer that can complete must do so within this time, which is far less than any timeout of
/// a tunnel. The slowest scenario takes a quarter of it.
const TRANSFER_MS: Millis = 25_000;

/// RFC 1928 §6: a connection is closed within 10 s of a reply that refuses. With slack.
pub(super) const REFUSED_MS: Millis = 12_000;

/// The expected peer connects to a listener within three seconds of its opening, and is accepted at
/// once. With slack.
const BIND_PEER_MS: Millis = 4_000;

/// The last datagram may wait this long for the lookup of its name.
const LOOKUP_MS: Millis = 20_000;

impl ClientActor {
    /// Reads replies, and no byte behind the last one: what follows belongs to the tunnel.
    pub(super) fn read_replies(&mut self, net: &mut Network) {
        // Bounded: each round reads at least one byte, or a whole reply.
        while let Some(len) = self.reply_len(net) {
            let missing = len - self.reply.len();
            if missing == 0 {
                self.reply_read(net);
                continue;
            }
            let mut bytes = [0; 256];
            let len = net.peer_receive(self.s, &mut bytes[..missing.min(256)]);
            if len == 0 {
                return;
            }
            self.reply.extend(&bytes[..len]);
        }
    }

    /// The length of the reply that it waits for, as far as it is known; `None`: it waits for none.
    fn reply_len(&mut self, net: &mut Network) -> Option<usize> {
        let dialect = net.clients[self.client].scenario.dialect;
        match self.stage {
            Stage::Method | Stage::Login => return Some(2),
            Stage::Reply => {}
            _ => return None,
        }
        let len = reply_format::len(dialect, &self.reply);
        if len.is_none() {
            net.fail(format!("client {}: no end of the reply", self.client));
            self.stage = Stage::Refused;
        }
        len
    }

    /// A whole reply has been received.
    fn reply_read(&mut self, net: &mut Network) {
        let reply = std::mem::take(&mut self.reply);
        let scenario = &net.clients[self.client].scenario;
        let with_login = scenario.handshake.len() == 3;
        net.trace(|| {
            format!(
                "the client of socket {} gets {}",
                self.s,
                reply.escape_ascii()
            )
        });
        if self.stage == Stage::Reply
            && let Some(reply) = reply_format::read(scenario.dialect, &reply)
        {
            return self.replied(net, reply);
        }
        self.stage = match (self.stage, reply[0], reply[1]) {
            (Stage::Method, 5, 0) if !with_login => Stage::Reply,
            (Stage::Method, 5, 2) if with_login => Stage::Login,
            (Stage::Login, 1, 0) => Stage::Reply,
            (Stage::Login, 1, 1) if scenario.kind == Kind::WrongPassword => Stage::Refused,
            (stage, ..) => {
                let client = self.client;
                net.fail(format!(
                    "client {client} is answered {reply:?} in {stage:?}"
                ));
                Stage::Refused
            }
        };
        if self.stage == Stage::Refused {
            self.due_in(net, REFUSED_MS);
        }
    }

    /// The request has been replied to.
    fn replied(&mut self, net: &mut Network, reply: Reply) {
        let (client, number) = (&net.clients[self.client], self.client);
        let dialect = client.scenario.dialect;
        let granted = reply.code == dialect.success();
        if granted && client.scenario.bind_peers.is_some() && !self.bound {
            return self.bind_replied(net, reply);
        }
        net.check_reply(number, reply);
        if !granted {
            self.stage = Stage::Refused;
            return self.due_in(net, REFUSED_MS);
        }
        let client = &net.clients[number];
        if client.scenario.udp.is_some() {
            return self.associate_replied(net, reply);
        }
        let is_named = |s: &&usize| {
            let socket = &net.sockets[**s];
            let addr = if self.bound {
                socket.peer
            } else {
                socket.local
            };
            // A reply of SOCKS4 has no room for an IPv6 address.
            let without_ip = dialect == Dialect::Socks4 && addr.is_ipv6();
            reply
                .bound
                .is_some_and(|bound| bound == addr || (without_ip && bound.port() == addr.port()))
        };
        let target = match dialect.is_http() {
            true => client.winner,
            false => client.targets.iter().find(is_named).copied(),
        };
        self.start_tunnel(net, target);
    }

    /// The first reply to BIND: the listener waits.
    fn bind_replied(&mut self, net: &mut Network, reply: Reply) {
        self.bound = true;
        let client = &net.clients[self.client];
        let listener = client.bind_listener.map(|d| net.bind_listeners[d].local);
        let right = reply.bound.is_some() && reply.bound == listener;
        let comes = client
            .scenario
            .bind_peers
            .iter()
            .flatten()
            .any(|peer| peer.expected);
        if !right {
            let client = self.client;
            net.fail(format!(
                "client {client} gets {reply:?}, its listener is at {listener:?}"
            ));
        }
        // A BIND ends by its timeout if no peer is accepted.
        let wait_ms = if comes {
            BIND_PEER_MS
        } else {
            Millis::from(net.checks.timeouts.bind_ms) + LATE_MS
        };
        if net.clients[self.client].scenario.stop.is_none() {
            self.due_in(net, wait_ms);
        }
    }

    /// The association is established.
    fn associate_replied(&mut self, net: &mut Network, reply: Reply) {
        self.stage = Stage::Associated;
        let inner = net.clients[self.client]
            .inner
            .map(|p| net.udp_sockets[p].local);
        match reply.bound.filter(|bound| inner == Some(*bound)) {
            Some(relay) => {
                self.udp_client = Some(UdpClient::new(self.client, self.s, relay));
            }
            None => {
                let client = self.client;
                net.fail(format!(
                    "client {client} gets {reply:?}, its socket is at {inner:?}"
                ));
            }
        }
    }

    /// Takes the actions of the association, and ends it after the last one.
    pub(super) fn run_udp(&mut self, net: &mut Network) {
        let Some(udp_client) = &mut self.udp_client else {
            return;
        };
        if !udp_client.step(net) || self.due_ms.is_some() {
            return;
        }
        net.check_deliveries(self.client);
        let end = net.clients[self.client]
            .scenario
            .udp
            .as_ref()
            .map(|udp| udp.end);
        net.trace(|| {
            format!(
                "the client of socket {} has sent its datagrams: {end:?}",
                self.s
            )
        });
        match end {
            Some(End::Vanish(_)) => net.peer_vanishes(self.s),
            Some(End::Reset(_)) => net.peer_resets(self.s),
            Some(End::Fin) => net.peer_ends(self.s),
            _ => {}
        }
        let ends = matches!(end, Some(End::Reset(_) | End::Fin));
        if ends {
            self.stage = Stage::Left;
        }
        let wait_ms = if ends {
            CANCEL_MS
        } else {
            Millis::from(net.checks.timeouts.udp_ms) + LOOKUP_MS + LATE_MS
        };
        self.due_in(net, wait_ms);
    }

    /// The tunnel is established, to that socket.
    fn start_tunnel(&mut self, net: &mut Network, target: Option<usize>) {
        let number = self.client;
        self.stage = Stage::Tunnel;
        net.note_full();
        net.clients[number].target = target;
        if target.is_none() {
            net.fail(format!(
                "client {number} gets a reply that names no socket of its target"
            ));
        }
        let scenario = &net.clients[number].scenario;
        if scenario.completes() {
            self.due_in(net, TRANSFER_MS);
        } else if scenario.kind == Kind::Idler {
            let half_closed = scenario.behaviours[0].end == End::Fin;
            let timeouts = &net.checks.timeouts;
            let timeout_ms = match half_closed {
                true => timeouts.half_close_ms,
                false => timeouts.idle_ms,
            };
            self.due_in(net, Millis::from(timeout_ms) + LATE_MS);
        } else {
            self.due_ms = None;
        }
    }
}
