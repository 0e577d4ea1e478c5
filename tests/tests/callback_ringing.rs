//! How party 2 rings, in every ring mode, between SIPp parties: the order of events and the end.
//! What party 1 hears meanwhile is in `callback_sound.rs`.

use std::time::Duration;

use duogate_tests::duogate::Duogate;
use duogate_tests::sipp::{Party, Step};
use duogate_tests::story::Story;
use serde_json::{Value, json};

/// How long the prompt of these tests is.
const PROMPT: Duration = Duration::from_secs(1);

fn callback(party_2: &[Step], more: &Value) -> Story {
    let duogate = Duogate::start();
    let prompt = duogate.folder().join("prompts/prompt.wav");
    duogate_tests::wav::write_tone(&prompt, 620, PROMPT);
    let first = Party::start(&[Step::Answer, Step::ExpectBye]);
    let second = Party::start(party_2);
    let mut application = duogate.application();
    let mut params = json!({"to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 1});
    for (name, value) in more.as_object().into_iter().flatten() {
        params[name] = value.clone();
    }
    let res_id = application.construct(&params);
    let story = Story::read(&mut application, &res_id, 2);
    first.finish();
    second.finish();
    story
}

/// Connects after party 2 rang so, and demands the order of events; `early`: what `on_ringing2` says, if it comes.
fn connects(ringing: &[Step], more: &Value, early: Option<bool>) {
    let mut steps = ringing.to_vec();
    steps.extend([Step::Answer, Step::ExpectBye]);
    let story = callback(&steps, more);
    let mut expected = vec!["on_dial1_completed", "on_dial2_started"];
    if let Some(early) = early {
        expected.push("on_ringing2");
        assert_eq!(*story.field("on_ringing2", "early_media"), early, "{story:#?}");
    }
    expected.extend(["on_dial2_completed", "on_connected", "on_released"]);
    story.demand_order(&expected);
    story.demand_release(200, 0);
}

/// A prompt in this ring mode.
fn prompt(mode: u8) -> Value {
    json!({"ring_play_file": "prompt.wav", "ring_play_mode": mode})
}

fn no_prompt() -> Value {
    json!({})
}

const RINGS_180: &[Step] = &[Step::Provisional(180), Step::Pause(200)];
const RINGS_183: &[Step] = &[Step::EarlyMedia(183), Step::Pause(200)];
const RINGS_183_THEN_180: &[Step] =
    &[Step::EarlyMedia(183), Step::Pause(100), Step::Provisional(180), Step::Pause(100)];
const RINGS_180_THEN_183: &[Step] =
    &[Step::Provisional(180), Step::Pause(100), Step::EarlyMedia(183), Step::Pause(100)];
const RINGS_180_WITH_MEDIA: &[Step] = &[Step::EarlyMedia(180), Step::Pause(200)];

macro_rules! rings {
    ($($name:ident: $ringing:expr, $more:expr, $early:expr;)*) => {
        $(#[test] fn $name() { connects($ringing, &$more, $early); })*
    };
}

rings! {
    passed_through_180: RINGS_180, no_prompt(), Some(false);
    passed_through_183: RINGS_183, no_prompt(), Some(true);
    passed_through_180_with_media: RINGS_180_WITH_MEDIA, no_prompt(), Some(true);
    passed_through_183_then_180: RINGS_183_THEN_180, no_prompt(), Some(true);
    passed_through_180_then_183: RINGS_180_THEN_183, no_prompt(), Some(false);
    passed_through_200_at_once: &[], no_prompt(), None;
    empty_file_is_no_file: RINGS_180, json!({"ring_play_file": "", "ring_play_mode": 3}), Some(false);
    mode_0_180: RINGS_180, prompt(0), Some(false);
    mode_0_183: RINGS_183, prompt(0), Some(true);
    mode_0_183_then_180: RINGS_183_THEN_180, prompt(0), Some(true);
    mode_0_200_at_once: &[], prompt(0), None;
    mode_1_180: RINGS_180, prompt(1), Some(false);
    mode_1_200_at_once: &[], prompt(1), None;
    mode_2_180_then_183: RINGS_180_THEN_183, prompt(2), Some(false);
    mode_2_200_at_once: &[], prompt(2), None;
    mode_3_180: RINGS_180, prompt(3), Some(false);
    mode_3_183: RINGS_183, prompt(3), Some(true);
    mode_3_200_at_once: &[], prompt(3), None;
}

#[test]
fn mode_3_calls_party_2_only_after_the_whole_prompt() {
    let duogate = Duogate::start();
    duogate_tests::wav::write_tone(&duogate.folder().join("prompts/prompt.wav"), 620, PROMPT);
    let first = Party::start(&[Step::Answer, Step::ExpectBye]);
    let second = Party::start(&[Step::Answer, Step::ExpectBye]);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": second.uri(), "max_answer_seconds": 1,
        "ring_play_file": "prompt.wav", "ring_play_mode": 3,
    }));
    let story = Story::read(&mut application, &res_id, 2);
    let answered = story.field("on_dial1_completed", "answer_time").as_f64().expect("a time");
    let called = story.field("on_dial2_started", "begin_time").as_f64().expect("a time");
    let prompt = PROMPT.as_secs_f64();
    assert!(
        (prompt - 0.05..prompt + 0.5).contains(&(called - answered)),
        "{answered} to {called}: {story:#?}"
    );
}

#[test]
fn mode_3_canceled_while_its_prompt_plays() {
    let duogate = Duogate::start();
    duogate_tests::wav::write_tone(&duogate.folder().join("prompts/prompt.wav"), 620, Duration::from_secs(5));
    let first = Party::start(&[Step::Answer, Step::ExpectBye]);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({
        "to1_uri": first.uri(), "to2_uri": "sip:nobody@127.0.0.1:9",
        "ring_play_file": "prompt.wav", "ring_play_mode": 3,
    }));
    let events = application.events_until("on_dial1_completed", Duration::from_secs(8));
    application.resource("cancel", &res_id).expect("party 2 is not being called yet");
    let story = Story::continued(events, &mut application, &res_id, 1);
    story.demand_order(&["on_dial1_completed", "on_released"]);
    first.finish();
}
