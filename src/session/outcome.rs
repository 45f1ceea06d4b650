//! How a turn of a session is called for, what follows a step of it, and why a session ends: in
//! words for the log, in codes for the client.

use std::fmt;

use super::exchange::Asked;
use crate::net::Errno;
use crate::resolver::Answer;
use crate::state::access::Refusal;
use crate::state::clients::Table;
use crate::state::handshake::Refuse;
use crate::state::logins::Delay;
use crate::wire::http::{Fault, Status};
use crate::wire::socks::ReplyCode;

/// Why a session gets a turn.
#[derive(Clone, Copy)]
pub enum Wake<'a> {
    /// Something has happened on one of its sockets, or it has more to do.
    Event,
    /// Its timer has run out.
    Timeout,
    /// Its alarm has gone off: the next attempt of a race is due, a client of UDP has been silent,
    /// or accepting can be tried again.
    Alarm,
    /// The lookup of the name with that number has brought that, and whether it is all.
    Answer(u8, &'a Answer, bool),
}

/// What follows a turn, for the server.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// An event or a timer will wake it.
    Idle,
    /// It has used up its budget and wants another turn.
    Again,
    /// It wants one at the next tick.
    Rest,
    /// It wants the next part of the report, and then another turn.
    Report,
    /// It is over.
    Closed(Reason),
}

/// What follows a turn of a phase, as long as the session goes on.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Next {
    /// There is more to do at once, in another phase or once more in this one.
    Go,
    /// Nothing, until something happens.
    Wait,
    /// There is more to do, but others come first.
    Yield,
    /// Nothing before the next tick, unless something happens.
    Rest,
    /// The tunnel, the association or the exchange is established.
    Established,
    /// The exchange is over, and the client's connection goes on.
    Done,
    /// A request has to be opened: the next one, or the same once more.
    Open,
    /// The next part of the report is wanted.
    Report,
}

/// What a handshake has come to.
#[derive(Debug)]
pub(super) enum Heard {
    /// Bytes are missing.
    Part,
    /// A login is complete and waits for its verdict: with a delay for so long, else until it is
    /// the next one of its source.
    Login(Option<Delay>),
    /// The request is there.
    Request(Asked),
}

/// How a session ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct End {
    /// Why, for the log.
    pub(super) reason: Reason,
    /// What the client still gets.
    pub(super) closing: Closing,
}

/// What becomes of the client's connection at the end of a session.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Closing {
    /// It is closed at once.
    Close,
    /// The client has its answer; what it still sends is discarded for a while.
    Discard,
    /// The client is told that, then its input is discarded as well.
    Refuse(Refuse),
}

impl End {
    /// The connections are closed at once.
    pub(super) fn close(reason: Reason) -> Self {
        let closing = Closing::Close;
        Self { reason, closing }
    }

    /// The client has its answer; what it still sends is discarded for a while.
    pub(super) fn discard(reason: Reason) -> Self {
        let closing = Closing::Discard;
        Self { reason, closing }
    }

    /// The client is told `refuse`.
    pub(super) fn refuse(refuse: Refuse, reason: Reason) -> Self {
        let closing = Closing::Refuse(refuse);
        Self { reason, closing }
    }
}

/// The end of a session in a step in which it cannot be. Nobody else pays for that mistake of ours;
/// tests and the simulation stop at it.
pub(super) fn misstep(why: &str) -> End {
    debug_assert!(false, "{why}");
    End::close(Reason::Failed)
}

impl From<Reason> for End {
    /// A request that fails for that reason is answered with the reply code of it.
    fn from(reason: Reason) -> Self {
        Self::refuse(Refuse::Reply(reason.reply_code()), reason)
    }
}

impl From<Refuse> for End {
    /// A client that does not get through its handshake.
    fn from(refuse: Refuse) -> Self {
        let reason = match refuse {
            Refuse::Protocol => return Self::close(Reason::Garbage),
            Refuse::Method | Refuse::Http(Fault::NoLogin) => Reason::NoMethod,
            Refuse::LoginVersion | Refuse::Reply(_) | Refuse::Http(_) => Reason::BadRequest,
            Refuse::BadAnswer(_) => Reason::BadAnswer,
            Refuse::OwnAnswer => Reason::Done,
            Refuse::Login => Reason::BadLogin,
        };
        Self::refuse(refuse, reason)
    }
}

/// Why a session ended, for its log line.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Reason {
    /// Both directions have ended.
    Done,
    /// The client closed before its tunnel was established.
    ClientLeft,
    /// The client's connection broke.
    ClientReset,
    /// The target's connection broke.
    TargetReset,
    /// The target closed in the middle of its answer.
    TargetLeft,
    /// The target closed without an answer.
    NoAnswer,
    /// What the target answered cannot be passed on.
    BadAnswer,
    /// Not a protocol that is served here.
    Garbage,
    /// No authentication method in common.
    NoMethod,
    /// Wrong name or password.
    BadLogin,
    /// The handshake took too long.
    HandshakeTimeout,
    /// A request that cannot be understood, or is not supported.
    BadRequest,
    /// Refused by the rules.
    NotAllowed(Refusal),
    /// Refused by the system: a firewall, or a missing right.
    Forbidden,
    /// The name does not resolve.
    NoSuchName,
    /// No name server could be asked, or was able and willing to answer.
    LookupFailed,
    /// Nobody answered the lookup in time.
    LookupTimeout,
    /// No network of the target's family, or no way there.
    NetworkUnreachable,
    /// The target's host cannot be reached.
    HostUnreachable,
    /// The source address is not this machine's, or all its ports towards the target wait after
    /// their end (TIME_WAIT).
    NoAddress,
    /// The target refused.
    Refused,
    /// The connect timeout.
    ConnectTimeout,
    /// Nobody has come to a BIND listener.
    BindTimeout,
    /// All places of a table are taken, and nobody has to give one.
    Full(Table),
    /// As many wait for names as may, and nobody has to make room.
    TooManyNames,
    /// Another session has taken its place in a table that is full.
    Displaced(Table),
    /// Out of descriptors, or an error of the system without a code of its own.
    Failed,
    /// Nothing moved for the idle timeout.
    IdleTimeout,
    /// The same after one direction had ended.
    HalfCloseTimeout,
    /// Bytes waited for an end that does not take them while memory was short.
    MemoryShort,
    /// The client's user is none any more.
    UserRemoved,
    /// The program is ending.
    Stopped,
}

impl Reason {
    /// In words, and in the same ones for whatever was refused.
    pub(super) fn words(self) -> &'static str {
        match self {
            Self::NotAllowed(_) => "not allowed",
            Self::Full(_) | Self::TooManyNames => "no place left",
            Self::Displaced(_) => "gave its place to a newcomer",
            Self::Done => "done",
            Self::ClientLeft => "client left",
            Self::ClientReset => "client reset",
            Self::TargetReset => "target reset",
            Self::TargetLeft => "target left in the middle",
            Self::NoAnswer => "no answer",
            Self::BadAnswer => "malformed answer",
            Self::Garbage => "neither SOCKS nor HTTP",
            Self::NoMethod => "no acceptable login",
            Self::BadLogin => "wrong password",
            Self::HandshakeTimeout => "handshake timeout",
            Self::BadRequest => "bad request",
            Self::Forbidden => "forbidden by the system",
            Self::NoSuchName => "name not found",
            Self::LookupFailed => "name servers fail",
            Self::LookupTimeout => "name timeout",
            Self::NetworkUnreachable => "network unreachable",
            Self::HostUnreachable => "host unreachable",
            Self::NoAddress => "no source address or port",
            Self::Refused => "refused",
            Self::ConnectTimeout => "connect timeout",
            Self::BindTimeout => "nobody came",
            Self::Failed => "failed (see -v)",
            Self::IdleTimeout => "idle timeout",
            Self::HalfCloseTimeout => "half-close timeout",
            Self::MemoryShort => "memory is short",
            Self::UserRemoved => "user removed",
            Self::Stopped => "stopped",
        }
    }

    /// Returns `true` if a session that ends so tells of its client or its target, not of
    /// something that is for the owner of the proxy to know or to mend. A wrong password has a
    /// line of its own.
    pub(super) fn is_usual(self) -> bool {
        matches!(
            self,
            Self::Done
                | Self::ClientLeft
                | Self::ClientReset
                | Self::TargetReset
                | Self::BadLogin
                | Self::HostUnreachable
                | Self::Refused
                | Self::ConnectTimeout
                | Self::BindTimeout
                | Self::IdleTimeout
                | Self::HalfCloseTimeout
                | Self::Stopped
        )
    }

    /// The status that tells an HTTP client why it is refused.
    pub(super) fn status(self, refuse: Refuse) -> Status {
        match (refuse, self) {
            (Refuse::Http(fault), _) => fault.status(),
            (Refuse::Login, _) => Status::ProxyAuthenticationRequired,
            (_, Self::NotAllowed(_) | Self::Forbidden) => Status::Forbidden,
            (
                _,
                Self::LookupTimeout
                | Self::ConnectTimeout
                | Self::IdleTimeout
                | Self::HalfCloseTimeout,
            ) => Status::GatewayTimeout,
            (_, Self::Failed | Self::Full(_) | Self::TooManyNames | Self::Displaced(_)) => {
                Status::ServiceUnavailable
            }
            (_, Self::BadRequest) => Status::BadRequest,
            (_, Self::HandshakeTimeout) => Status::RequestTimeout,
            _ => Status::BadGateway,
        }
    }

    /// REP for a request that ends so: the one place where outcomes become codes.
    pub(super) fn reply_code(self) -> ReplyCode {
        match self {
            Self::NotAllowed(_) | Self::Forbidden => ReplyCode::NotAllowed,
            Self::NetworkUnreachable => ReplyCode::NetworkUnreachable,
            Self::HostUnreachable | Self::NoSuchName | Self::LookupFailed | Self::LookupTimeout => {
                ReplyCode::HostUnreachable
            }
            Self::Refused => ReplyCode::ConnectionRefused,
            Self::ConnectTimeout | Self::BindTimeout => ReplyCode::TtlExpired,
            _ => ReplyCode::GeneralFailure,
        }
    }
}

impl From<Errno> for Reason {
    /// What a failed connect means: the one place where errors become outcomes.
    fn from(error: Errno) -> Self {
        match error {
            Errno::EACCES | Errno::EPERM => Self::Forbidden,
            // ENODEV: a device to bind to that is not there; EINVAL: a route of the type blackhole.
            Errno::ENETUNREACH | Errno::ENETDOWN | Errno::ENODEV | Errno::EINVAL => {
                Self::NetworkUnreachable
            }
            Errno::EADDRNOTAVAIL => Self::NoAddress,
            // The others are what routers on the way may say of a host (RFC 792, RFC 1812 §5.2.7.1).
            Errno::EHOSTUNREACH | Errno::EHOSTDOWN | Errno::ENONET => Self::HostUnreachable,
            Errno::ECONNREFUSED => Self::Refused,
            Errno::ETIMEDOUT => Self::ConnectTimeout,
            _ => Self::Failed,
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.words())?;
        match self {
            // With the option that would permit it.
            Self::NotAllowed(refusal) => write!(f, ": {refusal}; {}", refusal.hint()),
            Self::Full(table) | Self::Displaced(table) => write!(f, ": all {table} are in use"),
            Self::TooManyNames => f.write_str(": too many wait for names (--max-sessions)"),
            _ => Ok(()),
        }
    }
}
