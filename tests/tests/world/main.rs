//! The seeded world: thousands of callbacks between the real cores and model parties, over a network that loses,
//! doubles, delays and reorders, in virtual time. After every step the promises are held against what happened.
//!
//! The parties answer in every way of RFC 3261 and its kin: they ring reliably, fork, redirect, ask who calls, want their
//! sessions refreshed, hold, die; trunks die and come back, and names lead elsewhere.
//!
//! A failure prints the seed of its world and the story of its call; `DUOGATE_WORLD_SEED=… cargo nextest run -p duogate-tests --test world
//! replay` runs that world again, step by step the same; `DUOGATE_WORLD_COUNT=…` runs as many from there on,
//! and `DUOGATE_WORLD_STORY=…` tells of another Call-ID or name.

mod acting;
mod application;
mod audit;
mod crashes;
mod dialogs;
mod digesting;
mod duties;
mod gateway;
mod manners;
mod model;
mod moments;
mod mutation;
mod network;
mod party;
mod random;
mod script;
mod servers;
mod streams;
mod text;

use model::{CALLBACKS, World};
use mutation::{MUTATIONS, Mutation};

/// Worlds in each of the four tests: together 5,500 callbacks, less those that are refused.
const WORLDS: u64 = 55;

fn run(seed: u64, mutation: Mutation) -> Result<World, String> {
    let mut world = World::new(seed, mutation);
    world.run()?;
    Ok(world)
}

/// What happened in some worlds.
#[derive(Default, Debug)]
struct Figures {
    resources: u64,
    connected: u64,
    packets: u64,
    survived: u64,
    acts: u64,
    refused: u64,
    logins: u64,
    redirects: u64,
    pracks: u64,
    refreshes: u64,
    expired: u64,
    skipped: u64,
    taken_over: u64,
}

impl Figures {
    fn add(&mut self, world: &World) {
        let (audit, duties) = (&world.audit, &world.duties);
        self.resources += audit.accounts.len() as u64;
        self.connected += audit.connected;
        self.packets += audit.packets;
        self.survived += world.streams.survived;
        self.acts += audit.acts;
        self.refused += audit.acts_refused;
        self.logins += duties.logins;
        self.redirects += duties.redirects;
        self.pracks += duties.pracks;
        self.refreshes += audit.refreshes;
        self.expired += audit.expired;
        self.taken_over += world.taken_over;
        let trunks = world.endpoint.trunk_figures(world.clock());
        self.skipped += trunks.iter().map(|trunk| trunk.skipped).sum::<u64>();
    }

    /// A world in which nothing happens proves nothing.
    fn are_rich(&self) -> bool {
        let most = WORLDS * CALLBACKS as u64;
        let patterns = [self.logins, self.redirects, self.pracks, self.refreshes, self.skipped];
        self.resources * 10 > most * 9
            && self.connected * 6 > self.resources
            && self.packets > 20_000
            && self.survived > 10
            && self.acts > 200
            && self.refused > 200
            && self.expired > 3
            && self.taken_over > 10
            && patterns.iter().all(|count| *count > 50)
    }
}

#[expect(clippy::print_stdout, reason = "figures, for whoever asks for the output of tests that passed")]
fn worlds(first: u64) {
    let mut figures = Figures::default();
    for seed in first..first + WORLDS {
        match run(seed, Mutation::None) {
            Ok(world) => figures.add(&world),
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{figures:?}");
    assert!(figures.are_rich(), "{figures:?}");
}

#[test]
fn promises_hold_in_worlds_1() {
    worlds(1_000);
}

#[test]
fn promises_hold_in_worlds_2() {
    worlds(2_000);
}

#[test]
fn promises_hold_in_worlds_3() {
    worlds(3_000);
}

#[test]
fn promises_hold_in_worlds_4() {
    worlds(4_000);
}

#[test]
fn replay() {
    let number = |name, default| std::env::var(name).map_or(default, |text| text.parse().expect("a number"));
    let seed: u64 = number("DUOGATE_WORLD_SEED", 1);
    for seed in seed..seed + number("DUOGATE_WORLD_COUNT", 1) {
        if let Err(broken) = run(seed, Mutation::None) {
            panic!("{broken}");
        }
    }
}

#[test]
fn a_seed_makes_the_same_world_twice() {
    let figures = |seed| {
        run(seed, Mutation::None)
            .map(|world| (world.audit.reports, world.audit.packets, world.audit.connected))
    };
    assert_eq!(figures(7), figures(7));
    assert_ne!(figures(7), figures(8));
}

#[test]
fn every_fault_that_is_put_in_is_noticed() {
    for mutation in MUTATIONS {
        let broken = (1..20).find_map(|seed| run(seed, mutation).err());
        let broken = broken.unwrap_or_else(|| panic!("{mutation:?} was not noticed"));
        println!("{mutation:?}: {}", broken.lines().next().unwrap_or_default());
    }
}
