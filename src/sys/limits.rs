//! The limit of open descriptors, the only process limit that the program changes.
//!
//! What follows from it for the tables is computed in `config::limits`.

use rlimit::{Resource, prlimit};

/// What is assumed where the limit cannot be read: POSIX's smallest `OPEN_MAX` is 20, the
/// usual soft limit is 1,024, and a number too low only makes the tables smaller.
const DESCRIPTORS_FALLBACK: u64 = 256;

/// Raises the soft limit of open descriptors to the hard one, and returns what it is now.
///
/// With prlimit(2), because musl's setrlimit stops all threads first, with 2 KB of code.
pub fn raise_descriptor_limit() -> u64 {
    let (mut soft, mut hard) = (0, 0);
    if prlimit(0, Resource::NOFILE, None, Some((&mut soft, &mut hard))).is_err() {
        return DESCRIPTORS_FALLBACK;
    }
    let reached = soft >= hard || prlimit(0, Resource::NOFILE, Some((hard, hard)), None).is_ok();
    if reached { hard } else { soft }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise_descriptor_limit();
        let (soft, hard) = Resource::NOFILE.get().unwrap();
        assert_eq!(soft, hard);
        assert_eq!(soft, limit);
    }
}
