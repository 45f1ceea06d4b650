//! What the program was told to do: the meaning of the command line and of the files it names.
//!
//! | file | what it does |
//! |---|---|
//! | `settings` | the configuration as plain data, [`Config`] |
//! | `dns` | what is known of name lookups, [`dns::DnsSettings`] |
//! | `error` | [`ConfigError`], why the program cannot start |
//! | `options` | reads the command line; `values` reads single values, `help` is its text |
//! | `files` | reads users, resolv.conf and hosts |
//! | `limits` | sizes the tables |
//! | `check` | prints it all |
//!
//! Nothing here listens or connects.

pub mod check;
pub mod dns;
mod error;
pub mod files;
mod help;
pub mod limits;
pub mod options;
mod settings;
mod values;

pub use dns::Families;
pub use error::ConfigError;
pub use options::{Command, parse};
pub use settings::{
    Asked, AskedLimits, Config, Limits, Listen, Outgoing, PORT_DEFAULT, RelayOptions, Sources,
    Timeouts,
};
