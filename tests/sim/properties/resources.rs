//! What the server holds: not more than its sessions can need, and nothing at the end.
//! The figures are those of the server's own census.

use anklet::server::check::Census;

use crate::network::Network;

/// Compares what is in use with what the sessions can need: for each opening a lookup, a place in
/// its line and two sockets, and the same for each of an association's four names; for each
/// session a timeout and a timer of the next attempt of a race, or of the silence of an
/// association's client; for each flow a pipe or a buffer (what a pipe held counts as several).
///
/// # Errors
/// The text of a broken property.
pub(crate) fn check_in_use(network: &Network, census: &Census) -> Result<(), String> {
    let Census {
        sessions,
        pipes,
        openings,
        timers,
        queries,
        waiting: (for_datagrams, _),
        ..
    } = *census;
    // The names of an association take 7 KiB, which is 88 of the shortest.
    let too_many = for_datagrams > 88 * network.associations();
    let lookups = openings + for_datagrams;
    if too_many || openings > sessions || pipes.max(timers) > 2 * sessions || queries > 4 * lookups
    {
        let now = network.now;
        return Err(format!(
            "at {now} ms: more is in use than wanted: {census:?}"
        ));
    }
    Ok(())
}

/// Compares what is in use with what was before the first client: nothing may be left, and no
/// socket may be open.
///
/// # Errors
/// The text of a broken property.
pub(crate) fn check_all_given_back(
    network: &Network,
    census: &Census,
    before: &Census,
) -> Result<(), String> {
    if census != before {
        return Err(format!("left: {census:?}"));
    }
    match network.open_sockets() {
        0 => {}
        open => return Err(format!("{open} sockets are left")),
    }
    match network.pipes.open() {
        0 => Ok(()),
        open => Err(format!("{open} pipes are left")),
    }
}
