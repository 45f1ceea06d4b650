//! What the kernel says of memory: /proc/meminfo, the control group (versions 1 and 2), and
//! whether TCP is under pressure.
//!
//! The files are small, and opened anew each time: their descriptors are among those that are kept
//! for files which are read again.

use super::file::{self, Words, lines};
use crate::net::{Memory, Room};
use crate::wire::decimal;

/// Bytes of one of these files that are read at most; the largest has some 4 KiB.
const FILE_BYTES_MAX: usize = 1 << 16;

/// Where memory is told of.
#[derive(Debug)]
pub struct Source {
    /// The folder of the control group that has a limit, with the names in it.
    cgroup: Option<(String, &'static Names)>,
}

/// What a version of control groups calls its files.
#[derive(Debug, PartialEq, Eq)]
struct Names {
    /// What stands before the path in a line of /proc/self/cgroup, behind its number.
    controller: &'static str,
    root: &'static str,
    limit: &'static str,
    usage: &'static str,
    /// The counts of cached files, with those of the groups below.
    cached: [&'static str; 2],
}

static V2: Names = Names {
    controller: "::",
    root: "/sys/fs/cgroup",
    limit: "/memory.max",
    usage: "/memory.current",
    cached: ["active_file ", "inactive_file "],
};

static V1: Names = Names {
    controller: ":memory:",
    root: "/sys/fs/cgroup/memory",
    limit: "/memory.limit_in_bytes",
    usage: "/memory.usage_in_bytes",
    cached: ["total_active_file ", "total_inactive_file "],
};

impl Source {
    /// Finds the control group: its own, or the nearest above it, that has a limit.
    pub fn find() -> Self {
        Self {
            cgroup: lines(&read("/proc/self/cgroup")).find_map(limited),
        }
    }

    /// Reads what there is.
    pub fn read(&self) -> Memory {
        let room = |(folder, names): &(String, &Names)| cgroup_room(folder, names);
        Memory {
            machine: machine_room(&read("/proc/meminfo")),
            cgroup: self.cgroup.as_ref().and_then(room),
            is_tcp_pressed: is_tcp_pressed(&read("/proc/net/protocols")),
        }
    }
}

/// What is in a file; nothing if it cannot be read.
fn read(path: &str) -> Vec<u8> {
    file::read(path, FILE_BYTES_MAX).unwrap_or_default().0
}

/// The number that a file of a group consists of; `None` for the `max` of one without a limit.
fn read_number(folder: &str, name: &str) -> Option<u64> {
    decimal(read(&format!("{folder}{name}")).trim_ascii())
}

/// The folder with a limit that a line of /proc/self/cgroup leads to: `0::/path`, or
/// `4:memory:/path`. In a container the path may be that outside of it: then the mount's root is
/// the group.
fn limited(line: &[u8]) -> Option<(String, &'static Names)> {
    let (names, path) = group(line)?;
    let mut folder = format!("{}{path}", names.root);
    while read_number(&folder, names.limit).is_none() {
        let above = folder.bytes().rposition(|byte| byte == b'/')?;
        if above < names.root.len() {
            return None;
        }
        folder.truncate(above);
    }
    Some((folder, names))
}

/// The version and the path in a line of /proc/self/cgroup, if it is about memory.
fn group(line: &[u8]) -> Option<(&'static Names, &str)> {
    let colon = line.iter().position(|byte| *byte == b':')?;
    let line = str::from_utf8(&line[colon..]).ok()?;
    let path = |names: &'static Names| Some((names, line.strip_prefix(names.controller)?));
    path(&V2).or_else(|| path(&V1))
}

/// What the limit leaves, with the files that are cached: the kernel gives these up first.
fn cgroup_room(folder: &str, names: &Names) -> Option<Room> {
    let bytes = read_number(folder, names.limit)?;
    let used = read_number(folder, names.usage)?;
    let counts = read(&format!("{folder}/memory.stat"));
    let mut free_bytes = bytes.saturating_sub(used);
    for name in names.cached {
        let cached = count(&counts, name).unwrap_or(0);
        free_bytes = free_bytes.saturating_add(cached);
    }
    Some(Room { free_bytes, bytes })
}

/// MemAvailable of MemTotal. Kernels before 3.14 have only the second: then it is not short.
fn machine_room(text: &[u8]) -> Option<Room> {
    let bytes = |key| count(text, key)?.checked_mul(1024);
    Some(Room {
        free_bytes: bytes("MemAvailable:").unwrap_or(u64::MAX),
        bytes: bytes("MemTotal:")?,
    })
}

/// The number behind `key` at the start of a line.
fn count(text: &[u8], key: &str) -> Option<u64> {
    decimal(words_after(text, key)?.next()?)
}

/// Column `press` of /proc/net/protocols: TCP has taken more than the middle figure of
/// net.ipv4.tcp_mem, and since then not less than the first (tcp(7)).
fn is_tcp_pressed(text: &[u8]) -> bool {
    words_after(text, "TCP ").and_then(|mut words| words.nth(3)) == Some(b"yes")
}

/// The words behind `key` in the first line that begins with it.
fn words_after<'a>(text: &'a [u8], key: &str) -> Option<Words<'a>> {
    lines(text).find_map(|line| line.strip_prefix(key.as_bytes()).map(Words))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn meminfo_says_what_is_available() {
        let text = b"MemTotal:       58604 kB\nMemFree:    1 kB\nMemAvailable:   20000 kB\n";
        let room = machine_room(text).unwrap();
        assert_eq!((room.free_bytes, room.bytes), (20_000 << 10, 58_604 << 10));
        let old = machine_room(b"MemTotal: 58604 kB\n").unwrap();
        assert_eq!(old.free_bytes, u64::MAX);
        assert!(machine_room(b"MemTotal:\nMemAvailable: 1\n").is_none());
        let real = Source::find().read().machine.unwrap();
        assert!(real.free_bytes > 1 << 20 && real.free_bytes < real.bytes);
    }

    #[test]
    fn tcp_is_pressed_when_the_kernel_says_so() {
        let line = |press| {
            format!(
                "protocol  size sockets  memory press maxhdr\n\
                 TCPv6     2432      0     442   no     192   yes  kernel\n\
                 TCP       2304      1    1990   {press}     192   yes  kernel\n"
            )
        };
        assert!(is_tcp_pressed(line("yes").as_bytes()));
        assert!(!is_tcp_pressed(line("no").as_bytes()));
        assert!(!is_tcp_pressed(b"TCP 1 2\n"));
    }

    #[test]
    fn control_groups_of_both_versions_are_found() {
        assert_eq!(group(b"0::/a/b"), Some((&V2, "/a/b")));
        assert_eq!(group(b"4:memory:/"), Some((&V1, "/")));
        assert_eq!(group(b"3:cpuset:/a"), None);
        assert_eq!(group(b"3:cpuset:/memory:/a"), None);
        assert_eq!(group(b"memory"), None);
    }

    #[test]
    fn cached_files_count_as_free_in_a_control_group() {
        let name = format!("anklet-cgroup-{}", std::process::id());
        let folder = std::env::temp_dir().join(name);
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.to_str().unwrap();
        let put = |name: &str, text: &str| std::fs::write(format!("{path}{name}"), text).unwrap();
        put("/memory.max", "1000\n");
        put("/memory.current", "900\n");
        assert_eq!(cgroup_room(path, &V2).unwrap().free_bytes, 100);
        put(
            "/memory.stat",
            "anon 5\nfile 9\ninactive_file 30\nactive_file 4\n",
        );
        assert_eq!(cgroup_room(path, &V2).unwrap().free_bytes, 134);
        put("/memory.max", "max\n");
        assert!(cgroup_room(path, &V2).is_none());
        std::fs::remove_dir_all(folder).unwrap();
    }
}
