//! Everything that decides whether a client gets in, put together: rules, users, and what is
//! remembered of those who have tried.

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
    /// Whether users are configured at all. Not whether there are any: a users file that has
    /// become empty lets nobody in.
    credentials: bool,
    auth_once: bool,
    /// What is spoken beside SOCKS5 CONNECT.
    pub protocols: Protocols,
}

impl Auth {
    /// An `Auth` with these rules and users, nobody remembered.
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

    /// Whether a client that is not trusted has to show a password.
    pub fn needs_login(&self) -> bool {
        self.credentials
    }

    /// Whether this client needs a password. Who is remembered is remembered for longer.
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

    /// Puts other users in place; gives the old ones. Who is remembered as one that is gone
    /// is forgotten.
    pub fn set_users(&mut self, users: Users) -> Users {
        self.remembered.keep(&self.users, &users);
        std::mem::replace(&mut self.users, users)
    }

    /// The users as they are now.
    pub fn users(&self) -> &Users {
        &self.users
    }
}
