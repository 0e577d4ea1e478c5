//! Writes changes.

use std::collections::HashMap;

use rusqlite::{Connection, params};
use serde_json::Value;

use super::rows::{CdrRow, Change, DAY_SECONDS, EventRow, Keeping, RecordingRow, RequestRow, ResourceRow};

/// Writes all changes of several jobs in one transaction, so that one wait for the disk serves them all.
///
/// A callback that is set up fast changes its row several times within one group. Only the last version is written, in
/// the place of the first, so that whatever refers to the row finds it; nobody can see the others.
pub(super) fn apply_all<'a>(
    connection: &mut Connection,
    changes: impl Iterator<Item = &'a Change>,
) -> rusqlite::Result<()> {
    let changes: Vec<&Change> = changes.collect();
    let mut resources: HashMap<&str, &ResourceRow> = HashMap::new();
    let mut sequences: HashMap<&str, u64> = HashMap::new();
    for change in &changes {
        match change {
            Change::Resource(row) => {
                resources.insert(&row.res_id, row);
            }
            Change::Event(row) => {
                let last = sequences.entry(&row.res_id).or_default();
                *last = row.seq.max(*last);
            }
            _ => {}
        }
    }
    let transaction = connection.transaction()?;
    for change in changes {
        match change {
            Change::Resource(row) => {
                if let Some(last) = resources.remove(row.res_id.as_str()) {
                    resource(&transaction, last)?;
                }
            }
            other => apply(&transaction, other)?,
        }
    }
    for (res_id, sequence) in sequences {
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        transaction
            .prepare_cached("UPDATE resources SET last_seq = MAX(last_seq, ?2) WHERE res_id = ?1")?
            .execute(params![res_id, sequence])?;
    }
    transaction.commit()
}

fn apply(connection: &Connection, change: &Change) -> rusqlite::Result<()> {
    match change {
        Change::Resource(row) => resource(connection, row),
        Change::Event(row) => event(connection, row),
        Change::Cdr(row) => cdr(connection, row),
        Change::Request(row) => request(connection, row),
        Change::Recording(row) => recording(connection, row),
        Change::Delivered(events) => leave(connection, "DELETE FROM outbox WHERE event_id = ?1", events),
        Change::Collected(events) => {
            leave(connection, "DELETE FROM outbox WHERE event_id = ?1 AND callback_url IS NULL", events)
        }
    }
}

/// A value in print, twice as fast as by its `Display`.
fn text(value: &Value) -> String {
    // Values with names that are strings can always be printed.
    serde_json::to_string(value).unwrap_or_default()
}

fn resource(connection: &Connection, row: &ResourceRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO resources (res_id, created, released, state, callback_url, view, note)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7)
             ON CONFLICT (res_id) DO UPDATE SET
                 released = excluded.released, state = excluded.state,
                 view = excluded.view, note = excluded.note",
        )?
        .execute(params![
            row.res_id,
            row.created,
            row.released,
            row.state,
            row.callback_url,
            text(&row.view),
            text(&row.note)
        ])?;
    if row.released.is_some() {
        connection.prepare_cached("DELETE FROM dialogs WHERE res_id = ?1")?.execute([&row.res_id])?;
        return Ok(());
    }
    for (party, detail) in &row.dialogs {
        connection
            .prepare_cached("INSERT OR REPLACE INTO dialogs (res_id, party, detail) VALUES (?1, ?2, ?3)")?
            .execute(params![row.res_id, party, text(detail)])?;
    }
    Ok(())
}

fn event(connection: &Connection, row: &EventRow) -> rusqlite::Result<()> {
    let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
    connection
        .prepare_cached(
            "INSERT OR IGNORE INTO outbox (event_id, res_id, seq, time, callback_url, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![row.event_id, row.res_id, seq, row.time, row.callback_url, row.body])?;
    Ok(())
}

fn cdr(connection: &Connection, row: &CdrRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached("INSERT INTO cdrs (res_id, party, end_time, body) VALUES (?1, ?2, ?3, ?4)")?
        .execute(params![row.res_id, row.party, row.end_time, text(&row.body)])?;
    Ok(())
}

fn request(connection: &Connection, row: &RequestRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT OR REPLACE INTO requests (key, digest, time, result) VALUES (?1, ?2, ?3, ?4)",
        )?
        .execute(params![row.key, row.digest, row.time, text(&row.result)])?;
    Ok(())
}

fn recording(connection: &Connection, row: &RecordingRow) -> rusqlite::Result<()> {
    connection
        .prepare_cached(
            "INSERT INTO recordings (res_id, path, created, completed) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (res_id, path) DO UPDATE SET completed = excluded.completed",
        )?
        .execute(params![row.res_id, row.path, row.created, row.completed])?;
    Ok(())
}

fn leave(connection: &Connection, statement: &str, events: &[String]) -> rusqlite::Result<()> {
    let mut statement = connection.prepare_cached(statement)?;
    for event in events {
        statement.execute(params![event])?;
    }
    Ok(())
}

/// Rows of one kind that one tidying removes at most, so that its commit stays short.
const TIDY: i64 = 5_000;

/// What a tidying did.
#[derive(Clone, Copy, Default, Debug)]
pub(super) struct Tidied {
    /// Events that left without having been collected or delivered.
    pub(super) lost: usize,
    /// There may be more to remove.
    pub(super) more: bool,
}

/// Removes what has been kept long enough, a bounded number of rows of each kind.
pub(super) fn tidy(connection: &mut Connection, now: i64, keeping: &Keeping) -> rusqlite::Result<Tidied> {
    let before = |seconds: u64| now - i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 2);
    let events = i64::try_from(keeping.events).unwrap_or(i64::MAX);
    let old_events = before(keeping.events_seconds);
    let transaction = connection.transaction()?;
    let mut tidied = Tidied::default();
    for (statement, limit, are_events) in [
        (
            "DELETE FROM recordings WHERE (res_id, path) IN (
                SELECT res_id, path FROM recordings WHERE completed < ?1 LIMIT ?2)",
            before(keeping.cdrs_seconds),
            false,
        ),
        (
            "DELETE FROM resources WHERE res_id IN (
                SELECT res_id FROM resources WHERE released < ?1 LIMIT ?2)",
            before(keeping.released_seconds),
            false,
        ),
        (
            "DELETE FROM cdrs WHERE id IN (SELECT id FROM cdrs WHERE end_time < ?1 LIMIT ?2)",
            before(keeping.cdrs_seconds),
            false,
        ),
        (
            "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE time < ?1 LIMIT ?2)",
            before(DAY_SECONDS),
            false,
        ),
        (
            "DELETE FROM outbox WHERE place IN (SELECT place FROM outbox WHERE time < ?1 LIMIT ?2)",
            old_events,
            true,
        ),
        (
            // Places are counted on for ever: this leaves those among the last so many events.
            "DELETE FROM outbox WHERE place IN (
                SELECT place FROM outbox
                WHERE callback_url IS NULL AND place <= (SELECT MAX(place) FROM outbox) - ?1
                ORDER BY place LIMIT ?2)",
            events,
            true,
        ),
    ] {
        let removed = transaction.prepare_cached(statement)?.execute([limit, TIDY])?;
        tidied.lost += if are_events { removed } else { 0 };
        tidied.more |= i64::try_from(removed).unwrap_or(TIDY) >= TIDY;
    }
    transaction.commit()?;
    Ok(tidied)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
