//! The time line of one recording: what each party says is placed where it was said.
//!
//! Time comes from two clocks: a packet's arrival says roughly where it belongs, the sender's RTP timestamp says
//! exactly how far it is from the packet before. A party's first packet is placed where it arrived, the next ones
//! by their timestamps, as long as that stays near their arrival. So gaps become silence, reordered packets
//! fall into their places, jitter does no harm; and where the two clocks part (a sender's clock is set or runs
//! wrong, a new sender), the party's line is put back to the arrival, and never far into future or past. What little
//! a sender's clock differs from ours is made good as it grows ([`Drift`]), so the two lines stay side by side.

use alloc::boxed::Box;

use duogate_channel::event::Track;
use duogate_channel::g711;
use duogate_channel::sound::{Codec, RecordHold};
use duogate_channel::time::Instant;

use crate::arrival::{Order, SAMPLE_NANOSECONDS};
use crate::block::{BLOCK_SAMPLES, Block, Take, Tap};
use crate::drift::Drift;
use crate::recordings::Beginning;

/// How long a packet may be late and still find its place: 150 ms, of which 60 are for reordering.
const LATE: i64 = 1200;
/// How far a party's line may run ahead of arrival: 100 ms.
const AHEAD: i64 = 800;
/// A gap so short that it comes from moving the line, not from a missing packet: 1 ms.
const SEAM: usize = 8;
const SEAM_SAMPLES: i64 = SEAM.cast_signed() as i64;
/// Blocks that are open at the same time: LATE + AHEAD + 20 ms of a packet touch at most four of 100 ms.
const PLACES: usize = 4;
const OPEN: i64 = PLACES.cast_signed() as i64;
const SAMPLES_A_MILLISECOND: i64 = 8;
const BLOCK: i64 = BLOCK_SAMPLES.cast_signed() as i64;

/// One party's line.
#[derive(Clone, Copy, Debug)]
struct Lane {
    codec: Codec,
    /// The sender for which the reference holds; 0 for none.
    epoch: u32,
    /// Timestamp and place of the newest packet.
    timestamp: u32,
    position: i64,
    /// End of what has been placed.
    end: i64,
    drift: Drift,
    /// Samples that have been placed.
    placed: i64,
    gaps: u32,
    /// The newest gap: where it begins, and how much of it is still one.
    gap: (i64, i64),
}

impl Lane {
    const fn new(codec: Codec) -> Self {
        // Laid anew by the first packet.
        let drift = Drift::laid(0);
        Self { codec, epoch: 0, timestamp: 0, position: 0, end: 0, drift, placed: 0, gaps: 0, gap: (0, 0) }
    }

    /// Notes that `count` samples were placed at `position`, where all before `end` had its place already.
    fn note(&mut self, position: i64, count: i64, end: i64) {
        let (begin, left) = self.gap;
        if position > end + SEAM_SAMPLES && self.placed > 0 {
            self.gaps = self.gaps.saturating_add(1);
            self.gap = (end, position - end);
        } else if position < end && left > 0 && position >= begin {
            // A packet that comes late fills the gap that it has left.
            self.gap.1 = left - count;
            if self.gap.1 <= SEAM_SAMPLES {
                self.gap.1 = 0;
                self.gaps = self.gaps.saturating_sub(1);
            }
        }
        self.placed += count;
    }
}

#[derive(Debug)]
enum Open {
    /// Nobody has spoken in it.
    Untouched,
    /// Somebody has, but the pool was empty.
    Lost,
    Block(Box<Block>),
}

/// What one party said in one packet.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Said<'a> {
    /// 0 for party 1, 1 for party 2.
    pub(crate) party: usize,
    pub(crate) now: Instant,
    pub(crate) epoch: u32,
    pub(crate) order: Order,
    pub(crate) timestamp: u32,
    pub(crate) codec: Codec,
    pub(crate) payload: &'a [u8],
}

/// One recording that runs.
#[derive(Debug)]
pub(crate) struct Reel {
    pub(crate) take: Take,
    started: Instant,
    lanes: [Lane; 2],
    /// Block n lies in place n modulo OPEN, for n from `first` on.
    open: [Open; PLACES],
    first: i64,
    /// Blocks left out because the pool was empty.
    lost: u32,
    hold: RecordHold,
    /// It pauses, since then.
    paused: Option<Instant>,
}

impl Reel {
    pub(crate) fn new(take: Take, beginning: &Beginning) -> Self {
        Self {
            take,
            started: beginning.now,
            lanes: beginning.codecs.map(Lane::new),
            open: [const { Open::Untouched }; PLACES],
            first: 0,
            lost: 0,
            hold: beginning.hold,
            paused: None,
        }
    }

    /// Samples from the start to `now`, without pauses.
    pub(crate) fn position_at(&self, now: Instant) -> i64 {
        let now = self.paused.unwrap_or(now);
        let samples = now.nanoseconds().saturating_sub(self.started.nanoseconds()) / SAMPLE_NANOSECONDS;
        samples.cast_signed()
    }

    /// One party holds the other, or no longer does: where it is wanted so, that time is left out.
    pub(crate) fn hold(&mut self, now: Instant, held: bool) {
        match (self.hold, held, self.paused) {
            (RecordHold::Pause, true, None) => self.paused = Some(now),
            (RecordHold::Pause, false, Some(since)) => {
                // As if it had begun later by the pause. Both lines are laid anew, by arrival.
                let pause = now.nanoseconds().saturating_sub(since.nanoseconds());
                self.started = Instant::from_nanoseconds(self.started.nanoseconds() + pause);
                self.paused = None;
                self.lanes.iter_mut().for_each(|lane| lane.epoch = 0);
            }
            (RecordHold::Silence, ..)
            | (RecordHold::Pause, true, Some(_))
            | (RecordHold::Pause, false, None) => {}
        }
    }

    /// How far anybody has been heard, in samples.
    pub(crate) fn heard(&self) -> i64 {
        self.lanes[0].end.max(self.lanes[1].end)
    }

    /// What there is of each party in a recording of so many samples; what was lost is not known here.
    pub(crate) fn tracks(&self, samples: i64) -> [Track; 2] {
        [0, 1].map(|party| {
            let lane = &self.lanes[party];
            let silent = (samples - lane.placed).max(0) / SAMPLES_A_MILLISECOND;
            let silent_milliseconds = u32::try_from(silent).unwrap_or(u32::MAX);
            Track { lost: 0, gaps: lane.gaps, silent_milliseconds }
        })
    }

    /// Places what was said. False if it came too late for its place.
    pub(crate) fn place(&mut self, said: &Said<'_>, tap: &mut impl Tap) -> bool {
        if self.paused.is_some() {
            return true;
        }
        let arrived = self.position_at(said.now);
        let end = self.lanes[said.party].end;
        let Some(position) = self.position_of(said, arrived) else { return false };
        self.seal_before((arrived - LATE).div_euclid(BLOCK), tap);
        // Where the line was moved a few samples on, the packet's first ones sound twice: a gap would click.
        if let Some(seam) = usize::try_from(position - end).ok().filter(|seam| (1..=SEAM).contains(seam)) {
            let first = &said.payload[..said.payload.len().min(seam)];
            self.write(&Said { payload: first, ..*said }, end, tap);
        }
        let placed = self.write(said, position, tap);
        if placed {
            self.lanes[said.party].note(position, samples(said.payload.len()), end);
        }
        placed
    }

    /// Where a packet belongs; `None` if nowhere.
    fn position_of(&mut self, said: &Said<'_>, arrived: i64) -> Option<i64> {
        let lane = &mut self.lanes[said.party];
        lane.codec = said.codec;
        let known = lane.epoch == said.epoch;
        let step = said.timestamp.wrapping_sub(lane.timestamp).cast_signed();
        let by_timestamp = lane.position + i64::from(step);
        if let Order::Late(_) = said.order {
            return (known && by_timestamp <= arrived + AHEAD).then_some(by_timestamp);
        }
        let near = arrived - LATE..=arrived + AHEAD;
        let position = if known && near.contains(&by_timestamp) {
            // A place before the recording's beginning is none.
            (by_timestamp + lane.drift.shift(arrived, by_timestamp, by_timestamp > lane.end)).max(0)
        } else {
            // The two clocks parted, or the sender is new: from here on by arrival, behind what is there already.
            let position = arrived.max(lane.end);
            if position > arrived + AHEAD {
                return None;
            }
            lane.drift = Drift::laid(arrived);
            position
        };
        lane.epoch = said.epoch;
        lane.timestamp = said.timestamp;
        lane.position = position;
        lane.end = lane.end.max(position + samples(said.payload.len()));
        Some(position)
    }

    /// Copies a packet into its one or more blocks. What lies before the first open block is left out.
    fn write(&mut self, said: &Said<'_>, mut position: i64, tap: &mut impl Tap) -> bool {
        let start = self.first * BLOCK;
        let mut payload = said.payload;
        if position < start {
            let missed = usize::try_from(start - position).unwrap_or(usize::MAX).min(payload.len());
            payload = &payload[missed..];
            position = start;
            if payload.is_empty() {
                return false;
            }
        }
        while !payload.is_empty() {
            let block = position.div_euclid(BLOCK);
            // The remainder of a positive divisor is never negative.
            let at = usize::try_from(position.rem_euclid(BLOCK)).unwrap_or(0);
            let (now, later) = payload.split_at(payload.len().min(BLOCK_SAMPLES - at));
            self.seal_before(block + 1 - OPEN, tap);
            if let Some(open) = self.block(block, tap) {
                let lane = &mut open.samples[said.party][at..at + now.len()];
                lane.copy_from_slice(now);
                g711::translate(lane, said.codec, open.codecs[said.party]);
            }
            position += samples(now.len());
            payload = later;
        }
        true
    }

    /// An open block, taken from the pool if need be.
    fn block(&mut self, number: i64, tap: &mut impl Tap) -> Option<&mut Block> {
        let (take, codecs) = (self.take, [self.lanes[0].codec, self.lanes[1].codec]);
        let open = &mut self.open[place(number)];
        if !matches!(open, Open::Block(_)) {
            let Some(mut block) = tap.block() else {
                *open = Open::Lost;
                return None;
            };
            block.take = take;
            block.start = number.cast_unsigned() * BLOCK_SAMPLES as u64;
            block.codecs = codecs;
            for (lane, codec) in block.samples.iter_mut().zip(codecs) {
                lane.fill(g711::silence(codec));
            }
            *open = Open::Block(block);
        }
        match open {
            Open::Block(block) => Some(block),
            Open::Untouched | Open::Lost => None,
        }
    }

    /// Hands over the blocks before `first`: nothing more is taken for them.
    fn seal_before(&mut self, first: i64, tap: &mut impl Tap) {
        // Beyond OPEN blocks nothing is open, however long the silence was.
        let end = first.min(self.first + OPEN);
        for number in self.first..end {
            match ::core::mem::replace(&mut self.open[place(number)], Open::Untouched) {
                Open::Untouched => {}
                Open::Lost => self.lost += 1,
                Open::Block(block) => tap.write(block),
            }
        }
        self.first = self.first.max(first);
    }

    /// Hands over what is left and ends. Returns the number of blocks lost.
    pub(crate) fn end(&mut self, now: Instant, tap: &mut impl Tap) -> u32 {
        let samples = self.position_at(now);
        self.seal_before((samples + BLOCK - 1).div_euclid(BLOCK), tap);
        self.abandon(tap);
        tap.end(self.take, samples.cast_unsigned(), self.lost);
        self.lost
    }

    /// Gives the open blocks back to the pool.
    pub(crate) fn abandon(&mut self, tap: &mut impl Tap) {
        for open in &mut self.open {
            if let Open::Block(block) = ::core::mem::replace(open, Open::Untouched) {
                tap.give_back(block);
            }
        }
    }
}

/// A length as a number of samples; no datagram comes near the limit.
fn samples(length: usize) -> i64 {
    i64::try_from(length).unwrap_or(i64::MAX)
}

/// Place of a block among the open ones.
fn place(number: i64) -> usize {
    // Not negative: the recording begins with block 0.
    usize::try_from(number.rem_euclid(OPEN)).unwrap_or(0)
}
