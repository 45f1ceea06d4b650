//! State and policy: what happens next, decided without a socket. Time is an argument.

pub mod acceptor;
pub mod access;
pub mod association;
pub mod auth;
pub mod batch;
pub mod clients;
pub mod contacts;
pub mod fairness;
pub mod flow;
pub mod handshake;
pub mod logins;
pub mod memory;
pub mod names;
pub mod offload;
pub mod peer;
pub mod pipes;
pub mod places;
pub mod pool;
pub mod prefix;
pub mod protocols;
pub mod repeats;
mod rules;
pub mod slots;
pub mod timers;
pub mod transfer;
pub mod users;
pub mod young;
