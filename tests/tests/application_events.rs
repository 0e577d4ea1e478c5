//! Every field of every event of a callback, as the interface promises them, and what `get` and the CDRs say.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use duogate_phone::Script;
use duogate_phone::tone::Tone;
use duogate_tests::application::Event;
use duogate_tests::duogate::Duogate;
use duogate_tests::judged::Judged;
use duogate_tests::story::Story;
use serde_json::{Value, json};

/// How long one step of a callback may take here.
const STEP: Duration = Duration::from_secs(8);

/// What every event carries.
const ALWAYS: &str = "event_id res_id seq time user_data";

/// What each event carries beside that.
const FIELDS: &[(&str, &str)] = &[
    ("on_ringing1", "ring_time early_media"),
    ("on_dial1_completed", "error begin_time answer_time end_time to_uri"),
    ("on_dial2_started", "begin_time to_uri"),
    ("on_ringing2", "ring_time early_media"),
    ("on_dial2_completed", "error begin_time answer_time end_time to_uri"),
    ("on_connected", "connect_time"),
    (
        "on_released",
        "error cause released_by begin_time answer_time connect_time end_time duration_seconds quality1 quality2",
    ),
    ("on_record_completed", "error record_file begin_time end_time duration_seconds bytes lost_packets"),
    (
        "sys.on_chan_closed",
        "party call_id from_uri to_uri trunk address begin_time ring_time answer_time end_time duration_seconds \
         cause error hung_up codec quality attempts",
    ),
];

fn names(text: &str) -> impl Iterator<Item = &str> {
    text.split_whitespace()
}

fn phone(script: Script) -> Judged {
    Judged::start(script, Instant::now())
}

fn number(value: &Value) -> f64 {
    value.as_f64().unwrap_or_else(|| panic!("a number: {value}"))
}

/// Exactly the promised fields; times in Unix seconds with milliseconds; the id a UUID.
fn check(event: &Event, begun: f64) {
    let (_, more) = FIELDS.iter().find(|(name, _)| *name == event.name).expect("an event of the table");
    let fields = event.fields.as_object().expect("an object");
    let found: BTreeSet<&str> = fields.keys().map(String::as_str).collect();
    assert_eq!(found, names(ALWAYS).chain(names(more)).collect(), "the fields of {}", event.name);
    for (name, value) in fields {
        if name == "time" || (name.ends_with("_time") && !value.is_null()) {
            let time = number(value);
            assert!((begun - 1.0..begun + 60.0).contains(&time), "{name} of {event:?} is now, in seconds");
            let milliseconds = time * 1_000.0;
            assert!((milliseconds - milliseconds.round()).abs() < 0.001, "{name} has milliseconds: {value}");
        }
    }
    let id = fields["event_id"].as_str().expect("a text");
    let form: Vec<usize> = id.split('-').map(str::len).collect();
    assert!(form == [8, 4, 4, 4, 12] && id.bytes().all(|b| b == b'-' || b.is_ascii_hexdigit()), "{id}");
}

fn now() -> f64 {
    let time = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
    time.expect("a clock after 1970").as_secs_f64()
}

#[test]
fn every_event_of_a_recorded_conversation_has_its_fields_and_get_and_cdrs_agree() {
    let duogate = Duogate::start();
    let one = phone(Script::new(Tone::new(440)).rings_at(20).answers_at(100));
    let two = phone(Script::new(Tone::new(700)).rings_at(20).answers_at(100).hangs_up_at(1_200));
    let mut application = duogate.application();
    // 4,096 bytes of UTF-8, with line ends that must stay data.
    let user_data = "用".repeat(1_364) + "\r\n\"\u{0}";
    let begun = now();
    let params = json!({"to1_uri": one.uri("1"), "to2_uri": two.uri("2"), "from2_uri": "sip:shop@example.com",
        "record_file": "2026/a.wav", "user_data": user_data});
    let result = application.call("ext.duo_callback.construct", &params).expect("construct");
    assert_eq!(result["user_data"], user_data.as_str());
    assert_eq!((&result["state"], &result["record_file"]), (&json!("Initiated"), &json!("2026/a.wav")));
    assert_eq!(result.as_object().expect("an object").len(), 4, "{result}");
    let res_id = result["res_id"].as_str().expect("a text").to_owned();

    let mut events = Vec::new();
    while events.iter().filter(|event: &&Event| event.name == "sys.on_chan_closed").count() < 2 {
        events.push(application.next_event(STEP).unwrap_or_else(|| panic!("more after {events:#?}")));
    }
    events.iter().for_each(|event| check(event, begun));
    assert!(events.iter().all(|event| event.fields["user_data"] == user_data.as_str()));
    let order: Vec<&str> = FIELDS.iter().map(|(name, _)| *name).chain(["sys.on_chan_closed"]).collect();
    let story = Story::continued(events.clone(), &mut application, &res_id, 2);
    assert_eq!(story.names(), order);

    story.demand_release(200, 2);
    let released = &events[6].fields;
    for quality in ["quality1", "quality2"] {
        assert!(number(&released[quality]["packets_received"]) > 40.0, "{released}");
        assert_eq!(released[quality]["packets_lost"], 0, "{released}");
    }
    let talked = number(&released["end_time"]) - number(&released["connect_time"]);
    assert!((talked - number(&released["duration_seconds"])).abs() < 0.002, "{released}");
    assert_eq!(released["answer_time"], *story.field("on_dial1_completed", "answer_time"));
    let size = duogate.recording("2026/a.wav").metadata().expect("the recording is there").len();
    assert_eq!(*story.field("on_record_completed", "bytes"), size);
    check_records(&duogate, &events[8..], &[one.uri("1"), two.uri("2")]);

    let view = application.resource("get", &res_id).expect("a released resource answers get");
    assert_eq!(
        (&view["state"], &view["cause"], &view["released_by"]),
        (&json!("Released"), &json!(200), &json!(2))
    );
    assert_eq!(view["connect_time"], released["connect_time"]);
    let living = application.call("ext.duo_callback.list", &json!({})).expect("list");
    assert_eq!(living["resources"], json!([]), "list shows the living");
    let ended = application.call("ext.duo_callback.list", &json!({"state": "Released"})).expect("list");
    assert_eq!(ended["resources"][0]["res_id"], res_id.as_str());
}

/// The CDRs as events and as REST shows them.
fn check_records(duogate: &Duogate, events: &[Event], uris: &[String]) {
    let (status, body) = duogate.get("/v1/cdrs").expect("an answer");
    assert_eq!(status, 200);
    let records: Value = serde_json::from_str(&body).expect("JSON");
    for (place, event) in events.iter().enumerate() {
        let fields = &event.fields;
        assert_eq!(fields["party"], place + 1);
        assert_eq!(fields["to_uri"], uris[place].as_str());
        assert_eq!((&fields["codec"], &fields["trunk"]), (&json!("PCMA"), &json!("loopback")));
        assert_eq!(fields["hung_up"], place == 1, "party 2 hung up: {fields}");
        assert_eq!(fields["attempts"], json!([{"to_uri": uris[place], "cause": 200}]));
        let record = &records["cdrs"][place];
        for (name, value) in record.as_object().expect("a record") {
            assert_eq!(*value, fields[name.as_str()], "{name} of the record of party {}", place + 1);
        }
    }
    assert_eq!(events[1].fields["from_uri"], "sip:shop@example.com");
}

#[test]
fn a_refusal_is_told_with_the_same_fields_and_its_cause() {
    let duogate = Duogate::start();
    let one = phone(Script::new(Tone::new(440)).refuses_at(50, 404));
    let mut application = duogate.application();
    let begun = now();
    let params = json!({"to1_uri": one.uri("1"), "to2_uri": "sip:2@127.0.0.1:9", "record_file": "never.wav"});
    let res_id = application.construct(&params);
    let mut events = application.events_until("sys.on_chan_closed", STEP);
    events.iter().for_each(|event| check(event, begun));
    let story = Story::continued(std::mem::take(&mut events), &mut application, &res_id, 1);
    story.demand_order(&["on_dial1_completed", "on_released", "on_record_completed"]);
    story.demand_release(404, 1);
    for name in ["on_dial1_completed", "on_released", "sys.on_chan_closed"] {
        assert_eq!(story.field(name, "error")["code"], 404, "{name}: {story:#?}");
    }
    assert!(
        story.field("on_released", "answer_time").is_null()
            && story.field("on_released", "connect_time").is_null()
    );
    let recorded = story.field("on_record_completed", "error");
    assert!(recorded["reason"].is_string(), "a recording that never began says so: {story:#?}");
    assert!(!duogate.recording("never.wav").exists());
    let view = application.resource("get", &res_id).expect("get");
    assert_eq!((&view["cause"], &view["error"]["code"]), (&json!(404), &json!(404)));
}
