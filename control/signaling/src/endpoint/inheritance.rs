//! Connected calls of a control plane that has died: taken over by what its journal says, and by the sessions that the
//! gateway still carries.
//!
//! ```text
//!  journal ──take_over──> adrift ──media_found, its page is there──> goes on
//!                           │
//!                           └── not there, or no gateway in time ──> ends as lost, with BYE to both
//! ```
//! What cannot go on (calls that were being set up, secured ones, damaged rows) is refused here and ended by
//! [`Endpoint::end_orphan`].

use alloc::boxed::Box;
use alloc::sync::Arc;
use alloc::vec::Vec;

use duogate_channel::command::Command;
use duogate_channel::identity::{LocalPort, Party, Shard};
use duogate_channel::snapshot::{SessionState, Snapshot};

use super::methods::serial_of;
use super::orphans::{NotACall, identity, kept};
use super::output::{Listener, Output, Place};
use super::settings::Trunk;
use super::slots::{Attempt, LegSlot, Slot};
use super::{Endpoint, Input};
use crate::clock::Now;
use crate::leg::{Dial, Identity, Leg, MediaOffer};
use crate::resource::duo_callback::{DuoCallback, INHERITED_ATTEMPT};
use crate::resource::note::{LegNote, Note};
use crate::resource::view::State;
use crate::sdp::KeyWay;

/// A leg that is ready to take its place.
struct Heir {
    call_id: u128,
    leg: Box<Leg>,
    place: Place,
    trunk: Option<Arc<str>>,
}

impl Endpoint {
    /// Goes on with a connected call of a former process. Its parties' requests are answered from now on; its sound is
    /// that of the session that [`Endpoint::media_found`] finds, within `waits.recovery`. Before the first message is
    /// read.
    ///
    /// # Errors
    /// The note describes no call that can go on; nothing has changed.
    pub fn take_over(&mut self, now: Now, note: &Note) -> Result<(), NotACall> {
        let (live, media) = (note.live.as_ref().ok_or(NotACall)?, note.media.ok_or(NotACall)?);
        let serial = media.tag;
        if self.settings.waits.recovery.is_zero() || serial_of(&note.res_id) != Some(serial) {
            return Err(NotACall);
        }
        let machine = DuoCallback::inherit(now, note, self.settings.waits).ok_or(NotACall)?;
        let heir = |this: &mut Self, party: Party| {
            let row = note.legs[party.index()].as_ref().ok_or(NotACall)?;
            let trunk = live.parties[party.index()].trunk.clone();
            this.heir(now, row, media.ports[party.index()], trunk)
        };
        let heirs = [heir(self, Party::One)?, heir(self, Party::Two)?];
        if self.resources.contains_key(&serial) || heirs[0].call_id == heirs[1].call_id {
            return Err(NotACall);
        }
        let attempts = [0, 1].map(|index: usize| Attempt::Leg(heirs[index].call_id));
        let recordings =
            [live.record.as_ref().map(|it| it.recording), live.demand.as_ref().map(|it| it.recording)];
        self.recordings.extend(recordings.into_iter().flatten().map(|recording| (recording, serial)));
        let slot = Slot { machine: Box::new(machine), attempts, journeys: [None, None], deadline: None };
        self.resources.insert(serial, slot);
        // The wall clock may have been set back since: no name is given twice.
        self.last_serial = self.last_serial.max(serial);
        for (party, heir) in Party::BOTH.into_iter().zip(heirs) {
            self.settle_heir(now, serial, party, heir);
        }
        self.counters.states[State::Connected as usize] += 1;
        self.await_media(now, serial);
        self.grant(now, serial);
        Ok(())
    }

    /// What stands for a leg until both are known to be good.
    fn heir(
        &mut self,
        now: Now,
        row: &LegNote,
        port: LocalPort,
        trunk: Option<Arc<str>>,
    ) -> Result<Heir, NotACall> {
        let mut identity = identity(row)?;
        if self.legs.contains_key(&identity.call_id) {
            return Err(NotACall);
        }
        let dial = self.dial_again(row, port)?;
        let login = self.login_of(row);
        let known = trunk.as_ref().and_then(|name| self.trunk(name));
        let codecs = known.map(|trunk: &Trunk| trunk.codecs.clone()).filter(|codecs| !codecs.is_empty());
        let offer = MediaOffer {
            keys: known.map_or(KeyWay::Any, |trunk| trunk.keys),
            codecs: codecs.unwrap_or(dial.offer.codecs),
            ..dial.offer
        };
        let dial = Dial { login, session: self.settings.session, offer, ..dial };
        identity.branch = Identity::draw(&mut self.random).branch;
        let said = (row.description.as_str(), row.refresh);
        let leg = Leg::resume(now.instant, dial, identity, kept(row)?, said).map_err(|_| NotACall)?;
        let listener = Listener(row.listener);
        let address = row.address.ok_or(NotACall)?;
        let place = Place { transport: self.transport_of(listener), address };
        Ok(Heir { call_id: identity.call_id, leg: Box::new(leg), place, trunk })
    }

    fn settle_heir(&mut self, now: Now, serial: u64, party: Party, heir: Heir) {
        let Heir { call_id, leg, place, trunk } = heir;
        if let Some(name) = &trunk {
            self.trunks.inherit(name);
        }
        let attempt = INHERITED_ATTEMPT;
        let (began, rang, revision, deadline) = (now.instant, true, leg.revision(), None);
        let slot = LegSlot { leg, serial, party, attempt, trunk, place, began, rang, revision, deadline };
        self.legs.insert(call_id, slot);
        self.settle_leg(now, call_id);
    }

    /// A gateway is attached, and these sessions are on its pages: those of calls that were taken over go on, all
    /// others are closed. Otherwise as [`Endpoint::media_attached`].
    pub fn media_found(&mut self, now: Now, sessions: &[u32], pages: &[(Shard, Snapshot)]) {
        if self.shards.is_attached() {
            self.media_lost(now);
        }
        self.shards.attach(sessions);
        for (shard, page) in pages {
            self.claim(now, *shard, page);
        }
        let lost: Vec<u64> = self
            .resources
            .iter()
            .filter(|(_, slot)| slot.machine.is_adrift())
            .map(|(serial, _)| *serial)
            .collect();
        for serial in lost {
            self.recovered(serial);
            self.tell(now, serial, Input::MediaLost);
        }
        self.reopen(now);
    }

    /// Whose is a session on a page?
    fn claim(&mut self, now: Now, shard: Shard, page: &Snapshot) {
        let (serial, session) = (page.tag.0, page.session);
        let awaited =
            self.resources.get(&serial).is_some_and(|slot| slot.machine.is_adrift_from(shard, session));
        if !awaited || page.state != SessionState::Joined || !self.shards.adopt(shard, session, serial) {
            self.outputs.push_back(Output::Media { shard, command: Command::Close { session } });
            return;
        }
        let far_ends = [0, 1].map(|index: usize| page.legs[index].far_end);
        let attempts = self.resources.get(&serial).map_or([Attempt::Idle; 2], |slot| slot.attempts);
        for (attempt, far_end) in attempts.into_iter().zip(far_ends) {
            if let (Attempt::Leg(call_id), Some(far_end)) = (attempt, far_end)
                && let Some(slot) = self.legs.get_mut(&call_id)
            {
                slot.leg.found(far_end);
            }
        }
        self.counters.taken_over += 1;
        self.recovered(serial);
        self.tell(now, serial, Input::MediaFound { session, far_ends });
    }
}
