//! The tables, and how an older database becomes a newer one.

use std::path::Path;
use std::time::Duration;

use rusqlite::{Connection, OpenFlags};

use super::StoreError;

/// Each entry takes the database one version further; `PRAGMA user_version` counts them. Entries are never
/// changed once released, only added.
const MIGRATIONS: &[&str] = &[
    "
    -- One row per resource; `view` is what `get` shows, `note` what ending the call after a crash needs.
    -- `dialogs` is the place from which calls will be taken over.
    CREATE TABLE resources (
        res_id TEXT PRIMARY KEY,
        created INTEGER NOT NULL,
        released INTEGER,
        state TEXT NOT NULL,
        last_seq INTEGER NOT NULL DEFAULT 0,
        callback_url TEXT,
        view TEXT NOT NULL,
        note TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX resources_released ON resources (released);
    CREATE TABLE dialogs (
        res_id TEXT NOT NULL,
        party INTEGER NOT NULL,
        detail TEXT NOT NULL,
        PRIMARY KEY (res_id, party)
    ) WITHOUT ROWID;
    CREATE TABLE outbox (
        place INTEGER PRIMARY KEY AUTOINCREMENT,
        event_id TEXT NOT NULL UNIQUE,
        res_id TEXT NOT NULL,
        seq INTEGER NOT NULL,
        time INTEGER NOT NULL,
        callback_url TEXT,
        body TEXT NOT NULL,
        UNIQUE (res_id, seq)
    );
    CREATE INDEX outbox_time ON outbox (time);
    CREATE INDEX outbox_webhooks ON outbox (res_id, seq) WHERE callback_url IS NOT NULL;
    CREATE TABLE cdrs (
        id INTEGER PRIMARY KEY AUTOINCREMENT,
        res_id TEXT NOT NULL,
        party INTEGER NOT NULL,
        end_time INTEGER NOT NULL,
        body TEXT NOT NULL
    );
    CREATE INDEX cdrs_end_time ON cdrs (end_time);
    CREATE TABLE requests (
        key TEXT PRIMARY KEY,
        digest BLOB NOT NULL,
        time INTEGER NOT NULL,
        result TEXT NOT NULL
    ) WITHOUT ROWID;
    CREATE INDEX requests_time ON requests (time);
    CREATE TABLE recordings (
        res_id TEXT NOT NULL,
        path TEXT NOT NULL,
        created INTEGER NOT NULL,
        completed INTEGER,
        PRIMARY KEY (res_id, path)
    ) WITHOUT ROWID;
    CREATE INDEX recordings_completed ON recordings (completed);
",
    "
    -- Holds what the sender of webhooks looks for, so that it need not read the events themselves.
    DROP INDEX outbox_webhooks;
    CREATE INDEX outbox_webhooks ON outbox (res_id, seq, callback_url) WHERE callback_url IS NOT NULL;
    -- The oldest that nobody collected.
    CREATE INDEX outbox_uncollected ON outbox (place) WHERE callback_url IS NULL;
",
];

/// How long another program, such as an operator's `sqlite3`, may hold the database before that is trouble.
const LOCKED: Duration = Duration::from_secs(1);

/// Opens the database for writing and brings its tables up to date.
pub(super) fn open_for_writing(path: &Path) -> Result<Connection, StoreError> {
    let mut connection = Connection::open(path)?;
    // FULL: a commit is on the disk when it returns, also if the host loses power.
    connection.pragma_update(None, "journal_mode", "WAL")?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.pragma_update(None, "foreign_keys", "ON")?;
    // The log is folded into the database by a thread beside the writer. If that cannot keep up, the writer folds it at
    // 128 MiB: that bounds it.
    connection.pragma_update(None, "wal_autocheckpoint", 32_000)?;
    connection.busy_timeout(LOCKED)?;
    connection.set_prepared_statement_cache_capacity(32);
    migrate(&mut connection)?;
    Ok(connection)
}

/// Opens the database once more, to fold its log.
pub(super) fn open_for_folding(path: &Path) -> Result<Connection, StoreError> {
    let connection = Connection::open(path)?;
    connection.pragma_update(None, "synchronous", "FULL")?;
    connection.busy_timeout(LOCKED)?;
    Ok(connection)
}

/// Opens the database a second time, for readers, who never hold the writer up.
pub(super) fn open_for_reading(path: &Path) -> Result<Connection, StoreError> {
    let flags = OpenFlags::SQLITE_OPEN_READ_ONLY | OpenFlags::SQLITE_OPEN_NO_MUTEX;
    let connection = Connection::open_with_flags(path, flags)?;
    connection.busy_timeout(LOCKED)?;
    connection.set_prepared_statement_cache_capacity(32);
    Ok(connection)
}

fn migrate(connection: &mut Connection) -> Result<(), StoreError> {
    let version: i64 = connection.query_row("PRAGMA user_version", [], |row| row.get(0))?;
    let known = i64::try_from(MIGRATIONS.len()).unwrap_or(i64::MAX);
    if version > known {
        return Err(StoreError::Newer { found: version, known });
    }
    for (index, migration) in MIGRATIONS.iter().enumerate() {
        let step = i64::try_from(index).unwrap_or(i64::MAX) + 1;
        if step <= version {
            continue;
        }
        let transaction = connection.transaction()?;
        transaction.execute_batch(migration)?;
        transaction.pragma_update(None, "user_version", step)?;
        transaction.commit()?;
    }
    Ok(())
}
