//! A client with a UDP association: takes its actions one after the other. What becomes of its
//! datagrams is checked where they arrive, in `properties/datagrams.rs`.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::udp_scenario::{Delivery, PORTS, PORTS_FIRST, UdpAction};
use crate::network::Network;
use crate::network::datagram::{Datagram, Tag, header, named_header};

/// The address of another host, which has no association.
const OTHER_HOST: [u8; 4] = [192, 168, 1, 99];

/// The client's side of an association.
#[derive(Debug)]
pub(crate) struct UdpClient {
    client: usize,
    s: usize,
    /// The address of the server's UDP socket.
    relay: SocketAddr,
    next: usize,
    next_ms: Millis,
}

impl UdpClient {
    /// The side of `client`, whose control connection is socket `s`, and which sends to `relay`.
    pub(crate) fn new(client: usize, s: usize, relay: SocketAddr) -> Self {
        Self {
            client,
            s,
            relay,
            next: 0,
            next_ms: 0,
        }
    }

    /// Takes the actions that are due. Returns `true` if there are no more.
    pub(crate) fn step(&mut self, net: &mut Network) -> bool {
        // Bounded by the number of actions.
        loop {
            if net.now < self.next_ms {
                net.wake(self.s, self.next_ms - net.now);
                return false;
            }
            let Some(udp) = &net.clients[self.client].scenario.udp else {
                return true;
            };
            let Some(action) = udp.actions.get(self.next).cloned() else {
                return true;
            };
            self.next += 1;
            self.run(net, action);
        }
    }

    /// Takes an action.
    fn run(&mut self, net: &mut Network, action: UdpAction) {
        match action {
            UdpAction::Wait(ms) => self.next_ms = net.now + ms,
            UdpAction::SendOnControl(len) => {
                net.peer_send(self.s, &vec![5; len]);
            }
            UdpAction::SendFromOtherPort(bytes) => {
                let deliveries = &net.clients[self.client].deliveries;
                if deliveries.iter().any(|delivery| delivery.arrived > 0) {
                    let from = self.own(net, PORTS - 1);
                    self.send(net, from, bytes, None);
                }
            }
            UdpAction::SendInvalid(bytes, port) => {
                let from = match port {
                    Some(port) => self.own(net, port),
                    None => (OTHER_HOST, PORTS_FIRST).into(),
                };
                self.send(net, from, bytes, None);
            }
            UdpAction::Send {
                remote,
                name,
                len,
                port,
                must_arrive,
            } => {
                let number = self.new_delivery(net, must_arrive);
                let bytes = self.datagram(net, remote, name, len, number);
                let from = self.own(net, port);
                self.send(net, from, bytes, Some((self.client, number)));
            }
        }
    }

    /// Keeps a record of what becomes of the next datagram, and gives it its number.
    fn new_delivery(&self, net: &mut Network, must_arrive: bool) -> u32 {
        let sent_ms = net.now;
        let deliveries = &mut net.clients[self.client].deliveries;
        deliveries.push(Delivery {
            sent_ms,
            must_arrive,
            faulted: false,
            arrived: 0,
            answered: 0,
            returned: 0,
        });
        u32::try_from(deliveries.len() - 1).unwrap_or(u32::MAX)
    }

    /// A datagram for a remote, called by its address or by a name.
    fn datagram(
        &self,
        net: &Network,
        remote: usize,
        name: Option<String>,
        len: usize,
        number: u32,
    ) -> Vec<u8> {
        let scenario = &net.clients[self.client].scenario;
        let udp = scenario.udp.as_ref();
        let addr = udp.expect("the client has an association").remotes[remote].addr;
        let header = match name {
            Some(name) => named_header(&name, addr.port()),
            None => header(addr),
        };
        let tag = Tag {
            client: self.client,
            remote,
            from_remote: false,
            number,
        };
        [header, tag.write(len)].concat()
    }

    /// The address of one of the client's ports.
    fn own(&self, net: &Network, port: u16) -> SocketAddr {
        let first = PORTS_FIRST + PORTS * u16::try_from(self.client).unwrap_or(0);
        SocketAddr::new(net.clients[self.client].scenario.from.ip(), first + port)
    }

    /// Sends a datagram to the server.
    fn send(
        &self,
        net: &mut Network,
        from: SocketAddr,
        bytes: Vec<u8>,
        number: Option<(usize, u32)>,
    ) {
        let to = self.relay;
        net.forward_datagram(Datagram {
            from,
            to,
            bytes,
            number,
        });
    }
}
