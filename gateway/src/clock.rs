//! The one clock of the data plane.

use duogate_channel::time::Instant;
use rustix::time::{ClockId, clock_gettime};

/// Now, on the clock that both processes share.
#[must_use]
pub fn now() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    // The monotonic clock starts at zero when the host boots and never goes back.
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_nanoseconds(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}
