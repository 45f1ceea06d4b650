//! The number of a network interface, as scoped IPv6 addresses (`fe80::1%br-lan`) need it.
//!
//! Read from /sys: that is less code than the ioctl of if_nametoindex(3) with all that it brings.
//! Asked while the command line and resolv.conf are read, never on the path of data.

use super::file;
use crate::wire::decimal;

/// The kernel's number of the interface with that name, if there is one.
pub fn interface_index(name: &str) -> Option<u32> {
    // The kernel's own bound (IFNAMSIZ); a name has no slash, and a folder up is none.
    if name.len() > 15 || name.contains('/') || name.starts_with('.') {
        return None;
    }
    let (text, _) = file::read(&format!("/sys/class/net/{name}/ifindex"), 16).ok()?;
    u32::try_from(decimal(text.trim_ascii())?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_interface_has_a_number_and_a_made_up_one_has_none() {
        assert!(interface_index("lo").is_some());
        for name in ["no-such-if", "", "../lo", ".", "lo/../lo"] {
            assert_eq!(interface_index(name), None, "{name}");
        }
    }
}
