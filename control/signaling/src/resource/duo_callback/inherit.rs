//! The callback survives its control plane: a connected one is written down, and made again by the next process.
//!
//! ```text
//!  note ──inherit──> Connected, its session adrift ──found──> Connected
//!                                   │
//!                                   └── not found in time, or over ──> Released, as if its gateway had gone
//! ```
//! While it is adrift it is as good as connected to its parties: one that hangs up is answered and ends it.

use alloc::collections::VecDeque;
use alloc::string::String;
use alloc::sync::Arc;
use alloc::vec;
use alloc::vec::Vec;
use core::time::Duration;

use duogate_channel::command::{Command, FarEnd};
use duogate_channel::digits::Keys;
use duogate_channel::identity::{Party, Session, Shard, Tag};
use duogate_channel::time::{Instant, UnixTime};

use super::call::{Call, Stage};
use super::desk::{Collecting, Desk, Doing};
use super::hearing::{Hears, Ringing};
use super::media::Media;
use super::phase::Phase;
use super::recording::{Demand, Recorder};
use super::{Dialled, DuoCallback, MediaPlace};
use crate::clock::Now;
use crate::resource::action::{ActionNote, Method};
use crate::resource::note::{LegNote, Live, Note, PartyNote, RecordNote};
use crate::resource::plan::{PartyPlan, Plan, Prepared, Target, Waits};
use crate::resource::report::Reason;
use crate::resource::view::{PartyView, State};

/// The number of every inherited party's attempt: it answered, so there is no other.
pub const INHERITED_ATTEMPT: u16 = 1;

impl DuoCallback {
    /// What a later control plane needs to go on with the call; none where it cannot.
    pub(super) fn live_note(&self) -> Option<Live> {
        let secured = self.calls.iter().any(|call| call.keys.is_some());
        if self.phase != Phase::Connected || secured || !(self.media.is_open() || self.media.is_adrift()) {
            return None;
        }
        let record = match (&self.plan.record, self.prepared.recording, self.recorder.running_since()) {
            (Some(plan), Some(recording), Some(began)) => {
                Some(RecordNote { recording, begin_time: began.unix, plan: plan.clone() })
            }
            _ => None,
        };
        if self.recorder.is_owed() && record.is_none() {
            return None;
        }
        Some(Live {
            parties: Party::BOTH.map(|party| self.party_note(party)),
            record,
            demand: self.demand.as_ref().and_then(Demand::note),
            last_action: self.last_action,
        })
    }

    fn party_note(&self, party: Party) -> PartyNote {
        let call = self.call(party);
        let dialled = call.dialled.as_ref();
        PartyNote {
            trunk: dialled.and_then(|dialled| dialled.trunk.clone()),
            nat: dialled.is_some_and(|dialled| dialled.nat),
            attempts: call.attempts.clone(),
            prompt: self.desks[party.index()].prompt,
        }
    }

    /// A connected callback of a former control plane, as its note describes it. Its session is adrift until
    /// [`super::Input::MediaFound`]; [`super::Input::MediaLost`] says that it never will be found.
    ///
    /// None: the note describes no call that can go on.
    #[must_use]
    pub fn inherit(now: Now, note: &Note, waits: Waits) -> Option<Self> {
        let (live, media) = (note.live.as_ref()?, note.media?);
        if note.state != State::Connected || note.record_open != live.record.is_some() {
            return None;
        }
        let connected = then(now, note.view.connect_time?);
        let place = MediaPlace { shard: media.shard, tag: Tag(media.tag), addresses: [0; 2] };
        let [one, two] = Party::BOTH.map(|party| call(now, note, live, party));
        let recording = live.record.as_ref().map(|record| record.recording);
        Some(Self {
            res_id: Arc::clone(&note.res_id),
            plan: plan(note, live)?,
            prepared: Prepared { recording, ..Prepared::default() },
            waits,
            phase: Phase::Connected,
            seq: note.seq,
            began: then(now, note.view.begin_time),
            connected: Some(connected),
            durable: true,
            deadline: Some(connected.instant + note.max_answer),
            media: Media::adrift(place, media.session, media.ports),
            calls: [one?, two?],
            hears: Hears::Silence,
            recorder: match &live.record {
                Some(record) => Recorder::inherited(then(now, record.begin_time)),
                None => Recorder::new(false),
            },
            desks: Party::BOTH.map(|party| desk(now, note, &live.parties[party.index()], party)),
            demand: live
                .demand
                .as_ref()
                .map(|demand| Demand::inherited(demand, then(now, demand.begin_time))),
            last_action: live.last_action,
            end: None,
            requested_cause: 603,
            noteworthy: false,
            outputs: VecDeque::new(),
        })
    }

    /// Is its session, this one, still to be found?
    #[must_use]
    pub fn is_adrift_from(&self, shard: Shard, session: Session) -> bool {
        self.media.is_adrift_from(shard, session)
    }

    /// Is its session still to be found?
    #[must_use]
    pub fn is_adrift(&self) -> bool {
        self.media.is_adrift()
    }

    /// Its session is found. What was played, sent and collected is broken off: what was to follow from it, only the
    /// dead process knew.
    pub(super) fn media_found(&mut self, now: Now, session: Session, far_ends: [Option<FarEnd>; 2]) {
        if !self.media.found(session) {
            return;
        }
        for (call, far_end) in self.calls.iter_mut().zip(far_ends) {
            call.far_end = far_end;
        }
        for party in Party::BOTH {
            self.stop_prompt(party);
            self.desks[party.index()].prompt = None;
        }
        self.cut_actions(now, Reason::Interrupted);
        if self.demand.as_ref().is_some_and(Demand::is_stopping) {
            self.stop_demand_again();
        }
        self.noteworthy = true;
    }

    /// The gateway may not have heard of it: it is told once more, which does no harm.
    fn stop_demand_again(&mut self) {
        if let Some(recording) = self.demand.as_ref().map(Demand::recording) {
            self.send(|session| Command::RecordStop { session, recording });
        }
    }
}

/// A time that the journal has, on both clocks. The wall clock may have been set since: then deadlines are off by as
/// much, but none lies before the boot.
fn then(now: Now, unix: UnixTime) -> Now {
    let passed = now.unix.milliseconds().saturating_sub(unix.milliseconds());
    let passed = Duration::from_millis(u64::try_from(passed).unwrap_or(0));
    let passed = u64::try_from(passed.as_nanos()).unwrap_or(u64::MAX);
    Now { instant: Instant::from_nanoseconds(now.instant.nanoseconds().saturating_sub(passed)), unix }
}

fn plan(note: &Note, live: &Live) -> Option<Plan> {
    let party = |index: usize| {
        let leg = note.legs[index].as_ref()?;
        let given = note.view.parties[index].to_uri.clone()?;
        let trunk = live.parties[index].trunk.clone();
        let uri = leg.remote_uri.clone();
        let target = Target { given, uri, host: String::new(), port: None, transport: None, trunk };
        Some(PartyPlan { from: None, to: vec![target] })
    };
    Some(Plan {
        parties: [party(0)?, party(1)?],
        max_answer: note.max_answer,
        max_ring: note.max_ring,
        ring_play: None,
        record: live.record.as_ref().map(|record| record.plan.clone()),
        codecs: Vec::new(),
        user_data: note.view.user_data.clone(),
        callback_url: note.callback_url.clone(),
        request_id: None,
    })
}

fn call(now: Now, note: &Note, live: &Live, party: Party) -> Option<Call> {
    let leg: &LegNote = note.legs[party.index()].as_ref().filter(|leg| leg.answered)?;
    let view: &PartyView = &note.view.parties[party.index()];
    let PartyNote { trunk, nat, attempts, .. } = live.parties[party.index()].clone();
    let dialled = Dialled {
        call_id: leg.call_id.clone(),
        local_tag: leg.local_tag.clone(),
        from_uri: leg.local_uri.clone(),
        trunk,
        address: leg.address?,
        listener: leg.listener,
        nat,
    };
    let at = |unix: Option<UnixTime>| unix.map(|unix| then(now, unix));
    Some(Call {
        stage: Stage::Answered,
        attempt: INHERITED_ATTEMPT,
        legs: 1,
        began: at(view.begin_time),
        rang: at(view.ring_time),
        answered: at(view.answer_time),
        ended: None,
        ringing: Ringing::default(),
        ringing_reported: true,
        attempt_began: None,
        dialled: Some(dialled),
        last_uri: view.to_uri.clone(),
        far_end: None,
        keys: None,
        cause: 200,
        error: None,
        hung_up: false,
        attempts,
    })
}

/// What ran on a party, to be broken off with its event.
fn desk(now: Now, note: &Note, party_note: &PartyNote, party: Party) -> Desk {
    let running = |method| {
        let is_it = |action: &&ActionNote| action.method == method && action.party == Some(party);
        note.actions.iter().find(is_it)
    };
    let mut desk = Desk { prompt: party_note.prompt, ..Desk::default() };
    if let Some(play) = running(Method::Play) {
        (desk.play.stage, desk.play.began) = (Doing::Running, Some(then(now, play.begin_time)));
    }
    if let Some(send) = running(Method::SendDtmf) {
        (desk.send.stage, desk.send.began) = (Doing::Running, Some(then(now, send.begin_time)));
        desk.send.keys = Keys::from_text(&send.detail);
    }
    if let Some(gather) = running(Method::ReceiveDtmf) {
        (desk.gather.stage, desk.gather.began) = (Collecting::Waiting, Some(then(now, gather.begin_time)));
        desk.gather.keys.clone_from(&gather.detail);
    }
    desk
}
