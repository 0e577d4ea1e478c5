//! What was put in comes out again: to the sample in length, and to the tone in each channel.

use opus::MSDecoder;

use super::*;

/// A page of a file: flags, position, and packets.
struct Read {
    flags: u8,
    position: u64,
    packets: Vec<Vec<u8>>,
}

/// The pages of a file, each checked.
fn pages(mut octets: &[u8]) -> Vec<Read> {
    let mut pages = Vec::new();
    while !octets.is_empty() {
        assert_eq!(&octets[..5], b"OggS\0");
        let number = u32::from_le_bytes(octets[18..22].try_into().unwrap());
        assert_eq!((number as usize, &octets[14..18]), (pages.len(), &7_u32.to_le_bytes()[..]));
        let segments = &octets[27..27 + usize::from(octets[26])];
        let body = segments.iter().map(|segment| usize::from(*segment)).sum::<usize>();
        let (page, rest) = octets.split_at(27 + segments.len() + body);
        assert_eq!(page[22..26], ogg::checksum(page).to_le_bytes());
        let (mut packets, mut packet, mut at) = (Vec::new(), Vec::new(), 27 + segments.len());
        for segment in segments {
            packet.extend_from_slice(&page[at..at + usize::from(*segment)]);
            at += usize::from(*segment);
            if *segment < 255 {
                packets.push(std::mem::take(&mut packet));
            }
        }
        assert!(packet.is_empty(), "no packet goes over the end of its page");
        let position = u64::from_le_bytes(page[6..14].try_into().unwrap());
        pages.push(Read { flags: page[5], position, packets });
        octets = rest;
    }
    pages
}

/// A sine for each channel.
fn tone(count: usize, frequencies: &[f64]) -> Vec<u8> {
    let sample = |n: usize, frequency: &f64| {
        let angle = std::f64::consts::TAU * frequency * f64::from(u32::try_from(n).unwrap()) / 8_000.0;
        #[expect(clippy::cast_possible_truncation, reason = "a quarter of full scale")]
        let sample = (8_000.0 * angle.sin()) as i16;
        sample.to_le_bytes()
    };
    (0..count).flat_map(|n| frequencies.iter().flat_map(move |frequency| sample(n, frequency))).collect()
}

fn file(channels: RecordChannels, sound: &[u8], step: usize) -> Vec<u8> {
    let mut file = OpusFile::new(channels, 7).unwrap();
    let mut octets = file.header();
    for part in sound.chunks(step) {
        octets.extend(file.push(part).unwrap());
    }
    octets.extend(file.finish().unwrap());
    octets
}

/// The sound of a file as a player plays it, at 48 kHz, by channel.
fn played(octets: &[u8]) -> Vec<Vec<i16>> {
    let pages = pages(octets);
    let head = &pages[0].packets[0];
    assert_eq!((&head[..9], pages[0].flags), (&b"OpusHead\x01"[..], 2));
    assert_eq!(&pages[1].packets[0][..8], b"OpusTags");
    let channels = head[9];
    let skip = usize::from(u16::from_le_bytes([head[10], head[11]]));
    let mapping: &[u8] = if channels == 1 { &[0] } else { &head[21..23] };
    let mut decoder = MSDecoder::new(48_000, channels, 0, mapping).unwrap();
    let mut sound = vec![Vec::new(); channels.into()];
    let mut buffer = vec![0; 960 * usize::from(channels)];
    for page in &pages[2..] {
        for packet in &page.packets {
            assert_eq!(decoder.decode(packet, &mut buffer, false).unwrap(), 960);
            for (channel, track) in sound.iter_mut().enumerate() {
                track.extend(buffer.iter().skip(channel).step_by(channels.into()));
            }
        }
        // Until the end, the position counts what the packets hold.
        assert!(page.flags == ogg::END || page.position == sound[0].len() as u64);
    }
    let last = pages.last().unwrap();
    assert_eq!(last.flags, ogg::END);
    let end = usize::try_from(last.position).unwrap();
    sound.iter().map(|track| track[skip..end].to_vec()).collect()
}

/// The share of a sound's power at a frequency, at 48 kHz.
fn purity(samples: &[i16], frequency: f64) -> f64 {
    let (mut sine, mut cosine, mut power) = (0.0, 0.0, 0.0);
    for (n, sample) in (0_u32..).zip(samples) {
        let angle = std::f64::consts::TAU * frequency * f64::from(n) / 48_000.0;
        sine += f64::from(*sample) * angle.sin();
        cosine += f64::from(*sample) * angle.cos();
        power += f64::from(*sample).powi(2);
    }
    let count = f64::from(u32::try_from(samples.len()).unwrap());
    2.0 * (sine * sine + cosine * cosine) / (count * power)
}

#[test]
fn each_party_is_heard_in_its_own_channel_and_the_length_is_right_to_the_sample() {
    for (count, step) in [(24_000, 16_384), (8_001, 64_000), (12_345, 37 * 4)] {
        let octets = file(RecordChannels::Separate, &tone(count, &[440.0, 1_000.0]), step);
        let sound = played(&octets);
        for (track, frequency) in sound.iter().zip([440.0, 1_000.0]) {
            assert_eq!(track.len(), count * 6);
            let middle = &track[9_600..track.len() - 9_600];
            assert!(purity(middle, frequency) > 0.97, "{frequency}: {}", purity(middle, frequency));
        }
        // 16 kbit/s for each party, and what pages take.
        assert!(octets.len() < 4_800 * count.div_ceil(8_000), "{}", octets.len());
    }
}

#[test]
fn one_channel_has_both() {
    let sound = played(&file(RecordChannels::Mixed, &tone(16_000, &[700.0]), 1_600));
    assert_eq!((sound.len(), sound[0].len()), (1, 96_000));
    assert!(purity(&sound[0][9_600..86_400], 700.0) > 0.97);
}

#[test]
fn a_recording_without_sound_is_a_file_all_the_same() {
    assert_eq!(played(&file(RecordChannels::Separate, &[], 1)), [[0_i16; 0], [0; 0]]);
}
