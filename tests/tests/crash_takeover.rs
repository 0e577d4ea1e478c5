//! The control plane dies (`kill -9`) under connected callbacks, and its successor goes on with them: nobody is hung up
//! on, no packet is lost, and the events go on with the next number.

use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, listen};
use duogate_phone::{Step, What};
use duogate_tests::duogate::Changes;
use duogate_tests::patience::until;
use duogate_tests::scene::{STEP, Scene, VOICES, answers, phone};
use duogate_tests::story::{Story, connected_then};
use duogate_tests::wav;
use serde_json::{Value, json};

/// Kills the control plane and starts another; both parties hear each other all the while.
fn take_over(scene: &mut Scene, calls: f64) {
    scene.kill_control();
    scene.demand_sound();
    scene.restart_control();
    let taken = "duogate_taken_over_calls_total{kind=\"taken_over\"}";
    until("calls that go on", STEP, || scene.duogate.metric(taken) == Some(calls));
    scene.demand_sound();
}

/// Demands that what each phone receives is one stream that nothing is missing of.
fn demand_unbroken(scene: &Scene) {
    for phone in &scene.phones {
        let reception = phone.reception();
        assert!(reception.violations.is_empty() && reception.lost == 0, "{reception:#?}");
    }
}

/// Demands a normal end by a party, told with its figures and records.
fn demand_normal_end(scene: &mut Scene, story: &Story, by: u8) {
    story.demand_release(200, by);
    assert_eq!(*story.field("on_released", "error"), Value::Null);
    assert!(story.field("on_released", "quality1")["packets_sent"].as_u64() > Some(20));
    let res_id = story.field("on_released", "res_id").as_str().expect("a name").to_owned();
    assert_eq!(scene.view(&res_id)["state"], "Released");
    let cdrs = scene.cdrs(&res_id);
    assert_eq!(cdrs.len(), 2);
    for (record, phone) in cdrs.iter().zip(&scene.phones) {
        assert_eq!((&record["cause"], &record["error"]), (&json!(200), &Value::Null), "{record}");
        assert_eq!(record["user_data"], "u");
        assert_eq!(record["codec"], "PCMA");
        assert_eq!(record["attempts"].as_array().map(Vec::len), Some(1), "{record}");
        assert_eq!(record["to_uri"], phone.uri(["one", "two"][usize::from(record["party"] == 2)]));
        assert!(
            record["answer_time"].as_f64() > Some(0.0) && record["duration_seconds"].as_f64() > Some(0.0)
        );
    }
}

#[test]
fn two_who_talk_go_on_and_hang_up_as_if_nothing_had_been() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u", "record_file": "talk.wav", "record_mode": 1}));
    take_over(&mut scene, 1.0);
    assert_eq!(scene.view(&res_id)["state"], "Connected");
    until("figures of the session", STEP, || {
        scene.view(&res_id)["party1"]["quality"]["packets_received"].as_u64() > Some(10)
    });
    demand_unbroken(&scene);

    scene.phones[1].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    let told = connected_then(&["on_released", "on_record_completed"]);
    story.demand_order(&told);
    demand_normal_end(&mut scene, &story, 2);
    scene.demand(0, &What::Ended);

    assert_eq!(*story.field("on_record_completed", "error"), Value::Null);
    let length = story.field("on_record_completed", "duration_seconds").as_f64().expect("a number");
    let path = scene.duogate.recording("talk.wav");
    let recording = wav::read(&path);
    let frames = u32::try_from(recording.channels[0].len()).expect("a short recording");
    assert!((f64::from(frames) / 8_000.0 - length).abs() < 0.02, "{frames} frames, {length} s");
    for (channel, hertz) in recording.channels.iter().zip(VOICES) {
        let heard = listen(channel, &VOICES.map(Tone::new));
        let whole = heard.iter().filter(|heard| heard.sound == Sound::Tone(hertz)).count();
        assert_eq!(whole, 1, "{hertz} Hz without a break in {heard:?}");
    }
    scene.demand_no_media();
    scene.demand_new_callback();
}

/// A party changes the session, and is answered.
fn change(scene: &Scene, party: usize, step: Step) {
    let phone = &scene.phones[party];
    let changes = || phone.events().iter().filter(|event| event.what == What::ChangeAnswered(200)).count();
    let before = changes();
    phone.act(step);
    until("the change is taken", STEP, || changes() > before);
}

#[test]
fn parties_hold_move_and_resume_under_the_next_control_plane_and_the_one_after() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u"}));
    take_over(&mut scene, 1.0);
    change(&scene, 0, Step::Move);
    scene.demand_sound();
    for step in [Step::Hold, Step::Resume] {
        change(&scene, 1, step);
    }
    scene.demand_sound();
    // What the party changed is in the journal: another one goes on from there.
    take_over(&mut scene, 1.0);
    change(&scene, 1, Step::Move);
    scene.demand_sound();
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    demand_normal_end(&mut scene, &story, 1);
    scene.demand(1, &What::Ended);
}

#[test]
fn a_party_that_hangs_up_while_nobody_is_there_ends_the_call() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u"}));
    scene.kill_control();
    scene.phones[0].act(Step::HangUp);
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 1);
    scene.demand(1, &What::Ended);
    scene.demand_no_media();
}

#[test]
fn the_application_drops_a_call_that_was_taken_over() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u"}));
    take_over(&mut scene, 1.0);
    scene.application.resource("drop", &res_id).expect("dropped");
    let story = scene.story(&res_id, 2);
    story.demand_release(603, 0);
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Ended);
}

#[test]
fn a_limit_of_time_holds_across_the_death() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u", "max_answer_seconds": 4}));
    take_over(&mut scene, 1.0);
    let story = scene.story(&res_id, 2);
    story.demand_release(200, 0);
    let length = story.field("on_released", "duration_seconds").as_f64().expect("a number");
    assert!((3.9..4.6).contains(&length), "{length} s of 4");
}

#[test]
fn actions_that_ran_are_told_as_interrupted_and_a_recording_on_demand_goes_on() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    wav::write_tone(&scene.duogate.folder().join("prompts/long.wav"), 700, Duration::from_secs(20));
    let res_id = scene.connect(&json!({"user_data": "u"}));
    let mut start = |method: &str, more: Value| {
        let mut parameters = json!({"res_id": res_id});
        for (name, value) in more.as_object().into_iter().flatten() {
            parameters[name] = value.clone();
        }
        scene.application.call(&format!("ext.duo_callback.{method}"), &parameters).expect(method);
    };
    start("record_start", json!({"record_file": "demand.wav"}));
    start("play_start", json!({"party": 1, "content": "long.wav"}));
    start("receive_dtmf_start", json!({"party": 2, "max_keys": 4}));
    // Killed at once: what was answered is on the disk.
    take_over(&mut scene, 1.0);
    let view = scene.view(&res_id);
    assert_eq!(view["action"]["record"], true, "{view}");
    assert_eq!(view["action"]["party1"]["play"], false, "{view}");
    scene.application.call("ext.duo_callback.record_stop", &json!({"res_id": res_id})).expect("stopped");
    scene.until("on_record_completed");
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    for event in ["on_play_completed", "on_receive_dtmf_completed"] {
        assert_eq!(story.count(event), 1, "{event}: {story:#?}");
        assert_eq!(story.field(event, "error")["reason"], "interrupted");
    }
    assert_eq!(*story.field("on_record_completed", "error"), Value::Null);
    let recording = wav::read(&scene.duogate.recording("demand.wav"));
    let heard = listen(&recording.channels[0], &VOICES.map(Tone::new));
    assert!(heard.iter().any(|heard| heard.sound == Sound::Tone(VOICES[0])), "{heard:?}");
}

#[test]
fn the_gateway_dies_after_the_control_plane() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u"}));
    take_over(&mut scene, 1.0);
    scene.duogate.kill_gateway();
    for phone in &scene.phones {
        phone.forgive("a new gateway leaves numbers out, for nobody knows whether they were sent");
    }
    scene.duogate.start_gateway();
    scene.demand_sound();
    assert_eq!(scene.view(&res_id)["state"], "Connected");
    take_over(&mut scene, 1.0);
    scene.phones[0].act(Step::HangUp);
    scene.story(&res_id, 2).demand_release(200, 1);
    scene.demand(1, &What::Ended);
}

#[test]
fn where_both_die_the_call_ends_as_lost() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u", "record_file": "talk.wav"}));
    let part = scene.duogate.recording("talk.wav.part");
    until("some sound in the file", STEP, || std::fs::metadata(&part).is_ok_and(|file| file.len() > 8_000));
    scene.kill_control();
    scene.duogate.kill_gateway();
    scene.duogate.start_gateway();
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    story.demand_release(500, 0);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    let bytes = std::fs::metadata(scene.duogate.recording("talk.wav")).expect("the recording").len();
    assert_eq!(story.field("on_record_completed", "bytes"), bytes);
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Ended);
    scene.demand_new_callback();
}

#[test]
fn twenty_pairs_go_on_and_new_calls_are_taken_beside_them() {
    let changes = Changes::none().with("limits", "max_calls = 30").with_rtp_ports(200);
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let pairs: Vec<[_; 2]> = (0..20).map(|_| [0, 1].map(|party| phone(answers(party)))).collect();
    let names: Vec<String> = pairs
        .iter()
        .map(|[one, two]| {
            let parties = json!({"to1_uri": one.uri("one"), "to2_uri": two.uri("two"), "user_data": "u"});
            scene.application.construct(&parties)
        })
        .collect();
    // An event comes when it is in the journal, as its callback's row is.
    for _ in &names {
        let _ = scene.application.events_until("on_connected", 2 * STEP);
    }
    scene.kill_control();
    scene.restart_control();
    let taken = "duogate_taken_over_calls_total{kind=\"taken_over\"}";
    until("all go on", STEP, || scene.duogate.metric(taken) == Some(20.0));
    let packets = || pairs.iter().flatten().map(|phone| phone.reception().packets).collect::<Vec<_>>();
    let before = packets();
    until("sound for all", STEP, || packets().iter().zip(&before).all(|(now, before)| *now > before + 10));
    scene.demand_new_callback();
    for [one, _] in &pairs {
        one.act(Step::HangUp);
    }
    for [_, two] in &pairs {
        assert!(two.wait(STEP, |seen| *seen == What::Ended), "{:#?}", two.events());
    }
    until("all released", STEP, || names.iter().all(|name| scene.view(name)["state"] == "Released"));
    for phone in pairs.iter().flatten() {
        let reception = phone.reception();
        assert_eq!((reception.lost, reception.violations.len()), (0, 0), "{reception:#?}");
        assert!(reception.longest_gap < Duration::from_secs(1), "{reception:#?}");
    }
}
