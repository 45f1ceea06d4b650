//! The head that goes to the server (RFC 9110 §7.6 and RFC 9112 §3.2).
//!
//! Everything is passed on except what concerns the client's connection alone. Nothing about the
//! client is added: no Via, no X-Forwarded-For, no Forwarded. Those that it sent itself stay.

use super::fields::{Field, members};
use super::head::Head;

/// Fields that are not passed on, besides those named `Proxy-…`: Host, which is written anew, and
/// those of one connection (RFC 9110 §7.6.1). Transfer-Encoding and Trailer are not among them,
/// because the body is passed on in the form it came in.
const REMOVED: [&[u8]; 5] = [b"Host", b"Connection", b"Keep-Alive", b"TE", b"Upgrade"];

impl Head<'_> {
    /// Returns the head in origin-form, with the Host of the target and `Connection: close`;
    /// `None` if the request is a CONNECT. It is 121 bytes longer than the client's at most: `/`
    /// and the blank behind `Host:` 2, `Connection: close` with its line end 19, the blank behind
    /// each of 100 colons.
    ///
    /// The version stays the client's, because the answer is passed on as it is: a client of
    /// HTTP/1.0 must get one that it can read (RFC 9112 §6.1).
    pub fn forwarded(&self) -> Option<Vec<u8>> {
        let path = self.path?;
        let blank: &[u8] = if path.first() == Some(&b'?') {
            b" /"
        } else {
            b" "
        };
        let (version, authority) = (self.version, self.authority);
        let first = [self.method, blank, path, b" ", version, b"\r\n"];
        let mut head = first.concat();
        head.extend([b"Host: ", authority, b"\r\n"].concat());
        // The options of Connection fields name fields of this connection. They are taken apart
        // once: between them may be thousands of blanks.
        let mut options = Vec::new();
        for field in self.fields {
            if field.is(b"Connection") {
                options.extend(members(field.value));
            }
        }
        for field in self.fields {
            let is_removed = REMOVED.iter().any(|name| field.is(name))
                || options.iter().any(|option| field.is(option))
                || is_of_proxy(&field);
            if !is_removed {
                head.extend([field.name(), b": ", field.value, b"\r\n"].concat());
            }
        }
        head.extend(b"Connection: close\r\n\r\n");
        Some(head)
    }
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
    use crate::wire::http::head::HEAD_MAX;
    use proptest::prelude::*;

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
        let rest = rest.strip_suffix("Connection: close\r\n\r\n").unwrap();
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
             Accept: */*\r\nConnection: close\r\n\r\n"
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
        ] {
            let text = format!("{method} {target} HTTP/1.1\r\nHost: b\r\n\r\n");
            let expected = format!("{line}\r\nHost: a\r\nConnection: close\r\n\r\n");
            assert_eq!(forwarded(&text), expected);
        }
    }

    #[test]
    fn h2_a_client_of_http_1_0_gets_answers_of_http_1_0() {
        assert_eq!(
            forwarded("GET http://[::1]/ HTTP/1.0\r\n\r\n"),
            "GET / HTTP/1.0\r\nHost: [::1]\r\nConnection: close\r\n\r\n"
        );
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
            "X-A: 1\r\nConnection: close\r\nX-A: 2\r\nconnection: x-a\r\n",
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
        let first = "A http://a?";
        let fields = " HTTP/1.0\r\n".to_owned() + &"B:\r\n".repeat(100) + "\r\n";
        let query = "q".repeat(HEAD_MAX - first.len() - fields.len());
        let text = format!("{first}{query}{fields}");
        let written = forwarded(&text);
        assert_eq!((text.len(), written.len()), (HEAD_MAX, HEAD_MAX + 121));
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
