//! Packet indices: sequence numbers that do not wrap (RFC 3711 sections 3.3.1 and 3.3.2).

use duogate_channel::srtp::MOST_INDEX;

use crate::layout::MOST_RTCP_INDEX;

/// Packets before the newest that are remembered, the newest included. RFC 3711 wants 64 at least; these are 2.5 s
/// of telephony.
pub(crate) const WINDOW: u64 = 128;

/// The index that a sequence number has, with `highest` as the newest before it; `None` if there is none, before the
/// first or beyond the last.
#[inline]
pub(crate) const fn guess(highest: u64, sequence: u16) -> Option<u64> {
    let (rollovers, last) = (highest >> 16, (highest & 0xffff).cast_signed());
    let ahead = sequence as i64 - last;
    let rollovers = if ahead > 0x8000 {
        match rollovers.checked_sub(1) {
            Some(before) => before,
            None => return None,
        }
    } else if ahead < -0x8000 {
        rollovers + 1
    } else {
        rollovers
    };
    let index = rollovers << 16 | sequence as u64;
    if index <= MOST_INDEX { Some(index) } else { None }
}

/// Which packets of a stream have been there.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Seen {
    pub(crate) highest: u64,
    /// Bit n: the packet n before the highest was there.
    window: u128,
}

impl Seen {
    /// A stream whose first packet is this one.
    pub(crate) const fn first(index: u64) -> Self {
        Self { highest: index, window: 1 }
    }

    /// A stream that was heard up to here by somebody else: which of its packets, nobody knows any more.
    pub(crate) const fn up_to(index: u64) -> Self {
        Self { highest: index, window: u128::MAX }
    }

    /// Has it not been there, as far as one remembers?
    #[inline]
    pub(crate) const fn is_new(&self, index: u64) -> bool {
        match self.highest.checked_sub(index) {
            None => true,
            Some(back) => back < WINDOW && self.window >> back & 1 == 0,
        }
    }

    /// It has been there.
    #[inline]
    pub(crate) const fn take(&mut self, index: u64) {
        match index.checked_sub(self.highest) {
            Some(step) if step > 0 => {
                self.window = if step < WINDOW { self.window << step | 1 } else { 1 };
                self.highest = index;
            }
            _ => self.window |= 1 << (self.highest - index),
        }
    }
}

/// The index of our next SRTCP packet. It starts at 1, and never wraps.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RtcpIndex(u32);

impl Default for RtcpIndex {
    fn default() -> Self {
        Self(1)
    }
}

impl RtcpIndex {
    pub(crate) fn take(&mut self) -> Option<u32> {
        let index = self.0;
        (index <= MOST_RTCP_INDEX).then(|| {
            self.0 += 1;
            index
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn rfc3711_3_3_1_an_index_follows_its_sequence_number_over_every_wrap() {
        for (highest, sequence, index) in [
            (0, 1, Some(1)),
            (0xfffe, 0xffff, Some(0xffff)),
            (0xffff, 0, Some(0x1_0000)),
            (0xffff, 2, Some(0x1_0002)),
            (0x1_0002, 0xffff, Some(0xffff)),
            (0x1_0000, 0x8000, Some(0x1_8000)),
            (0x5, 0xffff, None),
            (MOST_INDEX, 0xfffe, Some(MOST_INDEX - 1)),
            (MOST_INDEX, 0, None),
        ] {
            assert_eq!(guess(highest, sequence), index, "{highest:x} {sequence:x}");
        }
    }

    #[test]
    fn rfc3711_3_3_2_a_packet_is_taken_once_and_not_when_it_is_too_old() {
        let mut seen = Seen::first(1_000);
        assert!(!seen.is_new(1_000) && seen.is_new(999) && seen.is_new(1_000 - WINDOW + 1));
        assert!(!seen.is_new(1_000 - WINDOW));
        seen.take(999);
        assert!(!seen.is_new(999));
        seen.take(1_100);
        assert!(!seen.is_new(999) && !seen.is_new(1_000) && seen.is_new(1_099));
        seen.take(5_000);
        assert!(!seen.is_new(1_100) && seen.is_new(4_999));
    }

    #[test]
    fn nothing_of_what_somebody_else_heard_is_taken_again() {
        let seen = Seen::up_to(70_000);
        assert!(!(60_000..=70_000).any(|index| seen.is_new(index)));
        assert!(seen.is_new(70_001));
    }

    #[test]
    fn the_last_report_of_a_key_is_the_last() {
        let mut index = RtcpIndex(MOST_RTCP_INDEX);
        assert_eq!(index.take(), Some(MOST_RTCP_INDEX));
        assert_eq!(index.take(), None);
    }
}
