//! A tunnel ends as its two ends have ended it: no end of stream and no reset without a cause.
//! That its bytes are right is checked where they arrive, in `clients/tunnel_end.rs`.

use anklet::net::Millis;
use anklet::state::memory::STILL_MS;

use crate::clients::scenario::TunnelProgress;
use crate::clients::tunnel_end::TunnelEnd;
use crate::network::socket::Socket;
use crate::network::{Network, Source};

/// How much the server may round off its timeouts.
const SLACK_MS: Millis = 1_000;

impl Network {
    /// The server resets a connection. An end of stream that it has passed on is taken back only
    /// where an end of the tunnel has broken (T2): where it ends the tunnel itself, who reads slowly
    /// still gets what is on its way (T6).
    pub(crate) fn check_cut(&mut self, s: usize) {
        let socket = &self.sockets[s];
        let Some(client) = socket.client.map(|number| &self.clients[number]) else {
            return;
        };
        let is_broken = |s: &usize| {
            let socket = &self.sockets[*s];
            socket.broken || socket.progress.left || socket.peer_closed
        };
        let mut ends = client.connection.iter().chain(&client.targets);
        let is_tunnel = client.winner.is_some() && !client.scenario.dialect.is_http();
        if is_tunnel && socket.shut && !client.faulted && !ends.any(is_broken) {
            self.fail(format!("socket {s} is reset behind its end of stream"));
        }
    }

    /// The server resets a connection. If it has just seen that memory is short, and nothing has
    /// moved in the tunnel while an end takes nothing, that is the cause.
    pub(crate) fn note_cut(&mut self, s: usize) {
        let Some(number) = self.sockets[s].client else {
            return;
        };
        let client = &self.clients[number];
        let short = self.checks.looked_ms == Some(self.now) && self.odds.is_short(self.now);
        let still = self.now - client.moved_ms >= STILL_MS;
        // A request that is forwarded has no winner that the client would know of.
        let target = match client.scenario.web {
            Some(_) => client.targets.last(),
            None => client.winner.as_ref(),
        };
        let ends = client.connection.iter().chain(target);
        let takes_nothing =
            |s: &usize| !self.sockets[*s].is_writable() || self.ready.contains(&Source::Socket(*s));
        if short && still && ends.copied().any(|s| takes_nothing(&s)) {
            let client = &mut self.clients[number];
            (client.faulted, client.cut) = (true, true);
        }
    }
}

/// No target of a tunnel is connected for so long without keepalive: the first probe is due after
/// 60 s of silence. An opening takes 15 s at most, and then it is armed within 5.
const KEEP_ALIVE_BY_MS: Millis = 30_000;

impl Network {
    /// Checks that the targets of old tunnels are kept alive.
    pub(crate) fn check_keep_alive(&mut self) {
        let now = self.now;
        let is_old = |socket: &&Socket| {
            let since = socket.connected_at.filter(|_| !socket.dropped);
            since.is_some_and(|since| now - since > KEEP_ALIVE_BY_MS)
        };
        let missing = self.sockets.iter().filter(is_old).find(|socket| {
            let is_faulted = |number: usize| self.clients[number].faulted;
            !socket.kept_alive && !socket.client.is_some_and(is_faulted)
        });
        if let Some(number) = missing.map(|socket| socket.client) {
            self.fail(format!("the target of client {number:?} is not kept alive"));
        }
    }
}

impl TunnelEnd {
    /// Checks an end of stream: it is right only behind the last byte of the other end, which has
    /// ended. A tunnel that the server ends shows by a reset (T6).
    pub(crate) fn check_end(&self, net: &mut Network) {
        let received = net.sockets[self.s].progress.received;
        let other = self.other(net);
        if self.is_unused_attempt(net) {
            return;
        }
        let (sent, ended) = (other.sent, other.fin);
        if ended && sent == received {
            return;
        }
        net.fail(format!(
            "client {} side {}: end of stream after {received} bytes; sent {}, ended {}, left {}",
            self.client, self.side, other.sent, other.fin, other.left
        ));
    }

    /// Checks a reset: it is right only if the other end was reset, or a timeout of the tunnel has
    /// passed (T2, T6).
    pub(crate) fn check_reset(&self, net: &mut Network) {
        let excused = net.was_crowded(self.client) || self.is_unused_attempt(net);
        let client = &net.clients[self.client];
        let cause = client.faulted || excused || self.other(net).left || net.checks.closing;
        if !cause && client.scenario.must_not_be_cut() && !self.is_timed_out(net) {
            net.fail(format!(
                "client {} side {}: reset without a cause",
                self.client, self.side
            ));
        }
    }

    /// The other end of the tunnel. A client knows its target from the reply.
    fn other(&self, net: &Network) -> TunnelProgress {
        let client = &net.clients[self.client];
        let other = if self.side == 1 {
            client.connection
        } else {
            client.target
        };
        other.map(|s| net.sockets[s].progress).unwrap_or_default()
    }

    /// Returns `true` if it is the target of an attempt that has lost the race, or for which there
    /// was no client any more, or no place, when it was connected.
    fn is_unused_attempt(&self, net: &mut Network) -> bool {
        let was_crowded = net.was_crowded(self.client);
        let client = &net.clients[self.client];
        let unused = net.sockets[self.s].progress.received == 0 && client.target != Some(self.s);
        let socket = &net.sockets[self.s];
        // A peer of a BIND may find the listener closed.
        let peer = client.bind_listener.is_some() && socket.accepted_at.is_none();
        let late = peer || client.targets.len() > 1 || client.faulted || self.other(net).left;
        let late = late || was_crowded || net.checks.closing;
        self.side == 1 && unused && late
    }

    /// Returns `true` if a timeout of the tunnel may have passed.
    fn is_timed_out(&self, net: &Network) -> bool {
        let client = &net.clients[self.client];
        let timeouts = &net.checks.timeouts;
        let mut ends = client.connection.iter().chain(&client.targets);
        let half_closed = ends.any(|s| net.sockets[*s].progress.fin);
        let limit_ms = match half_closed {
            true => timeouts.half_close_ms,
            false => timeouts.idle_ms,
        };
        net.now - client.moved_ms + SLACK_MS >= limit_ms.into()
    }
}
