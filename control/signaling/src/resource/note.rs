//! The journal's row of a resource: what a later control plane needs to go on, or to end it properly.
//!
//! - To end it: `res_id`, `seq` (its next event is `seq + 1`), `dial1_open`/`dial2_open` and `released` (which
//!   promised events are still owed), `record_file` and `recording` state, each leg's dialog (to send BYE).
//! - To go on: the same dialogs, the times that bound it, the shard, session and ports of its media.
//!
//! The whole row is rewritten at every change; the last written row is the truth. `over` says that it may go.

use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;
use core::net::SocketAddr;
use core::time::Duration;

use duogate_channel::identity::{LocalPort, Session, Shard};

use super::action::ActionNote;
use super::view::{State, View};

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
}

/// One leg's dialog (RFC 3261 section 12): enough to send a request inside it.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
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
