//! Who guesses passwords, and who does not and comes from the same address (PROTOCOL.md, rows P4
//! and P5), over real sockets.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::thread;
use std::time::{Duration, Instant};

use nix::sys::signal::Signal;

use crate::support::namespace::{in_namespace, run};
use crate::support::wire::{Client, GREETING_USER, Way, user_pass};
use crate::support::{Folder, Proxy, command, is_emulated, note, wait_until};

/// Less than the shortest delay of a verdict.
const AT_ONCE: Duration = Duration::from_millis(900);

/// As long as six logins may take that are judged one after the other.
const SIX_LOGINS: Duration = Duration::from_secs(15);

/// How long the guessers go on.
const GUESSING: Duration = Duration::from_secs(6);

/// What a login from 127.0.0.1 is told within that time; `None`: nothing.
fn login(addr: SocketAddr, name: &str, password: &str, patience: Duration) -> Option<bool> {
    let mut stream = TcpStream::connect(addr).unwrap();
    stream.set_read_timeout(Some(patience)).unwrap();
    let message = user_pass(name.as_bytes(), password.as_bytes());
    stream
        .write_all(&[&GREETING_USER, &message[..]].concat())
        .unwrap();
    let mut answer = [0; 4];
    stream.read_exact(&mut answer).ok()?;
    assert_eq!(answer[..3], [5, 2, 1]);
    Some(answer[3] == 0)
}

/// The same, by someone who waits, and how long it took.
fn timed(proxy: &Proxy, name: &str, password: &str) -> (bool, Duration) {
    let start = Instant::now();
    let verdict = login(proxy.addr, name, password, SIX_LOGINS);
    (verdict.expect("an answer"), start.elapsed())
}

fn count(proxy: &Proxy, needle: &str) -> usize {
    proxy.log_text().matches(needle).count()
}

/// A proxy with the users ann and bob.
fn two_users(folder: &str, options: &[&str]) -> (Folder, Proxy) {
    let folder = Folder::new(folder);
    let users = folder.write("users", "ann:secret\nbob:hush\n");
    let proxy = Proxy::start(&[&["--users", &users], options].concat());
    (folder, proxy)
}

#[test]
fn p4_two_mistakes_cost_nothing_and_then_the_verdict_waits_right_or_wrong() {
    let proxy = Proxy::locked();
    for _ in 0..2 {
        let (granted, time) = timed(&proxy, "ann", "wrong");
        assert!(!granted && time < AT_ONCE, "{time:?}");
    }
    let (granted, third) = timed(&proxy, "ann", "wrong");
    assert!(!granted && third >= AT_ONCE, "{third:?}");
    let (granted, right) = timed(&proxy, "ann", "secret");
    assert!(granted && right >= 2 * AT_ONCE, "{right:?}");
    let (granted, again) = timed(&proxy, "ann", "secret");
    assert!(granted && again < AT_ONCE, "{again:?}");
    let mut other = proxy.client_from("127.0.0.2");
    other.say(Way::Pipelined, &GREETING_USER);
    other.say(Way::Pipelined, &user_pass(b"ann", b"wrong"));
    assert_eq!(other.rest(), [5, 2, 1, 1]);
}

#[test]
fn p4_a_guesser_gets_a_verdict_a_second_whatever_he_does() {
    guess_for(GUESSING, 3);
}

/// So many guessers of one address, for that time.
pub(crate) fn guess_for(time: Duration, guessers: usize) {
    let (_folder, mut proxy) = two_users("guesser", &["-v"]);
    let (addr, start) = (proxy.addr, Instant::now());
    thread::scope(|scope| {
        for number in 0..guessers {
            // Those who wait, and those who hang up after a moment of silence.
            let patience = match number % 3 {
                2 => Duration::from_millis(4),
                _ => SIX_LOGINS,
            };
            scope.spawn(move || {
                let mut guess = 0;
                while start.elapsed() < time {
                    guess += 1;
                    login(addr, "ann", &format!("guess{number}-{guess}"), patience);
                }
            });
        }
        // And one with an account.
        scope.spawn(move || {
            while start.elapsed() < time {
                login(addr, "bob", "hush", SIX_LOGINS);
            }
        });
    });
    let seconds = usize::try_from(start.elapsed().as_secs()).unwrap();
    // At its end it also tells how many lines it has held back.
    proxy.signal(Signal::SIGTERM);
    proxy.exit_within(SIX_LOGINS);
    let held = proxy.log_text();
    let held = held.lines().filter_map(|line| {
        let count = line.strip_prefix("WARN  [anklet] 127.0.0.1: ")?;
        count.split(' ').next()?.parse::<usize>().ok()
    });
    let guesses = held.sum::<usize>() + count(&proxy, "127.0.0.1 wrong password for user ann");
    note(&format!(
        "{guessers} guessers in {seconds} s: {guesses} verdicts"
    ));
    assert!(
        (2..=2 + seconds).contains(&guesses),
        "{guesses} in {seconds} s"
    );
}

#[test]
fn p5_six_right_logins_at_once_pass_behind_anothers_mistakes() {
    let (_folder, proxy) = two_users("six", &[]);
    for _ in 0..3 {
        assert!(!timed(&proxy, "ann", "wrong").0);
    }
    let start = Instant::now();
    let granted: Vec<bool> = thread::scope(|scope| {
        let login = || timed(&proxy, "bob", "hush").0;
        let logins = [(); 6].map(|()| scope.spawn(login));
        logins.map(|login| login.join().unwrap()).to_vec()
    });
    assert_eq!(granted, [true; 6]);
    let limit = if is_emulated() { 2 } else { 1 } * SIX_LOGINS;
    assert!(start.elapsed() < limit, "{:?}", start.elapsed());
}

#[test]
fn p4_who_gives_up_after_five_seconds_is_answered_before() {
    let proxy = Proxy::locked();
    let java = Duration::from_secs(5);
    for _ in 0..5 {
        assert_eq!(login(proxy.addr, "ann", "wrong", java), Some(false));
    }
    assert_eq!(login(proxy.addr, "ann", "secret", java), Some(true));
}

#[test]
fn p4_the_seventeenth_in_the_queue_is_refused_in_the_same_words() {
    let proxy = Proxy::start(&["-u", "ann", "-P", "secret", "--handshake-timeout", "1"]);
    for _ in 0..3 {
        login(proxy.addr, "ann", "wrong", SIX_LOGINS);
    }
    let waiting: Vec<Client> = (0..16).map(|_| guess_from(&proxy)).collect();
    let start = Instant::now();
    assert_eq!(guess_from(&proxy).rest(), [1, 1]);
    assert!(start.elapsed() < AT_ONCE, "{:?}", start.elapsed());
    // The queue outlives the time of a handshake, and moves on when somebody leaves.
    drop(waiting);
    wait_until("an empty queue", || {
        login(proxy.addr, "ann", "secret", SIX_LOGINS) == Some(true)
    });
}

/// A client that has sent a wrong login.
fn guess_from(proxy: &Proxy) -> Client {
    let mut client = proxy.client();
    client.say(Way::Pipelined, &GREETING_USER);
    assert_eq!(client.hear(2), [5, 2]);
    client.say(Way::Pipelined, &user_pass(b"ann", b"wrong"));
    client
}

#[test]
fn p4_ban_keeps_a_client_out_and_never_this_machine() {
    in_namespace(|| {
        run("ip addr add 10.9.9.9/32 dev lo");
        let options = ["-p", "0", "-u", "ann", "-P", "secret", "--ban", "3"];
        let proxy = Proxy::launch(command(&[], &options));
        let own = SocketAddr::from(([10, 9, 9, 9], proxy.addr.port()));
        let home = SocketAddr::from(([127, 0, 0, 1], proxy.addr.port()));
        for addr in [own, home] {
            for _ in 0..3 {
                assert_eq!(login(addr, "ann", "wrong", SIX_LOGINS), Some(false));
            }
        }
        assert_eq!(login(own, "ann", "secret", SIX_LOGINS), None);
        proxy.wait_log_all(&["WARN", "10.9.9.9", "--ban"]);
        assert_eq!(login(home, "ann", "secret", SIX_LOGINS), Some(true));
    });
}
