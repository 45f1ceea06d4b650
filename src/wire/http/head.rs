//! The head of a request: request line and fields (RFC 9112 §3, §5 and §6).
//!
//! Judged line by line as lines become complete, so that an error is found early and does not
//! depend on how the bytes were split. Only the host's name is copied: a head borrows the bytes
//! that it was read from.

use super::body::{Body, Kept};
use super::fault::Fault;
use super::fields::{Field, Fields, is_token, line, split_at_byte};
use super::framing::Framing;
use crate::wire::decimal;
use crate::wire::socks::{Address, Command, Request};

/// The longest head in bytes, its empty line included: what other proxies take, and cookies need.
pub const HEAD_MAX: usize = 32 * 1024;

/// The longest request line, its end not counted. RFC 9112 §3 recommends 8,000 at least.
const LINE_MAX: usize = 8192;

/// A request head. Not printable: its fields may hold a password.
#[derive(Clone)]
pub struct Head<'a> {
    /// The number of its bytes, with empty lines in front of it and the one at its end.
    pub len: usize,
    /// The target: a name, or an address if the host is a literal, and a port that is not 0.
    pub request: Request,
    /// What of the request follows the head. Nothing does if it is a CONNECT.
    pub body: Body,
    /// What of that is passed on.
    pub kept: Kept,
    /// `None` if it is a CONNECT, which asks for a tunnel (RFC 9110 §9.3.6). Otherwise path and
    /// query of the request that is passed on, as they were sent, except that they are `/` if
    /// they are empty, or `*` if the method is OPTIONS. May start with the `?` of the query.
    pub path: Option<&'a [u8]>,
    /// The client speaks HTTP/1.0: no interim answers, no chunks, one request for a connection.
    pub is_old: bool,
    /// The client wants its connection to end behind the answer.
    pub closes: bool,
    /// The client asks for another protocol on the same connection (RFC 9110 §7.8).
    pub upgrades: bool,
    /// It is in origin-form, and asks for the state of the proxy itself: the target is that of Host.
    pub is_status: bool,
    pub(super) method: &'a [u8],
    /// Host and port of the target as sent.
    pub(super) authority: &'a [u8],
    /// From the request line up to the empty line.
    pub(super) lines: &'a [u8],
    /// Up to the empty line.
    pub(super) fields: Fields<'a>,
}

impl<'a> Head<'a> {
    /// Parses the head at the start of `bytes`, as [`HeadReader::advance`] does; for heads that do
    /// not come in pieces.
    ///
    /// Errors: those of [`HeadReader::advance`].
    pub fn parse(bytes: &'a [u8]) -> Result<Option<Self>, Fault> {
        HeadReader::default().advance(bytes)
    }

    /// Returns `true` if the answer has no body, whatever it says of one (RFC 9110 §9.3.2).
    pub fn is_for_head(&self) -> bool {
        self.method == b"HEAD"
    }

    /// Returns `true` if the request may be sent a second time where the first has died without an
    /// answer: it changes nothing more then (RFC 9110 §9.2.2), and nothing of it has been consumed.
    pub fn may_repeat(&self) -> bool {
        const IDEMPOTENT: [&[u8]; 6] = [b"GET", b"HEAD", b"OPTIONS", b"TRACE", b"PUT", b"DELETE"];
        self.body == Body::None && IDEMPOTENT.contains(&self.method)
    }
}

/// Reads a head that comes in pieces. Each byte is looked at as it comes, and each line is judged
/// once, however small the pieces are.
#[derive(Debug, Default)]
pub struct HeadReader {
    /// The number of bytes that have been searched for a line's end.
    searched: usize,
    /// Where the first line starts that is not complete.
    line_start: usize,
    /// Where the request line starts, behind empty lines (RFC 9112 §2.2).
    start: usize,
    /// Where the fields start; 0 before the request line is complete.
    fields_start: usize,
    /// It is a CONNECT. Nothing of it is passed on, so that nobody can read it in another way: its
    /// lines may end with LF alone, and it needs no Host.
    is_tunnel: bool,
    /// The client may ask for the state of the proxy itself.
    pub takes_status: bool,
    facts: Facts,
}

impl HeadReader {
    /// Goes on with the head at the start of `bytes`, which are those of the last call with more
    /// behind them. Returns `None` while bytes are missing.
    ///
    /// Errors: [`Fault::LongLine`], or one of those with `Status::HeaderFieldsTooLarge`, if the head
    /// is over its limits, otherwise one with `Status::BadRequest`. The reader is not to be used any
    /// more.
    pub fn advance<'a>(&mut self, bytes: &'a [u8]) -> Result<Option<Head<'a>>, Fault> {
        // What is behind the limit may arrive now or later, so it is not looked at.
        let window = bytes.get(..HEAD_MAX).unwrap_or(bytes);
        // Bounded: each round takes a line.
        while let Some(line) = self.next_line(window)? {
            if self.fields_start > 0 {
                if line.is_empty() {
                    return self.head(window).map(Some);
                }
                self.facts.note(&Field::parse(line)?)?;
            } else if line.is_empty() {
                self.start = self.line_start;
            } else {
                let line = RequestLine::parse(line, self.takes_status.then_some(b"localhost"))?;
                self.is_tunnel = line.path.is_none();
                self.fields_start = self.line_start;
            }
        }
        if window.len() == HEAD_MAX {
            return Err(Fault::LongHead);
        }
        Ok(None)
    }

    /// Returns the next line that is complete, without its end.
    fn next_line<'a>(&mut self, window: &'a [u8]) -> Result<Option<&'a [u8]>, Fault> {
        let news = window.get(self.searched..).unwrap_or_default();
        let end = news.iter().position(|byte| *byte == b'\n');
        self.searched += end.map_or(news.len(), |at| at + 1);
        let seen = window.get(self.line_start..self.searched);
        let seen = seen.unwrap_or_default();
        // With its end.
        if self.fields_start == 0 && seen.len() > LINE_MAX + 2 {
            return Err(Fault::LongLine);
        }
        if end.is_none() {
            return Ok(None);
        }
        self.line_start = self.searched;
        let is_tunnel = self.is_tunnel || self.fields_start == 0 && seen.starts_with(CONNECT);
        Ok(line(seen, is_tunnel)?.map(|(line, _)| line))
    }

    /// Returns the head that has ended. Its first line is parsed a second time, because what it
    /// says borrows the bytes.
    fn head<'a>(&self, window: &'a [u8]) -> Result<Head<'a>, Fault> {
        let lines = window.get(self.start..self.line_start);
        let lines = lines.unwrap_or_default();
        let (first, rest) = line(lines, self.is_tunnel)?.ok_or(Fault::RequestLine)?;
        let host = Fields(rest).find(|field| field.is(b"Host"));
        let host = host.filter(|_| self.takes_status).map(|host| host.value);
        let request_line = RequestLine::parse(first, host)?;
        let is_old = request_line.version == b"HTTP/1.0";
        let facts = &self.facts;
        if !(is_old || facts.host || self.is_tunnel) {
            // RFC 9112 §3.2.
            return Err(Fault::NoHost);
        }
        let body = facts.framing.body(is_old, Body::None)?;
        Ok(Head {
            len: self.line_start,
            body: if self.is_tunnel { Body::None } else { body },
            kept: facts.framing.kept(),
            request: request_line.request,
            path: request_line.path,
            is_old,
            closes: is_old || facts.framing.closes,
            upgrades: facts.upgrade && facts.framing.upgrades && !is_old,
            is_status: request_line.is_status,
            method: request_line.method,
            authority: request_line.authority,
            lines,
            fields: Fields(rest),
        })
    }
}

/// How the line of a CONNECT begins.
const CONNECT: &[u8] = b"CONNECT ";

/// The first line of a head (RFC 9112 §3), with the fields of [`Head`].
struct RequestLine<'a> {
    method: &'a [u8],
    /// `HTTP/1.0` or `HTTP/1.1`.
    version: &'a [u8],
    authority: &'a [u8],
    path: Option<&'a [u8]>,
    is_status: bool,
    request: Request,
}

/// The request for the state of the proxy itself.
const STATUS: &[u8] = b"/status";

/// How its line begins, up to its version.
pub const STATUS_LINE: &[u8] = b"GET /status ";

impl<'a> RequestLine<'a> {
    /// Parses three words with one blank between them. With the host of its Host field they may
    /// be a request for the proxy's own state. An error: they are not one that is served here.
    fn parse(line: &'a [u8], host: Option<&'a [u8]>) -> Result<Self, Fault> {
        let (method, rest) = split_at_byte(line, b' ').ok_or(Fault::RequestLine)?;
        let (target, version) = split_at_byte(rest, b' ').ok_or(Fault::RequestLine)?;
        if !is_token(method) || method.first().is_some_and(u8::is_ascii_lowercase) {
            return Err(Fault::Method);
        }
        if !matches!(version, b"HTTP/1.1" | b"HTTP/1.0") {
            return Err(Fault::Version);
        }
        // A line may have tabs, a target may not; nor may it have a fragment (RFC 9112 §3.2.2).
        // Bytes above 0x7f are passed on, as other proxies do.
        if target.iter().any(|byte| matches!(byte, b'\t' | b'#')) {
            return Err(Fault::Target);
        }
        let host = host.filter(|_| (method, target) == (b"GET", STATUS));
        let (authority, path) = if method == b"CONNECT" {
            // Authority-form (RFC 9112 §3.2.3).
            (target, None)
        } else if let Some(host) = host {
            // Origin-form (RFC 9112 §3.2.1).
            (host, Some(target))
        } else {
            let absolute = split_absolute(target);
            let (authority, path) = absolute.ok_or(Fault::NotAbsolute)?;
            let path = match path {
                // RFC 9112 §3.2.4.
                b"" if method == b"OPTIONS" => b"*",
                b"" => b"/",
                path => path,
            };
            (authority, Some(path))
        };
        let parsed = parse_authority(authority);
        let (address, port) = parsed.ok_or(Fault::Authority)?;
        // A tunnel's port has to be named.
        let port = match path {
            None => port.ok_or(Fault::NoPort)?,
            Some(_) => port.unwrap_or(PORT_DEFAULT),
        };
        Ok(Self {
            method,
            version,
            authority,
            path,
            is_status: host.is_some(),
            request: Request {
                command: Command::Connect,
                address,
                port,
            },
        })
    }
}

/// The port of a request that is passed on and names none (RFC 9110 §4.2.1).
const PORT_DEFAULT: u16 = 80;

/// Splits a target in absolute-form (RFC 9112 §3.2.2) into authority and path. Returns `None` if
/// the scheme is not http, or ws (RFC 6455 §3), which begins as a request of http.
fn split_absolute(text: &[u8]) -> Option<(&[u8], &[u8])> {
    let (scheme, rest) = split_at_byte(text, b':')?;
    if !scheme.eq_ignore_ascii_case(b"http") && !scheme.eq_ignore_ascii_case(b"ws") {
        return None;
    }
    let rest = rest.strip_prefix(b"//")?;
    let end = rest.iter().position(|byte| matches!(byte, b'/' | b'?'));
    rest.split_at_checked(end.unwrap_or(rest.len()))
}

/// Parses host and port (RFC 3986 §3.2). The port is `None` if it is left out; it may not be 0.
/// A user in front is an error: with one a host can be made to look like another.
fn parse_authority(text: &[u8]) -> Option<(Address, Option<u16>)> {
    let end = match text.first() {
        Some(b'[') => text.iter().position(|byte| *byte == b']')? + 1,
        _ => {
            let colon = text.iter().position(|byte| *byte == b':');
            colon.unwrap_or(text.len())
        }
    };
    let (host, port) = text.split_at_checked(end)?;
    let address = Address::parse(host).ok()?;
    // RFC 3986 allows escapes and more punctuation, but no name of a host has them. Brackets are
    // for addresses only.
    let is_host_byte = |byte: &u8| byte.is_ascii_alphanumeric() || b"-._".contains(byte);
    if matches!(address, Address::Name(_)) && !host.iter().all(is_host_byte) {
        return None;
    }
    let port = match port {
        b"" | b":" => None,
        port => Some(port_number(port.strip_prefix(b":")?)?),
    };
    Some((address, port))
}

/// Parses a port, which is not 0.
fn port_number(digits: &[u8]) -> Option<u16> {
    let port = u16::try_from(decimal(digits)?).ok()?;
    (port != 0).then_some(port)
}

/// What the fields read so far say about the message as a whole.
#[derive(Debug, Default)]
struct Facts {
    /// There was a Host field.
    host: bool,
    /// There was an Upgrade field.
    upgrade: bool,
    framing: Framing,
}

impl Facts {
    /// Judges one more field.
    fn note(&mut self, field: &Field<'_>) -> Result<(), Fault> {
        if field.is(b"Host") {
            // RFC 9112 §3.2: it is empty if the target has no authority.
            let is_host = field.value.is_empty() || parse_authority(field.value).is_some();
            if self.host || !is_host {
                return Err(Fault::Hosts);
            }
            self.host = true;
        }
        self.upgrade |= field.is(b"Upgrade");
        self.framing.note(field)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::http::{FIELDS_MAX, Status};
    use proptest::prelude::*;

    /// What curl sends to a proxy, first for https, then for http.
    const CONNECT: &str = "CONNECT example.com:443 HTTP/1.1\r\nHost: example.com:443\r\n\
                           User-Agent: curl/8.5.0\r\nProxy-Connection: Keep-Alive\r\n\r\n";
    const GET: &str = "GET http://example.com/a?b=c HTTP/1.1\r\nHost: example.com\r\n\
                       User-Agent: curl/8.5.0\r\nAccept: */*\r\n\
                       Proxy-Connection: Keep-Alive\r\n\r\n";

    /// What a request wants.
    #[derive(Clone, Debug, PartialEq, Eq)]
    enum Target<'a> {
        Tunnel {
            address: Address,
            port: u16,
        },
        Forward {
            address: Address,
            port: u16,
            path: &'a [u8],
        },
    }

    /// A head has no `Debug`: where to, how far, how long the head is.
    type Seen<'a> = Result<Option<(Target<'a>, Body, usize)>, Fault>;

    fn parse(bytes: &[u8]) -> Seen<'_> {
        Ok(Head::parse(bytes)?.map(seen))
    }

    fn seen(head: Head<'_>) -> (Target<'_>, Body, usize) {
        let Request { address, port, .. } = head.request;
        let target = match head.path {
            None => Target::Tunnel { address, port },
            Some(path) => Target::Forward {
                address,
                port,
                path,
            },
        };
        (target, head.body, head.len)
    }

    fn status(text: &str) -> Status {
        parse(text.as_bytes()).expect_err(text).status()
    }

    fn name(text: &str) -> Address {
        Address::parse(text.as_bytes()).unwrap()
    }

    /// A request for `target` that is right besides.
    fn to(method: &str, target: &str) -> String {
        format!("{method} {target} HTTP/1.1\r\nHost: other\r\n\r\n")
    }

    /// A POST with these fields that is right besides.
    fn post(fields: &str) -> String {
        format!("POST http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n")
    }

    fn body(fields: &str) -> Result<Body, Status> {
        let text = post(fields);
        let parsed = parse(text.as_bytes()).map_err(Fault::status);
        parsed.map(|parsed| parsed.expect("whole").1)
    }

    /// The same verdict, or none yet, at every prefix.
    fn is_the_same_for_every_split(bytes: &[u8]) -> bool {
        let whole = parse(bytes);
        let prefixes = (0..bytes.len()).all(|len| {
            let early = parse(&bytes[..len]);
            early == Ok(None) || early == whole
        });
        // The same byte by byte: the first verdict is that of the whole.
        let mut reader = HeadReader::default();
        let mut verdicts = (0..=bytes.len()).map(|len| reader.advance(&bytes[..len]));
        let first = verdicts.find(|verdict| !matches!(verdict, Ok(None)));
        let bytewise = first.unwrap_or(Ok(None)).map(|head| head.map(seen));
        prefixes && bytewise == whole
    }

    #[test]
    fn what_was_read_is_not_looked_at_again() {
        let fields: String = (0..99).map(|n| format!("X-{n}: value\r\n")).collect();
        let text = format!("GET http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let bytes = text.as_bytes();
        let mut reader = HeadReader::default();
        let mut line_start = 0;
        for end in 1..bytes.len() {
            // All but the news are line ends; where the news end a line, all that is in front of
            // that line.
            let mut seen = bytes[..end].to_vec();
            let is_end = bytes[end - 1] == b'\n';
            let known = if is_end { line_start } else { end - 1 };
            seen[..known].fill(b'\n');
            assert!(
                reader.advance(&seen).is_ok_and(|head| head.is_none()),
                "{end}"
            );
            if is_end {
                line_start = end;
            }
        }
        let head = reader.advance(bytes).ok().flatten();
        assert_eq!(head.expect("it is whole").len, bytes.len());
    }

    #[test]
    fn h1_a_captured_connect_parses_and_leaves_the_payload() {
        let address = name("example.com");
        let target = Target::Tunnel { address, port: 443 };
        let text = format!("{CONNECT}payload");
        let parsed = parse(text.as_bytes()).unwrap();
        assert_eq!(parsed, Some((target, Body::None, CONNECT.len())));
    }

    #[test]
    fn h1_a_tunnel_needs_a_host_and_a_port() {
        for (text, host, port) in [
            ("a.b:1", "a.b", 1),
            ("a_b-c.:65535", "a_b-c.", 65535),
            ("1.2.3.4:80", "1.2.3.4", 80),
            ("127.1:80", "127.1", 80),
            ("[::1]:80", "::1", 80),
            ("[::ffff:1.2.3.4]:00080", "1.2.3.4", 80),
        ] {
            let address = name(host);
            let text = to("CONNECT", text);
            let parsed = parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!(parsed.0, Target::Tunnel { address, port });
        }
        for text in [
            "a",
            "a:",
            "a:0",
            "a:65536",
            "a:+1",
            "a:-1",
            "a:1a",
            "a:1:1",
            ":1",
            "::1:1",
            "[::1]",
            "[::1]1",
            "[::1:1",
            "[]:1",
            "[1.2.3.4]:1",
            "[a]:1",
            "[::1%25eth0]:1",
            "u@a:1",
            "u:p@a:1",
            "a/:1",
            "a:1/",
            "a%41:1",
            "a\\b:1",
            "a\tb:1",
            "\u{e4}:1",
            "a;b:1",
            "http://a:1",
            "*",
            "/",
            "",
            "a:1 ",
            " a:1",
            "a:99999999999999999999",
        ] {
            assert_eq!(status(&to("CONNECT", text)), Status::BadRequest, "{text:?}");
        }
    }

    #[test]
    fn h1_the_length_of_a_tunnels_request_counts_for_nothing() {
        for field in ["Content-Length: 5", "Transfer-Encoding: chunked"] {
            let text = CONNECT.replace("User-Agent: curl/8.5.0", field);
            assert_eq!(parse(text.as_bytes()).unwrap().unwrap().1, Body::None);
        }
    }

    #[test]
    fn h1_http_1_0_needs_no_host() {
        let text = b"CONNECT a:1 HTTP/1.0\r\n\r\n";
        assert_eq!(parse(text).unwrap().unwrap().2, text.len());
    }

    #[test]
    fn h2_a_captured_get_parses() {
        let target = Target::Forward {
            address: name("example.com"),
            port: 80,
            path: b"/a?b=c",
        };
        let parsed = parse(GET.as_bytes()).unwrap();
        assert_eq!(parsed, Some((target, Body::None, GET.len())));
    }

    #[test]
    fn h2_the_absolute_form_names_host_port_and_path() {
        for (method, text, host, port, path) in [
            ("GET", "http://a", "a", 80, "/"),
            ("GET", "HtTp://a:/", "a", 80, "/"),
            ("GET", "http://a:8080/b", "a", 8080, "/b"),
            ("GET", "http://a?b/c", "a", 80, "?b/c"),
            ("GET", "http://[::1]:81/@:", "::1", 81, "/@:"),
            ("GET", "http://1.2.3.4//b", "1.2.3.4", 80, "//b"),
            ("GET", "http://a/\u{e4}", "a", 80, "/\u{e4}"),
            ("OPTIONS", "http://a", "a", 80, "*"),
            ("OPTIONS", "http://a/", "a", 80, "/"),
            ("OPTIONS", "http://a?b", "a", 80, "?b"),
            ("M-SEARCH", "http://a/", "a", 80, "/"),
        ] {
            let (address, path) = (name(host), path.as_bytes());
            let expected = Target::Forward {
                address,
                port,
                path,
            };
            let text = to(method, text);
            assert_eq!(parse(text.as_bytes()).unwrap().unwrap().0, expected);
        }
    }

    #[test]
    fn h2_the_body_is_told_by_length_or_coding() {
        for (fields, expected) in [
            ("", Body::None),
            ("Content-Length: 0\r\n", Body::Length(0)),
            ("content-length:\t0042 \r\n", Body::Length(42)),
            (
                "Content-Length: 18446744073709551615\r\n",
                Body::Length(u64::MAX),
            ),
            ("Transfer-Encoding: chunked\r\n", Body::Chunked),
            ("TRANSFER-ENCODING:Chunked\t\r\n", Body::Chunked),
        ] {
            assert_eq!(body(fields), Ok(expected), "{fields:?}");
        }
    }

    #[test]
    fn h4_what_is_not_served_is_a_bad_request() {
        for (method, text) in [
            ("GET", "/"),
            ("GET", "*"),
            ("OPTIONS", "*"),
            ("GET", "a:80"),
            ("GET", "https://a/"),
            ("GET", "ftp://a/"),
            ("GET", "http:/a/"),
            ("GET", "http:a"),
            ("GET", "http://"),
            ("GET", "http:///b"),
            ("GET", "http://?b"),
            ("GET", "http://u@a/"),
            ("GET", "http://u:p@a/"),
            ("GET", "http://a@b@c/"),
            ("GET", "http://a\\@b/"),
            ("GET", "http://a:b/"),
            ("GET", "http://a:0/"),
            ("GET", "http://a:80:80/"),
            ("GET", "http://::1/"),
            ("GET", "http://[::1/"),
            ("GET", "http://[1.2.3.4]/"),
            ("GET", "http://a/#b"),
            ("GET", "http://a#b/"),
            ("GET", "http://a/b\tc"),
            ("Connect", "a:80"),
            ("CONNECT", "http://a/"),
        ] {
            let text = to(method, text);
            assert_eq!(status(&text), Status::BadRequest, "{text:?}");
        }
    }

    /// Each of these has made two servers disagree about where a request ends.
    #[test]
    fn h4_smuggled_framing_is_a_bad_request() {
        for fields in [
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 5,6\r\n",
            "Content-Length:\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5 5\r\n",
            "Content-Length: 5.0\r\n",
            "Content-Length: \"5\"\r\n",
            "Content-Length: 18446744073709551616\r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Content-Length : 5\r\n",
            "Content-Length\t: 5\r\n",
            "Content-Length: 5\r\n 0\r\n",
            "Content-Length: 5\n",
            "Content-Length: 5\r\r\n",
            "Content-Length: 5\0\r\n",
            "Transfer-Encoding: chunked, identity\r\n",
            "Transfer-Encoding: identity\r\n",
            "Transfer-Encoding: identity, chunked\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked, chunked\r\n",
            "Transfer-Encoding: chunked,\r\n",
            "Transfer-Encoding: ,chunked\r\n",
            "Transfer-Encoding: chunked;a=b\r\n",
            "Transfer-Encoding: \"chunked\"\r\n",
            "Transfer-Encoding: xchunked\r\n",
            "Transfer-Encoding: chunk\r\n",
            "Transfer-Encoding:\r\n",
            "Transfer-Encoding: \x0bchunked\r\n",
            "Transfer-Encoding: chunked\0\r\n",
            "Transfer-Encoding: \u{a0}chunked\r\n",
            "Transfer-Encoding : chunked\r\n",
            "Transfer-Encoding:\r\n chunked\r\n",
            " Transfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: identity\r\n",
            "X: y\rTransfer-Encoding: chunked\r\n",
            "X: y\nTransfer-Encoding: chunked\r\n",
            "Connection: content-length\r\nContent-Length: 5\r\n",
            "Connection: close, Transfer-Encoding\r\n",
            "Connection: a,\tHOST\r\n",
        ] {
            assert_eq!(body(fields), Err(Status::BadRequest), "{fields:?}");
        }
        let old = "POST http://a/ HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n";
        assert_eq!(status(old), Status::BadRequest);
    }

    #[test]
    fn h4_a_host_comes_once_and_is_one() {
        let with = |fields: &str| format!("GET http://a/ HTTP/1.1\r\n{fields}\r\n");
        for fields in ["Host: a\r\n", "host:\r\n", "Host: [::1]:80 \r\n"] {
            assert!(parse(with(fields).as_bytes()).is_ok(), "{fields:?}");
        }
        for fields in [
            "",
            "Host: a\r\nHost: a\r\n",
            "Host: a\r\nhOST:\r\n",
            "Host: a, b\r\n",
            "Host: a b\r\n",
            "Host: u@a\r\n",
            "Host: a/b\r\n",
            "Host: http://a\r\n",
            "X-Host: a\r\n",
        ] {
            assert_eq!(status(&with(fields)), Status::BadRequest, "{fields:?}");
        }
        let old = "GET http://a/ HTTP/1.0\r\nHost: a\r\nHost: a\r\n\r\n";
        assert_eq!(status(old), Status::BadRequest);
    }

    #[test]
    fn h5_a_head_over_32_kib_is_too_large() {
        let of_len = |len: usize| {
            let empty = post("X: \r\n").len();
            post(&format!("X: {}\r\n", "x".repeat(len - empty)))
        };
        let whole = of_len(HEAD_MAX);
        assert_eq!(parse(whole.as_bytes()).unwrap().unwrap().2, HEAD_MAX);
        let long = of_len(HEAD_MAX + 1);
        assert_eq!(status(&long), Status::HeaderFieldsTooLarge);
        assert_eq!(status(&long[..HEAD_MAX]), Status::HeaderFieldsTooLarge);
        assert_eq!(parse(&long.as_bytes()[..HEAD_MAX - 1]), Ok(None));
        let mut reader = HeadReader::default();
        let verdicts = (0..=long.len()).map(|len| reader.advance(&long.as_bytes()[..len]));
        let first = verdicts
            .enumerate()
            .find_map(|(len, verdict)| Some((len, verdict.err()?)));
        assert_eq!(first.unwrap().0, HEAD_MAX);
    }

    #[test]
    fn h5_a_line_over_8_kib_is_a_long_uri() {
        let of_len = |len: usize| {
            format!(
                "GET http://a/{} HTTP/1.1\r\nHost: a\r\n\r\n",
                "x".repeat(len - 22)
            )
        };
        assert!(parse(of_len(8192).as_bytes()).is_ok_and(|head| head.is_some()));
        let long = of_len(8193);
        assert_eq!(status(&long), Status::UriTooLong);
        assert_eq!(parse(&long.as_bytes()[..8194]), Ok(None));
        assert_eq!(status(&long[..8195]), Status::UriTooLong);
        assert_eq!(status(&"G".repeat(8195)), Status::UriTooLong);
    }

    #[test]
    fn h6_empty_lines_in_front_of_a_request_are_skipped() {
        let text = format!("\r\n\r\n{GET}");
        let expected = parse(GET.as_bytes()).unwrap().unwrap();
        let (target, body, len) = parse(text.as_bytes()).unwrap().unwrap();
        assert_eq!(
            (target, body, len),
            (expected.0, expected.1, expected.2 + 4)
        );
        assert!(is_the_same_for_every_split(text.as_bytes()));
        assert_eq!(status("\nGET http://a/ HTTP/1.1\r\n"), Status::BadRequest);
    }

    #[test]
    fn h1_a_tunnel_may_be_asked_for_with_bare_line_feeds_and_without_a_host() {
        for text in [
            "CONNECT a:1 HTTP/1.0\n\n",
            "CONNECT a:1 HTTP/1.0\nProxy-Authorization: Basic YTpi\r\n\r\n",
            "CONNECT a:1 HTTP/1.1\r\n\n",
            "CONNECT a:1 HTTP/1.1\r\n\r\n",
        ] {
            let parsed = parse(text.as_bytes()).unwrap().unwrap();
            assert_eq!((parsed.1, parsed.2), (Body::None, text.len()), "{text:?}");
            assert!(is_the_same_for_every_split(text.as_bytes()));
        }
        for text in [
            "CONNECT a:1 HTTP/1.1\r\nA: b\rc\n\n",
            "CONNECT a:1 HTTP/1.1\n b: c\n\n",
        ] {
            assert_eq!(status(text), Status::BadRequest, "{text:?}");
        }
    }

    #[test]
    fn what_follows_from_the_head_of_a_request() {
        let facts = |text: &str| {
            let text = format!("{text}Host: a\r\n\r\n");
            let head = Head::parse(text.as_bytes()).ok().unwrap().unwrap();
            [
                head.is_old,
                head.closes,
                head.upgrades,
                head.may_repeat(),
                head.is_for_head(),
            ]
        };
        let (yes, no) = (true, false);
        assert_eq!(facts("GET http://a/ HTTP/1.1\r\n"), [no, no, no, yes, no]);
        assert_eq!(
            facts("HEAD http://a/ HTTP/1.0\r\n"),
            [yes, yes, no, yes, yes]
        );
        let post = "POST http://a/ HTTP/1.1\r\nConnection: CLOSE\r\n";
        assert_eq!(facts(post), [no, yes, no, no, no]);
        let put = "PUT http://a/ HTTP/1.1\r\nContent-Length: 1\r\n";
        assert_eq!(facts(put), [no, no, no, no, no]);
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let get = |version: &str| facts(&format!("GET http://a/ HTTP/{version}\r\n{upgrade}"));
        assert_eq!(get("1.1"), [no, no, yes, yes, no]);
        assert_eq!(get("1.0"), [yes, yes, no, yes, no]);
    }

    #[test]
    fn every_fault_names_its_cause() {
        for (text, cause) in [
            ("get http://a/ HTTP/1.1\r\n", "capitals"),
            ("GET /a HTTP/1.1\r\n", "absolute form"),
            ("GET https://a/ HTTP/1.1\r\n", "absolute form"),
            ("GET http://a/ HTTP/2.0\r\n", "HTTP/1.1"),
            ("CONNECT a HTTP/1.1\r\n", "port"),
            ("GET http://u@a/ HTTP/1.1\r\n", "host"),
            ("GET http://a/ HTTP/1.1\n", "LF"),
            ("GET http://a/ HTTP/1.1\r\n\r\n", "Host"),
            ("GET http://a/ HTTP/1.1\r\nA: b\r\n c\r\n", "folded"),
            ("GET http://a/ HTTP/1.1\r\nA : b\r\n", "blank"),
            ("GET http://a/ HTTP/1.1\r\nHost: a\r\nHost: a\r\n", "Hosts"),
            (
                "GET http://a/ HTTP/1.1\r\nContent-Length: 1\r\nContent-Length: 1\r\n",
                "lengths",
            ),
            (
                "GET http://a/ HTTP/1.1\r\nTransfer-Encoding: gzip\r\n",
                "coding",
            ),
        ] {
            let fault = parse(text.as_bytes()).expect_err(text);
            assert!(fault.cause().contains(cause), "{text:?}: {}", fault.cause());
        }
    }

    #[test]
    fn h5_over_100_fields_are_too_many() {
        // One of them is the Host.
        assert!(body(&"A: b\r\n".repeat(FIELDS_MAX - 1)).is_ok());
        let many = post(&"A: b\r\n".repeat(FIELDS_MAX));
        assert_eq!(status(&many), Status::HeaderFieldsTooLarge);
        assert!(is_the_same_for_every_split(many.as_bytes()));
    }

    #[test]
    fn h5_over_100_connection_options_are_too_many() {
        let options = |count: usize| format!("Connection: a{}\r\n", ",".repeat(count - 1));
        assert!(body(&options(100)).is_ok());
        assert_eq!(body(&options(101)), Err(Status::HeaderFieldsTooLarge));
        let twice = options(60) + &options(60);
        assert_eq!(body(&twice), Err(Status::HeaderFieldsTooLarge));
    }

    #[test]
    fn h6_a_malformed_line_is_a_bad_request() {
        for text in [
            "GET\r\n",
            "GET http://a/\r\n",
            "GET  http://a/ HTTP/1.1\r\n",
            "GET http://a/  HTTP/1.1\r\n",
            "GET http://a/ HTTP/1.1 \r\n",
            "GET\thttp://a/ HTTP/1.1\r\n",
            "GET http://a/ b HTTP/1.1\r\n",
            "GET http://a/ HTTP/1.1\n",
            "GET http://a/ HTTP/1.1\r\r\n",
            "GET http://a/\r HTTP/1.1\r\n",
            "GET http://a/\0 HTTP/1.1\r\n",
            "GET http://a/\x7f HTTP/1.1\r\n",
            "GET http://a/ HTTP/1.2\r\n",
            "GET http://a/ HTTP/2.0\r\n",
            "GET http://a/ HTTP/0.9\r\n",
            "GET http://a/ http/1.1\r\n",
            "GET http://a/ HTTP/1.10\r\n",
            "GET http://a/ HTTP/01.1\r\n",
            "G@T http://a/ HTTP/1.1\r\n",
            "PRI * HTTP/2.0\r\n",
            "get http://a/ HTTP/1.1\r\n",
            "gET http://a/ HTTP/1.1\r\n",
            "SSH-2.0-OpenSSH_9.6\r\n",
        ] {
            assert_eq!(status(text), Status::BadRequest, "{text:?}");
        }
        for field in [
            "\n",
            "A\r\n",
            "A b\r\n",
            ": b\r\n",
            "A : b\r\n",
            "A\t: b\r\n",
            " A: b\r\n",
            "\tA: b\r\n",
            "A: b\r\n c\r\n",
            "A(: b\r\n",
            "\u{e4}: b\r\n",
            "A: b\n",
            "A: b\rc\r\n",
            "A: b\0c\r\n",
            "A: b\x08c\r\n",
            "A: b\x7f\r\n",
            "A: b\r\r\n",
        ] {
            let text = post(field);
            assert_eq!(status(&text), Status::BadRequest, "{field:?}");
            // At once, not with the end of the head.
            assert_eq!(status(&text[..text.len() - 2]), Status::BadRequest);
        }
    }

    #[test]
    fn every_prefix_asks_for_more() {
        for message in [CONNECT, GET] {
            for len in 0..message.len() {
                assert_eq!(parse(&message.as_bytes()[..len]), Ok(None));
            }
        }
    }

    #[test]
    fn http_starts_with_a_letter_or_an_empty_line() {
        use crate::wire::http::starts;
        assert!(b"CAZaz\r\n".iter().all(|byte| starts(*byte)));
        assert!(
            (0..=5)
                .chain([0x16, b'@', b'[', b'`', b'{', b' '])
                .all(|byte| !starts(byte))
        );
    }

    /// Host and port of a request for the proxy's own state, where that is taken, read in pieces.
    fn asked(text: &str, takes_status: bool, piece: usize) -> Result<Option<String>, Fault> {
        let mut reader = HeadReader {
            takes_status,
            ..HeadReader::default()
        };
        for end in (1..text.len()).step_by(piece).chain([text.len()]) {
            if let Some(head) = reader.advance(&text.as_bytes()[..end])? {
                assert_eq!(head.len, end, "{text}");
                assert!(head.is_status, "{text}");
                let Request { address, port, .. } = head.request;
                return Ok(Some(format!("{address:?} {port}")));
            }
        }
        Ok(None)
    }

    #[test]
    fn the_state_of_the_proxy_is_asked_for_in_origin_form() {
        for piece in [1, 7, 1000] {
            for (host, seen) in [
                ("localhost", "Name(localhost) 80"),
                ("127.0.0.1:1080", "Ip(127.0.0.1) 1080"),
                ("[::1]:1080", "Ip(::1) 1080"),
                ("[::ffff:10.0.0.1]", "Ip(10.0.0.1) 80"),
            ] {
                for version in ["1.0", "1.1"] {
                    let text =
                        format!("GET /status HTTP/{version}\r\nA: b\r\nhost: {host}\r\n\r\n");
                    let found = asked(&text, true, piece);
                    assert_eq!(found, Ok(Some(seen.into())), "{text}");
                    // Only where it is taken.
                    assert!(asked(&text, false, piece).is_err(), "{text}");
                }
            }
            for text in [
                "GET /status HTTP/1.1\r\n\r\n",
                "GET /status HTTP/1.0\r\n\r\n",
                "GET /status HTTP/1.1\r\nHost: a\r\nHost: a\r\n\r\n",
                "GET /status HTTP/1.1\r\nHost: \r\n\r\n",
                "GET /status HTTP/1.1\r\nHost: a@b\r\n\r\n",
                "GET /status HTTP/1.1\r\nHost : localhost\r\n\r\n",
                "GET /status HTTP/2.0\r\nHost: localhost\r\n\r\n",
                "GET /status\r\nHost: localhost\r\n\r\n",
                "GET /status  HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET /status? HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET /status/ HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET //status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET /Status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET / HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "HEAD /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "POST /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "CONNECT /status HTTP/1.1\r\nHost: localhost\r\n\r\n",
                "GET /status HTTP/1.1\nHost: localhost\n\n",
            ] {
                assert!(asked(text, true, piece).is_err(), "{text}");
            }
        }
    }

    #[test]
    fn what_else_is_asked_for_is_read_the_same_where_the_state_may_be() {
        for text in [CONNECT, GET] {
            let takes_status = true;
            let mut reader = HeadReader {
                takes_status,
                ..HeadReader::default()
            };
            let head = reader.advance(text.as_bytes()).unwrap().unwrap();
            assert!(!head.is_status);
            let seen = Ok(Some(seen(head)));
            assert_eq!(seen, parse(text.as_bytes()));
        }
    }

    proptest! {
        /// A right head with a few bytes changed, taken out or put in.
        #[test]
        fn no_verdict_depends_on_the_split(
            which in 0usize..3,
            edits in proptest::collection::vec(
                (any::<prop::sample::Index>(), 0u8..3, 0usize..14), 0..4
            ),
        ) {
            const BYTES: &[u8; 14] = b"\r\n \t:;,\0/ax1[\xff";
            let chunked = post("Transfer-Encoding: chunked\r\nConnection: x\r\n");
            let mut bytes = [CONNECT, GET, &chunked][which].as_bytes().to_vec();
            for (at, kind, byte) in edits {
                let at = at.index(bytes.len());
                match kind {
                    0 => bytes[at] = BYTES[byte],
                    1 => bytes.insert(at, BYTES[byte]),
                    _ => { bytes.remove(at); }
                }
            }
            prop_assert!(is_the_same_for_every_split(&bytes));
        }

        #[test]
        fn no_input_panics(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
            if let Ok(Some((.., len))) = parse(&bytes) { prop_assert!(len <= bytes.len()); }
        }
    }
}
