//! PROTOCOL.md's table HTTP, connections that go on: H10, over real sockets.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.

use std::io::Write;
use std::net::{Shutdown, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::targets::{Target, echo};
use crate::support::web::{answer, basic, connect, get};
use crate::support::wire::{Client, Way, abort, both_ways};
use crate::support::{Folder, Proxy, wait_until};

/// Sends `text` to the client, which gets exactly that.
#[track_caller]
fn answers(server: &mut Client, client: &mut Client, way: Way, text: &str) {
    server.say(way, text.as_bytes());
    assert_eq!(String::from_utf8(client.hear(text.len())).unwrap(), text);
}

/// The client asks for a path, and the server gets that.
#[track_caller]
fn asks(client: &mut Client, server: &mut Client, addr: SocketAddr, way: Way, path: &str) {
    let [request, expected] = get(addr, path);
    client.say(way, request.as_bytes());
    assert_eq!(server.head(), expected);
}

/// A client whose first request has been answered, and its server.
fn pair(proxy: &Proxy, target: &Target, way: Way) -> (Client, Client) {
    let mut client = proxy.client();
    let [request, expected] = get(target.addr, "/first");
    client.say(way, request.as_bytes());
    let mut server = Client::from(target.accept());
    assert_eq!(server.head(), expected);
    answers(&mut server, &mut client, way, &answer("first"));
    (client, server)
}

#[test]
fn h10_the_next_request_of_a_client_takes_the_same_connections() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = pair(&proxy, &target, way);
        for n in 0..5 {
            asks(&mut client, &mut server, target.addr, way, &format!("/{n}"));
            answers(&mut server, &mut client, way, &answer(&n.to_string()));
        }
        drop(client);
        assert_eq!(server.rest(), b"");
    });
    assert!(target.is_untouched());
}

#[test]
fn h10_a_server_that_ignores_close_and_stays_open_hangs_nobody() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let close = "Connection: close\r\n\r\n";
        let mut client = proxy.client();
        let [request, _] = get(target.addr, "/");
        client.say(
            way,
            request
                .replace("\r\n\r\n", &format!("\r\n{close}"))
                .as_bytes(),
        );
        let mut server = Client::from(target.accept());
        assert!(server.head().ends_with(close));
        server.say(way, answer("ok").as_bytes());
        let heard = String::from_utf8(client.rest()).unwrap();
        assert_eq!(
            heard,
            answer("ok").replace("\r\n\r\n", &format!("\r\n{close}"))
        );
    });
}

#[test]
fn h10_pipelined_requests_are_answered_in_order_one_at_a_time() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    // As libtorrent's web seeds.
    const REQUESTS: usize = 48;
    both_ways(|way| {
        let paths = (0..REQUESTS).map(|n| format!("/{n}"));
        let texts = paths.map(|path| get(target.addr, &path));
        let (requests, expected): (Vec<_>, Vec<_>) = texts.map(<(String, String)>::from).unzip();
        let mut client = proxy.client();
        client.say(way, requests.concat().as_bytes());
        let mut server = Client::from(target.accept());
        for (n, expected) in expected.iter().enumerate() {
            assert_eq!(server.head(), *expected);
            if n < 3 {
                assert!(
                    server.is_silent_for(Duration::from_millis(10)),
                    "one at a time"
                );
            }
            answers(
                &mut server,
                &mut client,
                way,
                &answer(&format!("answer {n}")),
            );
        }
    });
}

#[test]
fn h10_bodies_end_where_the_next_request_begins() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let addr = target.addr;
    both_ways(|way| {
        let mut client = proxy.client();
        let post = |framing: &str, body: &str| {
            let head = format!("HTTP/1.1\r\nHost: {addr}\r\n{framing}\r\n\r\n{body}");
            [
                format!("POST http://{addr}/p {head}"),
                format!("POST /p {head}"),
            ]
        };
        let messages = [
            post("Content-Length: 5", "GET /"),
            post(
                "Transfer-Encoding: chunked",
                "5\r\nGET /\r\n0\r\nA: b\r\n\r\n",
            ),
            get(addr, "/last"),
        ];
        let all: String = messages
            .iter()
            .map(|[request, _]| request.as_str())
            .collect();
        client.say(way, all.as_bytes());
        for [_, expected] in &messages {
            // A request that cannot be sent again has a connection of its own.
            let mut server = Client::from(target.accept());
            assert_eq!(server.hear(expected.len()), expected.as_bytes());
            answers(&mut server, &mut client, way, &answer("well"));
        }
    });
}

#[test]
fn h10_another_origin_gets_another_connection_and_the_old_one_ends() {
    let proxy = Proxy::start(&[]);
    let (one, two) = (Target::new(), Target::new());
    both_ways(|way| {
        let (mut client, server) = pair(&proxy, &one, way);
        let [request, expected] = get(two.addr, "/");
        client.say(way, request.as_bytes());
        let mut other = Client::from(two.accept());
        assert_eq!(other.head(), expected);
        assert_eq!(server.rest(), b"");
        answers(&mut other, &mut client, way, &answer("other"));
        // Back again: nobody has kept the first one.
        let [request, _] = get(one.addr, "/again");
        client.say(way, request.as_bytes());
        let mut again = Client::from(one.accept());
        again.head();
        answers(&mut again, &mut client, way, &answer("again"));
    });
}

#[test]
fn h10_each_request_is_judged_anew() {
    let proxy = Proxy::start(&["--block", "127.0.0.9/32", "-u", "ann", "-P", "secret"]);
    let target = Target::new();
    let login = |user: &str| format!("\r\nProxy-Authorization: {}\r\n\r\n", basic(user, "secret"));
    let with = |text: String, user| text.replace("\r\n\r\n", &login(user));
    both_ways(|way| {
        let first = || {
            let [request, expected] = get(target.addr, "/");
            let mut client = proxy.client();
            client.say(way, with(request, "ann").as_bytes());
            let mut server = Client::from(target.accept());
            assert_eq!(server.head(), expected);
            answers(&mut server, &mut client, way, &answer("let in"));
            (client, server)
        };
        // A login does not last, a wrong one does not ride on it, nor does a target.
        let (mut client, server) = first();
        client.say(way, get(target.addr, "/")[0].as_bytes());
        assert_eq!(client.refusal_http().status, 407);
        assert_eq!(server.rest(), b"");
        let (mut client, _server) = first();
        let [request, _] = get("127.0.0.9:80".parse().unwrap(), "/");
        client.say(way, with(request, "ann").as_bytes());
        assert_eq!(client.refusal_http().status, 403);
    });
    let (client, _server) = {
        let [request, _] = get(target.addr, "/");
        let mut client = proxy.client();
        client.say(Way::Pipelined, with(request.clone(), "ann").as_bytes());
        let mut server = Client::from(target.accept());
        server.head();
        answers(&mut server, &mut client, Way::Pipelined, &answer("let in"));
        client.say(Way::Pipelined, with(request, "bob").as_bytes());
        (client, server)
    };
    assert_eq!(client.refusal_http().status, 407);
    assert!(target.is_untouched());
    // Who was let in before on the connection has not sent the wrong one.
    let line = proxy.wait_log_all(&[" -> nothing, ", ", wrong password"]);
    assert!(!line.contains(" as ann"), "{line}");
}

#[test]
fn h10_another_user_gets_another_connection() {
    let file = std::env::temp_dir().join(format!("anklet-users-{}", std::process::id()));
    std::fs::write(&file, "ann:a\nbob:b\n").unwrap();
    let proxy = Proxy::start(&["-v", "--users", file.to_str().unwrap()]);
    let target = Target::new();
    let mut client = proxy.client();
    let mut servers = Vec::new();
    for (user, password) in [("ann", "a"), ("bob", "b"), ("ann", "a")] {
        let [request, expected] = get(target.addr, "/");
        let login = format!("\r\nProxy-Authorization: {}\r\n\r\n", basic(user, password));
        client.say(
            Way::Pipelined,
            request.replace("\r\n\r\n", &login).as_bytes(),
        );
        let mut server = Client::from(target.accept());
        assert_eq!(server.head(), expected);
        answers(&mut server, &mut client, Way::Pipelined, &answer(user));
        servers.push(server);
    }
    // What is answered here is theirs, too, who have asked.
    let login = basic("bob", "b");
    let request = format!(
        "TRACE http://a/ HTTP/1.1\r\nHost: a\r\nMax-Forwards: 0\r\n\
         Proxy-Authorization: {login}\r\n\r\n"
    );
    client.say(Way::Pipelined, request.as_bytes());
    assert!(client.head().starts_with("HTTP/1.1 200 "));
    drop(client);
    proxy.wait_log_all(&[" as bob -> nothing, ", ", done"]);
    std::fs::remove_file(file).unwrap();
}

#[test]
fn h10_users_that_are_read_anew_meanwhile_do_not_mix() {
    let folder = Folder::new("pairs-users");
    let file = folder.write("users", "ann:a\nbob:b\n");
    let proxy = Proxy::start(&["--users", &file]);
    let target = Target::new();
    let [request, expected] = get(target.addr, "/");
    let as_user = |user: &str, password: &str| {
        let login = format!("\r\nProxy-Authorization: {}\r\n\r\n", basic(user, password));
        request.replace("\r\n\r\n", &login)
    };
    let ask = |client: &mut Client, login: &str| client.say(Way::Pipelined, login.as_bytes());
    let mut client = proxy.client();
    ask(&mut client, &as_user("bob", "b"));
    let mut server = Client::from(target.accept());
    assert_eq!(server.head(), expected);
    answers(&mut server, &mut client, Way::Pipelined, &answer("first"));
    // While the next one waits, bob becomes the first of the users.
    ask(&mut client, &as_user("bob", "b"));
    assert_eq!(server.head(), expected);
    folder.write("users", "bob:b\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("reloaded: 1 users");
    // It is sent once more, and has its line, in his name.
    drop(server);
    let mut server = Client::from(target.accept());
    assert_eq!(server.head(), expected);
    answers(&mut server, &mut client, Way::Pipelined, &answer("again"));
    let line = format!(" as bob -> {}", target.addr);
    wait_until("both lines", || {
        proxy.log_text().matches(&line).count() == 2
    });
    // Once he is none of them any more, his connection ends, and nobody else rides on it.
    folder.write("users", "eve:e\n");
    proxy.signal(Signal::SIGHUP);
    client.rest_or_reset();
    let mut client = proxy.client();
    ask(&mut client, &as_user("eve", "e"));
    let mut server = Client::from(target.accept());
    assert_eq!(server.head(), expected);
    answers(&mut server, &mut client, Way::Pipelined, &answer("eve"));
}

#[test]
fn h10_empty_lines_without_end_are_in_nobodys_way() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let floods: Vec<_> = (0..2)
        .map(|_| {
            let (client, server) = pair(&proxy, &target, Way::Pipelined);
            let mut stream = client.stream.try_clone().unwrap();
            let lines = b"\r\n".repeat(64 * 1024);
            let flood = thread::spawn(move || while stream.write_all(&lines).is_ok() {});
            (client, server, flood)
        })
        .collect();
    // Others are served meanwhile.
    let until = Instant::now() + Duration::from_secs(2);
    let (mut client, mut server) = pair(&proxy, &target, Way::Pipelined);
    let mut longest = Duration::ZERO;
    while Instant::now() < until {
        let start = Instant::now();
        asks(&mut client, &mut server, target.addr, Way::Pipelined, "/");
        answers(&mut server, &mut client, Way::Pipelined, &answer("served"));
        longest = longest.max(start.elapsed());
    }
    for (client, _server, flood) in floods {
        client.stream.shutdown(Shutdown::Both).unwrap();
        flood.join().unwrap();
    }
    assert!(longest < Duration::from_millis(500), "{longest:?}");
}

#[test]
fn h10_a_tunnel_may_follow_a_forwarded_request() {
    let (proxy, target, echo) = (Proxy::start(&[]), Target::new(), echo());
    both_ways(|way| {
        let (mut client, server) = pair(&proxy, &target, way);
        client.ask_http(way, connect(&echo.to_string()).as_bytes());
        client.echo(b"through it");
        assert_eq!(server.rest(), b"");
    });
}

#[test]
fn h10_a_kept_connection_that_dies_is_made_anew_once_for_what_may_be_repeated() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        // It has ended before the request is there, or ends when that comes, in order or not.
        let (mut client, server) = pair(&proxy, &target, way);
        drop(server);
        let [request, expected] = get(target.addr, "/again");
        client.say(way, request.as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.head(), expected);
        for end in [
            |server: Client| drop(server),
            |server: Client| abort(server.stream),
        ] {
            answers(&mut server, &mut client, way, &answer("again"));
            asks(&mut client, &mut server, target.addr, way, "/again");
            end(server);
            server = Client::from(target.accept());
            assert_eq!(server.head(), expected);
        }
        // Not a third time.
        drop(server);
        assert_eq!(client.refusal_http().status, 502);
    });
    assert!(target.is_untouched());
}

#[test]
fn h10_a_request_that_has_been_answered_in_part_is_not_repeated() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = pair(&proxy, &target, way);
        asks(&mut client, &mut server, target.addr, way, "/");
        server.say(way, b"HTTP/1.1 2");
        server.finish();
        assert_eq!(client.refusal_http().status, 502);
    });
    assert!(target.is_untouched());
}

#[test]
fn h10_a_kept_connection_with_bytes_that_nobody_asked_for_is_dropped() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = pair(&proxy, &target, way);
        server.say(way, b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\n\r\nbad");
        assert_eq!(server.rest_or_reset(), b"");
        let [request, expected] = get(target.addr, "/next");
        client.say(way, request.as_bytes());
        let mut server = Client::from(target.accept());
        assert_eq!(server.head(), expected);
        answers(&mut server, &mut client, way, &answer("good"));
    });
}

#[test]
fn h10_a_body_announced_where_there_is_none_never_becomes_the_next_answer() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        let (mut client, mut server) = pair(&proxy, &target, way);
        let texts = ["/none", "/next"].map(|path| get(target.addr, path));
        client.say(way, [&texts[0][0][..], &texts[1][0]].concat().as_bytes());
        assert_eq!(server.head(), texts[0][1]);
        server.say(
            way,
            b"HTTP/1.1 204 None\r\nTransfer-Encoding: chunked\r\n\r\n",
        );
        assert_eq!(client.head(), "HTTP/1.1 204 None\r\n\r\n");
        // What is announced could still come, and would be read as the answer to the next request.
        assert_eq!(server.rest(), b"");
        let mut next = Client::from(target.accept());
        assert_eq!(next.head(), texts[1][1]);
        answers(&mut next, &mut client, way, &answer("good"));
    });
}

#[test]
fn h10_an_authentication_of_the_connection_keeps_the_pair_together() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let other = Target::new();
    let asked = "HTTP/1.1 401 Unauthorized\r\nWWW-Authenticate: NTLM\r\nContent-Length: 0\r\n\r\n";
    both_ways(|way| {
        let pinned = || {
            let (mut client, mut server) = pair(&proxy, &target, way);
            asks(&mut client, &mut server, target.addr, way, "/");
            server.say(way, asked.as_bytes());
            // Without this no client may begin it (RFC 4559 §6).
            let told = "\r\nProxy-Support: Session-Based-Authentication\r\n\
                        Connection: Proxy-Support\r\n\r\n";
            assert_eq!(client.head(), asked.replace("\r\n\r\n", told));
            (client, server)
        };
        // A POST too goes on the same connection.
        let (mut client, mut server) = pinned();
        let head = format!(
            "HTTP/1.1\r\nHost: {}\r\nContent-Length: 2\r\n\r\nhi",
            target.addr
        );
        client.say(
            way,
            format!("POST http://{}/ {head}", target.addr).as_bytes(),
        );
        assert_eq!(
            server.hear(head.len() + 7),
            format!("POST / {head}").as_bytes()
        );
        answers(&mut server, &mut client, way, &answer("in"));
        // Neither outlives the other.
        drop(server);
        assert_eq!(client.rest(), b"");
        let (client, server) = pinned();
        drop(client);
        assert_eq!(server.rest(), b"");
        let (mut client, server) = pinned();
        let [request, expected] = get(other.addr, "/");
        client.say(way, request.as_bytes());
        let mut elsewhere = Client::from(other.accept());
        assert_eq!(elsewhere.head(), expected);
        assert_eq!(server.rest(), b"");
        elsewhere.say(way, answer("elsewhere").as_bytes());
        assert!(
            client
                .rest()
                .ends_with(b"Connection: close\r\n\r\nelsewhere")
        );
        // A request that the connection dies under is not repeated on another one.
        let (mut client, mut server) = pinned();
        asks(&mut client, &mut server, target.addr, way, "/");
        drop(server);
        assert_eq!(client.refusal_http().status, 502);
    });
    assert!(target.is_untouched());
}

#[test]
fn h10_idle_pairs_make_room_for_newcomers() {
    let (proxy, target) = (Proxy::start(&["--max-sessions", "3"]), Target::new());
    let idle: Vec<_> = (0..3)
        .map(|_| pair(&proxy, &target, Way::Pipelined))
        .collect();
    let mut client = proxy.client();
    client.ask_http(Way::Pipelined, connect(&echo().to_string()).as_bytes());
    client.echo(b"served");
    // The one that was idle longest, in order and with its server.
    let mut idle = idle.into_iter();
    let (client, server) = idle.next().unwrap();
    assert_eq!((client.rest(), server.rest()), (Vec::new(), Vec::new()));
    let (client, _server) = idle.next_back().unwrap();
    assert!(client.is_silent_for(Duration::from_millis(50)));
}

#[test]
fn h10_an_idle_pair_ends_after_a_minute() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let (client, server) = pair(&proxy, &target, Way::Pipelined);
    let start = Instant::now();
    client
        .stream
        .set_read_timeout(Some(Duration::from_secs(90)))
        .unwrap();
    assert_eq!(client.rest(), b"");
    let elapsed = start.elapsed().as_secs();
    assert!((58..75).contains(&elapsed), "{elapsed} s");
    assert_eq!(server.rest(), b"");
}

#[test]
fn h10_each_exchange_has_its_line_in_the_log() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    let (mut client, mut server) = pair(&proxy, &target, Way::Pipelined);
    let [request, expected] = get(target.addr, "/");
    asks(&mut client, &mut server, target.addr, Way::Pipelined, "/");
    let told = answer("second");
    answers(&mut server, &mut client, Way::Pipelined, &told);
    let bytes = format!("{}/{} bytes, ", expected.len(), told.len());
    proxy.wait_log_all(&["INFO", &target.addr.to_string(), &bytes, ", done"]);
    drop(client);
    assert_eq!(server.rest(), b"");
    let lines = proxy
        .log_text()
        .lines()
        .filter(|line| line.contains(" bytes, "))
        .count();
    assert_eq!(lines, 2, "{} and {request}", proxy.log_text());
}
