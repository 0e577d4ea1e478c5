//! Reads the store.

use rusqlite::{Connection, OptionalExtension, Row, params};
use serde_json::Value;

use super::rows::{CdrPlace, EventRow, OpenResource, RecordingRow, RequestRow, StoredCdr};

/// One page of records; the index of their ends holds them in this order, so that no more than the page is read.
const CDRS: &str = "SELECT end_time, id, body FROM cdrs
    WHERE end_time >= ?1 AND (end_time > ?1 OR id > ?2) AND end_time < ?3
    ORDER BY end_time, id LIMIT ?4";

/// What can be asked of the store; each runs on a reader's thread.
impl super::Reader {
    /// The view of a resource, while it is kept, and whether it has been released: one that has not is only here until a
    /// control plane that has just begun has ended it.
    pub(crate) async fn resource(&self, res_id: String) -> super::Answer<Option<(Value, bool)>> {
        self.ask(move |connection| {
            connection
                .prepare_cached("SELECT view, released IS NOT NULL FROM resources WHERE res_id = ?1")?
                .query_row([res_id], |row| Ok((json(row, 0)?, row.get(1)?)))
                .optional()
        })
        .await
    }

    /// Released resources in the order of their names after `cursor`, at most `limit`.
    pub(crate) async fn released(&self, cursor: String, limit: u32) -> super::Answer<Vec<(String, Value)>> {
        self.ask_at_length(move |connection| {
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

    /// Records of legs that ended in a stretch of time, in the order of their ends, after `cursor`, at most `limit`.
    pub(crate) async fn cdrs(
        &self,
        since: i64,
        until: i64,
        cursor: Option<CdrPlace>,
        limit: u32,
    ) -> super::Answer<Vec<StoredCdr>> {
        let after = cursor.filter(|place| place.end_time >= since);
        let after = after.unwrap_or(CdrPlace { end_time: since, id: 0 });
        self.ask_at_length(move |connection| cdrs(connection, after, until, limit)).await
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

    /// Resources with events that wait for their webhook, each with one of those, after `cursor`.
    pub(crate) async fn with_pending(
        &self,
        cursor: String,
        limit: u32,
    ) -> super::Answer<Vec<(String, String)>> {
        self.ask_at_length(move |connection| {
            connection
                .prepare_cached(
                    "SELECT res_id, callback_url FROM outbox
                     WHERE callback_url IS NOT NULL AND res_id > ?1 GROUP BY res_id ORDER BY res_id LIMIT ?2",
                )?
                .query_map(params![cursor, limit], |row| Ok((row.get(0)?, row.get(1)?)))?
                .collect()
        })
        .await
    }

    /// The place of the event that was written last.
    pub(crate) async fn last_place(&self) -> super::Answer<i64> {
        self.ask(|connection| {
            connection
                .prepare_cached("SELECT coalesce(MAX(place), 0) FROM outbox")?
                .query_row([], |row| row.get(0))
        })
        .await
    }

    /// Events that nobody has collected yet after a place and up to another, in the order of writing, each with its
    /// place.
    pub(crate) async fn uncollected(
        &self,
        place: i64,
        until: i64,
        limit: u32,
    ) -> super::Answer<Vec<(i64, EventRow)>> {
        self.ask_at_length(move |connection| {
            connection
                .prepare_cached(
                    "SELECT event_id, res_id, seq, time, callback_url, body, place FROM outbox
                     WHERE callback_url IS NULL AND place > ?1 AND place <= ?2 ORDER BY place LIMIT ?3",
                )?
                .query_map(params![place, until, limit], |row| Ok((row.get(6)?, event(row)?)))?
                .collect()
        })
        .await
    }
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

fn cdrs(
    connection: &Connection,
    after: CdrPlace,
    until: i64,
    limit: u32,
) -> rusqlite::Result<Vec<StoredCdr>> {
    connection
        .prepare_cached(CDRS)?
        .query_map(params![after.end_time, after.id, until, limit], |row| {
            let place = CdrPlace { end_time: row.get(0)?, id: row.get(1)? };
            Ok(StoredCdr { place, body: json(row, 2)? })
        })?
        .collect()
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

#[cfg(test)]
mod tests {
    use std::path::Path;

    use super::super::schema;
    use super::*;

    #[test]
    fn records_are_read_in_the_order_of_the_index_and_not_from_the_first() {
        let connection = schema::open_for_writing(Path::new(":memory:")).unwrap();
        let mut plan = connection.prepare(&format!("EXPLAIN QUERY PLAN {CDRS}")).unwrap();
        let steps = plan.query_map([1, 2, 3, 4], |row| row.get::<_, String>(3)).unwrap();
        let steps: Vec<String> = steps.map(Result::unwrap).collect();
        assert_eq!(steps, ["SEARCH cdrs USING INDEX cdrs_end_time (end_time>? AND end_time<?)"]);
    }

    #[test]
    fn pages_of_records_follow_one_another_also_where_many_end_at_once() {
        let connection = schema::open_for_writing(Path::new(":memory:")).unwrap();
        for end in [30, 10, 20, 20, 20, 40] {
            connection
                .execute("INSERT INTO cdrs (res_id, party, end_time, body) VALUES ('r', 1, ?1, '{}')", [end])
                .unwrap();
        }
        let mut found = Vec::new();
        let mut after = CdrPlace { end_time: 20, id: 0 };
        loop {
            let page = cdrs(&connection, after, 40, 2).unwrap();
            let Some(last) = page.last() else { break };
            after = last.place;
            found.extend(page.iter().map(|cdr| (cdr.place.end_time, cdr.place.id)));
        }
        assert_eq!(found, [(20, 3), (20, 4), (20, 5), (30, 1)]);
    }
}
