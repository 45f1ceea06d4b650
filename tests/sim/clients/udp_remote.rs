//! Where datagrams arrive: at remotes and at clients. Each must be whole, its own, from whom it
//! says, and come no more often than it was sent.

use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;

use crate::clients::udp_scenario::{ARRIVAL_MS, Delivery, PORTS, PORTS_FIRST, RemoteBehaviour};
use crate::network::datagram::{Datagram, Tag, open};
use crate::network::{Network, SimEvent};

/// What is too long for a client: more than UDP carries behind a header, and more than UDP.
const OVERSIZED_BYTES: (usize, usize) = (65_498, 70_000);

impl Network {
    /// A datagram comes to its end, wherever that is.
    pub(crate) fn arrive(&mut self, datagram: Datagram) {
        let socket = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == datagram.to);
        if let Some(p) = socket {
            return self.udp_arrives(p, datagram);
        }
        if let Some(client) = self.client_at(datagram.to) {
            return self.client_receives(client, &datagram);
        }
        if let Some((client, remote)) = self.remote_at(datagram.to) {
            self.remote_receives(client, remote, &datagram);
        }
    }

    /// The client and the number of the remote with that address.
    pub(crate) fn remote_at(&self, addr: SocketAddr) -> Option<(usize, usize)> {
        self.clients
            .iter()
            .enumerate()
            .find_map(|(number, client)| {
                let mut remotes = client.scenario.udp.as_ref()?.remotes.iter();
                Some((number, remotes.position(|remote| remote.addr == addr)?))
            })
    }

    /// The client with that address of a UDP client.
    fn client_at(&self, addr: SocketAddr) -> Option<usize> {
        let client = usize::from(addr.port().checked_sub(PORTS_FIRST)? / PORTS);
        let own: IpAddr = self.clients.get(client)?.scenario.from.ip();
        (own == addr.ip()).then_some(client)
    }

    /// Finds out which datagram it is, with a header in front or without.
    pub(crate) fn numbered(&self, mut datagram: Datagram) -> Datagram {
        let body = match self.client_at(datagram.to) {
            Some(_) => open(&datagram.bytes).map(|(_, body)| body),
            None => Some(&datagram.bytes[..]),
        };
        let tag = body.and_then(Tag::read);
        datagram.number = tag.map(|tag| (tag.client, tag.number));
        datagram
    }

    /// What has become of a datagram.
    pub(crate) fn delivery(&mut self, (client, number): (usize, u32)) -> Option<&mut Delivery> {
        let number = usize::try_from(number).ok()?;
        self.clients.get_mut(client)?.deliveries.get_mut(number)
    }

    fn remote_receives(&mut self, client: usize, remote: usize, datagram: &Datagram) {
        let Some(p) = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == datagram.from)
        else {
            return self.fail(format!(
                "remote {remote} of client {client} gets a datagram from an unknown socket"
            ));
        };
        let owner = self.udp_sockets[p].client;
        let tag = Tag::read(&datagram.bytes);
        let right = |tag: &Tag| (tag.client, tag.remote, tag.back) == (client, remote, false);
        let Some(tag) = tag.filter(|tag| right(tag) && owner == client) else {
            let text = format!("remote {remote} of client {client} gets {tag:?} of client {owner}");
            return self.fail(text);
        };
        let once = self.odds.udp_twice == 0;
        let Some(delivery) = self.delivery((client, tag.number)) else {
            let text = format!("remote {remote} of client {client} gets what was to be dropped");
            return self.fail(text);
        };
        delivery.arrived += 1;
        if once && delivery.arrived > 1 {
            self.fail(format!(
                "datagram {} of client {client} comes twice",
                tag.number
            ));
        }
        self.answer(p, datagram, tag);
    }

    fn answer(&mut self, p: usize, datagram: &Datagram, tag: Tag) {
        let Some(udp) = &self.clients[tag.client].scenario.udp else {
            return;
        };
        let (addr, behaviour) = (
            udp.remotes[tag.remote].addr,
            udp.remotes[tag.remote].behaviour,
        );
        let unsolicited = udp.remotes.iter().position(|remote| {
            let same = remote.addr.is_ipv4() == addr.is_ipv4();
            same && remote.behaviour == RemoteBehaviour::Unsolicited
        });
        let number = Some((tag.client, tag.number));
        let send = |net: &mut Self, from: SocketAddr, remote: usize, len: usize| {
            let tag = Tag {
                back: true,
                remote,
                ..tag
            };
            let to = datagram.from;
            net.forward_datagram(Datagram {
                from,
                to,
                bytes: tag.write(len),
                number,
            });
        };
        let len = datagram.bytes.len();
        if matches!(
            behaviour,
            RemoteBehaviour::Echo | RemoteBehaviour::OtherPort | RemoteBehaviour::Oversized
        ) {
            let port = addr.port() + u16::from(behaviour == RemoteBehaviour::OtherPort);
            if let Some(delivery) = self.delivery((tag.client, tag.number)) {
                delivery.answered += 1;
            }
            send(self, SocketAddr::new(addr.ip(), port), tag.remote, len);
        }
        match (behaviour, unsolicited) {
            (RemoteBehaviour::Oversized, _) if len < 100 => {
                let len = self.rng.usize(OVERSIZED_BYTES.0..=OVERSIZED_BYTES.1);
                let tag = Tag {
                    back: true,
                    number: crate::network::datagram::UNDELIVERABLE,
                    ..tag
                };
                let bytes = tag.write(len);
                self.forward_datagram(Datagram {
                    from: addr,
                    to: datagram.from,
                    bytes,
                    number: None,
                });
            }
            (RemoteBehaviour::Unreachable, _) => {
                let latency = self.latency();
                self.schedule(latency, SimEvent::UdpError(p, Errno::ECONNREFUSED));
            }
            (_, Some(other)) => {
                let Some(udp) = &self.clients[tag.client].scenario.udp else {
                    return;
                };
                let from = udp.remotes[other].addr;
                send(self, from, other, len);
            }
            _ => {}
        }
    }

    fn client_receives(&mut self, client: usize, datagram: &Datagram) {
        let inner = self.clients[client]
            .inner
            .map(|p| self.udp_sockets[p].local);
        let opened = open(&datagram.bytes);
        let Some((source, tag)) = opened.and_then(|(source, body)| {
            let tag = Tag::read(body).filter(|tag| tag.back && tag.client == client)?;
            Some((source, tag))
        }) else {
            return self.fail(format!(
                "client {client} gets what is no datagram of its: {opened:?}"
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
                "client {client} is told of {source}, not {}",
                remote.addr
            ));
        }
        let once = self.odds.udp_twice == 0;
        let Some(delivery) = self.delivery((client, tag.number)) else {
            return self.fail(format!("client {client} gets an answer to nothing"));
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

    /// The association is over, or will be: what could arrive has arrived.
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
