//! What party 1 hears while party 2 is called, in every ring mode and however party 2 rings; and that each hears the
//! other once they are connected, and not before.

use std::f64::consts::TAU;
use std::fs;

use duogate_phone::codec::Codec;
use duogate_phone::g711::Law;
use duogate_phone::tone::{Heard, Sound, Tone, rounded};
use duogate_phone::{Script, Step, wave};
use duogate_tests::duogate::Duogate;
use duogate_tests::talk::{
    EARLY, Length, PROMPT, RINGBACK, Talk, VOICES, about, at_least, demand, exactly, ms, party,
};
use duogate_tests::wav;
use serde_json::{Value, json};

/// When party 2 rings, after its INVITE.
const RINGS: u64 = 600;
/// When something changes while it rings.
const CHANGES: u64 = 1300;
/// When it answers.
const ANSWERS: u64 = 2200;
/// The prompt's length.
const PROMPT_LENGTH: u64 = 1000;

type Expected = Vec<(Sound, Length)>;

const SILENCE: Sound = Sound::Silence;
const RINGBACK_TONE: Sound = Sound::Tone(RINGBACK);
const EARLY_TONE: Sound = Sound::Tone(EARLY);
const PROMPT_TONE: Sound = Sound::Tone(PROMPT);

/// How party 2 rings, and what of it is to be heard where it is passed through.
fn ringings() -> Vec<(&'static str, Script, Expected)> {
    let (second, early) = (|| party(1), Tone::new(EARLY));
    let long = about(ANSWERS - RINGS);
    // The tone's cadence is one second on and four off: what is left until the answer is its silence.
    let ringback = || vec![(RINGBACK_TONE, exactly(1000)), (SILENCE, about(ANSWERS - RINGS - 1000))];
    let until_quiet = || vec![(EARLY_TONE, about(CHANGES - RINGS)), (SILENCE, about(ANSWERS - CHANGES))];
    let quiet = Step::Speak(Tone::silence());
    vec![
        ("180", second().rings_at(RINGS).answers_at(ANSWERS), ringback()),
        ("183", second().early_media_at(RINGS, early).answers_at(ANSWERS), vec![(EARLY_TONE, long.clone())]),
        (
            "183 that falls silent",
            second().early_media_at(RINGS, early).at(CHANGES, quiet.clone()).answers_at(ANSWERS),
            until_quiet(),
        ),
        (
            "183, then 180 and silence",
            second()
                .early_media_at(RINGS, early)
                .rings_at(RINGS + 200)
                .at(CHANGES, quiet)
                .answers_at(ANSWERS),
            until_quiet(),
        ),
        (
            "180, then 183",
            second().rings_at(RINGS).early_media_at(CHANGES, early).answers_at(ANSWERS),
            vec![(RINGBACK_TONE, about(CHANGES - RINGS)), (EARLY_TONE, about(ANSWERS - CHANGES))],
        ),
        (
            "180 with media",
            second().at(RINGS, Step::EarlyMedia(180, early)).answers_at(ANSWERS),
            vec![(EARLY_TONE, long)],
        ),
    ]
}

/// Runs all ringings at the same time, and demands what `expected` makes of each: what party 1 hears before the
/// voice of party 2.
fn all_ringings(more: &Value, expected: impl Fn(Expected) -> Expected) {
    let duogate = Duogate::start();
    wav::write_tone(&duogate.folder().join("prompts/prompt.wav"), PROMPT, ms(PROMPT_LENGTH));
    let first = || party(0).rings_at(0).answers_at(50);
    let talks = ringings().into_iter().map(|(case, second, passed_through)| {
        (case, Talk::begin(&duogate, [first(), second], more), passed_through)
    });
    for (case, talk, passed_through) in talks.collect::<Vec<_>>() {
        let told = talk.finish();
        let mut all = expected(passed_through);
        all.push((Sound::Tone(VOICES[1]), at_least(600)));
        demand(case, &without_hesitation(told.heard(0), all.len()), &all);
        told.demand_voices_only_after_connected(case);
    }
}

/// What is played ends with the answer, but on a busy host the phone that answered may hesitate before it speaks:
/// without that pause, where it makes a stretch more than is expected.
fn without_hesitation(mut heard: Vec<Heard>, expected: usize) -> Vec<Heard> {
    if let [.., pause, _] = heard[..]
        && heard.len() == expected + 1
        && pause.sound == SILENCE
        && pause.length() <= ms(500)
    {
        heard.remove(heard.len() - 2);
    }
    heard
}

fn prompt(mode: u8) -> Value {
    json!({"ring_play_file": "prompt.wav", "ring_play_mode": mode})
}

#[test]
fn without_a_prompt_ringback_is_passed_through() {
    all_ringings(&json!({}), |passed_through| passed_through);
}

#[test]
fn mode_0_plays_from_the_ringing_on_instead_of_the_ringback() {
    all_ringings(&prompt(0), |_| vec![(PROMPT_TONE, about(ANSWERS - RINGS))]);
}

#[test]
fn mode_1_plays_from_the_call_on_instead_of_the_ringback() {
    all_ringings(&prompt(1), |_| vec![(PROMPT_TONE, about(ANSWERS))]);
}

#[test]
fn mode_2_plays_from_the_call_to_the_ringing() {
    all_ringings(&prompt(2), |passed_through| {
        let mut all = vec![(PROMPT_TONE, about(RINGS))];
        all.extend(passed_through);
        all
    });
}

#[test]
fn mode_3_plays_the_whole_prompt_once_before_the_call() {
    all_ringings(&prompt(3), |passed_through| {
        let mut all = vec![(PROMPT_TONE, exactly(PROMPT_LENGTH)), (SILENCE, about(RINGS))];
        all.extend(passed_through);
        all
    });
}

#[test]
fn an_answer_at_once_ends_what_is_played() {
    let duogate = Duogate::start();
    wav::write_tone(&duogate.folder().join("prompts/prompt.wav"), PROMPT, ms(PROMPT_LENGTH));
    let modes = [json!({}), prompt(0), prompt(1), prompt(2), prompt(3)];
    let talks = modes.map(|mode| {
        let scripts = [party(0).answers_at(0), party(1).answers_at(0)];
        (Talk::begin(&duogate, scripts, &mode), mode)
    });
    for (talk, mode) in talks {
        let (told, case) = (talk.finish(), mode.to_string());
        let mut heard = told.heard(0);
        match mode["ring_play_mode"].as_u64() {
            // The prompt begins with the call; how much is heard of it, if anything, is the signaling's time.
            Some(1 | 2) => heard.retain(|heard| heard.sound == Sound::Tone(VOICES[1])),
            Some(3) => {
                demand(&case, &heard[..1], &[(PROMPT_TONE, PROMPT_LENGTH - 40..=PROMPT_LENGTH + 160)]);
                heard.remove(0);
                heard.retain(|heard| heard.sound != SILENCE);
            }
            _ => {}
        }
        demand(&case, &heard, &[(Sound::Tone(VOICES[1]), at_least(600))]);
        told.demand_voices_only_after_connected(&case);
    }
}

#[test]
fn the_local_ringback_sounds_for_one_second_in_five() {
    let duogate = Duogate::start();
    let second = party(1).rings_at(0).answers_at(5400);
    let told = Talk::begin(&duogate, [party(0).answers_at(0), second], &json!({})).finish();
    let expected = [
        (RINGBACK_TONE, exactly(1000)),
        (SILENCE, exactly(4000)),
        (RINGBACK_TONE, about(400)),
        (Sound::Tone(VOICES[1]), at_least(600)),
    ];
    demand("180 for more than a period", &told.heard(0), &expected);
}

/// A rising tone: no two places in it sound alike.
fn chirp(samples: u32) -> Vec<i16> {
    let value = |place: u32| {
        let time = f64::from(place) / 8000.0;
        rounded(8000.0 * (TAU * (300.0 + 1500.0 * time) * time).sin())
    };
    (0..samples).map(value).collect()
}

#[test]
fn a_prompt_loops_without_a_seam() {
    let duogate = Duogate::start();
    // No whole number of packets, so the seam falls into the middle of one.
    let chirp = chirp(5_237);
    fs::write(duogate.folder().join("prompts/chirp.wav"), wave::write_mono(&chirp)).expect("a prompt");
    let more = json!({"ring_play_file": "chirp.wav", "ring_play_mode": 1});
    let laws = [Codec::Pcma, Codec::Pcmu].map(|codec| (codec, Law::of(codec).expect("one of the two")));
    let talks = laws.map(|(codec, law)| {
        let scripts = [party(0).codecs(&[codec]).answers_at(0), party(1).answers_at(2500)];
        (law, Talk::begin(&duogate, scripts, &more))
    });
    for (law, talk) in talks {
        let told = talk.finish();
        let samples = told.phones[0].samples();
        let start = samples.iter().position(|sample| sample.unsigned_abs() > 50).expect("some sound") - 1;
        let played = &samples[start..start + 2 * 8000];
        let expected = chirp.iter().cycle().map(|sample| law.decode(law.encode(*sample)));
        let expected: Vec<i16> = expected.take(played.len()).collect();
        let mut left_out = 0;
        for (number, (heard, expected)) in played.chunks(160).zip(expected.chunks(160)).enumerate() {
            // A packet that a busy host made far too late is left out, and what follows is in its place.
            if heard.iter().all(|sample| *sample == 0) {
                left_out += 1;
                continue;
            }
            for (heard, expected) in heard.iter().zip(expected) {
                // Encoders may take the neighboring step where a sample lies in the middle.
                let off = heard.abs_diff(*expected);
                let step = expected.unsigned_abs() / 15 + 16;
                assert!(off <= step, "{law:?}: {heard} instead of {expected} in packet {number}");
            }
        }
        assert!(left_out < 25, "{law:?}: {left_out} of 100 packets are missing");
    }
}
