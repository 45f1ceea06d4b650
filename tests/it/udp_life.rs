//! UDP ASSOCIATE over real sockets: the rows U10 to U14 of the protocol's table by their ids, then
//! limits, crowds, garbage, floods and a foreign client.

use std::net::{IpAddr, Ipv4Addr, SocketAddr, UdpSocket};
use std::time::Duration;

use crate::support::name_server::{Answer, NameServer};
use crate::support::udp::{
    Association, echo, hello, is_silent, loopback_any, receive, remote, socket_at, unwrap, wrap,
};
use crate::support::wire::{Way, loopback, loopback6, pattern, request};
use crate::support::{DEADLINE, Proxy, command, is_emulated, note, wait_until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn proxy() -> Proxy {
    Proxy::start(&[])
}

/// A proxy on a free port of ::1.
fn proxy6() -> Proxy {
    Proxy::launch(command(&[], &["-i", "::1", "-p", "0"]))
}

#[test]
fn u10_an_association_ends_with_its_tcp_connection() {
    let proxy = proxy();
    let idle = proxy.idle_descriptors();
    let target = echo(loopback(1, 0));
    for reset in [false, true] {
        let association = Association::new(&proxy);
        association.echo(target, b"hello");
        assert_eq!(proxy.descriptors(), idle + 3);
        let Association { tcp, socket, relay } = association;
        let client = tcp.addr;
        if reset {
            tcp.abort();
        } else {
            drop(tcp);
        }
        proxy.wait_descriptors(idle);
        socket.send_to(&wrap(target, b"late"), relay).unwrap();
        assert!(is_silent(&socket));
        let line = proxy.session_line(client);
        let outcome = if reset { "client reset" } else { "done" };
        assert!(
            line.contains(", 5/5 bytes, ") && line.ends_with(outcome),
            "{line}"
        );
        assert!(line.contains(&format!("({relay})")), "{line}");
    }
}

#[test]
fn u10_a_half_closed_connection_ends_it_too() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    association.echo(echo(loopback(1, 0)), b"hello");
    association.tcp.finish();
    assert!(association.tcp.rest().is_empty());
}

#[test]
fn u10_an_idle_association_ends() {
    let proxy = Proxy::start(&["--udp-timeout", "1"]);
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    let start = std::time::Instant::now();
    for _ in 0..3 {
        std::thread::sleep(Duration::from_millis(500));
        association.echo(target, b"not idle");
    }
    association.tcp.time_to_end();
    assert!(start.elapsed() >= Duration::from_millis(2_400));
    let line = proxy.session_line(association.tcp.addr);
    assert!(line.ends_with("idle timeout"), "{line}");
}

#[test]
fn u10_in_a_full_table_the_association_idle_longest_gives_way() {
    let proxy = Proxy::start(&["--max-sessions", "8"]);
    let target = echo(loopback(1, 0));
    // Two is all there is.
    let [first, second] = [0, 1].map(|_| Association::new(&proxy));
    first.echo(target, b"hello");
    let third = Association::new(&proxy);
    second.tcp.time_to_end();
    first.echo(target, b"hello");
    third.echo(target, b"hello");
    // Of two clients with equal shares neither has to.
    let other = Association::over(proxy.client_from("127.0.0.2"));
    first.tcp.time_to_end();
    let mut stranger = proxy.client_from("127.0.0.3");
    let refused = stranger.ask_in_vain(Way::Pipelined, &request(3, loopback_any()));
    assert_eq!(refused, 1);
    other.echo(target, b"hello");
    third.echo(target, b"hello");
}

#[test]
fn u11_bytes_on_the_tcp_connection_are_discarded() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let mut tcp = proxy.client();
    tcp.say(
        Way::Pipelined,
        &[&hello(loopback_any())[..], b"early bytes"].concat(),
    );
    assert_eq!(tcp.hear(2), [5, 0]);
    let relay = tcp.reply().bound;
    let socket = remote(1);
    let mut association = Association { tcp, relay, socket };
    association.echo(target, b"hello");
    for _ in 0..16 {
        association.tcp.say(Way::Pipelined, &[7; 1 << 16]);
    }
    association.echo(target, b"hello");
    assert!(association.tcp.is_silent_for(Duration::from_millis(50)));
}

/// Sends `len` bytes from a remote at `from` to the client of an association.
fn down(association: &Association, outer: SocketAddr, from: &UdpSocket, len: usize) -> bool {
    let payload = pattern(len);
    from.send_to(&payload, outer).unwrap();
    if is_silent_until(&association.socket) {
        return false;
    }
    assert!(association.receive() == (from.local_addr().unwrap(), payload));
    true
}

/// The same as [`is_silent`], leaving the datagram where it is.
fn is_silent_until(socket: &UdpSocket) -> bool {
    socket
        .set_read_timeout(Some(Duration::from_millis(200)))
        .unwrap();
    let peeked = socket.peek_from(&mut [0]);
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    peeked.is_err()
}

#[test]
fn u12_all_that_udp_carries_comes_through_and_nothing_is_cut() {
    let cases = [
        (proxy(), loopback(1, 0), 65_497, 65_498),
        (proxy(), loopback6(0), 65_485, 65_486),
        // An IPv4 packet carries no more than that.
        (proxy6(), loopback(1, 0), 65_507, 0),
        (proxy6(), loopback6(0), 65_505, 65_506),
    ];
    for (proxy, remote, longest, too_long) in cases {
        let association = Association::new(&proxy);
        let target = socket_at(remote);
        association.send(target.local_addr().unwrap(), b"");
        let (empty, outer) = receive(&target);
        assert!(empty.is_empty());
        for len in [0, 1, 1472, 9000, longest] {
            assert!(down(&association, outer, &target, len), "{len} bytes");
        }
        if too_long > 0 {
            assert!(!down(&association, outer, &target, too_long));
            assert_eq!(proxy.dropped("too_long"), 1);
        }
        association.echo(echo(remote), b"lives on");
    }
}

#[test]
fn u12_the_longest_datagram_of_a_client_reaches_its_target() {
    // The message that the client's family carries, header included.
    for (proxy, target, longest) in [
        (proxy(), loopback(1, 0), 65_507 - 10),
        (proxy(), loopback6(0), 65_507 - 22),
        (proxy6(), loopback(1, 0), 65_507),
        (proxy6(), loopback6(0), 65_527 - 22),
    ] {
        let association = Association::new(&proxy);
        let target = socket_at(target);
        let payload = pattern(longest);
        association.send(target.local_addr().unwrap(), &payload);
        assert!(receive(&target).0 == payload, "{longest} bytes");
    }
    // Longer than IPv4 carries: not sendable, and no harm.
    let proxy = proxy6();
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    association.send(target, &pattern(65_517));
    association.echo(target, b"lives on");
    assert_eq!(proxy.dropped("unsendable"), 1);
}

#[test]
fn u13_icmp_errors_end_nothing() {
    let proxy = proxy();
    let mut association = Association::new(&proxy);
    let target = remote(1);
    let target_addr = target.local_addr().unwrap();
    association.send(target_addr, b"hello");
    let (_, outer) = receive(&target);
    drop(target);
    for _ in 0..20 {
        association.send(target_addr, b"to a closed port");
    }
    let port = association.socket.local_addr().unwrap();
    association.socket = remote(1);
    // Now the client's port is closed as well.
    let other = remote(1);
    for _ in 0..20 {
        other.send_to(b"to nobody", outer).unwrap();
    }
    association.socket = socket_at(port);
    // Some of those to nobody may still have been under way.
    let target = echo(loopback(1, 0));
    association.send(target, b"hello");
    while association.receive() != (target, b"hello".to_vec()) {}
    other.send_to(b"answer", outer).unwrap();
    assert_eq!(association.receive().1, b"answer");
}

#[test]
fn u14_rules_hold_for_every_datagram_in_both_directions() {
    let proxy = Proxy::start(&["--block", "127.0.0.3,127.0.0.1:9"]);
    let association = Association::new(&proxy);
    let (target, blocked) = (remote(1), remote(3));
    association.send(target.local_addr().unwrap(), b"hello");
    let (_, outer) = receive(&target);
    association.send(blocked.local_addr().unwrap(), b"hello");
    assert!(is_silent(&blocked));
    blocked.send_to(b"from there", outer).unwrap();
    assert!(association.is_silent());
    for refused in [
        "224.0.0.1:9",
        "255.255.255.255:9",
        "127.255.255.255:9",
        "[ff02::1]:9",
    ] {
        association.send(refused.parse().unwrap(), b"to a group");
    }
    // The proxy's own listener.
    association.send(proxy.addr, b"loop");
    association.echo(echo(loopback(1, 0)), b"lives on");
    assert_eq!(proxy.dropped("refused"), 7);
    let refused = &proxy.report()["refused"];
    let refused = ["rule", "multicast", "listener"].map(|cause| refused[cause].number());
    assert_eq!(refused, [2, 4, 1]);
}

#[test]
fn u14_the_outgoing_address_applies() {
    let proxy = Proxy::start(&["--bind", "127.0.0.8"]);
    let association = Association::new(&proxy);
    let target = remote(1);
    association.send(target.local_addr().unwrap(), b"hello");
    assert_eq!(receive(&target).1.ip(), IpAddr::from([127, 0, 0, 8]));
}

#[test]
fn u14_a_family_that_is_off_is_not_used() {
    let proxy = Proxy::start(&["-4"]);
    let association = Association::new(&proxy);
    let target = socket_at(loopback6(0));
    association.send(target.local_addr().unwrap(), b"hello");
    assert!(is_silent(&target));
    association.echo(echo(loopback(1, 0)), b"hello");
    assert_eq!(proxy.dropped("unsendable"), 1);
}

#[test]
fn without_udp_the_command_is_unknown() {
    assert_eq!(Proxy::start(&["--no-udp"]).refuses_udp(), 7);
}

#[test]
fn relay_ports_are_kept_to_and_can_run_out() {
    // A range that is free now, as a rule; another test may take a port of it.
    let first = 61_000 + u16::try_from(std::process::id() % 1000).unwrap() * 4;
    let range = format!("{first}-{}", first + 3);
    let proxy = Proxy::start(&["--relay-ports", &range]);
    let mut associations = Vec::new();
    while associations.len() < 5 {
        let mut tcp = proxy.client();
        tcp.say(Way::Pipelined, &hello(loopback_any()));
        assert_eq!(tcp.hear(2), [5, 0]);
        let reply = tcp.reply();
        if reply.code == 1 {
            break;
        }
        assert_eq!(reply.code, 0);
        assert!((first..first + 4).contains(&reply.bound.port()));
        associations.push(tcp);
    }
    assert!((1..5).contains(&associations.len()));
    let descriptors = proxy.descriptors();
    associations.pop();
    wait_until("a free port", || proxy.descriptors() < descriptors);
    Association::new(&proxy).echo(echo(loopback(1, 0)), b"hello");
}

#[test]
fn one_client_has_a_hundred_associations() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let idle = proxy.idle_descriptors();
    let all: Vec<Association> = (0..100).map(|_| Association::new(&proxy)).collect();
    for (number, association) in (0u8..).zip(&all) {
        association.send(target, &[number; 100]);
    }
    for (number, association) in (0u8..).zip(&all) {
        assert_eq!(association.receive(), (target, vec![number; 100]));
    }
    assert!(proxy.log_text().lines().count() < 10);
    drop(all);
    proxy.wait_descriptors(idle);
}

#[test]
fn another_client_can_neither_use_nor_read_an_association() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let target = remote(1);
    association.send(target.local_addr().unwrap(), b"secret");
    let (_, outer) = receive(&target);
    let other = Association::over(proxy.client_from("127.0.0.2"));
    // It has the same port, at its own address.
    let port = association.socket.local_addr().unwrap().port();
    let thief = socket_at(loopback(2, port));
    let stolen = wrap(target.local_addr().unwrap(), b"stolen");
    for relay in [association.relay, other.relay] {
        thief.send_to(&stolen, relay).unwrap();
    }
    let (payload, from) = receive(&target);
    assert_eq!(payload, b"stolen");
    assert_ne!(from, outer, "only through its own association");
    assert!(is_silent(&target));
    target.send_to(b"answer", outer).unwrap();
    assert_eq!(association.receive().1, b"answer");
    assert!(is_silent(&thief));
}

#[test]
fn ten_thousand_garbage_datagrams_change_nothing() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    let mut random = fastrand::Rng::with_seed(1);
    let mut flood = |count: u32| {
        for round in 0..count {
            let mut datagram = vec![0; random.usize(..600)];
            random.fill(&mut datagram);
            // Some that nearly are one, with names and addresses that lead nowhere.
            if let Some(head) = datagram.first_chunk_mut::<4>()
                && round % 4 == 0
            {
                *head = [0, 0, random.u8(..2), random.u8(..6)];
            }
            // Neither an address nor a name may be a good one.
            if datagram
                .get(3)
                .is_some_and(|kind| matches!(kind, 1 | 3 | 4))
            {
                datagram[2] = 1;
            }
            association.send_raw(&datagram);
            if round % 64 == 0 {
                association.echo(target, b"between");
            }
        }
        association.echo(target, b"after");
    };
    flood(1_000);
    let (memory, descriptors) = (proxy.memory_kib("Rss"), proxy.descriptors());
    flood(10_000);
    assert_eq!(proxy.descriptors(), descriptors);
    let grown = proxy.memory_kib("Rss") - memory;
    assert!(is_emulated() || grown <= 64, "{grown} KiB more");
}

#[test]
fn a_query_and_its_answer_go_through_the_relay() {
    let names = NameServer::start(vec![("name.test", Answer::Is(vec![LOCALHOST]))]);
    let proxy = proxy();
    let association = Association::new(&proxy);
    let query = b"\x12\x34\x01\0\0\x01\0\0\0\0\0\0\x04name\x04test\0\0\x01\0\x01";
    association.send(names.addr, query);
    let (from, answer) = association.receive();
    assert_eq!((from, &answer[..2]), (names.addr, &query[..2]));
    assert!(answer.ends_with(&[127, 0, 0, 1]));
}

#[test]
fn datagrams_of_quic_and_of_jumbo_frames_come_through() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    for len in (1200..=1452).chain([8_972, 9_000, 16_384, 32_768]) {
        association.echo(target, &pattern(len));
    }
}

/// Sends `count` datagrams of `len` bytes through each association, `window` of all at a time,
/// and expects each of them back, in order.
fn flood(associations: &[Association], target: SocketAddr, len: usize, count: u32, window: u32) {
    let payload = |round: u32| {
        let mut payload = vec![0x5a; len];
        payload[..4].copy_from_slice(&round.to_be_bytes());
        payload
    };
    let own = (window / u32::try_from(associations.len()).unwrap()).max(1);
    for start in (0..count).step_by(own as usize) {
        let rounds = start..(start + own).min(count);
        for association in associations {
            for round in rounds.clone() {
                association.send(target, &payload(round));
            }
        }
        for association in associations {
            for round in rounds.clone() {
                let (datagram, _) = receive(&association.socket);
                assert!(unwrap(&datagram) == (target, payload(round)));
            }
        }
    }
}

#[test]
fn a_flood_within_the_sockets_buffers_loses_nothing() {
    let proxy = proxy();
    for associations in [1, 32] {
        let all: Vec<_> = (0..associations)
            .map(|_| Association::new(&proxy))
            .collect();
        for len in [64, 1400] {
            // 64 datagrams take 150 KiB at most in a socket's 208 KiB, Linux's default.
            let target = echo(loopback(1, 0));
            let count = 6_400 / associations;
            let before = proxy.cpu_ticks();
            flood(&all, target, len, count, 64);
            let ticks = proxy.cpu_ticks() - before;
            let carried = u64::from(count * associations) * 2;
            note(&format!(
                "{associations} associations, {len} bytes: {} ns of CPU per datagram",
                ticks * 10_000_000 / carried
            ));
        }
    }
    for cause in ["full", "unsendable", "stranger"] {
        assert_eq!(proxy.dropped(cause), 0);
    }
}

#[test]
fn a_foreign_client_is_served() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let client = socks::Socks5Datagram::bind(proxy.addr, loopback(1, 0)).unwrap();
    client.get_ref().set_read_timeout(Some(DEADLINE)).unwrap();
    for payload in [&b"hello"[..], &[7; 1400]] {
        client.send_to(payload, target).unwrap();
        let mut answer = [0; 2000];
        let (len, from) = client.recv_from(&mut answer).unwrap();
        assert_eq!(&answer[..len], payload);
        assert!(matches!(from, socks::TargetAddr::Ip(from) if from == target));
    }
}
