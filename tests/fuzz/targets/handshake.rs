//! SOCKS5 and SOCKS4 handshakes that come in pieces.
//!
//! However a conversation is cut, the same is sent, the same request comes out, and the same bytes
//! are left for the tunnel. No message waits for more bytes than the longest one has.

use anklet::state::access::{Access, Policy};
use anklet::state::auth::{Asker, Auth};
use anklet::state::handshake::{Dialect, Progress, Stage, feed, refusal};
use anklet::state::protocols::Protocols;
use anklet::state::slots::Key;
use anklet::state::users::Users;
use anklet::wire::socks::{Command, Request};

use super::{chosen, cuts};

/// The longest message: a SOCKS4A request with both of its texts and their ends.
const MESSAGE_MAX: usize = 520;

/// The longest handshake: greeting, login, request.
const HANDSHAKE_MAX: usize = 257 + 513 + 262;

pub fn target(data: &[u8]) {
    let Some((choice, input)) = chosen(data) else {
        return;
    };
    let (seed, input) = chosen(input).unwrap_or_default();
    let whole = converse(choice, input, [input.len()].into_iter());
    let pieces = converse(choice, input, cuts(seed, input.len()));
    assert_eq!(whole, pieces);
    assert!(whole.used <= input.len().min(HANDSHAKE_MAX));
    if let Some(request) = &whole.request {
        let is_tunnel = request.command == Command::Connect;
        assert!(!is_tunnel || request.port != 0);
        assert!(!matches!(request.command, Command::Unknown(_)));
    } else if whole.is_over {
        // At most an answer to the greeting, one to the login, and a refusal.
        assert!(whole.sent.len() <= 2 + 2 + 10);
    }
}

/// What has come of a conversation.
#[derive(Debug, PartialEq, Eq)]
struct Outcome {
    sent: Vec<u8>,
    request: Option<Request>,
    used: usize,
    is_over: bool,
}

/// Feeds what has come so far, again and again, as the session does.
fn converse(choice: u8, input: &[u8], ends: impl Iterator<Item = usize>) -> Outcome {
    let mut auth = auth(choice);
    let asker = Asker {
        session: Key::new(0, 0),
        addr: ([192, 168, 1, 10], 50_000).into(),
    };
    let is_socks4 = Dialect::of(input, auth.protocols) == Some(Dialect::Socks4);
    let mut stage = if is_socks4 {
        Stage::Socks4
    } else {
        Stage::Greeting
    };
    let mut outcome = Outcome {
        sent: Vec::new(),
        request: None,
        used: 0,
        is_over: false,
    };
    for end in ends {
        while !outcome.is_over {
            let bytes = &input[outcome.used..end];
            let (used, progress) = feed(stage, bytes, asker, &mut auth, 0);
            assert!(used <= bytes.len());
            outcome.used += used;
            match progress {
                Progress::More => {
                    assert!(used == 0 && bytes.len() < MESSAGE_MAX);
                    break;
                }
                Progress::Reply(reply, next) => {
                    outcome.sent.extend(reply);
                    stage = next;
                }
                Progress::Granted(reply, _) => {
                    outcome.sent.extend(reply);
                    stage = Stage::Request;
                }
                Progress::Wait(_) => unreachable!("nobody has been wrong before"),
                Progress::Done(request) => {
                    outcome.request = Some(request);
                    outcome.is_over = true;
                }
                Progress::Refuse(refuse) => {
                    outcome.sent.extend(refusal(refuse).as_bytes());
                    outcome.is_over = true;
                }
            }
        }
    }
    outcome
}

/// Rules, a user or none, and protocols, each as a bit of `choice` says.
fn auth(choice: u8) -> Auth {
    let is_set = |bit: u8| choice >> bit & 1 == 1;
    let credentials = is_set(0);
    let mut users = Users::default();
    if credentials {
        users.add(b"ann", b"secret").unwrap();
    }
    let trust = if is_set(1) {
        vec!["192.168.0.0/16".parse().unwrap()]
    } else {
        Vec::new()
    };
    let policy = Policy {
        credentials,
        trust,
        ..Policy::default()
    };
    let protocols = Protocols {
        socks4: !is_set(2),
        bind: !is_set(3),
        udp: !is_set(4),
        ..Protocols::default()
    };
    let access = Access::new(policy, Vec::new(), Vec::new());
    Auth::new(access, users, credentials, is_set(5), protocols)
}
