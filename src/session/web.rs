//! HTTP on the same port: a request head in, a tunnel or a forwarded request out.
//!
//! The head is read into an entry of a small table of its own, because it is eight times as
//! large as a SOCKS handshake; what lies behind it stays there until the target takes it.

use std::io;
use std::net::IpAddr;

use super::opening::Opening;
use super::shared::Class;
use super::{Next, Phase, Reason, Session, Shared};
use crate::net::{Millis, Net, Stream};
use crate::state::flow::Peer;
use crate::state::gate::Gate;
use crate::state::handshake::Refuse;
use crate::wire::http::{
    BodyMeter, FORWARDED_MAX, HEAD_MAX, Head, LOGIN_MAX, Malformed, Status, Target,
};
use crate::wire::socks::{Command, Request};

/// One HTTP request while it is read and until the target has it.
#[derive(Debug)]
pub(super) struct WebRequest {
    input: [u8; HEAD_MAX],
    start: usize,
    end: usize,
    /// The head as the target gets it; empty for CONNECT.
    forwarded: [u8; FORWARDED_MAX],
    forwarded_start: usize,
    forwarded_end: usize,
    /// How much of what follows belongs to the request; `None` for CONNECT, where all does.
    meter: Option<BodyMeter>,
}

impl WebRequest {
    pub(super) fn new() -> Self {
        Self {
            input: [0; HEAD_MAX],
            start: 0,
            end: 0,
            forwarded: [0; FORWARDED_MAX],
            forwarded_start: 0,
            forwarded_end: 0,
            meter: None,
        }
    }

    /// Makes a used entry as good as new, with these first bytes. What it held is only
    /// forgotten: it is read as far as the ends say.
    fn begin(&mut self, bytes: &[u8]) {
        self.input[..bytes.len()].copy_from_slice(bytes);
        (self.start, self.end) = (0, bytes.len());
        (self.forwarded_start, self.forwarded_end) = (0, 0);
        self.meter = None;
    }

    /// Bytes for the target: the rewritten head, then what came behind the head.
    pub(super) fn unread(&self) -> &[u8] {
        if self.forwarded_start < self.forwarded_end {
            &self.forwarded[self.forwarded_start..self.forwarded_end]
        } else {
            &self.input[self.start..self.end]
        }
    }

    /// The target has taken `len` of [`WebRequest::unread`].
    pub(super) fn consume(&mut self, len: usize) {
        if self.forwarded_start < self.forwarded_end {
            self.forwarded_start += len;
        } else {
            self.start += len;
        }
    }

    /// The end of the request's body, where it is forwarded.
    pub(super) fn meter(&self) -> Option<BodyMeter> {
        self.meter
    }

    /// Drops what lies behind the body, here and in `inbox_bytes`, of which it says how many
    /// belong to it.
    pub(super) fn measure(&mut self, inbox_bytes: &[u8]) -> Result<usize, Malformed> {
        let Some(meter) = &mut self.meter else {
            return Ok(inbox_bytes.len());
        };
        self.end = self.start + meter.advance(&self.input[self.start..self.end])?;
        meter.advance(inbox_bytes)
    }

    /// Reads once. `Some(0)`: end of stream; `None`: nothing there.
    fn read<S: Stream>(&mut self, client: &mut Peer<S>) -> io::Result<Option<usize>> {
        if !client.ready.readable {
            return Ok(None);
        }
        let len = client.read(&mut self.input[self.end..])?;
        self.end += len.unwrap_or(0);
        Ok(len)
    }

    /// The request, once its head is complete, and the user who sent it.
    fn take(
        &mut self,
        gate: &mut Gate,
        client: IpAddr,
        now: Millis,
    ) -> Result<Option<(Request, Option<u16>)>, Refuse> {
        let Some((head, len)) = Head::parse(&self.input[..self.end]).map_err(Refuse::Status)?
        else {
            return Ok(None);
        };
        let user = match gate.trusts(client, now) {
            Some(user) => user,
            None => {
                let mut room = [0; LOGIN_MAX];
                let login = head.login(&mut room);
                let login = login.ok_or(Refuse::Status(Status::ProxyAuthenticationRequired))?;
                gate.login(client, login, now).map_err(Refuse::Login)?
            }
        };
        let (address, port) = match head.target {
            Target::Tunnel { address, port } => (address, port),
            Target::Forward { address, port, .. } => {
                let written = head.write_forwarded(&mut self.forwarded);
                self.forwarded_end = written.ok_or(Refuse::Status(Status::HeaderFieldsTooLarge))?;
                self.meter = Some(BodyMeter::new(head.body));
                (address, port)
            }
        };
        self.start = len;
        let command = Command::Connect;
        Ok(Some((
            Request {
                command,
                address,
                port,
            },
            user,
        )))
    }
}

impl<N: Net> Session<N> {
    /// Reads the head, judges it, and goes on to the target.
    pub(super) fn browse(
        &mut self,
        mut opening: Box<Opening<N::Stream>>,
        shared: &mut Shared<N>,
    ) -> Next<N> {
        let mut web = match opening.web.take() {
            Some(web) => web,
            None => match shared.take_head(self.source()) {
                Some(mut web) => {
                    web.begin(opening.inbox.unread());
                    opening.inbox.clear();
                    web
                }
                None => {
                    let refuse = Refuse::Status(Status::ServiceUnavailable);
                    return self.refuse(opening, refuse, Reason::Failed, shared);
                }
            },
        };
        let outcome = self.read_head(&mut web, shared);
        let is_tunnel = matches!(outcome, Ok(Some(_))) && web.meter().is_none();
        if is_tunnel && opening.inbox.refill(web.unread()) {
            // Nothing but the payload is needed any more: others wait for the entry.
            shared.give_head(web, self.source());
        } else {
            opening.web = Some(web);
        }
        match outcome {
            Ok(Some((request, user))) => {
                self.record.set_user(user);
                self.record.set_asked(&request);
                shared
                    .timers
                    .arm(self.key, Class::Connect as u8, shared.now);
                self.dial(opening, &request, shared)
            }
            Ok(None) => Next::Wait(Phase::Handshake(opening)),
            Err(Stop::Close(reason)) => Next::Close(Phase::Handshake(opening), reason),
            Err(Stop::Refuse(refuse)) => self.turn_away(opening, refuse, shared),
        }
    }

    /// Reads until the head is complete (`Some`) or nothing is there (`None`).
    fn read_head(
        &mut self,
        web: &mut WebRequest,
        shared: &mut Shared<N>,
    ) -> Result<Option<(Request, Option<u16>)>, Stop> {
        let client = self.record.client().ip();
        let mut seen = 0;
        // Bounded: each round reads at least one byte of at most `HEAD_MAX`.
        loop {
            // What a head means changes only with a line's end, or when the room is full.
            let news = &web.input[seen..web.end];
            if news.contains(&b'\n') || web.end == HEAD_MAX {
                let taken = web.take(&mut shared.gate, client, shared.now);
                if let Some(request) = taken.map_err(Stop::Refuse)? {
                    return Ok(Some(request));
                }
            }
            seen = web.end;
            match web.read(&mut self.client) {
                Ok(None) => return Ok(None),
                Ok(Some(0)) => return Err(Stop::Close(Reason::ClientLeft)),
                Ok(Some(_)) => {}
                Err(_) => return Err(Stop::Close(Reason::ClientReset)),
            }
        }
    }
}

/// Why a head is read no further.
enum Stop {
    Close(Reason),
    Refuse(Refuse),
}

/// The status that tells an HTTP client why it is refused.
pub(super) fn status(refuse: Refuse, reason: Reason) -> Status {
    match (refuse, reason) {
        (Refuse::Status(status), _) => status,
        (Refuse::Login(_), _) => Status::ProxyAuthenticationRequired,
        (_, Reason::NotAllowed(_) | Reason::Forbidden) => Status::Forbidden,
        (_, Reason::LookupTimeout | Reason::ConnectTimeout) => Status::GatewayTimeout,
        (_, Reason::Failed) => Status::ServiceUnavailable,
        (_, Reason::BadRequest) => Status::BadRequest,
        _ => Status::BadGateway,
    }
}
