//! Where datagrams arrive, and how the remotes of UDP associations answer them. That they are
//! right is checked in `properties/datagrams.rs`.

use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;

use crate::clients::udp_scenario::RemoteBehaviour::{
    self, Echo, OtherPort, Oversized, Unreachable,
};
use crate::clients::udp_scenario::{PORTS, PORTS_FIRST, Remote};
use crate::network::datagram::{Datagram, Tag, UNDELIVERABLE, open};
use crate::network::{Network, SimEvent};

/// Lengths that are too long for a client: from more than UDP carries behind a header, to more than
/// UDP carries at all.
const OVERSIZED_BYTES: (usize, usize) = (65_498, 70_000);

impl Network {
    /// A datagram reaches its destination: a socket of the server, a client, or a remote.
    pub(crate) fn arrive(&mut self, datagram: Datagram) {
        let socket = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == datagram.to);
        if let Some(p) = socket {
            return self.udp_arrives(p, datagram);
        }
        if let Some(client) = self.client_at(datagram.to) {
            return self.check_at_client(client, &datagram);
        }
        if let Some((client, remote)) = self.remote_at(datagram.to) {
            let received = self.check_at_remote(client, remote, &datagram);
            if let Some((p, tag)) = received {
                self.answer(p, &datagram, tag);
            }
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

    /// The client whose UDP port has that address.
    fn client_at(&self, addr: SocketAddr) -> Option<usize> {
        let client = usize::from(addr.port().checked_sub(PORTS_FIRST)? / PORTS);
        let own: IpAddr = self.clients.get(client)?.scenario.from.ip();
        (own == addr.ip()).then_some(client)
    }

    /// Finds the number of a datagram from its tag, with a SOCKS header in front or without.
    pub(crate) fn numbered(&self, mut datagram: Datagram) -> Datagram {
        let body = match self.client_at(datagram.to) {
            Some(_) => open(&datagram.bytes).map(|(_, body)| body),
            None => Some(&datagram.bytes[..]),
        };
        let tag = body.and_then(Tag::read);
        datagram.number = tag.map(|tag| (tag.client, tag.number));
        datagram
    }

    /// Does with a datagram from UDP socket `p` what the remote's behaviour asks for.
    fn answer(&mut self, p: usize, datagram: &Datagram, tag: Tag) {
        let Some(udp) = &self.clients[tag.client].scenario.udp else {
            return;
        };
        let Remote { addr, behaviour } = udp.remotes[tag.remote];
        let unsolicited = udp.remotes.iter().position(|remote| {
            let same = remote.addr.is_ipv4() == addr.is_ipv4();
            same && remote.behaviour == RemoteBehaviour::Unsolicited
        });
        let unsolicited = unsolicited.map(|other| (other, udp.remotes[other].addr));
        let len = datagram.bytes.len();
        if matches!(behaviour, Echo | OtherPort | Oversized) {
            let port = addr.port() + u16::from(behaviour == OtherPort);
            if let Some(delivery) = self.delivery((tag.client, tag.number)) {
                delivery.answered += 1;
            }
            let from = SocketAddr::new(addr.ip(), port);
            self.send_back(datagram.from, from, tag, len);
        }
        match (behaviour, unsolicited) {
            (Oversized, _) if len < 100 => {
                let len = self.rng.usize(OVERSIZED_BYTES.0..=OVERSIZED_BYTES.1);
                let number = UNDELIVERABLE;
                self.send_back(datagram.from, addr, Tag { number, ..tag }, len);
            }
            (Unreachable, _) => {
                let latency = self.latency();
                self.schedule(latency, SimEvent::UdpError(p, Errno::ECONNREFUSED));
            }
            (_, Some((remote, from))) => {
                self.send_back(datagram.from, from, Tag { remote, ..tag }, len);
            }
            _ => {}
        }
    }

    /// Sends a datagram with that tag and length from a remote to a socket of the server.
    fn send_back(&mut self, to: SocketAddr, from: SocketAddr, tag: Tag, len: usize) {
        let bytes = Tag {
            from_remote: true,
            ..tag
        }
        .write(len);
        let number = (tag.number != UNDELIVERABLE).then_some((tag.client, tag.number));
        self.forward_datagram(Datagram {
            from,
            to,
            bytes,
            number,
        });
    }
}
