//! Our side of a leg's session.

use alloc::vec::Vec;
use core::net::SocketAddr;

use duogate_channel::command::FarEnd;
use duogate_channel::sound::Codec;

use super::SdpError;

/// Which way sound flows, as the side that says it sees it (RFC 3264 section 5.1).
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Direction {
    /// Both ways.
    SendReceive,
    /// It only sends.
    SendOnly,
    /// It only receives.
    ReceiveOnly,
    /// Neither.
    Inactive,
}

/// What offer and answer came to.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Negotiated {
    /// For the gateway.
    pub far_end: FarEnd,
    /// As the far end says it; [`FarEnd::send`] and [`FarEnd::receive`] follow from it.
    pub direction: Direction,
    /// Are we on hold (`sendonly`, `inactive`, or the old form `0.0.0.0`)? Then `far_end.send` is false, and with
    /// the old form its address is unspecified.
    pub hold: bool,
    /// The packet time that the far end asks for, in milliseconds.
    pub packet_time: Option<u8>,
}

/// What we say of ourselves on one leg, over the life of its session: address and codecs stay, the version of
/// `o=` counts what changed (RFC 3264 section 8).
#[derive(Clone, Debug)]
pub struct LocalDescription {
    session: u64,
    version: u64,
    address: SocketAddr,
    codecs: Vec<Codec>,
    last: Option<Vec<u8>>,
}

impl LocalDescription {
    /// For one leg. `session` names it in `o=` (RFC 8866 section 5.2), `address` is where we receive RTP, and
    /// `codecs` are in order of preference; telephone-event is always offered beside them.
    #[must_use]
    pub fn new(session: u64, address: SocketAddr, codecs: &[Codec]) -> Self {
        Self { session, version: session, address, codecs: codecs.to_vec(), last: None }
    }

    /// Our offer: all codecs in order, telephone-event, `sendrecv`. The version counts up if it differs from what
    /// we said last.
    #[must_use]
    pub fn offer(&mut self) -> Vec<u8> {
        let _ = (self.session, self.version, self.address, &self.codecs);
        self.last.clone().unwrap_or_default()
    }

    /// Reads the answer to [`LocalDescription::offer`] (RFC 3264 section 7).
    ///
    /// # Errors
    /// Why it cannot be used.
    pub fn accept(&self, answer: &[u8]) -> Result<Negotiated, SdpError> {
        let _ = answer;
        Err(SdpError::Syntax)
    }

    /// Answers an offer of the far end (re-INVITE, UPDATE; RFC 3264 sections 6, 8): its media lines in its
    /// order, the first sound stream that we can serve accepted, all others refused with port 0.
    ///
    /// # Errors
    /// Why it cannot be accepted; nothing has changed then.
    pub fn answer(&mut self, offer: &[u8]) -> Result<(Vec<u8>, Negotiated), SdpError> {
        let _ = offer;
        Err(SdpError::Syntax)
    }
}
