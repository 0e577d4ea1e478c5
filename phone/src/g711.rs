//! G.711 (ITU-T G.711, 11/88), written apart from the gateway's so that the two check each other.

use crate::codec::Codec;

/// The two laws.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Law {
    /// A-law.
    A,
    /// µ-law.
    Mu,
}

impl Law {
    /// The law of a codec, if it is one.
    #[must_use]
    pub const fn of(codec: Codec) -> Option<Self> {
        match codec {
            Codec::Pcma => Some(Self::A),
            Codec::Pcmu => Some(Self::Mu),
            Codec::G722 | Codec::Opus => None,
        }
    }

    /// One sample to one octet.
    #[must_use]
    pub const fn encode(self, sample: i16) -> u8 {
        match self {
            Self::A => encode_a(sample),
            Self::Mu => encode_mu(sample),
        }
    }

    /// One octet to one sample.
    #[must_use]
    pub const fn decode(self, octet: u8) -> i16 {
        match self {
            Self::A => decode_a(octet),
            Self::Mu => decode_mu(octet),
        }
    }
}

/// A-law: sign, three bits of segment, four bits within it; even bits inverted.
const fn encode_a(sample: i16) -> u8 {
    let (sign, magnitude) = split(sample);
    // 12 bits of magnitude; the segment is the place of the highest set bit, counted from bit 4.
    let magnitude = magnitude >> 4;
    let segment = if magnitude < 16 { 0 } else { magnitude.ilog2() - 3 };
    let mantissa = if segment == 0 { magnitude } else { magnitude >> (segment - 1) } & 0x0f;
    (sign ^ 0x80 | octet(segment, mantissa)) ^ 0x55
}

/// The sign bit (set below zero), and the magnitude, by one smaller below zero.
const fn split(sample: i16) -> (u8, u32) {
    if sample >= 0 { (0, sample.unsigned_abs() as u32) } else { (0x80, (!sample).unsigned_abs() as u32) }
}

/// Three bits and four bits together.
const fn octet(segment: u32, mantissa: u32) -> u8 {
    ((segment << 4 | mantissa) & 0x7f) as u8
}

const fn decode_a(octet: u8) -> i16 {
    let octet = octet ^ 0x55;
    let segment = (octet >> 4) & 0x07;
    let mantissa = ((octet & 0x0f) as i16) << 4;
    let magnitude = match segment {
        0 => mantissa + 8,
        segment => (mantissa + 0x108) << (segment - 1),
    };
    if octet & 0x80 == 0 { -magnitude } else { magnitude }
}

/// What µ-law adds to a magnitude so that its segments begin at powers of two.
const BIAS: i16 = 0x84;
/// The largest magnitude that fits beside the bias.
const CLIP: u32 = 0x7fff - 0x84;

const fn encode_mu(sample: i16) -> u8 {
    let (sign, magnitude) = split(sample);
    let magnitude = if magnitude > CLIP { CLIP } else { magnitude } + BIAS.unsigned_abs() as u32;
    let segment = magnitude.ilog2() - 7;
    !(sign | octet(segment, (magnitude >> (segment + 3)) & 0x0f))
}

const fn decode_mu(octet: u8) -> i16 {
    let octet = !octet;
    let magnitude = ((((octet & 0x0f) as i16) << 3) + BIAS) << ((octet >> 4) & 0x07);
    if octet & 0x80 == 0 { magnitude - BIAS } else { BIAS - magnitude }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_octet_survives_the_way_there_and_back() {
        for octet in 0..=255 {
            assert_eq!(encode_a(decode_a(octet)), octet, "A-law {octet:#x}");
            // µ-law has two zeros; both decode to 0, which encodes to the positive one.
            let back = if octet == 0x7f { 0xff } else { octet };
            assert_eq!(encode_mu(decode_mu(octet)), back, "µ-law {octet:#x}");
        }
    }

    #[test]
    fn the_laws_end_where_the_recommendation_says() {
        assert_eq!((decode_a(0xaa), decode_a(0x2a)), (32_256, -32_256));
        assert_eq!((decode_mu(0x80), decode_mu(0x00)), (32_124, -32_124));
        assert_eq!((encode_a(0), encode_a(-1)), (0xd5, 0x55));
        assert_eq!((encode_mu(0), encode_mu(i16::MIN)), (0xff, 0x00));
    }

    #[test]
    fn the_error_stays_within_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            for law in [Law::A, Law::Mu] {
                let error = (i32::from(law.decode(law.encode(sample))) - i32::from(sample)).abs();
                let limit = i32::from(sample).abs() / 32 + 16;
                assert!(error <= limit.max(i32::from(sample).abs() - 32_124), "{law:?} {sample}: {error}");
            }
        }
    }
}
