//! RTP packets as the generator makes and knows them: 160 octets of A-law, of which the first twelve say whose
//! packet it is and when it left; the rest is sound, so that an encoder has something to do.

use duogate_channel::g711;
use duogate_channel::sound::Codec;

/// A packet: header (RFC 3550 section 5.1) and 20 ms of G.711.
pub const LENGTH: usize = 12 + 160;

/// Between two packets of a stream, in nanoseconds.
pub const PACKET_NANOSECONDS: u64 = 20_000_000;

/// One stream's next packet.
#[derive(Clone, Debug)]
pub struct Packet {
    bytes: [u8; LENGTH],
    sequence: u16,
    timestamp: u32,
}

/// What a packet that came back says of itself.
#[derive(Clone, Copy, Debug)]
pub struct Stamp {
    /// The stream that sent it.
    pub stream: u32,
    /// Monotonic nanoseconds when it left.
    pub left: u64,
}

impl Packet {
    /// The first packet of a stream.
    #[must_use]
    pub fn new(stream: u32) -> Self {
        let mut bytes = [0xD5; LENGTH];
        bytes[0] = 0x80;
        bytes[1] = 8;
        bytes[8..12].copy_from_slice(&stream.wrapping_mul(0x9E37_79B9).to_be_bytes());
        bytes[12..16].copy_from_slice(&stream.to_be_bytes());
        for (time, octet) in (0_u8..).zip(&mut bytes[24..]) {
            *octet = g711::encode(Codec::Pcma, voice(time));
        }
        Self { bytes, sequence: 1, timestamp: 0 }
    }

    /// Moves on to the next 20 ms, leaving at `now`.
    pub fn step(&mut self, now: u64) {
        self.sequence = self.sequence.wrapping_add(1);
        self.timestamp = self.timestamp.wrapping_add(160);
        self.bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        self.bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        self.bytes[16..24].copy_from_slice(&now.to_be_bytes());
    }

    /// It, as bytes.
    #[must_use]
    pub const fn bytes(&self) -> &[u8] {
        &self.bytes
    }
}

/// Two tones that begin anew in every packet: nothing that an encoder finds easy.
fn voice(time: u8) -> i16 {
    let tone = |frequency: f64| (std::f64::consts::TAU * frequency * f64::from(time) / 8_000.0).sin();
    #[allow(clippy::cast_possible_truncation)] // Within 16 bits.
    let sample = (5_000.0 * (tone(440.0) + tone(1_250.0))) as i16;
    sample
}

/// Reads what [`Packet`] wrote, if the packet has the right length.
#[must_use]
pub fn stamp(bytes: &[u8]) -> Option<Stamp> {
    if bytes.len() != LENGTH {
        return None;
    }
    let (stream, rest) = bytes.get(12..)?.split_first_chunk::<4>()?;
    let (left, _) = rest.split_first_chunk::<8>()?;
    Some(Stamp { stream: u32::from_be_bytes(*stream), left: u64::from_be_bytes(*left) })
}

/// Sequence number of a packet that is RTP.
#[must_use]
pub fn sequence(bytes: &[u8]) -> Option<u16> {
    match bytes {
        [first, _, high, low, ..] if first >> 6 == 2 && bytes.len() >= 12 => {
            Some(u16::from_be_bytes([*high, *low]))
        }
        _ => None,
    }
}
