//! Codecs at work: payloads to linear samples and back, for G.711, G.722 and Opus.
//!
//! The data plane forwards payloads as they come wherever both parties speak one codec; what is here runs beside it, on
//! helper threads of the gateway and in the control plane, which encodes prompts. Everything takes memory as it goes
//! and none of it belongs on a packet's way through a shard.
//!
//! One [`Decoder`] or [`Encoder`] is one direction of one stream: G.722 and Opus remember what was before.

mod decoder;
mod encoder;
mod g722;
mod packet;
mod resampler;
mod transcoder;

pub use decoder::Decoder;
pub use encoder::{Encoder, Purpose, prompt};
pub use resampler::{Downsampler, Upsampler};
pub use transcoder::{Transcoded, Transcoder, Wanted};

use duogate_channel::sound::Codec;

/// Samples a second of linear sound.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Rate {
    /// 8,000: what G.711 carries.
    Narrow,
    /// 16,000: what G.722 carries.
    Wide,
}

impl Rate {
    /// In Hz.
    #[must_use]
    pub const fn hertz(self) -> u32 {
        match self {
            Self::Narrow => 8_000,
            Self::Wide => 16_000,
        }
    }

    /// Samples in a millisecond.
    #[must_use]
    pub const fn samples(self) -> usize {
        match self {
            Self::Narrow => 8,
            Self::Wide => 16,
        }
    }
}

/// Why a payload could not be decoded, or sound not be encoded.
#[derive(Debug, thiserror::Error)]
pub enum CodecError {
    /// The library says so: no packet of the codec, or no memory.
    #[error("{0}")]
    Opus(#[from] opus::Error),
    /// So much sound makes no packet of the codec.
    #[error("{samples} samples are no length of a packet in {}", .codec.name())]
    Length {
        /// The codec.
        codec: Codec,
        /// Samples that were given.
        samples: usize,
    },
}
