//! Sound files for tests.

use std::f64::consts::TAU;
use std::fs;
use std::path::Path;

/// Samples a second of the files made here.
const RATE: u32 = 8_000;

/// Writes a 16-bit mono WAV of one tone, at half of full scale.
///
/// # Panics
/// If the file cannot be written.
pub fn write_tone(path: &Path, hertz: u32, seconds: u32) {
    let samples: Vec<i16> = (0..RATE * seconds)
        .map(|place| {
            let phase = TAU * f64::from(hertz) * f64::from(place) / f64::from(RATE);
            to_sample(phase.sin() * 16_384.0)
        })
        .collect();
    fs::write(path, pcm16(&samples, RATE, 1)).expect("a prompt in the folder of the test");
}

/// A WAV file of 16-bit samples.
///
/// # Panics
/// If it would be larger than a WAV can be.
#[must_use]
pub fn pcm16(samples: &[i16], rate: u32, channels: u16) -> Vec<u8> {
    let data: Vec<u8> = samples.iter().flat_map(|sample| sample.to_le_bytes()).collect();
    let length = u32::try_from(data.len()).expect("a file below 4 GiB");
    let mut file = Vec::with_capacity(44 + data.len());
    file.extend_from_slice(b"RIFF");
    file.extend_from_slice(&(36 + length).to_le_bytes());
    file.extend_from_slice(b"WAVEfmt \x10\0\0\0\x01\0");
    file.extend_from_slice(&channels.to_le_bytes());
    file.extend_from_slice(&rate.to_le_bytes());
    file.extend_from_slice(&(rate * u32::from(channels) * 2).to_le_bytes());
    file.extend_from_slice(&(channels * 2).to_le_bytes());
    file.extend_from_slice(b"\x10\0data");
    file.extend_from_slice(&length.to_le_bytes());
    file.extend_from_slice(&data);
    file
}

#[allow(clippy::cast_possible_truncation, reason = "the amplitude is far below the limits of a sample")]
fn to_sample(value: f64) -> i16 {
    value as i16
}
