//! The client of a life: its handshake, the answers it expects, and the tunnel behind them.

use anklet::net::Millis;

use crate::answers::{self, Answer};
use crate::endpoint::Endpoint;
use crate::lives::{Dialect, End, Kind, Pace, Stop};
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

/// Who comes to a listener does so within three seconds of its opening, and is let in at once.
const VISIT_MS: Millis = 4_000;

/// How long a handshake takes that drips, a quarter more or less.
const DRIP_MS: Millis = 3_000;

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
    /// The first reply to BIND has come.
    bound: bool,
    timed: bool,
    /// When it must have come somewhere.
    due_ms: Option<Millis>,
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
            stage: match w.lives[life].plan.dialect {
                Dialect::Socks5 => Stage::Method,
                _ => Stage::Reply,
            },
            answer: Vec::new(),
            bound: false,
            timed: false,
            due_ms: None,
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
                self.due_in(w, w.watch.timeouts_ms[0] + LATE_MS);
            }
        }
        let plan = &w.lives[self.life].plan;
        let ahead = plan.pace == Pace::Pipelined || plan.forward.is_some();
        let ahead = ahead && self.has_said_all(w);
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

    /// It must have come somewhere by then; what was due before no longer is.
    fn due_in(&mut self, w: &mut Wires, in_ms: Millis) {
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
            let gap_ms = DRIP_MS / bytes.len() as u64;
            self.next_ms = w.now + w.rng.u64(gap_ms * 3 / 4..=gap_ms * 5 / 4).max(1);
            w.wake(self.s, self.next_ms - w.now);
        }
    }

    /// Reads answers, never behind the reply: what follows belongs to the tunnel.
    fn listen(&mut self, w: &mut Wires) {
        // Each round reads at least one byte, or takes an answer.
        while let Some(len) = self.answer_len(w) {
            let missing = len - self.answer.len();
            if missing == 0 {
                self.answer_read(w);
                continue;
            }
            let mut bytes = [0; 256];
            let len = w.outside_receive(self.s, &mut bytes[..missing.min(256)]);
            if len == 0 {
                return;
            }
            self.answer.extend(&bytes[..len]);
        }
    }

    /// How long the answer is that it waits for, as far as is known.
    fn answer_len(&mut self, w: &mut Wires) -> Option<usize> {
        let dialect = w.lives[self.life].plan.dialect;
        match self.stage {
            Stage::Method | Stage::Login => return Some(2),
            Stage::Reply => {}
            _ => return None,
        }
        if dialect == Dialect::Forward && self.answer.is_empty() {
            let mut first = [0];
            match w.sockets[self.s].outward.look(&mut first) {
                0 => return None,
                // What a target sends never begins with an H.
                _ if first != *b"H" => {
                    let target = w.lives[self.life].winner;
                    self.enter(w, target);
                    return None;
                }
                _ => {}
            }
        }
        let len = answers::len(dialect, &self.answer);
        if len.is_none() {
            w.fail(format!("life {}: no end of the answer", self.life));
            self.stage = Stage::Refused;
        }
        len
    }

    fn answer_read(&mut self, w: &mut Wires) {
        let answer = std::mem::take(&mut self.answer);
        let plan = &w.lives[self.life].plan;
        let with_login = plan.hello.len() == 3;
        w.trace(|| format!("client {} gets {}", self.s, answer.escape_ascii()));
        if self.stage == Stage::Reply
            && let Some(answer) = answers::read(plan.dialect, &answer)
        {
            return self.replied(w, answer);
        }
        self.stage = match (self.stage, answer[0], answer[1]) {
            (Stage::Method, 5, 0) if !with_login => Stage::Reply,
            (Stage::Method, 5, 2) if with_login => Stage::Login,
            (Stage::Login, 1, 0) => Stage::Reply,
            (Stage::Login, 1, 1) if plan.kind == Kind::WrongPassword => Stage::Refused,
            (stage, ..) => {
                let life = self.life;
                w.fail(format!("life {life} is answered {answer:?} in {stage:?}"));
                Stage::Refused
            }
        };
        if self.stage == Stage::Refused {
            self.due_in(w, REFUSED_MS);
        }
    }

    fn replied(&mut self, w: &mut Wires, answer: Answer) {
        let life = &w.lives[self.life];
        let (kind, number, dialect) = (life.plan.kind, self.life, life.plan.dialect);
        let (code, granted) = (answer.code, answer.code == dialect.success());
        if granted && life.plan.visits.is_some() && !self.bound {
            return self.listens(w, answer);
        }
        let full = code == dialect.failure() && w.watch.scarce && self.wants_scarce(w);
        let late = kind == Kind::Unfinished && dialect.is_http() && code == 408;
        let excused = !granted && (life.excused || full);
        if !life.plan.codes.contains(&code) && !excused && !late && !w.watch.closing {
            w.fail(format!(
                "life {number} ({kind:?}) is answered with code {code}"
            ));
        }
        if !granted {
            self.stage = Stage::Refused;
            if answer
                .bound
                .is_some_and(|bound| bound.port() != 0 || !bound.ip().is_unspecified())
            {
                w.fail(format!(
                    "life {number} is refused with an address: {answer:?}"
                ));
            }
            return self.due_in(w, REFUSED_MS);
        }
        let life = &w.lives[number];
        let is_told = |s: &&usize| {
            let socket = &w.sockets[**s];
            let told = if self.bound {
                socket.peer
            } else {
                socket.local
            };
            // SOCKS4 cannot say an IPv6 address.
            let unsaid = dialect == Dialect::Socks4 && told.is_ipv6();
            answer
                .bound
                .is_some_and(|bound| bound == told || (unsaid && bound.port() == told.port()))
        };
        let target = match dialect.is_http() {
            true => life.winner,
            false => life.targets.iter().find(is_told).copied(),
        };
        self.enter(w, target);
    }

    /// Whether what it asks for comes from a small table.
    fn wants_scarce(&self, w: &Wires) -> bool {
        let plan = &w.lives[self.life].plan;
        plan.dialect.is_http() || plan.visits.is_some()
    }

    /// The first reply to BIND: the listener waits.
    fn listens(&mut self, w: &mut Wires, answer: Answer) {
        self.bound = true;
        let life = &w.lives[self.life];
        let door = life.door.map(|d| w.doors[d].local);
        let unsaid = life.plan.dialect == Dialect::Socks4 && door.is_some_and(|at| at.is_ipv6());
        let right = match (answer.bound, door) {
            (Some(bound), Some(door)) => bound == door || (unsaid && bound.port() == door.port()),
            _ => false,
        };
        let comes = life
            .plan
            .visits
            .iter()
            .flatten()
            .any(|visit| visit.expected);
        if !right {
            let life = self.life;
            w.fail(format!(
                "life {life} is told {answer:?}, its listener is at {door:?}"
            ));
        }
        // The time of who comes in vain, and of who is to come, is up at some point.
        let wait_ms = if comes {
            VISIT_MS
        } else {
            w.watch.bind_ms + LATE_MS
        };
        if w.lives[self.life].plan.stop.is_none() {
            self.due_in(w, wait_ms);
        }
    }

    /// The tunnel stands.
    fn enter(&mut self, w: &mut Wires, target: Option<usize>) {
        let number = self.life;
        self.stage = Stage::Tunnel;
        w.lives[number].target = target;
        if target.is_none() {
            w.fail(format!("life {number} is told of no socket of its target"));
        }
        let plan = &w.lives[number].plan;
        if plan.completes() {
            self.due_in(w, TRANSFER_MS);
        } else if plan.kind == Kind::Idler {
            let half_closed = plan.manners[0].end == End::Fin;
            let timeout_ms = w.watch.timeouts_ms[if half_closed { 2 } else { 1 }];
            self.due_in(w, timeout_ms + LATE_MS);
        } else {
            self.due_ms = None;
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
        let planned = matches!(self.stage, Stage::Refused | Stage::Left)
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
