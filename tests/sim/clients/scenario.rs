//! The scenario of a client, which says what it and its target are going to do, and the record of
//! what has happened to it so far. `draw/` draws scenarios, `client_actor.rs` and `tunnel_end.rs`
//! act.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::udp_scenario::{Delivery, UdpScenario};
use crate::clients::web::{Served, Web};

/// What becomes of the server's attempt to connect to a target.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectOutcome {
    /// It succeeds.
    Succeeds,
    /// It succeeds after that many milliseconds.
    SucceedsAfter(Millis),
    /// It fails with ECONNREFUSED.
    Refused,
    /// It fails at once with ENETUNREACH.
    NetUnreachable,
    /// It fails after a while with EHOSTUNREACH.
    HostUnreachable,
    /// Nobody answers: it never succeeds or fails.
    NoAnswer,
}

/// How an end of a tunnel, or a client in its handshake, ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Sends a FIN when everything is sent.
    Fin,
    /// Sends a FIN when everything is sent and the other direction has ended.
    AfterOther,
    /// Stays open.
    Never,
    /// Resets when that many bytes have been sent and received in all.
    Reset(u64),
    /// Stops answering without a FIN or RST when that many bytes have been sent and received.
    Vanish(u64),
}

/// How one end of a tunnel behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// The number of bytes to send.
    pub(crate) send: u64,
    /// Sends back what it receives, instead of bytes of its own.
    pub(crate) echo: bool,
    /// Sends nothing before the other direction has ended.
    pub(crate) waits: bool,
    /// Whether it reads.
    pub(crate) reads: bool,
    /// The number of bytes read and written per step, at most.
    pub(crate) chunk: usize,
    /// The time between two steps.
    pub(crate) pace_ms: Millis,
    /// How it ends.
    pub(crate) end: End,
}

/// The kinds of clients.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Moves its bytes both ways, then leaves.
    Transfer,
    /// The same, but byte by byte, its handshake included.
    Dripper,
    /// The same, but sends everything from the greeting on at once.
    Pipeliner,
    /// One direction begins when the other has ended.
    HalfCloser,
    /// Never reads.
    NeverReader,
    /// Its target never reads.
    TargetNeverReads,
    /// Leaves within the handshake or the tunnel, by a reset or without a segment.
    Vanisher,
    /// Its target leaves within the tunnel, in the same ways.
    BrokenTarget,
    /// Sends what is no valid request.
    Garbage,
    /// Sends a wrong password.
    WrongPassword,
    /// Its target cannot be reached.
    Unreachable,
    /// Leaves while its target is looked up or connected to.
    GivesUp,
    /// Keeps a silent tunnel, open both ways or half-closed.
    Idler,
    /// Moves a few bytes at a time, with pauses just shorter than the timeout.
    Trickler,
    /// Never finishes the handshake.
    Unfinished,
    /// Asks for a target that the rules forbid.
    Forbidden,
    /// Has a UDP association.
    UdpAssociation,
}

/// The protocol of a client.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Dialect {
    /// RFC 1928.
    Socks5,
    /// SOCKS4 and 4A.
    Socks4,
    /// HTTP CONNECT.
    Connect,
    /// An HTTP request that is forwarded.
    Forward,
}

impl Dialect {
    /// The code of a reply that grants the request.
    pub(crate) fn success(self) -> u16 {
        match self {
            Self::Socks5 => 0,
            Self::Socks4 => 90,
            Self::Connect | Self::Forward => 200,
        }
    }

    /// The code that says "some failure": tables full, out of descriptors.
    pub(crate) fn failure(self) -> u16 {
        match self {
            Self::Socks5 => 1,
            Self::Socks4 => 91,
            Self::Connect | Self::Forward => 503,
        }
    }

    /// Returns `true` if it is HTTP.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Connect | Self::Forward)
    }
}

/// A peer that connects to the listener of a BIND.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindPeer {
    /// Its address.
    pub(crate) from: SocketAddr,
    /// When it connects, counted from the opening of the listener.
    pub(crate) after_ms: Millis,
    /// It is the peer that the client expects.
    pub(crate) expected: bool,
}

/// How the handshake is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// One message at a time, each after the answer to the one before it.
    Stepwise,
    /// The same, byte by byte.
    Dripping,
    /// Everything at once, payload behind it.
    Pipelined,
}

/// Where and how a client stops within its handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// It stops after this number of bytes of the handshake.
    pub(crate) after: usize,
    /// It leaves this much later.
    pub(crate) wait_ms: Millis,
    /// How it leaves: `Fin`, `Never`, `Reset` or `Vanish`, whose number of bytes is not used.
    pub(crate) end: End,
}

/// What a client is going to do.
pub(crate) struct Scenario {
    /// What kind of client it is.
    pub(crate) kind: Kind,
    /// When it connects.
    pub(crate) start_ms: Millis,
    /// The address that it connects from.
    pub(crate) from: SocketAddr,
    /// Its protocol.
    pub(crate) dialect: Dialect,
    /// It asks for BIND, and these peers connect to the listener.
    pub(crate) bind_peers: Option<Vec<BindPeer>>,
    /// Its BIND does not name the peer (zero DST.ADDR).
    pub(crate) any_peer: bool,
    /// It asks for UDP ASSOCIATE, and this is what it does with it.
    pub(crate) udp: Option<UdpScenario>,
    /// Its requests are forwarded.
    pub(crate) web: Option<Web>,
    /// The messages of its handshake.
    pub(crate) handshake: Vec<Vec<u8>>,
    /// How it sends the handshake.
    pub(crate) pace: Pace,
    /// Whether and where it stops within the handshake.
    pub(crate) stop: Option<Stop>,
    /// What the two ends of the tunnel do: client and target.
    pub(crate) behaviours: [Behaviour; 2],
    /// The addresses of its target, with what becomes of an attempt to connect.
    pub(crate) target_addrs: Vec<(SocketAddr, ConnectOutcome)>,
    /// The class of its target's name, which tells the name servers how to answer; `None`: its
    /// request has an address.
    pub(crate) name: Option<&'static str>,
    /// The codes that the last reply may have; empty: it is closed without a reply.
    pub(crate) codes: Vec<u16>,
}

impl Scenario {
    /// What becomes of an attempt to connect to `to`, if that is an address of this client's
    /// target.
    pub(crate) fn connect_outcome(&self, to: SocketAddr) -> Option<ConnectOutcome> {
        self.target_addrs
            .iter()
            .find(|(addr, _)| *addr == to)
            .map(|(_, outcome)| *outcome)
    }

    /// Returns `true` if both ends are to receive everything, in time.
    pub(crate) fn completes(&self) -> bool {
        use Kind::{Dripper, HalfCloser, Pipeliner, Transfer};
        self.stop.is_none()
            && self.codes.contains(&self.dialect.success())
            && matches!(self.kind, Transfer | Dripper | Pipeliner | HalfCloser)
            && self
                .web
                .iter()
                .flat_map(|web| &web.exchanges)
                .all(|exchange| exchange.fate.is_good())
    }

    /// Returns `true` if nothing but its own two ends may end the tunnel.
    pub(crate) fn must_not_be_cut(&self) -> bool {
        self.completes() || self.kind == Kind::Trickler
    }

    /// The number of bytes from that end (client 0, target 1) that reach the other end in all.
    pub(crate) fn total(&self, side: usize) -> u64 {
        if self.behaviours[side].echo {
            self.behaviours[1 - side].send
        } else {
            self.behaviours[side].send
        }
    }
}

/// What one end of a tunnel has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TunnelProgress {
    /// The number of bytes sent.
    pub(crate) sent: u64,
    /// The number of bytes received.
    pub(crate) received: u64,
    /// It has sent a FIN.
    pub(crate) fin: bool,
    /// It has left by a reset or without a segment, as its scenario says.
    pub(crate) left: bool,
}

/// A client: its scenario and what has happened to it so far.
pub(crate) struct Client {
    /// What it is going to do.
    pub(crate) scenario: Scenario,
    /// The socket of its connection to the server.
    pub(crate) connection: Option<usize>,
    /// The sockets of the server's connections to its target, one per attempt.
    pub(crate) targets: Vec<usize>,
    /// The one of them that the client's reply named.
    pub(crate) target: Option<usize>,
    /// The one of them that was connected when the server first wrote to the client: it has won the
    /// race.
    pub(crate) winner: Option<usize>,
    /// How far each of its forwarded requests has come.
    pub(crate) served: Vec<Served>,
    /// What has become of each datagram that it has sent.
    pub(crate) deliveries: Vec<Delivery>,
    /// The UDP socket of the server that it sends datagrams to.
    pub(crate) inner: Option<usize>,
    /// The listener of its BIND.
    pub(crate) bind_listener: Option<usize>,
    /// A fault has struck that may keep it from succeeding.
    pub(crate) faulted: bool,
    /// Its tunnel stood still while memory was short, and was reset for that.
    pub(crate) cut: bool,
    /// When the server last passed on a byte or a datagram of it.
    pub(crate) moved_ms: Millis,
    /// It will do nothing more.
    pub(crate) done: bool,
    /// It has received all that its target had to send.
    pub(crate) complete: bool,
}
