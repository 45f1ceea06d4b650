//! Inside and outside: which interfaces lead to the Internet, whose neighbours are strangers, and
//! what becomes of it when addresses and routes change.

use std::fmt::Write as _;
use std::net::{Ipv6Addr, SocketAddr, SocketAddrV6};
use std::process::Command;
use std::thread;
use std::time::{Duration, Instant};

use crate::support::name_server::{Answer, NameServer};
use crate::support::namespace::{Router, in_namespace, run};
use crate::support::targets::echo_at;
use crate::support::udp::{self, Association, wrap_name};
use crate::support::wire::{
    Client, GREETING, GREETING_USER, Way, connect, connect_name, is_served, user_pass,
};
use crate::support::{Folder, Proxy, is_scope_lost, note, wait_until};

/// A home whose uplink has these routes instead of a default one in the main table.
fn home_with(routes: &[&str]) -> (Router, Proxy) {
    let router = Router::of_a_home();
    router.run("ip route del default");
    for route in routes {
        router.run(route);
    }
    let proxy = router.proxy(&["-i", "203.0.113.1", "-p", "0"]);
    (router, proxy)
}

/// In such a home a stranger in the subnet of the uplink is not served.
fn strangers_stay_outside(routes: &[&str]) {
    in_namespace(|| {
        let (_router, proxy) = home_with(routes);
        assert!(!is_served(proxy.client_from("203.0.113.9")));
    });
}

#[test]
fn an_uplink_with_a_routing_table_of_its_own_is_outside() {
    strangers_stay_outside(&["ip route add default via 203.0.113.9 table 100"]);
}

#[test]
fn an_uplink_that_is_routed_in_halves_is_outside() {
    strangers_stay_outside(&["ip route add 128.0.0.0/1 via 203.0.113.9 table 100"]);
}

#[test]
fn an_uplink_among_several_ways_is_outside() {
    let ways = "ip route add default nexthop via 192.168.77.2 nexthop via 203.0.113.9";
    strangers_stay_outside(&[ways]);
}

/// As new routing daemons have it, a route does not name the device itself.
const NEXTHOPS_ALONE: &str = "sysctl -qw net.ipv4.nexthop_compat_mode=0";
const NEXTHOP_7: &str = "ip nexthop add id 7 via 203.0.113.9 dev wan";

#[test]
fn an_uplink_that_is_a_nexthop_object_is_outside() {
    strangers_stay_outside(&[NEXTHOPS_ALONE, NEXTHOP_7, "ip route add default nhid 7"]);
}

#[test]
fn an_uplink_in_a_group_of_nexthop_objects_is_outside() {
    strangers_stay_outside(&[
        NEXTHOPS_ALONE,
        NEXTHOP_7,
        "ip nexthop add id 8 via 192.168.77.2 dev lan",
        "ip nexthop add id 9 group 7/8",
        "ip route add default nhid 9",
    ]);
}

#[test]
fn an_interface_without_a_way_out_is_inside() {
    in_namespace(|| {
        let unreachable = "ip route add unreachable default";
        let quarter = "ip route add 64.0.0.0/2 via 203.0.113.9";
        let (_router, proxy) = home_with(&[unreachable, quarter]);
        assert!(is_served(proxy.client_from("203.0.113.9")));
    });
}

/// The number of an interface of the test's own, and that of the router's at the other end.
fn indexes_of(name: &str) -> [u32; 2] {
    let output = Command::new("ip")
        .args(["-o", "link", "show", name])
        .output();
    let line = String::from_utf8(output.unwrap().stdout).unwrap();
    let mut words = line.split(": ");
    let own = words.next().unwrap();
    let (_, other) = words.next().unwrap().split_once("@if").unwrap();
    [own, other].map(|number| number.parse().unwrap())
}

/// A home with link-local addresses, ::1 the router's and ::9 the test's, on both sides.
fn home_with_link_locals() -> Router {
    let router = Router::of_a_home();
    for link in ["lan", "wan"] {
        run(&format!("ip addr add fe80::9/64 dev {link} nodad"));
        router.run(&format!("ip addr add fe80::1/64 dev {link} nodad"));
    }
    router
}

/// A connection to the router's link-local address on one side.
fn neighbour(proxy: &Proxy, link: &str) -> Client {
    let router = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
    Client::connect(SocketAddrV6::new(router, proxy.addr.port(), 0, indexes_of(link)[0]).into())
}

#[test]
fn link_local_neighbours_are_served_inside_and_strangers_outside() {
    if is_scope_lost() {
        return;
    }
    in_namespace(|| {
        let router = home_with_link_locals();
        let proxy = router.proxy(&["-p", "0"]);
        assert!(is_served(neighbour(&proxy, "lan")));
        assert!(!is_served(neighbour(&proxy, "wan")));
    });
}

#[test]
fn the_name_of_an_interface_stands_for_its_link_local_neighbours() {
    if is_scope_lost() {
        return;
    }
    in_namespace(|| {
        let router = home_with_link_locals();
        let options = ["-p", "0", "-u", "ann", "-P", "secret", "--trust", "lan"];
        let proxy = router.proxy(&options);
        assert!(is_served(neighbour(&proxy, "lan")));
        assert!(!is_served(neighbour(&proxy, "wan")));
        let told = router.proxy(&["-p", "0", "--clients", "wan"]);
        assert!(!is_served(neighbour(&told, "lan")));
        assert!(is_served(neighbour(&told, "wan")));
    });
}

#[test]
fn a_login_is_remembered_for_the_neighbour_on_one_link_alone() {
    in_namespace(|| {
        let router = home_with_link_locals();
        let options = ["-p", "0", "-u", "ann", "-P", "secret", "--auth-once"];
        let proxy = router.proxy(&options);
        let mut client = neighbour(&proxy, "lan");
        let login = user_pass(b"ann", b"secret");
        client.say(Way::Pipelined, &[&GREETING_USER, &login[..]].concat());
        assert_eq!(client.hear(4), [5, 2, 1, 0]);
        assert!(is_served(neighbour(&proxy, "lan")));
        assert!(!is_served(neighbour(&proxy, "wan")));
    });
}

#[test]
fn an_address_added_during_a_handshake_is_refused_soon() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        // No client comes later, at whose arrival the proxy would look again.
        let mut clients: Vec<Client> = (0..20).map(|_| proxy.client()).collect();
        for client in &mut clients {
            client.say(Way::Pipelined, &GREETING);
            assert_eq!(client.hear(2), [5, 0]);
        }
        router.run("ip addr add 5.6.7.8/32 dev wan");
        let own = connect("5.6.7.8:80".parse().unwrap());
        wait_until("the new address to be the router's own", || {
            let mut client = clients.pop().expect("it takes a second and not two");
            client.say(Way::Pipelined, &own);
            thread::sleep(Duration::from_millis(100));
            client.refusal() == 2
        });
    });
}

#[test]
fn where_an_address_has_a_peer_the_neighbours_are_those_of_the_peer() {
    in_namespace(|| {
        let router = Router::of_a_home();
        // Beyond the cable is the peer's subnet; who shares the router's own prefix is a stranger.
        router.run("ip addr add 1.2.3.1 peer 198.41.0.1/24 dev lan");
        run("ip addr add 198.41.0.2/24 dev lan");
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        assert!(!is_served(proxy.client_from("1.2.3.4")));
        assert!(is_served(proxy.client_from("198.41.0.2")));
    });
}

#[test]
fn what_a_route_makes_the_routers_own_is_refused() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.run("ip route add local 198.41.1.0/24 dev lo");
        let proxy = router.proxy(&["-p", "0"]);
        let port = proxy.addr.port();
        let at = |ip: &str, port| SocketAddr::new(ip.parse().unwrap(), port);
        let to = |ip: &str, port| {
            let mut client = Client::connect_from("192.168.77.2", at("192.168.77.1", port));
            client.ask_in_vain(Way::Pipelined, &connect(at(ip, 22)))
        };
        assert_eq!(to("198.41.1.7", port), 2);
        // Of such an address of IPv6 the system answers from ::1, whose clients may do anything.
        router.run("ip -6 route add local 2a00:9::/64 dev lo");
        wait_until("the addresses to be refused", || to("2a00:9::7", port) == 2);
        router.run("ip -6 route del local 2a00:9::/64 dev lo");
        wait_until("the addresses to be strangers'", || {
            to("2a00:9::7", port) == 3
        });
    });
}

#[test]
fn an_uplink_that_gets_its_route_later_is_outside_soon() {
    in_namespace(|| {
        let (router, proxy) = home_with(&[]);
        assert!(is_served(proxy.client_from("203.0.113.9")));
        router.run("ip route add default via 203.0.113.9 table 100");
        wait_until("the stranger to be refused", || {
            !is_served(proxy.client_from("203.0.113.9"))
        });
        router.run("ip route del default table 100");
        wait_until("the neighbour to be served", || {
            is_served(proxy.client_from("203.0.113.9"))
        });
    });
}

#[test]
fn who_was_let_in_as_a_neighbour_gets_nothing_once_he_is_a_stranger() {
    in_namespace(|| {
        let (router, proxy) = home_with(&[]);
        let web = echo_at("192.168.77.50:0".parse().unwrap());
        let mut waiting = proxy.client_from("203.0.113.9");
        waiting.say(Way::Pipelined, &GREETING);
        assert_eq!(waiting.hear(2), [5, 0]);
        let far = udp::echo("1.2.3.4:0".parse().unwrap());
        let association = Association::over(proxy.client_from("203.0.113.9"));
        router.run("ip route add 1.2.3.4 via 203.0.113.9");
        association.echo(far, b"a neighbour's");
        router.run("ip route add default via 203.0.113.9");
        wait_until("the stranger to be refused", || {
            !is_served(proxy.client_from("203.0.113.9"))
        });
        waiting.say(Way::Pipelined, &connect(web));
        assert_eq!(waiting.refusal(), 2);
        proxy.wait_log_all(&["may not connect any more", "--clients"]);
        association.send(far, b"a stranger's");
        assert!(association.is_silent());
    });
}

#[test]
fn a_hundred_thousand_routes_hold_up_nobody() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let folder = Folder::new("routes");
        let mut lines = String::new();
        for (high, low) in (0..100).flat_map(|high| (0..1000).map(move |low| (high, low))) {
            let [middle, last] = [low / 250, low % 250];
            let net = format!("11.{high}.{middle}.{last}");
            writeln!(lines, "route add {net}/32 via 203.0.113.9").unwrap();
        }
        router.run(&format!("ip -batch {}", folder.write("routes", &lines)));
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        let mut tunnel = proxy.client();
        tunnel.open(echo_at("1.2.3.4:0".parse().unwrap()));
        let mut times = Vec::new();
        for number in 0..20 {
            router.run(&format!("ip addr add 5.6.7.{number}/32 dev wan"));
            for _ in 0..20 {
                let start = Instant::now();
                tunnel.echo(b"on time");
                times.push(start.elapsed());
                thread::sleep(Duration::from_millis(5));
            }
        }
        times.sort();
        let (median, worst) = (times[times.len() / 2], times[times.len() - 1]);
        note(&format!(
            "echoes while 100,000 routes are read: {median:?}, at most {worst:?}"
        ));
        let own = connect("5.6.7.19:80".parse().unwrap());
        wait_until("the last address to be the router's own", || {
            proxy.refuses(Way::Pipelined, &own) == 2
        });
        // Reading on as long as there is something would starve it.
        assert!(median < Duration::from_millis(20), "{median:?}");
    });
}

/// Requests of each kind for a name and a port: what each client hears in vain.
fn refusals_by_name(proxy: &Proxy, name: &str, port: u16) -> [u16; 4] {
    let connect = connect_name(name, port);
    let bind = [&[5, 2], &connect[2..]].concat();
    let socks = |request| proxy.refuses(Way::Pipelined, request).into();
    let http = |head: String| proxy.refuses_http(Way::Pipelined, head).status;
    [
        socks(&connect),
        socks(&bind),
        http(format!(
            "CONNECT {name}:{port} HTTP/1.1\r\nHost: {name}\r\n\r\n"
        )),
        http(format!(
            "GET http://{name}:{port}/ HTTP/1.1\r\nHost: {name}:{port}\r\n\r\n"
        )),
    ]
}

#[test]
fn a_foreign_name_server_does_not_lead_into_the_own_subnet() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let lan = echo_at("192.168.77.50:0".parse().unwrap());
        let lan_udp = udp::echo("192.168.77.50:0".parse().unwrap());
        let far = udp::echo("1.2.3.4:0".parse().unwrap());
        let zone = vec![
            ("rebound.test", Answer::Is(vec![lan.ip()])),
            ("far.test", Answer::Is(vec![far.ip()])),
        ];
        let names = NameServer::at("203.0.113.9:0".parse().unwrap(), zone);
        let dns = names.option();
        let options = ["-i", "192.168.77.1", "-p", "0", "-4", "--dns", &dns, "-vv"];
        let proxy = router.proxy(&options);
        let found = refusals_by_name(&proxy, "rebound.test", lan.port());
        assert_eq!(found, [2, 2, 403, 403]);
        proxy.wait_log_all(&["a foreign name server's name", "--permit"]);
        // The address itself is the client's to ask for, before and after.
        let association = Association::new(&proxy);
        association.echo(lan_udp, b"by address");
        association.send_raw(&wrap_name("rebound.test", lan_udp.port(), b"by name"));
        association.send_raw(&wrap_name("far.test", far.port(), b"far"));
        assert_eq!(association.receive(), (far, b"far".to_vec()));
        association.send_raw(&wrap_name("rebound.test", lan_udp.port(), b"again"));
        assert!(association.is_silent());
        association.echo(lan_udp, b"by address again");
        // Where the user says so, names lead there.
        let told = [&options[..], &["--permit", "192.168.77.0/24"]].concat();
        let told = router.proxy(&told);
        let request = connect_name("rebound.test", lan.port());
        told.client().ask(Way::Pipelined, &request);
        let association = Association::new(&told);
        association.send_raw(&wrap_name("rebound.test", lan_udp.port(), b"hello"));
        assert_eq!(association.receive(), (lan_udp, b"hello".to_vec()));
    });
}

#[test]
fn a_name_server_that_has_a_link_local_address_as_this_machine_is_foreign_too() {
    if is_scope_lost() {
        return;
    }
    in_namespace(|| {
        let router = Router::of_a_home();
        router.run("ip addr add fe80::1/64 dev lan nodad");
        router.run("ip addr add fe80::2/64 dev wan nodad");
        run("ip addr add fe80::1/64 dev wan nodad");
        let lan = echo_at("192.168.77.50:0".parse().unwrap());
        let addr = Ipv6Addr::new(0xfe80, 0, 0, 0, 0, 0, 0, 1);
        let [own, routers] = indexes_of("wan");
        let addr = SocketAddrV6::new(addr, 0, 0, own);
        let names = NameServer::at(
            addr.into(),
            vec![("rebound.test", Answer::Is(vec![lan.ip()]))],
        );
        let option = names.option();
        let (_, port) = option.rsplit_once(':').unwrap();
        let dns = format!("[fe80::1%{routers}]:{port}");
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "--dns", &dns]);
        let found = refusals_by_name(&proxy, "rebound.test", lan.port());
        assert_eq!(found, [2, 2, 403, 403]);
    });
}

#[test]
fn queries_go_the_way_that_tunnels_go() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.cable("vpn", "81.9.0.2/24", &["81.9.0.1/24"]);
        router.run("ip route add default via 81.9.0.1 metric 500");
        // Nobody is at the other end of the default route any more.
        run("ip addr del 203.0.113.9/24 dev wan");
        let target = echo_at("1.2.3.4:0".parse().unwrap());
        let zone = vec![("far.test", Answer::OverTcp(vec![target.ip()]))];
        let names = NameServer::at("1.2.3.4:0".parse().unwrap(), zone);
        let dns = names.option();
        router.run("ip rule add from 81.9.0.2 table 7");
        router.run("ip route add default via 81.9.0.1 table 7");
        for way in ["vpn", "81.9.0.2"] {
            let options = [
                "-i",
                "192.168.77.1",
                "-p",
                "0",
                "-4",
                "--dns",
                &dns,
                "-b",
                way,
            ];
            let proxy = router.proxy(&options);
            let request = connect_name("far.test", target.port());
            proxy.client().ask(Way::Pipelined, &request);
        }
    });
}

#[test]
fn a_device_that_is_made_again_carries_the_associations_of_before() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let echo = udp::echo("1.2.3.4:0".parse().unwrap());
        let options = ["-i", "192.168.77.1", "-p", "0", "-b", "wan"];
        let proxy = router.proxy(&options);
        let association = Association::new(&proxy);
        association.echo(echo, b"before");
        router.run("ip link del wan");
        let request = connect("1.2.3.4:80".parse().unwrap());
        assert_eq!(proxy.client().ask_in_vain(Way::Pipelined, &request), 3);
        association.send(echo, b"lost");
        assert!(association.is_silent());
        router.cable("wan", "203.0.113.1/24", &["203.0.113.9/24", "1.2.3.4/32"]);
        router.run("ip route add default via 203.0.113.9");
        wait_until("datagrams to pass again", || {
            association.send(echo, b"after");
            !association.is_silent()
        });
    });
}

#[test]
fn the_hosts_file_leads_into_the_own_subnet() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let folder = Folder::new("hosts");
        let hosts = folder.write("hosts", "192.168.77.50 nas.test\n");
        run(&format!("mount --bind {hosts} /etc/hosts"));
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "--dns", "203.0.113.9"]);
        let lan = echo_at("192.168.77.50:0".parse().unwrap());
        let request = connect_name("nas.test", lan.port());
        proxy.client().ask(Way::Pipelined, &request);
    });
}

/// Gives the router so many addresses on a cable of their own; the last one.
fn add_addresses(router: &Router, count: u8, more: u8) -> String {
    router.cable("many", "10.0.0.1/32", &[]);
    let folder = Folder::new("addresses");
    let mut lines = String::new();
    let mut last = String::new();
    for (high, low) in (0..count).flat_map(|high| (0..more).map(move |low| (high, low))) {
        last = format!("5.6.{high}.{low}");
        writeln!(lines, "addr add {last}/32 dev many").unwrap();
    }
    router.run(&format!("ip -batch {}", folder.write("addresses", &lines)));
    last
}

#[test]
fn each_of_many_addresses_is_the_routers_own() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let last = add_addresses(&router, 3, 200);
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        let own = connect(format!("{last}:80").parse().unwrap());
        assert_eq!(proxy.refuses(Way::Pipelined, &own), 2);
    });
}

#[test]
fn with_more_addresses_than_can_be_known_only_loopback_and_clients_are_served() {
    in_namespace(|| {
        let router = Router::of_a_home();
        add_addresses(&router, 6, 200);
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0"]);
        proxy.wait_log("the interfaces cannot be read");
        assert!(!is_served(proxy.client_from("192.168.77.2")));
        let options = ["-i", "192.168.77.1", "-p", "0", "--clients", "192.168.77.2"];
        let told = router.proxy(&options);
        assert!(is_served(told.client_from("192.168.77.2")));
    });
}

#[test]
fn interfaces_whose_reading_is_always_interrupted_are_warned_of() {
    let Some(proxy) = Proxy::with_failing("recvfrom:error=EINTR", &[]) else {
        return;
    };
    proxy.wait_log_all(&["the interfaces cannot be read", "only loopback"]);
}
