//! Every system call fails, one kind and error at a time, in the running program: it serves on, or
//! ends with one clear line. It never panics, is never killed, spins on no call that keeps failing,
//! and leaks no descriptor by one that failed once.
//!
//! Not part of `cargo test`: `make faults` takes minutes. `FAULTS_CALLS=accept4,close` takes only
//! these. strace makes the calls fail, without making them.

use std::collections::BTreeMap;
use std::env;
use std::fs;
use std::io::{BufRead, BufReader, Read, Write};
use std::net::{Ipv4Addr, SocketAddr, TcpStream, UdpSocket};
use std::process::{Child, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::name_server::{Answer, NameServer};
use crate::support::targets::{echo, port_free_on};
use crate::support::wire::loopback;
use crate::support::{Folder, command, is_emulated, is_installed, not_run, note};

const ERRORS: [&str; 6] = ["EMFILE", "ENOMEM", "ENOBUFS", "EINTR", "EIO", "EPERM"];

/// The occurrences that fail, one at a time. Then all from the first on.
const OCCURRENCES: usize = 5;

/// Calls of the C library and of Rust's runtime before and behind `main`: what becomes of them is
/// not the program's to decide.
const RUNTIME: [&str; 19] = [
    "execve",
    "brk",
    "mmap",
    "munmap",
    "mprotect",
    "arch_prctl",
    "set_tid_address",
    "set_robust_list",
    "rseq",
    "pread64",
    "access",
    "sigaltstack",
    "rt_sigaction",
    "exit_group",
    "fstat",
    "newfstatat",
    "getrandom",
    "sched_getaffinity",
    "gettid",
];

/// How long anything may take that is to succeed.
const PATIENCE: Duration = Duration::from_secs(4);

/// Programs at once.
const WORKERS: usize = 4;

/// A call that fails.
struct Fault {
    call: String,
    error: &'static str,
    /// How many of its kind the loader and the runtime make before `main`.
    before: usize,
    /// Which one of the program's fails; `None`: all of them.
    occurrence: Option<usize>,
}

impl Fault {
    fn when(&self) -> String {
        self.occurrence
            .map_or_else(|| "all".into(), |number| number.to_string())
    }
}

/// What a client asks for.
struct Site {
    target: SocketAddr,
    names: NameServer,
    _folder: Folder,
    users: String,
}

/// The program under strace, which is no child of its own: the child is the program.
struct Tested {
    child: Child,
    addr: SocketAddr,
    log: Arc<Mutex<Vec<String>>>,
}

impl Tested {
    fn start(site: &Site, strace: &[&str]) -> Self {
        let addr = loopback(1, port_free_on(&[Ipv4Addr::LOCALHOST.into()]));
        let (port, names) = (addr.port().to_string(), site.names.option());
        let wrapper = [&["strace", "-D", "-qq"], strace].concat();
        let options = ["-i", "127.0.0.1", "-p", &port, "--dns", &names];
        let options = [&options[..], &["--users", &site.users, "-v"]].concat();
        let mut command = command(&wrapper, &options);
        let mut child = command
            .stdin(Stdio::null())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stderr = BufReader::new(child.stderr.take().unwrap());
        let log = Arc::new(Mutex::new(Vec::new()));
        let lines = Arc::clone(&log);
        thread::spawn(move || {
            for line in stderr.lines().map_while(Result::ok) {
                lines.lock().unwrap().push(line);
            }
        });
        Self { child, addr, log }
    }

    /// Where it listens; `None` if it ends instead, or says nothing of it.
    fn addr(&mut self) -> Option<SocketAddr> {
        let start = Instant::now();
        // Its line in the log may be what fails.
        let row = format!("0100007F:{:04X} 00000000:0000 0A", self.addr.port());
        while start.elapsed() < PATIENCE && self.is_running() {
            let table = fs::read_to_string("/proc/net/tcp").unwrap();
            if table.contains(&row) {
                return Some(self.addr);
            }
            thread::sleep(Duration::from_millis(5));
        }
        None
    }

    fn is_running(&mut self) -> bool {
        self.child.try_wait().unwrap().is_none()
    }

    fn pid(&self) -> u32 {
        self.child.id()
    }

    fn signal(&self, signal: Signal) {
        let _ = kill(Pid::from_raw(self.pid().cast_signed()), signal);
    }

    fn descriptors(&self) -> usize {
        fs::read_dir(format!("/proc/{}/fd", self.pid())).map_or(0, Iterator::count)
    }

    /// The share of one processor that it used in the last half second, in percent.
    fn busy_percent(&self) -> u64 {
        let before = self.ticks();
        thread::sleep(Duration::from_millis(500));
        (self.ticks() - before) * 2
    }

    /// utime and stime in ticks of 10 ms: the 12th and 13th field behind the name.
    fn ticks(&self) -> u64 {
        let stat = fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap_or_default();
        let fields = stat.rsplit_once(')').map_or("", |(_, rest)| rest);
        let times = fields.split_whitespace().skip(11).take(2);
        times.filter_map(|ticks| ticks.parse::<u64>().ok()).sum()
    }
}

impl Drop for Tested {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

#[test]
#[ignore = "takes minutes: make faults"]
fn every_system_call_may_fail() {
    if is_emulated() {
        return not_run("failing system calls: strace would trace the emulator");
    }
    if !is_installed("strace") {
        return;
    }
    let folder = Folder::new("faults");
    let site = Site {
        target: echo(),
        names: NameServer::start(vec![(
            "a.test",
            Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]),
        )]),
        users: folder.write("users", "ann:secret\n"),
        _folder: folder,
    };
    let calls = calls(&site);
    let faults = faults(&calls);
    let (next, rows, failures) = (
        AtomicUsize::new(0),
        Mutex::new(Rows::new()),
        AtomicUsize::new(0),
    );
    let work = || {
        while let Some(fault) = faults.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = outcome(&site, fault).unwrap_or_else(|text| {
                failures.fetch_add(1, Ordering::Relaxed);
                let (call, error, when) = (&fault.call, fault.error, fault.when());
                note(&format!("{call} {error} {when}: {text}"));
                "FAILS".into()
            });
            let row = (fault.call.clone(), fault.error, outcome);
            rows.lock()
                .unwrap()
                .entry(row)
                .or_default()
                .push(fault.when());
        }
    };
    thread::scope(|scope| {
        // They wait, most of the time.
        for _ in 0..WORKERS {
            scope.spawn(work);
        }
    });
    for ((call, error, outcome), mut when) in rows.into_inner().unwrap() {
        when.sort();
        note(&format!(
            "{call:16} {error:8} {:12} {outcome}",
            when.join(",")
        ));
    }
    let failures = failures.into_inner();
    note(&format!("{} faults, {failures} of them fail", faults.len()));
    assert_eq!(failures, 0);
}

/// What became of a call and an error, and at which occurrences.
type Rows = BTreeMap<(String, &'static str, String), Vec<String>>;

/// The calls of the program, and how often they are made before `main` and behind it.
fn calls(site: &Site) -> BTreeMap<String, [usize; 2]> {
    let folder = Folder::new("faults-calls");
    let trace = folder.path("trace");
    let mut tested = Tested::start(site, &["-o", &trace]);
    let addr = tested.addr().expect("it starts under strace");
    assert!(is_served(addr, site), "nothing fails yet: {:?}", tested.log);
    tested.signal(Signal::SIGTERM);
    let _ = tested.child.wait();
    thread::sleep(Duration::from_millis(200));
    let mut calls = BTreeMap::<String, [usize; 2]>::new();
    let mut is_main = false;
    for line in fs::read_to_string(trace).unwrap().lines() {
        if let Some((name, _)) = line.split_once('(') {
            calls.entry(name.to_owned()).or_default()[usize::from(is_main)] += 1;
            // The first thing that Rust's runtime does is to look at the standard descriptors.
            is_main |= name == "poll";
        }
    }
    calls
}

/// All that is to be tried.
fn faults(calls: &BTreeMap<String, [usize; 2]>) -> Vec<Fault> {
    let only = env::var("FAULTS_CALLS").unwrap_or_default();
    let only: Vec<&str> = only.split(',').filter(|call| !call.is_empty()).collect();
    let mut faults = Vec::new();
    for (call, [before, count]) in calls {
        let is_name = call
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
        let is_wanted = only.is_empty() || only.contains(&call.as_str());
        if !is_name || !is_wanted || *count == 0 || RUNTIME.contains(&call.as_str()) {
            continue;
        }
        for error in ERRORS {
            let each = (1..=OCCURRENCES.min(*count)).map(Some);
            faults.extend(each.chain([None]).map(|occurrence| Fault {
                call: call.clone(),
                error,
                before: *before,
                occurrence,
            }));
        }
    }
    faults
}

/// What becomes of the program when that call fails.
fn outcome(site: &Site, fault: &Fault) -> Result<String, String> {
    let Fault { call, error, .. } = fault;
    let first = fault.before + fault.occurrence.unwrap_or(1);
    let is_always = fault.occurrence.is_none();
    let more = if is_always { "+" } else { "" };
    let inject = format!("inject={call}:error={error}:when={first}{more}");
    let trace = format!("trace={call}");
    let mut tested = Tested::start(site, &["-o", "/dev/null", "-e", &trace, "-e", &inject]);
    let addr = tested.addr();
    let before = tested.descriptors();
    let mut served = false;
    if let Some(addr) = addr {
        // The fault may hit any of them.
        served = is_served(addr, site);
        tested.signal(Signal::SIGHUP);
        tested.signal(Signal::SIGUSR1);
        let start = Instant::now();
        let is_settled = |served| served && start.elapsed() > Duration::from_millis(100);
        while !(is_always || is_settled(served) || start.elapsed() > PATIENCE) {
            if !tested.is_running() {
                break;
            }
            served = is_served(addr, site);
        }
    }
    if !tested.is_running() {
        return ended(&mut tested);
    }
    if addr.is_none() && !is_always {
        return Err(format!("it neither listens nor ends: {:?}", tested.log));
    }
    if !served && !is_always {
        return Err(format!("it does not serve any more: {:?}", tested.log));
    }
    let busy = tested.busy_percent();
    if busy > 40 {
        return Err(format!(
            "it spins: {busy} % of a processor, {:?}",
            tested.log
        ));
    }
    // A close that was not made leaves what it should have closed.
    let start = Instant::now();
    while !is_always && call != "close" && tested.descriptors() > before {
        if start.elapsed() > PATIENCE {
            return Err(format!(
                "descriptors: {before}, then {}",
                tested.descriptors()
            ));
        }
        thread::sleep(Duration::from_millis(20));
    }
    Ok(if served { "serves" } else { "lives" }.into())
}

/// How it has ended: with a status, and a line that says why.
fn ended(tested: &mut Tested) -> Result<String, String> {
    let status = tested.child.wait().unwrap();
    // The thread that reads may not have come so far.
    thread::sleep(Duration::from_millis(50));
    let log = tested.log.lock().unwrap();
    let last = log.last().cloned().unwrap_or_default();
    let is_clear = last.starts_with("anklet: ") || last.starts_with("ERROR");
    let is_panic = log.iter().any(|line| line.contains("panicked"));
    if status.code().is_none_or(|code| code == 0) || !is_clear || is_panic {
        return Err(format!("it ends: {status}, {log:?}"));
    }
    Ok(format!("ends: {last}"))
}

/// Whether all that it offers works. Each is tried, whatever became of those before.
fn is_served(addr: SocketAddr, site: &Site) -> bool {
    let connect = request(1, site.target);
    let name = [
        &b"\x05\x01\x00\x03\x06a.test"[..],
        &site.target.port().to_be_bytes(),
    ]
    .concat();
    let by_addr = tunnels(addr, &connect);
    let by_name = tunnels(addr, &name);
    let by_http = http(addr, site.target).is_some_and(echoes);
    let by_bind = bind(addr).is_some();
    let by_udp = udp(addr, site).is_some();
    by_addr && by_name && by_http && by_bind && by_udp
}

fn request(command: u8, target: SocketAddr) -> Vec<u8> {
    let SocketAddr::V4(target) = target else {
        unreachable!("the site is IPv4")
    };
    let head = [5, command, 0, 1];
    [
        &head[..],
        &target.ip().octets(),
        &target.port().to_be_bytes(),
    ]
    .concat()
}

fn dial(addr: SocketAddr) -> Option<TcpStream> {
    let stream = TcpStream::connect_timeout(&addr, PATIENCE / 4).ok()?;
    stream.set_read_timeout(Some(PATIENCE / 4)).ok()?;
    Some(stream)
}

/// A connection that has logged in and been granted `request`.
fn socks(addr: SocketAddr, request: &[u8]) -> Option<TcpStream> {
    let mut stream = dial(addr)?;
    let login = b"\x05\x01\x02\x01\x03ann\x06secret";
    stream.write_all(&[&login[..], request].concat()).ok()?;
    let mut answers = [0; 4];
    stream.read_exact(&mut answers).ok()?;
    (answers == [5, 2, 1, 0]).then_some(())?;
    Some(stream)
}

/// Reads a reply that grants; its address.
fn granted(stream: &mut TcpStream) -> Option<SocketAddr> {
    let mut reply = [0; 10];
    stream.read_exact(&mut reply).ok()?;
    let [5, 0, 0, 1, a, b, c, d, high, low] = reply else {
        return None;
    };
    Some(SocketAddr::from((
        [a, b, c, d],
        u16::from_be_bytes([high, low]),
    )))
}

/// Whether a tunnel leads to the echo.
fn echoes(mut stream: TcpStream) -> bool {
    let mut word = [0; 4];
    let is_there = stream.write_all(b"ping").is_ok() && stream.read_exact(&mut word).is_ok();
    is_there && &word == b"ping"
}

/// Whether a tunnel by SOCKS leads to the echo.
fn tunnels(addr: SocketAddr, request: &[u8]) -> bool {
    let stream = socks(addr, request);
    stream.is_some_and(|mut stream| granted(&mut stream).is_some() && echoes(stream))
}

/// A tunnel by HTTP; its response ends here.
fn http(addr: SocketAddr, target: SocketAddr) -> Option<TcpStream> {
    let mut stream = dial(addr)?;
    let head = format!(
        "CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\
         Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\r\n"
    );
    stream.write_all(head.as_bytes()).ok()?;
    let mut response = Vec::new();
    while !response.ends_with(b"\r\n\r\n") {
        let mut byte = [0];
        stream.read_exact(&mut byte).ok()?;
        response.extend(byte);
    }
    response.starts_with(b"HTTP/1.1 200").then_some(stream)
}

/// A BIND, to which a peer connects.
fn bind(addr: SocketAddr) -> Option<()> {
    let mut stream = socks(addr, &request(2, (Ipv4Addr::LOCALHOST, 1).into()))?;
    let _peer = dial(granted(&mut stream)?)?;
    granted(&mut stream).map(drop)
}

/// An association, by which a name server is asked.
fn udp(addr: SocketAddr, site: &Site) -> Option<()> {
    let mut stream = socks(addr, &request(3, (Ipv4Addr::UNSPECIFIED, 0).into()))?;
    let at = granted(&mut stream)?;
    let socket = UdpSocket::bind((Ipv4Addr::LOCALHOST, 0)).ok()?;
    socket.set_read_timeout(Some(PATIENCE / 8)).ok()?;
    let question = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x01a\x04test\0\0\x01\0\x01";
    let mut datagram = [&request(0, site.names.addr), &question[..]].concat();
    datagram[0] = 0;
    // A datagram may be lost.
    for _ in 0..2 {
        socket.send_to(&datagram, at).ok()?;
        let mut buf = [0; 512];
        if socket.recv(&mut buf).is_ok() {
            return Some(());
        }
    }
    None
}
