//! Everything that decides whether a client gets in, put together: rules, users, and what is
//! remembered of those who have tried.

use std::net::IpAddr;

use super::access::{Access, ClientKey};
use super::handshake::Protocols;
use super::users::{Failures, Remembered, Users};
use crate::net::Millis;
use crate::wire::socks::Login;

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

    /// Whether this client needs no password, and as which user it is remembered.
    pub fn trusts(&mut self, client: IpAddr, now: Millis) -> Option<Option<u16>> {
        let user = self.remembered.lookup(client, now);
        let open = !self.needs_login() || self.access.trusts(client);
        (open || user.is_some()).then_some(user)
    }

    /// Judges a login: the user, or the step of the penalty. Without credentials configured
    /// anything passes.
    pub fn login(
        &mut self,
        client: IpAddr,
        login: Login<'_>,
        now: Millis,
    ) -> Result<Option<u16>, u8> {
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
