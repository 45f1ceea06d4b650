//! HTTP/1.x as far as a forward proxy needs it: RFC 9112 with RFC 9110.
//!
//! The head of a request ([`Head`]) with the user's name and password and the head that goes to
//! the server, the end of the request's body ([`BodyMeter`]), and responses of the proxy itself
//! ([`Status`]). What a server responds is not looked at.
//!
//! Requests are smuggled where parsers differ from each other: a line that two parsers could read
//! in different ways is refused, never repaired.

mod body;
mod fields;
mod forward;
mod head;
mod login;
mod status;

pub use body::{Body, BodyMeter, MalformedBody};
pub use head::{FIELDS_MAX, HEAD_MAX, Head, HeadReader};
pub use login::LOGIN_MAX;
pub use status::Status;

/// Returns `true` if `byte` may be the first one of an HTTP request: the methods in use are
/// upper-case words (RFC 9110 §9.3). A SOCKS client begins with its version, 4 or 5.
pub fn starts(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}
