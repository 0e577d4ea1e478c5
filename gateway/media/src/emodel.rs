//! The E-model (ITU-T G.107, 06/2015): from loss, delay and codec to a mean opinion score.
//!
//! All parameters but those are the Recommendation's default values (table 3): that is two handsets in rooms of usual
//! noise, without acoustic echo to speak of (TELR 65 dB). The scale is that of narrowband telephony: a wideband codec
//! gets no more than G.711 does.

use duogate_channel::sound::Codec;

/// What the model is asked about.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Connection {
    /// What it is coded with.
    pub codec: Codec,
    /// Packets lost, of one: 0 to 1.
    pub loss: f64,
    /// How much the losses come in bursts: 1 for random ones ([`burst_ratio`]).
    pub burst_ratio: f64,
    /// From mouth to ear, in milliseconds.
    pub delay: f64,
}

/// Default values (table 3): send and receive loudness rating, sidetone rating, echo path losses.
const SLR: f64 = 8.0;
const RLR: f64 = 2.0;
const STMR: f64 = 15.0;
const TELR: f64 = 65.0;
const WEPL: f64 = 110.0;

/// What follows from the default values alone: a shard asks for every party every few seconds, and powers are what that
/// would take longest for. A test compares them with the equations.
///
/// No, Ro, Iolr and Iq (equations 7-2, 7-3, 7-9 and 7-13).
const NOISE: f64 = -61.179_214_386_241_69;
const SIGNAL_TO_NOISE: f64 = 15.0 - 1.5 * (SLR + NOISE);
const LOUDNESS: f64 = 0.440_178_125_611_132_6;
const QUANTIZING: f64 = 0.974_105_138_427_228;

/// From this delay on, in milliseconds, no echo adds to the sidetone: Ist then (equation 7-11).
const ECHOLESS: f64 = 40.0;
const SIDETONE: f64 = -0.000_715_182_694_499_106;

impl Connection {
    /// The transmission rating factor R: 0 to 93.2 (7.1, equation 7-1).
    #[must_use]
    pub fn rating(&self) -> f64 {
        let delay = self.delay.clamp(0.0, 10_000.0);
        let sidetone = if delay < ECHOLESS { sidetone(delay) } else { SIDETONE };
        let simultaneous = LOUDNESS + sidetone + QUANTIZING;
        let late = talker_echo(NOISE, delay) + listener_echo(SIGNAL_TO_NOISE, delay) + absolute_delay(delay);
        let rating = SIGNAL_TO_NOISE - simultaneous - late - self.equipment();
        rating.clamp(0.0, 100.0)
    }

    /// The mean opinion score, MOS-CQE: 1 to 4.5 (annex B, equation B-4).
    #[must_use]
    pub fn score(&self) -> f64 {
        opinion(self.rating())
    }

    /// The same in hundredths.
    #[must_use]
    pub fn hundredths(&self) -> u16 {
        // Between 100 and 450, as `opinion` clamps.
        #[allow(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "between 100 and 450")]
        let hundredths = libm::round(self.score() * 100.0) as u16;
        hundredths
    }

    /// Ie,eff (7.5, equation 7-29), with Ie and Bpl of G.113 appendix I.
    fn equipment(&self) -> f64 {
        let (impairment, robustness) = robustness(self.codec);
        let loss = self.loss.clamp(0.0, 1.0) * 100.0;
        let burst_ratio = self.burst_ratio.max(1.0);
        impairment + (95.0 - impairment) * loss / (loss / burst_ratio + robustness)
    }
}

/// Ie and Bpl (G.113 appendix I, table I.1 to I.4). Receivers are taken to conceal losses, as G.711 appendix I does; the
/// wideband codecs, for which the appendix has no values on this scale, are taken for as robust.
const fn robustness(codec: Codec) -> (f64, f64) {
    match codec {
        Codec::Pcma | Codec::Pcmu => (0.0, 25.1),
        // Recommendation G.113 has no figures of the narrow-band scale for these: no worse than G.711.
        Codec::G722 | Codec::Opus => (0.0, 25.1),
    }
}

/// From R to MOS (annex B, equation B-4).
#[must_use]
pub fn opinion(rating: f64) -> f64 {
    let r = rating.clamp(0.0, 100.0);
    (1.0 + 0.035 * r + r * (r - 60.0) * (100.0 - r) * 7e-6).clamp(1.0, 4.5)
}

/// BurstR (7.5) of a two-state Markov chain: of so many packets in a row, `lost` were lost in `bursts` runs. 1 where the
/// losses are random, or rarer in a row than by chance.
#[must_use]
pub fn burst_ratio(packets: u32, lost: u32, bursts: u32) -> f64 {
    if lost == 0 || bursts == 0 || lost >= packets {
        return 1.0;
    }
    let into_loss = f64::from(bursts) / f64::from(packets - lost);
    let out_of_loss = f64::from(bursts) / f64::from(lost);
    (1.0 / (into_loss + out_of_loss)).max(1.0)
}

/// The jitter buffer that a listener is taken to have: it adapts to hold back a packet's time and twice the mean
/// jitter (RFC 3550 A.8) on each side, at most [`DEEPEST`] in all. What is later than that is lost; arrivals are taken
/// to scatter as a Laplace distribution of that mean does.
///
/// Gives the delay in milliseconds and the share of packets that come too late.
#[must_use]
pub fn jitter_buffer(jitter_milliseconds: f64, packet_milliseconds: f64) -> (f64, f64) {
    let wanted = packet_milliseconds + 4.0 * jitter_milliseconds;
    if wanted <= DEEPEST {
        return (wanted, 0.0);
    }
    let room = (DEEPEST - packet_milliseconds).max(0.0);
    (DEEPEST, 0.5 * libm::exp(-room / jitter_milliseconds.max(1.0)))
}

/// The most that a jitter buffer holds back, in milliseconds.
const DEEPEST: f64 = 200.0;

fn decibels(value: f64) -> f64 {
    10.0 * libm::log10(value)
}

fn power(decibels: f64) -> f64 {
    libm::pow(10.0, decibels / 10.0)
}

/// Ist: sidetone that is not as it should be (7.3, equations 7-11 and 7-12).
fn sidetone(delay: f64) -> f64 {
    let rating = -decibels(power(-STMR) + libm::exp(-delay / 4.0) * power(-TELR));
    let term = |shift: f64, width: f64, order: f64| {
        libm::pow(1.0 + libm::pow((rating + shift) / width, order), 1.0 / order)
    };
    12.0 * term(-13.0, 6.0, 8.0) - 28.0 * term(1.0, 19.4, 35.0) - 13.0 * term(-3.0, 33.0, 13.0) + 29.0
}

/// Idte (7.4, equations 7-19 to 7-23); the sidetone rating is between 9 and 20 dB.
fn talker_echo(noise: f64, delay: f64) -> f64 {
    let loss = TELR - 40.0 * libm::log10((1.0 + delay / 10.0) / (1.0 + delay / 150.0))
        + 6.0 * libm::exp(-0.3 * delay * delay);
    let difference = -1.5 * (noise - RLR) - (80.0 + 2.5 * (loss - 14.0));
    (difference / 2.0 + libm::sqrt(difference * difference / 4.0 + 100.0) - 1.0) * (1.0 - libm::exp(-delay))
}

/// Idle (7.4, equations 7-25 and 7-26), the round trip being twice the delay.
fn listener_echo(signal_to_noise: f64, delay: f64) -> f64 {
    let rating = 10.5 * (WEPL + 7.0) * libm::pow(2.0 * delay + 1.0, -0.25);
    let difference = signal_to_noise - rating;
    difference / 2.0 + libm::sqrt(difference * difference / 4.0 + 169.0)
}

/// Idd (7.4, equations 7-27 and 7-28).
fn absolute_delay(delay: f64) -> f64 {
    if delay <= 100.0 {
        return 0.0;
    }
    let x = libm::log2(delay / 100.0);
    let term = |x: f64| libm::pow(1.0 + libm::pow(x, 6.0), 1.0 / 6.0);
    25.0 * (term(x) - 3.0 * term(x / 3.0) + 2.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// More default values: D-value of the telephone, circuit noise, noise floor at the receive side, room noise on both
    /// sides, listener sidetone rating.
    const DS: f64 = 3.0;
    const NC: f64 = -70.0;
    const NFOR: f64 = -64.0;
    const ROOM: f64 = 35.0;
    const LSTR: f64 = 18.0;

    /// No: all noise at the 0 dBr point (7.2, equations 7-3 to 7-7).
    fn noise() -> f64 {
        let overall = SLR + RLR;
        let excess = ROOM - overall - DS - 14.0;
        let send = ROOM - SLR - DS - 100.0 + 0.004 * excess * excess;
        let effective = ROOM + decibels(1.0 + power(10.0 - LSTR));
        let receive = RLR - 121.0 + effective + 0.008 * (effective - 35.0) * (effective - 35.0);
        decibels(power(NC) + power(send) + power(receive) + power(NFOR + RLR))
    }

    /// Iolr: too loud (7.3, equations 7-9 and 7-10).
    fn loudness(noise: f64) -> f64 {
        let x = (SLR + RLR + 0.2 * (64.0 + noise - RLR)) / 8.0;
        20.0 * (libm::pow(1.0 + libm::pow(x, 8.0), 1.0 / 8.0) - x)
    }

    /// Iq: one unit of quantizing distortion (7.3, equations 7-13 to 7-17).
    fn quantizing(signal_to_noise: f64) -> f64 {
        let q = 37.0;
        let g = 1.07 + 0.258 * q + 0.0602 * q * q;
        let y = (signal_to_noise - 100.0) / 15.0 + 46.0 / 8.4 - g / 9.0;
        let z = 46.0 / 30.0 - g / 40.0;
        15.0 * libm::log10(1.0 + libm::pow(10.0, y) + libm::pow(10.0, z))
    }

    #[test]
    fn what_follows_from_the_default_values_is_what_the_equations_say() {
        let near = |value: f64, expected: f64| assert!((value - expected).abs() < 1e-9, "{value} {expected}");
        near(NOISE, noise());
        near(LOUDNESS, loudness(NOISE));
        near(QUANTIZING, quantizing(SIGNAL_TO_NOISE));
        for delay in [ECHOLESS, 60.0, 400.0] {
            near(SIDETONE, sidetone(delay));
        }
    }
}
