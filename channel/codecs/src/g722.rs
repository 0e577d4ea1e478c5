//! G.722 at 64 kbit/s (ITU-T G.722, 09/2012), exact to the bit: its test sequence and other implementations say so.
//!
//! ```text
//!             ┌─ lower band, 6 bits ─┐                 ┌─ lower band ─┐
//!  16 kHz ──> QMF                    ├──> 8 kHz ─────> ┤              ├──> QMF ──> 16 kHz
//!             └─ higher band, 2 bits ┘    octets       └─ higher band ┘
//! ```
//! Each band is predicted from what was decoded before, and what is left is quantized in steps that grow and shrink with
//! it (ADPCM). Names of blocks and tables are the Recommendation's, section 6.2.

/// Samples of the history of the quadrature mirror filters.
const TAPS: usize = 24;

/// Every second coefficient of those filters, for they are symmetric (table 11).
const FILTER: [i32; 12] = [3, -11, 12, 32, -210, 951, 3876, -805, 362, -156, 53, -11];

/// Thresholds of the lower band's quantizer (table 14, Q6), the first left out.
const Q6: [i32; 29] = [
    35, 72, 110, 150, 190, 233, 276, 323, 370, 422, 473, 530, 587, 650, 714, 786, 858, 940, 1023, 1121, 1219,
    1339, 1458, 1612, 1765, 1980, 2195, 2557, 2919,
];
/// What the lower band's four upper bits stand for (QM4), by code without its lowest two.
const QM4: [i32; 16] = [
    0, -20_456, -12_896, -8_968, -6_288, -4_240, -2_584, -1_200, 20_456, 12_896, 8_968, 6_288, 4_240, 2_584,
    1_200, 0,
];
/// What all six of them stand for (QM6).
const QM6: [i32; 64] = [
    -136, -136, -136, -136, -24_808, -21_904, -19_008, -16_704, -14_984, -13_512, -12_280, -11_192, -10_232,
    -9_360, -8_576, -7_856, -7_192, -6_576, -6_000, -5_456, -4_944, -4_464, -4_008, -3_576, -3_168, -2_776,
    -2_400, -2_032, -1_688, -1_360, -1_040, -728, 24_808, 21_904, 19_008, 16_704, 14_984, 13_512, 12_280,
    11_192, 10_232, 9_360, 8_576, 7_856, 7_192, 6_576, 6_000, 5_456, 4_944, 4_464, 4_008, 3_576, 3_168,
    2_776, 2_400, 2_032, 1_688, 1_360, 1_040, 728, 432, 136, -432, -136,
];
/// How the lower band's step goes on (WL by RL42), by code without its lowest two bits.
const WL: [i32; 16] = [-60, 3_042, 1_198, 538, 334, 172, 58, -30, 3_042, 1_198, 538, 334, 172, 58, -30, -60];
/// What the higher band's two bits stand for (QM2), and how its step goes on (WH by RH2).
const QM2: [i32; 4] = [-7_408, -1_616, 7_408, 1_616];
const WH: [i32; 4] = [798, -214, 798, -214];
/// The threshold of the higher band's quantizer.
const Q2: i32 = 564;
/// The inverse of the logarithm (ILB).
const ILB: [i32; 32] = [
    2048, 2093, 2139, 2186, 2233, 2282, 2332, 2383, 2435, 2489, 2543, 2599, 2656, 2714, 2774, 2834, 2896,
    2960, 3025, 3091, 3158, 3228, 3298, 3371, 3444, 3520, 3597, 3676, 3756, 3838, 3922, 4008,
];

/// 16 bits, as the Recommendation's additions have them.
fn saturated(value: i32) -> i32 {
    value.clamp(-32_768, 32_767)
}

/// −1 for what is below zero, else 0.
const fn sign(value: i32) -> i32 {
    value >> 31
}

/// One band's predictor and step.
#[derive(Clone, Debug)]
struct Band {
    /// What is predicted, by the zeros alone, and altogether (SZ, S).
    by_zeros: i32,
    predicted: i32,
    /// The differences before, the newest first (D), and the coefficients of the zeros (B).
    differences: [i32; 6],
    zeros: [i32; 6],
    /// The reconstructed signal before (R), its part (P), and the coefficients of the poles (A).
    reconstructed: [i32; 2],
    partial: [i32; 2],
    poles: [i32; 2],
    /// The step's logarithm (NB), and the step (DET).
    logarithm: i32,
    step: i32,
    /// How far the logarithm may go, and how the step comes from it.
    most: i32,
    shift: i32,
}

impl Band {
    /// The lower one; it begins with this step.
    const LOWER: Self = Self::new(18_432, 8, 32);
    /// The higher one.
    const HIGHER: Self = Self::new(22_528, 10, 8);

    const fn new(most: i32, shift: i32, step: i32) -> Self {
        Self {
            by_zeros: 0,
            predicted: 0,
            differences: [0; 6],
            zeros: [0; 6],
            reconstructed: [0; 2],
            partial: [0; 2],
            poles: [0; 2],
            logarithm: 0,
            step,
            most,
            shift,
        }
    }

    /// LOGSCL and SCALEL, or LOGSCH and SCALEH: the next step.
    fn scale(&mut self, growth: i32) {
        self.logarithm = (((self.logarithm * 127) >> 7) + growth).clamp(0, self.most);
        let mantissa = ILB[usize::try_from((self.logarithm >> 6) & 31).unwrap_or(0)];
        let shift = self.shift - (self.logarithm >> 11);
        let step = if shift < 0 { mantissa << -shift } else { mantissa >> shift };
        self.step = step << 2;
    }

    /// Block 4: takes the difference in, and predicts what comes next.
    fn adapt(&mut self, difference: i32) {
        let reconstructed = saturated(self.predicted + difference);
        let partial = saturated(self.by_zeros + difference);
        let signs = [sign(partial), sign(self.partial[0]), sign(self.partial[1])];
        // UPPOL2, UPPOL1.
        let four = saturated(self.poles[0] << 2);
        let turned = if signs[0] == signs[1] { saturated(-four) } else { four };
        let alike = if signs[0] == signs[2] { 128 } else { -128 };
        let second = ((turned >> 7) + alike + ((self.poles[1] * 32_512) >> 15)).clamp(-12_288, 12_288);
        let alike = if signs[0] == signs[1] { 192 } else { -192 };
        let most = saturated(15_360 - second);
        let first = saturated(alike + ((self.poles[0] * 32_640) >> 15)).clamp(-most, most);
        self.poles = [first, second];
        // UPZERO, DELAYA.
        let way = if difference == 0 { 0 } else { 128 };
        for (zero, before) in self.zeros.iter_mut().zip(&self.differences) {
            let way = if sign(difference) == sign(*before) { way } else { -way };
            *zero = saturated(way + ((*zero * 32_640) >> 15));
        }
        self.differences.rotate_right(1);
        self.differences[0] = difference;
        self.reconstructed = [reconstructed, self.reconstructed[0]];
        self.partial = [partial, self.partial[0]];
        // FILTEP, FILTEZ, PREDIC.
        let by = |coefficient: i32, value: i32| (coefficient * saturated(2 * value)) >> 15;
        let poles = self.poles.iter().zip(self.reconstructed).map(|(pole, before)| by(*pole, before));
        let zeros = self.zeros.iter().zip(self.differences).map(|(zero, before)| by(*zero, before));
        self.by_zeros = saturated(zeros.sum());
        self.predicted = saturated(saturated(poles.sum()) + self.by_zeros);
    }

    /// Takes the lower band's code in.
    fn take_lower(&mut self, code: usize) {
        let rough = code >> 2;
        let difference = (self.step * QM4[rough]) >> 15;
        self.scale(WL[rough]);
        self.adapt(difference);
    }

    /// Takes the higher band's code in.
    fn take_higher(&mut self, code: usize) {
        let difference = (self.step * QM2[code]) >> 15;
        self.scale(WH[code]);
        self.adapt(difference);
    }

    /// QUANTL: the lower band's code for a sample.
    fn lower_code(&self, sample: i32) -> usize {
        let error = saturated(sample - self.predicted);
        let magnitude = if error >= 0 { error } else { -(error + 1) };
        let below = |threshold: &i32| magnitude >= (threshold * self.step) >> 12;
        // 1 to 30.
        let level = 1 + Q6.iter().take_while(|threshold| below(threshold)).count();
        match (error < 0, level) {
            (false, level) => 62 - level,
            (true, 1) => 63,
            (true, 2) => 62,
            (true, level) => 34 - level,
        }
    }

    /// QUANTH: the higher band's.
    fn higher_code(&self, sample: i32) -> usize {
        let error = saturated(sample - self.predicted);
        let magnitude = if error >= 0 { error } else { -(error + 1) };
        let far = magnitude >= (Q2 * self.step) >> 12;
        match (error < 0, far) {
            (true, false) => 1,
            (true, true) => 0,
            (false, false) => 3,
            (false, true) => 2,
        }
    }
}

/// The history of a filter, the oldest first.
#[derive(Clone, Debug)]
struct History {
    samples: [i32; TAPS],
}

impl History {
    /// Takes two more, and gives both halves of the filter over all.
    fn filter(&mut self, pair: [i32; 2]) -> [i32; 2] {
        self.samples.copy_within(2.., 0);
        self.samples[TAPS - 2..].copy_from_slice(&pair);
        let (mut odd, mut even) = (0, 0);
        for (at, two) in self.samples.as_chunks::<2>().0.iter().enumerate() {
            odd += two[0] * FILTER[at];
            even += two[1] * FILTER[11 - at];
        }
        [even, odd]
    }
}

/// From samples at 16 kHz to octets.
#[derive(Clone, Debug)]
pub(crate) struct Encoder {
    history: History,
    lower: Band,
    higher: Band,
}

impl Encoder {
    pub(crate) const fn new() -> Self {
        let history = History { samples: [0; TAPS] };
        Self { history, lower: Band::LOWER, higher: Band::HIGHER }
    }

    /// Encodes pairs of samples; one that is left over is left out.
    pub(crate) fn encode(&mut self, samples: &[i16], octets: &mut Vec<u8>) {
        octets.extend(samples.as_chunks::<2>().0.iter().map(|pair| {
            let [even, odd] = self.history.filter(pair.map(i32::from));
            self.bands((even + odd) >> 14, (even - odd) >> 14)
        }));
    }

    /// One octet from what lies in the two bands.
    fn bands(&mut self, lower: i32, higher: i32) -> u8 {
        let (low, high) = (self.lower.lower_code(lower), self.higher.higher_code(higher));
        self.lower.take_lower(low);
        self.higher.take_higher(high);
        // Two bits and six.
        u8::try_from(high << 6 | low).unwrap_or(0)
    }
}

/// From octets to samples at 16 kHz.
#[derive(Clone, Debug)]
pub(crate) struct Decoder {
    history: History,
    lower: Band,
    higher: Band,
}

impl Decoder {
    pub(crate) const fn new() -> Self {
        let history = History { samples: [0; TAPS] };
        Self { history, lower: Band::LOWER, higher: Band::HIGHER }
    }

    /// Decodes octets, each to two samples.
    pub(crate) fn decode(&mut self, octets: &[u8], samples: &mut Vec<i16>) {
        for octet in octets {
            let [lower, higher] = self.bands(*octet);
            let pair = self.history.filter([lower + higher, lower - higher]);
            // Saturated to 16 bits.
            samples.extend(pair.map(|sum| i16::try_from(saturated(sum >> 11)).unwrap_or(0)));
        }
    }

    /// What lies in the two bands.
    fn bands(&mut self, octet: u8) -> [i32; 2] {
        let (low, high) = (usize::from(octet & 0x3f), usize::from(octet >> 6));
        let lower = self.lower.predicted + ((self.lower.step * QM6[low]) >> 15);
        let higher = self.higher.predicted + ((self.higher.step * QM2[high]) >> 15);
        self.lower.take_lower(low);
        self.higher.take_higher(high);
        // LIMIT.
        [lower, higher].map(|band| band.clamp(-16_384, 16_383))
    }
}

#[cfg(test)]
mod tests;
