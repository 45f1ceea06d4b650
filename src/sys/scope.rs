//! The number of a network interface, as scoped IPv6 addresses (`fe80::1%br-lan`) need it.
//!
//! Asked while the command line and resolv.conf are read, never on the path of data.

/// The kernel's number of the interface with that name, if there is one.
pub fn interface_index(name: &str) -> Option<u32> {
    nix::net::if_::if_nametoindex(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_a_number_and_a_made_up_one_has_none() {
        assert!(interface_index("lo").is_some());
        assert_eq!(interface_index("no-such-if"), None);
    }
}
