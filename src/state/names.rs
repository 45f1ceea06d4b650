//! The names that the client of a UDP association sends to (U8): which address each has, and the
//! datagrams that wait for one.
//!
//! Pure: no lookups. `session::association` asks the resolver.

use std::net::IpAddr;

use crate::net::Millis;
use crate::state::access::Origin;
use crate::wire::socks::Name;

/// What the names of one association may take: 64 of 32 bytes. A BitTorrent client sends to some
/// thirty trackers by name, all through one association.
pub const NAMES_BYTES_MAX: usize = 64 * (32 + NAME_BYTES);

/// What a name takes beside its text.
const NAME_BYTES: usize = size_of::<Entry>() + 2 * ALLOCATION_BYTES;

/// Numbers of names, which [`NAMES_BYTES_MAX`] does not reach.
const NUMBERS: usize = 128;

/// Datagrams of one association that wait for names at most: one for each name.
pub const HELD_MAX: usize = 64;

/// The bytes of those at most: 20 of the usual longest size.
pub const HELD_BYTES_MAX: usize = 32 << 10;

/// The bytes of the datagrams that wait, all associations together: what 2,000 trackers are
/// asked, or 170 datagrams of the usual longest size.
pub const ALL_HELD_BYTES_MAX: usize = 256 << 10;

/// What an allocation takes beside its bytes.
const ALLOCATION_BYTES: usize = 16;

/// How long the address of a name is kept: long enough for a stream of datagrams not to ask
/// for each, short enough for a moved server.
const FOUND_MS: Millis = 60_000;

/// How long a name that was not found is not asked for again.
const UNKNOWN_MS: Millis = 5_000;

/// How long a name has its place at least: who is asked for one that exists has mostly answered
/// by then.
const PENDING_MS: Millis = 2_000;

const _: () = assert!(NAMES_BYTES_MAX / (NAME_BYTES + 1) < NUMBERS);

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has this address, or none.
    Address(Option<(IpAddr, Origin)>),
    /// It is being looked up, by this number.
    Pending(u8),
    /// Nothing: it is to be looked up, and has this number from now on.
    Nothing(u8),
    /// Nothing, and there is no room: the others are being looked up.
    NoRoom,
}

/// A datagram that waits for its name's address.
#[derive(Debug)]
pub struct Held {
    /// The number of the name.
    pub number: u8,
    /// Where to, at the address.
    pub port: u16,
    /// Its payload.
    pub payload: Box<[u8]>,
}

impl Held {
    /// What it takes in memory.
    pub fn bytes(&self) -> usize {
        Self::bytes_of(self.payload.len())
    }

    /// What one with a payload of that length takes in memory.
    pub fn bytes_of(payload_len: usize) -> usize {
        size_of::<Self>() + ALLOCATION_BYTES + payload_len
    }
}

/// The names of an association, and the datagrams that wait for them.
#[derive(Debug, Default)]
pub struct Names {
    /// By their numbers.
    entries: Vec<Option<Box<Entry>>>,
    /// What the entries take in memory.
    bytes: usize,
    /// The oldest first.
    held: Vec<Held>,
}

#[derive(Debug)]
struct Entry {
    name: Name,
    /// It is being looked up.
    is_pending: bool,
    /// Since when it is pending, or until when its address is kept.
    time: Millis,
    /// Its address, once it is looked up, or none.
    addr: Option<(IpAddr, Origin)>,
}

impl Entry {
    fn bytes(&self) -> usize {
        NAME_BYTES + self.name.as_bytes().len()
    }
}

impl Names {
    /// What is known of `name`. Names looked up make room for a new one, the oldest first.
    pub fn find(&mut self, name: &Name, now: Millis) -> Known {
        let wanted = name.as_bytes();
        for (number, entry) in (0..).zip(&mut self.entries) {
            let Some(entry) = entry else { continue };
            if !entry.name.as_bytes().eq_ignore_ascii_case(wanted) {
                continue;
            }
            if entry.is_pending {
                return Known::Pending(number);
            }
            if now < entry.time {
                return Known::Address(entry.addr);
            }
            (entry.is_pending, entry.time) = (true, now);
            return Known::Nothing(number);
        }
        self.insert(name, now).map_or(Known::NoRoom, Known::Nothing)
    }

    /// Gives a new name its number, if there is room.
    fn insert(&mut self, name: &Name, now: Millis) -> Option<u8> {
        let entry = Box::new(Entry {
            name: name.clone(),
            is_pending: true,
            time: now,
            addr: None,
        });
        // Bounded: each round forgets a name.
        while self.bytes + entry.bytes() > NAMES_BYTES_MAX {
            let (_, oldest) = self.first(false)?;
            self.forget(oldest);
        }
        self.bytes += entry.bytes();
        for (number, free) in (0..).zip(&mut self.entries) {
            if free.is_none() {
                *free = Some(entry);
                return Some(number);
            }
        }
        let number = self.numbers().end;
        self.entries.push(Some(entry));
        Some(number)
    }

    /// The name that has been looked up for longest, if that is long.
    pub fn longest_pending(&self, now: Millis) -> Option<u8> {
        let (since, number) = self.first(true)?;
        (since + PENDING_MS <= now).then_some(number)
    }

    /// The pending name, or the one looked up, with the earliest time.
    fn first(&self, is_pending: bool) -> Option<(Millis, u8)> {
        let mut first = None;
        for (number, entry) in (0..).zip(&self.entries) {
            if let Some(entry) = entry
                && entry.is_pending == is_pending
                && first.is_none_or(|(time, _)| entry.time < time)
            {
                first = Some((entry.time, number));
            }
        }
        first
    }

    /// Keeps a datagram until its name is looked up. Gives the one for the same name and port
    /// that it replaces.
    pub fn hold(&mut self, held: Held) -> Option<Held> {
        let same = |other: &Held| (other.number, other.port) == (held.number, held.port);
        let place = self.held.iter().position(same);
        let replaced = place.map(|at| self.held.remove(at));
        self.held.push(held);
        replaced
    }

    /// Takes the datagram that has waited longest, if those that wait leave no room for one with
    /// a payload of that length.
    pub fn make_room(&mut self, payload_len: usize) -> Option<Held> {
        let bytes: usize = self.held.iter().map(Held::bytes).sum();
        let has_room =
            self.held.len() < HELD_MAX && bytes + Held::bytes_of(payload_len) <= HELD_BYTES_MAX;
        if has_room { None } else { self.take_oldest() }
    }

    /// Takes the datagram that has waited longest.
    pub fn take_oldest(&mut self) -> Option<Held> {
        (!self.held.is_empty()).then(|| self.held.remove(0))
    }

    /// Takes a datagram that waits for name `number`, the oldest first.
    pub fn take_held(&mut self, number: u8) -> Option<Held> {
        let at = self.held.iter().position(|held| held.number == number)?;
        let held = self.held.remove(at);
        if self.held.is_empty() {
            self.held = Vec::new();
        }
        Some(held)
    }

    /// The numbers that names have, or have had.
    pub fn numbers(&self) -> std::ops::Range<u8> {
        0..u8::try_from(self.entries.len()).expect("there are 128 numbers")
    }

    /// Returns `true` if name `number` is being looked up.
    pub fn is_pending(&self, number: u8) -> bool {
        let entry = self.entries.get(usize::from(number));
        matches!(entry, Some(Some(entry)) if entry.is_pending)
    }

    /// Name `number`, which is being looked up, has the address `addr`, or none.
    pub fn settle(&mut self, number: u8, addr: Option<(IpAddr, Origin)>, now: Millis) {
        let lasts = if addr.is_some() { FOUND_MS } else { UNKNOWN_MS };
        if let Some(Some(entry)) = self.entries.get_mut(usize::from(number)) {
            entry.is_pending = false;
            entry.time = now + lasts;
            entry.addr = addr;
        }
    }

    /// Forgets name `number`: it may be asked for again at once.
    pub fn forget(&mut self, number: u8) {
        if let Some(place) = self.entries.get_mut(usize::from(number))
            && let Some(entry) = place.take()
        {
            self.bytes -= entry.bytes();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn held(number: u8, port: u16, byte: u8) -> Held {
        Held {
            number,
            port,
            payload: vec![byte].into(),
        }
    }

    fn found(last: u8) -> Option<(IpAddr, Origin)> {
        Some((IpAddr::from([1, 2, 3, last]), Origin::Foreign))
    }

    #[test]
    fn a_name_is_asked_for_once_and_remembered_for_a_minute() {
        let mut names = Names::default();
        assert_eq!(names.find(&name("a.test"), 0), Known::Nothing(0));
        assert_eq!(names.find(&name("A.test"), 0), Known::Pending(0));
        assert!(names.is_pending(0));
        names.settle(0, found(4), 100);
        assert!(!names.is_pending(0));
        assert_eq!(
            names.find(&name("a.test"), 60_099),
            Known::Address(found(4))
        );
        assert_eq!(names.find(&name("a.test"), 60_100), Known::Nothing(0));
        assert_eq!(names.find(&name("a.test"), 60_100), Known::Pending(0));
    }

    #[test]
    fn a_name_without_an_address_is_not_asked_for_again_for_a_while() {
        let mut names = Names::default();
        names.find(&name("a.test"), 0);
        names.settle(0, None, 0);
        assert_eq!(names.find(&name("a.test"), 4_999), Known::Address(None));
        assert_eq!(names.find(&name("a.test"), 5_000), Known::Nothing(0));
    }

    #[test]
    fn of_the_datagrams_for_a_name_and_port_the_newest_waits() {
        let mut names = Names::default();
        names.find(&name("a.test"), 0);
        names.find(&name("b.test"), 0);
        for (number, port) in [(0, 80), (1, 80), (0, 6969)] {
            assert!(names.hold(held(number, port, 1)).is_none());
        }
        assert_eq!(names.hold(held(0, 80, 2)).unwrap().payload[..], [1]);
        let mut taken = std::iter::from_fn(|| names.take_held(0));
        assert_eq!(taken.next().map(|held| held.port), Some(6969));
        assert_eq!(taken.next().map(|held| held.payload[0]), Some(2));
        assert!(taken.next().is_none());
        assert_eq!(names.take_oldest().map(|held| held.number), Some(1));
        assert!(names.take_oldest().is_none());
    }

    #[test]
    fn the_oldest_datagram_makes_room_by_number_and_by_bytes() {
        let mut names = Names::default();
        for number in 0..64 {
            assert!(names.make_room(1).is_none());
            names.hold(held(number, 80, number));
        }
        assert_eq!(names.make_room(1).unwrap().number, 0);
        assert!(names.make_room(1).is_none());
        // Each takes its place and an allocation beside its bytes.
        assert_eq!(names.make_room(HELD_BYTES_MAX).unwrap().number, 1);
        while names.make_room(30_000).is_some() {}
        assert!(names.held.iter().map(Held::bytes).sum::<usize>() <= 2_768);
    }

    #[test]
    fn sixty_names_are_looked_up_at_once_and_those_looked_up_make_room_the_oldest_first() {
        let mut names = Names::default();
        let text = |number: u8| name(&format!("tracker{number:02}.of.some.example.org"));
        for number in 0..64 {
            assert_eq!(names.find(&text(number), 0), Known::Nothing(number));
        }
        // 32 bytes each are the bound; these have 29.
        let mut room = 64;
        while names.find(&text(room), 0) != Known::NoRoom {
            room += 1;
        }
        names.settle(20, found(20), 10);
        names.settle(10, found(10), 20);
        assert_eq!(names.find(&text(90), 30), Known::Nothing(20));
        assert_eq!(names.find(&text(10), 30), Known::Address(found(10)));
        names.forget(20);
        assert_eq!(names.find(&text(91), 30), Known::Nothing(20));
        assert!(names.bytes <= NAMES_BYTES_MAX);
    }

    #[test]
    fn long_names_make_room_as_their_length_demands() {
        let mut names = Names::default();
        for number in 0..60 {
            names.find(&name(&format!("n{number}")), 0);
            names.settle(number, None, Millis::from(number));
        }
        let long = |letter: &str| name(&letter.repeat(253));
        assert_eq!(names.find(&long("a"), 0), Known::Nothing(60));
        let mut fitting = 1;
        while names.find(&long(&char::from(b'a' + fitting).to_string()), 0) != Known::NoRoom {
            fitting += 1;
        }
        assert_eq!(usize::from(fitting), NAMES_BYTES_MAX / (NAME_BYTES + 253));
        assert!(names.bytes <= NAMES_BYTES_MAX);
    }

    #[test]
    fn a_name_is_given_up_only_when_it_has_been_looked_up_for_long() {
        let mut names = Names::default();
        names.find(&name("a.test"), 100);
        names.find(&name("b.test"), 50);
        assert_eq!(names.longest_pending(2_049), None);
        assert_eq!(names.longest_pending(2_050), Some(1));
        names.settle(1, None, 2_050);
        assert_eq!(names.longest_pending(2_050), None);
        assert_eq!(names.longest_pending(9_000), Some(0));
    }

    #[test]
    fn an_answer_to_nothing_changes_nothing() {
        let mut names = Names::default();
        names.settle(0, None, 0);
        names.settle(200, None, 0);
        names.forget(200);
        assert!(names.take_held(0).is_none() && !names.is_pending(0));
        assert_eq!((names.numbers(), names.bytes), (0..0, 0));
    }
}
