//! While memory is short, tunnels end that hold it: in which bytes wait that one end does not take.

use super::Server;
use super::warnings::Cause;
use crate::net::{Millis, NEVER, Net};
use crate::session::{Reason, Session};
use crate::state::fairness::Source;
use crate::state::memory::{STILL_MS, ends};
use crate::state::slots::Key;
use crate::state::timers::Timers;

impl<N: Net> Server<N> {
    /// When memory is looked at next. Without sessions there is nothing to end.
    pub(super) fn next_look(&self) -> Millis {
        if self.sessions.is_empty() {
            NEVER
        } else {
            self.watch.next()
        }
    }

    /// Looks at the memory now and then. While it is short, those tunnels end that stood still
    /// longest, a few at each look, of the source that has most of them.
    pub(super) fn watch_memory(&mut self) {
        if self.next_look() > self.shared.now {
            return;
        }
        self.look_at_pipes();
        let memory = self.shared.net.memory();
        let Some(shortage) = self.watch.look(&memory, self.shared.now) else {
            return;
        };
        let timers = &self.shared.timers;
        let still = still(self.sessions.iter(), timers, self.heard.until());
        let keys = still.map(|(_, session)| session.client_key());
        let Some((source, still)) = self.shared.clients.most_still(keys) else {
            return;
        };
        let line = format_args!("{shortage} is short: tunnels that stand still are reset");
        self.warn(Cause::Memory, line);
        for _ in 0..ends(still) {
            if let Some(key) = self.longest_still(source) {
                self.close(key, Reason::MemoryShort);
            }
        }
    }

    /// Closes the pipes that nobody has, and takes back those in which the same bytes have been since
    /// the look before.
    fn look_at_pipes(&mut self) {
        let pipes = &mut self.shared.pool.pipes;
        pipes.trim();
        if pipes.quota().used() == 0 {
            return;
        }
        for session in self.sessions.iter_mut() {
            if session.look() {
                self.queues.push(session);
            }
        }
    }

    /// The tunnel of that source which stood still longest.
    fn longest_still(&self, source: Source) -> Option<Key> {
        let shared = &self.shared;
        let mut longest = None;
        for (since, session) in still(self.sessions.iter(), &shared.timers, self.heard.until()) {
            let is_longer = longest.is_none_or(|(least, _)| since < least);
            if is_longer && source.holds(session.client_key()) {
                longest = Some((since, session.key()));
            }
        }
        longest.map(|(_, key)| key)
    }
}

/// The sessions whose tunnel stands still, and since when, if all is known that came up to `heard`.
fn still<'a, N: Net + 'a>(
    sessions: impl Iterator<Item = &'a Session<N>>,
    timers: &Timers,
    heard: Millis,
) -> impl Iterator<Item = (Millis, &'a Session<N>)> {
    sessions.filter_map(move |session| {
        let since = session.still_since(timers)?;
        (since + STILL_MS <= heard).then_some((since, session))
    })
}
