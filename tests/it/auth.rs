//! PROTOCOL.md's table User/password (RFC 1929), row by row, over real sockets.
//!
//! The choice of the method is in `negotiation.rs`, reading users again in `signals.rs`.

use std::thread;
use std::time::{Duration, Instant};

use crate::support::targets::echo;
use crate::support::wire::{GREETING_USER, Way, both_ways, connect, user_pass};
use crate::support::{Folder, Proxy};

/// Longer than any answer takes that nothing delays.
const AT_ONCE: Duration = Duration::from_millis(300);

/// A user and a password.
type Credential = (&'static [u8], &'static [u8]);

/// How long the refusal of a credential takes for a client from 127.0.`net`.`host`.
fn time_of_failure(proxy: &Proxy, [net, host]: [u8; 2], way: Way, wrong: Credential) -> Duration {
    let mut client = proxy.client_from(&format!("127.0.{net}.{host}"));
    client.say(way, &[5, 1, 2]);
    assert_eq!(client.hear(2), [5, 2]);
    let start = Instant::now();
    client.say(way, &user_pass(wrong.0, wrong.1));
    assert_eq!(client.rest(), [1, 1], "{wrong:?}");
    start.elapsed()
}

/// Tries wrong credentials at the same time, each from an address that has never failed, in
/// both ways: what a refusal says has to be waited for.
fn all_fail(proxy: &Proxy, wrong: &[Credential]) -> Vec<Duration> {
    thread::scope(|scope| {
        let mut tries = Vec::new();
        for (net, way) in [(1, Way::PerByte), (2, Way::Pipelined)] {
            for (host, wrong) in (1..).zip(wrong) {
                tries.push(scope.spawn(move || time_of_failure(proxy, [net, host], way, *wrong)));
            }
        }
        tries.into_iter().map(|time| time.join().unwrap()).collect()
    })
}

#[test]
fn p1_the_version_of_the_answer_is_1() {
    let proxy = Proxy::locked();
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(
            way,
            &[&GREETING_USER, &user_pass(b"ann", b"secret")[..]].concat(),
        );
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        let mut client = proxy.client_from("127.0.0.2");
        client.say(
            way,
            &[&GREETING_USER, &user_pass(b"ann", b"wrong")[..]].concat(),
        );
        assert_eq!(client.rest(), [5, 2, 1, 1]);
    });
}

#[test]
fn p2_another_version_is_refused_and_closed() {
    let proxy = Proxy::locked();
    both_ways(|way| {
        for version in [0, 2, 5] {
            let mut message = user_pass(b"ann", b"secret");
            message[0] = version;
            let mut client = proxy.client();
            client.say(way, &[&GREETING_USER, &message[..]].concat());
            assert_eq!(client.rest(), [5, 2, 1, 1]);
        }
    });
}

#[test]
fn p3_an_empty_part_is_a_wrong_credential() {
    all_fail(
        &Proxy::locked(),
        &[(b"", b"secret"), (b"ann", b""), (b"", b"")],
    );
}

#[test]
fn p3_without_credentials_empty_parts_pass() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| assert_eq!(proxy.judges(way, b"", b""), 0));
}

#[test]
fn p4_a_wrong_credential_is_refused_and_closed() {
    let wrong: [Credential; 4] = [
        (b"ann", b"wrong"),
        (b"bob", b"secret"),
        (b"ann", b"secret2"),
        (b"an", b"nsecret"),
    ];
    all_fail(&Proxy::locked(), &wrong);
}

#[test]
fn p4_a_wrong_credential_with_a_request_behind_it_is_refused_and_closed() {
    let proxy = Proxy::locked();
    let mut client = proxy.client();
    let wrong = user_pass(b"ann", b"wrong");
    let bytes = [&GREETING_USER, &wrong[..], &connect(echo()), b"payload"].concat();
    client.say(Way::Pipelined, &bytes);
    assert_eq!(client.rest(), [5, 2, 1, 1]);
}

#[test]
fn p4_unknown_user_and_wrong_password_take_the_same() {
    let times = all_fail(
        &Proxy::locked(),
        &[(b"nobody", b"secret"), (b"ann", b"wrong")],
    );
    let (least, most) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert!(*most - *least < AT_ONCE, "{times:?}");
}

#[test]
fn p5_the_right_credential_passes_at_once_behind_a_mistake() {
    let proxy = Proxy::locked();
    let target = echo();
    time_of_failure(&proxy, [0, 1], Way::Pipelined, (b"ann", b"wrong"));
    both_ways(|way| {
        let start = Instant::now();
        assert_eq!(proxy.judges(way, b"ann", b"secret"), 0);
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        let mut client = proxy.client();
        let right = user_pass(b"ann", b"secret");
        client.say(
            way,
            &[&GREETING_USER, &right[..], &connect(target), b"payload"].concat(),
        );
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        assert_eq!(client.reply().code, 0);
        assert_eq!(client.hear(7), b"payload");
    });
}

#[test]
fn p6_credentials_are_byte_strings() {
    let folder = Folder::new("p6");
    let users = folder.write("users", "böb:pass%20word\nann:secret\n");
    let proxy = Proxy::start(&["--users", &users]);
    both_ways(|way| {
        assert_eq!(proxy.judges(way, "böb".as_bytes(), b"pass word"), 0);
        assert_eq!(proxy.judges(way, b"ann", b"secret"), 0);
    });
    let wrong: [Credential; 5] = [
        (b"ann", b"secret\0"),
        (b"ann", b"secret\0more"),
        (b"ann", b"\0"),
        (b"ann", b"\xff\xfe"),
        (b"ann\0", b"secret"),
    ];
    all_fail(&proxy, &wrong);
}

#[test]
fn p6_the_longest_credential_passes() {
    let folder = Folder::new("p6-long");
    let [user, password] = ["u", "p"].map(|letter| letter.repeat(255));
    let users = folder.write("users", &format!("{user}:{password}\n"));
    let proxy = Proxy::start(&["--users", &users]);
    both_ways(|way| assert_eq!(proxy.judges(way, user.as_bytes(), password.as_bytes()), 0));
}

#[test]
fn p7_the_log_has_user_and_source_and_never_a_password() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "hush-right", "-v", "-v"]);
    let source = {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &GREETING_USER);
        client.say(Way::Pipelined, &user_pass(b"ann\x1b[2J", b"hush-wrong"));
        assert_eq!(client.rest(), [5, 2, 1, 1]);
        client.addr
    };
    proxy.wait_log_all(&["INFO", &source.to_string()]);
    let tunnel = proxy.user_tunnel(b"ann", b"hush-right", echo());
    tunnel.finish();
    let line = proxy.session_line(tunnel.addr);
    assert!(line.contains(" ann "), "{line}");
    assert!(!proxy.log_text().contains('\x1b'), "{:?}", proxy.log_text());
    // Who reads the log to keep out whose address is in such a line finds the guesser's alone.
    assert_eq!(
        proxy.judges(Way::Pipelined, b"198.51.100.7", b"hush-wrong"),
        1
    );
    let line = proxy.wait_log(r"127.0.0.1 wrong password for user 198\x2e51\x2e100\x2e7");
    assert!(!line.contains("198.51.100.7"), "{line}");
    assert!(!proxy.log_text().contains("hush"), "{}", proxy.log_text());
}
