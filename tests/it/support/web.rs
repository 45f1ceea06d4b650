//! HTTP by hand: a server that shows every byte it gets, and the proxy's own answers.

use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;

use super::Proxy;
use super::targets::Target;
use super::wire::{Client, Way};

/// A short answer of a server, complete with its end.
pub(crate) const ANSWER: &[u8] =
    b"HTTP/1.1 200 OK\r\nServer: test\r\nContent-Length: 6\r\nConnection: close\r\n\r\nhello\n";

/// An answer of the proxy itself.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The code of its status line.
    pub(crate) status: u16,
    /// Status line and fields, without the empty line.
    pub(crate) head: String,
    /// What follows.
    pub(crate) body: String,
}

impl Answer {
    /// The value of the only field of that name.
    pub(crate) fn field(&self, name: &str) -> Option<&str> {
        let mut found = self.head.lines().skip(1).filter_map(|line| {
            let (field, value) = line.split_once(": ")?;
            field.eq_ignore_ascii_case(name).then_some(value)
        });
        let value = found.next();
        assert!(found.next().is_none(), "{name} twice: {}", self.head);
        value
    }
}

impl From<TcpStream> for Client {
    /// The server's end of a connection is one like any other.
    fn from(stream: TcpStream) -> Self {
        let addr = stream.local_addr().unwrap();
        Self { stream, addr }
    }
}

impl Client {
    /// An answer that refuses: whole, one line that says why, then an orderly end.
    #[track_caller]
    pub(crate) fn refusal_http(&self) -> Answer {
        let text = String::from_utf8(self.rest()).unwrap();
        let Some((head, body)) = text.split_once("\r\n\r\n") else {
            panic!("no whole head: {text:?}");
        };
        let status = head.strip_prefix("HTTP/1.1 ").unwrap();
        let answer = Answer {
            status: status[..3].parse().unwrap(),
            head: head.to_owned(),
            body: body.to_owned(),
        };
        assert!(answer.status >= 400, "not refused: {text}");
        assert_eq!(answer.field("Connection"), Some("close"), "{text}");
        let len = answer.field("Content-Length").unwrap();
        assert_eq!(len.parse(), Ok(body.len()), "{text}");
        let line = body.strip_suffix('\n').expect("a line");
        assert!(!line.is_empty() && !line.contains('\n'), "{text}");
        answer
    }

    /// The head of an answer, with its empty line.
    #[track_caller]
    pub(crate) fn head(&mut self) -> String {
        let mut bytes = Vec::new();
        while !bytes.ends_with(b"\r\n\r\n") {
            bytes.extend(self.hear(1));
        }
        String::from_utf8(bytes).unwrap()
    }

    /// Sends `request`, a CONNECT with payload behind it where there is any, and expects its
    /// tunnel.
    #[track_caller]
    pub(crate) fn ask_http(&mut self, way: Way, request: &[u8]) {
        self.say(way, request);
        let head = self.head();
        assert!(head.starts_with("HTTP/1.1 200 "), "{head}");
        // RFC 9110 §9.3.6: what follows is the tunnel, whatever these would say.
        let lower = head.to_ascii_lowercase();
        let framed = lower.contains("content-length") || lower.contains("transfer-encoding");
        assert!(!framed, "{head}");
    }
}

impl Proxy {
    /// How a new client's request is refused.
    #[track_caller]
    pub(crate) fn refuses_http(&self, way: Way, request: impl AsRef<[u8]>) -> Answer {
        let mut client = self.client();
        client.say(way, request.as_ref());
        client.refusal_http()
    }

    /// Sends `request` as a new client; the server has to get exactly `expected`, and nothing
    /// more before or after it has answered, and the client the whole answer and its end.
    #[track_caller]
    pub(crate) fn forwards(
        &self,
        target: &Target,
        way: Way,
        request: impl AsRef<[u8]>,
        expected: impl AsRef<[u8]>,
    ) {
        self.client()
            .is_forwarded(target, way, request.as_ref(), expected.as_ref(), ANSWER);
    }
}

impl Client {
    /// The same for this client and that answer.
    #[track_caller]
    pub(crate) fn is_forwarded(
        &mut self,
        target: &Target,
        way: Way,
        request: &[u8],
        expected: &[u8],
        answer: &[u8],
    ) {
        let (got, excess) = thread::scope(|scope| {
            let server = scope.spawn(|| take(target, expected.len(), answer));
            self.say(way, request);
            let heard = self.rest();
            assert!(heard == answer, "{:?}", String::from_utf8_lossy(&heard));
            server.join().unwrap()
        });
        assert_eq!(
            String::from_utf8_lossy(&got),
            String::from_utf8_lossy(expected)
        );
        assert_eq!(String::from_utf8_lossy(&excess), "");
    }
}

/// The next request to `target`, of `len` bytes, and what came behind it.
fn take(target: &Target, len: usize, answer: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut stream = target.accept();
    let mut got = Vec::new();
    (&stream).take(len as u64).read_to_end(&mut got).unwrap();
    stream.write_all(answer).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    let mut excess = Vec::new();
    stream.read_to_end(&mut excess).unwrap();
    (got, excess)
}

/// The value of a field that says who one is (RFC 7617 §2).
pub(crate) fn basic(user: &str, password: &str) -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut text = String::from("Basic ");
    for group in format!("{user}:{password}").as_bytes().chunks(3) {
        let octets = [0, 1, 2].map(|at| u32::from(group.get(at).copied().unwrap_or(0)));
        let bits = octets[0] << 16 | octets[1] << 8 | octets[2];
        for at in 0..4 {
            let letter = LETTERS[(bits >> (18 - 6 * at) & 63) as usize];
            text.push(if at > group.len() { '=' } else { letter.into() });
        }
    }
    text
}

/// A request for a tunnel, as curl sends it.
pub(crate) fn connect(host: &str) -> String {
    format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\nUser-Agent: test\r\n\r\n")
}

/// A request with these fields and this body, the last one on its connection, and what the server
/// is to get: all of it but `hidden`, which are fields too.
pub(crate) fn post(addr: SocketAddr, fields: &str, hidden: &str, body: &str) -> [String; 2] {
    [
        format!(
            "POST http://{addr}/form HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\
             {fields}{hidden}\r\n{body}"
        ),
        format!("POST /form HTTP/1.1\r\nHost: {addr}\r\n{fields}Connection: close\r\n\r\n{body}"),
    ]
}

/// A GET, and what the server is to get of it where the connections go on.
pub(crate) fn get(addr: SocketAddr, path: &str) -> [String; 2] {
    [
        format!("GET http://{addr}{path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
        format!("GET {path} HTTP/1.1\r\nHost: {addr}\r\n\r\n"),
    ]
}

/// An answer with that body, on a connection that goes on.
pub(crate) fn answer(body: &str) -> String {
    format!(
        "HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}",
        body.len()
    )
}

/// The same destination asked for in both ways, with these fields.
pub(crate) fn requests(host: &str, fields: &str) -> [String; 2] {
    [
        format!("CONNECT {host} HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"),
        format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{fields}\r\n"),
    ]
}
