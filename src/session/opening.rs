//! What a session needs only until its tunnel or association is established, and the way there:
//! handshake, lookup of a name, connect or BIND, reply. An idle tunnel owns none of it.

use std::net::SocketAddr;

use super::association::{self, Association};
use super::bind::{Accepted, Bind};
use super::client::{Client, Outbox};
use super::connect::{Race, Winner};
use super::context::Context;
use super::handshake::Handshake;
use super::http::HttpRequest;
use super::inbox::Inbox;
use super::outcome::{End, Next, Reason, Wake};
use super::relay::Relay;
use super::reply::{Early, Reply};
use super::shared::Class;
use crate::net::{Event, Net, Stream};
use crate::resolver::Answer;
use crate::state::access::Origin;
use crate::state::clients::Table;
use crate::state::handshake::{Dialect, Refuse};
use crate::state::peer::{Peer, Ready};
use crate::state::slots::Role;
use crate::wire::dns::Addresses;
use crate::wire::http::{BodyMeter, Status};
use crate::wire::socks::{Address, Command, Request};

/// One entry of the table of openings.
pub(super) struct Opening<N: Net> {
    pub(super) inbox: Inbox,
    /// An HTTP request, from its first byte until the target has it.
    http: Option<Box<HttpRequest>>,
    pub(super) outbox: Outbox,
    pub(super) step: Step<N>,
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
    Association(Box<Association<N::UdpSocket>>),
}

impl<N: Net> Opening<N> {
    /// Nothing has come from the client yet.
    pub(super) fn new() -> Self {
        Self {
            inbox: Inbox::new(),
            http: None,
            outbox: Outbox::new(Dialect::default()),
            step: Step::Handshake(Handshake::Start),
        }
    }

    /// Remembers an event of an attempt, of the listener of a BIND, or of the target.
    pub(super) fn mark(&mut self, event: &Event) {
        let ready = match &mut self.step {
            Step::Connect(race) => &mut race.ready,
            Step::Bind(bind) => &mut bind.ready,
            Step::Reply(Reply::Tunnel { target, .. }) => &mut target.ready,
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
            Wake::Answer(_, answer) => self.resolved(answer, cx),
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
    /// more. Behind payload it is a half-close.
    fn read_ahead(&mut self, client: &mut Client<N>) -> Result<(), End> {
        self.inbox.read_on(client)?;
        let (http, inbox) = (&mut self.http, &mut self.inbox);
        let has_ended = inbox.has_ended();
        let early = Early { http, inbox };
        if has_ended && early.unread().is_empty() {
            return Err(End::close(Reason::ClientLeft));
        }
        Ok(())
    }

    /// Where the body of a forwarded request ends; `None` for a tunnel.
    fn meter(&self) -> Option<BodyMeter> {
        self.http.as_ref().and_then(|http| http.meter())
    }

    /// Does what can be done in this step.
    fn go_on(&mut self, cx: &mut Context<'_, N>) -> Result<Next, End> {
        match &mut self.step {
            Step::Handshake(handshake) => {
                let (inbox, outbox) = (&mut self.inbox, &mut self.outbox);
                match handshake.turn(&mut self.http, inbox, outbox, cx)? {
                    Some(request) => self.begin(&request, cx),
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
            Step::Reply(reply) => {
                let (http, inbox) = (&mut self.http, &mut self.inbox);
                let early = &mut Early { http, inbox };
                reply.turn(early, &mut self.outbox, cx.client)
            }
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
                handshake.resume(self.outbox.dialect, cx);
                self.go_on(cx)
            }
            Step::Bind(_) => self.go_on(cx),
            Step::Lookup { .. } | Step::Reply(_) => {
                unreachable!("who arms an alarm disarms it at the end of its step")
            }
        }
    }

    /// The step takes too long.
    fn time_out(&mut self) -> End {
        match &mut self.step {
            Step::Handshake(_) => match self.outbox.dialect {
                // Only HTTP has a word for it.
                Dialect::Http => {
                    let refuse = Refuse::Status(Status::RequestTimeout);
                    End::refuse(refuse, Reason::HandshakeTimeout)
                }
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

    /// The request is there: starts to reach its destination.
    fn begin(&mut self, request: &Request, cx: &mut Context<'_, N>) -> Result<Next, End> {
        cx.client.record.set_asked(request);
        // The method shows as accepted before the target is known to answer.
        self.outbox.flush(cx.client)?;
        cx.shared.arm(cx.client.key, Class::Connect);
        if request.command == Command::UdpAssociate {
            let association = association::open(request, &mut self.outbox, cx)?;
            self.step = Step::Reply(Reply::Association(association));
            return Ok(Next::Go);
        }
        match &request.address {
            Address::Ip(addr) => {
                let found = (Addresses::from(*addr), Origin::Known);
                self.set_out(request.command, request.port, found, cx)
            }
            Address::Name(name) => {
                let (key, client_key) = (cx.client.key, cx.client.client_key);
                if !cx.shared.resolver.start(key, client_key, name.as_bytes()) {
                    return Err(Reason::Failed.into());
                }
                let (command, port) = (request.command, request.port);
                self.step = Step::Lookup { command, port };
                Ok(Next::Go)
            }
        }
    }

    /// The lookup has come to its end.
    fn resolved(&mut self, answer: &Answer, cx: &mut Context<'_, N>) -> Result<Next, End> {
        let Step::Lookup { command, port } = self.step else {
            unreachable!("a lookup is cancelled before its session goes on without it");
        };
        match answer {
            Answer::Found(addresses, servers) => {
                let found = (addresses.clone(), cx.shared.origin(servers));
                self.set_out(command, port, found, cx)
            }
            Answer::NoSuchName | Answer::Failed => Err(Reason::NoSuchName.into()),
            Answer::TimedOut => Err(Reason::LookupTimeout.into()),
        }
    }

    /// The addresses of the destination are known: connects to one of them, or waits for a
    /// connection from one.
    fn set_out(
        &mut self,
        command: Command,
        port: u16,
        found: (Addresses, Origin),
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if command == Command::Bind {
            let bind = Bind::open(found, port, &mut self.outbox, cx)?;
            self.step = Step::Bind(bind);
        } else {
            let (addresses, origin) = found;
            let mut race = Race::new(addresses, origin, port);
            race.advance(cx)?;
            self.step = Step::Connect(race);
        }
        // What came along with the request may end in the client's end of stream, and no event
        // of it follows.
        Ok(Next::Go)
    }

    /// An attempt is established; the others are dropped.
    fn connected(
        &mut self,
        winner: Winner<N::Stream>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let Winner { target, addr } = winner;
        cx.client.record.set_reached(addr);
        cx.shared.take(Table::Established, cx.client.key)?;
        if let Some(http) = &mut self.http {
            // What lies behind the body of a forwarded request is dropped.
            let body = http.measure(self.inbox.unread());
            let len = body.map_err(|_| Refuse::Status(Status::BadRequest))?;
            self.inbox.truncate(len);
        }
        self.release_step(cx);
        // The answer to a forwarded request is the server's.
        if self.meter().is_none() {
            // No reply of HTTP shows where the proxy is bound.
            let bound = match self.outbox.dialect {
                Dialect::Http => addr,
                Dialect::Socks5 | Dialect::Socks4 => {
                    target.stream.local_addr().map_err(|_| Reason::Failed)?
                }
            };
            self.outbox.grant(bound);
        }
        Ok(self.reply_to(target))
    }

    /// The peer of a BIND has come: second reply.
    fn accepted(
        &mut self,
        mut stream: N::Stream,
        peer: SocketAddr,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        cx.client.record.set_reached(peer);
        let watched = cx
            .shared
            .net
            .watch(&mut stream, cx.client.token(Role::Target));
        watched.map_err(|_| Reason::Failed)?;
        cx.shared.take(Table::Established, cx.client.key)?;
        self.release_step(cx);
        self.outbox.grant(peer);
        let ready = Ready::default();
        Ok(self.reply_to(Peer { stream, ready }))
    }

    /// The other end of the tunnel is there.
    fn reply_to(&mut self, target: Peer<N::Stream>) -> Next {
        let early_bytes = 0;
        self.step = Step::Reply(Reply::Tunnel {
            target,
            early_bytes,
        });
        Next::Go
    }

    /// Gives back all but what it has established, which it returns.
    #[expect(
        clippy::boxed_local,
        reason = "taken apart in its box it is not copied"
    )]
    pub(super) fn establish(mut self: Box<Self>, cx: &mut Context<'_, N>) -> Established<N> {
        self.leave(cx);
        let meter = self.meter();
        match self.step {
            Step::Reply(Reply::Tunnel {
                target,
                early_bytes,
            }) => {
                let ended = self.inbox.has_ended();
                Established::Tunnel(Relay::new(target, meter, ended, early_bytes))
            }
            Step::Reply(Reply::Association(association)) => Established::Association(association),
            Step::Handshake(_) | Step::Lookup { .. } | Step::Connect(_) | Step::Bind(_) => {
                unreachable!("only a reply establishes anything")
            }
        }
    }

    /// Gives back everything.
    pub(super) fn release(&mut self, cx: &mut Context<'_, N>) {
        self.release_step(cx);
        self.leave(cx);
    }

    /// Makes the close of the target's connection a reset, if there is one.
    pub(super) fn abort_target(&mut self) {
        if let Step::Reply(Reply::Tunnel { target, .. }) = &mut self.step {
            target.stream.abort_on_close();
        }
    }

    /// Gives back its entry of the table of openings, and what its input holds.
    fn leave(&mut self, cx: &mut Context<'_, N>) {
        if let Some(http) = &mut self.http {
            http.release(cx);
        }
        cx.shared.give(Table::Openings, cx.client.key);
    }

    /// Gives back what the step holds of the shared tables.
    fn release_step(&mut self, cx: &mut Context<'_, N>) {
        cx.shared.alarms.disarm(cx.client.key);
        match &mut self.step {
            Step::Handshake(_) => cx.shared.leave_logins(cx.client.client_key, cx.client.key),
            Step::Reply(Reply::Tunnel { .. }) => {}
            Step::Lookup { .. } => cx.shared.resolver.cancel(cx.client.key),
            Step::Connect(race) => race.release(cx.client.client_key, &mut cx.shared.clients),
            Step::Bind(bind) => bind.release(cx),
            Step::Reply(Reply::Association(association)) => association.release(cx.shared),
        }
    }
}
