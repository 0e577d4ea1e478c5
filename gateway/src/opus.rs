//! Recordings in Opus: samples become packets (RFC 6716), packets become pages of Ogg (RFC 7845, RFC 3533).
//!
//! Two parties are two streams of one channel each, which know nothing of each other: a file of two channels whose
//! left and right stay what they are. Every page is whole in itself, so a file that was never finished plays up to its
//! last page.

use std::io;

use duogate_channel::ogg;
use duogate_channel::sound::RecordChannels;
use opus::{Application, Bitrate, MSEncoder};

use crate::wav::RATE;

/// Samples of a packet: 20 ms.
const FRAME: usize = 160;

/// Samples at 48 kHz, in which Ogg counts Opus, for each of ours.
const SCALE: u64 = 6;

/// Bits a second for each party: what is asked of narrowband speech (RFC 7587 section 3.1.1) and a little more.
const BITS: i32 = 16_000;

/// How hard the encoder tries, of 10: beyond it the time grows faster than what speech gains.
const EFFORT: i32 = 5;

/// Packets of a page: a second.
const PACKETS: usize = 50;

/// Segments that a page's table has room for.
const MOST_SEGMENTS: usize = 255;

/// The longest packet: 1275 octets for each party, and its length.
const LONGEST_PACKET: usize = 2 * 1277;

/// The packet that becomes a page, or several that do.
#[derive(Default)]
struct Page {
    /// Lengths of the packets, as RFC 3533 lays them out.
    segments: Vec<u8>,
    packets: usize,
    body: Vec<u8>,
}

/// One file at work.
pub struct OpusFile {
    encoder: MSEncoder,
    channels: u8,
    /// Samples at 48 kHz that a player leaves out at the beginning: what the encoder looks ahead.
    skip: u16,
    /// Samples that do not fill a packet yet, those of all parties side by side.
    waiting: Vec<i16>,
    /// Samples for each party that were given, and that were encoded.
    given: u64,
    encoded: u64,
    page: Page,
    serial: u32,
    sequence: u32,
}

impl OpusFile {
    /// A new one; `serial` sets its stream apart from others.
    ///
    /// # Errors
    /// The library's, if it has no memory.
    pub fn new(channels: RecordChannels, serial: u32) -> io::Result<Self> {
        let mapping: &[u8] = match channels {
            RecordChannels::Mixed => &[0],
            RecordChannels::Separate => &[0, 1],
        };
        // At most two.
        let count = u8::try_from(mapping.len()).unwrap_or(2);
        let mut encoder =
            MSEncoder::new(RATE, count, 0, mapping, Application::Voip).map_err(io::Error::other)?;
        encoder.set_bitrate(Bitrate::Bits(BITS * i32::from(count))).map_err(io::Error::other)?;
        encoder.set_complexity(EFFORT).map_err(io::Error::other)?;
        let ahead = encoder.get_lookahead().map_err(io::Error::other)?;
        let skip = u16::try_from(u64::from(ahead.unsigned_abs()) * SCALE).unwrap_or(u16::MAX);
        Ok(Self {
            encoder,
            channels: count,
            skip,
            waiting: Vec::new(),
            given: 0,
            encoded: 0,
            page: Page::default(),
            serial,
            sequence: 0,
        })
    }

    /// The pages before the first sound (RFC 7845 section 5).
    pub fn header(&mut self) -> Vec<u8> {
        let mut head = b"OpusHead\x01".to_vec();
        head.push(self.channels);
        head.extend_from_slice(&self.skip.to_le_bytes());
        head.extend_from_slice(&RATE.to_le_bytes());
        // No gain. Family 0 has one stream; family 1 says which stream is which channel.
        head.extend_from_slice(&[0, 0]);
        if self.channels == 1 {
            head.push(0);
        } else {
            head.extend_from_slice(&[1, 2, 0, 0, 1]);
        }
        let mut tags = b"OpusTags".to_vec();
        let vendor = b"duogate";
        tags.extend_from_slice(&u32::try_from(vendor.len()).unwrap_or(0).to_le_bytes());
        tags.extend_from_slice(vendor);
        tags.extend_from_slice(&0_u32.to_le_bytes());
        let mut octets = Vec::new();
        for (packet, flags) in [(head, 2), (tags, 0)] {
            self.page.add(&packet);
            self.flush(flags, 0, &mut octets);
        }
        octets
    }

    /// Takes samples of 16 bits, little-endian, those of all parties side by side; gives the pages that are full.
    ///
    /// # Errors
    /// The library's.
    pub fn push(&mut self, samples: &[u8]) -> io::Result<Vec<u8>> {
        self.waiting.extend(samples.as_chunks::<2>().0.iter().map(|pair| i16::from_le_bytes(*pair)));
        self.given += (samples.len() / 2 / usize::from(self.channels)) as u64;
        let frame = FRAME * usize::from(self.channels);
        let whole = self.waiting.len() - self.waiting.len() % frame;
        let rest = self.waiting.split_off(whole);
        let waiting = std::mem::replace(&mut self.waiting, rest);
        let mut octets = Vec::new();
        for samples in waiting.chunks_exact(frame) {
            self.encode(samples, &mut octets)?;
        }
        Ok(octets)
    }

    /// Gives the rest, which ends with the last sample that was given.
    ///
    /// # Errors
    /// The library's.
    pub fn finish(&mut self) -> io::Result<Vec<u8>> {
        let mut octets = Vec::new();
        let frame = FRAME * usize::from(self.channels);
        let mut samples = std::mem::take(&mut self.waiting);
        // What the encoder has looked ahead must come out, too.
        while self.encoded * SCALE < self.given * SCALE + u64::from(self.skip) {
            samples.resize(frame, 0);
            self.encode(&samples, &mut octets)?;
            samples.clear();
        }
        // A page ends the stream even if there is nothing to go with it.
        let end = self.given * SCALE + u64::from(self.skip);
        self.flush(ogg::END, end, &mut octets);
        Ok(octets)
    }

    /// Samples for each party that were given.
    #[must_use]
    pub const fn given(&self) -> u64 {
        self.given
    }

    fn encode(&mut self, samples: &[i16], octets: &mut Vec<u8>) -> io::Result<()> {
        let mut packet = [0; LONGEST_PACKET];
        let length = self.encoder.encode(samples, &mut packet).map_err(io::Error::other)?;
        let packet = &packet[..length];
        if self.page.packets == PACKETS || !self.page.has_room(packet) {
            self.flush(0, self.encoded * SCALE, octets);
        }
        self.page.add(packet);
        self.encoded += FRAME as u64;
        Ok(())
    }

    /// Ends the page: so many samples at 48 kHz are complete with it.
    fn flush(&mut self, flags: u8, position: u64, octets: &mut Vec<u8>) {
        let Page { segments, body, .. } = std::mem::take(&mut self.page);
        let start = octets.len();
        octets.extend_from_slice(b"OggS\0");
        octets.push(flags);
        octets.extend_from_slice(&position.to_le_bytes());
        octets.extend_from_slice(&self.serial.to_le_bytes());
        octets.extend_from_slice(&self.sequence.to_le_bytes());
        octets.extend_from_slice(&[0; 4]);
        // At most 255.
        octets.push(u8::try_from(segments.len()).unwrap_or(u8::MAX));
        octets.extend_from_slice(&segments);
        octets.extend_from_slice(&body);
        let sum = ogg::checksum(&octets[start..]);
        octets[start + ogg::CHECKSUM..start + ogg::CHECKSUM + 4].copy_from_slice(&sum.to_le_bytes());
        self.sequence = self.sequence.wrapping_add(1);
    }
}

impl Page {
    fn has_room(&self, packet: &[u8]) -> bool {
        self.segments.len() + packet.len() / 255 < MOST_SEGMENTS
    }

    fn add(&mut self, packet: &[u8]) {
        self.segments.resize(self.segments.len() + packet.len() / 255, 255);
        // Below 255: the remainder.
        self.segments.push(u8::try_from(packet.len() % 255).unwrap_or(0));
        self.body.extend_from_slice(packet);
        self.packets += 1;
    }
}

#[cfg(test)]
mod tests;
