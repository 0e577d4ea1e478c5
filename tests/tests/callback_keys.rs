//! Keys by each way that a trunk may be told: tones in the sound, telephone-events, and neither.

use std::time::Duration;

use duogate_phone::tone::Tone;
use duogate_phone::{Script, Step};
use duogate_tests::duogate::Changes;
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, VOICES, answers};
use serde_json::json;

/// Tones of the keys 1, 5 and #, in hertz.
const ONE: [u16; 2] = [697, 1209];
const FIVE: [u16; 2] = [770, 1336];
const HASH: [u16; 2] = [941, 1477];

fn scene(dtmf: &str) -> Scene {
    let changes = Changes::none().with("[trunk]", &format!("dtmf = \"{dtmf}\""));
    Scene::with(&changes, [answers(0), answers(1)])
}

/// Party 1 presses keys as a telephone without telephone-events does: 120 ms of tones each, its voice between them.
fn press(scene: &Scene, keys: &[[u16; 2]]) {
    for frequencies in keys {
        scene.phones[0].act(Step::Speak(Tone { frequencies: *frequencies, amplitude: 6_000 }));
        std::thread::sleep(Duration::from_millis(120));
        scene.phones[0].act(Step::Speak(Tone::new(VOICES[0])));
        std::thread::sleep(Duration::from_millis(120));
    }
}

fn told(scene: &Scene) -> String {
    let pressed = scene.seen.iter().filter(|event| event.name == "on_dtmf");
    pressed.filter_map(|event| event.fields["key"].as_str().map(str::to_owned)).collect()
}

#[test]
fn tones_in_the_sound_are_keys_on_a_trunk_that_says_so_and_are_collected() {
    let mut scene = scene("inband");
    let res_id = scene.connect(&json!({}));
    let offer = String::from_utf8_lossy(&scene.phones[0].invites()[0]).into_owned();
    assert!(!offer.contains("telephone-event"), "{offer}");
    let collect = json!({"res_id": res_id, "party": 1, "max_keys": 10, "finish_keys": "#"});
    scene.application.call("ext.duo_callback.receive_dtmf_start", &collect).expect("it is allowed");
    press(&scene, &[ONE, FIVE, FIVE, HASH]);
    scene.until("on_receive_dtmf_completed");
    let collected = &scene.seen.last().expect("it came").fields;
    assert_eq!((&collected["keys"], &collected["finish_key"]), (&json!("155"), &json!("#")));
    assert_eq!(told(&scene), "155#", "each once");
    // Keys to such a party are tones, too.
    let send = json!({"res_id": res_id, "party": 1, "keys": "5"});
    scene.application.call("ext.duo_callback.send_dtmf_start", &send).expect("it is allowed");
    scene.until("on_send_dtmf_completed");
    let tone = Tone { frequencies: FIVE, amplitude: 0 };
    until("party 1 hears the tones", STEP, || {
        let heard = scene.phones[0].heard(&[tone, Tone::new(VOICES[1])]);
        heard.iter().any(|heard| {
            heard.sound == duogate_phone::tone::Sound::Tone(FIVE[0])
                && heard.length() >= Duration::from_millis(60)
        })
    });
    assert!(scene.phones[0].reception().keys.is_empty(), "and no events");
}

#[test]
fn tones_are_sound_and_events_are_keys_elsewhere() {
    let mut scene = scene("rfc4733");
    scene.connect(&json!({}));
    press(&scene, &[ONE]);
    scene.phones[0].act(Step::Press("7".into()));
    scene.until("on_dtmf");
    assert_eq!(told(&scene), "7");
}

#[test]
fn a_party_whose_keys_come_by_info_is_offered_no_events() {
    let scene = Scene::with(
        &Changes::none().with("[trunk]", "dtmf = \"info\""),
        [answers(0), Script { keys: true, ..answers(1) }],
    );
    let mut scene = scene;
    scene.connect(&json!({}));
    for phone in &scene.phones {
        let invite = String::from_utf8_lossy(&phone.invites()[0]).into_owned();
        assert!(!invite.contains("telephone-event"), "{invite}");
    }
}
