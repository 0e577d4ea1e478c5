//! The local ringback tone is that of the trunk over which party 2 is called at the time.

use duogate_phone::What;
use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::scene::{STEP, phone};
use duogate_tests::talk::party;
use serde_json::json;

/// Samples of one stretch of sound: where there is a pause of 100 ms or more, the next one begins.
fn stretches(samples: &[i16]) -> Vec<&[i16]> {
    let mut found = Vec::new();
    let loud: Vec<usize> = (0..samples.len()).filter(|place| samples[*place].unsigned_abs() > 500).collect();
    for part in loud.chunk_by(|one, next| next - one < 800) {
        found.push(&samples[part[0]..=part[part.len() - 1]]);
    }
    found
}

/// The frequency of a pure tone: how often it rises through zero in a second.
fn hertz(samples: &[i16]) -> usize {
    let rises = samples.windows(2).filter(|pair| pair[0] < 0 && pair[1] >= 0).count();
    (rises * 8000 + samples.len() / 2) / samples.len()
}

#[test]
fn the_tone_changes_with_the_trunk_when_a_list_goes_on_to_its_next_uri() {
    let first = phone(party(0).answers_at(0));
    let refusing = phone(party(1).rings_at(0).refuses_at(2000, 480));
    let answering = phone(party(1).rings_at(0).answers_at(2500));
    let uri = answering.uri("two");
    let (_, place) = uri.split_once('@').expect("a host");
    let abroad = format!("name = \"abroad\"\nhosts = [\"abroad.example\"]\nproxy = \"{place}\"");
    let changes = Changes::none()
        .with("media", "ringback = \"fr\"")
        .with("[trunk]", &format!("ringback = \"de\"\n[[trunk]]\n{abroad}"));
    let duogate = Duogate::start_with(&changes);
    let mut application = duogate.application();
    application.construct(&json!({
        "to1_uri": first.uri("one"),
        "to2_uri": [refusing.uri("two"), "sip:two@abroad.example"],
        "max_answer_seconds": 1,
    }));
    application.events_until("on_connected", STEP);
    assert!(refusing.events().iter().any(|event| matches!(event.what, What::Invited { .. })), "it was tried");
    application.events_until("on_released", STEP);
    let samples = first.samples();
    let heard = stretches(&samples);
    let heard: Vec<(usize, usize)> = heard.iter().map(|part| (hertz(part), part.len() / 8)).collect();
    // Germany's of the first trunk, then that of the node, which the second goes by: France's.
    let [(german, one), (french, longer), ..] = heard[..] else { panic!("{heard:?}") };
    assert!(german.abs_diff(425) <= 2 && one.abs_diff(1000) <= 40, "{heard:?}");
    assert!(french.abs_diff(440) <= 2 && longer.abs_diff(1500) <= 40, "{heard:?}");
}
