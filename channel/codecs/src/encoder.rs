//! From linear samples to payloads.

use duogate_channel::g711;
use duogate_channel::sound::Codec;
use opus::{Application, Channels};

use crate::g722;
use crate::packet::{FRAMES, PIECE, ROOM};
use crate::resampler::{Downsampler, Upsampler};
use crate::{CodecError, Rate};

/// Bits a second of a prompt in Opus: what makes its packets of 20 ms [`duogate_channel::sound::OPUS_FRAME_OCTETS`] long.
const PROMPT_BITS: i32 = 32_000;

/// Samples of 20 ms of a prompt, at 8 kHz.
const PROMPT_STEP: usize = 160;

/// Bits a second of a conversation in Opus: transparent for speech of either band (RFC 7587 section 3.1.1 has 16 to 20
/// kbit/s for wideband), with room for what makes up for losses.
const TALK_BITS: i32 = 24_000;

/// How hard the Opus encoder tries, of 10. Up to here each step is worth its time in listening tests of speech; one
/// core carries twice the calls that it does at 9.
const EFFORT: i32 = 5;

/// Losses that the in-band correction of Opus prepares for, in percent.
const LOSSES: i32 = 5;

/// What sound is encoded for.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Purpose {
    /// A conversation: packets as short as they may be, with redundancy.
    Talk,
    /// A prompt: packets all of one length.
    Prompt,
}

/// One direction of one stream.
pub struct Encoder {
    engine: Engine,
}

enum Engine {
    G711(Codec),
    G711Narrowed(Codec, Downsampler, Vec<i16>),
    G722(Box<g722::Encoder>),
    G722Widened(Box<g722::Encoder>, Upsampler, Vec<i16>),
    Opus(opus::Encoder, Rate),
}

impl Encoder {
    /// One that takes samples at this rate.
    ///
    /// # Errors
    /// The Opus library's, if it has no memory.
    pub fn new(codec: Codec, rate: Rate, purpose: Purpose) -> Result<Self, CodecError> {
        let g722 = || Box::new(g722::Encoder::new());
        let engine = match (codec, rate) {
            (Codec::Pcma | Codec::Pcmu, Rate::Narrow) => Engine::G711(codec),
            (Codec::Pcma | Codec::Pcmu, Rate::Wide) => {
                Engine::G711Narrowed(codec, Downsampler::new(), Vec::new())
            }
            (Codec::G722, Rate::Wide) => Engine::G722(g722()),
            (Codec::G722, Rate::Narrow) => Engine::G722Widened(g722(), Upsampler::new(), Vec::new()),
            (Codec::Opus, _) => Engine::Opus(opus_encoder(rate, purpose)?, rate),
        };
        Ok(Self { engine })
    }

    /// Encodes samples as one payload behind what is in `payload` already.
    ///
    /// # Errors
    /// If so many samples make no packet: an odd number for G.722, anything but 10, 20, … 60 ms for Opus.
    pub fn encode(&mut self, samples: &[i16], payload: &mut Vec<u8>) -> Result<(), CodecError> {
        match &mut self.engine {
            Engine::G711(codec) => payload.extend(samples.iter().map(|sample| g711::encode(*codec, *sample))),
            Engine::G711Narrowed(codec, down, narrow) => {
                narrow.clear();
                samples.iter().for_each(|sample| down.push(*sample, narrow));
                payload.extend(narrow.iter().map(|sample| g711::encode(*codec, *sample)));
            }
            Engine::G722(encoder) => {
                if !samples.len().is_multiple_of(2) {
                    return Err(CodecError::Length { codec: Codec::G722, samples: samples.len() });
                }
                encoder.encode(samples, payload);
            }
            Engine::G722Widened(encoder, up, wide) => {
                wide.clear();
                samples.iter().for_each(|sample| up.push(*sample, wide));
                encoder.encode(wide, payload);
            }
            Engine::Opus(encoder, rate) => opus_payload(encoder, *rate, samples, payload)?,
        }
        Ok(())
    }
}

/// Encodes a prompt of 8,000 samples a second, in steps of 20 ms one behind the other. In G.711 it is as long as the
/// samples are; elsewhere silence fills up the last step.
///
/// # Errors
/// The Opus library's.
pub fn prompt(codec: Codec, samples: &[i16]) -> Result<Vec<u8>, CodecError> {
    let mut encoder = Encoder::new(codec, Rate::Narrow, Purpose::Prompt)?;
    let mut octets = Vec::new();
    let (whole, rest) = samples.as_chunks::<PROMPT_STEP>();
    for step in whole {
        encoder.encode(step, &mut octets)?;
    }
    if codec.is_g711() {
        encoder.encode(rest, &mut octets)?;
    } else if !rest.is_empty() {
        let mut last = [0; PROMPT_STEP];
        last[..rest.len()].copy_from_slice(rest);
        encoder.encode(&last, &mut octets)?;
    }
    Ok(octets)
}

fn opus_encoder(rate: Rate, purpose: Purpose) -> Result<opus::Encoder, CodecError> {
    let mut encoder = opus::Encoder::new(rate.hertz(), Channels::Mono, Application::Voip)?;
    encoder.set_complexity(EFFORT)?;
    match purpose {
        Purpose::Talk => {
            encoder.set_bitrate(opus::Bitrate::Bits(TALK_BITS))?;
            encoder.set_inband_fec(true)?;
            encoder.set_packet_loss_perc(LOSSES)?;
        }
        Purpose::Prompt => {
            encoder.set_bitrate(opus::Bitrate::Bits(PROMPT_BITS))?;
            encoder.set_vbr(false)?;
        }
    }
    Ok(encoder)
}

/// One packet of Opus: of one frame where there is one of that length, else of several of 10 ms.
fn opus_payload(
    encoder: &mut opus::Encoder,
    rate: Rate,
    samples: &[i16],
    payload: &mut Vec<u8>,
) -> Result<(), CodecError> {
    let each = rate.samples();
    let milliseconds = samples.len() / each;
    let whole = samples.len().is_multiple_of(each * PIECE) && (PIECE..=60).contains(&milliseconds);
    if !whole {
        return Err(CodecError::Length { codec: Codec::Opus, samples: samples.len() });
    }
    if FRAMES.contains(&milliseconds) {
        payload.append(&mut encoder.encode_vec(samples, ROOM)?);
        return Ok(());
    }
    let frames: Result<Vec<_>, _> =
        samples.chunks(each * PIECE).map(|piece| encoder.encode_vec(piece, ROOM)).collect();
    let frames = frames?;
    let pieces: Vec<&[u8]> = frames.iter().map(Vec::as_slice).collect();
    let before = payload.len();
    payload.resize(before + ROOM, 0);
    let combined = opus::Repacketizer::new()?.combine(&pieces, &mut payload[before..]);
    payload.truncate(before + combined.as_ref().map_or(0, |length| *length));
    combined?;
    Ok(())
}
