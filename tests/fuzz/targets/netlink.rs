//! What the kernel says of links, addresses and routes: in one piece or in many, and beside a
//! second reading that knows what was said.

use std::net::{IpAddr, Ipv4Addr};

use anklet::state::access::Interface;
use anklet::sys::netlink::{Dump, Heard, Question, hear};

use super::chosen;

/// Types of messages, and flags, of rtnetlink(7) and <linux/nexthop.h>.
const DONE: u16 = 3;
const NEW_LINK: u16 = 16;
const NEW_ADDR: u16 = 20;
const NEW_ROUTE: u16 = 24;
const NEW_NEXTHOP: u16 = 104;
const MULTI: u16 = 2;

/// The number in front of that of the first question.
const SEQUENCE: u32 = 41;

/// As many questions as there can be.
const QUESTIONS_MAX: usize = 5;

pub fn target(data: &[u8]) {
    let Some((choice, rest)) = chosen(data) else {
        return;
    };
    if choice & 1 == 0 {
        return is_told(rest);
    }
    // Any bytes: as an announcement, and as a part of an answer.
    let announced = hear(rest, &mut Dump::new(SEQUENCE));
    assert_eq!(hear(rest, &mut Dump::new(SEQUENCE)), announced);
    assert!(!announced.is_ok_and(|heard| heard.is_answered));
    let mut dump = Dump::new(SEQUENCE);
    dump.next_question(&mut Question::default());
    let _ = hear(rest, &mut dump);
    let _ = dump.interfaces();
}

/// What a script of the kernel's says.
#[derive(Default)]
struct Told {
    messages: Vec<(u16, Vec<u8>)>,
    addrs: Vec<(u32, IpAddr, u8)>,
    /// Interfaces of default routes, and nexthop objects of these.
    outside: Vec<u32>,
    wanted: Vec<u32>,
    nexthops: Vec<(u32, u32)>,
    members: Vec<(u32, u32)>,
}

/// Four bytes are a message. However they are cut into pieces, the interfaces are the same, and
/// those outside are those that a default route uses.
fn is_told(script: &[u8]) {
    let mut told = Told::default();
    for step in script.chunks_exact(4).take(100) {
        told.tell([step[0], step[1], step[2], step[3]]);
    }
    let one_by_one = ask(told.messages.iter().map(|message| vec![message]));
    let at_once = ask(std::iter::once(told.messages.iter().collect()));
    assert_eq!(one_by_one, at_once);
    for &wanted in &told.wanted {
        let group = told.members.iter().filter(|(group, _)| *group == wanted);
        let parts: Vec<u32> = group.map(|(_, member)| *member).chain([wanted]).collect();
        let devices = told.nexthops.iter().filter(|(id, _)| parts.contains(id));
        told.outside.extend(devices.map(|(_, device)| device));
    }
    let Ok(interfaces) = one_by_one else {
        // A route uses an object that nobody has told of.
        return assert!(!told.wanted.is_empty());
    };
    let shown: Vec<(u32, IpAddr, u8)> = interfaces
        .iter()
        .map(|one| (one.index, one.addr, one.bits))
        .collect();
    assert_eq!(shown, told.addrs);
    for one in interfaces {
        assert_eq!(one.default_route, told.outside.contains(&one.index));
        // The prefix is that of the other end, 9.9.9.9.
        assert_eq!(one.network, IpAddr::from([9; 4]));
    }
}

/// Puts all questions; the answer to the first is these pieces.
fn ask<'a>(
    pieces: impl Iterator<Item = Vec<&'a (u16, Vec<u8>)>>,
) -> Result<Vec<Interface>, nix::errno::Errno> {
    let mut dump = Dump::new(SEQUENCE);
    dump.next_question(&mut Question::default())
        .expect("the first question");
    for piece in pieces {
        let piece: Vec<u8> = piece
            .iter()
            .flat_map(|(kind, body)| message(*kind, dump.sequence(), body))
            .collect();
        assert_eq!(hear(&piece, &mut dump)?, Heard::default());
    }
    for _ in 0..QUESTIONS_MAX {
        let end = message(DONE, dump.sequence(), &[0; 4]);
        assert!(hear(&end, &mut dump)?.is_answered);
        if dump.next_question(&mut Question::default()).is_none() {
            return dump.interfaces();
        }
    }
    panic!("it asks for ever");
}

impl Told {
    /// Says one thing.
    fn tell(&mut self, [what, a, b, c]: [u8; 4]) {
        let (a32, b32) = (u32::from(a), u32::from(b));
        let number = |number: u32| number.to_ne_bytes();
        match what % 8 {
            0 => {
                let name = [b'e', b'0' + a % 10, 0];
                let header = [[0; 4], number(a32), [0; 4], [0; 4]].concat();
                self.say(NEW_LINK, &header, &[(3, &name)]);
            }
            1 | 2 => {
                let ip = Ipv4Addr::new(192, 168, b, c);
                let header = [[2, c % 33, 0, 0], number(a32)].concat();
                self.say(NEW_ADDR, &header, &[(1, &[9; 4]), (2, &ip.octets())]);
                self.addrs.push((a32, ip.into(), c % 33));
            }
            3 | 4 => {
                let (is_v4, bits) = (what % 8 == 3, b % 6);
                let family = if is_v4 { 2 } else { 10 };
                // Now and then it is no unicast route.
                let kind = 1 + u8::from(c == 7);
                let header = [family, bits, 0, 0, 99, 0, 0, kind, 0, 0, 0, 0];
                self.say(NEW_ROUTE, &header, &[(4, &number(a32))]);
                if kind == 1 && bits <= if is_v4 { 1 } else { 3 } {
                    self.outside.push(a32);
                }
            }
            5 => {
                let header = [2, 0, 0, 0, 99, 0, 0, 1, 0, 0, 0, 0];
                self.say(NEW_ROUTE, &header, &[(30, &number(a32))]);
                self.wanted.push(a32);
            }
            6 => {
                self.say(
                    NEW_NEXTHOP,
                    &[0; 8],
                    &[(1, &number(a32)), (5, &number(b32))],
                );
                self.nexthops.push((a32, b32));
            }
            _ => {
                let group = [number(b32), [0; 4], number(u32::from(c)), [0; 4]].concat();
                self.say(NEW_NEXTHOP, &[0; 8], &[(1, &number(a32)), (2, &group)]);
                self.members.extend([(a32, b32), (a32, u32::from(c))]);
            }
        }
    }

    /// A message of a fixed header and attributes.
    fn say(&mut self, kind: u16, header: &[u8], attributes: &[(u16, &[u8])]) {
        let mut body = header.to_vec();
        for (kind, value) in attributes {
            let len = u16::try_from(4 + value.len()).unwrap();
            body.extend([len.to_ne_bytes(), kind.to_ne_bytes()].concat());
            body.extend(*value);
            body.resize(body.len().next_multiple_of(4), 0);
        }
        self.messages.push((kind, body));
    }
}

/// A message as the kernel sends it.
fn message(kind: u16, sequence: u32, body: &[u8]) -> Vec<u8> {
    let len = u32::try_from(16 + body.len()).unwrap();
    let mut message = len.to_ne_bytes().to_vec();
    message.extend([kind.to_ne_bytes(), MULTI.to_ne_bytes()].concat());
    message.extend([sequence.to_ne_bytes(), [0; 4]].concat());
    message.extend(body);
    message.resize(message.len().next_multiple_of(4), 0);
    message
}
