//! What may go wrong, and how often.
//!
//! ```text
//! odds.rs       the odds of each kind of fault in one world, drawn from the seed
//! streams.rs    short reads and writes, early `EAGAIN`, resets
//! datagrams.rs  UDP: loss, delay, doubles, errors
//! calls.rs      one call of the server fails
//! events.rs     spurious events, and events of sockets that have been closed
//! ```
//!
//! Faults of other kinds are single draws where they strike: descriptors run out wherever a
//! socket is opened or accepted (`network/`), a DNS message is lost, late, doubled or forged
//! (`network/name_server.rs`), and a wait is interrupted (`network/net.rs`).

mod calls;
mod datagrams;
mod events;
mod odds;
mod streams;

pub(crate) use self::calls::{Call, Calls, Concerned};
pub(crate) use self::odds::Odds;
