//! A whole router, booted in QEMU by `make vm-test` with the proxy as its service: what is sent
//! through it from this machine, and what that costs it. One test at a time, because memory is
//! measured (`--test-threads 1`).
//!
//! `cross/vm/vm-test` sets, and the tests read:
//!
//! - `ANKLET_ROUTER`: where the router's port 1080 is reached, `127.0.0.1:PORT`;
//! - `ANKLET_ROUTER_NAMES`: where the router expects its name server; the tests are that server;
//! - `ANKLET_ROUTER_CONSOLE`: the file that its console is written to;
//! - `ANKLET_ROUTER_COMMANDS`: the pipe that its console reads from; a line is the name of a
//!   signal for the proxy (`network`, which has the router print counts, is for `vm-test` alone);
//! - `ANKLET_ROUTER_STARTED`: when it was started, in seconds since 1970;
//! - `ANKLET_ROUTER_TAP`: where its port 1080 is reached through its second network card, or empty.
//!
//! Relays announce 127.0.0.1, where their ports are forwarded under the same numbers.

mod stalled;

use std::collections::HashSet;
use std::env;
use std::fmt::{self, Display, Formatter};
use std::fs::{self, OpenOptions};
use std::io::{Read, Write};
use std::net::{Ipv4Addr, Shutdown, SocketAddr, TcpStream};
use std::os::unix::fs::OpenOptionsExt;
use std::path::PathBuf;
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use nix::fcntl::OFlag;

use crate::support::name_server::{Answer, NameServer};
use crate::support::note;
use crate::support::targets::{self, Target};
use crate::support::udp::{self, Association, unwrap, wrap_name};
use crate::support::wire::{Client, GREETING, Way, connect, connect_name, loopback, pattern};

/// The router's own address in QEMU's user network.
const ROUTER: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 15);
/// Where the proxy listens on it.
const SERVICE_PORT: u16 = 1080;
/// This machine's loopback as the router sees it.
const HOST: Ipv4Addr = Ipv4Addr::new(10, 0, 2, 2);

/// A boot takes 5 to 20 s on an idle machine, a restart of the service the 5 s of its pause.
const BOOT: Duration = Duration::from_secs(120);
/// The answer to a greeting: a router that has booted needs some 10 ms.
const ANSWER: Duration = Duration::from_millis(500);
/// How often the router is asked whether it is there, its console read for something new.
const PAUSE: Duration = Duration::from_millis(50);

/// Bytes of a transfer: many times what all buffers on the way hold.
const TRANSFER: usize = 16 << 20;
/// Tunnels that stand at once and carry nothing.
const TUNNELS: i64 = 200;
/// Of the proxy's own memory: 344 bytes on 64 bits, and what the first tunnels touch besides.
const TUNNEL_OWN_BYTES_MAX: i64 = 640;
/// With the kernel's share, two sockets and their files: 8.3 KiB on 64 bits, less on 32.
/// Structures grow from kernel to kernel; a third socket would be 4 KiB.
const TUNNEL_BYTES_MAX: i64 = 10 << 10;
/// Datagrams of one size, and how many of them are under way at once: a moderate pace.
const DATAGRAMS: u32 = 400;
const DATAGRAMS_AT_ONCE: usize = 8;
/// A datagram that has not come by then is lost.
const LATE: Duration = Duration::from_secs(2);

/// REP of what the rules do not allow (RFC 1928 §6).
const NOT_ALLOWED: u8 = 2;

/// The machine in QEMU.
struct Router {
    proxy: SocketAddr,
    names: NameServer,
    console: PathBuf,
    commands: PathBuf,
}

/// The router, once it has booted.
fn router() -> &'static Router {
    static ROUTER: OnceLock<Router> = OnceLock::new();
    ROUTER.get_or_init(|| {
        let router = Router::from_environment();
        // Knocking at a machine whose network is not up would only slow its boot down.
        wait_until("a boot", || router.console().contains("listening on "));
        router.wait_for_service();
        let started: f64 = variable("ANKLET_ROUTER_STARTED").parse().unwrap();
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let seconds = now.as_secs_f64() - started;
        note(&format!("router: {seconds:.1} s until the first answer"));
        router
    })
}

fn variable(name: &str) -> String {
    env::var(name).unwrap_or_else(|_| panic!("{name} is not set: `make vm-test` does it"))
}

impl Router {
    fn from_environment() -> Self {
        let zone = vec![
            ("host.test", Answer::Is(vec![HOST.into()])),
            ("router.test", Answer::Is(vec![ROUTER.into()])),
            (
                "loopback.test",
                Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]),
            ),
        ];
        Self {
            proxy: variable("ANKLET_ROUTER").parse().unwrap(),
            names: NameServer::at(variable("ANKLET_ROUTER_NAMES").parse().unwrap(), zone),
            console: variable("ANKLET_ROUTER_CONSOLE").into(),
            commands: variable("ANKLET_ROUTER_COMMANDS").into(),
        }
    }

    /// Waits until the service answers a greeting.
    fn wait_for_service(&self) {
        wait_until("the service", || self.answers());
    }

    /// QEMU takes connections and ends them again where the service is not there.
    fn answers(&self) -> bool {
        let mut stream = TcpStream::connect(self.proxy).expect("QEMU is there");
        stream.set_read_timeout(Some(ANSWER)).unwrap();
        let mut answer = [0; 2];
        stream.write_all(&GREETING).is_ok()
            && stream.read_exact(&mut answer).is_ok()
            && answer == [5, 0]
    }

    /// A tunnel to a port of this machine.
    fn tunnel(&self, target: SocketAddr) -> Client {
        let mut client = Client::connect(self.proxy);
        client.open(seen_by_router(target));
        client
    }

    /// A tunnel's two ends.
    fn tunnel_ends(&self) -> (TcpStream, TcpStream) {
        let target = Target::new();
        let client = self.tunnel(target.addr);
        (client.stream, target.accept())
    }

    /// The code with which a request is refused.
    #[track_caller]
    fn refuses(&self, request: &[u8]) -> u8 {
        Client::connect(self.proxy).ask_in_vain(Way::Pipelined, request)
    }

    /// What the console has shown so far.
    fn console(&self) -> String {
        String::from_utf8_lossy(&fs::read(&self.console).unwrap()).into_owned()
    }

    /// Has the router send a signal to the proxy, and waits until the console says `sign`.
    #[track_caller]
    fn signal(&self, name: &str, sign: &str) {
        let before = self.console().matches(sign).count();
        // Without a reader, that is without a router, opening the pipe fails instead of waiting.
        let pipe = OpenOptions::new()
            .write(true)
            .custom_flags(OFlag::O_NONBLOCK.bits())
            .open(&self.commands);
        writeln!(pipe.unwrap(), "{name}").unwrap();
        wait_until(sign, || self.console().matches(sign).count() > before);
    }

    /// What the router has said of its memory so far, once a second.
    fn reports(&self) -> Vec<Memory> {
        let text = self.console();
        text.lines().filter_map(Memory::parse).collect()
    }

    /// The memory that the router has and the proxy takes: the middle of the next three reports,
    /// because the kernel's counts are brought up to date once a second.
    fn memory(&self) -> Memory {
        let before = self.reports().len();
        wait_until("three reports", || self.reports().len() >= before + 3);
        let mut new = self.reports().split_off(before);
        new.truncate(3);
        new.sort_by_key(|memory| memory.available);
        new[1]
    }
}

/// One report of the router's init, in KiB.
#[derive(Clone, Copy)]
struct Memory {
    /// MemAvailable of the router.
    available: i64,
    /// The kernel's small objects.
    slab: i64,
    /// Anonymous pages of the proxy.
    anonymous: i64,
    /// All pages of the proxy.
    resident: i64,
}

impl Memory {
    fn parse(line: &str) -> Option<Self> {
        // The last line may not be there as a whole yet.
        let report = line.split_once("memory: ")?.1.strip_suffix(" in all")?;
        let numbers: Vec<i64> = report
            .split_whitespace()
            .filter_map(|word| word.parse().ok())
            .collect();
        let [available, slab, anonymous, resident] = numbers[..] else {
            return None;
        };
        Some(Self {
            available,
            slab,
            anonymous,
            resident,
        })
    }
}

impl Display for Memory {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{} KiB available, ", self.available)?;
        write!(f, "{} in the kernel's slabs, ", self.slab)?;
        write!(f, "{} of the proxy's own, ", self.anonymous)?;
        write!(f, "{} with its program", self.resident)
    }
}

/// Waits as long as a boot may take.
#[track_caller]
fn wait_until(what: &str, condition: impl Fn() -> bool) {
    let start = Instant::now();
    while !condition() {
        assert!(start.elapsed() < BOOT, "waited in vain for {what}");
        thread::sleep(PAUSE);
    }
}

/// A port of this machine's loopback, as the router has to call it.
fn seen_by_router(addr: SocketAddr) -> SocketAddr {
    (HOST, addr.port()).into()
}

/// Sends `bytes` from one end and compares them at the other; MiB per second.
fn carry(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) -> f64 {
    let start = Instant::now();
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut received = vec![0; bytes.len()];
            to.read_exact(&mut received).unwrap();
            received
        });
        from.write_all(bytes).unwrap();
        let received = reader.join().unwrap();
        assert!(received == bytes, "the bytes changed on their way");
    });
    bytes.len() as f64 / f64::from(1 << 20) / start.elapsed().as_secs_f64()
}

fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// The first by name, and so the first to run: the others leave memory in the kernel's caches,
/// which these tunnels would then use without a trace.
#[test]
#[ignore = "needs a router: make vm-test"]
fn a_router_carries_idle_tunnels_in_little_memory() {
    let router = router();
    let target = targets::echo();
    let before = router.memory();
    let mut tunnels: Vec<Client> = (0..TUNNELS).map(|_| router.tunnel(target)).collect();
    tunnels.iter_mut().for_each(|tunnel| tunnel.echo(b"1"));
    let during = router.memory();
    tunnels.iter_mut().for_each(|tunnel| tunnel.echo(b"2"));
    drop(tunnels);
    let after = router.memory();
    let own = (during.anonymous - before.anonymous) * 1024 / TUNNELS;
    let kernel = (during.slab - before.slab) * 1024 / TUNNELS;
    note(&format!("router: before {TUNNELS} idle tunnels: {before}"));
    note(&format!("router: with {TUNNELS} idle tunnels: {during}"));
    note(&format!("router: without them again: {after}"));
    note(&format!(
        "router: an idle tunnel takes {own} bytes of the proxy and {kernel} of the kernel"
    ));
    assert!(own <= TUNNEL_OWN_BYTES_MAX, "{own} bytes");
    assert!(own + kernel <= TUNNEL_BYTES_MAX, "{own} and {kernel} bytes");
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn transfers_arrive_whole_in_both_directions() {
    let (client, target) = router().tunnel_ends();
    let bytes = pattern(TRANSFER);
    let (down, up) = (
        carry(&target, &client, &bytes),
        carry(&client, &target, &bytes),
    );
    let mib = TRANSFER >> 20;
    note(&format!(
        "router: {mib} MiB down at {down:.1} MiB/s, up at {up:.1} MiB/s, contents compared"
    ));
    thread::scope(|scope| {
        scope.spawn(|| carry(&client, &target, &bytes));
        carry(&target, &client, &bytes);
    });
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn half_close_reaches_the_target_after_the_last_byte() {
    let (mut client, mut target) = router().tunnel_ends();
    client.write_all(b"last words").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&target), b"last words");
    // The other direction goes on, further than buffers would carry it.
    let bytes = pattern(1 << 20);
    carry(&target, &client, &bytes);
    target.write_all(b"the end").unwrap();
    drop(target);
    assert_eq!(read_to_end(&client), b"the end");
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn names_lead_where_the_name_server_says() {
    let router = router();
    let port = targets::echo().port();
    let before = router.names.count("host.test");
    let mut client = Client::connect(router.proxy);
    let start = Instant::now();
    client.ask(Way::Pipelined, &connect_name("host.test", port));
    let time = start.elapsed();
    client.echo(b"hello");
    assert!(router.names.count("host.test") > before);
    note(&format!(
        "router: a tunnel to a name stands after {time:.1?}"
    ));
}

/// The payload of datagram `number`.
fn payload(number: u32, len: usize) -> Vec<u8> {
    let mut bytes = pattern(len);
    bytes[..4].copy_from_slice(&number.to_be_bytes());
    bytes
}

/// The next datagram, unless it is late.
fn next_datagram(association: &Association) -> Option<(SocketAddr, Vec<u8>)> {
    let mut buf = [0; 2048];
    let len = association.socket.recv(&mut buf).ok()?;
    Some(unwrap(&buf[..len]))
}

/// Sends datagrams to an echo; how many did not come back as they were.
fn datagrams_lost(association: &Association, echo: SocketAddr, len: usize) -> usize {
    let numbers: Vec<u32> = (0..DATAGRAMS).collect();
    let mut back = HashSet::new();
    for burst in numbers.chunks(DATAGRAMS_AT_ONCE) {
        for number in burst {
            association.send(echo, &payload(*number, len));
        }
        back.extend(burst.iter().filter_map(|_| next_datagram(association)));
    }
    let is_lost = |number: &&u32| !back.contains(&(echo, payload(**number, len)));
    numbers.iter().filter(is_lost).count()
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn datagrams_pass_in_both_directions_and_none_is_lost() {
    let association = Association::over(Client::connect(router().proxy));
    association.socket.set_read_timeout(Some(LATE)).unwrap();
    let echo = seen_by_router(udp::echo(loopback(1, 0)));
    for len in [64, 1400] {
        let start = Instant::now();
        let lost = datagrams_lost(&association, echo, len);
        let time = start.elapsed() / DATAGRAMS;
        note(&format!(
            "router: {DATAGRAMS} datagrams of {len} bytes there and back, {lost} lost, \
             {time:.1?} each"
        ));
        assert_eq!(lost, 0);
    }
    association.send_raw(&wrap_name("host.test", echo.port(), b"named"));
    assert_eq!(next_datagram(&association), Some((echo, b"named".into())));
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn nobody_reaches_the_router_itself() {
    let router = router();
    let loopback = Ipv4Addr::LOCALHOST;
    for ip in [loopback, ROUTER, Ipv4Addr::UNSPECIFIED] {
        for port in [22, SERVICE_PORT] {
            let code = router.refuses(&connect((ip, port).into()));
            assert_eq!(code, NOT_ALLOWED, "{ip}:{port}");
        }
    }
    for name in ["loopback.test", "router.test"] {
        let code = router.refuses(&connect_name(name, SERVICE_PORT));
        assert_eq!(code, NOT_ALLOWED, "{name}");
    }
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn reload_leaves_tunnels_alone() {
    let router = router();
    let target = targets::echo();
    let mut tunnel = router.tunnel(target);
    tunnel.echo(b"before");
    router.signal("HUP", "[anklet] reloaded: ");
    tunnel.echo(b"after");
    router.tunnel(target).echo(b"new");
}

/// Has a signal end the service, and waits until its tunnels have ended and it is there again.
fn ends_and_comes_back(signal: &str, status: u8) {
    let router = router();
    let target = targets::echo();
    let mut tunnel = router.tunnel(target);
    tunnel.echo(b"before");
    router.signal(signal, &format!("service: ended with status {status}"));
    tunnel.rest_or_reset();
    router.wait_for_service();
    router.tunnel(target).echo(b"again");
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn killed_service_is_started_again() {
    // 128 and the number of the signal, as a shell has it.
    ends_and_comes_back("KILL", 128 + 9);
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn terminated_service_ends_in_order() {
    ends_and_comes_back("TERM", 0);
}
