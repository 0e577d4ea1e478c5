//! The journal's row of a resource: what a later control plane needs to go on, or to end it properly.
//!
//! - To end it: `res_id`, `seq` (its next event is `seq + 1`), `dial1_open`/`dial2_open` and `released` (which
//!   promised events are still owed), `record_file` and `recording` state, each leg's dialog (to send BYE).
//! - To go on, which only a connected call can: the same dialogs, the times that bound it, the shard, session and ports
//!   of its media, and `live`.
//!
//! The whole row is rewritten at every change; the last written row is the truth. `over` says that it may go.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::identity::{Action, LocalPort, Recording, Session, Shard};
use duogate_channel::time::UnixTime;

use super::action::{ActionNote, RecordOrder};
use super::plan::RecordPlan;
use super::report::Attempt;
use super::view::{State, View};
pub use crate::leg::Refresh;

/// One row of the journal, keyed by `res_id`.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Note {
    /// Key of the row.
    pub res_id: Arc<str>,
    /// The machine's state.
    pub state: State,
    /// Number of the last event reported.
    pub seq: u32,
    /// Was `on_released` reported?
    pub released: bool,
    /// Party 1's and party 2's `on_dialN_completed` that are still owed.
    pub dial_open: [bool; 2],
    /// Is `on_record_completed` still owed?
    pub record_open: bool,
    /// Actions that run; the event of each one's end is owed.
    pub actions: Vec<ActionNote>,
    /// Parties whose `sys.on_chan_closed` is still owed.
    pub channel_open: [bool; 2],
    /// Nothing is left: no leg, no session, no owed event. Keep the row only to answer `get`.
    pub over: bool,
    /// Where the application wants its events sent.
    pub callback_url: Option<Arc<str>>,
    /// Longest conversation, counted from `view.connect_time`.
    pub max_answer: Duration,
    /// Longest wait for each party, counted from its `begin_time`.
    pub max_ring: Duration,
    /// What `get` shows, for as long as a released resource answers.
    pub view: View,
    /// The dialogs of both legs, once they exist.
    pub legs: [Option<LegNote>; 2],
    /// The media session, once it is open.
    pub media: Option<MediaNote>,
    /// What a connected call needs to go on under another control plane; none: it can only be ended.
    pub live: Option<Live>,
}

/// What there is to know of a connected call beside its dialogs and its session, to go on with it.
///
/// A secured call has none: its keys are written down nowhere.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Live {
    /// Party 1's and party 2's call.
    pub parties: [PartyNote; 2],
    /// The recording that `construct` asked for, while it runs.
    pub record: Option<RecordNote>,
    /// The one on demand.
    pub demand: Option<DemandNote>,
    /// The number of the last prompt or keys at the gateway.
    pub last_action: u32,
}

/// One party's call.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct PartyNote {
    /// The trunk that it goes over.
    pub trunk: Option<Arc<str>>,
    /// May the party send from elsewhere than it says?
    pub nat: bool,
    /// URIs that were tried, the last one being that which answered.
    pub attempts: Vec<Attempt>,
    /// What the gateway calls the prompt that it plays to the party.
    pub prompt: Option<Action>,
}

/// A recording that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordNote {
    /// Its name at the gateway.
    pub recording: Recording,
    /// Since when.
    pub begin_time: UnixTime,
    /// What was asked for.
    pub plan: RecordPlan,
}

/// A recording on demand that runs.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DemandNote {
    /// Its name at the gateway.
    pub recording: Recording,
    /// Since when.
    pub begin_time: UnixTime,
    /// What was asked for.
    pub order: RecordOrder,
    /// Has the gateway been told to end it?
    pub stopping: bool,
}

/// One leg's dialog (RFC 3261 section 12): enough to send a request inside it.
#[derive(Clone, PartialEq, Eq, Hash, Default, Debug)]
pub struct LegNote {
    /// Call-ID.
    pub call_id: String,
    /// Our tag, in From.
    pub local_tag: String,
    /// The party's tag, in To; empty before a dialog exists.
    pub remote_tag: String,
    /// Our URI, as From has it.
    pub local_uri: String,
    /// The party's URI, as To has it.
    pub remote_uri: String,
    /// Where requests in the dialog go (Contact).
    pub remote_target: String,
    /// Route set, in the order of use.
    pub routes: Vec<String>,
    /// What the branches of our requests begin with; 0 before the INVITE.
    pub branch: u64,
    /// Our last CSeq.
    pub local_sequence: u32,
    /// The party's last CSeq, if it sent any.
    pub remote_sequence: Option<u32>,
    /// Where the INVITE went.
    pub address: Option<SocketAddr>,
    /// Index of the listening socket that it went from.
    pub listener: u16,
    /// Has it answered?
    pub answered: bool,
    /// The session description that we sent last; empty where keys stand in it.
    pub description: String,
    /// The session's interval, if one is in force.
    pub refresh: Option<Refresh>,
}

/// The media session of a resource.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct MediaNote {
    /// Its shard.
    pub shard: Shard,
    /// Its slot there.
    pub session: Session,
    /// The tag that it was opened with; the gateway's snapshot pages carry it.
    pub tag: u64,
    /// RTP ports of party 1 and 2.
    pub ports: [LocalPort; 2],
}
