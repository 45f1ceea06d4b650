//! What the kernel does for datagrams in one call each, and where it does not.
//!
//! Each way may be refused: by kernels before 4.18 and 5.0, by emulators, by a device without
//! checksums, by a path whose packets are smaller. What a refusal says holds for as long as it
//! says: this size and this remote, or for good. Nothing is lost by it: the datagrams go apart.

use std::net::{IpAddr, Ipv4Addr};
use std::ops::Range;

use super::batch::Batch;
use crate::net::{Errno, Offload};

/// Remotes whose packets are too small for some run: few paths have packets smaller than a
/// datagram of their own sender's. One more costs a refused call for each run.
const NARROW_MAX: usize = 8;

/// Where datagrams are sent to. Each has devices of its own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Direction {
    /// To remotes.
    Up,
    /// To clients.
    Down,
}

/// What may be asked of the kernel for datagrams.
#[derive(Debug)]
pub struct Allowed {
    /// It takes runs (UDP_SEGMENT), by [`Direction`].
    sends: [bool; 2],
    /// It joins what it receives (UDP_GRO).
    receives: bool,
    /// Addresses, and the shortest datagram of which no run could be sent there.
    narrow: [(IpAddr, usize); NARROW_MAX],
    /// The one that the next one takes the place of.
    oldest: usize,
}

impl Allowed {
    /// All that the kernel can do.
    pub fn new(offload: Offload) -> Self {
        Self {
            sends: [offload.sends; 2],
            receives: offload.receives,
            narrow: [(Ipv4Addr::UNSPECIFIED.into(), usize::MAX); NARROW_MAX],
            oldest: 0,
        }
    }

    /// Which of the datagrams of `numbers` are to leave in the next call, from the first one on,
    /// and whether as one run. Those before `apart` are in none.
    pub fn next(
        &self,
        direction: Direction,
        batch: &Batch,
        numbers: Range<usize>,
        apart: usize,
    ) -> (Range<usize>, bool) {
        let (start, end) = (numbers.start, numbers.end);
        let run = |at: usize| {
            if at < apart {
                1
            } else {
                self.run(direction, batch, at..end)
            }
        };
        let mut next = start + run(start);
        let is_run = next > start + 1;
        // Up to the next run, all that are alone go in one call too.
        while !is_run && next < end && run(next) == 1 {
            next += 1;
        }
        (start..next, is_run)
    }

    /// How many datagrams from the first one of `numbers` on make one run; 1: it goes as if it were
    /// alone.
    fn run(&self, direction: Direction, batch: &Batch, numbers: Range<usize>) -> usize {
        let first = numbers.start;
        let run = batch.run(numbers);
        let (to, len) = (batch.to(first).ip(), batch.outgoing_len(first));
        if run > 1 && self.may_send(direction, to, len) {
            run
        } else {
            1
        }
    }

    /// Returns `true` if a run of datagrams of `len` bytes may be sent there.
    fn may_send(&self, direction: Direction, to: IpAddr, len: usize) -> bool {
        let narrow = |(addr, least): &(IpAddr, usize)| len >= *least && *addr == to;
        self.sends[direction as usize] && !self.narrow.iter().any(narrow)
    }

    /// A run of datagrams of `len` bytes was refused with that error, and goes apart.
    pub fn refused(&mut self, direction: Direction, to: IpAddr, len: usize, error: Errno) {
        match error {
            Errno::EIO | Errno::EOPNOTSUPP => self.sends[direction as usize] = false,
            Errno::EINVAL | Errno::EMSGSIZE => {
                let mut at = self.narrow.iter().position(|(addr, _)| *addr == to);
                let at = *at.get_or_insert(self.oldest);
                if at == self.oldest {
                    self.oldest = (at + 1) % NARROW_MAX;
                }
                self.narrow[at] = (to, len);
            }
            // Of an earlier datagram, or of this receiver however it is sent.
            _ => {}
        }
    }

    /// Returns `true` if what a socket receives may be joined.
    pub fn receives(&self) -> bool {
        self.receives
    }

    /// A socket cannot be told to join what it receives: none is told any more.
    pub fn cannot_receive(&mut self) {
        self.receives = false;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn both() -> Allowed {
        Allowed::new(Offload {
            sends: true,
            receives: true,
        })
    }

    fn remote(number: usize) -> IpAddr {
        IpAddr::from([10, 0, 0, u8::try_from(number).unwrap()])
    }

    #[test]
    fn a_size_is_remembered_for_its_remote_and_only_there() {
        for error in [Errno::EINVAL, Errno::EMSGSIZE] {
            let mut allowed = both();
            allowed.refused(Direction::Up, remote(1), 1472, error);
            for (to, len, may) in [
                (1, 1471, true),
                (1, 1472, false),
                (1, 9000, false),
                (2, 1472, true),
            ] {
                assert_eq!(allowed.may_send(Direction::Up, remote(to), len), may);
            }
            // A smaller one takes the place of a larger one.
            allowed.refused(Direction::Up, remote(1), 1300, error);
            assert!(allowed.may_send(Direction::Up, remote(1), 1299));
            assert!(!allowed.may_send(Direction::Up, remote(1), 1300));
            assert_eq!(allowed.narrow[1].1, usize::MAX, "one place each");
        }
    }

    #[test]
    fn the_table_of_remotes_is_bounded_and_forgets_the_oldest() {
        let mut allowed = both();
        for number in 0..=NARROW_MAX {
            allowed.refused(Direction::Down, remote(number), 1200, Errno::EINVAL);
        }
        assert!(allowed.may_send(Direction::Down, remote(0), 1200));
        for number in 1..=NARROW_MAX {
            assert!(!allowed.may_send(Direction::Down, remote(number), 1200));
        }
    }

    #[test]
    fn what_a_device_cannot_do_is_off_for_good_in_its_direction() {
        for error in [Errno::EIO, Errno::EOPNOTSUPP] {
            let mut allowed = both();
            allowed.refused(Direction::Up, remote(1), 100, error);
            assert!(!allowed.may_send(Direction::Up, remote(2), 50));
            assert!(allowed.may_send(Direction::Down, remote(1), 100));
        }
        let mut allowed = both();
        allowed.refused(Direction::Up, remote(1), 100, Errno::EPERM);
        assert!(allowed.may_send(Direction::Up, remote(1), 100));
    }

    #[test]
    fn what_does_not_work_is_never_tried() {
        let mut allowed = Allowed::new(Offload {
            sends: false,
            receives: true,
        });
        assert!(!allowed.may_send(Direction::Down, remote(1), 10));
        assert!(allowed.receives());
        allowed.cannot_receive();
        assert!(!allowed.receives());
    }
}
