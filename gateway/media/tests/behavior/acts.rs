//! Prompts and keys in the place of what a party hears otherwise, and keys that parties press.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, Repeat, Source};
use duogate_channel::event::{ActionOutcome, Event};
use duogate_channel::identity::{Action, Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::DropReason;

use crate::support::{EVENT_TYPES, Listener, MILLISECOND, PACKET, Speech, World, far_end, limits, parse};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];
use Party::{One, Two};

fn ended(world: &World) -> Vec<(Party, u32, ActionOutcome)> {
    let of = |event: &Event| match event {
        Event::ActionEnded { party, action, outcome, .. } => Some((*party, action.0, *outcome)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

fn pressed(world: &World) -> Vec<(Party, char, u16)> {
    let of = |event: &Event| match event {
        Event::Pressed { party, key, milliseconds, .. } => Some((*party, key.sign(), *milliseconds)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

/// Two parties that talk, and a prompt of a second.
fn joined() -> (World, Session) {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![0x21; 8000]));
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    world.events.clear();
    (world, session)
}

/// Bytes of the sound in each packet, run-length coded.
fn heard_bytes(packets: &[Vec<u8>]) -> Vec<(u8, usize)> {
    let mut runs: Vec<(u8, usize)> = Vec::new();
    for byte in packets.iter().map(|packet| parse(packet).1[0]) {
        match runs.last_mut() {
            Some((last, count)) if *last == byte => *count += 1,
            _ => runs.push((byte, 1)),
        }
    }
    runs
}

#[test]
fn a_prompt_holds_the_other_party_back_and_then_it_is_heard_again_without_a_seam() {
    let (mut world, session) = joined();
    let (mut one, mut two) = (Speech::new(1, 100, 5000), Speech::new(2, 200, 9000));
    let talk = |world: &mut World, one: &mut Speech, two: &mut Speech, packets: usize| {
        for _ in 0..packets {
            let _ = world.say(session, One, one.next());
            let _ = world.say(session, Two, two.next());
            world.pass(PACKET);
        }
    };
    talk(&mut world, &mut one, &mut two, 10);
    world.prompt(session, One, 7, 1, Repeat::Times(1));
    talk(&mut world, &mut one, &mut two, 60);
    assert_eq!(ended(&world), [(One, 7, ActionOutcome::Finished)]);
    let heard = world.heard(session, One);
    let runs = heard_bytes(&heard);
    assert_eq!(runs.iter().map(|(byte, _)| *byte).collect::<Vec<_>>(), [0x11, 0x21, 0x11]);
    assert_eq!(runs[1].1, 50, "the whole prompt");
    let steps = Listener::default().follow(&heard);
    let markers: Vec<usize> = steps.iter().enumerate().filter(|(_, step)| step.1).map(|(at, _)| at).collect();
    assert_eq!(markers, [0, runs[0].1, runs[0].1 + 50], "a marker at each change");
    assert!(steps[1..].iter().all(|(step, _)| (160..=480).contains(step)), "{steps:?}");
    let other = world.heard(session, Two);
    assert_eq!(heard_bytes(&other), [(0x11, 70)], "the other party hears all of it");
    assert_eq!(world.core.snapshot(session.slot).unwrap().legs[0].hears, Source::Peer);
}

#[test]
fn a_prompt_that_is_stopped_ends_at_once_and_only_itself() {
    let (mut world, session) = joined();
    world.prompt(session, One, 1, 1, Repeat::Forever);
    world.pass(PACKET * 10);
    world.command(Command::PlayStop { session, party: One, action: Action(9) });
    assert_eq!(ended(&world), [], "another one");
    world.command(Command::PlayStop { session, party: One, action: Action(1) });
    assert_eq!(ended(&world), [(One, 1, ActionOutcome::Stopped)]);
    world.command(Command::PlayStop { session, party: One, action: Action(1) });
    assert_eq!(ended(&world).len(), 1);
    assert_eq!(world.core.counters().stale_commands, 0);
    world.heard(session, One);
    assert!(world.say(session, Two, Speech::new(1, 1, 1)).is_ok(), "the other party is heard again");
    world.prompt(session, One, 2, 77, Repeat::Forever);
    world.pass(PACKET * 2);
    assert_eq!(ended(&world)[1..], [(One, 2, ActionOutcome::Missing)]);
}

#[test]
fn what_is_set_meanwhile_is_heard_afterwards_and_a_sound_below_waits() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![0x21; 1600]));
    world.sounds.0.insert(2, (Codec::Pcma, (0..=255).cycle().take(16_000).collect()));
    let session = world.pair(BOTH);
    world.play(session, One, 2, Repeat::Forever);
    world.pass(PACKET * 5);
    world.prompt(session, One, 1, 1, Repeat::Times(1));
    world.pass(PACKET * 14);
    let heard = world.heard(session, One);
    let sound: Vec<u8> = heard.iter().flat_map(|packet| parse(packet).1.to_vec()).collect();
    let below: Vec<u8> = sound.iter().copied().filter(|byte| *byte != 0x21).collect();
    let expected: Vec<u8> = (0..=255).cycle().filter(|byte| *byte != 0x21).take(below.len()).collect();
    assert_eq!(below, expected, "it goes on where it stood");
    assert!(Listener::default().follow(&heard)[1..].iter().all(|(step, _)| *step >= 160));
    // Joined while a prompt plays: the prompt goes on, then the other party is heard.
    world.prompt(session, One, 2, 1, Repeat::Times(1));
    world.pass(PACKET * 3);
    world.command(Command::Join { session });
    assert_eq!(world.say(session, Two, Speech::new(1, 1, 1)), Err(DropReason::NobodyListens));
    world.pass(PACKET * 9);
    assert_eq!(ended(&world), [(One, 1, ActionOutcome::Finished), (One, 2, ActionOutcome::Finished)]);
    assert!(world.say(session, Two, Speech::new(1, 2, 161)).is_ok());
}

/// The telephone-events among packets: marker, timestamp, event, end, duration.
fn events(packets: &[Vec<u8>]) -> Vec<(bool, u32, u8, bool, u16)> {
    let event = |packet: &Vec<u8>| {
        let (header, payload) = parse(packet);
        let [code, flags, high, low] = payload.try_into().ok()?;
        let is_event = header.payload_type == EVENT_TYPES[0];
        let duration = u16::from_be_bytes([high, low]);
        is_event.then_some((header.marker, header.timestamp, code, flags & 0x80 != 0, duration))
    };
    packets.iter().filter_map(event).collect()
}

#[test]
fn keys_are_sent_as_events_within_the_stream() {
    let (mut world, session) = joined();
    let mut two = Speech::new(2, 200, 9000);
    world.talk(session, Two, &mut two, 5);
    world.dial(session, One, 3, "5#");
    for _ in 0..22 {
        let _ = world.say(session, Two, two.next());
        world.pass(PACKET);
    }
    assert_eq!(ended(&world), [(One, 3, ActionOutcome::Finished)]);
    let heard = world.heard(session, One);
    let sent = events(&heard);
    let start = sent[0].1;
    let mut expected = Vec::new();
    for (key, begin) in [(5, start), (11, start.wrapping_add(1600))] {
        for step in 1..=7_u16 {
            expected.push((step == 1, begin, key, step >= 5, step.min(5) * 160));
        }
    }
    assert_eq!(sent, expected);
    let mut ear = Listener::default();
    let steps = ear.follow(&heard);
    // The stream before, two keys, the stream after: with a marker, and time has passed.
    assert_eq!(heard.len(), 5 + 14 + 1);
    assert!(steps[19].1 && steps[19].0 >= 1600, "{:?}", steps[19]);
    assert_eq!(world.core.counters().event_packets, 14);
}

#[test]
fn a_party_without_telephone_events_hears_tones() {
    let (mut world, session) = joined();
    world.command(Command::FarEnd {
        session,
        party: One,
        far_end: FarEnd { telephone_event: None, ..far_end(One, Codec::Pcmu) },
    });
    world.dial(session, One, 3, "12");
    world.pass(PACKET * 22);
    assert_eq!(ended(&world), [(One, 3, ActionOutcome::Finished)]);
    let heard = world.heard(session, One);
    assert_eq!(heard.len(), 20, "tone and gap are sound without a hole");
    let steps = Listener::default().follow(&heard);
    assert!(steps[1..].iter().all(|step| *step == (160, false)), "{steps:?}");
    let silent: Vec<bool> =
        heard.iter().map(|packet| parse(packet).1.iter().all(|byte| *byte == 0xff)).collect();
    let expected: Vec<bool> = (0..20).map(|at| at % 10 >= 5).collect();
    assert_eq!(silent, expected);
}

#[test]
fn keys_cover_a_prompt_which_waits() {
    let (mut world, session) = joined();
    world.prompt(session, One, 1, 1, Repeat::Times(1));
    world.pass(PACKET * 10);
    world.dial(session, One, 2, "1");
    world.pass(PACKET * 80);
    assert_eq!(ended(&world), [(One, 2, ActionOutcome::Finished), (One, 1, ActionOutcome::Finished)]);
    let heard = world.heard(session, One);
    assert_eq!(events(&heard).len(), 7);
    assert_eq!(heard.len(), 50 + 7, "nothing of the prompt is lost");
    Listener::default().follow(&heard);
}

#[test]
fn keys_for_a_party_that_holds_us_fail() {
    let (mut world, session) = joined();
    let held = FarEnd { send: false, ..far_end(One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: One, far_end: held });
    world.dial(session, One, 2, "1");
    world.pass(PACKET * 12);
    assert_eq!(ended(&world), [(One, 2, ActionOutcome::Held)]);
    assert!(world.heard(session, One).is_empty());
}

#[test]
fn an_action_that_another_of_its_kind_replaces_is_told_and_one_that_the_end_cuts_off_is_not() {
    let (mut world, session) = joined();
    world.prompt(session, One, 1, 1, Repeat::Forever);
    world.prompt(session, One, 2, 1, Repeat::Forever);
    world.dial(session, Two, 3, "123");
    world.pass(PACKET);
    world.dial(session, Two, 4, "4");
    assert_eq!(ended(&world), [(One, 1, ActionOutcome::Replaced), (Two, 3, ActionOutcome::Replaced)]);
    world.events.clear();
    world.command(Command::Close { session });
    assert!(matches!(world.events[..], [Event::Closed { .. }]));
    world.pass(Duration::from_secs(3));
    assert_eq!(world.core.next_deadline(), None);
}

fn event_packet(like: &mut Speech, begun: u32, key: u8, end: bool, duration: u16) -> Vec<u8> {
    let mut packet = Speech { timestamp: begun, payload_type: EVENT_TYPES[1], length: 4, ..*like };
    like.sequence = like.sequence.wrapping_add(1);
    packet.marker = duration == 160;
    let mut bytes = packet.bytes();
    let [high, low] = duration.to_be_bytes();
    bytes[12..].copy_from_slice(&[key, if end { 0x8a } else { 10 }, high, low]);
    bytes
}

/// Party 2 presses a key; `arrives` says which of the packets do.
fn press(world: &mut World, session: Session, like: &mut Speech, key: u8, arrives: impl Fn(u16) -> bool) {
    let begun = like.timestamp;
    for step in 1..=7_u16 {
        let packet = event_packet(like, begun, key, step >= 5, step.min(5) * 160);
        if arrives(step) {
            let _ = world.say_bytes(session, Two, packet);
        }
        world.pass(PACKET);
    }
    like.timestamp = like.timestamp.wrapping_add(1600);
}

#[test]
fn a_pressed_key_is_told_once_at_its_end_and_goes_to_the_other_party_too() {
    let (mut world, session) = joined();
    let mut like = Speech::new(2, 200, 9000);
    press(&mut world, session, &mut like, 5, |_| true);
    assert_eq!(pressed(&world), [(Two, '5', 100)]);
    assert_eq!(events(&world.heard(session, One)).len(), 7);
    press(&mut world, session, &mut like, 10, |step| step != 1 && step != 5);
    assert_eq!(pressed(&world)[1..], [(Two, '*', 100)], "beginning and first end are lost");
    press(&mut world, session, &mut like, 1, |step| step < 3);
    assert_eq!(pressed(&world).len(), 2, "its end is not known yet");
    world.pass(MILLISECOND * 300);
    assert_eq!(pressed(&world)[2..], [(Two, '1', 40)]);
    assert_eq!(world.core.counters().presses, 3);
}

#[test]
fn a_party_may_send_under_the_number_that_we_offered() {
    let (mut world, session) = joined();
    // Party 2 answered with 96; 101 was offered.
    let mut packet = event_packet(&mut Speech::new(2, 200, 9000), 9000, 7, true, 800);
    packet[1] = 0x80 | 101;
    assert!(world.say_bytes(session, Two, packet).is_ok());
    assert_eq!(pressed(&world), [(Two, '7', 100)]);
}

#[test]
fn presses_wait_for_room_in_order_and_the_newest_are_lost() {
    let (mut world, session) = joined();
    world.takes_events = false;
    let mut like = Speech::new(2, 200, 9000);
    for key in 0..10 {
        press(&mut world, session, &mut like, key, |_| true);
    }
    world.takes_events = true;
    world.drain();
    let keys: String = pressed(&world).iter().map(|(_, key, _)| *key).collect();
    assert_eq!(keys, "01234567");
    assert_eq!(world.core.counters().events_lost, 2);
}
