//! Local ports of connections to targets: where they have run out, what is said then, and what the
//! package does about those that wait after their end (TIME_WAIT).

use std::cell::Cell;
use std::fs;
use std::net::SocketAddr;

use socket2::{Domain, Socket, Type};

use crate::support::namespace::{in_namespace, run};
use crate::support::targets::echo;
use crate::support::wire::{Client, GREETING, Way, connect};
use crate::support::{Proxy, is_emulated, not_run, wait_until};

/// The local ports that there are from now on.
const PORTS: usize = 4;

fn few_ports() {
    fs::write("/proc/sys/net/ipv4/ip_local_port_range", "20000 20003").unwrap();
    // Or else those on loopback are used again (2).
    fs::write("/proc/sys/net/ipv4/tcp_tw_reuse", "0").unwrap();
}

/// Clients that take none of these ports. Inside of its namespace a test has all ports to itself.
struct Clients {
    proxy: Proxy,
    next: Cell<u16>,
}

impl Clients {
    fn of(proxy: Proxy) -> Self {
        let next = Cell::new(10_000);
        Self { proxy, next }
    }

    fn client(&self) -> Client {
        self.next.set(self.next.get() + 1);
        let source = SocketAddr::from(([127, 0, 0, 1], self.next.get()));
        let socket = Socket::new(Domain::IPV4, Type::STREAM, None).unwrap();
        socket.bind(&source.into()).unwrap();
        socket.connect(&self.proxy.addr.into()).unwrap();
        Client::over(socket.into())
    }

    /// Tunnels to `target` that take all ports.
    fn tunnels(&self, target: SocketAddr) -> Vec<Client> {
        let tunnel = |_| {
            let mut client = self.client();
            client.open(target);
            client.echo(b"hello");
            client
        };
        (0..PORTS).map(tunnel).collect()
    }

    /// The reply to one more request for `target`.
    fn one_more(&self, target: SocketAddr) -> u8 {
        let mut client = self.client();
        client.say(Way::Pipelined, &[&GREETING[..], &connect(target)].concat());
        client.hear(4)[3]
    }
}

#[test]
fn where_all_ports_towards_a_target_are_taken_the_log_says_so() {
    in_namespace(|| {
        let clients = Clients::of(Proxy::start(&[]));
        let [target, other] = [echo(), echo()];
        few_ports();
        let _tunnels = clients.tunnels(target);
        assert_eq!(clients.one_more(target), 1);
        let port = target.port();
        let line = clients.proxy.wait_log("no source address or port");
        assert!(line.contains(&format!(" -> 127.0.0.1:{port}, ")), "{line}");
        assert_eq!(clients.one_more(other), 0);
    });
}

#[test]
fn an_outgoing_address_takes_no_port_from_other_targets() {
    if is_emulated() {
        return not_run("QEMU does not pass IP_BIND_ADDRESS_NO_PORT on");
    }
    in_namespace(|| {
        let clients = Clients::of(Proxy::start(&["-b", "127.0.0.1"]));
        let [target, other] = [echo(), echo()];
        few_ports();
        let _first = clients.tunnels(target);
        let _second = clients.tunnels(other);
    });
}

#[test]
fn with_the_package_s_sysctl_ports_that_wait_are_used_again() {
    in_namespace(|| {
        let clients = Clients::of(Proxy::start(&[]));
        let target = echo();
        few_ports();
        for tunnel in clients.tunnels(target) {
            tunnel.finish();
            assert_eq!(tunnel.rest(), b"");
        }
        assert_eq!(clients.one_more(target), 1);
        let file = "cross/openwrt/anklet/files/anklet.sysctl";
        run(&format!("sysctl -qp {}/{file}", env!("CARGO_MANIFEST_DIR")));
        // The kernel takes one a second after its end.
        wait_until("a port", || clients.one_more(target) == 0);
    });
}
