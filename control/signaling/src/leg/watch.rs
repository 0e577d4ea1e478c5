//! The session timer of an answered call (RFC 4028), as a table.
//!
//! ```text
//!          Agreed, the party refreshes            Agreed, we refresh
//!   [Off] ------------------------> [Theirs]  <------------------> [Ours] <----------+
//!     ^                                |                             |  at: Refresh  |
//!     +---- NoTimer (from any) --------+                             v               | Later
//!                                      | until: Expired          [Asking] -----------+
//!                                      v                             | until: Expired
//!                                    [Off] <-------------------------+
//! ```

use core::time::Duration;

use duogate_channel::time::Instant;

/// The shortest interval that anyone may ask of us, and the least that we keep (RFC 4028 section 5).
pub(crate) const MIN_SE: u32 = 90;

/// The longest interval that we go along with: a day.
const MAX_SE: u32 = 86_400;

/// How much before its end a session counts as over, at most (RFC 4028 section 10).
const MARGIN: u32 = 32;

/// The session interval that we ask for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SessionInterval {
    /// `Session-Expires`, in seconds, 90 at least.
    pub seconds: u32,
}

/// How an answered dialog is kept alive (RFC 4028).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Refresh {
    /// The interval in force, in seconds.
    pub seconds: u32,
    /// Is it ours to refresh?
    pub by_us: bool,
    /// May that be done by UPDATE?
    pub by_update: bool,
}

/// Who has to refresh the session, and until when.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub(crate) enum Watch {
    /// No interval is in force.
    #[default]
    Off,
    /// The party refreshes; without it the session is over then.
    Theirs { until: Instant },
    /// We refresh at `at`.
    Ours { at: Instant, until: Instant },
    /// Our refresh is under way.
    Asking { until: Instant },
}

/// What time has brought.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Due {
    /// Nothing yet.
    Nothing,
    /// Refresh the session.
    Refresh,
    /// Nobody has refreshed it: it is over.
    Expired,
}

impl Watch {
    /// Both sides have agreed on an interval.
    pub(crate) fn agreed(now: Instant, seconds: u32, by_us: bool) -> Self {
        let seconds = seconds.clamp(MIN_SE, MAX_SE);
        let span = |seconds: u32| Duration::from_secs(seconds.into());
        let until = now + span(seconds);
        if by_us {
            // Section 10: at half of it.
            Self::Ours { at: now + span(seconds) / 2, until }
        } else {
            Self::Theirs { until: now + span(seconds - MARGIN.min(seconds / 3)) }
        }
    }

    /// The refresh under way is to be tried again after a while, unless the session ends before.
    pub(crate) fn later(self, now: Instant, after: Duration) -> Self {
        match self {
            Self::Asking { until } => Self::Ours { at: now + after, until },
            Self::Off | Self::Theirs { .. } | Self::Ours { .. } => self,
        }
    }

    /// When to look again.
    pub(crate) fn deadline(self) -> Option<Instant> {
        match self {
            Self::Off => None,
            Self::Theirs { until } | Self::Asking { until } => Some(until),
            Self::Ours { at, until } => Some(at.min(until)),
        }
    }

    /// Time has passed.
    pub(crate) fn tick(&mut self, now: Instant) -> Due {
        let (next, due) = match *self {
            Self::Theirs { until } | Self::Asking { until } | Self::Ours { until, .. } if until <= now => {
                (Self::Off, Due::Expired)
            }
            Self::Ours { at, until } if at <= now => (Self::Asking { until }, Due::Refresh),
            Self::Off | Self::Theirs { .. } | Self::Ours { .. } | Self::Asking { .. } => {
                (*self, Due::Nothing)
            }
        };
        *self = next;
        due
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(seconds: u64) -> Instant {
        Instant::from_nanoseconds(seconds * 1_000_000_000)
    }

    #[test]
    fn rfc4028_10_the_refresher_refreshes_at_half_of_the_interval() {
        let mut watch = Watch::agreed(at(0), 1800, true);
        assert_eq!(watch.deadline(), Some(at(900)));
        assert_eq!(watch.tick(at(899)), Due::Nothing);
        assert_eq!(watch.tick(at(900)), Due::Refresh);
        assert_eq!((watch, watch.tick(at(1799))), (Watch::Asking { until: at(1800) }, Due::Nothing));
        assert_eq!((watch.tick(at(1800)), watch), (Due::Expired, Watch::Off));
    }

    #[test]
    fn rfc4028_10_the_other_side_waits_until_shortly_before_the_end() {
        for (interval, end) in [(1800, 1768), (90, 60)] {
            let mut watch = Watch::agreed(at(0), interval, false);
            assert_eq!(watch.tick(at(end - 1)), Due::Nothing);
            assert_eq!(watch.tick(at(end)), Due::Expired, "{interval}");
        }
    }

    #[test]
    fn a_postponed_refresh_comes_later_but_not_after_the_end() {
        let mut watch = Watch::agreed(at(0), 90, true);
        assert_eq!(watch.tick(at(45)), Due::Refresh);
        watch = watch.later(at(46), Duration::from_secs(3));
        assert_eq!(watch.deadline(), Some(at(49)));
        assert_eq!(watch.tick(at(49)), Due::Refresh);
        watch = watch.later(at(50), Duration::from_secs(300));
        assert_eq!(watch.tick(at(90)), Due::Expired);
    }

    #[test]
    fn an_interval_of_a_stranger_is_neither_too_short_nor_endless() {
        assert_eq!(Watch::agreed(at(0), 1, true).deadline(), Some(at(45)));
        assert_eq!(Watch::agreed(at(0), u32::MAX, true).deadline(), Some(at(43_200)));
    }
}
