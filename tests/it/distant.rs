//! Limits of .github/DESIGN.md, with figures: a client that is far away gets every connection, in
//! its time, and keeps its speed while others do their worst; and who guesses passwords learns no
//! more in a minute than in a second of it. `make attacks`.
//!
//! The attackers are addresses of loopback, each of which is one source. The way to the distant
//! client is a program of the test's own that passes everything on late.

use std::collections::VecDeque;
use std::env;
use std::io::{Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::fairness::crowd;
use crate::guessing::guess_for;
use crate::support::name_server::{Answer, NameServer};
use crate::support::targets::{echo, endless, start_connect};
use crate::support::wire::{Client, GREETING, Way, connect, connect_name, loopback};
use crate::support::{Proxy, note};

/// A way of the distant client's packets, in one direction.
const DELAY: Duration = Duration::from_millis(50);

/// Pieces that are on their way in one direction, and their bytes: 26 MB/s at most, so that the
/// speed is that of the way, and not what the test leaves of the machine.
const WINDOW: usize = 20;
const PIECE: usize = 64 << 10;

/// Connections whose times have a median.
const CONNECTIONS: usize = 20;

/// How long a download is watched.
const WATCH: Duration = Duration::from_secs(3);

/// What the median may grow by.
const SLOWER: Duration = Duration::from_millis(20);

/// What has to be left of the speed, in percent.
const SPEED_LEFT: u64 = 90;

/// Questions of the hostile name server's client at a time.
const NAMES: usize = 16;

/// What others do. Each goes on until it is over.
#[derive(Clone, Copy, Debug)]
enum Attack {
    /// 10,000 handshakes that go no further, of so many addresses.
    HalfOpen(usize),
    /// 1,024 tunnels of two addresses without a byte, and more of them.
    Idle,
    /// 1,024 handshakes of four addresses, a byte a second.
    Dripping,
    /// Names whose server answers with as much work as it can.
    Names,
    /// Four addresses with heads of HTTP that never end.
    Heads,
}

const ATTACKS: [Attack; 7] = [
    Attack::HalfOpen(1),
    Attack::HalfOpen(2),
    Attack::HalfOpen(1_000),
    Attack::Idle,
    Attack::Dripping,
    Attack::Names,
    Attack::Heads,
];

#[test]
#[ignore = "takes two minutes of a machine that does nothing else: make attacks"]
fn a_distant_client_is_served_as_if_nobody_attacked() {
    let server = NameServer::start(vec![("test", Answer::Chain)]);
    let proxy = Proxy::start(&["-q", "--max-sessions", "1024", "--dns", &server.option()]);
    let (far, echo, endless) = (line(proxy.addr), echo(), endless());
    let (usual, speed) = measure(far, echo, endless);
    note(&format!(
        "undisturbed: median {usual:.0?}, {} MB/s",
        speed >> 20
    ));
    let mut failed = Vec::new();
    for attack in ATTACKS {
        let over = AtomicBool::new(false);
        let (median, left) = thread::scope(|scope| {
            scope.spawn(|| attack.run(proxy.addr, echo, &over));
            // It has to be under way.
            thread::sleep(Duration::from_secs(2));
            let measured = measure(far, echo, endless);
            over.store(true, Ordering::Relaxed);
            measured
        });
        let percent = left * 100 / speed;
        note(&format!(
            "{attack:?}: median {median:.0?}, {percent} % of the speed"
        ));
        if median > usual + SLOWER || percent < SPEED_LEFT {
            failed.push(attack);
        }
    }
    assert!(failed.is_empty(), "disturbed by {failed:?}");
}

#[test]
#[ignore = "takes half a minute of a machine that does nothing else: make attacks"]
fn who_has_paused_goes_on_as_fast_as_before() {
    const PAUSE: Duration = Duration::from_secs(8);
    const LEFT: u64 = 80;
    let proxy = Proxy::start(&["-q"]);
    let mut download = tunnel(line(proxy.addr), endless());
    // The kernel's window has to grow first.
    speed_of(&mut download);
    let before = speed_of(&mut download);
    thread::sleep(PAUSE);
    let after = speed_of(&mut download);
    note(&format!(
        "{} MB/s before the pause, {} behind it",
        before >> 20,
        after >> 20
    ));
    assert!(after * 100 >= before * LEFT);
}

#[test]
#[ignore = "takes as many minutes as ANKLET_OFFICE_MINUTES says, one if it says nothing"]
fn an_office_below_its_share_loses_none_of_400_tunnels() {
    let minutes = env::var("ANKLET_OFFICE_MINUTES").map_or(1, |text| text.parse().unwrap());
    let (proxy, echo) = (Proxy::start(&["-q", "--max-sessions", "1024"]), echo());
    let open = |source: &str| {
        let mut client = proxy.client_from(source);
        client.open(echo);
        client
    };
    let mut office: Vec<Client> = (0..400).map(|_| open("127.0.0.7")).collect();
    // Somebody else has all the rest, and always one more.
    let mut others: VecDeque<Client> = VecDeque::new();
    let (start, mut newcomers) = (Instant::now(), 0);
    while start.elapsed() < Duration::from_secs(60 * minutes) {
        let mut newcomer = open("127.0.0.8");
        newcomer.echo(b"new");
        others.push_back(newcomer);
        newcomers += 1;
        if others.len() > 1_000 {
            others.pop_front();
        }
        thread::sleep(Duration::from_millis(50));
    }
    for client in &mut office {
        client.echo(b"still here");
    }
    note(&format!(
        "400 tunnels beside {newcomers} newcomers of {minutes} minutes"
    ));
}

/// Bytes of a download that come in a second.
fn speed_of(download: &mut Client) -> u64 {
    let mut buf = vec![0; PIECE];
    let (start, mut bytes) = (Instant::now(), 0);
    while start.elapsed() < WATCH {
        bytes += download.stream.read(&mut buf).unwrap() as u64;
    }
    bytes / WATCH.as_secs()
}

/// The median of the times until a byte is back over a new tunnel to `echo`, and how many bytes of
/// `endless` come in a second meanwhile.
fn measure(far: SocketAddr, echo: SocketAddr, endless: SocketAddr) -> (Duration, u64) {
    let mut times: Vec<Duration> = (0..CONNECTIONS).map(|_| time_of(far, echo)).collect();
    times.sort();
    let speed = speed_of(&mut tunnel(far, endless));
    (times[CONNECTIONS / 2], speed)
}

fn time_of(far: SocketAddr, echo: SocketAddr) -> Duration {
    let start = Instant::now();
    tunnel(far, echo).echo(b"served");
    start.elapsed()
}

/// A tunnel, a step after the other.
fn tunnel(far: SocketAddr, target: SocketAddr) -> Client {
    let mut client = Client::connect(far);
    client.say(Way::Pipelined, &GREETING);
    assert_eq!(client.hear(2), [5, 0]);
    client.say(Way::Pipelined, &connect(target));
    assert_eq!(client.reply().code, 0);
    client
}

/// The end of a long way to the proxy.
fn line(proxy: SocketAddr) -> SocketAddr {
    let listener = TcpListener::bind(loopback(1, 0)).unwrap();
    let addr = listener.local_addr().unwrap();
    thread::spawn(move || {
        for near in listener.incoming().map_while(Result::ok) {
            thread::spawn(move || {
                thread::sleep(DELAY);
                let far = Client::connect_from("127.0.0.9", proxy).stream;
                far.set_read_timeout(None).unwrap();
                near.set_nodelay(true).unwrap();
                pass_on(near.try_clone().unwrap(), far.try_clone().unwrap());
                pass_on(far, near);
            });
        }
    });
    addr
}

/// Passes on late what comes from one end, in threads of its own.
fn pass_on(mut from: TcpStream, to: TcpStream) {
    let (sender, receiver): (SyncSender<(Instant, Vec<u8>)>, _) = sync_channel(WINDOW);
    thread::spawn(move || {
        let mut buf = vec![0; PIECE];
        while let Ok(len @ 1..) = from.read(&mut buf) {
            if sender
                .send((Instant::now() + DELAY, buf[..len].to_vec()))
                .is_err()
            {
                break;
            }
        }
    });
    thread::spawn(move || arrive(&receiver, to));
}

fn arrive(pieces: &Receiver<(Instant, Vec<u8>)>, mut to: TcpStream) {
    for (due, bytes) in pieces {
        thread::sleep(due.saturating_duration_since(Instant::now()));
        if to.write_all(&bytes).is_err() {
            return;
        }
    }
    let _ = to.shutdown(Shutdown::Write);
}

impl Attack {
    fn run(self, proxy: SocketAddr, echo: SocketAddr, over: &AtomicBool) {
        match self {
            Self::HalfOpen(addresses) => keep(10_000, over, |n| {
                let socket = start_connect(crowd(n % addresses), proxy);
                let _ = socket.send(&[5]);
                socket
            }),
            Self::Idle => keep(1_024, over, |n| {
                let socket = start_connect(crowd(n % 2), proxy);
                // The connection is there as a rule: loopback does not wait.
                let _ = socket.send(&[&GREETING, &connect(echo)[..]].concat());
                socket
            }),
            Self::Dripping => drip(1_024, &[5, 255], proxy, over),
            Self::Heads => drip(
                1_024,
                b"GET http://192.0.2.1/ HTTP/1.1\r\nHost: 192.0.2.1\r\nA: ",
                proxy,
                over,
            ),
            Self::Names => ask(proxy, over),
        }
    }
}

/// Holds `count` connections, and puts a new one in the place of the oldest a thousand times a
/// second.
fn keep(count: usize, over: &AtomicBool, open: impl Fn(usize) -> Socket) {
    let mut held = VecDeque::new();
    for n in 0.. {
        if over.load(Ordering::Relaxed) {
            return;
        }
        held.push_back(open(n));
        if held.len() > count {
            held.pop_front();
            thread::sleep(Duration::from_millis(1));
        }
    }
}

/// `count` connections of four addresses that send `start` and then a byte a second; whose place is
/// taken is there again.
fn drip(count: usize, start: &[u8], proxy: SocketAddr, over: &AtomicBool) {
    let open = |n| {
        let socket = start_connect(crowd(n % 4), proxy);
        let _ = socket.send(start);
        socket
    };
    let mut held: Vec<Socket> = (0..count).map(open).collect();
    while !over.load(Ordering::Relaxed) {
        thread::sleep(Duration::from_secs(1));
        for (n, socket) in held.iter_mut().enumerate() {
            let is_gone = (&*socket).read(&mut [0; 64]).is_ok_and(|len| len == 0)
                || socket.send(b"0").is_err();
            if is_gone {
                *socket = open(n);
            }
        }
    }
}

/// Asks for names of the hostile server, so many at a time, the next as soon as one is refused.
fn ask(proxy: SocketAddr, over: &AtomicBool) {
    thread::scope(|scope| {
        for n in 0..NAMES {
            scope.spawn(move || {
                for count in 0.. {
                    if over.load(Ordering::Relaxed) {
                        return;
                    }
                    let mut client = Client::connect_from("127.1.0.1", proxy);
                    let name = format!("{}{n}-{count}.test", "a.".repeat(100));
                    let request = connect_name(&name, 80);
                    client.say(Way::Pipelined, &[&GREETING, &request[..]].concat());
                    let _ = client.rest_or_reset();
                }
            });
        }
    });
}

#[test]
#[ignore = "takes a minute: make attacks"]
fn a_guesser_gets_a_verdict_a_second_for_a_minute() {
    guess_for(Duration::from_secs(60), 12);
}

#[test]
fn the_line_is_long() {
    let far = line(echo());
    let mut client = Client::connect(far);
    let start = Instant::now();
    client.echo(b"there and back");
    assert!(start.elapsed() >= 2 * DELAY);
}
