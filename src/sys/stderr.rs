//! The log: to stderr or to the system's log, one write per line, and never at the price of the
//! service.
//!
//! `simple_logger` says what is logged, and its form of a line is ours. The write is not its own:
//! `eprintln!` waits on a stalled pipe or terminal, and ends the process when the write fails. A
//! line that stderr does not take at once is lost and counted, whatever the reason.

use std::fmt::format;
use std::io;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::process;
use std::sync::Mutex;
use std::time::{SystemTime, UNIX_EPOCH};

use log::{Level, LevelFilter, Log, Metadata, Record};
use nix::errno::Errno;
use nix::fcntl::OFlag;
use nix::poll::{PollFd, PollFlags, PollTimeout, poll};
use nix::sys::socket::{AddressFamily, MsgFlags, SockFlag, SockType, UnixAddr, sendto, socket};
use nix::sys::stat::{SFlag, fstat};
use nix::unistd;
use simple_logger::SimpleLogger;

use super::file;

/// The facility "system daemons" (RFC 3164 §4.1.1).
const DAEMON: u32 = 3 << 3;

/// The longest line. A pipe takes so much in one piece or not at all (PIPE_BUF), and what polls
/// writable takes it without waiting.
const LINE_MAX: usize = 4096;

/// Sends everything that is logged to the socket of the system's log from now on, where one is
/// given, and to stderr.
///
/// # Errors
/// A logger is installed already, or the name of the socket is too long for one.
pub fn start(level: LevelFilter, syslog: Option<&str>) -> Result<(), Errno> {
    let printer = SimpleLogger::new().with_level(level);
    log::set_max_level(printer.max_level());
    let logger = Logger {
        printer,
        syslog: syslog.map(Syslog::new).transpose()?,
        stderr: Mutex::new(Stderr::new()),
    };
    log::set_boxed_logger(Box::new(logger)).map_err(|_| Errno::EEXIST)
}

struct Logger {
    printer: SimpleLogger,
    syslog: Option<Syslog>,
    stderr: Mutex<Stderr>,
}

/// The system's log: a datagram for each line. The socket is not connected, so that a log that is
/// started again is found again.
struct Syslog {
    socket: OwnedFd,
    addr: UnixAddr,
}

struct Stderr {
    /// Nobody behind it knows when a line came: it is a terminal or a file.
    is_timed: bool,
    /// A pipe or a terminal, opened again.
    unwaiting: Option<OwnedFd>,
    /// What a terminal or a full disk has not taken yet of a line that it has begun.
    rest: Vec<u8>,
    /// Lines lost since the last one that got through.
    lost: u32,
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
        let Ok(mut stderr) = self.stderr.try_lock() else {
            return;
        };
        if let Some(syslog) = &self.syslog
            && syslog.takes(record)
        {
            return;
        }
        let (level, target) = (record.level(), record.target());
        stderr.say(format_args!("{level:<5} [{target}] {}", record.args()));
    }

    fn flush(&self) {}
}

impl Syslog {
    fn new(name: &str) -> Result<Self, Errno> {
        let flags = SockFlag::SOCK_CLOEXEC | SockFlag::SOCK_NONBLOCK;
        let kind = SockType::Datagram;
        Ok(Self {
            socket: socket(AddressFamily::Unix, kind, flags, None)?,
            addr: UnixAddr::new(&*file::terminated(name)?)?,
        })
    }

    /// Returns `true` if the line got through.
    fn takes(&self, record: &Record<'_>) -> bool {
        let severity = match record.level() {
            Level::Error => 3,
            Level::Warn => 4,
            Level::Info => 6,
            Level::Debug | Level::Trace => 7,
        };
        // Without a date (RFC 3164 §4.3.3): the log has its own. OpenWrt's takes 16 bytes that end
        // in a blank for one, and the digits are as many that there is none in that place.
        let line = format(format_args!(
            "<{}>anklet[{:07}]: {}",
            DAEMON | severity,
            process::id(),
            record.args()
        ));
        let bytes = &line.as_bytes()[..line.len().min(LINE_MAX)];
        let fd = self.socket.as_raw_fd();
        sendto(fd, bytes, &self.addr, MsgFlags::empty()).is_ok()
    }
}

impl Stderr {
    fn new() -> Self {
        let mode = fstat(io::stderr()).map_or(0, |stat| stat.st_mode);
        let kind = SFlag::from_bits_truncate(mode) & SFlag::S_IFMT;
        Self {
            is_timed: matches!(kind, SFlag::S_IFCHR | SFlag::S_IFREG),
            unwaiting: opened_again(kind),
            rest: Vec::new(),
            lost: 0,
        }
    }

    /// Writes a line, and before it how many were lost.
    fn say(&mut self, line: std::fmt::Arguments<'_>) {
        if self.lost > 0 {
            let lost = self.lost;
            let note = format_args!("WARN  [anklet] {lost} lines of this log were lost");
            if self.takes(note) {
                self.lost = 0;
            }
        }
        if self.lost > 0 || !self.takes(line) {
            self.lost = self.lost.saturating_add(1);
        }
    }

    /// Returns `true` if the line got through, or its beginning, whose rest is kept.
    fn takes(&mut self, line: std::fmt::Arguments<'_>) -> bool {
        let written = self.write(&self.rest);
        self.rest = self.rest[written..].to_vec();
        if !self.rest.is_empty() {
            return false;
        }
        let time = if self.is_timed {
            time_of_day()
        } else {
            String::new()
        };
        let mut bytes = format(format_args!("{time}{line}")).into_bytes();
        bytes.truncate(LINE_MAX - 1);
        bytes.push(b'\n');
        let written = self.write(&bytes);
        if written > 0 {
            self.rest = bytes[written..].to_vec();
        }
        written > 0
    }

    /// Writes what is taken without waiting, and returns how much that was.
    fn write(&self, bytes: &[u8]) -> usize {
        let written = match &self.unwaiting {
            _ if bytes.is_empty() => return 0,
            Some(unwaiting) => unistd::write(unwaiting, bytes),
            None if is_writable() => unistd::write(io::stderr(), bytes),
            None => return 0,
        };
        written.unwrap_or(0)
    }
}

/// Opens a pipe or a terminal again, so that it never waits: it would share the flag for that
/// with every other program that has it. A terminal that has room for a byte polls writable, and
/// then waits for the rest of a line.
fn opened_again(kind: SFlag) -> Option<OwnedFd> {
    match kind {
        SFlag::S_IFIFO | SFlag::S_IFCHR => {
            let flags = OFlag::O_WRONLY | OFlag::O_NOCTTY;
            file::open("/proc/self/fd/2", flags).ok()
        }
        _ => None,
    }
}

/// The time of day in UTC: `simple_logger` has one with the crate `time` only.
fn time_of_day() -> String {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    let seconds = since.map_or(0, |since| since.as_secs());
    let (hour, minute, second) = (seconds / 3600 % 24, seconds / 60 % 60, seconds % 60);
    format(format_args!("{hour:02}:{minute:02}:{second:02}Z "))
}

/// Returns `true` if stderr takes a line without waiting.
fn is_writable() -> bool {
    let stderr = io::stderr();
    let mut descriptors = [PollFd::new(stderr.as_fd(), PollFlags::POLLOUT)];
    let polled = poll(&mut descriptors, PollTimeout::ZERO);
    polled == Ok(1) && descriptors[0].revents() == Some(PollFlags::POLLOUT)
}
