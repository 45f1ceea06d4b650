//! Flows that carry much are spliced through pipes. Over real sockets: the bytes, how a tunnel ends
//! with bytes in a pipe, and that pipes are held no longer than needed. The report on SIGUSR1 says
//! how many there are.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpStream};
use std::thread;
use std::time::Duration;

use socket2::SockRef;

use crate::support::targets::{Target, echo};
use crate::support::wire::{abort, pattern};
use crate::support::{Proxy, wait_until};

/// More than all buffers on the way hold.
const LONG: usize = 24 << 20;

/// A tunnel's two ends.
fn tunnel(proxy: &Proxy) -> (TcpStream, TcpStream) {
    let target = Target::new();
    let client = proxy.tunnel(target.addr);
    (client.stream, target.accept())
}

/// Writes from one end while the other reads the same.
fn carry(mut from: &TcpStream, mut to: &TcpStream, bytes: &[u8]) {
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut received = vec![0; bytes.len()];
            to.read_exact(&mut received).unwrap();
            received
        });
        from.write_all(bytes).unwrap();
        assert!(reader.join().unwrap() == bytes, "the bytes have changed");
    });
}

/// The pipes that are taken, that were at most, and that there are.
fn pipes(proxy: &Proxy) -> [usize; 3] {
    let pipes = &proxy.report()["limits"]["pipes"];
    ["used", "peak", "max"].map(|name| usize::try_from(pipes[name].number()).unwrap())
}

#[test]
fn what_is_much_goes_through_pipes_whole_and_in_order_both_ways() {
    let proxy = Proxy::start(&[]);
    let base = proxy.idle_descriptors();
    let bytes = pattern(LONG);
    let (client, target) = tunnel(&proxy);
    thread::scope(|scope| {
        scope.spawn(|| carry(&client, &target, &bytes));
        carry(&target, &client, &bytes);
    });
    let [taken, peak, max] = pipes(&proxy);
    assert!(
        taken == 0 && peak > 0 && peak <= max,
        "{taken} {peak} {max}"
    );
    // With the tunnel idle and still there.
    proxy.wait_descriptors(base + 2);
    drop((client, target));
    proxy.wait_descriptors(base);
}

#[test]
fn without_splice_there_are_no_pipes() {
    let proxy = Proxy::start(&["--no-splice"]);
    let (client, target) = tunnel(&proxy);
    carry(&target, &client, &pattern(LONG));
    carry(&client, &target, &pattern(LONG));
    assert_eq!(pipes(&proxy), [0, 0, 0]);
}

#[test]
fn small_messages_are_copied() {
    let proxy = Proxy::start(&[]);
    let mut client = proxy.tunnel(echo());
    for _ in 0..200 {
        client.echo(&[7; 1000]);
    }
    assert_eq!(pipes(&proxy)[..2], [0, 0]);
}

#[test]
fn half_closes_come_behind_the_last_spliced_byte() {
    let proxy = Proxy::start(&[]);
    for backwards in [false, true] {
        let (client, target) = tunnel(&proxy);
        let (mut first, mut second) = if backwards {
            (&target, &client)
        } else {
            (&client, &target)
        };
        let bytes = pattern(LONG);
        for _ in 0..2 {
            thread::scope(|scope| {
                let reader = scope.spawn(move || {
                    let mut received = Vec::new();
                    second.read_to_end(&mut received).unwrap();
                    received
                });
                first.write_all(&bytes).unwrap();
                first.shutdown(Shutdown::Write).unwrap();
                assert!(reader.join().unwrap() == bytes, "the bytes have changed");
            });
            (first, second) = (second, first);
        }
    }
    assert!(pipes(&proxy)[1] > 0);
}

#[test]
fn urgent_data_amid_much_stays_in_its_place() {
    let proxy = Proxy::start(&[]);
    let (client, target) = tunnel(&proxy);
    SockRef::from(&client).set_out_of_band_inline(true).unwrap();
    let bytes = pattern(LONG);
    thread::scope(|scope| {
        let (mut from, mut to, len) = (&target, &client, bytes.len());
        let reader = scope.spawn(move || {
            let mut received = vec![0; len];
            to.read_exact(&mut received).unwrap();
            received
        });
        for chunk in bytes.chunks(999_983) {
            let (urgent, rest) = chunk.split_last().unwrap();
            from.write_all(rest).unwrap();
            assert_eq!(SockRef::from(from).send_out_of_band(&[*urgent]).unwrap(), 1);
        }
        assert!(reader.join().unwrap() == bytes, "the bytes have changed");
    });
    assert!(pipes(&proxy)[1] > 0);
}

#[test]
fn a_client_that_stops_reading_keeps_no_pipe_and_loses_nothing() {
    let proxy = Proxy::start(&[]);
    let base = proxy.idle_descriptors();
    let (mut client, mut target) = tunnel(&proxy);
    SockRef::from(&client)
        .set_recv_buffer_size(1 << 16)
        .unwrap();
    let bytes = pattern(LONG);
    let wanted = bytes.clone();
    let writer = thread::spawn(move || {
        target.write_all(&bytes).unwrap();
        target
    });
    // It reads so much that its flow is spliced, and then no more.
    let mut received = vec![0; LONG];
    client.read_exact(&mut received[..LONG / 4]).unwrap();
    wait_until("the flow to be spliced", || pipes(&proxy)[1] > 0);
    wait_until("the pipe to be given back", || pipes(&proxy)[0] == 0);
    proxy.wait_descriptors(base + 2);
    client.read_exact(&mut received[LONG / 4..]).unwrap();
    assert!(received == wanted, "the bytes have changed");
    drop((client, writer.join().unwrap()));
    proxy.wait_descriptors(base);
}

#[test]
fn resets_amid_spliced_bytes_leave_nothing_behind() {
    let mut proxy = Proxy::start(&[]);
    let base = proxy.idle_descriptors();
    let block = pattern(1 << 20);
    for round in 0..8 {
        let (mut client, mut target) = tunnel(&proxy);
        let mut received = vec![0; 4 << 20];
        thread::scope(|scope| {
            scope.spawn(|| while target.write_all(&block).is_ok() {});
            client.read_exact(&mut received).unwrap();
            // Half of them when nothing goes on any more.
            thread::sleep(Duration::from_millis(100 * (round % 2)));
            abort(client);
        });
        assert!(received.chunks(block.len()).all(|chunk| chunk == block));
    }
    assert!(proxy.is_running() && pipes(&proxy)[1] > 0);
    assert_eq!(pipes(&proxy)[0], 0);
    proxy.wait_descriptors(base);
}
