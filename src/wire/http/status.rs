//! Responses of the proxy itself (RFC 9110 §15): a status line, and one line of text that says
//! why. After every one but 200 the connection ends.

/// The number of bytes that a cause is cut to: a line of a terminal.
const CAUSE_MAX: usize = 80;

/// How a request ended, as far as the proxy knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Status {
    /// 200: the tunnel is established (RFC 9110 §9.3.6).
    Established,
    /// 400: not a request, or not one that is served here.
    BadRequest,
    /// 403: refused by the rules.
    Forbidden,
    /// 407: a name and a password, please (RFC 9110 §15.5.8).
    ProxyAuthenticationRequired,
    /// 408: the head was not complete in time.
    RequestTimeout,
    /// 414: the request line is over its limit.
    UriTooLong,
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
    fn line(self) -> &'static str {
        match self {
            Self::Established => "200 Connection established",
            Self::BadRequest => "400 Bad Request",
            Self::Forbidden => "403 Forbidden",
            Self::ProxyAuthenticationRequired => "407 Proxy Authentication Required",
            Self::RequestTimeout => "408 Request Timeout",
            Self::UriTooLong => "414 URI Too Long",
            Self::HeaderFieldsTooLarge => "431 Request Header Fields Too Large",
            Self::BadGateway => "502 Bad Gateway",
            Self::ServiceUnavailable => "503 Service Unavailable",
            Self::GatewayTimeout => "504 Gateway Timeout",
        }
    }

    /// The whole response. `cause` becomes the body, one line cut to 80 bytes; an empty one
    /// gives none, and 200 never has one. HEAD is told its length alone (RFC 9110 §9.3.2).
    pub fn response(self, cause: &str, is_for_head: bool) -> String {
        let line = self.line();
        if self == Self::Established {
            return format!("HTTP/1.1 {line}\r\n\r\n");
        }
        let challenge = match self {
            // RFC 7617 §2.1: what users' names and passwords are written in.
            Self::ProxyAuthenticationRequired => {
                "Proxy-Authenticate: Basic realm=\"anklet\", charset=\"UTF-8\"\r\n"
            }
            _ => "",
        };
        let cause = cause.get(..CAUSE_MAX).unwrap_or(cause);
        let end = if cause.is_empty() { "" } else { "\n" };
        let length = cause.len() + end.len();
        let (cause, end) = if is_for_head { ("", "") } else { (cause, end) };
        format!(
            "HTTP/1.1 {line}\r\n{challenge}Content-Type: text/plain\r\n\
             Content-Length: {length}\r\nConnection: close\r\n\r\n{cause}{end}"
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: [Status; 10] = [
        Status::Established,
        Status::BadRequest,
        Status::Forbidden,
        Status::ProxyAuthenticationRequired,
        Status::RequestTimeout,
        Status::UriTooLong,
        Status::HeaderFieldsTooLarge,
        Status::BadGateway,
        Status::ServiceUnavailable,
        Status::GatewayTimeout,
    ];

    #[test]
    fn h1_success_has_no_body_and_no_length() {
        let expected = "HTTP/1.1 200 Connection established\r\n\r\n";
        assert_eq!(Status::Established.response("ignored", false), expected);
    }

    #[test]
    fn h3_a_missing_login_is_asked_for() {
        assert_eq!(
            Status::ProxyAuthenticationRequired.response("who are you", false),
            "HTTP/1.1 407 Proxy Authentication Required\r\n\
             Proxy-Authenticate: Basic realm=\"anklet\", charset=\"UTF-8\"\r\n\
             Content-Type: text/plain\r\nContent-Length: 12\r\nConnection: close\r\n\r\n\
             who are you\n"
        );
    }

    #[test]
    fn h7_a_failure_names_its_cause_in_one_line() {
        assert_eq!(
            Status::BadGateway.response("connection refused", false),
            "HTTP/1.1 502 Bad Gateway\r\nContent-Type: text/plain\r\nContent-Length: 19\r\n\
             Connection: close\r\n\r\nconnection refused\n"
        );
    }

    #[test]
    fn h7_every_response_is_whole_and_says_how_long_its_body_is() {
        for status in ALL {
            for len in [0, 1, 8, 9, 79, 80, 81, 500] {
                let response = status.response(&"x".repeat(len), false);
                let (head, body) = response.split_once("\r\n\r\n").unwrap();
                let of_head = status.response(&"x".repeat(len), true);
                assert_eq!(of_head, format!("{head}\r\n\r\n"));
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
