//! G.711 encoding (ITU-T G.711, with the thresholds of the ITU's G.191 software tools).
//!
//! Only prompts and tones are encoded here, once per file; the shards never call this.

use duogate_channel::sound::Codec;

/// Encodes 16-bit linear samples for a codec.
pub(crate) fn encode(codec: Codec, samples: &[i16]) -> Vec<u8> {
    match codec {
        Codec::Pcma => samples.iter().map(|&sample| alaw(sample)).collect(),
        Codec::Pcmu => samples.iter().map(|&sample| ulaw(sample)).collect(),
    }
}

/// The byte that means silence in a codec.
#[cfg(test)]
pub(crate) fn silence(codec: Codec) -> u8 {
    match codec {
        Codec::Pcma => 0xD5,
        Codec::Pcmu => 0xFF,
    }
}

/// One sample in A-law: 12 bits of magnitude, ones' complement for the negative half, even bits inverted.
pub(crate) fn alaw(sample: i16) -> u8 {
    let negative = sample < 0;
    let magnitude = (if negative { !sample } else { sample }).unsigned_abs() >> 4;
    // Segment 0 is linear; above it each segment keeps four bits beneath the leading one.
    let code = if magnitude < 16 {
        magnitude
    } else {
        let leading = 15 - magnitude.leading_zeros();
        let segment = leading - 3;
        let step = (magnitude >> (leading - 4)) & 0x0F;
        (u16::try_from(segment).unwrap_or(7) << 4) | step
    };
    let signed = if negative { code } else { code | 0x80 };
    u8::try_from(signed & 0xFF).unwrap_or(0) ^ 0x55
}

/// One sample in µ-law: 13 bits of magnitude with a bias of 33, all bits inverted.
pub(crate) fn ulaw(sample: i16) -> u8 {
    const BIAS: u16 = 33;
    const LARGEST: u16 = 0x1FFF;
    let negative = sample < 0;
    let magnitude = (if negative { !sample } else { sample }).unsigned_abs() >> 2;
    let biased = (magnitude + BIAS).min(LARGEST);
    // The bias puts the leading one at bit 5 or above, so the segment is 0..=7.
    let leading = 15 - biased.leading_zeros();
    let segment = leading - 5;
    let step = (biased >> (leading - 4)) & 0x0F;
    let code = (u16::try_from(segment).unwrap_or(7) << 4) | step;
    let signed = if negative { code | 0x80 } else { code };
    !u8::try_from(signed & 0xFF).unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Expansion straight from the definition of A-law, as an oracle for the encoder.
    fn expand_alaw(byte: u8) -> i32 {
        let code = byte ^ 0x55;
        let segment = i32::from((code >> 4) & 7);
        let step = i32::from(code & 15);
        let magnitude = if segment == 0 { (step << 4) + 8 } else { ((step << 4) + 0x108) << (segment - 1) };
        if code & 0x80 != 0 { magnitude } else { -magnitude }
    }

    /// Expansion straight from the definition of µ-law.
    fn expand_ulaw(byte: u8) -> i32 {
        let code = !byte;
        let segment = i32::from((code >> 4) & 7);
        let step = i32::from(code & 15);
        let magnitude = ((((step << 1) + 33) << segment) - 33) << 2;
        if code & 0x80 != 0 { -magnitude } else { magnitude }
    }

    #[test]
    fn every_code_survives_expansion_and_compression() {
        for byte in 0..=255u8 {
            let linear = expand_alaw(byte).clamp(-32768, 32767);
            assert_eq!(alaw(i16::try_from(linear).unwrap()), byte, "A-law {byte:#x}");
            let linear = expand_ulaw(byte).clamp(-32768, 32767);
            let again = ulaw(i16::try_from(linear).unwrap());
            // µ-law has two zeros; linear zero is the positive one.
            assert!(again == byte || (byte == 0x7F && again == 0xFF), "µ-law {byte:#x} {again:#x}");
        }
    }

    #[test]
    fn the_error_stays_within_half_a_step() {
        for sample in i16::MIN..=i16::MAX {
            let value = i32::from(sample);
            let limit = 16 + value.abs() / 16;
            assert!((expand_alaw(alaw(sample)) - value).abs() <= limit, "A-law {sample}");
            // The clip level of µ-law is 32,124.
            let limit = if value.abs() > 32_124 { 700 } else { limit };
            assert!((expand_ulaw(ulaw(sample)) - value).abs() <= limit, "µ-law {sample}");
        }
    }

    #[test]
    fn silence_is_the_code_of_zero() {
        assert_eq!(encode(Codec::Pcma, &[0]), [silence(Codec::Pcma)]);
        assert_eq!(encode(Codec::Pcmu, &[0]), [silence(Codec::Pcmu)]);
    }
}
