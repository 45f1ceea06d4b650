//! One name being looked up: the A and AAAA halves, their servers, and the search list.
//!
//! A `Query` knows neither socket numbers nor other names; `Resolver` owns up to 64 of them and
//! does what a [`Step`] tells it. Nothing here is queued or sent.

use std::net::SocketAddr;
use std::rc::Rc;

use super::Answer;
use crate::config::dns::DnsSettings;
use crate::net::{Millis, NEVER};
use crate::state::access::ClientKey;
use crate::wire::dns::{self, ADDRESSES_MAX, Addresses, Family, Verdict};

/// RFC 8305 §3: what the second family is given once the first has brought addresses.
const RESOLUTION_DELAY_MS: u64 = 50;

/// What follows from an input to one half.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Step {
    /// Nothing; the half waits on.
    Wait,
    /// The half has something to send.
    Send,
    /// The half has ended.
    Ended,
}

/// Where a whole query stands after a half has ended.
pub(super) enum Stand {
    /// The other half may still bring something, or the next name of the search list is asked
    /// for.
    Open,
    /// All is known.
    Over(Rc<Answer>),
}

/// How one half ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Outcome {
    Found,
    NoSuchName,
    NoData,
    Failed,
    TimedOut,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum State {
    /// Its family is not allowed.
    Unused,
    /// To be sent as soon as the driver takes it.
    Queued,
    /// Sent; counts as lost when it is `due`.
    Asked {
        serial: u16,
        due: u64,
    },
    Ended(Outcome),
}

/// The question for one family.
#[derive(Debug)]
struct Half {
    family: Family,
    state: State,
    id: u16,
    /// Index of the server that is asked now.
    server: usize,
    /// Servers given up on so far, the same one in a later round counted again.
    attempts: usize,
    tcp: bool,
    edns: bool,
    /// One server at least has refused or failed, rather than been silent.
    failed: bool,
    addresses: Addresses,
}

/// One name being looked up.
#[derive(Debug)]
pub(super) struct Query {
    /// Whose share the slot counts against: who asked first.
    pub(super) client: ClientKey,
    /// The name as it was asked for, before the search list.
    pub(super) name: Box<[u8]>,
    /// The settings of its start.
    pub(super) settings: Rc<DnsSettings>,
    /// The server that answered last, with which the next candidate begins.
    pub(super) first: usize,
    /// The name on the wire.
    candidate: Vec<u8>,
    /// Place of the next candidate in the search order.
    next: usize,
    /// When what was found is enough, although one half is still open; `NEVER` before.
    ready_at: Millis,
    /// A candidate before this one ended in a failure.
    failed: bool,
    halves: [Half; 2],
}

impl Half {
    fn new(family: Family) -> Self {
        Self {
            family,
            state: State::Unused,
            id: 0,
            server: 0,
            attempts: 0,
            tcp: false,
            edns: true,
            failed: false,
            addresses: Addresses::new(),
        }
    }

    fn is_open(&self) -> bool {
        matches!(self.state, State::Queued | State::Asked { .. })
    }

    fn end(&mut self, outcome: Outcome) -> Step {
        self.state = State::Ended(outcome);
        Step::Ended
    }

    fn send_again(&mut self) -> Step {
        self.state = State::Queued;
        Step::Send
    }

    /// Gives up on the server that was asked and goes to the next, `attempts` times round.
    fn next_server(&mut self, servers: usize, attempts: u8) -> Step {
        self.attempts += 1;
        if self.attempts >= servers * usize::from(attempts) {
            let outcome = if self.failed {
                Outcome::Failed
            } else {
                Outcome::TimedOut
            };
            return self.end(outcome);
        }
        self.server += 1;
        if self.server == servers {
            self.server = 0;
        }
        self.tcp = false;
        self.edns = true;
        self.send_again()
    }
}

impl Query {
    /// A query that starts with server number `first`. No candidate is chosen yet.
    pub(super) fn new(
        client: ClientKey,
        name: Box<[u8]>,
        settings: Rc<DnsSettings>,
        first: usize,
    ) -> Box<Self> {
        Box::new(Self {
            client,
            name,
            settings,
            first,
            candidate: Vec::new(),
            next: 0,
            ready_at: NEVER,
            failed: false,
            halves: [Half::new(Family::A), Half::new(Family::Aaaa)],
        })
    }

    /// Goes to the next name of the search order and puts the allowed halves back to their
    /// start. The answer: there is none, or nobody to ask.
    pub(super) fn advance(&mut self) -> Stand {
        let families = self.settings.families;
        if self.settings.servers.is_empty() || !(families.v4 || families.v6) {
            return self.nothing_found();
        }
        // Bounded by the search list: a candidate that is no name is passed over.
        while let Some(domain) = self.settings.search_domain(&self.name, self.next) {
            self.next += 1;
            if let Some(candidate) = dns::wire_name(&self.name, domain) {
                self.candidate = candidate;
                self.ready_at = NEVER;
                for (half, allowed) in self.halves.iter_mut().zip([families.v4, families.v6]) {
                    *half = Half::new(half.family);
                    half.server = self.first;
                    if allowed {
                        half.state = State::Queued;
                    }
                }
                return Stand::Open;
            }
        }
        self.nothing_found()
    }

    /// Whether a half has something to send.
    pub(super) fn is_queued(&self, half: usize) -> bool {
        self.halves[half].state == State::Queued
    }

    /// Marks a half as sent with `serial` and starts its time. Gives the server and whether
    /// TCP is meant; `None` where nothing is to be sent.
    pub(super) fn sent(
        &mut self,
        half: usize,
        serial: u16,
        now: u64,
    ) -> Option<(SocketAddr, bool)> {
        let half = &mut self.halves[half];
        if half.state != State::Queued {
            return None;
        }
        half.state = State::Asked {
            serial,
            due: now + u64::from(self.settings.timeout_ms),
        };
        Some((self.settings.servers[half.server], half.tcp))
    }

    /// Writes the message of a half and keeps its id. Gives its length.
    pub(super) fn message(
        &mut self,
        half: usize,
        id: u16,
        out: &mut [u8; dns::QUERY_MAX],
    ) -> Option<usize> {
        let half = &mut self.halves[half];
        half.id = id;
        dns::query(out, id, &self.candidate, half.family, half.edns)
    }

    /// Whether a half waits for the attempt with this serial.
    pub(super) fn awaits(&self, half: usize, wanted: u16) -> bool {
        matches!(self.halves[half].state, State::Asked { serial, .. } if serial == wanted)
    }

    /// Judges a message that came for a half, and whether its server has answered: then it is
    /// [`Self::first`].
    pub(super) fn handle(&mut self, place: usize, message: &[u8], now: u64) -> (Step, bool) {
        let half = &mut self.halves[place];
        let found = &mut half.addresses;
        let verdict = dns::answer(message, half.id, &self.candidate, half.family, found);
        let step = match verdict {
            // A stream has no strangers: its server is broken, and the stream is used up.
            Verdict::NotOurs if !half.tcp => return (Step::Wait, false),
            Verdict::Addresses => {
                self.ready_at = self.ready_at.min(now + RESOLUTION_DELAY_MS);
                half.end(Outcome::Found)
            }
            Verdict::NoSuchName => half.end(Outcome::NoSuchName),
            Verdict::NoData => half.end(Outcome::NoData),
            Verdict::Truncated if !half.tcp => {
                half.tcp = true;
                half.send_again()
            }
            Verdict::NoEdns if half.edns => {
                half.edns = false;
                half.send_again()
            }
            _ => return (self.fail(place), false),
        };
        self.first = half.server;
        (step, true)
    }

    /// The server of a half has refused, failed, or cannot be reached: the next one at once.
    pub(super) fn fail(&mut self, half: usize) -> Step {
        self.halves[half].failed = true;
        self.next_server(half)
    }

    fn next_server(&mut self, half: usize) -> Step {
        self.halves[half].next_server(self.settings.servers.len(), self.settings.attempts)
    }

    /// Ends the attempt of a half if its time is up.
    pub(super) fn expire(&mut self, half: usize, now: u64) -> Step {
        match self.halves[half].state {
            State::Asked { due, .. } if due <= now => self.next_server(half),
            _ => Step::Wait,
        }
    }

    /// The earliest time at which something happens by itself.
    pub(super) fn due(&self) -> Millis {
        let mut earliest = self.ready_at;
        for half in &self.halves {
            if let State::Asked { due, .. } = half.state {
                earliest = earliest.min(due);
            }
        }
        earliest
    }

    /// Looks at both halves: wait on, ask for the next name, or answer.
    pub(super) fn stand(&mut self, now: u64) -> Stand {
        let open = self.halves.iter().any(Half::is_open);
        if open && now < self.ready_at {
            return Stand::Open;
        }
        if self.ready_at != NEVER {
            let [v4, v6] = &self.halves;
            let v6_first = self.settings.families.v6_first;
            return Stand::Over(interleave(&v4.addresses, &v6.addresses, v6_first));
        }
        // The name is the same for both: that it does not exist outweighs one lost answer. A
        // timeout ends the search, as asking the same servers again would only take longer.
        if !self.has_ended(Outcome::NoSuchName) {
            if self.has_ended(Outcome::TimedOut) {
                return Stand::Over(Rc::new(Answer::TimedOut));
            }
            self.failed |= self.has_ended(Outcome::Failed);
        }
        self.advance()
    }

    fn has_ended(&self, outcome: Outcome) -> bool {
        let mut halves = self.halves.iter();
        halves.any(|half| half.state == State::Ended(outcome))
    }

    /// The answer once no candidate is left.
    fn nothing_found(&self) -> Stand {
        let nobody_to_ask = self.settings.servers.is_empty();
        Stand::Over(Rc::new(if self.failed || nobody_to_ask {
            Answer::Failed
        } else {
            Answer::NoSuchName
        }))
    }
}

/// RFC 8305 §4: the families take turns, the preferred one first.
pub(super) fn interleave(v4: &Addresses, v6: &Addresses, v6_first: bool) -> Rc<Answer> {
    let mut families = [v4.as_slice(), v6.as_slice()];
    if v6_first {
        families.reverse();
    }
    let mut found = Addresses::new();
    for place in 0..ADDRESSES_MAX {
        for family in families {
            if let Some(&addr) = family.get(place) {
                found.push(addr);
            }
        }
    }
    Rc::new(Answer::Found(found))
}
