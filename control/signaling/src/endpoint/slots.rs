//! Entries of the endpoint's tables.

use alloc::boxed::Box;
use alloc::sync::Arc;

use duogate_channel::identity::{LocalPort, Party};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use super::output::Query;
use crate::leg::Leg;
use crate::resource::duo_callback::DuoCallback;

/// One resource.
pub(super) struct Slot {
    pub(super) machine: Box<DuoCallback>,
    /// What each party's present attempt is doing.
    pub(super) attempts: [Attempt; 2],
    /// Its place among the deadlines.
    pub(super) deadline: Option<Instant>,
}

/// The present attempt to call a party.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Attempt {
    /// None.
    Idle,
    /// Its host is being looked up.
    Searching(Query),
    /// This leg.
    Leg(u128),
}

/// One leg.
pub(super) struct LegSlot {
    pub(super) leg: Box<Leg>,
    /// Its resource.
    pub(super) serial: u64,
    pub(super) party: Party,
    pub(super) attempt: u16,
    /// The trunk that it counts against, until its call is over.
    pub(super) trunk: Option<Arc<str>>,
    /// Its place among the deadlines.
    pub(super) deadline: Option<Instant>,
}

/// An attempt that waits for its host's addresses.
pub(super) struct Search {
    pub(super) serial: u64,
    pub(super) order: Order,
    /// Port at that host.
    pub(super) sip_port: u16,
}

/// One attempt, as the resource ordered it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Order {
    pub(super) party: Party,
    /// Place in the plan's list.
    pub(super) target: usize,
    pub(super) attempt: u16,
    /// Our RTP port for the party.
    pub(super) port: LocalPort,
    /// The codec to put first.
    pub(super) prefer: Option<Codec>,
}
