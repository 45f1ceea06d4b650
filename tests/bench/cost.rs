//! What a connection, a MiB and a datagram cost: system calls counted by strace, instructions by
//! callgrind. Both slow the program down a hundred times, so nothing here is timed. What the program
//! does at its start, and once in a while, goes out with the difference of two runs.

use std::fs;
use std::path::Path;
use std::time::{Duration, Instant};

use crate::bulk::{Bulk, Way};
use crate::datagrams::{Datagrams, Flood};
use crate::peers::{Ask, Peer, Proxy};
use crate::site::Site;

/// How long a tool may take until its file is there.
const PATIENCE: Duration = Duration::from_secs(20);

/// A unit of work.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Unit {
    /// Connect, handshake, one byte there and back, close; one after the other.
    Connection,
    /// The same with a password.
    Login,
    /// 64 bytes there and back.
    Ping,
    /// 2^20 bytes of a download.
    Mebibyte,
    /// A datagram of 1,400 bytes, to the client.
    Datagram,
}

impl Unit {
    /// All of them, with their names and how many are done.
    pub(crate) const ALL: [(Self, &'static str, u32); 5] = [
        (Self::Connection, "connection", 200),
        (Self::Login, "connection with a password", 200),
        (Self::Ping, "ping of 64 bytes", 1_000),
        (Self::Mebibyte, "MiB of a download", 400),
        (Self::Datagram, "datagram of 1,400 bytes", 4_000),
    ];

    /// Does it so often, or a little more often; how often.
    fn work(self, site: &Site, proxy: &Proxy, count: u32) -> Result<f64, String> {
        let failed = |error: std::io::Error| error.to_string();
        match self {
            Self::Connection | Self::Login => {
                for number in 0..count {
                    let pair = site.open(proxy, None).map_err(failed)?;
                    crate::pings::trip(&pair, number.into())?;
                    drop(pair.client);
                    let mut end = [0];
                    std::io::Read::read(&mut &pair.target, &mut end).map_err(failed)?;
                }
                Ok(count.into())
            }
            Self::Ping => {
                let pair = site.open(proxy, None).map_err(failed)?;
                (0..count).try_for_each(|number| crate::pings::trip(&pair, number.into()))?;
                Ok(count.into())
            }
            Self::Mebibyte => {
                let mut bulk = Bulk::new(&site.pattern, site.open_all(proxy, 1)?, Way::Down);
                while bulk.bytes < u64::from(count) << 20 {
                    bulk.run(Duration::from_millis(1), None)?;
                }
                Ok(bulk.bytes as f64 / f64::from(1 << 20))
            }
            Self::Datagram => {
                let mut datagrams = Datagrams::open(&site.pattern, proxy, 1, 1_400)?;
                while datagrams.arrived < count.into() {
                    datagrams.flood(Flood::Segments, Duration::from_millis(1))?;
                }
                Ok(datagrams.arrived as f64)
            }
        }
    }

    /// What the tool counts for one.
    pub(crate) fn cost(self, count: u32, tool: Tool) -> Result<f64, String> {
        let run = |count| -> Result<(f64, f64), String> {
            let site = Site::new();
            let file = std::env::temp_dir().join(format!("anklet-cost-{}", std::process::id()));
            let _ = fs::remove_file(&file);
            let ask = Ask {
                target: Some(site.addr),
                login: matches!(self, Self::Login),
                tool: Some((tool, &file)),
                ..Ask::default()
            };
            let mut proxy = Proxy::start(Peer::Anklet, ask)?;
            let done = self.work(&site, &proxy, count)?;
            // The last connection's end.
            std::thread::sleep(Duration::from_millis(200));
            proxy.stop();
            Ok((done, tool.counted(&file)?))
        };
        let (few, many) = (run(count / 10)?, run(count)?);
        Ok((many.1 - few.1) / (many.0 - few.0))
    }
}

/// What counts.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Tool {
    Strace,
    Callgrind,
}

impl Tool {
    /// The words in front of the program.
    pub(crate) fn words(self, file: &Path) -> Vec<String> {
        let file = file.display();
        match self {
            Self::Strace => ["strace", "-qq", "-c", "-f", "-o"]
                .map(String::from)
                .into_iter()
                .chain([file.to_string()])
                .collect(),
            Self::Callgrind => vec![
                "valgrind".into(),
                "--quiet".into(),
                "--tool=callgrind".into(),
                format!("--callgrind-out-file={file}"),
            ],
        }
    }

    /// Reads what has been counted, once it has been written.
    fn counted(self, file: &Path) -> Result<f64, String> {
        let start = Instant::now();
        while start.elapsed() < PATIENCE {
            let text = fs::read_to_string(file).unwrap_or_default();
            if let Some(count) = self.read(&text) {
                let _ = fs::remove_file(file);
                return Ok(count);
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        Err(format!("{self:?} has counted nothing"))
    }

    /// The number of calls, or of instructions.
    fn read(self, text: &str) -> Option<f64> {
        match self {
            Self::Strace => {
                let total = text.lines().find(|line| line.ends_with(" total"))?;
                total.split_whitespace().nth(3)?.parse().ok()
            }
            Self::Callgrind => {
                let total = text
                    .lines()
                    .find_map(|line| line.strip_prefix("totals: "))?;
                total.trim().parse().ok()
            }
        }
    }
}

#[test]
fn what_the_tools_have_counted_is_found() {
    let strace = "% time     seconds  usecs/call     calls    errors syscall\n\
                  100.00    0.001000           2       407        12 total\n";
    assert_eq!(Tool::Strace.read(strace), Some(407.0));
    let callgrind = "events: Ir\nfn=(0)\ntotals: 123456\n";
    assert_eq!(Tool::Callgrind.read(callgrind), Some(123_456.0));
    assert_eq!(Tool::Callgrind.read("events: Ir\n"), None);
}
