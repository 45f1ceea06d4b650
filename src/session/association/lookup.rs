//! Names in the headers of datagrams (U8): looked up once, with one datagram waiting for each.
//!
//! Bounds: an association has four names; a client has 16 being looked up, which is its share
//! of the resolver, and all together 64; the datagrams that wait take 256 KiB at most, those
//! of one client a quarter of it.

use std::net::{IpAddr, SocketAddr};

use super::Association;
use crate::net::{Net, UdpSocket};
use crate::resolver::{Answer, Asker};
use crate::session::shared::Shared;
use crate::state::association::{DropReason, Held, Known, NAMES_MAX};
use crate::state::clients::Table;
use crate::wire::socks::Name;

/// Bytes of the datagrams that wait for names, all together: 64 of the usual size twice over.
const HELD_BYTES_MAX: usize = 256 * 1024;

/// What a name in a header has come to.
pub(super) enum Resolved {
    /// This address.
    Addr(IpAddr),
    /// It is being looked up, by this number.
    Pending(u8),
}

impl<U: UdpSocket> Association<U> {
    /// The address of `name`, which is looked up if it is not known.
    ///
    /// # Errors
    /// It has none, or too many names are being looked up.
    pub(super) fn resolve<N: Net<UdpSocket = U>>(
        &mut self,
        name: &Name,
        shared: &mut Shared<N>,
    ) -> Result<Resolved, DropReason> {
        match self.names.find(name, shared.now) {
            Known::Address(addr) => addr.map(Resolved::Addr).ok_or(DropReason::Name),
            Known::Pending(number) => Ok(Resolved::Pending(number)),
            Known::Nothing(number) if self.look_up(number, name, shared) => {
                Ok(Resolved::Pending(number))
            }
            Known::Nothing(_) | Known::NoRoom => Err(DropReason::Name),
        }
    }

    /// Begins to look up `name`, which has that number. Returns `true` if there is room for that.
    fn look_up<N: Net<UdpSocket = U>>(
        &mut self,
        number: u8,
        name: &Name,
        shared: &mut Shared<N>,
    ) -> bool {
        let asker = Asker {
            session: self.key,
            number,
        };
        if shared.clients.take(Table::Lookups, self.client_key) {
            if shared
                .resolver
                .start(asker, self.client_key, name.as_bytes())
            {
                return true;
            }
            shared.clients.give(Table::Lookups, self.client_key);
        }
        self.names.forget(number);
        false
    }

    /// Keeps the payload of datagram `number`, which starts at `start` and is for that port,
    /// until the name of `lookup` has its address. The newest wins.
    pub(super) fn hold<N: Net<UdpSocket = U>>(
        &mut self,
        lookup: u8,
        (number, start): (usize, usize),
        port: u16,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        let before = self.names.held_bytes(lookup);
        let associations = &mut shared.associations;
        let payload = &associations.batch.bytes(number)[start..];
        let after = payload.len();
        let share = shared
            .clients
            .share_mut(self.client_key)
            .ok_or(DropReason::Name)?;
        let (all, own) = (
            associations.held_bytes - before + after,
            share.held_bytes - before + after,
        );
        if all > HELD_BYTES_MAX || own > HELD_BYTES_MAX / 4 {
            return Err(DropReason::Name);
        }
        let payload = payload.into();
        (associations.held_bytes, share.held_bytes) = (all, own);
        if self.names.hold(lookup, Held { port, payload }).is_some() {
            shared.totals.count_drop(DropReason::Name);
        }
        Ok(())
    }

    /// Takes an answer for a name, if it is pending: what waited for it is sent.
    pub(super) fn settle<N: Net<UdpSocket = U>>(
        &mut self,
        number: u8,
        answer: &Answer,
        shared: &mut Shared<N>,
    ) {
        let mut found = None;
        if let Answer::Found(addresses) = answer {
            found = first_reachable(addresses.as_slice(), shared);
        }
        let Some(held) = self.end_lookup(number, found, shared) else {
            return;
        };
        let mut outcome = Err(DropReason::Name);
        if let Some(ip) = found {
            let to = SocketAddr::new(ip, held.port);
            // Rules may have changed since this association's last turn.
            self.permitted = None;
            outcome = self.prepare(&to, shared);
            shared.associations.batch.put(0, to, &held.payload);
        }
        match outcome {
            Ok(family) => self.send_up(family, &[0], shared),
            Err(reason) => shared.totals.count_drop(reason),
        }
    }

    /// Ends all lookups, and drops what waits for them.
    pub(super) fn give_up_lookups<N: Net>(&mut self, shared: &mut Shared<N>) {
        for number in (0..).take(NAMES_MAX) {
            self.end_lookup(number, None, shared);
        }
        shared.resolver.cancel(self.key);
    }

    /// The name with that number, if it is being looked up, has the address `found`, or none;
    /// gives what waited for it.
    fn end_lookup<N: Net>(
        &mut self,
        number: u8,
        found: Option<IpAddr>,
        shared: &mut Shared<N>,
    ) -> Option<Held> {
        if !self.names.is_pending(number) {
            return None;
        }
        let held = self.names.settle(number, found, shared.now);
        let bytes = held.as_ref().map_or(0, |held| held.payload.len());
        shared.clients.give(Table::Lookups, self.client_key);
        shared.associations.held_bytes -= bytes;
        if let Some(share) = shared.clients.share_mut(self.client_key) {
            share.held_bytes -= bytes;
        }
        held
    }
}

/// The address that the datagrams for a name go to: the first to which there is a way. Without
/// a connection there is no race, and many routers have no IPv6.
fn first_reachable<N: Net>(addresses: &[IpAddr], shared: &mut Shared<N>) -> Option<IpAddr> {
    for ip in addresses {
        if shared.has_family(ip.is_ipv6()) && shared.net.route(*ip).is_ok() {
            return Some(*ip);
        }
    }
    None
}
