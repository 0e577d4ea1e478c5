//! The two clocks of the host, read together.

use std::time::{Duration, SystemTime, UNIX_EPOCH};

use duogate_channel::time::{Instant, UnixTime};
use duogate_signaling::clock::Now;
use rustix::time::{ClockId, clock_gettime};

/// Both clocks now. The monotonic one is the gateway's too, so its figures can be compared.
pub(crate) fn now() -> Now {
    Now { instant: instant(), unix: UnixTime::from_milliseconds(unix_milliseconds()) }
}

/// The monotonic clock now.
pub(crate) fn instant() -> Instant {
    let time = clock_gettime(ClockId::Monotonic);
    let seconds = u64::try_from(time.tv_sec).unwrap_or(0);
    let nanoseconds = u64::try_from(time.tv_nsec).unwrap_or(0);
    Instant::from_nanoseconds(seconds.saturating_mul(1_000_000_000).saturating_add(nanoseconds))
}

/// The wall clock now. One that is set before 1970 reads as 1970.
pub(crate) fn unix_milliseconds() -> i64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    i64::try_from(since.as_millis()).unwrap_or(i64::MAX)
}

/// How long from now until a point on the monotonic clock; zero if it has passed.
pub(crate) fn until(deadline: Instant) -> Duration {
    deadline.since(instant())
}
