//! What the shell keeps about each call, and what it writes about it.

use std::collections::HashMap;
use std::hash::{BuildHasher, BuildHasherDefault, DefaultHasher};
use std::path::PathBuf;
use std::sync::Arc;

use duogate_channel::identity::Recording;
use duogate_channel::message::ToGateway;
use duogate_signaling::clock::Now;
use duogate_signaling::endpoint::Endpoint;
use duogate_signaling::resource::error::ApiError;
use duogate_signaling::resource::note::Note;
use duogate_signaling::resource::report::{Event, Failure, Reason, RecordResult, Report};
use duogate_signaling::resource::view::View;
use tokio::sync::mpsc;

use super::request::{ActionStart, Order, Refusal, Reply};
use crate::json;
use crate::media::link::{Link, LinkError};
use crate::media::problem::FileProblem;
use crate::media::recordings::Recordings;
use crate::media::sounds::Kept;
use crate::recovery::Inherited;
use crate::store::rows::{CdrRow, Change, EventRow, RecordingRow, RequestRow, ResourceRow};
use crate::store::{Job, Store};
use crate::{clock, store};

/// How full the store's queue may be when a new call is taken. The rest is for calls under way.
const FULL_FOR_NEW: f64 = 0.5;

/// First notes that have become durable and wait for the task. The writer waits when there is no room.
const NOTED: usize = 1_024;

/// Gateways that were furnished and wait for the task to hear of it. The tasks that did it wait when there is no room.
const FURNISHED: usize = 4;

/// What the store says about a first note.
pub(super) struct Noted {
    res_id: Arc<str>,
    outcome: store::Answer<()>,
}

/// Beside the endpoint's own: what only the shell knows about a call.
struct Call {
    owner: Option<u64>,
    /// Recordings that have not been reported.
    recordings: Vec<(Recording, PathBuf)>,
    created: i64,
    /// Nothing is owed to the application any more; transactions may linger.
    told: bool,
    /// Keeps the sounds at the gateway until the call is released.
    kept: Vec<Arc<Kept>>,
    /// A former control plane placed it: its recordings have begun.
    inherited: bool,
    /// The dialogs of its legs as the store has them, by a digest: they change less often than the rest of the row, and
    /// are the larger part of it.
    dialogs: [Option<u64>; 2],
}

/// A construct whose note is on its way to the disk.
struct Waiting {
    view: View,
    reply: Reply<Result<View, Refusal>>,
}

/// Who started actions, and waits until the journal has them. Answered when this is dropped: the actions run, whatever
/// becomes of their rows.
#[derive(Default)]
struct Started(Vec<Reply<Result<(), Refusal>>>);

impl Drop for Started {
    fn drop(&mut self) {
        for reply in self.0.drain(..) {
            // Whoever asked may have hung up; the action goes on.
            let _ = reply.send(Ok(()));
        }
    }
}

/// All calls.
pub(super) struct Calls {
    store: Store,
    recordings: Arc<Recordings>,
    link: Link,
    calls: HashMap<Arc<str>, Call>,
    waiting: HashMap<Arc<str>, Waiting>,
    /// What belongs to the first note of a call whose outputs are being drained.
    first: Option<(Arc<str>, Vec<Change>)>,
    changes: Vec<Change>,
    /// Whose actions' rows are among those.
    started: Started,
    unnoted: Vec<Arc<str>>,
    noted: mpsc::Sender<Noted>,
    furnished: mpsc::Sender<u64>,
}

impl Calls {
    pub(super) fn new(
        store: Store,
        recordings: Arc<Recordings>,
        link: Link,
    ) -> (Self, mpsc::Receiver<Noted>, mpsc::Receiver<u64>) {
        let (noted, receiver) = mpsc::channel(NOTED);
        let (furnished, lives) = mpsc::channel(FURNISHED);
        let calls = Self {
            store,
            recordings,
            link,
            calls: HashMap::new(),
            waiting: HashMap::new(),
            first: None,
            changes: Vec::new(),
            started: Started::default(),
            unnoted: Vec::new(),
            noted,
            furnished,
        };
        (calls, receiver, lives)
    }

    /// Creates a resource. Its answer follows when its note is durable.
    pub(super) fn construct(
        &mut self,
        endpoint: &mut Endpoint,
        now: Now,
        order: Order,
        reply: Reply<Result<View, Refusal>>,
    ) {
        if let Err(refusal) = self.admit(order.plan.callback_url.as_deref()) {
            self.dispose(order.recording.as_ref());
            let _ = reply.send(Err(refusal));
            return;
        }
        let view = match endpoint.construct(now, order.plan, order.prepared) {
            Ok(view) => view,
            Err(error) => {
                self.dispose(order.recording.as_ref());
                let _ = reply.send(Err(error.into()));
                return;
            }
        };
        let res_id = Arc::clone(&view.res_id);
        let created = now.unix.milliseconds();
        let mut changes = Vec::new();
        if let Some((key, digest)) = order.request {
            let result = json::constructed(&view);
            changes.push(Change::Request(Box::new(RequestRow { key, digest, time: created, result })));
        }
        if let Some((_, path)) = &order.recording {
            changes.push(recording_row(&res_id, path, created, None));
        }
        self.first = Some((Arc::clone(&res_id), changes));
        let recordings = order.recording.into_iter().collect();
        let call = Call {
            owner: order.owner,
            recordings,
            created,
            told: false,
            kept: order.kept,
            inherited: false,
            dialogs: [None; 2],
        };
        self.calls.insert(Arc::clone(&res_id), call);
        self.waiting.insert(res_id, Waiting { view, reply });
    }

    /// A call of a former control plane goes on.
    pub(super) fn inherit(&mut self, inherited: Inherited) {
        let Inherited { res_id, created, recordings } = inherited;
        let call = Call {
            owner: None,
            recordings,
            created,
            told: false,
            kept: Vec::new(),
            inherited: true,
            dialogs: [None; 2],
        };
        self.calls.insert(res_id, call);
    }

    fn admit(&self, callback_url: Option<&str>) -> Result<(), Refusal> {
        if let Some(trouble) = self.store.trouble() {
            return Err(Refusal::Store(trouble));
        }
        if self.store.filling() > FULL_FOR_NEW {
            return Err(ApiError::Overloaded { retry_after_seconds: 1 }.into());
        }
        if callback_url.is_some_and(|url| !self.store.has_room_for(url)) {
            return Err(Refusal::Webhook);
        }
        Ok(())
    }

    /// The store has written, or not, the first note of a call.
    pub(super) fn answer(&mut self, endpoint: &mut Endpoint, noted: Noted) {
        let now = clock::now();
        let Some(waiting) = self.waiting.remove(&noted.res_id) else { return };
        let answer = match noted.outcome {
            Ok(()) => {
                endpoint.noted(now, &noted.res_id);
                Ok(waiting.view)
            }
            Err(broken) => {
                endpoint.unnoted(&noted.res_id);
                self.forget(&noted.res_id);
                Err(Refusal::Store(broken.0))
            }
        };
        // Whoever asked may have hung up; the call goes on.
        let _ = waiting.reply.send(answer);
    }

    /// A call that never was: its recording goes.
    fn forget(&mut self, res_id: &str) {
        if let Some(call) = self.calls.remove(res_id) {
            call.recordings.iter().for_each(|recording| self.dispose(Some(recording)));
        }
    }

    fn dispose(&self, recording: Option<&(Recording, PathBuf)>) {
        if let Some((recording, path)) = recording {
            self.link.forget(ToGateway::ForgetRecording { recording: *recording });
            self.recordings.dispose(path);
        }
    }

    /// A call that the store's queue had no room for.
    pub(super) fn take_unnoted(&mut self) -> Option<Arc<str>> {
        let res_id = self.unnoted.pop()?;
        self.forget(&res_id);
        if let Some(waiting) = self.waiting.remove(&res_id) {
            let _ = waiting.reply.send(Err(ApiError::Overloaded { retry_after_seconds: 1 }.into()));
        }
        Some(res_id)
    }

    /// The journal's row of a call has changed.
    pub(super) fn note(&mut self, note: &Note) {
        let Some(call) = self.calls.get_mut(&note.res_id) else { return };
        call.told = is_told(note);
        if note.released {
            // Its session closes: nobody hears them any more, while transactions may linger for half a minute.
            call.kept.clear();
        }
        let row = Change::Resource(Box::new(resource_row(note, call)));
        if let Some((res_id, mut changes)) = self.first.take_if(|(res_id, _)| *res_id == note.res_id) {
            // The resource first: what follows belongs to it.
            changes.insert(0, row);
            let (noted, name) = (self.noted.clone(), Arc::clone(&res_id));
            let then = Box::new(move |outcome| {
                // The task ends only when the program does.
                let _ = noted.blocking_send(Noted { res_id: name, outcome });
            });
            if self.store.submit(Job::or_refuse(changes, then)).is_err() {
                self.unnoted.push(res_id);
            }
            return;
        }
        self.changes.push(row);
        if note.over {
            self.calls.remove(&note.res_id);
        }
    }

    /// A call has something to tell the application.
    pub(super) fn report(&mut self, mut report: Report) {
        let owner = self.calls.get(&report.res_id).and_then(|call| call.owner);
        let mut also = None;
        match &mut report.event {
            Event::RecordCompleted(result) => {
                if let Some((recording, path)) = self.take_recording(&report.res_id, result.recording) {
                    self.finish_recording(recording, &path, result);
                    self.recordings.list(&json::manifest(&report.res_id, &path.to_string_lossy(), result));
                    also = Some(recording_row(&report.res_id, &path, 0, Some(report.time.milliseconds())));
                }
            }
            Event::ChannelClosed(record) => {
                let mut body = json::channel(record);
                if let serde_json::Value::Object(fields) = &mut body {
                    fields.insert("res_id".into(), (*report.res_id).into());
                    fields.insert("user_data".into(), report.user_data.as_deref().into());
                }
                also = Some(Change::Cdr(Box::new(CdrRow {
                    res_id: report.res_id.to_string(),
                    party: record.party.number(),
                    end_time: record.end_time.milliseconds(),
                    body,
                })));
            }
            _ => {}
        }
        self.changes.push(Change::Event(Box::new(EventRow {
            event_id: report.event_id.to_string(),
            res_id: report.res_id.to_string(),
            seq: u64::from(report.seq),
            time: report.time.milliseconds(),
            callback_url: report.callback_url.as_deref().map(str::to_owned),
            // Faster than its `Display`; what has strings for names can always be printed.
            body: serde_json::to_string(&json::notification(&report)).unwrap_or_default(),
            owner,
        })));
        self.changes.extend(also);
    }

    /// The file of a recording that ends now.
    fn take_recording(&mut self, res_id: &str, recording: Recording) -> Option<(Recording, PathBuf)> {
        let recordings = &mut self.calls.get_mut(res_id)?.recordings;
        let place = recordings.iter().position(|(known, _)| *known == recording)?;
        Some(recordings.swap_remove(place))
    }

    /// Starts an action of a call, and answers when its row is on the disk, so that its end is told whatever happens. If
    /// it is refused, what was prepared for it is disposed of.
    pub(super) fn start(
        &mut self,
        endpoint: &mut Endpoint,
        now: Now,
        start: ActionStart,
        reply: Reply<Result<(), Refusal>>,
    ) {
        let ActionStart { res_id, order, prepared, kept, recording } = start;
        match (endpoint.start_action(now, &res_id, order, prepared), self.calls.get_mut(&*res_id)) {
            (Ok(()), Some(call)) => {
                // One that is played again and again is held once.
                if let Some(kept) = kept
                    && !call.kept.iter().any(|held| Arc::ptr_eq(held, &kept))
                {
                    call.kept.push(kept);
                }
                if let Some((recording, path)) = recording {
                    self.changes.push(recording_row(&res_id, &path, now.unix.milliseconds(), None));
                    call.recordings.push((recording, path));
                }
                self.started.0.push(reply);
            }
            (outcome, _) => {
                self.dispose(recording.as_ref());
                let _ = reply.send(outcome.map_err(Refusal::from));
            }
        }
    }

    /// Gives the file its name, or keeps what there is of it. Renaming is one system call on a folder that the
    /// kernel has at hand, so it is done here, where the order of events is certain.
    fn finish_recording(&self, recording: Recording, path: &std::path::Path, result: &mut RecordResult) {
        if result.error.is_none() {
            if let Err(problem) = self.recordings.complete(path) {
                tracing::error!(path = %path.display(), %problem, "a recording could not be given its name");
                result.error = Some(Failure { code: 500, reason: Reason::WriteFailed });
            }
            return;
        }
        self.link.forget(ToGateway::ForgetRecording { recording });
        let kept = match self.recordings.rescue(path) {
            // A former control plane got as far as its name, and no further.
            Err(FileProblem::Missing) => Ok(self.recordings.named(path)),
            other => other,
        };
        match kept {
            Ok(Some(length)) => {
                result.duration = length.duration;
                result.bytes = length.bytes;
                // A lost gateway leaves many such files at once; calls do not wait for the disk.
                let (recordings, path) = (Arc::clone(&self.recordings), path.to_owned());
                tokio::task::spawn_blocking(move || recordings.sync(&path));
            }
            Ok(None) => result.bytes = 0,
            Err(problem) => {
                tracing::error!(path = %path.display(), %problem, "a recording that broke off stays as .part");
            }
        }
    }

    /// Hands a new gateway what the calls under way may need of it, sounds first; the task hears when that is done.
    /// What is refused is missing when it is to be played or recorded, and its events say so.
    pub(super) fn furnish(&self, epoch: u64) {
        let mut sounds: Vec<Arc<Kept>> =
            self.calls.values().flat_map(|call| &call.kept).map(Arc::clone).collect();
        sounds.sort_by_key(|sound| Arc::as_ptr(sound).addr());
        sounds.dedup_by(|one, other| Arc::ptr_eq(one, other));
        // Those that began went with their gateway, and were reported: they are no longer here.
        let files: Vec<(Recording, PathBuf)> = self
            .calls
            .values()
            .filter(|call| !call.inherited)
            .flat_map(|call| &call.recordings)
            .cloned()
            .collect();
        let (link, recordings) = (self.link.clone(), Arc::clone(&self.recordings));
        let furnished = self.furnished.clone();
        tokio::spawn(async move {
            if let Err(problem) = furnish(&link, &recordings, sounds, files).await {
                tracing::warn!(%problem, "the gateway lacks sounds or files of calls under way");
            }
            // The task ends only when the program does.
            let _ = furnished.send(epoch).await;
        });
    }

    /// How many calls still owe the application an event.
    pub(super) fn untold(&self) -> usize {
        self.calls.values().filter(|call| !call.told).count()
    }

    /// Hands all that was written since the last time to the store.
    pub(super) fn submit(&mut self) {
        let (changes, started) = (std::mem::take(&mut self.changes), std::mem::take(&mut self.started));
        if changes.is_empty() {
            return;
        }
        // A store in trouble is not waited for: calls go on without it.
        let job = if started.0.is_empty() || self.store.trouble().is_some() {
            Job::keep(changes)
        } else {
            Job::keep_soon(changes, Box::new(move |_| drop(started)))
        };
        if self.store.submit(job).is_err() {
            tracing::error!("events and rows were lost: the store's queue is full");
            self.calls.values_mut().for_each(|call| call.dialogs = [None; 2]);
        }
    }
}

async fn furnish(
    link: &Link,
    recordings: &Arc<Recordings>,
    sounds: Vec<Arc<Kept>>,
    files: Vec<(Recording, PathBuf)>,
) -> Result<(), LinkError> {
    if (sounds.is_empty() && files.is_empty()) || !link.clone().attached().await {
        return Ok(());
    }
    for sound in sounds {
        sound.present(link).await?;
    }
    for (recording, path) in files {
        let recordings = Arc::clone(recordings);
        let opened = tokio::task::spawn_blocking(move || recordings.open_again(&path)).await;
        // Of one that cannot be opened, the gateway says that it never got it.
        let Ok(Ok(file)) = opened else { continue };
        match link.hand_over(ToGateway::Recording { recording }, file.into()).await {
            // It was handed over before the gateway was lost, and that was not noticed: it is there.
            Ok(()) | Err(LinkError::Refused(_)) => {}
            Err(gone) => return Err(gone),
        }
    }
    Ok(())
}

fn recording_row(res_id: &str, path: &std::path::Path, created: i64, completed: Option<i64>) -> Change {
    let path = path.to_string_lossy().into_owned();
    Change::Recording(Box::new(RecordingRow { res_id: res_id.to_owned(), path, created, completed }))
}

/// Whether every promised event of a call has been reported.
fn is_told(note: &Note) -> bool {
    let owed = note.record_open
        || !note.actions.is_empty()
        || note.dial_open.contains(&true)
        || note.channel_open.contains(&true);
    note.released && !owed
}

fn resource_row(note: &Note, call: &mut Call) -> ResourceRow {
    let mut dialogs = Vec::new();
    for ((party, leg), written) in [1, 2].into_iter().zip(&note.legs).zip(&mut call.dialogs) {
        let Some(leg) = leg else { continue };
        let digest = Some(BuildHasherDefault::<DefaultHasher>::default().hash_one(leg));
        if std::mem::replace(written, digest) != digest {
            dialogs.push((party, json::dialog(leg)));
        }
    }
    let mut noted = json::note(note);
    if note.live.is_some() {
        noted["files"] = json::live::files(&call.recordings);
    }
    ResourceRow {
        res_id: note.res_id.to_string(),
        created: call.created,
        released: is_told(note).then(clock::unix_milliseconds),
        state: note.state.name(),
        callback_url: note.callback_url.as_deref().map(str::to_owned),
        view: json::view(&note.view),
        note: noted,
        dialogs,
    }
}
