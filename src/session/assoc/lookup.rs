//! Names in the headers of datagrams (U8): looked up once, with one datagram waiting for each.
//!
//! Bounds: an association has four names; a client has 16 being looked up, which is its share
//! of the resolver, and all together 64; the datagrams that wait take 256 KiB at most, those
//! of one client a quarter of it.

use std::net::{IpAddr, SocketAddr};

use super::Association;
use crate::net::{Datagram, Net};
use crate::session::{Phase, Session, Shared};
use crate::state::access::Source;
use crate::state::association::{Held, Known, Loss, NAMES_MAX};
use crate::state::resolver::{Answer, Asker, SHARE_MAX, SLOTS_MAX};
use crate::state::slots::Key;
use crate::wire::socks::Name;

/// Names being looked up for associations, all together: as many as the resolver asks for at
/// once.
pub(in crate::session) const LOOKUPS_MAX: usize = SLOTS_MAX;

/// Bytes of the datagrams that wait for names, all together: 64 of the usual size twice over.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// How a name stands.
pub(super) enum Lookup {
    /// It has this address.
    Found(IpAddr),
    /// It is being looked up, by this number.
    Pending(u8),
}

impl<N: Net> Session<N> {
    /// The lookup of name `number` has come to its end: what waited for it is sent.
    pub(in crate::session) fn name_resolved(
        &mut self,
        number: u8,
        answer: &Answer,
        shared: &mut Shared<N>,
    ) {
        let (key, source) = (self.key, self.record.source());
        if let Phase::Associated(association) = &mut self.phase
            && association.names.is_pending(number)
        {
            association.settle(number, answer, key, source, shared);
        }
    }
}

impl<D: Datagram> Association<D> {
    /// The address of a name, or its lookup, which begins where there was none.
    pub(super) fn find<N: Net<Datagram = D>>(
        &mut self,
        name: &Name,
        key: Key,
        source: Source,
        shared: &mut Shared<N>,
    ) -> Result<Lookup, Loss> {
        let number = match self.names.find(name, shared.now) {
            Known::Address(Some(ip)) => return Ok(Lookup::Found(ip)),
            Known::Address(None) | Known::NoRoom => return Err(Loss::Name),
            Known::Pending(number) => return Ok(Lookup::Pending(number)),
            Known::Nothing(number) => number,
        };
        let asker = Asker {
            session: key,
            number,
        };
        let room = shared.associations.lookups < LOOKUPS_MAX
            && (shared.clients.share(source).lookups as usize) < SHARE_MAX;
        if !room || !shared.names.start(asker, source, name.as_bytes()) {
            self.names.forget(number);
            return Err(Loss::Name);
        }
        shared.associations.lookups += 1;
        if let Some(share) = shared.clients.share_mut(source) {
            share.lookups += 1;
        }
        Ok(Lookup::Pending(number))
    }

    /// Keeps the payload of datagram `number`, which starts at `start` and is for that port,
    /// until the name of `lookup` has its address. The newest wins.
    pub(super) fn hold<N: Net<Datagram = D>>(
        &mut self,
        (lookup, source): (u8, Source),
        (number, start): (usize, usize),
        port: u16,
        shared: &mut Shared<N>,
    ) -> Result<(), Loss> {
        let (before, own) = (
            self.names.held_bytes(lookup),
            shared.clients.share(source).held_bytes,
        );
        let associations = &mut shared.associations;
        let payload = &associations.batch.bytes(number)[start..];
        let after = payload.len();
        if associations.held_bytes - before + after > HELD_BYTES_MAX
            || own - before + after > HELD_BYTES_MAX / 4
        {
            return Err(Loss::Name);
        }
        let payload = payload.into();
        recount(before, after, source, shared);
        if self.names.hold(lookup, Held { port, payload }).is_some() {
            shared.totals.lose(Loss::Name);
        }
        Ok(())
    }

    /// Takes an answer for a name that is pending.
    fn settle<N: Net<Datagram = D>>(
        &mut self,
        number: u8,
        answer: &Answer,
        key: Key,
        source: Source,
        shared: &mut Shared<N>,
    ) {
        recount(self.names.held_bytes(number), 0, source, shared);
        end_lookup(source, shared);
        let mut loss = Loss::Name;
        let mut found = None;
        if let Answer::Found(addresses) = answer {
            found = first_reachable(addresses.as_slice(), shared);
        }
        let Some(held) = self.names.settle(number, found, shared.now) else {
            return;
        };
        if let Some(ip) = found {
            let to = SocketAddr::new(ip, held.port);
            // Rules may have changed since this association's last turn.
            self.permitted = None;
            match self
                .permit(to, shared)
                .and_then(|()| self.reach(to, key, shared))
            {
                Ok(()) => {
                    shared.associations.batch.put(0, to, &held.payload);
                    return self.send_up(usize::from(to.is_ipv6()), &[0], shared);
                }
                Err(other) => loss = other,
            }
        }
        shared.totals.lose(loss);
    }

    /// Ends all lookups, and drops what waits for them.
    pub(super) fn give_up_lookups<N: Net<Datagram = D>>(
        &mut self,
        key: Key,
        source: Source,
        shared: &mut Shared<N>,
    ) {
        let mut pending = false;
        for number in (0..).take(NAMES_MAX) {
            if self.names.is_pending(number) {
                recount(self.names.held_bytes(number), 0, source, shared);
                end_lookup(source, shared);
                pending = true;
            }
        }
        if pending {
            shared.names.cancel(key);
        }
    }
}

/// The address that the datagrams for a name go to: the first to which there is a way. Without
/// a connection there is no race, and many routers have no IPv6.
fn first_reachable<N: Net>(addresses: &[IpAddr], shared: &mut Shared<N>) -> Option<IpAddr> {
    let families = shared.families;
    let mut usable = addresses.iter().copied().filter(|ip| match ip {
        IpAddr::V4(_) => families.v4,
        IpAddr::V6(_) => families.v6,
    });
    usable.find(|ip| shared.net.route(*ip).is_ok())
}

/// Counts the bytes that wait for one name, and did before.
fn recount<N: Net>(before: usize, after: usize, source: Source, shared: &mut Shared<N>) {
    let held = &mut shared.associations.held_bytes;
    *held = *held - before + after;
    if let Some(share) = shared.clients.share_mut(source) {
        share.held_bytes = share.held_bytes - before + after;
    }
}

/// Counts a lookup that is over.
fn end_lookup<N: Net>(source: Source, shared: &mut Shared<N>) {
    shared.associations.lookups -= 1;
    if let Some(share) = shared.clients.share_mut(source) {
        share.lookups -= 1;
    }
}
