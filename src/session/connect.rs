//! The connect: attempts at the addresses of the destination, until the first is established
//! (RFC 8305 §5).

use std::net::SocketAddr;

use super::client::Client;
use super::outcome::{End, Reason, refused};
use super::race::{Race, Winner};
use super::shared::{Alarm, Shared};
use crate::net::{Net, Purpose};
use crate::state::slots::Role;

/// Looks at the attempts. Returns the one that is established; `None` while none is.
///
/// # Errors
/// All have failed.
pub(super) fn turn<N: Net>(
    race: &mut Race<N::Stream>,
    client: &Client<N>,
    shared: &mut Shared<N>,
) -> Result<Option<Winner<N::Stream>>, End> {
    if !race.ready.writable {
        return Ok(None);
    }
    let before = race.running();
    let winner = race.poll();
    race.recount(&mut shared.spare_attempts);
    if winner.is_none() && race.running() < before {
        advance(race, client, shared)?;
    }
    Ok(winner)
}

/// Starts the next attempt that can be started.
///
/// # Errors
/// None is under way, and none can be started.
pub(super) fn advance<N: Net>(
    race: &mut Race<N::Stream>,
    client: &Client<N>,
    shared: &mut Shared<N>,
) -> Result<(), End> {
    // Bounded by the number of candidates.
    while race.running() == 0 || !shared.spare_attempts.is_full() {
        let Some(to) = race.next_candidate() else {
            break;
        };
        match attempt(&to, client, shared) {
            Ok(stream) => {
                race.add(stream, to);
                break;
            }
            Err(failure) => race.note(failure),
        }
    }
    race.recount(&mut shared.spare_attempts);
    if race.running() == 0 {
        return Err(race.failure().into());
    }
    if race.has_candidate() {
        shared.arm_alarm(client.key, Alarm::NextAttempt);
    }
    Ok(())
}

/// Starts one attempt, if the rules permit it.
fn attempt<N: Net>(
    to: &SocketAddr,
    client: &Client<N>,
    shared: &mut Shared<N>,
) -> Result<N::Stream, Reason> {
    shared.permit(client.addr(), to)?;
    if !shared.has_family(to.is_ipv6()) {
        return Err(Reason::NetworkUnreachable);
    }
    let token = client.token(Role::Target);
    let attempt = shared.net.connect(*to, Purpose::Tunnel, token);
    attempt.map_err(|error| refused(client.addr(), to, error))
}
