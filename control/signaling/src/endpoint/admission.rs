//! How many new calls are taken: a token bucket.

use duogate_channel::time::Instant;

use super::settings::Admission;

/// Holds what may still be taken now.
#[derive(Debug)]
pub(super) struct Bucket {
    tokens: f64,
    filled: Instant,
}

impl Bucket {
    pub(super) fn new(admission: &Admission, now: Instant) -> Self {
        Self { tokens: f64::from(admission.burst.max(1)), filled: now }
    }

    fn fill(&mut self, admission: &Admission, now: Instant) {
        let passed = now.since(self.filled).as_secs_f64();
        self.filled = self.filled.max(now);
        let full = f64::from(admission.burst.max(1));
        self.tokens = (self.tokens + passed * admission.calls_per_second).min(full);
    }

    /// Is there room for one more? If not: seconds until there is.
    pub(super) fn look(&mut self, admission: &Admission, now: Instant) -> Result<(), u32> {
        self.fill(admission, now);
        if self.tokens >= 1.0 {
            return Ok(());
        }
        let wait = (1.0 - self.tokens) / admission.calls_per_second.max(0.001);
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "between 1 and 1000: the rate is bounded below and a token is at most 1"
        )]
        let seconds = wait as u32;
        Err(seconds.saturating_add(1))
    }

    /// Takes one; call [`Bucket::look`] before.
    pub(super) fn take(&mut self) {
        self.tokens -= 1.0;
    }
}
