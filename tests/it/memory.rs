//! Memory as the sum that README.md gives; and memory that is short, in a control group of a test's
//! own: who loses its tunnel, and who does not. (The machine's own and TCP's are short in `router.rs`, where nobody else lives.)

use std::fs;
use std::io::{ErrorKind, Read};
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::ops::RangeInclusive;
use std::path::PathBuf;
use std::process::{self, Command};
use std::thread;
use std::time::Duration;

use crate::support::targets::{Target, echo, endless};
use crate::support::web::{answer, get};
use crate::support::wire::{Client, GREETING, Way};
use crate::support::{Proxy, binary, is_emulated, not_run, on_loopback, wait_until};

/// The limit of the group, and what a file in memory takes of it to make it short.
const LIMIT: u64 = 64 << 20;
const FILL: u64 = 58 << 20;

/// What the README says that an idle tunnel takes of the program's memory, in bytes, and what the
/// allocator's pages may add or hold back in all.
const TUNNEL_BYTES: RangeInclusive<i64> = 350..=400;
const PAGES_KIB: i64 = 48;

/// And a connection that is being opened, beside its session.
const OPENING_BYTES: i64 = 2 << 10;

/// Until a download that nobody reads has come to a stand.
const SETTLE: Duration = Duration::from_secs(1);

/// And a forwarded request on a connection that was kept, beside its pair: what `--check` counts.
const EXCHANGE_BYTES: i64 = 4_400;

/// As many as show beside the pages.
const TUNNELS: i64 = 1_000;
const STALLED: i64 = 48;
const OPENINGS: i64 = 300;

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
            thread::sleep(Duration::from_millis(10));
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

/// A target that accepts, and holds what it has accepted.
fn silent() -> SocketAddr {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        listener
            .incoming()
            .map_while(Result::ok)
            .collect::<Vec<_>>()
    });
    addr
}

#[test]
fn memory_is_the_sum_of_what_tunnels_buffers_and_openings_take() {
    if is_emulated() {
        return not_run("memory: the emulator's own would be counted");
    }
    let proxy = Proxy::start(&[]);
    let (target, source) = (silent(), endless());
    let grown = |since: i64| proxy.memory_kib("Anonymous") - since;
    // What is set up once, for the first client, is no client's.
    let _first: Vec<_> = (0..20).map(|_| proxy.tunnel(target)).collect();
    let start = proxy.memory_kib("Anonymous");

    let _idle: Vec<_> = (0..TUNNELS).map(|_| proxy.tunnel(target)).collect();
    let tunnels = grown(start);
    let least = TUNNELS * TUNNEL_BYTES.start() / 1024 - PAGES_KIB;
    let most = TUNNELS * TUNNEL_BYTES.end() / 1024 + PAGES_KIB;
    assert!(
        (least..=most).contains(&tunnels),
        "{tunnels} KiB of tunnels"
    );

    // A buffer each at most, while one end takes nothing.
    let before = proxy.memory_kib("Anonymous");
    let stalled: Vec<_> = (0..STALLED).map(|_| proxy.tunnel(source)).collect();
    thread::sleep(SETTLE);
    let buffers = grown(before);
    let most = STALLED * (8 + 1) + PAGES_KIB;
    assert!(buffers <= most, "{buffers} KiB of buffers");
    drop(stalled);

    let before = proxy.memory_kib("Anonymous");
    let opening = |_| {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &GREETING);
        client.hear(2);
        client
    };
    let _openings: Vec<_> = (0..OPENINGS).map(opening).collect();
    let openings = grown(before);
    let most = OPENINGS * (OPENING_BYTES + TUNNEL_BYTES.end()) / 1024 + PAGES_KIB;
    assert!(openings <= most, "{openings} KiB of openings");
}

/// So many connections of clients that wait for their next request, each with its server's.
fn pairs(proxy: &Proxy, target: &Target) -> Vec<(Client, Client)> {
    let pair = |_| {
        let mut client = proxy.client();
        client.say(Way::Pipelined, get(target.addr, "/")[0].as_bytes());
        let mut server = Client::from(target.accept());
        server.head();
        server.say(Way::Pipelined, answer("well").as_bytes());
        client.hear(answer("well").len());
        (client, server)
    };
    (0..OPENINGS).map(pair).collect()
}

#[test]
fn a_request_on_a_kept_connection_takes_what_is_counted_for_it() {
    if is_emulated() {
        return not_run("memory: the emulator's own would be counted");
    }
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let mut pairs = pairs(&proxy, &target);
    let start = proxy.memory_kib("Anonymous");
    // No head waits outside of the table with more than 2 KiB.
    let request = get(target.addr, &format!("/{}", "a".repeat(1_800)))[0].clone();
    for (client, server) in &mut pairs {
        client.say(Way::Pipelined, request.as_bytes());
        server.head();
        client.say(Way::Pipelined, &request.as_bytes()[..1_024]);
    }
    thread::sleep(SETTLE);
    let grown = proxy.memory_kib("Anonymous") - start;
    let most = OPENINGS * EXCHANGE_BYTES / 1024 + PAGES_KIB;
    assert!(grown <= most, "{grown} KiB of exchanges, not {most}");
    // They are there: a head is kept until there is an answer.
    assert!(grown >= OPENINGS * 2, "{grown} KiB of exchanges");
}

#[test]
fn empty_lines_between_two_requests_take_nothing() {
    if is_emulated() {
        return not_run("memory: the emulator's own would be counted");
    }
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let mut pairs = pairs(&proxy, &target);
    let start = proxy.memory_kib("Anonymous");
    for (client, _) in &mut pairs {
        client.say(Way::Pipelined, "\r\n".repeat(500).as_bytes());
    }
    thread::sleep(SETTLE);
    let grown = proxy.memory_kib("Anonymous") - start;
    assert!(grown <= PAGES_KIB, "{grown} KiB of empty lines");
}
