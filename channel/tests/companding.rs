//! G.711 held against the decision values of ITU-T Recommendation G.711, tables 1a and 2a.

use duogate_channel::g711::{ALAW_TO_ULAW, ULAW_TO_ALAW, decode, encode, silence, translate};
use duogate_channel::sound::Codec;

/// Decision values of the positive half, from the lowest interval up: so many intervals of such a step, and where
/// they begin, in the Recommendation's own units.
fn intervals(segments: &[(i32, i32)]) -> Vec<(i32, i32)> {
    let (mut start, mut list) = (0, Vec::new());
    for &(count, step) in segments {
        for _ in 0..count {
            list.push((start, start + step));
            start += step;
        }
    }
    list
}

#[test]
fn alaw_is_exact_over_all_samples() {
    // 4096 units are full scale in table 1a: 8 of the 16-bit values each.
    let table = intervals(&[(32, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128)]);
    assert_eq!((table.len(), table[127].1), (128, 4096));
    for (number, (from, to)) in table.into_iter().enumerate() {
        let byte = u8::try_from(number).unwrap() ^ 0x55 ^ 0x80;
        assert_eq!(i32::from(decode(Codec::Pcma, byte)), (from + to) / 2 * 8, "the middle of the interval");
        assert_eq!(decode(Codec::Pcma, byte ^ 0x80), -decode(Codec::Pcma, byte));
        for sample in from * 8..to * 8 {
            let sample = i16::try_from(sample).unwrap();
            assert_eq!(encode(Codec::Pcma, sample), byte, "{sample}");
            assert_eq!(encode(Codec::Pcma, -1 - sample), byte ^ 0x80, "mirrored {sample}");
        }
    }
}

#[test]
fn ulaw_is_exact_over_all_samples() {
    // 8159 units are full scale in table 2a: 4 of the 16-bit values each.
    let mut table =
        intervals(&[(1, 1), (15, 2), (16, 4), (16, 8), (16, 16), (16, 32), (16, 64), (16, 128), (16, 256)]);
    assert_eq!((table.len(), table[127].1), (128, 8159));
    // What is louder is clipped.
    table[127].1 = 8192;
    for (number, (from, to)) in table.into_iter().enumerate() {
        let byte = !u8::try_from(number).unwrap();
        let middle = match number {
            0 => 0,
            127 => (from + 8159) * 2,
            _ => (from + to) * 2,
        };
        assert_eq!(i32::from(decode(Codec::Pcmu, byte)), middle, "the middle of the interval {number}");
        assert_eq!(decode(Codec::Pcmu, byte ^ 0x80), -decode(Codec::Pcmu, byte));
        for sample in from * 4..to * 4 {
            let sample = i16::try_from(sample).unwrap();
            assert_eq!(encode(Codec::Pcmu, sample), byte, "{sample}");
            assert_eq!(encode(Codec::Pcmu, -1 - sample), byte ^ 0x80, "mirrored {sample}");
        }
    }
}

#[test]
fn translation_keeps_sign_order_and_loudness() {
    let neighbors = |codec: Codec, a: u8, b: u8| {
        let step = i32::from(decode(codec, a)).abs() / 8 + 32;
        (i32::from(decode(codec, a)) - i32::from(decode(codec, b))).abs() <= step
    };
    for byte in 0..=255u8 {
        let there = ALAW_TO_ULAW[usize::from(byte)];
        assert_eq!(there & 0x80, byte & 0x80, "the sign");
        let best = encode(Codec::Pcmu, decode(Codec::Pcma, byte));
        assert!(neighbors(Codec::Pcmu, there, best), "{byte:#x}: {there:#x} for {best:#x}");
        let back = ULAW_TO_ALAW[usize::from(byte)];
        assert_eq!(back & 0x80, byte & 0x80, "the sign");
        let best = encode(Codec::Pcma, decode(Codec::Pcmu, byte));
        assert!(neighbors(Codec::Pcma, back, best), "{byte:#x}: {back:#x} for {best:#x}");
    }
    for loudness in 0..127u8 {
        let level = |codec, table: &[u8; 256], at: u8| decode(codec, table[usize::from(at)]);
        assert!(
            level(Codec::Pcmu, &ALAW_TO_ULAW, (loudness + 1) ^ 0xd5)
                >= level(Codec::Pcmu, &ALAW_TO_ULAW, loudness ^ 0xd5)
        );
        assert!(
            level(Codec::Pcma, &ULAW_TO_ALAW, !(loudness + 1))
                >= level(Codec::Pcma, &ULAW_TO_ALAW, !loudness)
        );
    }
}

#[test]
fn a_second_way_there_and_back_changes_nothing_more() {
    for byte in 0..=255u8 {
        let once = ULAW_TO_ALAW[usize::from(ALAW_TO_ULAW[usize::from(byte)])];
        let twice = ULAW_TO_ALAW[usize::from(ALAW_TO_ULAW[usize::from(once)])];
        assert_eq!(once, twice, "{byte:#x}");
    }
}

#[test]
fn silence_is_the_quietest_byte_and_a_codec_is_not_translated_to_itself() {
    for codec in [Codec::Pcma, Codec::Pcmu] {
        let quietest = (0..=255u8).map(|byte| decode(codec, byte).unsigned_abs()).min().unwrap();
        assert_eq!(decode(codec, silence(codec)).unsigned_abs(), quietest);
        let mut payload = [0x12, 0x34];
        translate(&mut payload, codec, codec);
        assert_eq!(payload, [0x12, 0x34]);
    }
}
