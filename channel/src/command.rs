//! What the control plane tells a shard.

use core::net::{IpAddr, SocketAddr};

use crate::digits::Keys;
use crate::identity::{Action, LocalPort, Party, Recording, Session, Sound, Tag};
use crate::sound::{Codec, RecordChannels, RecordFormat, RecordHold};
use crate::srtp::{Heard, MasterKeys};

/// One instruction to one shard. Every command but [`Command::Open`] names a session; a stale handle is
/// ignored and counted, because the session's end and the command may cross on the way.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Command {
    /// Claim a session slot and a port for each party. Answered by `Event::Opened` or `Event::Refused`.
    Open {
        /// The control plane's name for the session until it has a handle.
        tag: Tag,
        /// How party 1's leg and party 2's begin.
        legs: [LegOpening; 2],
    },
    /// Where one party's sound goes to and comes from, as its session description says. May be repeated: the
    /// far end moves, the stream towards it goes on.
    FarEnd {
        /// The session.
        session: Session,
        /// Whose far end this is.
        party: Party,
        /// What its session description says.
        far_end: FarEnd,
    },
    /// How packets of one party are protected from now on, both ways (SRTP). Given before the far end that it belongs
    /// to. What comes in is dropped unless it is authentic, and nothing is sent in plain.
    Secure {
        /// The session.
        session: Session,
        /// Whose leg this is.
        party: Party,
        /// The keys; none: packets are plain RTP. Those that the leg has already go on with their counters.
        keys: Option<MasterKeys>,
        /// How far the party's stream had come when another gateway carried it.
        heard: Option<Heard>,
    },
    /// The party is behind a translator of addresses: from its next far end on, packets may for a bounded time teach
    /// where it really sends from. Given before each far end for which that holds.
    Learn {
        /// The session.
        session: Session,
        /// Whose far end this is.
        party: Party,
        /// Where its signaling comes from: beside the far end's own, the only address that is believed.
        signaling: IpAddr,
    },
    /// What one party hears from now on.
    Hear {
        /// The session.
        session: Session,
        /// The listener.
        party: Party,
        /// What it hears.
        source: Source,
    },
    /// Both parties hear each other from now on, and silence from either is watched. Answered by
    /// `Event::Joined`.
    Join {
        /// The session.
        session: Session,
    },
    /// Begin to record into a file that was handed over before. Answered, in the end, by `Event::Recorded`.
    RecordStart {
        /// The session.
        session: Session,
        /// The recording.
        recording: Recording,
        /// How samples are stored.
        format: RecordFormat,
        /// How the parties share the channels.
        channels: RecordChannels,
        /// What becomes of the time in which a party holds the other.
        hold: RecordHold,
    },
    /// End a recording that runs.
    RecordStop {
        /// The session.
        session: Session,
        /// The recording.
        recording: Recording,
    },
    /// Play a prompt to one party in the place of what it hears otherwise: that goes on when the prompt is over,
    /// in the same stream. Answered, in the end, by `Event::ActionEnded`.
    Play {
        /// The session.
        session: Session,
        /// The listener.
        party: Party,
        /// Names it; not that of another action of this session that has not ended.
        action: Action,
        /// The sound.
        sound: Sound,
        /// How often it is played.
        repeat: Repeat,
    },
    /// End a prompt that [`Command::Play`] began.
    PlayStop {
        /// The session.
        session: Session,
        /// The listener.
        party: Party,
        /// The prompt.
        action: Action,
    },
    /// Press keys towards one party, in the place of what it hears otherwise: telephone-events (RFC 4733), or tones
    /// where it has none. Answered, in the end, by `Event::ActionEnded`.
    SendKeys {
        /// The session.
        session: Session,
        /// Who hears them.
        party: Party,
        /// Names it, as in [`Command::Play`].
        action: Action,
        /// The keys, at least one.
        keys: Keys,
    },
    /// End the session: running recordings are closed, ports go to rest. Answered by `Event::Closed`.
    Close {
        /// The session.
        session: Session,
    },
}

/// How a leg begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct LegOpening {
    /// Where the party's sound is to come in.
    pub port: PortChoice,
    /// Where the stream towards the party goes on, if it has one already; without it, all three numbers are random
    /// (RFC 3550 section 5.1).
    pub beginning: Option<Beginning>,
}

impl LegOpening {
    /// Any port of any address, and a new stream.
    pub const FRESH: Self = Self { port: PortChoice::ANY, beginning: None };
}

/// Which RTP port a leg gets.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum PortChoice {
    /// The shard chooses a free one.
    Any {
        /// The media addresses that will do: bit `n` for the address in place `n`. Never 0; bits beyond the
        /// gateway's addresses do not matter.
        addresses: u8,
    },
    /// This one, or the session is refused.
    This(LocalPort),
}

impl PortChoice {
    /// Any port of any address.
    pub const ANY: Self = Self::Any { addresses: u8::MAX };
}

/// Where a stream goes on that another gateway began: to the listener it is the same one.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Beginning {
    /// Its SSRC.
    pub ssrc: u32,
    /// Sequence number of its next packet.
    pub sequence: u16,
    /// RTP timestamp of a packet that is sent when the session opens; later ones are ahead of it by the time that
    /// has passed since.
    pub timestamp: u32,
}

/// One party's side of the media, as negotiated by offer and answer (RFC 3264).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FarEnd {
    /// Where the party receives RTP, and the only place it may send from.
    pub address: SocketAddr,
    /// What the party's payloads mean, both ways.
    pub codec: Codec,
    /// The payload type of `codec` in both directions with this party.
    pub payload_type: u8,
    /// The payload type of telephone-event (RFC 4733) with this party, if it was negotiated.
    pub telephone_event: Option<u8>,
    /// The payload type of comfort noise (RFC 3389) with this party, if it was negotiated.
    pub comfort_noise: Option<u8>,
    /// May we send to the party? False while it has put us on hold with `inactive` or `sendonly`.
    pub send: bool,
    /// Does the party send to us? False while its description says `recvonly` or `inactive`.
    pub receive: bool,
    /// Where RTCP goes to and comes from.
    pub rtcp: Rtcp,
    /// Are the party's keys looked for as tones (ITU-T Q.24) in what it says?
    pub in_band: bool,
}

/// The ports of RTCP with one party.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub enum Rtcp {
    /// None is sent and none is taken.
    #[default]
    Off,
    /// Those of RTP, on both sides (RFC 5761).
    Muxed,
    /// Ours is the one above our RTP port; the party's is this one, at the address of its RTP (RFC 3550 section 11, RFC
    /// 3605).
    Port(u16),
}

impl FarEnd {
    /// A party there that speaks a codec by its usual number, in both directions; nothing else is agreed on.
    #[must_use]
    pub const fn new(address: SocketAddr, codec: Codec) -> Self {
        Self {
            address,
            codec,
            payload_type: codec.payload_type(),
            telephone_event: None,
            comfort_noise: None,
            send: true,
            receive: true,
            rtcp: Rtcp::Off,
            in_band: false,
        }
    }

    /// Does sound flow both ways? Otherwise one side holds the other.
    #[must_use]
    pub const fn talks(&self) -> bool {
        self.send && self.receive
    }
}

/// What a party hears.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Source {
    /// Nothing is sent.
    Silence,
    /// What the other party sends.
    Peer,
    /// A prompt or a tone. When it has been played, `Event::Played` tells, and silence follows.
    Sound {
        /// The sound.
        sound: Sound,
        /// How often it is played.
        repeat: Repeat,
    },
}

/// How often a sound is played.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Repeat {
    /// This many times, at least once.
    Times(u16),
    /// Until another source is set or the session ends.
    Forever,
}
