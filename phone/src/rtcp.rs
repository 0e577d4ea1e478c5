//! RTCP (RFC 3550 section 6) as a phone speaks it, on the port of RTP (RFC 5761): reports that say what was sent and what was
//! heard, the phone's name, and BYE.

use std::time::{Duration, Instant, SystemTime};

use crate::judge::Standing;

/// From report to report. RFC 3550 section 6.2 has five seconds; a phone whose calls last a few says more.
pub(crate) const INTERVAL: Duration = Duration::from_secs(1);

/// Seconds from 1900, where NTP begins, to 1970.
const NTP_TO_UNIX: u64 = 2_208_988_800;

const SENDER_REPORT: u8 = 200;
const RECEIVER_REPORT: u8 = 201;
const DESCRIPTION: u8 = 202;
const BYE: u8 = 203;

/// Octets of a report block.
const BLOCK: usize = 24;

/// What a phone said and was told by RTCP in its latest call.
#[derive(Clone, Copy, PartialEq, Debug, Default)]
pub struct Reports {
    /// Reports sent.
    pub sent: u64,
    /// Reports received.
    pub received: u64,
    /// The newest round trip that the peer's answers to our reports gave (section 6.4.1).
    pub round_trip: Option<Duration>,
    /// Of our packets, the part that the peer missed between its newest two reports, in 256ths.
    pub fraction_lost: Option<u8>,
    /// Our packets that the peer has missed in all.
    pub lost: Option<u32>,
    /// The jitter of our packets at the peer, in ticks of the codec's clock.
    pub jitter: Option<u32>,
    /// How far the NTP and RTP times in the peer's sender reports were from the packets that it sent, at worst. The two
    /// hosts' clocks must be one.
    pub mapping_error: Option<Duration>,
    /// Packets and octets that the peer says it has sent.
    pub told_sent: Option<(u32, u32)>,
    /// The peer's canonical name.
    pub named: bool,
    /// The peer said that it leaves.
    pub bye: bool,
}

/// What is known of the stream that a phone sends.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sent {
    /// The RTP time now.
    pub(crate) timestamp: u32,
    pub(crate) packets: u64,
    pub(crate) octets: u64,
}

/// One phone's side of RTCP in a call.
#[derive(Clone, Debug)]
pub(crate) struct Reporter {
    pub(crate) ssrc: u32,
    due: Instant,
    /// Packets sent when the last report was.
    packets: u64,
    /// What had been expected and had come when the last report was sent.
    before: (u64, u64),
    /// Whose sender report came last, the middle of its NTP time, and when.
    heard: Option<(u32, u32, Instant)>,
    pub(crate) told: Reports,
}

impl Reporter {
    pub(crate) fn new(now: Instant, ssrc: u32) -> Self {
        let told = Reports::default();
        Self { ssrc, due: now + INTERVAL / 2, packets: 0, before: (0, 0), heard: None, told }
    }

    pub(crate) const fn due(&self) -> Instant {
        self.due
    }

    /// A compound packet (section 6.1): a report, the name, and BYE if it is the last. The next one is due a while after.
    pub(crate) fn report(
        &mut self,
        now: Instant,
        sent: Option<Sent>,
        standing: Option<Standing>,
        last: bool,
    ) -> Vec<u8> {
        self.due = now + INTERVAL;
        self.told.sent += 1;
        let spoken = sent.filter(|sent| sent.packets > self.packets);
        let count = u8::from(standing.is_some());
        let mut packet =
            vec![0x80 | count, if spoken.is_some() { SENDER_REPORT } else { RECEIVER_REPORT }, 0, 0];
        packet.extend(self.ssrc.to_be_bytes());
        if let Some(Sent { timestamp, packets, octets }) = spoken {
            self.packets = packets;
            packet.extend(ntp(SystemTime::now()).to_be_bytes());
            packet.extend(timestamp.to_be_bytes());
            packet.extend(low(packets).to_be_bytes());
            packet.extend(low(octets).to_be_bytes());
        }
        if let Some(standing) = standing {
            self.block(now, standing, &mut packet);
        }
        seal(&mut packet, 0);
        let start = packet.len();
        packet.extend([0x81, DESCRIPTION, 0, 0]);
        packet.extend(self.ssrc.to_be_bytes());
        // CNAME (section 6.5.1), and at least one null octet.
        packet.extend([1, 5]);
        packet.extend(b"phone");
        packet.push(0);
        while !packet.len().is_multiple_of(4) {
            packet.push(0);
        }
        seal(&mut packet, start);
        if last {
            let start = packet.len();
            packet.extend([0x81, BYE, 0, 0]);
            packet.extend(self.ssrc.to_be_bytes());
            seal(&mut packet, start);
        }
        packet
    }

    /// What was heard of a stream (section 6.4.1, appendix A.3).
    fn block(&mut self, now: Instant, standing: Standing, packet: &mut Vec<u8>) {
        let Standing { ssrc, highest, expected, received, jitter, .. } = standing;
        let (of, came) = (expected.saturating_sub(self.before.0), received.saturating_sub(self.before.1));
        self.before = (expected, received);
        let missed = of.saturating_sub(came);
        let fraction = (missed * 256).checked_div(of).map_or(0, |part| u8::try_from(part).unwrap_or(u8::MAX));
        let lost = low(expected.saturating_sub(received)).min(0x7f_ffff);
        let of_theirs = self.heard.filter(|(theirs, ..)| *theirs == ssrc);
        let (last, since) =
            of_theirs.map_or((0, 0), |(_, middle, at)| (middle, short(now.duration_since(at))));
        packet.extend(ssrc.to_be_bytes());
        packet.extend((u32::from(fraction) << 24 | lost).to_be_bytes());
        packet.extend(highest.to_be_bytes());
        packet.extend(jitter.to_be_bytes());
        packet.extend(last.to_be_bytes());
        packet.extend(since.to_be_bytes());
    }

    /// Reads what the peer says. What is ill-formed is passed over from there on.
    pub(crate) fn take(&mut self, now: Instant, compound: &[u8], standing: Option<Standing>) {
        let mut rest = compound;
        while let &[first, kind, high, low, ..] = rest {
            let length = (usize::from(u16::from_be_bytes([high, low])) + 1) * 4;
            let Some((part, more)) = rest.split_at_checked(length) else { return };
            rest = more;
            match kind {
                SENDER_REPORT => self.sender_report(now, part, usize::from(first & 0x1f), standing),
                RECEIVER_REPORT => self.blocks(part.get(8..).unwrap_or_default(), usize::from(first & 0x1f)),
                DESCRIPTION => self.told.named |= part.get(8) == Some(&1) && part.get(9) > Some(&0),
                BYE => self.told.bye = true,
                _ => {}
            }
            self.told.received += u64::from(matches!(kind, SENDER_REPORT | RECEIVER_REPORT));
        }
    }

    fn sender_report(&mut self, now: Instant, part: &[u8], count: usize, standing: Option<Standing>) {
        let Some((head, blocks)) = part.split_at_checked(28) else { return };
        let ssrc = word(head, 4);
        self.heard = Some((ssrc, word(head, 8) << 16 | word(head, 12) >> 16, now));
        self.told.told_sent = Some((word(head, 20), word(head, 24)));
        if let Some(standing) = standing.filter(|standing| standing.ssrc == ssrc) {
            let said = u64::from(word(head, 8)) << 32 | u64::from(word(head, 12));
            let error = mapping_error(now, said, word(head, 16), standing);
            self.told.mapping_error = self.told.mapping_error.max(Some(error));
        }
        self.blocks(blocks, count);
    }

    fn blocks(&mut self, blocks: &[u8], count: usize) {
        let ours = blocks.chunks_exact(BLOCK).take(count).find(|block| word(block, 0) == self.ssrc);
        let Some(block) = ours else { return };
        self.told.fraction_lost = Some(block[4]);
        self.told.lost = Some(word(block, 4) & 0xff_ffff);
        self.told.jitter = Some(word(block, 12));
        let (last, since) = (word(block, 16), word(block, 20));
        if last > 0 {
            let now = low(ntp(SystemTime::now()) >> 16);
            // Clocks of one host may differ by a rounding.
            let trip = now.wrapping_sub(last).wrapping_sub(since).cast_signed().max(0);
            self.told.round_trip = Some(Duration::from_secs(1) * trip.unsigned_abs() / 0x1_0000);
        }
    }
}

/// How far a sender report's RTP time is from that which the stream's latest packet gives for the report's NTP time.
fn mapping_error(now: Instant, said: u64, timestamp: u32, standing: Standing) -> Duration {
    // Both in ticks before now.
    let rate = i64::from(standing.rate);
    let ticks = |time: Duration| i64::try_from(time.as_micros()).unwrap_or(i64::MAX) * rate / 1_000_000;
    let report = i64::from(low((ntp(SystemTime::now()) >> 16).wrapping_sub(said >> 16)).cast_signed()) * rate
        / 0x1_0000;
    let packet = ticks(now.saturating_duration_since(standing.at));
    let ahead = i64::from(timestamp.wrapping_sub(standing.timestamp).cast_signed());
    let error = (ahead - (packet - report)).unsigned_abs();
    Duration::from_micros(error * 1_000_000 / u64::from(standing.rate))
}

/// A 64-bit NTP time: seconds since 1900, and 2^32nds of a second.
fn ntp(time: SystemTime) -> u64 {
    let since = time.duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    let fraction = (u64::from(since.subsec_nanos()) << 32) / 1_000_000_000;
    ((since.as_secs() + NTP_TO_UNIX) << 32) | fraction
}

/// In 65,536ths of a second.
fn short(time: Duration) -> u32 {
    low(u64::try_from(time.as_micros()).unwrap_or(u64::MAX).saturating_mul(0x1_0000) / 1_000_000)
}

/// The lower half.
const fn low(number: u64) -> u32 {
    (number & 0xffff_ffff) as u32
}

fn word(part: &[u8], at: usize) -> u32 {
    part.get(at..at + 4).and_then(|word| word.try_into().ok()).map_or(0, u32::from_be_bytes)
}

/// Writes the length of the packet that begins at `start` and ends with the compound so far: words less one.
fn seal(compound: &mut [u8], start: usize) {
    let words = (compound.len() - start) / 4 - 1;
    let [high, low] = u16::try_from(words).unwrap_or(u16::MAX).to_be_bytes();
    (compound[start + 2], compound[start + 3]) = (high, low);
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn standing(now: Instant) -> Standing {
        Standing {
            ssrc: 2,
            highest: 0x1_0003,
            expected: 100,
            received: 90,
            jitter: 7,
            timestamp: 8_000,
            at: now,
            rate: 8_000,
        }
    }

    #[test]
    fn two_reporters_understand_each_other() {
        let now = Instant::now();
        let (mut one, mut two) = (Reporter::new(now, 1), Reporter::new(now, 2));
        let sent = Sent { timestamp: 8_000, packets: 100, octets: 16_000 };
        // Two reports what it sent; one answers, and has missed ten of a hundred.
        one.take(now, &two.report(now, Some(sent), None, false), Some(standing(now)));
        assert_eq!((one.told.told_sent, one.told.named, one.told.bye), (Some((100, 16_000)), true, false));
        assert!(one.told.mapping_error.is_some_and(|error| error < Duration::from_millis(50)), "{one:?}");
        two.take(now, &one.report(now, None, Some(standing(now)), true), None);
        let Reports { fraction_lost, lost, jitter, round_trip, bye, .. } = two.told;
        assert_eq!((fraction_lost, lost, jitter, bye), (Some(25), Some(10), Some(7), true));
        assert!(round_trip.is_some_and(|trip| trip < Duration::from_secs(1)), "{round_trip:?}");
        assert_eq!((one.told.sent, one.told.received, two.told.received), (1, 1, 1));
        // A time that is off by a second is told as such.
        let late = Sent { timestamp: 16_000, packets: 101, ..sent };
        one.take(now, &two.report(now, Some(late), None, false), Some(standing(now)));
        assert!(one.told.mapping_error.is_some_and(|error| error > Duration::from_millis(900)), "{one:?}");
        // Who has sent nothing since says only what it hears.
        assert_eq!(two.report(now, Some(late), None, false)[1], RECEIVER_REPORT);
    }

    proptest! {
        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let now = Instant::now();
            Reporter::new(now, 1).take(now, &bytes, Some(standing(now)));
        }
    }
}
