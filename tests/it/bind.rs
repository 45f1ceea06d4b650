//! PROTOCOL.md's table BIND, row by row, over real sockets, in SOCKS5 and SOCKS4.
//!
//! Requests come with every byte in a segment of its own and with all in one segment. FTP
//! through BIND, with foreign programs, is in `clients.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Ipv4Addr, Ipv6Addr, Shutdown, SocketAddr, TcpListener, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::namespace::{Router, in_namespace};
use crate::support::socks4::{Dialect, request4, request4a};
use crate::support::targets::{ports_of_nobody, start_connect};
use crate::support::wire::{
    Client, GREETING, Way, abort, both_ways, connect_name, loopback, loopback6, pattern, request,
};
use crate::support::{DEADLINE, Proxy, wait_until};

/// Anyone may come.
const ANYONE: SocketAddr = SocketAddr::new(std::net::IpAddr::V4(Ipv4Addr::UNSPECIFIED), 0);

/// Each dialect, each way.
fn everyhow(exchange: impl Fn(Dialect, Way)) {
    for dialect in Dialect::BOTH {
        both_ways(|way| exchange(dialect, way));
    }
}

/// A client that waits for a peer from `expected`, and where it may come to.
#[track_caller]
fn bind(proxy: &Proxy, dialect: Dialect, way: Way, expected: SocketAddr) -> (Client, SocketAddr) {
    let mut client = proxy.client();
    let bound = dialect.ask(&mut client, way, &dialect.bind_request(expected));
    (client, bound)
}

/// A BIND for the addresses of a name.
fn bind_name(dialect: Dialect, name: &str) -> Vec<u8> {
    match dialect {
        Dialect::Socks4 => request4a(2, name, 21),
        Dialect::Socks5 => {
            let mut request = connect_name(name, 21);
            request[1] = 2;
            [&GREETING[..], &request].concat()
        }
    }
}

/// A peer from any port of 127.0.0.`host`.
fn peer(host: u8, to: SocketAddr) -> Client {
    Client::connect_from(&loopback(host, 0).ip().to_string(), to)
}

/// The second reply names `peer`, and bytes go both ways.
#[track_caller]
fn assert_tunnel(dialect: Dialect, client: &mut Client, peer: &mut Client) {
    assert_eq!(dialect.granted(client), peer.addr);
    client.say(Way::Pipelined, b"to the peer");
    assert_eq!(peer.hear(11), b"to the peer");
    peer.say(Way::Pipelined, b"to the client");
    assert_eq!(client.hear(13), b"to the client");
}

/// Whether nobody listens there.
fn is_closed(addr: SocketAddr) -> bool {
    match TcpStream::connect_timeout(&addr, DEADLINE) {
        Ok(_) => false,
        Err(error) => error.kind() == ErrorKind::ConnectionRefused,
    }
}

#[test]
fn b1_the_first_reply_tells_where_the_listener_is() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        assert_eq!(bound.ip(), Ipv4Addr::LOCALHOST);
        assert_ne!(bound.port(), 0);
        assert_tunnel(dialect, &mut client, &mut peer(1, bound));
    });
}

#[test]
fn b1_the_first_reply_comes_before_the_peer() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (client, _bound) = bind(&proxy, dialect, way, loopback(1, 21));
        assert!(client.is_silent_for(Duration::from_millis(50)));
    });
}

#[test]
fn b1_who_expects_anyone_is_told_an_address_that_can_be_reached() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, ANYONE);
        assert!(!bound.ip().is_unspecified() && bound.port() != 0, "{bound}");
        assert_tunnel(dialect, &mut client, &mut Client::connect(bound));
    });
    both_ways(|way| {
        let anyone6 = (Ipv6Addr::UNSPECIFIED, 0).into();
        let (mut client, bound) = bind(&proxy, Dialect::Socks5, way, anyone6);
        assert!(!bound.ip().is_unspecified() && bound.port() != 0, "{bound}");
        assert_tunnel(Dialect::Socks5, &mut client, &mut Client::connect(bound));
    });
}

#[test]
fn b1_a_peer_of_ipv6_is_waited_for_on_ipv6() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        let (mut client, bound) = bind(&proxy, Dialect::Socks5, way, loopback6(21));
        assert_eq!(bound.ip(), Ipv6Addr::LOCALHOST);
        assert_tunnel(Dialect::Socks5, &mut client, &mut Client::connect(bound));
    });
}

#[test]
fn b1_the_public_address_is_announced() {
    let proxy = Proxy::start(&["--public", "198.51.100.7,2001:db8::7"]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        assert_eq!(bound.ip(), Ipv4Addr::new(198, 51, 100, 7));
        assert_tunnel(
            dialect,
            &mut client,
            &mut peer(1, loopback(1, bound.port())),
        );
    });
    let (_client, bound) = bind(&proxy, Dialect::Socks5, Way::Pipelined, loopback6(21));
    assert_eq!(bound.ip(), "2001:db8::7".parse::<Ipv6Addr>().unwrap());
}

#[test]
fn b1_socks4_waits_on_ipv4_or_not_at_all() {
    let [six, four] = [loopback6(0).ip(), loopback(1, 0).ip()];
    let names = NameServer::start(vec![
        ("six.test", Answer::Is(vec![six])),
        ("both.test", Answer::Is(vec![six, four])),
    ]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    both_ways(|way| {
        for name in ["::1", "six.test"] {
            let mut client = proxy.client();
            client.say(way, &request4a(2, name, 21));
            client.refused4();
        }
        let mut client = proxy.client();
        client.say(way, &request4a(2, "both.test", 21));
        let bound = client.granted4();
        assert_tunnel(Dialect::Socks4, &mut client, &mut peer(1, bound));
    });
}

#[test]
fn b1_behind_a_router_the_address_is_that_of_the_way_to_the_peer() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        for dialect in Dialect::BOTH {
            for expected in ["0.0.0.0:0", "1.2.3.4:21"] {
                let mut client = proxy.client_from("192.168.77.2");
                let request = dialect.bind_request(expected.parse().unwrap());
                let bound = dialect.ask(&mut client, Way::Pipelined, &request);
                assert_eq!(bound.ip(), Ipv4Addr::new(203, 0, 113, 1), "{expected}");
                let mut peer = Client::connect_from("1.2.3.4", bound);
                assert_tunnel(dialect, &mut client, &mut peer);
            }
            // A neighbour of the client's: the rules let it there, and the way is the LAN.
            let mut client = proxy.client_from("192.168.77.2");
            let request = dialect.bind_request("192.168.77.50:21".parse().unwrap());
            let bound = dialect.ask(&mut client, Way::Pipelined, &request);
            assert_eq!(bound.ip(), Ipv4Addr::new(192, 168, 77, 1));
            // Whom no CONNECT may reach is not waited for either.
            for forbidden in ["10.0.0.1:21", "127.0.0.1:21", "203.0.113.1:21"] {
                let mut client = proxy.client_from("192.168.77.2");
                let request = dialect.bind_request(forbidden.parse().unwrap());
                dialect.ask_in_vain(&mut client, Way::Pipelined, &request, 2);
            }
        }
    });
}

#[test]
fn b1_the_listener_and_its_peer_keep_to_the_device_of_bind() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.cable("vpn", "10.66.0.1/24", &["10.66.0.9/24"]);
        // What leaves by another way than the device gets nowhere.
        router.run("ip route del default");
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "--bind", "vpn"]);
        for dialect in Dialect::BOTH {
            let mut client = proxy.client_from("192.168.77.2");
            let request = dialect.bind_request("1.2.3.4:21".parse().unwrap());
            let bound = dialect.ask(&mut client, Way::Pipelined, &request);
            assert_eq!(bound.ip(), Ipv4Addr::new(10, 66, 0, 1));
            let mut peer = Client::connect_from("1.2.3.4", bound);
            assert_tunnel(dialect, &mut client, &mut peer);
        }
    });
}

#[test]
fn b1_the_source_address_holds_without_a_way_to_the_internet() {
    in_namespace(|| {
        for (source, reply) in [("127.0.0.9", None), ("203.0.113.7", Some(1))] {
            let proxy = Proxy::start(&["--bind", source]);
            everyhow(|dialect, way| match reply {
                None => assert_eq!(
                    bind(&proxy, dialect, way, ANYONE).1.ip().to_string(),
                    source
                ),
                Some(code) => {
                    let request = dialect.bind_request(ANYONE);
                    dialect.ask_in_vain(&mut proxy.client(), way, &request, code);
                }
            });
        }
    });
}

#[test]
fn b1_a_family_that_is_not_used_is_not_listened_on() {
    let anyone6 = (Ipv6Addr::UNSPECIFIED, 0).into();
    for (option, refused) in [
        ("-4", [loopback6(21), anyone6]),
        ("-6", [loopback(1, 21), ANYONE]),
    ] {
        let proxy = Proxy::start(&[option]);
        both_ways(|way| {
            for peer in refused {
                assert_eq!(proxy.refuses(way, &request(2, peer)), 3, "{option}: {peer}");
            }
        });
    }
}

#[test]
fn b2_the_second_reply_names_the_peer_and_half_closes_pass_both_ways() {
    let proxy = Proxy::start(&[]);
    let payload = pattern(300_000);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        let peer = peer(1, bound);
        assert_eq!(dialect.granted(&mut client), peer.addr);
        thread::scope(|scope| {
            for end in [&client.stream, &peer.stream] {
                let (mut writer, payload) = (end.try_clone().unwrap(), &payload);
                scope.spawn(move || {
                    writer.write_all(payload).unwrap();
                    writer.shutdown(Shutdown::Write).unwrap();
                });
            }
            assert!(client.rest() == payload, "{dialect:?}: changed on its way");
            assert!(peer.rest() == payload, "{dialect:?}: changed on its way");
        });
    });
}

#[test]
fn b2_payload_behind_the_request_goes_to_the_peer_first() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let mut client = proxy.client();
        let early = dialect.bind_request(loopback(1, 21));
        let bound = dialect.ask(&mut client, way, &[&early, &b"early "[..]].concat());
        client.say(way, b"and before the peer ");
        let mut peer = peer(1, bound);
        assert_eq!(dialect.granted(&mut client), peer.addr);
        client.say(way, b"and late");
        assert_eq!(peer.hear(34), b"early and before the peer and late");
    });
}

#[test]
fn b2_a_peer_that_speaks_at_once_and_leaves_is_heard_in_full() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        let mut peer = peer(1, bound);
        peer.say(Way::Pipelined, b"the whole file");
        let addr = peer.addr;
        peer.finish();
        assert_eq!(dialect.granted(&mut client), addr);
        assert_eq!(client.rest(), b"the whole file");
    });
}

#[test]
fn b2_the_peer_is_the_only_one() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        assert_tunnel(dialect, &mut client, &mut peer(1, bound));
        wait_until("the listener's end", || is_closed(bound));
        client.say(Way::Pipelined, b"the tunnel stays");
    });
}

#[test]
fn b2_a_reset_of_the_peer_resets_the_client() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        let mut peer = peer(1, bound);
        assert_tunnel(dialect, &mut client, &mut peer);
        abort(peer.stream);
        let error = client.stream.read(&mut [0]).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::ConnectionReset);
    });
}

#[test]
fn b3_a_stray_peer_is_refused_and_the_right_one_still_served() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        // The port is a hint: nobody comes from port 1.
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 1));
        // More than the queue holds, and than one turn looks at.
        for _ in 0..20 {
            let mut stray = peer(2, bound);
            stray.say(Way::Pipelined, b"let me in");
            assert_eq!(stray.rest_or_reset(), b"");
        }
        assert!(client.is_silent_for(Duration::from_millis(20)));
        assert_tunnel(dialect, &mut client, &mut peer(1, bound));
    });
}

#[test]
fn b3_strays_that_come_all_at_once_do_not_hide_the_right_one() {
    let proxy = Proxy::start(&[]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 1));
        let strays: Vec<_> = (0..12)
            .map(|_| start_connect(Ipv4Addr::new(127, 0, 0, 2), bound))
            .collect();
        assert_tunnel(dialect, &mut client, &mut peer(1, bound));
        drop(strays);
    });
}

#[test]
fn b3_anyone_is_anyone_but_whom_the_rules_refuse() {
    let proxy = Proxy::start(&["--block", "127.0.0.2"]);
    everyhow(|dialect, way| {
        let mut client = proxy.client();
        let request = dialect.bind_request(loopback(2, 21));
        dialect.ask_in_vain(&mut client, way, &request, 2);
        for host in [1, 3] {
            let (mut client, bound) = bind(&proxy, dialect, way, ANYONE);
            assert_eq!(peer(2, bound).rest_or_reset(), b"");
            assert_tunnel(dialect, &mut client, &mut peer(host, bound));
        }
    });
}

#[test]
fn b4_nobody_comes() {
    let proxy = Proxy::start(&["--bind-timeout", "1"]);
    thread::scope(|scope| {
        for dialect in Dialect::BOTH {
            for way in [Way::Pipelined, Way::PerByte] {
                let proxy = &proxy;
                scope.spawn(move || {
                    let start = Instant::now();
                    let (client, bound) = bind(proxy, dialect, way, loopback(1, 21));
                    // Those who are refused are nobody.
                    assert_eq!(peer(2, bound).rest_or_reset(), b"");
                    dialect.refused(&client, 6);
                    let elapsed = start.elapsed();
                    assert!((900..2500).contains(&elapsed.as_millis()), "{elapsed:?}");
                    assert!(is_closed(bound));
                });
            }
        }
    });
}

#[test]
fn b5_the_listener_ends_with_the_control_connection() {
    let proxy = Proxy::start(&[]);
    let descriptors = proxy.idle_descriptors();
    everyhow(|dialect, way| {
        let endings: [fn(Client); 4] = [
            |client| drop(client.stream),
            |client| client.abort(),
            |client| {
                client.finish();
                client.rest_or_reset();
            },
            |mut client| {
                // More than the proxy takes before there is a peer.
                client.say(Way::Pipelined, &pattern(5_000));
                client.finish();
                client.rest_or_reset();
            },
        ];
        for end in endings {
            let (client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
            end(client);
            wait_until("the listener's end", || is_closed(bound));
        }
    });
    proxy.wait_descriptors(descriptors);
}

#[test]
fn b6_any_address_of_a_name_may_connect() {
    let peers = [2, 3, 4].map(|host| loopback(host, 0).ip()).to_vec();
    let names = NameServer::start(vec![
        ("peers.test", Answer::Is(peers)),
        // As of a name that is blocked: not the zeros with which a client expects anyone.
        (
            "zeros.test",
            Answer::Is(vec![loopback(2, 0).ip(), ANYONE.ip()]),
        ),
        ("none.test", Answer::Error(NXDOMAIN)),
    ]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    everyhow(|dialect, way| {
        for (name, host) in [
            ("peers.test", 2),
            ("peers.test", 3),
            ("peers.test", 4),
            ("zeros.test", 2),
        ] {
            let mut client = proxy.client();
            let bound = dialect.ask(&mut client, way, &bind_name(dialect, name));
            assert_eq!(peer(1, bound).rest_or_reset(), b"");
            assert_tunnel(dialect, &mut client, &mut peer(host, bound));
        }
        let mut client = proxy.client();
        dialect.ask_in_vain(&mut client, way, &bind_name(dialect, "none.test"), 4);
    });
}

#[test]
fn b6_the_listener_is_on_the_way_to_the_first_address_that_there_is_a_way_to() {
    in_namespace(|| {
        let late = Duration::from_millis(300);
        let names = NameServer::start(vec![
            // There is no way to the first of these, and the rules refuse the first of those.
            (
                "far.test",
                Answer::Is(vec!["2001:db8::5".parse().unwrap(), loopback(3, 0).ip()]),
            ),
            (
                "blocked.test",
                Answer::Is([2, 3].map(|host| loopback(host, 0).ip()).to_vec()),
            ),
            (
                "late.test",
                Answer::LateV6(late, vec![loopback(2, 0).ip(), loopback6(0).ip()]),
            ),
        ]);
        let proxy = Proxy::start(&["--dns", &names.option(), "--block", "127.0.0.2"]);
        everyhow(|dialect, way| {
            for name in ["far.test", "blocked.test"] {
                let mut client = proxy.client();
                let bound = dialect.ask(&mut client, way, &bind_name(dialect, name));
                assert_eq!(bound.ip(), Ipv4Addr::LOCALHOST);
                assert_eq!(peer(2, bound).rest_or_reset(), b"");
                assert_tunnel(dialect, &mut client, &mut peer(3, bound));
            }
        });
        let mut client = proxy.client();
        let request = bind_name(Dialect::Socks5, "late.test");
        let bound = Dialect::Socks5.ask(&mut client, Way::Pipelined, &request);
        assert_tunnel(Dialect::Socks5, &mut client, &mut Client::connect(bound));
    });
}

/// Two ports in a row that are free, below those that the kernel chooses from: every other one
/// of these may be the end of a connection that is long over.
fn free_range() -> (u16, u16) {
    ports_of_nobody()
        .find(|port| [0, 1].map(|n| TcpListener::bind(loopback(1, port + n)).is_ok()) == [true; 2])
        .map(|port| (port, port + 1))
        .expect("two free ports in a row")
}

#[test]
fn listeners_stay_within_the_relay_ports_and_these_can_be_used_up() {
    let (first, last) = free_range();
    let proxy = Proxy::start(&["--relay-ports", &format!("{first}-{last}")]);
    everyhow(|dialect, way| {
        let (mut client, bound) = bind(&proxy, dialect, way, loopback(1, 21));
        let (_second, other) = bind(&proxy, dialect, way, loopback(1, 21));
        let mut ports = [bound.port(), other.port()];
        ports.sort_unstable();
        assert_eq!(ports, [first, last]);
        let mut third = proxy.client();
        dialect.ask_in_vain(&mut third, way, &dialect.bind_request(loopback(1, 21)), 1);
        // The tunnel holds on to no port of the range.
        assert_tunnel(dialect, &mut client, &mut peer(1, bound));
        let (_third, again) = bind(&proxy, dialect, way, loopback(1, 21));
        assert_eq!(again, bound);
    });
}

#[test]
fn b7_a_client_alone_has_a_hundred_listeners_and_a_newcomer_one_of_them() {
    let proxy = Proxy::start(&[]);
    let dialect = |n: usize| Dialect::BOTH[n % 2];
    let from = |host: u8, n: usize| {
        let mut client = proxy.client_from(&format!("127.0.0.{host}"));
        let request = dialect(n).bind_request(loopback(1, 21));
        let bound = dialect(n).ask(&mut client, Way::Pipelined, &request);
        (client, bound)
    };
    // One client has nearly all of them, and another some.
    let mut crowd: Vec<(Client, SocketAddr)> = (0..108).map(|n| from(1, n)).collect();
    let mut others: Vec<(Client, SocketAddr)> = (0..20).map(|n| from(2, n)).collect();
    // All of them wait.
    for (n, newcomer) in (0..4).map(|n| from(3, n)).enumerate() {
        let (client, bound) = crowd.remove(0);
        dialect(n).refused(&client, 1);
        wait_until("the oldest listener's end", || is_closed(bound));
        others.push(newcomer);
    }
    others.extend(crowd);
    for (n, (mut client, bound)) in others.into_iter().enumerate() {
        if n % 16 == 0 {
            assert_tunnel(dialect(n), &mut client, &mut peer(1, bound));
        }
    }
}

#[test]
fn bind_can_be_switched_off() {
    let proxy = Proxy::start(&["--no-bind"]);
    both_ways(|way| {
        assert_eq!(proxy.refuses(way, &request(2, loopback(1, 21))), 7);
        let mut client = proxy.client();
        client.say(way, &request4(2, loopback(1, 21), b""));
        client.refused4();
    });
}
