//! How a session goes over from one phase to another, and what it gives back then.

use std::mem;

use super::client::Outbox;
use super::context::Context;
use super::linger::{DRAIN_MS, Linger};
use super::opening::{Established, Opening};
use super::outcome::{End, Next, Reason, misstep};
use super::relay::Relay;
use super::report::{HEAD, Report};
use super::shared::{Class, Shared};
use super::totals::Total;
use super::{Phase, Session};
use crate::net::Net;
use crate::state::clients::Table;
use crate::state::handshake::{Dialect, Refuse};

impl<N: Net> Session<N> {
    /// The request has been answered: goes on without what the opening held.
    pub(super) fn establish(&mut self, shared: &mut Shared<N>) -> Result<Next, End> {
        shared.alarms.disarm(self.client.key);
        let client = &mut self.client;
        let cx = &mut Context { client, shared };
        let established = match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Opening(opening) => opening.establish(cx)?,
            Phase::Forwarding(forward) => {
                let (target, client_ended, moved) = forward.into_tunnel();
                Established::Tunnel(Relay::new(target, client_ended, moved))
            }
            other => {
                self.phase = other;
                return Err(misstep(
                    "only an opening or an exchange establishes anything",
                ));
            }
        };
        let (phase, class) = match established {
            Established::Tunnel(relay) => (Phase::Relaying(relay), Class::Idle),
            Established::Exchange(forward) => (Phase::Forwarding(forward), Class::Idle),
            Established::Association(association) => (Phase::Associated(association), Class::Udp),
        };
        if let Class::Idle = class {
            shared.totals.add(Total::Tunnels, 1);
            shared.places.start(client.key, shared.now);
            // A connection that is used again is kept alive already.
            if !matches!(&phase, Phase::Forwarding(forward) if forward.is_reused()) {
                shared.young.add(client.key, shared.now);
            }
        }
        self.phase = phase;
        shared.arm(self.client.key, class);
        Ok(Next::Go)
    }

    /// The exchange is over and has its log line: the pair waits for the next request.
    pub(super) fn rest(&mut self, shared: &mut Shared<N>) -> Result<Next, End> {
        self.tell(Reason::Done, shared);
        let client = &mut self.client;
        match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Forwarding(mut forward) => {
                forward.release(&mut Context { client, shared });
                self.phase = Phase::Pair(forward.into_pair());
            }
            other => {
                self.phase = other;
                return Err(misstep("only an exchange leads to a pair"));
            }
        }
        self.client.record.rest(shared.now);
        shared.alarms.disarm(self.client.key);
        shared.arm(self.client.key, Class::Pair);
        Ok(Next::Yield)
    }

    /// A request is to be opened: the next one of a client whose connection goes on, or the same
    /// once more.
    pub(super) fn open(&mut self, shared: &mut Shared<N>) -> Result<Next, End> {
        let key = self.client.key;
        shared.take(Table::Openings, key)?;
        shared.alarms.disarm(key);
        let opening = match mem::replace(&mut self.phase, Phase::Over) {
            Phase::Pair(pair) => {
                // The time that it has waited is no request's.
                self.client.record.rest(shared.now);
                Opening::next(pair)
            }
            Phase::Forwarding(forward) => {
                let (exchange, early, client_ended) = forward.into_request();
                Opening::again(exchange, &early, client_ended)
            }
            other => {
                self.phase = other;
                shared.give(Table::Openings, key);
                return Err(misstep("only an exchange leads back to an opening"));
            }
        };
        self.phase = Phase::Opening(Box::new(opening));
        shared.arm(key, Class::Handshake);
        Ok(Next::Go)
    }

    /// Gives back what the session holds; the client is told `refuse`, and what it still sends
    /// is discarded for a while.
    pub(super) fn linger(
        &mut self,
        refuse: Option<Refuse>,
        reason: Reason,
        shared: &mut Shared<N>,
    ) {
        if let Some(Refuse::Login) = refuse {
            shared.totals.add(Total::LoginsRefused, 1);
            // Whose request came before on the connection has not said this.
            self.client.record.set_user(None, &mut shared.auth);
        }
        let (outbox, answer) = match &mut self.phase {
            Phase::Opening(opening) => (opening.outbox, mem::take(&mut opening.answer)),
            Phase::Forwarding(_) | Phase::Pair(_) => (Outbox::new(Dialect::Http), Vec::new()),
            // It has had all its replies: the dialect does not matter any more.
            Phase::Relaying(_) | Phase::Associated(_) | Phase::Lingering(_) | Phase::Over => {
                (Outbox::new(Dialect::default()), Vec::new())
            }
        };
        let until = shared.now + DRAIN_MS;
        let mut linger = Linger::new(refuse, reason, (outbox, answer), self.moved(), until);
        let mut class = Class::Linger;
        if let Phase::Opening(opening) = &self.phase
            && opening.wants_report
        {
            linger.report = Some(Report::new(HEAD));
            class = Class::HalfClosed;
        }
        self.enter(Phase::Lingering(Box::new(linger)), shared);
        shared.arm(self.client.key, class);
    }

    /// Gives back what the phase holds, and goes over to another.
    pub(super) fn enter(&mut self, phase: Phase<N>, shared: &mut Shared<N>) {
        shared.alarms.disarm(self.client.key);
        let client = &mut self.client;
        match &mut self.phase {
            Phase::Opening(opening) => opening.release(&mut Context { client, shared }),
            Phase::Relaying(relay) => relay.release(&mut shared.pool),
            Phase::Forwarding(forward) => forward.release(&mut Context { client, shared }),
            Phase::Associated(association) => association.release(shared),
            Phase::Pair(_) | Phase::Lingering(_) | Phase::Over => {}
        }
        self.phase = phase;
    }
}
