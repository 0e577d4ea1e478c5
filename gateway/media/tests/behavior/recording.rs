//! What each party says lies where it was said.

use std::time::Duration;

use duogate_channel::command::{Command, Repeat};
use duogate_channel::g711::silence;
use duogate_channel::identity::{Party, Recording, Session};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};

use crate::support::{EVENT_TYPES, MILLISECOND, PACKET, Speech, World, limits};

const QUIET: u8 = 0xd5;

/// A session of which both parties are recorded from now on.
fn recorded() -> (World, Session) {
    let mut world = World::new(limits());
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    world.command(Command::Join { session });
    start(&mut world, session);
    (world, session)
}

fn start(world: &mut World, session: Session) {
    world.command(Command::RecordStart {
        session,
        recording: Recording(1),
        format: RecordFormat::Pcm16,
        channels: RecordChannels::Separate,
        hold: RecordHold::Silence,
    });
}

fn stop(world: &mut World, session: Session) -> [Vec<u8>; 2] {
    world.command(Command::RecordStop { session, recording: Recording(1) });
    assert!(world.tape.is_whole(), "every block goes back to the pool");
    assert_eq!(silence(Codec::Pcma), QUIET);
    [0, 1].map(|party| world.tape.track(1, party, QUIET))
}

/// A track as runs of equal bytes.
fn runs(track: &[u8]) -> Vec<(u8, usize)> {
    track.chunk_by(|one, other| one == other).map(|run| (run[0], run.len())).collect()
}

fn numbered(n: u16) -> Speech {
    let mut speech = Speech::new(1, 500 + n, 10_000 + 160 * u32::from(n));
    speech.byte = u8::try_from(n).unwrap();
    speech
}

#[test]
fn each_party_has_its_own_track_and_what_is_played_is_not_recorded() {
    let (mut world, session) = recorded();
    world.sounds.0.insert(1, (Codec::Pcma, vec![9; 8000]));
    world.play(session, Party::One, 1, Repeat::Forever);
    let mut one = Speech { byte: 1, ..Speech::new(1, 1, 1) };
    let mut two = Speech { byte: 2, ..Speech::new(2, 7, 7) };
    for _ in 0..50 {
        world.say(session, Party::One, one.next()).err();
        world.say(session, Party::Two, two.next()).err();
        world.pass(PACKET);
    }
    let [first, second] = stop(&mut world, session);
    assert_eq!(runs(&first), [(1, 8000)]);
    assert_eq!(runs(&second), [(2, 8000)]);
}

#[test]
fn a_recording_begins_when_it_is_told_and_covers_its_time() {
    let mut world = World::new(limits());
    let session = world.pair([Codec::Pcma, Codec::Pcma]);
    let mut one = Speech { byte: 1, ..Speech::new(1, 1, 1) };
    for _ in 0..50 {
        world.say(session, Party::One, one.next()).err();
        world.pass(PACKET);
    }
    start(&mut world, session);
    world.pass(Duration::from_secs(3600));
    let mut one = Speech { byte: 3, ..one };
    for _ in 0..5 {
        world.say(session, Party::One, one.next()).err();
        world.pass(PACKET);
    }
    world.pass(Duration::from_millis(500));
    let [first, second] = stop(&mut world, session);
    assert_eq!(runs(&first), [(QUIET, 28_800_000), (3, 800), (QUIET, 4000)]);
    assert_eq!(runs(&second), [(QUIET, 28_804_800)]);
    assert!(world.tape.written.len() <= 2, "silence takes no blocks");
}

#[test]
fn reordered_packets_fall_into_their_places() {
    let (mut world, session) = recorded();
    for n in [0, 1, 5, 3, 4, 2, 6, 8, 7, 9] {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.pass(PACKET);
    }
    world.pass(PACKET * 10);
    let [first, _] = stop(&mut world, session);
    let expected: Vec<(u8, usize)> = (0..10).map(|n| (n, 160)).collect();
    assert_eq!(runs(&first)[..10], expected);
    assert_eq!(world.core.counters().late_for_recording, 0);
}

#[test]
fn a_first_packet_that_was_held_up_costs_one_step_and_no_glide() {
    let (mut world, session) = recorded();
    let late = Duration::from_millis(12);
    world.pass(late);
    world.say(session, Party::One, numbered(1)).unwrap();
    world.pass(PACKET.checked_sub(late).unwrap());
    for n in 2..60 {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.pass(PACKET);
    }
    let [first, _] = stop(&mut world, session);
    // The first one's rest lies where the second is by its own arrival; from there on all lies right.
    let mut expected = vec![(QUIET, 96), (1, 64)];
    expected.extend((2..60).map(|n| (n, 160)));
    assert_eq!(runs(&first), expected);
}

#[test]
fn loss_is_silence_and_a_duplicate_is_nothing() {
    let (mut world, session) = recorded();
    for n in [0, 1, 3, 4] {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.say(session, Party::One, numbered(n)).unwrap_err();
        world.pass(PACKET * if n == 1 { 2 } else { 1 });
    }
    let [first, _] = stop(&mut world, session);
    assert_eq!(runs(&first), [(0, 160), (1, 160), (QUIET, 160), (3, 160), (4, 160)]);
}

#[test]
fn jitter_does_no_harm() {
    let (mut world, session) = recorded();
    let begin = world.now;
    for n in 0..100u16 {
        let due = MILLISECOND * (u32::from(n) * 20 + [0, 35, 11, 50, 3, 0][usize::from(n % 6)]);
        let now = world.now.since(begin);
        world.pass(due.saturating_sub(now));
        world.say(session, Party::One, numbered(n)).unwrap();
    }
    world.pass(PACKET * 10);
    let [first, _] = stop(&mut world, session);
    let expected: Vec<(u8, usize)> = (0..100).map(|n| (n, 160)).collect();
    assert_eq!(runs(&first)[..100], expected);
}

#[test]
fn a_new_sender_does_not_tear_the_track() {
    let (mut world, session) = recorded();
    for n in 0..10 {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.pass(PACKET);
    }
    let mut other = Speech { byte: 200, ..Speech::new(99, 1, 77) };
    for _ in 0..10 {
        world.say(session, Party::One, other.next()).unwrap();
        world.pass(PACKET);
    }
    let [first, _] = stop(&mut world, session);
    assert_eq!(runs(&first)[10..], [(200, 1600)]);
    assert_eq!(first.len(), 3200);
}

#[test]
fn discontinuous_transmission_and_telephone_events_leave_silence() {
    let (mut world, session) = recorded();
    world.say(session, Party::One, numbered(0)).unwrap();
    let mut event = numbered(1);
    (event.payload_type, event.length) = (EVENT_TYPES[0], 4);
    world.pass(PACKET);
    world.say(session, Party::One, event).unwrap();
    world.pass(PACKET * 49);
    let mut after = numbered(2);
    after.timestamp = numbered(50).timestamp;
    world.say(session, Party::One, after).unwrap();
    world.pass(PACKET);
    let [first, _] = stop(&mut world, session);
    assert_eq!(runs(&first), [(0, 160), (QUIET, 49 * 160), (2, 160)]);
}

#[test]
fn a_sender_whose_clock_stands_still_or_jumps_is_placed_by_arrival() {
    for jump in [0u32, 40_000, 4_000_000, 0x9000_0000] {
        let (mut world, session) = recorded();
        world.say(session, Party::One, numbered(0)).unwrap();
        world.pass(Duration::from_secs(1));
        let mut after = numbered(1);
        after.timestamp = after.timestamp.wrapping_add(jump);
        world.say(session, Party::One, after).unwrap();
        world.pass(PACKET);
        let [first, _] = stop(&mut world, session);
        assert_eq!(runs(&first), [(0, 160), (QUIET, 7840), (1, 160)], "{jump}");
    }
}

#[test]
fn a_burst_after_a_stall_neither_overlaps_nor_runs_ahead() {
    let (mut world, session) = recorded();
    for n in 0..5 {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.pass(PACKET);
    }
    world.pass(Duration::from_millis(600));
    for n in 5..36 {
        world.say(session, Party::One, numbered(n)).unwrap();
    }
    for n in 36..60 {
        world.say(session, Party::One, numbered(n)).unwrap();
        world.pass(PACKET);
    }
    world.pass(PACKET * 10);
    let [first, _] = stop(&mut world, session);
    let said: Vec<u8> = runs(&first).iter().map(|(byte, _)| *byte).filter(|byte| *byte != QUIET).collect();
    assert!(said.is_sorted(), "in order: {said:?}");
    assert!(said.ends_with(&[57, 58, 59]), "{said:?}");
    let end = first.iter().rposition(|byte| *byte == 59).unwrap();
    let spoken = (100 + 600 + 24 * 20) * 8;
    assert!((spoken..=spoken + 900).contains(&end), "at most 100 ms ahead: {end} of {spoken}");
}

#[test]
fn a_pool_that_is_empty_loses_blocks_and_says_so() {
    let (mut world, session) = recorded();
    let mut one = Speech { byte: 1, ..Speech::new(1, 1, 1) };
    world.talk(session, Party::One, &mut one, 50);
    world.tape.dry = true;
    world.talk(session, Party::One, &mut one, 50);
    let held = world.tape.written.len();
    world.tape.dry = false;
    world.talk(session, Party::One, &mut one, 50);
    world.command(Command::RecordStop { session, recording: Recording(1) });
    let (_, samples, lost) = world.tape.ended[0];
    assert_eq!(samples, 24_000);
    assert!((7..=11).contains(&lost), "{lost}");
    assert!(held >= 7);
    let first = world.tape.track(1, 0, QUIET);
    let quiet = first.iter().filter(|byte| **byte == QUIET).count();
    assert!((6000..=9600).contains(&quiet), "silence in their place: {quiet}");
    assert_eq!(world.core.counters().blocks_lost, u64::from(lost));
}

#[test]
fn a_codec_that_changes_is_told_or_translated() {
    let mut world = World::new(limits());
    let session = world.pair([Codec::Pcmu, Codec::Pcma]);
    start(&mut world, session);
    let mut one = Speech { byte: 0x80, payload_type: 0, ..Speech::new(1, 1, 1) };
    for _ in 0..10 {
        world.say(session, Party::One, one.next()).err();
        world.pass(PACKET);
    }
    world.command(Command::Close { session });
    assert!(world.tape.written.iter().all(|block| block.codecs == [Codec::Pcmu, Codec::Pcma]));
    assert_eq!(world.tape.written[0].samples[0], [0x80; 800]);
    assert_eq!(world.tape.written[0].samples[1], [0xd5; 800]);
}
