//! Keys that a party presses, as their tones are found in what it says (ITU-T Q.23, Q.24): each press once.
//!
//! Goertzel's filters measure the power at the eight frequencies over 12.75 ms, every 6.4 ms: two banks of filters that
//! overlap by half. A block is a hit when one low and one high tone stand out, are about as loud as each other, and are
//! almost all that is heard; that is what speech and music seldom are, and never for long. How far a tone's phase has
//! turned since the block before tells its exact frequency, so one that is a little off is not taken for a weaker one
//! with something beside it.
//!
//! ```text
//!           HITS hits in a row, all the same key              the tones are gone for GONE blocks in a row:
//!           and about as loud                                  told, with its duration
//!  (none) ─────────────────────────────────────> (a press) ──────────────────────────────────────────────> (none)
//!                                                  │    ^
//!                                                  └────┘ hits, noise over the tones, an interruption, lost packets
//! ```
//! With blocks of 102 samples every 51, any tone of 40 ms holds four whole blocks and none of 23 ms touches four enough
//! to be hits; any pause of 40 ms ends a press and no interruption of 20 ms does (Q.24 section 3, table A-1).

use duogate_channel::digits::Key;
use duogate_channel::g711;
use duogate_channel::sound::Codec;

use crate::dtmf::{FRACTION, HIGH, KEYPAD, LOW, Sine};

/// Samples of a block: wide enough to tell 697 from 770 Hz, short enough for four blocks in 40 ms.
const BLOCK: usize = 102;
/// Blocks begin every so many samples.
const HOP: usize = BLOCK / 2;
const HOP_SAMPLES: u32 = 51;
/// Hits in a row that make a press.
const HITS: u8 = 4;
/// Blocks in a row without its tones that end it.
const GONE: u8 = 4;

/// Power that a sine of amplitude 1 gives over a block: (N / 2)².
const UNIT: f32 = (BLOCK * BLOCK / 4) as f32;
/// The weakest tone: −36 dBm0, where Q.24 asks for −25 and lets −55 be refused. Full scale is +3.14 dBm0.
const WEAKEST: f32 = 356.0 * 356.0 * UNIT;
/// The high tone may be louder than the low one by 6 dB; Q.24 asks for 4.
const MOST_TWIST: f32 = 4.0;
/// The low tone may be louder than the high one by 10 dB; Q.24 asks for 8: lines lose more of the high tones.
const MOST_REVERSE_TWIST: f32 = 10.0;
/// Either tone stands out from the others of its group by 8 dB.
const STANDS_OUT: f32 = 6.3;
/// The least share of all that is heard that the two tones have over a run: noise of 12 dB below; Q.24 asks for 15.
const MEAN_SHARE: f32 = 0.94;
/// The same in one block, in which the filters hear something of the other tone, too.
const SHARE: f32 = 0.8;
/// The same in the first block of a run, where it is not known yet how far the frequencies are off.
const ROUGH_SHARE: f32 = 0.5;
/// How far a frequency may be off, in parts of it: Q.24 asks for 1.5 % and has 3.5 % refused.
const MOST_OFF: f64 = 0.025;
/// Hits of one press are as loud as each other, to a factor.
const STEADY: f32 = 4.0;
/// The twist of all hits of one press is the same, to a factor: 3.4 dB, for the weaker tone hears
/// something of the louder one. Voices do not keep it.
const SAME_TWIST: f32 = 2.2;
/// A tone is gone when it has less than this share of its power.
const LEFT: f32 = 0.1;

/// Samples that may be lost in the middle of a press: five packets of 20 ms. What may have happened meanwhile is left
/// out of account, and the press goes on if its tones do.
const MOST_LOST: u32 = 800;

/// Presses that end in one packet, at the most; a packet of 200 ms holds no more.
pub(crate) const MOST_TOLD: usize = 4;

/// What has been told in one step.
pub(crate) type Told = [Option<(Key, u16)>; MOST_TOLD];

/// One bank of filters at work on a block.
#[derive(Clone, Copy, Debug)]
struct Bank {
    /// The last two values of each filter, the low tones first.
    now: [f32; 8],
    before: [f32; 8],
    energy: f32,
    filled: usize,
}

/// A key's tones in a block.
#[derive(Clone, Copy, Debug)]
struct Hit {
    key: Key,
    /// Of both together.
    power: f32,
    /// That of the high one over that of the low one.
    twist: f32,
    /// What they have of all that is heard.
    share: f32,
}

/// What the filters say at the end of a block.
#[derive(Clone, Copy, Debug)]
struct Found {
    /// Amplitude and phase of each tone, as a complex number.
    tones: [(f32, f32); 8],
    energy: f32,
}

impl Bank {
    const EMPTY: Self = Self { now: [0.0; 8], before: [0.0; 8], energy: 0.0, filled: 0 };

    /// Takes a sample; at the end of a block it says what was in it.
    fn take(&mut self, sample: f32) -> Option<Found> {
        for (filter, coefficient) in COEFFICIENTS.iter().enumerate() {
            let next = sample + coefficient * self.now[filter] - self.before[filter];
            self.before[filter] = self.now[filter];
            self.now[filter] = next;
        }
        self.energy += sample * sample;
        self.filled += 1;
        if self.filled < BLOCK {
            return None;
        }
        let found = self.found();
        *self = Self::EMPTY;
        Some(found)
    }

    fn found(&self) -> Found {
        let mut tones = [(0.0, 0.0); 8];
        for (filter, tone) in tones.iter_mut().enumerate() {
            let (now, before) = (self.now[filter], self.before[filter]);
            *tone = (now - COEFFICIENTS[filter] / 2.0 * before, SINES[filter] * before);
        }
        Found { tones, energy: self.energy }
    }
}

/// The eight frequencies.
const TONES: [Sine; 8] = {
    let [a, b, c, d] = LOW;
    let [e, f, g, h] = HIGH;
    [a, b, c, d, e, f, g, h]
};

/// Fixed point to floating point: exact to 24 bits, a thousandth of a Hz.
#[allow(clippy::cast_precision_loss)]
const fn fixed(value: i64) -> f64 {
    value as f64 / (1_u64 << FRACTION) as f64
}

/// Their 2 cos ω.
const COEFFICIENTS: [f32; 8] = {
    let mut coefficients = [0.0; 8];
    let mut at = 0;
    while at < 8 {
        coefficients[at] = narrow(fixed(TONES[at].coefficient));
        at += 1;
    }
    coefficients
};

/// Their sin ω.
const SINES: [f32; 8] = {
    let mut sines = [0.0; 8];
    let mut at = 0;
    while at < 8 {
        sines[at] = narrow(fixed(TONES[at].first));
        at += 1;
    }
    sines
};

/// How far each turns from block to block: cosine and sine of ω · HOP.
const TURNS: [(f32, f32); 8] = {
    let mut turns = [(0.0, 0.0); 8];
    let mut at = 0;
    while at < 8 {
        let (cosine, sine) = (fixed(TONES[at].coefficient) / 2.0, fixed(TONES[at].first));
        let (mut real, mut imaginary, mut step) = (1.0, 0.0, 0);
        while step < HOP {
            (real, imaginary) = (real * cosine - imaginary * sine, real * sine + imaginary * cosine);
            step += 1;
        }
        turns[at] = (narrow(real), narrow(imaginary));
        at += 1;
    }
    turns
};

/// The cosine of how far each may turn beyond that, or less: of 2π · MOST_OFF · f · HOP / 8000.
const LEAST_COSINES: [f32; 8] = {
    let frequencies = [697.0, 770.0, 852.0, 941.0, 1209.0, 1336.0, 1477.0, 1633.0];
    let mut cosines = [0.0; 8];
    let mut at = 0;
    while at < 8 {
        let angle = core::f64::consts::TAU * MOST_OFF * frequencies[at] * HOP as f64 / 8000.0;
        // Below two radians, six terms of the series are exact to a thousandth.
        let square = angle * angle;
        let series =
            1.0 - square / 2.0 * (1.0 - square / 12.0 * (1.0 - square / 30.0 * (1.0 - square / 56.0)));
        cosines[at] = narrow(series);
        at += 1;
    }
    cosines
};

#[allow(clippy::cast_possible_truncation)] // Fewer digits is what is wanted.
const fn narrow(value: f64) -> f32 {
    value as f32
}

impl Found {
    fn power(&self, tone: usize) -> f32 {
        let (real, imaginary) = self.tones[tone];
        real * real + imaginary * imaginary
    }

    /// The loudest tone of four from `first` on, if it stands out.
    fn loudest(&self, first: usize) -> Option<usize> {
        let group = first..first + 4;
        let loudest = group.clone().max_by(|one, two| self.power(*one).total_cmp(&self.power(*two)))?;
        let power = self.power(loudest);
        let stands_out =
            group.into_iter().all(|tone| tone == loudest || self.power(tone) * STANDS_OUT <= power);
        (stands_out && power >= WEAKEST).then_some(loudest)
    }

    /// The power that a tone really has, by how far it has turned since the block before; none if it is another tone.
    fn exact_power(&self, tone: usize, before: &Self) -> Option<f32> {
        let ((a, b), (c, d)) = (self.tones[tone], before.tones[tone]);
        let (real, imaginary) = (a * c + b * d, b * c - a * d);
        let (cosine, sine) = TURNS[tone];
        let along = real * cosine + imaginary * sine;
        let across = imaginary * cosine - real * sine;
        // The cosine of the angle, without its square root: (along / length) · |along / length|.
        let length = along * along + across * across;
        let least = LEAST_COSINES[tone];
        if along * along.abs() < least * least.abs() * length {
            return None;
        }
        let off = root(length);
        let cosine = if off > 0.0 { along / off } else { 1.0 };
        Some(self.power(tone) / response(cosine))
    }

    /// The key that is heard, given the block before, if there is one.
    fn hit(&self, before: Option<&Self>) -> Option<Hit> {
        let (row, column) = (self.loudest(0)?, self.loudest(4)?);
        let (low, high, least) = match before {
            None => (self.power(row), self.power(column), ROUGH_SHARE),
            Some(before) => (self.exact_power(row, before)?, self.exact_power(column, before)?, SHARE),
        };
        // Two sines of this power and nothing else would have this energy: a sine's power is (A N / 2)², its energy
        // A² N / 2.
        let pure = (low + high) * 2.0 / BLOCK as f32;
        let fits =
            high <= low * MOST_TWIST && low <= high * MOST_REVERSE_TWIST && pure >= self.energy * least;
        let key = Key::from_code(KEYPAD[row][column - 4])?;
        // The tones' power is not zero, so neither is the energy.
        fits.then_some(Hit { key, power: low + high, twist: high / low, share: pure / self.energy })
    }
}

/// What a filter lets through of a tone that turns by an angle more from block to block than its own, by the cosine of
/// the angle: (sin a / a)², for a block is two hops long. Exact to a hundredth up to two radians.
fn response(cosine: f32) -> f32 {
    let y = 1.0 - cosine;
    // a² = 2 y + y² / 3 + 4 y³ / 45 + y⁴ / 35 + …
    let square = y * (2.0 + y * (1.0 / 3.0 + y * (4.0 / 45.0 + y / 35.0)));
    if square < 1e-6 { 1.0 } else { (1.0 - cosine * cosine) / square }
}

/// A square root by Newton's steps: this crate has no floating-point library.
fn root(value: f32) -> f32 {
    if value <= 0.0 {
        return 0.0;
    }
    // Half the exponent is a guess within a factor of √2.
    let guess = f32::from_bits((value.to_bits() >> 1) + (0x3f80_0000 >> 1));
    (0..3).fold(guess, |root, _| 0.5 * (root + value / root))
}

/// Where the tones of a key are among the eight.
fn places(key: Key) -> (usize, usize) {
    // All sixteen codes are on the keypad.
    let place = KEYPAD.as_flattened().iter().position(|code| *code == key.code()).unwrap_or(0);
    (place / 4, 4 + place % 4)
}

/// Hits in a row.
#[derive(Clone, Copy, Debug)]
struct Run {
    key: Key,
    hits: u8,
    /// The least and the most power, and twist.
    power: [f32; 2],
    twist: [f32; 2],
    /// Sum of the shares of all hits but the first.
    shares: f32,
}

impl Run {
    const fn begun(hit: &Hit) -> Self {
        Self { key: hit.key, hits: 1, power: [hit.power; 2], twist: [hit.twist; 2], shares: 0.0 }
    }

    /// Is this a key?
    fn is_key(&self) -> bool {
        self.hits >= HITS && self.shares >= MEAN_SHARE * f32::from(self.hits - 1)
    }

    /// With another hit, if it belongs to it.
    fn with(self, hit: &Hit) -> Option<Self> {
        let wider = |[least, most]: [f32; 2], value: f32| [least.min(value), most.max(value)];
        let (power, twist) = (wider(self.power, hit.power), wider(self.twist, hit.twist));
        let fits = self.key == hit.key && power[1] <= power[0] * STEADY && twist[1] <= twist[0] * SAME_TWIST;
        // Of a run that is so long the mean does not matter any more: it has been a key, or never will be.
        let hits = self.hits.checked_add(1)?;
        fits.then_some(Self { key: self.key, hits, power, twist, shares: self.shares + hit.share })
    }
}

/// A press that has begun.
#[derive(Clone, Copy, Debug)]
struct Press {
    key: Key,
    /// The strongest that its tones were.
    peak: f32,
    /// Blocks since it began, and of these the last in which the tones were not there.
    blocks: u32,
    gone: u8,
}

impl Press {
    fn milliseconds(&self) -> u16 {
        let samples = (self.blocks - u32::from(self.gone) + 1) * HOP_SAMPLES;
        u16::try_from(samples / 8).unwrap_or(u16::MAX)
    }
}

/// One party's sound, searched for keys.
#[derive(Debug)]
pub(crate) struct Tones {
    /// Of the sender, and the timestamp of the sample that comes next; none before the first.
    expected: Option<(u32, u32)>,
    banks: [Bank; 2],
    /// Samples taken since the banks were emptied: the second begins half a block later.
    taken: usize,
    /// The block before, if nothing is missing since.
    before: Option<Found>,
    run: Option<Run>,
    press: Option<Press>,
}

impl Tones {
    pub(crate) const fn new() -> Self {
        Self { expected: None, banks: [Bank::EMPTY; 2], taken: 0, before: None, run: None, press: None }
    }

    /// Is a press under way, whose end may never come?
    pub(crate) const fn is_open(&self) -> bool {
        self.press.is_some()
    }

    /// Nothing more came: the press under way is over.
    pub(crate) fn lost(&mut self) -> Option<(Key, u16)> {
        self.run = None;
        let press = self.press.take()?;
        Some((press.key, press.milliseconds()))
    }

    /// Hears a packet of sound. What is older than what was heard is left out.
    pub(crate) fn hear(&mut self, (ssrc, timestamp): (u32, u32), codec: Codec, payload: &[u8]) -> Told {
        let mut told = [None; MOST_TOLD];
        let length = u32::try_from(payload.len()).unwrap_or(u32::MAX);
        if let Some((sender, next)) = self.expected {
            let step = timestamp.wrapping_sub(next);
            if sender == ssrc && step != 0 {
                if step.cast_signed() < 0 && step.wrapping_neg() <= MOST_LOST {
                    return told;
                }
                self.empty();
            }
            if sender != ssrc || step > MOST_LOST {
                self.empty();
                told[0] = self.lost();
            }
        }
        self.expected = Some((ssrc, timestamp.wrapping_add(length)));
        for code in payload {
            let sample = f32::from(g711::decode(codec, *code));
            if let Some(ended) = self.take(sample)
                && let Some(place) = told.iter_mut().find(|place| place.is_none())
            {
                *place = Some(ended);
            }
        }
        told
    }

    /// A block does not reach over a hole.
    fn empty(&mut self) {
        self.banks = [Bank::EMPTY; 2];
        self.taken = 0;
        self.before = None;
    }

    fn take(&mut self, sample: f32) -> Option<(Key, u16)> {
        self.taken += 1;
        let first = self.banks[0].take(sample);
        let second = if self.taken > HOP { self.banks[1].take(sample) } else { None };
        // Never both: they are half a block apart.
        self.judge(&first.or(second)?)
    }

    /// Takes in what a block holds; a press that it ends.
    fn judge(&mut self, found: &Found) -> Option<(Key, u16)> {
        // A run goes on with what fits exactly, as far as that can be known, and begins with what fits roughly.
        let before = self.before.replace(*found);
        let goes_on = self.run.zip(found.hit(before.as_ref())).and_then(|(run, hit)| run.with(&hit));
        self.run = goes_on.or_else(|| found.hit(None).map(|hit| Run::begun(&hit)));
        let ended = self.go_on(found);
        if self.press.is_none()
            && let Some(run) = self.run.filter(Run::is_key)
        {
            self.press =
                Some(Press { key: run.key, peak: run.power[1], blocks: u32::from(run.hits), gone: 0 });
        }
        ended
    }

    /// The press under way, if there is one, goes on with this block, or ends.
    fn go_on(&mut self, found: &Found) -> Option<(Key, u16)> {
        let press = self.press.as_mut()?;
        press.blocks = press.blocks.saturating_add(1);
        let (low, high) = places(press.key);
        let power = found.power(low) + found.power(high);
        let other = self.run.is_some_and(|run| run.key != press.key);
        press.gone = if power < press.peak * LEFT || other { press.gone + 1 } else { 0 };
        press.peak = press.peak.max(power);
        if press.gone < GONE {
            return None;
        }
        let press = self.press.take()?;
        Some((press.key, press.milliseconds()))
    }
}

#[cfg(test)]
mod tests;
