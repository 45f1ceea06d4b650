//! The two simulated name servers: they answer by the class in a name (`good-17.example` is
//! the target of client 17), over UDP with the faults of the odds, over TCP without.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};

use crate::clients::scenario::ConnectOutcome;
use crate::faults::Odds;
use crate::network::{Network, SimEvent};
use crate::script;

/// The name servers. The first one is dead in some worlds.
pub(crate) const NAME_SERVERS: [SocketAddr; 2] = [
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(45, 66, 0, 53)), 53),
    SocketAddr::new(IpAddr::V4(Ipv4Addr::new(45, 66, 0, 54)), 53),
];

/// The address in a forged answer.
const FORGED: [u8; 4] = [66, 66, 66, 66];

/// Types of records (RFC 1035 §3.2.2, RFC 3596 §2.1).
const A: u16 = 1;
const CNAME: u16 = 5;
const AAAA: u16 = 28;

/// What becomes of a connection to a name server, and of a query.
pub(crate) fn connect_outcome(odds: &Odds, to: SocketAddr) -> ConnectOutcome {
    let dead = odds.dns_dead_server && to == NAME_SERVERS[0];
    if dead {
        ConnectOutcome::NoAnswer
    } else {
        ConnectOutcome::Succeeds
    }
}

/// Answers a datagram that the server sends from DNS socket `m`.
pub(crate) fn answer_datagram(net: &mut Network, m: usize, query: &[u8]) {
    let to = net.dns_sockets[m].to;
    let Some(query) = Query::parse(query) else {
        return net.fail(format!("a malformed query goes to {to}"));
    };
    net.trace(|| {
        format!(
            "DNS socket {m} asks {to} for {} ({})",
            query.name, query.kind
        )
    });
    if !NAME_SERVERS.contains(&to) {
        return net.fail(format!("{to} is asked, no name server"));
    }
    let answer = query.answer(net, false);
    let (true, Some(answer)) = (
        connect_outcome(&net.odds, to) == ConnectOutcome::Succeeds,
        answer,
    ) else {
        return;
    };
    if net.chance(net.odds.dns_forged) {
        let mut forged = query.clone();
        if net.rng.bool() {
            forged.id ^= net.rng.u16(1..);
        } else {
            forged.question[1] ^= 1;
        }
        let forged = forged.message(0, &[(A, FORGED.to_vec())]);
        let latency = net.latency();
        net.schedule(latency, SimEvent::DnsMessage(m, Some(forged)));
    }
    if net.chance(net.odds.dns_loss) {
        return;
    }
    let slow = net.chance(net.odds.dns_slow);
    let delay = net.odds.latency_ms + if slow { net.rng.u64(500..6_000) } else { 1 };
    if net.chance(net.odds.dns_twice) {
        net.schedule(delay, SimEvent::DnsMessage(m, Some(answer.clone())));
    }
    net.schedule(delay, SimEvent::DnsMessage(m, Some(answer)));
}

/// A name server's end of a TCP connection.
#[derive(Default)]
pub(crate) struct NameServer {
    bytes: Vec<u8>,
    unsent: Vec<u8>,
}

impl NameServer {
    /// Reads queries and answers each (RFC 1035 §4.2.2: two bytes of length in front).
    pub(crate) fn step(&mut self, net: &mut Network, s: usize) {
        let mut buf = [0; 512];
        let len = net.peer_receive(s, &mut buf);
        self.bytes.extend(&buf[..len]);
        if let Some((length, rest)) = self.bytes.split_first_chunk::<2>() {
            let length = usize::from(u16::from_be_bytes(*length));
            if rest.len() >= length {
                let query = Query::parse(&rest[..length]);
                self.bytes.drain(..2 + length);
                let answer = query
                    .and_then(|query| query.answer(net, true))
                    .unwrap_or_default();
                self.unsent
                    .extend(u16::try_from(answer.len()).unwrap_or(0).to_be_bytes());
                self.unsent.extend(answer);
            }
        }
        let sent = net.peer_send(s, &self.unsent);
        self.unsent.drain(..sent);
        if net.peer_sees_end(s) {
            net.peer_closes(s);
        }
    }
}

#[derive(Clone)]
struct Query {
    id: u16,
    name: String,
    kind: u16,
    /// The question section, as it came.
    question: Vec<u8>,
    /// The query has an OPT record.
    edns: bool,
}

impl Query {
    /// RFC 1035 §4.1: one question, recursion desired, at most one additional record.
    fn parse(message: &[u8]) -> Option<Self> {
        let [id, flags, questions, answers, authorities, additional] = [0, 2, 4, 6, 8, 10]
            .map(|at| Some(u16::from_be_bytes([*message.get(at)?, message[at + 1]])));
        if flags? != 0x0100 || questions? != 1 || answers? + authorities? > 0 || additional? > 1 {
            return None;
        }
        let mut labels = Vec::new();
        let mut at = 12;
        // A name has 127 labels at most.
        for _ in 0..128 {
            let len = usize::from(*message.get(at)?);
            let label = message.get(at + 1..at + 1 + len)?;
            at += 1 + len;
            if len == 0 {
                break;
            }
            labels.push(String::from_utf8_lossy(label).to_ascii_lowercase());
        }
        let &[high, low, 0, 1] = message.get(at..at + 4)? else {
            return None;
        };
        let question = message[12..at + 4].to_vec();
        let kind = u16::from_be_bytes([high, low]);
        let edns = additional? == 1;
        Some(Self {
            id: id?,
            name: labels.join("."),
            kind,
            question,
            edns,
        })
    }

    /// The true answer; `None` for a name that nobody answers for.
    fn answer(&self, net: &mut Network, over_tcp: bool) -> Option<Vec<u8>> {
        if net.is_scripted {
            let (rcode, addr) = script::answer(&self.name);
            let records = addr
                .filter(|_| self.kind == A)
                .map(|addr| (A, addr.to_vec()));
            return Some(self.message(rcode, records.as_slice()));
        }
        let number = self
            .name
            .strip_suffix(".example")
            .and_then(|name| name.split_once('-'));
        let found = number.and_then(|(class, number)| {
            // A UDP association has several names for one address: a number, then a part that
            // varies.
            let number = number.split('.').next()?;
            Some((class, number.parse::<usize>().ok()?))
        });
        let Some((class, number)) = found.filter(|(_, number)| *number < net.clients.len()) else {
            net.fail(format!(
                "{:?} is asked for, no name of these clients",
                self.name
            ));
            return None;
        };
        let scenario = &net.clients[number].scenario;
        if scenario.name != Some(class) {
            net.fail(format!(
                "{:?} is asked for, not a name of client {number}",
                self.name
            ));
        }
        let scenario = &net.clients[number].scenario;
        let addresses: Vec<(u16, Vec<u8>)> = scenario
            .target_addrs
            .iter()
            .filter_map(|(addr, _)| match addr.ip() {
                IpAddr::V4(v4) if self.kind == A => Some((A, v4.octets().to_vec())),
                IpAddr::V6(v6) if self.kind == AAAA => Some((AAAA, v6.octets().to_vec())),
                _ => None,
            })
            .collect();
        match class {
            "dead" => None,
            "none" => Some(self.message(3, &[])),
            "empty" => Some(self.message(0, &[])),
            "fail" => Some(self.message(2, &[])),
            // RFC 6891 §7: a server that does not know of EDNS.
            "plain" if self.edns => Some(self.message(1, &[])),
            "long" if !over_tcp => {
                let mut message = self.message(0, &[]);
                message[2] |= 2;
                Some(message)
            }
            "alias" => {
                let mut records = vec![(CNAME, vec![1, b'c', 0xc0, 12])];
                records.extend(addresses);
                Some(self.message(0, &records))
            }
            _ => Some(self.message(0, &addresses)),
        }
    }

    /// Writes a response. Records behind a CNAME belong to the name that it gives.
    fn message(&self, rcode: u8, records: &[(u16, Vec<u8>)]) -> Vec<u8> {
        let mut message = self.id.to_be_bytes().to_vec();
        let count = u8::try_from(records.len()).unwrap_or(0);
        message.extend([0x81, 0x80 | rcode, 0, 1, 0, count, 0, 0, 0, 0]);
        message.extend(&self.question);
        let mut owner = [0xc0, 12];
        for (kind, data) in records {
            message.extend(owner);
            message.extend(kind.to_be_bytes());
            message.extend([0, 1, 0, 0, 0, 60, 0, u8::try_from(data.len()).unwrap_or(0)]);
            if *kind == CNAME {
                owner[1] = u8::try_from(message.len()).unwrap_or(0);
            }
            message.extend(data);
        }
        message
    }
}
