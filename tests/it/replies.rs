//! PROTOCOL.md's table of reply codes, cause by cause, over real sockets.
//!
//! What loopback cannot provoke (unreachable networks and hosts, prohibited routes) happens in
//! a network namespace. Malformed requests are in `negotiation.rs`, the rules in `policy.rs`.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NXDOMAIN, NameServer, SERVFAIL};
use crate::support::namespace::{in_namespace, run};
use crate::support::targets::{Refusing, Unanswering, echo};
use crate::support::wire::{Way, both_ways, connect, connect_name, loopback, loopback6, request};
use crate::support::{DEADLINE, Proxy, is_error_lost};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
/// Where routes of the namespaces lead (RFC 5737).
const PROHIBITED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(198, 51, 100, 1)), 80);
const UNREACHABLE: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(203, 0, 113, 1)), 80);
const UNROUTED: SocketAddr = SocketAddr::new(IpAddr::V4(Ipv4Addr::new(192, 0, 2, 1)), 80);

#[test]
fn rep_00_connected() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    both_ways(|way| assert_eq!(proxy.client().ask(way, &connect(target)).code, 0));
}

#[test]
fn rep_01_lookups_of_one_client_are_exhausted() {
    let names = NameServer::start(vec![("test", Answer::Never)]);
    let proxy = Proxy::start(&["--dns", &names.option(), "--connect-timeout", "2"]);
    // More than the names that are asked for at once.
    let clients: Vec<_> = (0..150)
        .map(|n| {
            let mut client = proxy.client();
            client.say(Way::Pipelined, &[5, 1, 0]);
            client.say(Way::Pipelined, &connect_name(format!("n{n}.test"), 80));
            client
        })
        .collect();
    for mut client in clients {
        assert_eq!(client.hear(2), [5, 0]);
        let code = client.refusal();
        assert!([1, 4].contains(&code), "REP {code}");
    }
}

#[test]
fn rep_02_refused_by_the_rules() {
    let proxy = Proxy::start(&["--block", "127.0.0.9"]);
    both_ways(|way| assert_eq!(proxy.refuses(way, &connect(loopback(9, 80))), 2));
}

#[test]
fn rep_02_03_04_what_the_routes_say() {
    in_namespace(|| {
        run("ip route add prohibit 198.51.100.0/24");
        run("ip route add unreachable 203.0.113.0/24");
        run("ip route add blackhole 10.1.0.0/16");
        let proxy = Proxy::start(&[]);
        both_ways(|way| {
            assert_eq!(proxy.refuses(way, &connect(PROHIBITED)), 2, "EACCES");
            assert_eq!(proxy.refuses(way, &connect(UNROUTED)), 3, "ENETUNREACH");
            assert_eq!(proxy.refuses(way, &connect(UNREACHABLE)), 4, "EHOSTUNREACH");
            let blackhole = SocketAddr::from(([10, 1, 0, 1], 80));
            assert_eq!(proxy.refuses(way, &connect(blackhole)), 3, "EINVAL");
        });
    });
}

#[test]
fn rep_04_a_neighbour_that_is_silent() {
    if is_error_lost() {
        return;
    }
    in_namespace(|| {
        run("ip link add near type veth peer name far");
        run("ip addr add 10.2.0.1/24 dev near");
        run("ip link set near up");
        run("ip link set far up");
        let proxy = Proxy::start(&[]);
        let silent = SocketAddr::from(([10, 2, 0, 2], 80));
        assert_eq!(proxy.refuses(Way::Pipelined, &connect(silent)), 4);
    });
}

#[test]
fn rep_03_no_address_of_a_usable_family() {
    let address6 = IpAddr::V6(Ipv6Addr::LOCALHOST);
    let names = NameServer::start(vec![("six.test", Answer::Is(vec![address6]))]);
    let proxy = Proxy::start(&["-4", "--dns", &names.option()]);
    both_ways(|way| {
        assert_eq!(proxy.refuses(way, &connect(loopback6(80))), 3);
        let code = proxy.refuses(way, &connect_name("six.test", 80));
        // Asked for A alone, the name has no data.
        assert!([3, 4].contains(&code), "REP {code}");
    });
    let proxy = Proxy::start(&["-6"]);
    both_ways(|way| assert_eq!(proxy.refuses(way, &connect(loopback(1, 80))), 3));
}

#[test]
fn rep_03_an_outgoing_device_that_is_not_there() {
    let proxy = Proxy::start(&["-b", "nosuch0"]);
    both_ways(|way| assert_eq!(proxy.refuses(way, &connect(loopback(1, 80))), 3));
}

#[test]
fn rep_04_names_without_an_address() {
    let names = NameServer::start(vec![
        ("nodata.test", Answer::Is(Vec::new())),
        ("missing.test", Answer::Error(NXDOMAIN)),
        ("broken.test", Answer::Error(SERVFAIL)),
    ]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    both_ways(|way| {
        for name in ["nodata.test", "missing.test", "broken.test"] {
            assert_eq!(proxy.refuses(way, &connect_name(name, 80)), 4, "{name}");
        }
    });
}

#[test]
fn rep_04_a_resolver_that_is_silent() {
    let names = NameServer::start(vec![("test", Answer::Never)]);
    let proxy = Proxy::start(&["--dns", &names.option(), "--connect-timeout", "1"]);
    let start = Instant::now();
    assert_eq!(
        proxy.refuses(Way::Pipelined, &connect_name("silent.test", 80)),
        4
    );
    assert!(start.elapsed() < DEADLINE / 2, "{:?}", start.elapsed());
}

#[test]
fn rep_05_connection_refused() {
    if is_error_lost() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    both_ways(|way| {
        assert_eq!(proxy.refuses(way, &connect(refusing.addr)), 5);
        assert_eq!(
            proxy.refuses(way, &connect_name("localhost", refusing.addr.port())),
            5
        );
    });
}

#[test]
fn rep_06_connect_timeout() {
    let proxy = Proxy::start(&["--connect-timeout", "1"]);
    let unanswering = Unanswering::new();
    let start = Instant::now();
    assert_eq!(
        proxy.refuses(Way::Pipelined, &connect(unanswering.target.addr)),
        6
    );
    let elapsed = start.elapsed();
    assert!((900..3000).contains(&elapsed.as_millis()), "{elapsed:?}");
}

#[test]
fn rep_07_unknown_command() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| assert_eq!(proxy.refuses(way, &request(0x7f, loopback(1, 80))), 7));
}

#[test]
fn rep_08_unknown_address_type() {
    let proxy = Proxy::start(&[]);
    let mut request = connect(loopback(1, 80));
    request[3] = 0x7f;
    both_ways(|way| assert_eq!(proxy.refuses(way, &request), 8));
}

#[test]
fn of_several_addresses_the_most_telling_cause_is_told() {
    if is_error_lost() {
        return;
    }
    in_namespace(|| {
        run("ip route add unreachable 203.0.113.0/24");
        let silent = Unanswering::at(loopback(2, 0));
        let is = |list: &[IpAddr]| Answer::Is(list.to_vec());
        let names = NameServer::start(vec![
            (
                "refused.test",
                is(&[
                    UNROUTED.ip(),
                    UNREACHABLE.ip(),
                    loopback(2, 0).ip(),
                    LOCALHOST,
                ]),
            ),
            (
                "silent.test",
                is(&[UNROUTED.ip(), UNREACHABLE.ip(), loopback(2, 0).ip()]),
            ),
            ("host.test", is(&[UNROUTED.ip(), UNREACHABLE.ip()])),
            ("net.test", is(&[UNROUTED.ip()])),
        ]);
        // The last address is tried a quarter of a second after the silent one: a machine that
        // stands still for a while must not come to the deadline before.
        let proxy = Proxy::start(&["--dns", &names.option(), "--connect-timeout", "3"]);
        let port = silent.target.addr.port();
        for (name, code) in [
            ("refused.test", 5),
            ("silent.test", 6),
            ("host.test", 4),
            ("net.test", 3),
        ] {
            assert_eq!(
                proxy.refuses(Way::Pipelined, &connect_name(name, port)),
                code,
                "{name}"
            );
        }
    });
}

#[test]
fn one_address_that_answers_is_enough() {
    let names = NameServer::start(vec![(
        "mixed.test",
        Answer::Is(vec![
            Ipv6Addr::LOCALHOST.into(),
            loopback(3, 0).ip(),
            LOCALHOST,
        ]),
    )]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let target = echo();
    both_ways(|way| {
        let start = Instant::now();
        let mut client = proxy.client();
        client.ask(way, &connect_name("mixed.test", target.port()));
        client.echo(b"found");
        assert!(
            start.elapsed() < Duration::from_secs(1),
            "{:?}",
            start.elapsed()
        );
    });
}
