//! Memory that is short, in a control group of a test's own: who loses its tunnel, and who does
//! not. (The machine's own and TCP's are short in `router.rs`, where nobody else lives.)

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::TcpStream;
use std::path::PathBuf;
use std::process::{self, Command};

use crate::support::targets::{echo, endless};
use crate::support::{Proxy, binary, is_emulated, not_run, on_loopback, wait_until};

/// The limit of the group, and what a file in memory takes of it to make it short.
const LIMIT: u64 = 64 << 20;
const FILL: u64 = 58 << 20;

/// A control group with a limit of memory. Ends when dropped.
struct Group {
    folder: PathBuf,
    file: String,
}

impl Group {
    /// A group of version 2 or 1, where this process may make one; says so where not.
    fn new(name: &str) -> Option<Self> {
        if is_emulated() {
            not_run("memory: the group's would be the emulator's");
            return None;
        }
        let name = format!("anklet-{name}-{}", process::id());
        let versions = [
            ("/sys/fs/cgroup", "memory.max"),
            ("/sys/fs/cgroup/memory", "memory.limit_in_bytes"),
        ];
        for (root, limit) in versions {
            let folder = PathBuf::from(root).join(&name);
            let group = Self {
                file: format!("/dev/shm/{name}"),
                folder,
            };
            // The file is there by itself in a control group, and not in another file system.
            let limit = group.folder.join(limit);
            let made = fs::create_dir(&group.folder).is_ok() && limit.exists();
            if made && fs::write(limit, LIMIT.to_string()).is_ok() {
                return Some(group);
            }
        }
        not_run("memory: making a control group needs to be root, and that it has memory");
        None
    }

    /// What starts a program in the group.
    fn wrapper(&self) -> [String; 4] {
        let procs = self.folder.join("cgroup.procs");
        let script = format!("echo $$ >{} && exec \"$@\"", procs.display());
        ["sh", "-c", &script, "sh"].map(String::from)
    }

    /// Takes memory of the group.
    fn fill(&self) {
        let [shell, flag, script, name] = self.wrapper();
        let fill = format!("head -c {FILL} /dev/zero >{}", self.file);
        let words = [&flag, &script, &name, "sh", "-c", &fill].map(str::to_owned);
        let status = Command::new(shell).args(words).status().unwrap();
        assert!(status.success());
    }

    /// Gives it back.
    fn empty(&self) {
        // It may not have been filled.
        let _ = fs::remove_file(&self.file);
    }
}

impl Drop for Group {
    fn drop(&mut self) {
        self.empty();
        // The last process in it may not be quite gone: waiting here would hide a panic.
        for _ in 0..100 {
            if fs::remove_dir(&self.folder).is_ok() || !self.folder.exists() {
                return;
            }
            std::thread::sleep(std::time::Duration::from_millis(10));
        }
    }
}

#[test]
fn while_memory_is_short_tunnels_that_stand_still_end_and_no_others() {
    let Some(group) = Group::new("short") else {
        return;
    };
    let wrapper = group.wrapper();
    let proxy = Proxy::launch(on_loopback(&wrapper.each_ref().map(String::as_str), &[]));
    let (source, echo) = (endless(), echo());
    let mut idle = proxy.tunnel(echo);
    idle.echo(b"before");
    let stalled: Vec<_> = (0..3).map(|_| proxy.tunnel(source)).collect();
    let mut moving = proxy.tunnel(source).stream;
    group.fill();
    let mut block = vec![0; 1 << 16];
    wait_until("the last of three to end", || {
        moving.read_exact(&mut block).unwrap();
        proxy.log_text().matches(", memory is short").count() == stalled.len()
    });
    proxy.wait_log("WARN  [anklet] the control group's memory is short: tunnels");
    for client in &stalled {
        assert!(
            is_reset(&client.stream),
            "a part must not pass for the whole"
        );
    }
    for _ in 0..100 {
        moving.read_exact(&mut block).unwrap();
    }
    idle.echo(b"after");
    proxy.tunnel(echo).echo(b"new");
}

/// Whether a connection ends by a reset.
fn is_reset(mut stream: &TcpStream) -> bool {
    let mut bytes = Vec::new();
    let end = stream.read_to_end(&mut bytes);
    end.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

#[test]
fn the_number_of_sessions_follows_a_control_groups_limit() {
    let Some(group) = Group::new("limit") else {
        return;
    };
    let [shell, flag, script, name] = group.wrapper();
    let output = Command::new(shell)
        .args([&flag, &script, &name, &binary(), "--check"])
        .output()
        .unwrap();
    let text = String::from_utf8(output.stdout).unwrap();
    // A quarter of 64 MiB in pieces of 16 KiB.
    assert!(text.contains("\nmax-sessions: 1024\n"), "{text}");
}
