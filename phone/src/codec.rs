//! The codecs that a phone speaks: those of the workspace. G.711, and the length of a packet, are written apart from the
//! gateway's, so that the two check each other.

use std::fmt;

pub use duogate_channel::sound::Codec;
use duogate_codecs::{CodecError, Purpose, Rate};

use crate::g711;

/// The static payload type (RFC 3551 section 6), or the dynamic one that a phone's own offers have; it is not the
/// gateway's, so that a mix-up is seen.
#[must_use]
pub const fn offered_type(codec: Codec) -> u8 {
    match codec {
        Codec::Opus => 98,
        Codec::Pcma | Codec::Pcmu | Codec::G722 => codec.payload_type(),
    }
}

/// How many ticks of its codec's clock a payload lasts; none if it is no payload of that codec.
#[must_use]
pub fn ticks(codec: Codec, payload: &[u8]) -> Option<u32> {
    let ticks = match codec {
        Codec::Pcma | Codec::Pcmu | Codec::G722 => u32::try_from(payload.len()).ok()?,
        Codec::Opus => opus_ticks(payload)?,
    };
    (ticks > 0).then_some(ticks)
}

/// The length of an Opus packet, from its first two octets (RFC 6716 section 3.1), in ticks of 48 kHz.
fn opus_ticks(packet: &[u8]) -> Option<u32> {
    let first = *packet.first()?;
    let configuration = first >> 3;
    let step = u32::from(configuration % 4);
    let frame = match configuration {
        // SILK: 10, 20, 40, 60 ms.
        0..=11 => [480, 960, 1_920, 2_880][usize::from(configuration % 4)],
        // Hybrid: 10, 20 ms.
        12..=15 => 480 << (step % 2),
        // CELT: 2.5, 5, 10, 20 ms.
        _ => 120 << step,
    };
    let frames = match first & 3 {
        0 => 1,
        1 | 2 => 2,
        _ => u32::from(*packet.get(1)? & 0x3f),
    };
    // No packet is longer than 120 ms.
    Some(frame * frames).filter(|ticks| *ticks <= 5_760)
}

/// Payloads to samples of 8 kHz, one direction of one stream.
pub(crate) enum Decoder {
    Law(g711::Law),
    Other(Box<duogate_codecs::Decoder>),
}

impl Decoder {
    pub(crate) fn new(codec: Codec) -> Result<Self, CodecError> {
        Ok(match g711::Law::of(codec) {
            Some(law) => Self::Law(law),
            None => Self::Other(Box::new(duogate_codecs::Decoder::new(codec, Rate::Narrow)?)),
        })
    }

    pub(crate) fn decode(&mut self, payload: &[u8], samples: &mut Vec<i16>) -> Result<(), CodecError> {
        match self {
            Self::Law(law) => samples.extend(payload.iter().map(|octet| law.decode(*octet))),
            Self::Other(decoder) => decoder.decode(payload, samples)?,
        }
        Ok(())
    }
}

impl fmt::Debug for Decoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Decoder")
    }
}

/// Samples of 8 kHz to payloads, one direction of one stream.
pub(crate) enum Encoder {
    Law(g711::Law),
    Other(Box<duogate_codecs::Encoder>),
}

impl Encoder {
    pub(crate) fn new(codec: Codec) -> Result<Self, CodecError> {
        Ok(match g711::Law::of(codec) {
            Some(law) => Self::Law(law),
            None => {
                let encoder = duogate_codecs::Encoder::new(codec, Rate::Narrow, Purpose::Talk)?;
                Self::Other(Box::new(encoder))
            }
        })
    }

    pub(crate) fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        match self {
            Self::Law(law) => payload.extend(samples.iter().map(|sample| law.encode(*sample))),
            Self::Other(encoder) => encoder.encode(samples, payload)?,
        }
        Ok(())
    }
}

impl fmt::Debug for Encoder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Encoder")
    }
}
