//! PROTOCOL.md's table HTTP, what is carried: H1, H2 and H8, byte by byte, over real
//! sockets. Answers are in `http_answers.rs`, H3 in `http_logins.rs`, what is refused in
//! `http_refusals.rs`, foreign clients in `clients.rs`.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.

use std::io::{ErrorKind, Read, Write};
use std::net::Ipv4Addr;
use std::thread;
use std::time::Duration;

use crate::support::Proxy;
use crate::support::name_server::{Answer, NameServer};
use crate::support::targets::{Target, Unanswering, echo, echo_at};
use crate::support::web::{ANSWER, basic, connect, post, requests};
use crate::support::wire::{Client, Way, abort, ask_and_answer, both_ways, loopback6, pattern};

#[test]
fn h1_connect_gets_200_and_a_tunnel() {
    let is_loopback = Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]);
    let names = NameServer::start(vec![("echo.test", is_loopback)]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let (target, target6) = (echo(), echo_at(loopback6(0)));
    both_ways(|way| {
        for host in [
            target.to_string(),
            target6.to_string(),
            format!("echo.test:{}", target.port()),
            format!("localhost:{}", target.port()),
        ] {
            let mut client = proxy.client();
            client.ask_http(way, connect(&host).as_bytes());
            client.echo(b"through HTTP");
        }
        // The oldest clients name neither a Host nor the newer version.
        let mut client = proxy.client();
        client.ask_http(way, format!("CONNECT {target} HTTP/1.0\r\n\r\n").as_bytes());
        client.echo(b"through HTTP/1.0");
    });
}

#[test]
fn h1_200_is_told_only_when_the_connection_stands() {
    let (proxy, unanswering) = (Proxy::start(&[]), Unanswering::new());
    let mut client = proxy.client();
    let request = connect(&unanswering.target.addr.to_string());
    client.say(Way::Pipelined, request.as_bytes());
    assert!(client.is_silent_for(Duration::from_millis(200)));
    let target = unanswering.release();
    let _stream = target.accept();
    assert!(client.head().starts_with("HTTP/1.1 200 "));
}

#[test]
fn h1_payload_behind_the_head_goes_first_and_in_order() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let sizes: &[usize] = match way {
            Way::PerByte => &[1000],
            // Around what fits beside a handshake, and what waits outside of the table of heads.
            Way::Pipelined => &[1, 1024, 1025, 2048, 2049, 300_000],
        };
        for size in sizes {
            let payload = pattern(*size);
            let request = connect(&target.addr.to_string());
            let mut client = proxy.client();
            thread::scope(|scope| {
                let server = scope.spawn(|| target.hear(payload.len()));
                client.ask_http(way, &[request.as_bytes(), &payload].concat());
                assert!(server.join().unwrap() == payload, "{size} bytes changed");
            });
        }
    });
}

#[test]
fn h1_a_head_of_8_kib_is_read_however_it_is_cut() {
    let (proxy, target) = (Proxy::start(&[]), echo());
    let host = target.to_string();
    let filler = 8192 - connect(&host).len() - "X: \r\n".len();
    let head = connect(&host).replace(
        "\r\n\r\n",
        &format!("\r\nX: {}\r\n\r\n", "x".repeat(filler)),
    );
    assert_eq!(head.len(), 8192);
    let all = [head.as_bytes(), b"payload"].concat();
    for cut in [1, 2, 1000, 1024, 1025, 5000, 8191, 8192, 8195] {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &all[..cut]);
        assert!(cut >= 8192 || client.is_silent_for(Duration::from_millis(20)));
        client.ask_http(Way::Pipelined, &all[cut..]);
        assert_eq!(client.hear(7), b"payload");
    }
    let mut client = proxy.client();
    client.ask_http(Way::PerByte, &all);
    assert_eq!(client.hear(7), b"payload");
}

#[test]
fn h1_who_pipes_a_connect_into_its_connection_gets_its_status() {
    let (proxy, unanswering) = (Proxy::start(&[]), Unanswering::new());
    let mut client = proxy.client();
    client.say(
        Way::Pipelined,
        connect(&unanswering.target.addr.to_string()).as_bytes(),
    );
    client.finish();
    assert!(client.is_silent_for(Duration::from_millis(100)));
    let target = unanswering.release();
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    let mut server = Client::from(target.accept());
    assert_eq!(server.rest(), b"");
    server.say(Way::Pipelined, b"hello");
    server.finish();
    assert_eq!(client.rest(), b"hello");
}

#[test]
fn h1_a_connect_may_have_bare_line_feeds_and_no_host() {
    let (proxy, target) = (Proxy::start(&["-u", "ann", "-P", "secret"]), echo());
    let login = basic("ann", "secret");
    both_ways(|way| {
        for head in [
            // As corkscrew and testssl.sh write it.
            format!("CONNECT {target} HTTP/1.0\nProxy-Authorization: {login}\r\n\r\n"),
            format!("CONNECT {target} HTTP/1.0\nProxy-Authorization: {login}\n\n"),
            format!("CONNECT {target} HTTP/1.1\r\nProxy-Authorization: {login}\r\n\r\n"),
            format!("\r\nCONNECT {target} HTTP/1.1\r\nProxy-Authorization: {login}\r\n\r\n"),
        ] {
            let mut client = proxy.client();
            client.ask_http(way, head.as_bytes());
            client.echo(b"through it");
        }
    });
}

#[test]
fn h1_half_closes_and_resets_pass_through_the_tunnel() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let open = || {
            let mut client = proxy.client();
            client.ask_http(way, connect(&target.addr.to_string()).as_bytes());
            (client, Client::from(target.accept()))
        };
        let (mut client, mut server) = open();
        ask_and_answer(&mut client, &mut server, way);
        let (mut client, server) = open();
        abort(server.stream);
        let error = client.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn h2_a_request_is_forwarded_in_origin_form() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        for (line, forwarded) in [
            (format!("GET http://{addr}/a/b?c=d"), "GET /a/b?c=d"),
            (format!("GET http://{addr}"), "GET /"),
            (format!("GET http://{addr}?q"), "GET /?q"),
            (format!("PUT HTTP://{addr}/%20//x"), "PUT /%20//x"),
            (format!("OPTIONS http://{addr}"), "OPTIONS *"),
            (format!("DELETE http://{addr}/x"), "DELETE /x"),
        ] {
            // The Host of the client is not believed.
            let request = format!(
                "{line} HTTP/1.1\r\nHost: other.test\r\nUser-Agent: test\r\nAccept: */*\r\n\
                 Connection: close\r\n\r\n"
            );
            let expected = format!(
                "{forwarded} HTTP/1.1\r\nHost: {addr}\r\nUser-Agent: test\r\nAccept: */*\r\n\
                 Connection: close\r\n\r\n"
            );
            proxy.forwards(&target, way, request, expected);
        }
    });
}

#[test]
fn h2_the_host_is_the_one_that_was_named() {
    let is_loopback = Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]);
    let names = NameServer::start(vec![("page.test", is_loopback)]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let (target, target6) = (Target::new(), Target::at(loopback6(0)));
    both_ways(|way| {
        let named = |name: &str| format!("{name}:{}", target.addr.port());
        let six = target6.addr.to_string();
        for (host, target) in [
            (named("page.test"), &target),
            (named("LocalHost"), &target),
            (six, &target6),
        ] {
            let close = "Connection: close\r\n\r\n";
            let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n{close}");
            let expected = format!("GET / HTTP/1.1\r\nHost: {host}\r\n{close}");
            proxy.forwards(target, way, request, expected);
        }
    });
}

#[test]
fn h2_the_port_is_80_where_none_is_named() {
    let proxy = Proxy::start(&["--block", "127.0.0.9:80"]);
    for host in ["127.0.0.9", "127.0.0.9:", "127.0.0.9:80"] {
        let request = format!("GET http://{host}/ HTTP/1.1\r\nHost: {host}\r\n\r\n");
        both_ways(|way| assert_eq!(proxy.refuses_http(way, &request).status, 403));
    }
}

#[test]
fn h2_fields_of_the_connection_end_at_the_proxy() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let hidden = "Proxy-Connection: keep-alive\r\nproxy-anything: 1\r\nKeep-Alive: timeout=5\r\n\
                  TE: trailers\r\nUpgrade: h2c\r\nConnection: keep-alive, X-Secret\r\n\
                  x-secret: 1\r\nconnection: x-other\r\nX-Other: 2\r\n";
    let kept = "Cookie: a=b\r\nX-Kept: \u{e4}\r\nAuthorization: Basic QTpC\r\nEmpty: \r\n";
    both_ways(|way| {
        let [request, expected] = post(target.addr, kept, hidden, "");
        proxy.forwards(&target, way, request, expected);
    });
}

#[test]
fn h2_a_client_of_http_1_0_is_forwarded_with_our_version() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        let request = format!("GET http://{addr}/old HTTP/1.0\r\n\r\n");
        let expected = format!("GET /old HTTP/1.1\r\nHost: {addr}\r\nConnection: close\r\n\r\n");
        proxy.forwards(&target, way, request, expected);
    });
}

#[test]
fn h2_a_body_of_known_length_passes_and_nothing_behind_it() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for body in ["", "x", "0123456789"] {
            let fields = format!("Content-Length: {}\r\n", body.len());
            let [request, expected] = post(target.addr, &fields, "", body);
            proxy.forwards(&target, way, &request, &expected);
            let request = request.clone() + &request + "\r\nand what not";
            proxy.forwards(&target, way, request, expected);
        }
    });
}

#[test]
fn h2_a_chunked_body_passes_as_it_came_and_nothing_behind_it() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for body in [
            "0\r\n\r\n",
            "5\r\nhello\r\n00\r\n\r\n",
            "3;a=b\r\nabc\r\nA\r\n0\r\n\r\n67890\r\n0\r\nTrailer: x\r\n\r\n",
        ] {
            let fields = "Transfer-Encoding: chunked\r\n";
            let [request, expected] = post(target.addr, fields, "", body);
            proxy.forwards(&target, way, &request, &expected);
            let request = request.clone() + &request + "0\r\n\r\n";
            proxy.forwards(&target, way, request, expected);
        }
    });
}

#[test]
fn h2_large_bodies_and_large_answers_pass_whole() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let head = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    let answer = [head.as_bytes(), &pattern(3 << 18)].concat();
    let body = pattern(1 << 20);
    let length = format!("Content-Length: {}\r\n", body.len());
    let mut chunks = Vec::new();
    for chunk in body.chunks(60_000) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunks.extend(chunk.iter().chain(b"\r\n"));
    }
    chunks.extend(b"0\r\n\r\n");
    let chunked = String::from("Transfer-Encoding: chunked\r\n");
    for (fields, body) in [(length, &body), (chunked, &chunks)] {
        let [request, expected] = post(target.addr, &fields, "", "");
        // A second request of a client that keeps its connections.
        let request = [request.as_bytes(), body, request.as_bytes(), &body[..8000]].concat();
        let expected = [expected.as_bytes(), body].concat();
        let way = Way::Pipelined;
        let mut client = proxy.client();
        client.is_forwarded(&target, way, &request, &expected, &answer);
    }
}

#[test]
fn h2_an_interim_answer_passes_before_the_body() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let fields = "Content-Length: 4\r\nExpect: 100-continue\r\n";
        let [request, expected] = post(target.addr, fields, "", "");
        let mut client = proxy.client();
        client.say(way, request.as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.hear(expected.len()), expected.as_bytes());
        server.say(way, b"HTTP/1.1 100 Continue\r\n\r\n");
        assert_eq!(client.head(), "HTTP/1.1 100 Continue\r\n\r\n");
        client.say(way, b"body and more");
        assert_eq!(server.hear(4), b"body");
        assert!(server.is_silent_for(Duration::from_millis(20)));
        server.say(way, ANSWER);
        server.finish();
        assert_eq!(client.rest(), ANSWER);
        assert_eq!(server.rest(), b"");
    });
}

#[test]
fn h2_a_client_that_ends_behind_its_request_gets_the_answer() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let [request, expected] = post(target.addr, "Content-Length: 4\r\n", "", "body");
        let mut client = proxy.client();
        client.say(way, request.as_bytes());
        client.finish();
        client.is_forwarded(&target, way, b"", expected.as_bytes(), ANSWER);
    });
}

#[test]
fn h2_what_comes_while_the_server_is_dialled_is_measured_too() {
    let proxy = Proxy::start(&[]);
    let cases = [
        ("Content-Length: 10\r\n", "01234", "56789"),
        (
            "Transfer-Encoding: chunked\r\n",
            "5\r\n0123",
            "4\r\n0\r\n\r\n",
        ),
    ];
    thread::scope(|scope| {
        for (fields, early, late) in cases {
            let proxy = &proxy;
            scope.spawn(move || {
                let unanswering = Unanswering::new();
                let [request, expected] = post(unanswering.target.addr, fields, "", early);
                let mut client = proxy.client();
                client.say(Way::Pipelined, request.as_bytes());
                assert!(client.is_silent_for(Duration::from_millis(50)));
                client.say(Way::Pipelined, [late, &request].concat().as_bytes());
                assert!(client.is_silent_for(Duration::from_millis(50)));
                let target = unanswering.release();
                let expected = expected + late;
                let way = Way::Pipelined;
                client.is_forwarded(&target, way, b"and more", expected.as_bytes(), ANSWER);
            });
        }
    });
}

#[test]
fn h2_a_body_that_is_cut_off_is_not_made_whole() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for fields in ["Content-Length: 9\r\n", "Transfer-Encoding: chunked\r\n"] {
            let [request, expected] = post(target.addr, fields, "", "9\r\n");
            let mut client = proxy.client();
            client.say(way, request.as_bytes());
            let mut server = Client::from(target.accept());
            assert_eq!(server.hear(expected.len()), expected.as_bytes());
            client.finish();
            assert_eq!(client.refusal_http().status, 400);
            let error = server.stream.read(&mut [0]).unwrap_err();
            assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        }
    });
}

#[test]
fn h8_nothing_is_said_of_the_client_and_nothing_of_the_proxy() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        let [request, expected] = post(addr, "", "", "");
        proxy.forwards(&target, way, request, expected);
        // What a client says itself is its own affair.
        let said = "Via: 1.1 x\r\nForwarded: for=y\r\nX-Forwarded-For: z\r\n";
        let [request, expected] = post(addr, said, "", "");
        proxy.forwards(&target, way, request, expected);
    });
}

#[test]
fn an_http_client_that_resets_cancels_the_dial() {
    let (proxy, unanswering) = (Proxy::start(&[]), Unanswering::new());
    let descriptors = proxy.idle_descriptors();
    let tunnel = connect(&unanswering.target.addr.to_string());
    let [request, _] = post(unanswering.target.addr, "", "", "");
    for request in [tunnel, request] {
        let mut client = proxy.client();
        client.say(Way::Pipelined, request.as_bytes());
        proxy.wait_descriptors(descriptors + 2);
        client.abort();
        proxy.wait_descriptors(descriptors);
    }
}

#[test]
fn h2_a_client_that_waits_for_its_answer_has_not_half_closed() {
    let proxy = Proxy::start(&["--half-close-timeout", "1"]);
    let target = Target::new();
    let [_, get] = requests(&target.addr.to_string(), "");
    let mut client = proxy.client();
    client.say(Way::Pipelined, get.as_bytes());
    let mut server = target.accept();
    // Closing with it unread would reset the connection.
    assert!(server.read(&mut [0; 4096]).unwrap() > 0);
    thread::sleep(Duration::from_millis(1500));
    server.write_all(b"HTTP/1.1 200 OK\r\n\r\nlate").unwrap();
    drop(server);
    assert!(client.rest().ends_with(b"late"));
    // One that has closed gets no more than that time.
    let mut gone = proxy.client();
    gone.say(Way::Pipelined, get.as_bytes());
    let server = Client::from(target.accept());
    gone.finish();
    assert!(server.time_to_end() < Duration::from_secs(3));
}
