//! A callback that has been checked and may be placed.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::identity::{Recording, Sound};
use duogate_channel::sound::{Codec, RecordChannels, RecordFormat, RecordHold};

use crate::transaction::Transport;

/// What `construct`'s parameters mean once every one of them has been found good.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Plan {
    /// Whom to call, and as whom.
    pub parties: [PartyPlan; 2],
    /// Longest conversation, counted from Connected.
    pub max_answer: Duration,
    /// Longest wait for an answer, for each party, over all URIs of its list.
    pub max_ring: Duration,
    /// Prompt for party 1. The path has no `..`; the shell holds it against the media root.
    pub ring_play: Option<RingPlay>,
    /// Recording. The path has no `..`; the shell holds it against the recording root.
    pub record: Option<RecordPlan>,
    /// Codecs to offer, in order; empty: the trunk's, or the node's.
    pub codecs: Vec<Codec>,
    /// What the application attached.
    pub user_data: Option<Arc<str>>,
    /// Webhook of this resource.
    pub callback_url: Option<Arc<str>>,
    /// Idempotency key.
    pub request_id: Option<String>,
}

/// One party to call.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct PartyPlan {
    /// Caller to show; none: the trunk's caller id.
    pub from: Option<String>,
    /// Whom to call, tried in order. Never empty.
    pub to: Vec<Target>,
}

/// One URI of a party's list.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Target {
    /// As the application gave it; events name it so.
    pub given: String,
    /// The same in full (`sip:…`), for the request line.
    pub uri: String,
    /// Host to reach it by, unless the trunk has an address of its own.
    pub host: String,
    /// Port, if the URI names one.
    pub port: Option<u16>,
    /// How it is reached, if the URI says so.
    pub transport: Option<Transport>,
    /// The trunk it goes over, by name; none: direct (`policy.allow_any_destination`).
    pub trunk: Option<Arc<str>>,
}

/// A prompt for party 1 while party 2 is called.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RingPlay {
    /// Path of the prompt, as given.
    pub file: String,
    /// When it is heard.
    pub mode: RingPlayMode,
}

/// When party 1 hears the prompt.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RingPlayMode {
    /// 0: from party 2's ringing on, instead of its ringback.
    FromRinging,
    /// 1: from the call to party 2 on.
    FromDial,
    /// 2: from the call to party 2 on until it rings; its ringback from then on.
    UntilRinging,
    /// 3: once, whole, before party 2 is called; then its ringback.
    BeforeDial,
}

/// A recording that `construct` asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordPlan {
    /// Path of the recording, as given.
    pub file: String,
    /// When it begins.
    pub mode: RecordMode,
    /// How samples are stored.
    pub format: RecordFormat,
    /// How the parties share the channels.
    pub channels: RecordChannels,
    /// What becomes of the time in which a party holds the other.
    pub hold: RecordHold,
}

/// When a recording begins.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum RecordMode {
    /// 0.
    FromConnected,
    /// 1.
    FromFirstCall,
    /// 2.
    FromSecondCall,
}

/// What the shell has prepared at the gateway for one callback.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Prepared {
    /// The prompt; must be there exactly if the plan has `ring_play`.
    pub ring_play: Option<SoundSet>,
    /// The local ringback tones.
    pub ringback: Arc<Ringbacks>,
    /// The open file; must be there exactly if the plan has `record`.
    pub recording: Option<Recording>,
}

/// The local ringback tones, by the trunk that party 2 is called over.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Ringbacks {
    /// Where no trunk says otherwise; none: silence in its place.
    pub node: Option<SoundSet>,
    /// Of the trunks that have one of their own.
    pub trunks: Vec<(Arc<str>, SoundSet)>,
}

impl Ringbacks {
    /// The tone for a call over that trunk, or over none.
    #[must_use]
    pub fn over(&self, trunk: Option<&str>) -> Option<SoundSet> {
        let own = self.trunks.iter().find(|(name, _)| Some(&**name) == trunk);
        own.map(|(_, set)| *set).or(self.node)
    }
}

/// One sound, encoded for each codec that it was handed over for. The gateway translates between the laws of G.711.
#[derive(Clone, Copy, PartialEq, Eq, Default, Debug)]
pub struct SoundSet {
    /// Encoded as A-law.
    pub pcma: Option<Sound>,
    /// Encoded as µ-law.
    pub pcmu: Option<Sound>,
    /// Encoded as G.722.
    pub g722: Option<Sound>,
    /// Encoded as Opus, in packets of 20 ms and [`duogate_channel::sound::OPUS_FRAME_OCTETS`].
    pub opus: Option<Sound>,
}

impl SoundSet {
    /// The encoding that suits the listener best.
    #[must_use]
    pub fn for_codec(&self, codec: Codec) -> Option<Sound> {
        match codec {
            Codec::Pcma => self.pcma.or(self.pcmu),
            Codec::Pcmu => self.pcmu.or(self.pcma),
            Codec::G722 => self.g722,
            Codec::Opus => self.opus,
        }
    }

    /// Is this one of its encodings?
    #[must_use]
    pub fn contains(&self, sound: Sound) -> bool {
        [self.pcma, self.pcmu, self.g722, self.opus].contains(&Some(sound))
    }
}

/// How long a callback waits for the gateway before it goes on without it.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Waits {
    /// To open, join or close a session.
    pub media_answer: Duration,
    /// For the next gateway when one dies, with all that it has to be told; zero: not at all.
    pub recovery: Duration,
    /// To finish a recording after the call.
    pub record_answer: Duration,
    /// To say that a prompt that plays once has been played: the longest prompt there can be.
    pub prompt: Duration,
}

impl Default for Waits {
    fn default() -> Self {
        Self {
            media_answer: Duration::from_secs(2),
            recovery: Duration::from_secs(5),
            record_answer: Duration::from_secs(20),
            prompt: Duration::from_secs(600),
        }
    }
}
