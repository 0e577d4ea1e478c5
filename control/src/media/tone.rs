//! Ringback tones, rendered as sounds that loop.

use std::f64::consts::TAU;

use duogate_configuration::Ringback;

/// Samples a second of everything that is played to a party.
pub(crate) const SAMPLE_RATE: u32 = 8_000;

/// Samples in a packet of 20 ms. A loop is a whole number of them, so its seam falls between two packets.
const PACKET: usize = 160;

/// Renders one period of a national ringback tone as 8 kHz linear samples.
pub(crate) fn render(country: Ringback) -> Vec<i16> {
    let pattern = country.pattern();
    /// The level of the whole tone against full scale: −10 dBm0 (E.180 section 6), a full-scale sine being
    /// +3.14 dBm0.
    const LEVEL: f64 = 0.22;
    #[expect(clippy::cast_precision_loss, reason = "one or two frequencies")]
    let each = LEVEL / pattern.frequencies.len() as f64 * f64::from(i16::MAX);
    let samples_of = |milliseconds: u16| usize::from(milliseconds) * (SAMPLE_RATE as usize / 1_000);
    let mut samples = Vec::new();
    for &(on, off) in pattern.cadence {
        for n in 0..u32::from(on) * (SAMPLE_RATE / 1_000) {
            let time = f64::from(n) / f64::from(SAMPLE_RATE);
            let sine = |&frequency: &u16| each * (TAU * f64::from(frequency) * time).sin();
            let value: f64 = pattern.frequencies.iter().map(sine).sum();
            #[expect(clippy::cast_possible_truncation, reason = "the level keeps it within 16 bits")]
            samples.push(value.round() as i16);
        }
        samples.resize(samples.len() + samples_of(off), 0);
    }
    let whole = samples.len().div_ceil(PACKET) * PACKET;
    samples.resize(whole, 0);
    samples
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Power of one frequency in a stretch of samples (Goertzel).
    fn power(samples: &[i16], frequency: f64) -> f64 {
        let coefficient = 2.0 * (TAU * frequency / f64::from(SAMPLE_RATE)).cos();
        let (mut a, mut b) = (0.0, 0.0);
        for &sample in samples {
            let next = f64::from(sample) + coefficient * a - b;
            b = a;
            a = next;
        }
        a * a + b * b - coefficient * a * b
    }

    #[test]
    fn the_chinese_tone_is_450_hertz_for_one_second_and_four_of_silence() {
        let tone = render(Ringback::Cn);
        assert_eq!(tone.len(), 40_000);
        assert!(power(&tone[..8_000], 450.0) > 1_000.0 * power(&tone[..8_000], 425.0));
        assert!(tone[8_000..].iter().all(|&sample| sample == 0));
    }

    #[test]
    fn every_pattern_is_a_whole_number_of_packets_and_not_too_loud() {
        for country in Ringback::ALL {
            let tone = render(country);
            assert_eq!(tone.len() % PACKET, 0, "{country:?}");
            assert!(tone.iter().all(|sample| sample.unsigned_abs() < 8_192), "{country:?}");
        }
    }
}
