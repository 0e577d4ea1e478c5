//! Events in words.

use serde_json::Value;

use crate::rpc::Event;
use crate::screen::{Look, shown};

/// An event in words, and how it looks; none for an event that tells people nothing.
pub(crate) fn tell(event: &Event) -> Option<(Look, String)> {
    let params = &event.params;
    let words = match event.name() {
        "on_ringing1" => (Look::Plain, ringing(1, params)),
        "on_ringing2" => (Look::Plain, ringing(2, params)),
        "on_dial1_completed" => dialed(1, params),
        "on_dial2_completed" => dialed(2, params),
        "on_dial2_started" => (Look::Plain, format!("party 2 is called at {}", text(params, "to_uri"))),
        "on_connected" => (Look::Good, "both are connected".to_owned()),
        "on_dtmf" => (Look::Plain, format!("party {} pressed {}", params["party"], text(params, "key"))),
        "on_record_completed" => recorded(params),
        "on_released" => released(params),
        "on_chan_closed" => return None,
        other => (Look::Plain, format!("{} {}", shown(other), shown(&params.to_string()))),
    };
    Some(words)
}

fn text(params: &Value, key: &str) -> String {
    shown(params[key].as_str().unwrap_or("?"))
}

fn ringing(party: u8, params: &Value) -> String {
    let early = if params["early_media"] == Value::Bool(true) { ", and sends sound already" } else { "" };
    format!("party {party} rings{early}")
}

/// What an event's `error` says.
pub(crate) fn reason(error: &Value) -> String {
    let reason = shown(error["reason"].as_str().unwrap_or("unknown reason")).replace('_', " ");
    match error["code"].as_i64() {
        Some(code) => format!("{reason} ({code})"),
        None => reason,
    }
}

fn dialed(party: u8, params: &Value) -> (Look, String) {
    match &params["error"] {
        Value::Null => (Look::Plain, format!("party {party} answers")),
        error => (Look::Attention, format!("party {party} is not reached: {}", reason(error))),
    }
}

fn recorded(params: &Value) -> (Look, String) {
    match &params["error"] {
        Value::Null => {
            let seconds = params["duration_seconds"].as_f64().unwrap_or(0.0);
            let file = text(params, "record_file");
            (Look::Plain, format!("recorded: {file}, {seconds:.1} s, {} bytes", params["bytes"]))
        }
        error => (Look::Attention, format!("the recording failed: {}", reason(error))),
    }
}

fn released(params: &Value) -> (Look, String) {
    let seconds = params["duration_seconds"].as_f64().unwrap_or(0.0);
    let by = match params["released_by"].as_u64() {
        Some(party @ 1..=2) => format!("party {party} hung up"),
        _ => "ended by the system".to_owned(),
    };
    match &params["error"] {
        Value::Null => (Look::Good, format!("released: {by} after {seconds:.1} s")),
        error => (Look::Bad, format!("released: {}", reason(error))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[track_caller]
    fn told(method: &str, params: Value) -> String {
        tell(&Event { method: method.to_owned(), params }).unwrap().1
    }

    #[test]
    fn events_become_words() {
        let on = |name: &str| format!("ext.duo_callback.{name}");
        assert_eq!(told(&on("on_ringing1"), json!({"early_media": false})), "party 1 rings");
        assert_eq!(
            told(&on("on_ringing2"), json!({"early_media": true})),
            "party 2 rings, and sends sound already"
        );
        assert_eq!(told(&on("on_dial1_completed"), json!({"error": null})), "party 1 answers");
        let busy = json!({"error": {"code": 486, "reason": "busy_here"}});
        assert_eq!(told(&on("on_dial2_completed"), busy), "party 2 is not reached: busy here (486)");
        let record = json!({"error": null, "record_file": "a.wav", "duration_seconds": 3.12, "bytes": 52});
        assert_eq!(told(&on("on_record_completed"), record), "recorded: a.wav, 3.1 s, 52 bytes");
        let end = json!({"error": null, "released_by": 2, "duration_seconds": 4.0});
        assert_eq!(told(&on("on_released"), end), "released: party 2 hung up after 4.0 s");
        let end = json!({"error": {"code": 408, "reason": "no_answer"}, "released_by": 0});
        assert_eq!(told(&on("on_released"), end), "released: no answer (408)");
        assert_eq!(told(&on("on_new"), json!({})), "on_new {}");
    }
}
