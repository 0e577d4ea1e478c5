//! The control plane is told to end (SIGTERM): no new calls, time for those under way, BYE for the rest, all events.

use std::time::{Duration, Instant};

use duogate_phone::What;
use duogate_tests::duogate::Changes;
use duogate_tests::patience::until;
use duogate_tests::receiver::{Manner, Receiver};
use duogate_tests::scene::{STEP, Scene, answers};
use duogate_tests::story::Story;
use serde_json::json;

fn connected(grace_seconds: u32) -> (Scene, String) {
    let changes = Changes::none().with("shutdown", &format!("grace_seconds = {grace_seconds}"));
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let res_id = scene.connect(&json!({"record_file": "talk.wav"}));
    (scene, res_id)
}

/// Tells it to end and waits until it takes no new calls.
fn tell(scene: &mut Scene) {
    scene.duogate.terminate_control();
    let parameters = scene.parameters(&json!({}));
    let refusal = loop {
        match scene.application.call("ext.duo_callback.construct", &parameters) {
            // The signal was not seen yet; both phones are busy, so this ends at once.
            Ok(_) => {}
            Err(refusal) => break refusal,
        }
    };
    assert_eq!((refusal.code, &refusal.data["reason"]), (-32007, &json!("draining")));
    assert_eq!(scene.duogate.get("/readyz").map(|(status, _)| status), Some(503));
}

fn demand_success(scene: &mut Scene, limit: Duration) {
    let status = scene.duogate.control().wait(limit);
    assert!(status.success(), "{status}\n{}", scene.duogate.logs());
}

/// The story of a callback that the end of the program ended.
fn demand_shut_down(scene: &mut Scene, res_id: &str) {
    scene.seen.extend(scene.application.rest());
    let mine = scene.seen.iter().filter(|event| event.fields["res_id"] == res_id).cloned().collect();
    let story = Story::continued(mine, &mut scene.application, res_id, 2);
    assert_eq!(story.field("on_released", "error")["reason"], "shutdown");
    story.demand_release(503, 0);
    assert!(story.field("on_record_completed", "error").is_null(), "{story:#?}");
    for party in [0, 1] {
        scene.demand(party, &What::Ended);
    }
}

#[test]
fn calls_that_outlast_the_grace_get_bye() {
    let (mut scene, res_id) = connected(1);
    let start = Instant::now();
    tell(&mut scene);
    scene.demand_sound();
    demand_success(&mut scene, STEP);
    assert!(start.elapsed() >= Duration::from_secs(1), "the call had its second");
    demand_shut_down(&mut scene, &res_id);
}

#[test]
fn it_ends_with_its_last_call() {
    let (mut scene, res_id) = connected(60);
    tell(&mut scene);
    scene.phones[1].act(duogate_phone::Step::HangUp);
    demand_success(&mut scene, STEP);
    scene.seen.extend(scene.application.rest());
    let mine = scene.seen.iter().filter(|event| event.fields["res_id"] == *res_id).cloned().collect();
    let story = Story::continued(mine, &mut scene.application, &res_id, 2);
    story.demand_release(200, 2);
    scene.demand(0, &What::Ended);
}

#[test]
fn told_twice_it_ends_at_once() {
    let (mut scene, res_id) = connected(60);
    tell(&mut scene);
    scene.duogate.terminate_control();
    demand_success(&mut scene, STEP);
    demand_shut_down(&mut scene, &res_id);
}

#[test]
fn what_a_webhook_did_not_take_is_kept_for_the_next_start() {
    let changes = Changes::none().with("shutdown", "grace_seconds = 0");
    let mut scene = Scene::with(&changes, [answers(0), answers(1)]);
    let receiver = Receiver::start(Manner::Status(500));
    let res_id = scene.construct(&json!({"callback_url": receiver.url()}));
    scene.until("on_connected");
    until("a try", STEP, || receiver.tries() > 0);
    scene.duogate.terminate_control();
    demand_success(&mut scene, STEP);
    assert!(receiver.taken(&res_id).is_empty());
    receiver.behave(Manner::Status(200));
    scene.restart_control();
    until("all events", STEP, || receiver.taken(&res_id).len() >= 9);
    let numbers: Vec<u64> = receiver.taken(&res_id).into_iter().map(|(_, seq)| seq).collect();
    assert_eq!(numbers, (1..=9).collect::<Vec<u64>>());
}
