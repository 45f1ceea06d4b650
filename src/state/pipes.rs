//! Pipes that flows borrow which carry much: the kernel hands on the bytes, and nothing is copied.
//!
//! A flow has a pipe only while bytes are in it. Nobody waits for one: if all are taken, or the
//! system refuses one, the flow goes on by copying.

use super::pool::{Buffers, Quota};
use crate::net::Errno;

/// What flows borrow.
#[derive(Debug)]
pub struct Pool<P> {
    /// To copy through.
    pub buffers: Buffers,
    /// To hand on without copying.
    pub pipes: Pipes<P>,
}

/// The pipes of all flows. One costs two descriptors, and what is in it memory of the kernel.
#[derive(Debug)]
pub struct Pipes<P> {
    quota: Quota,
    /// Empty ones that were given back.
    free: Vec<P>,
    /// The system has refused one: none is opened until [`Pipes::trim`].
    is_refused: bool,
}

impl<P> Pipes<P> {
    /// At most `max` pipes.
    pub fn new(max: usize) -> Self {
        Self {
            quota: Quota::new(max),
            free: Vec::new(),
            is_refused: false,
        }
    }

    /// Takes an empty pipe, a new one by `open` if none is free. Returns `None` if all are taken
    /// or it cannot be opened.
    pub fn take(&mut self, open: impl FnOnce() -> Result<P, Errno>) -> Option<P> {
        if (self.is_refused && self.free.is_empty()) || !self.quota.take() {
            return None;
        }
        let pipe = match self.free.pop() {
            Some(pipe) => Ok(pipe),
            None => open(),
        };
        match pipe {
            Ok(pipe) => Some(pipe),
            Err(error) => {
                self.quota.give();
                self.refuse(error);
                None
            }
        }
    }

    /// Gives back an empty pipe.
    pub fn give(&mut self, pipe: P) {
        self.quota.give();
        self.free.push(pipe);
    }

    /// Closes a pipe with bytes in it: the next flow would send them.
    pub fn close(&mut self, pipe: P) {
        self.quota.give();
        drop(pipe);
    }

    /// The system has refused something. Where it has no such calls, no pipe is lent any more.
    pub fn refuse(&mut self, error: Errno) {
        self.is_refused = true;
        if is_unsupported(error) {
            self.quota.close();
            self.free.clear();
        }
    }

    /// Closes the free ones, and lets new ones be opened again. To be called now and then: who
    /// carries much gets one back in a few microseconds, and nobody else is to have any.
    pub fn trim(&mut self) {
        self.free.clear();
        self.is_refused = false;
    }

    /// The number of pipes that are taken, and of all.
    pub fn quota(&self) -> &Quota {
        &self.quota
    }
}

/// Returns `true` if an error says that a kernel has no splice, or not for these sockets.
pub fn is_unsupported(error: Errno) -> bool {
    matches!(error, Errno::EINVAL | Errno::ENOSYS | Errno::EOPNOTSUPP)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_free_pipe_comes_before_a_new_one_until_they_are_closed() {
        let mut pipes = Pipes::new(2);
        let (one, two) = (pipes.take(|| Ok(1)).unwrap(), pipes.take(|| Ok(2)).unwrap());
        assert!(pipes.take(|| Ok(3)).is_none(), "all are taken");
        pipes.close(one);
        pipes.give(two);
        assert_eq!(pipes.take(|| Ok(3)), Some(2));
        pipes.give(2);
        pipes.trim();
        assert_eq!(pipes.take(|| Ok(4)), Some(4));
        assert_eq!(pipes.quota().to_string(), "1 (peak 2) of 2");
    }

    #[test]
    fn after_a_refusal_no_pipe_is_opened_for_a_while() {
        let mut pipes = Pipes::new(2);
        assert!(pipes.take(|| Err(Errno::EMFILE)).is_none());
        assert_eq!(pipes.quota().used(), 0);
        assert!(pipes.take(|| unreachable!()).is_none());
        pipes.trim();
        assert_eq!(pipes.take(|| Ok(1)), Some(1));
    }

    #[test]
    fn where_the_system_has_none_none_is_lent_any_more() {
        let mut pipes = Pipes::new(2);
        let (one, two) = (pipes.take(|| Ok(1)).unwrap(), pipes.take(|| Ok(2)).unwrap());
        pipes.give(two);
        pipes.refuse(Errno::EINVAL);
        pipes.give(one);
        pipes.trim();
        assert!(pipes.take(|| unreachable!()).is_none());
        assert_eq!(pipes.quota().used(), 0);
    }
}
