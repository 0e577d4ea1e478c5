//! How far a sender's clock has run away from the shard's, so that a recording's two tracks stay side by side.
//!
//! A sender's timestamps say how far its packets are from each other, in its own time. That clock may be 100 ppm and
//! more off: 360 ms in an hour. What tells the truth in the long run is the arrival of the packets that the network
//! held up least: a late packet says nothing, one that is early says that the line lies too late, for none arrives
//! before it was sent.
//!
//! - In the first half second a packet that is a little early puts the line where it says, at once and by all of it: the
//!   packet by which the line was laid was held up, and one step where a party begins to speak is heard less than a
//!   glide through its first word.
//! - After that the least delay of a couple of seconds is taken; if it is not zero any more, the line is moved by so
//!   much: at once where there is a pause, else by so few samples a packet that nobody hears it.

/// Time over which the least delay is sought: 2 s, in which 200 ppm are three samples.
const WINDOW: i64 = 16_000;
/// After the line was laid: 0.5 s.
const TRIAL: i64 = 4_000;
/// Packets that are enough to find one that was not held up.
const ENOUGH: u32 = 20;
/// What is not worth a correction: 3 ms, about what the scheduling of a busy host makes of a steady stream.
const SMALL: i64 = 24;
/// What is put right at once, at most: 15 ms. Packets that come in one burst, or in another order, are 20 ms early; they
/// would take each other's place.
const AT_ONCE: i64 = 120;
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
    /// Until then the line is put right at once.
    trial: i64,
    /// Samples by which the line has yet to be moved: later, or earlier if negative.
    pending: i64,
}

impl Drift {
    /// The line was laid by a packet that arrived there.
    pub(crate) const fn laid(arrived: i64) -> Self {
        let until = arrived + TRIAL;
        Self { least: i64::MAX, packets: 0, until, trial: until, pending: 0 }
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
        let late = arrived - position;
        if arrived < self.trial && (SMALL..=AT_ONCE).contains(&-late) {
            // What was measured against the line as it lay is void.
            self.least = 0;
            self.packets += 1;
            return late;
        }
        self.least = self.least.min(late);
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
    fn a_first_packet_that_was_held_up_is_made_good_by_the_next_one_at_once() {
        let mut drift = Drift::laid(100);
        // The line lies 100 samples late; packets arrive evenly from the second one on.
        assert_eq!(drift.shift(PACKET, 100 + PACKET, false), -100);
        assert_eq!(moved(&mut drift, 1_000, |_| 0), (0, 0), "and it lies right from there on");
    }

    #[test]
    fn of_several_that_were_held_up_each_earlier_one_is_a_step_and_a_late_one_is_none() {
        let mut drift = Drift::laid(0);
        // Against the line as it was laid.
        let late = [-80, -40, -200, 0, -199, -200, 160];
        let mut line = 0;
        let steps: [i64; 7] = core::array::from_fn(|n| {
            let sent = PACKET * (i64::try_from(n).unwrap() + 1);
            let step = drift.shift(sent + late[n], sent + line, false);
            line += step;
            step
        });
        assert_eq!(steps, [-80, 0, -120, 0, 0, 0, 0]);
        assert_eq!(moved(&mut drift, 500, |_| 12), (0, 0), "what is small stays");
    }

    #[test]
    fn a_burst_does_not_take_its_own_place() {
        let mut drift = Drift::laid(0);
        let steps: i64 = (1..6).map(|n| drift.shift(0, n * PACKET, false)).sum();
        assert_eq!(steps, 0);
    }

    #[test]
    fn once_it_has_been_right_the_line_is_moved_in_small_steps() {
        let late = |n: i64| if n < 30 { 0 } else { -400 };
        let (sum, most) = moved(&mut Drift::laid(0), 400, late);
        assert_eq!(sum, -400);
        assert!(most <= MOST, "{most}");
    }

    #[test]
    fn packets_that_are_held_up_together_for_a_second_do_not_move_it() {
        for begin in [5, 60, 130] {
            let late = |n: i64| if (begin..begin + 50).contains(&n) { 480 } else { 0 };
            let (sum, _) = moved(&mut Drift::laid(0), 500, late);
            assert_eq!(sum, 0, "from packet {begin} on");
        }
    }

    #[test]
    fn clocks_that_part_by_200_ppm_are_followed_in_steps_that_nobody_hears() {
        for sign in [1, -1] {
            // 160 samples in 100 s, under jitter of up to 30 ms.
            let jitter = |n: i64| [0, 88, 240, 150, 31][usize::try_from(n % 5).unwrap()];
            let (sum, most) = moved(&mut Drift::laid(0), 5_000, |n| sign * n * 160 / 5_000 + jitter(n));
            assert!((sum - sign * 160).abs() <= 2 * SMALL, "{sum}");
            assert!(most <= 2, "{most}");
        }
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
