//! The client of a life: its handshake, the answers it expects, and the tunnel behind them.

use anklet::net::Millis;

use crate::clients::scenario::{Dialect, End, Kind, Pace, Stop};
use crate::clients::tunnel_end::Endpoint;
use crate::clients::udp_client::Correspondent;
use crate::network::{Happening, Wires};

/// A client that leaves while its target is dialled is let go at once. With slack.
pub(super) const CANCEL_MS: Millis = 1_000;

/// How much later than its timeout a session may be closed, lingering included.
pub(super) const LATE_MS: Millis = 5_000;

/// How long a handshake takes that drips, a quarter more or less.
const DRIP_MS: Millis = 3_000;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Stage {
    Method,
    Login,
    Reply,
    Tunnel,
    /// A UDP association.
    Associated,
    /// Refused with a reply, or with the answer to a method or a login.
    Refused,
    /// It has left.
    Left,
}

/// A client.
pub(crate) struct Client {
    pub(super) life: usize,
    pub(super) s: usize,
    pub(super) sent: usize,
    pub(super) next_ms: Millis,
    pub(super) leave_ms: Option<Millis>,
    pub(super) stage: Stage,
    pub(super) answer: Vec<u8>,
    /// The first reply to BIND has come.
    pub(super) bound: bool,
    pub(super) timed: bool,
    /// When it must have come somewhere.
    pub(super) due_ms: Option<Millis>,
    pub(super) endpoint: Endpoint,
    pub(super) correspondent: Option<Correspondent>,
}

impl Client {
    /// The client of `life`, on its connection `s`.
    pub(crate) fn new(w: &Wires, life: usize, s: usize) -> Self {
        Self {
            life,
            s,
            sent: 0,
            next_ms: 0,
            leave_ms: None,
            stage: match w.lives[life].plan.dialect {
                Dialect::Socks5 => Stage::Method,
                _ => Stage::Reply,
            },
            answer: Vec::new(),
            bound: false,
            timed: false,
            due_ms: None,
            endpoint: Endpoint::new(w, life, 0, s),
            correspondent: None,
        }
    }

    /// Acts.
    pub(crate) fn step(&mut self, w: &mut Wires) {
        if w.lives[self.life].over {
            return;
        }
        if self.stage != Stage::Tunnel && w.outside_failed(self.s) {
            return self.closed(w);
        }
        self.listen(w);
        self.say(w);
        self.stop(w);
        if !self.timed && w.sockets[self.s].accepted_at.is_some() {
            self.timed = true;
            if w.lives[self.life].plan.kind == Kind::Unfinished {
                self.due_in(w, w.watch.timeouts_ms[0] + LATE_MS);
            }
        }
        let plan = &w.lives[self.life].plan;
        let ahead = plan.pace == Pace::Pipelined || plan.forward.is_some();
        let ahead = ahead && plan.mail.is_none() && self.has_said_all(w);
        match self.stage {
            Stage::Tunnel => self.endpoint.step(w, true),
            Stage::Associated => self.correspond(w),
            Stage::Method | Stage::Login | Stage::Reply if ahead => self.endpoint.step(w, false),
            _ => {}
        }
        if self.endpoint.over {
            w.lives[self.life].over = true;
            w.lives[self.life].complete = self.endpoint.is_complete(w);
        } else if self.stage != Stage::Tunnel && w.outside_ended(self.s) {
            self.closed(w);
        }
    }

    /// It must have come somewhere by then; what was due before no longer is.
    pub(super) fn due_in(&mut self, w: &mut Wires, in_ms: Millis) {
        self.due_ms = Some(w.now + in_ms);
        w.schedule(in_ms, Happening::Deadline(self.s));
    }

    /// The time may be up by which it must have come somewhere.
    pub(crate) fn deadline(&self, w: &mut Wires) {
        let life = &w.lives[self.life];
        let due = self.due_ms.is_some_and(|due_ms| due_ms <= w.now);
        if !due || life.excused || w.watch.closing {
            return;
        }
        let held = |s: &usize| {
            let socket = &w.sockets[*s];
            !socket.dropped && (socket.accepted_at.is_some() || socket.token.is_some())
        };
        let open = w
            .posts
            .iter()
            .any(|post| post.life == self.life && !post.dropped);
        let held = held(&self.s) || life.targets.iter().any(held) || open;
        let late = match self.stage {
            Stage::Tunnel => !life.over,
            _ => held,
        };
        if late {
            let (kind, number, stage) = (life.plan.kind, self.life, self.stage);
            let side = w.sockets[self.s].side;
            w.fail(format!(
                "life {number} ({kind:?}) hangs in {stage:?}: {side:?}"
            ));
        }
    }

    /// Leaves, because everybody does.
    pub(crate) fn leave(&self, w: &mut Wires) {
        w.lives[self.life].over = true;
        if w.rng.bool() {
            w.outside_reset(self.s);
        } else {
            w.outside_close(self.s);
        }
    }

    fn has_said_all(&self, w: &Wires) -> bool {
        self.sent
            == w.lives[self.life]
                .plan
                .hello
                .iter()
                .map(Vec::len)
                .sum::<usize>()
    }

    /// Sends of the handshake what may be sent now.
    fn say(&mut self, w: &mut Wires) {
        if w.now < self.next_ms {
            return w.wake(self.s, self.next_ms - w.now);
        }
        let plan = &w.lives[self.life].plan;
        let messages = match (plan.pace, self.stage) {
            (Pace::Pipelined, _) | (_, Stage::Reply) => plan.hello.len(),
            (_, Stage::Method) => 1,
            (_, Stage::Login) => 2,
            _ => return,
        };
        let bytes = plan.hello[..messages.min(plan.hello.len())].concat();
        let end = plan
            .stop
            .map_or(bytes.len(), |stop| stop.after.min(bytes.len()));
        let dripping = plan.pace == Pace::Dripping;
        if self.sent >= end {
            return;
        }
        let end = if dripping { self.sent + 1 } else { end };
        self.sent += w.outside_send(self.s, &bytes[self.sent..end]);
        if dripping {
            let gap_ms = DRIP_MS / bytes.len() as u64;
            self.next_ms = w.now + w.rng.u64(gap_ms * 3 / 4..=gap_ms * 5 / 4).max(1);
            w.wake(self.s, self.next_ms - w.now);
        }
    }

    /// Stops early, where that is the plan.
    fn stop(&mut self, w: &mut Wires) {
        let Some(Stop {
            after,
            wait_ms,
            end,
        }) = w.lives[self.life].plan.stop
        else {
            return;
        };
        let early = matches!(self.stage, Stage::Method | Stage::Login | Stage::Reply);
        // Who gives up does so while the server works for him.
        let kind = w.lives[self.life].plan.kind;
        let alone = kind == Kind::GivesUp && w.sockets[self.s].accepted_at.is_none();
        if !early || self.sent < after || end == End::Never || alone {
            return;
        }
        match self.leave_ms {
            None => {
                self.leave_ms = Some(w.now + wait_ms);
                w.wake(self.s, wait_ms);
            }
            Some(leave_ms) if w.now < leave_ms => w.wake(self.s, leave_ms - w.now),
            Some(_) => {
                self.stage = Stage::Left;
                w.trace(|| format!("client {} gives up: {end:?}", self.s));
                w.sockets[self.s].side.left = true;
                match end {
                    End::Vanish(_) => w.outside_vanish(self.s),
                    End::Reset(_) => w.outside_reset(self.s),
                    _ => {
                        w.sockets[self.s].side.fin = true;
                        w.outside_fin(self.s);
                    }
                }
                if w.lives[self.life].plan.kind == Kind::GivesUp {
                    // Of the last segments of the handshake, and of what it ends with.
                    let travels_ms = w.odds.latency_ms * 8;
                    self.due_in(w, CANCEL_MS + travels_ms);
                }
                w.lives[self.life].over = end != End::Fin;
            }
        }
    }

    /// The server has closed, and there is no tunnel.
    fn closed(&self, w: &mut Wires) {
        let reset = w.outside_failed(self.s);
        w.outside_close(self.s);
        w.lives[self.life].over = true;
        let (life, sockets) = (&w.lives[self.life], &w.sockets);
        let plan = &life.plan;
        let idle_ms = w.now - life.moved_ms + LATE_MS / 5;
        let idle = self.stage == Stage::Associated && idle_ms >= w.watch.udp_ms;
        let planned = idle
            || matches!(self.stage, Stage::Refused | Stage::Left)
            || plan.stop.is_some()
            || plan.codes.is_empty()
            || life.targets.iter().any(|s| sockets[*s].side.left);
        // With small tables a connection may be closed as it is accepted.
        let turned_away = w.watch.scarce && sockets[self.s].token.is_none();
        let excused = life.excused || w.watch.closing || turned_away;
        let (kind, number, stage) = (plan.kind, self.life, self.stage);
        if !planned && !excused {
            w.fail(format!(
                "life {number} ({kind:?}) is closed in {stage:?}, by reset: {reset}"
            ));
        }
        let accepted_ms = w.sockets[self.s].accepted_at.unwrap_or(w.now);
        let early = w.now - accepted_ms + 100 < w.watch.timeouts_ms[0];
        if kind == Kind::Unfinished && stage != Stage::Refused && early && !excused {
            w.fail(format!(
                "life {number} is closed before its handshake is late"
            ));
        }
    }
}
