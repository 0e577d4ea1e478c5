//! What `get` and the journal see.

use alloc::string::String;

use duogate_channel::event::LegStatistics;
use duogate_channel::identity::{Party, Session, Shard};

use super::DuoCallback;
use super::call::Stage;
use super::phase::Phase;
use crate::resource::note::{LegNote, Note};
use crate::resource::view::{PartyView, State, View};

impl DuoCallback {
    /// What `construct`, `get` and `list` show.
    #[must_use]
    pub fn view(&self) -> View {
        View {
            res_id: self.res_id.clone(),
            state: self.state(),
            action: self.running_actions(),
            record_file: self.plan.record.as_ref().map(|record| record.file.clone()),
            user_data: self.plan.user_data.clone(),
            begin_time: self.began.unix,
            connect_time: self.connected.map(|connected| connected.unix),
            end_time: self.end.as_ref().map(|end| end.at.unix),
            error: self.end.as_ref().and_then(|end| end.error),
            cause: self.end.as_ref().map(|end| end.cause),
            released_by: self.end.as_ref().map(|end| end.by),
            parties: Party::BOTH.map(|party| self.party_view(party)),
        }
    }

    fn party_view(&self, party: Party) -> PartyView {
        let call = self.call(party);
        PartyView {
            to_uri: call.last_uri.clone(),
            begin_time: call.began.map(|at| at.unix),
            ring_time: call.rang.map(|at| at.unix),
            answer_time: call.answered.map(|at| at.unix),
            end_time: call.ended.map(|at| at.unix),
            quality: self.media.statistics.map(|both| both[party.index()]),
        }
    }

    /// The session at the gateway, while there is one.
    #[must_use]
    pub fn session(&self) -> Option<(Shard, Session)> {
        self.media.note().map(|note| (note.shard, note.session))
    }

    /// What both legs have carried by now, of which this gateway's part is `last`.
    #[must_use]
    pub fn carried(&self, last: [LegStatistics; 2]) -> [LegStatistics; 2] {
        self.media.carried(last)
    }

    /// The journal's row, with what this machine knows of the dialogs; the endpoint adds the rest.
    #[must_use]
    pub fn note(&self) -> Note {
        let reported = matches!(self.phase, Phase::Filing | Phase::Draining | Phase::Over);
        let closed = matches!(self.phase, Phase::Draining | Phase::Over);
        let released = self.state() == State::Released;
        Note {
            res_id: self.res_id.clone(),
            state: self.state(),
            seq: self.seq,
            released: reported,
            dial_open: [
                matches!(self.phase, Phase::Opening | Phase::Calling1),
                self.phase == Phase::Calling2,
            ],
            record_open: self.recorder.is_owed(),
            actions: self.action_notes(),
            channel_open: Party::BOTH.map(|party| !closed && self.call(party).dialled.is_some()),
            over: self.phase == Phase::Over,
            callback_url: self.plan.callback_url.clone(),
            max_answer: self.plan.max_answer,
            max_ring: self.plan.max_ring,
            view: self.view(),
            legs: Party::BOTH.map(|party| if released { None } else { self.leg_note(party) }),
            media: self.media.note(),
            live: self.live_note(),
        }
    }

    fn leg_note(&self, party: Party) -> Option<LegNote> {
        let call = self.call(party);
        let dialled = call.dialled.as_ref()?;
        Some(LegNote {
            call_id: dialled.call_id.clone(),
            local_tag: dialled.local_tag.clone(),
            remote_tag: String::new(),
            local_uri: dialled.from_uri.clone(),
            address: Some(dialled.address),
            listener: dialled.listener,
            answered: call.stage == Stage::Answered,
            ..LegNote::default()
        })
    }
}
