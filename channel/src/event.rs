//! What a shard tells the control plane.

use core::time::Duration;

use crate::digits::Key;
use crate::identity::{Action, LocalPort, Party, Recording, Session, Sound, Tag};
use crate::quality::{Fault, Quality};
use crate::time::Instant;

/// One report from one shard.
#[allow(clippy::large_enum_variant, reason = "lives on the stack for a moment; a box would be an allocation")]
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Event {
    /// A session is open and its ports receive.
    Opened {
        /// The tag of the command.
        tag: Tag,
        /// The session from now on.
        session: Session,
        /// RTP ports of party 1 and party 2.
        ports: [LocalPort; 2],
    },
    /// A session could not be opened.
    Refused {
        /// The tag of the command.
        tag: Tag,
        /// Why.
        reason: Refusal,
    },
    /// Both parties hear each other.
    Joined {
        /// The session.
        session: Session,
    },
    /// A sound has been played to its end, or was not to be played at all.
    Played {
        /// The session.
        session: Session,
        /// The listener.
        party: Party,
        /// The sound.
        sound: Sound,
        /// Whether all of it was sent.
        outcome: PlayOutcome,
    },
    /// A prompt or keys that `Command::Play` or `Command::SendKeys` asked for have ended; never lost while the session
    /// lives. An action that runs when the session is closed ends with it, untold.
    ActionEnded {
        /// The session.
        session: Session,
        /// The listener.
        party: Party,
        /// The action.
        action: Action,
        /// How it ended.
        outcome: ActionOutcome,
    },
    /// A party has pressed a key: once for each press, when it is released.
    Pressed {
        /// The session.
        session: Session,
        /// Who pressed it.
        party: Party,
        /// The key.
        key: Key,
        /// How long it was held, as far as that arrived.
        milliseconds: u16,
    },
    /// Nothing has arrived from a party for the configured silence timeout, though it should send.
    Silent {
        /// The session.
        session: Session,
        /// The party that went silent.
        party: Party,
    },
    /// What is wrong with a party's sound has changed; told within 5 s. Nothing ends by it.
    Fault {
        /// The session.
        session: Session,
        /// The party.
        party: Party,
        /// What is wrong from now on; `None`: nothing any more.
        fault: Option<Fault>,
    },
    /// Packets come from a party whose leg is secured, and for some seconds not one of them has been authentic since
    /// its keys are known: they are not the party's keys.
    Unauthentic {
        /// The session.
        session: Session,
        /// Whose packets these are.
        party: Party,
    },
    /// A recording has ended; terminal, never lost.
    Recorded {
        /// The session.
        session: Session,
        /// The recording.
        recording: Recording,
        /// How it ended.
        outcome: RecordOutcome,
        /// Time that the file covers.
        duration: Duration,
        /// Size of the file.
        bytes: u64,
        /// Packets that were relayed, but whose copies for the recording were lost; it has silence in their place.
        missing: u32,
        /// What there was to record of party 1 and party 2.
        tracks: [Track; 2],
    },
    /// A session has ended; terminal, never lost.
    Closed {
        /// The session.
        session: Session,
        /// The tag that opened it.
        tag: Tag,
        /// Final figures of both legs.
        statistics: [LegStatistics; 2],
    },
}

/// Why a session could not be opened.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Refusal {
    /// Every session slot of the shard is in use.
    NoSlot,
    /// No free port is left, or the port that was asked for is taken.
    NoPort,
    /// The host refused a socket (descriptors, memory).
    NoSocket,
}

/// How the playing of a sound ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PlayOutcome {
    /// It was played as often as asked.
    Finished,
    /// Another source took its place.
    Replaced,
    /// The gateway does not have that sound.
    Missing,
}

/// How an action ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ActionOutcome {
    /// All of it was played, or sent.
    Finished,
    /// It was stopped.
    Stopped,
    /// Another of its kind took its place.
    Replaced,
    /// The gateway does not have that sound.
    Missing,
    /// The party could not be sent to (on hold) while keys were due.
    Held,
}

/// How a recording ended.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordOutcome {
    /// All of it is in the file.
    Saved,
    /// The file system refused a write; what was written before is in the file.
    WriteFailed {
        /// The system's error number.
        errno: i32,
    },
    /// The writer could not keep up and blocks were lost; the file has silence in their place.
    Overrun,
    /// No file of that name had been handed over.
    Missing,
}

/// What there was to record of one party.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Track {
    /// Packets of the party that never came while it was recorded, by their sequence numbers.
    pub lost: u32,
    /// Places where the party was not heard for longer than a packet takes: loss, pauses of a sender that is silent
    /// when the party is, hold.
    pub gaps: u32,
    /// Time of the recording that has nothing of the party, in milliseconds: all gaps, what was before its first
    /// packet, and what was after its last.
    pub silent_milliseconds: u32,
}

/// What one leg carried, counted by the gateway (RFC 3550 sections 6.4.1 and A).
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct LegStatistics {
    /// RTP packets received from the party and accepted.
    pub packets_received: u64,
    /// Payload octets in them.
    pub octets_received: u64,
    /// RTP packets sent to the party.
    pub packets_sent: u64,
    /// Payload octets in them.
    pub octets_sent: u64,
    /// Packets that the party's sequence numbers say are missing; negative if duplicates outnumber losses.
    pub packets_lost: i64,
    /// Packets refused: strange source, not RTP, unknown payload type.
    pub packets_refused: u64,
    /// Interarrival jitter at the end, in microseconds.
    pub jitter_microseconds: u32,
    /// The largest interarrival jitter seen, in microseconds.
    pub worst_jitter_microseconds: u32,
    /// When the first packet was accepted; zero if none was.
    pub first_packet: Instant,
    /// When the last packet was accepted; zero if none was.
    pub last_packet: Instant,
    /// What RTCP and the E-model say.
    pub quality: Quality,
}

impl LegStatistics {
    /// The figures of a leg whose session was carried twice, by this gateway first and by another later.
    #[must_use]
    pub fn then(&self, later: &Self) -> Self {
        let heard = later.first_packet != Instant::ZERO;
        Self {
            packets_received: self.packets_received.saturating_add(later.packets_received),
            octets_received: self.octets_received.saturating_add(later.octets_received),
            packets_sent: self.packets_sent.saturating_add(later.packets_sent),
            octets_sent: self.octets_sent.saturating_add(later.octets_sent),
            packets_lost: self.packets_lost.saturating_add(later.packets_lost),
            packets_refused: self.packets_refused.saturating_add(later.packets_refused),
            jitter_microseconds: if heard { later.jitter_microseconds } else { self.jitter_microseconds },
            worst_jitter_microseconds: self.worst_jitter_microseconds.max(later.worst_jitter_microseconds),
            first_packet: if self.first_packet == Instant::ZERO {
                later.first_packet
            } else {
                self.first_packet
            },
            last_packet: self.last_packet.max(later.last_packet),
            quality: self.quality.then(self, later),
        }
    }
}
