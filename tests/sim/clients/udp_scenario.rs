//! The scenario of a UDP association: the remotes, what the client sends and when, and what
//! becomes of each datagram. `draw/udp.rs` draws it, `udp_client.rs` and `udp_remote.rs` act.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::scenario::End;

/// Where the ports of clients begin; each client has four.
pub(crate) const PORTS_FIRST: u16 = 20_000;
/// The number of ports that a client has.
pub(crate) const PORTS: u16 = 4;

/// A datagram, or the answer to it, that has not arrived after this time is lost: four ways at
/// their slowest, with injected shortages.
pub(crate) const ARRIVAL_MS: Millis = 1_800;

/// What a remote does with a datagram.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RemoteBehaviour {
    /// Sends an answer.
    Echo,
    /// Sends nothing.
    Silent,
    /// Sends an answer from its next port.
    OtherPort,
    /// Sends an answer, and one that is too long for any client.
    Oversized,
    /// Is not there: an ICMP error comes back.
    Unreachable,
    /// Cannot be sent to: the server's own firewall forbids it (EPERM).
    SendFails,
    /// Sends to the client when another remote has received a datagram, without having been sent
    /// one.
    Unsolicited,
}

/// A remote, which a client of a UDP association sends to.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Remote {
    /// Its address.
    pub(crate) addr: SocketAddr,
    /// What it does with a datagram.
    pub(crate) behaviour: RemoteBehaviour,
}

/// An action of a client.
#[derive(Clone, Debug)]
pub(crate) enum UdpAction {
    /// Waits.
    Wait(Millis),
    /// Sends a datagram to that remote, from its port of that number.
    Send {
        /// The remote's number.
        remote: usize,
        /// The name it is called by, if not its address.
        name: Option<String>,
        /// The number of bytes behind the header.
        len: usize,
        /// Which of the client's ports.
        port: u16,
        /// It arrives unless a fault strikes it.
        must_arrive: bool,
    },
    /// Sends a datagram that must arrive nowhere, from the client's port of that number or (`None`)
    /// from another host.
    SendInvalid(Vec<u8>, Option<u16>),
    /// Sends such a datagram from a port of its own that is not the association's, once one from
    /// the association's port has arrived.
    SendFromOtherPort(Vec<u8>),
    /// Sends that many bytes over the TCP connection, which are to be discarded.
    SendOnControl(usize),
}

/// The scenario of a UDP association.
#[derive(Debug)]
pub(crate) struct UdpScenario {
    /// The remotes; the first one always answers or is silent, and may have a name.
    pub(crate) remotes: Vec<Remote>,
    /// The actions of the client, in order.
    pub(crate) actions: Vec<UdpAction>,
    /// The client's port in the request; 0: it is not said.
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
    /// How often it has arrived at the remote.
    pub(crate) arrived: u32,
    /// How often it was answered.
    pub(crate) answered: u32,
    /// How often the answer has arrived at the client.
    pub(crate) returned: u32,
}
