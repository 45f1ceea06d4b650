//! resolv.conf: two of them, one behind the other, say what both say, and what they say keeps the
//! bounds of glibc.

use anklet::config::dns::DnsSettings;
use anklet::config::files::parse_resolv_conf;

use super::chosen;

/// The most lines that are worth a warning.
const FAULTS_MAX: usize = 8;

pub fn target(data: &[u8]) {
    let Some((choice, text)) = chosen(data) else {
        return;
    };
    let mut settings = DnsSettings::default();
    let faults = parse_resolv_conf(text, &mut settings, scopes);
    are_sound(&settings);
    assert!(faults.len() <= FAULTS_MAX);
    let lines = text.split(|byte| *byte == b'\n').count();
    assert!(faults.iter().all(|(line, _)| (1..=lines).contains(line)));
    assert!(faults.is_sorted_by(|one, other| one.0 < other.0));
    let at = text.len() * usize::from(choice) / 256;
    let (first, second) = text.split_at(at);
    let (mut pieces, mut joined) = (DnsSettings::default(), DnsSettings::default());
    let faults = [first, second].map(|text| parse_resolv_conf(text, &mut pieces, scopes).len());
    let text = [first, b"\n", second].concat();
    let all = parse_resolv_conf(&text, &mut joined, scopes).len();
    assert_eq!(format!("{pieces:?}"), format!("{joined:?}"));
    assert_eq!(all, faults.iter().sum::<usize>().min(FAULTS_MAX));
}

fn are_sound(settings: &DnsSettings) {
    assert!(settings.servers.len() <= 3 && settings.search.len() <= 6);
    assert!(settings.servers.iter().all(|server| server.port() == 53));
    assert!(settings.ndots <= 15 && (1..=5).contains(&settings.attempts));
    assert!((1_000..=30_000).contains(&settings.timeout_ms));
    for domain in &settings.search {
        assert!((1..=253).contains(&domain.len()));
        assert!(!domain.iter().any(u8::is_ascii_uppercase));
    }
}

/// One interface has a number.
fn scopes(name: &str) -> Option<u32> {
    (name == "lo").then_some(1)
}
