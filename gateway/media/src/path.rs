//! The path beside the sockets: a table of flows that somebody below forwards by itself.
//!
//! An entry of the table describes one direction of a session, from the party at one of our ports to the party at
//! the other port of the same session. While it is on, whoever keeps the table (an XDP program; a model in tests)
//! forwards the direction's plain packets of sound before any socket sees them, and writes down in the entry what
//! the core would have noted. All else it passes to the sockets: other payload types, other sources and senders,
//! headers with more than the fixed part, jumps of sequence or timestamp. Its rules are those of `arrival` and
//! `stream`, for a packet with the expected source, SSRC and payload type, first octet 0x80 and a payload:
//!
//! ```text
//!  step = sequence - highest
//!  1 ≤ step ≤ 3000    Next: passed on to the sockets if timestamp - newest timestamp ≥ 80,000; otherwise highest,
//!                     seen, timestamp, span + step (saturating), newest and samples (if the timestamp has moved),
//!                     expected + step; loud + 1 if it says something
//!  step ≥ -63, seen   Duplicate: received, octets, last; dropped
//!  step ≥ -63         Late: passed on to the sockets if it is farther back than span; otherwise seen
//!  all else           passed on to the sockets, nothing noted
//!
//!  Next and Late: received, octets, last, jitter (RFC 3550 A.8), forwarded, forwarded octets; sent with the
//!  listener's SSRC and payload type, both offsets added, its marker as it came; copied first if tapped
//! ```

use ::core::net::SocketAddr;

use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use crate::action::Socket;

/// One direction, as it is to be forwarded.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Flow {
    /// The only address that it may come from.
    pub source: SocketAddr,
    /// The speaker's SSRC.
    pub ssrc: u32,
    /// The payload type of sound from the speaker.
    pub payload_type: u8,
    /// The socket from whose port it leaves: the listener's.
    pub from: Socket,
    /// Where it goes.
    pub destination: SocketAddr,
    /// The SSRC of the stream towards the listener.
    pub new_ssrc: u32,
    /// The payload type of sound to the listener.
    pub new_payload_type: u8,
    /// Added to sequence numbers, wrapping.
    pub sequence_offset: u16,
    /// Added to timestamps, wrapping.
    pub timestamp_offset: u32,
    /// Ticks of the speaker's clock, which is the listener's too, in 125 µs.
    pub ticks: u8,
    /// What the sound is coded in: how silence is told.
    pub codec: Codec,
    /// Copies of the packets are wanted, by [`Path::drain`].
    pub tap: bool,
    /// Where the speaker stands when the entry is switched on.
    pub standing: Standing,
}

/// Where a speaker stands.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Standing {
    /// The highest sequence number that was there.
    pub highest: u16,
    /// Bit n: the number n before the highest was there.
    pub seen: u64,
    /// How far back the listener's stream takes packets that are late, in numbers.
    pub span: u16,
    /// Timestamp of the newest sound.
    pub timestamp: u32,
    /// Its transit time (RFC 3550 A.8): arrival in samples at 8 kHz, times [`Flow::ticks`], minus timestamp, wrapping.
    pub transit: u32,
    /// Sixteen times the jitter, in ticks.
    pub jitter: u32,
    /// The largest that this was.
    pub worst: u32,
}

/// What an entry's writer has noted since the entry was switched on.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowNumbers {
    /// Where the speaker stands now.
    pub standing: Standing,
    /// Counted since the entry was switched on.
    pub counts: FlowCounts,
    /// When the last packet came, duplicates included; zero if none did.
    pub last: Instant,
    /// When the packet came that moved the timestamp to where it stands; zero if none did.
    pub newest: Instant,
    /// Octets of payload in that packet, which are its ticks but in Opus.
    pub samples: u16,
    /// Packets that said something, since the entry was switched on and modulo 2^16. Of each only the beginning need be
    /// looked at.
    pub loud: u16,
}

/// What an entry counts, from zero when it is switched on; packets and numbers modulo 2^32.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct FlowCounts {
    /// Packets that were the speaker's, duplicates included.
    pub received: u32,
    /// Octets of payload in them.
    pub octets: u64,
    /// How far the sequence has gone.
    pub expected: u32,
    /// Packets sent on: those received without the duplicates.
    pub forwarded: u32,
    /// Octets of payload in them.
    pub forwarded_octets: u64,
    /// Packets that were sent on, but not copied because there was no room.
    pub tap_lost: u32,
}

impl FlowCounts {
    /// What was counted after `before`.
    pub(crate) const fn since(&self, before: &Self) -> Self {
        Self {
            received: self.received.wrapping_sub(before.received),
            octets: self.octets.wrapping_sub(before.octets),
            expected: self.expected.wrapping_sub(before.expected),
            forwarded: self.forwarded.wrapping_sub(before.forwarded),
            forwarded_octets: self.forwarded_octets.wrapping_sub(before.forwarded_octets),
            tap_lost: self.tap_lost.wrapping_sub(before.tap_lost),
        }
    }
}

/// A packet that was copied on its way.
#[derive(Clone, Copy, Debug)]
pub struct Tapped<'a> {
    /// The socket to which it came: the speaker's.
    pub socket: Socket,
    /// When it came.
    pub arrived: Instant,
    /// It came after a packet with a higher sequence number.
    pub late: bool,
    /// The RTP packet as the speaker sent it.
    pub packet: &'a [u8],
}

/// Who keeps the table. Each socket of the shard has one place in it.
pub trait Path {
    /// Can directions be forwarded there at all? Never changes.
    fn is_there(&self) -> bool;

    /// Can packets be copied on their way? Never changes.
    fn taps(&self) -> bool;

    /// Forward what comes to `socket` like this from now on. False if it cannot be; then the sockets go on.
    fn on(&mut self, socket: Socket, flow: &Flow) -> bool;

    /// Forward nothing more of what comes to `socket`. When this returns nothing is noted any more: the numbers are
    /// final, every packet that they count has been sent and copied, and all later ones come to the socket. `None` if
    /// nothing was forwarded.
    fn off(&mut self, socket: Socket) -> Option<FlowNumbers>;

    /// What has been noted so far. `None` if nothing is forwarded.
    fn read(&self, socket: Socket) -> Option<FlowNumbers>;

    /// As [`Path::off`], for a flow that a gateway before this one has left behind: tells what it was, too.
    fn inherit(&mut self, socket: Socket) -> Option<(Flow, FlowNumbers)>;

    /// Gives all copies that are there, in their order.
    fn drain(&mut self, each: impl FnMut(&Tapped<'_>));
}

/// No such path: all packets go through sockets.
#[derive(Clone, Copy, Default, Debug)]
pub struct NoPath;

impl Path for NoPath {
    fn is_there(&self) -> bool {
        false
    }

    fn taps(&self) -> bool {
        false
    }

    fn on(&mut self, _: Socket, _: &Flow) -> bool {
        false
    }

    fn off(&mut self, _: Socket) -> Option<FlowNumbers> {
        None
    }

    fn read(&self, _: Socket) -> Option<FlowNumbers> {
        None
    }

    fn inherit(&mut self, _: Socket) -> Option<(Flow, FlowNumbers)> {
        None
    }

    fn drain(&mut self, _: impl FnMut(&Tapped<'_>)) {}
}
