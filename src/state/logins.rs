//! The pace of logins: what is remembered of wrong passwords, and who waits for a verdict.
//!
//! The first two wrong passwords of a source cost nothing. Behind them each login of it, right or
//! wrong, is judged only after a second, then after two, one at a time. It is the verdict that
//! waits and not the answer: who hangs up early has learnt nothing, and a right password says
//! nothing sooner than a wrong one. So a guesser gets a verdict a second at most, however many
//! connections he opens, and the others at his address get theirs too, each in its turn.
//!
//! A source is an IPv4 address or an IPv6 /64; where several networks of one /48 have been wrong,
//! that /48.

use super::prefix::ClientKey;
use super::slots::Key;
use crate::net::Millis;

/// Wrong passwords that cost nothing: somebody mistyping, and a program that tries what it
/// remembers of another day.
const FREE_FAILURES: u32 = 2;

/// Logins of one source that wait for their verdict. At two seconds each the last one waits for
/// half a minute, longer than any client does.
const WAITING_MAX: u8 = 16;

/// After this time a source's count is halved.
const HALVED_MS: Millis = 600_000;

/// How long `--ban` keeps a source out.
const BAN_MS: Millis = 600_000;

/// Sources that are remembered, those with most failures. At some 100 bytes each, and only while
/// somebody guesses. More at once are an attack from everywhere, against which counting by source
/// does little.
const SOURCES_MAX: usize = 1024;

/// IPv6 networks of one /48 that are counted one by one; with one more, the /48 is the source.
const SITE_NETWORKS_MAX: usize = 4;

/// Names of which a source's failures are counted one by one; a household's.
const NAMES_MAX: usize = 4;

/// How long a login waits before it is judged.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Delay {
    /// A second: behind the last failure that costs nothing.
    Short,
    /// Two seconds: behind all further ones.
    Long,
}

impl Delay {
    /// Its length in milliseconds.
    pub const fn ms(self) -> u32 {
        match self {
            Self::Short => 1_000,
            Self::Long => 2_000,
        }
    }
}

/// The longest time in milliseconds that a login spends in the queue of its source.
pub const QUEUE_MS: u32 = Delay::Long.ms() * WAITING_MAX as u32;

/// What becomes of a login that is complete.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Turn {
    /// It is judged now.
    Judge,
    /// It waits. With a delay it is the next one of its source, and asks again after that; without,
    /// [`Logins::leave`] says when it has become the next one.
    Wait(Option<Delay>),
    /// It is refused without having been judged: too many of its source wait, or that is banned.
    Refuse,
}

/// The sources that have been wrong lately.
#[derive(Debug, Default)]
pub struct Logins {
    /// In the order of their keys.
    sources: Vec<Source>,
    /// `--ban`: wrong passwords after which a source is kept out; `None`: never.
    ban: Option<u32>,
}

/// What is remembered of a source.
#[derive(Debug)]
struct Source {
    /// The client keys that it stands for: one, or all of a /48.
    first: ClientKey,
    last: ClientKey,
    failures: u32,
    /// Those of them that are a name's, by a hash of it: a right login takes these back, and no
    /// others.
    names: [(u32, u32); NAMES_MAX],
    halved_at: Millis,
    /// 0 while it is not banned.
    banned_until: Millis,
    /// Those who wait for a verdict, the next one first.
    waiting: Vec<Key>,
    /// When the first of them is judged.
    due: Millis,
}

impl Logins {
    /// Nobody has been wrong yet. `ban` is the number of wrong passwords after which a source is
    /// kept out.
    pub fn new(ban: Option<u32>) -> Self {
        let sources = Vec::new();
        Self { sources, ban }
    }

    /// Decides whether a login of `session` may be judged now. Every login that is judged has
    /// asked before; it leaves the queue by [`Logins::leave`].
    pub fn ask(&mut self, client_key: ClientKey, session: Key, now: Millis) -> Turn {
        let Ok(at) = self.position(client_key) else {
            return Turn::Judge;
        };
        let source = &mut self.sources[at];
        source.fade(now);
        if now < source.banned_until {
            return Turn::Refuse;
        }
        match source.waiting.iter().position(|key| *key == session) {
            Some(0) if source.due <= now => Turn::Judge,
            Some(_) => Turn::Wait(None),
            None if source.failures < FREE_FAILURES => Turn::Judge,
            None if source.waiting.len() >= WAITING_MAX.into() => Turn::Refuse,
            None => {
                source.waiting.push(session);
                let is_next = source.waiting.len() == 1;
                Turn::Wait(is_next.then(|| source.set_due(now)))
            }
        }
    }

    /// A session waits no more: it has had its verdict, or it ends. Returns who is the next one
    /// now, and after which time that asks again.
    pub fn leave(
        &mut self,
        client_key: ClientKey,
        session: Key,
        now: Millis,
    ) -> Option<(Key, Delay)> {
        let at = self.position(client_key).ok()?;
        let source = &mut self.sources[at];
        let at = source.waiting.iter().position(|key| *key == session)?;
        source.waiting.remove(at);
        if at != 0 {
            return None;
        }
        let next = *source.waiting.first()?;
        Some((next, source.set_due(now)))
    }

    /// Counts a wrong password for `name`. `may_ban` is `false` for who is never banned.
    pub fn wrong(&mut self, client_key: ClientKey, name: &[u8], may_ban: bool, now: Millis) {
        let ban = self.ban;
        let Some(source) = self.remember(client_key, now) else {
            return;
        };
        source.count(hash(name), 1);
        if may_ban && ban.is_some_and(|ban| source.failures >= ban) {
            source.banned_until = now + BAN_MS;
        }
        self.join_site(client_key, now);
    }

    /// A right password for `name` takes back that name's wrong ones: an account does not pay for
    /// guesses at another one.
    pub fn right(&mut self, client_key: ClientKey, name: &[u8], now: Millis) {
        let Ok(at) = self.position(client_key) else {
            return;
        };
        let source = &mut self.sources[at];
        source.fade(now);
        source.forgive(hash(name));
        if source.is_forgotten(now) {
            self.sources.remove(at);
        }
    }

    /// Returns `true` if no connection of that client is taken.
    pub fn is_banned(&self, client_key: ClientKey, now: Millis) -> bool {
        let at = self.position(client_key);
        at.is_ok_and(|at| now < self.sources[at].banned_until)
    }

    /// The index of the source that a client belongs to, or the one where it would be inserted.
    fn position(&self, client_key: ClientKey) -> Result<usize, usize> {
        let at = self
            .sources
            .partition_point(|source| source.last < client_key);
        match self.sources.get(at) {
            Some(source) if source.first <= client_key => Ok(at),
            _ => Err(at),
        }
    }

    /// The source of a client, new if need be: in a full table it takes the place of the one with
    /// the fewest failures. `None` if somebody waits in each of them.
    fn remember(&mut self, client_key: ClientKey, now: Millis) -> Option<&mut Source> {
        let mut position = self.position(client_key);
        if position.is_err() && self.sources.len() == SOURCES_MAX {
            let least = self.least(now)?;
            self.sources.remove(least);
            position = self.position(client_key);
        }
        let at = match position {
            Ok(at) => at,
            Err(at) => {
                self.sources.insert(at, Source::new(client_key, now));
                at
            }
        };
        let source = &mut self.sources[at];
        source.fade(now);
        Some(source)
    }

    /// The index of the source that is forgotten first.
    fn least(&mut self, now: Millis) -> Option<usize> {
        let mut least = None;
        for (at, source) in self.sources.iter_mut().enumerate() {
            source.fade(now);
            let is_banned = now < source.banned_until;
            let rank = (is_banned, source.failures, source.halved_at);
            if source.waiting.is_empty() && least.is_none_or(|(least, _)| rank < least) {
                least = Some((rank, at));
            }
        }
        least.map(|(_, at)| at)
    }

    /// Makes one source of those of a /48, if they are too many.
    fn join_site(&mut self, client_key: ClientKey, now: Millis) {
        let (first, last) = client_key.site();
        let from = self.sources.partition_point(|source| source.last < first);
        let to = self.sources.partition_point(|source| source.first <= last);
        if to - from <= SITE_NETWORKS_MAX {
            return;
        }
        let mut site = Source::new(first, now);
        site.last = last;
        for _ in from..to {
            let mut source = self.sources.remove(from);
            source.fade(now);
            site.absorb(source);
        }
        self.sources.insert(from, site);
    }
}

impl Source {
    /// A client that has not failed yet.
    fn new(client_key: ClientKey, now: Millis) -> Self {
        Self {
            first: client_key,
            last: client_key,
            failures: 0,
            names: [(0, 0); NAMES_MAX],
            halved_at: now,
            banned_until: 0,
            waiting: Vec::new(),
            due: 0,
        }
    }

    /// Halves the counts as often as it is time to.
    fn fade(&mut self, now: Millis) {
        let halvings = now.saturating_sub(self.halved_at) / HALVED_MS;
        self.halved_at += halvings * HALVED_MS;
        // Behind 31 of them nothing is left of any count.
        let halvings = u32::try_from(halvings).unwrap_or(u32::MAX).min(31);
        self.failures >>= halvings;
        for (_, count) in &mut self.names {
            *count >>= halvings;
        }
    }

    /// Counts failures, by name as long as there is room for the name.
    fn count(&mut self, name: u32, failures: u32) {
        self.failures = self.failures.saturating_add(failures);
        let known = self
            .names
            .iter()
            .position(|(known, count)| *known == name && *count > 0);
        let free = || self.names.iter().position(|(_, count)| *count == 0);
        if let Some(at) = known.or_else(free) {
            let count = self.names[at].1.saturating_add(failures);
            self.names[at] = (name, count);
        }
    }

    /// Takes back the failures of a name.
    fn forgive(&mut self, name: u32) {
        for (known, count) in &mut self.names {
            if *known == name {
                self.failures = self.failures.saturating_sub(*count);
                *count = 0;
            }
        }
    }

    /// Returns `true` if there is nothing left to remember.
    fn is_forgotten(&self, now: Millis) -> bool {
        self.failures == 0 && self.waiting.is_empty() && now >= self.banned_until
    }

    /// The first of those who wait is judged after the delay that it returns.
    fn set_due(&mut self, now: Millis) -> Delay {
        let delay = if self.failures <= FREE_FAILURES {
            Delay::Short
        } else {
            Delay::Long
        };
        self.due = now + Millis::from(delay.ms());
        delay
    }

    /// Takes over what another source has. Who is next there, and not here, asks in vain when its
    /// delay is over, and is told when it is next here.
    fn absorb(&mut self, other: Self) {
        let mut unnamed = other.failures;
        for (name, count) in other.names {
            if count > 0 {
                self.count(name, count);
                unnamed = unnamed.saturating_sub(count);
            }
        }
        self.failures = self.failures.saturating_add(unnamed);
        self.banned_until = self.banned_until.max(other.banned_until);
        if self.waiting.is_empty() {
            self.due = other.due;
        }
        self.waiting.extend(other.waiting);
    }
}

/// A name as it is remembered (FNV-1a): what is shared by two names is shared by chance.
fn hash(name: &[u8]) -> u32 {
    const BASIS: u32 = 0x811c_9dc5;
    const PRIME: u32 = 0x0100_0193;
    name.iter().fold(BASIS, |hash, byte| {
        (hash ^ u32::from(*byte)).wrapping_mul(PRIME)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::net::{IpAddr, Ipv6Addr};

    const MINUTE: Millis = 60_000;

    fn v4(last: u8) -> ClientKey {
        ClientKey::from(IpAddr::from([10, 0, 0, last]))
    }

    fn v6(site: u16, network: u16) -> ClientKey {
        let addr = Ipv6Addr::new(0x2001, 0xdb8, site, network, 0, 0, 0, 1);
        ClientKey::from(IpAddr::from(addr))
    }

    fn session(index: u16) -> Key {
        Key::new(index, 0)
    }

    /// Logins of which this many have been wrong at `now`, all for `ann`.
    fn failed(client_key: ClientKey, times: u32, now: Millis) -> Logins {
        let mut logins = Logins::default();
        for _ in 0..times {
            logins.wrong(client_key, b"ann", true, now);
        }
        logins
    }

    #[test]
    fn two_mistakes_cost_nothing_then_a_second_then_two_seconds() {
        let ask = |times| failed(v4(1), times, 0).ask(v4(1), session(1), 0);
        assert_eq!(ask(0), Turn::Judge);
        assert_eq!(ask(1), Turn::Judge);
        assert_eq!(ask(2), Turn::Wait(Some(Delay::Short)));
        assert_eq!(ask(3), Turn::Wait(Some(Delay::Long)));
        assert_eq!(ask(1000), Turn::Wait(Some(Delay::Long)));
        assert_eq!(failed(v4(1), 9, 0).ask(v4(2), session(1), 0), Turn::Judge);
    }

    #[test]
    fn those_who_wait_are_judged_in_their_order_one_at_a_time() {
        let mut logins = failed(v4(1), 3, 0);
        assert_eq!(
            logins.ask(v4(1), session(1), 0),
            Turn::Wait(Some(Delay::Long))
        );
        assert_eq!(logins.ask(v4(1), session(2), 10), Turn::Wait(None));
        assert_eq!(logins.ask(v4(1), session(1), 1_999), Turn::Wait(None));
        assert_eq!(
            logins.ask(v4(1), session(2), 2_000),
            Turn::Wait(None),
            "not its turn"
        );
        assert_eq!(logins.ask(v4(1), session(1), 2_000), Turn::Judge);
        let next = logins.leave(v4(1), session(1), 2_000);
        assert_eq!(next, Some((session(2), Delay::Long)));
        assert_eq!(logins.ask(v4(1), session(2), 3_999), Turn::Wait(None));
        assert_eq!(logins.ask(v4(1), session(2), 4_000), Turn::Judge);
        assert_eq!(logins.leave(v4(1), session(2), 4_000), None);
        assert_eq!(logins.leave(v4(1), session(2), 4_000), None);
    }

    #[test]
    fn who_leaves_without_a_verdict_spares_the_next_one_nothing() {
        let mut logins = failed(v4(1), 3, 0);
        for index in 1..=3 {
            logins.ask(v4(1), session(index), 0);
        }
        assert_eq!(logins.leave(v4(1), session(2), 1_900), None);
        let next = logins.leave(v4(1), session(1), 1_900);
        assert_eq!(next, Some((session(3), Delay::Long)));
        assert_eq!(logins.ask(v4(1), session(3), 2_000), Turn::Wait(None));
        assert_eq!(logins.ask(v4(1), session(3), 3_900), Turn::Judge);
    }

    #[test]
    fn the_seventeenth_that_waits_is_refused_unjudged() {
        let mut logins = failed(v4(1), 3, 0);
        for index in 0..16 {
            assert_ne!(logins.ask(v4(1), session(index), 0), Turn::Refuse);
        }
        assert_eq!(logins.ask(v4(1), session(16), 0), Turn::Refuse);
        logins.leave(v4(1), session(5), 1);
        assert_eq!(logins.ask(v4(1), session(16), 1), Turn::Wait(None));
    }

    #[test]
    fn a_right_login_takes_back_the_failures_of_its_own_name() {
        let mut logins = failed(v4(1), 2, 0);
        logins.right(v4(1), b"bob", 0);
        assert_ne!(logins.ask(v4(1), session(1), 0), Turn::Judge);
        logins.leave(v4(1), session(1), 0);
        logins.right(v4(1), b"ann", 0);
        assert_eq!(logins.ask(v4(1), session(1), 0), Turn::Judge);
        assert!(logins.sources.is_empty());
    }

    #[test]
    fn failures_of_more_names_than_are_remembered_stay_with_the_source() {
        let mut logins = Logins::default();
        for name in [b"a", b"b", b"c", b"d", b"e", b"f"] {
            logins.wrong(v4(1), name, true, 0);
            logins.right(v4(1), b"zoe", 0);
        }
        for name in [b"a", b"b", b"c", b"d", b"e", b"f"] {
            logins.right(v4(1), name, 0);
        }
        assert_eq!(
            logins.ask(v4(1), session(1), 0),
            Turn::Wait(Some(Delay::Short))
        );
    }

    #[test]
    fn a_count_is_halved_every_ten_minutes() {
        let mut logins = failed(v4(1), 7, 0);
        assert_ne!(logins.ask(v4(1), session(1), 10 * MINUTE), Turn::Judge, "3");
        logins.leave(v4(1), session(1), 10 * MINUTE);
        assert_eq!(logins.ask(v4(1), session(1), 20 * MINUTE), Turn::Judge, "1");
        assert_eq!(
            failed(v4(1), 7, 0).ask(v4(1), session(1), Millis::MAX / 2),
            Turn::Judge
        );
    }

    #[test]
    fn a_full_table_keeps_those_with_most_failures() {
        let mut logins = failed(v6(0xffff, 0), 3, 0);
        for site in 0..2_000 {
            logins.wrong(v6(site, 0), b"ann", true, 0);
        }
        assert_eq!(logins.sources.len(), SOURCES_MAX);
        assert_ne!(logins.ask(v6(0xffff, 0), session(1), 0), Turn::Judge);
    }

    #[test]
    fn many_networks_of_one_site_are_one_source() {
        let mut logins = Logins::default();
        for network in 0..4 {
            logins.wrong(v6(1, network), b"ann", true, 0);
        }
        logins.wrong(v6(2, 0), b"ann", true, 0);
        assert_eq!(
            logins.ask(v6(1, 99), session(1), 0),
            Turn::Judge,
            "each by itself"
        );
        logins.wrong(v6(1, 4), b"ann", true, 0);
        assert_eq!(logins.sources.len(), 2);
        assert_eq!(
            logins.ask(v6(1, 99), session(1), 0),
            Turn::Wait(Some(Delay::Long))
        );
        assert_eq!(logins.ask(v6(2, 99), session(2), 0), Turn::Judge);
        for last in 0..9 {
            logins.wrong(v4(last), b"ann", true, 0);
        }
        assert_eq!(
            logins.ask(v4(200), session(3), 0),
            Turn::Judge,
            "no site has IPv4"
        );
    }

    #[test]
    fn those_who_wait_go_on_waiting_when_their_networks_become_one_source() {
        let mut logins = Logins::default();
        for network in 0..4 {
            for _ in 0..3 {
                logins.wrong(v6(1, network), b"ann", true, 0);
            }
            logins.ask(v6(1, network), session(network), Millis::from(network));
        }
        logins.wrong(v6(1, 9), b"ann", true, 100);
        let mut now = 2_000;
        for network in 0..4 {
            assert_eq!(
                logins.ask(v6(1, network), session(network), now),
                Turn::Judge
            );
            let next = logins.leave(v6(1, network), session(network), now);
            assert_eq!(next.is_some(), network < 3);
            now += 2_000;
        }
    }

    #[test]
    fn a_banned_source_is_kept_out_for_ten_minutes_and_loopback_never() {
        let mut logins = Logins::new(Some(3));
        for _ in 0..3 {
            assert!(!logins.is_banned(v4(1), 0));
            logins.wrong(v4(1), b"ann", true, 0);
            logins.wrong(v4(2), b"ann", false, 0);
        }
        assert!(logins.is_banned(v4(1), 10 * MINUTE - 1));
        assert_eq!(logins.ask(v4(1), session(1), 5), Turn::Refuse);
        assert!(!logins.is_banned(v4(1), 10 * MINUTE));
        assert!(!logins.is_banned(v4(2), 0));
    }

    #[derive(Clone, Copy, Debug)]
    enum Step {
        Ask(u16),
        HangUp(u16),
        Pause(u16),
    }

    fn steps() -> impl Strategy<Value = Vec<Step>> {
        let step = prop_oneof![
            4 => (0u16..24).prop_map(Step::Ask),
            1 => (0u16..24).prop_map(Step::HangUp),
            2 => (0u16..1_500).prop_map(Step::Pause),
        ];
        prop::collection::vec(step, 0..400)
    }

    proptest! {
        /// Whoever asks, hangs up and waits: behind the second mistake there is one verdict a
        /// second at most.
        #[test]
        fn a_guesser_gets_one_verdict_a_second(steps in steps()) {
            let (mut logins, mut now, mut last) = (Logins::default(), 0, None);
            let mut mistakes = 0;
            for step in steps {
                match step {
                    Step::Ask(index) if logins.ask(v4(1), session(index), now) == Turn::Judge => {
                        if mistakes >= 2 {
                            prop_assert!(last.is_none_or(|last: Millis| now >= last + 1_000));
                        }
                        (last, mistakes) = (Some(now), mistakes + 1);
                        logins.leave(v4(1), session(index), now);
                        // An account of his own in between does not help him.
                        if index % 3 == 0 {
                            logins.right(v4(1), b"own", now);
                            mistakes -= 1;
                        } else {
                            logins.wrong(v4(1), b"ann", true, now);
                        }
                    }
                    Step::Ask(_) => {}
                    Step::HangUp(index) => {
                        logins.leave(v4(1), session(index), now);
                    }
                    Step::Pause(ms) => now += Millis::from(ms),
                }
                prop_assert!(logins.sources.iter().all(|source| source.waiting.len() <= 16));
            }
        }
    }
}
