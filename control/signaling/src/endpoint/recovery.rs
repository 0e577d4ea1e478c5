//! A gateway that died is not the end of its calls: the next one is awaited, for a bounded time, and every session is
//! opened anew on it, on the same ports and with the same streams. Calls that were taken over from a dead control plane
//! (`inheritance`) wait here too, for the gateway that carries them.
//!
//! ```text
//!            media_away               media_attached                all open again, media_furnished
//!  attached ───────────> awaiting it ────────────────> reopening ───────────────────────────────────> attached
//!                            │                             │ refused: asked for again, shortly
//!                            └── the time is over ─────────┴──> what is not open again ends as lost
//! ```

use alloc::boxed::Box;
use alloc::collections::{BTreeMap, BTreeSet};
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::event::Refusal;
use duogate_channel::snapshot::Snapshot;
use duogate_channel::time::Instant;

use super::deadlines::Sleeper;
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::resource::duo_callback::{Left, Remains};

/// How soon a port that was refused is asked for again: the kernel lets go of a dead gateway's sockets some
/// milliseconds after its end.
const ASK_AGAIN: Duration = Duration::from_millis(20);

/// The wait for the next gateway, and for what it has to be told.
#[derive(Debug)]
pub(super) struct Recovery {
    /// When it is given up.
    deadline: Instant,
    /// Resources whose session is not open again.
    waiting: BTreeSet<u64>,
    /// Those of them that were refused, to be asked for once more.
    refused: Vec<u64>,
    /// Whether the gateway has sounds and files.
    furnished: bool,
    /// Its place among the deadlines.
    held: Option<Instant>,
}

impl Endpoint {
    /// The gateway's process is gone, and this is what its pages last showed. Calls go on as far as they can without
    /// it; [`Endpoint::media_attached`] within `waits.recovery` lets them go on altogether. Later, or if that is zero,
    /// they end as with [`Endpoint::media_lost`]. New calls are refused meanwhile.
    pub fn media_away(&mut self, now: Now, pages: &[Snapshot]) {
        if self.settings.waits.recovery.is_zero() {
            return self.media_lost(now);
        }
        self.shards.detach();
        // One that is not over yet keeps its end: a gateway that dies again and again is not awaited for ever.
        let deadline =
            self.recovery.as_ref().map_or(now.instant + self.settings.waits.recovery, |old| old.deadline);
        self.end_recovery();
        let pages: BTreeMap<u64, &Snapshot> = pages.iter().map(|page| (page.tag.0, page)).collect();
        let serials: Vec<u64> = self.resources.keys().copied().collect();
        for serial in &serials {
            let left = pages.get(serial).map(|page| Box::new(left(page)));
            self.tell(now, *serial, Input::MediaAway { left });
        }
        let waiting: BTreeSet<u64> = serials.into_iter().filter(|serial| self.is_away(*serial)).collect();
        if !waiting.is_empty() {
            let (refused, furnished, held) = (Vec::new(), false, None);
            self.recovery = Some(Recovery { deadline, waiting, refused, furnished, held });
            self.sleep_until(deadline);
        }
    }

    /// A call that was taken over waits for the gateway that has its session.
    pub(super) fn await_media(&mut self, now: Now, serial: u64) {
        let deadline = now.instant + self.settings.waits.recovery;
        let recovery = self.recovery.get_or_insert_with(|| Recovery {
            deadline,
            waiting: BTreeSet::new(),
            refused: Vec::new(),
            furnished: false,
            held: None,
        });
        recovery.waiting.insert(serial);
        let deadline = recovery.deadline;
        self.sleep_until(deadline);
    }

    fn is_away(&self, serial: u64) -> bool {
        self.resources.get(&serial).is_some_and(|slot| slot.machine.is_away())
    }

    /// The gateway that was attached last has been handed every sound that a call may play and every file that one
    /// is to record into, as far as it took them.
    pub fn media_furnished(&mut self, now: Now) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.furnished = true;
        let serials: Vec<u64> = self.resources.keys().copied().collect();
        for serial in serials {
            self.tell(now, serial, Input::Furnished);
        }
        self.end_recovery_if_done();
    }

    /// Are calls taken: is there a gateway whose former calls have their ports again?
    pub(super) fn takes_calls(&self) -> bool {
        let settled = self.recovery.as_ref().is_none_or(|recovery| recovery.waiting.is_empty());
        self.shards.is_attached() && settled
    }

    /// The next gateway is there.
    pub(super) fn reopen(&mut self, now: Now) {
        let Some(recovery) = &mut self.recovery else { return };
        recovery.refused.clear();
        let waiting: Vec<u64> = recovery.waiting.iter().copied().collect();
        self.ask(now, waiting);
    }

    fn ask(&mut self, now: Now, serials: Vec<u64>) {
        for serial in serials {
            self.tell(now, serial, Input::MediaBack);
            if !self.is_away(serial) {
                self.recovered(serial);
            }
        }
    }

    /// A session has opened; perhaps one that was open before.
    pub(super) fn opened_again(&mut self, now: Now, serial: u64) {
        let Some(recovery) = &self.recovery else { return };
        let furnished = recovery.furnished;
        if recovery.waiting.contains(&serial) {
            self.counters.resumed += 1;
        }
        if furnished {
            self.tell(now, serial, Input::Furnished);
        }
        self.recovered(serial);
    }

    /// Is a session that was refused to be asked for again?
    pub(super) fn try_again(&mut self, now: Now, serial: u64, reason: Refusal) -> bool {
        let Some(recovery) = &mut self.recovery else { return false };
        let next = now.instant + ASK_AGAIN;
        let worth_it =
            reason == Refusal::NoPort && recovery.waiting.contains(&serial) && next < recovery.deadline;
        if worth_it {
            recovery.refused.push(serial);
            self.sleep_until(next);
        }
        worth_it
    }

    /// One resource needs to be waited for no longer.
    pub(super) fn recovered(&mut self, serial: u64) {
        if let Some(recovery) = &mut self.recovery {
            recovery.waiting.remove(&serial);
            recovery.refused.retain(|refused| *refused != serial);
            self.end_recovery_if_done();
        }
    }

    fn end_recovery_if_done(&mut self) {
        let done = |recovery: &Recovery| recovery.waiting.is_empty() && recovery.furnished;
        if self.recovery.as_ref().is_some_and(done) {
            self.end_recovery();
        }
    }

    pub(super) fn end_recovery(&mut self) {
        if let Some(mut recovery) = self.recovery.take() {
            self.deadlines.set(Sleeper::Recovery, &mut recovery.held, None);
        }
    }

    fn sleep_until(&mut self, instant: Instant) {
        if let Some(recovery) = &mut self.recovery {
            self.deadlines.set(Sleeper::Recovery, &mut recovery.held, Some(instant));
        }
    }

    /// Its deadline has passed: refused sessions are asked for again, or all is given up that is not open.
    pub(super) fn recovery_due(&mut self, now: Now) {
        let Some(recovery) = &mut self.recovery else { return };
        let deadline = recovery.deadline;
        if now.instant < deadline {
            let refused = core::mem::take(&mut recovery.refused);
            self.sleep_until(deadline);
            return self.ask(now, refused);
        }
        let waiting = core::mem::take(&mut recovery.waiting);
        // What was not handed over by now never will be: those that are open go on without it.
        self.media_furnished(now);
        self.end_recovery();
        for serial in waiting {
            self.tell(now, serial, Input::MediaLost);
        }
    }
}

fn left(page: &Snapshot) -> Left {
    Left {
        streams: page.legs.map(|leg| Remains::of(&leg, page.taken_at)),
        statistics: page.legs.map(|leg| leg.statistics),
        heard: page.legs.map(|leg| leg.heard),
    }
}
