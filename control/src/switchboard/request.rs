//! What the interfaces ask of the switchboard.

use std::path::PathBuf;
use std::sync::Arc;

use duogate_channel::identity::Recording;
use duogate_signaling::endpoint::{Counters, TrunkFigures};
use duogate_signaling::resource::action::{self, ActionParameters, Method};
use duogate_signaling::resource::error::ApiError;
use duogate_signaling::resource::parameters::Parameters;
use duogate_signaling::resource::plan::{Plan, Prepared};
use duogate_signaling::resource::view::{Page, State, View};
use tokio::sync::{mpsc, oneshot};

use crate::media::sounds::Kept;

/// Requests that may wait for the endpoint's task. At 200 constructs a second the queue holds the work of five
/// seconds; beyond, HTTP answers 503.
const REQUESTS: usize = 1_024;

/// Why something was not done.
#[derive(Clone, Debug, thiserror::Error)]
pub(crate) enum Refusal {
    /// The endpoint's answer.
    #[error("{0}")]
    Api(#[from] ApiError),
    /// The store could not note it.
    #[error("it could not be noted durably: {0}")]
    Store(String),
    /// Too many events wait for the webhook that it names.
    #[error("too many events wait for webhooks, or for those of this host")]
    Webhook,
    /// The queue is full, or the program ends.
    #[error("this node is busy")]
    Busy,
}

/// A callback that was checked, with everything that was prepared for it.
#[derive(Debug)]
pub(crate) struct Order {
    /// What is to be done.
    pub(crate) plan: Plan,
    /// Sounds and recording at the gateway.
    pub(crate) prepared: Prepared,
    /// Keeps the sounds there.
    pub(crate) kept: Vec<Arc<Kept>>,
    /// The recording's path beneath its root.
    pub(crate) recording: Option<(Recording, PathBuf)>,
    /// The WebSocket that asked.
    pub(crate) owner: Option<u64>,
    /// The idempotency key and the digest of the parameters.
    pub(crate) request: Option<(String, Vec<u8>)>,
}

/// An action that was checked, with everything that was prepared for it.
#[derive(Debug)]
pub(crate) struct ActionStart {
    /// The resource.
    pub(crate) res_id: String,
    /// What is to be done.
    pub(crate) order: action::Order,
    /// Sound and recording at the gateway.
    pub(crate) prepared: action::Prepared,
    /// Keeps the sound there.
    pub(crate) kept: Option<Arc<Kept>>,
    /// The recording's path beneath its root.
    pub(crate) recording: Option<(Recording, PathBuf)>,
}

/// How things stand.
#[derive(Clone, Debug, Default)]
pub(crate) struct Status {
    /// The endpoint's figures.
    pub(crate) counters: Counters,
    /// No new calls are taken.
    pub(crate) draining: bool,
    /// A gateway is attached.
    pub(crate) attached: bool,
    /// Calls that still owe the application an event.
    pub(crate) untold: usize,
    /// What is known of each trunk.
    pub(crate) trunks: Vec<TrunkFigures>,
    /// Sessions in use by shard.
    pub(crate) shard_sessions: Vec<u32>,
}

/// Where an answer goes.
pub(crate) type Reply<T> = oneshot::Sender<T>;

/// One request.
#[derive(Debug)]
pub(crate) enum Request {
    /// Check parameters and admission.
    Check(Box<Parameters>, Reply<Result<Plan, ApiError>>),
    /// Place a callback; answered once it is durable.
    Construct(Box<Order>, Reply<Result<View, Refusal>>),
    /// Check an action's parameters, and whether it may be started.
    CheckAction(String, Method, Box<ActionParameters>, Reply<Result<action::Order, ApiError>>),
    /// Start an action.
    StartAction(Box<ActionStart>, Reply<Result<(), Refusal>>),
    /// Stop an action.
    StopAction(String, Method, Box<ActionParameters>, Reply<Result<(), ApiError>>),
    /// Give up.
    Cancel(String, Reply<Result<(), ApiError>>),
    /// End both calls.
    Drop(String, Option<i64>, Reply<Result<(), ApiError>>),
    /// Look at one.
    Get(String, Reply<Result<View, ApiError>>),
    /// Look at many.
    List(Option<State>, Option<String>, Option<i64>, Reply<Result<Page, ApiError>>),
    /// Take no new calls, or take them again.
    Drain(bool, Reply<()>),
    /// New settings.
    Reload(Box<duogate_signaling::endpoint::Settings>, Reply<()>),
    /// How things stand.
    Status(Reply<Status>),
    /// End every call.
    ShutDown,
    /// Take every registration back.
    LeaveTrunks,
}

/// A handle on the switchboard. Cheap to clone.
#[derive(Clone, Debug)]
pub(crate) struct Switchboard {
    requests: mpsc::Sender<Request>,
}

impl Switchboard {
    /// A handle, and where its requests come out.
    pub(crate) fn new() -> (Self, mpsc::Receiver<Request>) {
        let (requests, asked) = mpsc::channel(REQUESTS);
        (Self { requests }, asked)
    }

    async fn ask<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        let (reply, answered) = oneshot::channel();
        self.requests.try_send(request(reply)).map_err(|_| Refusal::Busy)?;
        answered.await.map_err(|_| Refusal::Busy)
    }

    /// Like [`Switchboard::ask`], and waits for a place in the queue: for the program itself, which does not give up
    /// because others ask much.
    async fn ask_in_turn<T>(&self, request: impl FnOnce(Reply<T>) -> Request) -> Result<T, Refusal> {
        let (reply, answered) = oneshot::channel();
        self.requests.send(request(reply)).await.map_err(|_| Refusal::Busy)?;
        answered.await.map_err(|_| Refusal::Busy)
    }

    /// Checks parameters and admission; nothing is kept.
    pub(crate) async fn check(&self, parameters: Parameters) -> Result<Plan, Refusal> {
        Ok(self.ask(|reply| Request::Check(Box::new(parameters), reply)).await??)
    }

    /// Places a callback. If it is refused, what was prepared for it has been disposed of.
    pub(crate) async fn construct(&self, order: Order) -> Result<View, Refusal> {
        self.ask(|reply| Request::Construct(Box::new(order), reply)).await?
    }

    /// Checks an action's parameters, and whether it may be started; nothing is kept.
    pub(crate) async fn check_action(
        &self,
        res_id: String,
        method: Method,
        parameters: ActionParameters,
    ) -> Result<action::Order, Refusal> {
        Ok(self.ask(|reply| Request::CheckAction(res_id, method, Box::new(parameters), reply)).await??)
    }

    /// Starts an action. If it is refused, what was prepared for it has been disposed of, unless the node is busy.
    pub(crate) async fn start_action(&self, start: ActionStart) -> Result<(), Refusal> {
        self.ask(|reply| Request::StartAction(Box::new(start), reply)).await?
    }

    /// Stops an action.
    pub(crate) async fn stop_action(
        &self,
        res_id: String,
        method: Method,
        parameters: ActionParameters,
    ) -> Result<(), Refusal> {
        Ok(self.ask(|reply| Request::StopAction(res_id, method, Box::new(parameters), reply)).await??)
    }

    /// `ext.duo_callback.cancel`.
    pub(crate) async fn cancel(&self, res_id: String) -> Result<(), Refusal> {
        Ok(self.ask(|reply| Request::Cancel(res_id, reply)).await??)
    }

    /// `ext.duo_callback.drop`.
    pub(crate) async fn drop_call(&self, res_id: String, cause: Option<i64>) -> Result<(), Refusal> {
        Ok(self.ask(|reply| Request::Drop(res_id, cause, reply)).await??)
    }

    /// `ext.duo_callback.get`, for resources that are not yet over.
    pub(crate) async fn get(&self, res_id: String) -> Result<View, Refusal> {
        Ok(self.ask(|reply| Request::Get(res_id, reply)).await??)
    }

    /// `ext.duo_callback.list`, for resources that are not yet over.
    pub(crate) async fn list(
        &self,
        state: Option<State>,
        cursor: Option<String>,
        limit: Option<i64>,
    ) -> Result<Page, Refusal> {
        Ok(self.ask(|reply| Request::List(state, cursor, limit, reply)).await??)
    }

    /// Takes no new calls, or takes them again.
    pub(crate) async fn drain(&self, draining: bool) -> Result<(), Refusal> {
        self.ask(|reply| Request::Drain(draining, reply)).await
    }

    /// Uses new settings for new calls.
    pub(crate) async fn reload(
        &self,
        settings: duogate_signaling::endpoint::Settings,
    ) -> Result<(), Refusal> {
        self.ask(|reply| Request::Reload(Box::new(settings), reply)).await
    }

    /// How things stand.
    pub(crate) async fn status(&self) -> Result<Status, Refusal> {
        self.ask(Request::Status).await
    }

    /// Like [`Switchboard::drain`], however much is asked. An error means that the task has ended.
    pub(crate) async fn drain_in_turn(&self) -> Result<(), Refusal> {
        self.ask_in_turn(|reply| Request::Drain(true, reply)).await
    }

    /// Like [`Switchboard::status`], however much is asked. An error means that the task has ended.
    pub(crate) async fn status_in_turn(&self) -> Result<Status, Refusal> {
        self.ask_in_turn(Request::Status).await
    }

    /// Ends every call.
    pub(crate) async fn shut_down(&self) {
        // If the task has ended, so have all calls.
        let _ = self.requests.send(Request::ShutDown).await;
    }

    /// Takes every registration back.
    pub(crate) async fn leave_trunks(&self) {
        // If the task has ended, nobody is left to do it.
        let _ = self.requests.send(Request::LeaveTrunks).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn the_program_has_its_turn_when_others_are_refused() {
        let (switchboard, mut requests) = Switchboard::new();
        for _ in 0..REQUESTS {
            let (reply, _) = oneshot::channel();
            switchboard.requests.try_send(Request::Status(reply)).unwrap();
        }
        assert!(matches!(switchboard.status().await, Err(Refusal::Busy)));
        let (drain, status) = (switchboard.clone(), switchboard.clone());
        let drain = tokio::spawn(async move { drain.drain_in_turn().await });
        let status = tokio::spawn(async move { status.status_in_turn().await });
        for _ in 0..REQUESTS + 2 {
            match requests.recv().await.unwrap() {
                Request::Drain(draining, reply) => {
                    assert!(draining);
                    reply.send(()).unwrap();
                }
                // Those that filled the queue have gone.
                Request::Status(reply) => drop(reply.send(Status::default())),
                other => panic!("{other:?}"),
            }
        }
        assert!(drain.await.unwrap().is_ok());
        assert!(status.await.unwrap().is_ok());
        drop(requests);
        assert!(switchboard.status_in_turn().await.is_err(), "nobody is left to answer");
    }
}
