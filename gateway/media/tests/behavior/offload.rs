//! A pair goes beside the sockets when nothing needs its bytes, and comes back for each reason there is.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd, LegOpening, PortChoice, Repeat, Source};
use duogate_channel::event::Event;
use duogate_channel::identity::{Party, Recording, Session, Tag};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_channel::srtp::{Master, MasterKeys, Suite};
use duogate_media::Limits;

use crate::support::{
    EVENT_TYPES, Listener, MILLISECOND, PACKET, Speech, Table, World, far_end, limits, parse,
};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

/// Two joined parties that have said a little, both beside the sockets.
fn talking(table: Table) -> (World, Session, [Speech; 2]) {
    let mut world = World::with_table(limits(), table);
    world.sounds.0.insert(1, (Codec::Pcma, vec![1; 480]));
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut speeches = [Speech::new(1, 65_530, 0xffff_fff0), Speech::new(2, 9, 9)];
    both(&mut world, session, &mut speeches, 5);
    assert!(Party::BOTH.iter().all(|party| world.is_on(session, *party)));
    (world, session, speeches)
}

fn both(world: &mut World, session: Session, speeches: &mut [Speech; 2], packets: usize) {
    for _ in 0..packets {
        for party in Party::BOTH {
            world.arrive(session, party, speeches[party.index()].next().bytes()).unwrap();
        }
        world.pass(PACKET);
    }
}

fn record(world: &mut World, session: Session, recording: u64) {
    world.command(Command::RecordStart {
        session,
        recording: Recording(recording),
        format: RecordFormat::Alaw,
        channels: RecordChannels::Separate,
        hold: RecordHold::Silence,
    });
}

#[test]
fn joined_parties_whose_streams_stand_go_beside_the_sockets() {
    let mut world = World::with_table(limits(), Table::with_taps(false));
    let session = world.pair(BOTH);
    let mut speech = Speech::new(1, 1, 1);
    world.hear(session, Party::Two, Source::Peer);
    world.chat(session, Party::One, &mut speech, 3);
    assert!(!world.is_on(session, Party::One), "not before both have answered");
    world.command(Command::Join { session });
    assert!(world.is_on(session, Party::One), "its stream stands already");
    assert!(!world.is_on(session, Party::Two), "who has not spoken has no numbers yet");
    world.chat(session, Party::One, &mut speech, 11);
    world.chat(session, Party::Two, &mut Speech::new(2, 2, 2), 5);
    assert_eq!(world.core.counters().received, 3 + 1);
    let steps = Listener::default().follow(&world.heard(session, Party::Two));
    assert_eq!(steps[1..], [(160, false); 13]);
}

#[test]
fn other_codecs_stay_on_the_sockets() {
    let mut world = World::with_table(limits(), Table::with_taps(true));
    let session = world.pair([Codec::Pcma, Codec::Pcmu]);
    world.command(Command::Join { session });
    world.chat(session, Party::One, &mut Speech::new(1, 1, 1), 10);
    assert!(!world.is_on(session, Party::One));
    assert_eq!(world.core.counters().received, 10);
}

#[test]
fn a_secured_leg_keeps_both_directions_on_the_sockets() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(true));
    let suite = Suite::AesCm128HmacSha1_80;
    let master = Master::new(suite, &[1; 30]).unwrap();
    let keys = Some(MasterKeys { suite, ours: master, theirs: master });
    let secure = |keys| Command::Secure { session, party: Party::Two, keys, heard: None };
    world.command(secure(keys));
    assert!(Party::BOTH.iter().all(|party| !world.is_on(session, *party)));
    world.command(Command::Join { session });
    world.hear(session, Party::One, Source::Peer);
    assert!(Party::BOTH.iter().all(|party| !world.is_on(session, *party)), "whatever else changes");
    world.command(secure(None));
    both(&mut world, session, &mut speeches, 5);
    assert!(Party::BOTH.iter().all(|party| world.is_on(session, *party)));
}

#[test]
fn a_recording_without_a_tap_brings_the_pair_back_until_it_ends() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    let mut ear = Listener::default();
    record(&mut world, session, 1);
    assert!(!world.is_on(session, Party::One) && !world.is_on(session, Party::Two));
    both(&mut world, session, &mut speeches, 20);
    assert!(!world.is_on(session, Party::One));
    world.command(Command::RecordStop { session, recording: Recording(1) });
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two), "at once");
    both(&mut world, session, &mut speeches, 5);
    let steps = ear.follow(&world.heard(session, Party::Two));
    assert_eq!(steps.len(), 30);
    assert_eq!(steps[1..], [(160, false); 29]);
}

#[test]
fn a_recording_with_a_tap_leaves_the_pair_where_it_is() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(true));
    let received = world.core.counters().received;
    record(&mut world, session, 1);
    assert_eq!(world.core.tapped(), 2);
    speeches.iter_mut().zip([0x31, 0x32]).for_each(|(speech, byte)| speech.byte = byte);
    both(&mut world, session, &mut speeches, 50);
    world.command(Command::RecordStop { session, recording: Recording(1) });
    assert_eq!(world.core.tapped(), 0);
    assert_eq!(world.core.counters().received, received, "no packet came through a socket");
    for (party, byte) in [(0, 0x31), (1, 0x32)] {
        assert_eq!(world.tape.track(1, party, 0xd5), [byte; 8000], "one second, without a hole");
    }
}

#[test]
fn copies_that_find_no_room_are_told_with_the_recording() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(true));
    record(&mut world, session, 1);
    both(&mut world, session, &mut speeches, 10);
    world.core.path_mut().room = 0;
    both(&mut world, session, &mut speeches, 3);
    world.command(Command::Close { session });
    let take = world.tape.begun[0];
    let outcome = duogate_channel::event::RecordOutcome::Saved;
    world.core.recorded(take, outcome, Duration::from_secs(1), 1, &mut world.tape);
    world.drain();
    let missing = world.events.iter().find_map(|event| match event {
        Event::Recorded { missing, .. } => Some(*missing),
        _ => None,
    });
    assert_eq!(missing, Some(6), "three packets of each party");
}

#[test]
fn a_prompt_to_one_party_brings_one_direction_back() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    world.play(session, Party::One, 1, Repeat::Times(1));
    assert!(world.is_on(session, Party::One), "what party 2 hears has not changed");
    assert!(!world.is_on(session, Party::Two));
    world.pass(PACKET * 4);
    world.hear(session, Party::One, Source::Peer);
    assert!(!world.is_on(session, Party::Two), "not before its stream stands anew");
    both(&mut world, session, &mut speeches, 2);
    assert!(world.is_on(session, Party::Two));
    let steps = Listener::default().follow(&world.heard(session, Party::One));
    assert_eq!(steps.iter().filter(|(_, marker)| *marker).count(), 3, "speech, prompt, speech");
}

#[test]
fn hold_brings_both_directions_back() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    let hold = FarEnd { send: false, receive: false, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end: hold });
    assert!(!world.is_on(session, Party::One) && !world.is_on(session, Party::Two));
    assert!(world.arrive(session, Party::Two, speeches[1].next().bytes()).is_err());
    world.pass(PACKET * 10);
    let back = far_end(Party::One, Codec::Pcma);
    world.command(Command::FarEnd { session, party: Party::One, far_end: back });
    both(&mut world, session, &mut speeches, 2);
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    Listener::default().follow(&world.heard(session, Party::One));
}

#[test]
fn a_far_end_that_moves_is_followed() {
    let (mut world, session, _) = talking(Table::with_taps(false));
    let elsewhere = "198.51.100.7:5000".parse().unwrap();
    let moved = FarEnd { address: elsewhere, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end: moved });
    let entries = &world.core.path().entries;
    assert_eq!(entries[&world.socket(session, Party::One)].0.source, elsewhere);
    assert_eq!(entries[&world.socket(session, Party::Two)].0.destination, elsewhere);
}

#[test]
fn a_new_sender_and_a_set_clock_are_judged_by_the_core() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    let mut ear = Listener::default();
    ear.follow(&world.heard(session, Party::Two));
    speeches[0].ssrc = 77;
    speeches[0].sequence = 4;
    both(&mut world, session, &mut speeches, 3);
    speeches[0].timestamp = speeches[0].timestamp.wrapping_add(1 << 30);
    both(&mut world, session, &mut speeches, 3);
    let steps = ear.follow(&world.heard(session, Party::Two));
    let expected = [(160, true), (160, false), (160, false)];
    assert_eq!(steps, expected.repeat(2), "each begins anew where the stream stands");
    assert!(world.is_on(session, Party::One));
    assert_eq!(world.core.counters().offloaded, 2);
}

#[test]
fn digits_come_through_the_socket_and_share_the_numbers() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    let mut ear = Listener::default();
    ear.follow(&world.heard(session, Party::Two));
    for _ in 0..3 {
        let mut event = speeches[0].next();
        (event.payload_type, event.length) = (EVENT_TYPES[0], 4);
        world.arrive(session, Party::One, event.bytes()).unwrap();
        both(&mut world, session, &mut speeches, 4);
    }
    let heard = world.heard(session, Party::Two);
    ear.follow(&heard);
    assert_eq!(heard.iter().filter(|packet| parse(packet).0.payload_type == EVENT_TYPES[1]).count(), 3);
    assert!(world.is_on(session, Party::One));
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.pop() else { panic!("not closed") };
    assert_eq!((statistics[0].packets_received, statistics[0].packets_lost), (20, 0));
    assert_eq!(statistics[1].packets_sent, 20);
}

#[test]
fn close_takes_the_last_numbers_in() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    both(&mut world, session, &mut speeches, 95);
    let received = world.core.counters().received;
    world.command(Command::Close { session });
    let Some(Event::Closed { statistics, .. }) = world.events.pop() else { panic!("not closed") };
    assert_eq!(statistics.map(|leg| (leg.packets_received, leg.packets_sent)), [(100, 100); 2]);
    assert_eq!(received, 2, "all but the first of each went beside the sockets");
    assert!(world.core.path().entries.is_empty());
}

#[test]
fn silence_is_measured_from_what_the_path_saw() {
    let (mut world, session, mut speeches) = talking(Table::with_taps(false));
    both(&mut world, session, &mut speeches, 500);
    assert!(world.events.iter().all(|event| !matches!(event, Event::Silent { .. })));
    world.chat(session, Party::Two, &mut speeches[1], 249);
    assert!(world.events.iter().all(|event| !matches!(event, Event::Silent { .. })));
    world.chat(session, Party::Two, &mut speeches[1], 5);
    assert!(matches!(world.events.last(), Some(Event::Silent { party: Party::One, .. })));
}

#[test]
fn a_path_that_carries_nothing_is_tried_less_and_less() {
    let mut world = World::with_table(limits(), Table::with_taps(false));
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    let mut speech = Speech::new(1, 1, 1);
    // As if the host had no way to the listener but its own stack.
    for _ in 0..1000 {
        world.say(session, Party::One, speech.next()).unwrap();
    }
    assert!((5..=11).contains(&world.core.path().switched_on), "{}", world.core.path().switched_on);
    let mut world = World::with_table(limits(), Table::with_taps(false));
    world.core.path_mut().refuses = true;
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    world.chat(session, Party::One, &mut speech, 1000);
    assert!((5..=11).contains(&world.core.counters().path_refused));
}

#[test]
fn a_stranger_and_garbage_do_not_move_a_pair() {
    let (mut world, session, _) = talking(Table::with_taps(false));
    let switched_on = world.core.path().switched_on;
    world.say_bytes(session, Party::One, vec![0x80; 3]).unwrap_err();
    world.say_bytes(session, Party::One, vec![0x80, 200, 0, 1, 0, 0, 0, 0, 0, 0, 0, 0]).unwrap_err();
    let mut unknown = Speech::new(1, 1, 1);
    unknown.payload_type = 99;
    world.say(session, Party::One, unknown).unwrap_err();
    assert_eq!(world.core.path().switched_on, switched_on);
}

/// What a gateway leaves behind when it is killed, put before the next one with a session on the same ports.
fn next_gateway(mut old: World, session: Session, seed: u64) -> (World, Session) {
    let before = old.core.snapshot(session.slot).unwrap();
    let table = std::mem::take(old.core.path_mut());
    let mut world = World::with_table(Limits { seed, ..limits() }, table);
    world.now = old.now + MILLISECOND * 300;
    let legs = before.legs.map(|leg| LegOpening { port: PortChoice::This(leg.port), beginning: None });
    world.command(Command::Open { tag: Tag(9), legs });
    let Some(Event::Opened { session, .. }) = world.events.pop() else { panic!("not opened") };
    (world, session)
}

#[test]
fn a_session_that_goes_on_takes_its_numbers_over() {
    let (mut old, session, mut speeches) = talking(Table::with_taps(false));
    let mut ears = [Listener::default(), Listener::default()];
    for party in Party::BOTH {
        ears[party.index()].follow(&old.heard(session, party));
    }
    // The same seed stands for a control plane that names the SSRCs.
    let (mut world, session) = next_gateway(old, session, limits().seed);
    both(&mut world, session, &mut speeches, 7);
    for party in Party::BOTH {
        world.command(Command::FarEnd { session, party, far_end: far_end(party, Codec::Pcma) });
    }
    both(&mut world, session, &mut speeches, 7);
    world.command(Command::Join { session });
    assert!(world.is_on(session, Party::One) && world.is_on(session, Party::Two));
    assert_eq!(world.core.counters().inherited, 2);
    both(&mut world, session, &mut speeches, 7);
    world.play(session, Party::Two, 1, Repeat::Times(1));
    world.pass(PACKET * 5);
    world.hear(session, Party::Two, Source::Peer);
    both(&mut world, session, &mut speeches, 7);
    assert_eq!(world.core.counters().received, 1, "one packet through a socket, after the prompt");
    for party in Party::BOTH {
        ears[party.index()].follow(&world.heard(session, party));
    }
}

#[test]
fn a_new_session_leaves_the_ports_of_those_that_go_on_alone() {
    let (mut old, session, _) = talking(Table::with_taps(false));
    let ports = old.core.snapshot(session.slot).unwrap().legs.map(|leg| leg.port);
    let mut world = World::with_table(Limits { seed: 8, ..limits() }, std::mem::take(old.core.path_mut()));
    for _ in 0..4 {
        let session = world.open();
        let taken = world.core.snapshot(session.slot).unwrap().legs.map(|leg| leg.port);
        assert!(taken.iter().all(|port| !ports.contains(port)), "{taken:?}");
    }
    assert_eq!(world.core.path().entries.len(), 2);
    world.core.disown(0..world.core.limits().sockets());
    world.drain();
    assert_eq!(world.core.free_ports(), world.core.limits().sockets() - 8);
}

#[test]
fn what_nobody_takes_over_is_switched_off() {
    let (old, session, _) = talking(Table::with_taps(false));
    let (mut world, session) = next_gateway(old, session, 8);
    assert_eq!(world.core.path().entries.len(), 2, "they keep talking meanwhile");
    for party in Party::BOTH {
        world.command(Command::FarEnd { session, party, far_end: far_end(party, Codec::Pcma) });
    }
    world.command(Command::Join { session });
    assert!(world.core.path().entries.is_empty(), "a session of another SSRC goes on from its own numbers");

    let (old, session, _) = talking(Table::with_taps(false));
    let (mut world, _) = next_gateway(old, session, 8);
    world.core.disown(0..world.core.limits().sockets());
    assert_eq!((world.core.path().entries.len(), world.core.counters().disowned), (0, 2));
}
