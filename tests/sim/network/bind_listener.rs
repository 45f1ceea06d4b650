//! Listeners that wait for the peer of a BIND, and who comes to them.
//!
//! Who comes, and when, is the life's plan: strangers, the peer that is expected, or nobody.
//! A listener that has closed resets who still waits at it; nobody comes to it later.

use std::collections::VecDeque;
use std::net::{IpAddr, SocketAddr};

use anklet::net::Listener;
use anklet::state::slots::Token;
use nix::errno::Errno;

use crate::network::net::Connection;
use crate::network::{Network, SimEvent, Source};
use crate::world::{WAN_V4, WAN_V6, World};

/// Where the ports of listeners begin; each has its own.
const PORT_FIRST: u16 = 50_000;

/// Calls of accept on one listener in one pass: eight, as its turn looks at.
const ADMISSIONS_MAX: u32 = 8;

/// A listener of the server.
pub(crate) struct Door {
    /// Whose BIND it is.
    pub(crate) life: usize,
    /// What it was registered with.
    pub(crate) token: Token,
    /// Where it listens.
    pub(crate) local: SocketAddr,
    /// Who has come and waits.
    pub(crate) backlog: VecDeque<usize>,
    /// An injected shortage hides who waits.
    pub(crate) held: bool,
    /// The server was out of descriptors when it accepted: it need not try again.
    pub(crate) given_up: bool,
    /// The server has closed it.
    pub(crate) dropped: bool,
    /// Calls of accept in this pass.
    spent: (u64, u32),
}

impl Door {
    /// Whether accepting would give somebody.
    pub(crate) fn is_readable(&self) -> bool {
        !self.held && !self.backlog.is_empty()
    }
}

/// A listener in the server's hands.
pub(crate) struct Entrance(pub(crate) World, pub(crate) usize);

impl Listener for Entrance {
    type Stream = Connection;

    fn accept(&mut self) -> Result<(Connection, SocketAddr), Errno> {
        let s = self.0.network().admit(self.1)?;
        let peer = self.0.network().sockets[s].peer;
        Ok((Connection(self.0.clone(), s), peer))
    }

    fn local_addr(&self) -> Result<SocketAddr, Errno> {
        Ok(self.0.network().doors[self.1].local)
    }
}

impl Drop for Entrance {
    fn drop(&mut self) {
        // Unwinding may drop it while the world is borrowed.
        if let Ok(mut inner) = self.0.0.try_borrow_mut() {
            inner.network.close_door(self.1);
        }
    }
}

/// The address that the way to `to` starts from.
pub(crate) fn route(to: IpAddr) -> IpAddr {
    match to {
        IpAddr::V4(_) => WAN_V4,
        IpAddr::V6(_) => WAN_V6,
    }
}

impl Network {
    /// The server opens a listener for one BIND.
    pub(crate) fn listen(&mut self, addr: IpAddr, token: Token) -> Result<usize, Errno> {
        self.watch.progress();
        let life = self.owner(token);
        let Some(life) = life.filter(|life| self.lives[*life].plan.visits.is_some()) else {
            self.fail(format!(
                "a listener is opened on {addr} for nobody ({life:?})"
            ));
            return Err(Errno::EACCES);
        };
        if self.odds.is_exhausted(self.now) {
            self.lives[life].excused = true;
            return Err(Errno::EMFILE);
        }
        let d = self.doors.len();
        let port = PORT_FIRST + u16::try_from(d).unwrap_or(0);
        self.doors.push(Door {
            life,
            token,
            local: SocketAddr::new(addr, port),
            backlog: VecDeque::new(),
            held: false,
            given_up: false,
            dropped: false,
            spent: (0, 0),
        });
        self.trace(|| format!("server opens door {d} for life {life}"));
        self.note_full();
        self.lives[life].door = Some(d);
        let visits = self.lives[life].plan.visits.clone().unwrap_or_default();
        for (number, visit) in visits.iter().enumerate() {
            self.schedule(visit.after_ms, SimEvent::Visit(d, number));
        }
        Ok(d)
    }

    /// The life whose client's session has the key of that token.
    pub(crate) fn owner(&self, token: Token) -> Option<usize> {
        self.lives.iter().position(|life| {
            let client = life.client.map(|s| &self.sockets[s]);
            client.is_some_and(|socket| {
                !socket.dropped && socket.token.is_some_and(|own| own.key() == token.key())
            })
        })
    }

    /// Visitor `s` knocks.
    pub(crate) fn knock(&mut self, d: usize, s: usize) {
        self.trace(|| format!("visitor {s} comes to door {d}"));
        self.doors[d].backlog.push_back(s);
        self.doors[d].held = false;
        self.edge(Source::Door(d));
    }

    /// An injected shortage is over.
    pub(crate) fn unveil(&mut self, d: usize) {
        if std::mem::replace(&mut self.doors[d].held, false) {
            self.edge(Source::Door(d));
        }
    }

    /// The server takes a visitor.
    fn admit(&mut self, d: usize) -> Result<usize, Errno> {
        self.watch.operations += 1;
        let (passes, exhausted) = (self.watch.passes, self.odds.is_exhausted(self.now));
        let door = &mut self.doors[d];
        let spent = if door.spent.0 == passes {
            door.spent.1
        } else {
            0
        };
        door.spent = (passes, spent + 1);
        let (life, readable) = (door.life, door.is_readable());
        if spent >= ADMISSIONS_MAX {
            self.fail(format!(
                "more than {ADMISSIONS_MAX} accepts at door {d} in one pass"
            ));
        }
        if !readable {
            return Err(Errno::EAGAIN);
        }
        if exhausted {
            self.doors[d].given_up = true;
            self.lives[life].excused = true;
            return Err(Errno::EMFILE);
        }
        if self.chance(self.odds.early_block) {
            self.doors[d].held = true;
            let latency = self.latency();
            self.schedule(latency, SimEvent::Unveil(d));
            return Err(Errno::EAGAIN);
        }
        let s = self.doors[d].backlog.pop_front().ok_or(Errno::EAGAIN)?;
        self.watch.progress();
        if self.chance(self.odds.aborted) {
            self.trace(|| format!("visitor {s} is gone before it is accepted"));
            // A stranger's fate changes nothing.
            self.lives[life].excused |= self.lives[life].targets.contains(&s);
            self.abort(s);
            return Err(Errno::ECONNABORTED);
        }
        self.trace(|| format!("server accepts visitor {s} at door {d}"));
        self.sockets[s].accepted_at = Some(self.now);
        self.wake(s, 0);
        Ok(s)
    }

    /// The server closes a listener: who waits there is reset.
    fn close_door(&mut self, d: usize) {
        self.watch.progress();
        self.trace(|| format!("server closes door {d}"));
        self.note_full();
        self.doors[d].dropped = true;
        self.remember_stale(self.doors[d].token);
        self.ready.retain(|source| *source != Source::Door(d));
        for s in std::mem::take(&mut self.doors[d].backlog) {
            self.abort(s);
        }
    }

    /// Somebody who could be let in, and is not.
    pub(crate) fn forgotten_visitor(&self) -> Option<String> {
        let forgotten = |(d, door): &(usize, &Door)| {
            let told = !self.ready.contains(&Source::Door(*d));
            told && !door.dropped && !door.given_up && door.is_readable()
        };
        let (_, door) = self.doors.iter().enumerate().find(forgotten)?;
        Some(format!("lost edge in life {}: a visitor waits", door.life))
    }
}
