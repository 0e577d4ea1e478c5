//! National ringback tones.
//!
//! Frequencies and cadences as in the ITU's list of tones used in national networks (Annex to ITU Operational
//! Bulletin 781).

use serde::Deserialize;

/// A national ringback pattern.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Ringback {
    /// China: 450 Hz, 1 s on, 4 s off.
    #[default]
    Cn,
    /// Hong Kong: 440 + 480 Hz, twice 0.4 s on and 0.2 s off, then 3 s off.
    Hk,
    /// Taiwan: 440 + 480 Hz, 1 s on, 2 s off.
    Tw,
    /// Japan: 400 Hz modulated with 16 Hz, which is 384 + 416 Hz, 1 s on, 2 s off.
    Jp,
    /// Korea: 440 + 480 Hz, 1 s on, 2 s off.
    Kr,
    /// Singapore: 425 Hz in the double ring of 0.4 s on, 0.2 s off, then 2 s off.
    Sg,
    /// India: 400 Hz in the double ring.
    In,
    /// Australia: 413 + 438 Hz in the double ring.
    Au,
    /// United States and Canada: 440 + 480 Hz, 2 s on, 4 s off.
    Us,
    /// United Kingdom: 400 + 450 Hz in the double ring.
    Uk,
    /// Germany: 425 Hz, 1 s on, 4 s off.
    De,
    /// France: 440 Hz, 1.5 s on, 3.5 s off.
    Fr,
    /// Most of Europe (ETSI TR 101 041): 425 Hz, 1 s on, 4 s off.
    Eu,
    /// Russia: 425 Hz, 0.8 s on, 3.2 s off.
    Ru,
    /// Brazil: 425 Hz, 1 s on, 4 s off.
    Br,
}

/// How a tone sounds.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Pattern {
    /// Frequencies in Hz that sound together.
    pub frequencies: &'static [u16],
    /// Milliseconds of sound and of the silence after it, in turn; repeats from the start.
    pub cadence: &'static [(u16, u16)],
}

const DOUBLE_RING: &[(u16, u16)] = &[(400, 200), (400, 2000)];

impl Ringback {
    /// All patterns.
    pub const ALL: [Self; 15] = [
        Self::Cn,
        Self::Hk,
        Self::Tw,
        Self::Jp,
        Self::Kr,
        Self::Sg,
        Self::In,
        Self::Au,
        Self::Us,
        Self::Uk,
        Self::De,
        Self::Fr,
        Self::Eu,
        Self::Ru,
        Self::Br,
    ];

    /// The name in the configuration.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Cn => "cn",
            Self::Hk => "hk",
            Self::Tw => "tw",
            Self::Jp => "jp",
            Self::Kr => "kr",
            Self::Sg => "sg",
            Self::In => "in",
            Self::Au => "au",
            Self::Us => "us",
            Self::Uk => "uk",
            Self::De => "de",
            Self::Fr => "fr",
            Self::Eu => "eu",
            Self::Ru => "ru",
            Self::Br => "br",
        }
    }

    /// Frequencies and cadence.
    #[must_use]
    pub const fn pattern(self) -> Pattern {
        let (frequencies, cadence): (&[u16], &[(u16, u16)]) = match self {
            Self::Cn => (&[450], &[(1000, 4000)]),
            Self::Hk => (&[440, 480], &[(400, 200), (400, 3000)]),
            Self::Tw | Self::Kr => (&[440, 480], &[(1000, 2000)]),
            Self::Jp => (&[384, 416], &[(1000, 2000)]),
            Self::Sg => (&[425], DOUBLE_RING),
            Self::In => (&[400], DOUBLE_RING),
            Self::Au => (&[413, 438], DOUBLE_RING),
            Self::Us => (&[440, 480], &[(2000, 4000)]),
            Self::Uk => (&[400, 450], DOUBLE_RING),
            Self::De | Self::Eu | Self::Br => (&[425], &[(1000, 4000)]),
            Self::Fr => (&[440], &[(1500, 3500)]),
            Self::Ru => (&[425], &[(800, 3200)]),
        };
        Pattern { frequencies, cadence }
    }
}
