//! DTMF tones (ITU-T Q.23): two sines a key, made in integers, which cost a shard little and are the same everywhere.

use duogate_channel::digits::Key;
use duogate_channel::g711;
use duogate_channel::sound::Codec;

/// A sine at 8 kHz, in steps of a sample, as numbers of 30 fractional bits.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Sine {
    /// 2 cos ω.
    pub(crate) coefficient: i64,
    /// sin ω.
    pub(crate) first: i64,
}

/// Fractional bits of a [`Sine`].
pub(crate) const FRACTION: u32 = 30;

/// 697, 770, 852 and 941 Hz.
pub(crate) const LOW: [Sine; 4] = [
    Sine { coefficient: 1_833_669_510, first: 558_869_874 },
    Sine { coefficient: 1_766_607_061, first: 610_488_639 },
    Sine { coefficient: 1_684_364_823, first: 666_070_785 },
    Sine { coefficient: 1_587_210_069, first: 723_265_203 },
];

/// 1209, 1336, 1477 and 1633 Hz.
pub(crate) const HIGH: [Sine; 4] = [
    Sine { coefficient: 1_249_947_177, first: 873_114_837 },
    Sine { coefficient: 1_069_844_367, first: 931_010_076 },
    Sine { coefficient: 857_509_966, first: 984_424_029 },
    Sine { coefficient: 610_457_346, first: 1_029_444_978 },
];

/// Keys by row (low tone) and column (high tone), as event codes: the keypad.
pub(crate) const KEYPAD: [[u8; 4]; 4] = [[1, 2, 3, 12], [4, 5, 6, 13], [7, 8, 9, 14], [10, 0, 11, 15]];

/// Amplitudes: −9 dBm0 and −7 dBm0, for lines lose more of the high tones (full scale is +3.14 dBm0).
const LOW_AMPLITUDE: i64 = 7938;
const HIGH_AMPLITUDE: i64 = 9994;

impl Sine {
    /// Calls back with `count` samples of amplitude 1, from sample `skip` on.
    fn samples(self, skip: usize, count: usize, mut each: impl FnMut(usize, i64)) {
        let (mut before, mut now) = (0_i64, self.first);
        // sin((n + 1) ω) = 2 cos ω · sin(n ω) − sin((n − 1) ω); over a tone of 100 ms the error stays far below a bit
        // of G.711.
        let mut value = 0;
        for at in 0..skip + count {
            if at >= skip {
                each(at - skip, value);
            }
            value = now;
            let next = ((self.coefficient * now) >> FRACTION) - before;
            (before, now) = (now, next);
        }
    }
}

/// Low and high tone of a key.
fn tones(key: Key) -> (Sine, Sine) {
    let place = KEYPAD.as_flattened().iter().position(|code| *code == key.code());
    let place = place.unwrap_or(0); // all sixteen codes are on the keypad
    (LOW[place / 4], HIGH[place % 4])
}

/// Steps of 20 ms that a key of ours is held: 100 ms. Q.24 asks for 40 ms at least.
pub const TONE_STEPS: u8 = 5;

/// Steps from one such key to the next: as long again.
pub const KEY_STEPS: u8 = 10;

/// A key's tones at 8 kHz, from `passed` samples after their beginning on.
pub fn samples(key: Key, passed: usize, samples: &mut [i16]) {
    samples.fill(0);
    let (low, high) = tones(key);
    for (tone, amplitude) in [(low, LOW_AMPLITUDE), (high, HIGH_AMPLITUDE)] {
        tone.samples(passed, samples.len(), |at, value| {
            let sample = i16::try_from((amplitude * value) >> FRACTION).unwrap_or(i16::MAX);
            // The sum of both amplitudes is below 2^15.
            samples[at] = samples[at].saturating_add(sample);
        });
    }
}

/// Fills `payload` with a key's tones from `passed` samples after their beginning on; silence without a key.
pub(crate) fn render(key: Option<Key>, passed: usize, codec: Codec, payload: &mut [u8]) {
    let Some(key) = key else { return payload.fill(g711::silence(codec)) };
    let mut sound = [0; 160];
    samples(key, passed, &mut sound);
    for (byte, sample) in payload.iter_mut().zip(sound) {
        *byte = g711::encode(codec, sample);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_tone_goes_on_where_the_packet_before_it_ended_and_has_its_frequencies() {
        let key = Key::from_char('5').unwrap();
        let mut tone = [0; 800];
        for (at, packet) in tone.chunks_mut(160).enumerate() {
            render(Some(key), at * 160, Codec::Pcma, packet);
        }
        let expected = |at: usize| {
            let angle = 2.0 * core::f64::consts::PI * f64::from(u32::try_from(at).unwrap()) / 8000.0;
            7938.0 * (770.0 * angle).sin() + 9994.0 * (1336.0 * angle).sin()
        };
        for (at, byte) in tone.iter().enumerate() {
            let heard = f64::from(g711::decode(Codec::Pcma, *byte));
            // Half of A-law's largest step at these levels.
            assert!((heard - expected(at)).abs() <= 520.0, "{at}: {heard} for {}", expected(at));
        }
    }

    #[test]
    fn silence_follows() {
        let mut packet = [0; 160];
        render(None, 0, Codec::Pcmu, &mut packet);
        assert_eq!(packet, [0xff; 160]);
    }
}
