use duogate_channel::sound::RecordFormat;

use super::*;

/// A recording that was repaired.
fn kept() -> Length {
    Length { duration: Duration::from_millis(1_500), bytes: 24_058, format: RecordFormat::Alaw, channels: 2 }
}

fn open() -> OpenResource {
    OpenResource {
        res_id: "n-ext.duo_callback-1".into(),
        created: 1_000,
        last_seq: 3,
        callback_url: None,
        state: "Answer1".into(),
        dialogs: vec![
            (1, json!({"call_id": "c1", "local_uri": "sip:n@a", "answered": true})),
            (2, json!({"call_id": "c2", "local_uri": "sip:n@a", "answered": false})),
        ],
        view: json!({
            "state": "Answer1", "user_data": "u", "record_file": "a.wav", "begin_time": 1.0,
            "connect_time": null, "party1": {"to_uri": "x", "begin_time": 1.0, "answer_time": 2.0},
            "party2": {"to_uri": "y", "begin_time": 2.5, "answer_time": null}
        }),
        note: json!({
            "released": false, "dial_open": [false, true], "record_open": true,
            "channel_open": [true, true], "max_ring_seconds": 50, "media": {"addresses": [0, 1], "ports": [20_000, 20_002]}
        }),
        recordings: vec![RecordingRow {
            res_id: "n-ext.duo_callback-1".into(),
            path: "a.wav".into(),
            created: 1_000,
            completed: None,
        }],
    }
}

fn with<T>(rescued: &Rescued, told: impl FnOnce(Means<'_>) -> T) -> T {
    let folder = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(folder.path(), 1 << 20).unwrap();
    told(Means { recordings: &recordings, rescued, now: 10_000 })
}

fn changed(resource: OpenResource, rescued: &Rescued) -> Vec<Change> {
    with(rescued, |means| changes(resource, means))
}

fn events(changes: &[Change]) -> Vec<Value> {
    let bodies = changes.iter().filter_map(|change| match change {
        Change::Event(event) => Some(serde_json::from_str(&event.body).unwrap()),
        _ => None,
    });
    bodies.collect()
}

#[test]
fn every_owed_event_follows_in_order_without_a_hole() {
    let rescued = HashMap::from([(PathBuf::from("a.wav"), Some(kept()))]);
    let changes = changed(open(), &rescued);
    let events = events(&changes);
    let names: Vec<&str> = events.iter().map(|event| event["method"].as_str().unwrap()).collect();
    assert_eq!(
        names,
        [
            "ext.duo_callback.on_dial2_completed",
            "ext.duo_callback.on_released",
            "ext.duo_callback.on_record_completed",
            "sys.on_chan_closed",
            "sys.on_chan_closed"
        ]
    );
    let numbers: Vec<u64> = events.iter().map(|event| event["params"]["seq"].as_u64().unwrap()).collect();
    assert_eq!(numbers, [4, 5, 6, 7, 8]);
    assert!(events.iter().all(|event| event["params"]["user_data"] == "u"));
    assert_eq!(events[2]["params"]["bytes"], 24_058);
    assert_eq!(events[4]["params"]["call_id"], "c2");
    let Some(Change::Resource(row)) = changes.last() else { panic!("the row comes last") };
    assert_eq!((row.state, row.view["state"].as_str()), ("Released", Some("Released")));
}

#[test]
fn a_recording_that_had_its_name_is_told_with_what_it_holds() {
    let folder = tempfile::tempdir().unwrap();
    let recordings = Recordings::open(folder.path(), 1 << 20).unwrap();
    let specification = hound::WavSpec {
        channels: 1,
        sample_rate: 8000,
        bits_per_sample: 16,
        sample_format: hound::SampleFormat::Int,
    };
    let mut writer = hound::WavWriter::create(folder.path().join("a.wav"), specification).unwrap();
    (0..4000).for_each(|sample| writer.write_sample(sample).unwrap());
    writer.finalize().unwrap();
    let bytes = std::fs::metadata(folder.path().join("a.wav")).unwrap().len();
    let owed = ["a.wav", "never.wav"].map(PathBuf::from);
    let rescued = rescue(&recordings, owed.to_vec(), Instant::now());
    let duration = Duration::from_millis(500);
    let length = Length { duration, bytes, format: RecordFormat::Pcm16, channels: 1 };
    assert_eq!((rescued[&owed[0]], rescued[&owed[1]]), (Some(length), None));
}

#[test]
fn actions_that_ran_end_before_the_release_and_a_recording_on_demand_with_its_file() {
    let mut resource = open();
    resource.note["actions"] = json!([
        {"action": "play", "party": 1, "begin_time": 3.0, "detail": ""},
        {"action": "receive_dtmf", "party": 1, "begin_time": 4.0, "detail": "12"},
        {"action": "record", "party": null, "begin_time": 5.0, "detail": "./b.wav"},
    ]);
    let path = "b.wav".to_owned();
    resource.recordings.push(RecordingRow { path, ..resource.recordings[0].clone() });
    let events = events(&changed(resource, &HashMap::new()));
    let told: Vec<(&str, &Value)> =
        events.iter().map(|event| (event["method"].as_str().unwrap(), &event["params"])).collect();
    assert_eq!(told[1].0, "ext.duo_callback.on_play_completed");
    assert_eq!(
        (&told[1].1["begin_time"], &told[1].1["error"]["reason"]),
        (&json!(3.0), &json!("interrupted"))
    );
    assert_eq!(told[2].0, "ext.duo_callback.on_receive_dtmf_completed");
    assert_eq!(told[2].1["keys"], "12");
    assert_eq!(told[3].0, "ext.duo_callback.on_released");
    assert_eq!(told[4].1["record_file"], "a.wav");
    assert_eq!((&told[5].1["record_file"], &told[5].1["begin_time"]), (&json!("./b.wav"), &json!(5.0)));
    assert_eq!(told.last().unwrap().1["seq"], 11);
}

#[test]
fn calls_are_ended_unless_the_party_has_forgotten_them() {
    let called = |open: &[OpenResource], now: i64| {
        let orphans = orphans(open, now).into_iter();
        orphans.map(|orphan| (orphan.row.call_id, orphan.port)).collect::<Vec<_>>()
    };
    let port = |address, port| LocalPort { address, port };
    let both = [("c1".to_owned(), port(0, 20_000)), ("c2".to_owned(), port(1, 20_002))];
    assert_eq!(called(&[open()], 10_000), both);
    assert_eq!(called(&[open()], 90_000), both[..1], "it stopped ringing long ago");
    let released = OpenResource { state: "Released".into(), ..open() };
    assert_eq!(called(&[released], 10_000), both[..1], "its CANCEL was sent");
}

#[test]
fn what_was_told_already_is_not_told_again() {
    let mut resource = open();
    resource.recordings.clear();
    resource.note = json!({
        "released": true, "dial_open": [false, false], "record_open": false, "channel_open": [false, true]
    });
    resource.view["error"] = Value::Null;
    let changes = changed(resource, &HashMap::new());
    let events = events(&changes);
    assert_eq!(events.len(), 1);
    assert_eq!(events[0]["method"], "sys.on_chan_closed");
    let Some(Change::Resource(row)) = changes.last() else { panic!("the row comes last") };
    assert_eq!(row.view["error"], Value::Null, "its own end stays");
}

#[test]
fn the_manifest_has_a_line_for_each_recording_that_broke_off() {
    let rescued = HashMap::from([(PathBuf::from("a.wav"), Some(kept()))]);
    let resource = open();
    let said = with(&rescued, |means| line(&resource, &resource.recordings[0], means));
    assert_eq!((&said["record_file"], &said["res_id"]), (&json!("a.wav"), &json!("n-ext.duo_callback-1")));
    assert_eq!(
        (&said["format"], &said["channels"], &said["bytes"]),
        (&json!("alaw"), &json!(2), &json!(24_058))
    );
    assert_eq!((&said["duration_seconds"], &said["end_time"]), (&json!(1.5), &json!(10.0)));
    assert_eq!(said["error"]["reason"], "interrupted");
    assert_eq!((&said["parties"][0]["to_uri"], &said["parties"][1]["to_uri"]), (&json!("x"), &json!("y")));
    let lost = with(&Rescued::new(), |means| line(&resource, &resource.recordings[0], means));
    assert_eq!((&lost["bytes"], &lost["format"]), (&json!(0), &Value::Null));
}
