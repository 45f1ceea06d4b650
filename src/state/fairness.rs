//! Who gives a place to a newcomer once a table is full.
//!
//! Whoever is alone may have the whole table. The source that has most gives a place if that is
//! more than its fair share: the table divided by the sources that have places in it, but an eighth
//! of the table at least, so that many newcomers together do not take what a few clients work with.
//! A source is a site (an IPv4 address, or an IPv6 /48, the most that a customer is given as a
//! rule: RFC 6177 §2), and inside of a site that gives a /64 is, by the same rule.

use super::prefix::ClientKey;

/// No source gives a place that has fewer than one in so many of the table.
const SHARES_MAX: usize = 8;

/// A client, or all clients of a site: neighbours in the order of their keys.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Source {
    first: ClientKey,
    last: ClientKey,
}

impl Source {
    /// The client with that key alone.
    pub fn client(key: ClientKey) -> Self {
        Self {
            first: key,
            last: key,
        }
    }

    /// The client with that key, and those of its /48.
    pub fn site(key: ClientKey) -> Self {
        let (first, last) = key.site();
        Self { first, last }
    }

    /// Returns `true` if that client is of the source.
    pub fn holds(self, key: ClientKey) -> bool {
        self.first <= key && key <= self.last
    }
}

/// Whose worst entry makes room for a newcomer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Giver {
    /// Whose it is.
    pub source: Source,
    /// The source has more than its fair share. If not, it is the newcomer's own, and gives what
    /// the newcomer may replace of what it has itself.
    pub is_above_share: bool,
}

/// The first key of a client's site: those of one site have the same.
pub fn site(client: ClientKey) -> ClientKey {
    client.site().0
}

/// Says who has to give a place to a client that wants one, in a table of `max` places which are
/// all taken. `taken` has each client's places, in the order of the keys. `None`: nobody has more
/// than the fair share, or so little more than the newcomer that they would only change places.
///
/// One pass over the clients, which allocates nothing.
pub fn giver(
    taken: &mut dyn Iterator<Item = (ClientKey, usize)>,
    newcomer: ClientKey,
    max: usize,
) -> Option<Giver> {
    let own_site = Source::site(newcomer);
    // The newcomer counts as active, whether it has a place already or not.
    let (mut sites, mut own_places) = (1, 0);
    let (mut most, mut site) = (None::<Site>, None::<Site>);
    for (key, places) in taken.filter(|(_, places)| *places > 0) {
        sites +=
            usize::from(!own_site.holds(key) && !site.is_some_and(|site| site.source.holds(key)));
        own_places += if own_site.holds(key) { places } else { 0 };
        let site = Site::of(&mut site, key);
        site.add(key, places);
        // The last of equal sites, but the newcomer's own before all others.
        let is_own = |site: &Site| site.source == own_site;
        if most.is_none_or(|most| (site.places, is_own(site)) >= (most.places, is_own(&most))) {
            most = Some(*site);
        }
    }
    let most = most?;
    let is_above_share = is_above(most.places, max, sites);
    if most.source == own_site || is_above_share && own_places + 1 < most.places {
        return Some(Giver {
            source: most.giver(),
            is_above_share,
        });
    }
    None
}

/// The source that has most, and how many its site has. `taken` as for [`giver`].
pub fn largest(taken: impl Iterator<Item = (ClientKey, usize)>) -> Option<(Source, usize)> {
    let (mut most, mut site) = (None::<Site>, None::<Site>);
    for (key, places) in taken.filter(|(_, places)| *places > 0) {
        let site = Site::of(&mut site, key);
        site.add(key, places);
        if most.is_none_or(|most| site.places >= most.places) {
            most = Some(*site);
        }
    }
    most.map(|most| (most.giver(), most.places))
}

/// Returns `true` if `places` are more than a fair share of `max`, of which each of `sources` has
/// some.
fn is_above(places: usize, max: usize, sources: usize) -> bool {
    places * sources.min(SHARES_MAX) > max
}

/// The places of a site, as far as they are counted.
#[derive(Clone, Copy, Debug)]
struct Site {
    source: Source,
    places: usize,
    clients: usize,
    /// The client that has most of them, and how many.
    largest: (ClientKey, usize),
}

impl Site {
    /// The site of a client, with nothing counted yet.
    fn new(key: ClientKey) -> Self {
        Self {
            source: Source::site(key),
            places: 0,
            clients: 0,
            largest: (key, 0),
        }
    }

    /// The site of that client: the one before, or a new one.
    fn of(before: &mut Option<Self>, key: ClientKey) -> &mut Self {
        before.take_if(|site| !site.source.holds(key));
        before.get_or_insert_with(|| Self::new(key))
    }

    fn add(&mut self, key: ClientKey, places: usize) {
        self.places += places;
        self.clients += 1;
        if places > self.largest.1 {
            self.largest = (key, places);
        }
    }

    /// Who gives a place inside of it: the client that has more of the site's places than is fair,
    /// or, if there is none, any.
    fn giver(&self) -> Source {
        let (key, places) = self.largest;
        if is_above(places, self.places, self.clients) {
            Source::client(key)
        } else {
            self.source
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeMap;
    use std::net::IpAddr;

    fn key(text: &str) -> ClientKey {
        ClientKey::from(text.parse::<IpAddr>().unwrap())
    }

    fn giver_of(taken: &[(&str, usize)], newcomer: &str, max: usize) -> Option<Giver> {
        let mut taken: Vec<_> = taken.iter().map(|(text, n)| (key(text), *n)).collect();
        taken.sort_unstable();
        giver(&mut taken.into_iter(), key(newcomer), max)
    }

    fn client(text: &str) -> Option<Giver> {
        Some(Giver {
            source: Source::client(key(text)),
            is_above_share: true,
        })
    }

    #[test]
    fn the_source_that_has_most_gives_if_it_is_above_its_share() {
        let taken = [("10.0.0.1", 900), ("10.0.0.2", 124)];
        assert_eq!(giver_of(&taken, "10.0.0.3", 1024), client("10.0.0.1"));
        // 1,024 divided by two, of which each has a half.
        let halves = [("10.0.0.1", 512), ("10.0.0.2", 512)];
        assert_eq!(giver_of(&halves, "10.0.0.3", 1024), client("10.0.0.2"));
        let thirds = [("10.0.0.1", 341), ("10.0.0.2", 341), ("10.0.0.3", 341)];
        assert_eq!(giver_of(&thirds, "10.0.0.4", 1023), client("10.0.0.3"));
        // An eighth is safe, however many come.
        let eighths: Vec<_> = ["1", "2", "3", "4", "5", "6", "7", "8"]
            .map(|last| (format!("10.0.0.{last}"), 128))
            .into();
        let eighths: Vec<_> = eighths.iter().map(|(a, n)| (a.as_str(), *n)).collect();
        assert_eq!(giver_of(&eighths, "10.0.0.9", 1024), None);
    }

    #[test]
    fn who_is_alone_or_has_most_replaces_what_it_has_itself() {
        let own = giver_of(&[("10.0.0.1", 256)], "10.0.0.1", 256).unwrap();
        assert!(own.source.holds(key("10.0.0.1")) && !own.is_above_share);
        // Equals do not take from one another.
        let taken = [("10.0.0.1", 120), ("10.0.0.2", 120), ("10.0.0.3", 16)];
        assert_eq!(giver_of(&taken, "10.0.0.1", 256), client("10.0.0.1"));
        assert_eq!(giver_of(&taken, "10.0.0.2", 256), client("10.0.0.2"));
        assert_eq!(giver_of(&taken, "10.0.0.3", 256), client("10.0.0.2"));
    }

    #[test]
    fn the_64_of_one_48_are_one_source() {
        let mut taken: Vec<_> = (0..40)
            .map(|n| (format!("2001:db8:1:{n:x}::1"), 2))
            .collect();
        taken.push(("192.0.2.1".to_owned(), 20));
        let taken: Vec<_> = taken.iter().map(|(a, n)| (a.as_str(), *n)).collect();
        let site = giver_of(&taken, "192.0.2.2", 100).unwrap();
        assert!(site.is_above_share);
        for of_site in ["2001:db8:1::1", "2001:db8:1:27::1", "2001:db8:1:ffff::"] {
            assert!(site.source.holds(key(of_site)));
        }
        for other in ["192.0.2.1", "2001:db8::", "2001:db8:2::"] {
            assert!(!site.source.holds(key(other)));
        }
    }

    #[test]
    fn inside_of_a_site_the_64_gives_that_has_more_than_is_fair() {
        let taken = [
            ("2001:db8:1:1::", 60),
            ("2001:db8:1:2::", 2),
            ("2001:db8:1:3::", 2),
        ];
        assert_eq!(giver_of(&taken, "192.0.2.2", 64), client("2001:db8:1:1::"));
        // It is the newcomer's own site: the same one gives.
        assert_eq!(
            giver_of(&taken, "2001:db8:1:2::", 64).unwrap().source,
            Source::client(key("2001:db8:1:1::"))
        );
    }

    #[test]
    fn the_largest_source_is_a_48_and_in_that_a_64_above_its_share() {
        let largest_of = |taken: &[(&str, usize)]| {
            let mut taken: Vec<_> = taken.iter().map(|(text, n)| (key(text), *n)).collect();
            taken.sort_unstable();
            largest(taken.into_iter())
        };
        let home = [("192.0.2.1", 3), ("192.0.2.2", 0)];
        let alone = Some((Source::client(key("192.0.2.1")), 3));
        assert_eq!(largest_of(&home), alone);
        let site: Vec<_> = (0..10).map(|n| format!("2001:db8:1:{n}::")).collect();
        let mut taken: Vec<_> = site.iter().map(|text| (text.as_str(), 2)).collect();
        taken.extend(home);
        let whole = Source::site(key("2001:db8:1::"));
        assert_eq!(largest_of(&taken), Some((whole, 20)));
        // Its neighbours in a home do not pay for one that has most.
        taken[4].1 = 50;
        assert_eq!(
            largest_of(&taken),
            Some((Source::client(key(&site[4])), 68))
        );
        assert_eq!(largest_of(&[]), None);
    }

    #[test]
    fn neighbouring_ipv4_addresses_are_no_site() {
        let taken = [("10.0.0.1", 40), ("10.0.0.2", 40), ("10.0.0.3", 20)];
        assert_eq!(giver_of(&taken, "10.0.0.4", 100), client("10.0.0.2"));
        assert_eq!(giver_of(&[], "10.0.0.4", 0), None);
    }

    proptest! {
        #[test]
        fn the_giver_is_that_of_the_plain_rule(
            // Sources in three /48 and among the IPv4 addresses, some of them without a place.
            places in proptest::collection::btree_map(0usize..40, 0usize..20, 0..40),
            newcomer in 0usize..40,
        ) {
            let addr = |n: usize| match n {
                0..10 => format!("192.0.2.{n}"),
                _ => format!("2001:db8:{}:{n}::", n / 10),
            };
            let site = |n: usize| if n < 10 { n } else { n / 10 * 10 };
            let mut sites = BTreeMap::from([(site(newcomer), 0)]);
            for (n, taken) in places.iter().filter(|(_, taken)| **taken > 0) {
                *sites.entry(site(*n)).or_default() += taken;
            }
            let max: usize = sites.values().sum();
            let most = *sites.values().max().unwrap();
            let own = sites[&site(newcomer)];
            let share = (max as f64 / sites.len() as f64).max(max as f64 / 8.0);
            let above = most as f64 > share;
            let texts: Vec<_> = places.iter().map(|(n, taken)| (addr(*n), *taken)).collect();
            let texts: Vec<_> = texts.iter().map(|(a, n)| (a.as_str(), *n)).collect();
            let giver = giver_of(&texts, &addr(newcomer), max);
            prop_assert_eq!(giver.is_some(), max > 0 && (own == most || above && own + 1 < most));
            if let Some(giver) = giver {
                prop_assert_eq!(giver.is_above_share, above);
                let gives = |n: &usize| giver.source.holds(key(&addr(*n)));
                let givers: Vec<_> = (0..40).filter(gives).collect();
                let from = site(givers[0]);
                prop_assert!(givers.iter().all(|n| site(*n) == from));
                prop_assert_eq!(sites[&from], most);
                prop_assert_eq!(own == most, from == site(newcomer));
                prop_assert!(givers.iter().any(|n| places.get(n).is_some_and(|n| *n > 0)));
            }
        }
    }
}
