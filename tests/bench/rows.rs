//! The rows of the table: what is done to one proxy, and what is read of it.

use std::net::{IpAddr, Ipv4Addr};
use std::time::{Duration, Instant};

use crate::bulk::{Bulk, Ping, Way};
use crate::burst::Burst;
use crate::datagrams::{Datagrams, Flood};
use crate::memory;
use crate::names;
use crate::peers::{Ask, Peer, Proxy};
use crate::pings::{Pings, ping_alone};
use crate::site::Site;
use crate::stats::percentile;

/// The part of a row's time before anything is measured.
const WARM_UP: u32 = 5;

/// Downloads beside a ping.
const DOWNLOADS: usize = 8;

/// Pings under way at once where tunnels are many.
const WINDOW: usize = 100;

/// What a row does.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Work {
    /// Saturated tunnels.
    Bulk(Way, usize),
    /// A ping beside downloads, from the same client address or from others.
    Beside { same: bool },
    /// Short connections, so many at a time, with a password or without.
    Connect { at_once: usize, login: bool },
    /// Pings of 64 bytes on so many tunnels.
    Ping(usize),
    /// Datagrams of so many bytes on so many associations.
    Udp(Flood, usize, usize),
    /// Datagrams to and fro.
    UdpPing(usize),
    /// Clients that never read.
    NeverRead(usize),
    /// Tunnels through which nothing goes.
    Idle(usize),
    /// Names whose server never answers, beside others.
    DeadNames,
    /// So many tunnels, of which a few move at a time.
    Among(usize),
    /// So many processes at one port.
    Processes(usize),
}

/// What is read of a proxy.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Figure {
    /// What, and in which unit.
    pub(crate) name: &'static str,
    pub(crate) value: f64,
}

/// A row of the table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) work: Work,
    /// It is in the short form.
    pub(crate) is_short: bool,
}

/// All rows.
pub(crate) const ROWS: &[Row] = &[
    row("bulk-down-1", Work::Bulk(Way::Down, 1), true),
    row("bulk-down-8", Work::Bulk(Way::Down, 8), true),
    row("bulk-down-64", Work::Bulk(Way::Down, 64), true),
    row("bulk-up-1", Work::Bulk(Way::Up, 1), false),
    row("bulk-up-8", Work::Bulk(Way::Up, 8), false),
    row("bulk-up-64", Work::Bulk(Way::Up, 64), false),
    row("bulk-both-1", Work::Bulk(Way::Both, 1), false),
    row("bulk-both-8", Work::Bulk(Way::Both, 8), false),
    row("bulk-both-64", Work::Bulk(Way::Both, 64), false),
    row("beside-same", Work::Beside { same: true }, true),
    row("beside-others", Work::Beside { same: false }, false),
    row("connect-64", connect(64, false), true),
    row("connect-64-login", connect(64, true), false),
    row("connect-1", connect(1, false), true),
    row("ping-1", Work::Ping(1), true),
    row("ping-100", Work::Ping(100), true),
    row("udp-up-1-64", Work::Udp(Flood::Up, 1, 64), false),
    row("udp-up-1-512", Work::Udp(Flood::Up, 1, 512), false),
    row("udp-up-1-1400", Work::Udp(Flood::Up, 1, 1400), true),
    row("udp-up-32-64", Work::Udp(Flood::Up, 32, 64), false),
    row("udp-up-32-512", Work::Udp(Flood::Up, 32, 512), false),
    row("udp-up-32-1400", Work::Udp(Flood::Up, 32, 1400), false),
    row("udp-down-1-64", Work::Udp(Flood::Down, 1, 64), false),
    row("udp-down-1-512", Work::Udp(Flood::Down, 1, 512), false),
    row("udp-down-1-1400", Work::Udp(Flood::Down, 1, 1400), true),
    row("udp-down-32-64", Work::Udp(Flood::Down, 32, 64), false),
    row("udp-down-32-512", Work::Udp(Flood::Down, 32, 512), false),
    row("udp-down-32-1400", Work::Udp(Flood::Down, 32, 1400), true),
    row("udp-quic-1-64", Work::Udp(Flood::Segments, 1, 64), false),
    row("udp-quic-1-512", Work::Udp(Flood::Segments, 1, 512), false),
    row("udp-quic-1-1400", Work::Udp(Flood::Segments, 1, 1400), true),
    row(
        "udp-quic-32-1400",
        Work::Udp(Flood::Segments, 32, 1400),
        false,
    ),
    row("udp-ping-64", Work::UdpPing(64), true),
    row("udp-ping-1400", Work::UdpPing(1400), false),
    row("never-read-200", Work::NeverRead(200), true),
    row("idle-1000", Work::Idle(1_000), true),
    row("idle-9000", Work::Idle(9_000), false),
    row("dead-names", Work::DeadNames, false),
    row("among-10", Work::Among(10), false),
    row("among-100", Work::Among(100), false),
    row("among-1000", Work::Among(1_000), false),
    row("among-9000", Work::Among(9_000), false),
    row("processes-1", Work::Processes(1), false),
    row("processes-2", Work::Processes(2), false),
];

const fn row(name: &'static str, work: Work, is_short: bool) -> Row {
    Row {
        name,
        work,
        is_short,
    }
}

const fn connect(at_once: usize, login: bool) -> Work {
    Work::Connect { at_once, login }
}

impl Row {
    /// Whether it says anything of that peer.
    pub(crate) fn is_for(&self, peer: Peer) -> bool {
        match self.work {
            Work::Connect { login: true, .. } => peer.has_login(),
            Work::Udp(..) | Work::UdpPing(_) => peer.has_udp(),
            Work::Idle(_) | Work::NeverRead(_) => peer != Peer::Direct,
            Work::DeadNames => peer.is_socks(),
            Work::Processes(_) => matches!(peer, Peer::Anklet | Peer::Before),
            // Its own time shows in the row with the same work.
            Work::Among(_) => peer != Peer::Direct,
            _ => true,
        }
    }

    /// Does it once.
    pub(crate) fn measure(&self, peer: Peer, time: Duration) -> Result<Vec<Figure>, String> {
        if self.work == Work::DeadNames {
            return names::measure(peer);
        }
        let site = Site::new();
        let login = matches!(self.work, Work::Connect { login: true, .. });
        let ask = Ask {
            target: Some(site.addr),
            login,
            shares_port: matches!(self.work, Work::Processes(_)),
            ..Ask::default()
        };
        let proxy = Proxy::start(peer, ask)?;
        site.drain();
        match self.work {
            Work::Bulk(way, count) => bulk(&site, &proxy, way, count, time),
            Work::Beside { same } => beside(&site, &proxy, same, time),
            Work::Connect { at_once, .. } => connects(&site, &proxy, at_once, time),
            Work::Ping(count) => pings(&site, &proxy, count, time),
            Work::Udp(flood, count, len) => datagrams(&site, &proxy, (flood, count, len), time),
            Work::UdpPing(len) => udp_ping(&site, &proxy, len, time),
            Work::NeverRead(count) => memory::never_read(&site, &proxy, count, time),
            Work::Idle(count) => memory::idle(&site, &proxy, count),
            Work::Among(count) => among(&site, &proxy, count, time),
            Work::Processes(count) => processes(&site, &proxy, count, time),
            Work::DeadNames => unreachable!("it has been done"),
        }
    }
}

fn figure(name: &'static str, value: f64) -> Figure {
    Figure { name, value }
}

/// Processor time and time of some work.
fn timed(
    proxies: &[&Proxy],
    work: impl FnOnce() -> Result<(), String>,
) -> Result<(f64, f64), String> {
    let cpu = || {
        proxies
            .iter()
            .map(|proxy| proxy.cpu().as_secs_f64())
            .sum::<f64>()
    };
    let (before, start) = (cpu(), Instant::now());
    work()?;
    Ok((cpu() - before, start.elapsed().as_secs_f64()))
}

fn bulk(
    site: &Site,
    proxy: &Proxy,
    way: Way,
    count: usize,
    time: Duration,
) -> Result<Vec<Figure>, String> {
    let mut bulk = Bulk::new(&site.pattern, site.open_all(proxy, count)?, way);
    bulk.run(time / WARM_UP, None)?;
    let before = bulk.bytes;
    let (cpu, seconds) = timed(&[proxy], || bulk.run(time, None))?;
    let bytes = (bulk.bytes - before) as f64;
    Ok(vec![
        figure("CPU s/GiB", cpu / (bytes / f64::from(1 << 30))),
        figure("GB/s", bytes / seconds / 1e9),
    ])
}

fn beside(site: &Site, proxy: &Proxy, same: bool, time: Duration) -> Result<Vec<Figure>, String> {
    let mut pairs = Vec::new();
    for number in 0..DOWNLOADS {
        let last = if same {
            1
        } else {
            2 + u8::try_from(number).unwrap()
        };
        let from = IpAddr::from(Ipv4Addr::new(127, 0, 0, last));
        let pair = site.open(proxy, Some(from));
        pairs.push(pair.map_err(|error| format!("a download: {error}"))?);
    }
    let pair = site
        .open(proxy, None)
        .map_err(|error| format!("the ping: {error}"))?;
    let mut bulk = Bulk::new(&site.pattern, pairs, Way::Down);
    let mut ping = Ping::new(pair)?;
    bulk.run(time / WARM_UP, Some(&mut ping))?;
    let before = bulk.bytes;
    ping.trips.clear();
    bulk.run(time, Some(&mut ping))?;
    if ping.trips.is_empty() {
        return Err("no ping came back".into());
    }
    Ok(vec![
        figure("p50 µs", percentile(&mut ping.trips, 50.0)),
        figure("p99 µs", percentile(&mut ping.trips, 99.0)),
        figure(
            "GB/s",
            (bulk.bytes - before) as f64 / time.as_secs_f64() / 1e9,
        ),
    ])
}

fn connects(
    site: &Site,
    proxy: &Proxy,
    at_once: usize,
    time: Duration,
) -> Result<Vec<Figure>, String> {
    let mut burst = Burst::new(site, proxy, at_once);
    burst.run(time / WARM_UP)?;
    burst.micros.clear();
    let (cpu, seconds) = timed(&[proxy], || burst.run(time))?;
    let count = burst.micros.len() as f64;
    Ok(vec![
        figure("CPU µs each", cpu * 1e6 / count),
        figure("p50 µs", percentile(&mut burst.micros, 50.0)),
        figure("1/s", count / seconds),
    ])
}

fn pings(site: &Site, proxy: &Proxy, count: usize, time: Duration) -> Result<Vec<Figure>, String> {
    let mut pairs = site.open_all(proxy, count)?;
    let mut micros = Vec::new();
    let cpu = if let (1, Some(pair)) = (count, pairs.pop()) {
        ping_alone(&pair, time / WARM_UP)?;
        let alone = || {
            micros = ping_alone(&pair, time)?;
            Ok(())
        };
        timed(&[proxy], alone)?.0
    } else {
        let mut pings = Pings::new(pairs, count);
        pings.run(time / WARM_UP)?;
        pings.micros.clear();
        let cpu = timed(&[proxy], || pings.run(time))?.0;
        micros = pings.micros;
        cpu
    };
    Ok(vec![
        figure("CPU µs a trip", cpu * 1e6 / micros.len() as f64),
        figure("p50 µs", percentile(&mut micros, 50.0)),
    ])
}

fn datagrams(
    site: &Site,
    proxy: &Proxy,
    (flood, count, len): (Flood, usize, usize),
    time: Duration,
) -> Result<Vec<Figure>, String> {
    let mut datagrams = Datagrams::open(&site.pattern, proxy, count, len)?;
    datagrams.flood(flood, time / WARM_UP)?;
    let (arrived, lost) = (datagrams.arrived, datagrams.lost);
    let (cpu, seconds) = timed(&[proxy], || datagrams.flood(flood, time))?;
    let count = (datagrams.arrived - arrived) as f64;
    let lost = datagrams.lost.saturating_sub(lost) as f64;
    Ok(vec![
        figure("CPU µs each", cpu * 1e6 / count),
        figure("1000/s", count / seconds / 1e3),
        figure("lost %", lost / (count + lost) * 100.0),
    ])
}

fn udp_ping(site: &Site, proxy: &Proxy, len: usize, time: Duration) -> Result<Vec<Figure>, String> {
    let datagrams = Datagrams::open(&site.pattern, proxy, 1, len)?;
    datagrams.ping(time / WARM_UP)?;
    let mut micros = datagrams.ping(time)?;
    Ok(vec![figure("p50 µs", percentile(&mut micros, 50.0))])
}

/// What a trip and a byte cost among so many tunnels.
fn among(site: &Site, proxy: &Proxy, count: usize, time: Duration) -> Result<Vec<Figure>, String> {
    let moving = (count / 2).min(8);
    let mut pairs = site.open_all(proxy, count)?;
    let mut bulk = Bulk::new(&site.pattern, pairs.split_off(count - moving), Way::Down);
    let mut pings = Pings::new(pairs, WINDOW);
    pings.run(time / WARM_UP)?;
    pings.micros.clear();
    let (ping_cpu, _) = timed(&[proxy], || pings.run(time))?;
    bulk.run(time / WARM_UP, None)?;
    let before = bulk.bytes;
    let (bulk_cpu, _) = timed(&[proxy], || bulk.run(time, None))?;
    let gibibytes = (bulk.bytes - before) as f64 / f64::from(1 << 30);
    Ok(vec![
        figure("CPU µs a trip", ping_cpu * 1e6 / pings.micros.len() as f64),
        figure("CPU s/GiB", bulk_cpu / gibibytes),
    ])
}

/// What one more process at the same port brings to a house full of short connections. They run
/// where the kernel lets them, the generator's core included.
fn processes(
    site: &Site,
    proxy: &Proxy,
    count: usize,
    time: Duration,
) -> Result<Vec<Figure>, String> {
    let others: Result<Vec<_>, String> = (1..count).map(|_| proxy.double()).collect();
    let others = others?;
    let all: Vec<&Proxy> = std::iter::once(proxy).chain(&others).collect();
    for (core, proxy) in all.iter().enumerate() {
        proxy.move_to(core);
    }
    let mut burst = Burst::new(site, proxy, 64);
    burst.run(time / WARM_UP)?;
    burst.micros.clear();
    let (cpu, seconds) = timed(&all, || burst.run(time))?;
    let done = burst.micros.len() as f64;
    Ok(vec![
        figure("1/s", done / seconds),
        figure("CPU µs each", cpu * 1e6 / done),
    ])
}

#[test]
fn each_row_has_a_name_of_its_own_and_some_are_short() {
    let mut names: Vec<&str> = ROWS.iter().map(|row| row.name).collect();
    names.sort_unstable();
    names.dedup();
    assert_eq!(names.len(), ROWS.len());
    assert!(ROWS.iter().filter(|row| row.is_short).count() > 10);
}
