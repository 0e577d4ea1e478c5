//! G.722 against ITU-T's own test sequence, and against implementations that share no code with ours.
//!
//! **The Recommendation** (Appendix II): its test sequences bypass the filters, so that every bit of the two bands is
//! fixed. The overload sequence is T1C2.XMT, which is encoded as T2R2.COD, and decoded as T3L2.RC1 in the lower band and
//! T3H2.RC0 in the higher one. Every file is known by the CRC-32 that ITU-T publishes beside it.
//!
//! **The whole codec**, with its filters: the same signal and the same codes went through encoder and decoder of FFmpeg
//! 5.1, and through the encoder of `SpanDSP` 0.0.6. What those gave is known by its CRC-32.

use super::{Decoder, Encoder};

/// Words before and behind the data in ITU-T's files, that reset the coder.
const RESET: [u16; 16] = [1; 16];

/// As in Ethernet and in ITU-T's lists.
fn crc32(octets: impl IntoIterator<Item = u8>) -> u32 {
    !octets.into_iter().fold(u32::MAX, |crc, octet| {
        (0..8).fold(crc ^ u32::from(octet), |crc, _| {
            let carry = if crc & 1 == 1 { 0xedb8_8320 } else { 0 };
            crc >> 1 ^ carry
        })
    })
}

/// The sum of a file of 16-bit words, the low octet first.
fn file(words: impl IntoIterator<Item = u16>) -> u32 {
    let all = RESET.into_iter().chain(words).chain(RESET);
    crc32(all.flat_map(u16::to_le_bytes))
}

/// The data of T1C2.XMT: full scale up and down, and then a beat of it.
fn overload() -> Vec<u16> {
    let mut words: Vec<u16> = [0x8000, 0x7ffe].into_iter().cycle().take(639).collect();
    words.extend([0, 0xb1e0, 0xc000]);
    words.extend([0x8000, 0x7ffe, 0x8000].into_iter().cycle().take(126));
    words
}

#[test]
fn g722_appendix_ii_the_overload_sequence_is_exact_in_both_bands() {
    let words = overload();
    assert_eq!(file(words.iter().copied()), 0x2d60_4685, "T1C2.XMT");
    let (mut encoder, mut decoder) = (Encoder::new(), Decoder::new());
    let sample = |word: u16| i32::from(word.cast_signed()) >> 1;
    let codes: Vec<u8> = words.into_iter().map(|word| encoder.bands(sample(word), sample(word))).collect();
    assert_eq!(file(codes.iter().map(|code| u16::from(*code) << 8)), 0x344e_a5d0, "T2R2.COD");
    let bands: Vec<[i32; 2]> = codes.into_iter().map(|code| decoder.bands(code)).collect();
    for (band, name, expected) in [(0, "T3L2.RC1", 0xaf00_f31f), (1, "T3H2.RC0", 0x5330_ae2e)] {
        let words = bands.iter().map(|bands| i16::try_from(bands[band] << 1).unwrap().cast_unsigned());
        assert_eq!(file(words), expected, "{name}");
    }
}

/// Marsaglia's xorshift.
fn numbers(mut seed: u32) -> impl Iterator<Item = u32> {
    std::iter::repeat_with(move || {
        seed ^= seed << 13;
        seed ^= seed >> 17;
        seed ^= seed << 5;
        seed
    })
}

/// Noise from full scale down to a few steps and up again, and square waves of full scale: 2.3 s at 16 kHz.
fn signal() -> Vec<i16> {
    let mut numbers = numbers(1);
    let mut samples = Vec::new();
    for shift in (0..12).chain([0, 6, 3]) {
        let loud = numbers
            .by_ref()
            .take(1_600)
            .map(|number| i16::from_be_bytes([number.to_be_bytes()[0], number.to_be_bytes()[1]]));
        samples.extend(loud.map(|sample| sample >> shift));
    }
    for period in [2, 3, 5, 8, 13, 34, 89, 233] {
        samples.extend((0..1_600).map(|at| if at / period % 2 == 0 { i16::MAX } else { i16::MIN }));
    }
    samples
}

fn decoded(codes: &[u8]) -> u32 {
    let mut samples = Vec::new();
    Decoder::new().decode(codes, &mut samples);
    crc32(samples.into_iter().flat_map(i16::to_le_bytes))
}

#[test]
fn the_whole_codec_is_exact_against_others() {
    let mut codes = Vec::new();
    Encoder::new().encode(&signal(), &mut codes);
    assert_eq!((codes.len(), crc32(codes.iter().copied())), (18_400, 0xc557_5165), "encoder");
    assert_eq!(decoded(&codes), 0xa955_ff38, "decoder of what was encoded");
    let any: Vec<u8> = numbers(7).take(20_000).map(|number| number.to_be_bytes()[0]).collect();
    assert_eq!(decoded(&any), 0x53b1_d50d, "decoder of anything");
}
