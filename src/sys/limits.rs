//! The limit of open descriptors, the only process limit that the program changes.
//!
//! What follows from it for the tables is computed in `config::limits`.

use nix::sys::resource::{Resource, getrlimit, setrlimit};

/// What is assumed where the limit cannot be read: POSIX's smallest `OPEN_MAX` is 20, the
/// usual soft limit is 1,024, and a number too low only makes the tables smaller.
const DESCRIPTORS_FALLBACK: u64 = 256;

/// Raises the soft limit of open descriptors to the hard one, and returns what it is now.
pub fn raise_descriptor_limit() -> u64 {
    let Ok((soft, hard)) = getrlimit(Resource::RLIMIT_NOFILE) else {
        return DESCRIPTORS_FALLBACK;
    };
    let reached = soft >= hard || setrlimit(Resource::RLIMIT_NOFILE, hard, hard).is_ok();
    // `rlim_t` has 32 bits on some targets.
    (if reached { hard } else { soft }) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_soft_limit_becomes_the_hard_one() {
        let limit = raise_descriptor_limit();
        let (soft, hard) = getrlimit(Resource::RLIMIT_NOFILE).unwrap();
        assert_eq!(soft, hard);
        assert_eq!(soft, limit);
    }
}
