//! From payloads to linear samples.

use duogate_channel::g711;
use duogate_channel::sound::Codec;

use crate::g722;
use crate::packet::LONGEST;
use crate::resampler::{Downsampler, Upsampler};
use crate::{CodecError, Rate};

/// One direction of one stream.
pub struct Decoder {
    engine: Engine,
}

enum Engine {
    /// One octet a sample.
    G711(Codec),
    G711Wide(Codec, Upsampler),
    G722(Box<g722::Decoder>),
    G722Narrow(Box<g722::Decoder>, Downsampler, Vec<i16>),
    Opus(opus::Decoder, Rate),
}

impl Decoder {
    /// One that gives samples at this rate.
    ///
    /// # Errors
    /// The Opus library's, if it has no memory.
    pub fn new(codec: Codec, rate: Rate) -> Result<Self, CodecError> {
        let g722 = || Box::new(g722::Decoder::new());
        let engine = match (codec, rate) {
            (Codec::Pcma | Codec::Pcmu, Rate::Narrow) => Engine::G711(codec),
            (Codec::Pcma | Codec::Pcmu, Rate::Wide) => Engine::G711Wide(codec, Upsampler::new()),
            (Codec::G722, Rate::Wide) => Engine::G722(g722()),
            (Codec::G722, Rate::Narrow) => Engine::G722Narrow(g722(), Downsampler::new(), Vec::new()),
            (Codec::Opus, _) => {
                // One channel: a packet of two is mixed down by the library (RFC 6716 section 4).
                Engine::Opus(opus::Decoder::new(rate.hertz(), opus::Channels::Mono)?, rate)
            }
        };
        Ok(Self { engine })
    }

    /// Decodes a payload behind what is in `samples` already.
    ///
    /// # Errors
    /// If it is no packet of Opus. Any octets are one of the others.
    pub fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        let linear = |codec: Codec| payload.iter().map(move |byte| g711::decode(codec, *byte));
        match &mut self.engine {
            Engine::G711(codec) => samples.extend(linear(*codec)),
            Engine::G711Wide(codec, up) => linear(*codec).for_each(|sample| up.push(sample, samples)),
            Engine::G722(decoder) => decoder.decode(payload, samples),
            Engine::G722Narrow(decoder, down, wide) => {
                wide.clear();
                decoder.decode(payload, wide);
                wide.iter().for_each(|sample| down.push(*sample, samples));
            }
            Engine::Opus(decoder, rate) => opus_packet(decoder, *rate, payload, samples)?,
        }
        Ok(())
    }

    /// A payload of so many milliseconds is missing: what follows shall not begin with a click. What stands for it is
    /// thrown away.
    pub fn miss(&mut self, milliseconds: usize) {
        if let Engine::Opus(decoder, rate) = &mut self.engine {
            let mut instead = vec![0; rate.samples() * milliseconds];
            // It only smooths: if the library will not, nothing is lost.
            let _ = decoder.decode(&[], &mut instead, false);
        }
    }
}

fn opus_packet(
    decoder: &mut opus::Decoder,
    rate: Rate,
    payload: &[u8],
    samples: &mut Vec<i16>,
) -> Result<(), CodecError> {
    let before = samples.len();
    samples.resize(before + rate.samples() * LONGEST, 0);
    let outcome = decoder.decode(payload, &mut samples[before..], false);
    samples.truncate(before + outcome.as_ref().map_or(0, |count| *count));
    outcome?;
    Ok(())
}
