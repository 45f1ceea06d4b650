//! Authentication: access rules, users, and what is remembered of earlier logins.

use std::net::{IpAddr, SocketAddr};

use super::access::{Access, ClientKey, scoped};
use super::logins::{Delay, Logins, Turn};
use super::protocols::Protocols;
use super::repeats::Repeats;
use super::slots::Key;
use super::users::{Remembered, Usage, UserId, Users};
use crate::log::{Level, is_logged, log};
use crate::net::Millis;
use crate::wire::Unaddressed;
use crate::wire::socks::Login;

/// Whether a client needs a password.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Trust {
    /// It does.
    No,
    /// It does not, and is nobody in particular.
    Open,
    /// It does not: its address has logged in as this user before.
    As(UserId),
}

/// Who wants to be let in.
#[derive(Clone, Copy, Debug)]
pub struct Asker {
    /// The session.
    pub session: Key,
    /// Where it comes from.
    pub addr: SocketAddr,
}

impl Asker {
    /// Its address as the rules know it.
    pub fn ip(&self) -> IpAddr {
        scoped(&self.addr)
    }
}

/// What becomes of a login.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Verdict {
    /// It is right: as that user, or as nobody where no credentials are configured.
    Granted(Option<UserId>),
    /// It is wrong, or too many wait: both look the same.
    Refused,
    /// It has to wait, as [`Turn::Wait`] says.
    Wait(Option<Delay>),
}

/// Access rules, users and the memory of logins.
#[derive(Debug)]
pub struct Auth {
    /// Who may connect, and where to.
    pub access: Access,
    users: Users,
    /// Who has been wrong, and who waits for a verdict.
    pub logins: Logins,
    /// The lines of wrong passwords. They have runs of their own, which no other line can fill: a
    /// guesser is told of in each of his lines.
    pub wrong: Repeats,
    remembered: Remembered,
    /// Users are configured, even if there are none: with an empty users file nobody can log in.
    credentials: bool,
    auth_once: bool,
    /// The protocols that are switched on.
    pub protocols: Protocols,
}

impl Auth {
    /// An `Auth` with these rules and users that remembers no login.
    pub fn new(
        access: Access,
        users: Users,
        credentials: bool,
        auth_once: bool,
        protocols: Protocols,
    ) -> Self {
        let logins = Logins::new(access.policy().ban);
        Self {
            access,
            users,
            logins,
            wrong: Repeats::default(),
            remembered: Remembered::default(),
            credentials,
            auth_once,
            protocols,
        }
    }

    /// Returns `true` if a client that is not trusted needs a password.
    pub fn needs_login(&self) -> bool {
        self.credentials
    }

    /// Finds out whether this client needs a password. If it is remembered, that is prolonged.
    pub fn trust(&mut self, client: IpAddr, now: Millis) -> Trust {
        match self.remembered.lookup(client, now) {
            Some(user) => Trust::As(user),
            None if !self.needs_login() || self.access.trusts(client) => Trust::Open,
            None => Trust::No,
        }
    }

    /// Judges a login, if its turn has come: the one place where that is done. A wrong one is
    /// logged, in a line that other programs may read. At his pace a guesser has seven within ten
    /// seconds, so that none of them is held back; those who log in between have more.
    pub fn login(&mut self, asker: Asker, login: Login<'_>, now: Millis) -> Verdict {
        if !self.needs_login() {
            return Verdict::Granted(None);
        }
        let client_key = ClientKey::from(asker.ip());
        match self.logins.ask(client_key, asker.session, now) {
            Turn::Wait(delay) => return Verdict::Wait(delay),
            Turn::Refuse => return Verdict::Refused,
            Turn::Judge => {}
        }
        let ip = asker.addr.ip().to_canonical();
        let Some(user) = self.users.verify(login.name, login.password) else {
            let is_told = is_logged(Level::Warn)
                && self
                    .wrong
                    .admits(client_key, Level::Warn, "wrong password", now);
            if is_told {
                let name = Unaddressed(login.name);
                log(
                    Level::Warn,
                    format_args!("{ip} wrong password for user {name}"),
                );
            }
            let may_ban = !ip.is_loopback();
            self.logins.wrong(client_key, login.name, may_ban, now);
            return Verdict::Refused;
        };
        self.logins.right(client_key, login.name, now);
        if self.auth_once {
            self.remembered.insert(asker.ip(), user, now);
        }
        Verdict::Granted(Some(user))
    }

    /// Replaces the users. Returns the old ones. Addresses that are remembered as a user that is
    /// gone, or has another password, are forgotten.
    pub fn set_users(&mut self, mut users: Users) -> Users {
        self.remembered.keep(&self.users, &users);
        users.follow(&self.users);
        std::mem::replace(&mut self.users, users)
    }

    /// The current users.
    pub fn users(&self) -> &Users {
        &self.users
    }

    /// What the sessions of a user come to.
    pub fn usage_mut(&mut self, user: UserId) -> &mut Usage {
        self.users.usage_mut(user)
    }
}
