//! A house full of tunnels, and an hour of newcomers: an office below its share loses none.

use anklet::config::Timeouts;
use anklet::net::{Millis, Net};

use crate::by_hand::{BRIEF, add_client};
use crate::clients::scenario::{Behaviour, End, Kind};
use crate::network::SimEvent;
use crate::run::{brief_pass, pass, server};
use crate::world::World;

/// The tunnels of the office, which all have one address.
const OFFICE: usize = 400;

/// The last bytes of addresses: that of the office, that of whoever has the rest of the house, and
/// the first and the number of those that newcomers have.
const OFFICE_HOST: u8 = 10;
const CROWD_HOST: u8 = 11;
const NEWCOMER_HOSTS: (u8, u8) = (20, 200);

/// How long they come, one after the other.
const HOUR_MS: Millis = 3_600_000;
const NEWCOMER_EVERY_MS: Millis = 10_000;
const NEWCOMERS: usize = 350;

/// Half of the time that a newcomer stays.
const STAY_MS: Millis = 300_000;

/// Between two sweeps over all sessions.
const SWEEP_EVERY_MS: Millis = 10_000;

/// Within this time a newcomer has its tunnel.
const SOON_MS: Millis = 50;

/// An end that does nothing.
const IDLE: Behaviour = Behaviour {
    send: 0,
    end: End::Never,
    ..BRIEF
};

/// An end that sends a byte, another one after `pause_ms`, and ends.
fn twice(pause_ms: Millis) -> Behaviour {
    Behaviour {
        send: 2,
        chunk: 1,
        pace_ms: pause_ms,
        ..BRIEF
    }
}

/// An end that ends behind the other one.
const LISTENS: Behaviour = Behaviour {
    send: 1,
    chunk: 8,
    end: End::AfterOther,
    ..BRIEF
};

/// The numbers of the office's clients are the first ones, those of the newcomers the last ones.
struct House {
    world: World,
    tunnels: usize,
}

impl House {
    /// A house with so many places for what is established. All of them are taken, and the office's
    /// tunnels carry a byte at the beginning and one behind the hour.
    fn new(established_max: usize) -> Self {
        let world = World::empty();
        world.network().odds.latency_ms = 1;
        world.set_limits(|limits| {
            (limits.sessions_max, limits.per_client_max) = (established_max + 64, None);
            (limits.openings_max, limits.established_max) = (1_024, established_max);
        });
        world.set_timeouts(Timeouts::default());
        for number in 0..established_max {
            let is_office = number < OFFICE;
            let (host, ends) = match is_office {
                true => (OFFICE_HOST, [LISTENS, twice(HOUR_MS)]),
                false => (CROWD_HOST, [IDLE, IDLE]),
            };
            add_client(&world, number, host, ends);
            let network = &mut *world.network();
            network.clients[number].scenario.kind = match is_office {
                true => Kind::Trickler,
                false => Kind::Idler,
            };
            // One after the other, as the places of those that are being opened are fewer.
            network.schedule(number as Millis / 4, SimEvent::Start(number));
        }
        Self {
            world,
            tunnels: established_max,
        }
    }

    /// Newcomers with these addresses, for an hour.
    fn expect(&self, host: impl Fn(usize) -> u8) {
        for n in 0..NEWCOMERS {
            let number = self.tunnels + n;
            add_client(&self.world, number, host(n), [LISTENS, twice(STAY_MS)]);
            let network = &mut *self.world.network();
            let start_ms = (n as Millis + 1) * NEWCOMER_EVERY_MS;
            let scenario = &mut network.clients[number].scenario;
            (scenario.kind, scenario.start_ms) = (Kind::Trickler, start_ms);
            network.schedule(start_ms, SimEvent::Start(number));
        }
    }

    /// Lets the hour pass. Each newcomer gets its tunnel soon, and the office loses none.
    fn pass_an_hour(&self) {
        let mut server = server(&self.world);
        let (mut came, mut swept_ms) = (0, 0);
        while self.world.now() < HOUR_MS + 10_000 {
            let passed = if self.world.now() < swept_ms + SWEEP_EVERY_MS {
                brief_pass(&self.world, &mut server)
            } else {
                swept_ms = self.world.now();
                pass(&self.world, &mut server)
            };
            passed.expect("no property is broken");
            let network = self.world.network();
            let Some(newcomer) = network.clients.get(self.tunnels + came) else {
                continue;
            };
            if newcomer.target.is_some() {
                came += 1;
            } else {
                let late_ms = newcomer.scenario.start_ms + SOON_MS;
                assert!(network.now < late_ms, "newcomer {came} is kept out");
            }
        }
        assert_eq!(came, NEWCOMERS);
        let network = self.world.network();
        let office = &network.clients[..OFFICE];
        let lost = office.iter().filter(|client| !client.complete).count();
        assert_eq!(lost, 0, "the office loses tunnels");
    }
}

/// A router of 256 MB, with newcomers of two hundred addresses: more of them than the eighth of
/// the house that nobody goes below.
#[test]
#[cfg_attr(debug_assertions, ignore = "takes long without optimization: make sim")]
fn an_office_below_an_eighth_of_the_house_loses_no_tunnel_in_an_hour_of_newcomers() {
    let house = House::new(3_400);
    let (first, count) = NEWCOMER_HOSTS;
    house.expect(|n| first + u8::try_from(n % usize::from(count)).expect("fewer than 200"));
    house.pass_an_hour();
}

/// A router of 64 MB with one crowd in it, which goes on coming: the office is below its half.
#[test]
fn an_office_below_half_of_the_house_loses_no_tunnel_in_an_hour_of_one_newcomer() {
    let house = House::new(1_008);
    house.expect(|_| CROWD_HOST);
    house.pass_an_hour();
}
