//! How still the host stands: a thread of real-time priority on the measured core that does nothing but wake up in time.
//!
//! A virtual machine's host gives its cores to others for milliseconds at a time. No forwarder on it can do anything
//! about that, so a slice of a measurement in which it happened is told apart by this, and measured anew.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::JoinHandle;

use crate::clock;
use crate::process::{Class, pin, schedule};
use crate::table::quantile;

/// Nanoseconds between two of its wake-ups: often enough to meet most stalls, and some 0.5 % of a core.
const PERIOD: u64 = 1_000_000;

/// Wake-ups that are remembered until they are asked for: more than a slice has.
const MOST: usize = 1 << 16;

/// From this lateness on the host stood still, in nanoseconds: no work of the kernel's takes so long.
const STALL: u64 = 3_000_000;

/// How late the bare timer was in a slice.
#[derive(Clone, Copy, Default, Debug)]
pub struct Lateness {
    /// Nanoseconds that 99 % of the wake-ups were not later than.
    pub p99: u64,
    /// The latest.
    pub worst: u64,
}

impl Lateness {
    /// Did the host stand still?
    #[must_use]
    pub const fn is_stall(&self) -> bool {
        self.worst > STALL
    }
}

/// The thread, until this is dropped.
#[derive(Debug)]
pub struct Stalls {
    late: Arc<Mutex<Vec<u64>>>,
    done: Arc<AtomicBool>,
    thread: Option<JoinHandle<io::Result<()>>>,
}

impl Stalls {
    /// Watches `core`.
    ///
    /// # Errors
    /// No thread, or no right to a real-time priority.
    pub fn watch(core: usize) -> io::Result<Self> {
        let (late, done) = (Arc::new(Mutex::new(Vec::with_capacity(MOST))), Arc::new(AtomicBool::new(false)));
        let (noted, ask) = (Arc::clone(&late), Arc::clone(&done));
        let work = move || {
            pin(core)?;
            schedule(rustix::thread::gettid(), Class::First(60))?;
            rustix::thread::set_current_timer_slack(std::num::NonZeroU64::new(1))?;
            let mut due = clock::monotonic();
            while !ask.load(Ordering::Relaxed) {
                due += PERIOD;
                let now = clock::monotonic();
                if now < due {
                    clock::sleep_microseconds((due - now) / 1000);
                }
                let lateness = clock::monotonic().saturating_sub(due);
                if lateness > PERIOD {
                    // Each stall once.
                    due += lateness;
                }
                let mut noted = noted.lock().unwrap_or_else(PoisonError::into_inner);
                if noted.len() < MOST {
                    noted.push(lateness);
                }
            }
            Ok(())
        };
        let thread = Some(std::thread::Builder::new().name("stalls".into()).spawn(work)?);
        Ok(Self { late, done, thread })
    }

    /// How late it was since it was asked last.
    #[must_use]
    pub fn take(&self) -> Lateness {
        let mut late = self.late.lock().unwrap_or_else(PoisonError::into_inner);
        late.sort_unstable();
        let found = Lateness { p99: quantile(&late, 0.99), worst: late.last().copied().unwrap_or(0) };
        late.clear();
        found
    }
}

impl Drop for Stalls {
    fn drop(&mut self) {
        self.done.store(true, Ordering::Relaxed);
        if let Some(thread) = self.thread.take() {
            // What it says no longer matters.
            let _ended = thread.join();
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_late_wake_up_is_a_stall() {
        assert!(!Lateness { p99: 10_000, worst: 900_000 }.is_stall());
        assert!(Lateness { p99: 10_000, worst: 4_000_000 }.is_stall());
    }
}
