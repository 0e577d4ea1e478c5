//! Samples of the three stored formats into each other, for the recorder.

use duogate_channel::sound::Codec;

/// Tables for both laws, made once.
pub struct Companding {
    linear: [[i16; 256]; 2],
    codes: [Box<[u8]>; 2],
}

const fn law(codec: Codec) -> usize {
    match codec {
        Codec::Pcma => 0,
        Codec::Pcmu => 1,
    }
}

impl Companding {
    /// Makes the tables: 256 values and 65,536 codes a law.
    #[must_use]
    pub fn new() -> Self {
        let linear = [Codec::Pcma, Codec::Pcmu].map(|codec| std::array::from_fn(|code| expand(codec, code)));
        let codes = [nearest(&linear[0]), nearest(&linear[1])];
        Self { linear, codes }
    }

    /// The sample that a code stands for.
    #[must_use]
    pub fn linear(&self, codec: Codec, code: u8) -> i16 {
        self.linear[law(codec)][usize::from(code)]
    }

    /// The code nearest to a sample.
    #[must_use]
    pub fn code(&self, codec: Codec, sample: i16) -> u8 {
        self.codes[law(codec)][usize::from(sample.cast_unsigned())]
    }
}

impl Default for Companding {
    fn default() -> Self {
        Self::new()
    }
}

/// The value of a code on a 16-bit scale (ITU-T G.711 tables 1 and 2, times 8 and times 4).
fn expand(codec: Codec, code: usize) -> i16 {
    let code = u8::try_from(code).unwrap_or(0);
    // On the wire A-law inverts every other bit, µ-law all of them.
    let bits = match codec {
        Codec::Pcma => code ^ 0x55,
        Codec::Pcmu => !code,
    };
    let (segment, step) = (u32::from(bits >> 4 & 7), i32::from(bits & 15));
    let magnitude = match codec {
        // The two lowest segments share one slope; every value lies in the middle of its interval.
        Codec::Pcma if segment == 0 => step * 16 + 8,
        Codec::Pcma => (step * 16 + 264) << (segment - 1),
        Codec::Pcmu => ((step * 8 + 132) << segment) - 132,
    };
    let positive = match codec {
        Codec::Pcma => bits & 0x80 != 0,
        Codec::Pcmu => bits & 0x80 == 0,
    };
    i16::try_from(if positive { magnitude } else { -magnitude }).unwrap_or(0)
}

/// For every sample the code whose value lies nearest to it; between two equally near ones the lower.
fn nearest(linear: &[i16; 256]) -> Box<[u8]> {
    let mut codes: Vec<u8> = (0..=255).collect();
    codes.sort_by_key(|code| linear[usize::from(*code)]);
    codes.dedup_by_key(|code| linear[usize::from(*code)]);
    let value = |place: usize| i32::from(linear[usize::from(codes[place])]);
    let mut table = vec![0; 1 << 16].into_boxed_slice();
    let mut place = 0;
    for sample in i16::MIN..=i16::MAX {
        let distance = |place: usize| (value(place) - i32::from(sample)).abs();
        while place + 1 < codes.len() && distance(place + 1) < distance(place) {
            place += 1;
        }
        table[usize::from(sample.cast_unsigned())] = codes[place];
    }
    table
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_values() {
        let tables = Companding::new();
        let ends = |codec, code| tables.linear(codec, code);
        assert_eq!((ends(Codec::Pcma, 0xd5), ends(Codec::Pcma, 0x55)), (8, -8));
        assert_eq!((ends(Codec::Pcma, 0xaa), ends(Codec::Pcma, 0x2a)), (32_256, -32_256));
        assert_eq!((ends(Codec::Pcmu, 0xff), ends(Codec::Pcmu, 0x7f)), (0, 0));
        assert_eq!((ends(Codec::Pcmu, 0x80), ends(Codec::Pcmu, 0x00)), (32_124, -32_124));
    }

    #[test]
    fn every_code_survives_the_way_through_linear() {
        let tables = Companding::new();
        for codec in [Codec::Pcma, Codec::Pcmu] {
            for code in 0..=255 {
                let sample = tables.linear(codec, code);
                assert_eq!(tables.linear(codec, tables.code(codec, sample)), sample);
            }
        }
    }
}
