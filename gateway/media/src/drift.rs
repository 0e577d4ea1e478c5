//! How far a sender's clock has run away from the shard's, so that a recording's two tracks stay side by side.
//!
//! A sender's timestamps say how far its packets are from each other, in its own time. That clock may be 100 ppm and
//! more off: 360 ms in an hour. What tells the truth in the long run is the arrival of the packets that the network
//! held up least. Over a couple of seconds the least delay of all is taken; if it is not zero any more, the line is
//! moved by so much: at once where there is a pause, else by so few samples a packet that nobody hears it.

/// Time over which the least delay is sought: 2 s, in which 200 ppm are three samples.
const WINDOW: i64 = 16_000;
/// The first time, for the packet by which the line was laid may itself have been held up: 0.5 s.
const FIRST_WINDOW: i64 = 4_000;
/// Packets that are enough to find one that was not held up.
const ENOUGH: u32 = 20;
/// What is not worth a correction: 3 ms, about what the scheduling of a busy host makes of a steady stream.
const SMALL: i64 = 24;
/// The most samples that one packet is moved in the middle of speech: 1 ms of 20.
const MOST: i64 = 8;
/// A correction is spread over so many packets, if they are allowed enough.
const SPREAD: i64 = 32;

/// What is known of one sender's clock.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Drift {
    /// Least delay of the present window, and packets in it.
    least: i64,
    packets: u32,
    /// Where the window ends.
    until: i64,
    /// Samples by which the line has yet to be moved: later, or earlier if negative.
    pending: i64,
}

impl Drift {
    /// The line was laid by a packet that arrived there.
    pub(crate) const fn laid(arrived: i64) -> Self {
        Self { least: i64::MAX, packets: 0, until: arrived + FIRST_WINDOW, pending: 0 }
    }

    /// A packet arrived at `arrived`, and its place would be `position`; `pause`: nothing lies directly before it.
    /// Returns the samples by which the line is to be moved with this packet.
    pub(crate) fn shift(&mut self, arrived: i64, position: i64, pause: bool) -> i64 {
        if self.pending != 0 {
            let most = (self.pending.abs() / SPREAD).clamp(1, MOST);
            let now = if pause { self.pending } else { self.pending.clamp(-most, most) };
            self.pending -= now;
            if self.pending == 0 {
                self.open(arrived);
            }
            return now;
        }
        self.least = self.least.min(arrived - position);
        self.packets += 1;
        if arrived >= self.until && self.packets >= ENOUGH {
            if self.least.abs() >= SMALL {
                self.pending = self.least;
            }
            self.open(arrived);
        }
        0
    }

    const fn open(&mut self, arrived: i64) {
        self.least = i64::MAX;
        self.packets = 0;
        self.until = arrived + WINDOW;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PACKET: i64 = 160;

    /// Sends packets for so long, each so late; returns by how much the line was moved, and the most at once.
    fn moved(drift: &mut Drift, count: i64, late: impl Fn(i64) -> i64) -> (i64, i64) {
        let (mut sum, mut most) = (0, 0);
        for n in 0..count {
            let shift = drift.shift(n * PACKET + late(n), n * PACKET + sum, false);
            sum += shift;
            most = most.max(shift.abs());
        }
        (sum, most)
    }

    #[test]
    fn a_line_that_lies_right_stays_however_packets_are_held_up() {
        let jitter = |n: i64| [0, 280, 88, 400, 24][usize::try_from(n % 5).unwrap()];
        assert_eq!(moved(&mut Drift::laid(0), 5_000, jitter), (0, 0));
    }

    #[test]
    fn a_first_packet_that_was_held_up_is_made_good_in_small_steps() {
        let late = |n: i64| if n == 0 { 0 } else { -400 };
        let (sum, most) = moved(&mut Drift::laid(0), 250, late);
        assert_eq!(sum, -400);
        assert!(most <= MOST, "{most}");
    }

    #[test]
    fn a_pause_takes_the_whole_correction() {
        let mut drift = Drift::laid(0);
        let late = |_| 300;
        let (before, _) = moved(&mut drift, 27, late);
        assert!(before < 30, "{before}");
        assert_eq!(drift.shift(50_300, 50_000, true), 300 - before);
        assert_eq!(drift.shift(50_460, 50_460, true), 0);
    }
}
