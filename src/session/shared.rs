//! What all sessions share: the system, the pools, the timers, the rules and the counts. How a
//! place in one of the tables is taken and given back is in `places.rs`.

use std::mem;
use std::net::{IpAddr, SocketAddr};

use super::outcome::Reason;
use super::totals::{Moved, Total, Totals, count};
use crate::config::dns::DnsSettings;
use crate::config::limits::{LOOKUPS_MAX, SPARE_ATTEMPTS_MAX};
use crate::config::{Config, Families, RelayOptions, Timeouts};
use crate::log::{Level, is_logged, log};
use crate::net::{Millis, Net, Offload, Stream};
use crate::resolver::{Resolver, Servers};
use crate::state::access::{Access, ClientKey, Origin, Refusal, scoped};
use crate::state::association::PORT_SILENCE_MS;
use crate::state::auth::Auth;
use crate::state::batch::Batch;
use crate::state::clients::{Clients, Table};
use crate::state::logins::{Delay, QUEUE_MS};
use crate::state::offload::Allowed;
use crate::state::pipes::{Pipes, Pool};
use crate::state::places::Places;
use crate::state::pool::{Buffers, Quota};
use crate::state::protocols::Protocols;
use crate::state::repeats::Repeats;
use crate::state::slots::Key;
use crate::state::timers::Timers;
use crate::state::users::{UserId, Users};
use crate::state::young::Young;

/// How long a refused client gets to read its reply before the connection is closed. RFC 1928
/// §6 asks for less than ten seconds.
const LINGER_MS: u32 = 2_000;

/// Time between two connection attempts of one race (RFC 8305 §5: "Connection Attempt Delay").
const NEXT_ATTEMPT_MS: u32 = 250;

/// How long a listener that has run out of descriptors is left in peace.
const ACCEPT_AGAIN_MS: u32 = 250;

/// How long an idle pair waits for the client's next request: what servers and other proxies give
/// (Apache 5 s, nginx 75 s, squid 120 s), so that a reader of pages finds it there.
const PAIR_MS: u32 = 60_000;

/// Readers of the report at once: a collector, a page of LuCI and an owner who looks. Each has a part
/// of it in memory, of some 6 KiB.
const REPORTS_MAX: usize = 4;

/// The end of a wait for a verdict, if nothing else ends it.
const VERDICT_MS: u32 = 2 * QUEUE_MS;

/// Everything but the sessions themselves, which borrow it for a turn.
pub struct Shared<N: Net> {
    /// The system.
    pub net: N,
    /// The clock as it was read once for this pass of the loop.
    pub now: Millis,
    /// Buffers and pipes of the relay.
    pub pool: Pool<<N::Stream as Stream>::Pipe>,
    /// One timer per session; its classes are those of `Class`.
    pub timers: Timers,
    /// One alarm per session beside its timer: something is due that does not end its phase. The
    /// classes are those of `Alarm`.
    pub alarms: Timers,
    /// Tunnels whose targets get keepalive when they have become old.
    pub young: Young,
    /// Name lookups.
    pub resolver: Resolver<N>,
    /// Who gets in, and where to.
    pub auth: Auth,
    /// What each client has taken.
    pub clients: Clients,
    /// What each session has taken.
    pub(super) places: Places,
    /// Sessions that have lost a place of that table to another one, and have to end.
    pub displaced: Vec<(Key, Table)>,
    /// Lines of the log that repeat themselves.
    pub repeats: Repeats,
    /// Counters since the start.
    pub totals: Totals,
    /// What all associations share.
    pub associations: Associations,
    pub(super) families: Families,
    pub(super) relay: RelayOptions,
    /// `--quiet`
    pub(super) quiet: bool,
}

/// What all UDP associations share.
#[derive(Debug)]
pub struct Associations {
    pub(super) batch: Batch,
    /// What may be asked of the kernel for datagrams.
    pub(super) offload: Allowed,
    /// Names being looked up for them.
    pub lookups: usize,
    /// Bytes of the datagrams that wait for names.
    pub held_bytes: usize,
}

impl<N: Net> Shared<N> {
    /// What a server with this configuration shares.
    pub fn new(config: &mut Config, users: Users, dns: DnsSettings, mut net: N) -> Self {
        let (credentials, auth_once) = (config.policy.credentials, config.policy.auth_once);
        let listeners = net.listeners().to_vec();
        let offload = try_offload(config.protocols, &mut net);
        let policy = mem::take(&mut config.policy);
        let limits = &config.limits;
        // The rules are as narrow as they can be until the interfaces are known.
        let access = Access::new(policy, Vec::new(), listeners);
        Self {
            now: net.now(),
            net,
            pool: Pool {
                buffers: Buffers::new(limits.buffers_max, limits.buffer_bytes),
                pipes: Pipes::new(limits.pipes_max),
            },
            timers: Timers::new(&Class::durations(&config.timeouts), limits.sessions_max),
            alarms: Timers::new(&Alarm::DURATIONS, limits.sessions_max),
            resolver: Resolver::new(
                dns,
                limits.queries_max,
                limits.openings_max + LOOKUPS_MAX,
                config.timeouts.connect_ms,
            ),
            auth: Auth::new(access, users, credentials, auth_once, config.protocols),
            clients: Clients::new(
                limits.per_client_max,
                [
                    limits.openings_max,
                    limits.established_max,
                    limits.heads_max,
                    limits.binds_max,
                    limits.associations_max,
                    limits.long_heads_max,
                    (limits.sessions_max / 4).clamp(1, SPARE_ATTEMPTS_MAX),
                    REPORTS_MAX,
                ],
            ),
            young: Young::default(),
            places: Places::default(),
            displaced: Vec::new(),
            repeats: Repeats::default(),
            totals: Totals::default(),
            associations: Associations {
                batch: Batch::default(),
                offload: Allowed::new(offload),
                lookups: 0,
                held_bytes: 0,
            },
            quiet: config.quiet,
            families: config.families,
            relay: config.relay,
        }
    }

    /// The table of openings, for its counts.
    pub fn openings(&self) -> &Quota {
        self.clients.quota(Table::Openings)
    }

    /// Connection attempts beside the first of each race.
    pub fn spare_attempts(&self) -> usize {
        self.clients.quota(Table::SpareAttempts).used()
    }

    /// Arms the timer of a session.
    pub(super) fn arm(&mut self, key: Key, class: Class) {
        self.timers.arm(key, class.number(), self.now);
    }

    /// Arms the alarm of a session.
    pub(super) fn arm_alarm(&mut self, key: Key, alarm: Alarm) {
        self.alarms.arm(key, alarm as u8, self.now);
    }

    /// A login has had its verdict, or waits no more: the next one of its source is due after its
    /// own delay.
    pub(super) fn leave_logins(&mut self, client_key: ClientKey, session: Key) {
        let next = self.auth.logins.leave(client_key, session, self.now);
        if let Some((next, delay)) = next {
            self.arm_alarm(next, delay.into());
        }
    }

    /// Returns whether the answers of these name servers are to be believed, all of them.
    pub(super) fn origin(&self, servers: &Servers) -> Origin {
        let mut servers = servers.iter().flatten();
        let is_foreign = |server: &IpAddr| self.auth.access.origin(*server) == Origin::Foreign;
        if servers.any(is_foreign) {
            Origin::Foreign
        } else {
            Origin::Known
        }
    }

    /// Returns `Ok` if a client may reach that destination, which `origin` has given, and may still
    /// connect. A refusal is counted.
    pub(super) fn permit(
        &mut self,
        client: &SocketAddr,
        to: &SocketAddr,
        origin: Origin,
    ) -> Result<(), Reason> {
        let verdict = self.auth.access.serves(scoped(client), *to, origin);
        verdict.map_err(|refusal| self.refuse(refusal))
    }

    /// A destination is refused: it is counted.
    pub(super) fn refuse(&mut self, refusal: Refusal) -> Reason {
        self.totals.count_refusal(refusal);
        Reason::NotAllowed(refusal)
    }

    /// A session of that user, or an exchange, has ended: what it has carried counts.
    pub(super) fn count(&mut self, user: Option<UserId>, moved: Moved) {
        self.totals.add(Total::UpBytes, moved.up_bytes);
        self.totals.add(Total::DownBytes, moved.down_bytes);
        if let Some(user) = user {
            let usage = self.auth.usage_mut(user);
            count(&mut usage.up_bytes, moved.up_bytes);
            count(&mut usage.down_bytes, moved.down_bytes);
        }
    }

    /// Returns `true` if a line about a client is to be written to the log: it is of a level that
    /// is logged, and has not been repeated too often.
    pub fn may_log(&mut self, source: ClientKey, level: Level, reason: &'static str) -> bool {
        is_logged(level) && self.repeats.admits(source, level, reason, self.now)
    }

    /// Returns `true` if targets of that family are tried at all.
    pub(super) fn has_family(&self, is_v6: bool) -> bool {
        if is_v6 {
            self.families.v6
        } else {
            self.families.v4
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
}

/// Tries what the kernel does for datagrams, if there can be any, and says so in the log.
fn try_offload<N: Net>(protocols: Protocols, net: &mut N) -> Offload {
    if !protocols.udp {
        return Offload::default();
    }
    let offload = net.try_offload();
    let said = |is_on| if is_on { "on" } else { "off" };
    let (sends, receives) = (said(offload.sends), said(offload.receives));
    log(
        Level::Debug,
        format_args!("datagrams: UDP_SEGMENT {sends}, UDP_GRO {receives}"),
    );
    offload
}

/// The classes of session timers.
#[derive(Clone, Copy, Debug)]
pub(super) enum Class {
    /// The whole handshake.
    Handshake,
    /// Lookup and connect together.
    Connect,
    /// A tunnel without a byte.
    Idle,
    /// The same after one side has ended.
    HalfClosed,
    /// A refused client that may still read its reply.
    Linger,
    /// A BIND until its peer connects.
    Bind,
    /// A UDP association without a datagram.
    Udp,
    /// A login that waits for its verdict. The queue moves on before that.
    Verdict,
    /// A client's connection between two requests, with that to the origin.
    Pair,
}

impl Class {
    /// Its place in [`Class::durations`].
    pub(super) fn number(self) -> u8 {
        match self {
            Self::Handshake => 0,
            Self::Connect => 1,
            Self::Idle => 2,
            Self::HalfClosed => 3,
            Self::Linger => 4,
            Self::Bind => 5,
            Self::Udp => 6,
            Self::Verdict => 7,
            Self::Pair => 8,
        }
    }

    /// How long each class lasts, in milliseconds, by its number.
    fn durations(timeouts: &Timeouts) -> [u32; 9] {
        [
            timeouts.handshake_ms,
            timeouts.connect_ms,
            timeouts.idle_ms,
            timeouts.half_close_ms,
            LINGER_MS,
            timeouts.bind_ms,
            timeouts.udp_ms,
            VERDICT_MS,
            PAIR_MS,
        ]
    }
}

/// What is due beside a session's timer.
#[derive(Clone, Copy, Debug)]
#[repr(u8)]
pub(super) enum Alarm {
    /// The next attempt of a race.
    NextAttempt,
    /// Accepting the peer of a BIND can be tried again.
    AcceptAgain,
    /// The client of a UDP association has been silent: it may come back with another port.
    Silence,
    /// A login is to be judged, behind the last failure that costs nothing.
    ShortVerdict,
    /// A login is to be judged, behind all further ones.
    LongVerdict,
}

impl From<Delay> for Alarm {
    fn from(delay: Delay) -> Self {
        match delay {
            Delay::Short => Self::ShortVerdict,
            Delay::Long => Self::LongVerdict,
        }
    }
}

impl Alarm {
    /// How long each lasts, in milliseconds, in the order of the enum.
    const DURATIONS: [u32; 5] = [
        NEXT_ATTEMPT_MS,
        ACCEPT_AGAIN_MS,
        PORT_SILENCE_MS,
        Delay::Short.ms(),
        Delay::Long.ms(),
    ];
}
