//! One call of the server fails: each call of a recorded run, one run for each.
//!
//! A run is recorded without this fault. In a run with it all is the same up to that call, which
//! fails with one of the errors that Linux has for it. Whom it concerns may fail by it; everybody
//! else must not, and all properties hold.

use anklet::state::slots::{Role, Token};
use nix::errno::Errno;

use crate::network::Network;

/// A call that the server makes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Call {
    Random,
    Accept,
    Watch,
    Connect,
    Listen,
    Route,
    DnsSocket,
    UdpRelay,
    ReceiveBatch,
    SendBatch,
    SendRun,
    Join,
    Read,
    Write,
    ShutdownWrite,
    TakeError,
    PeerAddr,
    LocalAddr,
    KeepAlive,
    DnsSend,
    DnsReceive,
    Aim,
    AcceptPeer,
    OpenPipe,
    SpliceIn,
    SpliceOut,
    ReadPipe,
}

/// Whom the failure of a call concerns.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Concerned {
    /// Nobody: it can be made again.
    Nobody,
    /// That client, if there is one.
    Client(Option<usize>),
    /// Those who ask for names.
    Names,
    /// Those who ask for a BIND.
    Binds,
    /// Any client.
    Anyone,
}

impl Call {
    /// The kinds of calls, for counting.
    pub(crate) const COUNT: usize = Self::ReadPipe as usize + 1;

    /// What it may fail with.
    pub(crate) fn errors(self) -> &'static [Errno] {
        match self {
            Self::Random => &[Errno::EIO, Errno::EINTR],
            Self::Accept | Self::AcceptPeer => &[
                Errno::EMFILE,
                Errno::ENOMEM,
                Errno::ENOBUFS,
                Errno::EINTR,
                Errno::ECONNABORTED,
                Errno::EPERM,
            ],
            Self::Watch => &[Errno::ENOMEM, Errno::ENOSPC],
            Self::Connect => &[
                Errno::EMFILE,
                Errno::ENOBUFS,
                Errno::EADDRNOTAVAIL,
                Errno::EPERM,
                Errno::ENETUNREACH,
            ],
            Self::Listen | Self::UdpRelay => &[Errno::EMFILE, Errno::ENOMEM, Errno::EADDRINUSE],
            Self::Route | Self::Aim => &[Errno::EMFILE, Errno::ENETUNREACH, Errno::EPERM],
            Self::DnsSocket => &[
                Errno::EMFILE,
                Errno::ENOMEM,
                Errno::ENETUNREACH,
                Errno::EPERM,
            ],
            Self::ReceiveBatch => &[Errno::EINTR, Errno::ENOMEM, Errno::EHOSTUNREACH, Errno::EIO],
            // A run goes apart then, so that none is lost.
            Self::SendRun => &[Errno::EINTR, Errno::ENOBUFS, Errno::EINVAL, Errno::EIO],
            Self::Join => &[Errno::ENOPROTOOPT, Errno::EPERM, Errno::ENOMEM],
            Self::SendBatch => &[Errno::EINTR, Errno::ENOBUFS, Errno::EPERM, Errno::EIO],
            Self::Read => &[Errno::EINTR, Errno::ECONNRESET, Errno::ENOMEM, Errno::EIO],
            Self::Write => &[Errno::EINTR, Errno::EPIPE, Errno::ENOBUFS, Errno::EIO],
            Self::ShutdownWrite => &[Errno::ENOTCONN, Errno::ENOBUFS],
            Self::TakeError => &[Errno::ECONNREFUSED, Errno::ENOBUFS],
            // That it is not connected yet would be said of one that is.
            Self::PeerAddr => &[Errno::ENOBUFS, Errno::EIO],
            Self::LocalAddr | Self::KeepAlive => &[Errno::ENOBUFS],
            Self::DnsSend => &[
                Errno::EINTR,
                Errno::ENOBUFS,
                Errno::EPERM,
                Errno::ECONNREFUSED,
            ],
            Self::OpenPipe => &[Errno::EMFILE, Errno::ENFILE, Errno::ENOMEM, Errno::ENOSYS],
            Self::SpliceIn => &[
                Errno::EINTR,
                Errno::EAGAIN,
                Errno::EINVAL,
                Errno::ENOMEM,
                Errno::ECONNRESET,
            ],
            Self::SpliceOut => &[Errno::EINVAL, Errno::EPIPE, Errno::ENOBUFS],
            Self::ReadPipe => &[Errno::EINTR, Errno::ENOMEM],
            Self::DnsReceive => &[Errno::EINTR, Errno::ECONNREFUSED, Errno::ENOMEM],
        }
    }
}

/// The calls so far, and which of them fails.
#[derive(Default)]
pub(crate) struct Calls {
    /// All that were made, in order.
    pub(crate) made: Vec<Call>,
    /// The number of the call that fails, and with what.
    pub(crate) fault: Option<(usize, Errno)>,
    /// The next call of that kind fails, and with what.
    pub(crate) next: Option<(Call, Errno)>,
}

impl Network {
    /// The server makes a call. Gives its error if it is the one that fails.
    pub(crate) fn call(&mut self, call: Call, concerned: Concerned) -> Result<(), Errno> {
        let number = self.calls.made.len();
        self.calls.made.push(call);
        let next = self.calls.next.take_if(|(kind, _)| *kind == call);
        let fault = self.calls.fault.filter(|(at, _)| *at == number);
        let Some(error) = next.map(|next| next.1).or_else(|| Some(fault?.1)) else {
            return Ok(());
        };
        self.trace(|| format!("call {number}, {call:?} of {concerned:?}, fails: {error}"));
        self.checks.progress();
        self.note_concerned(concerned);
        Err(error)
    }

    /// The server makes a call for the session, or the query, with that token.
    pub(crate) fn call_of(&mut self, call: Call, token: Token) -> Result<(), Errno> {
        let concerned = match token.role() {
            Some(Role::Dns) => Concerned::Names,
            _ => Concerned::Client(self.owner(token)),
        };
        self.call(call, concerned)
    }

    /// Those whom a failed call concerns need not succeed.
    fn note_concerned(&mut self, concerned: Concerned) {
        for (number, client) in self.clients.iter_mut().enumerate() {
            let scenario = &client.scenario;
            client.faulted |= match concerned {
                Concerned::Nobody => false,
                Concerned::Anyone => true,
                Concerned::Client(concerned) => concerned == Some(number),
                Concerned::Names => scenario.name.is_some() || scenario.udp.is_some(),
                Concerned::Binds => scenario.bind_peers.is_some(),
            };
        }
    }
}
