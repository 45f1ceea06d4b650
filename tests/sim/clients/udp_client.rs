//! A client with a UDP association: runs its errands one after the other.
//! What becomes of its letters is seen where they arrive, in `udp_remote.rs`.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::udp_scenario::{Errand, Fate, PORTS, PORTS_FIRST};
use crate::network::Network;
use crate::network::datagram::{Letter, Stamp, header, named_header};

/// Where somebody sends from who is not the client.
const STRANGER: [u8; 4] = [192, 168, 1, 99];

/// The client's side of an association.
#[derive(Debug)]
pub(crate) struct Correspondent {
    life: usize,
    s: usize,
    /// Where the server takes letters.
    relay: SocketAddr,
    next: usize,
    next_ms: Millis,
}

impl Correspondent {
    /// The one of `life`, whose control connection is `s`, told to send to `relay`.
    pub(crate) fn new(life: usize, s: usize, relay: SocketAddr) -> Self {
        Self {
            life,
            s,
            relay,
            next: 0,
            next_ms: 0,
        }
    }

    /// Does what is due. Whether everything is done.
    pub(crate) fn step(&mut self, net: &mut Network) -> bool {
        // Bounded by the number of errands.
        loop {
            if net.now < self.next_ms {
                net.wake(self.s, self.next_ms - net.now);
                return false;
            }
            let Some(mail) = &net.lives[self.life].plan.mail else {
                return true;
            };
            let Some(errand) = mail.errands.get(self.next).cloned() else {
                return true;
            };
            self.next += 1;
            self.run(net, errand);
        }
    }

    fn run(&mut self, net: &mut Network, errand: Errand) {
        match errand {
            Errand::Wait(ms) => self.next_ms = net.now + ms,
            Errand::Chatter(len) => {
                net.peer_send(self.s, &vec![5; len]);
            }
            Errand::Rival(bytes) => {
                if net.lives[self.life]
                    .fates
                    .iter()
                    .any(|fate| fate.arrived > 0)
                {
                    let from = self.own(net, PORTS - 1);
                    self.send(net, from, bytes, None);
                }
            }
            Errand::Noise(bytes, port) => {
                let from = match port {
                    Some(port) => self.own(net, port),
                    None => (STRANGER, PORTS_FIRST).into(),
                };
                self.send(net, from, bytes, None);
            }
            Errand::Letter {
                remote,
                name,
                len,
                port,
                sure,
            } => {
                let site = net.lives[self.life]
                    .plan
                    .mail
                    .as_ref()
                    .map(|mail| mail.remotes[remote]);
                let Some(site) = site.map(|remote| remote.site) else {
                    return;
                };
                let fates = &mut net.lives[self.life].fates;
                let number = u32::try_from(fates.len()).unwrap_or(u32::MAX);
                fates.push(Fate {
                    sent_ms: net.now,
                    sure,
                    excused: false,
                    arrived: 0,
                    answered: 0,
                    returned: 0,
                });
                let head = match name {
                    Some(name) => named_header(&name, site.port()),
                    None => header(site),
                };
                let stamp = Stamp {
                    life: self.life,
                    remote,
                    back: false,
                    number,
                };
                let bytes = [head, stamp.write(len)].concat();
                let from = self.own(net, port);
                self.send(net, from, bytes, Some((self.life, number)));
            }
        }
    }

    fn own(&self, net: &Network, port: u16) -> SocketAddr {
        let first = PORTS_FIRST + PORTS * u16::try_from(self.life).unwrap_or(0);
        SocketAddr::new(net.lives[self.life].plan.from.ip(), first + port)
    }

    fn send(
        &self,
        net: &mut Network,
        from: SocketAddr,
        bytes: Vec<u8>,
        number: Option<(usize, u32)>,
    ) {
        let to = self.relay;
        net.carry(Letter {
            from,
            to,
            bytes,
            number,
        });
    }
}
