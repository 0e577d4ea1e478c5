//! G.711: A-law, µ-law, and the way between them (ITU-T Recommendation G.711, tables 1 to 4).
//!
//! Linear samples have 16 bits; the Recommendation's 13 bits (A-law) and 14 bits (µ-law) are the upper ones.

use crate::sound::Codec;

/// Linear value of each A-law byte.
pub const ALAW_TO_LINEAR: [i16; 256] = decoding(Codec::Pcma);
/// Linear value of each µ-law byte.
pub const ULAW_TO_LINEAR: [i16; 256] = decoding(Codec::Pcmu);
/// A-law byte to µ-law byte.
pub static ALAW_TO_ULAW: [u8; 256] = alaw_to_ulaw();
/// µ-law byte to A-law byte.
pub static ULAW_TO_ALAW: [u8; 256] = ulaw_to_alaw();

/// The byte that means silence. In G.722 it is the smallest step down in the low band and up in the high one, which
/// fades out; in Opus no byte by itself means anything, and it is 0.
#[must_use]
pub const fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 0xd5,
        Codec::Pcmu => 0xff,
        Codec::G722 => 0xfa,
        Codec::Opus => 0,
    }
}

/// The table from one codec to another; `None` between a codec and itself, and where no table can do it: what is not
/// G.711 is not translated here.
#[must_use]
pub fn translation(from: Codec, to: Codec) -> Option<&'static [u8; 256]> {
    match (from, to) {
        (Codec::Pcma, Codec::Pcmu) => Some(&ALAW_TO_ULAW),
        (Codec::Pcmu, Codec::Pcma) => Some(&ULAW_TO_ALAW),
        (Codec::Pcma, Codec::Pcma) | (Codec::Pcmu, Codec::Pcmu) => None,
        (Codec::G722 | Codec::Opus, _) | (_, Codec::G722 | Codec::Opus) => None,
    }
}

/// Translates a payload in place.
#[inline]
pub fn translate(payload: &mut [u8], from: Codec, to: Codec) {
    if let Some(table) = translation(from, to) {
        for byte in payload {
            *byte = table[usize::from(*byte)];
        }
    }
}

/// Linear value of one byte; 0 in a codec whose bytes have none by themselves.
#[must_use]
pub fn decode(codec: Codec, byte: u8) -> i16 {
    match codec {
        Codec::Pcma => ALAW_TO_LINEAR[usize::from(byte)],
        Codec::Pcmu => ULAW_TO_LINEAR[usize::from(byte)],
        Codec::G722 | Codec::Opus => 0,
    }
}

/// The byte for one linear sample; that of silence in a codec that has none for one.
#[must_use]
pub const fn encode(codec: Codec, sample: i16) -> u8 {
    match codec {
        Codec::Pcma => encode_alaw(sample),
        Codec::Pcmu => encode_ulaw(sample),
        Codec::G722 | Codec::Opus => silence(codec),
    }
}

/// A-law byte of a linear sample. Even bits are inverted on the line.
#[must_use]
pub const fn encode_alaw(sample: i16) -> u8 {
    let magnitude = magnitude(sample) >> 4;
    // The first two segments have the same step; from 32 on each segment doubles it.
    let code = if magnitude < 32 {
        magnitude
    } else {
        let segment = magnitude.ilog2() - 3;
        segment << 4 | (magnitude >> (segment - 1)) & 0x0f
    };
    let sign = if sample < 0 { 0 } else { 0x80 };
    ((code & 0x7f) as u8 | sign) ^ 0x55
}

/// µ-law byte of a linear sample. All bits are inverted on the line.
#[must_use]
pub const fn encode_ulaw(sample: i16) -> u8 {
    const BIAS: u32 = 33;
    const LARGEST: u32 = 8191;
    let biased = (magnitude(sample) >> 2) + BIAS;
    let biased = if biased > LARGEST { LARGEST } else { biased };
    let segment = biased.ilog2() - 5;
    let code = segment << 4 | (biased >> (segment + 1)) & 0x0f;
    let sign = if sample < 0 { 0x80 } else { 0 };
    !((code & 0x7f) as u8 | sign)
}

/// Distance from zero, counted so that the intervals on both sides of zero are mirror images of each other.
const fn magnitude(sample: i16) -> u32 {
    let mirrored = if sample < 0 { !sample } else { sample };
    mirrored.cast_unsigned() as u32
}

const fn decode_alaw(byte: u8) -> i16 {
    let code = (byte ^ 0x55) as i16;
    let segment = (code >> 4) & 7;
    let step = (code & 0x0f) << 4;
    let value = if segment == 0 { step + 8 } else { (step + 0x108) << (segment - 1) };
    if code & 0x80 == 0 { -value } else { value }
}

const fn decode_ulaw(byte: u8) -> i16 {
    let code = !byte as i16;
    let segment = (code >> 4) & 7;
    let value = ((((code & 0x0f) << 3) + 0x84) << segment) - 0x84;
    if code & 0x80 == 0 { value } else { -value }
}

const fn decoding(codec: Codec) -> [i16; 256] {
    let mut table = [0; 256];
    let mut byte = 0u8;
    loop {
        table[byte as usize] = match codec {
            Codec::Pcma => decode_alaw(byte),
            Codec::Pcmu => decode_ulaw(byte),
            Codec::G722 | Codec::Opus => 0,
        };
        match byte.checked_add(1) {
            Some(next) => byte = next,
            None => return table,
        }
    }
}

/// Table 3 of the Recommendation: to each µ-law value number (from 0) the A-law value number (from 1). Not the
/// nearest value everywhere: the two tables are made so that sound survives several conversions.
#[rustfmt::skip]
const ULAW_NUMBERS: [u8; 128] = [
    1, 1, 2, 2, 3, 3, 4, 4, 5, 5, 6, 6, 7, 7, 8, 8,
    9, 10, 11, 12, 13, 14, 15, 16, 17, 18, 19, 20, 21, 22, 23, 24,
    25, 27, 29, 31, 33, 34, 35, 36, 37, 38, 39, 40, 41, 42, 43, 44,
    46, 48, 49, 50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62,
    64, 65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79,
    80, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95, 96,
    97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111, 112,
    113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127, 128,
];

/// Table 4 of the Recommendation: to each A-law value number (from 1) the µ-law value number (from 0).
#[rustfmt::skip]
const ALAW_NUMBERS: [u8; 128] = [
    1, 3, 5, 7, 9, 11, 13, 15, 16, 17, 18, 19, 20, 21, 22, 23,
    24, 25, 26, 27, 28, 29, 30, 31, 32, 32, 33, 33, 34, 34, 35, 35,
    36, 37, 38, 39, 40, 41, 42, 43, 44, 45, 46, 47, 48, 48, 49, 49,
    50, 51, 52, 53, 54, 55, 56, 57, 58, 59, 60, 61, 62, 63, 64, 64,
    65, 66, 67, 68, 69, 70, 71, 72, 73, 74, 75, 76, 77, 78, 79, 80,
    80, 81, 82, 83, 84, 85, 86, 87, 88, 89, 90, 91, 92, 93, 94, 95,
    96, 97, 98, 99, 100, 101, 102, 103, 104, 105, 106, 107, 108, 109, 110, 111,
    112, 113, 114, 115, 116, 117, 118, 119, 120, 121, 122, 123, 124, 125, 126, 127,
];

const fn ulaw_to_alaw() -> [u8; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 128 {
        let alaw = ULAW_NUMBERS[number] - 1;
        // On the line µ-law is inverted as a whole, A-law in its even bits; the sign bit is 1 for positive.
        table[0xff ^ number] = 0xd5 ^ alaw;
        table[0x7f ^ number] = 0x55 ^ alaw;
        number += 1;
    }
    table
}

const fn alaw_to_ulaw() -> [u8; 256] {
    let mut table = [0; 256];
    let mut number = 0;
    while number < 128 {
        table[0xd5 ^ number] = 0xff ^ ALAW_NUMBERS[number];
        table[0x55 ^ number] = 0x7f ^ ALAW_NUMBERS[number];
        number += 1;
    }
    table
}
