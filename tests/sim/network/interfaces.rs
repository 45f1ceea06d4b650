//! This machine's interfaces: they change now and then, are read piece by piece, and sometimes not
//! to the end. The server has to know of each change in time.

use std::net::IpAddr;

use anklet::net::{Millis, Survey};
use anklet::state::access::Interface;
use fastrand::Rng;
use nix::errno::Errno;

use crate::network::{Network, SimEvent, Source};
use crate::world::{LAN_V4, WAN_V4, WAN_V6};

/// Changes in one world at most, in its first seconds.
const CHANGES_MAX: u8 = 6;
const CHANGES_WITHIN_MS: Millis = 12_000;

/// How long the server may take, from a change on: until the next reading may begin, and the
/// reading. With slack for the time that passes take.
const ANNOUNCED_MS: Millis = 1_000 + 200;
const UNANNOUNCED_MS: Millis = 5_000 + 200;

/// The interfaces, and what the server knows of them.
pub(crate) struct Interfaces {
    /// Apart from the world's own, so that both stay as they are for a seed.
    rng: Rng,
    /// What the router has beside its first addresses.
    more: Vec<Interface>,
    /// Changes are announced.
    is_announced: bool,
    /// One has been, and the announcement waits.
    is_waiting: bool,
    /// Pieces still to be read.
    pieces: Option<u8>,
    /// They have changed since the reading began.
    is_stale: bool,
    /// Since when the server knows less than there is.
    unknown_since: Option<Millis>,
    /// Readings are interrupted, or fail, so often of 1,000. The first is not: clients count on
    /// being served.
    failures: u32,
    is_known: bool,
}

impl Interfaces {
    /// Those of a seed.
    pub(crate) fn new(seed: u64) -> Self {
        let mut rng = Rng::with_seed(seed ^ 0x0069_6661_6365_7300);
        Self {
            is_announced: rng.u8(..4) > 0,
            failures: if rng.bool() { rng.u32(1..200) } else { 0 },
            rng,
            more: Vec::new(),
            is_waiting: false,
            pieces: None,
            is_stale: false,
            unknown_since: None,
            is_known: false,
        }
    }

    /// Those of a world where nothing goes wrong.
    pub(crate) fn calm() -> Self {
        let failures = 0;
        let is_announced = true;
        Self {
            failures,
            is_announced,
            ..Self::new(0)
        }
    }

    /// All of them as they are now.
    fn list(&self) -> Vec<Interface> {
        let first = [
            interface("lo", 1, IpAddr::from([127, 0, 0, 1]), 8, false),
            interface("br-lan", 2, LAN_V4, 24, false),
            interface("wan", 3, WAN_V4, 24, true),
            interface("wan", 3, WAN_V6, 64, true),
        ];
        first.into_iter().chain(self.more.iter().cloned()).collect()
    }

    fn chance(&mut self) -> bool {
        self.is_known && self.rng.u32(..1000) < self.failures
    }
}

fn interface(name: &str, index: u32, addr: IpAddr, bits: u8, default_route: bool) -> Interface {
    Interface {
        name: name.into(),
        index,
        addr,
        network: addr,
        bits,
        default_route,
        all_own: false,
    }
}

impl Network {
    /// Puts some changes on the schedule.
    pub(crate) fn schedule_changes(&mut self) {
        for _ in 0..self.interfaces.rng.u8(..CHANGES_MAX) {
            let at = self.interfaces.rng.u64(..CHANGES_WITHIN_MS);
            // Addresses that nobody asks for.
            let addr = [45, 66, 1, self.interfaces.rng.u8(..)].into();
            self.schedule(at, SimEvent::OwnAddress(addr));
        }
    }

    /// The router gets an address.
    pub(crate) fn add_own_address(&mut self, addr: IpAddr) {
        self.trace(|| format!("the router gets the address {addr}"));
        let now = self.now;
        let own = &mut self.interfaces;
        own.more.push(interface("wan", 3, addr, 32, true));
        own.is_stale = true;
        own.unknown_since.get_or_insert(now);
        if own.is_announced {
            own.is_waiting = true;
            self.edge(Source::Interfaces);
        }
    }

    /// The server begins to read.
    pub(crate) fn begin_survey(&mut self) -> Result<bool, Errno> {
        self.checks.progress();
        if self.interfaces.chance() {
            self.forgive_survey();
            return Err(Errno::EMFILE);
        }
        let own = &mut self.interfaces;
        own.pieces = Some(own.rng.u8(1..12));
        own.is_stale = false;
        Ok(own.is_announced)
    }

    /// The server reads a piece, or an announcement.
    pub(crate) fn survey(&mut self) -> Result<Survey, Errno> {
        let outcome = self.read_survey();
        self.trace(|| format!("server reads interfaces: {outcome:?}"));
        outcome
    }

    fn read_survey(&mut self) -> Result<Survey, Errno> {
        let now = self.now;
        let own = &mut self.interfaces;
        if !own.is_waiting && own.pieces.is_none() {
            return Err(Errno::EAGAIN);
        }
        self.checks.progress();
        if std::mem::take(&mut own.is_waiting) {
            return Ok(Survey::Changed);
        }
        let pieces = own.pieces.unwrap_or(1);
        if pieces > 1 {
            own.pieces = Some(pieces - 1);
            return Ok(Survey::Piece);
        }
        own.pieces = None;
        let fails = own.chance();
        if fails && own.rng.bool() {
            self.forgive_survey();
            return Err(Errno::ENOMEM);
        }
        if fails || own.is_stale {
            // A second more.
            own.unknown_since = own.unknown_since.map(|_| now);
            return Err(Errno::EINTR);
        }
        own.unknown_since = None;
        own.is_known = true;
        Ok(Survey::Whole(own.list()))
    }

    /// The server has an excuse: it could not read, and tries again after five seconds.
    fn forgive_survey(&mut self) {
        let now = self.now;
        let own = &mut self.interfaces;
        own.pieces = None;
        own.unknown_since = own
            .unknown_since
            .map(|_| now + UNANNOUNCED_MS - ANNOUNCED_MS);
    }

    /// The process is stopped until that time, and can know nothing.
    pub(crate) fn excuse_survey(&mut self, until: Millis) {
        let own = &mut self.interfaces;
        own.unknown_since = own.unknown_since.map(|_| until);
    }

    /// Nobody has to be served by rules that are older than they may be.
    pub(crate) fn check_survey(&mut self) {
        let own = &self.interfaces;
        let most = if own.is_announced {
            ANNOUNCED_MS
        } else {
            UNANNOUNCED_MS
        };
        if let Some(since) = own.unknown_since
            && self.now > since + most
        {
            self.fail(format!("an address of {since} ms is not known"));
        }
    }
}
