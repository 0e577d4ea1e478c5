//! Places that are left alone for a while: those that said so (503 with Retry-After, RFC 3261 section 21.5.4), and
//! those that said nothing (RFC 3263 section 4.3).

use alloc::collections::BTreeMap;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::time::Instant;

/// Places that are remembered; when there are more, the one that rests the shortest is forgotten.
const MAX_RESTING: usize = 1_024;

/// The longest rest that a place may ask for.
const LONGEST: Duration = Duration::from_secs(600);

/// How long a place that did not answer comes last.
const UNHEARD: Duration = Duration::from_secs(60);

/// Why a place rests.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Why {
    /// It asked for it: nothing is sent there.
    Asked,
    /// Nothing was heard: others come first.
    Unheard,
}

/// All places that rest.
#[derive(Debug, Default)]
pub(super) struct Resting(BTreeMap<SocketAddr, (Instant, Why)>);

impl Resting {
    /// The place wants no request for that time.
    pub(super) fn asked(&mut self, now: Instant, place: SocketAddr, seconds: u32) {
        let rest = Duration::from_secs(seconds.into()).min(LONGEST);
        self.add(now, place, now + rest, Why::Asked);
    }

    /// The place did not answer.
    pub(super) fn unheard(&mut self, now: Instant, place: SocketAddr) {
        self.add(now, place, now + UNHEARD, Why::Unheard);
    }

    fn add(&mut self, now: Instant, place: SocketAddr, until: Instant, why: Why) {
        self.0.retain(|_, (until, _)| *until > now);
        if self.0.len() >= MAX_RESTING
            && let Some(first) = self.0.iter().min_by_key(|(_, (until, _))| *until).map(|(place, _)| *place)
        {
            self.0.remove(&first);
        }
        self.0.insert(place, (until, why));
    }

    /// The place has answered.
    pub(super) fn heard(&mut self, place: SocketAddr) {
        if self.0.get(&place).is_some_and(|(_, why)| *why == Why::Unheard) {
            self.0.remove(&place);
        }
    }

    fn why(&self, now: Instant, place: SocketAddr) -> Option<Why> {
        self.0.get(&place).filter(|(until, _)| *until > now).map(|(_, why)| *why)
    }

    /// May the place be asked?
    pub(super) fn may_ask(&self, now: Instant, place: SocketAddr) -> bool {
        self.why(now, place) != Some(Why::Asked)
    }

    /// Should others come first?
    pub(super) fn comes_last(&self, now: Instant, place: SocketAddr) -> bool {
        self.why(now, place).is_some()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(last: u8) -> SocketAddr {
        SocketAddr::from(([192, 0, 2, last], 5060))
    }

    #[test]
    fn rfc3261_21_5_4_a_place_rests_as_long_as_it_asked() {
        let mut resting = Resting::default();
        let now = Instant::from_nanoseconds(1);
        resting.asked(now, place(1), 30);
        assert!(!resting.may_ask(now + Duration::from_secs(29), place(1)));
        assert!(resting.may_ask(now + Duration::from_secs(30), place(1)));
        resting.asked(now, place(2), u32::MAX);
        assert!(resting.may_ask(now + LONGEST, place(2)), "nobody rests for ever");
    }

    #[test]
    fn rfc3263_4_3_a_silent_place_comes_last_until_it_is_heard() {
        let mut resting = Resting::default();
        let now = Instant::from_nanoseconds(1);
        resting.unheard(now, place(1));
        assert!(resting.may_ask(now, place(1)) && resting.comes_last(now, place(1)));
        resting.heard(place(1));
        assert!(!resting.comes_last(now, place(1)));
    }

    #[test]
    fn the_table_is_bounded() {
        let mut resting = Resting::default();
        let now = Instant::from_nanoseconds(1);
        for port in 1..3_000 {
            resting.asked(now, SocketAddr::from(([192, 0, 2, 1], port)), u32::from(port));
        }
        assert_eq!(resting.0.len(), MAX_RESTING);
    }
}
