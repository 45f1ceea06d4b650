//! The bounds of the resolver; `config::limits` has the number of names.

use crate::net::Millis;

/// How long a name has its place at least, once its first question has been sent, unless its
/// client has more than the fair share: who is asked for a name that exists has mostly answered
/// by then.
pub(super) const PATIENCE_MS: Millis = 2_000;

/// Reads from one socket per pass of the loop: an honest server sends one message, and a flood
/// of forged ones must not hold up the loop.
pub(super) const RECEIVES_MAX: usize = 8;

/// Queries sent per pass of the loop, each on a socket of its own: about 5 system calls each. As
/// many names at most get a place.
pub(super) const SENDS_MAX: usize = 32;
