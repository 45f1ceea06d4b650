//! Messages of rtnetlink(7), as bytes: what the kernel says of links, addresses and routes, and
//! the questions that make it say so. No socket.
//!
//! A [`Dump`] puts its questions one after the other, takes the answers piece by piece, and gives
//! the interfaces once it is complete. It believes nothing that it does not understand: a
//! malformed piece, an error and more than there is room for end it.

mod message;

use std::ffi::CStr;
use std::mem;
use std::net::IpAddr;

use nix::errno::Errno;
use nix::libc;

use self::message::{Attributes, HEADER_BYTES, Message, number_at, split};
use crate::state::access::Interface;

/// The most addresses: a router has some ten. With seven rules of 24 bytes each they take 250 KiB.
const ADDRS_MAX: usize = 1024;

/// The most interfaces that a default route uses, and the most nexthop objects, of up to 8 bytes
/// each.
const LINKS_MAX: usize = 4096;

/// NLM_F_REQUEST and NLM_F_DUMP, NLM_F_MULTI and NLM_F_DUMP_INTR, which have 16 bits in a message.
const REQUEST_DUMP: u16 = 0x301;
const MULTI: u16 = 0x2;
const INTERRUPTED: u16 = 0x10;
const _: () = assert!(REQUEST_DUMP as i32 == libc::NLM_F_REQUEST | libc::NLM_F_DUMP);

/// NLMSG_ERROR, NLMSG_DONE and NLMSG_OVERRUN.
const ERROR: u16 = 2;
const DONE: u16 = 3;
const OVERRUN: u16 = 4;

/// AF_INET and AF_INET6, which have 8 bits.
const V4: u8 = 2;
const V6: u8 = 10;
const _: () = assert!(V4 as i32 == libc::AF_INET && V6 as i32 == libc::AF_INET6);

/// RTM_NEWNEXTHOP, RTM_DELNEXTHOP and RTM_GETNEXTHOP, and the attributes of such messages
/// (<linux/nexthop.h>).
const NEW_NEXTHOP: u16 = 104;
const DEL_NEXTHOP: u16 = 105;
const GET_NEXTHOP: u16 = 106;
const NEXTHOP_ID: u16 = 1;
const NEXTHOP_GROUP: u16 = 2;
const NEXTHOP_DEVICE: u16 = 5;

/// IFLA_IFNAME and RTA_NH_ID, which the libc crate does not have for every target.
const LINK_NAME: u16 = 3;
const ROUTE_NEXTHOP_ID: u16 = 30;

/// Each question's type, family, and length with its own fixed header, which is zero but for the
/// family. The last one is put only where a default route names a nexthop object.
const QUESTIONS: [(u16, u8, u8); 5] = [
    (libc::RTM_GETADDR, 0, 24),
    (libc::RTM_GETLINK, 0, 32),
    (libc::RTM_GETROUTE, V4, 28),
    (libc::RTM_GETROUTE, V6, 28),
    (GET_NEXTHOP, 0, 24),
];

/// Room for the longest of them.
pub type Question = [u8; 32];

/// The addresses and routes of this machine, as far as the kernel has told them.
#[derive(Debug, Default)]
pub struct Dump {
    /// The number of the question put last, by which its answers are known.
    sequence: u32,
    /// Its place in [`QUESTIONS`]; the first has not been put yet if `None`, and no answer counts.
    question: Option<usize>,
    /// Something has changed between two answers.
    interrupted: bool,
    /// Each address with its interface, of which the name is told later, and whether it is outside
    /// at the end.
    found: Vec<Interface>,
    /// The interfaces that a default route uses.
    outside: Vec<u32>,
    /// The nexthop objects that a default route uses.
    wanted: Vec<u32>,
    /// Nexthop objects with their interfaces, and groups with each of their members.
    nexthops: Vec<(u32, u32)>,
    members: Vec<(u32, u32)>,
}

/// What a piece of the kernel's has told.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Heard {
    /// Links, addresses or default routes have changed.
    pub is_changed: bool,
    /// The answer to the open question is complete.
    pub is_answered: bool,
}

/// Takes a piece, as one read gives it: of the answer to the question of `dump`, or an
/// announcement.
///
/// # Errors
/// It is malformed, the kernel cannot answer, or there is more than there is room for.
pub fn hear(piece: &[u8], dump: &mut Dump) -> Result<Heard, Errno> {
    let mut heard = Heard::default();
    let mut rest = piece;
    while let Some(message) = Message::take(&mut rest) {
        let is_end = matches!(message.kind, DONE | ERROR);
        // Announcements carry the number of whoever has made the change.
        let is_answer = dump.question.is_some()
            && dump.sequence == message.sequence
            && (is_end || message.flags & MULTI != 0);
        if !is_answer {
            heard.is_changed |= announces(&message);
            continue;
        }
        dump.interrupted |= message.flags & INTERRUPTED != 0;
        if is_end {
            message.check_end()?;
            heard.is_answered = true;
        } else {
            dump.note(&message)?;
        }
    }
    if rest.is_empty() {
        Ok(heard)
    } else {
        Err(Errno::EBADMSG)
    }
}

impl Dump {
    /// A dump whose questions are numbered from `sequence` on.
    pub fn new(sequence: u32) -> Self {
        Self {
            sequence,
            ..Self::default()
        }
    }

    /// Forgets everything but the number of the question put last.
    pub fn restart(&mut self) {
        *self = Self::new(self.sequence);
    }

    /// The number of the question put last.
    pub fn sequence(&self) -> u32 {
        self.sequence
    }

    /// Goes on to the next question, which is returned as it is to be sent; `None` once all are
    /// answered.
    pub fn next_question<'a>(&mut self, room: &'a mut Question) -> Option<&'a [u8]> {
        let next = self.question.map_or(0, |question| question + 1);
        let &(kind, family, len) = QUESTIONS.get(next)?;
        if kind == GET_NEXTHOP && self.wanted.is_empty() {
            return None;
        }
        self.question = Some(next);
        self.sequence = self.sequence.wrapping_add(1);
        *room = Question::default();
        room[..4].copy_from_slice(&u32::from(len).to_ne_bytes());
        room[4..6].copy_from_slice(&kind.to_ne_bytes());
        room[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
        room[8..12].copy_from_slice(&self.sequence.to_ne_bytes());
        room[HEADER_BYTES] = family;
        room.get(..len.into())
    }

    /// The interfaces, once all questions are answered.
    ///
    /// # Errors
    /// `EINTR`: something has changed meanwhile, and the answers may not fit together.
    pub fn interfaces(&mut self) -> Result<Vec<Interface>, Errno> {
        for &wanted in &self.wanted {
            let mut is_known = false;
            for &(id, device) in &self.nexthops {
                if id == wanted || self.members.contains(&(wanted, id)) {
                    self.outside.push(device);
                    is_known = true;
                }
            }
            // It has come since, or has gone.
            self.interrupted |= !is_known;
        }
        if self.interrupted {
            return Err(Errno::EINTR);
        }
        for interface in &mut self.found {
            interface.default_route = self.outside.contains(&interface.index);
        }
        Ok(mem::take(&mut self.found))
    }

    /// Takes one message of an answer.
    fn note(&mut self, message: &Message<'_>) -> Result<(), Errno> {
        let header_bytes = match message.kind {
            libc::RTM_NEWLINK => 16,
            libc::RTM_NEWROUTE => 12,
            libc::RTM_NEWADDR | NEW_NEXTHOP => 8,
            _ => return Ok(()),
        };
        let parts = message.body.split_at_checked(header_bytes);
        let (header, attributes) = parts.ok_or(Errno::EBADMSG)?;
        let attributes = Attributes::read(attributes);
        match message.kind {
            libc::RTM_NEWLINK => self.note_link(header, &attributes),
            libc::RTM_NEWROUTE => self.note_route(header, &attributes),
            libc::RTM_NEWADDR => self.note_addr(header, &attributes),
            _ => self.note_nexthop(&attributes),
        }
    }

    /// struct ifinfomsg and attributes.
    fn note_link(&mut self, header: &[u8], attributes: &Attributes<'_>) -> Result<(), Errno> {
        let name = attributes.get(LINK_NAME);
        let name = name.and_then(|value| CStr::from_bytes_until_nul(value).ok());
        // The kernel takes any bytes; rules and listeners know those that are text.
        let name = name.and_then(|name| name.to_str().ok()).unwrap_or_default();
        let index = number_at(header, 4)?;
        for interface in &mut self.found {
            if interface.index == index {
                name.clone_into(&mut interface.name);
            }
        }
        Ok(())
    }

    /// struct ifaddrmsg and attributes. IFA_LOCAL is the own end where there is a peer, and the
    /// prefix then that of the peer with IPv4 (fib_add_ifaddr), of the own end with IPv6.
    fn note_addr(&mut self, header: &[u8], attributes: &Attributes<'_>) -> Result<(), Errno> {
        let local = attributes.get(libc::IFA_LOCAL);
        let peer = attributes.get(libc::IFA_ADDRESS);
        let addr = local.or(peer);
        let is_v4 = header.first() == Some(&V4);
        let network = if is_v4 { peer.or(local) } else { addr };
        self.add(header, [addr, network], number_at(header, 4)?, false)
    }

    /// Adds what stands in a message whose fixed header starts with family and length of prefix.
    fn add(
        &mut self,
        header: &[u8],
        values: [Option<&[u8]>; 2],
        index: u32,
        all_own: bool,
    ) -> Result<(), Errno> {
        let [family @ (V4 | V6), bits, ..] = *header else {
            return Ok(());
        };
        let [addr, network] = values.map(|value| ip(family, value.unwrap_or_default()));
        let addr = addr.ok_or(Errno::EBADMSG)?;
        let is_host = bits == if family == V4 { 32 } else { 128 };
        let is_known = |known: &Interface| is_host && known.addr == addr;
        if all_own && (addr.is_loopback() || self.found.iter().any(is_known)) {
            return Ok(());
        }
        let interface = Interface {
            // An interface that has gone since has no name any more.
            name: String::new(),
            index,
            addr,
            network: network.ok_or(Errno::EBADMSG)?,
            bits,
            default_route: false,
            all_own,
        };
        push(&mut self.found, interface, ADDRS_MAX)
    }

    /// struct rtmsg and attributes, of all routes in all tables. Only unicast routes lead
    /// somewhere: a default that is unreachable, or thrown, names no way.
    fn note_route(&mut self, header: &[u8], attributes: &Attributes<'_>) -> Result<(), Errno> {
        if is_own(header) {
            return self.note_own(header, attributes);
        }
        if header.get(7) != Some(&libc::RTN_UNICAST) || !is_default(header) {
            return Ok(());
        }
        if let Some(value) = attributes.get(libc::RTA_OIF) {
            note(&mut self.outside, number_at(value, 0)?)?;
        }
        if let Some(value) = attributes.get(ROUTE_NEXTHOP_ID) {
            note(&mut self.wanted, number_at(value, 0)?)?;
        }
        let paths = attributes.get(libc::RTA_MULTIPATH);
        self.note_paths(paths.unwrap_or_default())
    }

    /// A route that makes addresses this machine's: those of the interfaces, which are known, and
    /// what else it is to answer for (`ip route add local`).
    fn note_own(&mut self, header: &[u8], attributes: &Attributes<'_>) -> Result<(), Errno> {
        match attributes.get(libc::RTA_DST) {
            Some(value) => self.add(header, [Some(value); 2], 0, true),
            // All of the Internet.
            None => Ok(()),
        }
    }

    /// The ways of a route that has several: struct rtnexthop and attributes each.
    fn note_paths(&mut self, mut paths: &[u8]) -> Result<(), Errno> {
        while let [a, b, ..] = *paths {
            let path = split(&mut paths, u16::from_ne_bytes([a, b]).into());
            note(&mut self.outside, number_at(path.unwrap_or_default(), 4)?)?;
        }
        Ok(())
    }

    /// struct nhmsg and attributes: a nexthop object, or a group of them.
    fn note_nexthop(&mut self, attributes: &Attributes<'_>) -> Result<(), Errno> {
        let id = number_at(attributes.get(NEXTHOP_ID).unwrap_or_default(), 0)?;
        if let Some(value) = attributes.get(NEXTHOP_DEVICE) {
            push(&mut self.nexthops, (id, number_at(value, 0)?), LINKS_MAX)?;
        }
        // struct nexthop_grp: the id of the member, and its weight.
        let group = attributes.get(NEXTHOP_GROUP).unwrap_or_default();
        for member in group.chunks_exact(8) {
            push(&mut self.members, (id, number_at(member, 0)?), LINKS_MAX)?;
        }
        Ok(())
    }
}

/// Returns `true` if a message announces a change that a dump would show. Routes come and go by the
/// thousand where a router speaks BGP; only default and own ones matter.
fn announces(message: &Message<'_>) -> bool {
    match message.kind {
        libc::RTM_NEWROUTE | libc::RTM_DELROUTE => is_default(message.body) || is_own(message.body),
        libc::RTM_NEWLINK | libc::RTM_DELLINK => true,
        libc::RTM_NEWADDR | libc::RTM_DELADDR => true,
        NEW_NEXTHOP | DEL_NEXTHOP | OVERRUN => true,
        _ => false,
    }
}

/// Adds one to a bounded list.
fn push<T>(list: &mut Vec<T>, one: T, max: usize) -> Result<(), Errno> {
    if list.len() >= max {
        return Err(Errno::EOVERFLOW);
    }
    list.push(one);
    Ok(())
}

/// Adds a number to a list that has each once.
fn note(list: &mut Vec<u32>, number: u32) -> Result<(), Errno> {
    if list.contains(&number) {
        return Ok(());
    }
    push(list, number, LINKS_MAX)
}

/// Returns `true` if a route, a struct rtmsg, is the default one, for whatever source, or a part
/// that may be laid instead of it: half of the Internet, or for IPv6 2000::/3, which is all that is
/// assigned.
fn is_default(body: &[u8]) -> bool {
    match *body {
        [V4, bits, ..] => bits <= 1,
        [V6, bits, ..] => bits <= 3,
        _ => false,
    }
}

/// Returns `true` if a route, a struct rtmsg, is one of the local table to this
/// machine.
fn is_own(body: &[u8]) -> bool {
    body.get(4) == Some(&libc::RT_TABLE_LOCAL) && body.get(7) == Some(&libc::RTN_LOCAL)
}

fn ip(family: u8, value: &[u8]) -> Option<IpAddr> {
    if family == V4 {
        return Some(<[u8; 4]>::try_from(value).ok()?.into());
    }
    Some(<[u8; 16]>::try_from(value).ok()?.into())
}

#[cfg(test)]
mod tests {
    use std::net::Ipv6Addr;

    use super::*;

    /// A message of an answer, as the kernel would send it.
    fn message(kind: u16, flags: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
        let len = u32::try_from(HEADER_BYTES + body.len()).unwrap();
        let mut message = len.to_ne_bytes().to_vec();
        message.extend_from_slice(&kind.to_ne_bytes());
        message.extend_from_slice(&flags.to_ne_bytes());
        message.extend_from_slice(&sequence.to_ne_bytes());
        message.extend_from_slice(&[0; 4]);
        message.extend_from_slice(body);
        message.resize(message.len().next_multiple_of(4), 0);
        message
    }

    /// A fixed header and attributes.
    fn body(header: &[u8], attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut body = header.to_vec();
        for (kind, value) in attributes {
            let len = u16::try_from(4 + value.len()).unwrap();
            body.extend_from_slice(&len.to_ne_bytes());
            body.extend_from_slice(&kind.to_ne_bytes());
            body.extend_from_slice(value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        body
    }

    fn link(index: u8, name: &str) -> Vec<u8> {
        let mut header = [0; 16];
        header[4..8].copy_from_slice(&u32::from(index).to_ne_bytes());
        body(&header, &[(LINK_NAME, format!("{name}\0").as_bytes())])
    }

    fn address(link: u8, bits: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let family = if attributes[0].1.len() == 4 { V4 } else { V6 };
        let mut header = [family, bits, 0, 0, 0, 0, 0, 0];
        header[4..8].copy_from_slice(&u32::from(link).to_ne_bytes());
        body(&header, attributes)
    }

    /// A route to a prefix of `bits` in some table.
    fn route(family: u8, bits: u8, kind: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        body(
            &[family, bits, 0, 0, 99, 0, 0, kind, 0, 0, 0, 0],
            attributes,
        )
    }

    fn nexthop(id: u32, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let id = id.to_ne_bytes();
        let attributes = [&[(NEXTHOP_ID, &id[..])], attributes].concat();
        body(&[0; 8], &attributes)
    }

    /// Answers all questions of a dump, each with those of the messages that it asks for, piece by
    /// piece.
    fn told(flags: u16, messages: &[(u16, Vec<u8>)]) -> Result<Vec<Interface>, Errno> {
        let mut dump = Dump::new(41);
        while let Some(question) = dump.next_question(&mut Question::default()) {
            let asked = u16::from_ne_bytes([question[4], question[5]]);
            let family = question[HEADER_BYTES];
            let number = dump.sequence();
            for (kind, body) in messages {
                // RTM_NEW… and RTM_GET… are 2 apart.
                if *kind + 2 == asked && (family == 0 || family == body[0]) {
                    let piece = message(*kind, MULTI | flags, number, body);
                    let heard = hear(&piece, &mut dump)?;
                    assert_eq!(heard, Heard::default());
                }
            }
            let end = message(DONE, MULTI, number, &[0; 4]);
            assert!(hear(&end, &mut dump)?.is_answered);
        }
        dump.interfaces()
    }

    const LAN: [u8; 4] = [192, 168, 1, 1];
    const WAN: [u8; 4] = [81, 2, 69, 142];

    /// A LAN, a WAN, and these routes; the names of the interfaces that are outside.
    fn outside(more: &[(u16, Vec<u8>)]) -> Result<Vec<String>, Errno> {
        let site = [
            (libc::RTM_NEWLINK, link(2, "lan")),
            (libc::RTM_NEWLINK, link(3, "wan")),
            (
                libc::RTM_NEWADDR,
                address(2, 24, &[(libc::IFA_LOCAL, &LAN)]),
            ),
            (
                libc::RTM_NEWADDR,
                address(3, 24, &[(libc::IFA_LOCAL, &WAN)]),
            ),
        ];
        let found = told(0, &[&site[..], more].concat())?;
        let outside = found.into_iter().filter(|one| one.default_route);
        Ok(outside.map(|one| one.name).collect())
    }

    #[track_caller]
    fn leads_out(expected: &[&str], routes: &[Vec<u8>]) {
        let routes: Vec<_> = routes
            .iter()
            .map(|body| (libc::RTM_NEWROUTE, body.clone()))
            .collect();
        assert_eq!(outside(&routes).unwrap(), expected);
    }

    const UNICAST: u8 = libc::RTN_UNICAST;
    const WAN_INDEX: [u8; 4] = 3u32.to_ne_bytes();
    const VIA_WAN: &[(u16, &[u8])] = &[(libc::RTA_OIF, &WAN_INDEX)];

    #[test]
    fn an_interface_has_its_name_its_number_and_its_prefix() {
        let peer = (libc::IFA_ADDRESS, &[10, 9, 0, 2][..]);
        let own = (libc::IFA_LOCAL, &[10, 0, 0, 1][..]);
        let v6 = "2001:db8:1::2".parse::<Ipv6Addr>().unwrap();
        let octets = v6.octets();
        let peer6 = (libc::IFA_ADDRESS, &[0xfd; 16][..]);
        let own6 = (libc::IFA_LOCAL, &octets[..]);
        let found = told(
            0,
            &[
                (libc::RTM_NEWLINK, link(7, "ppp0")),
                (libc::RTM_NEWADDR, address(7, 32, &[peer, own])),
                (
                    libc::RTM_NEWADDR,
                    address(8, 64, &[(libc::IFA_ADDRESS, &octets)]),
                ),
                (libc::RTM_NEWADDR, address(8, 64, &[peer6, own6])),
            ],
        );
        let interface = |name: &str, index, addr, network, bits| Interface {
            name: name.into(),
            index,
            addr,
            network,
            bits,
            default_route: false,
            all_own: false,
        };
        let expected = vec![
            // The prefix is the peer's with IPv4, and not with IPv6.
            interface("ppp0", 7, [10, 0, 0, 1].into(), [10, 9, 0, 2].into(), 32),
            // It has gone since.
            interface("", 8, v6.into(), v6.into(), 64),
            interface("", 8, v6.into(), v6.into(), 64),
        ];
        assert_eq!(found, Ok(expected));
    }

    #[test]
    fn a_default_route_counts_in_any_table_and_of_either_family() {
        leads_out(&[], &[]);
        leads_out(&["wan"], &[route(V4, 0, UNICAST, VIA_WAN)]);
        leads_out(&["wan"], &[route(V6, 0, UNICAST, VIA_WAN)]);
        // For one source only.
        let mut from = route(V6, 0, UNICAST, VIA_WAN);
        from[2] = 56;
        leads_out(&["wan"], &[from]);
    }

    #[test]
    fn parts_of_the_internet_count_as_large_as_tunnels_lay_them() {
        leads_out(&["wan"], &[route(V4, 1, UNICAST, VIA_WAN)]);
        leads_out(&["wan"], &[route(V6, 3, UNICAST, VIA_WAN)]);
        leads_out(&[], &[route(V4, 2, UNICAST, VIA_WAN)]);
        leads_out(&[], &[route(V6, 4, UNICAST, VIA_WAN)]);
    }

    #[test]
    fn a_default_that_leads_nowhere_names_no_interface() {
        // RTN_LOCAL, RTN_BLACKHOLE, RTN_UNREACHABLE, RTN_PROHIBIT, RTN_THROW.
        for kind in [2, 6, 7, 8, 9] {
            leads_out(&[], &[route(V4, 0, kind, VIA_WAN)]);
        }
        leads_out(&[], &[route(128, 0, UNICAST, VIA_WAN)]);
    }

    /// A route of the local table.
    fn own_route(bits: u8, addr: &[u8]) -> Vec<u8> {
        let family = if addr.len() == 4 { V4 } else { V6 };
        let mut route = route(family, bits, libc::RTN_LOCAL, &[(libc::RTA_DST, addr)]);
        route[4] = libc::RT_TABLE_LOCAL;
        route
    }

    #[test]
    fn what_a_route_makes_this_machines_is_its_own() {
        let v6: [u8; 16] = [0x2a; 16];
        let elsewhere = {
            let mut route = own_route(24, &LAN);
            route[4] = 100;
            route
        };
        let own = [
            own_route(24, &[81, 5, 6, 0]),
            own_route(32, &[81, 5, 7, 1]),
            own_route(64, &v6),
            // Known already, or by their range; and what only marked packets may see.
            own_route(32, &LAN),
            own_route(8, &[127, 0, 0, 0]),
            elsewhere,
        ];
        let mut told_of = vec![(
            libc::RTM_NEWADDR,
            address(2, 24, &[(libc::IFA_LOCAL, &LAN)]),
        )];
        told_of.extend(own.map(|route| (libc::RTM_NEWROUTE, route)));
        let found = told(0, &told_of).unwrap();
        let found: Vec<_> = found
            .iter()
            .map(|one| (one.addr, one.bits, one.all_own))
            .collect();
        let expected = [
            (LAN.into(), 24, false),
            ([81, 5, 6, 0].into(), 24, true),
            ([81, 5, 7, 1].into(), 32, true),
            (v6.into(), 64, true),
        ];
        assert_eq!(found, expected);
        let bad = (libc::RTM_NEWROUTE, own_route(24, &[81, 5, 6]));
        assert_eq!(told(0, &[bad]), Err(Errno::EBADMSG));
    }

    #[test]
    fn each_way_of_a_default_route_leads_out() {
        let way = |link: u32| [&[8, 0, 0, 0][..], &link.to_ne_bytes()].concat();
        let mut ways = [way(2), way(3)].concat();
        ways[0..2].copy_from_slice(&8u16.to_ne_bytes());
        ways[8..10].copy_from_slice(&8u16.to_ne_bytes());
        let paths = [(libc::RTA_MULTIPATH, &ways[..])];
        leads_out(&["lan", "wan"], &[route(V4, 0, UNICAST, &paths)]);
        let cut = [(libc::RTA_MULTIPATH, &ways[..12])];
        let cut = (libc::RTM_NEWROUTE, route(V4, 0, UNICAST, &cut));
        assert_eq!(outside(&[cut]), Err(Errno::EBADMSG));
    }

    #[test]
    fn a_nexthop_object_and_each_member_of_a_group_lead_out() {
        let via = |id: u32| {
            let id = id.to_ne_bytes();
            let body = route(V4, 0, UNICAST, &[(ROUTE_NEXTHOP_ID, &id)]);
            (libc::RTM_NEWROUTE, body)
        };
        let device = |id, link: u32| {
            let link = link.to_ne_bytes();
            (NEW_NEXTHOP, nexthop(id, &[(NEXTHOP_DEVICE, &link)]))
        };
        let member = |id: u32| [id.to_ne_bytes(), [0; 4]].concat();
        let members = [member(10), member(11)].concat();
        let group = (NEW_NEXTHOP, nexthop(12, &[(NEXTHOP_GROUP, &members)]));
        let all = [device(10, 3), device(11, 2), group];
        let found = |id| outside(&[&[via(id)], &all[..]].concat());
        assert_eq!(found(10).unwrap(), ["wan"]);
        assert_eq!(found(11).unwrap(), ["lan"]);
        assert_eq!(found(12).unwrap(), ["lan", "wan"]);
        // One that nobody has told of: asked again.
        assert_eq!(found(13), Err(Errno::EINTR));
    }

    #[test]
    fn an_answer_that_changes_have_interrupted_is_none() {
        let links = [(libc::RTM_NEWLINK, link(2, "lan"))];
        assert_eq!(told(INTERRUPTED, &links), Err(Errno::EINTR));
        let mut dump = Dump::new(0);
        while dump.next_question(&mut Question::default()).is_some() {
            let end = message(DONE, MULTI | INTERRUPTED, dump.sequence(), &[]);
            hear(&end, &mut dump).unwrap();
        }
        assert_eq!(dump.interfaces(), Err(Errno::EINTR));
    }

    #[test]
    fn the_kernels_error_ends_a_dump() {
        for kind in [DONE, ERROR] {
            let mut dump = Dump::new(0);
            dump.next_question(&mut Question::default());
            let code = (-libc::ENOMEM).to_ne_bytes();
            let end = message(kind, 0, dump.sequence(), &code);
            assert_eq!(hear(&end, &mut dump), Err(Errno::ENOMEM));
        }
    }

    #[test]
    fn more_than_there_is_room_for_is_an_error() {
        let one = (
            libc::RTM_NEWADDR,
            address(2, 24, &[(libc::IFA_LOCAL, &LAN)]),
        );
        let mut many = vec![one.clone(); ADDRS_MAX];
        assert_eq!(told(0, &many).unwrap().len(), ADDRS_MAX);
        many.push(one);
        assert_eq!(told(0, &many), Err(Errno::EOVERFLOW));
    }

    #[test]
    fn an_announcement_is_no_answer_whatever_its_number() {
        let mut dump = Dump::new(0);
        dump.next_question(&mut Question::default());
        let route = |bits| route(V4, bits, UNICAST, VIA_WAN);
        let local = [(libc::IFA_LOCAL, &LAN[..])];
        for (kind, body, is_change) in [
            (libc::RTM_NEWLINK, link(2, "lan"), true),
            (libc::RTM_NEWADDR, address(2, 24, &local), true),
            (libc::RTM_DELADDR, vec![], true),
            (libc::RTM_NEWROUTE, route(0), true),
            (libc::RTM_DELROUTE, route(1), true),
            (libc::RTM_NEWROUTE, route(24), false),
            (libc::RTM_NEWROUTE, own_route(24, &LAN), true),
            (DEL_NEXTHOP, vec![], true),
            (libc::RTM_NEWNEIGH, vec![], false),
            // The end of an answer to an earlier question.
            (DONE, vec![], false),
        ] {
            let number = if kind == DONE { 9 } else { dump.sequence() };
            let piece = message(kind, 0, number, &body);
            let heard = hear(&piece, &mut dump).unwrap();
            assert_eq!((heard.is_changed, heard.is_answered), (is_change, false));
        }
        assert!(dump.found.is_empty());
    }

    #[test]
    fn an_address_without_an_address_is_malformed() {
        let local = (libc::IFA_LOCAL, &LAN[..3]);
        let mut header = address(2, 24, &[(libc::IFA_LOCAL, &LAN)]);
        header.truncate(8);
        for bad in [header, address(2, 24, &[local]), vec![V4, 24]] {
            let found = told(0, &[(libc::RTM_NEWADDR, bad)]);
            assert_eq!(found, Err(Errno::EBADMSG));
        }
    }

    #[test]
    fn a_garbled_attribute_behind_what_is_needed_does_no_harm() {
        let mut garbled = address(2, 24, &[(libc::IFA_LOCAL, &LAN)]);
        garbled.extend_from_slice(&[0; 8]);
        let found = told(0, &[(libc::RTM_NEWADDR, garbled)]).unwrap();
        assert_eq!(found[0].addr, IpAddr::from(LAN));
    }

    #[test]
    fn a_cut_piece_is_malformed_and_ends() {
        let whole = message(libc::RTM_NEWLINK, MULTI, 1, &link(2, "lan"));
        for len in 1..whole.len() - 3 {
            let mut dump = Dump::new(0);
            dump.next_question(&mut Question::default());
            let heard = hear(&whole[..len], &mut dump);
            assert_eq!(heard, Err(Errno::EBADMSG), "{len}");
        }
        // A message of no length, and one of less than its header.
        for len in [0, 8] {
            let mut short = whole.clone();
            short[..4].copy_from_slice(&u32::to_ne_bytes(len));
            assert_eq!(hear(&short, &mut Dump::new(0)), Err(Errno::EBADMSG));
        }
    }
}
