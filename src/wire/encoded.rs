//! A message as it is sent to a SOCKS5 client.

/// The longest message of a SOCKS5 server: a reply (RFC 1928 §6) or the header of a datagram
/// (§7) with an IPv6 address.
pub const ENCODED_MAX: usize = 22;

/// The bytes of a message, at most [`ENCODED_MAX`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Encoded {
    bytes: [u8; ENCODED_MAX],
    len: usize,
}

impl Encoded {
    /// The message with these bytes. A longer one than [`ENCODED_MAX`] does not compile.
    pub fn new<const LEN: usize>(message: [u8; LEN]) -> Self {
        const { assert!(LEN <= ENCODED_MAX) };
        let mut bytes = [0; ENCODED_MAX];
        if let Some(start) = bytes.first_chunk_mut() {
            *start = message;
        }
        Self { bytes, len: LEN }
    }

    /// The bytes to send.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..self.len).unwrap_or_default()
    }
}
