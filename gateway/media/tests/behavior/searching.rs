//! Keys that are heard as tones are told once, whatever becomes of the packets, and only where they are looked for.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;

use crate::support::{PACKET, Speech, Table, World, far_end, limits};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

/// What this gateway itself sends to a party without telephone-events: a packet each 20 ms.
fn tones(keys: &str) -> Vec<Vec<u8>> {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    let far_end = FarEnd { telephone_event: None, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end });
    world.dial(session, Party::One, 1, keys);
    world.pass(Duration::from_secs(2));
    world.heard(session, Party::One).into_iter().map(|packet| packet[12..].to_vec()).collect()
}

/// Two joined parties; party 1's keys are looked for in its sound, if asked.
fn joined(search: bool) -> (World, Session) {
    let mut world = World::with_table(limits(), Table::with_taps(true));
    let session = world.pair(BOTH);
    search_for(&mut world, session, search);
    world.command(Command::Join { session });
    (world, session)
}

fn search_for(world: &mut World, session: Session, in_band: bool) {
    let far_end = FarEnd { telephone_event: None, in_band, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end });
}

/// Party 1 sends this sound, without the packets for which `lost` is true. A pause follows.
fn say(world: &mut World, session: Session, sound: &[Vec<u8>], lost: impl Fn(usize) -> bool) {
    // A sender of its own each time.
    let ssrc = u32::try_from(world.now.nanoseconds() % 1_000_000_007).unwrap();
    let mut speech = Speech::new(ssrc, 65_530, 0xffff_ff00);
    for (number, payload) in sound.iter().chain(&vec![vec![0xd5; 160]; 15]).enumerate() {
        let mut bytes = Speech { length: payload.len(), ..speech.next() }.bytes();
        bytes[12..].copy_from_slice(payload);
        if !lost(number) {
            world.arrive(session, Party::One, bytes).unwrap();
        }
        world.pass(PACKET);
    }
}

fn pressed(world: &mut World) -> Vec<(Party, char, u16)> {
    let told = world.events.iter().filter_map(|event| match event {
        Event::Pressed { party, key, milliseconds, .. } => Some((*party, key.sign(), *milliseconds)),
        _ => None,
    });
    let told = told.collect();
    world.events.clear();
    told
}

fn keys(world: &mut World) -> String {
    pressed(world).into_iter().map(|(_, key, _)| key).collect()
}

#[test]
fn tones_are_told_as_keys_and_go_on_to_the_other_party_as_they_came() {
    let (mut world, session) = joined(true);
    let sound = tones("15#");
    say(&mut world, session, &sound, |_| false);
    let told = pressed(&mut world);
    let expected = ['1', '5', '#'].map(|key| (Party::One, key));
    assert_eq!(told.iter().map(|(party, key, _)| (*party, *key)).collect::<Vec<_>>(), expected);
    assert!(told.iter().all(|(_, _, milliseconds)| (90..=115).contains(milliseconds)), "{told:?}");
    let heard: Vec<Vec<u8>> =
        world.heard(session, Party::Two).into_iter().map(|packet| packet[12..].to_vec()).collect();
    assert_eq!(heard[..sound.len()], sound);
}

#[test]
fn each_press_is_told_once_whichever_packets_are_lost() {
    let sound = tones("77");
    for first in 0..sound.len() {
        let (mut world, session) = joined(true);
        say(&mut world, session, &sound, |number| number == first || number == first + 1);
        assert_eq!(keys(&mut world), "77", "without {first} and the next");
    }
}

#[test]
fn a_press_whose_end_never_comes_is_told_all_the_same() {
    let (mut world, session) = joined(true);
    say(&mut world, session, &tones("9"), |number| number > 4);
    world.pass(Duration::from_millis(300));
    assert_eq!(keys(&mut world), "9");
}

#[test]
fn tones_are_sound_where_nobody_looks_for_keys() {
    let (mut world, session) = joined(false);
    say(&mut world, session, &tones("15"), |_| false);
    assert_eq!(keys(&mut world), "");
    search_for(&mut world, session, true);
    say(&mut world, session, &tones("15"), |_| false);
    assert_eq!(keys(&mut world), "15", "from now on");
    search_for(&mut world, session, false);
    say(&mut world, session, &tones("15"), |_| false);
    assert_eq!(keys(&mut world), "", "and no longer");
}

#[test]
fn a_direction_that_is_searched_stays_off_the_path_and_the_other_one_takes_it() {
    let (mut world, session) = joined(true);
    world.chat(session, Party::One, &mut Speech::new(1, 1, 1), 5);
    world.chat(session, Party::Two, &mut Speech::new(2, 1, 1), 5);
    assert!(!world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    search_for(&mut world, session, false);
    world.chat(session, Party::One, &mut Speech::new(1, 6, 801), 5);
    assert!(world.is_on(session, Party::One));
    search_for(&mut world, session, true);
    assert!(!world.is_on(session, Party::One), "at once");
}
