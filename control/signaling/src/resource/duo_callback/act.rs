//! What a transition does.

use alloc::string::String;

use duogate_channel::identity::Party;

use super::phase::Act;
use super::{DuoCallback, Output};
use crate::clock::Now;
use crate::resource::report::{Event, Failure, Measurement};

impl DuoCallback {
    pub(super) fn act(&mut self, now: Now, act: Act) {
        match act {
            Act::Record(mode) => self.record(now, mode),
            Act::Dial(party) => self.dial(now, party),
            Act::ReportDial2 => {
                let to_uri = self.first_uri(Party::Two);
                self.report(now, Event::Dial2Started { begin_time: now.unix, to_uri });
            }
            Act::ReportRinging(party) => self.report_ringing(now, party),
            Act::ReportAnswer(party) => self.report_dialled(now, party, None),
            Act::Sound => self.sound(),
            Act::Join => self.send_join(),
            Act::ReportConnected => {
                self.connected = Some(now);
                self.report(now, Event::Connected { connect_time: now.unix });
                let took = now.instant.since(self.began.instant);
                self.outputs.push_back(Output::Measured(Measurement::SetUp(took)));
            }
            Act::ReportReleased => self.report_released(now),
            Act::ReportRecorded => self.report_recorded(now),
            Act::ReportChannels => {
                self.report_channels(now);
                self.noteworthy = true;
            }
            Act::Abandon => self.media.closed(None),
            Act::ReportOver => {
                self.noteworthy = false;
                self.outputs.push_back(Output::Note);
                self.outputs.push_back(Output::Over);
            }
        }
    }

    fn first_uri(&self, party: Party) -> String {
        self.plan.parties[party.index()].to.first().map_or_else(String::new, |target| target.given.clone())
    }

    /// The URI that is or was called last; before the first, the first.
    pub(super) fn present_uri(&self, party: Party) -> String {
        self.target(party).map_or_else(|| self.first_uri(party), |target| target.given.clone())
    }

    /// Once for each URI that is tried.
    fn report_ringing(&mut self, now: Now, party: Party) {
        let call = self.call_mut(party);
        if core::mem::replace(&mut call.ringing_reported, true) {
            return;
        }
        let early_media = call.ringing.early_media;
        self.report(now, Event::Ringing { party, ring_time: now.unix, early_media });
    }

    /// `on_dialN_completed`.
    pub(super) fn report_dialled(&mut self, now: Now, party: Party, error: Option<Failure>) {
        let to_uri = self.present_uri(party);
        let call = self.call(party);
        let begin_time = call.began.unwrap_or(self.began).unix;
        let answer_time = call.answered.map(|answer| answer.unix);
        let end_time = now.unix;
        self.report(now, Event::DialCompleted { party, error, begin_time, answer_time, end_time, to_uri });
    }
}
