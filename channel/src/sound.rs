//! The sound formats that both sides of the wall name.

/// A codec as the data plane knows it: what the bytes of a payload mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// G.711 A-law, 8 kHz (static payload type 8, RFC 3551 section 6).
    Pcma,
    /// G.711 µ-law, 8 kHz (static payload type 0).
    Pcmu,
    /// G.722 at 64 kbit/s: 16 kHz, one octet for two samples. Its RTP clock counts 8,000 a second all the same
    /// (RFC 3551 section 4.5.2), so an octet is one tick of it, as in G.711 (static payload type 9).
    G722,
    /// Opus (RFC 6716). Its RTP clock counts 48,000 a second whatever the band (RFC 7587 section 4.1); the payload
    /// type is dynamic, and packets have any length.
    Opus,
}

impl Codec {
    /// All of them, in the order of their numbers on the wall.
    pub const ALL: [Self; 4] = [Self::Pcma, Self::Pcmu, Self::G722, Self::Opus];

    /// Ticks of its RTP clock in 125 µs: 1 at 8 kHz, 6 at 48 kHz.
    #[must_use]
    pub const fn ticks(self) -> u32 {
        match self {
            Self::Pcma | Self::Pcmu | Self::G722 => 1,
            Self::Opus => 6,
        }
    }

    /// Ticks of its RTP clock in a second.
    #[must_use]
    pub const fn clock_rate(self) -> u32 {
        self.ticks() * 8_000
    }

    /// The payload type that RFC 3551 gives it, or the dynamic one that our offers do. A party may choose another for
    /// a dynamic one.
    #[must_use]
    pub const fn payload_type(self) -> u8 {
        match self {
            Self::Pcma => 8,
            Self::Pcmu => 0,
            Self::G722 => 9,
            Self::Opus => 107,
        }
    }

    /// Its name in session descriptions (RFC 3551 section 6, RFC 7587 section 7), in settings and in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Pcma => "PCMA",
            Self::Pcmu => "PCMU",
            Self::G722 => "G722",
            Self::Opus => "opus",
        }
    }

    /// The codec of a name, however it is written.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|codec| codec.name().eq_ignore_ascii_case(name))
    }

    /// Is it G.711: one octet a sample, that a table translates?
    #[must_use]
    pub const fn is_g711(self) -> bool {
        matches!(self, Self::Pcma | Self::Pcmu)
    }

    /// Can parties of these two codecs be joined without decoding anything? G.711 is translated by a table.
    #[must_use]
    pub const fn joins(self, other: Self) -> bool {
        self as u8 == other as u8 || self.is_g711() && other.is_g711()
    }
}

/// The payload type that our offers give telephone-event, as most do (RFC 4733 leaves it to the offer). A party that
/// answers with another number may send under either (RFC 3264 section 6.1).
pub const OFFERED_TELEPHONE_EVENT: u8 = 101;

/// The same beside Opus, where events count in its clock of 48 kHz (RFC 4733 section 2.1).
pub const OFFERED_WIDE_EVENT: u8 = 110;

/// Octets of 20 ms of Opus in a sound that the gateway plays: it is encoded at a constant 32 kbit/s, so that a shard
/// can find its packets by counting.
pub const OPUS_FRAME_OCTETS: usize = 80;

/// How the samples of a recording are stored in its file.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordFormat {
    /// G.711 A-law, WAVE format 6.
    Alaw,
    /// G.711 µ-law, WAVE format 7.
    Ulaw,
    /// Linear 16-bit little-endian, WAVE format 1.
    Pcm16,
    /// Opus in Ogg (RFC 6716, RFC 7845), not in a WAV file.
    Opus,
}

impl RecordFormat {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Alaw, Self::Ulaw, Self::Pcm16, Self::Opus];

    /// Its name in requests and records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Alaw => "alaw",
            Self::Ulaw => "ulaw",
            Self::Pcm16 => "pcm16",
            Self::Opus => "opus",
        }
    }

    /// The format of a name, spelled as it is.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|format| format.name() == name)
    }
}

/// What a recording makes of the time in which a party holds the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum RecordHold {
    /// It goes on: silence where a party is not heard.
    #[default]
    Silence,
    /// It pauses: the time is not in the file.
    Pause,
}

impl RecordHold {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Silence, Self::Pause];

    /// Its name in records, as the configuration spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Silence => "silence",
            Self::Pause => "pause",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|hold| hold.name() == name)
    }
}

/// How the parties share the channels of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordChannels {
    /// Both parties mixed into one channel.
    Mixed,
    /// Party 1 left, party 2 right.
    Separate,
}

impl RecordChannels {
    /// All of them.
    pub const ALL: [Self; 2] = [Self::Mixed, Self::Separate];

    /// Its name in records.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mixed => "mixed",
            Self::Separate => "separate",
        }
    }

    /// The one of a name.
    #[must_use]
    pub fn from_name(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|channels| channels.name() == name)
    }

    /// How many channels the file has.
    #[must_use]
    pub const fn count(self) -> u8 {
        match self {
            Self::Mixed => 1,
            Self::Separate => 2,
        }
    }
}
