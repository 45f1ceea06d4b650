//! PROTOCOL.md's table Negotiation, row by row, over real sockets.
//!
//! Each exchange runs with every byte in a segment of its own and with all in one segment.
//! What comes after a negotiation is in `replies.rs` and `relay.rs`.

use std::io::Write;
use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NameServer};
use crate::support::targets::{Refusing, Target, Unanswering, echo, echo_at};
use crate::support::wire::{
    GREETING, GREETING_USER, Way, both_ways, connect, connect_name, is_end, loopback, loopback6,
    pattern, request, user_pass,
};
use crate::support::{Proxy, is_error_lost};

#[test]
fn n1_an_unknown_first_byte_is_closed_without_a_reply() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        for first in [0x00, 0x03, 0x06, 0x16, 0xff] {
            let mut client = proxy.client();
            client.say(way, &[first, 1, 0]);
            assert_eq!(client.rest_or_reset(), b"");
        }
    });
}

#[test]
fn n1_scanners_show_at_debug_only() {
    for (options, shows) in [(&[][..], false), (&["-v"][..], true)] {
        let proxy = Proxy::start(options);
        let mut scanner = proxy.client();
        scanner.say(Way::Pipelined, b"\x16\x03\x01");
        scanner.rest_or_reset();
        let sentinel = proxy.tunnel(echo());
        sentinel.finish();
        proxy.session_line(sentinel.addr);
        let shown = proxy.log_text().contains(&scanner.addr.to_string());
        assert_eq!(shown, shows, "{options:?}\n{}", proxy.log_text());
    }
}

#[test]
fn n2_zero_methods_gets_ff() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &[5, 0]);
        assert_eq!(client.rest(), [5, 0xff]);
    });
}

#[test]
fn n3_no_common_method_gets_ff_and_nothing_after_it() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        for greeting in [&[5, 1, 0x80][..], &[5, 2, 1, 3]] {
            let mut client = proxy.client();
            client.say(way, &[greeting, &connect(loopback(1, 9))].concat());
            assert_eq!(client.rest(), [5, 0xff]);
        }
        let mut client = proxy.client();
        let all_but_ours = (3..=255).collect::<Vec<u8>>();
        client.say(way, &[&[5, 253], &all_but_ours[..]].concat());
        assert_eq!(client.rest(), [5, 0xff]);
    });
}

#[test]
fn n4_with_credentials_the_password_is_chosen_where_offered() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret", "-w", "127.0.0.5"]);
    both_ways(|way| {
        let answer = |source: &str, greeting: &[u8]| {
            let mut client = proxy.client_from(source);
            client.say(way, greeting);
            client.hear(2)
        };
        assert_eq!(answer("127.0.0.1", &[5, 1, 2]), [5, 2]);
        assert_eq!(answer("127.0.0.1", &[5, 2, 0, 2]), [5, 2]);
        assert_eq!(answer("127.0.0.1", &[5, 3, 2, 1, 0]), [5, 2]);
        assert_eq!(answer("127.0.0.5", &[5, 2, 0, 2]), [5, 2]);
    });
}

#[test]
fn n4_without_a_password_only_trusted_addresses_are_served() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret", "-w", "127.0.0.5"]);
    let target = echo();
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &[&GREETING[..], &connect(target)].concat());
        assert_eq!(client.rest(), [5, 0xff]);
        let mut trusted = proxy.client_from("127.0.0.5");
        trusted.ask(way, &connect(target));
        trusted.echo(b"trusted");
    });
}

#[test]
fn n5_without_credentials_none_is_chosen_and_any_password_accepted() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    both_ways(|way| {
        for greeting in [&[5, 1, 0][..], &[5, 2, 2, 0], &[5, 2, 0, 2]] {
            let mut client = proxy.client();
            client.say(way, greeting);
            assert_eq!(client.hear(2), [5, 0]);
        }
        let mut client = proxy.client();
        let any = user_pass(b"whoever", b"whatever");
        client.say(
            way,
            &[&GREETING_USER, &any[..], &connect(target), b"payload"].concat(),
        );
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        assert_eq!(client.reply().code, 0);
        assert_eq!(client.hear(7), b"payload");
    });
}

#[test]
fn n6_gssapi_is_tolerated_and_never_chosen() {
    let open = Proxy::start(&[]);
    let locked = Proxy::start(&["-u", "ann", "-P", "secret"]);
    both_ways(|way| {
        let cases: [(&Proxy, &[u8], u8); 4] = [
            (&open, &[5, 2, 1, 0], 0),
            (&open, &[5, 2, 1, 2], 2),
            (&locked, &[5, 3, 0, 1, 2], 2),
            (&locked, &[5, 1, 1], 0xff),
        ];
        for (proxy, greeting, chosen) in cases {
            let mut client = proxy.client();
            client.say(way, greeting);
            assert_eq!(client.hear(2), [5, chosen]);
        }
    });
}

#[test]
fn n7_bytes_behind_the_greeting_are_the_next_message() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    let all = [&GREETING[..], &connect(target), b"payload"].concat();
    for cut in 1..all.len() {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &all[..cut]);
        if cut >= GREETING.len() {
            assert_eq!(client.hear(2), [5, 0]);
        }
        client.say(Way::Pipelined, &all[cut..]);
        if cut < GREETING.len() {
            assert_eq!(client.hear(2), [5, 0]);
        }
        assert_eq!(client.reply().code, 0);
        assert_eq!(client.hear(7), b"payload");
    }
}

#[test]
fn r1_another_version_in_the_request_gets_rep_01() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        for version in [0, 1, 4, 6] {
            let mut request = connect(loopback(1, 9));
            request[0] = version;
            assert_eq!(proxy.refuses(way, &request), 1);
        }
    });
}

#[test]
fn r2_the_reserved_byte_may_have_any_value() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    both_ways(|way| {
        let mut request = connect(target);
        request[2] = 0xff;
        let mut client = proxy.client();
        client.ask(way, &request);
        client.echo(b"as usual");
    });
}

#[test]
fn r3_an_unknown_command_is_refused_behind_its_whole_address() {
    let proxy = Proxy::start(&[]);
    let name = |command| {
        let mut request = connect_name("name.test", 80);
        request[1] = command;
        request
    };
    both_ways(|way| {
        for command in [0, 4, 0xf0, 0xff] {
            let requests = [
                request(command, loopback(1, 9)),
                request(command, loopback6(9)),
                name(command),
            ];
            for request in requests {
                let mut client = proxy.client();
                let (last, most) = request.split_last().unwrap();
                client.say(way, &[&GREETING, most].concat());
                assert_eq!(client.hear(2), [5, 0]);
                assert!(client.is_silent_for(Duration::from_millis(20)));
                client.say(way, &[*last]);
                assert_eq!(client.refusal(), 7);
            }
        }
    });
}

#[test]
fn r4_an_unknown_address_type_gets_rep_08() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        for kind in [0, 2, 5, 0xff] {
            let mut request = connect(loopback(1, 9));
            request[3] = kind;
            assert_eq!(proxy.refuses(way, &request), 8);
        }
    });
}

/// Names that are none.
fn bad_names() -> Vec<Vec<u8>> {
    let mut names: Vec<Vec<u8>> = vec![Vec::new(), vec![b'a'; 254], vec![b'a'; 255]];
    let with = |byte: u8| [b"name".as_slice(), &[byte], b"INFO forged.test"].concat();
    names.extend([0, b' ', b'\n', b'\r', b'\t', 0x1b, 0x7f].map(with));
    names
}

#[test]
fn r5_a_name_that_is_none_gets_rep_01_and_never_reaches_the_log_raw() {
    let proxy = Proxy::start(&["-v"]);
    both_ways(|way| {
        for name in bad_names() {
            assert_eq!(proxy.refuses(way, &connect_name(&name, 80)), 1, "{name:?}");
        }
    });
    let log = proxy.log_text();
    assert!(
        !log.lines().any(|line| line.starts_with("INFO forged")),
        "{log}"
    );
    assert!(
        !log.contains(|c: char| c.is_control() && c != '\n'),
        "{log:?}"
    );
}

#[test]
fn r6_a_literal_as_a_name_needs_no_dns() {
    let names = NameServer::start(Vec::new());
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let (target, target6) = (echo(), echo_at(loopback6(0)));
    both_ways(|way| {
        let cases = [("127.0.0.1", target), ("::1", target6), ("[::1]", target6)];
        for (name, target) in cases {
            let mut client = proxy.client();
            client.ask(way, &connect_name(name, target.port()));
            client.echo(b"literal");
        }
    });
    assert_eq!(names.total(), 0);
}

#[test]
fn r7_old_spellings_are_judged_by_the_resulting_address() {
    let is_loopback = Answer::Is(vec![Ipv4Addr::LOCALHOST.into()]);
    let spellings = ["127.1", "0x7f000001", "2130706433", "0177.0.0.1"];
    let names = NameServer::start(spellings.map(|name| (name, is_loopback.clone())).to_vec());
    let proxy = Proxy::start(&["--dns", &names.option(), "--block", "127.0.0.0/8"]);
    let target = Target::new();
    both_ways(|way| {
        for name in spellings {
            let code = proxy.refuses(way, &connect_name(name, target.addr.port()));
            assert!([1, 2, 4].contains(&code), "{name}: REP {code}");
        }
    });
    assert!(target.is_untouched());
}

#[test]
fn r8_port_0_gets_rep_01() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        assert_eq!(proxy.refuses(way, &connect(loopback(1, 0))), 1);
        assert_eq!(proxy.refuses(way, &connect_name("127.0.0.1", 0)), 1);
    });
}

#[test]
fn r9_success_is_told_only_when_the_connection_stands() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let mut client = proxy.client();
    let request = connect(unanswering.target.addr);
    client.say(Way::Pipelined, &[&GREETING, &request[..]].concat());
    assert_eq!(client.hear(2), [5, 0]);
    assert!(client.is_silent_for(Duration::from_millis(200)));
    let target = unanswering.release();
    let _stream = target.accept();
    assert_eq!(client.reply().code, 0);
}

#[test]
fn r9_the_reply_tells_the_outgoing_address() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        for addr in [loopback(1, 0), loopback6(0)] {
            let target = Target::at(addr);
            let literal = connect(target.addr);
            for request in [literal, connect_name("localhost", target.addr.port())] {
                let reply = proxy.client().ask(way, &request);
                assert_eq!(reply.bound, target.accept_from().1);
            }
        }
    });
}

#[test]
fn r9_a_mapped_address_is_shown_as_ipv4() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    both_ways(|way| {
        let request = connect(SocketAddr::new(mapped, target.addr.port()));
        let reply = proxy.client().ask(way, &request);
        assert_eq!(reply.bound, target.accept_from().1);
        assert!(reply.bound.is_ipv4());
    });
}

#[test]
fn r10_a_failure_is_told_in_ten_bytes() {
    if is_error_lost() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &[&GREETING[..], &connect(refusing.addr)].concat());
        assert_eq!(client.rest(), [5, 0, 5, 5, 0, 1, 0, 0, 0, 0, 0, 0]);
    });
}

#[test]
fn r11_a_failure_reply_survives_payload_behind_the_request() {
    if is_error_lost() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    both_ways(|way| {
        let payload = pattern(2000);
        let mut client = proxy.client();
        let request = connect(refusing.addr);
        client.say(way, &[&GREETING[..], &request].concat());
        // Two thousand single bytes can take longer than a refused client is heard.
        client.say(Way::Pipelined, &payload);
        client.finish();
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.refusal(), 5);
    });
}

#[test]
fn r11_a_refused_client_that_stays_is_closed_within_ten_seconds() {
    if is_error_lost() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    assert_eq!(
        client.ask_in_vain(Way::Pipelined, &connect(refusing.addr)),
        5
    );
    let start = Instant::now();
    // Each write asks whether the other end still takes it.
    while client.stream.write_all(b"more").is_ok() {
        assert!(start.elapsed() < Duration::from_secs(10));
        thread::sleep(Duration::from_millis(20));
    }
}

#[test]
fn r11_what_a_refused_client_sends_is_discarded_in_bounds() {
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    client.say(
        Way::Pipelined,
        &[&GREETING[..], &connect(refusing.addr)].concat(),
    );
    let block = [0; 1 << 16];
    let mut sent = 0;
    let error = loop {
        match client.stream.write(&block) {
            Ok(len) => sent += len,
            Err(error) => break error,
        }
        assert!(sent < 1 << 30, "a GiB was discarded");
    };
    assert!(is_end(error.kind()), "{error}");
}

#[test]
fn r12_payload_behind_the_request_goes_first_and_in_order() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    both_ways(|way| {
        let payload = pattern(if matches!(way, Way::PerByte) {
            1000
        } else {
            300_000
        });
        let mut client = proxy.client();
        thread::scope(|scope| {
            let server = scope.spawn(|| target.hear(payload.len()));
            client.say(
                way,
                &[&GREETING[..], &connect(target.addr), &payload].concat(),
            );
            assert!(
                server.join().unwrap() == payload,
                "the payload changed on its way"
            );
        });
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.reply().code, 0);
    });
}

#[test]
fn r13_one_deadline_covers_the_whole_handshake() {
    let proxy = Proxy::start(&["--handshake-timeout", "1"]);
    let start = Instant::now();
    let silent = proxy.client();
    let mut dripping = proxy.client();
    dripping.say(Way::PerByte, &GREETING);
    assert_eq!(dripping.hear(2), [5, 0]);
    for byte in connect(loopback(1, 9)) {
        dripping.say(Way::PerByte, &[byte]);
        if !dripping.is_silent_for(Duration::from_millis(250)) {
            break;
        }
    }
    for client in [silent, dripping] {
        assert_eq!(client.rest_or_reset(), b"");
        let elapsed = start.elapsed();
        assert!((900..2000).contains(&elapsed.as_millis()), "{elapsed:?}");
    }
}
