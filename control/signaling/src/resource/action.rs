//! CTI actions: what an application may have running on a call beside the call itself.

use alloc::string::String;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::command::Repeat;
use duogate_channel::digits::{Key, Keys};
use duogate_channel::identity::{Party, Recording};
use duogate_channel::sound::{RecordChannels, RecordFormat, RecordHold};
use duogate_channel::time::UnixTime;

use super::plan::SoundSet;

/// What runs on one party.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct PartyActions {
    /// `play_start` is running.
    pub play: bool,
    /// `send_dtmf_start` is running.
    pub send_dtmf: bool,
    /// `receive_dtmf_start` is running.
    pub receive_dtmf: bool,
}

/// What runs on one resource.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Actions {
    /// Per party.
    pub parties: [PartyActions; 2],
    /// `record_start` is running. The recording that `construct` asked for is no action.
    pub record: bool,
}

/// The parameters of the actions' methods as an application gives them; each method has some of them. `None` is an
/// absent parameter or null.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct ActionParameters {
    /// "1", "2" or "both".
    pub party: Option<String>,
    /// Of `play_start`: files, one after the other.
    pub content: Option<Vec<String>>,
    /// How often they are played again; −1: until stopped.
    pub repeat: Option<i64>,
    /// Keys that end the action.
    pub finish_keys: Option<String>,
    /// Where to record.
    pub record_file: Option<String>,
    /// Longest recording.
    pub max_seconds: Option<i64>,
    /// "alaw" (default), "ulaw", "pcm16": in a WAV file; "opus": in Ogg.
    pub record_format: Option<String>,
    /// 1 or 2 (default).
    pub record_channels: Option<i64>,
    /// Keys to send.
    pub keys: Option<String>,
    /// Keys that are collected; others are passed over.
    pub valid_keys: Option<String>,
    /// So many end the collection.
    pub max_keys: Option<i64>,
    /// Longest wait for the first key, in seconds.
    pub first_key_timeout: Option<i64>,
    /// Longest wait for each one after it.
    pub continues_keys_timeout: Option<i64>,
    /// Of `receive_dtmf_start`: files that are played first.
    pub play_content: Option<Vec<String>>,
    /// How often they are played again; −1: until a key is pressed.
    pub play_repeat: Option<i64>,
    /// Does a key end the prompt?
    pub breaking_on_key: Option<bool>,
    /// Does the key that ends the collection belong to it?
    pub including_finish_key: Option<bool>,
}

/// Which of the methods.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Method {
    /// `play_start`.
    Play,
    /// `record_start`.
    Record,
    /// `send_dtmf_start`.
    SendDtmf,
    /// `receive_dtmf_start`.
    ReceiveDtmf,
}

impl Method {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::Play, Self::Record, Self::SendDtmf, Self::ReceiveDtmf];

    /// As `get` and the refusals name the action.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Play => "play",
            Self::Record => "record",
            Self::SendDtmf => "send_dtmf",
            Self::ReceiveDtmf => "receive_dtmf",
        }
    }
}

/// One party, the other, or both.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Parties {
    /// This one.
    One(Party),
    /// Both, each with an action of its own.
    Both,
}

impl Parties {
    /// Those that are meant, in order.
    pub fn iter(self) -> impl Iterator<Item = Party> {
        Party::BOTH.into_iter().filter(move |party| match self {
            Self::One(one) => one == *party,
            Self::Both => true,
        })
    }
}

/// A set of keys.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct KeySet(u16);

impl KeySet {
    /// All sixteen.
    pub const ALL: Self = Self(u16::MAX);

    /// The keys of a text; none if a sign in it is no key.
    #[must_use]
    pub fn from_text(text: &str) -> Option<Self> {
        text.chars().try_fold(Self(0), |set, sign| Some(Self(set.0 | 1 << Key::from_char(sign)?.code())))
    }

    /// Its keys as a text, which [`KeySet::from_text`] reads.
    #[must_use]
    pub fn text(self) -> String {
        let keys = (0..16).filter_map(Key::from_code);
        keys.filter(|key| self.contains(*key)).map(Key::sign).collect()
    }

    /// Is it in the set?
    #[must_use]
    pub const fn contains(self, key: Key) -> bool {
        self.0 & 1 << key.code() != 0
    }
}

/// An action that has been checked and may be started.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Order {
    /// A prompt.
    Play {
        /// To whom.
        parties: Parties,
        /// Files, one after the other. The paths have no `..`; the shell holds them against the media root.
        content: Vec<String>,
        /// How often.
        repeat: Repeat,
        /// Keys of that party that end it.
        finish_keys: KeySet,
    },
    /// A recording.
    Record(RecordOrder),
    /// Keys to send.
    Send {
        /// To whom.
        parties: Parties,
        /// Which.
        keys: Keys,
    },
    /// Keys to collect.
    Receive {
        /// Whose.
        parties: Parties,
        /// How.
        collect: Collect,
        /// Files that are played first.
        content: Vec<String>,
        /// How often.
        repeat: Repeat,
    },
}

/// A recording on demand.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordOrder {
    /// Path as given. It has no `..`; the shell holds it against the recording root.
    pub file: String,
    /// Longest; none: until stopped.
    pub max: Option<Duration>,
    /// How samples are stored.
    pub format: RecordFormat,
    /// How the parties share the channels.
    pub channels: RecordChannels,
    /// What becomes of the time in which a party holds the other.
    pub hold: RecordHold,
    /// Keys of either party that end it.
    pub finish_keys: KeySet,
}

/// How keys are collected.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Collect {
    /// Those that count.
    pub valid_keys: KeySet,
    /// So many end it.
    pub max_keys: usize,
    /// Any of these ends it.
    pub finish_keys: KeySet,
    /// Longest wait for the first, from the end of the prompt on if there is one.
    pub first_key: Duration,
    /// Longest wait for each one after it.
    pub next_key: Duration,
    /// Does a key end the prompt?
    pub breaking_on_key: bool,
    /// Does the finish key belong to what was collected?
    pub including_finish_key: bool,
}

impl Order {
    /// The method that it came by.
    #[must_use]
    pub const fn method(&self) -> Method {
        match self {
            Self::Play { .. } => Method::Play,
            Self::Record(_) => Method::Record,
            Self::Send { .. } => Method::SendDtmf,
            Self::Receive { .. } => Method::ReceiveDtmf,
        }
    }

    /// Files that have to be at the gateway before it can start, and the parameter that names them.
    #[must_use]
    pub fn content(&self) -> Option<(&'static str, &[String])> {
        match self {
            Self::Play { content, .. } => Some(("content", content)),
            Self::Receive { content, .. } if !content.is_empty() => Some(("play_content", content)),
            Self::Receive { .. } | Self::Record(_) | Self::Send { .. } => None,
        }
    }
}

/// What an action is stopped by.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Stop {
    /// `play_stop`.
    Play(Parties),
    /// `record_stop`.
    Record,
    /// `receive_dtmf_stop`.
    Receive(Parties),
}

/// What the shell has prepared at the gateway for an action.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct Prepared {
    /// The prompt; must be there if [`Order::content`] names one.
    pub sound: Option<SoundSet>,
    /// The open file; must be there for [`Order::Record`].
    pub recording: Option<Recording>,
}

/// An action that runs, as the journal keeps it: its end is owed to the application.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ActionNote {
    /// Which.
    pub method: Method,
    /// On whom; none: on the resource.
    pub party: Option<Party>,
    /// Since when.
    pub begin_time: UnixTime,
    /// Keys that are being sent or were collected; the path of a recording.
    pub detail: String,
}
