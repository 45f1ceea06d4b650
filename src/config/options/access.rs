//! The options of who may connect and where to: networks, users, name servers.
//!
//! The files that they name are read by `files`, later and again on SIGHUP.

use std::net::SocketAddr;
use std::path::PathBuf;

use getopts::Matches;

use super::super::files::{DNS_PORT, NAME_SERVERS_MAX};
use super::super::{ConfigError, Sources, values};
use super::lists::{against, bad, items, list};
use crate::state::access::Policy;
use crate::sys::scope::interface_index;

/// Who may connect and where to. Trust means to do without a password, so there must be one.
pub(super) fn policy(matches: &Matches) -> Result<Policy, ConfigError> {
    let credentials = matches.opt_present("user") || matches.opt_present("users");
    let auth_once = matches.opt_present("auth-once");
    if !credentials {
        const WHY: &str = "needs --user or --users";
        if let Some(value) = matches.opt_str("trust") {
            return Err(bad("trust", &value, WHY));
        }
        if auth_once {
            return Err(against("auth-once", WHY));
        }
    }
    Ok(Policy {
        credentials,
        clients: list(matches, "clients")?,
        trust: list(matches, "trust")?,
        permit: list(matches, "permit")?,
        block: list(matches, "block")?,
        auth_once,
    })
}

/// Users and name servers: what SIGHUP reads again.
pub(super) fn sources(matches: &Matches) -> Result<Sources, ConfigError> {
    let users = matches.opt_str("users");
    if users.as_deref() == Some("") {
        return Err(against("users", "needs the name of a file"));
    }
    let mut sources = Sources {
        credential: None,
        users: users.map(PathBuf::from),
        dns: name_servers(matches)?,
        resolv_conf: Some(PathBuf::from("/etc/resolv.conf")),
        hosts: Some(PathBuf::from("/etc/hosts")),
    };
    credential(matches, &mut sources)?;
    Ok(sources)
}

/// `--user` and `--password`, both or none. RFC 1929 §2 has a byte for each length.
fn credential(matches: &Matches, sources: &mut Sources) -> Result<(), ConfigError> {
    const WHY: &str = "not 1 to 255 bytes long";
    match (matches.opt_str("user"), matches.opt_str("password")) {
        (None, None) => {}
        (Some(name), None) => return Err(bad("user", &name, "needs --password")),
        (None, Some(_)) => return Err(against("password", "needs --user")),
        (Some(name), Some(password)) => {
            if !(1..=255).contains(&name.len()) {
                return Err(bad("user", &name, WHY));
            }
            if !(1..=255).contains(&password.len()) {
                return Err(against("password", WHY));
            }
            sources.credential = Some((name.into_bytes(), password.into_bytes()));
        }
    }
    Ok(())
}

/// `--dns`.
fn name_servers(matches: &Matches) -> Result<Vec<SocketAddr>, ConfigError> {
    let mut servers = Vec::new();
    for item in items(matches, "dns", NAME_SERVERS_MAX, "one more than 3")? {
        let server = values::endpoint(&item, DNS_PORT, interface_index)
            .map_err(|why| bad("dns", &item, why))?;
        if server.port() == 0 || server.ip().is_unspecified() {
            return Err(bad("dns", &item, "nobody answers there"));
        }
        servers.push(server);
    }
    Ok(servers)
}
