//! What all sessions share: the system, the pools, the timers, the rules and the counts.

use std::mem;
use std::net::{IpAddr, SocketAddr};

use super::association::{Associations, LOOKUPS_MAX};
use super::http::HttpRequest;
use super::opening::{Opening, Step};
use super::outcome::Reason;
use super::race::Race;
use super::totals::Totals;
use crate::config::limits::SPARE_ATTEMPTS_MAX;
use crate::config::{Config, Families, Relay, Timeouts};
use crate::names::Names;
use crate::net::{Millis, Net};
use crate::state::access::{Access, ClientKey};
use crate::state::association::PORT_SILENCE_MS;
use crate::state::auth::Auth;
use crate::state::clients::{Clients, Table};
use crate::state::pool::{Buffers, Quota};
use crate::state::resolver::{SHARE_MAX, Settings};
use crate::state::slots::Key;
use crate::state::timers::Timers;
use crate::state::users::{PENALTIES_MS, PENALTY_STEPS, Users};

/// How long a refused client gets to read its reply before the connection is closed. RFC 1928
/// §6 asks for less than ten seconds.
const LINGER_MS: u32 = 2_000;

/// Time between two connection attempts of one race (RFC 8305 §5: "Connection Attempt Delay").
const STAGGER_MS: u32 = 250;

/// The class of [`Shared::stagger`] for the silence of a UDP client.
pub(super) const SILENCE: u8 = 1;

/// The class of `stagger` for the next attempt: of a race, or at accepting a BIND's peer.
pub(super) const STAGGER: u8 = 0;

/// Everything but the sessions themselves, which borrow it for a turn.
pub struct Shared<N: Net> {
    /// The system.
    pub net: N,
    /// The clock as it was read once for this pass of the loop.
    pub now: Millis,
    /// Buffers of the relay.
    pub buffers: Buffers,
    /// One timer per session; its classes are those of `Class`.
    pub timers: Timers,
    /// The start of the next attempt, for sessions whose race has candidates left; the silence
    /// of the client, for UDP associations.
    pub stagger: Timers,
    /// Name lookups.
    pub names: Names<N>,
    /// Who gets in, and where to.
    pub auth: Auth,
    /// What each client has taken.
    pub clients: Clients,
    /// Counters since the start.
    pub totals: Totals,
    /// UDP.
    pub associations: Associations,
    pub(super) families: Families,
    pub(super) relay: Relay,
    /// Connection attempts beside the first of each session, all races together.
    spare_attempts: usize,
    spare_attempts_max: usize,
}

impl<N: Net> Shared<N> {
    /// What a server with this configuration shares.
    pub fn new(config: &mut Config, users: Users, names: Settings, mut net: N) -> Self {
        let (credentials, auth_once) = (config.policy.credentials, config.policy.auth_once);
        let interfaces = net.interfaces();
        let listeners = net.listeners().to_vec();
        let policy = mem::take(&mut config.policy);
        let limits = &config.limits;
        let access = Access::new(policy, interfaces, listeners);
        Self {
            now: net.now(),
            net,
            buffers: Buffers::new(limits.buffers_max, limits.buffer_bytes),
            timers: Timers::new(&Class::durations(&config.timeouts), limits.sessions_max),
            stagger: Timers::new(&[STAGGER_MS, PORT_SILENCE_MS], limits.sessions_max),
            names: Names::new(
                names,
                limits.openings_max + LOOKUPS_MAX,
                config.timeouts.connect_ms,
            ),
            auth: Auth::new(access, users, credentials, auth_once, config.protocols),
            clients: Clients::new(
                limits.per_client_max,
                [
                    // Half, so that one client's unfinished handshakes do not keep out the others.
                    (limits.openings_max, limits.openings_max.div_ceil(2)),
                    (limits.heads_max, limits.heads_max.div_ceil(4)),
                    (limits.binds_max, limits.per_client_binds_max),
                    (limits.associations_max, limits.per_client_associations_max),
                    (LOOKUPS_MAX, SHARE_MAX),
                ],
            ),
            totals: Totals::default(),
            associations: Associations::default(),
            families: config.families,
            relay: config.relay,
            spare_attempts: 0,
            spare_attempts_max: (limits.sessions_max / 4).clamp(1, SPARE_ATTEMPTS_MAX),
        }
    }

    /// The table of openings, for its counts.
    pub fn openings(&self) -> &Quota {
        self.clients.quota(Table::Openings)
    }

    /// Connection attempts beside the first of each race.
    pub fn spare_attempts(&self) -> usize {
        self.spare_attempts
    }

    /// Arms the timer of a session.
    pub(super) fn arm(&mut self, key: Key, class: Class) {
        self.timers.arm(key, class as u8, self.now);
    }

    /// Whether a client may reach that destination. A refusal is counted.
    pub(super) fn permit(&mut self, client: &SocketAddr, to: &SocketAddr) -> Result<(), Reason> {
        let verdict = self.auth.access.permits(client.ip(), *to);
        verdict.map_err(|refusal| {
            self.totals.count_refusal(refusal);
            Reason::NotAllowed(refusal)
        })
    }

    /// Whether targets of that family are tried at all.
    pub(super) fn has_family(&self, is_v6: bool) -> bool {
        if is_v6 {
            self.families.v6
        } else {
            self.families.v4
        }
    }

    /// Whether a race that is under way may have one attempt more.
    pub(super) fn can_race(&self) -> bool {
        self.spare_attempts < self.spare_attempts_max
    }

    /// The attempts of a race have changed: counts those beside the first, which every session
    /// may have.
    pub(super) fn recount(&mut self, race: &mut Race<N::Stream>) {
        let spare = race.running().saturating_sub(1);
        self.spare_attempts = self.spare_attempts + spare - race.counted;
        race.counted = spare;
    }

    /// Takes back a request's entry of the table of heads, if it has one.
    pub(super) fn give_head(&mut self, http: &mut HttpRequest, client_key: ClientKey) {
        if mem::take(&mut http.is_entered) {
            self.clients.give(Table::Heads, client_key);
        }
    }

    /// The listener of a BIND waits no more, if it did.
    pub(super) fn end_bind(&mut self, opening: &mut Opening<N>, client_key: ClientKey) {
        opening.listener = None;
        if mem::take(&mut opening.binds) {
            self.clients.give(Table::Binds, client_key);
        }
    }

    /// The address to announce instead of a local one.
    pub(super) fn public_addr(&self, local: IpAddr) -> IpAddr {
        let public = match local {
            IpAddr::V4(_) => self.relay.public_v4.map(IpAddr::V4),
            IpAddr::V6(_) => self.relay.public_v6.map(IpAddr::V6),
        };
        public.unwrap_or(local)
    }

    /// Takes back what an opening holds, and its place in the table.
    pub(super) fn give_opening(
        &mut self,
        opening: &mut Opening<N>,
        key: Key,
        client_key: ClientKey,
    ) {
        if opening.step == Step::Resolving {
            self.names.cancel(key);
        }
        if let Some(http) = &mut opening.http {
            self.give_head(http, client_key);
        }
        self.end_bind(opening, client_key);
        self.spare_attempts -= opening.race.counted;
        self.clients.give(Table::Openings, client_key);
    }
}

/// The classes of session timers.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Class {
    Handshake,
    Connect,
    Idle,
    HalfClosed,
    Linger,
    Bind,
    Udp,
    /// The first step of the penalty for wrong passwords; the others follow it.
    Penalty,
}

impl Class {
    /// One duration per class, in the order of the enum.
    fn durations(timeouts: &Timeouts) -> [u32; Self::Penalty as usize + PENALTY_STEPS] {
        let mut durations = [0; Self::Penalty as usize + PENALTY_STEPS];
        let (states, penalties) = durations.split_at_mut(Self::Penalty as usize);
        states.copy_from_slice(&[
            timeouts.handshake_ms,
            timeouts.connect_ms,
            timeouts.idle_ms,
            timeouts.half_close_ms,
            LINGER_MS,
            timeouts.bind_ms,
            timeouts.udp_ms,
        ]);
        penalties.copy_from_slice(&PENALTIES_MS);
        durations
    }
}
