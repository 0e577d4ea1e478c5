//! Prompts and tones.

use std::time::{Duration, Instant};

use duogate_channel::command::Repeat;
use duogate_channel::event::{Event, PlayOutcome};
use duogate_channel::identity::{Party, Sound};
use duogate_channel::sound::Codec;

use crate::house::Gateway;
use crate::party::opened;

#[test]
fn a_prompt_is_paced_and_reported() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, [one, _two]) = opened(&mut control, [Codec::Pcma, Codec::Pcma]);
    let octets: Vec<u8> = (0..50u8).flat_map(|frame| [frame; 160]).collect();
    let sound = control.sound(Codec::Pcma, &octets);
    control.play(session, Party::One, sound, Repeat::Times(1));
    let first = one.hear();
    let start = Instant::now();
    assert!(first.marker, "a new source begins with a marker");
    let mut last = first.clone();
    let mut heard = first.payload;
    for _ in 1..50 {
        let packet = one.hear();
        assert_eq!(packet.sequence, last.sequence.wrapping_add(1));
        assert_eq!(packet.timestamp, last.timestamp.wrapping_add(160));
        assert_eq!(packet.ssrc, last.ssrc);
        heard.extend(&packet.payload);
        last = packet;
    }
    let took = start.elapsed();
    assert_eq!(heard, octets);
    assert!((970..1100).contains(&took.as_millis()), "49 packets took {took:?}");
    let outcome = PlayOutcome::Finished;
    assert_eq!(control.event(), Event::Played { session, party: Party::One, sound, outcome });
}

#[test]
fn a_prompt_is_translated_to_the_listeners_codec() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, [one, _two]) = opened(&mut control, [Codec::Pcmu, Codec::Pcma]);
    let sound = control.sound(Codec::Pcma, &[0xaa; 320]);
    control.play(session, Party::One, sound, Repeat::Forever);
    for _ in 0..5 {
        let packet = one.hear();
        assert_eq!((packet.payload_type, packet.payload), (0, vec![0x80; 160]));
    }
}

#[test]
fn a_forgotten_sound_plays_on_and_an_unknown_one_is_reported() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    let (session, [one, _two]) = opened(&mut control, [Codec::Pcma, Codec::Pcma]);
    let sound = control.sound(Codec::Pcma, &[1; 800]);
    control.play(session, Party::One, sound, Repeat::Forever);
    one.hear();
    let message = duogate_channel::message::ToGateway::ForgetSound { sound };
    control.attachment.connection.send(&message, &[]).unwrap();
    let end = Instant::now() + Duration::from_millis(2500);
    while Instant::now() < end {
        assert_eq!(one.hear().payload, vec![1; 160]);
    }
    let unknown = Sound(4711);
    control.play(session, Party::Two, unknown, Repeat::Times(1));
    let outcome = PlayOutcome::Missing;
    assert_eq!(control.event(), Event::Played { session, party: Party::Two, sound: unknown, outcome });
}
