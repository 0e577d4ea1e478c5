//! What goes into a two-way callback and what comes out of it.

use alloc::boxed::Box;
use alloc::string::String;
use alloc::sync::Arc;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::digits::Key;
use duogate_channel::event::{ActionOutcome, LegStatistics, RecordOutcome, Track};
use duogate_channel::identity::{Action, LocalPort, Party, Recording, Session, Shard, Sound};
use duogate_channel::sound::Codec;
use duogate_channel::srtp::MasterKeys;
use duogate_channel::time::UnixTime;

use super::revive::Left;
use crate::resource::action::{Order, Prepared, Stop};
use crate::resource::report::{Event, Measurement};
use crate::resource::view::State;
use crate::sdp::SdpError;

/// What a callback can be given.
#[derive(Clone, Debug)]
pub enum Input {
    /// The first note is in the journal.
    Noted,
    /// The gateway has opened the session.
    Opened {
        /// Its handle.
        session: Session,
        /// RTP ports of party 1 and 2.
        ports: [LocalPort; 2],
    },
    /// The gateway has no session to give.
    Refused,
    /// The attempt that `Output::Dial` asked for is under way.
    Dialled {
        /// Who is called.
        party: Party,
        /// How.
        dialled: Dialled,
    },
    /// The attempt that `Output::Dial` asked for cannot be made: trunk full or down, host not to be located.
    Skipped {
        /// Who is not called.
        party: Party,
    },
    /// A leg has something to say.
    Leg {
        /// Whose.
        party: Party,
        /// Which attempt's, as `Output::Dial` numbered it.
        attempt: u16,
        /// What.
        event: LegEvent,
    },
    /// The last transaction of one of the party's legs is over.
    LegGone {
        /// Whose.
        party: Party,
    },
    /// The two are joined.
    Joined,
    /// A sound was played to its end, or is not known to the gateway.
    Played {
        /// The listener.
        party: Party,
        /// The sound.
        sound: Sound,
    },
    /// Nothing was heard of a party for too long.
    Silent {
        /// Who.
        party: Party,
    },
    /// What comes from a party does not pass the check of its keys.
    Unauthentic {
        /// Who.
        party: Party,
    },
    /// A recording has ended.
    Recorded {
        /// Which.
        recording: Recording,
        /// How.
        outcome: RecordOutcome,
        /// Time that it covers.
        duration: Duration,
        /// Its size.
        bytes: u64,
        /// Packets that it lacks though they were relayed.
        missing: u32,
        /// What there was to record of each party.
        tracks: [Track; 2],
    },
    /// The gateway has ended a prompt or keys of an action.
    ActionEnded {
        /// The listener.
        party: Party,
        /// Which.
        action: Action,
        /// How.
        outcome: ActionOutcome,
    },
    /// A party has pressed a key; the gateway heard it.
    Pressed {
        /// Who.
        party: Party,
        /// Which.
        key: Key,
        /// How long.
        milliseconds: u16,
    },
    /// Start an action. See [`super::DuoCallback::may_start`].
    Start {
        /// Which.
        order: Box<Order>,
        /// What the gateway has for it.
        prepared: Prepared,
    },
    /// Stop an action. See [`super::DuoCallback::may_stop`].
    Stop(Stop),
    /// The session has ended.
    Closed {
        /// Its figures.
        statistics: [LegStatistics; 2],
    },
    /// The gateway went away for good.
    MediaLost,
    /// The gateway went away; the next one is awaited.
    MediaAway {
        /// What it was seen to leave of the session.
        left: Option<Box<Left>>,
    },
    /// The session of a former control plane goes on, and so does its call.
    MediaFound {
        /// The session.
        session: Session,
        /// Party 1's and party 2's media.
        far_ends: [Option<FarEnd>; 2],
    },
    /// There is a gateway again, or it is worth being asked once more.
    MediaBack,
    /// The gateway has the sounds and the files that callbacks need.
    Furnished,
    /// The application gives up. See [`super::DuoCallback::may_cancel`].
    Cancel,
    /// The application ends the call.
    Drop {
        /// SIP status to give as the cause.
        cause: u16,
    },
    /// The node stops.
    Shutdown,
    /// Time has passed.
    Tick,
}

/// What a leg says about its call.
#[derive(Clone, Copy, Debug)]
pub enum LegEvent {
    /// A provisional response.
    Provisional {
        /// 101 to 199.
        status: u16,
        /// Where early media comes from.
        early_media: Option<FarEnd>,
    },
    /// How the media that is told next is secured.
    Secured {
        /// With these keys; none: plain RTP.
        keys: Option<MasterKeys>,
    },
    /// Answered.
    Answered {
        /// The party's media.
        far_end: FarEnd,
    },
    /// The INVITE was sent anew, or the party changed the session: what the journal says of the leg has changed.
    Again,
    /// Not to be answered any more.
    Failed {
        /// SIP status.
        status: u16,
        /// Why the party's answer could not be used, where that is why.
        unusable: Option<SdpError>,
    },
    /// The party moved its media, or holds.
    FarEnd {
        /// The party's media.
        far_end: FarEnd,
    },
    /// The party pressed a key, and said so by INFO.
    Pressed {
        /// Which.
        key: Key,
        /// How long.
        milliseconds: u16,
    },
    /// The party hung up.
    Ended {
        /// SIP cause, 200 without one.
        cause: u16,
    },
}

/// How an attempt was made; for the leg's record.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Dialled {
    /// SIP Call-ID.
    pub call_id: String,
    /// Our tag.
    pub local_tag: String,
    /// Caller shown.
    pub from_uri: String,
    /// Trunk, if any.
    pub trunk: Option<Arc<str>>,
    /// Where the INVITE went.
    pub address: SocketAddr,
    /// Listening socket that it went from.
    pub listener: u16,
    /// May the party send from elsewhere than it says?
    pub nat: bool,
}

/// What a callback wants done.
#[derive(Clone, PartialEq, Debug)]
pub enum Output {
    /// Call one URI of a party's list; answer with `Input::Dialled` or `Input::Skipped`.
    Dial {
        /// Who.
        party: Party,
        /// Place in the plan's list.
        target: usize,
        /// Numbers the leg.
        attempt: u16,
        /// Our RTP port for the party.
        port: LocalPort,
        /// The codec to put first: what the other party speaks.
        prefer: Option<Codec>,
    },
    /// End the leg of the party's latest attempt, or do not place it any more.
    HangUp {
        /// Who.
        party: Party,
        /// SIP cause.
        cause: u16,
    },
    /// Command the shard.
    Media {
        /// Which shard.
        shard: Shard,
        /// What to do.
        command: Command,
    },
    /// The state has changed.
    State {
        /// From this one.
        from: State,
        /// To this one.
        to: State,
    },
    /// Write the row ([`super::DuoCallback::note`]).
    Note,
    /// Report an event.
    Report {
        /// Its number.
        seq: u32,
        /// When it happened.
        time: UnixTime,
        /// What happened.
        event: Box<Event>,
    },
    /// Count a measured time.
    Measured(Measurement),
    /// Free it.
    Over,
}
