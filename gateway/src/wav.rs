//! Headers of the WAV files that the recorder writes (RIFF, Microsoft 1991, "New Multimedia Data Types" 1994).

use duogate_channel::sound::{RecordChannels, RecordFormat};

/// Samples a second of every recording.
pub const RATE: u32 = 8000;

/// What is in the two size fields of a file that is still being written: "until the end of the file" to
/// programs that read streams. A file that is found so was not closed properly and is repaired by its length.
const UNFINISHED: u32 = u32::MAX;

/// How the samples of one file are laid out.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Layout {
    /// How one sample is stored.
    pub format: RecordFormat,
    /// One channel or two.
    pub channels: RecordChannels,
}

impl Layout {
    /// Octets of one sample of all channels.
    #[must_use]
    pub const fn frame_octets(self) -> u16 {
        self.sample_octets() * self.channel_count()
    }

    /// Octets before the first sample.
    #[must_use]
    pub const fn header_octets(self) -> u64 {
        match self.format {
            RecordFormat::Pcm16 | RecordFormat::Opus => 44,
            // fmt is two octets longer and a fact chunk of twelve follows it.
            RecordFormat::Alaw | RecordFormat::Ulaw => 58,
        }
    }

    /// The header of a file with so many octets of samples, or of one that is still being written.
    #[must_use]
    pub fn header(self, data_octets: Option<u64>) -> Vec<u8> {
        let data = data_octets.map_or(UNFINISHED, |octets| u32::try_from(octets).unwrap_or(UNFINISHED));
        let after_size = u32::try_from(self.header_octets() - 8).unwrap_or(0);
        let riff = if data == UNFINISHED {
            UNFINISHED
        } else {
            // The data chunk is padded to an even length, which its own size does not count.
            data.saturating_add(data % 2).saturating_add(after_size)
        };
        let mut header = Vec::with_capacity(58);
        header.extend_from_slice(b"RIFF");
        header.extend_from_slice(&riff.to_le_bytes());
        header.extend_from_slice(b"WAVEfmt ");
        header.extend_from_slice(&if self.is_linear() { 16u32 } else { 18 }.to_le_bytes());
        header.extend_from_slice(&self.tag().to_le_bytes());
        header.extend_from_slice(&self.channel_count().to_le_bytes());
        header.extend_from_slice(&RATE.to_le_bytes());
        header.extend_from_slice(&(RATE * u32::from(self.frame_octets())).to_le_bytes());
        header.extend_from_slice(&self.frame_octets().to_le_bytes());
        header.extend_from_slice(&(self.sample_octets() * 8).to_le_bytes());
        if !self.is_linear() {
            let frames = if data == UNFINISHED { UNFINISHED } else { data / u32::from(self.frame_octets()) };
            header.extend_from_slice(&0u16.to_le_bytes());
            header.extend_from_slice(b"fact");
            header.extend_from_slice(&4u32.to_le_bytes());
            header.extend_from_slice(&frames.to_le_bytes());
        }
        header.extend_from_slice(b"data");
        header.extend_from_slice(&data.to_le_bytes());
        header
    }

    const fn is_linear(self) -> bool {
        matches!(self.format, RecordFormat::Pcm16 | RecordFormat::Opus)
    }

    const fn tag(self) -> u16 {
        match self.format {
            RecordFormat::Pcm16 | RecordFormat::Opus => 1,
            RecordFormat::Alaw => 6,
            RecordFormat::Ulaw => 7,
        }
    }

    const fn sample_octets(self) -> u16 {
        if self.is_linear() { 2 } else { 1 }
    }

    const fn channel_count(self) -> u16 {
        self.channels.count() as u16
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn field(header: &[u8], at: usize) -> u32 {
        u32::from_le_bytes(header[at..at + 4].try_into().unwrap())
    }

    #[test]
    fn every_layout_counts_its_own_header() {
        for format in [RecordFormat::Alaw, RecordFormat::Ulaw, RecordFormat::Pcm16] {
            for channels in [RecordChannels::Mixed, RecordChannels::Separate] {
                let layout = Layout { format, channels };
                let header = layout.header(Some(1601));
                assert_eq!(header.len() as u64, layout.header_octets());
                let padded = 1602;
                assert_eq!(u64::from(field(&header, 4)) + 8, layout.header_octets() + padded);
                assert_eq!(field(&header, header.len() - 4), 1601);
            }
        }
    }

    #[test]
    fn a_stereo_alaw_file_says_so() {
        let layout = Layout { format: RecordFormat::Alaw, channels: RecordChannels::Separate };
        let header = layout.header(Some(16_000));
        assert_eq!(&header[20..24], &[6, 0, 2, 0]);
        assert_eq!((field(&header, 24), field(&header, 28)), (8000, 16_000));
        assert_eq!(&header[32..36], &[2, 0, 8, 0]);
        assert_eq!(&header[38..42], b"fact");
        assert_eq!(field(&header, 46), 8000, "one second of frames");
    }

    #[test]
    fn an_unfinished_file_reaches_to_its_end() {
        let layout = Layout { format: RecordFormat::Pcm16, channels: RecordChannels::Mixed };
        let header = layout.header(None);
        assert_eq!((field(&header, 4), field(&header, 40)), (u32::MAX, u32::MAX));
        assert_eq!(layout.header(Some(u64::MAX)), header, "a size that does not fit is told the same way");
    }
}
