//! HTTP/1.x as far as a forward proxy needs it: RFC 9112 with RFC 9110.
//!
//! The head of a request ([`Head`]) with the user's name and password and the head that goes to
//! the server, the head of the server's answer ([`Answer`]), the ends of both bodies
//! ([`BodyMeter`]), and responses of the proxy itself ([`Status`]).
//!
//! Messages are smuggled where parsers differ from each other: what two parsers could read in
//! different ways is refused, never repaired.

mod answer;
mod body;
mod fault;
mod fields;
mod forward;
mod framing;
mod head;
mod login;
mod status;

pub use answer::Answer;
pub use body::{Body, BodyMeter, Kept, MalformedBody};
pub use fault::Fault;
pub use framing::FIELDS_MAX;
pub use head::{HEAD_MAX, Head, HeadReader, STATUS_LINE};
pub use login::LOGIN_MAX;
pub use status::Status;

/// Returns `true` if `byte` may be the first one of an HTTP request: a letter of its method, or of
/// an empty line in front of it (RFC 9112 §2.2). A SOCKS client begins with its version, 4 or 5.
/// Methods are in capitals (RFC 9110 §9.1); who writes them otherwise is told so.
pub fn starts(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || matches!(byte, b'\r' | b'\n')
}
