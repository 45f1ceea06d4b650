//! The scenarios of the clients: what a client and its target may be up to, and what is known of
//! each as it goes on. `draw.rs` draws them, `client_actor.rs` and `tunnel_end.rs` act.

use std::net::SocketAddr;

use anklet::net::Millis;

use crate::clients::udp_scenario::{Delivery, UdpScenario};

/// How a connection attempt at a target goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum ConnectOutcome {
    /// Well.
    Succeeds,
    /// Well, after that many milliseconds.
    SucceedsAfter(Millis),
    /// ECONNREFUSED.
    Refused,
    /// ENETUNREACH, at once.
    NetUnreachable,
    /// EHOSTUNREACH, after a while.
    HostUnreachable,
    /// Never to its end.
    NoAnswer,
}

/// How a direction, or a client, comes to its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    /// Ends its direction when everything is sent.
    Fin,
    /// The same, but not before the other direction has ended.
    AfterOther,
    /// Stays.
    Never,
    /// Resets when that many bytes have come and gone.
    Reset(u64),
    /// Vanishes at that point.
    Vanish(u64),
}

/// How one end of a tunnel behaves.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Behaviour {
    /// Bytes to send.
    pub(crate) send: u64,
    /// Sends back what it gets instead.
    pub(crate) echo: bool,
    /// Sends only when the other direction has ended.
    pub(crate) waits: bool,
    /// Reads at all.
    pub(crate) reads: bool,
    /// Bytes per step, read and written.
    pub(crate) chunk: usize,
    /// Time between steps that could follow each other.
    pub(crate) pace_ms: Millis,
    /// How it ends.
    pub(crate) end: End,
}

/// What kind of client it is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Kind {
    /// Moves its bytes both ways, then leaves.
    Transfer,
    /// The same, byte by byte.
    Dripper,
    /// The same, everything from the greeting on in one go.
    Pipeliner,
    /// One direction begins when the other has ended.
    HalfCloser,
    /// Never reads.
    NeverReader,
    /// Its target never reads.
    TargetNeverReads,
    /// Is gone at some point of the handshake or the tunnel, silently or by a reset.
    Vanisher,
    /// Its target resets the tunnel, or vanishes.
    BrokenTarget,
    /// Speaks something else.
    Garbage,
    /// Has the wrong password.
    WrongPassword,
    /// Its target cannot be reached.
    Unreachable,
    /// Leaves while its target is looked up or dialled.
    GivesUp,
    /// Keeps a silent tunnel, open both ways or half-closed.
    Idler,
    /// Moves a few bytes at a time, with pauses just shorter than the timeout.
    Trickler,
    /// Never finishes the handshake.
    Unfinished,
    /// Wants what is forbidden.
    Forbidden,
    /// Has a UDP association.
    UdpAssociation,
}

/// What a client speaks.
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
    /// The code of its answers that grants.
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

    /// Whether it is HTTP.
    pub(crate) fn is_http(self) -> bool {
        matches!(self, Self::Connect | Self::Forward)
    }
}

/// Somebody who comes to the listener of a BIND.
#[derive(Clone, Copy, Debug)]
pub(crate) struct BindPeer {
    /// Where from.
    pub(crate) from: SocketAddr,
    /// So long after the listener was opened.
    pub(crate) after_ms: Millis,
    /// It is the peer that the client expects.
    pub(crate) expected: bool,
}

/// A forwarded request, in full.
#[derive(Debug)]
pub(crate) struct Forward {
    /// What the client sends behind its head: the body, and bytes that belong to nothing.
    pub(crate) upload: Vec<u8>,
    /// What the target is to get: its head and the body.
    pub(crate) script: Vec<u8>,
    /// How much of that is the head.
    pub(crate) head_len: usize,
}

/// How the handshake is sent.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Pace {
    /// Message by message, each after the answer to the last.
    Stepwise,
    /// The same, byte by byte.
    Dripping,
    /// Everything at once, payload behind it.
    Pipelined,
}

/// Stops within the handshake.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stop {
    /// After that many of its bytes.
    pub(crate) after: usize,
    /// And so much later.
    pub(crate) wait_ms: Millis,
    /// In this way: `Fin`, `Never`, `Reset` or `Vanish`, whose number means nothing here.
    pub(crate) end: End,
}

/// What a client is going to do.
pub(crate) struct Scenario {
    /// What kind of client it is.
    pub(crate) kind: Kind,
    /// When it begins.
    pub(crate) start_ms: Millis,
    /// Where it comes from.
    pub(crate) from: SocketAddr,
    /// What it speaks.
    pub(crate) dialect: Dialect,
    /// It asks for BIND, and these come.
    pub(crate) bind_peers: Option<Vec<BindPeer>>,
    /// It does not say who is to come.
    pub(crate) any_peer: bool,
    /// It asks for UDP ASSOCIATE, and sends these.
    pub(crate) udp: Option<UdpScenario>,
    /// Its request is forwarded.
    pub(crate) forward: Option<Forward>,
    /// The messages of its handshake.
    pub(crate) handshake: Vec<Vec<u8>>,
    /// How it sends them.
    pub(crate) pace: Pace,
    /// Where it stops early.
    pub(crate) stop: Option<Stop>,
    /// The two ends of the tunnel: client and target.
    pub(crate) behaviours: [Behaviour; 2],
    /// Its target's addresses.
    pub(crate) target_addrs: Vec<(SocketAddr, ConnectOutcome)>,
    /// The class of its target's name; an address is asked for if there is none.
    pub(crate) name: Option<&'static str>,
    /// The codes that may come with the last reply; none: it is closed without a reply.
    pub(crate) codes: Vec<u16>,
}

impl Scenario {
    /// How an attempt at `to` goes, if that is this client's target.
    pub(crate) fn connect_outcome(&self, to: SocketAddr) -> Option<ConnectOutcome> {
        self.target_addrs
            .iter()
            .find(|(addr, _)| *addr == to)
            .map(|(_, outcome)| *outcome)
    }

    /// Whether both ends are to get everything, in time.
    pub(crate) fn completes(&self) -> bool {
        use Kind::{Dripper, HalfCloser, Pipeliner, Transfer};
        self.stop.is_none()
            && self.codes.contains(&self.dialect.success())
            && matches!(self.kind, Transfer | Dripper | Pipeliner | HalfCloser)
    }

    /// Whether only its own two ends may end the tunnel.
    pub(crate) fn must_not_be_cut(&self) -> bool {
        self.completes() || self.kind == Kind::Trickler
    }

    /// Bytes of that side that reach the other in all.
    pub(crate) fn total(&self, side: usize) -> u64 {
        if let (Some(forward), 0) = (&self.forward, side) {
            forward.script.len() as u64
        } else if self.behaviours[side].echo {
            self.behaviours[1 - side].send
        } else {
            self.behaviours[side].send
        }
    }
}

/// What one end of a tunnel has done so far.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct TunnelProgress {
    /// Bytes sent.
    pub(crate) sent: u64,
    /// Bytes received.
    pub(crate) received: u64,
    /// It has ended its direction.
    pub(crate) fin: bool,
    /// It has reset or vanished, as planned.
    pub(crate) left: bool,
}

/// A client: its scenario and what has happened to it so far.
pub(crate) struct Client {
    /// What it is to be.
    pub(crate) scenario: Scenario,
    /// Its connection to the server.
    pub(crate) connection: Option<usize>,
    /// The server's connections to its target, one per attempt.
    pub(crate) targets: Vec<usize>,
    /// The one of them that the client was told of.
    pub(crate) target: Option<usize>,
    /// The one that was left when the server first wrote to the client with one at hand.
    pub(crate) winner: Option<usize>,
    /// The datagrams that its client has sent.
    pub(crate) deliveries: Vec<Delivery>,
    /// The socket that its client sends them to.
    pub(crate) inner: Option<usize>,
    /// The listener of its BIND.
    pub(crate) bind_listener: Option<usize>,
    /// A fault has struck that may keep it from succeeding.
    pub(crate) faulted: bool,
    /// When the server last passed on a byte of it.
    pub(crate) moved_ms: Millis,
    /// Its client is done.
    pub(crate) done: bool,
    /// Its client has got all that its target had to send.
    pub(crate) complete: bool,
}
