//! Takes a password out of the process's own command line, which every user of the machine
//! can read in /proc and with `ps`.
//!
//! The arguments are overwritten in place through /proc/self/mem, so that no unsafe code is
//! needed. What is shown afterwards is the command line in one string, the password missing
//! from it. Blanking the bytes where they are would be simpler, but the length would still
//! show: the kernel prints the whole area, NULs included, unless its last byte is not NUL. In
//! that case, made for setproctitle(3), it prints up to the first NUL. So the rest of the
//! area is filled with blanks. `main` calls this once, after it has taken the arguments.

use std::fs::File;
use std::os::unix::fs::FileExt;

use nix::fcntl::OFlag;

use super::file::{self, Words};
use crate::wire::decimal;

/// Longest command line that is looked at: the kernel's usual bound for all arguments
/// together (a quarter of an 8 MiB stack).
const CMDLINE_BYTES_MAX: usize = 2 << 20;

/// Position of `arg_start` in /proc/self/stat behind the program's name, which may contain
/// anything and ends with the last parenthesis: it is field 48 of proc(5), counted from 1, and
/// the first one behind the name is field 3. `arg_end` follows it.
const ARG_START_FIELD: usize = 48 - 3;

/// Removes every argument that is, or ends as the value of the option in, `password`.
/// `false` if that could not be done; then the password may still be readable. The process
/// must not look at its arguments afterwards: they have lost their bounds.
pub fn hide_password(password: &[u8]) -> bool {
    overwrite(password).unwrap_or(false)
}

/// Does the work of [`hide_password`]; `None` stands for `false`.
fn overwrite(password: &[u8]) -> Option<bool> {
    let line = read("/proc/self/cmdline")?;
    let (start, end) = area(&read("/proc/self/stat")?)?;
    let mut shown = without(&line, password)?;
    shown.push(0);
    shown.resize(line.len(), b' ');
    // Where the two disagree (an emulator, an area overwritten before), nothing is touched.
    if end.checked_sub(start) != u64::try_from(line.len()).ok() {
        return None;
    }
    let memory = file::open("/proc/self/mem", OFlag::O_WRONLY).ok()?;
    // nix has an offset of 32 bits where glibc has, and the stack lies above.
    let written = File::from(memory).write_at(&shown, start).ok()?;
    let seen = read("/proc/self/cmdline")?;
    // The kernel prints at most a page of such a string, and a NUL behind it or not.
    Some(written == shown.len() && seen.len() > 1 && shown.starts_with(&seen))
}

/// A file about this process as it is now.
fn read(path: &str) -> Option<Vec<u8>> {
    Some(file::read(path, CMDLINE_BYTES_MAX).ok()?.0)
}

/// Where the arguments lie in memory: first byte and the one behind the last.
fn area(stat: &[u8]) -> Option<(u64, u64)> {
    let name_end = stat.iter().rposition(|byte| *byte == b')')?;
    let mut fields = Words(&stat[name_end + 1..]).skip(ARG_START_FIELD);
    Some((decimal(fields.next()?)?, decimal(fields.next()?)?))
}

/// The NUL-ended arguments of `line` joined by blanks, every `password` left out. `None` if
/// there was none to leave out, so that the result is always shorter than `line` by two.
fn without(line: &[u8], password: &[u8]) -> Option<Vec<u8>> {
    let mut shown = Vec::with_capacity(line.len());
    let mut found = false;
    for (number, arg) in line
        .strip_suffix(&[0])?
        .split(|byte| *byte == 0)
        .enumerate()
    {
        let mut kept = arg;
        if number > 0 {
            shown.push(b' ');
            if let Some(start) = value_start(arg, password) {
                kept = &arg[..start];
                found = true;
            }
        }
        shown.extend_from_slice(kept);
    }
    (found && !password.is_empty()).then_some(shown)
}

/// Where `password` starts in an argument that ends with it: `PASS` itself, `--password=PASS`
/// (getopts takes `--P=PASS` too), or a group of short options such as `-qPPASS`. Another
/// argument that reads like one of these goes with it, which does no harm.
fn value_start(arg: &[u8], password: &[u8]) -> Option<usize> {
    let option = arg.strip_suffix(password)?;
    let short = matches!(option, [b'-', first, ..] if *first != b'-') && option.ends_with(b"P");
    let long = option == b"--password=" || option == b"--P=";
    (option.is_empty() || short || long).then_some(option.len())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    /// Set in the child that `the_running_process_shows_no_password` starts.
    const CHILD: &str = "ANKLET_TEST_HIDE";
    const SECRET: &str = "hunter2hunter2";

    fn shown(args: &[&str]) -> Option<String> {
        let mut line = Vec::new();
        for arg in args {
            line.extend_from_slice(arg.as_bytes());
            line.push(0);
        }
        let shown = without(&line, b"secret")?;
        assert!(shown.len() + 2 <= line.len(), "room for a NUL and a blank");
        Some(String::from_utf8(shown).unwrap())
    }

    #[test]
    fn the_password_is_found_however_it_was_typed() {
        for (args, meant) in [
            (&["anklet", "-P", "secret", "-q"][..], "anklet -P  -q"),
            (&["anklet", "-q", "-P", "secret"], "anklet -q -P "),
            (&["anklet", "-Psecret"], "anklet -P"),
            (&["anklet", "-1qPsecret", "-v"], "anklet -1qP -v"),
            (&["anklet", "--password", "secret"], "anklet --password "),
            (
                &["anklet", "--password=secret", "-q"],
                "anklet --password= -q",
            ),
            (&["anklet", "--P=secret"], "anklet --P="),
            (
                &["anklet", "-u", "secret", "-P", "secret"],
                "anklet -u  -P ",
            ),
            (&["secret", "-Psecret"], "secret -P"),
        ] {
            assert_eq!(shown(args).as_deref(), Some(meant), "{args:?}");
        }
    }

    #[test]
    fn nothing_is_changed_where_no_password_is() {
        assert_eq!(shown(&["anklet", "-q"]), None);
        assert_eq!(shown(&["secret", "-q"]), None);
        assert_eq!(shown(&["anklet", "--user=secret", "-isecret"]), None);
        assert_eq!(without(b"", b"secret"), None);
        assert_eq!(without(b"anklet\0\0", b""), None);
    }

    #[test]
    fn the_area_is_found_behind_a_name_with_parentheses_and_blanks() {
        let mut stat = String::from("7 (a) b) (c) S");
        for field in 4..=52 {
            stat.push_str(&format!(" {}", field * 10));
        }
        assert_eq!(area(stat.as_bytes()), Some((480, 490)));
        assert_eq!(area(b"7 (anklet) S 1 2 3"), None);
        assert_eq!(area(b""), None);
    }

    #[test]
    fn the_running_process_shows_no_password() {
        if std::env::var_os(CHILD).is_some() {
            assert!(hide_password(SECRET.as_bytes()));
            println!(
                "<{}>",
                String::from_utf8(read("/proc/self/cmdline").unwrap()).unwrap()
            );
            assert!(
                !hide_password(SECRET.as_bytes()),
                "a second time finds nothing"
            );
            return;
        }
        // The harness takes the secret for the name of another test to run.
        let name = "the_running_process_shows_no_password";
        let output = Command::new(std::env::current_exe().unwrap())
            .args([name, SECRET, "--nocapture", "--test-threads=1"])
            .env(CHILD, "1")
            .output()
            .unwrap();
        let text = String::from_utf8(output.stdout).unwrap();
        assert!(output.status.success(), "{text}");
        assert!(!text.contains(SECRET), "{text}");
        assert!(
            text.contains(&format!("{name}  --nocapture --test-threads=1\0>")),
            "{text}"
        );
    }
}
