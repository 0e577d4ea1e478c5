//! RTP packets (RFC 3550 section 5.1): a checked view, and the fixed header as a value.

use ::core::ops::Range;

use thiserror::Error;

/// Bytes of the fixed header, without contributing sources.
pub const HEADER_BYTES: usize = 12;

/// Why some bytes are not an RTP packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Error)]
pub enum Malformed {
    /// Shorter than its header says.
    #[error("shorter than its header")]
    Short,
    /// A version other than 2.
    #[error("not RTP version 2")]
    Version,
    /// The padding count is zero, or larger than what follows the header.
    #[error("impossible padding")]
    Padding,
    /// An RTCP packet (RFC 5761 section 4: 192 to 223 in the second byte).
    #[error("RTCP, not RTP")]
    Rtcp,
}

/// The fixed header. Version is always 2; padding, extension and contributing sources belong to the packet.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Marker bit: with sound, the first packet of a talkspurt (RFC 3551 section 4.1).
    pub marker: bool,
    /// Payload type, 0 to 127.
    pub payload_type: u8,
    /// Sequence number.
    pub sequence: u16,
    /// Timestamp, in samples.
    pub timestamp: u32,
    /// Synchronization source.
    pub ssrc: u32,
}

impl Header {
    /// Writes a header without contributing sources, extension or padding.
    #[inline]
    pub fn emit(&self, bytes: &mut [u8; HEADER_BYTES]) {
        bytes[0] = 0x80;
        bytes[1] = u8::from(self.marker) << 7 | self.payload_type & 0x7f;
        bytes[2..4].copy_from_slice(&self.sequence.to_be_bytes());
        bytes[4..8].copy_from_slice(&self.timestamp.to_be_bytes());
        bytes[8..12].copy_from_slice(&self.ssrc.to_be_bytes());
    }
}

/// A packet whose lengths have been checked: header and place of the payload.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Packet {
    /// The fixed header.
    pub header: Header,
    /// Where the payload lies: behind contributing sources and extension, before padding.
    pub payload: Range<usize>,
}

impl Packet {
    /// Looks at a datagram.
    ///
    /// # Errors
    /// If it is not RTP version 2, or a length in it does not fit.
    #[inline]
    pub fn new_checked(bytes: &[u8]) -> Result<Self, Malformed> {
        let (fixed, rest) = bytes.split_first_chunk::<HEADER_BYTES>().ok_or(Malformed::Short)?;
        if fixed[0] >> 6 != 2 {
            return Err(Malformed::Version);
        }
        if fixed[1] >> 5 == 6 {
            return Err(Malformed::Rtcp);
        }
        let payload =
            if fixed[0] == 0x80 { HEADER_BYTES..bytes.len() } else { payload_range(fixed[0], rest)? };
        let header = Header {
            marker: fixed[1] & 0x80 != 0,
            payload_type: fixed[1] & 0x7f,
            sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
            timestamp: u32::from_be_bytes([fixed[4], fixed[5], fixed[6], fixed[7]]),
            ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        };
        Ok(Self { header, payload })
    }

    /// Rewrites the datagram in place with a plain header and this payload, and says how long it is now.
    /// Contributing sources, extension and padding go: none of them was negotiated with the listener.
    #[inline]
    pub fn rewrite(&self, datagram: &mut [u8], header: &Header) -> usize {
        let length = HEADER_BYTES + self.payload.len();
        if self.payload.start != HEADER_BYTES {
            datagram.copy_within(self.payload.clone(), HEADER_BYTES);
        }
        if let Some(place) = datagram.first_chunk_mut() {
            header.emit(place);
        }
        length
    }
}

/// Place of the payload in a packet with contributing sources, extension or padding. `rest` follows the fixed
/// header.
#[cold]
fn payload_range(first: u8, rest: &[u8]) -> Result<Range<usize>, Malformed> {
    let mut start = usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let extension = rest.get(start..start + 4).ok_or(Malformed::Short)?;
        let words = usize::from(u16::from_be_bytes([extension[2], extension[3]]));
        start += 4 + words * 4;
    }
    let behind = rest.get(start..).ok_or(Malformed::Short)?;
    let padding = if first & 0x20 == 0 {
        0
    } else {
        match behind.last() {
            Some(&count) if count != 0 && usize::from(count) <= behind.len() => usize::from(count),
            _ => return Err(Malformed::Padding),
        }
    };
    Ok(HEADER_BYTES + start..HEADER_BYTES + rest.len() - padding)
}
