//! What the store keeps, as the rest of the program sees it: no SQL here.

use std::fmt;
use std::num::ParseIntError;
use std::str::FromStr;

use serde_json::Value;

/// One resource as it stood when its row was written.
#[derive(Clone, Debug)]
pub(crate) struct ResourceRow {
    /// `<node>-ext.duo_callback-<unique>`.
    pub(crate) res_id: String,
    /// Unix milliseconds.
    pub(crate) created: i64,
    /// Unix milliseconds; none until every event of the resource has been written.
    pub(crate) released: Option<i64>,
    /// `Initiated` … `Released`.
    pub(crate) state: &'static str,
    /// Where its events go, if anywhere.
    pub(crate) callback_url: Option<String>,
    /// What `get` shows.
    pub(crate) view: Value,
    /// What ending it after a crash needs.
    pub(crate) note: Value,
    /// The dialogs of its legs, by party, for a control plane that takes calls over: those that have changed.
    pub(crate) dialogs: Vec<(u8, Value)>,
}

/// A resource that a former control plane left open.
#[derive(Clone, Debug)]
pub(crate) struct OpenResource {
    /// Its row.
    pub(crate) res_id: String,
    /// Unix milliseconds.
    pub(crate) created: i64,
    /// The `seq` of the last event that was written; the next is one more.
    pub(crate) last_seq: u64,
    /// Where its events go.
    pub(crate) callback_url: Option<String>,
    /// The row's state.
    pub(crate) state: String,
    /// The dialogs of its legs, by party.
    pub(crate) dialogs: Vec<(u8, Value)>,
    /// The row's view.
    pub(crate) view: Value,
    /// The row's note.
    pub(crate) note: Value,
    /// Recordings that have not been announced.
    pub(crate) recordings: Vec<RecordingRow>,
}

/// One event on its way to the application.
#[derive(Clone, Debug)]
pub(crate) struct EventRow {
    /// UUID.
    pub(crate) event_id: String,
    /// The resource it is about.
    pub(crate) res_id: String,
    /// 1, 2, 3 … per resource.
    pub(crate) seq: u64,
    /// Unix milliseconds.
    pub(crate) time: i64,
    /// Where it is to be posted; none: kept for whoever subscribes.
    pub(crate) callback_url: Option<String>,
    /// The whole notification as it is sent.
    pub(crate) body: String,
    /// The WebSocket whose request made the resource; not written, it does not outlive the process.
    pub(crate) owner: Option<u64>,
}

/// The record of one leg.
#[derive(Clone, Debug)]
pub(crate) struct CdrRow {
    /// The resource.
    pub(crate) res_id: String,
    /// 1 or 2.
    pub(crate) party: u8,
    /// Unix milliseconds.
    pub(crate) end_time: i64,
    /// The record.
    pub(crate) body: Value,
}

/// Where a record stands among all: by the end of its leg, then by the order of writing. A cursor.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct CdrPlace {
    /// Unix milliseconds.
    pub(crate) end_time: i64,
    /// Its number in the order of writing.
    pub(crate) id: i64,
}

impl fmt::Display for CdrPlace {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(formatter, "{}.{}", self.end_time, self.id)
    }
}

impl FromStr for CdrPlace {
    type Err = ParseIntError;

    fn from_str(text: &str) -> Result<Self, ParseIntError> {
        let (end_time, id) = text.split_once('.').unwrap_or((text, ""));
        Ok(Self { end_time: end_time.parse()?, id: id.parse()? })
    }
}

/// One record as it is read back.
#[derive(Clone, Debug)]
pub(crate) struct StoredCdr {
    /// Its place; a cursor.
    pub(crate) place: CdrPlace,
    /// The record.
    pub(crate) body: Value,
}

/// A request that was answered, for the one that comes again.
#[derive(Clone, Debug)]
pub(crate) struct RequestRow {
    /// The application's key.
    pub(crate) key: String,
    /// SHA-256 of the request's parameters.
    pub(crate) digest: Vec<u8>,
    /// Unix milliseconds.
    pub(crate) time: i64,
    /// What was answered.
    pub(crate) result: Value,
}

/// A recording that was asked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct RecordingRow {
    /// The resource.
    pub(crate) res_id: String,
    /// Path beneath the recording root; while it is written, with `.part` behind it.
    pub(crate) path: String,
    /// Unix milliseconds.
    pub(crate) created: i64,
    /// Unix milliseconds; none until `on_record_completed` was written.
    pub(crate) completed: Option<i64>,
}

/// One thing to be written. Changes of one job are written together or not at all.
#[derive(Clone, Debug)]
pub(crate) enum Change {
    /// Insert or replace a resource.
    Resource(Box<ResourceRow>),
    /// Put an event into the outbox.
    Event(Box<EventRow>),
    /// Add the record of a leg.
    Cdr(Box<CdrRow>),
    /// Remember a request.
    Request(Box<RequestRow>),
    /// Insert or replace a recording.
    Recording(Box<RecordingRow>),
    /// Events that have arrived where they were to go.
    Delivered(Vec<String>),
    /// Events that went to a WebSocket: those without a webhook leave.
    Collected(Vec<String>),
}

/// How long things are kept, in seconds, and how many.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Keeping {
    /// Released resources, for `get`.
    pub(crate) released_seconds: u64,
    /// Events that nobody collected.
    pub(crate) events_seconds: u64,
    /// Events that nobody collected: at most so many, the oldest go first.
    pub(crate) events: u64,
    /// Events that wait for webhooks; with so many, further callbacks that have one are refused.
    pub(crate) webhook_events: u64,
    /// The same for the webhooks of one host and port.
    pub(crate) webhook_events_per_host: u64,
    /// Call detail records.
    pub(crate) cdrs_seconds: u64,
}

/// Webhooks are tried, and request ids remembered, for a day.
pub(crate) const DAY_SECONDS: u64 = 86_400;

/// Totals for the metrics.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Totals {
    /// Events waiting for their webhook.
    pub(crate) for_webhooks: u64,
    /// Events waiting for somebody to subscribe.
    pub(crate) uncollected: u64,
}
