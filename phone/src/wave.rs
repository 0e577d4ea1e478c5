//! WAV files: enough to write a prompt and to read a recording.

use crate::g711::Law;

/// Sound from a WAV file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Wave {
    /// Samples a second.
    pub rate: u32,
    /// The WAVE format code: 1 linear, 6 A-law, 7 µ-law.
    pub format: u16,
    /// The samples of each channel.
    pub channels: Vec<Vec<i16>>,
}

/// Why a WAV file cannot be read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum WaveError {
    /// No RIFF header, or one that does not say WAVE.
    #[error("not a WAV file")]
    NotWave,
    /// A chunk is longer than the file.
    #[error("the file ends in the middle of a chunk")]
    Truncated,
    /// No format or no data.
    #[error("the format or the data is missing")]
    Incomplete,
    /// Neither PCM16 nor G.711, or no channel.
    #[error("format {format} with {bits} bits and {channels} channels is not known here")]
    Unknown {
        /// WAVE format code.
        format: u16,
        /// Bits a sample.
        bits: u16,
        /// Channels.
        channels: u16,
    },
}

/// A mono PCM16 file of 8 kHz.
#[must_use]
pub fn write_mono(samples: &[i16]) -> Vec<u8> {
    let bytes = u32::try_from(samples.len() * 2).unwrap_or(u32::MAX);
    let rate = crate::tone::RATE;
    let mut file = Vec::with_capacity(44 + samples.len() * 2);
    file.extend(b"RIFF");
    file.extend((bytes + 36).to_le_bytes());
    file.extend(b"WAVEfmt ");
    file.extend(16_u32.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(1_u16.to_le_bytes());
    file.extend(rate.to_le_bytes());
    file.extend((rate * 2).to_le_bytes());
    file.extend(2_u16.to_le_bytes());
    file.extend(16_u16.to_le_bytes());
    file.extend(b"data");
    file.extend(bytes.to_le_bytes());
    file.extend(samples.iter().flat_map(|sample| sample.to_le_bytes()));
    file
}

/// Reads a PCM16, A-law or µ-law file.
///
/// # Errors
/// What is wrong with it.
pub fn read(file: &[u8]) -> Result<Wave, WaveError> {
    if file.len() < 12 || &file[..4] != b"RIFF" || &file[8..12] != b"WAVE" {
        return Err(WaveError::NotWave);
    }
    let (mut format, mut data) = (None, None);
    let mut rest = &file[12..];
    while rest.len() >= 8 {
        let (name, length) = (&rest[..4], length_at(rest, 4));
        let chunk = rest.get(8..8 + length).ok_or(WaveError::Truncated)?;
        match name {
            b"fmt " if length >= 16 => format = Some(chunk),
            b"data" => data = Some(chunk),
            _ => {}
        }
        rest = rest.get(8 + length + length % 2..).unwrap_or(&[]);
    }
    let (Some(format), Some(data)) = (format, data) else { return Err(WaveError::Incomplete) };
    split(format, data)
}

fn split(format: &[u8], data: &[u8]) -> Result<Wave, WaveError> {
    let short = |at: usize| u16::from_le_bytes([format[at], format[at + 1]]);
    let (code, count, bits) = (short(0), short(2), short(14));
    let samples: Vec<i16> = match (code, bits) {
        (1, 16) => data.chunks_exact(2).map(|pair| i16::from_le_bytes([pair[0], pair[1]])).collect(),
        (6, 8) => data.iter().map(|octet| Law::A.decode(*octet)).collect(),
        (7, 8) => data.iter().map(|octet| Law::Mu.decode(*octet)).collect(),
        _ => return Err(WaveError::Unknown { format: code, bits, channels: count }),
    };
    if count == 0 {
        return Err(WaveError::Unknown { format: code, bits, channels: count });
    }
    let count = usize::from(count);
    let channels =
        (0..count).map(|channel| samples.iter().skip(channel).step_by(count).copied().collect()).collect();
    let rate = u32::try_from(length_at(format, 4)).unwrap_or(u32::MAX);
    Ok(Wave { rate, format: code, channels })
}

fn length_at(bytes: &[u8], at: usize) -> usize {
    let four = [bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]];
    usize::try_from(u32::from_le_bytes(four)).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_written_is_read() {
        let samples: Vec<i16> = (-100..100).collect();
        let wave = read(&write_mono(&samples)).unwrap();
        assert_eq!(wave, Wave { rate: 8000, format: 1, channels: vec![samples] });
    }

    #[test]
    fn two_channels_of_a_law_come_apart() {
        let mut file = write_mono(&[]);
        file[20..24].copy_from_slice(&[6, 0, 2, 0]);
        file[34] = 8;
        file[40] = 4;
        file.extend([0xd5, 0xaa, 0xd5, 0xaa]);
        let wave = read(&file).unwrap();
        assert_eq!(wave.channels, [vec![8, 8], vec![32_256, 32_256]]);
    }

    #[test]
    fn broken_files_are_refused() {
        let good = write_mono(&[1, 2, 3]);
        assert_eq!(read(b"RIFF"), Err(WaveError::NotWave));
        assert_eq!(read(&good[..good.len() - 1]), Err(WaveError::Truncated));
        assert_eq!(read(&good[..36]), Err(WaveError::Incomplete));
        let mut strange = good;
        strange[20] = 2;
        assert_eq!(read(&strange), Err(WaveError::Unknown { format: 2, bits: 16, channels: 1 }));
    }
}
