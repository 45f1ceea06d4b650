//! Answers of name servers, with their work counted, beside a second reading that counts for
//! itself and knows no bound.

use std::net::IpAddr;

use anklet::wire::dns::{
    ADDRESSES_MAX, Addresses, Family, STEPS_MAX, Steps, Verdict, answer, answer_within, query,
    wire_name,
};

use super::chosen;

/// The name that is asked for, and the number of the query.
const NAME: &[u8] = b"www.example.org";
const ID: u16 = 0x1234;

/// More than this is never read of an answer.
const MESSAGE_MAX: usize = 4096;

/// Passes over the records at most.
const PASSES_MAX: usize = 8;

pub fn target(data: &[u8]) {
    let Some((choice, rest)) = chosen(data) else {
        return;
    };
    let family = if choice & 1 == 0 {
        Family::A
    } else {
        Family::Aaaa
    };
    let name = wire_name(NAME, b"").unwrap();
    let mut message = if choice & 2 == 0 {
        // What an answer has to have in front, so that any records are read.
        let mut front = query(ID, &name, family, false);
        (front[2], front[6], front[7]) = (0x80, choice >> 2 & 1, choice >> 3);
        front
    } else {
        Vec::new()
    };
    let front_len = message.len();
    message.extend(rest);
    message.truncate(MESSAGE_MAX);
    let (mut found, mut again) = (Addresses::default(), Addresses::default());
    let mut steps = Steps::default();
    let verdict = answer_within(&mut steps, &message, ID, &name, family, &mut found);
    assert!(steps.taken() <= STEPS_MAX);
    assert_eq!(answer(&message, ID, &name, family, &mut again), verdict);
    assert_eq!(found, again);
    assert_eq!(verdict == Verdict::Addresses, !found.is_empty());
    assert!(found.as_slice().len() <= ADDRESSES_MAX);
    assert!(found.as_slice().iter().all(|addr| is_in(addr, &message)));
    if front_len > 0 {
        let mut model = Model::new(&message, front_len);
        let expected = model.follow(
            usize::from(message[6]) << 8 | usize::from(message[7]),
            family,
        );
        if model.steps <= STEPS_MAX {
            assert_eq!(found.as_slice(), expected);
            assert_eq!(steps.taken(), model.steps);
        }
    }
}

/// Whether the bytes of an address are in a message.
fn is_in(addr: &IpAddr, message: &[u8]) -> bool {
    match addr {
        IpAddr::V4(addr) => message.windows(4).any(|bytes| bytes == addr.octets()),
        IpAddr::V6(addr) => message.windows(16).any(|bytes| bytes == addr.octets()),
    }
}

/// A reading that takes whole names apart first, and compares them then.
struct Model<'a> {
    message: &'a [u8],
    start: usize,
    steps: usize,
}

impl<'a> Model<'a> {
    fn new(message: &'a [u8], start: usize) -> Self {
        Self {
            message,
            start,
            steps: 0,
        }
    }

    /// The addresses of the name asked for, or of what it is an alias for.
    fn follow(&mut self, count: usize, family: Family) -> Vec<IpAddr> {
        let mut found: Vec<IpAddr> = Vec::new();
        let mut owner = 12;
        for _ in 0..PASSES_MAX {
            let (mut at, mut has_moved) = (self.start, false);
            for _ in 0..count {
                let Some((kind, data, end)) = self.record(at) else {
                    break;
                };
                if self.are_same(at, owner) {
                    let place = data.as_ptr() as usize - self.message.as_ptr() as usize;
                    match (kind, family) {
                        ([0, 1, 0, 1], Family::A) | ([0, 28, 0, 1], Family::Aaaa) => {
                            found.extend(address(data, family));
                        }
                        ([0, 5, 0, 1], _) if self.name_end(place).is_some() => {
                            (owner, has_moved) = (place, true);
                        }
                        _ => {}
                    }
                }
                at = end;
            }
            if !found.is_empty() || !has_moved {
                break;
            }
        }
        let mut distinct = Vec::new();
        for addr in found {
            if !distinct.contains(&addr) && distinct.len() < ADDRESSES_MAX {
                distinct.push(addr);
            }
        }
        distinct
    }

    /// Type and class, data, and where the record at `at` ends.
    fn record(&mut self, at: usize) -> Option<([u8; 4], &'a [u8], usize)> {
        let end = self.name_end(at)?;
        let rest = self.message.get(end..)?;
        let (head, rest) = rest.split_first_chunk::<10>()?;
        let len = usize::from(head[8]) << 8 | usize::from(head[9]);
        let data = rest.get(..len)?;
        Some(([head[0], head[1], head[2], head[3]], data, end + 10 + len))
    }

    /// Where the name at `at` ends, if it is sound. All of its steps are counted.
    fn name_end(&mut self, at: usize) -> Option<usize> {
        let (labels, end, steps) = walk(self.message, at);
        self.steps += steps;
        let is_whole = labels.last().is_some_and(|(label, _)| label.is_empty());
        is_whole.then_some(end)
    }

    /// Whether two names are the same. Labels are counted up to the first that differ.
    fn are_same(&mut self, one: usize, other: usize) -> bool {
        let [one, other] = [one, other].map(|at| walk(self.message, at));
        for at in 0.. {
            let [label, same] = [&one, &other].map(|walked| walked.0.get(at));
            self.steps += steps_of(&one, at) + steps_of(&other, at);
            match (label, same) {
                (Some((label, _)), Some((same, _))) if label == same => {
                    if label.is_empty() {
                        return true;
                    }
                }
                _ => break,
            }
        }
        false
    }
}

/// The steps to the label of that number, or to where the name turns out to be malformed.
fn steps_of((labels, _, steps): &Walked, at: usize) -> usize {
    let before: usize = labels.iter().map(|(_, steps)| steps).sum();
    labels.get(at).map_or(steps - before, |(_, steps)| *steps)
}

/// Labels with their steps, the end of the name at its own place, all steps.
type Walked = (Vec<(Vec<u8>, usize)>, usize, usize);

/// Reads a name as far as it is sound (RFC 1035 §4.1.4); a pointer leads further back each time.
fn walk(message: &[u8], start: usize) -> Walked {
    let (mut labels, mut end) = (Vec::new(), None);
    let (mut at, mut lowest, mut bytes) = (start, start, 0);
    let (mut steps, mut since) = (0, 0);
    loop {
        steps += 1;
        since += 1;
        let Some(first) = message.get(at).map(|byte| usize::from(*byte)) else {
            break;
        };
        if first < 64 {
            bytes += 1 + first;
            let label = message.get(at + 1..at + 1 + first);
            let Some(label) = label.filter(|_| bytes <= 255) else {
                break;
            };
            labels.push((label.to_ascii_lowercase(), since));
            since = 0;
            at += 1 + first;
            if first == 0 {
                break;
            }
        } else {
            let second = message.get(at + 1).map(|byte| usize::from(*byte));
            let target = second.map(|second| (first & 63) << 8 | second);
            let Some(target) = target.filter(|target| first >= 192 && *target < lowest) else {
                break;
            };
            end = end.or(Some(at + 2));
            (at, lowest) = (target, target);
        }
    }
    (labels, end.unwrap_or(at), steps)
}

/// The address that a record's data is.
fn address(data: &[u8], family: Family) -> Option<IpAddr> {
    let addr = match family {
        Family::A => <[u8; 4]>::try_from(data).ok().map(IpAddr::from),
        Family::Aaaa => <[u8; 16]>::try_from(data).ok().map(IpAddr::from),
    };
    addr.map(|addr| addr.to_canonical())
}
