//! HTTP requests that are forwarded: what a client asks one after the other on one connection, what
//! its servers answer, and the two actors. Each compares every byte with what was written down
//! beforehand, so that an answer to another request, or a part of one, shows.

use anklet::net::Millis;

use crate::clients::client_actor::{ClientActor, LATE_MS, Stage};
use crate::clients::reply_format;
use crate::clients::scenario::{Behaviour, End, Kind};
use crate::network::Network;

/// An exchange that can complete must do so within this time: a lookup and a connect that are slow,
/// and the slowest client.
pub(crate) const EXCHANGE_MS: Millis = 25_000;

/// An interim answer, which may be in front of an answer or a refusal.
pub(crate) const INTERIM: &[u8] = b"HTTP/1.1 103 Early Hints\r\nLink: a\r\n\r\n";

/// How long the server keeps an idle pair.
const PAIR_MS: Millis = 60_000;

/// The requests of a client, all to one origin.
#[derive(Debug)]
pub(crate) struct Web {
    /// In the order in which they are sent.
    pub(crate) exchanges: Vec<Exchange>,
    /// They are sent without waiting for the answers.
    pub(crate) pipelined: bool,
    /// The client stays behind the last answer until it is closed.
    pub(crate) stays: bool,
}

/// A request and its answer.
#[derive(Debug)]
pub(crate) struct Exchange {
    /// What the client sends, and what the server is to receive of it.
    pub(crate) request: Vec<u8>,
    pub(crate) forwarded: Vec<u8>,
    /// What the server sends, and what the client is to receive of it: of a connection that goes
    /// on, and of one that ends.
    pub(crate) answer: Vec<u8>,
    pub(crate) told: [Vec<u8>; 2],
    /// The client's connection ends behind the answer; `None`: that depends on how much of the
    /// request had come before.
    pub(crate) closes: Option<bool>,
    /// The request may be sent a second time, if the first has died.
    pub(crate) repeatable: bool,
    pub(crate) fate: Fate,
}

/// What the server does with its connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Fate {
    /// Keeps it.
    Keeps,
    /// Ends it behind the answer.
    Ends,
    /// Keeps it, and sends behind the answer what nobody has asked for.
    Babbles,
    /// Ends it instead of an answer, if it has carried another request before.
    LeavesReused,
    /// Ends it in the middle of the answer, behind that many bytes.
    Cuts(usize),
    /// The same by a reset.
    Resets(usize),
}

impl Fate {
    /// The client gets a whole answer.
    pub(crate) fn is_good(self) -> bool {
        !matches!(self, Self::Cuts(_) | Self::Resets(_))
    }
}

/// How far an exchange has come, on the side of the servers.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Served {
    /// How many connections have carried its request, or a part of it.
    attempts: u8,
    /// The connection that the last answer has begun on, and its place among the bytes of it.
    begun: Option<(usize, u64)>,
    /// The answer has been sent.
    pub(crate) over: bool,
}

/// The client's side.
#[derive(Debug, Default)]
pub(crate) struct WebClient {
    /// The number of bytes sent behind the first head.
    sent: usize,
    next_ms: Millis,
    /// The exchange whose answer comes next, and what has come of it.
    at: usize,
    got: Vec<u8>,
    /// The last answer has said that the connection ends.
    closing: bool,
}

impl ClientActor {
    /// Receives answers, or the refusal of the server.
    pub(super) fn read_web(&mut self, net: &mut Network) {
        let behaviour = net.clients[self.client].scenario.behaviours[0];
        if !matches!(self.stage, Stage::Reply | Stage::Tunnel) || !behaviour.reads {
            return;
        }
        let mut bytes = [0; 512];
        let len = net.peer_receive(self.s, &mut bytes[..behaviour.chunk]);
        net.sockets[self.s].progress.received += len as u64;
        self.web.got.extend(&bytes[..len]);
        // Bounded: each round takes an answer.
        while self.take_answer(net) {}
        if len > 0 {
            net.wake(self.s, behaviour.pace_ms.min(5));
        }
    }

    /// Takes an answer that is complete. Returns `true` if there was one.
    fn take_answer(&mut self, net: &mut Network) -> bool {
        let web = &mut self.web;
        if web.got.is_empty() {
            return false;
        }
        let scenario = &net.clients[self.client].scenario;
        let exchanges = scenario.web.as_ref().map_or(&[][..], |web| &web.exchanges);
        let exchange = exchanges.get(web.at).filter(|_| !web.closing);
        let told = exchange.map_or(&[][..], |exchange| &exchange.told[..]);
        let allowed = |at: &usize| {
            let closes = exchange.and_then(|exchange| exchange.closes);
            closes.is_none_or(|closes| closes == (*at == 1))
        };
        let whole = (0..told.len())
            .filter(allowed)
            .find(|at| web.got.starts_with(&told[*at]));
        if let Some(at) = whole {
            web.got.drain(..told[at].len());
            web.at += 1;
            web.closing = at == 1;
            let over = web.closing || web.at == exchanges.len();
            let completes = scenario.completes();
            net.trace(|| format!("the client of socket {} has answer {}", self.s, self.web.at));
            self.stage = Stage::Tunnel;
            if completes && !over {
                self.due_in(net, EXCHANGE_MS);
            } else if over {
                net.clients[self.client].complete = true;
                self.due_in(net, PAIR_MS + LATE_MS);
            }
            return true;
        }
        if (0..told.len())
            .filter(allowed)
            .any(|at| told[at].starts_with(&web.got))
        {
            return false;
        }
        if let Some(rest) = web.got.strip_prefix(INTERIM) {
            web.got = rest.to_vec();
        }
        self.take_refusal(net);
        false
    }

    /// What has come is no answer of the server: it is the proxy's own, or wrong.
    fn take_refusal(&mut self, net: &mut Network) {
        let scenario = &net.clients[self.client].scenario;
        let dialect = scenario.dialect;
        let exchanges = scenario.web.as_ref().map_or(&[][..], |web| &web.exchanges);
        let exchange = exchanges.get(self.web.at);
        let text = self.web.got.escape_ascii().to_string();
        let len = match exchange.map(|exchange| exchange.request.starts_with(b"HEAD ")) {
            // It has a length, and no body.
            Some(true) if self.web.got.ends_with(b"\r\n\r\n") => Some(self.web.got.len()),
            _ => reply_format::len(dialect, &self.web.got),
        };
        let starts = self
            .web
            .got
            .iter()
            .zip(b"HTTP/1.1 ")
            .all(|(byte, wanted)| byte == wanted);
        match len {
            Some(len) if starts && len > self.web.got.len() => {}
            Some(len) if starts && len == self.web.got.len() => {
                let reply = reply_format::read(dialect, &self.web.got);
                self.web.got.clear();
                self.stage = Stage::Refused;
                self.due_in(net, super::replies::REFUSED_MS);
                match reply {
                    Some(reply) if [502, 504].contains(&reply.code) && self.may_fail(net) => {}
                    Some(reply) => net.check_reply(self.client, reply),
                    None => net.fail(format!("client {}: {text}", self.client)),
                }
            }
            _ => net.fail(format!(
                "client {} gets answer {} wrong: {text}",
                self.client, self.web.at
            )),
        }
    }

    /// Returns `true` if its server may leave without an answer that can be passed on.
    fn may_fail(&self, net: &Network) -> bool {
        let scenario = &net.clients[self.client].scenario;
        let exchanges = scenario.web.as_ref().map_or(&[][..], |web| &web.exchanges);
        let fate = exchanges.get(self.web.at).map(|exchange| exchange.fate);
        let broken = [Kind::BrokenTarget, Kind::TargetNeverReads].contains(&scenario.kind);
        broken || fate.is_some_and(|fate| !fate.is_good())
    }

    /// Sends what may be sent of the requests, and comes to its end.
    pub(super) fn run_web(&mut self, net: &mut Network) {
        let behaviour = net.clients[self.client].scenario.behaviours[0];
        if net.peer_sees_reset(self.s) {
            if !self.may_fail(net) {
                self.check_cut(net, "reset");
            }
            net.clients[self.client].done = true;
            return;
        }
        if self.send_web(net, &behaviour) {
            return;
        }
        let scenario = &net.clients[self.client].scenario;
        let web = scenario.web.as_ref();
        let is_over = web.is_some_and(|web| self.web.at == web.exchanges.len());
        if net.peer_sees_end(self.s) && self.web.got.is_empty() {
            let cut = self.cut_at(net).is_some();
            if !(self.web.closing || is_over || cut) {
                self.check_cut(net, "the end");
            }
        } else if net.peer_sees_end(self.s) {
            if self.cut_at(net).is_none() {
                self.check_cut(net, "the end in the middle");
            }
        } else if !is_over || self.web.closing || web.is_some_and(|web| web.stays) {
            return;
        }
        net.peer_closes(self.s);
        net.clients[self.client].done = true;
    }

    /// Returns `true` if its server has left in the middle of the answer that comes next, or may
    /// have done so: the client is cut off then.
    pub(crate) fn may_be_cut(&self, net: &Network) -> bool {
        let served = &net.clients[self.client].served;
        let begun = served
            .get(self.web.at)
            .is_some_and(|served| served.begun.is_some());
        begun && self.may_fail(net)
    }

    /// Where its server ends in order in the middle of the answer that comes next.
    fn cut_at(&self, net: &Network) -> Option<usize> {
        let web = net.clients[self.client].scenario.web.as_ref()?;
        match web.exchanges.get(self.web.at)?.fate {
            Fate::Cuts(at) => Some(at),
            _ => None,
        }
    }

    /// The connection ends where no scenario says so: right only behind a fault.
    fn check_cut(&self, net: &mut Network, how: &str) {
        let crowded = net.was_crowded(self.client) || self.was_turned_away(net);
        let client = &net.clients[self.client];
        let broken = client.scenario.kind == Kind::BrokenTarget;
        let idle_ms = net.now - client.moved_ms + 1_000;
        let limit_ms = net
            .checks
            .timeouts
            .idle_ms
            .min(net.checks.timeouts.half_close_ms);
        let late = idle_ms >= limit_ms.into();
        if client.faulted || crowded || broken || late || client.cut || net.checks.closing {
            return;
        }
        net.fail(format!(
            "client {} gets {how} before answer {}, behind {:?}",
            self.client,
            self.web.at,
            self.web.got.escape_ascii().to_string()
        ));
    }

    /// Sends a chunk of the requests, or leaves. Returns `true` if it has left.
    fn send_web(&mut self, net: &mut Network, behaviour: &Behaviour) -> bool {
        let progress = net.sockets[self.s].progress;
        if let End::Reset(at) | End::Vanish(at) = behaviour.end
            && progress.sent + progress.received >= at
        {
            net.clients[self.client].done = true;
            net.sockets[self.s].progress.left = true;
            match behaviour.end {
                End::Vanish(_) => net.peer_vanishes(self.s),
                _ => net.peer_resets(self.s),
            }
            return true;
        }
        if net.now < self.web.next_ms {
            net.wake(self.s, self.web.next_ms - net.now);
            return false;
        }
        let scenario = &net.clients[self.client].scenario;
        let Some(web) = &scenario.web else {
            return false;
        };
        let count = if web.pipelined {
            web.exchanges.len()
        } else {
            self.web.at + 1
        };
        let requests = web.exchanges.iter().take(count);
        let bytes = requests.flat_map(|exchange| exchange.request.clone());
        let begun = scenario.handshake[0].len() + self.web.sent;
        let bytes: Vec<u8> = bytes.skip(begun).take(behaviour.chunk).collect();
        if bytes.is_empty() || self.web.closing {
            return false;
        }
        let len = net.peer_send(self.s, &bytes);
        self.web.sent += len;
        net.sockets[self.s].progress.sent += len as u64;
        if len > 0 {
            self.web.next_ms = net.now + behaviour.pace_ms;
            net.wake(self.s, behaviour.pace_ms);
        }
        false
    }
}

/// A connection of a server.
#[derive(Debug)]
pub(crate) struct WebServer {
    client: usize,
    s: usize,
    /// What has come of the next request.
    got: Vec<u8>,
    /// The exchange that is being answered, and how much of that has been sent.
    answering: Option<(usize, usize)>,
    /// It has carried a whole exchange.
    used: bool,
    done: bool,
    next_ms: Millis,
    moved: u64,
}

impl WebServer {
    /// The server's end of the connection `s`.
    pub(crate) fn new(client: usize, s: usize) -> Self {
        Self {
            client,
            s,
            got: Vec::new(),
            answering: None,
            used: false,
            done: false,
            next_ms: 0,
            moved: 0,
        }
    }

    /// Receives and sends a chunk.
    pub(crate) fn step(&mut self, net: &mut Network) {
        let behaviour = net.clients[self.client].scenario.behaviours[1];
        if self.done || net.peer_sees_reset(self.s) {
            self.done = true;
            return;
        }
        if net.now < self.next_ms {
            return net.wake(self.s, self.next_ms - net.now);
        }
        if let End::Reset(at) | End::Vanish(at) = behaviour.end
            && self.moved >= at
        {
            self.done = true;
            net.sockets[self.s].progress.left = true;
            return match behaviour.end {
                End::Vanish(_) => net.peer_vanishes(self.s),
                _ => net.peer_resets(self.s),
            };
        }
        let mut bytes = [0; 512];
        let chunk = if behaviour.reads { behaviour.chunk } else { 0 };
        let len = net.peer_receive(self.s, &mut bytes[..chunk]);
        self.got.extend(&bytes[..len]);
        let sent = self.serve(net, &behaviour);
        self.moved += (len + sent) as u64;
        if net.peer_sees_end(self.s) && !self.done {
            self.done = true;
            net.peer_closes(self.s);
        }
        if len + sent > 0 {
            self.next_ms = net.now + behaviour.pace_ms;
            net.wake(self.s, behaviour.pace_ms);
        }
    }

    /// Looks at what has come, and goes on with the answer. Returns the number of bytes sent.
    fn serve(&mut self, net: &mut Network, behaviour: &Behaviour) -> usize {
        if self.answering.is_none() && !self.got.is_empty() && !self.accept(net) {
            return 0;
        }
        let Some((at, sent)) = self.answering else {
            return 0;
        };
        let client = &mut net.clients[self.client];
        let Some(web) = &client.scenario.web else {
            return 0;
        };
        let exchange = &web.exchanges[at];
        let end = match exchange.fate {
            Fate::Cuts(end) | Fate::Resets(end) => end,
            Fate::LeavesReused if self.used => 0,
            _ => exchange.answer.len(),
        };
        let bytes = exchange.answer[sent..end.min(sent + behaviour.chunk)].to_vec();
        let is_whole = self.got.len() >= exchange.forwarded.len();
        let (fate, len) = (exchange.fate, exchange.forwarded.len());
        if sent == 0 {
            let place = net.sockets[self.s].to_server.written();
            client.served[at].begun = Some((self.s, place));
        }
        let put = net.peer_send(self.s, &bytes);
        self.answering = Some((at, sent + put));
        if sent + put < end || !is_whole && end > 0 && fate.is_good() {
            return put;
        }
        self.got.drain(..len.min(self.got.len()));
        self.answering = None;
        net.clients[self.client].served[at].over = end > 0;
        let leaves = matches!(fate, Fate::LeavesReused) && self.used;
        self.used = true;
        match fate {
            Fate::Resets(_) => {
                self.done = true;
                net.sockets[self.s].progress.left = true;
                net.peer_resets(self.s);
            }
            Fate::Ends | Fate::Cuts(_) => self.end(net),
            Fate::LeavesReused if leaves => self.end(net),
            Fate::Babbles => {
                net.peer_send(self.s, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
            }
            Fate::Keeps | Fate::LeavesReused => {}
        }
        put
    }

    fn end(&mut self, net: &mut Network) {
        self.done = true;
        net.peer_ends(self.s);
        net.wake(self.s, 0);
    }

    /// Finds out which request has come, once it is to be answered. Returns `true` then.
    fn accept(&mut self, net: &mut Network) -> bool {
        let number = self.client;
        let client = &mut net.clients[number];
        let Some(web) = &client.scenario.web else {
            return false;
        };
        let is_begun = |exchange: &Exchange| {
            let len = exchange.forwarded.len().min(self.got.len());
            exchange.forwarded[..len] == self.got[..len]
        };
        let Some(at) = web.exchanges.iter().position(is_begun) else {
            let text = self.got.escape_ascii().to_string();
            net.fail(format!("the server of client {number} gets {text}"));
            return false;
        };
        let exchange = &web.exchanges[at];
        let len = exchange.forwarded.len();
        // What begins alike is not known before it differs.
        let first = self.got.iter().position(|byte| *byte == b'\n').is_some();
        if !first {
            return false;
        }
        let head = exchange
            .forwarded
            .windows(4)
            .position(|four| four == b"\r\n\r\n");
        let needed = if exchange.closes.is_none() {
            head.map_or(len, |end| end + 4)
        } else {
            len
        };
        if self.got.len() < needed {
            return false;
        }
        let before = client.served[..at].iter().all(|served| served.over);
        let served = &mut client.served[at];
        served.attempts += 1;
        let again = served.attempts > 1;
        // What was lost with the connection is no answer that has begun.
        let sockets = &net.sockets;
        let is_read = |(s, place): (usize, u64)| sockets[s].to_server.read() > place;
        let begun = served.begun.is_some_and(is_read);
        let wrong = again && (!exchange.repeatable || begun || served.attempts > 2) || !before;
        if wrong {
            let served = *served;
            net.fail(format!(
                "request {at} of client {number} is sent again: {served:?}"
            ));
            return false;
        }
        self.answering = Some((at, 0));
        true
    }
}
