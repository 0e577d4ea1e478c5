//! Writes changes.

use std::collections::{BTreeMap, HashMap};

use rusqlite::{Connection, Params, params};
use serde_json::Value;

use super::rows::{CdrRow, Change, DAY_SECONDS, EventRow, Keeping, RecordingRow, RequestRow, ResourceRow};
use super::tally::Difference;

/// Writes all changes of several jobs in one transaction, so that one wait for the disk serves them all.
///
/// A callback that is set up fast changes its row several times within one group. Only the last version is written, in
/// the place of the first, so that whatever refers to the row finds it; nobody can see the others. A version holds the
/// dialogs that it changes: the last one of each is written.
pub(super) fn apply_all<'a>(
    connection: &mut Connection,
    changes: impl Iterator<Item = &'a Change>,
) -> rusqlite::Result<Difference> {
    let changes: Vec<&Change> = changes.collect();
    let mut resources: HashMap<&str, &ResourceRow> = HashMap::new();
    let mut dialogs: HashMap<&str, BTreeMap<u8, &Value>> = HashMap::new();
    let mut sequences: HashMap<&str, u64> = HashMap::new();
    for change in &changes {
        match change {
            Change::Resource(row) => {
                resources.insert(&row.res_id, row);
                let changed = row.dialogs.iter().map(|(party, detail)| (*party, detail));
                dialogs.entry(&row.res_id).or_default().extend(changed);
            }
            Change::Event(row) => {
                let last = sequences.entry(&row.res_id).or_default();
                *last = row.seq.max(*last);
            }
            _ => {}
        }
    }
    let mut difference = Difference::default();
    let transaction = connection.transaction()?;
    for change in changes {
        match change {
            Change::Resource(row) => {
                if let Some(last) = resources.remove(row.res_id.as_str()) {
                    resource(&transaction, last, &dialogs.remove(row.res_id.as_str()).unwrap_or_default())?;
                }
            }
            other => apply(&transaction, other, &mut difference)?,
        }
    }
    for (res_id, sequence) in sequences {
        let sequence = i64::try_from(sequence).unwrap_or(i64::MAX);
        transaction
            .prepare_cached("UPDATE resources SET last_seq = MAX(last_seq, ?2) WHERE res_id = ?1")?
            .execute(params![res_id, sequence])?;
    }
    transaction.commit()?;
    Ok(difference)
}

fn apply(connection: &Connection, change: &Change, difference: &mut Difference) -> rusqlite::Result<()> {
    match change {
        // Written by whoever knows all versions of it.
        Change::Resource(_) => Ok(()),
        Change::Event(row) => event(connection, row, difference),
        Change::Cdr(row) => cdr(connection, row),
        Change::Request(row) => request(connection, row),
        Change::Recording(row) => recording(connection, row),
        Change::Delivered(events) => leave(connection, LEAVE, events, difference),
        Change::Collected(events) => leave(connection, LEAVE_COLLECTED, events, difference),
    }
}

/// Takes one event out of the outbox, wherever it was to go.
const LEAVE: &str = "DELETE FROM outbox WHERE event_id = ?1 RETURNING callback_url";

/// Takes one event out of the outbox, unless it waits for its webhook.
const LEAVE_COLLECTED: &str =
    "DELETE FROM outbox WHERE event_id = ?1 AND callback_url IS NULL RETURNING callback_url";

/// A value in print, twice as fast as by its `Display`.
fn text(value: &Value) -> String {
    // Values with names that are strings can always be printed.
    serde_json::to_string(value).unwrap_or_default()
}

fn resource(
    connection: &Connection,
    row: &ResourceRow,
    dialogs: &BTreeMap<u8, &Value>,
) -> rusqlite::Result<()> {
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
    for (party, detail) in dialogs {
        connection
            .prepare_cached("INSERT OR REPLACE INTO dialogs (res_id, party, detail) VALUES (?1, ?2, ?3)")?
            .execute(params![row.res_id, party, text(detail)])?;
    }
    Ok(())
}

fn event(connection: &Connection, row: &EventRow, difference: &mut Difference) -> rusqlite::Result<()> {
    let seq = i64::try_from(row.seq).unwrap_or(i64::MAX);
    let rows = connection
        .prepare_cached(
            "INSERT OR IGNORE INTO outbox (event_id, res_id, seq, time, callback_url, body)
             VALUES (?1, ?2, ?3, ?4, ?5, ?6)",
        )?
        .execute(params![row.event_id, row.res_id, seq, row.time, row.callback_url, row.body])?;
    difference.add(row.callback_url.as_deref(), i64::try_from(rows).unwrap_or(0));
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

fn leave(
    connection: &Connection,
    statement: &str,
    events: &[String],
    difference: &mut Difference,
) -> rusqlite::Result<()> {
    for event in events {
        remove(connection, statement, params![event], difference)?;
    }
    Ok(())
}

/// Removes rows of the outbox by a statement that returns where they were to go; tells how many.
fn remove(
    connection: &Connection,
    statement: &str,
    parameters: impl Params,
    difference: &mut Difference,
) -> rusqlite::Result<usize> {
    let mut statement = connection.prepare_cached(statement)?;
    let mut rows = statement.query(parameters)?;
    let mut removed = 0;
    while let Some(row) = rows.next()? {
        difference.add(row.get_ref(0)?.as_str_or_null()?, -1);
        removed += 1;
    }
    Ok(removed)
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

/// Removes what has been kept long enough, a bounded number of rows of each kind. `uncollected` events wait for a
/// subscriber now.
pub(super) fn tidy(
    connection: &mut Connection,
    now: i64,
    keeping: &Keeping,
    uncollected: u64,
) -> rusqlite::Result<(Tidied, Difference)> {
    let before = |seconds: u64| now - i64::try_from(seconds.saturating_mul(1_000)).unwrap_or(i64::MAX / 2);
    let mut difference = Difference::default();
    let mut tidied = Tidied::default();
    let transaction = connection.transaction()?;
    for (statement, limit) in [
        (
            "DELETE FROM recordings WHERE (res_id, path) IN (
                SELECT res_id, path FROM recordings WHERE completed < ?1 LIMIT ?2)",
            before(keeping.cdrs_seconds),
        ),
        (
            "DELETE FROM resources WHERE res_id IN (
                SELECT res_id FROM resources WHERE released < ?1 LIMIT ?2)",
            before(keeping.released_seconds),
        ),
        (
            "DELETE FROM cdrs WHERE id IN (SELECT id FROM cdrs WHERE end_time < ?1 LIMIT ?2)",
            before(keeping.cdrs_seconds),
        ),
        (
            "DELETE FROM requests WHERE key IN (SELECT key FROM requests WHERE time < ?1 LIMIT ?2)",
            before(DAY_SECONDS),
        ),
    ] {
        let removed = transaction.prepare_cached(statement)?.execute([limit, TIDY])?;
        tidied.more |= is_whole(removed);
    }
    let old = "DELETE FROM outbox WHERE place IN (SELECT place FROM outbox WHERE time < ?1 LIMIT ?2)
               RETURNING callback_url";
    let lapsed = remove(&transaction, old, [before(keeping.events_seconds), TIDY], &mut difference)?;
    let surplus = uncollected.saturating_add_signed(difference.uncollected()).saturating_sub(keeping.events);
    let surplus = i64::try_from(surplus).unwrap_or(TIDY).min(TIDY);
    let oldest = "DELETE FROM outbox WHERE place IN (
                      SELECT place FROM outbox WHERE callback_url IS NULL ORDER BY place LIMIT ?1)
                  RETURNING callback_url";
    let crowded_out = remove(&transaction, oldest, [surplus], &mut difference)?;
    transaction.commit()?;
    tidied.lost = lapsed + crowded_out;
    tidied.more |= is_whole(lapsed) || is_whole(crowded_out);
    Ok((tidied, difference))
}

/// Whether there may be more than these.
fn is_whole(removed: usize) -> bool {
    i64::try_from(removed).is_ok_and(|removed| removed >= TIDY)
}

#[cfg(test)]
#[path = "write_tests.rs"]
mod tests;
