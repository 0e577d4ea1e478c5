//! A callback from construct to its last event, and the ends that a process can have.

use serde_json::{Value, json};

use crate::node::{Node, until};
use crate::party::{Manner, Party};

const ON: &str = "ext.duo_callback.";

fn names(events: &[Value]) -> Vec<&str> {
    events.iter().map(|event| event["method"].as_str().unwrap().trim_start_matches(ON)).collect()
}

fn numbers(events: &[Value]) -> Vec<u64> {
    events.iter().map(|event| event["params"]["seq"].as_u64().unwrap()).collect()
}

#[test]
fn a_connected_callback_tells_its_whole_story() {
    let node = Node::start();
    let (one, two) = (Party::start(Manner::Answers), Party::start(Manner::Answers));
    let mut socket = node.websocket();
    let answer = socket.call(
        "ext.duo_callback.construct",
        &json!({"to1_uri": one.uri(), "to2_uri": two.uri(), "record_file": "a.wav", "user_data": "mine"}),
    );
    let res_id = answer["result"]["res_id"].as_str().unwrap_or_else(|| panic!("{answer}")).to_owned();
    assert_eq!(answer["result"]["state"], "Initiated");
    let mut events = socket.events_until("ext.duo_callback.on_connected");
    node.wait_for_state(&res_id, "Connected");
    assert!(socket.call("ext.duo_callback.drop", &json!([res_id])).get("result").is_some());
    events.extend(socket.events_until("sys.on_chan_closed"));
    events.extend(socket.events_until("sys.on_chan_closed"));
    assert_eq!(
        names(&events),
        [
            "on_dial1_completed",
            "on_dial2_started",
            "on_dial2_completed",
            "on_connected",
            "on_released",
            "on_record_completed",
            "sys.on_chan_closed",
            "sys.on_chan_closed"
        ]
    );
    assert_eq!(numbers(&events), (1..=8).collect::<Vec<u64>>());
    assert!(events.iter().all(|event| event["params"]["user_data"] == "mine"));
    assert_eq!(events[5]["params"]["error"], Value::Null, "{}", events[5]);
    assert_eq!(std::fs::read(node.path("recordings/a.wav")).unwrap(), b"a recording");
    let file = node.request("GET", &format!("/v1/recordings/{res_id}"), "Range: bytes=2-5\r\n", "");
    assert_eq!((file.status, file.body.as_str()), (206, "reco"));
    let error = node.call("ext.duo_callback.cancel", &json!([res_id])).unwrap_err();
    assert_eq!((&error["code"], &error["data"]["state"]), (&json!(-32002), &json!("Released")));
    let records = node.get("/v1/cdrs").json();
    assert_eq!(records["cdrs"].as_array().unwrap().len(), 2, "{records}");
}

#[test]
fn after_kill_the_next_process_ends_what_was_open_and_loses_no_event() {
    let mut node = Node::start();
    let party = Party::start(Manner::Rings);
    let params = json!({"to1_uri": party.uri(), "to2_uri": "sip:two@127.0.0.1:9", "record_file": "r.wav"});
    let res_id = node.construct(&params).unwrap()["res_id"].as_str().unwrap().to_owned();
    until("party 1 rings", || {
        let view = node.call("ext.duo_callback.get", &json!([res_id])).unwrap();
        view["party1"]["ring_time"].is_number().then_some(())
    });
    // Nobody has collected on_ringing1. It is in the outbox once a later change is answered for.
    until("the event is in the outbox", || {
        let metrics = node.get("/metrics").body;
        metrics
            .lines()
            .any(|line| line == "duogate_outbox_events{waiting_for=\"subscriber\"} 1")
            .then_some(())
    });
    node.kill_control();
    node.start_control();
    node.wait_until_ready();
    let view = node.wait_for_state(&res_id, "Released");
    assert_eq!(view["error"]["reason"], "interrupted", "{view}");
    let mut socket = node.websocket();
    socket.call("sys.subscribe", &json!(["all"]));
    let events = socket.events_until("sys.on_chan_closed");
    assert_eq!(
        names(&events),
        ["on_ringing1", "on_dial1_completed", "on_released", "on_record_completed", "sys.on_chan_closed"]
    );
    assert_eq!(numbers(&events), [1, 2, 3, 4, 5]);
    assert!(events.iter().all(|event| event["params"]["res_id"] == res_id.as_str()));
    assert!(!node.path("recordings/r.wav.part").exists());
    // What was collected is not told again. A call lets the socket read, and so answer, the server's ping.
    until("the outbox is empty", || {
        socket.call("ext.duo_callback.exists", &json!(["x"]));
        node.get("/metrics")
            .body
            .contains("duogate_outbox_events{waiting_for=\"subscriber\"} 0\n")
            .then_some(())
    });
    let list = node.call("ext.duo_callback.list", &json!({"state": "Released"})).unwrap();
    assert_eq!(list["resources"][0]["res_id"], res_id.as_str(), "{list}");
}

#[test]
fn sigterm_waits_then_hangs_up_and_leaves_nothing_open() {
    let mut node = Node::start_with("", "[shutdown]\ngrace_seconds = 1\n");
    let (one, two) = (Party::start(Manner::Answers), Party::start(Manner::Answers));
    let mut socket = node.websocket();
    let params = json!({"to1_uri": one.uri(), "to2_uri": two.uri()});
    let answer = socket.call("ext.duo_callback.construct", &params);
    let res_id = answer["result"]["res_id"].as_str().unwrap().to_owned();
    socket.events_until("ext.duo_callback.on_connected");
    assert_eq!(node.terminate(), Some(0), "{}", node.log());
    let events = socket.events_until("ext.duo_callback.on_released");
    assert_eq!(events.last().unwrap()["params"]["error"]["reason"], "shutdown", "{events:?}");
    node.start_control();
    node.wait_until_ready();
    let view = node.wait_for_state(&res_id, "Released");
    assert_eq!(view["error"]["reason"], "shutdown", "it was ended, not found open: {view}");
}

#[test]
fn a_store_that_cannot_be_written_refuses_new_calls_and_loses_nothing_of_the_old() {
    let node = Node::start();
    let (one, two) = (Party::start(Manner::Answers), Party::start(Manner::Answers));
    let mut socket = node.websocket();
    let params = json!({"to1_uri": one.uri(), "to2_uri": two.uri()});
    let answer = socket.call("ext.duo_callback.construct", &params);
    let res_id = answer["result"]["res_id"].as_str().unwrap().to_owned();
    let mut events = socket.events_until("ext.duo_callback.on_connected");
    let store = rusqlite::Connection::open(node.path("state/duogate.db")).unwrap();
    store.busy_timeout(std::time::Duration::from_secs(5)).unwrap();
    store.execute_batch("BEGIN IMMEDIATE").unwrap();
    let error = node.construct(&params).unwrap_err();
    assert_eq!(
        (&error["code"], &error["data"]["reason"]),
        (&json!(-32603), &json!("store_failed")),
        "{error}"
    );
    assert!(error["message"].as_str().unwrap().contains("locked"), "{error}");
    let ready = node.get("/readyz");
    assert_eq!((ready.status, &ready.json()["store_writable"]), (503, &json!(false)));
    assert_eq!(node.call("ext.duo_callback.get", &json!([res_id])).unwrap()["state"], "Connected");
    node.call("ext.duo_callback.drop", &json!([res_id])).unwrap();
    node.wait_for_state(&res_id, "Released");
    store.execute_batch("COMMIT").unwrap();
    events.extend(socket.events_until("sys.on_chan_closed"));
    events.extend(socket.events_until("sys.on_chan_closed"));
    assert_eq!(numbers(&events), (1..=7).collect::<Vec<u64>>());
    node.wait_until_ready();
    node.construct(&params).unwrap();
}

#[test]
fn a_gateway_that_goes_for_good_ends_its_calls_with_every_event() {
    let mut node = Node::start();
    let (one, two) = (Party::start(Manner::Answers), Party::start(Manner::Answers));
    let mut socket = node.websocket();
    let params = json!({"to1_uri": one.uri(), "to2_uri": two.uri(), "record_file": "lost.wav"});
    socket.call("ext.duo_callback.construct", &params);
    socket.events_until("ext.duo_callback.on_connected");
    node.stop_gateway();
    let mut events = socket.events_until("sys.on_chan_closed");
    events.extend(socket.events_until("sys.on_chan_closed"));
    // The recording is over at once; the call waits for another gateway, and ends when none comes.
    assert_eq!(names(&events)[..2], ["on_record_completed", "on_released"]);
    for event in &events[..2] {
        assert_eq!(event["params"]["error"]["reason"], "media_lost", "{event}");
    }
    node.start_gateway();
    node.wait_until_ready();
}
