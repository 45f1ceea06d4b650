//! The options of outgoing connections: families, source addresses, device and mark.
//!
//! Name servers are in `access`, with what SIGHUP reads again.

use std::net::IpAddr;

use getopts::Matches;

use super::super::{ConfigError, Families, Outgoing, values};
use super::lists::{ITEMS_MAX, against, bad, items};

/// `--ipv4`, `--ipv6` and `--prefer`.
pub(super) fn families(matches: &Matches) -> Result<Families, ConfigError> {
    let (only_v4, only_v6) = (matches.opt_present("ipv4"), matches.opt_present("ipv6"));
    if only_v4 && only_v6 {
        return Err(against("ipv4", "contradicts --ipv6"));
    }
    let preferred = matches.opt_str("prefer");
    match preferred.as_deref() {
        Some(text) if only_v4 => return Err(bad("prefer", text, "contradicts --ipv4")),
        Some(text) if only_v6 => return Err(bad("prefer", text, "contradicts --ipv6")),
        None | Some("4" | "6") => {}
        Some(text) => return Err(bad("prefer", text, "neither 4 nor 6")),
    }
    let v6_first = !only_v4 && preferred.as_deref() != Some("4");
    Ok(Families {
        v4: !only_v6,
        v6: !only_v4,
        v6_first,
    })
}

/// The families that are left once source addresses are given: who chooses the way out for
/// one family does not want the other to leave by another.
pub(super) fn confined(families: Families, outgoing: &Outgoing) -> Families {
    let addressed = outgoing.v4.is_some() || outgoing.v6.is_some();
    Families {
        v4: families.v4 && (!addressed || outgoing.v4.is_some()),
        v6: families.v6 && (!addressed || outgoing.v6.is_some()),
        ..families
    }
}

/// `--bind` and `--mark`.
pub(super) fn outgoing(matches: &Matches, families: Families) -> Result<Outgoing, ConfigError> {
    let mut outgoing = Outgoing::default();
    for item in items(matches, "bind", ITEMS_MAX, "one more than 256")? {
        bind(&mut outgoing, &item, families).map_err(|why| bad("bind", &item, why))?;
    }
    if let Some(text) = matches.opt_str("mark") {
        outgoing.mark = Some(values::mark(&text).map_err(|why| bad("mark", &text, why))?);
    }
    Ok(outgoing)
}

/// Adds one `--bind`: an interface on its own, or an address of either family.
fn bind(outgoing: &mut Outgoing, item: &str, families: Families) -> Result<(), &'static str> {
    let addressed = outgoing.v4.is_some() || outgoing.v6.is_some();
    if let Some(name) = values::interface(item) {
        if addressed || outgoing.device.replace(name).is_some() {
            return Err("an interface stands alone");
        }
        return Ok(());
    }
    if outgoing.device.is_some() {
        return Err("an interface stands alone");
    }
    let addr: IpAddr = item
        .parse()
        .map_err(|_| "neither an address nor an interface name")?;
    let addr = addr.to_canonical();
    if addr.is_unspecified() || addr.is_multicast() {
        return Err("not the address of an interface");
    }
    match addr {
        IpAddr::V4(_) if !families.v4 => Err("contradicts --ipv6"),
        IpAddr::V6(_) if !families.v6 => Err("contradicts --ipv4"),
        IpAddr::V4(v4) if v4.is_broadcast() => Err("not the address of an interface"),
        IpAddr::V6(v6) if v6.is_unicast_link_local() => Err("a link-local address reaches nothing"),
        IpAddr::V4(v4) if outgoing.v4.replace(v4).is_some() => Err("a second IPv4 address"),
        IpAddr::V6(v6) if outgoing.v6.replace(v6).is_some() => Err("a second IPv6 address"),
        _ => Ok(()),
    }
}
