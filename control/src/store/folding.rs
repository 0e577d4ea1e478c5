//! Folds the write-ahead log into the database beside the writer, so that no commit waits for it.
//!
//! Folding takes two flushes of the disk and as many page writes as the log has pages. Done by the writer, as
//! SQLite does by default, that falls on whoever constructs a callback at that moment. A fold of another
//! connection copies what is committed while the writer goes on, and waits here until the disk has it.
//!
//! A log begins anew only when all of it has been folded, and a writer that is never idle always adds to it. So in the
//! end the writer folds the rest, when it is told to and has answered whoever waited for its commit: some pages, while
//! the disk has all others already.

use std::fs::File;
use std::mem::ManuallyDrop;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

use super::{StoreError, schema};

/// How often the log is folded.
const EVERY: Duration = Duration::from_secs(1);

/// Pages of a log, 64 MiB, that is to begin anew: so many that the writer folds a rest every few seconds at most.
const LONG: i64 = 16_000;

/// How often a fold follows the writer: what was added during the first takes the second a fraction of the time.
const TURNS: usize = 2;

/// How much of the log has been folded, when it was last looked at: the writer may have added to it since.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
struct Folded {
    /// Pages in the log.
    log: i64,
    /// Those of them that the database has.
    done: i64,
}

/// Copies what can be copied without waiting for anybody.
fn fold(connection: &Connection) -> rusqlite::Result<Folded> {
    connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |row| {
        Ok(Folded { log: row.get(1)?, done: row.get(2)? })
    })
}

/// Folds what is left, so that the log begins anew with the next commit, unless somebody reads it just now.
pub(super) fn fold_rest(connection: &Connection) {
    if let Err(error) = fold(connection) {
        tracing::debug!(%error, "the rest of the store's log could not be folded this time");
    }
}

/// What folds.
#[derive(Debug)]
pub(super) struct Folder {
    connection: Connection,
    /// Never closed: to close any handle of a file takes its locks away from the process, and with them SQLite's.
    database: ManuallyDrop<File>,
    /// The writer is to fold the rest.
    rest: Arc<AtomicBool>,
    /// What the last turn came to.
    last: Folded,
}

impl Folder {
    /// A folder of this database, which exists.
    pub(super) fn open(path: &Path, rest: Arc<AtomicBool>) -> Result<Self, StoreError> {
        let database = ManuallyDrop::new(File::options().read(true).write(true).open(path)?);
        Ok(Self { connection: schema::open_for_folding(path)?, database, rest, last: Folded::default() })
    }

    /// Folds until the other end of `until` is dropped.
    pub(super) fn run(mut self, until: &Receiver<()>) {
        while until.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
            // Busy, or the disk is in trouble: the writer meets the same and reports it, and folds by itself in the end.
            if let Err(error) = self.turn() {
                tracing::debug!(%error, "the store's log could not be folded this time");
            }
        }
    }

    fn turn(&mut self) -> Result<(), StoreError> {
        let before = std::mem::replace(&mut self.last, fold(&self.connection)?);
        if self.last == before {
            return Ok(());
        }
        for _ in 0..TURNS {
            // Now, and not when the writer folds the last page: it would wait for them all.
            self.database.sync_data()?;
            self.last = fold(&self.connection)?;
        }
        if self.last.log > LONG {
            self.database.sync_data()?;
            self.rest.store(true, Ordering::Relaxed);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Pages that the log holds, as one more fold tells.
    fn pages(connection: &Connection) -> i64 {
        fold(connection).unwrap().log
    }

    #[test]
    fn a_log_that_is_always_read_from_begins_anew_once_the_writer_may_fold_the_rest() {
        let directory = tempfile::tempdir().unwrap();
        let path = directory.path().join("store.db");
        let writer = schema::open_for_writing(&path).unwrap();
        let rest = Arc::new(AtomicBool::new(false));
        let mut folder = Folder::open(&path, Arc::clone(&rest)).unwrap();
        let reader = schema::open_for_reading(&path).unwrap();
        let write = |pages: i64| {
            let statement =
                "INSERT INTO cdrs (res_id, party, end_time, body) VALUES ('r', 1, 1, zeroblob(?1))";
            writer.execute(statement, [pages * 4_096]).unwrap();
        };

        write(10);
        folder.turn().unwrap();
        assert!(!rest.load(Ordering::Relaxed), "nothing is left to the writer");

        // As a writer that is never idle would, somebody keeps the end of the log from being folded.
        reader.execute_batch("BEGIN; SELECT COUNT(*) FROM cdrs").unwrap();
        write(10);
        folder.turn().unwrap();
        assert!(!rest.load(Ordering::Relaxed), "a short log may grow");
        write(LONG);
        folder.turn().unwrap();
        assert!(rest.load(Ordering::Relaxed), "a long one is to begin anew");
        reader.execute_batch("COMMIT").unwrap();

        assert!(pages(&writer) > LONG);
        fold_rest(&writer);
        write(1);
        assert!(pages(&writer) < LONG, "it began anew");
        let rows: i64 = reader.query_row("SELECT COUNT(*) FROM cdrs", [], |row| row.get(0)).unwrap();
        assert_eq!(rows, 4, "and nothing was lost");
    }
}
