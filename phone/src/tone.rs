//! Tones made and tones recognized.

use std::f64::consts::TAU;
use std::time::Duration;

/// Samples a second, everywhere in this crate.
pub const RATE: u32 = 8000;

/// A steady tone: one or two frequencies together.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Tone {
    /// Frequencies in Hz; the second is 0 if there is only one.
    pub frequencies: [u16; 2],
    /// Peak of each frequency.
    pub amplitude: i16,
}

impl Tone {
    /// One frequency, at about -10 dBm0.
    #[must_use]
    pub const fn new(frequency: u16) -> Self {
        Self { frequencies: [frequency, 0], amplitude: 8000 }
    }

    /// Two frequencies together.
    #[must_use]
    pub const fn dual(low: u16, high: u16) -> Self {
        Self { frequencies: [low, high], amplitude: 5000 }
    }

    /// Nothing.
    #[must_use]
    pub const fn silence() -> Self {
        Self { frequencies: [0, 0], amplitude: 0 }
    }

    /// The sample at a place in the tone, counted from its start.
    #[must_use]
    pub fn sample(self, place: u64) -> i16 {
        // A second holds a whole number of turns of any whole frequency, so the place may be taken within one.
        let seconds = f64::from(u32::try_from(place % u64::from(RATE)).unwrap_or(0)) / f64::from(RATE);
        let sum: f64 = self
            .frequencies
            .iter()
            .filter(|frequency| **frequency > 0)
            .map(|frequency| (TAU * f64::from(*frequency) * seconds).sin())
            .sum();
        rounded(sum * f64::from(self.amplitude))
    }

    /// `length` of this tone.
    #[must_use]
    pub fn samples(self, length: Duration) -> Vec<i16> {
        (0..samples_in(length)).map(|place| self.sample(place)).collect()
    }
}

/// The nearest sample value; as loud as can be beyond the ends.
#[must_use]
pub fn rounded(value: f64) -> i16 {
    #[expect(
        clippy::cast_possible_truncation,
        reason = "clamped to the type's range; a float cast saturates"
    )]
    let sample = value.round().clamp(f64::from(i16::MIN), f64::from(i16::MAX)) as i16;
    sample
}

/// How many samples a time holds.
#[must_use]
pub fn samples_in(time: Duration) -> u64 {
    u64::try_from(time.as_micros() * u128::from(RATE) / 1_000_000).unwrap_or(u64::MAX)
}

/// How much time so many samples take.
#[must_use]
pub fn time_of(samples: u64) -> Duration {
    Duration::from_micros(samples.saturating_mul(1_000_000) / u64::from(RATE))
}

/// What was heard for a while.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Sound {
    /// Nothing, or next to nothing.
    Silence,
    /// One of the tones that were listened for, by the lower of its frequencies.
    Tone(u16),
    /// Something else.
    Other,
}

/// A stretch of time with one sound.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// What.
    pub sound: Sound,
    /// From when, counted from the first sample.
    pub from: Duration,
    /// Until when.
    pub to: Duration,
}

impl Heard {
    /// How long.
    #[must_use]
    pub fn length(&self) -> Duration {
        self.to.saturating_sub(self.from)
    }
}

/// Samples that are looked at together: 40 ms tell frequencies 25 Hz apart.
const WINDOW: usize = 320;
/// The distance from one look to the next: 20 ms.
const HOP: usize = 160;
/// Root mean square below which a window is silent: about -50 dBm0, well above the noise of G.711.
const FLOOR: f64 = 60.0;
/// The share of a window's energy that must lie in a tone: a window half in the tone is not the tone.
const SHARE: f64 = 0.7;

/// Tells over time which of `tones` is heard. Stretches of 40 ms and less belong to what was before them.
#[must_use]
pub fn listen(samples: &[i16], tones: &[Tone]) -> Vec<Heard> {
    let mut stretches: Vec<Heard> = Vec::new();
    for (index, hop) in samples.chunks(HOP).enumerate() {
        // The window reaches a quarter beyond the hop on both sides.
        let start = (index * HOP).saturating_sub((WINDOW - HOP) / 2);
        let window = &samples[start..samples.len().min(start + WINDOW)];
        let sound = recognize(window, tones);
        let from = time_of((index * HOP) as u64);
        let to = time_of((index * HOP + hop.len()) as u64);
        match stretches.last_mut() {
            Some(last) if last.sound == sound => last.to = to,
            _ => stretches.push(Heard { sound, from, to }),
        }
    }
    without_flicker(stretches)
}

fn recognize(window: &[i16], tones: &[Tone]) -> Sound {
    let energy: f64 = window.iter().map(|sample| f64::from(*sample).powi(2)).sum();
    let length = f64::from(u32::try_from(window.len()).unwrap_or(u32::MAX));
    if (energy / length).sqrt() < FLOOR {
        return Sound::Silence;
    }
    let share = |tone: &Tone| {
        let parts = tone.frequencies.iter().filter(|frequency| **frequency > 0);
        parts.map(|frequency| goertzel(window, f64::from(*frequency)) / energy).sum::<f64>()
    };
    let best = tones.iter().map(|tone| (share(tone), tone)).max_by(|a, b| a.0.total_cmp(&b.0));
    match best {
        Some((share, tone)) if share >= SHARE => Sound::Tone(tone.frequencies[0]),
        _ => Sound::Other,
    }
}

/// The energy of one frequency in a window, in the measure of the sum of squares.
fn goertzel(window: &[i16], frequency: f64) -> f64 {
    let coefficient = 2.0 * (TAU * frequency / f64::from(RATE)).cos();
    let (mut last, mut before) = (0.0, 0.0);
    for sample in window {
        let next = f64::from(*sample) + coefficient * last - before;
        before = last;
        last = next;
    }
    let power = last * last + before * before - coefficient * last * before;
    // A sine of amplitude a has a sum of squares of n·a²/2 and a Goertzel power of (n·a/2)².
    power * 2.0 / f64::from(u32::try_from(window.len().max(1)).unwrap_or(u32::MAX))
}

/// Gives every stretch of two hops at most to the stretch before it: windows that lie across the edge between two
/// sounds hold neither of them.
fn without_flicker(stretches: Vec<Heard>) -> Vec<Heard> {
    let mut steady: Vec<Heard> = Vec::new();
    for stretch in stretches {
        let short = stretch.length() <= time_of(2 * HOP as u64);
        match steady.last_mut() {
            Some(last) if short || last.sound == stretch.sound => last.to = stretch.to,
            _ => steady.push(stretch),
        }
    }
    steady
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ms(milliseconds: u64) -> Duration {
        Duration::from_millis(milliseconds)
    }

    #[test]
    fn tones_are_told_apart_over_time() {
        let mut samples = Tone::new(450).samples(ms(1000));
        samples.extend(Tone::silence().samples(ms(500)));
        samples.extend(Tone::new(620).samples(ms(2000)));
        samples.extend(Tone::dual(440, 480).samples(ms(400)));
        samples.extend(Tone::new(3000).samples(ms(400)));
        let tones = [Tone::new(450), Tone::new(620), Tone::dual(440, 480)];
        let heard = listen(&samples, &tones);
        let sounds: Vec<Sound> = heard.iter().map(|heard| heard.sound).collect();
        assert_eq!(
            sounds,
            [Sound::Tone(450), Sound::Silence, Sound::Tone(620), Sound::Tone(440), Sound::Other],
            "{heard:?}"
        );
        for (heard, to) in heard.iter().zip([1000, 1500, 3500, 3900, 4300]) {
            assert!(heard.to.abs_diff(ms(to)) <= ms(40), "{heard:?} should end at {to} ms");
        }
    }

    #[test]
    fn a_neighbor_of_50_hz_is_another_tone() {
        let heard = listen(&Tone::new(500).samples(ms(200)), &[Tone::new(450)]);
        assert_eq!(heard.len(), 1);
        assert_eq!(heard[0].sound, Sound::Other);
    }

    #[test]
    fn nothing_is_heard_in_nothing() {
        assert!(listen(&[], &[Tone::new(450)]).is_empty());
        assert_eq!(listen(&[3; 100], &[Tone::new(450)])[0].sound, Sound::Silence);
    }
}
