//! How busy a shard is: whether gathering packets is worth their waiting.
//!
//! A wake-up costs about as much as a packet. When packets are rare there is nothing to save by waiting for more of
//! them, and each would be late for nothing; when they are many, one wake-up for a batch halves their cost.

use std::time::Duration;

use duogate_channel::time::Instant;

/// The stretch of time that packets are counted over: long enough to see 8,000 a second, short enough to follow a
/// sudden rush before the sockets' queues feel it.
const STRETCH: Duration = Duration::from_millis(4);

/// Packets that must be expected within the latency budget to make gathering worth it.
const WORTH_A_WAIT: u64 = 4;

/// Counts what comes, and says how long to gather.
#[derive(Clone, Copy, Debug)]
pub struct Load {
    budget: Duration,
    since: Instant,
    counted: u64,
    gathers: bool,
}

impl Load {
    /// Nothing has come yet. Packets may wait for each other for as long as `budget`.
    #[must_use]
    pub const fn new(budget: Duration, now: Instant) -> Self {
        Self { budget, since: now, counted: 0, gathers: false }
    }

    /// So many completions have come by `now`.
    pub fn count(&mut self, now: Instant, completions: usize) {
        self.counted += completions as u64;
        let passed = now.since(self.since);
        if passed < STRETCH {
            return;
        }
        let expected = u128::from(self.counted) * self.budget.as_nanos() / passed.as_nanos().max(1);
        self.gathers = expected >= u128::from(WORTH_A_WAIT);
        self.since = now;
        self.counted = 0;
    }

    /// How long the next wait may gather.
    #[must_use]
    pub const fn gather(&self) -> Duration {
        if self.gathers { self.budget } else { Duration::ZERO }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const BUDGET: Duration = Duration::from_micros(500);

    /// The wait that a steady rate leads to.
    fn at(packets_a_second: u64) -> Duration {
        let mut now = Instant::from_nanoseconds(1_000_000_000);
        let mut load = Load::new(BUDGET, now);
        for _ in 0..1000 {
            now = now + Duration::from_nanos(1_000_000_000 / packets_a_second);
            load.count(now, 1);
        }
        load.gather()
    }

    #[test]
    fn few_packets_do_not_wait_for_each_other() {
        assert_eq!(at(100), Duration::ZERO);
        assert_eq!(at(5_000), Duration::ZERO);
    }

    #[test]
    fn many_packets_are_gathered() {
        assert_eq!(at(20_000), BUDGET);
        assert_eq!(at(100_000), BUDGET);
    }

    #[test]
    fn gathering_ends_with_the_rush() {
        let mut now = Instant::from_nanoseconds(1_000_000_000);
        let mut load = Load::new(BUDGET, now);
        now = now + STRETCH;
        load.count(now, 1000);
        assert_eq!(load.gather(), BUDGET);
        now = now + STRETCH;
        load.count(now, 1);
        assert_eq!(load.gather(), Duration::ZERO);
    }

    #[test]
    fn without_a_budget_nothing_is_gathered() {
        let mut load = Load::new(Duration::ZERO, Instant::from_nanoseconds(1));
        load.count(Instant::from_nanoseconds(1_000_000_000), 1_000_000);
        assert_eq!(load.gather(), Duration::ZERO);
    }
}
