//! What is known of each trunk: its calls, its pace, whether it is there, and its figures.

use alloc::collections::{BTreeMap, VecDeque};
use alloc::string::{String, ToString};
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::identity::Party;
use duogate_channel::time::Instant;

use super::settings::{Rate, Trunk};

/// Upper bounds by which post-dial delays are counted; 3, 5 and 8 s are what ITU-T E.721 aims at for local, toll and
/// international calls.
pub const POST_DIAL_BOUNDS: [Duration; 9] = [
    Duration::from_millis(100),
    Duration::from_millis(250),
    Duration::from_millis(500),
    Duration::from_secs(1),
    Duration::from_secs(2),
    Duration::from_secs(3),
    Duration::from_secs(5),
    Duration::from_secs(8),
    Duration::from_secs(20),
];

/// What became of the calls over one trunk, counted since the start.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct TrunkFigures {
    /// The trunk's name.
    pub name: String,
    /// Calls under way.
    pub calls: u32,
    /// Does it answer to OPTIONS? Up, where it is not asked.
    pub up: bool,
    /// Has its registrar taken us? None, where we do not register.
    pub registered: Option<bool>,
    /// Calls that wait for its pace.
    pub waiting: usize,
    /// Calls begun.
    pub attempts: u64,
    /// Calls answered.
    pub answered: u64,
    /// Calls that ended unanswered, by final SIP status.
    pub failures: BTreeMap<u16, u64>,
    /// Calls that were not placed because it was full, down or its queue had no room.
    pub skipped: u64,
    /// Calls that rang, and the time from their INVITEs to that, summed up.
    pub post_dial_delay: (u64, Duration),
    /// Of these, how many rang within each of [`POST_DIAL_BOUNDS`].
    pub rang_within: [u64; POST_DIAL_BOUNDS.len()],
    /// Calls begun in the last whole second.
    pub calls_per_second: u32,
}

impl TrunkFigures {
    /// The answer-seizure ratio: answered calls among those that have been decided, 0 to 1 (ITU-T E.411). None
    /// before the first.
    #[must_use]
    pub fn answer_seizure_ratio(&self) -> Option<f64> {
        let failed: u64 = self.failures.values().sum();
        let decided = self.answered + failed;
        #[expect(clippy::cast_precision_loss, reason = "a ratio for people; counts below 2^52 are exact")]
        let ratio = self.answered as f64 / decided as f64;
        (decided > 0).then_some(ratio)
    }
}

/// A call that waits for its turn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Turn {
    pub(super) serial: u64,
    pub(super) party: Party,
    pub(super) ticket: u64,
}

/// What a trunk's pace says to one more call.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Pace {
    /// Go.
    Now,
    /// Wait for the turn.
    Queued,
    /// There is no room to wait.
    Full,
}

#[derive(Debug)]
struct State {
    figures: TrunkFigures,
    /// When the next call may begin.
    free_at: Instant,
    queue: VecDeque<Turn>,
    /// The second that is being counted, and calls in it.
    second: (u64, u32),
}

impl Default for State {
    fn default() -> Self {
        let figures = TrunkFigures { up: true, ..TrunkFigures::default() };
        Self { figures, free_at: Instant::from_nanoseconds(0), queue: VecDeque::new(), second: (0, 0) }
    }
}

/// Kept by name, so that it survives a reload.
#[derive(Debug, Default)]
pub(super) struct Trunks {
    states: BTreeMap<Arc<str>, State>,
}

impl Trunks {
    fn state(&mut self, name: &Arc<str>) -> &mut State {
        self.states.entry(name.clone()).or_default()
    }

    /// May one more call go over it?
    pub(super) fn has_room(&self, trunk: &Trunk) -> bool {
        self.states.get(&trunk.name).is_none_or(|state| {
            state.figures.up && trunk.max_calls.is_none_or(|most| state.figures.calls < most)
        })
    }

    /// Takes a turn, or a place in the queue.
    pub(super) fn pace(&mut self, now: Instant, trunk: &Trunk, turn: Turn) -> Pace {
        let Some(rate) = trunk.rate else { return Pace::Now };
        let state = self.state(&trunk.name);
        if state.queue.is_empty() && state.free_at <= now {
            state.free_at = now + gap(rate);
            return Pace::Now;
        }
        if state.queue.len() >= rate.queue {
            return Pace::Full;
        }
        state.queue.push_back(turn);
        Pace::Queued
    }

    /// Calls whose turn has come.
    pub(super) fn turns(&mut self, now: Instant, trunks: &[Trunk]) -> Vec<Turn> {
        let mut due = Vec::new();
        for (name, state) in &mut self.states {
            let rate = trunks.iter().find(|trunk| trunk.name == *name).and_then(|trunk| trunk.rate);
            while state.free_at <= now || rate.is_none() {
                let Some(turn) = state.queue.pop_front() else { break };
                due.push(turn);
                state.free_at = now + rate.map_or(Duration::ZERO, gap);
            }
        }
        due
    }

    /// When the next turn comes.
    pub(super) fn next_turn(&self) -> Option<Instant> {
        let waiting = self.states.values().filter(|state| !state.queue.is_empty());
        waiting.map(|state| state.free_at).min()
    }

    /// A call that waited is no more.
    pub(super) fn forget_turn(&mut self, ticket: u64) {
        for state in self.states.values_mut() {
            state.queue.retain(|turn| turn.ticket != ticket);
        }
    }

    /// A call begins.
    pub(super) fn add(&mut self, now: Instant, name: &Arc<str>) {
        let state = self.state(name);
        state.figures.calls += 1;
        state.figures.attempts += 1;
        count(&mut state.second, &mut state.figures.calls_per_second, now, 1);
    }

    /// A call that a former process placed takes a place.
    pub(super) fn inherit(&mut self, name: &Arc<str>) {
        self.state(name).figures.calls += 1;
    }

    /// It no longer takes a place.
    pub(super) fn remove(&mut self, name: &Arc<str>) {
        if let Some(state) = self.states.get_mut(name) {
            state.figures.calls = state.figures.calls.saturating_sub(1);
        }
    }

    pub(super) fn skipped(&mut self, name: &Arc<str>) {
        self.state(name).figures.skipped += 1;
    }

    pub(super) fn answered(&mut self, name: &Arc<str>) {
        self.state(name).figures.answered += 1;
    }

    pub(super) fn failed(&mut self, name: &Arc<str>, status: u16) {
        *self.state(name).figures.failures.entry(status).or_insert(0) += 1;
    }

    pub(super) fn rang(&mut self, name: &Arc<str>, after: Duration) {
        let figures = &mut self.state(name).figures;
        figures.post_dial_delay.0 += 1;
        figures.post_dial_delay.1 += after;
        for (count, bound) in figures.rang_within.iter_mut().zip(POST_DIAL_BOUNDS) {
            *count += u64::from(after <= bound);
        }
    }

    pub(super) fn set_up(&mut self, name: &Arc<str>, up: bool) {
        self.state(name).figures.up = up;
    }

    pub(super) fn set_registered(&mut self, name: &Arc<str>, registered: Option<bool>) {
        self.state(name).figures.registered = registered;
    }

    /// Forgets what is no longer configured, but for calls that still run.
    pub(super) fn keep(&mut self, trunks: &[Trunk]) {
        let configured = |name: &Arc<str>| trunks.iter().any(|trunk| trunk.name == *name);
        self.states
            .retain(|name, state| configured(name) || state.figures.calls > 0 || !state.queue.is_empty());
    }

    /// Calls under way by trunk, where there are any.
    pub(super) fn calls(&self) -> Vec<(String, u32)> {
        let busy = self.states.iter().filter(|(_, state)| state.figures.calls > 0);
        busy.map(|(name, state)| (name.to_string(), state.figures.calls)).collect()
    }

    /// The figures of all that are configured.
    pub(super) fn figures(&self, now: Instant, trunks: &[Trunk]) -> Vec<TrunkFigures> {
        let figures = |trunk: &Trunk| {
            let empty = State::default();
            let state = self.states.get(&trunk.name).unwrap_or(&empty);
            let mut figures = state.figures.clone();
            figures.name = trunk.name.to_string();
            figures.waiting = state.queue.len();
            count(&mut { state.second }, &mut figures.calls_per_second, now, 0);
            figures
        };
        trunks.iter().map(figures).collect()
    }
}

fn gap(rate: Rate) -> Duration {
    Duration::from_secs_f64(1.0 / rate.per_second.max(0.001))
}

/// Counts calls by the second; `last` is the count of the last whole one.
fn count(second: &mut (u64, u32), last: &mut u32, now: Instant, calls: u32) {
    let this = now.nanoseconds() / 1_000_000_000;
    if second.0 != this {
        *last = if second.0 + 1 == this { second.1 } else { 0 };
        *second = (this, 0);
    }
    second.1 += calls;
}
