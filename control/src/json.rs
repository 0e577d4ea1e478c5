//! The core's values as the application interface spells them.

use std::time::Duration;

use duogate_channel::identity::{LocalPort, Party};
use duogate_channel::sound::Codec;
use duogate_channel::time::UnixTime;
use duogate_signaling::resource::action::{ActionNote, Actions};
use duogate_signaling::resource::note::{LegNote, Note};
use duogate_signaling::resource::report::{ChannelRecord, Event, Failure, RecordResult, Release, Report};
use duogate_signaling::resource::view::{PartyView, View};
use serde_json::{Map, Value, json};

pub(crate) mod live;
mod quality;

use quality::quality;

/// Unix seconds with millisecond fractions.
pub(crate) fn seconds(milliseconds: i64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "exact until the year 287396")]
    let value = milliseconds as f64 / 1_000.0;
    value
}

pub(crate) fn time(time: UnixTime) -> Value {
    json!(seconds(time.milliseconds()))
}

fn maybe(instant: Option<UnixTime>) -> Value {
    instant.map_or(Value::Null, time)
}

/// Seconds with millisecond fractions.
fn length(duration: Duration) -> Value {
    json!((duration.as_secs_f64() * 1_000.0).round() / 1_000.0)
}

pub(crate) fn failure(failure: Option<Failure>) -> Value {
    failure.map_or(Value::Null, |failure| json!({"code": failure.code, "reason": failure.reason.name()}))
}

fn codec(codec: Option<Codec>) -> Value {
    codec.map_or(Value::Null, |codec| codec.name().into())
}

/// What `construct` answers.
pub(crate) fn constructed(view: &View) -> Value {
    json!({
        "res_id": &*view.res_id,
        "state": view.state.name(),
        "record_file": view.record_file,
        "user_data": view.user_data.as_deref(),
    })
}

/// What `get` and `list` show.
pub(crate) fn view(view: &View) -> Value {
    json!({
        "res_id": &*view.res_id,
        "state": view.state.name(),
        "action": actions(&view.action),
        "record_file": view.record_file,
        "user_data": view.user_data.as_deref(),
        "begin_time": time(view.begin_time),
        "connect_time": maybe(view.connect_time),
        "end_time": maybe(view.end_time),
        "error": failure(view.error),
        "cause": view.cause,
        "released_by": view.released_by,
        "party1": party(&view.parties[0]),
        "party2": party(&view.parties[1]),
    })
}

fn actions(actions: &Actions) -> Value {
    let party = |party: Party| {
        let running = &actions.parties[party.index()];
        json!({"play": running.play, "send_dtmf": running.send_dtmf, "receive_dtmf": running.receive_dtmf})
    };
    json!({"party1": party(Party::One), "party2": party(Party::Two), "record": actions.record})
}

fn party(party: &PartyView) -> Value {
    json!({
        "to_uri": party.to_uri,
        "begin_time": maybe(party.begin_time),
        "ring_time": maybe(party.ring_time),
        "answer_time": maybe(party.answer_time),
        "end_time": maybe(party.end_time),
        "quality": quality(party.quality.as_ref()),
    })
}

/// The notification of an event.
pub(crate) fn notification(report: &Report) -> Value {
    let mut params = match &report.event {
        Event::Ringing { ring_time, early_media, .. } => {
            json!({"ring_time": time(*ring_time), "early_media": early_media})
        }
        Event::Dial2Started { begin_time, to_uri } => {
            json!({"begin_time": time(*begin_time), "to_uri": to_uri})
        }
        Event::DialCompleted { error, begin_time, answer_time, end_time, to_uri, .. } => json!({
            "error": failure(*error),
            "begin_time": time(*begin_time),
            "answer_time": maybe(*answer_time),
            "end_time": time(*end_time),
            "to_uri": to_uri,
        }),
        Event::Connected { connect_time } => json!({"connect_time": time(*connect_time)}),
        Event::Dtmf { party, key, milliseconds } => json!({
            "party": party.number(),
            "key": key.sign().to_string(),
            "duration_milliseconds": milliseconds,
        }),
        Event::PlayCompleted { party, error, begin_time, end_time, finish_key } => {
            let mut params = acted(*party, *error, *begin_time, *end_time);
            params["finish_key"] = finish_key.map_or(Value::Null, |key| key.sign().to_string().into());
            params
        }
        Event::SendDtmfCompleted { party, error, begin_time, end_time, keys } => {
            let mut params = acted(*party, *error, *begin_time, *end_time);
            params["keys"] = keys.as_str().into();
            params
        }
        Event::ReceiveDtmfCompleted { party, error, begin_time, end_time, keys, finish_key } => {
            let mut params = acted(*party, *error, *begin_time, *end_time);
            params["keys"] = keys.as_str().into();
            params["finish_key"] = finish_key.map_or(Value::Null, |key| key.sign().to_string().into());
            params
        }
        Event::RecordCompleted(result) => recorded(result),
        Event::Released(release) => released(release),
        Event::ChannelClosed(record) => channel(record),
    };
    envelope(
        &mut params,
        &report.event_id.to_string(),
        &report.res_id,
        u64::from(report.seq),
        report.time.milliseconds(),
        report.user_data.as_deref(),
    );
    json!({"jsonrpc": "2.0", "method": report.event.method(), "params": params})
}

/// Adds what every event carries.
pub(crate) fn envelope(
    params: &mut Value,
    event_id: &str,
    res_id: &str,
    seq: u64,
    milliseconds: i64,
    user_data: Option<&str>,
) {
    if let Value::Object(fields) = params {
        fields.insert("event_id".into(), event_id.into());
        fields.insert("res_id".into(), res_id.into());
        fields.insert("seq".into(), seq.into());
        fields.insert("time".into(), json!(seconds(milliseconds)));
        fields.insert("user_data".into(), user_data.into());
    }
}

/// What the ends of all actions on a party have in common.
fn acted(party: Party, error: Option<Failure>, begin_time: UnixTime, end_time: UnixTime) -> Value {
    json!({
        "party": party.number(),
        "error": failure(error),
        "begin_time": time(begin_time),
        "end_time": time(end_time),
    })
}

fn recorded(result: &RecordResult) -> Value {
    json!({
        "error": failure(result.error),
        "record_file": result.record_file,
        "begin_time": maybe(result.begin_time),
        "end_time": time(result.end_time),
        "duration_seconds": length(result.duration),
        "bytes": result.bytes,
        "lost_packets": result.lost_packets,
    })
}

/// The line of a recording in the manifest. `path` is that beneath the recording root.
pub(crate) fn manifest(res_id: &str, path: &str, result: &RecordResult) -> Value {
    let party = |number: usize| {
        let track = &result.tracks[number];
        json!({
            "party": number + 1,
            "to_uri": result.uris[number],
            "packets_lost": track.lost,
            "gaps": track.gaps,
            "silent_seconds": length(Duration::from_millis(track.silent_milliseconds.into())),
        })
    };
    json!({
        "res_id": res_id,
        "record_file": path,
        "begin_time": maybe(result.begin_time),
        "end_time": time(result.end_time),
        "duration_seconds": length(result.duration),
        "bytes": result.bytes,
        "format": result.format.name(),
        "channels": result.channels.count(),
        "lost_packets": result.lost_packets,
        "parties": [party(0), party(1)],
        "error": failure(result.error),
    })
}

fn released(release: &Release) -> Value {
    json!({
        "error": failure(release.error),
        "cause": release.cause,
        "released_by": release.released_by,
        "begin_time": time(release.begin_time),
        "answer_time": maybe(release.answer_time),
        "connect_time": maybe(release.connect_time),
        "end_time": time(release.end_time),
        "duration_seconds": length(release.duration),
        "quality1": quality(release.quality[0].as_ref()),
        "quality2": quality(release.quality[1].as_ref()),
    })
}

/// The record of one leg.
pub(crate) fn channel(record: &ChannelRecord) -> Value {
    let attempts: Vec<Value> = record
        .attempts
        .iter()
        .map(|attempt| json!({"to_uri": attempt.to_uri, "cause": attempt.cause}))
        .collect();
    json!({
        "party": record.party.number(),
        "call_id": record.call_id,
        "from_uri": record.from_uri,
        "to_uri": record.to_uri,
        "trunk": record.trunk,
        "address": record.address.map(|address| address.to_string()),
        "begin_time": time(record.begin_time),
        "ring_time": maybe(record.ring_time),
        "answer_time": maybe(record.answer_time),
        "end_time": time(record.end_time),
        "duration_seconds": length(record.duration),
        "cause": record.cause,
        "error": failure(record.error),
        "hung_up": record.hung_up,
        "codec": codec(record.codec),
        "quality": quality(record.quality.as_ref()),
        "attempts": attempts,
    })
}

/// What a later control plane needs to end a resource properly.
pub(crate) fn note(note: &Note) -> Value {
    let mut fields = Map::new();
    fields.insert("released".into(), note.released.into());
    fields.insert("dial_open".into(), json!(note.dial_open));
    fields.insert("record_open".into(), note.record_open.into());
    fields.insert("channel_open".into(), json!(note.channel_open));
    let action = |action: &ActionNote| {
        json!({
            "action": action.method.name(),
            "party": action.party.map(Party::number),
            "begin_time": time(action.begin_time),
            "detail": action.detail,
        })
    };
    fields.insert("actions".into(), note.actions.iter().map(action).collect());
    fields.insert("max_answer_seconds".into(), json!(note.max_answer.as_secs()));
    fields.insert("max_ring_seconds".into(), json!(note.max_ring.as_secs()));
    if let Some(media) = &note.media {
        fields.insert(
            "media".into(),
            json!({
                "shard": media.shard.0,
                "slot": media.session.slot,
                "generation": media.session.generation,
                "tag": media.tag,
                "addresses": media.ports.map(|port| port.address),
                "ports": media.ports.map(|port| port.port),
            }),
        );
    }
    if let Some(live) = &note.live {
        fields.insert("live".into(), live::said(live));
    }
    Value::Object(fields)
}

/// The RTP port of a leg, as [`note`] wrote it; what is missing or damaged is 0.
pub(crate) fn local_port(media: &Value, leg: usize) -> LocalPort {
    let number = |name: &str| media[name][leg].as_u64().unwrap_or(0);
    LocalPort {
        address: u8::try_from(number("addresses")).unwrap_or(0),
        port: u16::try_from(number("ports")).unwrap_or(0),
    }
}

/// One leg's dialog.
pub(crate) fn dialog(leg: &LegNote) -> Value {
    json!({
        "call_id": leg.call_id,
        "local_tag": leg.local_tag,
        "remote_tag": leg.remote_tag,
        "local_uri": leg.local_uri,
        "remote_uri": leg.remote_uri,
        "remote_target": leg.remote_target,
        "routes": leg.routes,
        "branch": format!("{:016x}", leg.branch),
        "local_sequence": leg.local_sequence,
        "remote_sequence": leg.remote_sequence,
        "address": leg.address.map(|address| address.to_string()),
        "listener": leg.listener,
        "answered": leg.answered,
        "description": leg.description,
        "refresh": leg.refresh.map(live::refresh),
    })
}

/// A dialog as [`dialog`] wrote it. What is missing or damaged is empty: such a row describes no call.
pub(crate) fn dialog_of(value: &Value) -> LegNote {
    let text = |name: &str| value[name].as_str().unwrap_or_default().to_owned();
    let number = |name: &str| value[name].as_u64();
    let routes = value["routes"].as_array().into_iter().flatten();
    LegNote {
        call_id: text("call_id"),
        local_tag: text("local_tag"),
        remote_tag: text("remote_tag"),
        local_uri: text("local_uri"),
        remote_uri: text("remote_uri"),
        remote_target: text("remote_target"),
        routes: routes.filter_map(Value::as_str).map(str::to_owned).collect(),
        branch: u64::from_str_radix(&text("branch"), 16).unwrap_or(0),
        local_sequence: number("local_sequence").and_then(|number| u32::try_from(number).ok()).unwrap_or(1),
        remote_sequence: number("remote_sequence").and_then(|number| u32::try_from(number).ok()),
        address: text("address").parse().ok(),
        listener: number("listener").and_then(|number| u16::try_from(number).ok()).unwrap_or(u16::MAX),
        answered: value["answered"] == true,
        description: text("description"),
        refresh: live::refresh_of(&value["refresh"]),
    }
}
