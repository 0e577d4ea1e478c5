//! What Q.24 asks for: which tones are keys and which are not, and what must never be one.

use alloc::vec::Vec;
use core::f64::consts::TAU;

use duogate_channel::digits::Key;

use super::*;

/// A key's tones.
#[derive(Clone, Copy)]
struct Tone {
    frequencies: [f64; 2],
    /// Levels in dBm0 of the low and the high tone.
    levels: [f64; 2],
}

const KEYS: &str = "0123456789*#ABCD";
const ROWS: [f64; 4] = [697.0, 770.0, 852.0, 941.0];
const COLUMNS: [f64; 4] = [1209.0, 1336.0, 1477.0, 1633.0];

fn tone(key: char) -> Tone {
    let key = Key::from_char(key).unwrap();
    let (low, high) = places(key);
    Tone { frequencies: [ROWS[low], COLUMNS[high - 4]], levels: [-10.0, -8.0] }
}

/// Numbers that are the same every time.
struct Noise(u64);

impl Noise {
    /// Even between −1 and 1.
    fn next(&mut self) -> f64 {
        self.0 = self.0.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
        f64::from(u32::try_from(self.0 >> 33).unwrap()) / f64::from(1_u32 << 30) - 1.0
    }
}

fn amplitude(level: f64) -> f64 {
    // Full scale is +3.14 dBm0 (ITU-T G.711).
    32_256.0 * 10_f64.powf((100.0 * level - 314.0) / 2_000.0)
}

impl Tone {
    fn samples(self, count: usize) -> Vec<f64> {
        let [low, high] = [0, 1].map(|n| (TAU * self.frequencies[n] / 8_000.0, amplitude(self.levels[n])));
        let at = |n: usize| {
            let n = f64::from(u32::try_from(n).unwrap());
            low.1 * (low.0 * n).sin() + high.1 * (high.0 * n + 1.0).sin()
        };
        (0..count).map(at).collect()
    }
}

fn silence(count: usize) -> Vec<f64> {
    alloc::vec![0.0; count]
}

fn with_noise(mut sound: Vec<f64>, level: f64) -> Vec<f64> {
    let mut noise = Noise(7);
    // Even noise of amplitude A has the power of a sine of A · √(2/3).
    let scale = amplitude(level) * 1.5_f64.sqrt();
    sound.iter_mut().for_each(|sample| *sample += scale * noise.next());
    sound
}

fn coded(sound: &[f64]) -> Vec<u8> {
    #[allow(clippy::cast_possible_truncation)] // Clamped.
    let code = |sample: &f64| g711::encode(Codec::Pcma, sample.clamp(-32_768.0, 32_767.0) as i16);
    sound.iter().map(code).collect()
}

/// The keys that are told, with their durations, where packets for which `lost` is true do not come. The sound begins
/// `shift` samples into a packet.
fn told_of(sound: &[f64], shift: usize, lost: impl Fn(usize) -> bool) -> Vec<(char, u16)> {
    let mut whole = silence(shift);
    whole.extend_from_slice(sound);
    whole.extend(silence(1_600));
    let mut tones = Tones::new();
    let mut told = Vec::new();
    for (number, packet) in coded(&whole).chunks(160).enumerate() {
        if lost(number) {
            continue;
        }
        let timestamp = 0xffff_ff00_u32.wrapping_add(u32::try_from(number * 160).unwrap());
        let ended = tones.hear((1, timestamp), Codec::Pcma, packet);
        told.extend(ended.into_iter().flatten().map(|(key, milliseconds)| (key.sign(), milliseconds)));
    }
    assert!(!tones.is_open());
    told
}

fn keys_of(sound: &[f64], shift: usize) -> alloc::string::String {
    told_of(sound, shift, |_| false).into_iter().map(|(key, _)| key).collect()
}

/// Places in the packets and blocks at which a sound may begin.
fn shifts() -> impl Iterator<Item = usize> {
    (0..160).step_by(11)
}

#[test]
fn every_key_of_40_ms_is_heard_once_and_with_a_pause_of_40_ms_twice() {
    for key in KEYS.chars() {
        let mut sound = tone(key).samples(320);
        sound.extend(silence(320));
        sound.extend(tone(key).samples(320));
        for shift in shifts() {
            assert_eq!(
                keys_of(&sound, shift),
                [key, key].iter().collect::<alloc::string::String>(),
                "{shift}"
            );
        }
    }
}

#[test]
fn what_is_shorter_than_23_ms_is_no_key() {
    for key in KEYS.chars() {
        for shift in 0..110 {
            assert_eq!(keys_of(&tone(key).samples(184), shift), "", "{key} {shift}");
        }
    }
}

#[test]
fn an_interruption_of_10_ms_and_a_press_of_seconds_are_one_press() {
    let mut sound = tone('5').samples(400);
    sound.extend(silence(80));
    sound.extend(tone('5').samples(400));
    for shift in shifts() {
        assert_eq!(keys_of(&sound, shift), "5");
    }
    let told = told_of(&tone('9').samples(24_000), 3, |_| false);
    assert!(matches!(told[..], [('9', 2_980..=3_020)]), "{told:?}");
}

#[test]
fn another_key_without_a_pause_is_another_press() {
    let mut sound = tone('1').samples(480);
    sound.extend(tone('6').samples(480));
    for shift in shifts() {
        assert_eq!(keys_of(&sound, shift), "16", "{shift}");
    }
}

#[test]
fn frequencies_may_be_off_by_one_and_a_half_percent_and_not_by_three_and_a_half() {
    for key in KEYS.chars() {
        let Tone { frequencies, levels } = tone(key);
        let off = |low: f64, high: f64| {
            let frequencies = [frequencies[0] * (1.0 + low / 100.0), frequencies[1] * (1.0 + high / 100.0)];
            keys_of(&Tone { frequencies, levels }.samples(400), 37)
        };
        for (low, high) in [(1.5, 1.5), (-1.5, 1.5), (1.5, -1.5), (-1.5, -1.5)] {
            assert_eq!(off(low, high), alloc::string::String::from(key), "{low} {high}");
        }
        for (low, high) in [(3.5, 3.5), (-3.5, -3.5), (3.5, -3.5), (-3.5, 3.5)] {
            assert_eq!(off(low, high), "", "{key} {low} {high}");
        }
    }
}

#[test]
fn twist_is_taken_from_plus_4_to_minus_8_db_and_refused_beyond_reason() {
    for key in KEYS.chars() {
        let twisted = |twist: f64| {
            // The louder one at −6 dBm0.
            let levels = if twist > 0.0 { [-6.0 - twist, -6.0] } else { [-6.0, -6.0 + twist] };
            keys_of(&Tone { levels, ..tone(key) }.samples(400), 21)
        };
        for twist in [-8.0, -6.0, -3.0, 0.0, 2.0, 4.0] {
            assert_eq!(twisted(twist), alloc::string::String::from(key), "{twist}");
        }
        for twist in [-14.0, 9.0] {
            assert_eq!(twisted(twist), "", "{key} {twist}");
        }
    }
}

#[test]
fn levels_are_taken_from_0_to_minus_25_dbm0_and_refused_at_minus_55() {
    for level in [0.0, -5.0, -15.0, -25.0] {
        for key in KEYS.chars() {
            let sound = Tone { levels: [level - 3.0; 2], ..tone(key) }.samples(400);
            assert_eq!(keys_of(&sound, 5), alloc::string::String::from(key), "{level}");
        }
    }
    assert_eq!(keys_of(&Tone { levels: [-55.0; 2], ..tone('5') }.samples(4_000), 5), "");
}

#[test]
fn noise_of_15_db_below_hides_no_key_and_makes_none_twice() {
    for key in KEYS.chars() {
        let mut sound = Vec::new();
        for _ in 0..5 {
            sound.extend(silence(400));
            sound.extend(Tone { levels: [-10.0; 2], ..tone(key) }.samples(480));
        }
        sound.extend(silence(800));
        // Two tones of −10 dBm0 are −7 dBm0 together.
        assert_eq!(keys_of(&with_noise(sound, -22.0), 9), alloc::string::String::from(key).repeat(5));
    }
}

#[test]
fn whatever_packet_is_lost_a_press_is_told_once() {
    for shift in [0, 51, 100, 159] {
        let sound = tone('7').samples(800);
        for first in 0..7 {
            for second in first..7 {
                let told = told_of(&sound, shift, |number| number == first || number == second);
                assert!(matches!(told[..], [('7', _)]), "{shift} without {first} and {second}: {told:?}");
            }
        }
        let told = told_of(&tone('7').samples(2_400), shift, |number| (5..10).contains(&number));
        assert!(matches!(told[..], [('7', _)]), "five in a row: {told:?}");
    }
}

#[test]
fn a_sender_that_ends_in_the_middle_of_a_press_and_a_new_one_end_it() {
    let press = coded(&tone('3').samples(480));
    let mut tones = Tones::new();
    assert_eq!(tones.hear((1, 0), Codec::Pcma, &press), [None; MOST_TOLD]);
    assert!(tones.is_open());
    assert!(matches!(tones.lost(), Some((key, 40..=65)) if key.sign() == '3'));
    assert!(!tones.is_open());
    tones.hear((1, 480), Codec::Pcma, &press);
    let told = tones.hear((2, 77), Codec::Pcma, &[0xd5; 160]);
    assert!(matches!(told[0], Some((key, _)) if key.sign() == '3'), "another sender: {told:?}");
    assert_eq!(tones.hear((2, 5), Codec::Pcma, &press), [None; MOST_TOLD], "older than what was heard");
    assert!(!tones.is_open());
}

/// What no detector may take for a key: noise of every color, voices, chords, tones of exchanges.
fn talk(minutes: usize) -> impl Iterator<Item = (&'static str, Vec<f64>)> {
    const MINUTE: usize = 60 * 8_000;
    let white = |seed: u64| {
        let mut noise = Noise(seed);
        (0..MINUTE).map(|_| 9_000.0 * noise.next()).collect::<Vec<_>>()
    };
    let pink = move |seed: u64| {
        let (mut slow, mut slower) = (0.0, 0.0);
        let filter = |sample: &f64| {
            slow += 0.15 * (sample - slow);
            slower += 0.02 * (sample - slower);
            1.5 * slow + 4.0 * slower
        };
        white(seed).iter().map(filter).collect::<Vec<_>>()
    };
    (0..minutes).flat_map(move |minute| {
        let seed = minute as u64 + 1;
        [("white", white(seed)), ("pink", pink(seed)), ("voice", voice(seed)), ("music", music(seed))]
    })
}

/// Glottal pulses of a changing pitch through three formants that move from vowel to vowel, with breath and pauses.
fn voice(seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    let mut sound = Vec::new();
    let mut states = [[0.0_f64; 2]; 3];
    let mut phase = 0.0;
    while sound.len() < 60 * 8_000 {
        let pitch = 160.0 + 90.0 * noise.next();
        let formants =
            [550.0 + 350.0 * noise.next(), 1_600.0 + 800.0 * noise.next(), 2_600.0 + 300.0 * noise.next()];
        let voiced = noise.next() > -0.6;
        for n in 0..1_200 {
            let pitch = pitch * (1.0 + 0.1 * f64::from(n) / 1_200.0);
            phase += pitch / 8_000.0;
            let pulse = if phase >= 1.0 { 1.0 } else { 0.0 };
            phase %= 1.0;
            let mut sample =
                if voiced { 9_000.0 * pulse } else { 300.0 * noise.next() } + 100.0 * noise.next();
            for (formant, state) in formants.iter().zip(&mut states) {
                let (radius, turn) = (0.97_f64, (TAU * formant / 8_000.0).cos());
                let next = sample + 2.0 * radius * turn * state[0] - radius * radius * state[1];
                *state = [next, state[0]];
                sample = next * 0.35;
            }
            sound.push(sample.clamp(-30_000.0, 30_000.0));
        }
    }
    sound
}

/// Chords of the tempered scale with overtones that fade, a new one four times a second.
fn music(seed: u64) -> Vec<f64> {
    let mut noise = Noise(seed);
    let mut sound = Vec::new();
    while sound.len() < 60 * 8_000 {
        let root = 110.0 * 2_f64.powf((12.0 * (1.0 + noise.next())).floor() / 12.0);
        let third = if noise.next() > 0.0 { 4.0 } else { 3.0 };
        let notes = [0.0, third, 7.0, 12.0].map(|step| root * 2_f64.powf(step / 12.0));
        for n in 0..2_000 {
            let time = f64::from(n) / 8_000.0;
            let fade = (-3.0 * time).exp();
            let note = |pitch: &f64| {
                (1..=5)
                    .map(|over| (TAU * pitch * f64::from(over) * time).sin() / f64::from(over))
                    .sum::<f64>()
            };
            sound.push(4_000.0 * fade * notes.iter().map(note).sum::<f64>());
        }
    }
    sound
}

#[test]
fn talk_music_and_noise_press_no_key() {
    for (what, sound) in talk(2) {
        assert_eq!(keys_of(&sound, 0), "", "{what}");
    }
    // Dial, busy and ringback tones, and those of fax and modems.
    for pair in [
        [350.0, 440.0],
        [480.0, 620.0],
        [440.0, 480.0],
        [425.0, 425.0],
        [1_100.0, 1_100.0],
        [2_100.0, 2_100.0],
    ] {
        let sound = Tone { frequencies: pair, levels: [-10.0; 2] }.samples(16_000);
        assert_eq!(keys_of(&sound, 0), "", "{pair:?}");
    }
    // Every single one of the eight tones.
    for frequency in ROWS.iter().chain(&COLUMNS) {
        let sound = Tone { frequencies: [*frequency; 2], levels: [-6.0; 2] }.samples(8_000);
        assert_eq!(keys_of(&sound, 0), "", "{frequency}");
    }
}
