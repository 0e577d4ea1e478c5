//! The one clock of the data plane.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

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

/// The wall clock when the monotonic one was zero, as time since 1900 (RFC 3550 section 4, NTP). Looked up once: RTCP
/// compares its timestamps with each other, so a clock that is set later must not move them.
#[must_use]
pub fn epoch() -> Duration {
    /// From 1900 to 1970, with 17 leap days.
    const BEFORE_UNIX: Duration = Duration::from_secs((70 * 365 + 17) * 86_400);
    let since_boot = Duration::from_nanos(now().nanoseconds());
    // A host whose clock stands before 1970 has no wall clock; its reports count from 1900 then.
    let since_unix = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    (BEFORE_UNIX + since_unix).saturating_sub(since_boot)
}
