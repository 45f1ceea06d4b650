//! PROTOCOL.md's table HTTP, the bounds of a request's head: H5, and what H7 says of the places for
//! heads, over real sockets. How an answer's head is bounded is in `http_answers.rs`.

use std::net::SocketAddr;
use std::time::{Duration, Instant};

use crate::support::namespace::{in_namespace, run};
use crate::support::targets::{Refusing, Target, Unanswering, echo};
use crate::support::web::{ANSWER, post, requests};
use crate::support::wire::{Client, Way, both_ways};
use crate::support::{Folder, Proxy, is_error_lost, wait_until};

/// Heads that are read at one time (.github/DESIGN.md, Limits).
const HEADS: usize = 32;

#[test]
fn h5_a_head_over_32_kib_gets_431() {
    let proxy = Proxy::start(&[]);
    let long = "x".repeat(32 * 1024);
    let [connect, get] = requests("127.0.0.1:9", &format!("X: {long}\r\n"));
    for request in [connect, get] {
        assert_eq!(proxy.refuses_http(Way::Pipelined, request).status, 431);
    }
}

#[test]
fn h5_heads_up_to_32_kib_pass_where_there_is_room_for_them() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    for len in [1000, 5000, 8000, 9000, 20_000, 32_000] {
        let cookie = format!("Cookie: {}\r\n", "c".repeat(len));
        let [request, expected] = post(target.addr, &cookie, "", "");
        proxy.forwards(&target, Way::Pipelined, request, expected);
    }
}

/// What the kernel says of memory on a router of 64 MiB: some of them are its own.
const MEMINFO: &str = "MemTotal:          59412 kB\nMemFree:           30000 kB\n\
                       MemAvailable:      30000 kB\n";

#[test]
fn h5_the_fifth_head_over_8_kib_gets_431_on_64_mb() {
    in_namespace(|| {
        let folder = Folder::new("meminfo");
        let meminfo = folder.write("meminfo", MEMINFO);
        run(&format!("mount --bind {meminfo} /proc/meminfo"));
        // Nobody's time is up before all places are taken.
        let (proxy, target) = (Proxy::start(&["--handshake-timeout", "60"]), Target::new());
        let places = |of: &str| proxy.report()["limits"]["long_heads"][of].number();
        assert_eq!(places("max"), 4);
        let [request, expected] = post(target.addr, &cookie(9000), "", "");
        // Each has one: nobody has to give it.
        let slow = [2, 3, 4, 5].map(|last| slow_head(&proxy, last, &request));
        wait_until("all places taken", || places("used") == 4);
        for request in requests(&target.addr.to_string(), &cookie(9000)) {
            let mut fifth = proxy.client_from("127.0.0.6");
            fifth.say(Way::Pipelined, request.as_bytes());
            let refusal = fifth.refusal_http();
            assert_eq!(refusal.status, 431);
            assert_eq!(refusal.body, "no room for a head over 8 KiB\n");
        }
        // One that fits into 8 KiB is served, and so are the four, to their last byte.
        let [short, told] = post(target.addr, &cookie(7000), "", "");
        proxy.forwards(&target, Way::Pipelined, short, told);
        for mut client in slow {
            let last = &request.as_bytes()[request.len() - 1..];
            client.is_forwarded(&target, Way::Pipelined, last, expected.as_bytes(), ANSWER);
        }
        wait_until("all places free", || places("used") == 0);
        proxy.forwards(&target, Way::Pipelined, request, expected);
    });
}

#[test]
fn h5_a_request_line_over_8_kib_gets_414_and_8000_octets_do_not() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let line = format!("GET http://127.0.0.1:9/{}", "x".repeat(8192));
    both_ways(|way| assert_eq!(proxy.refuses_http(way, &line).status, 414));
    let [request, expected] = post(
        target.addr,
        &format!("Cookie: {}\r\n", "c".repeat(400)),
        "",
        "",
    );
    let long = |text: String| text.replace("/form", &format!("/{}", "x".repeat(8000)));
    proxy.forwards(&target, Way::Pipelined, long(request), long(expected));
}

#[test]
fn h5_over_100_fields_get_431_and_100_do_not() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        for request in requests(&addr.to_string(), &"A: b\r\n".repeat(100)) {
            assert_eq!(proxy.refuses_http(way, &request).status, 431);
        }
        let kept = "A: b\r\n".repeat(99);
        // One is the Connection.
        let [request, expected] = post(addr, &kept["A: b\r\n".len()..], "", "");
        proxy.forwards(&target, way, request, expected);
    });
}

#[test]
fn h5_a_late_head_gets_408() {
    let proxy = Proxy::start(&["--handshake-timeout", "1"]);
    let start = Instant::now();
    let mut clients = [
        b"G".as_slice(),
        b"CONNECT 127.0",
        b"GET http://a/ HTTP/1.1\r\nA: b\r\n",
    ]
    .map(|part| {
        let mut client = proxy.client();
        client.say(Way::Pipelined, part);
        client
    });
    // One that goes on and on is no better off.
    while start.elapsed() < Duration::from_millis(800) {
        clients[2].say(Way::Pipelined, b"B: c\r\n");
        assert!(clients[2].is_silent_for(Duration::from_millis(100)));
    }
    for client in clients {
        assert_eq!(client.refusal_http().status, 408);
        let elapsed = start.elapsed();
        assert!((900..2500).contains(&elapsed.as_millis()), "{elapsed:?}");
    }
}

#[test]
fn h7_heads_that_drip_make_room_for_a_newcomer() {
    let (proxy, target) = (Proxy::start(&[]), echo());
    let [connect, _] = requests(&target.to_string(), &cookie(1500));
    for sources in [1, 4] {
        let slow: Vec<Client> = (0..HEADS)
            .map(|n| slow_head(&proxy, 2 + n % sources, &connect))
            .collect();
        for _ in 0..4 {
            both_ways(|way| {
                let mut client = proxy.client();
                client.ask_http(way, connect.as_bytes());
                client.echo(b"served");
            });
        }
        // The one that dripped longest has given its place: of the last of equal sources.
        assert_eq!(slow[sources - 1].refusal_http().status, 503);
    }
}

#[test]
fn h7_a_household_behind_one_address_has_nearly_all_heads() {
    let (proxy, target) = (Proxy::start(&[]), echo());
    let [connect, _] = requests(&target.to_string(), &cookie(1500));
    let mut slow: Vec<Client> = (0..HEADS).map(|_| slow_head(&proxy, 2, &connect)).collect();
    for client in &mut slow {
        client.ask_http(Way::Pipelined, &connect.as_bytes()[connect.len() - 1..]);
        client.echo(b"in its own time");
    }
}

#[test]
fn h7_requests_that_wait_for_their_target_are_in_nobodys_way() {
    let (proxy, target) = (Proxy::start(&[]), echo());
    let unanswering = Unanswering::new();
    let idle = proxy.idle_descriptors();
    let [connect, _] = requests(&target.to_string(), &cookie(1500));
    let waiting = |fields: &str, count| -> Vec<Client> {
        let [_, get] = requests(&unanswering.target.addr.to_string(), fields);
        let ask = |_| {
            let mut client = proxy.client();
            client.say(Way::Pipelined, get.as_bytes());
            client
        };
        (0..count).map(ask).collect()
    };
    let usual = waiting(&cookie(1500), HEADS);
    proxy.wait_descriptors(idle + 2 * HEADS);
    proxy.client().ask_http(Way::Pipelined, connect.as_bytes());
    for client in usual {
        client.abort();
    }
    proxy.wait_descriptors(idle);
    // Long ones keep their places, until one more comes.
    let long = waiting(&cookie(3000), HEADS);
    proxy.wait_descriptors(idle + 2 * HEADS);
    proxy.client().ask_http(Way::Pipelined, connect.as_bytes());
    assert_eq!(long[0].refusal_http().status, 503);
}

/// A field that makes a head too long for the place that every handshake has.
fn cookie(len: usize) -> String {
    format!("Cookie: {}\r\n", "c".repeat(len))
}

/// A client 127.0.0.`last` that has sent all of a head but its last byte.
fn slow_head(proxy: &Proxy, last: usize, head: &str) -> Client {
    let mut client = proxy.client_from(&format!("127.0.0.{last}"));
    client.say(Way::Pipelined, &head.as_bytes()[..head.len() - 1]);
    client
}

#[test]
fn h7_no_place_for_a_head_is_lost_however_its_request_ends() {
    if is_error_lost() {
        return;
    }
    let options = ["-u", "ann", "-P", "secret", "-w", "127.0.0.1"];
    let (proxy, target) = (Proxy::start(&options), Target::new());
    let (refusing, unanswering) = (Refusing::new(), Unanswering::new());
    let of = |addr: SocketAddr| requests(&addr.to_string(), &cookie(1500));
    let [connect, get] = of(target.addr);
    for _ in 0..=HEADS {
        for request in of(refusing.addr) {
            assert_eq!(proxy.refuses_http(Way::Pipelined, request).status, 502);
        }
        let answer = proxy.refuses_http(Way::Pipelined, "BAD\r\n");
        assert_eq!(answer.status, 400);
        let mut stranger = proxy.client_from("127.0.0.2");
        stranger.say(Way::Pipelined, connect.as_bytes());
        assert_eq!(stranger.refusal_http().status, 407);
        // Ones that leave: within the head, and while their target is dialled.
        for request in [&connect[..1200], &of(unanswering.target.addr)[1]] {
            let mut client = proxy.client();
            client.say(Way::Pipelined, request.as_bytes());
            client.abort();
        }
        for request in [&connect, &get] {
            let mut client = proxy.client();
            client.say(Way::Pipelined, request.as_bytes());
            drop(target.accept());
        }
    }
    let full = |status| {
        proxy
            .refuses_http(Way::Pipelined, &of(refusing.addr)[0])
            .status
            == status
    };
    wait_until("a free place", || full(502));
    // All of them are there: none has to give its place.
    let mut slow: Vec<Client> = (0..HEADS)
        .map(|n| slow_head(&proxy, 3 + n % 4, &connect))
        .collect();
    for client in &mut slow {
        assert!(client.is_silent_for(Duration::from_millis(5)));
    }
}
