//! The application interface's methods, and the operator's.

use alloc::boxed::Box;
use alloc::format;
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::ops::Bound;

use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{Party, Session, Shard, Tag};
use rand_core::Rng;

use super::settings::Settings;
use super::slots::{Attempt, Slot};
use super::{Endpoint, Input, TrunkFigures, check};
use crate::clock::Now;
use crate::resource::duo_callback::{DuoCallback, MediaPlace};
use crate::resource::error::ApiError;
use crate::resource::parameters::Parameters;
use crate::resource::plan::{Plan, Prepared};
use crate::resource::view::{Page, State, View};

/// Seconds after which a call may be tried again when there are too many at once; nobody knows when one ends.
pub(super) const RETRY_WHEN_FULL: u32 = 2;

/// How long a released resource may linger while its transactions run out, in seconds: 64·T1 for BYE or the
/// INVITE, and timer K or D after it.
const LINGER: f64 = 70.0;

impl Endpoint {
    /// Checks parameters, policy and admission without keeping anything: call this, prepare prompt, tone and
    /// recording at the gateway, then [`Endpoint::construct`].
    ///
    /// # Errors
    /// `invalid_params` and `forbidden` with the parameter named; `draining`, `no_media`, `overloaded`.
    pub fn check(&mut self, now: Now, parameters: &Parameters) -> Result<Plan, ApiError> {
        let plan = check::check(&self.settings, parameters)?;
        self.admit(now).map(|_| plan)
    }

    /// Creates the resource. Its first `Output::Note` follows, and the gateway is asked for a session; no call is
    /// placed before [`Endpoint::noted`] says that this note is durable. Counts against `limits`.
    ///
    /// # Errors
    /// `draining`, `no_media`, `overloaded`; then what was `prepared` is still the shell's. `media_file` if the
    /// plan has a prompt or a recording and `prepared` has not.
    pub fn construct(&mut self, now: Now, plan: Plan, prepared: Prepared) -> Result<View, ApiError> {
        for (parameter, planned, there) in [
            ("ring_play_file", plan.ring_play.is_some(), prepared.ring_play.is_some()),
            ("record_file", plan.record.is_some(), prepared.recording.is_some()),
        ] {
            if planned && !there {
                return Err(ApiError::MediaFile { parameter, detail: "was not prepared".into() });
            }
        }
        let shard = self.admit(now)?;
        self.bucket.take();
        self.last_serial += 1;
        let serial = self.last_serial;
        let tag = Tag(serial);
        let res_id = self.name(serial);
        self.counters.constructed += 1;
        self.counters.states[State::Initiated as usize] += 1;
        if let Some(recording) = prepared.recording {
            self.recordings.insert(recording, serial);
        }
        let place =
            MediaPlace { shard, tag, addresses: Party::BOTH.map(|party| self.addresses_for(&plan, party)) };
        let machine = DuoCallback::new(now, res_id, plan, prepared, self.settings.waits, place);
        let view = machine.view();
        let slot = Slot {
            machine: Box::new(machine),
            attempts: [Attempt::Idle; 2],
            journeys: [None, None],
            deadline: None,
        };
        self.resources.insert(serial, slot);
        self.grant(now, serial);
        Ok(view)
    }

    fn name(&mut self, serial: u64) -> Arc<str> {
        let random = self.random.next_u32();
        format!("{}-ext.duo_callback-{serial:016x}{random:08x}", self.settings.node).into()
    }

    /// Is there room for one more call, and on which shard?
    fn admit(&mut self, now: Now) -> Result<Shard, ApiError> {
        if self.draining || !self.takes_calls() {
            self.counters.refused_unavailable += 1;
            return Err(if self.draining { ApiError::Draining } else { ApiError::NoMedia });
        }
        let admission = self.settings.limits.admission;
        let full = ApiError::Overloaded { retry_after_seconds: RETRY_WHEN_FULL };
        if self.living() >= admission.max_calls || self.resources.len() >= self.most_resources() {
            self.counters.refused_full += 1;
            return Err(full);
        }
        let Some(shard) = self.shards.least_loaded() else {
            self.counters.refused_full += 1;
            return Err(full);
        };
        self.bucket.look(&admission, now.instant).map_err(|retry_after_seconds| {
            self.counters.refused_rate += 1;
            ApiError::Overloaded { retry_after_seconds }
        })?;
        Ok(shard)
    }

    /// Resources that are not Released.
    fn living(&self) -> u32 {
        self.counters.states[..State::Released as usize].iter().sum()
    }

    /// Living ones, and those whose last transactions run out.
    fn most_resources(&self) -> usize {
        let admission = &self.settings.limits.admission;
        let lingering = admission.calls_per_second * LINGER;
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a limit; saturates where it is absurd"
        )]
        let lingering = lingering as usize;
        (admission.max_calls as usize + admission.burst as usize).saturating_add(lingering)
    }

    pub(super) fn find(&self, res_id: &str) -> Result<(u64, &Slot), ApiError> {
        let serial = serial_of(res_id).ok_or(ApiError::NotFound)?;
        let slot = self.resources.get(&serial).filter(|slot| **slot.machine.res_id() == *res_id);
        slot.map(|slot| (serial, slot)).ok_or(ApiError::NotFound)
    }

    /// The first note of a resource is durable: its calls may be placed. Harmless for any other.
    pub fn noted(&mut self, now: Now, res_id: &str) {
        if let Ok((serial, _)) = self.find(res_id) {
            self.tell(now, serial, Input::Noted);
        }
    }

    /// The first note of a resource could not be made durable: it is forgotten without any event. Only for one that
    /// [`Endpoint::noted`] was never called for.
    pub fn unnoted(&mut self, res_id: &str) {
        let Ok((serial, slot)) = self.find(res_id) else { return };
        if let Some(media) = slot.machine.note().media {
            let command = duogate_channel::command::Command::Close { session: media.session };
            self.outputs.push_back(super::Output::Media { shard: media.shard, command });
        }
        self.forget(serial);
    }

    /// `ext.duo_callback.cancel`.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` once party 2 is being called: then nothing is changed.
    pub fn cancel(&mut self, now: Now, res_id: &str) -> Result<(), ApiError> {
        let (serial, slot) = self.find(res_id)?;
        if !slot.machine.may_cancel() {
            return Err(ApiError::WrongState { state: slot.machine.state() });
        }
        self.tell(now, serial, Input::Cancel);
        Ok(())
    }

    /// `ext.duo_callback.drop`; `cause` defaults to 603.
    ///
    /// # Errors
    /// `not_found`; `wrong_state` if it is released already; `invalid_params` if `cause` is not in 300..=699.
    pub fn drop_call(&mut self, now: Now, res_id: &str, cause: Option<i64>) -> Result<(), ApiError> {
        let cause = u16::try_from(cause.unwrap_or(603)).ok().filter(|cause| (300..700).contains(cause));
        let cause = cause.ok_or_else(|| ApiError::invalid("cause", "is not in 300..699"))?;
        let (serial, slot) = self.find(res_id)?;
        let state = slot.machine.state();
        if state == State::Released {
            return Err(ApiError::WrongState { state });
        }
        self.tell(now, serial, Input::Drop { cause });
        Ok(())
    }

    /// `ext.duo_callback.get`. Only resources that are not yet over are here; the journal has the rest.
    ///
    /// # Errors
    /// `not_found`.
    pub fn get(&self, res_id: &str) -> Result<View, ApiError> {
        self.find(res_id).map(|(_, slot)| slot.machine.view())
    }

    /// The session of a resource at the gateway, while it has one: the gateway's pages show how it is carried.
    #[must_use]
    pub fn session_of(&self, res_id: &str) -> Option<(Shard, Session)> {
        self.find(res_id).ok().and_then(|(_, slot)| slot.machine.session())
    }

    /// What both legs of a resource have carried by now, of which this gateway's part is `last`.
    #[must_use]
    pub fn carried(&self, res_id: &str, last: [LegStatistics; 2]) -> [LegStatistics; 2] {
        self.find(res_id).map_or(last, |(_, slot)| slot.machine.carried(last))
    }

    /// The resource that has a session.
    #[must_use]
    pub fn resource_of(&self, shard: Shard, session: Session) -> Option<Arc<str>> {
        let serial = self.shards.resource(shard, session)?;
        self.resources.get(&serial).map(|slot| Arc::clone(slot.machine.res_id()))
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
        let limit = usize::try_from(limit.unwrap_or(100)).ok().filter(|limit| (1..=1000).contains(limit));
        let limit = limit.ok_or_else(|| ApiError::invalid("limit", "is not in 1..1000"))?;
        let after = match cursor {
            None => Bound::Unbounded,
            Some(cursor) => Bound::Excluded(
                cursor.parse::<u64>().map_err(|_| ApiError::invalid("cursor", "is none of ours"))?,
            ),
        };
        let wanted = |at: State| state.map_or(at != State::Released, |state| state == at);
        let all = self.resources.range((after, Bound::Unbounded));
        let mut found = all.filter(|(_, slot)| wanted(slot.machine.state()));
        let mut last = None;
        let mut views = Vec::new();
        for (serial, slot) in found.by_ref().take(limit) {
            last = Some(*serial);
            views.push(slot.machine.view());
        }
        let next = if found.next().is_some() { last.map(|last| last.to_string()) } else { None };
        Ok(Page { views, next })
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

    /// Ends every call (reason `shutdown`) with all its events, and accepts no more. It is done once
    /// [`Endpoint::is_idle`].
    pub fn shut_down(&mut self, now: Now) {
        self.draining = true;
        let serials: Vec<u64> = self.resources.keys().copied().collect();
        for serial in serials {
            self.tell(now, serial, Input::Shutdown);
        }
    }

    /// New settings for new calls: trunks, policy, limits, codecs, waits. Calls in progress go on as they were
    /// placed. Node name, listeners and media addresses stay what they were.
    pub fn reload(&mut self, now: Now, settings: Settings) {
        let node = core::mem::take(&mut self.settings.node);
        let listeners = core::mem::take(&mut self.settings.listeners);
        let media_addresses = core::mem::take(&mut self.settings.media_addresses);
        self.settings = Settings { node, listeners, media_addresses, ..settings };
        self.trunks.keep(&self.settings.trunks);
        self.know_trunks();
        self.keep_peers(now);
    }

    /// Calls in progress by trunk name.
    #[must_use]
    pub fn trunk_calls(&self) -> Vec<(String, u32)> {
        self.trunks.calls()
    }

    /// What became of the calls over each trunk that is configured.
    #[must_use]
    pub fn trunk_figures(&self, now: Now) -> Vec<TrunkFigures> {
        self.trunks.figures(now.instant, &self.settings.trunks)
    }

    /// Marks a trunk up or down; one that is down is skipped.
    pub fn set_trunk_up(&mut self, name: &str, up: bool) {
        self.trunks.set_up(&name.into(), up);
    }
}

/// The serial number in a resource's name.
pub(super) fn serial_of(res_id: &str) -> Option<u64> {
    let (_, unique) = res_id.rsplit_once('-')?;
    u64::from_str_radix(unique.get(..16)?, 16).ok()
}
