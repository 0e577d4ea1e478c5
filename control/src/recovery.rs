//! What a former control plane left open is ended properly: every promised event, the records of its legs,
//! the files of its recordings. (To take such calls over instead is what the journal's dialogs are kept for.)

use std::collections::HashMap;
use std::path::PathBuf;

use serde_json::{Map, Value, json};
use uuid::Uuid;

use crate::json;
use crate::media::problem::FileProblem;
use crate::media::recordings::Recordings;
use crate::store::rows::{CdrRow, Change, EventRow, OpenResource, RecordingRow, ResourceRow};
use crate::store::{Job, Store};

/// What became of a recording that broke off: its duration in seconds and its size.
type Rescued = HashMap<PathBuf, Option<(f64, u64)>>;

/// The SIP status of a call that a dead process left: 500.
const CAUSE: u16 = 500;

/// Repairs the files of recordings that broke off. Blocking.
pub(crate) fn rescue(recordings: &Recordings) -> Rescued {
    let mut rescued = HashMap::new();
    for (path, outcome) in recordings.rescue_all() {
        let kept = match outcome {
            Ok(Some(length)) => {
                tracing::warn!(path = %path.display(), "a recording that broke off was repaired");
                Some((length.duration.as_secs_f64(), length.bytes))
            }
            Ok(None) => None,
            Err(problem) => {
                let exists = matches!(problem, FileProblem::Exists);
                tracing::error!(path = %path.display(), exists, %problem, "a recording that broke off stays as .part");
                None
            }
        };
        rescued.insert(path, kept);
    }
    rescued
}

/// Releases what was left open, each resource with its events in one job.
pub(crate) fn release(store: &Store, open: Vec<OpenResource>, rescued: &Rescued, now: i64) {
    if !open.is_empty() {
        tracing::warn!(resources = open.len(), "a former control plane left calls open; they are ended");
    }
    for resource in open {
        let job = Job::keep(changes(resource, rescued, now));
        if store.submit(job).is_err() {
            // The row is still open: the next start tries again.
            tracing::error!("the store has no room to end what was left open");
            return;
        }
    }
}

/// Collects the events of one resource, numbered on.
struct Ending<'a> {
    resource: &'a OpenResource,
    now: i64,
    seq: u64,
    changes: Vec<Change>,
}

impl Ending<'_> {
    fn event(&mut self, method: &str, mut params: Value) {
        self.seq += 1;
        let event_id = Uuid::new_v4().to_string();
        let res_id = &self.resource.res_id;
        let user_data = self.resource.view["user_data"].as_str();
        json::envelope(&mut params, &event_id, res_id, self.seq, self.now, user_data);
        let body = json!({"jsonrpc": "2.0", "method": method, "params": params}).to_string();
        self.changes.push(Change::Event(Box::new(EventRow {
            event_id,
            res_id: res_id.clone(),
            seq: self.seq,
            time: self.now,
            callback_url: self.resource.callback_url.clone(),
            body,
            owner: None,
        })));
    }
}

fn failure() -> Value {
    json!({"code": CAUSE, "reason": "interrupted"})
}

fn changes(resource: OpenResource, rescued: &Rescued, now: i64) -> Vec<Change> {
    let (view, note) = (resource.view.clone(), resource.note.clone());
    let mut ending = Ending { resource: &resource, now, seq: resource.last_seq, changes: Vec::new() };
    for (index, name) in ["on_dial1_completed", "on_dial2_completed"].iter().enumerate() {
        if note["dial_open"][index] == true {
            let params = dial_completed(party(&view, index), now);
            ending.event(&format!("ext.duo_callback.{name}"), params);
        }
    }
    if note["released"] != true {
        ending.event("ext.duo_callback.on_released", released(&view, now));
    }
    if let Some(recording) = &resource.recording {
        let params = recorded(&view, recording, rescued, now);
        ending.event("ext.duo_callback.on_record_completed", params);
        let completed = RecordingRow { completed: Some(now), ..recording.clone() };
        ending.changes.push(Change::Recording(Box::new(completed)));
    }
    for index in 0..2 {
        if note["channel_open"][index] == true {
            let params = channel(&view, index, now);
            let mut body = params.clone();
            if let Value::Object(fields) = &mut body {
                fields.insert("res_id".into(), resource.res_id.clone().into());
                fields.insert("user_data".into(), view["user_data"].clone());
            }
            let party = if index == 0 { 1 } else { 2 };
            ending.event("sys.on_chan_closed", params);
            let cdr = CdrRow { res_id: resource.res_id.clone(), party, end_time: now, body };
            ending.changes.push(Change::Cdr(Box::new(cdr)));
        }
    }
    let mut changes = ending.changes;
    changes.push(Change::Resource(Box::new(closed(resource, view, now))));
    changes
}

fn party(view: &Value, index: usize) -> &Value {
    &view[if index == 0 { "party1" } else { "party2" }]
}

fn dial_completed(party: &Value, now: i64) -> Value {
    json!({
        "error": failure(),
        "begin_time": party["begin_time"],
        "answer_time": null,
        "end_time": json::seconds(now),
        "to_uri": party["to_uri"],
    })
}

/// Seconds from a time that may be none to now.
fn since(from: &Value, now: i64) -> f64 {
    from.as_f64().map_or(0.0, |from| ((json::seconds(now) - from).max(0.0) * 1_000.0).round() / 1_000.0)
}

fn released(view: &Value, now: i64) -> Value {
    json!({
        "error": failure(),
        "cause": CAUSE,
        "released_by": 0,
        "begin_time": view["begin_time"],
        "answer_time": view["party1"]["answer_time"],
        "connect_time": view["connect_time"],
        "end_time": json::seconds(now),
        "duration_seconds": since(&view["connect_time"], now),
        "quality1": null,
        "quality2": null,
    })
}

fn recorded(view: &Value, recording: &RecordingRow, rescued: &Rescued, now: i64) -> Value {
    let kept = rescued.get(&PathBuf::from(&recording.path)).copied().flatten();
    let (duration, bytes) = kept.unwrap_or((0.0, 0));
    json!({
        "error": failure(),
        "record_file": view["record_file"],
        "begin_time": null,
        "end_time": json::seconds(now),
        "duration_seconds": (duration * 1_000.0).round() / 1_000.0,
        "bytes": bytes,
    })
}

fn channel(view: &Value, index: usize, now: i64) -> Value {
    let party = party(view, index);
    json!({
        "party": index + 1,
        "call_id": null,
        "from_uri": null,
        "to_uri": party["to_uri"],
        "trunk": null,
        "address": null,
        "begin_time": party["begin_time"],
        "ring_time": party["ring_time"],
        "answer_time": party["answer_time"],
        "end_time": json::seconds(now),
        "duration_seconds": since(&party["answer_time"], now),
        "cause": CAUSE,
        "error": failure(),
        "hung_up": false,
        "codec": null,
        "quality": null,
        "attempts": [],
    })
}

fn closed(resource: OpenResource, view: Value, now: i64) -> ResourceRow {
    let mut fields = match view {
        Value::Object(fields) => fields,
        _ => Map::new(),
    };
    // One that was released already keeps its own reason.
    if resource.note["released"] != true {
        fields.insert("state".into(), "Released".into());
        fields.insert("end_time".into(), json!(json::seconds(now)));
        fields.insert("error".into(), failure());
        fields.insert("cause".into(), CAUSE.into());
        fields.insert("released_by".into(), 0.into());
    }
    let note = json!({
        "released": true,
        "dial_open": [false, false],
        "record_open": false,
        "channel_open": [false, false],
    });
    ResourceRow {
        res_id: resource.res_id,
        created: resource.created,
        released: Some(now),
        state: "Released",
        callback_url: resource.callback_url,
        view: Value::Object(fields),
        note,
        dialogs: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn open() -> OpenResource {
        OpenResource {
            res_id: "n-ext.duo_callback-1".into(),
            created: 1_000,
            last_seq: 3,
            callback_url: None,
            view: json!({
                "state": "Answer1", "user_data": "u", "record_file": "a.wav", "begin_time": 1.0,
                "connect_time": null, "party1": {"to_uri": "x", "begin_time": 1.0, "answer_time": 2.0},
                "party2": {"to_uri": "y", "begin_time": 2.5, "answer_time": null}
            }),
            note: json!({
                "released": false, "dial_open": [false, true], "record_open": true,
                "channel_open": [true, true]
            }),
            recording: Some(RecordingRow {
                res_id: "n-ext.duo_callback-1".into(),
                path: "a.wav".into(),
                created: 1_000,
                completed: None,
            }),
        }
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
        let rescued = HashMap::from([(PathBuf::from("a.wav"), Some((1.5, 24_058)))]);
        let changes = changes(open(), &rescued, 10_000);
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
        let Some(Change::Resource(row)) = changes.last() else { panic!("the row comes last") };
        assert_eq!((row.state, row.view["state"].as_str()), ("Released", Some("Released")));
    }

    #[test]
    fn what_was_told_already_is_not_told_again() {
        let mut resource = open();
        resource.recording = None;
        resource.note = json!({
            "released": true, "dial_open": [false, false], "record_open": false, "channel_open": [false, true]
        });
        resource.view["error"] = Value::Null;
        let changes = changes(resource, &HashMap::new(), 10_000);
        let events = events(&changes);
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["method"], "sys.on_chan_closed");
        let Some(Change::Resource(row)) = changes.last() else { panic!("the row comes last") };
        assert_eq!(row.view["error"], Value::Null, "its own end stays");
    }
}
