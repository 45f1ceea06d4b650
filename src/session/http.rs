//! HTTP on the same port: a request head in, a tunnel or a forwarded request out.
//!
//! The head is read into an entry of a small table of its own, because it is eight times as
//! large as a SOCKS handshake. Once it is read it waits for its target outside of that table, with
//! what lies behind it, unless that is much.

use super::client::Client;
use super::handshake::{heard, turn_away};
use super::opening::Opening;
use super::outcome::{Next, Reason};
use super::record::Record;
use super::shared::Shared;
use crate::net::{Millis, Net, Stream};
use crate::state::auth::Auth;
use crate::state::clients::Table;
use crate::state::flow::{Gone, Peer};
use crate::state::handshake::Refuse;
use crate::wire::http::{BodyMeter, FORWARDED_MAX, HEAD_MAX, Head, LOGIN_MAX, Malformed, Status};
use crate::wire::socks::Request;

/// Bytes for a target that may wait outside of the table of heads until there is a connection:
/// as many as nearly all requests of browsers have, cookies included.
const WAITING_MAX: usize = 2048;

/// One HTTP request while it is read and until the target has it.
#[derive(Debug)]
pub(super) struct HttpRequest {
    /// It has an entry of the table of heads.
    pub(super) is_entered: bool,
    /// What the client sends: room for a whole head while that is read.
    input: Box<[u8]>,
    start: usize,
    end: usize,
    /// The head as the target gets it; empty for CONNECT.
    forwarded: Box<[u8]>,
    forwarded_start: usize,
    /// How much of what follows belongs to the request; `None` for CONNECT, where all does.
    meter: Option<BodyMeter>,
}

impl HttpRequest {
    /// One that has entered the table of heads.
    pub(super) fn new() -> Self {
        Self {
            is_entered: true,
            input: vec![0; HEAD_MAX].into(),
            start: 0,
            end: 0,
            forwarded: Box::default(),
            forwarded_start: 0,
            meter: None,
        }
    }

    /// Bytes for the target: the rewritten head, then what came behind the head.
    pub(super) fn unread(&self) -> &[u8] {
        if self.forwarded_start < self.forwarded.len() {
            &self.forwarded[self.forwarded_start..]
        } else {
            &self.input[self.start..self.end]
        }
    }

    /// The target has taken `len` of [`HttpRequest::unread`].
    pub(super) fn consume(&mut self, len: usize) {
        if self.forwarded_start < self.forwarded.len() {
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

    /// Keeps no more memory than the bytes for the target need. Whether these are so few that
    /// they may wait outside of the table.
    fn shrink(&mut self) -> bool {
        self.input = self.input[self.start..self.end].into();
        (self.start, self.end) = (0, self.input.len());
        self.forwarded.len() + self.input.len() <= WAITING_MAX
    }

    /// Reads once. `Some(0)`: end of stream; `None`: nothing there.
    fn read<S: Stream>(&mut self, client: &mut Peer<S>) -> Result<Option<usize>, Gone> {
        if !client.ready.readable {
            return Ok(None);
        }
        let len = client.read(&mut self.input[self.end..])?;
        self.end += len.unwrap_or(0);
        Ok(len)
    }

    /// Whether the head is complete. If so, what it asks for is in `asked`, and who sent it goes to
    /// `record`.
    fn take(
        &mut self,
        auth: &mut Auth,
        record: &mut Record,
        now: Millis,
        asked: &mut Request,
    ) -> Result<bool, Refuse> {
        let head = Head::parse(&self.input[..self.end], asked).map_err(Refuse::Status)?;
        let Some(head) = head else {
            return Ok(false);
        };
        let client = record.ip();
        let user = match auth.trusts(client, now) {
            Some(user) => user,
            None => {
                let mut room = [0; LOGIN_MAX];
                let login = head.login(&mut room);
                let login = login.ok_or(Refuse::Status(Status::ProxyAuthenticationRequired))?;
                auth.login(client, login, now).map_err(Refuse::Login)?
            }
        };
        record.set_user(user);
        if head.path.is_some() {
            let mut room = [0; FORWARDED_MAX];
            let written = head.write_forwarded(&mut room);
            let len = written.ok_or(Refuse::Status(Status::HeaderFieldsTooLarge))?;
            self.forwarded = room[..len].into();
            self.meter = Some(BodyMeter::new(head.body));
        }
        self.start = head.len;
        Ok(true)
    }
}

impl<N: Net> Client<N> {
    /// Reads the head, judges it, and goes on to the target.
    pub(super) fn browse(&mut self, opening: &mut Opening<N>, shared: &mut Shared<N>) -> Next {
        if opening.http.is_none() {
            if !shared.clients.take(Table::Heads, self.client_key()) {
                let refuse = Refuse::Status(Status::ServiceUnavailable);
                return Next::Refuse(refuse, Reason::Failed);
            }
            let http = opening.http.insert(Box::new(HttpRequest::new()));
            let bytes = opening.inbox.unread();
            http.input[..bytes.len()].copy_from_slice(bytes);
            http.end = bytes.len();
            opening.inbox.clear();
        }
        let Some(http) = &mut opening.http else {
            return Next::Wait;
        };
        let mut request = Request::default();
        let mut seen = 0;
        // Bounded: each round reads at least one byte of at most `HEAD_MAX`.
        loop {
            // What a head means changes only with a line's end, or when the room is full.
            let news = &http.input[seen..http.end];
            if news.contains(&b'\n') || http.end == HEAD_MAX {
                match http.take(&mut shared.auth, &mut self.record, shared.now, &mut request) {
                    Ok(true) => break,
                    Ok(false) => {}
                    Err(refuse) => return turn_away(refuse, shared),
                }
            }
            seen = http.end;
            match heard(http.read(&mut self.peer)) {
                Next::Go => {}
                next => return next,
            }
        }
        // The way to the target may take long, and others wait for the entry.
        if http.meter.is_none() && opening.inbox.refill(http.unread()) {
            // Nothing but the payload is needed any more.
            shared.give_head(http, self.client_key());
            opening.http = None;
        } else if http.shrink() {
            shared.give_head(http, self.client_key());
        }
        self.connect(opening, &request, shared)
    }
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
