//! What the gateway says about a direction, and what it reads back.

use std::net::SocketAddr;

/// Ports of one local address, of which the even ones have an entry (RFC 3550 section 11: RTP uses an even port).
const PORTS: u32 = 65_536;

/// Where an entry stands: the local RTP port at which the speaking party's packets arrive.
#[derive(Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct FlowIndex {
    /// Which of the local media addresses, in the order of [`Settings::addresses`](crate::Settings::addresses).
    pub address: u8,
    /// The port; only even ones have an entry.
    pub port: u16,
}

impl FlowIndex {
    /// Address index × 65,536 + port.
    #[must_use]
    pub const fn number(self) -> u32 {
        self.address as u32 * PORTS + self.port as u32
    }

    /// The reverse of [`FlowIndex::number`]; `None` where there can be no address of that index.
    #[must_use]
    pub fn from_number(number: u32) -> Option<Self> {
        let address = u8::try_from(number / PORTS).ok()?;
        let port = u16::try_from(number % PORTS).ok()?;
        Some(Self { address, port })
    }
}

/// One direction of a pair: which packets of the speaking party are relayed, and how they are rewritten for the
/// listening one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The speaking party: packets from anywhere else go to the sockets.
    pub source: SocketAddr,
    /// Its SSRC; packets with another go to the sockets.
    pub ssrc: u32,
    /// Its payload type for sound; packets with another go to the sockets.
    pub payload_type: u8,
    /// The listening leg's local address and port: what its packets come from.
    pub from: FlowIndex,
    /// The listening party.
    pub destination: SocketAddr,
    /// SSRC of the stream towards it.
    pub out_ssrc: u32,
    /// Payload type of sound with it.
    pub out_payload_type: u8,
    /// Added to the sequence number, modulo 2^16.
    pub sequence_offset: u16,
    /// Added to the timestamp, modulo 2^32.
    pub timestamp_offset: u32,
    /// Ticks of the RTP clock in 125 µs, for the jitter: 1 at 8 kHz, 6 at 48 kHz.
    pub ticks: u8,
    /// How a packet of silence is told from others.
    pub quiet: Quiet,
    /// Ring that gets a copy of each packet, by its number below [`Settings::rings`](crate::Settings::rings).
    pub tap: Option<u8>,
    /// Where the direction stands when the program takes it over.
    pub position: Position,
}

/// How a packet that can be heard is told from one of silence. The program looks at as little as it can: who speaks is
/// found out within a second all the same.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Quiet {
    /// A-law: by the first eight octets, which are silent up to the third step of the law.
    Alaw = 0,
    /// The same in µ-law.
    Mulaw = 1,
    /// Opus: a packet of discontinuous transmission has one or two octets (RFC 6716 section 2.1.9).
    Short = 2,
    /// It cannot be told: each packet counts as one that can be heard.
    Never = 3,
}

impl Quiet {
    /// By its number in an entry.
    pub(crate) const fn from_number(number: u8) -> Self {
        match number {
            0 => Self::Alaw,
            1 => Self::Mulaw,
            2 => Self::Short,
            _ => Self::Never,
        }
    }
}

/// Where a direction stands: what the next packet is judged by.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// Highest sequence number received.
    pub highest: u16,
    /// Bit n: the packet n before the highest was there.
    pub seen: u64,
    /// How many of the sender's numbers the listener's stream has covered since it was anchored, saturating: a
    /// late packet from before goes to the sockets.
    pub span: u16,
    /// Timestamp of the newest sound, as the party sent it.
    pub timestamp: u32,
    /// Transit of the last sound: arrival in ticks, less its timestamp (RFC 3550 A.8).
    pub transit: u32,
    /// Sixteen times the jitter in ticks (RFC 3550 A.8).
    pub jitter: u32,
    /// The largest that `jitter` has been.
    pub worst: u32,
    /// Octets of payload in the packet with the highest number.
    pub samples: u16,
    /// When the last packet was accepted, `CLOCK_MONOTONIC` in nanoseconds. Duplicates count.
    pub last: u64,
    /// When the newest timestamp arrived, `CLOCK_MONOTONIC` in nanoseconds.
    pub stood: u64,
}

/// What the program did for a direction since it was switched on, and where the direction stands now.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct FlowNumbers {
    /// Where the direction stands.
    pub position: Position,
    /// Packets accepted: those forwarded and the duplicates, modulo 2^32.
    pub received: u32,
    /// Octets of their payloads.
    pub octets: u64,
    /// Packets that the sequence numbers say were sent, modulo 2^32.
    pub expected: u32,
    /// Packets that had been there before; dropped.
    pub duplicates: u32,
    /// Octets of their payloads.
    pub duplicate_octets: u32,
    /// Packets whose copy found the tap full.
    pub tap_full: u32,
    /// Packets that can be heard ([`Quiet`]), modulo 2^16. Those that came late are not looked at.
    pub loud: u16,
}

impl FlowNumbers {
    /// Packets sent to the listener, modulo 2^32.
    #[must_use]
    pub const fn forwarded(&self) -> u32 {
        self.received.wrapping_sub(self.duplicates)
    }

    /// Octets of payload sent to the listener.
    #[must_use]
    pub const fn forwarded_octets(&self) -> u64 {
        self.octets.saturating_sub(self.duplicate_octets as u64)
    }
}

/// Where a packet stood in its sender's sequence.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Order {
    /// So many numbers after the highest before it; 1 if nothing is missing.
    Next(u16),
    /// So many numbers before the highest, and not there before.
    Late(u16),
}
