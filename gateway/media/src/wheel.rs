//! Timer wheel of 1 ms ticks: timers are named by small numbers, linked by index, and all made at start.

use alloc::boxed::Box;
use alloc::vec;

use duogate_channel::time::Instant;

/// Slots of the wheel: 4.096 s. A timer farther away waits in the last slot and is put on again from there,
/// once in four seconds.
const SLOTS: usize = 4096;
const HORIZON: u64 = SLOTS as u64 - 1;
const WORDS: usize = SLOTS / 64;
const NONE: u32 = u32::MAX;
const NANOSECONDS_PER_TICK: u64 = 1_000_000;

/// The tick that has come at `now`.
pub(crate) const fn tick_at(now: Instant) -> u64 {
    now.nanoseconds() / NANOSECONDS_PER_TICK
}

/// The first tick that is not before `time`.
pub(crate) const fn tick_from(time: Instant) -> u64 {
    time.nanoseconds().div_ceil(NANOSECONDS_PER_TICK)
}

/// When a tick comes.
pub(crate) const fn tick_time(tick: u64) -> Instant {
    Instant::from_nanoseconds(tick.saturating_mul(NANOSECONDS_PER_TICK))
}

#[derive(Clone, Copy, Debug)]
struct Node {
    next: u32,
    /// Of the first of a slot: the last.
    previous: u32,
    /// Slot in which it is linked, `NONE` if it is not armed.
    slot: u32,
    tick: u64,
}

/// Memory of one timer.
pub(crate) const TIMER_OCTETS: usize = size_of::<Node>();

/// Memory of the wheel itself: the head of each slot.
pub(crate) const WHEEL_OCTETS: usize = SLOTS * size_of::<u32>();

/// The wheel.
#[derive(Debug)]
pub(crate) struct Wheel {
    heads: Box<[u32]>,
    occupied: [u64; WORDS],
    nodes: Box<[Node]>,
    /// The next tick to be looked at: everything before it has fired.
    cursor: u64,
}

impl Wheel {
    pub(crate) fn new(timers: usize, now: Instant) -> Self {
        let idle = Node { next: NONE, previous: NONE, slot: NONE, tick: 0 };
        Self {
            heads: vec![NONE; SLOTS].into_boxed_slice(),
            occupied: [0; WORDS],
            nodes: vec![idle; timers].into_boxed_slice(),
            cursor: tick_at(now),
        }
    }

    /// Arms a timer, or moves it. A tick that has passed fires at the next occasion. Of one tick those fire first that
    /// were armed first: what is armed anew each time it fires keeps its place among the others, and its distance.
    pub(crate) fn arm(&mut self, timer: u32, tick: u64) {
        self.cancel(timer);
        let place = tick.clamp(self.cursor, self.cursor + HORIZON);
        let slot = Self::slot_of(place);
        let previous = match self.heads[slot] {
            NONE => {
                self.heads[slot] = timer;
                self.occupied[slot / 64] |= 1 << (slot % 64);
                timer
            }
            head => {
                let last = core::mem::replace(&mut self.nodes[head as usize].previous, timer);
                self.nodes[last as usize].next = timer;
                last
            }
        };
        self.nodes[timer as usize] = Node { next: NONE, previous, slot: low(place), tick };
    }

    /// Disarms a timer; nothing happens if it is not armed.
    pub(crate) fn cancel(&mut self, timer: u32) {
        let Node { next, previous, slot, .. } = self.nodes[timer as usize];
        if slot == NONE {
            return;
        }
        self.nodes[timer as usize].slot = NONE;
        let slot = slot as usize;
        if self.heads[slot] == timer {
            self.heads[slot] = next;
        } else {
            self.nodes[previous as usize].next = next;
        }
        match (next, self.heads[slot]) {
            (NONE, NONE) => self.occupied[slot / 64] &= !(1 << (slot % 64)),
            (NONE, head) => self.nodes[head as usize].previous = previous,
            (next, _) => self.nodes[next as usize].previous = previous,
        }
    }

    /// Takes one timer that is due at `now`, with the tick for which it was armed. Earlier slots come first.
    pub(crate) fn pop(&mut self, now: Instant) -> Option<(u32, u64)> {
        let last = tick_at(now);
        while self.cursor <= last {
            let slot = Self::slot_of(self.cursor);
            let timer = self.heads[slot];
            if timer == NONE {
                let next = self.next_occupied().map_or(last + 1, |tick| tick.min(last + 1));
                self.cursor = next.max(self.cursor + 1);
                continue;
            }
            let tick = self.nodes[timer as usize].tick;
            if tick <= self.cursor {
                self.cancel(timer);
                return Some((timer, tick));
            }
            // Not yet its time, only the end of the horizon at which it was armed.
            self.arm(timer, tick);
        }
        None
    }

    /// When [`Wheel::pop`] has something to do next: never later than the earliest timer.
    pub(crate) fn next(&self) -> Option<Instant> {
        let slot = Self::slot_of(self.cursor);
        let tick = if self.heads[slot] == NONE { self.next_occupied()? } else { self.cursor };
        Some(tick_time(tick))
    }

    /// The tick of the first occupied slot after the cursor's own, within one turn.
    fn next_occupied(&self) -> Option<u64> {
        let start = Self::slot_of(self.cursor);
        let first = start / 64;
        // The cursor's word is looked at twice: above the cursor first, whole at the end of the turn.
        let above = (u64::MAX << (start % 64)) & !(1 << (start % 64));
        let mut word = self.occupied[first] & above;
        for step in 0..=WORDS {
            if word != 0 {
                let slot = (first + step) % WORDS * 64 + word.trailing_zeros() as usize;
                let distance = (slot + SLOTS - start) % SLOTS;
                return Some(self.cursor + distance as u64);
            }
            word = self.occupied[(first + step + 1) % WORDS];
        }
        None
    }

    const fn slot_of(tick: u64) -> usize {
        (tick & HORIZON) as usize
    }
}

/// The slot of a place, as it is kept in a node.
const fn low(place: u64) -> u32 {
    (place & HORIZON) as u32
}

#[cfg(test)]
mod tests {
    use super::*;

    fn fired(wheel: &mut Wheel, tick: u64) -> alloc::vec::Vec<u32> {
        core::iter::from_fn(|| wheel.pop(tick_time(tick))).map(|(timer, _)| timer).collect()
    }

    #[test]
    fn timers_of_one_tick_fire_in_the_order_in_which_they_were_armed() {
        let mut wheel = Wheel::new(6, Instant::ZERO);
        for timer in [3, 0, 5, 1, 4] {
            wheel.arm(timer, 20);
        }
        // The last, the first, and one between; one that comes again is the last.
        [4, 3, 5, 0].into_iter().for_each(|timer| wheel.cancel(timer));
        wheel.arm(3, 20);
        wheel.arm(0, 20);
        for round in 1..4 {
            assert_eq!(fired(&mut wheel, 20 * round), [1, 3, 0]);
            [1, 3, 0].into_iter().for_each(|timer| wheel.arm(timer, 20 * (round + 1)));
        }
        [0, 3, 1].into_iter().for_each(|timer| wheel.cancel(timer));
        assert_eq!((wheel.next(), fired(&mut wheel, 200).len()), (None, 0));
    }
}
