//! DNS messages (RFC 1035 §4): a query out, addresses in.
//!
//! Only what a stub needs: one question of class IN for A or AAAA, EDNS(0) without options
//! (RFC 6891), and the answer section followed through its CNAMEs. The other sections of an
//! answer are not looked at. Who is asked, how often and when is `resolver`'s business.

use std::net::IpAddr;

use super::Reader;

/// Which addresses are asked for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Family {
    /// IPv4 (RFC 1035 §3.4.1).
    A,
    /// IPv6 (RFC 3596 §2).
    Aaaa,
}

/// At most 16 addresses, in the order they came and none twice.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Addresses(Vec<IpAddr>);

/// What a message says about the question that was asked.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// Not an answer to this question: to be dropped as if it had never come.
    NotOurs,
    /// Cut off to fit a datagram: to be asked again over TCP (RFC 7766 §5).
    Truncated,
    /// At least one address.
    Addresses,
    /// The name does not exist (NXDOMAIN).
    NoSuchName,
    /// The name exists and has no address of this family.
    NoData,
    /// The server cannot or will not answer: its RCODE. A malformed answer counts as FORMERR, and
    /// one with nothing in it, of a server that does not recurse, as REFUSED.
    Failed(u8),
    /// FORMERR or NOTIMP: what a server from before EDNS says to it (RFC 6891 §7).
    NoEdns,
}

/// Addresses kept of one answer: as many as a client would ever wait to see tried.
pub const ADDRESSES_MAX: usize = 8;

/// RFC 1035 §3.1, the root's zero included.
const WIRE_NAME_MAX: usize = 255;
/// RFC 1035 §2.3.4.
const LABEL_MAX: usize = 63;
const HEADER_BYTES: usize = 12;

/// Passes over an answer whose CNAMEs are out of order. In order, as servers send them, one
/// pass follows a chain of any length; eight is the depth at which resolvers give up.
const PASSES_MAX: usize = 8;

/// The most labels and pointers read of an answer section, all records and passes together: one
/// for each byte of the largest message that is read. Honest names have five labels and records
/// twenty bytes; pointers that lead from one to the next would cost a thousand times as much.
pub const STEPS_MAX: usize = 4096;

const TYPE_A: u8 = 1;
const TYPE_CNAME: u8 = 5;
const TYPE_OPT: u8 = 41;
const TYPE_AAAA: u8 = 28;
const CLASS_IN: u8 = 1;

// RFC 1035 §4.1.1.
const FLAG_RESPONSE: u16 = 0x8000;
const FLAGS_OPCODE: u16 = 0x7800;
const FLAG_TRUNCATED: u16 = 0x0200;
const FLAGS_RCODE: u16 = 0x000f;
/// AA or RA: an authority for the name, or a server that recurses.
const FLAGS_COMPETENT: u16 = 0x0480;
const RD: u8 = 0x01;
const FORMERR: u8 = 1;
/// The RCODE of a server that has failed itself.
pub const SERVFAIL: u8 = 2;
const REFUSED: u8 = 5;

/// RFC 6891 §6.1.2: root, OPT, payload size 1232 (no fragments on any path: 1,280 of IPv6 less
/// 48 of headers), extended RCODE, version and flags zero, no options.
const OPT_RECORD: [u8; 11] = [0, 0, TYPE_OPT, 0x04, 0xd0, 0, 0, 0, 0, 0, 0];

impl Family {
    fn record_type(self) -> u8 {
        match self {
            Self::A => TYPE_A,
            Self::Aaaa => TYPE_AAAA,
        }
    }

    /// The address in a record. A v4-mapped one is IPv4, also where AAAA says it: by a socket of
    /// IPv6 the kernel would reach it over IPv4 where that is not to be used.
    fn address(self, data: &[u8]) -> Option<IpAddr> {
        let addr = match self {
            Self::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
            Self::Aaaa => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
        };
        addr.map(|addr| addr.to_canonical())
    }

    /// What stands behind the name of a question, and at the start of an answer: the root's
    /// zero, type, class.
    fn kind(self) -> [u8; 4] {
        [0, self.record_type(), 0, CLASS_IN]
    }
}

/// The wire form of `name` under `domain`, in lower case (RFC 4343 §3) and with the root's
/// zero. Both are dotted, with or without a dot at the end; no domain is an empty one. `None`:
/// a label is empty or over 63 bytes, or the name over 253.
pub fn wire_name(name: &[u8], domain: &[u8]) -> Option<Vec<u8>> {
    let mut wire = Vec::new();
    for part in [name, domain] {
        if wire.is_empty() || !part.is_empty() {
            wire.push(b'.');
            wire.extend_from_slice(part.strip_suffix(b".").unwrap_or(part));
        }
    }
    // From its end: each dot becomes the length of the label behind it.
    let mut len = 0;
    for byte in wire.iter_mut().rev() {
        if *byte != b'.' {
            byte.make_ascii_lowercase();
            len += 1;
        } else if (1..=LABEL_MAX).contains(&len) {
            *byte = u8::try_from(len).ok()?;
            len = 0;
        } else {
            return None;
        }
    }
    wire.push(0);
    (wire.len() <= WIRE_NAME_MAX).then_some(wire)
}

/// A query for a [`wire_name`] that asks for recursion; 282 bytes at most: header 12, name 255,
/// type and class 4, OPT 11.
pub fn query(id: u16, name: &[u8], family: Family, edns: bool) -> Vec<u8> {
    let [id_high, id_low] = id.to_be_bytes();
    let header = [id_high, id_low, RD, 0, 0, 1, 0, 0, 0, 0, 0, u8::from(edns)];
    let opt: &[u8] = if edns { &OPT_RECORD } else { &[] };
    [&header, name, &family.kind(), opt].concat()
}

/// Judges a message that came to the socket of a query; its addresses are added to `found`.
/// Everything in front of the answer section must be right, or the message is not ours
/// (RFC 5452 §9.1). What a cut-off or malformed answer section has before its fault is used, and
/// one whose names are too much work is malformed.
pub fn answer(
    message: &[u8],
    id: u16,
    name: &[u8],
    family: Family,
    found: &mut Addresses,
) -> Verdict {
    answer_within(&mut Steps::default(), message, id, name, family, found)
}

/// Does the work of [`answer`] within these steps, so that it can be counted.
pub fn answer_within(
    steps: &mut Steps,
    message: &[u8],
    id: u16,
    name: &[u8],
    family: Family,
    found: &mut Addresses,
) -> Verdict {
    let Some((flags, records)) = accept(message, id, name, family) else {
        return Verdict::NotOurs;
    };
    match flags & FLAGS_RCODE {
        0 if flags & FLAG_TRUNCATED != 0 => Verdict::Truncated,
        // The server does not know, and at best says where to ask instead: a lame one.
        0 if flags & FLAGS_COMPETENT == 0 && records.count == 0 => Verdict::Failed(REFUSED),
        0 => follow(message, records, family, found, steps),
        1 | 4 => Verdict::NoEdns,
        3 => Verdict::NoSuchName,
        code => Verdict::Failed(code.to_be_bytes()[1]),
    }
}

/// The records of an answer section: how many, and where they start.
#[derive(Clone, Copy)]
struct Records {
    count: u16,
    start: usize,
}

/// The acceptance list. Gives the flags and the place of the answers. Servers that cannot read a
/// question leave it out of their answer: such a header is believed that it is an error, of the
/// kind that makes another server be asked.
fn accept(message: &[u8], id: u16, name: &[u8], family: Family) -> Option<(u16, Records)> {
    let mut reader = Reader::new(message);
    let echoed_id = reader.u16()?;
    let flags = reader.u16()?;
    let questions = reader.u16()?;
    let count = reader.u16()?;
    let is_response = flags & FLAG_RESPONSE != 0 && flags & FLAGS_OPCODE == 0;
    if echoed_id != id || !is_response {
        return None;
    }
    if questions == 0 && message.len() == HEADER_BYTES {
        let is_error = matches!(flags & FLAGS_RCODE, 1 | 2 | 4 | 5);
        let start = HEADER_BYTES;
        return is_error.then_some((flags, Records { count: 0, start }));
    }
    if questions != 1 {
        return None;
    }
    reader.take(HEADER_BYTES - reader.consumed())?;
    // No byte of a length is a letter, so lengths are compared as they are.
    let same = reader.take(name.len())?.eq_ignore_ascii_case(name);
    let start = reader.consumed() + 4;
    if !same || reader.array()? != family.kind() {
        return None;
    }
    Some((flags, Records { count, start }))
}

/// Collects the addresses of the name asked for, or of what it is an alias for.
fn follow(
    message: &[u8],
    records: Records,
    family: Family,
    found: &mut Addresses,
    steps: &mut Steps,
) -> Verdict {
    let mut owner = HEADER_BYTES;
    let mut whole = true;
    for _ in 0..PASSES_MAX {
        let mut at = records.start;
        let mut moved = false;
        for _ in 0..records.count {
            let Some(record) = Record::read(message, at, steps) else {
                whole = false;
                break;
            };
            if same_name(message, at, owner, steps) {
                if record.kind == family.kind() {
                    if let Some(addr) = family.address(record.data)
                        && found.as_slice().len() < ADDRESSES_MAX
                    {
                        found.push(addr);
                    }
                } else if record.kind == [0, TYPE_CNAME, 0, CLASS_IN] {
                    let target = record.end - record.data.len();
                    if name_end(message, target, steps).is_some() {
                        owner = target;
                        moved = true;
                    }
                }
            }
            at = record.end;
        }
        if !found.is_empty() {
            return Verdict::Addresses;
        }
        if !moved {
            break;
        }
    }
    if whole {
        Verdict::NoData
    } else {
        Verdict::Failed(FORMERR)
    }
}

/// One resource record behind its owner (RFC 1035 §4.1.3).
struct Record<'a> {
    /// Type and class.
    kind: [u8; 4],
    data: &'a [u8],
    end: usize,
}

impl<'a> Record<'a> {
    /// Reads the record at `at`; there is a whole name, and a whole record behind it.
    fn read(message: &'a [u8], at: usize, steps: &mut Steps) -> Option<Self> {
        let mut reader = Reader::new(message);
        reader.take(name_end(message, at, steps)?)?;
        let kind = reader.array()?;
        let _time_to_live: [u8; 4] = reader.array()?;
        let len = reader.u16()?;
        let data = reader.take(usize::from(len))?;
        Some(Self {
            kind,
            data,
            end: reader.consumed(),
        })
    }
}

/// How many labels and pointers may still be read.
pub struct Steps(usize);

impl Default for Steps {
    /// Those of one answer.
    fn default() -> Self {
        Self(STEPS_MAX)
    }
}

impl Steps {
    /// The number of steps that have been taken of those of one answer.
    pub fn taken(&self) -> usize {
        STEPS_MAX - self.0
    }

    /// Takes one; `None`: none is left.
    fn take(&mut self) -> Option<()> {
        self.0 = self.0.checked_sub(1)?;
        Some(())
    }
}

/// The labels of a name in a message, wherever its pointers lead (RFC 1035 §4.1.4).
struct Labels<'a> {
    message: &'a [u8],
    at: usize,
    /// A pointer must lead to before everything read so far, so that no chain is a ring.
    lowest: usize,
    /// Where the name ends at its own place, once a pointer has led away from it.
    end: Option<usize>,
    /// Bytes that the name may still have.
    room: usize,
}

impl<'a> Labels<'a> {
    fn new(message: &'a [u8], at: usize) -> Self {
        Self {
            message,
            at,
            lowest: at,
            end: None,
            room: WIRE_NAME_MAX,
        }
    }

    /// The next label, an empty one at the end; `None`: it is malformed, or too much work.
    fn next(&mut self, steps: &mut Steps) -> Option<&'a [u8]> {
        // Bounded: every round takes a step.
        loop {
            steps.take()?;
            let mut reader = Reader::new(self.message.get(self.at..)?);
            let first = reader.u8()?;
            let len = usize::from(first);
            if len <= LABEL_MAX {
                self.at += 1 + len;
                self.room = self.room.checked_sub(1 + len)?;
                return reader.take(len);
            }
            if first >> 6 != 0b11 {
                return None;
            }
            let target = (len & LABEL_MAX) << 8 | usize::from(reader.u8()?);
            if target >= self.lowest {
                return None;
            }
            self.end = self.end.or(Some(self.at + 2));
            self.lowest = target;
            self.at = target;
        }
    }
}

/// Where the name at `at` ends; `None`: it is malformed, or too much work.
fn name_end(message: &[u8], at: usize, steps: &mut Steps) -> Option<usize> {
    let mut labels = Labels::new(message, at);
    // Bounded: few labels fit into a name.
    while !labels.next(steps)?.is_empty() {}
    Some(labels.end.unwrap_or(labels.at))
}

/// Returns `true` if two names are the same; a malformed one is like none.
fn same_name(message: &[u8], one: usize, other: usize, steps: &mut Steps) -> bool {
    let mut one = Labels::new(message, one);
    let mut other = Labels::new(message, other);
    loop {
        match (one.next(steps), other.next(steps)) {
            (Some(label), Some(same)) if label.eq_ignore_ascii_case(same) => {
                if label.is_empty() {
                    return true;
                }
            }
            _ => return false,
        }
    }
}

impl Addresses {
    /// Appends an address, unless it is there already or the list is full.
    pub fn push(&mut self, addr: IpAddr) {
        if self.0.len() < 2 * ADDRESSES_MAX && !self.0.contains(&addr) {
            self.0.push(addr);
        }
    }

    /// The addresses, in order.
    pub fn as_slice(&self) -> &[IpAddr] {
        &self.0
    }

    /// Returns `true` if there is none.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

impl From<IpAddr> for Addresses {
    /// A list of one.
    fn from(addr: IpAddr) -> Self {
        Self(vec![addr])
    }
}

/// Answers for the tests of this crate, made from the queries that they answer.
#[cfg(test)]
// An index out of bounds fails the test.
#[allow(clippy::indexing_slicing)]
pub(crate) mod replies {
    use super::*;

    /// An answer with this RCODE and one record, owned by the name asked for, per address.
    pub(crate) fn reply(query: &[u8], code: u8, addresses: &[&str]) -> Vec<u8> {
        let mut message = query[..question_end(query)].to_vec();
        message[2] |= 0x80;
        message[3] = 0x80 | code;
        message[7] = u8::try_from(addresses.len()).unwrap();
        message[11] = 0;
        for addr in addresses {
            record(&mut message, &[0xc0, 12], addr);
        }
        message
    }

    /// Appends an address record.
    pub(crate) fn record(message: &mut Vec<u8>, owner: &[u8], addr: &str) {
        let (kind, data) = match addr.parse().unwrap() {
            IpAddr::V4(addr) => (TYPE_A, addr.octets().to_vec()),
            IpAddr::V6(addr) => (TYPE_AAAA, addr.octets().to_vec()),
        };
        raw_record(message, owner, u16::from(kind), &data);
    }

    /// Appends a record of any type.
    pub(crate) fn raw_record(message: &mut Vec<u8>, owner: &[u8], kind: u16, data: &[u8]) {
        message.extend_from_slice(owner);
        message.extend_from_slice(&kind.to_be_bytes());
        message.extend_from_slice(&[0, 1, 0, 0, 0, 60]);
        message.extend_from_slice(&u16::try_from(data.len()).unwrap().to_be_bytes());
        message.extend_from_slice(data);
    }

    /// The name in a query, dotted.
    pub(crate) fn name_of(query: &[u8]) -> Vec<u8> {
        let mut dotted = Vec::new();
        let mut at = HEADER_BYTES;
        while query[at] != 0 {
            let end = at + 1 + usize::from(query[at]);
            dotted.extend_from_slice(&query[at + 1..end]);
            dotted.push(b'.');
            at = end;
        }
        dotted.pop();
        dotted
    }

    /// The family that a query asks for.
    pub(crate) fn family_of(query: &[u8]) -> Family {
        let kind = query[question_end(query) - 3];
        if kind == TYPE_A {
            Family::A
        } else {
            Family::Aaaa
        }
    }

    /// These addresses, as an answer gives them.
    pub(crate) fn addresses(list: &[&str]) -> Addresses {
        let mut addresses = Addresses::default();
        for addr in list {
            addresses.push(addr.parse().unwrap());
        }
        addresses
    }

    fn question_end(query: &[u8]) -> usize {
        let zero = query[HEADER_BYTES..]
            .iter()
            .position(|&byte| byte == 0)
            .unwrap();
        HEADER_BYTES + zero + 5
    }
}

#[cfg(test)]
// An index out of bounds fails the test.
#[allow(clippy::indexing_slicing)]
mod tests {
    use super::replies::{addresses, family_of, name_of, raw_record, record, reply};
    use super::*;
    use proptest::prelude::*;

    const NAME: &[u8] = b"www.Example.org";

    fn asked(family: Family) -> Vec<u8> {
        query_dotted(0x1234, NAME, family).unwrap()
    }

    fn query_dotted(id: u16, name: &[u8], family: Family) -> Option<Vec<u8>> {
        Some(query(id, &wire_name(name, b"")?, family, true))
    }

    fn answer_to(message: &[u8], id: u16, name: &[u8], family: Family) -> (Verdict, Addresses) {
        let mut found = Addresses::default();
        let name = wire_name(name, b"").unwrap();
        let verdict = answer(message, id, &name, family, &mut found);
        assert_eq!(verdict == Verdict::Addresses, !found.is_empty());
        (verdict, found)
    }

    fn judged(message: &[u8]) -> Verdict {
        answer_to(message, 0x1234, NAME, Family::A).0
    }

    fn found(message: &[u8]) -> Addresses {
        answer_to(message, 0x1234, NAME, Family::A).1
    }

    #[test]
    fn a_query_is_the_bytes_of_the_standard() {
        let mut expected = vec![0x12, 0x34, 1, 0, 0, 1, 0, 0, 0, 0, 0, 1];
        expected.extend_from_slice(b"\x03www\x07example\x03org\0\0\x1c\0\x01");
        expected.extend_from_slice(&[0, 0, 41, 0x04, 0xd0, 0, 0, 0, 0, 0, 0]);
        assert_eq!(asked(Family::Aaaa), expected);
        assert_eq!(name_of(&expected), b"www.example.org");
        assert_eq!(family_of(&expected), Family::Aaaa);
    }

    #[test]
    fn names_have_bounds() {
        let label = "a".repeat(63);
        let longest = format!("{label}.{label}.{label}.{}", "a".repeat(61));
        assert_eq!(longest.len(), 253);
        let query = |name: &[u8]| query_dotted(1, name, Family::A);
        assert_eq!(query(longest.as_bytes()).unwrap().len(), 282);
        assert!(query(b"a.").is_some());
        let too_long = format!("{longest}a");
        for name in ["", ".", "a..", "a..b", ".a", &"a".repeat(64), &too_long] {
            assert_eq!(query(name.as_bytes()), None, "{name}");
        }
    }

    #[test]
    fn addresses_come_in_order_once_and_eight_at_most() {
        let query = asked(Family::A);
        let message = reply(
            &query,
            0,
            &["192.0.2.2", "192.0.2.1", "2001:db8::1", "192.0.2.2"],
        );
        assert_eq!(found(&message), addresses(&["192.0.2.2", "192.0.2.1"]));
        let many: Vec<String> = (0..20).map(|n| format!("192.0.2.{n}")).collect();
        let many: Vec<&str> = many.iter().map(String::as_str).collect();
        assert_eq!(found(&reply(&query, 0, &many)), addresses(&many[..8]));
    }

    #[test]
    fn what_does_not_answer_the_question_is_not_ours() {
        let good = reply(&asked(Family::A), 0, &["192.0.2.1"]);
        let verdict = |id, name, family| answer_to(&good, id, name, family).0;
        assert_eq!(verdict(0x1235, NAME, Family::A), Verdict::NotOurs);
        assert_eq!(verdict(0x1234, NAME, Family::Aaaa), Verdict::NotOurs);
        assert_eq!(
            verdict(0x1234, b"www.example.com", Family::A),
            Verdict::NotOurs
        );
        assert_eq!(
            verdict(0x1234, b"www.example.org.x", Family::A),
            Verdict::NotOurs
        );
        assert_eq!(judged(&asked(Family::A)), Verdict::NotOurs);
        // Opcode, number of questions, first label's length, class.
        for (place, value) in [(2, 0x91), (5, 0), (5, 2), (12, 4), (32, 3)] {
            let mut bad = good.clone();
            bad[place] = value;
            assert_eq!(judged(&bad), Verdict::NotOurs, "{place}");
        }
        for len in 0..33 {
            assert_eq!(judged(&good[..len]), Verdict::NotOurs);
        }
    }

    #[test]
    fn codes_map_to_verdicts() {
        let query = asked(Family::A);
        assert_eq!(judged(&reply(&query, 0, &[])), Verdict::NoData);
        assert_eq!(judged(&reply(&query, 1, &[])), Verdict::NoEdns);
        assert_eq!(judged(&reply(&query, 2, &[])), Verdict::Failed(2));
        assert_eq!(judged(&reply(&query, 3, &[])), Verdict::NoSuchName);
        assert_eq!(judged(&reply(&query, 4, &[])), Verdict::NoEdns);
        assert_eq!(judged(&reply(&query, 5, &[])), Verdict::Failed(5));
        let mut cut = reply(&query, 0, &["192.0.2.1"]);
        cut[2] |= 0x02;
        assert_eq!(judged(&cut), Verdict::Truncated);
    }

    #[test]
    fn an_error_without_the_question_is_believed_to_be_one() {
        let query = asked(Family::A);
        for (code, expected) in [
            (0, Verdict::NotOurs),
            (1, Verdict::NoEdns),
            (2, Verdict::Failed(2)),
            // What would end the search is not: the name might be another.
            (3, Verdict::NotOurs),
            (4, Verdict::NoEdns),
            (5, Verdict::Failed(5)),
            (6, Verdict::NotOurs),
        ] {
            let mut header = reply(&query, code, &[]);
            header.truncate(HEADER_BYTES);
            header[5] = 0;
            assert_eq!(judged(&header), expected, "{code}");
            header.push(0);
            assert_eq!(judged(&header), Verdict::NotOurs, "{code}");
        }
    }

    #[test]
    fn nothing_from_a_server_that_does_not_recurse_is_no_answer() {
        let mut message = reply(&asked(Family::A), 0, &[]);
        message[3] = 0;
        assert_eq!(judged(&message), Verdict::Failed(REFUSED));
        // An authority knows.
        message[2] |= 4;
        assert_eq!(judged(&message), Verdict::NoData);
        let mut message = reply(&asked(Family::A), 0, &["192.0.2.1"]);
        message[3] = 0;
        assert_eq!(found(&message), addresses(&["192.0.2.1"]));
    }

    #[test]
    fn aliases_are_followed_in_any_order_and_strangers_ignored() {
        let mut message = reply(&asked(Family::A), 0, &[]);
        record(&mut message, b"\x01b\0", "192.0.2.1");
        record(&mut message, b"\x01x\0", "192.0.2.66");
        raw_record(&mut message, b"\x01A\0", 5, b"\x01B\0");
        raw_record(&mut message, &[0xc0, 12], 5, b"\x01a\0");
        message[7] = 4;
        assert_eq!(found(&message), addresses(&["192.0.2.1"]));
    }

    #[test]
    fn a_ring_of_aliases_ends() {
        let mut message = reply(&asked(Family::A), 0, &[]);
        raw_record(&mut message, &[0xc0, 12], 5, b"\x01a\0");
        raw_record(&mut message, b"\x01a\0", 5, &[0xc0, 12]);
        message[7] = 2;
        assert_eq!(judged(&message), Verdict::NoData);
    }

    #[test]
    fn pointers_lead_back_or_nowhere() {
        let start = u8::try_from(reply(&asked(Family::A), 0, &[]).len()).unwrap();
        // To itself, to behind itself, and to a pointer that leads here again.
        for pointer in [start, start + 4, 255] {
            let mut message = reply(&asked(Family::A), 0, &[]);
            record(&mut message, &[0xc0, pointer], "192.0.2.1");
            message[7] = 1;
            assert_eq!(judged(&message), Verdict::Failed(FORMERR));
        }
    }

    /// Appends pointers, each to the one before it, and records whose owner and data are the last
    /// of them: as much work as 4 KiB can be.
    fn labor(message: &mut Vec<u8>) {
        let mut pointer = [0xc0, 12];
        let mut chain = Vec::new();
        for place in (message.len() + 12..2700).step_by(2) {
            chain.extend_from_slice(&pointer);
            pointer = (0xc000 | u16::try_from(place).unwrap()).to_be_bytes();
        }
        raw_record(message, &[0xc0, 12], 16, &chain);
        message[7] += 1;
        while message.len() < 4096 - 14 {
            raw_record(message, &pointer, TYPE_CNAME.into(), &pointer);
            message[7] += 1;
        }
    }

    #[test]
    fn an_answer_that_is_too_much_work_is_malformed() {
        let mut message = reply(&asked(Family::A), 0, &[]);
        let start = message.len();
        labor(&mut message);
        assert_eq!(judged(&message), Verdict::Failed(FORMERR));
        // The owners alone, once, are more than what is read of all.
        let (mut steps, mut at) = (Steps(usize::MAX), start);
        while let Some(record) = Record::read(&message, at, &mut steps) {
            at = record.end;
        }
        assert!(usize::MAX - steps.0 > 20 * STEPS_MAX);
    }

    #[test]
    fn what_stands_before_too_much_work_is_used() {
        let mut message = reply(&asked(Family::A), 0, &["192.0.2.1"]);
        labor(&mut message);
        assert_eq!(found(&message), addresses(&["192.0.2.1"]));
    }

    #[test]
    fn the_largest_honest_answer_is_within_the_budget() {
        // A chain of eight, then addresses up to 4 KiB, no name compressed.
        let name = |n: u8| [b"\x03cdn\x02", &[b'a', n][..], b"\x07example\x03org\0"].concat();
        let mut message = reply(&asked(Family::A), 0, &[]);
        raw_record(&mut message, &[0xc0, 12], 5, &name(b'0'));
        for n in b'0'..b'7' {
            raw_record(&mut message, &name(n), 5, &name(n + 1));
        }
        let mut records = 8;
        while message.len() < 4096 - 40 {
            raw_record(&mut message, &name(b'7'), 16, b"v=1");
            records += 1;
        }
        // Other types: no address, and each pass goes over all of them.
        message[7] = records;
        assert_eq!(judged(&message), Verdict::NoData);
    }

    #[test]
    fn what_stands_before_a_cut_is_used() {
        let message = reply(&asked(Family::A), 0, &["192.0.2.1", "192.0.2.2"]);
        let cut = &message[..message.len() - 1];
        assert_eq!(found(cut), addresses(&["192.0.2.1"]));
        assert_eq!(judged(&message[..34]), Verdict::Failed(FORMERR));
    }

    proptest! {
        #[test]
        fn any_bytes_get_a_verdict(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            judged(&bytes);
        }

        #[test]
        fn changed_answers_get_a_verdict(
            changes in proptest::collection::vec(any::<(u16, u8)>(), 1..12),
            cut in 0usize..200,
        ) {
            let mut message = reply(&asked(Family::A), 0, &["192.0.2.1", "192.0.2.2"]);
            raw_record(&mut message, &[0xc0, 12], 5, &[0xc0, 16]);
            raw_record(&mut message, &[0xc0, 20], 5, &[1, b'a', 0xc0, 12]);
            message[7] = 40;
            for (place, value) in changes {
                let place = usize::from(place) % message.len();
                message[place] = value;
            }
            message.truncate(cut.max(12));
            judged(&message);
        }

        #[test]
        fn any_name_is_asked_or_refused(name in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Some(query) = query_dotted(1, &name, Family::A) {
                let labels = name.strip_suffix(b".").unwrap_or(&name).len();
                prop_assert_eq!(query.len(), 12 + labels + 17);
                let message = reply(&query, 0, &["192.0.2.1"]);
                if !name.contains(&0) {
                    let (verdict, _) = answer_to(&message, 1, &name, Family::A);
                    prop_assert_eq!(verdict, Verdict::Addresses);
                }
            }
        }
    }
}
