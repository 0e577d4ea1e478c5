//! Why a description was refused.

/// Why an offer or an answer was refused. Of an offer: 488 (RFC 3261 section 21.4.26), or 400 where
/// [`SdpError::is_malformed`].
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, thiserror::Error)]
pub enum SdpError {
    /// Nothing is there: a delayed offer, where it is an INVITE. Not served yet.
    #[error("no session description")]
    Missing,
    /// Larger than 16 KiB, or more than 32 media lines or 64 formats on one of them.
    #[error("session description too large")]
    TooLarge,
    /// Not SDP (RFC 8866).
    #[error("not a session description")]
    Syntax,
    /// No media line of sound over RTP/AVP with a port.
    #[error("no sound stream")]
    NoAudio,
    /// The answer's media lines are not those of the offer (RFC 3264 section 6).
    #[error("media lines do not match the offer")]
    MediaMismatch,
    /// The answerer refused the stream with port 0 (RFC 3264 section 6).
    #[error("stream refused")]
    Refused,
    /// No codec in common.
    #[error("no codec in common")]
    NoCodec,
    /// Plain RTP, where only secured RTP will do.
    #[error("media not secured")]
    Insecure,
    /// No `a=crypto` line that can be used: another suite, a tag that was not offered, a master key identifier.
    #[error("no usable crypto attribute")]
    Crypto,
    /// No `c=` line for the stream.
    #[error("no connection address")]
    NoAddress,
    /// An address that RTP cannot be sent to: a name, multicast, the other IP version.
    #[error("address cannot be used")]
    Address,
    /// A port that RTP cannot be sent to.
    #[error("port cannot be used")]
    Port,
    /// A payload type above 127, or in the range of RTCP (RFC 5761 section 4), or two meanings for one.
    #[error("payload type cannot be used")]
    PayloadType,
}

impl SdpError {
    /// Is the text itself wrong, rather than what it asks for?
    #[must_use]
    pub const fn is_malformed(self) -> bool {
        matches!(self, Self::Syntax | Self::TooLarge)
    }
}
