//! Limits of .github/DESIGN.md: who gets a place in a house that is full, and who gives one.
//!
//! The clients are addresses of loopback, each of which is one source.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::mem;
use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use socket2::Socket;

use crate::support::targets::{Target, Unanswering, echo, start_connect};
use crate::support::wire::{Client, GREETING, Way, connect, loopback, pattern, request};
use crate::support::{DEADLINE, Proxy, wait_until};

/// A healthy client's new tunnel has to work within this time. It takes a millisecond on an idle
/// machine; the kernel repeats a lost SYN after one second.
const SOON: Duration = Duration::from_millis(800);

/// A client's address: number `n` of those that do not behave.
pub(crate) fn crowd(n: usize) -> Ipv4Addr {
    let [_, _, high, low] = u32::try_from(n).unwrap().to_be_bytes();
    Ipv4Addr::new(127, 1, high, low)
}

/// A house of that size.
fn house(sessions: usize) -> Proxy {
    Proxy::start(&["--max-sessions", &sessions.to_string()])
}

/// New tunnels of `source`, one after the other: each has to work soon.
#[track_caller]
fn newcomers(proxy: &Proxy, source: &str, target: SocketAddr, count: usize) -> Vec<Client> {
    let newcomer = |n| {
        let start = Instant::now();
        let mut client = proxy.client_from(source);
        client.open(target);
        client.echo(b"served");
        let time = start.elapsed();
        assert!(time < SOON, "newcomer {n} of {source} waits {time:?}");
        client
    };
    (0..count).map(newcomer).collect()
}

#[test]
fn half_open_handshakes_keep_nobody_out() {
    let target = echo();
    for addresses in [1, 2, 400] {
        let proxy = house(300);
        let mut half_open: Vec<Socket> = Vec::new();
        // Not all of them before anybody is accepted: beyond 1,024 the kernel's own queue is full,
        // and loses SYNs.
        for batch in 0..3 {
            let crowd = (0..400).map(|n| crowd((400 * batch + n) % addresses));
            half_open.extend(crowd.map(|source| start_connect(source, proxy.addr)));
            newcomers(&proxy, "127.0.0.1", target, 10);
        }
        for socket in &half_open {
            // Not every one of them is still there.
            let _ = socket.send(&[5]);
        }
        newcomers(&proxy, "127.0.0.1", target, 20);
    }
}

/// Tunnels of these sources, until the house is full.
fn fill(proxy: &Proxy, sources: usize, target: SocketAddr, tunnels: usize) -> Vec<Client> {
    let tunnel = |n| {
        let mut client = proxy.client_from(&crowd(n % sources).to_string());
        client.open(target);
        client
    };
    (0..tunnels).map(tunnel).collect()
}

#[test]
fn tunnels_of_two_addresses_keep_nobody_out() {
    let (proxy, target) = (house(200), echo());
    let queue = Target::with_queue(4096);
    // Three places are for handshakes.
    let mut tunnels = fill(&proxy, 2, queue.addr, 197);
    let mut served = newcomers(&proxy, "127.0.0.1", target, 20);
    for tunnel in &mut tunnels {
        // A byte now and then is no movement.
        let _ = tunnel.stream.write(b"x");
    }
    served.extend(newcomers(&proxy, "127.0.0.1", target, 20));
    for client in &mut served {
        client.echo(b"below its share");
    }
    proxy.wait_log_all(&["gave its place to a newcomer", "--max-sessions"]);
}

#[test]
fn an_office_below_its_share_loses_no_tunnel() {
    let (proxy, target) = (house(200), echo());
    let queue = Target::with_queue(4096);
    let mut office: Vec<Client> = (0..60).map(|_| proxy.tunnel(target)).collect();
    let _crowd = fill(&proxy, 1, queue.addr, 137);
    for _ in 0..3 {
        newcomers(&proxy, "127.0.0.2", target, 50);
    }
    for tunnel in &mut office {
        tunnel.echo(b"still here");
    }
    newcomers(&proxy, "127.0.0.1", target, 5);
}

#[test]
fn nobody_takes_a_tunnel_before_the_rules_have_let_it_pass() {
    let proxy = Proxy::start(&["--max-sessions", "64", "--block", "127.0.0.77"]);
    let queue = Target::with_queue(4096);
    let mut tunnels = fill(&proxy, 1, queue.addr, 63);
    for way in [&[5][..], b"GET / HTTP/1.1\r\n", b"no protocol"] {
        for _ in 0..20 {
            proxy.client_from("127.0.0.2").say(Way::Pipelined, way);
        }
    }
    for _ in 0..20 {
        let mut refused = proxy.client_from("127.0.0.2");
        let hello = [&GREETING[..], &connect(loopback(77, 80))].concat();
        refused.say(Way::Pipelined, &hello);
        assert_eq!(refused.hear(2), [5, 0]);
        assert_eq!(refused.refusal(), 2);
    }
    // Alone it is not above its share: it has its reply.
    let mut own = proxy.client_from(&crowd(0).to_string());
    let request = connect(queue.addr);
    own.say(Way::Pipelined, &[&GREETING[..], &request].concat());
    assert_eq!(own.hear(2), [5, 0]);
    assert_eq!(own.refusal(), 1);
    proxy.wait_log_all(&["no place left", "--max-sessions"]);
    for (n, tunnel) in tunnels.iter_mut().enumerate() {
        tunnel.say(Way::Pipelined, b"still here");
        let mut word = [0; 10];
        queue.accept().read_exact(&mut word).unwrap();
        assert_eq!(&word, b"still here", "{n}");
    }
}

#[test]
fn one_address_alone_opens_hundreds_of_tunnels_at_once() {
    let (proxy, queue) = (house(512), Target::with_queue(4096));
    let own = Ipv4Addr::new(127, 0, 0, 9);
    let sockets: Vec<Socket> = (0..504).map(|_| start_connect(own, proxy.addr)).collect();
    wait_until("all of them to be connected", || {
        sockets.iter().all(|socket| socket.peer_addr().is_ok())
    });
    let hello = [&GREETING[..], &connect(queue.addr)].concat();
    for socket in &sockets {
        socket.send(&hello).unwrap();
    }
    for socket in sockets {
        socket.set_nonblocking(false).unwrap();
        let mut client = Client::over(socket.into());
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.reply().code, 0);
        mem::forget(client);
    }
}

#[test]
fn dead_peers_of_a_host_are_not_in_its_own_way() {
    let (proxy, target) = (house(64), echo());
    let dead = Unanswering::new();
    let hello = [&GREETING[..], &connect(dead.target.addr)].concat();
    let mut waiting: Vec<Client> = (0..100)
        .map(|_| {
            let mut client = proxy.client();
            client.say(Way::Pipelined, &hello);
            client
        })
        .collect();
    newcomers(&proxy, "127.0.0.1", target, 20);
    // The first ones had to make room, and were told so.
    assert_eq!(waiting[0].hear(2), [5, 0]);
    assert_eq!(waiting[0].refusal(), 1);
    drop(waiting);
}

#[test]
fn what_waits_for_a_target_or_a_peer_keeps_nobody_out() {
    let target = echo();
    let (dead, queue) = (Unanswering::new(), Target::with_queue(4096));
    let bind = request(2, loopback(1, 9));
    // All that one address can have.
    let proxy = house(64);
    let mut binds = Vec::new();
    for _ in 0..64 {
        let mut client = proxy.client_from(&crowd(0).to_string());
        client.say(Way::Pipelined, &[&GREETING[..], &bind].concat());
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.reply().code, 0);
        binds.push(client);
    }
    newcomers(&proxy, "127.0.0.1", target, 20);
    assert_eq!(binds[0].refusal(), 1);
    newcomers(&proxy, &crowd(0).to_string(), target, 5);
    // The few places that tunnels leave, taken by as many addresses.
    for waiting in [&connect(dead.target.addr), &bind] {
        let proxy = house(200);
        let _tunnels = fill(&proxy, 2, queue.addr, 197);
        let mut clients = Vec::new();
        for n in 2..5 {
            let mut client = proxy.client_from(&crowd(n).to_string());
            client.say(Way::Pipelined, &[&GREETING[..], waiting].concat());
            assert_eq!(client.hear(2), [5, 0]);
            clients.push(client);
        }
        thread::sleep(Duration::from_millis(1_100));
        newcomers(&proxy, "127.0.0.1", target, 20);
    }
}

#[test]
fn tunnels_of_a_download_stay_when_others_stand_still() {
    let (proxy, target) = (house(64), echo());
    let queue = Target::with_queue(4096);
    let mut busy = proxy.client_from(&crowd(0).to_string());
    busy.open(target);
    busy.echo(&pattern(100_000));
    let _still = fill(&proxy, 1, queue.addr, 62);
    newcomers(&proxy, "127.0.0.2", target, 1);
    newcomers(&proxy, "127.0.0.3", loopback(1, target.port()), 1);
    busy.echo(b"still here");
}

#[test]
fn two_addresses_that_never_pause_keep_nobody_out() {
    let target = echo();
    let proxy = house(64);
    let addr = proxy.addr;
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        for n in 0..2 {
            let done = &done;
            scope.spawn(move || {
                let mut half_open = VecDeque::new();
                while !done.load(Ordering::Relaxed) {
                    half_open.push_back(start_connect(crowd(n), addr));
                    if half_open.len() > 200 {
                        half_open.pop_front();
                    }
                }
            });
        }
        let served = (0..20)
            .filter(|_| slow_client_is_served(addr, target))
            .count();
        done.store(true, Ordering::Relaxed);
        assert_eq!(served, 20);
    });
}

/// Whether a client gets its tunnel that is far away: it takes 100 ms for two round trips.
fn slow_client_is_served(proxy: SocketAddr, target: SocketAddr) -> bool {
    let pause = || thread::sleep(Duration::from_millis(50));
    let mut stream = TcpStream::connect(proxy).unwrap();
    stream.set_read_timeout(Some(DEADLINE)).unwrap();
    let mut answer = [0; 12];
    pause();
    stream.write_all(&GREETING).is_ok()
        && stream.read_exact(&mut answer[..2]).is_ok()
        && {
            pause();
            stream.write_all(&connect(target)).is_ok()
        }
        && stream.read_exact(&mut answer[2..]).is_ok()
        && answer[..4] == [5, 0, 5, 0]
}
