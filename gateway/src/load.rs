//! How busy a shard is: whether gathering packets is worth their waiting, and for how long.
//!
//! A wake-up costs about as much as a packet. When packets are rare there is nothing to save by waiting for more of
//! them, and each would be late for nothing; when they are many, one wake-up for a batch halves their cost.
//!
//! The latency budget holds for the worst packet. It comes just after the shard has looked, and is served last:
//!
//! ```text
//!   looks         looks again          has served all
//!     |--- gather + serving = T ---|--- serving = u·T ---|        T (1 + u) ≤ budget,  gather = T (1 - u)
//! ```
//! where `u` is the share of the time in which the shard serves and does not wait.

use std::time::Duration;

use duogate_channel::time::Instant;

/// The stretch of time that packets are counted over: long enough to see 8,000 a second, short enough to follow a
/// sudden rush before the sockets' queues feel it.
const STRETCH: Duration = Duration::from_millis(4);

/// Packets that must be expected within the latency budget to make gathering worth it.
const WORTH_A_WAIT: u64 = 4;

/// The shortest wait of a shard that gathers. Near its capacity batches fill by themselves.
const SHORTEST: Duration = Duration::from_micros(20);

/// What a timer, and the way from its interrupt to the thread, take of the budget at most but for rare cases.
const WAKING: Duration = Duration::from_micros(50);

/// Parts of a whole, in which utilization is kept.
const WHOLE: u64 = 1024;

/// Counts what comes, and says how long to gather.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    budget: Duration,
    since: Instant,
    counted: u64,
    turns: u32,
    /// Of 1024: how much of the time the shard serves.
    utilization: u64,
    gather: Duration,
}

impl Load {
    /// Nothing has come yet. A packet may wait for others, and for those before it, for as long as `budget`.
    #[must_use]
    pub const fn new(budget: Duration, now: Instant) -> Self {
        Self { budget, since: now, counted: 0, turns: 0, utilization: 0, gather: Duration::ZERO }
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
        self.gather = if expected < u128::from(WORTH_A_WAIT) {
            Duration::ZERO
        } else {
            self.measure(passed);
            self.fitting()
        };
        self.since = now;
        self.counted = 0;
        self.turns = 0;
    }

    /// What of the stretch was not spent in waiting was spent in serving. Half of the news at once: one stretch may
    /// be an exception.
    fn measure(&mut self, passed: Duration) {
        if self.gather.is_zero() {
            return;
        }
        let waited = (self.gather * self.turns).min(passed);
        let served = (passed - waited).as_nanos() * u128::from(WHOLE) / passed.as_nanos().max(1);
        let served = u64::try_from(served).unwrap_or(WHOLE).min(WHOLE);
        self.utilization = self.utilization.midpoint(served);
    }

    fn fitting(&self) -> Duration {
        let (serving, waiting) = (WHOLE + self.utilization, WHOLE - self.utilization);
        let budget = self.budget.saturating_sub(WAKING);
        let nanoseconds = budget.as_nanos() * u128::from(waiting) / u128::from(serving);
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

    /// What a shard comes to after a second of `packets_a_second` that take it `cost` each.
    fn at(budget: Duration, packets_a_second: u64, cost: Duration) -> Duration {
        let gap = Duration::from_nanos(1_000_000_000 / packets_a_second);
        let mut now = Instant::from_nanoseconds(1_000_000_000);
        let end = now + Duration::from_secs(1);
        let mut load = Load::new(budget, now);
        let mut came = now;
        while now < end {
            let mut completions: u32 = 0;
            let waits_until = (now + load.gather()).max(came);
            while came <= waits_until {
                came = came + gap;
                completions += 1;
            }
            now = waits_until + cost * completions;
            load.count(now, completions as usize);
        }
        load.gather()
    }

    const COST: Duration = Duration::from_micros(5);

    #[test]
    fn few_packets_do_not_wait_for_each_other() {
        assert_eq!(at(BUDGET, 100, COST), Duration::ZERO);
        assert_eq!(at(BUDGET, 5_000, COST), Duration::ZERO);
    }

    #[test]
    fn many_packets_are_gathered_for_as_long_as_the_budget_allows() {
        for (rate, utilization) in [(20_000, 0.1), (100_000, 0.5), (160_000, 0.8)] {
            let found = at(BUDGET, rate, COST).as_secs_f64() * 1e6;
            let right = 450.0 * (1.0 - utilization) / (1.0 + utilization);
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
    fn beyond_its_capacity_a_shard_still_gathers_a_little() {
        let mut now = Instant::from_nanoseconds(1_000_000_000);
        let mut load = Load::new(BUDGET, now);
        for _ in 0..20 {
            now = now + STRETCH;
            load.count(now, 1000);
        }
        assert_eq!(load.gather(), SHORTEST);
    }

    #[test]
    fn without_a_budget_nothing_is_gathered() {
        assert_eq!(at(Duration::ZERO, 50_000, COST), Duration::ZERO);
    }
}
