//! The one face of the signaling core: everything comes in here, and everything that is to be done comes out.
//!
//! Call one input method at a time, then drain [`Endpoint::poll_output`] before the next. Ask
//! [`Endpoint::next_deadline`] when to call [`Endpoint::advance`] at the latest.
//!
//! The endpoint owns every table: resources by serial number, legs by Call-ID, sessions by shard and slot,
//! deadlines by time. A resource's messages to legs, gateway and application, and theirs to it, all go through
//! one queue of work, one step at a time.

mod actions;
mod admission;
mod calls;
mod check;
pub mod counters;
mod deadlines;
mod inheritance;
mod journeys;
mod legs;
mod media;
mod methods;
mod orphans;
pub mod output;
mod peers;
mod recovery;
mod resting;
mod routing;
pub mod settings;
mod shards;
mod slots;
mod strangers;
#[cfg(test)]
mod tests;
mod transcoding;
mod trunks;

use alloc::collections::{BTreeMap, VecDeque};
use alloc::sync::Arc;

use duogate_channel::identity::Recording;
use duogate_channel::time::Instant;
use rand_chacha::ChaCha12Rng;
use rand_core::{Rng, SeedableRng};

use crate::clock::Now;
use crate::resource::duo_callback::Input;

use admission::Bucket;
pub use counters::Counters;
use deadlines::{Deadlines, Sleeper};
pub use orphans::NotACall;
pub use output::{Listener, LocateFailure, Measurement, Output, Place, Query, Question};
use peers::PeerSlot;
use recovery::Recovery;
use resting::Resting;
pub use settings::{Admission, Limits, Local, Policy, Settings, Trunk};
use shards::Shards;
use slots::{LegSlot, Search, Slot};
use strangers::Strangers;
use transcoding::Transcoded;
use trunks::Trunks;
pub use trunks::{POST_DIAL_BOUNDS, TrunkFigures};

/// All of signaling: resources, legs, trunks, limits.
pub struct Endpoint {
    settings: Settings,
    /// The listening sockets, as legs know them.
    exits: Arc<[Local]>,
    random: ChaCha12Rng,
    /// Keeps the tags of stateless answers the same for repeated requests, and unguessable.
    secret: u64,
    /// Resources by serial number, which also is the tag of their session.
    resources: BTreeMap<u64, Slot>,
    /// Legs by Call-ID.
    legs: BTreeMap<u128, LegSlot>,
    /// The resource of each recording.
    recordings: BTreeMap<Recording, u64>,
    /// Host names that are being looked up.
    searches: BTreeMap<Query, Search>,
    /// Keepers of the trunks, by Call-ID.
    peers: BTreeMap<u128, PeerSlot>,
    shards: Shards,
    /// While a gateway has died and not all that it carried goes on with the next one.
    recovery: Option<Recovery>,
    trunks: Trunks,
    strangers: Strangers,
    transcoded: Transcoded,
    bucket: Bucket,
    /// Places that are not to be asked for a while.
    resting: Resting,
    deadlines: Deadlines,
    /// When the next call that waits for its trunk's pace has its turn.
    paced: Option<Instant>,
    last_ticket: u64,
    /// What resources still have to be told in this step.
    work: VecDeque<(u64, Input)>,
    last_serial: u64,
    last_query: u64,
    counters: Counters,
    outputs: VecDeque<Output>,
    draining: bool,
}

impl Endpoint {
    /// A fresh one. `seed` feeds every identifier that it makes; `now` makes resource names sort across restarts.
    #[must_use]
    pub fn new(settings: Settings, seed: [u8; 32], now: Now) -> Self {
        let mut random = ChaCha12Rng::from_seed(seed);
        let secret = random.next_u64();
        let bucket = Bucket::new(&settings.limits.admission, now.instant);
        // A thousand a millisecond: more than any node constructs, so serials of a later start are greater.
        let last_serial = now.unix.milliseconds().max(1).unsigned_abs().saturating_mul(1000);
        let mut this = Self {
            exits: settings.listeners.as_slice().into(),
            settings,
            random,
            secret,
            resources: BTreeMap::new(),
            legs: BTreeMap::new(),
            recordings: BTreeMap::new(),
            searches: BTreeMap::new(),
            peers: BTreeMap::new(),
            shards: Shards::default(),
            recovery: None,
            trunks: Trunks::default(),
            strangers: Strangers::default(),
            transcoded: Transcoded::default(),
            bucket,
            resting: Resting::default(),
            deadlines: Deadlines::default(),
            paced: None,
            last_ticket: 0,
            work: VecDeque::new(),
            last_serial,
            last_query: 0,
            counters: Counters::default(),
            outputs: VecDeque::new(),
            draining: false,
        };
        this.know_trunks();
        this.keep_peers(now);
        this
    }

    /// Time has passed.
    pub fn advance(&mut self, now: Now) {
        for sleeper in self.deadlines.due(now.instant) {
            match sleeper {
                Sleeper::Resource(serial) => self.tell(now, serial, Input::Tick),
                Sleeper::Peer(call_id) => self.advance_peer(now, call_id),
                Sleeper::Pace => self.next_turns(now),
                Sleeper::Recovery => self.recovery_due(now),
                Sleeper::Leg(call_id) => {
                    self.handle_leg(now, call_id, crate::leg::Input::Tick);
                    self.work_off(now);
                }
            }
        }
    }

    /// When to call [`Endpoint::advance`] at the latest.
    #[must_use]
    pub fn next_deadline(&self) -> Option<Instant> {
        self.deadlines.next()
    }

    /// What is to be done, in order.
    pub fn poll_output(&mut self) -> Option<Output> {
        self.outputs.pop_front()
    }

    /// Is nothing left: no resource, no leg, no session, nothing to be sent?
    #[must_use]
    pub fn is_idle(&self) -> bool {
        self.resources.is_empty()
            && self.legs.is_empty()
            && self.searches.is_empty()
            && self.shards.total() == 0
            && self.outputs.is_empty()
    }

    /// Figures for metrics.
    #[must_use]
    pub fn counters(&self) -> &Counters {
        &self.counters
    }
}
