//! Who may connect and where to, over real sockets; listeners and outgoing addresses.
//!
//! Clients on loopback may reach nearly everything. What is refused to others is tried from
//! behind a router in network namespaces.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NameServer};
use crate::support::namespace::{Router, in_namespace};
use crate::support::targets::{Target, echo, echo_at, port_free_on};
use crate::support::wire::{
    Client, GREETING_USER, Way, both_ways, connect, connect_name, loopback, loopback6, user_pass,
};
use crate::support::{Folder, Proxy, command, is_emulated, listening_addr, not_run, wait_until};

#[test]
fn clients_are_only_who_they_are_said_to_be() {
    let proxy = Proxy::start(&["--clients", "127.0.0.2,127.0.4.0/24"]);
    let target = echo();
    for source in ["127.0.0.2", "127.0.4.7"] {
        proxy.client_from(source).open(target);
    }
    for source in ["127.0.0.1", "127.0.0.3", "127.0.5.1"] {
        let mut stranger = proxy.client_from(source);
        stranger.say(Way::Pipelined, &[5, 1, 0]);
        assert_eq!(stranger.rest_or_reset(), b"", "{source}");
    }
}

#[test]
fn a_blocked_destination_gets_rep_02_and_the_log_names_the_option() {
    let proxy = Proxy::start(&["--block", "127.0.0.9,127.0.8.0/24"]);
    both_ways(|way| {
        for blocked in [[127, 0, 0, 9], [127, 0, 8, 1]] {
            assert_eq!(proxy.refuses(way, &connect((blocked, 80).into())), 2);
        }
    });
    proxy.wait_log_all(&["127.0.0.9:80", "--"]);
    proxy.tunnel(echo());
}

#[test]
fn the_longest_prefix_wins_and_then_the_narrower_ports() {
    let target = echo();
    let other = echo();
    let permitted = target.to_string();
    let options = ["--block", "127.0.0.0/8", "--permit", &permitted];
    let proxy = Proxy::start(&options);
    proxy.tunnel(target);
    assert_eq!(proxy.refuses(Way::Pipelined, &connect(other)), 2);
    let blocked = format!("127.0.0.1:{}", target.port());
    let proxy = Proxy::start(&["--permit", "127.0.0.1", "--block", &blocked]);
    assert_eq!(proxy.refuses(Way::Pipelined, &connect(target)), 2);
    proxy.tunnel(other);
    let [low, high] = [target.port().saturating_sub(1), target.port()];
    let range = format!("127.0.0.1:{low}-{high}");
    let proxy = Proxy::start(&["--block", &range]);
    assert_eq!(proxy.refuses(Way::Pipelined, &connect(target)), 2);
}

#[test]
fn the_own_listener_is_refused_whatever_is_permitted() {
    let options = [
        "-i",
        "127.0.0.1",
        "-i",
        "::1",
        "-p",
        "0",
        "--permit",
        "0.0.0.0/0,::/0",
    ];
    let proxy = Proxy::launch(command(&[], &options));
    let port = proxy.addr.port();
    let mapped = IpAddr::V6(Ipv4Addr::LOCALHOST.to_ipv6_mapped());
    both_ways(|way| {
        for addr in [loopback(1, port), loopback6(port), (mapped, port).into()] {
            assert_eq!(proxy.refuses(way, &connect(addr)), 2, "{addr}");
        }
        assert_eq!(proxy.refuses(way, &connect_name("localhost", port)), 2);
    });
}

#[test]
fn multicast_and_broadcast_are_refused_to_everyone() {
    let proxy = Proxy::start(&[]);
    for addr in [
        "224.0.0.1:80",
        "239.255.255.250:80",
        "255.255.255.255:80",
        "[ff02::1]:80",
    ] {
        assert_eq!(
            proxy.refuses(Way::Pipelined, &connect(addr.parse().unwrap())),
            2,
            "{addr}"
        );
    }
}

#[test]
fn an_address_inside_an_address_is_judged() {
    let proxy = Proxy::start(&["--block", "127.0.0.9"]);
    // v4-mapped, v4-compatible, 6to4 (RFC 3056) and NAT64 (RFC 6052) forms of 127.0.0.9.
    for form in [
        "::ffff:127.0.0.9",
        "::127.0.0.9",
        "2002:7f00:9::1",
        "64:ff9b::7f00:9",
    ] {
        let ip: Ipv6Addr = form.parse().unwrap();
        assert_eq!(
            proxy.refuses(Way::Pipelined, &connect((ip, 80).into())),
            2,
            "{form}"
        );
    }
}

#[test]
fn a_name_is_judged_by_its_addresses() {
    let is = |list: &[SocketAddr]| Answer::Is(list.iter().map(SocketAddr::ip).collect());
    let names = NameServer::start(vec![
        ("bad.test", is(&[loopback(9, 0)])),
        ("mixed.test", is(&[loopback(9, 0), loopback(1, 0)])),
    ]);
    let port = port_free_on(&[loopback(1, 0).ip(), loopback(9, 0).ip()]);
    let (target, trap) = (Target::at(loopback(1, port)), Target::at(loopback(9, port)));
    let proxy = Proxy::start(&["--dns", &names.option(), "--block", "127.0.0.9"]);
    both_ways(|way| {
        assert_eq!(proxy.refuses(way, &connect_name("bad.test", port)), 2);
        proxy.client().ask(way, &connect_name("mixed.test", port));
        target.accept();
    });
    assert!(trap.is_untouched());
}

#[test]
fn an_interface_stands_for_its_addresses() {
    in_namespace(|| {
        let proxy = Proxy::launch(command(&[], &["--listen", "lo", "-p", "0"]));
        let port = proxy.addr.port();
        let target = echo();
        for addr in [loopback(1, port), loopback6(port)] {
            Client::connect(addr).open(target);
        }
    });
}

#[test]
fn port_0_is_one_number_for_both_families() {
    let options = ["-i", "127.0.0.1", "-i", "::1", "-p", "0"];
    let proxy = Proxy::launch(command(&[], &options));
    let one = listening_addr(&proxy.wait_log("listening on 127.0.0.1:"));
    let other = listening_addr(&proxy.wait_log("listening on [::1]:"));
    assert_eq!(one.port(), other.port());
    assert_ne!(one.port(), 0);
    let target = echo();
    Client::connect(one).open(target);
    Client::connect(other).open(target);
}

#[test]
fn without_listen_both_families_are_served() {
    in_namespace(|| {
        let proxy = Proxy::launch(command(&[], &["-p", "0"]));
        let port = proxy.addr.port();
        let target = echo();
        Client::connect(loopback(1, port)).open(target);
        Client::connect(loopback6(port)).open(target);
    });
}

#[test]
fn the_outgoing_address_is_as_told() {
    let proxy = Proxy::start(&["-b", "127.0.0.7"]);
    let target = Target::new();
    let reply = proxy.client().open(target.addr);
    let (_stream, peer) = target.accept_from();
    assert_eq!(peer.ip(), loopback(7, 0).ip());
    assert_eq!(reply.bound, peer);
}

#[test]
fn one_family_alone_is_used_where_told() {
    let both = Answer::Is(vec![Ipv6Addr::LOCALHOST.into(), Ipv4Addr::LOCALHOST.into()]);
    let names = NameServer::start(vec![("dual.test", both)]);
    let port = port_free_on(&[loopback(1, 0).ip(), loopback6(0).ip()]);
    let (target, target6) = (Target::at(loopback(1, port)), Target::at(loopback6(port)));
    let cases = [("-4", &target, &target6), ("-6", &target6, &target)];
    for (option, used, unused) in cases {
        let proxy = Proxy::start(&[option, "--dns", &names.option()]);
        proxy
            .client()
            .ask(Way::Pipelined, &connect_name("dual.test", port));
        used.accept();
        assert!(unused.is_untouched());
    }
    let [prefer4, prefer6] = ["4", "6"].map(|family| {
        let proxy = Proxy::start(&["--prefer", family, "--dns", &names.option()]);
        let mut client = proxy.client();
        client
            .ask(Way::Pipelined, &connect_name("dual.test", port))
            .bound
    });
    assert!(prefer4.is_ipv4() && prefer6.is_ipv6());
}

#[test]
fn an_ipv4_address_in_an_answer_of_ipv6_is_none_of_ipv6() {
    // A v4-mapped one (RFC 4291 §2.5.5.2), which the kernel reaches over IPv4.
    let mapped = Ipv4Addr::LOCALHOST.to_ipv6_mapped().into();
    let names = NameServer::start(vec![("mapped.test", Answer::Is(vec![mapped]))]);
    let target = Target::at(loopback(1, 0));
    let request = connect_name("mapped.test", target.addr.port());
    let start = |option| Proxy::start(&[option, "--dns", &names.option()]);
    assert_eq!(start("-6").refuses(Way::Pipelined, &request), 3);
    assert!(target.is_untouched());
    let proxy = start("-v");
    let mut client = proxy.client();
    client.ask(Way::Pipelined, &request);
    client.finish();
    target.accept();
    let line = proxy.session_line(client.addr);
    assert!(line.contains(&format!("({})", target.addr)), "{line}");
}

#[test]
fn two_processes_share_a_port_where_told() {
    let first = Proxy::start(&["--reuseport"]);
    let port = first.addr.port().to_string();
    let shared = ["-i", "127.0.0.1", "-p", &port, "--reuseport"];
    let second = Proxy::launch(command(&[], &shared));
    assert_eq!(first.addr, second.addr);
    let target = echo();
    wait_until("a session on each", || {
        let client = first.tunnel(target);
        client.finish();
        [&first, &second]
            .iter()
            .all(|proxy| proxy.log_text().contains(" bytes, "))
    });
}

#[test]
fn a_taken_port_ends_the_start_unless_told_to_retry() {
    let taken = Target::new();
    let port = taken.addr.port().to_string();
    let options = ["-i", "127.0.0.1", "-p", &port];
    let output = command(&[], &options).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let waiting = std::thread::scope(|scope| {
        let launch = scope
            .spawn(|| Proxy::launch(command(&[], &[&options[..], &["--retry-listen"]].concat())));
        std::thread::sleep(Duration::from_millis(300));
        assert!(!launch.is_finished());
        drop(taken);
        launch.join().unwrap()
    });
    waiting.tunnel(echo());
}

#[test]
fn a_client_reaches_its_own_subnet_and_the_internet_and_nothing_else() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.cable("dmz", "10.9.0.1/24", &["10.9.0.2/24"]);
        let proxy = router.proxy(&["-p", "0"]);
        let addr = SocketAddr::new("192.168.77.1".parse().unwrap(), proxy.addr.port());
        let client = || Client::connect_from("192.168.77.2", addr);
        let at = |ip: &str| echo_at(SocketAddr::new(ip.parse().unwrap(), 0));
        client().open(at("192.168.77.50"));
        client().open(at("1.2.3.4"));
        // The router by each of its addresses, and what is private beyond it.
        for refused in [
            "192.168.77.1:22",
            "203.0.113.1:22",
            "10.9.0.1:22",
            "127.0.0.1:22",
            "0.0.0.0:22",
            "[::1]:22",
            "10.9.0.2:80",
            "172.16.0.1:80",
            "100.64.0.1:80",
            "169.254.0.1:80",
            "192.168.77.255:80",
            "224.0.0.1:80",
            "[fe80::1]:80",
            "[fd00::1]:80",
        ] {
            let code = client().ask_in_vain(Way::Pipelined, &connect(refused.parse().unwrap()));
            assert_eq!(code, 2, "{refused}");
        }
        let own = client().ask_in_vain(Way::Pipelined, &connect(addr));
        assert_eq!(own, 2);
        let beyond = at("10.9.0.2");
        assert_eq!(client().ask_in_vain(Way::Pipelined, &connect(beyond)), 2);
        Client::connect_from(
            "10.9.0.2",
            SocketAddr::new("10.9.0.1".parse().unwrap(), addr.port()),
        )
        .open(beyond);
    });
}

#[test]
fn permit_opens_what_is_refused_by_default() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.cable("dmz", "10.9.0.1/24", &["10.9.0.2/24"]);
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "--permit", "10.9.0.0/24"]);
        let beyond = echo_at("10.9.0.2:0".parse().unwrap());
        proxy.client_from("192.168.77.2").open(beyond);
    });
}

#[test]
fn a_stranger_without_credentials_is_closed_at_once() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "203.0.113.1", "-p", "0"]);
        let mut stranger = proxy.client_from("203.0.113.9");
        stranger.say(Way::Pipelined, &[5, 1, 0]);
        assert_eq!(stranger.rest_or_reset(), b"");
        let opened = router.proxy(&["-i", "203.0.113.1", "-p", "0", "--clients", "203.0.113.9"]);
        opened
            .client_from("203.0.113.9")
            .open(echo_at("1.2.3.4:0".parse().unwrap()));
    });
}

#[test]
fn a_stranger_with_a_password_reaches_the_internet_and_not_the_lan() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let options = ["-i", "203.0.113.1", "-p", "0", "-u", "ann", "-P", "secret"];
        let proxy = router.proxy(&options);
        let lan = echo_at("192.168.77.50:0".parse().unwrap());
        proxy.user_tunnel(b"ann", b"secret", echo_at("1.2.3.4:0".parse().unwrap()));
        let mut client = proxy.client();
        let login = user_pass(b"ann", b"secret");
        client.say(
            Way::Pipelined,
            &[&GREETING_USER, &login[..], &connect(lan)].concat(),
        );
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        assert_eq!(client.refusal(), 2);
        let permitted = router.proxy(&[&options[..], &["--permit", "192.168.77.0/24"]].concat());
        permitted.user_tunnel(b"ann", b"secret", lan);
    });
}

#[test]
fn the_outgoing_device_is_as_told() {
    in_namespace(|| {
        let router = Router::of_a_home();
        // Left to the routes, this address would be reached through the LAN.
        let target = Target::at("192.168.77.50:0".parse().unwrap());
        let expect = |device: &str| {
            let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "-b", device]);
            let reply = proxy.client().open(target.addr);
            let peer = target.accept_from().1;
            assert_eq!(peer, reply.bound);
            assert!(peer.to_string().starts_with("203.0.113.1:"), "{peer}");
        };
        expect("wan");
        // As OpenWrt names the devices of some protocols.
        router.run("ip link set wan down");
        router.run("ip link set wan name 3g-wan2");
        router.run("ip link set 3g-wan2 up");
        expect("3g-wan2");
    });
}

#[test]
fn the_mark_is_as_told() {
    if is_emulated() {
        return not_run("the_mark_is_as_told: qemu's user mode passes no SO_MARK on");
    }
    in_namespace(|| {
        let router = Router::of_a_home();
        router.run("ip rule add fwmark 7 prohibit");
        let target = echo_at("1.2.3.4:0".parse().unwrap());
        let options = ["-i", "192.168.77.1", "-p", "0"];
        router.proxy(&options).tunnel(target);
        let marked = router.proxy(&[&options[..], &["--mark", "7"]].concat());
        assert_eq!(marked.refuses(Way::Pipelined, &connect(target)), 2);
    });
}

/// A router in whose LAN a proxy runs, and a request for an address that it gets later.
fn with_a_later_address(refused_then: impl FnOnce(&Proxy, Vec<u8>)) {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        let later = connect("5.6.7.8:80".parse().unwrap());
        router.run("ip addr add 5.6.7.8/32 dev wan");
        refused_then(&proxy, later);
    });
}

#[test]
fn an_address_that_the_router_got_later_is_refused_after_hup() {
    with_a_later_address(|proxy, later| {
        proxy.signal(Signal::SIGHUP);
        proxy.wait_log("reloaded");
        assert_eq!(proxy.refuses(Way::Pipelined, &later), 2);
    });
}

#[test]
fn an_address_that_the_router_got_later_is_refused_without_being_told() {
    with_a_later_address(|proxy, later| {
        wait_until("the new address to be the router's own", || {
            proxy.refuses(Way::Pipelined, &later) == 2
        });
    });
}

#[test]
fn auth_once_trusts_the_address_from_then_on() {
    let folder = Folder::new("auth-once");
    let users = folder.write("users", "ann:secret\n");
    let proxy = Proxy::start(&["--users", &users, "--auth-once"]);
    let target = echo();
    let mut early = proxy.client();
    early.say(Way::Pipelined, &[5, 1, 0]);
    assert_eq!(early.rest(), [5, 0xff]);
    proxy.user_tunnel(b"ann", b"secret", target);
    proxy.client().open(target);
    let mut other = proxy.client_from("127.0.0.2");
    other.say(Way::Pipelined, &[5, 1, 0]);
    assert_eq!(other.rest(), [5, 0xff]);
    folder.write("users", "bob:secret\n");
    proxy.signal(Signal::SIGHUP);
    wait_until("the trust to end", || {
        let mut client = proxy.client();
        client.say(Way::Pipelined, &[5, 1, 0]);
        client.hear(2) == [5, 0xff]
    });
}
