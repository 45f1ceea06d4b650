//! The client of a life: its handshake, the answers it expects, and the tunnel behind them.

use std::net::{IpAddr, SocketAddr};

use anklet::net::Millis;

use crate::endpoint::Endpoint;
use crate::lives::{End, Kind, Pace, Stop};
use crate::wires::{Happening, Wires};

/// A transfer that could complete has this long, far less than any timeout of a tunnel. The
/// slowest plan takes a quarter of it.
const TRANSFER_MS: Millis = 25_000;

/// RFC 1928 §6: a connection is closed within 10 s of a reply that refuses. With slack.
const REFUSED_MS: Millis = 12_000;

/// A client that leaves while its target is dialled is let go at once. With slack.
const CANCEL_MS: Millis = 1_000;

/// How much later than its timeout a session may be closed, lingering included.
const LATE_MS: Millis = 5_000;

/// Between two bytes of a handshake that drips: the longest takes three seconds.
const DRIP_MS: Millis = 50;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Stage {
    Method,
    Login,
    Reply,
    Tunnel,
    /// Refused with a reply, or with the answer to a method or a login.
    Refused,
    /// It has left.
    Left,
}

/// A client.
pub(crate) struct Client {
    life: usize,
    s: usize,
    sent: usize,
    next_ms: Millis,
    leave_ms: Option<Millis>,
    stage: Stage,
    answer: Vec<u8>,
    answered: bool,
    timed: bool,
    endpoint: Endpoint,
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
            stage: Stage::Method,
            answer: Vec::new(),
            answered: false,
            timed: false,
            endpoint: Endpoint::new(w, life, 0, s),
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
                w.schedule(
                    w.watch.timeouts_ms[0] + LATE_MS,
                    Happening::Deadline(self.s),
                );
            }
        }
        let ahead = w.lives[self.life].plan.pace == Pace::Pipelined && self.has_said_all(w);
        match self.stage {
            Stage::Tunnel => self.endpoint.step(w, true),
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

    /// The time is up by which it must have come somewhere.
    pub(crate) fn deadline(&self, w: &mut Wires) {
        let life = &w.lives[self.life];
        if life.excused || w.watch.closing {
            return;
        }
        let held = |s: &usize| !w.sockets[*s].dropped;
        let held = held(&self.s) || life.targets.iter().any(held);
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
            self.next_ms = w.now + w.rng.u64(1..=DRIP_MS);
            w.wake(self.s, self.next_ms - w.now);
        }
    }

    /// Reads answers, never behind the reply: what follows belongs to the tunnel.
    fn listen(&mut self, w: &mut Wires) {
        // At most one answer per stage, and the reply in two parts.
        for _ in 0..4 {
            let needed = match (self.stage, self.answer.get(3)) {
                (Stage::Method | Stage::Login, _) => 2,
                (Stage::Reply, None) => 4,
                (Stage::Reply, Some(4)) => 22,
                (Stage::Reply, Some(_)) => 10,
                _ => return,
            };
            let mut bytes = [0; 22];
            let missing = needed - self.answer.len();
            let len = w.outside_receive(self.s, &mut bytes[..missing]);
            self.answer.extend(&bytes[..len]);
            self.answered |= len > 0;
            if len < missing {
                return;
            }
            if self.stage != Stage::Reply || needed > 4 {
                self.answer_read(w);
            }
        }
    }

    fn answer_read(&mut self, w: &mut Wires) {
        let answer = std::mem::take(&mut self.answer);
        let plan = &w.lives[self.life].plan;
        let with_login = plan.hello.len() == 3;
        w.trace(|| format!("client {} gets {answer:?}", self.s));
        self.stage = match (self.stage, answer[0], answer[1]) {
            (Stage::Method, 5, 0) if !with_login => Stage::Reply,
            (Stage::Method, 5, 2) if with_login => Stage::Login,
            (Stage::Login, 1, 0) => Stage::Reply,
            (Stage::Login, 1, 1) if plan.kind == Kind::WrongPassword => Stage::Refused,
            (Stage::Reply, 5, code) => return self.replied(w, code, &answer[3..]),
            (stage, ..) => {
                let life = self.life;
                w.fail(format!("life {life} is answered {answer:?} in {stage:?}"));
                Stage::Refused
            }
        };
        if self.stage == Stage::Refused {
            w.schedule(REFUSED_MS, Happening::Deadline(self.s));
        }
    }

    fn replied(&mut self, w: &mut Wires, code: u8, bound: &[u8]) {
        let life = &w.lives[self.life];
        let (kind, number) = (life.plan.kind, self.life);
        let excused = code > 0 && life.excused;
        if !life.plan.codes.contains(&code) && !excused && !w.watch.closing {
            w.fail(format!(
                "life {number} ({kind:?}) is answered with code {code}"
            ));
        }
        let life = &w.lives[self.life];
        if code > 0 {
            self.stage = Stage::Refused;
            if *bound != [1, 0, 0, 0, 0, 0, 0] {
                w.fail(format!(
                    "life {number} is refused with an address: {bound:?}"
                ));
            }
            return w.schedule(REFUSED_MS, Happening::Deadline(self.s));
        }
        self.stage = Stage::Tunnel;
        let completes = life.plan.completes();
        let bound = bound_addr(bound);
        let target = life
            .targets
            .iter()
            .find(|s| Some(w.sockets[**s].local) == bound)
            .copied();
        w.lives[self.life].target = target;
        if target.is_none() {
            w.fail(format!(
                "life {number} is told {bound:?}, no socket of its target"
            ));
        }
        if completes {
            w.schedule(TRANSFER_MS, Happening::Deadline(self.s));
        } else if kind == Kind::Idler {
            let half_closed = w.lives[number].plan.manners[0].end == End::Fin;
            let timeout_ms = w.watch.timeouts_ms[if half_closed { 2 } else { 1 }];
            w.schedule(timeout_ms + LATE_MS, Happening::Deadline(self.s));
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
        if !early || self.sent < after || end == End::Never {
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
                    let travels_ms = w.odds.latency_ms * 2;
                    w.schedule(CANCEL_MS + travels_ms, Happening::Deadline(self.s));
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
        let planned = matches!(self.stage, Stage::Refused | Stage::Left)
            || plan.stop.is_some()
            || plan.codes.is_empty()
            || life.targets.iter().any(|s| sockets[*s].side.left);
        let excused = life.excused || w.watch.closing || (w.watch.scarce && !self.answered);
        let (kind, number, stage) = (plan.kind, self.life, self.stage);
        if !planned && !excused {
            w.fail(format!(
                "life {number} ({kind:?}) is closed in {stage:?}, by reset: {reset}"
            ));
        }
        let accepted_ms = w.sockets[self.s].accepted_at.unwrap_or(w.now);
        let early = w.now - accepted_ms + 100 < w.watch.timeouts_ms[0];
        if kind == Kind::Unfinished && early && !excused {
            w.fail(format!(
                "life {number} is closed before its handshake is late"
            ));
        }
    }
}

/// The address in a reply, from its type on.
fn bound_addr(bytes: &[u8]) -> Option<SocketAddr> {
    let (addr, port) = bytes.get(1..)?.split_last_chunk::<2>()?;
    let addr = match *bytes.first()? {
        1 => IpAddr::from(<[u8; 4]>::try_from(addr).ok()?),
        4 => IpAddr::from(<[u8; 16]>::try_from(addr).ok()?),
        _ => return None,
    };
    Some(SocketAddr::new(addr, u16::from_be_bytes(*port)))
}
