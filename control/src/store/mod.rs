//! What outlives the process: resources, events not yet delivered, call detail records, request ids,
//! recordings.
//!
//! Three threads: one writes, one answers what is answered at once, one what may take its time. The writer takes what
//! has gathered while the disk was busy with the commit before, and commits it as one; when nothing waits, a change is
//! committed at once. Callers never wait for the disk: a job carries what is to be done when it is durable.

mod folding;
mod queue;
mod read;
pub(crate) mod rows;
mod schema;
mod tally;
mod write;
mod writer;

use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;

use rusqlite::Connection;
use rustix::fs::FlockOperation;
use rustix::io::Errno;
use tokio::sync::{mpsc, oneshot};

use queue::Queue;
pub(crate) use queue::{Full, Job};
use rows::{EventRow, Keeping, OpenResource, Totals};
use tally::Tally;
pub(crate) use tally::host;

use crate::metrics::StoreMetrics;

/// Why the store cannot be used.
#[derive(Debug, thiserror::Error)]
pub(crate) enum StoreError {
    /// SQLite's own words.
    #[error("the store says: {0}")]
    Sqlite(#[from] rusqlite::Error),
    /// The database was written by a later release.
    #[error("the store is of version {found}, this program knows versions up to {known}")]
    Newer {
        /// Version of the database.
        found: i64,
        /// Latest version known here.
        known: i64,
    },
    /// Another control plane.
    #[error("another process works on it")]
    InUse,
    /// Its folder or its threads.
    #[error("the store cannot be opened: {0}")]
    Io(#[from] std::io::Error),
}

/// Why a job or a question came to nothing; for the application and the log.
#[derive(Clone, Debug, thiserror::Error)]
#[error("{0}")]
pub(crate) struct Broken(pub(crate) String);

/// The answer to a question.
pub(crate) type Answer<T> = Result<T, Broken>;

/// The writing half. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Store {
    queue: Arc<Queue>,
}

impl Store {
    /// Hands a job to the writer. Refused when the queue is full, which the caller must be able to take.
    pub(crate) fn submit(&self, job: Job) -> Result<(), Full> {
        self.queue.push(job)
    }

    /// Whether the last commit failed, and with what words. Cleared by the next that succeeds.
    pub(crate) fn trouble(&self) -> Option<String> {
        self.queue.trouble()
    }

    /// Jobs that wait, as a share of the room for them: 0.0 … 1.0. Above one half, new calls are refused.
    pub(crate) fn filling(&self) -> f64 {
        self.queue.filling()
    }

    /// How full the outbox is.
    pub(crate) fn totals(&self) -> Totals {
        self.queue.tally.totals()
    }

    /// Whether a further callback may send its events to a webhook: neither too many events wait for all webhooks, nor
    /// for those of its host.
    pub(crate) fn has_room_for(&self, callback_url: &str) -> bool {
        self.queue.tally.has_room(callback_url)
    }

    /// Whether events have been missed on their way out since this was last asked; true at the first time.
    pub(crate) fn take_missed(&self) -> bool {
        self.queue.missed.swap(false, Ordering::Relaxed)
    }

    /// Waits until all that was submitted before is on the disk.
    pub(crate) async fn settled(&self) -> Answer<()> {
        let (done, settled) = oneshot::channel();
        let then = Box::new(move |outcome| {
            let _ = done.send(outcome);
        });
        self.submit(Job::keep_then(Vec::new(), then)).map_err(|full| Broken(full.to_string()))?;
        settled.await.unwrap_or_else(|_| Err(Broken("the writer has ended".into())))
    }

    /// Commits what waits and ends the writer. Returns when all is on the disk, or tells what was lost.
    pub(crate) async fn close(&self) -> Answer<()> {
        let (done, closed) = oneshot::channel();
        self.queue.close(done);
        closed.await.unwrap_or_else(|_| Err(Broken("the writer has ended already".into())))
    }
}

type Question = Box<dyn FnOnce(&Connection) + Send>;

/// The reading half. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Reader {
    questions: mpsc::Sender<Question>,
    long_questions: mpsc::Sender<Question>,
}

impl Reader {
    /// What touches a few rows.
    async fn ask<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        Self::ask_of(&self.questions, question).await
    }

    /// What reads whole pages of rows: it must not hold up the others.
    async fn ask_at_length<T: Send + 'static>(
        &self,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        Self::ask_of(&self.long_questions, question).await
    }

    async fn ask_of<T: Send + 'static>(
        questions: &mpsc::Sender<Question>,
        question: impl FnOnce(&Connection) -> rusqlite::Result<T> + Send + 'static,
    ) -> Answer<T> {
        let (answer, answered) = oneshot::channel();
        let question: Question = Box::new(move |connection| {
            // Nobody waits any more if the asker has hung up.
            let _ = answer.send(question(connection).map_err(|error| Broken(error.to_string())));
        });
        let gone = |_| Broken("the store's reader has ended".into());
        questions.send(question).await.map_err(|_| Broken("the store's reader has ended".into()))?;
        answered.await.map_err(gone)?
    }
}

/// An opened store.
#[derive(Debug)]
pub(crate) struct Opened {
    /// For writing.
    pub(crate) store: Store,
    /// For reading.
    pub(crate) reader: Reader,
    /// What a former control plane left open.
    pub(crate) left_open: Vec<OpenResource>,
}

/// Makes sure that no other process works on the same store: it would end this one's calls.
fn lock(path: &Path) -> Result<File, StoreError> {
    let mut name = path.as_os_str().to_owned();
    name.push(".lock");
    let file = File::options().create(true).truncate(false).write(true).open(name)?;
    match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
        Ok(()) => Ok(file),
        Err(Errno::WOULDBLOCK) => Err(StoreError::InUse),
        Err(error) => Err(StoreError::Io(error.into())),
    }
}

/// Room for questions that wait for a reader; each is one API request, and those are bounded before.
const QUESTIONS: usize = 1_024;

/// Opens the store and starts its threads. Events are sent to `committed` once they are durable; when there
/// is no room, they stay in the outbox, and `StoreMetrics::missed` tells.
pub(crate) fn open(
    path: &Path,
    keeping: Keeping,
    room: usize,
    committed: mpsc::Sender<Arc<EventRow>>,
    metrics: Arc<StoreMetrics>,
) -> Result<Opened, StoreError> {
    if let Some(folder) = path.parent() {
        std::fs::create_dir_all(folder)?;
    }
    let lock = lock(path)?;
    let connection = schema::open_for_writing(path)?;
    let reading = schema::open_for_reading(path)?;
    let rest = Arc::new(AtomicBool::new(false));
    let folder = folding::Folder::open(path, Arc::clone(&rest))?;
    let left_open = read::open_resources(&reading)?;
    let queue = Arc::new(Queue::new(room, Tally::new(&reading, &keeping)?));
    let writer = writer::Writer::new(connection, Arc::clone(&queue), (keeping, rest), committed, metrics);
    let (writing, until) = std::sync::mpsc::channel();
    thread::Builder::new().name("store-fold".into()).spawn(move || folder.run(&until))?;
    thread::Builder::new().name("store-writer".into()).spawn(move || {
        writer.run();
        drop(writing);
        drop(lock);
    })?;
    let questions = reader("store-reader", reading)?;
    let long_questions = reader("store-lister", schema::open_for_reading(path)?)?;
    Ok(Opened { store: Store { queue }, reader: Reader { questions, long_questions }, left_open })
}

/// A thread that answers until nobody can ask any more.
fn reader(name: &str, connection: Connection) -> std::io::Result<mpsc::Sender<Question>> {
    let (questions, mut asked) = mpsc::channel::<Question>(QUESTIONS);
    thread::Builder::new().name(name.into()).spawn(move || {
        while let Some(question) = asked.blocking_recv() {
            question(&connection);
        }
    })?;
    Ok(questions)
}
