//! Reads the store.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::rows::{EventRow, OpenResource, RecordingRow, RequestRow, StoredCdr, Totals};

/// What can be asked of the store; each runs on the reader's thread.
impl super::Reader {
    /// The view of a resource that has been released, while it is kept.
    pub(crate) async fn resource(&self, res_id: String) -> super::Answer<Option<Value>> {
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT view FROM resources WHERE res_id = ?1")?
                .query_row([res_id], |row| json(row, 0))
                .optional()
        })
        .await
    }

    /// Released resources in the order of their names after `cursor`, at most `limit`.
    pub(crate) async fn released(&self, cursor: String, limit: u32) -> super::Answer<Vec<(String, Value)>> {
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT res_id, view FROM resources
                     WHERE released IS NOT NULL AND res_id > ?1 ORDER BY res_id LIMIT ?2",
                )?
                .query_map(params![cursor, limit], |row| Ok((row.get(0)?, json(row, 1)?)))?
                .collect()
        })
        .await
    }

    /// Records of legs that ended in a stretch of time, after `cursor`, at most `limit`.
    pub(crate) async fn cdrs(
        &self,
        since: i64,
        until: i64,
        cursor: i64,
        limit: u32,
    ) -> super::Answer<Vec<StoredCdr>> {
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT id, body FROM cdrs WHERE id > ?1 AND end_time >= ?2 AND end_time < ?3
                     ORDER BY id LIMIT ?4",
                )?
                .query_map(params![cursor, since, until, limit], |row| {
                    Ok(StoredCdr { id: row.get(0)?, body: json(row, 1)? })
                })?
                .collect()
        })
        .await
    }

    /// A request that was answered before.
    pub(crate) async fn request(&self, key: String) -> super::Answer<Option<RequestRow>> {
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT key, digest, time, result FROM requests WHERE key = ?1")?
                .query_row([key], |row| {
                    Ok(RequestRow {
                        key: row.get(0)?,
                        digest: row.get(1)?,
                        time: row.get(2)?,
                        result: json(row, 3)?,
                    })
                })
                .optional()
        })
        .await
    }

    /// The recordings of a resource.
    pub(crate) async fn recordings(&self, res_id: String) -> super::Answer<Vec<RecordingRow>> {
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT res_id, path, created, completed FROM recordings WHERE res_id = ?1 ORDER BY created")?
                .query_map([res_id], recording)?
                .collect()
        })
        .await
    }

    /// The events of one resource that wait for their webhook, oldest first.
    pub(crate) async fn pending(&self, res_id: String, limit: u32) -> super::Answer<Vec<EventRow>> {
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT event_id, res_id, seq, time, callback_url, body FROM outbox
                     WHERE res_id = ?1 AND callback_url IS NOT NULL ORDER BY seq LIMIT ?2",
                )?
                .query_map(params![res_id, limit], event)?
                .collect()
        })
        .await
    }

    /// Resources with events that wait for their webhook, after `cursor`.
    pub(crate) async fn with_pending(&self, cursor: String, limit: u32) -> super::Answer<Vec<String>> {
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT DISTINCT res_id FROM outbox
                     WHERE callback_url IS NOT NULL AND res_id > ?1 ORDER BY res_id LIMIT ?2",
                )?
                .query_map(params![cursor, limit], |row| row.get(0))?
                .collect()
        })
        .await
    }

    /// Events that nobody has collected yet, in the order of writing, each with its place.
    pub(crate) async fn uncollected(&self, place: i64, limit: u32) -> super::Answer<Vec<(i64, EventRow)>> {
        self.ask(move |connection| {
            connection
                .prepare_cached(
                    "SELECT event_id, res_id, seq, time, callback_url, body, place FROM outbox
                     WHERE callback_url IS NULL AND place > ?1 ORDER BY place LIMIT ?2",
                )?
                .query_map(params![place, limit], |row| Ok((row.get(6)?, event(row)?)))?
                .collect()
        })
        .await
    }

    /// How full the outbox is.
    pub(crate) async fn totals(&self) -> super::Answer<Totals> {
        self.ask(totals).await
    }
}

/// How full the outbox is.
fn totals(connection: &Connection) -> rusqlite::Result<Totals> {
    connection
        .prepare_cached(
            "SELECT hooks, total - hooks FROM
                (SELECT COUNT(*) AS hooks FROM outbox WHERE callback_url IS NOT NULL),
                (SELECT COUNT(*) AS total FROM outbox)",
        )?
        .query_row([], |row| {
            let (hooks, others): (i64, i64) = (row.get(0)?, row.get(1)?);
            Ok(Totals {
                for_webhooks: u64::try_from(hooks).unwrap_or(0),
                uncollected: u64::try_from(others).unwrap_or(0),
            })
        })
}

/// Everything that a former control plane left open.
pub(super) fn open_resources(connection: &Connection) -> rusqlite::Result<Vec<OpenResource>> {
    let mut recordings = connection.prepare(
        "SELECT res_id, path, created, completed FROM recordings
         WHERE res_id = ?1 AND completed IS NULL",
    )?;
    let mut dialogs = connection.prepare("SELECT party, detail FROM dialogs WHERE res_id = ?1")?;
    let mut resources = connection.prepare(
        "SELECT res_id, created, last_seq, callback_url, view, note, state FROM resources
         WHERE released IS NULL ORDER BY created",
    )?;
    let rows = resources.query_map([], |row| {
        let res_id: String = row.get(0)?;
        let last_seq: i64 = row.get(2)?;
        Ok(OpenResource {
            recordings: recordings.query_map([&res_id], recording)?.collect::<Result<_, _>>()?,
            dialogs: dialogs
                .query_map([&res_id], |row| Ok((row.get(0)?, json(row, 1)?)))?
                .collect::<Result<_, _>>()?,
            res_id,
            state: row.get(6)?,
            created: row.get(1)?,
            last_seq: u64::try_from(last_seq).unwrap_or(0),
            callback_url: row.get(3)?,
            view: json(row, 4)?,
            note: json(row, 5)?,
        })
    })?;
    rows.collect()
}

fn event(row: &Row<'_>) -> rusqlite::Result<EventRow> {
    let seq: i64 = row.get(2)?;
    Ok(EventRow {
        event_id: row.get(0)?,
        res_id: row.get(1)?,
        seq: u64::try_from(seq).unwrap_or(0),
        time: row.get(3)?,
        callback_url: row.get(4)?,
        body: row.get(5)?,
        owner: None,
    })
}

fn recording(row: &Row<'_>) -> rusqlite::Result<RecordingRow> {
    Ok(RecordingRow { res_id: row.get(0)?, path: row.get(1)?, created: row.get(2)?, completed: row.get(3)? })
}

/// A column that this program wrote as JSON. One that is not JSON any more reads as null.
fn json(row: &Row<'_>, column: usize) -> rusqlite::Result<Value> {
    let text: String = row.get(column)?;
    Ok(serde_json::from_str(&text).unwrap_or(Value::Null))
}
