//! Answers of the proxy itself (RFC 9110 §15): a status line, and one line of text that says
//! why. After every one but 200 the connection ends.

use crate::wire::Writer;

/// The longest answer in bytes.
pub const ANSWER_MAX: usize = 256;

/// A cause is cut to what two digits of Content-Length can say with its LF; 172 bytes of
/// status line and fields (those of 407) are the most that come in front of it.
const CAUSE_MAX: usize = 80;

/// How a request ended, as far as the proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200: the tunnel stands (RFC 9110 §9.3.6).
    Established,
    /// 400: not a request, or not one that is served here.
    BadRequest,
    /// 403: refused by the rules.
    Forbidden,
    /// 407: a name and a password, please (RFC 9110 §15.5.8).
    ProxyAuthenticationRequired,
    /// 408: the head was not complete in time.
    RequestTimeout,
    /// 431: the head is over its limits (RFC 6585 §5).
    HeaderFieldsTooLarge,
    /// 502: the target cannot be reached.
    BadGateway,
    /// 503: no room for one more.
    ServiceUnavailable,
    /// 504: the target did not answer in time.
    GatewayTimeout,
}

impl Status {
    /// Code and reason of the status line.
    fn line(self) -> &'static [u8] {
        match self {
            Self::Established => b"200 Connection established",
            Self::BadRequest => b"400 Bad Request",
            Self::Forbidden => b"403 Forbidden",
            Self::ProxyAuthenticationRequired => b"407 Proxy Authentication Required",
            Self::RequestTimeout => b"408 Request Timeout",
            Self::HeaderFieldsTooLarge => b"431 Request Header Fields Too Large",
            Self::BadGateway => b"502 Bad Gateway",
            Self::ServiceUnavailable => b"503 Service Unavailable",
            Self::GatewayTimeout => b"504 Gateway Timeout",
        }
    }

    /// Writes the answer to the start of `out`; how long it is. `cause` becomes the body, one
    /// line cut at 80 bytes; where it is empty there is none, and 200 never has one.
    pub fn write(self, cause: &str, out: &mut [u8; ANSWER_MAX]) -> usize {
        let mut writer = Writer::new(out);
        self.write_parts(cause.as_bytes(), &mut writer);
        debug_assert!(!writer.is_cut, "the longest answer fits");
        writer.len
    }

    fn write_parts(self, cause: &[u8], writer: &mut Writer<'_>) {
        writer.put(b"HTTP/1.1 ");
        writer.put(self.line());
        writer.put(b"\r\n");
        if self == Self::Established {
            return writer.put(b"\r\n");
        }
        if self == Self::ProxyAuthenticationRequired {
            // RFC 7617 §2.1: what users' names and passwords are written in.
            writer.put(b"Proxy-Authenticate: Basic realm=\"anklet\", charset=\"UTF-8\"\r\n");
        }
        let cause = cause.get(..CAUSE_MAX).unwrap_or(cause);
        let end: &[u8] = if cause.is_empty() { b"" } else { b"\n" };
        // Two digits at most.
        let len = u8::try_from(cause.len() + end.len()).unwrap_or(0);
        let digits = [b'0' + len / 10, b'0' + len % 10];
        let digits = digits.strip_prefix(b"0").unwrap_or(&digits);
        writer.put(b"Content-Type: text/plain\r\nContent-Length: ");
        writer.put(digits);
        writer.put(b"\r\nConnection: close\r\n\r\n");
        writer.put(cause);
        writer.put(end);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 9] = [
        Status::Established,
        Status::BadRequest,
        Status::Forbidden,
        Status::ProxyAuthenticationRequired,
        Status::RequestTimeout,
        Status::HeaderFieldsTooLarge,
        Status::BadGateway,
        Status::ServiceUnavailable,
        Status::GatewayTimeout,
    ];

    fn written(status: Status, cause: &str) -> String {
        let mut out = [0; ANSWER_MAX];
        let len = status.write(cause, &mut out);
        String::from_utf8(out[..len].to_vec()).unwrap()
    }

    #[test]
    fn h1_success_has_no_body_and_no_length() {
        let expected = "HTTP/1.1 200 Connection established\r\n\r\n";
        assert_eq!(written(Status::Established, "ignored"), expected);
    }

    #[test]
    fn h3_a_missing_login_is_asked_for() {
        assert_eq!(
            written(Status::ProxyAuthenticationRequired, "who are you"),
            "HTTP/1.1 407 Proxy Authentication Required\r\n\
             Proxy-Authenticate: Basic realm=\"anklet\", charset=\"UTF-8\"\r\n\
             Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\n\
             who are you\n"
        );
    }

    #[test]
    fn h7_a_failure_names_its_cause_in_one_line() {
        assert_eq!(
            written(Status::BadGateway, "connection refused"),
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\
             Connection: close\r\n\r\nconnection refused\n"
        );
    }

    #[test]
    fn h7_every_answer_is_whole_and_says_how_long_its_body_is() {
        for status in ALL {
            for len in [0, 1, 8, 9, 79, 80, 81, 500] {
                let answer = written(status, &"x".repeat(len));
                let (head, body) = answer.split_once("\r\n\r\n").unwrap();
                if status == Status::Established {
                    continue;
                }
                let length = head.split_once("Content-Length: ").unwrap().1;
                let length = length.split_once("\r\n").unwrap().0;
                assert_eq!(length.parse::<usize>().unwrap(), body.len());
                assert_eq!(body.len(), if len == 0 { 0 } else { len.min(80) + 1 });
                assert!(head.ends_with("\r\nConnection: close"));
            }
        }
    }
}
