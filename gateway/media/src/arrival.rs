//! What a party sends: which sender it is, where its sequence stands, and the statistics of it.

use duogate_channel::event::LegStatistics;
use duogate_channel::quality::Quality;
use duogate_channel::time::Instant;

use crate::path::{FlowCounts, FlowNumbers, Standing};

/// Largest step of the sequence number that is taken for loss (RFC 3550 A.1: MAX_DROPOUT).
const LARGEST_STEP: u16 = 3000;
/// How far back a packet may be and is still taken for late: the width of the window of packets seen.
const WINDOW: u16 = 64;
/// Largest step of the timestamp that needs no second look: 10 s at 8 kHz.
const LARGEST_TIMESTAMP_STEP: u32 = 80_000;
/// Nanoseconds of one sample at 8 kHz.
pub(crate) const SAMPLE_NANOSECONDS: u64 = 125_000;

/// Nanoseconds as samples, wrapping as RTP timestamps do.
#[inline]
pub(crate) const fn samples(nanoseconds: u64) -> u32 {
    ((nanoseconds / SAMPLE_NANOSECONDS) & 0xffff_ffff) as u32
}

/// Where a packet stands in its sender's sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Order {
    /// The first one of a sender, or of one that started anew.
    First,
    /// So many numbers after the highest before it; 1 if nothing is missing.
    Next(u16),
    /// So many numbers before the highest, and not there before.
    Late(u16),
    /// There before.
    Duplicate,
    /// Far from anything: not accepted until a second one follows it.
    Probation,
}

/// Follows the sender that a party's packets come from.
///
/// ```text
///            first packet                       step ≤ 3000: Next · back < 64: Late or Duplicate
///  (nobody) ──────────────> (sender, epoch 1) ──┐
///                             ^    │    ^ <─────┘
///       another SSRC: First,  │    │    │ the number after it, same SSRC: First, epoch + 1
///       epoch + 1             └────┤    │
///                                  └──> (sender, candidate): a number far away, or the SSRC before this one
/// ```
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Arrival {
    pub(crate) ssrc: u32,
    /// Counts senders and restarts, from 1; 0 while nobody has sent. Offsets made for one epoch hold for it only.
    pub(crate) epoch: u32,
    /// Bit n: the packet n before the highest was there.
    seen: u64,
    highest: u16,
    candidate: u16,
    has_candidate: bool,
    candidate_ssrc: u32,
    previous_ssrc: u32,
    /// Timestamp of the newest sound.
    timestamp: u32,
}

impl Arrival {
    /// Takes one packet's number.
    #[inline]
    pub(crate) fn take(&mut self, ssrc: u32, sequence: u16) -> Order {
        if ssrc != self.ssrc || self.epoch == 0 {
            return self.other_sender(ssrc, sequence);
        }
        let step = sequence.wrapping_sub(self.highest);
        if step.wrapping_sub(1) < LARGEST_STEP {
            self.highest = sequence;
            self.seen = if step < WINDOW { self.seen << step | 1 } else { 1 };
            self.has_candidate = false;
            return Order::Next(step);
        }
        let back = step.wrapping_neg();
        if back < WINDOW {
            let bit = 1 << back;
            if self.seen & bit != 0 {
                return Order::Duplicate;
            }
            self.seen |= bit;
            return Order::Late(back);
        }
        self.probation(ssrc, sequence)
    }

    /// A new sender is believed at once, because the source is known to be the party. The sender before this one
    /// is not: its stragglers must not tear the new one's stream.
    #[cold]
    fn other_sender(&mut self, ssrc: u32, sequence: u16) -> Order {
        if self.epoch > 1 && ssrc == self.previous_ssrc {
            return self.probation(ssrc, sequence);
        }
        self.restart(ssrc, sequence)
    }

    #[cold]
    fn probation(&mut self, ssrc: u32, sequence: u16) -> Order {
        if self.has_candidate && self.candidate_ssrc == ssrc && self.candidate == sequence {
            return self.restart(ssrc, sequence);
        }
        self.has_candidate = true;
        self.candidate_ssrc = ssrc;
        self.candidate = sequence.wrapping_add(1);
        Order::Probation
    }

    #[cold]
    fn restart(&mut self, ssrc: u32, sequence: u16) -> Order {
        if ssrc != self.ssrc {
            self.previous_ssrc = self.ssrc;
        }
        self.ssrc = ssrc;
        self.epoch = self.epoch.wrapping_add(1).max(1);
        self.highest = sequence;
        self.seen = 1;
        self.has_candidate = false;
        Order::First
    }

    /// Compares the timestamp of sound with the one before it. If it went back, or forward far beyond the time
    /// that has passed, the sender has set its clock: that begins a new epoch. `ticks` of its clock are 125 µs.
    #[inline]
    pub(crate) fn follow(&mut self, timestamp: u32, order: Order, waited: u64, ticks: u32) -> Order {
        let step = timestamp.wrapping_sub(self.timestamp);
        match order {
            Order::Next(_) if step >= LARGEST_TIMESTAMP_STEP => {
                self.clock_set(timestamp, step, (waited, ticks), order)
            }
            Order::Next(_) | Order::First => {
                self.timestamp = timestamp;
                order
            }
            Order::Late(_) | Order::Duplicate | Order::Probation => order,
        }
    }

    /// Where the sender stands.
    pub(crate) fn standing(&self) -> Standing {
        Standing { highest: self.highest, seen: self.seen, timestamp: self.timestamp, ..Standing::default() }
    }

    /// Takes over where somebody else has followed the same sender to.
    pub(crate) const fn absorb(&mut self, fresh: &FlowCounts, standing: &Standing) {
        (self.highest, self.seen, self.timestamp) = (standing.highest, standing.seen, standing.timestamp);
        self.has_candidate &= fresh.expected == 0;
    }

    /// Takes over a sender that somebody else has followed from the beginning.
    pub(crate) fn adopt(&mut self, ssrc: u32, standing: &Standing) {
        self.restart(ssrc, standing.highest);
        (self.seen, self.timestamp) = (standing.seen, standing.timestamp);
    }

    #[cold]
    fn clock_set(&mut self, timestamp: u32, step: u32, (waited, ticks): (u64, u32), order: Order) -> Order {
        self.timestamp = timestamp;
        let passed = waited / SAMPLE_NANOSECONDS * u64::from(ticks);
        if u64::from(step) <= passed + u64::from(LARGEST_TIMESTAMP_STEP) {
            return order;
        }
        self.restart(self.ssrc, self.highest)
    }
}

/// Figures of one direction towards us (RFC 3550 A.3 and A.8).
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Figures {
    /// When the last packet was accepted; zero if none was.
    pub(crate) last: Instant,
    received: u64,
    octets: u64,
    /// Packets that the numbers say were sent.
    expected: u64,
    pub(crate) refused: u64,
    first: Instant,
    transit: u32,
    /// Sixteen times the jitter in ticks of the sender's clock.
    jitter: u32,
    worst: u32,
    /// What had been expected and received before the sender that sends now.
    before: (u64, u64),
    /// Ticks of that clock in 125 µs; 0 stands for 1.
    pub(crate) ticks: u32,
}

impl Figures {
    /// Counts an accepted packet.
    #[inline]
    pub(crate) fn count(&mut self, now: Instant, order: Order, octets: usize) {
        self.received += 1;
        self.octets += octets as u64;
        if self.received == 1 {
            self.first = now;
        }
        self.last = now;
        match order {
            Order::First => {
                self.before = (self.expected, self.received - 1);
                self.expected += 1;
            }
            Order::Next(step) => self.expected += u64::from(step),
            Order::Late(_) | Order::Duplicate | Order::Probation => {}
        }
    }

    /// Takes the arrival of sound into the jitter. `first`: of this sender, so that there is nothing to compare.
    #[inline]
    pub(crate) fn measure(&mut self, now: Instant, timestamp: u32, first: bool, ticks: u32) {
        /// Above this a difference is no jitter: 10 s at 8 kHz.
        const LARGEST: u32 = 80_000;
        let transit = samples(now.nanoseconds()).wrapping_mul(ticks).wrapping_sub(timestamp);
        let difference = transit.wrapping_sub(self.transit).cast_signed().unsigned_abs();
        self.transit = transit;
        if !first && difference < LARGEST {
            // A.8's integer form: never below zero, because what is taken off is less than what is there.
            self.jitter = self.jitter + difference - ((self.jitter + 8) >> 4);
            self.worst = self.worst.max(self.jitter);
        }
    }

    /// Packets that the numbers say were sent, and packets that came, of all senders.
    pub(crate) const fn counts(&self) -> (u64, u64) {
        (self.expected, self.received)
    }

    /// The present sender's highest sequence number with its cycles, and how many of its packets are missing (RFC 3550
    /// A.3). `highest` is the number itself.
    pub(crate) fn extended(&self, highest: u16) -> (u32, i64) {
        let (expected, received) =
            (self.expected.wrapping_sub(self.before.0), self.received.wrapping_sub(self.before.1));
        // Counted from the first one; only its cycles matter.
        let behind_first = (expected.wrapping_sub(1) & 0xffff_ffff) as u32;
        let first = highest.wrapping_sub((behind_first & 0xffff) as u16);
        let extended = u32::from(first).wrapping_add(behind_first);
        (extended, expected.wrapping_sub(received).cast_signed())
    }

    /// Microseconds of so many sixteenths of a tick.
    fn microseconds(&self, jitter: u32) -> u32 {
        let exact = u64::from(jitter) * 125 / 16 / u64::from(self.ticks.max(1));
        u32::try_from(exact).unwrap_or(u32::MAX)
    }

    /// The jitter now, in microseconds.
    pub(crate) fn jitter_microseconds(&self) -> u32 {
        self.microseconds(self.jitter)
    }

    /// Transit time, jitter, and the largest jitter, as they go on.
    pub(crate) const fn timing(&self) -> (u32, u32, u32) {
        (self.transit, self.jitter, self.worst)
    }

    /// Takes in what somebody else has counted of the same sender.
    pub(crate) fn absorb(&mut self, fresh: &FlowCounts, numbers: &FlowNumbers) {
        if fresh.received == 0 {
            return;
        }
        if self.received == 0 {
            self.first = numbers.last;
        }
        self.received += u64::from(fresh.received);
        self.octets += fresh.octets;
        self.expected += u64::from(fresh.expected);
        self.last = numbers.last;
        let standing = &numbers.standing;
        (self.transit, self.jitter, self.worst) = (standing.transit, standing.jitter, standing.worst);
    }

    /// Goes on where somebody else has measured the same sender; what that one counted stays with it.
    pub(crate) fn adopt(&mut self, numbers: &FlowNumbers) {
        let standing = &numbers.standing;
        (self.transit, self.jitter, self.worst) = (standing.transit, standing.jitter, standing.worst);
        self.last = self.last.max(numbers.last);
        // The highest number that is there counts as the sender's first.
        self.before = (self.expected.wrapping_sub(1), self.received.wrapping_sub(1));
    }

    /// Packets that the numbers say are missing; negative if duplicates outnumber losses.
    pub(crate) const fn lost(&self) -> i64 {
        self.expected.wrapping_sub(self.received).cast_signed()
    }

    /// As reported, together with what was sent.
    pub(crate) fn statistics(&self, packets_sent: u64, octets_sent: u64) -> LegStatistics {
        LegStatistics {
            packets_received: self.received,
            octets_received: self.octets,
            packets_sent,
            octets_sent,
            packets_lost: self.lost(),
            packets_refused: self.refused,
            jitter_microseconds: self.microseconds(self.jitter),
            worst_jitter_microseconds: self.microseconds(self.worst),
            first_packet: self.first,
            last_packet: self.last,
            quality: Quality::default(),
        }
    }
}
