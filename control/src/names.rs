//! Host names to addresses, away from the endpoint's task.

use std::sync::Arc;
use std::time::Duration;

use duogate_signaling::endpoint::output::Transport;
use duogate_signaling::endpoint::{LocateFailure, Place, Query, Question};
use tokio::sync::{Semaphore, mpsc};

/// Look-ups at once: each may hold a thread while the name service is slow.
const AT_ONCE: usize = 32;

/// Look-ups that may wait beside those. More fail at once: a dead name service must not gather work.
const WAITING: usize = 1_024;

/// How long one may take, waiting included.
const PATIENCE: Duration = Duration::from_secs(5);

/// What came of a look-up.
pub(crate) type Located = (Query, Result<Vec<Place>, LocateFailure>);

/// Looks names up.
#[derive(Debug)]
pub(crate) struct Names {
    turns: Arc<Semaphore>,
    places: Arc<Semaphore>,
    answers: mpsc::Sender<Located>,
}

impl Names {
    /// A resolver, and where its answers come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Located>) {
        let (answers, located) = mpsc::channel(AT_ONCE + WAITING);
        let turns = Arc::new(Semaphore::new(AT_ONCE));
        let places = Arc::new(Semaphore::new(AT_ONCE + WAITING));
        (Self { turns, places, answers }, located)
    }

    /// Looks a name up. False: too many wait already.
    pub(crate) fn locate(&self, query: Query, question: Question) -> bool {
        let Ok(place) = Arc::clone(&self.places).try_acquire_owned() else { return false };
        let (turns, answers) = (Arc::clone(&self.turns), self.answers.clone());
        let transport = question.transport.unwrap_or(Transport::Udp);
        let port = question.port.unwrap_or(if transport == Transport::Tls { 5061 } else { 5060 });
        tokio::spawn(async move {
            let looked = tokio::time::timeout(PATIENCE, async {
                let _turn = turns.acquire().await;
                tokio::net::lookup_host((question.host.as_str(), port)).await
            });
            let answer = match looked.await {
                Ok(Ok(addresses)) => {
                    Ok(addresses.map(|address| Place { transport, address }).collect::<Vec<_>>())
                }
                Ok(Err(_)) => Err(LocateFailure::Unknown),
                Err(_) => Err(LocateFailure::Timeout),
            };
            let answer = answer
                .and_then(|found| if found.is_empty() { Err(LocateFailure::Unknown) } else { Ok(found) });
            // Nobody waits any more when the program ends.
            let _ = answers.send((query, answer)).await;
            drop(place);
        });
        true
    }
}
