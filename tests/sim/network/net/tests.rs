//! The simulated sockets report the edges that Linux reports.

use super::*;
use anklet::state::slots::{Key, Role};

/// An accepted and registered connection, its first event taken.
fn connected() -> (World, StreamHandle) {
    let mut world = World::empty();
    let s = world.network().open(None, (LISTENERS[0], LISTENERS[1]), 64);
    world.0.borrow_mut().actors.push(Actor::Nobody);
    let mut stream = StreamHandle(world.clone(), s);
    let token = Token::new(Key::new(7, 1), Role::Client);
    world.watch(&mut stream, token).expect("it is open");
    let first = events(&mut world);
    assert_eq!(first, ["writable "], "room is reported as it is registered");
    (world, stream)
}

/// The events of one wait of up to a second.
fn events(world: &mut World) -> Vec<String> {
    let mut events = Vec::new();
    world
        .wait(&mut events, Some(Duration::from_secs(1)))
        .expect("waiting cannot fail");
    let shown = events.iter().map(describe);
    shown
        .filter_map(|text| Some(text.split_once(": ")?.1.to_string()))
        .collect()
}

#[test]
fn each_arrival_is_an_edge_and_silence_is_none() {
    let (mut world, mut stream) = connected();
    world.network().peer_send(stream.1, b"one");
    assert_eq!(events(&mut world), ["readable writable "]);
    assert!(events(&mut world).is_empty(), "unread bytes are no edge");
    world.network().peer_send(stream.1, b"two");
    assert_eq!(events(&mut world), ["readable writable "]);
    let mut buf = [0; 16];
    assert_eq!(stream.peek(&mut buf).ok(), Some(6));
    assert_eq!(stream.read(&mut buf).ok(), Some(6));
    assert_eq!(&buf[..6], b"onetwo");
    let error = stream.read(&mut buf).expect_err("it is drained");
    assert_eq!(error, Errno::EAGAIN);
}

#[test]
fn the_end_is_an_edge_once_and_readable_for_ever() {
    let (mut world, mut stream) = connected();
    world.network().peer_send(stream.1, b"last");
    world.network().peer_ends(stream.1);
    let mut seen = events(&mut world);
    seen.extend(events(&mut world));
    assert_eq!(
        seen.last().map(String::as_str),
        Some("readable writable ended ")
    );
    assert!(events(&mut world).is_empty());
    let mut buf = [0; 16];
    assert_eq!(stream.read(&mut buf).ok(), Some(4));
    assert_eq!(stream.read(&mut buf).ok(), Some(0));
    assert_eq!(stream.read(&mut buf).ok(), Some(0));
    stream.shutdown_write().expect("it is open");
    assert_eq!(
        events(&mut world),
        ["readable writable ended "],
        "a full hang-up is no error"
    );
}

#[test]
fn room_is_an_edge_only_for_a_writer_who_saw_none() {
    let (mut world, mut stream) = connected();
    assert_eq!(stream.write(&[0; 10]).ok(), Some(10));
    assert!(events(&mut world).is_empty());
    let mut buf = [0; 200];
    while stream.write(&buf).is_ok() {}
    assert_eq!(events(&mut world), ["writable "], "what travels makes room");
    while stream.write(&buf).is_ok() {}
    assert!(events(&mut world).is_empty(), "the peer reads nothing");
    assert!(world.network().peer_receive(stream.1, &mut buf) > 0);
    assert_eq!(events(&mut world), ["writable "]);
}

#[test]
fn a_reset_is_told_once_and_what_had_arrived_stays_readable() {
    let (mut world, mut stream) = connected();
    world.network().peer_send(stream.1, b"last");
    assert_eq!(events(&mut world).len(), 1);
    world.network().peer_resets(stream.1);
    assert_eq!(events(&mut world), ["readable writable ended failed"]);
    let mut buf = [0; 16];
    assert_eq!(stream.read(&mut buf).ok(), Some(4));
    let error = stream.take_error().expect("it is pending");
    assert_eq!(error, Errno::ECONNRESET);
    assert!(stream.take_error().is_none());
    assert_eq!(stream.read(&mut buf).ok(), Some(0));
    let error = stream.write(b"x").expect_err("it is broken");
    assert_eq!(error, Errno::EPIPE);
}

#[test]
fn a_closed_socket_is_silent() {
    let (mut world, stream) = connected();
    world.network().peer_send(stream.1, b"late");
    let s = stream.1;
    drop(stream);
    assert!(events(&mut world).is_empty());
    assert!(
        world.network().peer_sees_reset(s),
        "bytes to a closed socket are answered by a reset"
    );
}

#[test]
fn an_injected_shortage_ends_with_an_edge() {
    let (mut world, mut stream) = connected();
    world.network().odds.early_block = 1000;
    world.network().peer_send(stream.1, b"hidden");
    assert_eq!(events(&mut world), ["readable writable "]);
    let mut buf = [0; 16];
    for result in [stream.read(&mut buf), stream.write(b"x")] {
        let error = result.expect_err("a shortage is injected");
        assert_eq!(error, Errno::EAGAIN);
    }
    world.network().odds.early_block = 0;
    let mut seen = events(&mut world);
    seen.extend(events(&mut world));
    assert_eq!(seen.last().map(String::as_str), Some("readable writable "));
    assert_eq!(stream.read(&mut buf).ok(), Some(6));
    assert_eq!(stream.write(b"x").ok(), Some(1));
}
