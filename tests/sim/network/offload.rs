//! What the simulated kernel does for datagrams: it joins those of one sender and one length, and
//! takes runs of them, in some worlds, for some receivers, for some time.
//!
//! Whatever it refuses, and when: what the server sends must be right, and what was refused for
//! good must not be asked for again.

use std::net::IpAddr;
use std::ops::Range;

use anklet::net::Offload;
use anklet::state::batch::{Batch, RUN_MAX};
use nix::errno::Errno;

use crate::network::Network;

/// The most bytes that are joined, and that a run has.
const BYTES_MAX: usize = 65_507;

/// What a run may be refused with.
const REFUSALS: [Errno; 6] = [
    Errno::EINVAL,
    Errno::EMSGSIZE,
    Errno::EIO,
    Errno::EOPNOTSUPP,
    Errno::EPERM,
    Errno::ENOBUFS,
];

/// What the kernel has done and refused.
#[derive(Debug, Default)]
pub(crate) struct Offloaded {
    /// What the server was told at its start.
    told: Offload,
    /// Runs to remotes, and to clients, are refused for good.
    never: [bool; 2],
    /// The receiver of a run that was too long for its path, and the length of its datagrams.
    narrow: Option<(IpAddr, usize)>,
    /// A socket could not be told to join what it receives.
    join_refused: bool,
    /// How many runs were sent, how many were refused, and how many datagrams were joined.
    pub(crate) counts: [usize; 3],
}

impl Network {
    /// The server tries what the kernel does.
    pub(crate) fn try_offload(&mut self) -> Offload {
        self.offloaded.told = self.odds.offload;
        self.odds.offload
    }

    /// The server lets the kernel join what a socket receives.
    pub(crate) fn join_datagrams(&mut self, p: usize) -> Result<(), Errno> {
        if !self.offloaded.told.receives || self.offloaded.join_refused || self.udp_sockets[p].joins
        {
            self.fail(format!("UDP socket {p} is to join, which is not possible"));
        }
        if self.chance(self.odds.udp_refused) {
            self.refuse_join();
            return Err(Errno::ENOPROTOOPT);
        }
        self.udp_sockets[p].joins = true;
        Ok(())
    }

    /// A socket could not be told to join.
    pub(crate) fn refuse_join(&mut self) {
        self.offloaded.join_refused = true;
    }

    /// How many of the first `count` datagrams in the queue of a socket come joined; 1: it is not.
    pub(super) fn joined(&mut self, p: usize, count: usize) -> usize {
        let socket = &self.udp_sockets[p];
        let first = &socket.queue[0];
        let (len, mut bytes, mut taken, mut last_len) =
            (first.bytes.len(), 0, 0, first.bytes.len());
        for datagram in socket.queue.iter().take(count.min(RUN_MAX)) {
            let next = datagram.bytes.len();
            bytes += next;
            let fits = (1..=len).contains(&next) && bytes <= BYTES_MAX && last_len == len;
            if !fits || datagram.from != first.from {
                break;
            }
            (taken, last_len) = (taken + 1, next);
        }
        if !socket.joins || taken < 2 {
            return 1;
        }
        let taken = self.rng.usize(1..=taken);
        self.offloaded.counts[2] += taken - 1;
        taken
    }

    /// Checks a run, and refuses it if that is its fate.
    pub(super) fn check_run(
        &mut self,
        p: usize,
        batch: &Batch,
        numbers: Range<usize>,
        is_aimed: bool,
    ) -> Result<(), Errno> {
        let inner = self.udp_sockets[p].is_inner();
        let first = numbers.start;
        let (to, len) = (*batch.to(first), batch.outgoing_len(first));
        let mut right = (2..=RUN_MAX).contains(&numbers.len()) && len > 0;
        let mut bytes = 0;
        for number in numbers.clone() {
            let next = batch.outgoing_len(number);
            let is_last = number + 1 == numbers.end;
            bytes += next;
            right &= next == len || (is_last && (1..len).contains(&next));
            right &= is_aimed || *batch.to(number) == to;
        }
        let Offloaded {
            told,
            never,
            narrow,
            ..
        } = &self.offloaded;
        let asked_again = !told.sends
            || never[usize::from(inner)]
            || narrow.is_some_and(|(addr, least)| addr == to.ip() && len >= least);
        if !right || bytes > BYTES_MAX || asked_again {
            self.fail(format!(
                "{} datagrams of {len} bytes to {to} are no run",
                numbers.len()
            ));
        }
        if !self.chance(self.odds.udp_refused) {
            self.offloaded.counts[0] += 1;
            return Ok(());
        }
        let error = REFUSALS[self.rng.usize(..REFUSALS.len())];
        self.offloaded.counts[1] += 1;
        self.note_refused(p, to.ip(), len, error);
        self.trace(|| format!("a run of {len} bytes to {to} is refused: {error}"));
        Err(error)
    }

    /// A run was refused with that error.
    fn note_refused(&mut self, p: usize, to: IpAddr, len: usize, error: Errno) {
        let inner = self.udp_sockets[p].is_inner();
        match error {
            Errno::EIO | Errno::EOPNOTSUPP => self.offloaded.never[usize::from(inner)] = true,
            Errno::EINVAL | Errno::EMSGSIZE => self.offloaded.narrow = Some((to, len)),
            _ => {}
        }
    }
}
