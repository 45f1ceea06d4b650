//! Over the router's second network card, with frames of one segment as from a wire: tunnels
//! between both cards, clients that never read, and datagrams in runs. What those clients hold
//! comes in frames each of which takes more of the kernel's memory than it has bytes: without a
//! bound the kernel ends the proxy, after 9 to 15 seconds.

use std::io::Write;
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::thread;

use super::{router, seen_by_router, variable, wait_until};
use crate::support::targets::{self, echo_at, serve};
use crate::support::udp::{self, Association};
use crate::support::wire::{Client, loopback};
use crate::support::{not_run, note};
use crate::udp_runs::{check, lens};

/// The reports of memory, one a second, that are waited for while they hold it.
const REPORTS: usize = 20;

/// Tunnels from one card to the other at once, and what each of them echoes: some ten thousand
/// frames. Two cards that share an interrupt of malta's are mostly deaf within the first thousand.
const CROSSING: usize = 8;
const ECHOES: usize = 500;
const ECHO: [u8; 600] = [0x5a; 600];

/// The least that has to be available, in KiB.
const AVAILABLE_MIN_KIB: i64 = 4 << 10;

/// The proxy's address at that card. `None` where there is none; says so.
fn card() -> Option<SocketAddr> {
    let card = variable("ANKLET_ROUTER_TAP").parse().ok();
    if card.is_none() {
        not_run("what comes as from a wire: the router has no second card");
    }
    card
}

/// A tunnel through that card.
fn tunnel(card: SocketAddr, target: SocketAddr) -> Client {
    let mut client = Client::connect(card);
    client.open(target);
    client
}

/// Sends without end to one who does not read, as long as that lasts.
fn send_without_end(mut stream: TcpStream) {
    // What a test sets on its streams would end it.
    let block = [0x5a; 1 << 16];
    while stream.write_all(&block).is_ok() {}
}

/// The figures of the row `memory at most`, added up.
fn bound_kib(console: &str) -> i64 {
    let row = console
        .lines()
        .find_map(|line| line.split_once("memory at most: "));
    let words = row.expect("the router has printed it").1.split_whitespace();
    words.filter_map(|word| word.parse::<i64>().ok()).sum()
}

/// Has clients of one address open idle tunnels, and others which never read, beside associations.
/// The router lives, and so do all but those that do not read; new tunnels stand at once.
fn stall(idle: usize, never: usize, associations: usize) {
    let Some(card) = card() else {
        return;
    };
    let router = router();
    router.wait_for_service();
    let bound = bound_kib(&router.console());
    let ends = || router.console().matches("service: ended").count();
    let ends_before = ends();
    let before = router.memory().available;
    // Where connections to the card come from.
    let own: IpAddr = Client::connect(card).addr.ip();
    let (echo, source) = (
        echo_at((own, 0).into()),
        serve((own, 0).into(), send_without_end),
    );
    let datagrams = seen_by_router(udp::echo(loopback(1, 0)));
    let mut idle: Vec<Client> = (0..idle).map(|_| tunnel(card, echo)).collect();
    idle.iter_mut().for_each(|client| client.echo(b"before"));
    let associations: Vec<_> = (0..associations)
        .map(|_| Association::over(Client::connect(router.proxy)))
        .collect();
    let since = router.reports().len();
    let stalled: Vec<Client> = (0..never).map(|_| tunnel(card, source)).collect();
    wait_until("reports of memory", || {
        tunnel(card, echo).echo(b"new");
        router.reports().len() >= since + REPORTS
    });
    idle.iter_mut().for_each(|client| client.echo(b"after"));
    for association in &associations {
        association.echo(datagrams, b"hello");
    }
    drop(stalled);
    let reports = router.reports();
    let least = reports[since..].iter().map(|report| report.available).min();
    let least = least.expect("there are twenty");
    let text = router.console();
    let resets = text.matches(", memory is short").count();
    note(&format!(
        "router: {} idle, {never} never reading: {before} KiB available before, {least} at least; \
         {resets} reset so far; bound {bound} KiB",
        idle.len()
    ));
    assert_eq!(ends(), ends_before, "the service has ended");
    assert!(least > AVAILABLE_MIN_KIB, "{least} KiB are available");
    assert!(before - least <= bound, "{bound} KiB are the bound");
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn runs_of_datagrams_arrive_apart_and_whole() {
    let Some(card) = card() else {
        return;
    };
    router().wait_for_service();
    let client = Client::connect(card);
    // To the router it is in a subnet of its own, so that it may reach itself.
    let own = client.addr.ip();
    let mut association = Association::over(client);
    // What the router announces is where the first card's ports are forwarded from.
    association.relay.set_ip(card.ip());
    for longest in [1200, 500] {
        // Empty ones have no part in a run, and Linux lets them overtake one that it still joins.
        let lens: Vec<usize> = lens(longest).into_iter().filter(|len| *len > 0).collect();
        let target = udp::socket_at((own, 0).into());
        check(&association, &target, &lens, true);
    }
}

/// A router's daily work: both cards have traffic at once.
#[test]
#[ignore = "needs a router: make vm-test"]
fn tunnels_lead_from_one_card_to_the_other() {
    let Some(card) = card() else {
        return;
    };
    router().wait_for_service();
    let target = seen_by_router(targets::echo());
    thread::scope(|scope| {
        for _ in 0..CROSSING {
            scope.spawn(|| {
                let mut client = tunnel(card, target);
                (0..ECHOES).for_each(|_| client.echo(&ECHO));
            });
        }
    });
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn clients_that_never_read_leave_a_router_alive() {
    stall(5, 250, 0);
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn clients_that_never_read_leave_idle_tunnels_and_associations_alive() {
    stall(500, 200, 30);
}

#[test]
#[ignore = "needs a router: make vm-test"]
fn clients_that_never_read_leave_a_thousand_idle_tunnels_alive() {
    stall(1000, 250, 50);
}
