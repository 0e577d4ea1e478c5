//! The floor of every pacing: a thread that does nothing but wake up in time.

use std::io;
use std::thread::JoinHandle;
use std::time::Duration;

use crate::clock;
use crate::process::pin;

/// It wakes up as often as a shard that paces prompts.
const PERIOD: Duration = Duration::from_millis(1);

/// Sleeps on `core` from one millisecond to the next for so long; gives how late it was each time, in nanoseconds,
/// sorted. Where the host is late itself (others' work, a hypervisor), nothing on it can be punctual.
///
/// # Errors
/// There is no such core, or no thread.
pub fn beside(core: usize, duration: Duration) -> io::Result<JoinHandle<io::Result<Vec<u64>>>> {
    let work = move || {
        pin(core)?;
        rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
        let nanoseconds = |time: Duration| u64::try_from(time.as_nanos()).unwrap_or(u64::MAX);
        let mut due = clock::monotonic();
        let end = due + nanoseconds(duration);
        let mut late = Vec::with_capacity(usize::try_from(duration.as_millis()).unwrap_or(0));
        while due < end {
            due += nanoseconds(PERIOD);
            let now = clock::monotonic();
            if now < due {
                clock::sleep_microseconds((due - now) / 1000);
            }
            late.push(clock::monotonic().saturating_sub(due));
        }
        late.sort_unstable();
        Ok(late)
    };
    std::thread::Builder::new().name("timer".into()).spawn(work)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_tells_every_millisecond() {
        let late = beside(0, Duration::from_millis(50)).unwrap().join().unwrap().unwrap();
        assert_eq!(late.len(), 50);
        assert!(late.is_sorted());
    }
}
