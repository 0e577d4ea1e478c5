//! Plays a sound to a listener: 20 ms of it every 20 ms, by schedule.

use duogate_channel::command::Repeat;
use duogate_channel::g711;
use duogate_channel::identity::Sound;
use duogate_channel::sound::Codec;

use crate::length::frame_octets;

/// Samples of one paced packet at 8 kHz.
pub(crate) const PACKET_SAMPLES: u16 = 160;
/// Places in the 20 ms.
const PHASES: usize = 20;
/// Ticks of the wheel from one packet to the next.
pub(crate) const PACKET_TICKS: u64 = PHASES as u64;
/// A player that is so many ticks late leaves packets out instead of sending them all at once: 200 ms.
pub(crate) const LATEST: u64 = 200;

/// A sound that is being played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Player {
    pub(crate) sound: Sound,
    /// How often it still begins anew; `None` for ever.
    again: Option<u16>,
    /// Next byte of the sound.
    position: usize,
    /// All of it has been given out.
    over: bool,
    /// RTP timestamp of the next packet; `None` before the first.
    pub(crate) timestamp: Option<u32>,
    /// Place of its packets in the 20 ms.
    pub(crate) phase: usize,
}

impl Player {
    pub(crate) const fn new(sound: Sound, repeat: Repeat, phase: usize) -> Self {
        let again = match repeat {
            Repeat::Times(times) => Some(times.saturating_sub(1)),
            Repeat::Forever => None,
        };
        Self { sound, again, position: 0, over: false, timestamp: None, phase }
    }

    /// Nothing is left of a sound of that many bytes.
    pub(crate) const fn is_over(&self, total: usize) -> bool {
        self.over || total == 0
    }

    /// Goes on by `count` bytes of a sound of `total` bytes (at least one), and tells each piece: where in the
    /// packet, where in the sound, how long. What follows the end of the last repetition is not told.
    fn walk(&mut self, total: usize, count: usize, mut piece: impl FnMut(usize, usize, usize)) {
        let mut done = 0;
        while done < count && !self.over {
            let length = (count - done).min(total.saturating_sub(self.position));
            piece(done, self.position, length);
            done += length;
            self.position += length;
            if self.position >= total {
                self.begin_again();
            }
        }
    }

    fn begin_again(&mut self) {
        self.position = 0;
        match &mut self.again {
            None => {}
            Some(0) => self.over = true,
            Some(left) => *left -= 1,
        }
    }

    /// Writes the next bytes of `sound`, which means `from`, as the listener's codec. The packet's rest behind the
    /// sound's end is silence.
    pub(crate) fn fill(&mut self, sound: &[u8], from: Codec, to: Codec, payload: &mut [u8]) {
        payload.fill(g711::silence(from));
        self.walk(sound.len(), payload.len(), |at, position, length| {
            payload[at..at + length].copy_from_slice(&sound[position..position + length]);
        });
        g711::translate(payload, from, to);
    }

    /// Lets the time of one packet pass without sound.
    pub(crate) fn skip(&mut self, total: usize, codec: Codec) {
        self.walk(total, frame_octets(codec), |_, _, _| {});
    }
}

/// Spreads players over the 20 ms, so that a thousand prompts do not send in the same millisecond.
#[derive(Clone, Copy, Default, Debug)]
pub(crate) struct Phases {
    players: [u32; PHASES],
}

impl Phases {
    /// The next tick, from `tick` on, whose place in the 20 ms has the fewest players.
    pub(crate) fn claim(&mut self, tick: u64) -> (u64, usize) {
        let mut best = (tick, Self::place(tick));
        for candidate in tick..tick + PACKET_TICKS {
            let place = Self::place(candidate);
            if self.players[place] < self.players[best.1] {
                best = (candidate, place);
            }
        }
        self.players[best.1] += 1;
        best
    }

    /// The next tick, from `tick` on, that is in this place.
    pub(crate) const fn next(&self, tick: u64, phase: usize) -> u64 {
        tick + (phase + PHASES - Self::place(tick)) as u64 % PACKET_TICKS
    }

    pub(crate) fn release(&mut self, phase: usize) {
        let players = &mut self.players[phase];
        *players = players.saturating_sub(1);
    }

    const fn place(tick: u64) -> usize {
        (tick % PACKET_TICKS) as usize
    }
}
