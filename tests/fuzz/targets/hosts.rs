//! Hosts files: what two have in them, one behind the other, is what both have.

use anklet::config::files::parse_hosts;

use super::chosen;

/// The most names of a file.
const NAMES_MAX: usize = 4096;

pub fn target(data: &[u8]) {
    let Some((choice, text)) = chosen(data) else {
        return;
    };
    let (hosts, is_all) = parse_hosts(text);
    assert!(hosts.len() <= NAMES_MAX);
    assert!(is_all || hosts.len() == NAMES_MAX);
    for (name, addr) in &hosts {
        assert!((1..=253).contains(&name.len()));
        assert!(name.iter().all(|byte| *byte > b' ' && *byte != 0x7f));
        assert!(!name.iter().any(u8::is_ascii_uppercase));
        assert_eq!(*addr, addr.to_canonical());
    }
    let at = text.len() * usize::from(choice) / 256;
    let (first, second) = text.split_at(at);
    let (mut both, _) = parse_hosts(first);
    both.extend(parse_hosts(second).0);
    let (joined, is_all) = parse_hosts(&[first, b"\n", second].concat());
    if is_all {
        assert_eq!(joined, both);
    }
    let commented = [text, b"\n# 1.2.3.4 nobody\nno address\n"].concat();
    assert_eq!(parse_hosts(&commented).0, hosts);
}
