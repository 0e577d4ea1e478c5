//! Sessions in which not all is G.711: what goes to helpers, and what becomes of what they make.

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::event::Event;
use duogate_channel::identity::Party::{self, One, Two};
use duogate_channel::identity::{Recording, Session};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use duogate_media::rtp::{HEADER_BYTES, Packet};
use duogate_media::{Action, DropReason, Job, Made};

use crate::support::{MILLISECOND, PACKET, Speech, World, far_end, limits};

fn joined(codecs: [Codec; 2]) -> (World, Session) {
    let mut world = World::new(limits());
    let session = world.open();
    for (party, codec) in Party::BOTH.into_iter().zip(codecs) {
        world.command(Command::FarEnd { session, party, far_end: far_end(party, codec) });
    }
    world.command(Command::Join { session });
    (world, session)
}

fn speech(codec: Codec, sequence: u16, timestamp: u32) -> Speech {
    Speech { payload_type: codec.payload_type(), ..Speech::new(77, sequence, timestamp) }
}

/// A helper that makes 160 octets of anything.
fn help(world: &mut World, jobs: Vec<(Vec<u8>, Job)>) {
    for (payload, job) in jobs {
        let sound = [0x33; 160];
        let (_, to, recorded) = job.wanted();
        let made = Made::Good {
            payload: match (job.is_sound(), to) {
                (true, Some(_)) => &sound,
                (true, None) => &[],
                (false, _) => &payload,
            },
            recorded: if recorded { &sound } else { &[] },
            floor: Some(50),
        };
        world.core.helped(world.now, &job, made, &mut world.sent, &mut world.tape);
    }
}

fn sent(world: &mut World) -> Vec<(Packet, Vec<u8>)> {
    let packets = std::mem::take(&mut world.sent.packets);
    packets.into_iter().map(|(_, bytes)| (Packet::new_checked(&bytes).unwrap(), bytes)).collect()
}

#[test]
fn what_comes_back_is_numbered_like_what_came_in_the_listeners_clock() {
    let (mut world, session) = joined([Codec::Opus, Codec::Pcma]);
    // Packets 3 and 4 are lost on the way; the timestamp wraps.
    let numbers = [0_u16, 1, 2, 5, 6];
    let mut seen = Vec::new();
    for number in numbers {
        let timestamp = (u32::MAX - 1_500).wrapping_add(u32::from(number) * 960);
        let speech = Speech {
            byte: 0x08,
            length: 40,
            ..speech(Codec::Opus, 65_534_u16.wrapping_add(number), timestamp)
        };
        world.say_bytes(session, One, speech.bytes()).unwrap();
        assert!(sent(&mut world).is_empty(), "the shard makes nothing of it by itself");
        world.now = world.now + MILLISECOND;
        let jobs = std::mem::take(&mut world.jobs);
        assert_eq!(jobs[0].1.missing(), if number == 5 { 2 } else { 0 });
        help(&mut world, jobs);
        world.now = world.now + PACKET;
        let [(packet, bytes)] = &sent(&mut world)[..] else { panic!("one packet") };
        assert_eq!((packet.header.payload_type, &bytes[HEADER_BYTES..]), (8, &[0x33; 160][..]));
        assert_eq!(packet.header.marker, number == 0);
        seen.push((packet.header.sequence, packet.header.timestamp));
    }
    let first = seen[0];
    for (seen, number) in seen.iter().zip(numbers) {
        assert_eq!(seen.0, first.0.wrapping_add(number));
        assert_eq!(seen.1, first.1.wrapping_add(u32::from(number) * 160));
    }
}

#[test]
fn a_telephone_event_keeps_its_place_and_its_length() {
    let (mut world, session) = joined([Codec::Opus, Codec::Pcma]);
    let speech = Speech { byte: 0x08, length: 40, ..speech(Codec::Opus, 10, 0) };
    world.say_bytes(session, One, speech.bytes()).unwrap();
    let mut event = Speech { payload_type: 101, length: 4, ..speech };
    (event.sequence, event.timestamp, event.marker) = (11, 960, true);
    let mut bytes = event.bytes();
    // Key 5, its end, 4,800 ticks of 48 kHz: 100 ms.
    bytes[HEADER_BYTES..].copy_from_slice(&[5, 0x8a, 0x12, 0xc0]);
    world.say_bytes(session, One, bytes).unwrap();
    let pressed = |event: &Event| matches!(event, Event::Pressed { milliseconds: 100, .. });
    assert!(world.events.iter().any(pressed), "{:?}", world.events);
    let jobs = std::mem::take(&mut world.jobs);
    help(&mut world, jobs);
    let sent = sent(&mut world);
    assert_eq!(sent[1].1[HEADER_BYTES..], [5, 0x8a, 0x03, 0x20], "800 ticks of 8 kHz");
    assert_eq!(sent[1].0.header.sequence, sent[0].0.header.sequence.wrapping_add(1));
    assert_eq!(sent[1].0.header.timestamp, sent[0].0.header.timestamp.wrapping_add(160));
}

#[test]
fn a_place_is_given_back_and_what_comes_late_under_it_is_nobodys() {
    let (mut world, session) = joined([Codec::G722, Codec::Pcma]);
    assert_eq!(world.core.helped_sessions(), 1);
    world.say_bytes(session, One, speech(Codec::G722, 1, 0).bytes()).unwrap();
    let jobs = std::mem::take(&mut world.jobs);
    // A re-INVITE: both speak G.711 now.
    world.command(Command::FarEnd { session, party: One, far_end: far_end(One, Codec::Pcmu) });
    assert_eq!(world.core.helped_sessions(), 0);
    assert!(world.actions.iter().any(|action| matches!(action, Action::Unhelp { .. })));
    help(&mut world, jobs);
    assert!(sent(&mut world).is_empty());
    world.command(Command::FarEnd { session, party: One, far_end: far_end(One, Codec::G722) });
    world.command(Command::Close { session });
    assert_eq!(world.core.helped_sessions(), 0);
}

#[test]
fn without_a_place_sound_of_another_codec_is_dropped_and_counted() {
    let mut world = World::new(duogate_media::Limits { transcoded: 0, ..limits() });
    let session = world.open();
    for (party, codec) in [(One, Codec::G722), (Two, Codec::Pcma)] {
        world.command(Command::FarEnd { session, party, far_end: far_end(party, codec) });
    }
    world.command(Command::Join { session });
    let verdict = world.say_bytes(session, One, speech(Codec::G722, 1, 0).bytes());
    assert_eq!(verdict, Err(DropReason::NoHelp));
    assert!(world.core.counters().help_refused > 0);
}

#[test]
fn comfort_noise_is_passed_to_who_negotiated_it_and_leaves_no_hole_for_who_did_not() {
    for (codecs, theirs) in [
        ([Codec::Pcma, Codec::Pcmu], Some(13)),
        ([Codec::Pcma, Codec::Pcmu], None),
        ([Codec::G722, Codec::Pcma], Some(19)),
        ([Codec::G722, Codec::Pcma], None),
    ] {
        let (mut world, session) = joined(codecs);
        let comfort = FarEnd { comfort_noise: theirs, ..far_end(Two, codecs[1]) };
        world.command(Command::FarEnd { session, party: Two, far_end: comfort });
        let mut heard = Vec::new();
        for (number, payload_type) in [(1, codecs[0].payload_type()), (2, 13), (3, codecs[0].payload_type())]
        {
            let length = if payload_type == 13 { 1 } else { 160 };
            let timestamp = u32::from(number) * 160;
            let speech = Speech { payload_type, length, ..Speech::new(7, number, timestamp) };
            let _ = world.say_bytes(session, One, speech.bytes());
            let jobs = std::mem::take(&mut world.jobs);
            help(&mut world, jobs);
            heard.extend(sent(&mut world));
            world.now = world.now + PACKET;
        }
        let types: Vec<u8> = heard.iter().map(|(packet, _)| packet.header.payload_type).collect();
        let sound = codecs[1].payload_type();
        assert_eq!(types, theirs.map_or(vec![sound; 2], |noise| vec![sound, noise, sound]), "{codecs:?}");
        for pair in heard.windows(2) {
            assert_eq!(pair[1].0.header.sequence, pair[0].0.header.sequence.wrapping_add(1), "{codecs:?}");
        }
        let passed = heard.last().unwrap().0.header.timestamp.wrapping_sub(heard[0].0.header.timestamp);
        assert_eq!(passed, 320);
    }
}

#[test]
fn what_was_said_lies_where_it_arrived_in_a_recording_whenever_it_is_decoded() {
    let (mut world, session) = joined([Codec::Opus, Codec::Pcma]);
    let recording = Recording(1);
    let (format, channels, hold) = (RecordFormat::Pcm16, RecordChannels::Separate, RecordHold::Silence);
    world.command(Command::RecordStart { session, recording, format, channels, hold });
    let mut two = Speech { byte: 0x77, ..Speech::new(2, 7, 7) };
    // Long enough for the line to be moved, were it judged by when the answers come: from 20 to 140 ms late.
    for number in 0..210_u16 {
        let one = speech(Codec::Opus, number, u32::from(number) * 960);
        world.say_bytes(session, One, Speech { byte: 0x08, length: 40, ..one }.bytes()).unwrap();
        world.say(session, Two, two.next()).err();
        world.now = world.now + PACKET;
        if number % 7 == 6 {
            let jobs = std::mem::take(&mut world.jobs);
            help(&mut world, jobs);
        }
    }
    world.command(Command::RecordStop { session, recording });
    for (party, byte) in [(0, 0x33), (1, 0x77)] {
        let track = world.tape.track(1, party, 0xd5);
        assert!(track.len() == 210 * 160 && track.iter().all(|said| *said == byte), "party {party}");
    }
    assert_eq!(world.core.counters().late_for_recording, 0);
}
