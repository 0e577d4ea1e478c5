//! Folds the write-ahead log into the database beside the writer, so that no commit waits for it.
//!
//! Folding takes two flushes of the disk and as many page writes as the log has pages. Done by the writer, as
//! SQLite does by default, that falls on whoever constructs a callback at that moment. A fold of another
//! connection copies what is committed while the writer goes on; what the writer still has to fold when the log
//! begins anew is little.

use std::sync::mpsc::{Receiver, RecvTimeoutError};
use std::time::Duration;

use rusqlite::Connection;

/// How often the log is folded: at 200 callbacks a second some 4 MiB of log.
const EVERY: Duration = Duration::from_secs(1);

/// Folds until the other end of `until` is dropped.
pub(super) fn run(connection: &Connection, until: &Receiver<()>) {
    while until.recv_timeout(EVERY) == Err(RecvTimeoutError::Timeout) {
        // Busy, or the disk is in trouble: the writer meets the same and reports it, and folds by itself in the end.
        if let Err(error) = connection.query_row("PRAGMA wal_checkpoint(PASSIVE)", [], |_| Ok(())) {
            tracing::debug!(%error, "the store's log could not be folded this time");
        }
    }
}
