//! What becomes of the datagrams of UDP associations: each is whole, reaches only whom it was
//! sent to, says truly where it came from, and comes no more often than it was sent. One that
//! must arrive does so unless a fault has struck it.

use std::net::SocketAddr;

use crate::clients::udp_scenario::{ARRIVAL_MS, Delivery, RemoteBehaviour};
use crate::network::Network;
use crate::network::datagram::{Datagram, Tag, open};

impl Network {
    /// The record of a datagram.
    pub(crate) fn delivery(&mut self, (client, number): (usize, u32)) -> Option<&mut Delivery> {
        let number = usize::try_from(number).ok()?;
        self.clients.get_mut(client)?.deliveries.get_mut(number)
    }

    /// Checks a datagram that reaches a remote. Returns the UDP socket that it came from and its
    /// tag, if all is right.
    pub(crate) fn check_at_remote(
        &mut self,
        client: usize,
        remote: usize,
        datagram: &Datagram,
    ) -> Option<(usize, Tag)> {
        let Some(p) = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == datagram.from)
        else {
            self.fail(format!(
                "remote {remote} of client {client} gets a datagram from an unknown socket"
            ));
            return None;
        };
        let owner = self.udp_sockets[p].client;
        let tag = Tag::read(&datagram.bytes);
        let right =
            |tag: &Tag| (tag.client, tag.remote, tag.from_remote) == (client, remote, false);
        let Some(tag) = tag.filter(|tag| right(tag) && owner == client) else {
            let text = format!("remote {remote} of client {client} gets {tag:?} of client {owner}");
            self.fail(text);
            return None;
        };
        let once = self.odds.udp_twice == 0;
        let Some(delivery) = self.delivery((client, tag.number)) else {
            let text = format!(
                "remote {remote} of client {client} gets a datagram that was to be dropped"
            );
            self.fail(text);
            return None;
        };
        delivery.arrived += 1;
        if once && delivery.arrived > 1 {
            self.fail(format!(
                "datagram {} of client {client} comes twice",
                tag.number
            ));
        }
        Some((p, tag))
    }

    /// Checks a datagram that reaches a client.
    pub(crate) fn check_at_client(&mut self, client: usize, datagram: &Datagram) {
        let inner = self.clients[client]
            .inner
            .map(|p| self.udp_sockets[p].local);
        let opened = open(&datagram.bytes);
        let Some((source, tag)) = opened.and_then(|(source, body)| {
            let tag = Tag::read(body).filter(|tag| tag.from_remote && tag.client == client)?;
            Some((source, tag))
        }) else {
            return self.fail(format!(
                "client {client} gets a datagram that is not its own: {opened:?}"
            ));
        };
        let strict = self.checks.strict;
        let remote = self.clients[client]
            .scenario
            .udp
            .as_ref()
            .map(|udp| udp.remotes[tag.remote]);
        let Some(remote) = remote.filter(|_| inner == Some(datagram.from)) else {
            return self.fail(format!(
                "client {client} gets a datagram from {}",
                datagram.from
            ));
        };
        let next = u16::from(remote.behaviour == RemoteBehaviour::OtherPort);
        let unsolicited = remote.behaviour == RemoteBehaviour::Unsolicited && tag.remote > 0;
        if source != SocketAddr::new(remote.addr.ip(), remote.addr.port() + next) {
            return self.fail(format!(
                "client {client} gets a datagram with the source {source}, not {}",
                remote.addr
            ));
        }
        let once = self.odds.udp_twice == 0;
        let Some(delivery) = self.delivery((client, tag.number)) else {
            return self.fail(format!("client {client} gets an answer to no datagram"));
        };
        if unsolicited {
            if strict {
                self.fail(format!(
                    "client {client} gets a datagram from {source}, unsolicited"
                ));
            }
            return;
        }
        delivery.returned += 1;
        if once && delivery.returned > delivery.answered {
            self.fail(format!(
                "the answer {} of client {client} comes twice",
                tag.number
            ));
        }
    }

    /// Checks that what must arrive has arrived, as the association is about to end.
    pub(crate) fn check_deliveries(&mut self, client: usize) {
        let now = self.now;
        if self.clients[client].faulted {
            return;
        }
        let lost = |delivery: &&Delivery| {
            let due =
                delivery.must_arrive && !delivery.faulted && delivery.sent_ms + ARRIVAL_MS <= now;
            due && (delivery.arrived == 0 || (delivery.answered > 0 && delivery.returned == 0))
        };
        if let Some(delivery) = self.clients[client].deliveries.iter().find(lost) {
            let text =
                format!("a datagram of client {client} is lost without a fault: {delivery:?}");
            self.fail(text);
        }
    }
}
