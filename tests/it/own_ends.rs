//! Row T6 of PROTOCOL.md: the proxy ends a tunnel itself. A direction that is cut before its end is
//! reset, so that a part does not pass for the whole; one whose end was passed on closes in order.

use std::io::{ErrorKind, Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use nix::sys::signal::Signal;
use socket2::SockRef;

use crate::support::foreign::foreign;
use crate::support::targets::{Target, echo};
use crate::support::wire::{Client, Way, pattern, prepare};
use crate::support::{Folder, Proxy, TcpRow, is_installed, wait_until};

/// How a stream ends behind the bytes that it has brought.
#[derive(Debug, PartialEq, Eq)]
enum Ended {
    InOrder,
    ByReset,
}

/// All that comes, and how it ends.
fn rest(mut stream: &TcpStream) -> (Vec<u8>, Ended) {
    let mut bytes = Vec::new();
    match stream.read_to_end(&mut bytes) {
        Ok(_) => (bytes, Ended::InOrder),
        Err(error) if error.kind() == ErrorKind::ConnectionReset => (bytes, Ended::ByReset),
        Err(error) => panic!("no end behind {} bytes: {error}", bytes.len()),
    }
}

/// A tunnel, of which the client has got a part of what its target has to say.
fn half_told(mut client: Client) -> (Client, TcpStream) {
    let target = Target::new();
    client.open(target.addr);
    let mut stream = target.accept();
    stream.write_all(b"a part").unwrap();
    assert_eq!(client.hear(6), b"a part");
    client.say(Way::Pipelined, b"another");
    stream.read_exact(&mut [0; 7]).unwrap();
    (client, stream)
}

#[track_caller]
fn assert_cut((client, target): &(Client, TcpStream)) {
    assert_eq!(rest(&client.stream), (Vec::new(), Ended::ByReset), "client");
    assert_eq!(rest(target), (Vec::new(), Ended::ByReset), "target");
}

#[test]
fn t6_an_idle_tunnel_is_reset_at_both_ends() {
    let proxy = Proxy::start(&["--idle-timeout", "1"]);
    let tunnel = half_told(proxy.client());
    assert_cut(&tunnel);
    assert!(proxy.session_line(tunnel.0.addr).ends_with("idle timeout"));
}

#[test]
fn t6_a_tunnel_that_term_ends_is_reset_at_both_ends() {
    let mut proxy = Proxy::start(&[]);
    let tunnel = half_told(proxy.client());
    proxy.signal(Signal::SIGTERM);
    assert_cut(&tunnel);
    assert_eq!(proxy.exit_within(Duration::from_secs(5)).code(), Some(0));
}

#[test]
fn t6_a_tunnel_of_a_removed_user_is_reset_at_both_ends() {
    let folder = Folder::new("own-ends-users");
    let users = folder.write("users", "ann:one\nbob:two\n");
    let proxy = Proxy::start(&["--users", &users]);
    let target = Target::new();
    let mut client = proxy.user_tunnel(b"ann", b"one", target.addr);
    let mut stream = target.accept();
    stream.write_all(b"a part").unwrap();
    assert_eq!(client.hear(6), b"a part");
    folder.write("users", "bob:two\n");
    proxy.signal(Signal::SIGHUP);
    assert_cut(&(client, stream));
}

#[test]
fn t6_a_tunnel_whose_place_is_taken_is_reset_at_both_ends() {
    let proxy = Proxy::start(&["--max-sessions", "16"]);
    let crowd: Vec<_> = (0..15)
        .map(|_| half_told(proxy.client_from("127.1.0.0")))
        .collect();
    let target = echo();
    let _newcomers: Vec<Client> = (0..3)
        .map(|_| {
            let mut newcomer = proxy.client_from("127.0.0.2");
            newcomer.open(target);
            newcomer
        })
        .collect();
    let line = proxy.wait_log("gave its place to a newcomer");
    let is_told = |client: &Client| line.contains(&format!(" {} -> ", client.addr));
    let cut = crowd.iter().find(|(client, _)| is_told(client));
    assert_cut(cut.unwrap());
}

#[test]
fn t6_a_part_of_a_forwarded_answer_is_reset() {
    let mut proxy = Proxy::start(&[]);
    let target = Target::new();
    let mut client = proxy.client();
    let request = format!("GET http://{}/ HTTP/1.1\r\nHost: a\r\n\r\n", target.addr);
    client.say(Way::Pipelined, request.as_bytes());
    let mut stream = target.accept();
    let _ = stream.read(&mut [0; 4096]).unwrap();
    // Its length is told by its end.
    stream.write_all(b"HTTP/1.1 200 OK\r\n\r\na part").unwrap();
    let told = client.hear_at_most(1);
    assert_eq!(told, b"H");
    wait_until("the part", || {
        let mut seen = [0; 256];
        let len = client.stream.peek(&mut seen).unwrap();
        seen[..len].ends_with(b"a part")
    });
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_within(Duration::from_secs(5)).code(), Some(0));
    let (_, ended) = rest(&client.stream);
    assert_eq!(ended, Ended::ByReset);
}

#[test]
fn t6_half_a_tunnel_is_reset_where_it_is_cut_alone() {
    let proxy = Proxy::start(&["--half-close-timeout", "1"]);
    let (client, mut target) = half_told(proxy.client());
    client.finish();
    // The request was whole; the answer is not.
    assert_eq!(target.read(&mut [0]).unwrap(), 0);
    assert_eq!(rest(&client.stream), (Vec::new(), Ended::ByReset));
    assert!(SockRef::from(&target).take_error().unwrap().is_none());
}

/// A tunnel whose target has sent and ended; the client has a small buffer and reads nothing yet.
fn slow_reader(proxy: &Proxy, answer: &[u8]) -> (Client, TcpStream) {
    let target = Target::new();
    let client = proxy.tunnel(target.addr);
    SockRef::from(&client.stream)
        .set_recv_buffer_size(2 << 10)
        .unwrap();
    let mut stream = target.accept();
    stream.write_all(answer).unwrap();
    stream.shutdown(Shutdown::Write).unwrap();
    wait_until("the end of the answer", || {
        let rows = proxy.tcp_rows();
        let mut ends = rows
            .iter()
            .filter(|row| row.peer_port == client.addr.port());
        ends.any(|row| row.state == TcpRow::FIN_WAIT1)
    });
    (client, stream)
}

/// Reads a KB each second for so long, then the rest.
fn read_slowly(client: &mut Client, seconds: usize) -> (Vec<u8>, Ended) {
    let mut got = Vec::new();
    for _ in 0..seconds {
        got.extend(client.hear(1 << 10));
        thread::sleep(Duration::from_secs(1));
    }
    let (tail, ended) = rest(&client.stream);
    got.extend(tail);
    (got, ended)
}

#[test]
fn t6_a_slow_reader_gets_the_tail_behind_the_half_close_timeout() {
    let proxy = Proxy::start(&["--half-close-timeout", "1"]);
    let answer = pattern(16 << 10);
    let (mut client, _target) = slow_reader(&proxy, &answer);
    let (got, ended) = read_slowly(&mut client, 6);
    assert!(
        proxy
            .session_line(client.addr)
            .ends_with("half-close timeout")
    );
    assert_eq!(ended, Ended::InOrder);
    assert!(got == answer, "{} of {} bytes", got.len(), answer.len());
}

#[test]
fn t6_a_slow_reader_gets_the_tail_behind_term() {
    let mut proxy = Proxy::start(&[]);
    let answer = pattern(16 << 10);
    let (mut client, target) = slow_reader(&proxy, &answer);
    proxy.signal(Signal::SIGTERM);
    assert_eq!(proxy.exit_within(Duration::from_secs(5)).code(), Some(0));
    // What it could still have sent is cut.
    assert_eq!(rest(&target).1, Ended::ByReset);
    let (got, ended) = read_slowly(&mut client, 3);
    assert_eq!(ended, Ended::InOrder);
    assert!(got == answer, "{} of {} bytes", got.len(), answer.len());
}

#[test]
fn t6_a_part_of_an_answer_is_an_error_to_curl() {
    if !is_installed("curl") {
        return;
    }
    let proxy = Proxy::start(&["--idle-timeout", "1"]);
    let target = Target::new();
    let url = format!("http://{}/", target.addr);
    let socks = format!("socks5://{}", proxy.addr);
    let server = thread::spawn(move || {
        let mut stream = target.accept();
        prepare(&stream);
        let _ = stream.read(&mut [0; 4096]).unwrap();
        // Its length is told by its end.
        let answer = b"HTTP/1.0 200 OK\r\nContent-Type: text/plain\r\n\r\na part";
        stream.write_all(answer).unwrap();
        rest(&stream).1
    });
    let options = ["-sS", "--max-time", "9", "-x", &socks, &url];
    let output = foreign("curl").args(options).output().unwrap();
    assert_eq!(server.join().unwrap(), Ended::ByReset);
    let error = String::from_utf8_lossy(&output.stderr);
    assert!(!output.status.success(), "{error}");
    assert!(output.status.code() != Some(28), "{error}");
}
