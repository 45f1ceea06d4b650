//! The addresses of this machine's interfaces, and which interfaces lead to the Internet.
//!
//! Reads `getifaddrs` and two files of /proc; decides nothing. [`Interface::default_route`]
//! makes the difference between the inside, whose subnets are served without credentials, and
//! the outside, so every doubt here makes an interface the outside:
//!
//! - A default route of one family counts for both. An uplink often has only one of the two
//!   (IPv6 comes through a tunnel, or its router advertisement has expired), and judged by
//!   family its other prefix, with the provider's other customers in it, would be inside.
//! - Halves of the Internet (0.0.0.0/1, 2000::/3) count: VPNs route it in such pieces.
//! - If a file cannot be read, every interface counts.
//!
//! The price: a subnet taken for the outside is not refused as a destination by
//! that reason. The router's own addresses and the private ranges are refused all the same.

use std::net::IpAddr;

use nix::ifaddrs::{InterfaceAddress, getifaddrs};
use nix::net::if_::InterfaceFlags;
use nix::sys::socket::SockaddrStorage;

use super::file::{self, Words, lines, number};
use crate::state::access::Interface;

/// The most addresses that are read: a router has some ten, and each costs two rules.
const ADDRS_MAX: usize = 256;

/// The most bytes that are read of a table of routes, some 7,000 lines.
const ROUTES_BYTES_MAX: usize = 1 << 20;

/// RTF_UP and RTF_REJECT of <linux/route.h>.
const ROUTE_UP: u64 = 0x1;
const ROUTE_REJECT: u64 = 0x200;

/// The addresses of the interfaces that are up, 256 at most. Empty if they cannot be read:
/// there is always a loopback one, so the caller can tell.
pub fn interfaces() -> Vec<Interface> {
    let mut found = Vec::new();
    let Ok(entries) = getifaddrs() else {
        return found;
    };
    let v4 = devices("/proc/net/route", v4_default);
    let v6 = devices("/proc/net/ipv6_route", v6_default);
    for entry in entries {
        if entry.flags.contains(InterfaceFlags::IFF_UP)
            && found.len() < ADDRS_MAX
            && let Some(interface) = interface(&entry, v4.as_deref(), v6.as_deref())
        {
            found.push(interface);
        }
    }
    found
}

/// One address; `None` for what is neither IPv4 nor IPv6. `v4` and `v6` are the devices of the
/// default routes, where they are known.
fn interface(
    entry: &InterfaceAddress,
    v4: Option<&[Device]>,
    v6: Option<&[Device]>,
) -> Option<Interface> {
    let addr = ip_addr(entry.address.as_ref()?)?;
    let bits = match entry.netmask.as_ref().and_then(ip_addr) {
        Some(IpAddr::V4(mask)) => mask.to_bits().leading_ones(),
        Some(IpAddr::V6(mask)) => mask.to_bits().leading_ones(),
        None if addr.is_ipv4() => 32,
        None => 128,
    };
    // IPv4 addresses come with their label, "br-lan:1".
    let name = entry.interface_name.split(':').next()?;
    let unknown = if addr.is_ipv4() {
        v4.is_none()
    } else {
        v6.is_none()
    };
    let listed = |devices: Option<&[Device]>| {
        devices.is_some_and(|devices| devices.iter().any(|device| device == name.as_bytes()))
    };
    Some(Interface {
        name: name.to_owned(),
        addr,
        bits: u8::try_from(bits).ok()?,
        default_route: unknown || listed(v4) || listed(v6),
    })
}

fn ip_addr(addr: &SockaddrStorage) -> Option<IpAddr> {
    match (addr.as_sockaddr_in(), addr.as_sockaddr_in6()) {
        (Some(v4), _) => Some(IpAddr::V4(v4.ip())),
        (_, Some(v6)) => Some(IpAddr::V6(v6.ip())),
        _ => None,
    }
}

/// The name of an interface, as the kernel prints it.
type Device = Vec<u8>;

/// Finds the device of a line that is a default route.
type Parse = fn(&[u8]) -> Option<&[u8]>;

/// The devices that the default routes in a file of /proc use; `None` where it cannot be read
/// to its end.
fn devices(path: &str, parse: Parse) -> Option<Vec<Device>> {
    match file::read(path, ROUTES_BYTES_MAX) {
        Ok((text, true)) => Some(default_devices(&text, parse)),
        _ => None,
    }
}

/// The devices for which `parse` finds a default route, each once.
fn default_devices(text: &[u8], parse: Parse) -> Vec<Device> {
    let mut devices = Vec::<Device>::new();
    for device in lines(text).filter_map(parse) {
        if devices.len() < ADDRS_MAX && !devices.iter().any(|known| known == device) {
            devices.push(device.to_vec());
        }
    }
    devices
}

/// The device of a line of /proc/net/route that is a default route. The mask is in the byte
/// order of the machine, so only its ones are counted: none, or one for a half.
fn v4_default(line: &[u8]) -> Option<&[u8]> {
    let mut fields = Words(line);
    let device = fields.next()?;
    let flags = number(fields.nth(2)?, 16)?;
    let mask = number(fields.nth(3)?, 16)?;
    (is_usable(flags, device) && mask.count_ones() <= 1).then_some(device)
}

/// The device of a line of /proc/net/ipv6_route that is a default route, for whatever source:
/// OpenWrt's hold for the delegated prefix only.
fn v6_default(line: &[u8]) -> Option<&[u8]> {
    let mut fields = Words(line);
    let bits = number(fields.nth(1)?, 16)?;
    let flags = number(fields.nth(6)?, 16)?;
    let device = fields.next()?;
    // 2000::/3 is all that is assigned.
    (is_usable(flags, device) && bits <= 3).then_some(device)
}

fn is_usable(flags: u64, device: &[u8]) -> bool {
    flags & (ROUTE_UP | ROUTE_REJECT) == ROUTE_UP && device != b"lo"
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::{Ipv4Addr, Ipv6Addr};

    const V4: &str = "\
Iface\tDestination\tGateway \tFlags\tRefCnt\tUse\tMetric\tMask\t\tMTU\tWindow\tIRTT
eth0\t00000000\t010200C0\t0003\t0\t0\t0\t00000000\t0\t0\t0
eth0\t000200C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
br-lan\t0001A8C0\t00000000\t0001\t0\t0\t0\t00FFFFFF\t0\t0\t0
";

    const V6: &str = "\
fd000000000000000000000000000000 40 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000100 00000001 00000000 00000001 eth0
fe800000000000000000000000000000 40 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000100 00000002 00000000 00000001 eth0
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
    fd000000000000000000000000000001 00000400 00000002 00000000 00000003 eth0
00000000000000000000000000000001 80 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000000 00000002 00000000 80200001 lo
fd000000000000000000000000000002 80 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000000 00000003 00000000 80200001 eth0
ff000000000000000000000000000000 08 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 00000100 00000003 00000000 00000001 br-lan
00000000000000000000000000000000 00 00000000000000000000000000000000 00 \
    00000000000000000000000000000000 ffffffff 00000001 00000000 00200200 lo
";

    #[test]
    fn default_routes_are_found_in_the_tables_of_a_real_system() {
        assert_eq!(default_devices(V4.as_bytes(), v4_default), [b"eth0"]);
        assert_eq!(default_devices(V6.as_bytes(), v6_default), [b"eth0"]);
    }

    #[test]
    fn a_default_route_for_one_source_prefix_counts() {
        let line = "00000000000000000000000000000000 00 20010db8000100000000000000000000 38 \
                    fe800000000000000000000000000001 00000200 00000001 00000000 00000003 wan6";
        assert_eq!(v6_default(line.as_bytes()), Some(&b"wan6"[..]));
    }

    #[test]
    fn halves_of_the_internet_count_in_either_byte_order() {
        let v4 = |mask| format!("tun0\t00000080\t0100080A\t0003\t0\t0\t0\t{mask}\t0\t0\t0");
        assert_eq!(v4_default(v4("00000080").as_bytes()), Some(&b"tun0"[..]));
        assert_eq!(v4_default(v4("80000000").as_bytes()), Some(&b"tun0"[..]));
        assert_eq!(v4_default(v4("000000C0").as_bytes()), None);
        let zeros = "0".repeat(32);
        let v6 = |bits, flags| {
            format!(
                "2{} {bits} {zeros} 00 {zeros} 400 1 0 {flags} wg0",
                &zeros[1..]
            )
        };
        assert_eq!(
            v6_default(v6("03", "00000001").as_bytes()),
            Some(&b"wg0"[..])
        );
        assert_eq!(v6_default(v6("04", "00000001").as_bytes()), None);
        assert_eq!(v6_default(v6("03", "00000201").as_bytes()), None);
    }

    #[test]
    fn routes_that_are_down_or_reject_are_none() {
        assert_eq!(
            v4_default(b"wan\t00000000\t010200C0\t0002\t0\t0\t0\t00000000\t0\t0\t0"),
            None
        );
        assert_eq!(
            v4_default(b"*\t00000000\t00000000\t0200\t0\t0\t0\t00000000\t0\t0\t0"),
            None
        );
        for line in [
            "",
            "eth0",
            "eth0 0 0",
            "Iface Destination Gateway Flags a b c Mask",
            "é ü",
        ] {
            assert_eq!(v4_default(line.as_bytes()), None);
            assert_eq!(v6_default(line.as_bytes()), None);
        }
    }

    fn entry(name: &str, addr: IpAddr, mask: IpAddr) -> InterfaceAddress {
        let storage = |ip: IpAddr| Some(SockaddrStorage::from(std::net::SocketAddr::new(ip, 0)));
        InterfaceAddress {
            interface_name: name.to_owned(),
            flags: InterfaceFlags::IFF_UP,
            address: storage(addr),
            netmask: storage(mask),
            broadcast: None,
            destination: None,
        }
    }

    #[test]
    fn a_default_route_of_either_family_makes_the_interface_the_outside() {
        let v4 = entry("wan:1", [192, 0, 2, 9].into(), [255, 255, 255, 0].into());
        let v6 = entry(
            "wan",
            Ipv6Addr::LOCALHOST.into(),
            Ipv6Addr::from_bits(!0 << 64).into(),
        );
        let (wan, none) = ([b"wan".to_vec()], []);
        for (v4_devices, v6_devices, outside) in [
            (&wan[..], &none[..], true),
            (&none, &wan, true),
            (&none, &none, false),
        ] {
            for (entry, bits) in [(&v4, 24), (&v6, 64)] {
                let found = interface(entry, Some(v4_devices), Some(v6_devices)).unwrap();
                assert_eq!((found.name.as_str(), found.bits), ("wan", bits));
                assert_eq!(found.default_route, outside);
            }
        }
    }

    #[test]
    fn an_unreadable_table_makes_its_family_the_outside() {
        let lan = entry("br-lan", [192, 168, 1, 1].into(), [255, 255, 255, 0].into());
        assert!(interface(&lan, None, Some(&[])).unwrap().default_route);
        assert!(!interface(&lan, Some(&[]), None).unwrap().default_route);
        assert_eq!(devices("/nonexistent", v4_default), None);
        assert_eq!(devices("/dev/zero", v4_default), None);
    }

    #[test]
    fn an_address_without_a_mask_stands_alone() {
        let mut lone = entry(
            "ppp0",
            Ipv4Addr::new(10, 0, 0, 1).into(),
            [0, 0, 0, 0].into(),
        );
        lone.netmask = None;
        assert_eq!(interface(&lone, Some(&[]), Some(&[])).unwrap().bits, 32);
        lone.address = None;
        assert_eq!(interface(&lone, Some(&[]), Some(&[])), None);
    }

    #[test]
    fn this_machine_has_a_loopback_interface() {
        let found = interfaces();
        let local = found
            .iter()
            .find(|interface| interface.addr.is_loopback())
            .unwrap();
        assert!(local.name == "lo" && !local.default_route);
    }
}
