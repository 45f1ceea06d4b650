//! The datagrams of an association, batch by batch: in, judged, addressed, out.
//!
//! What cannot be carried is dropped and counted, never queued: UDP promises nothing, and a
//! queue would only deliver it late.

use std::net::SocketAddr;
use std::ops::Range;

use super::lookup::Resolved;
use super::{Association, FAMILIES, Family, Socket};
use crate::log::{Level, log};
use crate::net::{Errno, Net, Side, UdpSocket};
use crate::session::outcome::Reason;
use crate::session::shared::{Associations, Shared};
use crate::session::totals::{Total, count};
use crate::state::access::Origin;
use crate::state::association::DropReason;
use crate::state::batch::{BATCH_MAX, Batch, RUN_MAX, Segment};
use crate::state::contacts::Contacts;
use crate::state::offload::Direction;
use crate::state::slots::{Role, Token};
use crate::wire::socks::Address;
use crate::wire::udp::{Dropped, Header, header, payload_max};

/// Batches of one turn and direction.
const BATCHES_PER_TURN: usize = 4;

/// Datagrams after which a turn takes no further batch: about what a tunnel moves in its turn. A
/// batch of joined ones can be four times as many, at a third of the time for each.
const DATAGRAMS_PER_TURN: usize = RUN_MAX;

/// The places that a call to receive is given while datagrams come one at a time: with room for a
/// second one, it shows by itself that there is none.
pub(super) const PLACES_MIN: usize = 2;

/// The places that it is given while joined datagrams come: each of these is up to 64 KiB that
/// the batch holds, and a turn of its own.
const PLACES_JOINED: usize = 4;

/// Datagrams of one sender in one call from which on the kernel may join them.
const BULK_MIN: usize = BATCH_MAX / 2;

/// Errors in a row after which a socket counts as drained: one that did not go away would spin
/// the loop. Those of ICMP each bring an event of their own.
const ERRORS_MAX: u8 = 4;

/// What was sent of some datagrams.
#[derive(Clone, Copy, Default)]
struct Sent {
    datagrams: u64,
    payload_bytes: u64,
    /// The device that the socket is bound to is gone. One of the same name is another to it.
    has_lost_device: bool,
}

impl Sent {
    /// Adds the datagrams of these numbers.
    fn add(&mut self, batch: &Batch, numbers: Range<usize>) {
        self.datagrams += numbers.len() as u64;
        for number in numbers {
            self.payload_bytes += batch.payload_len(number) as u64;
        }
    }
}

/// Where a datagram of the client goes, if it is not dropped.
enum Route {
    /// To that remote, now: the payload.
    Send(SocketAddr, Segment),
    /// Nowhere yet: it is held until its name has an address.
    Held,
}

impl<U: UdpSocket> Association<U> {
    /// Relays datagrams from the client to remotes. Returns `true` if one of them was
    /// the client's.
    pub(super) fn relay_up<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> bool {
        let (mut heard, mut datagrams) = (false, 0);
        for _ in 0..BATCHES_PER_TURN {
            if !self.inner.readable || datagrams >= DATAGRAMS_PER_TURN {
                break;
            }
            for place in 0..self.inner.receive(shared) {
                let segments = shared.associations.batch.segments(place);
                datagrams += segments;
                for number in 0..segments {
                    heard |= self.take_up(place, number, shared);
                }
            }
            self.send_up(shared);
        }
        heard
    }

    /// Takes a datagram of the client: lists it to be sent, holds it or drops it. Returns `true`
    /// if it was the client's.
    fn take_up<N: Net<UdpSocket = U>>(
        &mut self,
        place: usize,
        number: usize,
        shared: &mut Shared<N>,
    ) -> bool {
        match self.route(place, number, shared) {
            Ok(Route::Send(to, payload)) => self.list_up(to, payload, shared),
            Ok(Route::Held) => {}
            Err(reason) => {
                shared.totals.count_drop(reason);
                return is_heard(reason);
            }
        }
        true
    }

    /// Decides where a datagram of the client goes.
    ///
    /// # Errors
    /// Why it is dropped.
    fn route<N: Net<UdpSocket = U>>(
        &mut self,
        place: usize,
        number: usize,
        shared: &mut Shared<N>,
    ) -> Result<Route, DropReason> {
        let batch = &shared.associations.batch;
        let from = batch.from(place);
        let port = from.port();
        if !self.client_addr.may_be(from) {
            return Err(DropReason::Stranger);
        }
        if batch.is_cut(place) {
            return Err(DropReason::TooLong);
        }
        let datagram = batch.segment(place, number);
        let parsed = Header::parse(batch.bytes(datagram));
        let (header, header_len) = parsed.map_err(|dropped| match dropped {
            Dropped::Fragment => DropReason::Fragment,
            Dropped::Malformed => DropReason::Malformed,
        })?;
        let payload = datagram.without(header_len);
        if self.client_addr.learn(port) {
            self.aim();
        }
        let (addr, origin) = match &header.address {
            Address::Ip(addr) => (*addr, Origin::Known),
            Address::Name(name) => match self.resolve(name, shared)? {
                Resolved::Addr(addr, origin) => (addr, origin),
                Resolved::Pending(lookup) => {
                    self.hold(lookup, payload, header.port, shared)?;
                    return Ok(Route::Held);
                }
            },
        };
        let to = SocketAddr::new(addr, header.port);
        self.prepare(&to, origin, shared)?;
        Ok(Route::Send(to, payload))
    }

    /// Lists a datagram to be sent to a remote. Sends all that are listed if no more can be.
    pub(super) fn list_up<N: Net<UdpSocket = U>>(
        &mut self,
        to: SocketAddr,
        payload: Segment,
        shared: &mut Shared<N>,
    ) {
        shared.associations.batch.push(to, &[], payload);
        if shared.associations.batch.is_full() {
            self.send_up(shared);
        }
    }

    /// Returns `Ok` if the client may reach that remote, and be reached from there.
    fn permit<N: Net>(
        &mut self,
        remote: &SocketAddr,
        origin: Origin,
        shared: &mut Shared<N>,
    ) -> Result<(), Reason> {
        let version = shared.auth.access.version();
        if let Some((addr, from, of)) = &self.permitted
            && addr == remote
            && (*from, *of) == (origin, version)
        {
            return Ok(());
        }
        shared.permit(self.client_addr.addr(), remote, origin)?;
        self.permitted = Some((*remote, origin, version));
        Ok(())
    }

    /// Sees to it that the client may reach that remote, that there is a socket of its family,
    /// and that it may answer.
    pub(super) fn prepare<N: Net<UdpSocket = U>>(
        &mut self,
        to: &SocketAddr,
        origin: Origin,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        if let Err(reason) = self.permit(to, origin, shared) {
            if shared.may_log(self.client_key, Level::Info, "datagram not allowed") {
                let client = self.client_addr.addr();
                let line = format_args!("{client} datagram -> {to}: {reason}");
                log(Level::Info, line);
            }
            return Err(DropReason::Refused);
        }
        let family = Family::of(to);
        let outer = &mut self.outer[family as usize];
        if outer.is_none() {
            if !shared.has_family(to.is_ipv6()) {
                return Err(DropReason::Unsendable);
            }
            let (side, role) = match family {
                Family::V4 => (Side::OuterV4, Role::Outer4),
                Family::V6 => (Side::OuterV6, Role::Outer6),
            };
            let opened = shared.net.udp_relay(side, Token::new(self.key, role));
            let opened = opened.map_err(|_| DropReason::Unsendable)?;
            *outer = Some(Socket::new(opened, to.is_ipv6()));
        }
        if let Some(contacts) = &mut self.contacts {
            contacts.note(to.ip());
        }
        Ok(())
    }

    /// Sends all datagrams that are listed to remotes, those of one family after the other.
    pub(super) fn send_up<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) {
        let (mut at, end) = (0, shared.associations.batch.outgoing());
        while at < end {
            let batch = &shared.associations.batch;
            let family = Family::of(batch.to(at));
            let mut next = at + 1;
            while next < end && Family::of(batch.to(next)) == family {
                next += 1;
            }
            if let Some(outer) = &mut self.outer[family as usize] {
                let sent = outer.send(at..next, Direction::Up, false, shared);
                count(&mut self.moved.up_bytes, sent.payload_bytes);
                shared.totals.add(Total::UpDatagrams, sent.datagrams);
                if sent.has_lost_device {
                    // The next datagram opens another.
                    self.outer[family as usize] = None;
                }
            }
            at = next;
        }
        shared.associations.batch.clear();
    }

    /// Relays datagrams from remotes to the client. Returns `true` if there was one.
    pub(super) fn relay_down<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> bool {
        let mut delivered = false;
        for family in FAMILIES {
            let mut datagrams = 0;
            for _ in 0..BATCHES_PER_TURN {
                let outer = self.outer[family as usize].as_mut();
                let Some(outer) = outer.filter(|outer| outer.readable) else {
                    break;
                };
                if datagrams >= DATAGRAMS_PER_TURN {
                    break;
                }
                for place in 0..outer.receive(shared) {
                    let segments = shared.associations.batch.segments(place);
                    datagrams += segments;
                    for number in 0..segments {
                        if let Err(reason) = self.list_down(place, number, shared) {
                            shared.totals.count_drop(reason);
                        }
                        if shared.associations.batch.is_full() {
                            delivered |= self.send_down(shared);
                        }
                    }
                }
                delivered |= self.send_down(shared);
            }
        }
        delivered
    }

    /// Lists a datagram of a remote to be sent to the client, with its header in front.
    fn list_down<N: Net>(
        &mut self,
        place: usize,
        number: usize,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        let batch = &shared.associations.batch;
        let from = *batch.from(place);
        if !self.client_addr.is_known() {
            return Err(DropReason::Unknown);
        }
        let client = *self.client_addr.addr();
        let stranger = |contacts: &Contacts| !contacts.contains(from.ip());
        if self.contacts.as_ref().is_some_and(stranger) {
            return Err(DropReason::Uncontacted);
        }
        let payload = batch.segment(place, number);
        if batch.is_cut(place) || payload.len() > payload_max(client.ip(), from.ip()) {
            return Err(DropReason::TooLong);
        }
        let permitted = self.permit(&from, Origin::Known, shared);
        permitted.map_err(|_| DropReason::Refused)?;
        let header = header(&from);
        let batch = &mut shared.associations.batch;
        batch.push(client, header.as_bytes(), payload);
        Ok(())
    }

    /// Sends all datagrams that are listed to the client. Returns `true` if one was sent.
    fn send_down<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> bool {
        let all = 0..shared.associations.batch.outgoing();
        let sent = self.inner.send(all, Direction::Down, self.is_aimed, shared);
        shared.associations.batch.clear();
        count(&mut self.moved.down_bytes, sent.payload_bytes);
        shared.totals.add(Total::DownDatagrams, sent.datagrams);
        sent.datagrams > 0
    }
}

impl<U: UdpSocket> Socket<U> {
    /// Receives a batch at most. Returns the number of places that are filled. Errors are those
    /// of datagrams sent earlier, which are lost like others: they are taken and change nothing
    /// (U13).
    fn receive<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> usize {
        let Associations { batch, offload, .. } = &mut shared.associations;
        let net = &mut shared.net;
        match net.receive_batch(&mut self.socket, batch, self.intake) {
            Ok(count) => {
                self.readable = count == self.intake.places;
                self.errors = 0;
                self.intake.places = places(batch, count);
                let is_bulk = count >= BULK_MIN && is_of_one(batch, count);
                if is_bulk && !self.intake.joins && offload.receives() {
                    self.intake.joins = self.socket.join().is_ok();
                    if !self.intake.joins {
                        offload.cannot_receive();
                    }
                }
                count
            }
            Err(error) => {
                self.errors += 1;
                if error == Errno::EAGAIN || self.errors == ERRORS_MAX {
                    self.readable = false;
                    self.errors = 0;
                }
                0
            }
        }
    }

    /// Sends listed datagrams in their order, as far as that is possible now.
    fn send<N: Net<UdpSocket = U>>(
        &mut self,
        numbers: Range<usize>,
        direction: Direction,
        is_aimed: bool,
        shared: &mut Shared<N>,
    ) -> Sent {
        let Associations { batch, offload, .. } = &mut shared.associations;
        let (net, socket) = (&mut shared.net, &mut self.socket);
        let mut total = Sent::default();
        // What lies before `apart` was refused as a run.
        let (mut at, mut apart, mut retried) = (numbers.start, numbers.start, false);
        // Bounded: each round sends or drops a datagram, lets a run go apart, or tries one
        // datagram for the second time.
        while at < numbers.end {
            let (now, is_run) = offload.next(direction, batch, at..numbers.end, apart);
            let result = if is_run {
                let sent = net.send_run(socket, batch, now.clone(), is_aimed);
                sent.map(|()| now.len())
            } else {
                net.send_batch(socket, batch, now.clone(), is_aimed)
            };
            match result {
                Ok(sent) if sent > 0 => {
                    let sent = at..now.end.min(at + sent);
                    (at, retried) = (sent.end, false);
                    total.add(batch, sent);
                }
                Err(Errno::ENODEV) => {
                    let rest = numbers.end - at;
                    shared
                        .totals
                        .count_drops(DropReason::Unsendable, rest as u64);
                    total.has_lost_device = true;
                    break;
                }
                Err(error) if is_run && error != Errno::EAGAIN => {
                    let (to, len) = (batch.to(at).ip(), batch.outgoing_len(at));
                    offload.refused(direction, to, len, error);
                    apart = now.end;
                }
                Err(error) if error != Errno::EAGAIN => {
                    // The first may be an earlier datagram's error, which is gone now.
                    if retried {
                        shared.totals.count_drop(DropReason::Unsendable);
                        at += 1;
                    }
                    retried = !retried;
                }
                _ => {
                    let rest = numbers.end - at;
                    shared.totals.count_drops(DropReason::Full, rest as u64);
                    break;
                }
            }
        }
        total
    }
}

/// The places that the next call to receive is given, if the last one has filled `count`.
fn places(batch: &Batch, count: usize) -> usize {
    if count < PLACES_MIN {
        PLACES_MIN
    } else if (0..count).any(|place| batch.is_joined(place)) {
        PLACES_JOINED
    } else {
        BATCH_MAX
    }
}

/// Returns `true` if one sender has filled the first `count` places.
fn is_of_one(batch: &Batch, count: usize) -> bool {
    (1..count).all(|place| batch.from(place) == batch.from(0))
}

/// Returns `true` if a datagram dropped so was the client's all the same: its header was
/// understood.
fn is_heard(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::Refused | DropReason::Name | DropReason::Unsendable
    )
}
