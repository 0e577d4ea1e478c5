//! Callbacks over SIPp's TCP: another stack's framing, connections and in-dialog requests.

use std::time::Duration;

use duogate_tests::duogate::{Changes, Duogate};
use duogate_tests::ports;
use duogate_tests::sipp::{Party, Step};
use duogate_tests::story::Story;
use serde_json::json;

/// A callback between two parties over TCP, to its end.
fn story(parties: [&[Step]; 2]) -> Story {
    let listen = format!("listen = [\"tcp:127.0.0.1:{}\"]", ports::free_tcp_port());
    let duogate = Duogate::start_with(&Changes::none().with("sip", &listen));
    let parties = parties.map(Party::start_tcp);
    let mut application = duogate.application();
    let res_id = application.construct(&json!({"to1_uri": parties[0].uri(), "to2_uri": parties[1].uri()}));
    let events = application.events_until("on_released", Duration::from_secs(10));
    let story = Story::continued(events, &mut application, &res_id, 2);
    for party in parties {
        party.finish();
    }
    story
}

#[test]
fn a_party_holds_and_hangs_up() {
    let first = [Step::Provisional(180), Step::Answer, Step::ExpectBye];
    let second = [
        Step::Provisional(180),
        Step::EarlyMedia(183),
        Step::Answer,
        Step::Pause(200),
        Step::Hold,
        Step::Request("OPTIONS", 200),
        Step::HangUp,
    ];
    story([&first, &second]).demand_release(200, 2);
}

#[test]
fn a_refusal_is_acknowledged_over_the_connection() {
    let first = [Step::Provisional(180), Step::Answer, Step::ExpectBye];
    let second = [Step::Provisional(180), Step::Refuse(486)];
    let story = story([&first, &second]);
    story.demand_release(486, 2);
}
