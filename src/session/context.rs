//! What a turn of any phase works with.

use std::fmt;

use super::client::Client;
use super::outcome::Reason;
use super::shared::Shared;
use crate::log::{Level, log};
use crate::net::{Errno, Net, in_words};

/// The client of the session, and what all sessions share.
pub(super) struct Context<'a, N: Net> {
    pub(super) client: &'a mut Client<N>,
    pub(super) shared: &'a mut Shared<N>,
}

impl<N: Net> Context<'_, N> {
    /// Logs that the system has refused what the client has asked for. Returns the reason that
    /// it is.
    #[cold]
    pub(super) fn refused(&mut self, what: &dyn fmt::Display, error: Errno) -> Reason {
        let (reason, client) = (Reason::from(error), self.client.addr());
        let source = self.client.client_key;
        if self.shared.may_log(source, Level::Debug, reason.words()) {
            let why = in_words(error);
            log(Level::Debug, format_args!("{client} -> {what}: {why}"));
        }
        reason
    }
}
