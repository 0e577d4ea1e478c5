//! How the kernel schedules a shard's thread: it sleeps often, works shortly, and is to be on time.

// Unsafe: the system call for a thread's scheduling policy, which no safe crate of ours offers.
#![allow(unsafe_code)]

use std::io;
use std::num::NonZeroU64;

/// How much later than asked for a timer may go off: the least there is, instead of 50 µs.
const TIMER_SLACK: NonZeroU64 = NonZeroU64::MIN;

/// The time that a shard asks the scheduler for at once, in nanoseconds: the least there is. Whoever asks for less than
/// the one that runs need not wait until that one's slice, 3 ms, is over (`PREEMPT_SHORT`, Linux 6.12).
const SLICE: u64 = 100_000;

/// Makes the calling thread punctual. With a real-time priority of 1 to 99 it comes before everything else on its core
/// (`SCHED_FIFO`); 0 leaves it among the others. What is not granted is logged, and the thread goes on without it.
pub fn be_punctual(realtime_priority: u8) {
    if let Err(error) = rustix::thread::set_current_timer_slack(Some(TIMER_SLACK)) {
        tracing::debug!(%error, "timers keep their slack");
    }
    if let Err(error) = ask_for(SLICE) {
        tracing::debug!(%error, "slices keep their length");
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

/// `struct sched_attr` of linux/sched/types.h, in its first version.
#[repr(C)]
#[derive(Clone, Copy, Default, Debug)]
struct Attributes {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    /// Of a thread without real-time priority: its slice, since Linux 6.12.
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// The size of [`Attributes`].
const ATTRIBUTES: u32 = 48;
const _: () = assert!(size_of::<Attributes>() == ATTRIBUTES as usize);

/// Asks for slices of so many nanoseconds. All else about the calling thread stays as it is.
fn ask_for(slice: u64) -> io::Result<()> {
    set(&Attributes { runtime: slice, ..attributes()? })
}

fn realtime(priority: u8) -> io::Result<()> {
    let policy = u32::try_from(libc::SCHED_FIFO).map_err(io::Error::other)?;
    set(&Attributes { policy, priority: priority.into(), ..attributes()? })
}

fn set(attributes: &Attributes) -> io::Result<()> {
    // SAFETY: the pointer is to a `sched_attr` of the size that it says, which outlives the call; thread 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(attributes), 0) };
    if result == 0 { Ok(()) } else { Err(io::Error::last_os_error()) }
}

/// What the scheduler knows of the calling thread.
fn attributes() -> io::Result<Attributes> {
    let mut attributes = Attributes { size: ATTRIBUTES, ..Attributes::default() };
    // SAFETY: the pointer is to as much memory as is said, which outlives the call; thread 0 is the caller.
    let result = unsafe { libc::syscall(libc::SYS_sched_getattr, 0, &raw mut attributes, ATTRIBUTES, 0) };
    if result == 0 { Ok(attributes) } else { Err(io::Error::last_os_error()) }
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
    fn a_slice_is_asked_for_and_nothing_else_changes() {
        let (before, after) = std::thread::spawn(|| {
            let before = attributes().unwrap();
            be_punctual(0);
            (before, attributes().unwrap())
        })
        .join()
        .unwrap();
        // A kernel before 6.12 knows no slices, and says 0.
        assert!([0, SLICE].contains(&after.runtime), "{after:?}");
        assert_eq!((before.policy, before.nice, before.flags), (after.policy, after.nice, after.flags));
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
