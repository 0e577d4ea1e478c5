//! The two clocks, in nanoseconds, and a sleep.

use rustix::time::{ClockId, clock_gettime};

fn nanoseconds(clock: ClockId) -> u64 {
    let time = clock_gettime(clock);
    u64::try_from(time.tv_sec).unwrap_or(0) * 1_000_000_000 + u64::try_from(time.tv_nsec).unwrap_or(0)
}

/// Monotonic time.
#[must_use]
pub fn monotonic() -> u64 {
    nanoseconds(ClockId::Monotonic)
}

/// Wall-clock time, which the kernel's packet timestamps use.
#[must_use]
pub fn wall() -> u64 {
    nanoseconds(ClockId::Realtime)
}

/// Sleeps so many microseconds.
pub fn sleep_microseconds(microseconds: u64) {
    std::thread::sleep(std::time::Duration::from_micros(microseconds));
}
