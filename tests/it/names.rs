//! Names: what the resolver makes of right, wrong, late and missing answers, and that slow
//! names delay nobody else. The name server is the test's own, on loopback.

use std::fs;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, UdpSocket};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NXDOMAIN, NameServer};
use crate::support::namespace::{in_namespace, run};
use crate::support::targets::{Target, Unanswering, echo, echo_at, port_free_on};
use crate::support::wire::{Client, GREETING, Way, both_ways, connect_name, loopback, loopback6};
use crate::support::{Folder, Proxy, note, wait_until};

const LOCALHOST: IpAddr = IpAddr::V4(Ipv4Addr::LOCALHOST);
const LOCALHOST6: IpAddr = IpAddr::V6(Ipv6Addr::LOCALHOST);

/// A proxy that asks a server with this zone.
fn with_zone(zone: Vec<(&'static str, Answer)>) -> (Proxy, NameServer) {
    let names = NameServer::start(zone);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    (proxy, names)
}

fn is_localhost() -> Answer {
    Answer::Is(vec![LOCALHOST])
}

/// Opens a tunnel to a name and uses it; how long that takes.
fn time_to_tunnel(mut client: Client, name: &str, port: u16) -> Duration {
    let start = Instant::now();
    client.ask(Way::Pipelined, &connect_name(name, port));
    client.echo(b"hello");
    start.elapsed()
}

#[test]
fn a_name_leads_to_its_ipv4_address() {
    let (proxy, names) = with_zone(vec![("name.test", is_localhost())]);
    let port = echo().port();
    both_ways(|way| {
        proxy.client().ask(way, &connect_name("name.test", port));
        proxy
            .client()
            .ask(way, &connect_name("Some.NAME.test", port));
    });
    assert!(names.count("name.test") > 0);
    let mut client = proxy.client();
    client.ask(Way::Pipelined, &connect_name("name.test", port));
    client.finish();
    let line = proxy.session_line(client.addr);
    assert!(
        line.contains(&format!("-> name.test:{port} (127.0.0.1:{port})")),
        "{line}"
    );
}

#[test]
fn a_name_leads_to_its_ipv6_address() {
    let (proxy, _names) = with_zone(vec![("six.test", Answer::Is(vec![LOCALHOST6]))]);
    let port = echo_at(loopback6(0)).port();
    time_to_tunnel(proxy.client(), "six.test", port);
}

#[test]
fn a_chain_of_aliases_is_followed() {
    let (proxy, _names) = with_zone(vec![("chain.test", Answer::Alias(vec![LOCALHOST]))]);
    time_to_tunnel(proxy.client(), "chain.test", echo().port());
}

#[test]
fn a_slow_answer_is_waited_for() {
    let delay = Duration::from_millis(700);
    let (proxy, _names) = with_zone(vec![("slow.test", Answer::Slow(delay, vec![LOCALHOST]))]);
    let time = time_to_tunnel(proxy.client(), "slow.test", echo().port());
    assert!(time >= delay, "{time:?}");
}

#[test]
fn a_dead_first_server_costs_a_part_of_the_connect_timeout_and_once() {
    let dead = UdpSocket::bind(loopback(1, 0)).unwrap();
    let names = NameServer::start(vec![("name.test", is_localhost())]);
    let servers = format!("{},{}", dead.local_addr().unwrap(), names.option());
    let proxy = Proxy::start(&["--dns", &servers, "--connect-timeout", "3"]);
    let port = echo().port();
    let first = time_to_tunnel(proxy.client(), "name.test", port);
    // A third of the time; both servers have one, and the connection.
    assert!(first >= Duration::from_millis(950), "{first:?}");
    let next = time_to_tunnel(proxy.client(), "www.name.test", port);
    assert!(next < Duration::from_millis(900), "{next:?}");
}

#[test]
fn a_truncated_answer_is_asked_for_over_tcp() {
    let many = (1..=100).map(|host| loopback(host, 0).ip()).collect();
    let (proxy, _names) = with_zone(vec![("large.test", Answer::OverTcp(many))]);
    time_to_tunnel(proxy.client(), "large.test", echo().port());
}

#[test]
fn forged_answers_are_not_believed() {
    let forged = loopback(66, 0).ip();
    let port = port_free_on(&[forged, LOCALHOST]);
    let trap = Target::at((forged, port).into());
    let (proxy, _names) = with_zone(vec![("name.test", Answer::Behind(forged, vec![LOCALHOST]))]);
    let target = Target::at(loopback(1, port));
    for n in 0..20 {
        proxy.client().ask(
            Way::Pipelined,
            &connect_name(format!("n{n}.name.test"), port),
        );
        target.accept();
    }
    assert!(trap.is_untouched());
}

#[test]
fn a_dead_ipv6_address_costs_less_than_half_a_second() {
    let port = port_free_on(&[LOCALHOST6, LOCALHOST]);
    let _dead = Unanswering::at(loopback6(port));
    echo_at(loopback(1, port));
    let both = Answer::Is(vec![LOCALHOST6, LOCALHOST]);
    let (proxy, _names) = with_zone(vec![("dual.test", both)]);
    let times: Vec<Duration> = (0..3)
        .map(|_| time_to_tunnel(proxy.client(), "dual.test", port))
        .collect();
    note(&format!("to a name with a dead IPv6 address: {times:?}"));
    assert!(
        times.iter().all(|time| *time < Duration::from_millis(500)),
        "{times:?}"
    );
}

/// RFC 8305 §3: by then an attempt at the IPv4 address is under way, or has failed.
#[test]
fn an_ipv6_address_that_comes_late_joins_the_race() {
    let delay = Duration::from_millis(300);
    let late = Answer::LateV6(delay, vec![LOCALHOST, LOCALHOST6]);
    let (proxy, _names) = with_zone(vec![("late.test", late)]);
    let port = port_free_on(&[LOCALHOST6, LOCALHOST]);
    echo_at(loopback6(port));
    let refused = time_to_tunnel(proxy.client(), "late.test", port);
    assert!(refused >= delay, "{refused:?}");
    let _dead = Unanswering::at(loopback(1, port));
    time_to_tunnel(proxy.client(), "late.test", port);
}

#[test]
fn an_ipv4_address_that_answers_does_not_wait_for_ipv6() {
    let late = Answer::LateV6(Duration::from_secs(60), vec![LOCALHOST]);
    let (proxy, _names) = with_zone(vec![("late.test", late)]);
    let idle = proxy.idle_descriptors();
    let time = time_to_tunnel(proxy.client(), "late.test", echo().port());
    assert!(time < Duration::from_secs(4), "{time:?}");
    // Nobody waits for the rest: that socket is closed, too.
    proxy.wait_descriptors(idle);
}

#[test]
fn a_black_hole_instead_of_ipv6_costs_less_than_half_a_second() {
    in_namespace(|| {
        run("ip link add near type veth peer name far");
        run("ip addr add fd00:77::1/64 dev near nodad");
        run("ip link set near up");
        run("ip link set far up");
        run("ip -6 route add 100::/64 dev near");
        let discarded: IpAddr = "100::1".parse().unwrap();
        let both = Answer::Is(vec![discarded, LOCALHOST]);
        let (proxy, _names) = with_zone(vec![("dual.test", both)]);
        let time = time_to_tunnel(proxy.client(), "dual.test", echo().port());
        assert!(time < Duration::from_millis(500), "{time:?}");
    });
}

#[test]
fn two_hundred_dead_names_of_one_client_delay_nobody_else() {
    let (proxy, names) = with_zone(vec![
        ("dead.test", Answer::Never),
        ("name.test", is_localhost()),
    ]);
    let port = echo().port();
    let mut standing = proxy.tunnel(loopback(1, port));
    let _asking: Vec<Client> = (0..200)
        .map(|n| {
            let mut client = proxy.client_from("127.0.0.2");
            let request = connect_name(format!("n{n}.dead.test"), port);
            client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
            client
        })
        .collect();
    wait_until("the first questions", || names.total() > 0);
    let mut worst = [Duration::ZERO; 3];
    for n in 0..20 {
        let start = Instant::now();
        standing.echo(b"through a tunnel that stands");
        let in_tunnel = start.elapsed();
        let start = Instant::now();
        proxy.tunnel(loopback(1, port)).echo(b"through a new one");
        let new_tunnel = start.elapsed();
        let named = time_to_tunnel(proxy.client(), &format!("n{n}.name.test"), port);
        for (worst, time) in worst.iter_mut().zip([in_tunnel, new_tunnel, named]) {
            *worst = time.max(*worst);
        }
    }
    note(&format!(
        "beside 200 dead names, at worst: [tunnel, new tunnel, new name] {worst:?}"
    ));
    assert!(
        worst.iter().all(|time| *time < Duration::from_millis(400)),
        "{worst:?}"
    );
}

#[test]
fn dead_names_of_a_client_do_not_delay_its_own_others() {
    let (proxy, names) = with_zone(vec![
        ("dead.test", Answer::Never),
        ("name.test", is_localhost()),
    ]);
    let port = echo().port();
    let ask = |from: &str, n: usize| {
        let mut client = proxy.client_from(from);
        let request = connect_name(format!("n{n}.dead.test"), port);
        client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
        client
    };
    // With 60 there is room for more, with 200 they make room after two seconds. Another client
    // need not wait.
    let mut asking: Vec<Client> = Vec::new();
    for (count, own, other) in [(60, 500, 500), (200, 8_000, 500)] {
        asking.extend((asking.len()..count).map(|n| ask("127.0.0.2", n)));
        wait_until("the questions", || names.total() >= 120);
        for (from, bound_ms) in [("127.0.0.1", other), ("127.0.0.2", own)] {
            let name = format!("n{count}.name.test");
            let time = time_to_tunnel(proxy.client_from(from), &name, port);
            note(&format!("beside {count} dead names: {time:?} from {from}"));
            assert!(time < Duration::from_millis(bound_ms), "{time:?}");
        }
    }
}

#[test]
fn a_server_that_is_silent_is_passed_over_for_the_next() {
    let silent = NameServer::start(vec![("test", Answer::Never)]);
    let names = NameServer::start(vec![("name.test", is_localhost())]);
    let both = [silent.option(), names.option()].join(",");
    let proxy = Proxy::start(&["--dns", &both]);
    let time = time_to_tunnel(proxy.client(), "name.test", echo().port());
    assert!(time < Duration::from_secs(8), "{time:?}");
}

#[test]
fn a_lookup_under_way_is_joined() {
    let slow = Answer::Slow(Duration::from_millis(500), vec![LOCALHOST]);
    let (proxy, names) = with_zone(vec![("slow.test", slow)]);
    let port = echo().port();
    let mut clients: Vec<Client> = (0..10).map(|_| proxy.client()).collect();
    for client in &mut clients {
        let request = connect_name("slow.test", port);
        client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
    }
    for client in &mut clients {
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.reply().code, 0);
    }
    // A and AAAA, and once more where the answer came too late.
    assert!(
        names.count("slow.test") <= 4,
        "{} questions",
        names.count("slow.test")
    );
}

#[test]
fn a_name_under_localhost_never_leaves_the_machine() {
    let (proxy, names) = with_zone(vec![("localhost", Answer::Error(NXDOMAIN))]);
    let port = echo().port();
    time_to_tunnel(proxy.client(), "localhost", port);
    assert_eq!(names.count("localhost"), 0);
}

/// As a router has it: a link to a file that another takes the place of, and that is empty or gone
/// for a while.
#[test]
fn name_servers_are_followed_without_a_signal() {
    in_namespace(|| {
        let folder = Folder::new("names-followed");
        run(&format!("cp -a /etc {}", folder.path("etc")));
        run(&format!("mount --bind {} /etc", folder.path("etc")));
        let resolv = folder.write("resolv.conf", "nameserver 127.0.0.2\n");
        run(&format!("ln -sf {resolv} /etc/resolv.conf"));
        let zone = |name| vec![(name, Answer::Is(vec![LOCALHOST]))];
        let two = NameServer::at(loopback(2, 53), zone("two.test"));
        let _three = NameServer::at(loopback(3, 53), zone("three.test"));
        let proxy = Proxy::start(&[]);
        let port = echo().port();
        let asks = |name| {
            let mut client = proxy.client();
            let request = connect_name(name, port);
            client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
            client.hear(4)[3]
        };
        assert_eq!([asks("two.test"), asks("three.test")], [0, 4]);
        let write = |text: &str| {
            let new = folder.write("resolv.conf.new", text);
            fs::rename(new, &resolv).unwrap();
        };
        // No server, nothing that can be read, nothing at all: those from before are asked.
        for text in ["# none\n", "nameserver nonsense\n", ""] {
            write(text);
            thread::sleep(Duration::from_millis(1_100));
            assert_eq!(asks("two.test"), 0, "{text}");
        }
        fs::remove_file(&resolv).unwrap();
        thread::sleep(Duration::from_millis(1_100));
        assert_eq!(asks("two.test"), 0);
        write("nameserver 127.0.0.3\n");
        wait_until("the new name server", || asks("three.test") == 0);
        let before = two.total();
        assert_eq!(asks("two.test"), 4);
        assert_eq!(two.total(), before, "the old one is asked no more");
        let log = proxy.log_text();
        let told = log.matches("resolv.conf has changed: 1 name servers");
        assert_eq!(told.count(), 1, "{log}");
    });
}

#[test]
fn hosts_and_name_servers_are_read_again_on_hup() {
    in_namespace(|| {
        let folder = Folder::new("names-hup");
        let hosts = folder.write("hosts", "127.0.0.1 localhost old.test\n");
        let resolv = folder.write("resolv.conf", "nameserver 127.0.0.2\n");
        run(&format!("mount --bind {hosts} /etc/hosts"));
        run(&format!("mount --bind {resolv} /etc/resolv.conf"));
        let zone = |name| vec![(name, Answer::Is(vec![LOCALHOST]))];
        let _two = NameServer::at(loopback(2, 53), zone("two.test"));
        let _three = NameServer::at(loopback(3, 53), zone("three.test"));
        let proxy = Proxy::start(&[]);
        let port = echo().port();
        let asks = |name| {
            proxy
                .client()
                .ask_in_vain(Way::Pipelined, &connect_name(name, port))
        };
        time_to_tunnel(proxy.client(), "old.test", port);
        time_to_tunnel(proxy.client(), "two.test", port);
        assert_eq!([asks("new.test"), asks("three.test")], [4, 4]);
        let mut standing = proxy.tunnel(loopback(1, port));
        // Written in place: the mounts name these very files.
        fs::write("/etc/hosts", "127.0.0.1 localhost new.test\n").unwrap();
        fs::write("/etc/resolv.conf", "nameserver 127.0.0.3\n").unwrap();
        proxy.signal(Signal::SIGHUP);
        wait_until("the new hosts file", || {
            let mut client = proxy.client();
            let request = connect_name("new.test", port);
            client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
            client.hear(4)[3] == 0
        });
        time_to_tunnel(proxy.client(), "three.test", port);
        assert_eq!([asks("old.test"), asks("two.test")], [4, 4]);
        standing.echo(b"still here");
    });
}
