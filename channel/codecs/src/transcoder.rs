//! One direction of a call between parties that speak different codecs, or one that is recorded.

use duogate_channel::sound::Codec;

use crate::{CodecError, Decoder, Downsampler, Encoder, Purpose, Rate};

/// What is to be made of one codec's payloads.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub struct Wanted {
    /// What comes.
    pub from: Codec,
    /// What goes to the listener; none: it is not translated.
    pub to: Option<Codec>,
    /// Is it wanted in A-law at 8 kHz too, for a recording?
    pub recorded: bool,
}

/// What was made of one payload. Empty where nothing was wanted.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Transcoded {
    /// The listener's payload, of the same duration.
    pub payload: Vec<u8>,
    /// The same sound in A-law.
    pub recorded: Vec<u8>,
    /// How loud the speaker's background is, in dB below a square wave of full scale.
    pub floor: Option<u8>,
}

/// The state of one direction.
pub struct Transcoder {
    wanted: Wanted,
    decoder: Decoder,
    encoder: Option<Encoder>,
    /// For the recording, where the listener gets something wider.
    down: Option<Downsampler>,
    rate: Rate,
    samples: Vec<i16>,
    narrow: Vec<i16>,
    floor: Floor,
}

/// The background of what somebody says: what is left in the pauses.
///
/// It is the least power of a packet lately: what is less counts at once, what is more lets it rise by 4 dB a second.
#[derive(Default)]
struct Floor {
    /// Mean square; none before the first packet.
    power: Option<f32>,
}

impl Floor {
    /// By how much it rises from packet to packet of 20 ms.
    const RISE: f32 = 1.02;
    /// The faintest that is told: of one step of 16 bits.
    const FAINTEST: f32 = 90.0;

    fn hear(&mut self, samples: &[i16]) -> Option<u8> {
        if samples.is_empty() {
            return self.level();
        }
        let sum: f32 = samples.iter().map(|sample| f32::from(*sample) * f32::from(*sample)).sum();
        #[expect(clippy::cast_precision_loss, reason = "a packet")]
        let power = sum / samples.len() as f32;
        self.power = Some(self.power.map_or(power, |floor| power.min(floor * Self::RISE)).max(1.0));
        self.level()
    }

    fn level(&self) -> Option<u8> {
        let decibels = -10.0 * (self.power? / (32_768.0 * 32_768.0)).log10();
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "clamped")]
        let level = decibels.round().clamp(0.0, Self::FAINTEST) as u8;
        Some(level)
    }
}

impl Transcoder {
    /// One whose stream begins.
    ///
    /// # Errors
    /// The Opus library's, if it has no memory.
    pub fn new(wanted: Wanted) -> Result<Self, CodecError> {
        let Wanted { from, to, recorded } = wanted;
        let rate = rate_between(from, to);
        let encoder = to.map(|to| Encoder::new(to, rate, Purpose::Talk)).transpose()?;
        let down = (recorded && rate == Rate::Wide).then(Downsampler::new);
        let decoder = Decoder::new(from, rate)?;
        let (samples, narrow) = (Vec::new(), Vec::new());
        Ok(Self { wanted, decoder, encoder, down, rate, samples, narrow, floor: Floor::default() })
    }

    /// What it makes.
    #[must_use]
    pub const fn wanted(&self) -> Wanted {
        self.wanted
    }

    /// So many payloads before the next one are missing.
    pub fn miss(&mut self, payloads: u16) {
        // As long as the one before, mostly; beyond a few nothing can be made up for.
        const MOST: u16 = 3;
        let each = (self.samples.len() / self.rate.samples()).clamp(10, 60);
        for _ in 0..payloads.min(MOST) {
            self.decoder.miss(each);
        }
    }

    /// Makes what is wanted of the next payload.
    ///
    /// # Errors
    /// If it cannot be decoded, or its length cannot be encoded.
    pub fn transcode(&mut self, payload: &[u8], made: &mut Transcoded) -> Result<(), CodecError> {
        made.payload.clear();
        made.recorded.clear();
        self.samples.clear();
        self.decoder.decode(payload, &mut self.samples)?;
        made.floor = self.floor.hear(&self.samples);
        if self.wanted.recorded {
            let narrow = match &mut self.down {
                Some(down) => {
                    self.narrow.clear();
                    self.samples.iter().for_each(|sample| down.push(*sample, &mut self.narrow));
                    &self.narrow
                }
                None => &self.samples,
            };
            made.recorded.extend(narrow.iter().map(|sample| duogate_channel::g711::encode_alaw(*sample)));
        }
        match &mut self.encoder {
            Some(encoder) => encoder.encode(&self.samples, &mut made.payload),
            None => Ok(()),
        }
    }
}

/// The rate at which sound goes from one codec to the other: no wider than either has it.
fn rate_between(from: Codec, to: Option<Codec>) -> Rate {
    let wide = |codec: Codec| !codec.is_g711();
    if wide(from) && to.is_some_and(wide) { Rate::Wide } else { Rate::Narrow }
}
