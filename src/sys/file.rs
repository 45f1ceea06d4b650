//! Small files of /etc and /proc: bounded reading, and the lines and words in them.
//!
//! What the words mean is for those who read them.

use std::ffi::CString;
use std::os::fd::OwnedFd;

use nix::errno::Errno;
use nix::fcntl::{self, OFlag};
use nix::sys::stat::{Mode, SFlag, fstat};
use nix::unistd;

/// How much room is made at a time: most of these files fit into one such piece.
const PIECE_BYTES: usize = 4096;

/// Opens a file for `flags`, without waiting for anything. `std::fs` does it too, with an error
/// for each wrong way to ask.
///
/// # Errors
/// The system's.
pub fn open(path: &str, flags: OFlag) -> Result<OwnedFd, Errno> {
    let flags = flags | OFlag::O_CLOEXEC | OFlag::O_NONBLOCK;
    fcntl::open(&*terminated(path)?, flags, Mode::empty())
}

/// A path in the form that system calls take. nix would do it in each of its calls, short paths
/// on the stack and long ones on the heap.
///
/// # Errors
/// EINVAL: there is a NUL in it.
pub fn terminated(path: &str) -> Result<CString, Errno> {
    CString::new(path).map_err(|_| Errno::EINVAL)
}

/// What kind of file it is, and who beside its owner may do what with it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rights {
    /// It is a file: no folder, pipe or device.
    pub is_file: bool,
    /// A group may write it that is neither root's nor this process's.
    pub group_writes: bool,
    /// Everybody may write it.
    pub others_write: bool,
    /// Everybody may read it.
    pub others_read: bool,
}

/// A file as it was read.
#[derive(Debug, PartialEq, Eq)]
pub struct Contents {
    /// What it has, up to the bound; nothing if it is no file.
    pub text: Vec<u8>,
    /// That was all of it.
    pub is_whole: bool,
    /// Those of the file that was opened, whatever stands at its path meanwhile.
    pub rights: Rights,
}

/// Reads a file up to `bytes_max`, with its rights. From what is no file nothing is read.
///
/// # Errors
/// It cannot be opened or read.
pub fn contents(path: &str, bytes_max: usize) -> Result<Contents, Errno> {
    let file = open(path, OFlag::O_RDONLY)?;
    let rights = rights(&file)?;
    let (text, is_whole) = match rights.is_file {
        true => read_open(&file, bytes_max)?,
        false => (Vec::new(), true),
    };
    Ok(Contents {
        text,
        is_whole,
        rights,
    })
}

fn rights(file: &OwnedFd) -> Result<Rights, Errno> {
    let stat = fstat(file)?;
    let mode = Mode::from_bits_truncate(stat.st_mode);
    let is_own_group = stat.st_gid == 0 || stat.st_gid == unistd::getegid().as_raw();
    Ok(Rights {
        is_file: SFlag::from_bits_truncate(stat.st_mode) & SFlag::S_IFMT == SFlag::S_IFREG,
        group_writes: mode.contains(Mode::S_IWGRP) && !is_own_group,
        others_write: mode.contains(Mode::S_IWOTH),
        others_read: mode.contains(Mode::S_IROTH),
    })
}

/// Reads a file up to `bytes_max`, and tells whether that was all of it. What is no file has
/// nothing to read, or more than that.
///
/// # Errors
/// It cannot be opened or read, or is a folder.
pub fn read(path: &str, bytes_max: usize) -> Result<(Vec<u8>, bool), Errno> {
    read_open(&open(path, OFlag::O_RDONLY)?, bytes_max)
}

/// The same for a file that is open.
fn read_open(file: &OwnedFd, bytes_max: usize) -> Result<(Vec<u8>, bool), Errno> {
    let mut text = Vec::new();
    loop {
        let len = text.len();
        text.resize(len + PIECE_BYTES, 0);
        let read = unistd::read(file, &mut text[len..])?;
        text.truncate(len + read);
        if text.len() > bytes_max {
            text.truncate(bytes_max);
            return Ok((text, false));
        }
        if read == 0 {
            return Ok((text, true));
        }
    }
}

/// The lines of a text, without their ends.
pub fn lines(text: &[u8]) -> impl Iterator<Item = &[u8]> {
    text.split(|byte| *byte == b'\n')
}

/// The words of a line: what blanks separate.
#[derive(Clone)]
pub struct Words<'a>(pub &'a [u8]);

impl<'a> Iterator for Words<'a> {
    type Item = &'a [u8];

    fn next(&mut self) -> Option<&'a [u8]> {
        let line = self.0.trim_ascii_start();
        let len = line.iter().position(u8::is_ascii_whitespace);
        let (word, rest) = line.split_at(len.unwrap_or(line.len()));
        self.0 = rest;
        (!word.is_empty()).then_some(word)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_is_read_whole_or_up_to_the_bound() {
        let path = concat!(env!("CARGO_MANIFEST_DIR"), "/Cargo.lock");
        let (text, whole) = read(path, 1 << 20).unwrap();
        assert!(whole && text == std::fs::read(path).unwrap() && text.len() > PIECE_BYTES);
        let (part, whole) = read(path, 5000).unwrap();
        assert!(!whole && part == text[..5000]);
        assert_eq!(read(path, text.len()).unwrap(), (text, true));
    }

    #[test]
    fn what_is_no_file_is_an_error_or_endless() {
        let why = |path| read(path, 1).unwrap_err();
        assert_eq!(why("/nonexistent"), Errno::ENOENT);
        assert_eq!(why("/proc"), Errno::EISDIR);
        assert!(!read("/dev/zero", 10_000).unwrap().1);
    }

    #[test]
    fn words_are_what_blanks_separate() {
        let words: Vec<_> = Words(b" one\ttwo  three\r").collect();
        assert_eq!(words, [&b"one"[..], b"two", b"three"]);
        assert_eq!(Words(b" \t").next(), None);
        assert_eq!(lines(b"a\n\nb").count(), 3);
    }
}
