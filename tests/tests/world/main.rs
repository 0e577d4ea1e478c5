//! The seeded world: thousands of callbacks between the real cores and model parties, over a network that loses,
//! doubles, delays and reorders, in virtual time. After every step the promises are held against what happened.
//!
//! A failure prints the seed of its world; `DUOGATE_WORLD_SEED=… cargo nextest run -p duogate-tests --test world
//! replay` runs that world again, step by step the same; `DUOGATE_WORLD_COUNT=…` runs as many from there on.

mod acting;
mod application;
mod audit;
mod crashes;
mod gateway;
mod model;
mod moments;
mod network;
mod party;
mod random;
mod streams;
mod text;

use model::{CALLBACKS, Mutation, World};

/// Worlds in each of the four tests: together 2,400 callbacks, less those that are refused.
const WORLDS: u64 = 24;

fn run(seed: u64, mutation: Mutation) -> Result<World, String> {
    let mut world = World::new(seed, mutation);
    world.run()?;
    Ok(world)
}

#[expect(clippy::print_stdout, reason = "figures, for whoever asks for the output of tests that passed")]
fn worlds(first: u64) {
    let (mut resources, mut connected, mut packets) = (0, 0, 0);
    let (mut survived, mut acts, mut refused) = (0, 0, 0);
    for seed in first..first + WORLDS {
        match run(seed, Mutation::None) {
            Ok(world) => {
                resources += world.audit.accounts.len();
                connected += world.audit.connected;
                packets += world.audit.packets;
                survived += world.streams.survived;
                acts += world.audit.acts;
                refused += world.audit.acts_refused;
            }
            Err(broken) => panic!("{broken}"),
        }
    }
    println!("{resources} callbacks, {connected} connected, {packets} packets heard");
    println!("{survived} streams survived, {acts} actions, {refused} refused");
    // A world in which nothing happens proves nothing.
    assert!(resources * 10 > usize::try_from(WORLDS).expect("small") * CALLBACKS * 8);
    assert!(connected * 6 > resources as u64 && packets > 10_000 && survived > 10);
    assert!(acts > 200 && refused > 200);
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
    let mutations = [
        Mutation::NoBye,
        Mutation::NoAck,
        Mutation::NoCancel,
        Mutation::DoubleEvent,
        Mutation::LostEvent,
        Mutation::NoClose,
        Mutation::Leak,
        Mutation::NoTimers,
        Mutation::NoPages,
        Mutation::NoBeginning,
        Mutation::OtherPorts,
    ];
    for mutation in mutations {
        let broken = (1..20).find_map(|seed| run(seed, mutation).err());
        let broken = broken.unwrap_or_else(|| panic!("{mutation:?} was not noticed"));
        println!("{mutation:?}: {}", broken.lines().next().unwrap_or_default());
    }
}
