//! Descriptors and their events: what is registered with mio, and whose an event is.

use std::os::fd::{AsFd, AsRawFd};

use mio::unix::SourceFd;
use mio::{Interest, Registry};

use super::error::errno;
use crate::net::Errno;
use crate::state::slots::Token;

/// Registers a descriptor, edge-triggered, for as long as it is open.
pub(super) fn register(
    registry: &Registry,
    socket: &impl AsFd,
    token: Token,
    interest: Interest,
) -> Result<(), Errno> {
    // A `usize` has at least the 32 bits of a token.
    let token = mio::Token(token.to_bits() as usize);
    let descriptor = socket.as_fd().as_raw_fd();
    let registered = registry.register(&mut SourceFd(&descriptor), token, interest);
    registered.map_err(errno)
}

/// The token of an event, as it was registered.
#[allow(clippy::cast_possible_truncation)]
pub(super) fn our_token(token: mio::Token) -> Token {
    // It was made from 32 bits. A checked conversion is 264 bytes of code here.
    Token::from_bits(token.0 as u32)
}
