//! The demonstration's prompt: four notes of a bell, rising, then a rest; made here, so that nothing has to be
//! shipped.

use std::f64::consts::TAU;
use std::time::Duration;

use duogate_phone::tone::{RATE, rounded, samples_in};

/// The notes in Hz: C5, E5, G5, C6. Each is a whole number, so that they can be listened for.
pub(crate) const NOTES: [u16; 4] = [523, 659, 784, 1047];
/// How long a note sounds.
const NOTE: Duration = Duration::from_millis(250);
/// The rest after the four.
const REST: Duration = Duration::from_millis(500);

/// How long the chime is.
pub(crate) fn length() -> Duration {
    NOTE * 4 + REST
}

/// The chime.
pub(crate) fn samples() -> Vec<i16> {
    let mut samples: Vec<i16> = NOTES.iter().flat_map(|note| bell(*note)).collect();
    samples.extend((0..samples_in(REST)).map(|_| 0));
    samples
}

/// A note that is struck and fades to a third.
fn bell(note: u16) -> impl Iterator<Item = i16> {
    (0..samples_in(NOTE)).map(move |place| {
        let seconds = f64::from(u32::try_from(place).unwrap_or(0)) / f64::from(RATE);
        let strike = (seconds / 0.005).min(1.0);
        let fade = (-seconds * 4.0).exp();
        rounded(9000.0 * strike * fade * (TAU * f64::from(note) * seconds).sin())
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use duogate_phone::tone::{Sound, Tone, listen};

    #[test]
    fn the_notes_can_be_told() {
        let tones = NOTES.map(Tone::new);
        let heard = listen(&samples(), &tones);
        let sounds: Vec<Sound> = heard.iter().map(|heard| heard.sound).collect();
        let [c, e, g, high] = NOTES.map(Sound::Tone);
        assert_eq!(sounds, [c, e, g, high, Sound::Silence]);
        assert_eq!(samples_in(length()), samples().len() as u64);
    }
}
