//! Values that the system refuses, or that mean nothing on this machine: said at start and by
//! `--check`, before anything is served.

use std::process::Output;

use crate::support::targets::Target;
use crate::support::{command, is_emulated, not_run};

/// Runs it to its end as an account without rights.
fn as_nobody(options: &[&str]) -> Output {
    let wrapper = [
        "setpriv",
        "--reuid=65534",
        "--regid=65534",
        "--clear-groups",
    ];
    command(&wrapper, options).output().unwrap()
}

fn lines(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (
        output.status.code(),
        text(&output.stdout),
        text(&output.stderr),
    )
}

#[test]
fn what_needs_rights_is_refused_without_them() {
    if !nix::unistd::geteuid().is_root() || is_emulated() {
        return not_run("values that need rights: needs to be root, on the machine itself");
    }
    for (options, complaint) in [
        (
            &["--mark", "5"][..],
            "anklet: --mark 5: Operation not permitted",
        ),
        (
            &["--relay-ports", "10-20"],
            "anklet: --relay-ports 10-20: Permission denied",
        ),
        (
            &["-p", "80"],
            "anklet: cannot listen on 0.0.0.0:80: Permission denied",
        ),
    ] {
        let (status, stdout, stderr) = lines(&as_nobody(&[options, &["--check"]].concat()));
        assert_eq!((status, stdout), (Some(2), String::new()), "{options:?}");
        assert!(stderr.starts_with(complaint), "{stderr}");
        assert!(stderr.ends_with(", which root has\n"), "{stderr}");
        assert_eq!(stderr.lines().count(), 1, "{stderr}");
        let (status, _, stderr) = lines(&as_nobody(options));
        assert!(matches!(status, Some(1 | 2)), "{options:?}");
        assert!(
            stderr.contains(complaint.trim_start_matches("anklet: ")),
            "{stderr}"
        );
    }
}

/// What `--check` warns of.
#[track_caller]
fn warnings(options: &[&str]) -> Vec<String> {
    let output = command(&[], &[options, &["--check"]].concat())
        .output()
        .unwrap();
    let (status, stdout, stderr) = lines(&output);
    assert_eq!((status, stderr), (Some(0), String::new()), "{options:?}");
    let warnings = stdout
        .lines()
        .filter_map(|line| line.strip_prefix("warning: "));
    warnings.map(str::to_string).collect()
}

#[test]
fn what_is_not_there_now_is_a_warning() {
    let taken = Target::new();
    let addr = taken.addr.to_string();
    let name = ["-u", "me", "-P", "secret"];
    for (options, warning) in [
        (
            &["--clients", "nonsense"][..],
            "--clients nonsense means nobody: no interface nonsense has an address now",
        ),
        (&["--trust", "eth99"], "--trust eth99 means nobody: "),
        (
            &["--permit", "example.com"],
            "--permit example.com means nobody: ",
        ),
        (
            &["--block", "facebook.com:443"],
            "--block facebook.com:443 means nobody: ",
        ),
        (
            &["-b", "eth99"],
            "--bind eth99: no such interface, or no address now",
        ),
        (
            &["-b", "192.0.2.9"],
            "--bind 192.0.2.9: no interface has that address now",
        ),
        (&["-i", &addr], "cannot listen on "),
        (
            &["-i", "192.0.2.9", "--retry-listen"],
            "cannot listen on 192.0.2.9:",
        ),
        (
            &["-i", "eth99"],
            "cannot listen on eth99: no such interface, or no address now",
        ),
    ] {
        let found = warnings(&[options, &["-p", "0"], &name].concat());
        let is_there = found.iter().any(|line| line.starts_with(warning));
        assert!(is_there, "{options:?}: {found:?}");
    }
    let fine = warnings(&[
        "--block",
        "lo",
        "-b",
        "127.0.0.1",
        "-i",
        "127.0.0.1",
        "-p",
        "0",
    ]);
    assert!(!fine.iter().any(|line| line.contains("--b")), "{fine:?}");
}

#[test]
fn a_port_behind_ipv6_without_brackets_is_an_error() {
    for (options, complaint) in [
        (
            ["-i", "::1:1080"],
            "anklet: --listen ::1:1080: a port behind IPv6 needs brackets",
        ),
        (
            ["--permit", "::1:443"],
            "anklet: --permit ::1:443: a port behind IPv6 needs brackets",
        ),
        (
            ["--dns", "::1:53"],
            "anklet: --dns ::1:53: a port behind IPv6 needs brackets",
        ),
    ] {
        let (status, _, stderr) = lines(&command(&[], &options).output().unwrap());
        assert_eq!(status, Some(2), "{options:?}");
        assert!(stderr.starts_with(complaint), "{stderr}");
    }
}
