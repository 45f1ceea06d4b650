//! A soak: all protocols at once, with all sizes, lifetimes and ends, for as long as one likes.
//!
//! One thread plays clients, targets and remotes; every byte is compared, and at the end the proxy
//! is back to what it was. `make soak MINUTES=60` runs it for an hour and prints its figures; a few
//! seconds of it are in the suite.
//!
//! ```text
//! mod.rs      how long, how many at once, what is asked of the proxy at the end
//! world.rs    what clients ask for: targets, names, a remote that echoes
//! draw.rs     draws what a client is going to do
//! tunnel.rs   a client of TCP, its replies and its target; end.rs is one end of a stream
//! udp.rs      a client with an association
//! figures.rs  what is measured, and the table of it
//! ```

mod draw;
mod end;
mod figures;
mod tunnel;
mod udp;
mod world;

use std::time::{Duration, Instant};
use std::{env, thread};

use fastrand::Rng;
use nix::sys::signal::Signal;

use self::draw::Plan;
use self::figures::Figures;
use self::tunnel::Tunnel;
use self::udp::Association;
use self::world::{STRANGER, World};
use crate::support::{Proxy, is_emulated, is_error_lost, note, wait_until};

/// Clients at once.
const CLIENTS_MAX: usize = 32;
/// Between two rounds over all clients, so that the load leaves the machine to others.
const ROUND: Duration = Duration::from_millis(2);
/// Between two clients that begin.
const BEGIN_EVERY: Duration = Duration::from_millis(20);
/// Signals come this often, HUP and USR1 by turns.
const SIGNAL_EVERY: Duration = Duration::from_secs(3);

/// Memory may be so much above the most while it could grow: the places for sixteen of the longest
/// datagrams, which seldom come together, and buffers that the allocator keeps.
const MEMORY_SLACK_KIB: i64 = 1025 + 256;

#[test]
fn a_few_seconds_of_everything_leave_nothing_behind() {
    if is_error_lost() {
        return;
    }
    soak(Duration::from_secs(4));
}

/// Run by `make soak`, which says for how long.
#[test]
#[ignore = "takes as long as one likes: make soak MINUTES=60"]
fn hours_of_everything_leave_nothing_behind() {
    let minutes = env::var("ANKLET_SOAK_MINUTES").unwrap_or_default();
    let minutes: f64 = minutes.parse().expect("a number of minutes");
    let figures = soak(Duration::from_secs_f64(minutes * 60.0));
    note(&figures.to_string());
}

/// Loads a proxy for that time, and looks at what is left.
fn soak(time: Duration) -> Figures {
    let seed = fastrand::u64(..);
    println!("seed {seed}");
    let mut world = World::new(time);
    let options = world.options();
    let options: Vec<&str> = options.iter().map(String::as_str).collect();
    let proxy = Proxy::start(&options);
    world.proxy = proxy.addr;
    let base = proxy.idle_descriptors();
    let mut load = Load {
        proxy,
        world,
        rng: Rng::with_seed(seed),
        clients: Vec::new(),
        figures: Figures::new(time),
        signals: 0,
        begun: Instant::now(),
    };
    load.run(time);
    load.is_back_to_base(base);
    load.figures
}

/// A client of either kind.
enum Client {
    Tunnel(Box<Tunnel>),
    Association(Box<Association>),
}

/// The proxy, and all who use it.
struct Load {
    proxy: Proxy,
    world: World,
    rng: Rng,
    clients: Vec<Client>,
    figures: Figures,
    signals: u32,
    /// When the last client began.
    begun: Instant,
}

impl Load {
    /// Clients begin for that time, and then end.
    fn run(&mut self, time: Duration) {
        let start = Instant::now();
        while start.elapsed() < time || !self.clients.is_empty() {
            if start.elapsed() < time {
                self.begin();
                self.signal(start.elapsed());
                self.figures.sample(start.elapsed(), &self.proxy);
            }
            self.accept();
            self.world.echo();
            self.step();
            thread::sleep(ROUND);
        }
    }

    /// One more client begins, if there is room.
    fn begin(&mut self) {
        if self.clients.len() >= CLIENTS_MAX || self.begun.elapsed() < BEGIN_EVERY {
            return;
        }
        self.begun = Instant::now();
        self.clients
            .push(match draw::plan(&mut self.rng, &mut self.world) {
                Plan::Tunnel(script) => Client::Tunnel(Box::new(Tunnel::new(*script, &self.world))),
                Plan::Association(count) => Client::Association(Box::new(Association::new(
                    count,
                    &mut self.rng,
                    &self.world,
                ))),
            });
    }

    /// HUP and USR1 by turns.
    fn signal(&mut self, elapsed: Duration) {
        if elapsed < SIGNAL_EVERY * (self.signals + 1) {
            return;
        }
        self.signals += 1;
        let signals = [Signal::SIGHUP, Signal::SIGUSR1];
        self.proxy.signal(signals[self.signals as usize % 2]);
    }

    /// Targets take the connections that the proxy makes to them. A client may have given up.
    fn accept(&mut self) {
        while let Some((number, stream)) = self.world.accept() {
            let wanted = self.clients.iter_mut().find_map(|client| match client {
                Client::Tunnel(tunnel) => tunnel.waits_for(number).then_some(tunnel),
                Client::Association(_) => None,
            });
            if let Some(tunnel) = wanted {
                tunnel.connected(stream);
            }
        }
    }

    /// Every client does what it can.
    fn step(&mut self) {
        let Self {
            clients,
            figures,
            world,
            ..
        } = self;
        clients.retain_mut(|client| match client {
            Client::Tunnel(tunnel) => !tunnel.step(figures),
            Client::Association(association) => !association.step(world, figures),
        });
    }

    /// Descriptors, memory and sessions are what they were, and nothing was worth a warning.
    fn is_back_to_base(&mut self, base: usize) {
        wait_until("the descriptors to be given back", || {
            self.proxy.descriptors() == base
        });
        let sessions = &self.proxy.report()["limits"]["sessions"]["used"];
        assert_eq!(sessions.number(), 0);
        let report = self.proxy.log_text();
        // Wrong passwords may be worth a line.
        let stranger = draw::source(STRANGER).to_string();
        for line in report.lines().filter(|line| !line.contains(&stranger)) {
            // An emulator's arguments cannot be overwritten.
            if is_emulated() && line.contains("process list") {
                continue;
            }
            let is_bad = line.contains("WARN") || line.contains("ERROR");
            assert!(!is_bad, "{line}");
        }
        self.figures.last(&self.proxy);
        let (memory, bound) = self.figures.memory();
        if !is_emulated() {
            let bound = bound + MEMORY_SLACK_KIB;
            assert!(
                memory <= bound,
                "{memory} KiB, not {bound}:\n{}",
                self.figures
            );
        }
    }
}
