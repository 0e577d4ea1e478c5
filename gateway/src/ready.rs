//! What the core lets a party hear of its own accord, ready in the codecs that only a library speaks: keys and noise.
//!
//! It is made once, by a thread of its own when the first party answers in such a codec, and after that only read: no
//! shard waits for it. Whoever wants something of it before it is there, some tenths of a second later, goes without.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};
use std::thread;

use duogate_channel::digits::Key;
use duogate_channel::sound::{Codec, OPUS_FRAME_OCTETS};
use duogate_codecs::CodecError;
use duogate_media::{Ready, dtmf, noise};

/// Samples of a step of 20 ms at 8 kHz.
const STEP: usize = 160;
/// Steps of silence that a codec is given first.
const SILENT_STEPS: usize = 10;
/// Steps of noise before it comes again: more than a second, in which no ear finds a pattern. Where the count of steps
/// begins anew, so does the noise.
const NOISE_STEPS: usize = 64;
const _: () = assert!((u8::MAX as usize + 1).is_multiple_of(NOISE_STEPS));
/// Decibels from one level of noise to the next: a step of half that is not heard.
const LEVEL_STEP: u8 = 3;
/// The codecs that it is made in, with the octets of a step.
const CODECS: [(Codec, usize); 2] = [(Codec::G722, STEP), (Codec::Opus, OPUS_FRAME_OCTETS)];

/// The keys and noises of one codec: about 220 kB in G.722, half of that in Opus.
struct Shelf {
    /// By event code.
    keys: Vec<Vec<u8>>,
    /// By level, the loudest first.
    noises: Vec<Vec<u8>>,
}

/// All of it, once it has been made.
#[derive(Clone, Default)]
pub struct ReadySounds(Arc<Making>);

#[derive(Default)]
struct Making {
    begun: AtomicBool,
    made: OnceLock<[Shelf; CODECS.len()]>,
}

impl ReadySounds {
    /// It will be needed: begins to make it, if that has not begun.
    pub fn begin(&self) {
        if self.0.begun.swap(true, Ordering::Relaxed) {
            return;
        }
        let making = self.clone();
        let thread = thread::Builder::new().name("ready sounds".into());
        if let Err(error) = thread.spawn(move || making.make()) {
            tracing::error!(%error, "no thread to encode keys and noise");
        }
    }

    fn make(&self) {
        let [first, second] = CODECS.map(|(codec, octets)| Shelf::make(codec, octets));
        match first.and_then(|first| Ok([first, second?])) {
            // Nobody else makes it.
            Ok(shelves) => drop(self.0.made.set(shelves)),
            Err(error) => tracing::error!(%error, "keys and noise cannot be encoded"),
        }
    }

    /// So many steps from its beginning, if it is there.
    #[must_use]
    pub fn step(&self, what: Ready, codec: Codec, step: u8) -> Option<&[u8]> {
        let place = CODECS.iter().position(|(known, _)| *known == codec)?;
        let (shelf, octets) = (&self.0.made.get()?[place], CODECS[place].1);
        let sound = match what {
            Ready::Key(key) => shelf.keys.get(usize::from(key.code()))?,
            Ready::Noise(level) => shelf.noises.get(place_of(level))?,
        };
        let begin = usize::from(step) * octets % sound.len().max(1);
        sound.get(begin..begin + octets)
    }
}

/// Where a level stands.
fn place_of(level: u8) -> usize {
    usize::from((noise::bounded(level) - noise::LOUDEST + LEVEL_STEP / 2) / LEVEL_STEP)
}

impl Shelf {
    fn make(codec: Codec, octets: usize) -> Result<Self, CodecError> {
        let keys = (0..16).filter_map(Key::from_code).map(|key| {
            let mut samples = [0; dtmf::KEY_STEPS as usize * STEP];
            dtmf::samples(key, 0, &mut samples[..dtmf::TONE_STEPS as usize * STEP]);
            encoded(codec, octets, &samples)
        });
        let levels = (noise::LOUDEST..=noise::FAINTEST).step_by(usize::from(LEVEL_STEP));
        let noises = levels.map(|level| {
            let mut samples = [0; NOISE_STEPS * STEP];
            noise::fill(level, &mut level.into(), &mut samples);
            encoded(codec, octets, &samples)
        });
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, noises: noises.collect::<Result<_, _>>()? })
    }
}

/// A sound in steps of so many octets. What comes before is silence, mostly: a decoder that has heard it stands where the
/// encoder does after this.
fn encoded(codec: Codec, octets: usize, samples: &[i16]) -> Result<Vec<u8>, CodecError> {
    let mut sound = duogate_codecs::prompt(codec, &[&[0; SILENT_STEPS * STEP], samples].concat())?;
    Ok(sound.split_off(SILENT_STEPS * octets))
}

#[cfg(test)]
mod tests {
    use duogate_codecs::{Decoder, Rate};

    use super::*;

    fn all() -> ReadySounds {
        let sounds = ReadySounds::default();
        sounds.make();
        sounds
    }

    fn heard(sounds: &ReadySounds, what: Ready, codec: Codec, steps: u8) -> Vec<i16> {
        let mut decoder = Decoder::new(codec, Rate::Narrow).unwrap();
        let mut samples = Vec::new();
        for step in 0..steps {
            decoder.decode(sounds.step(what, codec, step).unwrap(), &mut samples).unwrap();
        }
        samples
    }

    #[test]
    fn noise_is_as_loud_as_it_was_told_to_be_in_every_codec() {
        let sounds = all();
        for (codec, _) in CODECS {
            for level in [33, 48, 60, 66] {
                // The first half second is left to the codecs.
                let samples = heard(&sounds, Ready::Noise(level), codec, 100);
                let found = noise::level(&samples[4_000..]);
                assert!(found.abs_diff(level) <= 4, "{codec:?}: {found} for {level}");
            }
        }
    }

    #[test]
    fn nothing_is_there_before_it_is_made_nor_in_a_codec_that_the_core_speaks() {
        let what = Ready::Noise(50);
        assert_eq!(ReadySounds::default().step(what, Codec::G722, 0), None);
        assert_eq!(all().step(what, Codec::Pcma, 0), None);
    }
}
