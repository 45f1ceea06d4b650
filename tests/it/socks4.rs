//! PROTOCOL.md's table SOCKS4 / SOCKS4A, row by row, over real sockets.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.
//! What BIND does beyond its two replies is in `bind.rs`.

use std::net::{Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::socks4::{request4, request4a};
use crate::support::targets::{Refusing, Target, Unanswering, echo, echo_at};
use crate::support::wire::{Client, Way, ask_and_answer, both_ways, loopback, loopback6, pattern};
use crate::support::{Folder, Proxy};

/// Nowhere, as a grant says it for what SOCKS4 cannot write.
const NO_IP: Ipv4Addr = Ipv4Addr::UNSPECIFIED;

/// Sends `request`, which is refused.
#[track_caller]
fn refused(proxy: &Proxy, way: Way, request: &[u8]) {
    let mut client = proxy.client();
    client.say(way, request);
    client.refused4();
}

/// Sends `request`, which leads to an echo; where the proxy says that it is bound.
#[track_caller]
fn echoes(client: &mut Client, way: Way, request: &[u8]) -> SocketAddr {
    client.say(way, request);
    let bound = client.granted4();
    client.echo(b"through SOCKS4");
    bound
}

#[test]
fn s1_a_grant_has_eight_bytes_and_tells_the_outgoing_address() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    both_ways(|way| {
        for user in [&b""[..], b"ann", b"\xff \x01"] {
            let mut client = proxy.client();
            client.say(way, &request4(1, target.addr, user));
            let bound = client.granted4();
            assert_eq!(target.accept_from().1, bound);
        }
    });
}

#[test]
fn s1_a_grant_comes_only_when_the_connection_stands() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let mut client = proxy.client();
    client.say(Way::Pipelined, &request4(1, unanswering.target.addr, b""));
    assert!(client.is_silent_for(Duration::from_millis(200)));
    let target = unanswering.release();
    let _stream = target.accept();
    client.granted4();
}

#[test]
fn s1_every_failure_gets_91_and_an_orderly_end() {
    let (refusing, unanswering) = (Refusing::new(), Unanswering::new());
    let options = ["--block", "127.0.0.9", "--connect-timeout", "1"];
    let proxy = Proxy::start(&options);
    both_ways(|way| {
        for target in [
            refusing.addr,
            loopback(9, 80),
            loopback(1, 0),
            unanswering.target.addr,
        ] {
            refused(&proxy, way, &request4(1, target, b"ann"));
        }
    });
}

#[test]
fn s1_a_failure_reply_survives_payload_behind_the_request() {
    let (proxy, refusing) = (Proxy::start(&[]), Refusing::new());
    both_ways(|way| {
        let request = request4(1, refusing.addr, b"ann");
        let mut client = proxy.client();
        client.say(way, &[&request[..], &pattern(2000)].concat());
        client.refused4();
    });
}

#[test]
fn s1_one_deadline_covers_the_whole_request() {
    let proxy = Proxy::start(&["--handshake-timeout", "1"]);
    let start = Instant::now();
    let mut client = proxy.client();
    for byte in request4a(1, "a-name-that-takes-long.test", 80) {
        client.say(Way::PerByte, &[byte]);
        if !client.is_silent_for(Duration::from_millis(100)) {
            break;
        }
    }
    assert_eq!(client.rest_or_reset(), b"");
    let elapsed = start.elapsed();
    assert!((900..2000).contains(&elapsed.as_millis()), "{elapsed:?}");
}

#[test]
fn s2_a_name_is_resolved_as_any_other() {
    let names = NameServer::start(vec![
        ("echo.test", Answer::Is(vec![Ipv4Addr::LOCALHOST.into()])),
        ("six.test", Answer::Is(vec![loopback6(0).ip()])),
        ("none.test", Answer::Error(NXDOMAIN)),
    ]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let (target, target6) = (echo(), echo_at(loopback6(0)));
    both_ways(|way| {
        // x of 0.0.0.x is anything but 0.
        for x in [1, 0xff] {
            let mut request = request4a(1, "echo.test", target.port());
            request[7] = x;
            let bound = echoes(&mut proxy.client(), way, &request);
            assert_eq!(bound.ip(), Ipv4Addr::LOCALHOST);
        }
        // An IPv6 address cannot be said.
        let request = request4a(1, "six.test", target6.port());
        let bound = echoes(&mut proxy.client(), way, &request);
        assert!(bound.ip() == NO_IP && bound.port() != 0, "{bound}");
        refused(&proxy, way, &request4a(1, "none.test", 80));
    });
    assert!(names.count("echo.test") > 0 && names.count("none.test") > 0);
}

#[test]
fn s2_a_literal_as_a_name_needs_no_dns() {
    let names = NameServer::start(Vec::new());
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let (target, target6) = (echo(), echo_at(loopback6(0)));
    both_ways(|way| {
        for (name, target) in [("127.0.0.1", target), ("::1", target6), ("[::1]", target6)] {
            let request = request4a(1, name, target.port());
            echoes(&mut proxy.client(), way, &request);
        }
    });
    assert_eq!(names.total(), 0);
}

#[test]
fn s2_a_name_that_is_none_gets_91_and_never_reaches_the_log_raw() {
    let proxy = Proxy::start(&["-v"]);
    both_ways(|way| {
        for name in [
            "",
            "a b.test",
            "a\nINFO forged.test",
            "a\x1b[2J.test",
            &"a".repeat(254),
            &"a".repeat(255),
        ] {
            refused(&proxy, way, &request4a(1, name, 80));
        }
    });
    let log = proxy.log_text();
    let forged = log.lines().any(|line| line.starts_with("INFO forged"));
    assert!(!forged && !log.contains('\x1b'), "{log}");
}

#[test]
fn s3_a_user_or_a_name_over_255_bytes_is_closed_without_a_reply() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    both_ways(|way| {
        let longest = request4(1, target, &[b'u'; 255]);
        echoes(&mut proxy.client(), way, &longest);
        for request in [
            request4(1, target, &[b'u'; 256]),
            request4(1, target, &[b'u'; 2000]),
            request4a(1, [b'n'; 256], target.port()),
            request4a(1, [b'n'; 2000], target.port()),
        ] {
            let mut client = proxy.client();
            client.say(way, &request);
            assert_eq!(client.rest_or_reset(), b"");
        }
    });
}

#[test]
fn s3_a_long_user_and_the_longest_name_go_together() {
    // 253 bytes, in labels of 63 at most (RFC 1035 §2.3.4).
    let label = "n".repeat(62);
    let name = format!("{label}.{label}.{label}.{}.test", "n".repeat(59));
    assert_eq!(name.len(), 253);
    let name: &'static str = name.leak();
    let names = NameServer::start(vec![(name, Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]))]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let target = echo();
    both_ways(|way| {
        let mut request = request4(
            1,
            (Ipv4Addr::new(0, 0, 0, 1), target.port()).into(),
            &[b'u'; 255],
        );
        request.extend(name.bytes().chain([0]));
        echoes(&mut proxy.client(), way, &request);
    });
}

#[test]
fn s4_a_user_id_proves_nothing() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret", "-w", "127.0.0.5"]);
    let target = Target::new();
    both_ways(|way| {
        for user in [&b"ann"[..], b"ann:secret", b""] {
            refused(&proxy, way, &request4(1, target.addr, user));
            refused(&proxy, way, &request4(2, target.addr, user));
        }
        refused(&proxy, way, &request4a(1, "localhost", target.addr.port()));
    });
    assert!(target.is_untouched());
    let target = echo();
    both_ways(|way| {
        let mut trusted = proxy.client_from("127.0.0.5");
        echoes(&mut trusted, way, &request4(1, target, b"whoever"));
    });
}

#[test]
fn s4_an_address_that_has_authenticated_is_trusted() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret", "--auth-once"]);
    let target = echo();
    refused(&proxy, Way::Pipelined, &request4(1, target, b"ann"));
    proxy.user_tunnel(b"ann", b"secret", target);
    both_ways(|way| {
        let request = request4(1, target, b"whoever");
        echoes(&mut proxy.client(), way, &request);
    });
}

#[test]
fn s4_an_address_that_has_authenticated_is_who_it_was() {
    let folder = Folder::new("socks4-user");
    let users = folder.write("users", "ann:secret\nbob:secret\n");
    let proxy = Proxy::start(&["--users", &users, "--auth-once"]);
    let target = echo();
    proxy.user_tunnel(b"ann", b"secret", target);
    let mut client = proxy.client();
    echoes(
        &mut client,
        Way::Pipelined,
        &request4(1, target, b"whoever"),
    );
    folder.write("users", "bob:secret\n");
    proxy.signal(Signal::SIGHUP);
    let line = proxy.session_line(client.addr);
    assert!(
        line.contains(" as ann ") && line.ends_with("user removed"),
        "{line}"
    );
    assert_eq!(client.rest_or_reset(), b"");
}

#[test]
fn s5_bind_has_two_replies() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &request4(2, loopback(1, 21), b"ann"));
        let peer = Client::connect(client.granted4());
        assert_eq!(client.granted4(), peer.addr);
    });
}

#[test]
fn s5_any_other_command_gets_91() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        // 3 is UDP ASSOCIATE in SOCKS5 alone.
        for command in [0, 3, 4, 90, 0xff] {
            refused(&proxy, way, &request4(command, loopback(1, 9), b"ann"));
            refused(&proxy, way, &request4a(command, "name.test", 9));
        }
    });
}

#[test]
fn s6_payload_behind_the_request_goes_first_and_in_order() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    both_ways(|way| {
        let payload = match way {
            Way::PerByte => pattern(1000),
            Way::Pipelined => pattern(300_000),
        };
        for request in [
            request4(1, target.addr, b"ann"),
            request4a(1, "localhost", target.addr.port()),
        ] {
            let mut client = proxy.client();
            thread::scope(|scope| {
                let server = scope.spawn(|| target.hear(payload.len()));
                client.say(way, &[&request[..], &payload].concat());
                assert!(
                    server.join().unwrap() == payload,
                    "the payload changed on its way"
                );
            });
            client.granted4();
        }
    });
}

#[test]
fn s6_a_request_may_be_split_anywhere() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    let all = [&request4a(1, "localhost", target.port())[..], b"payload"].concat();
    for cut in 1..all.len() {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &all[..cut]);
        client.say(Way::Pipelined, &all[cut..]);
        client.granted4();
        assert_eq!(client.hear(7), b"payload");
    }
}

#[test]
fn half_closes_pass_both_ways() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &request4(1, target.addr, b"ann"));
        let mut server = Client::from(target.accept());
        client.granted4();
        ask_and_answer(&mut client, &mut server, way);
    });
}

#[test]
fn socks4_can_be_switched_off() {
    let proxy = Proxy::start(&["--no-socks4"]);
    let target = echo();
    both_ways(|way| {
        for request in [
            request4(1, target, b"ann"),
            request4a(1, "localhost", target.port()),
        ] {
            let mut client = proxy.client();
            client.say(way, &request);
            assert_eq!(client.rest_or_reset(), b"");
        }
        let mut client = proxy.client();
        client.open(target);
        client.echo(b"SOCKS5 is still on");
    });
}
