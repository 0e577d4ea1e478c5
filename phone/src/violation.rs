//! Rules of RTP that a received stream broke.

use crate::rtp::RtpError;

/// One rule, broken once.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum Violation {
    /// A packet came from an address that the peer did not name.
    #[error("packet from a stranger")]
    Stranger,
    /// A packet came before anything was agreed.
    #[error("packet before any agreement")]
    Unexpected,
    /// A datagram is not RTP.
    #[error("not RTP: {0}")]
    NotRtp(RtpError),
    /// A packet came after the BYE of its stream (RFC 3550 section 6.6).
    #[error("packet after the stream's BYE")]
    AfterBye,
    /// Sequence numbers were sent twice.
    #[error("{0} sequence numbers came twice")]
    Repeated(u64),
    /// A payload type that was not agreed.
    #[error("payload type {0} was not agreed")]
    PayloadType(u8),
    /// A payload is empty or longer than 60 ms.
    #[error("payload of {0} octets")]
    PayloadLength(usize),
    /// Another stream took over.
    #[error("SSRC changed from {from:#010x} to {to:#010x}")]
    SsrcChanged {
        /// Before.
        from: u32,
        /// After.
        to: u32,
    },
    /// The first packet of a stream has no marker (RFC 3551 section 4.1).
    #[error("no marker at the start of a stream")]
    NoMarkerAtStart,
    /// A timestamp does not follow from the one before it: it went too little, or jumped without marker.
    #[error("timestamp of packet {sequence} advanced by {advanced}, expected {expected}")]
    Timestamp {
        /// The packet.
        sequence: u16,
        /// The step.
        advanced: i64,
        /// The step that was due.
        expected: i64,
    },
    /// The stream's clock is more than 200 ms away from the wall clock.
    #[error("the stream's clock has left the wall clock")]
    Drift,
    /// A telephone-event is ill-formed, shrinks, or has no beginning.
    #[error("ill-formed telephone-event")]
    Event,
}

/// How many are kept; a stream that is wrong throughout needs no longer list.
const KEPT: usize = 50;

/// A list with a bound.
#[derive(Clone, Default, Debug)]
pub(crate) struct Violations {
    kept: Vec<Violation>,
    more: u64,
}

impl Violations {
    pub(crate) fn add(&mut self, violation: Violation) {
        if self.kept.len() < KEPT {
            self.kept.push(violation);
        } else {
            self.more += 1;
        }
    }

    pub(crate) fn list(&self) -> (Vec<Violation>, u64) {
        (self.kept.clone(), self.more)
    }
}
