//! RTP packets (RFC 3550 section 5.1) and telephone-events (RFC 4733), read and written.

use std::fmt;

/// The fixed header.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Header {
    /// Begins a talkspurt, or an event.
    pub marker: bool,
    /// What the payload is.
    pub payload_type: u8,
    /// Counts packets.
    pub sequence: u16,
    /// Counts samples.
    pub timestamp: u32,
    /// Names the stream.
    pub ssrc: u32,
}

/// Why a datagram is not RTP.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RtpError {
    /// Shorter than a header, or than what the header says.
    #[error("too short for its header")]
    Short,
    /// Another version than 2.
    #[error("version {0}, expected 2")]
    Version(u8),
    /// More padding than payload, or none where some is announced.
    #[error("wrong padding")]
    Padding,
}

impl Header {
    /// Takes a packet apart; the payload comes without extension and padding.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn parse(packet: &[u8]) -> Result<(Self, &[u8]), RtpError> {
        let &[first, second, s0, s1, t0, t1, t2, t3, c0, c1, c2, c3, ref rest @ ..] = packet else {
            return Err(RtpError::Short);
        };
        if first >> 6 != 2 {
            return Err(RtpError::Version(first >> 6));
        }
        let mut payload = rest.get(usize::from(first & 0x0f) * 4..).ok_or(RtpError::Short)?;
        if first & 0x10 != 0 {
            let &[_, _, high, low, ..] = payload else { return Err(RtpError::Short) };
            let words = usize::from(u16::from_be_bytes([high, low]));
            payload = payload.get(4 + words * 4..).ok_or(RtpError::Short)?;
        }
        if first & 0x20 != 0 {
            let padding = usize::from(*payload.last().ok_or(RtpError::Padding)?);
            let length =
                payload.len().checked_sub(padding).filter(|_| padding > 0).ok_or(RtpError::Padding)?;
            payload = &payload[..length];
        }
        let header = Self {
            marker: second & 0x80 != 0,
            payload_type: second & 0x7f,
            sequence: u16::from_be_bytes([s0, s1]),
            timestamp: u32::from_be_bytes([t0, t1, t2, t3]),
            ssrc: u32::from_be_bytes([c0, c1, c2, c3]),
        };
        Ok((header, payload))
    }

    /// The packet with this header and that payload.
    #[must_use]
    pub fn with_payload(&self, payload: &[u8]) -> Vec<u8> {
        let mut packet = Vec::with_capacity(12 + payload.len());
        packet.push(0x80);
        packet.push(u8::from(self.marker) << 7 | self.payload_type & 0x7f);
        packet.extend(self.sequence.to_be_bytes());
        packet.extend(self.timestamp.to_be_bytes());
        packet.extend(self.ssrc.to_be_bytes());
        packet.extend(payload);
        packet
    }
}

/// A telephone key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct Key(u8);

const KEYS: &[u8; 16] = b"0123456789*#ABCD";

impl Key {
    /// From its character.
    #[must_use]
    pub fn new(character: char) -> Option<Self> {
        let place = KEYS.iter().position(|key| char::from(*key) == character.to_ascii_uppercase())?;
        u8::try_from(place).ok().map(Self)
    }

    /// Its character.
    #[must_use]
    pub fn character(self) -> char {
        char::from(KEYS[usize::from(self.0)])
    }
}

impl fmt::Debug for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Key({})", self.character())
    }
}

/// The payload of a telephone-event packet (RFC 4733 section 2.3).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct TelephoneEvent {
    /// Which key.
    pub key: Key,
    /// The key has been let go.
    pub end: bool,
    /// Power in -dBm0.
    pub volume: u8,
    /// How long it has been held, in samples.
    pub duration: u16,
}

impl TelephoneEvent {
    /// From a payload; none if it is another length, or an event that is no key.
    #[must_use]
    pub fn parse(payload: &[u8]) -> Option<Self> {
        let &[event, flags, high, low] = payload else { return None };
        let key = Key(event).to_known()?;
        let duration = u16::from_be_bytes([high, low]);
        Some(Self { key, end: flags & 0x80 != 0, volume: flags & 0x3f, duration })
    }

    /// The payload.
    #[must_use]
    pub fn payload(&self) -> [u8; 4] {
        let [high, low] = self.duration.to_be_bytes();
        [self.key.0, u8::from(self.end) << 7 | self.volume & 0x3f, high, low]
    }
}

impl Key {
    fn to_known(self) -> Option<Self> {
        (usize::from(self.0) < KEYS.len()).then_some(self)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn keys_have_their_numbers() {
        assert_eq!(Key::new('#').map(|key| key.0), Some(11));
        assert_eq!(Key::new('d').map(Key::character), Some('D'));
        assert_eq!(Key::new('x'), None);
        assert_eq!(TelephoneEvent::parse(&[16, 0, 0, 0]), None);
    }

    #[test]
    fn extension_and_padding_are_taken_off() {
        let mut packet = vec![0xb1, 8, 0, 1, 0, 0, 0, 2, 0, 0, 0, 3];
        packet.extend([0; 4]);
        packet.extend([0xbe, 0xde, 0, 1, 9, 9, 9, 9]);
        packet.extend([1, 2, 3, 0, 0, 3]);
        assert_eq!(Header::parse(&packet).unwrap().1, [1, 2, 3]);
        *packet.last_mut().unwrap() = 7;
        assert_eq!(Header::parse(&packet), Err(RtpError::Padding));
    }

    proptest! {
        #[test]
        fn headers_survive(marker: bool, payload_type in 0_u8..128, sequence: u16, timestamp: u32, ssrc: u32, payload: Vec<u8>) {
            let header = Header { marker, payload_type, sequence, timestamp, ssrc };
            let packet = header.with_payload(&payload);
            prop_assert_eq!(Header::parse(&packet), Ok((header, &payload[..])));
        }

        #[test]
        fn any_bytes_are_answered(bytes: Vec<u8>) {
            let _ = Header::parse(&bytes);
            let _ = TelephoneEvent::parse(&bytes);
        }
    }
}
