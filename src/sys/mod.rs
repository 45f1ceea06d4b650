//! System calls that std lacks, wrapped. Knows the seam's plain types and nothing else of ours.

pub mod cmdline;
pub mod file;
pub mod interfaces;
pub mod limits;
pub mod memory;
pub mod netlink;
pub mod scope;
pub mod stderr;

use std::os::fd::{AsFd, BorrowedFd};

use nix::errno::Errno;
use nix::sys::signal::{SigSet, SigmaskHow, Signal as Number, sigprocmask};
use nix::sys::signalfd::{SfdFlags, SignalFd};

use crate::net::Signal;

/// The signals of this process as data: blocked, and read from a descriptor.
#[derive(Debug)]
pub struct Signals(SignalFd);

impl Signals {
    /// Blocks TERM, INT, HUP and USR1, and SIGPIPE's default death stays off as std has it.
    /// To be called first of all, so that none of them ends the program unheard.
    ///
    /// # Errors
    /// The kernel has no signalfd, or descriptors have run out.
    pub fn block() -> Result<Self, Errno> {
        let mut set = SigSet::empty();
        for number in [
            Number::SIGTERM,
            Number::SIGINT,
            Number::SIGHUP,
            Number::SIGUSR1,
        ] {
            set.add(number);
        }
        // `thread_block` takes the number that pthread_sigmask returns for a success.
        sigprocmask(SigmaskHow::SIG_BLOCK, Some(&set), None)?;
        let flags = SfdFlags::SFD_NONBLOCK | SfdFlags::SFD_CLOEXEC;
        Ok(Self(SignalFd::with_flags(&set, flags)?))
    }

    /// The next pending signal.
    pub fn next(&self) -> Option<Signal> {
        let info = self.0.read_signal().ok()??;
        let number = Number::try_from(i32::try_from(info.ssi_signo).ok()?).ok()?;
        match number {
            Number::SIGHUP => Some(Signal::Reload),
            Number::SIGUSR1 => Some(Signal::Report),
            _ => Some(Signal::Stop),
        }
    }
}

impl AsFd for Signals {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}
