//! UDP ASSOCIATE over real sockets: the rows U1 to U9 of the protocol's table by their ids. The
//! others, and crowds, floods and garbage, are in `udp_life.rs`.

use std::net::{IpAddr, Ipv4Addr, SocketAddr};
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NameServer};
use crate::support::namespace::in_namespace;
use crate::support::udp::{
    Association, bind, echo, hello, is_silent, loopback_any, receive, remote, wrap, wrap_name,
};
use crate::support::wire::{Client, Way, both_ways, connect_name, loopback, loopback6};
use crate::support::{Proxy, command, targets, wait_until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);

fn proxy() -> Proxy {
    Proxy::start(&[])
}

#[test]
fn u1_a_datagram_from_another_address_is_dropped() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let (target, stranger) = (remote(1), remote(2));
    let hidden = wrap(target.local_addr().unwrap(), b"hidden");
    stranger.send_to(&hidden, association.relay).unwrap();
    assert!(is_silent(&target));
    association.send(target.local_addr().unwrap(), b"own");
    assert_eq!(receive(&target).0, b"own");
    stranger.send_to(&hidden, association.relay).unwrap();
    assert!(is_silent(&target));
    // The same address with another port is no client either, once the port is known.
    remote(1).send_to(&hidden, association.relay).unwrap();
    assert!(is_silent(&target));
}

#[test]
fn u2_a_port_named_with_another_address_is_ignored() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    for hint in [
        loopback(2, 9),
        SocketAddr::from(([0, 0, 0, 0], 9)),
        loopback(1, 0),
        loopback6(9),
    ] {
        Association::asked(proxy.client(), hint).echo(target, b"hello");
    }
}

#[test]
fn u2_a_hint_may_be_a_name() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let mut tcp = proxy.client();
    let relay = tcp
        .ask(Way::Pipelined, b"\x05\x03\0\x03\x09localhost\0\0")
        .bound;
    let association = Association {
        tcp,
        relay,
        socket: remote(1),
    };
    association.echo(target, b"hello");
}

#[test]
fn u3_a_port_is_learned_from_the_first_valid_datagram() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let association = Association::new(&proxy);
    let other = remote(1);
    // Nothing valid: it teaches nothing.
    other.send_to(b"garbage", association.relay).unwrap();
    association.echo(target, b"first");
    other
        .send_to(&wrap(target, b"second"), association.relay)
        .unwrap();
    assert!(is_silent(&other));
    association.echo(target, b"third");
}

#[test]
fn u3_a_port_named_with_the_matching_address_is_taken_at_once() {
    let proxy = proxy();
    let target = echo(loopback(1, 0));
    let socket = remote(1);
    let hint = socket.local_addr().unwrap();
    let association = Association::with_socket(proxy.client(), hint, socket);
    let other = remote(1);
    other
        .send_to(&wrap(target, b"other"), association.relay)
        .unwrap();
    assert!(is_silent(&other));
    association.echo(target, b"own");
}

#[test]
fn u3_another_port_is_learned_after_silence() {
    // The silence is 30 s, whatever is configured: the others run meanwhile.
    let proxy = proxy();
    let target = remote(1);
    let mut association = Association::new(&proxy);
    association.send(target.local_addr().unwrap(), b"old");
    let (_, outer) = receive(&target);
    association.echo(echo(loopback(1, 0)), b"hello");
    std::thread::sleep(Duration::from_millis(30_500));
    // Until there is another, what comes goes to the old one.
    target.send_to(b"late", outer).unwrap();
    assert_eq!(association.receive().1, b"late");
    association.socket = remote(1);
    association.echo(echo(loopback(1, 0)), b"new");
    target.send_to(b"newest", outer).unwrap();
    assert_eq!(association.receive().1, b"newest");
}

#[test]
fn u4_bnd_is_the_address_that_the_connection_has_reached() {
    for (listen, client) in [
        ("0.0.0.0", "127.0.0.1"),
        ("0.0.0.0", "127.0.0.5"),
        ("::", "::1"),
    ] {
        let proxy = Proxy::launch(command(&[], &["-i", listen, "-p", "0"]));
        let host: IpAddr = client.parse().unwrap();
        let tcp = Client::connect((host, proxy.addr.port()).into());
        let association = Association::over(tcp);
        assert_eq!(association.relay.ip(), host);
        assert_ne!(association.relay.port(), 0);
        association.echo(echo(SocketAddr::new(host, 0)), b"hello");
    }
}

#[test]
fn u4_a_public_address_is_announced_for_its_family() {
    let proxy = Proxy::start(&["--public", "192.0.2.7,2001:db8::7"]);
    both_ways(|way| {
        let mut tcp = proxy.client();
        tcp.say(way, &hello(loopback_any()));
        assert_eq!(tcp.hear(2), [5, 0]);
        let bound = tcp.reply().bound;
        assert_eq!(bound.ip(), IpAddr::from([192, 0, 2, 7]));
        // It is reached under its own address all the same.
        let association = Association {
            tcp,
            relay: loopback(1, bound.port()),
            socket: remote(1),
        };
        association.echo(echo(loopback(1, 0)), b"hello");
    });
}

#[test]
fn u5_replies_come_from_exactly_bnd() {
    let proxy = Proxy::launch(command(&[], &["-i", "0.0.0.0", "-p", "0"]));
    let association = Association::over(Client::connect(loopback(7, proxy.addr.port())));
    // A connected socket hears nobody else.
    association.socket.connect(association.relay).unwrap();
    let target = echo(loopback(1, 0));
    association.socket.send(&wrap(target, b"hello")).unwrap();
    assert_eq!(association.receive(), (target, b"hello".to_vec()));
}

#[test]
fn u6_fragments_are_dropped_and_the_association_lives_on() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    for fragment in [1, 2, 0x7f, 0x80, 0xff] {
        let mut datagram = wrap(target, b"part");
        datagram[2] = fragment;
        association.send_raw(&datagram);
    }
    assert!(association.is_silent());
    association.echo(target, b"whole");
    assert_eq!(proxy.dropped("fragment"), 5);
}

#[test]
fn u7_what_cannot_be_relayed_is_dropped_and_nothing_else() {
    let names = NameServer::start(vec![]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    let good = wrap(target, b"hello");
    let mut reserved = good.clone();
    reserved[1] = 1;
    let mut kind = good.clone();
    kind[3] = 2;
    let bad: [&[u8]; 7] = [
        b"",
        &reserved,
        &kind,
        &good[..9],
        &wrap(SocketAddr::new(target.ip(), 0), b"port 0"),
        &wrap_name("", target.port(), b"no name"),
        &wrap_name("a b", target.port(), b"no name"),
    ];
    for datagram in bad {
        association.send_raw(datagram);
    }
    association.send_raw(&wrap_name("missing.test", target.port(), b"no address"));
    assert!(association.is_silent());
    association.echo(target, b"hello");
    assert_eq!(proxy.dropped("malformed"), 7);
    assert_eq!(proxy.dropped("name"), 1);
}

#[test]
fn u8_names_are_resolved_without_blocking_and_the_newest_datagram_waits() {
    let slow = Answer::Slow(Duration::from_millis(300), vec![LOCALHOST]);
    let names = NameServer::start(vec![
        ("slow.test", slow),
        ("fast.test", Answer::Is(vec![LOCALHOST])),
    ]);
    let proxy = Proxy::start(&["--dns", &names.option(), "-4"]);
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    for payload in [b"one", b"two", b"six"] {
        association.send_raw(&wrap_name("slow.test", target.port(), payload));
    }
    association.echo(target, b"not held up");
    association.send_raw(&wrap_name("FAST.test", target.port(), b"fast"));
    assert_eq!(association.receive(), (target, b"fast".to_vec()));
    assert_eq!(association.receive(), (target, b"six".to_vec()));
    assert!(association.is_silent());
    // From now on it is known.
    let asked = names.total();
    association.send_raw(&wrap_name("Slow.test", target.port(), b"again"));
    assert_eq!(association.receive().1, b"again");
    assert_eq!(names.total(), asked);
}

#[test]
fn u8_without_ipv6_a_name_with_both_families_is_reached_over_ipv4() {
    in_namespace(|| {
        let far: IpAddr = "2001:db8::1".parse().unwrap();
        let both = Answer::Is(vec![far, LOCALHOST]);
        let names = NameServer::start(vec![("both.test", both)]);
        let proxy = Proxy::start(&["--dns", &names.option()]);
        let association = Association::new(&proxy);
        let target = echo(loopback(1, 0));
        association.send_raw(&wrap_name("both.test", target.port(), b"hello"));
        assert_eq!(association.receive(), (target, b"hello".to_vec()));
    });
}

#[test]
fn u8_a_literal_sent_as_a_name_is_an_address() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    association.send_raw(&wrap_name("127.0.0.1", target.port(), b"hello"));
    assert_eq!(association.receive(), (target, b"hello".to_vec()));
}

#[test]
fn u8_thirty_names_of_one_association_are_looked_up_at_once_and_remembered() {
    let slow = Answer::Slow(Duration::from_millis(300), vec![LOCALHOST]);
    let server = NameServer::start(vec![("test", slow)]);
    let proxy = Proxy::start(&["--dns", &server.option(), "-4"]);
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    for round in 0..4 {
        let mut sent: Vec<String> = (0..30)
            .map(|number| format!("tracker{number}.test"))
            .collect();
        sent.sort();
        for name in &sent {
            association.send_raw(&wrap_name(name, target.port(), name.as_bytes()));
        }
        let mut came: Vec<_> = sent.iter().map(|_| association.receive().1).collect();
        came.sort();
        let sent: Vec<_> = sent.into_iter().map(String::into_bytes).collect();
        assert_eq!(came, sent, "round {round}");
        assert_eq!(server.total(), 30);
    }
}

#[test]
fn u8_of_one_name_each_port_has_a_datagram_that_waits() {
    let slow = Answer::Slow(Duration::from_millis(300), vec![LOCALHOST]);
    let server = NameServer::start(vec![("slow.test", slow)]);
    let proxy = Proxy::start(&["--dns", &server.option(), "-4"]);
    let association = Association::new(&proxy);
    let targets = [echo(loopback(1, 0)), echo(loopback(1, 0))];
    for target in targets {
        association.send_raw(&wrap_name("slow.test", target.port(), b"hello"));
    }
    // Which echo is the first to run is not the proxy's choice.
    let mut came = targets.map(|_| association.receive());
    came.sort();
    let mut sent = targets.map(|target| (target, b"hello".to_vec()));
    sent.sort();
    assert_eq!(came, sent);
}

#[test]
fn u8_names_that_are_looked_up_for_long_make_room_for_others_of_the_association() {
    let server = NameServer::start(vec![
        ("dead.test", Answer::Never),
        ("good.test", Answer::Is(vec![LOCALHOST])),
    ]);
    let proxy = Proxy::start(&["--dns", &server.option(), "-4"]);
    let association = Association::new(&proxy);
    let target = echo(loopback(1, 0));
    for number in 0..100 {
        let name = format!("{}{number}.dead.test", "long".repeat(10));
        association.send_raw(&wrap_name(&name, 9, b"hello"));
    }
    let start = Instant::now();
    // Before the first of them times out, 5 s and 5 s after it was asked for.
    wait_until("the name that exists", || {
        association.send_raw(&wrap_name("good.test", target.port(), b"hello"));
        !association.is_silent()
    });
    assert!(start.elapsed() < Duration::from_secs(9));
}

#[test]
fn u8_dead_names_of_one_client_hold_up_neither_tunnels_nor_another_client() {
    let server = NameServer::start(vec![
        ("dead.test", Answer::Never),
        ("good.test", Answer::Is(vec![LOCALHOST])),
    ]);
    let proxy = Proxy::start(&["--dns", &server.option(), "-4"]);
    let target = echo(loopback(1, 0));
    let greedy: Vec<Association> = (0..10).map(|_| Association::new(&proxy)).collect();
    for (number, association) in greedy.iter().enumerate() {
        for name in 0..4 {
            let name = format!("n{number}x{name}.dead.test");
            association.send_raw(&wrap_name(&name, 9, &[0; 1400]));
        }
    }
    let other = Association::over(proxy.client_from("127.0.0.2"));
    other.send_raw(&wrap_name("good.test", target.port(), b"hello"));
    assert_eq!(other.receive(), (target, b"hello".to_vec()));
    let port = targets::echo().port();
    let mut tunnel = proxy.client_from("127.0.0.2");
    tunnel.ask(Way::Pipelined, &connect_name("good.test", port));
    tunnel.echo(b"hello");
    // Each takes 40 bytes on 64-bit machines, and fewer on others.
    let held = |proxy: &Proxy| {
        let report = proxy.report();
        ["udp_lookups", "udp_held_bytes"].map(|name| report[name].number())
    };
    let [lookups, bytes] = held(&proxy);
    assert!(
        lookups == 40 && (57_000..58_000).contains(&bytes),
        "{bytes} bytes"
    );
    drop(greedy);
    wait_until("the end of the lookups", || held(&proxy) == [0, 0]);
}

#[test]
fn u9_replies_tell_their_true_source_and_any_remote_may_answer() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    let (target, other) = (remote(1), remote(3));
    association.send(target.local_addr().unwrap(), b"hello");
    let (_, outer) = receive(&target);
    for sender in [&target, &other, &remote(1)] {
        sender.send_to(b"answer", outer).unwrap();
        let from = sender.local_addr().unwrap();
        assert_eq!(association.receive(), (from, b"answer".to_vec()));
    }
    // One outer port for all remotes.
    association.send(other.local_addr().unwrap(), b"hello");
    assert_eq!(receive(&other).1, outer);
}

#[test]
fn u9_an_ipv6_remote_reaches_an_ipv4_client() {
    let proxy = proxy();
    let association = Association::new(&proxy);
    association.echo(echo(loopback6(0)), b"hello");
    association.echo(echo(loopback(1, 0)), b"hello");
    let mapped: SocketAddr = format!("[::ffff:127.0.0.1]:{}", echo(loopback(1, 0)).port())
        .parse()
        .unwrap();
    association.send(mapped, b"mapped");
    let (from, payload) = association.receive();
    assert_eq!((from.ip(), payload), (LOCALHOST, b"mapped".to_vec()));
}

#[test]
fn u9_with_strict_filtering_three_hundred_remotes_are_remembered() {
    let proxy = Proxy::start(&["--udp-strict"]);
    let association = Association::new(&proxy);
    let everywhere = bind(SocketAddr::from(([0, 0, 0, 0], 0)));
    let port = everywhere.local_addr().unwrap().port();
    let remote = |number: u16| {
        let [high, low] = number.to_be_bytes();
        Ipv4Addr::new(127, 1, high, low)
    };
    let mut outer = None;
    for number in 0..300 {
        association.send((remote(number), port).into(), b"hello");
        outer = Some(receive(&everywhere).1);
    }
    for number in 0..300 {
        let answering = bind((remote(number), 0).into());
        answering.send_to(b"answer", outer.unwrap()).unwrap();
        let from = answering.local_addr().unwrap();
        assert_eq!(association.receive(), (from, b"answer".to_vec()));
    }
    let stranger = bind((remote(300), 0).into());
    stranger.send_to(b"stranger", outer.unwrap()).unwrap();
    assert!(association.is_silent());
}

#[test]
fn u9_with_strict_filtering_only_contacted_remotes_may_answer() {
    let proxy = Proxy::start(&["--udp-strict"]);
    let association = Association::new(&proxy);
    let (target, other) = (remote(1), remote(3));
    association.send(target.local_addr().unwrap(), b"hello");
    let (_, outer) = receive(&target);
    other.send_to(b"stranger", outer).unwrap();
    assert!(association.is_silent());
    target.send_to(b"answer", outer).unwrap();
    assert_eq!(association.receive().1, b"answer");
    association.send(other.local_addr().unwrap(), b"hello");
    receive(&other);
    other.send_to(b"answer", outer).unwrap();
    assert_eq!(association.receive().0, other.local_addr().unwrap());
    assert_eq!(proxy.dropped("uncontacted"), 1);
}
