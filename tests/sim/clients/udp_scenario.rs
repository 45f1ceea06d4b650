//! The scenario of a UDP association: the remotes, what the client sends and when, and what becomes of
//! each datagram. Drawn from the seed alone, like all that a client is up to.

use std::net::{Ipv4Addr, Ipv6Addr, SocketAddr};

use anklet::net::Millis;
use fastrand::Rng;

use crate::clients::scenario::{ConnectOutcome, End, Scenario};
use crate::network::datagram::{TAG_BYTES, Tag, UNDELIVERABLE, header};

/// Where the ports of clients begin; each client has four.
pub(crate) const PORTS_FIRST: u16 = 20_000;
/// How many ports a client has.
pub(crate) const PORTS: u16 = 4;

/// A client that has been silent so long may come back with another port (30 s, and the way).
const SILENCE_MS: (Millis, Millis) = (32_000, 36_000);

/// What is not there after so long is lost: four ways at their slowest, and shortages.
pub(crate) const ARRIVAL_MS: Millis = 1_800;

/// What a remote does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteBehaviour {
    /// Sends one back.
    Echo,
    /// Nothing.
    Silent,
    /// Sends one back, from its next port.
    OtherPort,
    /// Sends one back, and one that is too long for any client.
    Oversized,
    /// Is not there: an error comes back.
    Unreachable,
    /// Cannot be sent to: a firewall.
    SendFails,
    /// Writes to the client when others have got a datagram, without having been written to.
    Unsolicited,
}

/// The other end of a UDP association's datagrams.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote {
    /// Where it is written to.
    pub(crate) addr: SocketAddr,
    /// What it does then.
    pub(crate) behaviour: RemoteBehaviour,
}

/// What a client does next.
#[derive(Clone, Debug)]
pub(crate) enum UdpAction {
    /// Nothing, for so long.
    Wait(Millis),
    /// Sends a datagram to that remote, from its port of that number.
    Send {
        /// The remote's number.
        remote: usize,
        /// The name it is called by, if not its address.
        name: Option<String>,
        /// Bytes behind the header.
        len: usize,
        /// Which of the client's ports.
        port: u16,
        /// It arrives, unless a fault strikes.
        must_arrive: bool,
    },
    /// A datagram that must arrive nowhere, from that port of its own, or (`None`) somebody
    /// else's.
    SendInvalid(Vec<u8>, Option<u16>),
    /// The same, from a port that nobody has announced, once a datagram from another has arrived.
    SendFromOtherPort(Vec<u8>),
    /// So many bytes over the TCP connection, which mean nothing.
    SendOnControl(usize),
}

/// The scenario of a UDP association.
#[derive(Debug)]
pub(crate) struct UdpScenario {
    /// With whom; the first is there, and the one that may have a name.
    pub(crate) remotes: Vec<Remote>,
    /// What the client does, in this order.
    pub(crate) actions: Vec<UdpAction>,
    /// Its port, in the request; 0: not said.
    pub(crate) hint: u16,
    /// How it ends.
    pub(crate) end: End,
}

/// What has become of a datagram.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Delivery {
    /// When it was sent.
    pub(crate) sent_ms: Millis,
    /// It arrives, unless a fault strikes.
    pub(crate) must_arrive: bool,
    /// A fault has struck it, or an answer to it.
    pub(crate) faulted: bool,
    /// How often it has arrived.
    pub(crate) arrived: u32,
    /// How often it was answered.
    pub(crate) answered: u32,
    /// How often the answer has arrived.
    pub(crate) returned: u32,
}

impl Scenario {
    /// Draws the scenario of a UDP association.
    pub(crate) fn draw_udp(&mut self, rng: &mut Rng, number: u8) {
        let mut remotes = remotes(rng, number);
        self.target_addrs.clear();
        self.name = None;
        if rng.u8(..3) == 0 {
            let names = [
                "good", "good", "alias", "long", "plain", "none", "fail", "dead",
            ];
            self.name = Some(names[rng.usize(..names.len())]);
            remotes[0].behaviour = RemoteBehaviour::Echo;
            self.target_addrs = vec![(remotes[0].addr, ConnectOutcome::Open)];
        }
        // Two programs of one host, of which the first gets the association: who knows.
        let two_ports = rng.u8(..5) == 0;
        let hint = match rng.u8(..3) {
            0 => PORTS_FIRST + PORTS * u16::from(number),
            _ => 0,
        };
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

    fn action(
        &self,
        rng: &mut Rng,
        client: u8,
        remotes: &[Remote],
        port: u16,
        calm: bool,
    ) -> UdpAction {
        let datagram = |rng: &mut Rng| loop {
            let remote = rng.usize(..remotes.len());
            // The first is always there to be written to.
            if remote == 0 || remotes[remote].behaviour != RemoteBehaviour::Unsolicited {
                break remote;
            }
        };
        match rng.u8(..16) {
            0 => UdpAction::SendInvalid(
                invalid_datagram(rng, client.into(), remotes[0].addr),
                Some(port),
            ),
            1 => {
                let tag = Tag {
                    client: client.into(),
                    remote: 0,
                    back: false,
                    number: UNDELIVERABLE,
                };
                let bytes = [header(remotes[0].addr), tag.write(50)].concat();
                // While the association is its first port's.
                if calm && port == 0 && rng.bool() {
                    UdpAction::SendFromOtherPort(bytes)
                } else {
                    UdpAction::SendInvalid(bytes, None)
                }
            }
            2 => UdpAction::SendOnControl(rng.usize(1..100)),
            _ => {
                let remote = datagram(rng);
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
                    must_arrive: calm
                        && name.is_none()
                        && remotes[remote].behaviour != RemoteBehaviour::SendFails,
                    name,
                }
            }
        }
    }
}

fn remotes(rng: &mut Rng, number: u8) -> Vec<Remote> {
    use RemoteBehaviour::{
        Echo, OtherPort, Oversized, SendFails, Silent, Unreachable, Unsolicited,
    };
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
        // Somebody has to be written to.
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

/// A datagram with which something is wrong, for a remote of the client.
fn invalid_datagram(rng: &mut Rng, client: usize, addr: SocketAddr) -> Vec<u8> {
    let tag = Tag {
        client,
        remote: 0,
        back: false,
        number: UNDELIVERABLE,
    };
    let mut bytes = [header(addr), tag.write(50)].concat();
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
