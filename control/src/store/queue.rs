//! The bounded queue in front of the writer.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::AtomicBool;
use std::sync::{Condvar, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use tokio::sync::oneshot;

use super::rows::Change;
use super::tally::Tally;
use super::{Answer, Broken};

/// How long jobs that nobody waits for are kept together. Every commit costs one flush of the disk, and whoever
/// constructs a callback waits for the one that runs: at 200 callbacks a second this leaves the disk idle most of
/// the time. An event reaches its receiver later by at most this.
const LINGER: Duration = Duration::from_millis(5);

/// A group begins so long after the last one at the earliest. Where callbacks come thick and fast, more of them share a
/// commit, and more versions of a callback's row fall into one; where they do not, nobody waits.
pub(super) const PACE: Duration = Duration::from_millis(3);

/// What is done when a job is durable, or has failed for good.
pub(crate) type Then = Box<dyn FnOnce(Answer<()>) + Send>;

/// Changes that are written together or not at all.
pub(crate) struct Job {
    /// The changes.
    pub(super) changes: Vec<Change>,
    /// What follows.
    pub(super) then: Option<Then>,
    /// If the host refuses.
    pub(super) refused: IfRefused,
}

/// What becomes of a job that the host does not let be written: its disk is full, for instance.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum IfRefused {
    /// Given up at once: something new, which can be refused.
    GivenUp,
    /// Tried again until the store has recovered; whoever waits waits as long.
    Awaited,
    /// Tried again likewise; whoever waits is told now that it is not yet written.
    Told,
}

impl Job {
    /// Part of a call that is under way: kept until it is written.
    pub(crate) fn keep(changes: Vec<Change>) -> Self {
        Self { changes, then: None, refused: IfRefused::Awaited }
    }

    /// Something new that is refused when it cannot be written at once.
    pub(crate) fn or_refuse(changes: Vec<Change>, then: Then) -> Self {
        Self { changes, then: Some(then), refused: IfRefused::GivenUp }
    }

    /// Like [`Job::keep`], and tells when it is durable.
    pub(crate) fn keep_then(changes: Vec<Change>, then: Then) -> Self {
        Self { changes, then: Some(then), refused: IfRefused::Awaited }
    }

    /// Like [`Job::keep`], and tells when it is durable, or that it will be later than whoever waits should.
    pub(crate) fn keep_soon(changes: Vec<Change>, then: Then) -> Self {
        Self { changes, then: Some(then), refused: IfRefused::Told }
    }
}

impl fmt::Debug for Job {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Job").field("changes", &self.changes.len()).finish_non_exhaustive()
    }
}

/// The queue has no room left.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("the store does not keep up: its queue is full")]
pub(crate) struct Full;

#[derive(Default)]
struct State {
    jobs: VecDeque<Job>,
    /// Jobs that the writer holds for another try.
    held: usize,
    trouble: Option<String>,
    closing: Option<oneshot::Sender<Answer<()>>>,
    closed: bool,
}

pub(super) struct Queue {
    state: Mutex<State>,
    wake: Condvar,
    room: usize,
    /// What waits in the outbox.
    pub(super) tally: Tally,
    /// Events found no room on their way out since the outbox was last searched.
    pub(super) missed: AtomicBool,
}

impl fmt::Debug for Queue {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.debug_struct("Queue").field("room", &self.room).finish_non_exhaustive()
    }
}

impl Queue {
    pub(super) fn new(room: usize, tally: Tally) -> Self {
        // What a former process left is on no way out.
        let missed = AtomicBool::new(true);
        Self { state: Mutex::default(), wake: Condvar::new(), room, tally, missed }
    }

    /// The state; a thread that panicked while it held the lock left it whole, every change being one step.
    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn push(&self, job: Job) -> Result<(), Full> {
        let mut state = self.lock();
        if state.closed || state.jobs.len() + state.held >= self.room {
            return Err(Full);
        }
        // The writer wakes for the first one, and for one that somebody waits for; the others keep it company.
        let wakes = state.jobs.is_empty() || job.then.is_some();
        state.jobs.push_back(job);
        if wakes {
            self.wake.notify_one();
        }
        Ok(())
    }

    /// Takes up to `most` jobs; waits for the first at most `patience`, and [`LINGER`] longer for company while
    /// nobody waits for any of them, and until [`PACE`] has passed since the `last` group began. An empty answer means
    /// that the time is up or that the queue is closing.
    pub(super) fn take(&self, most: usize, patience: Duration, last: Instant, into: &mut VecDeque<Job>) {
        let state = self.lock();
        let waiting = |state: &mut State| state.jobs.is_empty() && state.closing.is_none();
        let (state, _) =
            self.wake.wait_timeout_while(state, patience, waiting).unwrap_or_else(PoisonError::into_inner);
        let lonely = |state: &mut State| {
            !state.jobs.is_empty()
                && state.jobs.len() < most
                && state.closing.is_none()
                && state.jobs.iter().all(|job| job.then.is_none())
        };
        let (state, _) =
            self.wake.wait_timeout_while(state, LINGER, lonely).unwrap_or_else(PoisonError::into_inner);
        let pause = PACE.saturating_sub(last.elapsed());
        let mut state = if state.jobs.is_empty() || state.closing.is_some() || pause.is_zero() {
            state
        } else {
            // Asleep, whatever comes: to be woken for each job would cost more than the jobs.
            drop(state);
            std::thread::sleep(pause);
            self.lock()
        };
        let count = most.min(state.jobs.len());
        into.extend(state.jobs.drain(..count));
        state.held = into.len();
    }

    /// Tells how many jobs the writer still holds.
    pub(super) fn hold(&self, held: usize) {
        self.lock().held = held;
    }

    pub(super) fn set_trouble(&self, trouble: Option<String>) {
        self.lock().trouble = trouble;
    }

    pub(super) fn trouble(&self) -> Option<String> {
        self.lock().trouble.clone()
    }

    pub(super) fn filling(&self) -> f64 {
        let state = self.lock();
        #[expect(clippy::cast_precision_loss, reason = "a share for people and a threshold")]
        let share = (state.jobs.len() + state.held) as f64 / self.room as f64;
        share
    }

    pub(super) fn close(&self, done: oneshot::Sender<Answer<()>>) {
        let mut state = self.lock();
        if state.closed {
            let _ = done.send(Err(Broken("the store is closed already".into())));
            return;
        }
        state.closing = Some(done);
        self.wake.notify_one();
    }

    /// Whether the queue is to be closed and nothing waits in it.
    pub(super) fn is_closing(&self) -> bool {
        let state = self.lock();
        state.closing.is_some() && state.jobs.is_empty()
    }

    /// No job is taken from now on; tells whoever waits for it.
    pub(super) fn finish(&self, outcome: Answer<()>) {
        let mut state = self.lock();
        state.closed = true;
        if let Some(done) = state.closing.take() {
            let _ = done.send(outcome);
        }
    }
}
