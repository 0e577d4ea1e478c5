//! The codecs that a phone speaks. G.711 is written apart from the gateway's, so that the two check each other; G.722
//! and Opus are the workspace's own.

use std::fmt;

use duogate_channel::sound::Codec as Shared;
use duogate_codecs::{CodecError, Purpose, Rate};

use crate::g711;
use crate::tone::RATE;

/// Which codec.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Codec {
    /// G.711 A-law.
    Pcma,
    /// G.711 µ-law.
    Pcmu,
    /// G.722 at 64 kbit/s.
    G722,
    /// Opus (RFC 7587), one channel.
    Opus,
}

impl Codec {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Pcma, Self::Pcmu, Self::G722, Self::Opus];

    /// The static payload type (RFC 3551 section 6), or the dynamic one that a phone's own offers have; it is not the
    /// gateway's, so that a mix-up is seen.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::Pcmu => 0,
            Self::G722 => 9,
            Self::Opus => 98,
        }
    }

    /// The encoding name in session descriptions.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The codec of a name, however it is written.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Ticks of its RTP clock in a second. That of G.722 is 8,000 by an old mistake (RFC 3551 section 4.5.2).
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        match self {
            Self::Pcma | Self::Pcmu | Self::G722 => RATE,
            Self::Opus => 48_000,
        }
    }

    /// How many ticks of its clock a payload lasts; none if it is no payload of the codec.
    #[must_use]
    pub fn ticks(self, payload: &[u8]) -> Option<u32> {
        let ticks = match self {
            Self::Pcma | Self::Pcmu | Self::G722 => u32::try_from(payload.len()).ok()?,
            Self::Opus => opus_ticks(payload)?,
        };
        (ticks > 0).then_some(ticks)
    }

    const fn shared(self) -> Shared {
        match self {
            Self::Pcma => Shared::Pcma,
            Self::Pcmu => Shared::Pcmu,
            Self::G722 => Shared::G722,
            Self::Opus => Shared::Opus,
        }
    }
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
            None => Self::Other(Box::new(duogate_codecs::Decoder::new(codec.shared(), Rate::Narrow)?)),
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
                let encoder = duogate_codecs::Encoder::new(codec.shared(), Rate::Narrow, Purpose::Talk)?;
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
