//! What recordings make of hold, and what they tell of each party.

use std::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::{Event, RecordOutcome, Track};
use duogate_channel::identity::{Party, Recording, Session};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_media::Take;

use crate::support::{PACKET, Speech, World, far_end, limits};

const QUIET: u8 = 0xd5;

fn recorded(hold: RecordHold) -> (World, Session, [Speech; 2]) {
    let mut world = World::new(limits());
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    world.command(Command::Join { session });
    let (format, channels) = (RecordFormat::Pcm16, RecordChannels::Separate);
    world.command(Command::RecordStart { session, recording: Recording(1), format, channels, hold });
    let speech = |n| Speech { byte: n, ..Speech::new(n.into(), 1, 1) };
    (world, session, [speech(1), speech(2)])
}

/// Both talk; who is held is not heard.
fn talk(world: &mut World, session: Session, speeches: &mut [Speech; 2], packets: usize) {
    for _ in 0..packets {
        for (party, speech) in Party::BOTH.into_iter().zip(speeches.iter_mut()) {
            world.say(session, party, speech.next()).err();
        }
        world.pass(PACKET);
    }
}

fn hold(world: &mut World, session: Session, held: bool) {
    let far_end = FarEnd { send: !held, receive: !held, ..far_end(Party::One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: Party::One, far_end });
}

fn stop(world: &mut World, session: Session) -> [Vec<u8>; 2] {
    world.command(Command::RecordStop { session, recording: Recording(1) });
    assert!(world.tape.is_whole(), "every block goes back to the pool");
    [0, 1].map(|party| world.tape.track(1, party, QUIET))
}

fn told(world: &mut World) -> [Track; 2] {
    let take = Take { place: 0, recording: Recording(1) };
    world.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut world.tape);
    world.drain();
    let Some(Event::Recorded { tracks, .. }) = world.events.last() else { panic!("not told") };
    *tracks
}

fn runs(track: &[u8]) -> Vec<(u8, usize)> {
    track.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect()
}

#[test]
fn by_default_hold_is_silence_of_its_length() {
    let (mut world, session, mut speeches) = recorded(RecordHold::Silence);
    talk(&mut world, session, &mut speeches, 50);
    hold(&mut world, session, true);
    talk(&mut world, session, &mut speeches, 100);
    hold(&mut world, session, false);
    talk(&mut world, session, &mut speeches, 50);
    let [first, second] = stop(&mut world, session);
    assert_eq!(runs(&first), [(1, 8_000), (QUIET, 16_000), (1, 8_000)]);
    assert_eq!(runs(&second), [(2, 32_000)], "the one who waits is heard");
    let [one, two] = told(&mut world);
    // What is sent while it is not to be is refused by the gateway: to the recording it is not lost.
    assert_eq!((one.gaps, one.silent_milliseconds), (1, 2_000));
    assert_eq!(two, Track { lost: 0, gaps: 0, silent_milliseconds: 0 });
}

#[test]
fn a_recording_that_pauses_leaves_hold_out_and_both_tracks_stay_side_by_side() {
    let (mut world, session, mut speeches) = recorded(RecordHold::Pause);
    talk(&mut world, session, &mut speeches, 50);
    for _ in 0..3 {
        hold(&mut world, session, true);
        hold(&mut world, session, true);
        talk(&mut world, session, &mut speeches, 77);
        hold(&mut world, session, false);
        hold(&mut world, session, false);
        talk(&mut world, session, &mut speeches, 50);
    }
    let [first, second] = stop(&mut world, session);
    assert_eq!(runs(&first), [(1, 32_000)]);
    assert_eq!(runs(&second), [(2, 32_000)]);
    assert!(told(&mut world).iter().all(|track| track.gaps == 0 && track.silent_milliseconds == 0));
}

#[test]
fn a_recording_that_begins_or_ends_on_hold_has_the_time_in_which_the_two_talked() {
    let (mut world, session, mut speeches) = recorded(RecordHold::Pause);
    world.command(Command::RecordStop { session, recording: Recording(1) });
    hold(&mut world, session, true);
    let (recording, hold_) = (Recording(2), RecordHold::Pause);
    let (format, channels) = (RecordFormat::Pcm16, RecordChannels::Mixed);
    world.command(Command::RecordStart { session, recording, format, channels, hold: hold_ });
    talk(&mut world, session, &mut speeches, 100);
    hold(&mut world, session, false);
    talk(&mut world, session, &mut speeches, 25);
    hold(&mut world, session, true);
    talk(&mut world, session, &mut speeches, 100);
    world.command(Command::RecordStop { session, recording });
    assert_eq!(runs(&world.tape.track(2, 0, QUIET)), [(1, 4_000)]);
    assert!(world.tape.is_whole());
}

#[test]
fn losses_and_gaps_of_each_party_are_told() {
    let (mut world, session, mut speeches) = recorded(RecordHold::Silence);
    for number in 0..100 {
        for party in Party::BOTH {
            let packet = speeches[party.index()].next();
            // Party 1 loses one packet and three in a row; party 2 begins half a second late.
            let here = match party {
                Party::One => !matches!(number, 20 | 40..=42),
                Party::Two => number >= 25,
            };
            if here {
                world.say(session, party, packet).unwrap();
            }
        }
        world.pass(PACKET);
    }
    stop(&mut world, session);
    let [one, two] = told(&mut world);
    assert_eq!(one, Track { lost: 4, gaps: 2, silent_milliseconds: 80 });
    assert_eq!(two, Track { lost: 0, gaps: 0, silent_milliseconds: 500 });
}

#[test]
fn a_packet_that_comes_late_is_neither_lost_nor_a_gap() {
    let (mut world, session, mut speeches) = recorded(RecordHold::Silence);
    let packets: Vec<Speech> = (0..50).map(|_| speeches[0].next()).collect();
    for pair in packets.chunks(2) {
        world.pass(PACKET * 2);
        world.say(session, Party::One, pair[1]).unwrap();
        world.say(session, Party::One, pair[0]).err();
    }
    stop(&mut world, session);
    let [one, two] = told(&mut world);
    assert_eq!((one.lost, one.gaps), (0, 0), "{one:?}");
    assert_eq!(two.silent_milliseconds, 1_000, "never heard");
}
