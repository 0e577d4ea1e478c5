//! Prompts and tones: by schedule, without seam, and with an end that is told.

use duogate_channel::command::{Command, Repeat, Source};
use duogate_channel::event::{Event, PlayOutcome};
use duogate_channel::g711::{ALAW_TO_ULAW, silence};
use duogate_channel::identity::{Party, Sound};
use duogate_channel::sound::Codec;
use duogate_media::Limits;

use crate::support::{Listener, MILLISECOND, PACKET, World, far_end, limits, parse};

const BOTH: [Codec; 2] = [Codec::Pcma, Codec::Pcma];

fn outcomes(world: &World) -> Vec<(Party, u32, PlayOutcome)> {
    let of = |event: &Event| match event {
        Event::Played { party, sound, outcome, .. } => Some((*party, sound.0, *outcome)),
        _ => None,
    };
    world.events.iter().filter_map(of).collect()
}

/// A sound in which every byte tells where it lies.
fn counting(length: usize) -> Vec<u8> {
    (0..length).map(|at| u8::try_from(at % 251).unwrap()).collect()
}

fn sound_of(packets: &[Vec<u8>]) -> Vec<u8> {
    packets.iter().flat_map(|packet| parse(packet).1.to_vec()).collect()
}

#[test]
fn a_sound_is_played_to_its_last_byte_and_then_told() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(1000)));
    let session = world.pair(BOTH);
    world.play(session, Party::One, 1, Repeat::Times(2));
    world.pass(PACKET * 13);
    assert_eq!(outcomes(&world), [], "the last packet is still being heard");
    world.pass(PACKET * 2);
    assert_eq!(outcomes(&world), [(Party::One, 1, PlayOutcome::Finished)]);
    let heard = world.heard(session, Party::One);
    let mut expected = [counting(1000), counting(1000)].concat();
    expected.resize(13 * 160, silence(Codec::Pcma));
    assert_eq!(sound_of(&heard), expected, "no seam, and silence to the end of the last packet");
    assert_eq!(world.core.snapshot(session.slot).unwrap().legs[0].hears, Source::Silence);
    world.pass(PACKET * 50);
    assert!(world.heard(session, Party::One).is_empty());
}

#[test]
fn a_tone_loops_without_seam_however_short_it_is() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(7)));
    let session = world.pair(BOTH);
    world.play(session, Party::Two, 1, Repeat::Forever);
    world.pass(PACKET * 100);
    let heard = world.heard(session, Party::Two);
    let sound = sound_of(&heard);
    assert!(sound.iter().enumerate().all(|(at, byte)| usize::from(*byte) == at % 7));
    assert_eq!(sound.len(), 16_000);
}

#[test]
fn pacing_does_not_drift_when_ticks_come_late() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(8000)));
    let session = world.pair(BOTH);
    world.play(session, Party::One, 1, Repeat::Forever);
    let mut ear = Listener::default();
    let mut packets = 0;
    for late in [1u32, 33, 70, 19, 20, 21, 140, 1, 95].into_iter().cycle().take(900) {
        world.jump(MILLISECOND * late);
        let heard = world.heard(session, Party::One);
        packets += heard.len();
        for (step, _) in ear.follow(&heard).into_iter().filter(|(step, _)| *step != 0) {
            assert_eq!(step, 160);
        }
    }
    // 40,000 ms in all.
    assert!((1999..=2001).contains(&packets), "{packets}");
    assert_eq!(world.core.counters().paced, packets as u64);
    assert_eq!(world.core.counters().paced_lost, 0);
}

#[test]
fn after_a_long_stop_only_what_is_recent_is_sent() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(8000)));
    let session = world.pair(BOTH);
    world.play(session, Party::One, 1, Repeat::Forever);
    world.pass(PACKET * 5);
    let mut ear = Listener::default();
    ear.follow(&world.heard(session, Party::One));
    world.jump(PACKET * 500);
    let heard = world.heard(session, Party::One);
    assert!((10..=12).contains(&heard.len()), "200 ms of it: {}", heard.len());
    let steps = ear.follow(&heard);
    assert!(steps[0].1 && steps[0].0 > 480 * 160, "{steps:?}");
    let lost = world.core.counters().paced_lost;
    assert_eq!(lost + heard.len() as u64, 500);
}

#[test]
fn a_full_outlet_costs_a_packet_of_time_and_no_number() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(8000)));
    let session = world.pair(BOTH);
    world.play(session, Party::One, 1, Repeat::Forever);
    world.pass(PACKET * 5);
    world.sent.refuse = true;
    world.pass(PACKET * 3);
    world.sent.refuse = false;
    world.pass(PACKET * 5);
    let steps = Listener::default().follow(&world.heard(session, Party::One));
    assert_eq!((steps.len(), steps[5]), (10, (640, true)));
    assert_eq!(world.core.counters().paced_lost, 3);
}

#[test]
fn a_sound_in_another_codec_is_translated() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, vec![0x21; 160]));
    let session = world.pair([Codec::Pcmu, Codec::Pcma]);
    world.play(session, Party::One, 1, Repeat::Times(1));
    world.pass(PACKET * 3);
    let heard = world.heard(session, Party::One);
    assert_eq!(sound_of(&heard), [ALAW_TO_ULAW[0x21]; 160]);
    assert_eq!(parse(&heard[0]).0.payload_type, 0);
}

#[test]
fn what_cannot_be_played_is_told() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(80_000)));
    world.sounds.0.insert(2, (Codec::Pcma, Vec::new()));
    let session = world.pair(BOTH);
    world.play(session, Party::One, 77, Repeat::Forever);
    world.play(session, Party::Two, 2, Repeat::Forever);
    world.pass(PACKET * 2);
    let mut told = outcomes(&world);
    told.sort_by_key(|(party, ..)| *party);
    assert_eq!(told, [(Party::One, 77, PlayOutcome::Missing), (Party::Two, 2, PlayOutcome::Finished)]);
    world.events.clear();
    world.play(session, Party::One, 1, Repeat::Times(0));
    world.pass(PACKET * 2);
    world.sounds.0.remove(&1);
    world.pass(PACKET * 2);
    assert_eq!(outcomes(&world), [(Party::One, 1, PlayOutcome::Missing)], "forgotten while it played");
}

#[test]
fn another_source_takes_a_sound_s_place() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(80_000)));
    let session = world.pair(BOTH);
    for source in [Source::Silence, Source::Peer, Source::Sound { sound: Sound(1), repeat: Repeat::Forever }]
    {
        world.events.clear();
        world.play(session, Party::One, 1, Repeat::Forever);
        world.pass(PACKET * 3);
        world.hear(session, Party::One, source);
        assert_eq!(outcomes(&world), [(Party::One, 1, PlayOutcome::Replaced)]);
        world.hear(session, Party::One, Source::Silence);
    }
    world.events.clear();
    world.play(session, Party::Two, 1, Repeat::Forever);
    world.command(Command::Join { session });
    assert!(matches!(
        world.events[..],
        [Event::Played { outcome: PlayOutcome::Replaced, .. }, Event::Joined { .. }]
    ));
}

#[test]
fn a_thousand_prompts_are_spread_over_the_twenty_milliseconds() {
    let mut world = World::new(Limits { sessions: 500, first_port: 20_000, last_port: 29_999, ..limits() });
    world.sounds.0.insert(1, (Codec::Pcma, counting(8000)));
    for _ in 0..500 {
        let session = world.pair(BOTH);
        for party in Party::BOTH {
            world.play(session, party, 1, Repeat::Forever);
        }
    }
    world.pass(PACKET);
    world.sent.packets.clear();
    let before = world.now;
    while world.now.since(before) < PACKET * 5 {
        let sent = world.sent.packets.len();
        world.pass(MILLISECOND);
        let sent = world.sent.packets.len() - sent;
        assert!((45..=55).contains(&sent), "{sent} in one millisecond");
    }
    assert!((4900..=5100).contains(&world.sent.packets.len()));
}

#[test]
fn a_held_listener_misses_what_is_played_meanwhile() {
    let mut world = World::new(limits());
    world.sounds.0.insert(1, (Codec::Pcma, counting(1600)));
    let session = world.pair(BOTH);
    let mut hold = far_end(Party::One, Codec::Pcma);
    hold.send = false;
    world.command(Command::FarEnd { session, party: Party::One, far_end: hold });
    world.play(session, Party::One, 1, Repeat::Times(1));
    world.pass(PACKET * 12);
    assert_eq!(outcomes(&world), [(Party::One, 1, PlayOutcome::Finished)]);
    assert!(world.sent.packets.is_empty());
}
