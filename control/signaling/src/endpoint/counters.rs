//! Figures for metrics.

use alloc::collections::BTreeMap;

use crate::resource::report::Reason;

/// Counted since the start, but for `states`.
#[derive(Clone, PartialEq, Eq, Default, Debug)]
pub struct Counters {
    /// Resources in each state now, in the order of `State::ALL`. Released: not yet over.
    pub states: [u32; 5],
    /// Resources constructed.
    pub constructed: u64,
    /// Resources that reached Connected.
    pub connected: u64,
    /// Resources released normally.
    pub released_normally: u64,
    /// Resources released with an error, by reason.
    pub failures: BTreeMap<Reason, u64>,
    /// Final SIP status of every attempt, by status (200: answered).
    pub attempts: BTreeMap<u16, u64>,
    /// `construct` refused: calls at once.
    pub refused_full: u64,
    /// `construct` refused: calls a second.
    pub refused_rate: u64,
    /// `construct` refused: draining or no gateway.
    pub refused_unavailable: u64,
    /// Callbacks that hold a place among those whose sound is decoded and encoded, now.
    pub transcoded: u32,
    /// Offers that had to leave codecs out because there was no such place.
    pub transcoding_refused: u64,
    /// Datagrams received.
    pub datagrams_received: u64,
    /// Datagrams sent.
    pub datagrams_sent: u64,
    /// Datagrams that are no SIP message.
    pub datagrams_malformed: u64,
    /// Responses that belong to no transaction of ours.
    pub stray_responses: u64,
    /// Requests that belong to no dialog of ours.
    pub stray_requests: u64,
    /// Requests of strangers, malformed ones too, that were dropped: they had been answered often enough in that
    /// second.
    pub strangers_unanswered: u64,
    /// Sessions that a new gateway took over from one that died.
    pub resumed: u64,
    /// Calls of a control plane that died which go on.
    pub taken_over: u64,
    /// Times that a connected party was found absent: nothing came from it for seconds.
    pub found_absent: u64,
    /// Times that a connected party was found mute: it sent nothing but silence while the other talked.
    pub found_mute: u64,
    /// Media events that name no session of ours.
    pub stray_media: u64,
}
