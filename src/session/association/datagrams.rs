//! The datagrams of an association, batch by batch: in, judged, addressed, out.
//!
//! What cannot be carried is dropped and counted, never queued: UDP promises nothing, and a
//! queue would only deliver it late.

use std::net::SocketAddr;

use super::lookup::Resolved;
use super::{Association, FAMILIES, Family, Socket};
use crate::net::{Errno, Net, Side, UdpSocket};
use crate::session::shared::Shared;
use crate::session::totals::{Total, count};
use crate::state::access::Origin;
use crate::state::association::DropReason;
use crate::state::batch::{BATCH_MAX, Batch, Indices};
use crate::state::contacts::Contacts;
use crate::state::slots::{Role, Token};
use crate::wire::socks::Address;
use crate::wire::udp::{Dropped, Header, header, payload_max};

/// Batches of one turn and direction: 64 datagrams, about what a tunnel moves in its turn.
const BATCHES_PER_TURN: usize = 4;

/// Errors in a row after which a socket counts as drained: one that did not go away would spin
/// the loop. Those of ICMP each bring an event of their own.
const ERRORS_MAX: u8 = 4;

/// What was sent of some datagrams.
#[derive(Clone, Copy, Default)]
struct Sent {
    datagrams: u64,
    payload_bytes: u64,
}

/// Where a datagram of the client goes, if it is not dropped.
enum Route {
    /// To a remote of that family, now.
    Send(Family),
    /// Nowhere yet: it is held until its name has an address.
    Held,
}

impl<U: UdpSocket> Association<U> {
    /// Relays datagrams from the client to remotes. Returns `true` if one of them was
    /// the client's.
    pub(super) fn relay_up<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> bool {
        let mut heard = false;
        let is_v6 = self.client_addr.addr().is_ipv6();
        for _ in 0..BATCHES_PER_TURN {
            if !self.inner.readable {
                break;
            }
            let batch = &mut shared.associations.batch;
            let count = self.inner.receive(&mut shared.net, batch, is_v6);
            let mut indices = [Indices::default(); 2];
            for number in 0..count {
                match self.route(number, shared) {
                    Ok(Route::Send(family)) => indices[family as usize].push(number),
                    Ok(Route::Held) => {}
                    Err(reason) => {
                        shared.totals.count_drop(reason);
                        if !is_heard(reason) {
                            continue;
                        }
                    }
                }
                heard = true;
            }
            for (family, indices) in FAMILIES.into_iter().zip(indices) {
                self.send_up(family, indices.as_slice(), shared);
            }
        }
        heard
    }

    /// Decides where datagram `number` of the client goes, and pops its header.
    ///
    /// # Errors
    /// Why it is dropped.
    fn route<N: Net<UdpSocket = U>>(
        &mut self,
        number: usize,
        shared: &mut Shared<N>,
    ) -> Result<Route, DropReason> {
        let batch = &shared.associations.batch;
        let from = batch.addr(number);
        let port = from.port();
        if !self.client_addr.may_be(from) {
            return Err(DropReason::Stranger);
        }
        if batch.is_cut(number) {
            return Err(DropReason::TooLong);
        }
        let parsed = Header::parse(batch.bytes(number));
        let (header, start) = parsed.map_err(|dropped| match dropped {
            Dropped::Fragment => DropReason::Fragment,
            Dropped::Malformed => DropReason::Malformed,
        })?;
        if self.client_addr.learn(port) {
            self.aim();
        }
        let (addr, origin) = match &header.address {
            Address::Ip(addr) => (*addr, Origin::Known),
            Address::Name(name) => match self.resolve(name, shared)? {
                Resolved::Addr(addr, origin) => (addr, origin),
                Resolved::Pending(lookup) => {
                    self.hold(lookup, (number, start), header.port, shared)?;
                    return Ok(Route::Held);
                }
            },
        };
        let to = SocketAddr::new(addr, header.port);
        let family = self.prepare(&to, origin, shared)?;
        shared.associations.batch.pop_header(number, start, to);
        Ok(Route::Send(family))
    }

    /// Returns `Ok` if the client may reach that remote, and be reached from there.
    fn permit<N: Net>(
        &mut self,
        remote: &SocketAddr,
        origin: Origin,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        if let Some((addr, from)) = &self.permitted
            && addr == remote
            && *from == origin
        {
            return Ok(());
        }
        let verdict = shared.permit(self.client_addr.addr(), remote, origin);
        verdict.map_err(|_| DropReason::Refused)?;
        self.permitted = Some((*remote, origin));
        Ok(())
    }

    /// Sees to it that the client may reach that remote, that there is a socket of its family,
    /// and that it may answer. Returns its family.
    pub(super) fn prepare<N: Net<UdpSocket = U>>(
        &mut self,
        to: &SocketAddr,
        origin: Origin,
        shared: &mut Shared<N>,
    ) -> Result<Family, DropReason> {
        self.permit(to, origin, shared)?;
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
            *outer = Some(Socket::new(opened.map_err(|_| DropReason::Unsendable)?));
        }
        if let Some(contacts) = &mut self.contacts {
            contacts.note(to.ip());
        }
        Ok(family)
    }

    /// Sends datagrams of the batch to remotes of one family.
    pub(super) fn send_up<N: Net<UdpSocket = U>>(
        &mut self,
        family: Family,
        numbers: &[u8],
        shared: &mut Shared<N>,
    ) {
        if let Some(outer) = &mut self.outer[family as usize] {
            let sent = outer.send(numbers, false, shared);
            count(&mut self.moved.up_bytes, sent.payload_bytes);
            shared.totals.add(Total::UpDatagrams, sent.datagrams);
        }
    }

    /// Relays datagrams from remotes to the client. Returns `true` if there was one.
    pub(super) fn relay_down<N: Net<UdpSocket = U>>(&mut self, shared: &mut Shared<N>) -> bool {
        let mut delivered = false;
        for family in FAMILIES {
            for _ in 0..BATCHES_PER_TURN {
                let outer = self.outer[family as usize].as_mut();
                let Some(outer) = outer.filter(|outer| outer.readable) else {
                    break;
                };
                let batch = &mut shared.associations.batch;
                let is_v6 = matches!(family, Family::V6);
                let received = outer.receive(&mut shared.net, batch, is_v6);
                let mut indices = Indices::default();
                for number in 0..received {
                    match self.push_header(number, shared) {
                        Ok(()) => indices.push(number),
                        Err(reason) => shared.totals.count_drop(reason),
                    }
                }
                let sent = self.inner.send(indices.as_slice(), self.is_aimed, shared);
                count(&mut self.moved.down_bytes, sent.payload_bytes);
                shared.totals.add(Total::DownDatagrams, sent.datagrams);
                delivered |= sent.datagrams > 0;
            }
        }
        delivered
    }

    /// Puts the header in front of datagram `number` of a remote, for the client.
    fn push_header<N: Net>(
        &mut self,
        number: usize,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        let batch = &shared.associations.batch;
        let from = *batch.addr(number);
        if !self.client_addr.is_known() {
            return Err(DropReason::Unknown);
        }
        let client = *self.client_addr.addr();
        let stranger = |contacts: &Contacts| !contacts.contains(from.ip());
        if self.contacts.as_ref().is_some_and(stranger) {
            return Err(DropReason::Uncontacted);
        }
        if batch.is_cut(number) || batch.bytes(number).len() > payload_max(client.ip(), from.ip()) {
            return Err(DropReason::TooLong);
        }
        self.permit(&from, Origin::Known, shared)?;
        let batch = &mut shared.associations.batch;
        batch.push_header(number, client, header(&from).as_bytes());
        Ok(())
    }
}

impl<U: UdpSocket> Socket<U> {
    /// Receives a batch at most. Returns the number of datagrams. Errors are those of datagrams
    /// sent earlier, which are lost like others: they are taken and change nothing (U13).
    fn receive<N: Net<UdpSocket = U>>(
        &mut self,
        net: &mut N,
        batch: &mut Batch,
        is_v6: bool,
    ) -> usize {
        match net.receive_batch(&mut self.socket, batch, is_v6) {
            Ok(count) => {
                self.readable = count == BATCH_MAX;
                self.errors = 0;
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

    /// Sends datagrams of the batch, as far as that is possible now.
    fn send<N: Net<UdpSocket = U>>(
        &mut self,
        numbers: &[u8],
        is_aimed: bool,
        shared: &mut Shared<N>,
    ) -> Sent {
        let batch = &shared.associations.batch;
        let mut total = Sent::default();
        let (mut at, mut retried) = (0, false);
        // Bounded: each round sends or drops a datagram, or tries one for the second time.
        while at < numbers.len() {
            let rest = &numbers[at..];
            match shared
                .net
                .send_batch(&mut self.socket, batch, rest, is_aimed)
            {
                Ok(sent) if sent > 0 => {
                    let sent = sent.min(rest.len());
                    for number in &rest[..sent] {
                        total.datagrams += 1;
                        total.payload_bytes += batch.payload_len(usize::from(*number)) as u64;
                    }
                    (at, retried) = (at + sent, false);
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
                    shared
                        .totals
                        .count_drops(DropReason::Full, rest.len() as u64);
                    break;
                }
            }
        }
        total
    }
}

/// Returns `true` if a datagram dropped so was the client's all the same: its header was
/// understood.
fn is_heard(reason: DropReason) -> bool {
    matches!(
        reason,
        DropReason::Refused | DropReason::Name | DropReason::Unsendable
    )
}
