//! Secure RTP and RTCP (RFC 3711, RFC 7714): one direction of one leg at a time, packet by packet, in place.
//!
//! The ciphers are libraries': counter mode over the block cipher of `aes`, HMAC-SHA1 of `hmac` and `sha1`, and
//! AES-GCM of `ring`. The framing is here. Nothing in it has a clock, makes a system call, takes memory for a packet,
//! or locks. What is not authentic changes nothing.
//!
//! ```text
//!  packet in ──> Incoming::open_rtp  ──> plain packet, shorter    packet out ──> Outgoing::seal_rtp ──> longer
//!                Incoming::open_rtcp                                             Outgoing::seal_rtcp
//! ```

#![no_std]
#![forbid(unsafe_code)]

#[cfg(test)]
extern crate alloc;

mod cipher;
mod index;
mod layout;
mod streams;
#[cfg(test)]
mod vectors;

use duogate_channel::srtp::{Heard, Master, Suite};
use thiserror::Error;

use cipher::Transform;
use index::RtcpIndex;
use streams::Streams;

/// The most octets by which a packet grows: tag and index of SRTCP (RFC 7714 section 9.1).
pub const MOST_GROWTH: usize = 16 + 4;

/// Why a packet was not opened. It is to be dropped; nothing has changed.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Refused {
    /// Shorter than its header and tag.
    #[error("not a secured packet")]
    Malformed,
    /// It was there before, or is older than the window that remembers.
    #[error("replayed, or too old")]
    Replayed,
    /// It was not made with the key, or was changed on the way.
    #[error("not authentic")]
    Unauthentic,
}

/// Why a packet was not sealed. It must not be sent.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum SealError {
    /// Not RTP or RTCP.
    #[error("not a packet")]
    Malformed,
    /// The buffer has no room behind the packet.
    #[error("no room for the tag")]
    NoRoom,
    /// The key has been used for as many packets as it may be (RFC 3711 section 9.2), or the packet is so old that its
    /// number would come twice.
    #[error("the key is used up")]
    Exhausted,
}

/// The sending side of a leg: one stream (SSRC), counted on from its first packet.
pub struct Outgoing {
    rtp: Transform,
    rtcp: Transform,
    streams: Streams,
    next_rtcp: RtcpIndex,
}

impl Outgoing {
    /// With the key that our description gives.
    #[must_use]
    pub fn new(suite: Suite, master: &Master) -> Self {
        let (rtp, rtcp) = cipher::derive(suite, master.expose(suite));
        Self { rtp, rtcp, streams: Streams::default(), next_rtcp: RtcpIndex::default() }
    }

    /// Encrypts the RTP packet in the first `length` octets and appends its tag. Returns the new length.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn seal_rtp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let header =
            layout::rtp(buffer.get(..length).ok_or(SealError::NoRoom)?).ok_or(SealError::Malformed)?;
        let sealed = length + self.rtp.tag_octets();
        let packet = buffer.get_mut(..sealed).ok_or(SealError::NoRoom)?;
        // Sent in order but for those relayed late: those keep the index that they would have had.
        let index = self.streams.index(header.ssrc, header.sequence).ok_or(SealError::Exhausted)?;
        if !self.streams.is_new(header.ssrc, index) {
            return Err(SealError::Exhausted);
        }
        self.rtp.seal_rtp(packet, length, &header, index);
        self.streams.take(header.ssrc, index);
        Ok(sealed)
    }

    /// Encrypts the compound RTCP packet in the first `length` octets and appends index and tag. Returns the new length.
    ///
    /// # Errors
    /// It cannot be sent.
    pub fn seal_rtcp(&mut self, buffer: &mut [u8], length: usize) -> Result<usize, SealError> {
        let ssrc =
            layout::rtcp(buffer.get(..length).ok_or(SealError::NoRoom)?).ok_or(SealError::Malformed)?;
        let sealed = length + self.rtcp.tag_octets() + layout::INDEX_OCTETS;
        let packet = buffer.get_mut(..sealed).ok_or(SealError::NoRoom)?;
        let index = self.next_rtcp.take().ok_or(SealError::Exhausted)?;
        self.rtcp.seal_rtcp(packet, length, ssrc, index);
        Ok(sealed)
    }
}

/// The receiving side of a leg: as many streams as the party begins.
pub struct Incoming {
    rtp: Transform,
    rtcp: Transform,
    streams: Streams,
    /// Counted by themselves (RFC 3711 section 3.4).
    reports: Streams,
}

impl Incoming {
    /// With the key that the party's description gives. A stream that another gateway has heard before goes on.
    #[must_use]
    pub fn new(suite: Suite, master: &Master, heard: Option<Heard>) -> Self {
        let (rtp, rtcp) = cipher::derive(suite, master.expose(suite));
        let streams = heard.map_or_else(Streams::default, |heard| Streams::resumed(heard.ssrc, heard.index));
        Self { rtp, rtcp, streams, reports: Streams::default() }
    }

    /// Checks and decrypts an SRTP packet in place. Returns the length of the RTP packet.
    ///
    /// # Errors
    /// It is to be dropped. Its octets may have been changed, nothing else.
    pub fn open_rtp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let end = packet.len().checked_sub(self.rtp.tag_octets()).ok_or(Refused::Malformed)?;
        let header = layout::rtp(&packet[..end]).ok_or(Refused::Malformed)?;
        let index = self.streams.index(header.ssrc, header.sequence).ok_or(Refused::Replayed)?;
        if !self.streams.is_new(header.ssrc, index) {
            return Err(Refused::Replayed);
        }
        if !self.rtp.open_rtp(packet, end, &header, index) {
            return Err(Refused::Unauthentic);
        }
        self.streams.take(header.ssrc, index);
        Ok(end)
    }

    /// Checks and decrypts an SRTCP packet in place. Returns the length of the RTCP packet.
    ///
    /// # Errors
    /// It is to be dropped. Its octets may have been changed, nothing else.
    pub fn open_rtcp(&mut self, packet: &mut [u8]) -> Result<usize, Refused> {
        let behind = self.rtcp.tag_octets() + layout::INDEX_OCTETS;
        let end = packet.len().checked_sub(behind).ok_or(Refused::Malformed)?;
        let ssrc = layout::rtcp(&packet[..end]).ok_or(Refused::Malformed)?;
        let word = self.rtcp.rtcp_word(packet).ok_or(Refused::Malformed)?;
        let index = u64::from(word & layout::MOST_RTCP_INDEX);
        if !self.reports.is_new(ssrc, index) {
            return Err(Refused::Replayed);
        }
        if !self.rtcp.open_rtcp(packet, end, ssrc, word) {
            return Err(Refused::Unauthentic);
        }
        self.reports.take(ssrc, index);
        Ok(end)
    }

    /// The stream that was heard last, and how far it has come.
    #[must_use]
    pub fn heard(&self) -> Option<Heard> {
        self.streams.newest().map(|(ssrc, index)| Heard { ssrc, index })
    }
}

macro_rules! print_nothing {
    ($($name:ident),*) => {$(
        impl core::fmt::Debug for $name {
            fn fmt(&self, f: &mut core::fmt::Formatter<'_>) -> core::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}

print_nothing!(Outgoing, Incoming);
