//! PROTOCOL.md's table HTTP, what is refused: H4 to H7, each answer byte by byte, over real
//! sockets. What is carried is in `http.rs`.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.

use std::net::SocketAddr;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::namespace::{Router, in_namespace};
use crate::support::targets::{Refusing, Target, Unanswering, echo};
use crate::support::web::{post, requests};
use crate::support::wire::{Client, Way, both_ways, is_end, loopback, pattern};
use crate::support::{Proxy, is_error_lost, wait_until};

/// Heads that are read at one time (.github/DESIGN.md, Limits).
const HEADS: usize = 32;

#[test]
fn h4_what_is_not_served_is_a_bad_request() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr.to_string();
    both_ways(|way| {
        for line in [
            "GET /",
            "GET ADDR",
            "GET https://ADDR/",
            "GET ftp://ADDR/",
            "GET http:ADDR/",
            "GET http://user@ADDR/",
            "GET http:///",
            "GET http://ADDR/#fragment",
            "GET http://127.0.0.1:0/",
            "GET http://127.0.0.1:65536/",
            "OPTIONS *",
            "CONNECT 127.0.0.1",
            "CONNECT 127.0.0.1:",
            "CONNECT 127.0.0.1:0",
            "CONNECT http://ADDR/",
            "CONNECT ::1:80",
            "CONNECT a b:80",
        ] {
            let line = line.replace("ADDR", &addr);
            let request = format!("{line} HTTP/1.1\r\nHost: {addr}\r\n\r\n");
            assert_eq!(proxy.refuses_http(way, &request).status, 400, "{line}");
        }
        let nameless = format!("GET http://{addr}/ HTTP/1.1\r\n\r\n");
        assert_eq!(proxy.refuses_http(way, &nameless).status, 400);
    });
    assert!(target.is_untouched());
}

#[test]
fn h4_a_body_whose_end_can_be_read_in_two_ways_is_a_bad_request() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for fields in [
            "Transfer-Encoding: gzip\r\n",
            "Transfer-Encoding: gzip, chunked\r\n",
            "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked\r\nContent-Length: 5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Content-Length: 5\r\nContent-Length: 6\r\n",
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: +5\r\n",
            "Content-Length: -5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: \r\n",
            "Content-Length: 99999999999999999999\r\n",
            "Connection: Content-Length\r\nContent-Length: 5\r\n",
            "Host: twice.test\r\n",
        ] {
            let [_, request] = requests(&target.addr.to_string(), fields);
            let request = request + "5\r\nhello\r\n0\r\n\r\n";
            assert_eq!(proxy.refuses_http(way, &request).status, 400, "{fields}");
        }
    });
    assert!(target.is_untouched());
}

/// A POST to `addr` with a chunked body.
fn chunked(addr: SocketAddr, body: &str) -> String {
    let head = "HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\n";
    format!("POST http://{addr}/ {head}\r\n{body}")
}

#[test]
fn h4_a_chunked_body_that_is_none_is_refused_or_cut_off() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    for body in [
        "x\r\n",
        "5\nhello",
        "5\r\nhello0\r\n\r\n",
        "\r\n",
        "-1\r\n",
        "0x5\r\n",
    ] {
        let answer = proxy.refuses_http(Way::Pipelined, chunked(target.addr, body));
        assert_eq!(answer.status, 400, "{body:?}");
        // Not one byte of it.
        assert_eq!(Client::from(target.accept()).rest_or_reset(), b"");
        // The same once it is under way: the server sees an abort, not what looks like the end.
        let mut client = proxy.client();
        client.say(
            Way::Pipelined,
            chunked(target.addr, "3\r\nabc\r\n").as_bytes(),
        );
        let mut server = Client::from(target.accept());
        let mut head = server.head();
        head.push_str(&String::from_utf8(server.hear(8)).unwrap());
        assert!(head.ends_with("\r\n\r\n3\r\nabc\r\n"), "{head}");
        client.say(Way::PerByte, body.as_bytes());
        assert_eq!(client.refusal_http().status, 400);
        let mut last = [0; 64];
        let error = loop {
            match std::io::Read::read(&mut server.stream, &mut last) {
                Ok(0) => panic!("an orderly end behind {body:?}"),
                Ok(_) => {}
                Err(error) => break error,
            }
        };
        assert!(is_end(error.kind()), "{error}");
    }
}

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
fn h6_a_malformed_head_is_a_bad_request() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    let line = format!("GET http://{addr}/ HTTP/1.1");
    let mut heads: Vec<String> = [
        "A : b\r\n",
        "A\t: b\r\n",
        " A: b\r\n",
        "\tA: b\r\n",
        "A: b\r\n folded\r\n",
        "A\r\n",
        ": b\r\n",
        "A: b\n",
        "A: b\rc\r\n",
        "A: b\0c\r\n",
        "A: b\x1bc\r\n",
        "(: b\r\n",
        "\n",
        "A: b\r\r\n",
    ]
    .iter()
    .map(|field| format!("{line}\r\nHost: {addr}\r\n{field}\r\n"))
    .collect();
    for first in [
        format!("GET http://{addr}/\r\n"),
        format!("GET  http://{addr}/ HTTP/1.1\r\n"),
        format!("GET http://{addr}/ HTTP/1.1 \r\n"),
        format!("GET http://{addr}/ HTTP/1.2\r\n"),
        format!("GET http://{addr}/ HTTP/2.0\r\n"),
        format!("GET http://{addr}/ b HTTP/1.1\r\n"),
        format!("GET\thttp://{addr}/\tHTTP/1.1\r\n"),
        format!("G@T http://{addr}/ HTTP/1.1\r\n"),
        format!("{line}\n"),
        format!("\n{line}\r\n"),
        "PRI * HTTP/2.0\r\n".into(),
        "HELLO\r\n".into(),
    ] {
        heads.push(format!("{first}Host: {addr}\r\n\r\n"));
    }
    heads.push(format!(
        "get http://{addr}/ HTTP/1.1\r\nHost: {addr}\r\n\r\n"
    ));
    both_ways(|way| {
        for head in &heads {
            assert_eq!(proxy.refuses_http(way, head).status, 400, "{head:?}");
            let connect = head.replace(&format!("GET http://{addr}/"), &format!("CONNECT {addr}"));
            // Nothing of a CONNECT's head is passed on: its lines may end with LF alone.
            if !head.replace("\r\n", "").contains('\n') {
                assert_eq!(proxy.refuses_http(way, &connect).status, 400, "{connect:?}");
            }
        }
    });
    assert!(target.is_untouched());
}

#[test]
fn h7_each_failure_has_its_status_and_a_line_that_names_it() {
    if is_error_lost() {
        return;
    }
    let names = NameServer::start(vec![
        ("none.test", Answer::Error(NXDOMAIN)),
        ("never.test", Answer::Never),
    ]);
    let (refusing, unanswering) = (Refusing::new(), Unanswering::new());
    let dns = names.option();
    let proxy = Proxy::start(&[
        "--block",
        "127.0.0.9",
        "--connect-timeout",
        "1",
        "--dns",
        &dns,
    ]);
    let cases = [
        ("127.0.0.9:80".to_owned(), 403, "not allowed"),
        (proxy.addr.to_string(), 403, "not allowed"),
        (refusing.addr.to_string(), 502, "refused"),
        ("none.test:80".to_owned(), 502, "name not found"),
        (unanswering.target.addr.to_string(), 504, "timeout"),
        ("never.test:80".to_owned(), 504, "timeout"),
    ];
    thread::scope(|scope| {
        for (host, status, line) in &cases {
            let proxy = &proxy;
            scope.spawn(move || {
                both_ways(|way| {
                    for request in requests(host, "") {
                        let answer = proxy.refuses_http(way, &request);
                        assert_eq!(answer.status, *status, "{host}");
                        assert!(answer.body.contains(line), "{}", answer.body);
                        assert_eq!(answer.field("Content-Type"), Some("text/plain"));
                    }
                });
            });
        }
    });
}

#[test]
fn h7_behind_a_router_the_rules_hold_for_http_too() {
    if is_error_lost() {
        return;
    }
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        let from_lan = |host: &str| {
            requests(host, "").map(|request| {
                let mut client = proxy.client_from("192.168.77.2");
                client.say(Way::Pipelined, request.as_bytes());
                client.refusal_http().status
            })
        };
        let mapped = "[::ffff:127.0.0.1]:80";
        for host in [
            "127.0.0.1:80",
            "10.0.0.1:80",
            "203.0.113.1:80",
            "[::1]:80",
            mapped,
        ] {
            assert_eq!(from_lan(host), [403, 403], "{host}");
        }
        // Nobody listens there, but it may be asked.
        assert_eq!(from_lan("1.2.3.4:9"), [502, 502]);
    });
}

#[test]
fn h7_a_refusal_survives_payload_behind_the_head() {
    if is_error_lost() {
        return;
    }
    let (proxy, refusing) = (Proxy::start(&[]), Refusing::new());
    both_ways(|way| {
        let [connect, _] = requests(&refusing.addr.to_string(), "");
        for request in [connect, "BAD\r\n".to_owned()] {
            let len = if matches!(way, Way::PerByte) {
                500
            } else {
                20_000
            };
            let all = [request.as_bytes(), &pattern(len)].concat();
            let answer = proxy.refuses_http(way, all);
            assert!([400, 502].contains(&answer.status));
        }
    });
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

#[test]
fn http_can_be_switched_off() {
    let proxy = Proxy::start(&["--no-http"]);
    let target = Target::new();
    both_ways(|way| {
        for request in requests(&target.addr.to_string(), "") {
            let mut client = proxy.client();
            client.say(way, request.as_bytes());
            assert_eq!(client.rest_or_reset(), b"");
        }
        let mut client = proxy.client();
        client.open(loopback(1, echo().port()));
        client.echo(b"SOCKS5 is still on");
    });
    assert!(target.is_untouched());
}
