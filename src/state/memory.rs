//! Memory that is short: what the system says of it, and what follows.
//!
//! Most of what a tunnel takes is the kernel's: what one end has sent and the other does not take
//! waits in socket buffers, up to hundreds of KiB. Tunnels that stand still with such bytes end
//! before the kernel has to end the program.

use std::fmt;

use crate::net::{Memory, Millis, Room};

/// The time between two looks at the memory while there are sessions, and while it is short.
const LOOK_EVERY_MS: Millis = 1_000;
const SHORT_LOOK_EVERY_MS: Millis = 250;

/// How long nothing has moved in a tunnel that stands still: some round trips of a slow line. Not
/// longer, because a download beside it is refused segments meanwhile, and its sender waits twice as
/// long before each next try (RFC 6298 §5.5).
pub const STILL_MS: Millis = 1_000;

/// Memory is short when less than one part in so many is free: what a network card brings in the
/// time between two looks has to fit.
const FREE_SHARE: u64 = 6;

/// But not where so much is free: large machines are used to the last eighth and better.
const FREE_BYTES_MAX: u64 = 64 << 20;

/// Of the tunnels that stand still, one in so many ends at a look, and not more than the next
/// figure: the look after that sees what it has brought.
const ENDS_SHARE: usize = 4;
const ENDS_MAX: usize = 16;

/// How many tunnels end at one look, if `still` stand still.
pub fn ends(still: usize) -> usize {
    still.div_ceil(ENDS_SHARE).min(ENDS_MAX)
}

impl Room {
    /// Less than this is free when memory is short.
    fn least_bytes(bytes: u64) -> u64 {
        (bytes / FREE_SHARE).min(FREE_BYTES_MAX)
    }

    /// Returns `true` if it is short; if it `was`, until a quarter more is free.
    fn is_short(self, was: bool) -> bool {
        let least = Self::least_bytes(self.bytes);
        self.free_bytes < least + if was { least / 4 } else { 0 }
    }
}

/// Which memory is short.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Shortage {
    /// The machine's.
    Machine,
    /// That of the control group.
    Cgroup,
    /// The kernel's for TCP.
    Tcp,
}

impl fmt::Display for Shortage {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Machine => "the machine's memory",
            Self::Cgroup => "the control group's memory",
            Self::Tcp => "the kernel's memory for TCP",
        })
    }
}

/// When memory is looked at, and whether it was short.
#[derive(Debug, Default)]
pub struct Watch {
    next: Millis,
    short: Option<Shortage>,
}

impl Watch {
    /// When the next look is due.
    pub fn next(&self) -> Millis {
        self.next
    }

    /// Returns what is short.
    pub fn look(&mut self, memory: &Memory, now: Millis) -> Option<Shortage> {
        let is_short = |room: Option<Room>, what| {
            room.is_some_and(|room| room.is_short(self.short == Some(what)))
        };
        self.short = if is_short(memory.machine, Shortage::Machine) {
            Some(Shortage::Machine)
        } else if is_short(memory.cgroup, Shortage::Cgroup) {
            Some(Shortage::Cgroup)
        } else if memory.is_tcp_pressed {
            Some(Shortage::Tcp)
        } else {
            None
        };
        self.next = now
            + match self.short {
                Some(_) => SHORT_LOOK_EVERY_MS,
                None => LOOK_EVERY_MS,
            };
        self.short
    }
}

/// How much the kernel may take for tunnels that stand still, on a machine with that memory,
/// before they end.
pub fn held_bytes_max(bytes: u64) -> u64 {
    bytes - Room::least_bytes(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    const MIB: u64 = 1 << 20;

    fn machine(free_bytes: u64, bytes: u64) -> Memory {
        Memory {
            machine: Some(Room { free_bytes, bytes }),
            ..Memory::default()
        }
    }

    #[test]
    fn memory_stays_short_until_a_quarter_more_is_free() {
        let mut watch = Watch::default();
        let mut look = |free| watch.look(&machine(free, 48 * MIB), 0);
        assert_eq!(look(8 * MIB), None);
        assert_eq!(look(8 * MIB - 1), Some(Shortage::Machine));
        assert_eq!(look(10 * MIB - 1), Some(Shortage::Machine));
        assert_eq!(look(10 * MIB), None);
        assert_eq!(look(8 * MIB), None);
    }

    #[test]
    fn what_is_not_told_is_not_short() {
        let mut watch = Watch::default();
        assert_eq!(watch.look(&Memory::default(), 5), None);
        assert_eq!(watch.next(), 1_005);
        assert_eq!(watch.look(&machine(0, 0), 5), None);
    }

    #[test]
    fn a_large_machine_is_used_to_the_last_64_mib() {
        let mut watch = Watch::default();
        let gib = 1024 * MIB;
        assert_eq!(watch.look(&machine(64 * MIB, 16 * gib), 0), None);
        assert!(watch.look(&machine(63 * MIB, 16 * gib), 0).is_some());
        assert_eq!(watch.next(), 250);
    }

    #[test]
    fn the_first_that_is_short_is_named() {
        let mut watch = Watch::default();
        let room = Some(Room {
            free_bytes: 1,
            bytes: 100,
        });
        let memory = Memory {
            machine: None,
            cgroup: room,
            is_tcp_pressed: true,
        };
        assert_eq!(watch.look(&memory, 0), Some(Shortage::Cgroup));
        let memory = Memory {
            cgroup: None,
            ..memory
        };
        assert_eq!(watch.look(&memory, 0), Some(Shortage::Tcp));
    }

    #[test]
    fn a_few_end_at_a_look() {
        assert_eq!([0, 1, 4, 5, 250].map(ends), [0, 1, 1, 2, 16]);
    }
}
