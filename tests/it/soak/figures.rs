//! What a soak measures, and the table of it.

use std::fmt;
use std::time::Duration;

use crate::support::Proxy;

/// Lines of the table.
const LINES: u32 = 30;

/// After so long, or half of the time if that is more, memory is to be what it is: the pools grow to
/// what the busiest moment needs, and that comes late now and then.
const WARM: Duration = Duration::from_secs(60);

/// What has happened, and what the proxy used.
#[derive(Default)]
pub(super) struct Figures {
    /// Tunnels that have moved all their bytes: SOCKS5, SOCKS4, HTTP.
    pub(super) complete: [u64; 3],
    /// How many of these were BINDs, and how many forwarded requests.
    pub(super) binds: u64,
    pub(super) forwarded: u64,
    /// Tunnels that one end has left by a reset.
    pub(super) reset: u64,
    /// Clients that were refused, and that left within their handshake.
    pub(super) refused: u64,
    pub(super) left: u64,
    /// Associations whose datagrams have all come back, datagrams sent, and those that came back.
    pub(super) associations: u64,
    pub(super) datagrams: u64,
    pub(super) echoes: u64,
    /// Bytes of payload, both ways.
    pub(super) bytes: u64,
    samples: Vec<Sample>,
    every: Duration,
}

/// What the proxy used at one moment.
struct Sample {
    at: Duration,
    clients: u64,
    bytes: u64,
    datagrams: u64,
    descriptors: usize,
    memory_kib: i64,
    cpu_ticks: u64,
}

impl Figures {
    /// Nothing yet.
    pub(super) fn new(time: Duration) -> Self {
        Self {
            every: time / LINES,
            ..Self::default()
        }
    }

    /// Measures, if it is time.
    pub(super) fn sample(&mut self, at: Duration, proxy: &Proxy) {
        if at >= self.every * u32::try_from(self.samples.len()).unwrap() {
            self.measure(at, proxy);
        }
    }

    /// Measures once more, when all clients have left.
    pub(super) fn last(&mut self, proxy: &Proxy) {
        self.measure(self.every * LINES, proxy);
    }

    fn measure(&mut self, at: Duration, proxy: &Proxy) {
        self.samples.push(Sample {
            at,
            clients: self.clients(),
            bytes: self.bytes,
            datagrams: self.datagrams,
            descriptors: proxy.descriptors(),
            memory_kib: proxy.memory_kib("Anonymous"),
            cpu_ticks: proxy.cpu_ticks(),
        });
    }

    /// Memory at the end, and the most that it was while it could grow, in KiB.
    pub(super) fn memory(&self) -> (i64, i64) {
        let [early @ .., last] = &self.samples[..] else {
            panic!("nothing was measured");
        };
        let warm = WARM.max(self.every * LINES / 2);
        let early = early.iter().filter(|sample| sample.at <= warm);
        let most = early.map(|sample| sample.memory_kib).max().unwrap();
        (last.memory_kib, most)
    }

    /// How many clients have come to their end.
    fn clients(&self) -> u64 {
        let complete: u64 = self.complete.iter().sum();
        complete + self.reset + self.refused + self.left + self.associations
    }
}

impl fmt::Display for Figures {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let [socks5, socks4, http] = self.complete;
        writeln!(f, "{} clients, {} bytes", self.clients(), self.bytes)?;
        writeln!(
            f,
            "complete: SOCKS5 {socks5}, SOCKS4 {socks4}, HTTP {http}; of these BIND {}, forwarded {}",
            self.binds, self.forwarded
        )?;
        writeln!(
            f,
            "reset {}, refused {}, left in the handshake {}",
            self.reset, self.refused, self.left
        )?;
        writeln!(
            f,
            "associations {}: {} datagrams sent, {} came back",
            self.associations, self.datagrams, self.echoes
        )?;
        writeln!(
            f,
            "  seconds  clients        bytes datagrams  fds  memory KiB  CPU s"
        )?;
        for sample in &self.samples {
            writeln!(
                f,
                "{:>9} {:>8} {:>12} {:>9} {:>4} {:>11} {:>6}.{:02}",
                sample.at.as_secs(),
                sample.clients,
                sample.bytes,
                sample.datagrams,
                sample.descriptors,
                sample.memory_kib,
                sample.cpu_ticks / 100,
                sample.cpu_ticks % 100,
            )?;
        }
        Ok(())
    }
}
