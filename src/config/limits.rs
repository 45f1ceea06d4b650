//! The bounds of the tables: sums of named needs, from what was asked for, the descriptors
//! that the process may open and the memory that the machine has.
//!
//! Pure. `sys::limits` and `files::memory_bytes` know the two figures.

use super::error::ConfigError;
use super::settings::{AskedLimits, Limits};
use crate::state::acceptor::LISTENERS_MAX;
use crate::state::memory::held_bytes_max;

/// Sessions that one table can have: their index has 16 bits, and the last one stays unused.
const SESSIONS_MAX: u64 = 65_535;

/// Descriptors that are open whatever happens: standard streams 3, epoll 1, signals 1, random
/// bytes 1, files while they are read again 2, listeners 16 (`LISTENERS_MAX`), a peer that
/// is looked at while its BIND still listens 1, and one association, so that there is one.
const DESCRIPTORS_FIXED: u64 =
    3 + 1 + 1 + 1 + 2 + LISTENERS_MAX as u64 + 1 + ASSOCIATION_DESCRIPTORS;

/// Sockets to name servers, two for each name: A and AAAA. A quarter of what few descriptors
/// leave, and an eighth of what many do.
const DNS_SOCKETS_MAX: u64 = 128 * 2;
const DNS_SOCKETS_OF_FEW_MAX: u64 = 64 * 2;

/// Memory of the machine to one name being looked up, which takes 2 KiB, the kernel's sockets
/// included, and 8 KiB more while a server answers over TCP: one in 50.
const MEMORY_PER_QUERY_BYTES: u64 = 512 << 10;

/// Further connection attempts beside a session's first (RFC 8305), all sessions together.
pub const SPARE_ATTEMPTS_MAX: usize = 64;

/// Names looked up for UDP associations at once, beside one for each session that is being
/// opened: what eight BitTorrent clients ask for.
pub const LOOKUPS_MAX: usize = 256;

/// A session's own descriptors: client and target, or client and the listener of a BIND.
const SESSION_DESCRIPTORS: u64 = 2;

/// What an association has beside its session: a socket to the client and one to the remotes
/// per family. The descriptor of the target that it does without stays in reserve.
const ASSOCIATION_DESCRIPTORS: u64 = 3;

/// Sessions to one association: a quarter of the clients may use UDP at one time.
const SESSIONS_PER_ASSOCIATION: u64 = 4;

/// Associations at most. Hundreds belong to one client of tun2socks' kind; several of them fit.
const ASSOCIATIONS_MAX: u64 = 1_024;

/// Associations whose descriptors lower the number of sessions. More of them take what sessions
/// leave: 20,000 descriptors carry 9,000 tunnels and these.
const ASSOCIATIONS_RESERVED: u64 = 480;

/// BINDs at most that wait for a peer. They are rare, and each leaves a port open to outside; but
/// one client may want a hundred.
const BINDS_MAX: usize = 128;

/// One session in so many is for clients that have not been granted anything yet: in a house full
/// of tunnels one of these ends only for a newcomer that has passed login and rules.
const HANDSHAKES_SHARE: usize = 64;

/// HTTP heads at most that are being read: 8 KiB each. A head comes in one or two segments, so its
/// place is soon free again, unless it is a long one to be forwarded: that waits in its place for
/// the target.
const HEADS_MAX: usize = 32;

/// Memory of the machine to one head of more than 8 KiB, which takes up to 32: four at once on a
/// router of 64 MiB, and no more than so many of the others.
const MEMORY_PER_LONG_HEAD_BYTES: u64 = 16 << 20;

/// Memory of one session on the average, the kernel's two sockets included (8 KiB idle, more
/// under load).
const SESSION_TOTAL_BYTES: u64 = 16 << 10;

/// A pipe's two ends.
const PIPE_DESCRIPTORS: u64 = 2;

/// Of the descriptors that are left to sockets, one in so many pairs is for a pipe.
const PIPE_DESCRIPTORS_SHARE: u64 = 64;

/// Pipes at most: for some dozens of transfers whose sinks all make them wait at once; others copy
/// meanwhile. With more of them 20,000 descriptors would not carry 9,000 tunnels.
const PIPES_MAX: u64 = 40;

/// Memory in the kernel of a full pipe: 16 pieces (pipe(7)), each of which keeps what it was
/// received in, up to 32 KiB.
const PIPE_KERNEL_BYTES: u64 = 16 * (32 << 10);

/// Share of the machine's memory that pipes may take: one in 16.
const PIPE_MEMORY_SHARE: u64 = 16;

/// With less memory than that there are no pipes. What calls itself 128 MB has some 8 less for
/// programs.
const PIPE_MEMORY_BYTES_MIN: u64 = 112 << 20;

/// Memory in the kernel of a tunnel that stands still in both directions, and of an association
/// whose sockets are full: three times net.core.rmem_default.
const TUNNEL_KERNEL_BYTES: u64 = 2 * (400 << 10);
const ASSOCIATION_KERNEL_BYTES: u64 = 3 * (208 << 10);

/// Share of the machine's memory that sessions may take: one in 4.
const SESSION_MEMORY_SHARE: u64 = 4;

/// Share of the machine's memory that the pool may take unless asked for: one in 64, which is
/// 1 MiB on a router with 64 MiB.
const POOL_MEMORY_SHARE: u64 = 64;

/// Share of the machine's memory that no pool may pass: half of it.
const POOL_MEMORY_SHARE_MAX: u64 = 2;

/// Size of a buffer unless asked for: a few full segments per system call.
const BUFFER_BYTES_DEFAULT: usize = 8 << 10;

/// Buffers at least: one for each direction of two tunnels.
const BUFFERS_MIN: u64 = 4;

/// Buffers at most unless asked for: 32 MiB of the usual size.
const BUFFERS_DEFAULT_MAX: u64 = 4_096;

/// Sessions being opened at most: their handshake takes the larger part of 2 KiB each. One client
/// may open a thousand at once.
const OPENINGS_MAX: usize = 1_024;

/// Fewer sessions than this are worth a warning when descriptors are the reason.
const SESSIONS_FEW: u64 = 256;

/// Settles the limits: what was not asked for is computed from `descriptors`, the limit of open
/// descriptors, and `memory_bytes`, the machine's memory. May come with one warning.
///
/// # Errors
/// Descriptors or memory do not carry what was asked for, or no session at all.
pub fn settle(
    asked: &AskedLimits,
    descriptors: u64,
    memory_bytes: u64,
) -> Result<(Limits, Option<String>), ConfigError> {
    let pipes_max = pipes(asked.no_splice, descriptors, memory_bytes);
    let carriers = carriers(descriptors, pipes_max);
    let carried = carried_by_default(carriers);
    let afforded =
        (memory_bytes / SESSION_MEMORY_SHARE / SESSION_TOTAL_BYTES).clamp(1, SESSIONS_MAX);
    let possible = to_usize((carriers / SESSION_DESCRIPTORS).min(SESSIONS_MAX));
    if possible == 0 || asked.sessions_max.is_some_and(|asked| asked > possible) {
        let why = format!("{descriptors} descriptors (ulimit -n) carry {possible} sessions");
        return Err(match asked.sessions_max {
            None => ConfigError::new(why),
            Some(asked) => ConfigError::about("max-sessions", Some(&format!("{asked}")), &why),
        });
    }
    let by_default = to_usize(carried.min(afforded));
    let sessions_max = asked.sessions_max.unwrap_or(by_default);
    let for_handshakes = (sessions_max / HANDSHAKES_SHARE).clamp(1, HANDSHAKES_SHARE);
    let buffer_bytes = asked.buffer_bytes.unwrap_or(BUFFER_BYTES_DEFAULT);
    let associations_max = associations(sessions_max, carriers);
    let limits = Limits {
        sessions_max,
        // No bound where one client may have all.
        per_client_max: asked.per_client_max.filter(|max| *max < sessions_max),
        openings_max: sessions_max.min(OPENINGS_MAX),
        established_max: (sessions_max - for_handshakes).max(1),
        buffers_max: buffers(asked.buffers_max, sessions_max, buffer_bytes, memory_bytes)?,
        buffer_bytes,
        pipes_max: to_usize(pipes_max),
        associations_max,
        binds_max: BINDS_MAX.min(sessions_max),
        heads_max: HEADS_MAX.min(sessions_max),
        // Rounded up: a part of the machine's memory is the kernel's own, and not told of.
        long_heads_max: to_usize(memory_bytes.div_ceil(MEMORY_PER_LONG_HEAD_BYTES))
            .clamp(1, HEADS_MAX)
            .min(sessions_max),
        kernel_bytes: kernel_bytes(sessions_max, associations_max, pipes_max, memory_bytes),
        queries_max: queries(descriptors, memory_bytes),
    };
    let warning = match asked.sessions_max {
        Some(asked) if asked > to_usize(afforded) => Some(format!(
            "{asked} sessions may take more than a quarter of the memory, which is what \
             {afforded} take"
        )),
        None if carried < afforded.min(SESSIONS_FEW) => Some(format!(
            "{descriptors} descriptors (ulimit -n) carry {carried} sessions only"
        )),
        _ => None,
    };
    Ok((limits, warning))
}

/// What the kernel may take: all that the sessions can make it hold, or, where that is more than the
/// memory, what there is until it is short.
fn kernel_bytes(
    sessions_max: usize,
    associations_max: usize,
    pipes_max: u64,
    memory_bytes: u64,
) -> u64 {
    let tunnels = sessions_max as u64 * TUNNEL_KERNEL_BYTES;
    let associations = associations_max as u64 * ASSOCIATION_KERNEL_BYTES;
    let pipes = pipes_max * PIPE_KERNEL_BYTES;
    (tunnels + associations + pipes).min(held_bytes_max(memory_bytes))
}

/// The number of pipes: as descriptors and memory allow.
fn pipes(no_splice: bool, descriptors: u64, memory_bytes: u64) -> u64 {
    if no_splice || memory_bytes < PIPE_MEMORY_BYTES_MIN {
        return 0;
    }
    let left = descriptors.saturating_sub(DESCRIPTORS_FIXED);
    (left / PIPE_DESCRIPTORS_SHARE)
        .min(memory_bytes / PIPE_MEMORY_SHARE / PIPE_KERNEL_BYTES)
        .min(PIPES_MAX)
}

/// The descriptors that a limit leaves to sessions and their associations.
fn carriers(descriptors: u64, pipes_max: u64) -> u64 {
    let left = descriptors.saturating_sub(DESCRIPTORS_FIXED);
    let dns_sockets = dns_sockets(left);
    let spare_attempts = (left / 8).min(SPARE_ATTEMPTS_MAX as u64);
    left - dns_sockets - spare_attempts - pipes_max * PIPE_DESCRIPTORS
}

/// How many of the descriptors are for sockets to name servers.
fn dns_sockets(left: u64) -> u64 {
    let of_few = (left / 4).min(DNS_SOCKETS_OF_FEW_MAX);
    of_few.max((left / 8).min(DNS_SOCKETS_MAX))
}

/// The number of names that are looked up at once.
fn queries(descriptors: u64, memory_bytes: u64) -> usize {
    let carried = dns_sockets(descriptors.saturating_sub(DESCRIPTORS_FIXED)) / 2;
    to_usize(carried.min(memory_bytes / MEMORY_PER_QUERY_BYTES).max(1))
}

/// How many sessions those descriptors carry beside the associations that they are to have, at
/// most 65,535. Who asks for more sessions has fewer associations.
fn carried_by_default(carriers: u64) -> u64 {
    // Four sessions and their association.
    const GROUP: u64 = SESSIONS_PER_ASSOCIATION * SESSION_DESCRIPTORS + ASSOCIATION_DESCRIPTORS;
    let associations = (carriers / GROUP).min(ASSOCIATIONS_RESERVED);
    let left = carriers - associations * ASSOCIATION_DESCRIPTORS;
    (left / SESSION_DESCRIPTORS).min(SESSIONS_MAX)
}

/// The number of associations: a quarter of the sessions, as far as the descriptors go that
/// `sessions_max` of them leave, and the one that is counted apart.
fn associations(sessions_max: usize, carriers: u64) -> usize {
    let sessions = sessions_max as u64;
    let left = carriers.saturating_sub(sessions * SESSION_DESCRIPTORS);
    let carried = 1 + left / ASSOCIATION_DESCRIPTORS;
    let wanted = (sessions / SESSIONS_PER_ASSOCIATION).clamp(1, ASSOCIATIONS_MAX);
    to_usize(wanted.min(carried))
}

/// The number of buffers: a quarter of the sessions blocked at one time and 4 in reserve,
/// as far as the pool's share of the memory goes.
fn buffers(
    asked: Option<usize>,
    sessions_max: usize,
    buffer_bytes: usize,
    memory_bytes: u64,
) -> Result<usize, ConfigError> {
    let fitting = |share| memory_bytes / share / buffer_bytes as u64;
    if let Some(asked) = asked {
        if asked as u64 > fitting(POOL_MEMORY_SHARE_MAX) {
            let why = "they take more than half of the memory";
            return Err(ConfigError::about(
                "buffers",
                Some(&format!("{asked}")),
                why,
            ));
        }
        return Ok(asked);
    }
    let wanted = sessions_max as u64 / 4 + BUFFERS_MIN;
    let default = wanted
        .min(fitting(POOL_MEMORY_SHARE))
        .clamp(BUFFERS_MIN, BUFFERS_DEFAULT_MAX);
    Ok(to_usize(default))
}

/// A count of entries of a table.
fn to_usize(count: u64) -> usize {
    usize::try_from(count).expect("no table has more than 65,535 entries")
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const MIB: u64 = 1 << 20;
    const NOTHING_ASKED: AskedLimits = AskedLimits {
        sessions_max: None,
        per_client_max: None,
        buffers_max: None,
        buffer_bytes: None,
        no_splice: false,
    };

    fn settled(asked: AskedLimits, descriptors: u64, memory_mib: u64) -> Limits {
        settle(&asked, descriptors, memory_mib * MIB).unwrap().0
    }

    /// The figures of README.md and DESIGN.md: what the kernels of such routers leave (MemTotal).
    #[test]
    fn a_router_of_64_mb_has_what_its_kernel_leaves() {
        for (memory_kib, sessions, buffers) in [(49_500, 773, 96), (60_000, 937, 117)] {
            let (limits, warning) = settle(&NOTHING_ASKED, 4096, memory_kib << 10).unwrap();
            assert_eq!(
                (limits.sessions_max, limits.buffers_max),
                (sessions, buffers)
            );
            assert_eq!(limits.long_heads_max, 4);
            assert_eq!(warning, None);
        }
    }

    #[test]
    fn memory_of_64_mib_gives_1024_sessions_and_a_pool_of_1_mib() {
        let (limits, warning) = settle(&NOTHING_ASKED, 4096, 64 * MIB).unwrap();
        assert_eq!(limits.sessions_max, 1024);
        assert_eq!(limits.per_client_max, None);
        assert_eq!(limits.openings_max, 1024);
        assert_eq!(limits.established_max, 1008);
        assert_eq!((limits.buffers_max, limits.buffer_bytes), (128, 8192));
        assert_eq!(limits.associations_max, 256);
        assert_eq!(limits.binds_max, 128);
        assert_eq!((limits.heads_max, limits.queries_max), (32, 128));
        assert_eq!(warning, None);
    }

    #[test]
    fn descriptors_are_divided_as_the_constants_say() {
        // 64: 28 fixed, 9 to name servers, 4 to attempts.
        assert_eq!(carriers(64, 0), 23);
        assert_eq!(carriers(1024, 0), 1024 - 28 - 128 - 64);
        assert_eq!(carriers(4096, 0), 4096 - 28 - 256 - 64);
        assert_eq!(carriers(28, 0), 0);
        assert_eq!(carriers(0, 0), 0);
        // 28: 6 to 2 associations, the rest to sessions.
        assert_eq!(carried_by_default(28), 11);
        assert_eq!(carried_by_default(812), (812 - 73 * 3) / 2);
        assert_eq!(carried_by_default(carriers(20_000, 0)), 9_106);
        assert_eq!(carried_by_default(2), 1);
        assert_eq!(carried_by_default(1), 0);
        assert_eq!(carried_by_default(carriers(u64::MAX, 0)), 65_535);
    }

    #[test]
    fn pipes_follow_the_memory_and_the_descriptors_and_small_routers_have_none() {
        for (descriptors, memory_mib, pipes) in [
            (4096, 58, 0),
            (4096, 111, 0),
            (4096, 120, 15),
            (1024, 512, 15),
            (64, 512, 0),
            (4096, 512, 40),
            (20_000, 4096, 40),
        ] {
            let limits = settled(NOTHING_ASKED, descriptors, memory_mib);
            assert_eq!(limits.pipes_max, pipes, "{descriptors}, {memory_mib} MiB");
        }
        let no_splice = AskedLimits {
            no_splice: true,
            ..NOTHING_ASKED
        };
        assert_eq!(settled(no_splice, 20_000, 4096).pipes_max, 0);
        // 9,000 tunnels have room beside them.
        assert!(settled(NOTHING_ASKED, 20_000, 4096).established_max >= 9_000);
    }

    #[test]
    fn names_at_once_follow_the_descriptors_and_the_memory() {
        for (descriptors, memory_mib, names) in [
            (64, 64, 4),
            (1024, 64, 64),
            (4096, 32, 64),
            (4096, 64, 128),
            (1500, 64, 92),
            (20_000, 256, 128),
            (1_000_000, 4096, 128),
        ] {
            let limits = settled(NOTHING_ASKED, descriptors, memory_mib);
            assert_eq!(limits.queries_max, names, "{descriptors}, {memory_mib} MiB");
        }
    }

    #[test]
    fn associations_are_a_quarter_of_the_sessions_as_far_as_descriptors_go() {
        let associations = |sessions_max, descriptors| {
            let asked = AskedLimits {
                sessions_max: Some(sessions_max),
                ..NOTHING_ASKED
            };
            settled(asked, descriptors, 64).associations_max
        };
        assert_eq!(associations(1, 4096), 1);
        assert_eq!(associations(400, 4096), 100);
        assert_eq!(associations(1600, 20_000), 400);
        assert_eq!(associations(8000, 60_000), 1024);
        // 19,652 descriptors to share; 9,000 sessions leave 1,652 of them.
        assert_eq!(associations(9_000, 20_000), 1 + 550);
        assert_eq!(associations(9_826, 20_000), 1);
    }

    #[test]
    fn a_hundred_associations_of_one_client_fit_a_router_of_64_mib() {
        // 4,096 is the kernel's own hard limit.
        for descriptors in [4096, 2048] {
            let limits = settled(NOTHING_ASKED, descriptors, 64);
            assert!(limits.associations_max >= 100);
        }
    }

    #[test]
    fn few_descriptors_lower_the_default_with_one_warning() {
        let (limits, warning) = settle(&NOTHING_ASKED, 64, 64 * MIB).unwrap();
        assert_eq!(limits.sessions_max, 8);
        assert_eq!((limits.openings_max, limits.established_max), (8, 7));
        assert_eq!(limits.buffers_max, 6);
        assert_eq!(limits.associations_max, 2);
        assert_eq!(limits.binds_max, 8);
        assert_eq!(limits.heads_max, 8);
        assert_eq!(
            warning.as_deref(),
            Some("64 descriptors (ulimit -n) carry 8 sessions only")
        );
    }

    #[test]
    fn a_lower_default_without_hardship_is_no_warning() {
        assert_eq!(settle(&NOTHING_ASKED, 1024, 64 * MIB).unwrap().1, None);
        // Memory is what bounds this one.
        assert_eq!(settle(&NOTHING_ASKED, 64, MIB / 2).unwrap().1, None);
    }

    #[test]
    fn more_sessions_than_the_descriptors_carry_are_an_error_naming_both_numbers() {
        let asked = AskedLimits {
            sessions_max: Some(12),
            ..NOTHING_ASKED
        };
        let line = settle(&asked, 64, 64 * MIB).unwrap_err().to_string();
        assert_eq!(
            line,
            "--max-sessions 12: 64 descriptors (ulimit -n) carry 11 sessions"
        );
        let asked = AskedLimits {
            sessions_max: Some(11),
            ..NOTHING_ASKED
        };
        assert_eq!(settle(&asked, 64, 64 * MIB).unwrap().0.sessions_max, 11);
    }

    #[test]
    fn no_descriptor_for_a_session_is_an_error() {
        let line = settle(&NOTHING_ASKED, 21, 64 * MIB)
            .unwrap_err()
            .to_string();
        assert_eq!(line, "21 descriptors (ulimit -n) carry 0 sessions");
    }

    #[test]
    fn more_sessions_than_the_memory_suggests_are_a_warning() {
        let asked = AskedLimits {
            sessions_max: Some(2000),
            ..NOTHING_ASKED
        };
        let (limits, warning) = settle(&asked, 20_000, 64 * MIB).unwrap();
        assert_eq!(limits.sessions_max, 2000);
        assert!(warning.unwrap().contains("what 1024 take"));
    }

    #[test]
    fn what_was_asked_for_is_kept() {
        let asked = AskedLimits {
            sessions_max: Some(100),
            per_client_max: Some(3),
            buffers_max: Some(9),
            buffer_bytes: Some(256),
            no_splice: false,
        };
        assert_eq!(
            settled(asked, 1024, 64),
            Limits {
                openings_max: 100,
                established_max: 99,
                associations_max: 25,
                binds_max: 100,
                heads_max: 32,
                long_heads_max: 4,
                queries_max: 64,
                sessions_max: 100,
                per_client_max: Some(3),
                buffers_max: 9,
                buffer_bytes: 256,
                pipes_max: 0,
                kernel_bytes: kernel_bytes(100, 25, 0, 64 * MIB),
            }
        );
    }

    #[test]
    fn the_kernels_share_is_what_sessions_hold_or_what_there_is() {
        assert_eq!(
            kernel_bytes(10, 1, 2, 64 * MIB),
            (10 * 800 + 624 + 1024) << 10
        );
        // All but a sixth.
        assert_eq!(kernel_bytes(1_000, 256, 0, 60 * MIB), 50 * MIB);
    }

    #[test]
    fn a_bound_above_all_together_is_none() {
        let asked = AskedLimits {
            per_client_max: Some(1000),
            ..NOTHING_ASKED
        };
        assert_eq!(settled(asked, 64, 64).per_client_max, None);
    }

    #[test]
    fn large_buffers_are_fewer() {
        let asked = AskedLimits {
            buffer_bytes: Some(65_536),
            ..NOTHING_ASKED
        };
        assert_eq!(settled(asked, 4096, 64).buffers_max, 16);
    }

    #[test]
    fn a_pool_beyond_half_of_the_memory_is_an_error() {
        let asked = AskedLimits {
            buffers_max: Some(4097),
            ..NOTHING_ASKED
        };
        let line = settle(&asked, 4096, 64 * MIB).unwrap_err().to_string();
        assert_eq!(
            line,
            "--buffers 4097: they take more than half of the memory"
        );
    }

    proptest! {
        #[test]
        fn whatever_the_machine_the_sums_hold(
            descriptors in prop_oneof![0..100u64, 0..100_000u64, any::<u64>()],
            memory_bytes: u64,
            asked in prop_oneof![Just(None), (1..=65_535usize).prop_map(Some)],
        ) {
            let asked = AskedLimits { sessions_max: asked, ..NOTHING_ASKED };
            let Ok((limits, _)) = settle(&asked, descriptors, memory_bytes) else {
                let sessions = asked.sessions_max.unwrap_or(0) as u64;
                prop_assert!(descriptors < 30 || sessions * 2 > carriers(descriptors, pipes(false, descriptors, memory_bytes)));
                return Ok(());
            };
            prop_assert!((1..=65_535).contains(&limits.sessions_max));
            prop_assert!(limits.per_client_max.is_none_or(|max| max < limits.sessions_max));
            prop_assert!((1..=limits.sessions_max).contains(&limits.openings_max));
            prop_assert!((4..=4_096).contains(&limits.buffers_max));
            prop_assert!((1..=1_024).contains(&limits.associations_max));
            prop_assert!((1..=limits.sessions_max).contains(&limits.established_max));
            prop_assert!(limits.heads_max >= 1);
            prop_assert!((1..=128).contains(&limits.queries_max));
            // The fixed share has one association.
            let beside = limits.sessions_max as u64 * 2
                + (limits.associations_max as u64 - 1) * 3
                + limits.pipes_max as u64 * 2;
            prop_assert!(limits.pipes_max <= 40);
            prop_assert!(beside <= carriers(descriptors, 0));
        }
    }
}
