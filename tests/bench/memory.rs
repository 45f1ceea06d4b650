//! Rows about memory: what a tunnel holds that lies idle, and one whose client never reads.
//!
//! What the kernel holds is read of the whole machine, with the generator's two ends of each tunnel
//! in it. So connections of the generator with itself are opened first, and what they take is
//! taken off.

use std::net::TcpStream;
use std::time::{Duration, Instant};

use socket2::SockRef;

use crate::bulk::{Bulk, Way};
use crate::peers::{Ask, Peer, Proxy};
use crate::pings::ping_alone;
use crate::process::kernel_kib;
use crate::rows::Figure;
use crate::site::{Pair, Site};
use crate::stats::percentile;

/// Until buffers have been given back and counts have settled.
const SETTLE: Duration = Duration::from_millis(1_500);

/// How long nothing may move until all is as full as it gets.
const STILL: Duration = Duration::from_millis(500);

/// Until then it must have become still.
const FILLED: Duration = Duration::from_secs(20);

/// Connections of the generator with itself, to learn what its own ends take.
const OWN: usize = 400;

/// What a client that never reads, and its target, hold at most: little, because it is theirs.
const OWN_BUFFER: usize = 16 << 10;

/// What tunnels hold: the proxy's own KiB of each, and with the kernel's.
fn held(
    site: &Site,
    proxy: &Proxy,
    count: usize,
    mut use_them: impl FnMut(Vec<Pair>) -> Result<(), String>,
    mut hold: impl FnMut() -> Result<(), String>,
) -> Result<Vec<Figure>, String> {
    let ask = Ask {
        target: Some(site.addr),
        ..Ask::default()
    };
    let direct = Proxy::start(Peer::Direct, ask)?;
    // The first ones are there before: what a proxy sets up once is not a tunnel's.
    let _first = site.open_all(proxy, 10)?;
    std::thread::sleep(SETTLE);
    let start = kernel_kib();
    use_them(site.open_all(&direct, OWN)?)?;
    hold()?;
    std::thread::sleep(SETTLE);
    let (user, kernel) = (proxy.memory_kib(), kernel_kib());
    use_them(site.open_all(proxy, count)?)?;
    hold()?;
    std::thread::sleep(SETTLE);
    let own = (kernel - start) / OWN as f64;
    let user = (proxy.memory_kib() - user) / count as f64;
    let kernel = (kernel_kib() - kernel) / count as f64 - own;
    Ok(vec![
        Figure {
            name: "user KiB",
            value: user,
        },
        Figure {
            name: "all KiB",
            value: user + kernel,
        },
    ])
}

/// Memory of idle tunnels.
pub(crate) fn idle(site: &Site, proxy: &Proxy, count: usize) -> Result<Vec<Figure>, String> {
    let mut kept = Vec::new();
    let keep = |pairs| {
        kept.push(pairs);
        Ok(())
    };
    let figures = held(site, proxy, count, keep, || Ok(()))?;
    // They still work.
    for pair in kept
        .iter()
        .flat_map(|pairs| [pairs.first(), pairs.last()])
        .flatten()
    {
        ping_alone(pair, Duration::from_millis(1))?;
    }
    Ok(figures)
}

/// Memory of clients that never read a download, and what a healthy one notices.
pub(crate) fn never_read(
    site: &Site,
    proxy: &Proxy,
    count: usize,
    time: Duration,
) -> Result<Vec<Figure>, String> {
    let healthy = site
        .open(proxy, None)
        .map_err(|error| format!("the ping: {error}"))?;
    ping_alone(&healthy, time / 5)?;
    let kept = std::cell::RefCell::new(Vec::new());
    let download = |pairs: Vec<Pair>| {
        for pair in &pairs {
            small(&pair.client)
                .set_recv_buffer_size(OWN_BUFFER)
                .unwrap();
            small(&pair.target)
                .set_send_buffer_size(OWN_BUFFER)
                .unwrap();
        }
        let mut bulk = Bulk::new(&site.pattern, pairs, Way::Down);
        bulk.stop_clients();
        kept.borrow_mut().push(bulk);
        Ok(())
    };
    let fill = || {
        let (start, mut sent) = (Instant::now(), 0);
        loop {
            let mut kept = kept.borrow_mut();
            let bulk: &mut Bulk<'_> = kept.last_mut().expect("they have begun");
            bulk.run(STILL, None)?;
            if bulk.sent() == sent {
                return Ok(());
            }
            sent = bulk.sent();
            if start.elapsed() > FILLED {
                return Err("it goes on reading for clients that do not".into());
            }
        }
    };
    let mut figures = held(site, proxy, count, download, fill)?;
    let trips = ping_alone(&healthy, time);
    let value = trips.map_or(f64::INFINITY, |mut micros| percentile(&mut micros, 50.0));
    figures.push(Figure {
        name: "healthy p50 µs",
        value,
    });
    Ok(figures)
}

fn small(stream: &TcpStream) -> SockRef<'_> {
    SockRef::from(stream)
}
