//! The log: one line per finished session, nothing raw, nothing secret; and a log that cannot
//! be written stops no service.

use std::fs::{self, File};
use std::io::{BufRead, BufReader, Read, Write};
use std::net::SocketAddr;
use std::os::unix::net::UnixDatagram;
use std::process::Stdio;
use std::time::{Duration, Instant};

use nix::pty::openpty;
use nix::sys::signal::Signal;

use crate::support::name_server::{Answer, NameServer, SERVFAIL};
use crate::support::namespace::in_namespace;
use crate::support::socks4::request4;
use crate::support::targets::{Refusing, Target, echo};
use crate::support::udp::{self, Association};
use crate::support::wire::{GREETING, Way, abort, connect, connect_name, loopback, user_pass};
use crate::support::{
    DEADLINE, Folder, Proxy, is_emulated, is_error_lost, not_run, on_loopback, wait_until,
};

/// Reports of twenty tunnels that are more than a pipe holds, or a terminal: 64 KiB.
const REPORTS_THAT_FILL_A_PIPE: usize = 60;

/// Opens, uses and ends a tunnel.
fn use_tunnel(proxy: &Proxy, target: SocketAddr) {
    let mut client = proxy.tunnel(target);
    client.echo(b"service goes on");
    client.finish();
    assert_eq!(client.rest(), b"");
}

#[test]
fn a_finished_session_has_one_line_that_tells_all() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    let mut client = proxy.client();
    client.ask(
        Way::Pipelined,
        &connect_name("localhost", target.addr.port()),
    );
    client.say(Way::Pipelined, &[b'u'; 120]);
    client.finish();
    let mut stream = target.accept();
    stream.read_to_end(&mut Vec::new()).unwrap();
    stream.write_all(&[b'd'; 4096]).unwrap();
    drop(stream);
    assert_eq!(client.rest().len(), 4096);
    let line = proxy.session_line(client.addr);
    let port = target.addr.port();
    let middle = format!(
        " socks5 {} -> localhost:{port} (127.0.0.1:{port}), 120/4096 bytes, ",
        client.addr
    );
    let (head, tail) = line
        .split_once(&middle)
        .expect("protocol, client, targets and bytes");
    assert!(
        head.starts_with("INFO") && head.contains("[anklet] #"),
        "{line}"
    );
    let (seconds, reason) = tail.split_once(" s, ").expect("seconds and a reason");
    // Seconds and tenths.
    let (whole, tenths) = seconds.split_once('.').expect("seconds and tenths");
    assert!(
        whole.parse::<u8>().is_ok() && tenths.parse::<u8>().is_ok(),
        "{line}"
    );
    assert_eq!(reason, "done");
    use_tunnel(&proxy, echo());
    let log = proxy.log_text();
    assert_eq!(log.matches(&client.addr.to_string()).count(), 1, "{log}");
}

#[test]
fn a_refused_session_has_a_line_with_the_reason() {
    if is_error_lost() {
        return;
    }
    let proxy = Proxy::start(&[]);
    let refusing = Refusing::new();
    let mut client = proxy.client();
    assert_eq!(
        client.ask_in_vain(Way::Pipelined, &connect(refusing.addr)),
        5
    );
    let addr = client.addr;
    drop(client);
    let line = proxy.session_line(addr);
    assert!(
        line.contains(&format!("{addr} -> {}, 0/0 bytes", refusing.addr)),
        "{line}"
    );
    assert!(line.ends_with("refused"), "{line}");
}

#[test]
fn a_session_broken_by_one_side_tells_which() {
    let proxy = Proxy::start(&[]);
    let target = Target::new();
    let client = proxy.tunnel(target.addr);
    let (stream, addr) = (target.accept(), client.addr);
    client.abort();
    assert!(proxy.session_line(addr).contains("client"));
    drop(stream);
    let client = proxy.tunnel(target.addr);
    abort(target.accept());
    client.rest_or_reset();
    assert!(proxy.session_line(client.addr).contains("target"));
}

/// Someone with an account takes his mistakes back as often as he likes: none of them costs time.
#[test]
fn wrong_passwords_of_someone_who_logs_in_between_are_ten_lines_and_a_count() {
    let mut proxy = Proxy::locked();
    for _ in 0..8 {
        for password in [&b"wrong"[..], b"wrong", b"secret"] {
            proxy.judges(Way::Pipelined, b"ann", password);
        }
    }
    // At its end it tells what it has held back.
    proxy.signal(Signal::SIGTERM);
    proxy.exit_within(DEADLINE);
    proxy.wait_log("WARN  [anklet] 127.0.0.1: 6 more within 10 s: wrong password");
    let line = "127.0.0.1 wrong password for user ann";
    assert_eq!(proxy.log_text().matches(line).count(), 10);
}

#[test]
fn a_line_names_the_protocol_of_whoever_asked_for_something() {
    let proxy = Proxy::start(&["-v"]);
    let target = echo();
    let mut old = proxy.client();
    old.say(Way::Pipelined, &request4(1, target, b"ann"));
    old.granted4();
    let mut web = proxy.client();
    let request = format!("CONNECT {target} HTTP/1.1\r\nHost: {target}\r\n\r\n");
    web.ask_http(Way::Pipelined, request.as_bytes());
    let mut garbage = proxy.client();
    garbage.say(Way::Pipelined, &[9]);
    for (client, protocol) in [(old, "socks4 "), (web, "http "), (garbage, "")] {
        let addr = client.addr;
        client.finish();
        client.rest_or_reset();
        let line = proxy.wait_log_all(&[&format!("{addr} -> "), " bytes, "]);
        let (_, behind) = line.split_once("[anklet] #").unwrap();
        let (_, behind) = behind.split_once(' ').unwrap();
        assert!(behind.starts_with(&format!("{protocol}{addr} ")), "{line}");
    }
}

#[test]
fn names_are_shown_as_they_are_read_and_what_controls_is_escaped_and_cut() {
    let names = NameServer::start(Vec::new());
    let proxy = Proxy::start(&["-v", "--dns", &names.option()]);
    let long = ["label"; 40].join(".");
    for (name, shown) in [
        (b"b\xc3\xb6se.test".as_slice(), "b\u{f6}se.test:80"),
        (b"\xe2\x80\xaegnp\xc2\x9b", r"\xe2\x80\xaegnp\xc2\x9b:80"),
        (b"\xff\"quote\\.test", r#"\xff"quote\x5c.test:80"#),
        (long.as_bytes(), ".label.labe...:80"),
    ] {
        let mut client = proxy.client();
        let code = client.ask_in_vain(Way::Pipelined, &connect_name(name, 80));
        assert!([1, 4].contains(&code), "REP {code}");
        let addr = client.addr;
        drop(client);
        let line = proxy.wait_log_all(&[&addr.to_string(), " bytes, "]);
        assert!(line.len() < 250, "{line}");
        assert!(line.contains(shown), "{line}");
    }
    let log = proxy.log_text();
    assert!(!log.contains(['\u{202e}', '\u{9b}', '\u{fffd}']), "{log}");
}

#[test]
fn a_name_that_nobody_could_be_asked_for_is_not_one_that_does_not_exist() {
    let names = NameServer::start(vec![("failing.test", Answer::Error(SERVFAIL))]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    for (name, words) in [
        ("failing.test", "name servers fail"),
        ("absent.test", "name not found"),
    ] {
        let mut client = proxy.client();
        let request = connect_name(name, 80);
        assert_eq!(client.ask_in_vain(Way::Pipelined, &request), 4);
        proxy.wait_log_all(&[&client.addr.to_string(), words]);
    }
}

/// The uplink is down, or its device is gone: nothing is known of the name, and nothing is waited
/// for.
#[test]
fn a_name_server_to_which_there_is_no_way_is_not_a_name_that_does_not_exist() {
    in_namespace(|| {
        for options in [
            &["--dns", "192.0.2.53"][..],
            &["--dns", "192.0.2.53", "-b", "nosuch0"],
        ] {
            let proxy = Proxy::start(options);
            let mut client = proxy.client();
            let request = connect_name("any.test", 80);
            assert_eq!(client.ask_in_vain(Way::Pipelined, &request), 4);
            proxy.wait_log_all(&[&client.addr.to_string(), "name servers fail"]);
        }
    });
}

#[test]
fn a_client_without_a_password_is_told_from_one_with_a_wrong_one() {
    let proxy = Proxy::start(&["-v", "-u", "ann", "-P", "secret"]);
    let mut client = proxy.client();
    client.say(Way::Pipelined, &GREETING);
    assert_eq!(client.hear(2), [5, 0xff]);
    let addr = client.addr.to_string();
    drop(client);
    let line = proxy.wait_log_all(&[&addr, " bytes, "]);
    assert!(line.ends_with("no acceptable login"), "{line}");
}

#[test]
fn an_association_is_not_a_tunnel_to_nowhere() {
    let proxy = Proxy::start(&[]);
    let association = Association::new(&proxy);
    let client = association.tcp.addr;
    drop(association);
    let line = proxy.session_line(client);
    assert!(line.contains(" -> UDP (127.0.0.1:"), "{line}");
}

/// What a router's owner must see, and nothing of what works.
#[test]
fn quiet_means_lines_of_what_was_refused_or_not_found_alone() {
    if is_error_lost() {
        return not_run("quiet: the emulator loses the error of a refused connect");
    }
    let names = NameServer::start(Vec::new());
    let proxy = Proxy::start(&["-q", "--dns", &names.option()]);
    let client = || proxy.client();
    use_tunnel(&proxy, echo());
    client().ask_in_vain(Way::Pipelined, &connect(Refusing::new().addr));
    let code = client().ask_in_vain(Way::Pipelined, &connect_name("nowhere.test", 80));
    assert_eq!(code, 4);
    assert_eq!(
        client().ask_in_vain(Way::Pipelined, &connect(proxy.addr)),
        2
    );
    proxy.wait_log("not allowed: the proxy's own listener");
    proxy.wait_log("name not found");
    let _open = proxy.tunnel(echo());
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_log("\"phase\":\"tunnel\"");
    let log = proxy.log_text();
    let ended = log.lines().filter(|line| line.contains(" bytes, "));
    assert_eq!(ended.count(), 2, "{log}");
    assert!(log.contains("INFO  [anklet] listening on "), "{log}");
}

/// A password that was wrong has one line, the one that fail2ban reads.
#[test]
fn quiet_tells_a_wrong_password_once() {
    let proxy = Proxy::start(&["-q", "-u", "ann", "-P", "secret"]);
    let mut client = proxy.client();
    client.say(Way::Pipelined, &[5, 1, 2]);
    assert_eq!(client.hear(2), [5, 2]);
    client.say(Way::Pipelined, &user_pass(b"ann", b"wrong"));
    client.rest_or_reset();
    let line = proxy.wait_log("wrong password for user ann");
    assert!(line.starts_with("WARN  [anklet] 127.0.0.1 "), "{line}");
    proxy.signal(Signal::SIGUSR1);
    proxy.wait_log("\"lost\":{");
    assert!(!proxy.log_text().contains(" s, wrong password"));
}

/// A system's log that takes lines in a folder of its own.
fn system_log(folder: &Folder) -> (UnixDatagram, String) {
    let path = folder.path("log");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(DEADLINE)).unwrap();
    (socket, path)
}

/// The next line of a system's log.
fn heard(log: &UnixDatagram) -> String {
    let mut line = [0; 8192];
    let len = log.recv(&mut line).unwrap();
    String::from_utf8(line[..len].to_vec()).unwrap()
}

#[test]
fn the_system_s_log_gets_each_line_with_its_level() {
    let folder = Folder::new("syslog");
    let (log, path) = system_log(&folder);
    let options = ["-v", "--syslog", &path, "-u", "ann", "-P", "secret"];
    let mut proxy = Proxy::unread(on_loopback(&[], &options), Stdio::piped());
    // Daemon is facility 3; a level is 4 for a warning, 6 for information, 7 for debugging. The
    // byte behind the process is no blank: OpenWrt's log would take 16 bytes for a date.
    let pid = format!("anklet[{:07}]: ", proxy.pid());
    assert!(is_emulated() || pid.len() == 17);
    let says = |level: u32, words: &str| {
        let mut line = heard(&log);
        while !line.contains(words) {
            line = heard(&log);
        }
        let text = line.strip_prefix(&format!("<{}>anklet[", 24 + level));
        let text = text.and_then(|text| text.split_once("]: ")).expect(&line);
        assert_eq!(text.0.len(), 7, "{line}");
        assert!(!line.contains('\n') && !line.contains("INFO"), "{line}");
    };
    says(6, "listening on 127.0.0.1:");
    let mut client = proxy.client();
    client.say(Way::Pipelined, &[5, 1, 2]);
    client.hear(2);
    client.say(Way::Pipelined, &user_pass(b"ann", b"wrong"));
    client.rest_or_reset();
    says(4, "127.0.0.1 wrong password for user ann");
    says(6, "wrong password");
    let mut client = proxy.client();
    client.say(Way::Pipelined, &[9]);
    client.rest_or_reset();
    says(7, "neither SOCKS nor HTTP");
    // A log that starts again is found again; what it misses goes to stderr, nothing is lost.
    drop(log);
    fs::remove_file(&path).unwrap();
    proxy.signal(Signal::SIGHUP);
    let mut stderr = BufReader::new(proxy.take_stderr());
    let mut line = String::new();
    stderr.read_line(&mut line).unwrap();
    assert_eq!(line, "INFO  [anklet] reloaded: 1 users\n");
    let (log, _) = system_log(&folder);
    proxy.signal(Signal::SIGTERM);
    assert!(heard(&log).contains("stopping with 0 sessions"));
    proxy.exit_within(Duration::from_secs(2));
    line.clear();
    assert_eq!(stderr.read_line(&mut line).unwrap(), 0, "{line}");
}

#[test]
fn a_socket_of_the_log_that_takes_nothing_stops_nobody() {
    let folder = Folder::new("syslog-full");
    let (log, path) = system_log(&folder);
    let proxy = Proxy::unread(on_loopback(&[], &["--syslog", &path]), Stdio::null());
    let target = echo();
    // More than the queue of a datagram socket takes (net.unix.max_dgram_qlen).
    for _ in 0..100 {
        proxy.signal(Signal::SIGUSR1);
        use_tunnel(&proxy, target);
    }
    assert!(heard(&log).contains(">anklet["));
}

/// How many lines of finished sessions there are of the clients of `addr`.
fn session_lines(proxy: &Proxy, addr: &str) -> usize {
    let log = proxy.log_text();
    let ended = log.lines().filter(|line| line.ends_with(" s, done"));
    let clients = ended.filter_map(|line| line.split_once(" -> "));
    clients
        .filter(|(client, _)| client.contains(&format!(" {addr}:")))
        .count()
}

#[test]
fn lines_that_repeat_are_ten_in_ten_seconds_and_then_a_count() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    let start = Instant::now();
    for _ in 0..100 {
        use_tunnel(&proxy, target);
    }
    let is_one_run = start.elapsed() < Duration::from_secs(9);
    let mut client = proxy.client_from("127.0.0.2");
    client.open(target);
    client.finish();
    assert_eq!(client.rest(), b"");
    assert!(proxy.session_line(client.addr).ends_with(", done"));
    wait_until("the end of ten seconds", || {
        proxy.log_text().contains(" more within 10 s: ") || start.elapsed().as_secs() > 8
    });
    let count = proxy.wait_log_all(&["INFO  [anklet] 127.0.0.1: ", " more within 10 s: done"]);
    if is_one_run {
        assert_eq!(count, "INFO  [anklet] 127.0.0.1: 90 more within 10 s: done");
        assert_eq!(session_lines(&proxy, "127.0.0.1"), 10);
    }
}

#[test]
fn with_two_v_every_line_is_written() {
    let proxy = Proxy::start(&["-vv"]);
    let target = echo();
    for _ in 0..20 {
        use_tunnel(&proxy, target);
    }
    wait_until("all lines", || session_lines(&proxy, "127.0.0.1") == 20);
}

#[test]
fn datagrams_that_the_rules_refuse_have_lines_and_a_count() {
    let mut proxy = Proxy::start(&["--block", "127.0.0.9"]);
    let association = Association::new(&proxy);
    let refused = SocketAddr::from(([127, 0, 0, 9], 53));
    for _ in 0..15 {
        association.send(refused, b"to nowhere");
    }
    // It comes behind them.
    association.echo(udp::echo(loopback(1, 0)), b"to somebody");
    proxy.signal(Signal::SIGTERM);
    proxy.exit_within(DEADLINE);
    let log = proxy.log_text();
    let is_told = |line: &&str| line.contains(" datagram -> 127.0.0.9:53: not allowed: ");
    assert_eq!(log.lines().filter(is_told).count(), 10, "{log}");
    proxy.wait_log("127.0.0.1: 5 more within 10 s: datagram not allowed");
}

/// A pipe leads to who gives each line a time; a file does not.
#[test]
fn a_line_in_a_file_has_the_time_of_day() {
    let folder = Folder::new("log-file");
    let path = folder.path("log");
    let file = File::create(&path).unwrap();
    let proxy = Proxy::unread(on_loopback(&[], &[]), file.into());
    let text = || fs::read_to_string(&path).unwrap();
    use_tunnel(&proxy, echo());
    wait_until("the line of a session", || text().contains(", done\n"));
    for line in text().lines() {
        let (head, _) = line.split_once("  [anklet] ").expect(line);
        let time = head.split_once("Z ").expect(line).0;
        let numbers: Vec<u8> = time.split(':').map(|part| part.parse().unwrap()).collect();
        assert!(time.len() == 8 && numbers.len() == 3, "{line}");
        assert!(
            numbers[0] < 24 && numbers[1] < 60 && numbers[2] < 60,
            "{line}"
        );
    }
}

#[test]
fn lines_that_were_held_back_are_counted_before_the_end() {
    let mut proxy = Proxy::start(&[]);
    let target = echo();
    let tunnels: Vec<_> = (0..40).map(|_| proxy.tunnel(target)).collect();
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_within(Duration::from_secs(1)).code(), Some(0));
    proxy.wait_log("127.0.0.1: 30 more within 10 s: stopped");
    drop(tunnels);
}

/// Serves, and reports, whatever becomes of what it says.
fn goes_on(proxy: &mut Proxy) {
    let target = echo();
    for _ in 0..20 {
        use_tunnel(proxy, target);
    }
    proxy.signal(Signal::SIGUSR1);
    use_tunnel(proxy, target);
    assert!(proxy.is_running());
}

#[test]
fn a_closed_standard_error_stops_no_service() {
    let mut proxy = Proxy::unread(on_loopback(&[], &["-v"]), Stdio::piped());
    let mut line = String::new();
    BufReader::new(proxy.take_stderr())
        .read_line(&mut line)
        .unwrap();
    goes_on(&mut proxy);
}

#[test]
fn a_full_device_as_standard_error_stops_no_service() {
    let full = File::options().write(true).open("/dev/full").unwrap();
    let mut proxy = Proxy::unread(on_loopback(&[], &["-v"]), full.into());
    goes_on(&mut proxy);
}

/// Writes more to its log than a pipe or a terminal holds, and serves on.
fn fills_its_log(proxy: &mut Proxy) {
    let target = echo();
    let mut tunnels: Vec<_> = (0..20).map(|_| proxy.tunnel(target)).collect();
    for _ in 0..REPORTS_THAT_FILL_A_PIPE {
        proxy.signal(Signal::SIGUSR1);
        // Signals of one kind are one while they are pending.
        use_tunnel(proxy, target);
    }
    for tunnel in &mut tunnels {
        tunnel.echo(b"service goes on");
    }
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_within(Duration::from_secs(1)).code(), Some(0));
}

#[test]
fn a_pipe_that_nobody_reads_stops_no_service() {
    let mut proxy = Proxy::unread(on_loopback(&[], &["-v"]), Stdio::piped());
    fills_its_log(&mut proxy);
    let mut text = String::new();
    proxy.take_stderr().read_to_string(&mut text).unwrap();
    // It was full all that time: lines are missing, and those that came are whole.
    assert!(text.len() > 60_000, "{} bytes fill no pipe", text.len());
    let reports = text.matches("{\"accepted\":").count();
    assert!(
        reports < REPORTS_THAT_FILL_A_PIPE,
        "all {reports} reports came through"
    );
    assert!(text.lines().all(|line| line.contains(" [anklet] ")));
}

#[test]
fn a_terminal_that_nobody_reads_stops_no_service() {
    let pty = openpty(None, None).unwrap();
    let mut proxy = Proxy::unread(on_loopback(&[], &["-v"]), pty.slave.into());
    fills_its_log(&mut proxy);
}

#[test]
fn a_terminal_that_is_gone_stops_no_service() {
    let pty = openpty(None, None).unwrap();
    let mut proxy = Proxy::unread(on_loopback(&[], &["-v"]), pty.slave.into());
    drop(pty.master);
    goes_on(&mut proxy);
}

#[test]
fn lines_that_were_lost_are_counted_once_there_is_room() {
    let mut proxy = Proxy::unread(on_loopback(&[], &[]), Stdio::piped());
    let mut log = BufReader::new(proxy.take_stderr());
    let target = echo();
    let _tunnels: Vec<_> = (0..20).map(|_| proxy.tunnel(target)).collect();
    for _ in 0..REPORTS_THAT_FILL_A_PIPE {
        proxy.signal(Signal::SIGUSR1);
        use_tunnel(&proxy, target);
    }
    let mut line = String::new();
    while !line.contains(" lines of this log were lost") {
        proxy.signal(Signal::SIGUSR1);
        line.clear();
        assert_ne!(log.read_line(&mut line).unwrap(), 0);
    }
    let count = line.strip_prefix("WARN  [anklet] ").unwrap();
    let count = count.split_whitespace().next().unwrap();
    assert!(count.parse::<u32>().unwrap() > 0, "{line}");
}

/// What a write can fail with: strace puts it in the place of each that the program makes.
#[test]
fn a_write_that_fails_loses_a_line_and_nothing_else() {
    for error in ["ENOMEM", "EIO", "EAGAIN", "EINTR", "ENOSPC", "EPIPE"] {
        // The first lines say where it listens.
        let inject = format!("write:error={error}:when=4+");
        let Some(mut proxy) = Proxy::with_failing(&inject, &["-v"]) else {
            return;
        };
        goes_on(&mut proxy);
    }
}

/// A line that says "see -v" has one beside it.
#[test]
fn an_attempt_that_fails_for_no_known_reason_is_told_with_its_error() {
    let Some(proxy) = Proxy::with_failing("getpeername:error=EIO", &["-v"]) else {
        return;
    };
    let target = echo();
    assert_eq!(proxy.refuses(Way::Pipelined, &connect(target)), 1);
    proxy.wait_log_all(&[&format!("-> {target}: "), "(os error 5)"]);
    proxy.wait_log_all(&[&format!("-> {target}, "), "failed (see -v)"]);
}
