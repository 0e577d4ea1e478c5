//! Time, as the shell hands it in with every call.

use duogate_channel::time::{Instant, UnixTime};

/// One reading of both clocks: deadlines are counted on the monotonic one, records carry the other.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Now {
    /// The monotonic clock.
    pub instant: Instant,
    /// The wall clock. It may step; nothing is ever subtracted from it.
    pub unix: UnixTime,
}
