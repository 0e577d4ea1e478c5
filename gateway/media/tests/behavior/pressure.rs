//! Events are not lost while nobody takes them, and nothing grows.

use std::time::Duration;

use duogate_channel::command::{Command, LegOpening, Repeat};
use duogate_channel::event::{Event, PlayOutcome, RecordOutcome};
use duogate_channel::identity::{Party, Recording, Tag};
use duogate_channel::quality::Fault;
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_media::Limits;

use crate::support::{PACKET, Speech, World, limits};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn record(session: duogate_channel::identity::Session, recording: u64) -> Command {
    Command::RecordStart {
        session,
        recording: Recording(recording),
        format: RecordFormat::Alaw,
        channels: RecordChannels::Separate,
        hold: RecordHold::Silence,
    }
}

#[test]
fn a_whole_session_waits_for_room_and_comes_in_order() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![0; 320]));
    let session = world.pair(BOTH);
    world.takes_events = false;
    world.play(session, Party::One, 1, Repeat::Times(1));
    world.pass(PACKET * 5);
    world.command(record(session, 5));
    world.command(Command::Join { session });
    world.pass(Duration::from_secs(20));
    world.command(Command::Close { session });
    let take = world.tape.begun[0];
    world.core.recorded(take, RecordOutcome::Saved, Duration::from_secs(20), 99, &mut world.tape);
    world.pass(Duration::from_secs(600));
    assert_eq!(world.core.active_sessions(), 1, "the slot waits with its events");
    assert_eq!(world.core.event(), world.core.event(), "looking takes nothing");

    world.takes_events = true;
    world.drain();
    let [
        Event::Played { outcome: PlayOutcome::Finished, .. },
        Event::Joined { .. },
        Event::Silent { party: Party::One, .. },
        Event::Silent { party: Party::Two, .. },
        Event::Fault { party: Party::One, fault: Some(Fault::Absent), .. },
        Event::Fault { party: Party::Two, fault: Some(Fault::Absent), .. },
        Event::Closed { tag: Tag(9), .. },
        Event::Recorded { recording: Recording(5), outcome: RecordOutcome::Saved, bytes: 99, .. },
    ] = world.events[..]
    else {
        panic!("{:?}", world.events)
    };
    assert_eq!(world.core.active_sessions(), 0);
    assert_eq!(world.core.event(), None);
    assert_eq!(world.core.counters().events_lost, 0);
}

#[test]
fn only_the_last_of_several_sounds_that_nobody_asked_about_is_told() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.takes_events = false;
    for sound in 1..=10 {
        world.play(session, Party::One, sound, Repeat::Forever);
    }
    world.command(Command::Join { session });
    world.takes_events = true;
    world.drain();
    assert!(matches!(world.events[..], [Event::Played { sound, .. }, Event::Joined { .. }] if sound.0 == 10));
    assert_eq!(world.core.counters().events_lost, 9);
}

#[test]
fn refusals_without_a_place_hold_commands_back() {
    let mut world = World::new(Limits { sessions: 1, ..limits() });
    world.open();
    world.takes_events = false;
    let mut given = 0;
    while world.core.accepts_commands() {
        world.command(Command::Open { tag: Tag(100 + given), legs: [LegOpening::FRESH; 2] });
        given += 1;
        assert!(given < 10_000, "a bound");
    }
    world.takes_events = true;
    world.drain();
    let tags: Vec<u64> = world
        .events
        .iter()
        .map(|event| match event {
            Event::Refused { tag, .. } => tag.0,
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(tags, (100..100 + given).collect::<Vec<_>>(), "every one, in order");
    assert!(world.core.accepts_commands());
}

#[test]
fn every_recording_is_told_once_even_those_that_cannot_begin() {
    let mut world = World::new(limits());
    let session = world.pair(BOTH);
    world.command(Command::Join { session });
    world.events.clear();
    for recording in 1..=5 {
        world.command(record(session, recording));
    }
    assert!(matches!(
        world.events[..],
        [Event::Recorded { recording: Recording(5), outcome: RecordOutcome::Overrun, .. }]
    ));
    world.events.clear();
    // A file that refuses in the middle ends the recording, never the call.
    let mut speech = Speech::new(1, 1, 1);
    world.talk(session, Party::One, &mut speech, 12);
    let outcome = RecordOutcome::WriteFailed { errno: 28 };
    let take = world.tape.begun[1];
    world.core.recorded(take, outcome, Duration::from_millis(100), 800, &mut world.tape);
    world.core.recorded(take, outcome, Duration::from_millis(100), 800, &mut world.tape);
    world.drain();
    assert!(matches!(world.events[..], [Event::Recorded { recording: Recording(2), .. }]));
    world.talk(session, Party::One, &mut speech, 12);
    world.tape.refuse = Some(RecordOutcome::Missing);
    world.command(record(session, 6));
    assert!(matches!(world.events.last(), Some(Event::Recorded { outcome: RecordOutcome::Missing, .. })));
    world.command(Command::RecordStop { session, recording: Recording(3) });
    world.command(Command::Close { session });
    let ended: Vec<u64> = world.tape.ended.iter().map(|(take, ..)| take.recording.0).collect();
    assert_eq!(ended, [3, 4, 1]);
    assert!(world.tape.is_whole(), "no block is left behind");
    for (take, ..) in world.tape.ended.clone() {
        world.core.recorded(take, RecordOutcome::Saved, Duration::ZERO, 0, &mut world.tape);
    }
    world.drain();
    let told = world.events.iter().filter(|event| matches!(event, Event::Recorded { .. })).count();
    assert_eq!(told, 5, "2, 6, 3, 4 and 1");
}
