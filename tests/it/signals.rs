//! Signals: TERM and INT end the process in order, HUP reads the users again, USR1 reports.
//! (HUP and names: `names.rs`.)

use std::fs;
use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::{Signal, kill};
use nix::unistd::Pid;

use crate::support::targets::{Target, Unanswering, echo};
use crate::support::wire::{Client, GREETING, Way, connect};
use crate::support::{DEADLINE, Folder, Proxy, command, is_emulated, not_run, wait_until};

/// Within this time of a signal the process has ended, tunnels or not.
const END: Duration = Duration::from_secs(1);

fn ends_in_order(signal: Signal) {
    let mut proxy = Proxy::start(&[]);
    let target = echo();
    let tunnels: Vec<Client> = (0..20).map(|_| proxy.tunnel(target)).collect();
    let _silent = proxy.client();
    let unanswering = Unanswering::new();
    let mut dialling = proxy.client();
    let request = connect(unanswering.target.addr);
    dialling.say(Way::Pipelined, &[&GREETING[..], &request].concat());
    assert_eq!(dialling.hear(2), [5, 0]);
    proxy.signal(signal);
    let status = proxy.exit_within(END);
    assert_eq!(status.code(), Some(0), "{status}");
    for tunnel in tunnels {
        assert!(tunnel.time_to_end() < END);
    }
    proxy.wait_log_all(&["INFO", "stop"]);
}

#[test]
fn term_ends_with_status_0_within_a_second() {
    ends_in_order(Signal::SIGTERM);
}

#[test]
fn int_ends_with_status_0_within_a_second() {
    ends_in_order(Signal::SIGINT);
}

#[test]
fn term_without_tunnels_ends_at_once() {
    let mut proxy = Proxy::start(&[]);
    let start = Instant::now();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_within(END).code(), Some(0));
    assert!(start.elapsed() < END / 2, "{:?}", start.elapsed());
}

#[test]
fn a_second_term_changes_nothing() {
    let mut proxy = Proxy::start(&[]);
    let _tunnel = proxy.tunnel(echo());
    let start = Instant::now();
    proxy.signal(Signal::SIGTERM);
    // Within the time that the tunnel still has: it must not begin anew.
    while start.elapsed() < Duration::from_millis(400) {
        thread::sleep(Duration::from_millis(100));
        proxy.signal(Signal::SIGTERM);
    }
    assert_eq!(proxy.exit_within(END).code(), Some(0));
    assert!(start.elapsed() < END, "{:?}", start.elapsed());
}

#[test]
fn what_comes_while_it_is_stopped_is_passed_on_whatever_the_clock_says_then() {
    let proxy = Proxy::start(&["--idle-timeout", "2"]);
    let target = Target::new();
    let mut tunnels: Vec<_> = (0..8)
        .map(|_| {
            let client = proxy.tunnel(target.addr);
            (client, target.accept())
        })
        .collect();
    proxy.signal(Signal::SIGSTOP);
    let stat = format!("/proc/{}/stat", proxy.pid());
    wait_until("it is stopped", || {
        fs::read_to_string(&stat).is_ok_and(|stat| stat.contains(") T "))
    });
    let start = Instant::now();
    for (client, far_end) in &mut tunnels {
        client.say(Way::Pipelined, b"up");
        far_end.write_all(b"down").unwrap();
    }
    // All of them have been idle for longer than they may.
    thread::sleep(Duration::from_secs(3).saturating_sub(start.elapsed()));
    proxy.signal(Signal::SIGCONT);
    for (client, far_end) in &mut tunnels {
        let mut word = [0; 2];
        far_end.read_exact(&mut word).unwrap();
        assert_eq!((&word, &client.hear(4)[..]), (b"up", &b"down"[..]));
    }
}

#[test]
fn hup_reads_the_users_again_and_keeps_the_tunnels_of_those_who_stay() {
    let folder = Folder::new("signals-users");
    let users = folder.write("users", "ann:one\nbob:two\n");
    let proxy = Proxy::start(&["--users", &users]);
    let ann = proxy.user_tunnel(b"ann", b"one", echo());
    let mut tunnel = proxy.user_tunnel(b"bob", b"two", echo());
    folder.write("users", "bob:two\ncyn:three\n");
    assert_eq!(
        proxy.judges(Way::Pipelined, b"ann", b"one"),
        0,
        "before the signal"
    );
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("reloaded");
    assert_eq!(proxy.judges(Way::Pipelined, b"cyn", b"three"), 0);
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 1);
    assert_eq!(proxy.judges(Way::Pipelined, b"bob", b"two"), 0);
    tunnel.echo(b"still here");
    let line = proxy.session_line(ann.addr);
    assert!(line.contains(" as ann -> "), "{line}");
    assert!(line.ends_with("user removed"), "{line}");
    ann.rest_or_reset();
}

#[test]
fn hups_that_come_faster_than_files_are_read_hold_up_nobody() {
    if is_emulated() {
        return not_run("a storm of signals: the emulator would read the files for minutes");
    }
    let folder = Folder::new("signals-storm");
    let mut lines = String::new();
    for number in 0..1000 {
        lines.push_str(&format!("user{number}:x\n"));
    }
    let users = folder.write("users", &lines);
    let proxy = Proxy::start(&["--users", &users]);
    let mut tunnel = proxy.user_tunnel(b"user0", b"x", echo());
    let pid = Pid::from_raw(proxy.pid().cast_signed());
    let is_over = AtomicBool::new(false);
    let start = Instant::now();
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                // It ends by itself where the tunnel does not answer.
                while !is_over.load(Ordering::Relaxed) && start.elapsed() < 2 * DEADLINE {
                    kill(pid, Signal::SIGHUP).unwrap();
                }
            });
        }
        proxy.wait_log("reloaded");
        for _ in 0..10 {
            tunnel.echo(b"still here");
        }
        is_over.store(true, Ordering::Relaxed);
    });
    assert!(start.elapsed() < DEADLINE);
}

#[test]
fn a_hup_while_the_port_is_still_taken_is_not_lost() {
    let folder = Folder::new("hup-early");
    let users = folder.write("users", "ann:one\n");
    let log = folder.path("log");
    let taken = Target::new();
    let port = taken.addr.port().to_string();
    let options = [
        "--retry-listen",
        "-i",
        "127.0.0.1",
        "-p",
        &port,
        "--users",
        &users,
    ];
    let mut child = command(&[], &options)
        .stderr(fs::File::create(&log).unwrap())
        .spawn()
        .unwrap();
    let logged = |line| fs::read_to_string(&log).unwrap().contains(line);
    wait_until("the first try", || logged("trying on"));
    folder.write("users", "ann:one\nbob:two\n");
    let pid = Pid::from_raw(child.id().try_into().unwrap());
    kill(pid, Signal::SIGHUP).unwrap();
    drop(taken);
    wait_until("the new users", || logged("reloaded: 2 users"));
    kill(pid, Signal::SIGTERM).unwrap();
    assert!(child.wait().unwrap().success());
}

#[test]
fn hup_with_a_bad_users_file_keeps_the_old_users() {
    let folder = Folder::new("signals-bad");
    let users = folder.write("users", "ann:one\n");
    let proxy = Proxy::start(&["--users", &users]);
    folder.write("users", "ann:one\nhalf-written-secret\n");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_all(&["WARN", &users]);
    proxy.wait_log("reloaded all but the users: 1 users");
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 0);
    fs::remove_file(&users).unwrap();
    proxy.signal(Signal::SIGHUP);
    wait_until("the second warning", || {
        proxy.log_text().matches("WARN").count() >= 2
    });
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 0);
    assert!(
        !proxy.log_text().contains("half-written"),
        "a line of the file is in the log"
    );
}

#[test]
fn hup_in_the_middle_of_writing_lets_no_beginning_of_a_password_in() {
    let folder = Folder::new("signals-half");
    let users = folder.write("users", "joe:before\n");
    let proxy = Proxy::start(&["--users", &users]);
    let said = |line: &str| proxy.log_text().matches(line).count();
    for done in 0..5 {
        folder.write("users", "joe:a-lo");
        proxy.signal(Signal::SIGHUP);
        wait_until("the first look", || said("read again in a second") > done);
        folder.write("users", "joe:a-long-password\n");
        wait_until("the second look", || said("reloaded: 1 users") > done);
        if proxy.judges(Way::Pipelined, b"joe", b"a-long-password") == 0 {
            assert_eq!(proxy.judges(Way::Pipelined, b"joe", b"a-lo"), 1);
            return;
        }
        // This test stood still for a second, and the half file with it.
    }
    panic!("the whole file never counted");
}

#[test]
fn hup_takes_a_last_line_without_an_end_a_second_later() {
    let folder = Folder::new("signals-endless");
    let users = folder.write("users", "ann:one");
    let proxy = Proxy::start(&["--users", &users]);
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 0, "at start");
    folder.write("users", "bob:two");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log("reloaded: 1 users");
    assert_eq!(proxy.judges(Way::Pipelined, b"bob", b"two"), 0);
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 1);
    folder.write("users", "");
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_all(&["WARN", &users, "no user in it"]);
    assert_eq!(proxy.judges(Way::Pipelined, b"bob", b"two"), 0);
}

#[test]
fn hup_keeps_the_old_users_where_everybody_may_write_the_file() {
    let folder = Folder::new("signals-mode");
    let users = folder.write("users", "ann:one\n");
    let proxy = Proxy::start(&["--users", &users]);
    let set = |mode| fs::set_permissions(&users, fs::Permissions::from_mode(mode)).unwrap();
    folder.write("users", "bob:two\n");
    set(0o666);
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_all(&["WARN", &users, "everybody may write it"]);
    assert_eq!(proxy.judges(Way::Pipelined, b"ann", b"one"), 0);
    assert_eq!(proxy.judges(Way::Pipelined, b"bob", b"two"), 1);
    set(0o644);
    proxy.signal(Signal::SIGHUP);
    proxy.wait_log_all(&["WARN", &users, "everybody may read it"]);
    assert_eq!(proxy.judges(Way::Pipelined, b"bob", b"two"), 0);
}

#[test]
fn usr1_reports_counters_and_a_line_per_session() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    let mut clients = [proxy.tunnel(target), proxy.tunnel(target)];
    clients[0].echo(b"counted");
    let report = proxy.report();
    let totals = ["accepted", "tunnels", "up", "down"].map(|name| report["totals"][name].number());
    assert_eq!(totals, [2, 2, 7, 7]);
    for (client, bytes) in clients.iter().zip([7, 0]) {
        let session = report["sessions"].with("client", &client.addr.to_string());
        assert_eq!(session["reached"].text(), Some(&*target.to_string()));
        assert_eq!(session["up"].number(), bytes);
    }
    clients[1].echo(b"still here");
}
