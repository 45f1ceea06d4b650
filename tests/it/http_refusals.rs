//! PROTOCOL.md's table HTTP, what is refused: H4, H6 and H7, each answer byte by byte, over real
//! sockets. What is carried is in `http.rs`, how long a head may be in `http_heads.rs`.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.

use std::net::SocketAddr;
use std::thread;

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::namespace::{Router, in_namespace};
use crate::support::targets::{Refusing, Target, Unanswering, echo};
use crate::support::web::{basic, requests};
use crate::support::wire::{Client, Way, both_ways, is_end, loopback, pattern};
use crate::support::{Proxy, is_error_lost};

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
        // What is no field among the trailers could be read as another message.
        "0\r\nGET / HTTP/1.1\r\n\r\n",
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
fn h7_a_refusal_of_head_has_a_length_and_no_body() {
    let proxy = Proxy::start(&["--block", "127.0.0.9", "-u", "ann", "-P", "secret"]);
    let (target, login) = (Target::new(), basic("ann", "secret"));
    let told = |client: &Client, status: u16| {
        let text = String::from_utf8(client.rest()).unwrap();
        assert!(text.starts_with(&format!("HTTP/1.1 {status} ")), "{text}");
        assert!(text.contains("\r\nContent-Length: "), "{text}");
        assert_eq!(text.find("\r\n\r\n"), Some(text.len() - 4), "{text}");
    };
    both_ways(|way| {
        let asks = |url: &str, fields: &str| {
            let mut client = proxy.client();
            let request = format!("HEAD {url} HTTP/1.1\r\nHost: x\r\n{fields}\r\n");
            client.say(way, request.as_bytes());
            client
        };
        let login = format!("Proxy-Authorization: {login}\r\n");
        told(&asks("https://x/", &login), 400);
        told(&asks("http://127.0.0.9/", &login), 403);
        told(&asks("http://127.0.0.9/", ""), 407);
        let client = asks(&format!("http://{}/", target.addr), &login);
        let mut server = Client::from(target.accept());
        server.head();
        server.say(way, b"no answer");
        told(&client, 502);
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
