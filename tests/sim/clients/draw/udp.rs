//! Draws the scenario of a UDP association: its remotes, and what the client sends and when.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anklet::net::Millis;
use fastrand::Rng;

use crate::clients::scenario::{ConnectOutcome, End, Scenario};
use crate::clients::udp_scenario::RemoteBehaviour::{
    Echo, OtherPort, Oversized, SendFails, Silent, Unreachable, Unsolicited,
};
use crate::clients::udp_scenario::{
    ARRIVAL_MS, PORTS, PORTS_FIRST, Remote, UdpAction, UdpScenario,
};
use crate::network::datagram::{TAG_BYTES, Tag, UNDELIVERABLE, header};

/// A client that has been silent for this long may send from another port: 30 s (U3), and the way
/// of the datagrams.
const SILENCE_MS: (Millis, Millis) = (32_000, 36_000);

impl Scenario {
    /// Draws the scenario of a UDP association.
    pub(super) fn draw_udp(&mut self, rng: &mut Rng, number: u8) {
        let mut remotes = remotes(rng, number);
        self.target_addrs.clear();
        self.name = None;
        if rng.u8(..3) == 0 {
            let names = [
                "good", "good", "alias", "long", "plain", "none", "fail", "dead",
            ];
            self.name = Some(names[rng.usize(..names.len())]);
            remotes[0].behaviour = Echo;
            self.target_addrs = vec![(remotes[0].addr, ConnectOutcome::Succeeds)];
        }
        // Two programs of one host: the association is that one's whose datagram comes first.
        let two_ports = rng.u8(..5) == 0;
        let hint = match rng.u8(..3) {
            0 => PORTS_FIRST + PORTS * u16::from(number),
            _ => 0,
        };
        // Numbers of its own, so that the rest is what it would be without.
        let mut own = Rng::with_seed(!rng.get_seed());
        let mut actions = Vec::new();
        let phases = rng.u16(1..=2);
        for phase in 0..phases {
            if phase > 0 {
                actions.push(UdpAction::Wait(rng.u64(SILENCE_MS.0..SILENCE_MS.1)));
            }
            for _ in 0..rng.u8(1..6) {
                let burst = if rng.u8(..5) == 0 { 40 } else { 5 };
                for _ in 0..rng.u8(1..=burst) {
                    let port = if two_ports { rng.u16(..2) } else { phase };
                    actions.push(self.action(rng, number, &remotes, port, !two_ports));
                }
                self.push_bulk(
                    &mut own,
                    number,
                    &remotes,
                    (phase, !two_ports),
                    &mut actions,
                );
                actions.push(UdpAction::Wait(rng.u64(..400)));
            }
        }
        actions.push(UdpAction::Wait(rng.u64(ARRIVAL_MS..2 * ARRIVAL_MS)));
        let ends = [
            End::Fin,
            End::Fin,
            End::Reset(0),
            End::Vanish(0),
            End::Never,
        ];
        let end = ends[rng.usize(..if two_ports { 3 } else { 5 })];
        self.udp = Some(UdpScenario {
            remotes,
            actions,
            hint,
            end,
        });
    }

    /// Draws an action of a client that sends from that port. Not `calm`: two of its ports
    /// contend for the association, so nothing is sure to arrive.
    fn action(
        &self,
        rng: &mut Rng,
        client: u8,
        remotes: &[Remote],
        port: u16,
        calm: bool,
    ) -> UdpAction {
        let first = remotes[0].addr;
        match rng.u8(..16) {
            0 => UdpAction::SendInvalid(invalid_datagram(rng, client.into(), first), Some(port)),
            1 => {
                let tag = undeliverable(client.into());
                let bytes = [header(first), tag.write(50)].concat();
                // As long as the association belongs to its first port.
                if calm && port == 0 && rng.bool() {
                    UdpAction::SendFromOtherPort(bytes)
                } else {
                    UdpAction::SendInvalid(bytes, None)
                }
            }
            2 => UdpAction::SendOnControl(rng.usize(1..100)),
            _ => self.send(rng, client, remotes, port, calm),
        }
    }

    /// Draws datagrams as QUIC sends them: of one length, the last one shorter.
    fn push_bulk(
        &self,
        rng: &mut Rng,
        client: u8,
        remotes: &[Remote],
        (port, calm): (u16, bool),
        actions: &mut Vec<UdpAction>,
    ) {
        if rng.u8(..3) > 0 {
            return;
        }
        let mut action = self.send(rng, client, remotes, port, calm);
        actions.extend(vec![action.clone(); rng.usize(8..80)]);
        if let UdpAction::Send { len, .. } = &mut action {
            *len = rng.usize(TAG_BYTES..=*len);
        }
        actions.push(action);
    }

    /// Draws an action that sends a valid datagram.
    fn send(
        &self,
        rng: &mut Rng,
        client: u8,
        remotes: &[Remote],
        port: u16,
        calm: bool,
    ) -> UdpAction {
        let remote = loop {
            let remote = rng.usize(..remotes.len());
            // The first remote can always be sent to.
            if remote == 0 || remotes[remote].behaviour != Unsolicited {
                break remote;
            }
        };
        let class = self.name.filter(|_| remote == 0);
        // More names than an association has places for.
        let name = class.map(|class| format!("{class}-{client}.n{}.example", rng.u8(..6)));
        let most = match rng.u8(..64) {
            0 => 65_485,
            1..=8 => 9_000,
            _ => 1_500,
        };
        UdpAction::Send {
            remote,
            len: rng.usize(TAG_BYTES..=most),
            port,
            must_arrive: calm && name.is_none() && remotes[remote].behaviour != SendFails,
            name,
        }
    }
}

/// The tag of a datagram that must arrive nowhere.
fn undeliverable(client: usize) -> Tag {
    Tag {
        client,
        remote: 0,
        from_remote: false,
        number: UNDELIVERABLE,
    }
}

/// Draws the remotes of an association.
fn remotes(rng: &mut Rng, number: u8) -> Vec<Remote> {
    let behaviours = [
        Echo,
        Echo,
        Echo,
        Echo,
        Silent,
        OtherPort,
        Oversized,
        Unreachable,
        SendFails,
        Unsolicited,
    ];
    let remote = |at: u8, rng: &mut Rng| {
        let (v4, v6) = (
            Ipv4Addr::new(45, 68, at, number),
            Ipv6Addr::new(0x2a00, 0x5678, 0, 0, 0, 0, at.into(), number.into()),
        );
        let port = 3000 + 2 * u16::from(number);
        let v4 = SocketAddr::from((v4, port));
        let addr = if rng.u8(..3) == 0 {
            (v6, port).into()
        } else {
            v4
        };
        // The first remote can be sent to.
        let behaviours = if at == 0 {
            &behaviours[..6]
        } else {
            &behaviours
        };
        Remote {
            addr,
            behaviour: behaviours[rng.usize(..behaviours.len())],
        }
    };
    (0..rng.u8(1..5)).map(|at| remote(at, rng)).collect()
}

/// Draws a datagram that the server must drop, for a remote of the client.
fn invalid_datagram(rng: &mut Rng, client: usize, addr: SocketAddr) -> Vec<u8> {
    let mut bytes = [header(addr), undeliverable(client).write(50)].concat();
    let header_len = bytes.len() - 50;
    match rng.u8(..7) {
        0 => bytes.truncate(rng.usize(..header_len)),
        1 => bytes[2] = rng.u8(1..),
        2 => bytes[3] = [0, 2, 5, 255][rng.usize(..4)],
        3 => bytes[rng.usize(..2)] = rng.u8(1..),
        4 => bytes[header_len - 2..header_len].fill(0),
        5 => bytes
            .splice(..header_len, header(([127, 0, 0, 1], 53).into()))
            .for_each(drop),
        _ => bytes
            .splice(..header_len, header(([224, 0, 0, 251], 5353).into()))
            .for_each(drop),
    }
    bytes
}
