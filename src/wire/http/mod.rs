//! HTTP/1.x as far as a forward proxy needs it: RFC 9112 with RFC 9110.
//!
//! A request head in ([`Head`]), the head of the request that goes to the server and the
//! user's name and password out of it, the end of its body found ([`BodyMeter`]), and answers
//! of our own ([`Status`]). What a server answers is not looked at.
//!
//! Strict where parsers differ from each other, because that is where requests are smuggled:
//! a line that two readers could take for two things is refused, never repaired.

mod body;
mod fields;
mod forward;
mod head;
mod login;
mod status;

pub use body::{Body, BodyMeter, Malformed};
pub use forward::FORWARDED_MAX;
pub use head::{FIELDS_MAX, HEAD_MAX, Head};
pub use login::LOGIN_MAX;
pub use status::Status;

/// Whether a connection that starts with `byte` may speak HTTP: methods in use are upper-case
/// words (RFC 9110 §9.3), SOCKS versions are 4 and 5.
pub fn starts(byte: u8) -> bool {
    byte.is_ascii_uppercase()
}
