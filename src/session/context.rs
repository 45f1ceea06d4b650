//! What a turn of any phase works with.

use super::client::Client;
use super::shared::Shared;
use crate::net::Net;

/// The client of the session, and what all sessions share.
pub(super) struct Context<'a, N: Net> {
    pub(super) client: &'a mut Client<N>,
    pub(super) shared: &'a mut Shared<N>,
}
