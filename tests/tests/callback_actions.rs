//! CTI actions on real calls: prompts at the right ear, keys sent and pressed, keys collected, recordings on demand.

use std::time::Duration;

use duogate_phone::Step;
use duogate_phone::phone::Phone;
use duogate_phone::tone::{Sound, Tone};
use duogate_tests::application::{Event, RpcError};
use duogate_tests::duogate::Changes;
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, VOICES, answers, rings};
use duogate_tests::story::Story;
use duogate_tests::wav;
use serde_json::{Value, json};

/// Two prompts, in hertz.
const PROMPTS: [u16; 2] = [1300, 1700];
const SECOND: Duration = Duration::from_secs(1);

fn scene() -> Scene {
    with_prompts(Scene::new([answers(0), answers(1)]))
}

fn with_prompts(scene: Scene) -> Scene {
    for (name, hertz) in ["one.wav", "two.wav"].into_iter().zip(PROMPTS) {
        wav::write_tone(&scene.duogate.folder().join("prompts").join(name), hertz, SECOND);
    }
    scene
}

fn call(scene: &mut Scene, res_id: &str, method: &str, more: &Value) -> Result<Value, RpcError> {
    let mut params = more.clone();
    params["res_id"] = res_id.into();
    scene.application.call(&format!("ext.duo_callback.{method}"), &params)
}

/// Starts or stops an action.
fn act(scene: &mut Scene, res_id: &str, method: &str, more: &Value) {
    assert_eq!(call(scene, res_id, method, more).expect("it is allowed"), json!({}));
}

/// What a phone heard, in hertz, without what is shorter than 200 ms.
fn heard(phone: &Phone) -> Vec<(u16, Duration)> {
    let tones = [VOICES[0], VOICES[1], PROMPTS[0], PROMPTS[1]].map(Tone::new);
    let heard = phone.heard(&tones).into_iter();
    let tone = |sound| match sound {
        Sound::Tone(hertz) => Some(hertz),
        _ => None,
    };
    let long = heard.filter(|heard| heard.length() > Duration::from_millis(200));
    let mut found: Vec<(u16, Duration)> = Vec::new();
    for (hertz, length) in long.filter_map(|heard| Some((tone(heard.sound)?, heard.length()))) {
        match found.last_mut() {
            Some((last, total)) if *last == hertz => *total += length,
            _ => found.push((hertz, length)),
        }
    }
    found
}

fn hertz(phone: &Phone) -> Vec<u16> {
    heard(phone).into_iter().map(|(hertz, _)| hertz).collect()
}

fn demand_clean(scene: &Scene) {
    for phone in &scene.phones {
        let reception = phone.reception();
        assert_eq!(reception.violations, [], "one stream, by the rules");
        assert_eq!(reception.lost, 0);
    }
}

fn last<'a>(scene: &'a Scene, name: &str) -> &'a Event {
    scene.seen.iter().rev().find(|event| event.name == name).expect("it came")
}

#[test]
fn a_prompt_is_heard_by_its_party_alone_and_the_other_one_afterwards() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    act(&mut scene, &res_id, "play_start", &json!({"party": 1, "content": ["one.wav", "two.wav"]}));
    assert_eq!(scene.view(&res_id)["action"]["party1"]["play"], true);
    let again = json!({"party": 1, "content": "two.wav"});
    let refused = call(&mut scene, &res_id, "play_start", &again).unwrap_err();
    assert_eq!((refused.code, &refused.data["state"]), (-32002, &json!("Connected")));
    scene.until("on_play_completed");
    let played = &last(&scene, "on_play_completed").fields;
    assert_eq!(
        (&played["party"], &played["error"], &played["finish_key"]),
        (&json!(1), &Value::Null, &Value::Null)
    );
    assert_eq!(scene.view(&res_id)["action"]["party1"]["play"], false);
    let both = [VOICES[1], PROMPTS[0], PROMPTS[1], VOICES[1]];
    until("the other party is heard again", STEP, || hertz(&scene.phones[0]) == both);
    let stretches = heard(&scene.phones[0]);
    for (hertz, length) in &stretches[1..3] {
        let off = length.abs_diff(SECOND);
        assert!(off < Duration::from_millis(60), "{hertz} Hz for {length:?}: no gap between the two");
    }
    assert_eq!(hertz(&scene.phones[1]), [VOICES[0]], "party 2 hears party 1 all the time");
    demand_clean(&scene);
}

#[test]
fn prompts_are_played_before_party_2_answers_and_end_by_a_key_or_when_stopped() {
    let mut scene = with_prompts(Scene::new([answers(0), rings(1)]));
    let res_id = scene.construct(&json!({}));
    scene.until("on_ringing2");
    let refused =
        call(&mut scene, &res_id, "play_start", &json!({"party": 2, "content": "one.wav"})).unwrap_err();
    assert_eq!(
        (refused.code, &refused.data["state"]),
        (-32002, &json!("Answer1")),
        "party 2 has not answered"
    );
    let forever = json!({"party": 1, "content": "one.wav", "repeat": -1, "finish_keys": "#*"});
    act(&mut scene, &res_id, "play_start", &forever);
    until("the prompt", STEP, || hertz(&scene.phones[0]).contains(&PROMPTS[0]));
    scene.phones[0].act(Step::Press("1#".into()));
    scene.until("on_play_completed");
    assert_eq!(last(&scene, "on_play_completed").fields["finish_key"], "#");
    act(&mut scene, &res_id, "play_start", &forever);
    act(&mut scene, &res_id, "play_stop", &json!({"party": 1}));
    scene.until("on_play_completed");
    assert_eq!(last(&scene, "on_play_completed").fields["error"], Value::Null);
    let idle = call(&mut scene, &res_id, "play_stop", &json!({"party": 1})).unwrap_err();
    assert_eq!(idle.code, -32002);
    demand_clean(&scene);
}

#[test]
fn keys_are_sent_as_events_and_pressed_keys_are_told_once() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    act(&mut scene, &res_id, "send_dtmf_start", &json!({"party": "both", "keys": "15*#D"}));
    scene.until("on_send_dtmf_completed");
    scene.until("on_send_dtmf_completed");
    assert_eq!(last(&scene, "on_send_dtmf_completed").fields["keys"], "15*#D");
    for phone in &scene.phones {
        let keys = phone.reception().keys;
        assert_eq!(keys.len(), 5, "{keys:?}");
        assert!(keys.iter().all(|key| key.ended && key.held == Duration::from_millis(100)), "{keys:?}");
    }
    scene.demand_sound();
    scene.phones[1].act(Step::Press("0A".into()));
    scene.until("on_dtmf");
    scene.until("on_dtmf");
    let pressed = scene.seen.iter().filter(|event| event.name == "on_dtmf");
    let pressed: Vec<_> = pressed.map(|event| (&event.fields["party"], &event.fields["key"])).collect();
    assert_eq!(pressed, [(&json!(2), &json!("0")), (&json!(2), &json!("A"))]);
    assert_eq!(last(&scene, "on_dtmf").fields["duration_milliseconds"], 100);
    until("they reach the other party too", STEP, || scene.phones[0].reception().keys.len() == 7);
    demand_clean(&scene);
}

#[test]
fn keys_are_collected_with_barge_in_up_to_a_finish_key_or_until_time_is_up() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    let collect = json!({
        "party": 1, "valid_keys": "0123456789", "max_keys": 8, "finish_keys": "#", "play_content": "one.wav",
        "play_repeat": -1, "first_key_timeout": 5, "continues_keys_timeout": 5
    });
    act(&mut scene, &res_id, "receive_dtmf_start", &collect);
    assert_eq!(scene.view(&res_id)["action"]["party1"]["receive_dtmf"], true);
    until("the prompt", STEP, || hertz(&scene.phones[0]).contains(&PROMPTS[0]));
    scene.phones[0].act(Step::Press("4*2".into()));
    until("the prompt is broken off", STEP, || hertz(&scene.phones[0]).last() == Some(&VOICES[1]));
    scene.phones[0].act(Step::Press("#".into()));
    scene.until("on_receive_dtmf_completed");
    let done = &last(&scene, "on_receive_dtmf_completed").fields;
    assert_eq!(
        (&done["keys"], &done["finish_key"], &done["error"]),
        (&json!("42"), &json!("#"), &Value::Null)
    );
    act(
        &mut scene,
        &res_id,
        "receive_dtmf_start",
        &json!({"party": 2, "max_keys": 3, "continues_keys_timeout": 1}),
    );
    scene.phones[1].act(Step::Press("7".into()));
    scene.until("on_receive_dtmf_completed");
    let done = &last(&scene, "on_receive_dtmf_completed").fields;
    assert_eq!((&done["keys"], &done["error"]["reason"]), (&json!("7"), &json!("timeout")));
    demand_clean(&scene);
}

#[test]
fn a_recording_on_demand_holds_what_was_said_meanwhile_and_replaces_nothing() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({"record_file": "whole.wav"}));
    act(&mut scene, &res_id, "record_start", &json!({"record_file": "part.wav", "max_seconds": 1}));
    assert_eq!(scene.view(&res_id)["action"]["record"], true);
    scene.until("on_record_completed");
    let recorded = &last(&scene, "on_record_completed").fields;
    assert_eq!((&recorded["record_file"], &recorded["error"]), (&json!("part.wav"), &Value::Null));
    let seconds = recorded["duration_seconds"].as_f64().expect("a number");
    assert!((0.9..1.3).contains(&seconds), "{seconds}");
    let part = wav::read(&scene.duogate.recording("part.wav"));
    for (channel, voice) in part.channels.iter().zip(VOICES) {
        let heard = duogate_phone::tone::listen(channel, &[Tone::new(voice)]);
        let total: Duration = heard
            .iter()
            .filter(|heard| heard.sound == Sound::Tone(voice))
            .map(duogate_phone::tone::Heard::length)
            .sum();
        assert!(total > Duration::from_millis(800), "{voice} Hz for {total:?}");
    }
    for taken in ["part.wav", "whole.wav"] {
        let again = call(&mut scene, &res_id, "record_start", &json!({"record_file": taken})).unwrap_err();
        assert_eq!((again.code, &again.data["problem"]), (-32005, &json!("exists")), "{taken}");
    }
    act(&mut scene, &res_id, "record_start", &json!({"record_file": "rest.wav"}));
    scene.phones[1].act(Step::HangUp);
    let story = Story::continued(std::mem::take(&mut scene.seen), &mut scene.application, &res_id, 2);
    assert_eq!(story.count("on_record_completed"), 3);
    assert!(scene.duogate.recording("rest.wav").exists());
}

#[test]
fn what_runs_when_the_call_ends_ends_with_an_error_before_the_release() {
    let mut scene = scene();
    let res_id = scene.connect(&json!({}));
    act(&mut scene, &res_id, "play_start", &json!({"party": 1, "content": "one.wav", "repeat": -1}));
    act(&mut scene, &res_id, "receive_dtmf_start", &json!({"party": 2, "max_keys": 2}));
    act(&mut scene, &res_id, "send_dtmf_start", &json!({"party": 2, "keys": "0123456789"}));
    scene.phones[1].act(Step::HangUp);
    let story = Story::continued(std::mem::take(&mut scene.seen), &mut scene.application, &res_id, 2);
    let names = story.names();
    let end = names.iter().position(|name| *name == "on_released").expect("checked");
    for name in ["on_play_completed", "on_receive_dtmf_completed", "on_send_dtmf_completed"] {
        assert_eq!(story.count(name), 1, "{names:?}");
        assert!(names[..end].contains(&name), "{names:?}");
        assert_eq!(story.field(name, "error")["reason"], "hung_up", "{name}");
    }
}

#[test]
fn a_control_plane_that_dies_leaves_no_action_without_its_end() {
    // Where calls are taken over, a recording goes on; here they are ended.
    let mut scene = with_prompts(Scene::with(
        &Changes::none().with("media", "recovery_seconds = 0"),
        [answers(0), answers(1)],
    ));
    let res_id = scene.connect(&json!({}));
    act(&mut scene, &res_id, "play_start", &json!({"party": 1, "content": "one.wav", "repeat": -1}));
    act(&mut scene, &res_id, "receive_dtmf_start", &json!({"party": 2, "max_keys": 9}));
    act(&mut scene, &res_id, "record_start", &json!({"record_file": "cut.wav"}));
    scene.phones[1].act(Step::Press("8".into()));
    scene.until("on_dtmf");
    scene.kill_control();
    let before = std::mem::take(&mut scene.seen);
    scene.restart_control();
    let story = Story::across(before, &mut scene.application, &res_id, 2);
    for name in ["on_play_completed", "on_receive_dtmf_completed", "on_record_completed"] {
        assert_eq!(story.count(name), 1, "{:?}", story.names());
        assert_eq!(story.field(name, "error")["reason"], "interrupted", "{name}");
    }
    assert_eq!(story.field("on_record_completed", "record_file"), "cut.wav");
}
