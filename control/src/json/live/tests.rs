use duogate_signaling::resource::note::LegNote;

use super::*;
use crate::store::rows::RecordingRow;

fn leg(call_id: &str) -> LegNote {
    LegNote {
        call_id: call_id.into(),
        local_tag: "1".into(),
        remote_tag: "r".into(),
        local_uri: "sip:n@a".into(),
        remote_uri: "sip:x@b".into(),
        remote_target: "sip:x@c".into(),
        routes: vec!["<sip:d;lr>".into()],
        branch: 7,
        local_sequence: 3,
        remote_sequence: Some(9),
        address: Some(([127, 0, 0, 1], 5060).into()),
        listener: 1,
        answered: true,
        description: "v=0\r\n".into(),
        refresh: Some(Refresh { seconds: 1_800, by_us: true, by_update: false }),
    }
}

fn time(milliseconds: i64) -> UnixTime {
    UnixTime::from_milliseconds(milliseconds)
}

fn plan() -> RecordPlan {
    RecordPlan {
        file: "/r/a.wav".into(),
        mode: RecordMode::FromConnected,
        format: RecordFormat::Pcm16,
        channels: RecordChannels::Mixed,
        hold: RecordHold::Pause,
    }
}

fn party() -> PartyView {
    PartyView {
        to_uri: Some("1001".into()),
        begin_time: Some(time(1_000_001)),
        ring_time: None,
        answer_time: Some(time(1_002_003)),
        end_time: None,
        quality: None,
    }
}

fn live() -> Live {
    let order = RecordOrder {
        file: "b.ogg".into(),
        max: Some(Duration::from_millis(1_500)),
        format: RecordFormat::Opus,
        channels: RecordChannels::Separate,
        hold: RecordHold::Silence,
        finish_keys: KeySet::from_text("1#D").unwrap(),
    };
    let attempts =
        vec![Attempt { to_uri: "1000".into(), cause: 486 }, Attempt { to_uri: "1001".into(), cause: 200 }];
    let one = PartyNote { trunk: Some("t".into()), nat: true, attempts, prompt: Some(Action(4)) };
    Live {
        parties: [one, PartyNote::default()],
        record: Some(RecordNote { recording: Recording(u64::MAX), begin_time: time(7), plan: plan() }),
        demand: Some(DemandNote { recording: Recording(8), begin_time: time(9), order, stopping: true }),
        last_action: 4,
    }
}

fn note() -> Note {
    let action = |method, party, detail: &str| ActionNote {
        method,
        party,
        begin_time: time(5),
        detail: detail.into(),
    };
    Note {
        res_id: "n-ext.duo_callback-1".into(),
        state: State::Connected,
        seq: 6,
        released: false,
        dial_open: [false; 2],
        record_open: true,
        actions: vec![
            action(Method::ReceiveDtmf, Some(Party::Two), "12"),
            action(Method::Record, None, "b.ogg"),
        ],
        channel_open: [true; 2],
        over: false,
        callback_url: Some("http://a".into()),
        max_answer: Duration::from_secs(3_600),
        max_ring: Duration::from_secs(50),
        view: View {
            res_id: "n-ext.duo_callback-1".into(),
            state: State::Connected,
            action: Actions::default(),
            record_file: Some("/r/a.wav".into()),
            user_data: Some("u".into()),
            begin_time: time(999_999),
            connect_time: Some(time(1_003_004)),
            end_time: None,
            error: None,
            cause: None,
            released_by: None,
            parties: [party(), party()],
        },
        legs: [Some(leg("c1")), Some(leg("c2"))],
        media: Some(MediaNote {
            shard: Shard(1),
            session: Session { slot: 2, generation: 3 },
            tag: 1_795_000_000_000_123,
            ports: [LocalPort { address: 1, port: 20_000 }, LocalPort { address: 0, port: 20_002 }],
        }),
        live: Some(live()),
    }
}

/// The row as the store reads it back.
fn row(note: &Note) -> OpenResource {
    let reread = |value: Value| serde_json::from_str(&value.to_string()).unwrap();
    let legs = (1..).zip(&note.legs);
    OpenResource {
        res_id: note.res_id.to_string(),
        created: 1,
        last_seq: 6,
        callback_url: note.callback_url.as_deref().map(str::to_owned),
        state: note.state.name().into(),
        dialogs: legs
            .map(|(party, leg)| (party, reread(super::super::dialog(leg.as_ref().unwrap()))))
            .collect(),
        view: reread(super::super::view(&note.view)),
        note: reread(super::super::note(note)),
        recordings: Vec::<RecordingRow>::new(),
    }
}

#[test]
fn a_connected_call_is_read_as_it_was_written() {
    assert_eq!(note_of(&row(&note())), Some(note()));
    let bare = Live { record: None, demand: None, ..live() };
    let bare = Note { live: Some(bare), record_open: false, actions: Vec::new(), ..note() };
    assert_eq!(note_of(&row(&bare)), Some(bare));
}

#[test]
fn the_files_of_a_call_are_read_as_they_were_written() {
    let recordings = vec![(Recording(3), PathBuf::from("2026/a b.wav"))];
    let mut row = row(&note());
    assert_eq!(files_of(&row), None, "a row of an older version");
    row.note["files"] = files(&recordings);
    assert_eq!(files_of(&row), Some(recordings));
}

#[test]
fn a_call_that_is_not_connected_or_is_secured_is_not_read() {
    for other in [Note { live: None, ..note() }, Note { state: State::Answer2, ..note() }] {
        assert_eq!(note_of(&row(&other)), None);
    }
}

/// The places of all that a value holds.
fn places(value: &Value, path: &str) -> Vec<String> {
    let inside = match value {
        Value::Object(fields) => {
            fields.iter().map(|(name, field)| places(field, &format!("{path}/{name}"))).collect()
        }
        Value::Array(items) => {
            items.iter().enumerate().map(|(place, item)| places(item, &format!("{path}/{place}"))).collect()
        }
        _ => Vec::new(),
    };
    std::iter::once(path.to_owned()).chain(inside.concat()).collect()
}

#[test]
fn a_damaged_row_is_read_differently_or_not_at_all() {
    let good = row(&note());
    let paths = places(&good.note, "");
    for path in paths.iter().filter(|path| path.starts_with("/live") || path.starts_with("/media")) {
        for wrong in [json!({"x": 1}), json!(-1), json!("\u{0}"), json!([[]])] {
            let mut row = good.clone();
            *row.note.pointer_mut(path).unwrap() = wrong.clone();
            assert_ne!(note_of(&row), Some(note()), "{path} as {wrong}");
        }
    }
}
