//! The gateway dies (`kill -9`) or ends (SIGTERM) with calls up: they end in good order, and the next gateway serves
//! without the control plane being started again.

use std::path::Path;
use std::time::Duration;

use duogate_phone::What;
use duogate_tests::patience::until;
use duogate_tests::process::POLL;
use duogate_tests::scene::{STEP, Scene, answers, rings};
use duogate_tests::story::Story;
use duogate_tests::wav;
use rustix::process::Signal;
use serde_json::{Value, json};

fn octets(path: &Path) -> u64 {
    std::fs::metadata(path).map_or(0, |metadata| metadata.len())
}

/// Demands that the node says that it takes no calls, and refuses them.
fn demand_no_service(scene: &mut Scene) {
    let parameters = scene.parameters(&json!({}));
    let readiness = || scene.duogate.get("/readyz").map(|(status, _)| status);
    until("503 at /readyz", STEP, || readiness() == Some(503));
    assert_eq!(scene.duogate.get("/healthz").map(|(status, _)| status), Some(200), "it lives all the same");
    let refusal = scene.application.call("ext.duo_callback.construct", &parameters).expect_err("no media");
    assert_eq!((refusal.code, &refusal.data["reason"]), (-32008, &json!("no_media")));
}

fn demand_service_again(scene: &mut Scene) {
    scene.duogate.start_gateway();
    scene.duogate.wait_until_ready();
    scene.demand_new_callback();
}

#[test]
fn killed_in_connected_with_a_recording() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    let part = scene.duogate.recording("talk.wav.part");
    until("some sound in the file", STEP, || octets(&part) > 8_000);
    scene.duogate.kill_gateway();

    let story = scene.story(&res_id, 2);
    story.demand_release(500, 0);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
    assert_eq!(story.field("on_record_completed", "error")["reason"], "media_lost");
    let path = scene.duogate.recording("talk.wav");
    assert_eq!(story.field("on_record_completed", "bytes"), octets(&path));
    let length = story.field("on_record_completed", "duration_seconds").as_f64().expect("a number");
    let frames = u32::try_from(wav::read(&path).channels[0].len()).expect("a short recording");
    assert!((f64::from(frames) / 8_000.0 - length).abs() < 0.02, "{frames} frames are not {length} s");
    assert!(!part.exists());
    assert_eq!(scene.cdrs(&res_id).len(), 2);
    assert_eq!(scene.view(&res_id)["state"], "Released");

    demand_no_service(&mut scene);
    demand_service_again(&mut scene);
}

#[test]
fn killed_while_party_2_rings() {
    let mut scene = Scene::new([answers(0), rings(1)]);
    let res_id = scene.construct(&json!({}));
    scene.until("on_ringing2");
    scene.duogate.kill_gateway();
    let story = scene.story(&res_id, 2);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    assert_eq!(story.field("on_dial2_completed", "error")["reason"], "media_lost");
    scene.demand(0, &What::Ended);
    scene.demand(1, &What::Canceled);
}

#[test]
fn killed_before_it_has_opened_the_session() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    // So that the gateway has the ringback tone already, and is not asked for it once more.
    scene.demand_new_callback();
    scene.duogate.gateway().signal(Signal::STOP);
    let res_id = scene.construct(&json!({}));
    scene.duogate.kill_gateway();
    let story = Story::across(Vec::new(), &mut scene.application, &res_id, 0);
    story.demand_order(&["on_dial1_completed", "on_released"]);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    assert!(scene.phones[0].invites().is_empty(), "nobody was called without a port");
    demand_service_again(&mut scene);
}

#[test]
fn killed_while_a_recording_is_handed_over() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    scene.demand_new_callback();
    scene.duogate.gateway().signal(Signal::STOP);
    let params = scene.parameters(&json!({"record_file": "handed.wav"}));
    let request =
        json!({"jsonrpc": "2.0", "id": 1, "method": "ext.duo_callback.construct", "params": params});
    let part = scene.duogate.recording("handed.wav.part");
    let answer = std::thread::scope(|scope| {
        let gateway = scene.duogate.take_gateway();
        let duogate = &scene.duogate;
        let asking = scope.spawn(move || duogate.post("/rpc", &request.to_string()));
        until("the file is on its way", STEP, || part.exists());
        drop(gateway);
        asking.join().expect("the request's thread")
    });
    let (_, body) = answer.expect("an answer");
    let answer: Value = serde_json::from_str(&body).expect("JSON");
    assert_eq!(answer["error"]["data"]["reason"], "no_media", "{body}");
    assert!(!part.exists(), "what never began leaves nothing");
    demand_service_again(&mut scene);
}

#[test]
fn told_to_end_it_finishes_its_recordings() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    scene.duogate.gateway().signal(Signal::TERM);
    let status = scene.duogate.gateway().wait(STEP);
    assert!(status.success(), "{status}\n{}", scene.duogate.logs());

    let story = scene.story(&res_id, 2);
    assert_eq!(story.field("on_released", "error")["reason"], "media_lost");
    assert!(story.field("on_record_completed", "error").is_null(), "saved: {story:#?}");
    let path = scene.duogate.recording("talk.wav");
    assert_eq!(story.field("on_record_completed", "bytes"), octets(&path));
    assert!(!wav::read(&path).channels[0].is_empty());
    let quality = story.field("on_released", "quality1");
    assert!(quality["packets_received"].as_u64() > Some(10), "its figures were told: {quality}");
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
    demand_service_again(&mut scene);
}

#[test]
fn both_killed_at_once() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    let part = scene.duogate.recording("talk.wav.part");
    until("some sound in the file", STEP, || octets(&part) > 8_000);
    scene.duogate.kill_gateway();
    scene.kill_control();
    scene.duogate.start_gateway();
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    // Whichever end was seen first.
    let reason = story.field("on_released", "error")["reason"].as_str().unwrap_or_default();
    assert!(["media_lost", "interrupted"].contains(&reason), "{story:#?}");
    let path = scene.duogate.recording("talk.wav");
    assert_eq!(story.field("on_record_completed", "bytes"), octets(&path));
    assert!(wav::read(&path).channels[0].len() > 3_000);
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
    scene.demand_new_callback();
}

#[test]
fn a_recording_whose_name_was_taken_meanwhile_replaces_nothing_when_it_is_rescued() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    let part = scene.duogate.recording("talk.wav.part");
    until("some sound in the file", STEP, || octets(&part) > 8_000);
    // Before the end of the gateway: a control plane that sees it may be quick enough to rescue the file itself.
    let path = scene.duogate.recording("talk.wav");
    std::fs::write(&path, "another's").expect("a file");
    scene.duogate.kill_gateway();
    scene.kill_control();
    scene.duogate.start_gateway();
    scene.restart_control();
    let story = scene.story(&res_id, 2);
    assert_eq!(story.count("on_record_completed"), 1);
    assert!(!story.field("on_record_completed", "error").is_null(), "{story:#?}");
    assert_eq!(std::fs::read(&path).expect("it is there"), b"another's");
    // What there is of it stays beside, repaired, for the operator, who is told where.
    assert!(octets(&part) > 4_000, "{} octets, {story:#?}", octets(&part));
    let log = scene.duogate.logs();
    assert!(log.contains("stays as .part"), "{log}");
    scene.demand_new_callback();
}

#[test]
fn a_stopped_gateway_is_not_a_dead_one() {
    let mut scene = Scene::new([answers(0), answers(1)]);
    let res_id = scene.connect(&json!({}));
    scene.duogate.gateway().signal(Signal::STOP);
    let parameters = scene.parameters(&json!({"max_ring_seconds": 1}));
    let waiting = scene.application.construct(&parameters);
    std::thread::sleep(20 * POLL);
    scene.duogate.gateway().signal(Signal::CONT);
    scene.demand_sound();
    assert_eq!(scene.view(&res_id)["state"], "Connected");
    // Its phone is in a call, so it is busy; but it was called, with the port that came late.
    let events = scene.application.events_until("on_released", STEP);
    let last = events.last().expect("the one waited for");
    assert_eq!((&last.fields["res_id"], &last.fields["cause"]), (&json!(waiting), &json!(486)));
    assert_eq!(
        scene.application.next_event(Duration::from_millis(50)).map(|event| event.name),
        Some("sys.on_chan_closed".to_owned())
    );
}
