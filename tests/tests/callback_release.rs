//! CTI actions in the moments in which a callback is being released: each that is accepted ends once, before the release
//! is told (a recording is saved and told after it), and each that is refused leaves no trace.

use std::time::Duration;

use duogate_phone::Step;
use duogate_tests::scene::{Scene, answers};
use duogate_tests::wav;
use serde_json::{Value, json};

/// What is started, with what, and the event that ends it.
fn starts(party: u8, round: usize) -> [(&'static str, Value, &'static str); 4] {
    [
        ("play_start", json!({"party": party, "content": "one.wav", "repeat": -1}), "on_play_completed"),
        ("send_dtmf_start", json!({"party": party, "keys": "1234"}), "on_send_dtmf_completed"),
        ("receive_dtmf_start", json!({"party": party, "max_keys": 4}), "on_receive_dtmf_completed"),
        ("record_start", json!({"record_file": format!("{round}.wav")}), "on_record_completed"),
    ]
}

/// Lets a party or the application end a call, and starts every action around that moment. Gives how many were accepted.
fn round(scene: &mut Scene, number: usize, end: impl FnOnce(&mut Scene, &str)) -> usize {
    let res_id = scene.connect(&json!({}));
    let party = if number.is_multiple_of(2) { 1 } else { 2 };
    end(scene, &res_id);
    // The moments of a release are few: each round begins at another one. This waits for nothing.
    std::thread::sleep(Duration::from_micros(700) * u32::try_from(number / 2).expect("a few rounds"));
    let mut accepted = Vec::new();
    let mut starts = starts(party, number);
    starts.rotate_left(number % 4);
    for (method, mut parameters, event) in starts {
        parameters["res_id"] = res_id.as_str().into();
        match scene.application.call(&format!("ext.duo_callback.{method}"), &parameters) {
            Ok(_) => accepted.push(event),
            Err(refusal) => assert_eq!(refusal.data["reason"], "wrong_state", "{method}: {refusal:?}"),
        }
    }
    let story = scene.story(&res_id, 2);
    let names = story.names();
    let place = |name: &str| names.iter().position(|seen| *seen == name);
    for event in
        ["on_play_completed", "on_send_dtmf_completed", "on_receive_dtmf_completed", "on_record_completed"]
    {
        let expected = usize::from(accepted.contains(&event));
        assert_eq!(story.count(event), expected, "round {number}, {event}: {names:?}");
        if expected == 1 && event != "on_record_completed" {
            assert!(place(event) < place("on_released"), "round {number}, {event}: {names:?}");
        }
    }
    accepted.len()
}

fn scene() -> Scene {
    let scene = Scene::new([answers(0), answers(1)]);
    wav::write_tone(&scene.duogate.folder().join("prompts/one.wav"), 1_300, Duration::from_secs(1));
    scene
}

#[test]
fn actions_around_a_partys_bye_end_once_or_are_refused() {
    let mut scene = scene();
    let accepted: Vec<usize> = (0..16)
        .map(|number| round(&mut scene, number, |scene, _| scene.phones[number / 2 % 2].act(Step::HangUp)))
        .collect();
    // Before and after, both were tried.
    let all: usize = accepted.iter().sum();
    assert!((1..16 * 4).contains(&all), "{accepted:?}");
    scene.demand_no_media();
}

#[test]
fn actions_after_a_drop_are_refused() {
    let mut scene = scene();
    for number in 0..4 {
        let accepted = round(&mut scene, number, |scene, res_id| {
            scene.application.resource("drop", res_id).expect("a call that is up can be dropped");
        });
        assert_eq!(accepted, 0, "round {number}");
    }
    scene.demand_no_media();
}
