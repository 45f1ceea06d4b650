//! A DNS server for names that end in `.test`: it answers as told, wrongly where told, or never.
//!
//! Messages are put together by hand (RFC 1035 §4.1), so that nothing of the proxy is trusted.

use std::io::{Read, Write};
use std::net::{IpAddr, SocketAddr, TcpListener, TcpStream, UdpSocket};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use super::DEADLINE;
use super::wire::loopback;

const TYPE_A: u16 = 1;
const TYPE_AAAA: u16 = 28;
const NOERROR: u8 = 0;
/// RCODE of a server that could not find out.
pub(crate) const SERVFAIL: u8 = 2;
/// RCODE of a name that does not exist.
pub(crate) const NXDOMAIN: u8 = 3;
/// Response, recursion desired and available.
const FLAGS: [u8; 2] = [0x81, 0x80];
/// TC, in the first byte of the flags.
const TRUNCATED: u8 = 0x02;
/// A pointer to the name of the question (RFC 1035 §4.1.4).
const NAME_OF_QUESTION: [u8; 2] = [0xc0, 12];

/// How the server behaves for a name and those below it.
#[derive(Clone, Debug)]
pub(crate) enum Answer {
    /// Its addresses, at once.
    Is(Vec<IpAddr>),
    /// Its addresses, after a while.
    Slow(Duration, Vec<IpAddr>),
    /// Its IPv4 addresses at once, those of IPv6 after a while.
    LateV6(Duration, Vec<IpAddr>),
    /// Its addresses over TCP; truncated over UDP.
    OverTcp(Vec<IpAddr>),
    /// A chain of two other names, with the addresses of the last.
    Alias(Vec<IpAddr>),
    /// Its addresses, behind answers with `forged` that each have one thing wrong.
    Behind(IpAddr, Vec<IpAddr>),
    /// As much work as 4 KiB can be: a chain of aliases without an end, its last link first.
    Chain,
    /// An error.
    Error(u8),
    /// Nothing, ever.
    Never,
}

/// One question that was asked.
#[derive(Clone, Debug)]
struct Question {
    id: [u8; 2],
    name: String,
    kind: u16,
    /// Name, type and class as they came.
    bytes: Vec<u8>,
}

type Zone = Vec<(&'static str, Answer)>;

/// The server; it runs until the tests end.
pub(crate) struct NameServer {
    /// Its address, UDP and TCP.
    pub(crate) addr: SocketAddr,
    asked: Arc<Mutex<Vec<Question>>>,
}

impl NameServer {
    /// A server on a free port of 127.0.0.1.
    pub(crate) fn start(zone: Zone) -> Self {
        Self::at(loopback(1, 0), zone)
    }

    /// A server at `addr`.
    pub(crate) fn at(addr: SocketAddr, zone: Zone) -> Self {
        // A port free for TCP can be taken for UDP; a few tries find one free for both.
        let (tcp, udp) = (0..20)
            .find_map(|_| {
                let tcp = TcpListener::bind(addr).ok()?;
                let udp = UdpSocket::bind(tcp.local_addr().ok()?).ok()?;
                Some((tcp, udp))
            })
            .expect("a port free for TCP and UDP");
        let addr = tcp.local_addr().unwrap();
        let asked = Arc::new(Mutex::new(Vec::new()));
        let (zone, log) = (Arc::new(zone), asked.clone());
        let (tcp_zone, tcp_log) = (zone.clone(), log.clone());
        thread::spawn(move || serve_udp(&udp, &zone, &log));
        thread::spawn(move || serve_tcp(&tcp, &tcp_zone, &tcp_log));
        Self { addr, asked }
    }

    /// Its address, as a value of `--dns`.
    pub(crate) fn option(&self) -> String {
        self.addr.to_string()
    }

    /// How many questions about `name`, of either type, have come in.
    pub(crate) fn count(&self, name: &str) -> usize {
        self.asked
            .lock()
            .unwrap()
            .iter()
            .filter(|question| question.name == name)
            .count()
    }

    /// How many questions have come in.
    pub(crate) fn total(&self) -> usize {
        self.asked.lock().unwrap().len()
    }
}

fn serve_udp(udp: &UdpSocket, zone: &Zone, log: &Mutex<Vec<Question>>) {
    let mut buf = [0; 4096];
    while let Ok((len, peer)) = udp.recv_from(&mut buf) {
        let Some(question) = Question::parse(&buf[..len]) else {
            continue;
        };
        log.lock().unwrap().push(question.clone());
        let answer = behaviour(zone, &question.name).clone();
        let from = udp.try_clone().unwrap();
        let delay = match &answer {
            Answer::Slow(delay, _) => Some(*delay),
            Answer::LateV6(delay, _) if question.kind == TYPE_AAAA => Some(*delay),
            _ => None,
        };
        match delay {
            Some(delay) => drop(thread::spawn(move || {
                thread::sleep(delay);
                answer_udp(&from, peer, &question, &answer);
            })),
            None => answer_udp(&from, peer, &question, &answer),
        }
    }
}

fn answer_udp(udp: &UdpSocket, peer: SocketAddr, question: &Question, answer: &Answer) {
    if let Answer::Behind(forged, _) = answer {
        for message in forgeries(question, *forged) {
            udp.send_to(&message, peer).unwrap();
        }
        // Right in all but where it comes from.
        let stranger = UdpSocket::bind(loopback(1, 0)).unwrap();
        let message = question.answered(NOERROR, &[*forged]);
        stranger.send_to(&message, peer).unwrap();
    }
    if let Some(mut message) = respond(question, answer) {
        if matches!(answer, Answer::OverTcp(_)) {
            message = question.answered(NOERROR, &[]);
            message[2] |= TRUNCATED;
        }
        // Who asked may be gone.
        let _ = udp.send_to(&message, peer);
    }
}

fn serve_tcp(tcp: &TcpListener, zone: &Zone, log: &Mutex<Vec<Question>>) {
    for mut stream in tcp.incoming().map_while(Result::ok) {
        stream.set_read_timeout(Some(DEADLINE)).unwrap();
        // RFC 1035 §4.2.2: two bytes of length in front.
        while let Some(message) = read_framed(&mut stream) {
            let Some(question) = Question::parse(&message) else {
                break;
            };
            log.lock().unwrap().push(question.clone());
            let Some(message) = respond(&question, behaviour(zone, &question.name)) else {
                break;
            };
            let len = u16::try_from(message.len()).unwrap().to_be_bytes();
            let _ = stream.write_all(&[&len[..], &message].concat());
        }
    }
}

fn read_framed(stream: &mut TcpStream) -> Option<Vec<u8>> {
    let mut len = [0; 2];
    stream.read_exact(&mut len).ok()?;
    let mut message = vec![0; usize::from(u16::from_be_bytes(len))];
    stream.read_exact(&mut message).ok()?;
    Some(message)
}

fn behaviour<'a>(zone: &'a Zone, name: &str) -> &'a Answer {
    let covers = |entry: &str| {
        name.strip_suffix(entry)
            .is_some_and(|rest| rest.is_empty() || rest.ends_with('.'))
    };
    zone.iter()
        .find(|(entry, _)| covers(entry))
        .map_or(&Answer::Error(NXDOMAIN), |(_, is)| is)
}

fn respond(question: &Question, answer: &Answer) -> Option<Vec<u8>> {
    match answer {
        Answer::Is(list) | Answer::Slow(_, list) | Answer::LateV6(_, list) => {
            Some(question.answered(NOERROR, list))
        }
        Answer::OverTcp(list) | Answer::Behind(_, list) => Some(question.answered(NOERROR, list)),
        Answer::Alias(list) => Some(question.aliased(list)),
        Answer::Chain => Some(question.chained()),
        Answer::Error(code) => Some(question.answered(*code, &[])),
        Answer::Never => None,
    }
}

/// Answers that a resolver must not believe, each wrong in one thing.
fn forgeries(question: &Question, forged: IpAddr) -> Vec<Vec<u8>> {
    let mut no_question = question.answered(NOERROR, &[forged]);
    let right = no_question.clone();
    no_question[5] = 0;
    let mut other_id = right.clone();
    other_id[1] ^= 1;
    let mut no_response = right.clone();
    no_response[2] &= 0x7f;
    let mut other_opcode = right.clone();
    other_opcode[2] |= 0x10;
    let mut other_name = right;
    // The first letter of the name, behind header and length.
    other_name[13] = b'0';
    vec![other_id, no_response, other_opcode, other_name, no_question]
}

impl Question {
    fn parse(message: &[u8]) -> Option<Self> {
        let mut at = 12;
        let mut labels = Vec::new();
        while *message.get(at)? > 0 {
            let end = at + 1 + usize::from(message[at]);
            labels.push(String::from_utf8_lossy(message.get(at + 1..end)?).to_ascii_lowercase());
            at = end;
        }
        let kind = u16::from_be_bytes([*message.get(at + 1)?, *message.get(at + 2)?]);
        let bytes = message.get(12..at + 5)?.to_vec();
        Some(Self {
            id: [message[0], message[1]],
            name: labels.join("."),
            kind,
            bytes,
        })
    }

    fn header(&self, code: u8, answers: usize) -> Vec<u8> {
        let count = u8::try_from(answers).unwrap();
        let counts = [0, 1, 0, count, 0, 0, 0, 0];
        [
            &self.id[..],
            &[FLAGS[0], FLAGS[1] | code],
            &counts,
            &self.bytes,
        ]
        .concat()
    }

    fn answered(&self, code: u8, list: &[IpAddr]) -> Vec<u8> {
        let records = self.records(&NAME_OF_QUESTION, list);
        let mut message = self.header(code, records.len());
        message.extend(records.concat());
        message
    }

    /// `name` is an alias of `one.alias.test`, that of `two.alias.test`, which has the addresses.
    fn aliased(&self, list: &[IpAddr]) -> Vec<u8> {
        let [one, two] =
            ["one", "two"].map(|label| [&[3], label.as_bytes(), b"\x05alias\x04test\0"].concat());
        let records = self.records(&two, list);
        let mut message = self.header(NOERROR, records.len() + 2);
        message.extend(record(&NAME_OF_QUESTION, 5, &one));
        message.extend(record(&one, 5, &two));
        message.extend(records.concat());
        message
    }

    /// `name` is an alias of `1.name`, that of `2.name`, and so on.
    fn chained(&self) -> Vec<u8> {
        /// As many as there is room for in 4 KiB, with a long name in front.
        const LINKS: u8 = 190;
        let link = |number: u8| match number {
            0 => NAME_OF_QUESTION.to_vec(),
            _ => [&[1, number], &NAME_OF_QUESTION[..]].concat(),
        };
        let mut message = self.header(NOERROR, LINKS.into());
        for number in (0..LINKS).rev() {
            message.extend(record(&link(number), 5, &link(number + 1)));
        }
        message
    }

    fn records(&self, name: &[u8], list: &[IpAddr]) -> Vec<Vec<u8>> {
        list.iter()
            .filter_map(|ip| match (ip, self.kind) {
                (IpAddr::V4(ip), TYPE_A) => Some(record(name, TYPE_A, &ip.octets())),
                (IpAddr::V6(ip), TYPE_AAAA) => Some(record(name, TYPE_AAAA, &ip.octets())),
                _ => None,
            })
            .collect()
    }
}

/// One record of class IN, to be kept for a minute (RFC 1035 §4.1.3).
fn record(name: &[u8], kind: u16, data: &[u8]) -> Vec<u8> {
    let len = u16::try_from(data.len()).unwrap();
    [
        name,
        &kind.to_be_bytes(),
        &[0, 1, 0, 0, 0, 60],
        &len.to_be_bytes(),
        data,
    ]
    .concat()
}
