//! Where things lie in a packet.

/// Octets of the fixed RTP header.
const HEADER: usize = 12;

/// Octets of an RTCP header with the sender's SSRC: what SRTCP leaves readable (RFC 3711 section 3.4).
pub(crate) const RTCP_HEADER: usize = 8;

/// Octets of the word with the index of an SRTCP packet.
pub(crate) const INDEX_OCTETS: usize = 4;

/// Set in that word: the packet is encrypted.
pub(crate) const ENCRYPTED: u32 = 1 << 31;

/// Indices of SRTCP have 31 bits.
pub(crate) const MOST_RTCP_INDEX: u32 = ENCRYPTED - 1;

/// What a transform has to know of an RTP packet.
#[derive(Clone, Copy)]
pub(crate) struct Rtp {
    pub(crate) ssrc: u32,
    pub(crate) sequence: u16,
    /// Where the encrypted part begins: behind contributing sources and header extension (RFC 3711 section 3.1).
    pub(crate) payload: usize,
}

/// The header of an RTP packet, tag excluded.
#[inline]
pub(crate) fn rtp(packet: &[u8]) -> Option<Rtp> {
    let fixed = packet.first_chunk::<HEADER>()?;
    if fixed[0] >> 6 != 2 {
        return None;
    }
    let payload = if fixed[0] & 0x1f == 0 { HEADER } else { payload(fixed[0], packet)? };
    Some(Rtp {
        ssrc: u32::from_be_bytes([fixed[8], fixed[9], fixed[10], fixed[11]]),
        sequence: u16::from_be_bytes([fixed[2], fixed[3]]),
        payload,
    })
}

/// Behind contributing sources and extension.
#[cold]
fn payload(first: u8, packet: &[u8]) -> Option<usize> {
    let mut start = HEADER + usize::from(first & 0x0f) * 4;
    if first & 0x10 != 0 {
        let extension = packet.get(start..start + 4)?;
        start += 4 + usize::from(u16::from_be_bytes([extension[2], extension[3]])) * 4;
    }
    (start <= packet.len()).then_some(start)
}

/// The sender's SSRC in an RTCP packet, tag and index excluded.
pub(crate) fn rtcp(packet: &[u8]) -> Option<u32> {
    let header = packet.first_chunk::<RTCP_HEADER>()?;
    (header[0] >> 6 == 2).then(|| u32::from_be_bytes([header[4], header[5], header[6], header[7]]))
}
