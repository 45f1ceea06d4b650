//! The handshake: which answer a client's bytes deserve, one message at a time.
//!
//! Pure: bytes in, [`Progress`] out. The session reads, writes and keeps what is left over.
//! SOCKS5 and SOCKS4 are here; an HTTP head is another matter, see `session::http`.

use std::net::{IpAddr, Ipv4Addr};

use super::auth::{Asker, Auth, Trust, Verdict};
use super::logins::Delay;
use super::protocols::Protocols;
use super::users::UserId;
use crate::net::Millis;
use crate::wire::Reader;
use crate::wire::encoded::Encoded;
use crate::wire::http::{self, Fault};
use crate::wire::socks::{
    Command, Greeting, Login, Malformed, NO_ACCEPTABLE, NO_AUTHENTICATION, ReplyCode, Request,
    USER_PASSWORD, VERSION, reply,
};
use crate::wire::socks4;

/// The protocol of a client, decided by its first byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Dialect {
    /// RFC 1928.
    #[default]
    Socks5,
    /// SOCKS4 and 4A.
    Socks4,
    /// HTTP: CONNECT or a request in absolute form.
    Http,
}

impl Dialect {
    /// The protocol of a client that begins with these bytes, among those that are switched on;
    /// `None` while there are no bytes. Anything unknown is a SOCKS5 greeting, and a malformed one.
    pub fn of(bytes: &[u8], protocols: Protocols) -> Option<Self> {
        Some(match *bytes.first()? {
            socks4::VERSION if protocols.socks4 => Self::Socks4,
            byte if protocols.http && http::starts(byte) => Self::Http,
            _ => Self::Socks5,
        })
    }

    /// Its name, for the log.
    pub fn name(self) -> &'static str {
        match self {
            Self::Socks5 => "socks5",
            Self::Socks4 => "socks4",
            Self::Http => "http",
        }
    }
}

/// Which message comes next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Stage {
    /// The method selection (RFC 1928 §3).
    Greeting,
    /// User and password (RFC 1929).
    Login,
    /// The request (RFC 1928 §4).
    Request,
    /// The request of SOCKS4 and 4A, which is all there is.
    Socks4,
}

/// What follows from the bytes at hand.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Progress {
    /// Nothing yet.
    More,
    /// Send these two bytes and go on with that stage.
    Reply([u8; 2], Stage),
    /// Send these two bytes and go on with the request, as that user or as nobody.
    Granted([u8; 2], Option<UserId>),
    /// The login waits for its verdict, as [`Verdict::Wait`] says, and its bytes with it.
    Wait(Option<Delay>),
    /// The request is complete and one that is served.
    Done(Request),
    /// The client gets no further.
    Refuse(Refuse),
}

/// Why a client gets no further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Refuse {
    /// Not a protocol that is served here: no answer.
    Protocol,
    /// No method in common: `05 FF`.
    Method,
    /// Not RFC 1929: `01 01`.
    LoginVersion,
    /// A wrong name or password, or one that was not judged: `01 01`.
    Login,
    /// A full reply with that code.
    Reply(ReplyCode),
    /// HTTP: what is wrong with the request, which gets the status of that.
    Http(Fault),
    /// HTTP: what is wrong with the answer, for which the client gets one of the proxy's.
    BadAnswer(Fault),
    /// HTTP: the request is for the proxy itself, and its answer is ready.
    OwnAnswer,
}

impl From<Fault> for Refuse {
    fn from(fault: Fault) -> Self {
        Self::Http(fault)
    }
}

/// Looks at `bytes`, the next ones of `asker`. Returns how many of them were used up, and what
/// follows.
pub fn feed(
    stage: Stage,
    bytes: &[u8],
    asker: Asker,
    auth: &mut Auth,
    now: Millis,
) -> (usize, Progress) {
    let mut reader = Reader::new(bytes);
    let progress = match stage {
        Stage::Greeting => greeting(&mut reader, asker.ip(), auth, now),
        Stage::Login => login(&mut reader, asker, auth, now),
        Stage::Request => request(&mut reader, auth.protocols),
        Stage::Socks4 => socks4(&mut reader, asker.ip(), auth, now),
    };
    match progress {
        None => (0, Progress::More),
        Some(wait @ Progress::Wait(_)) => (0, wait),
        Some(progress) => (reader.consumed(), progress),
    }
}

fn greeting(
    reader: &mut Reader<'_>,
    client: IpAddr,
    auth: &mut Auth,
    now: Millis,
) -> Option<Progress> {
    let Ok(greeting) = Greeting::read(reader)? else {
        return Some(Progress::Refuse(Refuse::Protocol));
    };
    // With credentials, "none" is for clients who are trusted without them; without any,
    // those who insist on a password may send what they like.
    let trust = auth.trust(client, now);
    let takes_login = greeting.offers(USER_PASSWORD);
    let takes_none = greeting.offers(NO_AUTHENTICATION);
    let reply = [VERSION, NO_AUTHENTICATION];
    Some(match trust {
        _ if takes_login && auth.needs_login() => LOGIN_NEXT,
        Trust::As(user) if takes_none => Progress::Granted(reply, Some(user)),
        Trust::Open if takes_none => Progress::Granted(reply, None),
        _ if takes_login => LOGIN_NEXT,
        _ => Progress::Refuse(Refuse::Method),
    })
}

const LOGIN_NEXT: Progress = Progress::Reply([VERSION, USER_PASSWORD], Stage::Login);

fn login(reader: &mut Reader<'_>, asker: Asker, auth: &mut Auth, now: Millis) -> Option<Progress> {
    let Ok(login) = Login::read(reader)? else {
        return Some(Progress::Refuse(Refuse::LoginVersion));
    };
    Some(match auth.login(asker, login, now) {
        Verdict::Granted(user) => Progress::Granted(Login::reply(true), user),
        Verdict::Refused => Progress::Refuse(Refuse::Login),
        Verdict::Wait(delay) => Progress::Wait(delay),
    })
}

fn socks4(
    reader: &mut Reader<'_>,
    client: IpAddr,
    auth: &mut Auth,
    now: Millis,
) -> Option<Progress> {
    Some(match socks4::read(reader)? {
        Err(Malformed::Name) => refuse_with(ReplyCode::GeneralFailure),
        Err(_) => Progress::Refuse(Refuse::Protocol),
        // A user id proves nothing.
        Ok(_) if auth.trust(client, now) == Trust::No => refuse_with(ReplyCode::NotAllowed),
        Ok(request) => judged(request, auth.protocols),
    })
}

fn request(reader: &mut Reader<'_>, protocols: Protocols) -> Option<Progress> {
    Some(match Request::read(reader)? {
        Err(Malformed::AddressType) => refuse_with(ReplyCode::AddressTypeNotSupported),
        Err(_) => refuse_with(ReplyCode::GeneralFailure),
        Ok(request) => judged(request, protocols),
    })
}

/// Decides whether a request, in whichever dialect, is one that is served.
fn judged(request: Request, protocols: Protocols) -> Progress {
    let served = match request.command {
        Command::Connect if request.port == 0 => return refuse_with(ReplyCode::GeneralFailure),
        Command::Connect => true,
        Command::Bind => protocols.bind,
        Command::UdpAssociate => protocols.udp,
        Command::Unknown(_) => false,
    };
    if served {
        Progress::Done(request)
    } else {
        refuse_with(ReplyCode::CommandNotSupported)
    }
}

fn refuse_with(code: ReplyCode) -> Progress {
    Progress::Refuse(Refuse::Reply(code))
}

/// The message that tells a SOCKS5 client so; empty where there is none.
pub fn refusal(refuse: Refuse) -> Encoded {
    match refuse {
        Refuse::Protocol | Refuse::Http(_) | Refuse::BadAnswer(_) | Refuse::OwnAnswer => {
            Encoded::new([])
        }
        Refuse::Method => Encoded::new([VERSION, NO_ACCEPTABLE]),
        Refuse::LoginVersion | Refuse::Login => Encoded::new(Login::reply(false)),
        // Failures carry the full ten bytes, zeros for an address.
        Refuse::Reply(code) => reply(code, (Ipv4Addr::UNSPECIFIED, 0).into()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::state::access::{Access, Policy};
    use crate::state::slots::Key;
    use crate::state::users::Users;

    fn auth(credentials: bool, trust: &str) -> Auth {
        gate_with(credentials, trust, Protocols::default())
    }

    fn gate_with(credentials: bool, trust: &str, protocols: Protocols) -> Auth {
        let trust = trust.split(',').filter(|net| !net.is_empty());
        let policy = Policy {
            credentials,
            trust: trust.map(|net| net.parse().unwrap()).collect(),
            ..Policy::default()
        };
        let mut users = Users::default();
        if credentials {
            users.add(b"user", b"secret").unwrap();
        }
        Auth::new(
            Access::new(policy, Vec::new(), Vec::new()),
            users,
            credentials,
            false,
            protocols,
        )
    }

    /// Feeds everything at once or byte by byte; what is sent, and how it ended.
    fn converse(auth: &mut Auth, input: &[u8], bytewise: bool) -> (Vec<u8>, Progress, usize) {
        let (session, addr) = (Key::new(0, 0), "10.0.0.1:1".parse().unwrap());
        let asker = Asker { session, addr };
        let is_socks4 = Dialect::of(input, auth.protocols) == Some(Dialect::Socks4);
        let mut stage = if is_socks4 {
            Stage::Socks4
        } else {
            Stage::Greeting
        };
        let (mut sent, mut start) = (Vec::new(), 0);
        let mut end = if bytewise { 0 } else { input.len() };
        loop {
            let bytes = &input[start..end];
            let (used, progress) = feed(stage, bytes, asker, auth, 0);
            start += used;
            match progress {
                Progress::More if end < input.len() => end += 1,
                Progress::Reply(reply, next) => {
                    sent.extend(reply);
                    stage = next;
                }
                Progress::Granted(reply, _) => {
                    sent.extend(reply);
                    stage = Stage::Request;
                }
                Progress::Refuse(refuse) => {
                    sent.extend(refusal(refuse).as_bytes());
                    return (sent, progress, start);
                }
                progress => return (sent, progress, start),
            }
        }
    }

    const REQUEST: &[u8] = &[5, 1, 0, 1, 192, 0, 2, 1, 0, 80];

    fn failure(code: u8) -> Vec<u8> {
        vec![5, code, 0, 1, 0, 0, 0, 0, 0, 0]
    }

    #[test]
    fn every_exchange_ends_the_same_whole_and_byte_by_byte() {
        let join = |parts: &[&[u8]]| parts.concat();
        let open = || auth(false, "");
        let closed = || auth(true, "");
        let login = &b"\x01\x04user\x06secret"[..];
        let wrong = &b"\x01\x04user\x05wrong"[..];
        let request = |head: &[u8]| [&[5, 1, 0][..], head].concat();
        // The rules and users, the input, what is sent, whether a request comes out.
        let table: Vec<(Auth, Vec<u8>, Vec<u8>, bool)> = vec![
            (open(), join(&[&[5, 1, 0], REQUEST]), vec![5, 0], true),
            (open(), join(&[&[5, 2, 2, 0], REQUEST]), vec![5, 0], true),
            (
                open(),
                join(&[&[5, 1, 2], wrong, REQUEST]),
                vec![5, 2, 1, 0],
                true,
            ),
            (open(), vec![5, 0], vec![5, 0xff], false),
            (open(), vec![5, 1, 1], vec![5, 0xff], false),
            (open(), vec![0x16, 3, 1], vec![], false),
            (
                open(),
                join(&[&[5, 1, 0], &[4, 1]]),
                join(&[&[5, 0], &failure(1)]),
                false,
            ),
            (
                open(),
                join(&[&[5, 1, 0], &request(&[9, 1])]),
                join(&[&[5, 0], &failure(8)]),
                false,
            ),
            (
                open(),
                join(&[&[5, 1, 0], &request(&[3, 0, 0, 80])]),
                join(&[&[5, 0], &failure(1)]),
                false,
            ),
            (
                open(),
                join(&[&[5, 1, 0], &request(&[1, 1, 2, 3, 4, 0, 0])]),
                join(&[&[5, 0], &failure(1)]),
                false,
            ),
            (
                open(),
                [5, 1, 0, 5, 9, 0, 1, 1, 2, 3, 4, 0, 80].to_vec(),
                join(&[&[5, 0], &failure(7)]),
                false,
            ),
            (
                closed(),
                join(&[&[5, 2, 0, 2], login, REQUEST]),
                vec![5, 2, 1, 0],
                true,
            ),
            (
                closed(),
                join(&[&[5, 2, 0, 2], wrong, REQUEST]),
                vec![5, 2, 1, 1],
                false,
            ),
            (
                closed(),
                join(&[&[5, 1, 2], &[1, 0, 0]]),
                vec![5, 2, 1, 1],
                false,
            ),
            (closed(), join(&[&[5, 1, 2], &[5]]), vec![5, 2, 1, 1], false),
            (closed(), vec![5, 1, 0], vec![5, 0xff], false),
            (
                auth(true, "10.0.0.0/8"),
                join(&[&[5, 1, 0], REQUEST]),
                vec![5, 0],
                true,
            ),
        ];
        for (at, (mut auth, input, expected, done)) in table.into_iter().enumerate() {
            for bytewise in [false, true] {
                let (sent, progress, _) = converse(&mut auth, &input, bytewise);
                assert_eq!(sent, expected, "row {at}");
                assert_eq!(matches!(progress, Progress::Done(_)), done, "row {at}");
            }
        }
    }

    #[test]
    fn socks4_needs_trust_where_users_are_and_knows_two_commands() {
        let input = |command: u8| [&[4, command, 0, 80, 192, 0, 2, 1][..], b"id\0"].concat();
        let off = |protocols| gate_with(false, "", protocols);
        let no_bind = Protocols {
            bind: false,
            ..Protocols::default()
        };
        let no_socks4 = Protocols {
            socks4: false,
            ..Protocols::default()
        };
        let refuse_with = |code| Progress::Refuse(Refuse::Reply(code));
        for (mut auth, command, expected) in [
            (auth(false, ""), 1, None),
            (auth(false, ""), 2, None),
            (auth(true, "10.0.0.0/8"), 1, None),
            (auth(true, ""), 1, Some(refuse_with(ReplyCode::NotAllowed))),
            (
                auth(false, ""),
                3,
                Some(refuse_with(ReplyCode::CommandNotSupported)),
            ),
            (
                off(no_bind),
                2,
                Some(refuse_with(ReplyCode::CommandNotSupported)),
            ),
            (off(no_socks4), 1, Some(Progress::Refuse(Refuse::Protocol))),
        ] {
            for bytewise in [false, true] {
                let (_, progress, _) = converse(&mut auth, &input(command), bytewise);
                match expected {
                    Some(ref expected) => assert_eq!(progress, *expected),
                    None => assert!(matches!(progress, Progress::Done(_))),
                }
            }
        }
    }

    #[test]
    fn what_lies_behind_the_request_is_left_for_the_tunnel() {
        let input = [&[5, 1, 0][..], REQUEST, b"payload"].concat();
        let (_, progress, used) = converse(&mut auth(false, ""), &input, false);
        assert!(matches!(progress, Progress::Done(_)));
        assert_eq!(&input[used..], b"payload");
    }

    #[test]
    fn a_users_file_that_became_empty_lets_nobody_in() {
        let mut auth = auth(true, "");
        auth.set_users(Users::default());
        let (sent, ..) = converse(&mut auth, &[5, 1, 0], false);
        assert_eq!(sent, [5, 0xff]);
        let input = b"\x05\x01\x02\x01\x04user\x06secret";
        let (sent, ..) = converse(&mut auth, input, false);
        assert_eq!(sent, [5, 2, 1, 1]);
    }
}
