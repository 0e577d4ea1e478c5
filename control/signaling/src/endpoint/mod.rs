//! The one face of the signaling core: everything comes in here, and everything that is to be done comes out.
//!
//! Call one input method at a time, then drain [`Endpoint::poll_output`] before the next. Ask
//! [`Endpoint::next_deadline`] when to call [`Endpoint::advance`] at the latest.

pub mod counters;
pub mod output;
pub mod settings;

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::vec::Vec;
use core::net::{IpAddr, SocketAddr};

use duogate_channel::event::Event;
use duogate_channel::identity::Shard;
use duogate_channel::time::Instant;

use crate::clock::Now;
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;
use crate::resource::plan::{Plan, Prepared};
use crate::resource::view::{Page, State, View};

pub use counters::Counters;
pub use output::{Listener, LocateFailure, Measurement, Output, Query};
pub use settings::{Admission, Limits, Policy, Settings, Trunk};

/// All of signaling: resources, legs, dialogs, transactions, trunks, limits.
pub struct Endpoint {
    settings: Settings,
    outputs: VecDeque<Output>,
    counters: Counters,
    draining: bool,
}

impl Endpoint {
    /// A fresh one. `seed` feeds every identifier it makes; `now` makes resource names sort across restarts.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32], now: Now) -> Self {
        let _ = (seed, now);
        Self { settings, outputs: VecDeque::new(), counters: Counters::default(), draining: false }
    }

    /// Checks parameters, policy and admission without keeping anything: call this, prepare prompt, tone and
    /// recording at the gateway, then [`Endpoint::construct`].
    ///
    /// # Errors
    /// `invalid_params` and `forbidden` with the parameter named; `draining`, `no_media`, `overloaded`.
    pub fn check(&mut self, now: Now, parameters: &Parameters) -> Result<Plan, ApiError> {
        let _ = (now, parameters);
        Err(ApiError::NoMedia)
    }

    /// Creates the resource. Its first `Output::Note` follows; nothing is sent before [`Endpoint::noted`] says
    /// that this note is durable. Counts against `limits`.
    ///
    /// # Errors
    /// `draining`, `no_media`, `overloaded`; then `prepared` is still the shell's.
    pub fn construct(&mut self, now: Now, plan: Plan, prepared: Prepared) -> Result<View, ApiError> {
        let _ = (now, plan, prepared);
        Err(ApiError::NoMedia)
    }

    /// The first note of a resource is durable: its calls may be placed. Ignored for any other.
    pub fn noted(&mut self, now: Now, res_id: &str) {
        let _ = (now, res_id);
    }

    /// The first note of a resource could not be made durable: it is forgotten without any event.
    pub fn unnoted(&mut self, now: Now, res_id: &str) {
        let _ = (now, res_id);
    }

    /// `ext.duo_callback.cancel`.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` once party 2 is being called.
    pub fn cancel(&mut self, now: Now, res_id: &str) -> Result<(), ApiError> {
        let _ = (now, res_id);
        Err(ApiError::NotFound)
    }

    /// `ext.duo_callback.drop`.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it is released already; `invalid_params` if `cause` is not in 300..=699.
    pub fn drop_call(&mut self, now: Now, res_id: &str, cause: Option<i64>) -> Result<(), ApiError> {
        let _ = (now, res_id, cause);
        Err(ApiError::NotFound)
    }

    /// `ext.duo_callback.get`. Only resources that are not yet over are here; the journal has the rest.
    ///
    /// # Errors
    /// `not_found`.
    pub fn get(&self, res_id: &str) -> Result<View, ApiError> {
        let _ = res_id;
        Err(ApiError::NotFound)
    }

    /// `ext.duo_callback.list`: those in `state`, or all that are not Released. `limit` is 1..=1000, default 100.
    ///
    /// # Errors
    /// `invalid_params` for a cursor that this method did not give, or a limit out of range.
    pub fn list(
        &self,
        state: Option<State>,
        cursor: Option<&str>,
        limit: Option<i64>,
    ) -> Result<Page, ApiError> {
        let _ = (state, cursor, limit);
        Ok(Page::default())
    }

    /// A datagram came in.
    pub fn receive(&mut self, now: Now, listener: Listener, source: SocketAddr, bytes: &[u8]) {
        let _ = (now, listener, source, bytes);
    }

    /// A shard of the attached gateway reported something.
    pub fn media(&mut self, now: Now, shard: Shard, event: Event) {
        let _ = (now, shard, event);
    }

    /// A gateway is attached with these shards (sessions each can hold). Calls are accepted from now on.
    pub fn media_attached(&mut self, now: Now, sessions: &[u32]) {
        let _ = (now, sessions);
    }

    /// The gateway is gone: calls on it end, new ones are refused until the next [`Endpoint::media_attached`].
    pub fn media_lost(&mut self, now: Now) {
        let _ = now;
    }

    /// A command could not be handed to its shard (ring and backlog full): the shard is as good as stalled.
    /// New sessions avoid it until it reports again.
    pub fn media_congested(&mut self, now: Now, shard: Shard) {
        let _ = (now, shard);
    }

    /// The answer to `Output::Locate`. An empty list is a failure.
    pub fn located(&mut self, now: Now, query: Query, addresses: Result<Vec<IpAddr>, LocateFailure>) {
        let _ = (now, query, addresses);
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Now) {
        let _ = now;
    }

    /// When to call [`Endpoint::advance`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        None
    }

    /// What is to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Stops (or again starts) accepting calls; those in progress go on.
    pub fn drain(&mut self, draining: bool) {
        self.draining = draining;
    }

    /// Is it draining?
    #[must_use]
    pub fn draining(&self) -> bool {
        self.draining
    }

    /// Ends every call (reason `shutdown`), with all events. It is idle once [`Endpoint::is_idle`].
    pub fn shut_down(&mut self, now: Now) {
        let _ = now;
        self.draining = true;
    }

    /// Is nothing left: no resource, no leg, no transaction?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        true
    }

    /// New settings for new calls: trunks, policy, limits, codecs. Calls in progress go on as they were
    /// placed. Node name, listeners and media address stay what they were.
    pub fn reload(&mut self, settings: Settings) {
        self.settings.trunks = settings.trunks;
    }

    /// Figures for metrics.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }

    /// Calls in progress by trunk name.
    #[must_use]
    pub fn trunk_calls(&self) -> Vec<(String, u32)> {
        Vec::new()
    }

    /// Marks a trunk up or down; a trunk that is down is skipped.
    pub fn set_trunk_up(&mut self, name: &str, up: bool) {
        let _ = (name, up);
    }

    /// Sessions in use per shard.
    #[must_use]
    pub fn shard_sessions(&self) -> Vec<u32> {
        Vec::new()
    }
}
