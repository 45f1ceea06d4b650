//! How a client acts: sends its handshake, reads the replies, then acts as an end of a tunnel or of
//! a UDP association. Each step is an event of the schedule.

use anklet::net::Millis;

use crate::clients::scenario::{Dialect, End, Kind, Pace, Stop};
use crate::clients::tunnel_end::TunnelEnd;
use crate::clients::udp_client::UdpClient;
use crate::clients::web::{EXCHANGE_MS, WebClient};
use crate::network::{Network, SimEvent};

/// The server closes the connection of a client that has left while its target was connected to
/// within this time. At once, with slack.
pub(crate) const CANCEL_MS: Millis = 1_000;

/// How much later than its timeout a session may be closed, lingering included.
pub(crate) const LATE_MS: Millis = 5_000;

/// How long a handshake takes that is sent byte by byte, a quarter more or less.
const DRIP_MS: Millis = 3_000;

/// What a client waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Stage {
    /// For the answer to its methods (RFC 1928 §3).
    Method,
    /// For the answer to its credential (RFC 1929 §2).
    Login,
    /// For the reply to its request.
    Reply,
    /// Nothing: it has a tunnel.
    Tunnel,
    /// Nothing: it has a UDP association.
    Associated,
    /// To be closed, as it was refused.
    Refused,
    /// It has left, by its own choice.
    Left,
}

/// The actor of a client.
pub(crate) struct ClientActor {
    /// The number of the client.
    pub(crate) client: usize,
    /// The socket of its connection.
    pub(crate) s: usize,
    /// The number of bytes of the handshake that are sent.
    sent: usize,
    /// When it may send the next byte.
    next_ms: Millis,
    /// When it leaves, if it stops within the handshake.
    leave_ms: Option<Millis>,
    /// What it waits for.
    pub(crate) stage: Stage,
    /// What has been received of a reply.
    pub(super) reply: Vec<u8>,
    /// The first reply to BIND has been received.
    pub(super) bound: bool,
    /// It has been accepted, and the time of its handshake is set.
    is_timed: bool,
    /// When it must have come further, or be closed.
    pub(crate) due_ms: Option<Millis>,
    /// Its end of the tunnel.
    tunnel_end: TunnelEnd,
    /// Its side of a UDP association.
    pub(super) udp_client: Option<UdpClient>,
    /// Its side of forwarded requests.
    pub(super) web: WebClient,
}

impl ClientActor {
    /// The actor of `client`, on its connection `s`.
    pub(crate) fn new(net: &Network, client: usize, s: usize) -> Self {
        Self {
            client,
            s,
            sent: 0,
            next_ms: 0,
            leave_ms: None,
            stage: match net.clients[client].scenario.dialect {
                Dialect::Socks5 => Stage::Method,
                _ => Stage::Reply,
            },
            reply: Vec::new(),
            bound: false,
            is_timed: false,
            due_ms: None,
            tunnel_end: TunnelEnd::new(net, client, 0, s),
            udp_client: None,
            web: WebClient::default(),
        }
    }

    /// Takes a step: reads, sends, and leaves if it is time.
    pub(crate) fn step(&mut self, net: &mut Network) {
        if net.clients[self.client].done {
            return;
        }
        // An association lasts as long as its connection.
        let is_over = self.stage == Stage::Associated && net.peer_sees_end(self.s);
        if is_over || self.stage != Stage::Tunnel && net.peer_sees_reset(self.s) {
            return self.closed(net);
        }
        let is_web = net.clients[self.client].scenario.web.is_some();
        // Before it reads: what has come by now may set a later time.
        if !self.is_timed && net.sockets[self.s].accepted_at.is_some() {
            self.is_timed = true;
            if is_web && net.clients[self.client].scenario.completes() {
                self.due_in(net, EXCHANGE_MS);
            }
            if net.clients[self.client].scenario.kind == Kind::Unfinished {
                self.due_in(
                    net,
                    Millis::from(net.checks.timeouts.handshake_ms) + LATE_MS,
                );
            }
        }
        if is_web {
            self.read_web(net);
        } else {
            self.read_replies(net);
        }
        self.send_handshake(net);
        self.stop_early(net);
        let scenario = &net.clients[self.client].scenario;
        let ahead = scenario.pace == Pace::Pipelined
            && scenario.udp.is_none()
            && self.has_sent_handshake(net);
        match self.stage {
            Stage::Tunnel | Stage::Reply if is_web && self.has_sent_handshake(net) => {
                self.run_web(net);
            }
            Stage::Tunnel | Stage::Reply if is_web => {}
            Stage::Tunnel => self.tunnel_end.step(net, true),
            Stage::Associated => self.run_udp(net),
            Stage::Method | Stage::Login | Stage::Reply if ahead => {
                self.tunnel_end.step(net, false)
            }
            _ => {}
        }
        if self.tunnel_end.done {
            net.clients[self.client].done = true;
            net.clients[self.client].complete = self.tunnel_end.is_complete(net);
        } else if self.stage != Stage::Tunnel && net.peer_sees_end(self.s) {
            self.closed(net);
        }
    }

    /// Sets the time by which it must have come further, in place of the one set before.
    pub(super) fn due_in(&mut self, net: &mut Network, in_ms: Millis) {
        self.due_ms = Some(net.now + in_ms);
        net.schedule(in_ms, SimEvent::Deadline(self.s));
    }

    /// Leaves, as all clients do at the end of the world.
    pub(crate) fn leave(&self, net: &mut Network) {
        net.clients[self.client].done = true;
        if net.rng.bool() {
            net.peer_resets(self.s);
        } else {
            net.peer_closes(self.s);
        }
    }

    /// Returns `true` if the whole handshake is sent.
    fn has_sent_handshake(&self, net: &Network) -> bool {
        let messages = net.clients[self.client].scenario.handshake.iter();
        self.sent == messages.map(Vec::len).sum::<usize>()
    }

    /// Sends what may be sent now of the handshake.
    fn send_handshake(&mut self, net: &mut Network) {
        if net.now < self.next_ms {
            return net.wake(self.s, self.next_ms - net.now);
        }
        let scenario = &net.clients[self.client].scenario;
        let messages = match (scenario.pace, self.stage) {
            (Pace::Pipelined, _) | (_, Stage::Reply) => scenario.handshake.len(),
            (_, Stage::Method) => 1,
            (_, Stage::Login) => 2,
            _ => return,
        };
        let bytes = scenario.handshake[..messages.min(scenario.handshake.len())].concat();
        let end = scenario
            .stop
            .map_or(bytes.len(), |stop| stop.after.min(bytes.len()));
        let dripping = scenario.pace == Pace::Dripping;
        if self.sent >= end {
            return;
        }
        let end = if dripping { self.sent + 1 } else { end };
        self.sent += net.peer_send(self.s, &bytes[self.sent..end]);
        if dripping {
            let gap_ms = DRIP_MS / bytes.len() as u64;
            self.next_ms = net.now + net.rng.u64(gap_ms * 3 / 4..=gap_ms * 5 / 4).max(1);
            net.wake(self.s, self.next_ms - net.now);
        }
    }

    /// Stops early, where the scenario says so.
    fn stop_early(&mut self, net: &mut Network) {
        let Some(Stop {
            after,
            wait_ms,
            end,
        }) = net.clients[self.client].scenario.stop
        else {
            return;
        };
        let early = matches!(self.stage, Stage::Method | Stage::Login | Stage::Reply);
        // A client that gives up does so while the server connects for it.
        let kind = net.clients[self.client].scenario.kind;
        let alone = kind == Kind::GivesUp && net.sockets[self.s].accepted_at.is_none();
        if !early || self.sent < after || end == End::Never || alone {
            return;
        }
        match self.leave_ms {
            None => {
                self.leave_ms = Some(net.now + wait_ms);
                net.wake(self.s, wait_ms);
            }
            Some(leave_ms) if net.now < leave_ms => net.wake(self.s, leave_ms - net.now),
            Some(_) => {
                self.stage = Stage::Left;
                net.trace(|| format!("the client of socket {} gives up: {end:?}", self.s));
                net.sockets[self.s].progress.left = true;
                match end {
                    End::Vanish(_) => net.peer_vanishes(self.s),
                    End::Reset(_) => net.peer_resets(self.s),
                    _ => {
                        net.sockets[self.s].progress.fin = true;
                        net.peer_ends(self.s);
                    }
                }
                if net.clients[self.client].scenario.kind == Kind::GivesUp {
                    // The last segments of the handshake and the FIN or RST are still on their way.
                    let travels_ms = net.odds.latency_ms * 8;
                    self.due_in(net, CANCEL_MS + travels_ms);
                }
                net.clients[self.client].done = end != End::Fin;
            }
        }
    }

    /// The server has closed, and there is no tunnel.
    fn closed(&self, net: &mut Network) {
        let reset = net.peer_sees_reset(self.s);
        net.peer_closes(self.s);
        net.clients[self.client].done = true;
        self.check_close(net, reset);
    }
}
