//! Every state's every exit, between SIPp parties over the running processes.

use std::time::Duration;

use duogate_tests::application::Application;
use duogate_tests::duogate::Duogate;
use duogate_tests::sipp::{Party, Step};
use duogate_tests::story::{Story, connected_then};
use serde_json::{Value, json};

/// How long one step of a callback may take here.
const STEP: Duration = Duration::from_secs(8);

/// A callback between two scripted parties.
struct Scene {
    duogate: Duogate,
    application: Application,
    parties: Vec<Party>,
}

impl Scene {
    fn new(parties: &[&[Step]]) -> Self {
        let duogate = Duogate::start();
        let application = duogate.application();
        Self { duogate, application, parties: parties.iter().map(|steps| Party::start(steps)).collect() }
    }

    fn construct(&mut self, more: &Value) -> String {
        let mut params = json!({
            "to1_uri": self.parties[0].uri(), "to2_uri": self.parties[1].uri(), "user_data": "用户-1"
        });
        for (name, value) in more.as_object().into_iter().flatten() {
            params[name] = value.clone();
        }
        self.application.construct(&params)
    }

    /// Reads the callback to its end and takes the parties' own verdicts.
    fn finish(self, res_id: &str, legs: usize) -> Story {
        self.finish_after(Vec::new(), res_id, legs)
    }

    fn finish_after(
        mut self,
        events: Vec<duogate_tests::application::Event>,
        res_id: &str,
        legs: usize,
    ) -> Story {
        let story = Story::continued(events, &mut self.application, res_id, legs);
        assert_eq!(*story.field("on_released", "user_data"), "用户-1");
        for party in self.parties {
            party.finish();
        }
        let view = self.application.resource("get", res_id).expect("a released resource answers get");
        assert_eq!(view["state"], "Released");
        drop(self.duogate);
        story
    }
}

const RINGS_AND_ANSWERS: &[Step] = &[Step::Provisional(180), Step::Pause(100), Step::Answer, Step::ExpectBye];

#[test]
fn connected_party_1_hangs_up() {
    let mut scene = Scene::new(&[
        &[Step::Provisional(180), Step::Answer, Step::Pause(600), Step::HangUp],
        &[Step::Provisional(180), Step::Answer, Step::ExpectBye],
    ]);
    let res_id = scene.construct(&json!({}));
    assert!(res_id.starts_with("test-1-ext.duo_callback-"), "the form of a resource id: {res_id}");
    let story = scene.finish(&res_id, 2);
    story.demand_order(&connected_then(&["on_released"]));
    story.demand_release(200, 1);
    assert!(story.field("on_released", "error").is_null());
}

#[test]
fn connected_party_2_hangs_up() {
    let mut scene = Scene::new(&[
        &[Step::Provisional(180), Step::Answer, Step::ExpectBye],
        &[Step::Provisional(180), Step::Answer, Step::Pause(600), Step::HangUp],
    ]);
    let res_id = scene.construct(&json!({}));
    let story = scene.finish(&res_id, 2);
    story.demand_order(&connected_then(&["on_released"]));
    story.demand_release(200, 2);
}

#[test]
fn connected_dropped_by_the_application() {
    let mut scene = Scene::new(&[RINGS_AND_ANSWERS, RINGS_AND_ANSWERS]);
    let res_id = scene.construct(&json!({}));
    let events = scene.application.events_until("on_connected", STEP);
    assert_eq!(scene.application.resource("get", &res_id).expect("get")["state"], "Connected");
    scene.application.resource("drop", &res_id).expect("drop in Connected");
    let story = scene.finish_after(events, &res_id, 2);
    story.demand_order(&connected_then(&["on_released"]));
    story.demand_release(603, 0);
}

#[test]
fn connected_until_max_answer_seconds() {
    let mut scene = Scene::new(&[RINGS_AND_ANSWERS, RINGS_AND_ANSWERS]);
    let res_id = scene.construct(&json!({"max_answer_seconds": 1}));
    let story = scene.finish(&res_id, 2);
    story.demand_order(&connected_then(&["on_released"]));
    assert_eq!(*story.field("on_released", "released_by"), 0);
    let seconds = story.field("on_released", "duration_seconds").as_f64().expect("a number");
    assert!((0.9..2.0).contains(&seconds), "a conversation of one second lasted {seconds}");
}

#[test]
fn initiated_party_1_is_busy() {
    let mut scene = Scene::new(&[&[Step::Provisional(180), Step::Refuse(486)], &[]]);
    let res_id = scene.construct(&json!({}));
    scene.parties.truncate(1);
    let story = scene.finish(&res_id, 1);
    story.demand_order(&["on_ringing1", "on_dial1_completed", "on_released"]);
    story.demand_release(486, 1);
    assert_eq!(story.field("on_dial1_completed", "error")["code"], 486);
}

#[test]
fn initiated_party_1_does_not_answer() {
    let mut scene = Scene::new(&[&[Step::Provisional(180), Step::ExpectCancel], &[]]);
    let res_id = scene.construct(&json!({"max_ring_seconds": 1}));
    scene.parties.truncate(1);
    let story = scene.finish(&res_id, 1);
    story.demand_order(&["on_ringing1", "on_dial1_completed", "on_released"]);
    story.demand_release(408, 0);
}

#[test]
fn initiated_party_1_says_nothing_and_is_sent_no_cancel() {
    let mut scene = Scene::new(&[&[Step::Pause(2500)], &[]]);
    let res_id = scene.construct(&json!({"max_ring_seconds": 1}));
    let events = scene.application.events_until("on_released", STEP);
    let names: Vec<&str> = events.iter().map(|event| event.name.as_str()).collect();
    assert_eq!(names, ["on_dial1_completed", "on_released"]);
    assert_eq!(events[1].fields["cause"], 408);
    assert_eq!(events[1].fields["res_id"], res_id.as_str());
    let messages = scene.parties[0].messages();
    assert!(messages.contains("INVITE sip:"), "party 1 was called: {messages}");
    assert!(!messages.contains("CANCEL sip:"), "no CANCEL before a provisional response: {messages}");
}

#[test]
fn initiated_canceled_in_time() {
    let mut scene = Scene::new(&[&[Step::Provisional(180), Step::ExpectCancel], &[]]);
    let res_id = scene.construct(&json!({}));
    scene.parties.truncate(1);
    let events = scene.application.events_until("on_ringing1", STEP);
    scene.application.resource("cancel", &res_id).expect("cancel in Initiated");
    let story = scene.finish_after(events, &res_id, 1);
    story.demand_order(&["on_ringing1", "on_dial1_completed", "on_released"]);
    assert_eq!(*story.field("on_released", "released_by"), 0);
}

#[test]
fn initiated_dropped_by_the_application() {
    let mut scene = Scene::new(&[&[Step::Provisional(180), Step::ExpectCancel], &[]]);
    let res_id = scene.construct(&json!({}));
    scene.parties.truncate(1);
    let events = scene.application.events_until("on_ringing1", STEP);
    scene
        .application
        .call("ext.duo_callback.drop", &json!({"res_id": res_id, "cause": 480}))
        .expect("drop in Initiated");
    let story = scene.finish_after(events, &res_id, 1);
    story.demand_release(480, 0);
}

#[test]
fn initiated_answer_crosses_cancel() {
    let mut scene = Scene::new(&[&[Step::Provisional(180), Step::AnswerAcrossCancel, Step::ExpectBye], &[]]);
    let res_id = scene.construct(&json!({}));
    scene.parties.truncate(1);
    let events = scene.application.events_until("on_ringing1", STEP);
    scene.application.resource("cancel", &res_id).expect("cancel in Initiated");
    let story = scene.finish_after(events, &res_id, 1);
    story.demand_order(&["on_ringing1", "on_dial1_completed", "on_released"]);
}

#[test]
fn answer1_party_2_is_busy() {
    let mut scene = Scene::new(&[RINGS_AND_ANSWERS, &[Step::Refuse(486)]]);
    let res_id = scene.construct(&json!({}));
    let story = scene.finish(&res_id, 2);
    story.demand_order(&[
        "on_ringing1",
        "on_dial1_completed",
        "on_dial2_started",
        "on_dial2_completed",
        "on_released",
    ]);
    story.demand_release(486, 2);
}

#[test]
fn answer1_party_2_does_not_answer() {
    let mut scene = Scene::new(&[RINGS_AND_ANSWERS, &[Step::Provisional(180), Step::ExpectCancel]]);
    let res_id = scene.construct(&json!({"max_ring_seconds": 1}));
    let story = scene.finish(&res_id, 2);
    story.demand_release(408, 0);
}

#[test]
fn answer1_party_1_hangs_up_while_party_2_rings() {
    let mut scene = Scene::new(&[
        &[Step::Answer, Step::Pause(700), Step::HangUp],
        &[Step::Provisional(180), Step::ExpectCancel],
    ]);
    let res_id = scene.construct(&json!({}));
    let story = scene.finish(&res_id, 2);
    story.demand_order(&[
        "on_dial1_completed",
        "on_dial2_started",
        "on_ringing2",
        "on_dial2_completed",
        "on_released",
    ]);
    assert_eq!(*story.field("on_released", "released_by"), 1);
}

#[test]
fn answer1_cancel_comes_too_late() {
    let mut scene = Scene::new(&[
        &[Step::Answer, Step::Pause(1500), Step::HangUp],
        &[Step::Provisional(180), Step::Pause(700), Step::Answer, Step::ExpectBye],
    ]);
    let res_id = scene.construct(&json!({}));
    let events = scene.application.events_until("on_ringing2", STEP);
    let refusal = scene.application.resource("cancel", &res_id).expect_err("party 2 is being called");
    assert_eq!(refusal.code, -32002);
    assert_eq!(refusal.data["reason"], "wrong_state");
    assert_eq!(refusal.data["state"], "Answer1");
    let story = scene.finish_after(events, &res_id, 2);
    assert_eq!(story.count("on_connected"), 1, "the calls went on untouched: {story:#?}");
}

#[test]
fn answer1_dropped_by_the_application() {
    let mut scene =
        Scene::new(&[&[Step::Answer, Step::ExpectBye], &[Step::Provisional(180), Step::ExpectCancel]]);
    let res_id = scene.construct(&json!({}));
    let events = scene.application.events_until("on_ringing2", STEP);
    scene.application.resource("drop", &res_id).expect("drop in Answer1");
    let story = scene.finish_after(events, &res_id, 2);
    story.demand_release(603, 0);
}

#[test]
fn answer1_party_2_answers_across_the_cancel() {
    let mut scene = Scene::new(&[
        &[Step::Answer, Step::Pause(600), Step::HangUp],
        &[Step::Provisional(180), Step::AnswerAcrossCancel, Step::ExpectBye],
    ]);
    let res_id = scene.construct(&json!({}));
    let story = scene.finish(&res_id, 2);
    assert_eq!(story.count("on_connected"), 0, "a callback without party 1 connects nobody: {story:#?}");
}

#[test]
fn released_refuses_what_needs_a_call() {
    let mut scene = Scene::new(&[&[Step::Refuse(603)], &[]]);
    let res_id = scene.construct(&json!({}));
    scene.parties.truncate(1);
    let _ = Story::read(&mut scene.application, &res_id, 1);
    for method in ["cancel", "drop"] {
        let refusal = scene.application.resource(method, &res_id).expect_err("nothing leaves Released");
        assert_eq!((refusal.code, &refusal.data["state"]), (-32002, &json!("Released")), "{method}");
    }
    assert_eq!(scene.application.resource("exists", &res_id).expect("exists"), json!(true));
    let refusal = scene.application.resource("get", "no-such-resource").expect_err("an unknown id");
    assert_eq!(refusal.code, -32001);
}

#[test]
fn party_1_list_goes_on_to_the_next() {
    let mut scene = Scene::new(&[&[Step::Refuse(503)], RINGS_AND_ANSWERS, RINGS_AND_ANSWERS]);
    let [first, second, other] = [0, 1, 2].map(|place: usize| scene.parties[place].uri());
    let res_id =
        scene.construct(&json!({"to1_uri": [first, second], "to2_uri": other, "max_answer_seconds": 1}));
    let story = scene.finish(&res_id, 2);
    let used = story.field("on_dial1_completed", "to_uri").as_str().expect("a URI");
    assert!(used.contains(second.trim_start_matches("sip:")), "{used} is the one that answered, {second}");
    assert_eq!(story.count("on_connected"), 1);
}

#[test]
fn party_2_list_is_tried_to_its_end() {
    let mut scene = Scene::new(&[RINGS_AND_ANSWERS, &[Step::Refuse(503)], &[Step::Refuse(480)]]);
    let list = [scene.parties[1].uri(), scene.parties[2].uri()];
    let res_id = scene.construct(&json!({"to2_uri": list}));
    let story = scene.finish(&res_id, 2);
    story.demand_release(480, 2);
    assert_eq!(story.count("on_dial2_completed"), 1, "the list is one dialling: {story:#?}");
}

#[test]
fn a_repeated_answer_is_acknowledged_each_time() {
    let mut scene = Scene::new(&[
        &[Step::Provisional(180), Step::AnswerRepeatedly, Step::ExpectBye],
        &[Step::Provisional(180), Step::AnswerRepeatedly, Step::ExpectBye],
    ]);
    let res_id = scene.construct(&json!({"max_answer_seconds": 1}));
    let story = scene.finish(&res_id, 2);
    story.demand_order(&connected_then(&["on_released"]));
}

#[test]
fn a_party_holds_asks_and_sends_what_is_not_understood() {
    let mut scene = Scene::new(&[
        &[
            Step::Answer,
            Step::Pause(500),
            Step::Hold,
            Step::Request("OPTIONS", 200),
            Step::Request("INFO", 200),
            Step::Request("REFER", 405),
            Step::Request("FROBNICATE", 501),
            Step::HangUp,
        ],
        &[Step::Answer, Step::ExpectBye],
    ]);
    let res_id = scene.construct(&json!({}));
    let story = scene.finish(&res_id, 2);
    story.demand_release(200, 1);
}
