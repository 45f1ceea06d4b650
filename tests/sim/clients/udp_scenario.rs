//! The scenario of a UDP association: the remotes, what the client sends and when, and what
//! becomes of each datagram. `draw/udp.rs` draws it, `udp_client.rs` and `udp_remote.rs` act.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::scenario::End;

/// Where the ports of clients begin; each client has four.
pub(crate) const PORTS_FIRST: u16 = 20_000;
/// How many ports a client has.
pub(crate) const PORTS: u16 = 4;

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
