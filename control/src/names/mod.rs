//! Where hosts are reached (RFC 3263), away from the endpoint's task.

mod choice;
mod finder;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use duogate_signaling::endpoint::{LocateFailure, Place, Query, Question};
use tokio::sync::{Semaphore, mpsc};

pub(crate) use finder::Finder;

/// Look-ups at once.
const AT_ONCE: usize = 256;

/// Look-ups that may wait beside those. More fail at once: a dead name service must not gather work.
const WAITING: usize = 1_024;

/// How long one may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of a look-up.
#[derive(Debug)]
pub(crate) struct Located {
    /// The question's name.
    pub(crate) query: Query,
    /// The host that was looked for: whose certificate its places show.
    pub(crate) name: String,
    /// In the order in which they shall be tried.
    pub(crate) found: Result<Vec<Place>, LocateFailure>,
}

/// Looks names up.
#[derive(Debug)]
pub(crate) struct Names {
    finder: Arc<Finder>,
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    answers: mpsc::Sender<Located>,
}

impl Names {
    /// A resolver, and where its answers come out.
    pub(crate) fn new(finder: Finder) -> (Self, mpsc::Receiver<Located>) {
        let (answers, located) = mpsc::channel(AT_ONCE + WAITING);
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let places = Arc::new(Semaphore::new(AT_ONCE + WAITING));
        (Self { finder: Arc::new(finder), turns, places, answers }, located)
    }

    /// Looks a name up. False: too many wait already.
    pub(crate) fn locate(&self, query: Query, question: Question) -> bool {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return false };
        let (finder, turns) = (Arc::clone(&self.finder), Arc::clone(&self.turns));
        let answers = self.answers.clone();
        tokio::spawn(async move {
            let looked = tokio::time::timeout(PATIENCE, async {
                let _turn = turns.acquire().await;
                finder.find(&question).await
            });
            let found = match looked.await {
                Ok(places) if places.is_empty() => Err(LocateFailure::Unknown),
                Ok(places) => Ok(places),
                Err(_) => Err(LocateFailure::Timeout),
            };
            // Nobody waits any more when the program ends.
            let _ = answers.send(Located { query, name: question.host, found }).await;
            drop(place);
        });
        true
    }
}
