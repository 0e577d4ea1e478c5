//! How much strangers are answered: so many answers a second to one address, and so many to all of them. Beyond, their
//! requests are dropped, as a full socket would drop them; who means it asks again (RFC 3261 section 17.1.2.2).

use alloc::collections::BTreeMap;
use core::net::IpAddr;

use duogate_channel::time::Instant;

/// Answers a second to one address. A carrier that pings us, or that ends the calls of a node that was restarted, needs
/// fewer.
const TO_ONE: u32 = 200;

/// Answers a second to all: at 10 to 20 microseconds each, 2 to 4 % of a core.
const TO_ALL: u32 = 2_000;

/// Counts answers by the second. It never holds more addresses than answers were given in one.
#[derive(Debug, Default)]
pub(super) struct Strangers {
    second: u64,
    all: u32,
    each: BTreeMap<IpAddr, u32>,
}

impl Strangers {
    /// May one more request from there be answered?
    pub(super) fn may_be_answered(&mut self, now: Instant, source: IpAddr) -> bool {
        let second = now.nanoseconds() / 1_000_000_000;
        if second != self.second {
            (self.second, self.all) = (second, 0);
            self.each.clear();
        }
        if self.all >= TO_ALL {
            return false;
        }
        let own = self.each.entry(source).or_insert(0);
        if *own >= TO_ONE {
            return false;
        }
        *own += 1;
        self.all += 1;
        true
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use core::time::Duration;

    #[test]
    fn one_address_has_its_share_and_all_have_theirs() {
        let mut strangers = Strangers::default();
        let now = Instant::from_nanoseconds(5_000_000_000);
        let address = |last: u16| IpAddr::from([10, 0, last.to_be_bytes()[0], last.to_be_bytes()[1]]);
        let answered = |strangers: &mut Strangers, now, last, times: u32| {
            (0..times).filter(|_| strangers.may_be_answered(now, address(last))).count()
        };
        assert_eq!(answered(&mut strangers, now, 1, 1_000), 200);
        assert_eq!(answered(&mut strangers, now, 2, 100), 100, "another has its own");
        let many: usize = (3..5_000).map(|last| answered(&mut strangers, now, last, 1)).sum();
        assert_eq!(many, 1_700, "2,000 in all");
        assert_eq!(strangers.each.len(), 1_702);
        let later = now + Duration::from_secs(1);
        assert_eq!(answered(&mut strangers, later, 1, 1_000), 200, "and again in the next second");
        assert_eq!(strangers.each.len(), 1);
    }
}
