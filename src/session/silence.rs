//! How long nothing may move in a tunnel or an exchange: shorter once one side has ended.

use super::context::Context;
use super::outcome::Reason;
use super::shared::Class;
use crate::net::Net;

/// Which of the two timeouts is armed.
#[derive(Debug, Default)]
pub(super) struct Silence {
    is_half: bool,
}

impl Silence {
    /// A turn has moved so many bytes, and one side has ended or not: the timeout begins anew if
    /// that is news.
    pub(super) fn note<N: Net>(&mut self, moved: u64, is_half: bool, cx: &mut Context<'_, N>) {
        if moved > 0 {
            cx.shared.places.add(cx.client.key, moved, cx.shared.now);
        } else if is_half == self.is_half {
            return;
        }
        self.is_half = is_half;
        let class = if is_half {
            Class::HalfClosed
        } else {
            Class::Idle
        };
        cx.shared.arm(cx.client.key, class);
    }

    /// What it means that it is over.
    pub(super) fn reason(&self) -> Reason {
        if self.is_half {
            Reason::HalfCloseTimeout
        } else {
            Reason::IdleTimeout
        }
    }
}
