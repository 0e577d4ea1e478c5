//! Noise of a level, for pauses that are to sound like a line that lives (RFC 3389).

use libm::{log10f, powf, roundf};

/// The loudest that is made, in −dBov: what is louder is no background, and told in error.
pub const LOUDEST: u8 = 30;
/// The faintest: below it nothing is left of a sample of 16 bits.
pub const FAINTEST: u8 = 84;

/// The level that is made where this one was told.
#[must_use]
pub const fn bounded(level: u8) -> u8 {
    if level < LOUDEST {
        LOUDEST
    } else if level > FAINTEST {
        FAINTEST
    } else {
        level
    }
}

/// White noise whose power is `level` dB below that of a square wave of full scale (RFC 3389 section 3), which is −dBov.
/// `seed` goes on from call to call.
pub fn fill(level: u8, seed: &mut u32, samples: &mut [i16]) {
    // Evenly spread, the peak is √3 above the root of the mean square.
    let peak = 32_768.0 * powf(10.0, f32::from(bounded(level)) / -20.0) * 1.732_050_8;
    for sample in samples {
        // Marsaglia's xorshift; it never comes to zero from anything else.
        let mut next = (*seed).max(1);
        next ^= next << 13;
        next ^= next >> 17;
        next ^= next << 5;
        *seed = next;
        let [high, low, ..] = next.to_be_bytes();
        let part = f32::from(i16::from_be_bytes([high, low])) / 32_768.0;
        *sample = rounded(part * peak);
    }
}

/// How far below the power of a square wave of full scale these are, in −dBov; the faintest there is for none at all.
#[must_use]
pub fn level(samples: &[i16]) -> u8 {
    let power: u64 = samples.iter().map(|sample| u64::from(sample.unsigned_abs()).pow(2)).sum();
    let count = samples.len().max(1) as u64;
    let mean = (power / count).max(1);
    #[expect(clippy::cast_precision_loss, reason = "a decibel is looked for")]
    let decibels = 10.0 * log10f((1_u64 << 30) as f32 / mean as f32);
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "from 0 to 90")]
    let level = roundf(decibels) as u8;
    level
}

fn rounded(value: f32) -> i16 {
    #[expect(clippy::cast_possible_truncation, reason = "the loudest is far below full scale")]
    let sample = roundf(value) as i16;
    sample
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn noise_has_the_level_that_was_asked_for_and_no_pattern() {
        for wanted in [30, 40, 50, 60, 70] {
            let (mut samples, mut seed) = ([0; 8_000], 1);
            fill(wanted, &mut seed, &mut samples);
            assert!(level(&samples).abs_diff(wanted) <= 1, "{wanted}: {}", level(&samples));
            let product = |lag: usize| -> i64 {
                let pairs = samples.iter().zip(&samples[lag..]);
                pairs.map(|(one, two)| i64::from(*one) * i64::from(*two)).sum()
            };
            for lag in [1, 2, 7, 160, 4_000] {
                assert!(product(lag).abs() * 10 < product(0), "{wanted}: {lag}");
            }
        }
    }

    #[test]
    fn a_level_is_told_of_a_square_wave_and_of_silence() {
        assert_eq!((level(&[i16::MIN; 10]), level(&[0; 10]), level(&[])), (0, 90, 90));
        assert_eq!(level(&[328, -328]), 40);
        assert_eq!((bounded(0), bounded(55), bounded(127)), (30, 55, 84));
    }
}
