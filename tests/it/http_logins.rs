//! PROTOCOL.md's table HTTP, row H3: who may pass, byte by byte, over real sockets.
//!
//! What logins mean is in `auth.rs`; here is how HTTP carries them.

use std::time::{Duration, Instant};

use crate::support::Proxy;
use crate::support::targets::{Target, echo};
use crate::support::web::{Answer, basic, connect, post, requests};
use crate::support::wire::{Way, both_ways};

/// Less than the shortest delay of a verdict.
const AT_ONCE: Duration = Duration::from_millis(900);

/// How `request` from 127.0.`source` is refused, and how long that takes.
fn refused_from(proxy: &Proxy, source: [u8; 2], way: Way, request: &str) -> (Answer, Duration) {
    let mut client = proxy.client_from(&format!("127.0.{}.{}", source[0], source[1]));
    client.say(way, request.as_bytes());
    let start = Instant::now();
    (client.refusal_http(), start.elapsed())
}

#[test]
fn h3_the_right_login_passes_at_once_and_ends_at_the_proxy() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "se:cret ü"]);
    let (target, echo) = (Target::new(), echo());
    both_ways(|way| {
        let start = Instant::now();
        let login = format!("proxy-authorization: {}\r\n", basic("ann", "se:cret ü"));
        let [request, expected] = post(target.addr, "", &login, "");
        proxy.forwards(&target, way, request, expected);
        let request = connect(&echo.to_string()).replace("User-Agent: test\r\n", &login);
        let mut client = proxy.client();
        client.ask_http(way, request.as_bytes());
        client.echo(b"let in");
        assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
        drop(client);
    });
    proxy.wait_log_all(&["INFO", " ann ", " bytes, "]);
    assert!(!proxy.log_text().contains("cret"), "{}", proxy.log_text());
}

#[test]
fn h3_trusted_addresses_and_those_that_have_authenticated_need_none() {
    let options = [
        "-u",
        "ann",
        "-P",
        "secret",
        "-w",
        "127.0.0.5",
        "--auth-once",
    ];
    let (proxy, target) = (Proxy::start(&options), echo());
    let request = connect(&target.to_string());
    both_ways(|way| {
        let mut trusted = proxy.client_from("127.0.0.5");
        trusted.ask_http(way, request.as_bytes());
        // A wrong login does not harm who needs none.
        let wrong = format!("Proxy-Authorization: {}\r\n", basic("ann", "wrong"));
        let with = request.replace("User-Agent: test\r\n", &wrong);
        proxy
            .client_from("127.0.0.5")
            .ask_http(way, with.as_bytes());
    });
    assert_eq!(proxy.refuses_http(Way::Pipelined, &request).status, 407);
    let login = format!("Proxy-Authorization: {}\r\n", basic("ann", "secret"));
    let with = request.replace("User-Agent: test\r\n", &login);
    proxy.client().ask_http(Way::Pipelined, with.as_bytes());
    both_ways(|way| proxy.client().ask_http(way, request.as_bytes()));
}

#[test]
fn h3_without_credentials_any_login_passes() {
    let (proxy, target) = (Proxy::start(&[]), Target::new());
    both_ways(|way| {
        for login in [&basic("who", "ever")[..], "Bearer x", ""] {
            let login = format!("Proxy-Authorization: {login}\r\n");
            let [request, expected] = post(target.addr, "", &login, "");
            proxy.forwards(&target, way, request, expected);
        }
    });
}

#[test]
fn h3_without_a_login_407_asks_for_one_at_once() {
    let (proxy, target) = (Proxy::locked(), Target::new());
    both_ways(|way| {
        for login in [
            "",
            // None of these can be read as one.
            "Proxy-Authorization: Bearer YW5uOnNlY3JldA==\r\n",
            "Proxy-Authorization: Basic\r\n",
            "Proxy-Authorization: Basic YW5uOnNlY3JldA\r\n",
            "Proxy-Authorization: Basic YW5u\r\n",
            "Authorization: Basic YW5uOnNlY3JldA==\r\n",
            "Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n\
             Proxy-Authorization: Basic YW5uOnNlY3JldA==\r\n",
        ] {
            for request in requests(&target.addr.to_string(), login) {
                let (answer, time) = refused_from(&proxy, [0, 1], way, &request);
                assert_eq!(answer.status, 407);
                let asked = answer.field("Proxy-Authenticate").unwrap();
                assert!(asked.starts_with("Basic realm=\""), "{asked}");
                assert!(time < AT_ONCE, "{time:?}");
            }
        }
    });
    assert!(target.is_untouched());
}

#[test]
fn h3_a_wrong_login_gets_407_and_the_third_one_waits() {
    let (proxy, target) = (Proxy::locked(), Target::new());
    let host = target.addr.to_string();
    let wrong = [("ann", "wrong"), ("bob", "secret"), ("ann", ""), ("", "")];
    for (at, (user, password)) in (0..).zip(wrong) {
        let login = format!("Proxy-Authorization: {}\r\n", basic(user, password));
        let request = &requests(&host, &login)[at % 2];
        let way = [Way::PerByte, Way::Pipelined][at / 2];
        let (answer, time) = refused_from(&proxy, [1, 1], way, request);
        assert_eq!(answer.status, 407);
        assert!(answer.field("Proxy-Authenticate").is_some());
        assert_eq!(time >= AT_ONCE, at >= 2, "{at}: {time:?}");
    }
    let login = format!("Proxy-Authorization: {}\r\n", basic("ann", "secret"));
    let [request, expected] = post(target.addr, "", &login, "");
    let start = Instant::now();
    let mut client = proxy.client_from("127.0.1.1");
    client.say(Way::Pipelined, request.as_bytes());
    assert_eq!(target.hear(expected.len()), expected.as_bytes());
    assert!(start.elapsed() >= AT_ONCE, "{:?}", start.elapsed());
    assert!(!proxy.log_text().contains("wrong:"), "{}", proxy.log_text());
}
