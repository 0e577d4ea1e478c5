//! Entries of the endpoint's tables.

use alloc::boxed::Box;
use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec::Vec;

use duogate_channel::identity::{LocalPort, Party};
use duogate_channel::sound::Codec;
use duogate_channel::time::Instant;

use super::output::{Place, Query, Question};
use crate::leg::Leg;
use crate::resource::duo_callback::DuoCallback;
use crate::resource::plan::Target;

/// One resource.
pub(super) struct Slot {
    pub(super) machine: Box<DuoCallback>,
    /// What each party's present attempt is doing.
    pub(super) attempts: [Attempt; 2],
    /// Where it goes, and may go yet.
    pub(super) journeys: [Option<Box<Journey>>; 2],
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
    /// It waits for its trunk's pace, with this ticket.
    Waiting(u64),
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
    /// Where the INVITE went.
    pub(super) place: Place,
    /// When.
    pub(super) began: Instant,
    /// Has it rung?
    pub(super) rang: bool,
    /// The leg's revision that the journal knows.
    pub(super) revision: u32,
    /// Its place among the deadlines.
    pub(super) deadline: Option<Instant>,
}

/// Who waits for a host's places.
pub(super) enum Search {
    /// An attempt to call that party of that resource.
    Attempt(u64, Party),
    /// A dialog of that leg.
    Leg(u128, Question),
}

/// The way of one attempt: from the URI to places, from a redirection to other URIs.
#[derive(Debug)]
pub(super) struct Journey {
    pub(super) order: Order,
    /// Where it goes now.
    pub(super) target: Target,
    /// Places of the target that have not been tried.
    pub(super) places: VecDeque<Place>,
    /// Where redirections pointed, not yet tried.
    pub(super) contacts: VecDeque<Target>,
    /// URIs that were tried or are to be: none is followed twice.
    pub(super) seen: Vec<String>,
    /// Redirections that may still be followed.
    pub(super) redirects: u8,
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
