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
use super::wav;

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
    // Before the demuxer calculates with them: it believes every header.
    if let Some((rate, channels)) = wav::shape(&file).map_err(FileProblem::Io)? {
        fits(rate, channels.into())?;
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

fn fits(rate: u32, channels: usize) -> Result<(), FileProblem> {
    if !RATES.contains(&rate) {
        return Err(FileProblem::Unsupported(format!("a sample rate of {rate} Hz")));
    }
    if channels == 0 || channels > MOST_CHANNELS {
        return Err(FileProblem::Unsupported(format!("{channels} channels")));
    }
    Ok(())
}

fn check_shape(decoded: &mut Decoded, rate: u32, channels: usize) -> Result<(), FileProblem> {
    fits(rate, channels)?;
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

#[cfg(test)]
mod tests {
    use std::f32::consts::TAU;
    use std::io::{Seek, Write};

    use super::*;

    /// A second of a 1 kHz sine on every channel.
    fn tone(rate: u32, channels: u16, bits: u16) -> File {
        let specification = hound::WavSpec {
            channels,
            sample_rate: rate,
            bits_per_sample: bits,
            sample_format: hound::SampleFormat::Int,
        };
        let file = tempfile::tempfile().unwrap();
        let mut writer = hound::WavWriter::new(file.try_clone().unwrap(), specification).unwrap();
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let scale = (1_i64 << (bits - 2)) as f32;
        for n in 0..rate {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let value = (TAU * 1_000.0 * n as f32 / rate as f32).sin() * scale;
            for _ in 0..channels {
                #[expect(clippy::cast_possible_truncation, reason = "half of full scale")]
                writer.write_sample(value as i32).unwrap();
            }
        }
        writer.finalize().unwrap();
        rewound(file)
    }

    fn rewound(mut file: File) -> File {
        file.rewind().unwrap();
        file
    }

    /// The share of a signal's power that lies at 1 kHz.
    fn purity(samples: &[i16]) -> f64 {
        let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
        for (n, &sample) in samples.iter().enumerate() {
            #[expect(clippy::cast_precision_loss, reason = "small numbers")]
            let phase = std::f64::consts::TAU * n as f64 / 8.0;
            sine += f64::from(sample) * phase.sin();
            cosine += f64::from(sample) * phase.cos();
            power += f64::from(sample).powi(2);
        }
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let count = samples.len() as f64;
        2.0 * (sine * sine + cosine * cosine) / (count * power)
    }

    #[test]
    fn every_rate_and_width_comes_out_as_the_same_tone_at_8_khz() {
        for (rate, channels, bits) in [
            (8_000, 1, 16),
            (8_000, 2, 8),
            (11_025, 1, 16),
            (44_100, 2, 16),
            (48_000, 1, 24),
            (96_000, 2, 32),
        ] {
            let samples = decode(tone(rate, channels, bits), 10).unwrap();
            assert!((7_900..=8_100).contains(&samples.len()), "{rate}: {}", samples.len());
            let middle = &samples[1_000..7_000];
            assert!(purity(middle) > 0.99, "{rate}/{channels}/{bits}: {}", purity(middle));
            let peak = middle.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!((15_000..=17_800).contains(&peak), "{rate}/{channels}/{bits}: peak {peak}");
        }
    }

    /// A file of 16 bits whose pitch rises steadily, at half of full scale.
    fn sweep(rate: u32, from: f64, to: f64) -> File {
        let mut file = tempfile::tempfile().unwrap();
        let spec = hound::WavSpec {
            channels: 1,
            sample_rate: rate,
            bits_per_sample: 16,
            sample_format: hound::SampleFormat::Int,
        };
        let mut writer = hound::WavWriter::new(&mut file, spec).unwrap();
        for n in 0..2 * rate {
            let time = f64::from(n) / f64::from(rate);
            let phase = std::f64::consts::TAU * (from + (to - from) * time / 4.0) * time;
            #[expect(clippy::cast_possible_truncation, reason = "half of full scale")]
            writer.write_sample((phase.sin() * 16_384.0) as i16).unwrap();
        }
        writer.finalize().unwrap();
        rewound(file)
    }

    /// The power of a sound against that of a sine at half of full scale, in dB.
    fn level(samples: &[i16]) -> f64 {
        #[expect(clippy::cast_precision_loss, reason = "small numbers")]
        let count = samples.len() as f64;
        let power = samples.iter().map(|sample| f64::from(*sample).powi(2)).sum::<f64>() / count;
        10.0 * (power.max(1e-9) / (16_384.0_f64.powi(2) / 2.0)).log10()
    }

    #[test]
    fn what_a_telephone_cannot_carry_is_left_out_and_not_folded_down() {
        for rate in [16_000_u32, 22_050, 32_000, 44_100, 48_000] {
            let above = decode(sweep(rate, 4_300.0, f64::from(rate) / 2.0 - 100.0), 10).unwrap();
            // The ends of the file are edges, which no filter keeps from sounding at all pitches.
            let above = above[1_000..15_000].chunks(160).map(level).fold(f64::MIN, f64::max);
            assert!(above < -50.0, "{rate}: {above:.1} dB of what lies above 4.3 kHz");
            let below = level(&decode(sweep(rate, 300.0, 3_400.0), 10).unwrap()[1_000..15_000]);
            assert!(below.abs() < 0.5, "{rate}: {below:.2} dB of what lies in the telephone's band");
        }
    }

    #[test]
    fn compressed_sound_at_8_khz_stays_as_it_is_bit_by_bit() {
        let octets: Vec<u8> = (0..=255_u8).cycle().take(8_000).collect();
        for (tag, codec) in
            [(6_u16, duogate_channel::sound::Codec::Pcma), (7, duogate_channel::sound::Codec::Pcmu)]
        {
            let mut bytes = b"RIFF\0\0\0\0WAVEfmt \x12\0\0\0".to_vec();
            bytes.extend_from_slice(&tag.to_le_bytes());
            bytes.extend_from_slice(b"\x01\0\x40\x1f\0\0\x40\x1f\0\0\x01\0\x08\0\0\0data");
            bytes.extend_from_slice(&8_000_u32.to_le_bytes());
            bytes.extend_from_slice(&octets);
            let size = u32::try_from(bytes.len() - 8).unwrap();
            bytes[4..8].copy_from_slice(&size.to_le_bytes());
            let mut file = tempfile::tempfile().unwrap();
            file.write_all(&bytes).unwrap();
            let samples = decode(rewound(file), 10).unwrap();
            let again: Vec<u8> =
                samples.iter().map(|sample| duogate_channel::g711::encode(codec, *sample)).collect();
            // µ-law has two codes for zero.
            let equal = |(one, two): (&u8, &u8)| one == two || (*one == 0x7F && *two == 0xFF);
            assert!(again.len() == octets.len() && octets.iter().zip(&again).all(equal), "{codec:?}");
        }
    }

    #[test]
    fn a_sound_beyond_the_limit_is_refused() {
        assert!(matches!(decode(tone(16_000, 1, 16), 0), Err(FileProblem::TooLong(_))));
    }

    #[test]
    fn a_header_that_promises_what_nobody_has_is_refused_by_that() {
        for (place, value, word) in
            [(22_u64, 0x8000_u16, "32768 channels"), (22, 0, "0 channels"), (24, 100, "100 Hz")]
        {
            let mut file = tone(8_000, 2, 16);
            file.seek(std::io::SeekFrom::Start(place)).unwrap();
            file.write_all(&value.to_le_bytes()).unwrap();
            let problem = decode(rewound(file), 10).unwrap_err();
            assert!(matches!(&problem, FileProblem::Unsupported(text) if text.contains(word)), "{problem}");
        }
    }

    /// The same tone, 0.4 s of it, as common encoders make files of it.
    const FILES: [(&str, &[u8]); 3] = [
        ("MP3", include_bytes!("fixtures/tone.mp3")),
        ("Ogg Vorbis", include_bytes!("fixtures/tone.ogg")),
        ("FLAC", include_bytes!("fixtures/tone.flac")),
    ];

    fn file(bytes: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(bytes).unwrap();
        rewound(file)
    }

    #[test]
    fn compressed_files_hold_the_same_tone() {
        for (what, bytes) in FILES {
            let samples = decode(file(bytes), 10).unwrap();
            assert!((3_000..=4_200).contains(&samples.len()), "{what}: {}", samples.len());
            let middle = &samples[1_000..2_600];
            assert!(purity(middle) > 0.98, "{what}: {}", purity(middle));
            let peak = middle.iter().map(|sample| sample.unsigned_abs()).max().unwrap();
            assert!((14_500..=18_000).contains(&peak), "{what}: peak {peak}");
        }
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_refused_or_decoded_and_never_panic(
            at in 0_usize..400, with in proptest::collection::vec(proptest::num::u8::ANY, 1..40),
        ) {
            let mut file = tone(8_000, 2, 16);
            file.seek(std::io::SeekFrom::Start(at as u64)).unwrap();
            file.write_all(&with).unwrap();
            let _ = decode(rewound(file), 10);
        }

        #[test]
        fn damaged_compressed_files_are_refused_or_decoded_and_never_panic(
            which in 0_usize..3, at in 0_usize..3_000, with in proptest::collection::vec(proptest::num::u8::ANY, 1..40),
            cut in 0_usize..3_000,
        ) {
            let mut bytes = FILES[which].1.to_vec();
            let at = at % bytes.len();
            let end = bytes.len().min(at + with.len());
            bytes[at..end].copy_from_slice(&with[..end - at]);
            bytes.truncate(bytes.len().saturating_sub(cut % 97));
            let _ = decode(file(&bytes), 10);
        }
    }
}
