//! Where letters arrive: at remotes and at clients. Each must be whole, its own, from whom it
//! says, and come no more often than it was sent.

use std::net::{IpAddr, SocketAddr};

use nix::errno::Errno;

use crate::clients::udp_scenario::{ARRIVAL_MS, Fate, Manner, PORTS, PORTS_FIRST};
use crate::network::datagram::{Letter, Stamp, open};
use crate::network::{Network, SimEvent};

/// What is too long for a client: more than UDP carries behind a header, and more than UDP.
const LOUD_BYTES: (usize, usize) = (65_498, 70_000);

impl Network {
    /// A letter comes to its end, wherever that is.
    pub(crate) fn arrive(&mut self, letter: Letter) {
        let socket = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == letter.to);
        if let Some(p) = socket {
            return self.udp_arrives(p, letter);
        }
        if let Some(life) = self.client_at(letter.to) {
            return self.client_receives(life, &letter);
        }
        if let Some((life, remote)) = self.remote_at(letter.to) {
            self.remote_receives(life, remote, &letter);
        }
    }

    /// The life and the number of the remote with that address.
    pub(crate) fn remote_at(&self, addr: SocketAddr) -> Option<(usize, usize)> {
        self.lives.iter().enumerate().find_map(|(number, life)| {
            let mut remotes = life.plan.mail.as_ref()?.remotes.iter();
            Some((number, remotes.position(|remote| remote.site == addr)?))
        })
    }

    /// The life with that address of a UDP client.
    fn client_at(&self, addr: SocketAddr) -> Option<usize> {
        let life = usize::from(addr.port().checked_sub(PORTS_FIRST)? / PORTS);
        let own: IpAddr = self.lives.get(life)?.plan.from.ip();
        (own == addr.ip()).then_some(life)
    }

    /// Finds out which letter it is, with a header in front or without.
    pub(crate) fn numbered(&self, mut letter: Letter) -> Letter {
        let body = match self.client_at(letter.to) {
            Some(_) => open(&letter.bytes).map(|(_, body)| body),
            None => Some(&letter.bytes[..]),
        };
        let stamp = body.and_then(Stamp::read);
        letter.number = stamp.map(|stamp| (stamp.life, stamp.number));
        letter
    }

    /// What has become of a letter.
    fn fate(&mut self, (life, number): (usize, u32)) -> Option<&mut Fate> {
        let number = usize::try_from(number).ok()?;
        self.lives.get_mut(life)?.fates.get_mut(number)
    }

    /// A fault strikes a letter.
    pub(crate) fn excuse(&mut self, number: Option<(usize, u32)>) {
        if let Some(fate) = number.and_then(|number| self.fate(number)) {
            fate.excused = true;
        }
    }

    fn remote_receives(&mut self, life: usize, remote: usize, letter: &Letter) {
        let Some(p) = self
            .udp_sockets
            .iter()
            .position(|socket| socket.local == letter.from)
        else {
            return self.fail(format!("remote {remote} of life {life} hears a stranger"));
        };
        let owner = self.udp_sockets[p].life;
        let stamp = Stamp::read(&letter.bytes);
        let right = |stamp: &Stamp| (stamp.life, stamp.remote, stamp.back) == (life, remote, false);
        let Some(stamp) = stamp.filter(|stamp| right(stamp) && owner == life) else {
            let text = format!("remote {remote} of life {life} gets {stamp:?} of life {owner}");
            return self.fail(text);
        };
        let once = self.odds.udp_twice == 0;
        let Some(fate) = self.fate((life, stamp.number)) else {
            let text = format!("remote {remote} of life {life} gets what was to be dropped");
            return self.fail(text);
        };
        fate.arrived += 1;
        if once && fate.arrived > 1 {
            self.fail(format!(
                "letter {} of life {life} comes twice",
                stamp.number
            ));
        }
        self.answer(p, letter, stamp);
    }

    fn answer(&mut self, p: usize, letter: &Letter, stamp: Stamp) {
        let Some(mail) = &self.lives[stamp.life].plan.mail else {
            return;
        };
        let (site, manner) = (
            mail.remotes[stamp.remote].site,
            mail.remotes[stamp.remote].manner,
        );
        let uninvited = mail.remotes.iter().position(|remote| {
            let same = remote.site.is_ipv4() == site.is_ipv4();
            same && remote.manner == Manner::Uninvited
        });
        let number = Some((stamp.life, stamp.number));
        let send = |net: &mut Self, from: SocketAddr, remote: usize, len: usize| {
            let stamp = Stamp {
                back: true,
                remote,
                ..stamp
            };
            let to = letter.from;
            net.carry(Letter {
                from,
                to,
                bytes: stamp.write(len),
                number,
            });
        };
        let len = letter.bytes.len();
        if matches!(manner, Manner::Echo | Manner::OtherPort | Manner::Loud) {
            let port = site.port() + u16::from(manner == Manner::OtherPort);
            if let Some(fate) = self.fate((stamp.life, stamp.number)) {
                fate.answered += 1;
            }
            send(self, SocketAddr::new(site.ip(), port), stamp.remote, len);
        }
        match (manner, uninvited) {
            (Manner::Loud, _) if len < 100 => {
                let len = self.rng.usize(LOUD_BYTES.0..=LOUD_BYTES.1);
                let stamp = Stamp {
                    back: true,
                    number: crate::network::datagram::NOWHERE,
                    ..stamp
                };
                let bytes = stamp.write(len);
                self.carry(Letter {
                    from: site,
                    to: letter.from,
                    bytes,
                    number: None,
                });
            }
            (Manner::Unreachable, _) => {
                let latency = self.latency();
                self.schedule(latency, SimEvent::UdpError(p, Errno::ECONNREFUSED));
            }
            (_, Some(other)) => {
                let Some(mail) = &self.lives[stamp.life].plan.mail else {
                    return;
                };
                let from = mail.remotes[other].site;
                send(self, from, other, len);
            }
            _ => {}
        }
    }

    fn client_receives(&mut self, life: usize, letter: &Letter) {
        let inner = self.lives[life].inner.map(|p| self.udp_sockets[p].local);
        let opened = open(&letter.bytes);
        let Some((source, stamp)) = opened.and_then(|(source, body)| {
            let stamp = Stamp::read(body).filter(|stamp| stamp.back && stamp.life == life)?;
            Some((source, stamp))
        }) else {
            return self.fail(format!(
                "life {life} gets what is no letter of its: {opened:?}"
            ));
        };
        let strict = self.watch.strict;
        let remote = self.lives[life]
            .plan
            .mail
            .as_ref()
            .map(|mail| mail.remotes[stamp.remote]);
        let Some(remote) = remote.filter(|_| inner == Some(letter.from)) else {
            return self.fail(format!("life {life} gets a letter from {}", letter.from));
        };
        let next = u16::from(remote.manner == Manner::OtherPort);
        let uninvited = remote.manner == Manner::Uninvited && stamp.remote > 0;
        if source != SocketAddr::new(remote.site.ip(), remote.site.port() + next) {
            return self.fail(format!(
                "life {life} is told of {source}, not {}",
                remote.site
            ));
        }
        let once = self.odds.udp_twice == 0;
        let Some(fate) = self.fate((life, stamp.number)) else {
            return self.fail(format!("life {life} gets an answer to nothing"));
        };
        if uninvited {
            if strict {
                self.fail(format!(
                    "life {life} gets a letter from {source}, uninvited"
                ));
            }
            return;
        }
        fate.returned += 1;
        if once && fate.returned > fate.answered {
            self.fail(format!(
                "the answer {} of life {life} comes twice",
                stamp.number
            ));
        }
    }

    /// The association is over, or will be: what could arrive has arrived.
    pub(crate) fn settle_letters(&mut self, life: usize) {
        let now = self.now;
        if self.lives[life].excused {
            return;
        }
        let lost = |fate: &&Fate| {
            let due = fate.sure && !fate.excused && fate.sent_ms + ARRIVAL_MS <= now;
            due && (fate.arrived == 0 || (fate.answered > 0 && fate.returned == 0))
        };
        if let Some(fate) = self.lives[life].fates.iter().find(lost) {
            let text = format!("a letter of life {life} is lost without a fault: {fate:?}");
            self.fail(text);
        }
    }
}
