//! Support for the integration tests: the proxy as a child process, its log, its figures.
//!
//! `wire` is the raw client, `socks4` and `web` are its other dialects, `udp` its datagrams;
//! `targets` is what a tunnel leads to, `site` what foreign programs (`foreign`) ask for,
//! `name_server` a DNS server, `namespace` a network of one's own, `again` a process of one's
//! own, `crowd` what comes before it in a pass, `checkout` the files of this project. Everything waits for a condition with a
//! deadline; ports are free ones, the kernel's choice where nothing speaks against that; a child
//! ends with the value that holds it.

pub(crate) mod again;
pub(crate) mod checkout;
pub(crate) mod crowd;
pub(crate) mod foreign;
pub(crate) mod json;
pub(crate) mod name_server;
pub(crate) mod namespace;
pub(crate) mod site;
pub(crate) mod socks4;
pub(crate) mod targets;
pub(crate) mod udp;
pub(crate) mod web;
pub(crate) mod wire;

use std::env;
use std::ffi::OsString;
use std::fs;
use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::PermissionsExt;
use std::path::PathBuf;
use std::process::{self, Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{self, Signal};
use nix::unistd::Pid;

use json::Json;
use wire::{Client, GREETING, Way};

/// How long anything may take before a test fails. Generous: the CPU may be an emulated router's.
pub(crate) const DEADLINE: Duration = Duration::from_secs(10);

/// How often a condition is looked at that nothing announces.
const POLL_INTERVAL: Duration = Duration::from_millis(5);

/// A proxy under test. Killed when dropped.
pub(crate) struct Proxy {
    child: Child,
    /// The first address it listens on.
    pub(crate) addr: SocketAddr,
    log: Arc<Log>,
}

impl Proxy {
    /// A proxy on a free port of 127.0.0.1, with `options` behind.
    pub(crate) fn start(options: &[&str]) -> Self {
        Self::launch(on_loopback(&[], options))
    }

    /// The same with system calls that fail, as strace's `inject` says; `None` where it cannot make
    /// them fail: it would trace an emulator.
    pub(crate) fn with_failing(inject: &str, options: &[&str]) -> Option<Self> {
        if is_emulated() || !is_installed("strace") {
            return None;
        }
        let inject = format!("inject={inject}");
        let tracer = ["strace", "-D", "-qq", "-o", "/dev/null", "-e", &inject];
        Some(Self::launch(on_loopback(&tracer, options)))
    }

    /// A proxy whose only user is ann, with the password "secret".
    pub(crate) fn locked() -> Self {
        Self::start(&["-u", "ann", "-P", "secret"])
    }

    /// A proxy started by `command`, once it listens.
    pub(crate) fn launch(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let log = Log::follow(child.stderr.take().unwrap());
        let unset = SocketAddr::from((Ipv4Addr::UNSPECIFIED, 0));
        let mut proxy = Self {
            child,
            addr: unset,
            log,
        };
        let line = proxy.wait_log("listening on ");
        proxy.addr = listening_addr(&line);
        proxy
    }

    /// A proxy whose standard error nobody reads. Its port is found in the kernel's table.
    pub(crate) fn unread(mut command: Command, stderr: Stdio) -> Self {
        let child = command.stdin(Stdio::null()).stderr(stderr).spawn().unwrap();
        let unset = SocketAddr::from((Ipv4Addr::LOCALHOST, 0));
        let mut proxy = Self {
            child,
            addr: unset,
            log: Arc::new(Log::default()),
        };
        wait_until("a listener", || {
            proxy.addr.set_port(proxy.listening_port().unwrap_or(0));
            proxy.addr.port() != 0
        });
        proxy
    }

    /// The reading end of a pipe given as standard error, where it was left unread.
    pub(crate) fn take_stderr(&mut self) -> impl Read + use<> {
        self.child.stderr.take().unwrap()
    }

    /// A new connection to it.
    pub(crate) fn client(&self) -> Client {
        Client::connect(self.addr)
    }

    /// A new connection to it from another address of this machine.
    pub(crate) fn client_from(&self, source: &str) -> Client {
        Client::connect_from(source, self.addr)
    }

    /// A tunnel to `target`.
    pub(crate) fn tunnel(&self, target: SocketAddr) -> Client {
        let mut client = self.client();
        client.open(target);
        client
    }

    /// The process.
    pub(crate) fn pid(&self) -> u32 {
        self.child.id()
    }

    /// Sends a signal.
    pub(crate) fn signal(&self, signal: Signal) {
        signal::kill(Pid::from_raw(self.pid().cast_signed()), signal).unwrap();
    }

    /// Stops it while it waits for events, until SIGCONT: all that comes meanwhile it finds at once.
    /// In the middle of a turn it would find a part of that in the rest of the turn.
    pub(crate) fn pause(&self) {
        wait_until("it waits for events", || {
            let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
            stat.rsplit_once(')').unwrap().1.starts_with(" S")
        });
        self.signal(Signal::SIGSTOP);
    }

    /// Its exit status, within `limit`.
    pub(crate) fn exit_within(&mut self, limit: Duration) -> ExitStatus {
        let start = Instant::now();
        while start.elapsed() < limit {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            thread::sleep(POLL_INTERVAL);
        }
        panic!(
            "still running after {limit:?}; its log:\n{}",
            self.log_text()
        );
    }

    /// Whether it is still running.
    pub(crate) fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    /// The first line of the log that contains all of `needles`, once it is there.
    pub(crate) fn wait_log_all(&self, needles: &[&str]) -> String {
        self.log.wait(needles)
    }

    /// The first line of the log that contains `needle`, once it is there.
    pub(crate) fn wait_log(&self, needle: &str) -> String {
        self.log.wait(&[needle])
    }

    /// The line of the finished session of `client`, once it is there.
    pub(crate) fn session_line(&self, client: SocketAddr) -> String {
        self.wait_log_all(&["INFO", &format!(" {client} "), " -> ", " bytes, "])
    }

    /// The line of a finished session that led to `target`, once it is there.
    pub(crate) fn session_line_to(&self, target: SocketAddr) -> String {
        self.wait_log_all(&["INFO", &format!(" ({target}), "), " bytes, "])
    }

    /// Prints what it says of itself: its log, with a fresh report at the end if it lives.
    fn testify(&mut self) {
        let ended = self.child.try_wait();
        if let Ok(None) = ended {
            let pid = Pid::from_raw(self.pid().cast_signed());
            let _ = signal::kill(pid, Signal::SIGUSR1);
            // There is no telling which line is the last.
            thread::sleep(Duration::from_millis(200));
        }
        println!("the proxy ({ended:?}) says:\n{}", self.log_text());
    }

    /// A fresh report of USR1, put together of its lines in the log.
    pub(crate) fn report(&self) -> Json {
        const FIRST: &str = "INFO  [anklet] {\"version\"";
        const LAST: &str = "INFO  [anklet] ]}";
        let count = |log: &str| log.lines().filter(|line| *line == LAST).count();
        let before = count(&self.log_text());
        self.signal(Signal::SIGUSR1);
        wait_until("a report", || count(&self.log_text()) > before);
        let log = self.log_text();
        let lines: Vec<&str> = log.lines().collect();
        let first = lines.iter().rposition(|line| line.starts_with(FIRST));
        let last = lines.iter().rposition(|line| *line == LAST);
        let report = &lines[first.unwrap()..=last.unwrap()];
        let text = report.iter().map(|line| &line["INFO  [anklet] ".len()..]);
        Json::parse(&text.collect::<String>())
    }

    /// The log so far.
    pub(crate) fn log_text(&self) -> String {
        self.log.state.lock().unwrap().0.join("\n")
    }

    /// Its memory in KiB: `Rss`, or `Anonymous`, which is RssAnon of /proc/PID/status counted
    /// page by page. The kernel's running count there lags by up to 128 KiB per processor.
    pub(crate) fn memory_kib(&self, field: &str) -> i64 {
        let sums = fs::read_to_string(format!("/proc/{}/smaps_rollup", self.pid())).unwrap();
        let line = sums
            .lines()
            .find(|line| line.starts_with(&format!("{field}:")))
            .unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    /// Processor time used so far, in ticks of 10 ms (USER_HZ).
    pub(crate) fn cpu_ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // Behind the name in parentheses, utime and stime are the 12th and 13th field.
        let fields = stat.rsplit_once(')').unwrap().1.split_whitespace();
        fields
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<u64>().unwrap())
            .sum()
    }

    /// How many descriptors it has open.
    pub(crate) fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid()))
            .unwrap()
            .count()
    }

    /// How many it has without clients, once its start is over: it serves one.
    pub(crate) fn idle_descriptors(&self) -> usize {
        let mut client = self.client();
        client.say(Way::Pipelined, &GREETING);
        client.hear(2);
        let idle = self.descriptors() - 1;
        drop(client);
        self.wait_descriptors(idle);
        idle
    }

    /// Waits until it has `count` descriptors open.
    pub(crate) fn wait_descriptors(&self, count: usize) {
        wait_until(&format!("{count} descriptors"), || {
            self.descriptors() == count
        });
    }

    /// The rows of the kernel's IPv4 TCP table, as this process sees it.
    pub(crate) fn tcp_rows(&self) -> Vec<TcpRow> {
        let table = fs::read_to_string(format!("/proc/{}/net/tcp", self.pid())).unwrap_or_default();
        table.lines().skip(1).filter_map(TcpRow::parse).collect()
    }

    /// The far end of a connection of the proxy ends it, which the proxy's system has heard of, and
    /// breaks it.
    pub(crate) fn end_and_break(&self, far_end: TcpStream) {
        let port = far_end.local_addr().unwrap().port();
        far_end.shutdown(Shutdown::Write).unwrap();
        wait_until("the end is acknowledged", || {
            let rows = self.tcp_rows();
            let mut ends = rows.iter().filter(|row| row.local_port == port);
            ends.any(|row| row.state == TcpRow::FIN_WAIT2)
        });
        wire::abort(far_end);
    }

    fn listening_port(&self) -> Option<u16> {
        let links = fs::read_dir(format!("/proc/{}/fd", self.pid())).ok()?;
        let sockets: Vec<PathBuf> = links
            .filter_map(|link| fs::read_link(link.ok()?.path()).ok())
            .collect();
        let is_own = |row: &TcpRow| sockets.contains(&format!("socket:[{}]", row.inode).into());
        let rows = self.tcp_rows();
        rows.iter()
            .find(|row| row.state == TcpRow::LISTEN && is_own(row))
            .map(|row| row.local_port)
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        if thread::panicking() {
            self.testify();
        }
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// One line of /proc/net/tcp.
pub(crate) struct TcpRow {
    /// The port of this end.
    pub(crate) local_port: u16,
    /// The port of the other end.
    pub(crate) peer_port: u16,
    /// The kernel's state number.
    pub(crate) state: u8,
    /// The bytes that have come and are not read.
    pub(crate) unread: u64,
    /// Which timer is pending; 2 is keepalive.
    pub(crate) timer: u8,
    /// When it fires, in ticks of 10 ms (USER_HZ).
    pub(crate) timer_ticks: u64,
    inode: u64,
}

impl TcpRow {
    /// State of an open connection.
    pub(crate) const ESTABLISHED: u8 = 1;
    /// State of one that has sent its end, which is not acknowledged yet.
    pub(crate) const FIN_WAIT1: u8 = 4;
    /// State of one whose end is acknowledged, and whose other end goes on.
    const FIN_WAIT2: u8 = 5;
    const LISTEN: u8 = 10;

    fn parse(line: &str) -> Option<Self> {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let port = |field: &str| u16::from_str_radix(field.split_once(':')?.1, 16).ok();
        let (_, unread) = fields.get(4)?.split_once(':')?;
        let (timer, ticks) = fields.get(5)?.split_once(':')?;
        Some(Self {
            local_port: port(fields[1])?,
            peer_port: port(fields[2])?,
            state: u8::from_str_radix(fields[3], 16).ok()?,
            unread: u64::from_str_radix(unread, 16).ok()?,
            timer: u8::from_str_radix(timer, 16).ok()?,
            timer_ticks: u64::from_str_radix(ticks, 16).ok()?,
            inode: fields.get(9)?.parse().ok()?,
        })
    }
}

/// The lines that the proxy has written so far; the flag says that it has closed its end.
#[derive(Default)]
struct Log {
    state: Mutex<(Vec<String>, bool)>,
    changed: Condvar,
}

impl Log {
    fn follow(stderr: impl Read + Send + 'static) -> Arc<Self> {
        let log = Arc::new(Self::default());
        let writer = log.clone();
        thread::spawn(move || {
            for line in BufReader::new(stderr).split(b'\n') {
                let Ok(line) = line else { break };
                writer
                    .state
                    .lock()
                    .unwrap()
                    .0
                    .push(String::from_utf8_lossy(&line).into());
                writer.changed.notify_all();
            }
            writer.state.lock().unwrap().1 = true;
            writer.changed.notify_all();
        });
        log
    }

    fn wait(&self, needles: &[&str]) -> String {
        let matches = |line: &&String| needles.iter().all(|needle| line.contains(needle));
        let start = Instant::now();
        let mut state = self.state.lock().unwrap();
        loop {
            if let Some(line) = state.0.iter().find(matches) {
                return line.clone();
            }
            let left = DEADLINE.saturating_sub(start.elapsed());
            if state.1 || left.is_zero() {
                let text = state.0.join("\n");
                drop(state);
                panic!("no line of the log has {needles:?}:\n{text}");
            }
            state = self.changed.wait_timeout(state, left).unwrap().0;
        }
    }
}

/// The address in a line that tells where the proxy listens.
pub(crate) fn listening_addr(line: &str) -> SocketAddr {
    let addr = line
        .split_once("listening on ")
        .unwrap()
        .1
        .split_whitespace()
        .next()
        .unwrap();
    addr.parse().unwrap()
}

/// The program that is tested: cargo's, or `ANKLET_BINARY`, which may be for another processor
/// that `ANKLET_RUNNER` emulates ("qemu-mips-static -cpu 24Kc").
pub(crate) fn binary() -> String {
    env::var("ANKLET_BINARY").unwrap_or_else(|_| env!("CARGO_BIN_EXE_anklet").into())
}

/// The command that starts the proxy, with the runner in front of it, behind `wrapper`.
pub(crate) fn command(wrapper: &[&str], options: &[&str]) -> Command {
    let runner = env::var("ANKLET_RUNNER").unwrap_or_default();
    let mut words: Vec<OsString> = wrapper.iter().map(OsString::from).collect();
    words.extend(runner.split_whitespace().map(OsString::from));
    words.push(binary().into());
    let mut command = Command::new(&words[0]);
    command.args(&words[1..]).args(options);
    command
}

/// The same on a free port of 127.0.0.1.
pub(crate) fn on_loopback(wrapper: &[&str], options: &[&str]) -> Command {
    command(
        wrapper,
        &[&["-i", "127.0.0.1", "-p", "0"], options].concat(),
    )
}

/// Whether the proxy runs on an emulated processor: its memory and time are the emulator's.
pub(crate) fn is_emulated() -> bool {
    env::var_os("ANKLET_RUNNER").is_some_and(|runner| !runner.is_empty())
}

/// Whether the emulator hands the error of a failed connect (SO_ERROR) on with this machine's
/// number, which means something else on MIPS; says so. QEMU did until version 8.0.
pub(crate) fn is_error_lost() -> bool {
    let runner = env::var("ANKLET_RUNNER").unwrap_or_default();
    let Some(emulator) = runner
        .split_whitespace()
        .next()
        .filter(|e| e.contains("mips"))
    else {
        return false;
    };
    let version = Command::new(emulator).arg("--version").output().unwrap();
    let version = String::from_utf8(version.stdout).unwrap();
    let number = version.split("version ").nth(1).unwrap();
    let is_old = number.split('.').next().unwrap().parse::<u32>().unwrap() < 8;
    if is_old {
        not_run("QEMU before 8.0 does not translate the error of a failed connect");
    }
    is_old
}

/// Whether the emulator garbles the interface number of a link-local peer: QEMU swaps two of its
/// four bytes for a big-endian processor (`host_to_target_sockaddr`).
pub(crate) fn is_scope_lost() -> bool {
    let runner = env::var("ANKLET_RUNNER").unwrap_or_default();
    let is_lost = runner.starts_with("qemu-mips-");
    if is_lost {
        not_run("QEMU garbles the scope of a peer's address for big-endian MIPS");
    }
    is_lost
}

/// Says that a test was not run, past the capture of the test harness.
pub(crate) fn not_run(reason: &str) {
    note(&format!("not run: {reason}"));
}

/// Prints a line on standard error, past the capture of the test harness.
pub(crate) fn note(line: &str) {
    // A closed standard error is no reason to fail.
    let _ = writeln!(io::stderr(), "{line}");
}

/// Whether a program is there; says so where it is not.
pub(crate) fn is_installed(program: &str) -> bool {
    let path = env::var_os("PATH").unwrap_or_default();
    let found = env::split_paths(&path).any(|folder| folder.join(program).is_file());
    if !found {
        not_run(&format!("{program} is not installed"));
    }
    found
}

/// Waits until `condition` holds.
#[track_caller]
pub(crate) fn wait_until(what: &str, mut condition: impl FnMut() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < DEADLINE, "waited in vain for {what}");
        thread::sleep(POLL_INTERVAL);
    }
}

/// A folder of its own for one test's files, removed when dropped.
pub(crate) struct Folder(PathBuf);

impl Folder {
    /// An empty folder whose name contains `name`, and a number: other tests may use the same
    /// name at the same time.
    pub(crate) fn new(name: &str) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let number = COUNT.fetch_add(1, Ordering::Relaxed);
        let file = format!("anklet-{name}-{}-{number}", process::id());
        let path = env::temp_dir().join(file);
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// The path of a file in it, as an option's value.
    pub(crate) fn path(&self, file: &str) -> String {
        self.0.join(file).into_os_string().into_string().unwrap()
    }

    /// Writes a file that only its owner reads, and gives its path.
    pub(crate) fn write(&self, file: &str, text: &str) -> String {
        let path = self.path(file);
        fs::write(&path, text).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).unwrap();
        path
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        // What stays behind lies in the folder for temporary files.
        let _ = fs::remove_dir_all(&self.0);
    }
}
