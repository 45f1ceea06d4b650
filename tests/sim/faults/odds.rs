//! How often each fault strikes in one world: drawn once per seed.
//!
//! Each kind of fault is off in about half of the worlds, so that every pair of kinds also occurs
//! without the others, and so that the strictest checks apply where no fault has struck.

use anklet::net::{Memory, Millis, Offload, Room};
use fastrand::Rng;

/// The odds of one world. Those of faults are out of 1,000 occasions.
pub(crate) struct Odds {
    /// A read gives less than there is.
    pub(crate) short_read: u32,
    /// A read or write returns EAGAIN although it could do something.
    pub(crate) early_block: u32,
    /// A write takes less than there is room for.
    pub(crate) short_write: u32,
    /// A wait ends without an event.
    pub(crate) interrupted: u32,
    /// A batch has an event for a socket with nothing new.
    pub(crate) spurious: u32,
    /// A batch has an event for a socket that has just been closed.
    pub(crate) stale: u32,
    /// The peer resets as its bytes travel.
    pub(crate) reset: u32,
    /// A connection is gone before it is accepted.
    pub(crate) aborted: u32,
    /// The times without a free descriptor, from and until.
    pub(crate) exhausted: Vec<(Millis, Millis)>,
    /// The times when memory is short, from and until.
    pub(crate) short: Vec<(Millis, Millis)>,
    /// A DNS message is lost, each way.
    pub(crate) dns_loss: u32,
    /// A DNS answer takes seconds.
    pub(crate) dns_slow: u32,
    /// A DNS answer comes twice.
    pub(crate) dns_twice: u32,
    /// A forged DNS answer comes before the true one.
    pub(crate) dns_forged: u32,
    /// The first name server is dead.
    pub(crate) dns_dead_server: bool,
    /// A datagram of an association is lost.
    pub(crate) udp_loss: u32,
    /// It arrives twice.
    pub(crate) udp_twice: u32,
    /// An error reports that an earlier one has not arrived.
    pub(crate) udp_error: u32,
    /// It is overtaken by others.
    pub(crate) udp_slow: u32,
    /// A run of datagrams, or joining them, is refused.
    pub(crate) udp_refused: u32,
    /// What the kernel does for datagrams.
    pub(crate) offload: Offload,
    /// Datagrams that the server's UDP sockets have room for, at least and at most.
    pub(crate) udp_queue_datagrams: (usize, usize),
    /// The longest time that a segment travels.
    pub(crate) latency_ms: u64,
    /// The number of events in one batch, at most.
    pub(crate) batch_max: usize,
    /// The size of each queue of a connection, at least and at most.
    pub(crate) queue_bytes: (usize, usize),
}

impl Odds {
    /// A world where nothing goes wrong.
    pub(crate) fn calm() -> Self {
        let mut odds = Self::new(&mut Rng::with_seed(0));
        for odd in odds.all() {
            *odd = 0;
        }
        odds.exhausted.clear();
        odds.dns_dead_server = false;
        odds.batch_max = 64;
        odds.queue_bytes = (64, 64);
        odds
    }

    /// Draws the odds of a world.
    pub(crate) fn new(rng: &mut Rng) -> Self {
        let mut often = |most: u32| if rng.bool() { rng.u32(1..=most) } else { 0 };
        let mut odds = Self {
            short_read: often(400),
            early_block: often(300),
            short_write: often(400),
            interrupted: often(100),
            spurious: often(200),
            stale: often(300),
            reset: often(4),
            aborted: often(150),
            exhausted: Vec::new(),
            short: Vec::new(),
            dns_loss: often(400),
            dns_slow: often(200),
            dns_twice: often(300),
            dns_forged: often(500),
            udp_loss: often(200),
            udp_twice: often(200),
            udp_error: often(100),
            udp_slow: often(300),
            udp_refused: 0,
            offload: Offload::default(),
            udp_queue_datagrams: (0, 0),
            dns_dead_server: false,
            latency_ms: 0,
            batch_max: 0,
            queue_bytes: (0, 0),
        };
        odds.dns_dead_server = rng.u8(..4) == 0;
        odds.latency_ms = rng.u64(1..30);
        odds.batch_max = rng.usize(1..24);
        let least = rng.usize(48..256);
        odds.queue_bytes = (least, least * rng.usize(1..12));
        let least = rng.usize(4..60);
        odds.udp_queue_datagrams = (least, least * rng.usize(1..4));
        if rng.u8(..3) == 0 {
            for _ in 0..3 {
                let from = rng.u64(..15_000);
                odds.exhausted.push((from, from + rng.u64(1..2_500)));
            }
        }
        odds
    }

    /// Returns `true` if no descriptor is free at that time.
    pub(crate) fn is_exhausted(&self, now: Millis) -> bool {
        self.exhausted
            .iter()
            .any(|(from, until)| (*from..*until).contains(&now))
    }

    /// Draws what the kernel does for datagrams, and how often it refuses it.
    pub(crate) fn draw_offload(&mut self, rng: &mut Rng) {
        self.offload.sends = rng.u8(..4) > 0;
        self.offload.receives = self.offload.sends && rng.u8(..4) > 0;
        self.udp_refused = if rng.bool() { rng.u32(1..=200) } else { 0 };
    }

    /// Makes memory short for some time in a third of the worlds.
    pub(crate) fn draw_shortages(&mut self, rng: &mut Rng) {
        if rng.u8(..3) == 0 {
            for _ in 0..3 {
                let from = rng.u64(..60_000);
                self.short.push((from, from + rng.u64(1..20_000)));
            }
        }
    }

    /// Returns `true` if memory is short at that time.
    pub(crate) fn is_short(&self, now: Millis) -> bool {
        let during = |(from, until): &(Millis, Millis)| (*from..*until).contains(&now);
        self.short.iter().any(during)
    }

    /// What the system says of its memory: one of the three kinds is short, or none.
    pub(crate) fn memory(&self, now: Millis) -> Memory {
        let room = |kind| {
            let short = self.is_short(now) && now % 3 == kind;
            Some(Room {
                free_bytes: if short { 1_000 } else { 60_000 },
                bytes: 64_000,
            })
        };
        Memory {
            machine: room(0),
            cgroup: room(1),
            is_tcp_pressed: self.is_short(now) && now % 3 == 2,
        }
    }

    /// All odds that are out of 1,000 occasions.
    fn all(&mut self) -> [&mut u32; 17] {
        [
            &mut self.short_read,
            &mut self.early_block,
            &mut self.short_write,
            &mut self.interrupted,
            &mut self.spurious,
            &mut self.stale,
            &mut self.reset,
            &mut self.aborted,
            &mut self.dns_loss,
            &mut self.dns_slow,
            &mut self.dns_twice,
            &mut self.dns_forged,
            &mut self.udp_loss,
            &mut self.udp_twice,
            &mut self.udp_error,
            &mut self.udp_slow,
            &mut self.udp_refused,
        ]
    }
}
