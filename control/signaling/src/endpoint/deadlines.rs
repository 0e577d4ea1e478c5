//! Who is to be woken when.

use alloc::collections::BTreeSet;
use alloc::vec::Vec;

use duogate_channel::time::Instant;

/// Someone with a deadline.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Sleeper {
    /// A resource, by its serial number.
    Resource(u64),
    /// A leg, by its Call-ID.
    Leg(u128),
    /// A trunk's keeper, by its Call-ID.
    Peer(u128),
    /// Calls that wait for their trunk's pace.
    Pace,
    /// The wait for the next gateway.
    Recovery,
}

/// All deadlines in order; each sleeper has at most one.
#[derive(Debug, Default)]
pub(super) struct Deadlines {
    order: BTreeSet<(Instant, Sleeper)>,
}

impl Deadlines {
    /// Replaces a sleeper's deadline; `held` is where its owner keeps what is set here.
    pub(super) fn set(&mut self, sleeper: Sleeper, held: &mut Option<Instant>, deadline: Option<Instant>) {
        if *held == deadline {
            return;
        }
        if let Some(old) = *held {
            self.order.remove(&(old, sleeper));
        }
        if let Some(new) = deadline {
            self.order.insert((new, sleeper));
        }
        *held = deadline;
    }

    pub(super) fn next(&self) -> Option<Instant> {
        self.order.first().map(|(instant, _)| *instant)
    }

    /// All that are due. They stay in place until their owners set new ones.
    pub(super) fn due(&self, now: Instant) -> Vec<Sleeper> {
        self.order.iter().take_while(|(instant, _)| *instant <= now).map(|(_, sleeper)| *sleeper).collect()
    }
}
