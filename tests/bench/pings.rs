//! Pings through one tunnel or many, and through what lies idle beside them.

use std::collections::VecDeque;
use std::io::{Read, Write};
use std::os::fd::AsRawFd;
use std::time::{Duration, Instant};

use mio::unix::SourceFd;
use mio::{Events, Interest, Poll, Token};

use crate::bulk::{PING_BYTES, arrived, ping_bytes, put};
use crate::site::Pair;

/// How long no trip of all may end before the proxy counts as stuck.
const PATIENCE: Duration = Duration::from_secs(3);

/// Tunnels that are pinged in turn, so many at once.
pub(crate) struct Pings {
    poll: Poll,
    events: Events,
    pairs: Vec<Pair>,
    /// The number of trips of each, and when the last began.
    trips: Vec<(u64, Instant)>,
    waiting: VecDeque<usize>,
    under_way: usize,
    window: usize,
    /// Each trip in microseconds.
    pub(crate) micros: Vec<f64>,
}

impl Pings {
    /// Tunnels of which `window` are pinged at once.
    pub(crate) fn new(pairs: Vec<Pair>, window: usize) -> Self {
        let poll = Poll::new().unwrap();
        for (number, pair) in pairs.iter().enumerate() {
            for (side, stream) in [&pair.client, &pair.target].into_iter().enumerate() {
                stream.set_nonblocking(true).unwrap();
                let (fd, token) = (stream.as_raw_fd(), Token(2 * number + side));
                let registry = poll.registry();
                registry
                    .register(&mut SourceFd(&fd), token, Interest::READABLE)
                    .unwrap();
            }
        }
        Self {
            poll,
            events: Events::with_capacity(1024),
            trips: vec![(0, Instant::now()); pairs.len()],
            waiting: (0..pairs.len()).collect(),
            under_way: 0,
            window: window.min(pairs.len()),
            pairs,
            micros: Vec::new(),
        }
    }

    /// Pings for that long.
    pub(crate) fn run(&mut self, time: Duration) -> Result<(), String> {
        let start = Instant::now();
        let mut last = start;
        while start.elapsed() < time {
            self.fill()?;
            let before = self.micros.len();
            let wait = Some(Duration::from_millis(100));
            self.poll
                .poll(&mut self.events, wait)
                .map_err(|error| error.to_string())?;
            let tokens: Vec<usize> = self.events.iter().map(|event| event.token().0).collect();
            for token in tokens {
                self.turn(token)?;
            }
            if self.micros.len() > before {
                last = Instant::now();
            } else if last.elapsed() > PATIENCE {
                return Err("pings do not come back".into());
            }
        }
        Ok(())
    }

    /// Begins trips while there may be more.
    fn fill(&mut self) -> Result<(), String> {
        while self.under_way < self.window {
            let Some(number) = self.waiting.pop_front() else {
                break;
            };
            let (count, begun) = &mut self.trips[number];
            (*count, *begun) = (*count + 1, Instant::now());
            put(
                &self.pairs[number].client,
                &ping_bytes(number as u64, *count),
            )?;
            self.under_way += 1;
        }
        Ok(())
    }

    /// An end may have something to read.
    fn turn(&mut self, token: usize) -> Result<(), String> {
        let (number, is_target) = (token / 2, token % 2 == 1);
        let (count, begun) = self.trips[number];
        let expected = ping_bytes(number as u64, count);
        let pair = &self.pairs[number];
        if is_target {
            if arrived(&pair.target, &expected)? {
                put(&pair.target, &expected)?;
            }
        } else if arrived(&pair.client, &expected)? {
            self.micros.push(begun.elapsed().as_secs_f64() * 1e6);
            self.under_way -= 1;
            self.waiting.push_back(number);
        }
        Ok(())
    }
}

/// One tunnel, with ends that wait: the shortest way that two programs have.
pub(crate) fn ping_alone(pair: &Pair, time: Duration) -> Result<Vec<f64>, String> {
    pair.target.set_read_timeout(Some(PATIENCE)).unwrap();
    let (start, mut micros, mut count) = (Instant::now(), Vec::new(), 0);
    while start.elapsed() < time {
        count += 1;
        let begun = Instant::now();
        trip(pair, count)?;
        micros.push(begun.elapsed().as_secs_f64() * 1e6);
    }
    Ok(micros)
}

/// One ping there and back.
pub(crate) fn trip(pair: &Pair, count: u64) -> Result<(), String> {
    let (mut client, mut target) = (&pair.client, &pair.target);
    let bytes = ping_bytes(0, count);
    let mut back = [0; PING_BYTES];
    let mut trip = || {
        client.write_all(&bytes)?;
        target.read_exact(&mut back)?;
        target.write_all(&back)?;
        client.read_exact(&mut back)
    };
    trip().map_err(|error| format!("a ping does not come back: {error}"))?;
    if back == bytes {
        Ok(())
    } else {
        Err("a ping came back wrong".into())
    }
}
