//! The writer's thread: group commits, and patience with a disk that is full.

use std::collections::VecDeque;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use rusqlite::{Connection, ErrorCode};
use tokio::sync::mpsc;

use super::Broken;
use super::queue::{IfRefused, Job, Queue};
use super::rows::{Change, EventRow, Keeping};
use super::{folding, write};
use crate::clock;
use crate::metrics::StoreMetrics;

/// Most jobs of one commit. At 26,000 rows a second this is about 20 ms.
const GROUP: usize = 256;

/// How often what is old is looked for, and how soon again while there is more of it: 20,000 rows a second
/// of each kind, ten times what comes in at 200 callbacks a second.
const TIDY_EVERY: (Duration, Duration) = (Duration::from_secs(30), Duration::from_millis(250));

/// Pause after a failed commit.
const PAUSE: Duration = Duration::from_millis(500);

/// Commits tried at shutdown before what is left is given up.
const LAST_TRIES: u32 = 4;

pub(super) struct Writer {
    connection: Connection,
    queue: Arc<Queue>,
    keeping: Keeping,
    /// The rest of the log is to be folded.
    rest: Arc<AtomicBool>,
    committed: mpsc::Sender<Arc<EventRow>>,
    metrics: Arc<StoreMetrics>,
    held: VecDeque<Job>,
    /// When the last commit began.
    begun_at: Instant,
    tidy_at: Instant,
}

impl Writer {
    pub(super) fn new(
        connection: Connection,
        queue: Arc<Queue>,
        (keeping, rest): (Keeping, Arc<AtomicBool>),
        committed: mpsc::Sender<Arc<EventRow>>,
        metrics: Arc<StoreMetrics>,
    ) -> Self {
        Self {
            connection,
            queue,
            keeping,
            rest,
            committed,
            metrics,
            held: VecDeque::new(),
            begun_at: Instant::now(),
            tidy_at: Instant::now(),
        }
    }

    pub(super) fn run(mut self) {
        let mut failures = 0;
        loop {
            let most = GROUP.saturating_sub(self.held.len());
            let patience = if failures > 0 {
                Duration::ZERO
            } else {
                self.tidy_at.saturating_duration_since(Instant::now())
            };
            self.queue.take(most, patience, self.begun_at, &mut self.held);
            if self.held.is_empty() && self.queue.is_closing() {
                break;
            }
            if self.commit() {
                failures = 0;
                if self.rest.swap(false, Ordering::Relaxed) {
                    folding::fold_rest(&self.connection);
                }
                self.tidy_if_due();
            } else {
                failures += 1;
                if failures >= LAST_TRIES && self.queue.is_closing() {
                    break;
                }
                std::thread::sleep(PAUSE);
            }
        }
        let outcome = match self.held.len() {
            0 => Ok(()),
            lost => Err(Broken(format!("{lost} changes could not be written before the end"))),
        };
        self.queue.finish(outcome);
    }

    /// Commits what is held. False if the store is in trouble and it is to be tried again.
    fn commit(&mut self) -> bool {
        if self.held.is_empty() {
            return true;
        }
        let begun = Instant::now();
        self.begun_at = begun;
        let changes = self.held.iter().flat_map(|job| &job.changes);
        match write::apply_all(&mut self.connection, changes) {
            Ok(difference) => {
                self.queue.tally.apply(difference);
                self.metrics.committed(begun.elapsed(), self.held.len());
                self.queue.set_trouble(None);
                for job in std::mem::take(&mut self.held) {
                    self.done(job);
                }
                self.queue.hold(0);
                true
            }
            Err(error) if is_of_the_host(&error) => {
                self.trouble(&error);
                false
            }
            Err(error) => {
                tracing::error!(%error, "a change cannot be written; its group is written one by one");
                self.one_by_one()
            }
        }
    }

    /// The host refuses: what is new is refused, what belongs to calls under way is held.
    fn trouble(&mut self, error: &rusqlite::Error) {
        self.metrics.failed();
        tracing::error!(%error, held = self.held.len(), "the store cannot be written; new calls are refused");
        self.queue.set_trouble(Some(error.to_string()));
        for mut job in std::mem::take(&mut self.held) {
            if job.refused != IfRefused::Awaited
                && let Some(then) = job.then.take()
            {
                then(Err(Broken(error.to_string())));
            }
            if job.refused != IfRefused::GivenUp {
                self.held.push_back(job);
            }
        }
        self.queue.hold(self.held.len());
    }

    /// One job of the group is at fault: finds it, so that the others are not held up for ever. False if the host
    /// refuses meanwhile: then what is left is tried again.
    fn one_by_one(&mut self) -> bool {
        while let Some(job) = self.held.pop_front() {
            match write::apply_all(&mut self.connection, job.changes.iter()) {
                Ok(difference) => {
                    self.queue.tally.apply(difference);
                    self.done(job);
                }
                Err(error) if is_of_the_host(&error) => {
                    self.held.push_front(job);
                    self.trouble(&error);
                    return false;
                }
                Err(error) => {
                    self.metrics.given_up();
                    tracing::error!(%error, ?job, "a change was given up");
                    if let Some(then) = job.then {
                        then(Err(Broken(error.to_string())));
                    }
                }
            }
        }
        self.queue.hold(0);
        self.queue.set_trouble(None);
        self.metrics.trouble.set(0);
        true
    }

    fn done(&self, job: Job) {
        for change in job.changes {
            if let Change::Event(event) = change
                && self.committed.try_send(Arc::from(event)).is_err()
            {
                self.metrics.missed();
                self.queue.missed.store(true, Ordering::Relaxed);
            }
        }
        if let Some(then) = job.then {
            then(Ok(()));
        }
    }

    fn tidy_if_due(&mut self) {
        if Instant::now() < self.tidy_at {
            return;
        }
        let (now, uncollected) = (clock::unix_milliseconds(), self.queue.tally.totals().uncollected);
        let pause = match write::tidy(&mut self.connection, now, &self.keeping, uncollected) {
            Ok((tidied, difference)) => {
                self.queue.tally.apply(difference);
                if tidied.lost > 0 {
                    tracing::warn!(lost = tidied.lost, "events left the outbox that nobody took in time");
                }
                if tidied.more { TIDY_EVERY.1 } else { TIDY_EVERY.0 }
            }
            Err(error) => {
                tracing::error!(%error, "the store could not be tidied");
                TIDY_EVERY.0
            }
        };
        self.tidy_at = Instant::now() + pause;
    }
}

/// Whether an error is the host's (disk full, file system read-only, I/O) rather than the change's.
fn is_of_the_host(error: &rusqlite::Error) -> bool {
    !matches!(
        error.sqlite_error_code(),
        Some(
            ErrorCode::ConstraintViolation
                | ErrorCode::TypeMismatch
                | ErrorCode::TooBig
                | ErrorCode::ParameterOutOfRange
        )
    )
}

#[cfg(test)]
mod tests {
    use std::path::Path;

    use prometheus::Registry;
    use serde_json::json;

    use super::super::rows::CdrRow;
    use super::super::schema;
    use super::super::tally::Tally;
    use super::*;

    fn writer() -> Writer {
        let connection = schema::open_for_writing(Path::new(":memory:")).unwrap();
        let keeping = Keeping {
            released_seconds: 60,
            events_seconds: 60,
            events: 1,
            webhook_events: 1,
            webhook_events_per_host: 1,
            cdrs_seconds: 60,
        };
        let queue = Arc::new(Queue::new(8, Tally::new(&connection, &keeping).unwrap()));
        let (committed, _) = mpsc::channel(8);
        let metrics = Arc::new(StoreMetrics::new(&Registry::new()).unwrap());
        Writer::new(connection, queue, (keeping, Arc::default()), committed, metrics)
    }

    fn job(party: u8) -> Job {
        let row = CdrRow { res_id: "r".into(), party, end_time: 1, body: json!({}) };
        Job::keep(vec![Change::Cdr(Box::new(row))])
    }

    fn written(writer: &Writer) -> i64 {
        writer.connection.query_row("SELECT COUNT(*) FROM cdrs", [], |row| row.get(0)).unwrap()
    }

    #[test]
    fn what_cannot_be_written_at_all_is_given_up_alone() {
        let mut writer = writer();
        writer
            .connection
            .execute_batch(
                "CREATE TRIGGER never BEFORE INSERT ON cdrs WHEN new.party = 9
                 BEGIN SELECT RAISE(ABORT, 'never'); END",
            )
            .unwrap();
        writer.held.extend([job(1), job(9), job(2)]);
        assert!(writer.commit());
        assert_eq!((written(&writer), writer.held.len()), (2, 0));
        assert_eq!((writer.queue.trouble(), writer.metrics.trouble.get()), (None, 0), "the store is well");
    }

    #[test]
    fn who_waits_for_what_the_host_refuses_is_told_unless_it_wants_to_wait() {
        use std::sync::Mutex;
        let mut writer = writer();
        let told = Arc::new(Mutex::new(Vec::new()));
        let makers: [fn(Vec<Change>, super::super::queue::Then) -> Job; 3] =
            [Job::or_refuse, Job::keep_then, Job::keep_soon];
        for (number, make) in makers.into_iter().enumerate() {
            let told = Arc::clone(&told);
            let then = Box::new(move |outcome: Result<(), Broken>| {
                told.lock().unwrap().push((number, outcome.is_ok()));
            });
            writer.held.push_back(make(job(1).changes, then));
        }
        writer.connection.pragma_update(None, "query_only", true).unwrap();
        assert!(!writer.commit());
        assert_eq!(*told.lock().unwrap(), [(0, false), (2, false)]);
        writer.connection.pragma_update(None, "query_only", false).unwrap();
        assert!(writer.commit());
        assert_eq!(*told.lock().unwrap(), [(0, false), (2, false), (1, true)], "each is told once");
        assert_eq!(written(&writer), 2, "all but what was given up");
    }

    #[test]
    fn what_the_host_refuses_meanwhile_is_kept() {
        let mut writer = writer();
        writer.held.extend([job(1), job(2)]);
        writer.connection.pragma_update(None, "query_only", true).unwrap();
        assert!(!writer.one_by_one());
        assert_eq!(writer.held.len(), 2);
        assert!(writer.queue.trouble().is_some());
        writer.connection.pragma_update(None, "query_only", false).unwrap();
        assert!(writer.commit());
        assert_eq!((written(&writer), writer.queue.trouble()), (2, None));
    }
}
