//! MasterKeys of secured media (SRTP, RFC 3711), as both sides of the wall name them. They never print.

use core::fmt;

use zeroize::Zeroize;

/// How packets are encrypted and authenticated.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Suite {
    /// `AES_CM_128_HMAC_SHA1_80` (RFC 4568 section 6.2.1): counter mode, and a tag of ten octets.
    AesCm128HmacSha1_80,
    /// `AEAD_AES_128_GCM` (RFC 7714 section 14.2): a tag of 16 octets.
    AeadAes128Gcm,
}

impl Suite {
    /// All that are served.
    pub const ALL: [Self; 2] = [Self::AesCm128HmacSha1_80, Self::AeadAes128Gcm];

    /// As session descriptions name it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::AesCm128HmacSha1_80 => "AES_CM_128_HMAC_SHA1_80",
            Self::AeadAes128Gcm => "AEAD_AES_128_GCM",
        }
    }

    /// The suite of that name; suites are compared without regard to case.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|suite| suite.name().eq_ignore_ascii_case(name))
    }

    /// Octets of master key and master salt together (RFC 4568 section 6.1, RFC 7714 section 12).
    #[must_use]
    pub const fn master_octets(self) -> usize {
        KEY_OCTETS + self.salt_octets()
    }

    /// Octets by which an RTP packet grows.
    #[must_use]
    pub const fn tag_octets(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 10,
            Self::AeadAes128Gcm => 16,
        }
    }

    /// Octets of the master salt.
    #[must_use]
    pub const fn salt_octets(self) -> usize {
        match self {
            Self::AesCm128HmacSha1_80 => 14,
            Self::AeadAes128Gcm => 12,
        }
    }
}

/// Octets of a master key.
pub const KEY_OCTETS: usize = 16;

/// The most octets that master key and salt have together.
pub const MOST_MASTER_OCTETS: usize = KEY_OCTETS + 14;

/// A master key with its salt, for one direction.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Master {
    /// The key, then the salt, then zeros.
    octets: [u8; MOST_MASTER_OCTETS],
}

impl Master {
    /// For this suite; `None` if there are not exactly as many octets as it needs.
    #[must_use]
    pub fn new(suite: Suite, octets: &[u8]) -> Option<Self> {
        let mut master = Self { octets: [0; MOST_MASTER_OCTETS] };
        if octets.len() != suite.master_octets() {
            return None;
        }
        master.octets[..octets.len()].copy_from_slice(octets);
        Some(master)
    }

    /// Key and salt for this suite, as they follow each other in a session description.
    #[must_use]
    pub fn expose(&self, suite: Suite) -> &[u8] {
        &self.octets[..suite.master_octets()]
    }

    pub(crate) const fn octets(&self) -> &[u8; MOST_MASTER_OCTETS] {
        &self.octets
    }
}

impl fmt::Debug for Master {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Master(…)")
    }
}

impl Zeroize for Master {
    fn zeroize(&mut self) {
        self.octets.zeroize();
    }
}

/// The keys of one leg.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MasterKeys {
    /// How packets are protected, both ways.
    pub suite: Suite,
    /// With which we send.
    pub ours: Master,
    /// With which the party sends.
    pub theirs: Master,
}

impl Zeroize for MasterKeys {
    fn zeroize(&mut self) {
        self.ours.zeroize();
        self.theirs.zeroize();
    }
}

/// How far a party's secured stream has come.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Its SSRC.
    pub ssrc: u32,
    /// Index of its newest authentic packet: rollover counter × 65,536 + sequence number (RFC 3711 section 3.3.1).
    pub index: u64,
}

/// Packet indices have 48 bits.
pub const MOST_INDEX: u64 = (1 << 48) - 1;
