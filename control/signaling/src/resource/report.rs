//! What a resource tells the application: its events, each with all its fields.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::fmt;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::digits::Key;
use duogate_channel::event::{LegStatistics, Track};
use duogate_channel::identity::{Party, Recording};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat};
use duogate_channel::time::UnixTime;

/// Identity of one event: a version 4 UUID (RFC 9562 section 5.4).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EventId(pub u128);

impl EventId {
    /// Makes a version 7 UUID (RFC 9562 section 5.7) of a time and 74 of 128 random bits. Ids of one time lie together
    /// in the journal's index: others would touch a page of it each.
    #[must_use]
    pub fn new(time: UnixTime, random: u128) -> Self {
        // Before 1970, or after the year 10889, it is as unique, and no more in order.
        let milliseconds = u128::from(time.milliseconds().unsigned_abs()) & 0xffff_ffff_ffff;
        let random = random & 0x0fff_3fff_ffff_ffff_ffff;
        Self(milliseconds << 80 | 0x7 << 76 | 0x2 << 62 | random)
    }
}

impl fmt::Display for EventId {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        let id = self.0;
        write!(
            to,
            "{:08x}-{:04x}-{:04x}-{:04x}-{:012x}",
            id >> 96,
            (id >> 80) & 0xffff,
            (id >> 64) & 0xffff,
            (id >> 48) & 0xffff,
            id & 0xffff_ffff_ffff
        )
    }
}

/// One event of one resource.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// Unique; the receiver's means against duplicates.
    pub event_id: EventId,
    /// Whose event.
    pub res_id: Arc<str>,
    /// 1, 2, 3 … per resource, without holes.
    pub seq: u32,
    /// When it happened.
    pub time: UnixTime,
    /// What the application attached to the resource.
    pub user_data: Option<Arc<str>>,
    /// Where the application wants this resource's events sent, beside the configured place.
    pub callback_url: Option<Arc<str>>,
    /// What happened.
    pub event: Event,
}

/// What happened.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Event {
    /// `on_ringing1`, `on_ringing2`: the party rings (180, 183) or sends early media. Once for each URI tried.
    Ringing {
        /// Who rings.
        party: Party,
        /// Since when.
        ring_time: UnixTime,
        /// Did early media come with it?
        early_media: bool,
    },
    /// `on_dial2_started`.
    Dial2Started {
        /// When.
        begin_time: UnixTime,
        /// First URI of the list.
        to_uri: String,
    },
    /// `on_dial1_completed`, `on_dial2_completed`: the party has answered, or finally has not.
    DialCompleted {
        /// Whose call.
        party: Party,
        /// None: it has answered.
        error: Option<Failure>,
        /// When dialing began.
        begin_time: UnixTime,
        /// When the party answered.
        answer_time: Option<UnixTime>,
        /// When dialing ended, one way or the other.
        end_time: UnixTime,
        /// The URI that answered, or was tried last.
        to_uri: String,
    },
    /// `on_connected`: the two hear each other.
    Connected {
        /// Since when.
        connect_time: UnixTime,
    },
    /// `on_dtmf`: a party pressed a key.
    Dtmf {
        /// Who.
        party: Party,
        /// Which.
        key: Key,
        /// How long it was held, as far as that was heard.
        milliseconds: u16,
    },
    /// `on_play_completed`.
    PlayCompleted {
        /// To whom.
        party: Party,
        /// None: played to the end, or stopped.
        error: Option<Failure>,
        /// Since when.
        begin_time: UnixTime,
        /// Until when.
        end_time: UnixTime,
        /// The key that ended it.
        finish_key: Option<Key>,
    },
    /// `on_send_dtmf_completed`.
    SendDtmfCompleted {
        /// To whom.
        party: Party,
        /// None: all were sent.
        error: Option<Failure>,
        /// Since when.
        begin_time: UnixTime,
        /// Until when.
        end_time: UnixTime,
        /// Which.
        keys: String,
    },
    /// `on_receive_dtmf_completed`.
    ReceiveDtmfCompleted {
        /// Whose.
        party: Party,
        /// None: enough keys, a finish key, or stopped.
        error: Option<Failure>,
        /// Since when.
        begin_time: UnixTime,
        /// Until when.
        end_time: UnixTime,
        /// What was collected.
        keys: String,
        /// The key that ended it.
        finish_key: Option<Key>,
    },
    /// `on_record_completed`.
    RecordCompleted(RecordResult),
    /// `on_released`.
    Released(Release),
    /// `sys.on_chan_closed`. The shell keeps the record as the leg's CDR, too.
    ChannelClosed(ChannelRecord),
}

impl Event {
    /// The method of the event's notification.
    #[must_use]
    pub const fn method(&self) -> &'static str {
        match self {
            Self::Ringing { party: Party::One, .. } => "ext.duo_callback.on_ringing1",
            Self::Ringing { party: Party::Two, .. } => "ext.duo_callback.on_ringing2",
            Self::Dial2Started { .. } => "ext.duo_callback.on_dial2_started",
            Self::DialCompleted { party: Party::One, .. } => "ext.duo_callback.on_dial1_completed",
            Self::DialCompleted { party: Party::Two, .. } => "ext.duo_callback.on_dial2_completed",
            Self::Connected { .. } => "ext.duo_callback.on_connected",
            Self::Dtmf { .. } => "ext.duo_callback.on_dtmf",
            Self::PlayCompleted { .. } => "ext.duo_callback.on_play_completed",
            Self::SendDtmfCompleted { .. } => "ext.duo_callback.on_send_dtmf_completed",
            Self::ReceiveDtmfCompleted { .. } => "ext.duo_callback.on_receive_dtmf_completed",
            Self::RecordCompleted(_) => "ext.duo_callback.on_record_completed",
            Self::Released(_) => "ext.duo_callback.on_released",
            Self::ChannelClosed(_) => "sys.on_chan_closed",
        }
    }
}

/// `on_record_completed`, and what the shell needs to finish the file.
///
/// On success the shell first gives the file its name, and reports an error of its own instead if that fails.
/// On an error it forgets the recording at the gateway if it still holds it, and disposes of the part file.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordResult {
    /// The handle that `construct` was given.
    pub recording: Recording,
    /// None: saved whole.
    pub error: Option<Failure>,
    /// The path as the application gave it.
    pub record_file: String,
    /// How samples are stored.
    pub format: RecordFormat,
    /// How the parties share the channels.
    pub channels: RecordChannels,
    /// The URIs of the parties, as they were dialled last; none of one that was not.
    pub uris: [Option<String>; 2],
    /// What there was to record of each party.
    pub tracks: [Track; 2],
    /// When it began; none if it never did.
    pub begin_time: Option<UnixTime>,
    /// When it ended.
    pub end_time: UnixTime,
    /// Time that the file covers.
    pub duration: Duration,
    /// Size of the file.
    pub bytes: u64,
    /// Packets that the parties heard and the recording lacks, because the gateway's fast path had no room for their
    /// copies: silence stands in their place. No error: the rest is there.
    pub lost_packets: u32,
}

/// `on_released`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Release {
    /// None at a normal end: hang-up after Connected, longest conversation reached, dropped by the application.
    pub error: Option<Failure>,
    /// SIP status that says why.
    pub cause: u16,
    /// 1, 2, or 0 for the system.
    pub released_by: u8,
    /// When the resource was constructed.
    pub begin_time: UnixTime,
    /// When party 1 answered.
    pub answer_time: Option<UnixTime>,
    /// When the two were joined.
    pub connect_time: Option<UnixTime>,
    /// When it ended.
    pub end_time: UnixTime,
    /// Length of the conversation, from joining to the end; zero if it never came to that.
    pub duration: Duration,
    /// Media quality per party; none where the gateway could not tell.
    pub quality: [Option<LegStatistics>; 2],
}

/// `sys.on_chan_closed`: the record of one leg. One per party that was dialled.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ChannelRecord {
    /// Which party.
    pub party: Party,
    /// SIP Call-ID of the last attempt.
    pub call_id: String,
    /// The caller that was shown.
    pub from_uri: String,
    /// The URI that answered, or was tried last.
    pub to_uri: String,
    /// The trunk of that attempt, if it had one.
    pub trunk: Option<String>,
    /// Where that attempt's INVITE went.
    pub address: Option<SocketAddr>,
    /// When dialing began.
    pub begin_time: UnixTime,
    /// When the party first rang.
    pub ring_time: Option<UnixTime>,
    /// When the party answered.
    pub answer_time: Option<UnixTime>,
    /// When the leg's call was over.
    pub end_time: UnixTime,
    /// From answer to end; zero without an answer.
    pub duration: Duration,
    /// SIP status that says why it ended.
    pub cause: u16,
    /// Why, if that was no normal end.
    pub error: Option<Failure>,
    /// Did this party end the call itself?
    pub hung_up: bool,
    /// The codec that was agreed on.
    pub codec: Option<Codec>,
    /// Media quality; none where the gateway could not tell.
    pub quality: Option<LegStatistics>,
    /// Every URI that was tried, in order, with the SIP status that ended the attempt (200: answered).
    pub attempts: Vec<Attempt>,
}

/// One URI of a list that was tried.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Attempt {
    /// The URI as the application gave it.
    pub to_uri: String,
    /// Final SIP status; 200 answered, 487 given up by us, 503 trunk full or down (never dialled).
    pub cause: u16,
}

/// An `error` object of an event.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Failure {
    /// `code`: the SIP status that fits best.
    pub code: u16,
    /// `reason`: the stable word for programs.
    pub reason: Reason,
}

/// Why something did not end normally.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Reason {
    /// 486 or 600.
    Busy,
    /// Rang, or did not, for `max_ring_seconds`; or 408, 480.
    NoAnswer,
    /// 403, 603.
    Rejected,
    /// 404, 410, 484, 604.
    NotFound,
    /// 415, 488 or 606: the party refuses what it was offered, codecs or anything else about it.
    OfferRefused,
    /// It answered with no codec of ours; it was hung up on.
    NoCommonCodec,
    /// An answer without keys that can be used, where media has to be secured.
    NotSecured,
    /// Every trunk of the list was full or down, or its host could not be located.
    NoRoute,
    /// Any other final response, or none at all.
    Failed,
    /// The application cancelled.
    Cancelled,
    /// The application dropped.
    Dropped,
    /// A party hung up before the two were connected.
    HungUp,
    /// `max_answer_seconds` was reached. No error of a resource; a leg's cause.
    AnswerLimit,
    /// Nothing was heard of a party for the configured time.
    MediaTimeout,
    /// What came from a party did not pass the check of its keys.
    MediaUnauthentic,
    /// The gateway had no session left.
    MediaRefused,
    /// The gateway went away in mid-call.
    MediaLost,
    /// The gateway did not do its part in time.
    MediaStalled,
    /// A key that was awaited did not come in time.
    Timeout,
    /// The party holds us: it could not be sent to.
    OnHold,
    /// The gateway does not have the sound.
    SoundMissing,
    /// The recording never began.
    NeverBegan,
    /// The file system refused a write; the file holds what came before.
    WriteFailed,
    /// The recorder fell behind; the file has silence in the place of what was lost.
    Overrun,
    /// The node was stopped.
    Shutdown,
    /// The control plane died.
    Interrupted,
}

impl Reason {
    /// As the interface spells it.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Busy => "busy",
            Self::NoAnswer => "no_answer",
            Self::Rejected => "rejected",
            Self::NotFound => "not_found",
            Self::OfferRefused => "offer_refused",
            Self::NoCommonCodec => "no_common_codec",
            Self::NotSecured => "not_secured",
            Self::NoRoute => "no_route",
            Self::Failed => "failed",
            Self::Cancelled => "canceled",
            Self::Dropped => "dropped",
            Self::HungUp => "hung_up",
            Self::AnswerLimit => "answer_limit",
            Self::MediaTimeout => "media_timeout",
            Self::MediaUnauthentic => "media_unauthentic",
            Self::MediaRefused => "media_refused",
            Self::MediaLost => "media_lost",
            Self::MediaStalled => "media_stalled",
            Self::Timeout => "timeout",
            Self::OnHold => "on_hold",
            Self::SoundMissing => "sound_missing",
            Self::NeverBegan => "never_began",
            Self::WriteFailed => "write_failed",
            Self::Overrun => "overrun",
            Self::Shutdown => "shutdown",
            Self::Interrupted => "interrupted",
        }
    }
}

impl fmt::Display for Reason {
    fn fmt(&self, to: &mut fmt::Formatter<'_>) -> fmt::Result {
        to.write_str(self.name())
    }
}

/// A time that was measured, for histograms.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Measurement {
    /// From `construct` to party 1's INVITE.
    ConstructToInvite(Duration),
    /// From party 1's answer to party 2's INVITE (not with `ring_play_mode` 3).
    AnswerToInvite(Duration),
    /// From an INVITE to the first ringing.
    PostDialDelay(Duration),
    /// From `construct` to Connected.
    SetUp(Duration),
}
