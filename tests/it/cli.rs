//! The program from outside: its help, its refusals, `--check`, and what others see of its
//! command line. Tunnels are tested elsewhere.

use std::fs;
use std::process::{Child, Command, Output, Stdio};

use crate::support::{Folder, command, is_emulated, not_run, wait_until};

fn program() -> Command {
    let mut command = command(&[], &[]);
    command.stdin(Stdio::null());
    command
}

/// Its output with `args` where there are only 64 descriptors.
fn with_few_descriptors(args: &[&str]) -> Output {
    let script = r#"ulimit -n 64 && exec "$@""#;
    let mut command = command(&["sh", "-c", script, "sh"], args);
    command.output().unwrap()
}

/// Whether the command line can be seen; that of an emulator neither hides nor shows anything.
fn is_shown() -> bool {
    if is_emulated() {
        not_run("the command line in /proc is the emulator's");
    }
    !is_emulated()
}

/// Runs it to its end, which must come by itself.
#[track_caller]
fn run(args: &[&str]) -> Output {
    let mut child = Running(
        program()
            .args(args)
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap(),
    );
    wait_until("its end", || child.0.try_wait().unwrap().is_some());
    let mut output = Output {
        status: child.0.wait().unwrap(),
        stdout: vec![],
        stderr: vec![],
    };
    let (stdout, stderr) = (
        child.0.stdout.as_mut().unwrap(),
        child.0.stderr.as_mut().unwrap(),
    );
    std::io::Read::read_to_end(stdout, &mut output.stdout).unwrap();
    std::io::Read::read_to_end(stderr, &mut output.stderr).unwrap();
    output
}

/// Asserts that it refuses to start with exactly this line.
#[track_caller]
fn refuses(args: &[&str], line: &str) {
    let output = run(args);
    assert_eq!(
        text(&output.stderr),
        format!("anklet: {line}\n"),
        "{args:?}"
    );
    assert_eq!(text(&output.stdout), "", "{args:?}");
    assert_eq!(output.status.code(), Some(2), "{args:?}");
}

/// The standard output of a run that ends well.
#[track_caller]
fn prints(args: &[&str]) -> String {
    let output = run(args);
    assert_eq!(
        output.status.code(),
        Some(0),
        "{args:?}: {}",
        text(&output.stderr)
    );
    text(&output.stdout)
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8(bytes.to_vec()).unwrap()
}

/// A process that ends with its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// How it ends when what it prints goes to `stdout`, and what it complains of.
#[track_caller]
fn printing_to(stdout: Stdio, option: &str) -> (Option<i32>, String) {
    let mut program = program();
    program.arg(option).stdout(stdout).stderr(Stdio::piped());
    let output = program.spawn().unwrap().wait_with_output().unwrap();
    (output.status.code(), text(&output.stderr))
}

#[test]
fn what_cannot_be_printed_is_an_error_and_a_reader_that_has_left_is_none() {
    for option in ["--help", "--version", "--check"] {
        let full = fs::File::options().write(true).open("/dev/full").unwrap();
        let (status, complaint) = printing_to(full.into(), option);
        assert_eq!(status, Some(1), "{option}: {complaint}");
        assert!(
            complaint.starts_with("anklet: No space left"),
            "{complaint}"
        );
        let (reader, writer) = std::io::pipe().unwrap();
        drop(reader);
        let ended = printing_to(writer.into(), option);
        assert_eq!(ended, (Some(0), String::new()), "{option}");
    }
}

#[test]
fn help_goes_to_the_standard_output() {
    let help = prints(&["-h"]);
    assert!(help.starts_with("Usage: anklet [OPTION]...\n"));
    assert!(help.contains("  -i, --listen ADDR[:PORT],.."));
    assert!(help.contains("  -V, --version "));
    assert_eq!(prints(&["--help"]), help);
}

#[test]
fn version_is_one_line() {
    let line = concat!("anklet ", env!("CARGO_PKG_VERSION"), "\n");
    assert_eq!(prints(&["-V"]), line);
    assert_eq!(prints(&["--version"]), line);
}

#[test]
fn options_that_do_not_exist_are_refused() {
    refuses(&["-x"], "-x: unknown option");
    refuses(&["--liste", "::1"], "--liste: unknown option");
    refuses(&["-p"], "--port: needs a value");
    refuses(&["--quiet=yes"], "--quiet: takes no value");
    refuses(&["-p", "1", "--port=2"], "--port: given more than once");
    refuses(&["127.0.0.1"], "127.0.0.1: belongs to no option");
}

#[test]
fn values_that_cannot_be_honoured_are_refused() {
    refuses(
        &["-i", "127.0.0.1:x"],
        "--listen 127.0.0.1:x: the port is not a number from 0 to 65535",
    );
    refuses(&["-i", "127.0.0"], "--listen 127.0.0: not an address");
    refuses(&["-p", "-1"], "--port -1: not a number from 0 to 65535");
    refuses(
        &["-b", "0.0.0.0"],
        "--bind 0.0.0.0: not the address of an interface",
    );
    refuses(
        &["--mark", "red"],
        "--mark red: not a number of 32 bits, decimal or 0x hexadecimal",
    );
    refuses(&["--prefer", "ipv4"], "--prefer ipv4: neither 4 nor 6");
    refuses(&["--dns", "router"], "--dns router: not an address");
    refuses(
        &["--idle-timeout", "0"],
        "--idle-timeout 0: not a number from 1 to 2592000",
    );
    refuses(
        &["--max-sessions", "0"],
        "--max-sessions 0: not a number from 1 to 65535",
    );
    refuses(
        &["--buffer-size", "1"],
        "--buffer-size 1: not a number from 256 to 65536",
    );
    refuses(
        &["--relay-ports", "5099-5000"],
        "--relay-ports 5099-5000: the first port is above the last",
    );
    refuses(
        &["--public", "192.0.2.1,::"],
        "--public ::: nobody answers there",
    );
    refuses(
        &["--clients", "10.0.0.1,"],
        "--clients 10.0.0.1,: an item of the list is empty",
    );
}

#[test]
fn contradictions_are_refused() {
    refuses(&["-4", "-6"], "--ipv4: contradicts --ipv6");
    refuses(&["-6", "--prefer", "6"], "--prefer 6: contradicts --ipv6");
    refuses(&["-4", "-b", "::2"], "--bind ::2: contradicts --ipv4");
    refuses(&["-qv"], "--quiet: contradicts --verbose");
    refuses(&["-1"], "--auth-once: needs --user or --users");
    refuses(&["-w", "br-lan"], "--trust br-lan: needs --user or --users");
    refuses(&["-u", "me"], "--user me: needs --password");
    refuses(&["-P", "secret"], "--password: needs --user");
    let strict = ["--udp-strict", "--no-udp"];
    refuses(&strict, "--udp-strict: contradicts --no-udp");
    refuses(
        &["--no-udp", "--no-bind", "--relay-ports", "5000-5099"],
        "--relay-ports 5000-5099: contradicts --no-udp with --no-bind",
    );
}

#[test]
fn more_sessions_than_descriptors_are_refused() {
    let output = with_few_descriptors(&["--max-sessions", "12", "--check"]);
    let line = "anklet: --max-sessions 12: 64 descriptors (ulimit -n) carry 11 sessions\n";
    assert_eq!(text(&output.stderr), line);
    assert_eq!(output.status.code(), Some(2));
}

#[test]
fn few_descriptors_lower_the_number_of_sessions_with_a_warning() {
    let output = with_few_descriptors(&["--check"]);
    let stdout = text(&output.stdout);
    assert!(stdout.contains("max-sessions: 8\n"), "{stdout}");
    let warning = "warning: 64 descriptors (ulimit -n) carry 8 sessions only\n";
    assert!(stdout.contains(warning), "{stdout}");
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn check_prints_the_policy_and_does_not_listen() {
    let args = [
        "--check",
        "-i",
        "127.0.0.1:0",
        "--permit",
        "192.168.1.0/24:80",
    ];
    let report = prints(
        &[
            &args[..],
            &["--dns", "127.0.0.1", "-4", "--max-sessions", "7"],
        ]
        .concat(),
    );
    for line in [
        "listen: 127.0.0.1:0\n",
        "users: 0\n",
        "permit: 192.168.1.0/24:80\n",
        "name server: 127.0.0.1:53\n",
        "families: IPv4\n",
        "max-sessions: 7\n",
    ] {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
    // An address of nobody here cannot be listened on, but it can be checked.
    assert!(prints(&["--check", "-i", "192.0.2.1"]).contains("listen: 192.0.2.1:1080\n"));
}

#[test]
fn check_prints_the_protocols_that_are_on() {
    let report = prints(&["--check", "--max-sessions", "7"]);
    for line in [
        "protocols: SOCKS5, SOCKS4, HTTP\ncommands: CONNECT, BIND, UDP ASSOCIATE\n",
        "relay-ports: the kernel's choice\npublic: the local address\nudp-strict: off\n",
        "associations: 1\nBINDs: 7\n",
    ] {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
    let args = ["--check", "--no-socks4", "--no-http", "--no-bind"];
    let relay = ["--relay-ports", "5000-5099", "--public", "192.0.2.1,::2"];
    let report = prints(&[&args[..], &relay, &["--udp-strict"]].concat());
    for line in [
        "protocols: SOCKS5\ncommands: CONNECT, UDP ASSOCIATE\n",
        "relay-ports: 5000-5099\npublic: 192.0.2.1\npublic: ::2\nudp-strict: on\n",
    ] {
        assert!(report.contains(line), "{line} is not in\n{report}");
    }
    let report = prints(&["--check", "--no-udp", "--no-bind"]);
    assert!(report.contains("commands: CONNECT\n"), "{report}");
    assert!(!report.contains("relay-ports"), "{report}");
}

#[test]
fn check_warns_of_an_open_proxy() {
    let warning = "warning: anyone in 0.0.0.0/0 may use this proxy without a password\n";
    assert!(prints(&["--check", "--clients", "0.0.0.0/0"]).contains(warning));
    let args = [
        "--check",
        "--clients",
        "0.0.0.0/0",
        "-u",
        "me",
        "-P",
        "secret",
    ];
    assert!(!prints(&args).contains("without a password"));
}

#[test]
fn check_shows_no_password() {
    let folder = Folder::new("shown");
    let users = folder.write("users", "you:hunter2\n");
    let report = prints(&["--check", "-u", "me", "-P", "secret", "--users", &users]);
    assert!(report.contains("users: 2\n"), "{report}");
    assert!(
        !report.contains("secret") && !report.contains("hunter2"),
        "{report}"
    );
}

#[test]
fn check_ends_with_2_where_a_file_is_bad() {
    let missing = "/nonexistent/users";
    let why = "No such file or directory (os error 2)";
    refuses(
        &["--check", "--users", missing],
        &format!("--users {missing}: {why}"),
    );
    let folder = Folder::new("bad-users");
    let empty = folder.write("empty", "# nobody yet\n");
    let line = format!("--users {empty}: no user in it");
    refuses(&["--check", "--users", &empty], &line);
    let bad = folder.write("bad", "you:word\nhunter2\n");
    let output = run(&["--check", "--users", &bad]);
    let stderr = text(&output.stderr);
    assert!(
        stderr.starts_with(&format!("anklet: --users {bad}: line 2: ")),
        "{stderr}"
    );
    assert!(!stderr.contains("hunter2"), "{stderr}");
    assert_eq!(output.status.code(), Some(2));
}

/// What every user of the machine sees of a running process.
fn shown(child: &Running) -> String {
    let bytes = fs::read(format!("/proc/{}/cmdline", child.0.id())).unwrap();
    String::from_utf8_lossy(&bytes).into_owned()
}

#[test]
fn the_password_disappears_from_the_list_of_processes() {
    if !is_shown() {
        return;
    }
    for (args, ending) in [
        (
            &["-u", "me", "-P", "hunter2hunter2"][..],
            " -p 0 -u me -P \0",
        ),
        (&["-Phunter2hunter2", "-u", "me"], " -p 0 -P -u me\0"),
        (&["-qPhunter2hunter2", "-u", "me"], " -p 0 -qP -u me\0"),
        (
            &["--password=hunter2hunter2", "--user=me"],
            " -p 0 --password= --user=me\0",
        ),
        (
            &["--user", "me", "--password", "hunter2hunter2"],
            " -p 0 --user me --password \0",
        ),
    ] {
        let child = Running(
            program()
                .args(["-i", "127.0.0.1", "-p", "0"])
                .args(args)
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait_until("a line without the password", || {
            let line = shown(&child);
            line.contains("127.0.0.1") && !line.contains("hunter2hunter2")
        });
        let line = shown(&child);
        assert!(line.ends_with(ending), "{line:?}");
    }
}

#[test]
fn the_length_of_the_password_does_not_show() {
    if !is_shown() {
        return;
    }
    let shown_with = |password: &str| {
        let child = Running(
            program()
                .args(["-i", "127.0.0.1", "-p", "0", "-u", "me", "-P", password])
                .stdout(Stdio::null())
                .stderr(Stdio::null())
                .spawn()
                .unwrap(),
        );
        wait_until("a line without the password", || {
            shown(&child).ends_with(" -u me -P \0")
        });
        shown(&child)
    };
    assert_eq!(shown_with("x"), shown_with(&"y".repeat(255)));
}
