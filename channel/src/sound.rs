//! The sound formats that both sides of the wall name.

/// A codec as the data plane knows it: what the bytes of a payload mean.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Codec {
    /// G.711 A-law, 8 kHz (static payload type 8, RFC 3551 section 6).
    Pcma,
    /// G.711 µ-law, 8 kHz (static payload type 0).
    Pcmu,
}

/// The payload type that our offers give telephone-event, as most do (RFC 4733 leaves it to the offer). A party that
/// answers with another number may send under either (RFC 3264 section 6.1).
pub const OFFERED_TELEPHONE_EVENT: u8 = 101;

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

/// What a recording makes of the time in which a party holds the other.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Default, Debug)]
pub enum RecordHold {
    /// It goes on: silence where a party is not heard.
    #[default]
    Silence,
    /// It pauses: the time is not in the file.
    Pause,
}

/// How the parties share the channels of a recording.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum RecordChannels {
    /// Both parties mixed into one channel.
    Mixed,
    /// Party 1 left, party 2 right.
    Separate,
}
