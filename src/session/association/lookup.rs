//! Names in the headers of datagrams (U8): looked up once, with the newest datagram for each
//! waiting.
//!
//! Bounds: an association has 64 names of the usual length, and as many datagrams that wait; all
//! together 256 names are looked up, which is the resolver's to bound; the datagrams take 256 KiB,
//! and those of one client never more than what they leave to the others.

use std::net::{IpAddr, SocketAddr};

use super::Association;
use crate::net::{Net, UdpSocket};
use crate::resolver::{Answer, Asker};
use crate::session::shared::Shared;
use crate::state::access::Origin;
use crate::state::association::DropReason;
use crate::state::batch::Segment;
use crate::state::names::{ALL_HELD_BYTES_MAX, Held, Known};
use crate::wire::socks::Name;

/// What a name in a header has come to.
pub(super) enum Resolved {
    /// This address, and who says so.
    Addr(IpAddr, Origin),
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
        let mut known = self.names.find(name, shared.now);
        if known == Known::NoRoom
            && let Some(longest) = self.names.longest_pending(shared.now)
        {
            self.give_up(longest, shared);
            known = self.names.find(name, shared.now);
        }
        match known {
            Known::Address(addr) => match addr {
                Some((addr, origin)) => Ok(Resolved::Addr(addr, origin)),
                None => Err(DropReason::Name),
            },
            Known::Pending(number) => Ok(Resolved::Pending(number)),
            Known::Nothing(number) => {
                let asker = self.asker(number);
                let name = name.as_bytes();
                if !shared.resolver.start(asker, self.client_key, name) {
                    self.names.forget(number);
                    return Err(DropReason::Name);
                }
                shared.associations.lookups += 1;
                Ok(Resolved::Pending(number))
            }
            Known::NoRoom => Err(DropReason::Name),
        }
    }

    /// Who asks for the name with that number.
    fn asker(&self, number: u8) -> Asker {
        Asker {
            session: self.key,
            number,
            takes_rest: false,
        }
    }

    /// Keeps the payload of a datagram for that port until the name of `lookup` has its address.
    /// The oldest ones make room for it.
    pub(super) fn hold<N: Net<UdpSocket = U>>(
        &mut self,
        lookup: u8,
        payload: Segment,
        port: u16,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        let payload_len = payload.len();
        // Bounded: each round takes a datagram out.
        while let Some(oldest) = self.names.make_room(payload_len) {
            self.drop_held(&oldest, shared);
        }
        while !self.may_hold(Held::bytes_of(payload_len), shared) {
            let oldest = self.names.take_oldest().ok_or(DropReason::Name)?;
            self.drop_held(&oldest, shared);
        }
        let held = Held {
            number: lookup,
            port,
            payload: shared.associations.batch.bytes(payload).into(),
        };
        shared.associations.held_bytes += held.bytes();
        if let Some(share) = shared.clients.share_mut(self.client_key) {
            share.held_bytes += held.bytes();
        }
        if let Some(replaced) = self.names.hold(held) {
            self.drop_held(&replaced, shared);
        }
        Ok(())
    }

    /// Returns `true` if the client may hold so many bytes more: it never has more than it leaves
    /// to others, so that something is left for whoever comes.
    fn may_hold<N: Net>(&self, bytes: usize, shared: &mut Shared<N>) -> bool {
        let all = shared.associations.held_bytes + bytes;
        let share = shared.clients.share_mut(self.client_key);
        let own = share.map_or(0, |share| share.held_bytes) + bytes;
        all + own <= ALL_HELD_BYTES_MAX
    }

    /// A datagram does not wait any more.
    fn let_go<N: Net>(&self, held: &Held, shared: &mut Shared<N>) {
        shared.associations.held_bytes -= held.bytes();
        if let Some(share) = shared.clients.share_mut(self.client_key) {
            share.held_bytes -= held.bytes();
        }
    }

    /// A datagram that waited is dropped.
    fn drop_held<N: Net>(&self, held: &Held, shared: &mut Shared<N>) {
        self.let_go(held, shared);
        shared.totals.count_drop(DropReason::Name);
    }

    /// Takes an answer for a name, if it is pending: what waited for it is sent.
    pub(super) fn settle<N: Net<UdpSocket = U>>(
        &mut self,
        number: u8,
        answer: &Answer,
        shared: &mut Shared<N>,
    ) {
        if !self.names.is_pending(number) {
            return;
        }
        let mut found = None;
        if let Answer::Found(addresses, servers) = answer {
            let origin = shared.origin(servers);
            found = first_reachable(addresses.as_slice(), shared).map(|addr| (addr, origin));
        }
        shared.associations.lookups -= 1;
        self.names.settle(number, found, shared.now);
        // Bounded by the datagrams that an association may hold.
        while let Some(held) = self.names.take_held(number) {
            self.let_go(&held, shared);
            if let Err(reason) = self.send_held(&held, found, shared) {
                shared.totals.count_drop(reason);
            }
        }
    }

    /// Sends what has waited for a name, whose address is `found`.
    fn send_held<N: Net<UdpSocket = U>>(
        &mut self,
        held: &Held,
        found: Option<(IpAddr, Origin)>,
        shared: &mut Shared<N>,
    ) -> Result<(), DropReason> {
        let (addr, origin) = found.ok_or(DropReason::Name)?;
        let to = SocketAddr::new(addr, held.port);
        self.prepare(&to, origin, shared)?;
        let payload = shared.associations.batch.put(&held.payload);
        self.list_up(to, payload, shared);
        self.send_up(shared);
        Ok(())
    }

    /// Ends all lookups, and drops what waits for them.
    pub(super) fn give_up_lookups<N: Net>(&mut self, shared: &mut Shared<N>) {
        for number in self.names.numbers() {
            if self.names.is_pending(number) {
                self.give_up(number, shared);
            }
        }
    }

    /// Ends a lookup, and drops what waits for it.
    fn give_up<N: Net>(&mut self, number: u8, shared: &mut Shared<N>) {
        shared.resolver.cancel(self.asker(number));
        shared.associations.lookups -= 1;
        self.names.forget(number);
        while let Some(held) = self.names.take_held(number) {
            self.drop_held(&held, shared);
        }
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
