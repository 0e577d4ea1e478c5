//! The end: what it is called, and the events that are owed by then.

use core::time::Duration;

use duogate_channel::identity::Party;

use super::call::Stage;
use super::phase::{Phase, Why};
use super::{DuoCallback, Output};
use crate::clock::Now;
use crate::resource::report::{ChannelRecord, Event, Failure, Reason, Release};

/// How it ended.
#[derive(Debug)]
pub(super) struct End {
    pub(super) at: Now,
    /// What `on_released` says.
    pub(super) error: Option<Failure>,
    pub(super) cause: u16,
    pub(super) by: u8,
}

/// What an end means: to the resource, and to a call that it cuts short.
struct Meaning {
    cause: u16,
    by: u8,
    reason: Reason,
    /// Is it a normal end of the resource?
    normal: bool,
}

impl DuoCallback {
    /// Keeps the cause that `drop` gives, for the release that follows.
    pub(super) fn drop_cause(&mut self, cause: u16) {
        self.requested_cause = cause;
    }

    /// Ends calls and session, and reports the call that was still being placed.
    pub(super) fn release(&mut self, now: Now, from: Phase, why: Why) {
        let meaning = self.meaning(why);
        let failure = Failure { code: meaning.cause, reason: meaning.reason };
        for party in Party::BOTH {
            self.end_call(now, party, &failure);
        }
        self.cut_actions(now, meaning.reason);
        self.stop_recording(now);
        self.send_close();
        self.end = Some(End {
            at: now,
            error: (!meaning.normal).then_some(failure),
            cause: meaning.cause,
            by: meaning.by,
        });
        match from {
            Phase::Opening | Phase::Calling1 => self.report_dialled(now, Party::One, Some(failure)),
            Phase::Calling2 => self.report_dialled(now, Party::Two, Some(failure)),
            _ => {}
        }
    }

    fn meaning(&self, why: Why) -> Meaning {
        let error = |cause, by, reason| Meaning { cause, by, reason, normal: false };
        let normal = |cause, by, reason| Meaning { cause, by, reason, normal: true };
        match why {
            Why::CallFailed(party) => {
                let failure = self.call(party).error.unwrap_or(Failure { code: 500, reason: Reason::Failed });
                // Nobody's decision: no answer at all, and no way to get there.
                let nobody = failure.code == 408 || failure.reason == Reason::NoRoute;
                error(failure.code, if nobody { 0 } else { party.number() }, failure.reason)
            }
            Why::NoAnswer(_) => error(408, 0, Reason::NoAnswer),
            Why::HungUpEarly(party) => error(487, party.number(), Reason::HungUp),
            Why::HungUp(party) => normal(self.call(party).cause, party.number(), Reason::HungUp),
            Why::AnswerLimit => normal(200, 0, Reason::AnswerLimit),
            Why::Cancelled => error(487, 0, Reason::Cancelled),
            Why::Dropped => normal(self.requested_cause, 0, Reason::Dropped),
            Why::Shutdown => error(503, 0, Reason::Shutdown),
            Why::MediaTimeout => error(408, 0, Reason::MediaTimeout),
            Why::Unauthentic => error(488, 0, Reason::MediaUnauthentic),
            Why::MediaRefused => error(503, 0, Reason::MediaRefused),
            Why::MediaLost => error(500, 0, Reason::MediaLost),
            Why::MediaStalled => error(500, 0, Reason::MediaStalled),
        }
    }

    /// Ends one party's call, whatever it is doing.
    fn end_call(&mut self, now: Now, party: Party, failure: &Failure) {
        match self.call(party).stage {
            Stage::Idle | Stage::Over => {}
            Stage::Dialing => {
                self.attempted(party, 487);
                self.finish_call(now, party, failure);
                self.call_mut(party).error = Some(*failure);
            }
            Stage::Answered => {
                self.finish_call(now, party, failure);
                let normal = matches!(failure.reason, Reason::HungUp | Reason::Dropped | Reason::AnswerLimit);
                self.call_mut(party).error = (!normal).then_some(*failure);
            }
        }
    }

    fn finish_call(&mut self, now: Now, party: Party, failure: &Failure) {
        self.outputs.push_back(Output::HangUp { party, cause: failure.code });
        let call = self.call_mut(party);
        call.stage = Stage::Over;
        call.ended = Some(now);
        call.cause = failure.code;
    }

    /// `on_released`.
    pub(super) fn report_released(&mut self, now: Now) {
        let Some(end) = &self.end else { return };
        let statistics = self.media.statistics;
        let release = Release {
            error: end.error,
            cause: end.cause,
            released_by: end.by,
            begin_time: self.began.unix,
            answer_time: self.call(Party::One).answered.map(|answer| answer.unix),
            connect_time: self.connected.map(|connected| connected.unix),
            end_time: end.at.unix,
            duration: self.connected.map_or(Duration::ZERO, |from| end.at.instant.since(from.instant)),
            quality: Party::BOTH.map(|party| statistics.map(|both| both[party.index()])),
        };
        self.report(now, Event::Released(release));
        self.noteworthy = true;
    }

    /// `sys.on_chan_closed` of every leg that was dialled.
    pub(super) fn report_channels(&mut self, now: Now) {
        for party in Party::BOTH {
            if let Some(record) = self.channel_record(party) {
                self.report(now, Event::ChannelClosed(record));
            }
        }
        self.slim();
    }

    fn channel_record(&mut self, party: Party) -> Option<ChannelRecord> {
        let to_uri = self.present_uri(party);
        let quality = self.media.statistics.map(|both| both[party.index()]);
        let end = self.end.as_ref().map_or(self.began, |end| end.at);
        let began = self.began;
        let call = self.call_mut(party);
        let dialled = call.dialled.as_ref()?;
        let ended = call.ended.unwrap_or(end);
        Some(ChannelRecord {
            party,
            call_id: dialled.call_id.clone(),
            from_uri: dialled.from_uri.clone(),
            to_uri,
            trunk: dialled.trunk.as_deref().map(Into::into),
            address: Some(dialled.address),
            begin_time: call.began.unwrap_or(began).unix,
            ring_time: call.rang.map(|rang| rang.unix),
            answer_time: call.answered.map(|answer| answer.unix),
            end_time: ended.unix,
            duration: call.answered.map_or(Duration::ZERO, |from| ended.instant.since(from.instant)),
            cause: call.cause,
            error: call.error,
            hung_up: call.hung_up,
            codec: call.answered.and(call.far_end).map(|far_end| far_end.codec),
            quality,
            attempts: core::mem::take(&mut call.attempts),
        })
    }
}
