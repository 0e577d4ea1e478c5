//! The control plane dies (`kill -9`) in every state, and its successor ends in good order what it left and cannot go on
//! with.

use std::collections::BTreeSet;
use std::time::Duration;

use duogate_phone::tone::{Sound, Tone, listen};
use duogate_phone::{Script, Step, What};
use duogate_tests::duogate::Changes;
use duogate_tests::patience::until;
use duogate_tests::receiver::{Manner, Receiver};
use duogate_tests::scene::{STEP, Scene, VOICES, answers, rings};
use duogate_tests::story::{Story, connected_then};
use duogate_tests::{ports, wav};
use serde_json::{Value, json};

/// Demands how the successor ended a callback: as interrupted, with the rows that `get` and the CDRs show.
fn demand_interrupted(scene: &mut Scene, story: &Story, legs: usize) {
    let res_id = story.field("on_released", "res_id").as_str().expect("a name").to_owned();
    story.demand_release(500, 0);
    assert_eq!(story.field("on_released", "error")["reason"], "interrupted");
    assert_eq!(scene.view(&res_id)["state"], "Released");
    let cdrs = scene.cdrs(&res_id);
    assert_eq!(cdrs.len(), legs, "a record of each leg that was dialled: {cdrs:#?}");
    for record in cdrs {
        assert_eq!(record["cause"], 500);
        assert_eq!(record["user_data"], "u");
        assert_eq!(record["call_id"].as_str().map(str::len), Some(32), "{record}");
    }
    assert_eq!(story.count("sys.on_chan_closed"), legs);
}

#[test]
fn in_connected_with_a_recording_where_calls_are_not_to_be_taken_over() {
    let changes = Changes::none().with("media", "recovery_seconds = 0");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"user_data": "u", "record_file": "talk.wav", "record_mode": 1}));
    scene.kill_control();
    scene.demand_sound();
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    story.demand_order(&connected_then(&["on_released", "on_record_completed"]));
    demand_interrupted(&mut scene, &story, 2);
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }

    assert_eq!(story.field("on_record_completed", "error")["reason"], "interrupted");
    let path = scene.duogate.recording("talk.wav");
    let recording = wav::read(&path);
    let bytes = std::fs::metadata(&path).expect("the recording").len();
    assert_eq!(story.field("on_record_completed", "bytes"), bytes, "the event tells of the whole file");
    assert!(!scene.duogate.recording("talk.wav.part").exists());
    for (channel, hertz) in recording.channels.iter().zip(VOICES) {
        let heard = listen(channel, &VOICES.map(Tone::new));
        assert!(heard.iter().any(|heard| heard.sound == Sound::Tone(hertz)), "{hertz} Hz in {heard:?}");
    }

    scene.demand_no_media();
    let resting = scene.duogate.metric("duogate_shard_ports_resting{shard=\"0\"}");
    assert!(resting >= Some(2.0), "ports rest after a call: {resting:?}");
    scene.demand_new_callback();
}

#[test]
fn in_initiated_while_party_1_rings() {
    let mut scene = Scene::new([rings(0), answers(1)]);
    let res_id = scene.construct(&json!({"user_data": "u", "record_file": "never.wav"}));
    scene.until("on_ringing1");
    scene.kill_control();
    scene.restart_control();
    let story = scene.story(&res_id, 1);
    story.demand_order(&["on_ringing1", "on_dial1_completed", "on_released", "on_record_completed"]);
    demand_interrupted(&mut scene, &story, 1);
    assert_eq!(story.field("on_record_completed", "bytes"), 0);
    assert!(
        !scene.duogate.recording("never.wav").exists() && !scene.duogate.recording("never.wav.part").exists()
    );
    scene.demand(0, &What::Canceled);
    assert_eq!(scene.phones[0].invites().len(), 1, "it rang once");
    assert_eq!(scene.phones[1].invites().len(), 0, "party 2 was not called");
    scene.demand_no_media();
    scene.demand_new_callback();
}

#[test]
fn in_answer1_while_party_2_rings() {
    let mut scene = Scene::new([answers(0), rings(1)]);
    let res_id = scene.construct(&json!({"user_data": "u"}));
    scene.until("on_ringing2");
    scene.kill_control();
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    story.demand_order(&[
        "on_ringing1",
        "on_dial1_completed",
        "on_dial2_started",
        "on_ringing2",
        "on_dial2_completed",
        "on_released",
    ]);
    demand_interrupted(&mut scene, &story, 2);
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Canceled);
    scene.demand_no_media();
}

#[test]
fn party_2_answers_while_nobody_is_there() {
    let late = Script::new(Tone::new(VOICES[1])).rings_at(0).answers_at(600);
    let mut scene = Scene::new([answers(0), late]);
    let res_id = scene.construct(&json!({"user_data": "u"}));
    scene.until("on_ringing2");
    scene.kill_control();
    scene.demand(1, &What::Answered);
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    assert_eq!(story.count("on_connected"), 0);
    scene.demand(1, &What::Acknowledged);
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Ended);
}

#[test]
fn a_request_id_still_names_its_callback() {
    let mut scene = Scene::new([rings(0), answers(1)]);
    let parameters = json!({"request_id": "order-7"});
    let res_id = scene.construct(&parameters);
    scene.until("on_ringing1");
    scene.kill_control();
    scene.restart_control();
    assert_eq!(scene.construct(&parameters), res_id, "whoever lost the answer asks again and gets it");
    let _ = scene.story(&res_id, 1);
    assert_eq!(scene.phones[0].invites().len(), 1);
}

#[test]
fn a_released_callback_is_left_as_it_was() {
    let busy = Script::new(Tone::silence()).refuses_at(0, 486);
    let mut scene = Scene::new([busy, answers(1)]);
    let res_id = scene.construct(&json!({"user_data": "u"}));
    scene.until("sys.on_chan_closed");
    let before = scene.view(&res_id);
    scene.kill_control();
    scene.restart_control();
    assert_eq!(scene.view(&res_id), before, "nothing leaves Released");
    assert_eq!(scene.cdrs(&res_id).len(), 1);
    assert_eq!(scene.phones[0].invites().len(), 1, "whoever refused is not called again");
    let extra = scene.application.next_event(Duration::from_millis(300));
    let repeated = |event: &duogate_tests::application::Event| {
        scene.seen.iter().any(|seen| seen.fields["event_id"] == event.fields["event_id"])
    };
    assert!(extra.as_ref().is_none_or(repeated), "no new event: {extra:?}");
}

#[test]
fn events_that_nobody_collected_are_delivered_by_the_next_one() {
    let busy = Script::new(Tone::silence()).refuses_at(0, 486);
    let mut scene = Scene::new([busy, answers(1)]);
    let unheard = scene.parameters(&json!({"user_data": "unheard"}));
    let port = ports::free_tcp_port();
    let url = format!("http://127.0.0.1:{port}/events");
    let posted = scene.parameters(&json!({"callback_url": url}));
    // Over plain HTTP: no WebSocket is theirs.
    let [unheard, posted] = [unheard, posted].map(|params| {
        let request =
            json!({"jsonrpc": "2.0", "id": 1, "method": "ext.duo_callback.construct", "params": params});
        let (status, body) = scene.duogate.post("/rpc", &request.to_string()).expect("an answer");
        assert_eq!(status, 200, "{body}");
        let answer: Value = serde_json::from_str(&body).expect("JSON");
        let res_id = answer["result"]["res_id"].as_str().unwrap_or_else(|| panic!("{body}")).to_owned();
        until("its release", STEP, || scene.view(&res_id)["state"] == "Released");
        res_id
    });
    until("all events in the outbox", STEP, || {
        scene.duogate.metric("duogate_outbox_events{waiting_for=\"webhook\"}") == Some(3.0)
            && scene.duogate.metric("duogate_outbox_events{waiting_for=\"subscriber\"}") == Some(3.0)
    });
    scene.kill_control();
    let receiver = Receiver::start_on(port, Manner::Status(204));
    scene.restart_control();

    let story = Story::across(Vec::new(), &mut scene.application, &unheard, 1);
    assert_eq!(story.names(), ["on_dial1_completed", "on_released", "sys.on_chan_closed"]);
    assert_eq!(*story.field("on_released", "user_data"), "unheard");
    until("the webhook's events", STEP, || receiver.taken(&posted).len() >= 3);
    let names: Vec<(String, u64)> = receiver.taken(&posted);
    let expected =
        ["ext.duo_callback.on_dial1_completed", "ext.duo_callback.on_released", "sys.on_chan_closed"];
    assert_eq!(names, expected.iter().map(|name| (*name).to_owned()).zip(1..).collect::<Vec<_>>());
    until("an empty outbox", STEP, || {
        // Whoever reads also answers pings, by which the server knows that the events arrived.
        let more = scene.application.next_event(Duration::from_millis(20));
        assert!(more.is_none(), "{more:?}");
        scene.duogate.metric("duogate_outbox_events{waiting_for=\"webhook\"}") == Some(0.0)
            && scene.duogate.metric("duogate_outbox_events{waiting_for=\"subscriber\"}") == Some(0.0)
    });
}

#[test]
fn amid_many_callbacks_none_is_forgotten_and_none_released_twice() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    // One phone takes one call: all others are busy, so that every kind of ending is under way.
    let params = scene.parameters(&json!({"max_answer_seconds": 1}));
    let answered: BTreeSet<String> = (0..40).map(|_| scene.application.construct(&params)).collect();
    scene.kill_control();
    scene.restart_control();

    let mut released: Vec<(String, String)> = Vec::new();
    let mut note = |event: &duogate_tests::application::Event| {
        let text = |name: &str| event.fields[name].as_str().unwrap_or_default().to_owned();
        let entry = (text("res_id"), text("event_id"));
        if event.name == "on_released" && !released.contains(&entry) {
            released.push(entry);
        }
        released.len()
    };
    for event in &scene.seen {
        note(event);
    }
    let mut count = 0;
    while count < answered.len() {
        let event =
            scene.application.next_event(STEP).unwrap_or_else(|| panic!("only {count} were released"));
        count = note(&event);
    }
    let names: BTreeSet<String> = released.iter().map(|(res_id, _)| res_id.clone()).collect();
    assert_eq!((names, released.len()), (answered.clone(), answered.len()), "each once");
    for res_id in &answered {
        assert_eq!(scene.view(res_id)["state"], "Released");
    }
    scene.demand_no_media();
    scene.demand_new_callback();
}

#[test]
fn a_recording_that_no_journal_names_is_found_among_many_files_while_calls_are_taken() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let folder = scene.duogate.recording("2026");
    std::fs::create_dir(&folder).expect("a folder");
    scene.kill_control();
    for number in 0..20_000 {
        std::fs::File::create(folder.join(format!("{number}.wav"))).expect("a file");
    }
    wav::write_tone(&folder.join("lost.wav.part"), 700, Duration::from_secs(1));
    scene.restart_control();
    let res_id = scene.connect(&json!({"user_data": "u", "record_file": "2026/new.wav"}));
    until("the lost recording", STEP, || folder.join("lost.wav").exists());
    assert!(folder.join("new.wav.part").exists(), "what is recorded meanwhile is left alone");
    until("the end of the search", STEP, || scene.duogate.logs().contains("were searched"));
    let logs = scene.duogate.logs();
    let (ready, searched) = (logs.rfind("ready"), logs.rfind("were searched"));
    assert!(ready < searched, "calls are taken first: {logs}");
    scene.phones[0].act(Step::HangUp);
    let story = scene.story(&res_id, 2);
    assert_eq!(*story.field("on_record_completed", "error"), Value::Null);
    assert!(folder.join("new.wav").exists());
}
