//! Listeners come and go with the addresses that they are bound to, each on its own, while the
//! program runs.

use std::net::{SocketAddr, TcpStream};

use crate::support::namespace::{Router, in_namespace, run};
use crate::support::targets::{Target, echo, echo_at};
use crate::support::wire::{Client, Way, connect, is_served};
use crate::support::{Proxy, command, wait_until};

/// A client that comes from `source` to the proxy's port at `ip`.
fn client(proxy: &Proxy, source: &str, ip: &str) -> Client {
    Client::connect_from(
        source,
        SocketAddr::new(ip.parse().unwrap(), proxy.addr.port()),
    )
}

fn guest(router: &Router) {
    router.cable("guest", "10.9.0.1/24", &["10.9.0.2/24"]);
}

#[test]
fn a_network_that_is_down_keeps_nobody_from_the_others() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "guest", "-i", "lan", "-p", "0", "--retry-listen"]);
        let target = echo_at("1.2.3.4:0".parse().unwrap());
        let mut tunnel = client(&proxy, "192.168.77.2", "192.168.77.1");
        tunnel.open(target);
        proxy.wait_log_all(&["WARN", "guest: no such interface, or no address"]);
        guest(&router);
        proxy.wait_log("listening on 10.9.0.1:");
        assert!(is_served(client(&proxy, "10.9.0.2", "10.9.0.1")));
        router.run("ip link del guest");
        proxy.wait_log("no longer listening on 10.9.0.1:");
        assert!(is_served(client(&proxy, "192.168.77.2", "192.168.77.1")));
        tunnel.echo(b"all the time");
        guest(&router);
        wait_until("guests to be served again", || {
            proxy.log_text().matches("listening on 10.9.0.1:").count() == 3
        });
        assert!(is_served(client(&proxy, "10.9.0.2", "10.9.0.1")));
    });
}

#[test]
fn without_retrying_a_network_that_is_down_is_an_error_at_start() {
    in_namespace(|| {
        let output = command(&[], &["-i", "lo", "-i", "guest", "-p", "0"])
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(1));
        let line = String::from_utf8(output.stderr).unwrap();
        assert!(
            line.contains("guest: no such interface, or no address"),
            "{line}"
        );
    });
}

#[test]
fn more_addresses_than_places_are_no_failure_and_check_says_so() {
    in_namespace(|| {
        for last in 1..=17 {
            run(&format!("ip addr add 10.9.0.{last}/32 dev lo"));
        }
        let output = command(&[], &["-i", "lo", "--check"]).output().unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(
            text.contains("one address more than 16; it will be"),
            "{text}"
        );
        assert!(!text.contains("would fail"), "{text}");
        Proxy::launch(command(&[], &["-i", "lo", "-p", "0"])).tunnel(echo());
    });
}

#[test]
fn a_changed_address_is_followed_and_sessions_live() {
    in_namespace(|| {
        let router = Router::of_a_home();
        guest(&router);
        let proxy = router.proxy(&["-i", "lan", "-i", "guest", "-p", "0"]);
        proxy.wait_log("listening on 10.9.0.1:");
        let mut tunnel = client(&proxy, "10.9.0.2", "10.9.0.1");
        tunnel.open(echo_at("1.2.3.4:0".parse().unwrap()));
        router.run("ip addr del 192.168.77.1/24 dev lan");
        router.run("ip addr add 192.168.77.7/24 dev lan");
        proxy.wait_log("no longer listening on 192.168.77.1:");
        proxy.wait_log("listening on 192.168.77.7:");
        wait_until("the new address to be served", || {
            is_served(client(&proxy, "192.168.77.2", "192.168.77.7"))
        });
        tunnel.echo(b"all the time");
        // The new one is the proxy's own like the old one.
        let own = SocketAddr::new("192.168.77.7".parse().unwrap(), proxy.addr.port());
        let mut loops = client(&proxy, "10.9.0.2", "10.9.0.1");
        assert_eq!(loops.ask_in_vain(Way::Pipelined, &connect(own)), 2);
    });
}

#[test]
fn an_address_that_another_machine_has_keeps_nobody_from_the_others() {
    in_namespace(|| {
        let router = Router::of_a_home();
        run("ip addr add 2a00:77::5/64 dev lan nodad");
        router.run("ip addr add 2a00:77::5/64 dev lan");
        let proxy = router.proxy(&["-i", "lan", "-p", "0"]);
        assert!(is_served(client(&proxy, "192.168.77.2", "192.168.77.1")));
        proxy.wait_log_all(&["WARN", "cannot listen on [2a00:77::5]", "trying on"]);
    });
}

/// Until there is a cable, the kernel does not find out whether another machine has the address.
#[test]
fn a_port_without_a_cable_keeps_nobody_from_the_others() {
    in_namespace(|| {
        let router = Router::of_a_home();
        router.run("ip link add port type veth peer name cable");
        router.run("ip addr add 10.8.0.1/24 dev port");
        router.run("ip addr add 2a00:88::1/64 dev port");
        router.run("ip link set port up");
        let proxy = router.proxy(&["-i", "port", "-i", "lan", "-p", "0"]);
        proxy.wait_log_all(&["WARN", "cannot listen on [2a00:88::1]", "trying on"]);
        assert!(is_served(client(&proxy, "192.168.77.2", "192.168.77.1")));
        router.run("ip link set cable up");
        proxy.wait_log("listening on [2a00:88::1]:");
    });
}

#[test]
fn a_port_that_is_taken_keeps_nobody_from_the_others() {
    let taken = Target::new();
    let addr = taken.addr.to_string();
    let options = ["-i", "127.0.0.1:0", "-i", &addr, "--retry-listen"];
    let proxy = Proxy::launch(command(&[], &options));
    proxy.tunnel(echo());
    proxy.wait_log_all(&["WARN", &addr, "trying on"]);
    let port = taken.addr;
    drop(taken);
    proxy.wait_log(&format!("listening on {addr}"));
    Client::connect(port).open(echo());
    assert_eq!(proxy.log_text().matches("trying on").count(), 1, "one line");
}

#[test]
fn a_lone_wildcard_of_ipv6_is_for_both_families() {
    let served = |listen| {
        let proxy = Proxy::launch(command(&[], &["-i", listen, "-p", "0"]));
        let port = proxy.addr.port();
        proxy.wait_log("listening on [::]:");
        assert!(TcpStream::connect(("::1", port)).is_ok(), "{listen}");
        (proxy, TcpStream::connect(("127.0.0.1", port)).is_ok())
    };
    let (proxy, is_both) = served("::");
    assert!(is_both);
    proxy.wait_log("stands for IPv4 too");
    // At a port that is of IPv6 alone another test may listen with IPv4: not at three of them.
    assert!((0..3).any(|_| !served("[::]:0").1));
}
