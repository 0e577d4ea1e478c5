//! Recordings in Opus whose writer died: they lack their end, and play up to their last page all the same. Here they get
//! one, and their length is told.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;
use std::time::Duration;

use duogate_channel::ogg::{CHECKSUM, END, HEADER, checksum};
use duogate_channel::sound::RecordFormat;

use super::wav::Length;

/// The largest page: its header, 255 segments, and 255 octets in each (RFC 3533 section 6).
const LARGEST_PAGE: usize = HEADER + 255 + 255 * 255;

/// How much of the end of a file is searched for its last page: one that is whole and one that was cut.
const END_OCTETS: usize = 2 * LARGEST_PAGE;

/// Samples a second, as Ogg counts Opus (RFC 7845 section 4).
const RATE: u64 = 48_000;

/// The octets of `OpusHead` that are read, behind the page's header with its one segment.
const HEAD: usize = 19;

/// What the first page says.
#[derive(Clone, Copy, Debug)]
struct Head {
    serial: [u8; 4],
    channels: u8,
    /// Samples that a player leaves out.
    skip: u16,
}

/// The last page that is whole.
#[derive(Debug)]
struct Last {
    /// Where it begins.
    place: u64,
    page: Vec<u8>,
}

/// Does the file begin as one of ours in Opus?
pub(crate) fn is_one(file: &File) -> io::Result<bool> {
    Ok(head(file)?.is_some())
}

/// Ends a recording that was not finished, and tells its length. None: it holds no sound. Nothing waits for the disk here.
pub(crate) fn repair(file: &File) -> io::Result<Option<Length>> {
    let Some(head) = head(file)? else { return Ok(None) };
    let Some(Last { place, mut page }) = last(file, &head)? else { return Ok(None) };
    let samples = position(&page).saturating_sub(head.skip.into());
    if samples == 0 {
        return Ok(None);
    }
    let end = place + page.len() as u64;
    if file.metadata()?.len() != end {
        file.set_len(end)?;
    }
    if page[5] & END == 0 {
        page[5] |= END;
        let sum = checksum(&page).to_le_bytes();
        page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum);
        file.write_all_at(&page, place)?;
    }
    Ok(Some(Length {
        duration: Duration::from_nanos(samples.saturating_mul(1_000_000_000) / RATE),
        bytes: end,
        format: RecordFormat::Opus,
        channels: head.channels.into(),
    }))
}

/// Is a writer still at work on it, or was it until it died?
pub(crate) fn is_open(file: &File) -> io::Result<bool> {
    let Some(head) = head(file)? else { return Ok(false) };
    Ok(last(file, &head)?.is_none_or(|last| last.page[5] & END == 0))
}

fn head(file: &File) -> io::Result<Option<Head>> {
    let mut page = [0; HEADER + 1 + HEAD];
    match file.read_exact_at(&mut page, 0) {
        Ok(()) => {}
        Err(error) if error.kind() == io::ErrorKind::UnexpectedEof => return Ok(None),
        Err(error) => return Err(error),
    }
    let (header, head) = page.split_at(HEADER + 1);
    let is_ours = header.starts_with(b"OggS\0\x02") && head.starts_with(b"OpusHead\x01") && head[9] <= 2;
    Ok(is_ours.then(|| Head {
        serial: [header[14], header[15], header[16], header[17]],
        channels: head[9],
        skip: u16::from_le_bytes([head[10], head[11]]),
    }))
}

/// Looks from the end of the file for a page that is whole.
fn last(file: &File, head: &Head) -> io::Result<Option<Last>> {
    let size = file.metadata()?.len();
    let start = size.saturating_sub(END_OCTETS as u64);
    // No longer than the part that is searched.
    let mut octets = vec![0; usize::try_from(size - start).unwrap_or(END_OCTETS)];
    file.read_exact_at(&mut octets, start)?;
    let places = (0..octets.len().saturating_sub(HEADER)).rev();
    let found = places.filter(|place| octets[*place..].starts_with(b"OggS\0")).find_map(|place| {
        let page = whole(&octets[place..], head)?;
        Some(Last { place: start + place as u64, page: page.to_vec() })
    });
    Ok(found)
}

/// The page of this stream at the beginning of `octets`, if all of it is there and is what was written.
fn whole<'a>(octets: &'a [u8], head: &Head) -> Option<&'a [u8]> {
    let count = usize::from(*octets.get(HEADER - 1)?);
    let segments = octets.get(HEADER..HEADER + count)?;
    let length = HEADER + count + segments.iter().map(|segment| usize::from(*segment)).sum::<usize>();
    let page = octets.get(..length)?;
    (page[14..18] == head.serial && page[CHECKSUM..CHECKSUM + 4] == checksum(page).to_le_bytes())
        .then_some(page)
}

/// How many samples are complete with a page.
fn position(page: &[u8]) -> u64 {
    // A page is longer than its header.
    page[6..14].try_into().map_or(0, u64::from_le_bytes)
}

#[cfg(test)]
mod tests {
    use std::io::Write;

    use super::*;

    /// A page as the recorder writes it.
    fn page(flags: u8, number: u32, position: u64, body: &[u8]) -> Vec<u8> {
        let mut page = b"OggS\0".to_vec();
        page.push(flags);
        page.extend_from_slice(&position.to_le_bytes());
        page.extend_from_slice(&9_u32.to_le_bytes());
        page.extend_from_slice(&number.to_le_bytes());
        page.extend_from_slice(&[0; 4]);
        page.push(u8::try_from(body.len() / 255 + 1).unwrap());
        page.extend(std::iter::repeat_n(255, body.len() / 255));
        page.push(u8::try_from(body.len() % 255).unwrap());
        page.extend_from_slice(body);
        let sum = checksum(&page).to_le_bytes();
        page[CHECKSUM..CHECKSUM + 4].copy_from_slice(&sum);
        page
    }

    const OPUS_HEAD: [u8; 21] = *b"OpusHead\x01\x02\x38\x01\x40\x1f\0\0\0\0\x01\x02\0";

    /// The beginning of a file, and so many seconds of it.
    fn unfinished(seconds: u64) -> Vec<u8> {
        let mut octets = page(2, 0, 0, &OPUS_HEAD);
        octets.extend(page(0, 1, 0, b"OpusTags"));
        for second in 1..=seconds {
            octets.extend(page(0, u32::try_from(second).unwrap() + 1, second * 48_000, &[7; 1_000]));
        }
        octets
    }

    fn file(octets: &[u8]) -> File {
        let mut file = tempfile::tempfile().unwrap();
        file.write_all(octets).unwrap();
        file
    }

    #[test]
    fn a_file_without_an_end_gets_one_after_its_last_whole_page() {
        let octets = unfinished(5);
        let page_octets = octets.len() - unfinished(4).len();
        for cut in [0, 1, 26, 27, 30, 500, page_octets - 1] {
            let file = file(&octets[..octets.len() - cut]);
            assert!(is_one(&file).unwrap() && is_open(&file).unwrap());
            let length = repair(&file).unwrap().unwrap();
            let seconds = if cut == 0 { 5 } else { 4 };
            let whole = unfinished(seconds).len() as u64;
            assert_eq!((length.bytes, file.metadata().unwrap().len()), (whole, whole), "{cut}");
            // Of which a player leaves 6.5 ms out.
            assert_eq!(
                length.duration,
                Duration::from_millis(seconds * 1_000) - Duration::from_micros(6_500)
            );
            assert_eq!((length.format, length.channels), (RecordFormat::Opus, 2));
            assert!(!is_open(&file).unwrap());
            assert_eq!(repair(&file).unwrap(), Some(length), "once more changes nothing");
        }
    }

    #[test]
    fn what_was_not_written_whole_is_no_page_even_if_it_has_its_length() {
        let mut octets = unfinished(3);
        let last = octets.len() - 400;
        octets[last..].fill(0);
        let length = repair(&file(&octets)).unwrap().unwrap();
        assert_eq!(length.bytes, unfinished(2).len() as u64);
    }

    #[test]
    fn what_holds_no_sound_is_told() {
        for octets in [unfinished(0), page(2, 0, 0, &OPUS_HEAD), b"OggS".to_vec(), vec![7; 4_000], Vec::new()]
        {
            assert_eq!(repair(&file(&octets)).unwrap(), None);
        }
        assert!(!is_one(&file(b"RIFF")).unwrap());
    }

    proptest::proptest! {
        #[test]
        fn damaged_files_are_refused_or_repaired_and_never_panic(
            at in 0_usize..3_000, with in proptest::collection::vec(proptest::num::u8::ANY, 1..40), cut in 0_usize..3_000,
        ) {
            let mut octets = unfinished(3);
            let end = octets.len().min(at + with.len());
            octets[at..end].copy_from_slice(&with[..end - at]);
            octets.truncate(octets.len() - cut);
            let file = file(&octets);
            if repair(&file).unwrap().is_some() {
                proptest::prop_assert!(!is_open(&file).unwrap());
            }
        }
    }
}
