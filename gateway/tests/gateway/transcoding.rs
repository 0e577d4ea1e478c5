//! Parties that speak different codecs: the same tone at the other ear, in one stream.

use std::f64::consts::TAU;
use std::time::Duration;

use duogate_channel::command::Repeat;
use duogate_channel::identity::Party;
use duogate_channel::sound::{Codec, RecordHold};
use duogate_codecs::{Decoder, Encoder, Purpose, Rate};

use crate::house::Gateway;
use crate::party::{Packet, Phone, call, joined, paced};
use crate::tape::{Tape, demand_tones};

/// Hertz of what party 1 and party 2 say.
pub(crate) const TONES: [f64; 2] = [700.0, 1_300.0];

/// A tone in packets of 20 ms.
pub(crate) fn packets(codec: Codec, frequency: f64, count: usize) -> Vec<Vec<u8>> {
    let mut encoder = Encoder::new(codec, Rate::Narrow, Purpose::Talk).unwrap();
    let sample = |at: usize| {
        let phase = TAU * frequency * f64::from(u32::try_from(at).unwrap()) / 8_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "within 16 bits")]
        let sample = (8_000.0 * phase.sin()).round() as i16;
        sample
    };
    (0..count)
        .map(|number| {
            let samples: Vec<i16> = (number * 160..(number + 1) * 160).map(sample).collect();
            let mut payload = Vec::new();
            encoder.encode(&samples, &mut payload).unwrap();
            payload
        })
        .collect()
}

pub(crate) fn decoded(codec: Codec, packets: &[Packet]) -> Vec<i16> {
    let mut decoder = Decoder::new(codec, Rate::Narrow).unwrap();
    let mut samples = Vec::new();
    packets.iter().for_each(|packet| decoder.decode(&packet.payload, &mut samples).unwrap());
    samples
}

/// The share of the power that lies at one frequency.
pub(crate) fn purity(samples: &[i16], frequency: f64) -> f64 {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (at, sample) in samples.iter().enumerate() {
        let phase = TAU * frequency * f64::from(u32::try_from(at).unwrap()) / 8_000.0;
        let value = f64::from(*sample);
        (sine, cosine) = (sine + value * phase.sin(), cosine + value * phase.cos());
        power += value * value;
    }
    let count = f64::from(u32::try_from(samples.len()).unwrap());
    2.0 * (sine * sine + cosine * cosine) / (count * power.max(1.0))
}

/// Both talk for so many packets; gives what each heard.
fn converse(phones: &mut [Phone; 2], count: usize) -> [Vec<Packet>; 2] {
    let said = [0, 1].map(|party| packets(phones[party].codec, TONES[party], count));
    paced(0..count, |number| {
        for (phone, said) in phones.iter_mut().zip(&said) {
            phone.say(&said[number]);
        }
    });
    [0, 1].map(|party| {
        std::iter::from_fn(|| phones[party].hear_within(Duration::from_millis(100))).collect::<Vec<_>>()
    })
}

/// What was heard without the noise of the pause after it, which begins with a marker of its own.
fn said(heard: &[Packet]) -> &[Packet] {
    let pause = heard.iter().skip(1).position(|packet| packet.marker).map_or(heard.len(), |at| at + 1);
    assert!(pause >= 19, "a marker before the pause");
    &heard[..pause]
}

/// The rules that the listener's stream keeps, whatever happens behind it.
fn check_stream(heard: &[Packet], codec: Codec) {
    let heard = said(heard);
    for pair in heard.windows(2) {
        assert_eq!(pair[1].ssrc, pair[0].ssrc);
        assert_eq!(pair[1].sequence, pair[0].sequence.wrapping_add(1));
        assert_eq!(pair[1].timestamp.wrapping_sub(pair[0].timestamp), 160 * codec.ticks());
        assert_eq!(pair[1].payload_type, codec.payload_type());
    }
    assert!(
        heard[0].marker && heard[1..].iter().all(|packet| !packet.marker),
        "one marker, at the beginning"
    );
}

#[test]
fn a_tone_in_any_codec_is_the_same_tone_in_any_other() {
    let gateway = Gateway::start("");
    let mut control = gateway.attach();
    for codecs in [
        [Codec::Opus, Codec::Pcma],
        [Codec::G722, Codec::Pcmu],
        [Codec::Opus, Codec::G722],
        [Codec::Opus, Codec::Opus],
        [Codec::G722, Codec::G722],
    ] {
        let (session, mut phones) = joined(&mut control, codecs);
        let heard = converse(&mut phones, 60);
        for (listener, speaker) in [(0, 1), (1, 0)] {
            let heard = &heard[listener];
            assert!(heard.len() >= 59, "{codecs:?}: {} of 60 packets", heard.len());
            check_stream(heard, codecs[listener]);
            let samples = decoded(codecs[listener], said(heard));
            let share = purity(&samples[1_600..], TONES[speaker]);
            assert!(share > 0.95, "{codecs:?}: {share} of what party {listener} heard is the other's tone");
        }
        control.close(session);
    }
}

#[test]
fn another_codec_in_the_middle_of_a_call_leaves_no_seam() {
    let (_gateway, mut control, session, mut phones) = call([Codec::Pcma, Codec::Pcma]);
    let first = converse(&mut phones, 20);
    // A re-INVITE: party 1 speaks Opus from now on.
    (phones[0].codec, phones[0].payload_type) = (Codec::Opus, Codec::Opus.payload_type());
    control.far_end(session, Party::One, phones[0].far_end());
    let second = converse(&mut phones, 40);
    let all: Vec<Packet> = first[1].iter().chain(&second[1]).cloned().collect();
    for pair in all.windows(2) {
        assert_eq!((pair[1].ssrc, pair[1].sequence), (pair[0].ssrc, pair[0].sequence.wrapping_add(1)));
        let step = pair[1].timestamp.wrapping_sub(pair[0].timestamp);
        assert!(
            step >= 160 && (step == 160 || pair[1].marker),
            "{step}: time passes, and a jump has a marker"
        );
    }
    assert!(purity(&decoded(Codec::Pcma, said(&second[1]))[1_600..], TONES[0]) > 0.95);
    // The stream to party 1 has another clock, but no other name, and no hole.
    let (last, next) = (first[0].last().unwrap(), &second[0][0]);
    assert_eq!((next.ssrc, next.sequence), (last.ssrc, last.sequence.wrapping_add(1)));
    assert!(next.marker);
    check_stream(&second[0], Codec::Opus);
    assert!(purity(&decoded(Codec::Opus, said(&second[0]))[1_600..], TONES[1]) > 0.95);
}

#[test]
fn what_g722_and_opus_parties_say_is_in_the_recording() {
    for codecs in [[Codec::Opus, Codec::Pcma], [Codec::G722, Codec::G722]] {
        let (gateway, mut control, session, mut phones) = call(codecs);
        let tape = Tape::begin(&mut control, (&gateway, session), RecordHold::Silence);
        let heard = converse(&mut phones, 75);
        assert!(heard.iter().all(|heard| heard.len() >= 74), "{codecs:?}");
        demand_tones(&tape.end(&mut control), &format!("{codecs:?}"));
    }
}

#[test]
fn prompts_are_played_in_g722_and_opus() {
    let (_gateway, mut control, session, mut phones) = call([Codec::G722, Codec::Opus]);
    for (party, phone) in Party::BOTH.into_iter().zip(&mut phones) {
        let mut encoder = Encoder::new(phone.codec, Rate::Narrow, Purpose::Prompt).unwrap();
        let mut octets = Vec::new();
        for packet in decoded(
            Codec::Pcma,
            &packets(Codec::Pcma, 900.0, 50)
                .into_iter()
                .map(|payload| phone.next(&payload))
                .collect::<Vec<_>>(),
        )
        .chunks(160)
        {
            encoder.encode(packet, &mut octets).unwrap();
        }
        let sound = control.sound(phone.codec, &octets);
        control.play(session, party, sound, Repeat::Times(1));
    }
    for phone in &phones {
        let heard: Vec<Packet> = (0..50).map(|_| phone.hear()).collect();
        check_stream(&heard, phone.codec);
        assert!(purity(&decoded(phone.codec, &heard)[1_600..], 900.0) > 0.95, "{:?}", phone.codec);
    }
}

#[test]
fn beyond_the_places_nothing_is_translated_and_the_rest_goes_on() {
    let gateway = Gateway::start("max_transcoded = 1");
    let mut control = gateway.attach();
    let codecs = [Codec::G722, Codec::Pcma];
    let (first, mut helped) = joined(&mut control, codecs);
    let (second, mut left) = joined(&mut control, codecs);
    assert!(converse(&mut helped, 10)[1].len() >= 9);
    assert_eq!(converse(&mut left, 10).map(|heard| heard.len()), [0, 0]);
    // The place of a call that has ended is another's.
    control.close(first);
    control.far_end(second, Party::One, left[0].far_end());
    assert!(converse(&mut left, 10)[1].len() >= 9);
}
