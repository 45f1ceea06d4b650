//! Datagrams that several go through one system call: as runs on their way out (UDP_SEGMENT), and
//! joined on their way in (UDP_GRO). Whatever the kernel does, each one arrives: whole, alone, in
//! its order.

use std::env;
use std::io::{IoSlice, IoSliceMut};
use std::net::{SocketAddr, UdpSocket};
use std::os::fd::AsRawFd;

use nix::cmsg_space;
use nix::sys::socket::{
    ControlMessage, ControlMessageOwned, MsgFlags, SockaddrStorage, recvmsg, sendmsg, setsockopt,
    sockopt,
};

use crate::support::namespace::{Router, in_namespace, run};
use crate::support::udp::{Association, receive, remote, socket_at, unwrap, wrap};
use crate::support::wire::{Client, loopback6, pattern};
use crate::support::{Proxy, command, is_emulated, is_installed, not_run, wait_until};

/// Datagrams that are on their way at once, and their bytes: what the queues of sockets have room
/// for.
const WINDOW: usize = 32;
const WINDOW_BYTES: usize = 64 << 10;

/// Lengths of datagrams in a row: runs that end with a shorter one, with a longer one and with an
/// empty one, some of which no run can have.
pub(crate) fn lens(longest: usize) -> Vec<usize> {
    let mut lens = vec![longest; 40];
    lens.extend([longest - 1, 0, 0, 1, 1, 1, 7, 600, 600, 599, 600, 0, 9]);
    lens.extend([longest / 2; 21]);
    lens.extend((1..30).map(|number| 1 + number * 37 % longest));
    lens.extend([longest; 9]);
    lens
}

/// The payload of datagram `number`.
fn payload(number: usize, len: usize) -> Vec<u8> {
    let mut bytes = pattern(len + number);
    bytes.drain(..number);
    bytes
}

/// Sends datagrams, those of one length in one call if that is asked for.
fn send(socket: &UdpSocket, to: SocketAddr, datagrams: &[Vec<u8>], as_runs: bool) {
    let mut rest = datagrams;
    while let Some(first) = rest.first() {
        let same = |one: &&Vec<u8>| as_runs && !first.is_empty() && one.len() == first.len();
        let count = rest.iter().take_while(same).count().max(1);
        if count == 1 {
            socket.send_to(first, to).unwrap();
        } else {
            let bytes = rest[..count].concat();
            let len = u16::try_from(first.len()).unwrap();
            let controls = [ControlMessage::UdpGsoSegments(&len)];
            let (slices, to) = ([IoSlice::new(&bytes)], SockaddrStorage::from(to));
            let sent = sendmsg(
                socket.as_raw_fd(),
                &slices,
                &controls,
                MsgFlags::empty(),
                Some(&to),
            );
            if sent.is_err() {
                // Too long for the path, or no such call: apart then.
                send(socket, to_std(&to), &rest[..count], false);
            }
        }
        rest = &rest[count..];
    }
}

fn to_std(addr: &SockaddrStorage) -> SocketAddr {
    match (addr.as_sockaddr_in(), addr.as_sockaddr_in6()) {
        (Some(v4), _) => (v4.ip(), v4.port()).into(),
        (_, Some(v6)) => (v6.ip(), v6.port()).into(),
        _ => unreachable!("an address of IP"),
    }
}

/// Sends datagrams of these lengths from the client to `target`, and back from there. All of them
/// arrive, in their order.
pub(crate) fn check(association: &Association, target: &UdpSocket, lens: &[usize], as_runs: bool) {
    let addr = target.local_addr().unwrap();
    association.send(addr, b"hello");
    let (_, outer) = receive(target);
    let mut start = 0;
    while start < lens.len() {
        let window = WINDOW.min(WINDOW_BYTES / lens[0]);
        let numbers = start..lens.len().min(start + window);
        start = numbers.end;
        let payloads = || numbers.clone().map(|number| payload(number, lens[number]));
        let up: Vec<_> = payloads().map(|payload| wrap(addr, &payload)).collect();
        send(&association.socket, association.relay, &up, as_runs);
        for (number, payload) in numbers.clone().zip(payloads()) {
            let (came, from) = receive(target);
            assert_eq!((came.len(), from), (payload.len(), outer), "up, {number}");
            assert!(came == payload, "up, {number}: other bytes");
        }
        let down: Vec<_> = payloads().collect();
        send(target, outer, &down, as_runs);
        for (number, payload) in numbers.clone().zip(payloads()) {
            let (came, from) = receive(&association.socket);
            assert_eq!(from, association.relay);
            let (source, came) = unwrap(&came);
            assert_eq!(
                (came.len(), source),
                (payload.len(), addr),
                "down, {number}"
            );
            assert!(came == payload, "down, {number}: other bytes");
        }
    }
    assert!(association.is_silent());
}

/// Whether the log says that the kernel does it.
fn says(proxy: &Proxy, what: &str) -> bool {
    let line = || {
        let text = proxy.log_text();
        let line = text.lines().find(|line| line.contains("UDP_SEGMENT"));
        line.map(str::to_owned)
    };
    wait_until("a line at the start", || line().is_some());
    line().unwrap().contains(&format!("{what} on"))
}

#[test]
fn datagrams_in_one_call_arrive_apart_and_in_order() {
    let proxy = Proxy::start(&["-v"]);
    for as_runs in [false, true] {
        for longest in [1200, 1472, 9000] {
            let association = Association::new(&proxy);
            check(&association, &remote(1), &lens(longest), as_runs);
        }
    }
    let proxy = Proxy::launch(command(&[], &["-i", "::1", "-p", "0"]));
    let association = Association::over(Client::connect(proxy.addr));
    check(&association, &socket_at(loopback6(0)), &lens(1200), true);
}

#[test]
fn what_the_log_says_is_what_the_kernel_does() {
    let proxy = Proxy::start(&["-v"]);
    let runner = env::var("ANKLET_RUNNER").unwrap_or_default();
    if runner
        .split_whitespace()
        .any(|word| word.contains("qemu-mips") && !word.contains("mipsel"))
    {
        // The emulator hands lengths on with their bytes exchanged: the trial finds it.
        assert!(!says(&proxy, "UDP_SEGMENT") && !says(&proxy, "UDP_GRO"));
    }
    if is_emulated() || !says(&proxy, "UDP_SEGMENT") {
        return not_run("whether runs are sent: the kernel or the emulator does not say");
    }
    let association = Association::new(&proxy);
    let target = remote(1);
    let addr = target.local_addr().unwrap();
    association.send(addr, b"hello");
    receive(&target);
    setsockopt(&target, sockopt::UdpGroSegment, &true).unwrap();
    // A run from the client is read in a batch, and leaves as a run: the last hop joins it again.
    let mut joined = 0;
    for _ in 0..20 {
        let datagrams = vec![wrap(addr, &[7; 500]); 16];
        send(&association.socket, association.relay, &datagrams, true);
        let mut count = 0;
        while count < 16 {
            let segments = receive_joined(&target, 500);
            count += segments;
            joined += usize::from(segments > 1);
        }
        assert_eq!(count, 16);
    }
    assert!(joined > 0, "no run has left");
}

/// Receives datagrams of `len` bytes each, joined. Returns how many.
fn receive_joined(socket: &UdpSocket, len: usize) -> usize {
    let (mut bytes, mut controls) = (vec![0; 1 << 16], cmsg_space!(i32));
    let mut slices = [IoSliceMut::new(&mut bytes)];
    let fd = socket.as_raw_fd();
    let flags = MsgFlags::empty();
    let message = recvmsg::<SockaddrStorage>(fd, &mut slices, Some(&mut controls), flags).unwrap();
    let segment = message.cmsgs().unwrap().next();
    match segment {
        Some(ControlMessageOwned::UdpGroSegments(segment)) => {
            assert_eq!(usize::try_from(segment).unwrap(), len);
        }
        _ => assert_eq!(message.bytes, len),
    }
    assert_eq!(message.bytes % len, 0);
    message.bytes / len
}

/// Sends datagrams through a router whose LAN and WAN have packets of these sizes, and devices
/// that join or do not, where it is given.
fn through(router: &Router, [lan_mtu, wan_mtu]: [usize; 2], gro: Option<&str>) {
    for (device, mtu) in [("lan", lan_mtu), ("wan", wan_mtu)] {
        let mut lines = vec![format!("ip link set {device} mtu {mtu}")];
        lines.extend(gro.map(|gro| format!("ethtool -K {device} gro {gro}")));
        for line in lines {
            run(&line);
            router.run(&line);
        }
    }
    let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "-v"]);
    for as_runs in [false, true] {
        let association = Association::over(Client::connect(proxy.addr));
        let target = socket_at(([1, 2, 3, 4], 0).into());
        // More than the smaller packets hold, and then less.
        for longest in [1472, 1380, 1200] {
            check(&association, &target, &lens(longest), as_runs);
        }
    }
    for cause in ["full", "unsendable", "too_long"] {
        assert_eq!(proxy.dropped(cause), 0, "{cause}");
    }
}

#[test]
fn paths_of_any_size_get_datagrams_of_any_size() {
    in_namespace(|| {
        let router = Router::of_a_home();
        for mtus in [[1500, 1500], [1500, 1420], [1280, 1500]] {
            through(&router, mtus, None);
        }
    });
}

#[test]
fn devices_that_join_and_devices_that_do_not_get_the_same() {
    if !is_installed("ethtool") {
        return not_run("devices with and without GRO: ethtool is not installed");
    }
    in_namespace(|| {
        let router = Router::of_a_home();
        for gro in ["on", "off"] {
            through(&router, [1500, 1420], Some(gro));
        }
    });
}
