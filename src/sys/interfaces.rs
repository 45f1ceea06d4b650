//! The addresses of this machine's interfaces, and which interfaces lead to the Internet.
//!
//! Asks rtnetlink(7) for IPv4 and reads three files of /proc; decides nothing. getifaddrs(3) tells
//! the same with six times the code, and without an end where an emulator garbles an attribute.
//! [`Interface::default_route`] makes the difference between the inside, whose subnets are served
//! without credentials, and the outside, so every doubt here makes an interface the outside:
//!
//! - A default route of one family counts for both. An uplink often has only one of the two
//!   (IPv6 comes through a tunnel, or its router advertisement has expired), and judged by
//!   family its other prefix, with the provider's other customers in it, would be inside.
//! - Halves of the Internet (0.0.0.0/1, 2000::/3) count: VPNs route it in such pieces.
//! - If a file cannot be read, every interface counts.
//!
//! The price: a subnet taken for the outside is not refused as a destination by
//! that reason. The router's own addresses and the private ranges are refused all the same.

use std::net::{IpAddr, Ipv6Addr};
use std::os::fd::AsRawFd;

use nix::errno::Errno;
use nix::libc;
use nix::sys::socket::{
    AddressFamily, MsgFlags, SockFlag, SockProtocol, SockType, recv, send, socket,
};

use super::file::{self, Words, lines};
use crate::state::access::Interface;
use crate::wire::number;

/// The most addresses that are read: a router has some ten, and each costs two rules.
const ADDRS_MAX: usize = 256;

/// The most bytes that are read of a table of routes, some 7,000 lines.
const ROUTES_BYTES_MAX: usize = 1 << 20;

/// RTF_UP and RTF_REJECT of <linux/route.h>.
const ROUTE_UP: u64 = 0x1;
const ROUTE_REJECT: u64 = 0x200;

/// Room for one piece of the kernel's answer, which is the size of a page or of the room.
const NETLINK_BYTES: usize = 8192;

/// The most pieces of an answer: some fifty addresses are in one.
const ANSWERS_MAX: usize = 64;

/// The addresses of the interfaces, 256 at most. Empty if they cannot be read: there is always a
/// loopback one, so the caller can tell.
pub fn interfaces() -> Vec<Interface> {
    let v4 = devices("/proc/net/route", v4_default);
    let v6 = devices("/proc/net/ipv6_route", v6_default);
    let Ok(mut addrs) = v4_addrs() else {
        return Vec::new();
    };
    // A kernel without IPv6 has no such file.
    if let Ok((text, _)) = file::read("/proc/net/if_inet6", ROUTES_BYTES_MAX) {
        addrs.extend(lines(&text).filter_map(v6_addr));
    }
    addrs.truncate(ADDRS_MAX);
    addrs
        .into_iter()
        .map(|addr| interface(addr, v4.as_deref(), v6.as_deref()))
        .collect()
}

/// An address as the kernel tells it.
#[derive(Debug, PartialEq, Eq)]
struct Addr {
    /// The interface's name.
    name: Vec<u8>,
    addr: IpAddr,
    /// The length of the prefix.
    bits: u8,
}

/// NLM_F_REQUEST and NLM_F_DUMP, which have 16 bits in a message, and AF_INET, which has 8.
const REQUEST_DUMP: u16 = 0x301;
const AF_INET: u8 = 2;
const _: () = assert!(REQUEST_DUMP as i32 == libc::NLM_F_REQUEST | libc::NLM_F_DUMP);
const _: () = assert!(AF_INET as i32 == libc::AF_INET);

/// The IPv4 addresses (RTM_GETADDR).
fn v4_addrs() -> Result<Vec<Addr>, Errno> {
    let route = socket(
        AddressFamily::Netlink,
        SockType::Raw,
        SockFlag::SOCK_CLOEXEC,
        SockProtocol::NetlinkRoute,
    )?;
    // struct nlmsghdr and struct ifaddrmsg, of which the family is all that is read.
    let mut question = [0; 24];
    question[..4].copy_from_slice(&24u32.to_ne_bytes());
    question[4..6].copy_from_slice(&libc::RTM_GETADDR.to_ne_bytes());
    question[6..8].copy_from_slice(&REQUEST_DUMP.to_ne_bytes());
    question[16] = AF_INET;
    send(route.as_raw_fd(), &question, MsgFlags::empty())?;
    let mut addrs = Vec::new();
    let mut room = [0; NETLINK_BYTES];
    for _ in 0..ANSWERS_MAX {
        let len = recv(route.as_raw_fd(), &mut room, MsgFlags::MSG_DONTWAIT)?;
        let mut rest = &room[..len];
        while let [a, b, c, d, e, f, ..] = *rest {
            let Some(message) = split(&mut rest, u32::from_ne_bytes([a, b, c, d]) as usize) else {
                break;
            };
            match u16::from_ne_bytes([e, f]) {
                libc::RTM_NEWADDR => addrs.extend(v4_addr(message)),
                // NLMSG_DONE, or an error.
                _ => return Ok(addrs),
            }
        }
    }
    Ok(addrs)
}

/// One message with an address: 16 bytes of header, family, length of the prefix, six bytes more,
/// and attributes. IFA_LOCAL is the own end where there is a peer.
fn v4_addr(message: &[u8]) -> Option<Addr> {
    let (bits, mut rest) = (message.get(17)?, message.get(24..)?);
    let (mut name, mut addr) = (None, None);
    while let [a, b, c, d, ..] = *rest {
        let attribute = split(&mut rest, u16::from_ne_bytes([a, b]).into());
        let Some(value) = attribute.and_then(|attribute| attribute.get(4..)) else {
            break;
        };
        match u16::from_ne_bytes([c, d]) {
            libc::IFA_LOCAL => addr = value.first_chunk::<4>(),
            // The interface's name, or one made of it: "br-lan:1".
            libc::IFA_LABEL => name = value.split(|byte| matches!(byte, b':' | 0)).next(),
            _ => {}
        }
    }
    Some(Addr {
        name: name?.to_vec(),
        addr: IpAddr::from(*addr?),
        bits: *bits,
    })
}

/// Takes the first `len` bytes of a netlink answer, whose pieces start at multiples of four.
/// `None` if there are fewer, or if `len` is 0.
fn split<'a>(rest: &mut &'a [u8], len: usize) -> Option<&'a [u8]> {
    let piece = rest.get(..len).filter(|piece| !piece.is_empty())?;
    *rest = rest.get(len.next_multiple_of(4)..).unwrap_or_default();
    Some(piece)
}

/// The address in a line of /proc/net/if_inet6.
fn v6_addr(line: &[u8]) -> Option<Addr> {
    let mut fields = Words(line);
    let (high, low) = fields.next()?.split_at_checked(16)?;
    let addr = u128::from(number(high, 16)?) << 64 | u128::from(number(low, 16)?);
    let bits = number(fields.nth(1)?, 16)?;
    Some(Addr {
        name: fields.nth(2)?.to_vec(),
        addr: Ipv6Addr::from_bits(addr).into(),
        bits: u8::try_from(bits).ok()?,
    })
}

/// One address and whether its interface leads to the Internet. `v4` and `v6` are the devices of
/// the default routes, where they are known.
fn interface(addr: Addr, v4: Option<&[Device]>, v6: Option<&[Device]>) -> Interface {
    let known = if addr.addr.is_ipv4() { v4 } else { v6 };
    let listed =
        |devices: Option<&[Device]>| devices.is_some_and(|devices| devices.contains(&addr.name));
    Interface {
        // The kernel takes any bytes; rules and listeners know those that are text.
        name: str::from_utf8(&addr.name).unwrap_or_default().to_owned(),
        addr: addr.addr,
        bits: addr.bits,
        default_route: known.is_none() || listed(v4) || listed(v6),
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

    fn addr_of(name: &str, addr: IpAddr, bits: u8) -> Addr {
        let name = name.as_bytes().to_vec();
        Addr { name, addr, bits }
    }

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

    #[test]
    fn a_default_route_of_either_family_makes_the_interface_the_outside() {
        let (wan, none) = ([b"wan".to_vec()], []);
        for (v4_devices, v6_devices, outside) in [
            (&wan[..], &none[..], true),
            (&none, &wan, true),
            (&none, &none, false),
        ] {
            for addr in [[192, 0, 2, 9].into(), IpAddr::from(Ipv6Addr::LOCALHOST)] {
                let wan = addr_of("wan", addr, 24);
                let found = interface(wan, Some(v4_devices), Some(v6_devices));
                assert_eq!((found.name.as_str(), found.bits), ("wan", 24));
                assert_eq!(found.default_route, outside);
            }
        }
    }

    #[test]
    fn an_unreadable_table_makes_its_family_the_outside() {
        let addr = || addr_of("br-lan", [192, 168, 1, 1].into(), 24);
        let lan = |v4, v6| interface(addr(), v4, v6);
        assert!(lan(None, Some(&[])).default_route);
        assert!(!lan(Some(&[]), None).default_route);
        assert_eq!(devices("/nonexistent", v4_default), None);
        assert_eq!(devices("/dev/zero", v4_default), None);
    }

    /// A message with these attributes, as the kernel would send it.
    fn message(bits: u8, attributes: &[(u16, &[u8])]) -> Vec<u8> {
        let mut message = vec![0; 24];
        message[17] = bits;
        for (kind, value) in attributes {
            let len = u16::try_from(4 + value.len()).unwrap();
            message.extend_from_slice(&len.to_ne_bytes());
            message.extend_from_slice(&kind.to_ne_bytes());
            message.extend_from_slice(value);
            message.resize(message.len().next_multiple_of(4), 0);
        }
        message
    }

    #[test]
    fn an_address_is_the_own_end_and_its_label_begins_with_the_name() {
        let peer = (libc::IFA_ADDRESS, &[10, 0, 0, 2][..]);
        let own = (libc::IFA_LOCAL, &[10, 0, 0, 1][..]);
        let label = (libc::IFA_LABEL, &b"wan:1\0"[..]);
        let found = Some(addr_of("wan", [10, 0, 0, 1].into(), 30));
        assert_eq!(v4_addr(&message(30, &[peer, own, label])), found);
        assert_eq!(v4_addr(&message(30, &[label, (9, &[]), own])), found);
        assert_eq!(v4_addr(&message(30, &[own])), None);
    }

    #[test]
    fn a_garbled_answer_ends() {
        let whole = message(
            8,
            &[
                (libc::IFA_LOCAL, &[127, 0, 0, 1]),
                (libc::IFA_LABEL, b"lo\0"),
            ],
        );
        for len in 0..whole.len() {
            v4_addr(&whole[..len]);
        }
        // An attribute of no length.
        let mut rest = &[0; 8][..];
        assert_eq!(split(&mut rest, 0), None);
        let zeros = [&whole[..], &[0; 64]].concat();
        assert!(v4_addr(&zeros).is_some());
    }

    #[test]
    fn addresses_of_ipv6_are_read_from_the_kernels_table() {
        let line = b"20010db8000100000000000000000002 0a 40 00 80   br-lan";
        let addr = "2001:db8:1::2".parse().unwrap();
        assert_eq!(v6_addr(line), Some(addr_of("br-lan", addr, 64)));
        for bad in ["", "20010db8 0a 40 00 80 br-lan", "xx", "a b c d e f"] {
            assert_eq!(v6_addr(bad.as_bytes()), None);
        }
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
