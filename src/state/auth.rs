//! Authentication: access rules, users, and what is remembered of earlier logins.

use std::net::IpAddr;

use super::access::{Access, ClientKey};
use super::protocols::Protocols;
use super::users::{Failures, Penalty, Remembered, UserId, Users};
use crate::net::Millis;
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

/// Access rules, users and the memory of logins.
#[derive(Debug)]
pub struct Auth {
    /// Who may connect, and where to.
    pub access: Access,
    users: Users,
    failures: Failures,
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
        Self {
            access,
            users,
            failures: Failures::default(),
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

    /// Judges a login. Returns the user, or `None` if no credentials are configured: then
    /// anything passes.
    ///
    /// Errors: the penalty for a wrong name or password.
    pub fn login(
        &mut self,
        client: IpAddr,
        login: Login<'_>,
        now: Millis,
    ) -> Result<Option<UserId>, Penalty> {
        if !self.needs_login() {
            return Ok(None);
        }
        let client_key = ClientKey::from(client);
        match self.users.verify(login.name, login.password) {
            Some(user) => {
                self.failures.forgive(client_key);
                if self.auth_once {
                    self.remembered.insert(client, user, now);
                }
                Ok(Some(user))
            }
            None => Err(self.failures.record(client_key, now)),
        }
    }

    /// Replaces the users. Returns the old ones. Addresses that are remembered as a user that is
    /// gone, or has another password, are forgotten.
    pub fn set_users(&mut self, users: Users) -> Users {
        self.remembered.keep(&self.users, &users);
        std::mem::replace(&mut self.users, users)
    }

    /// The current users.
    pub fn users(&self) -> &Users {
        &self.users
    }
}
