//! The options of times and sizes.
//!
//! `config::limits` settles later what was not asked for.

use getopts::Matches;

use super::super::{ConfigError, Limits, Timeouts, values};
use super::lists::bad;

/// Longest timeout: 30 days. Its milliseconds fit 32 bits.
const SECONDS_MAX: u64 = 30 * 24 * 3600;

/// Longest --peer-timeout: 24 days. The kernel takes TCP_USER_TIMEOUT as a signed number of 32
/// bits, in milliseconds, and refuses 25 days.
const PEER_SECONDS_MAX: u64 = 24 * 24 * 3600;

const _: () = assert!(SECONDS_MAX * 1000 <= u32::MAX as u64);
const _: () = assert!(PEER_SECONDS_MAX * 1000 <= i32::MAX as u64);

/// The timeouts, from seconds to milliseconds.
pub(super) fn timeouts(matches: &Matches) -> Result<Timeouts, ConfigError> {
    let default = Timeouts::default();
    let read = |option, default_ms, seconds_max| match matches.opt_str(option) {
        Some(text) => values::number(option, &text, 1, seconds_max)
            // The bounds above keep this within 32 bits.
            .map(|seconds| u32::try_from(seconds * 1000).unwrap_or(u32::MAX)),
        None => Ok(default_ms),
    };
    Ok(Timeouts {
        handshake_ms: read("handshake-timeout", default.handshake_ms, SECONDS_MAX)?,
        connect_ms: read("connect-timeout", default.connect_ms, SECONDS_MAX)?,
        idle_ms: read("idle-timeout", default.idle_ms, SECONDS_MAX)?,
        half_close_ms: read("half-close-timeout", default.half_close_ms, SECONDS_MAX)?,
        udp_ms: read("udp-timeout", default.udp_ms, SECONDS_MAX)?,
        bind_ms: read("bind-timeout", default.bind_ms, SECONDS_MAX)?,
        peer_ms: read("peer-timeout", default.peer_ms, PEER_SECONDS_MAX)?,
    })
}

/// The limits that were asked for; 0 stands for none.
pub(super) fn limits(matches: &Matches) -> Result<Limits, ConfigError> {
    let read = |option, least, most| match matches.opt_str(option) {
        Some(text) => values::number(option, &text, least, most)
            .map(|number| usize::try_from(number).unwrap_or(usize::MAX)),
        None => Ok(0),
    };
    // A session's number has 16 bits; buffers come from the same range.
    let limits = Limits {
        sessions_max: read("max-sessions", 1, 65_535)?,
        per_client_max: read("max-per-client", 1, 65_535)?,
        buffers_max: read("buffers", 4, 65_535)?,
        buffer_bytes: read("buffer-size", 256, 65_536)?,
        ..Limits::default()
    };
    if limits.sessions_max > 0 && limits.per_client_max > limits.sessions_max {
        let value = limits.per_client_max.to_string();
        return Err(bad("max-per-client", &value, "more than --max-sessions"));
    }
    Ok(limits)
}
