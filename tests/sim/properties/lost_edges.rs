//! No edge is lost: when nothing is going to happen for a while, nothing is left that the server
//! could move. Events are edge-triggered, so what it leaves then would be left for ever.

use anklet::net::Millis;

use crate::clients::scenario::Dialect;
use crate::network::bind_listener::BindListener;
use crate::network::socket::Socket;
use crate::network::udp_socket::UdpSocket;
use crate::network::{Network, Source};
use crate::world::LISTENERS;

/// Nothing that the server could move waits longer than this.
const QUIET_MS: Millis = 200;

/// No connection waits longer than this to be accepted while there is room: accepting pauses for
/// two seconds at most when descriptors run out.
const ACCEPT_MS: Millis = 2_500;

impl Network {
    /// Checks the state in which nothing is going to happen for `gap_ms` (`None`: ever). The server
    /// has had all events, so nothing may be left that it could move.
    pub(crate) fn check_quiet(&mut self, gap_ms: Option<Millis>) {
        self.check_keep_alive();
        let longer = |ms| gap_ms.is_none_or(|gap_ms| gap_ms > ms);
        if !longer(QUIET_MS) || self.checks.closing {
            return;
        }
        for number in 0..self.clients.len() {
            if let Some(text) = self.lost_edge(number) {
                self.fail(format!("lost edge in client {number}: {text}"));
            }
        }
        let waiting = self
            .backlogs
            .iter()
            .flatten()
            .any(|backlog| !backlog.is_empty());
        let held = |socket: &&Socket| {
            let is_client = LISTENERS.contains(&socket.local);
            is_client && socket.accepted_at.is_some() && !socket.dropped
        };
        let sessions = self.sockets.iter().filter(held).count();
        // However full the house is: somebody has to make room.
        if longer(ACCEPT_MS) && waiting {
            self.fail(format!("a connection waits with {sessions} sessions open"));
        }
    }

    /// What the tunnel of a client could move and does not.
    fn lost_edge(&self, number: usize) -> Option<String> {
        let client = &self.clients[number];
        let connection = client.connection?;
        // Of a message that is not complete, and of the next one, bytes wait in the system. The
        // session itself says whether it could go on (`is_deaf`).
        if client.scenario.dialect == Dialect::Forward {
            return None;
        }
        let mut open = client.targets.iter().filter(|s| !self.sockets[**s].dropped);
        let (target, None) = (*open.next()?, open.next()) else {
            return None;
        };
        let ends = [connection, target].map(|s| &self.sockets[s]);
        if ends
            .iter()
            .any(|end| end.dropped || end.token.is_none() || end.connecting)
        {
            return None;
        }
        for (from, to) in [(0, 1), (1, 0)] {
            // Behind its end of stream a slow reader still gets what had come. Behind that of the
            // client only a read tells whether there was one.
            let may_stay = ends[from].to_server.has_ended() || ends[from].shut;
            if ends[from].broken && (from == 0 || !may_stay) {
                return Some(format!(
                    "socket {} is broken and kept",
                    [connection, target][from]
                ));
            }
            let (readable, writable) = (ends[from].is_readable(), ends[to].is_writable());
            let passed_on = ends[from].to_server.arrived() == 0 && ends[to].shut;
            if readable && writable && !passed_on && !ends[to].broken {
                let names = [connection, target];
                return Some(format!(
                    "{} is readable, {} writable",
                    names[from], names[to]
                ));
            }
        }
        None
    }

    /// A peer of a BIND that could be accepted and is not.
    pub(crate) fn unaccepted_peer(&self) -> Option<String> {
        let left = |(d, bind_listener): &(usize, &BindListener)| {
            let is_reported = !self.ready.contains(&Source::BindListener(*d));
            is_reported
                && !bind_listener.dropped
                && !bind_listener.given_up
                && bind_listener.is_readable()
        };
        let (_, bind_listener) = self.bind_listeners.iter().enumerate().find(left)?;
        Some(format!(
            "lost edge in client {}: a peer waits",
            bind_listener.client
        ))
    }

    /// A datagram, or bytes on the control connection, that an association could read and does not.
    pub(crate) fn unread_datagram(&self) -> Option<String> {
        let is_reported = |source: Source| !self.ready.contains(&source);
        let left = |(p, socket): &(usize, &UdpSocket)| {
            let control = self.clients[socket.client]
                .connection
                .filter(|s| is_reported(Source::Socket(*s)));
            let control = control
                .map(|s| &self.sockets[s])
                .filter(|_| socket.is_inner());
            let unread = control.is_some_and(|control| control.is_readable() && !control.dropped);
            let waiting = socket.is_readable() && is_reported(Source::UdpSocket(*p));
            !socket.dropped && (waiting || unread)
        };
        let (_, socket) = self.udp_sockets.iter().enumerate().find(left)?;
        let (client, local) = (socket.client, socket.local);
        Some(format!(
            "lost edge in client {client}: something waits at {local} or its control"
        ))
    }
}
