//! `GET /v1/cdrs`: call detail records as JSON or CSV (RFC 4180).

use std::sync::Arc;

use axum::Extension;
use axum::extract::State;
use axum::http::{HeaderMap, HeaderValue, header};
use axum::response::{IntoResponse, Response};
use duogate_configuration::Right;
use serde_json::{Value, json};

use super::Interface;
use super::error::Failure;
use super::rest::{Asked, integer, known};
use super::tokens::Caller;
use super::transport::allow;
use crate::store::rows::{CdrPlace, StoredCdr};

/// Most records of one answer, and how many without a wish.
const LIMITS: (i64, i64) = (10_000, 1_000);

/// Columns of the CSV, in order.
const COLUMNS: &[&str] = &[
    "res_id",
    "party",
    "call_id",
    "from_uri",
    "to_uri",
    "trunk",
    "address",
    "begin_time",
    "ring_time",
    "answer_time",
    "end_time",
    "duration_seconds",
    "cause",
    "error",
    "hung_up",
    "codec",
    "user_data",
];

/// Answers `GET /v1/cdrs?since=&until=&cursor=&limit=`. Times are Unix seconds, of a leg's end.
pub(super) async fn cdrs(
    State(interface): State<Arc<Interface>>,
    who: Extension<Caller>,
    headers: HeaderMap,
    query: Asked,
) -> Result<Response, Failure> {
    allow(&who, &[Right::Read])?;
    let mut asked = known(query, &["since", "until", "cursor", "limit"])?;
    let since = time("since", asked.remove("since"))?.unwrap_or(i64::MIN);
    let until = time("until", asked.remove("until"))?.unwrap_or(i64::MAX);
    let cursor = asked.remove("cursor").map(|text| text.parse::<CdrPlace>()).transpose();
    let cursor = cursor.map_err(|_| Failure::parameter("cursor", "expected `next` of the page before"))?;
    let limit = integer("limit", asked.remove("limit"))?.unwrap_or(LIMITS.1);
    if !(1..=LIMITS.0).contains(&limit) {
        return Err(Failure::parameter("limit", format!("expected 1 to {}", LIMITS.0)));
    }
    let wanted = u32::try_from(limit).unwrap_or(1);
    let page = interface.reader.cdrs(since, until, cursor, wanted).await?;
    let next = page.last().filter(|_| page.len() >= wanted as usize).map(|record| record.place);
    if wants_csv(&headers) {
        return Ok(csv(&page, next));
    }
    let records: Vec<Value> = page.into_iter().map(|record| record.body).collect();
    // A cursor is a text, like every cursor of this interface.
    Ok(axum::Json(json!({"cdrs": records, "next": next.map(|next| next.to_string())})).into_response())
}

fn time(name: &str, text: Option<String>) -> Result<Option<i64>, Failure> {
    let Some(text) = text else { return Ok(None) };
    match text.parse::<f64>() {
        Ok(seconds) if seconds.is_finite() && seconds.abs() < 1e12 => {
            #[expect(clippy::cast_possible_truncation, reason = "bounded before")]
            let milliseconds = (seconds * 1_000.0).round() as i64;
            Ok(Some(milliseconds))
        }
        _ => Err(Failure::parameter(name, "expected Unix seconds")),
    }
}

/// Is CSV named, and not less liked than JSON (RFC 9110 section 12.5.1)?
fn wants_csv(headers: &HeaderMap) -> bool {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or("");
    let weight = |wanted: &str| {
        accept.split(',').find_map(|kind| {
            let mut parts = kind.split(';').map(str::trim);
            parts.next()?.eq_ignore_ascii_case(wanted).then(|| {
                let weight = parts.find_map(|part| part.strip_prefix("q="));
                weight.map_or(1.0, |weight| weight.parse::<f32>().unwrap_or(0.0))
            })
        })
    };
    let csv = weight("text/csv").unwrap_or(0.0);
    csv > 0.0 && csv >= weight("application/json").unwrap_or(0.0)
}

fn csv(page: &[StoredCdr], next: Option<CdrPlace>) -> Response {
    let mut text = COLUMNS.join(",") + "\r\n";
    for record in page {
        let cells: Vec<String> = COLUMNS.iter().map(|column| cell(&record.body[*column])).collect();
        text.push_str(&cells.join(","));
        text.push_str("\r\n");
    }
    let kind = HeaderValue::from_static("text/csv; charset=utf-8; header=present");
    let mut response = ([(header::CONTENT_TYPE, kind)], text).into_response();
    // Digits and a full stop are fit for a header.
    if let Some(Ok(next)) = next.map(|next| HeaderValue::try_from(next.to_string())) {
        response.headers_mut().insert("next-cursor", next);
    }
    response
}

fn cell(value: &Value) -> String {
    let text = match value {
        Value::Null => return String::new(),
        Value::String(text) => text.clone(),
        // An error is shown by its reason.
        Value::Object(fields) => fields.get("reason").and_then(Value::as_str).unwrap_or("").to_owned(),
        other => other.to_string(),
    };
    if text.contains(['"', ',', '\r', '\n']) { format!("\"{}\"", text.replace('"', "\"\"")) } else { text }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cells_are_quoted_where_they_must_be() {
        assert_eq!(cell(&json!("a,\"b\"\r\nc")), "\"a,\"\"b\"\"\r\nc\"");
        assert_eq!(cell(&json!({"code": 486, "reason": "busy"})), "busy");
        assert_eq!(
            (cell(&Value::Null), cell(&json!(1.5)), cell(&json!(true))),
            (String::new(), "1.5".into(), "true".into())
        );
    }

    #[test]
    fn csv_is_for_those_who_like_it_best() {
        let wants = |accept: &'static str| {
            wants_csv(&HeaderMap::from_iter([(header::ACCEPT, HeaderValue::from_static(accept))]))
        };
        for accept in ["text/csv", "Text/CSV; header=present", "text/html, text/csv;q=0.5, */*;q=0.1"] {
            assert!(wants(accept), "{accept}");
        }
        for accept in ["", "*/*", "application/json, text/csv;q=0.1", "text/csv;q=0", "text/csvx"] {
            assert!(!wants(accept), "{accept}");
        }
    }

    #[test]
    fn times_are_unix_seconds() {
        assert_eq!(time("since", Some("1700000000.25".into())).unwrap(), Some(1_700_000_000_250));
        for wrong in ["", "x", "NaN", "inf", "1e13"] {
            assert!(time("since", Some(wrong.into())).is_err(), "{wrong}");
        }
    }
}
