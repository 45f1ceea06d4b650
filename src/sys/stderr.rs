//! The log: to stderr, one write per line, and never at the price of the service.
//!
//! `simple_logger` formats and prints with `eprintln!`, which waits on a stalled pipe and ends
//! the process on a full disk or a closed pipe. So descriptor 2 becomes a pipe of our own that
//! always has room, and each line goes from there to the real stderr only where that takes it;
//! where not, it is dropped and counted.

use std::io;
use std::os::fd::{AsFd, OwnedFd};
use std::sync::Mutex;

use log::{LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::unistd::{dup, dup2_stderr, pipe2, read, write};
use simple_logger::SimpleLogger;

/// The longest line. A pipe takes so much in one piece (PIPE_BUF), and stderr, once it polls
/// writable, takes it without waiting.
const LINE_MAX: usize = 4096;

/// Sends everything that is logged to stderr from now on.
///
/// # Errors
/// Descriptors have run out, or a logger is installed already.
pub fn start(level: LevelFilter) -> Result<(), Errno> {
    let real = dup(io::stderr())?;
    let (inner, outer) = pipe2(OFlag::O_CLOEXEC | OFlag::O_NONBLOCK)?;
    dup2_stderr(&outer)?;
    let printer = SimpleLogger::new().with_level(level);
    let lines = Lines {
        real,
        inner,
        dropped: 0,
    };
    log::set_max_level(printer.max_level());
    let logger = Logger {
        printer,
        lines: Mutex::new(lines),
    };
    log::set_boxed_logger(Box::new(logger)).map_err(|_| Errno::EEXIST)?;
    // A panic's last words would stay in the pipe. A router's program ends without any.
    #[cfg(not(panic = "immediate-abort"))]
    std::panic::set_hook(Box::new(|info| {
        crate::log::log(log::Level::Error, format_args!("{info}"));
    }));
    Ok(())
}

struct Logger {
    printer: SimpleLogger,
    lines: Mutex<Lines>,
}

struct Lines {
    real: OwnedFd,
    inner: OwnedFd,
    dropped: u32,
}

impl Log for Logger {
    fn enabled(&self, metadata: &Metadata<'_>) -> bool {
        self.printer.enabled(metadata)
    }

    fn log(&self, record: &Record<'_>) {
        if !self.enabled(record.metadata()) {
            return;
        }
        // One thread: nobody else ever holds it.
        let Ok(mut lines) = self.lines.try_lock() else {
            return;
        };
        self.printer.log(record);
        lines.pass_on();
    }

    fn flush(&self) {}
}

impl Lines {
    /// Takes the line out of the pipe, and writes it where that does not wait.
    fn pass_on(&mut self) {
        let mut line = [0; LINE_MAX];
        let Ok(len) = read(&self.inner, &mut line) else {
            return;
        };
        if !self.takes() || write(&self.real, &line[..len]).is_err() {
            self.dropped = self.dropped.saturating_add(1);
            return;
        }
        if self.dropped > 0 {
            let note = format!(
                "WARN  [anklet] {} lines of this log were lost\n",
                self.dropped
            );
            self.dropped = 0;
            if self.takes() {
                let _ = write(&self.real, note.as_bytes());
            }
        }
    }

    /// Returns `true` if the real stderr takes a line without waiting.
    fn takes(&self) -> bool {
        let mut descriptors = [PollFd::new(self.real.as_fd(), PollFlags::POLLOUT)];
        let polled = poll(&mut descriptors, PollTimeout::ZERO);
        polled == Ok(1) && descriptors[0].revents() == Some(PollFlags::POLLOUT)
    }
}
