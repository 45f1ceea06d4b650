//! PROTOCOL.md's table HTTP, what comes back: H9, H11, H12 and H13, byte by byte, over real
//! sockets.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.

use std::io::{ErrorKind, Read};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::Proxy;
use crate::support::crowd::Crowd;
use crate::support::targets::Target;
use crate::support::web::{ANSWER, answer, get, post};
use crate::support::wire::{Client, Way, abort, both_ways, pattern};

/// A client that has sent a GET, and the server that has received it.
fn asked(proxy: &Proxy, target: &Target, way: Way) -> (Client, Client) {
    let [request, expected] = get(target.addr, "/");
    let mut client = proxy.client();
    client.say(way, request.as_bytes());
    let mut server = Client::from(target.accept());
    assert_eq!(server.hear(expected.len()), expected.as_bytes());
    (client, server)
}

#[test]
fn h9_an_answer_goes_on_without_the_fields_of_its_connection() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = asked(&proxy, &target, way);
        server.say(
            way,
            b"HTTP/1.0 404 Not here\r\nServer: a\r\nConnection: keep-alive, X-Hop\r\nX-Hop: 1\r\n\
              Keep-Alive: timeout=5\r\nProxy-Authenticate: x\r\nUpgrade: h2c\r\n\
              Set-Cookie: a\r\nSet-Cookie: b\r\nContent-Length: 5\r\n\r\nhello",
        );
        let expected = "HTTP/1.1 404 Not here\r\nServer: a\r\nSet-Cookie: a\r\nSet-Cookie: b\r\n\
                        Content-Length: 5\r\n\r\nhello";
        assert_eq!(client.hear(expected.len()), expected.as_bytes());
        assert!(client.is_silent_for(Duration::from_millis(20)));
    });
}

#[test]
fn h9_a_body_is_delimited_as_its_head_says() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let chunks = "5;a=b\r\nhello\r\n0\r\nTrailer: x\r\n\r\n";
    both_ways(|way| {
        for (head, body) in [
            ("200 OK\r\nContent-Length: 5\r\n", "hello"),
            (
                "200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: Trailer\r\n",
                chunks,
            ),
            ("204 \r\n", ""),
            ("304 Not Modified\r\nContent-Length: 5\r\n", ""),
            ("302 Found\r\nContent-Length: 0\r\n", ""),
        ] {
            let (mut client, mut server) = asked(&proxy, &target, way);
            let text = format!("HTTP/1.1 {head}\r\n{body}");
            // What lies behind the answer is nobody's.
            server.say(way, format!("{text}HTTP/1.1 200 OK\r\n\r\nbad").as_bytes());
            assert_eq!(client.hear(text.len()), text.as_bytes());
            assert!(client.is_silent_for(Duration::from_millis(20)), "{head}");
            assert!(server.rest_or_reset().is_empty());
        }
        // All up to the end of the connection, which the client is told of.
        let (client, mut server) = asked(&proxy, &target, way);
        server.say(way, b"HTTP/1.1 200 OK\r\nA: b\r\n\r\nhello");
        server.finish();
        let expected = "HTTP/1.1 200 OK\r\nA: b\r\nConnection: close\r\n\r\nhello";
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
    });
}

#[test]
fn h9_servers_that_name_the_coding_in_connection_are_read() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = asked(&proxy, &target, way);
        server.say(
            way,
            b"HTTP/1.1 200\r\nTransfer-Encoding:  chunked\r\nConnection: keep-alive\r\n\
              Connection: Transfer-Encoding\r\n\r\n1\r\na\r\n0\r\n\r\n",
        );
        // And a blank is behind the code (RFC 9112 §4).
        let expected = b"HTTP/1.1 200 \r\nTransfer-Encoding: chunked\r\n\r\n1\r\na\r\n0\r\n\r\n";
        assert_eq!(client.hear(expected.len()), expected);
    });
}

#[test]
fn h9_trailers_end_here_where_connection_names_fields() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let head = "Transfer-Encoding: chunked\r\n\r\n2\r\nab\r\n0\r\n";
    both_ways(|way| {
        let request = format!("POST http://{0}/ HTTP/1.1\r\nHost: {0}\r\n", target.addr);
        let expected = format!("POST / HTTP/1.1\r\nHost: {}\r\n{head}\r\n", target.addr);
        let rest = format!("Connection: X-T\r\n{head}X-T: 1\r\nX-U: 2\r\n\r\n");
        let mut client = proxy.client();
        client.say(way, format!("{request}{rest}").as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.hear(expected.len()), expected.as_bytes());
        server.say(way, format!("HTTP/1.1 200 OK\r\n{rest}").as_bytes());
        let expected = format!("HTTP/1.1 200 OK\r\n{head}\r\n");
        assert_eq!(client.hear(expected.len()), expected.as_bytes());
        assert!(client.is_silent_for(Duration::from_millis(20)));
        assert!(server.is_silent_for(Duration::from_millis(1)));
    });
}

#[test]
fn h9_head_has_a_length_and_no_body() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let [request, expected] = get(target.addr, "/").map(|text| text.replace("GET", "HEAD"));
        let mut client = proxy.client();
        client.say(way, request.as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.hear(expected.len()), expected.as_bytes());
        let head = "HTTP/1.1 200 OK\r\nContent-Length: 500000\r\n\r\n";
        server.say(way, head.as_bytes());
        assert_eq!(client.hear(head.len()), head.as_bytes());
        // The next one on both connections.
        let [request, expected] = get(target.addr, "/next");
        client.say(way, request.as_bytes());
        assert_eq!(server.hear(expected.len()), expected.as_bytes());
        let second = answer("second");
        server.say(way, second.as_bytes());
        assert_eq!(client.hear(second.len()), second.as_bytes());
    });
}

#[test]
fn h9_what_could_be_read_in_two_ways_is_a_502() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for fields in [
            "Content-Length: 5\r\nContent-Length: 5\r\n",
            "Content-Length: 5, 5\r\n",
            "Content-Length: 0x5\r\n",
            "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n",
            "Transfer-Encoding: chunked, gzip\r\n",
            "Transfer-Encoding: x, chunked\r\n",
            "Transfer-Encoding:\x0bchunked\r\n",
            "Connection: Content-Length\r\nContent-Length: 5\r\n",
            "A: b\r\n folded\r\n",
            "A: b\rContent-Length: 5\r\n",
            "A: b\0\r\n",
            "no colon\r\n",
        ] {
            let (client, mut server) = asked(&proxy, &target, way);
            server.say(
                way,
                format!("HTTP/1.1 200 OK\r\n{fields}\r\nhello").as_bytes(),
            );
            let refusal = client.refusal_http();
            assert_eq!(refusal.status, 502, "{fields:?}");
            assert!(!refusal.body.contains("hello"));
            drop(server);
        }
        for text in [
            "SSH-2.0-x\r\n",
            "HTTP/2.0 200 OK\r\n\r\n",
            "HTTP/1.1 2x0 OK\r\n\r\n",
        ] {
            let (client, mut server) = asked(&proxy, &target, way);
            server.say(way, text.as_bytes());
            assert_eq!(client.refusal_http().status, 502, "{text:?}");
        }
        // A protocol that nobody has asked for.
        let (client, mut server) = asked(&proxy, &target, way);
        server.say(
            way,
            b"HTTP/1.1 101 Switching Protocols\r\nUpgrade: x\r\n\r\n",
        );
        assert_eq!(client.refusal_http().status, 502);
    });
    // A head that never ends.
    let (client, mut server) = asked(&proxy, &target, Way::Pipelined);
    let long = format!("HTTP/1.1 200 OK\r\nA: {}", "b".repeat(40_000));
    server.say(Way::Pipelined, long.as_bytes());
    assert_eq!(client.refusal_http().status, 502);
}

#[test]
fn h9_chunks_that_are_none_reset_the_client() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = asked(&proxy, &target, way);
        let start = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nhello\r\n";
        server.say(way, start.as_bytes());
        assert_eq!(client.hear(start.len()), start.as_bytes());
        server.say(way, b"no chunk");
        let error = client.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn h9_an_answer_that_is_cut_off_does_not_look_whole() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for framing in ["Content-Length: 9", "Transfer-Encoding: chunked"] {
            let (client, mut server) = asked(&proxy, &target, way);
            let part = format!("HTTP/1.1 200 OK\r\n{framing}\r\n\r\n9\r\nhe");
            server.say(way, part.as_bytes());
            server.finish();
            assert_eq!(client.rest(), part.as_bytes());
        }
        // One that would look whole is reset: what ends with its connection, and what is told so.
        let (mut client, mut server) = asked(&proxy, &target, way);
        server.say(way, b"HTTP/1.1 200 OK\r\n\r\nhe");
        let part = b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhe";
        assert_eq!(client.hear(part.len()), part);
        abort(server.stream);
        let error = client.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        let mut old = proxy.client();
        old.say(
            way,
            format!("GET http://{}/ HTTP/1.0\r\n\r\n", target.addr).as_bytes(),
        );
        let mut server = Client::from(target.accept());
        server.head();
        server.say(
            way,
            b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n9\r\nhe",
        );
        assert_eq!(old.hear(part.len()), part);
        server.finish();
        let error = old.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
        // Before the head is complete it is no answer.
        for end in [
            |server: Client| drop(server),
            |server: Client| abort(server.stream),
        ] {
            let (client, mut server) = asked(&proxy, &target, way);
            server.say(way, b"HTTP/1.1 200 OK\r\nCont");
            end(server);
            assert_eq!(client.refusal_http().status, 502);
        }
    });
}

#[test]
fn h9_a_client_of_http_1_0_gets_what_it_can_read() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(
            way,
            format!("GET http://{}/ HTTP/1.0\r\n\r\n", target.addr).as_bytes(),
        );
        let mut server = Client::from(target.accept());
        server.head();
        server.say(way, b"HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n");
        let chunks = "3\r\nhel\r\n2;a=b\r\nlo\r\n0\r\nTrailer: x\r\n\r\n";
        let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n";
        server.say(way, format!("{head}{chunks}").as_bytes());
        let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\nhello";
        assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
    });
    // Nor is it told of chunks where there is no body.
    let mut client = proxy.client();
    let request = format!("HEAD http://{}/ HTTP/1.0\r\n\r\n", target.addr);
    client.say(Way::Pipelined, request.as_bytes());
    let mut server = Client::from(target.accept());
    server.head();
    let head = "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\nTrailer: x\r\n\r\n";
    server.say(Way::Pipelined, head.as_bytes());
    let expected = "HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n";
    assert_eq!(String::from_utf8(client.rest()).unwrap(), expected);
}

#[test]
fn h9_large_answers_pass_whole_in_each_framing() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let body = pattern(300_000);
    let mut chunks = Vec::new();
    for chunk in body.chunks(70_000) {
        chunks.extend(format!("{:x}\r\n", chunk.len()).bytes());
        chunks.extend(chunk.iter().chain(b"\r\n"));
    }
    chunks.extend(b"0\r\n\r\n");
    for (field, body) in [
        ("Content-Length: 300000", &body),
        ("Transfer-Encoding: chunked", &chunks),
    ] {
        let (mut client, mut server) = asked(&proxy, &target, Way::Pipelined);
        let head = format!("HTTP/1.1 200 OK\r\n{field}\r\n\r\n");
        let all = [head.as_bytes(), body].concat();
        std::thread::scope(|scope| {
            scope.spawn(|| server.say(Way::Pipelined, &all));
            assert!(client.hear(all.len()) == all, "{field}");
        });
    }
}

#[test]
fn h9_a_server_without_an_answer_is_a_502() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (client, server) = asked(&proxy, &target, way);
        drop(server);
        assert_eq!(client.refusal_http().status, 502);
        let (client, server) = asked(&proxy, &target, way);
        abort(server.stream);
        assert_eq!(client.refusal_http().status, 502);
    });
}

#[test]
fn h9_a_silent_server_is_a_504() {
    let (proxy, target) = (Proxy::start(&["--idle-timeout", "1"]), Target::new());
    let (client, _server) = asked(&proxy, &target, Way::Pipelined);
    assert_eq!(client.refusal_http().status, 504);
}

#[test]
fn h11_hops_are_counted_and_the_last_one_is_answered_here() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        for method in ["TRACE", "OPTIONS"] {
            let text = |target: &str, hops| {
                format!("{method} {target} HTTP/1.1\r\nHost: {addr}\r\nMax-Forwards: {hops}\r\n")
            };
            let mut client = proxy.client();
            client.say(
                way,
                format!("{}\r\n", text(&format!("http://{addr}/"), 1)).as_bytes(),
            );
            let mut server = Client::from(target.accept());
            assert_eq!(
                server.head(),
                text("/", 0).replacen(
                    &format!("Host: {addr}\r\nMax-Forwards: 0\r\n"),
                    &format!("Host: {addr}\r\nMax-Forwards: 0\r\n\r\n"),
                    1
                )
            );
            let ok = answer("far away");
            server.say(way, ok.as_bytes());
            assert_eq!(client.hear(ok.len()), ok.as_bytes());
            let mut last = proxy.client();
            let request = format!(
                "{}Cookie: secret\r\n\r\n",
                text(&format!("http://{addr}/"), 0)
            );
            last.say(way, request.as_bytes());
            let heard = String::from_utf8(last.rest()).unwrap();
            assert!(heard.starts_with("HTTP/1.1 200 OK\r\n"), "{heard}");
            assert_eq!(heard.contains("\r\n\r\nTRACE http://"), method == "TRACE");
            assert!(!heard.contains("secret"), "{heard}");
        }
    });
    assert!(target.is_untouched());
}

#[test]
fn h12_a_changed_protocol_is_a_tunnel() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\nSec-WebSocket-Key: x\r\n";
    both_ways(|way| {
        for scheme in ["http", "ws"] {
            let mut client = proxy.client();
            let addr = target.addr;
            let request =
                format!("GET {scheme}://{addr}/chat HTTP/1.1\r\nHost: {addr}\r\n{upgrade}\r\n");
            client.say(way, request.as_bytes());
            // Sent before the answer: the other protocol's, or the next request.
            client.say(way, b"early");
            let mut server = Client::from(target.accept());
            let expected = format!(
                "GET /chat HTTP/1.1\r\nHost: {addr}\r\nSec-WebSocket-Key: x\r\n\
                 Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n"
            );
            assert_eq!(server.head(), expected);
            assert!(server.is_silent_for(Duration::from_millis(20)));
            let change = "HTTP/1.1 101 Switching Protocols\r\nSec-WebSocket-Accept: y\r\n\
                          Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n";
            server.say(way, format!("{change}first").as_bytes());
            assert_eq!(client.head(), change);
            assert_eq!(client.hear(5), b"first");
            assert_eq!(server.hear(5), b"early");
            client.say(way, b"more");
            assert_eq!(server.hear(4), b"more");
            client.finish();
            assert_eq!(server.rest(), b"");
            server.say(way, b"last");
            server.finish();
            assert_eq!(client.rest(), b"last");
        }
    });
}

#[test]
fn h12_a_changed_protocol_whose_server_breaks_resets_the_client() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
    let request = format!("GET http://{addr}/ HTTP/1.1\r\nHost: {addr}\r\n{upgrade}\r\n");
    for early in ["", "early"] {
        let mut client = proxy.client();
        client.say(Way::Pipelined, (request.clone() + early).as_bytes());
        let mut server = Client::from(target.accept());
        server.head();
        // Both are there at once.
        proxy.pause();
        server.say(
            Way::Pipelined,
            format!("HTTP/1.1 101 x\r\n{upgrade}\r\n").as_bytes(),
        );
        abort(server.stream);
        proxy.signal(Signal::SIGCONT);
        let mut heard = Vec::new();
        let end = (&client.stream).read_to_end(&mut heard);
        assert_eq!(
            end.unwrap_err().kind(),
            ErrorKind::ConnectionReset,
            "{early:?}"
        );
    }
}

#[test]
fn h12_a_server_that_does_not_change_its_protocol_answers() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        let upgrade = "Connection: Upgrade\r\nUpgrade: websocket\r\n";
        let request = format!("GET http://{addr}/ HTTP/1.1\r\nHost: {addr}\r\n{upgrade}\r\n");
        let [next, expected] = get(addr, "/next");
        let mut client = proxy.client();
        client.say(way, (request + &next).as_bytes());
        let mut server = Client::from(target.accept());
        server.head();
        for text in ["plain", "second"] {
            let text = answer(text);
            server.say(way, text.as_bytes());
            assert_eq!(client.hear(text.len()), text.as_bytes());
            if text.ends_with("plain") {
                assert_eq!(server.head(), expected);
            }
        }
    });
}

#[test]
fn h13_an_early_answer_passes_and_what_is_still_sent_is_discarded() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let [request, expected] = post(target.addr, "Content-Length: 9\r\n", "", "");
        let [request, expected] =
            [request, expected].map(|text| text.replace("Connection: close\r\n", ""));
        let mut client = proxy.client();
        client.say(way, request.as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.hear(expected.len()), expected.as_bytes());
        server.say(way, ANSWER);
        // The next request would have no beginning: the connection ends.
        assert_eq!(client.hear(ANSWER.len()), ANSWER);
        client.say(way, b"the rest!");
        assert_eq!(client.rest(), b"");
    });
}

#[test]
fn h13_a_reset_behind_the_end_takes_back_nothing_of_an_early_answer() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    for late in ["", "the rest!"] {
        let [request, expected] = post(target.addr, "Content-Length: 9\r\n", "", "");
        let mut client = proxy.client();
        client.say(Way::Pipelined, request.as_bytes());
        let mut server = Client::from(target.accept());
        server.hear(expected.len());
        // All of it is there at once. The body ends with the connection.
        proxy.pause();
        server.say(Way::Pipelined, b"HTTP/1.1 413 x\r\n\r\ntoo large");
        client.say(Way::Pipelined, late.as_bytes());
        proxy.end_and_break(server.stream);
        proxy.signal(Signal::SIGCONT);
        let answer = b"HTTP/1.1 413 x\r\nConnection: close\r\n\r\ntoo large";
        assert_eq!(client.rest(), answer);
    }
}

#[test]
fn h13_a_reset_that_a_write_finds_first_takes_back_nothing_of_an_early_answer() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let mut crowd = Crowd::new(&proxy);
    for _ in 0..5 {
        let [request, expected] = post(target.addr, "Content-Length: 9\r\n", "", "");
        let mut client = proxy.client();
        client.say(Way::Pipelined, request.as_bytes());
        let mut server = Client::from(target.accept());
        server.hear(expected.len());
        crowd.stop_before(&proxy, || client.say(Way::Pipelined, b"the rest!"));
        server.say(Way::Pipelined, b"HTTP/1.1 413 x\r\n\r\ntoo large");
        proxy.end_and_break(server.stream);
        proxy.signal(Signal::SIGCONT);
        let answer = b"HTTP/1.1 413 x\r\nConnection: close\r\n\r\ntoo large";
        assert_eq!(client.rest(), answer);
    }
}

#[test]
fn h13_a_refusal_is_read_behind_a_large_upload() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret"]);
    let body = pattern(8 << 20);
    let head = format!(
        "POST http://127.0.0.1:9/ HTTP/1.1\r\nHost: a\r\nContent-Length: {}\r\n\r\n",
        body.len()
    );
    let mut client = proxy.client();
    // All of it is written before anything is read.
    client.say(Way::Pipelined, &[head.as_bytes(), &body].concat());
    assert_eq!(client.refusal_http().status, 407);
}
