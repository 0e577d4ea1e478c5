//! The link to the gateway: attaches, hands files over, notices when the gateway goes.
//!
//! ```text
//! apart --attached--> together --hang-up, garbage, a poisoned ring--> apart
//! ```

use std::collections::HashMap;
use std::os::fd::{AsFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use duogate_channel::handover::{Connection, HandoverError};
use duogate_channel::identity::{Recording, Sound};
use duogate_channel::message::{ToControl, ToGateway};
use duogate_channel::sides::{Attachment, ControlSide};
use tokio::io::Interest;
use tokio::io::unix::AsyncFd;
use tokio::sync::{Notify, mpsc, oneshot, watch};

/// How long the gateway may take for one message of the greeting.
const GREETING: Duration = Duration::from_secs(2);

/// The pause before another try to attach in the first seconds, when calls wait for the next gateway, and the longest.
/// A try that finds none costs 20 µs.
const PAUSES: (Duration, Duration) = (Duration::from_millis(10), Duration::from_secs(1));

/// How long the first pause is kept to: longer than calls wait by default.
const KEEN: Duration = Duration::from_secs(10);

/// How often the log repeats that there is no gateway.
const REMIND_EVERY: Duration = Duration::from_secs(30);

/// How long the gateway may take to accept a file.
const ACCEPTANCE: Duration = Duration::from_secs(5);

/// Files that may wait to be handed over: each belongs to one API request, and those are bounded.
const ASKS: usize = 1_024;

/// Files that may wait to be forgotten: more than a gateway takes.
const FORGOTTEN: usize = 65_536;

/// Why a file was not handed over.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum LinkError {
    /// No gateway is attached.
    #[error("no data plane is attached")]
    Apart,
    /// The gateway does not want the file.
    #[error("the data plane refused it: {0}")]
    Refused(String),
    /// The gateway did not answer.
    #[error("the data plane did not answer in time")]
    Silent,
}

/// What the switchboard is told.
#[derive(Debug)]
pub(crate) enum LinkEvent {
    /// A gateway is attached.
    Attached {
        /// This life of it.
        epoch: u64,
        /// Its shards.
        shards: Vec<ControlSide>,
    },
    /// It is gone.
    Lost,
}

/// What the gateway may forget, and has not been told yet.
#[derive(Default, Debug)]
struct Forgotten {
    messages: Mutex<Vec<ToGateway>>,
    wake: Notify,
}

impl Forgotten {
    fn messages(&self) -> MutexGuard<'_, Vec<ToGateway>> {
        self.messages.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn take(&self) -> Vec<ToGateway> {
        std::mem::take(&mut *self.messages())
    }
}

type Reply = oneshot::Sender<Result<(), LinkError>>;

#[derive(Debug)]
struct Ask {
    message: ToGateway,
    file: Option<OwnedFd>,
    reply: Option<Reply>,
}

/// A handle on the link. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Link {
    asks: mpsc::Sender<Ask>,
    epoch: watch::Receiver<Option<u64>>,
    resets: watch::Sender<u64>,
    forgotten: Arc<Forgotten>,
}

/// The link's own task.
#[derive(Debug)]
pub(crate) struct LinkTask {
    path: PathBuf,
    asks: mpsc::Receiver<Ask>,
    epoch: watch::Sender<Option<u64>>,
    events: mpsc::Sender<LinkEvent>,
    resets: watch::Receiver<u64>,
    forgotten: Arc<Forgotten>,
}

/// A link to the gateway that listens at `path`.
pub(crate) fn link(path: &Path, events: mpsc::Sender<LinkEvent>) -> (Link, LinkTask) {
    let (ask, asks) = mpsc::channel(ASKS);
    let (tell, epoch) = watch::channel(None);
    let (reset, resets) = watch::channel(0);
    let forgotten = Arc::<Forgotten>::default();
    let path = path.to_owned();
    let task = LinkTask { path, asks, epoch: tell, events, resets, forgotten: Arc::clone(&forgotten) };
    (Link { asks: ask, epoch, resets: reset, forgotten }, task)
}

impl Link {
    /// The life of the gateway that is attached, if one is.
    pub(crate) fn epoch(&self) -> Option<u64> {
        *self.epoch.borrow()
    }

    /// Waits until a gateway is attached. False: the link has ended.
    pub(crate) async fn attached(mut self) -> bool {
        self.epoch.wait_for(Option::is_some).await.is_ok()
    }

    /// Hands a message with a file over and waits until the gateway has accepted it.
    pub(crate) async fn hand_over(&self, message: ToGateway, file: OwnedFd) -> Result<(), LinkError> {
        let (reply, answered) = oneshot::channel();
        let ask = Ask { message, file: Some(file), reply: Some(reply) };
        self.asks.try_send(ask).map_err(|_| LinkError::Silent)?;
        match tokio::time::timeout(ACCEPTANCE, answered).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(_)) => Err(LinkError::Apart),
            Err(_) => Err(LinkError::Silent),
        }
    }

    /// Tells the gateway that a file will not be needed. Without one there is nothing to tell: each forgets all files when
    /// its control plane goes.
    pub(crate) fn forget(&self, message: ToGateway) {
        let mut forgotten = self.forgotten.messages();
        if forgotten.len() >= FORGOTTEN {
            tracing::error!("the gateway keeps files that are not needed until it is attached anew");
            return;
        }
        forgotten.push(message);
        self.forgotten.wake.notify_one();
    }

    /// A ring is unusable: hang up and attach anew.
    pub(crate) fn reset(&self) {
        self.resets.send_modify(|count| *count += 1);
    }
}

impl LinkTask {
    /// Attaches, again and again, until the switchboard has gone.
    pub(crate) async fn run(mut self) {
        loop {
            let Some(attachment) = self.attach().await else { return };
            let Attachment { connection, epoch, shards } = attachment;
            let gone = match watched(connection) {
                Ok(connection) => {
                    tracing::info!(shards = shards.len(), "attached to the gateway");
                    if self.events.send(LinkEvent::Attached { epoch, shards }).await.is_err() {
                        return;
                    }
                    self.epoch.send_replace(Some(epoch));
                    self.together(&connection).await
                }
                Err(error) => error.to_string(),
            };
            self.epoch.send_replace(None);
            tracing::warn!(reason = gone, "detached from the gateway");
            if self.events.send(LinkEvent::Lost).await.is_err() {
                return;
            }
        }
    }

    /// Tries until it is attached. What is asked meanwhile is refused at once.
    async fn attach(&mut self) -> Option<Attachment> {
        let start = tokio::time::Instant::now();
        let mut pause = PAUSES.0;
        let mut reminded: Option<tokio::time::Instant> = None;
        loop {
            let path = self.path.clone();
            match tokio::task::spawn_blocking(move || Attachment::open(&path, GREETING)).await {
                Ok(Ok(attachment)) => return Some(attachment),
                Ok(Err(error)) => {
                    if reminded.is_none_or(|last| last.elapsed() >= REMIND_EVERY) {
                        reminded = Some(tokio::time::Instant::now());
                        tracing::warn!(socket = %self.path.display(), %error, "no gateway to attach to; trying on");
                    }
                }
                Err(error) => tracing::error!(%error, "the attempt to attach broke off"),
            }
            let over = tokio::time::sleep(pause);
            tokio::pin!(over);
            loop {
                tokio::select! {
                    () = &mut over => break,
                    ask = self.asks.recv() => refuse(ask?),
                }
            }
            if start.elapsed() >= KEEN {
                pause = (pause * 2).min(PAUSES.1);
            }
        }
    }

    /// Serves until the gateway goes; tells why.
    async fn together(&mut self, connection: &AsyncFd<Connection>) -> String {
        let mut pending = Pending::default();
        // What was said about an attachment before this one is over.
        self.resets.mark_unchanged();
        drop(self.forgotten.take());
        loop {
            let outcome = tokio::select! {
                ask = self.asks.recv() => match ask {
                    None => return "this process ends".into(),
                    Some(Ask { message, file, reply }) => {
                        pending.expect(&message, reply);
                        send(connection, &message, file).await
                    }
                },
                () = self.forgotten.wake.notified() => {
                    let mut outcome = Ok(());
                    for message in self.forgotten.take() {
                        outcome = outcome.and(send(connection, &message, None).await);
                    }
                    outcome
                }
                _ = self.resets.changed() => return "a ring is unusable".into(),
                message = receive(connection) => message.and_then(|message| pending.settle(message)),
            };
            if let Err(error) = outcome {
                return error.to_string();
            }
        }
    }
}

fn watched(connection: Connection) -> Result<AsyncFd<Connection>, HandoverError> {
    connection.set_nonblocking(true)?;
    #[expect(
        deprecated,
        reason = "its successor is unsafe for types whose descriptor might change; ours owns one"
    )]
    AsyncFd::new(connection).map_err(|_| HandoverError::Closed)
}

fn refuse(ask: Ask) {
    if let Some(reply) = ask.reply {
        let _ = reply.send(Err(LinkError::Apart));
    }
}

async fn send(
    connection: &AsyncFd<Connection>,
    message: &ToGateway,
    file: Option<OwnedFd>,
) -> Result<(), HandoverError> {
    let files: Vec<_> = file.iter().map(AsFd::as_fd).collect();
    connection
        .async_io(Interest::WRITABLE, |connection| match connection.send(message, &files) {
            Err(HandoverError::WouldBlock) => Err(std::io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        })
        .await
        .map_err(|_| HandoverError::Closed)?
}

async fn receive(connection: &AsyncFd<Connection>) -> Result<ToControl, HandoverError> {
    connection
        .async_io(Interest::READABLE, |connection| match connection.receive::<ToControl>() {
            Err(HandoverError::WouldBlock) => Err(std::io::ErrorKind::WouldBlock.into()),
            other => Ok(other),
        })
        .await
        .map_err(|_| HandoverError::Closed)?
        .map(|(message, _)| message)
}

/// Files that the gateway has not answered for. Bounded by the askers' patience and their number.
#[derive(Default)]
struct Pending {
    sounds: HashMap<Sound, Reply>,
    recordings: HashMap<Recording, Reply>,
}

impl Pending {
    fn expect(&mut self, message: &ToGateway, reply: Option<Reply>) {
        self.sounds.retain(|_, reply| !reply.is_closed());
        self.recordings.retain(|_, reply| !reply.is_closed());
        let Some(reply) = reply else { return };
        match message {
            ToGateway::Sound { sound, .. } => {
                self.sounds.insert(*sound, reply);
            }
            ToGateway::Recording { recording } => {
                self.recordings.insert(*recording, reply);
            }
            ToGateway::Hello { .. } | ToGateway::ForgetSound { .. } | ToGateway::ForgetRecording { .. } => {}
        }
    }

    fn settle(&mut self, message: ToControl) -> Result<(), HandoverError> {
        let (reply, outcome) = match message {
            ToControl::SoundReady { sound } => (self.sounds.remove(&sound), Ok(())),
            ToControl::SoundRefused { sound, reason } => {
                (self.sounds.remove(&sound), Err(LinkError::Refused(reason.to_string())))
            }
            ToControl::RecordingReady { recording } => (self.recordings.remove(&recording), Ok(())),
            ToControl::RecordingRefused { recording, reason } => {
                (self.recordings.remove(&recording), Err(LinkError::Refused(reason.to_string())))
            }
            // Nothing of the greeting may come later.
            ToControl::Welcome { .. } | ToControl::Shard(_) | ToControl::Reject(_) => {
                return Err(HandoverError::Closed);
            }
        };
        if let Some(reply) = reply {
            let _ = reply.send(outcome);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_to_be_forgotten_is_told_however_much_else_waits() {
        let (events, _receiver) = mpsc::channel(1);
        let (link, task) = link(Path::new("nowhere"), events);
        let many = 2 * ASKS;
        for number in 0..many as u64 {
            link.forget(ToGateway::ForgetRecording { recording: Recording(number) });
        }
        assert_eq!(task.forgotten.take().len(), many);
    }
}
