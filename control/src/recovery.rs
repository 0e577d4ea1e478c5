//! What a former control plane left open: connected calls go on, where the journal says enough of them
//! ([`take_over`]); all else is ended properly: calls with BYE or CANCEL, every promised event, the records of legs, the
//! files of recordings.

mod sweep;

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, Instant};

use duogate_channel::identity::{LocalPort, Recording};
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::Endpoint;
use duogate_signaling::resource::note::LegNote;
use serde_json::{Map, Value, json};
use tokio::time::timeout;
use uuid::Uuid;

use crate::media::link::Link;
use crate::media::problem::FileProblem;
use crate::media::recordings::Recordings;
use crate::media::wav::Length;
use crate::store::rows::{CdrRow, Change, EventRow, OpenResource, RecordingRow, ResourceRow};
use crate::store::{Job, Store};
use crate::{clock, json};

/// What became of a recording that broke off.
type Rescued = HashMap<PathBuf, Option<Length>>;

/// What resources are ended with.
#[derive(Clone, Copy)]
struct Means<'a> {
    recordings: &'a Recordings,
    rescued: &'a Rescued,
    /// Unix milliseconds.
    now: i64,
}

impl Means<'_> {
    /// What there is of a recording; none: nothing.
    fn kept(&self, recording: &RecordingRow) -> Option<Length> {
        self.rescued.get(Path::new(&recording.path)).copied().flatten()
    }
}

/// The SIP status of a call that a dead process left: 500.
pub(crate) const CAUSE: u16 = 500;

/// How long a gateway may take to be there. If it lives it still writes the recordings, until its sessions are
/// closed.
const GATEWAY: Duration = Duration::from_secs(5);

/// How long it may then take to finish the files. One that died does not, so this is what a repair costs.
const FINISHING: Duration = Duration::from_secs(1);

/// How often the files are looked at meanwhile.
const LOOK: Duration = Duration::from_millis(10);

/// Timer H of RFC 3261: a party that was not answered for so long has ended the call, and would take a repeated
/// INVITE for a new one.
const FORGOTTEN: f64 = 32.0;

/// A call of the former process.
#[derive(Clone, Debug)]
pub(crate) struct Orphan {
    /// What the journal says about it.
    pub(crate) row: LegNote,
    /// The RTP port that the party was offered.
    pub(crate) port: LocalPort,
}

/// A call of the former process that goes on.
#[derive(Clone, Debug)]
pub(crate) struct Inherited {
    /// Its name.
    pub(crate) res_id: Arc<str>,
    /// Unix milliseconds.
    pub(crate) created: i64,
    /// Recordings that have not been reported.
    pub(crate) recordings: Vec<(Recording, PathBuf)>,
}

/// Hands the calls that can go on to the endpoint; what is left in `open` is to be ended. All their recordings are
/// this process's own from now on.
pub(crate) fn take_over(
    endpoint: &mut Endpoint,
    now: Now,
    open: &mut Vec<OpenResource>,
    recordings: &Recordings,
) -> Vec<Inherited> {
    for recording in open.iter().flat_map(|resource| &resource.recordings) {
        recordings.take(Path::new(&recording.path));
    }
    let mut inherited = Vec::new();
    open.retain(|resource| {
        let Some((note, files)) = json::live::note_of(resource).zip(json::live::files_of(resource)) else {
            return true;
        };
        for (_, path) in &files {
            recordings.take(path);
        }
        if endpoint.take_over(now, &note).is_err() {
            return true;
        }
        inherited.push(Inherited { res_id: note.res_id, created: resource.created, recordings: files });
        false
    });
    if !inherited.is_empty() {
        tracing::warn!(calls = inherited.len(), "calls of a former control plane go on");
    }
    inherited
}

/// The calls that have to be ended.
pub(crate) fn orphans(open: &[OpenResource], now: i64) -> Vec<Orphan> {
    let mut orphans = Vec::new();
    for resource in open {
        for (number, detail) in &resource.dialogs {
            let row = json::dialog_of(detail);
            let index = usize::from(*number == 2);
            let begun = party(&resource.view, index)["begin_time"].as_f64().unwrap_or(0.0);
            let longest = resource.note["max_ring_seconds"].as_f64().unwrap_or(0.0);
            let recent = json::seconds(now) - begun < longest + FORGOTTEN;
            // Of a released resource, what was not answered had got its CANCEL.
            if row.answered || (recent && resource.state != "Released") {
                let port = json::local_port(&resource.note["media"], index);
                orphans.push(Orphan { row, port });
            }
        }
    }
    orphans
}

/// What there is to be ended, and with what.
#[derive(Debug)]
pub(crate) struct Estate {
    /// The resources.
    pub(crate) open: Vec<OpenResource>,
    /// Where the files of recordings lie.
    pub(crate) recordings: Arc<Recordings>,
    /// For the rows and events.
    pub(crate) store: Store,
    /// To know when the gateway has been told to close the sessions.
    pub(crate) link: Link,
}

impl Estate {
    /// Ends it all: first what needs no file, then, when the gateway has finished them, the rest. Files that nothing here
    /// names are looked for at last.
    pub(crate) async fn settle(self) {
        let Self { open, recordings, store, link } = self;
        if !open.is_empty() {
            tracing::warn!(resources = open.len(), "a former control plane left calls open; they are ended");
        }
        let (recorded, others): (Vec<_>, Vec<_>) =
            open.into_iter().partition(|resource| !resource.recordings.is_empty());
        let none = Rescued::new();
        let means = |rescued| Means { recordings: &recordings, rescued, now: clock::unix_milliseconds() };
        release(&store, others, means(&none));
        // Without a gateway, nobody writes.
        let _ = timeout(GATEWAY, link.attached()).await;
        let deadline = Instant::now() + FINISHING;
        let paths = recorded.iter().flat_map(|resource| &resource.recordings);
        let owed: Vec<PathBuf> = paths.map(|recording| PathBuf::from(&recording.path)).collect();
        let folder = Arc::clone(&recordings);
        let rescued = tokio::task::spawn_blocking(move || rescue(&folder, owed, deadline)).await;
        // It does not panic; if it did, the events would still be owed.
        let rescued = rescued.unwrap_or_default();
        release(&store, recorded, means(&rescued));
        tokio::time::sleep_until(deadline.into()).await;
        sweep::sweep(recordings).await;
    }
}

/// Repairs recordings that broke off, once their writer is done with them, or looks at them, if they had got as far as
/// their name. Blocking.
fn rescue(recordings: &Recordings, owed: Vec<PathBuf>, deadline: Instant) -> Rescued {
    let mut rescued = HashMap::new();
    for path in owed {
        while recordings.is_open(&path) && Instant::now() < deadline {
            std::thread::sleep(LOOK);
        }
        let kept = if recordings.is_unfinished(&path) {
            rescue_one(recordings, &path)
        } else {
            recordings.release(&path);
            recordings.named(&path)
        };
        rescued.insert(path, kept);
    }
    rescued
}

/// Repairs one, if it holds sound. Blocking.
fn rescue_one(recordings: &Recordings, path: &Path) -> Option<Length> {
    match recordings.rescue(path) {
        Ok(Some(length)) => {
            recordings.sync(path);
            tracing::warn!(path = %path.display(), "a recording that broke off was repaired");
            Some(length)
        }
        // Its call ended well just before.
        Ok(None) | Err(FileProblem::Missing) => None,
        Err(problem) => {
            let exists = matches!(problem, FileProblem::Exists);
            tracing::error!(path = %path.display(), exists, %problem, "a recording that broke off stays as .part");
            None
        }
    }
}

/// Releases what was left open, each resource with its events in one job.
fn release(store: &Store, open: Vec<OpenResource>, means: Means<'_>) {
    for resource in open {
        let lines: Vec<Value> =
            resource.recordings.iter().map(|recording| line(&resource, recording, means)).collect();
        let job = Job::keep(changes(resource, means));
        if store.submit(job).is_err() {
            // The row is still open: the next start tries again.
            tracing::error!("the store has no room to end what was left open");
            return;
        }
        lines.iter().for_each(|line| means.recordings.list(line));
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

fn changes(resource: OpenResource, means: Means<'_>) -> Vec<Change> {
    let now = means.now;
    let (view, note) = (resource.view.clone(), resource.note.clone());
    let mut ending = Ending { resource: &resource, now, seq: resource.last_seq, changes: Vec::new() };
    for (index, name) in ["on_dial1_completed", "on_dial2_completed"].iter().enumerate() {
        if note["dial_open"][index] == true {
            let params = dial_completed(party(&view, index), now);
            ending.event(&format!("ext.duo_callback.{name}"), params);
        }
    }
    for action in note["actions"].as_array().into_iter().flatten() {
        if let Some((method, params)) = acted(action, now) {
            ending.event(method, params);
        }
    }
    if note["released"] != true {
        ending.event("ext.duo_callback.on_released", released(&view, now));
    }
    for recording in &resource.recordings {
        let params = recorded(&resource, recording, means);
        ending.event("ext.duo_callback.on_record_completed", params);
        let completed = RecordingRow { completed: Some(now), ..recording.clone() };
        ending.changes.push(Change::Recording(Box::new(completed)));
    }
    for index in 0..2 {
        if note["channel_open"][index] == true {
            let params = channel(&resource, index, now);
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

/// The end of an action that ran, and its event. A recording's is told with its file.
fn acted(action: &Value, now: i64) -> Option<(&'static str, Value)> {
    let mut params = json!({
        "party": action["party"],
        "error": failure(),
        "begin_time": action["begin_time"],
        "end_time": json::seconds(now),
    });
    let method = match action["action"].as_str()? {
        "play" => {
            params["finish_key"] = Value::Null;
            "ext.duo_callback.on_play_completed"
        }
        "send_dtmf" => {
            params["keys"] = action["detail"].clone();
            "ext.duo_callback.on_send_dtmf_completed"
        }
        "receive_dtmf" => {
            params["keys"] = action["detail"].clone();
            params["finish_key"] = Value::Null;
            "ext.duo_callback.on_receive_dtmf_completed"
        }
        _ => return None,
    };
    Some((method, params))
}

/// The path of a recording as the application gave it, and since when it ran, where the journal has that.
fn given(resource: &OpenResource, recording: &RecordingRow, recordings: &Recordings) -> (Value, Value) {
    let path = Path::new(&recording.path);
    let is_its = |given: &Value| given.as_str().is_some_and(|given| recordings.is_same(given, path));
    if is_its(&resource.view["record_file"]) {
        return (resource.view["record_file"].clone(), Value::Null);
    }
    let mut actions = resource.note["actions"].as_array().into_iter().flatten();
    match actions.find(|action| action["action"] == "record" && is_its(&action["detail"])) {
        Some(action) => (action["detail"].clone(), action["begin_time"].clone()),
        None => (recording.path.clone().into(), Value::Null),
    }
}

fn recorded(resource: &OpenResource, recording: &RecordingRow, means: Means<'_>) -> Value {
    let kept = means.kept(recording);
    let (duration, bytes) = kept.map_or((0.0, 0), |kept| (kept.duration.as_secs_f64(), kept.bytes));
    let (record_file, begin_time) = given(resource, recording, means.recordings);
    json!({
        "error": failure(),
        "record_file": record_file,
        "begin_time": begin_time,
        "end_time": json::seconds(means.now),
        "duration_seconds": (duration * 1_000.0).round() / 1_000.0,
        "bytes": bytes,
        // Only the gateway that died knew.
        "lost_packets": null,
    })
}

/// The line of a recording in the manifest, with what the journal and the file tell of it.
fn line(resource: &OpenResource, recording: &RecordingRow, means: Means<'_>) -> Value {
    let told = recorded(resource, recording, means);
    let kept = means.kept(recording);
    let party = |index: usize| {
        json!({
            "party": index + 1,
            "to_uri": party(&resource.view, index)["to_uri"],
            "packets_lost": null,
            "gaps": null,
            "silent_seconds": null,
        })
    };
    json!({
        "res_id": resource.res_id,
        "record_file": recording.path,
        "begin_time": told["begin_time"],
        "end_time": told["end_time"],
        "duration_seconds": told["duration_seconds"],
        "bytes": told["bytes"],
        "format": kept.map(|kept| kept.format.name()),
        "channels": kept.map(|kept| kept.channels),
        "lost_packets": null,
        "parties": [party(0), party(1)],
        "error": told["error"],
    })
}

fn channel(resource: &OpenResource, index: usize, now: i64) -> Value {
    let party = party(&resource.view, index);
    let dialog = resource.dialogs.iter().find(|(number, _)| usize::from(*number) == index + 1);
    let dialog = dialog.map_or(&Value::Null, |(_, detail)| detail);
    json!({
        "party": index + 1,
        "call_id": dialog["call_id"],
        "from_uri": dialog["local_uri"],
        "to_uri": party["to_uri"],
        "trunk": null,
        "address": dialog["address"],
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
        "actions": [],
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
mod tests;
