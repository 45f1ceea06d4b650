//! The head that goes to the server (RFC 9110 §7.6 and RFC 9112 §3.2).
//!
//! Everything is passed on except what concerns the client's connection alone. Nothing about the
//! client is added: no Via, no X-Forwarded-For, no Forwarded. Those that it sent itself stay.

use super::fields::{Field, Fields, members};
use super::framing::TRANSFER_ENCODING;
use super::head::Head;
use crate::wire::decimal;

/// Fields that are not passed on: Host, which is written anew, and those of one connection (RFC
/// 9110 §7.6.1), with Expect for a client that cannot mean it. Transfer-Encoding and Trailer are
/// not among them, because the body is passed on in the form it came in.
const REMOVED: [&[u8]; 3] = [b"Host", b"TE", MAX_FORWARDS];
const REMOVED_OF_OLD: [&[u8]; 4] = [b"Host", b"TE", MAX_FORWARDS, b"Expect"];

/// What TRACE does not show: who one is (RFC 9110 §9.3.8).
const SECRETS: [&[u8]; 2] = [b"Authorization", b"Cookie"];

const MAX_FORWARDS: &[u8] = b"Max-Forwards";

impl Head<'_> {
    /// Returns the head in origin-form, with the Host of the target and our own version, and with
    /// `Connection: close` where the client's connection ends behind the answer; `None` if the
    /// request is a CONNECT. It is 121 bytes longer than the client's at most: `/` and the blank
    /// behind `Host:` 2, `Connection: close` with its line end 19, the blank behind each of 100
    /// colons.
    pub fn forwarded(&self) -> Option<Vec<u8>> {
        let path = self.path?;
        let blank: &[u8] = if path.first() == Some(&b'?') {
            b" /"
        } else {
            b" "
        };
        let mut head = [self.method, blank, path, b" HTTP/1.1\r\n"].concat();
        write(b"Host", self.authority, &mut head);
        let hops = self.max_forwards();
        let removed: &[&[u8]] = if self.is_old {
            &REMOVED_OF_OLD
        } else {
            &REMOVED
        };
        // Only TRACE and OPTIONS count their hops.
        for field in self.fields {
            if field.is(MAX_FORWARDS) {
                match hops {
                    Some(hops) => write_number(MAX_FORWARDS, hops.saturating_sub(1), &mut head),
                    None => write(field.name(), field.value, &mut head),
                }
            }
        }
        pass_on(self.fields, removed, &mut head);
        if self.upgrades {
            pass_upgrade(self.fields, &mut head);
        } else if self.closes {
            head.extend(b"Connection: close\r\n");
        }
        head.extend(b"\r\n");
        Some(head)
    }

    /// The answer to a request that goes no further than here: TRACE or OPTIONS with no hop left
    /// (RFC 9110 §7.6.2). The connection ends behind it.
    pub fn answered_here(&self) -> Option<Vec<u8>> {
        if self.max_forwards() != Some(0) {
            return None;
        }
        let mut seen = Vec::new();
        let mut answer = b"HTTP/1.1 200 OK\r\nConnection: close\r\n".to_vec();
        if self.method == b"TRACE" {
            let line = self.lines.split_inclusive(|byte| *byte == b'\n').next();
            seen.extend(line.unwrap_or_default());
            pass_on(self.fields, &SECRETS, &mut seen);
            seen.extend(b"\r\n");
            write(b"Content-Type", b"message/http", &mut answer);
        }
        write_number(b"Content-Length", seen.len() as u64, &mut answer);
        answer.extend(b"\r\n");
        answer.extend(seen);
        Some(answer)
    }

    /// How often the request may still be passed on, if it says so and has to be asked.
    fn max_forwards(&self) -> Option<u64> {
        if !matches!(self.method, b"TRACE" | b"OPTIONS") {
            return None;
        }
        let mut fields = self.fields;
        decimal(fields.find(|field| field.is(MAX_FORWARDS))?.value)
    }
}

/// Writes the fields that are passed on to `head`: all but those of one connection, which are
/// named here or by Connection (RFC 9110 §7.6.1), those for proxies, and the `removed` ones. What
/// says that there are chunks stays while there are.
pub(super) fn pass_on(fields: Fields<'_>, removed: &[&[u8]], head: &mut Vec<u8>) {
    const OF_CONNECTION: [&[u8]; 3] = [b"Connection", b"Keep-Alive", b"Upgrade"];
    // They are taken apart once: between them may be thousands of blanks.
    let mut options = Vec::new();
    for field in fields {
        if field.is(b"Connection") {
            options.extend(members(field.value));
        }
    }
    for field in fields {
        let is = |name: &&[u8]| field.is(name);
        let is_removed = OF_CONNECTION.iter().any(is)
            || removed.iter().any(is)
            || options.iter().any(is) && !field.is(TRANSFER_ENCODING)
            || is_of_proxy(&field);
        if !is_removed {
            write(field.name(), field.value, head);
        }
    }
}

/// Writes what says to which protocol the connection is to change (RFC 9110 §7.8), or has changed.
pub(super) fn pass_upgrade(fields: Fields<'_>, head: &mut Vec<u8>) {
    for field in fields {
        if field.is(b"Upgrade") {
            write(field.name(), field.value, head);
        }
    }
    head.extend(b"Connection: Upgrade\r\n");
}

/// Writes a field.
fn write(name: &[u8], value: &[u8], head: &mut Vec<u8>) {
    for part in [name, b": ", value, b"\r\n"] {
        head.extend(part);
    }
}

/// Writes a field whose value is a number.
fn write_number(name: &[u8], value: u64, head: &mut Vec<u8>) {
    write(name, format!("{value}").as_bytes(), head);
}

/// Returns `true` if the name of a field begins with `Proxy-`: it is for proxies.
fn is_of_proxy(field: &Field<'_>) -> bool {
    const PREFIX: &[u8] = b"Proxy-";
    let prefix = field.name().get(..PREFIX.len());
    prefix.is_some_and(|prefix| prefix.eq_ignore_ascii_case(PREFIX))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn answered(text: &str) -> Option<String> {
        let head = Head::parse(text.as_bytes()).ok().unwrap().unwrap();
        let answer = head.answered_here()?;
        Some(String::from_utf8(answer).unwrap())
    }

    fn forwarded(text: &str) -> String {
        let head = Head::parse(text.as_bytes()).ok().unwrap().unwrap();
        String::from_utf8(head.forwarded().unwrap()).unwrap()
    }

    /// What is left of fields besides Host and Connection.
    fn kept(fields: &str) -> String {
        let text = format!("POST http://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
        let written = forwarded(&text);
        let rest = written
            .strip_prefix("POST / HTTP/1.1\r\nHost: a\r\n")
            .unwrap();
        let rest = rest.strip_suffix("\r\n").unwrap();
        rest.to_owned()
    }

    #[test]
    fn h2_a_captured_get_goes_out_in_origin_form() {
        assert_eq!(
            forwarded(
                "GET http://example.com:8080/a?b=c HTTP/1.1\r\nUser-Agent: curl/8.5.0\r\n\
                 Host: other.example\r\nProxy-Authorization: Basic QTpC\r\nAccept: */*\r\n\
                 Proxy-Connection: Keep-Alive\r\n\r\n"
            ),
            "GET /a?b=c HTTP/1.1\r\nHost: example.com:8080\r\nUser-Agent: curl/8.5.0\r\n\
             Accept: */*\r\n\r\n"
        );
    }

    #[test]
    fn h2_the_target_is_written_as_a_server_knows_it() {
        for (method, target, line) in [
            ("GET", "http://a", "GET / HTTP/1.1"),
            ("GET", "http://a?b", "GET /?b HTTP/1.1"),
            ("GET", "http://a//b", "GET //b HTTP/1.1"),
            ("OPTIONS", "http://a", "OPTIONS * HTTP/1.1"),
            ("OPTIONS", "http://a/", "OPTIONS / HTTP/1.1"),
            // How a client begins a WebSocket (RFC 6455 §4.1), with its own scheme.
            ("GET", "ws://a/chat", "GET /chat HTTP/1.1"),
        ] {
            let text = format!("{method} {target} HTTP/1.1\r\nHost: b\r\n\r\n");
            let expected = format!("{line}\r\nHost: a\r\n\r\n");
            assert_eq!(forwarded(&text), expected);
        }
    }

    #[test]
    fn h2_a_client_of_http_1_0_is_passed_on_with_our_version_and_expects_nothing() {
        assert_eq!(
            forwarded("GET http://[::1]/ HTTP/1.0\r\nExpect: 100-continue\r\n\r\n"),
            "GET / HTTP/1.1\r\nHost: [::1]\r\nConnection: close\r\n\r\n"
        );
    }

    #[test]
    fn h2_who_closes_its_connection_says_so_to_the_server() {
        let text = "GET http://a/ HTTP/1.1\r\nHost: a\r\nConnection: X, Close\r\n\r\n";
        let expected = "GET / HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
        assert_eq!(forwarded(text), expected);
    }

    #[test]
    fn h11_hops_are_counted_for_trace_and_options_alone() {
        let with = |method: &str, hops: &str| {
            format!("{method} http://a/x HTTP/1.1\r\nHost: a\r\nMax-Forwards: {hops}\r\n\r\n")
        };
        for (method, hops, left) in [
            ("TRACE", "1", "0"),
            ("OPTIONS", "10", "9"),
            ("OPTIONS", "ten", "ten"),
            ("GET", "0", "0"),
        ] {
            let expected =
                format!("{method} /x HTTP/1.1\r\nHost: a\r\nMax-Forwards: {left}\r\n\r\n");
            let text = with(method, hops);
            assert_eq!(forwarded(&text), expected);
            assert_eq!(answered(&text), None);
        }
        let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n";
        let expected = format!("{head}Content-Length: 0\r\n\r\n");
        assert_eq!(answered(&with("OPTIONS", "0")), Some(expected));
        let asked = with(
            "TRACE",
            "0\r\nCookie: a\r\nAuthorization: b\r\nProxy-Authorization: c",
        );
        let seen = with("TRACE", "0");
        let seen = format!(
            "Content-Type: message/http\r\nContent-Length: {}\r\n\r\n{seen}",
            seen.len()
        );
        assert_eq!(answered(&asked), Some(head.to_owned() + &seen));
    }

    #[test]
    fn h12_an_upgrade_is_passed_on_where_connection_names_it() {
        let with = |fields: &str| {
            let text = format!("GET ws://a/ HTTP/1.1\r\nHost: a\r\n{fields}\r\n");
            forwarded(&text).replace("GET / HTTP/1.1\r\nHost: a\r\n", "")
        };
        let asked =
            "Connection: keep-alive, upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
        let expected = "Sec-WebSocket-Key: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
        assert_eq!(with(asked), expected);
        // What only this connection is to know goes no further (RFC 7540 §3.2.1).
        let http2 = "Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nHTTP2-Settings: x\r\n";
        assert_eq!(with(http2), "Upgrade: h2c\r\nConnection: Upgrade\r\n\r\n");
        assert_eq!(with("Upgrade: websocket\r\n"), "\r\n");
        assert_eq!(with("Connection: Upgrade\r\n"), "\r\n");
    }

    #[test]
    fn h2_fields_of_this_connection_end_here() {
        for fields in [
            "proxy-anything: b\r\n",
            "PROXY-: b\r\n",
            "Keep-Alive: timeout=5\r\n",
            "TE: trailers\r\n",
            "Upgrade: websocket\r\n",
            "Connection: keep-alive\r\n",
            "Connection: ,,,\r\n",
            "Connection: x-a, ,X-B\t,\r\nX-A: 1\r\nx-b: 2\r\n",
            "X-A: 1\r\nConnection: keep-alive\r\nX-A: 2\r\nconnection: x-a\r\n",
        ] {
            assert_eq!(kept(fields), "", "{fields:?}");
        }
    }

    #[test]
    fn h2_the_last_of_100_options_counts() {
        let fields = format!("Connection: {}x-a\r\nX-A: 1\r\n", ",".repeat(99));
        assert_eq!(kept(&fields), "");
    }

    #[test]
    fn h2_all_other_fields_pass_in_order() {
        let fields = "Proxy: 1\r\nX-Proxy-A: 2\r\nTrailer: a\r\nTransfer-Encoding: chunked\r\n\
                      Expect: 100-continue\r\nAuthorization: Basic QTpC\r\nCookie: a\r\n\
                      Cookie: b\r\nKeep-Alive-X: 3\r\nE: \u{e4}\r\nEmpty: \r\n";
        assert_eq!(kept(fields), fields);
        assert_eq!(
            kept("Content-Length:\t007\t\r\n"),
            "Content-Length: 007\r\n"
        );
    }

    #[test]
    fn h8_nothing_is_said_of_the_client_and_what_it_says_itself_passes() {
        assert_eq!(kept(""), "");
        let fields = "Via: 1.1 a\r\nForwarded: for=b\r\nX-Forwarded-For: c\r\n";
        assert_eq!(kept(fields), fields);
    }

    #[test]
    fn a_tunnels_head_is_not_forwarded() {
        let text = b"CONNECT a:1 HTTP/1.0\r\n\r\n";
        let head = Head::parse(text).ok().unwrap().unwrap();
        assert_eq!(head.forwarded(), None);
    }

    #[test]
    fn the_head_that_grows_most_is_121_bytes_longer() {
        let fields = " HTTP/1.0\r\n".to_owned() + &"B:\r\n".repeat(100) + "\r\n";
        let text = format!("A http://a?{fields}");
        assert_eq!(forwarded(&text).len(), text.len() + 121);
    }

    proptest! {
        /// Against a reading of RFC 9110 §7.6.1 with strings.
        #[test]
        fn removal_agrees_with_a_plain_model(
            list in proptest::collection::vec(
                ("(?i:te|x|y|trailer|proxy-x|upgrade|connection)", "[xy, ]{0,4}"), 0..8
            )
        ) {
            let line = |(name, value): &(String, String)| format!("{name}:{value}\r\n");
            let fields: String = list.iter().map(line).collect();
            let lower: Vec<(String, &str)> =
                list.iter().map(|(name, value)| (name.to_lowercase(), value.trim())).collect();
            let named: Vec<&str> = lower.iter().filter(|(name, _)| name == "connection")
                .flat_map(|(_, value)| value.split(',').map(str::trim)).collect();
            let expected: String = list.iter().zip(&lower)
                .filter(|(_, (name, _))| {
                    !named.contains(&name.as_str())
                        && !["te", "upgrade", "connection", "proxy-x"].contains(&name.as_str())
                })
                .map(|((name, _), (_, value))| format!("{name}: {value}\r\n")).collect();
            prop_assert_eq!(kept(&fields), expected);
        }
    }
}
