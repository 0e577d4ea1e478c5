//! What the journal keeps of a connected call for a control plane that goes on with it, and how it is read again.
//!
//! What is missing or damaged makes the whole note unreadable: such a call is ended, not guessed at.

use std::path::PathBuf;
use std::time::Duration;

use duogate_channel::identity::{Action, LocalPort, Party, Recording, Session, Shard};
use duogate_channel::sound::{RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::UnixTime;
use duogate_signaling::resource::action::{ActionNote, Actions, KeySet, Method, RecordOrder};
use duogate_signaling::resource::note::{DemandNote, Live, MediaNote, Note, PartyNote, RecordNote, Refresh};
use duogate_signaling::resource::plan::{RecordMode, RecordPlan};
use duogate_signaling::resource::report::Attempt;
use duogate_signaling::resource::view::{PartyView, State, View};
use serde_json::{Value, json};

use crate::store::rows::OpenResource;

/// What a recording of either kind has.
struct Running<'a> {
    recording: Recording,
    begin_time: UnixTime,
    file: &'a str,
    format: RecordFormat,
    channels: RecordChannels,
    hold: RecordHold,
}

impl<'a> Running<'a> {
    fn said(self) -> Value {
        json!({
            "recording": self.recording.0,
            "begin_time": self.begin_time.milliseconds(),
            "file": self.file,
            "format": self.format.name(),
            "channels": self.channels.name(),
            "hold": self.hold.name(),
        })
    }

    fn of(value: &'a Value) -> Option<Self> {
        Some(Self {
            recording: Recording(number(&value["recording"])?),
            begin_time: milliseconds(&value["begin_time"])?,
            file: value["file"].as_str()?,
            format: RecordFormat::from_name(value["format"].as_str()?)?,
            channels: RecordChannels::from_name(value["channels"].as_str()?)?,
            hold: RecordHold::from_name(value["hold"].as_str()?)?,
        })
    }
}

/// The live part of a note.
pub(super) fn said(live: &Live) -> Value {
    let record = live.record.as_ref().map(|&RecordNote { recording, begin_time, ref plan }| {
        let &RecordPlan { ref file, mode: _, format, channels, hold } = plan;
        Running { recording, begin_time, file, format, channels, hold }.said()
    });
    let demand = live.demand.as_ref().map(|&DemandNote { recording, begin_time, ref order, stopping }| {
        let &RecordOrder { ref file, max, format, channels, hold, finish_keys } = order;
        let mut said = Running { recording, begin_time, file, format, channels, hold }.said();
        said["max_milliseconds"] = json!(max.map(|max| u64::try_from(max.as_millis()).unwrap_or(u64::MAX)));
        said["finish_keys"] = finish_keys.text().into();
        said["stopping"] = stopping.into();
        said
    });
    let parties: Vec<Value> = live.parties.iter().map(party).collect();
    json!({"parties": parties, "record": record, "demand": demand, "last_action": live.last_action})
}

fn party(party: &PartyNote) -> Value {
    let attempts = party.attempts.iter().map(|attempt| json!([attempt.to_uri, attempt.cause]));
    json!({
        "trunk": party.trunk.as_deref(),
        "nat": party.nat,
        "attempts": attempts.collect::<Vec<_>>(),
        "prompt": party.prompt.map(|action| action.0),
    })
}

/// The interval of a session.
pub(super) fn refresh(refresh: Refresh) -> Value {
    json!({"seconds": refresh.seconds, "by_us": refresh.by_us, "by_update": refresh.by_update})
}

/// An interval as [`refresh`] wrote it.
pub(super) fn refresh_of(value: &Value) -> Option<Refresh> {
    Some(Refresh {
        seconds: number(&value["seconds"])?,
        by_us: value["by_us"].as_bool()?,
        by_update: value["by_update"].as_bool()?,
    })
}

fn number<T: TryFrom<u64>>(value: &Value) -> Option<T> {
    value.as_u64().and_then(|number| T::try_from(number).ok())
}

fn text(value: &Value) -> Option<String> {
    value.as_str().map(str::to_owned)
}

/// Null is none; anything else has to be one.
fn maybe<T>(value: &Value, read: impl FnOnce(&Value) -> Option<T>) -> Option<Option<T>> {
    if value.is_null() { Some(None) } else { read(value).map(Some) }
}

/// Unix seconds of a view.
fn seconds(value: &Value) -> Option<UnixTime> {
    let milliseconds = (value.as_f64()? * 1_000.0).round();
    #[expect(clippy::cast_possible_truncation, reason = "saturates; such a time only ends the call at once")]
    let milliseconds = milliseconds as i64;
    Some(UnixTime::from_milliseconds(milliseconds))
}

fn milliseconds(value: &Value) -> Option<UnixTime> {
    value.as_i64().map(UnixTime::from_milliseconds)
}

/// The note of a resource that a former control plane left connected. None: it is to be ended.
pub(crate) fn note_of(open: &OpenResource) -> Option<Note> {
    let (note, view) = (&open.note, &open.view);
    if open.state != State::Connected.name() || note["released"] == true {
        return None;
    }
    let dialog = |party: u8| open.dialogs.iter().find(|(number, _)| *number == party);
    let leg = |party| dialog(party).map(|(_, detail)| super::dialog_of(detail));
    let live = live_of(&note["live"])?;
    let actions = note["actions"].as_array().into_iter().flatten().map(action_of);
    Some(Note {
        res_id: open.res_id.as_str().into(),
        state: State::Connected,
        seq: u32::try_from(open.last_seq).ok()?,
        released: false,
        dial_open: [false; 2],
        record_open: live.record.is_some(),
        actions: actions.collect::<Option<_>>()?,
        channel_open: [true; 2],
        over: false,
        callback_url: open.callback_url.as_deref().map(Into::into),
        max_answer: Duration::from_secs(number(&note["max_answer_seconds"])?),
        max_ring: Duration::from_secs(number(&note["max_ring_seconds"])?),
        view: view_of(open, view)?,
        legs: [leg(1), leg(2)],
        media: Some(media_of(&note["media"])?),
        live: Some(live),
    })
}

fn view_of(open: &OpenResource, view: &Value) -> Option<View> {
    let party = |party: &Value| {
        Some(PartyView {
            to_uri: Some(text(&party["to_uri"])?),
            begin_time: Some(seconds(&party["begin_time"])?),
            ring_time: maybe(&party["ring_time"], seconds)?,
            answer_time: Some(seconds(&party["answer_time"])?),
            end_time: None,
            quality: None,
        })
    };
    Some(View {
        res_id: open.res_id.as_str().into(),
        state: State::Connected,
        action: Actions::default(),
        record_file: maybe(&view["record_file"], text)?,
        user_data: maybe(&view["user_data"], text)?.map(Into::into),
        begin_time: seconds(&view["begin_time"])?,
        connect_time: Some(seconds(&view["connect_time"])?),
        end_time: None,
        error: None,
        cause: None,
        released_by: None,
        parties: [party(&view["party1"])?, party(&view["party2"])?],
    })
}

fn media_of(media: &Value) -> Option<MediaNote> {
    let port = |leg: usize| {
        let port =
            LocalPort { address: number(&media["addresses"][leg])?, port: number(&media["ports"][leg])? };
        (port.port != 0).then_some(port)
    };
    Some(MediaNote {
        shard: Shard(number(&media["shard"])?),
        session: Session { slot: number(&media["slot"])?, generation: number(&media["generation"])? },
        tag: number(&media["tag"])?,
        ports: [port(0)?, port(1)?],
    })
}

fn live_of(live: &Value) -> Option<Live> {
    Some(Live {
        parties: [party_of(&live["parties"][0])?, party_of(&live["parties"][1])?],
        record: maybe(live.get("record")?, record_of)?,
        demand: maybe(live.get("demand")?, demand_of)?,
        last_action: number(&live["last_action"])?,
    })
}

fn party_of(party: &Value) -> Option<PartyNote> {
    let attempt = |attempt: &Value| Some(Attempt { to_uri: text(&attempt[0])?, cause: number(&attempt[1])? });
    Some(PartyNote {
        trunk: maybe(party.get("trunk")?, text)?.map(Into::into),
        nat: party["nat"].as_bool()?,
        attempts: party["attempts"].as_array()?.iter().map(attempt).collect::<Option<_>>()?,
        prompt: maybe(party.get("prompt")?, number)?.map(Action),
    })
}

fn record_of(record: &Value) -> Option<RecordNote> {
    let Running { recording, begin_time, file, format, channels, hold } = Running::of(record)?;
    // It runs: when it was to begin no longer matters.
    let mode = RecordMode::FromConnected;
    let plan = RecordPlan { file: file.to_owned(), mode, format, channels, hold };
    Some(RecordNote { recording, begin_time, plan })
}

fn demand_of(demand: &Value) -> Option<DemandNote> {
    let Running { recording, begin_time, file, format, channels, hold } = Running::of(demand)?;
    let order = RecordOrder {
        file: file.to_owned(),
        max: maybe(&demand["max_milliseconds"], Value::as_u64)?.map(Duration::from_millis),
        format,
        channels,
        hold,
        finish_keys: KeySet::from_text(demand["finish_keys"].as_str()?)?,
    };
    Some(DemandNote { recording, begin_time, order, stopping: demand["stopping"].as_bool()? })
}

fn action_of(action: &Value) -> Option<ActionNote> {
    let party = |number: &Value| Party::BOTH.into_iter().find(|party| number == party.number());
    Some(ActionNote {
        method: Method::ALL.into_iter().find(|method| action["action"] == method.name())?,
        party: maybe(&action["party"], party)?,
        begin_time: seconds(&action["begin_time"])?,
        detail: text(&action["detail"])?,
    })
}

/// The files that a call records into, by their names at the gateway: what [`files_of`] reads.
pub(crate) fn files(recordings: &[(Recording, PathBuf)]) -> Value {
    let file = |(recording, path): &(Recording, PathBuf)| json!([recording.0, path.to_string_lossy()]);
    recordings.iter().map(file).collect()
}

/// The files of a note.
pub(crate) fn files_of(open: &OpenResource) -> Option<Vec<(Recording, PathBuf)>> {
    let file = |file: &Value| Some((Recording(file[0].as_u64()?), PathBuf::from(file[1].as_str()?)));
    open.note["files"].as_array()?.iter().map(file).collect()
}

#[cfg(test)]
mod tests;
