//! What the headers of WAV files say; repairs those whose writer died: theirs says "until the end of the file".

use std::fs::File;
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::os::unix::fs::FileExt;
use std::time::Duration;

use duogate_channel::sound::RecordFormat;

/// What a repaired file holds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Length {
    /// Time that it covers.
    pub(crate) duration: Duration,
    /// Its size.
    pub(crate) bytes: u64,
    /// How its samples are stored.
    pub(crate) format: RecordFormat,
    /// How many channels it has.
    pub(crate) channels: u64,
}

/// The longest header that the recorder writes: `fmt ` with its extension, `fact`, `data`.
const LONGEST_HEADER: usize = 58;

/// What the header says in place of a size while the file is being written.
const UNFINISHED: u32 = u32::MAX;

/// Where the fields stand, all little-endian.
const RIFF_SIZE: usize = 4;
const FORMAT_TAG: usize = 20;
const RATE: usize = 24;
const BLOCK: usize = 32;

/// Puts the sizes into the header of a recording that was not closed, and tells its length. None: the file
/// holds no sound, or is no recording of ours. Nothing waits for the disk here.
pub(crate) fn repair(file: &mut File) -> io::Result<Option<Length>> {
    let size = file.metadata()?.len();
    let mut header = [0; LONGEST_HEADER];
    file.seek(SeekFrom::Start(0))?;
    let read = read_up_to(file, &mut header)?;
    let Some(layout) = Layout::of(&header[..read]) else { return Ok(None) };
    let Some(octets) = size.checked_sub(layout.header).filter(|octets| *octets >= layout.block) else {
        return Ok(None);
    };
    let said = layout.data_octets(&header[..read]);
    if let Some(data) = said.filter(|data| *data > 0 && data + data % 2 == octets) {
        // Its writer closed it after all.
        return Ok(Some(layout.length(data)));
    }
    // A frame that was cut in two is left out.
    let data = octets - octets % layout.block;
    let end = layout.header + data;
    file.set_len(end)?;
    if data % 2 == 1 {
        file.seek(SeekFrom::Start(end))?;
        file.write_all(&[0])?;
    }
    let fits = |value: u64| u32::try_from(value).unwrap_or(u32::MAX).to_le_bytes();
    write_at(file, RIFF_SIZE, fits(end + data % 2 - 8))?;
    write_at(file, layout.header_length() - 4, fits(data))?;
    if let Some(fact) = layout.fact {
        write_at(file, fact, fits(data / layout.block))?;
    }
    Ok(Some(layout.length(data)))
}

/// Does it begin as our recorder's files do?
pub(crate) fn is_one(file: &mut File) -> io::Result<bool> {
    let mut header = [0; LONGEST_HEADER];
    file.seek(SeekFrom::Start(0))?;
    let read = read_up_to(file, &mut header)?;
    Ok(Layout::of(&header[..read]).is_some())
}

/// Is a writer still at work on a recording of ours, or was it until it died?
pub(crate) fn is_open(file: &mut File) -> io::Result<bool> {
    let mut header = [0; LONGEST_HEADER];
    file.seek(SeekFrom::Start(0))?;
    let read = read_up_to(file, &mut header)?;
    let Some(layout) = Layout::of(&header[..read]) else { return Ok(false) };
    Ok(layout.data_octets(&header[..read]).is_none())
}

/// Chunks that may stand before the format: more than any writer of sound files has.
const MOST_CHUNKS: usize = 64;

/// The sample rate in Hz and the channels that the header of a WAV promises. None: it is no WAV, or has no format
/// near its beginning.
pub(crate) fn shape(file: &File) -> io::Result<Option<(u32, u16)>> {
    let at = |place: u64| -> io::Result<Option<[u8; 16]>> {
        let mut bytes = [0; 16];
        match file.read_exact_at(&mut bytes, place) {
            Ok(()) => Ok(Some(bytes)),
            Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => Ok(None),
            Err(error) => Err(error),
        }
    };
    let Some([b'R', b'I', b'F', b'F', _, _, _, _, b'W', b'A', b'V', b'E', ..]) = at(0)? else {
        return Ok(None);
    };
    let mut place = 12;
    for _ in 0..MOST_CHUNKS {
        let Some(chunk) = at(place)? else { return Ok(None) };
        let [name @ .., s0, s1, s2, s3, _, _, c0, c1, r0, r1, r2, r3] = chunk;
        if name == *b"fmt " {
            return Ok(Some((u32::from_le_bytes([r0, r1, r2, r3]), u16::from_le_bytes([c0, c1]))));
        }
        // Chunks begin at even places.
        let size = u64::from(u32::from_le_bytes([s0, s1, s2, s3]));
        place += 8 + size + size % 2;
    }
    Ok(None)
}

struct Layout {
    header: u64,
    block: u64,
    rate: u64,
    fact: Option<usize>,
    format: RecordFormat,
    channels: u64,
}

impl Layout {
    fn of(header: &[u8]) -> Option<Self> {
        let at = |from: usize, length: usize| header.get(from..from + length);
        if at(0, 4)? != b"RIFF" || at(8, 8)? != b"WAVEfmt " {
            return None;
        }
        let tag = u16::from_le_bytes(at(FORMAT_TAG, 2)?.try_into().ok()?);
        let block = u64::from(u16::from_le_bytes(at(BLOCK, 2)?.try_into().ok()?));
        let rate = u64::from(u32::from_le_bytes(at(RATE, 4)?.try_into().ok()?));
        let (length, fact, format, sample) = match tag {
            1 => (44, None, RecordFormat::Pcm16, 2),
            6 => (58, Some(46), RecordFormat::Alaw, 1),
            7 => (58, Some(46), RecordFormat::Ulaw, 1),
            _ => return None,
        };
        let is_ours = at(length - 8, 4)? == b"data" && (1..=8).contains(&block) && rate > 0;
        let channels = block / sample;
        is_ours.then_some(Self { header: length as u64, block, rate, fact, format, channels })
    }

    /// What the header says about its samples; `None` while they are being written.
    fn data_octets(&self, header: &[u8]) -> Option<u64> {
        let end = self.header_length();
        let field = header.get(end - 4..end)?.try_into().ok().map(u32::from_le_bytes)?;
        (field != UNFINISHED).then_some(u64::from(field))
    }

    fn length(&self, data: u64) -> Length {
        let nanoseconds = (data / self.block).saturating_mul(1_000_000_000) / self.rate;
        Length {
            duration: Duration::from_nanos(nanoseconds),
            bytes: self.header + data + data % 2,
            format: self.format,
            channels: self.channels,
        }
    }

    fn header_length(&self) -> usize {
        if self.fact.is_some() { 58 } else { 44 }
    }
}

fn read_up_to(file: &mut File, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match file.read(&mut buffer[filled..])? {
            0 => break,
            count => filled += count,
        }
    }
    Ok(filled)
}

fn write_at(file: &mut File, place: usize, bytes: [u8; 4]) -> io::Result<()> {
    file.seek(SeekFrom::Start(place as u64))?;
    file.write_all(&bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A file as the recorder leaves it when it is killed.
    fn unfinished(tag: u16, block: u16, data: &[u8]) -> File {
        let mut bytes = b"RIFF\xff\xff\xff\xffWAVEfmt ".to_vec();
        bytes.extend_from_slice(&if tag == 1 { 16_u32 } else { 18 }.to_le_bytes());
        bytes.extend_from_slice(&tag.to_le_bytes());
        bytes.extend_from_slice(&if tag == 1 { block / 2 } else { block }.to_le_bytes());
        bytes.extend_from_slice(&8_000_u32.to_le_bytes());
        bytes.extend_from_slice(&(8_000 * u32::from(block)).to_le_bytes());
        bytes.extend_from_slice(&block.to_le_bytes());
        bytes.extend_from_slice(&if tag == 1 { 16_u16 } else { 8 }.to_le_bytes());
        if tag != 1 {
            bytes.extend_from_slice(b"\0\0fact\x04\0\0\0\xff\xff\xff\xff");
        }
        bytes.extend_from_slice(b"data\xff\xff\xff\xff");
        bytes.extend_from_slice(data);
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(&bytes).unwrap();
        file
    }

    fn reread(file: &mut File) -> hound::WavReader<io::Cursor<Vec<u8>>> {
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        hound::WavReader::new(io::Cursor::new(bytes)).unwrap()
    }

    #[test]
    fn a_linear_file_is_readable_again_and_a_cut_frame_is_left_out() {
        let mut file = unfinished(1, 4, &[1; 16_003]);
        let length = repair(&mut file).unwrap().unwrap();
        assert_eq!(
            length,
            Length {
                duration: Duration::from_millis(500),
                bytes: 16_044,
                format: RecordFormat::Pcm16,
                channels: 2
            }
        );
        assert_eq!(reread(&mut file).duration(), 4_000);
    }

    #[test]
    fn a_compressed_file_says_its_frames() {
        let mut file = unfinished(6, 1, &[0xD5; 801]);
        let length = repair(&mut file).unwrap().unwrap();
        assert_eq!(length.bytes, 58 + 802);
        let mut bytes = Vec::new();
        file.seek(SeekFrom::Start(0)).unwrap();
        file.read_to_end(&mut bytes).unwrap();
        assert_eq!(bytes[46..50], 801_u32.to_le_bytes());
        assert_eq!(bytes[54..58], 801_u32.to_le_bytes());
        assert_eq!(bytes[4..8], (58 + 802 - 8_u32).to_le_bytes());
    }

    #[test]
    fn a_file_that_its_writer_closed_is_left_as_it_is() {
        let mut file = unfinished(6, 1, &[0xD5; 801]);
        assert!(is_open(&mut file).unwrap());
        let length = repair(&mut file).unwrap().unwrap();
        assert!(!is_open(&mut file).unwrap());
        assert_eq!(repair(&mut file).unwrap(), Some(length), "the octet of padding is no sample");
        assert_eq!(length.duration, Duration::from_nanos(801 * 125_000));
        assert!(!is_open(&mut tempfile::tempfile().unwrap()).unwrap(), "nobody has begun to write it");
    }

    #[test]
    fn what_holds_no_sound_is_told() {
        assert_eq!(repair(&mut unfinished(1, 4, &[])).unwrap(), None);
        assert_eq!(repair(&mut tempfile::tempfile().unwrap()).unwrap(), None);
        let mut other = tempfile::tempfile().unwrap();
        other.write_all(&[7; 4_000]).unwrap();
        assert_eq!(repair(&mut other).unwrap(), None);
    }
}
