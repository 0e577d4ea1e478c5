//! How busy a shard is: whether gathering packets is worth their waiting, and for how long.
//!
//! A wake-up costs about as much as a packet. When packets are rare there is nothing to save by waiting for more of
//! them, and each would be late for nothing; when they are many, one wake-up for a batch halves their cost.
//!
//! The latency budget holds for the worst packet, which comes just after the shard has looked. Packets are served in the
//! order in which they came, but all of a batch are read before the first of them is sent, and reading is about a third
//! of serving:
//!
//! ```text
//!   looks         looks again    has read all, sends the first
//!     |--- gather + serving = T ---|-- u·T/3 --|   T (1 + u/3) ≤ budget · 19/20,  gather = T (1 - u)
//! ```
//! where `u` is the share of the time in which the shard serves and does not wait. The twentieth is for what no shard
//! foresees: a batch that is larger or slower than those before it, a timer that is late. Near its capacity a shard cannot
//! keep that, and small batches would cost it the packets that large ones carry: then it gathers for the whole
//! budget, until there is much less to do.

use std::time::Duration;

use duogate_channel::time::Instant;

/// The stretch of time that packets are counted over: long enough to see 8,000 a second, short enough to follow a
/// sudden rush before the sockets' queues feel it.
const STRETCH: Duration = Duration::from_millis(4);

/// Packets that must be expected within the latency budget to make gathering worth it.
const WORTH_A_WAIT: u64 = 4;

/// The shortest wait of a shard that gathers. Near its capacity batches fill by themselves.
const SHORTEST: Duration = Duration::from_micros(20);

/// Parts of a whole, in which utilization is kept.
const WHOLE: u64 = 1024;

/// From this utilization on a shard is crowded: nine tenths.
const CROWDED: u64 = WHOLE * 9 / 10;

/// Below this one it is so no more: six tenths. Large batches alone make a shard that was crowded less so.
const RELIEVED: u64 = WHOLE * 6 / 10;

/// What a shard gathers packets for.
///
/// ```text
///              4 packets a budget           9/10 utilization
///   Rare ──────────────────────> Punctual ──────────────────> Crowded
///     ^  <──────────────────────          <──────────────────    │
///     │            fewer                    6/10 utilization     │ fewer
///     └──────────────────────────────────────────────────────────┘
/// ```
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Pace {
    /// For nothing: each packet goes at once.
    Rare,
    /// For as long as the budget allows.
    Punctual,
    /// For the most packets.
    Crowded,
}

/// Counts what comes, and says how long to gather.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    budget: Duration,
    since: Instant,
    counted: u64,
    turns: u32,
    /// Of 1024: how much of the time the shard serves.
    utilization: u64,
    pace: Pace,
    gather: Duration,
}

impl Load {
    /// Nothing has come yet. A packet may wait for others, and for those before it, for as long as `budget`.
    #[must_use]
    pub const fn new(budget: Duration, now: Instant) -> Self {
        Self {
            budget,
            since: now,
            counted: 0,
            turns: 0,
            utilization: WHOLE / 2,
            pace: Pace::Rare,
            gather: Duration::ZERO,
        }
    }

    /// One turn is over: so many completions have come by `now`.
    pub fn count(&mut self, now: Instant, completions: usize) {
        self.counted += completions as u64;
        self.turns += 1;
        let passed = now.since(self.since);
        if passed < STRETCH {
            return;
        }
        let expected = u128::from(self.counted) * self.budget.as_nanos() / passed.as_nanos().max(1);
        self.measure(passed);
        self.pace = if expected < u128::from(WORTH_A_WAIT) {
            Pace::Rare
        } else {
            match (self.pace, self.utilization) {
                (Pace::Punctual, CROWDED..) | (Pace::Crowded, RELIEVED..) => Pace::Crowded,
                (Pace::Rare | Pace::Punctual | Pace::Crowded, _) => Pace::Punctual,
            }
        };
        self.gather = match self.pace {
            Pace::Rare => Duration::ZERO,
            Pace::Punctual => self.fitting(),
            Pace::Crowded => self.budget,
        };
        self.since = now;
        self.counted = 0;
        self.turns = 0;
    }

    /// What of the stretch was not spent in waiting was spent in serving. A quarter of the news at once: a stretch has
    /// few turns, and one that waits too long makes many packets late. While nothing is gathered there is no news: after
    /// a pause, be it the senders' or the host's, what was known before is the best guess.
    fn measure(&mut self, passed: Duration) {
        if self.pace == Pace::Rare {
            return;
        }
        let waited = (self.gather * self.turns).min(passed);
        let served = (passed - waited).as_nanos() * u128::from(WHOLE) / passed.as_nanos().max(1);
        let served = u64::try_from(served).unwrap_or(WHOLE).min(WHOLE);
        self.utilization = (3 * self.utilization + served) / 4;
    }

    fn fitting(&self) -> Duration {
        let (serving, waiting) = (WHOLE + self.utilization / 3, WHOLE - self.utilization);
        let foreseen = self.budget.as_nanos() * 19 / 20;
        let nanoseconds = foreseen * u128::from(waiting) / u128::from(serving);
        let fitting = Duration::from_nanos(u64::try_from(nanoseconds).unwrap_or(u64::MAX));
        fitting.max(SHORTEST.min(self.budget))
    }

    /// How long the next wait may gather.
    #[must_use]
    pub const fn gather(&self) -> Duration {
        self.gather
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_micros(500);

    const COST: Duration = Duration::from_micros(5);

    /// A shard whose packets take it [`COST`] each.
    struct Shard {
        load: Load,
        now: Instant,
        came: Instant,
    }

    impl Shard {
        fn new(budget: Duration) -> Self {
            let now = Instant::from_nanoseconds(1_000_000_000);
            Self { load: Load::new(budget, now), now, came: now }
        }

        /// How long it gathers after a second of `packets_a_second`.
        fn after(&mut self, packets_a_second: u64) -> Duration {
            let gap = Duration::from_nanos(1_000_000_000 / packets_a_second);
            let end = self.now + Duration::from_secs(1);
            self.came = self.came.max(self.now);
            while self.now < end {
                let waits_until = (self.now + self.load.gather()).max(self.came);
                let mut completions: u32 = 0;
                while self.came <= waits_until {
                    self.came = self.came + gap;
                    completions += 1;
                }
                self.now = waits_until + COST * completions;
                self.load.count(self.now, completions as usize);
            }
            self.load.gather()
        }
    }

    fn at(budget: Duration, packets_a_second: u64) -> Duration {
        Shard::new(budget).after(packets_a_second)
    }

    #[test]
    fn few_packets_do_not_wait_for_each_other() {
        assert_eq!(at(BUDGET, 100), Duration::ZERO);
        assert_eq!(at(BUDGET, 5_000), Duration::ZERO);
    }

    #[test]
    fn many_packets_are_gathered_for_as_long_as_the_budget_allows() {
        for (rate, utilization) in [(20_000, 0.1), (100_000, 0.5), (160_000, 0.8)] {
            let found = at(BUDGET, rate).as_secs_f64() * 1e6;
            let right = 500.0 * 0.95 * (1.0 - utilization) / (1.0 + utilization / 3.0);
            assert!((found - right).abs() < 0.15 * right + 5.0, "{rate}/s: {found} µs, not {right} µs");
        }
    }

    #[test]
    fn gathering_ends_with_the_rush() {
        let mut now = Instant::from_nanoseconds(1_000_000_000);
        let mut load = Load::new(BUDGET, now);
        now = now + STRETCH;
        load.count(now, 1000);
        assert!(!load.gather().is_zero());
        now = now + STRETCH;
        load.count(now, 1);
        assert_eq!(load.gather(), Duration::ZERO);
    }

    #[test]
    fn a_pause_changes_nothing() {
        let mut shard = Shard::new(BUDGET);
        let before = shard.after(100_000);
        assert_eq!(shard.after(100), Duration::ZERO);
        let first = (shard.now + Duration::from_millis(5), 500);
        shard.load.count(first.0, first.1);
        let after = shard.load.gather();
        assert!(
            after <= before * 11 / 10,
            "{before:?} before, {after:?} after: as if it had nothing to serve"
        );
    }

    #[test]
    fn a_crowded_shard_gathers_all_it_may_until_it_is_relieved() {
        let mut shard = Shard::new(BUDGET);
        assert_eq!(shard.after(195_000), BUDGET);
        assert_eq!(shard.after(150_000), BUDGET);
        assert!(shard.after(80_000) < BUDGET);
    }

    #[test]
    fn without_a_budget_nothing_is_gathered() {
        assert_eq!(at(Duration::ZERO, 50_000), Duration::ZERO);
    }
}
