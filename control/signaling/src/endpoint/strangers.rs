//! How much those are answered who are in no call of ours: so many answers a second to one address, and so many to all of
//! them. Beyond, their requests are dropped, as a full socket would drop them; who means it asks again (RFC 3261 section
//! 17.1.2.2).
//!
//! What trunks ask, their OPTIONS above all, comes out of an allowance that nobody else uses up: however many addresses a
//! flood claims to come from, a trunk that asks whether we are there is answered. Whoever forges the address of a trunk
//! takes no more than that address's own share.

use alloc::collections::{BTreeMap, BTreeSet, VecDeque};
use core::net::IpAddr;

use duogate_channel::time::Instant;

/// Answers a second to one address. A carrier that pings us, or that ends the calls of a node that was restarted, needs
/// fewer.
const TO_ONE: u32 = 200;

/// Answers a second to all strangers: at 10 to 20 microseconds each, 2 to 4 % of a core. And once more to all trunks.
const TO_ALL: u32 = 2_000;

/// Addresses of trunks that are known by looking their names up; the one that was found first gives way.
const FOUND: usize = 256;

/// Who asks.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Asker {
    Stranger,
    Trunk,
}

/// Counts answers by the second. It never holds more addresses than answers were given in one.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    second: u64,
    /// To strangers and to trunks.
    all: [u32; 2],
    each: BTreeMap<IpAddr, u32>,
    /// Addresses of trunks, as the configuration has them.
    trunks: BTreeSet<IpAddr>,
    /// The same, as their names were found.
    found: VecDeque<IpAddr>,
}

impl Strangers {
    /// These are the trunks' addresses from now on. What was found for names is forgotten.
    pub(super) fn know(&mut self, trunks: impl Iterator<Item = IpAddr>) {
        self.trunks = trunks.collect();
        self.found.clear();
    }

    /// A trunk is at this address, too.
    pub(super) fn found(&mut self, address: IpAddr) {
        if self.trunks.contains(&address) || self.found.contains(&address) {
            return;
        }
        if self.found.len() >= FOUND {
            self.found.pop_front();
        }
        self.found.push_back(address);
    }

    fn asker(&self, source: IpAddr) -> Asker {
        let trunk = self.trunks.contains(&source) || self.found.contains(&source);
        if trunk { Asker::Trunk } else { Asker::Stranger }
    }

    /// May one more request from there be answered?
    pub(super) fn may_be_answered(&mut self, now: Instant, source: IpAddr) -> bool {
        let second = now.nanoseconds() / 1_000_000_000;
        if second != self.second {
            (self.second, self.all) = (second, [0; 2]);
            self.each.clear();
        }
        let asker = self.asker(source);
        let all = &mut self.all[asker as usize];
        if *all >= TO_ALL {
            return false;
        }
        let own = self.each.entry(source).or_insert(0);
        if *own >= TO_ONE {
            return false;
        }
        *own += 1;
        *all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    const NOW: Instant = Instant::from_nanoseconds(5_000_000_000);

    fn address(last: u16) -> IpAddr {
        IpAddr::from([10, 0, last.to_be_bytes()[0], last.to_be_bytes()[1]])
    }

    fn answered(strangers: &mut Strangers, now: Instant, last: u16, times: u32) -> usize {
        (0..times).filter(|_| strangers.may_be_answered(now, address(last))).count()
    }

    #[test]
    fn one_address_has_its_share_and_all_have_theirs() {
        let mut strangers = Strangers::default();
        assert_eq!(answered(&mut strangers, NOW, 1, 1_000), 200);
        assert_eq!(answered(&mut strangers, NOW, 2, 100), 100, "another has its own");
        let many: usize = (3..5_000).map(|last| answered(&mut strangers, NOW, last, 1)).sum();
        assert_eq!(many, 1_700, "2,000 in all");
        assert_eq!(strangers.each.len(), 1_702);
        let later = NOW + Duration::from_secs(1);
        assert_eq!(answered(&mut strangers, later, 1, 1_000), 200, "and again in the next second");
        assert_eq!(strangers.each.len(), 1);
    }

    #[test]
    fn trunks_are_answered_whatever_strangers_ask() {
        let mut strangers = Strangers::default();
        strangers.know([address(1)].into_iter());
        strangers.found(address(2));
        for last in 10..5_000 {
            answered(&mut strangers, NOW, last, 1);
        }
        assert_eq!(answered(&mut strangers, NOW, 9, 1), 0, "a stranger comes too late");
        assert_eq!(answered(&mut strangers, NOW, 1, 1_000), 200);
        assert_eq!(answered(&mut strangers, NOW, 2, 1_000), 200, "one that was looked up, too");
        strangers.know([address(3)].into_iter());
        let later = NOW + Duration::from_secs(1);
        for last in 10..5_000 {
            answered(&mut strangers, later, last, 1);
        }
        let shares = [1, 2, 3].map(|last| answered(&mut strangers, later, last, 1));
        assert_eq!(shares, [0, 0, 1], "who is no trunk any more is a stranger");
    }

    #[test]
    fn trunks_have_an_allowance_of_their_own_and_no_more_and_few_addresses_are_remembered() {
        let mut strangers = Strangers::default();
        (0..1_000).for_each(|last| strangers.found(address(last)));
        assert_eq!(strangers.found.len(), 256);
        let all: usize = (0..1_000).map(|last| answered(&mut strangers, NOW, last, 100)).sum();
        assert_eq!(all, 4_000);
        assert_eq!(answered(&mut strangers, NOW, 5_000, 1), 0);
    }
}
