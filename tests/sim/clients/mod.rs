//! The clients, their targets and the remotes of their UDP associations: what each is going to
//! do, what it has done so far, and how it acts.

pub(crate) mod client_actor;
pub(crate) mod draw;
mod replies;
pub(crate) mod reply_format;
pub(crate) mod scenario;
pub(crate) mod tunnel_end;
mod udp_client;
mod udp_remote;
pub(crate) mod udp_scenario;
pub(crate) mod web;
