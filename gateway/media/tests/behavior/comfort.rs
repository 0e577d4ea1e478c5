//! Pauses: comfort noise is passed on to who negotiated it, and made for who did not, in one stream with what is said.

use duogate_channel::command::{Command, FarEnd, Repeat, Source};
use duogate_channel::event::Event;
use duogate_channel::g711;
use duogate_channel::identity::Party::{One, Two};
use duogate_channel::identity::{Party, Session};
use duogate_channel::sound::Codec;
use duogate_media::{Made, noise};

use crate::support::{Listener, MILLISECOND, PACKET, Speech, Table, World, far_end, limits, parse};

fn joined(codecs: [Codec; 2]) -> (World, Session) {
    let mut world = World::with_table(limits(), Table::with_taps(true));
    let session = world.pair(codecs);
    world.command(Command::Join { session });
    (world, session)
}

/// The packet after this one, with comfort noise of a level.
fn noise_of(speech: &mut Speech, level: u8) -> Speech {
    let noise = Speech { payload_type: 13, length: 1, byte: level, ..*speech };
    speech.next();
    noise
}

/// The level of what a party heard in these packets, in −dBov.
fn level_of(packets: &[Vec<u8>], codec: Codec) -> u8 {
    let sound = packets.iter().flat_map(|packet| parse(packet).1);
    noise::level(&sound.map(|octet| g711::decode(codec, *octet)).collect::<Vec<_>>())
}

/// A helper that makes 160 octets of 0x33 of anything, at once.
fn help(world: &mut World, floor: Option<u8>) {
    for (payload, job) in std::mem::take(&mut world.jobs) {
        let payload = if job.is_sound() { vec![0x33; 160] } else { payload };
        let recorded: &[u8] = if job.wanted().2 { &[0x33; 160] } else { &[] };
        let made = Made::Good { payload: &payload, recorded, floor };
        world.core.helped(world.now, &job, made, &mut world.sent, &mut world.tape);
    }
}

#[test]
fn rfc3389_a_pause_sounds_as_loud_as_its_speaker_says_to_who_does_not_know_comfort_noise() {
    for (codecs, level) in
        [([Codec::Pcma, Codec::Pcma], 45), ([Codec::Pcmu, Codec::Pcma], 52), ([Codec::Pcma, Codec::Pcmu], 60)]
    {
        let (mut world, session) = joined(codecs);
        let mut one = Speech { payload_type: codecs[0].payload_type(), ..Speech::new(5, 100, 4_000) };
        world.chat(session, One, &mut one, 5);
        assert_eq!(world.is_on(session, One), codecs[0] == codecs[1]);
        let packet = noise_of(&mut one, level);
        assert!(world.arrive(session, One, packet.bytes()).is_err(), "it is not passed on");
        assert!(!world.is_on(session, One));
        world.pass(PACKET * 50);
        let speaking: Vec<_> = world.heard(session, Two);
        assert!((54..=56).contains(&speaking.len()), "{}", speaking.len());
        let found = level_of(&speaking[6..], codecs[1]);
        assert!(found.abs_diff(level) <= 2, "{codecs:?}: {found} for {level}");
        // Louder now, as it says after a while.
        one.timestamp += 160 * 49;
        world.arrive(session, One, noise_of(&mut one, level - 10).bytes()).unwrap_err();
        world.pass(PACKET * 25);
        let louder = world.heard(session, Two);
        assert!(level_of(&louder[1..], codecs[1]).abs_diff(level - 10) <= 2, "{codecs:?}");
        one.timestamp += 160 * 24;
        world.chat(session, One, &mut one, 5);
        world.pass(PACKET * 10);
        let again = world.heard(session, Two);
        assert_eq!(again.len(), 5, "what is said again ends the noise");
        let mut ear = Listener::default();
        let steps: Vec<_> = [speaking, louder, again].iter().flat_map(|heard| ear.follow(heard)).collect();
        let marked = steps.iter().filter(|(_, marker)| *marker).count();
        assert_eq!(
            marked, 3,
            "one at the beginning, one where the noise begins, one where it ends: {steps:?}"
        );
        assert!(steps[1..].iter().all(|(step, marker)| *step == 160 || *marker && (160..480).contains(step)));
        assert_eq!(world.is_on(session, One), codecs[0] == codecs[1], "and the path takes it again");
    }
}

#[test]
fn a_translated_speaker_who_pauses_without_a_word_is_heard_to_breathe() {
    for (to, byte) in [(Codec::Pcma, None), (Codec::Opus, Some(0x4e))] {
        let (mut world, session) = joined([Codec::G722, to]);
        let mut one = Speech { payload_type: 9, ..Speech::new(5, 100, 4_000) };
        for _ in 0..5 {
            world.arrive(session, One, one.next().bytes()).unwrap();
            help(&mut world, Some(58));
            world.pass(PACKET);
        }
        assert_eq!(world.heard(session, Two).len(), 5);
        world.pass(PACKET * 4);
        assert!(world.heard(session, Two).is_empty(), "a network may be as late");
        world.pass(PACKET * 26);
        let noise = world.heard(session, Two);
        assert!((23..=26).contains(&noise.len()), "{}", noise.len());
        match byte {
            None => assert!(level_of(&noise, to).abs_diff(58) <= 2),
            Some(byte) => assert!(noise.iter().all(|packet| parse(packet).1.iter().all(|at| *at == byte))),
        }
        world.pass(PACKET * 100);
        let all = 23 + world.heard(session, Two).len();
        assert!((45..=52).contains(&all), "who is gone is not covered up: {all}");
        one.timestamp += 160 * 130;
        world.arrive(session, One, one.next().bytes()).unwrap();
        help(&mut world, Some(58));
        world.pass(MILLISECOND * 100);
        assert_eq!(world.heard(session, Two).len(), 1);
    }
}

#[test]
fn who_negotiated_comfort_noise_makes_it_itself() {
    for codecs in [[Codec::Pcma, Codec::Pcmu], [Codec::G722, Codec::Pcma]] {
        let (mut world, session) = joined(codecs);
        let knows = FarEnd { comfort_noise: Some(13), ..far_end(Two, codecs[1]) };
        world.command(Command::FarEnd { session, party: Two, far_end: knows });
        let mut one = Speech { payload_type: codecs[0].payload_type(), ..Speech::new(5, 100, 4_000) };
        for packet in [one.next(), noise_of(&mut one, 60)] {
            world.arrive(session, One, packet.bytes()).unwrap();
            help(&mut world, None);
        }
        world.pass(MILLISECOND * 100);
        let types: Vec<u8> =
            world.heard(session, Two).iter().map(|packet| parse(packet).0.payload_type).collect();
        assert_eq!(types, [codecs[1].payload_type(), 13]);
        let counters = world.core.counters();
        assert_eq!((counters.noise_passed, counters.noise_made), (1, 0));
    }
}

#[test]
fn a_prompt_and_keys_go_before_noise_and_nothing_of_it_is_left_behind() {
    let (mut world, session) = joined([Codec::Pcma, Codec::Pcma]);
    world.sounds.0.insert(1, (Codec::Pcma, vec![0x21; 1_600]));
    let mut one = Speech::new(5, 100, 4_000);
    world.chat(session, One, &mut one, 3);
    let _ = world.arrive(session, One, noise_of(&mut one, 60).bytes());
    world.pass(PACKET * 10);
    world.prompt(session, Two, 1, 1, Repeat::Times(1));
    world.pass(PACKET * 20);
    let heard = world.heard(session, Two);
    let prompt = heard.iter().filter(|packet| parse(packet).1.iter().all(|octet| *octet == 0x21)).count();
    let noise = world.core.counters().noise_made;
    assert!(noise > 10 && world.core.counters().noise_passed == 0, "{noise}");
    let last_is_noise = heard.last().is_some_and(|packet| parse(packet).1[0] != 0x21);
    assert!(prompt == 10 && last_is_noise, "{prompt} packets of the prompt, and noise again");
    Listener::default().follow(&heard);
    // What a party hears instead, a speaker on hold, and the end of the call: no noise.
    world.hear(session, Two, Source::Silence);
    world.pass(PACKET * 5);
    assert!(world.heard(session, Two).is_empty());
    world.hear(session, Two, Source::Peer);
    let _ = world.arrive(session, One, noise_of(&mut one, 60).bytes());
    world.pass(PACKET * 5);
    assert!(world.heard(session, Two).len() >= 4);
    let held = FarEnd { receive: false, ..far_end(One, Codec::Pcma) };
    world.command(Command::FarEnd { session, party: One, far_end: held });
    world.pass(PACKET * 5);
    assert!(world.heard(session, Two).is_empty());
    world.command(Command::FarEnd { session, party: One, far_end: far_end(One, Codec::Pcma) });
    let _ = world.arrive(session, One, noise_of(&mut one, 60).bytes());
    world.command(Command::Close { session });
    world.sent.packets.clear();
    world.pass(PACKET * 5);
    assert!(world.sent.packets.is_empty());
}

#[test]
fn keys_are_sent_as_tones_in_codecs_that_only_a_library_speaks() {
    for codec in [Codec::G722, Codec::Opus] {
        let (mut world, session) = joined([codec, codec]);
        let deaf = FarEnd { telephone_event: None, ..far_end(One, codec) };
        world.command(Command::FarEnd { session, party: One, far_end: deaf });
        world.dial(session, One, 3, "12");
        world.pass(PACKET * 22);
        let heard = world.heard(session, One);
        let tones: Vec<bool> = heard.iter().map(|packet| parse(packet).1[0] == 0x4b).collect();
        assert_eq!(tones, (0..20).map(|step| step % 10 < 5).collect::<Vec<_>>());
        for pair in heard.windows(2) {
            let [before, after] = [&pair[0], &pair[1]].map(|packet| parse(packet).0);
            assert_eq!(after.timestamp.wrapping_sub(before.timestamp), 160 * codec.ticks());
            assert_eq!((after.sequence, after.marker), (before.sequence.wrapping_add(1), false));
        }
    }
}

#[test]
fn keys_are_heard_as_tones_in_those_codecs_where_a_helper_decodes_them() {
    // What the gateway itself sends as tones in A-law.
    let tones = |keys: &str| {
        let (mut world, session) = joined([Codec::Pcma; 2]);
        let deaf = FarEnd { telephone_event: None, ..far_end(One, Codec::Pcma) };
        world.command(Command::FarEnd { session, party: One, far_end: deaf });
        world.dial(session, One, 1, keys);
        world.pass(PACKET * 60);
        world.heard(session, One).into_iter().map(|packet| parse(&packet).1.to_vec()).collect::<Vec<_>>()
    };
    for codecs in [[Codec::G722, Codec::G722], [Codec::Opus, Codec::Pcma]] {
        let (mut world, session) = joined(codecs);
        assert_eq!(world.core.helped_sessions(), u32::from(codecs[0] != codecs[1]));
        let tones_only = FarEnd { telephone_event: None, in_band: true, ..far_end(One, codecs[0]) };
        world.command(Command::FarEnd { session, party: One, far_end: tones_only });
        assert_eq!(world.core.helped_sessions(), 1, "a place to decode what is searched");
        let mut one =
            Speech { payload_type: codecs[0].payload_type(), byte: 0x08, ..Speech::new(5, 100, 4_000) };
        for sound in tones("4#").into_iter().chain(vec![vec![0xd5; 160]; 8]) {
            let packet = one;
            one.sequence += 1;
            one.timestamp += 160 * codecs[0].ticks();
            world.arrive(session, One, packet.bytes()).unwrap();
            for (_, job) in std::mem::take(&mut world.jobs) {
                let made = Made::Good { payload: &[0; 160], recorded: &sound, floor: None };
                world.core.helped(world.now, &job, made, &mut world.sent, &mut world.tape);
            }
            world.pass(PACKET);
        }
        let keys: Vec<(Party, char)> = world
            .events
            .iter()
            .filter_map(|event| match event {
                Event::Pressed { party, key, .. } => Some((*party, key.sign())),
                _ => None,
            })
            .collect();
        assert_eq!(keys, [(One, '4'), (One, '#')], "{codecs:?}");
    }
}
