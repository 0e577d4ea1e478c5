//! How the kernel schedules a shard's thread: it sleeps often, works shortly, and is to be on time.

// Unsafe: the system call for a thread's scheduling policy, which no safe crate of ours offers.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroU64;

/// How much later than asked for a timer may go off: the least there is, instead of 50 µs.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::MIN;

/// Makes the calling thread punctual. With a real-time priority of 1 to 99 it comes before everything else on its core
/// (`SCHED_FIFO`); 0 leaves it among the others. What is not granted is logged, and the thread goes on without it.
pub fn be_punctual(realtime_priority: u8) {
    if let Err(error) = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK)) {
        tracing::debug!(%error, "timers keep their slack");
    }
    if realtime_priority > 0
        && let Err(error) = realtime(realtime_priority)
    {
        tracing::warn!(
            realtime_priority,
            %error,
            "no real-time scheduling for the shard's thread: it needs CAP_SYS_NICE, or RLIMIT_RTPRIO (systemd: \
             LimitRTPRIO=, RestrictRealtime=no)"
        );
    }
}

fn realtime(priority: u8) -> io::Result<()> {
    let attributes = libc::sched_param { sched_priority: priority.into() };
    // SAFETY: the pointer is to a `sched_param` that outlives the call; thread 0 is the caller.
    let result = unsafe { libc::sched_setscheduler(0, libc::SCHED_FIFO, &raw const attributes) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What a new thread's slack and policy are after it was made punctual.
    fn after(realtime_priority: u8) -> (u64, i32) {
        // What is set is the thread's alone.
        let thread = std::thread::spawn(move || {
            be_punctual(realtime_priority);
            // SAFETY: no memory is named; thread 0 is the caller.
            let policy = unsafe { libc::sched_getscheduler(0) };
            (rustix::thread::current_timer_slack().unwrap(), policy)
        });
        thread.join().unwrap()
    }

    #[test]
    fn timers_are_sharp_and_priority_is_only_taken_where_it_is_asked_for() {
        assert_eq!(after(0), (1, libc::SCHED_OTHER));
    }

    #[test]
    fn a_priority_is_granted_or_the_thread_goes_on_without() {
        let (slack, policy) = after(1);
        assert!(slack <= 1 && [libc::SCHED_FIFO, libc::SCHED_OTHER].contains(&policy), "{slack} {policy}");
        assert_eq!(after(u8::MAX), (1, libc::SCHED_OTHER), "no such priority");
    }
}
