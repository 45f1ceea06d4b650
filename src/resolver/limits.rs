//! The bounds of the resolver.

/// Names looked up at once. Each has two sockets at most, so that they take 128 descriptors of
/// a router's usual 1,024; a client's page load asks for a dozen names.
pub const QUERIES_MAX: usize = 64;

/// Names of one client looked up at once: a quarter, so that it takes four clients with nothing
/// but dead names to use up [`QUERIES_MAX`].
pub const QUERIES_PER_CLIENT_MAX: usize = 16;

/// Sockets at once: one for A and one for AAAA of each name.
pub(super) const SOCKETS_MAX: usize = QUERIES_MAX * 2;

/// Reads from one socket per pass of the loop: an honest server sends one message, and a flood
/// of forged ones must not hold up the loop.
pub(super) const RECEIVES_MAX: usize = 8;

/// Queries sent per pass of the loop, each on a socket of its own: about 5 system calls each.
pub(super) const SENDS_MAX: usize = 32;
