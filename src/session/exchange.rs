//! What a client asks for, once its handshake is over.

use crate::wire::http::{Body, Head, Kept};
use crate::wire::socks::Request;

/// What a client asks for.
#[derive(Debug)]
pub(super) enum Asked {
    /// A tunnel, or what else SOCKS has.
    Tunnel(Request),
    /// That an HTTP request is forwarded, of the same user as the client's last one or not.
    Forward(Box<Exchange>, bool),
    /// Something of the proxy itself: this is the answer.
    Proxy(Vec<u8>),
    /// The report of its state.
    Report,
}

/// A request that is forwarded.
#[derive(Debug)]
pub(super) struct Exchange {
    /// The origin that is asked: where to.
    pub(super) request: Request,
    /// What the target gets first: the rewritten head, and what of the body came along with it.
    pub(super) head: Vec<u8>,
    /// What follows the head.
    pub(super) body: Body,
    /// What of that is passed on.
    pub(super) kept: Kept,
    /// Facts of the request, as those of [`Head`].
    pub(super) is_old: bool,
    pub(super) is_for_head: bool,
    pub(super) may_repeat: bool,
    pub(super) upgrades: bool,
    /// The client's connection ends behind the answer.
    pub(super) closes: bool,
}

impl Exchange {
    /// The request of that head, which goes on as `forwarded`.
    pub(super) fn new(head: &Head<'_>, forwarded: Vec<u8>) -> Self {
        Self {
            request: head.request.clone(),
            head: forwarded,
            body: head.body,
            kept: head.kept,
            is_old: head.is_old,
            is_for_head: head.is_for_head(),
            may_repeat: head.may_repeat(),
            upgrades: head.upgrades,
            closes: head.closes,
        }
    }
}
