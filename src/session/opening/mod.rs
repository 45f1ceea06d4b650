//! What a session needs only until its tunnel or association is established, and the way there:
//! handshake, lookup of a name, connect or BIND, reply. An idle tunnel owns none of it.

mod reach;

use super::association::Association;
use super::bind::{Accepted, Bind};
use super::client::{Client, Outbox};
use super::connect::Race;
use super::context::Context;
use super::exchange::{Asked, Exchange};
use super::forward::Forward;
use super::handshake::Handshake;
use super::http::HttpHead;
use super::inbox::Inbox;
use super::outcome::{End, Next, Reason, Wake, misstep};
use super::pair::{Kept, Pair};
use super::relay::Relay;
use super::reply::Reply;
use super::totals::Moved;
use crate::net::{Event, Net, Stream};
use crate::state::clients::Table;
use crate::state::handshake::{Dialect, Refuse};
use crate::wire::socks::Command;

/// One entry of the table of openings.
pub(super) struct Opening<N: Net> {
    pub(super) inbox: Inbox,
    pub(super) outbox: Outbox,
    pub(super) step: Step<N>,
    /// The request that is to be forwarded, once it is known.
    exchange: Option<Box<Exchange>>,
    /// The connection that carried the client's last request.
    kept: Option<Box<Kept<N::Stream>>>,
    /// The answer of the proxy itself to its request.
    pub(super) answer: Vec<u8>,
    /// The report is what it has asked for.
    pub(super) wants_report: bool,
}

/// How far a session has come on its way to a tunnel or an association.
pub(super) enum Step<N: Net> {
    Handshake(Handshake),
    /// The name of the destination is being looked up.
    Lookup {
        command: Command,
        port: u16,
    },
    Connect(Race<N::Stream>),
    Bind(Bind<N::Listener>),
    Reply(Reply<N>),
}

/// What an opening leads to.
pub(super) enum Established<N: Net> {
    Tunnel(Relay<N::Stream>),
    Exchange(Box<Forward<N::Stream>>),
    Association(Box<Association<N::UdpSocket>>),
}

impl<N: Net> Opening<N> {
    /// Nothing has come from the client yet.
    pub(super) fn new() -> Self {
        Self {
            inbox: Inbox::new(),
            outbox: Outbox::new(Dialect::default()),
            step: Step::Handshake(Handshake::Start),
            exchange: None,
            kept: None,
            answer: Vec::new(),
            wants_report: false,
        }
    }

    /// The next request of a client whose connection goes on.
    pub(super) fn next(pair: Pair<N::Stream>) -> Self {
        let Pair {
            kept,
            early,
            client_ended,
        } = pair;
        let handshake = Handshake::Http(HttpHead::default());
        Self {
            kept,
            ..Self::http(handshake, &early, client_ended)
        }
    }

    /// The same request once more, on a new connection.
    pub(super) fn again(exchange: Exchange, early: &[u8], client_ended: bool) -> Self {
        let handshake = Handshake::Again(Some(Box::new(exchange)));
        Self::http(handshake, early, client_ended)
    }

    /// A client that is known to speak HTTP, and has sent `early` so far.
    fn http(handshake: Handshake, early: &[u8], client_ended: bool) -> Self {
        Self {
            inbox: Inbox::of(early, client_ended),
            outbox: Outbox::new(Dialect::Http),
            step: Step::Handshake(handshake),
            ..Self::new()
        }
    }

    /// Remembers an event of an attempt, of the listener of a BIND, or of the target.
    pub(super) fn mark(&mut self, event: &Event) {
        if let Some(kept) = &mut self.kept {
            kept.link.target.ready.mark(event);
        }
        let ready = match &mut self.step {
            Step::Connect(race) => &mut race.ready,
            Step::Bind(bind) => &mut bind.ready,
            Step::Reply(Reply::Tunnel { target, .. }) => &mut target.ready,
            Step::Reply(Reply::Exchange(forward)) => return forward.mark(event),
            // Of a socket that is no more.
            Step::Handshake(_) | Step::Lookup { .. } | Step::Reply(Reply::Association(_)) => return,
        };
        ready.mark(event);
    }

    /// One step on the way to a tunnel.
    pub(super) fn turn(&mut self, wake: Wake<'_>, cx: &mut Context<'_, N>) -> Result<Next, End> {
        if self.reads_ahead() {
            self.read_ahead(cx.client)?;
        }
        match wake {
            Wake::Event => self.go_on(cx),
            Wake::Alarm => self.alarm(cx),
            Wake::Answer(_, answer, is_all) => self.resolved(answer, is_all, cx),
            Wake::Timeout => Err(self.time_out()),
        }
    }

    /// Returns `true` while the destination is being reached: what the client sends then is for
    /// the target, and its end of stream may mean that it has given up.
    fn reads_ahead(&self) -> bool {
        match self.step {
            Step::Lookup { .. } | Step::Connect(_) | Step::Bind(_) => true,
            Step::Handshake(_) | Step::Reply(_) => false,
        }
    }

    /// Reads what the client sends while its target is being reached.
    ///
    /// # Errors
    /// The client has given up: its end of stream with nothing sent means that nobody waits any
    /// more. Behind payload it is a half-close, and behind a request of HTTP: who pipes that into
    /// its connection ends with it, and waits for an answer.
    fn read_ahead(&mut self, client: &mut Client<N>) -> Result<(), End> {
        let inbox = &mut self.inbox;
        inbox.read_on(client)?;
        let may_end = self.outbox.dialect == Dialect::Http || !inbox.unread().is_empty();
        if inbox.has_ended() && !may_end {
            return Err(End::close(Reason::ClientLeft));
        }
        Ok(())
    }

    /// Does what can be done in this step.
    fn go_on(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        match &mut self.step {
            Step::Handshake(handshake) => {
                let (inbox, outbox) = (&mut self.inbox, &mut self.outbox);
                match handshake.turn(inbox, outbox, cx)? {
                    Some(Asked::Tunnel(request)) => {
                        self.kept = None;
                        self.begin(&request, cx)
                    }
                    Some(Asked::Forward(exchange, is_same_user)) => {
                        self.forward(exchange, is_same_user, cx)
                    }
                    Some(Asked::Proxy(answer)) => {
                        self.answer = answer;
                        Err(End::refuse(Refuse::OwnAnswer, Reason::Done))
                    }
                    Some(Asked::Report) => {
                        cx.shared.take(Table::Reports, cx.client.key)?;
                        self.wants_report = true;
                        Err(End::refuse(Refuse::OwnAnswer, Reason::Done))
                    }
                    None => Ok(Next::Wait),
                }
            }
            Step::Lookup { .. } => Ok(Next::Wait),
            Step::Connect(race) => match race.turn(cx)? {
                Some(winner) => self.connected(winner, cx),
                None => Ok(Next::Wait),
            },
            Step::Bind(bind) => match bind.turn(&self.inbox, &mut self.outbox, cx)? {
                Accepted::Peer(stream, peer) => self.accepted(stream, peer, cx),
                Accepted::Nobody => Ok(Next::Wait),
                Accepted::Others => Ok(Next::Yield),
            },
            Step::Reply(reply) => reply.turn(&mut self.inbox, &mut self.outbox, cx.client),
        }
    }

    /// Something is due that does not end the step.
    fn alarm(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        match &mut self.step {
            Step::Connect(race) => {
                race.advance(cx)?;
                Ok(Next::Wait)
            }
            Step::Handshake(handshake) => {
                handshake.resume(cx);
                self.go_on(cx)
            }
            Step::Bind(_) => self.go_on(cx),
            Step::Lookup { .. } | Step::Reply(_) => Err(misstep(
                "who arms an alarm disarms it at the end of its step",
            )),
        }
    }

    /// The step takes too long.
    fn time_out(&mut self) -> End {
        match &mut self.step {
            Step::Handshake(_) => match self.outbox.dialect {
                // Only HTTP has a word for it.
                Dialect::Http => Reason::HandshakeTimeout.into(),
                Dialect::Socks5 | Dialect::Socks4 => End::close(Reason::HandshakeTimeout),
            },
            Step::Lookup { .. } => Reason::LookupTimeout.into(),
            // A refused attempt is a better reason than one that is still under way.
            Step::Connect(race) => {
                race.note(Reason::ConnectTimeout);
                race.failure().into()
            }
            Step::Bind(_) => Reason::BindTimeout.into(),
            Step::Reply(_) => End::close(Reason::ConnectTimeout),
        }
    }

    /// Another session has taken its place, in whatever table.
    pub(super) fn displaced(&self, reason: Reason) -> End {
        match (&self.step, self.outbox.dialect) {
            (Step::Handshake(_), Dialect::Socks5 | Dialect::Socks4) | (Step::Reply(_), _) => {
                End::close(reason)
            }
            (Step::Handshake(_), Dialect::Http)
            | (Step::Lookup { .. } | Step::Connect(_) | Step::Bind(_), _) => reason.into(),
        }
    }

    /// Bytes carried: those of the client that have gone to its target early.
    pub(super) fn moved(&self) -> Moved {
        let mut moved = Moved::default();
        if let Step::Reply(Reply::Tunnel { early_bytes, .. }) = &self.step {
            moved.up_bytes = *early_bytes;
        }
        moved
    }

    /// In a word, for the report.
    pub(super) fn word(&self) -> &'static str {
        match &self.step {
            Step::Handshake(_) => "handshake",
            Step::Lookup { .. } => "lookup",
            Step::Connect(_) => "connect",
            Step::Bind(_) => "bind",
            Step::Reply(_) => "reply",
        }
    }

    /// Gives back all but what it has established, which it returns.
    #[expect(
        clippy::boxed_local,
        reason = "taken apart in its box it is not copied"
    )]
    pub(super) fn establish(
        mut self: Box<Self>,
        cx: &mut Context<'_, N>,
    ) -> Result<Established<N>, End> {
        cx.shared.give(Table::Openings, cx.client.key);
        let moved = self.moved();
        Ok(match self.step {
            Step::Reply(Reply::Tunnel { target, .. }) => {
                Established::Tunnel(Relay::new(target, self.inbox.has_ended(), moved))
            }
            Step::Reply(Reply::Exchange(forward)) => Established::Exchange(forward),
            Step::Reply(Reply::Association(association)) => Established::Association(association),
            Step::Handshake(_) | Step::Lookup { .. } | Step::Connect(_) | Step::Bind(_) => {
                self.release(cx);
                return Err(misstep("only a reply establishes anything"));
            }
        })
    }

    /// Gives back everything.
    pub(super) fn release(&mut self, cx: &mut Context<'_, N>) {
        self.release_step(cx);
        for table in [Table::Openings, Table::Heads, Table::LongHeads] {
            cx.shared.give(table, cx.client.key);
        }
    }

    /// Makes the close of the target's connection a reset, if there is one.
    pub(super) fn abort_target(&mut self) {
        match &mut self.step {
            Step::Reply(Reply::Tunnel { target, .. }) => target.stream.abort_on_close(),
            Step::Reply(Reply::Exchange(forward)) => forward.abort_target(),
            Step::Handshake(_)
            | Step::Lookup { .. }
            | Step::Connect(_)
            | Step::Bind(_)
            | Step::Reply(Reply::Association(_)) => {}
        }
    }

    /// It ends without an end of its own. Where the request may have been granted, both ends are
    /// reset: nothing has been carried to its end.
    pub(super) fn cut(&mut self, client: &mut N::Stream) {
        if let Step::Reply(Reply::Tunnel { target, .. }) = &mut self.step {
            target.stream.abort_on_close();
            client.abort_on_close();
        }
    }

    /// Gives back what the step holds of the shared tables.
    fn release_step(&mut self, cx: &mut Context<'_, N>) {
        cx.shared.alarms.disarm(cx.client.key);
        match &mut self.step {
            Step::Handshake(_) => cx.shared.leave_logins(cx.client.client_key, cx.client.key),
            Step::Reply(Reply::Tunnel { .. } | Reply::Exchange(_)) => {}
            Step::Lookup { .. } => cx.shared.resolver.cancel(cx.client.key),
            Step::Connect(race) => race.release(cx),
            Step::Bind(bind) => bind.release(cx),
            Step::Reply(Reply::Association(association)) => association.release(cx.shared),
        }
    }
}
