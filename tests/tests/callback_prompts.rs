//! Prompts that players are asked for: lists without a seam, and files that change between two calls.

use std::fs;
use std::path::PathBuf;
use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, samples_in};
use duogate_phone::{Script, Step, wave};
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, answers};
use duogate_tests::wav;
use serde_json::{Value, json};

/// Party 1 is to hear the prompt and nothing else.
fn scene() -> Scene {
    Scene::new([answers(0), Script { voice: Tone::silence(), ..answers(1) }])
}

fn prompt(scene: &Scene, name: &str) -> PathBuf {
    scene.duogate.folder().join("prompts").join(name)
}

/// Plays to party 1 until the end.
fn play(scene: &mut Scene, res_id: &str, content: &Value) {
    let parameters = json!({"res_id": res_id, "party": 1, "content": content});
    scene.application.call("ext.duo_callback.play_start", &parameters).expect("it is allowed");
    scene.until("on_play_completed");
    let error = &scene.seen.last().expect("it came").fields["error"];
    assert!(error.is_null(), "{error}");
}

#[test]
fn a_list_of_two_halves_of_one_tone_is_heard_as_one_tone() {
    let mut scene = scene();
    let length = Duration::from_secs(2);
    let whole = Tone::new(1300).samples(length);
    // The joint falls into the middle of a packet and of the tone's period.
    let (first, second) = whole.split_at(5_237);
    for (name, samples) in [("first.wav", first), ("second.wav", second)] {
        fs::write(prompt(&scene, name), wave::write_mono(samples)).expect("a prompt");
    }
    let res_id = scene.connect(&json!({}));
    // What came before is the tone while party 2 rang.
    let before = scene.phones[0].samples().len();
    play(&mut scene, &res_id, &json!(["first.wav", "second.wav"]));
    let heard = || scene.phones[0].samples();
    let begin = || Some(before + heard()[before..].iter().position(|sample| sample.unsigned_abs() > 1_000)?);
    until("all of it", STEP, || begin().is_some_and(|begin| heard().len() > begin + whole.len()));
    // The tone begins at zero: where it has become loud, it is a few samples old.
    let loud = whole.iter().position(|sample| sample.unsigned_abs() > 1_000).expect("a tone");
    let begin = begin().expect("just seen") - loud;
    let samples = heard();
    let mut left_out = 0;
    for (number, (heard, meant)) in samples[begin..].chunks(160).zip(whole.chunks(160)).enumerate() {
        // A packet that a busy host made far too late is left out, and what follows is in its place.
        if heard.iter().all(|sample| sample.unsigned_abs() < 50) {
            left_out += 1;
            continue;
        }
        for (heard, meant) in heard.iter().zip(meant) {
            // A-law's step, and a neighbor where a sample lies in the middle.
            let step = meant.unsigned_abs() / 15 + 16;
            assert!(heard.abs_diff(*meant) <= step, "{heard} instead of {meant} in packet {number}");
        }
    }
    assert!(left_out < 25, "{left_out} of 100 packets are missing");
    assert_eq!(samples_in(length), whole.len() as u64);
    let violations = scene.phones[0].reception().violations;
    assert_eq!(violations, [], "one stream, by the rules");
}

#[test]
fn a_prompt_that_was_changed_between_two_calls_is_heard_as_it_is_now() {
    const TONES: [u16; 2] = [1300, 1700];
    let mut scene = scene();
    let listen = TONES.map(Tone::new);
    for hertz in TONES {
        // As long and as large as the one before: only what it holds and when it was written differ.
        wav::write_tone(&prompt(&scene, "prompt.wav"), hertz, Duration::from_secs(1));
        let res_id = scene.connect(&json!({}));
        play(&mut scene, &res_id, &json!("prompt.wav"));
        until("the prompt as it is now", STEP, || {
            let heard = scene.phones[0].heard(&listen);
            let of = |hertz| heard.iter().filter(move |heard| heard.sound == Sound::Tone(hertz));
            let length: Duration = of(hertz).map(|heard| heard.length()).sum();
            let other = TONES.into_iter().filter(|other| *other != hertz).flat_map(of).count();
            length > Duration::from_millis(700) && other == 0
        });
        scene.phones[0].act(Step::HangUp);
        scene.until("on_released");
    }
}
