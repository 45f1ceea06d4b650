//! What a UDP association remembers and decides (RFC 1928 §7): which port its client sends
//! from, whom the client has sent to, and the names that it sends to.
//!
//! Pure: no sockets, no lookups. `session::association` moves the datagrams.

use std::fmt;
use std::net::{IpAddr, SocketAddr};

use crate::net::{Millis, NEVER};
use crate::wire::socks::Name;

/// Silence of the client after which another port of its address may take its place. NAT boxes
/// and programs that open a new socket change ports; 30 s is what the shortest-lived mappings
/// for UDP last.
pub const PORT_SILENCE_MS: u32 = 30_000;

/// Remotes that are remembered with `--udp-strict`: more than the game or the call of one
/// socket has under way.
const CONTACTS_MAX: usize = 16;

/// Names of one association, looked up or being so. One socket seldom sends to more than one.
pub const NAMES_MAX: usize = NUMBERS as usize;

/// They are numbered below this.
const NUMBERS: u8 = 4;

/// How long the address of a name is kept: long enough for a stream of datagrams not to ask
/// for each, short enough for a moved server.
const FOUND_MS: Millis = 60_000;

/// How long a name that was not found is not asked for again.
const UNKNOWN_MS: Millis = 5_000;

/// Why a datagram did not reach the other side.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum DropReason {
    /// From another port than the association's (U1, U3).
    Stranger,
    /// FRAG is not 0 (U6).
    Fragment,
    /// No header that can be understood (U7).
    Malformed,
    /// The rules refuse its destination, or its source (U14).
    Refused,
    /// Its name does not resolve, or too many are being looked up (U7, U8).
    Name,
    /// From a remote that the client has not sent to, with `--udp-strict`.
    Uncontacted,
    /// For a client that has not sent anything yet, so that its port is not known.
    Unknown,
    /// Longer than what UDP carries, header included (U12).
    TooLong,
    /// The socket's queue was full.
    Full,
    /// The system had no way to send it, or no socket.
    Unsendable,
}

impl DropReason {
    /// How many causes there are.
    pub const COUNT: usize = Self::Unsendable as usize + 1;

    /// All of them, each at its [`Self::index`].
    pub const ALL: [Self; Self::COUNT] = [
        Self::Stranger,
        Self::Fragment,
        Self::Malformed,
        Self::Refused,
        Self::Name,
        Self::Uncontacted,
        Self::Unknown,
        Self::TooLong,
        Self::Full,
        Self::Unsendable,
    ];

    /// The cause's place in a table of counters, below [`Self::COUNT`].
    pub fn index(self) -> usize {
        self as usize
    }
}

impl fmt::Display for DropReason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Stranger => "from a strange port",
            Self::Fragment => "fragments",
            Self::Malformed => "malformed",
            Self::Refused => "not allowed",
            Self::Name => "without an address for the name",
            Self::Uncontacted => "from remotes not contacted",
            Self::Unknown => "before the client's first",
            Self::TooLong => "too long",
            Self::Full => "into a full queue",
            Self::Unsendable => "not sendable",
        })
    }
}

/// The client's end: the address of its TCP connection, and a port that is named or learned.
#[derive(Clone, Copy, Debug)]
pub struct ClientAddr {
    /// Port 0: not known yet.
    addr: SocketAddr,
    /// Any port of the address may become the client's.
    open: bool,
}

impl ClientAddr {
    /// The client at the address of `connection`, the other end of its TCP connection.
    /// `destination` is DST.ADDR and DST.PORT of its request, a hint where it will send from:
    /// a port counts only with the matching address (U2).
    pub fn new(connection: SocketAddr, destination: Option<SocketAddr>) -> Self {
        let mut addr = connection;
        addr.set_port(0);
        if let Some(hint) = destination
            && hint.ip().to_canonical() == connection.ip().to_canonical()
        {
            addr.set_port(hint.port());
        }
        Self {
            addr,
            open: addr.port() == 0,
        }
    }

    /// Returns `true` if a datagram from there may be the client's.
    pub fn may_be(&self, from: &SocketAddr) -> bool {
        // Nobody can be answered at port 0.
        let port = from.port();
        from.ip() == self.addr.ip() && port != 0 && (self.open || port == self.addr.port())
    }

    /// A valid datagram came from `port` of the client's address. Returns `true` if any port was
    /// possible until now: this one is the client's from now on.
    pub fn learn(&mut self, port: u16) -> bool {
        let news = self.open;
        if news {
            self.addr.set_port(port);
            self.open = false;
        }
        news
    }

    /// The client has been silent: another port may be learned. Until one is, what comes for it
    /// goes to the old one.
    pub fn reopen(&mut self) {
        self.open = true;
    }

    /// The client's address; its port may be unknown, or out of date.
    pub fn addr(&self) -> &SocketAddr {
        &self.addr
    }

    /// Returns `true` if its port is known: datagrams for the client go to [`ClientAddr::addr`]
    /// then.
    pub fn is_known(&self) -> bool {
        self.addr.port() != 0
    }

    /// The address that the client's socket is to be connected to: with port 0 while any port of
    /// it may become the client's.
    pub fn heard(&self) -> SocketAddr {
        let mut addr = self.addr;
        if self.open {
            addr.set_port(0);
        }
        addr
    }
}

/// The addresses that a client has sent to, the latest last. The port is not looked at: remotes
/// may answer from another one (RFC 4787 §5, address-dependent filtering).
#[derive(Clone, Debug, Default)]
pub struct Contacts {
    addrs: Vec<IpAddr>,
}

impl Contacts {
    /// The client sends there. With the table full, the one longest not sent to is forgotten.
    pub fn note(&mut self, addr: IpAddr) {
        let place = self.addrs.iter().position(|known| *known == addr);
        if place.is_some() || self.addrs.len() == CONTACTS_MAX {
            self.addrs.remove(place.unwrap_or(0));
        }
        self.addrs.push(addr);
    }

    /// Returns `true` if the client has sent there.
    pub fn contains(&self, addr: IpAddr) -> bool {
        self.addrs.contains(&addr)
    }
}

/// What is known of a name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Known {
    /// It has this address, or none.
    Address(Option<IpAddr>),
    /// It is being looked up, by this number.
    Pending(u8),
    /// Nothing: it is to be looked up, and has this number from now on.
    Nothing(u8),
    /// Nothing, and there is no room: all names are being looked up.
    NoRoom,
}

/// A datagram that waits for its name's address.
#[derive(Debug)]
pub struct Held {
    /// Where to, at the address.
    pub port: u16,
    /// Its payload.
    pub payload: Box<[u8]>,
}

/// The names of an association. A name looked up makes room for a new one, the oldest first.
#[derive(Debug, Default)]
pub struct Names {
    entries: [Option<Box<Entry>>; NAMES_MAX],
}

#[derive(Debug)]
struct Entry {
    name: Name,
    state: State,
}

#[derive(Debug)]
enum State {
    Pending(Option<Held>),
    Looked { addr: Option<IpAddr>, until: Millis },
}

impl Names {
    /// What is known of `name`.
    pub fn find(&mut self, name: &Name, now: Millis) -> Known {
        let wanted = name.as_bytes();
        // The place for a new name: an empty one, or that of the name which ends first.
        let (mut first, mut place) = (NEVER, 0);
        for number in 0..NUMBERS {
            let mut ends = 0;
            if let Some(entry) = &mut self.entries[usize::from(number)] {
                let is_wanted = entry.name.as_bytes().eq_ignore_ascii_case(wanted);
                let State::Looked { addr, until } = entry.state else {
                    if is_wanted {
                        return Known::Pending(number);
                    }
                    continue;
                };
                if is_wanted {
                    if now < until {
                        return Known::Address(addr);
                    }
                    entry.state = State::Pending(None);
                    return Known::Nothing(number);
                }
                ends = until;
            }
            if ends < first {
                (first, place) = (ends, number);
            }
        }
        if first == NEVER {
            return Known::NoRoom;
        }
        let entry = Entry {
            name: name.clone(),
            state: State::Pending(None),
        };
        self.entries[usize::from(place)] = Some(Box::new(entry));
        Known::Nothing(place)
    }

    /// Keeps a datagram until name `number` is looked up; gives the one that it replaces, or
    /// itself where nothing is pending.
    pub fn hold(&mut self, number: u8, held: Held) -> Option<Held> {
        match self.pending(number) {
            Some(place) => place.replace(held),
            None => Some(held),
        }
    }

    /// The bytes that wait for name `number`.
    pub fn held_bytes(&mut self, number: u8) -> usize {
        let held = self.pending(number).and_then(|place| place.as_ref());
        held.map_or(0, |held| held.payload.len())
    }

    /// Returns `true` if name `number` is being looked up.
    pub fn is_pending(&mut self, number: u8) -> bool {
        self.pending(number).is_some()
    }

    /// Name `number` has the address `addr`, or none. Returns the datagram that waited for it.
    pub fn settle(&mut self, number: u8, addr: Option<IpAddr>, now: Millis) -> Option<Held> {
        let held = self.pending(number)?.take();
        let lasts = if addr.is_some() { FOUND_MS } else { UNKNOWN_MS };
        if let Some(Some(entry)) = self.entries.get_mut(usize::from(number)) {
            let until = now + lasts;
            entry.state = State::Looked { addr, until };
        }
        held
    }

    /// Name `number` cannot be looked up now: it may be asked for again at once.
    pub fn forget(&mut self, number: u8) {
        if let Some(entry) = self.entries.get_mut(usize::from(number)) {
            *entry = None;
        }
    }

    fn pending(&mut self, number: u8) -> Option<&mut Option<Held>> {
        match &mut self.entries.get_mut(usize::from(number))?.as_mut()?.state {
            State::Pending(held) => Some(held),
            State::Looked { .. } => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn addr(text: &str) -> SocketAddr {
        text.parse().unwrap()
    }

    fn name(text: &str) -> Name {
        Name::new(text.as_bytes()).unwrap()
    }

    fn held(byte: u8) -> Held {
        Held {
            port: 53,
            payload: vec![byte].into(),
        }
    }

    #[test]
    fn every_drop_reason_is_at_its_index() {
        for (index, reason) in DropReason::ALL.into_iter().enumerate() {
            assert_eq!(reason.index(), index);
        }
    }

    #[test]
    fn u2_a_port_counts_only_with_the_matching_address() {
        let connection = addr("10.0.0.1:5000");
        for (destination, port) in [
            ("0.0.0.0:0", 0),
            ("0.0.0.0:9", 0),
            ("10.0.0.2:9", 0),
            ("10.0.0.1:9", 9),
            ("[::ffff:10.0.0.1]:9", 9),
            ("10.0.0.1:0", 0),
        ] {
            let client_addr = ClientAddr::new(connection, Some(addr(destination)));
            assert_eq!(client_addr.heard(), SocketAddr::new(connection.ip(), port));
            assert_eq!(client_addr.is_known(), port != 0);
        }
        assert_eq!(
            ClientAddr::new(connection, None).heard(),
            addr("10.0.0.1:0")
        );
    }

    #[test]
    fn u3_a_port_is_learned_once_and_again_after_silence() {
        let mut client_addr = ClientAddr::new(addr("10.0.0.1:5000"), None);
        assert!(client_addr.may_be(&addr("10.0.0.1:7")) && client_addr.may_be(&addr("10.0.0.1:8")));
        assert!(!client_addr.may_be(&addr("10.0.0.2:7")));
        assert!(client_addr.learn(7));
        assert!(!client_addr.learn(8));
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:7"));
        assert_eq!(client_addr.heard(), addr("10.0.0.1:7"));
        assert!(!client_addr.may_be(&addr("10.0.0.1:8")));
        client_addr.reopen();
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:7"));
        assert_eq!(client_addr.heard(), addr("10.0.0.1:0"));
        assert!(client_addr.learn(8));
        assert!(client_addr.is_known() && *client_addr.addr() == addr("10.0.0.1:8"));
    }

    #[test]
    fn the_contact_longest_not_sent_to_is_forgotten() {
        let remote = |last: u8| IpAddr::from([10, 0, 0, last]);
        let mut contacts = Contacts::default();
        for last in 1..=16 {
            contacts.note(remote(last));
        }
        contacts.note(remote(1));
        contacts.note(remote(17));
        assert!(contacts.contains(remote(1)) && contacts.contains(remote(17)));
        assert!(!contacts.contains(remote(2)) && contacts.contains(remote(3)));
    }

    #[test]
    fn a_name_is_asked_for_once_and_the_newest_datagram_waits() {
        let mut names = Names::default();
        assert_eq!(names.find(&name("a.test"), 0), Known::Nothing(0));
        assert!(names.hold(0, held(1)).is_none());
        assert_eq!(names.find(&name("A.test"), 0), Known::Pending(0));
        assert_eq!(names.hold(0, held(2)).unwrap().payload[..], [1]);
        let found = Some(IpAddr::from([1, 2, 3, 4]));
        assert_eq!(names.settle(0, found, 100).unwrap().payload[..], [2]);
        assert_eq!(names.find(&name("a.test"), 60_099), Known::Address(found));
        assert_eq!(names.find(&name("a.test"), 60_100), Known::Nothing(0));
    }

    #[test]
    fn a_name_without_an_address_is_not_asked_for_again_for_a_while() {
        let mut names = Names::default();
        names.find(&name("a.test"), 0);
        assert!(names.settle(0, None, 0).is_none());
        assert_eq!(names.find(&name("a.test"), 4_999), Known::Address(None));
        assert_eq!(names.find(&name("a.test"), 5_000), Known::Nothing(0));
    }

    #[test]
    fn a_fifth_name_waits_for_a_place_and_takes_the_oldest() {
        let mut names = Names::default();
        for number in 0..4 {
            let name = name(&format!("n{number}.test"));
            assert_eq!(names.find(&name, 0), Known::Nothing(number));
        }
        assert_eq!(names.find(&name("five.test"), 0), Known::NoRoom);
        let found = Some(IpAddr::from([1, 2, 3, 4]));
        names.settle(2, found, 10);
        names.settle(1, found, 20);
        assert_eq!(names.find(&name("five.test"), 30), Known::Nothing(2));
        assert_eq!(names.find(&name("n1.test"), 30), Known::Address(found));
        names.forget(2);
        assert_eq!(names.find(&name("six.test"), 30), Known::Nothing(2));
    }

    #[test]
    fn an_answer_to_nothing_changes_nothing() {
        let mut names = Names::default();
        assert!(names.settle(0, None, 0).is_none());
        assert!(names.settle(200, None, 0).is_none());
        assert_eq!(names.hold(3, held(1)).unwrap().payload[..], [1]);
        assert_eq!((names.held_bytes(0), names.is_pending(0)), (0, false));
    }
}
