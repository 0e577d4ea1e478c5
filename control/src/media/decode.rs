//! Turns a sound file into 8 kHz mono.

use std::fs::File;
use std::io::ErrorKind;

use rubato::audioadapter_buffers::direct::InterleavedSlice;
use rubato::{Fft, FixedSync, Resampler};
use symphonia::core::codecs::audio::{AudioDecoder, AudioDecoderOptions};
use symphonia::core::errors::Error;
use symphonia::core::formats::probe::Hint;
use symphonia::core::formats::{FormatOptions, FormatReader, TrackType};
use symphonia::core::io::MediaSourceStream;
use symphonia::core::meta::MetadataOptions;

use super::problem::FileProblem;
use super::tone::SAMPLE_RATE;

/// Sample rates that are taken, in Hz. Below is no telephone sound, above is no recorder.
const RATES: std::ops::RangeInclusive<u32> = 4_000..=192_000;

/// Most channels that are mixed down: 7.1.
const MOST_CHANNELS: usize = 8;

/// Largest file that is looked at: ten minutes of 96 kHz, 32-bit stereo is 461 MB and no sensible prompt;
/// an hour of 8 kHz 16-bit mono is 58 MB.
const LARGEST_FILE: u64 = 64 << 20;

/// What a decoder found, before resampling.
struct Decoded {
    rate: u32,
    mono: Vec<f32>,
}

/// Decodes a file whole, mixes it to mono and resamples it to 8 kHz. Blocking; for a blocking thread.
///
/// `longest_seconds` bounds the memory: a sound needs four bytes a sample while it is decoded.
pub(crate) fn decode(file: File, longest_seconds: u32) -> Result<Vec<i16>, FileProblem> {
    let size = file.metadata().map_err(FileProblem::Io)?.len();
    if size == 0 {
        return Err(FileProblem::Empty);
    }
    if size > LARGEST_FILE {
        return Err(FileProblem::TooLong(format!("{size} bytes, the limit is {LARGEST_FILE}")));
    }
    let decoded = samples(file, longest_seconds)?;
    if decoded.mono.is_empty() {
        return Err(FileProblem::Empty);
    }
    let telephone = resample(decoded)?;
    Ok(telephone.into_iter().map(quantize).collect())
}

fn samples(file: File, longest_seconds: u32) -> Result<Decoded, FileProblem> {
    let stream =
        MediaSourceStream::new(Box::new(file), symphonia::core::io::MediaSourceStreamOptions::default());
    let mut format = symphonia::default::get_probe()
        .probe(&Hint::new(), stream, FormatOptions::default(), MetadataOptions::default())
        .map_err(not_sound)?;
    let (track, promised, mut decoder) = open_track(format.as_ref())?;
    let mut decoded = Decoded { rate: 0, mono: Vec::new() };
    let mut interleaved: Vec<f32> = Vec::new();
    let mut cut = false;
    loop {
        let packet = match format.next_packet() {
            Ok(Some(packet)) => packet,
            // A WAV or MP3 that ends early ends with this error; so does, in some demuxers, one that is whole.
            Err(Error::IoError(error)) if error.kind() == ErrorKind::UnexpectedEof => {
                cut = true;
                break;
            }
            Ok(None) => break,
            Err(error) => return Err(FileProblem::NotSound(error.to_string())),
        };
        if packet.track_id != track {
            continue;
        }
        match decoder.decode(&packet) {
            Ok(buffer) => {
                let (rate, channels) = (buffer.spec().rate(), buffer.spec().channels().count());
                check_shape(&mut decoded, rate, channels)?;
                buffer.copy_to_vec_interleaved(&mut interleaved);
                mix(&interleaved, channels, &mut decoded.mono);
            }
            Err(Error::DecodeError(_)) => cut = true,
            Err(error) => return Err(FileProblem::NotSound(error.to_string())),
        }
        if decoded.mono.len() as u64 > u64::from(longest_seconds) * u64::from(decoded.rate) {
            return Err(FileProblem::TooLong(format!("the limit is {longest_seconds} seconds")));
        }
    }
    whole(decoded, promised, cut)
}

type OpenTrack = (u32, Option<u64>, Box<dyn AudioDecoder>);

fn open_track(format: &dyn FormatReader) -> Result<OpenTrack, FileProblem> {
    let track = format
        .default_track(TrackType::Audio)
        .ok_or_else(|| FileProblem::NotSound("it has no audio track".into()))?;
    let parameters = track
        .codec_params
        .as_ref()
        .and_then(|parameters| parameters.audio())
        .ok_or_else(|| FileProblem::Unsupported("its codec is not known".into()))?;
    let decoder = symphonia::default::get_codecs()
        .make_audio_decoder(parameters, &AudioDecoderOptions::default())
        .map_err(|error| FileProblem::Unsupported(error.to_string()))?;
    Ok((track.id, track.num_frames, decoder))
}

fn check_shape(decoded: &mut Decoded, rate: u32, channels: usize) -> Result<(), FileProblem> {
    if !RATES.contains(&rate) {
        return Err(FileProblem::Unsupported(format!("a sample rate of {rate} Hz")));
    }
    if channels == 0 || channels > MOST_CHANNELS {
        return Err(FileProblem::Unsupported(format!("{channels} channels")));
    }
    if decoded.rate != 0 && decoded.rate != rate {
        return Err(FileProblem::Unsupported("a sample rate that changes".into()));
    }
    decoded.rate = rate;
    Ok(())
}

fn mix(interleaved: &[f32], channels: usize, mono: &mut Vec<f32>) {
    #[expect(clippy::cast_precision_loss, reason = "at most eight channels")]
    let share = 1.0 / channels as f32;
    mono.extend(interleaved.chunks_exact(channels).map(|frame| frame.iter().sum::<f32>() * share));
}

/// Compares what was found with what the header promises.
fn whole(decoded: Decoded, promised: Option<u64>, cut: bool) -> Result<Decoded, FileProblem> {
    let found = decoded.mono.len() as u64;
    match promised {
        // Encoders' padding lets MP3 and Vorbis miss their own figure by a frame or two.
        Some(promised) if found + 2_304 < promised => {
            if found == 0 && !cut {
                Err(FileProblem::Empty)
            } else {
                Err(FileProblem::Truncated { found, promised })
            }
        }
        None if cut && found == 0 => Err(FileProblem::Truncated { found, promised: 1 }),
        _ => Ok(decoded),
    }
}

fn not_sound(error: Error) -> FileProblem {
    match error {
        Error::IoError(error) if error.kind() == ErrorKind::UnexpectedEof => {
            FileProblem::NotSound("neither WAV, MP3, FLAC nor Ogg, or cut off in its header".into())
        }
        Error::IoError(error) => FileProblem::Io(error),
        other => FileProblem::NotSound(other.to_string()),
    }
}

fn resample(decoded: Decoded) -> Result<Vec<f32>, FileProblem> {
    /// Frames per step of the resampler; only its speed depends on it.
    const CHUNK: usize = 1_024;
    if decoded.rate == SAMPLE_RATE {
        return Ok(decoded.mono);
    }
    let failed =
        |error: String| FileProblem::Unsupported(format!("its sample rate cannot be converted: {error}"));
    let mut resampler =
        Fft::<f32>::new(decoded.rate as usize, SAMPLE_RATE as usize, CHUNK, 1, FixedSync::Both)
            .map_err(|error| failed(error.to_string()))?;
    let frames = decoded.mono.len();
    let input = InterleavedSlice::new(&decoded.mono, 1, frames).map_err(|error| failed(error.to_string()))?;
    let output = resampler.process_all(&input, frames, None).map_err(|error| failed(error.to_string()))?;
    Ok(output.take_data())
}

fn quantize(sample: f32) -> i16 {
    let scaled = (sample * 32_768.0).round().clamp(-32_768.0, 32_767.0);
    #[expect(clippy::cast_possible_truncation, reason = "clamped to 16 bits")]
    let quantized = scaled as i16;
    quantized
}
