//! PROTOCOL.md's table Relay, row by row, over real sockets: half-closes, resets, slow readers,
//! vanished peers, clients that give up. Bounds and timers are in `limits.rs`.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;
use socket2::SockRef;

use crate::support::crowd::Crowd;
use crate::support::foreign::{errors, foreign, has_module};
use crate::support::name_server::{Answer, NameServer};
use crate::support::namespace::{Router, in_namespace, run};
use crate::support::site::PYTHON;
use crate::support::targets::{Target, Unanswering, echo};
use crate::support::wire::{GREETING, Way, abort, both_ways, connect, connect_name, pattern};
use crate::support::{Proxy, TcpRow, is_emulated, not_run, wait_until};

/// Enough for every buffer on the way to fill, and for splice to be worth it.
const LONG: usize = 16 << 20;

/// A tunnel's two ends.
fn tunnel(proxy: &Proxy) -> (TcpStream, TcpStream, SocketAddr) {
    let target = Target::new();
    let client = proxy.tunnel(target.addr);
    (client.stream, target.accept(), client.addr)
}

fn read_to_end(mut stream: &TcpStream) -> Vec<u8> {
    let mut bytes = Vec::new();
    stream.read_to_end(&mut bytes).unwrap();
    bytes
}

/// Lets a proxy go on, by which its client gets all of an answer. Returns the line of its session.
fn goes_on_to_the_answer(proxy: &Proxy, client: TcpStream, addr: SocketAddr) -> String {
    proxy.signal(Signal::SIGCONT);
    assert_eq!(read_to_end(&client), b"answer");
    drop(client);
    proxy.session_line(addr)
}

fn is_reset(mut stream: &TcpStream) -> bool {
    let read = stream.read_to_end(&mut Vec::new());
    read.is_err_and(|error| error.kind() == ErrorKind::ConnectionReset)
}

/// Sends `bytes` from one end and reads them at the other, both in any direction.
fn carry(from: &TcpStream, to: &TcpStream, bytes: &[u8]) {
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            let (mut stream, mut received) = (to, vec![0; bytes.len()]);
            stream.read_exact(&mut received).unwrap();
            received
        });
        let mut stream = from;
        stream.write_all(bytes).unwrap();
        assert!(
            reader.join().unwrap() == bytes,
            "the bytes changed on their way"
        );
    });
}

#[test]
fn bytes_arrive_whole_and_in_order_both_ways_at_once() {
    let proxy = Proxy::start(&[]);
    let (client, target, addr) = tunnel(&proxy);
    let bytes = pattern(LONG);
    thread::scope(|scope| {
        scope.spawn(|| carry(&client, &target, &bytes));
        carry(&target, &client, &bytes);
    });
    drop((client, target));
    let line = proxy.session_line(addr);
    assert!(line.contains(&format!(" {LONG}/{LONG} bytes")), "{line}");
}

#[test]
fn single_bytes_pass_at_once_both_ways() {
    let proxy = Proxy::start(&[]);
    let (client, target, _) = tunnel(&proxy);
    for byte in 0..100 {
        carry(&client, &target, &[byte]);
        carry(&target, &client, &[byte]);
    }
}

#[test]
fn t1_the_end_of_the_client_reaches_the_target_after_the_last_byte() {
    let proxy = Proxy::start(&[]);
    both_ways(|way| {
        let target = Target::new();
        let mut client = proxy.tunnel(target.addr);
        client.say(way, b"last words");
        client.finish();
        let stream = target.accept();
        assert_eq!(read_to_end(&stream), b"last words");
        carry(&stream, &client.stream, &pattern(LONG));
        drop(stream);
        assert_eq!(client.rest(), b"");
        assert!(proxy.session_line(client.addr).ends_with("done"));
    });
}

#[test]
fn t1_the_end_of_the_target_reaches_the_client_after_the_last_byte() {
    let proxy = Proxy::start(&[]);
    let (client, mut target, _) = tunnel(&proxy);
    target.write_all(b"last words").unwrap();
    target.shutdown(Shutdown::Write).unwrap();
    assert_eq!(read_to_end(&client), b"last words");
    carry(&client, &target, &pattern(LONG));
    drop(client);
    assert_eq!(read_to_end(&target), b"");
}

#[test]
fn t1_an_end_in_the_same_segment_as_the_request_is_a_half_close() {
    let proxy = Proxy::start(&[]);
    let target = echo();
    both_ways(|way| {
        let mut client = proxy.client();
        client.say(way, &[&GREETING[..], &connect(target), b"payload"].concat());
        client.finish();
        assert_eq!(client.hear(2), [5, 0]);
        assert_eq!(client.reply().code, 0);
        assert_eq!(client.rest(), b"payload");
    });
}

#[test]
fn t2_a_reset_on_one_side_resets_the_other() {
    let proxy = Proxy::start(&[]);
    let (client, target, addr) = tunnel(&proxy);
    carry(&client, &target, b"before");
    abort(client);
    assert!(is_reset(&target));
    proxy.session_line(addr);
    let (client, target, addr) = tunnel(&proxy);
    carry(&client, &target, b"before");
    abort(target);
    assert!(is_reset(&client));
    proxy.session_line(addr);
}

#[test]
fn t2_a_reset_drops_what_is_pending() {
    let proxy = Proxy::start(&[]);
    let (client, target, _) = tunnel(&proxy);
    let sent = fill(&target);
    assert!(sent > 0);
    abort(target);
    assert!(is_reset(&client));
}

#[test]
fn t2_a_reset_after_the_end_takes_back_nothing_of_the_answer() {
    let proxy = Proxy::start(&[]);
    let answer = pattern(96 << 10);
    // The client reads at once, or later than it is listened to, or ends as well.
    for (later, ends) in [(0, false), (2_500, false), (0, true)] {
        let (mut client, mut target, addr) = tunnel(&proxy);
        let descriptors = proxy.descriptors();
        // More than the client's kernel takes while nobody reads, less than both kernels' queues.
        SockRef::from(&client)
            .set_recv_buffer_size(8 << 10)
            .unwrap();
        target.write_all(&answer).unwrap();
        target.shutdown(Shutdown::Write).unwrap();
        wait_until("the end of the answer", || {
            let rows = proxy.tcp_rows();
            let mut ends = rows.iter().filter(|row| row.peer_port == addr.port());
            ends.any(|row| row.state == TcpRow::FIN_WAIT1)
        });
        // Who sends something to a closed socket gets a reset.
        client.write_all(b"once more").unwrap();
        target.read_exact(&mut [0; 9]).unwrap();
        abort(target);
        wait_until("the reset", || proxy.descriptors() < descriptors);
        client.write_all(b"and more").unwrap();
        if ends {
            client.shutdown(Shutdown::Write).unwrap();
        }
        thread::sleep(Duration::from_millis(later));
        let mut got = Vec::new();
        client.read_to_end(&mut got).unwrap();
        assert!(got == answer, "{} of {} bytes", got.len(), answer.len());
        drop(client);
        assert!(proxy.session_line(addr).ends_with("target reset"));
    }
}

#[test]
fn t2_a_reset_that_comes_with_the_end_takes_back_nothing_of_the_answer() {
    let proxy = Proxy::start(&[]);
    for late in [&b""[..], b"once more"] {
        let (mut client, mut target, addr) = tunnel(&proxy);
        // The proxy finds all of it at once.
        proxy.pause();
        target.write_all(b"answer").unwrap();
        client.write_all(late).unwrap();
        proxy.end_and_break(target);
        let line = goes_on_to_the_answer(&proxy, client, addr);
        assert!(line.ends_with("target reset"));
    }
}

#[test]
fn t2_a_reset_that_a_write_finds_first_takes_back_nothing_of_the_answer() {
    let proxy = Proxy::start(&[]);
    let mut crowd = Crowd::new(&proxy);
    for _ in 0..10 {
        let (mut client, mut target, addr) = tunnel(&proxy);
        crowd.stop_before(&proxy, || client.write_all(b"once more").unwrap());
        // What the client has sent goes on before the proxy hears of any of this.
        target.write_all(b"answer").unwrap();
        proxy.end_and_break(target);
        let line = goes_on_to_the_answer(&proxy, client, addr);
        assert!(line.ends_with("target reset"));
    }
}

#[test]
fn t2_a_reset_between_the_last_bytes_of_the_client_and_its_end_takes_back_nothing_either() {
    let proxy = Proxy::start(&[]);
    let (mut client, mut target, addr) = tunnel(&proxy);
    proxy.pause();
    target.write_all(b"answer").unwrap();
    // What comes now is answered by a reset.
    drop(target);
    client.write_all(b"once more").unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let line = goes_on_to_the_answer(&proxy, client, addr);
    assert!(line.ends_with("target reset"));
}

#[test]
fn t2_a_reset_behind_both_ends_takes_back_nothing_of_the_answer() {
    let proxy = Proxy::start(&[]);
    let (mut client, mut target, addr) = tunnel(&proxy);
    // The end has been passed on, but more is in front of it than the target's system takes.
    SockRef::from(&target)
        .set_recv_buffer_size(4 << 10)
        .unwrap();
    client.write_all(&pattern(32 << 10)).unwrap();
    client.shutdown(Shutdown::Write).unwrap();
    let port = target.local_addr().unwrap().port();
    let has_ended = |row: &TcpRow| row.peer_port == port && row.state != TcpRow::ESTABLISHED;
    wait_until("the client's end", || {
        proxy.tcp_rows().iter().any(has_ended)
    });
    proxy.pause();
    target.write_all(b"answer").unwrap();
    proxy.end_and_break(target);
    goes_on_to_the_answer(&proxy, client, addr);
}

#[test]
fn t2_a_slow_reader_gets_all_of_an_answer_behind_whose_end_comes_a_reset() {
    let proxy = Proxy::start(&[]);
    let piece = pattern(8 << 10);
    for late_len in [0, LONG] {
        let (mut client, mut target, addr) = tunnel(&proxy);
        SockRef::from(&client)
            .set_recv_buffer_size(8 << 10)
            .unwrap();
        let mut answer = Vec::new();
        // Until the rest of it waits at the proxy, which does not read on.
        let port = target.local_addr().unwrap().port();
        let waits = |row: &TcpRow| row.peer_port == port && row.unread > 0;
        while !proxy.tcp_rows().iter().any(waits) {
            target.write_all(&piece).unwrap();
            answer.extend(&piece);
            thread::sleep(Duration::from_millis(20));
        }
        proxy.end_and_break(target);
        // Who writes all that it has before it reads is not kept from that.
        client.write_all(&pattern(late_len)).unwrap();
        assert!(read_to_end(&client) == answer, "{late_len}");
        drop(client);
        assert!(proxy.session_line(addr).ends_with("target reset"));
    }
}

/// Writes until nothing goes any more; the bytes that went.
fn fill(mut stream: &TcpStream) -> usize {
    let block = pattern(1 << 16);
    stream
        .set_write_timeout(Some(Duration::from_millis(300)))
        .unwrap();
    let mut sent = 0;
    // Each block starts where the pattern does, so that the reader can check it.
    loop {
        match stream.write(&block[sent % block.len()..]) {
            Ok(len) => sent += len,
            Err(error) if error.kind() == ErrorKind::WouldBlock => return sent,
            Err(error) => panic!("cannot fill: {error}"),
        }
        assert!(sent < 1 << 30, "a GiB went to a peer that does not read");
    }
}

#[test]
fn t3_the_source_of_a_slow_reader_is_not_read_any_further() {
    let proxy = Proxy::start(&[]);
    let (client, target, _) = tunnel(&proxy);
    SockRef::from(&client)
        .set_recv_buffer_size(1 << 16)
        .unwrap();
    carry(&target, &client, b"before");
    let memory = proxy.memory_kib("Anonymous");
    let sent = fill(&target);
    // Kernel buffers of both connections and one buffer of ours.
    assert!(
        sent < 32 << 20,
        "{sent} bytes went to a client that does not read"
    );
    let grown = proxy.memory_kib("Anonymous") - memory;
    assert!(
        grown < 512 || is_emulated(),
        "{grown} KiB for one slow reader"
    );
    target.shutdown(Shutdown::Write).unwrap();
    let received = read_to_end(&client);
    let block = pattern(1 << 16);
    let expected = block.iter().cycle().take(sent);
    assert!(
        received.iter().eq(expected),
        "{} of {sent} bytes, or wrong ones",
        received.len()
    );
}

#[test]
fn t3_the_other_direction_goes_on_beside_a_slow_reader() {
    let proxy = Proxy::start(&[]);
    let (client, target, _) = tunnel(&proxy);
    fill(&target);
    carry(&client, &target, &pattern(1 << 20));
}

#[test]
fn t4_keepalive_is_armed_on_both_sides() {
    let proxy = Proxy::start(&[]);
    let (client, target, _) = tunnel(&proxy);
    carry(&client, &target, b"established");
    carry(&target, &client, b"established");
    let ports = [
        client.peer_addr().unwrap().port(),
        target.peer_addr().unwrap().port(),
    ];
    let peers = [
        client.local_addr().unwrap().port(),
        target.local_addr().unwrap().port(),
    ];
    wait_until("keepalive timers of at most 60 s", || {
        let rows = proxy.tcp_rows();
        let is_armed = |row: &&TcpRow| row.timer == 2 && (1..=6000).contains(&row.timer_ticks);
        (0..2).all(|n| {
            let is_end = |row: &&TcpRow| (row.local_port, row.peer_port) == (ports[n], peers[n]);
            let open = rows.iter().filter(|row| row.state == TcpRow::ESTABLISHED);
            open.filter(is_end).any(|row| is_armed(&row))
        })
    });
}

/// Prints idle time, interval and number of the keepalive probes, and TCP_USER_TIMEOUT, of each
/// connected TCP socket of a process.
const KEEPALIVE_OF: &str = "
import ctypes, os, socket, sys
call = ctypes.CDLL(None, use_errno=True).syscall
pid = int(sys.argv[1])
process = os.pidfd_open(pid)
for fd in os.listdir(f'/proc/{pid}/fd'):
    if not os.readlink(f'/proc/{pid}/fd/{fd}').startswith('socket:'):
        continue
    copy = call(438, process, int(fd), 0)  # pidfd_getfd
    if copy < 0:
        sys.exit('not allowed')
    s = socket.socket(fileno=copy)
    try:
        s.getpeername()
        print(*[s.getsockopt(socket.IPPROTO_TCP, option) for option in (4, 5, 6, 18)])
    except OSError:
        pass
";

#[test]
fn t4_keepalive_alone_decides_about_an_idle_peer() {
    if !has_module("ctypes", "python3") {
        return;
    }
    // TCP_USER_TIMEOUT would take the place of the number of probes: not two minutes, but as
    // long as it says.
    for (options, told) in [
        (&[][..], "60 15 4 0\n"),
        (&["--peer-timeout", "17"], "60 15 4 17000\n"),
    ] {
        let proxy = Proxy::start(options);
        let _tunnel = tunnel(&proxy);
        // The target's connection has it once it is old.
        let mut is_allowed = true;
        wait_until("both to have these", || {
            let read = foreign(PYTHON)
                .args(["-c", KEEPALIVE_OF, &proxy.pid().to_string()])
                .output()
                .unwrap();
            is_allowed = !errors(&read).contains("not allowed");
            !is_allowed || String::from_utf8_lossy(&read.stdout) == told.repeat(2)
        });
        if !is_allowed {
            return not_run("pidfd_getfd is not allowed here");
        }
    }
}

#[test]
fn t4_a_peer_that_vanished_ends_the_session() {
    in_namespace(|| {
        let router = Router::of_a_home();
        let proxy = router.proxy(&["-i", "192.168.77.1", "-p", "0", "--peer-timeout", "1"]);
        let target = Target::at("1.2.3.4:0".parse().unwrap());
        let client = proxy.tunnel(target.addr);
        let mut stream = target.accept();
        carry(&stream, &client.stream, b"before");
        // From now on packets to the client are dropped unanswered.
        run("ip addr del 192.168.77.2/24 dev lan");
        stream
            .write_all(b"never acknowledged by the client")
            .unwrap();
        let start = Instant::now();
        proxy.session_line(client.addr);
        assert!(
            start.elapsed() < Duration::from_secs(8),
            "{:?}",
            start.elapsed()
        );
    });
}

#[test]
fn t5_a_reset_while_dialling_cancels() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let before = proxy.idle_descriptors();
    let mut client = proxy.client();
    let request = connect(unanswering.target.addr);
    client.say(
        Way::Pipelined,
        &[&GREETING[..], &request, b"payload"].concat(),
    );
    assert_eq!(client.hear(2), [5, 0]);
    proxy.wait_descriptors(before + 2);
    client.abort();
    proxy.wait_descriptors(before);
}

#[test]
fn t5_an_end_with_nothing_pipelined_cancels() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let before = proxy.idle_descriptors();
    let mut client = proxy.client();
    let request = connect(unanswering.target.addr);
    client.say(Way::PerByte, &[&GREETING[..], &request].concat());
    assert_eq!(client.hear(2), [5, 0]);
    client.finish();
    assert_eq!(client.rest(), b"");
    proxy.wait_descriptors(before);
}

#[test]
fn t5_an_end_that_comes_along_with_the_request_cancels_too() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let before = proxy.idle_descriptors();
    let mut client = proxy.client();
    // It is all there before the proxy looks.
    proxy.pause();
    let request = connect(unanswering.target.addr);
    client.say(Way::Pipelined, &[&GREETING[..], &request].concat());
    client.finish();
    proxy.signal(Signal::SIGCONT);
    assert_eq!(client.rest(), [5, 0]);
    proxy.wait_descriptors(before);
}

#[test]
fn t5_an_end_behind_pipelined_payload_is_a_half_close() {
    let proxy = Proxy::start(&[]);
    let unanswering = Unanswering::new();
    let mut client = proxy.client();
    let request = connect(unanswering.target.addr);
    client.say(
        Way::Pipelined,
        &[&GREETING[..], &request, b"payload"].concat(),
    );
    client.finish();
    assert_eq!(client.hear(2), [5, 0]);
    let target = unanswering.release();
    let mut stream = target.accept();
    assert_eq!(read_to_end(&stream), b"payload");
    stream.write_all(b"answer").unwrap();
    drop(stream);
    assert_eq!(client.reply().code, 0);
    assert_eq!(client.rest(), b"answer");
}

#[test]
fn t5_a_client_may_end_while_its_name_is_looked_up() {
    let names = NameServer::start(vec![("test", Answer::Never)]);
    let proxy = Proxy::start(&["--dns", &names.option()]);
    let before = proxy.idle_descriptors();
    let mut client = proxy.client();
    client.say(
        Way::Pipelined,
        &[&GREETING[..], &connect_name("never.test", 80)].concat(),
    );
    assert_eq!(client.hear(2), [5, 0]);
    wait_until("the question", || names.count("never.test") > 0);
    client.finish();
    assert_eq!(client.rest(), b"");
    proxy.wait_descriptors(before);
}

#[test]
fn urgent_bytes_keep_their_place_and_stall_nothing() {
    let proxy = Proxy::start(&[]);
    let (mut client, mut target, _) = tunnel(&proxy);
    // All in one event: a read stops short at the urgent byte, with more behind it.
    proxy.pause();
    client.write_all(b"abc").unwrap();
    SockRef::from(&client).send_out_of_band(b"X").unwrap();
    client.write_all(b"def").unwrap();
    proxy.signal(Signal::SIGCONT);
    let mut received = [0; 7];
    target.read_exact(&mut received).unwrap();
    assert_eq!(&received, b"abcXdef");
}
