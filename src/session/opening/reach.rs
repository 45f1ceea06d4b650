//! From the request to its destination, and from there to the reply: each function leads to the next
//! step.

use std::net::SocketAddr;

use super::{Opening, Step};
use crate::net::{Net, Stream};
use crate::resolver::Answer;
use crate::session::association;
use crate::session::bind::Bind;
use crate::session::connect::{Race, Winner};
use crate::session::context::Context;
use crate::session::exchange::Exchange;
use crate::session::forward::Forward;
use crate::session::outcome::{End, Next, Reason, misstep};
use crate::session::pair::Link;
use crate::session::reply::Reply;
use crate::session::shared::Class;
use crate::state::access::{Origin, Refusal};
use crate::state::clients::Table;
use crate::state::handshake::{Dialect, Refuse};
use crate::state::peer::{Peer, Ready};
use crate::state::slots::Role;
use crate::state::transfer::Transfer;
use crate::wire::dns::Addresses;
use crate::wire::http::Fault;
use crate::wire::socks::{Address, Command, Request};

impl<N: Net> Opening<N> {
    /// A request that is to be forwarded: on the connection of the last one if that fits and the
    /// rules still permit it, else on one of its own.
    pub(super) fn forward(
        &mut self,
        mut exchange: Box<Exchange>,
        is_same_user: bool,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let kept = self.kept.take();
        let was_pinned = kept.as_ref().is_some_and(|kept| kept.link.is_pinned);
        if let Some(mut kept) = kept
            && is_same_user
            && kept.serves(&exchange)
        {
            let (addr, origin) = kept.link.reached;
            cx.client.record.set_asked(&exchange.request);
            cx.shared.permit(cx.client.addr(), &addr, origin)?;
            cx.client.record.set_reached(addr);
            self.exchange = Some(exchange);
            return self.exchange_on(kept.link, cx);
        }
        // Neither of a pair outlives the other.
        exchange.closes |= was_pinned;
        let request = exchange.request.clone();
        self.exchange = Some(exchange);
        self.begin(&request, cx)
    }

    /// The request is there: starts to reach its destination.
    pub(super) fn begin(
        &mut self,
        request: &Request,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
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
                let found = (Addresses::from(*addr), Origin::Known, true);
                self.set_out(request.command, request.port, found, cx)
            }
            Address::Name(name) => {
                let (key, client_key) = (cx.client.key, cx.client.client_key);
                if !cx.shared.resolver.start(key, client_key, name.as_bytes()) {
                    return Err(Reason::TooManyNames.into());
                }
                let (command, port) = (request.command, request.port);
                self.step = Step::Lookup { command, port };
                Ok(Next::Go)
            }
        }
    }

    /// The lookup has come to its end, or the addresses of one family are there.
    pub(super) fn resolved(
        &mut self,
        answer: &Answer,
        is_all: bool,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let (command, port) = match &mut self.step {
            Step::Lookup { command, port } => (*command, *port),
            Step::Connect(race) => {
                race.join(answer, cx)?;
                return Ok(Next::Wait);
            }
            Step::Handshake(_) | Step::Bind(_) | Step::Reply(_) => {
                return Err(misstep("a lookup is cancelled before its session goes on"));
            }
        };
        match answer {
            Answer::Found(addresses, servers) => {
                let found = (addresses.clone(), cx.shared.origin(servers), is_all);
                self.set_out(command, port, found, cx)
            }
            Answer::NoSuchName => Err(Reason::NoSuchName.into()),
            Answer::Failed => Err(Reason::LookupFailed.into()),
            Answer::TimedOut => Err(Reason::LookupTimeout.into()),
        }
    }

    /// The addresses of the destination are known, all of them or those of one family: connects to
    /// one of them, or waits for a connection from one.
    fn set_out(
        &mut self,
        command: Command,
        port: u16,
        (addresses, origin, is_all): (Addresses, Origin, bool),
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        if command == Command::Bind {
            let is_named = matches!(self.step, Step::Lookup { .. });
            let outbox = &mut self.outbox;
            let bind = Bind::open((addresses, origin), port, is_named, outbox, cx);
            if !is_all {
                if bind.is_err() {
                    // The other family may do.
                    return Ok(Next::Wait);
                }
                cx.shared.resolver.cancel(cx.client.key);
            }
            let bind = bind?;
            self.step = Step::Bind(bind);
        } else {
            let mut race = Race::new(addresses, origin, port, is_all);
            race.advance(cx)?;
            self.step = Step::Connect(race);
        }
        // What came along with the request may end in the client's end of stream, and no event
        // of it follows.
        Ok(Next::Go)
    }

    /// An attempt is established: it takes a place among the tunnels, and the client is told.
    pub(super) fn connected(
        &mut self,
        winner: Winner<N::Stream>,
        cx: &mut Context<'_, N>,
    ) -> Result<Next, End> {
        let Winner {
            target,
            addr,
            origin,
        } = winner;
        cx.client.record.set_reached(addr);
        if leads_to_itself(&target.stream, addr, cx) {
            return Err(cx.shared.refuse(Refusal::Listener).into());
        }
        cx.shared.take(Table::Established, cx.client.key)?;
        if self.exchange.is_some() {
            return self.exchange_on(Link::new(target, (addr, origin)), cx);
        }
        // No reply of HTTP shows where the proxy is bound.
        let bound = match self.outbox.dialect {
            Dialect::Http => addr,
            Dialect::Socks5 | Dialect::Socks4 => {
                target.stream.local_addr().map_err(|_| Reason::Failed)?
            }
        };
        Ok(self.reply_to(target, bound))
    }

    /// The origin of the request is there: it gets what of the body has come along, and nothing
    /// that lies behind it.
    fn exchange_on(&mut self, link: Link<N::Stream>, cx: &mut Context<'_, N>) -> Result<Next, End> {
        let Some(mut exchange) = self.exchange.take() else {
            return Err(misstep("only a forwarded request has an exchange"));
        };
        let mut up = Transfer::new(exchange.body, exchange.kept);
        // Bounded: each round takes at least one byte.
        while !up.is_done() && !self.inbox.unread().is_empty() {
            let part = up.part(self.inbox.unread());
            let (start, len) = part.unwrap_or_default();
            let body = &self.inbox.unread()[..start + len];
            if part.is_err() || up.advance(body, 0).is_err() {
                return Err(Refuse::Http(Fault::Chunks).into());
            }
            exchange.head.extend(&body[start..]);
            self.inbox.consume(start + len);
        }
        let early = (self.inbox.unread().to_vec(), self.inbox.has_ended());
        self.release_step(cx);
        let forward = Forward::new(link, *exchange, up, early);
        self.step = Step::Reply(Reply::Exchange(Box::new(forward)));
        Ok(Next::Go)
    }

    /// The peer of a BIND has come: second reply.
    pub(super) fn accepted(
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
        let ready = Ready::default();
        Ok(self.reply_to(Peer { stream, ready }, peer))
    }

    /// The other end of the tunnel is there: the client is told `bound`.
    fn reply_to(&mut self, target: Peer<N::Stream>, bound: SocketAddr) -> Next {
        self.outbox.grant(bound);
        let early_bytes = 0;
        self.step = Step::Reply(Reply::Tunnel {
            target,
            early_bytes,
        });
        Next::Go
    }
}

/// Returns `true` if a connection to that address has come to one of our own listeners. Where the
/// system takes an address for this machine's that no interface has, it is its own source: the
/// rules know nothing of that, and the proxy would lead to itself.
fn leads_to_itself<N: Net>(stream: &N::Stream, to: SocketAddr, cx: &Context<'_, N>) -> bool {
    let listens_there = |listener: &SocketAddr| {
        listener.port() == to.port()
            && listener.ip().is_unspecified()
            && listener.is_ipv6() == to.is_ipv6()
    };
    cx.shared.net.listeners().iter().any(listens_there)
        && stream.local_addr().is_ok_and(|local| local.ip() == to.ip())
}
